"""From finished runs to the files of the trained encoders."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from contrastlib import metrics
from contrastlib.data import load
from contrastlib.models import Encoder
from contrastlib.teaching.embeddings import embed
from contrastlib.teaching.encoders.catalogue import AVAILABLE, recipe_of
from contrastlib.teaching.encoders.loading import FOLDER, PretrainedEncoder
from contrastlib.training import checkpoint, components, one_run, run_records
from contrastlib.training.files import replace_file
from contrastlib.training.image_sources import build_images
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["make", "make_all", "measure_part"]

NEIGHBOURS = 100  # k on the part: a third of a class's training images


def make_all(runs: Path, out: Path = FOLDER, train: bool = False) -> list[Path]:
    """Write the files of all encoders in `AVAILABLE`, and return their paths.

    Arguments and errors as for `make`.
    """
    paths = []
    for loss, tau in AVAILABLE:
        paths.append(make(recipe_of(loss, tau), runs, out, train))
    return paths


def make(recipe: Recipe, runs: Path, out: Path = FOLDER, train: bool = False) -> Path:
    """Write OUT/ID.safetensors and OUT/ID.json of a recipe's finished run, and return the first.

    runs: the folder with the run's ID.json and ID/checkpoint.pt. An untrained network needs no run;
    it is measured here if runs has no record of it. train: train what is missing, some 15 minutes
    an encoder.
    The images of the recipe's data set are needed, since the encoder's scale is theirs.
    Errors: FileNotFoundError for a run that is missing, ValueError for one that diverged or is
    damaged.
    """
    if train or not OBJECTIVES[recipe.loss].compares_pairs:
        record = one_run.run(recipe, runs)
    else:
        record = finished_record(recipe, runs)
    if record["status"] != "finished":
        raise ValueError(f"run {record['id']} in {runs} {record['status']}: there is no encoder")
    encoder = encoder_of_run(recipe, runs)
    content = tensors_to_bytes(tensors_to_keep(encoder))
    record = {
        **record,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "weights_bytes": len(content),
        "on_part": measure_part(encoder),
    }
    run_records.write(out, record)
    path = out / f"{run_id(recipe)}.safetensors"
    replace_file(path, content)
    return path


def finished_record(recipe: Recipe, runs: Path) -> dict:
    """The record of a run. Errors: FileNotFoundError, with the command that trains it."""
    try:
        return run_records.read(recipe, runs)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{runs} lacks {run_id(recipe)}.json of the loss {recipe.loss}: "
            f"contrastlib train small --set dataset={recipe.dataset} --set loss={recipe.loss} "
            f"--set tau={recipe.tau:g} --out {runs}"
        ) from error


def encoder_of_run(recipe: Recipe, runs: str | os.PathLike) -> PretrainedEncoder:
    """The encoder of a finished run in float32, with the scale of its training images."""
    images = build_images(recipe, "train", "cpu")
    scale = images.augmentation(recipe)
    encoder = PretrainedEncoder(recipe)
    if OBJECTIVES[recipe.loss].compares_pairs:
        file = Path(runs) / run_id(recipe) / "checkpoint.pt"
        saved = checkpoint.load_checkpoint(file, {"encoder", "recipe", "history"})
        epochs = len(saved["history"])
        if epochs != recipe.epochs:
            raise ValueError(f"{file} is of epoch {epochs} of {recipe.epochs}: end the run first")
        trained = components.build_encoder(recipe, images.channels)
        trained.load_state_dict(saved["encoder"])
        encoder.load_state_dict({**encoder.state_dict(), **trained.state_dict()})
    encoder.mean.copy_(torch.tensor(scale.mean))
    encoder.std.copy_(torch.tensor(scale.std))
    return encoder.requires_grad_(False).eval()


def tensors_to_keep(encoder: PretrainedEncoder) -> dict[str, Tensor]:
    """What the file holds: matrices in half precision, vectors as they are.

    Of an untrained network only the scale, since its seed gives the weights.
    Errors: ValueError for a weight that is too large for half precision.
    """
    if not OBJECTIVES[encoder.recipe.loss].compares_pairs:
        return {"mean": encoder.mean, "std": encoder.std}
    tensors = {}
    for name, values in encoder.state_dict().items():
        values = values.contiguous()
        if values.ndim >= 2:
            values = values.half()
        if not values.isfinite().all():
            raise ValueError(f"{name} has values that half precision cannot hold")
        tensors[name] = values
    return tensors


def measure_part(encoder: Encoder) -> dict[str, float | int]:
    """What an encoder measures on fashion-mnist-part: uniformity, tolerance, knn, and its k."""
    train = load("fashion-mnist-part")
    test = load("fashion-mnist-part", "test")
    train_z = embed(encoder, train.images)
    test_z = embed(encoder, test.images)
    knn = metrics.knn_accuracy(train_z, train.labels, test_z, test.labels, k=NEIGHBOURS)
    return {
        "uniformity": metrics.uniformity(test_z),
        "tolerance": metrics.tolerance(test_z, test.labels),
        "knn": knn,
        "k": NEIGHBOURS,
    }
