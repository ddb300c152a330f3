"""Write _build/book.pdf: the built book as one document, for paper and for readers that show no
HTML.

python _ext/pdf.py: the pages of _build/html, in the book's order, become one long page, and
headless Chromium prints it. In one piece, so that links, bookmarks and page numbers hold across
chapters (see one_page.py). A figure that moves in the book stands still, as without scripts.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import one_page
import yaml
from book_files import ROOT
from headless import headless_browser
from playwright.sync_api import Browser, Page, Route
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from contrastlib import __version__

SITE = "http://book.invalid/"  # served from the folder, never asked of a network
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
    document = one_page.whole(html, parts, title, author, imprint)
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
        has_sections += [part == one_page.IN_CONTENTS] * len(inside)
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
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    target = ROOT / "_build" / "book.pdf"
    with headless_browser() as browser:
        sheets = write(
            browser,
            ROOT / "_build" / "html",
            one_page.pages(),
            target,
            config["title"],
            config["author"],
            f"Version {__version__}, {config['copyright']}. Text: CC BY 4.0. Code: MIT. "
            "Code for set-up and for drawing is in the chapters' notebooks.",
        )
    print(f"{target}: {sheets} pages, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
