"""Trained runs in the plane of uniformity and tolerance: choose one and see its neighbours."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from contrastlib.metrics import uniformity_ceiling
from contrastlib.reproduction import aggregate, grids
from contrastlib.reproduction.aggregate import DECIMALS, LOSSES, NAMES, Base
from contrastlib.teaching.widgets.base import Interactive, render
from contrastlib.training import recipes

SHAPES = {  # the losses shown, and the outline of their marks
    "contrastive": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "hard": "M-4.5-4.5h9v9h-9z",
    "simple": "M0-6L6 5H-6z",
    "hard_simple": "M0-6.5L6.5 0 0 6.5-6.5 0z",
}
DATASETS = ("cifar10", "cifar100", "fashion-mnist")
WIDTH = 340  # of the plane and of its zoom
HEIGHT = 250
PROFILE_HEIGHT = 180
CROWDED = 12  # marks nearer than this to another are in a crowd
LINKED = 60  # crowded marks nearer than this to each other belong to one crowd
APART = 28  # the least distance of two marks in the enlarged crowd: a finger can press each
OPENING_TAU = 0.07
SIDES = ((1, -1), (1, 1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, -1.7), (0, 1.7))  # of a label


def _columns() -> list[tuple[str, float | None]]:
    """Return the (loss, tau) that are shown; tau is None for a loss without a temperature."""
    columns = []
    for loss in SHAPES:
        taus = grids.TAUS if loss in ("contrastive", "hard") else [None]
        columns += [(loss, tau) for tau in taus]
    return columns


COLUMNS = _columns()


@dataclass(frozen=True)
class Mark:
    """The runs of one loss at one temperature on one data set.

    measures: of each measure a row with mean, low, high, values, seeds and diverged (see `aggregate`). profile [11, 5]:
    of the positive and the ten nearest negatives the mean similarity and the quantiles 5, 25, 75 and 95 % over anchors,
    all means over seeds.
    """

    loss: str
    tau: float | None
    measures: dict[str, pd.Series]
    profile: list[list[float]]

    @property
    def kind(self) -> str:
        """The class of the mark's colour."""
        return f"k{list(SHAPES).index(self.loss)}"

    @property
    def title(self) -> str:
        """What the mark is called, such as "ordinary, τ = 0.07"."""
        loss = LOSSES.get(self.loss, self.loss)
        if self.tau is None:
            return loss
        return f"{loss}, τ = {self.tau:g}"

    @property
    def label(self) -> str:
        """What stands beside the mark: "0.07", "hard 0.3", "simple"."""
        return self.title.removeprefix("ordinary, τ = ").replace(", τ =", "")

    @property
    def sentence(self) -> str:
        """The mark's numbers in words."""
        numbers = []
        for measure, name in (
            ("uniformity", "uniformity"),
            ("tolerance", "tolerance"),
            ("probe", "probe accuracy"),
        ):
            numbers.append(f"{name} {self._with_half_interval(measure)}")
        row = self.measures["probe"]
        seeds = f"{row['seeds']} seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
        if row["diverged"] > 0:
            seeds += f", {row['diverged']} diverged"
        means = [mean for mean, *_ in self.profile]
        return (
            f"{self.title.capitalize()} ({seeds}): {', '.join(numbers)}\u00a0%. "
            f"Similarity of the positive {means[0]:.2f}, of the nearest negative {means[1]:.2f}, "
            f"of the tenth {means[-1]:.2f}."
        )

    def _with_half_interval(self, measure: str) -> str:
        row = self.measures[measure]
        digits = DECIMALS[measure]
        text = f"{row['mean']:.{digits}f}"
        if math.isnan(row["high"]):
            return text
        return f"{text} ±\u00a0{row['high'] - row['mean']:.{digits}f}"


@dataclass(frozen=True)
class Axis:
    """A linear axis whose first tick lies at `start` and whose last lies at `end`."""

    ticks: list[float]
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        low = self.ticks[0]
        high = self.ticks[-1]
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def run_explorer(
    records: Iterable[dict] | None = None,
    *,
    base: Base = recipes.small,
    datasets: Sequence[str] = DATASETS,
) -> Interactive:
    """Runs by tolerance and uniformity, a mark for each loss and temperature; the chosen one shows its neighbours.

    A mark is the mean over seeds, and a line joins those of the ordinary loss in order of tau, from 0.05 on. Where marks
    lie on each other a second plane enlarges the crowd. Below stand the chosen mark's numbers and its similarities to the
    positive and to the ten nearest negatives, as in Fig 8. The losses are the ordinary, hard, simple and hard simple one;
    what of them was not run is named. It opens at tau = 0.07 where that was run, and without scripts it is a still figure
    of that.

    records: records of runs; None: those that come with the library. base makes the recipe of the runs to show from a
    data set's name. datasets: the data sets to choose from; those without such a run are left out. ValueError where none
    of them has one, or where a name is no data set; TypeError for other types.
    """
    records = _check_records(records)
    datasets = _check_datasets(datasets)
    usable = aggregate.usable(records)
    aggregate.shown(usable, base, datasets=datasets)  # refuses a name that is none
    planes = {}
    for dataset in datasets:
        marks = _read_marks(usable, base, dataset)
        if marks:
            planes[dataset] = marks
    if not planes:
        names = ", ".join(NAMES[dataset] for dataset in datasets)
        raise ValueError(
            f"records has no finished run of the recipe {aggregate.scale(base)!r} on {names}: give another "
            f"data set or recipe, or train it by {aggregate.command('curves', base, datasets)}"
        )
    frames = _frames(usable, base, list(planes))
    sentences = {measure: aggregate.describe(frames[measure], measure) for measure in frames}
    parts = []
    for dataset, marks in planes.items():
        hidden = "" if not parts else " hidden"
        parts.append(_dataset_html(dataset, marks, usable, base, hidden))
    first_dataset = next(iter(planes))
    return render(
        "run_explorer",
        {
            "dataset_choices": _choices("dataset", {name: NAMES[name] for name in planes}, first_dataset),
            "loss_choices": _choices("loss", _shown_losses(planes), _opening_mark(planes[first_dataset]).loss),
            "datasets": "\n".join(parts),
            "summary": f"Uniformity: {sentences['uniformity']} Tolerance: {sentences['tolerance']}",
        },
    )


def _check_records(records: Iterable[dict] | None) -> list[dict] | None:
    if records is None:
        return None
    records = list(records)
    if not all(isinstance(record, dict) for record in records):
        raise TypeError("records holds something that is no outcome; give a list of them, such as results.read_all()")
    return records


def _check_datasets(datasets: Sequence[str]) -> list[str]:
    if isinstance(datasets, str) or not all(isinstance(name, str) for name in datasets):
        raise TypeError(f"datasets is {datasets!r}; give a list of names, such as ['cifar10']")
    if len(datasets) == 0:
        raise ValueError("datasets is empty; give at least one name, such as ['cifar10']")
    return list(datasets)


def _frames(records: list[dict], base: Base, datasets: list[str]) -> dict[str, pd.DataFrame]:
    return {measure: aggregate.frame(records, base, datasets, COLUMNS, measure) for measure in DECIMALS}


def _read_marks(records: list[dict], base: Base, dataset: str) -> list[Mark]:
    """Return a mark for each (loss, tau) that has a finished run."""
    frames = _frames(records, base, [dataset])
    marks = []
    for place, (loss, tau) in enumerate(COLUMNS):
        finished, _ = aggregate.cells(records, base, dataset, loss, tau)
        if not finished:
            continue
        measures = {measure: frame.iloc[place] for measure, frame in frames.items()}
        marks.append(Mark(loss, tau, measures, _mean_profile(finished.values())))
    return marks


def _mean_profile(records: Iterable[dict]) -> list[list[float]]:
    """Of the positive and the ten nearest negatives: mean, 5, 25, 75 and 95 % over anchors; all means over seeds."""
    seeds = []
    for record in records:
        positive = aggregate.metric(record, "positive_similarity")
        neighbours = aggregate.metric(record, "neighbour_similarities")
        quantiles = aggregate.metric(record, "profile_quantiles")  # [11, 5]
        means = np.array([positive, *neighbours])[:, None]  # [11, 1]
        seeds.append(np.hstack([means, np.array(quantiles)[:, [0, 1, 3, 4]]]))  # the median is left out
    return np.mean(seeds, axis=0).tolist()


def _opening_mark(marks: list[Mark]) -> Mark:
    for mark in marks:
        if mark.tau == OPENING_TAU:
            return mark
    return marks[0]


def _shown_losses(planes: dict[str, list[Mark]]) -> dict[str, str]:
    """Return the losses that any data set has runs of, and their names."""
    there = {mark.loss for marks in planes.values() for mark in marks}
    return {loss: LOSSES.get(loss, loss) for loss in SHAPES if loss in there}


def _choices(name: str, options: dict[str, str], chosen: str) -> str:
    """Return a segmented control: radio buttons named `name`."""
    labels = []
    for value, text in options.items():
        checked = " checked" if value == chosen else ""
        icon = ""
        if value in SHAPES:
            kind = list(SHAPES).index(value)
            icon = (
                f'<svg viewBox="-8 -8 16 16" aria-hidden="true"><path class="icon k{kind}" d="{SHAPES[value]}"/></svg>'
            )
        labels.append(
            f'<label><input type="radio" name="{name}" value="{value}"{checked} disabled>{icon}{text}</label>'
        )
    return "".join(labels)


def _dataset_html(dataset: str, marks: list[Mark], records: list[dict], base: Base, hidden: str) -> str:
    """Return one data set's part of the figure: plane, enlarged crowd, profiles, sentence and notes."""
    ceiling = uniformity_ceiling(base(dataset).d)
    chosen = _opening_mark(marks)
    frames = _frames(records, base, [dataset])
    uniformity = aggregate.describe(frames["uniformity"], "uniformity")
    tolerance = aggregate.describe(frames["tolerance"], "tolerance")
    across, up = _plane_axes(marks, ceiling)
    crowd = _crowd(marks, across, up)
    zoom = ""
    frame_of_zoom = ""
    if crowd:
        zoom_across, zoom_up = _zoom_axes(crowd)
        zoom = _zoom_svg(marks, chosen, zoom_across, zoom_up)
        frame_of_zoom = _zoom_frame(zoom_across, zoom_up, across, up)
    notes = [*_notes(marks), *aggregate.notes(frames["probe"], "curves", base)]
    return (
        f'<div class="dataset" data-dataset="{dataset}"{hidden}>\n<div class="planes">'
        f'<div class="chart plane"><svg viewBox="-54 -8 402 300" role="img" '
        f'aria-label="Uniformity: {uniformity} Tolerance: {tolerance}">'
        f"{_frame_and_ticks(across, up)}{_ceiling_line(ceiling, up)}{frame_of_zoom}"
        f"{_path_of_ordinary(marks, across, up)}{_seed_dots(marks, across, up)}\n"
        f"{_mark_paths(marks, [(across(x), up(y)) for x, y in map(_means, marks)])}\n"
        f"{_labels(marks, [(across(x), up(y)) for x, y in map(_means, marks)])}"
        f"{_ring(chosen, across, up)}</svg></div>\n{zoom}</div>\n"
        f'<div class="profiles"><div class="chart profile">{_profile_svg(marks, chosen)}</div>\n'
        f'<p class="says" aria-live="polite">{chosen.sentence}</p></div>\n'
        f"<p><small>{' '.join(notes)}</small></p></div>"
    )


def _means(mark: Mark) -> tuple[float, float]:
    return mark.measures["tolerance"]["mean"], mark.measures["uniformity"]["mean"]


def _plane_axes(marks: list[Mark], ceiling: float) -> tuple[Axis, Axis]:
    tolerances = []
    uniformities = [ceiling]
    for mark in marks:
        tolerances += mark.measures["tolerance"]["values"]
        uniformities += mark.measures["uniformity"]["values"]
    return _axis(tolerances, 0, WIDTH), _axis(uniformities, HEIGHT, 0)


def _zoom_axes(crowd: list[Mark]) -> tuple[Axis, Axis]:
    means = [_means(mark) for mark in crowd]
    return _axis([x for x, _ in means], 0, WIDTH), _axis([y for _, y in means], HEIGHT, 0)


def _axis(values: list[float], start: float, end: float) -> Axis:
    """Return an axis with round ticks around the values."""
    spread = max(values) - min(values)
    steps = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
    step = next(step for step in steps if spread <= 6 * step)
    low = math.floor(min(values) / step)
    high = math.floor(max(values) / step) + 1
    return Axis([number * step for number in range(low, high + 1)], start, end)


def _crowd(marks: list[Mark], across: Axis, up: Axis) -> list[Mark]:
    """Return the largest crowd: marks that have another within CROWDED, linked by steps shorter than LINKED."""
    places = {mark.title: (across(x), up(y)) for mark, (x, y) in zip(marks, map(_means, marks), strict=True)}

    def is_crowded(mark: Mark) -> bool:
        others = [place for title, place in places.items() if title != mark.title]
        return any(math.dist(places[mark.title], other) < CROWDED for other in others)

    waiting = [mark for mark in marks if is_crowded(mark)]
    largest: list[Mark] = []
    while waiting:
        crowd = [waiting.pop(0)]
        for member in crowd:  # grows while it is walked through
            near = [mark for mark in waiting if math.dist(places[mark.title], places[member.title]) < LINKED]
            crowd += near
            waiting = [mark for mark in waiting if mark.title not in {other.title for other in near}]
        if len(crowd) > len(largest):
            largest = crowd
    return largest


def _spread(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move places apart until none is nearer than APART to another, each as little as may be, within the plane."""
    moved = [list(place) for place in places]
    for _ in range(500):
        done = True
        for i, j in combinations(range(len(moved)), 2):
            across = moved[j][0] - moved[i][0]
            up = moved[j][1] - moved[i][1]
            distance = math.hypot(across, up)
            if distance >= APART:
                continue
            done = False
            if distance < 1e-9:  # on each other: any direction will do
                across, distance = 1.0, 1.0
            push = (APART + 0.5 - distance) / 2 / distance
            moved[i] = [moved[i][0] - push * across, moved[i][1] - push * up]
            moved[j] = [moved[j][0] + push * across, moved[j][1] + push * up]
        for place in moved:
            place[0] = min(max(place[0], 8), WIDTH - 8)
            place[1] = min(max(place[1], 8), HEIGHT - 8)
        if done:
            break
    return [(across, up) for across, up in moved]


def _zoom_svg(marks: list[Mark], chosen: Mark, across: Axis, up: Axis) -> str:
    """Return the enlarged crowd. A mark that is moved aside has a line to its place."""
    numbers = []
    places = []
    for number, mark in enumerate(marks):
        x, y = _means(mark)
        if 0 <= across(x) <= WIDTH and 0 <= up(y) <= HEIGHT:
            numbers.append(number)
            places.append((across(x), up(y)))
    moved = _spread(places)
    inside = [marks[number] for number in numbers]
    leaders = ""
    for (x, y), (a, b) in zip(places, moved, strict=True):
        if math.dist((x, y), (a, b)) > 1:
            leaders += f"M{x:.1f} {y:.1f}L{a:.1f} {b:.1f}"
    dots = "".join(f'<circle r="1.5" cx="{x:.1f}" cy="{y:.1f}"/>' for x, y in places)
    ring = ""
    for mark, (x, y) in zip(inside, moved, strict=True):
        if mark is chosen:
            ring = f'transform="translate({x:.1f} {y:.1f})"'
    hidden = "" if ring else " hidden"
    return (
        '<div class="chart zoom"><svg viewBox="-54 -8 402 300" role="img" '
        'aria-label="the crowded part of the plane, enlarged">'
        f'{_frame_and_ticks(across, up)}<path class="leaders" d="{leaders}"/><g class="places">{dots}</g>\n'
        f"{_mark_paths(inside, moved, numbers)}\n{_labels(inside, moved)}"
        f'<circle class="ring" r="10" {ring}{hidden}/></svg></div>'
    )


def _zoom_frame(zoom_across: Axis, zoom_up: Axis, across: Axis, up: Axis) -> str:
    """Return the rectangle in the plane that the zoom enlarges."""
    left = across(zoom_across.ticks[0])
    right = across(zoom_across.ticks[-1])
    top = up(zoom_up.ticks[-1])
    bottom = up(zoom_up.ticks[0])
    return (
        f'<rect class="enlarged" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
    )


def _frame_and_ticks(across: Axis, up: Axis) -> str:
    ticks = ""
    for value in across.ticks:
        ticks += f'<text x="{across(value):.1f}" y="{HEIGHT + 14}">{value:g}</text>'
    for value in up.ticks:
        ticks += f'<text class="end" x="-6" y="{up(value):.1f}">{value:g}</text>'
    return (
        f'<path class="frame" d="M0 0V{HEIGHT}H{WIDTH}"/>{ticks}'
        f'<text x="{WIDTH // 2}" y="{HEIGHT + 34}">tolerance (mean cosine)</text>'
        '<text x="-47" y="125" transform="rotate(-90 -47 125)">uniformity (nats)</text>'
    )


def _ceiling_line(ceiling: float, up: Axis) -> str:
    top = f"{up(ceiling):.1f}"
    return (
        f'<path class="ceiling" d="M0 {top}H{WIDTH}"/>'
        f'<text class="end" x="{WIDTH - 2}" y="{top}" dy="-9">ceiling {ceiling:.2f}</text>'
    )


def _joined(marks: list[Mark]) -> list[Mark]:
    """Return the ordinary loss's marks that a line joins; at 0.02 training is another, and the line would turn back."""
    lowest = grids.TAUS[1]
    return [mark for mark in marks if mark.loss == "contrastive" and mark.tau >= lowest]


def _neighbours_in_grid(marks: list[Mark]) -> list[tuple[Mark, Mark]]:
    """Return the pairs of joined marks between whose temperatures none of the grid is missing."""
    by_tau = {mark.tau: mark for mark in _joined(marks)}
    pairs = []
    for low, high in pairwise(grids.TAUS):
        if low in by_tau and high in by_tau:
            pairs.append((by_tau[low], by_tau[high]))
    return pairs


def _path_of_ordinary(marks: list[Mark], across: Axis, up: Axis) -> str:
    """Return the line through the ordinary loss's marks, dotted where a temperature of the grid was not run."""

    def point(mark: Mark) -> str:
        x, y = _means(mark)
        return f"{across(x):.1f} {up(y):.1f}"

    joined = _joined(marks)
    gaps = ""
    if joined:
        gaps = "M" + "L".join(point(mark) for mark in joined)
    way = "".join(f"M{point(a)}L{point(b)}" for a, b in _neighbours_in_grid(marks))
    return f'<path class="gaps" d="{gaps}"/><path class="way" d="{way}"/>'


def _seed_dots(marks: list[Mark], across: Axis, up: Axis) -> str:
    dots = ""
    for mark in marks:
        tolerances = mark.measures["tolerance"]["values"]
        uniformities = mark.measures["uniformity"]["values"]
        for x, y in zip(tolerances, uniformities, strict=True):
            dots += f'<circle class="{mark.kind}" r="2" cx="{across(x):.1f}" cy="{up(y):.1f}"/>'
    return dots


def _mark_paths(marks: list[Mark], places: list[tuple[float, float]], numbers: list[int] | None = None) -> str:
    """Return the marks as paths. In the plane each holds its numbers; in the zoom, which of the plane's it is."""
    paths = []
    for place, (mark, (x, y)) in enumerate(zip(marks, places, strict=True)):
        transform = f'transform="translate({x:.1f} {y:.1f})"'
        if numbers is None:
            tau = "" if mark.tau is None else f"{mark.tau:g}"
            held = f'data-loss="{mark.loss}" data-tau="{tau}" data-title="{mark.title}"'
            for measure, row in mark.measures.items():
                held += f' data-{measure}="{float(row["mean"])!r}"'
            held += f' data-sentence="{mark.sentence}"'
        else:
            held = f'data-number="{numbers[place]}"'
        paths.append(f'<path class="mark {mark.kind}" {transform} {held} d="{SHAPES[mark.loss]}"/>')
    return "\n".join(paths)


def _ring(mark: Mark, across: Axis, up: Axis) -> str:
    x, y = _means(mark)
    return f'<circle class="ring" r="10" transform="translate({across(x):.1f} {up(y):.1f})"/>'


def _labels(marks: list[Mark], places: list[tuple[float, float]]) -> str:
    """Names beside the marks, each where it covers no mark and no other and is nearest to its own, if there is room."""
    taken = [(x, y, 6, 6) for x, y in places]
    texts = ""
    for number, mark in enumerate(marks):
        half = 3.7 * len(mark.label)  # its width, about
        for right, down in SIDES:
            x = places[number][0] + right * (9 + half)
            y = places[number][1] + down * 9
            if not _is_free(x, y, half, taken):
                continue
            distances = [math.hypot(a - x, b - y) for a, b in places]
            if distances.index(min(distances)) != number:
                continue
            taken.append((x, y, half, 7))
            texts += f'<text x="{x:.1f}" y="{y:.1f}">{mark.label}</text>'
            break
    return texts


def _is_free(x: float, y: float, half: float, taken: list[tuple]) -> bool:
    """Whether a label fits into the plane and covers nothing."""
    if not (half < x < WIDTH - half and 0 < y < HEIGHT - 8):
        return False
    return all(abs(x - a) > half + wide or abs(y - b) > 7 + high for a, b, wide, high in taken)


def _profile_svg(marks: list[Mark], chosen: Mark) -> str:
    """Return the similarities to the positive and to the ten nearest negatives, of which one mark's are seen."""
    values = [0.99]
    for mark in marks:
        values += [q5 for _, q5, *_ in mark.profile]
    level = _axis(values, PROFILE_HEIGHT, 0)
    ticks = ""
    for value in level.ticks:
        ticks += f'<text class="end" x="-6" y="{level(value):.1f}">{value:g}</text>'
    profiles = "\n".join(_profile(mark, level, mark is chosen) for mark in marks)
    return (
        f'<svg viewBox="-54 -8 278 232" role="img" aria-label="{chosen.sentence}">'
        f'<path class="frame" d="M0 0V{PROFILE_HEIGHT}H220"/>{ticks}'
        '<text x="16" y="194">positive</text><text x="58.8" y="194">1</text><text x="199.2" y="194">10</text>'
        '<text x="129" y="212">nearest negatives</text>'
        f'<text x="-47" y="90" transform="rotate(-90 -47 90)">similarity</text>\n{profiles}</svg>'
    )


def _profile_place(rank: int) -> float:
    """Return where a rank stands: 0, the positive, apart from the negatives 1 to 10."""
    if rank == 0:
        return 12
    return 12 + 15.6 * (rank + 2)


def _profile(mark: Mark, level: Axis, visible: bool) -> str:
    """A mark's profile: thin from 5 to 95 %, thick from 25 to 75 %, a dash for the mean, dots at the positive's."""
    thin = ""
    thick = ""
    dash = ""
    for rank, row in enumerate(mark.profile):
        x = _profile_place(rank)
        mean, q5, q25, q75, q95 = (f"{level(value):.1f}" for value in row)
        thin += f"M{x:.1f} {q5}V{q95}"
        thick += f"M{x:.1f} {q25}V{q75}"
        dash += f"M{x - 5:.1f} {mean}h10"
    rounded = [[round(value, 4) for value in row] for row in mark.profile]
    held = json.dumps(rounded, separators=(",", ":"))
    hidden = "" if visible else " hidden"
    positive = f"M12 {level(mark.profile[0][0]):.1f}H208"
    return (
        f'<g class="{mark.kind}" data-profile="{held}"{hidden}><path d="{thin}"/>'
        f'<path class="thick" d="{thick}"/><path class="dash" d="{dash}"/>'
        f'<path class="level" d="{positive}"/></g>'
    )


def _notes(marks: list[Mark]) -> list[str]:
    """What a reader must know of the marks."""
    notes = ["Marks: means over seeds; faint dots: single seeds."]
    if any(mark.measures["probe"]["seeds"] > 1 for mark in marks):
        notes.append("±: half of the 95 % interval over seeds.")
    if len(_neighbours_in_grid(marks)) < len(_joined(marks)) - 1:
        notes.append("Dotted between marks: temperatures that were not run.")
    return notes
