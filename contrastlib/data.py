"""Images as one uint8 tensor with their labels, on the device where they will be used.

A set is looked for in three places, in this order. ROOT is `root`, else $CONTRASTLIB_DATA, else the cache folder
($XDG_CACHE_HOME/contrastlib, or ~/.cache/contrastlib).

1. an image folder, ROOT/NAME/{train,test}/CLASS/* (val serves as test): classes are its folders, sorted. Decoded once;
   the arrays are kept in the cache folder until a file changes;
2. the files that torchvision's own class reads: ROOT/cifar-10-batches-py, ROOT/cifar-100-python,
   ROOT/{train,test}_32x32.mat (SVHN), ROOT/FashionMNIST/raw. Fashion-MNIST's four files may be gzipped, and may lie in
   ROOT/fashion-mnist or where Debian's package dataset-fashion-mnist puts them;
3. torchvision's download, into ROOT.
"""

import gzip
import math
import os
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from contrastlib.checks import check_count
from contrastlib.image_folder import cache_folder, class_folders, decode, decode_once, list_images

__all__ = ["NAMES", "ImageSet", "image_files", "load", "stream"]

NAMES = ("digits", "fashion-mnist", "cifar10", "cifar100", "svhn", "imagenet100")
STREAMED = ("imagenet100",)  # of many sizes, and too large for one tensor
SPLITS = ("train", "test")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TIMEOUT = 30  # seconds without an answer until a download counts as failed


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: images uint8 [N, C, H, W] in 0..255, labels long [N], and the classes' names."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def load(
    name: str,
    split: str = "train",
    *,
    root: str | os.PathLike | None = None,
    limit: int | None = None,
    device: str | torch.device = "cpu",
) -> ImageSet:
    """Load a data set by name, whole, as one uint8 tensor.

    name: "digits", the 1,797 handwritten digits of 8 x 8 pixels that ship inside scikit-learn (no download, no files);
    "fashion-mnist" (28 x 28, grey), "cifar10", "cifar100" or "svhn" (32 x 32, colour), looked for as described above.
    "imagenet100" has images of many sizes, which are no one tensor: see `stream`.
    split: "train" or "test". Of the digits, train is the first 1,437; other hands wrote the last 360.
    root: an existing folder, the ROOT above.
    limit: keep that many images, a fixed random choice in which a smaller limit is part of a larger one; None: all.
    Errors: ValueError for an unknown name or split, a limit that is not in [1, number of images], a damaged file, a
    class with no images, images of several sizes, labels that do not match; FileNotFoundError for a folder that is not
    there and for a download that failed.
    """
    _check_name(name, split)
    if name in STREAMED:
        raise ValueError(
            "imagenet100 has images of many sizes, which do not make one tensor: "
            f'use stream("imagenet100", "{split}", transform=...)'
        )
    images, labels, classes = _digits(split) if name == "digits" else _read(name, split, _find_root(root))
    if limit is not None:
        chosen = _choose(limit, len(images), name, split)
        images, labels = images[chosen], labels[chosen]
    return ImageSet(images.to(device), labels.to(device), classes)


def stream(
    name: str,
    split: str = "train",
    *,
    root: str | os.PathLike | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 128,
    workers: int = 2,
) -> DataLoader:
    """Batches (indices [B], images [B, C, H, W], labels [B]) of an image folder, decoded anew in each pass.

    For sets too large for one tensor: ImageNet100 as ROOT/imagenet100/{train,val}/WORDNET_ID/*. Of the folders found
    there only the 100 listed classes are read, so a whole ImageNet serves as well. Its images cannot be downloaded. The
    other sets stream too where they lie as image folders. Training images come shuffled, test images in order; indices
    say which they are, and `.dataset.classes` names the labels.

    transform: from one uint8 image [C, H, W] of any size to a tensor of one size, such as a torchvision.transforms.v2;
    None: shorter side to 256 pixels, then the middle 224 x 224, uint8.
    batch_size: at least 1. workers: processes that decode; 0: this one does.
    Errors: as in `load`. A damaged file is named when its turn comes.
    """
    check_count("batch_size", batch_size)
    check_count("workers", workers, low=0)
    return DataLoader(
        image_files(name, split, root=root, transform=transform),
        batch_size,
        shuffle=split == "train",
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )


def image_files(
    name: str,
    split: str = "train",
    *,
    root: str | os.PathLike | None = None,
    limit: int | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
) -> "ImageFiles":
    """What `stream` reads, for another order; limit as in `load`, the other arguments and the errors as in `stream`."""
    _check_name(name, split)
    if name == "digits":
        raise ValueError('digits is no image folder: use load("digits")')
    place = _find_root(root)
    folder = _image_folder(name, split, place)
    if folder is None:
        wanted = place / name / ("train" if split == "train" else "val")
        raise FileNotFoundError(f"there is no folder {wanted}: put the {split} images of {name} at {wanted}/CLASS/*")
    files = ImageFiles(folder, _mode(name), imagenet100_classes() if name == "imagenet100" else None, transform)
    if limit is not None:
        chosen = _choose(limit, len(files), name, split)
        files.paths, files.labels = [files.paths[i] for i in chosen.tolist()], files.labels[chosen]
    return files


class ImageFiles(Dataset):
    """The images of FOLDER/CLASS/* as (index, transformed image, label); `stream` explains the arguments."""

    def __init__(self, folder: Path, mode: str, classes: tuple[str, ...] | None, transform: Callable | None):
        from torchvision.transforms import v2  # a second to import, and `load("digits")` needs none of it

        listing = list_images(folder, classes)
        self.paths, self.classes, self.mode = listing.paths, listing.classes, mode
        self.labels = torch.from_numpy(listing.labels)
        self.transform = transform or v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])

    def __len__(self) -> int:
        return len(self.paths)

    def pixels(self, index: int) -> Tensor:
        """One image as it is, uint8 [C, H, W]."""
        return torch.from_numpy(np.ascontiguousarray(decode(self.paths[index], self.mode)))

    def __getitem__(self, index: int) -> tuple[int, Tensor, int]:
        return index, self.transform(self.pixels(index)), int(self.labels[index])


def imagenet100_classes() -> tuple[str, ...]:
    """The 100 WordNet ids, sorted, of Contrastive Multiview Coding (Tian et al. 2019), shipped with the library."""
    lines = (Path(__file__).parent / "imagenet100.txt").read_text(encoding="utf-8").split("\n")
    return tuple(sorted(line for line in lines if line and not line.startswith("#")))


def _check_name(name: str, split: str) -> None:
    if name not in NAMES:
        raise ValueError(f"there is no data set {name!r}; the names are: {', '.join(NAMES)}")
    if split not in SPLITS:
        raise ValueError(f"{name} has no split {split!r}; the splits are: {', '.join(SPLITS)}")


def _choose(limit: int, n: int, name: str, split: str) -> Tensor:
    """The numbers of the images that a limit keeps."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= n:
        raise ValueError(f"limit is {limit!r}; {name} has {n} {split} images: give 1 to {n}")
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:limit]


def _mode(name: str) -> str:
    return "L" if name == "fashion-mnist" else "RGB"


def _find_root(root: str | os.PathLike | None) -> Path:
    given, origin = (root, "root") if root else (os.environ.get("CONTRASTLIB_DATA"), "$CONTRASTLIB_DATA")
    if not given:
        return cache_folder()
    path = Path(given).expanduser()
    if not path.is_dir():
        raise FileNotFoundError(f"{origin} is {path}, and there is no such folder: make it, or correct the path")
    if path.name in NAMES and (path / "train").is_dir():
        raise FileNotFoundError(f"{origin} is {path}, the folder of one set; give the folder above it: {path.parent}")
    return path


def _image_folder(name: str, split: str, root: Path) -> Path | None:
    """The folder of a split, whose classes must be the training images', or None where there is none."""
    folders = [root / name / part for part in (("train",) if split == "train" else ("test", "val"))]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    train = root / name / "train"
    if folder is None or split == "train" or name == "imagenet100" or not train.is_dir():
        return folder
    if differ := sorted(set(class_folders(folder)) ^ set(class_folders(train))):
        raise ValueError(
            f"{folder} and {train} must have the same class folders, or their labels do not match; "
            f"{len(differ)} in one alone: {', '.join(differ[:5])}"
        )
    return folder


def _digits(split: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    from sklearn.datasets import load_digits  # a second to import

    pixels, labels = load_digits(return_X_y=True)
    part = slice(0, 1437) if split == "train" else slice(1437, None)
    images = torch.from_numpy(pixels[part]).mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    return images, torch.from_numpy(labels[part]).long(), tuple("0123456789")


def _read(name: str, split: str, root: Path) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Read from the first of the three places that has the set."""
    if folder := _image_folder(name, split, root):
        listing = list_images(folder)
        images = decode_once(f"{name}-{split}", folder, listing, _mode(name))
        return torch.from_numpy(images), torch.from_numpy(listing.labels), listing.classes

    from torchvision import datasets  # a second to import

    if name == "fashion-mnist":
        return *_read_fashion(split, root), tuple(datasets.FashionMNIST.classes)
    if name == "svhn":
        data = _torchvision(datasets.SVHN, name, split, root, root / f"{split}_32x32.mat")
        return torch.from_numpy(data.data).contiguous(), torch.from_numpy(data.labels), tuple("0123456789")
    kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    data = _torchvision(kind, name, split, root, root / kind.base_folder)
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(data.targets), tuple(data.classes)


def _torchvision(kind: type, name: str, split: str, root: Path, files: Path) -> Dataset:
    """A set as torchvision reads it from `files`, or downloads it where they are not there; one line if it cannot."""
    download = not files.exists()
    if download and (root / name).is_dir():
        held = ", ".join(sorted(os.listdir(root / name))[:5]) or "nothing"
        wanted = root / name / split
        raise FileNotFoundError(
            f"{root / name} has no folder {split}: put images at {wanted}/CLASS/*, or torchvision's files at {files} "
            f"(it holds: {held})"
        )
    which = {"split": split} if name == "svhn" else {"train": split == "train"}
    before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)
        return kind(str(root), download=download, **which)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        if not download:
            raise ValueError(f"{files} is damaged or not whole; delete it to download it again ({reason})") from None
        raise FileNotFoundError(
            f"{name} is not in {root} and could not be downloaded: no network, no answer, or no right to write "
            f"({reason}); put torchvision's files at {files} or images at {root / name}/{{train,test}}/CLASS/*"
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _read_fashion(split: str, root: Path) -> tuple[Tensor, Tensor]:
    """Fashion-MNIST from its IDX files; torchvision only downloads them.

    It would read them unpacked and in its own folder alone, where we may not be allowed to write.
    """
    raw, start = root / "FashionMNIST" / "raw", "train" if split == "train" else "t10k"
    files = next(filter(None, (_idx_files(place, start) for place in (raw, root / "fashion-mnist", DEBIAN))), None)
    if files is None:
        from torchvision.datasets import FashionMNIST

        _torchvision(FashionMNIST, "fashion-mnist", split, root, raw / f"{start}-images-idx3-ubyte")
        files = _idx_files(raw, start)
    images, labels = _read_idx(files[0], 3), _read_idx(files[1], 1)
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"{files[0]} has {len(images)} images and {files[1]} {len(labels)} labels: replace both")
    if labels.max() > 9:
        raise ValueError(f"{files[1]} has labels up to {labels.max()}, but there are 10 classes, 0 to 9: replace it")
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long()


def _idx_files(place: Path, start: str) -> tuple[Path, Path] | None:
    """Fashion-MNIST's images and labels in a folder, gzipped or not, where both are there."""
    files = []
    for stem in (f"{start}-images-idx3-ubyte", f"{start}-labels-idx1-ubyte"):
        files += [path for path in (place / stem, place / f"{stem}.gz") if path.is_file()][:1]
    return tuple(files) if len(files) == 2 else None


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Bytes in the IDX format: 0, 0, 8, the number of dimensions; each as a big-endian int32; then the values."""
    start = 4 + 4 * dimensions
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < start:
            raise ValueError(f"it does not begin as an IDX file of bytes in {dimensions} dimension(s) does")
        shape = np.frombuffer(data, ">u4", count=dimensions, offset=4).tolist()
        if len(data) - start != math.prod(shape):
            raise ValueError(f"{math.prod(shape)} bytes announced, {len(data) - start} there")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: replace or delete it ({error})") from None
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
