"""Image folders, SPLIT/CLASS/*: listed, decoded once into one array, and kept in a cache until a file changes."""

import hashlib
import os
import tempfile
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")
DAMAGED = (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError)  # Pillow raises any of them
CHUNK = 500  # images a thread decodes before it takes more


@dataclass(frozen=True)
class Listing:
    """The images of one split: N paths, their labels (rows of classes), and a hash of names, sizes and times."""

    paths: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    fingerprint: str


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/contrastlib, or ~/.cache/contrastlib."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrastlib"


def class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the folders inside `folder`, sorted; hidden ones are left out."""
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")))


def list_images(folder: Path, classes: tuple[str, ...] | None = None) -> Listing:
    """List the images of FOLDER/CLASS/*, class by class, sorted by name; labels count the classes from 0.

    classes: take these alone, in this order; None: every folder, sorted.
    Errors: FileNotFoundError names the classes that are missing; ValueError for no class folder or an empty one.
    """
    found = class_folders(folder)
    if not found:
        raise ValueError(f"{folder} has no class folders; images lie in {folder}/CLASS/*: check the path")
    classes = found if classes is None else classes
    if missing := sorted(set(classes) - set(found)):
        names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise FileNotFoundError(f"{folder} lacks {len(missing)} of the {len(classes)} classes: {names}")
    paths, labels, seen = [], [], hashlib.sha256()
    for label, name in enumerate(classes):
        with os.scandir(folder / name) as entries:
            images = sorted((e for e in entries if e.name.lower().endswith(SUFFIXES)), key=lambda e: e.name)
        if not images:
            raise ValueError(f"class {name!r} has no images: {folder / name} has no {', '.join(SUFFIXES)} file")
        for image in images:
            state = image.stat()
            seen.update(f"{name}/{image.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="surrogateescape"))
            paths.append(image.path)
        labels += [label] * len(images)
    return Listing(paths, np.array(labels), classes, seen.hexdigest())


def decode(path: str, mode: str = "RGB") -> np.ndarray:
    """Decode one file to uint8 [C, H, W]; mode is "RGB" or "L". A file that is no whole image is a ValueError."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert(mode))
    except DAMAGED as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is damaged or no image: replace or delete it ({reason})") from None
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)


def decode_all(paths: list[str], mode: str = "RGB") -> np.ndarray:
    """Decode files of one size to uint8 [N, C, H, W], with a thread for each core."""
    first = decode(paths[0], mode)
    images = np.empty((len(paths), *first.shape), np.uint8)

    def fill(start: int) -> None:
        for i in range(start, min(start + CHUNK, len(paths))):
            image = decode(paths[i], mode)
            if image.shape != first.shape:
                (_, height, width), (_, tall, wide) = image.shape, first.shape
                raise ValueError(
                    f"{paths[i]} is {width} x {height} pixels and {paths[0]} {wide} x {tall}; "
                    "all images of a set must have one size: resize them"
                )
            images[i] = image

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, range(0, len(paths), CHUNK)))  # reading the results raises the first error
    return images


def decode_once(key: str, folder: Path, listing: Listing, mode: str = "RGB") -> np.ndarray:
    """Decode a listing to uint8 [N, C, H, W], or read what an earlier call left in the cache folder.

    There is one cache file for each key and folder. It holds the listing's fingerprint: after a change to any file, or
    where the cache file itself is damaged, the images are decoded again and it is overwritten; the latter with a
    warning. So is a cache that cannot be written, and nothing else comes of that.
    """
    name = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
    path = cache_folder() / "decoded" / f"{key}-{name}.npz"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) == listing.fingerprint:
                images = kept["images"]
                if images.dtype == np.uint8 and images.ndim == 4 and len(images) == len(listing.paths):
                    return images
                raise ValueError(f"its array is {images.dtype} {list(images.shape)}")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (*DAMAGED, KeyError, AttributeError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        warnings.warn(f"the cache {path} is damaged ({reason}); decoding {folder} again over it", stacklevel=4)
    images = decode_all(listing.paths, mode)
    try:
        _write(path, images, listing.fingerprint)
    except OSError as error:
        warnings.warn(f"the decoded images could not be kept in {path} ({error}); going on without", stacklevel=4)
    return images


def _write(path: Path, images: np.ndarray, fingerprint: str) -> None:
    """Write to a file beside `path`, then rename: a reader sees the old file or the new one, never half of it."""
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
