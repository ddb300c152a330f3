"""Beyond the paper: every answer is the plain difference of runs, and what was not run is not answered."""

import math
from dataclasses import replace

import pytest
from matplotlib.text import Text
from test_figures import made_up

from contrastlib.reproduction import ablations, aggregate, grids
from contrastlib.training import run_records
from contrastlib.training.recipes import run_id, small

SEEDS = (0, 1, 2)


def made_up_change(change, seed):
    """Runs of a change, with numbers that hang on their ids."""
    for recipe in grids.changed(replace(small("cifar10"), seed=seed), change):
        like = made_up("contrastive", recipe.tau, seed)
        metrics = like["metrics"] | {"probe": int(run_id(recipe), 16) % 997 / 1000, "knn": recipe.tau / 10 + seed / 100}
        history = [{"epoch": 1, "effective_negatives": 5.0}]
        yield run_records.record(recipe, "finished", metrics, history, 1.0, "cpu", "float32")


@pytest.fixture(scope="module")
def as_they_are():
    return [made_up("contrastive", tau, seed) for tau in grids.TAUS for seed in SEEDS]


@pytest.fixture(scope="module")
def records(as_they_are):
    return as_they_are + [r for change in grids.CHANGES for seed in SEEDS for r in made_up_change(change, seed)]


def one(records, measure, seed, **settings):
    """A single run's number, found by looking at every recipe."""
    plain = {"epochs": 200, "g": "bank", "negatives": None, "tau_to": None} | settings
    (record,) = [
        r for r in records if r["seed"] == seed and all(r["recipe"][key] == value for key, value in plain.items())
    ]
    return record["metrics"][measure]


def answer(records, compared, measure):
    return ablations.answers(records).set_index(["compared", "measure"]).loc[(compared, measure)]


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ("as it is", {}),
        ("512 negatives", {"negatives": 512}),
        ("queue", {"g": "queue"}),
        ("in-batch", {"g": "batch"}),
        ("50 epochs", {"epochs": 50}),
    ],
)
def test_the_best_temperature(change, settings, records):
    for other in (0.07, 1.0) if change in ("as it is", "50 epochs") else (0.07,):
        each = [
            one(records, "probe", s, tau=0.2, **settings) - one(records, "probe", s, tau=other, **settings)
            for s in SEEDS
        ]
        row = answer(records, f"{change}: 0.2 less {other:g}", "probe")
        assert row["mean"] == pytest.approx(100 * sum(each) / 3)
        assert row["seeds"] == 3
        assert row["low"] < row["mean"] < row["high"]


def test_differences_of_differences(records):
    def mean(measure, a, b, **settings):
        at = [one(records, measure, s, tau=a, **settings) - one(records, measure, s, tau=b, **settings) for s in SEEDS]
        return 100 * sum(at) / 3

    few, short, plain = {"negatives": 512}, {"epochs": 50}, {}
    expected = {
        ("512 negatives less as it is: 0.2 less 0.07", "knn"): mean("knn", 0.2, 0.07, **few)
        - mean("knn", 0.2, 0.07, **plain),
        ("as it is less 50 epochs: 0.2 less 1", "probe"): mean("probe", 0.2, 1.0) - mean("probe", 0.2, 1.0, **short),
        ("as it is: 0.2 less 0.07", "knn less probe"): mean("knn", 0.2, 0.07) - mean("probe", 0.2, 0.07),
        ("512 negatives less as it is: 1", "knn"): 100
        * sum(one(records, "knn", s, tau=1.0, **few) - one(records, "knn", s, tau=1.0) for s in SEEDS)
        / 3,
    }
    for (compared, measure), value in expected.items():
        assert answer(records, compared, measure)["mean"] == pytest.approx(value)
    assert not ablations.answers(records).duplicated(["compared", "measure"]).any()


def test_the_swing(records):
    each = [one(records, "knn", s, tau_to=0.1) - one(records, "knn", s, tau=0.2) for s in SEEDS]
    row = answer(records, "swinging less constant 0.2", "knn")
    assert row["mean"] == pytest.approx(100 * sum(each) / 3)


def test_the_printed_form_and_the_effective_negatives(records):
    ratios = [one(records, "tolerance_as_printed", s, tau=0.3) / one(records, "tolerance", s, tau=0.3) for s in SEEDS]
    assert answer(records, "tau 0.3", "printed / tabled")["mean"] == pytest.approx(sum(ratios) / 3)
    runs = [r for r in records if r["recipe"]["tau"] == 0.07 and len(r["history"]["epoch"]) == 200]
    columns = [r["history"]["effective_negatives"] for r in runs]
    assert len(columns) == 3
    assert answer(records, "tau 0.07, at most", "effective negatives")["mean"] == pytest.approx(
        sum(map(max, columns)) / 3
    )
    assert answer(records, "tau 0.07, at the end", "effective negatives")["mean"] == pytest.approx(
        sum(column[-1] for column in columns) / 3
    )
    data = ablations.numbers("effective", records).set_index(["tau", "epoch"])
    assert data.loc[(0.07, 17), "mean"] == pytest.approx(sum(column[16] for column in columns) / 3)


def test_what_was_not_run_is_not_answered(as_they_are):
    found = ablations.answers(as_they_are)
    changed = found["compared"].str.contains("|".join(grids.CHANGES))
    assert found[changed]["mean"].isna().all()
    assert not found[changed]["seeds"].any()
    assert found[~changed]["mean"].notna().all()
    for name in ablations.FIGURES:
        words = " ".join(text.get_text() for text in ablations.draw(name, as_they_are).findobj(Text))
        absent = [change for change in ablations.FIGURES[name] if change != ablations.AS_IS]
        assert f"Not run: {', '.join(absent)} (contrastlib sweep beyond --dataset cifar10)." in words


def test_figures_draw_their_numbers(records):
    for name, changes in ablations.FIGURES.items():
        data, figure = ablations.numbers(name, records), ablations.draw(name, records)
        for axes, measure in zip(figure.axes, ("probe", "knn"), strict=True):
            for change in changes:
                mine = data[(data["change"] == change) & (data["measure"] == measure)]
                (line,) = [line for line in axes.lines if line.get_label() == change]
                drawn = line.get_ydata() if len(mine) > 1 else line.get_ydata()[:1]
                assert list(drawn) == pytest.approx(list(mine["mean"]))
    for axes, form in zip(ablations.draw("printed", records).axes, ("tolerance", "tolerance_as_printed"), strict=True):
        mine = ablations.numbers("printed", records).query(f"measure == '{form}' and dataset == 'cifar10'")
        (line,) = [line for line in axes.lines if line.get_label() == aggregate.NAMES["cifar10"]]
        assert list(line.get_ydata()) == pytest.approx(list(mine["mean"]))


def said(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_part_of_a_change_that_was_not_run_is_named(records):
    fewer = [r for r in records if not (r["recipe"]["epochs"] == 50 and r["recipe"]["tau"] == 0.2)]
    assert "Not run: 50 epochs at 0.2 (contrastlib sweep beyond --dataset cifar10)." in said(
        ablations.draw("length", fewer)
    )
    fewer = [r for r in records if r["recipe"]["tau"] != 0.3]
    assert "Not run: tau 0.3 (contrastlib sweep curves" in said(ablations.draw("effective", fewer))
    assert "No run: CIFAR-10 ordinary 0.3." in said(ablations.draw("printed", fewer))


def test_without_any_run_nothing_is_claimed():
    found = ablations.answers([])
    assert found["mean"].isna().all()
    assert all(map(math.isnan, found["low"]))
    for name in ablations.NAMES:
        assert "Not run: " in said(ablations.draw(name, []))


def test_the_grid_changes_one_thing():
    for seed in grids.SEEDS:
        for change, settings in grids.CHANGES.items():
            recipes = grids.changed(replace(small(), seed=seed), change)
            assert [r.tau for r in recipes] == ([1.0] if change == "swinging" else list(grids.ASKED))
            for recipe in recipes:
                back = {name: getattr(small(), name) for name in settings if name != "tau"}
                assert replace(recipe, **back) == grids.cell(replace(small(), seed=seed), "contrastive", recipe.tau)
    ids = [run_id(recipe) for recipe in grids.grid("beyond")]
    assert len(ids) == len(set(ids)) == 39
