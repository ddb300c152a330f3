"""A learnt temperature: its gradient, its way and its bounds, its learning rate, and its resume."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import TINY, bits, checkpoint, interrupt_after, train_tiny, weight_bits

from contrastlib import losses
from contrastlib.training import components, loop, one_run, run, sweep
from contrastlib.training.learnt_temperature import LearntTemperature
from contrastlib.training.recipes import by_name, live, run_id
from contrastlib.training.similarity_log import similarity_log

pytestmark = pytest.mark.usefixtures("one_thread")

LEARNT = replace(TINY, tau="learnt", tau_start=0.2, tau_lr=0.05)
ONE_STEP = replace(LEARNT, limit=32, epochs=1, schedule="steps")


def circle(*degrees):
    """Unit vectors at these angles, [N, 2]."""
    angle = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def learn(features, keys, start, steps=150):
    """Gradient descent on log(1 / tau) alone, from a start, on fixed embeddings; the last tau."""
    temperature = LearntTemperature(start, lowest=0.01, highest=10.0)
    loss = losses.ContrastiveLoss(start)
    optimizer = torch.optim.SGD(temperature.parameters(), lr=0.4)
    for _ in range(steps):
        loss.tau = temperature()
        optimizer.zero_grad()
        loss(features, keys, torch.arange(len(features))).backward()
        optimizer.step()
        temperature.clip()
    return temperature().item()


@pytest.mark.parametrize("start", [0.02, 1.0])
def test_where_all_positives_win_tau_falls_to_its_bound(start):
    """The proposition's first case: the loss falls as long as 1 / tau grows."""
    keys = circle(0, 15, 30)
    assert learn(keys, keys, start) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("start", [0.02, 1.0])
def test_where_positives_are_no_nearer_than_the_keys_tau_rises_to_its_bound(start):
    """The second case: the positives are the opposite points."""
    keys = circle(0, 90, 180, 270)
    assert learn(-keys, keys, start) == pytest.approx(10, rel=1e-5)


@pytest.mark.parametrize("start", [0.02, 1.0])
def test_else_tau_comes_to_the_one_minimum(start):
    """The third case: the positives are nearer than the keys, but one is beaten by a negative."""
    keys = circle(0, 40, 150, 250)
    features = circle(5, 15, 140, 255)  # the second is nearer to the first key than to its own
    betas = torch.logspace(-2, 2, 20_001, dtype=torch.float64)
    similarities = (features @ keys.T).double()
    values = [F.cross_entropy(beta * similarities, torch.arange(4)) for beta in betas]
    best = 1 / betas[torch.stack(values).argmin()].item()
    assert 0.02 < best < 1
    assert learn(features, keys, start) == pytest.approx(best, rel=1e-2)


def seen_by_the_loss(patch):
    """A list that fills with the similarities [B, M] and positives [B] of each training step."""
    seen = []
    forward = losses.ContrastiveLoss.forward

    def spied(self, features, keys, positive, **others):
        seen.append(((features @ keys.T).detach().double(), positive))
        return forward(self, features, keys, positive, **others)

    patch.setattr(losses.ContrastiveLoss, "forward", spied)
    return seen


@pytest.mark.parametrize("start", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("lr", [None, 0.02])
def test_one_step_is_the_equations(monkeypatch, start, lr):
    """Down eq-tau-gradient, with its own learning rate, and without the network's weight decay."""
    seen = seen_by_the_loss(monkeypatch)
    recipe = replace(ONE_STEP, tau_start=start, tau_lr=lr, tau_max=2.0, weight_decay=0.5)
    [line] = train_tiny(recipe).history
    [(s, positive)] = seen
    probabilities = torch.softmax(s / start, dim=1)  # [B, M]
    lead = s.gather(1, positive[:, None]).squeeze(1) - (probabilities * s).sum(dim=1)  # [B]
    slope = -lead.mean().item() / start  # with respect to log(1 / tau)
    step = (0.003 if lr is None else lr) * slope
    assert line["tau"] == pytest.approx(start * math.exp(step), rel=1e-5)
    assert abs(step) > 5e-5


@pytest.mark.parametrize("start", [0.25, 0.3, 2.0])
def test_it_is_clipped(start):
    bounds = {"tau_start": start, "tau_min": 0.25, "tau_max": 2.0}
    [line] = train_tiny(replace(ONE_STEP, tau_lr=1e6, **bounds)).history
    at_a_bound = [line["tau"] == pytest.approx(bound) for bound in (0.25, 2.0)]
    assert any(at_a_bound)


@pytest.mark.parametrize("loss", ["contrastive", "hard"])
def test_the_log_is_of_the_present_temperature(loss, tmp_path, no_map):
    """Also the effective negatives, and the record; a constant temperature is not logged."""
    recipe = replace(LEARNT, loss=loss, tau_lr=0.02)
    record = run(recipe, tmp_path, device="cpu", progress=False)
    taus = record["history"]["tau"]
    assert record["status"] == "finished"
    assert len(set(taus)) == 2
    assert one_run.describe(record).endswith(f"\ntau {taus[-1]:.4g}")
    lines = (tmp_path / run_id(recipe) / "log.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert loop.in_words(history[-1], recipe).endswith(f", tau {history[-1]['tau']:.3g}")
    state = loop.prepare(recipe, torch.device("cpu"), tmp_path / run_id(recipe))
    assert state.tau_now == history[-1]["tau"]
    now = replace(recipe, tau=state.tau_now)
    told = similarity_log(
        now, state.encoder, state.key_source, state.augmentation, *state.logged_batch
    )
    assert told["effective_negatives"] == history[-1]["effective_negatives"]
    constant = train_tiny(TINY)
    assert "tau" not in constant.history[0]
    assert ", tau" not in loop.in_words(constant.history[0], TINY)


def test_the_network_is_trained_as_ever():
    """Where tau hardly moves, the network's weights are those of the fixed temperature."""
    learnt = train_tiny(replace(LEARNT, tau_lr=1e-12))
    fixed = train_tiny(replace(TINY, tau=0.2))
    for name, weight in fixed.encoder.state_dict().items():
        torch.testing.assert_close(learnt.encoder.state_dict()[name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("choice", [{}, {"g": "queue", "views": 2}, {"loss": "hard"}])
def test_resumed_it_ends_where_it_would_have_ended(tmp_path, choice):
    recipe = replace(LEARNT, epochs=4, **choice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save", interrupt_after(2, loop.save))
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path / "a")
    assert len(checkpoint(tmp_path / "a")["history"]) == 2
    resumed = train_tiny(recipe, tmp_path / "a")
    straight = train_tiny(recipe, tmp_path / "b")
    assert bits(checkpoint(tmp_path / "a")) == bits(checkpoint(tmp_path / "b"))
    assert weight_bits(resumed.encoder) == weight_bits(straight.encoder)
    taus = [line["tau"] for line in straight.history]
    assert [line["tau"] for line in resumed.history] == taus
    assert len(set(taus)) == 4
    assert 1 / taus[-1] == pytest.approx(
        checkpoint(tmp_path / "a")["tau"]["logit_scale"].exp().item()
    )


def test_divergence_is_found(monkeypatch, tmp_path):
    # As on a GPU, where no value is looked at in a step.
    for module in ("training.forward_pass", "checks", "collectives"):
        monkeypatch.setattr(f"contrastlib.{module}.readable", lambda tensor: False)
    assert train_tiny(replace(LEARNT, lr=1e30, epochs=5)).status == "diverged"


@pytest.mark.parametrize("name", ["live", "small", "desk", "paper"])
def test_every_recipe_admits_it(name, tmp_path, capsys):
    recipe = by_name(name, ["tau=learnt"])
    assert recipe.learns_tau
    assert components.build_loss(recipe).tau == 0.2
    [run] = sweep.plan([recipe], tmp_path)
    assert "contrastive tau learnt seed 0" in run.label
    sweep.dry_run([recipe, replace(recipe, tau_start=0.5)], tmp_path, device="cpu")
    assert "tau learnt seed 0 tau_start 0.5" in capsys.readouterr().out


def test_only_a_learnt_temperature_reads_its_settings():
    others = {"tau_start": 0.5, "tau_lr": 0.1, "tau_min": 0.02, "tau_max": 9.0}
    assert run_id(replace(live(), **others)) == run_id(live())
    assert run_id(replace(live(), tau="learnt")) != run_id(live())
