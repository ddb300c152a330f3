"""The command line: what it prints, and how it refuses."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from contrastlib.__main__ import main
from contrastlib.training import loop, one_run

TINY = ["limit=256", "epochs=1", "batch=64", "width=4"]


@pytest.fixture(autouse=True)
def restored_threads():
    """`train` sets them for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def train_arguments(folder, settings):
    arguments = ["train", "live", "--quiet", "--device", "cpu", "--out", str(folder)]
    for setting in settings:
        arguments += ["--set", setting]
    return arguments


def test_train_writes_an_outcome_and_does_not_repeat_it(tmp_path, capsys):
    arguments = train_arguments(tmp_path, TINY)
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert "finished after 1 epochs" in first
    assert "probe 0." in first
    (outcome,) = tmp_path.glob("*.json")
    written = outcome.stat().st_mtime_ns
    assert main(arguments) == 0
    assert capsys.readouterr().out == first
    assert outcome.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["tau"], "the setting 'tau' is not of the form key=value"),
        (["tua=0.1"], "did you mean tau?"),
        (["tau=0"], "tau is 0; it must be finite and above 0"),
        (["dataset=mnist"], "there is no data set 'mnist'"),
    ],
)
def test_bad_settings_are_one_line_and_exit_code_2(settings, words, tmp_path, capsys):
    assert main(train_arguments(tmp_path, settings)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_recipe_is_refused_before_torch_is_loaded():
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "contrastlib", "train", "huge"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "invalid choice: 'huge'" in run.stderr
    assert "| torch" not in run.stderr


@pytest.mark.parametrize("loss", ["contrastive", "supervised"])
def test_ctrl_c_is_one_line_that_says_how_to_go_on(loss, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()

    monkeypatch.setattr(loop, "train_epoch", interrupted)
    monkeypatch.setattr(one_run, "supervised", interrupted)
    # A shell starts what it puts into the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(train_arguments(tmp_path, [*TINY, f"loss={loss}"])) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("\n") == 1
    if loss == "supervised":
        assert said.out.startswith("stopped; the same command begins anew")
    else:
        assert said.out.startswith("stopped; the same command goes on from the last epoch")


def test_a_full_disk_is_one_line_and_exit_code_2(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(train_arguments(tmp_path, TINY)) == 2
    error = capsys.readouterr().err
    assert "could not be written: No space left on device" in error
    assert str(tmp_path) in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("**/*.tmp"))


def test_threads(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(one_run, "run", lambda *_, **__: seen.append(torch.get_num_threads()))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(3)
    assert main(train_arguments(tmp_path, TINY)) == 0
    assert main([*train_arguments(tmp_path, TINY), "--threads", "2"]) == 0
    assert seen == [1, 2]
    assert main([*train_arguments(tmp_path, TINY), "--threads", "0"]) == 2
    assert "threads is 0" in capsys.readouterr().err


def test_idle_threads_wait_passively_before_torch_is_loaded():
    code = """
import os, sys
from contrastlib.__main__ import main
try:
    main(["--version"])
finally:
    print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""
    environment = dict(os.environ)
    environment.pop("OMP_WAIT_POLICY", None)
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.stdout.splitlines()[-1] == "PASSIVE False"
    environment["OMP_WAIT_POLICY"] = "ACTIVE"
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.stdout.splitlines()[-1] == "ACTIVE False"


@pytest.mark.parametrize("command", ["train", "sweep", "figures", "bench", "info"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as leave:
        main([command, "--help"])
    assert leave.value.code == 0
    assert f"contrastlib {command}" in capsys.readouterr().out


def test_info(capsys):
    assert main(["info"]) == 0
    assert f"torch {torch.__version__.split('+')[0]}" in capsys.readouterr().out


def test_a_package_that_is_missing_is_named(monkeypatch, capsys):
    def needs_tqdm(options):
        raise ModuleNotFoundError("No module named 'tqdm'", name="tqdm")

    monkeypatch.setattr("contrastlib.__main__.train", needs_tqdm)
    assert main(["train", "live"]) == 2
    said = "contrastlib train: tqdm is not installed; pip install 'contrastlib[train,figures]'\n"
    assert capsys.readouterr().err == said
