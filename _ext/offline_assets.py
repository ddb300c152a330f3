"""Sphinx extension: pages that ask no other host for anything.

MathJax is copied from the package sphinx-mathjax-offline (the 2 MB of its 24 that TeX needs). It
cannot lie in the source's _static: Jupyter Book loads every script it finds there on every page,
and MathJax loaded twice throws.
"""

import importlib.util
import shutil
from pathlib import Path

# The second folder holds what MathJax loads on demand: \boldsymbol, \cancel, \color and so on.
FOLDERS = ("output/chtml/fonts/woff-v2", "input/tex/extensions")


def mathjax() -> dict[str, Path]:
    """The files of MathJax that a page needs, by their place in its folder."""
    # The package's name has hyphens, so it is found, never imported.
    source = (
        Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
        / "static"
        / "mathjax"
    )
    found = [path for folder in FOLDERS for path in (source / folder).rglob("*") if path.is_file()]
    return {path.relative_to(source).as_posix(): path for path in [source / "tex-chtml.js", *found]}


def copy_mathjax(app):
    if app.builder.format != "html":
        return
    for name, path in mathjax().items():
        target = Path(app.outdir) / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def drop_thebe(app):
    """Jupyter Book always loads sphinx-thebe: a kernel that nobody offers, and a script error on
    each page.
    """
    for event in ("env-before-read-docs", "doctree-resolved"):
        listeners = app.events.listeners[event]
        listeners[:] = [
            one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")
        ]


def setup(app):
    app.connect(
        "config-inited", lambda app, config: setattr(config, "mathjax_path", "mathjax/tex-chtml.js")
    )
    app.set_html_assets_policy(
        "always"
    )  # or it would load MathJax only where Sphinx sees maths, not in raw HTML
    app.connect("builder-inited", copy_mathjax)
    drop_thebe(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
