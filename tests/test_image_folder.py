"""Image folders: listed, decoded once and kept; what is hidden, damaged or missing."""

import pickle
import pwd
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import error_of, make_folder, noise
from PIL import Image

import contrastlib.data.image_folder
from contrastlib.data import load, stream

pytestmark = pytest.mark.usefixtures("own_data_only")


@pytest.mark.parametrize(
    ("suffix", "options"), [("png", {}), ("webp", {"lossless": True}), ("PNG", {})]
)
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
    for image in few.images:
        assert any(torch.equal(image, other) for other in data.images)
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
    monkeypatch.setattr(contrastlib.data.image_folder, "CHUNK", 7)
    pixels = make_folder(root / "cifar10" / "train", each=31)
    assert torch.equal(
        load("cifar10", root=root).images, torch.from_numpy(pixels).permute(0, 3, 1, 2)
    )


def test_decoded_once_until_a_file_changes(root, monkeypatch):
    folder = root / "cifar10" / "train"
    make_folder(folder)
    decoded = []
    decode_all = contrastlib.data.image_folder.decode_all
    monkeypatch.setattr(
        contrastlib.data.image_folder,
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
    assert (
        len(list((contrastlib.data.image_folder.cache_folder() / "decoded").iterdir())) == 1
    )  # nothing piles up


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "pickle"])
def test_damaged_cache_is_decoded_again(root, damage):
    make_folder(root / "cifar10" / "train")
    first = load("cifar10", root=root)
    (cache,) = (contrastlib.data.image_folder.cache_folder() / "decoded").iterdir()
    whole = cache.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    cache.write_bytes(
        {"cut": whole[:-50], "flip": flipped, "empty": b"", "pickle": pickle.dumps([1])}[damage]
    )
    with pytest.warns(
        UserWarning, match=f"the cache {cache} is damaged .*; decoding .* again over it"
    ):
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
    (cache,) = (contrastlib.data.image_folder.cache_folder() / "decoded").iterdir()
    fingerprint = np.load(cache)["fingerprint"]
    harmful = np.array([Harmful(tmp_path / "harm")], dtype=object)
    np.savez(
        cache,
        images=first.images[1:].numpy() if kind == "short" else harmful,
        fingerprint=fingerprint,
    )
    with pytest.warns(
        UserWarning, match="its array is uint8" if kind == "short" else "allow_pickle=False"
    ):
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
    assert not list((contrastlib.data.image_folder.cache_folder() / "decoded").iterdir())


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_truncated_image_is_named(root, suffix, kept):
    make_folder(root / "cifar10" / "train", suffix=suffix)
    path = root / "cifar10" / "train" / "cat" / f"002.{suffix}"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert error_of(lambda: load("cifar10", root=root)).startswith(
        f"{path} is damaged or no image: replace or delete"
    )


def test_folders_that_are_no_set_are_refused(root, monkeypatch):
    train = root / "cifar10" / "train"
    train.mkdir(parents=True)
    assert f"{train} has no class folders" in error_of(lambda: load("cifar10", root=root))
    make_folder(train)
    assert error_of(lambda: load("cifar10", "test", root=root), FileNotFoundError) == (
        f"{root / 'cifar10'} has no folder test: "
        f"put images at {root / 'cifar10' / 'test'}/CLASS/*, "
        f"or torchvision's files at {root / 'cifar-10-batches-py'} (it holds: train)"
    )
    make_folder(root / "cifar10" / "test", classes=("bird", "cat", "fish"))
    words = (
        "must have the same class folders, or their labels do not match; 2 in one alone: dog, fish"
    )
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


# What the system leaves beside one's own files


HIDDEN_FILES = (
    "._000.png",
    ".DS_Store",
    ".hidden.jpg",
    "Thumbs.db",
    "desktop.ini",
    "ehthumbs.db",
    "._.DS_Store",
)
HIDDEN_FOLDERS = (".Trashes", ".ipynb_checkpoints", "__MACOSX", "@eaDir", "._bird")


def litter(folder):
    """What macOS, Windows and a network drive leave in an image folder and in its classes."""
    places = [folder, *folder.iterdir()]
    for place in places:
        for name in HIDDEN_FILES:
            (place / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        for name in HIDDEN_FOLDERS:
            (place / name).mkdir()
            (place / name / "000.png").write_bytes(b"no image")
        (place / ".folder.png").mkdir()


def test_hidden_files_and_folders_are_skipped(root):
    for split in ("train", "test"):
        make_folder(root / "cifar10" / split)
    before = {split: load("cifar10", split, root=root) for split in ("train", "test")}
    litter(root / "cifar10" / "train")  # one split alone: their class folders must still agree
    for split in ("train", "test"):
        after = load("cifar10", split, root=root)
        assert after.classes == before[split].classes
        assert torch.equal(after.images, before[split].images)
        assert torch.equal(after.labels, before[split].labels)


def test_hidden_files_are_skipped_in_streams(root):
    for split in ("train", "val"):
        make_folder(root / "cifar10" / split)
        litter(root / "cifar10" / split)
        name = "train" if split == "train" else "test"
        loader = stream("cifar10", name, root=root, transform=lambda x: x, workers=0)
        indices = torch.cat([index for index, _, _ in loader])
        assert sorted(indices.tolist()) == list(range(12))
        assert loader.dataset.classes == ("bird", "cat", "dog")


def test_a_folder_of_hidden_files_alone_has_no_images(root):
    make_folder(root / "cifar10" / "train", classes=("bird",))
    (root / "cifar10" / "train" / "cat").mkdir()
    (root / "cifar10" / "train" / "cat" / "._000.png").write_bytes(b"")
    assert "class 'cat' has no images" in error_of(lambda: load("cifar10", root=root))


# Users without a home, and caches of other rules


@pytest.fixture
def no_home(monkeypatch):
    """A user that is in no /etc/passwd, without $HOME: a container's, often."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()


@pytest.mark.filterwarnings("error")
def test_without_a_home_images_load_with_one_warning(root, no_home, monkeypatch):
    pixels = make_folder(root / "cifar10" / "train")
    with pytest.warns(
        UserWarning, match="there is no home folder, so the decoded images"
    ) as caught:
        data = load("cifar10", root=root)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert torch.equal(data.images, torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert list(root.iterdir()) == [root / "cifar10"]
    monkeypatch.setenv("CONTRASTLIB_DATA", str(root))
    assert len(list(stream("cifar10", transform=lambda x: x, workers=0).dataset)) == 12


@pytest.mark.filterwarnings("error")
def test_without_a_home_what_is_bundled_loads(no_home):
    assert len(load("digits")) == 1437
    assert len(load("fashion-mnist-part")) == 3000


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100", "svhn"])
def test_without_a_home_a_download_has_no_place(no_home, name):
    message = error_of(lambda: load(name), FileNotFoundError)
    assert message.startswith(f"{name} is not here, and there is no home folder to download it to")


def test_without_a_home_a_stream_and_a_tilde_are_refused(no_home):
    message = error_of(lambda: stream("imagenet100"), FileNotFoundError)
    assert "there is no home folder in which imagenet100 could lie" in message
    message = error_of(lambda: load("cifar10", root="~/data"), FileNotFoundError)
    assert message.startswith("root is ~/data, and there is no such folder")


@pytest.mark.parametrize("kind", ["unreadable file", "unwritable folder"])
def test_cache_that_is_not_ours_costs_one_warning(root, tmp_path, monkeypatch, kind):
    make_folder(root / "cifar10" / "train")
    load("cifar10", root=root)
    (cache,) = (tmp_path / "cache" / "contrastlib" / "decoded").iterdir()

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # By monkeypatching: the tests may run as root, who may do anything.
    if kind == "unreadable file":
        monkeypatch.setattr(contrastlib.data.image_folder, "open", refuse, raising=False)
    cache.unlink()
    monkeypatch.setattr(contrastlib.data.image_folder.tempfile, "NamedTemporaryFile", refuse)
    with pytest.warns(UserWarning, match="could not be kept in") as caught:
        assert len(load("cifar10", root=root)) == 12
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_arrays_that_other_rules_decoded_are_decoded_again(root, monkeypatch):
    pixels = noise(6, 5, 3)
    folder = root / "cifar10" / "train" / "bird"
    folder.mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "0.png")
    decoded = []
    decode_all = contrastlib.data.image_folder.decode_all

    def counted(paths, mode):
        decoded.append(mode)
        return decode_all(paths, mode)

    monkeypatch.setattr(contrastlib.data.image_folder, "decode_all", counted)
    load("cifar10", root=root)
    load("cifar10", root=root)
    assert decoded == ["RGB"]
    monkeypatch.setattr(contrastlib.data.image_folder, "RULES", "older")
    load("cifar10", root=root)
    assert decoded == ["RGB", "RGB"]
