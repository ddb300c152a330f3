"""What the paper claims, and what each claim is judged by: see `verdicts` for how.

Ten claims are about trained encoders: C3 and C5 to C13. Each has one primary part, which decides
it, and details. Four more, C1, C2, C4 and C14, and the limit of C3, are statements about formulas.
No run can refute them; they are checked on random similarities, in `identities`.

The primary parts, and why these:

- C3 (Eq 6 teaches nothing useful): the probe of a net trained on Eq 6 is at most one point above
  that of an untrained net whose batch normalisation has seen the images as often. A net that never
  saw an image is a detail: the difference could be batch normalisation's alone.
- C5, C6 (uniformity falls and tolerance rises with tau): between the ends of Table 1's
  temperatures, 0.07 and 1.
- C7, C8 (the hard loss is more uniform and less tolerant, and nearly the same at every tau): the
  mean over Table 1's temperatures. How much each varies with tau is a detail.
- C9 (the gap between the positive and its nearest negatives grows as tau falls): at 0.07 and at 1.
- C10 (accuracy against tau is an inverted U with its best at 0.2 or 0.3): the left side, the mean
  of 0.2 and 0.3 minus 0.07. The right side, on which nobody differs, is a detail, and so is how
  many seeds are best at 0.2 or 0.3.
- C11 (the hard loss is as good or better at large tau): at tau = 1, against the ordinary loss.
- C12 (the simple loss is worse, and hard negatives make it competitive): what hard negatives gain.
- C13 (on the map classes cluster at 0.2 and not at 0.07): the silhouette of the classes at 0.2
  minus that at 0.07.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from contrastlib.reproduction.paper_table import DATASETS, table1
from contrastlib.reproduction.run_index import Cell, label
from contrastlib.reproduction.verdicts import Part

__all__ = ["CLAIMS", "SETS", "parts"]

CLAIMS = {
    "C3": "Training on the limit of small temperatures (Eq 6) learns nothing useful.",
    "C5": "Uniformity falls as tau rises (Fig 4).",
    "C6": "Tolerance rises with tau (Fig 5).",
    "C7": "With the hard loss uniformity is higher, and nearly the same at every tau (Fig 6).",
    "C8": "With the hard loss tolerance is lower, and changes little with tau (Fig 7).",
    "C9": "The gap between the positive and its nearest negatives grows as tau falls, and the "
    "positive similarity tends to 1 as tau rises (Fig 8).",
    "C10": "Accuracy against tau is an inverted U with its best at 0.2 or 0.3 (Fig 9).",
    "C11": "The hard loss is as good or better at large tau (Fig 9).",
    "C12": "The simple loss is clearly worse, and hard negatives make it competitive (Table 1).",
    "C13": "On the t-SNE map classes cluster at tau = 0.2, and not at 0.07 (Fig 2).",
}
SETS = (*DATASETS, "fashion-mnist")  # the last is not in the paper: a transfer
TAUS = (0.07, 0.3, 0.7, 1.0)  # those of Table 1
POINT = 0.01  # the margin of "as good": one point of accuracy


def gap(record: dict) -> float:
    """The positive similarity minus that of the nearest negative, both averaged over the anchors
    (Fig 8).
    """
    return record["metrics"]["positive_similarity"] - record["metrics"]["neighbour_similarities"][0]


def silhouette(record: dict) -> float:
    """How well the classes hold together on the t-SNE map: the mean silhouette coefficient of its
    points, in [-1, 1].

    Rousseeuw (1987): (b - a) / max(a, b), where a is a point's mean distance to its own class, and
    b that to the nearest other class; 0 where both are 0, as after a collapse. NaN without a map.
    """
    if not record["map"]:
        return math.nan
    points = np.stack([record["map"]["x"], record["map"]["y"]], axis=1).astype(float)
    classes, labels = np.unique(record["map"]["label"], return_inverse=True)
    rows = np.arange(len(points))
    membership = np.eye(len(classes))[labels]  # [N, C]
    counts = membership.sum(axis=0)  # [C]
    totals = cdist(points, points) @ membership  # [N, C], the distances to each class, added up
    own = totals[rows, labels] / np.maximum(counts[labels] - 1, 1)
    means = totals / counts
    means[rows, labels] = np.inf
    other = means.min(axis=1)
    largest = np.maximum(own, other)
    coefficients = np.divide(other - own, largest, out=np.zeros_like(own), where=largest > 0)
    coefficients[counts[labels] == 1] = 0
    return float(coefficients.mean())


def least_rise(values: pd.DataFrame) -> pd.Series:
    """The least rise from one column to the next: above zero where the curve rises all along."""
    return values.diff(axis=1).iloc[:, 1:].min(axis=1)


def least_fall(values: pd.DataFrame) -> pd.Series:
    """The least fall from one column to the next."""
    return least_rise(-values)


def spread_over_tau(values: pd.DataFrame, loss: str) -> pd.Series:
    """The largest value of a loss minus its smallest, over Table 1's temperatures."""
    mine = values[[label((loss, tau)) for tau in TAUS]]
    return mine.max(axis=1) - mine.min(axis=1)


def ordinary_varies_more(values: pd.DataFrame) -> pd.Series:
    """By how much more the ordinary loss's values vary with tau than the hard loss's."""
    return spread_over_tau(values, "contrastive") - spread_over_tau(values, "hard")


def share_of_the_way_to_one(values: pd.DataFrame) -> pd.Series:
    """Of what the positive similarity at 0.07 lacks to 1, the share that is gained at tau = 1,
    minus one half.
    """
    low = values[label(("contrastive", 0.07))]
    high = values[label(("contrastive", 1.0))]
    return (high - low) / (1 - low) - 0.5


def parts(dataset: str) -> list[Part]:
    """All parts of all claims for a data set; of one that the paper does not have, with CIFAR-10's
    bars.
    """
    source = dataset if dataset in DATASETS else "cifar10"
    return [*geometry(source), *accuracy(source)]


def geometry(source: str) -> Iterator[Part]:
    """The parts about uniformity, tolerance and neighbours."""
    uniform = table1(source, "uniformity")
    tolerant = table1(source, "tolerance")
    ordinary = {("contrastive", tau): 1.0 for tau in TAUS}
    both = ordinary | {("hard", tau): 1.0 for tau in TAUS}
    falls = {("contrastive", 0.07): 1.0, ("contrastive", 1.0): -1.0}
    rises = {("contrastive", 0.07): -1.0, ("contrastive", 1.0): 1.0}
    hard_minus_ordinary = {("hard", tau): 0.25 for tau in TAUS} | {
        ("contrastive", tau): -0.25 for tau in TAUS
    }
    ordinary_minus_hard = {cell: -weight for cell, weight in hard_minus_ordinary.items()}

    def in_paper(weights: dict[Cell, float], table: dict) -> float:
        return sum(weight * table[cell] for cell, weight in weights.items())

    def varies_in_paper(table: dict) -> float:
        frame = pd.DataFrame({label(cell): [table[cell]] for cell in both})
        return ordinary_varies_more(frame).item()

    yield Part(
        "C5",
        "uniformity at 0.07 minus at 1",
        "uniformity",
        falls,
        paper=in_paper(falls, uniform),
        primary=True,
    )
    yield Part(
        "C5", "least fall of uniformity over 0.07, 0.3, 0.7, 1", "uniformity", ordinary, least_fall
    )
    yield Part(
        "C6",
        "tolerance at 1 minus at 0.07",
        "tolerance",
        rises,
        paper=in_paper(rises, tolerant),
        primary=True,
    )
    yield Part(
        "C6", "least rise of tolerance over 0.07, 0.3, 0.7, 1", "tolerance", ordinary, least_rise
    )
    yield Part(
        "C7",
        "mean uniformity, hard minus ordinary",
        "uniformity",
        hard_minus_ordinary,
        paper=in_paper(hard_minus_ordinary, uniform),
        primary=True,
    )
    yield Part(
        "C7",
        "range of uniformity over tau, ordinary minus hard",
        "uniformity",
        both,
        ordinary_varies_more,
        paper=varies_in_paper(uniform),
    )
    yield Part(
        "C8",
        "mean tolerance, ordinary minus hard",
        "tolerance",
        ordinary_minus_hard,
        paper=in_paper(ordinary_minus_hard, tolerant),
        primary=True,
    )
    yield Part(
        "C8",
        "range of tolerance over tau, ordinary minus hard",
        "tolerance",
        both,
        ordinary_varies_more,
        paper=varies_in_paper(tolerant),
    )
    yield Part(
        "C9", "positive minus nearest negative, at 0.07 minus at 1", gap, falls, primary=True
    )
    yield Part("C9", "least fall of that gap over 0.07, 0.3, 0.7, 1", gap, ordinary, least_fall)
    yield Part(
        "C9",
        "share of the way to 1 that the positive similarity goes from 0.07 to 1, minus one half",
        "positive_similarity",
        falls,
        share_of_the_way_to_one,
    )
    clustered = {("contrastive", 0.2): 1.0, ("contrastive", 0.07): -1.0}
    yield Part(
        "C13",
        "silhouette of the classes on the map, at 0.2 minus at 0.07",
        silhouette,
        clustered,
        primary=True,
    )


def accuracy(source: str) -> Iterator[Part]:
    """The parts about the linear probe, in [0, 1]."""
    paper = table1(source, "probe")

    def difference(first: Cell, second: Cell) -> dict[Cell, float]:
        return {first: 1.0, second: -1.0}

    def in_paper(first: Cell, second: Cell) -> float:
        return paper[first] - paper[second]

    eq6 = ("triplet_limit", 0.07)
    yield Part(
        "C3",
        "probe of an untrained net with batch statistics, minus that of Eq 6",
        "probe",
        difference(("batch_norm", None), eq6),
        margin=POINT,
        primary=True,
    )
    yield Part(
        "C3",
        "probe of a net that never saw an image, minus that of Eq 6",
        "probe",
        difference(("none", None), eq6),
        margin=POINT,
    )
    best = {("contrastive", 0.2): 0.5, ("contrastive", 0.3): 0.5}
    yield Part(
        "C10",
        "mean probe at 0.2 and 0.3, minus at 0.07",
        "probe",
        best | {("contrastive", 0.07): -1.0},
        paper=in_paper(("contrastive", 0.3), ("contrastive", 0.07)),
        primary=True,
    )
    yield Part(
        "C10",
        "mean probe at 0.2 and 0.3, minus at 1",
        "probe",
        best | {("contrastive", 1.0): -1.0},
        paper=in_paper(("contrastive", 0.3), ("contrastive", 1.0)),
    )
    hard = ("hard", 1.0)
    ordinary_at_1 = ("contrastive", 1.0)
    yield Part(
        "C11",
        "probe at 1, hard minus ordinary",
        "probe",
        difference(hard, ordinary_at_1),
        paper=in_paper(hard, ordinary_at_1),
        primary=True,
    )
    yield Part(
        "C11",
        "probe of the hard loss, at 1 minus at 0.3",
        "probe",
        difference(hard, ("hard", 0.3)),
        margin=POINT,
    )
    simple = ("simple", None)
    hard_simple = ("hard_simple", None)
    ordinary_at_03 = ("contrastive", 0.3)
    yield Part(
        "C12",
        "probe, hard simple minus simple",
        "probe",
        difference(hard_simple, simple),
        paper=in_paper(hard_simple, simple),
        primary=True,
    )
    yield Part(
        "C12",
        "probe, ordinary at 0.3 minus simple",
        "probe",
        difference(ordinary_at_03, simple),
        paper=in_paper(ordinary_at_03, simple),
    )
    yield Part(
        "C12",
        "probe, hard simple minus ordinary at 0.3",
        "probe",
        difference(hard_simple, ordinary_at_03),
        margin=POINT,
    )
