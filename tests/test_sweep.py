"""Sweeps: nothing is done twice, nothing begun is lost, and a run that fails costs no other."""

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from helpers import CLOCK, TINY, epochs_logged, holder, prepared, until
from torch import nn

from contrastlib.__main__ import main
from contrastlib.reproduction import grids
from contrastlib.reproduction.shipped import FOLDER
from contrastlib.training import (
    components,
    cost_estimate,
    devices,
    files,
    local_workers,
    run,
    run_records,
    sweep,
)
from contrastlib.training.recipes import live, paper, run_id, small

TINY_ID = run_id(TINY)


@pytest.fixture(autouse=True)
def restored():
    threads = torch.get_num_threads()
    handler = signal.getsignal(signal.SIGTERM)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def no_workers(monkeypatch):
    """For what must be settled before any process is started."""
    monkeypatch.setattr(sys, "executable", "/no/python")


def history(record):
    return {name: column for name, column in record["history"].items() if name not in CLOCK}


def test_two_at_a_time_and_one_fails(tmp_path, monkeypatch):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)  # with nothing in it
    monkeypatch.setenv("CONTRASTLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the sweep shares out the cores, whatever this says
    bad = replace(TINY, dataset="cifar10")
    good = TINY
    lines = []
    done = sweep.sweep(
        [bad, good, good], tmp_path / "runs", workers=2, device="cpu", say=lines.append
    )
    assert [run["status"] for run in done] == ["failed", "finished"]
    assert [run["id"] for run in done] == [run_id(bad), run_id(good)]
    assert lines[0] == f"2 of 2 runs to do in {tmp_path / 'runs'}"
    assert [line.split()[-1] for line in lines[1:3]] == [
        "started",
        "started",
    ]  # before either has ended
    assert "has no folder train: put images at" in done[0]["note"]
    assert lines[-1].startswith(f"{run_id(bad)}  cifar10 contrastive tau 0.2 seed 0: ")
    assert lines[-1].endswith(f"(see {tmp_path / 'runs' / run_id(bad) / 'output.log'})")
    record = run_records.read(good, tmp_path / "runs")
    assert record["hardware"]["threads"] == 1  # for so small a network

    monkeypatch.setattr(sys, "executable", "/no/python")  # now there is nothing to start
    (again,) = sweep.sweep([good], tmp_path / "runs", say=lines.append)
    assert again["status"] == "done"
    assert run_records.read(good, tmp_path / "runs") == record


def test_killed_stopped_and_taken_up_again(tmp_path):
    pair = [replace(TINY, tau=tau, epochs=120) for tau in (0.07, 0.2)]
    killed, stopped = (tmp_path / run_id(recipe) for recipe in pair)
    pids = []

    def kill():
        until(lambda: epochs_logged(killed) > 2 and epochs_logged(stopped) > 2)
        pids.extend([holder(killed), holder(stopped)])
        os.kill(pids[0], signal.SIGKILL)

    def say(line):
        lines.append(line)
        if "failed: killed by SIGKILL" in line:
            raise KeyboardInterrupt

    lines = []
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(pair, tmp_path, workers=2, device="cpu", say=say)
    killer.join()
    assert lines[-1].startswith(
        f"{killed.name}  digits contrastive tau 0.07 seed 0  failed: killed by SIGKILL"
    )
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    lines = []
    done = sweep.sweep(pair, tmp_path, workers=2, device="cpu", say=lines.append)
    assert [run["status"] for run in done] == ["finished", "finished"]
    assert all(2 < run["epochs"] < 120 for run in done)
    assert f"resumed after epoch {done[0]['epochs']}" in lines[1]
    record = run_records.read(pair[0], tmp_path)
    torch.set_num_threads(record["hardware"]["threads"])
    straight = run(pair[0], tmp_path / "straight", device="cpu", progress=False)
    assert record["metrics"] == straight["metrics"]
    assert history(record) == history(straight)


def test_a_worker_ends_with_its_parent(tmp_path):
    place = prepared(replace(TINY, epochs=100_000), tmp_path)
    command = [sys.executable, "-m", "contrastlib.training.local_workers", str(place), "cpu"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE
    ) as process:  # the sweep holds the pipe, and nobody else
        until(lambda: epochs_logged(place) > 0)
        process.stdin.close()
        assert process.wait(30) == 1
    with files.lock(place / "lock"):
        pass


def test_one_process_a_run(tmp_path):
    place = prepared(TINY, tmp_path)
    message = (
        f"{TINY_ID} is being trained by another process .process {os.getpid()} on .*: "
        "wait until it is done"
    )
    with files.lock(place / "lock"), pytest.raises(ValueError, match=message):
        local_workers.train_one(str(place), "cpu")
    assert not list(tmp_path.glob("*.json"))


def test_what_the_library_ships_is_not_repeated(tmp_path, no_workers):
    shipped = tmp_path / "shipped"
    folder = tmp_path / "runs"
    row = {"epoch": 1, "loss": None}
    run_records.write(
        shipped, run_records.record(TINY, "diverged", {}, [row], 1.0, "cpu", "float32")
    )
    lines = []
    (item,) = sweep.sweep([TINY], folder, shipped=shipped, say=lines.append)
    assert item["status"] == "done"
    assert lines[0] == f"{TINY_ID}  digits contrastive tau 0.2 seed 0  already done (diverged)"
    (item,) = sweep.plan([TINY], folder)
    assert item.status == "to do"


def test_a_damaged_outcome_is_named_and_kept(tmp_path, no_workers):
    (tmp_path / f"{TINY_ID}.json").write_text("{")
    (item,) = sweep.sweep([TINY], tmp_path, say=print)
    assert item["status"] == "failed"
    assert f"{TINY_ID}.json is damaged" in item["note"]
    assert (tmp_path / f"{TINY_ID}.json").read_text() == "{"


def test_labels_say_what_differs():
    recipes = [
        TINY,
        replace(TINY, tau=1),
        replace(TINY, loss="simple"),
        replace(TINY, loss="simple", lam=0.5),
        replace(TINY, tau="learnt"),
    ]
    recipes += [
        replace(TINY, seed=1),
        replace(TINY, seed=1, augmentation=replace(TINY.augmentation, flip=0.5)),
    ]
    assert sweep.labels(recipes) == [
        "digits contrastive tau 0.2 seed 0",
        "digits contrastive tau 1 seed 0",
        "digits simple seed 0 lam None",
        "digits simple seed 0 lam 0.5",
        "digits contrastive tau learnt seed 0",
        "digits contrastive tau 0.2 seed 1 augmentation.flip 0.0",
        "digits contrastive tau 0.2 seed 1 augmentation.flip 0.5",
    ]


def slow_operations(recipe, channels, side):
    """Two for each product of each convolution and linear layer, summed in a forward pass."""
    total = 0

    def count(module, _, out):
        nonlocal total
        total += 2 * module.weight[0].numel() * out.numel()

    encoder = components.build_encoder(recipe, channels).eval()
    for module in encoder.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.no_grad():
        encoder(torch.zeros(1, channels, side, side))
    return total


@pytest.mark.parametrize(
    ("recipe", "channels", "side", "images", "passes"),
    [
        (paper("svhn"), 3, 32, 73_257, 3),
        (replace(small(), limit=5000, views=2), 3, 32, 5000, 6),
        (replace(small(), limit=5000, views=2, g="queue", width=32), 3, 32, 5000, 4),
        (live(), 1, 8, 1437, 3),
        (replace(live(), limit=5000), 1, 8, 1437, 3),
    ],
)
def test_operations(recipe, channels, side, images, passes):
    assert cost_estimate.flops(recipe) == recipe.epochs * images * passes * slow_operations(
        recipe, channels, side
    )
    assert cost_estimate.flops(recipe, recipe.epochs - 1) == pytest.approx(
        cost_estimate.flops(recipe) / recipe.epochs
    )
    assert cost_estimate.flops(replace(recipe, loss="none")) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (150, "2 min"),
        (5999, "100 min"),
        (9000, "2.5 h"),
        (300_000, "3.5 days"),
    ],
)
def test_format_seconds(seconds, text):
    assert cost_estimate.format_seconds(seconds) == text


def test_dry_run_adds_up(tmp_path, capsys, monkeypatch, no_workers):
    monkeypatch.setenv("CONTRASTLIB_DATA", str(tmp_path / "nowhere"))
    names = ("cifar10", "cifar100", "svhn", "imagenet100")
    command = [
        "sweep",
        "curves",
        "--recipe",
        "paper",
        "--dataset",
        *names,
        "--seeds",
        "0",
        "--dry-run",
    ]
    assert (
        main(
            [
                *command,
                "--out",
                str(tmp_path / "runs"),
                "--tflops",
                "10",
                "--workers",
                "4",
                "--price",
                "2",
            ]
        )
        == 0
    )
    *runs, counts, estimate, source = capsys.readouterr().out.splitlines()
    assert len(runs) == 4 * 2 * 9
    assert all("to do, about" in line for line in runs)
    assert counts == "72 runs: 0 done, 72 to do (0 of them begun), 0 damaged"
    hours = sum(18 * cost_estimate.flops(paper(name)) for name in names) / 10e12 / 3600
    days = hours / 24
    assert estimate.startswith(
        f"ESTIMATE: {days:.1f} days of training in all, {days / 4:.1f} days with 4 workers, "
    )
    assert f"${2 * hours:.2f} at $2 an hour" in estimate
    assert "by counted operations at 10 TFLOP/s" in source
    assert not (tmp_path / "runs").exists()


def test_dry_run_knows_what_was_measured_and_begun(tmp_path, no_workers):
    rows = [
        {"epoch": epoch, "images_per_second": speed}
        for epoch, speed in enumerate((1, 200, 1000), 1)
    ]
    run_records.write(
        tmp_path, run_records.record(TINY, "finished", {"knn": 1.0}, rows, 1.0, "cpu", "float32")
    )
    begun = prepared(replace(TINY, tau=1, epochs=20), tmp_path)
    (begun / "log.jsonl").write_text("{}\n" * 15)
    (begun / "checkpoint.pt").touch()
    lines = []
    recipes = [
        TINY,
        replace(TINY, tau=1, epochs=20),
        replace(TINY, tau=2, width=8),
        replace(TINY, loss="none"),
    ]
    total = sweep.dry_run(recipes, tmp_path, device="cpu", say=lines.append)
    assert total == pytest.approx(
        5 * 96 / 200 + cost_estimate.flops(recipes[2]) / (cost_estimate.CORE * 1e12)
    )
    assert lines[0].endswith("already done")
    assert lines[1].endswith("to resume after epoch 15, about 2 s")
    assert lines[4] == "4 runs: 1 done, 3 to do (1 of them begun), 0 damaged"
    assert "cpu: 1 runs" in lines[6]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tables"], "there is no grid 'tables'; the grids are: table1"),
        (["maps", "--set", "tua=1"], "did you mean tau?"),
        (["maps", "--dataset", "mnist"], "there is no data set 'mnist'"),
        (["maps", "--workers", "0"], "workers is 0"),
        (["maps", "--threads", "0"], "threads is 0"),
        (["maps", "--threads", "2", "--slurm"], "give slurm cpus_per_task"),
        (["maps", "--device", "tpu"], "there is no device 'tpu'"),
        (["maps", "--dry-run", "--tflops", "0"], "tflops is 0.0; it must be finite and above 0"),
        (["maps", "--dry-run", "--price", "nan"], "price is nan"),
        (["maps", "--dataset", "digits", "--set", "dataset=cifar10"], "give one of them"),
        (["maps", "--set", "lr={{}}"], "lr is '{{}}'"),
        (["maps", "--price", "2"], "--price is for the estimate: give --dry-run"),
        (["maps", "--tflops", "8"], "--tflops is for the estimate: give --dry-run"),
        (["maps", "--dry-run", "--slurm", "nonsense"], "nonsense"),
        (["maps", "--dry-run", "--no-wait"], "--no-wait is for --slurm"),
        (["maps", "--slurm", "--workers", "2"], "workers is for this machine; give slurm"),
        (["maps", "--slurm", "timeout_min"], "--slurm takes KEY=VALUE, such as timeout_min=600"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, tmp_path, capsys, no_workers):
    assert main(["sweep", *arguments, "--recipe", "live", "--out", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_sweep_under_torchrun_is_refused(tmp_path, monkeypatch, capsys, no_workers):
    """Its workers would wait for each other."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["sweep", "maps", "--recipe", "live", "--out", str(tmp_path / "runs")]) == 2
    assert "call it without torchrun" in capsys.readouterr().err


def test_exit_codes(tmp_path, monkeypatch, capsys):
    arguments = ["sweep", "maps", "--recipe", "live", "--seeds", "3", "--out", str(tmp_path)]
    given = []

    def ends_as(*statuses):
        def fake(recipes, folder, **options):
            given.append((recipes, folder, options))
            return [{"status": status} for status in statuses]

        monkeypatch.setattr(sweep, "sweep", fake)
        return main(arguments)

    assert ends_as("done", "finished", "diverged") == 0
    assert ends_as("finished", "failed") == 1
    (recipes, folder, options), _ = given
    assert [(recipe.tau, recipe.seed) for recipe in recipes] == [(0.07, 3), (0.2, 3)]
    assert folder == str(tmp_path)
    assert options == {
        "workers": None,
        "device": None,
        "threads": None,
        "shipped": FOLDER,
        "slurm": None,
        "wait": True,
    }

    arguments += [
        "--workers",
        "3",
        "--again",
        "--no-wait",
        "--slurm",
        "timeout_min=5",
        "slurm_partition=gpu",
    ]
    assert ends_as("submitted", "done") == 0
    jobs = {"timeout_min": 5, "slurm_partition": "gpu"}
    assert given[-1][2] == {
        "workers": 3,
        "threads": None,
        "device": None,
        "shipped": None,
        "slurm": jobs,
        "wait": False,
    }

    def terminated(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    monkeypatch.setattr(sweep, "sweep", terminated)
    assert main(arguments) == 130
    assert "jobs on Slurm go on, until scancel" in capsys.readouterr().out
    assert main(arguments[: arguments.index("--no-wait")]) == 130
    assert capsys.readouterr().out == "stopped; the same command goes on from the last epochs\n"


def test_each_gpu_has_its_worker(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [
        slot["CUDA_VISIBLE_DEVICES"] for slot in local_workers.worker_environments(None, None)
    ] == ["0", "1"]
    assert [
        slot["CUDA_VISIBLE_DEVICES"] for slot in local_workers.worker_environments(3, "cuda")
    ] == ["0", "1", "0"]
    assert [
        "CUDA_VISIBLE_DEVICES" in slot for slot in local_workers.worker_environments(None, "cuda:1")
    ] == [False]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [
        slot["CUDA_VISIBLE_DEVICES"] for slot in local_workers.worker_environments(None, None)
    ] == ["5", "7"]
    cores = devices.core_count()
    environments = local_workers.worker_environments(2, "cpu", threads=5)
    assert [environment["OMP_NUM_THREADS"] for environment in environments] == ["5", "5"]
    assert [slot["OMP_NUM_THREADS"] for slot in local_workers.worker_environments(None, "cpu")] == [
        "1"
    ] * cores


def test_train_and_sweep_never_train_one_run_at_once(tmp_path, no_map):
    with (
        files.lock(tmp_path / TINY_ID / "lock"),
        pytest.raises(ValueError, match="trained by another process"),
    ):
        run(TINY, tmp_path, device="cpu", progress=False)
    assert run(TINY, tmp_path, device="cpu", progress=False)["status"] == "finished"


def test_a_lock_ends_with_its_process(tmp_path):
    code = "import sys; from contrastlib.training import files; from pathlib import Path\n"
    code += "with files.lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    path = tmp_path / TINY_ID / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        who = f"{TINY_ID} is being trained by another process .process {process.pid} on "
        with pytest.raises(ValueError, match=who), files.lock(path):
            pass
        process.kill()
    with files.lock(path):
        pass


@pytest.mark.parametrize("reason", [errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_drive_without_locks_can_be_trained_on(tmp_path, monkeypatch, reason, no_map):
    def flock(file, how):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.warns(UserWarning, match="without file locks") as warned:
        record = run(replace(TINY, loss="none"), tmp_path, device="cpu", progress=False)
    assert record["status"] == "finished"
    assert len([one for one in warned if "locks" in str(one.message)]) == 1


def test_a_lock_that_cannot_be_opened_is_no_drive_without_locks(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(OSError, match="lock could not be written: Input/output error"):
        run(replace(TINY, loss="none"), tmp_path, device="cpu", progress=False)


def test_two_writers_of_one_file_leave_it_whole(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([letter]) * 4000 for letter in b"ab"]

    def write(content):
        for _ in range(50):
            files.replace_file(path, content)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, contents))  # reading the results raises the first error
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_without_its_log_is_planned(tmp_path):
    (tmp_path / TINY_ID).mkdir()
    (tmp_path / TINY_ID / "checkpoint.pt").write_bytes(b"")
    (item,) = sweep.plan([TINY], tmp_path)
    assert (item.status, item.epochs) == ("to do", 0)


def test_missing_test_images_are_missed_before_training(tmp_path, monkeypatch):
    def load(name, split, **options):
        if split == "test":
            raise FileNotFoundError("no folder test")
        raise AssertionError("training began")

    monkeypatch.setattr("contrastlib.data.load", load)
    with pytest.raises(FileNotFoundError, match="no folder test"):
        run(TINY, tmp_path, device="cpu", progress=False)


def test_a_supervised_net_that_diverges_is_recorded_so(tmp_path):
    wild = replace(TINY, loss="supervised", lr=1e30)
    assert run(wild, tmp_path, device="cpu", progress=False)["status"] == "diverged"


@pytest.mark.parametrize("settings", [["seed=7"], ["tau=0.3", "loss=simple"]])
def test_a_grid_refuses_what_it_sets_itself(settings):
    with pytest.raises(ValueError, match=r"the grid 'curves' sets .* itself"):
        grids.grid("curves", "live", settings)
    with pytest.raises(ValueError, match="the grid 'beyond' sets epochs itself"):
        grids.grid("beyond", "small", ["epochs=3"])


def test_a_grid_on_few_images_keeps_a_share_of_them():
    (run,) = [run for run in grids.grid("table1", "live", [], [0]) if run.loss == "hard_simple"]
    assert run.k is None
    (run,) = [run for run in grids.grid("table1", "paper", [], [0]) if run.loss == "hard_simple"]
    assert run.k == 4095


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_workers_share_the_cores_that_decode_images(monkeypatch, count):
    cores = devices.core_count()
    for name, value in local_workers.worker_environments(count, "cpu")[0].items():
        monkeypatch.setenv(name, value)
    assert devices.decode_workers() == max(1, cores // count)
