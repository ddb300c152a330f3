"""Outcomes of runs: one small JSON file each, named by the run's id, with all that is needed to judge or repeat it.

A record holds: id, recipe, seed, status ("finished" or "diverged"), metrics, map (t-SNE, or empty), history (the log, a
list for each of its columns, to four digits), seconds (wall time), code (version and, from a checkout, commit),
packages and hardware.
"""

import json
import math
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from contrastlib import __version__
from contrastlib.training.environment import git_commit, installed, processor
from contrastlib.training.recipes import Recipe, from_dict, run_id, to_dict

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["read", "read_all", "record", "write"]

CONTENT = {
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
) -> dict:
    """The record of a run that was done here and now."""
    device = torch.device(device)
    columns = dict.fromkeys(name for row in history for name in row)
    return {
        "id": run_id(recipe),
        "recipe": to_dict(recipe),
        "seed": recipe.seed,
        "status": status,
        "metrics": metrics,
        "map": tsne or {},
        "history": {name: [digits(row.get(name)) for row in history] for name in columns},
        "seconds": round(seconds, 1),
        "code": {"version": __version__, "commit": git_commit()},
        "packages": {name: installed(name) for name in ("torch", "torchvision", "numpy", "scikit-learn")},
        "hardware": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
            "kind": device.type,
            "threads": torch.get_num_threads(),
            "precision": precision,
        },
    }


def write(folder: str | os.PathLike, record: dict) -> Path:
    """Write FOLDER/ID.json whole or not at all, and return its path; ValueError for what `read` would refuse."""
    path = Path(folder) / f"{record.get('id')}.json"
    check(record, path)
    try:
        lines = [f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in record.items()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"the outcome {path.name} cannot be written as JSON: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    return path


def digits(value: float | None) -> float | None:
    """The value to four significant digits: enough to draw a curve by."""
    return None if value is None else float(f"{value:.4g}")


def read(run: str | Recipe, folder: str | os.PathLike) -> dict:
    """The record of a run in a folder, by its id or its recipe.

    Errors: FileNotFoundError where there is none, ValueError for a file that is damaged, which it names.
    """
    name = f"{run_id(run) if isinstance(run, Recipe) else run}.json"
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(f"there is no outcome {name} in {folder}: train its recipe first")
    return load_file(path)


def read_all(folder: str | os.PathLike) -> list[dict]:
    """All records in a folder, by id; errors as for `read`."""
    where = Path(folder)
    if not where.is_dir():
        raise FileNotFoundError(f"there is no folder {where} to read outcomes from")
    return [load_file(path) for path in sorted(where.iterdir(), key=lambda path: path.name) if is_outcome(path.name)]


def is_outcome(name: str) -> bool:
    """Whether a file's name is a run's id and .json: other files may lie beside them."""
    return re.fullmatch(r"[0-9a-f]{12}\.json", name) is not None


def load_file(path) -> dict:
    """One file's record, checked."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # bad JSON, bad UTF-8
        raise ValueError(
            f"the outcome {path} is damaged ({error}): restore it, or delete it and train again"
        ) from error
    check(found, path)
    return found


def check(found: object, path) -> None:
    """Refuse, in one line that names the file, anything but a record that belongs there."""
    fault = None
    if not isinstance(found, dict):
        fault = f"it holds a {type(found).__name__}, no record"
    elif missing := [name for name in CONTENT if name not in found]:
        fault = f"it lacks {', '.join(missing)}"
    elif wrong := [name for name, kind in CONTENT.items() if not isinstance(found[name], kind)]:
        fault = f"of the wrong type: {', '.join(wrong)}"
    elif found["status"] not in STATUS:
        fault = f"status is {found['status']!r}, none of: {', '.join(STATUS)}"
    elif not all(isinstance(column, list) for column in found["history"].values()):
        fault = "history has a column that is no list"
    elif not all(map(finite, found["metrics"].values())):
        fault = "a metric is no finite number"
    elif found["status"] == "finished" and not found["metrics"]:
        fault = "the run finished, but there are no metrics"
    else:
        try:
            name = run_id(from_dict(found["recipe"]))
            if not found["id"] == name == path.name.removesuffix(".json"):
                fault = f"its recipe is that of run {name}, its id {found['id']}"
        except (TypeError, ValueError) as error:
            fault = f"its recipe is none: {error}"
    if fault:
        raise ValueError(f"the outcome {path} is damaged ({fault}): restore it, or delete it and train again")


def finite(value: object) -> bool:
    """Whether a metric is a finite number, or a list of them."""
    if isinstance(value, list):
        return all(map(finite, value))
    return isinstance(value, (int, float)) and math.isfinite(value)


def replace_file(path: Path, content: bytes) -> None:
    """Put content in a file's place at once: whoever reads, or is killed, finds the old or the new, never a part."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


@contextmanager
def lock(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a file's lock, which ends with the process at the latest; ValueError if another has it and wait is False.

    Where there are no such locks, on Windows and on some network drives, it does nothing.
    """
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"the run in {path.parent} is being trained by another process ({file.read() or 'unnamed'}): "
                "wait until it is done, or end it"
            ) from None
        except OSError:  # the drive has no locks
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
