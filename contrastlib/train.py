"""Training: `pretrain` turns a recipe into an encoder, `evaluate` measures it, `run` does both and writes the outcome.

One process, one device. The images lie on it as uint8 and are augmented there. Only the network runs under autocast:
losses are float32. All chance comes from the recipe's seed, through generators that are part of the checkpoint, so a
run that is killed and started again ends where it would have, bit for bit on a CPU with as many threads.
"""

import io
import json
import math
import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.std import tqdm

from . import build, gradients, losses, results
from .augment import Augmentation
from .build import ORDER, VIEWS, generator
from .checks import check_count, readable
from .data import load
from .evaluation import evaluate, supervised, tsne, untrained
from .models import Encoder
from .recipes import Recipe, from_dict, run_id, to_dict

__all__ = ["Run", "evaluate", "pretrain", "run", "supervised", "tsne", "untrained"]

FORMAT = 1  # of checkpoints


@dataclass
class Run:
    """What `pretrain` returns: status is "finished" or "diverged", history one dict an epoch, as in the log."""

    recipe: Recipe
    encoder: Encoder
    status: str
    history: list[dict]
    device: torch.device
    precision: str


class Diverged(Exception):
    """The features are no longer finite."""


def pretrain(
    recipe: Recipe,
    *,
    folder: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    checkpoint_every: int = 1,
) -> Run:
    """Train an encoder by a recipe.

    folder: where this one run keeps checkpoint.pt, every so many epochs, and log.jsonl, a line an epoch; a run that was
    interrupted goes on from there. None keeps nothing. device: None takes the best there is. Images that do not fill
    an epoch's last batch wait for the next epoch.
    An epoch's line: epoch, loss, lr; on a fixed batch of training images, in evaluation mode, effective_negatives
    (`gradients.effective_negatives`), positive_similarity and hardest_similarity, the nearest negative's, averaged over
    its anchors; images_per_second, seconds. Where one of them is not finite the run stops there as "diverged", and the
    last checkpoint stays.
    Errors: ValueError for a folder that holds another recipe's checkpoint, or a broken one; it is left as it is.
    """
    check_count("checkpoint_every", checkpoint_every)
    where = build.pick_device(device)
    images = load(recipe.dataset, "train", limit=recipe.limit, device=where).images
    n = len(images)
    steps = n // recipe.batch
    if steps == 0:
        raise ValueError(f"batch is {recipe.batch}, but there are only {n} training images: make the batch smaller")
    encoder = build.build_encoder(recipe, images.shape[1]).to(where, memory_format=torch.channels_last)
    if recipe.loss in ("supervised", "none"):
        raise ValueError(f"loss is {recipe.loss!r}, which compares no pairs: call run, or supervised or untrained")
    loss = build.build_loss(recipe)
    g = build.build_keys(recipe, encoder, n).to(where)
    optimizer = build.build_optimizer(recipe, encoder)
    view = build.build_view(recipe, images)
    order, chance = generator(recipe, ORDER, "cpu"), generator(recipe, VIEWS, where)
    precision = build.pick_precision(recipe, where)
    parts = {"encoder": encoder, "keys": g, "optimizer": optimizer, "order": order, "views": chance}
    place = f"{where.type} in {precision}"
    history = [] if folder is None else restore(folder, recipe, place, parts)
    status = "finished"

    bar = tqdm(total=recipe.epochs * steps * recipe.batch, unit=" images", unit_scale=True, disable=not progress)
    bar.update(len(history) * steps * recipe.batch)
    for epoch in range(len(history), recipe.epochs):
        start = time.perf_counter()
        row = {"epoch": epoch + 1, "loss": math.nan}
        total = torch.zeros((), device=where)
        permutation = torch.randperm(n, generator=order).to(where)
        encoder.train()
        g.train()
        try:
            for step, indices in enumerate(permutation[: steps * recipe.batch].split(recipe.batch)):
                build.set_learning_rate(optimizer, recipe, epoch + step / steps)
                features, keys = forward(recipe, encoder, g, view, images, indices, chance, precision)
                value = loss(features, **keys)
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                g.update(indices, features)
                total += value.detach()
                bar.update(recipe.batch)
            row["loss"] = total.item() / steps  # here alone the processor waits for a GPU
            row |= watch(recipe, encoder, g, view, images)
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
        if folder is not None:
            with open(Path(folder) / "log.jsonl", "a") as log:
                log.write(json.dumps(row) + "\n")
        if status == "diverged":
            break
        if folder is not None and ((epoch + 1) % checkpoint_every == 0 or epoch + 1 == recipe.epochs):
            save(folder, recipe, place, parts, history)
    bar.close()
    return Run(recipe, encoder.eval(), status, history, where, precision)


def forward(
    recipe: Recipe,
    encoder: Encoder,
    g: nn.Module,
    view: Augmentation,
    images: Tensor,
    indices: Tensor,
    chance: torch.Generator | None,
    precision: str = "float32",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Views of the images [B], their embeddings [B, d], and the loss's other arguments."""
    x = [view(images[indices], chance).contiguous(memory_format=torch.channels_last) for _ in range(recipe.views)]
    other = x[1] if recipe.views == 2 else None
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        if recipe.views == 2 and g.other_view != "images":
            features, other = encoder(torch.cat(x)).chunk(2)
        else:
            features = encoder(x[0])
        if readable(features) and not bool(features.isfinite().all()):
            raise Diverged
        keys = g.keys_for(indices, other)
    if recipe.g == "bank" and recipe.negatives is not None:
        # The batch's own rows, and the others at random: for each anchor a uniform draw, since the batch is one.
        draws = torch.rand(len(g.bank), generator=chance, device=images.device).index_fill_(0, indices, -1)
        rows = torch.cat([indices, draws.topk(recipe.negatives + 1 - len(indices)).indices])
        keys = {"keys": g.bank[rows], "positive": torch.arange(len(indices), device=images.device)}
    if recipe.g == "bank" and recipe.views == 2:
        keys = {"keys": keys["keys"], "positive_keys": other, "ignore": keys["positive"]}
    return features, keys


@torch.no_grad()
def watch(recipe: Recipe, encoder: Encoder, g: nn.Module, view: Augmentation, images: Tensor) -> dict[str, float]:
    """The similarities of a fixed batch to its keys, and how many negatives the loss effectively looks at."""
    encoder.eval()
    g.eval()
    indices = torch.arange(min(recipe.batch, len(images)), device=images.device)
    chance = generator(recipe, VIEWS, images.device)  # the same views every time
    features, keys = forward(recipe, encoder, g, view, images, indices, chance)
    s = features @ keys["keys"].T
    if not bool(s.isfinite().all()):
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
    return {
        "effective_negatives": effective.mean().item(),
        "positive_similarity": s_pos.mean().item(),
        "hardest_similarity": s_neg.amax(dim=1).mean().item(),
    }


def state_of(part: nn.Module | torch.optim.Optimizer | torch.Generator) -> dict | Tensor:
    """All that a part needs to go on as it is."""
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def save(folder: str | os.PathLike, recipe: Recipe, place: str, parts: dict, history: list[dict]) -> None:
    """Write checkpoint.pt, whole or not at all."""
    about = {"format": FORMAT, "recipe": to_dict(recipe), "place": place, "history": history}
    content = io.BytesIO()
    torch.save(about | {name: state_of(part) for name, part in parts.items()}, content)
    results.replace_file(Path(folder) / "checkpoint.pt", content.getvalue())


def restore(folder: str | os.PathLike, recipe: Recipe, place: str, parts: dict) -> list[dict]:
    """Give each part its state in the folder's checkpoint.pt, if there is one; return the history up to there."""
    file = Path(folder) / "checkpoint.pt"
    history = []
    if file.exists():
        saved = load_checkpoint(file, {"recipe", "place", "history", *parts})
        advice = "give another folder, or move the checkpoint away to begin anew"
        if run_id(from_dict(saved["recipe"])) != run_id(recipe):
            other = {key: saved["recipe"].get(key) for key in to_dict(recipe)}
            other = {key: value for key, value in other.items() if value != to_dict(recipe)[key]}
            raise ValueError(f"{file} is of another recipe, one with {other}: {advice}")
        if saved["place"] != place:
            raise ValueError(f"{file} was trained on {saved['place']}, and this would be {place}: {advice}")
        for name, part in parts.items():
            try:
                (part.set_state if isinstance(part, torch.Generator) else part.load_state_dict)(saved[name])
            except Exception as error:  # each part has its own kind
                raise ValueError(f"the {name} in {file} does not fit ({first_line(error)}): {advice}") from error
        history = saved["history"]
    file.parent.mkdir(parents=True, exist_ok=True)
    # What the log says of epochs after the checkpoint will be said again.
    results.replace_file(file.with_name("log.jsonl"), "".join(json.dumps(row) + "\n" for row in history).encode())
    return history


def load_checkpoint(file: Path, names: set[str]) -> dict:
    """What a checkpoint holds under these names; ValueError for one that is damaged or of another format."""
    try:
        with zipfile.ZipFile(file) as content:
            if broken := content.testzip():  # torch.load does not look at the checksums
                raise ValueError(f"{broken} has a wrong checksum")
        saved = torch.load(file, map_location="cpu", weights_only=True)
        found = saved["format"]
        if found == FORMAT and (missing := names - saved.keys()):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except Exception as error:  # a broken file fails in many ways
        raise ValueError(
            f"{file} is no whole checkpoint ({first_line(error)}): restore it, or move it away to begin anew"
        ) from error
    if found != FORMAT:
        raise ValueError(
            f"{file} has checkpoint format {found}, and this version of contrastlib reads {FORMAT}: "
            "go on with the version that wrote it, or move it away to begin anew"
        )
    return saved


def first_line(error: Exception) -> str:
    """What kind of error, and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def run(
    recipe: Recipe, folder: str | os.PathLike, *, device: str | torch.device | None = None, progress: bool = True
) -> dict:
    """Train and evaluate a recipe, write FOLDER/ID.json, and return its record; a run that is there is not repeated.

    Checkpoint and log are in FOLDER/ID, so that a call that was interrupted goes on where it was.
    """
    folder = Path(folder)
    name = run_id(recipe)
    if (folder / f"{name}.json").exists():
        return results.read(name, folder)
    start = time.perf_counter()
    if recipe.loss in ("supervised", "none"):
        where = build.pick_device(device)
        encoder = untrained(recipe) if recipe.loss == "none" else supervised(recipe, device=where, progress=progress)
        outcome = Run(recipe, encoder, "finished", [], where, build.pick_precision(recipe, where))
    else:
        outcome = pretrain(recipe, folder=folder / name, device=device, progress=progress)
    figures, places = {}, {}
    if outcome.status == "finished":
        figures = evaluate(outcome.encoder, recipe, device=outcome.device)
        places = tsne(outcome.encoder, recipe)
    # What was trained before an interruption counts too.
    seconds = max(time.perf_counter() - start, sum(row["seconds"] for row in outcome.history))
    record = results.record(
        recipe, outcome.status, figures, outcome.history, seconds, outcome.device, outcome.precision, places
    )
    results.write(folder, record)
    return record
