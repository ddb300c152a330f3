"""What the book calls its equations, figures, theorems, exercises and sections; whom it cites."""

import re
from collections import Counter

import nbformat
from book_files import ROOT, chapters, site, source
from pybtex.database import parse_file

NUMBERED = {
    "prf:proposition": "Proposition",
    "prf:theorem": "Theorem",
    "prf:lemma": "Lemma",
    "prf:corollary": "Corollary",
    "prf:definition": "Definition",
    "prf:remark": "Remark",
    "exercise": "Exercise",
}
# A labelled equation, or a directive with a label or a name among its first options.
LABELLED = re.compile(
    r"^\$\$[ \t]*\((?P<equation>eq-[\w-]+)\)"
    r"|\{(?P<kind>\S+)\}[^\n]*\n(?::\w+:[^\n]*\n)*?:(?:label|name): (?P<label>\S+)",
    re.MULTILINE,
)
SECTION_LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)


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
    found = {}
    for key, entry in parse_file(ROOT / "book" / "references.bib").entries.items():
        people = [" ".join(person.last_names) for person in entry.persons["author"]]
        names = " and ".join(people) if len(people) < 3 else f"{people[0]} et al."
        found[key] = (names, entry.fields["year"])
    return found
