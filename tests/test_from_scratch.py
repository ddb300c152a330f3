"""The chapter that writes SimCLR from nothing: its functions, taken from the page, do what it says,
and agree with the library.
"""

import ast
import re
from math import exp, log
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
import torch.nn.functional as F
from random_points import unit_vectors
from torch import nn

from contrastlib.data import load
from contrastlib.keys import InBatchKeys
from contrastlib.losses import ContrastiveLoss

BOOK = nbformat.read(Path(__file__).parent.parent / "book" / "from_scratch.ipynb", as_version=4)
METHOD = ("crop", "relight", "view", "layer", "Encoder", "simclr_loss", "train_epoch")


def definitions():
    """The functions and classes of the visible cells, and of the solutions: name -> source."""
    sources = [
        cell.source
        for cell in BOOK.cells
        if cell.cell_type == "code" and not cell.metadata.get("tags")
    ]
    prose = "\n".join(cell.source for cell in BOOK.cells if cell.cell_type == "markdown")
    for solution in re.findall(r"\{solution\}.*?\n````", prose, re.DOTALL):
        sources += re.findall(r"```python\n(def nt_xent.*?)```", solution, re.DOTALL)
    found = {}
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = ast.get_source_segment(source, node)
    return found


@pytest.fixture
def page():
    """The page's functions, over 250 images and 250 test images."""
    train_set = load("fashion-mnist-part")
    test_set = load("fashion-mnist-part", "test")
    space = {"torch": torch, "F": F, "nn": nn, "images": train_set.images[:250] / 255}
    space["train_set"] = SimpleNamespace(labels=train_set.labels[:250])
    space["test_set"] = SimpleNamespace(labels=test_set.labels[:250])
    for source in definitions().values():
        exec(source, space)
    torch.manual_seed(0)
    return SimpleNamespace(**{name: space[name] for name in (*definitions(), "images")})


def unit(count, seed):
    return unit_vectors(count, 8, seed).requires_grad_()


@pytest.mark.parametrize("tau", [0.07, 0.2, 1.0])
def test_the_loss_and_its_gradients_are_the_librarys(page, tau):
    first = unit(12, 0)
    second = unit(12, 1)
    keys = InBatchKeys().keys_for(torch.arange(12), second)
    theirs = ContrastiveLoss(tau)(first, **keys)
    ours = page.simclr_loss(first @ second.T, tau)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    for mine, other in zip(
        torch.autograd.grad(ours, (first, second)),
        torch.autograd.grad(theirs, (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-13)


def test_the_solution_of_both_views_is_the_librarys(page):
    first = unit(12, 0)
    second = unit(12, 1)
    z = torch.cat([first, second])
    rows = torch.arange(24)
    theirs = ContrastiveLoss(0.2)(z, z, rows.roll(12), ignore=rows)
    torch.testing.assert_close(page.nt_xent(first, second, 0.2), theirs, rtol=1e-12, atol=0)


def test_the_first_row_of_the_table_is_the_books_example(page):
    by_hand = -log(exp(0.8 / 0.2) / (exp(0.8 / 0.2) + exp(0.6 / 0.2) + 1))
    row = torch.tensor([[0.8, 0.6, 0.0]], dtype=torch.float64)
    assert page.simclr_loss(row).item() == pytest.approx(by_hand)
    assert round(by_hand, 3) == 0.327


def test_the_largest_crop_is_the_picture_itself(page, monkeypatch):
    pictures = page.images[:5]
    monkeypatch.setattr(torch, "rand", lambda *size: torch.ones(size))
    torch.testing.assert_close(page.crop(pictures), pictures, rtol=0, atol=1e-5)


def test_a_crop_is_an_enlarged_part_of_its_own_picture(page):
    ramp = torch.linspace(0, 1, 28).expand(64, 1, 28, 28)  # from left to right
    parts = page.crop(ramp)[:, 0, 5:-5, 5:-5]
    slope = parts.diff(dim=2) * 27  # 1 for the whole picture, 1/2 for the smallest square
    assert slope.amin() > 0.5 - 1e-3
    assert slope.amax() < 1 + 1e-3
    assert slope.std(dim=(1, 2)).amax() < 1e-3  # evenly, in each picture
    assert slope.mean(dim=(1, 2)).std() > 0.1  # but each by its own factor
    assert parts.diff(dim=1).abs().amax() < 1e-5  # upright


def test_brightness_changes_by_one_factor_a_picture(page):
    pictures = torch.rand(200, 1, 4, 4) + 0.1
    factors = page.relight(pictures) / pictures
    assert factors.amin() > exp(-0.5) - 1e-5
    assert factors.amax() < exp(0.5) + 1e-5
    assert factors.flatten(1).std(dim=1).amax() < 1e-5
    assert factors.mean(dim=(1, 2, 3)).std() > 0.2


def test_the_encoder_has_the_two_stages_of_the_figure(page):
    encoder = page.Encoder()
    features = encoder.backbone(page.images[:10])
    embeddings = encoder(page.images[:10])
    assert features.shape == (10, 1024)
    assert embeddings.shape == (10, 64)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(10))
    torch.testing.assert_close(embeddings, F.normalize(encoder.head(features)))


def test_three_passes_lower_the_loss_below_guessing(page):
    encoder = page.Encoder()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.001)
    losses = [page.train_epoch(encoder, optimizer) for _ in range(3)]
    assert losses[-1] < losses[0]
    assert losses[-1] < log(125)


def test_neighbours_vote(page):
    vectors = F.one_hot(load("fashion-mnist-part").labels[:250], 10).float()
    right = F.one_hot(load("fashion-mnist-part", "test").labels[:250], 10).float()
    assert page.neighbour_accuracy(vectors, right) == 100
    assert page.neighbour_accuracy(vectors, right.roll(1, dims=1)) == 0


def test_no_label_is_used_in_training():
    found = definitions()
    assert not [name for name in METHOD if "labels" in found[name]]


def test_it_is_about_forty_lines():
    found = definitions()
    lines = "\n".join(found[name] for name in METHOD).splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    assert len(code) <= 45
