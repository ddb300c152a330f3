"""Similarities of clothes under trained encoders, for the widgets.

The clothes are test images of Fashion-MNIST, the encoders the three ordinary ones of the book.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.data import ImageSet, load
from contrastlib.teaching.embeddings import embed
from contrastlib.teaching.encoders import PretrainedEncoder, pretrained
from contrastlib.teaching.gallery import class_name
from contrastlib.teaching.widgets.gradient_sphere import Scene
from contrastlib.teaching.widgets.tau_slider_anchor import Anchor

__all__ = ["TAUS", "anchors_of_encoders", "scenes_of_encoders"]

TAUS = (0.07, 0.2, 1.0)  # of the ordinary encoders
IMAGES = 400  # test images of which the page holds similarities
ANCHORS = (7, 2, 0)  # a shirt, a pair of trousers, an ankle boot
# For the sphere an ankle boot, and five others: under the encoder trained at 0.2 they are the
# nearest, the 5th, the 20th and the 40th nearest, and the farthest.
ANCHOR_OF_SCENES = 0
NEGATIVES_OF_SCENES = (186, 224, 392, 49, 308)
NOTE = (
    "At its start the anchor has the similarity to each key that this encoder gives it. The "
    "encoder's 128 dimensions do not fit on a sphere: the directions of the keys are right only "
    "roughly, and away from the start the similarities are those of the sphere."
)
LEVELS = 17  # a step between two of 16 levels of grey: a page holds half a byte a pixel


def name_of(tau: float) -> str:
    """What the reader chooses an encoder by."""
    return f"encoder trained at {tau:g}"


def sixteen_levels(images: Tensor) -> Tensor:
    """Images uint8 in 16 levels of grey, multiples of 17."""
    return (images.float() / LEVELS).round().mul(LEVELS).to(torch.uint8)


def clothes() -> ImageSet:
    """The first test images; a `limit` of `load` would choose others, evenly from the classes."""
    part = load("fashion-mnist-part", "test")
    return replace(part, images=part.images[:IMAGES], labels=part.labels[:IMAGES])


def views_of(encoder: PretrainedEncoder, images: Tensor) -> Tensor:
    """One random view of each image, uint8 [B, 1, 28, 28]; the same under each encoder."""
    views = encoder.recipe.augmentation(images, torch.Generator().manual_seed(0))
    return (255 * views).round().to(torch.uint8)


def embeddings(encoder: PretrainedEncoder, images: Tensor) -> Tensor:
    """Unit vectors float64 [B, d]."""
    return F.normalize(embed(encoder, images).double(), dim=1)


def load_encoder(tau: float) -> PretrainedEncoder:
    with torch.random.fork_rng(devices=[]):  # an encoder draws first weights
        return pretrained("contrastive", tau)


def anchors_of_encoders() -> dict[str, list[Anchor]]:
    """The slider's anchors under each encoder, by its name.

    The positive is a random view of the anchor; the other images are its negatives.
    """
    return {name_of(tau): anchors_of(load_encoder(tau)) for tau in TAUS}


def anchors_of(encoder: PretrainedEncoder) -> list[Anchor]:
    """The same images under one encoder."""
    part = clothes()
    pictures = sixteen_levels(part.images[:, 0])
    z = embeddings(encoder, part.images)  # [IMAGES, d]
    rows = torch.tensor(ANCHORS)
    views = views_of(encoder, part.images[rows])
    z_views = embeddings(encoder, views)
    found = []
    for place, row in enumerate(ANCHORS):
        others = torch.arange(IMAGES) != row
        found.append(
            Anchor(
                s_pos=z[row] @ z_views[place],
                s_neg=z[others] @ z[row],
                image=pictures[row],
                negatives=pictures[others],
                positive=sixteen_levels(views[place, 0]),
                name=class_name(part, row),
            )
        )
    return found


def scenes_of_encoders() -> list[Scene]:
    """An anchor, a view of it and five negatives under each encoder, for the sphere."""
    part = clothes()
    rows = torch.tensor([ANCHOR_OF_SCENES, *NEGATIVES_OF_SCENES])
    pictures = sixteen_levels(part.images[rows, 0])
    shows = [class_name(part, row) for row in rows.tolist()]
    scenes = []
    for tau in TAUS:
        encoder = load_encoder(tau)
        view = views_of(encoder, part.images[rows[:1]])
        anchor, *negatives = embeddings(encoder, part.images[rows])
        keys = torch.stack([embeddings(encoder, view)[0], *negatives])
        here, places = around(anchor, keys)
        scenes.append(
            Scene(
                name_of(tau),
                anchor=here,
                positive=places[0],
                negatives=places[1:],
                images=torch.cat([pictures[:1], sixteen_levels(view[:, 0]), pictures[1:]]),
                shows=[shows[0], f"a view of the {shows[0]}", *shows[1:]],
                note=NOTE,
            )
        )
    return scenes


def around(anchor: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Put unit vectors of d dimensions on the sphere that one sees: [3] and [K, 3].

    Each key keeps its similarity to the anchor. The directions in which the keys lie from it are
    seen in the plane in which they differ most; the first key lies to the right, and the second
    above it.
    """
    s = keys @ anchor  # [K]
    directions = F.normalize(keys - s[:, None] * anchor, dim=1)
    _, _, axes = torch.linalg.svd(directions, full_matrices=False)
    x, y = (directions @ axes[:2].T).T
    angle = torch.atan2(y, x)
    angle = angle - angle[0]
    if angle[1].sin() < 0:
        angle = -angle
    radius = (1 - s**2).clamp(min=0).sqrt()
    places = torch.stack([s, radius * angle.cos(), radius * angle.sin()], dim=1)
    return torch.tensor([1.0, 0.0, 0.0], dtype=places.dtype), F.normalize(places, dim=1)
