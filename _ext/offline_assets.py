"""Sphinx extension: pages that ask no other host for anything.

MathJax is copied from the package sphinx-mathjax-offline (the 2 MB of its 24 that TeX needs). It cannot lie in the
source's _static: Jupyter Book loads every script it finds there on every page, and MathJax loaded twice throws.
"""

import importlib.util
import shutil
from pathlib import Path

# The second folder holds what MathJax loads on demand: \boldsymbol, \cancel, \color and so on.
FOLDERS = ("output/chtml/fonts/woff-v2", "input/tex/extensions")


def copy_mathjax(app):
    if app.builder.format != "html":
        return
    # The package's name has hyphens, so it is found, never imported.
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for folder in FOLDERS:
        shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)
    shutil.copy(source / "tex-chtml.js", target)


def drop_thebe(app):
    """Jupyter Book always loads sphinx-thebe: a kernel that nobody offers, and a script error on each page."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        listeners = app.events.listeners[event]
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]


def setup(app):
    app.connect("config-inited", lambda app, config: setattr(config, "mathjax_path", "mathjax/tex-chtml.js"))
    app.set_html_assets_policy("always")  # or it would load MathJax only where Sphinx sees maths, not in raw HTML
    app.connect("builder-inited", copy_mathjax)
    drop_thebe(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
