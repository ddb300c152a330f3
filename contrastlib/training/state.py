"""What training works with, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from contrastlib.augment import Augmentation
from contrastlib.models import Encoder
from contrastlib.training.distributed import Shard
from contrastlib.training.image_sources import InMemoryImages, StreamedImages
from contrastlib.training.learnt_temperature import LearntTemperature
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipe import Recipe

__all__ = ["Run", "TrainState"]


@dataclass
class Run:
    """What `pretrain` returns: status is "finished" or "diverged", history one dict an epoch.

    bank: the rows [N, d] of the memory bank at the end, where the recipe has one.
    """

    recipe: Recipe
    encoder: Encoder
    status: str
    history: list[dict]
    device: torch.device
    precision: str
    bank: Tensor | None = None


@dataclass
class TrainState:
    """All that training works with and changes."""

    recipe: Recipe
    device: torch.device
    precision: str
    shard: Shard  # this process's share of each batch
    images: InMemoryImages | StreamedImages
    steps: int  # an epoch
    augmentation: Augmentation
    encoder: Encoder
    ddp_encoder: nn.Module  # the encoder as it is called in a step: over processes, compiled
    loss: Callable[..., Tensor]
    key_source: nn.Module
    optimizer: torch.optim.Optimizer
    shuffle_rng: torch.Generator
    augment_rng: torch.Generator
    learnt_tau: LearntTemperature | None = None
    logged_batch: tuple[Tensor, list[Tensor]] | None = None  # indices and views, `similarity_log`'s
    history: list[dict] = field(default_factory=list)  # one log line an epoch
    diverged: bool = False

    @property
    def device_and_precision(self) -> str:
        """As it stands in a checkpoint, such as "cpu in float32"."""
        return f"{self.device.type} in {self.precision}"

    @property
    def tau_is_scheduled(self) -> bool:
        """Whether the temperature follows a schedule."""
        return OBJECTIVES[self.recipe.loss].tau_can_change and self.recipe.tau_to is not None

    @property
    def tau_now(self) -> float | None:
        """The temperature where it changes, by a schedule or because it is learnt; else None."""
        if self.learnt_tau is not None:
            return self.learnt_tau().item()
        if self.tau_is_scheduled:
            return self.loss.tau
        return None

    def checkpoint_parts(self) -> dict:
        """What a checkpoint holds beside the history, by the names in its file."""
        parts = {
            "encoder": self.encoder,
            "keys": self.key_source,
            "optimizer": self.optimizer,
            "order": self.shuffle_rng,
            "views": self.augment_rng,
        }
        if self.learnt_tau is not None:
            parts["tau"] = self.learnt_tau
        return parts
