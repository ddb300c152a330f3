"""Why our best temperature may differ from the paper's: the grids that were registered to find out,
as a table and as a figure.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastlib.reproduction import grids, plot_parts
from contrastlib.reproduction.judging import Measured
from contrastlib.reproduction.paper_table import table1
from contrastlib.reproduction.plotting import AMBER, BLUE, GREEN, GREY, ORANGE, RED, VIOLET
from contrastlib.reproduction.run_index import SCALES, label
from contrastlib.reproduction.verdicts import Estimate, Part, estimate
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["draw", "effect", "left_of", "numbers", "probes", "registered"]

CurvePoint = tuple[str, float]  # "small" or a registered grid, and a temperature

WHAT_IS_CHANGED = {
    "small": "nothing, for comparison",
    "paper-probe": "read by the paper's probe",
    "all-images": "all images, as many steps",
    "desk": "all images, the paper's protocol",
    "scaled-lr": "learning rate in proportion to tau",
    "width-32": "32 channels",
    "width-64": "64 channels",
    "whole-batch": "all images, keys from the batch",
}
QUESTIONS = {  # a panel each, and the grids whose curves it shows
    "the probe and the scale": ("paper-probe", "all-images", "desk"),
    "the step": ("scaled-lr",),
    "the network": ("width-32", "width-64"),
    "the keys": ("whole-batch",),
}
STYLES = {  # colour and marker of each grid
    "paper-probe": (BLUE, "s"),
    "all-images": (VIOLET, "p"),
    "desk": (ORANGE, "^"),
    "scaled-lr": (GREEN, "v"),
    "width-32": (RED, "P"),
    "width-64": (AMBER, "X"),
    "whole-batch": (BLUE, "h"),
}
AT = 0.3  # the temperature whose probe the curves are measured from


def registered(records: list[dict], dataset: str = "cifar10") -> pd.DataFrame:
    """The registered grids over temperature: how many of their runs are finished, and the left side
    of their curve, the probe at 0.2 and 0.3 minus that at 0.07, in points, with its interval. The
    first row has the runs of `small`, for comparison.
    """
    by_id = finished(records)
    rows = {}
    for name, changed in WHAT_IS_CHANGED.items():
        recipes = small_curve(dataset)
        if name != "small":
            recipes = grids.grid(name, settings=[f"dataset={dataset}"])
        done = [recipe for recipe in recipes if run_id(recipe) in by_id]
        rows[name] = {
            "what is changed": changed,
            "runs finished": f"{len(done)} of {len(recipes)}",
            "left side, points": in_words(effect(records, left_of(name), dataset)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def finished(records: list[dict]) -> dict[str, dict]:
    """The finished records by id."""
    return {record["id"]: record for record in records if record["status"] == "finished"}


def left_of(name: str) -> dict[CurvePoint, float]:
    """The left side of one curve, as weights for `effect`."""
    return {(name, 0.2): 0.5, (name, 0.3): 0.5, (name, 0.07): -1.0}


def effect(
    records: list[dict],
    weights: Mapping[CurvePoint, float],
    dataset: str = "cifar10",
    measure: str = "probe",
) -> Estimate:
    """A weighted sum of mean accuracies, each a share of one, with its interval: for example one
    curve minus another at one temperature.

    measure: "probe", "probe_lbfgs" (logistic regression) or "knn". The variance between seeds is
    that of `small`, since no registered grid has enough seeds for a variance of its own (see
    `verdicts`).
    """
    values = {}
    for name, tau in weights:
        values[label((name, tau))] = probes(records, name, dataset, measure)[tau] / 100
    small = Measured(records, SCALES["small"].recipe(dataset))
    spread = small.spread("knn" if measure == "knn" else "probe")
    part = Part("C10", "a weighted sum of accuracies", measure, weights)
    return estimate(part, pd.DataFrame(values), spread, None)


def in_words(found: Estimate) -> str:
    """An effect in points, its interval where it has one, and its seeds."""
    if found.seeds == 0:
        return "not run"
    said = signed(100 * found.effect)
    if math.isfinite(found.error):
        said += f" ({signed(100 * found.low)} to {signed(100 * found.high)})"
    seeds = "1 seed" if found.seeds == 1 else f"{found.seeds} seeds"
    return f"{said}, {seeds}"


def signed(points: float) -> str:
    """A number to one digit, with its sign."""
    rounded = round(points, 1) + 0.0  # or a small negative one would be -0.0
    return f"{rounded:+.1f}".replace("-", "−")


def at_the_middle(name: str, dataset: str) -> list[Recipe]:
    """The runs of `small` at 0.2, which the grid "scaled-lr" shares with it."""
    if name != "scaled-lr":
        return []
    base = SCALES["small"].recipe(dataset)
    return [replace(grids.cell(base, "contrastive", 0.2), seed=seed) for seed in grids.SEEDS]


def small_curve(dataset: str) -> list[Recipe]:
    """The runs of `small` over temperature and seed, ordinary loss."""
    base = SCALES["small"].recipe(dataset)
    cells = [grids.cell(base, "contrastive", tau) for tau in (*grids.BEST_TAUS, 0.5, 0.7, 1.0)]
    return [replace(cell, seed=seed) for cell in cells for seed in grids.SEEDS]


def curve_recipes(name: str, dataset: str) -> list[Recipe]:
    """The ordinary loss's runs of "small" or of a registered grid, with those that it shares."""
    if name == "small":
        return small_curve(dataset)
    recipes = [*grids.grid(name, settings=[f"dataset={dataset}"]), *at_the_middle(name, dataset)]
    return [recipe for recipe in recipes if recipe.loss == "contrastive"]


def numbers(records: list[dict], dataset: str = "cifar10") -> pd.DataFrame:
    """What `draw` draws: the probe minus that of the same seed at 0.3, in points.

    A row for each curve ("small" or a registered grid) and temperature: mean, seeds (how many) and
    values (each seed's); paper, the same of Table 1.
    """
    printed = table1(dataset, "probe")
    rows = []
    for name in ("small", *(grid for shown in QUESTIONS.values() for grid in shown)):
        found = probes(records, name, dataset)
        for tau in found.columns:
            values = tuple((found[tau] - found[AT]).dropna())
            mean = sum(values) / len(values) if values else np.nan
            row = {"curve": name, "tau": tau, "mean": mean, "seeds": len(values), "values": values}
            row["paper"] = np.nan
            if ("contrastive", tau) in printed:
                row["paper"] = 100 * (printed["contrastive", tau] - printed["contrastive", AT])
            rows.append(row)
    return pd.DataFrame(rows)


def probes(
    records: list[dict], name: str, dataset: str = "cifar10", measure: str = "probe"
) -> pd.DataFrame:
    """The probe, or another accuracy, of "small" or of a registered grid, ordinary loss, in per
    cent: a row for each seed, a column for each temperature, NaN where a run is missing.
    """
    by_id = finished(records)
    columns: dict[float, dict[int, float]] = {}
    for recipe in sorted(curve_recipes(name, dataset), key=lambda recipe: recipe.tau):
        record = by_id.get(run_id(recipe))
        value = np.nan if record is None else 100 * accuracy(record, measure)
        columns.setdefault(recipe.tau, {})[recipe.seed] = value
    return pd.DataFrame(columns)


def accuracy(record: dict, measure: str) -> float:
    """A run's accuracy. What was read by logistic regression alone has that as its probe."""
    if measure == "probe_lbfgs" and record["recipe"]["probe"] == "lbfgs":
        measure = "probe"
    return record["metrics"][measure]


def draw(records: list[dict], dataset: str = "cifar10") -> Figure:
    """A panel for each question that has runs: our small runs, the paper, and the grid's."""
    data = numbers(records, dataset)
    ran = {name for name, part in data.groupby("curve") if part["seeds"].sum() > 0}
    questions = [title for title, shown in QUESTIONS.items() if ran & set(shown)]
    figure = Figure(figsize=(plot_parts.WIDTH, 0.9 + 2.1 * max(1, len(questions))))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(max(1, len(questions)), 1, sharex=True, sharey=True, squeeze=False)
    for axes, title in zip(panels[:, 0], questions, strict=False):
        draw_question(axes, data, title)
        axes.label_outer()
    if not questions:
        plot_parts.centre_text(panels[0, 0], "not run")
    plot_parts.legend_above(figure)
    missing = [name for name in data["curve"].unique() if name not in ran]
    note = [f"Not run: {', '.join(missing)}."] if missing else []
    return plot_parts.footnotes(figure, note)


def draw_question(axes: Axes, data: pd.DataFrame, title: str) -> None:
    """One panel: the small runs and the paper for comparison, and the grids of a question."""
    plot_parts.temperature_axis(axes, data["tau"])
    axes.axhline(0, color=GREY, linewidth=0.8)
    small = data[data["curve"] == "small"]
    draw_curve(axes, small, GREY, "o", "small")
    printed = small.dropna(subset="paper")
    style = {"color": GREY, "marker": "D", "markerfacecolor": "none", "linestyle": plot_parts.GAP}
    axes.plot(printed["tau"], printed["paper"], label="paper", **style)
    for name in QUESTIONS[title]:
        colour, marker = STYLES[name]
        draw_curve(axes, data[data["curve"] == name], colour, marker, name)
    axes.set_title(title, fontsize="medium")
    axes.set_ylabel(f"probe minus\nthat at {AT:g} (points)")


def draw_curve(axes: Axes, part: pd.DataFrame, colour: str, marker: str, title: str) -> None:
    """A curve's means, dotted across temperatures that were not run, and each seed, faint."""
    found = part[part["seeds"] > 0]
    if len(found) == 0:
        return
    axes.plot(found["tau"], found["mean"], color=colour, linestyle=plot_parts.GAP, linewidth=1)
    axes.plot(part["tau"], part["mean"], color=colour, marker=marker, markersize=5, label=title)
    for tau, values in zip(found["tau"], found["values"], strict=True):
        if len(values) > 1:
            axes.plot([tau] * len(values), values, ".", color=colour, alpha=0.45, markersize=4)
