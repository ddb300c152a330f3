"""Write _build/course.zip: what a lecturer hands out, and what they keep.

python _ext/course.py: students' notebooks without solutions, the same with solutions, slides of
every chapter that need no network, the lecturer's guide, a lab sheet, and questions for an
examination with their answers apart. Figures and numbers are those of the chapters as executed by
`make book`. The same chapters give the same bytes.
"""

import base64
import re
import zipfile
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import book_files
import book_labels
import executed_chapters
import nbformat
import plain_markdown
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from offline_assets import mathjax

import colab

MARK = "\0"
LEAD = '<div class="lead">'
BLOCK = re.compile(
    r"<details>[\s\S]*?</details>|^\$\$[\s\S]*?\$\$|(?:^>.*\n?)+|(?:^(?!\$\$).+\n?)+", re.MULTILINE
)
FINDING = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)  # a caption begins with it, in bold
UNSEEN = {"remove-cell", "remove-output", "hide-output", "hide-cell"}  # not for a lecture room
# What a slide shows of a text.
DISPLAYED = re.compile(r"\$\$|>|<details>|[-*|] |\d+\. |!\[|\|")
MARKDOWN = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(
        dollarmath_plugin,
        allow_labels=False,
        renderer=lambda tex, about: escape(
            rf"\[{tex}\]" if about["display_mode"] else rf"\({tex}\)"
        ),
    )
)
ROWS = 9  # of a table on a slide
ROOM = 4  # equations on one slide; a statement takes the room of two
README = """\
# {title}: course material

Text and figures: CC BY 4.0. Code: MIT. The book: {site}

- `students/`: the chapters as notebooks, an empty cell after each exercise; the lab sheet. A first
  cell installs the library where it is missing.
- `slides/`: a file for each chapter; open it in a browser. Arrow keys turn the slides, `t` changes
  between light and dark, printing gives one slide a page. No network is needed; `slides/mathjax/`
  must lie beside the files.
- `lecturer/`: the guide with its plans, the notebooks with solutions, questions for an examination,
  and their answers.
"""
PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 44rem; margin: 2rem auto; padding: 0 1rem;
  font: 1rem/1.55 system-ui, sans-serif; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3em .7em; border-bottom: 1px solid #8888; text-align: left; }}
</style>{script}</head><body><main>
{body}</main></body></html>
"""


@dataclass
class Figure:
    """What a cell shows, in HTML, and what is to be seen in it, in Markdown."""

    html: str
    finding: str = ""


@dataclass
class Section:
    """A section of a chapter: its heading, its text in blocks of Markdown, its figures."""

    heading: str
    blocks: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)


@dataclass
class Slide:
    """A slide: a heading of level "h1" or "h2", blocks of Markdown, and below them at most one
    figure in HTML.
    """

    heading: str
    blocks: list[str]
    figure: str = ""
    level: str = "h2"


class Student(colab.Writer):
    """Solutions left out; a mark after each exercise says where its answer goes."""

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        if kind == "solution":
            return ""
        text = super().directive(kind, title, lines)
        if kind == "exercise":
            options, _ = plain_markdown.split_options(lines)
            text += "\n\n"
            for answer in self.answer_kinds(title, text):
                text += f"{MARK}{answer} {options['label']}{MARK}"
        return text

    def answer_kinds(self, title: str, text: str) -> list[str]:
        """The empty cells after an exercise. One for the pencil may be worked out by hand and
        checked by code.
        """
        kinds = []
        if title.startswith("Pencil"):
            kinds.append("markdown")
        if not title.startswith("Pencil") or "import check_" in text:
            kinds.append("code")
        return kinds

    def notebook(self, name: str) -> nbformat.NotebookNode:
        book = super().notebook(name)
        cells = []
        for cell in book.cells:
            cells += self.split_at_marks(cell)
        book.cells = cells
        return book

    def split_at_marks(self, cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
        """A cell's text before, between and after the marks, and an empty cell for each mark."""
        cells = []
        for number, part in enumerate(cell.source.split(MARK)):
            is_mark = number % 2 == 1
            if is_mark:
                kind, label = part.split()
                new_cell = nbformat.v4.new_code_cell
                if kind == "markdown":
                    new_cell = nbformat.v4.new_markdown_cell
                cells.append(new_cell(id=f"{kind}-{label}"[:64], metadata={"tags": ["answer"]}))
            elif part.strip():
                if cell.cell_type == "markdown":
                    part = re.sub(r"\n{3,}", "\n\n", part).strip()
                new_id = cell.id if number == 0 else f"{cell.id}-{number}"
                cells.append(nbformat.from_dict({**cell, "source": part, "id": new_id}))
        return cells


class Solved(colab.Writer):
    """Solutions unfolded."""

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        text = super().directive(kind, title, lines)
        if kind != "solution":
            return text
        inside = text.removeprefix("<details><summary>").removesuffix("\n\n</details>")
        head, body = inside.split("</summary>", 1)
        return f"**{head}.**{body}"


class Slides(colab.Writer):
    """Statements as boxes, no proofs, no solutions, of exercises their titles; no link, since a
    lecture needs none.
    """

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        if kind in ("prf:proof", "solution"):
            return ""
        text = super().directive(kind, title, lines)
        if kind == "dropdown" and text.split() == plain_markdown.fold(title, "").split():
            return ""  # it held nothing but a proof
        if kind == "exercise":
            name = text.partition("**.**")[0]
            return f"- {name.lstrip('*').replace('**', '')}"
        if kind in book_labels.NUMBERED:
            return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
        return text

    def text(self, markdown: str) -> str:
        return re.sub(r"\[([^]]*)\]\(http[^)]*\)", r"\1", super().text(markdown))

    def role(self, match: re.Match) -> str:
        text = super().role(match)
        if match[1] == "doc":
            return f"*{text}*"
        return text

    def sections(self, name: str, executed: Path) -> list[Section]:
        """The sections of a chapter, its opening first. executed: the folder of the executed
        chapters.
        """
        path = executed / f"{name}.ipynb"
        ran = {}
        if path.exists():
            ran = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
        found: list[Section] = []
        for cell in book_files.source(name).cells:
            if cell.cell_type == "code" and not UNSEEN & set(cell.metadata.get("tags", [])):
                found[-1].figures += self.figures(ran.get(cell.id, cell))
            elif cell.cell_type == "markdown":
                self.read_text(cell.source, found)
        return found

    def read_text(self, markdown: str, found: list[Section]) -> None:
        """Add a cell's text to the last section, and a section for each of its headings."""
        before, *parts = re.split(r"^#{1,2} ", self.text(markdown), flags=re.MULTILINE)
        if before.strip():
            found[-1].blocks += split_blocks(before)
        for part in parts:
            heading, _, text = part.partition("\n")
            found.append(Section(heading, split_blocks(text)))

    def figures(self, cell: nbformat.NotebookNode) -> list[Figure]:
        """What a cell shows. Where its caption begins with a finding, that is all one reads."""
        caption = self.caption(cell)
        finding = FINDING.search(caption)
        below = ""
        if finding:
            finding = finding[1]
        elif caption:
            below = f"<figcaption>{inline(caption)}</figcaption>"
        alt = escape(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", ""))
        shown = []
        for output in cell.get("outputs", []):
            if "scrapbook" in output.get("metadata", {}):
                continue
            data = output.get("data", {})
            image = image_address(data)
            if image:
                html = f'<figure><img alt="{alt}" src="{image}">{below}</figure>'
                shown.append(Figure(html, finding or ""))
            elif "text/html" in data:
                html = f'<div class="html">{data["text/html"]}</div>'
                html = f'<figure class="shown">{html}{below}</figure>'
                shown.append(Figure(html, finding or ""))
        return shown

    def deck(self, name: str, executed: Path) -> str:
        """A chapter's slides as one HTML file."""
        opening, *sections = self.sections(name, executed)
        number = book_files.chapters().index(name) + 1
        slides = [
            Slide(
                f"{number}. {opening.heading}", [opening.blocks[0], f"*{self.title()}*"], level="h1"
            )
        ]
        for block in opening.blocks:
            if block.startswith(">"):
                slides.append(Slide("Objectives", [block.partition("\n>\n")[2]]))
        for section in sections:
            slides += section_slides(section)
        shown = [slide_html(slide, place, len(slides)) for place, slide in enumerate(slides, 1)]
        template = Path(__file__).with_name("slides.html").read_text()
        template = template.replace("{{title}}", escape(slides[0].heading))
        return template.replace("{{slides}}", "\n".join(shown))


def split_blocks(text: str) -> list[str]:
    """Cut Markdown into its blocks: paragraphs, equations, boxes, folds."""
    return [block.strip() for block in BLOCK.findall(text)]


def image_address(data: dict) -> str:
    """The image of an output as a data URI; "" where it has none."""
    if "image/svg+xml" in data:
        coded = base64.b64encode(data["image/svg+xml"].encode()).decode()
        return f"data:image/svg+xml;base64,{coded}"
    if "image/png" in data:
        coded = "".join(data["image/png"].split())
        return f"data:image/png;base64,{coded}"
    return ""


def section_slides(section: Section) -> list[Slide]:
    """A section's slides: what its text displays, then a slide for each figure. Its heading says
    what was found.
    """
    displayed = [block for block in section.blocks if is_displayed(block)]
    slides = []
    if displayed:
        slides += [Slide(section.heading, group) for group in group_blocks(displayed)]
    elif section.blocks and not section.figures:
        slides.append(Slide(section.heading, [lead(section.blocks[0])]))
    for figure in section.figures:
        blocks = [lead(figure.finding)] if figure.finding else []
        slides.append(Slide(section.heading, blocks, figure.html))
    return slides


def is_displayed(block: str) -> bool:
    """Whether a slide shows a block: equations, boxes, lists, and tables of few rows."""
    is_table = block.startswith("|")
    if is_table and block.count("\n") > ROWS:
        return False
    return DISPLAYED.match(block) is not None


def lead(text: str) -> str:
    """A text as what one reads first on a slide."""
    return f"{LEAD}\n\n{text}\n\n</div>"


def group_blocks(blocks: list[str]) -> list[list[str]]:
    """Cut a section's blocks into slides, none with more equations and statements than there is
    room for.
    """
    groups: list[list[str]] = [[]]
    room = ROOM
    for block in blocks:
        room -= 2 if block.startswith(">") else 1
        if room < 0 and block.startswith((">", "$")):
            groups.append([])
            room = ROOM
        groups[-1].append(block)
    return groups


def slide_html(slide: Slide, place: int, count: int) -> str:
    kind = ' class="first"' if slide.level == "h1" else ""
    return (
        f'<section{kind} aria-label="{place} of {count}">'
        f"<{slide.level}>{inline(slide.heading)}</{slide.level}>"
        f'<div class="body">{render(*slide.blocks)}{slide.figure}</div></section>'
    )


def render(*blocks: str) -> str:
    """Markdown as HTML, formulas left for MathJax."""

    def summary(match: re.Match) -> str:
        return f"<summary>{inline(match[1])}</summary>"

    return MARKDOWN.render(re.sub("<summary>(.*?)</summary>", summary, "\n\n".join(blocks)))


def inline(text: str) -> str:
    return MARKDOWN.renderInline(text)


def documents(writer: colab.Writer) -> dict[str, str]:
    """The lecturer's guide, cut into what is handed out and what is kept: path and Markdown of
    each.
    """
    page = (book_files.ROOT / "book" / "lecturers_guide.md").read_text()
    top, *parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    (lab,) = (part for part in parts if part.startswith("## A lab"))
    (exam,) = (part for part in parts if part.startswith("## Questions for an examination"))
    questions, fold, answers = exam.partition("```{dropdown} Answers in outline\n")
    if not fold:
        raise ValueError(
            "book/lecturers_guide.md: the answers must stand in a dropdown 'Answers in outline'"
        )
    found = {
        "students/lab_sheet": lab[1:],
        "lecturer/guide": "".join([top, *(part for part in parts if part not in (lab, exam))]),
        "lecturer/exam_questions": questions[1:],
        "lecturer/exam_answers": f"# Answers in outline\n\n{answers.rstrip().removesuffix('```')}",
    }
    return {name: writer.text(text).strip() + "\n" for name, text in found.items()}


def files(values: dict[str, str], executed: Path) -> dict[str, bytes]:
    """Everything in the archive, by path. values: the numbers in the text. executed: the executed
    chapters' folder.
    """
    student = Student()
    solved = Solved()
    slides = Slides()
    for writer in (student, solved, slides):
        writer.values = values
    texts = {"README.md": README.format(title=slides.title(), site=book_files.site())}
    for number, name in enumerate(book_files.chapters(), 1):
        file = f"{number:02}_{name}"
        texts[f"students/{file}.ipynb"] = nbformat.writes(student.notebook(name)) + "\n"
        texts[f"lecturer/solutions/{file}.ipynb"] = nbformat.writes(solved.notebook(name)) + "\n"
        texts[f"slides/{file}.html"] = slides.deck(name, executed)
    for path, text in documents(solved).items():
        texts[f"{path}.md"] = text
        texts[f"{path}.html"] = page_html(text)
    found = {path: text.encode() for path, text in texts.items()}
    for name, path in mathjax().items():
        found[f"slides/mathjax/{name}"] = path.read_bytes()
    for name in ("LICENSE", "LICENSE-TEXT.md"):
        found[name] = (book_files.ROOT / name).read_bytes()
    return found


def page_html(text: str) -> str:
    """A document as a page. Its formulas are set by the MathJax beside the slides; all such
    documents lie in lecturer/.
    """
    body = render(text)
    script = ""
    if 'class="math' in body:
        script = '<script defer src="../slides/mathjax/tex-chtml.js"></script>'
    return PAGE.format(title=escape(text.split("\n")[0].strip("# ")), script=script, body=body)


def write(path: Path, found: dict[str, bytes]) -> None:
    """An archive whose bytes depend on nothing but its files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(found):
            info = zipfile.ZipInfo(f"course/{name}")  # dated 1980
            info.create_system = 3  # Unix
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, found[name])


if __name__ == "__main__":
    target = book_files.ROOT / "_build" / "course.zip"
    target.parent.mkdir(exist_ok=True)
    write(target, files(executed_chapters.executed_values(), book_files.ROOT / "_executed"))
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
