"""`load` and `stream`: the embedded digits, the arguments, ImageNet100 streamed, and what is
refused.

No test reaches the network, and none reads or writes anything of the user's. Where
$CONTRASTLIB_DATA holds the real CIFAR sets, they are read too.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import error_of
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.transforms import v2

import contrastlib.data
from contrastlib.data import imagenet100_classes, load, stream

pytestmark = pytest.mark.usefixtures("own_data_only")

REAL = [
    name
    for name in ("cifar10", "cifar100")
    if os.environ.get("CONTRASTLIB_DATA")
    and Path(os.environ["CONTRASTLIB_DATA"], name, "test").is_dir()
]


# The digits, and the arguments


def test_digits_are_the_digits():
    train = load("digits")
    test = load("digits", split="test")
    assert len(train) == 1437
    assert len(test) == 360
    images = torch.cat([train.images, test.images])
    assert images.dtype == torch.uint8
    assert images.shape == (1797, 1, 8, 8)
    pixels, labels = load_digits(return_X_y=True)
    torch.testing.assert_close(
        images.flatten(1).double() * 16 / 255, torch.from_numpy(pixels), atol=0.5, rtol=0
    )
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(labels))
    assert train.classes == tuple("0123456789")


def test_limit_is_random_fixed_and_nested():
    small = load("digits", limit=50)
    large = load("digits", limit=200)
    assert torch.equal(small.images, large.images[:50])
    assert torch.equal(load("digits", limit=50).labels, small.labels)
    assert len(large.labels.unique()) == 10


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.array, torch.tensor])
def test_numbers_of_numpy_are_taken(kind, imagenet):
    assert torch.equal(load("digits", limit=kind(50)).images, load("digits", limit=50).images)
    loader = stream("imagenet100", root=imagenet, batch_size=kind(3), workers=kind(0))
    assert loader.batch_size == 3
    assert len(contrastlib.data.image_files("imagenet100", root=imagenet, limit=kind(5))) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"name": "mnist"},
            "there is no data set 'mnist'; the names are: digits, fashion-mnist, cifar10",
        ),
        (
            {"name": "digits", "split": "val"},
            "digits has no split 'val'; the splits are: train, test",
        ),
        (
            {"name": "digits", "limit": 0},
            "limit is 0; digits has 1437 train images: give 1 to 1437",
        ),
        ({"name": "digits", "limit": 5000}, "limit is 5000"),
        ({"name": "digits", "limit": 0.5}, "limit is 0.5"),
        ({"name": "digits", "limit": np.float32(5)}, "limit is 5.0"),
        ({"name": "digits", "limit": np.int64(0)}, "limit is 0;"),
        ({"name": "digits", "limit": np.bool_(True)}, "limit is True;"),
        (
            {"name": "imagenet100"},
            'many sizes, .* use stream\\("imagenet100", "train", transform=...\\)',
        ),
    ],
)
def test_load_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        load(**arguments)


# ImageNet100, streamed


def test_imagenet100_is_a_list_of_100_wordnet_ids():
    classes = imagenet100_classes()
    assert len(set(classes)) == 100
    assert list(classes) == sorted(classes)
    assert all(len(name) == 9 and name[0] == "n" and name[1:].isdigit() for name in classes)


@pytest.fixture
def imagenet(root, monkeypatch):
    """Two listed classes and one that is not, in both splits, each image of another size."""
    monkeypatch.setattr(contrastlib.data, "imagenet100_classes", lambda: ("n01558993", "n13040303"))
    for split, each in (("train", 4), ("val", 2)):
        for name in ("n01440764", "n01558993", "n13040303"):
            folder = root / "imagenet100" / split / name
            folder.mkdir(parents=True)
            for i in range(each):
                red = np.zeros((30 + i, 50 - i, 3), np.uint8)
                red[..., 0] = 40 * i + (100 if name == "n13040303" else 0)
                Image.fromarray(red).save(folder / f"{name}_{i}.JPEG", quality=95)
    return root


@pytest.mark.parametrize("workers", [0, 1])
def test_stream_yields_every_listed_image_once(imagenet, workers):
    loader = stream(
        "imagenet100", root=imagenet, transform=v2.CenterCrop(24), batch_size=3, workers=workers
    )
    assert loader.dataset.classes == ("n01558993", "n13040303")
    batches = list(loader)
    assert [len(index) for index, _, _ in batches] == [3, 3, 2]
    index, images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert sorted(index.tolist()) == list(range(8))
    assert images.shape == (8, 3, 24, 24)
    assert images.dtype == torch.uint8
    assert torch.equal(labels, index // 4)
    red = 40 * (index % 4) + 100 * labels
    assert (images[:, 0].float().mean((1, 2)) - red).abs().max() <= 4


def test_stream_of_the_test_split_is_in_order(imagenet):
    loader = stream("imagenet100", "test", root=imagenet, workers=0)
    ((index, images, labels),) = loader
    assert index.tolist() == [0, 1, 2, 3]
    assert labels.tolist() == [0, 0, 1, 1]
    assert images.shape == (4, 3, 224, 224)
    assert images.dtype == torch.uint8


def test_stream_refuses(imagenet, monkeypatch):
    folder = imagenet / "imagenet100"
    assert "use load" in error_of(lambda: stream("digits"))
    assert "no data set 'imagenet'" in error_of(lambda: stream("imagenet"))
    assert "batch_size is 0" in error_of(lambda: stream("imagenet100", root=imagenet, batch_size=0))
    assert "workers is -1" in error_of(lambda: stream("imagenet100", root=imagenet, workers=-1))
    image = folder / "train" / "n13040303" / "n13040303_2.JPEG"
    image.write_bytes(image.read_bytes()[:200])
    assert f"{image} is damaged" in error_of(
        lambda: list(stream("imagenet100", root=imagenet, workers=0))
    )
    shutil.rmtree(folder / "val" / "n13040303")
    message = error_of(lambda: stream("imagenet100", "test", root=imagenet), FileNotFoundError)
    assert message == f"{folder / 'val'} lacks 1 of the 2 classes: n13040303"
    shutil.rmtree(folder)
    message = error_of(lambda: stream("imagenet100", root=imagenet), FileNotFoundError)
    assert f"put the train images of imagenet100 at {folder / 'train'}/CLASS/*" in message


# The real sets, where they are


if REAL:
    DATA = os.environ["CONTRASTLIB_DATA"]

    @pytest.mark.parametrize("name", REAL)
    def test_real_cifar(name):
        data = load(name, "test", root=DATA)
        count = int(name.removeprefix("cifar"))
        assert data.images.shape == (10000, 3, 32, 32)
        assert data.labels.bincount().tolist() == [10000 // count] * count
        assert list(data.classes) == sorted(data.classes)
        mean = data.images.float().mean(dim=(0, 2, 3)) / 255
        published = {"cifar10": (0.4914, 0.4822, 0.4465), "cifar100": (0.5071, 0.4865, 0.4409)}[
            name
        ]  # training images
        assert (mean - torch.tensor(published)).abs().max() < 0.005
