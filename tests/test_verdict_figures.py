"""The pictures of the verdicts show what their tables say, and the palette is legible."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import all_like_the_papers, lines, random_run, words
from matplotlib.colors import to_hex, to_rgb

from contrastlib.reproduction import grids, judging, plotting, tables, verdict_figures
from contrastlib.reproduction.claims import CLAIMS
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.paper_table import COLUMNS, as_printed
from contrastlib.reproduction.plot_parts import STYLES
from contrastlib.reproduction.verdict_figures import (
    FILLS,
    SHORT,
    SIGNS,
    UNITS,
    dumbbells,
    forest,
    forest_numbers,
    judged_by_scale,
    verdict_grid,
    verdict_table,
)
from contrastlib.reproduction.verdicts import WORDS, Part
from contrastlib.training.recipes import desk


@pytest.fixture(scope="module")
def records():
    """Random runs, so that all kinds of verdicts occur, and one seed of some at the scale desk."""
    cells = [*grids.CELLS["all"], ("batch_norm", None)]
    made = [random_run(loss, tau, seed) for loss, tau in cells for seed in grids.SEEDS]
    made += all_like_the_papers("cifar100")
    return made + [random_run(loss, tau, 0, base=desk) for loss, tau in grids.DESK[:6]]


@pytest.fixture(scope="module")
def judged(records):
    scales = ("small", "desk")
    return {scale: judging.judge_all(records, scale, ["cifar10", "cifar100"]) for scale in scales}


def test_every_word_has_a_colour_and_a_sign_of_its_own():
    assert list(SIGNS) == list(WORDS)
    assert len({colour for colour, _ in SIGNS.values()}) == len(WORDS)
    assert len({sign for _, sign in SIGNS.values()}) == len(WORDS)
    looks = []
    for word in WORDS:
        mark = verdict_figures.sign_handle(word)
        looks.append((mark.get_marker(), mark.get_fillstyle(), mark.get_markersize()))
    assert len(set(looks)) == len(WORDS)
    assert set(SHORT) == set(CLAIMS)


def test_the_table_has_each_primary_part_and_the_overall_word(judged):
    table = verdict_table(judged)
    assert list(table.index) == list(CLAIMS)
    small = [("small", "CIFAR-10"), ("small", "CIFAR-100"), ("small", "overall")]
    assert list(table.columns) == [*small, ("desk", "CIFAR-10"), ("desk", "overall")]
    for scale, found in judged.items():
        for claim in CLAIMS:
            assert table.loc[claim, (scale, "overall")] == judging.overall(found, claim)[1]
        for one in found:
            column = (scale, NAMES[one.dataset])
            if one.part.primary and column in table:
                assert table.loc[one.part.claim, column] == one.verdict
    assert table.isin(WORDS).all(axis=None)
    assert set(table["small", "CIFAR-100"]) == {"reproduced"}
    assert {"not run", "undecided"} <= set(table["desk", "CIFAR-10"])


def with_seeds(one, seeds):
    return replace(one, found=replace(one.found, seeds=seeds))


def test_the_grid_of_any_data_sets(records):
    for dataset in ("cifar100", "fashion-mnist", "svhn"):
        judged = {
            scale: judging.judge_all(records, scale, [dataset]) for scale in ("small", "desk")
        }
        table = verdict_table(judged)
        assert set(table["small"]) <= {NAMES[dataset], "overall"}
        assert table.isin(WORDS).all(axis=None)
        verdict_grid(judged)


def test_the_grid_shows_what_the_table_says(judged):
    table = verdict_table(judged)
    figure = verdict_grid(judged)
    (axes,) = figure.axes
    shown = {}
    for mark in axes.lines:
        place = (int(mark.get_ydata()[0]), int(mark.get_xdata()[0]))
        assert place not in shown
        shown[place] = (to_hex(mark.get_color()), mark.get_marker(), mark.get_fillstyle())
    for row, claim in enumerate(table.index):
        for column, title in enumerate(table.columns):
            expected = verdict_figures.sign_handle(table.loc[claim, title])
            look = (expected.get_color(), expected.get_marker(), expected.get_fillstyle())
            assert shown.pop((row, column)) == look
        assert f"{claim}  {SHORT[claim]}" in words(figure)
    assert not shown
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(WORDS)
    star = {"small": "", "desk": "*"}
    for scale, title in table.columns:
        assert f"{scale}{star[scale]}, {title}" in words(figure)
    assert "* One seed, its interval borrowed from small." in words(figure)
    two = {scale: [with_seeds(one, 2) for one in found] for scale, found in judged.items()}
    assert "* Few seeds, their intervals borrowed from small." in words(verdict_grid(two))
    (small_alone,) = verdict_grid({"small": judged["small"]}).axes
    assert "*" not in words(small_alone.figure)


def test_forest_numbers_are_the_primary_effects(judged):
    data = forest_numbers(judged).set_index(["scale", "dataset", "claim"])
    assert data.index.is_unique
    count = 0
    for scale, found in judged.items():
        for one in found:
            if not one.part.primary or one.verdict == "not run":
                continue
            row = data.loc[(scale, one.dataset, one.part.claim)]
            unit = 1.0 if one.part.paper is None else one.part.paper
            assert row["effect"] == one.found.effect / unit
            assert (row["low"], row["high"]) == (one.found.low / unit, one.found.high / unit)
            assert row["bar"] == (0.0 if one.part.paper is None else 0.5)
            assert row["verdict"] == one.verdict
            count += 1
    assert len(data) == count


def test_the_forest_shows_its_numbers_hollow_where_they_are_not_small(judged):
    data = forest_numbers(judged)
    figure = forest(judged)
    multiples = [claim for claim in CLAIMS if claim not in UNITS]
    panels = [multiples, *([claim] for claim in UNITS)]
    for axes, chosen in zip(figure.axes, panels, strict=True):
        factor = 1.0 if len(chosen) > 1 else UNITS[chosen[0]][1]
        mine = data[data["claim"].isin(chosen)]
        for (scale, dataset), part in mine.groupby(["scale", "dataset"]):
            marks = lines(axes, label=f"{scale}, {NAMES[dataset]}")
            drawn = sorted(mark.get_xdata()[0] for mark in marks)
            assert drawn == pytest.approx(sorted(factor * part["effect"]))
            colour = STYLES[dataset][0]
            for mark in marks:
                assert mark.get_fillstyle() == FILLS[scale]
                assert mark.get_color() == colour
        bars = []
        for line in axes.lines:
            x = line.get_xdata()
            y = line.get_ydata()
            if len(x) == 2 and y[0] == y[1]:
                bars.append(tuple(x))
        finite = mine[np.isfinite(mine["low"])]
        expected = factor * finite[["low", "high"]].to_numpy()
        np.testing.assert_allclose(sorted(bars), sorted(map(tuple, expected)))
    assert "Hollow: desk, 1 seed, intervals borrowed from small." in words(figure)
    only = {"small": judged["small"]}
    assert "Hollow" not in words(forest(only))


def test_the_forest_shows_every_mark_and_says_what_it_cuts_off(judged):
    by_claim = {}
    for one in judged["small"]:
        if one.part.primary and one.part.claim == "C10" and one.dataset == "cifar10":
            unit = one.part.unit
            far = replace(one.found, effect=5 * unit, low=4 * unit, high=9 * unit)
            by_claim["small"] = [replace(one, found=far, verdict="reproduced")]
            by_claim["paper"] = by_claim["small"]
    figure = forest(by_claim)
    low, high = figure.axes[0].get_xlim()
    assert low < 5 < high < 9
    assert "Intervals that leave the upper panel are cut off." in words(figure)
    assert f"Half full: paper, {by_claim['paper'][0].found.seeds} seeds" in words(figure)


def test_without_runs_the_forest_and_the_grid_say_not_run():
    judged = judged_by_scale([])
    assert list(judged) == ["small", "desk"]
    assert words(forest(judged)).count("not run") == len(CLAIMS)
    assert set(verdict_table(judged).to_numpy().ravel()) == {"not run"}
    assert len(verdict_grid(judged).axes[0].lines) == len(CLAIMS) * 4


def test_dumbbells_show_table_1_and_ours(records):
    figure = dumbbells(records)
    for axes, measure in zip(figure.axes, ("probe", "uniformity", "tolerance"), strict=True):
        (paper,) = lines(axes, label="the paper")
        printed = [float(as_printed("cifar10", measure)[column]) for column in COLUMNS]
        assert list(paper.get_xdata()) == printed
        assert paper.get_markerfacecolor() == "none"
        table = tables.table(records, ["cifar10"])
        mine = table[table["measure"] == measure].iloc[: len(COLUMNS)]
        for scale in ("small", "desk"):
            (ours,) = lines(axes, label=scale)
            expected = mine[f"{scale}_mean"].to_numpy(dtype=float)
            np.testing.assert_allclose(ours.get_xdata(), expected)
            assert ours.get_markerfacecolor() != "none"
    titles = [tables.column_name(*column) for column in COLUMNS]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == titles
    other = dumbbells(records, "fashion-mnist")
    assert "Not in the paper." in words(other)
    assert not lines(other.axes[0], label="the paper")


def contrast(first, second):
    def luminance(colour):
        parts = []
        for value in to_rgb(colour):
            parts.append(value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4)
        return np.dot(parts, [0.2126, 0.7152, 0.0722]) + 0.05

    ratio = luminance(first) / luminance(second)
    return max(ratio, 1 / ratio)


@pytest.mark.parametrize("ground", ["#ffffff", "#121212", "#14181e"])
def test_every_colour_is_legible_on_light_and_dark(ground):
    colours = {}
    for name, value in vars(plotting).items():
        if name.isupper() and isinstance(value, str):
            colours[name] = value
    assert len(colours) == 11
    for name, colour in colours.items():
        assert contrast(colour, ground) >= 3, name
    used = {*plotting.TAU_COLOURS.values(), *plotting.LOSS_COLOURS.values()}
    used.update(colour for colour, _, _ in STYLES.values())
    used.update(colour for colour, _ in SIGNS.values())
    assert used <= set(colours.values())


def test_the_frames_columns_are_there_without_runs():
    assert isinstance(forest_numbers({"small": []}), pd.DataFrame)
    assert len(forest_numbers({"small": []})) == 0


def test_a_difference_of_single_runs_has_the_interval_that_its_verdict_has(records):
    pairs = {"0.2 minus 0.07": (("contrastive", 0.2), ("contrastive", 0.07))}
    table = tables.differences(records, pairs, scale="desk", datasets=["cifar10"])
    weights = {("contrastive", 0.2): 1.0, ("contrastive", 0.07): -1.0}
    part = Part("", "a difference", "probe", weights)
    found = judging.measured_at("desk", "cifar10", records).estimate(part)
    assert found.how == "borrowed"
    text = f"{100 * found.effect:+.1f} ({100 * found.low:+.1f}, {100 * found.high:+.1f})"
    assert table.iloc[0, 0] == text.replace("-", "−")
    assert "inf" not in text
