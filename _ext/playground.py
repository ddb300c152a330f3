"""A directive for the playground: a contrastive learner that trains in the page, without a kernel
or a request.

In a MyST page,

    ```{playground}
    :preset: dilemma
    ```

puts one into the page. Its styles, its markup and its scripts are written into the page once,
before its first playground. Without scripts and on paper it is a still picture of its preset with
what is to be seen in it (see stills.py); in other formats than HTML it is that text alone.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

FOLDER = Path(__file__).with_name("playground")
# In this order: each uses functions of those before it. ENGINE knows nothing of the page.
ENGINE = ["data", "network", "losses", "metrics", "engine", "presets", "address"]
VIEW = ["turn", "draw", "panels", "controls", "view", "hands", "mount"]
EXPORTS = (
    "anchorForces, batchLoss, embed, lossAndGradient, makeWorld, measure, nextBatch, playgrounds, "
    "PRESETS, presetSettings, readAddress, stepWorld, writeAddress"
)


def read(name: str) -> str:
    """The text of a file in playground/."""
    return FOLDER.joinpath(name).read_text(encoding="utf-8")


def lighten(source: str) -> str:
    """JavaScript or CSS without the lines that only comment, without empty lines, and without
    indentation.
    """
    source = re.sub(r"^\s*/\*.*?\*/$", "", source, flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for line in source.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def styles() -> str:
    """The styles, without the spaces that say nothing."""
    text = re.sub(r"\s*([{};])\s*", r"\1", lighten(read("playground.css")))
    return re.sub(r"([,:]) ", r"\1", text)


def script() -> str:
    """All scripts as one function, so that none of their names meets a name of another script."""
    text = "\n".join(lighten(read(f"{name}.js")) for name in [*ENGINE, *VIEW])
    text = re.sub(r"\s+// .*$", "", text, flags=re.MULTILINE)  # comments behind a statement
    text = re.sub(r"([;{,])\n", r"\1", text)
    return "(() => {\n" + text + f"\nwindow.contrastivePlayground = {{ {EXPORTS} }};\n}})();"


def once() -> str:
    """What a page holds once, before its first playground: styles and templates."""
    return f"<style>\n{styles()}\n</style>\n{lighten(read('playground.html'))}\n"


def root(preset: str) -> str:
    """One playground's place in the page, with the still picture for readers without scripts."""
    still = read(f"still-{preset}.html")
    return (
        f'<div class="pg tex2jax_ignore mathjax_ignore" data-preset="{preset}">\n'
        f'<figure class="pg-still">{still}'
        f"<figcaption>{still_sentence(preset)}</figcaption></figure>\n</div>\n"
    )


def starter() -> str:
    """The script that starts all playgrounds of the page, once the page is there."""
    return (
        "<script>\ndocument.addEventListener('DOMContentLoaded', () => {\n"
        f"{script()}\n"
        "});\n</script>\n"
    )


def presets() -> list[str]:
    """The presets' names, as presets.js lists them."""
    return re.findall(r"^  (\w+): \{$", read("presets.js"), flags=re.MULTILINE)


def watch(preset: str) -> str:
    """What presets.js says is to be seen in a preset."""
    block = read("presets.js").partition(f"\n  {preset}: {{\n")[2].partition("\n  },\n")[0]
    strings = block.partition("watch:")[2].partition("steps:")[0]
    return "".join(re.findall(r'"([^"]*)"', strings))


def still_sentence(preset: str) -> str:
    """What stands below a preset's still picture."""
    return (
        f"A still picture of the points at the end. {watch(preset)} In a browser with scripts they "
        "move: the encoders train in the page."
    )


class Playground(SphinxDirective):
    """`playground`, with the option `preset`: where it starts. An unknown preset is an error of the
    page.
    """

    option_spec = {"preset": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        preset = self.options.get("preset", "dilemma")
        if preset not in presets():
            raise self.error(
                f"playground: no preset is called {preset!r}; there are {', '.join(presets())}"
            )
        html = root(preset)
        seen = self.env.temp_data.setdefault("playground", False)
        if not seen:
            html = once() + html + starter()
            self.env.temp_data["playground"] = True
        text = f"In the book's web pages, encoders train here. {watch(preset)}"
        only = nodes.container("", nodes.paragraph(text=text), classes=["playground-still"])
        for name in ("presets.js", f"still-{preset}.html"):
            self.env.note_dependency(str(FOLDER / name))
        return [nodes.raw("", html, format="html"), NotHtml("", only)]


class NotHtml(nodes.General, nodes.Element):
    """What other formats than HTML show in the playground's place."""


def skip(translator, node):
    raise nodes.SkipNode


def visit(translator, node):
    pass


def setup(app):
    app.add_directive("playground", Playground)
    both = (visit, visit)
    app.add_node(NotHtml, html=(skip, None), latex=both, text=both, man=both, texinfo=both)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def page(preset: str = "dilemma") -> str:
    """A whole page with one playground and nothing else: for tests, and for looking at it."""
    title = json.dumps("playground")[1:-1]
    return (
        '<!DOCTYPE html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8">'
        f"<title>{title}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1"></head>\n'
        f"<body><main><h1>{title}</h1>\n{once()}{root(preset)}{starter()}</main></body></html>\n"
    )
