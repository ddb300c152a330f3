"""The trained encoders that come with the package: that they are there, that they measure what
their runs measured, how they are made again, and what they refuse.
"""

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from data_helpers import error_of

from contrastlib import metrics
from contrastlib.data import load
from contrastlib.models import Encoder
from contrastlib.teaching import embeddings
from contrastlib.teaching.encoders import (
    AVAILABLE,
    PretrainedEncoder,
    colour,
    loading,
    make,
    pretrained,
    recipe_of,
    record,
    title,
)
from contrastlib.teaching.encoders.__main__ import main
from contrastlib.training import evaluation, pretrain, run_records
from contrastlib.training.components import build_encoder
from contrastlib.training.image_sources import build_images
from contrastlib.training.recipes import run_id, small

IDX_FILES = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
TINY = replace(
    small("fashion-mnist-part"), limit=96, batch=32, epochs=1, width=2, d=16, precision="float32"
)
each_encoder = pytest.mark.parametrize(
    ("loss", "tau"), AVAILABLE, ids=[f"{loss} {tau}" for loss, tau in AVAILABLE]
)


@each_encoder
def test_each_loads_with_no_network_and_says_how_it_was_trained(loss, tau, monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    encoder = pretrained(loss, tau)
    assert isinstance(encoder, Encoder)
    assert not encoder.training
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    found = record(loss, tau)
    assert found["id"] == run_id(encoder.recipe)
    assert found["recipe"]["loss"] == loss
    assert found["recipe"]["dataset"] == "fashion-mnist"
    assert (found["status"], found["seed"]) == ("finished", 0)
    if tau is not None:
        assert found["recipe"]["tau"] == tau
    if loss != "none":
        assert found["history"]["epoch"] == list(range(1, 201))


def test_the_folder_holds_a_file_and_a_record_of_each_and_is_small():
    ids = {run_id(recipe_of(*pair)) for pair in AVAILABLE}
    expected = {f"{name}.json" for name in ids} | {f"{name}.safetensors" for name in ids}
    assert {path.name for path in loading.FOLDER.iterdir()} == expected
    assert sum(path.stat().st_size for path in loading.FOLDER.iterdir()) <= 5_000_000


# What half precision costs: weights are rounded by up to one part in 2,000. (On other processors
# float32 itself gives other last digits, far below this.)
MEASURES = {"uniformity": 0.002, "tolerance": 0.001, "knn": 0.005}


@each_encoder
def test_each_measures_on_the_part_what_it_did_before_it_was_rounded(loss, tau):
    measured = make.measure_part(pretrained(loss, tau))
    expected = record(loss, tau)["on_part"]
    assert measured["k"] == expected["k"]
    for name, cost in MEASURES.items():
        assert measured[name] == pytest.approx(expected[name], abs=cost), name


@pytest.mark.parametrize(("loss", "tau"), [("contrastive", 0.07), ("contrastive", 1.0)])
def test_on_all_of_fashion_mnist_it_measures_what_its_run_measured(loss, tau):
    if not IDX_FILES.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    encoder = pretrained(loss, tau)
    images = {split: build_images(encoder.recipe, split, "cpu") for split in ("train", "test")}
    assert len(images["train"]) == 7500
    scale = images["train"].augmentation(encoder.recipe)
    assert encoder.mean.item() == pytest.approx(scale.mean[0], rel=1e-6)
    assert encoder.std.item() == pytest.approx(scale.std[0], rel=1e-6)
    features = {}
    z = {}
    for split, found in images.items():
        features[split] = embeddings.embed_features(encoder, found.images)
        z[split] = torch.nn.functional.normalize(encoder.head(features[split]), dim=1)
    labels = {split: found.labels for split, found in images.items()}
    expected = record(loss, tau)["metrics"]
    measured = {
        "uniformity": metrics.uniformity(z["test"]),
        "tolerance": metrics.tolerance(z["test"], labels["test"]),
        "knn": metrics.knn_accuracy(
            z["train"], labels["train"], z["test"], labels["test"], k=expected["k"]
        ),
    }
    for name, cost in MEASURES.items():
        assert measured[name] == pytest.approx(expected[name], abs=cost), name


# What is refused


def test_an_encoder_that_is_not_there_says_which_are():
    message = error_of(lambda: pretrained("contrastive", 0.1))
    assert message.startswith("there is no trained encoder pretrained('contrastive', 0.1)")
    for loss, tau in AVAILABLE:
        call = f"pretrained({loss!r})" if tau is None else f"pretrained({loss!r}, {tau})"
        assert call in message
    for wrong in [("simple", 0.07), ("contrastive",), ("nonesuch",), (None,), ("hard", "1")]:
        assert "there is no trained encoder" in error_of(lambda wrong=wrong: pretrained(*wrong))
        assert "there is no trained encoder" in error_of(lambda wrong=wrong: record(*wrong))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the folder of encoders, which a test may damage."""
    folder = tmp_path / "weights"
    shutil.copytree(loading.FOLDER, folder)
    monkeypatch.setattr(loading, "FOLDER", folder)
    return folder


def damage(path):
    """Turn one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("how", [damage, cut, empty])
def test_a_damaged_file_is_named(copied, how):
    path = copied / f"{run_id(recipe_of('contrastive', 1.0))}.safetensors"
    how(path)
    message = error_of(lambda: pretrained("contrastive", 1.0))
    assert message.startswith(f"{path} is damaged")
    pretrained("contrastive", 0.2)  # the others are as they were


def test_a_missing_file_and_a_damaged_record_are_named(copied):
    name = run_id(recipe_of("contrastive", 1.0))
    (copied / f"{name}.safetensors").unlink()
    message = error_of(lambda: pretrained("contrastive", 1.0), FileNotFoundError)
    assert f"{name}.safetensors is missing" in message
    (copied / f"{name}.json").write_text("{")
    assert f"{name}.json is damaged" in error_of(lambda: pretrained("contrastive", 1.0))


@pytest.fixture(scope="module")
def tiny_encoder():
    return PretrainedEncoder(TINY).eval()


@pytest.mark.parametrize(
    "shape", [(4, 1, 32, 32), (4, 1, 28, 27), (4, 3, 28, 28), (28, 28), (1, 28, 28), (0, 1, 28, 28)]
)
def test_images_of_another_shape_are_refused(tiny_encoder, shape):
    images = torch.zeros(shape, dtype=torch.uint8)
    for call in (tiny_encoder, tiny_encoder.features):
        message = error_of(lambda call=call: call(images))
        assert str(list(shape)) in message
        assert "28 x 28" in message


def test_images_of_another_kind_are_refused(tiny_encoder):
    assert "numpy" not in error_of(lambda: tiny_encoder([1, 2]), TypeError)
    assert "int64" in error_of(lambda: tiny_encoder(torch.zeros(1, 1, 28, 28).long()), TypeError)
    normalised = torch.full((1, 1, 28, 28), -0.8)
    assert "[0, 1]" in error_of(lambda: tiny_encoder(normalised))
    assert "divide by 255" in error_of(lambda: tiny_encoder(torch.full((1, 1, 28, 28), 255.0)))
    assert "nan" in error_of(lambda: tiny_encoder(torch.full((1, 1, 28, 28), torch.nan)))


# From a run to a file


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with one tiny finished run."""
    folder = tmp_path_factory.mktemp("runs")
    trained = pretrain(TINY, folder=folder / run_id(TINY), device="cpu", progress=False)
    finished = run_records.record(
        TINY, trained.status, {"uniformity": 1.0}, trained.history, 1.0, "cpu", trained.precision
    )
    run_records.write(folder, finished)
    return folder


def test_a_file_gives_back_its_runs_encoder_in_half_precision(runs, tmp_path, monkeypatch):
    path = make.make(TINY, runs, tmp_path)
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    monkeypatch.setattr(loading, "recipe_of", lambda loss, tau=None: TINY)
    encoder = pretrained("contrastive", TINY.tau)
    saved = torch.load(runs / run_id(TINY) / "checkpoint.pt", weights_only=True)["encoder"]
    loaded = encoder.state_dict()
    assert set(loaded) == {*saved, "mean", "std"}
    for name, values in saved.items():
        expected = values.half().float() if values.ndim >= 2 else values
        assert torch.equal(loaded[name], expected), name
    found = record("contrastive", TINY.tau)
    assert found["weights_bytes"] == path.stat().st_size
    assert found["metrics"] == {"uniformity": 1.0}
    assert set(found["on_part"]) == {"uniformity", "tolerance", "knn", "k"}


def test_an_encoder_sees_images_as_its_runs_evaluation_does(runs):
    encoder = make.encoder_of_run(TINY, runs)
    plain = build_encoder(TINY, 1).eval()
    saved = torch.load(runs / run_id(TINY) / "checkpoint.pt", weights_only=True)["encoder"]
    plain.load_state_dict(saved)
    scale = build_images(TINY, "train", "cpu").augmentation(TINY)
    test = build_images(TINY, "test", "cpu", limit=50)
    features, z = evaluation.embed(plain, test, scale.normalise)
    assert torch.allclose(embeddings.embed(encoder, test.images), z, atol=1e-5)
    assert torch.allclose(embeddings.embed_features(encoder, test.images), features, atol=1e-5)
    as_floats = embeddings.embed(encoder, test.images / 255)
    assert torch.allclose(as_floats, z, atol=1e-5)


def test_views_are_those_of_training(runs):
    encoder = make.encoder_of_run(TINY, runs)
    images = load("fashion-mnist-part", "test", limit=20).images
    scale = build_images(TINY, "train", "cpu").augmentation(TINY)
    with torch.no_grad():
        x = scale(images, torch.Generator().manual_seed(3))
        z = torch.nn.functional.normalize(encoder.head(encoder.backbone(x)), dim=1)
    assert torch.allclose(embeddings.embed_views(encoder, images, seed=3), z, atol=1e-5)
    assert not torch.allclose(embeddings.embed_views(encoder, images, seed=4), z, atol=1e-2)


def test_an_untrained_network_needs_no_run_and_its_file_no_weights(tmp_path, monkeypatch):
    recipe = replace(TINY, loss="none")
    metrics_of_it = {"uniformity": 0.5}
    monkeypatch.setattr("contrastlib.training.one_run.evaluate", lambda *_, **__: metrics_of_it)
    monkeypatch.setattr("contrastlib.training.one_run.tsne", lambda *_: {})
    path = make.make(recipe, tmp_path / "runs", tmp_path)
    assert path.stat().st_size < 1000
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    monkeypatch.setattr(loading, "recipe_of", lambda loss, tau=None: recipe)
    encoder = pretrained("none")
    assert encoder.mean.item() == pytest.approx(0.285, abs=0.02)
    for name, values in build_encoder(recipe, 1).state_dict().items():
        assert torch.equal(encoder.state_dict()[name], values)


def test_the_command_refuses_runs_that_are_not_there_or_not_finished(runs, tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "contrastlib train small --set dataset=fashion-mnist --set loss=contrastive" in message
    assert message.count("\n") == 1
    folder = tmp_path / "copy"
    shutil.copytree(runs, folder)
    path = folder / f"{run_id(TINY)}.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "status": "diverged", "metrics": {}}))
    assert "diverged: there is no encoder" in error_of(lambda: make.make(TINY, folder, tmp_path))
    path.write_text(json.dumps(found))
    file = folder / run_id(TINY) / "checkpoint.pt"
    saved = torch.load(file, weights_only=True)
    torch.save({**saved, "history": []}, file)
    assert "is of epoch 0 of 1" in error_of(lambda: make.make(TINY, folder, tmp_path))
    cut(file)
    assert "no whole checkpoint" in error_of(lambda: make.make(TINY, folder, tmp_path))
    assert not list(tmp_path.glob("*.safetensors"))


def test_weights_beyond_half_precision_are_refused(runs):
    encoder = make.encoder_of_run(TINY, runs)
    encoder.head.weight[0, 0] = 1e6
    assert error_of(lambda: make.tensors_to_keep(encoder)).startswith("head.weight has values")


# Their names in figures


def test_titles_and_colours_tell_them_apart():
    titles = [title(*pair) for pair in AVAILABLE]
    assert titles[0] == "ordinary, τ = 0.07"
    assert titles[3:5] == ["hard, τ = 1", "simple"]
    assert titles[6:] == ["Eq. 6, τ = 0.07", "untrained"]
    assert len(set(titles)) == len(AVAILABLE)
    assert len({colour(*pair) for pair in AVAILABLE}) == len(AVAILABLE)
