"""From a recipe to what trains: network, objective, keys, views, optimiser, and the device they live on."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from . import losses, models
from .augment import Augmentation
from .checks import check_count, check_embeddings
from .keys import InBatchKeys, MemoryBank, MomentumQueue
from .models import Encoder
from .recipes import Recipe
from .streaming import hard_sum

WEIGHTS, KEYS, ORDER, VIEWS = range(4)  # what chance decides, each by its own seed


def generator(recipe: Recipe, purpose: int, device: str | torch.device) -> torch.Generator:
    """A generator of its own for each purpose."""
    return torch.Generator(device).manual_seed(4 * recipe.seed + purpose)


def build_encoder(recipe: Recipe, channels: int) -> Encoder:
    """The recipe's network with its first weights, on the CPU; PyTorch's own generator stays as it was."""
    if recipe.backbone == "resnet50" and channels != 3:
        raise ValueError(f"resnet50 takes colour images; those of {recipe.dataset} have {channels} channel(s)")
    nets = {
        "resnet18_cifar": lambda: models.resnet18_cifar(recipe.stem_stride, recipe.max_pool, channels),
        "resnet50": models.resnet50,
        "resnet_small": lambda: models.resnet_small(recipe.width, channels, recipe.stem_stride),
        "convnet_digits": lambda: models.convnet_digits(recipe.width, channels),
    }
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(4 * recipe.seed + WEIGHTS)
        return Encoder(nets[recipe.backbone](), recipe.d)


def build_loss(recipe: Recipe) -> Callable[..., Tensor]:
    """The recipe's objective, called as the modules of `losses` are."""
    hard = {"alpha": recipe.alpha, "k": recipe.k}

    def triplet_limit(features, keys, positive=None, *, positive_keys=None, ignore=None):
        check_embeddings(features, keys, positive, positive_keys, ignore)
        gap = hard_sum(features, keys, positive, positive_keys, ignore, None, 1)  # the nearest negative's lead
        return (gap.clamp(min=0) / recipe.tau).mean()

    def simple_limit(features, keys, positive=None, *, positive_keys=None, ignore=None):
        negatives = check_embeddings(features, keys, positive, positive_keys, ignore)
        value = losses.SimpleLoss()(features, keys, positive, positive_keys=positive_keys, ignore=ignore)
        return value * (negatives / ((negatives + 1) * recipe.tau)) + math.log(negatives + 1)

    return {
        "contrastive": lambda: losses.ContrastiveLoss(recipe.tau),
        "simple": lambda: losses.SimpleLoss(recipe.lam),
        "hard": lambda: losses.HardContrastiveLoss(recipe.tau, **hard),
        "hard_simple": lambda: losses.HardSimpleLoss(recipe.lam, **hard),
        "triplet_limit": lambda: triplet_limit,
        "simple_limit": lambda: simple_limit,
    }[recipe.loss]()


def build_keys(recipe: Recipe, encoder: Encoder, n: int) -> nn.Module:
    """The recipe's g, for n training images."""
    seed = 4 * recipe.seed + KEYS
    if recipe.g == "batch":
        return InBatchKeys()
    if recipe.g == "queue":
        return MomentumQueue(encoder, recipe.queue_size, recipe.queue_momentum, seed=seed)
    if recipe.negatives is not None:
        check_count("negatives", recipe.negatives, 1, n - 1, f"the bank has {n} rows, and one is the anchor's own")
    return MemoryBank(n, recipe.d, recipe.bank_momentum, seed=seed)


def build_view(recipe: Recipe, images: Tensor) -> Augmentation:
    """The recipe's augmentation; without a mean and a std, on the scale of these images."""
    if recipe.augmentation.mean is not None:
        return recipe.augmentation
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([c.flatten().bincount(minlength=256) for c in images.unbind(1)]).cpu().double()
    share = counts / counts.sum(dim=1, keepdim=True)
    mean = share @ values
    std = (share @ values.square() - mean.square()).sqrt().clamp(min=1e-3)
    return replace(recipe.augmentation, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def build_optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.SGD:
    """SGD as the recipe has it."""
    return torch.optim.SGD(module.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment, counted in epochs: times 0.1 at each of lr_steps, or half a cosine."""
    if recipe.schedule == "steps":
        return recipe.lr * 0.1 ** sum(epoch >= step for step in recipe.lr_steps)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Give the optimiser the learning rate of this moment."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, epoch)


def pick_device(name: str | torch.device | None) -> torch.device:
    """The device asked for; None takes cuda, mps or cpu, the first there is."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name is None:
        return torch.device(next(kind for kind, found in there.items() if found))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no device {name!r}; give cpu, cuda, cuda:N or mps") from error
    if not there.get(device.type) or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        found = ", ".join(kind for kind, found in there.items() if found)
        raise ValueError(f"device {name} is not to be had here; give one of: {found}")
    return device


def pick_precision(recipe: Recipe, device: torch.device) -> str:
    """The recipe's precision, or bfloat16 where the device multiplies it natively (elsewhere it is slower)."""
    if recipe.precision is not None:
        return recipe.precision
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:  # not every version of PyTorch has these; bool() is False
        tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        native = device.type == "cpu" and any(getattr(torch.cpu, test, bool)() for test in tests)
    return "bfloat16" if native else "float32"
