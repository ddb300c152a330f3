"""What `contrastlib figures` writes, from made-up runs, without data and network."""

import math
import socket
from contextlib import redirect_stdout
from io import StringIO

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up import measured, random_run, words
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from scipy import stats

from contrastlib.__main__ import main
from contrastlib.reproduction import (
    ablations,
    figures,
    grids,
    paper_table,
    tables,
    themes,
    write_figures,
)
from contrastlib.reproduction.claims import CLAIMS
from contrastlib.reproduction.judging import pooled_cells
from contrastlib.reproduction.names import NAMES, UNITS
from contrastlib.training import run_records
from contrastlib.training.recipes import paper

NUMBERS = range(1, 10)
DRAW = {number: getattr(figures, f"fig{number}") for number in NUMBERS}
STEMS = [f"fig{number}" for number in NUMBERS]
STEMS += [f"beyond-{name}" for name in ablations.NAMES_OF_FIGURES]
STEMS += ["verdicts", "forest", "best-tau"]
TABLES = {"table1.csv", "claims.csv", "identities.csv", "beyond.csv"}


@pytest.fixture(scope="module")
def records():
    cells = grids.CELLS["all"]
    made = [random_run(loss, tau, seed) for loss, tau in cells for seed in grids.SEEDS]
    return made + [random_run(loss, tau, 0, "cifar100") for loss, tau in cells]


def run_command(out, runs):
    """What the command says; AssertionError where it asks for the network."""

    def refuse(*_):
        raise AssertionError("the network was asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRASTLIB_DATA", str(out / "nowhere"))
        patch.setattr(socket.socket, "connect", refuse)
        with redirect_stdout(StringIO()) as said:
            assert main(["figures", "--out", str(out), "--runs", str(runs)]) == 0
    return said.getvalue().splitlines()


@pytest.fixture(scope="module")
def written(records, tmp_path_factory):
    """The folder with what the command writes, and what it says."""
    runs = tmp_path_factory.mktemp("runs")
    for record in records:
        run_records.write(runs, record)
    out = runs / "empty" / "figures"
    return out, run_command(out, runs)


def files_of(stems):
    drawn = {f"{stem}.csv" for stem in stems}
    for stem in stems:
        for theme in ("light", "dark"):
            drawn.update({f"{stem}-{theme}.png", f"{stem}-{theme}.svg"})
    return drawn


def test_the_command_writes_everything_without_data_or_network(written):
    out, said = written
    files = {path.name for path in out.iterdir()}
    assert files == files_of([*STEMS, "dumbbells-cifar10", "dumbbells-cifar100"]) | TABLES
    assert all((out / name).stat().st_size > 100 for name in files)
    assert said[0] == "outcomes read: 92; scales shown: small"
    assert files == set(" ".join(said[1:-1]).split())
    assert said[-1].startswith(f"99 files in {out} in ")


def slow_interval(records, dataset, cell, measure):
    """The rule by hand: pooled over the cells of four losses if Bartlett's test lets them."""
    values = measured(records, dataset, *cell, measure)
    groups = [measured(records, dataset, *other, measure) for other in pooled_cells()]
    mean = np.mean(values)
    if cell in pooled_cells() and stats.bartlett(*groups).pvalue >= 0.05:
        variance = np.mean([np.var(group, ddof=1) for group in groups])
        freedom = 2 * len(groups)
    else:
        variance = np.var(values, ddof=1)
        freedom = 2
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance / 3)
    return mean - half, mean + half


@pytest.mark.parametrize("number", figures.CURVES)
def test_the_csv_of_a_curve_has_the_means_of_the_runs(number, written, records):
    measure, losses = figures.CURVES[number]
    data = pd.read_csv(written[0] / f"fig{number}.csv")
    assert set(data["scale"]) == {"small"}
    assert set(data["loss"]) - {"none", "supervised"} == set(losses)
    by_id = {record["id"]: record for record in records}
    for row in data.itertuples():
        tau = None if math.isnan(row.tau) else row.tau
        values = measured(records, row.dataset, row.loss, tau, measure)
        assert row.seeds == len(values) == {"cifar10": 3, "cifar100": 1}.get(row.dataset, 0)
        assert not row.borrowed
        if row.seeds:
            assert row.mean == pytest.approx(np.mean(values), rel=1e-8)
            assert [float(value) for value in row.values.split()] == pytest.approx(values, rel=1e-8)
            assert {by_id[run]["recipe"]["loss"] for run in row.runs.split()} == {row.loss}
        if row.seeds == 3:
            expected = slow_interval(records, row.dataset, (row.loss, tau), measure)
            assert (row.low, row.high) == pytest.approx(expected, rel=1e-7)
        else:
            assert math.isnan(row.low)
            assert math.isnan(row.high)
        printed = paper_table.table1(row.dataset, measure).get((row.loss, tau), math.nan)
        factor = 100 if measure == "probe" else 1
        assert row.paper == pytest.approx(printed * factor, nan_ok=True)


def test_claims_csv_has_every_part_and_its_verdict(written):
    data = pd.read_csv(written[0] / "claims.csv", keep_default_na=False)
    assert set(data["scale"]) == {"small", "desk"}
    assert set(data["claim"]) == set(CLAIMS)
    assert set(data[data["dataset"] == "svhn"]["verdict"]) == {"not run"}
    here = data[(data["scale"] == "small") & (data["dataset"] == "cifar10")]
    batch_norm = here["missing"] == "batch_norm"
    assert (batch_norm == (here["verdict"] == "not run")).all()
    assert set(here[batch_norm]["claim"]) == {"C3"}
    assert set(data[data["scale"] == "desk"]["verdict"]) == {"not run"}
    first = here[here["claim"] == "C10"]["first_edition"]
    assert set(first) == {"partly"}


def test_identities_csv_confirms_every_formula(written):
    data = pd.read_csv(written[0] / "identities.csv")
    assert set(data["claim"]) == {"C1", "C2", "C3", "C4", "C14"}
    assert data["holds"].all()
    assert (data["worst"] <= data["allowed"]).all()


def test_an_empty_folder_of_runs_gives_every_page_and_says_what_is_missing(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    out = tmp_path / "out"
    said = run_command(out, runs)
    assert said[0] == "outcomes read: 0; scales shown: small"
    assert {path.name for path in out.iterdir()} == files_of(STEMS) | TABLES
    data = pd.read_csv(out / "claims.csv", keep_default_na=False)
    assert set(data["verdict"]) == set(data["verdict_of_claim"]) == {"not run"}
    assert (data["missing"] != "").all()
    table = pd.read_csv(out / "table1.csv")
    assert table["small_seeds"].sum() == 0
    assert set(pd.read_csv(out / "verdicts.csv").iloc[:, 1:].to_numpy().ravel()) == {"not run"}
    assert len(pd.read_csv(out / "forest.csv")) == 0
    assert pd.read_csv(out / "beyond.csv")["mean"].isna().all()


def test_table_1_keeps_the_paper_and_each_scale_apart(records):
    large = []
    for loss, tau in paper_table.COLUMNS:
        for seed in (0, 1):
            large.append(random_run(loss, tau, seed, base=paper))
    table = figures.table1(records + large)
    assert table.columns[:2].tolist() == ["ordinary 0.07", "ordinary 0.3"]
    assert table.columns[-2:].tolist() == ["untrained", "supervised"]
    cells = table.loc[("CIFAR-10", "probe, accuracy, %")]
    low, high = slow_interval(records, "cifar10", ("hard", 0.3), "probe")
    assert cells.loc["small", "hard 0.3"] == f"{(low + high) / 2:.1f} ± {(high - low) / 2:.1f} (3)"
    mean = np.mean(measured(large, "cifar10", "hard", 0.3, "probe"))
    assert cells.loc["paper-scale", "hard 0.3"].startswith(f"{mean:.1f} ± ")
    assert cells.loc["paper-scale", "hard 0.3"].endswith(" (2)")
    assert cells.loc["paper-scale", "untrained"] == "not run"
    for dataset, measure in paper_table.PRINTED:
        row = table.loc[(NAMES[dataset], f"{measure}, {UNITS[measure]}", "paper")]
        assert row.tolist() == [*paper_table.PRINTED[dataset, measure].split(), "", ""]
    assert "paper-scale" not in figures.table1(records).index.get_level_values("source")
    empty = figures.table1([]).loc["SVHN"].xs("small", level="source")
    assert set(empty.to_numpy().ravel()) == {"not run"}


def test_table_csv_names_seeds_and_runs_beside_the_paper(written, records):
    large = [random_run("hard", 0.3, 0, base=paper)]
    data = tables.table(records + large, paper_table.DATASETS)
    here = (data["dataset"] == "cifar10") & (data["measure"] == "probe") & (data["loss"] == "hard")
    row = data[here].iloc[1]
    assert (row["tau"], row["paper"]) == (0.3, 83.63)
    assert (row["small_seeds"], row["paper_scale_seeds"]) == (3, 1)
    mean = np.mean(measured(records, "cifar10", "hard", 0.3, "probe"))
    assert row["small_mean"] == pytest.approx(mean)
    assert row["paper_scale_runs"] == (large[0]["id"],)
    assert not set(row["small_runs"]) & set(row["paper_scale_runs"])
    file = pd.read_csv(written[0] / "table1.csv")
    assert len(file) == 4 * 3 * 12
    assert not [column for column in file if column.startswith("paper_scale")]
    filled = file[file["small_seeds"] > 0]
    assert (filled["small_runs"].str.split().str.len() == filled["small_seeds"]).all()


@pytest.mark.parametrize("number", [1, 4])
def test_drawing_again_gives_the_same_bytes(number, written, records, tmp_path):
    def draw():
        return DRAW[number](records)

    numbers = figures.numbers(number, records)
    write_figures.write_one(f"fig{number}", tmp_path, numbers, draw, say=lambda line: None)
    for path in tmp_path.iterdir():
        if path.suffix in (".svg", ".csv"):
            assert path.read_bytes() == (written[0] / path.name).read_bytes()
        assert b"dc:date" not in path.read_bytes()


def test_the_dark_drawing_is_the_light_one_in_other_ink(written):
    for path in written[0].glob("*-light.svg"):
        light = path.read_text()
        dark = path.with_name(path.name.replace("light", "dark")).read_text()
        for before, after in zip(*themes.THEMES.values(), strict=True):
            assert before not in dark
            assert light.count(before) == dark.count(after)


def contrast(first, second):
    def luminance(colour):
        parts = []
        for value in to_rgb(colour):
            parts.append(value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4)
        return np.dot(parts, [0.2126, 0.7152, 0.0722]) + 0.05

    ratio = luminance(first) / luminance(second)
    return max(ratio, 1 / ratio)


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


@pytest.mark.parametrize("number", NUMBERS)
def test_a_recoloured_figure_is_the_same_as_one_drawn_in_the_dark_style(number, records):
    base, light = themes.light_style()
    swap = dict(zip(*themes.THEMES.values(), strict=True))
    dark = {name: swap.get(value, value) for name, value in light.items()}
    drawn = []
    for style in (light, dark):
        with mpl.style.context([base, style]):
            figure = DRAW[number](records, datasets=["cifar10"])
            if style is light:
                pixels(figure)  # drawn and laid out in the light theme first, as in the command
                figure.set_layout_engine("none")
                themes.recolour(figure)
            drawn.append(pixels(figure))
    assert len(np.unique(drawn[1].reshape(-1, 4), axis=0)) > 2
    assert np.array_equal(*drawn)


@pytest.mark.parametrize("theme", themes.THEMES)
def test_text_is_legible_on_each_theme(theme, records):
    ground = themes.THEMES[theme][1]
    for number in NUMBERS:
        with mpl.style.context(themes.light_style()):
            figure = DRAW[number](records, datasets=["cifar10"])
        if theme == "dark":
            themes.recolour(figure)
        assert contrast(figure.get_facecolor(), ground) == 1
        inks = {to_hex(text.get_color()) for text in figure.findobj(Text) if text.get_text()}
        assert inks
        assert all(contrast(ink, ground) >= 7 for ink in inks), words(figure)


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
