"""The marks of the run explorer: what was measured of the runs of one loss at one temperature."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from contrastlib.reproduction import aggregate, grids
from contrastlib.reproduction.names import DECIMALS, LOSSES
from contrastlib.reproduction.run_index import SCALES, Runs, metric

SHAPES = {  # the losses shown, and the outline of their marks
    "contrastive": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "hard": "M-4.5-4.5h9v9h-9z",
    "simple": "M0-6L6 5H-6z",
    "hard_simple": "M0-6.5L6.5 0 0 6.5-6.5 0z",
}
OPENING_TAU = 0.07
MEASURES = ("probe", "uniformity", "tolerance")


def columns() -> list[tuple[str, float | None]]:
    """Return the (loss, tau) that are shown; tau is None for a loss without a temperature."""
    columns = []
    for loss in SHAPES:
        taus = grids.TAUS if loss in ("contrastive", "hard") else [None]
        columns += [(loss, tau) for tau in taus]
    return columns


COLUMNS = columns()


@dataclass(frozen=True)
class Mark:
    """The runs of one loss at one temperature on one data set.

    measures: of each measure a row with mean, low, high, values, seeds and diverged (see
    `aggregate`). profile [11, 5]: of the positive and the ten nearest negatives the mean similarity
    and the quantiles 5, 25, 75 and 95 % over anchors, all means over seeds.
    """

    loss: str
    tau: float | None
    measures: dict[str, pd.Series]
    profile: list[list[float]]

    @property
    def kind(self) -> str:
        """The class of the mark's colour."""
        return f"k{list(SHAPES).index(self.loss)}"

    @property
    def title(self) -> str:
        """What the mark is called, such as "ordinary, τ = 0.07"."""
        loss = LOSSES.get(self.loss, self.loss)
        if self.tau is None:
            return loss
        return f"{loss}, τ = {self.tau:g}"

    @property
    def label(self) -> str:
        """What stands beside the mark: "0.07", "hard 0.3", "simple"."""
        return self.title.removeprefix("ordinary, τ = ").replace(", τ =", "")

    @property
    def sentence(self) -> str:
        """The mark's numbers in words."""
        numbers = []
        for measure, name in (
            ("uniformity", "uniformity"),
            ("tolerance", "tolerance"),
            ("probe", "probe accuracy"),
        ):
            numbers.append(f"{name} {self._with_half_interval(measure)}")
        row = self.measures["probe"]
        seeds = f"{row['seeds']} seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
        if row["diverged"] > 0:
            seeds += f", {row['diverged']} diverged"
        means = [mean for mean, *_ in self.profile]
        return (
            f"{self.title.capitalize()} ({seeds}): {', '.join(numbers)}\u00a0%. "
            f"Similarity of the positive {means[0]:.2f}, of the nearest negative {means[1]:.2f}, "
            f"of the tenth {means[-1]:.2f}."
        )

    def _with_half_interval(self, measure: str) -> str:
        row = self.measures[measure]
        digits = DECIMALS[measure]
        text = f"{row['mean']:.{digits}f}"
        if math.isnan(row["high"]):
            return text
        return f"{text} ±\u00a0{row['high'] - row['mean']:.{digits}f}"


def measure_frames(records: list[dict], scale: str, datasets: list[str]) -> dict[str, pd.DataFrame]:
    return {
        measure: aggregate.frame(records, scale, datasets, COLUMNS, measure) for measure in MEASURES
    }


def read_marks(records: list[dict], scale: str, dataset: str) -> list[Mark]:
    """Return a mark for each (loss, tau) that has a finished run."""
    frames = measure_frames(records, scale, [dataset])
    runs = Runs(records, SCALES[scale].recipe(dataset))
    marks = []
    for place, (loss, tau) in enumerate(COLUMNS):
        finished = runs.finished((loss, tau))
        if not finished:
            continue
        measures = {measure: frame.iloc[place] for measure, frame in frames.items()}
        marks.append(Mark(loss, tau, measures, mean_profile(finished.values())))
    return marks


def mean_profile(records: Iterable[dict]) -> list[list[float]]:
    """Of the positive and the ten nearest negatives: mean, 5, 25, 75 and 95 % over anchors; all
    means over seeds.
    """
    seeds = []
    for record in records:
        positive = metric(record, "positive_similarity")
        neighbours = metric(record, "neighbour_similarities")
        quantiles = metric(record, "profile_quantiles")  # [11, 5]
        means = np.array([positive, *neighbours])[:, None]  # [11, 1]
        without_median = np.array(quantiles)[:, [0, 1, 3, 4]]  # [11, 4]
        seeds.append(np.hstack([means, without_median]))
    return np.mean(seeds, axis=0).tolist()


def opening_mark(marks: list[Mark]) -> Mark:
    for mark in marks:
        if mark.tau == OPENING_TAU:
            return mark
    return marks[0]


def means(mark: Mark) -> tuple[float, float]:
    return mark.measures["tolerance"]["mean"], mark.measures["uniformity"]["mean"]


def joined(marks: list[Mark]) -> list[Mark]:
    """Return the ordinary loss's marks that a line joins; at 0.02 training is another, and the line
    would turn back.
    """
    lowest = grids.TAUS[1]
    return [mark for mark in marks if mark.loss == "contrastive" and mark.tau >= lowest]


def neighbours_in_grid(marks: list[Mark]) -> list[tuple[Mark, Mark]]:
    """Return the pairs of joined marks between whose temperatures none of the grid is missing."""
    by_tau = {mark.tau: mark for mark in joined(marks)}
    pairs = []
    for low, high in pairwise(grids.TAUS):
        if low in by_tau and high in by_tau:
            pairs.append((by_tau[low], by_tau[high]))
    return pairs
