"""What recipes are made into: objectives, keys, rates, scales, devices; and a whole step on a pretend GPU."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import test_device
import torch
from test_train import KEYS, LOSSES, NAMES, TINY, train_tiny
from torch._subclasses.fake_tensor import FakeTensorMode

from contrastlib import losses
from contrastlib.data import ImageSet, load
from contrastlib.training import build, loop
from contrastlib.training.recipes import small


@pytest.mark.parametrize(("labels", "watched"), [([0, 0, 1, 1, 2, 2], [0, 2, 4]), ([2, 0, 1, 0, 2, 1], [0, 1, 2])])
def test_what_is_watched_is_of_all_classes(labels, watched, monkeypatch):
    images = ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), torch.tensor(labels), ("a", "b", "c"))
    monkeypatch.setattr("contrastlib.data.load", lambda *words, **options: images)
    assert build.build_images(TINY, "train", "cpu").spread(3).tolist() == watched


@pytest.mark.parametrize("keys", KEYS, ids=NAMES)
@pytest.mark.parametrize("loss", ["triplet_limit", "simple_limit"])
def test_limits_are_the_equations(loss, keys):
    recipe = replace(TINY, loss=loss, tau=0.5, **keys)
    images = load("digits", limit=96).images
    encoder, view = build.build_encoder(recipe, 1), build.build_view(recipe, images)
    g = build.build_keys(recipe, encoder, 96)
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        features, arguments = loop.forward(
            recipe, encoder, g, view, [images[:32]] * recipe.views, torch.arange(32), chance
        )
    features = features.double().requires_grad_()
    arguments = {name: t.double() if t.is_floating_point() else t for name, t in arguments.items()}
    value = build.build_loss(recipe)(features, **arguments)
    s = features @ arguments["keys"].T
    left_out = torch.zeros_like(s, dtype=torch.bool)
    for name in ("positive", "ignore"):
        if name in arguments:
            left_out[torch.arange(32), arguments[name]] = True
    if "positive_keys" in arguments:
        s_pos = (features * arguments["positive_keys"]).sum(1)
    else:
        s_pos = s[torch.arange(32), arguments["positive"]]
    expected = getattr(losses, loss)(s_pos, s[~left_out].view(32, -1), 0.5).mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-7)
    assert value.item() != 0
    got, reference = (torch.autograd.grad(v, features, retain_graph=True)[0] for v in (value, expected))
    assert torch.allclose(got, reference, atol=1e-6)


def test_sampled_negatives():
    recipe = replace(TINY, negatives=50)
    images = load("digits", limit=96).images
    encoder, view = build.build_encoder(recipe, 1), build.build_view(recipe, images)
    g = build.build_keys(recipe, encoder, 96)
    chance, counts = torch.Generator().manual_seed(0), torch.zeros(96)
    for _ in range(200):
        indices = torch.randperm(96, generator=chance)[:32]
        with torch.no_grad():
            _, keys = loop.forward(recipe, encoder, g, view, [images[indices]], indices, chance)
        assert keys["keys"].shape == (51, 16)  # the positive and 50 negatives
        assert torch.equal(keys["keys"][keys["positive"]], g.bank[indices])
        rows = (keys["keys"] @ g.bank.T).argmax(1)
        assert len(rows.unique()) == 51
        counts[rows] += 1
    assert (counts / 200 - 51 / 96).abs().max() < 0.15  # 4 standard deviations
    assert train_tiny(replace(recipe, views=2)).status == "finished"
    with pytest.raises(ValueError, match="negatives is 96; give a number from 1 to 95"):
        train_tiny(replace(TINY, negatives=96))


def test_learning_rate():
    steps = replace(small(), schedule="steps", lr=1.0)
    rates = [build.learning_rate(steps, epoch) for epoch in (0, 159.99, 160, 189, 190, 199)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    cosine = replace(small(), lr=1.0)
    assert [build.learning_rate(cosine, epoch) for epoch in (0, 50, 100, 200)] == pytest.approx([1, 0.853553, 0.5, 0])


def test_scale_is_that_of_the_images():
    images = torch.randint(256, (40, 3, 5, 7), dtype=torch.uint8)
    view = build.build_view(small(), images)
    x = view.normalise(images)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    given = replace(small().augmentation, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert build.build_view(replace(small(), augmentation=given), images) is given


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "meta"])
def test_no_such_device(name):
    with pytest.raises(ValueError, match="device"):
        loop.pretrain(TINY, device=name)
    with pytest.raises(TypeError, match="checkpoint_every"):
        loop.pretrain(TINY, checkpoint_every=1.5)


def pretend_step(recipe):
    """Two steps on the pretend device of test_device; the devices of all that is left, or the error's text."""
    where = test_device.PRETEND
    with FakeTensorMode(), torch.autograd.set_multithreading_enabled(False):
        with torch.device(where):
            encoder = build.Encoder(build.models.convnet_digits(4), recipe.d)
            g = build.build_keys(recipe, encoder, 96)
        images = torch.empty(96, 1, 8, 8, dtype=torch.uint8, device=where)
        view = replace(recipe.augmentation, mean=(0.5,), std=(0.5,))
        loss, optimizer = build.build_loss(recipe), build.build_optimizer(recipe, encoder)
        try:
            for _ in range(2):
                indices = torch.randint(96, (32,), device=where)
                crops = [images[indices]] * recipe.views
                features, keys = loop.forward(recipe, encoder, g, view, crops, indices, None)
                value = loss(features, **keys)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                g.update(indices, features)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return {str(t.device) for t in (value, *encoder.parameters(), *g.state_dict().values())}


@pytest.fixture(scope="module")
def elsewhere():
    if not hasattr(test_device.backends, test_device.SETUP):
        pytest.skip(f"this PyTorch, {torch.__version__}, has no pretend device")
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=test_device.register) as process:
        yield lambda *args: process.submit(*args).result(timeout=300)


@pytest.mark.parametrize("keys", [*KEYS, {"g": "bank", "negatives": 40}], ids=[*NAMES, "sampled"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_stays_on_its_device_and_never_waits(elsewhere, loss, keys):
    assert elsewhere(pretend_step, replace(TINY, loss=loss, **keys)) == {test_device.PRETEND}
