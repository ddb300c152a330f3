"""Training on a sphere that one can see, played back, with no kernel."""

import math
from base64 import b64encode

import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_count, check_floating, check_labels, check_tau, check_unit
from contrastlib.metrics import tolerance, uniformity, uniformity_ceiling
from contrastlib.teaching.widgets.base import Interactive, render, to_attribute
from contrastlib.teaching.widgets.sphere_drawing import angles_of, grid, marks_of, project

COLOURS = 6
COORDINATE_STEPS = 32767  # a coordinate has 16 bits: a thousandth of what a screen can show


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
    check_taus(taus, len(frames))
    if steps is None:
        steps = list(range(frames.shape[1]))
    check_steps(steps, frames.shape[1])
    check_colours(labels)

    # What is shown and measured, here and in the page, is what the integers say.
    points = F.normalize(frames.detach().cpu().double(), dim=3)
    integers = (points * COORDINATE_STEPS).round().short()
    z = F.normalize(integers.double(), dim=3)  # [T, F, N, 3]
    return render(
        "training_film",
        film_context(integers, z, labels.cpu(), taus, list(steps)),
        scripts=("sphere.js",),
    )


def film_context(
    integers: Tensor, z: Tensor, labels: Tensor, taus: list[float], steps: list[int]
) -> dict[str, object]:
    """What the film's template stands for. z [T, F, N, 3]: the points that the integers say."""
    ceiling = uniformity_ceiling(3)
    uniformities = []  # of each film's frames
    tolerances = []
    for film in z:
        uniformities.append([uniformity(frame) for frame in film])
        tolerances.append([tolerance(frame, labels) for frame in film])
    largest = max(map(max, uniformities))
    smallest = min(map(min, tolerances))
    yaw, pitch = angles_of(z[:, 0].mean(dim=(0, 1)))  # the first frames face the reader
    ends = []
    for tau, u, t in zip(taus, uniformities, tolerances, strict=True):
        ends.append(f"{u[-1]:.2f} and {t[-1]:.2f} at τ = {tau:g}")
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
        "spheres": "\n".join(film_sphere(k, tau, len(labels)) for k, tau in enumerate(taus)),
        "stills": film_stills(z, labels, taus, steps, (yaw, pitch)),
        "summary": summary,
    }


def film_sphere(k: int, tau: float, count: int) -> str:
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


def film_stills(
    z: Tensor, labels: Tensor, taus: list[float], steps: list[int], angles: tuple[float, float]
) -> str:
    """The first and the last frame of each temperature."""
    figures = []
    for moment in (0, -1):
        for k, tau in enumerate(taus):
            name = f"τ = {tau:g}, step {steps[moment]}"
            figures.append(still(z[k, moment], labels, name, angles))
    return "\n".join(figures)


def still(z: Tensor, labels: Tensor, name: str, angles: tuple[float, float]) -> str:
    """One frame [N, 3] as a drawing: what the script draws, without the grid."""
    classes = list(dict.fromkeys(labels.tolist()))
    kinds = [f"k{classes.index(label)}" for label in labels.tolist()]
    sentence = f"{name}: uniformity {uniformity(z):.2f}, tolerance {tolerance(z, labels):.2f}"
    marks = marks_of(project(z, *angles), labels.tolist(), kinds)
    return (
        f'<figure><svg viewBox="-112 -112 224 224" role="img" aria-label="{sentence}">'
        f'<circle class="rim" r="100"/>{grid(*angles)}{marks}</svg>'
        f"<figcaption>{sentence}</figcaption></figure>"
    )


def check_taus(taus: object, count: int) -> None:
    if not isinstance(taus, list | tuple) or len(taus) != count:
        raise ValueError(
            f"taus is {taus!r} and frames has {count} films; give one temperature for each"
        )
    for tau in taus:
        check_tau(tau)


def check_steps(steps: object, count: int) -> None:
    if not isinstance(steps, list | tuple | range) or len(steps) != count:
        raise ValueError(
            f"steps is {steps!r} and a film has {count} moments; give one step for each"
        )
    for step in steps:
        check_count("a step", step, 0)


def check_colours(labels: Tensor) -> None:
    classes = len(labels.unique())
    if classes > COLOURS:
        raise ValueError(
            f"labels has {classes} classes; there are {COLOURS} colours: show fewer classes"
        )
