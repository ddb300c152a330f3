"""From runs to verdicts: effects by seed, their intervals, and the rule by which a claim counts as reproduced.

An effect is a number that a claim says is above zero. Over seeds it has a mean and a 95 % interval (Student's t), by
differences within a seed where two runs are compared. What is asked of it was fixed before any run of the sweep: to be
"reproduced", its interval lies above zero and its mean is at least the bar. "partly" is a positive mean of which only
one of the two is true. "not at this scale" is all else, and "not run" says that runs are missing.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from contrastlib.reproduction import grids
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["VERDICTS", "Finding", "Runs", "interval", "judge", "overall", "per_seed"]

VERDICTS = ("reproduced", "partly", "not at this scale", "not run")


@dataclass(frozen=True)
class Finding:
    """One part of a claim on one data set: its effect, 95 % interval, bar, number of seeds and verdict.

    effect, low and high are NaN where nothing was run; low and high are infinite with one seed. Of a formula (dataset
    "any") they are the range over its scenes, which seeds counts. missing: the cells without a finished run, such as
    "hard 0.3".
    """

    claim: str
    part: str
    dataset: str
    effect: float
    low: float
    high: float
    bar: float
    seeds: int
    verdict: str
    missing: tuple[str, ...] = ()


class Runs:
    """The finished runs of one recipe's cells. `missing` names the cells that were asked for in vain."""

    def __init__(self, records: Iterable[dict], base: Recipe):
        self.records = {record["id"]: record for record in records if record["status"] == "finished"}
        self.base = base
        self.missing: dict[str, None] = {}  # in order, each once

    def __call__(self, loss: str, tau: float | None, measure: str | Callable[[dict], float]) -> pd.Series:
        """A measure by seed, such as "probe", or a function of a record."""
        found = per_seed(self.records.values(), grids.cell(self.base, loss, tau))
        if not found:
            self.missing[loss if tau is None else f"{loss} {tau:g}"] = None
        read = measure if callable(measure) else lambda record: record["metrics"][measure]
        return pd.Series({seed: read(record) for seed, record in found.items()}, dtype=float)

    def over(self, loss: str, taus: Iterable[float], measure: str | Callable[[dict], float]) -> pd.DataFrame:
        """A measure by seed (rows) and temperature (columns), of the seeds that have them all."""
        return pd.DataFrame({tau: self(loss, tau, measure) for tau in taus}).dropna()


def per_seed(records: Iterable[dict], recipe: Recipe) -> dict[int, dict]:
    """The records of a recipe, by seed: those that differ from it in nothing else."""
    by_id = {record["id"]: record for record in records}
    seeds = sorted({record["seed"] for record in by_id.values()})
    found = {seed: by_id.get(run_id(replace(recipe, seed=seed))) for seed in seeds}
    return {seed: record for seed, record in found.items() if record is not None}


def interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of the mean by Student's t: infinite for one value, NaN for none."""
    x = np.asarray(list(values), dtype=float)
    if len(x) == 0:
        return math.nan, math.nan, math.nan
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)) if len(x) > 1 else math.inf
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def judge(effect: float, low: float, bar: float) -> str:
    """The verdict on one effect, by the rule above."""
    if math.isnan(effect):
        return "not run"
    if low > 0 and effect >= bar:
        return "reproduced"
    return "partly" if effect > 0 and (low > 0 or effect >= bar) else "not at this scale"


def overall(claim: str, findings: Iterable[Finding], dataset: str | None = None) -> str:
    """The verdict on a claim for a data set, or, with None, for all those on which all of its parts were run.

    All parts must be reproduced, else it is "partly", unless all have one other verdict. What a claim says of formulas
    is part of it on every data set.
    """
    parts = [finding for finding in findings if finding.claim == claim]
    if dataset is not None:
        verdicts = {part.verdict for part in parts if part.dataset in (dataset, "any")}
        if "not run" in verdicts:
            return "not run"
    else:
        names = {part.dataset for part in parts}
        names = names - {"any"} or names
        verdicts = {overall(claim, parts, name) for name in names} - {"not run"}
    return "not run" if not verdicts else verdicts.pop() if len(verdicts) == 1 else "partly"
