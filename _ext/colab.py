"""Write colab/NAME.ipynb from every chapter: the same notebook in the plain Markdown that Colab can show.

python _ext/colab.py [--values]: with --values the numbers in the text are taken anew from the chapters as executed by
`make book`, and kept in colab/values.json; without, those kept there are used. Theorems become bold paragraphs,
solutions fold, references become links into the book, and a first cell installs the library where it is missing.
"""

import ast
import json
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import yaml

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w:-]+)\}[ \t]*(.*)$")
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]+)`")
NUMBERED = {"prf:proposition": "Proposition", "prf:theorem": "Theorem", "prf:lemma": "Lemma", "exercise": "Exercise"}
NUMBERED |= {"prf:corollary": "Corollary", "prf:definition": "Definition", "prf:remark": "Remark"}
START = """\
# Run this cell first. It takes a minute where the library is missing, and then says what the chapter will run on.
try:
    import contrastlib
except ImportError:
    %pip install -q git+{repository}
import torch

print("GPU:", torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the processor will do")\
"""


def chapters() -> list[str]:
    """The chapters' names, in the book's order."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    return [Path(entry["file"]).name for part in parts if part.get("numbered") for entry in part["chapters"]]


def repository() -> str:
    """The project's address."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"].rstrip("/")


def site() -> str:
    """The published book's address, which follows from the repository's (see site_address.py)."""
    owner, name = urlsplit(repository()).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}"


def source(name: str) -> nbformat.NotebookNode:
    """A chapter as it lies in book/."""
    return nbformat.read(ROOT / "book" / f"{name}.ipynb", as_version=4)


def titles() -> dict[str, str]:
    """The first heading of every page of the book."""
    found = {}
    for path in (ROOT / "book").iterdir():
        if path.suffix == ".ipynb":
            found[path.stem] = source(path.stem).cells[0].source.splitlines()[0]
        elif path.suffix == ".md":
            found[path.stem] = path.read_text().splitlines()[0]
    return {name: title.removeprefix("# ") for name, title in found.items()}


def labels() -> dict[str, tuple[str, str]]:
    """What every label of the book is called there, and its address."""
    found = {}
    for number, name in enumerate(chapters(), 1):
        page = f"{site()}/book/{name}.html"
        count = dict.fromkeys(("Equation", "Figure", *NUMBERED.values()), 0)

        def add(kind, label, page=page, count=count, number=number):
            count[kind] += 1
            shown = f"({number}.{count[kind]})" if kind == "Equation" else f"{kind} {number}.{count[kind]}"
            found[label] = (shown, f"{page}#{'equation-' * (kind == 'Equation')}{label}")

        for cell in source(name).cells:
            if figure := cell.metadata.get("mystnb", {}).get("figure"):
                add("Figure", figure["name"])
            pattern = r"^\$\$[ \t]*\((eq-[\w-]+)\)|\{(\S+)\}[^\n]*\n(?::\w+:[^\n]*\n)*?:(?:label|name): (\S+)"
            for equation, kind, label in re.findall(pattern, cell.source, re.MULTILINE):
                if equation:
                    add("Equation", equation)
                elif kind in NUMBERED:
                    add(NUMBERED[kind], label)
                elif kind == "figure":
                    add("Figure", label)
            for label in re.findall(r"^\(([\w-]+)\)=$", cell.source, re.MULTILINE):
                found[label] = ("this section", f"{page}#{label}")
    return found


def citations() -> dict[str, tuple[str, str]]:
    """Authors and year of every entry of the bibliography."""
    from pybtex.database import parse_file

    found = {}
    for key, entry in parse_file(ROOT / "book" / "references.bib").entries.items():
        people = [" ".join(person.last_names) for person in entry.persons["author"]]
        names = " and ".join(people) if len(people) < 3 else f"{people[0]} et al."
        found[key] = (names, entry.fields["year"])
    return found


class Writer:
    """Turns the Markdown of one chapter into Colab's; keeps what all chapters share."""

    def __init__(self):
        self.labels, self.titles, self.citations = labels(), titles(), citations()
        path = ROOT / "colab" / "values.json"
        self.values = json.loads(path.read_text()) if path.exists() else {}

    def text(self, markdown: str) -> str:
        """Markdown without directives and roles."""
        out, lines = [], markdown.split("\n")
        while lines:
            line = lines.pop(0)
            if match := FENCE.match(line):
                end = next(i for i, other in enumerate(lines) if other.strip() == match[1])
                out.append(self.directive(match[2], match[3].strip(), lines[:end]))
                lines = lines[end + 1 :]
            elif not re.match(r"^\([\w-]+\)=$", line):
                out.append(line)
        joined = "\n".join(out)
        joined = re.sub(r"^\$\$[ \t]*\((eq-[\w-]+)\)", self.tag, joined, flags=re.MULTILINE)
        return ROLE.sub(self.role, joined)

    def tag(self, match: re.Match) -> str:
        """The end of a numbered equation, with its number."""
        return rf"\tag{{{self.labels[match[1]][0].strip('()')}}}" + "\n$$"

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        """A block of the book as plain Markdown."""
        options = {}
        while lines and (match := re.match(r"^:(\w+):[ \t]*(.*)$", lines[0])):
            options[match[1]] = match[2]
            lines = lines[1:]
        body = self.text("\n".join(lines).strip("\n"))
        if kind in NUMBERED:
            name = self.labels[options["label"]][0] if "label" in options else NUMBERED[kind]
            return f"**{name}**{f' ({title})' if title else ''}**.** {body}"
        if kind == "prf:proof":
            return f"*Proof.* {body} $\\square$"
        if kind == "solution":
            return f"<details><summary>Solution of {self.labels[title][0]}</summary>\n\n{body}\n\n</details>"
        if kind == "dropdown":
            return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        if kind in ("admonition", "note", "tip", "warning", "important", "seealso", "margin"):
            return "\n".join(
                f"> {line}".rstrip() for line in [f"**{title or kind.capitalize()}**", "", *body.split("\n")]
            )
        if kind == "figure":
            return f"![{options.get('alt', '')}]({site()}/{title.lstrip('./')})\n\n*{body}*"
        raise ValueError(f"there is no plain form for the directive {kind!r}: teach _ext/colab.py one")

    def role(self, match: re.Match) -> str:
        """A reference of the book as a link into it."""
        kind, body = match[1], match[2].replace("\n", " ")
        shown, _, target = body.partition(" <")
        target = target.rstrip(">") or shown
        if kind == "glue:text":
            return self.values[body]
        if kind == "term":
            return f"[{shown}]({site()}/book/glossary.html#term-{target.replace(' ', '-')})"
        if kind == "doc":
            name = target.split("/")[-1]
            return f"[{shown if shown != target else self.titles[name]}]({site()}/book/{name}.html)"
        if kind in ("cite:t", "cite:p"):
            found = [(key.strip(), *self.citations[key.strip()]) for key in body.split(",")]
            form = "{} ({})" if kind == "cite:t" else "{}, {}"
            links = [f"[{form.format(names, year)}]({site()}/book/bibliography.html)" for _, names, year in found]
            return ", ".join(links) if kind == "cite:t" else f"({'; '.join(links)})"
        if kind in ("eq", "numref", "prf:ref", "ref"):
            name, url = self.labels[target]
            return f"[{shown if shown != target else name}]({url})"
        raise ValueError(f"there is no plain form for the role {kind!r}: teach _ext/colab.py one")

    def notebook(self, name: str) -> nbformat.NotebookNode:
        """A chapter for Colab."""
        book = source(name)
        link = f"*A chapter of [{self.title()}]({site()}/book/{name}.html). "
        link += "Numbers in the text are those of the book's own run; yours may differ in the last digits.*\n\n"
        link += self.expected(name)
        cells = [nbformat.v4.new_markdown_cell(link, id="link")]
        cells.append(nbformat.v4.new_code_cell(START.format(repository=repository()), id="start"))
        for cell in book.cells:
            if "remove-cell" in cell.metadata.get("tags", []):
                continue
            if cell.cell_type == "markdown":
                cells.append(nbformat.v4.new_markdown_cell(self.text(cell.source), id=cell.id))
            else:
                cells.append(nbformat.v4.new_code_cell(cell.source, id=cell.id))
        cells[0], cells[2] = cells[2], cells[0]  # the title first
        cells[1], cells[2] = cells[2], cells[1]
        metadata = {"kernelspec": book.metadata.kernelspec, "colab": {"provenance": []}, "accelerator": "GPU"}
        return nbformat.v4.new_notebook(cells=cells, metadata=metadata)

    def expected(self, name: str) -> str:
        """What the reader may expect to wait, from the book's own run."""
        seconds, _, where = self.values[f"{name}-run-time"].partition(" s on ")
        minutes = max(0.1, float(seconds) / 60)
        return (
            f"*Expected time: {minutes:.1f} minutes on the processor (measured: {seconds} s on {where}). On a T4 GPU "
            "no longer than that (an estimate: no T4 was at hand). Installing the library comes on top.*"
        )

    def title(self) -> str:
        return yaml.safe_load((ROOT / "_config.yml").read_text())["title"]


def executed_values() -> dict[str, str]:
    """Every number that a chapter's text asks for, as it asks for it, from the chapters that `make book` executed."""
    glued = {}
    for name in chapters():
        for cell in nbformat.read(ROOT / "_executed" / f"{name}.ipynb", as_version=4).cells:
            for output in cell.get("outputs", []):
                if book := output.get("metadata", {}).get("scrapbook"):
                    text = output["data"][book["mime_prefix"] + "text/plain"]
                    glued[book["name"]] = ast.literal_eval(text)
    return {body: shown(glued, body) for name in chapters() for body in asked(name)}


def asked(name: str) -> list[str]:
    """The glue of a chapter's text."""
    text = "\n".join(cell.source for cell in source(name).cells if cell.cell_type == "markdown")
    return [body for kind, body in ROLE.findall(text) if kind == "glue:text"]


def shown(glued: dict, body: str) -> str:
    """A value in the format that stands after its name."""
    name, _, form = body.partition(":")
    return format(glued[name], form) if form else str(glued[name])


def main() -> None:
    (ROOT / "colab").mkdir(exist_ok=True)
    if "--values" in sys.argv[1:]:
        text = json.dumps(executed_values(), indent=1, sort_keys=True, ensure_ascii=False)
        (ROOT / "colab" / "values.json").write_text(text + "\n")
    writer = Writer()
    for name in chapters():
        nbformat.write(writer.notebook(name), ROOT / "colab" / f"{name}.ipynb")


if __name__ == "__main__":
    main()
