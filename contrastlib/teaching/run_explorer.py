"""Trained runs in the plane of uniformity and tolerance: choose one and see its neighbours, without a kernel."""

import json
import math
from collections.abc import Callable, Iterable
from itertools import groupby, pairwise

import numpy as np

from contrastlib.metrics import uniformity_ceiling
from contrastlib.reproduction import aggregate, grids
from contrastlib.reproduction.aggregate import DECIMALS, LOSSES, NAMES, Base
from contrastlib.teaching.tau_slider import Interactive, embed, static
from contrastlib.training import recipes

MARKS = {  # the losses shown, and the outline of their marks
    "contrastive": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "hard": "M-4.5-4.5h9v9h-9z",
    "simple": "M0-6L6 5H-6z",
    "hard_simple": "M0-6.5L6.5 0 0 6.5-6.5 0z",
}
COLUMNS = [(loss, tau) for loss in MARKS for tau in (grids.TAUS if loss in ("contrastive", "hard") else [None])]
WIDTH, HEIGHT, LOW = 340, 250, 180  # of the plane; height of the profile
PLACES = [12 + 15.6 * (rank + 2 * (rank > 0)) for rank in range(11)]  # in the profile; the positive stands apart


def plane(
    records: Iterable[dict] | None = None, *, base: Base = recipes.small, dataset: str = "cifar10"
) -> Interactive:
    """Runs by tolerance and uniformity, a mark for each loss and temperature; the chosen one shows its neighbours.

    A mark is the mean over seeds, and a line joins those of the ordinary loss in order of tau. Beside the plane stand
    the chosen mark's numbers and its similarities to the positive and to the ten nearest negatives, as in Fig 8. The
    losses are the ordinary, hard, simple and hard simple one; what of them was not run is named below. It opens at
    tau = 0.07 where that was run, and without scripts it is a still figure of that.

    records: outcomes as `results.read_all` gives them; None: those that come with the library. base makes the recipe of
    the runs to show from a data set's name. ValueError where the data set has no such run, TypeError for other types.
    """
    records = None if records is None else list(records)
    if not all(isinstance(record, dict) for record in records or []):
        raise TypeError("records holds something that is no outcome; give a list of them, such as results.read_all()")
    if not isinstance(dataset, str):
        raise TypeError(f"dataset is {dataset!r}; a plane shows one data set: give its name, such as 'cifar10'")
    records = aggregate.usable(records)
    aggregate.shown(records, base, datasets=[dataset])  # refuses a name that is none
    frames = {measure: aggregate.frame(records, base, [dataset], COLUMNS, measure) for measure in DECIMALS}
    cells = [
        {"loss": loss, "tau": tau, "profile": _profile(found.values())}
        | {measure: data.iloc[i] for measure, data in frames.items()}
        for i, (loss, tau) in enumerate(COLUMNS)
        if (found := aggregate.cells(records, base, dataset, loss, tau)[0])
    ]
    if not cells:
        raise ValueError(
            f"records has no finished run of the recipe {aggregate.scale(base)!r} on {NAMES[dataset]}: give another data "
            f"set or recipe, or train it by {aggregate.command('curves', base, [dataset])}"
        )
    fill = _fill(cells, uniformity_ceiling(base(dataset).d))
    fill["notes"] = " ".join([*fill["notes"], *aggregate.notes(frames["probe"], "curves", base)])
    u, t = (aggregate.describe(frames[measure], measure) for measure in ("uniformity", "tolerance"))
    return embed("plane", fill | {"summary": f"Uniformity: {u} Tolerance: {t}"})


def _fill(cells: list[dict], ceiling: float) -> dict:
    """The template's blanks; notes is a list. Each cell gets its place and its name."""
    across, x = _axis([v for cell in cells for v in cell["tolerance"]["values"]], 0, WIDTH)
    up, y = _axis([ceiling, *(v for cell in cells for v in cell["uniformity"]["values"])], HEIGHT, 0)
    levels, s = _axis([0.99, *(row[1] for cell in cells for row in cell["profile"])], LOW, 0)
    first = next((cell for cell in cells if cell["tau"] == 0.07), cells[0])
    for cell in cells:
        loss, tau = LOSSES.get(cell["loss"], cell["loss"]), cell["tau"]
        cell |= {"x": x(cell["tolerance"]["mean"]), "y": y(cell["uniformity"]["mean"])}
        cell["hidden"] = " hidden" * (cell is not first)
        cell |= {"kind": f"k{[*MARKS].index(cell['loss'])}", "name": loss if tau is None else f"{loss}, τ = {tau:g}"}
        cell["place"] = f'transform="translate({cell["x"]:.1f} {cell["y"]:.1f})"'
    way = {cell["tau"]: f"{cell['x']:.1f} {cell['y']:.1f}" for cell in cells if cell["loss"] == "contrastive"}
    near = [f"M{way[a]}L{way[b]}" for a, b in pairwise(grids.TAUS) if a in way and b in way]
    notes = ["Marks: means over seeds; faint dots: single seeds."]
    notes += ["±: half of the 95 % interval over seeds."] * any(cell["probe"]["seeds"] > 1 for cell in cells)
    notes += ["Dotted between marks: temperatures that were not run."] * (len(near) < len(way) - 1)
    return {
        "css": static("sphere.css"),
        "choices": "\n".join(_row([*mine]) for _, mine in groupby(cells, lambda cell: cell["loss"])),
        "across": "".join(f'<text x="{x(v):.1f}" y="{HEIGHT + 14}">{v:g}</text>' for v in across),
        "up": "".join(f'<text class="end" x="-6" y="{y(v):.1f}">{v:g}</text>' for v in up),
        "levels": "".join(f'<text class="end" x="-6" y="{s(v):.1f}">{v:g}</text>' for v in levels),
        "top": f"{y(ceiling):.1f}",
        "ceiling": f"{ceiling:.2f}",
        "gaps": "M" + "L".join(way.values()) if way else "",
        "way": "".join(near),
        "seeds": "".join(
            f'<circle class="{cell["kind"]}" r="2" cx="{x(t):.1f}" cy="{y(u):.1f}"/>'
            for cell in cells
            for t, u in zip(cell["tolerance"]["values"], cell["uniformity"]["values"], strict=True)
        ),
        "marks": "\n".join(_mark(cell, cell["place"]) for cell in cells),
        "here": first["place"],
        "labels": _labels(cells),
        "profiles": "\n".join(_drawn(cell, s) for cell in cells),
        "says": _says(first),
        "notes": notes,
    }


def _axis(values: list[float], start: float, end: float) -> tuple[list[float], Callable[[float], float]]:
    """Round ticks around the values, and the scale that puts the first at start and the last at end."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2) if max(values) - min(values) <= 6 * step)
    low, high = math.floor(min(values) / step), math.floor(max(values) / step) + 1
    return [k * step for k in range(low, high + 1)], lambda v: start + (end - start) * (v / step - low) / (high - low)


def _profile(records: Iterable[dict]) -> list[list[float]]:
    """Of the positive and the ten nearest negatives: mean, 5, 25, 75 and 95 % over anchors; all means over seeds."""
    names = "positive_similarity", "neighbour_similarities", "profile_quantiles"
    each = [[aggregate.metric(record, name) for name in names] for record in records]
    seeds = [[[mean, *spread] for mean, spread in zip([pos, *top], rows, strict=True)] for pos, top, rows in each]
    return np.mean(seeds, axis=0)[:, [0, 1, 2, 4, 5]].tolist()


def _mark(cell: dict, place: str = "") -> str:
    return f'<path class="mark {cell["kind"]}" {place} d="{MARKS[cell["loss"]]}"/>'


def _row(cells: list[dict]) -> str:
    """The part of the control for one loss: its mark and its temperatures."""
    row = f'<div><svg viewBox="-8 -8 16 16" aria-hidden="true">{_mark(cells[0])}</svg>'
    if cells[0]["tau"] is not None:
        row += f"<span>{cells[0]['name'].rpartition(' ')[0]}</span>\n"  # "ordinary, τ ="
    for cell in cells:
        values = "".join(f' data-{measure}="{float(cell[measure]["mean"])!r}"' for measure in DECIMALS)
        row += f'<label><input type="radio" name="run" aria-label="{cell["name"]}"{values} data-says="{_says(cell)}"'
        row += f"{'' if cell['hidden'] else ' checked'} disabled>{cell['name'].rpartition(' = ')[2]}</label>\n"
    return f"{row}</div>"


def _says(cell: dict) -> str:
    """A cell in words."""
    numbers = []
    for measure, name in ("uniformity", "uniformity"), ("tolerance", "tolerance"), ("probe", "probe accuracy"):
        row, digits = cell[measure], DECIMALS[measure]
        half = "" if math.isnan(row["high"]) else f" ±\u00a0{row['high'] - row['mean']:.{digits}f}"
        numbers.append(f"{name} {row['mean']:.{digits}f}{half}")
    seeds = f"{row['seeds']} seed{'s' if row['seeds'] > 1 else ''}"
    seeds += f", {row['diverged']} diverged" if row["diverged"] else ""
    pos, near, *_, far = (mean for mean, *_ in cell["profile"])
    return (
        f"{cell['name'].capitalize()} ({seeds}): {', '.join(numbers)}\u00a0%. Similarity of the positive {pos:.2f}, of "
        f"the nearest negative {near:.2f}, of the tenth {far:.2f}."
    )


def _labels(cells: list[dict]) -> str:
    """Names beside the marks, each where it covers no mark and no other and is nearest to its own, if there is room."""
    taken, texts = [(cell["x"], cell["y"], 6, 6) for cell in cells], ""
    for cell in cells:
        text = cell["name"].removeprefix("ordinary, τ = ").replace(", τ =", "")
        half = 3.7 * len(text)  # its width, about
        for dx, dy in ((1, -1), (1, 1), (-1, 1), (-1, -1)):
            x, y = cell["x"] + dx * (9 + half), cell["y"] + dy * 9
            free = all(abs(x - a) > half + wide or abs(y - b) > 7 + high for a, b, wide, high in taken)
            nearest = min(cells, key=lambda other: math.hypot(other["x"] - x, other["y"] - y))
            if free and nearest is cell and half < x < WIDTH - half and 0 < y < HEIGHT - 8:
                taken.append((x, y, half, 7))
                texts += f'<text x="{x:.1f}" y="{y:.1f}">{text}</text>'
                break
    return texts


def _drawn(cell: dict, s: Callable[[float], float]) -> str:
    """A cell's profile: thin from 5 to 95 %, thick from 25 to 75 %, a dash for the mean, dots at the positive's."""
    thin = thick = dash = ""
    for x, row in zip(PLACES, cell["profile"], strict=True):
        mean, q5, q25, q75, q95 = (f"{s(value):.1f}" for value in row)
        thin += f"M{x:.1f} {q5}V{q95}"
        thick += f"M{x:.1f} {q25}V{q75}"
        dash += f"M{x - 5:.1f} {mean}h10"
    held = json.dumps([[round(value, 4) for value in row] for row in cell["profile"]], separators=(",", ":"))
    level = f"M12 {s(cell['profile'][0][0]):.1f}H208"
    return (
        f'<g class="{cell["kind"]}" data-profile="{held}"{cell["hidden"]}><path d="{thin}"/>'
        f'<path class="thick" d="{thick}"/><path class="dash" d="{dash}"/><path class="level" d="{level}"/></g>'
    )
