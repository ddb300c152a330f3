"""Parts of the figures: curves over temperature with their intervals, Table 1's numbers beside,
notes below.

Panels stand one above the other, so that a figure is read on a phone without turning it.
"""

import textwrap
from collections.abc import Iterable

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from contrastlib.reproduction import words
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.plotting import (
    AMBER,
    BLUE,
    GREEN,
    OLIVE,
    ORANGE,
    PINK,
    RED,
    TEAL,
)
from contrastlib.reproduction.run_index import SCALES

WIDTH = 4.6  # inches of a figure: text of 10 points is legible on a phone
LONG_DASHES = (0, (5, 1.5))
DASH_DOT = (0, (5, 1.5, 1, 1.5))
DASH_DOT_DOT = (0, (3, 1, 1, 1, 1, 1))
STYLES = {  # colour, marker and line of each data set, each loss, and each ablation
    "cifar10": (BLUE, "o", "-"),
    "cifar100": (RED, "s", LONG_DASHES),
    "svhn": (GREEN, "^", DASH_DOT),
    "imagenet100": (PINK, "D", DASH_DOT_DOT),
    "fashion-mnist": (AMBER, "v", (0, (8, 2))),
    "digits": (OLIVE, "P", (0, (2, 1))),
    "contrastive": (BLUE, "o", "-"),
    "hard": (ORANGE, "s", LONG_DASHES),
    "baseline": (BLUE, "o", "-"),
    "50 epochs": (RED, "s", LONG_DASHES),
    "cosine tau": (GREEN, "^", DASH_DOT),
    "512 negatives": (AMBER, "v", LONG_DASHES),
    "queue": (GREEN, "^", DASH_DOT),
    "in-batch": (PINK, "D", DASH_DOT_DOT),
}
OTHER_STYLE = (TEAL, "X", (0, (1, 1)))  # of a data set that has none of its own
GAP = (0, (1, 3))  # dots that lead over temperatures without a run
PAPER = "the paper, Table 1"


def with_runs(data: pd.DataFrame) -> list[str]:
    """The data sets of a frame that have any run, finished or diverged; the first of all where none
    has.
    """
    there = (data["seeds"] > 0) | (data["diverged"] > 0)
    return list(dict.fromkeys(data["dataset"][there])) or [data["dataset"].iloc[0]]


def centre_text(axes: Axes, text: str) -> None:
    """Words in the middle of a panel that has nothing to show."""
    axes.text(
        0.5,
        0.5,
        text,
        ha="center",
        va="center",
        transform=axes.transAxes,
        fontsize="small",
        wrap=True,
    )


def temperature_axis(axes: Axes, taus: Iterable[float]) -> None:
    """A logarithmic axis with a tick at each temperature in use."""
    taus = sorted(set(taus))
    labels = [f"{tau:g}" for tau in taus]
    if 0.05 in taus and 0.07 in taus:
        labels[taus.index(0.05)] = ""  # the two would touch
    axes.set_xscale("log")
    axes.set_xticks(taus, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize="small")
    axes.set(xlabel=r"temperature $\tau$", xlim=(taus[0] / 1.15, taus[-1] * 1.15))


def curve(axes: Axes, part: pd.DataFrame, style: str, title: str) -> None:
    """A curve's means, joined where neighbours in tau were run and dotted across gaps; intervals;
    each seed, faint.

    Intervals whose variance is borrowed are thinner.
    """
    colour, marker, line = STYLES.get(style, OTHER_STYLE)
    found = part[part["seeds"] > 0]
    if len(found) == 0:
        return
    if len(found) < len(part):
        axes.plot(
            found["tau"], found["mean"], color=colour, linestyle=GAP, linewidth=1, label="_gap"
        )
    axes.plot(
        part["tau"],
        part["mean"],
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=5,
        label=title,
    )
    sure = found.dropna(subset="low")
    borrowed = pd.Series(False, index=sure.index)
    if "borrowed" in sure:
        borrowed = sure["borrowed"].astype(bool)
    error_bars(axes, sure[~borrowed], colour, 1.2)
    error_bars(axes, sure[borrowed], colour, 0.7)
    for tau, values in zip(found["tau"], found["values"], strict=True):
        if len(values) > 1:
            taus = [tau] * len(values)
            axes.plot(taus, values, ".", color=colour, alpha=0.45, markersize=4, label="_seed")


def error_bars(axes: Axes, rows: pd.DataFrame, colour: str, thickness: float) -> None:
    """The intervals of a curve's points, in one call, since each costs as much as many."""
    if len(rows) == 0:
        return
    below = rows["mean"] - rows["low"]
    above = rows["high"] - rows["mean"]
    axes.errorbar(
        rows["tau"],
        rows["mean"],
        [below, above],
        fmt="none",
        ecolor=colour,
        capsize=3,
        linewidth=thickness,
    )


def paper_points(axes: Axes, part: pd.DataFrame, style: str, title: str) -> None:
    """What Table 1 prints: hollow markers, and thin dots to lead the eye from one to the next."""
    colour, marker, _ = STYLES.get(style, OTHER_STYLE)
    part = part.dropna(subset="paper")
    if len(part):
        axes.plot(
            part["tau"],
            part["paper"],
            linestyle=GAP,
            linewidth=1,
            label=title,
            color=colour,
            marker=marker,
            markerfacecolor="none",
            markersize=6,
        )


def reference_line(
    axes: Axes, row: pd.Series, text: str, line: str, ends: tuple[float, float]
) -> None:
    """A horizontal line for a net that has no temperature; far off the curves' ends, its value at
    the edge.
    """
    bottom, top = ends
    span = top - bottom
    value = row["mean"]
    low, high = axes.get_ylim()
    if bottom - 0.6 * span <= value <= top + 0.6 * span:
        ink = mpl.rcParams["text.color"]
        axes.axhline(value, color=ink, linestyle=line, linewidth=1, label="_reference")
        place = value
        arrow = ""
    elif value > top:
        place = high + 0.08 * span
        arrow = "↑ "
    else:
        place = low - 0.2 * span
        arrow = "↓ "
    axes.text(
        0.02,
        place,
        f"{arrow}{text} {value:.1f} %",
        va="bottom",
        fontsize="small",
        transform=axes.get_yaxis_transform(),
    )
    axes.set_ylim(min(low, place - 0.02 * span), max(high, place + 0.18 * span))


def seeds_in_words(data: pd.DataFrame) -> str:
    """How many seeds a frame's means are over, in words."""
    counts = data["seeds"][data["seeds"] > 0]
    if len(counts) == 0:
        return "not run"
    low = counts.min()
    high = counts.max()
    if low != high:
        return f"{low} to {high} seeds"
    return "1 seed" if low == 1 else f"{low} seeds"


def runs_title(data: pd.DataFrame) -> str:
    """The title of a panel with runs: their scale, seeds, and what the intervals are."""
    title = SCALES[data["scale"].iloc[0]].title
    words = seeds_in_words(data)
    if "borrowed" in data and data["borrowed"].any():
        words += ", interval borrowed from small"
    elif data["low"].notna().any():
        words += ", 95 % interval"
    return f"{title}\n({words})"


def legend_above(figure: Figure, last: Iterable[str] = ()) -> None:
    """One legend above all panels, each label once, with the labels in `last` in their order at the
    end.
    """
    entries = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        for handle, title in zip(handles, labels, strict=True):
            entries.setdefault(title, handle)
    last = [title for title in last if title in entries]
    titles = [title for title in entries if title not in last] + last
    if titles:
        columns = 3 if max(map(len, titles)) < 16 else 2
        figure.legend(
            [entries[title] for title in titles],
            titles,
            loc="outside upper center",
            ncols=min(len(titles), columns),
            frameon=False,
        )


def footnotes(figure: Figure, sentences: Iterable[str]) -> Figure:
    """Add sentences below all panels, broken to the figure's width."""
    width = int(14.5 * figure.get_figwidth())
    lines = []
    for sentence in sentences:
        lines += textwrap.wrap(sentence, width)
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize="small", linespacing=1.3)
    return figure


def finish(figure: Figure, data: pd.DataFrame, grid: str, *more: str) -> Figure:
    """Add the legend above, and what must be said below."""
    legend_above(figure, [NAMES[dataset] for dataset in data["dataset"].unique()])
    return footnotes(figure, [*more, *words.notes(data, grid)])


def gap_note(data: pd.DataFrame) -> list[str]:
    """What to say if some curve has a run on both sides of a temperature without one."""
    for _, part in data.dropna(subset="tau").groupby(["scale", "dataset", "loss"]):
        ran = (part["seeds"] > 0).tolist()
        if not any(ran):
            continue
        first = ran.index(True)
        last = len(ran) - ran[::-1].index(True)
        if not all(ran[first:last]):
            return ["Dotted between our runs: temperatures that were not run."]
    return []


def pad_limits(axes: Axes, data: pd.DataFrame, others: Iterable[float] = ()) -> None:
    """Limits around every seed, every borrowed interval and all other values, and around the other
    intervals unless they are far wider.
    """
    borrowed = data[data["borrowed"]]  # they rest on many runs, so none is wide by luck
    values = [value for found in data["values"] for value in found]
    values += [value for value in [*borrowed["low"], *borrowed["high"], *others] if pd.notna(value)]
    if not values:
        return
    bottom = min(values)
    top = max(values)
    span = (top - bottom) or 1.0
    low = data["low"].min()
    high = data["high"].max()
    if pd.notna(low):
        bottom = min(bottom, max(low, bottom - 0.5 * span))
        top = max(top, min(high, top + 0.5 * span))
    axes.set_ylim(bottom - 0.07 * span, top + 0.09 * span)


def clipped_note(axes: Axes, data: pd.DataFrame) -> list[str]:
    """What to say if a panel is too small for some interval."""
    low, high = axes.get_ylim()
    wide = (data["low"] < low) | (data["high"] > high)
    return ["Intervals that leave the panel are cut off."] if wide.any() else []
