"""Exercises on the trained encoders that come with the package, and the clothes beside them."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.data import load
from contrastlib.teaching import grading
from contrastlib.teaching.embeddings import embed, pairs, rankme, separation
from contrastlib.teaching.encoders import pretrained

IMAGES = 120  # test images that a check looks at
HALF = 60  # and a check that compares all pairs with all pairs


@cache
def embedded(tau: float) -> Tensor:
    """The first test images under the ordinary encoder of this temperature: float64 [IMAGES, d]."""
    images = load("fashion-mnist-part", "test", limit=IMAGES).images
    with torch.random.fork_rng(devices=[]):  # an encoder draws first weights
        encoder = pretrained("contrastive", tau)
    return F.normalize(embed(encoder, images).double(), dim=1)


def check_separation(answer: Callable) -> bool:
    """Which temperature separates the classes? answer(same, other): how often a pair of one class
    is more similar than a pair of two, ties counting one half.
    """
    labels = load("fashion-mnist-part", "test", limit=HALF).labels
    cases = []
    for tau in (0.07, 0.2, 1.0):
        same, other = pairs(embedded(tau)[:HALF], labels)
        cases.append((same.round(decimals=1), other.round(decimals=1)))  # so that there are ties

    def wins(same, other, tie):
        above = same[:, None] > other
        equal = same[:, None] == other
        return above.double().mean() + tie * equal.double().mean()

    def gap(same, other):
        return same.mean() - other.mean()

    return grading.grade(
        answer,
        cases,
        separation,
        {
            "a tie counts one half; you count it as lost.": lambda same, other: wins(
                same, other, 0
            ),
            "a tie counts one half; you count it as won.": lambda same, other: wins(same, other, 1),
            "the other way round: the pair of one class should win.": lambda same, other: (
                1 - separation(same, other)
            ),
            "this is a number of pairs of pairs. What share of them all is it?": (
                lambda same, other: separation(same, other) * len(same) * len(other)
            ),
            "this is the share that wins minus the share that loses.": lambda same, other: (
                2 * separation(same, other) - 1
            ),
            "this is the difference of the two means.": gap,
            "this is the gap over the spread; here only the order counts.": lambda same, other: (
                gap(same, other) / ((same.var() + other.var()) / 2).sqrt()
            ),
        },
        "each pair of one class meets each pair of two. In what share of these meetings is it the "
        "more similar one?",
        "one sorting replaces all meetings, and no scale of the similarities counts.",
    )


def check_rankme(answer: Callable) -> bool:
    """Would RankMe choose the best encoder? answer(z), the exponential of the entropy of the
    singular values' shares.
    """
    # Eight coordinates that are 0 leave directions that no embedding uses.
    flat = F.pad(F.normalize(embedded(0.2)[:, :60], dim=1), (0, 8))

    def effective(shares):
        return torch.special.entr(shares).sum().exp()

    def shares_of(z, power=1):
        values = torch.linalg.svdvals(z) ** power
        return values / values.sum()

    return grading.grade(
        answer,
        [(embedded(0.07),), (embedded(1.0),), (flat,)],
        rankme,
        {
            "these are shares of the squares: take the singular values as they are.": lambda z: (
                effective(shares_of(z, 2))
            ),
            "this is the entropy, not yet a number of directions.": lambda z: effective(
                shares_of(z)
            ).log(),
            "a power of 2 of an entropy in nats.": lambda z: 2 ** effective(shares_of(z)).log(),
            "the mean is taken off: RankMe takes the embeddings as they are.": lambda z: effective(
                shares_of(z - z.mean(dim=0))
            ),
            "divided by the largest: shares add up to one.": lambda z: effective(
                torch.linalg.svdvals(z) / torch.linalg.matrix_norm(z, 2)
            ),
            "this counts 1 over the sum of squared shares; the entropy is missing.": lambda z: (
                1 / shares_of(z).square().sum()
            ),
        },
        "singular values, their shares of their sum, the entropy of these, its exponential.",
        "how many directions an encoder uses, with no label seen; empty ones do not count.",
    )


def check_own_share(answer: Callable) -> bool:
    """Your own clothes: answer(z, labels, keys, key_labels, k) -> [B], the share of each image's
    own class among the k keys that are most similar to it.
    """
    labels = load("fashion-mnist-part", "test", limit=IMAGES).labels
    cases = []
    for tau, k in ((0.07, 8), (0.2, 15), (1.0, 15)):
        z = embedded(tau)
        cases.append((z[:4], labels[:4], z[4:], labels[4:], k))

    def share(z, labels, keys, key_labels, k):
        rows = (z @ keys.T).topk(k).indices  # [B, k]
        is_own = key_labels[rows] == labels[:, None]
        return is_own.double().mean(dim=1)

    def in_class(labels, key_labels):
        return (key_labels == labels[:, None]).double().sum(dim=1)

    return grading.grade(
        answer,
        cases,
        share,
        {
            "a number of keys: divide it by k.": lambda z, y, keys, key_y, k: (
                k * share(z, y, keys, key_y, k)
            ),
            "these are the k farthest: a large product is a near key.": (
                lambda z, y, keys, key_y, k: share(-z, y, keys, key_y, k)
            ),
            "the share of the class that is kept; asked is the class's share of the kept.": (
                lambda z, y, keys, key_y, k: k * share(z, y, keys, key_y, k) / in_class(y, key_y)
            ),
            "the others' share: those of another class are counted.": (
                lambda z, y, keys, key_y, k: 1 - share(z, y, keys, key_y, k)
            ),
            "the nearest alone: there are k.": lambda z, y, keys, key_y, k: share(
                z, y, keys, key_y, 1
            ),
            "all keys are counted: the k most similar ones are asked.": (
                lambda z, y, keys, key_y, k: in_class(y, key_y) / len(keys)
            ),
        },
        "of each image's k most similar keys, which have its label? Divide their number by k.",
        "what a threshold keeps depends on the encoder, and so does how much of it is false.",
    )
