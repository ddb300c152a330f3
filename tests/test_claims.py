"""Claims judged on made-up runs whose effects are known, and the formulas themselves."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up import all_like_the_papers, random_run, run_like_the_papers, without
from scipy import stats
from sklearn.metrics import silhouette_score

from contrastlib import losses
from contrastlib.reproduction import grids, identities
from contrastlib.reproduction.claims import CLAIMS, parts, silhouette
from contrastlib.reproduction.identities import checks
from contrastlib.reproduction.judging import (
    POOLED,
    best_in_the_middle,
    first_edition,
    judge_all,
    overall,
    pooled_cells,
)
from contrastlib.reproduction.paper_table import COLUMNS, DATASETS, table1
from contrastlib.reproduction.run_index import Runs, label
from contrastlib.training.recipes import desk, paper, small


@pytest.fixture(scope="module")
def records():
    return all_like_the_papers()


def judged(records, scale="small"):
    return judge_all(records, scale, ["cifar10"])


def verdicts(records):
    found = judged(records)
    return {claim: overall(found, claim)[1] for claim in CLAIMS}


def primary(found, claim):
    (part,) = [one for one in found if one.part.claim == claim and one.part.primary]
    return part


def with_metrics(records, change):
    """The records with some metrics changed: `change` takes a record and returns them."""
    return [record | {"metrics": record["metrics"] | change(record)} for record in records]


def test_runs_like_the_papers_reproduce_every_claim(records):
    assert set(verdicts(records).values()) == {"reproduced"}
    assert {one.verdict for one in judged(records)} == {"reproduced"}


def test_without_runs_nothing_is_judged():
    found = judge_all([])
    assert {one.verdict for one in found} == {"not run"}
    assert {overall(found, claim)[1] for claim in CLAIMS} == {"not run"}
    missing = {cell for one in found for cell in one.missing}
    assert {"none", "batch_norm", "simple", "hard_simple", "triplet_limit 0.07"} <= missing
    assert {"contrastive 0.2", "hard 1"} <= missing
    assert all(math.isnan(one.found.effect) for one in found)
    found = judge_all([], "desk", ["cifar10"])
    assert {one.verdict for one in found} == {"not run"}
    assert "contrastive 0.2" in primary(found, "C10").missing


def test_a_missing_cell_is_named_and_touches_no_other_claim(records):
    found = judged(without(records, "cifar10", ("hard", 0.7)))
    not_run = [one for one in found if one.verdict == "not run"]
    assert {one.part.claim for one in not_run} == {"C7", "C8"}
    assert {one.missing for one in not_run} == {("hard 0.7",)}
    assert {one.verdict for one in found} == {"reproduced", "not run"}


@pytest.mark.parametrize("cell", [*COLUMNS, ("triplet_limit", 0.07), ("batch_norm", None)])
def test_without_any_cell_what_needs_it_is_not_run_and_names_it(records, cell):
    for one in judged(without(records, "cifar10", cell)):
        if cell in one.part.weights:
            assert one.missing == (label(cell),)
            assert one.verdict == "not run"
        else:
            assert one.missing == ()
            assert one.verdict == "reproduced"


def test_one_record_less_is_one_seed_less(records):
    lost = run_like_the_papers("hard", 0.7, 1)
    found = judged([record for record in records if record["id"] != lost["id"]])
    for one in found:
        assert one.found.seeds == (2 if ("hard", 0.7) in one.part.weights else 3)


def test_one_seed_alone_decides_nothing(records):
    found = judged([record for record in records if record["seed"] == 0])
    assert {one.verdict for one in found} == {"undecided"}
    assert {(one.found.low, one.found.high) for one in found} == {(-math.inf, math.inf)}
    assert {one.found.seeds for one in found} == {1}


def test_noise_between_seeds_makes_a_claim_undecided(records):
    """The mean effect stays as the paper has it; only the interval grows past zero."""
    shift = {0: -3.0, 1: 0.0, 2: 3.0}

    def noisy(record):
        recipe = record["recipe"]
        uniformity = record["metrics"]["uniformity"]
        if recipe["loss"] == "contrastive" and recipe["tau"] == 0.07:
            uniformity += shift[record["seed"]]
        return {"uniformity": uniformity}

    before = primary(judged(records), "C5")
    after = primary(judged(with_metrics(records, noisy)), "C5")
    assert after.found.effect == pytest.approx(before.found.effect)
    assert after.found.low < 0 < before.found.low
    assert (before.verdict, after.verdict) == ("reproduced", "undecided")
    assert after.found.how == "t"


def test_diverged_runs_do_not_count(records):
    gone = []
    for record in records:
        if record["seed"] == 1:
            record = record | {"status": "diverged", "metrics": {}}
        gone.append(record)
    assert {one.found.seeds for one in judged(gone)} == {2}


def mirrored(measure):
    def change(record):
        return {measure: 1 - record["metrics"][measure]}

    return change


def constant_neighbours(record):
    return {"neighbour_similarities": [0.1, 0.1]}


OPPOSITE = {
    "uniformity": (mirrored("uniformity"), {"C5", "C7"}),
    "tolerance": (mirrored("tolerance"), {"C6", "C8"}),
    "probe": (mirrored("probe"), {"C3", "C10", "C11", "C12"}),
    "neighbours": (constant_neighbours, {"C9"}),
}


@pytest.mark.parametrize("measure", OPPOSITE)
def test_the_opposite_is_found(records, measure):
    change, expected = OPPOSITE[measure]
    found = verdicts(with_metrics(records, change))
    for claim, verdict in found.items():
        assert verdict == ("opposite here" if claim in expected else "reproduced")


@pytest.mark.parametrize(
    ("share", "expected"), [(0.6, "reproduced"), (0.4, "smaller than in the paper")]
)
def test_half_of_the_papers_effect_is_the_bar(records, share, expected):
    """Tolerance is drawn towards 0.2, so that every difference is a share of the paper's."""

    def drawn(record):
        return {"tolerance": 0.2 + share * (record["metrics"]["tolerance"] - 0.2)}

    found = verdicts(with_metrics(records, drawn))
    assert found["C6"] == found["C8"] == expected


def test_maps_without_clusters_or_exchanged_do_not_reproduce_figure_2(records):
    rng = np.random.default_rng(0)
    blurred = []
    for record in records:
        labels = rng.permutation(record["map"]["label"]).tolist()
        blurred.append(record | {"map": record["map"] | {"label": labels}})
    assert verdicts(blurred)["C13"] == "undecided"
    exchanged = []
    for record in records:
        other = {0.07: 0.2, 0.2: 0.07}.get(record["recipe"]["tau"])
        if record["recipe"]["loss"] == "contrastive" and other is not None:
            record = record | {
                "map": run_like_the_papers("contrastive", other, record["seed"])["map"]
            }
        exchanged.append(record)
    assert verdicts(exchanged)["C13"] == "opposite here"


@pytest.mark.parametrize("classes", [2, 10, 50])
def test_the_silhouette_is_scikit_learns(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 120)
    labels[0] = classes  # a class of one point, whose coefficient is zero
    points = rng.normal(0, 40, (121, 2))[:120] + 100 * (labels % 3)[:, None]
    record = {"map": {"x": points[:, 0].tolist(), "y": points[:, 1].tolist(), "label": labels}}
    assert silhouette(record) == pytest.approx(silhouette_score(points, labels), abs=1e-12)


def test_the_silhouette_of_a_collapse_is_zero():
    """All points in one place; scikit-learn says 0, too."""
    record = {"map": {"x": [0.0] * 4, "y": [0.0] * 4, "label": [0, 0, 1, 1]}}
    assert silhouette(record) == 0
    assert np.isnan(silhouette({"map": {}}))


def test_runs_of_another_recipe_do_not_count(records):
    assert Runs(records, small("cifar10")).of(replace(small(), epochs=5)) == {}
    other = [run_like_the_papers("contrastive", 0.2, 7, "cifar100")]
    assert Runs(other, small("cifar10")).cell(("contrastive", 0.2)) == {}
    runs = Runs(records, replace(small(), seed=5))
    assert list(runs.cell(("hard", 0.3))) == [0, 1, 2]
    assert {one.verdict for one in judged(records, "desk")} == {"not run"}


def random_small():
    """Three seeds of every cell, whose spreads are alike."""
    cells = [*grids.CELLS["all"], ("batch_norm", None)]
    return [random_run(loss, tau, seed) for loss, tau in cells for seed in grids.SEEDS]


def test_one_seed_at_desk_borrows_its_intervals_from_small():
    small_runs = random_small()
    desk_runs = [random_run(loss, tau, 0, base=desk) for loss, tau in grids.DESK]
    found = judged(small_runs + desk_runs, "desk")
    assert {one.found.how for one in found} == {"borrowed"}
    assert {one.found.seeds for one in found} == {1}
    for claim in ("C10", "C11", "C12"):
        one = primary(found, claim)
        cells = {(r["recipe"]["loss"], r["recipe"]["tau"], r["seed"]): r for r in small_runs}
        variances = []
        for loss, tau in pooled_cells():
            tau = small().tau if tau is None else tau
            probes = [cells[loss, tau, seed]["metrics"]["probe"] for seed in grids.SEEDS]
            variances.append(np.var(probes, ddof=1))
        squares = sum(weight**2 for weight in one.part.weights.values())
        freedom = 2 * len(variances)
        half = stats.t.ppf(0.975, freedom) * math.sqrt(np.mean(variances) * squares)
        assert one.found.high - one.found.effect == pytest.approx(half)
        assert one.found.effect - one.found.low == pytest.approx(half)
        by_hand = 0.0
        for (loss, tau), weight in one.part.weights.items():
            by_hand += weight * random_run(loss, tau, 0, base=desk)["metrics"]["probe"]
        assert one.found.effect == pytest.approx(by_hand)


def check_borrowed(one, small_runs, first, second):
    """The interval of one seed is borrowed from the same difference of two cells at small."""
    values = Runs(small_runs, small()).values(one.part.weights, "probe")
    effects = values[first] - values[second]
    half = stats.t.ppf(0.975, 2) * effects.std(ddof=1)
    assert one.found.how == "borrowed"
    assert one.found.high - one.found.effect == pytest.approx(half)


def test_where_spreads_at_small_differ_desk_borrows_that_of_the_same_effect():
    small_runs = []
    for record in random_small():
        if record["recipe"]["loss"] == "simple":
            record = record | {"metrics": record["metrics"] | {"probe": 0.5}}
        small_runs.append(record)
    desk_runs = [random_run(loss, tau, 0, base=desk) for loss, tau in grids.DESK]
    one = primary(judged(small_runs + desk_runs, "desk"), "C11")
    check_borrowed(one, small_runs, "hard 1", "contrastive 1")


def test_untrained_nets_take_the_interval_of_their_own_seeds():
    """Their spread is not that of trained nets, whatever Bartlett's test says of those."""
    small_runs = random_small()
    for one in judged(small_runs):
        losses = {loss for loss, _ in one.part.weights}
        if one.part.measure == "probe" and one.part.combine is None:
            assert one.found.how == ("pooled" if losses <= set(POOLED) else "t")
    desk_runs = [random_run(loss, tau, 0, base=desk) for loss, tau in grids.DESK]
    one = primary(judged(small_runs + desk_runs, "desk"), "C3")
    check_borrowed(one, small_runs, "batch_norm", "triplet_limit 0.07")


def test_one_seed_at_desk_without_small_is_undecided_and_small_never_borrows():
    small_runs = random_small()
    desk_runs = [random_run(loss, tau, 0, base=desk) for loss, tau in grids.DESK]
    alone = judged(desk_runs, "desk")
    assert {(one.verdict, one.found.how) for one in alone} == {("undecided", "none")}
    with_desk = judged(small_runs + desk_runs)
    assert with_desk == judged(small_runs)
    assert "borrowed" not in {one.found.how for one in with_desk}


def test_enough_seeds_of_another_scale_borrow_nothing():
    large = all_like_the_papers(base=paper)
    found = judged(random_small() + large, "paper")
    assert "borrowed" not in {one.found.how for one in found}
    assert {one.verdict for one in found} == {"reproduced"}


def test_each_claim_has_one_primary_part_on_each_data_set():
    for dataset in (*DATASETS, "fashion-mnist"):
        first = [part.claim for part in parts(dataset) if part.primary]
        assert sorted(first) == sorted(CLAIMS)
    for dataset in DATASETS:
        assert all(part.paper is None or part.paper > 0 for part in parts(dataset) if part.primary)


def test_a_transfer_has_a_word_and_no_say(records):
    moved = []
    for loss, tau in [*grids.CELLS["all"], ("batch_norm", None)]:
        for seed in grids.SEEDS:
            found = run_like_the_papers(loss, tau, seed)
            recipe = replace(small("fashion-mnist"), seed=seed)
            like = random_run(loss, tau, seed, "fashion-mnist")
            assert like["recipe"]["dataset"] == recipe.dataset
            moved.append(like | {"metrics": found["metrics"], "map": found["map"]})
    found = judge_all(moved)
    assert {one.verdict for one in found if one.dataset == "fashion-mnist"} == {"reproduced"}
    assert {overall(found, claim)[1] for claim in CLAIMS} == {"not run"}
    assert {overall(judge_all(records), claim)[1] for claim in CLAIMS} == {"reproduced"}


def rises_in_seed_one(record):
    if record["seed"] == 1:
        return {"probe": record["recipe"]["tau"]}
    return {}


def test_how_many_seeds_are_best_in_the_middle(records):
    assert best_in_the_middle(records, small()) == (3, 3)
    assert best_in_the_middle([], small()) == (0, 0)
    best_at_one = with_metrics(records, rises_in_seed_one)
    assert best_in_the_middle(best_at_one, small()) == (2, 3)
    fewer = without(records, "cifar10", ("contrastive", 0.5))
    assert best_in_the_middle(fewer, small()) == (0, 0)


def test_formulas_are_checked_and_the_limits_are_reached():
    found = checks(sets=2)
    assert {check.claim for check in found} == set(identities.IDENTITIES)
    assert len(found) == 9
    assert all(check.holds for check in found)
    assert all(math.isfinite(check.worst) for check in found)


def without_positive(s_pos, s_neg, tau):
    return -s_pos / tau + s_neg.logsumexp(1)


def without_hinge(s_pos, s_neg, tau):
    return s_neg.amax(1) / tau


def without_log(s_pos, s_neg, tau):
    return s_neg.mean(1) - s_pos


def first_negative(s_pos, s_neg):
    return s_neg[:, 0]


@pytest.mark.parametrize(
    ("claim", "name", "wrong"),
    [
        ("C1", "contrastive", without_positive),
        ("C3", "triplet_limit", without_hinge),
        ("C4", "simple_limit", without_log),
        ("C14", "simple", first_negative),
    ],
)
def test_a_wrong_formula_is_found_out(monkeypatch, claim, name, wrong):
    monkeypatch.setattr(losses, name, wrong)
    assert not all(check.holds for check in checks(sets=1) if check.claim == claim)


def test_a_wrong_penalty_is_found_out(monkeypatch):
    right = identities.gradients.relative_penalty
    monkeypatch.setattr(
        identities.gradients, "relative_penalty", lambda s_neg, tau: right(s_neg, 1 / tau)
    )
    assert not all(check.holds for check in checks(sets=1) if check.claim == "C2")


def test_the_first_edition_is_kept():
    kept = first_edition().set_index(["claim", "dataset"])["verdict"]
    assert set(kept) <= {"reproduced", "partly", "not at this scale", "not run"}
    assert {claim for claim, _ in kept.index} == {f"C{number}" for number in range(1, 15)}
    assert kept["C10", "cifar10"] == "partly"
    assert kept["C6", "overall"] == "partly"


def test_table_1_as_printed():
    for dataset in DATASETS:
        for measure in ("probe", "uniformity", "tolerance"):
            assert len(table1(dataset, measure)) == 10
    assert table1("cifar10", "probe")["contrastive", 0.07] == 0.7975
    assert table1("svhn", "tolerance")["simple", None] == 0.074
