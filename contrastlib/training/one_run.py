"""One run from its recipe to its record: train, evaluate, write FOLDER/ID.json."""

import os
import time
from pathlib import Path

import torch

from contrastlib.training import distributed, run_records
from contrastlib.training.baselines import batch_norm_only, supervised, untrained
from contrastlib.training.devices import pick_device, pick_precision
from contrastlib.training.environment import git_commit
from contrastlib.training.evaluation import evaluate, tsne
from contrastlib.training.files import lock
from contrastlib.training.image_sources import build_images
from contrastlib.training.loop import Run, pretrain
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipe import Recipe
from contrastlib.training.run_ids import run_id

__all__ = ["describe", "how_to_resume", "run"]


def run(
    recipe: Recipe,
    folder: str | os.PathLike,
    *,
    device: str | torch.device | None = None,
    progress: bool = True,
    torch_compile: bool = False,
) -> dict | None:
    """Train and evaluate a recipe, write FOLDER/ID.json, and return that record.

    A finished run is not repeated: its record is read. Checkpoint and log are in FOLDER/ID, so that
    an interrupted call is resumed; only "supervised" and "batch_norm" begin anew. torch_compile: as
    in `pretrain`. Under torchrun rank 0 alone does all but `pretrain`; the others return None.
    Errors: ValueError where another process trains this run, and as in `pretrain`.
    """
    folder = Path(folder)
    is_first = distributed.rank() == 0
    finished = (folder / f"{run_id(recipe)}.json").exists()
    if finished or not is_first:
        return _train_and_record(recipe, folder, device, progress, torch_compile)
    build_images(recipe, "test", "cpu", limit=2)  # missing test images are missed before training
    with lock(folder / run_id(recipe) / "lock"):
        return _train_and_record(recipe, folder, device, progress, torch_compile)


def _train_and_record(
    recipe: Recipe,
    folder: Path,
    device: str | torch.device | None,
    progress: bool,
    torch_compile: bool,
) -> dict | None:
    """`run` in one process of several, with the lock held."""
    name = run_id(recipe)
    device = pick_device(device)
    is_first = distributed.rank() == 0
    is_baseline = not OBJECTIVES[recipe.loss].compares_pairs
    start = time.perf_counter()
    commit = git_commit()  # now: the checkout may have moved on when the run is done
    with distributed.process_group(device):
        finished = (folder / f"{name}.json").exists()
        finished = distributed.from_first_rank(finished, device)
        if not finished and not is_baseline:
            trained = pretrain(
                recipe,
                folder=folder / name,
                device=device,
                progress=progress,
                torch_compile=torch_compile,
            )
    if not is_first:
        return None
    if finished:
        return run_records.read(name, folder)
    if is_baseline:
        trained = train_baseline(recipe, device, progress)
    return evaluate_and_record(recipe, folder, trained, start, commit)


def evaluate_and_record(
    recipe: Recipe, folder: Path, trained: Run, start: float, commit: str | None
) -> dict:
    """Evaluate a run unless it diverged, write its record, and return that.

    start: the time at which it began, by time.perf_counter. commit: of the code that trained it.
    """
    metrics = {}
    tsne_map = {}
    if trained.status == "finished":
        metrics = evaluate(trained.encoder, recipe, device=trained.device, bank=trained.bank)
        tsne_map = tsne(trained.encoder, recipe)
    # Include epochs that were trained before an interruption.
    seconds_of_epochs = sum(epoch_log["seconds"] for epoch_log in trained.history)
    seconds = max(time.perf_counter() - start, seconds_of_epochs)
    record = run_records.record(
        recipe,
        trained.status,
        metrics,
        trained.history,
        seconds,
        trained.device,
        trained.precision,
        tsne_map,
        commit,
    )
    run_records.write(folder, record)
    return record


def train_baseline(recipe: Recipe, device: torch.device, progress: bool) -> Run:
    """A run of one of the baselines, which has no history."""
    if recipe.loss == "none":
        encoder = untrained(recipe)
    elif recipe.loss == "batch_norm":
        encoder = batch_norm_only(recipe, device=device, progress=progress)
    else:
        encoder = supervised(recipe, device=device, progress=progress)
    finite = all(bool(values.isfinite().all()) for values in encoder.state_dict().values())
    status = "finished" if finite else "diverged"
    return Run(recipe, encoder, status, [], device, pick_precision(recipe, device))


def describe(record: dict) -> str:
    """A record in a few lines: what became of the run, and its metrics, one number a line.

    Also the last temperature, where it changed.
    """
    epochs = len(record["history"].get("epoch", []))
    lines = [
        f"run {record['id']} {record['status']} after {epochs} epochs, {record['seconds']:.0f} s"
    ]
    for name, value in record["metrics"].items():
        if not isinstance(value, list):
            lines.append(f"{name} {value:.4g}")
    taus = record["history"].get("tau", [])
    if taus and taus[-1] is not None:
        lines.append(f"tau {taus[-1]:.4g}")
    return "\n".join(lines)


def how_to_resume(recipe: Recipe, folder: str | os.PathLike) -> str:
    """What it takes to go on with a run that was stopped, in one line."""
    if OBJECTIVES[recipe.loss].compares_pairs:
        run_folder = Path(folder) / run_id(recipe)
        return f"stopped; the same command goes on from the last epoch's checkpoint in {run_folder}"
    return f"stopped; the same command begins anew, since loss={recipe.loss} keeps no checkpoints"
