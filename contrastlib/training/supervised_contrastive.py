"""The supervised contrastive loss (Khosla et al. 2020): every key of the anchor's class is a
positive.

It is not one of the paper's losses, and stands beside them as what labels can do at best. Tensors:
B anchors, M keys, d dimensions.
"""

import math

import torch
from torch import Tensor, nn

from contrastlib.checks import check_row_numbers, check_tau, readable
from contrastlib.numerics import at_least_float32, over_tau
from contrastlib.pairs import check_embeddings

__all__ = ["SupervisedContrastiveLoss", "is_listed", "supervised_contrastive"]


def supervised_contrastive(s: Tensor, is_positive: Tensor, tau: float) -> Tensor:
    """The mean over an anchor's positives p of Eq 1 with all keys a below: L_out of Khosla et al.,
    their Eq 2.

    -1/|P| sum_p log[ exp(s_p / tau) / sum_a exp(s_a / tau) ], which is
    log sum_a exp(s_a / tau) - mean_p s_p / tau. The positives are among the keys a.

    s [B, M], the similarities to all keys, -inf for a key that is not there; is_positive [B, M],
    bool, with at least one that is there in each row; tau > 0 -> loss [B], in nats.
    Errors: ValueError for an anchor without a positive; looked for on the CPU only.
    """
    check_tau(tau)
    log_sum = torch.logsumexp(over_tau(s, tau), dim=1)  # [B]
    is_positive = is_positive & (s > -math.inf)
    positives = is_positive.sum(dim=1)  # [B]
    if readable(positives) and bool((positives == 0).any()):
        anchor = int((positives == 0).nonzero()[0])
        raise ValueError(
            f"anchor {anchor} has no positive among the keys; give each at least one, or leave "
            "such anchors out"
        )
    mean_positive = s.masked_fill(~is_positive, 0).sum(dim=1) / positives  # [B]
    return log_sum - mean_positive / tau


class SupervisedContrastiveLoss(nn.Module):
    """The supervised contrastive loss of a batch of embeddings against keys.

    tau > 0. It is called as the modules of `losses` are, with one argument more: same_class [B, m],
    long, the rows of keys that are of each anchor's class, -1 for none. They are positives, beside
    the anchor's own, and so is the anchor's row if it is listed and not ignored. Unlike those
    modules it holds the whole matrix [B, M].
    """

    def __init__(self, tau: float):
        super().__init__()
        check_tau(tau)
        self.tau = tau

    def extra_repr(self) -> str:
        return f"tau={self.tau}"

    def forward(
        self,
        features: Tensor,
        keys: Tensor,
        positive: Tensor | None = None,
        *,
        same_class: Tensor,
        positive_keys: Tensor | None = None,
        ignore: Tensor | None = None,
    ) -> Tensor:
        """The mean loss over the anchors, a scalar."""
        check_embeddings(features, keys, positive, positive_keys, ignore)
        check_same_class(same_class, features, keys)
        dtype = torch.promote_types(at_least_float32(features), keys.dtype)
        features = features.to(dtype)
        s = features @ keys.to(dtype).T  # [B, M]
        is_positive = is_listed(same_class, len(keys))  # [B, M]
        if ignore is not None:
            ignored = is_listed(ignore.view(len(s), -1), len(keys))  # [B, M]
            s = s.masked_fill(ignored, -math.inf)
        if positive is not None:
            is_positive = is_positive.scatter(1, positive[:, None], True)
        else:
            s_own = (features * positive_keys.to(dtype)).sum(dim=1, keepdim=True)  # [B, 1]
            s = torch.cat([s, s_own], dim=1)  # [B, M + 1]
            is_positive = torch.cat([is_positive, torch.ones_like(s_own, dtype=torch.bool)], dim=1)
        return supervised_contrastive(s, is_positive, self.tau).mean()


def check_same_class(same_class: Tensor, features: Tensor, keys: Tensor) -> None:
    """Refuse anything but lists of rows of keys, one for each anchor, with -1 for none."""
    hint = ", or -1 for none"
    check_row_numbers(
        "same_class", same_class, "rows of keys", len(keys), "features", features, hint, -1
    )
    if same_class.ndim != 2 or len(same_class) != len(features):
        raise ValueError(
            f"same_class has shape {list(same_class.shape)}; give [B, m], a list for each of the "
            f"{len(features)} anchors"
        )


def is_listed(rows: Tensor, keys: int) -> Tensor:
    """Which of so many keys each row lists: rows [B, m], long, -1 for none -> bool [B, keys]."""
    # A column of its own takes the -1, and is dropped.
    listed = torch.zeros(len(rows), keys + 1, dtype=torch.bool, device=rows.device)
    listed.scatter_(1, rows.remainder(keys + 1), True)
    return listed[:, :keys]
