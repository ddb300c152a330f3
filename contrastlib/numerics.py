"""Precision, memory and speed: what the losses and the metrics have in common.

Tensors: B anchors, M keys, C keys of one chunk, d dimensions.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

# For exp2: torch.exp on a CPU is up to 80 times slower where it underflows; exp2 is not.
LOG2E = math.log2(math.e)

# On a CPU the similarities of a chunk should stay in the cache. On any other device they should be
# many, since each kernel costs some 10 microseconds to launch however little it computes.
KEY_CHUNK = 4096  # keys at a time, on a CPU
BLOCK_ELEMENTS = 2**22  # similarities at a time where whole rows are needed, on a CPU
DEVICE_ELEMENTS = 2**26  # similarities at a time on other devices: 256 MiB in float32


def at_least_float32(x: Tensor) -> torch.dtype:
    """float64 for float64, float32 for anything less."""
    return torch.promote_types(x.dtype, torch.float32)


def accumulate_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which sums are taken: float64, but float32 on Apple's GPUs, which have no
    float64.
    """
    return torch.float32 if x.device.type == "mps" else torch.float64


def no_autocast(tensor: Tensor) -> torch.autocast:
    """Switch autocast off: half-precision similarities are wrong at small tau and near collapse."""
    return torch.autocast(tensor.device.type, enabled=False)


def over_tau(s: Tensor, tau: float | Tensor) -> Tensor:
    """S / tau, in float32 at least; s is [B] or [B, M], tau a number or a tensor, [] or [B].

    In half precision a small tau would be 0, and the quotient infinite. Where s is -inf the
    quotient is -inf as well, and no gradient flows: the formula would give NaN.
    """
    s = s.to(at_least_float32(s))
    if isinstance(tau, Tensor):
        tau = tau.to(s.dtype)
        if tau.ndim == 1 and s.ndim == 2:
            tau = tau[:, None]  # [B, 1]
    missing = s == -math.inf
    return (s.masked_fill(missing, 0) / tau).masked_fill(missing, -math.inf)


def keys_per_chunk(batch: int, device: torch.device) -> int:
    """How many keys are compared with a batch of anchors at a time."""
    if device.type == "cpu":
        return KEY_CHUNK
    return max(1, DEVICE_ELEMENTS // batch)


def block_elements(device: torch.device) -> int:
    """How many similarities are held at a time where whole rows are needed."""
    if device.type == "cpu":
        return BLOCK_ELEMENTS
    return DEVICE_ELEMENTS


def row_blocks(batch: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Cut a batch of anchors into even blocks, such that rows x columns fits into memory."""
    rows_that_fit = max(1, block_elements(device) // columns)
    blocks = math.ceil(batch / rows_that_fit)
    rows = math.ceil(batch / blocks)
    for start in range(0, batch, rows):
        yield slice(start, start + rows)


def mask_out_(s: Tensor, left_out: Tensor | None, start: int = 0) -> Tensor:
    """Set each anchor's left-out keys to the lowest number, in place, without a wait for the
    device.

    s [B, C]: the similarities with the keys from row `start` on. left_out [B, p], long, or None:
    rows of all keys, of which those outside these columns count for nothing, and so does -1. The
    lowest number rather than -inf: its exponential is 0 too, and it makes no NaN.
    """
    if left_out is None:
        return s
    column = left_out - start  # [B, p]
    inside = column.clamp(0, s.shape[1] - 1)  # [B, p]
    # Outside, the smaller of a similarity and the highest number is written: the similarity.
    value = s.new_full(column.shape, torch.finfo(s.dtype).max)  # [B, p]
    value.masked_fill_(column == inside, lowest(s))
    return s.scatter_reduce_(1, inside, value, "amin")


def lowest(x: Tensor | torch.dtype) -> float:
    """The lowest finite number of a dtype, or of a tensor's."""
    if isinstance(x, Tensor):
        x = x.dtype
    return torch.finfo(x).min


def kth_largest(s: Tensor, k: int, k_each: Tensor | None = None) -> Tensor:
    """The k-th largest value of each row of s [B, M] -> [B, 1], exact.

    k_each [B, 1], long, or None: a k for each row, none larger than k.
    """
    if s.device.type == "cpu":
        return torch.from_numpy(kth_largest_on_cpu(s.numpy(), k, k_each))
    if k_each is None:
        return s.topk(k, dim=1, sorted=False).values.amin(dim=1, keepdim=True)
    return s.topk(k, dim=1).values.gather(1, k_each - 1)


def kth_largest_on_cpu(values: np.ndarray, k: int, k_each: Tensor | None) -> np.ndarray:
    """`kth_largest` on a CPU, where selecting among all M costs as much as a matrix product.

    A sample of the columns says between which two values the k-th largest lies, four standard
    deviations on either side; it is then selected among the few that are between them.
    """
    batch, columns = values.shape
    ranks = np.full(batch, k)
    if k_each is not None:
        ranks = k_each.numpy().ravel()
    sample = values[:, ::16]
    share = sample.shape[1] / columns
    last_rank = ranks.max() * share
    first_rank = ranks.min() * share
    low = min(sample.shape[1], math.ceil(last_rank + 4 * math.sqrt(last_rank) + 1))
    high = max(1, math.floor(first_rank - 4 * math.sqrt(first_rank) - 1))
    ordered = np.partition(sample, (-low, -high), axis=1)
    above = values >= ordered[:, [-high]]  # [B, M]
    between = (values >= ordered[:, [-low]]) ^ above  # [B, M]
    result = np.empty((batch, 1), values.dtype)
    for row, rank in enumerate(ranks):
        remaining = rank - np.count_nonzero(above[row])
        candidates = values[row][np.flatnonzero(between[row])]
        if not 1 <= remaining <= len(candidates):  # the sample misled us
            candidates = values[row]
            remaining = rank
        result[row] = np.partition(candidates, -remaining)[-remaining]
    return result
