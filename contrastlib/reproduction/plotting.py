"""What figures share: their look, and a digit drawn in ink."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage

GREY = "#777777"  # readable on white and on near-black, so that one figure serves both themes of the book
LOOK = {
    "font.family": "sans-serif",
    "font.size": 13,
    "text.color": GREY,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "path",  # no font is needed to read the file
    "image.composite_image": False,  # each digit its own picture, sharp at any size
    "svg.hashsalt": "contrastlib",  # the same names inside the file each time it is written
}


def draw_digit(axes: Axes, ink: np.ndarray, x: float, y: float, side: float, colour) -> AxesImage:
    """Draw a digit centred at (x, y): its ink is opaque, its paper transparent."""
    picture = np.empty((*ink.shape, 4))
    picture[..., :3], picture[..., 3] = to_rgb(colour), ink
    extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
    return axes.imshow(picture, extent=extent, interpolation="none", aspect="equal")
