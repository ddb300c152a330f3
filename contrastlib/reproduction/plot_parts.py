"""Parts of the figures: curves over temperature with their intervals, Table 1's numbers beside, notes below."""

import textwrap
from collections.abc import Iterable, Iterator

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from contrastlib.data import DATASETS
from contrastlib.reproduction import aggregate
from contrastlib.reproduction.aggregate import NAMES, Base

BLUE, ORANGE, GREEN, RED, PINK = sns.color_palette("colorblind")[:5]
BROWN = "#a56b3f"  # seaborn's is too pale for white
COLOURS = [BLUE, ORANGE, GREEN, RED, PINK, BROWN, "#8c8c8c", "#95901c", "#3d9fd6", "#c0335f"]  # of ten classes
MARKERS = "os^DvPX*<>"
CLASSES = {name: info.first_classes for name, info in DATASETS.items() if info.first_classes}
STYLES = {  # colour, marker and line of each data set, of each loss, and of each change in `beyond`
    "cifar10": (BLUE, "o", "-"),
    "cifar100": (RED, "s", (0, (5, 1.5))),
    "svhn": (GREEN, "^", (0, (5, 1.5, 1, 1.5))),
    "imagenet100": (PINK, "D", (0, (3, 1, 1, 1, 1, 1))),
    "fashion-mnist": (BROWN, "v", (0, (8, 2))),
    "digits": (ORANGE, "P", (0, (2, 1))),
    "contrastive": (BLUE, "o", "-"),
    "hard": (RED, "s", (0, (5, 1.5))),
    "as it is": (BLUE, "o", "-"),
    "50 epochs": (RED, "s", (0, (5, 1.5))),
    "swinging": (GREEN, "^", (0, (5, 1.5, 1, 1.5))),
    "512 negatives": (RED, "s", (0, (5, 1.5))),
    "queue": (GREEN, "^", (0, (5, 1.5, 1, 1.5))),
    "in-batch": (PINK, "D", (0, (3, 1, 1, 1, 1, 1))),
}
OTHER_STYLE = (COLOURS[6], "X", (0, (1, 1)))  # of a data set that has none of its own
GAP = (0, (1, 3))  # dots that lead over temperatures without a run
TITLES = {"small": "our runs, small recipe", "paper-scale": "our runs, the paper's recipe"}
PAPER = "the paper, Table 1\n(no intervals given)"


def with_runs(data: pd.DataFrame) -> list[str]:
    """The data sets of a frame that have any run, finished or diverged; the first of all where none has."""
    there = (data["seeds"] > 0) | (data["diverged"] > 0)
    return list(dict.fromkeys(data["dataset"][there])) or [data["dataset"].iloc[0]]


def grid(figure: Figure, rows: Iterable, columns: Iterable, **options) -> Iterator[tuple[Axes, tuple]]:
    """A panel for each pair of row and column, with the pair."""
    pairs = [(row, column) for row in rows for column in columns]
    every = figure.subplots(len(list(rows)), len(list(columns)), squeeze=False, **options)
    return zip(every.flat, pairs, strict=True)


def say(axes: Axes, text: str) -> None:
    """Words in the middle of a panel that has nothing to show."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, fontsize="small", wrap=True)


def sphere(axes: Axes) -> None:
    """The unit sphere from the front and a little above: its outline and three parallels."""
    look = {"edgecolor": mpl.rcParams["text.color"], "fill": False}
    axes.add_patch(mpl.patches.Circle((0, 0), 1, linewidth=1.2, **look))
    for height in (-0.6, 0.0, 0.6):
        radius = (1 - height**2) ** 0.5
        size = {"width": 2 * radius, "height": 0.5 * radius, "theta1": 180, "theta2": 360}
        axes.add_patch(mpl.patches.Arc((0, 0.97 * height), alpha=0.45, linewidth=0.5, **size, **look))


def temperatures(axes: Axes, taus: Iterable[float]) -> None:
    """A logarithmic axis with a tick at each temperature in use."""
    taus = sorted(set(taus))
    axes.set_xscale("log")
    axes.set_xticks(taus, [f"{tau:g}" for tau in taus])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize="small")
    axes.set(xlabel=r"temperature $\tau$", xlim=(taus[0] / 1.15, taus[-1] * 1.15))


def curve(axes: Axes, part: pd.DataFrame, style: str, label: str) -> None:
    """A curve's means, joined where neighbours in tau were run and dotted across gaps; intervals; each seed, faint."""
    colour, marker, line = STYLES.get(style, OTHER_STYLE)
    found = part[part["seeds"] > 0]
    if len(found) == 0:
        return
    if len(found) < len(part):
        axes.plot(found["tau"], found["mean"], color=colour, linestyle=GAP, linewidth=1, label="_gap")
    axes.plot(part["tau"], part["mean"], color=colour, linestyle=line, marker=marker, markersize=5, label=label)
    sure = found.dropna(subset="low")
    reach = [sure["mean"] - sure["low"], sure["high"] - sure["mean"]]
    axes.errorbar(sure["tau"], sure["mean"], reach, fmt="none", ecolor=colour, capsize=3, linewidth=1.2)
    for tau, values in zip(found["tau"], found["values"], strict=True):
        axes.plot([tau] * len(values), values, ".", color=colour, alpha=0.45, markersize=4, label="_seed")


def reported(axes: Axes, part: pd.DataFrame, style: str, label: str) -> None:
    """What Table 1 prints: hollow markers, and thin dots to lead the eye from one to the next."""
    colour, marker, _ = STYLES.get(style, OTHER_STYLE)
    part = part.dropna(subset="paper")
    if len(part):
        look = {"color": colour, "marker": marker, "markerfacecolor": "none", "markersize": 6}
        axes.plot(part["tau"], part["paper"], linestyle=GAP, linewidth=1, label=label, **look)


def level(axes: Axes, row: pd.Series, text: str, line: str, curves_end: tuple[float, float]) -> None:
    """A horizontal line for a net that has no temperature; far off the curves, an arrow and its value at the edge."""
    span, value = curves_end[1] - curves_end[0], row["mean"]
    near = curves_end[0] - 0.6 * span <= value <= curves_end[1] + 0.6 * span
    if near:
        axes.axhline(value, color=mpl.rcParams["text.color"], linestyle=line, linewidth=1, label="_level")
    low, high = axes.get_ylim()
    above = value > curves_end[1]
    place = value if near else high + 0.08 * span if above else low - 0.14 * span
    words = f"{'' if near else '↑ ' if above else '↓ '}{text} {value:.1f} %"
    axes.text(0.02, place, words, va="bottom", fontsize="small", transform=axes.get_yaxis_transform())
    axes.set_ylim(min(low, place - 0.02 * span), max(high, place + 0.12 * span))


def seeds(data: pd.DataFrame) -> str:
    """How many seeds a frame's means are over, in words."""
    counts = data["seeds"][data["seeds"] > 0]
    if len(counts) == 0:
        return "not run"
    low, high = counts.min(), counts.max()
    return f"{low} seed{'s' if low > 1 else ''}" if low == high else f"{low} to {high} seeds"


def ours(data: pd.DataFrame) -> str:
    """The title of the panels with runs."""
    interval = ", 95 % interval" if (data["seeds"] > 1).any() else ", no interval" if data["seeds"].any() else ""
    return f"{recipe(data)}\n({seeds(data)}{interval})"


def recipe(data: pd.DataFrame) -> str:
    """Whose runs they are."""
    name = data["scale"].iloc[0]
    return TITLES.get(name, f"our runs, {name}")


def finish(figure: Figure, data: pd.DataFrame, sweep: str, base: Base, *more: str) -> Figure:
    """Add the legend above, and what must be said below."""
    legend(figure, [NAMES[dataset] for dataset in data["dataset"].unique()])
    return below(figure, *more, *aggregate.notes(data, sweep, base))


def legend(figure: Figure, last: Iterable[str] = ()) -> None:
    """One legend above all panels, each label once, with the labels in `last` in their order at the end."""
    entries, last = {}, list(last)
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    labels = [label for label in entries if label not in last] + [label for label in last if label in entries]
    if labels:
        handles, columns = [entries[label] for label in labels], min(len(labels), 5)
        figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False)


def below(figure: Figure, *said: str) -> Figure:
    """Add sentences below all panels, broken to the figure's width."""
    width = int(15.5 * figure.get_figwidth())
    if said:
        text = "\n".join(line for words in said for line in textwrap.wrap(words, width))
        figure.supxlabel(text, x=0.01, ha="left", fontsize="small", linespacing=1.3)
    return figure


def dotted(data: pd.DataFrame) -> list[str]:
    """What to say if some curve has a run on both sides of a temperature without one."""
    for _, part in data.dropna(subset="tau").groupby(["dataset", "loss"]):
        if "10" in "".join("01"[seeds > 0] for seeds in part["seeds"]).lstrip("0").rstrip("0"):
            return ["Dotted between our runs: temperatures that were not run."]
    return []


def padded(axes: Axes, data: pd.DataFrame, *others: float) -> None:
    """Limits around every seed and all other values, and around the intervals unless they are far wider."""
    values = [value for found in data["values"] for value in found] + [value for value in others if value == value]
    if values:
        bottom, top = min(values), max(values)
        span = top - bottom or 1.0
        low, high = max(data["low"].min(), bottom - 0.5 * span), min(data["high"].max(), top + 0.5 * span)
        axes.set_ylim(min(bottom, low) - 0.07 * span, max(top, high) + 0.09 * span)


def cut(axes: Axes, data: pd.DataFrame) -> list[str]:
    """What to say if a panel is too small for some interval."""
    low, high = axes.get_ylim()
    wide = (data["low"] < low) | (data["high"] > high)
    return ["Intervals that leave the panel are cut off."] if wide.any() else []
