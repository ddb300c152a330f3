"""Two processes under torchrun do what one does with the whole batch, for every g.

They resume, agree, and fail as one. The processes talk by gloo on the CPU, one thread each. In
float32 nothing that a run keeps (weights, bank, queue, optimiser, log) is further than 1e-4 from
the one process's after 9 steps; 3e-6 was measured, and without any one of the things that cross the
processes the weights are 1e-2 and more apart, see test_tolerance_tells. The hard losses choose
among the negatives: where rounding swaps two at the edge of the choice, runs part by more, 3e-3 was
measured. Residual nets magnify rounding much faster, in one process too; for them a single step is
compared in float64.

This file is also the program that torchrun starts.
"""

import json
import math
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from helpers import KEY_SOURCES, TINY, bits, checkpoint, distance, finish, torchrun, train_tiny
from torch import nn

from contrastlib import collectives, keys, models
from contrastlib.__main__ import main
from contrastlib.training import devices, distributed, loop, run_records
from contrastlib.training.components import Seed
from contrastlib.training.recipes import live, run_id, with_settings

pytestmark = pytest.mark.skipif(
    not dist.is_gloo_available(), reason="this build of PyTorch has no gloo"
)

RECIPES = {}
for name, choice in KEY_SOURCES.items():
    RECIPES[f"contrastive {name}"] = replace(TINY, epochs=3, **choice)
    RECIPES[f"hard {name}"] = replace(TINY, epochs=3, loss="hard", **choice)
LEARNT = replace(TINY, epochs=3, tau="learnt", tau_start=0.2)
RECIPES["learnt bank"] = replace(LEARNT, tau_lr=0.02)
RECIPES["learnt batch"] = replace(LEARNT, tau_lr=0.3, g="batch", views=2)
RECIPES["sampled"] = replace(TINY, epochs=3, negatives=40)
IN_BATCH = replace(TINY, epochs=3, **KEY_SOURCES["batch"])
RECIPES["same class left out"] = replace(TINY, epochs=3, leave_out_same_class=True)
RECIPES["same class left out, batch"] = replace(IN_BATCH, leave_out_same_class=True)
RECIPES["supervised contrastive batch"] = replace(IN_BATCH, loss="supervised_contrastive")
TOLERANCE = {name: 1e-2 if "hard" in name else 1e-4 for name in RECIPES}
RESUMED = ("contrastive bank", "contrastive queue", "learnt batch", "sampled")
SETTINGS = [
    "limit=96",
    "batch=32",
    "width=4",
    "d=16",
    "epochs=12",
    "g=queue",
    "views=2",
    "queue_size=64",
]
MIDDLE = 1  # the epoch from which runs are taken up by another number of processes
pytestmark = pytest.mark.usefixtures("one_thread")


def keep_the_middle(original):
    def save(state, folder):
        original(state, folder)
        if len(state.history) == MIDDLE:
            shutil.copy(folder / "checkpoint.pt", folder / "middle.pt")

    return save


def train_all(folder, names=RECIPES):
    """Train by each recipe, and keep the checkpoint of epoch MIDDLE beside the last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save", keep_the_middle(loop.save))
        for name in names:
            train_tiny(RECIPES[name], folder / name)


def resume(source, target, name):
    """Take up a run in its middle."""
    if distributed.rank() == 0:
        (target / name).mkdir(parents=True)
        shutil.copy(source / name / "middle.pt", target / name / "checkpoint.pt")
    if collectives.world_size() > 1:
        dist.barrier()
    train_tiny(RECIPES[name], target / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All recipes trained by one process and by two, and what `check_together` wrote."""
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    train_all(folder / "one")
    finish(torchrun(__file__, "together", str(folder)))
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_two_do_what_one_does(folder, name):
    one = checkpoint(folder / "one" / name)
    two = checkpoint(folder / "two" / name)
    assert len(two["history"]) == 3
    assert distance(one, two) < TOLERANCE[name]
    assert (
        json.loads((folder / "two" / name / "log.jsonl").read_text().splitlines()[-1])
        == two["history"][-1]
    )


@pytest.mark.parametrize("name", RESUMED)
def test_one_goes_on_from_two_and_two_from_one_and_two(folder, name):
    resume(folder / "two", folder / "one from two", name)
    one = checkpoint(folder / "one" / name)
    two = checkpoint(folder / "two" / name)
    assert distance(checkpoint(folder / "one from two" / name), one) < TOLERANCE[name]
    assert distance(checkpoint(folder / "two from one" / name), one) < TOLERANCE[name]
    assert bits(checkpoint(folder / "two from two" / name)) == bits(two)


# What is left out, and the recipe whose weights tell.
BROKEN = {
    "statistics": "contrastive bank",
    "gradients": "contrastive bank",
    "keys' gradients": "contrastive batch",
    "positives": "contrastive batch",
    "bank": "contrastive bank",
    "views": "contrastive bank",
    "temperature's gradient": "learnt batch",
}


@pytest.mark.parametrize("name", BROKEN)
def test_tolerance_tells(folder, name):
    """Without one of the things that cross between them, two processes reach other weights."""
    recipe = BROKEN[name]
    part = "tau" if name == "temperature's gradient" else "encoder"
    one = checkpoint(folder / "one" / recipe)[part]
    two = checkpoint(folder / name / recipe)[part]
    assert distance(one, two) > 100 * TOLERANCE[recipe]


@pytest.mark.parametrize("name", ["a convolutional net", "a residual net"])
def test_one_step_in_float64(folder, name):
    """Embeddings, gradients and the statistics of batch normalisation; the loss takes them all."""
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
    assert all(
        (folder / f"refused{number}{rank}.txt").read_text().startswith(message) for rank in (0, 1)
    )


def test_killed_failed_and_resumed(folder, tmp_path):
    recipe = with_settings(live(), SETTINGS)
    words = ["train", "live", "--quiet", "--device", "cpu", "--out", str(tmp_path)]
    for setting in SETTINGS:
        words += ["--set", setting]
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
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == list(
        range(1, 13)
    )
    assert run_records.read(recipe, tmp_path)["metrics"]["probe"] > 0


def test_shards_and_flags_of_one_process():
    assert distributed.Shard(1, 2).of(torch.arange(6)).tolist() == [3, 4, 5]
    assert distributed.shard() == distributed.WHOLE_BATCH
    cpu = torch.device("cpu")
    for flag in (True, False):
        assert distributed.all_ranks(torch.tensor(flag), cpu) is flag
        assert distributed.from_first_rank(flag, cpu) is flag


def test_of_one_process_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(dist, "init_process_group", None)
    for rank in ("0", "3"):  # what a job's environment may hold without torchrun
        monkeypatch.setenv("LOCAL_RANK", rank)
        monkeypatch.setenv("RANK", rank)
        assert distributed.rank() == 0
        with distributed.process_group(torch.device("cpu")):
            assert distributed.shard() == (0, 1)
            assert devices.pick_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(ValueError, match="2 processes cannot train together on mps"),
        distributed.process_group(torch.device("mps")),
    ):
        pass


# What torchrun starts


def check_together(folder):
    """Train the recipes, whole, resumed and with one thing missing; diverge, and be refused."""
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

    for name, recipe in BROKEN.items():
        with pytest.MonkeyPatch.context() as patch:
            break_one(patch, name)
            train_all(folder / name, [recipe])

    with pytest.MonkeyPatch.context() as patch:
        forward = models.Encoder.forward
        calls = iter(range(100))

        def spoilt(self, x):
            z = forward(self, x)
            # In the second epoch, of three steps and a look at a fixed batch, in rank 1 alone.
            if next(calls) == 5 and rank == 1:
                return z * math.nan
            return z

        patch.setattr(models.Encoder, "forward", spoilt)
        outcome = train_tiny(replace(TINY, epochs=4))
    found = {"status": outcome.status, "history": outcome.history}
    (folder / f"diverged{rank}.json").write_text(json.dumps(found))
    own = folder / ("empty" if rank else "two/contrastive bank")
    refused = [(replace(TINY, batch=33), None), (RECIPES["contrastive bank"], own)]
    for number, (recipe, place) in enumerate(refused):
        try:
            train_tiny(recipe, place)
        except ValueError as error:
            (folder / f"refused{number}{rank}.txt").write_text(str(error))


def one_step(name):
    """Embeddings [B, d] in float64, gradients of a loss of them all, and the network's buffers."""
    torch.manual_seed(0)
    x = torch.randn(12, 3, 16, 16, dtype=torch.float64)
    backbone = models.resnet_small(4, 3, 1)
    if name == "a convolutional net":
        backbone = models.convnet_digits(4, 3)
    net = nn.Sequential(backbone, nn.Linear(backbone.out_features, 8)).double()
    shard = distributed.shard()
    distributed.convert_sync_batchnorm(net, x.device)
    wrapped = distributed.wrap_ddp(net)  # which must live until the gradients are there
    z = wrapped(shard.of(x))
    every = distributed.Gather.apply(z) if shard.world_size > 1 else z
    F.normalize(z @ every.T).exp().sum(dim=1).log().mean().backward()
    return [every.detach(), *(p.grad for p in net.parameters()), *net.buffers()]


def break_one(patch, name):
    """Leave out one of the things that cross the processes, or that they must have alike."""
    if name == "statistics":
        patch.setattr(distributed, "convert_sync_batchnorm", lambda net, device: None)
    elif name == "gradients":
        patch.setattr(distributed, "wrap_ddp", lambda net: net)
    elif name == "temperature's gradient":
        patch.setattr(distributed, "average_gradients", lambda module: None)
    elif name == "keys' gradients":
        patch.setattr(
            distributed.Gather, "apply", gather_without_gradients(distributed.Gather.apply)
        )
    elif name == "positives":
        patch.setattr(loop, "embed_and_get_keys", wrong_positives(loop.embed_and_get_keys))
    elif name == "bank":
        patch.setattr(keys, "gather_batch", lambda *tensors: list(tensors))
    elif name == "views":
        patch.setattr(loop, "generator", own_random_views(loop.generator))


def gather_without_gradients(apply):
    """Of the keys; the statistics of batch normalisation, which are one row, keep theirs."""

    def gather(x):
        return apply(x) if len(x) == 1 else collectives.all_gather(x)

    return gather


def wrong_positives(embed_and_get_keys):
    """Each process takes its positives to be the first rows of the batch."""

    def wrong(*arguments, **options):
        features, found = embed_and_get_keys(*arguments, **options)
        return features, found | {"positive": torch.arange(len(features))}

    return wrong


def own_random_views(generator):
    """Each process draws its own views."""

    def own(recipe, seed, device):
        made = generator(recipe, seed, device)
        if seed == Seed.AUGMENT:
            made.manual_seed(dist.get_rank())
        return made

    return own


def stop_the_second(how):
    """Let the second process be killed, or fail, in the midst of a fourth epoch of three steps."""
    update = keys.MomentumQueue.update
    calls = iter(range(1, 100))

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
        with distributed.process_group(torch.device("cpu")):
            check_together(Path(sys.argv[2]))
    else:
        stop_the_second(sys.argv[1])
        sys.exit(main(sys.argv[2:]))
