"""What a sweep would do and cost, without doing it."""

import os
from collections import Counter
from collections.abc import Callable, Iterable

import torch

from contrastlib.checks import check_count, check_positive
from contrastlib.training import cost_estimate, run_records
from contrastlib.training.devices import pick_device
from contrastlib.training.local_workers import SweepRun
from contrastlib.training.plan import described, plan
from contrastlib.training.recipe import Recipe


def dry_run(
    recipes: Iterable[Recipe],
    folder: str | os.PathLike,
    *,
    workers: int | None = None,
    threads: int | None = None,
    device: str | torch.device | None = None,
    shipped: str | os.PathLike | None = None,
    tflops: float | None = None,
    price: float | None = None,
    say: Callable[[str], object] = print,
) -> float:
    """Say what `sweep` would do, and return the estimate of its training in seconds.

    The time of a run is taken from the records, in both folders, of runs with the same network,
    images and batch on the same kind of device. Where there are none it is operations / tflops
    (see `cost_estimate`). price: dollars an hour for one worker. threads changes nothing. No data
    are read.
    Errors: ValueError for a tflops or price that is not above 0, and as in `sweep`.
    """
    if tflops is not None:
        check_positive("tflops", tflops)
    if price is not None:
        check_positive("price", price)
    if workers is not None:
        check_count("workers", workers)
    kind = pick_device(device).type
    runs = plan(recipes, folder, shipped)
    measured = cost_estimate.speeds(readable_records(shipped, folder), kind)
    width = max((len(run.label) for run in runs), default=0)
    total = 0.0
    for run in runs:
        line = described(run, width)
        if run.status == "to do":
            seconds = cost_estimate.estimate(run.recipe, run.epochs, measured, tflops)
            total += seconds
            line += f", about {cost_estimate.format_seconds(seconds)}"
        say(line)
    say(counts(runs))
    say(total_in_words(total, workers, price))
    say(grounds(runs, measured, kind, tflops))
    return total


def readable_records(*folders: str | os.PathLike | None) -> list[dict]:
    """The records of those folders that can be read; `plan` names what is damaged."""
    records = []
    for folder in folders:
        if folder is None:
            continue
        try:
            records += run_records.read_all(folder)
        except (FileNotFoundError, ValueError):
            continue
    return records


def counts(runs: list[SweepRun]) -> str:
    """How many runs are done, to do, begun and damaged."""
    states = Counter(run.status for run in runs)
    begun = [run for run in runs if run.status == "to do" and run.epochs > 0]
    return (
        f"{len(runs)} runs: {states['done']} done, {states['to do']} to do "
        f"({len(begun)} of them begun), {states['failed']} damaged"
    )


def total_in_words(total: float, workers: int | None, price: float | None) -> str:
    """The estimate of the whole sweep; total: seconds."""
    text = f"ESTIMATE: {cost_estimate.format_seconds(total)} of training in all"
    if workers is not None:
        text += f", {cost_estimate.format_seconds(total / workers)} with {workers} workers"
    if price is not None:
        text += f", ${total / 3600 * price:.2f} at ${price:g} an hour"
    return text + ". Loading, evaluation and probe come on top."


def grounds(
    runs: list[SweepRun], measured: dict[tuple, float], kind: str, tflops: float | None
) -> str:
    """On what the estimate rests."""
    known = 0
    for run in runs:
        trains = run.status == "to do" and cost_estimate.flops(run.recipe, run.epochs) > 0
        if trains and cost_estimate.speed_key(run.recipe) in measured:
            known += 1
    if tflops is None:
        speed = (
            f"{cost_estimate.T4:g} TFLOP/s "
            f"(a T4 in float32; small nets {cost_estimate.CORE:g}, one core)"
        )
    else:
        speed = f"{tflops:g} TFLOP/s"
    return (
        f"By measured speed of the same network on {kind}: {known} runs; "
        f"by counted operations at {speed}: the others."
    )
