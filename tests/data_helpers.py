"""Image folders and Fashion-MNIST's files in their true layout, for the tests of data sets."""

import gzip

import numpy as np
import pytest
from PIL import Image


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def make_folder(
    folder, classes=("bird", "cat", "dog"), each=4, size=(6, 5, 3), suffix="png", **options
):
    """Write FOLDER/CLASS/*; return the pixels [N, H, W(, 3)] in the order of sorted names."""
    pixels = noise(len(classes) * each, *size)
    for i, image in enumerate(pixels):
        path = folder / sorted(classes)[i // each] / f"{i % each:03d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **options)
    return pixels


def error_of(call, kind=ValueError):
    """The message of the error, which must be one line."""
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def make_fashion(folder, n=7, zipped=False):
    images = noise(n, 28, 28)
    labels = np.arange(n, dtype=np.uint8) % 10
    folder.mkdir(parents=True, exist_ok=True)
    for start in ("train", "t10k"):
        for stem, array in (
            (f"{start}-images-idx3-ubyte", images),
            (f"{start}-labels-idx1-ubyte", labels),
        ):
            path = folder / (f"{stem}.gz" if zipped else stem)
            path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    return images, labels
