"""Local workers: each run of a sweep in a process of its own, some at a time, on this machine.

A run's folder holds its recipe.json, its checkpoint.pt and log.jsonl (see `loop`), output.log,
which is what its process printed, and lock, which the process that trains the run holds, so that
there are never two. For Linux and macOS.
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
from contrastlib.training import cost_estimate, one_run, run_records
from contrastlib.training.devices import ONE_THREAD_NETS, core_count, pick_device
from contrastlib.training.files import lock
from contrastlib.training.recipe import Recipe, from_dict

__all__ = [
    "SweepRun",
    "read_back",
    "read_or_none",
    "run_locally",
    "train_one",
    "worker_environments",
]


@dataclass
class SweepRun:
    """One run of a sweep.

    status: "done" (in the folder, or shipped with the library) or "to do"; then "submitted",
    "started", and in the end "finished", "diverged" or "failed", with the reason in note. epochs:
    how many were trained before. log: the file with what its process printed.
    """

    id: str
    recipe: Recipe
    label: str
    status: str = "to do"
    note: str = ""
    epochs: int = 0
    log: str | None = None


@dataclass
class Worker:
    """A process that trains a run."""

    run: SweepRun
    process: subprocess.Popen
    environment: dict[str, str]
    start: float


def run_locally(
    todo: list[SweepRun],
    folder: Path,
    environments: list[dict[str, str]],
    device: str | torch.device | None = None,
    threads: int | None = None,
) -> Iterator[SweepRun]:
    """Train the runs on this machine, as many at a time as there are environments.

    Yield each run when it starts and when it ends. threads: of each worker, as the environments
    say; None: they say its share of the cores, but a tiny network gets one.
    """
    waiting = deque(todo)
    free = deque(environments)
    workers: list[Worker] = []
    try:
        while waiting or workers:
            while waiting and free:
                run = waiting.popleft()
                worker = start_worker(run, folder, free.popleft(), device, threads)
                workers.append(worker)
                yield worker.run
            time.sleep(0.05)
            ended = [worker for worker in workers if worker.process.poll() is not None]
            for worker in ended:
                workers.remove(worker)
                worker.process.stdin.close()
                free.append(worker.environment)
                seconds = time.monotonic() - worker.start
                why = why_killed(worker.process.returncode)
                yield read_back(worker.run, folder, seconds, why)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.wait()
            worker.process.stdin.close()


def start_worker(
    run: SweepRun,
    folder: Path,
    environment: dict[str, str],
    device: str | torch.device | None,
    threads: int | None,
) -> Worker:
    """Start the process that trains a run."""
    run.status = "started"
    run.log = str(folder / run.id / "output.log")
    variables = os.environ | environment
    if threads is None and run.recipe.backbone in ONE_THREAD_NETS:
        variables["OMP_NUM_THREADS"] = "1"
    module = "contrastlib.training.local_workers"
    with open(run.log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder / run.id), str(device or "")],
            env=variables,
            stdin=subprocess.PIPE,  # when it closes, the worker knows that we have ended
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C reaches this process alone
        )
    return Worker(run, process, environment, time.monotonic())


def why_killed(returncode: int) -> str:
    """Which signal ended a process; empty if none did."""
    if returncode >= 0:
        return ""
    name = signal.Signals(-returncode).name
    if name == "SIGKILL":
        return "killed by SIGKILL, perhaps for want of memory"
    return f"killed by {name}"


def worker_environments(
    workers: int | None,
    device: str | torch.device | None,
    threads: int | None = None,
) -> list[dict[str, str]]:
    """Environment variables for each worker: its threads, and which GPU is its own.

    workers: how many; None: one for each GPU, or for each core. threads: of each; None: they share
    the cores evenly.
    """
    device = pick_device(device)
    gpus = []
    if device.type == "cuda" and device.index is None:
        gpus = visible_gpus()
    if workers is None:
        workers = core_count() if device.type == "cpu" else max(1, len(gpus))
    check_count("workers", workers)
    if threads is None:
        threads = max(1, core_count() // workers)
    check_count("threads", threads)
    environments = []
    for index in range(workers):
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "LOCAL_WORLD_SIZE": str(workers),  # for `devices.decode_workers`
        }
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
        environments.append(environment)
    return environments


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        return visible.split(",")
    return [str(index) for index in range(torch.cuda.device_count())]


def read_back(run: SweepRun, folder: Path, seconds: float | None = None, why: str = "") -> SweepRun:
    """The run as its process left it.

    seconds: how long it took, if known. why: what is known of the process's end; where nothing is,
    the last line of its log tells.
    """
    try:
        record = read_or_none(run, folder)
    except ValueError as error:
        record = None
        why = str(error)
    if record is not None:
        run.status = record["status"]
        run.note = "" if seconds is None else f"in {cost_estimate.format_seconds(seconds)}"
        return run
    run.status = "failed"
    run.note = why or last_line(Path(run.log))
    return run


def last_line(log: Path) -> str:
    """The last line of a log that is not empty."""
    if log.exists():
        for line in reversed(log.read_text(errors="replace").splitlines()):
            if line.strip():
                return line.strip()
    return "it ended without a word"


def read_or_none(run: SweepRun, folder: str | os.PathLike) -> dict | None:
    """A run's record, if it is there. Errors: ValueError where it is damaged."""
    try:
        return run_records.read(run.id, folder)
    except FileNotFoundError:
        return None


def train_one(run_folder: str, device: str = "") -> str:
    """Train the run whose recipe is in RUN_FOLDER/recipe.json, and return its status.

    Its record goes beside RUN_FOLDER. Errors: ValueError where another process trains this run, and
    as in `one_run.run`.
    """
    folder = Path(run_folder).parent
    recipe = from_dict(json.loads((Path(run_folder) / "recipe.json").read_text()))
    info = dataset_info(recipe.dataset)
    if not info.bundled and not info.streamed:
        # One worker downloads, the others wait.
        with lock(folder / f"{recipe.dataset}.lock", wait=True):
            for split in ("train", "test"):
                load(recipe.dataset, split, limit=2)
    record = one_run.run(recipe, folder, device=device or None, progress=False)
    return record["status"]


def end_with_parent() -> None:
    """Wait until the parent's end of standard input is closed, then end this process."""
    os.read(0, 1)
    os._exit(1)


def main(run_folder: str, device: str = "") -> int:
    """One worker of `run_locally`; it ends with its parent."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        train_one(run_folder, device)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
