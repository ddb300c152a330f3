"""Finding runs: the records of one recipe's cells, by seed.

A cell is a loss and a temperature, which is None where the loss has none. All runs that are
compared differ from a base recipe in the cell and the seed alone.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from contrastlib.reproduction import grids
from contrastlib.reproduction.paper_table import DATASETS
from contrastlib.training import recipes
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["SCALES", "Cell", "Measure", "Runs", "Scale", "label", "metric"]

Cell = tuple[str, float | None]
Measure = str | Callable[[dict], float]  # a metric's name, or a function of a record


@dataclass(frozen=True)
class Scale:
    """A recipe at which the paper was reproduced: its name, its title in figures, and its maker.

    papers_only: whether the recipe is made for the paper's own data sets alone.
    """

    name: str
    title: str
    recipe: Callable[[str], Recipe]
    papers_only: bool = True

    def has(self, dataset: str) -> bool:
        """Whether there is such a recipe for a data set."""
        return dataset in DATASETS or not self.papers_only


SCALES = {
    "small": Scale("small", "small: 7,500 images, 16 channels", recipes.small, papers_only=False),
    "desk": Scale("desk", "desk: all images, 16 channels", recipes.desk),
    "paper": Scale("paper", "the paper's recipe, our runs", recipes.paper),
}


def label(cell: Cell) -> str:
    """A cell's name, and its column in a frame of values: "hard 0.3", or "simple"."""
    loss, tau = cell
    if tau is None:
        return loss
    return f"{loss} {tau:g}"


def metric(record: dict, measure: Measure) -> float:
    """A measure of a finished run; ValueError where it was not measured."""
    if callable(measure):
        return measure(record)
    if measure not in record["metrics"]:
        raise ValueError(
            f"the record {record['id']} has no metric {measure!r}, it is of another version: "
            "train it again"
        )
    return record["metrics"][measure]


# Figures ask for the same runs many times, so what names them is worked out once.


@functools.cache
def recipe_of(base: Recipe, cell: Cell) -> Recipe:
    """The recipe of a cell."""
    return grids.cell(base, *cell)


@functools.cache
def id_of(recipe: Recipe, seed: int) -> str:
    """The name of a recipe's run with a seed."""
    return run_id(replace(recipe, seed=seed))


class Runs:
    """The runs of one base recipe among some records."""

    def __init__(self, records: Iterable[dict], base: Recipe):
        records = [record for record in records if record["recipe"]["dataset"] == base.dataset]
        self.by_id = {record["id"]: record for record in records}
        self.seeds = sorted({record["seed"] for record in records})
        self.base = base
        # Every record of a cell by seed, looked up once.
        self.cells: dict[Cell, dict[int, dict]] = {}

    def of(self, recipe: Recipe) -> dict[int, dict]:
        """The records of a recipe, finished or diverged, by seed."""
        found = {}
        for seed in self.seeds:
            record = self.by_id.get(id_of(recipe, seed))
            if record is not None:
                found[seed] = record
        return found

    def cell(self, cell: Cell) -> dict[int, dict]:
        """The records of a cell, finished or diverged, by seed."""
        if cell not in self.cells:
            self.cells[cell] = self.of(recipe_of(self.base, cell))
        return self.cells[cell]

    def finished(self, cell: Cell) -> dict[int, dict]:
        """The finished records of a cell, by seed."""
        every = self.cell(cell)
        return {seed: record for seed, record in every.items() if record["status"] == "finished"}

    def diverged(self, cell: Cell) -> int:
        """How many runs of a cell diverged."""
        every = self.cell(cell)
        return sum(record["status"] == "diverged" for record in every.values())

    def by_seed(self, loss: str, tau: float | None, measure: Measure) -> pd.Series:
        """A measure of one cell, by seed."""
        found = self.finished((loss, tau))
        values = {seed: metric(record, measure) for seed, record in found.items()}
        return pd.Series(values, dtype=float)

    def values(self, cells: Iterable[Cell], measure: Measure) -> pd.DataFrame:
        """A row for each seed, a column for each cell, NaN where a run is missing."""
        columns = {label(cell): self.by_seed(*cell, measure) for cell in cells}
        return pd.DataFrame(columns, dtype=float)

    def over(self, loss: str, taus: Sequence[float], measure: Measure) -> pd.DataFrame:
        """A measure by seed and temperature, of the seeds that have all temperatures."""
        columns = {tau: self.by_seed(loss, tau, measure) for tau in taus}
        return pd.DataFrame(columns).dropna()
