"""Sphinx extension: the launch button opens the chapter's notebook in colab/, which Colab can show
(see colab.py).
"""

from pathlib import Path


def relink(app, pagename, templatename, context, doctree):
    """The theme makes the address from the page's own path: put colab/NAME for book/NAME, or no
    button.
    """
    copied = Path(app.srcdir, "colab", f"{Path(pagename).name}.ipynb").exists()
    groups = context.get("header_buttons", [])
    context["header_buttons"] = [
        group for group in groups if copied or group.get("label") != "launch-buttons"
    ]
    for group in context["header_buttons"]:
        for button in group.get("buttons", []):
            if "colab" in button.get("url", ""):
                button["url"] = button["url"].replace("/book/", "/colab/")


def setup(app):
    app.connect("html-page-context", relink, priority=900)  # after the theme has made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
