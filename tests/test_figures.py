"""Figures and table from made-up runs: every number drawn is a run's or the paper's, and what is missing is said."""

import math
import socket
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from contrastlib.__main__ import main
from contrastlib.reproduction import ablations, aggregate, figures, grids, paper_table, plot_parts, write_figures
from contrastlib.reproduction.first_rule import interval
from contrastlib.training import run_records
from contrastlib.training.recipes import paper, run_id, small

NUMBERS = range(1, 10)
DRAW = {number: getattr(figures, f"fig{number}") for number in NUMBERS}


def made_up(loss, tau, seed, dataset="cifar10", base=small, status="finished"):
    """A run with numbers of its own: no two cells, seeds or data sets have one in common."""
    recipe = grids.cell(replace(base(dataset), seed=seed), loss, tau)
    chance = np.random.default_rng(int(run_id(recipe), 16))
    label = chance.integers(0, 100 if dataset == "cifar100" else 10, 60)
    history = [
        {"epoch": epoch, "effective_negatives": chance.uniform(10, 7000)} for epoch in range(1, recipe.epochs + 1)
    ]
    profile = np.sort(chance.uniform(0, 1, 11))[::-1].tolist()
    metrics = {
        "probe": chance.uniform(0.48, 0.52),
        "uniformity": chance.uniform(2, 3.8),
        "tolerance": chance.uniform(0, 0.5),
        "tolerance_as_printed": chance.uniform(0, 0.05),
        "knn": chance.uniform(0.4, 0.5),
        "positive_similarity": profile[0],
        "neighbour_similarities": profile[1:],
        "profile_quantiles": [[value + step for step in (-0.1, -0.05, 0, 0.05, 0.1)] for value in profile],
    }
    places = {"x": chance.integers(0, 1000, 60).tolist(), "y": chance.integers(0, 1000, 60).tolist()}
    done = (metrics, places | {"label": label.tolist()}) if status == "finished" else ({}, {})
    return run_records.record(recipe, status, done[0], history, 1.0, "cpu", "float32", done[1])


@pytest.fixture(scope="module")
def records():
    made = [made_up(loss, tau, seed) for loss, tau in grids.CELLS["all"] for seed in grids.SEEDS]
    return made + [made_up(loss, tau, 0, "cifar100") for loss, tau in grids.CELLS["all"]]


@pytest.fixture(scope="module")
def written(records, tmp_path_factory):
    """What the command writes into an empty folder, without data and network."""
    runs = tmp_path_factory.mktemp("runs")
    out = runs / "empty" / "figures"
    for record in records:
        run_records.write(runs, record)

    def refuse(*_):
        raise AssertionError("the network was asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRASTLIB_DATA", str(out / "nowhere"))
        patch.setattr(socket.socket, "connect", refuse)
        with redirect_stdout(StringIO()) as said:
            assert main(["figures", "--out", str(out), "--runs", str(runs)]) == 0
    (out.parent / "said").write_text(said.getvalue())
    return out


def without(records, dataset, *cells):
    gone = {run_id(grids.cell(replace(small(dataset), seed=seed), *cell)) for cell in cells for seed in grids.SEEDS}
    return [record for record in records if record["id"] not in gone]


def values(records, dataset, loss, tau, measure):
    """Slowly and plainly: what the runs of a cell measured, by seed."""
    found = {
        record["seed"]: record["metrics"][measure]
        for record in records
        if record["recipe"]["dataset"] == dataset
        and record["recipe"]["loss"] == loss
        and (tau is None or record["recipe"]["tau"] == tau)
    }
    return [found[seed] * (100 if measure == "probe" else 1) for seed in sorted(found)]


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")


def lines(axes, **wanted):
    return [line for line in axes.lines if all(getattr(line, f"get_{key}")() == value for key, value in wanted.items())]


def test_the_command_writes_everything_without_data_or_network(written):
    files = {path.name for path in written.iterdir()}
    stems = [f"fig{n}" for n in NUMBERS] + [f"beyond-{name}" for name in ablations.NAMES]
    drawn = {f"{stem}-{theme}.{kind}" for stem in stems for theme in ("light", "dark") for kind in ("png", "svg")}
    assert files == drawn | {f"{stem}.csv" for stem in stems} | {"table1.csv", "claims.csv", "beyond.csv"}
    assert all((written / name).stat().st_size > 100 for name in files)
    said = (written.parent / "said").read_text().splitlines()
    assert said[0].startswith("outcomes read: 92, of which the small recipe's and shown here: 92")
    assert files == set(" ".join(said[1:-1]).split())
    assert said[-1].startswith(f"73 files in {written} in ")


@pytest.mark.parametrize("number", figures.CURVES)
def test_the_csv_of_a_curve_has_the_means_of_the_runs(number, written, records):
    measure, losses = figures.CURVES[number]
    data = pd.read_csv(written / f"fig{number}.csv")
    assert set(data["scale"]) == {"small"}
    assert set(data["loss"]) - {"none", "supervised"} == set(losses)
    for row in data.itertuples():
        tau = None if math.isnan(row.tau) else row.tau
        x = values(records, row.dataset, row.loss, tau, measure)
        expected = interval(x)
        assert row.seeds == len(x) == {"cifar10": 3, "cifar100": 1}.get(row.dataset, 0)
        if row.seeds:
            assert row.mean == pytest.approx(expected[0], rel=1e-8)
            assert [float(value) for value in row.values.split()] == pytest.approx(x, rel=1e-8)
            ids = {record["id"]: record for record in records}
            assert [ids[run]["recipe"]["loss"] for run in row.runs.split()] == [row.loss] * row.seeds
        if row.seeds == 3:
            assert (row.low, row.high) == pytest.approx(expected[1:], rel=1e-7)
        else:
            assert math.isnan(row.low)
            assert math.isnan(row.high)
        printed = paper_table.table1(row.dataset, measure).get((row.loss, tau), math.nan)
        assert row.paper == pytest.approx(printed * (100 if measure == "probe" else 1), nan_ok=True)


@pytest.mark.parametrize("number", [4, 5, 6, 7])
def test_what_is_drawn_is_what_the_csv_says_and_the_paper_has_a_panel_of_its_own(number, written, records):
    data = pd.read_csv(written / f"fig{number}.csv")
    left, right = DRAW[number](records).axes
    for dataset, name in ("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100"):
        part = data[data["dataset"] == dataset]
        (ours,), (papers,) = lines(left, label=name), lines(right, label=name)
        np.testing.assert_allclose(ours.get_xydata(), part[["tau", "mean"]], rtol=1e-8)
        np.testing.assert_allclose(papers.get_xydata(), part[["tau", "paper"]].dropna())
        assert papers.get_markerfacecolor() == "none"
        assert ours.get_markerfacecolor() != "none"
    seeds = np.concatenate([line.get_ydata() for line in lines(left, label="_seed")])
    assert sorted(seeds) == pytest.approx(sorted(float(v) for cell in data["values"].dropna() for v in cell.split()))
    bars = np.concatenate([path for bars in left.collections for path in bars.get_segments()])
    np.testing.assert_allclose(bars[:, 1].reshape(-1, 2), data[["low", "high"]].dropna(), rtol=1e-6)
    assert {line.get_label() for line in right.lines} == {*aggregate.NAMES.values(), "_ceiling"} - {
        "Fashion-MNIST",
        "Digits",
        *(["_ceiling"] if number in (5, 7) else []),
    }
    if number in (4, 6):
        assert lines(left, label="_ceiling")[0].get_ydata()[0] == pytest.approx(3.938, abs=1e-3)


def test_figure_9_has_a_row_for_each_data_set_and_the_nets_beside(records):
    data, figure = figures.numbers(9, records), figures.fig9(records)
    assert len(figure.axes) == 4
    for dataset, left, right in zip(("cifar10", "cifar100"), figure.axes[::2], figure.axes[1::2], strict=True):
        for loss, name in ("contrastive", "ordinary loss"), ("hard", "hard loss"):
            part = data[(data["dataset"] == dataset) & (data["loss"] == loss)]
            np.testing.assert_allclose(lines(left, label=name)[0].get_ydata(), part["mean"])
            np.testing.assert_allclose(lines(right, label=f"{name}, the paper")[0].get_ydata(), part["paper"].dropna())
        for loss, name in ("none", "untrained"), ("supervised", "supervised"):
            mean = np.mean(values(records, dataset, loss, None, "probe"))
            assert any(f"{name} {mean:.1f} %" in text.get_text() for text in left.texts)


def test_figure_9_with_nothing_but_an_untrained_net(records):
    only = [record for record in records if record["recipe"]["loss"] == "none"]
    left = figures.fig9(only, datasets=["cifar10"]).axes[0]
    low, high = left.get_ylim()
    assert low < np.mean(values(records, "cifar10", "none", None, "probe")) < high
    assert len(lines(left, label="_level")) == 1


@pytest.mark.parametrize(("value", "arrow"), [(0.5, ""), (0.9, "↑ "), (0.05, "↓ ")])
def test_a_net_far_off_the_curves_is_named_at_the_edge(records, value, arrow):
    far = [
        record | {"metrics": {"probe": value}} if record["recipe"]["loss"] == "supervised" else record
        for record in records
    ]
    left = figures.fig9(far, datasets=["cifar10"]).axes[0]
    (text,) = [text for text in left.texts if "supervised" in text.get_text()]
    assert text.get_text() == f"{arrow}supervised {100 * value:.1f} %"
    assert left.get_ylim()[0] < text.get_position()[1] < left.get_ylim()[1]
    assert (100 * value in [line.get_ydata()[0] for line in lines(left, label="_level")]) == (arrow == "")


def test_figure_8_has_means_and_quantiles_of_the_anchors(written, records):
    data = pd.read_csv(written / "fig8.csv").set_index(["dataset", "tau", "rank"]).sort_index()
    for dataset in ("cifar10", "cifar100"):
        for tau in (0.07, 0.2, 0.3, 0.7, 1.0):
            pos = values(records, dataset, "contrastive", tau, "positive_similarity")
            assert data.loc[(dataset, tau, "pos"), "mean"] == pytest.approx(np.mean(pos))
            near = np.mean(values(records, dataset, "contrastive", tau, "neighbour_similarities"), axis=0)
            assert [data.loc[(dataset, tau, f"n{k}"), "mean"] for k in range(1, 11)] == pytest.approx(near.tolist())
            spread = np.mean(values(records, dataset, "contrastive", tau, "profile_quantiles"), axis=0)
            drawn = data.loc[(dataset, tau, "n10"), ["q5", "q25", "q50", "q75", "q95"]].tolist()
            assert drawn == pytest.approx(spread[-1].tolist())
    figure = figures.fig8(records, datasets=["cifar10"])
    assert len(figure.axes) == 5
    nearest = figure.axes[0].lines[1].get_ydata()
    np.testing.assert_allclose(nearest, data.loc[("cifar10", 0.07)].loc[list(aggregate.RANKS[1:]), "mean"])


def test_figure_2_draws_the_first_seeds_map(records):
    later = [record for record in records if record["seed"] != 0 or record["recipe"]["dataset"] == "cifar100"]
    figure = figures.fig2(later)
    expected = next(
        r for r in later if (r["recipe"]["loss"], r["recipe"]["tau"], r["seed"]) == ("contrastive", 0.2, 1)
    )["map"]
    drawn = np.concatenate([points.get_offsets() for points in figure.axes[1].collections])
    assert sorted(map(tuple, drawn)) == sorted(zip(expected["x"], expected["y"], strict=True))
    assert "CIFAR-10, $\\tau$ = 0.2, seed 1" in words(figure)
    assert "apple" in words(figure)  # the first of CIFAR-100's classes; the eleventh and later are grey
    assert "class 10" not in words(figure)


def test_figure_1_exchanges_two_instances_and_keeps_the_loss():
    data = figures.numbers(1).set_index(["arrangement", "role", "instance"]).sort_index()
    np.testing.assert_allclose(np.linalg.norm(data[["x", "y", "z"]], axis=1), 1)
    slow = {}
    for name in ("semantic", "exchanged"):
        f, g = (data.loc[(name, role), ["x", "y", "z"]].to_numpy() for role in ("instance", "view"))
        s = np.exp(f @ g.T / 0.2)
        slow[name] = np.mean(-np.log(np.diag(s) / s.sum(axis=1)))
        assert data.loc[name, "mean_loss"].tolist() == pytest.approx([slow[name]] * 8, rel=1e-12)
    assert slow["semantic"] == pytest.approx(slow["exchanged"], rel=1e-12)
    places = data[["x", "y", "z"]]
    for role in ("instance", "view"):
        for here, there in zip("ijkl", "ikjl", strict=True):
            assert tuple(places.loc["semantic", role, here]) == tuple(places.loc["exchanged", role, there])
    assert words(figures.fig1()).count(f"mean loss {slow['semantic']:.4f}") == 2


def test_figure_3_has_shares_that_sum_to_one():
    for tau, part in figures.numbers(3).groupby("tau"):
        assert part["r"].sum() == pytest.approx(1, rel=1e-5)
        z = np.exp(part["s"] / tau)
        np.testing.assert_allclose(part["r"], z / z.sum(), rtol=1e-4)
    assert np.all(np.diff(figures.fig3().axes[0].lines[0].get_xdata()) >= 0)


def test_a_missing_cell_breaks_the_line_and_is_named(records):
    figure = figures.fig6(without(records, "cifar10", ("hard", 0.7)))
    left = figure.axes[0]
    (line,) = lines(left, label="CIFAR-10")
    assert np.isnan(line.get_ydata()).tolist() == [tau == 0.7 for tau in grids.TAUS]
    assert len(lines(left, label="_gap")) == 1
    assert "No run: CIFAR-10 hard 0.7." in words(figure)
    assert "Dotted between our runs: temperatures that were not run." in words(figure)
    assert "Not run: SVHN, ImageNet100 (contrastlib sweep curves --dataset svhn imagenet100)." in words(figure)
    whole = figures.fig6(records)
    assert not lines(whole.axes[0], label="_gap")
    assert "No run:" not in words(whole)
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
        assert f"sweep {grid} --recipe paper --dataset" in words(DRAW[number]([], base=paper))


def test_only_the_data_sets_asked_for_are_drawn(records):
    figure = figures.fig5(records, datasets=["cifar100"])
    assert "CIFAR-10 " not in words(figure) + " "
    assert len(lines(figure.axes[1], label="CIFAR-100")) == 1
    assert "not in the paper" in words(figures.fig5(records, datasets=["fashion-mnist"]))
    with pytest.raises(ValueError, match="no data set 'mnist'; the data sets are: cifar10"):
        figures.fig5(records, datasets=["mnist"])
    with pytest.raises(ValueError, match="the paper has no data set 'digits'"):
        figures.fig5(records, base=paper, datasets=["digits"])
    with pytest.raises(ValueError, match="there is no figure 10"):
        figures.numbers(10, records)


def test_another_data_set_joins_the_paper_s_when_it_has_runs(records):
    more = [*records, made_up("contrastive", 0.2, 0, "fashion-mnist")]
    assert "Fashion-MNIST" not in words(figures.fig4(records))
    assert "No run: Fashion-MNIST ordinary 0.02, 0.05" in words(figures.fig4(more))


@pytest.mark.parametrize("number", [4, 9])
def test_one_legend_names_each_curve_once_by_its_first_mark(number, records):
    figure = DRAW[number](records)
    (legend,) = figure.legends
    named = {text.get_text(): mark for text, mark in zip(legend.get_texts(), legend.legend_handles, strict=True)}
    assert len(named) == len(legend.get_texts())
    first = {}
    for axes in figure.axes:
        for mark, label in zip(*axes.get_legend_handles_labels(), strict=True):
            first.setdefault(label, mark)
    assert named.keys() == first.keys()
    for (
        label,
        mark,
    ) in named.items():  # the runs' filled mark, not the hollow one of the paper
        assert mark.get_markerfacecolor() == first[label].get_markerfacecolor()


def test_diverged_runs_are_named_and_not_averaged(records):
    lost = made_up("hard", 0.02, 1, status="diverged")
    mixed = [lost if record["id"] == lost["id"] else record for record in records]
    figure, data = figures.fig7(mixed), figures.numbers(7, mixed)
    row = data[(data["dataset"] == "cifar10") & (data["tau"] == 0.02)].iloc[0]
    assert (row["seeds"], row["diverged"], lost["id"] in row["runs"]) == (2, 1, False)
    assert "Diverged: CIFAR-10 hard 0.02 (1 of 3)." in words(figure)
    table = figures.table1([made_up("hard", 0.3, 0, status="diverged"), lost, made_up("hard", 1.0, 0)])
    uniformity = table.loc[("CIFAR-10", "uniformity, nats", "small")]
    assert uniformity["hard 0.3"] == "diverged (1)"
    assert uniformity["hard 1"].endswith(" (1)")


def test_runs_that_are_not_of_the_recipe_do_not_count(records):
    pilot = made_up("contrastive", 0.2, 100)
    assert pilot["id"] in {run_id(recipe) for recipe in grids.grid("pilot")}
    other = made_up("contrastive", 0.2, 0, base=lambda name: replace(small(name), epochs=5))
    more = [*records, pilot, other, made_up("contrastive", 0.2, 0, base=paper)]
    pd.testing.assert_frame_equal(figures.numbers(4, more), figures.numbers(4, records))
    assert figures.numbers(4, more, base=paper)["seeds"].sum() == 1


def test_a_metric_that_was_not_measured_is_named(records):
    old = [record | {"metrics": {"probe": 0.5}} for record in records]
    with pytest.raises(ValueError, match=r"the outcome [0-9a-f]{12} has no metric '\w+', .* train it again"):
        figures.fig8(old)


def test_wide_intervals_are_cut_and_this_is_said(records):
    two = [r for r in records if r["seed"] < 2 and r["recipe"]["dataset"] == "cifar10"]
    assert "Intervals that leave the panel are cut off." in words(figures.fig7(two))
    assert "Intervals" not in words(figures.fig7([r for r in two if r["seed"] < 1]))
    assert "1 seed, no interval" in words(figures.fig7([r for r in two if r["seed"] < 1]))


def test_table_1_keeps_the_paper_and_each_scale_apart(records):
    large = [made_up(loss, tau, seed, base=paper) for loss, tau in paper_table.COLUMNS for seed in (0, 1)]
    table = figures.table1(records + large)
    assert table.columns[:2].tolist() == ["ordinary 0.07", "ordinary 0.3"]
    assert table.columns[-2:].tolist() == ["untrained", "supervised"]
    ours = {source: table.loc[("CIFAR-10", "probe, accuracy, %", source)] for source in ("small", "paper-scale")}
    for source, base in ("small", records), ("paper-scale", large):
        mean, low, high = interval(values(base, "cifar10", "hard", 0.3, "probe"))
        seeds = {"small": 3, "paper-scale": 2}[source]
        assert ours[source]["hard 0.3"] == f"{mean:.1f} ± {(high - low) / 2:.1f} ({seeds})"
    assert ours["paper-scale"]["untrained"] == "not run"
    for dataset, measure in paper_table.PRINTED:
        unit = f"{measure}, {aggregate.UNITS[measure]}"
        row = table.loc[(aggregate.NAMES[dataset], unit, "paper")]
        assert row.tolist() == [*paper_table.PRINTED[dataset, measure].split(), "", ""]
    assert "paper-scale" not in figures.table1(records).index.get_level_values("source")
    assert set(figures.table1([]).loc["SVHN"].xs("small", level="source").to_numpy().ravel()) == {"not run"}


def test_table_csv_names_seeds_and_runs_beside_the_paper(written, records):
    large = [made_up("hard", 0.3, 0, base=paper)]
    data = aggregate.table(records + large, paper_table.DATASETS)
    row = data[(data["dataset"] == "cifar10") & (data["measure"] == "probe") & (data["loss"] == "hard")].iloc[1]
    assert (row["tau"], row["paper"], row["small_seeds"], row["paper_scale_seeds"]) == (0.3, 83.63, 3, 1)
    assert row["small_mean"] == pytest.approx(np.mean(values(records, "cifar10", "hard", 0.3, "probe")))
    assert row["paper_scale_runs"] == (large[0]["id"],)
    assert not set(row["small_runs"]) & set(row["paper_scale_runs"])
    file = pd.read_csv(written / "table1.csv")
    assert len(file) == 4 * 3 * 12
    assert not [column for column in file if column.startswith("paper_scale")]
    filled = file[file["small_seeds"] > 0]
    assert (filled["small_runs"].str.split().str.len() == filled["small_seeds"]).all()


def test_claims_csv_has_every_claim_and_its_verdict(written, records):
    data = pd.read_csv(written / "claims.csv")
    assert set(data["claim"]) == {f"C{n}" for n in range(1, 15)}
    assert set(data[data["dataset"] == "svhn"]["verdict"]) == {"not run"}
    assert data[data["claim"] == "C14"]["verdict_of_claim"].tolist() == ["reproduced"]
    assert "not run" not in set(data[data["dataset"] == "cifar10"]["verdict"])


def test_curves_are_described_in_words(records):
    x = [np.mean(values(records, "cifar10", "hard", tau, "uniformity")) for tau in grids.TAUS]
    said = figures.describe(6, records, datasets=["cifar10", "svhn"])
    assert said.startswith(f"CIFAR-10 hard: from {x[0]:.2f} at tau 0.02 to {x[-1]:.2f} at tau 1")
    assert "SVHN" not in said
    assert figures.describe(5, []) == "Not run."
    with pytest.raises(ValueError, match="figure 8 is not described"):
        figures.describe(8, records)


@pytest.mark.parametrize("number", [1, 4])
def test_drawing_again_gives_the_same_bytes(number, written, records, tmp_path):
    options = {"records": records, "base": small, "datasets": None}
    make = partial(DRAW[number], **options)
    write_figures.draw(f"fig{number}", tmp_path, figures.numbers(number, **options), make, say=lambda line: None)
    for path in tmp_path.iterdir():
        if path.suffix in (".svg", ".csv"):
            assert path.read_bytes() == (written / path.name).read_bytes()
        assert b"dc:date" not in path.read_bytes()


def contrast(first, second):
    def light(colour):
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return np.dot(parts, [0.2126, 0.7152, 0.0722]) + 0.05

    return max(light(first) / light(second), light(second) / light(first))


@pytest.mark.parametrize("theme", write_figures.THEMES)
def test_text_and_curves_are_legible_on_each_theme(theme, records):
    ground = write_figures.THEMES[theme][1]
    for number in NUMBERS:
        with mpl.style.context(write_figures.look(theme)):
            figure = DRAW[number](records, datasets=["cifar10"])
        assert contrast(figure.get_facecolor(), ground) == 1
        inks = {to_hex(text.get_color()) for text in figure.findobj(Text) if text.get_text()}
        assert inks
        assert all(contrast(ink, ground) >= 7 for ink in inks)
    assert all(contrast(colour, ground) >= 2.5 for colour in plot_parts.COLOURS)


def test_figures_take_their_ink_from_the_style_and_leave_it_alone(records):
    before = dict(mpl.rcParams)
    with mpl.rc_context({"text.color": "#123456", "figure.facecolor": "none"}):
        figure = figures.fig9(records, datasets=["cifar10"])
    assert figure.get_facecolor()[3] == 0
    assert {text.get_color() for text in figure.axes[0].texts} == {"#123456"}
    assert dict(mpl.rcParams) == before


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    (tmp_path / "file").touch()
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "0123456789ab.json").write_text("{")
    out = ["figures", "--out", str(tmp_path / "out")]
    for arguments, word in (
        ([*out, "--runs", str(tmp_path / "none")], "there is no folder"),
        ([*out, "--runs", str(bad)], "0123456789ab.json is damaged"),
        ([*out, "--dataset", "mnist"], "there is no data set 'mnist'"),
        ([*out, "--recipe", "paper", "--dataset", "digits"], "the paper has no data set 'digits'"),
        (["figures", "--out", str(tmp_path / "file")], "is a file; give a folder"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert word in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
