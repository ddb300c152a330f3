"""The notebooks for Colab: never stale, the same code as the book's, and nothing in them that Colab
shows raw.
"""

import base64
import io
import re
import subprocess
import sys
from itertools import pairwise

import book_files
import book_labels
import executed_chapters
import kept_outputs
import nbformat
import pytest
from PIL import Image

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
    assert kept_outputs.without(read(name)) == writer.notebook(name), "run: make colab"


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


CIRCLE = '<circle r="9" cx="9" cy="9"/>'
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">{CIRCLE}</svg>'
PLACE = "https://example.org/page.html#figure"


def decoded(output):
    return Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))


def display(**data):
    """An output; its kinds are named with an underscore for the slash."""
    return nbformat.v4.new_output(
        "display_data", {kind.replace("_", "/"): value for kind, value in data.items()}
    )


def test_a_drawing_becomes_a_small_picture(chromium):
    page = kept_outputs.drawing_page(chromium)
    output = kept_outputs.draw(page, SVG)
    page.close()
    assert output.metadata["image/png"] == {"width": 40, "height": 20}
    image = decoded(output)
    assert image.mode == "P"
    assert image.size == (80, 40)
    assert image.convert("RGB").getpixel((18, 18)) == (0, 0, 0)
    assert image.convert("RGB").getpixel((70, 30)) == (255, 255, 255)


def test_a_picture_of_many_colours_is_made_smaller():
    noise = Image.effect_noise((600, 400), 90).convert("RGB")
    file = io.BytesIO()
    noise.save(file, "PNG")
    output = kept_outputs.picture(file.getvalue(), 300, 200)
    assert decoded(output).size == (300, 200)
    assert output.metadata["image/png"] == {"width": 300, "height": 200}


def test_what_a_preview_can_show_is_kept():
    stream = nbformat.v4.new_output
    glued = nbformat.v4.new_output(
        "display_data", {"text/plain": "3"}, metadata={"scrapbook": {"name": "three"}}
    )
    drawing = nbformat.v4.new_output("display_data", {"image/svg+xml": SVG, "text/plain": "<F>"})
    kept = kept_outputs.keep(
        [
            stream("stream", text="one\n"),
            stream("stream", text="two\n"),
            stream("stream", name="stderr", text="50%|#####"),
            glued,
            drawing,
            display(text_html="<table></table>", text_plain="table"),
            display(text_html="<script>draw()</script>", text_plain="Half is < 1."),
            display(text_plain="a line\n" * 1000),
        ],
        lambda svg: display(image_png=svg.upper()),
        PLACE,
    )
    lines, picture, table, moving, long = kept
    assert lines.text == "one\ntwo\n"
    assert picture.data == {"image/png": SVG.upper()}
    assert table.data == {"text/html": "<table></table>", "text/plain": "table"}
    assert "<p>Half is &lt; 1.</p>" in moving.data["text/html"]
    assert f'href="{PLACE}"' in moving.data["text/html"]
    assert "script" not in moving.data["text/html"]
    assert len(long.data["text/plain"]) < kept_outputs.LONGEST + 10
    assert long.data["text/plain"].endswith("a line\n[...]\n")


def code_cells(**sources):
    cells = [nbformat.v4.new_code_cell(code, id=name) for name, code in sources.items()]
    return nbformat.v4.new_notebook(cells=cells)


def test_outputs_stay_with_the_code_that_gave_them(tmp_path):
    before = code_cells(same="x = 1", changed="x = 2")
    for cell in before.cells:
        cell.outputs = [nbformat.v4.new_output("stream", text=cell.id)]
    nbformat.write(before, tmp_path / "before.ipynb")
    now = code_cells(same="x = 1", changed="x = 3", added="x = 4")
    kept = kept_outputs.stored(tmp_path / "before.ipynb", now)
    assert list(kept) == ["same"]
    assert kept["same"][0].text == "same"
    assert kept_outputs.stored(tmp_path / "none.ipynb", now) == {}


def test_written_again_a_notebook_keeps_its_pictures(tmp_path, writer):
    """Without the executed chapters, as after a change of the text."""
    for name in book_files.chapters():
        notebook = read(name)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [nbformat.v4.new_output("stream", text=cell.id)]
        notebook.cells[0].source = "# Another title"
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    colab.write(writer, tmp_path)
    for name in book_files.chapters():
        again = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)
        assert again.cells[0].source == read(name).cells[0].source
        assert all(
            cell.outputs[0].text == cell.id for cell in again.cells if cell.cell_type == "code"
        )


def test_outputs_of_other_code_are_refused():
    with pytest.raises(ValueError, match="cell 'a' is not as it is in book/"):
        kept_outputs.executed(code_cells(a="x = 1"), code_cells(a="x = 2"), display, {"a": PLACE})


def test_the_pictures_are_small_and_said_in_words(writer):
    size = 0
    for name in book_files.chapters():
        texts = kept_outputs.alternative_texts(book_files.source(name))
        size += (ROOT / "colab" / f"{name}.ipynb").stat().st_size
        for cell in read(name).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                assert "<script" not in data.get("text/html", "")
                assert set(data) <= {"image/png", "text/html", "text/plain"}
                if "image/png" in data:
                    assert decoded(output).mode == "P"
                    assert len(data["image/png"]) < 120_000  # base64 of 90 kB
                    assert output.metadata["image/png"]["alt"] == texts[cell.id]
    assert size < 3e6


def test_a_long_table_is_left_to_the_book():
    """Its whole text stood in the notebook once, under a sentence that it moves."""
    html = f"<table>{'x' * kept_outputs.LONGEST}</table>"
    output = kept_outputs.html_output(
        {"text/html": html, "text/plain": 9999 * "x"}, "https://a.b/c"
    )
    said = output.data["text/html"]
    assert len(said) < 300
    assert "A long table." in said
    assert "moves" not in said
    assert 'href="https://a.b/c"' in said
    assert len(output.data["text/plain"]) < 300


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
    nbformat.write(read("instance_discrimination"), tmp_path / "chapter.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "chapter.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
