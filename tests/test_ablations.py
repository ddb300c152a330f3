"""Ablations: every answer is the plain difference of runs, and what was not run is not answered."""

import math
from dataclasses import replace

import pytest
from made_up import lines, random_run, words

from contrastlib.reproduction import ablation_figures, ablations, grids
from contrastlib.reproduction.names import NAMES
from contrastlib.training import run_records
from contrastlib.training.recipes import run_id, small

SEEDS = (0, 1, 2)


def ablated_runs(ablation, seed):
    """Runs of an ablation, with numbers that depend on their ids."""
    made = []
    for recipe in grids.ablated(replace(small("cifar10"), seed=seed), ablation):
        metrics = dict(random_run("contrastive", recipe.tau, seed)["metrics"])
        metrics["probe"] = int(run_id(recipe), 16) % 997 / 1000
        metrics["knn"] = recipe.tau / 10 + seed / 100
        history = [{"epoch": 1, "effective_negatives": 5.0}]
        made.append(run_records.record(recipe, "finished", metrics, history, 1.0, "cpu", "float32"))
    return made


@pytest.fixture(scope="module")
def baseline():
    return [random_run("contrastive", tau, seed) for tau in grids.TAUS for seed in SEEDS]


@pytest.fixture(scope="module")
def records(baseline):
    made = list(baseline)
    for ablation in grids.ABLATIONS:
        for seed in SEEDS:
            made += ablated_runs(ablation, seed)
    return made


@pytest.fixture(scope="module")
def answers(records):
    found = ablations.answers(records)
    assert not found.duplicated(["compared", "measure"]).any()
    return found.set_index(["compared", "measure"])


def one(records, measure, seed, **settings):
    """A single run's number, found by looking at every recipe."""
    wanted = {"epochs": 200, "g": "bank", "negatives": None, "tau_to": None, **settings}
    found = []
    for record in records:
        recipe = record["recipe"]
        if record["seed"] == seed and all(recipe[key] == wanted[key] for key in wanted):
            found.append(record["metrics"][measure])
    assert len(found) == 1
    return found[0]


def mean_gain(records, measure, first, second, **settings):
    """The mean over seeds of a measure at one temperature minus that at another, in points."""
    each = []
    for seed in SEEDS:
        at_first = one(records, measure, seed, tau=first, **settings)
        at_second = one(records, measure, seed, tau=second, **settings)
        each.append(at_first - at_second)
    return 100 * sum(each) / 3


@pytest.mark.parametrize(
    ("ablation", "settings"),
    [
        ("200 epochs", {}),
        ("512 negatives", {"negatives": 512}),
        ("queue", {"g": "queue"}),
        ("in-batch", {"g": "batch"}),
        ("50 epochs", {"epochs": 50}),
    ],
)
def test_the_best_temperature(ablation, settings, records, answers):
    others = (0.07, 1.0) if "epochs" in ablation else (0.07,)
    for other in others:
        row = answers.loc[(f"{ablation}: 0.2 minus {other:g}", "probe")]
        assert row["mean"] == pytest.approx(mean_gain(records, "probe", 0.2, other, **settings))
        assert row["seeds"] == 3
        assert row["low"] < row["mean"] < row["high"]


def test_differences_of_differences(records, answers):
    few = {"negatives": 512}
    short = {"epochs": 50}
    at_one = []
    for seed in SEEDS:
        with_few = one(records, "knn", seed, tau=1.0, **few)
        at_one.append(with_few - one(records, "knn", seed, tau=1.0))
    expected = {
        ("512 negatives minus baseline: 0.2 minus 0.07", "knn"): (
            mean_gain(records, "knn", 0.2, 0.07, **few) - mean_gain(records, "knn", 0.2, 0.07)
        ),
        ("200 minus 50 epochs: 0.2 minus 1", "probe"): (
            mean_gain(records, "probe", 0.2, 1.0) - mean_gain(records, "probe", 0.2, 1.0, **short)
        ),
        ("200 epochs: 0.2 minus 0.07", "knn minus probe"): (
            mean_gain(records, "knn", 0.2, 0.07) - mean_gain(records, "probe", 0.2, 0.07)
        ),
        ("512 negatives minus baseline: 1", "knn"): 100 * sum(at_one) / 3,
    }
    for key, value in expected.items():
        assert answers.loc[key, "mean"] == pytest.approx(value)


def test_the_cosine_schedule(records, answers):
    each = []
    for seed in SEEDS:
        each.append(one(records, "knn", seed, tau_to=0.1) - one(records, "knn", seed, tau=0.2))
    row = answers.loc[("cosine tau minus constant 0.2", "knn")]
    assert row["mean"] == pytest.approx(100 * sum(each) / 3)


def test_the_printed_form_and_the_effective_negatives(records, answers):
    ratios = []
    for seed in SEEDS:
        printed = one(records, "tolerance_as_printed", seed, tau=0.3)
        ratios.append(printed / one(records, "tolerance", seed, tau=0.3))
    assert answers.loc[("tau 0.3", "printed / tabled"), "mean"] == pytest.approx(sum(ratios) / 3)
    columns = []
    for record in records:
        history = record["history"]
        if record["recipe"]["tau"] == 0.07 and len(history["epoch"]) == 200:
            columns.append(history["effective_negatives"])
    assert len(columns) == 3
    most = answers.loc[("tau 0.07, at most", "effective negatives"), "mean"]
    assert most == pytest.approx(sum(map(max, columns)) / 3)
    last = answers.loc[("tau 0.07, at the end", "effective negatives"), "mean"]
    assert last == pytest.approx(sum(column[-1] for column in columns) / 3)
    data = ablations.numbers("effective", records).set_index(["tau", "epoch"])
    expected = sum(column[16] for column in columns) / 3
    assert data.loc[(0.07, 17), "mean"] == pytest.approx(expected)


def test_what_was_not_run_is_not_answered(baseline):
    found = ablations.answers(baseline)
    ablated = found["compared"].str.contains("|".join([*grids.ABLATIONS, "50 epochs"]))
    assert found[ablated]["mean"].isna().all()
    assert not found[ablated]["seeds"].any()
    assert found[~ablated]["mean"].notna().all()
    for name, compared in ablations.FIGURES.items():
        said = words(ablation_figures.draw(name, baseline))
        absent = [ablation for ablation in compared if ablation != ablations.BASELINE]
        command = "contrastlib sweep beyond --dataset cifar10"
        assert f"Not run: {', '.join(absent)} ({command})." in said


def test_figures_draw_their_numbers(records):
    for name, compared in ablations.FIGURES.items():
        data = ablations.numbers(name, records)
        figure = ablation_figures.draw(name, records)
        for axes, measure in zip(figure.axes, ("probe", "knn"), strict=True):
            for ablation in compared:
                mine = data[(data["ablation"] == ablation) & (data["measure"] == measure)]
                (line,) = lines(axes, label=ablation)
                drawn = line.get_ydata()[: len(mine)]
                assert list(drawn) == pytest.approx(list(mine["mean"]))
    data = ablations.numbers("printed", records)
    figure = ablation_figures.draw("printed", records)
    for axes, form in zip(figure.axes, ("tolerance", "tolerance_as_printed"), strict=True):
        mine = data[(data["measure"] == form) & (data["dataset"] == "cifar10")]
        (line,) = lines(axes, label=NAMES["cifar10"])
        assert list(line.get_ydata()) == pytest.approx(list(mine["mean"]))
    data = ablations.numbers("effective", records)
    (axes,) = ablation_figures.draw("effective", records).axes
    for tau, mine in data.groupby("tau"):
        (line,) = lines(axes, label=rf"$\tau$ = {tau:g}")
        assert list(line.get_ydata()) == pytest.approx(list(mine["mean"]))


def test_part_of_an_ablation_that_was_not_run_is_named(records):
    fewer = []
    for record in records:
        if not (record["recipe"]["epochs"] == 50 and record["recipe"]["tau"] == 0.2):
            fewer.append(record)
    said = words(ablation_figures.draw("length", fewer))
    assert "Not run: 50 epochs at 0.2 (contrastlib sweep beyond --dataset cifar10)." in said
    assert "Not run: baseline" not in said
    ids = {run_id(recipe) for recipe in grids.grid("curves")}
    ablated = [record for record in records if record["id"] not in ids]
    said = words(ablation_figures.draw("keys", ablated))
    assert "Not run: baseline (contrastlib sweep curves --dataset cifar10)." in said
    fewer = [record for record in records if record["recipe"]["tau"] != 0.3]
    said = words(ablation_figures.draw("effective", fewer))
    assert "Not run: tau 0.3 (contrastlib sweep curves" in said
    said = words(ablation_figures.draw("printed", fewer))
    assert "No run: CIFAR-10 ordinary 0.3." in said


def test_without_any_run_nothing_is_claimed():
    found = ablations.answers([])
    assert found["mean"].isna().all()
    assert all(map(math.isnan, found["low"]))
    for name in ablations.NAMES_OF_FIGURES:
        assert "Not run: " in words(ablation_figures.draw(name, []))


def test_the_grid_changes_one_thing():
    for seed in grids.SEEDS:
        base = replace(small(), seed=seed)
        for ablation, settings in grids.ABLATIONS.items():
            recipes = grids.ablated(base, ablation)
            taus = [1.0] if ablation == "cosine tau" else list(grids.ABLATION_TAUS)
            assert [recipe.tau for recipe in recipes] == taus
            for recipe in recipes:
                back = {name: getattr(base, name) for name in settings if name != "tau"}
                assert replace(recipe, **back) == grids.cell(base, "contrastive", recipe.tau)
    ids = [run_id(recipe) for recipe in grids.grid("beyond")]
    assert len(ids) == len(set(ids)) == 39
