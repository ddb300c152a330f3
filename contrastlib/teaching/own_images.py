"""A reader's own images, as the trained encoders take theirs: uint8 [N, 1, 28, 28], grey.

from contrastlib.teaching.own_images import own_images

images = own_images("my_clothes")  # a folder of photographs, in the order of their names
z = pretrained("contrastive", 0.2)(images)  # [N, 128]
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["SUFFIXES", "own_image", "own_images"]

SIDE = 28  # pixels of an image of Fashion-MNIST
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SHAPES = "[N, 28, 28] or [N, 1, 28, 28], grey images of 28 x 28 pixels"


def own_images(source: str | os.PathLike | np.ndarray | Tensor | Sequence) -> Tensor:
    """Own images for the trained encoders, uint8 [N, 1, 28, 28], light on black.

    source: a folder of photographs, which are read in the order of their names, each as
    `own_image` reads it; or arrays that are 28 x 28 and grey already: an array or a tensor
    [N, 28, 28] or [N, 1, 28, 28], or a list of such images [28, 28] or [1, 28, 28]. Arrays are
    uint8, or floats in [0, 1], which are rounded to 256 levels.
    Errors: FileNotFoundError for a folder that is missing; NotADirectoryError for a file;
    ValueError for a folder without pictures, a file that is none, arrays of another size or number
    of channels, and floats outside [0, 1]; TypeError for anything else.
    """
    if isinstance(source, str | os.PathLike):
        return images_of_folder(Path(source))
    if isinstance(source, list | tuple):
        return images_of_list(source)
    return images_of_array("the array", source)


def images_of_folder(folder: Path) -> Tensor:
    """The pictures of a folder in the order of their names; all other files are passed over."""
    if not folder.exists():
        raise FileNotFoundError(f"{folder} is missing; give a folder that holds your pictures")
    if not folder.is_dir():
        raise NotADirectoryError(
            f"{folder} is a file; give the folder that holds it, or read it alone by own_image"
        )
    found = []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".")  # such as the ._ files of macOS, which hold no pixels
        if path.suffix.lower() in SUFFIXES and not hidden:
            found.append(own_image(path))
    if not found:
        raise ValueError(
            f"{folder} holds no picture; put files into it whose names end in {', '.join(SUFFIXES)}"
        )
    return torch.cat(found)


def images_of_list(images: Sequence) -> Tensor:
    """Images [28, 28] or [1, 28, 28] one below the other; an error says which one is at fault."""
    if len(images) == 0:
        raise ValueError("the list is empty; give at least one image")
    found = []
    for number, image in enumerate(images):
        name = f"image {number} of the list"
        pixels = as_tensor(name, image)
        if pixels.shape not in ((SIDE, SIDE), (1, SIDE, SIDE)):
            raise ValueError(wrong_shape(name, pixels, "[28, 28] or [1, 28, 28], grey"))
        found.append(images_of_array(name, pixels.reshape(1, SIDE, SIDE)))
    return torch.cat(found)


def images_of_array(name: str, array: object) -> Tensor:
    """Images [N, 28, 28] or [N, 1, 28, 28] as uint8 [N, 1, 28, 28]."""
    pixels = as_tensor(name, array)
    grey = pixels
    if pixels.ndim == 3:
        grey = pixels[:, None]
    if grey.ndim != 4 or grey.shape[1:] != (1, SIDE, SIDE) or len(grey) == 0:
        raise ValueError(wrong_shape(name, pixels, SHAPES))
    if grey.dtype == torch.uint8:
        return grey.clone()
    low, high = grey.aminmax()
    # Written so that NaN is refused, too.
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"{name} has values from {low.item():.3g} to {high.item():.3g}; floats must be in "
            "[0, 1]: divide by 255, or give uint8"
        )
    return (255 * grey).round().to(torch.uint8)


def as_tensor(name: str, array: object) -> Tensor:
    """An array or a tensor as a tensor on the CPU. TypeError for all but uint8 and floats."""
    if isinstance(array, Tensor):
        is_allowed = array.dtype == torch.uint8 or array.is_floating_point()
    elif isinstance(array, np.ndarray):
        is_allowed = array.dtype == np.uint8 or array.dtype.kind == "f"
    else:
        raise TypeError(
            f"{name} is a {type(array).__name__}; give a folder of pictures, or an array or tensor "
            f"{SHAPES}"
        )
    if not is_allowed:
        raise TypeError(
            f"{name} has dtype {array.dtype}; give uint8, values 0 to 255, or floats in [0, 1]"
        )
    if isinstance(array, Tensor):
        return array.detach().cpu()
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(array))


def wrong_shape(name: str, pixels: Tensor, allowed: str) -> str:
    """What is said of an array of another shape: what it is, what is allowed, and the cure."""
    sizes = list(pixels.shape)
    message = f"{name} has shape {sizes}; give {allowed}"
    if sizes == [SIDE, SIDE]:
        return f"{message}: one image is image[None]"
    if 3 in sizes[-3:] or 4 in sizes[-3:]:
        return (
            f"{message}: of colours take the mean over their axis, or let own_image read the file"
        )
    return f"{message}: own_image reads a picture of any size from a file"


def own_image(path: str | os.PathLike) -> Tensor:
    """A photograph as Fashion-MNIST has its images: grey, light on black, uint8 [1, 1, 28, 28].

    path: of a picture that Pillow reads. It is turned upright, padded to a square with the
    brightness of its border, and inverted where that border is bright, as on white paper. What is
    transparent counts as white.
    Errors: FileNotFoundError for a missing file; ValueError for one that is no picture, or has 16
    bits a pixel.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I"):  # 16 bits or more; conversion would clip them
                raise ValueError(
                    f"{path} has 16 bits a pixel: save it with 8, as a JPEG or an 8-bit PNG"
                )
            if upright.has_transparency_data:
                on_white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(on_white, upright.convert("RGBA"))
            grey = upright.convert("L")
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, SyntaxError) as error:  # what Pillow raises for a file that it cannot decode
        raise ValueError(f"{path} is no picture that Pillow reads: give a PNG or JPEG") from error
    pixels = np.asarray(grey)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    background = int(np.median(border))
    square = ImageOps.pad(grey, (SIDE, SIDE), color=background)
    if background > 127:
        square = ImageOps.invert(square)
    return torch.from_numpy(np.array(square))[None, None]
