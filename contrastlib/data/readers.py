"""One function for each data set that is no image folder; `table.DATASETS` names them.

Each takes the split, "train" or "test", and the folder where data lie (ROOT; None for a user
without a home), and returns images uint8 [N, C, H, W] in 0..255, labels long [N] and the names of
the classes.
scikit-learn and torchvision are imported by the functions that need them: a second each.
"""

import gzip
import math
import os
import socket
import zlib
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
PART = Path(__file__).parent / "fashion-mnist-part.npz"
TIMEOUT = 30  # seconds without an answer until a download counts as failed

DIGITS = tuple("0123456789")
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
Labelled = tuple[Tensor, Tensor, tuple[str, ...]]  # images, labels, classes


def read_digits(split: str, root: Path | None) -> Labelled:
    """The 1,797 digits of scikit-learn, [N, 1, 8, 8]: the first 1,437 train, the others test."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)  # [1797, 64] in 0..16, [1797]
    part = slice(0, 1437) if split == "train" else slice(1437, None)
    images = torch.from_numpy(pixels[part]).mul(255 / 16).round().to(torch.uint8)
    return images.view(-1, 1, 8, 8), torch.from_numpy(labels[part]).long(), DIGITS


def read_fashion_part(split: str, root: Path | None) -> Labelled:
    """The part of Fashion-MNIST that comes with the package, [N, 1, 28, 28]."""
    with np.load(PART, allow_pickle=False) as arrays:
        images = torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1)
        labels = torch.from_numpy(arrays[f"{split}_labels"]).long()
    return images, labels, FASHION_CLASSES


def read_fashion(split: str, root: Path | None) -> Labelled:
    """Fashion-MNIST from its IDX files, [N, 1, 28, 28]; torchvision only downloads them.

    torchvision would read them unpacked and in its own folder alone, where we may not be allowed to
    write.
    """
    start = "train" if split == "train" else "t10k"
    places = [DEBIAN]
    if root is not None:
        places = [root / "FashionMNIST" / "raw", root / "fashion-mnist", DEBIAN]
    for place in places:
        files = find_idx_files(place, start)
        if files is not None:
            break
    if files is None:
        files = download_fashion(split, root, start)
    images, labels = read_idx_pair(*files)
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long(), FASHION_CLASSES


def download_fashion(split: str, root: Path | None, start: str) -> tuple[Path, Path]:
    """Have torchvision download Fashion-MNIST into ROOT; return the split's two files."""
    from torchvision.datasets import FashionMNIST

    hint = (
        "; Debian's package dataset-fashion-mnist has the whole set too, and "
        'load("fashion-mnist-part") needs no download'
    )
    root = require_root("fashion-mnist", root, hint)
    raw = root / "FashionMNIST" / "raw"
    which = {"train": split == "train"}
    read_by_torchvision(
        FashionMNIST, "fashion-mnist", split, root, raw / f"{start}-images-idx3-ubyte", which, hint
    )
    return find_idx_files(raw, start)


def read_svhn(split: str, root: Path | None) -> Labelled:
    """SVHN, [N, 3, 32, 32]: ROOT/{train,test}_32x32.mat."""
    from torchvision.datasets import SVHN

    root = require_root("svhn", root)
    file = root / f"{split}_32x32.mat"
    data = read_by_torchvision(SVHN, "svhn", split, root, file, {"split": split})
    return torch.from_numpy(data.data).contiguous(), torch.from_numpy(data.labels), DIGITS


def read_cifar10(split: str, root: Path | None) -> Labelled:
    """CIFAR-10, [N, 3, 32, 32]: ROOT/cifar-10-batches-py."""
    from torchvision.datasets import CIFAR10

    return read_cifar("cifar10", CIFAR10, split, root)


def read_cifar100(split: str, root: Path | None) -> Labelled:
    """CIFAR-100, [N, 3, 32, 32]: ROOT/cifar-100-python."""
    from torchvision.datasets import CIFAR100

    return read_cifar("cifar100", CIFAR100, split, root)


def read_cifar(name: str, kind: type, split: str, root: Path | None) -> Labelled:
    """One of torchvision's two CIFAR classes, `kind`."""
    root = require_root(name, root)
    which = {"train": split == "train"}
    data = read_by_torchvision(kind, name, split, root, root / kind.base_folder, which)
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()  # from [N, H, W, C]
    return images, torch.tensor(data.targets), tuple(data.classes)


def require_root(name: str, root: Path | None, hint: str = "") -> Path:
    """The folder where data lie; FileNotFoundError for a user without a home who names none."""
    if root is None:
        raise FileNotFoundError(
            f"{name} is not here, and there is no home folder to download it to: "
            f"give root, or set $CONTRASTLIB_DATA, to a folder{hint}"
        )
    return root


def read_by_torchvision(
    kind: type, name: str, split: str, root: Path, files: Path, which: dict, hint: str = ""
) -> Dataset:
    """Read a set by torchvision's class `kind` from `files`, or download it if they are missing.

    which: the argument by which the class is told the split. hint: what to add where that fails.
    Errors, of one line: ValueError for damaged files, FileNotFoundError for a failed download.
    """
    download = not files.exists()
    if download and (root / name).is_dir():
        held = sorted(entry for entry in os.listdir(root / name) if not entry.startswith("."))
        shown = ", ".join(held[:5]) or "nothing"
        wanted = root / name / split
        raise FileNotFoundError(
            f"{root / name} has no folder {split}: put images at {wanted}/CLASS/*, or "
            f"torchvision's files at {files} (it holds: {shown}){hint}"
        )
    timeout_before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(TIMEOUT)
        return kind(str(root), download=download, **which)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        if not download:
            raise ValueError(
                f"{files} is damaged or not whole; delete it to download it again ({reason})"
            ) from None
        raise FileNotFoundError(
            f"{name} is not in {root} and could not be downloaded: no network, no answer, or no "
            f"right to write ({reason}); put torchvision's files at {files} or images at "
            f"{root / name}/{{train,test}}/CLASS/*{hint}"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout_before)


def find_idx_files(place: Path, start: str) -> tuple[Path, Path] | None:
    """Fashion-MNIST's images and labels in a folder, gzipped or not, where both are there.

    start: what their names begin with, "train" or "t10k".
    """
    files = []
    for stem in (f"{start}-images-idx3-ubyte", f"{start}-labels-idx1-ubyte"):
        for path in (place / stem, place / f"{stem}.gz"):
            if path.is_file():
                files.append(path)
                break
    return tuple(files) if len(files) == 2 else None


def read_idx_pair(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST's images, uint8 [N, H, W], and labels, uint8 [N], from two IDX files."""
    images = read_idx(images_path, 3)
    labels = read_idx(labels_path, 1)
    if len(images) != len(labels) or not len(images):
        raise ValueError(
            f"{images_path} has {len(images)} images and {labels_path} {len(labels)} labels: "
            "replace both"
        )
    if labels.max() > 9:
        raise ValueError(
            f"{labels_path} has labels up to {labels.max()}, but there are 10 classes, 0 to 9: "
            "replace it"
        )
    return images, labels


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read bytes in the IDX format.

    A file begins with 0, 0, 8 and the number of dimensions; each dimension follows as a big-endian
    int32, then the values.
    """
    start = 4 + 4 * dimensions
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        if data[:4] != bytes((0, 0, 8, dimensions)) or len(data) < start:
            raise ValueError(
                f"it does not begin as an IDX file of bytes in {dimensions} dimension(s) does"
            )
        shape = np.frombuffer(data, ">u4", count=dimensions, offset=4).tolist()
        if len(data) - start != math.prod(shape):
            raise ValueError(f"{math.prod(shape)} bytes announced, {len(data) - start} there")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: replace or delete it ({error})") from None
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
