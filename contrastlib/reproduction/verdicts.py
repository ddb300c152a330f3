"""The rule by which a claim of the paper counts as reproduced, and the intervals that it needs.

Every claim has one primary part, which alone decides it; its other parts are details. A part is an
effect: a number that the claim says is above zero. Its verdict is one of five words:

- "reproduced": the 95 % interval lies above zero and the mean is at least the bar, half of the
  paper's own effect;
- "smaller than in the paper": the interval lies above zero and the mean is below the bar;
- "undecided": the interval holds zero;
- "opposite here": the interval lies below zero;
- "not run": a run is missing.

Where the paper prints no number, the bar is zero. Where a claim says that two things are as good,
the effect is the raw difference plus a margin, and both are shown. A yes or no is a count of seeds
and has no interval.

Intervals. Three seeds have two degrees of freedom, and an interval on them alone is luck. So the
variance between seeds is pooled over the cells of one data set, one recipe and one measure, if
Bartlett's test does not refuse at 5 % that their spreads are alike. Where it does, where an effect
is no weighted sum of cells, and where it takes a cell outside the pool, such as an untrained net,
the interval is Student's t over the seeds' own effects. (The last of these was added after the runs
of `small` had been judged: untrained nets had been given the narrower spread of trained ones.) A
recipe with fewer than `ENOUGH` degrees of freedom borrows its variance from `small`: pooled if
alike there, else that of the same effect there; such an interval is marked as borrowed. (So does an
effect that would have no interval otherwise, because it rests on one seed and cannot be pooled.
This was added before `desk` had a second seed.)

Several data sets. The overall word of a claim is judged by the mean of its effects, as multiples of
the paper's, over the paper's own data sets of one recipe. Other data sets are a transfer: they have
a word of their own and no say.

The first edition judged its runs of the recipe `small` by another rule; what it said is in
first_edition.csv. For those runs this rule is new, and their data had been seen. For all others it
was written down before the first of them.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from contrastlib.reproduction.run_index import Cell, Measure, label

__all__ = ["WORDS", "Estimate", "Part", "Spread", "estimate", "interval", "join", "spread", "word"]

WORDS = ("reproduced", "smaller than in the paper", "undecided", "opposite here", "not run")
LEVEL = 0.95
ENOUGH = 10  # degrees of freedom between seeds


@dataclass(frozen=True)
class Part:
    """One effect of a claim.

    says: what the effect is. measure: what is read from a run. weights: the effect as a weighted
    sum of cells' means. combine: where it is no such sum, a function from a frame of the cells'
    values (a row for each seed, a column for each cell) to the effect of each seed; the cells are
    then the keys of weights. paper: the same effect in the paper, None where it prints no number.
    margin: what is added to the raw difference where a claim says "as good".
    """

    claim: str
    says: str
    measure: Measure
    weights: Mapping[Cell, float]
    combine: Callable[[pd.DataFrame], pd.Series] | None = None
    paper: float | None = None
    margin: float = 0.0
    primary: bool = False

    @property
    def bar(self) -> float:
        """What the mean has to reach: half of the paper's effect, or zero."""
        if self.paper is None:
            return 0.0
        return self.paper / 2

    @property
    def unit(self) -> float:
        """What an effect is divided by so that effects of several data sets can be averaged."""
        if self.paper is None:
            return 1.0
        return self.paper

    def by_seed(self, values: pd.DataFrame) -> pd.Series:
        """The effect of each seed that has all cells, margin included."""
        values = values.dropna()
        if self.combine is not None:
            return self.combine(values) + self.margin
        effects = pd.Series(0.0, index=values.index)
        for cell, weight in self.weights.items():
            effects = effects + weight * values[label(cell)]
        return effects + self.margin


@dataclass(frozen=True)
class Spread:
    """How much runs differ between seeds: variance, its degrees of freedom, and Bartlett's p that
    cells are alike.
    """

    variance: float
    freedom: int
    p: float

    @property
    def alike(self) -> bool:
        """Whether the cells may be pooled."""
        return self.freedom > 0 and self.p >= 1 - LEVEL


@dataclass(frozen=True)
class Estimate:
    """An effect with its 95 % interval.

    effect, low and high are NaN where a run is missing; low and high are infinite where one seed
    has no variance to borrow. seeds: the fewest seeds of any cell. error and freedom: standard
    error and its degrees of freedom. how: "pooled", "t", "borrowed" or "none".
    """

    effect: float
    low: float
    high: float
    seeds: int
    error: float
    freedom: float
    how: str


NOT_RUN = Estimate(math.nan, math.nan, math.nan, 0, math.nan, 0, "none")


def interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of the mean by Student's t: infinite for one value, NaN for none."""
    array = np.asarray(list(values), dtype=float)
    count = len(array)
    if count == 0:
        return math.nan, math.nan, math.nan
    mean = float(array.mean())
    if count == 1:
        return mean, -math.inf, math.inf
    error = array.std(ddof=1) / math.sqrt(count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * error)
    return mean, mean - half, mean + half


def spread(groups: Iterable[Iterable[float]]) -> Spread:
    """The variance within groups of values, pooled over those that have at least two."""
    arrays = [np.asarray(list(group), dtype=float) for group in groups]
    arrays = [array for array in arrays if len(array) > 1]
    freedom = sum(len(array) - 1 for array in arrays)
    if freedom == 0:
        return Spread(math.nan, 0, math.nan)
    squares = sum(((array - array.mean()) ** 2).sum() for array in arrays)
    p = 1.0
    if len(arrays) > 1:
        constant = any(array.std() == 0 for array in arrays)
        p = 0.0 if constant else float(stats.bartlett(*arrays).pvalue)
    return Spread(float(squares / freedom), freedom, p)


def estimate(
    part: Part, values: pd.DataFrame, pool: Spread, borrow: tuple[pd.DataFrame, Spread] | None
) -> Estimate:
    """A part's effect and interval.

    values: the measure by seed (rows) and cell (columns) of the runs to be judged, NaN where a run
    is missing. pool: the spread of all cells of that recipe. borrow: the same two of the recipe
    `small`, for runs of another recipe.
    """
    counts = values.count()
    seeds = int(counts.min()) if len(counts) else 0
    if seeds == 0:
        return NOT_RUN
    pooled = _pooled(part, values, pool, "pooled")
    paired = _paired(part, values, values, "t")
    borrowed = None
    if borrow is not None:
        small_values, small_pool = borrow
        borrowed = _pooled(part, values, small_pool, "borrowed")
        borrowed = borrowed or _paired(part, values, small_values, "borrowed")
    choices = [pooled, paired, borrowed]
    if pool.freedom < ENOUGH:
        choices = [borrowed, pooled, paired]
    for found in choices:
        if found is not None:
            return found
    effect = _effect_of_means(part, values)
    return Estimate(effect, -math.inf, math.inf, seeds, math.inf, 0, "none")


def _pooled(part: Part, values: pd.DataFrame, pool: Spread, how: str) -> Estimate | None:
    """The effect of the cells' means, and its interval by a variance that all cells share; None
    where the cells are not alike or the effect is no weighted sum of them.
    """
    if part.combine is not None or not pool.alike:
        return None
    counts = values.count()
    share = 0.0  # of the variance between seeds that is the effect's own
    for cell, weight in part.weights.items():
        share += weight**2 / counts[label(cell)]
    error = math.sqrt(pool.variance * share)
    effect = _effect_of_means(part, values)
    return _with_interval(effect, error, pool.freedom, int(counts.min()), how)


def _paired(
    part: Part, values: pd.DataFrame, spread_from: pd.DataFrame, how: str
) -> Estimate | None:
    """The mean of the seeds' own effects, and its interval by how much the effect differs between
    the seeds of `spread_from`; None where those are fewer than two.
    """
    own = part.by_seed(values)
    there = part.by_seed(spread_from)
    if len(own) == 0 or len(there) < 2:
        return None
    error = float(there.std(ddof=1)) / math.sqrt(len(own))
    return _with_interval(float(own.mean()), error, len(there) - 1, len(own), how)


def _effect_of_means(part: Part, values: pd.DataFrame) -> float:
    """The weighted sum of the cells' means, or the mean over seeds where it is no such sum."""
    if part.combine is not None:
        return float(part.by_seed(values).mean())
    effect = part.margin
    for cell, weight in part.weights.items():
        effect += weight * values[label(cell)].mean()
    return float(effect)


def _with_interval(effect: float, error: float, freedom: float, seeds: int, how: str) -> Estimate:
    """The estimate with the 95 % interval that belongs to a standard error."""
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * error)
    return Estimate(effect, effect - half, effect + half, seeds, error, freedom, how)


def word(found: Estimate, bar: float) -> str:
    """The verdict on an effect."""
    if math.isnan(found.effect):
        return "not run"
    if found.low > 0 and found.effect >= bar:
        return "reproduced"
    if found.low > 0:
        return "smaller than in the paper"
    if found.high < 0:
        return "opposite here"
    return "undecided"


def join(found: Iterable[tuple[Part, Estimate]]) -> tuple[Estimate, float]:
    """The mean over data sets of one part's effects, each divided by the paper's where it has one,
    and the bar.

    Data sets that were not run are left out. The degrees of freedom are Satterthwaite's.
    """
    pairs = [(part, one) for part, one in found if not math.isnan(one.effect)]
    if not pairs:
        return NOT_RUN, 0.0
    effect = float(np.mean([one.effect / part.unit for part, one in pairs]))
    bar = float(np.mean([part.bar / part.unit for part, _ in pairs]))
    variances = [(one.error / part.unit / len(pairs)) ** 2 for part, one in pairs]
    variance = sum(variances)
    seeds = min(one.seeds for _, one in pairs)
    how = " and ".join(dict.fromkeys(one.how for _, one in pairs))
    if not math.isfinite(variance):
        return Estimate(effect, -math.inf, math.inf, seeds, math.inf, 0, how), bar
    error = math.sqrt(variance)
    squares = 0.0  # Satterthwaite's sum
    for its_variance, (_, one) in zip(variances, pairs, strict=True):
        if one.freedom > 0:
            squares += its_variance**2 / one.freedom
    freedom = math.inf
    if squares > 0:
        freedom = variance**2 / squares
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * error)
    return Estimate(effect, effect - half, effect + half, seeds, error, freedom, how), bar
