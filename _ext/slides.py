"""The slides of a chapter: its statements, equations, boxes and figures, each with the heading that
says what was found.

A chapter becomes one HTML file, which needs no network but the MathJax beside it; slides.html is
its frame.
"""

import base64
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import book_files
import book_labels
import nbformat
import plain_markdown
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

import colab

LEAD = '<div class="lead">'
FOLD = "<details>"
QUESTIONS = "Check yourself"  # the section whose folds hold its answers
BLOCK = re.compile(
    r"<details>[\s\S]*?</details>|^\$\$[\s\S]*?\$\$|(?:^>.*\n?)+|(?:^(?!\$\$).+\n?)+", re.MULTILINE
)
FINDING = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)  # a caption begins with it, in bold
UNSEEN = {"remove-cell", "remove-output", "hide-output", "hide-cell"}  # not for a lecture room
# What a slide shows of a text.
DISPLAYED = re.compile(r"\$\$|>|<details>|[-*|] |\d+\. |!\[|\|")
ROWS = 9  # of a table on a slide
TALL = 1.55  # width by height, up to which a drawing is larger beside its heading than below it
ROOM = 4  # equations on one slide; a statement takes the room of two


def formula(tex: str, about: dict) -> str:
    """A formula as MathJax reads it."""
    if about["display_mode"]:
        return escape(rf"\[{tex}\]")
    return escape(rf"\({tex}\)")


MARKDOWN = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(dollarmath_plugin, allow_labels=False, renderer=formula)
)


@dataclass
class Figure:
    """What a cell shows, in HTML, and what is to be seen in it, in Markdown.

    is_tall: whether it needs the whole height of a slide, its heading beside it.
    """

    html: str
    finding: str = ""
    is_tall: bool = False


@dataclass
class Section:
    """A section of a chapter: its heading, its text in blocks of Markdown, its figures."""

    heading: str
    blocks: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)


@dataclass
class Slide:
    """A slide: a heading of level "h1" or "h2", blocks of Markdown, and at most one figure in HTML,
    which stands below them, or beside them where it is tall.
    """

    heading: str
    blocks: list[str]
    figure: str = ""
    level: str = "h2"
    is_tall: bool = False


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
        if kind == "dropdown" and title.startswith("Hint"):
            return ""  # a slide shows exercises by their titles alone
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
                shown.append(Figure(html, finding or "", is_tall_drawing(data)))
            elif "text/html" in data:
                html = f'<div class="html">{data["text/html"]}</div>'
                html = f'<figure class="shown">{html}{below}</figure>'
                moves = "<script" in data["text/html"]
                shown.append(Figure(html, finding or "", moves))
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


def is_tall_drawing(data: dict) -> bool:
    """Whether an output is a drawing that would be small below a heading, since it is narrow."""
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', data.get("image/svg+xml", ""))
    if not box:
        return False
    width, height = map(float, box.groups())
    return width < TALL * height


def section_slides(section: Section) -> list[Slide]:
    """A section's slides: what its text displays, then a slide for each figure. Its heading says
    what was found.
    """
    displayed = [block for block in section.blocks if is_displayed(block)]
    if section.heading != QUESTIONS and all(block.startswith(FOLD) for block in displayed):
        displayed = []  # asides alone, closed, are nothing to look at
    slides = []
    if displayed:
        slides += [Slide(section.heading, group) for group in group_blocks(displayed)]
    elif section.blocks and not section.figures:
        slides.append(Slide(section.heading, [lead(without_announcement(section.blocks[0]))]))
    for figure in section.figures:
        blocks = [lead(figure.finding)] if figure.finding else []
        slides.append(Slide(section.heading, blocks, figure.html, is_tall=figure.is_tall))
    return slides


def without_announcement(text: str) -> str:
    """A text without a last sentence that announces what does not follow on the slide."""
    return re.sub(r"(?<=[.?!]) [^.?!]*:$", "", text)


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
    heading = f"<{slide.level}>{inline(slide.heading)}</{slide.level}>"
    text = render(*slide.blocks)
    if slide.is_tall:
        kind = ' class="tall"'
        heading = f'<div class="said">{heading}{text}</div>'
        text = ""
    return (
        f'<section{kind} aria-label="{place} of {count}">{heading}'
        f'<div class="body">{text}{slide.figure}</div></section>'
    )


def render(*blocks: str) -> str:
    """Markdown as HTML, formulas left for MathJax."""

    def summary(match: re.Match) -> str:
        return f"<summary>{inline(match[1])}</summary>"

    return MARKDOWN.render(re.sub("<summary>(.*?)</summary>", summary, "\n\n".join(blocks)))


def inline(text: str) -> str:
    return MARKDOWN.renderInline(text)
