"""What is logged each epoch: the similarities of a fixed batch, and how many negatives count."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from contrastlib.augment import Augmentation
from contrastlib.training import distributed
from contrastlib.training.components import Seed, generator
from contrastlib.training.distributed import WHOLE_BATCH, Shard
from contrastlib.training.forward_pass import Diverged, embed_and_get_keys
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipe import Recipe
from contrastlib.training.supervised_contrastive import is_listed

__all__ = ["similarities", "similarity_log"]


@torch.no_grad()
def similarity_log(
    recipe: Recipe,
    encoder: nn.Module,
    key_source: nn.Module,
    augmentation: Augmentation,
    indices: Tensor,
    images: Sequence[Tensor],
    shard: Shard = WHOLE_BATCH,
    labels: Tensor | None = None,
) -> dict[str, float]:
    """A batch's similarities to its keys in evaluation mode, averaged over all its anchors.

    indices, images, labels: as in `embed_and_get_keys`; the views are the same every time.
    Returns effective_negatives, as the objective counts them; positive_similarity; and
    hardest_similarity, that of the nearest negative.
    Errors: Diverged for similarities that are not finite.
    """
    encoder.eval()
    key_source.eval()
    augment_rng = generator(recipe, Seed.AUGMENT, indices.device)
    features, keys = embed_and_get_keys(
        recipe,
        encoder,
        key_source,
        augmentation,
        images,
        indices,
        augment_rng,
        shard=shard,
        labels=labels,
    )
    s_pos, s_neg = similarities(features, **keys)
    finite = s_pos.isfinite().all() & (s_neg < math.inf).all()  # -inf: not there
    if not distributed.all_ranks(finite, s_neg.device):
        raise Diverged
    effective = OBJECTIVES[recipe.loss].effective_negatives(s_neg, recipe)  # [B]
    means = torch.stack(
        [
            effective.mean(),
            s_pos.mean(),
            s_neg.amax(dim=1).mean(),
        ]
    )
    means = distributed.all_reduce_mean(means).tolist()
    names = ("effective_negatives", "positive_similarity", "hardest_similarity")
    return dict(zip(names, means, strict=True))


def similarities(
    features: Tensor,
    keys: Tensor,
    positive: Tensor | None = None,
    positive_keys: Tensor | None = None,
    ignore: Tensor | None = None,
    same_class: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The similarities that a loss compares: s_pos [B] and s_neg [B, M].

    Arguments as for the modules of `losses`, but an `ignore` [B] without -1; same_class [B, m]:
    rows that are positives as well, so that they are no negatives, -1 for none. Where anchors may
    have different numbers of negatives, M is the number of keys, and -inf stands for what is none.
    Unlike the modules it holds the whole matrix [B, M].
    """
    s = features @ keys.T  # [B, keys]
    if positive_keys is None:
        s_pos = s.gather(1, positive[:, None]).squeeze(1)  # [B]
    else:
        s_pos = (features * positive_keys).sum(dim=1)  # [B]
    is_negative = torch.ones_like(s, dtype=torch.bool)  # [B, keys]
    if positive is not None:
        is_negative.scatter_(1, positive[:, None], False)
    if ignore is not None and ignore.ndim == 1:
        is_negative.scatter_(1, ignore[:, None], False)
    lists = [rows for rows in (ignore, same_class) if rows is not None and rows.ndim == 2]
    if not lists:
        return s_pos, s[is_negative].view(len(s), -1)
    for rows in lists:
        none_of_them = ~is_listed(rows, len(keys))  # [B, keys]
        is_negative = is_negative & none_of_them
    return s_pos, s.masked_fill(~is_negative, -math.inf)
