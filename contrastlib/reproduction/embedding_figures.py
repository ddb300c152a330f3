"""Figures 2 and 8: maps of embeddings, and the similarities of anchors to their positive and
nearest negatives.
"""

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastlib.data import DATASETS
from contrastlib.reproduction import plot_parts, words
from contrastlib.reproduction.aggregate import RANKS
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.plotting import (
    AMBER,
    BLUE,
    GREEN,
    INDIGO,
    OLIVE,
    ORANGE,
    PINK,
    RED,
    TEAL,
    VIOLET,
)

# Of the first ten classes of a map.
CLASS_COLOURS = (BLUE, ORANGE, GREEN, RED, VIOLET, AMBER, TEAL, PINK, INDIGO, OLIVE)
CLASS_MARKERS = "os^DvPX*<>"
CLASS_NAMES = {name: info.first_classes for name, info in DATASETS.items() if info.first_classes}


def draw_maps(data: pd.DataFrame, taus: Sequence[float], grid: str) -> Figure:
    """Figure 2: a row of maps for each scale and data set with runs, a column for each temperature.

    Of more than ten classes, the first ten have a colour and a marker, the others are grey dots.
    """
    rows = rows_with_runs(data)
    figure = Figure(figsize=(plot_parts.WIDTH, 0.3 + 3.3 * len(rows)), layout="constrained")
    mosaic = []
    for number in range(len(rows)):
        mosaic.append([f"map {number} {tau:g}" for tau in taus])
        mosaic.append([f"legend {number}"] * len(taus))
    panels = figure.subplot_mosaic(mosaic, height_ratios=[1.0, 0.3] * len(rows))
    for number, (scale, dataset) in enumerate(rows):
        for tau in taus:
            axes = panels[f"map {number} {tau:g}"]
            here = (data["scale"] == scale) & (data["dataset"] == dataset) & (data["tau"] == tau)
            draw_map(axes, dataset, data[here].dropna(subset="x"))
            axes.set_title(f"{NAMES[dataset]}\n{scale}, $\\tau$ = {tau:g}", fontsize="medium")
        maps = [panels[f"map {number} {tau:g}"] for tau in taus]
        draw_legend(panels[f"legend {number}"], dataset, maps)
    return plot_parts.footnotes(figure, words.notes(data, grid))


def rows_with_runs(data: pd.DataFrame) -> list[tuple[str, str]]:
    """The pairs of scale and data set that have any run; the first of all where none has."""
    pairs = list(zip(data["scale"], data["dataset"], strict=True))
    there = (data["seeds"] > 0) | (data["diverged"] > 0)
    found = dict.fromkeys(pair for pair, ran in zip(pairs, there, strict=True) if ran)
    return list(found) or pairs[:1]


def class_names(dataset: str) -> list[str]:
    """The names of a data set's first ten classes."""
    return CLASS_NAMES.get(dataset, [f"class {label}" for label in range(10)])


def draw_map(axes: Axes, dataset: str, points: pd.DataFrame) -> None:
    """One map, its points by class."""
    axes.set(xticks=[], yticks=[], aspect="equal", xlim=(-25, 1024), ylim=(-25, 1024))
    axes.spines[:].set(visible=True, alpha=0.4)
    if len(points) == 0:
        plot_parts.centre_text(axes, "not run")
    names = class_names(dataset)
    for label, part in points.groupby("label"):
        if label < 10:
            axes.scatter(
                part["x"],
                part["y"],
                s=11,
                color=CLASS_COLOURS[label],
                marker=CLASS_MARKERS[label],
                label=names[label],
                linewidth=0,
                zorder=2,
            )
        else:
            ink = mpl.rcParams["text.color"]
            axes.scatter(part["x"], part["y"], s=4, color=ink, alpha=0.3, linewidth=0, zorder=1)


def draw_legend(axes: Axes, dataset: str, maps: Sequence[Axes]) -> None:
    """The classes that any map of a row shows, in a panel of their own, in the order of their
    labels.
    """
    axes.set_axis_off()
    marks = {}
    for drawn in maps:
        for handle, title in zip(*drawn.get_legend_handles_labels(), strict=True):
            marks.setdefault(title, handle)
    labels = [title for title in class_names(dataset) if title in marks]
    handles = [marks[title] for title in labels]
    if labels:
        axes.legend(
            handles,
            labels,
            loc="center",
            ncols=4,
            frameon=False,
            fontsize="small",
            columnspacing=0.8,
            handletextpad=0.2,
        )


def draw_profiles(data: pd.DataFrame, taus: Sequence[float], grid: str) -> Figure:
    """Figure 8: a row for each scale and data set with runs, a column for each temperature with
    runs.
    """
    rows = rows_with_runs(data)
    ran = set(data["tau"][data["seeds"] > 0])
    columns = [tau for tau in taus if tau in ran] or [taus[0]]
    figure = Figure(figsize=(plot_parts.WIDTH, 1.3 + 2.0 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    for across, (scale, dataset) in zip(panels, rows, strict=True):
        across[0].set_ylabel(f"{NAMES[dataset]}, {scale}\nsimilarity")
        for axes, tau in zip(across, columns, strict=True):
            here = (data["scale"] == scale) & (data["dataset"] == dataset) & (data["tau"] == tau)
            draw_profile(axes, data[here & (data["seeds"] > 0)])
            axes.set_title(f"$\\tau$ = {tau:g}", fontsize="medium")
    said = "Thin: 5 to 95 % of the anchors; thick: 25 to 75 %; marker: mean."
    return plot_parts.finish(figure, data, grid, said)


def draw_profile(axes: Axes, part: pd.DataFrame) -> None:
    """The positive apart on the left, the ten nearest negatives from near to far."""
    place = {RANKS[0]: 0}
    for number, rank in enumerate(RANKS[1:], 1):
        place[rank] = number + 2  # apart from the positive
    axes.set_xticks([place["pos"], place["n6"]], ["pos", "n1–10"], fontsize="x-small")
    axes.set_xlim(-1.2, 13.2)
    if len(part) == 0:
        plot_parts.centre_text(axes, "not run")
    looks = {
        "positive": (BLUE, "s", part["rank"] == "pos"),
        "ten nearest negatives": (ORANGE, "o", part["rank"] != "pos"),
    }
    for title, (colour, marker, which) in looks.items():
        some = part[which]
        x = some["rank"].map(place)
        axes.vlines(x, some["q5"], some["q95"], color=colour, linewidth=1)
        axes.vlines(x, some["q25"], some["q75"], color=colour, linewidth=3.5, alpha=0.6)
        axes.plot(x, some["mean"], marker, color=colour, markersize=3.5, label=title)
