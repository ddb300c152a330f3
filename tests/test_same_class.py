"""Same-class keys: left out of the negatives by the labels, or positives, as the recipe says."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import KEY_SOURCES, LOSSES, TINY, train_tiny

from contrastlib import losses
from contrastlib.data import load
from contrastlib.training import components
from contrastlib.training.forward_pass import embed_and_get_keys, same_class_rows
from contrastlib.training.image_sources import build_augmentation
from contrastlib.training.recipe import from_dict, to_dict
from contrastlib.training.run_ids import run_id
from contrastlib.training.similarity_log import similarities, similarity_log
from contrastlib.training.supervised_contrastive import (
    SupervisedContrastiveLoss,
    supervised_contrastive,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SOURCES = {name: choice for name, choice in KEY_SOURCES.items() if name != "queue"}
SOURCES["sampled"] = {"g": "bank", "negatives": 40}
SOURCES["sampled, two views"] = {"g": "bank", "negatives": 40, "views": 2}
ORACLE = replace(TINY, leave_out_same_class=True)
SUPCON = replace(TINY, loss="supervised_contrastive")


class Step:
    """The embeddings of a batch of 32 of 96 digits, the loss's arguments, and the labels."""

    def __init__(self, recipe):
        loaded = load("digits", limit=96)
        self.labels = loaded.labels
        self.encoder = components.build_encoder(recipe, 1)
        self.key_source = components.build_key_source(recipe, self.encoder, 96)
        self.augmentation = build_augmentation(recipe, loaded.images)
        self.indices = torch.randperm(96, generator=torch.Generator().manual_seed(3))[:32]
        self.images = [loaded.images[self.indices]] * recipe.views
        self.features, self.arguments = self.run(recipe)

    def run(self, recipe):
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad():
            return embed_and_get_keys(
                recipe,
                self.encoder,
                self.key_source,
                self.augmentation,
                self.images,
                self.indices,
                rng,
                labels=self.labels,
            )

    def labels_of_keys(self, recipe):
        """Found by the keys themselves: which image's row of the bank, or which of the batch."""
        if recipe.g == "batch":
            return self.labels[self.indices]
        rows = (self.arguments["keys"] @ self.key_source.bank.T).argmax(dim=1)
        return self.labels[rows]


def lists(rows):
    """The rows that are listed for each anchor, in order and without -1."""
    listed = []
    for anchor in rows.tolist():
        listed.append(sorted(row for row in anchor if row >= 0))
    return listed


def test_rows_of_the_same_class():
    labels = torch.tensor([2, 0, 1, 5])
    labels_of_keys = torch.tensor([0, 2, 2, 1, 0, 2])
    assert lists(same_class_rows(labels, labels_of_keys)) == [[1, 2, 5], [0, 4], [3], []]


@pytest.mark.parametrize("source", SOURCES)
def test_the_loss_ignores_the_keys_of_the_anchors_class(source):
    recipe = replace(ORACLE, **SOURCES[source])
    step = Step(recipe)
    labels_of_keys = step.labels_of_keys(recipe)
    positive = step.arguments.get("positive", torch.full((32,), -1)).tolist()
    expected = []
    for label, own in zip(step.labels[step.indices], positive, strict=True):
        rows = (labels_of_keys == label).nonzero().squeeze(1).tolist()
        expected.append([row for row in rows if row != own])
    assert lists(step.arguments["ignore"]) == expected
    assert max(map(len, expected)) > 1
    _, plain = step.run(replace(recipe, leave_out_same_class=False))
    assert not torch.equal(plain.get("ignore", torch.empty(0)), step.arguments["ignore"])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_the_equation_on_keys_of_other_classes(loss, source):
    recipe = replace(ORACLE, loss=loss, tau=0.5, **SOURCES[source])
    step = Step(recipe)
    value = components.build_loss(recipe)(step.features, **step.arguments)
    labels_of_keys = step.labels_of_keys(recipe)
    keys = step.arguments["keys"]
    settings = {"hard": {"tau": 0.5, "alpha": 0.3}, "hard_simple": {"alpha": 0.3}, "simple": {}}
    equations = {"hard": losses.hard_contrastive}
    equation = equations.get(loss) or getattr(losses, loss)
    values = []
    for i, label in enumerate(step.labels[step.indices]):
        others = keys[labels_of_keys != label]  # [M, d]
        if "positive_keys" in step.arguments:
            positive_key = step.arguments["positive_keys"][i]
        else:
            positive_key = keys[step.arguments["positive"][i]]
        s_pos = step.features[i] @ positive_key
        s_neg = others @ step.features[i]  # [M]
        options = settings.get(loss, {"tau": 0.5})
        values.append(equation(s_pos[None], s_neg[None], **options))
    assert value.item() == pytest.approx(torch.cat(values).mean().item(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loss", [*LOSSES, "supervised_contrastive"])
def test_the_log_looks_at_keys_of_other_classes(loss):
    recipe = replace(ORACLE, loss=loss)
    step = Step(recipe)
    told = similarity_log(
        recipe,
        step.encoder,
        step.key_source,
        step.augmentation,
        step.indices,
        step.images,
        labels=step.labels,
    )
    s_pos, s_neg = similarities(*evaluated(step, recipe))
    assert told["positive_similarity"] == pytest.approx(s_pos.mean().item(), abs=1e-4)
    same = step.labels[step.indices][:, None] == step.labels  # [32, 96]
    hardest = s_neg.masked_fill(same_as_negatives(same, step.indices), -1).amax(dim=1)
    assert told["hardest_similarity"] == pytest.approx(hardest.mean().item(), abs=1e-4)
    assert 1 <= told["effective_negatives"] <= (~same).sum(dim=1).double().mean() + 1e-3


def evaluated(step, recipe):
    """Features in evaluation mode, keys and positives, without any that is left out."""
    step.encoder.eval()
    rng = components.generator(recipe, components.Seed.AUGMENT, "cpu")
    views = step.augmentation(step.images[0], rng)
    with torch.no_grad():
        features = step.encoder(views)
    return features, step.key_source.bank, step.indices


def same_as_negatives(same, indices):
    """A mask [B, N] without each anchor's own column: [B, N - 1]."""
    others = torch.ones_like(same).scatter_(1, indices[:, None], False)
    return same[others].view(len(same), -1)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("recipe", [ORACLE, SUPCON], ids=["oracle", "supcon"])
def test_it_trains(recipe, source):
    outcome = train_tiny(replace(recipe, epochs=1, **SOURCES[source]))
    assert outcome.status == "finished"
    (line,) = outcome.history
    assert all(math.isfinite(value) for value in line.values())


@pytest.mark.parametrize("source", SOURCES)
def test_supervised_contrastive_on_every_source_of_keys(source):
    """Against its equation, written out for one anchor at a time."""
    recipe = replace(SUPCON, tau=0.5, **SOURCES[source])
    step = Step(recipe)
    value = components.build_loss(recipe)(step.features, **step.arguments)
    labels_of_keys = step.labels_of_keys(recipe)
    keys = step.arguments["keys"]
    expected = []
    for i, label in enumerate(step.labels[step.indices]):
        s = (keys @ step.features[i]).tolist()
        is_same = (labels_of_keys == label).tolist()
        if "positive_keys" in step.arguments:
            own = step.arguments["ignore"][i].item()
            s[own] = float(step.features[i] @ step.arguments["positive_keys"][i])
        below = sum(math.exp(each / 0.5) for each in s)
        terms = []
        for similarity, same in zip(s, is_same, strict=True):
            if same:
                terms.append(-math.log(math.exp(similarity / 0.5) / below))
        expected.append(sum(terms) / len(terms))
    assert value.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_supervised_contrastive_by_hand():
    """Positives 0.8 and 0.6, a negative 0, at tau = 1: numbers of the worked example."""
    s = torch.tensor([[0.8, 0.6, 0.0, -math.inf]])
    is_positive = torch.tensor([[True, True, False, False]])
    below = math.exp(0.8) + math.exp(0.6) + 1
    by_hand = -(math.log(math.exp(0.8) / below) + math.log(math.exp(0.6) / below)) / 2
    assert supervised_contrastive(s, is_positive, 1.0).item() == pytest.approx(by_hand)
    alone = torch.tensor([[True, False, False, False]])  # one positive: it is Eq 1
    value = supervised_contrastive(s, alone, 0.2)
    ordinary = losses.contrastive(s[:, 0], s[:, 1:], 0.2)
    assert value.item() == pytest.approx(ordinary.item())


def test_an_anchor_without_a_positive_is_refused():
    """Its loss would be the mean over nothing, and silently NaN."""
    s = torch.tensor([[0.8, 0.0], [0.6, -math.inf]])
    with pytest.raises(ValueError, match="anchor 1 has no positive among the keys"):
        supervised_contrastive(s, torch.tensor([[True, False], [False, True]]), 1.0)


def test_supervised_contrastive_pulls_the_class_together():
    torch.manual_seed(0)
    features = F.normalize(torch.randn(1, 8), dim=1).requires_grad_()
    keys = F.normalize(torch.randn(6, 8), dim=1)
    rows = torch.tensor([[0, 1, -1]])
    loss = SupervisedContrastiveLoss(0.5)
    value = loss(features, keys, torch.tensor([0]), same_class=rows)
    (gradient,) = torch.autograd.grad(value, features)
    moved = F.normalize(features - 0.01 * gradient, dim=1)
    change = (moved - features) @ keys.T  # [1, 6]
    assert change[0, :2].sum() > 0
    assert change[0, 2:].sum() < 0
    assert repr(loss) == "SupervisedContrastiveLoss(tau=0.5)"
    with pytest.raises(ValueError, match="tau is 0"):
        SupervisedContrastiveLoss(0)


def test_ids():
    assert run_id(replace(TINY, leave_out_same_class=False)) == run_id(TINY)
    assert run_id(ORACLE) != run_id(TINY)
    assert from_dict(to_dict(ORACLE)) == ORACLE
    before = to_dict(TINY)
    del before["leave_out_same_class"]  # as in the records that were stored before
    assert from_dict(before) == TINY
    # What compares no negatives of the anchor's class cannot leave them out.
    for loss in ("supervised_contrastive", "supervised", "none"):
        plain = replace(TINY, loss=loss)
        assert run_id(replace(plain, leave_out_same_class=True)) == run_id(plain)


def test_bad_input():
    with pytest.raises(TypeError, match="leave_out_same_class is 1; give True or False"):
        replace(TINY, leave_out_same_class=1)
    queue = replace(TINY, **KEY_SOURCES["queue"])
    for changes in ({"leave_out_same_class": True}, {"loss": "supervised_contrastive"}):
        with pytest.raises(ValueError, match="which keeps no labels of its keys"):
            replace(queue, **changes)


@pytest.mark.parametrize(
    ("same_class", "error", "words"),
    [
        (torch.tensor([[7], [0]]), ValueError, "same_class reaches from 0 to 7"),
        (torch.tensor([[-2], [0]]), ValueError, "-1 for none"),
        (torch.tensor([[1.0], [0.0]]), TypeError, "call .long"),
        (torch.tensor([1, 0]), ValueError, r"give \[B, m\]"),
        (torch.tensor([[1], [0], [2]]), ValueError, "each of the 2 anchors"),
    ],
)
def test_lists_that_cannot_be(same_class, error, words):
    z = F.normalize(torch.randn(2, 4), dim=1)
    keys = F.normalize(torch.randn(5, 4), dim=1)
    loss = SupervisedContrastiveLoss(0.2)
    with pytest.raises(error, match=words):
        loss(z, keys, torch.tensor([0, 1]), same_class=same_class)
