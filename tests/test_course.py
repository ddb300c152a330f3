"""The course archive: no solution where students look, slides that need no network, the same bytes
every time.
"""

import re
import zipfile
from itertools import pairwise
from pathlib import Path

import book_files
import browser
import course
import executed_chapters
import nbformat
import pytest
import slides

import colab

CHAPTERS = book_files.chapters()
FILES = [f"{number:02}_{name}" for number, name in enumerate(CHAPTERS, 1)]
each_chapter = pytest.mark.parametrize(
    ("name", "file"), list(zip(CHAPTERS, FILES, strict=True)), ids=CHAPTERS
)
VALUES = {}  # made up: chapters are not executed here
for name in CHAPTERS:
    VALUES |= dict.fromkeys(executed_chapters.asked(name), "1.5")
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5">'
    '<path d="M0 0L9 5" stroke="gray"/></svg>'
)
SQUARE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
IMAGE = f"<img id='square' alt='a digit' src='{SQUARE}' style='width: 100%; aspect-ratio: 1'>"
PICTURE = f"<div style='width: 60px'>{IMAGE}</div>"
SCRIPT = "<script>document.getElementById('made-up').textContent = 'ran'</script>"
HTML = f"{PICTURE}<div id='made-up'>not run</div>\n\n{SCRIPT}"


def executed(folder):
    """The first chapter as if it had been executed: its first figure, and HTML with a script beside
    it.
    """
    book = book_files.source(CHAPTERS[0])
    cell = next(cell for cell in book.cells if "figure" in cell.metadata.get("mystnb", {}))
    for kind, data in (("image/svg+xml", DRAWING), ("text/html", HTML)):
        cell.outputs.append(nbformat.v4.new_output("display_data", {kind: data}))
    nbformat.write(book, folder / f"{CHAPTERS[0]}.ipynb")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The archive, unpacked."""
    made = tmp_path_factory.mktemp("course")
    course.write(made / "course.zip", course.files(VALUES, executed(made)))
    with zipfile.ZipFile(made / "course.zip") as archive:
        archive.extractall(made)
    return made / "course"


def notebook(path):
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return found


def prose(path):
    return "\n".join(cell.source for cell in notebook(path).cells if cell.cell_type == "markdown")


def solutions(name, writer):
    """The lines of a chapter's solutions that are long enough to be told from others."""
    text = "\n".join(cell.source for cell in book_files.source(name).cells)
    found = re.findall(r"^(`{3,})\{solution\}.*\n((?:.*\n)*?)\1$", text, re.MULTILINE)
    code = set()
    for cell in book_files.source(name).cells:
        if cell.cell_type == "code":
            code.update(cell.source.splitlines())
    lines = []
    for _, body in found:
        for line in writer.text(body).splitlines():
            if len(line) > 25 and line not in code:
                lines.append(line)
    assert len(lines) >= 4
    return lines


def without_links(text):
    """A word of the glossary is a link where it first stands in a notebook."""
    return re.sub(r"\[([^]]*)\]\(http[^)]*\)", r"\1", text)


def test_every_chapter_has_its_three_files(folder):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    expected = {
        f"{start}/{name}.{end}"
        for name in FILES
        for start, end in (
            ("students", "ipynb"),
            ("lecturer/solutions", "ipynb"),
            ("slides", "html"),
        )
    }
    documents = (
        "students/lab_sheet",
        "lecturer/guide",
        "lecturer/formula_sheet",
        "lecturer/exam_formula_sheet",
        "lecturer/exam_questions",
        "lecturer/exam_answers",
    )
    expected |= {f"{name}.{end}" for name in documents for end in ("md", "html")}
    expected |= {"README.md", "LICENSE", "LICENSE-TEXT.md", "slides/mathjax/tex-chtml.js"}
    assert {name for name in found if not name.startswith("slides/mathjax/")} == expected - {
        "slides/mathjax/tex-chtml.js"
    }
    assert expected <= found


@each_chapter
def test_solutions_are_with_the_lecturer_alone(name, file, folder):
    writer = colab.Writer()
    writer.values = VALUES
    handed_out = "\n".join(
        cell.source for cell in notebook(folder / "students" / f"{file}.ipynb").cells
    )
    handed_out += (folder / "slides" / f"{file}.html").read_text()
    kept = prose(folder / "lecturer" / "solutions" / f"{file}.ipynb")
    for line in solutions(name, writer):
        assert without_links(line) in without_links(kept)
        assert without_links(line) not in without_links(handed_out)
    assert "Solution of" not in handed_out
    assert "<summary>Solution" not in kept


@each_chapter
def test_an_empty_cell_follows_each_exercise(name, file, folder):
    cells = notebook(folder / "students" / f"{file}.ipynb").cells
    text = "\n".join(cell.source for cell in book_files.source(name).cells)
    exercises = re.findall(
        r"^(`{3,})\{exercise\} (\w+).*\n:label: (\S+)\n((?:.*\n)*?)\1$", text, re.MULTILINE
    )
    assert len(exercises) >= 4
    expected = []
    for _, grade, label, body in exercises:
        expected.append(f"markdown-{label}")
        if grade != "Pencil" or "import check_" in body:
            expected.append(f"code-{label}")
    answers = [cell for cell in cells if "answer" in cell.metadata.get("tags", [])]
    assert [cell.id for cell in answers] == expected
    assert all(cell.source == "" and cell.id.startswith(cell.cell_type) for cell in answers)
    # The last exercise above an answer is the one that it answers.
    number = 0
    for above, cell in pairwise(cells):
        if cell in answers and above not in answers:
            number += 1
            assert re.findall(r"^\*\*Exercise \d+\.(\d+)\*\*", above.source, re.MULTILINE) == [
                str(number)
            ]
    assert number == len(exercises)


@each_chapter
def test_the_rest_of_a_chapter_is_there(name, file, folder):
    plain = colab.Writer()
    plain.values = VALUES
    code = [cell.source for cell in plain.notebook(name).cells if cell.cell_type == "code"]
    for kind in ("students", "lecturer/solutions"):
        cells = notebook(folder / kind / f"{file}.ipynb").cells
        assert [cell.source for cell in cells if cell.cell_type == "code" and cell.source] == code
        assert not re.search(
            r"\{[\w:-]+\}`|^[`:]{3,}\{|\0", prose(folder / kind / f"{file}.ipynb"), re.MULTILINE
        )


def test_answers_stand_apart(folder):
    answers = (folder / "lecturer" / "exam_answers.md").read_text()
    lines = [line for line in answers.splitlines() if len(line) > 25]
    questions = (folder / "lecturer" / "exam_questions.md").read_text()
    assert questions.count("points)*") == len(re.findall(r"^\d+\. ", answers, re.MULTILINE)) >= 5
    for path in [*folder.rglob("*.md"), *folder.glob("students/*"), *folder.glob("slides/*.html")]:
        if path.name != "exam_answers.md":
            assert not any(line in path.read_text() for line in lines), path
    guide = (folder / "lecturer" / "guide.md").read_text()
    assert "## Two lectures" in guide
    assert "## A lab" not in guide
    assert "Marking" in (folder / "students" / "lab_sheet.md").read_text()
    assert (
        "mathjax" not in (folder / "students" / "lab_sheet.html").read_text()
    )  # students/ may be handed out alone


def test_the_same_files_give_the_same_bytes(folder, tmp_path):
    course.write(
        tmp_path / "again.zip", dict(reversed(course.files(VALUES, folder.parent).items()))
    )
    assert (tmp_path / "again.zip").read_bytes() == (folder.parent / "course.zip").read_bytes()


@pytest.mark.parametrize("file", FILES)
def test_slides_name_no_other_host(file, folder):
    text = (folder / "slides" / f"{file}.html").read_text()
    assert not re.findall(r"https?:|url\(|@import", text)
    asked = re.findall(r"""\b(?:src|href)=["']?([^"' >]+)""", text)
    assert {url for url in asked if not url.startswith("data:")} == {"mathjax/tex-chtml.js"}


def test_a_slide_for_each_section():
    writer = slides.Slides()
    writer.values = VALUES
    for name in CHAPTERS:
        text = "\n".join(
            cell.source for cell in book_files.source(name).cells if cell.cell_type == "markdown"
        )
        bare = re.sub(r"^(`{3,}).*\n[\s\S]*?^\1$", "", text, flags=re.MULTILINE)
        sections = writer.sections(name, Path("nowhere"))
        assert len(sections) == len(re.findall(r"^#{1,2} ", bare, re.MULTILINE))
        shown = "\n".join(block for section in sections for block in section.blocks)
        assert shown.count("\\tag{") == len(re.findall(r"^\$\$ \(eq-", text, re.MULTILINE))
        deck = writer.deck(name, Path("nowhere"))
        assert "Objectives" in deck
        told = re.sub(r"^(`{3,})\{(exercise|solution)\}[\s\S]*?^\1$", "", text, flags=re.MULTILINE)
        only_a_proof = re.findall(r"\{dropdown\}.*\n`{3,}\{prf:proof\}", told)
        kept = told.count("{dropdown}") - told.count("{dropdown} Hint") - len(only_a_proof)
        assert shown.count("<details>") == kept
        assert "<summary>Hint" not in deck
        assert "Proof.</em>" not in deck
        assert not re.search(r"</summary>\s*</details>", deck)


def test_slides_leave_no_empty_fold():
    lecture = slides.Slides()
    proof = "````{prf:proof}\nThe idea is simple.\n````"
    alone = f"Before.\n\n`````{{dropdown}} Proof\n{proof}\n`````\n\nAfter."
    assert lecture.text(alone).split() == ["Before.", "After."]
    beside = f"`````{{dropdown}} Why\nLook at it.\n\n{proof}\n`````"
    assert "<summary>Why</summary>" in lecture.text(beside)
    assert "Look at it." in lecture.text(beside)
    assert "The idea" not in lecture.text(beside)


def test_a_section_of_folds_alone_shows_its_text_or_its_figures():
    fold = "<details>\n<summary>More</summary>\n\nAn aside.\n\n</details>"
    aside = slides.Section("It rises", ["It does.", fold])
    (slide,) = slides.section_slides(aside)
    assert slide.blocks == [slides.lead("It does.")]
    aside.figures.append(slides.Figure("<figure></figure>", "It falls."))
    (slide,) = slides.section_slides(aside)
    assert slide.figure
    with_a_list = slides.Section("It rises", ["- one", fold])
    assert slides.section_slides(with_a_list)[0].blocks == ["- one", fold]
    questions = slides.Section("Check yourself", [fold, fold])
    assert slides.section_slides(questions)[0].blocks == [fold, fold]


def test_a_figures_slide_says_what_is_to_be_seen():
    book = book_files.source(CHAPTERS[0])
    cell = next(cell for cell in book.cells if "figure" in cell.metadata.get("mystnb", {}))
    cell.outputs.append(nbformat.v4.new_output("display_data", {"image/svg+xml": DRAWING}))
    lecture = slides.Slides()
    lecture.values = VALUES
    cell.metadata["mystnb"]["figure"]["caption"] = "**It falls.** Two lines against time."
    (figure,) = lecture.figures(cell)
    assert figure.finding == "It falls."
    assert "Two lines" not in figure.html
    cell.metadata["mystnb"]["figure"]["caption"] = "Two lines against time."
    (figure,) = lecture.figures(cell)
    assert figure.finding == ""
    assert "Two lines against time." in figure.html


def test_a_sections_slides():
    figure = slides.Figure("<figure></figure>", "It falls.")
    text = "One line of text.\n\nAnother line."

    def blocks(**parts):
        section = slides.Section("It rises", **parts)
        return [slide.blocks for slide in slides.section_slides(section)]

    def lead(sentence):
        return f"{slides.LEAD}\n\n{sentence}\n\n</div>"

    assert blocks(blocks=slides.split_blocks(text)) == [[lead("One line of text.")]]
    assert blocks(blocks=slides.split_blocks(text), figures=[figure]) == [[lead("It falls.")]]
    assert blocks(blocks=["One line of text.", "$$x$$"]) == [["$$x$$"]]
    assert blocks() == []


def test_a_tall_figure_stands_beside_its_heading():
    def drawing(width, height):
        return {"image/svg+xml": f'<svg viewBox="0 0 {width} {height}"></svg>'}

    assert slides.is_tall_drawing(drawing(345, 390))
    assert not slides.is_tall_drawing(drawing(345, 180))
    assert not slides.is_tall_drawing({"text/html": "<p>no drawing</p>"})
    figure = slides.Figure("<figure></figure>", "It falls.", is_tall=True)
    (slide,) = slides.section_slides(slides.Section("It rises", figures=[figure]))
    html = slides.slide_html(slide, 1, 2)
    said, _, body = html.partition('<div class="body">')
    assert 'class="tall"' in said
    assert "It rises" in said
    assert "It falls." in said
    assert body == "<figure></figure></div></section>"


def test_a_slide_announces_nothing_that_does_not_follow():
    text = "We ran three. Of their 42 runs none is finished. To train one grid:"
    assert slides.without_announcement(text) == "We ran three. Of their 42 runs none is finished."
    assert slides.without_announcement("We ran three.") == "We ran three."


@pytest.fixture
def opened(folder, chromium):
    """A function that opens a chapter's slides in a browser without a network, and says what went
    wrong.
    """

    def open_slides(file, theme="light"):
        context = chromium.new_context(color_scheme=theme, viewport={"width": 1280, "height": 720})
        browser.OPENED.append(context)
        page = context.new_page()
        problems = []

        def note_request(request):
            if request.url.split(":")[0] not in ("file", "data"):
                problems.append(request.url)

        page.on("request", note_request)
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((folder / "slides" / f"{file}.html").as_uri())
        page.wait_for_function("document.documentElement.dataset.ready", timeout=60_000)
        return page, problems

    return open_slides


@pytest.mark.parametrize("file", FILES)
def test_slides_open_offline_and_fit(file, opened):
    page, problems = opened(file)
    wrong = page.evaluate("""() => {
      const all = (what) => [...document.querySelectorAll(what)];
      const unset = all("mjx-merror, mjx-container [style*='color: red']");
      const markup = document.body.innerText.match(/\\$|\\\\[([]|\\{[a-z:]+\\}`/g) ?? [];
      const wide = slides.filter((slide) => slide.scrollWidth > slide.clientWidth + 1);
      const long = all(".body").filter((body) => body.scrollHeight > body.clientHeight + 1);
      const outside = all("section > *").filter((element) => {
        const slide = element.parentElement.getBoundingClientRect();
        const own = element.getBoundingClientRect();
        return own.top < slide.top || own.bottom > slide.bottom || own.right > slide.right;
      });
      return [
        ...unset.map((element) => element.outerHTML),
        ...markup,
        ...wide.map((slide) => "wide: " + slide.innerText),
        ...long.map((body) => "long: " + body.innerText),
        ...outside.map((element) => "outside: " + element.innerText),
      ];
    }""")
    formulas = page.locator(".math").count()
    assert page.locator(".math:has(mjx-container)").count() == formulas
    page.close()
    assert not wrong
    assert not problems


def test_keys_turn_the_slides(opened):
    page, problems = opened(FILES[0], "dark")
    count = page.evaluate("slides.length")

    def at(key):
        page.keyboard.press(key)
        assert (
            page.evaluate(
                "slides.filter((s) => getComputedStyle(s).visibility === 'visible').length"
            )
            == 1
        )
        return page.evaluate(
            "[now, location.hash, document.querySelector('section.now').ariaLabel]"
        )

    for key, n in [
        ("ArrowRight", 2),
        ("ArrowDown", 3),
        ("ArrowLeft", 2),
        ("End", count),
        ("ArrowRight", count),
    ]:
        assert at(key) == [n - 1, f"#{n}", f"{n} of {count}"]
    assert at("Home")[0] == 0
    assert at("ArrowLeft")[0] == 0
    grounds = [
        page.evaluate("getComputedStyle(document.querySelector('section.now')).backgroundColor")
    ]
    page.keyboard.press("t")
    grounds.append(
        page.evaluate("getComputedStyle(document.querySelector('section.now')).backgroundColor")
    )
    assert grounds == ["rgb(20, 24, 30)", "rgb(255, 255, 255)"]
    assert page.evaluate("document.getElementById('made-up').textContent") == "ran"
    assert page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth && i.alt)")
    # Above the image and above the HTML.
    assert page.get_by_text("many negatives are closer to the anchor").count() >= 2
    box = page.evaluate("document.getElementById('square').getBoundingClientRect().toJSON()")
    # An image inside a widget is not stretched to the slide.
    assert box["width"] == pytest.approx(box["height"], rel=0.02)
    pdf = page.pdf(prefer_css_page_size=True)
    page.close()
    assert len(re.findall(rb"/Type /Page\b", pdf)) == count  # one slide a page
    assert not problems
