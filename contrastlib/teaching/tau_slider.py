"""A temperature slider on the contrastive loss that runs in the page itself: no kernel, no network."""

import hashlib
import math
import struct
import zlib
from base64 import b64encode
from bisect import bisect_left
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from string import Template

import torch
from torch import Tensor

from contrastlib.checks import check_finite, check_floating, check_tau
from contrastlib.gradients import effective_negatives, entropy, relative_penalty
from contrastlib.losses import contrastive

BINS = 40
SHOWN = 12  # negatives shown as images
# 32 stops a decade, nearly even on a log scale, each a short number.
MANTISSAS = [10 + k for k in range(10)] + [20 + 2 * k for k in range(10)] + [40 + 5 * k for k in range(12)]
TAUS = [float(f"{m}e{e}") for e in (-3, -2, -1) for m in MANTISSAS] + [10.0]


@dataclass(frozen=True)
class Interactive:
    """A figure that its reader can move: a notebook shows `html`; a terminal and a PDF show `summary`."""

    html: str
    summary: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.summary


def tau_slider(
    s_pos: float | Tensor,
    s_neg: Tensor,
    anchor: Tensor,
    images: Tensor,
    tau: float = 0.2,
    *,
    positive: Tensor | None = None,
) -> Interactive:
    """One anchor's contrastive loss (Eq 1) and relative penalties (Eq 5) under a slider for tau.

    The page holds the similarities to five decimals and computes from them what `losses.contrastive`,
    `gradients.relative_penalty`, `entropy` and `effective_negatives` compute. Without scripts it is a still figure.

    s_pos: the positive's similarity, a number or a tensor of one value. s_neg [M]: the negatives' similarities. Both in
    [-1, 1]. anchor uint8 [H, W] and images uint8 [M, H, W], the anchor and the negatives, grey; positive: uint8 [H, W].
    tau: where the slider starts, in [0.01, 10]. ValueError or TypeError on anything else.
    """
    check_floating("s_neg", s_neg, "M")
    if not isinstance(s_pos, Real | Tensor):
        raise TypeError(f"s_pos is a {type(s_pos).__name__}; give one number, the positive's similarity")
    s_pos = torch.as_tensor(s_pos).detach().cpu().double()
    if s_pos.numel() != 1:
        raise ValueError(f"s_pos has shape {list(s_pos.shape)}; give one number, the positive's similarity")
    s_pos, s_neg = s_pos.reshape(1), s_neg.detach().cpu().double()
    for name, s in (("s_pos", s_pos), ("s_neg", s_neg)):
        check_finite(name, s)
        if s.abs().max() > 1.001:
            raise ValueError(f"{name} reaches {s.abs().max():.4g}; cosines lie in [-1, 1]: normalise the embeddings")
    check_tau(tau)
    if not 0.01 <= tau <= 10:
        raise ValueError(f"tau is {tau}; the slider reaches from 0.01 to 10")
    _check_images("anchor", anchor, "H W")
    _check_images("images", images, "M H W")
    if len(images) != len(s_neg):
        raise ValueError(f"images has {len(images)} images and s_neg {len(s_neg)} values; give one image for each")
    if positive is not None:
        _check_images("positive", positive, "H W")

    # Rounded and sorted here, so that the still figure and the script start from the same numbers.
    order = s_neg.argsort(descending=True, stable=True)
    s_pos, s_neg, tau = s_pos.mul(1e5).round().div(1e5), s_neg[order].mul(1e5).round().div(1e5), float(f"{tau:g}")
    fill = _fill(s_pos, s_neg, tau, images[order[:SHOWN].to(images.device)])
    fill["digits"] = _digit("anchor", anchor) + ("" if positive is None else _digit("positive", positive))
    return embed("tau_slider", fill)


def static(name: str) -> str:
    """The text of a file in static/."""
    return Path(__file__).with_name("static").joinpath(name).read_text(encoding="utf-8")


def embed(name: str, fill: dict) -> Interactive:
    """static/NAME.html with its blanks filled, `summary` among them, and with an id that comes from what fills them."""
    digest = hashlib.sha256(repr(sorted(fill.items())).encode()).hexdigest()[:10]
    html = Template(static(f"{name}.html")).substitute(fill, id=f"{name.replace('_', '-')}-{digest}")
    return Interactive(html, fill["summary"])


def _fill(s_pos: Tensor, s_neg: Tensor, tau: float, nearest: Tensor) -> dict:
    """The template's blanks: the data, and the figure at tau as the script would draw it. s_neg is sorted."""
    m, top = len(s_neg), s_neg[0].item()
    r = relative_penalty(s_neg[None], tau)
    loss, h, n = contrastive(s_pos, s_neg[None], tau).item(), entropy(r).item(), effective_negatives(r).item()
    taus = sorted({*TAUS, tau})
    lo = math.floor(min(s_neg[-1].item(), s_pos.item()) * 10) / 10
    hi = max(math.ceil(max(top, s_pos.item()) * 10) / 10, lo + 0.1)
    x = lambda s: (s - lo) / (hi - lo) * 1000  # noqa: E731
    bins = ((s_neg - lo) / (hi - lo) * BINS).long().clamp(max=BINS - 1)
    count, push = torch.bincount(bins, minlength=BINS).double(), torch.bincount(bins, r[0], minlength=BINS)
    count, push, wide = 100 * count / count.max(), 100 * push / push.max(), 1000 / BINS
    r = r[0].tolist()
    points = [lo + (top - lo) * k / 200 for k in range(201)]
    step = next(t for t in (0.02, 0.05, 0.1, 0.2, 0.5) if (hi - lo) / t <= 6)
    ticks = [t * step for t in range(math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9) + 1)]
    says = f"At τ = TAU the {len(nearest)} nearest of the {m} negatives take SHARE of the push."
    numbers = [
        ("loss", "loss", "nats", loss, "<0.001" if loss < 5e-4 else f"{loss:.3f}"),
        ("entropy", "entropy of the push", "nats", h, f"{h:.3f}"),
        ("effective", "effective negatives", f"of {m}", n, f"{n:.1f}"),
        ("nearest", "push on the nearest", "", r[0], _percent(r[0])),
    ]
    return {
        "s_pos": f"{s_pos.item():.5g}",
        "s_neg": "[" + ",".join(f"{s:.5f}".rstrip("0").rstrip(".") for s in s_neg.tolist()) + "]",
        "taus": taus,
        "tau": f"{tau:g}",
        "stop": bisect_left(taus, tau),
        "last": len(taus) - 1,
        "lo": lo,
        "hi": hi,
        "m": m,
        "tenth": f"{bisect_left(taus, 0.1) / (len(taus) - 1) * 100:.2f}",
        "unit": f"{bisect_left(taus, 1) / (len(taus) - 1) * 100:.2f}",
        "x_pos": f"{x(s_pos.item()):.1f}",
        "says": says,
        "summary": says.replace("TAU", f"{tau:g}").replace("SHARE", _percent(sum(r[: len(nearest)]))),
        "numbers": "\n".join(
            f'<div><dt>{label}</dt><dd><span data-quantity="{name}" data-value="{value!r}">{text}</span> '
            f"<small>{unit}</small></dd></div>"
            for name, label, unit, value, text in numbers
        ),
        "hist": "".join(f"M{b * wide:g} 100v-{c:.2f}h{wide:g}V100" for b, c in enumerate(count.tolist()) if c),
        "bars": "".join(
            f'<rect x="{b * wide:g}" width="{wide:g}" y="{100 - p:.2f}" height="{p:.2f}"/>'
            for b, p in enumerate(push.tolist())
        ),
        "curve": "M" + "L".join(f"{x(s):.1f} {100 - 100 * math.exp((s - top) / tau):.2f}" for s in points),
        "ticks": "".join(f'<small style="left: {x(t) / 10:.2f}%">{t:.2g}</small>' for t in ticks),
        "thumbs": "\n".join(
            f'<li data-value="{share!r}"><img alt="similarity {s:.3f}" src="{_png(image)}">'
            f'<div class="bar"><span style="width: {100 * share:.2f}%"></span></div>'
            f"<small>{_percent(share)}</small></li>"
            for image, s, share in zip(nearest, s_neg.tolist(), r, strict=False)
        ),
    }


def _check_images(name: str, images: Tensor, shape: str) -> None:
    sizes = shape.split()
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        given = images.dtype if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise TypeError(f"{name} is {given}; give a uint8 tensor [{', '.join(sizes)}], grey values from 0 to 255")
    if images.ndim != len(sizes) or 0 in images.shape:
        raise ValueError(
            f"{name} has shape {list(images.shape)}; give [{', '.join(sizes)}], none of them 0: "
            "of images [N, 1, H, W] take images[:, 0]"
        )


def _percent(p: float) -> str:
    return ("<0.01" if p < 5e-5 else f"{100 * p:.{2 if p < 0.1 else 1}f}") + "\u00a0%"


def _digit(name: str, image: Tensor) -> str:
    return f'<figure><img alt="the {name}" src="{_png(image)}"><small>{name}</small></figure>'


def _png(image: Tensor) -> str:
    """A grey image [H, W] as a data URI: the smallest PNG writer."""
    height, width = image.shape
    rows = b"".join(b"\0" + row.numpy().tobytes() for row in image.cpu())
    chunks = b""
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()
