"""From a recipe to what trains: encoder, loss, key source, optimiser, schedules and seeds."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum

import torch
from torch import Tensor, nn

from contrastlib import models
from contrastlib.checks import check_count
from contrastlib.keys import InBatchKeys, MemoryBank, MomentumQueue
from contrastlib.models import Encoder
from contrastlib.training.learnt_temperature import LearntTemperature
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipe import Recipe


class Seed(IntEnum):
    """Independent random streams of a run, one seed each."""

    WEIGHTS = 0  # the network's first weights
    KEYS = 1  # the first rows of the bank or queue
    SHUFFLE = 2  # the order of the images
    AUGMENT = 3  # crops and colours, and the bank's rows where only some are drawn

    def of(self, recipe: Recipe) -> int:
        """The seed of this stream in the recipe's run."""
        return 4 * recipe.seed + self


def generator(recipe: Recipe, seed: Seed, device: str | torch.device) -> torch.Generator:
    """A random generator on the device for one of the run's streams."""
    return torch.Generator(device).manual_seed(seed.of(recipe))


def build_encoder(recipe: Recipe, channels: int) -> Encoder:
    """The recipe's network with its first weights, on the CPU.

    PyTorch's own generator stays as it was. Errors: ValueError for ResNet-50 on grey images.
    """
    if recipe.backbone == "resnet50" and channels != 3:
        raise ValueError(
            f"resnet50 takes colour images; those of {recipe.dataset} have {channels} channel(s)"
        )
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(Seed.WEIGHTS.of(recipe))
        backbone = build_backbone(recipe, channels)
        return Encoder(backbone, recipe.d)


def build_backbone(recipe: Recipe, channels: int) -> nn.Module:
    """The recipe's network without its head."""
    if recipe.backbone == "resnet18_cifar":
        return models.resnet18_cifar(recipe.stem_stride, recipe.max_pool, channels)
    if recipe.backbone == "resnet50":
        return models.resnet50()
    if recipe.backbone == "resnet_small":
        return models.resnet_small(recipe.width, channels, recipe.stem_stride)
    return models.convnet_digits(recipe.width, channels)


def build_loss(recipe: Recipe) -> Callable[..., Tensor]:
    """The recipe's objective, called as the modules of `losses` are.

    A learnt temperature has its first value in it; a step gives it the present one.
    Errors: ValueError for a baseline, which has none.
    """
    objective = OBJECTIVES[recipe.loss]
    if not objective.compares_pairs:
        raise ValueError(
            f"loss is {recipe.loss!r}, a baseline that compares no pairs: "
            "call run, or supervised or untrained"
        )
    if recipe.learns_tau:
        recipe = replace(recipe, tau=recipe.tau_start)
    return objective.build(recipe)


def build_learnt_tau(recipe: Recipe) -> LearntTemperature | None:
    """The recipe's learnt temperature, on the CPU; None where it is not learnt."""
    if not recipe.learns_tau:
        return None
    return LearntTemperature(recipe.tau_start, recipe.tau_min, recipe.tau_max)


def build_key_source(recipe: Recipe, encoder: Encoder, n: int) -> nn.Module:
    """The recipe's g, the source of the loss's keys, for n training images."""
    seed = Seed.KEYS.of(recipe)
    if recipe.g == "batch":
        return InBatchKeys()
    if recipe.g == "queue":
        if recipe.queue_size >= n:
            warnings.warn(
                f"the queue holds {recipe.queue_size} keys of {n} images, so that an image's own "
                f"older keys are among its negatives: set queue_size well below {n}",
                stacklevel=2,
            )
        return MomentumQueue(encoder, recipe.queue_size, recipe.queue_momentum, seed=seed)
    if recipe.negatives is not None:
        why = f"the bank has {n} rows, and one is the anchor's own"
        check_count("negatives", recipe.negatives, 1, n - 1, why)
    return MemoryBank(n, recipe.d, recipe.bank_momentum, seed=seed)


def build_optimizer(
    recipe: Recipe, module: nn.Module, learnt_tau: LearntTemperature | None = None
) -> torch.optim.SGD:
    """SGD as the recipe has it; a learnt temperature is a group of its own, without decay."""
    groups = [{"params": list(module.parameters())}]
    if learnt_tau is not None:
        groups.append({"params": list(learnt_tau.parameters()), "weight_decay": 0.0})
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)


def steps_per_epoch(recipe: Recipe, n: int) -> int:
    """How many whole batches n training images make.

    Errors: ValueError if they do not fill one batch.
    """
    steps = n // recipe.batch
    if steps == 0:
        raise ValueError(
            f"batch is {recipe.batch}, but there are only {n} training images: "
            "make the batch smaller"
        )
    return steps


def shuffled_batches(recipe: Recipe, n: int, shuffle_rng: torch.Generator) -> tuple[Tensor, ...]:
    """The n images of an epoch in random order: for each step its images' numbers, long [B].

    Images that do not fill the last batch are left out.
    """
    order = torch.randperm(n, generator=shuffle_rng, device="cpu")
    used = steps_per_epoch(recipe, n) * recipe.batch
    return order[:used].split(recipe.batch)


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment, counted in epochs: 0.1 times at each step, or a cosine."""
    if recipe.schedule == "steps":
        steps_passed = sum(epoch >= step for step in recipe.lr_steps)
        return recipe.lr * 0.1**steps_passed
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Give the optimiser the learning rates of a moment, counted in epochs.

    That of a learnt temperature falls as the network's does.
    """
    lr = learning_rate(recipe, epoch)
    for group in optimizer.param_groups:
        group["lr"] = lr
    if recipe.learns_tau:
        start = 0.1 * recipe.lr if recipe.tau_lr is None else recipe.tau_lr
        optimizer.param_groups[1]["lr"] = start * (lr / recipe.lr)


def temperature(recipe: Recipe, epoch: float) -> float:
    """The temperature at a moment, counted in epochs: a cosine from tau to tau_to and back."""
    swing = (1 + math.cos(2 * math.pi * epoch / recipe.tau_period)) / 2
    return recipe.tau_to + (recipe.tau - recipe.tau_to) * swing
