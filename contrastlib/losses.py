"""The losses of Wang & Liu (CVPR 2021), twice: as equations on similarities, and as modules on
embeddings.

The equations are for reading and deriving; the modules are for training, and stream over the keys
(`streamed_losses`, and `hardest` for the hard losses). First the four equations, then their two
limits, then a module for each.

Tensors: B anchors, M negatives or keys, d dimensions. Similarities s are cosines of unit vectors,
in [-1, 1]. The temperature tau is a number, or a tensor: without dimensions for one that all
anchors share (a learnt temperature), or [B] for one an anchor. It gets its gradient where it
requires one. In the equations s_neg = -inf means "not there": such a negative counts nowhere, so
that anchors may have different numbers of negatives.
"""

import math

import torch
from torch import Tensor, nn

from contrastlib.checks import (
    check_kept,
    check_negatives,
    check_one_of,
    check_positive,
    check_similarities,
    check_tau,
    number_kept,
)
from contrastlib.hardest import (
    hard_contrastive_loss,
    hard_simple_loss,
    number_kept_of_each,
    numbers_kept,
)
from contrastlib.numerics import accumulate_dtype, at_least_float32, over_tau
from contrastlib.pairs import Pairs, check_embeddings, check_some_left, make_pairs
from contrastlib.streamed_losses import contrastive_loss, simple_loss

__all__ = [  # noqa: RUF022, the API page lists them in this order
    "contrastive",
    "simple",
    "hard_contrastive",
    "hard_simple",
    "hard_negatives",
    "triplet_limit",
    "simple_limit",
    "ContrastiveLoss",
    "SimpleLoss",
    "HardContrastiveLoss",
    "HardSimpleLoss",
    "TripletLimitLoss",
    "SimpleLimitLoss",
]


def contrastive(s_pos: Tensor, s_neg: Tensor, tau: float | Tensor) -> Tensor:
    """The contrastive loss, Eq 1: -log of the softmax probability of the positive.

    -log[ exp(s_pos / tau) / (sum_k exp(s_neg_k / tau) + exp(s_pos / tau)) ], which is
    log[ 1 + sum_k exp((s_neg_k - s_pos) / tau) ]: only differences of similarities matter.

    s_pos [B], s_neg [B, M], -inf for a negative that is not there, tau > 0, a number or a tensor,
    [] or [B] -> loss [B], in nats, > 0. ValueError or TypeError on anything else.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau, len(s_pos), s_pos)
    margin = torch.logsumexp(over_tau(s_neg - s_pos[:, None], tau), dim=1)  # [B]
    return torch.logaddexp(margin, torch.zeros_like(margin)).to(s_neg.dtype)


def simple(s_pos: Tensor, s_neg: Tensor, lam: float | None = None) -> Tensor:
    """The simple loss, Eq 3: -s_pos + lam * sum_k s_neg_k, blind to how near each negative is.

    s_pos [B], s_neg [B, M], -inf for a negative that is not there -> loss [B]. lam > 0; None means
    1 / (number of negatives), which Eq 7 implies and the paper does not state.
    """
    check_similarities(s_pos, s_neg)
    if lam is not None:
        check_positive("lam", lam)
    return weighted_sum(s_neg, s_neg > -math.inf, lam) - s_pos


def hard_contrastive(
    s_pos: Tensor,
    s_neg: Tensor,
    tau: float | Tensor,
    *,
    alpha: float | None = None,
    k: int | None = None,
) -> Tensor:
    """The hard contrastive loss, Eq 9: Eq 1 over each anchor's hardest negatives alone.

    As `contrastive`, with exactly one of alpha and k (see `hard_negatives`) -> loss [B], in nats.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau, len(s_pos), s_pos)
    kept = hard_negatives(s_neg, alpha=alpha, k=k)
    hardest = over_tau(s_neg - s_pos[:, None], tau).masked_fill(~kept, -math.inf)  # [B, M]
    margin = torch.logsumexp(hardest, dim=1)  # [B]
    return torch.logaddexp(margin, torch.zeros_like(margin)).to(s_neg.dtype)


def hard_simple(
    s_pos: Tensor,
    s_neg: Tensor,
    lam: float | None = None,
    *,
    alpha: float | None = None,
    k: int | None = None,
) -> Tensor:
    """The simple loss, Eq 3, over each anchor's hardest negatives alone: the paper's HardSimple.

    As `simple`, with exactly one of alpha and k (see `hard_negatives`) -> loss [B].
    lam > 0; None means 1 / (number of negatives kept).
    """
    check_similarities(s_pos, s_neg)
    kept = hard_negatives(s_neg, alpha=alpha, k=k)
    if lam is not None:
        check_positive("lam", lam)
    return weighted_sum(s_neg, kept, lam) - s_pos


def hard_negatives(s_neg: Tensor, *, alpha: float | None = None, k: int | None = None) -> Tensor:
    """Each anchor's negatives at or above its own threshold, the k-th largest similarity (ties are
    kept).

    s_neg [B, M], -inf for a negative that is not there -> mask [B, M], bool, at least k True in
    each row. Exactly one of alpha in (0, 1], which means k = max(1, round(alpha * M)) with each
    anchor's own number of negatives for M, and k in [1, M].
    """
    check_negatives(s_neg)
    there = s_neg > -math.inf  # [B, M]
    negatives = there.sum(dim=1)  # [B]
    most = number_kept(s_neg.shape[1], alpha, k)
    check_kept(k, negatives)
    if alpha is None:
        threshold = s_neg.topk(k, dim=1).values.amin(dim=1, keepdim=True)  # [B, 1]
    else:
        rank = number_kept_of_each(negatives, alpha)[:, None]  # [B, 1]
        threshold = s_neg.topk(most, dim=1).values.gather(1, rank - 1)  # [B, 1]
    return (s_neg >= threshold) & there


def triplet_limit(s_pos: Tensor, s_neg: Tensor, tau: float | Tensor) -> Tensor:
    """What Eq 1 becomes as tau -> 0, Eq 6: max(0, s_max - s_pos) / tau, a triplet loss on the
    nearest negative.

    Arguments as in `contrastive` -> [B]. It bounds Eq 1 from below, within log(M + 1).
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau, len(s_pos), s_pos)
    lead = s_neg.amax(dim=1) - s_pos  # [B]
    return over_tau(lead.clamp(min=0), tau).to(s_neg.dtype)


def simple_limit(s_pos: Tensor, s_neg: Tensor, tau: float | Tensor) -> Tensor:
    """What Eq 1 becomes as tau -> inf, Eq 7: (sum_k s_neg_k - M s_pos) / (N tau) + log N, with N =
    M + 1.

    Arguments as in `contrastive` -> [B]; M is each anchor's own number of negatives. It bounds Eq 1
    from below, within 1 / (2 tau^2) on cosines.
    """
    check_similarities(s_pos, s_neg)
    check_tau(tau, len(s_pos), s_pos)
    there = s_neg > -math.inf  # [B, M]
    negatives = there.sum(dim=1).to(accumulate_dtype(s_neg))  # [B]
    n = negatives + 1
    wide = at_least_float32(s_neg)  # a long sum overflows in half precision
    total = s_neg.masked_fill(~there, 0).sum(dim=1, dtype=wide)  # [B]
    push = total - negatives.to(wide) * s_pos  # [B]
    return (over_tau(push, n * tau) + n.log().to(wide)).to(s_neg.dtype)


def weighted_sum(s_neg: Tensor, counted: Tensor, lam: float | None) -> Tensor:
    """Lam times the sum of the similarities that count, or their mean where lam is None: [B, M] ->
    [B].
    """
    wide = at_least_float32(s_neg)  # a long sum overflows in half precision
    total = s_neg.masked_fill(~counted, 0).sum(dim=1, dtype=wide)  # [B]
    if lam is None:
        return (total / counted.sum(dim=1)).to(s_neg.dtype)
    return (lam * total).to(s_neg.dtype)


class EmbeddingLoss(nn.Module):
    """What the losses on embeddings share: how they are called, and that they average over the
    anchors.
    """

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

        positive [B], long, is each anchor's row of keys: its positive, and never among its
        negatives. Where the positive is not a row of keys (MoCo's queue), leave it None and give
        positive_keys [B, d]. ignore [B] or [B, m], long: rows of keys that are no negatives of the
        anchor, such as itself, its duplicates, or known members of its class. A row listed twice is
        one row; -1 means none, so that lists of different lengths fit into one tensor. Numbers of
        negatives are then each anchor's own. The cost grows with B x m for each chunk of keys.
        Gradients flow to features, to tau where it is a tensor, and to keys and positive_keys when
        they require grad. Similarities are float32 or better whatever autocast says. ValueError or
        TypeError if the arguments do not fit together; a warning where features or positives are
        not unit vectors (on the CPU). The other rows of keys are not looked at, which would cost as
        much as the loss: a NaN there makes the loss NaN.
        """
        check_embeddings(features, keys, positive, positive_keys, ignore)
        self.check_settings(features)
        pairs = make_pairs(features, keys, positive, positive_keys, ignore)
        check_some_left(pairs)
        return self.loss_of_each(pairs).mean()

    def check_settings(self, features: Tensor) -> None:
        """Refuse settings that cannot be used with features [B, d]; they may have been set anew."""
        raise NotImplementedError

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        """The loss of each anchor, [B]."""
        raise NotImplementedError


class TemperatureLoss(EmbeddingLoss):
    """What the losses share that have a temperature.

    tau > 0 is a number, or a tensor, without dimensions or [B]. An nn.Parameter is learnt with the
    module's other parameters. tau may be set anew at any time, a Parameter by another Parameter,
    and is checked in each call.
    """

    def __init__(self, tau: float | Tensor):
        super().__init__()
        check_tau(tau)
        self.tau = tau

    def check_settings(self, features: Tensor) -> None:
        check_tau(self.tau, len(features), features)

    def extra_repr(self) -> str:
        if not isinstance(self.tau, Tensor):
            return f"tau={self.tau}"
        if self.tau.ndim == 0:
            return f"tau=tensor({self.tau.item():.4g})"
        return f"tau=tensor of shape {list(self.tau.shape)}"


class ContrastiveLoss(TemperatureLoss):
    """The contrastive loss (Eq 1) of a batch of embeddings against keys, without ever holding the B
    x M similarities.

    tau > 0 is the temperature, as `TemperatureLoss` describes it.
    """

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        return contrastive_loss(pairs, self.tau)


class SimpleLoss(EmbeddingLoss):
    """The simple loss (Eq 3) of a batch of embeddings against keys, at the cost of one sum over the
    keys.

    lam > 0 weighs the negatives; None means 1 / (number of negatives).
    """

    def __init__(self, lam: float | None = None):
        super().__init__()
        if lam is not None:
            check_positive("lam", lam)
        self.lam = lam

    def extra_repr(self) -> str:
        return f"lam={self.lam}"

    def check_settings(self, features: Tensor) -> None:
        if self.lam is not None:
            check_positive("lam", self.lam)

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        return simple_loss(pairs.without_repeats(), self.lam)


class HardContrastiveLoss(TemperatureLoss):
    """The hard contrastive loss (Eq 9): Eq 1 over each anchor's hardest negatives, exact.

    tau as in `ContrastiveLoss`; exactly one of alpha, the share of the negatives to keep, in (0,
    1], and k, their number. k larger than an anchor's number of negatives is a ValueError in the
    call.
    """

    def __init__(self, tau: float | Tensor, alpha: float | None = None, k: int | None = None):
        super().__init__(tau)
        check_one_of(alpha, k)
        self.alpha = alpha
        self.k = k

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {described_share(self.alpha, self.k)}"

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        k, k_each = numbers_kept(pairs, self.alpha, self.k)
        return hard_contrastive_loss(pairs, self.tau, k, k_each)


class HardSimpleLoss(EmbeddingLoss):
    """The simple loss over each anchor's hardest negatives: the paper's HardSimple, exact.

    lam > 0 weighs the negatives; None means 1 / (number kept). Exactly one of alpha and k, as in
    `HardContrastiveLoss`.
    """

    def __init__(self, lam: float | None = None, alpha: float | None = None, k: int | None = None):
        super().__init__()
        if lam is not None:
            check_positive("lam", lam)
        check_one_of(alpha, k)
        self.lam = lam
        self.alpha = alpha
        self.k = k

    def extra_repr(self) -> str:
        return f"lam={self.lam}, {described_share(self.alpha, self.k)}"

    def check_settings(self, features: Tensor) -> None:
        if self.lam is not None:
            check_positive("lam", self.lam)

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        k, k_each = numbers_kept(pairs, self.alpha, self.k)
        return hard_simple_loss(pairs, self.lam, k, k_each)


class TripletLimitLoss(TemperatureLoss):
    """The limit of the contrastive loss for small tau (Eq 6): a triplet loss on the nearest
    negative, over tau.
    """

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        # The lead of the nearest negative, or of the mean of several as near, [B].
        lead = hard_simple_loss(pairs, None, k=1)
        return over_tau(lead.clamp(min=0), self.tau)


class SimpleLimitLoss(TemperatureLoss):
    """The limit of the contrastive loss for large tau (Eq 7): the simple loss, scaled, and log N
    beside it.
    """

    def loss_of_each(self, pairs: Pairs) -> Tensor:
        pairs = pairs.without_repeats()
        value = simple_loss(pairs, None)  # [B]
        negatives = pairs.negatives()  # M, or [B]
        exact = accumulate_dtype(value)
        if isinstance(negatives, int):
            negatives = value.new_full((), negatives, dtype=exact)
        negatives = negatives.to(exact)
        n = negatives + 1
        tau = self.tau.to(exact) if isinstance(self.tau, Tensor) else self.tau
        return value * (negatives / (n * tau)).to(value.dtype) + n.log().to(value.dtype)


def described_share(alpha: float | None, k: int | None) -> str:
    """What a module's repr says of alpha and k, of which one is given."""
    if k is None:
        return f"alpha={alpha}"
    return f"k={k}"
