"""From runs to verdicts: every part of every claim is judged by the rule of `verdicts`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from contrastlib.reproduction import grids
from contrastlib.reproduction.claims import SETS, parts
from contrastlib.reproduction.paper_table import DATASETS
from contrastlib.reproduction.run_index import SCALES, Cell, Measure, Runs, label
from contrastlib.reproduction.verdicts import (
    NOT_RUN,
    Estimate,
    Part,
    Spread,
    estimate,
    join,
    spread,
    word,
)
from contrastlib.training.recipes import Recipe

__all__ = [
    "Judged",
    "Measured",
    "best_in_the_middle",
    "first_edition",
    "judge_all",
    "measured_at",
    "overall",
]

POOLED = ("contrastive", "hard", "simple", "hard_simple")  # losses that share one variance


@dataclass(frozen=True)
class Judged:
    """One part of a claim on one data set: its estimate, its verdict, and the cells without a
    finished run.
    """

    part: Part
    dataset: str
    found: Estimate
    verdict: str
    missing: tuple[str, ...]


class Measured:
    """The values of one recipe's cells, and their spread between seeds, each worked out once.

    small: the same of the recipe `small`, whose variance may be borrowed; None for `small` itself.
    """

    def __init__(self, records: Iterable[dict], base: Recipe, small: "Measured | None" = None):
        self.runs = Runs(records, base)
        self.small = small
        self.spreads: dict[Measure, Spread] = {}

    def values(self, part: Part) -> pd.DataFrame:
        """A row for each seed, a column for each cell of the part."""
        return self.runs.values(part.weights, part.measure)

    def missing(self, part: Part) -> tuple[str, ...]:
        """The cells of a part without a finished run."""
        return tuple(label(cell) for cell in part.weights if not self.runs.finished(cell))

    def spread(self, measure: Measure) -> Spread:
        """The spread between seeds, over all cells of the four losses."""
        if measure not in self.spreads:
            values = self.runs.values(pooled_cells(), measure)
            self.spreads[measure] = spread(values[column].dropna() for column in values)
        return self.spreads[measure]

    def spread_for(self, part: Part) -> Spread:
        """The spread for a part's interval: where the part takes a cell outside the pool, such as
        an untrained net, one that counts as not alike.
        """
        found = self.spread(part.measure)
        if all(loss in POOLED for loss, _ in part.weights):
            return found
        return replace(found, p=0.0)

    def estimate(self, part: Part) -> Estimate:
        """A part's effect and interval, NaN where one of its cells has no finished run."""
        if self.missing(part):
            return NOT_RUN
        borrow = None
        if self.small is not None:
            borrow = (self.small.values(part), self.small.spread_for(part))
        return estimate(part, self.values(part), self.spread_for(part), borrow)


def measured_at(scale: str, dataset: str, records: Iterable[dict]) -> Measured:
    """What was measured on a data set at one of `SCALES`."""
    records = list(records)
    small = Measured(records, SCALES["small"].recipe(dataset))
    if scale == "small":
        return small
    return Measured(records, SCALES[scale].recipe(dataset), small)


def pooled_cells() -> list[Cell]:
    """The cells that share one variance between seeds."""
    return [cell for cell in grids.CELLS["all"] if cell[0] in POOLED]


def judge_all(
    records: Iterable[dict], scale: str = "small", datasets: Iterable[str] = SETS
) -> list[Judged]:
    """Every part of every claim on every data set, for the runs of one of `SCALES`."""
    records = list(records)
    judged = []
    for dataset in datasets:
        if not SCALES[scale].has(dataset):
            continue
        measured = measured_at(scale, dataset, records)
        for part in parts(dataset):
            found = measured.estimate(part)
            verdict = word(found, part.bar)
            judged.append(Judged(part, dataset, found, verdict, measured.missing(part)))
    return judged


def overall(judged: Iterable[Judged], claim: str) -> tuple[Estimate, str]:
    """A claim's effect and word over the paper's own data sets, by its primary part."""
    primary = [
        one
        for one in judged
        if one.part.claim == claim and one.part.primary and one.dataset in DATASETS
    ]
    found, bar = join((one.part, one.found) for one in primary)
    return found, word(found, bar)


def best_in_the_middle(records: Iterable[dict], base: Recipe) -> tuple[int, int]:
    """In how many seeds the probe is best at 0.2 or 0.3 (C10), and how many seeds have all taus."""
    curve = Runs(records, base).over("contrastive", grids.TAUS, "probe")
    if len(curve) == 0:
        return 0, 0
    best = curve.idxmax(axis=1)
    return int(best.isin([0.2, 0.3]).sum()), len(curve)


def first_edition() -> pd.DataFrame:
    """What the first edition said of `small`, by its own rule: claim, dataset, verdict."""
    return pd.read_csv(Path(__file__).with_name("first_edition.csv"))
