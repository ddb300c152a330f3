"""Where a run's images come from: a tensor on the device, or files decoded on each pass.

Both sources have the same methods: `representative`, `augmentation` and `batches`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from contrastlib import data
from contrastlib.augment import Augmentation
from contrastlib.training.components import Seed
from contrastlib.training.devices import decode_workers
from contrastlib.training.distributed import WHOLE_BATCH, Shard
from contrastlib.training.recipe import Recipe

CropKey = tuple[int, int | None, int]  # index of an image, crop seed, number of views


class InMemoryImages:
    """Images that lie on the device, all of them, as uint8 [N, C, H, W]."""

    def __init__(self, recipe: Recipe, split: str, device: torch.device, limit: int | None):
        loaded = data.load(recipe.dataset, split, limit=limit, device=device)
        self.device = device
        self.images = loaded.images
        self.labels = loaded.labels
        self.classes = loaded.classes
        self.channels = self.images.shape[1]

    def __len__(self) -> int:
        return len(self.images)

    def representative(self, count: int) -> Tensor:
        """Indices of `count` images that represent all classes: long [count].

        They are the first ones, or evenly spaced where the images are sorted by class.
        """
        sorted_by_class = bool((self.labels.diff() >= 0).all())
        spacing = len(self) // count if sorted_by_class else 1
        return torch.arange(count) * spacing

    def augmentation(self, recipe: Recipe) -> Augmentation:
        """The recipe's augmentation, for what `batches` yields."""
        return build_augmentation(recipe, self.images)

    def batches(
        self,
        index_batches: Iterable[Tensor],
        crop_seed: int | None,
        views: int = 1,
        shard: Shard = WHOLE_BATCH,
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """For each batch of indices, long [B]: these on the device, and images for each view.

        The images are uint8 [B, C, H, W], of the whole batch. crop_seed: which random crops, None
        for none. shard: the images of other processes may be blank. Images in memory are not
        cropped yet, so neither matters here.
        """
        for indices in to_device_at_once(index_batches, self.device):
            yield indices, [self.images[indices]] * views


class StreamedImages:
    """Like InMemoryImages, but decoded and cropped by DataLoader workers on each pass."""

    channels = 3

    def __init__(self, recipe: Recipe, split: str, device: torch.device, limit: int | None):
        if recipe.augmentation.size is None:
            raise ValueError(
                f"{recipe.dataset} has images of many sizes and augmentation.size is None: "
                "set it to the side of the views, such as augmentation.size=224"
            )
        files = data.image_files(recipe.dataset, split, limit=limit)
        self.device = device
        self.labels = files.labels.to(device)
        self.classes = files.classes
        self.plan: list[list[CropKey]] = []  # the batches of the loader's next pass
        self.loader = DataLoader(
            Crops(files, recipe),
            batch_sampler=self.plan,
            num_workers=decode_workers(),
            pin_memory=device.type == "cuda",
            persistent_workers=True,
            generator=torch.Generator(),  # so that PyTorch's own generator stays as it was
        )

    def __len__(self) -> int:
        return len(self.labels)

    def representative(self, count: int) -> Tensor:
        """Indices of `count` images that represent all classes: evenly spaced, long [count]."""
        return torch.arange(count) * len(self) // count

    def augmentation(self, recipe: Recipe) -> Augmentation:
        """What is left of the recipe's augmentation after the crop.

        Without a mean and a std in the recipe, those of 1,000 images are taken.
        """
        augmentation = recipe.augmentation
        if augmentation.mean is None:
            sample = self.representative(min(1000, len(self))).split(100)
            crops = [images for _, (images,) in self.batches(sample, None)]
            augmentation = build_augmentation(recipe, torch.cat(crops))
        return replace(augmentation, crop=(1.0, 1.0), ratio=(1.0, 1.0), size=None)

    def batches(
        self,
        index_batches: Iterable[Tensor],
        crop_seed: int | None,
        views: int = 1,
        shard: Shard = WHOLE_BATCH,
    ) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """As `InMemoryImages.batches`.

        Without a crop seed the shorter side is resized to 8 / 7 of the size, and the middle taken.
        Only this process's shard is decoded; the images of the others are 0.
        """
        index_batches = list(index_batches)
        self.plan.clear()
        for indices in index_batches:
            self.plan.append([(index, crop_seed, views) for index in shard.of(indices).tolist()])
        on_device = to_device_at_once(index_batches, self.device)
        for indices, crops in zip(on_device, self.loader, strict=True):
            crops = crops.to(self.device, non_blocking=True)  # [B / world_size, views, C, S, S]
            if shard.world_size > 1:
                whole = crops.new_zeros(len(indices), *crops.shape[1:])  # [B, views, C, S, S]
                shard.of(whole).copy_(crops)
                crops = whole
            yield indices, list(crops.unbind(1))


class Crops(Dataset):
    """(index, crop seed, views) -> that many crops of an image, uint8 [views, C, size, size].

    The recipe's seed, the crop seed and the index decide them: not who decodes, nor when.
    """

    def __init__(self, files: data.ImageFiles, recipe: Recipe):
        from torchvision.transforms import v2  # takes a second to import

        augmentation = recipe.augmentation
        size = augmentation.size
        self.files = files
        self.seed = Seed.AUGMENT.of(recipe)
        self.random_crop = v2.RandomResizedCrop(
            size, scale=augmentation.crop, ratio=augmentation.ratio, antialias=True
        )
        resize = v2.Resize(round(size * 8 / 7), antialias=True)
        self.middle_crop = v2.Compose([resize, v2.CenterCrop(size)])

    def __getitem__(self, key: CropKey) -> Tensor:
        index, crop_seed, views = key
        pixels = self.files.pixels(index)
        if crop_seed is None:
            return torch.stack([self.middle_crop(pixels)] * views)
        sequence = np.random.SeedSequence((self.seed, crop_seed, index))
        seed = sequence.generate_state(1).item()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return torch.stack([self.random_crop(pixels) for _ in range(views)])


def to_device_at_once(index_batches: Iterable[Tensor], device: torch.device) -> tuple[Tensor, ...]:
    """The index tensors on the device, moved in one go.

    To move each one in its turn would make the processor wait for a GPU.
    """
    index_batches = list(index_batches)
    lengths = [len(indices) for indices in index_batches]
    return torch.cat(index_batches).to(device).split(lengths)


def build_images(
    recipe: Recipe, split: str, device: str | torch.device, limit: int | None = None
) -> InMemoryImages | StreamedImages:
    """The recipe's images of a split, "train" or "test".

    limit: how many of them, as in `data.load`; None takes the recipe's limit for the training
    images, and all test images.
    """
    if limit is None and split == "train":
        limit = recipe.limit
    streamed = data.dataset_info(recipe.dataset).streamed
    source = StreamedImages if streamed else InMemoryImages
    return source(recipe, split, torch.device(device), limit)


def build_augmentation(recipe: Recipe, images: Tensor) -> Augmentation:
    """The recipe's augmentation; without a mean and a std, those of these images are taken.

    images: uint8 [N, C, H, W].
    """
    if recipe.augmentation.mean is not None:
        return recipe.augmentation
    values = torch.arange(256, dtype=torch.float64) / 255  # [256]
    histograms = [channel.flatten().bincount(minlength=256) for channel in images.unbind(1)]
    counts = torch.stack(histograms).cpu().double()  # [C, 256]
    share = counts / counts.sum(dim=1, keepdim=True)  # [C, 256]
    mean = share @ values  # [C]
    variance = share @ values.square() - mean.square()  # [C]
    std = variance.sqrt().clamp(min=1e-3)  # [C]
    return replace(recipe.augmentation, mean=tuple(mean.tolist()), std=tuple(std.tolist()))
