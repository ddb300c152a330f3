"""What the chapters gave when `make book` executed them, and of it the numbers in their text."""

import ast

import nbformat
from book_files import ROOT, chapters, source
from minus_signs import with_minus
from plain_markdown import ROLE


def executed_chapter(name: str) -> nbformat.NotebookNode:
    """A chapter with what its cells gave."""
    return nbformat.read(ROOT / "_executed" / f"{name}.ipynb", as_version=4)


def executed_values() -> dict[str, str]:
    """Every number that a chapter's text asks for, as it asks for it, from the chapters that `make
    book` executed.
    """
    glued = {}
    for name in chapters():
        for cell in executed_chapter(name).cells:
            for output in cell.get("outputs", []):
                scrapbook = output.get("metadata", {}).get("scrapbook")
                if scrapbook:
                    text = output["data"][scrapbook["mime_prefix"] + "text/plain"]
                    glued[scrapbook["name"]] = ast.literal_eval(text)
    values = {}
    for name in chapters():
        for body in asked(name):
            values[body] = shown(glued, body)
    return values


def asked(name: str) -> list[str]:
    """The glue of a chapter's text."""
    text = "\n".join(cell.source for cell in source(name).cells if cell.cell_type == "markdown")
    return [body for kind, body in ROLE.findall(text) if kind == "glue:text"]


def shown(glued: dict, body: str) -> str:
    """A value in the format that stands after its name."""
    name, _, form = body.partition(":")
    if form:
        return with_minus(format(glued[name], form))
    return str(glued[name])
