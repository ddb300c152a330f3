"""Write _build/book.pdf: the built book as one document, for paper and for readers that show no HTML.

python _ext/pdf.py: the pages of _build/html, in the book's order, become one long page, and headless Chromium prints
it. In one piece, so that links, bookmarks and page numbers hold across chapters. Solutions, and the answers to the
self-check questions, move to the end. A figure that moves in the book stands still, as it does without scripts.
"""

import posixpath
import shutil
from collections.abc import Iterator
from functools import partial
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

ROOT = Path(__file__).parent.parent
SITE = "http://book.invalid/"  # served from the folder, never asked of a network
NAMED = ("id", "for", "aria-labelledby", "aria-describedby")
# What is wider than the paper becomes smaller.
FIT = """async () => {
  await window.MathJax?.startup?.promise;
  await document.fonts.ready;
  await Promise.all([...document.images].map((image) => image.decode()));
  for (const e of document.querySelectorAll("article :is(table, mjx-container[display], .text_html)")) {
    const room = e.parentElement.clientWidth - (e.parentElement.querySelector(".eqno")?.offsetWidth ?? 0);
    const wide = (e.querySelector("mjx-math") ?? e).scrollWidth;
    if (wide > room) e.style.zoom = room / wide;
  }
}"""
# The first span of the contents is the first chapter's, and so on.
NUMBER = "(starts) => document.querySelectorAll('.contents span').forEach((e, i) => (e.textContent = starts[i]))"
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => {
  heading.querySelectorAll(".headerlink").forEach((link) => link.remove());
  return heading.textContent.trim();
})"""


def pages() -> dict[str, list[str]]:
    """The pages' names by the part that they belong to, in the book's order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return {"": [toc["root"]]} | {
        part["caption"]: [e["file"] for e in part["chapters"]] for part in toc["parts"]
    }


def article(html: Path, name: str, names: list[str]) -> BeautifulSoup:
    """A page's text, with its names made different from those of all other pages."""
    found = BeautifulSoup((html / f"{name}.html").read_text(), "html.parser").select_one(
        "article.bd-article"
    )
    for tag in found.select("script"):
        tag.decompose()
    for tag in found.find_all(True):
        for key in set(NAMED) & set(tag.attrs):
            tag[key] = " ".join(f"{name}--{one}" for one in tag[key].split())
        for key in {"src", "href"} & set(tag.attrs):
            url, anchor = urldefrag(tag[key])
            path = (
                posixpath.normpath(posixpath.join(posixpath.dirname(name), url))
                if url
                else f"{name}.html"
            )
            page = path.removesuffix(".html")
            if urlsplit(url).scheme:
                continue
            if key == "src":
                tag[key] = path
            elif page in names:
                tag[key] = f"#{page}--{anchor}" if anchor else f"#{page}"
            else:
                del tag[key]  # what it leads to is not in the book on paper
    found["id"] = name
    return found


def whole(html: Path, parts: dict[str, list[str]], title: str, author: str) -> str:
    """The book as one page."""
    names = [name for part in parts.values() for name in part]
    first = BeautifulSoup((html / f"{names[0]}.html").read_text(), "html.parser")
    head = [*first.select("link[rel=stylesheet]"), *first.select("script[src*=mathjax]")]
    head += [script for script in first.select("script") if "window.MathJax" in script.text]
    answers, articles, contents = BeautifulSoup("", "html.parser"), [], []
    for part, inside in parts.items():
        contents.append(f'<p class="part">{part}</p>' if part else "")
        for name in inside:
            page = article(html, name, names)
            heading = escape(page.h1.get_text().removesuffix("#"))
            contents.append(f'<p><a href="#{name}">{heading}</a><span></span></p>')
            if moved := take_answers(page):
                answers.append(BeautifulSoup(f"<h2>{heading}</h2>", "html.parser"))
                answers.extend(moved)
            articles.append(page)
    if answers.contents:
        contents.append(
            '<p class="part"><a href="#answers">Solutions and answers</a><span></span></p>'
        )
        articles.append(
            f'<article class="bd-article" id="answers"><h1>Solutions and answers</h1>{answers}</article>'
        )
    style = Path(__file__).with_name("pdf.css").read_text()
    return f"""<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>{title}</title>{"".join(map(str, head))}<style>{style}</style></head><body>
<div class="cover"><p class="title">{title}</p><p>{author}</p></div>
<div class="contents">{"".join(contents)}</div>{"".join(map(str, articles))}</body></html>"""


def take_answers(page: BeautifulSoup) -> list:
    """Cut the solutions and the answers to the self-check questions out of a page; unfold what else is folded."""
    moved = []
    for tag in page.select("div.solution, details"):
        if tag.name == "div":
            moved.append(tag)
            continue
        tag["open"] = ""
        if tag.find_parent(id=lambda name: name and name.endswith("--check-yourself")):
            question = (
                f"<p><strong>{tag.select_one('.sd-summary-text').decode_contents()}</strong></p>"
            )
            tag.insert_before(BeautifulSoup(question, "html.parser"))
            moved += [BeautifulSoup(question, "html.parser"), tag.select_one(".sd-summary-content")]
            tag.extract()
    return [tag.extract() for tag in moved]


def write(html: Path, parts: dict[str, list[str]], target: Path, title: str, author: str) -> int:
    """Print the pages of the folder html into the file target; return the number of sheets."""
    document, missing = whole(html, parts, title, author), []

    def serve(route):
        file = html / urlsplit(route.request.url).path.lstrip("/")
        if route.request.url == SITE:
            route.fulfill(body=document, content_type="text/html")
        elif route.request.url.startswith(SITE) and file.is_file():
            route.fulfill(path=file)
        else:
            missing.append(route.request.url)
            route.abort()

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit(
            "the PDF is printed by chromium or google-chrome, and neither is here: apt install chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": 643, "height": 900}
        )  # as wide as the text on paper
        page.set_default_timeout(600_000)
        page.route("**/*", serve)
        page.emulate_media(media="print", color_scheme="light")
        page.goto(SITE)
        page.evaluate(FIT)
        printed = partial(
            page.pdf, prefer_css_page_size=True, print_background=True, outline=True, tagged=True
        )
        reader = PdfReader(BytesIO(printed()))  # says on which page each chapter is
        starts = [
            reader.get_destination_page_number(it) + 1
            for it in reader.outline
            if not isinstance(it, list)
        ]
        page.evaluate(NUMBER, starts)
        writer, headings = PdfWriter(BytesIO(printed()), incremental=True), page.evaluate(HEADINGS)
        browser.close()
    if missing:
        raise SystemExit(f"not found while printing: {', '.join(missing)}")
    # Chromium writes some headings twice over into their bookmarks.
    for bookmark, heading in zip(bookmarks(writer.root_object["/Outlines"]), headings, strict=True):
        bookmark[NameObject("/Title")] = TextStringObject(heading)
    writer.page_mode = "/UseOutlines"
    writer.add_metadata({"/Title": title, "/Author": author})
    writer.write(target)
    return len(writer.pages)


def bookmarks(node: DictionaryObject) -> Iterator[DictionaryObject]:
    """All bookmarks below one, in order."""
    child = node.get("/First")
    while child is not None:
        yield child.get_object()
        yield from bookmarks(child.get_object())
        child = child.get_object().get("/Next")


if __name__ == "__main__":
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    target = ROOT / "_build" / "book.pdf"
    sheets = write(ROOT / "_build" / "html", pages(), target, config["title"], config["author"])
    print(f"{target}: {sheets} pages, {target.stat().st_size / 1e6:.1f} MB")
