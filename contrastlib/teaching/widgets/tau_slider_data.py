"""What the page of the temperature slider holds: rounded similarities, and each image once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastlib.gradients import effective_negatives, relative_penalty
from contrastlib.teaching.widgets import tau_slider_parts as parts
from contrastlib.teaching.widgets.tau_slider_anchor import Anchor

SHOWN = 12  # the nearest negatives are shown as images
FAR = (0.1, 0.5, 1.0)  # and the negatives at these places in the ranking
LOW_TAU = 0.01
HIGH_TAU = 10.0
TEN = 10  # the number of effective negatives that has a stop of its own


def slider_stops() -> list[float]:
    """Return 32 stops a decade from 0.01 to 10, nearly even on a log scale, each a short number."""
    mantissas = [*range(10, 20), *range(20, 40, 2), *range(40, 100, 5)]
    stops = []
    for exponent in (-3, -2, -1):
        for mantissa in mantissas:
            stops.append(float(f"{mantissa}e{exponent}"))
    return [*stops, HIGH_TAU]


TAUS = slider_stops()


@dataclass(frozen=True)
class Held:
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


@dataclass(frozen=True)
class HeldSource:
    """Where similarities come from, and its anchors as the page holds them."""

    name: str  # such as "pixels of the digits"; empty where there is one source alone
    anchors: list[Held]

    @property
    def count(self) -> int:
        """The number of an anchor's negatives."""
        return len(self.anchors[0].s_neg)

    @property
    def sentence(self) -> str:
        """What is said below the slider, with TAU and SHARE to be replaced."""
        shown = min(SHOWN, self.count)
        sentence = f"t τ = TAU the {shown} nearest of the {self.count} negatives take SHARE of the"
        if self.name == "":
            return f"A{sentence} push."
        return f"{self.name[0].upper()}{self.name[1:]}: a{sentence} push."


def hold_sources(sources: Mapping[str, Sequence[Anchor]]) -> list[HeldSource]:
    """The sources as the page holds them. Errors: ValueError where they do not go together."""
    held = []
    for name, anchors in sources.items():
        if not anchors:
            raise ValueError("anchors is empty; give at least one Anchor")
        sizes = {len(anchor.s_neg) for anchor in anchors}
        if len(sizes) > 1:
            raise ValueError(
                f"the anchors have {sorted(sizes)} negatives; give each the same number"
            )
        held.append(HeldSource(name, [hold(anchor) for anchor in anchors]))
    if not held:
        raise ValueError("sources is empty; give the anchors of at least one")
    if len(held) > 1 and "" in sources:
        raise ValueError("a source has the name ''; name each, so that the reader can choose")
    pictured = {anchor.positive is not None for source in held for anchor in source.anchors}
    if len(pictured) > 1:
        raise ValueError(
            "some anchors lack the image of their positive; give it to all, or to none"
        )
    shown = {len(shown_ranks(source.count)) for source in held}
    if len(shown) > 1:
        counts = [source.count for source in held]
        raise ValueError(
            f"the sources have {counts} negatives an anchor, so that {sorted(shown)} of them would "
            f"be shown; give each at least {4 * SHOWN}, or all the same number"
        )
    return held


def hold(anchor: Anchor) -> Held:
    """Round and sort here, so that the still figure and the script start from the same numbers."""
    s_neg = anchor.s_neg.detach().cpu().double()
    order = s_neg.argsort(descending=True, stable=True)
    s_neg = five_decimals(s_neg[order])
    shown = [order[rank - 1] for rank in shown_ranks(len(s_neg))]
    positive = None
    if anchor.positive is not None:
        positive = parts.png(anchor.positive)
    return Held(
        name=anchor.name,
        s_pos=five_decimals(torch.as_tensor(anchor.s_pos).detach().cpu().double().reshape(1)),
        s_neg=s_neg,
        image=parts.png(anchor.image),
        positive=positive,
        thumbnails=[parts.png(anchor.negatives[index]) for index in shown],
        tau_of_ten=tau_with_effective(s_neg, TEN),
    )


def five_decimals(s: Tensor) -> Tensor:
    return s.mul(1e5).round().div(1e5)


def shown_ranks(count: int) -> list[int]:
    """Return the ranks, from 1, of the negatives that are shown: the nearest, and a few far ones if
    there are many.
    """
    ranks = list(range(1, min(SHOWN, count) + 1))
    if count >= 4 * SHOWN:
        ranks += [round(place * count) for place in FAR]
    return ranks


def tau_with_effective(s_neg: Tensor, wanted: float) -> float | None:
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


def as_json(sources: list[HeldSource]) -> tuple[list[dict[str, object]], list[str]]:
    """The sources for the script, and the images of all, each once: anchors name them by place."""
    places: dict[str, int] = {}
    found = []
    for source in sources:
        anchors = [anchor_as_json(anchor, places) for anchor in source.anchors]
        found.append(
            {
                "sentence": source.sentence,
                "count": source.count,
                "ranks": shown_ranks(source.count),
                "anchors": anchors,
            }
        )
    return found, list(places)


def anchor_as_json(anchor: Held, places: dict[str, int]) -> dict[str, object]:
    """An anchor for the script. `drops` are the steps between sorted similarities, in units of
    1e-5: small numbers. places: of each image so far; new ones are added.
    """

    def place_of(image: str) -> int:
        return places.setdefault(image, len(places))

    units = anchor.s_neg.mul(1e5).round().long()
    drops = units.clone()
    drops[1:] = units[:-1] - units[1:]
    return {
        "name": anchor.name,
        "sPos": float(f"{anchor.s_pos.item():.5f}"),
        "drops": drops.tolist(),
        "ten": anchor.tau_of_ten,
        "image": place_of(anchor.image),
        "positive": None if anchor.positive is None else place_of(anchor.positive),
        "thumbnails": [place_of(image) for image in anchor.thumbnails],
    }


def axis_ends(sources: list[HeldSource]) -> tuple[float, float]:
    """Return the ends of the similarity axis, the same for all anchors, at least a tenth apart."""
    anchors = [anchor for source in sources for anchor in source.anchors]
    lowest = min(min(anchor.s_neg[-1].item(), anchor.s_pos.item()) for anchor in anchors)
    highest = max(max(anchor.s_neg[0].item(), anchor.s_pos.item()) for anchor in anchors)
    low = math.floor(lowest * 10) / 10
    high = max(math.ceil(highest * 10) / 10, low + 0.1)
    return low, high
