"""A temperature slider on the contrastive loss that runs in the page itself."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_finite, check_floating, check_tau
from contrastlib.data import load
from contrastlib.gradients import effective_negatives, entropy, relative_penalty
from contrastlib.losses import contrastive
from contrastlib.teaching.widgets import tau_slider_parts as parts
from contrastlib.teaching.widgets.base import Interactive, format_percent, render, to_attribute

SHOWN = 12  # the nearest negatives are shown as images
FAR = (0.1, 0.5, 1.0)  # and the negatives at these places in the ranking
LOW_TAU = 0.01
HIGH_TAU = 10.0
TEN = 10  # the number of effective negatives that has a stop of its own
PRESETS = (0.05, 0.2, 1.0)


def _slider_stops() -> list[float]:
    """Return 32 stops a decade from 0.01 to 10, nearly even on a log scale, each a short number."""
    mantissas = [*range(10, 20), *range(20, 40, 2), *range(40, 100, 5)]
    stops = []
    for exponent in (-3, -2, -1):
        for mantissa in mantissas:
            stops.append(float(f"{mantissa}e{exponent}"))
    return [*stops, HIGH_TAU]


TAUS = _slider_stops()


@dataclass(frozen=True)
class Anchor:
    """An anchor, its positive and its negatives.

    s_pos: the positive's similarity, a number or a tensor of one value. s_neg [M]: the negatives'
    similarities. Both in [-1, 1]. image uint8 [H, W] and negatives uint8 [M, H, W]: grey pictures;
    positive: uint8 [H, W], or None. name: what the anchor shows, in a word. ValueError or TypeError
    on anything else.
    """

    s_pos: float | Tensor
    s_neg: Tensor
    image: Tensor
    negatives: Tensor
    positive: Tensor | None = None
    name: str = "anchor"

    def __post_init__(self) -> None:
        check_floating("s_neg", self.s_neg, "M")
        if not isinstance(self.s_pos, Real | Tensor):
            raise TypeError(
                f"s_pos is a {type(self.s_pos).__name__}; give one number, the positive's "
                "similarity"
            )
        s_pos = torch.as_tensor(self.s_pos)
        if s_pos.numel() != 1:
            raise ValueError(
                f"s_pos has shape {list(s_pos.shape)}; give one number, the positive's similarity"
            )
        _check_similarities("s_pos", s_pos)
        _check_similarities("s_neg", self.s_neg)
        _check_images("anchor", self.image, "H W")
        _check_images("images", self.negatives, "M H W")
        if len(self.negatives) != len(self.s_neg):
            raise ValueError(
                f"images has {len(self.negatives)} images and s_neg {len(self.s_neg)} values; "
                "give one image for each"
            )
        if self.positive is not None:
            _check_images("positive", self.positive, "H W")


@dataclass(frozen=True)
class _Held:
    """An anchor as the page holds it: similarities to five decimals, the negatives sorted, the
    nearest first.
    """

    name: str
    s_pos: Tensor  # float64 [1]
    s_neg: Tensor  # float64 [M]
    image: str  # a data URI
    positive: str | None
    thumbnails: list[str]
    tau_of_ten: float | None


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

    The page holds the similarities to five decimals and computes from them what
    `losses.contrastive`, `gradients.relative_penalty`, `entropy` and `effective_negatives` compute.
    One stop of the slider has ten effective negatives. Without scripts it is a still figure.

    s_pos: the positive's similarity, a number or a tensor of one value. s_neg [M]: the negatives'
    similarities. Both in [-1, 1]. anchor uint8 [H, W] and images uint8 [M, H, W], the anchor and
    the negatives, grey; positive: uint8 [H, W]. tau: where the slider starts, in [0.01, 10].
    ValueError or TypeError on anything else.
    """
    return tau_slider_for([Anchor(s_pos, s_neg, anchor, images, positive)], tau)


def digits_tau_slider(
    anchors: Sequence[int] = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), tau: float = 0.2
) -> Interactive:
    """The slider on the digits of scikit-learn, embedded as centred pixels of unit length.

    The positive is the same digit, one pixel lower; all other digits are the negatives.

    anchors: the rows of `data.load("digits").images` that the reader may choose from. tau: where
    the slider starts.
    """
    digits = load("digits")
    pixels = digits.images.flatten(1).double()  # [N, 64]
    mean = pixels.mean(dim=0)
    f = F.normalize(pixels - mean, dim=1)
    found = []
    for index in anchors:
        shifted = digits.images[index].roll(1, dims=1)
        f_positive = F.normalize(shifted.flatten().double() - mean, dim=0)
        others = torch.arange(len(f)) != index
        found.append(
            Anchor(
                s_pos=f[index] @ f_positive,
                s_neg=f[others] @ f[index],
                image=digits.images[index, 0],
                negatives=digits.images[others, 0],
                positive=shifted[0],
                name=str(digits.labels[index].item()),
            )
        )
    return tau_slider_for(found, tau)


def tau_slider_for(anchors: Sequence[Anchor], tau: float = 0.2) -> Interactive:
    """The slider of `tau_slider` for several anchors, of which the reader chooses one at a time by
    its image.

    anchors: at least one; the first is shown at the start. All have the same number of negatives.
    """
    check_tau(tau)
    if not LOW_TAU <= tau <= HIGH_TAU:
        raise ValueError(f"tau is {tau}; the slider reaches from 0.01 to 10")
    if not anchors:
        raise ValueError("anchors is empty; give at least one Anchor")
    sizes = {len(anchor.s_neg) for anchor in anchors}
    if len(sizes) > 1:
        raise ValueError(f"the anchors have {sorted(sizes)} negatives; give each the same number")
    tau = float(f"{tau:g}")
    held = [_hold(anchor) for anchor in anchors]
    return render("tau_slider", _context(held, tau))


def _hold(anchor: Anchor) -> _Held:
    """Round and sort here, so that the still figure and the script start from the same numbers."""
    s_neg = anchor.s_neg.detach().cpu().double()
    order = s_neg.argsort(descending=True, stable=True)
    s_neg = _five_decimals(s_neg[order])
    shown = [order[rank - 1] for rank in _shown_ranks(len(s_neg))]
    positive = None
    if anchor.positive is not None:
        positive = parts.png(anchor.positive)
    return _Held(
        name=anchor.name,
        s_pos=_five_decimals(torch.as_tensor(anchor.s_pos).detach().cpu().double().reshape(1)),
        s_neg=s_neg,
        image=parts.png(anchor.image),
        positive=positive,
        thumbnails=[parts.png(anchor.negatives[index]) for index in shown],
        tau_of_ten=_tau_with_effective(s_neg, TEN),
    )


def _five_decimals(s: Tensor) -> Tensor:
    return s.mul(1e5).round().div(1e5)


def _shown_ranks(count: int) -> list[int]:
    """Return the ranks, from 1, of the negatives that are shown: the nearest, and a few far ones if
    there are many.
    """
    ranks = list(range(1, min(SHOWN, count) + 1))
    if count >= 4 * SHOWN:
        ranks += [round(place * count) for place in FAR]
    return ranks


def _tau_with_effective(s_neg: Tensor, wanted: float) -> float | None:
    """Return the tau with `wanted` effective negatives, to four digits, or None outside the
    slider's range.

    The effective number rises strictly with tau, so bisection finds it. s_neg: [M].
    """

    def effective(tau: float) -> float:
        return effective_negatives(relative_penalty(s_neg[None], tau)).item()

    if not effective(LOW_TAU) < wanted < effective(HIGH_TAU):
        return None
    low = math.log(LOW_TAU)
    high = math.log(HIGH_TAU)
    for _ in range(40):
        middle = (low + high) / 2
        if effective(math.exp(middle)) < wanted:
            low = middle
        else:
            high = middle
    return float(f"{math.exp(low):.4g}")


def _context(held: list[_Held], tau: float) -> dict[str, object]:
    """What the template's placeholders stand for: the data, and the first anchor at tau."""
    first = held[0]
    count = len(first.s_neg)
    shares = relative_penalty(first.s_neg[None], tau)[0]  # [M]
    taus = sorted({*TAUS, tau})
    stops = taus
    if first.tau_of_ten is not None:
        stops = sorted({*taus, first.tau_of_ten})
    low, high = _axis_ends(held)
    shown = min(SHOWN, count)
    sentence = f"At τ = TAU the {shown} nearest of the {count} negatives take SHARE of the push."
    summary = sentence.replace("TAU", f"{tau:g}")
    summary = summary.replace("SHARE", format_percent(shares[:SHOWN].sum().item()))
    return {
        "anchors": to_attribute([_as_json(anchor) for anchor in held]),
        "taus": to_attribute(taus),
        "low": low,
        "high": high,
        "tau": f"{tau:g}",
        "stop": bisect_left(stops, tau),
        "last": len(stops) - 1,
        "choices": _choices(held),
        "anchor_image": first.image,
        "positive": _positive(first),
        "scale": parts.slider_scale(stops),
        "presets": _presets(first),
        "thumbnails": _thumbnails(first, shares.tolist()),
        "sentence": sentence,
        "summary": summary,
        "numbers": _numbers(first, tau),
        "histogram": parts.histogram(first.s_neg, low, high),
        "bars": parts.bars(first.s_neg, shares, low, high),
        "curve": parts.curve(first.s_neg[0].item(), tau, low, high),
        "x_positive": f"{parts.x_of(first.s_pos.item(), low, high):.1f}",
        "ticks": parts.ticks(low, high),
    }


def _as_json(anchor: _Held) -> dict[str, object]:
    """An anchor for the script. `drops` are the steps between sorted similarities, in units of
    1e-5: small numbers.
    """
    units = anchor.s_neg.mul(1e5).round().long()
    drops = units.clone()
    drops[1:] = units[:-1] - units[1:]
    return {
        "sPos": float(f"{anchor.s_pos.item():.5f}"),
        "drops": drops.tolist(),
        "ten": anchor.tau_of_ten,
        "image": anchor.image,
        "positive": anchor.positive,
        "thumbnails": anchor.thumbnails,
    }


def _axis_ends(held: list[_Held]) -> tuple[float, float]:
    """Return the ends of the similarity axis, the same for all anchors, at least a tenth apart."""
    lowest = min(min(anchor.s_neg[-1].item(), anchor.s_pos.item()) for anchor in held)
    highest = max(max(anchor.s_neg[0].item(), anchor.s_pos.item()) for anchor in held)
    low = math.floor(lowest * 10) / 10
    high = max(math.ceil(highest * 10) / 10, low + 0.1)
    return low, high


def _choices(held: list[_Held]) -> str:
    """Return the row of images of which the reader chooses the anchor; nothing where there is one
    alone.
    """
    if len(held) == 1:
        return ""
    labels = ""
    for number, anchor in enumerate(held):
        checked = " checked" if number == 0 else ""
        labels += (
            '<label><input type="radio" name="anchor" '
            f'aria-label="anchor {anchor.name}"{checked} disabled>'
            f'<img alt="anchor {anchor.name}" src="{anchor.image}"></label>\n'
        )
    return (
        '<fieldset class="choices">'
        "<legend><small>Tap a digit to make it the anchor.</small></legend>\n"
        f"{labels}</fieldset>"
    )


def _positive(anchor: _Held) -> str:
    if anchor.positive is None:
        return ""
    image = f'<img alt="the positive" src="{anchor.positive}">'
    return f'<figure class="positive">{image}<small>positive</small></figure>'


def _presets(anchor: _Held) -> str:
    buttons = ""
    for tau in PRESETS:
        buttons += f'<button type="button" data-tau="{tau:g}">τ = {tau:g}</button>\n'
    if anchor.tau_of_ten is not None:
        buttons += '<button type="button" data-ten>ten effective negatives</button>'
    return buttons


def _numbers(anchor: _Held, tau: float) -> str:
    """Return the four numbers below the digits as rows of a description list."""
    s_neg = anchor.s_neg[None]
    r = relative_penalty(s_neg, tau)
    loss = contrastive(anchor.s_pos, s_neg, tau).item()
    nats = entropy(r).item()
    effective = effective_negatives(r).item()
    nearest = r[0, 0].item()
    shown_loss = "<0.001" if loss < 5e-4 else f"{loss:.3f}"
    rows = [
        ("loss", "loss", "nats", loss, shown_loss),
        ("entropy", "entropy of the push", "nats", nats, f"{nats:.3f}"),
        ("effective", "effective negatives", f"of {s_neg.shape[1]}", effective, f"{effective:.1f}"),
        ("nearest", "push on the nearest", "", nearest, format_percent(nearest)),
    ]
    return "\n".join(
        f"<div><dt>{label}</dt>"
        f'<dd><span data-quantity="{name}" data-value="{value!r}">{text}</span> '
        f"<small>{unit}</small></dd></div>"
        for name, label, unit, value, text in rows
    )


def _thumbnails(anchor: _Held, shares: list[float]) -> str:
    """Return the shown negatives as list items: image, a bar as long as the share of the push, and
    the share.
    """
    items = ""
    for rank, image in zip(_shown_ranks(len(shares)), anchor.thumbnails, strict=True):
        share = shares[rank - 1]
        kind = ""
        place = ""
        if rank > SHOWN:
            kind = ' class="distant"'  # "far" is Font Awesome's, which the theme loads
            place = f"<small>no. {rank}</small>"
        items += (
            f'<li{kind} data-rank="{rank}" data-value="{share!r}">'
            f'<img alt="similarity {anchor.s_neg[rank - 1].item():.3f}" src="{image}">'
            f'<div class="bar"><span style="width: {100 * share:.2f}%"></span></div>'
            f'<small class="share">{format_percent(share)}</small>{place}</li>\n'
        )
    return items


def _check_similarities(name: str, s: Tensor) -> None:
    check_finite(name, s)
    if s.abs().max() > 1.001:
        raise ValueError(
            f"{name} reaches {s.abs().max():.4g}; cosines lie in [-1, 1]: normalise the embeddings"
        )


def _check_images(name: str, images: Tensor, shape: str) -> None:
    sizes = shape.split()
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        given = images.dtype if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise TypeError(
            f"{name} is {given}; give a uint8 tensor [{', '.join(sizes)}], grey values from 0 "
            "to 255"
        )
    if images.ndim != len(sizes) or 0 in images.shape:
        raise ValueError(
            f"{name} has shape {list(images.shape)}; give [{', '.join(sizes)}], none of them 0: "
            "of images [N, 1, H, W] take images[:, 0]"
        )
