"""Workers: each run in a process of its own, some at a time, on this machine.

A run's folder holds its recipe.json, its checkpoint.pt and log.jsonl (see `train`), output.log, which is what its
process printed, and lock, held by the process that trains the run, so that there are never two. For Linux and macOS.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from contrastlib.checks import check_count
from contrastlib.data import dataset_info, load
from contrastlib.training import cost_estimate, loop, run_records
from contrastlib.training.build import cores, pick_device
from contrastlib.training.recipes import Recipe, from_dict
from contrastlib.training.run_records import lock

__all__ = ["Run", "ended", "find", "here", "slots", "work"]


@dataclass
class Run:
    """One run of a sweep.

    status: "there" (in the folder, or shipped with the library) or "to do"; then "submitted", "started", and in the end
    "finished", "diverged" or "failed", with the reason in note. epochs: how many were trained before. log: the file
    with what its process printed.
    """

    id: str
    recipe: Recipe
    label: str
    status: str = "to do"
    note: str = ""
    epochs: int = 0
    log: str | None = None


def here(
    todo: list[Run], folder: Path, environments: list[dict], device: str | torch.device | None = None
) -> Iterator[Run]:
    """Train the runs on this machine, as many at a time as there are environments; yield each at its start and end."""
    waiting, free, running = deque(todo), deque(environments), {}
    try:
        while waiting or running:
            while waiting and free:
                run, slot = waiting.popleft(), free.popleft()
                run.status, run.log = "started", str(folder / run.id / "output.log")
                command = [
                    sys.executable,
                    "-m",
                    "contrastlib.training.local_workers",
                    str(folder / run.id),
                    str(device or ""),
                ]
                with open(run.log, "ab") as log:
                    # Not in our group: Ctrl-C is ours to handle. The pipe tells a worker when we are no more.
                    process = subprocess.Popen(
                        command,
                        env=os.environ | slot,
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                running[process] = run, slot, time.monotonic()
                yield run
            time.sleep(0.05)
            for process in [process for process in running if process.poll() is not None]:
                run, slot, start = running.pop(process)
                process.stdin.close()
                free.append(slot)
                why = f"killed by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else ""
                why += ", perhaps for want of memory" * why.endswith("SIGKILL")
                yield ended(run, folder, time.monotonic() - start, why)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
            process.stdin.close()


def slots(workers: int | None, device: str | torch.device | None) -> list[dict[str, str]]:
    """What each worker's environment says: its share of the processor's cores, and which GPU is its own."""
    where = pick_device(device)
    gpus = []
    if where.type == "cuda" and where.index is None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
        gpus = visible.split(",")
    if workers is None:
        workers = cores() if where.type == "cpu" else len(gpus) or 1
    check_count("workers", workers)
    shared = {"OMP_NUM_THREADS": str(max(1, cores() // workers)), "OMP_WAIT_POLICY": "PASSIVE"}
    shared["LOCAL_WORLD_SIZE"] = str(workers)  # for `build.decoders`
    own = [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {} for i in range(workers)]
    return [shared | one for one in own]


def ended(run: Run, folder: Path, seconds: float | None = None, why: str = "") -> Run:
    """The run as its process left it. why: what is known of the process's end; else its last line tells."""
    try:
        outcome = find(run, folder)
    except ValueError as error:
        outcome, why = None, str(error)
    if outcome:
        run.status, run.note = outcome["status"], "" if seconds is None else f"in {cost_estimate.span(seconds)}"
        return run
    log = Path(run.log)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")
    run.status, run.note = "failed", why or last
    return run


def find(run: Run, folder: str | os.PathLike) -> dict | None:
    """A run's outcome, if it is there; ValueError where it is damaged."""
    try:
        return run_records.read(run.id, folder)
    except FileNotFoundError:
        return None


def work(place: str, device: str = "") -> str:
    """Train the run whose recipe is in PLACE/recipe.json; its outcome goes beside PLACE. Return its status.

    Errors: ValueError where another process is at it, and as in `train.run`.
    """
    folder = Path(place).parent
    recipe = from_dict(json.loads((Path(place) / "recipe.json").read_text()))
    info = dataset_info(recipe.dataset)
    if not info.bundled and not info.streamed:
        with lock(folder / f"{recipe.dataset}.lock", wait=True):  # one worker downloads, the others wait
            for split in ("train", "test"):
                load(recipe.dataset, split, limit=2)
    return loop.run(recipe, folder, device=device or None, progress=False)["status"]


def main(place: str, device: str = "") -> int:
    """One worker of `here`; it ends with its parent."""

    def follow():
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    try:
        work(place, device)
        return 0
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
