"""The paper's augmentations on a whole batch at once, on the device where the images are.

Random resized crop, colour jitter, horizontal flip and random grayscale, after Wu et al. (2018);
Gaussian blur for ImageNet100, after SimCLR (Chen et al. 2020). Each image has its own draw. In a
training loop:

    augment = Augmentation(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
    view = augment(images, generator)  # uint8 [B, C, H, W] -> float32 [B, C, H, W]
    other_view = augment(images, generator)
    plain = augment.normalise(images)  # the same scale without any chance, for the probe

Two facts make it fast. Resizing is linear in each direction, so crop, resize and flip together are
two matrix products an image. And jitter is linear in colour: brightness b, contrast c, saturation s
and a rotation of hue act on the luma Y and the chroma (I, Q) of a pixel as

    Y -> b c Y + b (1 - c) mean(Y)        (I, Q) -> b c s R(hue) (I, Q)

so all of them together are one affine map of RGB an image, whatever their order; grayscale is
s = 0. torchvision applies them in random order and clamps to [0, 1] after each. Nothing else sets
brightness, contrast, saturation and grayscale apart from it: 0.4 of 255 a pixel on CIFAR10, as much
as from one of its own orders to another. Hue is another matter: see `shift_hue_`. The operators are
in `image_operations`.
"""

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor

from contrastlib.checks import as_python, check_positive, check_share
from contrastlib.image_operations import (
    adjust_colour,
    between,
    constant,
    crop_boxes,
    gaussian_blur,
    resized_crop,
    shift_hue_,
)

__all__ = [
    "Augmentation",
    "adjust_colour",
    "crop_boxes",
    "gaussian_blur",
    "resized_crop",
    "shift_hue_",
]

# Crops drawn for each image, of which the first that fits is taken, as in torchvision.
ATTEMPTS = 10
NO_BLUR = 1e-3  # a standard deviation, in pixels, that leaves an image as it is


class Draw(NamedTuple):
    """All random numbers of one view of a batch: uniform in [0, 1), float32, a column an image."""

    area: Tensor  # [ATTEMPTS, B], sizes of the crops that are tried
    ratio: Tensor  # [ATTEMPTS, B], their widths / heights, on a logarithmic scale
    jitter: Tensor  # [4, B], strengths of brightness, contrast, saturation and hue
    top: Tensor  # [B], where the crop lies
    left: Tensor  # [B]
    flip: Tensor  # [B]; this and the next three: below the probability means yes
    jittered: Tensor  # [B]
    grayscale: Tensor  # [B]
    blurred: Tensor  # [B]
    sigma: Tensor  # [B], width of the blur


def draw_numbers(batch: int, generator: torch.Generator | None, device: torch.device) -> Draw:
    """Draw the numbers of one view; as many whatever the settings."""
    shape = (2 * ATTEMPTS + 11, batch)  # [31, B]
    uniform = torch.rand(shape, generator=generator, device=device, dtype=torch.float32)
    area, ratio, jitter, others = uniform.split([ATTEMPTS, ATTEMPTS, 4, 7])
    return Draw(area, ratio, jitter, *others.unbind())


@dataclass(frozen=True)
class Augmentation:
    """Random views of a batch of images; the defaults are the paper's for CIFAR and SVHN.

    crop: smallest and largest area of the crop, as a share of the image's, in (0, 1]. ratio: its
    smallest and largest width / height. size: side of the square that comes out; None keeps the
    images' own height and width.
    brightness, contrast, saturation in [0, 1]: each factor is uniform in
    [1 - strength, 1 + strength]. hue in [0, 0.5]: the shift is uniform in [-hue, hue] turns of the
    colour circle.
    hue_space: "hsv" shifts the hue as torchvision does, pixel by pixel, after brightness, contrast
    and saturation; "yiq" rotates the chroma, which is linear and so costs nothing. They are not
    close: see `shift_hue_`.
    jitter_probability, grayscale, flip, blur in [0, 1]: how often an image is jittered, greyed,
    mirrored, blurred.
    blur_sigma: smallest and largest standard deviation of the blur in pixels; its radius is 1/20 of
    the height, at least 1, and less than the image.
    mean, std: one number a channel for (x - mean) / std, with x in [0, 1]; None for both leaves x
    in [0, 1].

    Images with one channel (digits, Fashion-MNIST) have no chroma: of the colour operations only
    brightness and contrast remain, as in torchvision. NumPy's numbers become Python's own.
    Errors: ValueError for a number outside its range; TypeError for what is no number.
    """

    crop: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    size: int | None = None
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.4
    hue_space: str = "hsv"
    jitter_probability: float = 1.0
    grayscale: float = 0.2
    flip: float = 0.5
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        for setting in fields(self):
            value = as_python(getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)  # the way into a frozen dataclass
        shares = ("brightness", "contrast", "saturation", "jitter_probability", "grayscale")
        for name in (*shares, "flip", "blur"):
            check_share(name, getattr(self, name), 1.0)
        check_share("hue", self.hue, 0.5)
        for name in ("crop", "ratio", "blur_sigma"):
            check_range(name, getattr(self, name))
        if self.crop[1] > 1:
            raise ValueError(
                f"crop is {self.crop}; no crop is larger than its image: give two shares in (0, 1]"
            )
        if self.hue_space not in ("hsv", "yiq"):
            raise ValueError(
                f"hue_space is {self.hue_space!r}; "
                "give 'hsv' (torchvision's hue) or 'yiq' (a rotation)"
            )
        if self.size is not None:
            is_whole = isinstance(self.size, int) and not isinstance(self.size, bool)
            if not is_whole or self.size < 1:
                raise ValueError(
                    f"size is {self.size!r}; give a whole number of pixels, at least 1, or None"
                )
        self.check_scale()

    def check_scale(self) -> None:
        """Refuse a mean without a std, and what is no finite number in them or no std above 0."""
        if (self.mean is None) != (self.std is None):
            raise ValueError(
                f"mean is {self.mean} and std {self.std}; "
                "give both, one number a channel, or neither"
            )
        for name in ("mean", "std"):
            if isinstance(getattr(self, name), Real):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; give one number a channel, such as "
                    "(0.5, 0.5, 0.5), or (0.5,) for grey images"
                )
        for value in self.mean or ():
            if not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(
                    f"mean is {self.mean!r}; "
                    "give one finite number a channel, such as (0.5, 0.5, 0.5)"
                )
        for value in self.std or ():
            check_positive("std", value)

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One random view of each image.

        images: uint8 [B, C, H, W], C = 1 or 3. generator: on the images' device; None takes
        PyTorch's own there. As many numbers are drawn whatever the settings, so from one state two
        settings see the same crops.
        Returns float32 [B, C, size, size], or [B, C, H, W] without a size; the device is never
        waited for.
        Errors: TypeError for another dtype; ValueError for another shape and for a generator on
        another device.
        """
        self.check(images)
        if generator is not None and generator.device.type != images.device.type:
            raise ValueError(
                f"generator is on {generator.device} and images on {images.device}; both must be "
                f"on one device: make it with torch.Generator({images.device.type!r})"
            )
        draw = draw_numbers(len(images), generator, images.device)
        # Autocast would round the images to bfloat16's 8 bits.
        with torch.autocast(images.device.type, enabled=False):
            x = self.crop_and_flip(images, draw)  # [B, C, size, size]
            x = self.jitter_colours(x, draw)
            if self.blur:
                x = self.blur_some(x, draw)
        return self.scale(x)

    def crop_and_flip(self, images: Tensor, draw: Draw) -> Tensor:
        """A random crop of each image at its new size, mirrored or not, float32 in [0, 1]."""
        height, width = images.shape[2:]
        area = between(draw.area, *self.crop)  # [ATTEMPTS, B]
        smallest, largest = self.ratio
        ratio = between(draw.ratio, math.log(smallest), math.log(largest)).exp()  # [ATTEMPTS, B]
        box = crop_boxes(area, ratio, draw.top, draw.left, height, width)
        size = (self.size or height, self.size or width)
        return resized_crop(images, *box, size, draw.flip < self.flip)

    def jitter_colours(self, x: Tensor, draw: Draw) -> Tensor:
        """Brightness, contrast, saturation, hue and grayscale; x float32 [B, C, H, W] in [0, 1]."""
        strengths = [self.brightness, self.contrast, self.saturation, self.hue]
        strengths = constant(strengths, x.device)[:, None]  # [4, 1]
        is_jittered = draw.jittered < self.jitter_probability  # [B]
        change = between(draw.jitter, -1, 1) * is_jittered * strengths  # [4, B]
        brightness, contrast, saturation, _ = (1 + change).unbind()  # factors
        hue = change[3]  # turns
        keeps_colour = draw.grayscale >= self.grayscale  # [B]
        saturation = saturation * keeps_colour  # before the hue, as in Wu et al.'s code
        if self.hue_space == "yiq":
            return adjust_colour(x, brightness, contrast, saturation, hue)
        x = adjust_colour(x, brightness, contrast, saturation)
        return shift_hue_(x, hue)

    def blur_some(self, x: Tensor, draw: Draw) -> Tensor:
        """Blur a random choice of the images; x float32 [B, C, H, W] in [0, 1]."""
        is_blurred = draw.blurred < self.blur  # [B]
        sigma = torch.where(is_blurred, between(draw.sigma, *self.blur_sigma), NO_BLUR)  # [B]
        height, width = x.shape[2:]
        radius = min(max(1, height // 20), height - 1, width - 1)
        if radius == 0:  # a line of pixels
            return x
        return gaussian_blur(x, sigma, radius)

    def normalise(self, images: Tensor) -> Tensor:
        """The images as they are, float32 [B, C, H, W] on the scale of the views.

        Errors as for a view.
        """
        self.check(images)
        return self.scale(images.float() / 255)

    def scale(self, x: Tensor) -> Tensor:
        """(x - mean) / std, in place; x float32 [B, C, H, W] in [0, 1]."""
        if self.mean is None:
            return x
        mean, std = constant([self.mean, self.std], x.device).view(2, -1, 1, 1)  # [C, 1, 1] each
        return x.sub_(mean).div_(std)

    def check(self, images: Tensor) -> None:
        """Refuse anything but uint8 [B, C, H, W] with 1 or 3 channels and a mean for each."""
        if not isinstance(images, Tensor):
            raise TypeError(
                f"images is a {type(images).__name__}; give a uint8 tensor of shape [B, C, H, W]"
            )
        if images.dtype != torch.uint8:
            raise TypeError(f"images has dtype {images.dtype}; give torch.uint8, values 0 to 255")
        if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
            raise ValueError(
                f"images has shape {list(images.shape)}; give [B, C, H, W], C = 1 or 3, none of "
                "them 0: one image is images[None], and channels come before height"
            )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != images.shape[1]:
                raise ValueError(
                    f"{name} has {len(values)} number(s) and the images {images.shape[1]} "
                    "channel(s); give one number for each channel"
                )


def check_range(name: str, values: tuple[float, float]) -> None:
    """Refuse anything but two finite numbers above 0 in rising order."""
    if not isinstance(values, (tuple, list)) or len(values) != 2:
        raise TypeError(f"{name} is {values!r}; give two numbers, the smallest and the largest")
    for value in values:
        check_positive(name, value)
    if values[0] > values[1]:
        raise ValueError(
            f"{name} is {values}; the smallest comes first: give ({values[1]}, {values[0]})"
        )
