"""The book as a PDF, on a made-up site of two pages: bookmarks, links, page numbers, and nothing
cut off.
"""

import pytest
import torch

from contrastlib.teaching.widgets.tau_slider import tau_slider

pypdf = pytest.importorskip("pypdf", reason="the PDF's test needs `pip install pypdf`")
pytest.importorskip(
    "playwright.sync_api", reason="the PDF is printed with `pip install playwright`"
)

import one_page  # noqa: E402
import pdf  # noqa: E402

PARTS = {"": ["index"], "Chapters": ["book/one"]}
PAGE = """<html data-theme="dark"><head>
<link rel="stylesheet" href="{up}_static/look.css"></head><body><nav>Navigation</nav>
<article class="bd-article"><section id="top">{text}</section></article></body></html>"""
INDEX = """<h1>Welcome<a class="headerlink" href="#top">#</a></h1>
<p>See <a href="book/one.html#eq-law">the law</a>, <a href="genindex.html">the index</a>,
<a href="https://example.com/">elsewhere</a>.</p><img alt="a drawing" src="_images/drawing.svg">"""
ONE = """<h1>1. Laws &amp; orders<a class="headerlink" href="#top">#</a></h1>
<script>document.body.remove()</script>
<h2 id="eq-law">1.1. The law</h2><p>{filler}</p>
<pre>first = "{long}last"</pre><table><tr>{cells}<td>rightmost</td></tr></table>
{widget}{cells_folded}
<details><summary>More</summary><p>unfolded</p></details>
<section id="check-yourself"><h2>Check yourself</h2><details class="sd-dropdown">
<summary><span class="sd-summary-text">
Why so?</span></summary><div class="sd-summary-content">Therefore.</div></details></section>
<section id="exercises"><h2>Exercises</h2>
<p>Do it.</p><div class="solution">Done so.</div></section>"""
STYLES = "body { font-family: sans-serif } td { padding: 0 3px; white-space: nowrap }"
FOLD = """<div class="cell {tag}"><details class="admonition hide above-input"><summary>
<p class="collapsed admonition-title">{name}</p>
<p class="expanded admonition-title">Hide it</p></summary>
<div class="cell_input">{code}</div>{inside}</details>{after}</div>"""
OUTPUT = '<div class="cell_output">{}</div>'
FOLDED = FOLD.format(
    tag="tag_hide-input",
    name="Show code cell source",
    code="draw_it()",
    inside="",
    after=OUTPUT.format("The drawing."),
) + FOLD.format(
    tag="tag_hide-cell",
    name="All numbers",
    code="tabulate()",
    inside=OUTPUT.format("Seven and eight."),
    after="",
)
DIGITS = torch.zeros(20, 8, 8, dtype=torch.uint8)
WIDGET = tau_slider(0.9, torch.linspace(-0.5, 0.5, 20), DIGITS[0], DIGITS).html
ONE = ONE.format(
    cells_folded=FOLDED,
    widget=WIDGET,
    filler="Words and words. " * 400,
    long="q" * 150,
    cells="<td>number</td>" * 30,
)


def make(folder):
    for name, text in {
        "index.html": PAGE.format(up="", text=INDEX),
        "book/one.html": PAGE.format(up="../", text=ONE),
        "_static/look.css": STYLES,
        "_images/drawing.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def printed_from(chromium, site):
    sheets = pdf.write(chromium, site, PARTS, site / "book.pdf", "A small book", "Its authors")
    reader = pypdf.PdfReader(site / "book.pdf", strict=True)
    assert len(reader.pages) == sheets
    return reader


@pytest.fixture(scope="module")
def printed(chromium, tmp_path_factory):
    return printed_from(chromium, make(tmp_path_factory.mktemp("site")))


def flat(outline):
    return [one for item in outline for one in (flat(item) if isinstance(item, list) else [item])]


def test_a_small_site_becomes_a_book(printed):
    texts = [" ".join(page.extract_text().split()) for page in printed.pages]
    start = [
        (item.title, printed.get_destination_page_number(item)) for item in flat(printed.outline)
    ]
    law = "1. Laws & orders"
    below = ["1.1. The law", "Check yourself", "Exercises"]
    assert [title for title, _ in start] == ["Welcome", law, *below, "Solutions and answers", law]
    assert [it.title for it in printed.outline if not isinstance(it, list)] == [
        "Welcome",
        law,
        "Solutions and answers",
    ]
    assert "A small book Its authors" in texts[0]
    assert printed.metadata.title == "A small book"
    assert printed.metadata.author == "Its authors"
    # The cover, the contents and the answers, whose heading says what they are, have none.
    heads = ["", "", "Welcome", *[law] * (len(texts) - 4), ""]
    for n, (text, head) in enumerate(zip(texts, heads, strict=True), 1):
        number = f"{n} " if n > 1 else ""
        assert text.startswith(f"{head} {number}".lstrip()), (n, text[:60])
    first = next(n for n, text in enumerate(texts) if "Words and words" in text)
    end = next(n for n, text in enumerate(texts) if n > first and "Solutions and answers" in text)
    sections = " ".join(f"{title} {sheet + 1}" for title, sheet in start[2:5])
    lines = f"Welcome 3 Chapters {law} {first + 1} {sections} Solutions and answers {end + 1}"
    assert texts[1] == f"2 {lines}"
    middle = " ".join(texts[first:end])
    last = " ".join(texts[end:])
    assert "unfolded" in middle
    assert "Why so?" in middle
    assert "Why so?" in last
    assert "Therefore." not in middle
    assert "Therefore." in last
    assert "Done so." not in middle
    assert "Done so." in last
    assert "Navigation" not in " ".join(texts)


def test_a_widget_is_printed_without_what_one_presses(printed):
    text = " ".join(" ".join(page.extract_text().split()) for page in printed.pages)
    assert "At τ = 0.2 the 12 nearest of the 20 negatives take" in text
    assert "A still figure: in the book's pages it moves." in text
    for control in ("ten effective negatives", "needs scripts", "0.01 0.1 1 10"):
        assert control not in text


def test_folded_code_is_left_out_and_what_it_gives_is_not(printed):
    text = " ".join(" ".join(page.extract_text().split()) for page in printed.pages)
    assert "The drawing. All numbers Seven and eight." in text
    for folded in ("draw_it", "tabulate", "Show code", "Hide it"):
        assert folded not in text


def test_links_stay_within(printed):
    (page,) = [page for page in printed.pages if "See the law" in page.extract_text()]
    links = [link.get_object() for link in page["/Annots"]]
    assert [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})] == [
        "https://example.com/"
    ]
    assert len(links) == 2  # and the one to the law; what leads to no page of the book is no link


def test_nothing_is_cut_off(printed):
    right = []

    def visit(text, cm, tm, *_):
        if "rightmost" in text:
            right.append((tm[4] * cm[0] + tm[5] * cm[2] + cm[4]) / 72 * 25.4)  # mm

    lines = [
        line
        for page in printed.pages
        for line in page.extract_text(visitor_text=visit).splitlines()
    ]
    assert len(right) == 1
    assert 20 < right[0] < 210 - 20  # a wide table becomes smaller,
    assert sum(line.count("q") for line in lines) == 150  # and a long line of code is broken
    assert max(line.count("q") for line in lines) < 150


def test_fonts_are_embedded(printed):
    fonts = [
        font.get_object()
        for page in printed.pages
        for font in page["/Resources"].get("/Font", {}).values()
    ]
    assert fonts
    for font in fonts:
        if font["/Subtype"] != "/Type3":  # which is its own drawings
            described = (
                font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
            )
            assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(described["/FontDescriptor"])
            assert "/ToUnicode" in font


def test_a_missing_file_is_an_error(chromium, tmp_path):
    (make(tmp_path) / "_static" / "look.css").unlink()
    with pytest.raises(SystemExit, match=r"look\.css"):
        printed_from(chromium, tmp_path)


def test_pages_are_those_of_the_table_of_contents():
    names = [name for part in one_page.pages().values() for name in part]
    assert names[0] == "index"
    assert "book/temperature" in one_page.pages()["Chapters"]
    assert len(names) == len(set(names))
