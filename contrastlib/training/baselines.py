"""Networks to compare with: untrained, untrained but for batch normalisation, and supervised."""

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.std import tqdm

from contrastlib.models import Encoder
from contrastlib.training.components import (
    Seed,
    build_encoder,
    build_optimizer,
    generator,
    set_learning_rate,
    shuffled_batches,
    steps_per_epoch,
)
from contrastlib.training.devices import memory_format, pick_device, pick_precision
from contrastlib.training.image_sources import build_images
from contrastlib.training.recipe import Recipe

__all__ = ["batch_norm_only", "supervised", "untrained"]


def untrained(recipe: Recipe) -> Encoder:
    """The encoder with which the recipe's run begins.

    Its batch normalisation has seen no image, and so it maps all of them into a narrow cone: near 0
    in uniformity, near 1 in tolerance. The probe standardises the features and suffers less.
    """
    images = build_images(recipe, "test", "cpu", limit=1)
    return build_encoder(recipe, images.channels).eval()


@torch.no_grad()
def batch_norm_only(
    recipe: Recipe, *, device: str | torch.device | None = None, progress: bool = True
) -> Encoder:
    """The untrained encoder after its batch normalisation has seen the images as in training.

    Views, batches and epochs are the recipe's; no weight changes. It is the fair baseline of a
    network whose training taught it nothing: such a network's batch normalisation has seen the
    images, too. Errors: ValueError if the images do not fill one batch.
    """
    device = pick_device(device)
    images = build_images(recipe, "train", device)
    steps_per_epoch(recipe, len(images))  # refuses too few images before the network is built
    encoder = build_encoder(recipe, images.channels)
    layout = memory_format(recipe, device)
    encoder = encoder.to(device, memory_format=layout).train()
    augmentation = images.augmentation(recipe)
    bfloat16 = pick_precision(recipe, device) == "bfloat16"
    shuffle_rng = generator(recipe, Seed.SHUFFLE, "cpu")
    augment_rng = generator(recipe, Seed.AUGMENT, device)
    for epoch in tqdm(range(recipe.epochs), unit=" epochs", disable=not progress):
        index_batches = shuffled_batches(recipe, len(images), shuffle_rng)
        for _, (batch,) in images.batches(index_batches, epoch):
            x = augmentation(batch, augment_rng)  # [B, C, H, W]
            x = x.contiguous(memory_format=layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                encoder(x)
    return encoder.eval()


def supervised(
    recipe: Recipe, *, device: str | torch.device | None = None, progress: bool = True
) -> Encoder:
    """The same encoder trained with labels: cross-entropy on a linear layer after the head.

    All else is as in the recipe. Errors: ValueError if the images do not fill one batch.
    """
    device = pick_device(device)
    images = build_images(recipe, "train", device)
    steps = steps_per_epoch(recipe, len(images))
    encoder = build_encoder(recipe, images.channels)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(recipe.seed)
        classifier = nn.Linear(recipe.d, len(images.classes))
    layout = memory_format(recipe, device)
    model = nn.Sequential(encoder, classifier).to(device, memory_format=layout)
    optimizer = build_optimizer(recipe, model)
    augmentation = images.augmentation(recipe)
    bfloat16 = pick_precision(recipe, device) == "bfloat16"
    shuffle_rng = generator(recipe, Seed.SHUFFLE, "cpu")
    augment_rng = generator(recipe, Seed.AUGMENT, device)
    for epoch in tqdm(range(recipe.epochs), unit=" epochs", disable=not progress):
        index_batches = shuffled_batches(recipe, len(images), shuffle_rng)
        for step, (indices, (batch,)) in enumerate(images.batches(index_batches, epoch)):
            set_learning_rate(optimizer, recipe, epoch + step / steps)
            x = augmentation(batch, augment_rng)  # [B, C, H, W]
            x = x.contiguous(memory_format=layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                logits = classifier(encoder.head(encoder.features(x)))  # [B, classes]
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), images.labels[indices]).backward()
            optimizer.step()
    return encoder.eval()
