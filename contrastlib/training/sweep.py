"""Sweeps: train those of a list of recipes that have no record yet, here or on Slurm."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from contrastlib.training import cost_estimate
from contrastlib.training.dry_run import dry_run
from contrastlib.training.files import replace_file
from contrastlib.training.local_workers import SweepRun, run_locally, worker_environments
from contrastlib.training.plan import described, plan
from contrastlib.training.recipe import Recipe, to_dict
from contrastlib.training.run_labels import labels
from contrastlib.training.slurm import on_slurm

__all__ = ["dry_run", "labels", "plan", "sweep"]

print_at_once = partial(print, flush=True)  # a sweep takes hours, and its report may go to a file


def sweep(
    recipes: Iterable[Recipe],
    folder: str | os.PathLike,
    *,
    workers: int | None = None,
    threads: int | None = None,
    device: str | torch.device | None = None,
    shipped: str | os.PathLike | None = None,
    slurm: dict | None = None,
    wait: bool = True,
    say: Callable[[str], object] = print_at_once,
) -> list[dict]:
    """Train the recipes that have no record yet.

    Return what became of each, as dicts of `SweepRun`'s fields. Runs that were interrupted are
    resumed from their last epoch. A run that fails or is killed does not end the others. When this
    process ends, for whatever reason, so do its workers.

    workers: processes at a time; None: one for each GPU, or each core. They share the cores evenly.
    threads: of each worker; None: its share of the cores, but one for tiny networks.
    shipped: a second folder of records, such as those that come with the package: a run that is
    there is not trained.
    slurm: settings of the jobs by the names that submitit's AutoExecutor gives them, such as
    {"gpus_per_node": 1, "slurm_partition": "gpu"}; {} will do. One more is "cluster": with "local"
    the jobs run on this machine. wait: False leaves as soon as they are submitted. say: takes the
    report's lines.
    Errors: ValueError for settings that cannot be. KeyboardInterrupt ends the workers, but not jobs
    on Slurm.
    """
    folder = Path(folder).resolve()
    runs = plan(recipes, folder, shipped)
    todo = [run for run in runs if run.status == "to do"]
    if slurm is None:
        environments = worker_environments(workers, device, threads)
        events = run_locally(todo, folder, environments, device, threads)
    else:
        if threads is not None:
            raise ValueError("threads is for workers on this machine; give slurm cpus_per_task")
        if workers is not None:
            raise ValueError(
                "workers is for this machine; give slurm slurm_array_parallelism, the most jobs "
                "at a time"
            )
        events = on_slurm(todo, folder, device, slurm, wait)
    for run in todo:
        (folder / run.id).mkdir(parents=True, exist_ok=True)
        recipe_json = json.dumps(to_dict(run.recipe))
        replace_file(folder / run.id / "recipe.json", recipe_json.encode())
    report(runs, todo, events, folder, say)
    return [asdict(run) | {"recipe": run.recipe} for run in runs]


def report(
    runs: list[SweepRun],
    todo: list[SweepRun],
    events: Iterator[SweepRun],
    folder: Path,
    say: Callable[[str], object],
) -> None:
    """Say what becomes of the runs, while it happens, and in the end which failed."""
    width = max((len(run.label) for run in runs), default=0)
    for run in runs:
        if run.status != "to do":
            say(described(run, width))
    say(f"{len(todo)} of {len(runs)} runs to do in {folder}")
    progress = Progress(todo)
    with closing(events):
        for run in events:
            line = described(run, width)
            if run.status in ("finished", "diverged", "failed"):
                progress.count(run)
                line += f"  [{progress.in_words()}]"
            say(line)
    failed = [run for run in runs if run.status == "failed"]
    if failed:
        say(f"{len(failed)} of {len(runs)} runs failed:")
    for run in failed:
        log = f" (see {run.log})" if run.log else ""
        say(f"{run.id}  {run.label}: {run.note}{log}")


class Progress:
    """How many runs are left, and for how long, in proportion to the operations done so far."""

    def __init__(self, todo: list[SweepRun]):
        self.left = {run.id: cost_estimate.flops(run.recipe, run.epochs) for run in todo}
        self.trained = 0.0
        self.start = time.monotonic()

    def count(self, run: SweepRun) -> None:
        """Note that a run has ended."""
        operations = self.left.pop(run.id)
        if run.status == "finished":
            self.trained += operations

    def in_words(self) -> str:
        """Such as "7 left, about 2.5 h"."""
        text = f"{len(self.left)} left"
        if self.left and self.trained:
            elapsed = time.monotonic() - self.start
            seconds = elapsed * sum(self.left.values()) / self.trained
            text += f", about {cost_estimate.format_seconds(seconds)}"
        return text
