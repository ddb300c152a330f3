"""The code of today begins training as that of the stored runs did: their first epoch, once more.

With the packages of a run, and on a processor that rounds as its processor did, the epoch is the
same but for the digits that a record leaves out. Elsewhere this epoch, in which all images draw
together and part again, amplifies the rounding within a few steps, most in the similarities: there
only the loss is compared, and only its first digits.
"""

import json
import os
from pathlib import Path

import pytest
import torch

from contrastlib.reproduction import grids
from contrastlib.reproduction.shipped import FOLDER
from contrastlib.training import components, devices, loop, recipes, run_records

DATA = os.environ.get("CONTRASTLIB_DATA")
BEGUN = [
    grids.cell(recipes.small("cifar10"), "contrastive", 0.07),
    grids.cell(recipes.small("cifar10"), "hard", 1.0),
    grids.ablated(recipes.small("cifar10"), "512 negatives")[0],
    grids.cell(recipes.small("cifar100"), "hard_simple", None),
]


class Begun(Exception):
    """One epoch is done."""


FEATURES = -34.53886821090782  # what `rounding` gives where the runs were made


def rounding():
    """A sum over embeddings by the untrained net, which differs where a processor's kernels do."""
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    encoder = components.build_encoder(BEGUN[0], 3).to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return encoder(images).double().sum().item()


def stop(*state):
    raise Begun


if DATA and all(Path(DATA, recipe.dataset, "train").is_dir() for recipe in BEGUN):

    @pytest.mark.parametrize("recipe", BEGUN)
    def test_the_first_epoch_is_that_of_the_run(recipe, monkeypatch, tmp_path, one_thread):
        monkeypatch.setattr(loop, "save", stop)
        with pytest.raises(Begun):
            loop.pretrain(recipe, folder=tmp_path, device="cpu", progress=False)
        [row] = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
        there = run_records.read(recipe, FOLDER)
        precision = devices.pick_precision(recipe, torch.device("cpu"))
        here = run_records.record(recipe, "finished", {}, [], 0.0, "cpu", precision)
        began = {name: column[0] for name, column in there["history"].items()}
        alike = (
            all(here[what] == there[what] for what in ("hardware", "packages"))
            and rounding() == FEATURES
        )
        assert row["loss"] == pytest.approx(began["loss"], rel=1e-3 if alike else 0.05)
        if alike:
            for name in ("effective_negatives", "positive_similarity", "hardest_similarity", "lr"):
                assert row[name] == pytest.approx(began[name], rel=1e-3)
