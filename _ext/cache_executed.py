"""Put notebooks that the tests have executed into Jupyter Book's cache, so that building the book runs nothing again.

    python _ext/cache_executed.py _executed/*.ipynb

An executed NAME.ipynb stands for book/NAME.ipynb. The cache finds it by a hash of its code cells: had the chapter
changed since, Jupyter Book would find nothing and execute the chapter itself.
"""

import sys
from datetime import datetime
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn


def seconds(timing):
    """From a cell's start to its answer, of the four times that nbclient notes."""
    start, end = (datetime.fromisoformat(timing[key]) for key in ("iopub.status.busy", "shell.execute_reply"))
    return (end - start).total_seconds()


cache = get_cache("_build/.jupyter_cache")
for path in map(Path, sys.argv[1:]):
    notebook = nbformat.read(path, as_version=4)
    # The times must go: the hash covers the cells' metadata, and the chapter itself has none.
    timings = [cell.metadata.pop("execution", {}) for cell in notebook.cells if cell.cell_type == "code"]
    total = sum(map(seconds, filter(None, timings)))
    bundle = CacheBundleIn(notebook, str(Path("book", path.name).resolve()), data={"execution_seconds": total})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    print(f"{path.stem}: {total:.1f} s")
