"""What Wang & Liu (CVPR 2021) measure on embeddings: uniformity, tolerance, neighbours, and
accuracy.

Embeddings are unit vectors z [N, d]; others are measured as they are, with a warning (on the CPU,
where looking costs nothing). Sums are taken in float64, results are Python floats (tensors from
`neighbour_profile`), and memory never grows with N squared. TypeError or ValueError for a wrong
dtype or shape, too few points, parameters out of range, and features that are not finite.
"""

import math

import torch
from torch import Tensor

from contrastlib.checks import (
    check_alike,
    check_count,
    check_dimensions,
    check_labels,
    check_positive,
    check_rows,
    check_tau,
    check_unit,
)
from contrastlib.numerics import (
    DEVICE_ELEMENTS,
    LOG2E,
    accumulate_dtype,
    at_least_float32,
    lowest,
    no_autocast,
    row_blocks,
)
from contrastlib.probe import linear_probe

__all__ = [
    "alignment",
    "knn_accuracy",
    "linear_probe",
    "neighbour_profile",
    "tolerance",
    "uniformity",
    "uniformity_ceiling",
]

PAIR_BLOCK = 512  # points a side of a block of pairs on a CPU: 1 MiB, which its cache holds
POINT_CHUNK = 8192  # points at a time where the cost is linear in N, on a CPU


@torch.no_grad()
def uniformity(z: Tensor, t: float = 2.0) -> float:
    """How evenly the points cover the sphere, Eq 10 (after Wang & Isola 2020): larger is more even.

    -log mean_{i < j} exp(-t ||z_i - z_j||^2), over distinct pairs. z [N, d], N >= 2, unit vectors;
    t > 0. Between 0 (all points equal) and 4t; on average at most `uniformity_ceiling(d, t)` for
    independent points.

    On unit vectors exp(-uniformity) = e^(-1/tau) mean_i Z_i / (N - 1) at tau = 1 / (2t), where Z_i
    = sum_{k != i} exp(s_ik / tau): the metric is the contrastive loss's own normaliser at a fixed
    temperature.
    """
    check_unit("z", z)
    check_positive("t", t)
    n = len(z)
    if n < 2:
        raise ValueError(f"z has {n} point; uniformity is a mean over pairs: give at least 2")
    scale = t * LOG2E  # base-2 exponentials, as in `streamed_losses`
    side = pair_block(z)
    with no_autocast(z):
        # One product gives the exponents: -t |x - y|^2 = [2t x, -t |x|^2, -t] . [y, 1, |y|^2].
        x = z.to(at_least_float32(z))  # [N, d]
        squares = torch.linalg.vector_norm(x, dim=1, keepdim=True).square()  # [N, 1]
        right = torch.cat([x, torch.ones_like(squares), squares], dim=1)  # [N, d + 2]
        # A running maximum: at large t every pair underflows, and the mean would be 0.
        running_max = torch.full(
            (), lowest(torch.float32), dtype=accumulate_dtype(z), device=z.device
        )
        total = torch.zeros_like(running_max)
        for i in range(0, n, side):
            rows = squares[i : i + side]  # [b, 1]
            scales = torch.full_like(rows, -scale)  # [b, 1]
            scaled = 2 * scale * x[i : i + side]  # [b, d]
            left = torch.cat([scaled, -scale * rows, scales], dim=1)  # [b, d + 2]
            for j in range(i, n, side):
                s = left @ right[j : j + side].T  # [b, c]
                if i == j:  # each pair once, and no point with itself
                    s.masked_fill_(torch.ones_like(s, dtype=torch.bool).tril_(), -math.inf)
                new_max = torch.maximum(running_max, s.amax())
                rescale = (running_max - new_max).exp2()
                block_sum = s.sub_(new_max).exp2_().sum(dim=1).to(total.dtype).sum()
                total = total * rescale + block_sum
                running_max = new_max
    log_mean = (total.log2() + running_max).item() - math.log2(n * (n - 1) / 2)
    return require_finite("uniformity", -log_mean / LOG2E)


def uniformity_ceiling(d: int, t: float = 2.0) -> float:
    """The uniformity of the uniform distribution on the unit sphere in R^d: 2t - log 0F1(; d/2;
    t^2).

    0F1(; b; x) = sum_k x^k / (k! (b)_k), summed in logs around its largest term, so that no term
    overflows. d >= 2, t > 0. It bounds the expectation over independent points; one estimate can
    exceed it a little.
    """
    check_count("d", d, 2)
    check_positive("t", t)
    b = d / 2
    # Terms k - 1 and k are equal where k (k + b - 1) = t^2; a few sqrt(k) from there they are gone.
    peak = 2 * t**2 / (b - 1 + math.hypot(b - 1, 2 * t))
    reach = 12 * math.sqrt(peak) + 60
    first = max(0, math.floor(peak - reach))
    last = math.ceil(peak + reach)
    k = torch.arange(first, last, dtype=torch.float64, device="cpu")
    log_terms = 2 * k * math.log(t) + math.lgamma(b) - torch.lgamma(b + k) - torch.lgamma(k + 1)
    return 2 * t - torch.logsumexp(log_terms, dim=0).item()


@torch.no_grad()
def tolerance(z: Tensor, labels: Tensor, *, per_class_pair: bool = True) -> float:
    """How close points of one class stay: the mean similarity of distinct same-class pairs, or Eq
    11 as printed.

    per_class_pair True: the mean over pairs with equal labels, in [-1, 1], which is what the
    paper's Table 1 can only be. False: Eq 11, E[z_i . z_j 1(labels equal)], over all distinct
    pairs: the same times the share of such pairs. z [N, d], unit vectors; labels [N], integers.
    ValueError when no two points share a class.

    The pairs are never formed: sum_{i != j in c} z_i . z_j = |sum_{i in c} z_i|^2 - sum_{i in c}
    |z_i|^2.
    """
    check_unit("z", z)
    check_labels("labels", labels, "z", z)
    n = len(z)
    classes, index = labels.unique(return_inverse=True)
    sums = torch.zeros(len(classes), z.shape[1], dtype=accumulate_dtype(z), device=z.device)
    counts = sums.new_zeros(len(classes)).index_add_(0, index, sums.new_ones(n))
    squares = sums.new_zeros(())
    chunk = point_chunk(z)
    for points, classes_of_points in zip(z.split(chunk), index.split(chunk), strict=True):
        points = points.to(sums.dtype)
        sums.index_add_(0, classes_of_points, points)
        squares += points.square().sum()
    similarity_sum = sums.flatten().dot(sums.flatten()) - squares
    pair_count = (counts * (counts - 1)).sum()
    similarity, pairs = torch.stack(
        [similarity_sum, pair_count]
    ).tolist()  # one wait for the device
    if pairs == 0:
        raise ValueError(
            f"no two of the {n} labels are equal, so there is no same-class pair; give at least "
            "two points of one class"
        )
    if not per_class_pair:
        pairs = n * (n - 1)
    return require_finite("tolerance", similarity / pairs)


@torch.no_grad()
def alignment(z1: Tensor, z2: Tensor, alpha: float = 2) -> float:
    """How far the two views of an image are apart: mean_i ||z1_i - z2_i||^alpha (Wang & Isola
    2020). Smaller is closer.

    z1 [N, d] and z2 [N, d], unit vectors, row i of both from image i; alpha > 0. In [0, 2^alpha].
    """
    check_unit("z1", z1)
    check_unit("z2", z2)
    check_alike("z2", z2, "z1", z1)
    check_positive("alpha", alpha)
    distance = torch.linalg.vector_norm(z1.to(at_least_float32(z1)) - z2, dim=1)
    return require_finite("alignment", distance.to(accumulate_dtype(z1)).pow(alpha).mean().item())


@torch.no_grad()
def neighbour_profile(
    z: Tensor, keys: Tensor, positive: Tensor, k: int = 10
) -> tuple[Tensor, Tensor]:
    """Each anchor's similarity to its positive and to its k nearest negatives: what Fig 8 averages
    over anchors.

    z [B, d] and keys [M, d], unit vectors; positive [B], long, each anchor's row of keys, which is
    never among its neighbours; k in [1, M - 1]. Returns tensors pos [B] and top [B, k], each row of
    top in descending order.
    """
    check_unit("z", z)
    check_unit("keys", keys)
    check_dimensions("z", z, "keys", keys)
    check_rows("positive", positive, z, keys)
    check_count(
        "k",
        k,
        1,
        len(keys) - 1,
        "an anchor has one negative for each row of keys but its positive's",
    )
    dtype = torch.promote_types(at_least_float32(z), keys.dtype)
    keys = keys.to(dtype)
    pos = []
    top = []
    with no_autocast(z):
        for block in row_blocks(len(z), len(keys), keys.device):
            s = z[block].to(dtype) @ keys.T  # [b, M]
            rows = positive[block, None]  # [b, 1]
            pos.append(s.gather(1, rows).squeeze(1))  # [b]
            s.scatter_(1, rows, lowest(s))
            top.append(s.topk(k, dim=1).values)  # [b, k]
    return torch.cat(pos), torch.cat(top)


@torch.no_grad()
def knn_accuracy(
    train_z: Tensor,
    train_labels: Tensor,
    test_z: Tensor,
    test_labels: Tensor,
    k: int = 200,
    tau: float = 0.07,
) -> float:
    """The share of test points, in [0, 1], whose k nearest training points vote for their class (Wu
    et al. 2018).

    A neighbour of similarity s votes with weight exp(s / tau). train_z [N, d] and test_z [M, d],
    unit vectors; train_labels [N] and test_labels [M], integers; k in [1, N]; tau > 0.
    """
    check_unit("train_z", train_z)
    check_unit("test_z", test_z)
    check_dimensions("train_z", train_z, "test_z", test_z)
    check_labels("train_labels", train_labels, "train_z", train_z)
    check_labels("test_labels", test_labels, "test_z", test_z)
    check_count("k", k, 1, len(train_z), "train_z has no more neighbours than points")
    check_positive("tau", tau)
    check_tau(tau)
    classes, index = train_labels.unique(return_inverse=True)
    dtype = torch.promote_types(at_least_float32(train_z), test_z.dtype)
    keys = train_z.to(dtype)
    right = torch.zeros((), dtype=torch.long, device=keys.device)
    with no_autocast(keys):
        for block in row_blocks(len(test_z), len(keys), keys.device):
            s, nearest = (test_z[block].to(dtype) @ keys.T).topk(k, dim=1)  # [b, k]
            # Less the largest, which changes no vote's winner.
            weights = ((s - s[:, :1]) * (LOG2E / tau)).exp2()  # [b, k]
            votes = weights.new_zeros(len(s), len(classes))  # [b, classes]
            votes.scatter_add_(1, index[nearest], weights)
            right += (classes[votes.argmax(dim=1)] == test_labels[block]).sum()
    return right.item() / len(test_z)


def pair_block(z: Tensor) -> int:
    """How many points a side of a block of pairs has."""
    if z.device.type == "cpu":
        return PAIR_BLOCK
    return math.isqrt(DEVICE_ELEMENTS)


def point_chunk(z: Tensor) -> int:
    """How many of the points z [N, d] are read at a time."""
    if z.device.type == "cpu":
        return POINT_CHUNK
    return max(1, DEVICE_ELEMENTS // z.shape[1])


def require_finite(name: str, value: float) -> float:
    """Refuse a result that is not finite, which is how bad features show on a GPU, where they are
    not looked at.
    """
    if not math.isfinite(value):
        raise ValueError(
            f"{name} came out as {value}: the features are not finite, or too long; give unit "
            "vectors"
        )
    return value
