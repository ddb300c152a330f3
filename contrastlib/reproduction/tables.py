"""Table 1: what the paper prints, and beside it our runs by scale."""

import math
from collections.abc import Iterable

import pandas as pd

from contrastlib.reproduction import grids
from contrastlib.reproduction.aggregate import any_run, frame
from contrastlib.reproduction.judging import Judged, Measured, measured_at
from contrastlib.reproduction.names import LOSSES, NAMES, UNITS
from contrastlib.reproduction.paper_table import COLUMNS
from contrastlib.reproduction.run_index import SCALES, Cell, label
from contrastlib.reproduction.verdicts import Part

__all__ = ["TABLE", "cell_text", "column_name", "differences", "parts_table", "table"]

TABLE = (*COLUMNS, *grids.BASELINES)


def table(records: list[dict], datasets: Iterable[str]) -> pd.DataFrame:
    """Table 1, a row for each data set, measure and column: what the paper prints, and beside it
    our runs by scale.

    Columns: dataset, measure, unit, loss, tau, paper; then small_mean, small_low ... small_runs,
    and the same with desk_ and paper_scale_, the latter only where there are such runs.
    """
    datasets = list(datasets)
    joined = None
    keys = ["dataset", "measure", "unit", "loss", "tau", "paper"]
    for scale in SCALES:
        mine = [name for name in datasets if any_run(records, scale, name)]
        if scale == "small":
            mine = datasets
        if not mine:
            continue
        part = scale_table(records, scale, mine)
        joined = part if joined is None else joined.merge(part, how="left", on=keys)
    order = joined["dataset"].map(datasets.index)
    return joined.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def scale_table(records: list[dict], scale: str, datasets: list[str]) -> pd.DataFrame:
    """Table 1's cells at one scale, our columns named after it."""
    parts = []
    for measure in UNITS:
        part = frame(records, scale, datasets, TABLE, measure)
        parts.append(part.assign(measure=measure, unit=UNITS[measure]))
    data = pd.concat(parts, ignore_index=True)
    prefix = "paper_scale" if scale == "paper" else scale
    ours = ("mean", "low", "high", "seeds", "diverged", "borrowed", "values", "runs")
    data = data.rename(columns={column: f"{prefix}_{column}" for column in ours})
    keys = ["dataset", "measure", "unit", "loss", "tau", "paper"]
    return data[[*keys, *(f"{prefix}_{column}" for column in ours)]]


def column_name(loss: str, tau: float | None) -> str:
    """A column of the table in words, such as "ordinary 0.07"."""
    return label((LOSSES.get(loss, loss), tau))


def cell_text(row: pd.Series, prefix: str, decimals: int) -> str:
    """A cell of the table: "54.0 ± 0.6 (3)" is mean, half of the 95 % interval, seeds; or what
    became of its runs.
    """
    seeds = row[f"{prefix}_seeds"]
    diverged = row[f"{prefix}_diverged"]
    if not seeds > 0:
        return f"diverged ({diverged:.0f})" if diverged > 0 else "not run"
    text = f"{row[f'{prefix}_mean']:.{decimals}f}"
    high = row[f"{prefix}_high"]
    if not math.isnan(high):
        text += f" ± {high - row[f'{prefix}_mean']:.{decimals}f}"
    text += f" ({seeds:.0f}"
    if row[f"{prefix}_borrowed"]:
        text += ", borrowed"
    if diverged > 0:
        text += f"; {diverged:.0f} diverged"
    return text + ")"


def differences(
    records: list[dict],
    pairs: dict[str, tuple[Cell, Cell]],
    measures: Iterable[str] = ("probe",),
    scale: str = "small",
    datasets: Iterable[str] = ("cifar10", "cifar100", "fashion-mnist"),
) -> pd.DataFrame:
    """Differences of two cells, in points, with their 95 % intervals: "+1.7 (+0.6, +2.8)".

    pairs: for each row's name, the cell that is taken and the cell that is subtracted. There is a
    column for each data set and measure.
    """
    columns = {}
    for measure in measures:
        for dataset in datasets:
            measured = measured_at(scale, dataset, records)
            texts = {}
            for name, (first, second) in pairs.items():
                part = Part("", name, measure, {first: 1.0, second: -1.0})
                texts[name] = difference_text(part, measured)
            columns[measure, NAMES[dataset]] = texts
    return pd.DataFrame(columns)


def difference_text(part: Part, measured: Measured) -> str:
    """One difference in points, or "not run"."""
    if measured.missing(part):
        return "not run"
    found = measured.estimate(part)
    text = f"{100 * found.effect:+.1f} ({100 * found.low:+.1f}, {100 * found.high:+.1f})"
    return text.replace("-", "−")


def parts_table(judged: dict[str, list[Judged]]) -> pd.DataFrame:
    """Every part of every claim that was run, with its effect, interval, bar, margin and word."""
    rows = []
    for scale, found in judged.items():
        for one in found:
            if one.verdict == "not run":
                continue
            numbers = f"{one.found.effect:.3f} ({one.found.low:.3f}, {one.found.high:.3f})"
            rows.append(
                {
                    "claim": one.part.claim,
                    "part": one.part.says,
                    "data": f"{NAMES[one.dataset]}, {scale}",
                    "effect (95 % interval)": numbers.replace("-", "−"),
                    "bar": f"{one.part.bar:.3f}",
                    "margin": f"{one.part.margin:g}",
                    "interval": one.found.how,
                    "decides": "yes" if one.part.primary else "",
                    "word": one.verdict,
                }
            )
    rows.sort(key=lambda row: (int(row["claim"][1:]), row["decides"] == "", row["part"]))
    return pd.DataFrame(rows).set_index("claim").rename_axis(None)
