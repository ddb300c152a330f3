"""What the paper says of formulas: checked on random similarities, by its worst case.

No run can refute these statements, and earlier chapters prove them. A check shows how far the code
is from them: the worst distance found over some sets of similarities, and the largest that still
confirms the statement.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib import gradients, losses
from contrastlib.reproduction import grids

__all__ = ["IDENTITIES", "Check", "checks", "similarities"]

IDENTITIES = {
    "C1": "The negatives' gradients sum to the positive's in size (Eq 4).",
    "C2": "The entropy of the relative penalties falls as tau falls (Eq 5).",
    "C3": "As tau tends to 0 the loss becomes a triplet loss (Eq 6).",
    "C4": "As tau tends to infinity the loss becomes the simple loss (Eq 7).",
    "C14": "Exchanging two instances together with their views leaves the loss as it is (Fig 1).",
}
SMALL_TAUS = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
LARGE_TAUS = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Check:
    """A statement about formulas: the worst distance found, and the largest allowed."""

    claim: str
    says: str
    worst: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the statement was confirmed."""
        return self.worst <= self.allowed


def checks(sets: int = 5) -> list[Check]:
    """All checks, each by its worst case over some sets of similarities."""
    worst: dict[str, Check] = {}
    for seed in range(sets):
        for check in all_checks(seed):
            if check.says not in worst or check.worst > worst[check.says].worst:
                worst[check.says] = check
    return list(worst.values())


def all_checks(seed: int) -> list[Check]:
    """All checks on one set of similarities."""
    s_pos, s_neg = similarities(seed)
    return [
        gradients_balance(s_pos, s_neg),
        entropy_rises(s_neg),
        *small_limit(s_pos, s_neg),
        *large_limit(s_pos, s_neg),
        exchange(seed),
    ]


def similarities(seed: int, m: int = 4095) -> tuple[Tensor, Tensor]:
    """Positive similarities [16] and negatives [16, m], uniform in [-1, 1], in float64."""
    generator = torch.Generator().manual_seed(seed)
    s = 2 * torch.rand(16, m + 1, dtype=torch.float64, generator=generator) - 1
    return s[:, 0], s[:, 1:]


def gradients_balance(s_pos: Tensor, s_neg: Tensor) -> Check:
    """C1, by autograd."""
    s_pos = s_pos.clone().requires_grad_()
    s_neg = s_neg.clone().requires_grad_()
    loss = losses.contrastive(s_pos, s_neg, 0.2).sum()
    g_pos, g_neg = torch.autograd.grad(loss, (s_pos, s_neg))
    difference = (g_pos + g_neg.sum(dim=1)) / g_pos
    return Check(
        "C1",
        "relative difference of the two sides' gradients",
        difference.abs().max().item(),
        1e-10,
    )


def entropy_rises(s_neg: Tensor) -> Check:
    """C2, over the temperatures of the grids."""
    entropies = [gradients.entropy(gradients.relative_penalty(s_neg, tau)) for tau in grids.TAUS]
    steps = torch.stack(entropies).diff(dim=0)
    return Check(
        "C2",
        "largest fall of the entropy as tau rises, 0.02 to 1, in nats",
        -steps.min().item(),
        0.0,
    )


def small_limit(s_pos: Tensor, s_neg: Tensor) -> list[Check]:
    """C3's limit, down to a temperature at which it is reached, and its two bounds."""
    differences = []
    for tau in SMALL_TAUS:
        limit = losses.triplet_limit(s_pos, s_neg, tau)
        differences.append(losses.contrastive(s_pos, s_neg, tau) - limit)
    every = torch.stack(differences)
    bound = math.log(s_neg.shape[1] + 1)
    return [
        Check("C3", "distance from Eq 6 at tau = 0.000001", every[-1].abs().max().item(), 1e-3),
        Check("C3", "how far below Eq 6, tau from 1 to 0.000001", -every.min().item(), 1e-9),
        Check("C3", "how far above the bound Eq 6 + log(M + 1)", every.max().item() - bound, 0.0),
    ]


def large_limit(s_pos: Tensor, s_neg: Tensor) -> list[Check]:
    """C4's limit, up to a temperature at which it is reached, and its two bounds."""
    differences = []
    excess = []
    for tau in LARGE_TAUS:
        difference = losses.contrastive(s_pos, s_neg, tau) - losses.simple_limit(s_pos, s_neg, tau)
        differences.append(difference)
        excess.append(difference.max().item() - 1 / (2 * tau**2))
    every = torch.stack(differences)
    return [
        Check("C4", "distance from Eq 7 at tau = 1000", every[-1].abs().max().item(), 1e-6),
        Check("C4", "how far below Eq 7, tau from 1 to 1000", -every.min().item(), 1e-9),
        Check("C4", "how far above the bound Eq 7 + 1 / (2 tau^2)", max(excess), 0.0),
    ]


def exchange(seed: int) -> Check:
    """C14: anchors are views, keys instances; two instances and their views change places."""
    generator = torch.Generator().manual_seed(seed)
    instances = F.normalize(torch.randn(6, 16, generator=generator, dtype=torch.float64), dim=1)
    views = F.normalize(instances + 0.2 * instances.roll(1, dims=1), dim=1)
    swapped = torch.tensor([0, 2, 1, 3, 4, 5])
    before = four_losses(views, instances)
    after = four_losses(views[swapped], instances[swapped])
    change = (before - after).abs().max().item()
    return Check("C14", "change of the four losses when two instances are exchanged", change, 1e-12)


def four_losses(views: Tensor, instances: Tensor) -> Tensor:
    """The four losses of views [N, d] against instances [N, d], each averaged over the anchors."""
    n = len(views)
    s = views @ instances.T
    own = torch.eye(n, dtype=torch.bool)
    s_pos = s[own]
    s_neg = s[~own].view(n, n - 1)
    values = [
        losses.contrastive(s_pos, s_neg, 0.2),
        losses.simple(s_pos, s_neg),
        losses.hard_contrastive(s_pos, s_neg, 0.2, k=2),
        losses.hard_simple(s_pos, s_neg, k=2),
    ]
    return torch.stack(values).mean(dim=1)
