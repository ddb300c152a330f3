"""The numbers that the figures and the table show, by cell: a data set, a loss and a temperature, over seeds.

A frame has a row for each cell: mean, low and high (95 % interval over seeds by Student's t; empty with one seed),
seeds (how many runs finished), diverged (how many did not), values and runs (each seed's value and its run's id), and
paper, what Table 1 prints. All runs of a frame are of one recipe, which `scale` names. Accuracies are in per cent.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import pandas as pd
import torch

from contrastlib.gradients import relative_penalty
from contrastlib.losses import contrastive
from contrastlib.reproduction import grids
from contrastlib.reproduction.first_rule import interval, per_seed
from contrastlib.reproduction.paper_table import COLUMNS, DATASETS, PRINTED
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.training import recipes
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipes import Recipe, run_id
from contrastlib.training.run_records import QUANTILES

__all__ = ["NAMES", "cells", "describe", "frame", "maps", "notes", "profiles", "scale", "shown", "table", "usable"]

Base = Callable[[str], Recipe]
NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn": "SVHN",
    "imagenet100": "ImageNet100",
    "fashion-mnist": "Fashion-MNIST",
    "digits": "Digits",
}
LOSSES = {name: objective.title for name, objective in OBJECTIVES.items()}
UNITS = {"probe": "accuracy, %", "uniformity": "nats", "tolerance": "mean cosine"}
DECIMALS = {"probe": 1, "uniformity": 2, "tolerance": 3}
SCALES = {"small": recipes.small, "desk": recipes.desk, "paper-scale": recipes.paper}
RANKS = ("pos", *(f"n{rank}" for rank in range(1, 11)))
WHOLE = dict.fromkeys(("seed", "x", "y", "label"), "Int64")  # numbers that may be absent
OURS = ("mean", "low", "high", "seeds", "diverged", "values", "runs")
PLACES = ((-0.72, 0.26), (-0.34, 0.60), (0.02, -0.60), (0.50, -0.30))  # of Fig 1's instances, from the front
TABLE = (*COLUMNS, *grids.BESIDE)


def usable(records: Iterable[dict] | None) -> list[dict]:
    """The records, None being those that come with the library, less the pilot's, which chose the small recipe."""
    pilot = {run_id(recipe) for recipe in grids.grid("pilot")}
    if records is None:
        records = read_shipped()
    return [record for record in records if record["id"] not in pilot]


def scale(base: Base) -> str:
    """What runs of this recipe are called: "small", "paper-scale", or the function's own name."""
    return next((name for name, maker in SCALES.items() if maker is base), base.__name__)


def cells(records: list[dict], base: Base, dataset: str, loss: str, tau: float | None) -> tuple[dict, int]:
    """A cell's finished records by seed, and how many diverged."""
    want = {"dataset": dataset, "loss": loss} | ({} if tau is None else {"tau": tau})
    records = [record for record in records if record["recipe"].items() >= want.items()]  # few are left to compare
    found = per_seed(records, grids.cell(base(dataset), loss, tau))
    finished = {seed: record for seed, record in found.items() if record["status"] == "finished"}
    return finished, len(found) - len(finished)


def shown(
    records: list[dict], base: Base, papers: Iterable[str] = DATASETS, datasets: Iterable[str] | None = None
) -> list[str]:
    """The data sets of a figure: those asked for, else the paper's and after them all others that have runs.

    Errors: ValueError for a name that is no data set, or that the recipe does not have.
    """
    if datasets is None:
        others = [name for name in dict.fromkeys(record["recipe"]["dataset"] for record in records) if name in NAMES]
        others = [name for name in others if name not in papers and (base is not recipes.paper or name in DATASETS)]
        return [*papers, *(name for name in NAMES if name in others and any_run(records, base, name))]
    for name in (datasets := list(datasets)):
        if name not in NAMES:
            raise ValueError(f"there is no data set {name!r}; the data sets are: {', '.join(NAMES)}")
        base(name)
    return datasets


def any_run(records: list[dict], base: Base, dataset: str) -> bool:
    """Whether there is a run, finished or diverged, of any cell."""
    return any(any(cells(records, base, dataset, *column)) for column in grids.CELLS["all"])


def printed(dataset: str, measure: str) -> dict[tuple[str, float | None], str]:
    """What Table 1 prints, as it prints it, by column; nothing for a data set that it does not have."""
    return dict(zip(COLUMNS, PRINTED.get((dataset, measure), "").split(), strict=False))


def summary(values: Iterable[float]) -> dict:
    """Mean, 95 % interval (NaN with one value), number of values, and the values."""
    values = tuple(values)
    mean, low, high = interval(values)
    low, high = (low, high) if len(values) > 1 else (math.nan, math.nan)
    return {"mean": mean, "low": low, "high": high, "seeds": len(values), "values": values}


def metric(record: dict, name: str) -> float | list:
    """A metric of a finished run; ValueError where it was not measured."""
    if name not in record["metrics"]:
        raise ValueError(f"the outcome {record['id']} has no metric {name!r}, it is of another version: train it again")
    return record["metrics"][name]


def frame(
    records: list[dict], base: Base, datasets: Iterable[str], columns: Sequence[tuple], measure: str
) -> pd.DataFrame:
    """A measure, such as "probe", in each cell: a row for each data set and each (loss, tau) of columns."""
    factor, rows = 100 if measure == "probe" else 1, []
    for dataset in datasets:
        paper = printed(dataset, measure)
        for loss, tau in columns:
            found, diverged = cells(records, base, dataset, loss, tau)
            row = {"scale": scale(base), "dataset": dataset, "loss": loss, "tau": tau}
            row |= summary(factor * metric(record, measure) for record in found.values())
            row |= {"diverged": diverged, "runs": tuple(record["id"] for record in found.values())}
            rows.append(row | {"paper": float(paper.get((loss, tau), "nan"))})
    return pd.DataFrame(rows).astype({"tau": float})


def profiles(records: list[dict], base: Base, datasets: Iterable[str], taus: Iterable[float]) -> pd.DataFrame:
    """Fig 8's similarities of the ordinary loss: a row for each data set, tau, and rank "pos", "n1" ... "n10".

    Mean and interval over seeds of the mean over anchors; q5 ... q95: the mean over seeds of the anchors' quantiles.
    """
    rows, names = [], [f"q{100 * q:.0f}" for q in QUANTILES]
    for dataset, tau in [(dataset, tau) for dataset in datasets for tau in taus]:
        found, diverged = cells(records, base, dataset, "contrastive", tau)
        for i, rank in enumerate(RANKS):
            each = found.values()
            means = [[metric(r, "positive_similarity"), *metric(r, "neighbour_similarities")][i] for r in each]
            spread = [metric(r, "profile_quantiles")[i] for r in each]
            quantiles = pd.DataFrame(spread, columns=names, dtype=float).mean()
            row = {"scale": scale(base), "dataset": dataset, "loss": "contrastive", "tau": tau, "rank": rank}
            row |= summary(means) | dict(quantiles)
            rows.append(row | {"diverged": diverged, "runs": tuple(record["id"] for record in found.values())})
    return pd.DataFrame(rows)


def maps(records: list[dict], base: Base, datasets: Iterable[str], taus: Iterable[float]) -> pd.DataFrame:
    """Fig 2's maps of the ordinary loss, of the first seed there is: a row for each point, or one where nothing ran."""
    parts = []
    for dataset, tau in [(dataset, tau) for dataset in datasets for tau in taus]:
        found, diverged = cells(records, base, dataset, "contrastive", tau)
        found = {seed: record for seed, record in found.items() if record["map"]}
        seed = min(found, default=None)
        points = pd.DataFrame(found[seed]["map"] if found else {"x": [math.nan], "y": [math.nan], "label": [math.nan]})
        row = {"scale": scale(base), "dataset": dataset, "loss": "contrastive", "tau": tau, "seeds": len(found)}
        row |= {"diverged": diverged, "seed": seed, "run": found[seed]["id"] if found else None}
        parts.append(points[["x", "y", "label"]].assign(**row)[[*row, "x", "y", "label"]].astype(WHOLE))
    return pd.concat(parts, ignore_index=True)


def exchange() -> pd.DataFrame:
    """Fig 1's two arrangements of four instances and their views on the sphere, and the mean loss at tau = 0.2."""
    flat = torch.tensor(PLACES, dtype=torch.float64)
    seen = torch.stack([flat, flat + torch.tensor([0.26, -0.06])])  # instances, and their views to the right
    places, beside = torch.cat([seen, (1 - seen.square().sum(dim=2, keepdim=True)).sqrt()], dim=2)
    own, rows = torch.eye(4, dtype=torch.bool), []
    for arrangement, seats in {"semantic": [0, 1, 2, 3], "exchanged": [0, 2, 1, 3]}.items():
        s = places[seats] @ beside[seats].T
        loss = contrastive(s[own], s[~own].view(4, 3), 0.2).mean().item()
        for role, where in ("instance", places[seats]), ("view", beside[seats]):
            for instance, (x, y, z) in zip("ijkl", where.tolist(), strict=True):
                row = {"arrangement": arrangement, "instance": instance, "role": role, "x": x, "y": y, "z": z}
                rows.append(row | {"tau": 0.2, "mean_loss": loss})
    return pd.DataFrame(rows)


def penalties(taus: Iterable[float] = (0.07, 0.2, 0.5, 1.0), negatives: int = 200) -> pd.DataFrame:
    """Fig 3's relative penalties r of similarities s drawn uniformly from [-1, 1], Eq 5."""
    s = (2 * torch.rand(1, negatives, generator=torch.Generator().manual_seed(0)) - 1).sort().values
    parts = [pd.DataFrame({"tau": tau, "s": s[0], "r": relative_penalty(s, tau)[0]}) for tau in taus]
    return pd.concat(parts, ignore_index=True)


def name(dataset: str, loss: str, taus: Iterable[float] = ()) -> str:
    """A cell or several in words, such as "CIFAR-100 hard 0.7, 1"."""
    numbers = ", ".join(f"{tau:g}" for tau in taus if not math.isnan(tau))
    return f"{NAMES[dataset]} {LOSSES.get(loss, loss)} {numbers}".strip()


def command(grid: str, base: Base, datasets: Iterable[str]) -> str:
    """What one types to train the runs."""
    recipe = " --recipe paper" if base is recipes.paper else ""
    return f"contrastlib sweep {grid}{recipe} --dataset {' '.join(datasets)}"


def notes(data: pd.DataFrame, grid: str, base: Base) -> list[str]:
    """What a reader must know of a frame's cells: which were not run, how to run them, and which diverged."""
    each = data.drop_duplicates(["dataset", "loss", "tau"])
    there = (each["seeds"] > 0) | (each["diverged"] > 0)
    absent = [dataset for dataset, part in there.groupby(each["dataset"], sort=False) if not part.any()]
    said = []
    gaps = each[~there & ~each["dataset"].isin(absent)].groupby(["dataset", "loss"], sort=False)["tau"]
    if len(gaps):
        said.append("No run: " + "; ".join(name(*key, taus) for key, taus in gaps) + ".")
    lost = each[each["diverged"] > 0]
    if len(lost):
        words = (
            f"{name(row.dataset, row.loss, [row.tau])} ({row.diverged} of {row.diverged + row.seeds})"
            for row in lost.itertuples()
        )
        said.append("Diverged: " + "; ".join(words) + ".")
    if absent:
        said.append(f"Not run: {', '.join(NAMES[dataset] for dataset in absent)} ({command(grid, base, absent)}).")
    return said


def describe(data: pd.DataFrame, measure: str) -> str:
    """A frame of curves in words, for those who do not see them: first, last and extreme value of each."""
    said, unit = [], " %" if measure == "probe" else ""
    for (dataset, loss), part in data[data["seeds"] > 0].groupby(["dataset", "loss"], sort=False):

        def at(row, decimals=DECIMALS[measure]):
            return f"{row['mean']:.{decimals}f}{unit}" + ("" if math.isnan(row["tau"]) else f" at tau {row['tau']:g}")

        first, last = part.iloc[0], part.iloc[-1]
        words = f"from {at(first)} to {at(last)}" if len(part) > 1 else at(first)
        for extreme, row in ("highest", part.loc[part["mean"].idxmax()]), ("lowest", part.loc[part["mean"].idxmin()]):
            if row.name not in (first.name, last.name):
                words += f", {extreme} {at(row)}"
        said.append(f"{name(dataset, loss)}: {words}.")
    return " ".join(said) or "Not run."


def table(records: list[dict], datasets: Iterable[str]) -> pd.DataFrame:
    """Table 1, a row for each data set, measure and column: what the paper prints, and beside it our runs by scale.

    Columns: dataset, measure, unit, loss, tau, paper; then small_mean ... small_runs and paper_scale_mean ...
    paper_scale_runs, the latter only where there are such runs.
    """

    def every(base: Base, names: list[str], prefix: str) -> pd.DataFrame:
        parts = [frame(records, base, names, TABLE, m).assign(measure=m, unit=UNITS[m]) for m in DECIMALS]
        return pd.concat(parts, ignore_index=True)[[*keys, "paper", *OURS]].rename(
            columns=lambda c: prefix * (c in OURS) + c
        )

    datasets, keys = list(datasets), ["dataset", "measure", "unit", "loss", "tau"]
    joined = every(recipes.small, datasets, "small_")
    papers = [dataset for dataset in datasets if dataset in DATASETS and any_run(records, recipes.paper, dataset)]
    if papers:
        joined = joined.merge(every(recipes.paper, papers, "paper_scale_").drop(columns="paper"), "left", on=keys)
    return joined.sort_values("dataset", key=lambda c: c.map(datasets.index), kind="stable", ignore_index=True)


def column_name(loss: str, tau: float | None) -> str:
    """A column of the table in words, such as "ordinary 0.07"."""
    return LOSSES.get(loss, loss) + ("" if tau is None else f" {tau:g}")


def cell_text(row: pd.Series, prefix: str, decimals: int) -> str:
    """A cell of the table: "54.0 ± 0.6 (3)" is mean, half of the 95 % interval, seeds; or what became of its runs."""
    mean, high, seeds, diverged = (row[f"{prefix}_{key}"] for key in ("mean", "high", "seeds", "diverged"))
    if not seeds > 0:
        return f"diverged ({diverged:.0f})" if diverged > 0 else "not run"
    half = "" if math.isnan(high) else f" ± {high - mean:.{decimals}f}"
    return f"{mean:.{decimals}f}{half} ({seeds:.0f}" + (f"; {diverged:.0f} diverged)" if diverged > 0 else ")")
