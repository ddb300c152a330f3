"""The outputs that the notebooks for Colab keep, so that who opens one sees its pictures before a
cell has run: those of the chapters as executed by `make book`.

A drawing is kept as a small PNG; tables and printed lines are kept as they are. What scripts draw
is replaced by a sentence, since a preview runs none.
"""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from html import escape
from pathlib import Path

import nbformat
from headless import headless_browser
from PIL import Image
from playwright.sync_api import Browser, Page

SCALE = 2  # pixels of a picture for one of the page
COLOURS = 64
LARGEST = 55_000  # bytes of a picture, or it is kept at one pixel for one of the page
LONGEST = 4000  # characters of a text or a table; the book has the rest
# Shows an image alone in its page, and says how large it is.
SHOW = """async (address) => {
  const [image] = document.images;
  image.src = address;
  await image.decode();
  return [image.width, image.height];
}"""
NOT_SHOWN = {"remove-cell", "remove-output"}
Outputs = list[nbformat.NotebookNode]
Draw = Callable[[str], nbformat.NotebookNode]  # from SVG to an output


@contextmanager
def drawing() -> Iterator[Draw]:
    """What makes a picture of a drawing, while the browser is open that does it."""
    with headless_browser() as browser:
        yield partial(draw, drawing_page(browser))


def drawing_page(browser: Browser) -> Page:
    """A page with one image and nothing around it."""
    page = browser.new_page(device_scale_factor=SCALE)
    page.set_content("<style>body { margin: 0 } img { display: block }</style><img alt=''>")
    return page


def draw(page: Page, svg: str) -> nbformat.NotebookNode:
    """A drawing as an output with a picture."""
    coded = base64.b64encode(svg.encode()).decode()
    size = page.evaluate(SHOW, f"data:image/svg+xml;base64,{coded}")
    return picture(page.locator("img").screenshot(), *size)


def picture(png: bytes, width: int, height: int) -> nbformat.NotebookNode:
    """An output that shows a picture, in few colours, at a size in pixels of the page."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    small = compressed(image)
    if len(small) > LARGEST:  # photographs
        small = compressed(image.resize((width, height), Image.Resampling.LANCZOS))
    data = {"image/png": base64.b64encode(small).decode()}
    size = {"width": width, "height": height}
    return nbformat.v4.new_output("display_data", data, metadata={"image/png": size})


def compressed(image: Image.Image) -> bytes:
    """An image as a PNG of few colours."""
    file = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def executed(
    ran: nbformat.NotebookNode,
    book: nbformat.NotebookNode,
    draw: Draw,
    addresses: dict[str, str],
) -> dict[str, Outputs]:
    """What the cells of a chapter gave, by their ids.

    ran: the chapter as executed. book: the chapter as it lies in book/. addresses: by a cell's id,
    where the book shows what it gives.
    """
    code = {cell.id: cell.source for cell in book.cells}
    found = {}
    for cell in ran.cells:
        if cell.source != code.get(cell.id):
            raise ValueError(
                f"the executed chapter's cell {cell.id!r} is not as it is in book/; run: make book"
            )
        if cell.cell_type == "code" and not NOT_SHOWN & set(cell.metadata.get("tags", [])):
            found[cell.id] = keep(cell.outputs, draw, addresses[cell.id])
    return found


def keep(outputs: Outputs, draw: Draw, address: str) -> Outputs:
    """Of a cell's outputs those that a preview can show, in their plainest form."""
    kept: Outputs = []
    for output in outputs:
        data = output.get("data", {})
        if "scrapbook" in output.get("metadata", {}):
            continue  # a number for the text
        if output.output_type == "stream":
            if output.name == "stdout":
                add_lines(kept, output.text)
        elif "image/svg+xml" in data:
            kept.append(draw(data["image/svg+xml"]))
        elif "text/html" in data:
            kept.append(html_output(data, address))
        elif "text/plain" in data:
            text = {"text/plain": shortened(data["text/plain"])}
            kept.append(nbformat.v4.new_output("display_data", text))
    return kept


def add_lines(kept: Outputs, text: str) -> None:
    """Add printed lines, to those that stand last if there are any."""
    if kept and kept[-1].output_type == "stream":
        text = kept.pop().text + text
    kept.append(nbformat.v4.new_output("stream", text=shortened(text)))


def html_output(data: dict, address: str) -> nbformat.NotebookNode:
    """A table that is not long; of anything else what it is, in words, and where to see it."""
    html = data["text/html"]
    words = data["text/plain"]
    hint = "It moves when this cell has run"
    if "<table" in html and "<script" not in html:
        if len(html) <= LONGEST:
            return nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": words})
        words = "A long table."
        hint = "It is shown when this cell has run"
    page = f'{hint}, and in <a href="{address}">the book</a>.'
    kept = {
        "text/html": f"<p>{escape(words)}</p><p><em>{page}</em></p>",
        "text/plain": f"{words}\n{hint}, and in the book: {address}",
    }
    return nbformat.v4.new_output("display_data", kept)


def shortened(text: str) -> str:
    """A text, cut where it is very long."""
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition("\n")[0] + "\n[...]\n"


def stored(path: Path, notebook: nbformat.NotebookNode) -> dict[str, Outputs]:
    """What the file at path keeps of the cells that are the same in the notebook, by their ids."""
    if not path.exists():
        return {}
    code = {cell.id: cell.source for cell in notebook.cells}
    found = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and cell.source == code.get(cell.id):
            found[cell.id] = cell.outputs
    return found


def without(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook as it would be if no outputs were kept."""
    plain = deepcopy(notebook)
    for cell in plain.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    return plain


def alternative_texts(book: nbformat.NotebookNode) -> dict[str, str]:
    """What a chapter says about its figures for who does not see them, by the cells' ids."""
    found = {}
    for cell in book.cells:
        text = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        if text:
            found[cell.id] = text
    return found


def describe(notebook: nbformat.NotebookNode, texts: dict[str, str]) -> None:
    """Give the pictures of a notebook their alternative texts, by the cells' ids."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            about = output.get("metadata", {}).get("image/png")
            if about and cell.id in texts:
                about["alt"] = texts[cell.id]
