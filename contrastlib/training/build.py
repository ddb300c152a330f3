"""From a recipe to what trains: images, network, objective, keys, views, optimiser, and the device they live on."""

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from contrastlib import data, losses, models
from contrastlib.augment import Augmentation
from contrastlib.checks import check_count
from contrastlib.keys import InBatchKeys, MemoryBank, MomentumQueue
from contrastlib.models import Encoder
from contrastlib.training import distributed
from contrastlib.training.recipes import Recipe

WEIGHTS, KEYS, ORDER, VIEWS = range(4)  # what chance decides, each by its own seed


def generator(recipe: Recipe, purpose: int, device: str | torch.device) -> torch.Generator:
    """A generator of its own for each purpose."""
    return torch.Generator(device).manual_seed(4 * recipe.seed + purpose)


class Held:
    """Images that lie on the device, all of them, as uint8."""

    def __init__(self, recipe: Recipe, split: str, device: torch.device, limit: int | None):
        self.device = device
        loaded = data.load(recipe.dataset, split, limit=limit, device=device)
        self.images, self.labels, self.classes = loaded.images, loaded.labels, loaded.classes
        self.channels = self.images.shape[1]

    def __len__(self) -> int:
        return len(self.images)

    def spread(self, count: int) -> Tensor:
        """The numbers of some images, which stand for all: the first, unless all lie class by class, as in a folder."""
        sorted_by_class = bool((self.labels.diff() >= 0).all())
        return torch.arange(count) * (len(self) // count if sorted_by_class else 1)

    def view(self, recipe: Recipe) -> Augmentation:
        """The recipe's augmentation, for what `batches` yields."""
        return build_view(recipe, self.images)

    def batches(
        self, rows: Iterable[Tensor], draw: int | None, views: int = 1, part: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """For each of rows, the numbers [B] of images: these on the device, and uint8 [B, C, H, W] for each view.

        draw: which random crops, or None for none. part: the number of a process and how many there are; the images
        of the others may be blank. (Here there are no crops yet and all images.)
        """
        for indices in moved(rows, self.device):
            yield indices, [self.images[indices]] * views


class Streamed:
    """Images that are decoded and cropped anew each time, by other processes, for `Held` where they are too many."""

    channels = 3

    def __init__(self, recipe: Recipe, split: str, device: torch.device, limit: int | None):
        if recipe.augmentation.size is None:
            raise ValueError(
                f"{recipe.dataset} has images of many sizes and augmentation.size is None: "
                "set it to the side of the views, such as augmentation.size=224"
            )
        files = data.image_files(recipe.dataset, split, limit=limit)
        self.device, self.labels, self.classes = device, files.labels.to(device), files.classes
        self.plan: list[list[tuple[int, int | None, int]]] = []  # the batches of the loader's next pass
        self.loader = DataLoader(
            Crops(files, recipe),
            batch_sampler=self.plan,
            num_workers=decoders(),
            pin_memory=device.type == "cuda",
            persistent_workers=True,
            generator=torch.Generator(),  # it draws from it, and PyTorch's own stays as it was
        )

    def __len__(self) -> int:
        return len(self.labels)

    def spread(self, count: int) -> Tensor:
        """The numbers of some images, which stand for all: evenly spread, since they are in the order of classes."""
        return torch.arange(count) * len(self) // count

    def view(self, recipe: Recipe) -> Augmentation:
        """What is left of the recipe's augmentation after the crop; the scale is that of 1,000 images."""
        view = recipe.augmentation
        if view.mean is None:
            some = self.spread(min(1000, len(self))).split(100)
            view = build_view(recipe, torch.cat([images for _, (images,) in self.batches(some, None)]))
        return replace(view, crop=(1.0, 1.0), ratio=(1.0, 1.0), size=None)

    def batches(
        self, rows: Iterable[Tensor], draw: int | None, views: int = 1, part: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """As those of `Held`. Without a draw: the shorter side to 8 / 7 of the size, and the middle of that."""
        (rank, parts), rows = part, list(rows)
        self.plan[:] = [[(i, draw, views) for i in indices.chunk(parts)[rank].tolist()] for indices in rows]
        for indices, crops in zip(moved(rows, self.device), self.loader, strict=True):
            crops = crops.to(self.device, non_blocking=True)
            if parts > 1:
                blank = crops.new_zeros(len(indices), *crops.shape[1:])
                blank.chunk(parts)[rank].copy_(crops)
                crops = blank
            yield indices, list(crops.unbind(1))


class Crops(Dataset):
    """(index, draw, views) -> that many crops of an image, uint8 [views, C, size, size].

    They are decided by the recipe's seed, the draw and the index: not by who decodes, nor when.
    """

    def __init__(self, files: data.ImageFiles, recipe: Recipe):
        from torchvision.transforms import v2  # a second to import

        view = recipe.augmentation
        self.files, self.seed = files, 4 * recipe.seed + VIEWS
        self.random = v2.RandomResizedCrop(view.size, scale=view.crop, ratio=view.ratio, antialias=True)
        self.middle = v2.Compose([v2.Resize(round(view.size * 8 / 7), antialias=True), v2.CenterCrop(view.size)])

    def __getitem__(self, key: tuple[int, int | None, int]) -> Tensor:
        index, draw, views = key
        pixels = self.files.pixels(index)
        if draw is None:
            return torch.stack([self.middle(pixels)] * views)
        seed = np.random.SeedSequence((self.seed, draw, index)).generate_state(1).item()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return torch.stack([self.random(pixels) for _ in range(views)])


def moved(rows: Iterable[Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """The tensors on the device, in one go: to move each in its turn would make the processor wait for a GPU."""
    rows = list(rows)
    return torch.cat(rows).to(device).split([len(indices) for indices in rows])


def build_images(recipe: Recipe, split: str, device: str | torch.device, limit: int | None = None) -> Held | Streamed:
    """The recipe's images of a split; limit as in `data.load`, of the training images the recipe's where it is None."""
    limit = recipe.limit if split == "train" and limit is None else limit
    kind = Streamed if data.dataset_info(recipe.dataset).streamed else Held
    return kind(recipe, split, torch.device(device), limit)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoders() -> int:
    """How many processes decode for this one: one for each core it may use, shared with its like on this machine."""
    return max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


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
    return {
        "contrastive": lambda: losses.ContrastiveLoss(recipe.tau),
        "simple": lambda: losses.SimpleLoss(recipe.lam),
        "hard": lambda: losses.HardContrastiveLoss(recipe.tau, **hard),
        "hard_simple": lambda: losses.HardSimpleLoss(recipe.lam, **hard),
        "triplet_limit": lambda: losses.TripletLimitLoss(recipe.tau),
        "simple_limit": lambda: losses.SimpleLimitLoss(recipe.tau),
    }[recipe.loss]()


def build_keys(recipe: Recipe, encoder: Encoder, n: int) -> nn.Module:
    """The recipe's g, for n training images."""
    seed = 4 * recipe.seed + KEYS
    if recipe.g == "batch":
        return InBatchKeys()
    if recipe.g == "queue":
        if recipe.queue_size >= n:
            warnings.warn(
                f"the queue holds {recipe.queue_size} keys of {n} images, so that an image's own older keys are among "
                f"its negatives: set queue_size well below {n}",
                stacklevel=2,
            )
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


def temperature(recipe: Recipe, epoch: float) -> float:
    """The temperature at a moment, counted in epochs, of a recipe whose tau swings to tau_to and back."""
    swing = (1 + math.cos(2 * math.pi * epoch / recipe.tau_period)) / 2
    return recipe.tau_to + (recipe.tau - recipe.tau_to) * swing


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Give the optimiser the learning rate of this moment."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, epoch)


def pick_device(name: str | torch.device | None) -> torch.device:
    """The device asked for; None takes cuda, mps or cpu, the first there is; of several processes each its own GPU."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    try:
        device = torch.device(next(kind for kind, found in there.items() if found) if name is None else name)
    except RuntimeError as error:
        raise ValueError(f"there is no device {name!r}; give cpu, cuda, cuda:N or mps") from error
    if device == torch.device("cuda") and distributed.launched() > 1:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if not there.get(device.type) or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        found = ", ".join(kind for kind, found in there.items() if found)
        raise ValueError(f"device {device} is not to be had here; give one of: {found}")
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
