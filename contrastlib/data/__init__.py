"""Images as one uint8 tensor with their labels, on the device where they will be used.

`DATASETS` says what there is, once. "digits" and "fashion-mnist-part" come with the packages that
are installed and need no file. Any other set is looked for in three places, in this order. ROOT is
`root`, else $CONTRASTLIB_DATA, else the cache folder ($XDG_CACHE_HOME/contrastlib, or
~/.cache/contrastlib).

1. an image folder, ROOT/NAME/{train,test}/CLASS/* (val serves as test): classes are its folders,
   sorted. Decoded once; the arrays are kept in the cache folder until a file changes. Hidden files
   and folders are skipped;
2. the files that torchvision's own class reads: ROOT/cifar-10-batches-py, ROOT/cifar-100-python,
   ROOT/{train,test}_32x32.mat (SVHN), ROOT/FashionMNIST/raw. Fashion-MNIST's four files may be
   gzipped, and may lie in ROOT/fashion-mnist or where Debian's package dataset-fashion-mnist puts
   them;
3. torchvision's download, into ROOT.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from contrastlib.checks import as_python, check_count
from contrastlib.data.image_folder import (
    ImageFiles,
    cache_folder,
    decode_once,
    find_image_folder,
    list_images,
)
from contrastlib.data.readers import Labelled
from contrastlib.data.table import DATASETS, DatasetInfo, dataset_info

__all__ = ["DATASETS", "DatasetInfo", "ImageSet", "dataset_info", "image_files", "load", "stream"]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: uint8 [N, C, H, W] in 0..255, labels long [N], and the classes' names."""

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

    name: a key of `DATASETS`. "digits", the 1,797 handwritten digits of 8 x 8 pixels that ship
    inside scikit-learn, and "fashion-mnist-part", 3,000 and 1,000 images of Fashion-MNIST that ship
    with this package, need no download and no files; "fashion-mnist" (28 x 28, grey), "cifar10",
    "cifar100" and "svhn" (32 x 32, colour) are looked for as described above. "imagenet100" has
    images of many sizes, which are no one tensor: see `stream`.
    split: "train" or "test". Of the digits, train is the first 1,437; other people wrote the last
    360.
    root: an existing folder, the ROOT above.
    limit: keep that many images, a fixed random choice in which a smaller limit is part of a larger
    one; None: all.
    Errors: ValueError for an unknown name or split, a limit that is not in [1, number of images], a
    damaged file, a class with no images, images of several sizes, labels that do not match;
    FileNotFoundError for a folder that is not there and for a download that failed.
    """
    info = dataset_info(name)
    check_split(name, split)
    if info.streamed:
        raise ValueError(
            f"{name} has images of many sizes, which do not make one tensor: "
            f'use stream("{name}", "{split}", transform=...)'
        )
    if info.bundled:
        images, labels, classes = info.read(split, None)
    else:
        images, labels, classes = read_from_first_place(name, split, find_root(root))
    if limit is not None:
        chosen = choose(limit, len(images), name, split)
        images = images[chosen]
        labels = labels[chosen]
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
    """Batches (indices [B], images [B, C, H, W], labels [B]) of an image folder, decoded each pass.

    For sets too large for one tensor: ImageNet100 as ROOT/imagenet100/{train,val}/WORDNET_ID/*. Of
    the folders found there only the 100 listed classes are read, so a whole ImageNet serves as
    well. Its images cannot be downloaded. The other sets stream too where they are image folders.
    Training images come shuffled, test images in order; indices say which they are, and
    `.dataset.classes` names the labels.

    transform: from one uint8 image [C, H, W] of any size to a tensor of one size, such as a
    torchvision.transforms.v2; None: shorter side to 256 pixels, then the middle 224 x 224, uint8.
    batch_size: at least 1. workers: processes that decode; 0: this one does.
    Errors: as in `load`. A damaged file is named when its turn comes.
    """
    batch_size = as_python(batch_size)
    workers = as_python(workers)
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
) -> ImageFiles:
    """What `stream` reads, for another order.

    limit as in `load`, the other arguments and the errors as in `stream`.
    """
    info = dataset_info(name)
    check_split(name, split)
    if info.bundled:
        raise ValueError(f'{name} is no image folder: use load("{name}")')
    place = find_root(root)
    classes = imagenet100_classes() if name == "imagenet100" else None
    folder = find_image_folder(place, name, split, classes)
    if folder is None:
        raise missing_folder(name, split, place)
    files = ImageFiles(folder, pillow_mode(info), classes, transform)
    if limit is not None:
        chosen = choose(limit, len(files), name, split)
        files.paths = [files.paths[i] for i in chosen.tolist()]
        files.labels = files.labels[chosen]
    return files


def imagenet100_classes() -> tuple[str, ...]:
    """The 100 WordNet ids, sorted, of Contrastive Multiview Coding (Tian et al. 2019)."""
    text = (Path(__file__).parent / "imagenet100.txt").read_text(encoding="utf-8")
    return tuple(sorted(line for line in text.split("\n") if line and not line.startswith("#")))


def check_split(name: str, split: str) -> None:
    """Refuse any split but "train" and "test"."""
    if split not in SPLITS:
        raise ValueError(f"{name} has no split {split!r}; the splits are: {', '.join(SPLITS)}")


def choose(limit: int, n: int, name: str, split: str) -> Tensor:
    """The indices, long [limit], of the images that a limit keeps."""
    limit = as_python(limit)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= n:
        raise ValueError(f"limit is {limit!r}; {name} has {n} {split} images: give 1 to {n}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0), device="cpu")
    return order[:limit]


def pillow_mode(info: DatasetInfo) -> str:
    """Pillow's name for images of so many channels."""
    return "L" if info.channels == 1 else "RGB"


def find_root(root: str | os.PathLike | None) -> Path | None:
    """The folder where data lie; None for a user without a home who names none."""
    given = root
    origin = "root"
    if not given:
        given = os.environ.get("CONTRASTLIB_DATA")
        origin = "$CONTRASTLIB_DATA"
    if not given:
        return cache_folder()
    path = Path(given)
    with contextlib.suppress(RuntimeError):  # of a user without a home that ~ could stand for
        path = path.expanduser()
    if not path.is_dir():
        raise FileNotFoundError(
            f"{origin} is {path}, and there is no such folder: make it, or correct the path"
        )
    if path.name in DATASETS and (path / "train").is_dir():
        raise FileNotFoundError(
            f"{origin} is {path}, the folder of one set; give the folder above it: {path.parent}"
        )
    return path


def missing_folder(name: str, split: str, root: Path | None) -> FileNotFoundError:
    """The error that says where the images of a split belong."""
    if root is None:
        return FileNotFoundError(
            f"there is no home folder in which {name} could lie: give root, or set "
            "$CONTRASTLIB_DATA, to the folder above it"
        )
    wanted = root / name / ("train" if split == "train" else "val")
    return FileNotFoundError(
        f"there is no folder {wanted}: put the {split} images of {name} at {wanted}/CLASS/*"
    )


def read_from_first_place(name: str, split: str, root: Path | None) -> Labelled:
    """Read from the first of the three places that has the set."""
    info = DATASETS[name]
    folder = find_image_folder(root, name, split)
    if folder is not None:
        listing = list_images(folder)
        images = decode_once(f"{name}-{split}", folder, listing, pillow_mode(info))
        return torch.from_numpy(images), torch.from_numpy(listing.labels), listing.classes
    if info.read is None:
        raise missing_folder(name, split, root)
    return info.read(split, root)
