"""Write _build/course.zip: what a lecturer hands out, and what they keep.

python _ext/course.py: students' notebooks without solutions, the same with solutions, slides of
every chapter that need no network, the lecturer's guide, a lab sheet, and questions for an
examination with their answers apart. Figures and numbers are those of the chapters as executed by
`make book`. The same chapters give the same bytes.
"""

import re
import zipfile
from html import escape
from pathlib import Path

import book_files
import executed_chapters
import nbformat
import plain_markdown
import slides
from offline_assets import mathjax

import colab

MARK = "\0"
README = """\
# {title}: course material

Text and figures: CC BY 4.0. Code: MIT. The book: {site}

- `students/`: the chapters as notebooks, an empty cell after each exercise; the lab sheet. A first
  cell installs the library where it is missing.
- `slides/`: a file for each chapter; open it in a browser. Arrow keys turn the slides, `t` changes
  between light and dark, printing gives one slide a page. No network is needed; `slides/mathjax/`
  must lie beside the files.
- `lecturer/`: the guide with its plans, the notebooks with solutions, the formula sheet, questions
  for an examination, their answers, and a formula sheet for the room.
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
        """The empty cells after an exercise: one for words, and one for code unless the pencil is
        enough.
        """
        kinds = ["markdown"]
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
    sheet = (book_files.ROOT / "book" / "formula_sheet.md").read_text()
    without_example = sheet.partition("## The example")[0]
    found = {
        "students/lab_sheet": lab[1:],
        "lecturer/guide": "".join([top, *(part for part in parts if part not in (lab, exam))]),
        "lecturer/formula_sheet": sheet,
        "lecturer/exam_formula_sheet": without_example,
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
    lecture = slides.Slides()
    for writer in (student, solved, lecture):
        writer.values = values
    texts = {"README.md": README.format(title=lecture.title(), site=book_files.site())}
    for number, name in enumerate(book_files.chapters(), 1):
        file = f"{number:02}_{name}"
        texts[f"students/{file}.ipynb"] = nbformat.writes(student.notebook(name)) + "\n"
        texts[f"lecturer/solutions/{file}.ipynb"] = nbformat.writes(solved.notebook(name)) + "\n"
        texts[f"slides/{file}.html"] = lecture.deck(name, executed)
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
    body = slides.render(text)
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
