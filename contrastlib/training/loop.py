"""Training: `pretrain` turns a recipe into an encoder, `evaluate` measures it, `run` does both and writes the outcome.

The images lie on the device as uint8, or are streamed to it where they are too many, and are augmented there. Only the
network runs under autocast: losses are float32. Several processes do what one does: see `distributed`. All chance comes
from the recipe's seed, through generators that are part of the checkpoint, so a run that is killed and started again
ends where it would have, bit for bit on a CPU with as many threads.
"""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.std import tqdm

from contrastlib import gradients, losses
from contrastlib.augment import Augmentation
from contrastlib.checks import check_count, readable
from contrastlib.models import Encoder
from contrastlib.training import build, distributed, run_records
from contrastlib.training.build import ORDER, VIEWS, generator
from contrastlib.training.checkpoint import restore, save
from contrastlib.training.evaluation import batch_norm_only, evaluate, supervised, tsne, untrained
from contrastlib.training.recipes import Recipe, run_id

ALONE = ("supervised", "none", "batch_norm")  # they compare no pairs

__all__ = ["Run", "evaluate", "pretrain", "run", "supervised", "tsne", "untrained"]


@dataclass
class Run:
    """What `pretrain` returns: status is "finished" or "diverged", history one dict an epoch, as in the log.

    bank: the rows [N, d] of the memory bank at the end, where the recipe has one.
    """

    recipe: Recipe
    encoder: Encoder
    status: str
    history: list[dict]
    device: torch.device
    precision: str
    bank: Tensor | None = None


class Diverged(Exception):
    """The features are no longer finite."""


def pretrain(
    recipe: Recipe,
    *,
    folder: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    checkpoint_every: int = 1,
    compile: bool = False,
) -> Run:
    """Train an encoder by a recipe.

    folder: where this one run keeps checkpoint.pt, every so many epochs, and log.jsonl, a line an epoch; a run that was
    interrupted goes on from there. None keeps nothing. device: None takes the best there is. Images that do not fill
    an epoch's last batch wait for the next epoch. compile: torch.compile the encoder, where a minute of compiling is
    won back by faster steps; results differ by rounding, checkpoints do not, and a run may go on without.
    An epoch's line: epoch, loss, lr, and tau at its last step where it changes; on a fixed batch of training images, in
    evaluation mode, effective_negatives (`gradients.effective_negatives`), positive_similarity and hardest_similarity,
    the nearest negative's, averaged over its anchors; images_per_second, seconds. Where one of them is not finite the
    run stops there as "diverged", and the last checkpoint stays.
    Under torchrun the processes share each batch (see `distributed`), and all must see the folder.
    Errors: ValueError for a folder that holds another recipe's checkpoint, or a broken one; it is left as it is. Of
    several processes, for a batch that they cannot share evenly.
    """
    check_count("checkpoint_every", checkpoint_every)
    where = build.pick_device(device)
    with distributed.together(where):
        return fit(recipe, folder, where, progress, checkpoint_every, compile)


def fit(
    recipe: Recipe,
    folder: str | os.PathLike | None,
    where: torch.device,
    progress: bool,
    checkpoint_every: int,
    compile: bool,
) -> Run:
    """`pretrain`, once the processes are connected."""
    rank, parts = part = distributed.part()
    if recipe.batch % parts:
        raise ValueError(
            f"batch is {recipe.batch}, which {parts} processes cannot share evenly: start a number that divides it"
        )
    with distributed.first_on_each_machine():
        images = build.build_images(recipe, "train", where)
    n = len(images)
    steps = n // recipe.batch
    if steps == 0:
        raise ValueError(f"batch is {recipe.batch}, but there are only {n} training images: make the batch smaller")
    encoder = build.build_encoder(recipe, images.channels).to(where, memory_format=torch.channels_last)
    if recipe.loss in ALONE:
        raise ValueError(f"loss is {recipe.loss!r}, which compares no pairs: call run, or supervised or untrained")
    distributed.share_statistics(encoder, where)
    loss = build.build_loss(recipe)
    scheduled = recipe.loss in ("contrastive", "hard") and recipe.tau_to is not None
    g = build.build_keys(recipe, encoder, n).to(where)
    optimizer = build.build_optimizer(recipe, encoder)
    view = images.view(recipe)
    order, chance = generator(recipe, ORDER, "cpu"), generator(recipe, VIEWS, where)
    precision = build.pick_precision(recipe, where)
    state = {"encoder": encoder, "keys": g, "optimizer": optimizer, "order": order, "views": chance}
    place = f"{where.type} in {precision}"
    history = []
    if folder is not None:
        history, place = restore(folder, recipe, place, state)
        precision = place.split()[-1]
    epochs = torch.tensor([float(len(history))], device=where)
    if not distributed.agreed(distributed.mean(epochs) == epochs, where):
        raise ValueError(
            f"the processes did not all find the same checkpoint in {folder}: give a folder that all of them see"
        )
    net = distributed.parallel(encoder)
    net = torch.compile(net) if compile else net
    watched = next(images.batches([images.spread(recipe.batch)], recipe.epochs, recipe.views, part))
    status = "finished"

    bar = tqdm(
        total=recipe.epochs * steps * recipe.batch, unit=" images", unit_scale=True, disable=rank > 0 or not progress
    )
    bar.update(len(history) * steps * recipe.batch)
    for epoch in range(len(history), recipe.epochs):
        start = time.perf_counter()
        row = {"epoch": epoch + 1, "loss": math.nan}
        total = torch.zeros((), device=where)
        rows = torch.randperm(n, generator=order)[: steps * recipe.batch].split(recipe.batch)
        encoder.train()
        g.train()
        try:
            for step, (indices, crops) in enumerate(images.batches(rows, epoch, recipe.views, part)):
                build.set_learning_rate(optimizer, recipe, epoch + step / steps)
                if scheduled:
                    loss.tau = build.temperature(recipe, epoch + step / steps)
                features, keys = forward(recipe, net, g, view, crops, indices, chance, precision, part)
                value = loss(features, **keys)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                g.update(indices.chunk(parts)[rank], features)
                total += value.detach()
                bar.update(recipe.batch)
            row["loss"] = distributed.mean(total).item() / steps  # here alone the processor waits for a GPU
            row |= {"tau": loss.tau} if scheduled else {}
            row |= watch(replace(recipe, tau=row.get("tau", recipe.tau)), encoder, g, view, *watched, part)
        except Diverged:
            status = "diverged"
        seconds = time.perf_counter() - start
        row |= {"lr": optimizer.param_groups[0]["lr"], "seconds": seconds}
        row["images_per_second"] = steps * recipe.batch / seconds
        if not all(map(math.isfinite, row.values())):
            status = "diverged"
            row = {name: value if math.isfinite(value) else None for name, value in row.items()}
        history.append(row)
        shown = "none" if row["loss"] is None else f"{row['loss']:.3f}"
        bar.set_postfix_str(f"epoch {epoch + 1} of {recipe.epochs}, loss {shown}", refresh=False)
        if folder is not None and rank == 0:
            with open(Path(folder) / "log.jsonl", "a") as log:
                log.write(json.dumps(row) + "\n")
        if status == "diverged":
            break
        if folder is not None and rank == 0 and ((epoch + 1) % checkpoint_every == 0 or epoch + 1 == recipe.epochs):
            save(folder, recipe, place, state, history)
    bar.close()
    bank = g.bank if recipe.g == "bank" else None
    return Run(recipe, encoder.eval(), status, history, where, precision, bank)


def forward(
    recipe: Recipe,
    encoder: Encoder,
    g: nn.Module,
    view: Augmentation,
    images: Sequence[Tensor],
    indices: Tensor,
    chance: torch.Generator | None,
    precision: str = "float32",
    part: tuple[int, int] = (0, 1),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Views of a part of the batch, their embeddings [B, d], and the loss's other arguments.

    images: uint8, for each view those of the whole batch; indices: their numbers, on their device. part: which part,
    and how many there are. The views of all parts are drawn, so that chance is the same however many there are.
    """
    whole, (rank, parts) = indices, part
    indices = whole.chunk(parts)[rank]
    x = [view(crops, chance).chunk(parts)[rank].contiguous(memory_format=torch.channels_last) for crops in images]
    other = x[1] if recipe.views == 2 else None
    with torch.autocast(whole.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        if recipe.views == 2 and g.other_view != "images":
            features, other = encoder(torch.cat(x)).chunk(2)
        else:
            features = encoder(x[0])
        if readable(features) and not distributed.agreed(features.isfinite().all(), features.device):
            raise Diverged
        keys = g.keys_for(indices, other)
    first = rank * len(indices)  # the place in the batch where this part begins
    if recipe.g == "batch" and parts > 1:
        keys = {"keys": distributed.Gather.apply(other), "positive": first + keys["positive"]}
    if recipe.g == "bank" and recipe.negatives is not None:
        # The batch's own rows, and the others at random: for each anchor a uniform draw, since the batch is one.
        draws = torch.rand(len(g.bank), generator=chance, device=whole.device).index_fill_(0, whole, -1)
        rows = torch.cat([whole, draws.topk(recipe.negatives + 1 - len(whole)).indices])
        keys = {"keys": g.bank[rows], "positive": first + torch.arange(len(indices), device=whole.device)}
    if recipe.g == "bank" and recipe.views == 2:
        keys = {"keys": keys["keys"], "positive_keys": other, "ignore": keys["positive"]}
    return features, keys


@torch.no_grad()
def watch(
    recipe: Recipe,
    encoder: Encoder,
    g: nn.Module,
    view: Augmentation,
    indices: Tensor,
    images: Sequence[Tensor],
    part: tuple[int, int] = (0, 1),
) -> dict[str, float]:
    """The similarities of a batch to its keys, and how many negatives the loss effectively looks at."""
    encoder.eval()
    g.eval()
    chance = generator(recipe, VIEWS, indices.device)  # the same views every time
    features, keys = forward(recipe, encoder, g, view, images, indices, chance, part=part)
    s = features @ keys["keys"].T
    if not distributed.agreed(s.isfinite().all(), s.device):
        raise Diverged
    if "positive_keys" in keys:
        s_pos = (features * keys["positive_keys"]).sum(dim=1)
    else:
        s_pos = s.gather(1, keys["positive"][:, None]).squeeze(1)
    negative = torch.ones_like(s, dtype=torch.bool)
    for name in {"positive", "ignore"} & keys.keys():
        negative.scatter_(1, keys[name][:, None], False)
    s_neg = s[negative].view(len(s), -1)
    hard = {"alpha": recipe.alpha, "k": recipe.k} if recipe.loss.startswith("hard") else {}
    if recipe.loss == "triplet_limit":
        effective = torch.ones_like(s_pos)
    elif "simple" in recipe.loss:
        effective = losses.hard_negatives(s_neg, **(hard or {"alpha": 1.0})).sum(dim=1, dtype=s_neg.dtype)
    else:
        effective = gradients.effective_negatives(gradients.relative_penalty(s_neg, recipe.tau, **hard))
    values = distributed.mean(torch.stack([effective.mean(), s_pos.mean(), s_neg.amax(dim=1).mean()]))
    return dict(zip(("effective_negatives", "positive_similarity", "hardest_similarity"), values.tolist(), strict=True))


def run(
    recipe: Recipe,
    folder: str | os.PathLike,
    *,
    device: str | torch.device | None = None,
    progress: bool = True,
    compile: bool = False,
) -> dict | None:
    """Train and evaluate a recipe, write FOLDER/ID.json, and return its record; a run that is there is not repeated.

    Checkpoint and log are in FOLDER/ID, so that a call that was interrupted goes on where it was; only a supervised net
    begins anew. compile as in `pretrain`. Under torchrun the first process alone does all but `pretrain`; the others
    return None. Errors: ValueError where another process trains this run, and as in `pretrain`.
    """
    if distributed.rank() > 0 or (Path(folder) / f"{run_id(recipe)}.json").exists():
        return _train_and_evaluate(recipe, folder, device, progress, compile)
    build.build_images(recipe, "test", "cpu", limit=2)  # if there are none, better to know before training
    with run_records.lock(Path(folder) / run_id(recipe) / "lock"):
        return _train_and_evaluate(recipe, folder, device, progress, compile)


def _train_and_evaluate(
    recipe: Recipe, folder: str | os.PathLike, device: str | torch.device | None, progress: bool, compile: bool
) -> dict | None:
    folder, name = Path(folder), run_id(recipe)
    where, first = build.pick_device(device), distributed.rank() == 0
    alone = recipe.loss in ALONE
    start = time.perf_counter()
    with distributed.together(where):
        there = not distributed.agreed(not (first and (folder / f"{name}.json").exists()), where)  # the first decides
        if not (there or alone):
            outcome = pretrain(recipe, folder=folder / name, device=where, progress=progress, compile=compile)
    if not first:
        return None
    if there:
        return run_records.read(name, folder)
    if alone:
        if recipe.loss == "none":
            encoder = untrained(recipe)
        else:
            train_alone = {"supervised": supervised, "batch_norm": batch_norm_only}[recipe.loss]
            encoder = train_alone(recipe, device=where, progress=progress)
        whole = all(bool(values.isfinite().all()) for values in encoder.state_dict().values())
        outcome = Run(
            recipe, encoder, "finished" if whole else "diverged", [], where, build.pick_precision(recipe, where)
        )
    figures, places = {}, {}
    if outcome.status == "finished":
        figures = evaluate(outcome.encoder, recipe, device=outcome.device, bank=outcome.bank)
        places = tsne(outcome.encoder, recipe)
    # What was trained before an interruption counts too.
    seconds = max(time.perf_counter() - start, sum(row["seconds"] for row in outcome.history))
    record = run_records.record(
        recipe, outcome.status, figures, outcome.history, seconds, outcome.device, outcome.precision, places
    )
    run_records.write(folder, record)
    return record
