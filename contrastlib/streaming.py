"""The losses on embeddings: one pass over the keys, the gradient in closed form, never the whole B x M matrix.

Why it works: for all four losses the gradient by an anchor f_i is a weighted sum of keys,

    dL_i/df_i = sum_j a_ij k_j - b_i k_pos,    a_ij = dL_i/ds_ij over the negatives,    b_i = -dL_i/ds_i,pos

and for the contrastive loss a_ij = b_i softmax_j(s_ij / tau) with b_i = (1 - P_pos) / tau: attention, with the anchor
as query and the keys as both keys and values. So it is streamed as attention is, with a running maximum. The positive's
own column is left out rather than subtracted afterwards: where P_pos is almost 1, subtracting would cancel every digit.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

CHUNK = 4096  # keys at a time: B x CHUNK similarities stay in the processor's cache
BLOCK = 2**22  # similarities at a time for the hard losses, which need whole rows
LOG2E = math.log2(math.e)  # base-2 exponentials: torch.exp on a CPU is up to 80 times slower where it underflows


def chosen(
    features: Tensor, keys: Tensor, positive: Tensor | None, positive_keys: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """features, keys, and the positive keys; all but keys in float32, or in float64 if features or keys are."""
    dtype = torch.promote_types(at_least_float32(features), keys.dtype)
    if positive_keys is None:
        positive_keys = keys[positive]
    return features.to(dtype), keys, positive_keys.to(dtype)


def at_least_float32(x: Tensor) -> torch.dtype:
    """float64 for float64, float32 for anything less."""
    return torch.promote_types(x.dtype, torch.float32)


def no_autocast(tensor: Tensor):
    """Autocast off: similarities rounded to half precision are wrong at small tau and near collapse."""
    return torch.autocast(tensor.device.type, enabled=False)


def key_sum(keys: Tensor, dtype: torch.dtype) -> Tensor:
    """The sum [d] of all keys [M, d], in chunks: half-precision keys are widened a few at a time, never all at once."""
    return torch.stack([chunk.sum(dim=0, dtype=dtype) for chunk in keys.split(CHUNK)]).sum(dim=0)


def leave_out(s: Tensor, rows: Sequence[Tensor], start: int = 0) -> Tensor:
    """Set each anchor's left-out keys to the lowest number in s [B, C], the columns from `start`; no host sync.

    The lowest number rather than -inf: its exponential is 0 too, and it makes no NaN.
    """
    for row in rows:
        column = (row - start).clamp(0, s.shape[1] - 1)[:, None]
        here = ((row >= start) & (row < start + s.shape[1]))[:, None]
        s.scatter_(1, column, torch.where(here, torch.finfo(s.dtype).min, s.gather(1, column)))
    return s


def refuse_second_derivative() -> None:
    """Gradients are enabled in a backward pass for create_graph=True alone, and ours would then count as constant."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            "the losses on embeddings have no second derivative: drop create_graph=True, or use the equation on "
            "similarities, such as losses.contrastive, which has one"
        )


class Softmax(Function):
    """The contrastive loss [B], streamed over chunks of keys.

    L = softplus(D), D = logsumexp_j(s_ij / tau) - s_pos / tau over the negatives j.
    """

    @staticmethod
    def forward(ctx, features, keys, positive_keys, tau, *left_out):
        with no_autocast(features):
            queries = features * (LOG2E / tau)
            top = torch.full_like(queries[:, :1], torch.finfo(queries.dtype).min)
            total = torch.zeros_like(top)
            pulled = torch.zeros_like(queries)
            for start in range(0, len(keys), CHUNK):
                chunk = keys[start : start + CHUNK].to(queries.dtype)
                s = leave_out(queries @ chunk.T, left_out, start)
                new_top = torch.maximum(top, s.amax(dim=1, keepdim=True))
                shrink = (top - new_top).exp2_()
                s.sub_(new_top).exp2_()
                total.mul_(shrink).add_(s.sum(dim=1, keepdim=True))
                pulled.mul_(shrink).addmm_(s, chunk)
                top = new_top
            lse = top + total.log2()
            d = (lse - (queries * positive_keys).sum(dim=1, keepdim=True)) / LOG2E
            weight = d.sigmoid() / tau
            ctx.save_for_backward(features, keys, weight, lse, weight * (pulled / total - positive_keys), *left_out)
            ctx.tau = tau
            return F.softplus(d, threshold=40).squeeze(1)

    @staticmethod
    def backward(ctx, grad):
        refuse_second_derivative()
        features, keys, weight, lse, gradient, *left_out = ctx.saved_tensors
        grad = grad[:, None]
        grad_keys = None
        with no_autocast(features):
            pull = grad * weight * features  # what each anchor does to a key, before its share r_ij
            if ctx.needs_input_grad[1]:
                grad_keys = torch.empty_like(keys)
                queries = features * (LOG2E / ctx.tau)
                for start in range(0, len(keys), CHUNK):
                    s = queries @ keys[start : start + CHUNK].to(queries.dtype).T
                    r = leave_out(s, left_out, start).sub_(lse).exp2_()
                    grad_keys[start : start + CHUNK] = r.T @ pull
        return grad * gradient, grad_keys, -pull, None, *(None,) * len(left_out)


class Hardest(Function):
    """A loss [B] over each anchor's k largest similarities, exact, a block of anchors at a time.

    `weigh(s_pos [b, 1], s [b, M], kept [b, M]) -> (loss [b], a [b, M], b [b, 1])` gets kept = 1 where a negative
    counts and 0 elsewhere, may overwrite s and kept, and returns a = dloss/ds and b = -dloss/ds_pos.
    """

    @staticmethod
    def forward(ctx, features, keys, positive_keys, k, weigh, *left_out):
        losses, gradients, pulls = [], [], []
        with no_autocast(features):
            wide = keys.to(features.dtype)
            for f, k_pos, *rows in blocks(len(keys), features, positive_keys, *left_out):
                loss, a, b = weigh((f * k_pos).sum(dim=1, keepdim=True), *hardest(f, wide, k, rows))
                losses.append(loss)
                gradients.append(a @ wide - b * k_pos)
                pulls.append(b * f)
        ctx.save_for_backward(features, keys, positive_keys, torch.cat(gradients), torch.cat(pulls), *left_out)
        ctx.k, ctx.weigh = k, weigh
        return torch.cat(losses)

    @staticmethod
    def backward(ctx, grad):
        refuse_second_derivative()
        features, keys, positive_keys, gradient, pull, *left_out = ctx.saved_tensors
        grad = grad[:, None]
        grad_keys = None
        if ctx.needs_input_grad[1]:
            with no_autocast(features):
                wide = keys.to(features.dtype)
                grad_keys = torch.zeros_like(wide)
                for g, f, k_pos, *rows in blocks(len(keys), grad, features, positive_keys, *left_out):
                    _, a, _ = ctx.weigh((f * k_pos).sum(dim=1, keepdim=True), *hardest(f, wide, ctx.k, rows))
                    grad_keys.addmm_(a.T, g * f)
        return grad * gradient, grad_keys, -grad * pull, None, None, *(None,) * len(left_out)


def blocks(columns: int, *tensors: Tensor):
    """Walk through several [B, ...] tensors together, in even parts of so few rows that rows x columns fits BLOCK."""
    batch = len(tensors[0])
    parts = math.ceil(batch / max(1, BLOCK // columns))
    return zip(*(t.split(math.ceil(batch / parts)) for t in tensors), strict=True)


def hardest(f: Tensor, keys: Tensor, k: int, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Similarities [b, M] of the anchors f with all keys, and 1 where they are at or above the k-th largest, else 0."""
    s = leave_out(f @ keys.T, rows)
    return s, torch.ge(s, kth_largest(s, k), out=torch.empty_like(s))


def kth_largest(s: Tensor, k: int) -> Tensor:
    """The k-th largest value of each row of s [b, M] -> [b, 1], exact."""
    if s.device.type != "cpu":
        return s.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    # On a CPU, selecting among all M costs as much as a matrix product. A sample of the columns says between which two
    # values the k-th largest lies, four standard deviations on either side; select among those few.
    values = s.numpy()
    sample = values[:, ::16]
    rank = k * sample.shape[1] / s.shape[1]
    low = min(sample.shape[1], math.ceil(rank + 4 * math.sqrt(rank) + 1))
    high = max(1, math.floor(rank - 4 * math.sqrt(rank) - 1))
    ordered = np.partition(sample, (-low, -high), axis=1)
    above = values >= ordered[:, [-high]]
    between = np.flatnonzero((values >= ordered[:, [-low]]) ^ above)
    ends = np.searchsorted(between, s.shape[1] * np.arange(len(s) + 1))
    candidates = values.ravel()[between]
    result = np.empty((len(s), 1), values.dtype)
    for i, rest in enumerate(k - np.count_nonzero(above, axis=1)):
        row = candidates[ends[i] : ends[i + 1]]
        if not 1 <= rest <= len(row):  # the sample misled us
            row, rest = values[i], k
        result[i] = np.partition(row, -rest)[-rest]
    return torch.from_numpy(result)


def weigh_softmax(tau: float):
    """How the contrastive loss weighs the negatives it is shown: b times a Boltzmann distribution."""

    def weigh(s_pos, s, kept):
        top = s.amax(dim=1, keepdim=True)
        a = s.sub_(top).mul_(LOG2E / tau).exp2_().mul_(kept)
        total = a.sum(dim=1, keepdim=True)
        d = (top - s_pos) / tau + total.log()
        b = d.sigmoid() / tau
        return F.softplus(d, threshold=40).squeeze(1), a.mul_(b / total), b

    return weigh


def weigh_sum(lam: float | None):
    """How the simple loss weighs the negatives it is shown: all alike, lam, or 1 / their number if lam is None."""

    def weigh(s_pos, s, kept):
        a = kept.mul_(1 / kept.sum(dim=1, keepdim=True) if lam is None else lam)
        return s.mul_(a).sum(dim=1) - s_pos.squeeze(1), a, torch.ones_like(s_pos)

    return weigh


def softmax(features, keys, positive, positive_keys, ignore, tau) -> Tensor:
    """The contrastive loss [B] of checked arguments, as `losses.ContrastiveLoss.forward` takes them."""
    left_out = [rows for rows in (positive, ignore) if rows is not None]
    return Softmax.apply(*chosen(features, keys, positive, positive_keys), tau, *left_out)


def hard_softmax(features, keys, positive, positive_keys, ignore, tau, k) -> Tensor:
    """The hard contrastive loss [B] of checked arguments."""
    left_out = [rows for rows in (positive, ignore) if rows is not None]
    return Hardest.apply(*chosen(features, keys, positive, positive_keys), k, weigh_softmax(tau), *left_out)


def hard_sum(features, keys, positive, positive_keys, ignore, lam, k) -> Tensor:
    """The hard simple loss [B] of checked arguments."""
    left_out = [rows for rows in (positive, ignore) if rows is not None]
    return Hardest.apply(*chosen(features, keys, positive, positive_keys), k, weigh_sum(lam), *left_out)
