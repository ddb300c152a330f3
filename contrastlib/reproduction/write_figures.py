"""All figures and the table as files, from runs alone: `contrastlib figures` calls `write`. Same runs, same bytes."""

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure

from contrastlib.reproduction import ablations, aggregate, figures, first_claims, grids
from contrastlib.reproduction.first_rule import overall
from contrastlib.reproduction.paper_table import DATASETS
from contrastlib.reproduction.plotting import LOOK
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.training import recipes, run_records

__all__ = ["THEMES", "claims_table", "write"]

INKS = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
THEMES = {"light": ("#1f2328", "#ffffff"), "dark": ("#e6e6e6", "#14181e")}  # ink and ground
SHAPE = {"font.size": 10.0, "savefig.dpi": 160, "axes.spines.top": False, "axes.spines.right": False}


def look(theme: str) -> list:
    """The style of a theme, whatever the reader's own settings are."""
    ink, ground = THEMES[theme]
    grounds = dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), ground)
    return ["default", LOOK | SHAPE | dict.fromkeys((*INKS, "legend.labelcolor"), ink) | grounds]


def write(
    out: str | Path,
    runs: str | Path | None = None,
    base: aggregate.Base = recipes.small,
    datasets: Iterable[str] | None = None,
    say: Callable[[str], object] = print,
) -> list[Path]:
    """Write figN-THEME.png and .svg and figN.csv for N = 1 ... 9, table1.csv and first_claims.csv; return their paths.

    What goes beyond the paper comes as beyond-NAME in the same forms, and ablations.csv.

    out: the folder, made if need be. runs: the folder with the outcomes; None: those that come with the library. base,
    datasets: which runs, as in `figures`. say: takes the report's lines.
    Errors: FileNotFoundError for no folder of runs, ValueError for a damaged outcome, an unknown data set
    or an `out` that is a file.
    """
    start, out, files = time.monotonic(), Path(out), []
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give a folder to write the figures to")
    every = read_shipped() if runs is None else run_records.read_all(runs)
    records = aggregate.usable(every)
    shown = aggregate.shown(records, base, datasets=datasets)
    datasets = None if datasets is None else shown
    tables = {"table1": table_rows(records, datasets), "claims": claims_table(records, base, datasets)}
    tables["beyond"] = ablations.answers(records, base, shown[0])
    out.mkdir(parents=True, exist_ok=True)
    counts = (aggregate.cells(records, base, name, *cell) for name in shown for cell in grids.CELLS["all"])
    used = sum(len(found) + lost for found, lost in counts)
    say(f"outcomes read: {len(every)}, of which the {aggregate.scale(base)} recipe's and shown here: {used}")
    options, one = {"base": base, "datasets": datasets}, {"base": base, "dataset": shown[0]}
    for n in range(1, 10):
        make = partial(getattr(figures, f"fig{n}"), records, **options)
        files += draw(f"fig{n}", out, figures.numbers(n, records, **options), make, say)
    for name in ablations.NAMES:
        make = partial(ablations.draw, name, records, **one)
        files += draw(f"beyond-{name}", out, ablations.numbers(name, records, **one), make, say)
    for name, data in tables.items():
        files.append(to_csv(data, out / f"{name}.csv"))
        say(files[-1].name)
    say(f"{len(files)} files in {out} in {time.monotonic() - start:.1f} s")
    return files


def draw(
    stem: str, out: Path, data: pd.DataFrame, make: Callable[[], Figure], say: Callable[[str], object]
) -> list[Path]:
    """Write one figure, in both themes, and its numbers; say and return the files."""
    made = [to_csv(data, out / f"{stem}.csv")]
    for theme in THEMES:
        with matplotlib.style.context(look(theme)):
            figure = make()
            for kind in ("png", "svg"):
                made.append(out / f"{stem}-{theme}.{kind}")
                figure.savefig(made[-1], metadata={"Date": None} if kind == "svg" else None)
                figure.set_layout_engine("none")  # it is laid out
    say(" ".join(path.name for path in made))
    return made


def table_rows(records: list[dict], datasets: Iterable[str] | None) -> pd.DataFrame:
    """Table 1 as numbers, each scale in columns of its own."""
    return aggregate.table(records, aggregate.shown(records, recipes.small, DATASETS, datasets))


def claims_table(
    records: Iterable[dict], base: aggregate.Base = recipes.small, datasets: Iterable[str] | None = None
) -> pd.DataFrame:
    """Every part of every claim with its verdict, then the claim's on that data set and on all that were run."""
    records = aggregate.usable(records)
    datasets = aggregate.shown(records, base, datasets=datasets)
    found, rows = first_claims.findings(records, base, datasets), []
    for finding in found:
        row = {"scale": aggregate.scale(base)} | vars(finding) | {"missing": ", ".join(finding.missing)}
        row["verdict_on_dataset"] = overall(finding.claim, found, finding.dataset)
        rows.append(
            row | {"verdict_of_claim": overall(finding.claim, found), "says": first_claims.CLAIMS[finding.claim]}
        )
    return pd.DataFrame(rows)


def to_csv(data: pd.DataFrame, path: Path) -> Path:
    """Write a frame, to nine digits; what holds several values has them with spaces between."""

    def plain(value):
        if isinstance(value, tuple):
            return " ".join(map(plain, value))
        return f"{value:.9g}" if isinstance(value, float) and not math.isnan(value) else value

    data.map(plain).to_csv(path, index=False, lineterminator="\n")
    return path
