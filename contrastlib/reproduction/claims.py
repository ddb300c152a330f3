"""What the paper claims, and what each claim is judged by: see `verdict_rule` for how.

Ten claims are about trained encoders: C3 and C5 to C13. Each has one primary part, which decides it, and details. Four
more, C1, C2, C4 and C14, and the limit of C3, are statements about formulas. No run can refute them; they are checked
on random similarities, in a table of their own.

The primary parts, and why these:

- C3 (Eq 6 teaches nothing useful): the probe of a net trained on Eq 6 is at most one point above that of an untrained
  net whose batch normalisation has seen the images as often. A net that never saw an image is a detail: the difference
  could be batch normalisation's alone.
- C5, C6 (uniformity falls and tolerance rises with tau): between the ends of Table 1's temperatures, 0.07 and 1.
- C7, C8 (the hard loss is more uniform and less tolerant, and nearly the same at every tau): the mean over Table 1's
  temperatures. How much each varies with tau is a detail.
- C9 (the gap between the positive and its nearest negatives grows as tau falls): at 0.07 and at 1.
- C10 (accuracy against tau is an inverted U with its best at 0.2 or 0.3): the left side, the mean of 0.2 and 0.3 minus
  0.07. The right side, on which nobody differs, is a detail, and so is how many seeds are best at 0.2 or 0.3.
- C11 (the hard loss is as good or better at large tau): at tau = 1, against the ordinary loss.
- C12 (the simple loss is worse, and hard negatives make it competitive): what hard negatives gain.
- C13 (on the map classes cluster at 0.2 and not at 0.07): the silhouette of the classes at 0.2 minus that at 0.07.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import silhouette_score

from contrastlib import gradients, losses
from contrastlib.reproduction import first_claims, grids
from contrastlib.reproduction.paper_table import DATASETS, table1
from contrastlib.reproduction.verdicts import Cell, Estimate, Measure, Part, Spread, estimate, join, label, spread, word
from contrastlib.training import recipes
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["CLAIMS", "Check", "Judged", "checks", "counts", "judge_all", "overall", "parts"]

CLAIMS = {
    claim: first_claims.CLAIMS[claim] for claim in ("C3", "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C13")
}
TAUS = (0.07, 0.3, 0.7, 1.0)  # those of Table 1
POINT = 0.01  # the margin of "as good": one point of accuracy
POOLED = ("contrastive", "hard", "simple", "hard_simple")  # the losses whose cells share one variance between seeds


@dataclass(frozen=True)
class Judged:
    """One part of a claim on one data set: its estimate, its verdict, and the cells without a finished run."""

    part: Part
    dataset: str
    found: Estimate
    verdict: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """A statement about formulas: the worst distance found, and the largest that would still confirm it."""

    claim: str
    says: str
    worst: float
    allowed: float

    @property
    def holds(self) -> bool:
        return self.worst <= self.allowed


def gap(record: dict) -> float:
    """The positive similarity minus that of the nearest negative, both averaged over the anchors (Fig 8)."""
    return record["metrics"]["positive_similarity"] - record["metrics"]["neighbour_similarities"][0]


def silhouette(record: dict) -> float:
    """How well the classes hold together on the t-SNE map: the mean silhouette coefficient of its points."""
    places = record["map"]
    return float(silhouette_score(np.stack([places["x"], places["y"]], axis=1), places["label"]))


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
    """Of what the positive similarity at 0.07 lacks to 1, the share that is gained at tau = 1, minus one half."""
    low = values[label(("contrastive", 0.07))]
    high = values[label(("contrastive", 1.0))]
    return (high - low) / (1 - low) - 0.5


def parts(dataset: str) -> list[Part]:
    """All parts of all claims for a data set; of one that the paper does not have, with CIFAR-10's bars."""
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
    hard_minus_ordinary = {("hard", tau): 0.25 for tau in TAUS} | {("contrastive", tau): -0.25 for tau in TAUS}
    ordinary_minus_hard = {cell: -weight for cell, weight in hard_minus_ordinary.items()}

    def in_paper(weights: dict[Cell, float], table: dict) -> float:
        return sum(weight * table[cell] for cell, weight in weights.items())

    def varies_in_paper(table: dict) -> float:
        frame = pd.DataFrame({label(cell): [table[cell]] for cell in both})
        return ordinary_varies_more(frame).item()

    yield Part("C5", "uniformity at 0.07 minus at 1", "uniformity", falls, paper=in_paper(falls, uniform), primary=True)
    yield Part("C5", "least fall of uniformity over 0.07, 0.3, 0.7, 1", "uniformity", ordinary, least_fall)
    yield Part("C6", "tolerance at 1 minus at 0.07", "tolerance", rises, paper=in_paper(rises, tolerant), primary=True)
    yield Part("C6", "least rise of tolerance over 0.07, 0.3, 0.7, 1", "tolerance", ordinary, least_rise)
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
    yield Part("C9", "positive minus nearest negative, at 0.07 minus at 1", gap, falls, primary=True)
    yield Part("C9", "least fall of that gap over 0.07, 0.3, 0.7, 1", gap, ordinary, least_fall)
    yield Part(
        "C9",
        "share of the way to 1 that the positive similarity goes from 0.07 to 1, minus one half",
        "positive_similarity",
        falls,
        share_of_the_way_to_one,
    )
    clustered = {("contrastive", 0.2): 1.0, ("contrastive", 0.07): -1.0}
    yield Part("C13", "silhouette of the classes on the map, at 0.2 minus at 0.07", silhouette, clustered, primary=True)


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
        "probe of an untrained net whose batch normalisation has seen the images, minus that of Eq 6",
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
    hard, ordinary = ("hard", 1.0), ("contrastive", 1.0)
    yield Part(
        "C11",
        "probe at 1, hard minus ordinary",
        "probe",
        difference(hard, ordinary),
        paper=in_paper(hard, ordinary),
        primary=True,
    )
    yield Part(
        "C11", "probe of the hard loss, at 1 minus at 0.3", "probe", difference(hard, ("hard", 0.3)), margin=POINT
    )
    simple, hard_simple, ordinary = ("simple", None), ("hard_simple", None), ("contrastive", 0.3)
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
        difference(ordinary, simple),
        paper=in_paper(ordinary, simple),
    )
    yield Part(
        "C12", "probe, hard simple minus ordinary at 0.3", "probe", difference(hard_simple, ordinary), margin=POINT
    )


class Values:
    """Measures of the finished runs of one recipe on one data set, by seed and cell."""

    def __init__(self, records: Iterable[dict], base: Recipe):
        self.finished = {record["id"]: record for record in records if record["status"] == "finished"}
        self.seeds = sorted({record["seed"] for record in self.finished.values()})
        self.base = base

    def frame(self, cells: Iterable[Cell], measure: Measure) -> pd.DataFrame:
        """A row for each seed with any of the cells, a column for each cell, NaN where a run is missing."""
        columns = {}
        for cell in cells:
            column = pd.Series(dtype=float)
            for seed in self.seeds:
                recipe = grids.cell(replace(self.base, seed=seed), *cell)
                record = self.finished.get(run_id(recipe))
                if record is not None:
                    column[seed] = measure(record) if callable(measure) else record["metrics"][measure]
            columns[label(cell)] = column
        return pd.DataFrame(columns, dtype=float)

    def pool(self, measure: Measure) -> Spread:
        """The spread between seeds, over all cells of the four losses."""
        cells = [cell for cell in grids.CELLS["all"] if cell[0] in POOLED]
        values = self.frame(cells, measure)
        return spread(values[column].dropna() for column in values)


def judge_all(
    records: Iterable[dict],
    base: Callable[[str], Recipe] = recipes.small,
    datasets: Iterable[str] = first_claims.SETS,
) -> list[Judged]:
    """Every part of every claim on every data set, for the runs of one recipe, such as `recipes.small`."""
    records = list(records)
    judged = []
    for dataset in datasets:
        mine = Values(records, base(dataset))
        small = None if base is recipes.small else Values(records, recipes.small(dataset))
        for part in parts(dataset):
            values = mine.frame(part.weights, part.measure)
            missing = tuple(name for name in values if values[name].count() == 0)
            if missing:
                values = values.iloc[:0]
            borrow = None
            if small is not None:
                borrow = (small.frame(part.weights, part.measure), small.pool(part.measure))
            found = estimate(part, values, mine.pool(part.measure), borrow)
            judged.append(Judged(part, dataset, found, word(found, part.bar), missing))
    return judged


def overall(judged: Iterable[Judged], claim: str) -> tuple[Estimate, str]:
    """A claim's effect and word over the paper's own data sets, by its primary part."""
    primary = [one for one in judged if one.part.claim == claim and one.part.primary and one.dataset in DATASETS]
    found, bar = join((one.part, one.found) for one in primary)
    return found, word(found, bar)


def counts(records: Iterable[dict], base: Recipe) -> tuple[int, int]:
    """In how many seeds the probe is best at 0.2 or 0.3 among all temperatures (C10), and in how many it was asked."""
    cells = [("contrastive", tau) for tau in grids.TAUS]
    curve = Values(records, base).frame(cells, "probe").dropna()
    if len(curve) == 0:
        return 0, 0
    best = curve.idxmax(axis=1)
    there = best.isin([label(("contrastive", 0.2)), label(("contrastive", 0.3))])
    return int(there.sum()), len(curve)


def checks(scenes: int = 5) -> list[Check]:
    """The statements about formulas, each by its worst case over random similarities (`claims.scene`)."""
    found = []
    for seed in range(scenes):
        found += one_scene(seed)
    worst: dict[tuple, Check] = {}
    for check in found:
        key = (check.claim, check.says)
        if key not in worst or check.worst > worst[key].worst:
            worst[key] = check
    return list(worst.values())


def one_scene(seed: int) -> list[Check]:
    """All checks on one set of similarities."""
    s_pos, s_neg = first_claims.scene(seed)
    negatives = s_neg.shape[1]
    leaf_pos, leaf_neg = s_pos.clone().requires_grad_(), s_neg.clone().requires_grad_()
    g_pos, g_neg = torch.autograd.grad(losses.contrastive(leaf_pos, leaf_neg, 0.2).sum(), (leaf_pos, leaf_neg))
    balance = ((g_pos + g_neg.sum(dim=1)) / g_pos).abs().max().item()
    entropies = torch.stack([gradients.entropy(gradients.relative_penalty(s_neg, tau)) for tau in grids.TAUS])
    steepest_fall = -entropies.diff(dim=0).min().item()

    small_taus = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
    from_eq6 = [losses.contrastive(s_pos, s_neg, t) - losses.triplet_limit(s_pos, s_neg, t) for t in small_taus]
    below_eq6 = -min(difference.min().item() for difference in from_eq6)
    above_bound6 = max(difference.max().item() for difference in from_eq6) - math.log(negatives + 1)
    at_the_end = from_eq6[-1].abs().max().item()

    large_taus = (1.0, 10.0, 100.0, 1000.0)
    from_eq7 = [losses.contrastive(s_pos, s_neg, t) - losses.simple_limit(s_pos, s_neg, t) for t in large_taus]
    below_eq7 = -min(difference.min().item() for difference in from_eq7)
    above_bound7 = max(
        difference.max().item() - 1 / (2 * t**2) for difference, t in zip(from_eq7, large_taus, strict=True)
    )
    exchange = 1e-12 - first_claims.c14_slack(seed)
    return [
        Check("C1", "relative difference of the two sides' gradients", balance, 1e-10),
        Check("C2", "largest fall of the entropy as tau rises from 0.02 to 1, in nats", steepest_fall, 0.0),
        Check("C3", "distance from Eq 6 at tau = 0.000001", at_the_end, 1e-3),
        Check("C3", "how far below Eq 6, over seven tau from 1 to 0.000001", below_eq6, 1e-9),
        Check("C3", "how far above the bound Eq 6 + log(M + 1)", above_bound6, 0.0),
        Check("C4", "distance from Eq 7 at tau = 1000", from_eq7[-1].abs().max().item(), 1e-6),
        Check("C4", "how far below Eq 7, over four tau from 1 to 1000", below_eq7, 1e-9),
        Check("C4", "how far above the bound Eq 7 + 1 / (2 tau^2)", above_bound7, 0.0),
        Check("C14", "change of the four losses when two instances are exchanged", exchange, 1e-12),
    ]
