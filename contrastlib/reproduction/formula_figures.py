"""Figures 1 and 3, which need no runs."""

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from contrastlib.data import load
from contrastlib.gradients import relative_penalty
from contrastlib.losses import contrastive
from contrastlib.reproduction import plot_parts
from contrastlib.reproduction.plotting import BLUE, RED, TAU_COLOURS, draw_digit

__all__ = ["exchange", "fig1", "fig3", "penalties"]

FIG1_DIGITS = (23, 13, 8, 28)  # two 3s, two 8s


def exchange() -> pd.DataFrame:
    """Fig 1's two arrangements of four instances and their views on the sphere, and the mean loss
    at tau = 0.2.
    """
    front = [[-0.72, 0.26], [-0.34, 0.60], [0.02, -0.60], [0.50, -0.30]]
    instances = on_the_sphere(torch.tensor(front, dtype=torch.float64))
    views = on_the_sphere(torch.tensor(front, dtype=torch.float64) + torch.tensor([0.26, -0.06]))
    own = torch.eye(4, dtype=torch.bool)
    rows = []
    for arrangement, seats in {"semantic": [0, 1, 2, 3], "exchanged": [0, 2, 1, 3]}.items():
        s = instances[seats] @ views[seats].T
        loss = contrastive(s[own], s[~own].view(4, 3), 0.2).mean().item()
        for role, points in {"instance": instances[seats], "view": views[seats]}.items():
            for name, (x, y, z) in zip("ijkl", points.tolist(), strict=True):
                rows.append(
                    {
                        "arrangement": arrangement,
                        "instance": name,
                        "role": role,
                        "x": x,
                        "y": y,
                        "z": z,
                        "tau": 0.2,
                        "mean_loss": loss,
                    }
                )
    return pd.DataFrame(rows)


def on_the_sphere(flat: torch.Tensor) -> torch.Tensor:
    """Points [N, 3] on the front of the unit sphere, seen at flat [N, 2]."""
    depth = (1 - flat.square().sum(dim=1, keepdim=True)).sqrt()
    return torch.cat([flat, depth], dim=1)


def penalties(taus: Iterable[float] = (0.07, 0.2, 0.5, 1.0), negatives: int = 200) -> pd.DataFrame:
    """Fig 3's relative penalties r of similarities s drawn uniformly from [-1, 1], Eq 5."""
    generator = torch.Generator().manual_seed(0)
    s = (2 * torch.rand(1, negatives, generator=generator) - 1).sort().values
    parts = []
    for tau in taus:
        r = relative_penalty(s, tau)
        parts.append(pd.DataFrame({"tau": tau, "s": s[0], "r": r[0]}))
    return pd.concat(parts, ignore_index=True)


def fig1(records: object = None, **unread) -> Figure:
    """Two arrangements of four instances and their views with one loss; no runs are needed."""
    images = load("digits").images
    figure = Figure(figsize=(plot_parts.WIDTH, 7.6), layout="constrained")
    titles = {"semantic": "like beside like", "exchanged": "$x_j$ and $x_k$ exchanged"}
    groups = exchange().groupby("arrangement", sort=False)
    for axes, (arrangement, part) in zip(figure.subplots(2, 1), groups, strict=True):
        sphere_outline(axes)
        draw_arrangement(axes, part, images)
        axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), frame_on=False, xticks=[], yticks=[])
        axes.set_title(titles[arrangement])
        axes.set_xlabel(f"mean loss {part['mean_loss'].iloc[0]:.4f}")
    figure.get_layout_engine().set(h_pad=0.15)
    return figure


def sphere_outline(axes: Axes) -> None:
    """The unit sphere from the front and a little above: its outline and three parallels."""
    ink = mpl.rcParams["text.color"]
    axes.add_patch(mpl.patches.Circle((0, 0), 1, linewidth=1.2, edgecolor=ink, fill=False))
    for height in (-0.6, 0.0, 0.6):
        radius = (1 - height**2) ** 0.5
        arc = mpl.patches.Arc(
            (0, 0.97 * height),
            width=2 * radius,
            height=0.5 * radius,
            theta1=180,
            theta2=360,
            edgecolor=ink,
            fill=False,
            alpha=0.45,
            linewidth=0.5,
        )
        axes.add_patch(arc)


def draw_arrangement(axes: Axes, part: pd.DataFrame, images: Tensor) -> None:
    """Four digits on the sphere, each joined to its view: the same digit moved by a pixel."""
    where = part.set_index(["role", "instance"])[["x", "y"]]
    for name, digit in zip("ijkl", FIG1_DIGITS, strict=True):
        colour = BLUE if digit in FIG1_DIGITS[:2] else RED
        instance = tuple(where.loc[("instance", name)])
        view = tuple(where.loc[("view", name)])
        image = images[digit, 0] / 255
        axes.plot([instance[0], view[0]], [instance[1], view[1]], color=colour, linewidth=1.5)
        draw_on_disc(axes, image.roll(1, 1).numpy(), view, 0.16, colour, order=3)
        draw_on_disc(axes, image.numpy(), instance, 0.24, colour, order=5)
        axes.text(instance[0], instance[1] - 0.19, f"$x_{name}$", ha="center", va="top")


def draw_on_disc(
    axes: Axes, ink: np.ndarray, at: tuple, side: float, colour: str, order: int
) -> None:
    """A digit on a light disc with a coloured rim."""
    disc = mpl.patches.Circle(
        at, 0.68 * side, facecolor="#f4f4f4", edgecolor=colour, linewidth=1.5, zorder=order
    )
    axes.add_patch(disc)
    draw_digit(axes, ink, *at, side, "black").set_zorder(order + 1)


def fig3(records: object = None, **unread) -> Figure:
    """Relative penalty against similarity for several tau, on two axes; no runs are needed."""
    figure = Figure(figsize=(plot_parts.WIDTH, 5.0), layout="constrained")
    linear, logarithmic = figure.subplots(2, 1, sharex=True)
    lines = ("-", "--", "-.", ":")
    groups = penalties().groupby("tau")
    for line, (tau, part) in zip(lines, groups, strict=True):
        look = {"color": TAU_COLOURS[tau], "linestyle": line, "label": rf"$\tau$ = {tau:g}"}
        linear.plot(part["s"], part["r"], **look)
        logarithmic.semilogy(part["s"], part["r"], **look)
    for axes in (linear, logarithmic):
        axes.set(ylabel="relative penalty $r$", xlim=(-1, 1))
    logarithmic.set(xlabel="similarity $s$", ylim=(1e-8, 1))
    plot_parts.legend_above(figure)
    return figure
