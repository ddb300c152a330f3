"""Write _build/course.zip: what a lecturer hands out, and what they keep.

python _ext/course.py: students' notebooks without solutions, the same with solutions, slides of every chapter that need
no network, the lecturer's guide, a lab sheet, and questions for an examination with their answers apart. Figures and
numbers are those of the chapters as executed by `make book`. The same chapters give the same bytes.
"""

import base64
import re
import zipfile
from html import escape
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from offline_assets import mathjax

import colab

MARK = "\0"
BLOCK = re.compile(r"<details>[\s\S]*?</details>|^\$\$[\s\S]*?\$\$|(?:^>.*\n?)+|(?:^(?!\$\$).+\n?)+", re.MULTILINE)
SENTENCE = re.compile(r".+?[.?!](?<!Eq\.)(?<!Fig\.)(?<!al\.)(?=\s+[^\s\d]|$)|.+", re.DOTALL)
DISPLAYED = re.compile(
    r"\$\$|>|<details>|[-*|] |\d+\. |!\[|\|"
)  # what a slide shows of a text, beside its first sentence
MARKDOWN = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(
        dollarmath_plugin,
        allow_labels=False,
        renderer=lambda tex, about: escape(rf"\[{tex}\]" if about["display_mode"] else rf"\({tex}\)"),
    )
)
ROOM = 4  # equations on one slide; a statement takes the room of two
README = """\
# {title}: course material

Text and figures: CC BY 4.0. Code: MIT. The book: {site}

- `students/`: the chapters as notebooks, an empty cell after each exercise; the lab sheet. A first cell installs the
  library where it is missing.
- `slides/`: a file for each chapter; open it in a browser. Arrow keys turn the slides, `t` changes between light and
  dark, printing gives one slide a page. No network is needed; `slides/mathjax/` must lie beside the files.
- `lecturer/`: the guide with its plans, the notebooks with solutions, questions for an examination, and their answers.
"""
PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3em .7em; border-bottom: 1px solid #8888; text-align: left; }}
</style>{script}</head><body><main>
{body}</main></body></html>
"""


class Student(colab.Writer):
    """Solutions left out; a mark after each exercise says where its answer goes."""

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        if kind == "solution":
            return ""
        text = super().directive(kind, title, lines)
        if kind == "exercise":
            label = next(line.split()[1] for line in lines if line.startswith(":label:"))
            pencil = title.startswith("Pencil")  # it may be worked out by hand and checked by code
            kinds = ["markdown"] * pencil + ["code"] * (not pencil or "import check_" in text)
            text += "\n\n" + "".join(f"{MARK}{kind} {label}{MARK}" for kind in kinds)
        return text

    def notebook(self, name: str) -> nbformat.NotebookNode:
        book = super().notebook(name)
        cells, book.cells = book.cells, []
        for cell in cells:
            for k, part in enumerate(cell.source.split(MARK)):
                if k % 2:  # a mark
                    kind, label = part.split()
                    new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[kind]
                    book.cells.append(new(id=f"{kind}-{label}"[:64], metadata={"tags": ["answer"]}))
                elif part.strip():
                    text = part if cell.cell_type == "code" else re.sub(r"\n{3,}", "\n\n", part).strip()
                    book.cells.append(nbformat.from_dict({**cell, "source": text, "id": cell.id + (f"-{k}" * (k > 0))}))
        return book


class Solved(colab.Writer):
    """Solutions unfolded."""

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        text = super().directive(kind, title, lines)
        if kind != "solution":
            return text
        head, body = text.removeprefix("<details><summary>").removesuffix("\n\n</details>").split("</summary>", 1)
        return f"**{head}.**{body}"


class Slides(colab.Writer):
    """Statements as boxes, no proofs, no solutions, of exercises their titles; no link, since a lecture needs none."""

    def directive(self, kind: str, title: str, lines: list[str]) -> str:
        if kind in ("prf:proof", "solution"):
            return ""
        text = super().directive(kind, title, lines)
        if kind == "exercise":
            return f"- {text.partition('**.**')[0].lstrip('*').replace('**', '')}"
        return "\n".join(f"> {line}".rstrip() for line in text.split("\n")) if kind in colab.NUMBERED else text

    def text(self, markdown: str) -> str:
        return re.sub(r"\[([^]]*)\]\(http[^)]*\)", r"\1", super().text(markdown))

    def role(self, match: re.Match) -> str:
        return f"*{super().role(match)}*" if match[1] == "doc" else super().role(match)

    def sections(self, name: str, executed: Path) -> list[tuple[str, list[str], list[str]]]:
        """Heading, text and figures of each section, the chapter's opening first."""
        path = executed / f"{name}.ipynb"
        ran = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells} if path.exists() else {}
        found = []
        for cell in colab.source(name).cells:
            if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", []):
                found[-1][2].extend(self.figures(ran.get(cell.id, cell)))
            elif cell.cell_type == "markdown":
                # Before a heading, text goes on from the section above; (#{1,2}) splits off each heading's depth.
                for k, part in enumerate(re.split(r"^#{1,2} ", self.text(cell.source), flags=re.MULTILINE)):
                    heading, _, text = part.partition("\n") if k else ("", "", part)
                    if k:
                        found.append((heading, [], []))
                    if text.strip():
                        found[-1][1].append(text)
        return [(heading, [block.strip() for text in texts for block in BLOCK.findall(text)], figures)
                for heading, texts, figures in found]  # fmt: skip

    def figures(self, cell: nbformat.NotebookNode) -> list[str]:
        """What a cell shows, with its caption, as HTML."""
        about, shown = cell.metadata.get("mystnb", {}), []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "scrapbook" in output.get("metadata", {}):
                continue
            figure = about.get("figure", {})
            caption = f"{self.labels[figure['name']][0]}. {self.text(figure['caption'])}" if figure else ""
            caption = caption and f"<figcaption>{inline(caption)}</figcaption>"
            if kind := next((kind for kind in ("image/svg+xml", "image/png") if kind in data), None):
                coded = data[kind] if kind == "image/png" else base64.b64encode(data[kind].encode()).decode()
                alt = escape(about.get("image", {}).get("alt", ""))
                image = f'<img alt="{alt}" src="data:{kind};base64,{"".join(coded.split())}">'
                shown.append(f"<figure>{image}{caption}</figure>")
            elif "text/html" in data:
                shown.append(f'<figure class="shown"><div class="html">{data["text/html"]}</div>{caption}</figure>')
        return shown

    def deck(self, name: str, executed: Path) -> str:
        """A chapter's slides as one HTML file."""
        (title, opening, _), *sections = self.sections(name, executed)
        title = f"{colab.chapters().index(name) + 1}. {title}"
        slides = [("h1", title, [opening[0], f"*{self.title()}*"], "")]
        slides += [("h2", "Objectives", [block.partition("\n>\n")[2]], "") for block in opening if block[0] == ">"]
        for heading, blocks, figures in sections:
            bare = not (figures or any(map(DISPLAYED.match, blocks)))  # then a whole paragraph, else its first sentence
            lead = [block if bare else SENTENCE.match(block)[0] for block in blocks[:1] if not DISPLAYED.match(block)]
            groups, room = [[f'<div class="lead">\n\n{text}\n\n</div>' for text in lead]], ROOM
            for block in filter(DISPLAYED.match, blocks):
                if (room := room - (2 if block[0] == ">" else 1)) < 0 and block[0] in ">$":
                    groups, room = [*groups, []], ROOM
                groups[-1].append(block)
            first = groups.pop() if figures and len(groups) == 1 and len(groups[0]) < 2 else []
            slides += [("h2", heading, group, "") for group in groups]
            slides += [("h2", heading, [] if k else first, figure) for k, figure in enumerate(figures)]
        shown = "\n".join(
            f'<section{" class=first" * (level == "h1")} aria-label="{n} of {len(slides)}">'
            f'<{level}>{inline(heading)}</{level}><div class="body">{render(*blocks)}{figure}</div></section>'
            for n, (level, heading, blocks, figure) in enumerate(slides, 1)
        )
        template = Path(__file__).with_name("slides.html").read_text()
        return template.replace("{{title}}", escape(title)).replace("{{slides}}", shown)


def render(*blocks: str) -> str:
    """Markdown as HTML, formulas left for MathJax."""
    text = re.sub("<summary>(.*?)</summary>", lambda fold: f"<summary>{inline(fold[1])}</summary>", "\n\n".join(blocks))
    return MARKDOWN.render(text)


def inline(text: str) -> str:
    return MARKDOWN.renderInline(text)


def documents(writer: colab.Writer) -> dict[str, str]:
    """The lecturer's guide, cut into what is handed out and what is kept: path and Markdown of each."""
    page = (colab.ROOT / "book" / "lecturers_guide.md").read_text()
    top, *parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    (lab,) = (part for part in parts if part.startswith("## A lab"))
    (exam,) = (part for part in parts if part.startswith("## Questions for an examination"))
    questions, fold, answers = exam.partition("```{dropdown} Answers in outline\n")
    if not fold:
        raise ValueError("book/lecturers_guide.md: the answers must stand in a dropdown 'Answers in outline'")
    found = {
        "students/lab_sheet": lab[1:],
        "lecturer/guide": "".join([top, *(part for part in parts if part not in (lab, exam))]),
        "lecturer/exam_questions": questions[1:],
        "lecturer/exam_answers": f"# Answers in outline\n\n{answers.rstrip().removesuffix('```')}",
    }
    return {name: writer.text(text).strip() + "\n" for name, text in found.items()}


def files(values: dict[str, str], executed: Path) -> dict[str, bytes]:
    """Everything in the archive, by path. values: the numbers in the text."""
    student, solved, slides = writers = Student(), Solved(), Slides()
    for writer in writers:
        writer.values = values
    found = {"README.md": README.format(title=slides.title(), site=colab.site())}
    for number, name in enumerate(colab.chapters(), 1):
        file = f"{number:02}_{name}"
        found[f"students/{file}.ipynb"] = nbformat.writes(student.notebook(name)) + "\n"
        found[f"lecturer/solutions/{file}.ipynb"] = nbformat.writes(solved.notebook(name)) + "\n"
        found[f"slides/{file}.html"] = slides.deck(name, executed)
    for path, text in documents(solved).items():
        body, title = render(text), escape(text.split("\n")[0].strip("# "))
        # Formulas are set by the MathJax beside the slides; all documents with formulas lie in lecturer/.
        script = '<script defer src="../slides/mathjax/tex-chtml.js"></script>' if 'class="math' in body else ""
        found |= {f"{path}.md": text, f"{path}.html": PAGE.format(title=title, script=script, body=body)}
    licences = {name: colab.ROOT / name for name in ("LICENSE", "LICENSE-TEXT.md")}
    found |= {f"slides/mathjax/{name}": path for name, path in mathjax().items()} | licences
    return {name: it.read_bytes() if isinstance(it, Path) else it.encode() for name, it in found.items()}


def write(path: Path, found: dict[str, bytes]) -> None:
    """An archive whose bytes depend on nothing but its files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(found):
            info = zipfile.ZipInfo(f"course/{name}")  # dated 1980
            info.create_system, info.external_attr, info.compress_type = 3, 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, found[name])


if __name__ == "__main__":
    target = colab.ROOT / "_build" / "course.zip"
    target.parent.mkdir(exist_ok=True)
    write(target, files(colab.executed_values(), colab.ROOT / "_executed"))
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
