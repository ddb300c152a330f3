"""The light and the dark look of figure files. A figure is drawn once, in the light one, and is
then given the dark one's ink and ground: drawing it anew would take as long again.
"""

import numpy as np
from matplotlib.colors import to_rgb, to_rgba_array
from matplotlib.figure import Figure

from contrastlib.reproduction.plotting import INKS, LOOK

__all__ = ["THEMES", "in_dark", "light_style", "recolour"]

THEMES = {"light": ("#1f2328", "#ffffff"), "dark": ("#e6e6e6", "#14181e")}  # ink and ground
GROUNDS = ("figure.facecolor", "axes.facecolor")
SHAPE = {
    "font.size": 10.0,
    "figure.dpi": 160,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
COLOURED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def light_style() -> list:
    """The light theme as a style of matplotlib, whatever the reader's own settings are."""
    ink, ground = THEMES["light"]
    inks = dict.fromkeys(INKS, ink)
    grounds = dict.fromkeys(GROUNDS, ground)
    return ["default", LOOK | SHAPE | inks | grounds]


def recolour(figure: Figure) -> None:
    """Give a figure of the light theme the ink and the ground of the dark one."""
    for artist in figure.findobj():
        for name in COLOURED:
            if not hasattr(artist, f"get_{name}"):
                continue
            before = to_rgba_array(getattr(artist, f"get_{name}")())
            after = dark_colours(before)
            if not np.array_equal(before, after):
                colour = after[0] if len(after) == 1 else after
                getattr(artist, f"set_{name}")(colour)


def dark_colours(colours: np.ndarray) -> np.ndarray:
    """Colours [n, 4] with the light theme's ink and ground replaced; opacity stays."""
    replaced = colours.copy()
    for before, after in zip(THEMES["light"], THEMES["dark"], strict=True):
        same = (colours[:, :3] == to_rgb(before)).all(axis=1)
        replaced[same, :3] = to_rgb(after)
    return replaced


def in_dark(light: str) -> str:
    """The text of an SVG of the light theme in the dark one: nothing differs but ink and ground."""
    for before, after in zip(THEMES["light"], THEMES["dark"], strict=True):
        light = light.replace(before, after)
    return light
