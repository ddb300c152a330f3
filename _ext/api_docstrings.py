"""Sphinx extension: the library's docstrings are plain text with `code` in backticks; have Sphinx
read them so.

Elsewhere in it, *, | and a trailing _ are marks. Here they are what they are.
"""

import re


def escape(app, what, name, obj, options, lines):
    """Escape marks outside backticks; a block that stands four spaces in, after an empty line, is
    code.
    """
    out = []
    depth = 0  # the text's indentation
    code_depth = None  # that of a block of code; None outside one
    for line in lines:
        if line.strip():
            indent = len(line) - len(line.lstrip())
            if code_depth is not None and indent < code_depth:
                code_depth = None
            if code_depth is None:
                after_empty_line = bool(out) and not out[-1]
                after_text = bool(out) and bool(out[-1])
                if after_empty_line and indent >= depth + 4:
                    out += ["::", ""]
                    code_depth = indent
                else:
                    if after_text and indent != depth:
                        out.append("")
                    depth = indent
        out.append(line if code_depth is not None else escape_marks(line))
    lines[:] = out


def escape_marks(line):
    """A line of text with *, | and a trailing _ escaped, but not in backticks."""
    parts = re.split(r"(`[^`]*`)", line)  # every other part is in backticks
    for number, part in enumerate(parts):
        if number % 2 == 0:
            parts[number] = re.sub(r"([*|]|_\b)", r"\\\1", part)
    return "".join(parts)


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
