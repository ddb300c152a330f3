"""What all figures share: colours, their look, and a digit drawn in ink.

Every colour has a contrast of at least 4:1 on white and on the near-black of the dark theme, so
that one figure serves both. Temperatures, losses and data sets keep their colour through the whole
book.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage

GREY = "#777777"  # readable on white and on near-black
VIOLET = "#965be4"
INDIGO = "#526ff3"
BLUE = "#0982be"
TEAL = "#118a79"
GREEN = "#028e40"
OLIVE = "#6f8304"
AMBER = "#a97100"
ORANGE = "#ce5503"
RED = "#e03b5a"
PINK = "#cf429d"

TAU_COLOURS = {
    0.02: VIOLET,
    0.05: INDIGO,
    0.07: BLUE,
    0.1: TEAL,
    0.2: GREEN,
    0.3: OLIVE,
    0.5: AMBER,
    0.7: ORANGE,
    1.0: RED,
}
TAU_LINES = {
    0.07: "-",
    0.1: (0, (6, 2)),
    0.2: (0, (4, 2)),
    0.3: (0, (4, 1, 1, 1)),
    1.0: (0, (1, 1.2)),
}
LOSS_COLOURS = {
    "contrastive": BLUE,
    "hard": ORANGE,
    "simple": VIOLET,
    "hard_simple": PINK,
    "triplet_limit": OLIVE,
    "none": GREY,
    "batch_norm": GREY,
    "supervised": GREY,
}

INKS = (  # what has the colour of text
    "text.color",
    "axes.labelcolor",
    "axes.edgecolor",
    "axes.titlecolor",
    "xtick.color",
    "ytick.color",
    "legend.labelcolor",
)
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


def tau_colour(tau: float) -> str:
    """The colour of a temperature: that of the nearest one in `TAU_COLOURS`, on a logarithmic
    scale.
    """
    nearest = min(TAU_COLOURS, key=lambda known: abs(np.log(known / tau)))
    return TAU_COLOURS[nearest]


def draw_digit(
    axes: Axes, ink: np.ndarray, x: float, y: float, side: float, colour: str
) -> AxesImage:
    """Draw a digit centred at (x, y): its ink is opaque, its paper transparent."""
    picture = np.empty((*ink.shape, 4))
    picture[..., :3] = to_rgb(colour)
    picture[..., 3] = ink
    extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
    return axes.imshow(picture, extent=extent, interpolation="none", aspect="equal")
