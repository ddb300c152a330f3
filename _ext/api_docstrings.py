"""Sphinx extension: the library's docstrings are plain text with `code` in backticks; have Sphinx
read them so.

Elsewhere in it, *, | and a trailing _ are marks. Here they are what they are.
"""

import re


def escape(app, what, name, obj, options, lines):
    """Escape marks outside backticks; a block that stands four spaces in, after an empty line, is
    code.
    """
    out, depth, code = [], 0, None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip():
            code = code if code is not None and indent >= code else None
            if code is None and indent >= depth + 4 and out and not out[-1]:
                out += ["::", ""]
                code = indent
            elif code is None and indent != depth and out and out[-1]:
                out.append("")
            depth = depth if code is not None else indent
        parts = re.split(r"(`[^`]*`)", line)
        if code is None:
            parts[::2] = [re.sub(r"([*|]|_\b)", r"\\\1", part) for part in parts[::2]]
        out.append("".join(parts))
    lines[:] = out


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
