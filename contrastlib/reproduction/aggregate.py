"""The numbers that the figures and the table show, by cell: a data set, a loss and a temperature,
over seeds.

A frame has a row for each cell: scale, dataset, loss, tau; mean, low and high (95 % interval by the
rule of `verdicts`, empty where there is none); seeds (how many runs finished), diverged (how many
did not), values and runs (each seed's value and its run's id); borrowed (whether the interval's
variance comes from `small`); paper, what Table 1 prints. Accuracies are in per cent.
"""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from contrastlib.reproduction import grids, judging
from contrastlib.reproduction.names import NAMES
from contrastlib.reproduction.paper_table import DATASETS, as_printed
from contrastlib.reproduction.run_index import SCALES, Cell, Measure, Runs, metric
from contrastlib.reproduction.verdicts import Part, interval
from contrastlib.training.run_records import QUANTILES

__all__ = ["frame", "maps", "profiles", "scales_with_runs", "shown", "summary"]

IN_PER_CENT = ("probe", "knn")
RANKS = ("pos", *(f"n{rank}" for rank in range(1, 11)))


def factor(measure: Measure) -> float:
    """What a measure is multiplied by to be shown: accuracies are in per cent."""
    return 100.0 if measure in IN_PER_CENT else 1.0


def any_run(records: Iterable[dict], scale: str, dataset: str) -> bool:
    """Whether a data set has any run of a scale's cells, finished or diverged."""
    if not SCALES[scale].has(dataset):
        return False
    runs = Runs(records, SCALES[scale].recipe(dataset))
    return any(runs.cell(cell) for cell in grids.CELLS["all"])


def scales_with_runs(records: list[dict], datasets: Iterable[str] = tuple(NAMES)) -> list[str]:
    """The scales at which any of some data sets has runs; "small" where there are none."""
    datasets = list(datasets)
    found = []
    for scale in SCALES:
        if any(any_run(records, scale, dataset) for dataset in datasets):
            found.append(scale)
    return found or ["small"]


def check_datasets(datasets: Iterable[str]) -> None:
    """ValueError for a name that is no data set."""
    for name in datasets:
        if name not in NAMES:
            raise ValueError(
                f"there is no data set {name!r}; the data sets are: {', '.join(NAMES)}"
            )


def shown(
    records: list[dict],
    scale: str = "small",
    papers: Iterable[str] = DATASETS,
    datasets: Iterable[str] | None = None,
) -> list[str]:
    """The data sets of a figure: those asked for that the scale has, else the paper's and after
    them all others that have runs.

    Errors: ValueError for a name that is no data set.
    """
    papers = list(papers)
    if datasets is None:
        others = [name for name in NAMES if name not in papers]
        return papers + [name for name in others if any_run(records, scale, name)]
    datasets = list(datasets)
    check_datasets(datasets)
    return [name for name in datasets if SCALES[scale].has(name)]


def frame(
    records: list[dict],
    scale: str,
    datasets: Iterable[str],
    cells: Sequence[Cell],
    measure: Measure,
) -> pd.DataFrame:
    """A measure in each cell: a row for each data set and cell.

    measure: a name, such as "probe", or a function of a record.
    """
    rows = []
    for dataset in datasets:
        if not SCALES[scale].has(dataset):
            continue
        measured = judging.measured_at(scale, dataset, records)
        for cell in cells:
            row = {"scale": scale, "dataset": dataset, "loss": cell[0], "tau": cell[1]}
            row |= cell_numbers(measured, cell, measure)
            printed = as_printed(dataset, measure).get(cell)
            row["paper"] = math.nan if printed is None else float(printed)
            rows.append(row)
    return pd.DataFrame(rows).astype({"tau": float})


def cell_numbers(measured: judging.Measured, cell: Cell, measure: Measure) -> dict:
    """Mean, interval, seeds, values and run ids of one cell."""
    scale_factor = factor(measure)
    finished = measured.runs.finished(cell)
    values = tuple(scale_factor * metric(record, measure) for record in finished.values())
    numbers = {
        "mean": math.nan,
        "low": math.nan,
        "high": math.nan,
        "seeds": len(values),
        "diverged": measured.runs.diverged(cell),
        "borrowed": False,
        "values": values,
        "runs": tuple(record["id"] for record in finished.values()),
    }
    if not values:
        return numbers
    part = Part("", "the mean of a cell", measure, {cell: 1.0})  # of no claim
    found = measured.estimate(part)
    numbers["mean"] = scale_factor * found.effect
    if math.isfinite(found.low):
        numbers["low"] = scale_factor * found.low
        numbers["high"] = scale_factor * found.high
        numbers["borrowed"] = found.how == "borrowed"
    return numbers


def summary(values: Iterable[float]) -> dict:
    """Mean, Student's t interval (NaN with one value), number of values, and the values."""
    values = tuple(values)
    mean, low, high = interval(values)
    if len(values) < 2:
        low = math.nan
        high = math.nan
    return {"mean": mean, "low": low, "high": high, "seeds": len(values), "values": values}


def profiles(
    records: list[dict],
    scale: str,
    datasets: Iterable[str],
    taus: Iterable[float],
    prefix: str = "",
) -> pd.DataFrame:
    """Fig 8's similarities of the ordinary loss: a row for each data set, tau, and rank "pos", "n1"
    ... "n10".

    Mean and interval over seeds of the mean over anchors; q5 ... q95: the mean over seeds of the
    anchors' quantiles. prefix: "" for views of test images against each other, "bank_" for training
    images against the rows of the bank. Records without the bank's profile have no row's numbers.
    """
    rows = []
    for dataset in datasets:
        runs = Runs(records, SCALES[scale].recipe(dataset))
        for tau in taus:
            cell = ("contrastive", tau)
            finished = runs.finished(cell).values()
            measured = [run for run in finished if f"{prefix}profile_quantiles" in run["metrics"]]
            for index, rank in enumerate(RANKS):
                row = {"scale": scale, "dataset": dataset, "loss": "contrastive", "tau": tau}
                row["rank"] = rank
                row |= summary(profile_mean(record, prefix, index) for record in measured)
                row |= mean_quantiles(measured, prefix, index)
                row["diverged"] = runs.diverged(cell)
                row["runs"] = tuple(record["id"] for record in measured)
                rows.append(row)
    return pd.DataFrame(rows)


def profile_mean(record: dict, prefix: str, index: int) -> float:
    """The mean similarity of a rank: 0 is the positive, 1 the nearest negative."""
    metrics = record["metrics"]
    if index == 0:
        return metrics[f"{prefix}positive_similarity"]
    return metrics[f"{prefix}neighbour_similarities"][index - 1]


def mean_quantiles(records: list[dict], prefix: str, index: int) -> dict[str, float]:
    """The quantiles of a rank's similarities over anchors, by name, averaged over records; NaN
    where there is no record.
    """
    names = [f"q{100 * quantile:.0f}" for quantile in QUANTILES]
    quantiles = [record["metrics"][f"{prefix}profile_quantiles"][index] for record in records]
    return dict(pd.DataFrame(quantiles, columns=names, dtype=float).mean())


def maps(
    records: list[dict], scale: str, datasets: Iterable[str], taus: Iterable[float]
) -> pd.DataFrame:
    """Fig 2's maps of the ordinary loss, of the first seed there is: a row for each point, or one
    where nothing ran.
    """
    parts = []
    for dataset in datasets:
        runs = Runs(records, SCALES[scale].recipe(dataset))
        for tau in taus:
            parts.append(one_map(runs, scale, dataset, tau))
    return pd.concat(parts, ignore_index=True)


def one_map(runs: Runs, scale: str, dataset: str, tau: float) -> pd.DataFrame:
    """The map of one cell."""
    cell = ("contrastive", tau)
    mapped = {seed: record for seed, record in runs.finished(cell).items() if record["map"]}
    seed = min(mapped, default=None)
    points = pd.DataFrame({"x": [math.nan], "y": [math.nan], "label": [math.nan]})
    run = None
    if mapped:
        points = pd.DataFrame(mapped[seed]["map"])
        run = mapped[seed]["id"]
    row = {
        "scale": scale,
        "dataset": dataset,
        "loss": "contrastive",
        "tau": tau,
        "seeds": len(mapped),
        "diverged": runs.diverged(cell),
        "seed": seed,
        "run": run,
    }
    columns = [*row, "x", "y", "label"]
    whole_or_absent = dict.fromkeys(("seed", "x", "y", "label"), "Int64")
    return points.assign(**row)[columns].astype(whole_or_absent)
