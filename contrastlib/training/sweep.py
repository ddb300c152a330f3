"""Sweeps: train what a list of recipes lacks outcomes for, here or as jobs on Slurm; or say what that would cost."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from contrastlib.checks import check_count, check_positive
from contrastlib.training import cost_estimate, run_records
from contrastlib.training.build import pick_device
from contrastlib.training.local_workers import Run, find, here, slots
from contrastlib.training.recipes import READ_BY, Recipe, run_id, to_dict
from contrastlib.training.slurm import on_slurm

__all__ = ["dry_run", "plan", "sweep"]

at_once = partial(print, flush=True)  # a sweep takes hours, and its report may go to a file


def sweep(
    recipes: Iterable[Recipe],
    folder: str | os.PathLike,
    *,
    workers: int | None = None,
    device: str | torch.device | None = None,
    shipped: str | os.PathLike | None = None,
    slurm: dict | None = None,
    wait: bool = True,
    say: Callable[[str], object] = at_once,
) -> list[dict]:
    """Train the recipes that have no outcome yet; return what became of each, as dicts of `Run`'s fields.

    Runs that were broken off go on from their last epoch. One that fails or is killed costs no other. When this process
    ends, for whatever reason, so do its workers.
    workers: processes at a time; None: one for each GPU, or each core. They share the cores evenly.
    shipped: a second folder of outcomes, such as those that come with the package: what is there is not trained.
    slurm: settings of the jobs by the names that submitit's AutoExecutor gives them, such as {"gpus_per_node": 1,
    "slurm_partition": "gpu"}; {} will do. One more is "cluster": with "local" the jobs run on this machine. wait: False leaves as soon as they are submitted. say: takes the report's
    lines.
    Errors: ValueError for settings that cannot be. KeyboardInterrupt ends the workers, but not jobs on Slurm.
    """
    folder = Path(folder).resolve()
    runs = plan(recipes, folder, shipped)
    todo = [run for run in runs if run.status == "to do"]
    if slurm is None:
        events = here(todo, folder, slots(workers, device), device)
    else:
        events = on_slurm(todo, folder, device, slurm, wait)
    for run in todo:
        (folder / run.id).mkdir(parents=True, exist_ok=True)
        run_records.replace_file(folder / run.id / "recipe.json", json.dumps(to_dict(run.recipe)).encode())
    left = {run.id: cost_estimate.flops(run.recipe, run.epochs) for run in todo}
    trained, start = 0.0, time.monotonic()
    width = max((len(run.label) for run in runs), default=0)
    for run in runs:
        if run.status != "to do":
            say(f"{run.id}  {run.label:{width}}  {described(run)}")
    say(f"{len(todo)} of {len(runs)} runs to do in {folder}")
    with closing(events):
        for run in events:
            line = f"{run.id}  {run.label:{width}}  {described(run)}"
            if run.status in ("finished", "diverged", "failed"):
                operations = left.pop(run.id)
                trained += operations if run.status == "finished" else 0
                line += f"  [{len(left)} left"
                if left and trained:
                    line += f", about {cost_estimate.span((time.monotonic() - start) * sum(left.values()) / trained)}"
                line += "]"
            say(line)
    if failed := [run for run in runs if run.status == "failed"]:
        say(f"{len(failed)} of {len(runs)} runs failed:")
        for run in failed:
            say(f"{run.id}  {run.label}: {run.note}" + (f" (see {run.log})" if run.log else ""))
    return [asdict(run) | {"recipe": run.recipe} for run in runs]


def described(run: Run) -> str:
    """A run's status, in words."""
    if run.status == "failed":
        return f"failed: {run.note}"
    words = "already there" if run.status == "there" else run.status
    if run.status in ("started", "to do") and run.epochs:
        words = f"{'resumed' if run.status == 'started' else 'to resume'} after epoch {run.epochs}"
    return words + (f" {run.note}" if run.note else "")


def plan(recipes: Iterable[Recipe], folder: str | os.PathLike, shipped: str | os.PathLike | None = None) -> list[Run]:
    """The runs of a sweep, none twice, and what is there of each; ValueError for an unknown data set."""
    unique = {run_id(recipe): recipe for recipe in recipes}
    runs = [Run(*item, label) for item, label in zip(unique.items(), labels(unique.values()), strict=True)]
    for run in runs:
        cost_estimate.images(run.recipe)
        checkpoint = Path(folder) / run.id / "checkpoint.pt"
        if checkpoint.exists():
            log = checkpoint.with_name("log.jsonl")
            run.epochs = log.read_bytes().count(b"\n") if log.exists() else 0
        try:
            outcome = find(run, folder)
            if outcome is None and shipped is not None:
                outcome = find(run, shipped)
            if outcome is not None:
                run.status = "there"
                if outcome["status"] == "diverged":
                    run.note = "(diverged)"
        except ValueError as error:
            run.status, run.note = "failed", str(error)
    return runs


def dry_run(
    recipes: Iterable[Recipe],
    folder: str | os.PathLike,
    *,
    workers: int | None = None,
    device: str | torch.device | None = None,
    shipped: str | os.PathLike | None = None,
    tflops: float | None = None,
    price: float | None = None,
    say: Callable[[str], object] = at_once,
) -> float:
    """Say what `sweep` would do and about how long it would train; return the estimate's total in seconds.

    A run's time is taken from the outcomes, in the folder and the library, of runs with the same network, images and
    batch on the same kind of device. Where there are none it is operations / tflops (see `costs`). price: dollars an
    hour for one worker. No data are read.
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
    records = []
    for place in (shipped, folder):
        if place is None:
            continue
        try:
            records += run_records.read_all(place)
        except (FileNotFoundError, ValueError):  # then by arithmetic; `plan` names what is damaged
            continue
    measured = cost_estimate.speeds(records, kind)
    width = max((len(run.label) for run in runs), default=0)
    todo = [run for run in runs if run.status == "to do"]
    total = 0.0
    for run in runs:
        line = f"{run.id}  {run.label:{width}}  {described(run)}"
        if run.status == "to do":
            seconds = cost_estimate.estimate(run.recipe, run.epochs, measured, tflops)
            total += seconds
            line += f", about {cost_estimate.span(seconds)}"
        say(line)
    states = Counter(run.status for run in runs)
    say(
        f"{len(runs)} runs: {states['there']} there, {len(todo)} to do ({sum(run.epochs > 0 for run in todo)} of them "
        f"begun), {states['failed']} damaged"
    )
    say(
        f"ESTIMATE: {cost_estimate.span(total)} of training in all"
        + (f", {cost_estimate.span(total / workers)} with {workers} workers" if workers else "")
        + (f", ${total / 3600 * price:.2f} at ${price:g} an hour" if price else "")
        + ". Loading, evaluation and probe come on top."
    )
    trained = [run for run in todo if cost_estimate.flops(run.recipe, run.epochs)]
    known = sum(cost_estimate.kind(run.recipe) in measured for run in trained)
    speed = f"{tflops or cost_estimate.T4:g} TFLOP/s"
    if tflops is None:
        speed += f" (a T4 in float32; small nets {cost_estimate.CORE:g}, one core)"
    say(f"By measured speed of the same network on {kind}: {known} runs; by counted operations at {speed}: the others.")
    return total


def labels(recipes: Iterable[Recipe]) -> list[str]:
    """Of each recipe the data set, loss, temperature and seed, and what else tells it from those with the same."""

    def settings(recipe):
        values = to_dict(recipe)
        values |= {f"augmentation.{name}": value for name, value in values.pop("augmentation").items()}
        unread = {name for name, (choice, readers) in READ_BY.items() if values[choice] not in readers}
        return {name: value for name, value in values.items() if name not in unread}

    rows = [settings(recipe) for recipe in recipes]
    taus = [f" tau {row['tau']:g}" if "tau" in row else "" for row in rows]
    firsts = [f"{row['dataset']} {row['loss']}{tau} seed {row['seed']}" for row, tau in zip(rows, taus, strict=True)]
    whole = []
    for first, row in zip(firsts, rows, strict=True):
        alike = [other for label, other in zip(firsts, rows, strict=True) if label == first]
        differing = [name for name in row if any(other.get(name) != row[name] for other in alike)]
        whole.append(" ".join([first, *(f"{name} {row[name]}" for name in differing)]))
    return whole
