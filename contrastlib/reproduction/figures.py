"""The paper's figures and its table, re-made from runs: fig1() ... fig9() and table1();
`write_figures` makes the files.

Each function takes records, as `run_records.read_all` gives them (None: those that come with the
package); scales, names of `SCALES` (None: those that have runs); and datasets (None: the paper's,
and others that have runs). What was not run is left out and named in a line below. The numbers
drawn are those of `numbers`; nothing is read but records. No colour of text or ground is set: that
is the style's.
"""

from collections.abc import Iterable

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastlib.metrics import uniformity_ceiling
from contrastlib.reproduction import aggregate, grids, plot_parts, tables, words
from contrastlib.reproduction.embedding_figures import draw_maps, draw_profiles
from contrastlib.reproduction.formula_figures import exchange, fig1, fig3, penalties
from contrastlib.reproduction.names import DECIMALS, LOSSES, NAMES, UNITS
from contrastlib.reproduction.paper_table import DATASETS, as_printed
from contrastlib.reproduction.run_index import SCALES
from contrastlib.reproduction.shipped import read_shipped

__all__ = [
    "describe",
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "fig7",
    "fig8",
    "fig9",
    "numbers",
    "table1",
]

Records = Iterable[dict] | None
Names = Iterable[str] | None
LABELS = {
    "uniformity": "uniformity (nats)",
    "tolerance": "tolerance",
    "probe": "linear probe (%)",
}
CURVES = {  # measure and losses of the figures with a temperature axis
    4: ("uniformity", ("contrastive",)),
    5: ("tolerance", ("contrastive",)),
    6: ("uniformity", ("hard",)),
    7: ("tolerance", ("hard",)),
    9: ("probe", ("contrastive", "hard")),
}
GRID = {  # what to sweep for a figure
    2: "maps",
    4: "curves",
    5: "curves",
    6: "curves",
    7: "curves",
    8: "profiles",
    9: "all",
}
MAP_TAUS = [tau for _, tau in grids.CELLS["maps"]]
PROFILE_TAUS = [tau for _, tau in grids.CELLS["profiles"]]


def numbers(
    number: int, records: Records = None, *, scales: Names = None, datasets: Names = None
) -> pd.DataFrame:
    """Exactly what figure `number` draws, from 1 to 9, as a tidy frame; see `aggregate` for its
    columns.
    """
    if number == 1:
        return exchange()
    if number == 3:
        return penalties()
    if number not in GRID:
        raise ValueError(f"there is no figure {number!r}; the paper's are 1 to 9")
    records = read_shipped() if records is None else list(records)
    parts = []
    for scale in chosen_scales(records, scales, datasets):
        parts.append(scale_numbers(number, records, scale, datasets))
    return pd.concat(parts, ignore_index=True)


def chosen_scales(records: list[dict], scales: Names, datasets: Names = None) -> list[str]:
    """The scales asked for, else those at which the data sets asked for have runs.

    Errors: ValueError for a scale or a data set that there is not, and for a data set that a scale
    asked for does not have.
    """
    names = NAMES if datasets is None else list(datasets)
    aggregate.check_datasets(names)
    if scales is None:
        return aggregate.scales_with_runs(records, names)
    scales = list(scales)
    for scale in scales:
        if scale not in SCALES:
            raise ValueError(f"there is no scale {scale!r}; the scales are: {', '.join(SCALES)}")
        if datasets is not None:
            for name in names:
                SCALES[scale].recipe(name)
    return scales


def scale_numbers(number: int, records: list[dict], scale: str, datasets: Names) -> pd.DataFrame:
    """`numbers` of one scale."""
    papers = {2: DATASETS[:1], 8: DATASETS[1:2]}.get(number, DATASETS)
    names = aggregate.shown(records, scale, papers, datasets)
    if number == 2:
        return aggregate.maps(records, scale, names, MAP_TAUS)
    if number == 8:
        return aggregate.profiles(records, scale, names, PROFILE_TAUS)
    measure, losses = CURVES[number]
    cells = [(loss, tau) for loss in losses for tau in grids.TAUS]
    if number == 9:
        cells += grids.BASELINES
    data = aggregate.frame(records, scale, names, cells, measure)
    if measure == "uniformity":
        d = SCALES[scale].recipe("cifar10").d
        data["ceiling"] = uniformity_ceiling(d)
    return data


def describe(
    number: int, records: Records = None, *, scales: Names = None, datasets: Names = None
) -> str:
    """What figure 4, 5, 6, 7 or 9 shows, in words: an alt text computed from the runs."""
    if number not in CURVES:
        known = ", ".join(map(str, CURVES))
        raise ValueError(f"figure {number!r} is not described by its numbers; figures {known} are")
    data = numbers(number, records, scales=scales, datasets=datasets)
    return words.describe(data, CURVES[number][0])


def table1(records: Records = None, *, datasets: Names = None) -> pd.DataFrame:
    """Table 1: a row for each data set, measure and source, which is "paper" or one of `SCALES`.

    Columns as in the paper, and the untrained and the supervised net beside. Accuracy in per cent.
    The paper's cells are as printed; ours are "54.0 ± 0.6 (3)": the mean, half of its 95 %
    interval, the number of seeds. `tables.table` has the same as numbers.
    """
    records = read_shipped() if records is None else list(records)
    data = tables.table(records, aggregate.shown(records, "small", DATASETS, datasets))
    rows = {}
    for (dataset, measure), part in data.groupby(["dataset", "measure"], sort=False):
        title = f"{measure}, {UNITS[measure]}"
        printed = as_printed(dataset, measure)
        if printed:
            rows[NAMES[dataset], title, "paper"] = [
                printed.get(column, "") for column in tables.TABLE
            ]
        for scale in SCALES:
            prefix = "paper_scale" if scale == "paper" else scale
            if f"{prefix}_mean" not in data or part[f"{prefix}_seeds"].isna().all():
                continue
            rows[NAMES[dataset], title, prefix.replace("_", "-")] = [
                tables.cell_text(row, prefix, DECIMALS[measure]) for _, row in part.iterrows()
            ]
    header = [tables.column_name(*column) for column in tables.TABLE]
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "measure", "source"])
    return pd.DataFrame(list(rows.values()), index=index, columns=header)


def fig2(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """t-SNE maps of test images at tau = 0.07 and 0.2, ordinary loss, a row for each data set with
    runs.
    """
    return draw_maps(numbers(2, records, scales=scales, datasets=datasets), MAP_TAUS, GRID[2])


def over_tau(number: int, records: Records, scales: Names, datasets: Names) -> Figure:
    """Figures 4 to 7: a panel for each scale with a curve for each data set, and one of what Table
    1 prints.
    """
    data = numbers(number, records, scales=scales, datasets=datasets)
    measure = CURVES[number][0]
    groups = list(data.groupby("scale", sort=False))
    rows = len(groups) + 1
    figure = Figure(figsize=(plot_parts.WIDTH, 0.9 + 2.1 * rows), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, sharey=True)
    for axes, (_, mine) in zip(panels, groups, strict=False):
        for dataset, part in mine.groupby("dataset", sort=False):
            plot_parts.curve(axes, part, dataset, NAMES[dataset])
        if not mine["seeds"].any():
            plot_parts.centre_text(axes, "not run")
        axes.set_title(plot_parts.runs_title(mine), fontsize="medium")
    paper = panels[-1]
    for dataset, part in groups[0][1].groupby("dataset", sort=False):
        plot_parts.paper_points(paper, part, dataset, NAMES[dataset])
    if data["paper"].isna().all():
        plot_parts.centre_text(paper, "not in the paper")
    paper.set_title(f"{plot_parts.PAPER} (no intervals given)", fontsize="medium")
    others = [*data["paper"], *data.get("ceiling", [])]
    plot_parts.pad_limits(panels[0], data, others)
    for axes in panels:
        plot_parts.temperature_axis(axes, data["tau"])
        axes.set(ylabel=LABELS[measure])
        axes.label_outer()
        if "ceiling" in data:
            draw_ceiling(axes, data["ceiling"].iloc[0])
    if "ceiling" in data:  # leave room for its name, below the panel's title
        bottom, _ = panels[0].get_ylim()
        ceiling = data["ceiling"].iloc[0]
        panels[0].set_ylim(bottom, ceiling + 0.17 * (ceiling - bottom))
    said = [*plot_parts.gap_note(data), *plot_parts.clipped_note(panels[0], data)]
    return plot_parts.finish(figure, data, GRID[number], *said)


def draw_ceiling(axes: Axes, ceiling: float) -> None:
    """The uniformity of the uniform distribution, as a dotted line."""
    ink = mpl.rcParams["text.color"]
    axes.axhline(ceiling, color=ink, linewidth=1, linestyle=":", label="_ceiling")
    axes.text(
        0.99,
        ceiling,
        f"ceiling {ceiling:.3f}",
        fontsize="small",
        va="bottom",
        ha="right",
        transform=axes.get_yaxis_transform(),
    )


def fig4(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """Uniformity, -L_uniformity at t = 2, against tau for the ordinary loss, below its ceiling."""
    return over_tau(4, records, scales, datasets)


def fig5(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """Tolerance against tau for the ordinary loss."""
    return over_tau(5, records, scales, datasets)


def fig6(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """Uniformity against tau for the hard loss, as in Figure 4."""
    return over_tau(6, records, scales, datasets)


def fig7(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """Tolerance against tau for the hard loss, as in Figure 5."""
    return over_tau(7, records, scales, datasets)


def fig8(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """Similarity of the positive and of the ten nearest negatives, ordinary loss: a panel for each
    tau.

    Over the anchors: 5 to 95 % thin, 25 to 75 % thick, the mean as a marker, all averaged over
    seeds.
    """
    data = numbers(8, records, scales=scales, datasets=datasets)
    return draw_profiles(data, PROFILE_TAUS, GRID[8])


def fig9(records: Records = None, *, scales: Names = None, datasets: Names = None) -> Figure:
    """Linear-probe accuracy against tau, ordinary and hard loss: panels for each data set and
    scale, and Table 1's.

    The untrained and the supervised net are horizontal lines; one far above or below the curves is
    named at the edge.
    """
    data = numbers(9, records, scales=scales, datasets=datasets)
    names = plot_parts.with_runs(data)
    shown = data[data["dataset"].isin(names)]
    every_pair = []
    pairs = []
    for (dataset, scale), mine in shown.groupby(["dataset", "scale"], sort=False):
        every_pair.append((dataset, scale, mine))
        if mine["seeds"].any():
            pairs.append((dataset, scale, mine))
    pairs = pairs or every_pair[:1]
    papers = [name for name in names if name in DATASETS]
    rows = len(pairs) + len(papers)
    figure = Figure(figsize=(plot_parts.WIDTH, 0.9 + 2.2 * rows), layout="constrained")
    panels = list(figure.subplots(rows, 1, squeeze=False)[:, 0])
    said = []
    for dataset in names:
        for other, _, mine in pairs:
            if other == dataset:
                said += draw_accuracy(panels.pop(0), dataset, mine)
        if dataset in DATASETS:
            draw_paper_accuracy(panels.pop(0), dataset, data)
    said = list(dict.fromkeys(said))
    return plot_parts.finish(figure, data, GRID[9], *plot_parts.gap_note(data), *said)


def draw_accuracy(axes: Axes, dataset: str, mine: pd.DataFrame) -> list[str]:
    """Both losses' curves of one data set and scale; return what must be said below."""
    for loss in CURVES[9][1]:
        plot_parts.curve(axes, mine[mine["loss"] == loss], loss, f"{LOSSES[loss]} loss")
    curved = mine.dropna(subset="tau")
    plot_parts.temperature_axis(axes, grids.TAUS)
    plot_parts.pad_limits(axes, curved if curved["seeds"].any() else mine)
    ends = axes.get_ylim()
    for loss, line in {"none": ":", "supervised": "-."}.items():
        row = mine[(mine["loss"] == loss) & (mine["seeds"] > 0)]
        if len(row):
            plot_parts.reference_line(axes, row.iloc[0], LOSSES[loss], line, ends)
    if not mine["seeds"].any():
        axes.set_yticks([])
        plot_parts.centre_text(axes, "not run")
    axes.set(ylabel=LABELS["probe"])
    axes.set_title(f"{NAMES[dataset]}, {plot_parts.runs_title(mine)}", fontsize="medium")
    return plot_parts.clipped_note(axes, curved)


def draw_paper_accuracy(axes: Axes, dataset: str, data: pd.DataFrame) -> None:
    """Both losses' accuracies as Table 1 prints them."""
    mine = data[(data["dataset"] == dataset) & (data["scale"] == data["scale"].iloc[0])]
    for loss in CURVES[9][1]:
        title = f"{LOSSES[loss]} loss, the paper"
        plot_parts.paper_points(axes, mine[mine["loss"] == loss], loss, title)
    plot_parts.temperature_axis(axes, grids.TAUS)
    axes.set(ylabel=LABELS["probe"])
    axes.set_title(f"{NAMES[dataset]}, {plot_parts.PAPER}", fontsize="medium")
