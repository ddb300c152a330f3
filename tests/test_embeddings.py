"""What chapters read off embeddings, each against a slow and plain form, and the two figures."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from data_helpers import error_of
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from contrastlib.data import load
from contrastlib.reproduction.plotting import GREEN, ORANGE
from contrastlib.teaching.embeddings import (
    nearest,
    negatives,
    pairs,
    rankme,
    separation,
    similarities,
)
from contrastlib.teaching.gallery import gallery, similarity_histograms

Z = F.normalize(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), dim=1)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 1])


def test_similarities_of_all():
    assert similarities(Z).shape == (12, 12)
    assert similarities(Z)[3, 7].item() == pytest.approx(float(Z[3] @ Z[7]))


def test_negatives_are_all_others_in_their_order():
    s_neg, same_class = negatives(Z, LABELS)
    for i in range(12):
        others = [j for j in range(12) if j != i]
        assert torch.allclose(s_neg[i], Z[others] @ Z[i])
        assert same_class[i].tolist() == [bool(LABELS[i] == LABELS[j]) for j in others]


def test_pairs_are_each_counted_once():
    same, other = pairs(Z, LABELS)
    expected = {True: [], False: []}
    for i, j in itertools.combinations(range(12), 2):
        expected[bool(LABELS[i] == LABELS[j])].append(float(Z[i] @ Z[j]))
    assert sorted(same.tolist()) == pytest.approx(sorted(expected[True]), abs=1e-6)
    assert sorted(other.tolist()) == pytest.approx(sorted(expected[False]), abs=1e-6)


def test_nearest_leaves_the_query_out():
    order = sorted((j for j in range(12) if j != 4), key=lambda j: -float(Z[4] @ Z[j]))
    assert nearest(Z, 4, k=11).tolist() == order
    assert nearest(Z, 4).tolist() == order[:5]
    with pytest.raises(ValueError, match="query"):
        nearest(Z, 12)
    with pytest.raises(ValueError, match="k"):
        nearest(Z, 4, k=12)


def test_separation_counts_pairs_of_pairs():
    same = torch.tensor([0.9, 0.5, 0.1])
    other = torch.tensor([0.5, 0.2])
    # 0.9 beats both, 0.5 ties with one and beats the other, 0.1 beats none.
    assert separation(same, other) == pytest.approx((2 + 1.5 + 0) / 6)
    assert separation(other + 1, other) == 1
    assert separation(other, other) == pytest.approx(0.5)


def test_rankme_counts_directions():
    assert rankme(torch.eye(6)) == pytest.approx(6)
    assert rankme(torch.ones(6, 4)) == pytest.approx(1)
    values = torch.tensor([3.0, 1.0])
    p = values / 4
    expected = math.exp(-float((p * p.log()).sum()))
    assert rankme(torch.diag(values)) == pytest.approx(expected)


# The figures


def test_the_gallery_marks_the_querys_class_by_line_and_tick_too():
    images = load("fashion-mnist-part", "test", limit=60)
    z = F.normalize(torch.randn(60, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    figure = gallery(images, {"one": z, "other": z.flip(1)}, query=7)
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    shown = nearest(z, 7).tolist() * 2
    assert len(frames) == len(shown) == 10
    assert len(axes.images) == 11
    texts = [text.get_text() for text in axes.texts]
    assert {"the query", "one", "other"} <= set(texts)
    for frame, row in zip(frames, shown, strict=True):
        is_same = bool(images.labels[row] == images.labels[7])
        assert (frame.get_linewidth() > 2) == is_same
        assert (frame.get_linestyle() in ("-", "solid")) == is_same
        assert to_hex(frame.get_edgecolor()) == (GREEN if is_same else ORANGE)
    same = sum(bool(images.labels[row] == images.labels[7]) for row in shown)
    assert texts.count("✓") == same
    assert np.isfinite(figure.get_tightbbox().bounds).all()


def test_the_figures_refuse_what_they_cannot_show():
    images = load("fashion-mnist-part", "test", limit=60)
    assert "embeddings is empty" in error_of(lambda: gallery(images, {}, 0))
    assert "k is 6" in error_of(lambda: gallery(images, {"one": Z}, 0, k=6))
    assert "embeddings is empty" in error_of(lambda: similarity_histograms({}, LABELS))


def test_histograms_have_a_panel_each_and_one_scale():
    z = F.normalize(torch.randn(60, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    labels = torch.arange(60) % 3
    embeddings = {"one": z, "other": z.flip(1).abs()}
    colours = {"one": "#118a79", "other": "#cf429d"}
    figure = similarity_histograms(embeddings, labels, colours)
    assert len(figure.axes) == 2
    for axes, (title, of_it) in zip(figure.axes, embeddings.items(), strict=True):
        share = separation(*pairs(of_it, labels))
        assert axes.get_title() == f"{title}: same-class pair nearer in {100 * share:.0f} %"
        assert axes.get_xlim() == (-1, 1)
        filled, outlined = axes.patches
        assert filled.get_fill()
        assert not outlined.get_fill()
