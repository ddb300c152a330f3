"""A page's Markdown without directives and roles, for readers that know neither.

Theorems become bold paragraphs, solutions fold, references become links into the book.
"""

import json
import re

from book_files import ROOT, site, titles
from book_labels import NUMBERED, SECTION_LABEL, citations, labels

FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w:-]+)\}[ \t]*(.*)$")
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]+)`")
BOXES = ("admonition", "note", "tip", "warning", "important", "seealso", "margin")


class PlainMarkdown:
    """Turns the Markdown of a page into plain Markdown; knows what all pages share.

    values: the numbers in the text, by what the text asks for.
    """

    def __init__(self):
        self.labels = labels()
        self.titles = titles()
        self.citations = citations()
        self.values: dict[str, str] = {}
        self.terms: set[str] = set()  # of the glossary, to which this notebook has a link already
        path = ROOT / "colab" / "values.json"
        if path.exists():
            self.values = json.loads(path.read_text())

    def text(self, markdown: str) -> str:
        """Markdown without directives and roles."""
        out = []
        lines = markdown.split("\n")
        while lines:
            line = lines.pop(0)
            match = FENCE.match(line)
            if match:
                end = next(i for i, other in enumerate(lines) if other.strip() == match[1])
                out.append(self.directive(match[2], match[3].strip(), lines[:end]))
                lines = lines[end + 1 :]
            elif not SECTION_LABEL.match(line):
                out.append(line)
        joined = "\n".join(out)
        joined = re.sub(r"^\$\$[ \t]*\((eq-[\w-]+)\)", self.tag, joined, flags=re.MULTILINE)
        return ROLE.sub(self.role, joined)

    def tag(self, match: re.Match) -> str:
        """The end of a numbered equation, with its number."""
        number = self.labels[match[1]][0].strip("()")
        return rf"\tag{{{number}}}" + "\n$$"

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        """A block of the book as plain Markdown."""
        options, lines = split_options(lines)
        body = self.text("\n".join(lines).strip("\n"))
        if kind in NUMBERED:
            name = NUMBERED[kind]
            if "label" in options:
                name = self.labels[options["label"]][0]
            in_brackets = f" ({title})" if title else ""
            return f"**{name}**{in_brackets}**.** {body}"
        if kind == "prf:proof":
            return f"*Proof.* {body} $\\square$"
        if kind == "solution":
            return fold(f"Solution of {self.labels[title][0]}", body)
        if kind == "dropdown":
            return fold(title, body)
        if kind == "table":
            return f"*{self.text(title)}*\n\n{body}"
        if kind in BOXES:
            box = [f"**{title or kind.capitalize()}**", "", *body.split("\n")]
            return "\n".join(f"> {line}".rstrip() for line in box)
        if kind == "playground":
            address = f"{site()}/book/playground.html#preset={options['preset']}"
            return f"*[Play with it in the book]({address}).*"
        if kind == "figure":
            return f"![{options.get('alt', '')}]({site()}/{title.lstrip('./')})\n\n*{body}*"
        raise ValueError(
            f"there is no plain form for the directive {kind!r}: teach _ext/colab.py one"
        )

    def role(self, match: re.Match) -> str:
        """A reference of the book as a link into it."""
        kind = match[1]
        body = match[2].replace("\n", " ")
        shown, _, target = body.partition(" <")
        target = target.rstrip(">") or shown
        has_own_text = shown != target
        if kind == "glue:text":
            return self.values[body]
        if kind == "term":
            if target in self.terms:
                return shown
            self.terms.add(target)
            return f"[{shown}]({site()}/book/glossary.html#term-{target.replace(' ', '-')})"
        if kind == "doc":
            name = target.split("/")[-1]
            text = shown if has_own_text else self.titles[name]
            return f"[{text}]({site()}/book/{name}.html)"
        if kind == "published":
            return f"[{shown}]({site()}/{target})"
        if kind == "cite:t":
            return ", ".join(self.cite(key, "{} ({})") for key in body.split(","))
        if kind == "cite:p":
            return f"({'; '.join(self.cite(key, '{}, {}') for key in body.split(','))})"
        if kind in ("eq", "numref", "prf:ref", "ref"):
            name, url = self.labels[target]
            text = shown if has_own_text else name
            return f"[{text}]({url})"
        raise ValueError(f"there is no plain form for the role {kind!r}: teach _ext/colab.py one")

    def cite(self, key: str, form: str) -> str:
        names, year = self.citations[key.strip()]
        return f"[{form.format(names, year)}]({site()}/book/bibliography.html)"


def split_options(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split a directive's options, such as ":label: fig-sphere", from its text."""
    options = {}
    for number, line in enumerate(lines):
        match = re.match(r"^:(\w+):[ \t]*(.*)$", line)
        if not match:
            return options, lines[number:]
        options[match[1]] = match[2]
    return options, []


def fold(summary: str, body: str) -> str:
    """A text that opens at a press."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
