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
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from contrastlib.data import load
from contrastlib.gradients import effective_negatives, relative_penalty
from contrastlib.reproduction.plotting import GREY, LOOK, draw_digit
from contrastlib.reproduction.verdict_figures import judged_by_scale, verdict_grid

BLUE, ORANGE = sns.color_palette("colorblind")[:2]
NEAR_TO_FAR = LinearSegmentedColormap.from_list("near-to-far", [ORANGE, "#b9b2a6", BLUE])
ANCHOR = 2  # the third digit: one whose nearest neighbour stands out
NAME = "whom-does-the-loss-push"
WIDTH = 5.0  # inches: how long the bars are
NOTES = 5.15  # where the notes beside the bars begin
LEFT = -0.55  # the middle of what stands before the bars
BAR_HEIGHT = 0.5
ROW_HEIGHT = 0.95
NOTE_STYLE = {"va": "center", "linespacing": 1.4}


def whom_does_the_loss_push(
    taus: Sequence[float] = (0.05, 0.2, 1.0), negatives: int = 12
) -> Figure:
    """One anchor, its negatives from near to far, and how they share the loss's push at each
    temperature, Eq 5.

    The digits of scikit-learn, embedded as centred unit pixels; all 1,436 other digits are the
    anchor's negatives. Each bar is the whole push, cut into the shares r of the negatives, nearest
    first; only the nearest are drawn above.

    taus: temperatures > 0, one bar each. negatives: how many of the nearest to draw, from 1 to 30.
    """
    if len(taus) == 0:
        raise ValueError("taus is empty; give at least one temperature, such as (0.05, 0.2, 1.0)")
    if not 1 <= negatives <= 30:
        raise ValueError(
            f"negatives is {negatives}; there is room for 1 to 30 of the nearest: give 12, say"
        )
    s_neg, ink = _nearest_first()
    top = 0.9 + ROW_HEIGHT * len(taus)  # inches
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(8.0, top + 0.3))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(-1.15, 6.85), ylim=(-0.3, top), aspect="equal")
        axes.set_axis_off()
        _draw_digits(axes, ink, negatives, top - 0.34)
        axes.text(
            NOTES, top - 0.34, f"the {negatives} nearest of\n{len(s_neg):,} negatives", **NOTE_STYLE
        )
        edges = np.arange(negatives + 1) * WIDTH / negatives  # of the digits in the row above
        floor = top - 0.65
        for row, tau in enumerate(taus):
            r = relative_penalty(s_neg[None], tau)  # [1, M]
            ends = np.concatenate([[0.0], r[0].double().cumsum(dim=0).numpy()]) * WIDTH
            y = top - 1.6 - ROW_HEIGHT * row
            _draw_bands(axes, edges, floor, ends, y + BAR_HEIGHT)
            _draw_bar(axes, ends, y, ink[1 : negatives + 1])
            middle = y + BAR_HEIGHT / 2
            axes.text(LEFT, middle, f"$\\tau$ = {tau:g}", ha="center", va="center", fontsize=14.5)
            effective = effective_negatives(r).item()
            axes.text(NOTES, middle, f"{effective:,.0f} effective\nnegatives", **NOTE_STYLE)
            edges = ends[: negatives + 1]
            floor = y
        axes.text(0, floor - 0.1, "nearest first", ha="left", va="top")
        axes.text(WIDTH, floor - 0.1, "farthest last", ha="right", va="top")
    return figure


def _nearest_first() -> tuple[Tensor, np.ndarray]:
    """Return the negatives' similarities [M], the nearest first, and the digits' ink [1 + M, 8, 8],
    the anchor first.
    """
    pixels = load("digits").images.flatten(1).float()  # [N, 64]
    f = F.normalize(pixels - pixels.mean(dim=0), dim=1)
    s, order = (f @ f[ANCHOR]).sort(descending=True)
    s_neg = s[order != ANCHOR]
    order = [ANCHOR, *order[order != ANCHOR].tolist()]
    return s_neg, pixels[order].view(-1, 8, 8).numpy() / 255


def _draw_digits(axes: Axes, ink: np.ndarray, negatives: int, y: float) -> None:
    """Draw the anchor, and the nearest negatives in a row above the bars."""
    slot = WIDTH / negatives
    side = min(0.42, 0.9 * slot)
    draw_digit(axes, ink[0], LEFT, y, 0.6, GREY)
    axes.text(LEFT, y - 0.34, "anchor", ha="center", va="top")
    for j in range(negatives):
        draw_digit(axes, ink[j + 1], (j + 0.5) * slot, y, side, GREY)


def _draw_bands(axes: Axes, edges: np.ndarray, floor: float, ends: np.ndarray, top: float) -> None:
    """Join each of the nearest negatives in the row above, from `edges` at `floor`, to its share of
    the bar below.
    """
    for j in range(len(edges) - 1):
        x = [edges[j], edges[j + 1], ends[j + 1], ends[j]]
        alpha = 0.28 if j % 2 == 0 else 0.16
        axes.fill(x, [floor, floor, top, top], color=ORANGE, alpha=alpha, linewidth=0)


def _draw_bar(axes: Axes, ends: np.ndarray, y: float, ink: np.ndarray) -> None:
    """Draw the whole push as a bar cut at `ends`, coloured by rank; mark the shares of the nearest
    where they fit.
    """
    columns = (np.arange(1200) + 0.5) / 1200 * ends[-1]
    rank = np.searchsorted(ends[1:-1], columns)
    axes.imshow(
        NEAR_TO_FAR(rank / (len(ends) - 2))[None],
        extent=(0, ends[-1], y, y + BAR_HEIGHT),
        interpolation="none",
        aspect="equal",
    )
    for digit, start, end in zip(ink, ends, ends[1:], strict=False):
        if end - start > 0.03:
            axes.plot([end, end], [y, y + BAR_HEIGHT], color="black", linewidth=0.6)
        if end - start > 0.32:
            draw_digit(axes, digit, (start + end) / 2, y + BAR_HEIGHT / 2, 0.34, "black")


def save(folder: str | Path) -> list[Path]:
    """Write the pictures into the folder, the same bytes each time; return the files.

    The SVGs, of whom the loss pushes and of the verdicts, are transparent, for the book's pages.
    The PNG, 1200 pixels wide on white, is what is shown where a link to a page is shared.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    svg = folder / f"{NAME}.svg"
    png = folder / f"{NAME}.png"
    verdicts = folder / "verdicts.svg"
    with mpl.rc_context(LOOK):
        figure = whom_does_the_loss_push()
        figure.savefig(svg, metadata={"Date": None})
        figure.savefig(png, dpi=150, facecolor="white", metadata={"Software": None})
    with mpl.rc_context(LOOK | {"font.size": 10}):
        grid = verdict_grid(judged_by_scale())
        grid.savefig(verdicts, metadata={"Date": None})
    return [svg, png, verdicts]


def main() -> None:
    """Run as `python -m contrastlib.teaching.cover DIR`."""
    parser = argparse.ArgumentParser(
        prog="python -m contrastlib.teaching.cover", description="Write the pictures."
    )
    parser.add_argument("folder", help="where to write it; made if it does not exist")
    for file in save(parser.parse_args().folder):
        print(file)


if __name__ == "__main__":
    main()
