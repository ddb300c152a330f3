"""Write colab/NAME.ipynb from every chapter: the same notebook in the plain Markdown that Colab can
show, with the pictures of the book's own run.

python _ext/colab.py [--values]: with --values the numbers in the text and the cells' outputs are
taken anew from the chapters as executed by `make book`, and kept in colab/values.json and in the
notebooks; without, those kept there are used, the outputs of cells whose code has not changed. A
first cell installs the library where it is missing.
"""

import ast
import json
import sys
from pathlib import Path

import kept_outputs
import nbformat
import yaml
from book_files import ROOT, chapters, repository, site, source
from executed_chapters import executed_chapter, executed_values
from plain_markdown import PlainMarkdown

FOLDED = "#@title Run this cell. Its code is folded."  # Colab's own sign for a folded cell
START = """\
# Run this cell first. It takes a minute where the library is missing.
try:
    import contrastlib
except ImportError:
    %pip install -q "contrastlib[train,figures] @ git+{repository}"
import torch

gpu = "none, the processor will do"
if torch.cuda.is_available():
    gpu = torch.cuda.get_device_name()
print("GPU:", gpu)\
"""


class Writer(PlainMarkdown):
    """Turns chapters into notebooks for Colab, without their cells' outputs."""

    def notebook(self, name: str) -> nbformat.NotebookNode:
        """A chapter for Colab: its title, the link to the book, the cell that installs the library,
        the rest.
        """
        book = source(name)
        self.terms = set()
        converted = []
        for cell in seen_cells(book.cells):
            converted += self.cells(cell)
        title, *rest = converted
        cells = [
            title,
            nbformat.v4.new_markdown_cell(self.link(name), id="link"),
            nbformat.v4.new_code_cell(START.format(repository=repository()), id="start"),
            *rest,
        ]
        metadata = {"kernelspec": book.metadata.kernelspec, "colab": {"provenance": []}}
        return nbformat.v4.new_notebook(cells=cells, metadata=metadata)

    def cells(self, cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
        """A cell of the book for Colab, and below a plot its caption."""
        if cell.cell_type == "markdown":
            return [nbformat.v4.new_markdown_cell(self.text(cell.source), id=cell.id)]
        code = nbformat.v4.new_code_cell(cell.source, id=cell.id)
        if {"hide-input", "remove-cell"} & set(cell.metadata.get("tags", [])):
            code.source = f"{FOLDED}\n{cell.source}"
            code.metadata["cellView"] = "form"
        caption = self.caption(cell)
        if not caption:
            return [code]
        return [code, nbformat.v4.new_markdown_cell(f"*{caption}*", id=f"{cell.id}-caption"[:64])]

    def caption(self, cell: nbformat.NotebookNode) -> str:
        """The number and the caption of a cell's figure; "" where it has none."""
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if not figure:
            return ""
        return f"{self.labels[figure['name']][0]}. {self.text(figure['caption'])}"

    def addresses(self, name: str) -> dict[str, str]:
        """Where the book shows what each cell of a chapter gives, by the cells' ids."""
        found = {}
        for cell in source(name).cells:
            figure = cell.metadata.get("mystnb", {}).get("figure")
            found[cell.id] = f"{site()}/book/{name}.html"
            if figure:
                found[cell.id] = self.labels[figure["name"]][1]
        return found

    def link(self, name: str) -> str:
        """Where the notebook is from, and how long it takes."""
        return (
            f"*A chapter of [{self.title()}]({site()}/book/{name}.html). Numbers in the text "
            "are those of the book's "
            f"own run; yours may differ in the last digits.*\n\n{self.expected(name)}"
        )

    def expected(self, name: str) -> str:
        """What the reader may expect to wait, from the book's own run."""
        seconds, _, where = self.values[f"{name}-run-time"].partition(" s on ")
        whole = max(1, round(float(seconds)))
        return (
            f"*It runs in about {whole} seconds (measured on {where}), and needs no GPU. "
            "Installing the library comes on top.*"
        )

    def title(self) -> str:
        return yaml.safe_load((ROOT / "_config.yml").read_text())["title"]


def seen_cells(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells that a reader of the notebook needs: all but those that the book hides and that
    define nothing which a later cell uses.
    """
    wanted: set[str] = set()  # names that later cells use and do not define themselves
    seen = []
    for cell in reversed(cells):
        defined = set()
        used = set()
        if cell.cell_type == "code":
            defined, used = names_in(cell.source)
        hidden = "remove-cell" in cell.metadata.get("tags", [])
        if hidden and not defined & wanted:
            continue
        seen.append(cell)
        wanted = (wanted - defined) | (used - defined)
    return seen[::-1]


def names_in(code: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines, and those that it uses."""
    defined = set()
    used = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            names = used if isinstance(node.ctx, ast.Load) else defined
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).split(".")[0])
    return defined, used


def write(writer: Writer, folder: Path, draw: kept_outputs.Draw | None = None) -> None:
    """Write all chapters' notebooks into a folder, and keep the outputs of those that lie there.

    draw: what makes a picture of a drawing; with it the outputs are those of the executed chapters.
    """
    for name in chapters():
        path = folder / f"{name}.ipynb"
        notebook = writer.notebook(name)
        if draw:
            ran = executed_chapter(name)
            outputs = kept_outputs.executed(ran, source(name), draw, writer.addresses(name))
        else:
            outputs = kept_outputs.stored(path, notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = outputs.get(cell.id, [])
        kept_outputs.describe(notebook, kept_outputs.alternative_texts(source(name)))
        nbformat.write(notebook, path)


def main() -> None:
    folder = ROOT / "colab"
    folder.mkdir(exist_ok=True)
    if "--values" not in sys.argv[1:]:
        write(Writer(), folder)
        return
    text = json.dumps(executed_values(), indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "values.json").write_text(text + "\n")
    with kept_outputs.drawing() as draw:
        write(Writer(), folder, draw)


if __name__ == "__main__":
    main()
