"""The built book as one long page, for paper.

Solutions, and the answers to the self-check questions, move to the end; code that only draws, and
what one presses, is left out.
"""

import posixpath
from html import escape
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import yaml
from book_files import ROOT
from bs4 import BeautifulSoup, Tag

LEFT_OUT = ("book/api",)  # one looks functions up on a screen
IN_CONTENTS = "Chapters"  # the part of which the contents name the sections, too
NAMED = ("id", "for", "aria-labelledby", "aria-describedby")
# The names of folds that say no more than that there is code.
UNNAMED = ("Show code cell source", "Show code cell content")


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
    show_what_is_folded(page)
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


def show_what_is_folded(page: BeautifulSoup) -> None:
    """Of cells whose code is folded show what the code gives, under the name of the fold if it has
    one of its own, and leave the code out.
    """
    for fold in page.select("div.cell > details.hide"):
        name = fold.select_one("summary .collapsed").get_text().strip()
        output = fold.select_one("div.cell_output")
        if output:
            fold.insert_before(output)
            if name not in UNNAMED:
                title = page.new_tag("p")
                title.append(BeautifulSoup(f"<strong>{escape(name)}</strong>", "html.parser"))
                output.insert_before(title)
        fold.decompose()


def is_self_check(name: str | None) -> bool:
    """Whether a section's id is that of the self-check questions."""
    return name is not None and name.endswith("--check-yourself")
