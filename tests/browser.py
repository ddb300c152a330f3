"""What the browser tests share: opening a fragment of HTML alone on a page, and the contrast of two
colours.
"""

import re
import shutil

import pytest

# No page may reach another host; the book's own tests serve it from 127.0.0.1.
OFFLINE = [
    "--no-sandbox",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
OPENED = []  # the contexts of the pages that a test has opened; conftest.py closes them after it
GROUNDS = {"light": (255, 255, 255), "dark": (20, 24, 30)}  # the pages' backgrounds


def launch_chromium(playwright):
    """Start the machine's own Chromium; skip the test where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("the browser tests need chromium or google-chrome (`apt install chromium`)")
    return playwright.chromium.launch(executable_path=program, args=OFFLINE)


def open_page(chromium, html, width=800, theme="light", **context):
    """Open the fragment alone on a page. `page.troubles` lists errors of its script, and requests
    that it made.
    """
    opened = chromium.new_context(viewport={"width": width, "height": 900}, **context)
    OPENED.append(opened)
    page = opened.new_page()
    page.troubles = []

    def note_request(request):
        if not request.url.startswith("data:"):
            page.troubles.append(request.url)

    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("request", note_request)
    red, green, blue = GROUNDS[theme]
    ink = "#222" if theme == "light" else "#ddd"
    page.set_content(
        f'<!doctype html><html data-theme="{theme}"><meta charset="utf-8">'
        f'<body style="margin: 0; background: rgb({red}, {green}, {blue}); color: {ink}">'
        f'<div style="width: {width}px">{html}</div>'
    )
    return page


def page_width(page):
    """How wide the page is with everything that sticks out; also without scripts, where it cannot
    be asked.
    """
    return int.from_bytes(page.screenshot(full_page=True)[16:20])


def centre(locator):
    """The middle of an element, in the coordinates of the mouse."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


# A page goes on scrolling after the finger has left it.
SCROLL_AT_REST = """() => new Promise(resolve => {
  let place = scrollY;
  let still = 0;
  const look = () => {
    still = scrollY === place ? still + 1 : 0;
    place = scrollY;
    if (still < 12) requestAnimationFrame(look);
    else resolve();
  };
  requestAnimationFrame(look);
})"""


def swipe(page, start, end, steps=8):
    """Move a finger over the page as a touch screen reports it, so that the browser decides what
    scrolls, and wait until the page is at rest.
    """
    session = page.context.new_cdp_session(page)
    x0, y0 = start
    x1, y1 = end
    session.send(
        "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x0, "y": y0}]}
    )
    for step in range(1, steps + 1):
        point = {"x": x0 + (x1 - x0) * step / steps, "y": y0 + (y1 - y0) * step / steps}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()
    page.evaluate(SCROLL_AT_REST)


def drag(page, start, *ends):
    """Press the mouse at start, move it to each of the ends, and let it go."""
    page.mouse.move(*start)
    page.mouse.down()
    for end in ends:
        page.mouse.move(*end, steps=4)
    page.mouse.up()


def channels(colour):
    """The red, green and blue of a computed colour such as "rgb(1, 115, 178)"."""
    return tuple(int(number) for number in re.findall(r"\d+", colour)[:3])


def luminance(rgb):
    """The relative luminance of a colour as WCAG defines it."""
    linear = []
    for channel in rgb:
        share = channel / 255
        linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    """The contrast ratio of two colours, from 1 to 21 (WCAG)."""
    lighter = max(luminance(first), luminance(second))
    darker = min(luminance(first), luminance(second))
    return (lighter + 0.05) / (darker + 0.05)
