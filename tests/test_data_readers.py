"""The files of torchvision's classes, and its download: generated in their true layout, never
fetched.
"""

import gzip
import hashlib
import pickle
import socket
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from data_helpers import error_of, idx, make_fashion, noise
from torchvision import datasets

import contrastlib.data.readers
from contrastlib.data import load

pytestmark = pytest.mark.usefixtures("own_data_only")


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
    images, labels = (
        raw / f"train-{stem}{'.gz' * zipped}" for stem in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    pack = gzip.compress if zipped else bytes
    whole = images.read_bytes()
    for damaged in (
        whole[:-9],
        whole[:6],
        b"",
        pack(idx(noise(7, 28))),
        pack(b"<html>not found</html>"),
    ):
        images.write_bytes(damaged)
        message = error_of(lambda: load("fashion-mnist", root=root))
        assert message.startswith(f"{images} is damaged: replace or delete it")
    images.write_bytes(whole)
    labels.write_bytes(pack(idx(np.zeros(6, np.uint8))))
    assert f"7 images and {labels} 6 labels: replace both" in error_of(
        lambda: load("fashion-mnist", root=root)
    )
    labels.write_bytes(pack(idx(np.full(7, 10, np.uint8))))
    assert "labels up to 10, but there are 10 classes" in error_of(
        lambda: load("fashion-mnist", root=root)
    )


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_svhn_files(root, monkeypatch):
    images = noise(32, 32, 3, 11)
    labels = np.arange(1, 12, dtype=np.uint8)[:, None] % 10
    path = root / "train_32x32.mat"
    scipy.io.savemat(
        path, {"X": images, "y": np.where(labels == 0, 10, labels)}
    )  # the files call a zero 10
    message = error_of(lambda: load("svhn", root=root))  # other bytes than the true file's
    assert message.startswith(f"{path} is damaged or not whole; delete it to download it again")
    monkeypatch.setitem(datasets.SVHN.split_list, "train", ["http://nowhere", path.name, md5(path)])
    data = load("svhn", root=root)
    assert data.images.shape == (11, 3, 32, 32)
    assert torch.equal(data.images, torch.from_numpy(images).permute(3, 2, 0, 1))
    assert data.labels.tolist() == labels.flatten().tolist()
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("name", "kind"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)]
)
def test_cifar_files(root, name, kind, monkeypatch):
    folder = root / kind.base_folder
    folder.mkdir()
    images = noise(5, 3072)
    label_key = "labels" if name == "cifar10" else "fine_labels"
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
    assert message.startswith(
        f"{name} is not in {place} and could not be downloaded: no network, no answer"
    )
    assert "name or service not known" in message
    assert f"images at {place / name}/{{train,test}}/CLASS/*" in message


def test_silent_server_is_given_up_and_the_time_limit_put_back(root, monkeypatch):
    limits = []

    def never(*args, **kwargs):
        limits.append(socket.getdefaulttimeout())
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", never)
    assert "timed out" in error_of(lambda: load("svhn", root=root), FileNotFoundError)
    assert set(limits) == {contrastlib.data.readers.TIMEOUT}
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
