"""What the first page promises is there: chapters, their pictures and minutes, and what is
published beside the pages.
"""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
INDEX = (ROOT / "index.md").read_text(encoding="utf-8")
CARD = re.compile(
    r":link: book/(\w+)\n:link-type: doc\n:img-top: (\S+)\n:img-alt: [^\n]+\n\n"
    r".+?\n\n(\d+) minutes",
    re.DOTALL,
)


def minutes_in_the_guide():
    """The minutes of each chapter, as the lecturer's guide has them."""
    guide = (ROOT / "book/lecturers_guide.md").read_text(encoding="utf-8")
    table = guide.split("\n## What each chapter gives\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| \{doc\}`(\w+)` \|[^|]*\| (\d+)", table, re.MULTILINE)
    return {name: int(minutes) for name, minutes in rows}


def test_every_chapter_has_a_card_with_a_picture_and_its_minutes():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [Path(entry["file"]).name for entry in toc["parts"][0]["chapters"]]
    cards = CARD.findall(INDEX)
    names = [name for name, _, _ in cards]
    assert names == [*chapters, "playground"]
    assert all((ROOT / picture).is_file() for _, picture, _ in cards)
    guide = minutes_in_the_guide()
    for name, _, minutes in cards:
        if name in guide:
            assert int(minutes) == guide[name], name
    assert set(chapters) <= set(guide)


def test_what_is_published_beside_the_pages_is_put_there():
    published = re.findall(r"\{published\}`[^<`]+<([^>]+)>`", INDEX)
    assert published == ["book.pdf", "course.zip"]
    workflow = (ROOT / ".github/workflows/pages.yml").read_text(encoding="utf-8")
    copied = re.search(r"- run: cp (.+) _build/html/\n", workflow)[1].split()
    assert copied == [f"_build/{name}" for name in published]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in copied:
        assert f"write {name}" in makefile
