"""Two processes under torchrun do what one does with the whole batch, for every g; they resume, agree, and fail as one.

The processes talk by gloo on the CPU, one thread each. In float32 nothing that a run keeps (weights, bank, queue,
optimiser, log) is further than 1e-4 from the one process's after 9 steps; 3e-6 was measured, and without any one of the
things that cross the processes the weights are 1e-2 and more apart, see test_tolerance_tells. The hard losses choose
among the negatives: where rounding swaps two at the edge of the choice, runs part by more, 3e-3 was measured. Residual
nets magnify rounding much faster, in one process too; for them a single step is compared in float64.

This file is also the program that torchrun starts.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from test_train import KEYS, NAMES, TINY, bits, train_tiny
from torch import nn

from contrastlib import keys, models
from contrastlib.__main__ import main
from contrastlib.training import build, distributed, loop, run_records
from contrastlib.training.recipes import live, run_id, with_settings

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="this build of PyTorch has no gloo")

RECIPES = {
    f"{loss} {name}": replace(TINY, epochs=3, loss=loss, **choice)
    for loss in ("contrastive", "hard")
    for name, choice in zip(NAMES, KEYS, strict=True)
}
RECIPES["sampled"] = replace(TINY, epochs=3, negatives=40)
TOLERANCE = {name: 1e-2 if "hard" in name else 1e-4 for name in RECIPES}
RESUMED = ("contrastive bank", "contrastive queue", "sampled")
SETTINGS = ["limit=96", "batch=32", "width=4", "d=16", "epochs=12", "g=queue", "views=2", "queue_size=64"]
MIDDLE = 1  # the epoch from which runs are taken up by another number of processes
pytestmark = pytest.mark.usefixtures("one_thread")


def torchrun(*arguments):
    """Start two processes; they hear nothing of the caller's own place among processes."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([*sys.path[:1], os.getcwd()])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def finish(process, fails=False):
    """What the processes say, once all have ended, well or not."""
    try:
        out, err = process.communicate(timeout=500)
    finally:
        process.terminate()  # torchrun ends those that it started
    assert (process.returncode != 0) == fails, out + err
    return out, err


def keep_the_middle(original):
    def save(folder, recipe, place, state, history):
        original(folder, recipe, place, state, history)
        if len(history) == MIDDLE:
            shutil.copy(folder / "checkpoint.pt", folder / "middle.pt")

    return save


def train_all(folder, names=RECIPES):
    """Train by each recipe, and keep the checkpoint of epoch MIDDLE beside the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save", keep_the_middle(loop.save))
        for name in names:
            train_tiny(RECIPES[name], folder / name)


def checkpoint(folder, name="checkpoint.pt"):
    return torch.load(folder / name, weights_only=True)


def numbers(value, path=""):
    """All numbers of a checkpoint but the clock's, by their place in it."""
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        parts = [
            numbers(inner, f"{path}/{name}") for name, inner in items if name not in ("seconds", "images_per_second")
        ]
        return {name: number for part in parts for name, number in part.items()}
    return {path: torch.as_tensor(value, dtype=torch.float64)} if isinstance(value, (torch.Tensor, float, int)) else {}


def distance(one, other):
    """The largest difference between two checkpoints: of states as it is, of the history relative to each number."""
    one, other = numbers(one), numbers(other)
    assert one.keys() == other.keys()
    gaps = [
        (a - other[name]).abs().max() / (max(1, a.abs().max()) if "/history" in name else 1)
        for name, a in one.items()
        if a.numel()
    ]
    assert all(gap.isfinite() for gap in gaps)
    return max(gaps).item()


def resume(source, target, name):
    """Take up a run in its middle."""
    if distributed.rank() == 0:
        (target / name).mkdir(parents=True)
        shutil.copy(source / name / "middle.pt", target / name / "checkpoint.pt")
    if keys.processes() > 1:
        dist.barrier()
    train_tiny(RECIPES[name], target / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All recipes trained by one process and by two, and what two processes found in `check_together`."""
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    train_all(folder / "one")
    finish(torchrun(__file__, "together", str(folder)))
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_two_do_what_one_does(folder, name):
    one, two = checkpoint(folder / "one" / name), checkpoint(folder / "two" / name)
    assert len(two["history"]) == 3
    assert distance(one, two) < TOLERANCE[name]
    assert json.loads((folder / "two" / name / "log.jsonl").read_text().splitlines()[-1]) == two["history"][-1]


@pytest.mark.parametrize("name", RESUMED)
def test_one_goes_on_from_two_and_two_from_one_and_two(folder, name):
    resume(folder / "two", folder / "one from two", name)
    one, two = checkpoint(folder / "one" / name), checkpoint(folder / "two" / name)
    assert distance(checkpoint(folder / "one from two" / name), one) < TOLERANCE[name]
    assert distance(checkpoint(folder / "two from one" / name), one) < TOLERANCE[name]
    assert bits(checkpoint(folder / "two from two" / name)) == bits(two)


BROKEN = ("statistics", "gradients", "keys' gradients", "positives", "bank", "views")


@pytest.mark.parametrize("name", BROKEN)
def test_tolerance_tells(folder, name):
    """Without one of the things that cross between them, two processes reach other weights."""
    which = "contrastive batch" if name in ("keys' gradients", "positives") else "contrastive bank"
    one, two = (checkpoint(folder / place / which)["encoder"] for place in ("one", name))
    assert distance(one, two) > 100 * TOLERANCE[which]


@pytest.mark.parametrize("name", ["a convolutional net", "a residual net"])
def test_one_step_in_float64(folder, name):
    """Embeddings, gradients and the statistics of batch normalisation; the loss is read off all embeddings at once."""
    found = torch.load(folder / f"{name}.pt", weights_only=True)
    for one, two in zip(one_step(name), found, strict=True):
        assert one.dtype == two.dtype
        assert torch.allclose(one, two, rtol=1e-12, atol=1e-12)


def test_both_stop_when_one_diverges(folder):
    for rank in (0, 1):
        found = json.loads((folder / f"diverged{rank}.json").read_text())
        assert found["status"] == "diverged"
        assert [row["loss"] is None for row in found["history"]] == [False, True]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, "batch is 33, which 2 processes cannot share evenly: start a number that divides it"),
        (1, "the processes did not all find the same checkpoint in "),
    ],
)
def test_refused_by_both(folder, number, message):
    assert all((folder / f"refused{number}{rank}.txt").read_text().startswith(message) for rank in (0, 1))


def test_killed_failed_and_resumed(folder, tmp_path):
    recipe = with_settings(live(), SETTINGS)
    words = ["train", "live", "--quiet", "--device", "cpu", "--out", str(tmp_path)]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    log = tmp_path / run_id(recipe) / "log.jsonl"
    for how, epochs in (("killed", 3), ("fails", 6)):
        out, err = finish(torchrun(__file__, how, *words), fails=True)
        assert "finished" not in out
        assert how == "killed" or "the second process has failed" in err
        assert len(checkpoint(log.parent)["history"]) == epochs
        assert not (tmp_path / f"{run_id(recipe)}.json").exists()
    out, _ = finish(torchrun("-m", "contrastlib", *words))
    assert out.count("finished after 12 epochs") == 1  # the first process alone speaks
    assert bits(checkpoint(log.parent)) == bits(checkpoint(folder / "straight"))
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == list(range(1, 13))
    assert run_records.read(recipe, tmp_path)["metrics"]["probe"] > 0


def test_of_one_process_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(dist, "init_process_group", None)
    for rank in ("0", "3"):  # what a job's environment may hold without torchrun
        monkeypatch.setenv("LOCAL_RANK", rank)
        monkeypatch.setenv("RANK", rank)
        assert distributed.rank() == 0
        with distributed.together(torch.device("cpu")):
            assert distributed.part() == (0, 1)
            assert build.pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(ValueError, match="2 processes cannot train together on mps"),
        distributed.together(torch.device("mps")),
    ):
        pass


# What torchrun starts


def check_together(folder):
    """Train the recipes, whole and resumed, and with one thing missing; then diverge, and be refused."""
    rank = dist.get_rank()
    train_all(folder / "two")
    for name in RESUMED:
        resume(folder / "one", folder / "two from one", name)
        resume(folder / "two", folder / "two from two", name)
    train_tiny(with_settings(live(), SETTINGS), folder / "straight")
    for name in ("a convolutional net", "a residual net"):
        found = one_step(name)
        if rank == 0:
            torch.save(found, folder / f"{name}.pt")

    for name in BROKEN:
        with pytest.MonkeyPatch.context() as patch:
            break_one(patch, name)
            train_all(folder / name, ["contrastive batch" if name in BROKEN[2:4] else "contrastive bank"])

    with pytest.MonkeyPatch.context() as patch:
        forward, calls = models.Encoder.forward, iter(range(100))
        # In the second epoch of three steps and a look at a fixed batch, and in the second process alone.
        spoilt = lambda self, x: forward(self, x) * (math.nan if next(calls) == 5 and rank == 1 else 1)  # noqa: E731
        patch.setattr(models.Encoder, "forward", spoilt)
        outcome = train_tiny(replace(TINY, epochs=4))
    (folder / f"diverged{rank}.json").write_text(json.dumps({"status": outcome.status, "history": outcome.history}))
    own = folder / ("empty" if rank else "two/contrastive bank")
    refused = (replace(TINY, batch=33), None), (RECIPES["contrastive bank"], own)
    for number, (recipe, place) in enumerate(refused):
        try:
            train_tiny(recipe, place)
        except ValueError as error:
            (folder / f"refused{number}{rank}.txt").write_text(str(error))


def one_step(name):
    """The embeddings [B, d] of a net in float64, the gradients of a loss of them all, and the net's buffers."""
    torch.manual_seed(0)
    x = torch.randn(12, 3, 16, 16, dtype=torch.float64)
    backbone = models.convnet_digits(4, 3) if name == "a convolutional net" else models.resnet_small(4, 3, 1)
    net = nn.Sequential(backbone, nn.Linear(backbone.out_features, 8)).double()
    rank, parts = distributed.part()
    distributed.share_statistics(net, x.device)
    wrapped = distributed.parallel(net)  # which must live until the gradients are there
    z = wrapped(x.chunk(parts)[rank])
    every = distributed.Gather.apply(z) if parts > 1 else z
    F.normalize(z @ every.T).exp().sum(dim=1).log().mean().backward()
    return [every.detach(), *(p.grad for p in net.parameters()), *net.buffers()]


def break_one(patch, name):
    """Leave out one of the things that cross the processes, or that they must have alike."""
    if name == "statistics":
        patch.setattr(distributed, "share_statistics", lambda net, device: None)
    elif name == "gradients":
        patch.setattr(distributed, "parallel", lambda net: net)
    elif name == "keys' gradients":
        apply = distributed.Gather.apply
        patch.setattr(distributed.Gather, "apply", lambda x: apply(x) if len(x) == 1 else keys.all_gather(x))
    elif name == "positives":
        patch.setattr(loop, "forward", wrong_positives(loop.forward))
    elif name == "bank":
        patch.setattr(keys, "gather", lambda *tensors: list(tensors))
    elif name == "views":
        patch.setattr(loop, "generator", own_chance(loop.generator))


def wrong_positives(forward):
    def wrong(*arguments, **options):
        features, found = forward(*arguments, **options)
        return features, found | {"positive": torch.arange(len(features))}

    return wrong


def own_chance(generator):
    def own(recipe, purpose, device):
        return (
            generator(recipe, purpose, device).manual_seed(dist.get_rank())
            if purpose == build.VIEWS
            else generator(recipe, purpose, device)
        )

    return own


def stop_the_second(how):
    """Let the second process be killed, or fail, in the midst of a fourth epoch of three steps."""
    update, calls = keys.MomentumQueue.update, iter(range(1, 100))

    def stopping(self, indices, features):
        if next(calls) == 11 and dist.get_rank() == 1:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("the second process has failed")
        update(self, indices, features)

    keys.MomentumQueue.update = stopping


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "together":
        with distributed.together(torch.device("cpu")):
            check_together(Path(sys.argv[2]))
    else:
        stop_the_second(sys.argv[1])
        sys.exit(main(sys.argv[2:]))
