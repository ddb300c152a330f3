"""A batch's way through the network: views, embeddings, and the keys of the loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from contrastlib.augment import Augmentation
from contrastlib.checks import readable
from contrastlib.training import distributed
from contrastlib.training.devices import memory_format
from contrastlib.training.distributed import WHOLE_BATCH, Shard
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipe import Recipe


class Diverged(Exception):
    """The features are no longer finite."""


def embed_and_get_keys(
    recipe: Recipe,
    encoder: nn.Module,
    key_source: nn.Module,
    augmentation: Augmentation,
    images: Sequence[Tensor],
    indices: Tensor,
    augment_rng: torch.Generator | None,
    *,
    precision: str = "float32",
    shard: Shard = WHOLE_BATCH,
    labels: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The embeddings of a shard of the batch, and the loss's other arguments.

    images: uint8 [B, C, H, W], for each view those of the whole batch; indices: their numbers, long
    [B], on their device. The views of the whole batch are drawn, so that the random numbers are the
    same however many processes there are. precision: "bfloat16" runs the network under autocast.
    labels: those of all training images, long [N], which only some recipes read (`reads_labels`).
    Returns unit vectors [B / world_size, d], and the arguments of the loss after `features`.
    Errors: Diverged for features that are not finite in any process; looked at on the CPU only.
    """
    views = []
    layout = memory_format(recipe, indices.device)
    for whole_batch in images:
        view = shard.of(augmentation(whole_batch, augment_rng))
        views.append(view.contiguous(memory_format=layout))
    other = views[1] if recipe.views == 2 else None
    bfloat16 = precision == "bfloat16"
    with torch.autocast(indices.device.type, torch.bfloat16, enabled=bfloat16):
        if recipe.views == 2 and key_source.other_view != "images":
            features, other = encoder(torch.cat(views)).chunk(2)
        else:
            features = encoder(views[0])
        if readable(features):
            finite = features.isfinite().all()
            if not distributed.all_ranks(finite, features.device):
                raise Diverged
        keys = key_source.keys_for(shard.of(indices), other)
    images_of_keys = indices
    if recipe.g == "batch" and shard.world_size > 1:
        keys = in_batch_keys_of_all(keys, other, shard)
    if recipe.g == "bank":
        keys, images_of_keys = bank_keys(
            recipe, key_source, keys, other, indices, augment_rng, shard
        )
    if recipe.reads_labels:
        labels_of_keys = labels if images_of_keys is None else labels[images_of_keys]
        rows = same_class_rows(labels[shard.of(indices)], labels_of_keys)  # [B, m]
        if "positive" in keys:
            rows = rows.masked_fill(rows == keys["positive"][:, None], -1)
        if OBJECTIVES[recipe.loss].needs_labels:
            keys["same_class"] = rows
        else:
            keys["ignore"] = rows  # among them is the anchor's own, which two views leave out
    return features, keys


def same_class_rows(labels: Tensor, labels_of_keys: Tensor) -> Tensor:
    """The rows of keys that are of each anchor's class: long [B, m], -1 for none.

    labels [B] of the anchors, and labels_of_keys [M], in [0, classes). m is the size of the largest
    class among the keys. On a GPU the processor waits here, since m depends on the labels.
    """
    classes = int(torch.maximum(labels.max(), labels_of_keys.max())) + 1
    sizes = labels_of_keys.bincount(minlength=classes)  # [classes]
    by_class = labels_of_keys.argsort(stable=True).split(sizes.tolist())
    rows_of_classes = pad_sequence(by_class, batch_first=True, padding_value=-1)  # [classes, m]
    return rows_of_classes[labels]


def in_batch_keys_of_all(keys: dict[str, Tensor], other: Tensor, shard: Shard) -> dict[str, Tensor]:
    """Let the other views of all processes be keys [B, d]; gradients flow to them."""
    first = shard.rank * len(other)  # the place in the batch where this shard begins
    return {"keys": distributed.Gather.apply(other), "positive": first + keys["positive"]}


def bank_keys(
    recipe: Recipe,
    key_source: nn.Module,
    keys: dict[str, Tensor],
    other: Tensor | None,
    indices: Tensor,
    rng: torch.Generator | None,
    shard: Shard,
) -> tuple[dict[str, Tensor], Tensor | None]:
    """The bank's keys as the recipe wants them: perhaps a sample, perhaps another positive.

    Returns the loss's arguments, and the number of each key's image, or None where these are 0, 1,
    and so on.

    other: the embeddings of the other view [B / world_size, d], where the recipe has two views.
    Then they are the positives, and the anchor's own row of the bank is ignored.
    """
    rows = None
    if recipe.negatives is not None:
        rows = sample_rows(len(key_source.bank), recipe.negatives, indices, rng)
        # The batch's own rows come first, so that anchor i's positive is row i.
        positive = shard.of(torch.arange(len(indices), device=indices.device))
        keys = {"keys": key_source.bank[rows], "positive": positive}
    if recipe.views == 2:
        keys = {"keys": keys["keys"], "positive_keys": other, "ignore": keys["positive"]}
    return keys, rows


def sample_rows(n: int, negatives: int, indices: Tensor, rng: torch.Generator | None) -> Tensor:
    """Rows of a bank of n: the batch's own, then others at random, 1 + negatives in all.

    For each anchor the negatives are a uniform draw, since the batch is one.
    """
    draws = torch.rand(n, generator=rng, device=indices.device)  # [n]
    draws.index_fill_(0, indices, -1)  # the batch's own rows are not drawn again
    others = draws.topk(negatives + 1 - len(indices)).indices
    return torch.cat([indices, others])  # [1 + negatives]
