"""What the public functions refuse, each in one clear line: what was given, what is allowed, how to
fix it.

Shapes, dtypes and hyper-parameters are checked always. Values inside tensors are checked on the CPU
only, where it costs nothing: on a GPU it would make every step wait for the device.
"""

import math
import warnings
from numbers import Integral, Real

import torch
from torch import Tensor

SMALLEST_TAU = 1e-30  # similarities over less would overflow in float32


def readable(tensor: Tensor) -> bool:
    """True where reading a tensor's values costs nothing: on the CPU, outside torch.compile."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def check_positive(name: str, value: float) -> None:
    """Refuse anything but a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name} is {value!r}, a {type(value).__name__}; give a number above 0, such as 0.2"
        )
    if not (math.isfinite(value) and value > 0):
        raise ValueError(
            f"{name} is {value}; it must be finite and above 0: give a number such as 0.2"
        )


def check_tau(tau: float | Tensor, batch: int | None = None, other: Tensor | None = None) -> None:
    """Refuse a temperature that is not finite and above zero, or so small that float32 cannot
    divide by it.

    tau: a number, or a floating-point tensor, [] or [batch], on the device of `other`. Without a
    batch any one-dimensional tensor will do. Values in a tensor are read on the CPU only.
    """
    if not isinstance(tau, Tensor):
        check_positive("tau", tau)
        if tau < SMALLEST_TAU:
            raise ValueError(
                f"tau is {tau}; similarities over it overflow: give at least {SMALLEST_TAU}"
            )
        return
    if not tau.is_floating_point():
        raise TypeError(
            f"tau has dtype {tau.dtype}; it must be floating point: call .float() on it"
        )
    if tau.ndim > 1 or (tau.ndim == 1 and batch is not None and len(tau) != batch):
        anchors = "B" if batch is None else batch
        raise ValueError(
            f"tau has shape {list(tau.shape)}; give a number, a tensor without dimensions, or one "
            f"temperature for each anchor, [{anchors}]"
        )
    if other is not None and tau.device != other.device:
        raise ValueError(
            f"tau is on {tau.device} and the embeddings on {other.device}; move it, or the module "
            "whose parameter it is, with .to(device)"
        )
    if not readable(tau):
        return
    fits = tau.isfinite() & (tau >= SMALLEST_TAU)
    if not bool(fits.all()):
        worst = tau[~fits].flatten()[0].item()
        raise ValueError(
            f"tau is {worst:.6g}; it must be finite and above 0, at least {SMALLEST_TAU}: give a "
            "number such as 0.2; of a learnt tau, learn the logarithm or clamp it after each step"
        )


def check_finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity, on the CPU only."""
    if readable(tensor) and not bool(tensor.isfinite().all()):
        bad = int((~tensor.isfinite()).sum())
        raise ValueError(
            f"{name} has {bad} value(s) that are NaN or infinite; all must be finite: look for a "
            "zero vector that was normalised, or a training run that diverged"
        )


def check_floating(name: str, tensor: Tensor, shape: str) -> None:
    """Refuse anything but a floating-point tensor with as many dimensions as `shape`, such as "B
    d", names.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is a {type(tensor).__name__}; give a tensor of shape [{shape}]")
    if not tensor.is_floating_point():
        raise TypeError(
            f"{name} has dtype {tensor.dtype}; it must be floating point: call .float() on it"
        )
    sizes = shape.split()
    if tensor.ndim != len(sizes) or 0 in tensor.shape:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)}; give [{', '.join(sizes)}], none of them 0"
        )


def check_similarities(s_pos: Tensor, s_neg: Tensor) -> None:
    """Refuse anything but s_pos [B] and s_neg [B, M], on one device, finite (s_neg or -inf), with M
    >= 1.
    """
    check_floating("s_pos", s_pos, "B")
    check_floating("s_neg", s_neg, "B M")
    if len(s_pos) != len(s_neg):
        raise ValueError(
            f"s_pos has {len(s_pos)} anchors and s_neg has {len(s_neg)}; both need one row per "
            "anchor: s_pos [B], s_neg [B, M]"
        )
    check_same("s_pos", s_pos, "s_neg", s_neg)
    check_finite("s_pos", s_pos)
    check_negatives(s_neg)


def check_negatives(s_neg: Tensor) -> None:
    """Refuse NaN and +inf among similarities [B, M], and a row of -inf alone; -inf means "not
    there".
    """
    check_floating("s_neg", s_neg, "B M")
    if not readable(s_neg):
        return
    largest = s_neg.amax(dim=1)  # [B], NaN where there is a NaN
    if bool(largest.isfinite().all()):
        return
    if bool((s_neg.isnan() | (s_neg == math.inf)).any()):
        bad = int((~s_neg.isfinite()).sum())
        raise ValueError(
            f"s_neg has {bad} value(s) that are NaN or infinite; all must be finite, or -inf for a "
            "negative that is not there: look for a zero vector that was normalised, or a "
            "training run that diverged"
        )
    empty = int((largest == -math.inf).nonzero()[0])
    raise ValueError(
        f"s_neg leaves anchor {empty} no negative, since all of its row is -inf; give it at least "
        "one, or drop the anchor"
    )


def check_same(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse two tensors on different devices."""
    if tensor.device != other.device:
        raise ValueError(
            f"{name} is on {tensor.device} and {other_name} on {other.device}; both must be on one "
            f"device: call {other_name}.to({name}.device)"
        )


def check_alike(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse a tensor of another shape or on another device than `other` [B, d]."""
    check_floating(name, tensor, "B d")
    if tensor.shape != other.shape:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)} and {other_name} {list(other.shape)}; give one "
            f"row of {name} for each row of {other_name}: both [B, d]"
        )
    check_same(other_name, other, name, tensor)


def check_dimensions(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse embeddings [B, d] and [M, d] that differ in d or in device."""
    check_same(name, tensor, other_name, other)
    if tensor.shape[1] != other.shape[1]:
        raise ValueError(
            f"{name} have {tensor.shape[1]} dimensions and {other_name} {other.shape[1]}; both "
            f"must come from embeddings of one size: {name} [B, d], {other_name} [M, d]"
        )


def check_one_of(alpha: float | None, k: int | None) -> None:
    """Refuse both or neither of alpha and k, alpha outside (0, 1], and k that is not a whole number
    >= 1.
    """
    if (alpha is None) == (k is None):
        raise ValueError(
            f"alpha is {alpha} and k is {k}; give exactly one of them: alpha, the share of the "
            "negatives to keep, or k, their number"
        )
    if alpha is not None:
        check_positive("alpha", alpha)
        if alpha > 1:
            raise ValueError(
                f"alpha is {alpha}; it must lie in (0, 1]: it is the share of the negatives to keep"
            )
    elif isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(
            f"k is {k!r}, a {type(k).__name__}; give a whole number of negatives, such as 4095"
        )
    elif k < 1:
        raise ValueError(f"k is {k}; keep at least 1 negative")


def number_kept(negatives: int, alpha: float | None, k: int | None) -> int:
    """How many of `negatives` the hard losses keep: k, or max(1, round(alpha * negatives))."""
    check_one_of(alpha, k)
    if k is None:
        return max(1, round(float(alpha) * negatives))
    if k > negatives:
        raise ValueError(
            f"k is {k}, but each anchor has only {negatives} negative(s): give k <= {negatives}, "
            "or alpha"
        )
    return int(k)  # of an unsigned type -k would be a large number


def check_kept(k: int | None, negatives: Tensor) -> None:
    """Refuse k larger than the number of negatives of some anchor, [B], on the CPU only."""
    if k is None or not readable(negatives):
        return
    fewest = int(negatives.min())
    if k > fewest:
        anchor = int(negatives.argmin())
        raise ValueError(
            f"k is {k}, but anchor {anchor} has only {fewest} negative(s): give k <= {fewest}, or "
            "alpha"
        )


def check_row_numbers(
    name: str,
    rows: Tensor,
    holds: str,
    count: int,
    owner: str,
    other: Tensor,
    hint: str = "",
    smallest: int = 0,
) -> None:
    """Refuse anything but long numbers of the `count` rows of `holds`, on other's device and, on
    the CPU, in range.
    """
    if not isinstance(rows, Tensor):
        raise TypeError(f"{name} is a {type(rows).__name__}; give a long tensor [B] of {holds}")
    if rows.dtype != torch.long:
        raise TypeError(f"{name} has dtype {rows.dtype}; it holds {holds}: call .long() on it")
    if rows.device != other.device:
        raise ValueError(
            f"{name} is on {rows.device} and {owner} on {other.device}; both must be on one "
            f"device: move {name} with .to(device)"
        )
    if readable(rows) and not bool(((rows >= smallest) & (rows < count)).all()):
        raise ValueError(
            f"{name} reaches from {int(rows.min())} to {int(rows.max())}; it holds {holds}, of "
            f"which there are {count}: give numbers from 0 to {count - 1}{hint}"
        )


def check_rows(name: str, rows: Tensor, features: Tensor, keys: Tensor) -> None:
    """Refuse anything but the row of keys [M, d] of each of features [B, d]: long [B]."""
    check_row_numbers(name, rows, "rows of keys", len(keys), "features", features)
    if rows.shape != features.shape[:1]:
        raise ValueError(
            f"{name} has shape {list(rows.shape)}; give one row of keys for each of the "
            f"{len(features)} anchors"
        )


def check_unit(name: str, z: Tensor, level: int = 4) -> None:
    """Refuse anything but floating-point [N, d]; on the CPU, refuse NaN and warn of non-unit rows.

    level: how far up the caller is that the warning names; 4 leads past a metric and its no_grad.
    """
    check_floating(name, z, "N d")
    if not readable(z):
        return
    wide = torch.promote_types(z.dtype, torch.float32)
    lengths = torch.linalg.vector_norm(z.detach(), dim=1, dtype=wide)
    off = (lengths - 1).abs().max().item()
    if not math.isfinite(off):
        check_finite(name, z)
        raise ValueError(
            f"{name} has a vector whose length overflows; give unit vectors: F.normalize({name}, "
            "dim=1)"
        )
    if off > max(1e-3, torch.finfo(z.dtype).eps):  # bfloat16 cannot hold a length better than that
        warnings.warn(
            f"{name} is not made of unit vectors: a length is off 1 by {off:.3g}; call "
            f"F.normalize({name}, dim=1)",
            stacklevel=level,
        )


def check_lengths(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse two batches of different lengths."""
    if len(tensor) != len(other):
        raise ValueError(
            f"{name} has {len(tensor)} row(s) and {other_name} {len(other)}; give one for each "
            "anchor"
        )


def check_momentum(momentum: float, name: str = "momentum") -> None:
    """Refuse anything but a number in [0, 1], the share of the old that stays.

    name: what the setting is called.
    """
    if isinstance(momentum, bool) or not isinstance(momentum, Real):
        raise TypeError(
            f"{name} is {momentum!r}, a {type(momentum).__name__}; give a number in [0, 1], such "
            "as 0.5"
        )
    if not 0 <= momentum <= 1:
        raise ValueError(
            f"{name} is {momentum}; it must lie in [0, 1]: it is the share of the old that stays"
        )


def as_python(value: object) -> object:
    """NumPy's numbers, arrays and strings as Python's own, lists as tuples; all else as it is.

    So settings can be written to JSON and to a checkpoint, and compared and hashed.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(as_python(inner) for inner in value)
    if isinstance(value, Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, (int, float)):
        return float(value)
    return value


def check_labels(name: str, labels: Tensor, points_name: str, points: Tensor) -> None:
    """Refuse anything but one integer label for each point, on the points' device."""
    if not isinstance(labels, Tensor):
        raise TypeError(
            f"{name} is a {type(labels).__name__}; give a tensor of integers, one for each row"
        )
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(
            f"{name} has dtype {labels.dtype}; it holds class numbers: call .long() on it"
        )
    if labels.shape != points.shape[:1]:
        raise ValueError(
            f"{name} has shape {list(labels.shape)}; give one label for each of the {len(points)} "
            f"rows of {points_name}"
        )
    check_same(points_name, points, name, labels)


def check_count(name: str, value: int, low: int = 1, high: float = math.inf, why: str = "") -> None:
    """Refuse anything but a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name} is {value!r}, a {type(value).__name__}; give a whole number of at least {low}"
        )
    if not low <= value <= high:
        allowed = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        raise ValueError(
            f"{name} is {value}; give a number {allowed}" + (f": {why}" if why else "")
        )


def check_share(name: str, value: float, largest: float) -> None:
    """Refuse anything but a number in [0, largest]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name} is {value!r}, a {type(value).__name__}; give a number in [0, {largest}]"
        )
    if not 0 <= value <= largest:
        raise ValueError(f"{name} is {value}; it must lie in [0, {largest}]; 0 switches it off")
