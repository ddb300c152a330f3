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

The losses over the hardest negatives alone, which need a whole row of similarities, are in
`hardest`.

Tensors: B anchors, M keys, C keys of a chunk, d dimensions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from contrastlib.numerics import (
    LOG2E,
    block_elements,
    keys_per_chunk,
    lowest,
    mask_out_,
    no_autocast,
)
from contrastlib.pairs import Pairs

NO_SECOND_DERIVATIVE = (
    "the losses on embeddings have no second derivative: drop create_graph=True, or use the "
    "equation on similarities, such as losses.contrastive, which has one; torch.func's transforms "
    "ask for one too, so call loss.backward() instead"
)


def contrastive_loss(pairs: Pairs, tau: float | Tensor) -> Tensor:
    """The contrastive loss of each anchor, [B]; tau a number or [] or [B]."""
    refuse_transforms()
    tau = column(tau, pairs.features)
    return StreamedContrastive.apply(
        pairs.features, pairs.keys, pairs.positive_keys, tau, pairs.left_out()
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
            s_pos = (queries * positive_keys).sum(dim=1, keepdim=True)  # [B, 1]
            margin = (log_sum - s_pos) / LOG2E  # [B, 1]
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
