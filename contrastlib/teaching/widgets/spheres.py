"""Points on a sphere that one can see: training played back, gradients under the reader's hand, and
no kernel.
"""

import math
from base64 import b64encode
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_count, check_floating, check_labels, check_tau, check_unit
from contrastlib.gradients import anchor_gradient, project_to_tangent, relative_penalty
from contrastlib.losses import hard_negatives
from contrastlib.metrics import tolerance, uniformity, uniformity_ceiling
from contrastlib.teaching.widgets.base import Interactive, render, to_attribute

COLOURS = 6
TAUS = [0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0]  # stops of the gradients' slider
COORDINATE_STEPS = 32767  # a coordinate has 16 bits: a thousandth of what a screen can show
FORCE_SCALE = 1.2  # an arrow's length for a force of 1, in radii
LOSSES = ("ordinary", "hard", "simple")


def training_film(
    frames: Tensor, labels: Tensor, taus: list[float], steps: list[int] | None = None
) -> Interactive:
    """Training on the sphere as a film: one sphere for each temperature, all on one clock.

    It opens on its last frame. The reader plays, stops and steps, and turns all spheres together;
    below each stand its uniformity and tolerance, and a plane shows their ways. The page holds the
    points as 16-bit integers and computes from them what `metrics.uniformity` (t = 2) and
    `metrics.tolerance` compute. A reader whose system asks for less motion gets a few stills.
    Without scripts it shows the first and the last frame of every tau.

    frames [T, F, N, 3]: unit vectors, for each of T temperatures F moments of N points, N >= 2.
    labels [N]: integers, at most 6 different ones, shown as they are; two points at least share
    one. taus: T temperatures. steps: F whole numbers, the training step of each moment; None counts
    the moments. ValueError or TypeError on anything else.
    """
    check_floating("frames", frames, "T F N 3")
    if frames.shape[3] != 3:
        raise ValueError(
            f"frames has shape {list(frames.shape)}; the last dimension is 3, the sphere's that "
            "one sees"
        )
    check_unit("frames", frames.flatten(0, 2), level=3)
    check_labels("labels", labels, "a frame", frames[0, 0])
    _check_taus(taus, len(frames))
    if steps is None:
        steps = list(range(frames.shape[1]))
    _check_steps(steps, frames.shape[1])
    _check_colours(labels)

    # What is shown and measured, here and in the page, is what the integers say.
    points = F.normalize(frames.detach().cpu().double(), dim=3)
    integers = (points * COORDINATE_STEPS).round().short()
    z = F.normalize(integers.double(), dim=3)  # [T, F, N, 3]
    return render(
        "training_film",
        _film_context(integers, z, labels.cpu(), taus, list(steps)),
        scripts=("sphere.js",),
    )


def _film_context(
    integers: Tensor, z: Tensor, labels: Tensor, taus: list[float], steps: list[int]
) -> dict[str, object]:
    """What the film's template stands for. z [T, F, N, 3]: the points that the integers say."""
    ceiling = uniformity_ceiling(3)
    measured = [[(uniformity(frame), tolerance(frame, labels)) for frame in film] for film in z]
    largest = max(u for film in measured for u, _ in film)
    smallest = min(t for film in measured for _, t in film)
    yaw, pitch = _angles(z[:, 0].mean(dim=(0, 1)))  # the first frames face the reader
    ends = []
    for tau, film in zip(taus, measured, strict=True):
        last_uniformity, last_tolerance = film[-1]
        ends.append(f"{last_uniformity:.2f} and {last_tolerance:.2f} at τ = {tau:g}")
    summary = (
        f"{len(labels)} points on the sphere; uniformity and tolerance after step {steps[-1]}: "
        f"{', '.join(ends)}."
    )
    return {
        "frames": b64encode(integers.numpy().astype("<i2").tobytes()).decode(),
        "labels": to_attribute(labels.tolist()),
        "taus": to_attribute([float(f"{tau:g}") for tau in taus]),
        "steps": to_attribute(steps),
        "yaw": yaw,
        "pitch": pitch,
        "columns": len(taus),
        "last": len(steps) - 1,
        "top": f"{math.ceil(2 * max(largest, ceiling)) / 2:g}",
        "low": f"{min(0.8, math.floor(5 * smallest) / 5):g}",
        "ceiling": f"{ceiling:.2f}",
        "spheres": "\n".join(_film_sphere(k, tau, len(labels)) for k, tau in enumerate(taus)),
        "stills": _film_stills(z, labels, taus, steps, (yaw, pitch)),
        "summary": summary,
    }


def _film_sphere(k: int, tau: float, count: int) -> str:
    """The empty sphere of one temperature, which the script fills."""
    focus = ' tabindex="0"' if k == 0 else ""  # the keys turn all spheres together
    return (
        f'<figure data-k="{k}"><div class="globe"{focus} role="application"'
        ' aria-roledescription="sphere"'
        f' aria-label="sphere with {count} points at tau = {tau:g}; the arrow keys turn it">'
        '<svg viewBox="-112 -112 224 224" aria-hidden="true"><circle class="rim" r="100"/>'
        '<path class="behind"/><path class="front"/><g></g></svg></div>'
        f"<figcaption><b>τ = {tau:g}</b><br>"
        'uniformity <span data-quantity="uniformity"></span><br>'
        'tolerance <span data-quantity="tolerance"></span></figcaption></figure>'
    )


def _film_stills(
    z: Tensor, labels: Tensor, taus: list[float], steps: list[int], angles: tuple[float, float]
) -> str:
    """The first and the last frame of each temperature."""
    figures = []
    for moment in (0, -1):
        for k, tau in enumerate(taus):
            name = f"τ = {tau:g}, step {steps[moment]}"
            figures.append(_still(z[k, moment], labels, name, angles))
    return "\n".join(figures)


def _still(z: Tensor, labels: Tensor, name: str, angles: tuple[float, float]) -> str:
    """One frame [N, 3] as a drawing: what the script draws, without the grid."""
    classes = list(dict.fromkeys(labels.tolist()))
    kinds = [f"k{classes.index(label)}" for label in labels.tolist()]
    sentence = f"{name}: uniformity {uniformity(z):.2f}, tolerance {tolerance(z, labels):.2f}"
    marks = _marks(_project(z, *angles), labels.tolist(), kinds)
    return (
        f'<figure><svg viewBox="-112 -112 224 224" role="img" aria-label="{sentence}">'
        f'<circle class="rim" r="100"/>{_grid(*angles)}{marks}</svg>'
        f"<figcaption>{sentence}</figcaption></figure>"
    )


def gradient_sphere(
    anchor: Tensor, positive: Tensor, negatives: Tensor, tau: float = 0.2, *, k: int = 3
) -> Interactive:
    """One anchor that the reader moves, and the forces of three losses on it: ordinary, hard and
    simple.

    The arrows are the parts along the sphere of minus the gradient by the anchor, of
    `losses.contrastive` and `losses.hard_contrastive` (times tau) and of `losses.simple`: the
    positive minus the keys' mean under each loss's weights. Of the loss that is chosen each single
    push is drawn as well, as wide as its share, and "Let go" takes the anchor along its arrow.
    Beside them stand the negatives' relative penalties (Eqs 5 and 8). Without scripts it is a still
    figure.

    anchor [3], positive [3], negatives [M, 3]: unit vectors, M from 2 to 9. tau: a stop of the
    slider, from 0.05 to 2. k: the number of hard negatives, in [1, M]. ValueError or TypeError on
    anything else.
    """
    for name, points, shape in (
        ("anchor", anchor, "3"),
        ("positive", positive, "3"),
        ("negatives", negatives, "M 3"),
    ):
        check_floating(name, points, shape)
        if points.shape[-1] != 3:
            raise ValueError(f"{name} has shape {list(points.shape)}; the last dimension is 3")
        check_unit(name, points.view(-1, 3), level=3)
    check_count("the number of negatives", len(negatives), 2, 9, "each is shown as a digit")
    check_count("k", k, 1, len(negatives), "that many negatives are there")
    if tau not in TAUS:
        raise ValueError(
            f"tau is {tau!r}; the slider stops at {', '.join(map(str, TAUS))}: give one of them"
        )
    # Rounded here, so that the still figure and the script start from the same numbers.
    points = torch.stack([anchor, positive, *negatives]).detach().cpu().double()
    rounded = (F.normalize(points, dim=1) * 1e5).round() / 1e5  # [2 + M, 3]
    return render("gradient_sphere", _gradient_context(rounded, tau, k), scripts=("sphere.js",))


def _gradient_context(rounded: Tensor, tau: float, k: int) -> dict[str, object]:
    """What the gradients' template stands for. rounded [2 + M, 3]: anchor, positive and negatives,
    to five decimals.
    """
    yaw, pitch = _angles(rounded[0])
    angles = (yaw - 0.4, pitch - 0.3)  # the anchor is seen beside the middle
    points = F.normalize(rounded, dim=1)
    f = points[:1]  # [1, 3]
    pos = points[1:2]  # [1, 3]
    neg = points[2:]  # [M, 3]
    s_pos = (f * pos).sum(dim=1)  # [1]
    s_neg = f @ neg.T  # [1, M]
    shares = {
        "ordinary": relative_penalty(s_neg, tau),
        "hard": relative_penalty(s_neg, tau, k=k),
        "simple": torch.full_like(s_neg, 1 / len(neg)),
    }
    forces = _forces(f, pos, neg, tau, k)
    nearest = s_neg[0].argmax().item()
    sentence = (
        "At τ = TAU, positive at similarity POS: negative TOP is nearest and takes SHARE of the "
        "ordinary push."
    )
    summary = sentence.replace("TAU", f"{tau:g}").replace("POS", f"{s_pos.item():.2f}")
    summary = summary.replace("TOP", str(nearest + 1))
    summary = summary.replace("SHARE", f"{shares['ordinary'].max().item():.2f}")
    here = _project(f, *angles)[0].tolist()
    return {
        "anchor": to_attribute([round(x, 5) for x in rounded[0].tolist()]),
        "keys": to_attribute([[round(x, 5) for x in point] for point in rounded[1:].tolist()]),
        "taus": to_attribute(TAUS),
        "tau": f"{tau:g}",
        "stop": TAUS.index(tau),
        "last": len(TAUS) - 1,
        "k": k,
        "force_scale": FORCE_SCALE,
        "yaw": angles[0],
        "pitch": angles[1],
        "marks": _marks(_project(points[1:], *angles), "+123456789", ["key"] * len(points[1:])),
        "grid": _grid(*angles),
        "pushes": '<path class="push"/>' * len(neg),
        "arrows": _arrows(f, forces, angles),
        "x": f"{100 * here[0]:.1f}",
        "y": f"{-100 * here[1]:.1f}",
        "low_tau": f"{TAUS[0]:g}",
        "high_tau": f"{TAUS[-1]:g}",
        "negative_buttons": _negative_buttons(len(neg)),
        "sentence": sentence,
        "rows": _rows(s_pos, s_neg, shares, forces),
        "summary": summary,
    }


def _forces(f: Tensor, pos: Tensor, neg: Tensor, tau: float, k: int) -> Tensor:
    """Return the three losses' forces on the anchor along the sphere [3, 3]; times tau for the
    first two.
    """
    kept = hard_negatives(f @ neg.T, k=k)[0]  # [M]
    ordinary = -tau * anchor_gradient(f, pos, neg, tau)
    hard = -tau * anchor_gradient(f, pos, neg[kept], tau)
    simple = pos - neg.mean(dim=0, keepdim=True)
    return torch.cat([project_to_tangent(force, f) for force in (ordinary, hard, simple)])


def _rows(s_pos: Tensor, s_neg: Tensor, shares: dict[str, Tensor], forces: Tensor) -> str:
    """Return the table's rows: each negative's similarity and shares; last the positive's
    similarity and the forces.
    """
    rows = []
    for j in range(s_neg.shape[1]):
        values = [s_neg[0, j], *(shares[name][0, j] for name in LOSSES)]
        rows.append(_row(str(j + 1), values))
    rows.append(_row("+, force", [s_pos[0], *forces.norm(dim=1)]))
    return "\n".join(rows)


def _row(name: str, values: list[Tensor]) -> str:
    cells = "".join(
        f'<td data-value="{value.item()!r}">{value.item():.2f}</td>' for value in values
    )
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


def _negative_buttons(count: int) -> str:
    return "".join(
        f'<button type="button" data-to="{j}" aria-label="anchor on negative {j}">{j}</button>'
        for j in range(1, count + 1)
    )


def _grid(yaw: float, pitch: float) -> str:
    """Three great circles as the script draws them: their far halves, and over them their near
    halves.
    """
    front = ""
    behind = ""
    for right, up, near in _project(torch.eye(3, dtype=torch.float64), yaw, pitch).tolist():
        if near < 0:
            right = -right
            up = -up
            near = -near
        length = math.hypot(right, up) or 1.0
        x = 100 * up / length
        y = 100 * right / length
        angle = math.degrees(math.atan2(y, x))
        start = f"M{x:.1f} {y:.1f}A100 {100 * near:.1f} {angle:.1f} 0 "
        front += f"{start}1 {-x:.1f} {-y:.1f}"
        behind += f"{start}0 {-x:.1f} {-y:.1f}"
    return f'<path class="behind" d="{behind}"/><path class="front" d="{front}"/>'


def _arrow_path(start: tuple[float, float], end: tuple[float, float]) -> str:
    """An arrow in the picture; its head is no longer than half of it."""
    head = min(9.0, math.dist(start, end) / 2)
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    tip = f"{end[0]:.1f} {end[1]:.1f}"
    barbs = []
    for turn in (0.5, -0.5):
        x = end[0] - head * math.cos(angle + turn)
        y = end[1] - head * math.sin(angle + turn)
        barbs.append(f"{x:.1f} {y:.1f}")
    return f"M{start[0]:.1f} {start[1]:.1f}L{tip}M{barbs[0]}L{tip}L{barbs[1]}"


def _arrows(f: Tensor, forces: Tensor, angles: tuple[float, float]) -> str:
    """The anchor [1, 3] and the force on it of each loss [3, 3]."""
    seen = _project(torch.cat([f, f + FORCE_SCALE * forces]), *angles).tolist()
    start, *ends = [(100 * x, -100 * y) for x, y, _ in seen]
    arrows = ""
    for number, end in enumerate(ends):
        arrows += f'<path class="arrow a{number}" d="{_arrow_path(start, end)}"/>'
    return arrows


def _marks(seen: Tensor, names: Sequence, kinds: Sequence[str]) -> str:
    """Points as they are seen [N, 3], each under its name and in its class's colour; fainter on the
    far side.
    """
    marks = ""
    for (x, y, near), name, kind in zip(seen.tolist(), names, kinds, strict=False):
        opacity = 0.7 + 0.3 * min(1, max(-0.9, 3 * near))
        marks += (
            f'<text class="{kind}" x="{100 * x:.1f}" y="{-100 * y:.1f}" opacity="{opacity:.2f}">'
            f"{name}</text>"
        )
    return marks


def _angles(point: Tensor) -> tuple[float, float]:
    """Return the yaw and the pitch, in radians, of the reader who faces a point [3]."""
    x, y, up = point.tolist()
    return math.atan2(y, x), math.atan2(up, math.hypot(x, y))


def _project(points: Tensor, yaw: float, pitch: float) -> Tensor:
    """Points [N, 3] as a reader sees them who stands at (yaw, pitch): to the right, up, towards the
    reader.
    """
    x, y, z = points.unbind(dim=1)
    depth = x * math.cos(yaw) + y * math.sin(yaw)
    right = y * math.cos(yaw) - x * math.sin(yaw)
    up = z * math.cos(pitch) - depth * math.sin(pitch)
    towards = depth * math.cos(pitch) + z * math.sin(pitch)
    return torch.stack([right, up, towards], dim=1)


def _check_taus(taus: object, count: int) -> None:
    if not isinstance(taus, list | tuple) or len(taus) != count:
        raise ValueError(
            f"taus is {taus!r} and frames has {count} films; give one temperature for each"
        )
    for tau in taus:
        check_tau(tau)


def _check_steps(steps: object, count: int) -> None:
    if not isinstance(steps, list | tuple | range) or len(steps) != count:
        raise ValueError(
            f"steps is {steps!r} and a film has {count} moments; give one step for each"
        )
    for step in steps:
        check_count("a step", step, 0)


def _check_colours(labels: Tensor) -> None:
    classes = len(labels.unique())
    if classes > COLOURS:
        raise ValueError(
            f"labels has {classes} classes; there are {COLOURS} colours: show fewer classes"
        )
