"""The parts of a still figure of a sphere, drawn as the scripts draw them: paper has them, too."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def grid(yaw: float, pitch: float) -> str:
    """Three great circles as the script draws them: their far halves, and over them their near
    halves.
    """
    front = ""
    behind = ""
    for right, up, near in project(torch.eye(3, dtype=torch.float64), yaw, pitch).tolist():
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


def arrow_path(start: tuple[float, float], end: tuple[float, float]) -> str:
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


def marks_of(seen: Tensor, names: Sequence, kinds: Sequence[str]) -> str:
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


def angles_of(point: Tensor) -> tuple[float, float]:
    """Return the yaw and the pitch, in radians, of the reader who faces a point [3]."""
    x, y, up = point.tolist()
    return math.atan2(y, x), math.atan2(up, math.hypot(x, y))


def project(points: Tensor, yaw: float, pitch: float) -> Tensor:
    """Points [N, 3] as a reader sees them who stands at (yaw, pitch): to the right, up, towards the
    reader.
    """
    x, y, z = points.unbind(dim=1)
    depth = x * math.cos(yaw) + y * math.sin(yaw)
    right = y * math.cos(yaw) - x * math.sin(yaw)
    up = z * math.cos(pitch) - depth * math.sin(pitch)
    towards = depth * math.cos(pitch) + z * math.sin(pitch)
    return torch.stack([right, up, towards], dim=1)
