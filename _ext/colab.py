"""Write colab/NAME.ipynb from every chapter: the same notebook in the plain Markdown that Colab can
show.

python _ext/colab.py [--values]: with --values the numbers in the text are taken anew from the
chapters as executed by `make book`, and kept in colab/values.json; without, those kept there are
used. Theorems become bold paragraphs, solutions fold, references become links into the book, and a
first cell installs the library where it is missing.
"""

import ast
import json
import re
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import yaml

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w:-]+)\}[ \t]*(.*)$")
ROLE = re.compile(r"\{([\w:-]+)\}`([^`]+)`")
NUMBERED = {
    "prf:proposition": "Proposition",
    "prf:theorem": "Theorem",
    "prf:lemma": "Lemma",
    "prf:corollary": "Corollary",
    "prf:definition": "Definition",
    "prf:remark": "Remark",
    "exercise": "Exercise",
}
BOXES = ("admonition", "note", "tip", "warning", "important", "seealso", "margin")
# A labelled equation, or a directive with a label or a name among its first options.
LABELLED = re.compile(
    r"^\$\$[ \t]*\((?P<equation>eq-[\w-]+)\)"
    r"|\{(?P<kind>\S+)\}[^\n]*\n(?::\w+:[^\n]*\n)*?:(?:label|name): (?P<label>\S+)",
    re.MULTILINE,
)
SECTION_LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
FOLDED = "#@title Run this cell. Its code is folded."  # Colab's own sign for a folded cell
START = """\
# Run this cell first. It takes a minute where the library is missing.
try:
    import contrastlib
except ImportError:
    %pip install -q git+{repository}
import torch

gpu = "none, the processor will do"
if torch.cuda.is_available():
    gpu = torch.cuda.get_device_name()
print("GPU:", gpu)\
"""


def chapters() -> list[str]:
    """The chapters' names, in the book's order."""
    names = []
    for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]:
        if part.get("numbered"):
            names += [Path(entry["file"]).name for entry in part["chapters"]]
    return names


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


class Numbering:
    """Counts a chapter's equations, figures, theorems and exercises, and keeps what each label is
    called.

    found: from a label to its name in the book and its address.
    """

    def __init__(self, chapter: int, page: str):
        self.chapter = chapter
        self.page = page
        self.counts: Counter[str] = Counter()
        self.found: dict[str, tuple[str, str]] = {}

    def add(self, kind: str, label: str) -> None:
        """Give the label the next number of its kind, such as "Figure"."""
        self.counts[kind] += 1
        number = f"{self.chapter}.{self.counts[kind]}"
        if kind == "Equation":
            self.found[label] = (f"({number})", f"{self.page}#equation-{label}")
        else:
            self.found[label] = (f"{kind} {number}", f"{self.page}#{label}")

    def add_section(self, label: str) -> None:
        self.found[label] = ("this section", f"{self.page}#{label}")

    def read(self, cell: nbformat.NotebookNode) -> None:
        """Number what a cell defines, in order."""
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if figure:
            self.add("Figure", figure["name"])
        for match in LABELLED.finditer(cell.source):
            if match["equation"]:
                self.add("Equation", match["equation"])
            elif match["kind"] in NUMBERED:
                self.add(NUMBERED[match["kind"]], match["label"])
            elif match["kind"] in ("figure", "table"):
                self.add(match["kind"].capitalize(), match["label"])
        for label in SECTION_LABEL.findall(cell.source):
            self.add_section(label)


def labels() -> dict[str, tuple[str, str]]:
    """What every label of the book is called there, and its address."""
    found = {}
    for chapter, name in enumerate(chapters(), 1):
        numbering = Numbering(chapter, f"{site()}/book/{name}.html")
        for cell in source(name).cells:
            numbering.read(cell)
        found.update(numbering.found)
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

    def notebook(self, name: str) -> nbformat.NotebookNode:
        """A chapter for Colab: its title, the link to the book, the cell that installs the library,
        the rest.
        """
        book = source(name)
        self.terms = set()
        converted = []
        for cell in seen_cells(book.cells):
            converted += self.cells(cell)
        title, *rest = converted
        cells = [
            title,
            nbformat.v4.new_markdown_cell(self.link(name), id="link"),
            nbformat.v4.new_code_cell(START.format(repository=repository()), id="start"),
            *rest,
        ]
        metadata = {"kernelspec": book.metadata.kernelspec, "colab": {"provenance": []}}
        return nbformat.v4.new_notebook(cells=cells, metadata=metadata)

    def cells(self, cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
        """A cell of the book for Colab, and below a plot its caption."""
        if cell.cell_type == "markdown":
            return [nbformat.v4.new_markdown_cell(self.text(cell.source), id=cell.id)]
        code = nbformat.v4.new_code_cell(cell.source, id=cell.id)
        if {"hide-input", "remove-cell"} & set(cell.metadata.get("tags", [])):
            code.source = f"{FOLDED}\n{cell.source}"
            code.metadata["cellView"] = "form"
        caption = self.caption(cell)
        if not caption:
            return [code]
        return [code, nbformat.v4.new_markdown_cell(f"*{caption}*", id=f"{cell.id}-caption"[:64])]

    def caption(self, cell: nbformat.NotebookNode) -> str:
        """The number and the caption of a cell's figure; "" where it has none."""
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if not figure:
            return ""
        return f"{self.labels[figure['name']][0]}. {self.text(figure['caption'])}"

    def link(self, name: str) -> str:
        """Where the notebook is from, and how long it takes."""
        return (
            f"*A chapter of [{self.title()}]({site()}/book/{name}.html). Numbers in the text "
            "are those of the book's "
            f"own run; yours may differ in the last digits.*\n\n{self.expected(name)}"
        )

    def expected(self, name: str) -> str:
        """What the reader may expect to wait, from the book's own run."""
        seconds, _, where = self.values[f"{name}-run-time"].partition(" s on ")
        whole = max(1, round(float(seconds)))
        return (
            f"*It runs in about {whole} seconds (measured on {where}), and needs no GPU. "
            "Installing the library comes on top.*"
        )

    def title(self) -> str:
        return yaml.safe_load((ROOT / "_config.yml").read_text())["title"]


def seen_cells(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells that a reader of the notebook needs: all but those that the book hides and that
    define nothing which a later cell uses.
    """
    wanted: set[str] = set()  # names that later cells use and do not define themselves
    seen = []
    for cell in reversed(cells):
        defined, used = set(), set()
        if cell.cell_type == "code":
            defined, used = names_in(cell.source)
        hidden = "remove-cell" in cell.metadata.get("tags", [])
        if hidden and not defined & wanted:
            continue
        seen.append(cell)
        wanted = (wanted - defined) | (used - defined)
    return seen[::-1]


def names_in(code: str) -> tuple[set[str], set[str]]:
    """The names that a cell defines, and those that it uses."""
    defined = set()
    used = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            names = used if isinstance(node.ctx, ast.Load) else defined
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).split(".")[0])
    return defined, used


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


def executed_values() -> dict[str, str]:
    """Every number that a chapter's text asks for, as it asks for it, from the chapters that `make
    book` executed.
    """
    glued = {}
    for name in chapters():
        for cell in nbformat.read(ROOT / "_executed" / f"{name}.ipynb", as_version=4).cells:
            for output in cell.get("outputs", []):
                scrapbook = output.get("metadata", {}).get("scrapbook")
                if scrapbook:
                    text = output["data"][scrapbook["mime_prefix"] + "text/plain"]
                    glued[scrapbook["name"]] = ast.literal_eval(text)
    values = {}
    for name in chapters():
        for body in asked(name):
            values[body] = shown(glued, body)
    return values


def asked(name: str) -> list[str]:
    """The glue of a chapter's text."""
    text = "\n".join(cell.source for cell in source(name).cells if cell.cell_type == "markdown")
    return [body for kind, body in ROLE.findall(text) if kind == "glue:text"]


def shown(glued: dict, body: str) -> str:
    """A value in the format that stands after its name."""
    name, _, form = body.partition(":")
    if form:
        return format(glued[name], form)
    return str(glued[name])


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
