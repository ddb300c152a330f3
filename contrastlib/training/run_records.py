"""Records of runs: one small JSON file each, with all that is needed to judge or repeat the run.

A record is named by the run's id. It holds: id, recipe, seed, status ("finished" or "diverged"),
metrics, map (t-SNE, or empty), history (the log, a list for each of its columns, to four digits),
seconds (wall time), code (version and, from a checkout, commit), packages and hardware.
"""

import json
import math
import os
import re
from pathlib import Path

import torch

from contrastlib import __version__
from contrastlib.training.environment import git_commit, installed, processor
from contrastlib.training.files import replace_file
from contrastlib.training.recipe import Recipe, from_dict, to_dict
from contrastlib.training.run_ids import run_id

__all__ = ["read", "read_all", "record", "write"]

SCHEMA = {
    "id": str,
    "recipe": dict,
    "seed": int,
    "status": str,
    "metrics": dict,
    "map": dict,
    "history": dict,
    "seconds": (int, float),
    "code": dict,
    "packages": dict,
    "hardware": dict,
}
STATUS = ("finished", "diverged")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the anchors, in a profile


def record(
    recipe: Recipe,
    status: str,
    metrics: dict,
    history: list[dict],
    seconds: float,
    device: str | torch.device,
    precision: str,
    tsne: dict | None = None,
    commit: str | None = None,
) -> dict:
    """The record of a run that was done here and now.

    commit: of the code that ran; None: the checkout's at present.
    """
    device = torch.device(device)
    columns = {}
    for name in column_names(history):
        columns[name] = [round_to_four(epoch_log.get(name)) for epoch_log in history]
    packages = ("torch", "torchvision", "numpy", "scikit-learn")
    return {
        "id": run_id(recipe),
        "recipe": to_dict(recipe),
        "seed": recipe.seed,
        "status": status,
        "metrics": metrics,
        "map": tsne or {},
        "history": columns,
        "seconds": round(seconds, 1),
        "code": {"version": __version__, "commit": commit or git_commit()},
        "packages": {name: installed(name) for name in packages},
        "hardware": hardware(device, precision),
    }


def column_names(history: list[dict]) -> list[str]:
    """All names in the lines of a log, in the order in which they first stand there."""
    names = []
    for epoch_log in history:
        for name in epoch_log:
            if name not in names:
                names.append(name)
    return names


def hardware(device: torch.device, precision: str) -> dict:
    """On what a run was trained."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {
        "device": name,
        "kind": device.type,
        "threads": torch.get_num_threads(),
        "precision": precision,
    }


def write(folder: str | os.PathLike, record: dict) -> Path:
    """Write FOLDER/ID.json whole or not at all, and return its path.

    Errors: ValueError for what `read` would refuse.
    """
    path = Path(folder) / f"{record.get('id')}.json"
    validate(record, path)
    try:
        lines = []
        for name, value in record.items():
            lines.append(f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"the outcome {path.name} cannot be written as JSON: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    replace_file(path, text.encode())
    return path


def round_to_four(value: float | None) -> float | None:
    """The value to four significant digits: enough to draw a curve by."""
    if value is None:
        return None
    return float(f"{value:.4g}")


def read(run: str | Recipe, folder: str | os.PathLike) -> dict:
    """The record of a run in a folder, by its id or its recipe.

    Errors: FileNotFoundError where there is none, ValueError for a file that is damaged, which it
    names.
    """
    name = run_id(run) if isinstance(run, Recipe) else run
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no outcome {path.name} in {folder}: train its recipe first"
        )
    return load_file(path)


def read_all(folder: str | os.PathLike) -> list[dict]:
    """All records in a folder, by id; errors as for `read`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} to read outcomes from")
    paths = [path for path in folder.iterdir() if is_record(path.name)]
    return [load_file(path) for path in sorted(paths, key=lambda path: path.name)]


def is_record(name: str) -> bool:
    """Whether a file's name is a run's id and .json: other files may lie beside them."""
    return re.fullmatch(r"[0-9a-f]{12}\.json", name) is not None


def load_file(path: Path) -> dict:
    """One file's record, validated."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # bad JSON, bad UTF-8
        raise ValueError(damaged(path, str(error))) from error
    validate(found, path)
    return found


def validate(found: object, path: Path) -> None:
    """Refuse, in one line that names the file, anything but a record that belongs there."""
    fault = find_fault(found, path)
    if fault is not None:
        raise ValueError(damaged(path, fault))


def damaged(path: Path, fault: str) -> str:
    """What is said of a damaged file."""
    return f"the outcome {path} is damaged ({fault}): restore it, or delete it and train again"


def find_fault(found: object, path: Path) -> str | None:
    """What is wrong with a record in this file; None if nothing is."""
    if not isinstance(found, dict):
        return f"it holds a {type(found).__name__}, no record"
    missing = [name for name in SCHEMA if name not in found]
    if missing:
        return f"it lacks {', '.join(missing)}"
    wrong = [name for name, kind in SCHEMA.items() if not isinstance(found[name], kind)]
    if wrong:
        return f"of the wrong type: {', '.join(wrong)}"
    if found["status"] not in STATUS:
        return f"status is {found['status']!r}, none of: {', '.join(STATUS)}"
    if not all(isinstance(column, list) for column in found["history"].values()):
        return "history has a column that is no list"
    if not all(finite(metric) for metric in found["metrics"].values()):
        return "a metric is no finite number"
    if found["status"] == "finished" and not found["metrics"]:
        return "the run finished, but there are no metrics"
    try:
        name = run_id(from_dict(found["recipe"]))
    except (TypeError, ValueError) as error:
        return f"its recipe is none: {error}"
    if not found["id"] == name == path.name.removesuffix(".json"):
        return f"its recipe is that of run {name}, its id {found['id']}"
    return None


def finite(value: object) -> bool:
    """Whether a metric is a finite number, or a list of them."""
    if isinstance(value, list):
        return all(finite(inner) for inner in value)
    return isinstance(value, (int, float)) and math.isfinite(value)
