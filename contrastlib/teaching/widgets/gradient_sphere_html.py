"""What the template of the sphere of gradients asks for: the first scene, drawn and in words."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.gradients import anchor_gradient, project_to_tangent, relative_penalty
from contrastlib.losses import hard_negatives
from contrastlib.teaching.widgets.base import list_of_similarities, to_attribute
from contrastlib.teaching.widgets.sphere_drawing import (
    angles_of,
    arrow_path,
    grid,
    marks_of,
    project,
)

TAUS = [0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0]  # the slider's stops
FORCE_SCALE = 1.2  # an arrow's length for a force of 1, in radii
LOSSES = ("ordinary", "hard", "simple")


@dataclass(frozen=True)
class Held:
    """A scene as the page holds it."""

    name: str  # empty where there is one scene alone
    points: Tensor  # float64 [2 + M, 3]: anchor, positive and negatives, to five decimals
    pictures: list[tuple[str, str]]  # of each point: a data URI, and what it shows
    note: str

    @property
    def angles(self) -> tuple[float, float]:
        """Where the reader stands at the start: the anchor is seen beside the middle."""
        yaw, pitch = angles_of(self.points[0])
        return yaw - 0.4, pitch - 0.3

    @property
    def sentence(self) -> str:
        """What is said below, with TAU, POS, TOP and SHARE to be replaced."""
        sentence = (
            "t τ = TAU, positive at similarity POS: negative TOP is nearest and takes SHARE of the "
            "ordinary push."
        )
        if self.name == "":
            return f"A{sentence}"
        return f"{self.name[0].upper()}{self.name[1:]}, a{sentence}"


def context(scenes: list[Held], tau: float, k: int) -> dict[str, object]:
    """What the template's placeholders stand for: the data, and the first scene at tau."""
    first = scenes[0]
    angles = first.angles
    points = F.normalize(first.points, dim=1)
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
    forces = forces_of(f, pos, neg, tau, k)
    nearest = s_neg[0].argmax().item()
    summary = first.sentence.replace("TAU", f"{tau:g}").replace("POS", f"{s_pos.item():.2f}")
    summary = summary.replace("TOP", str(nearest + 1))
    summary = summary.replace("SHARE", f"{shares['ordinary'].max().item():.2f}")
    here = project(f, *angles)[0].tolist()
    held, images = as_json(scenes)
    return {
        "scenes": to_attribute(held),
        "images": to_attribute(images),
        "taus": to_attribute(TAUS),
        "tau": f"{tau:g}",
        "stop": TAUS.index(tau),
        "last": len(TAUS) - 1,
        "k": k,
        "force_scale": FORCE_SCALE,
        "choice_of_scene": choice_of_scene(scenes),
        "marks": marks_of(project(points[1:], *angles), "+123456789", ["key"] * len(points[1:])),
        "grid": grid(*angles),
        "pushes": '<path class="push"/>' * len(neg),
        "arrows": arrow_paths(f, forces, angles),
        "x": f"{100 * here[0]:.1f}",
        "y": f"{-100 * here[1]:.1f}",
        "low_tau": f"{TAUS[0]:g}",
        "high_tau": f"{TAUS[-1]:g}",
        "negative_buttons": negative_buttons(len(neg)),
        "rows": table_rows(s_pos, s_neg, shares, forces),
        "summary": summary,
    }


def as_json(scenes: list[Held]) -> tuple[list[dict[str, object]], list[str]]:
    """The scenes for the script, and the images of all, each once: scenes name them by place."""
    places: dict[str, int] = {}
    found = []
    for scene in scenes:
        yaw, pitch = scene.angles
        points = []
        for point in scene.points.tolist():
            points.append([round(x, 5) for x in point])
        anchor, *keys = points
        pictures = []
        for image, shows in scene.pictures:
            pictures.append([places.setdefault(image, len(places)), shows])
        found.append(
            {
                "anchor": anchor,
                "keys": keys,
                "yaw": yaw,
                "pitch": pitch,
                "sentence": scene.sentence,
                "note": scene.note,
                "pictures": pictures,
            }
        )
    return found, list(places)


def choice_of_scene(scenes: list[Held]) -> str:
    """Return the list of scenes of which the reader chooses, and the place for their pictures and
    notes; nothing where there is one alone.
    """
    if len(scenes) == 1:
        return ""
    return (
        f"{list_of_similarities(scene.name for scene in scenes)}"
        '<ol class="pictures" aria-label="what the points show" hidden></ol>'
        '<p class="note" hidden></p>'
    )


def forces_of(f: Tensor, pos: Tensor, neg: Tensor, tau: float, k: int) -> Tensor:
    """Return the three losses' forces on the anchor along the sphere [3, 3]; times tau for the
    first two.
    """
    kept = hard_negatives(f @ neg.T, k=k)[0]  # [M]
    ordinary = -tau * anchor_gradient(f, pos, neg, tau)
    hard = -tau * anchor_gradient(f, pos, neg[kept], tau)
    simple = pos - neg.mean(dim=0, keepdim=True)
    return torch.cat([project_to_tangent(force, f) for force in (ordinary, hard, simple)])


def table_rows(s_pos: Tensor, s_neg: Tensor, shares: dict[str, Tensor], forces: Tensor) -> str:
    """Return the table's rows: each negative's similarity and shares; last the positive's
    similarity and the forces.
    """
    rows = []
    for j in range(s_neg.shape[1]):
        values = [s_neg[0, j], *(shares[name][0, j] for name in LOSSES)]
        rows.append(table_row(str(j + 1), values))
    rows.append(table_row("+, force", [s_pos[0], *forces.norm(dim=1)]))
    return "\n".join(rows)


def table_row(name: str, values: list[Tensor]) -> str:
    cells = "".join(
        f'<td data-value="{value.item()!r}">{value.item():.2f}</td>' for value in values
    )
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'


def negative_buttons(count: int) -> str:
    return "".join(
        f'<button type="button" data-to="{j}" aria-label="anchor on negative {j}">{j}</button>'
        for j in range(1, count + 1)
    )


def arrow_paths(f: Tensor, forces: Tensor, angles: tuple[float, float]) -> str:
    """The anchor [1, 3] and the force on it of each loss [3, 3]."""
    seen = project(torch.cat([f, f + FORCE_SCALE * forces]), *angles).tolist()
    start, *ends = [(100 * x, -100 * y) for x, y, _ in seen]
    arrows = ""
    for number, end in enumerate(ends):
        arrows += f'<path class="arrow a{number}" d="{arrow_path(start, end)}"/>'
    return arrows
