"""Checkpoints: all that a run needs to go on bit for bit, in one file that is there whole or not at all."""

import io
import json
import os
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from contrastlib.training import distributed, run_records
from contrastlib.training.recipes import Recipe, from_dict, run_id, to_dict

FORMAT = 1


def state_of(part: nn.Module | torch.optim.Optimizer | torch.Generator) -> dict | Tensor:
    """All that a part needs to go on as it is."""
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def save(folder: str | os.PathLike, recipe: Recipe, place: str, parts: dict, history: list[dict]) -> None:
    """Write checkpoint.pt, whole or not at all."""
    about = {"format": FORMAT, "recipe": to_dict(recipe), "place": place, "history": history}
    content = io.BytesIO()
    torch.save(about | {name: state_of(part) for name, part in parts.items()}, content)
    run_records.replace_file(Path(folder) / "checkpoint.pt", content.getvalue())


def restore(folder: str | os.PathLike, recipe: Recipe, place: str, parts: dict) -> tuple[list[dict], str]:
    """Give each part its state in the folder's checkpoint.pt, if there is one.

    Return the history up to there, and the place, such as "cpu in float32": a run goes on in the precision in which it
    began, unless the recipe names one, so that it may move between processors that would choose differently. Of several
    processes each reads, and the first cuts the log off where the checkpoint ends.
    """
    file = Path(folder) / "checkpoint.pt"
    history = []
    if file.exists():
        saved = load_checkpoint(file, {"recipe", "place", "history", *parts})
        advice = "give another folder, or move the checkpoint away to begin anew"
        if run_id(from_dict(saved["recipe"])) != run_id(recipe):
            other = {key: saved["recipe"].get(key) for key in to_dict(recipe)}
            other = {key: value for key, value in other.items() if value != to_dict(recipe)[key]}
            raise ValueError(f"{file} is of another recipe, one with {other}: {advice}")
        same_device = saved["place"].split()[0] == place.split()[0]
        if saved["place"] != place and (recipe.precision is not None or not same_device):
            raise ValueError(f"{file} was trained on {saved['place']}, and this would be {place}: {advice}")
        for name, part in parts.items():
            try:
                (part.set_state if isinstance(part, torch.Generator) else part.load_state_dict)(saved[name])
            except Exception as error:  # each part has its own kind
                raise ValueError(f"the {name} in {file} does not fit ({first_line(error)}): {advice}") from error
        history = saved["history"]
        place = saved["place"]
    if distributed.rank() == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        # What the log says of epochs after the checkpoint will be said again.
        lines = "".join(json.dumps(row) + "\n" for row in history)
        run_records.replace_file(file.with_name("log.jsonl"), lines.encode())
    return history, place


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
