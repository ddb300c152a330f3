"""How fast the library is: ratios to the floor, the bare matrix products, and to what people use today.

Every row times its candidates interleaved, one after the other in each of several rounds, and reports the median of the
rounds' ratios to the row's first candidate: so a machine whose speed drifts drifts for all of them. Seconds are printed
to be read, never to be compared between rows. `contrastlib bench` prints the table; the book shows a stored one.
"""

import copy
import ctypes
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib import augment, losses, metrics, models
from contrastlib.bench import competitors
from contrastlib.keys import MemoryBank
from contrastlib.training.devices import pick_device
from contrastlib.training.environment import installed, processor

TAU = 0.2
PATIENCE = 60  # seconds for a row, after which no further round is begun
Row = dict[str, Callable[[], object]]


def unit(n: int, d: int, device: torch.device, seed: int) -> Tensor:
    """Random unit vectors [n, d]."""
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1).to(device)


def step(loss: Callable[..., Tensor], features: Tensor, *arguments) -> Callable[[], Tensor]:
    """One forward and backward pass to the features."""

    def run():
        leaf = features.detach().clone().requires_grad_()
        loss(leaf, *arguments).backward()
        return leaf.grad

    return run


def floor(features: Tensor, bank: Tensor) -> Callable[[], Tensor]:
    """The two products that the contrastive loss cannot do without: similarities, and the weighted sum of keys."""
    s = torch.empty(len(features), len(bank), dtype=bank.dtype, device=bank.device)
    gradient = torch.empty_like(features)

    def run():
        torch.mm(features, bank.T, out=s)
        return torch.mm(s, bank, out=gradient)

    return run


def loss_rows(batch: int, keys: int, d: int, device: torch.device, dtype: torch.dtype) -> dict[str, Row]:
    """The losses of a batch against a bank."""
    f, bank = (unit(n, d, device, seed).to(dtype) for n, seed in ((batch, 0), (keys, 1)))
    i = torch.randperm(keys, generator=torch.Generator().manual_seed(2))[:batch].to(device)
    k = max(1, round(0.0819 * (keys - 1)))
    bare = floor(f, bank)
    others = {name: step(loss, f, bank, i) for name, loss in competitors.contrastive(bank, TAU).items()}
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
        f"hard simple loss, {name}": {"floor": bare, "contrastlib": step(losses.HardSimpleLoss(k=k), f, bank, i)},
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

    uniformity = {"floor": square, "contrastlib": lambda: metrics.uniformity(z)}
    if 8 * points**2 < free_memory(device):  # pdist holds every pair, twice
        uniformity["pdist (align_uniform)"] = lambda: competitors.pdist_uniformity(z)
    return {
        f"uniformity, N={points}": uniformity,
        f"tolerance, N={points}": {
            "floor": square,
            "contrastlib": lambda: metrics.tolerance(z, labels),
            "mask over all pairs": lambda: competitors.masked_tolerance(z, labels),
        },
    }


def augment_row(batch: int, side: int, device: torch.device) -> dict[str, Row]:
    """One view of each of a batch of random images; lightly's pipeline comes first, where it is installed."""
    images = torch.randint(256, (batch, 3, side, side), generator=torch.Generator().manual_seed(5)).byte().to(device)
    ours = {name: augment.Augmentation(hue_space=name) for name in ("yiq", "hsv")}
    row = {f"contrastlib, hue by {name}": lambda view=view: view(images) for name, view in ours.items()}
    return {f"one view of {batch} images of {side} x {side}": competitors.views(images) | row}


def training_row(batch: int, keys: int, device: torch.device, dtype: torch.dtype) -> dict[str, Row]:
    """A whole training step of a small ResNet against a bank: views, forward, loss, backward, optimiser, bank.

    In bfloat16 the networks run under autocast, and so does lightly's loss.
    """
    images = torch.randint(256, (batch, 3, 32, 32), generator=torch.Generator().manual_seed(5)).byte()
    torch.manual_seed(0)
    encoder = models.Encoder(models.resnet_small()).to(device, memory_format=torch.channels_last)
    half = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    theirs = competitors.lightly_step(images, keys, copy.deepcopy(encoder), half, device)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.03, momentum=0.9)
    view, g, loss = augment.Augmentation(hue_space="yiq"), MemoryBank(keys, 128).to(device), losses.ContrastiveLoss(TAU)
    i, images = torch.arange(batch, device=device), images.to(device)

    def train(views: int):
        x = torch.cat([view(images) for _ in range(views)]).contiguous(memory_format=torch.channels_last)
        with half:
            features, *other = encoder(x).split(batch)
        arguments = {"keys": g.bank, "positive_keys": other[0]} if other else g.keys_for(i)
        optimizer.zero_grad()
        loss(features, **arguments).backward()
        optimizer.step()
        g.update(i, features.detach())

    ours = {"contrastlib, two views": lambda: train(2), "contrastlib, one view": lambda: train(1)}
    name = f"training step, batch {batch}, bank of {keys}, {str(dtype).removeprefix('torch.')}"
    return {name: theirs | ours}


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except OSError:
        return 0


def peak_memory(run: Callable[[], object], device: torch.device) -> float | None:
    """How many MiB a run needs beyond what is held before it; None where the system does not say."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)  # or memory freed earlier would be used again, unseen
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")
        before = status("VmRSS")
        run()
        return (status("VmHWM") - before) / 1024
    except (OSError, AttributeError):
        return None


def status(name: str) -> int:
    """A figure of this process in KiB, as Linux reports it."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


def measure(row: Row, device: torch.device, rounds: int) -> dict[str, dict[str, float | None]]:
    """Each candidate's median seconds, median ratio to the row's first, extra memory, and how many rounds it had."""

    def seconds(run, times=1):
        start = time.perf_counter()
        for _ in range(times):
            run()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        return (time.perf_counter() - start) / times

    memory, repeats = {}, {}
    for name, run in row.items():
        if (first := seconds(run)) < 5:  # what loads and compiles on first use is not what is measured
            first = seconds(run)
        repeats[name] = max(1, round(0.05 / first))  # or what ran before leaves its mark on a short run
        marks = [peak_memory(run, device) for _ in range(1 if first > 5 else 3)]
        memory[name] = marks[0] if None in marks else min(marks)  # now and then the allocator takes more than is asked
    results: list[dict[str, float]] = []
    start = time.perf_counter()
    while len(results) < rounds and (not results or time.perf_counter() - start < PATIENCE):
        results.append({name: seconds(run, repeats[name]) for name, run in row.items()})
    first = next(iter(row))
    return {
        name: {
            "seconds": statistics.median(t[name] for t in results),
            "ratio": statistics.median(t[name] / t[first] for t in results),
            "extra_mib": memory[name],
            "rounds": len(results),
        }
        for name in row
    }


def hardware(device: torch.device) -> dict[str, str | int]:
    """What the figures were taken on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    packages = ("torch", "torchvision", "numpy", "lightly", "pytorch-metric-learning", "kornia")
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: installed(package) for package in packages},
    }


def all_rows(device: torch.device, small: bool) -> Iterator[tuple[str, Row]]:
    """The table's rows, each set up only when its turn comes."""
    keys, points, batches = (500, 300, (8,)) if small else (50_000, 50_000, (128, 256))
    for dtype in (torch.float32, torch.bfloat16):
        for batch in batches:
            yield from loss_rows(batch, keys, 128, device, dtype).items()
    yield from metric_rows(points, 128, device).items()
    yield from augment_row(batches[0], 32, device).items()
    for dtype in (torch.float32, torch.bfloat16):
        yield from training_row(batches[0], keys, device, dtype).items()


def run(device: str | None, threads: int, rounds: int, only: str, small: bool, file: str | None) -> dict:
    """Measure, print row by row, and write a JSON file if asked for."""
    for name, value in (("--threads", threads), ("--rounds", rounds)):
        if value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    where = pick_device(device)
    torch.set_num_threads(threads)
    table: dict[str, dict] = {"hardware": hardware(where), "rows": {}}
    print(", ".join(f"{key} {value}" for key, value in table["hardware"].items()))
    for name, row in all_rows(where, small):
        if only not in name:
            continue
        table["rows"][name] = measured = measure(row, where, rounds)
        print(f"\n{name}\n{'':38}{'ratio':>8}{'ms':>10}{'extra MiB':>11}")
        for candidate, figures in measured.items():
            memory = "" if figures["extra_mib"] is None else f"{figures['extra_mib']:.0f}"
            print(f"  {candidate:36}{figures['ratio']:8.2f}{1000 * figures['seconds']:10.2f}{memory:>11}")
        if file:  # as it goes, so that an interrupted run is not lost
            with open(file, "w") as out:
                json.dump(table, out, indent=1)
    if not table["rows"]:
        raise ValueError(f"no row's name contains {only!r}; run without --only to see them all")
    return table
