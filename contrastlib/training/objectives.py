"""The table of objectives: all that is said of a loss, once.

Recipes take their choices and their ids from it, training its loss and its log, figures their
titles. To add a loss, write its module (in `losses`, say) and one entry here.
Tensors: B anchors, M keys or negatives, d dimensions; see `losses`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrastlib import losses
from contrastlib.gradients import effective_negatives, relative_penalty
from contrastlib.training.supervised_contrastive import SupervisedContrastiveLoss

if TYPE_CHECKING:  # recipes take their choices from this table
    from contrastlib.training.recipe import Recipe

__all__ = ["OBJECTIVES", "Objective"]


@dataclass(frozen=True)
class Objective:
    """What a recipe's `loss` means.

    Of these fields `ignores` alone can be forgotten with no other harm than needless runs.
    """

    # The name in figures and tables.
    title: str
    # Recipe -> the loss, which is called as the modules of `losses` are and returns a scalar.
    # None: the run is a baseline, which compares no pairs (see `baselines`).
    build: Callable[[Recipe], Callable[..., Tensor]] | None = None
    # s_neg [B, M], recipe -> the effective number of negatives [B], for the log: exp of the entropy
    # of their shares of the push (see `gradients.effective_negatives`).
    effective_negatives: Callable[[Tensor, Recipe], Tensor] | None = None
    # Settings of the recipe that this objective does not read: they are no part of the run's id.
    ignores: frozenset[str] = frozenset()
    # Whether the recipe's alpha or k, exactly one of them, chooses each anchor's hardest negatives.
    keeps_hardest: bool = False
    # Whether the loss is also given `same_class` [B, m]: the rows of keys that are of each anchor's
    # class, -1 for none.
    needs_labels: bool = False

    @property
    def compares_pairs(self) -> bool:
        """Whether the objective is a loss of pairs, so that `pretrain` can train on it."""
        return self.build is not None

    @property
    def tau_can_change(self) -> bool:
        """Whether tau may be scheduled or learnt: then the loss has an attribute `tau`.

        In Eqs 6 and 7 it is only a factor, which is a learning rate.
        """
        return self.compares_pairs and "tau_to" not in self.ignores


TAU_SCHEDULE = frozenset({"tau_to", "tau_period"})
HARDNESS = frozenset({"alpha", "k"})
ALL_OF_LOSS = TAU_SCHEDULE | HARDNESS | {"tau", "lam", "leave_out_same_class"}


def build_contrastive(recipe: Recipe) -> Callable[..., Tensor]:
    """Eq 1."""
    return losses.ContrastiveLoss(recipe.tau)


def build_simple(recipe: Recipe) -> Callable[..., Tensor]:
    """Eq 3."""
    return losses.SimpleLoss(recipe.lam)


def build_hard(recipe: Recipe) -> Callable[..., Tensor]:
    """Eq 9."""
    return losses.HardContrastiveLoss(recipe.tau, alpha=recipe.alpha, k=recipe.k)


def build_hard_simple(recipe: Recipe) -> Callable[..., Tensor]:
    """Eq 3 over the hardest negatives."""
    return losses.HardSimpleLoss(recipe.lam, alpha=recipe.alpha, k=recipe.k)


def build_triplet_limit(recipe: Recipe) -> Callable[..., Tensor]:
    """Eq 6."""
    return losses.TripletLimitLoss(recipe.tau)


def build_simple_limit(recipe: Recipe) -> Callable[..., Tensor]:
    """Eq 7."""
    return losses.SimpleLimitLoss(recipe.tau)


def build_supervised_contrastive(recipe: Recipe) -> Callable[..., Tensor]:
    """Khosla et al. 2020, their Eq 2."""
    return SupervisedContrastiveLoss(recipe.tau)


def boltzmann(s_neg: Tensor, recipe: Recipe) -> Tensor:
    """Of shares that are softmax(s_neg / tau), Eq 5: [B, M] -> [B]."""
    penalties = relative_penalty(s_neg, recipe.tau)  # [B, M]
    return effective_negatives(penalties)


def boltzmann_of_hardest(s_neg: Tensor, recipe: Recipe) -> Tensor:
    """Of the same shares among each anchor's hardest negatives, Eq 8: [B, M] -> [B]."""
    penalties = relative_penalty(s_neg, recipe.tau, alpha=recipe.alpha, k=recipe.k)  # [B, M]
    return effective_negatives(penalties)


def equal(s_neg: Tensor, recipe: Recipe) -> Tensor:
    """Of equal shares: all negatives that are there, [B, M] -> [B]."""
    return (s_neg > -math.inf).sum(dim=1, dtype=s_neg.dtype)


def equal_of_hardest(s_neg: Tensor, recipe: Recipe) -> Tensor:
    """Of equal shares for each anchor's hardest negatives: their number, [B, M] -> [B]."""
    kept = losses.hard_negatives(s_neg, alpha=recipe.alpha, k=recipe.k)  # [B, M]
    return kept.sum(dim=1, dtype=s_neg.dtype)


def nearest_only(s_neg: Tensor, recipe: Recipe) -> Tensor:
    """Of one share, which the nearest negative has: 1, [B, M] -> [B]."""
    return torch.ones_like(s_neg[:, 0])


OBJECTIVES = {
    "contrastive": Objective(
        title="ordinary",
        build=build_contrastive,
        effective_negatives=boltzmann,
        ignores=HARDNESS | {"lam"},
    ),
    "simple": Objective(
        title="simple",
        build=build_simple,
        effective_negatives=equal,
        ignores=TAU_SCHEDULE | HARDNESS | {"tau"},
    ),
    "hard": Objective(
        title="hard",
        build=build_hard,
        effective_negatives=boltzmann_of_hardest,
        ignores=frozenset({"lam"}),
        keeps_hardest=True,
    ),
    "hard_simple": Objective(
        title="hard simple",
        build=build_hard_simple,
        effective_negatives=equal_of_hardest,
        ignores=TAU_SCHEDULE | {"tau"},
        keeps_hardest=True,
    ),
    "triplet_limit": Objective(
        title="Eq. 6",
        build=build_triplet_limit,
        effective_negatives=nearest_only,
        ignores=TAU_SCHEDULE | HARDNESS | {"lam"},
    ),
    "simple_limit": Objective(
        title="Eq. 7",
        build=build_simple_limit,
        effective_negatives=equal,
        ignores=TAU_SCHEDULE | HARDNESS | {"lam"},
    ),
    # Not the paper's. All keys of the anchor's class are its positives, so none is a negative.
    "supervised_contrastive": Objective(
        title="supervised contrastive",
        build=build_supervised_contrastive,
        effective_negatives=boltzmann,
        ignores=HARDNESS | {"lam", "leave_out_same_class"},
        needs_labels=True,
    ),
    # Baselines: the same network trained with labels, not trained at all, and with nothing but
    # the statistics of its batch normalisation.
    "supervised": Objective(title="supervised", ignores=ALL_OF_LOSS),
    "none": Objective(title="untrained", ignores=ALL_OF_LOSS),
    "batch_norm": Objective(title="untrained, batch norm", ignores=ALL_OF_LOSS),
}
