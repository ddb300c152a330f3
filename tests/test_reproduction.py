"""What the chapter `reproduction` says in words, held against the runs: where newer runs disagree, rewrite its text."""

from dataclasses import replace

import pytest

from contrastlib import beyond, claims, curves, grids, recipes
from contrastlib.verdicts import Runs, interval, overall

RECORDS = curves.usable(None)
FOUND = claims.findings(RECORDS)
ASKED = beyond.answers(RECORDS).set_index("compared")


def probe(dataset, taus):
    return Runs(RECORDS, recipes.small(dataset)).over("contrastive", taus, "probe")


def side(compared):
    """1 or -1 where the whole interval is on one side of zero, else 0."""
    low, high = ASKED.loc[compared, ["low", "high"]]
    return int(low > 0) - int(high < 0)


def test_no_run_diverged():
    assert {record["status"] for record in RECORDS} == {"finished"}


def test_the_verdicts_that_the_text_names():
    assert all(overall(claim, FOUND, "cifar10") == "reproduced" for claim in ("C5", "C6", "C11", "C12"))
    assert overall("C10", FOUND, "cifar10") == "partly"
    assert overall("C6", FOUND) == "partly"
    c6 = next(f for f in FOUND if f.claim == "C6" and f.dataset == "cifar100")
    assert c6.bar > c6.effect > c6.low > 0


def test_where_accuracy_is_best():
    p = probe("cifar10", grids.TAUS)
    assert (p.idxmax(axis=1) == 0.1).all()
    assert interval(p[0.1] - p[0.2])[1] > 0 > interval(p[0.1] - p[0.05])[1]
    assert (p[0.1] > p[0.05]).all()
    mean, low, high = interval((p[0.2] + p[0.3]) / 2 - p[0.07])
    assert low < mean < 0 < high
    more = probe("cifar100", claims.TAUS)
    assert 1 < len(more) < len(p)
    assert (more.idxmax(axis=1) == 0.07).all()


def test_both_curves_turn_at_the_left_end():
    runs = Runs(RECORDS, recipes.small("cifar10"))
    u = runs.over("contrastive", (0.02, 0.05), "uniformity")
    t = runs.over("contrastive", (0.02, 0.05), "tolerance")
    assert (u[0.02] < u[0.05]).all()
    assert (t[0.02] > t[0.05]).all()
    assert runs("triplet_limit", 0.07, "uniformity").max() < 0.001
    assert runs("triplet_limit", 0.07, "tolerance").min() > 0.999


def test_what_the_length_of_training_moves():
    assert side("as it is: knn at 0.2 less at 0.07, %") == -1
    for compared in ("as it is: probe", "50 epochs: probe", "50 epochs: knn"):
        assert side(f"{compared} at 0.2 less at 0.07, %") == 0
    short = Runs(RECORDS, replace(recipes.small(), epochs=50)).over("contrastive", (0.07, 0.2), "uniformity").mean()
    long = Runs(RECORDS, recipes.small()).over("contrastive", (0.07, 0.2), "uniformity").mean()
    assert short[0.07] < short[0.2]
    assert long[0.07] > long[0.2]


@pytest.mark.parametrize(
    ("measure", "tau", "sign"), [("probe", 0.07, -1), ("probe", 0.2, -1), ("knn", 0.2, -1), ("knn", 1, 1)]
)
def test_the_swing_gains_nothing(measure, tau, sign):
    assert side(f"swinging less constant {tau:g}: {measure}, %") == sign
