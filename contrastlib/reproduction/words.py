"""Frames in words: what was not run, and what a figure shows for those who do not see it."""

import math
from collections.abc import Iterable

import pandas as pd

from contrastlib.reproduction.aggregate import IN_PER_CENT
from contrastlib.reproduction.names import DECIMALS, LOSSES, NAMES

__all__ = ["command", "describe", "notes"]


def name(dataset: str, loss: str, taus: Iterable[float] = ()) -> str:
    """A cell or several in words, such as "CIFAR-100 hard 0.7, 1"."""
    numbers = ", ".join(f"{tau:g}" for tau in taus if not math.isnan(tau))
    return f"{NAMES[dataset]} {LOSSES.get(loss, loss)} {numbers}".strip()


def command(grid: str, scale: str, datasets: Iterable[str]) -> str:
    """What one types to train the runs."""
    recipe = "" if scale == "small" else f" --recipe {scale}"
    return f"contrastlib sweep {grid}{recipe} --dataset {' '.join(datasets)}"


def notes(data: pd.DataFrame, grid: str) -> list[str]:
    """What a reader must know of a frame's cells: which were not run, how to run them, and which
    diverged.
    """
    said = []
    for scale, mine in data.groupby("scale", sort=False):
        prefix = "" if data["scale"].nunique() == 1 else f"{scale}: "
        said += [prefix + sentence for sentence in scale_notes(mine, grid, scale)]
    return said


def scale_notes(data: pd.DataFrame, grid: str, scale: str) -> list[str]:
    """`notes` of one scale."""
    each = data.drop_duplicates(["dataset", "loss", "tau"])
    there = (each["seeds"] > 0) | (each["diverged"] > 0)
    absent = [name for name, part in there.groupby(each["dataset"], sort=False) if not part.any()]
    said = []
    gaps = each[~there & ~each["dataset"].isin(absent)]
    words = [
        name(dataset, loss, part["tau"])
        for (dataset, loss), part in gaps.groupby(["dataset", "loss"], sort=False)
    ]
    if words:
        said.append("No run: " + "; ".join(words) + ".")
    words = [
        f"{name(row.dataset, row.loss, [row.tau])} ({row.diverged} of {row.diverged + row.seeds})"
        for row in each[each["diverged"] > 0].itertuples()
    ]
    if words:
        said.append("Diverged: " + "; ".join(words) + ".")
    if absent:
        names = ", ".join(NAMES[dataset] for dataset in absent)
        said.append(f"Not run: {names} ({command(grid, scale, absent)}).")
    return said


def describe(data: pd.DataFrame, measure: str) -> str:
    """A frame of curves in words, for those who do not see them: first, last and extreme value of
    each.
    """
    said = []
    found = data[data["seeds"] > 0]
    several = data["scale"].nunique() > 1
    for (scale, dataset, loss), part in found.groupby(["scale", "dataset", "loss"], sort=False):
        words = describe_curve(part, measure)
        prefix = f"{scale}, " if several else ""
        said.append(f"{prefix}{name(dataset, loss)}: {words}.")
    return " ".join(said) or "Not run."


def describe_curve(part: pd.DataFrame, measure: str) -> str:
    """First, last and extreme value of one curve."""
    unit = " %" if measure in IN_PER_CENT else ""

    def at(row: pd.Series) -> str:
        value = f"{row['mean']:.{DECIMALS[measure]}f}{unit}"
        return value if math.isnan(row["tau"]) else f"{value} at tau {row['tau']:g}"

    first = part.iloc[0]
    last = part.iloc[-1]
    if len(part) == 1:
        return at(first)
    words = f"from {at(first)} to {at(last)}"
    extremes = {"highest": part["mean"].idxmax(), "lowest": part["mean"].idxmin()}
    for extreme, index in extremes.items():
        if index not in (first.name, last.name):
            words += f", {extreme} {at(part.loc[index])}"
    return words
