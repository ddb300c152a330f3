"""Claims: verdicts on made-up runs whose effects are known, and on the formulas themselves."""

import math
from dataclasses import replace

import numpy as np
import pytest

from contrastlib import losses
from contrastlib.reproduction import first_claims, grids
from contrastlib.reproduction.first_claims import CLAIMS, findings
from contrastlib.reproduction.first_rule import VERDICTS, Finding, interval, judge, overall, per_seed
from contrastlib.reproduction.paper_table import COLUMNS, DATASETS, table1
from contrastlib.training import run_records
from contrastlib.training.recipes import run_id, small


def made_up(loss, tau, seed, dataset="cifar10"):
    """A run that follows Table 1, with a little noise, and a smooth curve between its temperatures."""
    noise = np.random.default_rng(seed).normal(0, 1e-4)
    paper = {measure: table1(dataset, measure) for measure in ("probe", "uniformity", "tolerance")}
    columns = {column: [paper[m][column] for m in paper] for column in COLUMNS}
    columns |= {
        ("none", None): (0.4, 1, 0.9),
        ("supervised", None): (0.9, 3, 0.5),
        ("triplet_limit", 0.07): (0.35, 1, 1),
    }
    probe, uniformity, tolerance = columns.get((loss, tau), (0.832 - 0.01 * abs(math.log((tau or 1) / 0.25)), 3.3, 0.2))
    tau = tau or 1.0
    chance = np.random.default_rng(seed + 100)
    label = np.arange(100) % 4
    places = np.stack([label % 2, label // 2], axis=1) * 500.0 * (tau > 0.1) + chance.uniform(0, 300, (100, 2))
    return run_records.record(
        grids.cell(replace(small(dataset), seed=seed), loss, tau),
        "finished",
        {
            "probe": probe + noise,
            "uniformity": uniformity + noise,
            "tolerance": tolerance + noise,
            "positive_similarity": 1 - 0.3 * (1 - tau),
            "neighbour_similarities": [0.1 + 0.8 * tau, 0.1],
        },
        [],
        1.0,
        "cpu",
        "float32",
        {"x": places[:, 0].astype(int).tolist(), "y": places[:, 1].astype(int).tolist(), "label": label.tolist()},
    )


@pytest.fixture(scope="module")
def records():
    return [made_up(loss, tau, seed) for loss, tau in grids.CELLS["all"] for seed in grids.SEEDS]


def verdicts(records, **options):
    found = findings(records, **{"datasets": ["cifar10"]} | options)
    return {claim: overall(claim, found, "cifar10") for claim in CLAIMS}


def test_runs_like_the_papers_reproduce_every_claim(records):
    assert set(verdicts(records).values()) == {"reproduced"}


def test_without_runs_only_the_formulas_are_judged():
    found = findings([])
    assert {claim for claim in CLAIMS if overall(claim, found) == "reproduced"} == {"C1", "C2", "C4", "C14"}
    assert {overall(claim, found) for claim in CLAIMS} == {"reproduced", "not run"}
    missing = {cell for finding in found for cell in finding.missing}
    assert {"none", "simple", "hard_simple", "triplet_limit 0.07", "contrastive 0.02", "hard 1"} <= missing
    assert all(math.isnan(finding.effect) for finding in found if finding.verdict == "not run")


def without(records, *cells):
    gone = {run_id(grids.cell(replace(small(), seed=seed), *cell)) for cell in cells for seed in grids.SEEDS}
    return [record for record in records if record["id"] not in gone]


def test_a_missing_cell_is_named_and_touches_no_other_claim(records):
    found = findings(without(records, ("hard", 0.7)), datasets=["cifar10"])
    not_run = [finding for finding in found if finding.verdict == "not run"]
    assert {finding.claim for finding in not_run} == {"C7", "C8"}
    assert {finding.missing for finding in not_run} == {("hard 0.7",)}


def test_one_seed_has_no_interval_and_so_reproduces_nothing(records):
    found = findings([record for record in records if record["seed"] == 0], datasets=["cifar10"])
    trained = [finding for finding in found if finding.dataset == "cifar10"]
    assert {finding.verdict for finding in trained} == {"partly"}
    assert all(finding.low == -math.inf and finding.seeds == 1 for finding in trained)


def test_noise_between_seeds_makes_a_claim_partly_true(records):
    """The mean effect stays as the paper has it; only the interval grows past zero."""
    shift = {0: -3.0, 1: 0.0, 2: 3.0}

    def noisy(record):
        high = record["recipe"]["loss"] == "contrastive" and record["recipe"]["tau"] == 0.07
        more = shift[record["seed"]] * high
        return record | {"metrics": record["metrics"] | {"uniformity": record["metrics"]["uniformity"] + more}}

    before = next(f for f in findings(records, datasets=["cifar10"]) if f.claim == "C5")
    after = next(f for f in findings(map(noisy, records), datasets=["cifar10"]) if f.claim == "C5")
    assert after.effect == pytest.approx(before.effect)
    assert after.low < 0 < before.low
    assert (before.verdict, after.verdict) == ("reproduced", "partly")


def test_diverged_runs_do_not_count(records):
    gone = [record | {"status": "diverged", "metrics": {}} if record["seed"] == 1 else record for record in records]
    found = findings(gone, datasets=["cifar10"])
    assert {finding.seeds for finding in found if finding.dataset == "cifar10"} == {2}


REVERSED = {
    "uniformity": {"C5", "C7"},
    "tolerance": {"C6", "C8"},
    "probe": {"C3", "C10", "C11", "C12"},
    "positive_similarity": {"C9"},
}


@pytest.mark.parametrize("measure", REVERSED)
def test_the_opposite_is_not_reproduced(records, measure):
    mirrored = [r | {"metrics": r["metrics"] | {measure: 1 - r["metrics"][measure]}} for r in records]
    found = verdicts(mirrored)
    assert {claim for claim, verdict in found.items() if verdict != "reproduced"} == REVERSED[measure]


def test_maps_without_clusters_do_not_reproduce_fig_2(records):
    chance = np.random.default_rng(0)
    blurred = [r | {"map": r["map"] | {"label": chance.permutation(r["map"]["label"]).tolist()}} for r in records]
    assert verdicts(blurred)["C13"] != "reproduced"


def test_runs_of_another_recipe_do_not_count(records):
    assert per_seed(records, replace(small(), epochs=5)) == {}
    other = [made_up("contrastive", 0.2, 7, "cifar100")]
    assert per_seed(other, small("cifar10")) == {}
    assert list(per_seed(records, grids.cell(replace(small(), seed=5), "hard", 0.3))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("C1", ("contrastive", lambda s_pos, s_neg, tau: -s_pos / tau + s_neg.logsumexp(1))),
        ("C3", ("triplet_limit", lambda s_pos, s_neg, tau: s_neg.amax(1) / tau)),
        ("C4", ("simple_limit", lambda s_pos, s_neg, tau: s_neg.mean(1) - s_pos)),
        ("C14", ("simple", lambda s_pos, s_neg: s_neg[:, 0])),
    ],
)
def test_a_wrong_formula_is_found_out(monkeypatch, name, broken):
    monkeypatch.setattr(losses, *broken)
    assert overall(name, [f for f in findings([]) if f.dataset == "any"]) == "not at this scale"


def test_interval_is_student_s():
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - 2.484, 2.0 + 2.484), abs=1e-3)
    assert interval([4.0]) == (4.0, -math.inf, math.inf)
    assert all(map(math.isnan, interval([])))


def test_the_rule():
    assert judge(0.5, 0.1, 0.4) == "reproduced"
    assert judge(0.3, 0.1, 0.4) == judge(0.5, -0.1, 0.4) == "partly"
    assert judge(0.3, -0.1, 0.4) == judge(-0.3, -0.5, 0.0) == "not at this scale"
    assert judge(math.nan, math.nan, 0.0) == "not run"


def test_parts_and_data_sets_are_joined():
    def parts(*pairs):
        return [Finding("C5", "", dataset, 0, 0, 0, 0, 3, verdict) for dataset, verdict in pairs]

    yes, partly, no, none = VERDICTS
    assert overall("C5", parts(("a", yes), ("a", yes))) == yes
    assert overall("C5", parts(("a", yes), ("b", none))) == yes
    assert overall("C5", parts(("a", yes), ("b", none)), "b") == none
    assert overall("C5", parts(("any", yes), ("b", none))) == none
    assert overall("C5", parts(("a", no), ("b", no))) == no
    assert overall("C5", parts(("a", yes), ("b", no))) == partly
    assert overall("C6", parts(("a", yes))) == none


def test_table_1_as_printed():
    for dataset in DATASETS:
        for measure in ("probe", "uniformity", "tolerance"):
            assert len(table1(dataset, measure)) == 10
    assert table1("cifar10", "probe")["contrastive", 0.07] == 0.7975
    assert table1("svhn", "tolerance")["simple", None] == 0.074


def test_grids():
    assert len(grids.grid("table1")) == 36
    assert len(grids.grid("all", "paper", ["dataset=svhn"], seeds=[0])) == 23
    for name in grids.NAMES:
        ids = [run_id(recipe) for recipe in grids.grid(name)]
        assert len(set(ids)) == len(ids)
    assert not {recipe.seed for recipe in grids.grid("pilot")} & set(grids.SEEDS)
    assert {recipe.tau for recipe in grids.grid("pilot")} == {0.2}
    with pytest.raises(ValueError, match="it takes no other recipe"):
        grids.grid("pilot", settings=["tau=0.1"])
    with pytest.raises(ValueError, match="the grids are: table1"):
        grids.grid("table2")


def test_hard_simple_keeps_the_papers_number_on_a_whole_set():
    from contrastlib.training.recipes import paper

    assert grids.cell(paper("svhn"), "hard_simple").k == 4095
    assert grids.cell(paper("svhn"), "hard", 0.3).alpha == 0.0315
    assert grids.cell(small(), "hard_simple").alpha == 0.0819
    assert tuple(tau for loss, tau in COLUMNS if loss == "hard") == first_claims.TAUS
