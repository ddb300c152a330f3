"""Embeddings of images, and what a chapter reads off them.

N images, d = 128 dimensions; z [N, d] are unit vectors, and similarities are their products.
"""

import torch
from torch import Tensor

from contrastlib.checks import check_count, check_labels, check_unit
from contrastlib.models import Encoder
from contrastlib.teaching.encoders.loading import PretrainedEncoder

__all__ = [
    "embed",
    "embed_features",
    "embed_views",
    "nearest",
    "negatives",
    "pairs",
    "rankme",
    "separation",
    "similarities",
]

BATCH = 500  # images that are embedded at a time


@torch.no_grad()
def embed(encoder: Encoder, images: Tensor) -> Tensor:
    """The embeddings z [N, d] of images [N, C, H, W], as the encoder takes them."""
    return torch.cat([encoder(batch) for batch in images.split(BATCH)])


@torch.no_grad()
def embed_features(encoder: Encoder, images: Tensor) -> Tensor:
    """The backbone's features h [N, F] of images [N, C, H, W]: what the probe reads."""
    return torch.cat([encoder.features(batch) for batch in images.split(BATCH)])


def embed_views(encoder: PretrainedEncoder, images: Tensor, seed: int = 0) -> Tensor:
    """The embeddings z [N, d] of one random view of each image, uint8 [N, 1, 28, 28].

    The views are those of the encoder's training; two seeds give two views.
    """
    generator = torch.Generator().manual_seed(seed)
    views = encoder.recipe.augmentation(images, generator)  # float32 in [0, 1]
    return embed(encoder, views)


def similarities(z: Tensor) -> Tensor:
    """All similarities s [N, N] of unit vectors z [N, d] among each other."""
    check_unit("z", z)
    return z @ z.T


def negatives(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Each image as an anchor: the others' similarities to it, and which are of its class.

    z [N, d]; labels [N]. Returns s_neg [N, N - 1] and same_class, bool [N, N - 1]. The shares of
    the push that fall on the anchor's own class are then

        r = relative_penalty(s_neg, tau)  # [N, N - 1], Eq 5
        (r * same_class).sum(dim=1)  # [N]
    """
    s = similarities(z)
    check_labels("labels", labels, "z", z)
    count = len(z)
    is_other = ~torch.eye(count, dtype=torch.bool, device=z.device)  # [N, N]
    is_same = labels[:, None] == labels[None, :]  # [N, N]
    s_neg = s[is_other].view(count, count - 1)
    same_class = is_same[is_other].view(count, count - 1)
    return s_neg, same_class


def pairs(z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The similarities of all distinct pairs: those of one class [P], and the others [Q].

    z [N, d]; labels [N]. P + Q = N (N - 1) / 2.
    """
    s = similarities(z)
    check_labels("labels", labels, "z", z)
    first, second = torch.triu_indices(len(z), len(z), offset=1, device=z.device)
    pair_similarities = s[first, second]
    is_same = labels[first] == labels[second]
    return pair_similarities[is_same], pair_similarities[~is_same]


def nearest(z: Tensor, query: int, k: int = 5) -> Tensor:
    """The rows of z [N, d] that are nearest to row `query`: long [k], nearest first, without it."""
    check_unit("z", z)
    check_count("query", query, 0, len(z) - 1, "it is a row of z")
    check_count("k", k, 1, len(z) - 1, "an image has no more neighbours")
    s = z @ z[query]  # [N]
    s[query] = -torch.inf
    return s.topk(k).indices


def separation(same: Tensor, other: Tensor) -> float:
    """How often a same-class pair is more similar than another pair: in [0, 1]; 0.5 is chance.

    same [P] and other [Q]: similarities, as `pairs` returns them. A tie counts one half. It is the
    area under the ROC curve.
    """
    other = other.sort().values
    below = torch.searchsorted(other, same, right=False)  # [P], how many others are smaller
    not_above = torch.searchsorted(other, same, right=True)  # [P], smaller or equal
    wins = (below + not_above).double().mean() / 2
    return (wins / len(other)).item()


def rankme(z: Tensor) -> float:
    """RankMe, the effective rank of embeddings or features z [N, d] (Garrido et al. 2023).

    The exponential of the entropy of z's singular values, divided by their sum: in
    [1, min(N, d)].
    """
    values = torch.linalg.svdvals(z.double())  # [min(N, d)]
    p = values / values.sum()
    entropy = torch.special.entr(p).sum()
    return entropy.exp().item()
