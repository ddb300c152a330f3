"""The rows of the speed table: what is timed, each with its candidates."""

import copy
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib import augment, losses, metrics, models
from contrastlib.bench import competitors
from contrastlib.keys import MemoryBank

TAU = 0.2
FULL = {"keys": 50_000, "points": 50_000, "batches": (128, 256)}
SMALL = {"keys": 500, "points": 300, "batches": (8,)}
Row = dict[str, Callable[[], object]]


def unit(n: int, d: int, device: torch.device, seed: int) -> Tensor:
    """Random unit vectors [n, d]."""
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1).to(
        device
    )


def step(loss: Callable[..., Tensor], features: Tensor, *arguments) -> Callable[[], Tensor]:
    """One forward and backward pass to the features."""

    def run():
        leaf = features.detach().clone().requires_grad_()
        loss(leaf, *arguments).backward()
        return leaf.grad

    return run


def floor(features: Tensor, bank: Tensor) -> Callable[[], Tensor]:
    """The two products that the contrastive loss cannot do without: similarities, and the weighted
    sum of keys.
    """
    s = torch.empty(len(features), len(bank), dtype=bank.dtype, device=bank.device)
    gradient = torch.empty_like(features)

    def run():
        torch.mm(features, bank.T, out=s)
        return torch.mm(s, bank, out=gradient)

    return run


def loss_rows(
    batch: int, keys: int, d: int, device: torch.device, dtype: torch.dtype
) -> dict[str, Row]:
    """The losses of a batch against a bank."""
    f = unit(batch, d, device, seed=0).to(dtype)
    bank = unit(keys, d, device, seed=1).to(dtype)
    i = torch.randperm(keys, generator=torch.Generator().manual_seed(2))[:batch].to(device)
    k = max(1, round(0.0819 * (keys - 1)))
    bare = floor(f, bank)
    others = {}
    for name, loss in competitors.contrastive(bank, TAU).items():
        others[name] = step(loss, f, bank, i)
    name = f"B={batch}, {str(dtype).removeprefix('torch.')}"
    return {
        f"contrastive loss, {name}": {
            "floor": bare,
            "contrastlib": step(losses.ContrastiveLoss(TAU), f, bank, i),
            **others,
        },
        f"hard contrastive loss, {name}": {
            "floor": bare,
            "contrastlib": step(losses.HardContrastiveLoss(TAU, k=k), f, bank, i),
            "naive topk": step(competitors.naive_hard, f, bank, i, k, TAU),
        },
        f"simple loss, {name}": {
            "floor": bare,
            "contrastlib": step(losses.SimpleLoss(), f, bank, i),
            "naive": step(competitors.naive_simple, f, bank, i),
        },
        f"hard simple loss, {name}": {
            "floor": bare,
            "contrastlib": step(losses.HardSimpleLoss(k=k), f, bank, i),
        },
    }


def metric_rows(points: int, d: int, device: torch.device) -> dict[str, Row]:
    """The metrics of a whole set of embeddings."""
    z = unit(points, d, device, 3)
    labels = torch.randint(10, (points,), generator=torch.Generator().manual_seed(4)).to(device)

    side = 1024
    out = torch.empty(side, side, device=device)

    def square():
        for rows in z.split(side):
            for columns in z.split(side):
                torch.mm(rows, columns.T, out=out[: len(rows), : len(columns)])

    def pdist():
        return competitors.pdist_uniformity(z)

    uniformity = {"floor": square, "contrastlib": lambda: metrics.uniformity(z)}
    if 8 * points**2 < free_memory(device):  # pdist holds every pair, twice
        uniformity["pdist (align_uniform)"] = pdist
    return {
        f"uniformity, N={points}": uniformity,
        f"tolerance, N={points}": {
            "floor": square,
            "contrastlib": lambda: metrics.tolerance(z, labels),
            "mask over all pairs": lambda: competitors.masked_tolerance(z, labels),
        },
    }


def augment_row(batch: int, side: int, device: torch.device) -> dict[str, Row]:
    """One view of each of a batch of random images; lightly's pipeline comes first, where it is
    installed.
    """
    images = (
        torch.randint(256, (batch, 3, side, side), generator=torch.Generator().manual_seed(5))
        .byte()
        .to(device)
    )
    row = competitors.views(images)
    for hue_space in ("yiq", "hsv"):
        view = augment.Augmentation(hue_space=hue_space)
        row[f"contrastlib, hue by {hue_space}"] = partial(view, images)
    return {f"one view of {batch} images of {side} x {side}": row}


def training_row(batch: int, keys: int, device: torch.device, dtype: torch.dtype) -> dict[str, Row]:
    """A whole training step of a small ResNet against a bank: views, forward, loss, backward,
    optimiser, bank.

    In bfloat16 the networks run under autocast, and so does lightly's loss.
    """
    images = torch.randint(
        256, (batch, 3, 32, 32), generator=torch.Generator().manual_seed(5)
    ).byte()
    torch.manual_seed(0)
    encoder = models.Encoder(models.resnet_small()).to(device, memory_format=torch.channels_last)
    half = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    theirs = competitors.lightly_step(images, keys, copy.deepcopy(encoder), half, device)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.03, momentum=0.9)
    view = augment.Augmentation(hue_space="yiq")
    key_source = MemoryBank(keys, 128).to(device)
    loss = losses.ContrastiveLoss(TAU)
    indices = torch.arange(batch, device=device)
    images = images.to(device)

    def train(views: int) -> None:
        x = torch.cat([view(images) for _ in range(views)])
        x = x.contiguous(memory_format=torch.channels_last)
        with half:
            features, *other = encoder(x).split(batch)
        arguments = key_source.keys_for(indices)
        if other:  # the positive is the other view, as in lightly's step
            arguments = {"keys": key_source.bank, "positive_keys": other[0]}
        optimizer.zero_grad()
        loss(features, **arguments).backward()
        optimizer.step()
        key_source.update(indices, features.detach())

    row = dict(theirs)
    row["contrastlib, two views"] = partial(train, 2)
    row["contrastlib, one view"] = partial(train, 1)
    return {
        f"training step, batch {batch}, bank of {keys}, {str(dtype).removeprefix('torch.')}": row
    }


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            return next(
                int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
            )
    except OSError:
        return 0


def all_rows(device: torch.device, small: bool) -> Iterator[tuple[str, Row]]:
    """The table's rows, each set up only when its turn comes."""
    sizes = SMALL if small else FULL
    batches = sizes["batches"]
    for dtype in (torch.float32, torch.bfloat16):
        for batch in batches:
            yield from loss_rows(batch, sizes["keys"], 128, device, dtype).items()
    yield from metric_rows(sizes["points"], 128, device).items()
    yield from augment_row(batches[0], 32, device).items()
    for dtype in (torch.float32, torch.bfloat16):
        yield from training_row(batches[0], sizes["keys"], device, dtype).items()


def count_rows(small: bool) -> int:
    """Return how many rows `all_rows` yields: four losses for each type and batch, two metrics,
    views, two steps.
    """
    sizes = SMALL if small else FULL
    return 2 * len(sizes["batches"]) * 4 + 2 + 1 + 2
