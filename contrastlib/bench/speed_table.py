"""How fast the library is: ratios to the floor, the bare matrix products, and to what people use
today.

Every row times its candidates interleaved, one after the other in each of several rounds, and
reports the median of the rounds' ratios to the row's first candidate: so a machine whose speed
drifts drifts for all of them. Seconds are printed to be read, never to be compared between rows.
`contrastlib bench` prints the table; the book shows a stored one.
"""

import ctypes
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch

from contrastlib.bench.rows import FULL, SMALL, Row, all_rows, count_rows
from contrastlib.training.devices import pick_device
from contrastlib.training.environment import installed, processor

PATIENCE = 60  # seconds for a row, after which no further round is begun
BUDGET = 500  # seconds for the whole table on a GPU: with set-up, ten minutes at most
SHORTEST = 0.05  # seconds: a shorter call is repeated, or what ran before it would leave its mark
SLOW = 5  # seconds: a slower call is warmed up, and its memory measured, only once


def peak_memory(run: Callable[[], object], device: torch.device) -> float | None:
    """How many MiB a call needs beyond what is held before it; None where that is not known."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)  # or memory freed earlier would be used again, unseen
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")  # the peak begins anew
        before = own_memory("VmRSS")
        run()
        return (own_memory("VmHWM") - before) / 1024
    except (OSError, AttributeError):  # not on Linux, or not with glibc
        return None


def own_memory(name: str) -> int:
    """The memory of this process in KiB, as Linux reports it: "VmRSS" now, "VmHWM" at its peak."""
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1])
    raise OSError(f"/proc/self/status does not say {name}")


def measure(
    row: Row, device: torch.device, rounds: int, patience: float = PATIENCE
) -> dict[str, dict[str, float | None]]:
    """Each candidate's median seconds, median ratio to the row's first, extra memory, and how many
    rounds it had.

    patience: seconds after which no further round is begun.
    """
    start = time.perf_counter()
    repeats = {}
    memory = {}
    for name, candidate in row.items():
        repeats[name], memory[name] = warm_up(candidate, device)
    done: list[dict[str, float]] = []  # of each round every candidate's seconds
    while len(done) < rounds:
        if done and time.perf_counter() - start > patience:
            break
        seconds = {}
        for name, candidate in row.items():
            seconds[name] = seconds_of_call(candidate, device, repeats[name])
        done.append(seconds)
    first = next(iter(row))
    measured = {}
    for name in row:
        measured[name] = {
            "seconds": statistics.median(seconds[name] for seconds in done),
            "ratio": statistics.median(seconds[name] / seconds[first] for seconds in done),
            "extra_mib": memory[name],
            "rounds": len(done),
        }
    return measured


def seconds_of_call(
    candidate: Callable[[], object], device: torch.device, repeats: int = 1
) -> float:
    """How long one call takes, the device's work included: the mean of so many."""
    start = time.perf_counter()
    for _ in range(repeats):
        candidate()
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return (time.perf_counter() - start) / repeats


def warm_up(candidate: Callable[[], object], device: torch.device) -> tuple[int, float | None]:
    """How often a candidate is called within a round, and the MiB that it needs beyond what is
    held.
    """
    seconds = seconds_of_call(candidate, device)
    if seconds < SLOW:  # what loads and compiles on first use is not what is measured
        seconds = seconds_of_call(candidate, device)
    repeats = max(1, round(SHORTEST / seconds))
    weighings = 1 if seconds > SLOW else 3
    peaks = [peak_memory(candidate, device) for _ in range(weighings)]
    if None in peaks:
        return repeats, None
    return repeats, min(peaks)  # now and then the allocator takes more than is asked


def hardware(device: torch.device) -> dict[str, str | int]:
    """What the times were taken on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    packages = ("torch", "torchvision", "numpy", "lightly", "pytorch-metric-learning", "kornia")
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: installed(package) for package in packages},
    }


def needs(device: torch.device, small: bool) -> str:
    """Say how long the table takes at most, and how much memory of the device it needs."""
    if device.type == "cpu":
        minutes = count_rows(small) * PATIENCE / 60
        return f"needs: at most about {minutes:.0f} minutes, and 4 GiB of memory"
    sizes = SMALL if small else FULL
    similarities = max(sizes["batches"]) * sizes["keys"] * 4  # bytes of one float32 matrix
    pairs = 8 * sizes["points"] ** 2
    return (
        f"needs: at most 10 minutes, and about {1 + 8 * similarities / 2**30:.0f} GiB of the "
        "device's memory; "
        f"{pairs / 2**30:.0f} GiB more for pdist, which is left out where there is less"
    )


def run(
    device: str | None, threads: int, rounds: int, only: str, small: bool, file: str | None
) -> dict:
    """Measure, print row by row, and write a JSON file if asked for."""
    for name, value in (("--threads", threads), ("--rounds", rounds)):
        if value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    chosen_device = pick_device(device)
    torch.set_num_threads(threads)
    table: dict[str, dict] = {"hardware": hardware(chosen_device), "rows": {}}
    print(", ".join(f"{key} {value}" for key, value in table["hardware"].items()))
    print(needs(chosen_device, small), flush=True)
    start = time.perf_counter()
    rows_left = count_rows(small)
    for name, row in all_rows(chosen_device, small):
        patience = row_patience(chosen_device, time.perf_counter() - start, rows_left)
        rows_left -= 1
        if only not in name:
            continue
        measured = measure(row, chosen_device, rounds, patience)
        table["rows"][name] = measured
        print_row(name, measured)
        if file:  # as it goes, so that an interrupted run is not lost
            with open(file, "w") as out:
                json.dump(table, out, indent=1)
    if not table["rows"]:
        raise ValueError(f"no row's name contains {only!r}; run without --only to see them all")
    return table


def row_patience(device: torch.device, passed: float, rows_left: int) -> float:
    """The seconds that a row may take; on a GPU its part of what is left of the budget."""
    if device.type == "cpu":
        return PATIENCE
    return min(PATIENCE, max(0.0, BUDGET - passed) / rows_left)


def print_row(name: str, measured: dict[str, dict[str, float | None]]) -> None:
    print(f"\n{name}\n{'':38}{'ratio':>8}{'ms':>10}{'extra MiB':>11}")
    for candidate, result in measured.items():
        milliseconds = 1000 * result["seconds"]
        memory = ""
        if result["extra_mib"] is not None:
            memory = f"{result['extra_mib']:.0f}"
        line = f"  {candidate:36}{result['ratio']:8.2f}{milliseconds:10.2f}{memory:>11}"
        print(line, flush=True)
