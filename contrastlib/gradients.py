"""The gradients of the contrastive loss in closed form (Wang & Liu, CVPR 2021, Eqs 2, 4, 5 and 8).

Tensors: B anchors, M negatives, d dimensions. All functions but `tau_for` are differentiable. The
temperature is a number or a tensor, [] or [B], and s_neg = -inf means "not there", as in `losses`.
"""

import math

import torch
from torch import Tensor

from contrastlib.checks import (
    check_alike,
    check_dimensions,
    check_finite,
    check_floating,
    check_negatives,
    check_similarities,
    check_tau,
)
from contrastlib.losses import hard_negatives
from contrastlib.numerics import at_least_float32, over_tau

__all__ = [
    "anchor_gradient",
    "effective_negatives",
    "entropy",
    "probabilities",
    "project_to_tangent",
    "relative_penalty",
    "similarity_gradients",
    "tau_for",
]


def probabilities(s_pos: Tensor, s_neg: Tensor, tau: float | Tensor) -> tuple[Tensor, Tensor]:
    """The softmax over the positive and all negatives, Eq 2: exp(s / tau) over the sum of all of
    them.

    s_pos [B], s_neg [B, M], tau > 0 -> p_pos [B], p_neg [B, M], which add up to 1 for each anchor.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau, len(s_pos), s_pos)
    s = torch.cat([s_pos[:, None], s_neg], dim=1)  # [B, 1 + M]
    p = torch.softmax(over_tau(s, tau), dim=1).to(s.dtype)
    return p[:, 0], p[:, 1:]


def similarity_gradients(
    s_pos: Tensor, s_neg: Tensor, tau: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The derivatives of the contrastive loss, Eq 4: -(1/tau) sum_k p_neg_k and (1/tau) p_neg.

    s_pos [B], s_neg [B, M], tau > 0 -> g_pos [B] <= 0, g_neg [B, M] >= 0, which add up to 0 for
    each anchor.
    """
    _, p_neg = probabilities(s_pos, s_neg, tau)
    g_pos = over_tau(-p_neg.sum(dim=1), tau)  # [B]
    g_neg = over_tau(p_neg, tau)  # [B, M]
    return g_pos.to(p_neg.dtype), g_neg.to(p_neg.dtype)


def relative_penalty(
    s_neg: Tensor, tau: float | Tensor, *, alpha: float | None = None, k: int | None = None
) -> Tensor:
    """Each negative's share r of the push, Eq 5: a Boltzmann distribution, softmax(s_neg / tau).

    With alpha or k, Eq 8: the same over each anchor's hardest negatives (see
    `losses.hard_negatives`), 0 elsewhere, and where a negative is not there.

    s_neg [B, M], tau > 0 -> r [B, M] in [0, 1], each row adding up to 1.
    """
    check_negatives(s_neg)
    check_tau(tau, len(s_neg), s_neg)
    scaled = over_tau(s_neg, tau)  # [B, M]
    if alpha is not None or k is not None:
        kept = hard_negatives(s_neg, alpha=alpha, k=k)
        scaled = scaled.masked_fill(~kept, -math.inf)
    return torch.softmax(scaled, dim=1).to(s_neg.dtype)


def entropy(r: Tensor) -> Tensor:
    """The entropy of each row of r, -sum_k r_k log r_k, in nats: 0 when one negative takes all, log
    M when all share.

    r [B, M], rows of probabilities -> [B] in [0, log M], float32 or float64.
    """
    check_floating("r", r, "B M")
    check_finite("r", r)
    r = r.to(at_least_float32(r))
    # A share of 0 adds nothing: 1 in its place has no entropy either, and a finite derivative.
    return torch.special.entr(r.masked_fill(r == 0, 1)).sum(dim=1)


def effective_negatives(r: Tensor) -> Tensor:
    """exp(entropy(r)): how many negatives, sharing equally, would be as spread out as r. r [B, M]
    -> [B] in [1, M], float32 or float64.
    """
    return entropy(r).exp()


def tau_for(s_neg: Tensor, share: float, *, lowest: float = 1e-3, highest: float = 10.0) -> Tensor:
    """The temperature at which a share of each anchor's negatives is effective, by bisection.

    The effective number of negatives rises with tau, so each anchor has one such temperature at
    most. -inf means "not there" and is not counted.

    s_neg [B, M], share in (0, 1) -> [B], temperatures in [lowest, highest].
    Errors: ValueError where an anchor's temperature lies outside of that range, as under an
    untrained encoder, whose similarities hardly differ.
    """
    check_negatives(s_neg)
    if not 0 < share < 1:
        raise ValueError(f"share is {share!r}; give a share of the negatives, between 0 and 1")
    if not 0 < lowest < highest:
        raise ValueError(
            f"lowest is {lowest!r} and highest {highest!r}; give two temperatures above 0, the "
            "smaller one first"
        )
    wanted = share * (s_neg > -math.inf).sum(dim=1)  # [B]
    most = effective_negatives(relative_penalty(s_neg, highest))  # [B]
    if (most < wanted).any():
        raise ValueError(
            f"even at tau = {highest:g} fewer than the share {share:g} of the negatives are "
            f"effective for {int((most < wanted).sum())} of {len(s_neg)} anchors; "
            "raise highest, or lower share"
        )
    fewest = effective_negatives(relative_penalty(s_neg, lowest))  # [B]
    if (fewest > wanted).any():
        raise ValueError(
            f"even at tau = {lowest:g} more than the share {share:g} of the negatives are "
            f"effective for {int((fewest > wanted).sum())} of {len(s_neg)} anchors; "
            "their similarities hardly differ, or negatives tie: train the encoder first, "
            "lower lowest, or raise share"
        )
    low = torch.full_like(s_neg[:, 0], math.log(lowest))  # [B]
    high = torch.full_like(low, math.log(highest))
    for _ in range(50):
        middle = (low + high) / 2
        effective = effective_negatives(relative_penalty(s_neg, middle.exp()))
        too_few = effective < wanted
        low = torch.where(too_few, middle, low)
        high = torch.where(too_few, high, middle)
    return middle.exp()


def anchor_gradient(
    features: Tensor, positive_keys: Tensor, negative_keys: Tensor, tau: float | Tensor
) -> Tensor:
    """The derivative of the contrastive loss by the anchor's embedding: attention minus the
    positive key.

    Eq 4 and the chain rule give (p_pos k_pos + sum_j p_neg_j k_j - k_pos) / tau: softmax attention
    with the anchor as query and all keys as both keys and values, less the positive key, over tau.

    features [B, d], positive_keys [B, d], negative_keys [M, d], tau > 0 -> [B, d].
    """
    check_floating("features", features, "B d")
    check_floating("negative_keys", negative_keys, "M d")
    check_alike("positive_keys", positive_keys, "features", features)
    check_dimensions("features", features, "negative_keys", negative_keys)
    s_pos = (features * positive_keys).sum(dim=1)
    g_pos, g_neg = similarity_gradients(s_pos, features @ negative_keys.T, tau)
    return g_pos[:, None] * positive_keys + g_neg @ negative_keys


def project_to_tangent(gradient: Tensor, features: Tensor) -> Tensor:
    """The part of a gradient that moves a unit vector along the sphere: g - (g . f) f.

    It is the derivative by the vector before normalisation, times that vector's length.
    gradient [B, d], features [B, d], unit vectors -> [B, d], at right angles to features.
    """
    check_floating("features", features, "B d")
    check_alike("gradient", gradient, "features", features)
    return gradient - (gradient * features).sum(dim=1, keepdim=True) * features
