"""From runs to verdicts: every part of every claim is judged by the rule of `verdicts`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from contrastlib.reproduction import grids
from contrastlib.reproduction.claims import SETS, parts
from contrastlib.reproduction.paper_table import DATASETS
from contrastlib.reproduction.run_index import SCALES, Cell, Measure, Runs
from contrastlib.reproduction.verdicts import Estimate, Part, Spread, estimate, join, spread, word
from contrastlib.training.recipes import Recipe

__all__ = ["Judged", "Measured", "best_in_the_middle", "first_edition", "judge_all", "overall"]

POOLED = ("contrastive", "hard", "simple", "hard_simple")  # losses that share one variance
NO_SPREAD = Spread(math.nan, 0, math.nan)


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
    """The values of one recipe's cells, and their spread between seeds, each worked out once."""

    def __init__(self, records: Iterable[dict], base: Recipe):
        self.runs = Runs(records, base)
        self.spreads: dict[Measure, Spread] = {}

    def values(self, part: Part) -> pd.DataFrame:
        """A row for each seed, a column for each cell of the part."""
        return self.runs.values(part.weights, part.measure)

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
        measured = Measured(records, SCALES[scale].recipe(dataset))
        small = None
        if scale != "small":
            small = Measured(records, SCALES["small"].recipe(dataset))
        for part in parts(dataset):
            judged.append(judge_part(part, dataset, measured, small))
    return judged


def judge_part(part: Part, dataset: str, measured: Measured, small: Measured | None) -> Judged:
    """One part on one data set. small: the runs whose variance may be borrowed, or None."""
    values = measured.values(part)
    missing = tuple(name for name in values if values[name].count() == 0)
    if missing:
        values = values.iloc[:0]
    borrow = None
    if small is not None and not missing:
        borrow = (small.values(part), small.spread_for(part))
    pool = NO_SPREAD
    if not missing:
        pool = measured.spread_for(part)
    found = estimate(part, values, pool, borrow)
    return Judged(part, dataset, found, word(found, part.bar), missing)


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
