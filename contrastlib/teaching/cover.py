"""The picture on the first page; `python -m contrastlib.teaching.cover DIR` writes it.

It is transparent with grey text, so that one file serves the light and the dark theme.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
import torch.nn.functional as F
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from contrastlib.data import load
from contrastlib.gradients import effective_negatives, relative_penalty
from contrastlib.reproduction.plotting import GREY, LOOK, draw_digit

BLUE, ORANGE = sns.color_palette("colorblind")[:2]
NEAR_TO_FAR = LinearSegmentedColormap.from_list("near-to-far", [ORANGE, "#b9b2a6", BLUE])
ANCHOR = 2  # the third digit: one whose nearest neighbour stands out


def whom_does_the_loss_push(taus: Sequence[float] = (0.05, 0.2, 1.0), negatives: int = 12) -> Figure:
    """One anchor, its negatives from near to far, and how they share the loss's push at each temperature, Eq 5.

    The digits of scikit-learn, embedded as centred unit pixels; all 1,436 other digits are the anchor's negatives. Each
    bar is the whole push, cut into the shares r of the negatives, nearest first; only the nearest are drawn above.

    taus: temperatures > 0, one bar each. negatives: how many of the nearest to draw, from 1 to 30.
    """
    if len(taus) == 0:
        raise ValueError("taus is empty; give at least one temperature, such as (0.05, 0.2, 1.0)")
    if not 1 <= negatives <= 30:
        raise ValueError(f"negatives is {negatives}; there is room for 1 to 30 of the nearest: give 12, say")
    pixels = load("digits").images.flatten(1).float()
    f = F.normalize(pixels - pixels.mean(dim=0), dim=1)
    s, nearest = (f @ f[ANCHOR]).sort(descending=True)
    s_neg, nearest = s[nearest != ANCHOR], nearest[nearest != ANCHOR]
    ink = pixels.view(-1, 8, 8).numpy() / 255

    with mpl.rc_context(LOOK):
        wide, right = 5.0, 5.15  # inches: the bars reach from 0 to `wide`, the notes begin at `right`
        top = 0.9 + 0.95 * len(taus)
        figure = Figure(figsize=(8.0, top + 0.3))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(-1.15, 6.85), ylim=(-0.3, top), aspect="equal")
        axes.set_axis_off()
        slot = wide / negatives
        side = min(0.42, 0.9 * slot)  # of a digit
        draw_digit(axes, ink[ANCHOR], -0.55, top - 0.34, 0.6, GREY)
        axes.text(-0.55, top - 0.68, "anchor", ha="center", va="top")
        for j in range(negatives):
            draw_digit(axes, ink[nearest[j]], (j + 0.5) * slot, top - 0.34, side, GREY)
        note = {"va": "center", "linespacing": 1.4}
        axes.text(right, top - 0.34, f"the {negatives} nearest of\n{len(s_neg):,} negatives", **note)

        edges = np.arange(negatives + 1) * slot  # where each of the nearest begins and ends in the row above
        floor = top - 0.65
        for row, tau in enumerate(taus):
            r = relative_penalty(s_neg[None], tau)
            ends = np.concatenate([[0.0], r[0].double().cumsum(dim=0).numpy()]) * wide
            y = top - 1.6 - 0.95 * row
            for j in range(negatives):
                band = [(edges[j], floor), (edges[j + 1], floor), (ends[j + 1], y + 0.5), (ends[j], y + 0.5)]
                axes.fill(*zip(*band, strict=True), color=ORANGE, alpha=0.16 if j % 2 else 0.28, linewidth=0)
            _bar(axes, ends, y, ink[nearest[:negatives]])
            axes.text(-0.55, y + 0.25, f"$\\tau$ = {tau:g}", ha="center", va="center", fontsize=14.5)
            axes.text(right, y + 0.25, f"{effective_negatives(r).item():,.0f} effective\nnegatives", **note)
            edges, floor = ends, y
        axes.text(0, floor - 0.1, "nearest first", ha="left", va="top")
        axes.text(wide, floor - 0.1, "farthest last", ha="right", va="top")
    return figure


def _bar(axes, ends: np.ndarray, y: float, ink: np.ndarray) -> None:
    """Draw the whole push as a bar cut at `ends`, coloured by rank; mark the shares of the nearest where they fit."""
    columns = (np.arange(1200) + 0.5) / 1200 * ends[-1]
    rank = np.searchsorted(ends[1:-1], columns)
    axes.imshow(
        NEAR_TO_FAR(rank / (len(ends) - 2))[None],
        extent=(0, ends[-1], y, y + 0.5),
        interpolation="none",
        aspect="equal",
    )
    for digit, start, end in zip(ink, ends, ends[1:], strict=False):
        if end - start > 0.03:
            axes.plot([end, end], [y, y + 0.5], color="black", linewidth=0.6)
        if end - start > 0.32:
            draw_digit(axes, digit, (start + end) / 2, y + 0.25, 0.34, "black")


def save(folder: str | Path) -> Path:
    """Write the picture into the folder as SVG, the same bytes each time; return the file."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "whom-does-the-loss-push.svg"
    with mpl.rc_context(LOOK):
        whom_does_the_loss_push().savefig(file, metadata={"Date": None})
    return file


def main() -> None:
    """Run as `python -m contrastlib.teaching.cover DIR`."""
    parser = argparse.ArgumentParser(
        prog="python -m contrastlib.teaching.cover", description="Write the picture as SVG."
    )
    parser.add_argument("folder", help="where to write it; made if it does not exist")
    print(save(parser.parse_args().folder))


if __name__ == "__main__":
    main()
