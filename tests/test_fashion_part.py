"""The part of Fashion-MNIST that comes with the package: its rule, its size, and that it needs
nothing.
"""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import error_of, make_fashion
from torchvision import datasets

from contrastlib.data import load, readers, stream
from contrastlib.teaching.fashion_part import first_of_each_class, main, make

IDX_FILES = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


def test_the_part_is_even_and_small(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)  # no network of any kind
    train = load("fashion-mnist-part")
    test = load("fashion-mnist-part", "test")
    assert train.images.shape == (3000, 1, 28, 28)
    assert test.images.shape == (1000, 1, 28, 28)
    assert train.images.dtype == torch.uint8
    assert train.labels.bincount().tolist() == [300] * 10
    assert test.labels.bincount().tolist() == [100] * 10
    assert train.classes == tuple(datasets.FashionMNIST.classes)
    assert (train.labels.diff() < 0).any()  # in the files' order, not class by class
    assert readers.PART.stat().st_size <= 2_000_000


@pytest.mark.usefixtures("own_data_only")
def test_the_part_is_made_again_by_its_command(tmp_path, capsys):
    if not IDX_FILES.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    out = tmp_path / "part.npz"
    assert main([str(IDX_FILES), str(out)]) == 0
    assert "bytes" in capsys.readouterr().out
    with np.load(out) as made, np.load(readers.PART) as shipped:
        assert set(made) == set(shipped)
        for name in made:
            assert np.array_equal(made[name], shipped[name])


def test_the_rule():
    labels = np.array([2, 0, 1, 0, 2, 1, 0, 2])
    assert first_of_each_class(labels, 2).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="class 1 has 2 images; it needs 3"):
        first_of_each_class(labels, 3)


def test_the_command_refuses(tmp_path, capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert main([str(tmp_path), str(tmp_path / "out.npz")]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path} lacks train-images-idx3-ubyte")
    make_fashion(tmp_path)  # seven images
    message = error_of(lambda: make(tmp_path, tmp_path / "out.npz"))
    assert message == "class 0 has 1 images; it needs 300"
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.usefixtures("own_data_only")
def test_without_the_whole_set_one_line_says_where_it_is_had(root):
    message = error_of(lambda: load("fashion-mnist", root=root), FileNotFoundError)
    assert "could not be downloaded" in message
    assert "Debian's package dataset-fashion-mnist" in message
    assert 'load("fashion-mnist-part") needs no download' in message


def test_the_part_is_no_image_folder():
    message = error_of(lambda: stream("fashion-mnist-part"))
    assert message == 'fashion-mnist-part is no image folder: use load("fashion-mnist-part")'


def test_the_part_loads_without_torchvision_scikit_learn_or_pillow():
    code = (
        "import sys\n"
        "from contrastlib.data import load\n"
        "print(len(load('fashion-mnist-part')))\n"
        "print([name for name in ('torchvision', 'sklearn', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["3000", "[]"]
