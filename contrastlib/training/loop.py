"""The training loop: `pretrain` turns a recipe into an encoder.

The images lie on the device as uint8, or are streamed to it where they are too many, and are
augmented there. Only the network runs under autocast: losses are float32. A temperature may follow
a schedule or be learnt. Several processes do what one does: see `distributed`. All randomness comes
from the recipe's seed, through generators that are part of the checkpoint. So a run that is killed
and started again ends where it would have ended, bit for bit on a CPU with as many threads.
"""

import json
import math
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.std import tqdm

from contrastlib.checks import check_count
from contrastlib.training import checkpoint, components, distributed, files
from contrastlib.training.components import Seed, generator
from contrastlib.training.devices import (
    memory_format,
    multiplies_bfloat16,
    pick_device,
    pick_precision,
)
from contrastlib.training.forward_pass import Diverged, embed_and_get_keys
from contrastlib.training.image_sources import build_images
from contrastlib.training.recipe import Recipe
from contrastlib.training.similarity_log import similarity_log
from contrastlib.training.state import Run, TrainState

__all__ = ["Run", "TrainState", "prepare", "pretrain", "train_epoch"]


def pretrain(
    recipe: Recipe,
    *,
    folder: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    checkpoint_every: int = 1,
    torch_compile: bool = False,
) -> Run:
    """Train an encoder by a recipe.

    folder: where this one run keeps checkpoint.pt, every so many epochs, and log.jsonl, a line an
    epoch; an interrupted run is resumed from there. None keeps nothing. device: None takes the
    best there is. Images that do not fill an epoch's last batch wait for the next epoch.
    torch_compile: torch.compile the encoder, where faster steps win back the minute of compiling;
    results differ by rounding, checkpoints do not, and a run may be resumed without it.

    An epoch's line has: epoch; loss, its mean over the steps; tau, if it changes: a scheduled one
    in the last step, a learnt one after it; what `similarity_log` says of a fixed batch of training
    images; lr, seconds, images_per_second. Where a number is not finite the run stops as
    "diverged", and the last checkpoint stays.
    Under torchrun the processes share each batch (see `distributed`); all must see the folder.

    Errors: ValueError for a baseline, for a folder with another recipe's checkpoint or a broken
    one, which is left as it is, and for a batch that the processes cannot share evenly. OSError
    that names the file where the disk is full.
    """
    check_count("checkpoint_every", checkpoint_every)
    device = pick_device(device)
    with distributed.process_group(device):
        state = prepare(recipe, device, folder, torch_compile)
        train(state, folder, progress, checkpoint_every)
    return Run(
        recipe=recipe,
        encoder=state.encoder.eval(),
        status="diverged" if state.diverged else "finished",
        history=state.history,
        device=device,
        precision=state.precision,
        bank=state.key_source.bank if recipe.g == "bank" else None,
    )


def prepare(
    recipe: Recipe,
    device: torch.device,
    folder: str | os.PathLike | None = None,
    torch_compile: bool = False,
) -> TrainState:
    """Build all that the recipe needs, and resume from the folder's checkpoint if there is one."""
    loss = components.build_loss(recipe)
    shard = distributed.shard()
    if recipe.batch % shard.world_size != 0:
        raise ValueError(
            f"batch is {recipe.batch}, which {shard.world_size} processes cannot share evenly: "
            "start a number that divides it"
        )
    with distributed.local_main_process_first():
        images = build_images(recipe, "train", device)
    steps = components.steps_per_epoch(recipe, len(images))
    encoder = components.build_encoder(recipe, images.channels)
    encoder = encoder.to(device, memory_format=memory_format(recipe, device))
    distributed.convert_sync_batchnorm(encoder, device)
    learnt_tau = components.build_learnt_tau(recipe)
    if learnt_tau is not None:
        learnt_tau = learnt_tau.to(device)
    state = TrainState(
        recipe=recipe,
        device=device,
        precision=pick_precision(recipe, device),
        shard=shard,
        images=images,
        steps=steps,
        augmentation=images.augmentation(recipe),
        encoder=encoder,
        ddp_encoder=encoder,
        loss=loss,
        key_source=components.build_key_source(recipe, encoder, len(images)).to(device),
        optimizer=components.build_optimizer(recipe, encoder, learnt_tau),
        shuffle_rng=generator(recipe, Seed.SHUFFLE, "cpu"),
        augment_rng=generator(recipe, Seed.AUGMENT, device),
        learnt_tau=learnt_tau,
    )
    if folder is not None:
        resume(state, folder)
    # Only now, since DistributedDataParallel gives all processes the weights of rank 0.
    state.ddp_encoder = distributed.wrap_ddp(encoder)
    if torch_compile:
        state.ddp_encoder = torch.compile(state.ddp_encoder)
    # The log is of one batch throughout, cropped as in no epoch of the training.
    logged_indices = [images.representative(recipe.batch)]
    logged_batches = images.batches(
        logged_indices, crop_seed=recipe.epochs, views=recipe.views, shard=shard
    )
    state.logged_batch = next(logged_batches)
    return state


def resume(state: TrainState, folder: str | os.PathLike) -> None:
    """Take the state up from the folder's checkpoint, if there is one."""
    parts = state.checkpoint_parts()
    state.history, device_and_precision = checkpoint.restore(
        folder, state.recipe, state.device_and_precision, parts
    )
    state.precision = device_and_precision.split()[-1]  # that of the interrupted run
    if state.history and state.precision == "bfloat16" and not multiplies_bfloat16(state.device):
        warnings.warn(
            f"the run in {folder} began in bfloat16 and goes on in it, for which this "
            f"{state.device.type} has no instructions, so that it may take several times as long: "
            "resume the run where it began, or train it anew in another folder",
            stacklevel=2,
        )
    epochs = torch.tensor([float(len(state.history))], device=state.device)
    is_the_mean = distributed.all_reduce_mean(epochs) == epochs
    if not distributed.all_ranks(is_the_mean, state.device):
        raise ValueError(
            f"the processes did not all find the same checkpoint in {folder}: "
            "give a folder that all of them see"
        )


def train(
    state: TrainState, folder: str | os.PathLike | None, progress: bool, checkpoint_every: int
) -> None:
    """Train to the recipe's last epoch, or until the run diverges; write log and checkpoints."""
    recipe = state.recipe
    is_first = distributed.rank() == 0
    writes = folder is not None and is_first
    images_per_epoch = state.steps * recipe.batch
    with tqdm(
        total=recipe.epochs * images_per_epoch,
        initial=len(state.history) * images_per_epoch,
        unit=" images",
        unit_scale=True,
        disable=not (is_first and progress),
    ) as bar:
        for epoch in range(len(state.history), recipe.epochs):
            epoch_log = train_epoch(state, epoch, bar)
            state.history.append(epoch_log)
            bar.set_postfix_str(in_words(epoch_log, recipe), refresh=False)
            if writes:
                files.append_line(Path(folder) / "log.jsonl", json.dumps(epoch_log))
            if state.diverged:
                break
            epochs_done = epoch + 1
            is_due = epochs_done % checkpoint_every == 0 or epochs_done == recipe.epochs
            if writes and is_due:
                save(state, folder)


def train_epoch(state: TrainState, epoch: int, bar: tqdm | None = None) -> dict:
    """Train one epoch and return its line of the log (see `pretrain`).

    Where a number is not finite, state.diverged is set, and None stands in the line for it.
    """
    recipe = state.recipe
    start = time.perf_counter()
    epoch_log = {"epoch": epoch + 1, "loss": math.nan}
    try:
        epoch_log["loss"] = train_steps(state, epoch, bar)
        tau = state.tau_now
        if tau is not None:
            epoch_log["tau"] = tau
            if not math.isfinite(tau):
                raise Diverged
            recipe = replace(recipe, tau=tau)  # the log's effective negatives are those at this tau
        indices, images = state.logged_batch
        similarities = similarity_log(
            recipe,
            state.encoder,
            state.key_source,
            state.augmentation,
            indices,
            images,
            state.shard,
            state.images.labels,
        )
        epoch_log.update(similarities)
    except Diverged:
        state.diverged = True
    seconds = time.perf_counter() - start
    epoch_log["lr"] = state.optimizer.param_groups[0]["lr"]
    epoch_log["seconds"] = seconds
    epoch_log["images_per_second"] = state.steps * recipe.batch / seconds
    for name, value in epoch_log.items():
        if not math.isfinite(value):
            epoch_log[name] = None
            state.diverged = True
    return epoch_log


def train_steps(state: TrainState, epoch: int, bar: tqdm | None) -> float:
    """The steps of one epoch; return the mean loss. Errors: Diverged."""
    recipe = state.recipe
    total_loss = torch.zeros((), device=state.device)
    index_batches = components.shuffled_batches(recipe, len(state.images), state.shuffle_rng)
    batches = state.images.batches(index_batches, epoch, recipe.views, state.shard)
    state.encoder.train()
    state.key_source.train()
    for step, (indices, images) in enumerate(batches):
        epochs_done = epoch + step / state.steps
        components.set_learning_rate(state.optimizer, recipe, epochs_done)
        if state.tau_is_scheduled:
            state.loss.tau = components.temperature(recipe, epochs_done)
        if state.learnt_tau is not None:
            state.loss.tau = state.learnt_tau()
        features, keys = embed_and_get_keys(
            recipe,
            state.ddp_encoder,
            state.key_source,
            state.augmentation,
            images,
            indices,
            state.augment_rng,
            precision=state.precision,
            shard=state.shard,
            labels=state.images.labels,
        )
        loss = state.loss(features, **keys)
        state.optimizer.zero_grad()
        loss.backward()
        if state.learnt_tau is not None:
            distributed.average_gradients(state.learnt_tau)
        state.optimizer.step()
        if state.learnt_tau is not None:
            state.learnt_tau.clip()
        state.key_source.update(state.shard.of(indices), features)
        total_loss += loss.detach()
        if bar is not None:
            bar.update(recipe.batch)
    # Here alone the processor waits for a GPU.
    return distributed.all_reduce_mean(total_loss).item() / state.steps


def save(state: TrainState, folder: str | os.PathLike) -> None:
    """Write the checkpoint of the epochs so far."""
    checkpoint.save(
        folder,
        state.recipe,
        state.device_and_precision,
        state.checkpoint_parts(),
        state.history,
    )


def in_words(epoch_log: dict, recipe: Recipe) -> str:
    """An epoch's line, as it stands beside the progress bar."""
    loss = "none" if epoch_log["loss"] is None else f"{epoch_log['loss']:.3f}"
    text = f"epoch {epoch_log['epoch']} of {recipe.epochs}, loss {loss}"
    if epoch_log.get("tau") is not None:
        text += f", tau {epoch_log['tau']:.3g}"
    return text
