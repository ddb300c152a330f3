"""The losses over each anchor's hardest negatives, on embeddings, exact: how many are kept, and one
pass over the keys with gradients in closed form.

The k-th largest similarity of an anchor is known only when all of its similarities are. So these
losses hold whole rows of them, for a block of anchors at a time, and compute them again for the
gradient of the keys. Why the gradient is a weighted sum of keys says `streamed_losses`.

Tensors: B anchors, b anchors of a block, M keys, d dimensions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from contrastlib.checks import check_kept, number_kept, readable
from contrastlib.numerics import (
    LOG2E,
    accumulate_dtype,
    kth_largest,
    lowest,
    mask_out_,
    no_autocast,
    row_blocks,
)
from contrastlib.pairs import Pairs
from contrastlib.streamed_losses import (
    column,
    refuse_second_derivative,
    refuse_transforms,
    tau_gradient,
)


def numbers_kept(pairs: Pairs, alpha: float | None, k: int | None) -> tuple[int, Tensor | None]:
    """How many negatives a hard loss keeps: at most, and of each anchor, [B, 1], or None if that is
    the same.
    """
    most = number_kept(pairs.most_negatives(), alpha, k)
    if pairs.ignore is None:
        return most, None
    if alpha is None and not readable(pairs.ignore):
        return most, None
    negatives = pairs.without_repeats().negatives()  # [B]
    check_kept(k, negatives)
    if alpha is None:
        return most, None
    return most, number_kept_of_each(negatives, alpha)[:, None]


def number_kept_of_each(negatives: Tensor, alpha: float) -> Tensor:
    """max(1, round(alpha * negatives)) for each anchor's number of negatives, [B], long."""
    return (alpha * negatives.to(accumulate_dtype(negatives))).round().clamp(min=1).long()


def hard_contrastive_loss(
    pairs: Pairs, tau: float | Tensor, k: int, k_each: Tensor | None = None
) -> Tensor:
    """The contrastive loss of each anchor's k hardest negatives, [B]; k_each [B, 1] or None: a k
    for each.
    """
    refuse_transforms()
    tau = column(tau, pairs.features)
    return StreamedHardest.apply(
        pairs.features,
        pairs.keys,
        pairs.positive_keys,
        tau,
        pairs.left_out(),
        k,
        k_each,
        softmax_weights,
    )


def hard_simple_loss(
    pairs: Pairs, lam: float | None, k: int, k_each: Tensor | None = None
) -> Tensor:
    """The simple loss of each anchor's k hardest negatives, [B]."""
    refuse_transforms()
    return StreamedHardest.apply(
        pairs.features,
        pairs.keys,
        pairs.positive_keys,
        lam,
        pairs.left_out(),
        k,
        k_each,
        sum_weights,
    )


class StreamedHardest(Function):
    """A loss [B] over each anchor's k largest similarities, exact, a block of anchors at a time.

    `weigh(s_pos [b, 1], s [b, M], kept [b, M], setting) -> (loss [b], a [b, M], b [b, 1])` gets
    kept = 1 where a negative counts and 0 elsewhere, may overwrite s and kept, and returns a =
    dloss/ds and b = -dloss/ds_pos. setting is the loss's own, tau or lam.
    """

    @staticmethod
    def forward(ctx, features, keys, positive_keys, setting, left_out, k, k_each, weigh):
        losses = []
        gradients = []
        pulls = []
        with no_autocast(features):
            wide_keys = keys.to(features.dtype)  # [M, d]
            for block in row_blocks(len(features), len(keys), keys.device):
                f = features[block]  # [b, d]
                own = positive_keys[block]  # [b, d]
                s, kept = hardest(f, wide_keys, rows_of(left_out, block), k, rows_of(k_each, block))
                s_pos = (f * own).sum(dim=1, keepdim=True)  # [b, 1]
                loss, a, b = weigh(s_pos, s, kept, rows_of(setting, block))
                losses.append(loss)  # [b]
                gradients.append(a @ wide_keys - b * own)  # [b, d]
                pulls.append(b)  # [b, 1]
        setting_tensor = setting if isinstance(setting, Tensor) else None
        ctx.setting = None if isinstance(setting, Tensor) else setting
        ctx.k = k
        ctx.weigh = weigh
        ctx.save_for_backward(
            features,
            keys,
            positive_keys,
            setting_tensor,
            left_out,
            k_each,
            torch.cat(gradients),
            torch.cat(pulls),
        )
        return torch.cat(losses)

    @staticmethod
    def backward(ctx, grad):
        refuse_second_derivative()
        features, keys, positive_keys, setting, left_out, k_each, gradient, pull = ctx.saved_tensors
        if setting is None:
            setting = ctx.setting
        needs_keys, needs_positive_keys, needs_setting = ctx.needs_input_grad[1:4]
        grad_keys = None
        grad_positive_keys = None
        grad_setting = None
        grad = grad[:, None]  # [B, 1]
        with no_autocast(features):
            grad_features = grad * gradient  # [B, d]
            if needs_setting:  # only a temperature is ever a tensor
                grad_setting = tau_gradient(setting, features, grad_features)
            if needs_positive_keys:
                grad_positive_keys = -grad * (pull * features)  # [B, d]
            if needs_keys:
                wide_keys = keys.to(features.dtype)  # [M, d]
                grad_keys = torch.zeros_like(wide_keys)  # [M, d]
                for block in row_blocks(len(features), len(keys), keys.device):
                    f = features[block]  # [b, d]
                    s, kept = hardest(
                        f, wide_keys, rows_of(left_out, block), ctx.k, rows_of(k_each, block)
                    )
                    s_pos = (f * positive_keys[block]).sum(dim=1, keepdim=True)  # [b, 1]
                    _, a, _ = ctx.weigh(s_pos, s, kept, rows_of(setting, block))
                    grad_keys.addmm_(a.T, grad[block] * f)
        return grad_features, grad_keys, grad_positive_keys, grad_setting, None, None, None, None


def rows_of(value: Tensor | float | None, block: slice) -> Tensor | float | None:
    """A block's rows of what has a row for each anchor; a number, None or one value for all as it
    is.
    """
    if isinstance(value, Tensor) and len(value) > 1:
        return value[block]
    return value


def hardest(
    f: Tensor, keys: Tensor, left_out: Tensor | None, k: int, k_each: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Similarities [b, M] of anchors f [b, d], and 1 where they are at or above the k-th largest, 0
    elsewhere.
    """
    s = mask_out_(f @ keys.T, left_out)  # [b, M]
    threshold = kth_largest(s, k, k_each)  # [b, 1]
    # On a GPU nobody looked whether each anchor has k negatives. It keeps those that it has.
    threshold.clamp_(min=lowest(s) / 2)
    return s, torch.ge(s, threshold, out=torch.empty_like(s))


def softmax_weights(
    s_pos: Tensor, s: Tensor, kept: Tensor, tau: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """How the contrastive loss weighs the negatives it is shown: by b times a Boltzmann
    distribution.
    """
    top = s.amax(dim=1, keepdim=True)  # [b, 1]
    a = s.sub_(top).mul_(LOG2E / tau).exp2_().mul_(kept)  # [b, M]
    # It is 1 or more unless nothing is kept, [b, 1].
    normaliser = a.sum(dim=1, keepdim=True).clamp_(min=1)
    margin = (top - s_pos) / tau + normaliser.log()  # [b, 1]
    b = margin.sigmoid() / tau  # [b, 1]
    return F.softplus(margin, threshold=40).squeeze(1), a.mul_(b / normaliser), b


def sum_weights(
    s_pos: Tensor, s: Tensor, kept: Tensor, lam: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """How the simple loss weighs the negatives it is shown: all alike, by lam, or by 1 / their
    number.
    """
    if lam is None:
        lam = 1 / kept.sum(dim=1, keepdim=True).clamp_(min=1)  # [b, 1]
    a = kept.mul_(lam)  # [b, M]
    loss = s.mul_(a).sum(dim=1) - s_pos.squeeze(1)  # [b]
    return loss, a, torch.ones_like(s_pos)
