"""Training: it learns, with any loss and g, says in its log what is so, and records when it diverges."""

import json
import math
import time
from dataclasses import replace

import pytest
import torch

from contrastlib import losses
from contrastlib.data import load
from contrastlib.training import build, loop, run_records
from contrastlib.training.recipes import live, run_id

TINY = replace(live(), limit=96, batch=32, epochs=2, width=4, d=16, alpha=0.3, queue_size=64)
LOSSES = ("contrastive", "simple", "hard", "hard_simple", "triplet_limit", "simple_limit")
KEYS = ({"g": "bank"}, {"g": "bank", "views": 2}, {"g": "batch", "views": 2}, {"g": "queue", "views": 2})
NAMES = ("bank", "bank two views", "batch", "queue")
pytestmark = pytest.mark.usefixtures("one_thread")


def train_tiny(recipe=TINY, folder=None, **options):
    return loop.pretrain(recipe, folder=folder, device="cpu", progress=False, **options)


def bits(value):
    """Everything in a checkpoint but the clock, as bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().flatten().view(torch.uint8).tolist()
    if isinstance(value, dict):
        return {name: bits(inner) for name, inner in value.items() if name not in ("seconds", "images_per_second")}
    return [bits(inner) for inner in value] if isinstance(value, list) else value


def test_live_learns():
    recipe = replace(live(), epochs=15)
    start = time.perf_counter()
    outcome = train_tiny(recipe)
    assert time.perf_counter() - start < 40
    assert outcome.status == "finished"
    first, last = outcome.history[0], outcome.history[-1]
    assert [row["epoch"] for row in outcome.history] == list(range(1, 16))
    assert last["loss"] < first["loss"] - 1
    assert last["positive_similarity"] > 0.5 > first["positive_similarity"]
    trained, start = (loop.evaluate(e, recipe, device="cpu") for e in (outcome.encoder, loop.untrained(recipe)))
    assert trained["probe"] > start["probe"] + 0.02
    assert trained["knn"] > start["knn"] + 0.02
    assert trained["uniformity"] > start["uniformity"] + 1


def test_supervised_learns():
    recipe = replace(live(), epochs=5)
    before = loop.evaluate(loop.untrained(recipe), recipe, device="cpu")
    state = torch.get_rng_state()
    encoder = loop.supervised(recipe, device="cpu", progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert loop.evaluate(encoder, recipe, device="cpu")["knn"] > before["knn"] + 0.03


@pytest.mark.parametrize("keys", KEYS, ids=NAMES)
@pytest.mark.parametrize("loss", LOSSES)
def test_any_loss_with_any_g_at_any_tau(loss, keys):
    for tau in (0.01, 0.07, 0.3, 1, 10) if loss not in ("simple", "hard_simple") else (1,):
        recipe = replace(TINY, loss=loss, tau=tau, limit=64, **keys)
        outcome = train_tiny(recipe)
        assert outcome.status == "finished"
        assert len(outcome.history) == 2
        assert all(math.isfinite(value) for row in outcome.history for value in row.values())
        start = build.build_encoder(recipe, 1).state_dict()
        for name, weight in outcome.encoder.state_dict().items():
            assert weight.isfinite().all()
            assert loss == "triplet_limit" or not torch.equal(weight, start[name])  # Eq 6 may be content at 0


def test_precision_is_the_networks_alone():
    seen = []
    recipe = replace(TINY, precision="bfloat16", epochs=1)
    original = losses.softmax

    def spy(features, keys, *others):
        seen.append((features.dtype, keys.dtype))
        return original(features, keys, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "softmax", spy)
        rounded = train_tiny(recipe)
    assert set(seen) == {(torch.float32, torch.float32)}
    plain = train_tiny(replace(recipe, precision="float32"))
    assert rounded.precision == "bfloat16"
    assert 0 < abs(rounded.history[0]["loss"] - plain.history[0]["loss"]) < 0.1
    assert build.pick_precision(replace(TINY, precision=None), torch.device("mps")) == "float32"


def test_the_seed_decides_and_nothing_else_does():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = train_tiny()
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is not touched
    torch.manual_seed(2)
    again, other = train_tiny(), train_tiny(replace(TINY, seed=1))
    assert bits(dict(first.encoder.state_dict())) == bits(dict(again.encoder.state_dict()))
    assert bits(dict(first.encoder.state_dict())) != bits(dict(other.encoder.state_dict()))


def slow_watch(recipe, features, keys):
    """Anchor by anchor, negative by negative."""
    effective, positive, hardest = [], [], []
    for i in range(len(features)):
        left_out = {int(keys[name][i]) for name in ("positive", "ignore") if name in keys}
        s = sorted((float(features[i] @ k) for j, k in enumerate(keys["keys"]) if j not in left_out), reverse=True)
        if recipe.loss.startswith("hard"):
            s = s[: max(1, round(recipe.alpha * len(s)))]
        temperature = 1e9 if "simple" in recipe.loss else recipe.tau
        weights = [math.exp((value - s[0]) / temperature) for value in s]
        r = [weight / sum(weights) for weight in weights]
        effective.append(math.exp(-sum(p * math.log(p) for p in r if p > 0)))
        key = keys["positive_keys"][i] if "positive_keys" in keys else keys["keys"][keys["positive"][i]]
        positive.append(float(features[i] @ key))
        hardest.append(s[0])
    values = (effective, positive, hardest)
    names = ("effective_negatives", "positive_similarity", "hardest_similarity")
    return {name: sum(value) / len(value) for name, value in zip(names, values, strict=True)}


@pytest.mark.parametrize("keys", KEYS, ids=NAMES)
@pytest.mark.parametrize("loss", ["contrastive", "hard", "simple", "hard_simple", "simple_limit"])
def test_what_the_log_says(loss, keys):
    recipe = replace(TINY, loss=loss, **keys)
    images = load("digits", limit=96).images
    encoder, view = build.build_encoder(recipe, 1), build.build_view(recipe, images)
    g = build.build_keys(recipe, encoder, 96)
    batch = torch.arange(32), [images[:32]] * recipe.views
    told = loop.watch(recipe, encoder, g, view, *batch)
    chance = build.generator(recipe, build.VIEWS, "cpu")
    with torch.no_grad():
        features, arguments = loop.forward(recipe, encoder, g, view, *reversed(batch), chance)
    expected = slow_watch(recipe, features, arguments)
    assert told == pytest.approx(expected, rel=2e-4)


def test_a_swinging_temperature(monkeypatch):
    """Every step's loss has the temperature of its moment; a swing that goes nowhere trains as a constant does."""
    recipe, seen = replace(TINY, tau=1.0, tau_to=0.1, tau_period=4), []
    forward = losses.ContrastiveLoss.forward

    def spied(self, *args, **kwargs):
        seen.append(self.tau)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(losses.ContrastiveLoss, "forward", spied)
    outcome = train_tiny(recipe)
    moments = [epoch / 3 for epoch in range(6)]  # 3 steps an epoch, 2 epochs
    assert seen == pytest.approx([0.1 + 0.9 * math.cos(math.pi * t / 4) ** 2 for t in moments])
    assert [row["tau"] for row in outcome.history] == [seen[2], seen[5]]
    still = train_tiny(replace(TINY, tau=0.5, tau_to=0.5, tau_period=4))
    constant = train_tiny(replace(TINY, tau=0.5))
    assert "tau" not in constant.history[0]
    assert bits(dict(still.encoder.state_dict())) == bits(dict(constant.encoder.state_dict()))
    assert still.history[-1]["effective_negatives"] == constant.history[-1]["effective_negatives"]


def test_divergence_is_recorded(tmp_path):
    recipe = replace(TINY, lr=1e30, epochs=5)
    record = loop.run(recipe, tmp_path, device="cpu", progress=False)
    assert record["status"] == "diverged"
    assert record["metrics"] == {}
    assert record["history"]["loss"][-1] is None
    assert len(record["history"]["loss"]) < 5
    assert run_records.read(recipe, tmp_path) == record
    log = (tmp_path / run_id(recipe) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == record["history"]["epoch"]


@pytest.mark.parametrize("loss", ["none", "supervised"])
def test_the_nets_beside(tmp_path, loss):
    recipe = replace(TINY, loss=loss)
    record = loop.run(recipe, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert record["history"] == {}
    net = loop.untrained(recipe) if loss == "none" else loop.supervised(recipe, device="cpu", progress=False)
    assert record["metrics"] == loop.evaluate(net, recipe, device="cpu")
    with pytest.raises(ValueError, match="compares no pairs"):
        loop.pretrain(recipe)


def test_the_map_of_fig_2(tmp_path):
    record = loop.run(TINY, tmp_path, device="cpu", progress=False)
    test = load("digits", "test")
    assert sorted(record["map"]["label"]) == sorted(test.labels.tolist())
    assert len(record["map"]["x"]) == len(record["map"]["y"]) == len(test)
    assert max(record["map"]["x"] + record["map"]["y"]) == 999
    assert min(record["map"]["x"] + record["map"]["y"]) == 0
    pos, *neighbours = record["metrics"]["profile_quantiles"]
    assert pos == sorted(pos)
    assert len(neighbours) == 10
    medians = [row[2] for row in neighbours]
    assert medians == sorted(medians, reverse=True)


def test_features_that_a_gpu_would_not_report(monkeypatch):
    monkeypatch.setattr(loop, "readable", lambda tensor: False)  # values are looked at on the CPU alone
    monkeypatch.setattr("contrastlib.checks.readable", lambda tensor: False)
    monkeypatch.setattr("contrastlib.keys.readable", lambda tensor: False)
    assert train_tiny(replace(TINY, lr=1e30, epochs=5)).status == "diverged"


def test_run_writes_once(tmp_path, monkeypatch):
    record = loop.run(TINY, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert record["seconds"] > 0
    assert 0 < record["metrics"]["probe"] <= 1
    assert len(record["metrics"]["neighbour_similarities"]) == 10
    assert run_records.read(TINY, tmp_path) == record
    monkeypatch.setattr(loop, "pretrain", None)
    assert loop.run(TINY, tmp_path) == record


def test_evaluate_measures_what_it_is_told():
    encoder = loop.untrained(TINY)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    test = loop.evaluate(encoder, TINY, device="cpu")
    assert test == loop.evaluate(encoder, TINY, device="cpu")
    other = loop.evaluate(encoder, replace(TINY, split="train", probe="paper", neighbours=1), device="cpu")
    assert other["k"] == 1
    assert test["k"] == 96 // 20
    assert all(other[name] != test[name] for name in ("uniformity", "tolerance", "alignment", "probe"))
    assert test["neighbour_similarities"] == sorted(test["neighbour_similarities"], reverse=True)
    assert test["tolerance_as_printed"] < 0.2 * test["tolerance"]
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (replace(TINY, batch=128), "batch is 128, but there are only 96"),
        (replace(TINY, backbone="resnet50"), "resnet50 takes colour images"),
        (replace(TINY, dataset="digit"), "no data set 'digit'"),
        (replace(TINY, loss="hard", alpha=None, k=96), "k is 96, but each anchor has only 95"),
        (replace(TINY, g="queue", views=2, queue_size=8), "do not fit into a queue of 8"),
    ],
)
def test_recipes_that_do_not_fit_the_data(recipe, message):
    with pytest.raises(ValueError, match=message):
        train_tiny(recipe)


def test_compiled_is_the_same_run_up_to_rounding(tmp_path):
    """All but the last stage of torch.compile, the C++ compiler: that takes half a minute for the smallest net."""
    recipe, compiler = replace(TINY, epochs=3, limit=64), torch.compile
    plain = train_tiny(recipe, tmp_path / "plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda net: compiler(net, backend="aot_eager", fullgraph=True))
        patch.setattr(loop, "save", interrupt_after(1, loop.save))
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path / "compiled", compile=True)
    compiled = train_tiny(recipe, tmp_path / "compiled")  # goes on without
    for name, weight in plain.encoder.state_dict().items():
        assert torch.allclose(compiled.encoder.state_dict()[name], weight, rtol=1e-3, atol=1e-4)
    assert compiled.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=1e-5)


def interrupt_after(epochs, save):
    def interrupting(folder, recipe, place, state, history):
        save(folder, recipe, place, state, history)
        if len(history) == epochs:
            raise KeyboardInterrupt

    return interrupting
