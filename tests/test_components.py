"""What recipes are made into: losses, keys, rates, scales, devices; a step on a pretended GPU."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch
from helpers import (
    KEY_SOURCES,
    LOSSES,
    PRETEND,
    SETUP,
    TINY,
    backends,
    register_pretended_device,
    train_tiny,
)
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from contrastlib import losses, models
from contrastlib.data import ImageSet, load
from contrastlib.models import Encoder
from contrastlib.training import components, devices, loop, run
from contrastlib.training.components import Seed
from contrastlib.training.forward_pass import embed_and_get_keys
from contrastlib.training.image_sources import build_augmentation, build_images
from contrastlib.training.recipes import paper, small
from contrastlib.training.similarity_log import similarities

SORTED = [0, 0, 1, 1, 2, 2]
MIXED = [2, 0, 1, 0, 2, 1]


@pytest.mark.parametrize(("labels", "chosen"), [(SORTED, [0, 2, 4]), (MIXED, [0, 1, 2])])
def test_representative_images_are_of_all_classes(labels, chosen, monkeypatch):
    pixels = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    images = ImageSet(pixels, torch.tensor(labels), ("a", "b", "c"))
    monkeypatch.setattr("contrastlib.data.load", lambda *words, **options: images)
    assert build_images(TINY, "train", "cpu").representative(3).tolist() == chosen


def test_seeds_are_independent_and_what_they_were():
    recipe = replace(TINY, seed=5)
    assert [Seed.WEIGHTS, Seed.KEYS, Seed.SHUFFLE, Seed.AUGMENT] == [0, 1, 2, 3]
    assert [seed.of(recipe) for seed in Seed] == [20, 21, 22, 23]


@pytest.mark.parametrize("keys", KEY_SOURCES)
@pytest.mark.parametrize("loss", ["triplet_limit", "simple_limit"])
def test_limits_are_the_equations(loss, keys):
    recipe = replace(TINY, loss=loss, tau=0.5, **KEY_SOURCES[keys])
    images = load("digits", limit=96).images
    encoder = components.build_encoder(recipe, 1)
    augmentation = build_augmentation(recipe, images)
    key_source = components.build_key_source(recipe, encoder, 96)
    rng = torch.Generator().manual_seed(0)
    batch = [images[:32]] * recipe.views
    with torch.no_grad():
        features, arguments = embed_and_get_keys(
            recipe, encoder, key_source, augmentation, batch, torch.arange(32), rng
        )
    features = features.double().requires_grad_()
    for name, tensor in arguments.items():
        if tensor.is_floating_point():
            arguments[name] = tensor.double()
    value = components.build_loss(recipe)(features, **arguments)
    equation = getattr(losses, loss)
    expected = equation(*similarities(features, **arguments), 0.5).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-7)
    assert value.item() != 0
    (gradient,) = torch.autograd.grad(value, features)
    (reference,) = torch.autograd.grad(expected, features)
    assert torch.allclose(gradient, reference, atol=1e-6)


def test_similarities():
    """Against a loop over anchors and keys."""
    torch.manual_seed(0)
    features = torch.randn(3, 4)
    keys = torch.randn(6, 4)
    positive = torch.tensor([2, 0, 5])
    ignore = torch.tensor([1, 1, 1])
    s_pos, s_neg = similarities(features, keys, positive, ignore=ignore)
    for i in range(3):
        rest = [j for j in range(6) if j not in (positive[i], ignore[i])]
        assert s_pos[i].item() == pytest.approx(float(features[i] @ keys[positive[i]]))
        assert s_neg[i].tolist() == pytest.approx([float(features[i] @ keys[j]) for j in rest])
    others = torch.randn(3, 4)
    s_pos, s_neg = similarities(features, keys, positive_keys=others)
    assert s_pos.tolist() == pytest.approx((features * others).sum(1).tolist())
    assert s_neg.shape == (3, 6)


def test_sampled_negatives():
    recipe = replace(TINY, negatives=50)
    images = load("digits", limit=96).images
    encoder = components.build_encoder(recipe, 1)
    augmentation = build_augmentation(recipe, images)
    key_source = components.build_key_source(recipe, encoder, 96)
    rng = torch.Generator().manual_seed(0)
    counts = torch.zeros(96)
    for _ in range(200):
        indices = torch.randperm(96, generator=rng)[:32]
        with torch.no_grad():
            _, keys = embed_and_get_keys(
                recipe, encoder, key_source, augmentation, [images[indices]], indices, rng
            )
        assert keys["keys"].shape == (51, 16)  # the positive and 50 negatives
        assert torch.equal(keys["keys"][keys["positive"]], key_source.bank[indices])
        rows = (keys["keys"] @ key_source.bank.T).argmax(1)
        assert len(rows.unique()) == 51
        counts[rows] += 1
    assert (counts / 200 - 51 / 96).abs().max() < 0.15  # 4 standard deviations
    assert train_tiny(replace(recipe, views=2)).status == "finished"
    with pytest.raises(ValueError, match="negatives is 96; give a number from 1 to 95"):
        train_tiny(replace(TINY, negatives=96))


def test_learning_rate():
    steps = replace(small(), schedule="steps", lr=1.0)
    rates = [components.learning_rate(steps, epoch) for epoch in (0, 159.99, 160, 189, 190, 199)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    cosine = replace(small(), lr=1.0)
    rates = [components.learning_rate(cosine, epoch) for epoch in (0, 50, 100, 200)]
    assert rates == pytest.approx([1, 0.853553, 0.5, 0])


def test_scale_is_that_of_the_images():
    images = torch.randint(
        256, (40, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    x = build_augmentation(small(), images).normalise(images)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    given = replace(small().augmentation, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert build_augmentation(replace(small(), augmentation=given), images) == given


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_no_such_device(name):
    with pytest.raises(ValueError, match="device"):
        loop.pretrain(TINY, device=name)
    with pytest.raises(TypeError, match="checkpoint_every"):
        loop.pretrain(TINY, checkpoint_every=1.5)


def test_tiny_networks_train_on_one_thread_unless_told_otherwise(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    devices.set_threads(TINY)
    devices.set_threads(small())
    assert chosen == [1]
    devices.set_threads(TINY, 3)
    devices.set_threads(small(), 2)
    assert chosen == [1, 3, 2]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    devices.set_threads(TINY)
    assert chosen == [1, 3, 2]
    with pytest.raises(ValueError, match="threads is 0"):
        devices.set_threads(TINY, 0)


def pretended_step(recipe):
    """Two steps on a pretended device; the devices of all that is left, or the error's text."""
    with FakeTensorMode(), torch.autograd.set_multithreading_enabled(False):
        with torch.device(PRETEND):
            encoder = Encoder(models.convnet_digits(4), recipe.d)
            key_source = components.build_key_source(recipe, encoder, 96)
            learnt_tau = components.build_learnt_tau(recipe)
        images = torch.empty(96, 1, 8, 8, dtype=torch.uint8, device=PRETEND)
        augmentation = replace(recipe.augmentation, mean=(0.5,), std=(0.5,))
        loss = components.build_loss(recipe)
        optimizer = components.build_optimizer(recipe, encoder, learnt_tau)
        try:
            for _ in range(2):
                indices = torch.randint(96, (32,), device=PRETEND)
                batch = [images[indices]] * recipe.views
                features, keys = embed_and_get_keys(
                    recipe, encoder, key_source, augmentation, batch, indices, None
                )
                if learnt_tau is not None:
                    loss.tau = learnt_tau()
                value = loss(features, **keys)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                if learnt_tau is not None:
                    learnt_tau.clip()
                key_source.update(indices, features)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        left = [value, *encoder.parameters(), *key_source.state_dict().values()]
        return {str(tensor.device) for tensor in left}


@pytest.fixture(scope="module")
def elsewhere():
    """Call a function in a process that has the pretended device."""
    if not hasattr(backends, SETUP):
        pytest.skip(f"this PyTorch, {torch.__version__}, has no pretended device")
    context = get_context("spawn")
    with ProcessPoolExecutor(
        1, mp_context=context, initializer=register_pretended_device
    ) as process:
        yield lambda *args: process.submit(*args).result(timeout=300)


@pytest.mark.parametrize("keys", [*KEY_SOURCES, "sampled"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_stays_on_its_device_and_never_waits(elsewhere, loss, keys):
    choice = {"g": "bank", "negatives": 40} if keys == "sampled" else KEY_SOURCES[keys]
    assert elsewhere(pretended_step, replace(TINY, loss=loss, **choice)) == {PRETEND}


@pytest.mark.parametrize("loss", ["contrastive", "hard"])
def test_nor_does_a_learnt_temperature(elsewhere, loss):
    assert elsewhere(pretended_step, replace(TINY, loss=loss, tau="learnt")) == {PRETEND}


def layouts_seen(patch):
    """A set that fills with how the images and weights of 3 x 3 convolutions lie in memory."""
    seen = set()
    forward = nn.Conv2d.forward

    def spied(self, x):
        if self.in_channels > 1 and self.kernel_size == (3, 3):
            for tensor in (x, self.weight):
                first = tensor.is_contiguous()
                last = tensor.is_contiguous(memory_format=torch.channels_last)
                if first != last:  # both, where an image is a single pixel
                    seen.add("first" if first else "last")
        return forward(self, x)

    patch.setattr(nn.Conv2d, "forward", spied)
    return seen


@pytest.mark.parametrize("loss", ["contrastive", "supervised", "batch_norm"])
@pytest.mark.parametrize("backbone", ["convnet_digits", "resnet_small"])
@pytest.mark.parametrize(("width", "where"), [(7, "first"), (8, "last")])
def test_few_channels_do_not_lie_last_on_the_cpu(
    width, where, backbone, loss, monkeypatch, tmp_path, no_map
):
    """There float32 convolutions have spoilt memory: in training, the log and the evaluation."""
    recipe = replace(TINY, loss=loss, backbone=backbone, width=width, stem_stride=1, epochs=1)
    seen = layouts_seen(monkeypatch)
    run(recipe, tmp_path, device="cpu", progress=False)
    assert seen == {where}
    assert devices.memory_format(recipe, torch.device("cuda")) == torch.channels_last
    assert devices.memory_format(paper(), torch.device("cpu")) == torch.channels_last
