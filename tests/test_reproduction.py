"""What the chapter `reproduction` says in words, held against the runs: where newer runs disagree, rewrite its text."""

from dataclasses import replace

import pytest

from contrastlib import beyond, claims, curves, grids, recipes
from contrastlib.reported import COLUMNS, table1
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
    for claim in ("C6", "C11", "C12"):
        parts = [f for f in FOUND if f.claim == claim and f.dataset == "cifar100"]
        assert overall(claim, FOUND) == overall(claim, FOUND, "cifar100") == "partly"
        assert all(f.effect > 0 for f in parts)
        assert any(f.low < 0 or f.effect < f.bar for f in parts)


def test_accuracy_on_cifar100_is_less_than_half_of_the_papers():
    runs = Runs(RECORDS, recipes.small("cifar100"))
    assert max(runs(*column, "probe").mean() for column in COLUMNS) < max(table1("cifar100", "probe").values()) / 2


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_hard_negatives_rescue_the_simple_loss(dataset):
    runs = Runs(RECORDS, recipes.small(dataset))
    ordinary = runs.over("contrastive", claims.TAUS, "probe")
    assert len(ordinary) == 3
    assert (runs("simple", None, "probe") < ordinary.min(axis=1)).all()
    assert (runs("hard_simple", None, "probe") > ordinary.max(axis=1)).all()
    assert interval(runs("hard", 1.0, "probe") - runs("contrastive", 1.0, "probe"))[1] > 0


def test_the_hard_losss_tolerance_on_cifar100_goes_the_other_way():
    ours, paper = Runs(RECORDS, recipes.small("cifar100")), table1("cifar100", "tolerance")
    assert 1.9 < paper["hard", 1.0] / paper["hard", 0.07] < 2.1
    assert interval(ours("hard", 0.07, "tolerance") - ours("hard", 1.0, "tolerance"))[1] > 0


def test_what_is_left_by_the_limit_of_small_temperatures():
    gained = [
        interval(runs("triplet_limit", 0.07, "probe") - runs("none", None, "probe"))
        for runs in (Runs(RECORDS, recipes.small(dataset)) for dataset in ("cifar10", "cifar100"))
    ]
    assert gained[0][1] < 0 < gained[0][2]
    assert gained[1][1] > 0
    assert Runs(RECORDS, recipes.small("cifar100"))("triplet_limit", 0.07, "uniformity").max() < 0.001


def test_where_accuracy_is_best():
    p = probe("cifar10", grids.TAUS)
    assert (p.idxmax(axis=1) == 0.1).all()
    assert interval(p[0.1] - p[0.2])[1] > 0 > interval(p[0.1] - p[0.05])[1]
    assert (p[0.1] > p[0.05]).all()
    mean, low, high = interval((p[0.2] + p[0.3]) / 2 - p[0.07])
    assert low < mean < 0 < high
    assert sorted(probe("cifar100", (0.07, 0.2, 0.3, 0.7, 1.0)).idxmax(axis=1)) == [0.07, 0.07, 0.2]


def test_both_curves_turn_at_the_left_end():
    runs = Runs(RECORDS, recipes.small("cifar10"))
    u = runs.over("contrastive", (0.02, 0.05), "uniformity")
    t = runs.over("contrastive", (0.02, 0.05), "tolerance")
    assert (u[0.02] < u[0.05]).all()
    assert (t[0.02] > t[0.05]).all()
    assert runs("triplet_limit", 0.07, "uniformity").max() < 0.001
    assert runs("triplet_limit", 0.07, "tolerance").min() > 0.999


def test_how_many_negatives_training_looks_at():
    e = beyond.numbers("effective", RECORDS).pivot(index="epoch", columns="tau", values="mean")
    assert e[1.0].min() > 0.8 * 7499
    assert e[0.07].iloc[0] < e[0.07].max()
    assert e[0.07].idxmax() < e[0.07].idxmin()
    assert e[0.07].min() < e[0.07].iloc[-1] < 0.2 * e[0.07].max()
    assert 0.7 * e[0.3].iloc[0] < e[0.3].min() < e[0.3].iloc[0] < e[0.3].iloc[-1]


def test_what_the_length_of_training_moves():
    assert side("as it is: knn at 0.2 less at 0.07, %") == -1
    for compared in ("as it is: probe", "50 epochs: probe", "50 epochs: knn"):
        assert side(f"{compared} at 0.2 less at 0.07, %") == 0
    short = Runs(RECORDS, replace(recipes.small(), epochs=50)).over("contrastive", (0.07, 0.2), "uniformity").mean()
    long = Runs(RECORDS, recipes.small()).over("contrastive", (0.07, 0.2), "uniformity").mean()
    assert short[0.07] < short[0.2]
    assert long[0.07] > long[0.2]


def test_fewer_negatives_change_little():
    for tau in grids.ASKED:
        few, all_of_them = (
            Runs(RECORDS, replace(recipes.small(), negatives=negatives))("contrastive", tau, "probe")
            for negatives in (512, None)
        )
        assert len(few) == len(all_of_them) == 3
        assert abs(few.mean() - all_of_them.mean()) < 0.01
    assert side("512 negatives: probe at 0.2 less at 0.07, %") == side("as it is: probe at 0.2 less at 0.07, %") == 0


@pytest.mark.parametrize(
    ("measure", "tau", "sign"), [("probe", 0.07, -1), ("probe", 0.2, -1), ("knn", 0.2, -1), ("knn", 1, 1)]
)
def test_the_swing_gains_nothing(measure, tau, sign):
    assert side(f"swinging less constant {tau:g}: {measure}, %") == sign
