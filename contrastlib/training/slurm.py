"""Sweeps on Slurm: the runs as one array of jobs, through submitit."""

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from contrastlib.training.local_workers import SweepRun, read_back, train_one
from contrastlib.training.recipes import parsed

__all__ = ["on_slurm", "parse_options"]

# Settings of the jobs, unless told otherwise. A job that reaches its time limit is queued again and
# resumes its run.
JOBS = {
    "name": "contrastlib",
    "timeout_min": 240,
    "slurm_setup": [
        "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_WAIT_POLICY=PASSIVE",
    ],
}
TIMEOUTS = 50  # how often a job is queued again at most


def parse_options(settings: Iterable[str]) -> dict:
    """Settings of jobs from KEY=VALUE texts. Errors: ValueError for any other text."""
    options = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        if not key or not text:
            raise ValueError(
                f"--slurm takes KEY=VALUE, such as timeout_min=600, and this is {setting!r}"
            )
        options[key] = parsed(text)
    return options


def on_slurm(
    todo: list[SweepRun],
    folder: Path,
    device: str | torch.device | None,
    options: dict,
    wait: bool,
) -> Iterator[SweepRun]:
    """Submit the runs as one array of jobs; yield each when submitted, started and ended.

    options: as for `sweep.sweep`. wait: False stops after the submission.
    Errors: ValueError without submitit, and where the jobs cannot be submitted.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ValueError(
            "jobs are submitted by submitit, not installed: pip install 'contrastlib[slurm]'"
        ) from None
    options = JOBS | options
    cluster = options.pop("cluster", "slurm")
    if not todo:
        return
    jobs = submit(todo, folder, device, options, cluster)
    run_of = {}
    for job, run in zip(jobs, todo, strict=True):
        run_of[job.job_id] = run
        run.status = "submitted"
        run.note = f"as job {job.job_id}"
        run.log = str(job.paths.stderr)
        yield run
    if wait:
        yield from follow(jobs, run_of, folder, cluster)


def submit(
    todo: list[SweepRun],
    folder: Path,
    device: str | torch.device | None,
    options: dict,
    cluster: str,
) -> list:
    """Submit the runs as one array; return submitit's jobs, in the order of the runs."""
    import submitit

    run_folders = [str(folder / run.id) for run in todo]
    devices = [str(device or "")] * len(todo)
    try:
        executor = submitit.AutoExecutor(
            folder / "slurm", cluster=cluster, slurm_max_num_timeout=TIMEOUTS
        )
        executor.update_parameters(**options)
        return executor.map_array(train, run_folders, devices)
    except Exception as error:  # submitit and sbatch have many kinds
        reason = " ".join(str(error).split())
        raise ValueError(
            f"the jobs could not be submitted ({type(error).__name__}: {reason})"
        ) from error


def follow(
    jobs: list, run_of: dict[str, SweepRun], folder: Path, cluster: str
) -> Iterator[SweepRun]:
    """Ask for the jobs' states until all have ended; yield each run when it starts and ends."""
    left = {job.job_id: job for job in jobs}
    start = time.monotonic()
    while left:
        waited = time.monotonic() - start
        time.sleep(min(30, 1 + waited / 20))
        states = unfinished(list(left.values()), cluster)
        for job_id in list(left):
            run = run_of[job_id]
            if states.get(job_id) == "RUNNING" and run.status == "submitted":
                run.status = "started"
                run.note = f"as job {job_id}"
                yield run
            elif job_id not in states:
                del left[job_id]
                wait_for_file(folder / f"{run.id}.json")
                yield read_back(run, folder, why=verdict(Path(run.log)))


def wait_for_file(path: Path) -> None:
    """Wait up to five seconds until a file server shows a file."""
    for _ in range(5):
        if path.exists():
            return
        time.sleep(1)


def verdict(log: Path) -> str:
    """What Slurm itself wrote at the end of a job that it ended; empty if nothing.

    For example JOB 7 ON node CANCELLED DUE TO TIME LIMIT.
    """
    if not log.exists():
        return ""
    last_lines = log.read_text(errors="replace").splitlines()[-10:]
    verdicts = re.findall(r"\*\*\* (.+) \*\*\*", "\n".join(last_lines))
    return verdicts[-1] if verdicts else ""


def unfinished(jobs: list, cluster: str) -> dict[str, str]:
    """The states of those jobs that have not ended, by job id.

    The queue is asked, since not every Slurm keeps accounts.
    """
    if cluster == "local":
        return {job.job_id: "RUNNING" for job in jobs if not job.done()}
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode != 0:  # the controller is busy: ask again
        return {job.job_id: "UNKNOWN" for job in jobs}
    states = {}
    for line in answer.stdout.splitlines():
        job_id, state = line.split()
        states[job_id] = state
    return states


def train(run_folder: str, device: str) -> str:
    """What runs on Slurm: as `local_workers.train_one`."""
    return train_one(run_folder, device)


def requeued(*arguments):
    """What submitit submits when a job reaches its time limit or is preempted: the same again."""
    import submitit

    return submitit.helpers.DelayedSubmission(train, *arguments)


train.checkpoint = requeued
