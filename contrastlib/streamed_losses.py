"""The losses on embeddings: one pass over the keys, gradients in closed form, never the B x M
matrix.

Why it works: for all these losses the gradient by an anchor f_i is a weighted sum of keys,

    dL_i/df_i = sum_j a_ij k_j - b_i k_pos,    a_ij = dL_i/ds_ij,    b_i = -dL_i/ds_i,pos

over the negatives j. For the contrastive loss a_ij = b_i softmax_j(s_ij / tau) with b_i = (1 -
P_pos) / tau: attention, with the anchor as query and the keys as both keys and values. So it is
streamed as attention is, with a running maximum. The positive's own column is left out rather than
subtracted afterwards: where P_pos is almost 1, subtracting would cancel every digit.

These losses depend on f / tau alone: L(c f, c tau) = L(f, tau) for any c > 0. The derivative of
that by c, at c = 1, is Euler's theorem, f . dL/df + tau dL/dtau = 0, and gives the gradient of the
temperature for one dot product: dL/dtau = -(f . dL/df) / tau.

Tensors: B anchors, b anchors of a block, M keys, C keys of a chunk, d dimensions.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from contrastlib.checks import readable
from contrastlib.numerics import (
    LOG2E,
    at_least_float32,
    block_elements,
    keys_per_chunk,
    kth_largest,
    lowest,
    mask_out_,
    no_autocast,
    row_blocks,
)

NO_SECOND_DERIVATIVE = (
    "the losses on embeddings have no second derivative: drop create_graph=True, or use the "
    "equation on similarities, such as losses.contrastive, which has one; torch.func's transforms "
    "ask for one too, so call loss.backward() instead"
)


class Pairs(NamedTuple):
    """What is compared with what: a loss module's arguments, checked and brought to one dtype."""

    features: Tensor  # [B, d], float32 or float64
    keys: Tensor  # [M, d], any floating dtype
    positive_keys: Tensor  # [B, d], in the dtype of features
    positive: Tensor | None  # [B], long
    ignore: Tensor | None  # [B, m], long, -1 for none

    @property
    def left_out(self) -> Tensor | None:
        """The rows of keys that are no negatives of each anchor, [B, p], long, or None; -1 for
        none.
        """
        lists = []
        if self.positive is not None:
            lists.append(self.positive[:, None])
        if self.ignore is not None:
            lists.append(self.ignore)
        if not lists:
            return None
        if len(lists) == 1:
            return lists[0]
        return torch.cat(lists, dim=1)

    @property
    def most_negatives(self) -> int:
        """The number of negatives of an anchor that ignores no key."""
        if self.positive is None:
            return len(self.keys)
        return len(self.keys) - 1

    def without_repeats(self) -> "Pairs":
        """The same pairs, with -1 in place of ignored rows that are listed twice or are the
        positive's.
        """
        if self.ignore is None:
            return self
        rows = self.ignore.sort(dim=1).values  # [B, m]
        nothing = rows.new_full((len(rows), 1), -1)  # [B, 1]
        uncounted = rows.diff(dim=1, prepend=nothing) == 0  # [B, m]
        if self.positive is not None:
            uncounted = uncounted | (rows == self.positive[:, None])
        return self._replace(ignore=rows.masked_fill(uncounted, -1))

    def negatives(self) -> int | Tensor:
        """The number of negatives of every anchor or, where they differ, of each, [B]; call it
        without repeats.
        """
        if self.ignore is None:
            return self.most_negatives
        return self.most_negatives - (self.ignore >= 0).sum(dim=1)


def make_pairs(
    features: Tensor,
    keys: Tensor,
    positive: Tensor | None,
    positive_keys: Tensor | None,
    ignore: Tensor | None,
) -> Pairs:
    """Look the positive keys up and bring all but the keys to float32, or float64 if features or
    keys are.
    """
    dtype = torch.promote_types(at_least_float32(features), keys.dtype)
    if positive_keys is None:
        positive_keys = keys[positive]
    if ignore is not None and ignore.ndim == 1:
        ignore = ignore[:, None]
    return Pairs(features.to(dtype), keys, positive_keys.to(dtype), positive, ignore)


def check_some_left(pairs: Pairs) -> None:
    """Refuse lists to ignore that leave an anchor without a negative, on the CPU only."""
    if (
        pairs.ignore is None
        or pairs.most_negatives > pairs.ignore.shape[1]
        or not readable(pairs.ignore)
    ):
        return
    negatives = pairs.without_repeats().negatives()  # [B]
    if int(negatives.min()) < 1:
        raise ValueError(
            f"ignore leaves no negative of anchor {int(negatives.argmin())}, of {len(pairs.keys)} "
            "keys; ignore fewer rows, or give more keys"
        )


def contrastive_loss(pairs: Pairs, tau: float | Tensor) -> Tensor:
    """The contrastive loss of each anchor, [B]; tau a number or [] or [B]."""
    refuse_transforms()
    tau = column(tau, pairs.features)
    return StreamedContrastive.apply(
        pairs.features, pairs.keys, pairs.positive_keys, tau, pairs.left_out
    )


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
        pairs.left_out,
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
        pairs.features, pairs.keys, pairs.positive_keys, lam, pairs.left_out, k, k_each, sum_weights
    )


def simple_loss(pairs: Pairs, lam: float | None) -> Tensor:
    """The simple loss of each anchor, [B], by the sum of all keys: sum_k f . k_k = f . sum_k k_k.

    pairs: without repeats.
    """
    if lam is None:
        lam = mean_weight(pairs)
    negative_sum = key_sum(pairs.keys, pairs.features)  # [d]
    if pairs.positive is not None:
        negative_sum = negative_sum - pairs.positive_keys  # [B, d]
    if pairs.ignore is not None:
        negative_sum = negative_sum - ignored_sum(pairs)  # [B, d]
    return (pairs.features * (lam * negative_sum - pairs.positive_keys)).sum(dim=1)


def mean_weight(pairs: Pairs) -> float | Tensor:
    """1 / (number of negatives): a number or, where they differ, [B, 1]."""
    negatives = pairs.negatives()
    if isinstance(negatives, int):
        return 1 / negatives
    return 1 / negatives.clamp(min=1).to(pairs.features.dtype)[:, None]


def key_sum(keys: Tensor, features: Tensor) -> Tensor:
    """The sum [d] of all keys [M, d]; half-precision keys are widened a few at a time, never all at
    once.
    """
    rows = keys_per_chunk(len(features), keys.device)
    return torch.stack([chunk.sum(dim=0, dtype=features.dtype) for chunk in keys.split(rows)]).sum(
        dim=0
    )


def ignored_sum(pairs: Pairs) -> Tensor:
    """The sum [B, d] of the keys that each anchor ignores; pairs without repeats."""
    rows = pairs.ignore  # [B, m]
    total = torch.zeros_like(pairs.features)  # [B, d]
    for some in rows.split(max(1, block_elements(rows.device) // pairs.features.numel()), dim=1):
        there = (some >= 0)[:, :, None]  # [B, c, 1]
        keys = pairs.keys[some.clamp(min=0)].to(total.dtype)  # [B, c, d]
        total = total + (keys * there).sum(dim=1)
    return total


def column(tau: float | Tensor, features: Tensor) -> float | Tensor:
    """A number as it is; a tensor [] or [B] as [1, 1] or [B, 1], in the dtype of features."""
    if isinstance(tau, Tensor):
        return tau.to(features.dtype).reshape(-1, 1)
    return tau


def refuse_transforms() -> None:
    """Refuse torch.func's grad, vmap and their like, of which PyTorch's own message says nothing
    helpful.
    """
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        raise RuntimeError(NO_SECOND_DERIVATIVE)


def refuse_second_derivative() -> None:
    """Gradients are enabled in a backward pass for create_graph=True alone: ours would count as
    constant.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(NO_SECOND_DERIVATIVE)


def tau_gradient(tau: Tensor, features: Tensor, grad_features: Tensor) -> Tensor:
    """dL/dtau = -(f . dL/df) / tau, Euler's theorem, in the shape of tau, [1, 1] or [B, 1]."""
    of_each = -(features * grad_features).sum(dim=1, keepdim=True) / tau  # [B, 1]
    return of_each.sum_to_size(tau.shape)


class StreamedContrastive(Function):
    """The contrastive loss [B], streamed over chunks of keys.

    L = softplus(margin), margin = logsumexp_j(s_ij / tau) - s_pos / tau over the negatives j. Chunk
    after chunk, the logsumexp is kept as running_max + log2(normaliser), in powers of two, and when
    the maximum rises by x, normaliser and weighted_keys (the sums of 2^s and of 2^s times the key)
    shrink to 2^-x of what they were.
    """

    @staticmethod
    def forward(ctx, features, keys, positive_keys, tau, left_out):
        with no_autocast(features):
            queries = features * (LOG2E / tau)  # [B, d]
            running_max = torch.full_like(queries[:, :1], lowest(queries))  # [B, 1]
            normaliser = torch.zeros_like(running_max)  # [B, 1]
            weighted_keys = torch.zeros_like(queries)  # [B, d]
            size = keys_per_chunk(len(queries), keys.device)
            for start in range(0, len(keys), size):
                chunk = keys[start : start + size].to(queries.dtype)  # [C, d]
                s = mask_out_(queries @ chunk.T, left_out, start)  # [B, C]
                new_max = torch.maximum(running_max, s.amax(dim=1, keepdim=True))  # [B, 1]
                rescale = (running_max - new_max).exp2_()  # [B, 1]
                s.sub_(new_max).exp2_()  # [B, C]
                normaliser.mul_(rescale).add_(s.sum(dim=1, keepdim=True))  # [B, 1]
                weighted_keys.mul_(rescale).addmm_(s, chunk)  # [B, d]
                running_max = new_max
            log_sum = running_max + normaliser.log2()  # [B, 1]
            margin = (
                log_sum - (queries * positive_keys).sum(dim=1, keepdim=True)
            ) / LOG2E  # [B, 1]
            pull = margin.sigmoid() / tau  # [B, 1], b_i
            gradient = pull * (weighted_keys / normaliser - positive_keys)  # [B, d], dL/df
            loss = F.softplus(margin, threshold=40).squeeze(1)  # [B]
        tau_tensor = tau if isinstance(tau, Tensor) else None
        ctx.tau_number = None if isinstance(tau, Tensor) else tau
        ctx.save_for_backward(features, keys, tau_tensor, left_out, pull, log_sum, gradient)
        return loss

    @staticmethod
    def backward(ctx, grad):
        refuse_second_derivative()
        features, keys, tau, left_out, pull, log_sum, gradient = ctx.saved_tensors
        if tau is None:
            tau = ctx.tau_number
        _, needs_keys, needs_positive_keys, needs_tau, _ = ctx.needs_input_grad
        grad_keys = None
        grad_positive_keys = None
        grad_tau = None
        grad = grad[:, None]  # [B, 1]
        with no_autocast(features):
            grad_features = grad * gradient  # [B, d]
            if needs_tau:
                grad_tau = tau_gradient(tau, features, grad_features)
            if needs_positive_keys or needs_keys:
                pulled = grad * pull * features  # [B, d]
            if needs_positive_keys:
                grad_positive_keys = -pulled
            if needs_keys:
                grad_keys = torch.empty_like(keys)  # [M, d]
                queries = features * (LOG2E / tau)  # [B, d]
                size = keys_per_chunk(len(queries), keys.device)
                for start in range(0, len(keys), size):
                    s = queries @ keys[start : start + size].to(queries.dtype).T  # [B, C]
                    s = mask_out_(s, left_out, start)
                    r = s.sub_(log_sum).exp2_()  # [B, C], shares of the push
                    grad_keys[start : start + size] = r.T @ pulled
        return grad_features, grad_keys, grad_positive_keys, grad_tau, None


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
