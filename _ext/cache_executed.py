"""Put notebooks that the tests have executed into Jupyter Book's cache, so that building the book
runs nothing again.

    python _ext/cache_executed.py _executed/*.ipynb

An executed NAME.ipynb stands for book/NAME.ipynb. The cache finds it by a hash of its code cells:
had the chapter changed since, Jupyter Book would find nothing and execute the chapter itself.
"""

import sys
from datetime import datetime
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn


def parse_time(stamp: str) -> datetime:
    """Read a time such as 2026-01-31T12:00:00.123456Z; Python 3.10 knows no "Z"."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


def seconds(timing: dict) -> float:
    """From a cell's start to its answer, of the four times that nbclient notes; 0 for a cell that
    did not run.
    """
    if not timing:
        return 0.0
    start = parse_time(timing["iopub.status.busy"])
    end = parse_time(timing["shell.execute_reply"])
    return (end - start).total_seconds()


def main(paths: list[str]) -> None:
    """Put the executed notebooks into the cache, and print how long each took."""
    cache = get_cache("_build/.jupyter_cache")
    for path in map(Path, paths):
        notebook = nbformat.read(path, as_version=4)
        total = 0.0
        for cell in notebook.cells:
            if cell.cell_type == "code":
                # The times must go: the hash covers the cells' metadata, and the chapter itself has
                # none.
                total += seconds(cell.metadata.pop("execution", {}))
        chapter = str(Path("book", path.name).resolve())
        bundle = CacheBundleIn(notebook, chapter, data={"execution_seconds": total})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        print(f"{path.stem}: {total:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
