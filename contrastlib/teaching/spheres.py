"""Points on a sphere that one can see: training played back, gradients under the reader's hand, and no kernel."""

import json
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
from contrastlib.teaching.tau_slider import Interactive, embed, static

COLOURS = 6
TAUS = [0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0]  # stops of the gradients' slider
STEPS = 32767  # of a coordinate: 16 bits, a thousandth of what a screen can show


def sphere(frames: Tensor, labels: Tensor, taus: list[float], steps: list[int] | None = None) -> Interactive:
    """Training on the sphere as a film: play, pause, step, choose tau, turn; uniformity and tolerance as they change.

    The page holds the points as 16-bit integers and computes from them what `metrics.uniformity` (t = 2) and
    `metrics.tolerance` compute. It starts at rest; a reader whose system asks for less motion gets a few stills.
    Without scripts it shows the first and the last frame of every tau.

    frames [T, F, N, 3]: unit vectors, for each of T temperatures F moments of N points, N >= 2. labels [N]: integers,
    at most 6 different ones, shown as they are; two points at least share one. taus: T temperatures. steps: F whole
    numbers, the training step of each moment; None counts the moments. ValueError or TypeError on anything else.
    """
    check_floating("frames", frames, "T F N 3")
    if frames.shape[3] != 3:
        raise ValueError(f"frames has shape {list(frames.shape)}; the last dimension is 3, the sphere's that one sees")
    check_unit("frames", frames.flatten(0, 2), level=3)
    check_labels("labels", labels, "a frame", frames[0, 0])
    if not isinstance(taus, list | tuple) or len(taus) != len(frames):
        raise ValueError(f"taus is {taus!r} and frames has {len(frames)} films; give one temperature for each")
    for tau in taus:
        check_tau(tau)
    steps = list(range(frames.shape[1])) if steps is None else steps
    if not isinstance(steps, list | tuple | range) or len(steps) != frames.shape[1]:
        raise ValueError(f"steps is {steps!r} and a film has {frames.shape[1]} moments; give one step for each")
    for step in steps:
        check_count("a step", step, 0)
    _check_colours(labels)

    # What is shown and measured, here and in the page, is what the integers say.
    whole = (F.normalize(frames.detach().cpu().double(), dim=3) * STEPS).round().short()
    z, labels = F.normalize(whole.double(), dim=3), labels.cpu()
    n, ceiling = len(labels), uniformity_ceiling(3)
    measured = [[(uniformity(x), tolerance(x, labels)) for x in way] for way in z]
    x, y, up = z[:, 0].mean(dim=(0, 1)).tolist()  # the first frames face the reader
    yaw, pitch = math.atan2(y, x), math.atan2(up, math.hypot(x, y))
    summary = ", ".join(f"{u:.2f} and {t:.2f} at τ = {tau:g}" for tau, (*_, (u, t)) in zip(taus, measured, strict=True))
    largest = max(u for way in measured for u, _ in way)
    fill = {
        "css": static("sphere.css"),
        "js": static("sphere.js"),
        "frames": b64encode(whole.numpy().astype("<i2").tobytes()).decode(),
        "labels": json.dumps(labels.tolist(), separators=(",", ":")),
        "taus": json.dumps([float(f"{tau:g}") for tau in taus]),
        "steps": json.dumps(list(steps), separators=(",", ":")),
        "columns": len(taus),
        "n": n,
        "last": len(steps) - 1,
        "top": f"{math.ceil(2 * max(largest, ceiling)) / 2:g}",
        "low": f"{min(0.8, math.floor(5 * min(t for way in measured for _, t in way)) / 5):g}",
        "yaw": yaw,
        "pitch": pitch,
        "says": f"τ = TAU, step STEP: uniformity UNIFORMITY (even spread: {ceiling:.2f}), tolerance TOLERANCE.",
        "choices": "\n".join(
            f'<label><input type="radio" name="tau"{" checked" * (k == 0)}>{tau:g}</label>'
            for k, tau in enumerate(taus)
        ),
        "stills": "\n".join(
            _still(z[k, m], _seen(z[k, m], yaw, pitch), labels, f"τ = {tau:g}, step {steps[m]}")
            for m in (0, -1)
            for k, tau in enumerate(taus)
        ),
        "summary": f"{n} points on the sphere; uniformity and tolerance after step {steps[-1]}: {summary}.",
    }
    return embed("sphere", fill)


def gradient_sphere(
    anchor: Tensor, positive: Tensor, negatives: Tensor, tau: float = 0.2, *, k: int = 3
) -> Interactive:
    """One anchor that the reader moves, and the forces of three losses on it: ordinary, hard and simple.

    The arrows are the parts along the sphere of minus the gradient by the anchor, of `losses.contrastive` and
    `losses.hard_contrastive` (times tau) and of `losses.simple`: the positive minus the keys' mean under each loss's
    weights. Beside them stand the negatives' relative penalties (Eqs 5 and 8). Without scripts it is a still figure.

    anchor [3], positive [3], negatives [M, 3]: unit vectors, M from 2 to 9. tau: a stop of the slider, from 0.05 to 2.
    k: the number of hard negatives, in [1, M]. ValueError or TypeError on anything else.
    """
    for name, points, shape in (("anchor", anchor, "3"), ("positive", positive, "3"), ("negatives", negatives, "M 3")):
        check_floating(name, points, shape)
        if points.shape[-1] != 3:
            raise ValueError(f"{name} has shape {list(points.shape)}; the last dimension is 3")
        check_unit(name, points.view(-1, 3), level=3)
    check_count("the number of negatives", len(negatives), 2, 9, "each is shown as a digit")
    check_count("k", k, 1, len(negatives), "that many negatives are there")
    if tau not in TAUS:
        raise ValueError(f"tau is {tau!r}; the slider stops at {', '.join(map(str, TAUS))}: give one of them")
    # Rounded here, so that the still figure and the script start from the same numbers.
    points = torch.stack([anchor, positive, *negatives]).detach().cpu().double()
    rounded = (F.normalize(points, dim=1) * 1e5).round() / 1e5
    (x, y, up), m = rounded[0].tolist(), len(negatives)
    yaw, pitch = math.atan2(y, x) - 0.4, math.atan2(up, math.hypot(x, y)) - 0.3
    points = F.normalize(rounded, dim=1)
    f, pos, neg = points[:1], points[1:2], points[2:]
    s_pos, s_neg = (f * pos).sum(dim=1), f @ neg.T
    kept = hard_negatives(s_neg, k=k)
    shares = [relative_penalty(s_neg, tau), relative_penalty(s_neg, tau, k=k), torch.full_like(s_neg, 1 / m)]
    forces = [-tau * anchor_gradient(f, pos, keys, tau) for keys in (neg, neg[kept[0]])]
    forces.append(pos - neg.mean(dim=0, keepdim=True))
    forces = torch.cat([project_to_tangent(force, f) for force in forces])
    rows = [(f"{j + 1}", [s_neg[0, j], *(r[0, j] for r in shares)]) for j in range(m)]
    rows.append(("positive, force", [s_pos[0], *forces.norm(dim=1)]))
    says = "At τ = TAU, positive at similarity POS: negative TOP is nearest and takes SHARE of the ordinary push."
    top, share = s_neg[0].argmax().item() + 1, shares[0].max().item()
    summary = says.replace("TAU", f"{tau:g}").replace("POS", f"{s_pos.item():.2f}").replace("TOP", str(top))
    summary = summary.replace("SHARE", f"{share:.2f}")
    here = _seen(f, yaw, pitch)[0].tolist()
    fill = {
        "css": static("sphere.css"),
        "js": static("sphere.js"),
        "anchor": json.dumps([round(c, 5) for c in rounded[0].tolist()]),
        "keys": json.dumps([[round(c, 5) for c in p] for p in rounded[1:].tolist()], separators=(",", ":")),
        "taus": json.dumps(TAUS),
        "tau": f"{tau:g}",
        "stop": TAUS.index(tau),
        "last": len(TAUS) - 1,
        "k": k,
        "yaw": yaw,
        "pitch": pitch,
        "marks": _marks(_seen(points[1:], yaw, pitch), "+123456789", ["key"] * (m + 1)),
        "arrows": _arrows(f, forces, yaw, pitch),
        "x": f"{100 * here[0]:.1f}",
        "y": f"{-100 * here[1]:.1f}",
        "says": says,
        "summary": summary,
        "rows": "\n".join(
            f'<tr><th scope="row">{name}</th>'
            + "".join(f'<td data-value="{v.item()!r}">{v.item():.2f}</td>' for v in values)
            + "</tr>"
            for name, values in rows
        ),
    }
    return embed("gradient_sphere", fill)


def _check_colours(labels: Tensor) -> None:
    if len(labels.unique()) > COLOURS:
        raise ValueError(f"labels has {len(labels.unique())} classes; there are {COLOURS} colours: show fewer classes")


def _seen(p: Tensor, yaw: float, pitch: float) -> Tensor:
    """Points [N, 3] as a reader sees them who stands at (yaw, pitch): to the right, up, towards the reader."""
    x, y, z = p.unbind(dim=1)
    q = x * math.cos(yaw) + y * math.sin(yaw)
    up, towards = z * math.cos(pitch) - q * math.sin(pitch), q * math.cos(pitch) + z * math.sin(pitch)
    return torch.stack([y * math.cos(yaw) - x * math.sin(yaw), up, towards], dim=1)


def _still(z: Tensor, seen: Tensor, labels: Tensor, name: str) -> str:
    """One frame as a drawing: what the script draws, without the grid."""
    classes, names = list(dict.fromkeys(labels.tolist())), labels.tolist()
    u, t = uniformity(z), tolerance(z, labels)
    says = f"{name}: uniformity {u:.2f}, tolerance {t:.2f}"
    marks = _marks(seen, names, [f"k{classes.index(label)}" for label in names])
    return (
        f'<figure><svg viewBox="-112 -112 224 224" role="img" aria-label="{says}"><circle class="rim" r="100"/>{marks}'
        f"</svg><figcaption>{says}</figcaption></figure>"
    )


def _marks(seen: Tensor, names: Sequence, kinds: Sequence[str]) -> str:
    """Points as they are seen [N, 3], each under its name and in its class's colour; fainter on the far side."""
    return "".join(
        f'<text class="{kind}" x="{100 * x:.1f}" y="{-100 * y:.1f}"'
        f' opacity="{0.7 + 0.3 * min(1, max(-0.9, 3 * w)):.2f}">{name}</text>'
        for (x, y, w), name, kind in zip(seen.tolist(), names, kinds, strict=False)
    )


def _arrows(f: Tensor, forces: Tensor, yaw: float, pitch: float) -> str:
    """The anchor [1, 3] and the force on it of each loss [3, 3], without the heads that the script draws."""
    (x, y, _), *tips = _seen(torch.cat([f, f + 1.2 * forces]), yaw, pitch).tolist()
    here = f"{100 * x:.1f} {-100 * y:.1f}"
    return "".join(
        f'<path class="arrow a{i}" d="M{here}L{100 * a:.1f} {-100 * b:.1f}"/>' for i, (a, b, _) in enumerate(tips)
    )
