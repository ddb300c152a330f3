"""The plan of a sweep: which of its runs are done, and which are to be trained."""

import os
from collections.abc import Iterable
from pathlib import Path

from contrastlib.training import cost_estimate
from contrastlib.training.local_workers import SweepRun, read_or_none
from contrastlib.training.recipe import Recipe
from contrastlib.training.run_ids import effective_settings, run_id
from contrastlib.training.run_labels import labels


def plan(
    recipes: Iterable[Recipe],
    folder: str | os.PathLike,
    shipped: str | os.PathLike | None = None,
) -> list[SweepRun]:
    """The runs of a sweep, none twice, and what is there of each.

    Errors: ValueError for an unknown data set, and for two recipes that share an id although they
    differ in a setting that they read.
    """
    unique = without_duplicates(recipes)
    runs = []
    for (name, recipe), label in zip(unique.items(), labels(unique.values()), strict=True):
        cost_estimate.train_images(recipe)  # refuses an unknown data set
        runs.append(SweepRun(name, recipe, label))
    for run in runs:
        run.epochs = epochs_trained(Path(folder) / run.id)
        try:
            record = read_or_none(run, folder)
            if record is None and shipped is not None:
                record = read_or_none(run, shipped)
        except ValueError as error:  # the file is damaged
            run.status = "failed"
            run.note = str(error)
            continue
        if record is not None:
            run.status = "done"
            if record["status"] == "diverged":
                run.note = "(diverged)"
    return runs


def without_duplicates(recipes: Iterable[Recipe]) -> dict[str, Recipe]:
    """The recipes by id; of several that differ in ignored settings alone, the last."""
    unique: dict[str, Recipe] = {}
    for recipe in recipes:
        name = run_id(recipe)
        if name in unique and effective_settings(unique[name]) != effective_settings(recipe):
            raise ValueError(
                f"two recipes have the id {name}, but not the same settings: {unique[name]} and "
                f"{recipe}; train them one at a time, into folders of their own"
            )
        unique[name] = recipe
    return unique


def epochs_trained(run_folder: Path) -> int:
    """How many epochs a run's folder has logged; 0 without a checkpoint."""
    log = run_folder / "log.jsonl"
    if not (run_folder / "checkpoint.pt").exists() or not log.exists():
        return 0
    return log.read_bytes().count(b"\n")


def described(run: SweepRun, width: int) -> str:
    """A run's id, label and status, as a line of a report; the label takes `width` characters."""
    return f"{run.id}  {run.label:{width}}  {status_in_words(run)}"


def status_in_words(run: SweepRun) -> str:
    """A run's status and what is noted of it."""
    if run.status == "failed":
        return f"failed: {run.note}"
    words = run.status
    if run.status == "done":
        words = "already done"
    if run.status == "started" and run.epochs:
        words = f"resumed after epoch {run.epochs}"
    if run.status == "to do" and run.epochs:
        words = f"to resume after epoch {run.epochs}"
    if run.note:
        words += f" {run.note}"
    return words
