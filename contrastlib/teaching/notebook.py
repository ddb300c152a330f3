"""What a chapter of the book needs beside the library: one look for its figures, and numbers for
its text.
"""

import os
import time

import matplotlib as mpl
import seaborn as sns
import torch

from contrastlib.reproduction.plotting import GREY, INKS

WIDTH = 4.6  # inches of a figure: so wide, its text of 11 points is legible on a phone
_started = time.perf_counter()  # when the chapter's clock was started


def setup() -> None:
    """Start the chapter's clock, fix the seed, and give all figures the book's look: transparent,
    colour-blind safe.
    """
    global _started
    _started = time.perf_counter()
    torch.manual_seed(0)
    sns.set_theme(style="ticks", palette="colorblind", font_scale=1.0)
    for name in INKS:
        mpl.rcParams[name] = GREY
    mpl.rcParams.update(
        {
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "figure.figsize": (WIDTH, 3.0),
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "svg.hashsalt": "contrastlib",
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # not in a notebook
        return
    set_matplotlib_formats("svg")


def glue(name: str, value: object) -> None:
    """Make a number of the notebook available to the book's text; outside the book, do nothing."""
    try:
        from myst_nb import glue as paste
    except ImportError:
        return
    paste(name, value, display=False)


def run_time() -> str:
    """How long it is since setup(), and on what: "3 s on 2 CPU cores, torch 2.14.1"."""
    seconds = time.perf_counter() - _started
    device = f"{os.cpu_count()} CPU cores"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    return f"{seconds:.0f} s on {device}, torch {torch.__version__.split('+')[0]}"
