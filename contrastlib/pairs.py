"""What is compared with what: the arguments of a loss on embeddings, checked and brought to one
dtype.

Tensors: B anchors, M keys, d dimensions, m rows that an anchor ignores.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from contrastlib.checks import (
    check_alike,
    check_dimensions,
    check_floating,
    check_row_numbers,
    check_rows,
    check_unit,
    readable,
)
from contrastlib.numerics import at_least_float32

# How far up the caller of a loss module is from check_unit: check_embeddings, forward and two
# frames of nn.Module lie in between.
CALLER_OF_MODULE = 6


class Pairs(NamedTuple):
    """What is compared with what: a loss module's arguments, checked and brought to one dtype."""

    features: Tensor  # [B, d], float32 or float64
    keys: Tensor  # [M, d], any floating dtype
    positive_keys: Tensor  # [B, d], in the dtype of features
    positive: Tensor | None  # [B], long
    ignore: Tensor | None  # [B, m], long, -1 for none

    def left_out(self) -> Tensor | None:
        """The rows of keys that are no negatives of each anchor, [B, p], long, or None; -1 for
        none.
        """
        lists = []
        if self.positive is not None:
            lists.append(self.positive[:, None])
        if self.ignore is not None:
            lists.append(self.ignore)
        if not lists:
            return None
        if len(lists) == 1:
            return lists[0]
        return torch.cat(lists, dim=1)

    def most_negatives(self) -> int:
        """The number of negatives of an anchor that ignores no key."""
        if self.positive is None:
            return len(self.keys)
        return len(self.keys) - 1

    def without_repeats(self) -> "Pairs":
        """The same pairs, with -1 in place of ignored rows that are listed twice or are the
        positive's.
        """
        if self.ignore is None:
            return self
        rows = self.ignore.sort(dim=1).values  # [B, m]
        nothing = rows.new_full((len(rows), 1), -1)  # [B, 1]
        uncounted = rows.diff(dim=1, prepend=nothing) == 0  # [B, m]
        if self.positive is not None:
            uncounted = uncounted | (rows == self.positive[:, None])
        ignore = rows.masked_fill(uncounted, -1)
        return Pairs(self.features, self.keys, self.positive_keys, self.positive, ignore)

    def negatives(self) -> int | Tensor:
        """The number of negatives of every anchor or, where they differ, of each, [B]; call it
        without repeats.
        """
        if self.ignore is None:
            return self.most_negatives()
        return self.most_negatives() - (self.ignore >= 0).sum(dim=1)


def make_pairs(
    features: Tensor,
    keys: Tensor,
    positive: Tensor | None,
    positive_keys: Tensor | None,
    ignore: Tensor | None,
) -> Pairs:
    """Look the positive keys up and bring all but the keys to float32, or float64 if features or
    keys are.
    """
    dtype = torch.promote_types(at_least_float32(features), keys.dtype)
    if positive_keys is None:
        positive_keys = keys[positive]
    if ignore is not None and ignore.ndim == 1:
        ignore = ignore[:, None]
    return Pairs(features.to(dtype), keys, positive_keys.to(dtype), positive, ignore)


def check_some_left(pairs: Pairs) -> None:
    """Refuse lists to ignore that leave an anchor without a negative, on the CPU only."""
    if (
        pairs.ignore is None
        or pairs.most_negatives() > pairs.ignore.shape[1]
        or not readable(pairs.ignore)
    ):
        return
    negatives = pairs.without_repeats().negatives()  # [B]
    if int(negatives.min()) < 1:
        raise ValueError(
            f"ignore leaves no negative of anchor {int(negatives.argmin())}, of {len(pairs.keys)} "
            "keys; ignore fewer rows, or give more keys"
        )


def check_embeddings(
    features: Tensor,
    keys: Tensor,
    positive: Tensor | None,
    positive_keys: Tensor | None,
    ignore: Tensor | None,
) -> None:
    """Refuse arguments of a loss module that do not fit together."""
    check_floating("features", features, "B d")
    check_floating("keys", keys, "M d")
    check_dimensions("features", features, "keys", keys)
    if (positive is None) == (positive_keys is None):
        given = "neither" if positive is None else "both"
        raise ValueError(
            f"{given} of positive and positive_keys given; give exactly one: positive [B], the row "
            "of keys that is each anchor's positive, or positive_keys [B, d] where it is not a "
            "row of keys"
        )
    if positive is not None:
        check_rows("positive", positive, features, keys)
    else:
        check_alike("positive_keys", positive_keys, "features", features)
    if len(keys) < 2 and positive is not None:
        raise ValueError("keys has 1 row, which leaves no negative; give at least 2")
    if ignore is not None:
        check_ignore(ignore, features, keys, positive)
    # Of the keys only the anchors' own are looked at: reading all would cost as much as the loss.
    check_unit("features", features, CALLER_OF_MODULE)
    if positive_keys is not None:
        check_unit("positive_keys", positive_keys, CALLER_OF_MODULE)
    elif readable(keys):
        check_unit("keys", keys.detach()[positive], CALLER_OF_MODULE)


def check_ignore(ignore: Tensor, features: Tensor, keys: Tensor, positive: Tensor | None) -> None:
    """Refuse anything but rows of keys, or -1 for none, long [B] or [B, m], without an anchor's own
    positive.
    """
    hint = ", or -1 for none"
    check_row_numbers(
        "ignore", ignore, "rows of keys", len(keys), "features", features, hint, smallest=-1
    )
    if ignore.ndim not in (1, 2) or len(ignore) != len(features) or ignore.numel() == 0:
        raise ValueError(
            f"ignore has shape {list(ignore.shape)}; give one row of keys for each of the "
            f"{len(features)} anchors, [{len(features)}], or a list of them for each, "
            f"[{len(features)}, m], filled up with -1"
        )
    if not readable(ignore):
        return
    ignore = ignore.reshape(len(features), -1)  # [B, m]
    if positive is not None and bool((ignore == positive[:, None]).any()):
        raise ValueError(
            "ignore names an anchor's own positive; it is for rows that are no negatives: leave "
            "it out, or point it at another row"
        )
