"""A temperature slider on the contrastive loss that runs in the page itself."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_tau
from contrastlib.data import load
from contrastlib.teaching.widgets import tau_slider_data as data
from contrastlib.teaching.widgets.base import Interactive, render
from contrastlib.teaching.widgets.tau_slider_anchor import Anchor
from contrastlib.teaching.widgets.tau_slider_html import context

__all__ = [
    "Anchor",
    "digits_tau_slider",
    "encoders_tau_slider",
    "tau_slider",
    "tau_slider_for",
    "tau_slider_of_sources",
]

DIGITS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # the rows of the digits begin with one of each


def tau_slider(
    s_pos: float | Tensor,
    s_neg: Tensor,
    anchor: Tensor,
    images: Tensor,
    tau: float = 0.2,
    *,
    positive: Tensor | None = None,
) -> Interactive:
    """One anchor's contrastive loss (Eq 1) and relative penalties (Eq 5) under a slider for tau.

    The page holds the similarities to five decimals and computes from them what
    `losses.contrastive`, `gradients.relative_penalty`, `entropy` and `effective_negatives` compute.
    One stop of the slider has ten effective negatives. Without scripts it is a still figure.

    s_pos: the positive's similarity, a number or a tensor of one value. s_neg [M]: the negatives'
    similarities. Both in [-1, 1]. anchor uint8 [H, W] and images uint8 [M, H, W], the anchor and
    the negatives, grey; positive: uint8 [H, W]. tau: where the slider starts, in [0.01, 10].
    ValueError or TypeError on anything else.
    """
    return tau_slider_for([Anchor(s_pos, s_neg, anchor, images, positive)], tau)


def digits_tau_slider(anchors: Sequence[int] = DIGITS, tau: float = 0.2) -> Interactive:
    """The slider on the digits of scikit-learn, embedded as centred pixels of unit length.

    The positive is the same digit, one pixel lower; all other digits are the negatives.

    anchors: the rows of `data.load("digits").images` that the reader may choose from. tau: where
    the slider starts.
    """
    return tau_slider_for(digit_anchors(anchors), tau)


def encoders_tau_slider(anchors: Sequence[int] = DIGITS, tau: float = 0.2) -> Interactive:
    """The slider of `digits_tau_slider`, whose reader may also take the similarities of clothes
    under each of the three ordinary encoders that come with the book.

    anchors, tau: as for `digits_tau_slider`.
    """
    from contrastlib.teaching.widgets.encoder_similarities import anchors_of_encoders

    sources = {"pixels of the digits": digit_anchors(anchors), **anchors_of_encoders()}
    return tau_slider_of_sources(sources, tau)


def digit_anchors(rows: Sequence[int]) -> list[Anchor]:
    """Digits as anchors: their pixels, centred and of unit length, are their embeddings."""
    digits = load("digits")
    pixels = digits.images.flatten(1).double()  # [N, 64]
    mean = pixels.mean(dim=0)
    f = F.normalize(pixels - mean, dim=1)
    found = []
    for index in rows:
        shifted = digits.images[index].roll(1, dims=1)
        f_positive = F.normalize(shifted.flatten().double() - mean, dim=0)
        others = torch.arange(len(f)) != index
        found.append(
            Anchor(
                s_pos=f[index] @ f_positive,
                s_neg=f[others] @ f[index],
                image=digits.images[index, 0],
                negatives=digits.images[others, 0],
                positive=shifted[0],
                name=str(digits.labels[index].item()),
            )
        )
    return found


def tau_slider_for(anchors: Sequence[Anchor], tau: float = 0.2) -> Interactive:
    """The slider of `tau_slider` for several anchors, of which the reader chooses one at a time by
    its image.

    anchors: at least one; the first is shown at the start. All have the same number of negatives.
    """
    return tau_slider_of_sources({"": anchors}, tau)


def tau_slider_of_sources(sources: Mapping[str, Sequence[Anchor]], tau: float = 0.2) -> Interactive:
    """The slider of `tau_slider_for` with several sources of similarities, such as encoders, of
    which the reader chooses one by its name.

    sources: the anchors of each source by its name. Those of one source have the same number of
    negatives; the number of them that is shown is the same in all sources.
    """
    check_tau(tau)
    if not data.LOW_TAU <= tau <= data.HIGH_TAU:
        raise ValueError(f"tau is {tau}; the slider reaches from 0.01 to 10")
    held = data.hold_sources(sources)
    return render("tau_slider", context(held, float(f"{tau:g}")))
