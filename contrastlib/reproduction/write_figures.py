"""All figures and tables as files, from runs alone: `contrastlib figures` calls `write`. Same runs,
same bytes.
"""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from contrastlib.reproduction import (
    ablation_figures,
    ablations,
    aggregate,
    best_tau,
    claims,
    figures,
    identities,
    judging,
    tables,
    themes,
    verdict_figures,
)
from contrastlib.reproduction.paper_table import DATASETS
from contrastlib.reproduction.run_index import SCALES
from contrastlib.reproduction.shipped import read_shipped, without_pilot
from contrastlib.training import run_records

__all__ = ["claims_table", "write"]


def write(
    out: str | Path,
    runs: str | Path | None = None,
    scales: Iterable[str] | None = None,
    datasets: Iterable[str] | None = None,
    say: Callable[[str], object] = print,
) -> list[Path]:
    """Write figN-THEME.png and .svg and figN.csv for N = 1 ... 9, the verdicts, and the tables;
    return their paths.

    The verdicts are verdicts, forest and dumbbells-DATASET in the same forms, and best-tau, why our
    best temperature may differ; the tables are
    table1.csv, claims.csv (every part with its word, and what the first edition said),
    identities.csv and beyond.csv; the ablations come as beyond-NAME.

    out: the folder, made if need be. runs: the folder with the outcomes; None: those that come with
    the package. scales, datasets: which runs the numbered figures show, as in `figures`; the
    verdicts have `desk` in any case, and Table 1 every scale with runs. say: takes the report's
    lines.
    Errors: FileNotFoundError for no folder of runs, ValueError for a damaged outcome, an unknown
    data set or scale, or an `out` that is a file.
    """
    start = time.monotonic()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give a folder to write the figures to")
    records = read_shipped() if runs is None else without_pilot(run_records.read_all(runs))
    if datasets is not None:
        datasets = list(datasets)
    if scales is not None:
        scales = list(scales)
    shown_scales = figures.chosen_scales(records, scales, datasets)
    first = shown_scales[0]
    shown = aggregate.shown(records, first, datasets=datasets)
    out.mkdir(parents=True, exist_ok=True)
    say(f"outcomes read: {len(records)}; scales shown: {', '.join(shown_scales)}")
    files = write_paper_figures(records, out, scales, datasets, say)
    files += write_verdicts(records, out, shown_scales, shown, say)
    for name in ablations.NAMES_OF_FIGURES:
        data = ablations.numbers(name, records, first, shown[0])
        files += write_one(
            f"beyond-{name}",
            out,
            data,
            lambda name=name: ablation_figures.draw(name, records, first, shown[0]),
            say,
        )
    written = {
        "table1": tables.table(records, shown),
        "beyond": ablations.answers(records, first, shown[0]),
    }
    for name, data in written.items():
        files.append(to_csv(data, out / f"{name}.csv"))
        say(files[-1].name)
    say(f"{len(files)} files in {out} in {time.monotonic() - start:.1f} s")
    return files


def write_paper_figures(
    records: list[dict],
    out: Path,
    scales: list[str] | None,
    datasets: list[str] | None,
    say: Callable[[str], object],
) -> list[Path]:
    """Figures 1 to 9."""
    files = []
    for number in range(1, 10):
        draw = getattr(figures, f"fig{number}")
        data = figures.numbers(number, records, scales=scales, datasets=datasets)
        files += write_one(
            f"fig{number}",
            out,
            data,
            lambda draw=draw: draw(records, scales=scales, datasets=datasets),
            say,
        )
    return files


def write_verdicts(
    records: list[dict],
    out: Path,
    scales: list[str],
    datasets: list[str],
    say: Callable[[str], object],
) -> list[Path]:
    """The grid, the forest plot, Table 1 as dumbbells, and the tables of claims and identities."""
    judged = {
        scale: judging.judge_all(records, scale, datasets)
        for scale in dict.fromkeys([*scales, "desk"])
    }
    table = verdict_figures.verdict_table(judged)
    table.columns = [f"{scale}, {name}" for scale, name in table.columns]
    files = write_one(
        "verdicts",
        out,
        table.rename_axis("claim").reset_index(),
        lambda: verdict_figures.verdict_grid(judged),
        say,
    )
    files += write_one(
        "forest",
        out,
        verdict_figures.forest_numbers(judged),
        lambda: verdict_figures.forest(judged),
        say,
    )
    for dataset in datasets:
        ran = any(aggregate.any_run(records, scale, dataset) for scale in SCALES)
        if dataset in DATASETS and ran:
            files += write_one(
                f"dumbbells-{dataset}",
                out,
                tables.table(records, [dataset]),
                lambda dataset=dataset: verdict_figures.dumbbells(records, dataset),
                say,
            )
    if "cifar10" in datasets:
        files += write_one(
            "best-tau", out, best_tau.numbers(records), lambda: best_tau.draw(records), say
        )
    written = {"claims": claims_table(judged), "identities": identities_table()}
    for name, data in written.items():
        files.append(to_csv(data, out / f"{name}.csv"))
        say(files[-1].name)
    return files


def claims_table(judged: dict[str, list[judging.Judged]]) -> pd.DataFrame:
    """Every part of every claim with its word, the claim's overall word, and what the first edition
    said of it.
    """
    earlier = judging.first_edition().set_index(["claim", "dataset"])["verdict"]
    rows = []
    for scale, found in judged.items():
        words = {claim: judging.overall(found, claim)[1] for claim in claims.CLAIMS}
        for one in found:
            first = earlier.get((one.part.claim, one.dataset), "") if scale == "small" else ""
            rows.append(
                {
                    "scale": scale,
                    "claim": one.part.claim,
                    "dataset": one.dataset,
                    "primary": one.part.primary,
                    "part": one.part.says,
                    "effect": one.found.effect,
                    "low": one.found.low,
                    "high": one.found.high,
                    "margin": one.part.margin,
                    "paper": math.nan if one.part.paper is None else one.part.paper,
                    "bar": one.part.bar,
                    "multiple": math.nan
                    if one.part.paper is None
                    else one.found.effect / one.part.paper,
                    "seeds": one.found.seeds,
                    "interval": one.found.how,
                    "verdict": one.verdict,
                    "verdict_of_claim": words[one.part.claim],
                    "first_edition": first,
                    "missing": ", ".join(one.missing),
                    "says": claims.CLAIMS[one.part.claim],
                }
            )
    return pd.DataFrame(rows)


def identities_table() -> pd.DataFrame:
    """The checks of formulas: the worst distance found, and the largest that would confirm the
    statement.
    """
    rows = []
    for check in identities.checks():
        rows.append(
            {
                "claim": check.claim,
                "checked": check.says,
                "worst": check.worst,
                "allowed": check.allowed,
                "holds": check.holds,
                "says": identities.IDENTITIES[check.claim],
            }
        )
    return pd.DataFrame(rows)


def write_one(
    stem: str,
    out: Path,
    data: pd.DataFrame,
    draw: Callable[[], Figure],
    say: Callable[[str], object],
) -> list[Path]:
    """Write one figure, in both themes, and its numbers; say and return the files."""
    light_picture = out / f"{stem}-light.png"
    light_drawing = out / f"{stem}-light.svg"
    dark_picture = out / f"{stem}-dark.png"
    dark_drawing = out / f"{stem}-dark.svg"
    with matplotlib.style.context(themes.light_style()):
        figure = draw()
        dpi = figure.dpi
        FigureCanvasAgg(figure).print_png(light_picture)  # draws once; savefig draws twice
        figure.set_layout_engine("none")  # it is laid out
        FigureCanvasSVG(figure).print_svg(light_drawing, metadata={"Date": None})
        figure.set_dpi(dpi)  # print_svg has set its own
        themes.recolour(figure)
        FigureCanvasAgg(figure).print_png(dark_picture)
    drawing = light_drawing.read_text(encoding="utf-8")
    dark_drawing.write_text(themes.in_dark(drawing), encoding="utf-8")
    files = [
        to_csv(data, out / f"{stem}.csv"),
        light_picture,
        light_drawing,
        dark_picture,
        dark_drawing,
    ]
    say(" ".join(path.name for path in files))
    return files


def to_csv(data: pd.DataFrame, path: Path) -> Path:
    """Write a frame, to nine digits; what holds several values has them with spaces between."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return " ".join(str(plain(inner)) for inner in value)
        if isinstance(value, float) and not math.isnan(value):
            return f"{value:.9g}"
        return value

    data.map(plain).to_csv(path, index=False, lineterminator="\n")
    return path
