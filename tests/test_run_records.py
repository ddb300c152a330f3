"""Outcomes: what is written is read again, and a damaged file is named."""

import json
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastlib.reproduction.shipped import FOLDER, read_shipped
from contrastlib.training import run_records
from contrastlib.training.recipes import from_dict, live, run_id

METRICS = {"uniformity": 3.5, "k": 5, "neighbour_similarities": [0.9, 0.8]}
HISTORY = [{"epoch": 1, "loss": 3.14159}, {"epoch": 2, "loss": None}]


def make(recipe=None, status="finished", metrics=METRICS):
    return run_records.record(recipe or live(), status, metrics, HISTORY, 12.345, "cpu", "float32")


def test_a_record_says_all_that_is_needed():
    record = make(replace(live(), seed=3))
    assert record["id"] == run_id(replace(live(), seed=3))
    assert from_dict(record["recipe"]) == replace(live(), seed=3)
    assert record["seed"] == 3
    assert record["seconds"] == 12.3
    assert record["history"] == {"epoch": [1.0, 2.0], "loss": [3.142, None]}
    assert record["hardware"]["kind"] == "cpu"
    assert record["hardware"]["threads"] >= 1
    assert {"torch", "torchvision", "numpy", "scikit-learn"} <= record["packages"].keys()
    assert record["code"]["version"]
    commit = record["code"]["commit"]
    assert commit is None or len(commit.rstrip("+")) == 40


def test_written_and_read(tmp_path):
    records = [make(replace(live(), seed=seed)) for seed in range(3)]
    folder = tmp_path / "new" / "runs"
    for record in records:
        path = run_records.write(folder, record)
        assert path == folder / f"{record['id']}.json"
    (folder / records[0]["id"]).mkdir()  # checkpoints and other files lie beside them
    (folder / "notes.json").write_text("{")
    assert run_records.read_all(folder) == sorted(records, key=lambda record: record["id"])
    assert run_records.read(records[1]["id"], folder) == records[1]
    assert run_records.read(replace(live(), seed=2), folder) == records[2]
    assert not list(folder.glob("*.tmp"))


def test_a_diverged_run_needs_no_metrics(tmp_path):
    record = make(status="diverged", metrics={})
    run_records.write(tmp_path, record)
    assert run_records.read(live(), tmp_path) == record


@settings(deadline=None, max_examples=30)
@given(
    metrics=st.dictionaries(
        st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), min_size=1
    )
)
def test_numbers_survive_to_the_last_bit(tmp_path_factory, metrics):
    folder = tmp_path_factory.mktemp("runs")
    run_records.write(folder, make(metrics=metrics))
    assert run_records.read(live(), folder)["metrics"] == metrics


def test_the_librarys_own():
    for record in read_shipped():
        assert run_records.read(record["id"], FOLDER) == record
    with pytest.raises(FileNotFoundError, match=r"no outcome 000000000000\.json"):
        run_records.read("000000000000", FOLDER)


def test_nothing_there(tmp_path):
    assert run_records.read_all(tmp_path) == []
    with pytest.raises(FileNotFoundError, match="no folder"):
        run_records.read_all(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="train its recipe first"):
        run_records.read(live(), tmp_path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = run_records.write(tmp_path, make())
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            run_records.write(tmp_path, make(metrics={"uniformity": 1.0}))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # nothing is left behind
    run_records.write(tmp_path, make(metrics={"uniformity": 1.0}))
    assert run_records.read(live(), tmp_path)["metrics"] == {"uniformity": 1.0}


FAULTS = {
    "text": (lambda r: "no json", "Expecting value"),
    "cut": (lambda r: json.dumps(r)[:200], "is damaged"),
    "empty": (lambda r: "", "Expecting value"),
    "bytes": (lambda r: b"\xff\xfe\x00", "is damaged"),
    "list": (lambda r: [r], "it holds a list"),
    "without metrics": (
        lambda r: {k: v for k, v in r.items() if k != "metrics"},
        "it lacks metrics",
    ),
    "wrong type": (lambda r: r | {"history": []}, "of the wrong type: history"),
    "bad history": (lambda r: r | {"history": {"loss": 1}}, "history has a column"),
    "status": (lambda r: r | {"status": "fine"}, "status is 'fine', none of: finished, diverged"),
    "NaN": (lambda r: r | {"metrics": {"probe": float("nan")}}, "no finite number"),
    "nested infinity": (lambda r: r | {"metrics": {"n": [1.0, float("inf")]}}, "no finite number"),
    "word": (lambda r: r | {"metrics": {"probe": "high"}}, "no finite number"),
    "no metrics": (lambda r: r | {"metrics": {}}, "there are no metrics"),
    "another id": (lambda r: r | {"id": "0" * 12}, "its id 000000000000"),
    "edited recipe": (
        lambda r: r | {"recipe": r["recipe"] | {"tau": 0.3}},
        "its recipe is that of run",
    ),
    "no recipe": (lambda r: r | {"recipe": {"tau": -1}}, "its recipe is none: tau is -1"),
    "later recipe": (lambda r: r | {"recipe": r["recipe"] | {"colour": 1}}, "no setting colour"),
    "odd recipe": (
        lambda r: r | {"recipe": r["recipe"] | {"augmentation": 3}},
        "its recipe is none",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_file_is_named(tmp_path, name):
    fault, message = FAULTS[name]
    path = run_records.write(tmp_path, make())
    content = fault(make())
    if isinstance(content, (str, bytes)):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    else:
        path.write_text(json.dumps(content))
    for read in (
        lambda: run_records.read(live(), tmp_path),
        lambda: run_records.read_all(tmp_path),
    ):
        with pytest.raises(ValueError, match=message) as error:
            read()
        assert path.name in str(error.value)
        assert "\n" not in str(error.value)
    if isinstance(content, dict):
        with pytest.raises(ValueError, match=r"damaged|lacks"):
            run_records.write(tmp_path, content)
