"""Make the small part of Fashion-MNIST that comes with the package.

    python -m contrastlib.teaching.fashion_part DIR_OF_IDX_FILES OUT.npz

DIR holds Fashion-MNIST's four IDX files, gzipped or not, as Debian's package dataset-fashion-mnist
installs them in /usr/share/datasets/fashion-mnist. The part is the first 300 training and the first
100 test images of each of the ten classes, in the order of the files. Without OUT the file that
comes with the package is written. `contrastlib.data.load("fashion-mnist-part")` reads it.
"""

import sys
from pathlib import Path

import numpy as np

from contrastlib.data.readers import PART, find_idx_files, read_idx_pair

__all__ = ["first_of_each_class", "make"]

PER_CLASS = {"train": 300, "test": 100}
FILE_STARTS = {"train": "train", "test": "t10k"}  # what the names of a split's files begin with


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """The indices of the first `count` images of each class, rising; labels [N]."""
    chosen = []
    for label in np.unique(labels):
        (of_class,) = np.nonzero(labels == label)
        if len(of_class) < count:
            raise ValueError(f"class {label} has {len(of_class)} images; it needs {count}")
        chosen.append(of_class[:count])
    return np.sort(np.concatenate(chosen))


def make(folder: Path, out: Path) -> None:
    """Write the part of the IDX files in `folder` to `out`, an .npz file of about 1.8 MB.

    Its arrays are train_images uint8 [3000, 28, 28], train_labels uint8 [3000], and test_images and
    test_labels of 1,000.
    Errors: FileNotFoundError where a file is missing, ValueError where one is damaged.
    """
    arrays = {}
    for split, start in FILE_STARTS.items():
        files = find_idx_files(folder, start)
        if files is None:
            raise FileNotFoundError(
                f"{folder} lacks {start}-images-idx3-ubyte or {start}-labels-idx1-ubyte, as they "
                "are or with .gz: give the folder of Fashion-MNIST's files"
            )
        images, labels = read_idx_pair(*files)
        chosen = first_of_each_class(labels, PER_CLASS[split])
        arrays[f"{split}_images"] = images[chosen]
        arrays[f"{split}_labels"] = labels[chosen]
    with open(out, "wb") as file:
        np.savez_compressed(file, **arrays)


def main(arguments: list[str]) -> int:
    """The command line: DIR and, perhaps, OUT."""
    if len(arguments) not in (1, 2):
        print("usage: python -m contrastlib.teaching.fashion_part DIR [OUT]", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    out = Path(arguments[1]) if len(arguments) == 2 else PART
    try:
        make(folder, out)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{out}: {out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
