"""The bench runs, names its baselines, and times candidates that compute the same thing. Never a
timed test.
"""

import json
import subprocess
import sys

import pytest
import torch

from contrastlib.__main__ import main
from contrastlib.bench import competitors, rows, speed_table
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
    row = rows.loss_rows(8, 500, 32, device, torch.float32)[f"{kind} loss, B=8, float32"]
    features = rows.unit(8, 32, device, 0)
    ours = project_to_tangent(row["contrastlib"](), features)
    for name, run in row.items():
        if name not in (
            "floor",
            "contrastlib",
            "lightly NTXentLoss",
        ):  # lightly's bank holds other rows
            # along the sphere, since one of them normalises what it is given
            torch.testing.assert_close(
                project_to_tangent(run(), features), ours, rtol=1e-4, atol=1e-6
            )


def test_metrics_agree():
    for row in rows.metric_rows(300, 32, torch.device("cpu")).values():
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
        (["bench", "--device", "meta"], "device meta is not available here; give one of: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_it_says_what_it_needs_and_knows_its_rows(capsys):
    names = [name for name, _ in rows.all_rows(torch.device("cpu"), small=True)]
    assert len(names) == rows.count_rows(small=True)
    assert rows.count_rows(small=False) == 21
    assert "at most 10 minutes" in speed_table.needs(torch.device("cuda"), small=False)
    assert "19 GiB more for pdist" in speed_table.needs(torch.device("cuda"), small=False)


def test_off_the_processor_all_rows_share_ten_minutes():
    cuda = torch.device("cuda")
    passed = 0.0
    for rows_left in range(21, 0, -1):
        passed += speed_table.row_patience(cuda, passed, rows_left)
    assert passed <= speed_table.BUDGET < 600
    assert speed_table.row_patience(cuda, 1000.0, 3) == 0  # too late: one round and no more
    assert speed_table.row_patience(torch.device("cpu"), 1000.0, 3) == speed_table.PATIENCE


def test_a_slow_row_stops_after_its_patience(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(speed_table.time, "perf_counter", lambda: float(next(clock)))
    measured = speed_table.measure(
        {"one": int, "two": int}, torch.device("cpu"), rounds=50, patience=30
    )
    assert 1 <= measured["one"]["rounds"] < 10
    assert measured["one"]["ratio"] == 1


PRETEND = """
import torch
import torch.utils.backend_registration as backends
from torch._subclasses.fake_tensor import FakeTensorMode

class Backend(backends._DummyBackendModule):
    def is_available(self):
        return False
    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]

backends._setup_privateuseone_for_python_backend("pretend", backend_module=Backend())
device = torch.device("pretend:0")
from contrastlib.bench import rows
for dtype in (torch.float32, torch.bfloat16):
    with FakeTensorMode(), torch.autograd.set_multithreading_enabled(False):
        for name, row in rows.loss_rows(8, 200, 16, device, dtype).items():
            for candidate in ("floor", "contrastlib", "naive", "naive topk"):
                if candidate in row:
                    assert row[candidate]().device == device, (name, candidate)
                    print(name, candidate)
"""


def test_the_losses_rows_stay_on_a_pretended_device():
    """Nothing in them is made on the processor, and nothing asks the device for a value."""
    command = [sys.executable, "-c", PRETEND]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("contrastlib") == 8
