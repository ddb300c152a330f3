"""The verdicts as pictures: a grid of words, a forest plot of effects, and Table 1 as dumbbells."""

import math
from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastlib.reproduction import aggregate, judging, names, plot_parts, tables
from contrastlib.reproduction.claims import CLAIMS
from contrastlib.reproduction.judging import Judged
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.paper_table import COLUMNS, DATASETS
from contrastlib.reproduction.plotting import AMBER, BLUE, GREEN, GREY, ORANGE, RED
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.reproduction.verdicts import WORDS

__all__ = [
    "dumbbells",
    "forest",
    "forest_numbers",
    "judged_by_scale",
    "verdict_grid",
    "verdict_table",
]

Records = Iterable[dict] | None
JudgedByScale = dict[str, list[Judged]]
SIGNS = {  # colour and sign of each word: never colour alone
    "reproduced": (GREEN, "●"),
    "smaller than in the paper": (BLUE, "◐"),
    "undecided": (AMBER, "○"),
    "opposite here": (RED, "✕"),
    "not run": (GREY, "·"),
}
SHORT = {  # claims in a few words
    "C3": "Eq. 6 teaches nothing",
    "C5": "uniformity falls with τ",
    "C6": "tolerance rises with τ",
    "C7": "hard loss: more uniform",
    "C8": "hard loss: less tolerant",
    "C9": "gap grows as τ falls",
    "C10": "inverted U, its left side",
    "C11": "hard loss better at τ = 1",
    "C12": "hard negatives save simple",
    "C13": "classes cluster at 0.2",
}
UNITS = {  # of the parts for which the paper prints no number
    "C3": ("points of accuracy, margin of 1 included", 100.0),
    "C9": ("similarity", 1.0),
    "C13": ("silhouette coefficient", 1.0),
}


def judged_by_scale(records: Records = None) -> dict[str, list[Judged]]:
    """All parts of all claims, for each scale that has runs, and for `desk` in any case."""
    records = read_shipped() if records is None else list(records)
    scales = [*aggregate.scales_with_runs(records)]
    if "desk" not in scales:
        scales.append("desk")
    return {scale: judging.judge_all(records, scale) for scale in scales}


def verdict_table(judged: JudgedByScale) -> pd.DataFrame:
    """The words: a row for each claim, a column for each scale and data set with runs, and each
    scale's overall word.

    The columns are pairs of a scale and a data set's title, or "overall".
    """
    table = {}
    for scale, found in judged.items():
        primary = [one for one in found if one.part.primary]
        for dataset in datasets_with_runs(primary):
            words = {one.part.claim: one.verdict for one in primary if one.dataset == dataset}
            table[scale, NAMES[dataset]] = words
        table[scale, "overall"] = {claim: judging.overall(found, claim)[1] for claim in CLAIMS}
    return pd.DataFrame(table).loc[list(CLAIMS)]


def datasets_with_runs(primary: list[Judged]) -> list[str]:
    """The data sets on which any claim was judged; the first where there are none."""
    found = [one.dataset for one in primary if one.verdict != "not run"]
    return list(dict.fromkeys(found)) or [one.dataset for one in primary[:1]]


FILLS = {"small": "full", "desk": "none", "paper": "top"}  # of the forest plot's marks
LABELS_FROM = -7.9  # where the claims' names begin, in columns before the first


def verdict_grid(judged: JudgedByScale) -> Figure:
    """The words of `verdict_table` as coloured signs, with a legend of the five. A star marks the
    scales with a borrowed interval.
    """
    table = verdict_table(judged)
    starred = set()
    seeds = set()
    for scale, found in judged.items():
        borrowed = [one.found.seeds for one in found if one.found.how == "borrowed"]
        if borrowed:
            starred.add(scale)
            seeds.update(borrowed)
    rows = len(table)
    columns = list(table.columns)
    figure = Figure(figsize=(plot_parts.WIDTH, 1.9 + 0.3 * rows), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(LABELS_FROM, len(columns) - 0.4), ylim=(rows - 0.4, -0.7), xticks=[], yticks=[])
    axes.set_axis_off()
    for row, claim in enumerate(table.index):
        axes.text(LABELS_FROM, row, f"{claim}  {SHORT[claim]}", va="center", fontsize="small")
        for place, column in enumerate(columns):
            colour, sign = SIGNS[table.loc[claim, column]]
            draw_sign(axes, place, row, colour, sign, large=column[1] == "overall")
    for place, (scale, title) in enumerate(columns):
        star = "*" if scale in starred else ""
        axes.text(
            place,
            -0.75,
            f"{scale}{star}, {title}",
            rotation=60,
            ha="left",
            va="bottom",
            fontsize="small",
            rotation_mode="anchor",
        )
    if starred:
        note = "* Few seeds, their intervals borrowed from small."
        if seeds == {1}:
            note = "* One seed, its interval borrowed from small."
        axes.text(LABELS_FROM, rows - 0.2, note, va="top", fontsize="small")
    handles = [sign_handle(word) for word in WORDS]
    figure.legend(
        handles, WORDS, loc="outside lower center", ncols=2, frameon=False, fontsize="small"
    )
    return figure


def draw_sign(axes: Axes, x: float, y: float, colour: str, sign: str, large: bool) -> None:
    """One verdict's sign, as a marker."""
    look = sign_look(colour, sign)
    if large:
        look["markersize"] += 3
    axes.plot([x], [y], linestyle="none", **look)


def sign_look(colour: str, sign: str) -> dict:
    """A marker for a sign: full, half, hollow, a cross, or a dot."""
    if sign == "✕":
        return {"marker": "x", "color": colour, "markeredgewidth": 2, "markersize": 8}
    if sign == "·":
        return {"marker": ".", "color": colour, "markersize": 3}
    fill = {"●": "full", "◐": "left", "○": "none"}[sign]
    return {
        "marker": "o",
        "markersize": 8,
        "color": colour,
        "fillstyle": fill,
        "markerfacecoloralt": "none",
        "markeredgewidth": 1.6,
    }


def sign_handle(word: str) -> Line2D:
    """A word's sign for the legend."""
    colour, sign = SIGNS[word]
    return Line2D([], [], linestyle="none", **sign_look(colour, sign))


def forest_numbers(judged: JudgedByScale) -> pd.DataFrame:
    """What `forest` draws: each claim's primary part on each data set and scale.

    effect, low, high as multiples of the paper's effect where it has one (bar: 0.5), else as they
    are; how: where the interval's variance comes from.
    """
    rows = []
    for scale, found in judged.items():
        for one in found:
            if not one.part.primary or one.verdict == "not run":
                continue
            unit = one.part.unit
            rows.append(
                {
                    "scale": scale,
                    "dataset": one.dataset,
                    "claim": one.part.claim,
                    "part": one.part.says,
                    "effect": one.found.effect / unit,
                    "low": one.found.low / unit,
                    "high": one.found.high / unit,
                    "bar": one.part.bar / unit,
                    "in_multiples": one.part.paper is not None,
                    "seeds": one.found.seeds,
                    "how": one.found.how,
                    "verdict": one.verdict,
                }
            )
    columns = ["scale", "dataset", "claim", "part", "effect", "low", "high", "bar"]
    columns += ["in_multiples", "seeds", "how", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def forest(judged: JudgedByScale) -> Figure:
    """Each claim's primary effect with its interval: as a multiple of the paper's, or in its own
    unit below.
    """
    data = forest_numbers(judged)
    multiples = [claim for claim in CLAIMS if claim not in UNITS]
    heights = [len(multiples), *[1.3] * len(UNITS)]
    figure = Figure(figsize=(plot_parts.WIDTH, 1.2 + 0.72 * sum(heights)), layout="constrained")
    panels = figure.subplots(1 + len(UNITS), 1, height_ratios=heights)
    draw_forest(panels[0], data, multiples, 1.0)
    effects = data["effect"][data["in_multiples"]]
    low, high = panels[0].get_xlim()
    panels[0].set_xlim(
        max(low, min(-1.2, effects.min() - 0.1)), min(high, max(3.2, effects.max() + 0.1))
    )
    panels[0].axvline(0.5, color=GREY, linewidth=1, linestyle=":")
    panels[0].axvline(1.0, color=GREY, linewidth=1, linestyle="--")
    panels[0].set_xlabel("multiple of the paper's effect (0.5 is the bar)")
    for axes, (claim, (unit, factor)) in zip(panels[1:], UNITS.items(), strict=True):
        draw_forest(axes, data, [claim], factor)
        axes.set_xlabel(unit)
    plot_parts.legend_above(figure)
    said = [mark_note(scale, part) for scale, part in data.groupby("scale", sort=False)]
    shown = data[data["claim"].isin(multiples)]
    low, high = panels[0].get_xlim()
    if (shown["low"] < low).any() or (shown["high"] > high).any():
        said.append("Intervals that leave the upper panel are cut off.")
    return plot_parts.footnotes(figure, filter(None, said))


def mark_note(scale: str, part: pd.DataFrame) -> str:
    """What to say of the marks of one scale; nothing of `small`, whose marks are full."""
    if scale == "small":
        return ""
    mark = {"none": "Hollow", "top": "Half full"}[FILLS[scale]]
    said = f"{mark}: {scale}, {plot_parts.seeds_in_words(part)}"
    if (part["how"] == "borrowed").any():
        said += ", intervals borrowed from small"
    return said + "."


def draw_forest(axes: Axes, data: pd.DataFrame, chosen: list[str], factor: float) -> None:
    """One panel: a row for each claim, a mark for each scale and data set."""
    ink = mpl.rcParams["text.color"]
    axes.axvline(0.0, color=ink, linewidth=1)
    axes.set(ylim=(len(chosen) - 0.2, -0.6), yticks=[])
    axes.spines[["left", "top", "right"]].set_visible(False)
    pairs = list(dict.fromkeys(zip(data["scale"], data["dataset"], strict=True)))
    for row, claim in enumerate(chosen):
        axes.text(
            0.0,
            row - 0.32,
            f"{claim}  {SHORT[claim]}",
            transform=axes.get_yaxis_transform(),
            fontsize="small",
            va="center",
        )
        for index, (scale, dataset) in enumerate(pairs):
            here = (data["scale"] == scale) & (data["dataset"] == dataset)
            part = data[here & (data["claim"] == claim)]
            if len(part):
                offset = 0.5 * index / max(len(pairs), 3)
                draw_effect(axes, part.iloc[0], row + offset, factor)
        if not len(data[data["claim"] == claim]):
            axes.text(0.02, row + 0.15, "not run", fontsize="small", va="center")


def draw_effect(axes: Axes, row: pd.Series, height: float, factor: float) -> None:
    """One effect and its interval."""
    colour, marker, _ = plot_parts.STYLES[row["dataset"]]
    if math.isfinite(row["low"]):
        ends = [factor * row["low"], factor * row["high"]]
        axes.plot(ends, [height, height], color=colour, linewidth=1.4)
    axes.plot(
        [factor * row["effect"]],
        [height],
        marker,
        color=colour,
        markersize=5.5,
        fillstyle=FILLS[row["scale"]],
        markerfacecoloralt="none",
        label=f"{row['scale']}, {NAMES[row['dataset']]}",
    )


def dumbbells(records: Records = None, dataset: str = "cifar10") -> Figure:
    """Table 1 of one data set: the paper's number (hollow) and ours (full) in each column, for the
    three measures.
    """
    records = read_shipped() if records is None else list(records)
    scales = aggregate.scales_with_runs(records, [dataset])
    measures = list(names.UNITS)
    figure = Figure(figsize=(plot_parts.WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True)
    for axes, measure in zip(panels, measures, strict=True):
        draw_dumbbells(axes, records, scales, dataset, measure)
        axes.set_xlabel(names.UNITS[measure])
        axes.set_title(measure, fontsize="medium")
        axes.tick_params(labelsize="small")
    titles = [tables.column_name(*column) for column in COLUMNS]
    panels[0].set_yticks(range(len(COLUMNS)), titles, fontsize="small")
    panels[0].set_ylim(len(COLUMNS) - 0.5, -0.5)
    plot_parts.legend_above(figure)
    said = [] if dataset in DATASETS else ["Not in the paper."]
    return plot_parts.footnotes(figure, said)


def draw_dumbbells(
    axes: Axes, records: list[dict], scales: list[str], dataset: str, measure: str
) -> None:
    """One measure's dumbbells."""
    rows = np.arange(len(COLUMNS))
    markers = {"small": ("o", BLUE), "desk": ("^", ORANGE), "paper": ("D", RED)}
    for place, scale in enumerate(scales):
        data = aggregate.frame(records, scale, [dataset], COLUMNS, measure)
        marker, colour = markers[scale]
        for row, cell in zip(rows, data.itertuples(), strict=True):
            if math.isfinite(cell.mean) and math.isfinite(cell.paper):
                axes.plot([cell.mean, cell.paper], [row, row], color=GREY, linewidth=0.8)
        axes.plot(data["mean"], rows, marker, color=colour, markersize=5.5, label=scale)
        if place == 0 and data["paper"].notna().any():
            axes.plot(
                data["paper"],
                rows,
                "o",
                color=AMBER,
                markerfacecolor="none",
                markersize=6,
                label="the paper",
            )
    axes.grid(axis="y", linewidth=0.3, alpha=0.5)
