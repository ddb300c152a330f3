"""A run that is killed or interrupted ends as if it had not been, bit for bit; a bad checkpoint is refused and kept."""

import itertools
import json
import os
import random
import signal
import time
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch
from test_train import KEYS, NAMES, TINY, bits, train_tiny

from contrastlib.training import build, loop, run_records
from contrastlib.training.checkpoint import save
from contrastlib.training.recipes import to_dict

pytestmark = pytest.mark.usefixtures("one_thread")


def checkpoint(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


KILLED = replace(TINY, g="queue", views=2, epochs=40)


def start(recipe, folder):
    torch.set_num_threads(1)
    train_tiny(recipe, folder)


def test_kill_9_changes_no_bit(tmp_path):
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["contrastlib.training.loop"])  # PyTorch is imported once, not for each of them
    chance, log, epochs = random.Random(), tmp_path / "killed" / "log.jsonl", 0
    for _ in range(3):
        child = processes.Process(target=start, args=(KILLED, tmp_path / "killed"))
        child.start()
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_bytes().count(b"\n") > epochs):
            assert child.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 4) * json.loads(log.read_text().splitlines()[0])["seconds"])
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        epochs = log.read_bytes().count(b"\n")
    resumed = train_tiny(KILLED, tmp_path / "killed")
    straight = train_tiny(KILLED, tmp_path / "straight")
    assert bits(dict(resumed.encoder.state_dict())) == bits(dict(straight.encoder.state_dict()))
    assert bits(checkpoint(tmp_path / "killed")) == bits(checkpoint(tmp_path / "straight"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines == resumed.history
    assert [row["epoch"] for row in lines] == list(range(1, 41))


@pytest.mark.parametrize("keys", KEYS, ids=NAMES)
def test_interrupted_within_an_epoch(tmp_path, keys):
    recipe = replace(TINY, epochs=5, negatives=40 if keys == KEYS[0] else None, **keys)
    g = build.build_keys(recipe, build.build_encoder(recipe, 1), 96)
    with pytest.MonkeyPatch.context() as patch:
        calls, update = itertools.count(1), type(g).update

        def interrupted(self, indices, features):
            if next(calls) == 11:  # in the fourth epoch of three steps
                raise KeyboardInterrupt
            update(self, indices, features)

        patch.setattr(type(g), "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path / "a", checkpoint_every=2)
    assert len(checkpoint(tmp_path / "a")["history"]) == 2
    assert (tmp_path / "a" / "log.jsonl").read_text().count("\n") == 3
    train_tiny(recipe, tmp_path / "a", checkpoint_every=2)
    train_tiny(recipe, tmp_path / "b")
    assert bits(checkpoint(tmp_path / "a")) == bits(checkpoint(tmp_path / "b"))
    assert (tmp_path / "a" / "log.jsonl").read_text().count("\n") == 5


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    train_tiny(TINY, tmp_path)
    whole = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        run_records.replace_file(tmp_path / "checkpoint.pt", b"half")
    assert (tmp_path / "checkpoint.pt").read_bytes() == whole


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
        ({"place": "cuda in bfloat16"}, "was trained on cuda in bfloat16, and this would be cpu in float32"),
        ({"recipe": to_dict(replace(TINY, tau=0.5))}, r"is of another recipe, one with \{'tau': 0.5\}"),
        ({"format": None}, "no whole checkpoint .KeyError: 'format'"),
        ({"encoder": None}, "no whole checkpoint .ValueError: it lacks encoder"),
        ({"recipe": {"colour": 1}}, "no setting colour"),
        ({"encoder": {}}, "the encoder in .* does not fit"),
    ],
)
def test_checkpoint_of_another_run_or_version(tmp_path, change, message):
    train_tiny(TINY, tmp_path)
    file = tmp_path / "checkpoint.pt"
    content = {name: value for name, value in (checkpoint(tmp_path) | change).items() if value is not None}
    torch.save(content, file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        train_tiny(TINY, tmp_path)
    assert "\n" not in str(error.value)
    assert file.read_bytes() == before


def test_a_run_goes_on_in_the_precision_in_which_it_began(tmp_path, monkeypatch):
    recipe = replace(TINY, precision=None, epochs=3)
    monkeypatch.setattr(loop.build, "pick_precision", lambda recipe, device: "float32")
    straight = train_tiny(recipe)
    with monkeypatch.context() as patch:
        saves = []

        def stop_after_two(*arguments):
            saves.append(save(*arguments))
            if len(saves) == 2:
                raise KeyboardInterrupt

        patch.setattr(loop, "save", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, tmp_path)
    monkeypatch.setattr(loop.build, "pick_precision", lambda recipe, device: "bfloat16")
    resumed = train_tiny(recipe, tmp_path)
    assert resumed.precision == "float32"
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in straight.history]
