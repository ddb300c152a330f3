"""Images as one uint8 tensor with their labels, on the device where they will be used."""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor

NAMES = ("digits",)
SPLITS = ("train", "test")


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: images uint8 [N, C, H, W] in 0..255, labels long [N], and the classes' names."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def load(name: str, split: str = "train", *, limit: int | None = None, device: str | torch.device = "cpu") -> ImageSet:
    """Load a data set by name.

    name: "digits", the 1,797 handwritten digits of 8 x 8 pixels that ship inside scikit-learn (no download).
    split: "train" (the first 1,437 digits) or "test" (the last 360; other hands wrote them).
    limit: keep that many images, a fixed random choice in which a smaller limit is part of a larger one; None: all.
    Errors: ValueError for an unknown name or split and for a limit that is not in [1, number of images].
    """
    if name not in NAMES:
        raise ValueError(f"there is no data set {name!r}; the names are: {', '.join(NAMES)}")
    if split not in SPLITS:
        raise ValueError(f"{name} has no split {split!r}; the splits are: {', '.join(SPLITS)}")
    pixels, labels = load_digits(return_X_y=True)
    part = slice(0, 1437) if split == "train" else slice(1437, None)
    images = torch.from_numpy(pixels[part]).mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    labels = torch.from_numpy(labels[part]).long()
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= len(images):
            raise ValueError(f"limit is {limit!r}; {name} has {len(images)} {split} images: give 1 to {len(images)}")
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:limit]
        images, labels = images[chosen], labels[chosen]
    return ImageSet(images.to(device), labels.to(device), tuple("0123456789"))
