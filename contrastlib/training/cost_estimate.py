"""What a run will cost: from the measured speed of finished runs, or from arithmetic."""

import statistics
from collections.abc import Iterable
from functools import lru_cache

import torch

from contrastlib.data import DATASETS, dataset_info
from contrastlib.training import components
from contrastlib.training.recipe import Recipe, from_dict
from contrastlib.training.run_ids import IGNORED_BY

__all__ = ["CORE", "T4", "estimate", "flops", "format_seconds", "speeds"]

# TFLOP/s assumed where nothing was measured: half of what a T4 can do in float32, and one processor
# core with a small network.
T4 = 4.0
CORE = 0.05
SMALL_NETS = ("resnet_small", "convnet_digits")
NET_SETTINGS = ("backbone", "width", "stem_stride", "max_pool", "d")


def train_images(recipe: Recipe) -> int:
    """Training images in an epoch. Errors: ValueError for an unknown data set."""
    available = dataset_info(recipe.dataset).train_images
    if recipe.limit is None:
        return available
    return min(recipe.limit, available)


def image_size(recipe: Recipe) -> tuple[int, int]:
    """Channels of the images, and pixels a side of the views."""
    info = dataset_info(recipe.dataset)
    return info.channels, recipe.augmentation.size or info.side


def epochs_left(recipe: Recipe, epochs: int) -> int:
    """Epochs to train after so many."""
    return max(0, recipe.epochs - epochs)


def passes_per_image(recipe: Recipe) -> int:
    """Forward passes that a step of training costs for an image.

    The gradients cost two. A queue embeds the second view without gradients.
    """
    if recipe.loss == "none":
        return 0
    if recipe.loss == "batch_norm":
        return 1
    if recipe.loss == "supervised":
        return 3
    if recipe.g == "queue":
        return 4
    return 3 * recipe.views


def flops(recipe: Recipe, epochs: int = 0) -> int:
    """Operations, additions and multiplications each, to train the network after so many epochs.

    The loss, the augmentation and the probe are left out.
    """
    images = train_images(recipe) * epochs_left(recipe, epochs)
    channels, side = image_size(recipe)
    passes = images * passes_per_image(recipe)
    if passes == 0:
        return 0
    return passes * forward_flops(architecture(recipe), channels, side)


def architecture(recipe: Recipe) -> tuple[tuple[str, object], ...]:
    """The settings that make the network, as pairs of name and value, without those it ignores."""
    ignored = IGNORED_BY["backbone"][recipe.backbone]
    return tuple((name, getattr(recipe, name)) for name in NET_SETTINGS if name not in ignored)


@lru_cache
def forward_flops(architecture: tuple[tuple[str, object], ...], channels: int, side: int) -> int:
    """Operations of one image's forward pass.

    Nothing is computed: tensors on the meta device have only shapes.
    """
    from torch.utils.flop_counter import FlopCounterMode  # takes a moment to import

    recipe = Recipe(**dict(architecture))
    encoder = components.build_encoder(recipe, channels).to("meta").eval()
    image = torch.empty(1, channels, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.head(encoder.features(image))
    return counter.get_total_flops()


def speed_key(recipe: Recipe) -> tuple:
    """What two runs must share for the images per second of one to predict those of the other."""
    return *architecture(recipe), *image_size(recipe), recipe.g, recipe.views, recipe.batch


def speeds(records: Iterable[dict], device: str) -> dict[tuple, float]:
    """Images per second, the median over epochs, for each `speed_key` among the records.

    device: only runs on this kind, "cpu", "cuda" or "mps", count.
    """
    found: dict[tuple, list[float]] = {}
    for record in records:
        same_device = record["hardware"].get("kind") == device
        if not same_device or record["recipe"]["dataset"] not in DATASETS:
            continue
        column = record["history"].get("images_per_second", [])
        key = speed_key(from_dict(record["recipe"]))
        values = found.setdefault(key, [])
        values.extend(value for value in column if value)
    return {key: statistics.median(values) for key, values in found.items() if values}


def estimate(
    recipe: Recipe, epochs: int, measured: dict[tuple, float], tflops: float | None = None
) -> float:
    """Seconds of training left after so many epochs.

    By measured speed (see `speeds`) where there is one, else operations / tflops; without tflops
    `T4` or `CORE` is assumed.
    """
    operations = flops(recipe, epochs)
    key = speed_key(recipe)
    if operations and key in measured:
        return train_images(recipe) * epochs_left(recipe, epochs) / measured[key]
    if tflops is None:
        tflops = CORE if recipe.backbone in SMALL_NETS else T4
    return operations / (tflops * 1e12)


def format_seconds(seconds: float) -> str:
    """A time to two digits or so: 41 s, 12 min, 3.4 h, 2.1 days."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    if seconds < 72 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
