"""The book as it lies in its files: which chapters there are, their titles, and its addresses."""

from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import yaml

ROOT = Path(__file__).parent.parent


def chapters() -> list[str]:
    """The chapters' names, in the book's order."""
    names = []
    for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]:
        if part.get("numbered"):
            names += [Path(entry["file"]).name for entry in part["chapters"]]
    return names


def repository() -> str:
    """The project's address."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].rstrip("/")


def site() -> str:
    """The published book's address, which follows from the repository's (see site_address.py)."""
    owner, name = urlsplit(repository()).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}"


def source(name: str) -> nbformat.NotebookNode:
    """A chapter as it lies in book/."""
    return nbformat.read(ROOT / "book" / f"{name}.ipynb", as_version=4)


def titles() -> dict[str, str]:
    """The first heading of every page of the book."""
    found = {}
    for path in (ROOT / "book").iterdir():
        if path.suffix == ".ipynb":
            found[path.stem] = source(path.stem).cells[0].source.splitlines()[0]
        elif path.suffix == ".md":
            found[path.stem] = path.read_text().splitlines()[0]
    return {name: title.removeprefix("# ") for name, title in found.items()}
