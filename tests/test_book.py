"""The built book in a browser without a network: every page, light and dark, on a desk and on a
phone, from a disk.
"""

import re
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urljoin, urlsplit

import book_files
import executed_chapters
import kept_outputs
import nbformat
import pytest
import yaml

import colab

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs `pip install axe-playwright-python`"
)
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="the book's browser test needs `pip install playwright`"
)

ROOT = Path(__file__).parent.parent
HTML = ROOT / "_build" / "html"
SHOTS = ROOT / "_build" / "screenshots"
PAGES = sorted(
    p.relative_to(HTML).as_posix() for p in HTML.rglob("*.html") if "_static" not in p.parts
)
PREFIX = (
    "/"
    + yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    .rstrip("/")
    .split("/")[-1]
)
# What a page can say about itself, as a list of problems. Alternative texts are asked of drawings,
# too.
LOOK = r"""async () => {
  const found = [];
  const all = (what) => [...document.querySelectorAll(what)];
  const say = (problem, text) => found.push(`${problem}: ${String(text).trim().slice(0, 80)}`);
  await window.MathJax?.startup?.promise.catch((error) => say("maths error", error.message));
  await document.fonts.ready;
  for (const image of all("img")) {
    const alt = (image.getAttribute("alt") ?? "").trim();
    if (!alt) say("image without alt", image.src);
    if (/\.(svg|png|jpe?g|gif|webp)$/i.test(alt)) say("alt is a file's name", alt);
    if (image.complete && !image.naturalWidth) say("broken image", image.src);
  }
  for (const svg of all("article svg"))
    if (!svg.closest("[aria-hidden=true], [aria-label]") && !svg.querySelector("title"))
      say("drawing without aria-label", svg.outerHTML);
  for (const math of all(".math"))
    if (!math.querySelector("mjx-container")) say("maths not set", math.textContent);
  // An unknown command is set in red, an error as merror, a reference to nothing as ???.
  for (const bad of all("mjx-merror, [data-mjx-error], mjx-container [style*='color: red']")) {
    const error = bad.getAttribute("data-mjx-error");
    say("maths error", error ?? bad.closest("mjx-container").textContent);
  }
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const left = /\$\$|\\\(|\\\[|\\begin\{|\?\?\?|\{[a-z:]+\}`/;
  for (let node; (node = walk.nextNode()); )
    if (left.test(node.data) && !node.parentElement.closest("pre, code, script, style, noscript"))
      say("markup left in the text", node.data);
  for (const link of all(".prev-next-area a"))
    if (link.scrollWidth > link.clientWidth + 1) say("link is cut", link.textContent);
  for (const folded of all(".solution.toggle-hidden"))
    if (folded.clientHeight > folded.querySelector(".admonition-title").offsetHeight + 2)
      say("band below a folded solution", folded.id);
  const { scrollWidth } = document.scrollingElement;
  if (innerWidth < 500 && scrollWidth > innerWidth) {
    const sticksOut = (element) => element.getBoundingClientRect().right > innerWidth + 1;
    const widest = all("article *").find(sticksOut);
    say("page scrolls sideways", `${scrollWidth} px, ${widest?.outerHTML}`);
  }
  return found;
}"""


class Site(SimpleHTTPRequestHandler):
    """_build/html under the prefix that GitHub Pages gives it, so that an address from the root
    shows up as missing.
    """

    def translate_path(self, path):
        path = unquote(urlsplit(path).path)
        return (
            str(HTML / path.removeprefix(PREFIX + "/"))
            if path.startswith(PREFIX + "/")
            else "/nowhere"
        )

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    if "index.html" not in PAGES:
        pytest.fail("no book in _build/html: run `make book` first")
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}/"
        server.shutdown()


@pytest.fixture(scope="module")
def look(chromium):
    """A function that returns a browser window of a theme and a width; its pages share the cached
    scripts.
    """
    contexts = {}

    def window(theme, width):
        if (theme, width) not in contexts:
            size = {"width": width, "height": 800}
            contexts[theme, width] = chromium.new_context(color_scheme=theme, viewport=size)
        return contexts[theme, width]

    yield window
    for context in contexts.values():
        context.close()


@contextmanager
def opened(look, url, theme="light", width=1280, plant=""):
    """The page at url, loaded, and the list of its problems, which grows. `plant`: HTML put into
    the home page.
    """
    page = look(theme, width).new_page()
    problems = []

    def asked(request):
        if (
            request.url.split(":")[0] not in ("data", "blob", "file")
            and urlsplit(request.url).hostname != "127.0.0.1"
        ):
            problems.append(f"asks another host: {request.url}")

    def answered(response):
        if response.status >= 400:
            problems.append(f"request failed, {response.status}: {response.url}")

    def said(message):
        if message.type in ("error", "warning"):
            problems.append(f"console {message.type}: {message.text}")

    page.on("request", asked)
    page.on("requestfailed", lambda request: problems.append(f"request failed: {request.url}"))
    page.on("response", answered)
    page.on("console", said)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    if plant:
        before, end, after = (HTML / "index.html").read_text().rpartition("</section>")
        body = before + plant + end + after
        page.route(url, lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(url)
    problems += examine(page, theme)
    yield page, problems
    page.close()


def examine(page, theme):
    """The problems of the page as it stands, in the theme that the reader's system asks for."""
    page.emulate_media(color_scheme=theme)
    try:
        page.wait_for_function(
            f"document.documentElement.dataset.theme === '{theme}'", timeout=3000
        )
    except sync_api.TimeoutError:
        return [f"theme is not {theme}"]
    return page.evaluate(LOOK)


@pytest.mark.parametrize("name", PAGES or ["index.html"])
@pytest.mark.parametrize(
    ("where", "width", "first", "second"),
    [("web", 1280, "light", "dark"), ("disk", 390, "dark", "light")],
)
def test_every_page_reads_well(look, site, name, where, width, first, second):
    """In one visit: how it looks in both themes, what axe-core holds against it in the second, and
    its picture in it.
    """
    # Only a server shows the page 404, so its addresses start at the server's root.
    on_disk = where == "disk" and name != "404.html"
    url = (HTML / name).as_uri() if on_disk else site + name
    with opened(look, url, first, width) as (page, problems):
        problems += examine(page, second)  # dusk falls while it is read
        SHOTS.mkdir(exist_ok=True)
        shot = name.removesuffix(".html").replace("/", "-")
        page.screenshot(path=SHOTS / f"{shot}-{second}-{width}.png", full_page=True)
        # axe-core reads the style sheets anew, and what it asks for is not asked by the page.
        found = list(problems)
        found += violations(page)
    assert not found


def violations(page):
    """What axe-core holds against the page as it stands: its rule, and the first element that
    breaks it.
    """
    found = axe.Axe().run(page).response["violations"]
    return [f"{rule['id']}: {rule['help']}, {rule['nodes'][0]['html'][:80]}" for rule in found]


def test_the_formula_sheet_prints_on_one_page(look, site):
    with opened(look, site + "book/formula_sheet.html") as (page, _):
        pdf = page.pdf(format="A4")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1


def test_a_planted_violation_is_found(look, site):
    plant = '<p style="color: #999; background: #aaa">grey on grey</p>'
    with opened(look, site, plant=plant) as (page, _):
        assert any("color-contrast" in violation for violation in violations(page))


def test_every_link_within_the_book_leads_somewhere(site):
    pages = {site + name: (HTML / name).read_text() for name in PAGES}
    anchors = {url: {"", *re.findall(r'\bid="([^"]+)"', text)} for url, text in pages.items()}
    broken = []
    for url, text in pages.items():
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text):
            path, _, anchor = unquote(urljoin(url, link)).partition("#")
            if path.startswith(site):
                found = (
                    anchor in anchors[path]
                    if path in anchors
                    else (HTML / path[len(site) :]).is_file()
                )
                broken += [] if found else [f"{url}: {link}"]
    assert not broken


def test_every_launch_button_opens_a_notebook_that_is_there():
    link = re.compile(r'href="https://colab\.research\.google\.com/[^"]*/colab/([^"]+)"')
    launched = {name: link.findall((HTML / name).read_text()) for name in PAGES}
    copies = {path.name for path in Path(book_files.ROOT, "colab").glob("*.ipynb")}
    assert {name for names in launched.values() for name in names} == copies


# Of each interactive figure: its page, what a reader presses, and what must change.
FIGURES = {
    "tau-slider": ("temperature", "input[type=range]", "ArrowRight", "svg"),
    "gradient-sphere": ("gradients", ".globe", "ArrowRight", ".globe svg"),
    "training-film": ("uniformity_tolerance", "input[type=range]", "Home", ".live"),
    "run-explorer": ("reproduction", "input[type=range]", "End", ".profile"),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_interactive_figure_moves(look, site, name, theme):
    chapter, control, key, drawing = FIGURES[name]
    with opened(look, f"{site}book/{chapter}.html", theme) as (page, problems):
        figure = page.locator(f".{name}").first
        before = figure.locator(drawing).first.inner_html()
        figure.locator(control).first.press(key)
        assert figure.locator(drawing).first.inner_html() != before
    assert not problems


def test_every_page_says_whose_it_is_and_has_a_picture_for_links():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    for name in PAGES:
        head = (HTML / name).read_text().partition("</head>")[0]
        found = dict(re.findall(r'<meta property="og:(site_name|image)" content="([^"]+)"', head))
        if name not in ("genindex.html", "search.html", "404.html"):
            assert found["site_name"] == config["title"], name
            assert found["image"].startswith(book_files.site() + "/_static/"), name
            assert (HTML / found["image"].removeprefix(book_files.site() + "/")).is_file(), name


def test_the_colab_copy_quotes_the_runs_that_are_here():
    """Other numbers may differ in their last digits from machine to machine; those of stored runs
    may not.
    """
    executed = executed_chapters.executed_values()
    quoted = colab.Writer().values
    names = {
        name
        for name in executed
        if name.startswith("reproduction-") and not name.endswith("run-time")
    }
    assert len(names) > 10
    assert {name: quoted.get(name) for name in names} == {name: executed[name] for name in names}, (
        "run: make colab"
    )


@pytest.mark.parametrize("name", book_files.chapters())
def test_the_colab_copy_shows_the_chapters_pictures(name):
    """That they are there, not that they are the same: another machine may be a pixel off."""
    copy = nbformat.read(ROOT / "colab" / f"{name}.ipynb", as_version=4)
    kept = {cell.id: cell.outputs for cell in copy.cells if cell.cell_type == "code"}
    drawn = {}
    for cell in executed_chapters.executed_chapter(name).cells:
        hidden = kept_outputs.NOT_SHOWN & set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and not hidden:
            drawn[cell.id] = pictures(cell.outputs, "image/svg+xml")
    assert sum(drawn.values()) > 1
    found = {cell: pictures(kept[cell], "image/png") for cell in drawn}
    assert found == drawn, "run: make colab"


def pictures(outputs, kind):
    """How many of a cell's outputs are pictures of that kind."""
    return sum(kind in output.get("data", {}) for output in outputs)


def test_negative_numbers_in_the_text_have_minus_signs():
    pasted = []
    for name in PAGES:
        pasted += re.findall(r'class="pasted-text">([^<]*)', (HTML / name).read_text())
    assert len([number for number in pasted if number.startswith("−")]) > 5
    assert not [number for number in pasted if number.startswith("-")]


def test_search_finds_the_temperature(look, site):
    with opened(look, site + "search.html?q=temperature") as (page, problems):
        page.wait_for_selector("#search-results li a[href*='temperature.html']", timeout=5000)
    # The results quote the pages' text with its formulas as they were written.
    assert not [problem for problem in problems if not problem.startswith("markup left")]


def test_the_book_is_light(site):
    sizes = {
        p.relative_to(HTML).as_posix(): p.stat().st_size for p in HTML.rglob("*") if p.is_file()
    }
    assert {name: size for name, size in sizes.items() if name in PAGES and size > 1.5e6} == {}
    assert sum(sizes.values()) < 20e6


IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


@pytest.mark.parametrize(
    ("plant", "problem"),
    [
        (
            '<img alt="far" src="https://example.com/x.png">',
            "asks another host: https://example.com/x.png",
        ),
        ('<script src="missing.js"></script>', "request failed, 404"),
        ("<script>console.warn('careful')</script>", "console warning: careful"),
        ("<script>console.error('broken')</script>", "console error: broken"),
        ("<script>throw new Error('thrown')</script>", "script error: thrown"),
        (f'<img src="{IMAGE}">', "image without alt"),
        (f'<img alt="_images/a1b2.svg" src="{IMAGE}">', "alt is a file's name"),
        ('<img alt="gone" src="data:image/png;base64,AAAA">', "broken image"),
        ("<svg><path/></svg>", "drawing without aria-label"),
        ('<span class="math tex2jax_ignore">x</span>', "maths not set"),
        (r'<span class="math">\(\frac{1}\)</span>', "maths error: Missing argument for \\frac"),
        (r'<span class="math">\(\temperature\)</span>', "maths error"),
        (r'<span class="math">\(\ref{eq-nothing}\)</span>', "markup left in the text: ???"),
        ("<p>$$ x $$</p>", "markup left in the text: $$ x $$"),
        ("<p>see {eq}`eq-loss`</p>", "markup left in the text: see {eq}"),
        ('<div style="width: 600px; height: 1px"></div>', "page scrolls sideways"),
        (
            '<div class="prev-next-area">'
            '<a style="display: block; overflow: hidden; width: 9px">Back</a></div>',
            "link is cut",
        ),
        (
            '<div class="solution toggle-hidden"><p class="admonition-title">S</p>'
            '<p style="height: 40px"></p></div>',
            "band below",
        ),
        (
            "<script>onload = () => (document.documentElement.dataset.theme = 'dark')</script>",
            "theme is not light",
        ),
    ],
)
def test_a_planted_defect_is_found(look, site, plant, problem):
    with opened(look, site + "index.html", width=390, plant=plant) as (_, problems):
        pass
    assert any(problem in found for found in problems), problems
