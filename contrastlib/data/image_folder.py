"""Image folders, SPLIT/CLASS/*: listed, and decoded anew each time or once, into one array.

The array is kept in the cache folder until a file changes.
"""

import hashlib
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir")  # what macOS and Synology leave beside one's own folders
CHUNK = 500  # images a thread decodes before it takes more
RULES = "2"  # of decoding; a change of them makes what an earlier version cached out of date


@dataclass(frozen=True)
class Listing:
    """The images of one split: N paths, their labels (rows of classes), and a hash of all files.

    The hash, `fingerprint`, covers the names of the files, their sizes and their times.
    """

    paths: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    fingerprint: str


def cache_folder() -> Path | None:
    """$XDG_CACHE_HOME/contrastlib, or ~/.cache/contrastlib, or None for a user without a home."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen) / "contrastlib"
    try:
        return Path.home() / ".cache" / "contrastlib"
    except RuntimeError:  # $HOME is not set, and the user is not in /etc/passwd
        return None


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name belongs to the system: ".DS_Store", "._0.png"."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def class_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders inside `folder`, sorted; hidden ones are left out."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and not is_hidden(entry.name):
                names.append(entry.name)
    return tuple(sorted(names))


def image_entries(folder: Path) -> list[os.DirEntry]:
    """Return the image files in `folder`, sorted by name; hidden ones are left out."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_image = entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()
            if is_image and not is_hidden(entry.name):
                found.append(entry)
    return sorted(found, key=lambda entry: entry.name)


def find_image_folder(
    root: Path | None, name: str, split: str, classes: tuple[str, ...] | None = None
) -> Path | None:
    """ROOT/NAME/{train,test,val}, the folder of a split, or None where there is none.

    classes: as for `list_images`. Without them the test images' classes must be the training ones'.
    """
    if root is None:
        return None
    train = root / name / "train"
    if split == "train":
        return train if train.is_dir() else None
    folders = [root / name / part for part in ("test", "val")]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None or classes is not None or not train.is_dir():
        return folder
    differ = sorted(set(class_folders(folder)) ^ set(class_folders(train)))
    if differ:
        raise ValueError(
            f"{folder} and {train} must have the same class folders, or their labels do not match; "
            f"{len(differ)} in one alone: {', '.join(differ[:5])}"
        )
    return folder


def list_images(folder: Path, classes: tuple[str, ...] | None = None) -> Listing:
    """List the images of FOLDER/CLASS/*, class by class, sorted by name; labels count from 0.

    classes: take these alone, in this order; None: every folder, sorted.
    Errors: FileNotFoundError names the classes that are missing; ValueError for no class folder or
    an empty one.
    """
    found = class_folders(folder)
    if not found:
        raise ValueError(
            f"{folder} has no class folders; images lie in {folder}/CLASS/*: check the path"
        )
    if classes is None:
        classes = found
    missing = sorted(set(classes) - set(found))
    if missing:
        names = ", ".join(missing[:5])
        if len(missing) > 5:
            names += ", ..."
        raise FileNotFoundError(
            f"{folder} lacks {len(missing)} of the {len(classes)} classes: {names}"
        )
    paths: list[str] = []
    labels: list[int] = []
    seen = hashlib.sha256()
    for label, name in enumerate(classes):
        images = image_entries(folder / name)
        if not images:
            raise ValueError(
                f"class {name!r} has no images: {folder / name} has no {', '.join(SUFFIXES)} file"
            )
        for image in images:
            state = image.stat()
            line = f"{name}/{image.name}\0{state.st_size}\0{state.st_mtime_ns}\n"
            seen.update(line.encode(errors="surrogateescape"))
            paths.append(image.path)
            labels.append(label)
    return Listing(paths, np.array(labels), classes, seen.hexdigest())


class ImageFiles(Dataset):
    """The images of FOLDER/CLASS/* as (index, transformed image, label).

    mode: "RGB" or "L", as for `image_decoding.decode`. `stream` explains the other arguments.
    """

    def __init__(
        self, folder: Path, mode: str, classes: tuple[str, ...] | None, transform: Callable | None
    ):
        if transform is None:
            from torchvision.transforms import v2  # a second to import

            transform = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
        listing = list_images(folder, classes)
        self.paths = listing.paths
        self.labels = torch.from_numpy(listing.labels)
        self.classes = listing.classes
        self.mode = mode
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def pixels(self, index: int) -> Tensor:
        """One image as it is, uint8 [C, H, W]."""
        from contrastlib.data.image_decoding import decode  # loads Pillow

        return torch.from_numpy(np.ascontiguousarray(decode(self.paths[index], self.mode)))

    def __getitem__(self, index: int) -> tuple[int, Tensor, int]:
        return index, self.transform(self.pixels(index)), int(self.labels[index])


def decode_all(paths: list[str], mode: str = "RGB") -> np.ndarray:
    """Decode files of one size to uint8 [N, C, H, W], with a thread for each core."""
    from contrastlib.data.image_decoding import decode  # loads Pillow

    first = decode(paths[0], mode)  # [C, H, W]
    images = np.empty((len(paths), *first.shape), np.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(paths))):
            image = decode(paths[i], mode)
            if image.shape != first.shape:
                _, height, width = image.shape
                _, first_height, first_width = first.shape
                raise ValueError(
                    f"{paths[i]} is {width} x {height} pixels and {paths[0]} {first_width} x "
                    f"{first_height}; all images of a set must have one size: resize them"
                )
            images[i] = image

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        starts = range(0, len(paths), CHUNK)
        list(pool.map(fill, starts))  # reading the results raises the first error
    return images


def decode_once(key: str, folder: Path, listing: Listing, mode: str = "RGB") -> np.ndarray:
    """Decode a listing to uint8 [N, C, H, W], or read what an earlier call left in the cache.

    There is one cache file for each key and folder. It holds the listing's fingerprint: after a
    change to any file the images are decoded again and it is overwritten. So it is where the cache
    file itself is damaged, with a warning. A cache that cannot be written costs a warning only.
    """
    fingerprint = f"{RULES}-{mode}-{listing.fingerprint}"
    cache = cache_folder()
    if cache is None:
        images = decode_all(listing.paths, mode)
        warnings.warn(
            f"there is no home folder, so the decoded images of {folder} are not kept: "
            "set $XDG_CACHE_HOME to a folder to decode them once",
            stacklevel=4,
        )
        return images
    folder_hash = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()
    path = cache / "decoded" / f"{key}-{folder_hash[:16]}.npz"
    try:
        images = read_cache(path, fingerprint, len(listing.paths))
    except ValueError as error:
        warnings.warn(
            f"the cache {path} is damaged ({error}); decoding {folder} again over it", stacklevel=4
        )
        images = None
    if images is not None:
        return images
    images = decode_all(listing.paths, mode)
    try:
        write_cache(path, images, fingerprint)
    except OSError as error:
        warnings.warn(
            f"the decoded images could not be kept in {path} ({error}); going on without",
            stacklevel=4,
        )
    return images


def read_cache(path: Path, fingerprint: str, count: int) -> np.ndarray | None:
    """Read `count` images, uint8 [N, C, H, W], or None where there are none of this fingerprint.

    Errors: ValueError, in one line, for a damaged file.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115  closed below
    except OSError:  # none there, or none that this user may read
        return None
    # NumPy raises any of these for a damaged file.
    damaged = (
        OSError,
        EOFError,
        SyntaxError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        RuntimeError,
        zipfile.BadZipFile,
    )
    try:
        with file, np.load(file, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) != fingerprint:
                return None
            images = kept["images"]
    except damaged as error:
        raise ValueError(" ".join(str(error).split())) from None
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != count:
        raise ValueError(f"its array is {images.dtype} {list(images.shape)}")
    return images


def write_cache(path: Path, images: np.ndarray, fingerprint: str) -> None:
    """Write to a file beside `path`, then rename it: no reader ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            np.savez(file, images=images, fingerprint=np.array(fingerprint))
            file.close()
            os.replace(file.name, path)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise
