"""Two figures of embeddings: a query with its nearest images, and the similarities of pairs.

Both are WIDTH wide, transparent with grey text, and distinguish by form as well as by colour.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from contrastlib.data import DATASETS, ImageSet
from contrastlib.reproduction.plotting import BLUE, GREEN, GREY, ORANGE
from contrastlib.teaching.embeddings import nearest, pairs, separation
from contrastlib.teaching.notebook import WIDTH

__all__ = ["gallery", "similarity_histograms"]

STEP = 0.9  # inches from one picture to the next
SIDE = 0.72  # inches of a picture
TITLE = 0.28  # inches of the line above a row
NAME = 0.26  # inches of the class's name below a picture
ROW = TITLE + SIDE + NAME + 0.02
BINS = 80


def gallery(images: ImageSet, embeddings: Mapping[str, Tensor], query: int, k: int = 5) -> Figure:
    """A query, and its k nearest images under each encoder.

    images: N grey images with their labels. embeddings: z [N, d] of all of them, by the encoder's
    title; each has a row. query: which image. k: from 1 to 5 neighbours, nearest first.
    An image of the query's class has a thick frame and a tick in its corner, an image of another
    class a thin, dashed frame.
    Errors: ValueError for no embeddings, and for a k beyond 5.
    """
    if len(embeddings) == 0:
        raise ValueError("embeddings is empty; give z [N, d] of at least one encoder by its title")
    if not 1 <= k <= 5:
        raise ValueError(f"k is {k}; there is room for 1 to 5 pictures in a row")
    height = ROW * (len(embeddings) + 1)
    figure = Figure(figsize=(WIDTH, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    top = height - TITLE
    axes.text(0.05, top + 0.08, "the query", color=GREY, fontsize=11, fontweight="bold")
    draw_image(axes, images, query, 0, top, None)
    for title, z in embeddings.items():
        top -= ROW
        axes.text(0.05, top + 0.08, title, color=GREY, fontsize=11, fontweight="bold")
        for column, row in enumerate(nearest(z, query, k).tolist()):
            is_same = bool(images.labels[row] == images.labels[query])
            draw_image(axes, images, row, column, top, is_same)
    # A picture fits the axes to itself.
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    return figure


def draw_image(
    axes: Axes, images: ImageSet, row: int, column: int, top: float, is_same: bool | None
) -> None:
    """One picture with its frame and its class's name; is_same: None for the query itself."""
    middle = (column + 0.5) * STEP + 0.05
    half = SIDE / 2 - 0.04
    axes.imshow(
        images.images[row, 0].numpy(),
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(middle - half, middle + half, top - SIDE / 2 - half, top - SIDE / 2 + half),
        interpolation="none",
    )
    name = class_name(images, row)
    colour = GREY
    if is_same is not None:
        colour = GREEN if is_same else ORANGE
        frame = Rectangle(
            (middle - SIDE / 2, top - SIDE),
            SIDE,
            SIDE,
            fill=False,
            edgecolor=colour,
            linewidth=2.6 if is_same else 1.0,
            linestyle="-" if is_same else (0, (4, 3)),
        )
        axes.add_patch(frame)
    if is_same:
        corner = (middle - half + 0.02, top - 0.05)
        axes.text(*corner, "✓", ha="left", va="top", color=colour, fontsize=11, fontweight="bold")
    axes.text(middle, top - SIDE - 0.05, name, ha="center", va="top", color=colour, fontsize=11)


def class_name(images: ImageSet, row: int) -> str:
    """The short name of an image's class where the book has one."""
    label = int(images.labels[row])
    short = DATASETS["fashion-mnist"].first_classes
    if len(images.classes) >= len(short) and images.classes[0] == "T-shirt/top":
        return (*short, *images.classes[len(short) :])[label]
    return images.classes[label]


def draw_density(
    axes: Axes, similarities: Tensor, edges: np.ndarray, label: str, style: dict
) -> None:
    """A histogram of similarities, of area one."""
    axes.hist(similarities.clamp(-1, 1).numpy(), edges, density=True, label=label, **style)


def similarity_histograms(
    embeddings: Mapping[str, Tensor], labels: Tensor, colours: Mapping[str, str] | None = None
) -> Figure:
    """The similarities of all pairs under each encoder: same-class pairs filled, others outlined.

    embeddings: z [N, d] by the encoder's title, a panel each. labels [N]. colours: of the
    same-class pairs, by title; None: one for all. Each panel says how often a same-class pair is
    more similar than another pair (see `separation`).
    Errors: ValueError for no embeddings.
    """
    if len(embeddings) == 0:
        raise ValueError("embeddings is empty; give z [N, d] of at least one encoder by its title")
    count = len(embeddings)
    figure = Figure(figsize=(WIDTH, 0.9 + 1.35 * count), layout="constrained")
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    edges = np.linspace(-1, 1, BINS + 1)
    for axes, (title, z) in zip(panels, embeddings.items(), strict=True):
        same, other = pairs(z, labels)
        colour = BLUE if colours is None else colours[title]
        filled = {"histtype": "stepfilled", "color": colour, "alpha": 0.55}
        outlined = {"histtype": "step", "color": GREY, "linewidth": 1.6}
        draw_density(axes, same, edges, "pairs of one class", filled)
        draw_density(axes, other, edges, "pairs of two classes", outlined)
        share = separation(same, other)
        axes.set_title(f"{title}: same-class pair nearer in {100 * share:.0f} %", fontsize=11)
        axes.set(yticks=[], xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1])
        axes.spines["left"].set_visible(False)
    panels[-1].set_xlabel("similarity of a pair")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False, fontsize=11)
    return figure
