"""The paper's claims C1 to C14, each as a function that yields what to judge it by: effects above zero if it is true.

What the paper says of formulas is judged on random similarities, what it says of trained encoders on runs, with the
verdicts of `verdicts`. The bar of an effect is half of what Table 1 of the paper shows for that data set (CIFAR-10's
where it has none), and 0 where the paper prints no number. Where a claim is that two things are as good, the effect is
what they differ by, plus a margin of one per cent. All this was fixed before any run of the sweep.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import silhouette_score

from contrastlib import gradients, losses
from contrastlib.reproduction import grids
from contrastlib.reproduction.first_rule import Finding, Runs, interval, judge
from contrastlib.reproduction.paper_table import DATASETS, table1
from contrastlib.training import recipes
from contrastlib.training.recipes import Recipe

__all__ = ["CLAIMS", "findings"]

TAUS = (0.07, 0.3, 0.7, 1.0)  # those of Table 1
MARGIN = 0.01
SETS = (*DATASETS, "fashion-mnist")
Parts = Iterator[tuple[str, pd.Series, float]]  # what is compared, effect by seed, bar

CLAIMS = {
    "C1": "The negatives' gradients sum to the positive's in size (Eq 4).",
    "C2": "The entropy of the relative penalties falls as tau falls (Eq 5).",
    "C3": "As tau tends to 0 the loss becomes a triplet loss (Eq 6), and training on that learns nothing useful.",
    "C4": "As tau tends to infinity the loss becomes the simple loss (Eq 7).",
    "C5": "Uniformity falls as tau rises (Fig 4).",
    "C6": "Tolerance rises with tau (Fig 5).",
    "C7": "With the hard loss uniformity is higher, and nearly the same at every tau (Fig 6).",
    "C8": "With the hard loss tolerance is lower, and changes little with tau (Fig 7).",
    "C9": "The gap between the positive and its nearest negatives grows as tau falls, and the positive similarity "
    "tends to 1 as tau rises (Fig 8).",
    "C10": "Accuracy against tau is an inverted U with its best at 0.2 or 0.3 (Fig 9).",
    "C11": "The hard loss is as good or better at large tau (Fig 9).",
    "C12": "The simple loss is clearly worse, and hard negatives make it competitive (Table 1).",
    "C13": "On the t-SNE map classes cluster at tau = 0.2, and not at 0.07 (Fig 2).",
    "C14": "Exchanging two instances together with their views leaves the loss as it is (Fig 1).",
}


def findings(
    records: Iterable[dict],
    base: Callable[[str], Recipe] = recipes.small,
    datasets: Iterable[str] = SETS,
) -> list[Finding]:
    """Every part of every claim: those about formulas once, those about training for each data set.

    base: the recipe of the runs to judge by, as a function of the data set, such as `recipes.small`.
    """
    records, datasets, found = list(records), list(datasets), []
    for claim in CLAIMS:
        if claim in FORMULAS:
            part, slack = FORMULAS[claim]
            found.append(formula(claim, part, [slack(seed) for seed in range(5)]))
        for dataset in datasets if claim in TRAINING else ():
            runs = Runs(records, base(dataset))
            for part, effects, bar in TRAINING[claim](runs):
                effects = effects.dropna()
                mean, low, high = interval(effects)
                verdict = judge(mean, low, bar)
                missing = tuple(runs.missing) if verdict == "not run" else ()
                found.append(Finding(claim, part, dataset, mean, low, high, bar, len(effects), verdict, missing))
    return found


def formula(claim: str, part: str, slack: list[float]) -> Finding:
    """The finding on a formula: true where the slack of its bound is above zero in all scenes; their mean and range."""
    verdict = "reproduced" if min(slack) > 0 else "not at this scale"
    return Finding(claim, part, "any", float(np.mean(slack)), min(slack), max(slack), 0.0, len(slack), verdict)


def scene(seed: int, m: int = 4095) -> tuple[torch.Tensor, torch.Tensor]:
    """Positive similarities [16] and negatives [16, m], uniform in [-1, 1], in float64."""
    s = torch.rand(16, m + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return s[:, 0], s[:, 1:]


def c1_slack(seed: int) -> float:
    s_pos, s_neg = (s.requires_grad_() for s in scene(seed))
    g_pos, g_neg = torch.autograd.grad(losses.contrastive(s_pos, s_neg, 0.2).sum(), (s_pos, s_neg))
    return 1e-10 - ((g_pos.abs() - g_neg.sum(dim=1)) / g_pos).abs().max().item()


def c2_slack(seed: int) -> float:
    s_neg = scene(seed)[1]
    h = [gradients.entropy(gradients.relative_penalty(s_neg, tau)) for tau in grids.TAUS]
    return torch.stack(h).diff(dim=0).min().item()


def c3_slack(seed: int) -> float:
    s_pos, s_neg = scene(seed)
    taus = (1.0, 0.1, 0.01, 0.001)
    gap = torch.stack([losses.contrastive(s_pos, s_neg, t) - losses.triplet_limit(s_pos, s_neg, t) for t in taus])
    return min(gap.min().item() + 1e-9, math.log(s_neg.shape[1] + 1) - gap.max().item())


def c4_slack(seed: int) -> float:
    s_pos, s_neg = scene(seed)
    taus = (1.0, 10.0, 100.0)
    gap = [losses.contrastive(s_pos, s_neg, t) - losses.simple_limit(s_pos, s_neg, t) for t in taus]
    return min(min(g.min().item() + 1e-9, 1 / (2 * t * t) - g.max().item()) for t, g in zip(taus, gap, strict=True))


def c14_slack(seed: int) -> float:
    """Anchors are views, keys the instances; instances 1 and 2 change places, and their views with them."""
    chance = torch.Generator().manual_seed(seed)
    places = F.normalize(torch.randn(6, 16, generator=chance, dtype=torch.float64), dim=1)
    views = F.normalize(places + 0.2 * places.roll(1, dims=1), dim=1)
    swap, own = torch.tensor([0, 2, 1, 3, 4, 5]), torch.eye(6, dtype=torch.bool)

    def values(f, keys):
        s = f @ keys.T
        s_pos, s_neg = s[own], s[~own].view(6, 5)
        four = losses.contrastive(s_pos, s_neg, 0.2), losses.simple(s_pos, s_neg)
        four += losses.hard_contrastive(s_pos, s_neg, 0.2, k=2), losses.hard_simple(s_pos, s_neg, k=2)
        return torch.stack(four).mean(dim=1)

    return 1e-12 - (values(views, places) - values(views[swap], places[swap])).abs().max().item()


FORMULAS = {
    "C1": ("1e-10 less the relative difference of the two sides' gradients", c1_slack),
    "C2": ("least rise of the entropy from one tau to the next, in nats", c2_slack),
    "C3": ("distance to the bound log(M + 1)", c3_slack),
    "C4": ("distance to the bound 1 / (2 tau^2)", c4_slack),
    "C14": ("1e-12 less the change of the four losses", c14_slack),
}


def printed(runs: Runs, measure: str) -> dict:
    """Table 1's columns for these runs' data set, or for CIFAR-10."""
    return table1(runs.base.dataset if runs.base.dataset in DATASETS else "cifar10", measure)


def least_step(table: pd.DataFrame) -> pd.Series:
    """The least rise from one column to the next, by seed: above zero where the curve rises all along."""
    return table.diff(axis=1).iloc[:, 1:].min(axis=1)


def c3(runs: Runs) -> Parts:
    untrained, eq6 = runs("none", None, "probe"), runs("triplet_limit", 0.07, "probe")
    yield "untrained net's probe, less Eq 6's, plus 1 %", untrained - eq6 + MARGIN, 0.0


def c5(runs: Runs) -> Parts:
    u, paper = runs.over("contrastive", TAUS, "uniformity"), printed(runs, "uniformity")
    bar = (paper["contrastive", 0.07] - paper["contrastive", 1.0]) / 2
    yield "uniformity at 0.07, less at 1", u[0.07] - u[1.0], bar
    yield "least fall of uniformity over 0.07, 0.3, 0.7, 1", least_step(-u), 0.0


def c6(runs: Runs) -> Parts:
    t, paper = runs.over("contrastive", TAUS, "tolerance"), printed(runs, "tolerance")
    bar = (paper["contrastive", 1.0] - paper["contrastive", 0.07]) / 2
    yield "tolerance at 1, less at 0.07", t[1.0] - t[0.07], bar
    yield "least rise of tolerance over 0.07, 0.3, 0.7, 1", least_step(t), 0.0


def hard_beside_ordinary(runs: Runs, measure: str, sign: int) -> Parts:
    """The hard loss has more (sign 1) or less (-1) of a measure on the mean over tau, and varies less with tau."""

    def mean(table):
        return table.mean(axis=1)

    def spread(table):
        return table.max(axis=1) - table.min(axis=1)

    paper = printed(runs, measure)
    ordinary, hard = (runs.over(loss, TAUS, measure) for loss in ("contrastive", "hard"))
    reported = [pd.DataFrame({tau: [paper[loss, tau]] for tau in TAUS}) for loss in ("contrastive", "hard")]
    bar = sign * (mean(reported[1]) - mean(reported[0])).item() / 2
    yield (
        f"mean {measure}, {'hard less ordinary' if sign > 0 else 'ordinary less hard'}",
        sign * (mean(hard) - mean(ordinary)),
        bar,
    )
    bar = (spread(reported[0]) - spread(reported[1])).item() / 2
    yield f"range of {measure} over tau, ordinary less hard", spread(ordinary) - spread(hard), bar


def c7(runs: Runs) -> Parts:
    yield from hard_beside_ordinary(runs, "uniformity", 1)


def c8(runs: Runs) -> Parts:
    yield from hard_beside_ordinary(runs, "tolerance", -1)


def c9(runs: Runs) -> Parts:
    """Second part: of what the positive similarity at 0.07 lacks to 1, more than half is gained at tau = 1."""

    def gap(record):
        return record["metrics"]["positive_similarity"] - record["metrics"]["neighbour_similarities"][0]

    gaps = runs.over("contrastive", TAUS, gap)
    yield "least fall of (positive less nearest negative) over 0.07, 0.3, 0.7, 1", least_step(-gaps), 0.0
    positive = runs.over("contrastive", (0.07, 1.0), "positive_similarity")
    gained = (positive[1.0] - positive[0.07]) / (1 - positive[0.07])
    yield "share of the way to 1 that the positive similarity goes from 0.07 to 1", gained, 0.5


def c10(runs: Runs) -> Parts:
    paper = printed(runs, "probe")
    p = runs.over("contrastive", (0.07, 0.2, 0.3, 1.0), "probe")
    top = (p[0.2] + p[0.3]) / 2
    bar = (paper["contrastive", 0.3] - paper["contrastive", 0.07]) / 2
    yield "probe at 0.2 and 0.3, less at 0.07", top - p[0.07], bar
    bar = (paper["contrastive", 0.3] - paper["contrastive", 1.0]) / 2
    yield "probe at 0.2 and 0.3, less at 1", top - p[1.0], bar
    curve = runs.over("contrastive", grids.TAUS, "probe")
    best = curve.idxmax(axis=1) if len(curve) else pd.Series(dtype=float)
    yield "share of seeds whose best tau is 0.2 or 0.3, less one half", best.isin((0.2, 0.3)) - 0.5, 0.0


def c11(runs: Runs) -> Parts:
    paper, hard = printed(runs, "probe"), runs.over("hard", (0.3, 1.0), "probe")
    yield "probe of the hard loss at 1, less at 0.3, plus 1 %", hard[1.0] - hard[0.3] + MARGIN, 0.0
    bar = (paper["hard", 1.0] - paper["contrastive", 1.0]) / 2
    yield "probe at 1, hard less ordinary", runs("hard", 1.0, "probe") - runs("contrastive", 1.0, "probe"), bar


def c12(runs: Runs) -> Parts:
    paper = printed(runs, "probe")
    ordinary, simple = runs("contrastive", 0.3, "probe"), runs("simple", None, "probe")
    bar = (paper["contrastive", 0.3] - paper["simple", None]) / 2
    yield "probe, ordinary at 0.3 less simple", ordinary - simple, bar
    hard_simple = runs("hard_simple", None, "probe")
    bar = (paper["hard_simple", None] - paper["simple", None]) / 2
    yield "probe, hard simple less simple", hard_simple - simple, bar
    yield "probe, hard simple less ordinary at 0.3, plus 1 %", hard_simple - ordinary + MARGIN, 0.0


def c13(runs: Runs) -> Parts:
    """How well classes hang together on the t-SNE map: the mean silhouette coefficient of its points (in [-1, 1])."""

    def silhouette(record):
        places = record["map"]
        return silhouette_score(np.stack([places["x"], places["y"]], axis=1), places["label"])

    clustered = runs.over("contrastive", (0.07, 0.2), silhouette)
    yield "silhouette of the classes on the map, at 0.2 less at 0.07", clustered[0.2] - clustered[0.07], 0.0


TRAINING = {"C3": c3, "C5": c5, "C6": c6, "C7": c7, "C8": c8, "C9": c9, "C10": c10, "C11": c11, "C12": c12, "C13": c13}
