"""Sweeps on Slurm: the runs as one array of jobs, through submitit."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from contrastlib.training.local_workers import Run, ended, work

__all__ = ["on_slurm"]

JOBS = {  # unless told otherwise; a job that reaches its time limit is queued again and goes on
    "name": "contrastlib",
    "timeout_min": 240,
    "slurm_setup": ["export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_WAIT_POLICY=PASSIVE"],
}
TIMEOUTS = 50  # how often at most


def on_slurm(
    todo: list[Run], folder: Path, device: str | torch.device | None, options: dict, wait: bool
) -> Iterator[Run]:
    """Submit the runs as one array of jobs; yield each when it is submitted, when it starts and when it ends."""
    try:
        import submitit
    except ImportError:
        raise ValueError("jobs are submitted by submitit, not installed: pip install 'contrastlib[slurm]'") from None
    options = JOBS | options
    cluster = options.pop("cluster", "slurm")
    if not todo:
        return
    places = [str(folder / run.id) for run in todo]
    try:
        executor = submitit.AutoExecutor(folder / "slurm", cluster=cluster, slurm_max_num_timeout=TIMEOUTS)
        executor.update_parameters(**options)
        jobs = executor.map_array(train, places, [str(device or "")] * len(places))
    except Exception as error:  # submitit and sbatch have many kinds
        reason = " ".join(str(error).split())
        raise ValueError(f"the jobs could not be submitted ({type(error).__name__}: {reason})") from error
    left = {job.job_id: (job, run) for job, run in zip(jobs, todo, strict=True)}
    for job, run in left.values():
        run.status, run.note, run.log = "submitted", f"as job {job.job_id}", str(job.paths.stderr)
        yield run
    start = time.monotonic()
    while wait and left:
        time.sleep(min(30, 1 + (time.monotonic() - start) / 20))
        states = unfinished([job for job, _ in left.values()], cluster)
        for name, (_, run) in list(left.items()):
            if states.get(name) == "RUNNING" and run.status == "submitted":
                run.status, run.note = "started", f"as job {name}"
                yield run
            elif name not in states:
                del left[name]
                for _ in range(5):  # until a file server shows the outcome
                    if (folder / f"{run.id}.json").exists():
                        break
                    time.sleep(1)
                yield ended(run, folder, why=verdict(Path(run.log)))


def verdict(log: Path) -> str:
    """What Slurm itself wrote at the end of a job it ended, such as JOB 7 ON node CANCELLED DUE TO TIME LIMIT."""
    end = "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""
    return (re.findall(r"\*\*\* (.+) \*\*\*", end) or [""])[-1]


def unfinished(jobs: list, cluster: str) -> dict[str, str]:
    """The states of those jobs that are not over; asks the queue, since not every Slurm keeps accounts."""
    if cluster == "local":
        return {job.job_id: "RUNNING" for job in jobs if not job.done()}
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:  # the controller is busy: ask again
        return {job.job_id: "UNKNOWN" for job in jobs}
    return dict(line.split() for line in answer.stdout.splitlines())


def train(place: str, device: str) -> str:
    """What runs on Slurm: as `workers.work`."""
    return work(place, device)


def requeued(*arguments):
    """What submitit submits when a job has reached its time limit or was preempted: the same again."""
    import submitit

    return submitit.helpers.DelayedSubmission(train, *arguments)


train.checkpoint = requeued
