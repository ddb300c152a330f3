"""The chapters as files: stripped, short, complete, and able to run on nothing but the built wheel.

That they run, nbmake tests: `make book` executes each once.
"""

import re
import subprocess
import sys
from pathlib import Path

import cache_executed
import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())


def pages_of(part):
    return [entry["file"] for entry in part["chapters"]]


PARTS = {part["caption"]: pages_of(part) for part in TOC["parts"]}
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if f"book/{path.stem}" in PARTS["Chapters"]]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def text(path):
    return "\n".join(cell.source for cell in cells(path, "markdown"))


def test_every_notebook_is_in_the_table_of_contents():
    assert {f"book/{path.stem}" for path in NOTEBOOKS} <= {
        file for part in PARTS.values() for file in part
    }
    assert len(CHAPTERS) == len(PARTS["Chapters"])


@each_notebook
def test_outputs_are_stripped(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in cells(path, "code"):
        assert not cell.outputs
        assert cell.execution_count is None


FOLDED = {"remove-cell", "remove-input", "hide-input", "hide-cell"}


@each_notebook
def test_code_that_a_reader_sees_is_short(path):
    """What only draws or glues is folded or removed; imports do not count."""
    total = 0
    for cell in cells(path, "code"):
        if FOLDED & set(cell.metadata.get("tags", [])):
            continue
        lines = cell.source.splitlines()
        code = [line for line in lines if line and not line.startswith(("import ", "from "))]
        assert len(code) <= 15, cell.source
        total += len(code)
    assert total <= 100


@each_chapter
def test_chapter_is_complete(path):
    prose = text(path)
    assert "After this chapter you can" in prose
    assert "## Check yourself" in prose
    assert "## Summary" in prose
    exercises = re.findall(r"\{exercise\}.*\n:label: (\S+)", prose)
    assert len(exercises) >= 4
    assert sorted(re.findall(r"\{solution\} (\S+)", prose)) == sorted(exercises)
    assert "run-time" in prose


@each_notebook
def test_every_figure_has_alt_text(path):
    for cell in cells(path, "code"):
        if (
            re.search(r"plt\.|\.plot\(|imshow|sns\.\w+plot", cell.source)
            and "def " not in cell.source
        ):
            assert cell.metadata.get("mystnb", {}).get("image", {}).get("alt"), cell.source


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with nothing but what the built wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    wheels = folder / "wheels"
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, ROOT], check=True)
    (wheel,) = wheels.glob("contrastlib-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    return site


def run_on_the_wheel(code, site, empty):
    """What Colab does: the wheel, no checkout, none of the book's own packages."""
    script = f"""
import sys
for absent in ("myst_nb", "pytest"):
    sys.modules[absent] = None
import matplotlib
matplotlib.use("agg")
import contrastlib
assert contrastlib.__file__.startswith({str(site)!r}), contrastlib.__file__
{code}
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=empty,
        # Only this, and one thread: two would spin while others use the cores.
        env={"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_a_chapter_runs_from_an_empty_folder_on_the_wheel_alone(site, tmp_path):
    code = "\n".join(cell.source for cell in cells(ROOT / "book" / "temperature.ipynb", "code"))
    run_on_the_wheel(code, site, tmp_path)


def test_the_trained_encoders_load_from_the_wheel_alone_with_no_network(site, tmp_path):
    code = """
import socket
def refused(*args):
    raise OSError("no network here")
socket.socket.connect = refused
from contrastlib.data import load
from contrastlib.teaching.embeddings import embed
from contrastlib.teaching.encoders import AVAILABLE, pretrained, record
images = load("fashion-mnist-part", "test", limit=20).images
for loss, tau in AVAILABLE:
    assert embed(pretrained(loss, tau), images).shape == (20, 128)
    assert record(loss, tau)["status"] == "finished"
"""
    run_on_the_wheel(code, site, tmp_path)


def test_a_cells_seconds_are_read_on_every_python():
    """Python 3.10 reads no "Z"; nbclient writes one."""
    assert cache_executed.parse_time("2026-01-31T12:00:00.500000Z").utcoffset().seconds == 0
    timing = {
        "iopub.status.busy": "2026-01-31T12:00:00.250000Z",
        "shell.execute_reply": "2026-01-31T12:00:02.000000Z",
    }
    assert cache_executed.seconds(timing) == 1.75
    assert cache_executed.seconds({}) == 0
