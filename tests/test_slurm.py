"""Sweeps as jobs: through submitit's executor for this machine, and on a real Slurm of one node.

The Slurm is Debian's or Ubuntu's (packages slurm-wlm and munge). It is started here, runs as
whoever runs the tests, on ports of its own and with all its files in a temporary folder, and is
stopped afterwards.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import TINY, epochs_logged, holder, until

from contrastlib.training import local_workers, run_records, slurm, sweep
from contrastlib.training.recipes import run_id

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=1
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(n):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture
def cluster(monkeypatch):
    """A Slurm of one node; what its daemons say is in the test's output."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
    needed = ("munged", "slurmctld", "slurmd", "sbatch")
    missing = [name for name in needed if not shutil.which(name)]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}: apt-get install slurm-wlm munge")
    # Not tmp_path: munge wants the folder open to all, and its path short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    (folder / "spool").mkdir()
    (folder / "state").mkdir()
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)
    values = {
        "host": socket.gethostname().split(".")[0],
        "user": getpass.getuser(),
        "cores": os.cpu_count(),
    }
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, ports=free_ports(2), **values))
    version = subprocess.run(["slurmd", "-V"], capture_output=True, text=True).stdout.split()[1]
    major, minor = version.split(".")[:2]
    if (int(major), int(minor)) >= (23, 2):  # before that it cannot be said, and is not needed
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    monkeypatch.setenv("SLURM_CONF", str(conf))
    munged = [
        f"--{name}-file={folder}/{file}"
        for name, file in (("key", "key"), ("pid", "pid"), ("seed", "seed"))
    ]
    daemons = (
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munged],
        ["slurmctld", "-D", "-f", conf],
        ["slurmd", "-D", "-f", conf],
    )
    running = []
    try:
        for command in daemons:
            with open(folder / f"{command[0]}.log", "wb") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
            if command[0] == "munged":
                until((folder / "munge.socket").exists, 20)
        until(lambda: "idle" in queue("sinfo", "--format=%T"), 60)
        yield folder
        queue("scancel", "--user", values["user"])
        until(lambda: not queue("squeue", "--noheader"), 60)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(30)
        for log in folder.glob("*.log"):
            print(f"{log.name}:\n{log.read_text()}")
        shutil.rmtree(folder)


def queue(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def submissions(lines):
    """Those lines of a sweep's report that name a job, at their end."""
    return [line for line in lines if "submitted as job" in line]


def test_a_real_slurm(tmp_path, cluster):
    # Long enough not to end by itself in the seconds that Slurm takes to cancel it.
    long = replace(TINY, epochs=300)
    short = [replace(TINY, tau=0.1), replace(TINY, tau=1.0)]
    recipes = [long, *short]
    place = tmp_path / run_id(long)

    def cancel():
        until(lambda: epochs_logged(place) > 2)
        (line,) = [line for line in submissions(lines) if place.name in line]
        subprocess.run(["scancel", line.split()[-1]], check=True)

    lines = []
    canceller = threading.Thread(target=cancel)
    canceller.start()
    done = sweep.sweep(recipes, tmp_path, device="cpu", slurm={"timeout_min": 5}, say=lines.append)
    canceller.join()
    assert [run["status"] for run in done] == ["failed", "finished", "finished"]
    assert "CANCELLED" in done[0]["note"]
    assert Path(done[0]["log"]).parent == tmp_path / "slurm"
    assert sum("started as job" in line for line in lines) >= 1
    arrays = {line.split()[-1].split("_")[0] for line in submissions(lines)}
    assert len(arrays) == 1
    assert run_records.read(short[0], tmp_path)["hardware"]["threads"] == 1
    begun = epochs_logged(place)
    assert 2 < begun < 300

    lines = []
    done = sweep.sweep(recipes, tmp_path, device="cpu", slurm={"timeout_min": 5}, say=lines.append)
    assert [run["status"] for run in done] == ["finished", "done", "done"]
    assert done[0]["epochs"] == begun
    assert run_records.read(long, tmp_path)["history"]["epoch"] == list(range(1, 301))


def test_a_preempted_job_is_queued_again(tmp_path):
    recipe = replace(TINY, epochs=80)
    place = tmp_path / run_id(recipe)

    def preempt():
        until(lambda: epochs_logged(place) > 2)
        os.kill(holder(place), signal.SIGUSR2)  # as Slurm does, also when the time limit is near

    preemptor = threading.Thread(target=preempt)
    preemptor.start()
    (run,) = sweep.sweep(
        [recipe], tmp_path, device="cpu", slurm={"cluster": "local", "timeout_min": 5}
    )
    preemptor.join()
    assert run["status"] == "finished"
    assert run_records.read(recipe, tmp_path)["history"]["epoch"] == list(range(1, 81))
    assert Path(run["log"]).with_suffix(".out").read_text().count("Requeued job") == 1


def test_jobs_without_waiting_and_one_that_fails(tmp_path, monkeypatch):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)  # with nothing in it
    monkeypatch.setenv("CONTRASTLIB_DATA", str(tmp_path / "data"))
    recipe = replace(TINY, dataset="cifar10")
    (run,) = sweep.sweep(
        [recipe], tmp_path / "runs", device="cpu", slurm={"cluster": "local"}, wait=False
    )
    assert run["status"] == "submitted"
    os.waitpid(int(run["note"].split()[-1]), 0)
    run = local_workers.read_back(local_workers.SweepRun(**run), tmp_path / "runs")
    assert run.status == "failed"
    assert "has no folder train: put images at" in run.note


def test_what_slurm_says_at_the_end_of_a_job(tmp_path):
    log = tmp_path / "log.err"
    assert slurm.verdict(log) == ""
    limit = "JOB 7 ON n1 CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT"
    log.write_text(f"slurmstepd: error: *** {limit} ***\nsrun: error: timed out\n")
    assert slurm.verdict(log) == limit
    log.write_text(f"*** {limit} ***\n" + "line\n" * 10 + "ValueError: of the next attempt\n")
    assert slurm.verdict(log) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cluster": "local", "colour": 1}, "could not be submitted .*colour"),
        ({"cluster": "local", "timeout_min": "long"}, "timeout_min"),
        ({"cluster": "moon"}, "moon"),
    ],
)
def test_settings_that_cannot_be(tmp_path, options, words):
    with pytest.raises(ValueError, match=words) as error:
        sweep.sweep([TINY], tmp_path, slurm=options)
    assert "\n" not in str(error.value)


def test_without_submitit_or_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"Could not detect .srun."):
        sweep.sweep([TINY], tmp_path, slurm={})
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"pip install 'contrastlib.slurm.'"):
        sweep.sweep([TINY], tmp_path, slurm={})
