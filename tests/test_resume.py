"""A run that is killed ends as if it had not been, bit for bit; a bad checkpoint is refused."""

import itertools
import json
import os
import random
import signal
import time
import warnings
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch
from helpers import (
    KEY_SOURCES,
    TINY,
    bits,
    checkpoint,
    epochs_logged,
    interrupt_after,
    train_tiny,
    until,
    weight_bits,
)

from contrastlib.training import components, files, loop
from contrastlib.training.recipes import to_dict

pytestmark = pytest.mark.usefixtures("one_thread")

KILLED = replace(TINY, g="queue", views=2, epochs=40)


def start(recipe, folder):
    torch.set_num_threads(1)
    train_tiny(recipe, folder)


@pytest.mark.parametrize("seed", [0])
def test_kill_9_changes_no_bit(tmp_path, seed):
    """Killed three times, at moments drawn from the seed, in an epoch or in a write."""
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["contrastlib.training.loop"])  # PyTorch is imported once
    draw = random.Random(seed)
    killed = tmp_path / "killed"
    log = killed / "log.jsonl"
    epochs = 0
    for _ in range(3):
        child = processes.Process(target=start, args=(KILLED, killed))
        child.start()
        until(lambda: epochs_logged(killed) > epochs or not child.is_alive())  # noqa: B023
        assert child.is_alive()
        first_line = json.loads(log.read_text().splitlines()[0])
        time.sleep(draw.uniform(0, 4) * first_line["seconds"])
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        epochs = epochs_logged(killed)
    resumed = train_tiny(KILLED, killed)
    straight = train_tiny(KILLED, tmp_path / "straight")
    assert weight_bits(resumed.encoder) == weight_bits(straight.encoder)
    assert bits(checkpoint(killed)) == bits(checkpoint(tmp_path / "straight"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines == resumed.history
    assert [line["epoch"] for line in lines] == list(range(1, 41))


@pytest.mark.parametrize("keys", [*KEY_SOURCES, "sampled"])
def test_interrupted_within_an_epoch(tmp_path, keys):
    choice = {"negatives": 40} if keys == "sampled" else KEY_SOURCES[keys]
    recipe = replace(TINY, epochs=5, **choice)
    encoder = components.build_encoder(recipe, 1)
    source = type(components.build_key_source(recipe, encoder, 96))
    calls = itertools.count(1)
    update = source.update

    def interrupted(self, indices, features):
        if next(calls) == 11:  # in the fourth epoch of three steps
            raise KeyboardInterrupt
        update(self, indices, features)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path / "a", checkpoint_every=2)
    assert len(checkpoint(tmp_path / "a")["history"]) == 2
    assert epochs_logged(tmp_path / "a") == 3
    train_tiny(recipe, tmp_path / "a", checkpoint_every=2)
    train_tiny(recipe, tmp_path / "b")
    assert bits(checkpoint(tmp_path / "a")) == bits(checkpoint(tmp_path / "b"))
    assert epochs_logged(tmp_path / "a") == 5


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    train_tiny(TINY, tmp_path)
    whole = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.replace_file(tmp_path / "checkpoint.pt", b"half")
    assert (tmp_path / "checkpoint.pt").read_bytes() == whole
    assert not list(tmp_path.glob("*.tmp"))


def damaged(whole, how, weights):
    if how == "flipped":
        place = whole.index(weights)
        return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    return {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"no checkpoint"}[how]


@pytest.mark.parametrize("how", ["empty", "cut", "text", "flipped"])
def test_damaged_checkpoint(tmp_path, how):
    weights = train_tiny(TINY, tmp_path).encoder.head.weight.detach().numpy().tobytes()
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(damaged(file.read_bytes(), how, weights))
    before = file.read_bytes(), (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint\.pt is no whole checkpoint") as error:
        train_tiny(TINY, tmp_path)
    assert "\n" not in str(error.value)
    assert before == (file.read_bytes(), (tmp_path / "log.jsonl").read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 0}, "has checkpoint format 0, and this version of contrastlib reads 1"),
        (
            {"place": "cuda in bfloat16"},
            "was trained on cuda in bfloat16, and this would be cpu in float32",
        ),
        (
            {"recipe": to_dict(replace(TINY, tau=0.5))},
            r"is of another recipe, one with \{'tau': 0.5\}",
        ),
        ({"format": None}, "no whole checkpoint .KeyError: 'format'"),
        ({"encoder": None}, "no whole checkpoint .ValueError: it lacks encoder"),
        ({"recipe": {"colour": 1}}, "no setting colour"),
        ({"encoder": {}}, "the encoder in .* does not fit"),
    ],
)
def test_checkpoint_of_another_run_or_version(tmp_path, change, message):
    train_tiny(TINY, tmp_path)
    file = tmp_path / "checkpoint.pt"
    content = {
        name: value for name, value in (checkpoint(tmp_path) | change).items() if value is not None
    }
    torch.save(content, file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        train_tiny(TINY, tmp_path)
    assert "\n" not in str(error.value)
    assert file.read_bytes() == before


def test_a_run_is_resumed_in_the_precision_in_which_it_began(tmp_path, monkeypatch):
    recipe = replace(TINY, precision=None, epochs=3)
    monkeypatch.setattr(loop, "pick_precision", lambda recipe, device: "float32")
    straight = train_tiny(recipe)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", interrupt_after(2, loop.save))
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path)
    monkeypatch.setattr(loop, "pick_precision", lambda recipe, device: "bfloat16")
    resumed = train_tiny(recipe, tmp_path)
    assert resumed.precision == "float32"
    assert [line["loss"] for line in resumed.history] == [line["loss"] for line in straight.history]


def test_bfloat16_that_would_crawl_is_said_when_a_run_is_resumed(tmp_path, monkeypatch):
    recipe = replace(TINY, precision=None, epochs=3)
    monkeypatch.setattr(loop, "pick_precision", lambda recipe, device: "bfloat16")
    monkeypatch.setattr(loop, "multiplies_bfloat16", lambda device: False)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(loop, "save", interrupt_after(2, loop.save))
        warnings.simplefilter("error")  # a run that begins in bfloat16 has chosen it
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path)
    with pytest.warns(UserWarning, match="began in bfloat16 .* several times as long: resume"):
        resumed = train_tiny(recipe, tmp_path)
    assert resumed.precision == "bfloat16"
