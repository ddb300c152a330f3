"""The bench runs, names its baselines, and times candidates that compute the same thing. Never a timed test."""

import json

import pytest
import torch

from contrastlib.__main__ import main
from contrastlib.bench import competitors, speed_table
from contrastlib.gradients import project_to_tangent

BASELINES = {
    "contrastive loss, B=8, float32": {
        "floor",
        "contrastlib",
        "naive",
        "torch linear_cross_entropy",
        "lightly NTXentLoss",
        "pytorch-metric-learning SupConLoss",
    },
    "uniformity, N=300": {"floor", "contrastlib", "pdist (align_uniform)"},
    "training step, batch 8, bank of 500, bfloat16": {
        "lightly, two views",
        "contrastlib, two views",
        "contrastlib, one view",
    },
}


def test_bench_runs_and_writes_its_table(tmp_path, capsys):
    file = tmp_path / "table.json"
    assert main(["bench", "--small", "--rounds", "1", "--device", "cpu", "--json", str(file)]) == 0
    table = json.loads(file.read_text())
    assert table["hardware"]["torch"] == torch.__version__.split("+")[0]
    for row, names in BASELINES.items():
        assert names - {"torch linear_cross_entropy"} <= set(table["rows"][row]) <= names
    for row in table["rows"].values():
        assert next(iter(row.values()))["ratio"] == 1
        assert all(figures["seconds"] > 0 for figures in row.values())
    assert "hard simple loss, B=8, bfloat16" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["contrastive", "hard contrastive", "simple"])
def test_candidates_compute_the_same_gradient(kind):
    device = torch.device("cpu")
    row = speed_table.loss_rows(8, 500, 32, device, torch.float32)[f"{kind} loss, B=8, float32"]
    features = speed_table.unit(8, 32, device, 0)
    ours = project_to_tangent(row["contrastlib"](), features)
    for name, run in row.items():
        if name not in ("floor", "contrastlib", "lightly NTXentLoss"):  # lightly's bank holds other rows
            # along the sphere, since one of them normalises what it is given
            torch.testing.assert_close(project_to_tangent(run(), features), ours, rtol=1e-4, atol=1e-6)


def test_metrics_agree():
    for row in speed_table.metric_rows(300, 32, torch.device("cpu")).values():
        values = [run() for name, run in row.items() if name != "floor"]
        assert values == pytest.approx([values[0]] * len(values), rel=1e-5)


def test_peak_memory_sees_an_allocation():
    extra = speed_table.peak_memory(lambda: torch.ones(8 * 2**20), torch.device("cpu"))
    assert extra is None or 30 <= extra <= 40


def test_views_are_views():
    images = torch.randint(256, (4, 3, 32, 32)).byte()
    for name, run in competitors.views(images).items():
        assert run().shape == (4, 3, 32, 32), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "--threads", "0"], "--threads is 0; give at least 1"),
        (["bench", "--rounds", "0"], "--rounds is 0; give at least 1"),
        (["bench", "--small", "--only", "nothing"], "no row's name contains 'nothing'"),
        (["bench", "--device", "abacus"], "there is no device 'abacus'; give cpu"),
        (["bench", "--device", "meta"], "device meta is not to be had here; give one of: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
