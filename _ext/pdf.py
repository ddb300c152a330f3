"""Write _build/book.pdf: the built book as one document, for paper and for readers that show no
HTML.

python _ext/pdf.py: the pages of _build/html, in the book's order, become one long page, and
headless Chromium prints it. In one piece, so that links, bookmarks and page numbers hold across
chapters. Solutions, and the answers to the self-check questions, move to the end. A figure that
moves in the book stands still, as it does without scripts.
"""

import posixpath
import shutil
from collections.abc import Iterator
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Page, Route, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from contrastlib import __version__

ROOT = Path(__file__).parent.parent
SITE = "http://book.invalid/"  # served from the folder, never asked of a network
LEFT_OUT = ("book/api",)  # one looks functions up on a screen
IN_CONTENTS = "Chapters"  # the part of which the contents name the sections, too
NAMED = ("id", "for", "aria-labelledby", "aria-describedby")
# What is wider than the paper becomes smaller.
FIT = """async () => {
  await window.MathJax?.startup?.promise;
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode()));
  const wideOnes = "article :is(table, mjx-container[display], .text_html)";
  for (const e of document.querySelectorAll(wideOnes)) {
    const number = e.parentElement.querySelector(".eqno");
    const room = e.parentElement.clientWidth - (number?.offsetWidth ?? 0);
    const wide = (e.querySelector("mjx-math") ?? e).scrollWidth;
    if (wide > room) e.style.zoom = room / wide;
  }
}"""
# The first span of the contents is that of the first line, and so on.
NUMBER = """(starts) => {
  const spans = document.querySelectorAll(".contents span");
  spans.forEach((span, i) => { span.textContent = starts[i]; });
}"""
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => {
  heading.querySelectorAll(".headerlink").forEach((link) => link.remove());
  return heading.textContent.trim();
})"""


def pages() -> dict[str, list[str]]:
    """The pages' names by the part that they belong to, in the book's order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    parts = {"": [toc["root"]]}
    for part in toc["parts"]:
        names = [entry["file"] for entry in part["chapters"]]
        parts[part["caption"]] = [name for name in names if name not in LEFT_OUT]
    return parts


def article(html: Path, name: str, names: list[str]) -> BeautifulSoup:
    """A page's text, with its names made different from those of all other pages."""
    page = BeautifulSoup((html / f"{name}.html").read_text(), "html.parser")
    found = page.select_one("article.bd-article")
    for tag in found.select("script"):
        tag.decompose()
    for tag in found.find_all(True):
        for key in NAMED:
            if key in tag.attrs:
                tag[key] = " ".join(f"{name}--{one}" for one in tag[key].split())
        for key in ("src", "href"):
            if key in tag.attrs:
                redirect(tag, key, name, names)
    found["id"] = name
    return found


def redirect(tag: Tag, key: str, name: str, names: list[str]) -> None:
    """Make an address of page `name` hold in the one long page; drop a link to what is not in the
    book on paper.
    """
    url, anchor = urldefrag(tag[key])
    if urlsplit(url).scheme:
        return
    path = f"{name}.html"
    if url:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), url))
    page = path.removesuffix(".html")
    if key == "src":
        tag[key] = path
    elif page in names and anchor:
        tag[key] = f"#{page}--{anchor}"
    elif page in names:
        tag[key] = f"#{page}"
    else:
        del tag[key]


def whole(html: Path, parts: dict[str, list[str]], title: str, author: str, imprint: str) -> str:
    """The book as one page."""
    names = [name for part in parts.values() for name in part]
    answers = BeautifulSoup("", "html.parser")
    articles = []
    contents = []
    heads = []
    for part, inside in parts.items():
        if part:
            contents.append(f'<p class="part">{part}</p>')
        for name in inside:
            page = article(html, name, names)
            heading = escape(page.h1.get_text().removesuffix("#"))
            contents.append(f'<p><a href="#{name}">{heading}</a><span></span></p>')
            if part == IN_CONTENTS:
                contents += section_lines(page)
            heads.append(running_head(len(heads), page))
            moved = take_answers(page)
            if moved:
                answers.append(BeautifulSoup(f"<h2>{heading}</h2>", "html.parser"))
                answers.extend(moved)
            articles.append(str(page))
    if answers.contents:
        contents.append(
            '<p class="part"><a href="#answers">Solutions and answers</a><span></span></p>'
        )
        articles.append(
            '<article class="bd-article" id="answers"><h1>Solutions and answers</h1>'
            f"{answers}</article>"
        )
    return f"""<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head>
<meta charset="utf-8">
<title>{title}</title>{head_of(html / f"{names[0]}.html")}
<style>{"".join(heads)}</style></head><body>
<div class="cover"><p class="title">{title}</p><p>{author}</p><p class="imprint">{imprint}</p></div>
<div class="contents">{"".join(contents)}</div>{"".join(articles)}</body></html>"""


def section_lines(page: BeautifulSoup) -> list[str]:
    """The contents' lines for the sections of a chapter."""
    lines = []
    for heading in page.select("h2"):
        text = escape(heading.get_text().removesuffix("#"))
        target = heading.find_parent("section", id=True) or heading
        link = f'<a href="#{target.get("id", page["id"])}">{text}</a>'
        lines.append(f'<p class="section">{link}<span></span></p>')
    return lines


def running_head(number: int, page: BeautifulSoup) -> str:
    """Give the sheets of a page its heading at their top; return the style that does it."""
    page["style"] = f"page: p{number}"
    text = page.h1.get_text().removesuffix("#").replace('"', "'")
    return f'@page p{number} {{ @top-right {{ content: "{text}"; font: 8pt sans-serif; }} }}\n'


def head_of(path: Path) -> str:
    """The styles of the book's pages, MathJax with its settings, and the style for paper."""
    page = BeautifulSoup(path.read_text(), "html.parser")
    head = [*page.select("link[rel=stylesheet]"), *page.select("script[src*=mathjax]")]
    for script in page.select("script"):
        if "window.MathJax" in script.text:
            head.append(script)
    style = Path(__file__).with_name("pdf.css").read_text()
    return "".join(map(str, head)) + f"<style>{style}</style>"


def take_answers(page: BeautifulSoup) -> list[Tag]:
    """Cut the solutions and the answers to the self-check questions out of a page; unfold what else
    is folded.
    """
    moved = []
    for tag in page.select("div.solution, details"):
        if tag.name == "div":
            moved.append(tag)
            continue
        tag["open"] = ""
        if tag.find_parent(id=is_self_check):
            text = tag.select_one(".sd-summary-text").decode_contents()
            question = f"<p><strong>{text}</strong></p>"
            tag.insert_before(BeautifulSoup(question, "html.parser"))
            moved.append(BeautifulSoup(question, "html.parser"))
            moved.append(tag.select_one(".sd-summary-content"))
            tag.extract()
    return [tag.extract() for tag in moved]


def is_self_check(name: str | None) -> bool:
    """Whether a section's id is that of the self-check questions."""
    return name is not None and name.endswith("--check-yourself")


def write(
    browser: Browser,
    html: Path,
    parts: dict[str, list[str]],
    target: Path,
    title: str,
    author: str,
    imprint: str = "",
) -> int:
    """Print the pages of the folder html into the file target; return the number of sheets.

    imprint: version and licence, for the cover.
    """
    document = whole(html, parts, title, author, imprint)
    missing = []

    def serve(route: Route) -> None:
        file = html / urlsplit(route.request.url).path.lstrip("/")
        if route.request.url == SITE:
            route.fulfill(body=document, content_type="text/html")
        elif route.request.url.startswith(SITE) and file.is_file():
            route.fulfill(path=file)
        else:
            missing.append(route.request.url)
            route.abort()

    page = browser.new_page(viewport={"width": 643, "height": 900})  # as wide as the text on paper
    page.set_default_timeout(600_000)
    page.route("**/*", serve)
    page.emulate_media(media="print", color_scheme="light")
    page.goto(SITE)
    page.evaluate(FIT)
    first = PdfReader(BytesIO(print_page(page)))  # says on which sheet each chapter is
    page.evaluate(NUMBER, sheets_in_contents(first, parts))
    writer = PdfWriter(BytesIO(print_page(page)), incremental=True)
    headings = page.evaluate(HEADINGS)
    page.close()
    if missing:
        raise SystemExit(f"not found while printing: {', '.join(missing)}")
    # Chromium writes some headings twice over into their bookmarks.
    for bookmark, heading in zip(bookmarks(writer.root_object["/Outlines"]), headings, strict=True):
        bookmark[NameObject("/Title")] = TextStringObject(heading)
    writer.page_mode = "/UseOutlines"
    writer.add_metadata({"/Title": title, "/Author": author})
    writer.write(target)
    return len(writer.pages)


def print_page(page: Page) -> bytes:
    return page.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)


def sheets_in_contents(reader: PdfReader, parts: dict[str, list[str]]) -> list[int]:
    """The sheets, from 1, of the contents' lines: each page, and the sections of the chapters."""
    has_sections = []
    for part, inside in parts.items():
        has_sections += [part == IN_CONTENTS] * len(inside)
    sheets = []
    page = -1
    for item in reader.outline:
        if not isinstance(item, list):
            page += 1
            sheets.append(reader.get_destination_page_number(item) + 1)
        elif page < len(has_sections) and has_sections[page]:
            # A list holds the bookmarks within the page before it, and lists of those below them.
            sections = [one for one in item if not isinstance(one, list)]
            sheets += [reader.get_destination_page_number(one) + 1 for one in sections]
    return sheets


def bookmarks(node: DictionaryObject) -> Iterator[DictionaryObject]:
    """All bookmarks below one, in order."""
    child = node.get("/First")
    while child is not None:
        yield child.get_object()
        yield from bookmarks(child.get_object())
        child = child.get_object().get("/Next")


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit(
            "the PDF is printed by chromium or google-chrome, and neither is here: apt install "
            "chromium"
        )
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    target = ROOT / "_build" / "book.pdf"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        sheets = write(
            browser,
            ROOT / "_build" / "html",
            pages(),
            target,
            config["title"],
            config["author"],
            f"Version {__version__}, {config['copyright']}. Text: CC BY 4.0. Code: MIT.",
        )
        browser.close()
    print(f"{target}: {sheets} pages, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
