"""The command line: what it prints, and how it refuses."""

import subprocess
import sys

import pytest
import torch

from contrastlib.__main__ import main

TINY = ["limit=256", "epochs=1", "batch=64", "width=4"]


def test_train_writes_an_outcome_and_does_not_repeat_it(tmp_path, capsys):
    arguments = ["train", "live", "--quiet", "--device", "cpu", "--out", str(tmp_path)]
    arguments += [word for setting in TINY for word in ("--set", setting)]
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
    arguments = ["train", "live", "--quiet", "--out", str(tmp_path), *(w for s in settings for w in ("--set", s))]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_recipe_is_refused_before_torch_is_loaded():
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "contrastlib", "train", "huge"], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "invalid choice: 'huge'" in run.stderr
    assert "| torch" not in run.stderr


@pytest.mark.parametrize("command", ["train", "sweep", "figures", "bench", "info"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as leave:
        main([command, "--help"])
    assert leave.value.code == 0
    assert f"contrastlib {command}" in capsys.readouterr().out


def test_info(capsys):
    assert main(["info"]) == 0
    assert f"torch {torch.__version__.split('+')[0]}" in capsys.readouterr().out
