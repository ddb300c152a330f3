"""Figures from made-up runs: every number drawn is a run's or the paper's, and what is missing is
said.
"""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up import lines, measured, random_run, without, words
from matplotlib.figure import Figure

from contrastlib.reproduction import aggregate, figures, grids
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.paper_table import DATASETS as PAPER_DATASETS
from contrastlib.training.recipes import desk, paper, run_id, small

NUMBERS = range(1, 10)
DRAW = {number: getattr(figures, f"fig{number}") for number in NUMBERS}


@pytest.fixture(scope="module")
def records():
    cells = grids.CELLS["all"]
    made = [random_run(loss, tau, seed) for loss, tau in cells for seed in grids.SEEDS]
    return made + [random_run(loss, tau, 0, "cifar100") for loss, tau in cells]


@pytest.mark.parametrize("number", [4, 5, 6, 7])
def test_what_is_drawn_is_what_the_numbers_say_and_the_paper_has_a_panel_of_its_own(
    number, records
):
    data = figures.numbers(number, records)
    ours, papers = DRAW[number](records).axes
    for dataset, name in ("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100"):
        part = data[data["dataset"] == dataset]
        (our_line,) = lines(ours, label=name)
        (paper_line,) = lines(papers, label=name)
        np.testing.assert_allclose(our_line.get_xydata(), part[["tau", "mean"]])
        np.testing.assert_allclose(paper_line.get_xydata(), part[["tau", "paper"]].dropna())
        assert paper_line.get_markerfacecolor() == "none"
        assert our_line.get_markerfacecolor() != "none"
    seeds = np.concatenate([line.get_ydata() for line in lines(ours, label="_seed")])
    several = data["values"][data["seeds"] > 1]
    assert sorted(seeds) == pytest.approx(sorted(value for cell in several for value in cell))
    bars = np.concatenate([segment for bars in ours.collections for segment in bars.get_segments()])
    np.testing.assert_allclose(bars[:, 1].reshape(-1, 2), data[["low", "high"]].dropna())
    labels = {NAMES[name] for name in PAPER_DATASETS} | {"_ceiling"}
    if number in (5, 7):
        labels.remove("_ceiling")
    assert {line.get_label() for line in papers.lines} == labels
    if number in (4, 6):
        (ceiling,) = lines(ours, label="_ceiling")
        assert ceiling.get_ydata()[0] == pytest.approx(3.938, abs=1e-3)


def test_panels_stand_one_above_the_other_in_the_order_of_the_scales(records):
    both = records + [random_run("contrastive", tau, 0, base=desk) for tau in grids.TAUS]
    figure = figures.fig4(both)
    small_panel, desk_panel, paper_panel = figure.axes
    assert small_panel.get_title().startswith("small: 7,500 images, 16 channels\n(1 to 3 seeds")
    assert desk_panel.get_title().startswith("desk: all images, 16 channels\n(1 seed, interval")
    assert paper_panel.get_title().startswith("the paper, Table 1")
    figure.draw_without_rendering()
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops == sorted(tops, reverse=True)
    assert len({round(axes.get_position().x0, 6) for axes in figure.axes}) == 1
    only = figures.fig4(both, scales=["desk"])
    assert [axes.get_title().split(":")[0] for axes in only.axes[:-1]] == ["desk"]
    with pytest.raises(ValueError, match="no scale 'large'; the scales are: small, desk, paper"):
        figures.fig4(both, scales=["large"])


def test_an_interval_borrowed_from_small_is_thinner_and_the_panel_says_so(records):
    alone = random_run("contrastive", 0.2, 0, base=desk)
    data = figures.numbers(4, [*records, alone])
    here = data[(data["scale"] == "desk") & (data["tau"] == 0.2) & (data["dataset"] == "cifar10")]
    assert here["borrowed"].tolist() == [True]
    assert here["mean"].item() == alone["metrics"]["uniformity"]
    assert here["low"].item() < here["mean"].item() < here["high"].item()
    assert not data[data["scale"] == "small"]["borrowed"].any()
    small_panel, desk_panel, _ = figures.fig4([*records, alone]).axes
    assert "(1 seed, interval borrowed from small)" in desk_panel.get_title()
    (thin,) = {width for bars in desk_panel.collections for width in bars.get_linewidths()}
    (thick,) = {width for bars in small_panel.collections for width in bars.get_linewidths()}
    assert thin < thick


def test_a_borrowed_interval_is_seen_whole_however_near_the_values_are(records):
    near = []
    for tau in (0.07, 0.2, 0.3):
        record = random_run("contrastive", tau, 0, base=desk)
        near.append(record | {"metrics": record["metrics"] | {"probe": 0.5 + tau / 1000}})
    figure = figures.fig9([*records, *near], datasets=["cifar10"])
    (panel,) = [axes for axes in figure.axes if "desk" in axes.get_title()]
    bottom, top = panel.get_ylim()
    (bars,) = panel.collections
    ends = np.concatenate(bars.get_segments())[:, 1]
    assert len(ends) == 6
    assert bottom < ends.min() < ends.max() < top


def test_figure_9_has_panels_for_each_data_set_and_the_baselines_as_lines(records):
    data = figures.numbers(9, records)
    figure = figures.fig9(records)
    assert len(figure.axes) == 4
    panels = zip(("cifar10", "cifar100"), figure.axes[::2], figure.axes[1::2], strict=True)
    for dataset, ours, papers in panels:
        for loss, name in ("contrastive", "ordinary loss"), ("hard", "hard loss"):
            part = data[(data["dataset"] == dataset) & (data["loss"] == loss)]
            (our_line,) = lines(ours, label=name)
            (paper_line,) = lines(papers, label=f"{name}, the paper")
            np.testing.assert_allclose(our_line.get_ydata(), part["mean"])
            np.testing.assert_allclose(paper_line.get_ydata(), part["paper"].dropna())
        for loss, name in ("none", "untrained"), ("supervised", "supervised"):
            mean = np.mean(measured(records, dataset, loss, None, "probe"))
            assert any(f"{name} {mean:.1f} %" in text.get_text() for text in ours.texts)


def test_figure_9_with_nothing_but_an_untrained_net(records):
    only = [record for record in records if record["recipe"]["loss"] == "none"]
    ours = figures.fig9(only, datasets=["cifar10"]).axes[0]
    low, high = ours.get_ylim()
    assert low < np.mean(measured(records, "cifar10", "none", None, "probe")) < high
    assert len(lines(ours, label="_reference")) == 1


@pytest.mark.parametrize(("value", "arrow"), [(0.5, ""), (0.9, "↑ "), (0.05, "↓ ")])
def test_a_net_far_off_the_curves_is_named_at_the_edge(records, value, arrow):
    far = []
    for record in records:
        if record["recipe"]["loss"] == "supervised":
            record = record | {"metrics": {"probe": value}}
        far.append(record)
    ours = figures.fig9(far, datasets=["cifar10"]).axes[0]
    (text,) = [text for text in ours.texts if "supervised" in text.get_text()]
    assert text.get_text() == f"{arrow}supervised {100 * value:.1f} %"
    assert ours.get_ylim()[0] < text.get_position()[1] < ours.get_ylim()[1]
    drawn = [line.get_ydata()[0] for line in lines(ours, label="_reference")]
    assert (100 * value in drawn) == (arrow == "")


def test_figure_8_has_means_and_quantiles_of_the_anchors(records):
    data = figures.numbers(8, records)
    assert list(dict.fromkeys(data["dataset"])) == ["cifar100", "cifar10"]
    data = data.set_index(["dataset", "tau", "rank"]).sort_index()
    quantiles = ["q5", "q25", "q50", "q75", "q95"]
    for dataset in ("cifar10", "cifar100"):
        for tau in (0.07, 0.2, 0.3, 0.7, 1.0):
            cell = ("contrastive", tau)
            here = data.loc[(dataset, tau)]
            positive = measured(records, dataset, *cell, "positive_similarity")
            assert here.loc["pos", "mean"] == pytest.approx(np.mean(positive))
            near = measured(records, dataset, *cell, "neighbour_similarities")
            drawn = here.loc[[f"n{rank}" for rank in range(1, 11)], "mean"].tolist()
            assert drawn == pytest.approx(np.mean(near, axis=0).tolist())
            spread = measured(records, dataset, *cell, "profile_quantiles")
            expected = np.mean(spread, axis=0)[-1].tolist()
            assert here.loc["n10", quantiles].tolist() == pytest.approx(expected)
    figure = figures.fig8(records, datasets=["cifar10"])
    assert len(figure.axes) == 5
    nearest = figure.axes[0].lines[1].get_ydata()
    here = data.loc[("cifar10", 0.07)]
    np.testing.assert_allclose(nearest, here.loc[list(aggregate.RANKS[1:]), "mean"])
    whiskers, boxes = figure.axes[0].collections[2:4]
    for bars, ends in (whiskers, ["q5", "q95"]), (boxes, ["q25", "q75"]):
        drawn = np.array(bars.get_segments())[:, :, 1]
        np.testing.assert_allclose(drawn, here.loc[list(aggregate.RANKS[1:]), ends])


def test_figure_8_has_a_column_for_each_temperature(records):
    """Also where a scale lacks one of them."""
    made = [random_run("contrastive", tau, 0, base=desk) for tau in (0.2, 1.0)]
    figure = figures.fig8([*records, *made], scales=["small", "desk"], datasets=["cifar10"])
    taus = (0.07, 0.2, 0.3, 0.7, 1.0)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == 2 * [f"$\\tau$ = {tau:g}" for tau in taus]
    small_row, desk_row = figure.axes[:5], figure.axes[5:]
    assert small_row[0].get_ylabel() == "CIFAR-10, small\nsimilarity"
    assert desk_row[0].get_ylabel() == "CIFAR-10, desk\nsimilarity"
    ran = ["not run" not in {text.get_text() for text in axes.texts} for axes in desk_row]
    assert ran == [tau in (0.2, 1.0) for tau in taus]


def test_figure_2_draws_the_first_seeds_map(records):
    later = []
    for record in records:
        if record["seed"] != 0 or record["recipe"]["dataset"] == "cifar100":
            later.append(record)
    figure = figures.fig2(later)
    expected = random_run("contrastive", 0.2, 1)["map"]
    title = "CIFAR-10\nsmall, $\\tau$ = 0.2"
    (panel,) = [axes for axes in figure.axes if axes.get_title() == title]
    drawn = np.concatenate([points.get_offsets() for points in panel.collections])
    assert sorted(map(tuple, drawn)) == sorted(zip(expected["x"], expected["y"], strict=True))
    data = figures.numbers(2, later)
    here = data[(data["dataset"] == "cifar10") & (data["tau"] == 0.2)]
    assert set(here["seed"]) == {1}
    # The first ten of CIFAR-100's classes have names; the eleventh and later are grey.
    assert "apple" in words(figure)
    assert "class 10" not in words(figure)


def test_figure_1_exchanges_two_instances_and_keeps_the_loss():
    data = figures.numbers(1).set_index(["arrangement", "role", "instance"]).sort_index()
    np.testing.assert_allclose(np.linalg.norm(data[["x", "y", "z"]], axis=1), 1)
    slow = {}
    for name in ("semantic", "exchanged"):
        f = data.loc[(name, "instance"), ["x", "y", "z"]].to_numpy()
        g = data.loc[(name, "view"), ["x", "y", "z"]].to_numpy()
        s = np.exp(f @ g.T / 0.2)
        slow[name] = np.mean(-np.log(np.diag(s) / s.sum(axis=1)))
        assert data.loc[name, "mean_loss"].tolist() == pytest.approx([slow[name]] * 8, rel=1e-12)
    assert slow["semantic"] == pytest.approx(slow["exchanged"], rel=1e-12)
    places = data[["x", "y", "z"]]
    for role in ("instance", "view"):
        for here, there in zip("ijkl", "ikjl", strict=True):
            before = tuple(places.loc["semantic", role, here])
            assert before == tuple(places.loc["exchanged", role, there])
    assert words(figures.fig1()).count(f"mean loss {slow['semantic']:.4f}") == 2


def test_figure_3_has_shares_that_sum_to_one():
    for tau, part in figures.numbers(3).groupby("tau"):
        assert part["r"].sum() == pytest.approx(1, rel=1e-5)
        z = np.exp(part["s"] / tau)
        np.testing.assert_allclose(part["r"], z / z.sum(), rtol=1e-4)
    assert np.all(np.diff(figures.fig3().axes[0].lines[0].get_xdata()) >= 0)


def test_a_missing_cell_breaks_the_line_and_is_named(records):
    figure = figures.fig6(without(records, "cifar10", ("hard", 0.7)))
    ours = figure.axes[0]
    (line,) = lines(ours, label="CIFAR-10")
    assert np.isnan(line.get_ydata()).tolist() == [tau == 0.7 for tau in grids.TAUS]
    assert len(lines(ours, label="_gap")) == 1
    assert "No run: CIFAR-10 hard 0.7." in words(figure)
    assert "Dotted between our runs: temperatures that were not run." in words(figure)
    command = "contrastlib sweep curves --dataset svhn imagenet100"
    assert f"Not run: SVHN, ImageNet100 ({command})." in words(figure)
    complete = figures.fig6(records)
    assert not lines(complete.axes[0], label="_gap")
    assert "No run:" not in words(complete)
    ends = figures.fig6(without(records, "cifar10", ("hard", 0.02), ("hard", 1.0)))
    assert "No run: CIFAR-10 hard 0.02, 1." in words(ends)
    assert "Dotted" not in words(ends)


@pytest.mark.parametrize("number", [2, 8, 9])
def test_other_figures_name_a_missing_cell_too(number, records):
    figure = DRAW[number](without(records, "cifar10", ("contrastive", 0.2)))
    assert "No run: CIFAR-10 ordinary 0.2." in words(figure)


@pytest.mark.parametrize("number", NUMBERS)
def test_without_runs_a_figure_says_so_and_how_to_run_them(number):
    figure = DRAW[number]([])
    assert isinstance(figure, Figure)
    needed = number not in (1, 3)
    assert ("not run" in words(figure)) == needed
    assert ("contrastlib sweep" in words(figure)) == needed
    if needed:
        grid, settings = words(figure).split("(contrastlib sweep ")[1].split(" --dataset ")
        assert len(grids.grid(grid, "small", [f"dataset={settings.split()[0]}"])) > 0
        for scale in ("desk", "paper"):
            command = f"sweep {grid} --recipe {scale} --dataset"
            assert command in words(DRAW[number]([], scales=[scale]))


def test_only_the_data_sets_asked_for_are_drawn(records):
    figure = figures.fig5(records, datasets=["cifar100"])
    assert "CIFAR-10 " not in words(figure) + " "
    assert len(lines(figure.axes[-1], label="CIFAR-100")) == 1
    assert "not in the paper" in words(figures.fig5(records, datasets=["fashion-mnist"]))
    with pytest.raises(ValueError, match="no data set 'mnist'; the data sets are: cifar10"):
        figures.fig5(records, datasets=["mnist"])
    for scale in ("desk", "paper"):
        with pytest.raises(ValueError, match="data set 'digits'"):
            figures.fig5(records, scales=[scale], datasets=["digits"])
    with pytest.raises(ValueError, match="there is no figure 10"):
        figures.numbers(10, records)


def test_a_data_set_that_a_scale_does_not_have_is_drawn_at_the_others(records):
    more = [
        *records,
        random_run("contrastive", 0.2, 0, "fashion-mnist"),
        random_run("contrastive", 0.2, 0, base=desk),
    ]
    both = figures.numbers(5, more, datasets=["cifar10", "fashion-mnist"])
    pairs = both[["scale", "dataset"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["small", "cifar10"], ["small", "fashion-mnist"], ["desk", "cifar10"]]
    alone = figures.numbers(5, more, datasets=["fashion-mnist"])
    assert set(alone["scale"]) == {"small"}
    large = figures.numbers(5, [random_run("contrastive", 0.2, 0, "svhn", base=paper)])
    assert set(large["scale"]) == {"paper"}


def test_another_data_set_joins_the_papers_when_it_has_runs(records):
    more = [*records, random_run("contrastive", 0.2, 0, "fashion-mnist")]
    assert "Fashion-MNIST" not in words(figures.fig4(records))
    assert "No run: Fashion-MNIST ordinary 0.02, 0.05" in words(figures.fig4(more))


@pytest.mark.parametrize("number", [4, 9])
def test_one_legend_names_each_curve_once_by_its_first_mark(number, records):
    figure = DRAW[number](records)
    (legend,) = figure.legends
    titles = [text.get_text() for text in legend.get_texts()]
    named = dict(zip(titles, legend.legend_handles, strict=True))
    assert len(named) == len(titles)
    first = {}
    for axes in figure.axes:
        for mark, title in zip(*axes.get_legend_handles_labels(), strict=True):
            first.setdefault(title, mark)
    assert named.keys() == first.keys()
    for title, mark in named.items():
        # the runs' full mark, not the hollow one of the paper
        assert mark.get_markerfacecolor() == first[title].get_markerfacecolor()


def test_diverged_runs_are_named_and_not_averaged(records):
    lost = random_run("hard", 0.02, 1, status="diverged")
    mixed = [lost if record["id"] == lost["id"] else record for record in records]
    data = figures.numbers(7, mixed)
    row = data[(data["dataset"] == "cifar10") & (data["tau"] == 0.02)].iloc[0]
    assert (row["seeds"], row["diverged"], lost["id"] in row["runs"]) == (2, 1, False)
    assert "Diverged: CIFAR-10 hard 0.02 (1 of 3)." in words(figures.fig7(mixed))
    three = [random_run("hard", 0.3, 0, status="diverged"), lost, random_run("hard", 1.0, 0)]
    uniformity = figures.table1(three).loc[("CIFAR-10", "uniformity, nats", "small")]
    assert uniformity["hard 0.3"] == "diverged (1)"
    assert uniformity["hard 1"].endswith(" (1)")


def test_runs_that_are_not_of_the_recipe_do_not_count(records):
    pilot = random_run("contrastive", 0.2, 100)
    assert pilot["id"] in {run_id(recipe) for recipe in grids.grid("pilot")}
    other = random_run(
        "contrastive", 0.2, 0, base=lambda dataset: replace(small(dataset), epochs=5)
    )
    more = [*records, other, random_run("contrastive", 0.2, 0, base=paper)]
    pd.testing.assert_frame_equal(
        figures.numbers(4, more, scales=["small"]), figures.numbers(4, records)
    )
    assert figures.numbers(4, more, scales=["paper"])["seeds"].sum() == 1


def test_a_metric_that_was_not_measured_is_named(records):
    old = [record | {"metrics": {"probe": 0.5}} for record in records]
    said = r"the record [0-9a-f]{12} has no metric '\w+', .* train it again"
    with pytest.raises(ValueError, match=said):
        figures.fig4(old)
    with pytest.raises(ValueError, match=said):
        figures.table1(old)


def test_wide_intervals_are_cut_and_this_is_said(records):
    wide = []
    for record in records:
        if record["recipe"]["dataset"] == "cifar10" and record["seed"] < 2:
            wide.append(record)
    alone = [record for record in wide if record["seed"] == 0]
    # Of two seeds and spreads that differ, Student's interval is far wider than the values.
    for record in [found for found in wide if found["recipe"]["loss"] == "simple"]:
        record = record | {"metrics": record["metrics"] | {"tolerance": 0.1}}
        wide = [record if other["id"] == record["id"] else other for other in wide]
    assert "Intervals that leave the panel are cut off." in words(figures.fig7(wide))
    assert "Intervals" not in words(figures.fig7(alone))
    assert "(1 seed)" in words(figures.fig7(alone))


def test_curves_are_described_in_words(records):
    means = [np.mean(measured(records, "cifar10", "hard", tau, "uniformity")) for tau in grids.TAUS]
    said = figures.describe(6, records, datasets=["cifar10", "svhn"])
    ends = f"from {means[0]:.2f} at tau 0.02 to {means[-1]:.2f} at tau 1"
    assert said.startswith(f"CIFAR-10 hard: {ends}")
    assert "SVHN" not in said
    assert figures.describe(5, []) == "Not run."
    with pytest.raises(ValueError, match="figure 8 is not described"):
        figures.describe(8, records)


def test_figures_take_their_ink_from_the_style_and_leave_it_alone(records):
    before = dict(mpl.rcParams)
    with mpl.rc_context({"text.color": "#123456", "figure.facecolor": "none"}):
        figure = figures.fig9(records, datasets=["cifar10"])
    assert figure.get_facecolor()[3] == 0
    assert {text.get_color() for text in figure.axes[0].texts} == {"#123456"}
    assert dict(mpl.rcParams) == before
