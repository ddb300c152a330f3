"""The table of objectives: ids come from it, and one entry is all that a new loss needs."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from helpers import KEY_SOURCES, TINY, train_tiny

from contrastlib.gradients import effective_negatives, relative_penalty
from contrastlib.reproduction import grids
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.training import run, sweep
from contrastlib.training.components import build_loss
from contrastlib.training.objectives import OBJECTIVES, Objective
from contrastlib.training.recipe import Recipe, from_dict
from contrastlib.training.run_ids import IGNORED_BY, effective_settings, run_id
from contrastlib.training.similarity_log import similarities

pytestmark = pytest.mark.usefixtures("one_thread")


def build_decoupled(recipe):
    """The decoupled contrastive loss (Yeh et al. 2022): Eq 1 without the positive below."""

    def decoupled(features, keys, positive=None, **others):
        s_pos, s_neg = similarities(features, keys, positive, **others)
        return (torch.logsumexp(s_neg / recipe.tau, dim=1) - s_pos / recipe.tau).mean()

    return decoupled


DECOUPLED = Objective(
    title="decoupled",
    build=build_decoupled,
    effective_negatives=lambda s_neg, recipe: effective_negatives(
        relative_penalty(s_neg, recipe.tau)
    ),
    ignores=OBJECTIVES["contrastive"].ignores | {"tau_to", "tau_period"},
)


@pytest.fixture
def fifth_loss(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "decoupled", DECOUPLED)
    return "decoupled"


@pytest.mark.parametrize("keys", KEY_SOURCES)
def test_a_fifth_loss_trains_by_one_entry(fifth_loss, keys):
    recipe = replace(TINY, loss=fifth_loss, epochs=1, **KEY_SOURCES[keys])
    outcome = train_tiny(recipe)
    assert outcome.status == "finished"
    (line,) = outcome.history
    # It is below Eq 1 by log(1 + exp(s_pos / tau) / sum): less than the ordinary loss's value.
    (ordinary,) = train_tiny(replace(recipe, loss="contrastive")).history
    assert line["loss"] < ordinary["loss"]
    assert 1 < line["effective_negatives"] <= 95


def test_a_fifth_loss_is_recorded_and_planned(fifth_loss, tmp_path, no_map):
    recipes = [replace(TINY, loss=fifth_loss, epochs=1, tau=tau) for tau in (0.1, 0.2, 0.5)]
    assert len({run_id(recipe) for recipe in recipes}) == 3
    assert len({run_id(replace(recipe, lam=0.5)) for recipe in recipes}) == 3
    record = run(recipes[0], tmp_path, device="cpu", progress=False)
    assert record["recipe"]["loss"] == "decoupled"
    assert [item.status for item in sweep.plan(recipes, tmp_path)] == ["done", "to do", "to do"]


def test_a_loss_whose_line_was_forgotten_costs_runs_but_no_wrong_result(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "new", replace(DECOUPLED, ignores=frozenset()))
    new = [replace(TINY, loss="new", tau=tau) for tau in (0.1, 0.2, 0.5)]
    assert len({run_id(recipe) for recipe in new}) == 3
    assert run_id(replace(new[0], lam=0.5)) != run_id(new[0])


def test_stored_runs_keep_their_ids():
    records = read_shipped()
    assert len(records) > 200
    for record in records:
        assert run_id(from_dict(record["recipe"])) == record["id"]


def test_ignored_settings_are_settings_and_choices_are_choices():
    settings = set(effective_settings(Recipe())) | {"tau_to"}
    names = set(Recipe.__dataclass_fields__)
    assert settings <= names
    for objective in OBJECTIVES.values():
        assert objective.ignores <= names
    for choice, ignored_by in IGNORED_BY.items():
        for value, ignored in ignored_by.items():
            assert ignored <= names
            views = 2 if choice == "g" else 1
            replace(Recipe(), views=views, **{choice: value})  # it is a choice


def test_every_objective_is_a_loss_or_a_baseline():
    for name, objective in OBJECTIVES.items():
        recipe = replace(Recipe(), loss=name, alpha=0.1)
        assert objective.compares_pairs == (objective.effective_negatives is not None)
        if objective.compares_pairs:
            loss = build_loss(recipe)
            assert not objective.tau_can_change or loss.tau == recipe.tau
        else:
            with pytest.raises(ValueError, match="compares no pairs"):
                build_loss(recipe)
    baselines = [name for name, entry in OBJECTIVES.items() if not entry.compares_pairs]
    assert baselines == ["supervised", "none", "batch_norm"]


def test_titles_tell_all_objectives_apart():
    titles = Counter(objective.title for objective in OBJECTIVES.values())
    assert set(titles.values()) == {1}
    for loss, _ in grids.CELLS["all"]:
        assert OBJECTIVES[loss].title


def test_two_recipes_with_one_id_are_refused(tmp_path, monkeypatch):
    pair = [TINY, replace(TINY, tau=0.5)]
    same = [TINY, replace(TINY, lam=0.5)]  # which the ordinary loss ignores
    assert len(sweep.plan(same, tmp_path)) == 1
    monkeypatch.setattr("contrastlib.training.plan.run_id", lambda recipe: "0" * 12)
    assert len(sweep.plan(same, tmp_path)) == 1
    with pytest.raises(ValueError, match="two recipes have the id 000000000000"):
        sweep.plan(pair, tmp_path)
