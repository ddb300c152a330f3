"""Training: it learns, with any loss and g, says in its log what is so, and records divergence."""

import errno
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import KEY_SOURCES, LOSSES, TINY, interrupt_after, train_tiny, weight_bits

from contrastlib import losses
from contrastlib.data import load
from contrastlib.training import components, evaluate, files, loop, one_run, run, run_records
from contrastlib.training.baselines import supervised, untrained
from contrastlib.training.components import Seed
from contrastlib.training.devices import pick_precision
from contrastlib.training.evaluation import tsne
from contrastlib.training.forward_pass import embed_and_get_keys
from contrastlib.training.image_sources import build_augmentation
from contrastlib.training.recipes import live, run_id
from contrastlib.training.similarity_log import similarity_log

pytestmark = pytest.mark.usefixtures("one_thread")


def test_live_learns():
    recipe = replace(live(), epochs=15)
    outcome = train_tiny(recipe)
    assert outcome.status == "finished"
    first = outcome.history[0]
    last = outcome.history[-1]
    assert [line["epoch"] for line in outcome.history] == list(range(1, 16))
    assert last["loss"] < first["loss"] - 1
    assert last["positive_similarity"] > 0.5 > first["positive_similarity"]
    trained = evaluate(outcome.encoder, recipe, device="cpu")
    start = evaluate(untrained(recipe), recipe, device="cpu")
    assert trained["probe"] > start["probe"] + 0.02
    assert trained["knn"] > start["knn"] + 0.02
    assert trained["uniformity"] > start["uniformity"] + 1


def test_supervised_learns():
    recipe = replace(live(), epochs=5)
    before = evaluate(untrained(recipe), recipe, device="cpu")
    state = torch.get_rng_state()
    encoder = supervised(recipe, device="cpu", progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert evaluate(encoder, recipe, device="cpu")["knn"] > before["knn"] + 0.03


def train_and_check(recipe):
    """Train; all that comes out is finite, and every weight has moved."""
    outcome = train_tiny(recipe)
    assert outcome.status == "finished"
    assert len(outcome.history) == 2
    for line in outcome.history:
        assert all(math.isfinite(value) for value in line.values())
    start = components.build_encoder(recipe, 1).state_dict()
    for name, weight in outcome.encoder.state_dict().items():
        assert weight.isfinite().all()
        moved = not torch.equal(weight, start[name])
        assert moved or recipe.loss == "triplet_limit"  # Eq 6 may be content at 0


@pytest.mark.parametrize("keys", KEY_SOURCES)
@pytest.mark.parametrize("loss", LOSSES)
def test_any_loss_with_any_g(loss, keys):
    train_and_check(replace(TINY, loss=loss, tau=0.07, limit=64, **KEY_SOURCES[keys]))


@pytest.mark.parametrize("tau", [0.01, 10])
@pytest.mark.parametrize(
    ("loss", "keys"),
    [
        ("contrastive", "bank"),
        ("hard", "queue"),
        ("triplet_limit", "batch"),
        ("simple_limit", "bank two views"),
    ],
)
def test_training_at_any_tau(loss, keys, tau):
    train_and_check(replace(TINY, loss=loss, tau=tau, limit=64, **KEY_SOURCES[keys]))


def test_precision_is_the_networks_alone():
    seen = []
    recipe = replace(TINY, precision="bfloat16", epochs=1)
    original = losses.ContrastiveLoss.forward

    def spy(self, features, keys, *arguments, **options):
        seen.append((features.dtype, keys.dtype))
        return original(self, features, keys, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses.ContrastiveLoss, "forward", spy)
        rounded = train_tiny(recipe)
    assert set(seen) == {(torch.float32, torch.float32)}
    plain = train_tiny(replace(recipe, precision="float32"))
    assert rounded.precision == "bfloat16"
    assert 0 < abs(rounded.history[0]["loss"] - plain.history[0]["loss"]) < 0.1
    assert pick_precision(replace(TINY, precision=None), torch.device("mps")) == "float32"


def test_the_seed_decides_and_nothing_else_does():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = train_tiny()
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is not touched
    torch.manual_seed(2)
    again = train_tiny()
    other = train_tiny(replace(TINY, seed=1))
    assert weight_bits(first.encoder) == weight_bits(again.encoder)
    assert weight_bits(first.encoder) != weight_bits(other.encoder)


def slow_similarity_log(recipe, features, keys):
    """Anchor by anchor, negative by negative."""
    effective = []
    positive = []
    hardest = []
    for i in range(len(features)):
        left_out = {int(keys[name][i]) for name in ("positive", "ignore") if name in keys}
        s = [float(features[i] @ key) for j, key in enumerate(keys["keys"]) if j not in left_out]
        s.sort(reverse=True)
        if recipe.loss == "triplet_limit":
            s = s[:1]
        if recipe.loss in ("hard", "hard_simple"):
            s = s[: max(1, round(recipe.alpha * len(s)))]
        blind = recipe.loss in ("simple", "hard_simple", "simple_limit")  # to how near they are
        tau = 1e9 if blind else recipe.tau
        weights = [math.exp((value - s[0]) / tau) for value in s]
        shares = [weight / sum(weights) for weight in weights]
        effective.append(math.exp(-sum(r * math.log(r) for r in shares if r > 0)))
        if "positive_keys" in keys:
            key = keys["positive_keys"][i]
        else:
            key = keys["keys"][keys["positive"][i]]
        positive.append(float(features[i] @ key))
        hardest.append(s[0])
    return {
        "effective_negatives": sum(effective) / len(effective),
        "positive_similarity": sum(positive) / len(positive),
        "hardest_similarity": sum(hardest) / len(hardest),
    }


@pytest.mark.parametrize("keys", KEY_SOURCES)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_the_log_says(loss, keys):
    recipe = replace(TINY, loss=loss, **KEY_SOURCES[keys])
    images = load("digits", limit=96).images
    encoder = components.build_encoder(recipe, 1)
    augmentation = build_augmentation(recipe, images)
    key_source = components.build_key_source(recipe, encoder, 96)
    indices = torch.arange(32)
    batch = [images[:32]] * recipe.views
    told = similarity_log(recipe, encoder, key_source, augmentation, indices, batch)
    rng = components.generator(recipe, Seed.AUGMENT, "cpu")
    with torch.no_grad():
        features, arguments = embed_and_get_keys(
            recipe, encoder, key_source, augmentation, batch, indices, rng
        )
    assert told == pytest.approx(slow_similarity_log(recipe, features, arguments), rel=2e-4)


def test_a_swinging_temperature(monkeypatch):
    """Every step's loss has the temperature of its moment; a swing to itself is a constant."""
    recipe = replace(TINY, tau=1.0, tau_to=0.1, tau_period=4)
    seen = []
    forward = losses.ContrastiveLoss.forward

    def spied(self, *args, **kwargs):
        seen.append(self.tau)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(losses.ContrastiveLoss, "forward", spied)
    outcome = train_tiny(recipe)
    moments = [epoch / 3 for epoch in range(6)]  # 3 steps an epoch, 2 epochs
    assert seen == pytest.approx([0.1 + 0.9 * math.cos(math.pi * t / 4) ** 2 for t in moments])
    assert [line["tau"] for line in outcome.history] == [seen[2], seen[5]]
    still = train_tiny(replace(TINY, tau=0.5, tau_to=0.5, tau_period=4))
    constant = train_tiny(replace(TINY, tau=0.5))
    assert "tau" not in constant.history[0]
    assert weight_bits(still.encoder) == weight_bits(constant.encoder)
    name = "effective_negatives"
    assert still.history[-1][name] == constant.history[-1][name]


def test_divergence_is_recorded(tmp_path):
    recipe = replace(TINY, lr=1e30, epochs=5)
    record = run(recipe, tmp_path, device="cpu", progress=False)
    assert record["status"] == "diverged"
    assert record["metrics"] == {}
    assert record["history"]["loss"][-1] is None
    assert len(record["history"]["loss"]) < 5
    assert run_records.read(recipe, tmp_path) == record
    log = (tmp_path / run_id(recipe) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == record["history"]["epoch"]


@pytest.mark.parametrize("loss", ["none", "supervised"])
def test_baselines(tmp_path, loss, no_map):
    recipe = replace(TINY, loss=loss)
    record = run(recipe, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert record["history"] == {}
    net = untrained(recipe)
    if loss == "supervised":
        net = supervised(recipe, device="cpu", progress=False)
    assert record["metrics"] == evaluate(net, recipe, device="cpu")
    with pytest.raises(ValueError, match="compares no pairs"):
        loop.pretrain(recipe)


def test_the_map_of_fig_2(tmp_path):
    record = run(TINY, tmp_path, device="cpu", progress=False)
    test = load("digits", "test")
    x = record["map"]["x"]
    y = record["map"]["y"]
    assert sorted(record["map"]["label"]) == sorted(test.labels.tolist())
    assert len(x) == len(y) == len(test)
    assert max(x + y) == 999
    assert min(x + y) == 0
    pos, *neighbours = record["metrics"]["profile_quantiles"]
    assert pos == sorted(pos)
    assert len(neighbours) == 10
    medians = [quantiles[2] for quantiles in neighbours]
    assert medians == sorted(medians, reverse=True)


def test_features_that_a_gpu_would_not_report(monkeypatch):
    # Values are looked at on the CPU alone.
    for module in ("training.forward_pass", "checks", "collectives"):
        monkeypatch.setattr(f"contrastlib.{module}.readable", lambda tensor: False)
    assert train_tiny(replace(TINY, lr=1e30, epochs=5)).status == "diverged"


def test_run_writes_once(tmp_path, monkeypatch):
    record = run(TINY, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert record["seconds"] > 0
    assert 0 < record["metrics"]["probe"] <= 1
    assert len(record["metrics"]["neighbour_similarities"]) == 10
    assert run_records.read(TINY, tmp_path) == record
    monkeypatch.setattr(one_run, "pretrain", None)
    assert run(TINY, tmp_path) == record


def test_evaluate_measures_what_it_is_told():
    encoder = untrained(TINY)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    test = evaluate(encoder, TINY, device="cpu")
    assert test == evaluate(encoder, TINY, device="cpu")
    other_recipe = replace(TINY, split="train", probe="paper", neighbours=1)
    other = evaluate(encoder, other_recipe, device="cpu")
    assert other["k"] == 1
    assert test["k"] == 96 // 20
    for name in ("uniformity", "tolerance", "alignment", "probe"):
        assert other[name] != test[name]
    similarities = test["neighbour_similarities"]
    assert similarities == sorted(similarities, reverse=True)
    assert test["tolerance_as_printed"] < 0.2 * test["tolerance"]
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[name])


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
    """All but the last stage of torch.compile, the C++ compiler, which takes half a minute."""
    recipe = replace(TINY, epochs=3, limit=64)
    compiler = torch.compile
    plain = train_tiny(recipe, tmp_path / "plain")

    def compile_without_cpp(net):
        return compiler(net, backend="aot_eager", fullgraph=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", compile_without_cpp)
        patch.setattr(loop, "save", interrupt_after(1, loop.save))
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path / "compiled", torch_compile=True)
    compiled = train_tiny(recipe, tmp_path / "compiled")  # resumed without
    for name, weight in plain.encoder.state_dict().items():
        assert torch.allclose(compiled.encoder.state_dict()[name], weight, rtol=1e-3, atol=1e-4)
    assert compiled.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=1e-5)


def test_numpy_numbers_in_a_recipe(tmp_path, no_map):
    """They train, are written as JSON, and the checkpoint is read again."""
    grid = np.logspace(-2, -1, 3)
    recipe = replace(TINY, lr=grid[1], tau=np.float32(0.25), seed=np.int64(3), epochs=np.int32(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save", interrupt_after(2, loop.save))
        with pytest.raises(KeyboardInterrupt):
            run(recipe, tmp_path, device="cpu", progress=False)
    record = run(recipe, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert record["recipe"]["tau"] == 0.25
    assert len(record["history"]["epoch"]) == 3


@pytest.mark.parametrize("broken", ["write", "fsync"])
def test_a_full_disk_names_the_file_and_leaves_nothing_behind(tmp_path, monkeypatch, broken):
    """The checkpoint that was there stays, and the run can be resumed from it."""
    recipe = replace(TINY, epochs=3)
    saved = []
    save = loop.save

    def save_on_a_full_disk(state, folder):
        if len(state.history) == 2:
            saved.append((folder / "checkpoint.pt").read_bytes())
            fill_the_disk(monkeypatch, broken)
        save(state, folder)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", save_on_a_full_disk)
        with pytest.raises(
            OSError, match=r"checkpoint\.pt could not be written: .*[Nn]o space"
        ) as e:
            train_tiny(recipe, tmp_path)
    assert e.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert (tmp_path / "checkpoint.pt").read_bytes() == saved[0]
    assert not list(tmp_path.glob("*.tmp"))
    assert train_tiny(recipe, tmp_path).status == "finished"


def fill_the_disk(monkeypatch, broken):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", full)
        return

    class FullFile:
        """A file of which a part is written, and no more can be."""

        def __init__(self, path, mode):
            self.path = path
            self.write = full

        def __enter__(self):
            self.path.write_bytes(b"half")
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(files, "open", FullFile, raising=False)


def test_a_log_line_on_a_full_disk_names_the_file(tmp_path, monkeypatch):
    fill_the_disk(monkeypatch, "write")
    with pytest.raises(OSError, match=r"log\.jsonl could not be written: .*[Nn]o space"):
        files.append_line(tmp_path / "log.jsonl", "{}")


@pytest.mark.parametrize("module", ["contrastlib.training", "contrastlib.training.sweep"])
def test_light_to_import(module):
    """Whoever trains, or asks for a plan, waits for PyTorch alone."""
    heavy = ["pandas", "sklearn", "torchvision", "matplotlib", "seaborn", "scipy", "submitit"]
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stderr


def test_a_map_of_embeddings_that_all_lie_in_one_place():
    encoder = untrained(TINY)
    with torch.no_grad():
        encoder.head.weight.zero_()
        encoder.head.bias.zero_()
        encoder.head.bias[0] = 1
    found = tsne(encoder, TINY, n=20)
    assert found["x"] == found["y"] == [0] * 20
    assert len(found["label"]) == 20
