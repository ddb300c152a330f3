"""Beyond the paper: five questions that it leaves open, answered by runs of the same recipe with one thing changed.

(a) Does the choice of g, or the number of negatives, move the best temperature? (b) Does Eq 11 as printed change any
conclusion about tolerance? (c) How many negatives does training effectively look at? (d) Is a temperature that swings
(Kukleva et al. 2023) better than the best constant one? (e) Does the best temperature move with the length of training,
and do probe and nearest neighbours agree on it?

What we expected, written down before any run of the grid "beyond", which (b) and (c) do without: (a) fewer negatives
favour a larger temperature, since fewer of them are near; (b) none within a data set, where the two forms differ by a
constant, but the order of data sets turns round; (c) at tau = 1 nearly all, at 0.07 few, and fewer as training goes on;
(d) no; (e) yes, towards larger temperatures, and nearest neighbours prefer smaller ones than the probe.
"""

from collections.abc import Callable, Iterable

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from contrastlib.reproduction import aggregate, grids, plot_parts
from contrastlib.reproduction.aggregate import Base, metric, summary
from contrastlib.reproduction.first_rule import per_seed
from contrastlib.training import recipes
from contrastlib.training.recipes import Recipe

__all__ = ["NAMES", "answers", "draw", "numbers"]

AS_IS = "as it is"
BOTH = ("cifar10", "cifar100")  # the data sets whose tolerances are set side by side
TAUS = (0.07, 0.3, 1.0)  # of which the effective negatives are shown, among those of Table 1
LABELS = {"probe": "linear probe\naccuracy (%)", "knn": "nearest-neighbour\naccuracy (%)"}
FIGURES = {  # the changes that a figure compares, by both measures
    "keys": (AS_IS, "512 negatives", "queue", "in-batch"),
    "schedule": (AS_IS, "swinging"),
    "length": (AS_IS, "50 epochs"),
}
NAMES = (*FIGURES, "effective", "printed")


def changed(base: Base, dataset: str, change: str) -> list[Recipe]:
    """A change's recipes, one for each of its temperatures."""
    if change == AS_IS:
        return [grids.cell(base(dataset), "contrastive", tau) for tau in grids.ASKED]
    return grids.changed(base(dataset), change)


def values(records: Iterable[dict], recipe: Recipe, read: str | Callable[[dict], float]) -> pd.Series:
    """A metric, accuracies in per cent, or a function of a record, by seed, of a recipe's finished runs."""
    found = per_seed((record for record in records if record["status"] == "finished"), recipe)
    factor = 100 if read in LABELS else 1
    each = {s: read(r) if callable(read) else factor * metric(r, read) for s, r in found.items()}
    return pd.Series(each, dtype=float)


def numbers(name: str, records: list[dict], base: Base = recipes.small, dataset: str = "cifar10") -> pd.DataFrame:
    """Exactly what a figure of NAMES draws, as a tidy frame; columns as in `curves`. "printed" is of two data sets."""
    if name == "effective":
        return effective(records, base, dataset)
    if name == "printed":
        return printed(records, base)
    rows = []
    for measure, change in [(measure, change) for measure in LABELS for change in FIGURES[name]]:
        for recipe in changed(base, dataset, change):
            row = {"scale": aggregate.scale(base), "dataset": dataset, "measure": measure, "change": change}
            rows.append(row | {"tau": recipe.tau} | summary(values(records, recipe, measure)))
    return pd.DataFrame(rows)


def effective(records: list[dict], base: Base, dataset: str) -> pd.DataFrame:
    """The effective number of negatives by epoch, ordinary loss: a row for each tau and epoch."""
    rows = []
    for tau in TAUS:
        recipe = grids.cell(base(dataset), "contrastive", tau)
        for epoch in range(1, recipe.epochs + 1):
            each = values(records, recipe, lambda record, i=epoch - 1: record["history"]["effective_negatives"][i])
            row = {"scale": aggregate.scale(base), "dataset": dataset, "tau": tau, "epoch": epoch}
            rows.append(row | summary(each))
    return pd.DataFrame(rows)


def printed(records: list[dict], base: Base) -> pd.DataFrame:
    """Tolerance against temperature in both forms, "tolerance" and "tolerance_as_printed"."""
    columns, forms = [("contrastive", tau) for tau in grids.TAUS], ("tolerance", "tolerance_as_printed")
    parts = [aggregate.frame(records, base, BOTH, columns, form).assign(measure=form) for form in forms]
    return pd.concat(parts, ignore_index=True)


def answers(records: list[dict], base: Base = recipes.small, dataset: str = "cifar10") -> pd.DataFrame:
    """What was found on each question: effects with their 95 % intervals over seeds, NaN where nothing was run.

    measure: "probe", "knn", both in points, "knn less probe", "printed / tabled" tolerance, or "effective negatives".
    """
    rows = []

    def add(question, compared, measure, effects):
        found = summary(effects.dropna())
        row = {"question": question, "compared": compared, "measure": measure}
        rows.append(row | {name: found[name] for name in ("mean", "low", "high", "seeds")})

    def at(change, tau, measure):
        recipe = next(recipe for recipe in changed(base, dataset, change) if tau in (None, recipe.tau))
        return values(records, recipe, measure)

    def gain(change, other, measure):
        return at(change, 0.2, measure) - at(change, other, measure)

    for change, measure in [(change, measure) for change in FIGURES["keys"][1:] for measure in LABELS]:
        add("a", f"{change}: 0.2 less 0.07", measure, gain(change, 0.07, measure))
        for other in (0.07, 1.0):
            more = gain(change, other, measure) - gain(AS_IS, other, measure)
            add("a", f"{change} less as it is: 0.2 less {other:g}", measure, more)
        for tau in grids.ASKED:
            apart = at(change, tau, measure) - at(AS_IS, tau, measure)
            add("a", f"{change} less as it is: {tau:g}", measure, apart)
    for other in (0.07, 1.0):
        for measure in LABELS:
            short, long = gain("50 epochs", other, measure), gain(AS_IS, other, measure)
            add("e", f"50 epochs: 0.2 less {other:g}", measure, short)
            add("e", f"as it is: 0.2 less {other:g}", measure, long)
            add("e", f"as it is less 50 epochs: 0.2 less {other:g}", measure, long - short)
        more = gain(AS_IS, other, "knn") - gain(AS_IS, other, "probe")
        add("e", f"as it is: 0.2 less {other:g}", "knn less probe", more)
    for tau in grids.TAUS:
        recipe = grids.cell(base(dataset), "contrastive", tau)
        ratio = values(records, recipe, "tolerance_as_printed") / values(records, recipe, "tolerance")
        if len(ratio):
            add("b", f"tau {tau:g}", "printed / tabled", ratio)
    for tau in TAUS:
        recipe = grids.cell(base(dataset), "contrastive", tau)
        for when, read in (("at most", max), ("at the end", lambda column: column[-1])):
            count = values(records, recipe, lambda record, read=read: read(record["history"]["effective_negatives"]))
            add("c", f"tau {tau:g}, {when}", "effective negatives", count)
    for measure in LABELS:
        for tau in grids.ASKED:
            apart = at("swinging", None, measure) - at(AS_IS, tau, measure)
            add("d", f"swinging less constant {tau:g}", measure, apart)
    return pd.DataFrame(rows).sort_values("question", kind="stable", ignore_index=True)


def draw(name: str, records: list[dict], base: Base = recipes.small, dataset: str = "cifar10") -> Figure:
    """A figure of NAMES; what was not run is said below it."""
    data = numbers(name, records, base, dataset)
    if name == "effective":
        return draw_effective(data, base, dataset)
    if name == "printed":
        return draw_printed(data, base)
    figure, absent = Figure(figsize=(5.6, 5.4), layout="constrained"), []
    for axes, measure in zip(figure.subplots(len(LABELS), 1), LABELS, strict=True):
        mine = data[data["measure"] == measure]
        plot_parts.temperatures(axes, grids.ASKED)
        for change, part in mine.groupby("change", sort=False):
            gone = part["tau"][part["seeds"] == 0]
            if len(gone) == len(part):
                absent.append(change)
            elif len(gone):
                absent.append(f"{change} at {', '.join(f'{tau:g}' for tau in gone)}")
            if len(part) > 1:
                plot_parts.curve(axes, part, change, change)
            elif len(gone) == 0:
                level(axes, part.iloc[0], change)
        axes.set(ylabel=LABELS[measure])
        axes.label_outer()
    figure.axes[0].set_title(plot_parts.ours(data).replace("\n", " "), fontsize="medium")
    return finish(figure, absent, aggregate.command("beyond", base, [dataset]))


def level(axes: mpl.axes.Axes, row: pd.Series, label: str) -> None:
    """A run without a temperature of its own: a line, and its interval as a band."""
    colour, _, line = plot_parts.STYLES[label]
    axes.axhline(row["mean"], color=colour, linestyle=line, label=label)
    axes.axhspan(row["low"], row["high"], color=colour, alpha=0.15, linewidth=0) if row["seeds"] > 1 else None


def draw_effective(data: pd.DataFrame, base: Base, dataset: str) -> Figure:
    """Effective negatives over training, on a logarithmic axis: mean and interval over seeds."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    looks = zip(
        ("-", "--", "-."), (plot_parts.BLUE, plot_parts.GREEN, plot_parts.RED), data.groupby("tau"), strict=True
    )
    for line, colour, (tau, part) in looks:
        axes.semilogy(part["epoch"], part["mean"], color=colour, linestyle=line, label=rf"$\tau$ = {tau:g}")
        axes.fill_between(part["epoch"], part["low"], part["high"], color=colour, alpha=0.2, linewidth=0)
    axes.set_yticks(ticks := (100, 300, 1000, 3000, 10_000), ticks)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlabel="epoch", ylabel="effective negatives")
    axes.set_title(f"{aggregate.NAMES[dataset]}, {plot_parts.ours(data)}", fontsize="medium")
    absent = [f"tau {tau:g}" for tau, part in data.groupby("tau") if not part["seeds"].any()]
    return finish(figure, absent, aggregate.command("curves", base, [dataset]))


def draw_printed(data: pd.DataFrame, base: Base) -> Figure:
    """Tolerance of our runs as Table 1 has it, and as Eq 11 is printed."""
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    titles = {"tolerance": "per pair of one class (Table 1)", "tolerance_as_printed": "per pair (Eq. 11 as printed)"}
    for axes, (form, title) in zip(figure.subplots(2, 1), titles.items(), strict=True):
        plot_parts.temperatures(axes, grids.TAUS)
        for dataset, part in data[data["measure"] == form].groupby("dataset", sort=False):
            plot_parts.curve(axes, part, dataset, aggregate.NAMES[dataset])
        axes.set(ylabel="tolerance")
        axes.set_title(title, fontsize="medium")
        axes.label_outer()
    one = data[data["measure"] == "tolerance"]
    said = [plot_parts.ours(one).replace("\n", " ").capitalize() + ".", *plot_parts.dotted(one)]
    return plot_parts.finish(figure, one, "curves", base, *said)


def finish(figure: Figure, absent: list[str], command: str) -> Figure:
    """Add the legend above, and below what was not run, each named once, with the command that trains it."""
    plot_parts.legend(figure)
    words = [f"Not run: {', '.join(dict.fromkeys(absent))} ({command})."] if absent else []
    return plot_parts.below(figure, *words)
