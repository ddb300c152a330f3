"""Trained runs in the plane of uniformity and tolerance: choose one and see its neighbours."""

from collections.abc import Iterable, Sequence

from contrastlib.metrics import uniformity_ceiling
from contrastlib.reproduction import aggregate, words
from contrastlib.reproduction.names import LOSSES, NAMES
from contrastlib.reproduction.run_index import SCALES
from contrastlib.reproduction.shipped import read_shipped, without_pilot
from contrastlib.teaching.widgets import run_charts, run_marks, run_places
from contrastlib.teaching.widgets.base import Interactive, render
from contrastlib.teaching.widgets.run_marks import SHAPES, Mark

DATASETS = ("cifar10", "cifar100", "fashion-mnist")


def run_explorer(
    records: Iterable[dict] | None = None,
    *,
    scale: str = "small",
    datasets: Sequence[str] = DATASETS,
) -> Interactive:
    """Runs by tolerance and uniformity, a mark for each loss and temperature; the chosen one shows
    its neighbours.

    A mark is the mean over seeds, and a line joins those of the ordinary loss in order of tau, from
    0.05 on. Where marks lie on each other a second plane enlarges the crowd. Below stand the chosen
    mark's numbers and its similarities to the positive and to the ten nearest negatives, as in Fig
    8. The losses are the ordinary, hard, simple and hard simple one; what of them was not run is
    named. It opens at tau = 0.07 where that was run, and without scripts it is a still figure of
    that.

    records: records of runs; None: those that come with the package. scale: the name of the recipe
    of the runs to show, as in `run_index.SCALES`. datasets: the data sets to choose from; those
    without such a run are left out. ValueError where none of them has one, or where a name is no
    data set; TypeError for other types.
    """
    records = _check_records(records)
    datasets = _check_datasets(datasets)
    usable = read_shipped() if records is None else without_pilot(records)
    aggregate.check_datasets(datasets)
    planes = {}
    for dataset in datasets:
        marks = run_marks.read_marks(usable, scale, dataset)
        if marks:
            planes[dataset] = marks
    if not planes:
        names = ", ".join(NAMES[dataset] for dataset in datasets)
        raise ValueError(
            f"records has no finished run of the recipe {scale!r} on {names}: "
            "give another "
            f"data set or recipe, or train it by {words.command('curves', scale, datasets)}"
        )
    frames = run_marks.measure_frames(usable, scale, list(planes))
    sentences = {measure: words.describe(frames[measure], measure) for measure in frames}
    parts = []
    for dataset, marks in planes.items():
        hidden = "" if not parts else " hidden"
        parts.append(_dataset_html(dataset, marks, usable, scale, hidden))
    first_dataset = next(iter(planes))
    return render(
        "run_explorer",
        {
            "dataset_choices": _choices(
                "dataset", {name: NAMES[name] for name in planes}, first_dataset
            ),
            "loss_choices": _choices(
                "loss", _shown_losses(planes), run_marks.opening_mark(planes[first_dataset]).loss
            ),
            "datasets": "\n".join(parts),
            "summary": f"Uniformity: {sentences['uniformity']} Tolerance: {sentences['tolerance']}",
        },
    )


def _check_records(records: Iterable[dict] | None) -> list[dict] | None:
    if records is None:
        return None
    records = list(records)
    if not all(isinstance(record, dict) for record in records):
        raise TypeError(
            "records holds something that is no outcome; give a list of them, such as "
            "run_records.read_all(folder)"
        )
    return records


def _check_datasets(datasets: Sequence[str]) -> list[str]:
    if isinstance(datasets, str) or not all(isinstance(name, str) for name in datasets):
        raise TypeError(f"datasets is {datasets!r}; give a list of names, such as ['cifar10']")
    if len(datasets) == 0:
        raise ValueError("datasets is empty; give at least one name, such as ['cifar10']")
    return list(datasets)


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
            path = f'<path class="icon k{kind}" d="{SHAPES[value]}"/>'
            icon = f'<svg viewBox="-8 -8 16 16" aria-hidden="true">{path}</svg>'
        labels.append(
            f'<label><input type="radio" name="{name}" value="{value}"{checked} disabled>'
            f"{icon}{text}</label>"
        )
    return "".join(labels)


def _dataset_html(
    dataset: str, marks: list[Mark], records: list[dict], scale: str, hidden: str
) -> str:
    """Return one data set's part: plane, enlarged crowd, profiles, sentence and notes."""
    ceiling = uniformity_ceiling(SCALES[scale].recipe(dataset).d)
    chosen = run_marks.opening_mark(marks)
    frames = run_marks.measure_frames(records, scale, [dataset])
    uniformity = words.describe(frames["uniformity"], "uniformity")
    tolerance = words.describe(frames["tolerance"], "tolerance")
    across, up = run_places.plane_axes(marks, ceiling)
    places = [(across(x), up(y)) for x, y in map(run_marks.means, marks)]
    crowd = run_places.crowd(marks, across, up)
    zoom = ""
    frame_of_zoom = ""
    if crowd:
        zoom_across, zoom_up = run_places.zoom_axes(crowd)
        zoom = run_charts.zoom_svg(marks, chosen, zoom_across, zoom_up)
        frame_of_zoom = run_charts.zoom_frame(zoom_across, zoom_up, across, up)
    notes = [*_notes(marks), *words.notes(frames["probe"], "curves")]
    return (
        f'<div class="dataset" data-dataset="{dataset}"{hidden}>\n<div class="planes">'
        f'<div class="chart plane"><svg viewBox="-54 -8 402 300" role="img" '
        f'aria-label="Uniformity: {uniformity} Tolerance: {tolerance}">'
        f"{run_charts.frame_and_ticks(across, up)}{run_charts.ceiling_line(ceiling, up)}"
        f"{frame_of_zoom}{run_charts.path_of_ordinary(marks, across, up)}"
        f"{run_charts.seed_dots(marks, across, up)}\n"
        f"{run_charts.mark_paths(marks, places)}\n"
        f"{run_charts.labels(marks, places)}"
        f"{run_charts.ring(chosen, across, up)}</svg></div>\n{zoom}</div>\n"
        '<div class="profiles"><div class="chart profile">'
        f"{run_charts.profile_svg(marks, chosen)}</div>\n"
        f'<p class="says" aria-live="polite">{chosen.sentence}</p></div>\n'
        f"<p><small>{' '.join(notes)}</small></p></div>"
    )


def _notes(marks: list[Mark]) -> list[str]:
    """What a reader must know of the marks."""
    notes = ["Marks: means over seeds; faint dots: single seeds."]
    if any(mark.measures["probe"]["seeds"] > 1 for mark in marks):
        notes.append("±: half of the 95 % interval over seeds.")
    if len(run_marks.neighbours_in_grid(marks)) < len(run_marks.joined(marks)) - 1:
        notes.append("Dotted between marks: temperatures that were not run.")
    return notes
