"""Trained encoders that come with the package.

    from contrastlib.data import load
    from contrastlib.teaching.encoders import pretrained

    encoder = pretrained("contrastive", 0.07)
    z = encoder(load("fashion-mnist-part", "test").images)  # [1000, 128], unit vectors

Each was trained by the recipe `small` on Fashion-MNIST with seed 0; `AVAILABLE` lists them. A file
is named by its run's id, and its run's record lies beside it. All are made again by

    python -m contrastlib.teaching.encoders DIR_OF_RUNS
"""

from contrastlib.teaching.encoders.catalogue import AVAILABLE, colour, recipe_of, title
from contrastlib.teaching.encoders.loading import PretrainedEncoder, pretrained, record

__all__ = [
    "AVAILABLE",
    "PretrainedEncoder",
    "colour",
    "pretrained",
    "recipe_of",
    "record",
    "title",
]
