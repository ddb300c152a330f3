"""Checkpoints: all that a run needs to be resumed bit for bit, in one file."""

import io
import json
import os
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from contrastlib.training import distributed
from contrastlib.training.files import replace_file
from contrastlib.training.recipe import Recipe, from_dict, to_dict
from contrastlib.training.run_ids import run_id

FORMAT = 1
ADVICE = "give another folder, or move the checkpoint away to begin anew"


def state_of(part: nn.Module | torch.optim.Optimizer | torch.Generator) -> dict | Tensor:
    """All that a part needs to be resumed as it is."""
    if isinstance(part, torch.Generator):
        return part.get_state()
    return part.state_dict()


def load_state(part: nn.Module | torch.optim.Optimizer | torch.Generator, state: object) -> None:
    """Give a part the state that `state_of` returned."""
    if isinstance(part, torch.Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)


def save(
    folder: str | os.PathLike,
    recipe: Recipe,
    device_and_precision: str,
    parts: dict,
    history: list[dict],
) -> None:
    """Write checkpoint.pt, whole or not at all. Errors: OSError that names it."""
    saved = {
        "format": FORMAT,
        "recipe": to_dict(recipe),
        "place": device_and_precision,
        "history": history,
    }
    for name, part in parts.items():
        saved[name] = state_of(part)
    content = io.BytesIO()
    torch.save(saved, content)
    replace_file(Path(folder) / "checkpoint.pt", content.getvalue())


def restore(
    folder: str | os.PathLike, recipe: Recipe, device_and_precision: str, parts: dict
) -> tuple[list[dict], str]:
    """Give each part its state in the folder's checkpoint.pt, if there is one.

    Return the history up to there, and device and precision, such as "cpu in float32": a run is
    resumed in the precision in which it began, unless the recipe names one, so that it may move
    between processors that would choose differently. Every process reads; rank 0 drops the log's
    lines that are newer than the checkpoint, since those epochs are run again.
    """
    file = Path(folder) / "checkpoint.pt"
    history = []
    if file.exists():
        saved = load_checkpoint(file, {"recipe", "place", "history", *parts})
        check_same_run(file, saved, recipe, device_and_precision)
        for name, part in parts.items():
            try:
                load_state(part, saved[name])
            except Exception as error:  # each part has its own kind
                raise ValueError(
                    f"the {name} in {file} does not fit ({first_line(error)}): {ADVICE}"
                ) from error
        history = saved["history"]
        device_and_precision = saved["place"]
    if distributed.rank() == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(epoch_log) + "\n" for epoch_log in history]
        replace_file(file.with_name("log.jsonl"), "".join(lines).encode())
    return history, device_and_precision


def check_same_run(file: Path, saved: dict, recipe: Recipe, device_and_precision: str) -> None:
    """Refuse a checkpoint of another recipe, or of a device or precision that cannot resume it."""
    try:
        saved_id = run_id(from_dict(saved["recipe"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} is of another version ({first_line(error)}): {ADVICE}") from error
    if saved_id != run_id(recipe):
        other = {}
        for name, value in to_dict(recipe).items():
            if saved["recipe"].get(name) != value:
                other[name] = saved["recipe"].get(name)
        raise ValueError(f"{file} is of another recipe, one with {other}: {ADVICE}")
    if saved["place"] == device_and_precision:
        return
    same_device = saved["place"].split()[0] == device_and_precision.split()[0]
    if recipe.precision is not None or not same_device:
        raise ValueError(
            f"{file} was trained on {saved['place']}, and this would be {device_and_precision}: "
            f"{ADVICE}"
        )


def load_checkpoint(file: Path, names: set[str]) -> dict:
    """What a checkpoint holds under these names.

    Errors: ValueError for one that is damaged or of another format.
    """
    try:
        with zipfile.ZipFile(file) as content:
            broken = content.testzip()  # torch.load does not look at the checksums
        if broken:
            raise ValueError(f"{broken} has a wrong checksum")
        saved = torch.load(file, map_location="cpu", weights_only=True)
        found = saved["format"]
        missing = names - saved.keys()
        if found == FORMAT and missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except Exception as error:  # a broken file fails in many ways
        raise ValueError(
            f"{file} is no whole checkpoint ({first_line(error)}): "
            "restore it, or move it away to begin anew"
        ) from error
    if found != FORMAT:
        raise ValueError(
            f"{file} has checkpoint format {found}, and this version of contrastlib reads "
            f"{FORMAT}: go on with the version that wrote it, or move it away to begin anew"
        )
    return saved


def first_line(error: Exception) -> str:
    """What kind of error, and the first line of what it says."""
    lines = str(error).splitlines()
    text = lines[0] if lines else ""
    return f"{type(error).__name__}: {text}"
