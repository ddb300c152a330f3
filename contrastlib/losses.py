"""The four losses of Wang & Liu (CVPR 2021), twice: as equations on similarities, and as modules on embeddings.

The equations are for reading and deriving; the modules are for training, and stream over the keys (`streaming`).
Tensors: B anchors, M negatives or keys, d dimensions. Similarities s are cosines of unit vectors, in [-1, 1].
"""

import math

import torch
from torch import Tensor, nn

from contrastlib.checks import (
    check_embeddings,
    check_finite,
    check_floating,
    check_one_of,
    check_positive,
    check_similarities,
    check_tau,
    number_kept,
)
from contrastlib.streaming import chosen, hard_softmax, hard_sum, key_sum, softmax

__all__ = [
    "ContrastiveLoss",
    "HardContrastiveLoss",
    "HardSimpleLoss",
    "SimpleLoss",
    "contrastive",
    "hard_contrastive",
    "hard_negatives",
    "hard_simple",
    "simple",
    "simple_limit",
    "triplet_limit",
]


def contrastive(s_pos: Tensor, s_neg: Tensor, tau: float) -> Tensor:
    """The contrastive loss, Eq 1: -log of the softmax probability of the positive.

    -log[ exp(s_pos / tau) / (sum_k exp(s_neg_k / tau) + exp(s_pos / tau)) ], which is
    log[ 1 + sum_k exp((s_neg_k - s_pos) / tau) ]: only differences of similarities matter.

    s_pos [B], s_neg [B, M], tau > 0 -> loss [B], in nats, > 0. ValueError or TypeError on anything else.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau)
    worst = torch.logsumexp((s_neg - s_pos[:, None]) / tau, dim=1)
    return torch.logaddexp(worst, torch.zeros_like(worst))


def simple(s_pos: Tensor, s_neg: Tensor, lam: float | None = None) -> Tensor:
    """The simple loss, Eq 3: -s_pos + lam * sum_k s_neg_k, blind to how near each negative is.

    s_pos [B], s_neg [B, M] -> loss [B]. lam > 0; None means 1 / M, which Eq 7 implies and the paper does not state.
    """
    check_similarities(s_pos, s_neg)
    if lam is None:
        return s_neg.mean(dim=1) - s_pos
    check_positive("lam", lam)
    return lam * s_neg.sum(dim=1) - s_pos


def hard_negatives(s_neg: Tensor, *, alpha: float | None = None, k: int | None = None) -> Tensor:
    """Each anchor's negatives at or above its own threshold, the k-th largest similarity (ties are kept).

    s_neg [B, M] -> mask [B, M], bool, at least k True in each row. Exactly one of alpha in (0, 1], which means
    k = max(1, round(alpha * M)), and k in [1, M].
    """
    check_floating("s_neg", s_neg, "B M")
    check_finite("s_neg", s_neg)
    k = number_kept(s_neg.shape[1], alpha, k)
    threshold = s_neg.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    return s_neg >= threshold


def hard_contrastive(
    s_pos: Tensor, s_neg: Tensor, tau: float, *, alpha: float | None = None, k: int | None = None
) -> Tensor:
    """The hard contrastive loss, Eq 9: Eq 1 over each anchor's hardest negatives alone.

    s_pos [B], s_neg [B, M], tau > 0, exactly one of alpha and k (see `hard_negatives`) -> loss [B], in nats.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau)
    kept = hard_negatives(s_neg, alpha=alpha, k=k)
    worst = torch.logsumexp(((s_neg - s_pos[:, None]) / tau).masked_fill(~kept, -math.inf), dim=1)
    return torch.logaddexp(worst, torch.zeros_like(worst))


def hard_simple(
    s_pos: Tensor, s_neg: Tensor, lam: float | None = None, *, alpha: float | None = None, k: int | None = None
) -> Tensor:
    """The simple loss, Eq 3, over each anchor's hardest negatives alone: the paper's HardSimple.

    s_pos [B], s_neg [B, M], exactly one of alpha and k (see `hard_negatives`) -> loss [B].
    lam > 0; None means 1 / (number of negatives kept).
    """
    check_similarities(s_pos, s_neg)
    kept = hard_negatives(s_neg, alpha=alpha, k=k)
    total = (s_neg * kept).sum(dim=1, dtype=torch.promote_types(s_neg.dtype, torch.float32))  # overflows in half
    if lam is None:
        return (total / kept.sum(dim=1)).to(s_neg.dtype) - s_pos
    check_positive("lam", lam)
    return (lam * total).to(s_neg.dtype) - s_pos


def triplet_limit(s_pos: Tensor, s_neg: Tensor, tau: float) -> Tensor:
    """What Eq 1 becomes as tau -> 0, Eq 6: max(0, s_max - s_pos) / tau, a triplet loss on the nearest negative.

    s_pos [B], s_neg [B, M], tau > 0 -> [B]. It bounds Eq 1 from below, within log(M + 1).
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau)
    return (s_neg.amax(dim=1) - s_pos).clamp(min=0) / tau


def simple_limit(s_pos: Tensor, s_neg: Tensor, tau: float) -> Tensor:
    """What Eq 1 becomes as tau -> inf, Eq 7: (sum_k s_neg_k - M s_pos) / (N tau) + log N, with N = M + 1.

    s_pos [B], s_neg [B, M], tau > 0 -> [B]. It bounds Eq 1 from below, within 1 / (2 tau^2) on cosines.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau)
    negatives = s_neg.shape[1]
    n = negatives + 1
    return (s_neg.sum(dim=1) - negatives * s_pos) / (n * tau) + math.log(n)


class ContrastiveLoss(nn.Module):
    """The contrastive loss (Eq 1) of a batch of embeddings against keys, without ever holding the B x M similarities.

    tau > 0 is the temperature. `forward` is as in `contrastive`, averaged over the anchors.
    """

    def __init__(self, tau: float):
        super().__init__()
        check_tau(tau)
        self.tau = tau

    def extra_repr(self) -> str:
        return f"tau={self.tau}"

    def forward(
        self,
        features: Tensor,
        keys: Tensor,
        positive: Tensor | None = None,
        *,
        positive_keys: Tensor | None = None,
        ignore: Tensor | None = None,
    ) -> Tensor:
        """The mean loss, a scalar, of features [B, d] against keys [M, d], both unit vectors.

        positive [B], long, is each anchor's row of keys: its positive, and never among its negatives. Where the
        positive is not a row of keys (MoCo's queue), leave it None and give positive_keys [B, d].
        ignore [B], long, is one more row of keys that is no negative of the anchor: itself, say.
        Gradients flow to features, and to keys and positive_keys when they require grad. Similarities are float32
        or better whatever autocast says. ValueError or TypeError if the arguments do not fit together.
        """
        check_embeddings(features, keys, positive, positive_keys, ignore)
        return softmax(features, keys, positive, positive_keys, ignore, self.tau).mean()


class SimpleLoss(nn.Module):
    """The simple loss (Eq 3) of a batch of embeddings against keys, at the cost of one sum over the keys.

    lam > 0 weighs the negatives; None means 1 / (number of negatives). `forward` as in `ContrastiveLoss`.
    """

    def __init__(self, lam: float | None = None):
        super().__init__()
        if lam is not None:
            check_positive("lam", lam)
        self.lam = lam

    def extra_repr(self) -> str:
        return f"lam={self.lam}"

    def forward(
        self,
        features: Tensor,
        keys: Tensor,
        positive: Tensor | None = None,
        *,
        positive_keys: Tensor | None = None,
        ignore: Tensor | None = None,
    ) -> Tensor:
        """As `ContrastiveLoss.forward`."""
        negatives = check_embeddings(features, keys, positive, positive_keys, ignore)
        lam = 1 / negatives if self.lam is None else self.lam
        features, keys, positive_keys = chosen(features, keys, positive, positive_keys)
        # sum_k f . k_k = f . sum_k k_k: no similarity matrix at all.
        negative_sum = key_sum(keys, features.dtype)
        if positive is not None:
            negative_sum = negative_sum - positive_keys
        if ignore is not None:
            negative_sum = negative_sum - keys[ignore].to(features.dtype)
        return (features * (lam * negative_sum - positive_keys)).sum(dim=1).mean()


class HardContrastiveLoss(nn.Module):
    """The hard contrastive loss (Eq 9): Eq 1 over each anchor's hardest negatives, exact.

    tau > 0; exactly one of alpha, the share of the negatives to keep, in (0, 1], and k, their number.
    `forward` as in `ContrastiveLoss`, and k larger than the number of negatives is a ValueError there.
    """

    def __init__(self, tau: float, alpha: float | None = None, k: int | None = None):
        super().__init__()
        check_tau(tau)
        check_one_of(alpha, k)
        self.tau, self.alpha, self.k = tau, alpha, k

    def extra_repr(self) -> str:
        return f"tau={self.tau}, " + (f"alpha={self.alpha}" if self.k is None else f"k={self.k}")

    def forward(
        self,
        features: Tensor,
        keys: Tensor,
        positive: Tensor | None = None,
        *,
        positive_keys: Tensor | None = None,
        ignore: Tensor | None = None,
    ) -> Tensor:
        """As `ContrastiveLoss.forward`."""
        negatives = check_embeddings(features, keys, positive, positive_keys, ignore)
        k = number_kept(negatives, self.alpha, self.k)
        return hard_softmax(features, keys, positive, positive_keys, ignore, self.tau, k).mean()


class HardSimpleLoss(nn.Module):
    """The simple loss over each anchor's hardest negatives: the paper's HardSimple, exact.

    lam > 0 weighs the negatives; None means 1 / (number kept). Exactly one of alpha and k, as in
    `HardContrastiveLoss`; `forward` as in `ContrastiveLoss`.
    """

    def __init__(self, lam: float | None = None, alpha: float | None = None, k: int | None = None):
        super().__init__()
        if lam is not None:
            check_positive("lam", lam)
        check_one_of(alpha, k)
        self.lam, self.alpha, self.k = lam, alpha, k

    def extra_repr(self) -> str:
        return f"lam={self.lam}, " + (f"alpha={self.alpha}" if self.k is None else f"k={self.k}")

    def forward(
        self,
        features: Tensor,
        keys: Tensor,
        positive: Tensor | None = None,
        *,
        positive_keys: Tensor | None = None,
        ignore: Tensor | None = None,
    ) -> Tensor:
        """As `ContrastiveLoss.forward`."""
        negatives = check_embeddings(features, keys, positive, positive_keys, ignore)
        k = number_kept(negatives, self.alpha, self.k)
        return hard_sum(features, keys, positive, positive_keys, ignore, self.lam, k).mean()
