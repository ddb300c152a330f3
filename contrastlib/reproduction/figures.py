"""The paper's figures and its table, re-made from runs: fig1() ... fig9() and table1(); see `export` for the files.

Each function takes records, as `results.read` gives them (None: those that come with the library), base, which makes
the recipe of the runs to show from a data set's name (`recipes.small` or `recipes.paper`), and datasets (None: the
paper's, and others that have runs). What was not run is left out and named in a line below. The numbers drawn are those
of `numbers`; nothing is read but records. No colour of text or ground is set: that is the style's.
"""

from collections.abc import Iterable

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from contrastlib.data import load
from contrastlib.metrics import uniformity_ceiling
from contrastlib.reproduction import aggregate, grids, plot_parts
from contrastlib.reproduction.aggregate import LOSSES, NAMES, Base, exchange, penalties
from contrastlib.reproduction.paper_table import COLUMNS, DATASETS
from contrastlib.reproduction.plot_parts import BLUE, GREEN, PINK, RED
from contrastlib.reproduction.plotting import draw_digit
from contrastlib.training import recipes

__all__ = [*(f"fig{n}" for n in range(1, 10)), "describe", "numbers", "table1"]

Records = Iterable[dict] | None
LABELS = {
    "uniformity": "uniformity (nats)",
    "tolerance": "tolerance (mean cosine)",
    "probe": "linear probe accuracy (%)",
}
CURVES = {  # measure and losses of the figures with a temperature axis
    4: ("uniformity", ("contrastive",)),
    5: ("tolerance", ("contrastive",)),
    6: ("uniformity", ("hard",)),
    7: ("tolerance", ("hard",)),
    9: ("probe", ("contrastive", "hard")),
}
GRID = {2: "maps", 8: "profiles", 9: "all"} | dict.fromkeys((4, 5, 6, 7), "curves")  # what to sweep for a figure
MAPS, PROFILES = ([tau for _, tau in grids.CELLS[name]] for name in ("maps", "profiles"))
TABLE_TAUS = [tau for loss, tau in COLUMNS if loss == "contrastive"]
DIGITS = (23, 13, 8, 28)  # Fig 1's: two 3s, two 8s


def numbers(number: int, records: Records = None, *, base: Base = recipes.small, datasets=None) -> pd.DataFrame:
    """Exactly what figure `number` draws, from 1 to 9, as a tidy frame; see `curves` for its columns."""
    if number == 1:
        return exchange()
    if number == 3:
        return penalties()
    if number not in GRID:
        raise ValueError(f"there is no figure {number!r}; the paper's are 1 to 9")
    records = aggregate.usable(records)
    papers = {2: DATASETS[:1], 8: DATASETS[1:2]}.get(number, DATASETS)
    datasets = aggregate.shown(records, base, papers, datasets)
    if number == 2:
        return aggregate.maps(records, base, datasets, MAPS)
    if number == 8:
        return aggregate.profiles(records, base, datasets, PROFILES)
    measure, losses = CURVES[number]
    columns = [(loss, tau) for loss in losses for tau in grids.TAUS] + list(grids.BESIDE) * (number == 9)
    data = aggregate.frame(records, base, datasets, columns, measure)
    return (
        data.assign(ceiling=[uniformity_ceiling(base(name).d) for name in data["dataset"]])
        if number in (4, 6)
        else data
    )


def describe(number: int, records: Records = None, *, base: Base = recipes.small, datasets=None) -> str:
    """What figure 4, 5, 6, 7 or 9 shows, in words: an alt text computed from the runs."""
    if number not in CURVES:
        raise ValueError(f"figure {number!r} is not described by its numbers; figures {list(CURVES)} are")
    return aggregate.describe(numbers(number, records, base=base, datasets=datasets), CURVES[number][0])


def table1(records: Records = None, *, datasets=None) -> pd.DataFrame:
    """Table 1: a row for each data set, measure and source, which is "paper", "small" or "paper-scale".

    Columns as in the paper, and the untrained and the supervised net beside. Accuracy in per cent. The paper's cells
    are as printed; ours are "54.0 ± 0.6 (3)": the mean, half of its 95 % interval, the number of seeds.
    `curves.table` has the same as numbers.
    """
    records = aggregate.usable(records)
    data = aggregate.table(records, aggregate.shown(records, recipes.small, DATASETS, datasets))
    sources = {"paper": "paper"} | {name: name.replace("-", "_") for name in aggregate.SCALES}
    rows = {}
    for (dataset, measure), part in data.groupby(["dataset", "measure"], sort=False):
        paper = aggregate.printed(dataset, measure)
        for source, prefix in sources.items():
            if source == "paper":
                cells = [paper.get(column, "") for column in aggregate.TABLE]
            elif f"{prefix}_mean" in data:
                cells = [aggregate.cell_text(row, prefix, aggregate.DECIMALS[measure]) for _, row in part.iterrows()]
            else:
                continue
            if any(cells):
                rows[NAMES[dataset], f"{measure}, {aggregate.UNITS[measure]}", source] = cells
    header = [aggregate.column_name(*column) for column in aggregate.TABLE]
    return pd.DataFrame.from_dict(rows, "index", columns=header).set_axis(
        pd.MultiIndex.from_tuples(rows, names=["dataset", "measure", "source"])
    )


def fig1(records: Records = None, **unread) -> Figure:
    """Two arrangements of four instances and their views with one loss; no runs are needed."""
    images, figure = load("digits").images, Figure(figsize=(7.2, 3.9), layout="constrained")
    pairs = zip(figure.subplots(1, 2), exchange().groupby("arrangement", sort=False), strict=True)
    for axes, (arrangement, part) in pairs:
        plot_parts.sphere(axes)
        spot = part.set_index(["role", "instance"])[["x", "y"]]
        for instance, digit in zip("ijkl", DIGITS, strict=True):
            (x, y), (u, v) = spot.loc["instance", instance], spot.loc["view", instance]
            colour = BLUE if digit in DIGITS[:2] else RED
            axes.plot([x, u], [y, v], color=colour, linewidth=1.5)
            image = images[digit, 0] / 255
            for order, picture, at, side in (3, image.roll(1, 1), (u, v), 0.16), (5, image, (x, y), 0.24):
                disc = {"facecolor": "#f4f4f4", "edgecolor": colour, "linewidth": 1.5, "zorder": order}
                axes.add_patch(mpl.patches.Circle(at, 0.68 * side, **disc))
                draw_digit(axes, picture.numpy(), *at, side, "black").set_zorder(order + 1)
            axes.text(x, y - 0.19, f"$x_{instance}$", ha="center", va="top")
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), frame_on=False, xticks=[], yticks=[])
        axes.set_title({"semantic": "like beside like", "exchanged": "$x_j$ and $x_k$ exchanged"}[arrangement])
        axes.set_xlabel(f"mean loss {part['mean_loss'].iloc[0]:.4f}")
    figure.get_layout_engine().set(h_pad=0.15)
    return figure


def fig2(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """t-SNE maps of test images at tau = 0.07 and 0.2, ordinary loss, a row for each data set with runs.

    Of more than ten classes, the first ten have a colour and a marker, the others are grey dots.
    """
    data = numbers(2, records, base=base, datasets=datasets)
    rows = plot_parts.with_runs(data)
    figure = Figure(figsize=(7.2, 3.1 * len(rows) + 0.2), layout="constrained")
    for axes, (dataset, tau) in plot_parts.grid(figure, rows, MAPS):
        part = data[(data["dataset"] == dataset) & (data["tau"] == tau)].dropna(subset="x")
        seed = f", seed {part['seed'].iloc[0]}" if len(part) else ""
        axes.set_title(f"{NAMES[dataset]}, $\\tau$ = {tau:g}{seed}", fontsize="medium")
        axes.set(xticks=[], yticks=[], aspect="equal", xlim=(-25, 1024), ylim=(-25, 1024))
        axes.spines[:].set(visible=True, alpha=0.4)
        if len(part) == 0:
            plot_parts.say(axes, "not run")
        names = plot_parts.CLASSES.get(dataset, [f"class {label}" for label in range(10)])
        for label, points in part.groupby("label"):
            look = {"s": 5, "color": mpl.rcParams["text.color"], "alpha": 0.3, "label": "_others"}
            if label < 10:
                look = {
                    "s": 13,
                    "color": plot_parts.COLOURS[label],
                    "marker": plot_parts.MARKERS[label],
                    "label": names[label],
                }
            axes.scatter(points["x"], points["y"], linewidth=0, zorder=2 if label < 10 else 1, **look)
    for row in range(len(rows)):
        shown = [axes for axes in figure.axes[2 * row : 2 * row + 2] if axes.get_legend_handles_labels()[1]]
        if shown:
            beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False, "fontsize": "small"}
            figure.axes[2 * row + 1].legend(*shown[-1].get_legend_handles_labels(), **beside)
    return plot_parts.below(figure, *aggregate.notes(data, GRID[2], base))


def fig3(records: Records = None, **unread) -> Figure:
    """Relative penalty against similarity for several tau, on two axes; no runs are needed."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = (("-", BLUE), ("--", GREEN), ("-.", RED), (":", PINK))
    for (line, colour), (tau, part) in zip(styles, penalties().groupby("tau"), strict=True):
        look = {"color": colour, "linestyle": line, "label": rf"$\tau$ = {tau:g}"}
        left.plot(part["s"], part["r"], **look)
        right.semilogy(part["s"], part["r"], **look)
    for axes in (left, right):
        axes.set(xlabel="similarity $s$", ylabel="relative penalty $r$", xlim=(-1, 1))
    right.set_ylim(1e-8, 1)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def over_tau(number: int, records: Records, base: Base, datasets) -> Figure:
    """Figures 4 to 7: a curve for each data set, and beside them what Table 1 prints, on one scale."""
    data = numbers(number, records, base=base, datasets=datasets)
    measure = CURVES[number][0]
    figure = Figure(figsize=(7.2, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    for dataset, part in data.groupby("dataset", sort=False):
        plot_parts.curve(left, part, dataset, NAMES[dataset])
        plot_parts.reported(right, part, dataset, NAMES[dataset])
    if not data["seeds"].any():
        plot_parts.say(left, "not run")
    plot_parts.padded(left, data, *data["paper"], *data.get("ceiling", []))
    if data["paper"].isna().all():
        plot_parts.say(right, "not in the paper")
    plot_parts.temperatures(left, data["tau"])
    plot_parts.temperatures(right, TABLE_TAUS)
    left.set(ylabel=LABELS[measure])
    left.set_title(plot_parts.ours(data), fontsize="medium")
    right.set_title(plot_parts.PAPER, fontsize="medium")
    if "ceiling" in data:
        ceiling, ink = data["ceiling"].iloc[0], mpl.rcParams["text.color"]
        for axes in (left, right):
            axes.axhline(ceiling, color=ink, linewidth=1, linestyle=":", label="_ceiling")
        place = {"va": "bottom", "ha": "right", "transform": left.get_yaxis_transform()}
        left.text(0.99, ceiling, f"ceiling {ceiling:.3f}", fontsize="small", **place)
    return plot_parts.finish(figure, data, GRID[number], base, *plot_parts.dotted(data), *plot_parts.cut(left, data))


def fig4(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """Uniformity, -L_uniformity at t = 2, against tau for the ordinary loss, below its ceiling."""
    return over_tau(4, records, base, datasets)


def fig5(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """Tolerance against tau for the ordinary loss."""
    return over_tau(5, records, base, datasets)


def fig6(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """Uniformity against tau for the hard loss, as in Figure 4."""
    return over_tau(6, records, base, datasets)


def fig7(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """Tolerance against tau for the hard loss, as in Figure 5."""
    return over_tau(7, records, base, datasets)


def fig8(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """Similarity of the positive and of the ten nearest negatives, ordinary loss: a panel for each tau.

    Over the anchors: 5 to 95 % thin, 25 to 75 % thick, the mean as a marker, all averaged over seeds.
    """
    data = numbers(8, records, base=base, datasets=datasets)
    rows = plot_parts.with_runs(data)
    figure = Figure(figsize=(7.2, 2.3 * len(rows) + 0.9), layout="constrained")
    place = {rank: i + 2 * (i > 0) for i, rank in enumerate(aggregate.RANKS)}  # "pos" a little apart
    for axes, (dataset, tau) in plot_parts.grid(figure, rows, PROFILES, sharex=True, sharey=True):
        part = data[(data["dataset"] == dataset) & (data["tau"] == tau) & (data["seeds"] > 0)]
        if dataset == rows[0]:
            axes.set_title(f"$\\tau$ = {tau:g}", fontsize="medium")
        axes.set_xticks([place[rank] for rank in ("pos", "n1", "n10")], ["pos", "n1", "n10"], fontsize="small")
        axes.set_xlim(-1.2, 13.2)
        if not data["seeds"].any():
            axes.set_ylim(0, 1)
        if len(part) == 0:
            plot_parts.say(axes, "not run")
        looks = {
            "positive": (RED, "s", part["rank"] == "pos"),
            "ten nearest negatives": (BLUE, "o", part["rank"] != "pos"),
        }
        for label, (colour, marker, which) in looks.items():
            some = part[which]
            x = some["rank"].map(place)
            axes.vlines(x, some["q5"], some["q95"], color=colour, linewidth=1)
            axes.vlines(x, some["q25"], some["q75"], color=colour, linewidth=3.5, alpha=0.6)
            axes.plot(x, some["mean"], marker, color=colour, markersize=3.5, label=label if len(some) else "_none")
        if tau == PROFILES[0]:
            axes.set_ylabel(f"{NAMES[dataset]}\ncosine similarity")
    who = f"{plot_parts.recipe(data).capitalize()}: {plot_parts.seeds(data)}."
    return plot_parts.finish(
        figure, data, GRID[8], base, who + " Thin: 5 to 95 % of the anchors; thick: 25 to 75 %; marker: mean."
    )


def fig9(records: Records = None, *, base: Base = recipes.small, datasets=None) -> Figure:
    """Linear-probe accuracy against tau, ordinary and hard loss: a row for each data set with runs, Table 1 beside.

    The untrained and the supervised net are horizontal lines; one far above or below the curves is named at the edge.
    """
    data = numbers(9, records, base=base, datasets=datasets)
    rows = plot_parts.with_runs(data)
    figure = Figure(figsize=(7.2, 2.9 * len(rows) + 0.8), layout="constrained")
    cut = []
    for dataset, (left, right) in zip(
        rows, figure.subplots(len(rows), 2, squeeze=False, width_ratios=(2, 1)), strict=True
    ):
        mine = data[data["dataset"] == dataset]
        plot_parts.temperatures(left, grids.TAUS)
        plot_parts.temperatures(right, TABLE_TAUS)
        for loss in CURVES[9][1]:
            plot_parts.curve(left, mine[mine["loss"] == loss], loss, f"{LOSSES.get(loss, loss)} loss")
            plot_parts.reported(right, mine[mine["loss"] == loss], loss, f"{LOSSES.get(loss, loss)} loss, the paper")
        curved = mine.dropna(subset="tau")
        plot_parts.padded(left, curved if curved["seeds"].any() else mine)
        ends = left.get_ylim()
        for loss, line in ("none", ":"), ("supervised", "-."):
            row = mine[(mine["loss"] == loss) & (mine["seeds"] > 0)]
            if len(row):
                plot_parts.level(left, row.iloc[0], LOSSES.get(loss, loss), line, ends)
        cut += plot_parts.cut(left, curved)
        if not mine["seeds"].any():
            left.set_yticks([])
            plot_parts.say(left, "not run")
        right.set_title(plot_parts.PAPER, fontsize="medium")
        if mine["paper"].isna().all():
            right.set_axis_off()
            right.set_title("")
            plot_parts.say(right, "not in the paper")
        left.set(ylabel=f"{NAMES[dataset]}\n{LABELS['probe']}")
        left.set_title(plot_parts.ours(mine), fontsize="medium")
    return plot_parts.finish(figure, data, GRID[9], base, *plot_parts.dotted(data), *cut[:1])
