"""Sets too large for one tensor, trained and measured from files that are decoded anew: an ImageNet100 in small.

The folder has its true layout and class names, and JPEGs of many sizes. This file is also the program that torchrun
starts.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from test_distributed import checkpoint, distance, finish, torchrun
from test_train import bits, train_tiny

from contrastlib import data
from contrastlib.training import build, distributed, loop, run_records
from contrastlib.training.recipes import paper

CPU = torch.device("cpu")
SMALL = replace(
    paper("imagenet100"), backbone="resnet_small", width=4, d=16, batch=20, epochs=3, views=2, neighbours=1, limit=90
)
SMALL = replace(SMALL, augmentation=replace(SMALL.augmentation, size=32), probe="lbfgs", precision="float32")
SHORT = replace(SMALL, backbone="convnet_digits", batch=40, epochs=2)  # few steps, which do not magnify rounding yet


def paint(path, height, width, number):
    """An image of its class's colour, with some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(number)
    colour = np.random.default_rng(number // 2).integers(40, 216, 3)
    pixels = colour + chance.integers(-40, 40, (height, width, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """The folder above imagenet100/{train,val}/WORDNET_ID/*.JPEG: of each class one image to train, two to test."""
    root = tmp_path_factory.mktemp("data")
    for i, name in enumerate(data.imagenet100_classes()):
        for split, count in (("train", 1), ("val", 2)):
            for j in range(count):
                paint(root / "imagenet100" / split / name / f"{name}_{j}.JPEG", 36 + i % 5, 60 - i % 7, 2 * i + j)
    return root


@pytest.fixture(autouse=True)
def alone(imagenet, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRASTLIB_DATA", str(imagenet))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def crops(source, rows, draw, views=1, part=(0, 1)):
    return [torch.stack(images) for _, images in source.batches(rows, draw, views, part)]


def test_crops_are_decided_by_seed_draw_and_index():
    state = torch.get_rng_state()
    source = build.build_images(SMALL, "train", CPU)
    assert len(source) == len(source.labels) == 90
    rows = torch.arange(12)
    (whole,) = crops(source, [rows], 0, 2)
    assert whole.shape == (2, 12, 3, 32, 32)
    assert whole.dtype == torch.uint8
    backwards = torch.cat(crops(source, rows.flip(0).split(5), 0, 2), dim=1)
    assert torch.equal(backwards.flip(1), whole)
    halves = [crops(source, [rows], 0, 2, (rank, 2))[0] for rank in (0, 1)]
    assert torch.equal(halves[0][:, :6], whole[:, :6])
    assert torch.equal(halves[1][:, 6:], whole[:, 6:])
    assert not halves[0][:, 6:].any()
    others = [
        whole[1],
        crops(source, [rows], 1)[0][0],
        crops(build.build_images(replace(SMALL, seed=1), "train", CPU), [rows], 0)[0][0],
    ]
    assert all((other != whole[0]).flatten(1).any(1).all() for other in others)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is not touched


def test_without_a_draw_they_are_the_middle():
    """Of the test split, in order: the shorter side to 8 / 7 of the size, as 256 is of 224, and the middle of that."""
    source = build.build_images(SMALL, "test", CPU)
    (found,) = crops(source, [torch.arange(200)], None)
    expected = torch.stack([image for _, image, _ in data.image_files("imagenet100", "test", transform=middle)])
    assert torch.equal(found[0], expected)
    assert source.labels.tolist() == [i // 2 for i in range(200)]
    assert source.classes == data.imagenet100_classes()


def middle(pixels):
    from torchvision.transforms.v2 import functional as F

    return F.center_crop(F.resize(pixels, [37], antialias=True), [32, 32])


def test_views_leave_the_crop_to_the_stream():
    source = build.build_images(SMALL, "train", CPU)
    view = source.view(SMALL)
    x = view.normalise(torch.cat(crops(source, [torch.arange(90)], None))[0])
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)
    plain = replace(
        view, brightness=0, contrast=0, saturation=0, hue=0, grayscale=0, flip=0, blur=0, mean=None, std=None
    )
    (images,) = crops(source, [torch.arange(8)], 0)
    assert torch.allclose(plain(images[0]), images[0] / 255, atol=1e-5)


@pytest.mark.parametrize("views", [1, 2])
def test_streamed_is_held_where_crops_change_nothing(tmp_path, monkeypatch, views):
    """The same run from a tensor and from files: square images of the views' size, lossless, and whole as crops."""
    for i in range(40):
        for split in ("train", "test"):
            paint(tmp_path / "cifar10" / split / f"class{i // 20}" / f"{i:02d}.png", 16, 16, i)
    monkeypatch.setenv("CONTRASTLIB_DATA", str(tmp_path))
    whole = replace(SMALL.augmentation, crop=(1.0, 1.0), ratio=(1.0, 1.0), size=16, mean=(0.5,) * 3, std=(0.2,) * 3)
    recipe = replace(SMALL, dataset="cifar10", limit=None, batch=16, augmentation=whole, views=views, epochs=2)
    held = train_tiny(recipe)
    monkeypatch.setitem(data.DATASETS, "cifar10", replace(data.DATASETS["cifar10"], streamed=True))
    streamed = train_tiny(recipe)
    assert bits(dict(streamed.encoder.state_dict())) == bits(dict(held.encoder.state_dict()))
    assert [row["loss"] for row in streamed.history] == [row["loss"] for row in held.history]


def test_run_from_files_resumes_bit_for_bit(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        steps, forward = iter(range(100)), loop.forward

        def interrupted(*arguments):
            if next(steps) == 6:  # in the second epoch of four steps
                raise KeyboardInterrupt
            return forward(*arguments)

        patch.setattr(loop, "forward", interrupted)
        patch.setattr(loop, "watch", lambda *_: {})
        with pytest.raises(KeyboardInterrupt):
            train_tiny(SMALL, tmp_path / "a")
        patch.setattr(loop, "forward", forward)
        train_tiny(SMALL, tmp_path / "a")
        train_tiny(SMALL, tmp_path / "b")
    assert bits(checkpoint(tmp_path / "a")) == bits(checkpoint(tmp_path / "b"))


def test_run_from_end_to_end(tmp_path):
    record = loop.run(SMALL, tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert run_records.read(SMALL, tmp_path) == record
    assert record["metrics"]["probe"] > 0.05  # of 100 classes of one image, told apart by colour
    assert record["metrics"]["alignment"] > 0
    assert len(record["map"]["x"]) == 200
    assert all(value is not None for column in record["history"].values() for value in column)
    again = loop.evaluate(train_tiny(SMALL).encoder, SMALL, device="cpu")
    assert again == record["metrics"]
    none = loop.run(replace(SMALL, loss="none"), tmp_path, device="cpu", progress=False)
    assert none["metrics"]["probe"] != record["metrics"]["probe"]
    net = loop.supervised(replace(SMALL, epochs=1), device="cpu", progress=False)
    assert bits(dict(net.state_dict())) != bits(dict(loop.untrained(SMALL).state_dict()))


def test_what_a_stream_refuses():
    with pytest.raises(ValueError, match=r"many sizes and augmentation.size is None: set it to the side of the views"):
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
        assert [sum(draw == epoch for _, draw in process) for process in seen] == [40, 40]
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    assert one["history"][0]["loss"] == pytest.approx(two["history"][0]["loss"], rel=1e-5)
    assert distance(one["encoder"], two["encoder"]) < 1e-2  # measured: 1e-6 and 1e-4


def decode_and_tell(folder):
    """Train, and write down what this process decoded for training, and for which epoch."""
    seen, crop = [], build.Crops.__getitem__

    def told(self, key):
        if key[1] is not None and key[1] < SHORT.epochs:
            seen.append(key[:2])
        return crop(self, key)

    build.Crops.__getitem__ = told
    loader = build.DataLoader
    build.DataLoader = lambda *arguments, **options: loader(
        *arguments,
        **options | {"num_workers": 0, "persistent_workers": False},  # in this process, to be seen
    )
    train_tiny(SHORT, folder / "two")
    (folder / f"seen{dist.get_rank()}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.together(CPU):
        decode_and_tell(Path(sys.argv[1]))
