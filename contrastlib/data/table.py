"""The table of data sets: what there is, said once. `load` reads a set by its entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contrastlib.data import readers


@dataclass(frozen=True)
class DatasetInfo:
    """All that is said of a data set.

    title: its name in figures. train_images: how many there are. channels: 1 (grey) or 3. side: its
    height and width in pixels; of a streamed set, the size at which the paper trains.
    read: a function of `readers`; None for a set that exists as an image folder only.
    bundled: whether `read` needs no files of the user's and no network.
    streamed: whether the images, of many sizes or too large for one tensor, are decoded anew each
    time, by `stream`.
    paper_alpha: the paper's share of hard negatives, as printed; None for a set it does not have.
    first_classes: short names of the first ten classes for the legends of figures, by label.
    """

    title: str
    train_images: int
    channels: int
    side: int
    read: Callable[[str, Path | None], readers.Labelled] | None = None
    bundled: bool = False
    streamed: bool = False
    paper_alpha: float | None = None
    first_classes: tuple[str, ...] = ()


# The first ten classes of each set, by label, in words short enough for a legend.
CIFAR10_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR100_NAMES = (
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
)  # fmt: skip
FASHION_NAMES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip

# Each begins with its title, training images, channels, side and reader.
DATASETS: dict[str, DatasetInfo] = {
    "digits": DatasetInfo(
        "Digits", 1437, 1, 8, readers.read_digits,
        bundled=True,
        first_classes=readers.DIGITS,
    ),
    "fashion-mnist": DatasetInfo(
        "Fashion-MNIST", 60_000, 1, 28, readers.read_fashion,
        first_classes=FASHION_NAMES,
    ),
    "cifar10": DatasetInfo(
        "CIFAR-10", 50_000, 3, 32, readers.read_cifar10,
        paper_alpha=0.0819,
        first_classes=CIFAR10_NAMES,
    ),
    "cifar100": DatasetInfo(
        "CIFAR-100", 50_000, 3, 32, readers.read_cifar100,
        paper_alpha=0.0819,
        first_classes=CIFAR100_NAMES,
    ),
    "svhn": DatasetInfo(
        "SVHN", 73_257, 3, 32, readers.read_svhn,
        paper_alpha=0.0315,
        first_classes=readers.DIGITS,
    ),
    "imagenet100": DatasetInfo("ImageNet100", 126_689, 3, 224, streamed=True, paper_alpha=0.034),
    "fashion-mnist-part": DatasetInfo(
        "Fashion-MNIST, a part", 3000, 1, 28, readers.read_fashion_part,
        bundled=True,
        first_classes=FASHION_NAMES,
    ),
}  # fmt: skip


def dataset_info(name: str) -> DatasetInfo:
    """What `DATASETS` says of a data set; ValueError, which names all of them, for another name."""
    if not isinstance(name, str) or name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; the names are: {', '.join(DATASETS)}")
    return DATASETS[name]
