"""How good an encoder is, by a recipe's measures, and the map of Fig 2."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.augment import Augmentation
from contrastlib.models import Encoder
from contrastlib.training.components import Seed, generator
from contrastlib.training.devices import memory_format, pick_device
from contrastlib.training.image_sources import InMemoryImages, StreamedImages, build_images
from contrastlib.training.recipe import Recipe
from contrastlib.training.run_records import QUANTILES

__all__ = ["embed", "evaluate", "tsne"]

Metrics = dict[str, float | int | list]
Images = InMemoryImages | StreamedImages


def evaluate(
    encoder: Encoder,
    recipe: Recipe,
    *,
    device: str | torch.device | None = None,
    bank: Tensor | None = None,
) -> Metrics:
    """What the paper measures, of an encoder trained by this recipe, in float32.

    On newer GPUs float32 has PyTorch's default of convolutions rounded to TF32.

    On recipe.split, of the images as they are: uniformity, tolerance, and tolerance_as_printed
    (Eq 11). Of two random views of each: alignment, and Fig 8's means over the anchors,
    positive_similarity, and neighbour_similarities to the ten nearest of the other images' second
    views. profile_quantiles has the 5, 25, 50, 75 and 95 % quantiles over the anchors of these
    eleven.

    Accuracies on the test split, in [0, 1], from the training images: knn on embeddings, with k
    neighbours; probe, a linear one on the backbone's features; where the recipe's probe is the
    paper's, also probe_lbfgs, the other protocol, by which runs of all recipes can be compared.

    bank: the memory bank [N, d] that the encoder was trained against, if there is one. Then also
    bank_positive_similarity, bank_neighbour_similarities and bank_profile_quantiles: Fig 8's means
    and quantiles over the training images, of one random view of each and the rows of the bank,
    its own being the positive. They are what the loss itself sees.
    """
    device = pick_device(device)
    encoder = encoder.to(device).eval()
    train = build_images(recipe, "train", device)
    test = build_images(recipe, "test", device)
    augmentation = train.augmentation(recipe)
    layout = memory_format(recipe, device)
    train_features, train_z = embed(encoder, train, augmentation.normalise, layout=layout)
    test_features, test_z = embed(encoder, test, augmentation.normalise, layout=layout)
    if recipe.split == "train":
        measured = train
        z = train_z
    else:
        measured = test
        z = test_z
    augment_rng = generator(recipe, Seed.AUGMENT, device)
    # The crop seeds are beyond those of training, so these crops were never trained on.
    z1 = embed_views(encoder, measured, augmentation, augment_rng, recipe.epochs + 1, layout)
    z2 = embed_views(encoder, measured, augmentation, augment_rng, recipe.epochs + 2, layout)
    against_bank = {}
    if bank is not None:
        seen = embed_views(encoder, train, augmentation, augment_rng, recipe.epochs + 3, layout)
        for name, value in profile(seen, bank.to(device)).items():
            against_bank[f"bank_{name}"] = value
    return {
        **geometry(z, measured.labels, z1, z2),
        **accuracies(recipe, train, test, train_features, train_z, test_features, test_z),
        **against_bank,
    }


def geometry(z: Tensor, labels: Tensor, z1: Tensor, z2: Tensor) -> Metrics:
    """The metrics on the sphere, of embeddings z and of two views z1 and z2, all [N, d]."""
    from contrastlib import metrics

    return {
        "uniformity": metrics.uniformity(z),
        "tolerance": metrics.tolerance(z, labels),
        "tolerance_as_printed": metrics.tolerance(z, labels, per_class_pair=False),
        "alignment": metrics.alignment(z1, z2),
        **profile(z1, z2),
    }


def accuracies(
    recipe: Recipe,
    train: Images,
    test: Images,
    train_features: Tensor,
    train_z: Tensor,
    test_features: Tensor,
    test_z: Tensor,
) -> Metrics:
    """The accuracies of neighbours on embeddings [N, d], and of probes on features [N, F]."""
    from contrastlib import metrics

    k = min(recipe.neighbours, len(train) // (2 * len(train.classes)))
    k = max(1, k)
    measured = {
        "knn": metrics.knn_accuracy(train_z, train.labels, test_z, test.labels, k=k),
        "k": k,
    }
    for_probe = (train_features, train.labels, test_features, test.labels)
    measured["probe"] = metrics.linear_probe(*for_probe, protocol=recipe.probe)
    if recipe.probe == "paper":
        measured["probe_lbfgs"] = metrics.linear_probe(*for_probe, protocol="lbfgs")
    return measured


def profile(z: Tensor, keys: Tensor) -> Metrics:
    """Fig 8's means and quantiles over the anchors z [N, d].

    The positive of anchor i is row i of keys [N, d].
    """
    from contrastlib import metrics

    rows = torch.arange(len(z), device=z.device)
    # [N], [N, 10]
    positive, nearest = metrics.neighbour_profile(z, keys, rows, k=min(10, len(z) - 1))
    both = torch.cat([positive[:, None], nearest], dim=1)  # [N, 11]
    quantiles = both.quantile(both.new_tensor(QUANTILES), dim=0)  # [5, 11]
    return {
        "positive_similarity": positive.mean().item(),
        "neighbour_similarities": nearest.mean(dim=0).tolist(),
        "profile_quantiles": quantiles.T.tolist(),
    }


def tsne(encoder: Encoder, recipe: Recipe, *, n: int = 1000) -> dict[str, list[int]]:
    """Fig 2's map of n test images, or of all, by t-SNE of their embeddings.

    Returns x and y in [0, 999], and label, a list each.
    """
    from sklearn.manifold import TSNE  # takes a second to import

    device = next(encoder.parameters()).device
    augmentation = build_images(recipe, "train", "cpu").augmentation(recipe)
    n = min(n, len(build_images(recipe, "test", "cpu")))
    test = build_images(recipe, "test", device, limit=n)
    layout = memory_format(recipe, device)
    _, z = embed(encoder.eval(), test, augmentation.normalise, layout=layout)
    if (z == z[0]).all():  # t-SNE has no answer for points that all lie in one place
        return {"x": [0] * n, "y": [0] * n, "label": test.labels.tolist()}
    # A tiny set has few points, and so many neighbours as fit it. Cosine and Euclidean distance
    # rank unit vectors alike.
    perplexity = min(30, (n - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(z.cpu().numpy())
    places -= places.min(axis=0)
    pixels = (999 * places / places.max()).round().astype(int)  # [n, 2]
    x, y = pixels.T.tolist()
    return {"x": x, "y": y, "label": test.labels.tolist()}


def embed_views(
    encoder: Encoder,
    images: Images,
    augmentation: Augmentation,
    augment_rng: torch.Generator,
    crop_seed: int,
    layout: torch.memory_format,
) -> Tensor:
    """The embeddings [N, d] of one random view of each image."""
    _, z = embed(encoder, images, lambda x: augmentation(x, augment_rng), crop_seed, layout)
    return z


@torch.no_grad()
def embed(
    encoder: Encoder,
    images: Images,
    transform: Callable[[Tensor], Tensor],
    crop_seed: int | None = None,
    layout: torch.memory_format = torch.channels_last,
) -> tuple[Tensor, Tensor]:
    """The backbone's features [N, F] and the embeddings [N, d] of all images.

    transform: from uint8 [B, C, H, W] to what the encoder takes. crop_seed: as in
    `InMemoryImages.batches`. layout: as `devices.memory_format` has it.
    """
    all_features = []
    all_z = []
    index_batches = torch.arange(len(images)).split(512)
    for _, (batch,) in images.batches(index_batches, crop_seed):
        x = transform(batch).contiguous(memory_format=layout)  # [512, C, H, W]
        features = encoder.features(x)  # [512, F]
        all_features.append(features)
        all_z.append(F.normalize(encoder.head(features), dim=1))  # [512, d]
    return torch.cat(all_features), torch.cat(all_z)
