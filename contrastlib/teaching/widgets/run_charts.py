"""The drawings of the run explorer, as SVG: the plane, its enlarged crowd, and the profiles."""

import json
import math

from contrastlib.teaching.widgets import run_marks
from contrastlib.teaching.widgets.run_marks import Mark
from contrastlib.teaching.widgets.run_places import HEIGHT, WIDTH, Axis, axis, spread

PROFILE_HEIGHT = 180
SIDES = ((1, -1), (1, 1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, -1.7), (0, 1.7))  # of a label


def zoom_svg(marks: list[Mark], chosen: Mark, across: Axis, up: Axis) -> str:
    """Return the enlarged crowd. A mark that is moved aside has a line to its place."""
    numbers = []
    places = []
    for number, mark in enumerate(marks):
        x, y = run_marks.means(mark)
        if 0 <= across(x) <= WIDTH and 0 <= up(y) <= HEIGHT:
            numbers.append(number)
            places.append((across(x), up(y)))
    moved = spread(places)
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
        f"{frame_and_ticks(across, up)}"
        f'<path class="leaders" d="{leaders}"/><g class="places">{dots}</g>\n'
        f"{mark_paths(inside, moved, numbers)}\n{labels(inside, moved)}"
        f'<circle class="ring" r="10" {ring}{hidden}/></svg></div>'
    )


def zoom_frame(zoom_across: Axis, zoom_up: Axis, across: Axis, up: Axis) -> str:
    """Return the rectangle in the plane that the zoom enlarges."""
    left = across(zoom_across.ticks[0])
    right = across(zoom_across.ticks[-1])
    top = up(zoom_up.ticks[-1])
    bottom = up(zoom_up.ticks[0])
    return (
        f'<rect class="enlarged" x="{left:.1f}" y="{top:.1f}" '
        f'width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
    )


def frame_and_ticks(across: Axis, up: Axis) -> str:
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


def ceiling_line(ceiling: float, up: Axis) -> str:
    top = f"{up(ceiling):.1f}"
    return (
        f'<path class="ceiling" d="M0 {top}H{WIDTH}"/>'
        f'<text class="end" x="{WIDTH - 2}" y="{top}" dy="-9">ceiling {ceiling:.2f}</text>'
    )


def path_of_ordinary(marks: list[Mark], across: Axis, up: Axis) -> str:
    """Return the line through the ordinary loss's marks, dotted where a temperature of the grid was
    not run.
    """

    def point(mark: Mark) -> str:
        x, y = run_marks.means(mark)
        return f"{across(x):.1f} {up(y):.1f}"

    joined = run_marks.joined(marks)
    gaps = ""
    if joined:
        gaps = "M" + "L".join(point(mark) for mark in joined)
    way = "".join(f"M{point(a)}L{point(b)}" for a, b in run_marks.neighbours_in_grid(marks))
    return f'<path class="gaps" d="{gaps}"/><path class="way" d="{way}"/>'


def seed_dots(marks: list[Mark], across: Axis, up: Axis) -> str:
    dots = ""
    for mark in marks:
        tolerances = mark.measures["tolerance"]["values"]
        uniformities = mark.measures["uniformity"]["values"]
        for x, y in zip(tolerances, uniformities, strict=True):
            dots += f'<circle class="{mark.kind}" r="2" cx="{across(x):.1f}" cy="{up(y):.1f}"/>'
    return dots


def mark_paths(
    marks: list[Mark], places: list[tuple[float, float]], numbers: list[int] | None = None
) -> str:
    """Return the marks as paths. In the plane each holds its numbers; in the zoom, which of the
    plane's it is.
    """
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
        paths.append(
            f'<path class="mark {mark.kind}" {transform} {held} d="{run_marks.SHAPES[mark.loss]}"/>'
        )
    return "\n".join(paths)


def ring(mark: Mark, across: Axis, up: Axis) -> str:
    x, y = run_marks.means(mark)
    return f'<circle class="ring" r="10" transform="translate({across(x):.1f} {up(y):.1f})"/>'


def labels(marks: list[Mark], places: list[tuple[float, float]]) -> str:
    """Names beside the marks, each where it covers no mark and no other and is nearest to its own,
    if there is room.
    """
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


def profile_svg(marks: list[Mark], chosen: Mark) -> str:
    """Return the similarities to the positive and to the ten nearest negatives, of which one mark's
    are seen.
    """
    values = [0.99]
    for mark in marks:
        values += [q5 for _, q5, *_ in mark.profile]
    level = axis(values, PROFILE_HEIGHT, 0)
    ticks = ""
    for value in level.ticks:
        ticks += f'<text class="end" x="-6" y="{level(value):.1f}">{value:g}</text>'
    profiles = "\n".join(_profile(mark, level, mark is chosen) for mark in marks)
    return (
        f'<svg viewBox="-54 -8 278 232" role="img" aria-label="{chosen.sentence}">'
        f'<path class="frame" d="M0 0V{PROFILE_HEIGHT}H220"/>{ticks}'
        '<text x="16" y="194">positive</text><text x="58.8" y="194">1</text>'
        '<text x="199.2" y="194">10</text>'
        '<text x="129" y="212">nearest negatives</text>'
        f'<text x="-47" y="90" transform="rotate(-90 -47 90)">similarity</text>\n{profiles}</svg>'
    )


def _profile_place(rank: int) -> float:
    """Return where a rank stands: 0, the positive, apart from the negatives 1 to 10."""
    if rank == 0:
        return 12
    return 12 + 15.6 * (rank + 2)


def _profile(mark: Mark, level: Axis, visible: bool) -> str:
    """A mark's profile: thin from 5 to 95 %, thick from 25 to 75 %, a dash for the mean, dots at
    the positive's.
    """
    thin = ""
    thick = ""
    dash = ""
    for rank, row in enumerate(mark.profile):
        x = _profile_place(rank)
        mean, q5, q25, q75, q95 = (f"{level(value):.1f}" for value in row)
        thin += f"M{x:.1f} {q5}V{q95}"
        thick += f"M{x:.1f} {q25}V{q75}"
        dash += f"M{x - 5:.1f} {mean}h10"
    rounded = []
    for row in mark.profile:
        rounded.append([round(value, 4) for value in row])
    held = json.dumps(rounded, separators=(",", ":"))
    hidden = "" if visible else " hidden"
    positive = f"M12 {level(mark.profile[0][0]):.1f}H208"
    return (
        f'<g class="{mark.kind}" data-profile="{held}"{hidden}><path d="{thin}"/>'
        f'<path class="thick" d="{thick}"/><path class="dash" d="{dash}"/>'
        f'<path class="level" d="{positive}"/></g>'
    )
