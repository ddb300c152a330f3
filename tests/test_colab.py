"""The notebooks for Colab: never stale, the same code as the book's, and nothing in them that Colab
shows raw.
"""

import re
import subprocess
import sys
from itertools import pairwise

import book_files
import book_labels
import executed_chapters
import nbformat
import pytest

import colab

ROOT = book_files.ROOT
each_chapter = pytest.mark.parametrize("name", book_files.chapters())


def read(name):
    return nbformat.read(ROOT / "colab" / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="module")
def writer():
    return colab.Writer()


@each_chapter
def test_not_stale(name, writer):
    assert read(name) == writer.notebook(name), "run: make colab"


def test_nothing_else_lies_there():
    assert {path.stem for path in (ROOT / "colab").glob("*.ipynb")} == set(book_files.chapters())
    assert set(colab.Writer().values) == {
        body for name in book_files.chapters() for body in executed_chapters.asked(name)
    }


@each_chapter
def test_plain_markdown(name):
    notebook = read(name)
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not re.findall(r"\{[\w:-]+\}`|^[`:]{3,}\{|^\([\w-]+\)=$|^:\w+:", text, re.MULTILINE)
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>")
    assert text.startswith("# ")


@each_chapter
def test_says_how_long_it_takes(name):
    start = "\n".join(cell.source for cell in read(name).cells[:4])
    seconds = colab.Writer().values[f"{name}-run-time"].split()[0]
    assert f"runs in about {max(1, int(seconds))} seconds (measured on " in start


@each_chapter
def test_the_same_code(name):
    code = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    book = [cell for cell in book_files.source(name).cells if cell.cell_type == "code"]
    expected = []
    for cell in colab.seen_cells(book):
        folded = {"hide-input", "remove-cell"} & set(cell.metadata.get("tags", []))
        expected.append(f"{colab.FOLDED}\n{cell.source}" if folded else cell.source)
    assert code[1:] == expected
    assert "import contrastlib" in code[0]


def test_a_hidden_cell_that_a_later_one_needs_is_folded():
    def cell(source, *tags):
        return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})

    needed = cell("import math\nroot = math.sqrt(2)", "remove-cell")
    cells = [
        cell("x = 3", "remove-cell"),
        needed,
        cell("y = 5", "remove-cell"),
        cell("y = root * 2\nprint(y)"),
        cell("glue(y)", "remove-cell"),
    ]
    assert colab.seen_cells(cells) == [needed, cells[3]]


@each_chapter
def test_below_each_figure_stands_its_caption(name, writer):
    cells = read(name).cells
    figures = {}
    for cell in book_files.source(name).cells:
        if "figure" in cell.metadata.get("mystnb", {}) and "remove-cell" not in cell.metadata.get(
            "tags", []
        ):
            figures[cell.id] = cell.metadata.mystnb.figure
    assert figures
    for above, below in pairwise(cells):
        figure = figures.pop(above.id, None)
        if figure:
            number, _ = writer.labels[figure.name]
            assert number.startswith("Figure ")
            assert below.source == f"*{number}. {writer.text(figure.caption)}*"
    assert not figures


@each_chapter
def test_no_accelerator_is_asked_for(name):
    assert "accelerator" not in read(name).metadata


@each_chapter
def test_the_title_comes_first_and_then_the_link_and_the_installation(name):
    title, link, start, *_ = read(name).cells
    assert title.source.startswith("# ")
    assert [link.id, start.id] == ["link", "start"]


def test_labels_are_numbered_kind_by_kind():
    numbering = book_labels.Numbering(3, "page.html")
    text = (
        "$$ (eq-one)\n```{figure} x.svg\n:alt: none\n:name: fig-one\n```\n(sec-one)=\n$$ (eq-two)"
    )
    numbering.read(nbformat.v4.new_markdown_cell(text))
    assert numbering.found == {
        "eq-one": ("(3.1)", "page.html#equation-eq-one"),
        "fig-one": ("Figure 3.1", "page.html#fig-one"),
        "eq-two": ("(3.2)", "page.html#equation-eq-two"),
        "sec-one": ("this section", "page.html#sec-one"),
    }


def test_every_reference_is_known(writer):
    assert all(url.startswith(book_files.site()) for _, url in writer.labels.values())
    with pytest.raises(ValueError, match="no plain form for the role 'abbr'"):
        writer.text("{abbr}`x`")
    with pytest.raises(ValueError, match="no plain form for the directive 'mermaid'"):
        writer.text("```{mermaid}\nx\n```")


def test_directives_nest(writer):
    text = writer.text("````{dropdown} Why?\nBecause\n```{admonition} Note\nof this.\n```\n````")
    assert text == (
        "<details><summary>Why?</summary>\n\nBecause\n> **Note**\n>\n> of this.\n\n</details>"
    )


def test_runs(tmp_path):
    """One of them as Colab would run it, library at hand; the book's own run has the same code of
    all.
    """
    nbformat.write(read("gradients"), tmp_path / "gradients.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "gradients.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
