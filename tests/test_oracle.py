"""The oracle's frame and figure: plain means of its own runs, and what was not run is said."""

import math

import pytest
from made_up import words
from matplotlib.text import Text

from contrastlib.reproduction import grids, oracle, run_index
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.training import run_records
from contrastlib.training.recipes import run_id, small

GRID = grids.grid("oracle", settings=["dataset=fashion-mnist"])


def made_up(recipe, status="finished"):
    """A run with numbers that depend on its id."""
    share = int(run_id(recipe), 16) % 997 / 1000
    metrics = {"uniformity": 2 + share, "tolerance": share, "knn": share, "probe": share / 2}
    if status == "diverged":
        metrics = {}
    return run_records.record(recipe, status, metrics, [], 1.0, "cpu", "float32")


@pytest.fixture(scope="module")
def records():
    return [made_up(recipe) for recipe in GRID]


def one(data, measure, method, tau):
    """The row of a cell."""
    found = data[(data["measure"] == measure) & (data["method"] == method) & (data["tau"] == tau)]
    assert len(found) == 1
    return found.iloc[0]


def chosen(records, measure, tau, **settings):
    """Slowly and plainly: a measure by seed of the runs with these settings."""
    found = {}
    for record in records:
        recipe = record["recipe"]
        if recipe["tau"] == tau and all(recipe[key] == settings[key] for key in settings):
            found[record["seed"]] = record["metrics"][measure]
    assert sorted(found) == [0, 1, 2]
    return found


def test_the_grid():
    assert len(GRID) == 21
    assert [recipe.seed for recipe in GRID] == sorted(recipe.seed for recipe in GRID)
    assert {(recipe.limit, recipe.epochs) for recipe in GRID} == {(3000, 60)}
    assert sum(recipe.leave_out_same_class for recipe in GRID) == 9


def test_numbers_are_those_of_the_runs(records):
    data = oracle.numbers(records)
    assert len(data) == 4 * 7
    for tau in (0.07, 0.2, 1.0):
        for method, left_out in ((oracle.ORDINARY, False), (oracle.ORACLE, True)):
            settings = {"loss": "contrastive", "leave_out_same_class": left_out}
            row = one(data, "tolerance", method, tau)
            values = chosen(records, "tolerance", tau, **settings)
            assert row["values"] == values
            assert row["mean"] == pytest.approx(sum(values.values()) / 3)
            assert row["low"] < row["mean"] < row["high"]
    row = one(data, "knn", oracle.SUPERVISED, 0.1)
    values = chosen(records, "knn", 0.1, loss="supervised_contrastive")
    assert row["mean"] == pytest.approx(100 * sum(values.values()) / 3)
    assert row["seeds"] == 3


def test_effects_are_paired_by_seed(records):
    left_out = {"loss": "contrastive", "leave_out_same_class": True}
    gone = next(record for record in records if record["recipe"]["leave_out_same_class"])
    kept = [record for record in records if record is not gone]
    found = oracle.effects(oracle.numbers(kept)).set_index(["measure", "tau"])
    assert len(found) == 4 * 3
    oracle_values = chosen(records, "uniformity", 0.07, **left_out)
    plain = chosen(records, "uniformity", 0.07, loss="contrastive", leave_out_same_class=False)
    seeds = [seed for seed in (0, 1, 2) if seed != gone["seed"]]
    expected = [oracle_values[seed] - plain[seed] for seed in seeds]
    assert gone["recipe"]["tau"] == 0.07
    assert found.loc[("uniformity", 0.07), "values"] == pytest.approx(expected)
    assert found.loc[("uniformity", 1.0), "seeds"] == 3


def test_what_is_not_there_is_said(records):
    assert "of 21 runs" not in words(oracle.draw(records))
    without_one = [record for record in records if record["id"] != run_id(GRID[0])]
    text = words(oracle.draw([*without_one, made_up(GRID[0], "diverged")]))
    assert "20 of 21 runs are there" in text
    assert "contrastlib sweep oracle --dataset fashion-mnist" in text
    assert "Not run" not in text
    half = [made_up(recipe) for recipe in GRID if not recipe.leave_out_same_class]
    text = words(oracle.draw(half))
    assert "Not run: same class left out 0.07; same class left out 0.2;" in text
    assert "12 of 21 runs are there" in text
    data = oracle.numbers(half)
    assert len(oracle.effects(data)) == 0
    assert "Same class left out: at tau 0.07 not run" in oracle.alt_text(data)
    nothing = oracle.draw([])
    assert words(nothing).count("not run") == 3  # once in each panel
    assert "0 of 21 runs are there" in words(nothing)
    assert oracle.alt_text(oracle.numbers([])).startswith("An empty figure")


def test_the_figure_fits_a_phone_and_is_put_into_words(records):
    figure = oracle.draw(records)
    figure.canvas.draw()
    assert figure.get_figwidth() == 4.6
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) >= 11
    data = oracle.numbers(records)
    text = oracle.alt_text(data)
    for method in oracle.METHODS:
        assert method in text.lower()
    mean = one(data, "probe", oracle.SUPERVISED, 0.1)["mean"]
    assert f"probe {mean:.1f} %" in text
    assert not math.isnan(mean)


def test_its_runs_are_no_others(records):
    """No cell by which the paper's claims are judged has the id of one of its runs."""
    ids = {record["id"] for record in records}
    for scale in run_index.SCALES.values():
        if not scale.has("fashion-mnist"):
            continue
        runs = run_index.Runs(records, scale.recipe("fashion-mnist"))
        for cell in grids.CELLS["all"]:
            assert runs.cell(cell) == {}
    for name in grids.NAMES:
        if name not in ("oracle", "pilot", "desk"):
            others = {
                run_id(recipe) for recipe in grids.grid(name, settings=["dataset=fashion-mnist"])
            }
            assert not ids & others
    assert small("fashion-mnist").epochs != 60


def test_the_stored_runs_are_read():
    data = oracle.numbers()
    stored = {record["id"] for record in read_shipped()} & {run_id(recipe) for recipe in GRID}
    assert set().union(*data["runs"]) == stored
