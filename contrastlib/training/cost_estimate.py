"""What a run will cost, before it is trained: from the speed of runs that are done, or from arithmetic."""

import statistics
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from contrastlib.data import DATASETS, dataset_info
from contrastlib.training import build
from contrastlib.training.recipes import READ_BY, Recipe, from_dict

__all__ = ["CORE", "T4", "estimate", "flops", "span", "speeds"]

# TFLOP/s assumed where nothing was measured: half of what a T4 could do in float32, and one core with a small net.
T4, CORE = 4.0, 0.05


def images(recipe: Recipe) -> int:
    """Training images in an epoch; ValueError for an unknown data set."""
    available = dataset_info(recipe.dataset).train_images
    return min(recipe.limit or available, available)


def flops(recipe: Recipe, epochs: int = 0) -> float:
    """Operations, additions and multiplications each, to train the network after so many epochs.

    A step is three forward passes for each view, one forward and two for the gradients; a queue's second view is only
    one. The loss, the augmentation and the probe are left out. An untrained network takes none.
    """
    info = dataset_info(recipe.dataset)
    passes = 4 if recipe.g == "queue" else 3 * recipe.views
    if recipe.loss == "batch_norm":
        passes = 1
    trained = 0 if recipe.loss == "none" else images(recipe) * max(0, recipe.epochs - epochs)
    return trained * passes * forward(shape(recipe), info.channels, recipe.augmentation.size or info.side)


def shape(recipe: Recipe) -> tuple:
    """The settings that make the network."""
    names = ("backbone", "width", "stem_stride", "max_pool", "d")
    read = (name not in READ_BY or recipe.backbone in READ_BY[name][1] for name in names)
    return tuple(getattr(recipe, name) if yes else None for name, yes in zip(names, read, strict=True))


@lru_cache
def forward(shape: tuple, channels: int, side: int) -> int:
    """Operations of one image's forward pass. Nothing is computed: tensors on the meta device have only shapes."""
    names = ("backbone", "width", "stem_stride", "max_pool", "d")
    settings = {name: value for name, value in zip(names, shape, strict=True) if value is not None}
    encoder = build.build_encoder(Recipe(**settings), channels).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.head(encoder.features(torch.empty(1, channels, side, side, device="meta")))
    return counter.get_total_flops()


def kind(recipe: Recipe) -> tuple:
    """What two runs must share for one's images a second to tell the other's."""
    info = dataset_info(recipe.dataset)
    side = recipe.augmentation.size or info.side
    return *shape(recipe), info.channels, side, recipe.g, recipe.views, recipe.batch


def speeds(records: Iterable[dict], device: str) -> dict[tuple, float]:
    """Images a second for each `kind` of run among the outcomes from "cpu", "cuda" or "mps": medians of the epochs."""
    found: dict[tuple, list[float]] = {}
    for record in records:
        if record["hardware"].get("kind") == device and record["recipe"]["dataset"] in DATASETS:
            column = record["history"].get("images_per_second", [])
            found.setdefault(kind(from_dict(record["recipe"])), []).extend(value for value in column if value)
    return {key: statistics.median(values) for key, values in found.items() if values}


def estimate(recipe: Recipe, epochs: int, measured: dict[tuple, float], tflops: float | None = None) -> float:
    """Seconds of training left after so many epochs: by measured speed where there is one, else operations / tflops."""
    work = flops(recipe, epochs)
    if work and kind(recipe) in measured:
        return images(recipe) * max(0, recipe.epochs - epochs) / measured[kind(recipe)]
    assumed = CORE if recipe.backbone in ("resnet_small", "convnet_digits") else T4
    return work / ((tflops or assumed) * 1e12)


def span(seconds: float) -> str:
    """A time to two digits or so: 41 s, 12 min, 3.4 h, 2.1 days."""
    for limit, unit, name in ((100, 1, "s"), (6000, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} days"
