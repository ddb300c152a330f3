"""What all widgets share: the figure that is shown, and the filling of a template."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
HTML_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


@dataclass(frozen=True)
class Interactive:
    """A figure that its reader can move: a notebook shows `html`; a terminal and a PDF show
    `summary`.
    """

    html: str
    summary: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.summary


def read_text(name: str) -> str:
    """Return the text of a file that lies beside this module, such as "widget.css"."""
    return (FOLDER / name).read_text(encoding="utf-8")


def fill_template(template: str, context: dict[str, object]) -> str:
    """Replace each placeholder `{{name}}` of the template by `context[name]`.

    Errors: KeyError where the context lacks a placeholder, or holds a name that the template does
    not ask for.
    """
    wanted = set(PLACEHOLDER.findall(template))
    given = set(context)
    if wanted - given:
        raise KeyError(
            f"the template asks for {sorted(wanted - given)}; the context does not hold them"
        )
    if given - wanted:
        raise KeyError(
            f"the context holds {sorted(given - wanted)}; the template does not ask for them"
        )
    return PLACEHOLDER.sub(lambda match: str(context[match[1]]), template)


def render(name: str, context: dict[str, object], *, scripts: tuple[str, ...] = ()) -> Interactive:
    """Make the widget NAME from NAME.html, NAME.css and NAME.js.

    name: the files' name. context: what the template's placeholders stand for; `summary`, the
    figure in one sentence, must be among them. scripts: further scripts, which come before NAME.js.
    The template's placeholders `style`, `script` and `id` are filled here. The id is a hash of the
    context, so equal widgets have equal HTML. Comments of the template are left out, because each
    page would carry them.
    """
    digest = hashlib.sha256(repr(sorted(context.items())).encode()).hexdigest()[:10]
    parts = [read_text(script) for script in (*scripts, f"{name}.js")]
    template = HTML_COMMENT.sub("", read_text(f"{name}.html"))
    filled = fill_template(
        template,
        {
            **context,
            "id": f"{name.replace('_', '-')}-{digest}",
            "style": read_text("widget.css") + read_text(f"{name}.css"),
            "script": "\n".join(parts),
        },
    )
    return Interactive(filled, str(context["summary"]))


def to_attribute(value: object) -> str:
    """Return the value as JSON for a data attribute in single quotes: data-taus='[0.1, 0.2]'."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "&amp;").replace("'", "&#39;").replace("<", "&lt;")


def format_percent(share: float) -> str:
    """Return a share in per cent, with two decimals below 10 % and one above."""
    if share < 5e-5:
        number = "<0.01"
    elif share < 0.1:
        number = f"{100 * share:.2f}"
    else:
        number = f"{100 * share:.1f}"
    return number + "\u00a0%"


def list_of_similarities(names: Iterable[str]) -> str:
    """HTML of the list from which the reader chooses similarities; a script uncovers it."""
    options = "".join(f"<option>{escape(name)}</option>" for name in names)
    return (
        '<div class="controls sources" hidden><label>Similarities from '
        f"<select>{options}</select></label></div>"
    )
