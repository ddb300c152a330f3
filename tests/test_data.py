"""Every way to get images: the embedded digits, image folders, torchvision's files, its download, and what is refused.

No test reaches the network, and none reads or writes anything of the user's: an image folder, an IDX, .mat or CIFAR
file is generated in its true layout. Where $CONTRASTLIB_DATA holds the real CIFAR sets, they are read too.
"""

import gzip
import hashlib
import os
import pickle
import shutil
import socket
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets
from torchvision.transforms import v2

import contrastlib.data
import contrastlib.data_readers
import contrastlib.image_folder
from contrastlib.data import imagenet100_classes, load, stream

REAL = [
    name
    for name in ("cifar10", "cifar100")
    if os.environ.get("CONTRASTLIB_DATA") and Path(os.environ["CONTRASTLIB_DATA"], name, "test").is_dir()
]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No network, no data of the user's, a cache folder of the test's own."""

    def refuse(*args, **kwargs):
        raise URLError("name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(contrastlib.data_readers, "DEBIAN", tmp_path / "debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CONTRASTLIB_DATA", raising=False)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def make_folder(folder, classes=("bird", "cat", "dog"), each=4, size=(6, 5, 3), suffix="png", **options):
    """Write FOLDER/CLASS/*; return the pixels [N, H, W(, 3)] in the order of sorted names."""
    pixels = noise(len(classes) * each, *size)
    for i, image in enumerate(pixels):
        path = folder / sorted(classes)[i // each] / f"{i % each:03d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **options)
    return pixels


def error_of(call, kind=ValueError):
    """The message of the error, which must be one line."""
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The digits, and the arguments


def test_digits_are_the_digits():
    train, test = load("digits"), load("digits", split="test")
    assert len(train) == 1437
    assert len(test) == 360
    images = torch.cat([train.images, test.images])
    assert images.dtype == torch.uint8
    assert images.shape == (1797, 1, 8, 8)
    pixels, labels = load_digits(return_X_y=True)
    torch.testing.assert_close(images.flatten(1).double() * 16 / 255, torch.from_numpy(pixels), atol=0.5, rtol=0)
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(labels))
    assert train.classes == tuple("0123456789")


def test_limit_is_random_fixed_and_nested():
    small, large = load("digits", limit=50), load("digits", limit=200)
    assert torch.equal(small.images, large.images[:50])
    assert torch.equal(load("digits", limit=50).labels, small.labels)
    assert len(large.labels.unique()) == 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "mnist"}, "there is no data set 'mnist'; the names are: digits, fashion-mnist, cifar10"),
        ({"name": "digits", "split": "val"}, "digits has no split 'val'; the splits are: train, test"),
        ({"name": "digits", "limit": 0}, "limit is 0; digits has 1437 train images: give 1 to 1437"),
        ({"name": "digits", "limit": 5000}, "limit is 5000"),
        ({"name": "digits", "limit": 0.5}, "limit is 0.5"),
        ({"name": "imagenet100"}, 'many sizes, .* use stream\\("imagenet100", "train", transform=...\\)'),
    ],
)
def test_load_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        load(**arguments)


# Image folders


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("webp", {"lossless": True}), ("PNG", {})])
def test_image_folder_is_read_as_it_was_written(root, suffix, options):
    pixels = make_folder(root / "cifar10" / "train", suffix=suffix, **options)
    (root / "cifar10" / "train" / ".hidden").mkdir()
    (root / "cifar10" / "train" / "cat" / "notes.txt").write_text("no image")
    data = load("cifar10", root=root)
    assert data.classes == ("bird", "cat", "dog")
    assert data.images.dtype == torch.uint8
    assert data.images.shape == (12, 3, 6, 5)
    assert torch.equal(data.images, torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert data.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    few = load("cifar10", root=str(root), limit=5)
    assert all(any(torch.equal(image, other) for other in data.images) for image in few.images)
    assert list(root.iterdir()) == [root / "cifar10"]  # nothing of ours lies beside it


def test_grey_folder_has_one_channel_and_jpeg_comes_close(root):
    pixels = make_folder(root / "fashion-mnist" / "train", size=(28, 28))
    assert torch.equal(load("fashion-mnist", root=root).images, torch.from_numpy(pixels)[:, None])
    image = np.tile(np.arange(32, dtype=np.uint8)[:, None, None] * 8, (1, 32, 3))
    (root / "svhn" / "train" / "0").mkdir(parents=True)
    Image.fromarray(image).save(root / "svhn" / "train" / "0" / "a.JPEG", quality=95)
    found = load("svhn", root=root).images[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(found - image).max() <= 4


@pytest.mark.parametrize("part", ["test", "val"])
def test_test_split_and_the_places_root_comes_from(root, part, monkeypatch, tmp_path):
    make_folder(root / "cifar100" / "train")
    pixels = torch.from_numpy(make_folder(root / "cifar100" / part, each=2)).permute(0, 3, 1, 2)
    assert torch.equal(load("cifar100", "test", root=root).images, pixels)
    monkeypatch.setenv("CONTRASTLIB_DATA", str(root))
    assert torch.equal(load("cifar100", "test").images, pixels)
    monkeypatch.delenv("CONTRASTLIB_DATA")
    shutil.copytree(root / "cifar100", tmp_path / "cache" / "contrastlib" / "cifar100")
    assert torch.equal(load("cifar100", "test").images, pixels)


def test_many_images_are_decoded_in_order(root, monkeypatch):
    monkeypatch.setattr(contrastlib.image_folder, "CHUNK", 7)
    pixels = make_folder(root / "cifar10" / "train", each=31)
    assert torch.equal(load("cifar10", root=root).images, torch.from_numpy(pixels).permute(0, 3, 1, 2))


def test_decoded_once_until_a_file_changes(root, monkeypatch):
    folder = root / "cifar10" / "train"
    make_folder(folder)
    decoded, decode_all = [], contrastlib.image_folder.decode_all
    monkeypatch.setattr(
        contrastlib.image_folder,
        "decode_all",
        lambda paths, mode: decoded.append(len(paths)) or decode_all(paths, mode),
    )
    first = load("cifar10", root=root)
    assert torch.equal(load("cifar10", root=root).images, first.images)
    assert decoded == [12]
    Image.fromarray(noise(6, 5, 3, seed=9)).save(folder / "cat" / "000.png")
    assert not torch.equal(load("cifar10", root=root).images, first.images)
    (folder / "dog" / "003.png").unlink()
    assert len(load("cifar10", root=root)) == 11
    (folder / "dog" / "002.png").rename(folder / "bird" / "zzz.png")
    assert load("cifar10", root=root).labels.bincount().tolist() == [5, 4, 2]
    assert decoded == [12, 12, 11, 11]
    assert len(list((contrastlib.image_folder.cache_folder() / "decoded").iterdir())) == 1  # nothing piles up


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "pickle"])
def test_damaged_cache_is_decoded_again(root, damage):
    make_folder(root / "cifar10" / "train")
    first = load("cifar10", root=root)
    (cache,) = (contrastlib.image_folder.cache_folder() / "decoded").iterdir()
    whole = cache.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    cache.write_bytes({"cut": whole[:-50], "flip": flipped, "empty": b"", "pickle": pickle.dumps([1])}[damage])
    with pytest.warns(UserWarning, match=f"the cache {cache} is damaged .*; decoding .* again over it"):
        again = load("cifar10", root=root)
    assert torch.equal(again.images, first.images)
    assert cache.read_bytes() == whole
    assert list(cache.parent.iterdir()) == [cache]


class Harmful:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["short", "pickled"])
def test_cache_of_other_arrays_is_refused_and_never_unpickled(root, tmp_path, kind):
    make_folder(root / "cifar10" / "train")
    first = load("cifar10", root=root)
    (cache,) = (contrastlib.image_folder.cache_folder() / "decoded").iterdir()
    fingerprint = np.load(cache)["fingerprint"]
    harmful = np.array([Harmful(tmp_path / "harm")], dtype=object)
    np.savez(cache, images=first.images[1:].numpy() if kind == "short" else harmful, fingerprint=fingerprint)
    with pytest.warns(UserWarning, match="its array is uint8" if kind == "short" else "allow_pickle=False"):
        again = load("cifar10", root=root)
    assert torch.equal(again.images, first.images)
    assert not (tmp_path / "harm").exists()


def test_without_a_writable_cache_the_images_still_come(root, tmp_path):
    make_folder(root / "cifar10" / "train")
    (tmp_path / "cache").write_text("a file where the folder would be")
    with pytest.warns(UserWarning, match="could not be kept in"):
        assert len(load("cifar10", root=root)) == 12


def test_disk_full_while_caching_leaves_nothing_behind(root, monkeypatch):
    make_folder(root / "cifar10" / "train")

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert len(load("cifar10", root=root)) == 12
    assert not list((contrastlib.image_folder.cache_folder() / "decoded").iterdir())


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_truncated_image_is_named(root, suffix, kept):
    make_folder(root / "cifar10" / "train", suffix=suffix)
    path = root / "cifar10" / "train" / "cat" / f"002.{suffix}"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert error_of(lambda: load("cifar10", root=root)).startswith(f"{path} is damaged or no image: replace or delete")


def test_folders_that_are_no_set_are_refused(root, monkeypatch):
    train = root / "cifar10" / "train"
    train.mkdir(parents=True)
    assert f"{train} has no class folders" in error_of(lambda: load("cifar10", root=root))
    make_folder(train)
    assert error_of(lambda: load("cifar10", "test", root=root), FileNotFoundError) == (
        f"{root / 'cifar10'} has no folder test: put images at {root / 'cifar10' / 'test'}/CLASS/*, "
        f"or torchvision's files at {root / 'cifar-10-batches-py'} (it holds: train)"
    )
    make_folder(root / "cifar10" / "test", classes=("bird", "cat", "fish"))
    words = "must have the same class folders, or their labels do not match; 2 in one alone: dog, fish"
    assert words in error_of(lambda: load("cifar10", "test", root=root))
    (train / "eel").mkdir()
    assert "class 'eel' has no images" in error_of(lambda: load("cifar10", root=root))
    (train / "eel").rmdir()
    Image.fromarray(noise(9, 5, 3)).save(train / "dog" / "large.png")
    words = f"{train / 'dog' / 'large.png'} is 5 x 9 pixels and {train / 'bird' / '000.png'} 5 x 6"
    assert words in error_of(lambda: load("cifar10", root=root))

    gone = root / "gone"
    words = f"root is {gone}, and there is no such folder"
    assert words in error_of(lambda: load("svhn", root=gone), FileNotFoundError)
    words = f"give the folder above it: {root}"
    assert words in error_of(lambda: load("cifar10", root=root / "cifar10"), FileNotFoundError)
    monkeypatch.setenv("CONTRASTLIB_DATA", str(gone))
    assert f"$CONTRASTLIB_DATA is {gone}" in error_of(lambda: load("svhn"), FileNotFoundError)


# torchvision's files, and its download


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def make_fashion(folder, n=7, zipped=False):
    images, labels = noise(n, 28, 28), np.arange(n, dtype=np.uint8) % 10
    folder.mkdir(parents=True, exist_ok=True)
    for start in ("train", "t10k"):
        for stem, array in ((f"{start}-images-idx3-ubyte", images), (f"{start}-labels-idx1-ubyte", labels)):
            path = folder / (f"{stem}.gz" if zipped else stem)
            path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    return images, labels


@pytest.mark.parametrize("place", ["FashionMNIST/raw", "fashion-mnist", "../debian"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("split", ["train", "test"])
def test_fashion_mnist_is_what_torchvision_reads(root, place, zipped, split):
    make_fashion(root / place, zipped=zipped)
    before = sorted(root.rglob("*"))
    data = load("fashion-mnist", split, root=root)
    assert sorted(root.rglob("*")) == before
    make_fashion(root / "FashionMNIST" / "raw")
    theirs = datasets.FashionMNIST(root, train=split == "train")
    assert torch.equal(data.images, theirs.data[:, None])
    assert torch.equal(data.labels, theirs.targets)
    assert data.classes == tuple(theirs.classes)


@pytest.mark.parametrize("zipped", [False, True])
def test_damaged_fashion_mnist_is_named(root, zipped):
    raw = root / "FashionMNIST" / "raw"
    make_fashion(raw, zipped=zipped)
    images, labels = (raw / f"train-{stem}{'.gz' * zipped}" for stem in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    pack = gzip.compress if zipped else bytes
    whole = images.read_bytes()
    for damaged in (whole[:-9], whole[:6], b"", pack(idx(noise(7, 28))), pack(b"<html>not found</html>")):
        images.write_bytes(damaged)
        message = error_of(lambda: load("fashion-mnist", root=root))
        assert message.startswith(f"{images} is damaged: replace or delete it")
    images.write_bytes(whole)
    labels.write_bytes(pack(idx(np.zeros(6, np.uint8))))
    assert f"7 images and {labels} 6 labels: replace both" in error_of(lambda: load("fashion-mnist", root=root))
    labels.write_bytes(pack(idx(np.full(7, 10, np.uint8))))
    assert "labels up to 10, but there are 10 classes" in error_of(lambda: load("fashion-mnist", root=root))


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_svhn_files(root, monkeypatch):
    images, labels = noise(32, 32, 3, 11), np.arange(1, 12, dtype=np.uint8)[:, None] % 10
    path = root / "train_32x32.mat"
    scipy.io.savemat(path, {"X": images, "y": np.where(labels == 0, 10, labels)})  # the files call a zero 10
    message = error_of(lambda: load("svhn", root=root))  # other bytes than the true file's
    assert message.startswith(f"{path} is damaged or not whole; delete it to download it again")
    monkeypatch.setitem(datasets.SVHN.split_list, "train", ["http://nowhere", path.name, md5(path)])
    data = load("svhn", root=root)
    assert data.images.shape == (11, 3, 32, 32)
    assert torch.equal(data.images, torch.from_numpy(images).permute(3, 2, 0, 1))
    assert data.labels.tolist() == labels.flatten().tolist()
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize(("name", "kind"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_cifar_files(root, name, kind, monkeypatch):
    folder = root / kind.base_folder
    folder.mkdir()
    images, label_key = noise(5, 3072), "labels" if name == "cifar10" else "fine_labels"
    lists = {}
    for which in ("train_list", "test_list"):
        lists[which] = []
        for file, _ in getattr(kind, which):
            (folder / file).write_bytes(pickle.dumps({"data": images, label_key: [0, 1, 2, 1, 0]}))
            lists[which].append([file, md5(folder / file)])
    meta = folder / kind.meta["filename"]
    meta.write_bytes(pickle.dumps({kind.meta["key"]: ["bird", "cat", "dog"]}))
    message = error_of(lambda: load(name, root=root))
    assert message.startswith(f"{folder} is damaged or not whole; delete it to download it again")
    for which, files in lists.items():
        monkeypatch.setattr(kind, which, files)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(meta)})
    data = load(name, "test", root=root)
    assert torch.equal(data.images, torch.from_numpy(images).view(5, 3, 32, 32))
    assert data.labels.tolist() == [0, 1, 2, 1, 0]
    assert data.classes == ("bird", "cat", "dog")


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100", "svhn"])
def test_no_network_is_one_line(root, tmp_path, name, given):
    place = root if given else tmp_path / "cache" / "contrastlib"
    message = error_of(lambda: load(name, root=root if given else None), FileNotFoundError)
    assert message.startswith(f"{name} is not in {place} and could not be downloaded: no network, no answer")
    assert "name or service not known" in message
    assert f"images at {place / name}/{{train,test}}/CLASS/*" in message


def test_silent_server_is_given_up_and_the_time_limit_put_back(root, monkeypatch):
    limits = []

    def never(*args, **kwargs):
        limits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", never)
    assert "timed out" in error_of(lambda: load("svhn", root=root), FileNotFoundError)
    assert set(limits) == {contrastlib.data_readers.TIMEOUT}
    assert socket.getdefaulttimeout() is None


def test_download_is_asked_for_once_and_read(root, monkeypatch):
    asked = []

    def download(url, download_root, filename, md5):
        asked.append(filename)
        make_fashion(Path(download_root))

    monkeypatch.setattr(datasets.mnist, "download_and_extract_archive", download)
    assert len(load("fashion-mnist", root=root)) == 7
    assert len(load("fashion-mnist", "test", root=root)) == 7
    assert len(asked) == 4  # torchvision's four files, in the first call alone


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
    loader = stream("imagenet100", root=imagenet, transform=v2.CenterCrop(24), batch_size=3, workers=workers)
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
    assert f"{image} is damaged" in error_of(lambda: list(stream("imagenet100", root=imagenet, workers=0)))
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
        published = {"cifar10": (0.4914, 0.4822, 0.4465), "cifar100": (0.5071, 0.4865, 0.4409)}[name]  # training images
        assert (mean - torch.tensor(published)).abs().max() < 0.005
