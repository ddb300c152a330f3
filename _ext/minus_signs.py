"""Sphinx extension: a negative number that the text takes from the code has a minus sign, not a
hyphen.
"""

import re

from docutils import nodes


def with_minus(number: str) -> str:
    """A number's text with a minus sign before it, if it is negative; other text as it is."""
    return re.sub(r"^-(?=[\d.])", "−", number)


def set_minus_signs(app, doctree, docname):
    """Go through the numbers that were pasted into a page."""
    for pasted in doctree.findall(nodes.inline):
        if "pasted-text" in pasted["classes"]:
            for text in list(pasted.findall(nodes.Text)):
                text.parent.replace(text, nodes.Text(with_minus(text.astext())))


def setup(app):
    app.connect("doctree-resolved", set_minus_signs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
