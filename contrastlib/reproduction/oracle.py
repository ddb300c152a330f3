"""The oracle: what the ordinary loss does when no negative is of the anchor's own class, which the
labels tell, and the supervised contrastive loss beside it.

The runs are those of the grid "oracle", which says what was expected of them. They are looked up by
their ids, so that no other figure takes them for its own.
"""

import math
import textwrap
from collections.abc import Iterable

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastlib.reproduction import aggregate, grids, plot_parts, words
from contrastlib.reproduction.names import DECIMALS
from contrastlib.reproduction.plotting import tau_colour
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["MEASURES", "METHODS", "alt_text", "draw", "effects", "numbers"]

ORDINARY = "ordinary"
ORACLE = "same class left out"
SUPERVISED = "supervised contrastive"
METHODS = {ORDINARY: "o", ORACLE: "^", SUPERVISED: "s"}  # and their markers
LINES = {ORDINARY: "-", ORACLE: plot_parts.LONG_DASHES, SUPERVISED: "none"}
MEASURES = ("uniformity", "tolerance", "knn", "probe")
LABELS = {"knn": "nearest\nneighbours (%)", "probe": "linear\nprobe (%)"}
TEXT = 11  # points


def method(recipe: Recipe) -> str:
    """What a run of the grid is called."""
    if recipe.loss == "supervised_contrastive":
        return SUPERVISED
    return ORACLE if recipe.leave_out_same_class else ORDINARY


def numbers(records: Iterable[dict] | None = None, dataset: str = "fashion-mnist") -> pd.DataFrame:
    """What the figure draws: a row for each measure, method and temperature.

    Columns: measure, method, tau; mean, low and high (95 % interval of Student's t, empty with one
    seed), seeds (how many runs finished), values by seed, runs (their ids). Accuracies are in per
    cent. records: None takes those that come with the package. Runs that are not there have no row
    of values: seeds is 0 and mean is NaN.
    """
    records = read_shipped() if records is None else list(records)
    by_id = {record["id"]: record for record in records if record["status"] == "finished"}
    recipes = grids.grid("oracle", settings=[f"dataset={dataset}"])
    cells = {}
    for recipe in recipes:
        key = (method(recipe), recipe.tau)
        cells.setdefault(key, []).append(run_id(recipe))
    rows = []
    for measure in MEASURES:
        for (name, tau), ids in sorted(cells.items(), key=place):
            done = [by_id[each] for each in ids if each in by_id]
            scale = aggregate.factor(measure)
            values = {record["seed"]: scale * record["metrics"][measure] for record in done}
            row = {"measure": measure, "method": name, "tau": tau}
            row |= aggregate.summary(values.values()) if values else nothing()
            row["values"] = values
            row["runs"] = tuple(record["id"] for record in done)
            rows.append(row)
    return pd.DataFrame(rows)


def place(cell: tuple[tuple[str, float], list[str]]) -> tuple[int, float]:
    """Where a cell stands: methods in the order of METHODS, then temperatures."""
    (name, tau), _ = cell
    return list(METHODS).index(name), tau


def nothing() -> dict:
    """The summary of no values."""
    return {"mean": math.nan, "low": math.nan, "high": math.nan, "seeds": 0}


def effects(data: pd.DataFrame) -> pd.DataFrame:
    """The oracle minus the ordinary loss, by measure and temperature, paired by seed.

    data: from `numbers`. Columns: measure, tau, mean, low, high, seeds, values; temperatures that
    have no seed of both are left out.
    """
    rows = []
    for (measure, tau), part in data.groupby(["measure", "tau"], sort=False):
        values = part.set_index("method")["values"]
        if ORDINARY not in values or ORACLE not in values:
            continue
        common = sorted(set(values[ORDINARY]) & set(values[ORACLE]))
        if not common:
            continue
        differences = [values[ORACLE][seed] - values[ORDINARY][seed] for seed in common]
        rows.append({"measure": measure, "tau": tau} | aggregate.summary(differences))
    return pd.DataFrame(rows, columns=["measure", "tau", "mean", "low", "high", "seeds", "values"])


def draw(records: Iterable[dict] | None = None, dataset: str = "fashion-mnist") -> Figure:
    """The plane of uniformity and tolerance, and below it the accuracies by temperature.

    A colour is a temperature and a marker a method; large marks are means over seeds, and small
    ones the seeds. What was not run is said below. `alt_text` puts the figure into words.
    """
    data = numbers(records, dataset)
    with mpl.rc_context({"font.size": TEXT, "axes.labelsize": TEXT}):
        figure = Figure(figsize=(plot_parts.WIDTH, 8.2), layout="constrained")
        plane, *panels = figure.subplots(3, 1, height_ratios=(2.0, 1, 1))
        draw_plane(plane, data)
        for axes, measure in zip(panels, LABELS, strict=True):
            draw_accuracy(axes, data, measure)
        panels[1].sharex(panels[0])
        panels[0].set_xlabel("")
        panels[0].tick_params(labelbottom=False)
        add_legend(figure)
        lines = []
        for sentence in not_run(data, dataset):
            lines += textwrap.wrap(sentence, 52)
        if lines:
            figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=TEXT)
    return figure


def draw_plane(axes: Axes, data: pd.DataFrame) -> None:
    """Tolerance against uniformity; an arrow leads from the ordinary loss to the oracle."""
    across = data[data["measure"] == "uniformity"].set_index(["method", "tau"])
    up = data[data["measure"] == "tolerance"].set_index(["method", "tau"])
    for (name, tau), row in across.iterrows():
        if row["seeds"] == 0:
            continue
        colour = tau_colour(tau)
        marker = METHODS[name]
        x = row["mean"]
        y = up.loc[(name, tau), "mean"]
        seeds_x = list(row["values"].values())
        seeds_y = list(up.loc[(name, tau), "values"].values())
        axes.plot(seeds_x, seeds_y, marker, color=colour, alpha=0.45, markersize=4)
        axes.plot(x, y, marker, color=colour, markersize=9)
        if name != ORACLE:
            axes.annotate(
                rf"$\tau$ = {tau:g}",
                (x, y),
                xytext=(0, -9 if name == ORDINARY else 9),
                textcoords="offset points",
                ha="center",
                va="top" if name == ORDINARY else "bottom",
                color=colour,
            )
        if name == ORACLE and across.loc[(ORDINARY, tau), "seeds"] > 0:
            start = (across.loc[(ORDINARY, tau), "mean"], up.loc[(ORDINARY, tau), "mean"])
            style = {"arrowstyle": "->", "color": colour, "shrinkA": 6, "shrinkB": 6}
            axes.annotate("", (x, y), xytext=start, arrowprops=style)
    axes.margins(0.18)
    axes.set(xlabel="uniformity (nats)", ylabel="tolerance (mean cosine)")
    say_where_empty(axes, across)


def draw_accuracy(axes: Axes, data: pd.DataFrame, measure: str) -> None:
    """An accuracy against temperature, a line for each method."""
    mine = data[data["measure"] == measure]
    plot_parts.temperature_axis(axes, mine["tau"])
    for name, part in mine[mine["seeds"] > 0].groupby("method", sort=False):
        ink = mpl.rcParams["text.color"]
        axes.plot(part["tau"], part["mean"], color=ink, linestyle=LINES[name], linewidth=1)
        for _, row in part.iterrows():
            colour = tau_colour(row["tau"])
            marker = METHODS[name]
            seeds = list(row["values"].values())
            axes.plot(
                [row["tau"]] * len(seeds), seeds, marker, color=colour, alpha=0.45, markersize=4
            )
            axes.plot(row["tau"], row["mean"], marker, color=colour, markersize=9)
    axes.tick_params(labelsize=TEXT)
    axes.margins(y=0.15)
    axes.set(ylabel=LABELS[measure])
    say_where_empty(axes, mine)


def say_where_empty(axes: Axes, rows: pd.DataFrame) -> None:
    """Say so in a panel that has no run."""
    if not rows["seeds"].any():
        axes.set(xticks=[], yticks=[])
        plot_parts.centre_text(axes, "not run")


def add_legend(figure: Figure) -> None:
    """Above the panels: which marker is which method."""
    ink = mpl.rcParams["text.color"]
    entries = []
    for name, marker in METHODS.items():
        line = LINES[name]
        entries.append(
            Line2D([], [], color=ink, marker=marker, linestyle=line, label=name, markersize=7)
        )
    figure.legend(handles=entries, loc="outside upper left", ncols=1, frameon=False)


def not_run(data: pd.DataFrame, dataset: str) -> list[str]:
    """What to say where runs are missing: the cells without any, and the command for the rest."""
    each = data[data["measure"] == MEASURES[0]]
    there = int(each["seeds"].sum())
    wanted = len(each) * len(grids.SEEDS)
    if there == wanted:
        return []
    said = []
    empty = each[each["seeds"] == 0]
    if 0 < len(empty) < len(each):
        cells = [f"{row.method} {row.tau:g}" for row in empty.itertuples()]
        said.append(f"Not run: {'; '.join(cells)}.")
    command = words.command("oracle", "small", [dataset])
    said.append(f"{there} of {wanted} runs are there; the others: {command}")
    return said


def alt_text(data: pd.DataFrame) -> str:
    """The figure in words, from the frame of `numbers`."""
    if not data["seeds"].any():
        return "An empty figure: none of its runs is there."
    sentences = [
        "Three panels, one above the other: tolerance against uniformity, then the accuracy of "
        "nearest neighbours and of the linear probe against temperature."
    ]
    means = data.set_index(["method", "tau", "measure"])["mean"]
    for name in METHODS:
        said = []
        for tau in sorted(data["tau"][data["method"] == name].unique()):
            values = [means[(name, tau, measure)] for measure in MEASURES]
            if math.isnan(values[0]):
                said.append(f"at tau {tau:g} not run")
                continue
            uniformity, tolerance, knn, probe = (
                f"{value:.{DECIMALS[measure]}f}"
                for value, measure in zip(values, MEASURES, strict=True)
            )
            said.append(
                f"at tau {tau:g} uniformity {uniformity}, tolerance {tolerance}, neighbours "
                f"{knn} %, probe {probe} %"
            )
        sentences.append(f"{name.capitalize()}: {'; '.join(said)}.")
    return " ".join(sentences)
