"""The figures of `ablations`."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from contrastlib.reproduction import grids, plot_parts, words
from contrastlib.reproduction.ablations import BASELINE, LABELS, numbers
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.plotting import TAU_LINES, tau_colour

__all__ = ["draw"]


def draw(name: str, records: list[dict], scale: str = "small", dataset: str = "cifar10") -> Figure:
    """A figure of NAMES_OF_FIGURES; what was not run is said below it."""
    data = numbers(name, records, scale, dataset)
    if name == "effective":
        return draw_effective(data)
    if name == "printed":
        return draw_printed(data)
    figure = Figure(figsize=(plot_parts.WIDTH, 5.2), layout="constrained")
    panels = figure.subplots(len(LABELS), 1, sharex=True)
    for axes, measure in zip(panels, LABELS, strict=True):
        mine = data[data["measure"] == measure]
        plot_parts.temperature_axis(axes, grids.ABLATION_TAUS)
        for ablation, part in mine.groupby("ablation", sort=False):
            draw_ablation(axes, part, ablation)
        axes.set(ylabel=LABELS[measure])
        axes.label_outer()
    title = f"{NAMES[dataset]}, {plot_parts.runs_title(data)}"
    panels[0].set_title(title, fontsize="medium")
    is_baseline = data["ablation"] == BASELINE
    said = gap_note(not_run(data[is_baseline]), data, "curves")
    said += gap_note(not_run(data[~is_baseline]), data, "beyond")
    return finish(figure, said)


def draw_ablation(axes: Axes, part: pd.DataFrame, ablation: str) -> None:
    """A curve; or, for an ablation without a temperature of its own, a line with its interval as a
    band.
    """
    if len(part) > 1:
        plot_parts.curve(axes, part, ablation, ablation)
        return
    row = part.iloc[0]
    if row["seeds"] == 0:
        return
    colour, _, line = plot_parts.STYLES[ablation]
    axes.axhline(row["mean"], color=colour, linestyle=line, label=ablation)
    if row["seeds"] > 1:
        axes.axhspan(row["low"], row["high"], color=colour, alpha=0.15, linewidth=0)


def not_run(data: pd.DataFrame) -> list[str]:
    """The ablations, or the temperatures of one, that have no run."""
    absent = []
    for ablation, part in data.groupby("ablation", sort=False):
        gone = part["tau"][part["seeds"] == 0].unique()
        if len(gone) == part["tau"].nunique():
            absent.append(ablation)
        elif len(gone):
            absent.append(f"{ablation} at {', '.join(f'{tau:g}' for tau in gone)}")
    return absent


def draw_effective(data: pd.DataFrame) -> Figure:
    """Effective negatives over training, on a logarithmic axis: mean and interval over seeds."""
    figure = Figure(figsize=(plot_parts.WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    for tau, part in data.groupby("tau"):
        colour = tau_colour(tau)
        line = TAU_LINES[tau]
        title = rf"$\tau$ = {tau:g}"
        axes.semilogy(part["epoch"], part["mean"], color=colour, linestyle=line, label=title)
        axes.fill_between(
            part["epoch"], part["low"], part["high"], color=colour, alpha=0.2, linewidth=0
        )
    ticks = (100, 300, 1000, 3000, 10_000)
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="epoch", ylabel="effective negatives")
    title = f"{NAMES[data['dataset'].iloc[0]]}, {plot_parts.runs_title(data)}"
    axes.set_title(title, fontsize="medium")
    absent = [f"tau {tau:g}" for tau, part in data.groupby("tau") if not part["seeds"].any()]
    return finish(figure, gap_note(absent, data, "curves"))


def draw_printed(data: pd.DataFrame) -> Figure:
    """Tolerance of our runs as Table 1 has it, and as Eq 11 is printed."""
    figure = Figure(figsize=(plot_parts.WIDTH, 5.2), layout="constrained")
    titles = {
        "tolerance": "per pair of one class (Table 1)",
        "tolerance_as_printed": "per pair (Eq. 11 as printed)",
    }
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (form, title) in zip(panels, titles.items(), strict=True):
        plot_parts.temperature_axis(axes, grids.TAUS)
        mine = data[data["measure"] == form]
        for dataset, part in mine.groupby("dataset", sort=False):
            plot_parts.curve(axes, part, dataset, NAMES[dataset])
        axes.set(ylabel="tolerance")
        axes.set_title(title, fontsize="medium")
        axes.label_outer()
    one = data[data["measure"] == "tolerance"]
    return plot_parts.finish(figure, one, "curves", *plot_parts.gap_note(one))


def gap_note(absent: list[str], data: pd.DataFrame, grid: str) -> list[str]:
    """What was not run, with the command that trains it; nothing where nothing is absent."""
    if not absent:
        return []
    command = words.command(grid, data["scale"].iloc[0], list(data["dataset"].unique()))
    return [f"Not run: {', '.join(absent)} ({command})."]


def finish(figure: Figure, said: list[str]) -> Figure:
    """Add the legend above, and below what must be said."""
    plot_parts.legend_above(figure)
    return plot_parts.footnotes(figure, said)
