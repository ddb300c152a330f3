"""What the public functions refuse, each in one clear line: what was given, what is allowed, how to fix it.

Shapes, dtypes and hyper-parameters are checked always. Values inside tensors are checked on the CPU only, where it
costs nothing: on a GPU it would make every step wait for the device.
"""

import math
import warnings
from numbers import Integral, Real

import torch
from torch import Tensor


def readable(tensor: Tensor) -> bool:
    """True where reading a tensor's values costs nothing: on the CPU, outside torch.compile."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def check_positive(name: str, value: float) -> None:
    """Refuse anything but a finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}; give a number above 0, such as 0.2")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}; it must be finite and above 0: give a number such as 0.2")


def check_tau(tau: float) -> None:
    """Refuse a temperature that is not a finite number above zero, or so small that float32 cannot divide by it."""
    check_positive("tau", tau)
    if tau < 1e-30:
        raise ValueError(f"tau is {tau}; similarities over it overflow: give at least 1e-30")


def check_finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinity, on the CPU only."""
    if readable(tensor) and not bool(tensor.isfinite().all()):
        bad = int((~tensor.isfinite()).sum())
        raise ValueError(
            f"{name} has {bad} value(s) that are NaN or infinite; all must be finite: look for a zero vector "
            "that was normalised, or a training run that diverged"
        )


def check_floating(name: str, tensor: Tensor, shape: str) -> None:
    """Refuse anything but a floating-point tensor with as many dimensions as `shape`, such as "B d", names."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is a {type(tensor).__name__}; give a tensor of shape [{shape}]")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} has dtype {tensor.dtype}; it must be floating point: call .float() on it")
    sizes = shape.split()
    if tensor.ndim != len(sizes) or 0 in tensor.shape:
        raise ValueError(f"{name} has shape {list(tensor.shape)}; give [{', '.join(sizes)}], none of them 0")


def check_similarities(s_pos: Tensor, s_neg: Tensor) -> None:
    """Refuse anything but s_pos [B] and s_neg [B, M], on one device, finite, with M >= 1."""
    check_floating("s_pos", s_pos, "B")
    check_floating("s_neg", s_neg, "B M")
    if len(s_pos) != len(s_neg):
        raise ValueError(
            f"s_pos has {len(s_pos)} anchors and s_neg has {len(s_neg)}; "
            "both need one row per anchor: s_pos [B], s_neg [B, M]"
        )
    check_same("s_pos", s_pos, "s_neg", s_neg)
    check_finite("s_pos", s_pos)
    check_finite("s_neg", s_neg)


def check_same(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse two tensors on different devices."""
    if tensor.device != other.device:
        raise ValueError(
            f"{name} is on {tensor.device} and {other_name} on {other.device}; "
            f"both must be on one device: call {other_name}.to({name}.device)"
        )


def check_alike(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse a tensor of another shape or on another device than `other` [B, d]."""
    check_floating(name, tensor, "B d")
    if tensor.shape != other.shape:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)} and {other_name} {list(other.shape)}; "
            f"give one row of {name} for each row of {other_name}: both [B, d]"
        )
    check_same(other_name, other, name, tensor)


def check_dimensions(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Refuse embeddings [B, d] and [M, d] that differ in d or in device."""
    check_same(name, tensor, other_name, other)
    if tensor.shape[1] != other.shape[1]:
        raise ValueError(
            f"{name} have {tensor.shape[1]} dimensions and {other_name} {other.shape[1]}; "
            f"both must come from embeddings of one size: {name} [B, d], {other_name} [M, d]"
        )


def check_one_of(alpha: float | None, k: int | None) -> None:
    """Refuse both or neither of alpha and k, alpha outside (0, 1], and k that is not a whole number >= 1."""
    if (alpha is None) == (k is None):
        raise ValueError(
            f"alpha is {alpha} and k is {k}; give exactly one of them: "
            "alpha, the share of the negatives to keep, or k, their number"
        )
    if alpha is not None:
        check_positive("alpha", alpha)
        if alpha > 1:
            raise ValueError(f"alpha is {alpha}; it must lie in (0, 1]: it is the share of the negatives to keep")
    elif isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"k is {k!r}, a {type(k).__name__}; give a whole number of negatives, such as 4095")
    elif k < 1:
        raise ValueError(f"k is {k}; keep at least 1 negative")


def number_kept(negatives: int, alpha: float | None, k: int | None) -> int:
    """How many of `negatives` the hard losses keep: k, or max(1, round(alpha * negatives))."""
    check_one_of(alpha, k)
    if k is None:
        return max(1, round(alpha * negatives))
    if k > negatives:
        raise ValueError(f"k is {k}, but each anchor has only {negatives} negative(s): give k <= {negatives}, or alpha")
    return k


def check_rows(name: str, rows: Tensor, batch: int, keys: int, device: torch.device) -> None:
    """Refuse anything but long row numbers [B] into keys [M, d], on the same device and, on the CPU, in range."""
    if not isinstance(rows, Tensor):
        raise TypeError(f"{name} is a {type(rows).__name__}; give a long tensor [B] of rows of keys")
    if rows.dtype != torch.long:
        raise TypeError(f"{name} has dtype {rows.dtype}; it holds rows of keys: call .long() on it")
    if rows.shape != (batch,):
        raise ValueError(f"{name} has shape {list(rows.shape)}; give one row of keys for each of the {batch} anchors")
    if rows.device != device:
        raise ValueError(f"{name} is on {rows.device} and features on {device}; move it with .to(features.device)")
    if readable(rows) and not bool(((rows >= 0) & (rows < keys)).all()):
        raise ValueError(
            f"{name} reaches from {int(rows.min())} to {int(rows.max())}; "
            f"it holds rows of keys, which has {keys}: give numbers from 0 to {keys - 1}"
        )


def check_embeddings(
    features: Tensor, keys: Tensor, positive: Tensor | None, positive_keys: Tensor | None, ignore: Tensor | None
) -> int:
    """Refuse arguments of a loss module that do not fit together; return the number of negatives of each anchor."""
    check_floating("features", features, "B d")
    check_floating("keys", keys, "M d")
    check_dimensions("features", features, "keys", keys)
    if (positive is None) == (positive_keys is None):
        given = "neither" if positive is None else "both"
        raise ValueError(
            f"{given} of positive and positive_keys given; give exactly one: positive [B], the row of keys that is "
            "each anchor's positive, or positive_keys [B, d] where it is not a row of keys"
        )
    check_finite("features", features)
    batch = len(features)
    if positive_keys is not None:
        check_alike("positive_keys", positive_keys, "features", features)
        check_finite("positive_keys", positive_keys)
    negatives = len(keys)
    for name, rows in (("positive", positive), ("ignore", ignore)):
        if rows is not None:
            check_rows(name, rows, batch, len(keys), features.device)
            negatives -= 1
    if positive is not None and ignore is not None and readable(ignore) and bool((positive == ignore).any()):
        raise ValueError(
            "ignore names an anchor's own positive; it is one more row that is no negative: leave ignore out, or point "
            "it at another row"
        )
    if negatives < 1:
        raise ValueError(f"keys has {len(keys)} row(s), which leaves no negative; give at least {len(keys) + 1}")
    return negatives


def check_unit(name: str, z: Tensor, level: int = 4) -> None:
    """Refuse anything but floating-point [N, d]; on the CPU refuse NaN and warn unless rows are unit vectors.

    level: how far up the caller is that the warning names; 4 leads past a metric and its no_grad.
    """
    check_floating(name, z, "N d")
    if not readable(z):
        return
    off = (torch.linalg.vector_norm(z, dim=1, dtype=torch.promote_types(z.dtype, torch.float32)) - 1).abs().max().item()
    if not math.isfinite(off):
        check_finite(name, z)
        raise ValueError(f"{name} has a vector whose length overflows; give unit vectors: F.normalize({name}, dim=1)")
    if off > max(1e-3, torch.finfo(z.dtype).eps):  # bfloat16 cannot hold a length better than that
        warnings.warn(
            f"{name} is not made of unit vectors: a length is off 1 by {off:.3g}; call F.normalize({name}, dim=1)",
            stacklevel=level,
        )


def check_momentum(momentum: float) -> None:
    """Refuse anything but a number in [0, 1]."""
    if isinstance(momentum, bool) or not isinstance(momentum, Real):
        raise TypeError(f"momentum is {momentum!r}, a {type(momentum).__name__}; give a number in [0, 1], such as 0.5")
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum is {momentum}; it must lie in [0, 1]: it is the share of the old that stays")


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
        raise TypeError(f"{name} is a {type(labels).__name__}; give a tensor of integers, one for each row")
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"{name} has dtype {labels.dtype}; it holds class numbers: call .long() on it")
    if labels.shape != points.shape[:1]:
        raise ValueError(
            f"{name} has shape {list(labels.shape)}; give one label for each of the {len(points)} rows of {points_name}"
        )
    check_same(points_name, points, name, labels)


def check_count(name: str, value: int, low: int = 1, high: float = math.inf, why: str = "") -> None:
    """Refuse anything but a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}; give a whole number of at least {low}")
    if not low <= value <= high:
        allowed = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        raise ValueError(f"{name} is {value}; give a number {allowed}" + (f": {why}" if why else ""))


def check_share(name: str, value: float, largest: float) -> None:
    """Refuse anything but a number in [0, largest]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}; give a number in [0, {largest}]")
    if not 0 <= value <= largest:
        raise ValueError(f"{name} is {value}; it must lie in [0, {largest}]; 0 switches it off")


def check_range(name: str, values: tuple[float, float]) -> None:
    """Refuse anything but two finite numbers above 0 in rising order."""
    if not isinstance(values, (tuple, list)) or len(values) != 2:
        raise TypeError(f"{name} is {values!r}; give two numbers, the smallest and the largest")
    for value in values:
        check_positive(name, value)
    if values[0] > values[1]:
        raise ValueError(f"{name} is {values}; the smallest comes first: give ({values[1]}, {values[0]})")
