"""Sets too large for one tensor, trained and measured from files: an ImageNet100 in small.

The folder has its true layout and class names, and JPEGs of many sizes. This file is also the
program that torchrun starts.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from helpers import bits, checkpoint, distance, finish, torchrun, train_tiny, weight_bits
from PIL import Image

from contrastlib import data
from contrastlib.training import (
    distributed,
    evaluate,
    image_sources,
    loop,
    run,
    run_records,
    supervised,
    untrained,
)
from contrastlib.training.distributed import WHOLE_BATCH, Shard
from contrastlib.training.image_sources import build_images
from contrastlib.training.recipes import paper

CPU = torch.device("cpu")
SMALL = replace(
    paper("imagenet100"),
    backbone="resnet_small",
    width=8,  # with 4, PyTorch 2.14's float32 kernels corrupt memory on some processors
    d=16,
    batch=20,
    epochs=3,
    views=2,
    neighbours=1,
    limit=90,
    probe="lbfgs",
    precision="float32",
    augmentation=replace(paper("imagenet100").augmentation, size=32),
)
# Few steps, which do not magnify rounding yet.
SHORT = replace(SMALL, backbone="convnet_digits", batch=40, epochs=2)


def paint(path, height, width, number):
    """An image of its class's colour, with some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    colour = np.random.default_rng(number // 2).integers(40, 216, 3)
    pixels = colour + rng.integers(-40, 40, (height, width, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A folder of imagenet100/{train,val}/WORDNET_ID/*.JPEG: a class has 1 train, 2 test images."""
    root = tmp_path_factory.mktemp("data")
    for i, name in enumerate(data.imagenet100_classes()):
        for split, count in (("train", 1), ("val", 2)):
            for j in range(count):
                path = root / "imagenet100" / split / name / f"{name}_{j}.JPEG"
                paint(path, 36 + i % 5, 60 - i % 7, 2 * i + j)
    return root


@pytest.fixture(autouse=True)
def alone(imagenet, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRASTLIB_DATA", str(imagenet))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def crops(source, index_batches, crop_seed, views=1, shard=WHOLE_BATCH):
    """For each batch uint8 [views, B, C, S, S]."""
    batches = source.batches(index_batches, crop_seed, views, shard)
    return [torch.stack(images) for _, images in batches]


def test_recipe_crop_seed_and_index_decide_the_crops():
    state = torch.get_rng_state()
    source = build_images(SMALL, "train", CPU)
    assert len(source) == len(source.labels) == 90
    rows = torch.arange(12)
    (whole,) = crops(source, [rows], 0, 2)
    assert whole.shape == (2, 12, 3, 32, 32)
    assert whole.dtype == torch.uint8
    backwards = torch.cat(crops(source, rows.flip(0).split(5), 0, 2), dim=1)
    assert torch.equal(backwards.flip(1), whole)
    halves = [crops(source, [rows], 0, 2, Shard(rank, 2))[0] for rank in (0, 1)]
    assert torch.equal(halves[0][:, :6], whole[:, :6])
    assert torch.equal(halves[1][:, 6:], whole[:, 6:])
    assert not halves[0][:, 6:].any()
    others = [
        whole[1],
        crops(source, [rows], 1)[0][0],
        crops(build_images(replace(SMALL, seed=1), "train", CPU), [rows], 0)[0][0],
    ]
    assert all((other != whole[0]).flatten(1).any(1).all() for other in others)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is not touched


def test_without_a_crop_seed_they_are_the_middle():
    """In order: the shorter side to 8 / 7 of the size, as 256 is of 224, and the middle of it."""
    source = build_images(SMALL, "test", CPU)
    (found,) = crops(source, [torch.arange(200)], None)
    files = data.image_files("imagenet100", "test", transform=middle)
    expected = torch.stack([image for _, image, _ in files])
    assert torch.equal(found[0], expected)
    assert source.labels.tolist() == [i // 2 for i in range(200)]
    assert source.classes == data.imagenet100_classes()


def middle(pixels):
    from torchvision.transforms.v2 import functional as F

    return F.center_crop(F.resize(pixels, [37], antialias=True), [32, 32])


def test_the_augmentation_leaves_the_crop_to_the_stream():
    source = build_images(SMALL, "train", CPU)
    augmentation = source.augmentation(SMALL)
    x = augmentation.normalise(torch.cat(crops(source, [torch.arange(90)], None))[0])
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)
    plain = replace(
        augmentation,
        brightness=0,
        contrast=0,
        saturation=0,
        hue=0,
        grayscale=0,
        flip=0,
        blur=0,
        mean=None,
        std=None,
    )
    (images,) = crops(source, [torch.arange(8)], 0)
    assert torch.allclose(plain(images[0]), images[0] / 255, atol=1e-5)


def losses(outcome):
    return [line["loss"] for line in outcome.history]


@pytest.mark.parametrize("views", [1, 2])
def test_streamed_is_in_memory_where_crops_change_nothing(tmp_path, monkeypatch, views):
    """The same run from a tensor and from files, whose images are square, lossless and whole."""
    for i in range(40):
        for split in ("train", "test"):
            path = tmp_path / "cifar10" / split / f"class{i // 20}" / f"{i:02d}.png"
            paint(path, 16, 16, i)
    monkeypatch.setenv("CONTRASTLIB_DATA", str(tmp_path))
    whole = replace(
        SMALL.augmentation,
        crop=(1.0, 1.0),
        ratio=(1.0, 1.0),
        size=16,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
    )
    recipe = replace(SMALL, dataset="cifar10", limit=None, batch=16, views=views, epochs=2)
    recipe = replace(recipe, augmentation=whole)
    in_memory = train_tiny(recipe)
    streamed_info = replace(data.DATASETS["cifar10"], streamed=True)
    monkeypatch.setitem(data.DATASETS, "cifar10", streamed_info)
    streamed = train_tiny(recipe)
    assert weight_bits(streamed.encoder) == weight_bits(in_memory.encoder)
    assert losses(streamed) == losses(in_memory)


def test_run_from_files_resumes_bit_for_bit(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        steps = iter(range(100))
        embed_and_get_keys = loop.embed_and_get_keys

        def interrupted(*arguments, **options):
            if next(steps) == 6:  # in the second epoch of four steps
                raise KeyboardInterrupt
            return embed_and_get_keys(*arguments, **options)

        patch.setattr(loop, "embed_and_get_keys", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(SMALL, tmp_path / "a")
        patch.setattr(loop, "embed_and_get_keys", embed_and_get_keys)
        train_tiny(SMALL, tmp_path / "a")
        train_tiny(SMALL, tmp_path / "b")
    assert bits(checkpoint(tmp_path / "a")) == bits(checkpoint(tmp_path / "b"))


def test_run_from_end_to_end(tmp_path):
    record = run(SMALL, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert run_records.read(SMALL, tmp_path) == record
    assert record["metrics"]["probe"] > 0.05  # of 100 classes of one image, told apart by colour
    assert record["metrics"]["alignment"] > 0
    assert len(record["map"]["x"]) == 200
    assert all(value is not None for column in record["history"].values() for value in column)
    trained = train_tiny(SMALL)
    again = evaluate(trained.encoder, SMALL, device="cpu", bank=trained.bank)
    assert again == record["metrics"]
    none = run(replace(SMALL, loss="none"), tmp_path, device="cpu", progress=False)
    assert none["metrics"]["probe"] != record["metrics"]["probe"]
    net = supervised(replace(SMALL, epochs=1), device="cpu", progress=False)
    assert weight_bits(net) != weight_bits(untrained(SMALL))


def test_what_a_stream_refuses():
    with pytest.raises(
        ValueError,
        match=r"many sizes and augmentation.size is None: set it to the side of the views",
    ):
        train_tiny(replace(SMALL, augmentation=replace(SMALL.augmentation, size=None)))
    with pytest.raises(ValueError, match="limit is 101; imagenet100 has 100 train images"):
        train_tiny(replace(SMALL, limit=101))


@pytest.mark.skipif(not dist.is_gloo_available(), reason="this build of PyTorch has no gloo")
def test_two_processes_decode_each_image_once(tmp_path):
    train_tiny(SHORT, tmp_path / "one")
    finish(torchrun(__file__, str(tmp_path)))
    seen = [json.loads((tmp_path / f"seen{rank}.json").read_text()) for rank in (0, 1)]
    for epoch in range(SHORT.epochs):
        indices = [index for process in seen for index, draw in process if draw == epoch]
        assert len(indices) == len(set(indices)) == 80  # two batches of 40
        assert set(indices) <= set(range(90))
        for process in seen:
            assert len([index for index, draw in process if draw == epoch]) == 40
    one = checkpoint(tmp_path / "one")
    two = checkpoint(tmp_path / "two")
    assert one["history"][0]["loss"] == pytest.approx(two["history"][0]["loss"], rel=1e-5)
    assert distance(one["encoder"], two["encoder"]) < 1e-2  # measured: 1e-6 and 1e-4


def decode_and_tell(folder):
    """Train, and write down what this process decoded for training, and for which epoch."""
    seen = []
    crop = image_sources.Crops.__getitem__

    def told(self, key):
        if key[1] is not None and key[1] < SHORT.epochs:
            seen.append(key[:2])
        return crop(self, key)

    loader = image_sources.DataLoader

    def load_in_this_process(*arguments, **options):
        options |= {"num_workers": 0, "persistent_workers": False}
        return loader(*arguments, **options)

    image_sources.Crops.__getitem__ = told
    image_sources.DataLoader = load_in_this_process
    train_tiny(SHORT, folder / "two")
    (folder / f"seen{dist.get_rank()}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.process_group(CPU):
        decode_and_tell(Path(sys.argv[1]))
