"""How good an encoder is, by a recipe's measures, and its baselines: untrained, batch_norm_only and supervised."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.std import tqdm

from contrastlib import metrics
from contrastlib.models import Encoder
from contrastlib.training.build import (
    ORDER,
    VIEWS,
    Held,
    Streamed,
    build_encoder,
    build_images,
    build_optimizer,
    generator,
    pick_device,
    pick_precision,
    set_learning_rate,
)
from contrastlib.training.recipes import Recipe
from contrastlib.training.run_records import QUANTILES

Metrics = dict[str, float | int | list]


def evaluate(
    encoder: Encoder, recipe: Recipe, *, device: str | torch.device | None = None, bank: Tensor | None = None
) -> Metrics:
    """What the paper measures, of an encoder trained by this recipe, in float32 (on newer GPUs with PyTorch's default
    of convolutions rounded to TF32).

    On recipe.split: uniformity, tolerance and tolerance_as_printed (Eq 11) of the images as they are; of two random
    views of each, alignment, and Fig 8's means over the anchors: positive_similarity, and neighbour_similarities, to
    the ten nearest of the other images' second views; profile_quantiles has the 5, 25, 50, 75 and 95 % quantiles over
    the anchors of these eleven. Then accuracies on the test split, in [0, 1], from the training
    images: knn on embeddings, with k neighbours, and probe, a linear one on the backbone's features; where the recipe's
    is the paper's, also probe_lbfgs, the other protocol, by which runs of all recipes can be compared.

    bank: the memory bank [N, d] that the encoder was trained against, if there is one. Then also Fig 8's means and
    quantiles over the training images, of one random view of each and the rows of the bank, its own being the positive:
    bank_positive_similarity, bank_neighbour_similarities, bank_profile_quantiles. They are what the loss itself sees.
    """
    where = pick_device(device)
    encoder = encoder.to(where).eval()
    train, test = (build_images(recipe, split, where) for split in ("train", "test"))
    view = train.view(recipe)
    (train_x, train_z), (test_x, test_z) = (embed(encoder, s, view.normalise) for s in (train, test))
    measured, z = (train, train_z) if recipe.split == "train" else (test, test_z)
    chance = generator(recipe, VIEWS, where)
    # Draws of crops that training never makes.
    z1, z2 = (embed(encoder, measured, lambda x: view(x, chance), recipe.epochs + i)[1] for i in (1, 2))
    against_views = profile(z1, z2)
    against_bank = {}
    if bank is not None:
        seen = embed(encoder, train, lambda x: view(x, chance), recipe.epochs + 3)[1]
        against_bank = {f"bank_{name}": value for name, value in profile(seen, bank.to(where)).items()}
    k = max(1, min(recipe.neighbours, len(train) // (2 * len(train.classes))))
    truth = train.labels, test.labels
    other_probe = {}
    if recipe.probe == "paper":
        other_probe["probe_lbfgs"] = metrics.linear_probe(train_x, truth[0], test_x, truth[1], protocol="lbfgs")
    return {
        "uniformity": metrics.uniformity(z),
        "tolerance": metrics.tolerance(z, measured.labels),
        "tolerance_as_printed": metrics.tolerance(z, measured.labels, per_class_pair=False),
        "alignment": metrics.alignment(z1, z2),
        **against_views,
        "knn": metrics.knn_accuracy(train_z, truth[0], test_z, truth[1], k=k),
        "k": k,
        "probe": metrics.linear_probe(train_x, truth[0], test_x, truth[1], protocol=recipe.probe),
        **other_probe,
        **against_bank,
    }


def profile(z: Tensor, keys: Tensor) -> Metrics:
    """Fig 8's means and quantiles over the anchors z [N, d], of which anchor i's positive is row i of keys [N, d]."""
    rows = torch.arange(len(z), device=z.device)
    positive, nearest = metrics.neighbour_profile(z, keys, rows, k=min(10, len(z) - 1))
    both = torch.cat([positive[:, None], nearest], dim=1)
    return {
        "positive_similarity": positive.mean().item(),
        "neighbour_similarities": nearest.mean(dim=0).tolist(),
        "profile_quantiles": both.quantile(both.new_tensor(QUANTILES), dim=0).T.tolist(),
    }


def tsne(encoder: Encoder, recipe: Recipe, *, n: int = 1000) -> dict[str, list[int]]:
    """Fig 2's map of n test images, or all, by t-SNE of their embeddings: x and y in [0, 999], and label."""
    from sklearn.manifold import TSNE  # a second to import

    where = next(encoder.parameters()).device
    view = build_images(recipe, "train", "cpu").view(recipe)
    n = min(n, len(build_images(recipe, "test", "cpu")))
    test = build_images(recipe, "test", where, limit=n)
    z = embed(encoder.eval(), test, view.normalise)[1].cpu().numpy()
    # As many neighbours as fit the few points of a tiny set; cosine and Euclid rank unit vectors alike.
    places = TSNE(perplexity=min(30, (len(z) - 1) / 3), init="pca", random_state=0).fit_transform(z)
    places -= places.min(axis=0)
    x, y = (999 * places / places.max()).round().astype(int).T.tolist()
    return {"x": x, "y": y, "label": test.labels.tolist()}


@torch.no_grad()
def embed(
    encoder: Encoder, images: Held | Streamed, view: Callable[[Tensor], Tensor], draw: int | None = None
) -> tuple[Tensor, Tensor]:
    """The backbone's features [N, F] and the unit vectors [N, d] of images, through a view; draw as in `batches`."""
    parts = []
    for _, (batch,) in images.batches(torch.arange(len(images)).split(512), draw):
        x = encoder.features(view(batch).contiguous(memory_format=torch.channels_last))
        parts.append((x, F.normalize(encoder.head(x), dim=1)))
    features, z = zip(*parts, strict=True)
    return torch.cat(features), torch.cat(z)


def untrained(recipe: Recipe) -> Encoder:
    """The encoder as the recipe's run begins with it.

    Its batch normalisation has seen no image, and so it maps all of them into a narrow cone: near 0 in uniformity, near
    1 in tolerance. The probe standardises the features and suffers less.
    """
    return build_encoder(recipe, build_images(recipe, "test", "cpu", limit=1).channels).eval()


@torch.no_grad()
def batch_norm_only(recipe: Recipe, *, device: str | torch.device | None = None, progress: bool = True) -> Encoder:
    """The untrained encoder after its batch normalisation has seen the images as often as in training.

    Views, batches and epochs are the recipe's; no weight changes. It is the fair baseline of a net whose training
    taught it nothing: such a net's batch normalisation has seen the images, too.
    """
    where = pick_device(device)
    images = build_images(recipe, "train", where)
    n = len(images)
    steps = n // recipe.batch
    if steps == 0:
        raise ValueError(f"batch is {recipe.batch}, but there are only {n} training images: make the batch smaller")
    encoder = build_encoder(recipe, images.channels).to(where, memory_format=torch.channels_last).train()
    view = images.view(recipe)
    precision = pick_precision(recipe, where)
    order = generator(recipe, ORDER, "cpu")
    chance = generator(recipe, VIEWS, where)
    for epoch in tqdm(range(recipe.epochs), unit=" epochs", disable=not progress):
        rows = torch.randperm(n, generator=order)[: steps * recipe.batch].split(recipe.batch)
        for _, (crops,) in images.batches(rows, epoch):
            x = view(crops, chance).contiguous(memory_format=torch.channels_last)
            with torch.autocast(where.type, torch.bfloat16, enabled=precision == "bfloat16"):
                encoder(x)
    return encoder.eval()


def supervised(recipe: Recipe, *, device: str | torch.device | None = None, progress: bool = True) -> Encoder:
    """The same net trained with labels: cross-entropy on a linear layer after the head, all else as in the recipe."""
    where = pick_device(device)
    data = build_images(recipe, "train", where)
    n, steps = len(data), len(data) // recipe.batch
    if steps == 0:
        raise ValueError(f"batch is {recipe.batch}, but there are only {n} training images: make the batch smaller")
    net = build_encoder(recipe, data.channels)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(recipe.seed)
        classifier = nn.Linear(recipe.d, len(data.classes))
    model = nn.Sequential(net, classifier).to(where, memory_format=torch.channels_last)
    optimizer = build_optimizer(recipe, model)
    view, precision = data.view(recipe), pick_precision(recipe, where)
    order, chance = generator(recipe, ORDER, "cpu"), generator(recipe, VIEWS, where)
    for epoch in tqdm(range(recipe.epochs), unit=" epochs", disable=not progress):
        rows = torch.randperm(n, generator=order)[: steps * recipe.batch].split(recipe.batch)
        for step, (indices, (images,)) in enumerate(data.batches(rows, epoch)):
            set_learning_rate(optimizer, recipe, epoch + step / steps)
            x = view(images, chance).contiguous(memory_format=torch.channels_last)
            with torch.autocast(where.type, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = classifier(net.head(net.features(x)))
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), data.labels[indices]).backward()
            optimizer.step()
    return net.eval()
