"""The temperature slider: its numbers against the library, in Python and in a browser, with and without scripts."""

import re
import shutil
from html.parser import HTMLParser

import pytest
import torch

from contrastlib.data import load
from contrastlib.gradients import effective_negatives, entropy, relative_penalty
from contrastlib.losses import contrastive
from contrastlib.teaching.tau_slider import tau_slider

QUANTITIES = ("loss", "entropy", "effective", "nearest")


@pytest.fixture(scope="module")
def digits():
    """Anchor 0, its copy shifted by a pixel as the positive, the other digits as negatives."""
    images = load("digits").images[:, 0]
    mean = images.double().mean(0)

    def embed(x):
        return torch.nn.functional.normalize((x.double() - mean).flatten(1), dim=1)

    z, shifted = embed(images), images[:1].roll(1, dims=2)
    return {
        "s_pos": (embed(shifted)[0] @ z[0]).item(),
        "s_neg": z[1:] @ z[0],
        "anchor": images[0],
        "images": images[1:],
        "positive": shifted[0],
    }


def expected(s_pos, s_neg, tau):
    """The four numbers by the library, in float64, from the similarities to five decimals."""
    s_pos, s_neg = torch.tensor([s_pos], dtype=torch.float64).round(decimals=5), s_neg.double().round(decimals=5)[None]
    r = relative_penalty(s_neg, tau)
    values = contrastive(s_pos, s_neg, tau), entropy(r), effective_negatives(r), r.max()
    return dict(zip(QUANTITIES, (v.item() for v in values), strict=True))


def check_numbers(page, want):
    """What the page says is what the library says: in full in data-value, and in the digits that it shows."""
    for name in QUANTITIES:
        node = page.locator(f'[data-quantity="{name}"]')
        assert float(node.get_attribute("data-value")) == pytest.approx(want[name], rel=1e-9, abs=1e-12), name
        text, digits = node.inner_text(), {"loss": 3, "entropy": 3, "effective": 1}.get(name)
        if text.startswith("<"):
            assert want[name] < 1e-3
        elif digits is None:
            assert float(text.rstrip("\u00a0%")) == pytest.approx(100 * want[name], abs=0.051)
        else:
            assert float(text) == pytest.approx(want[name], abs=0.51 * 10**-digits)


class Outline(HTMLParser):
    """Fails on tags that do not nest; keeps the tags and the ids."""

    VOID = ("img", "input")

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.ids = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("tau", [0.01, 0.07, 0.2, 1.0, 10])
def test_still_numbers_are_the_librarys(digits, tau):
    html = tau_slider(**digits, tau=tau).html
    want = expected(digits["s_pos"], digits["s_neg"], tau)
    for name in QUANTITIES:
        (value,) = re.findall(rf'data-quantity="{name}" data-value="([^"]+)"', html)
        assert float(value) == pytest.approx(want[name], rel=1e-9)
    # Five decimals of a similarity are enough: the loss is that of the exact ones, within 1e-5 / tau.
    s_pos = torch.tensor([digits["s_pos"]], dtype=torch.float64)
    assert contrastive(s_pos, digits["s_neg"][None], tau).item() == pytest.approx(want["loss"], abs=1.1e-5 / tau)


def test_fragment_is_whole_and_asks_for_nothing(digits):
    shown = tau_slider(**digits)
    page = Outline(shown._repr_html_())
    assert len(page.ids) == 1
    assert page.tags.count("li") == 12
    assert page.tags.count("svg") == 1
    assert not re.search(r"https?://|//[a-z]+\.|fetch\(|import |innerHTML|type=.module", shown.html)
    assert "$" not in shown.html  # no blank left, and nothing for MathJax
    assert "\\(" not in shown.html
    assert len(shown.html) < 40_000
    assert repr(shown) == shown.summary
    assert repr(shown).startswith("At τ = 0.2 the 12 nearest of the 1436 negatives take 13.1")


def test_id_comes_from_the_data(digits):
    first, again, other = (tau_slider(**digits, tau=tau).html for tau in (0.2, 0.2, 0.3))
    assert first == again
    assert Outline(first).ids != Outline(other).ids


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"s_pos": "0.5"}, TypeError, "s_pos is a str"),
        ({"s_pos": torch.zeros(2)}, ValueError, r"s_pos has shape \[2\]"),
        ({"s_pos": float("nan")}, ValueError, "s_pos has 1 value"),
        ({"s_pos": 1.5}, ValueError, "s_pos reaches 1.5"),
        ({"s_neg": [0.1, 0.2]}, TypeError, "s_neg is a list"),
        ({"s_neg": torch.zeros(1, 3)}, ValueError, r"s_neg has shape \[1, 3\]"),
        ({"s_neg": torch.zeros(0)}, ValueError, r"s_neg has shape \[0\]"),
        ({"s_neg": torch.tensor([0.1, float("inf"), 0.2])}, ValueError, "s_neg has 1 value"),
        ({"s_neg": torch.tensor([0.1, -7, 0.2])}, ValueError, "normalise the embeddings"),
        ({"tau": 0}, ValueError, "tau is 0"),
        ({"tau": 0.005}, ValueError, "from 0.01 to 10"),
        ({"tau": "warm"}, TypeError, "tau is 'warm'"),
        ({"anchor": torch.zeros(2, 2)}, TypeError, "anchor is torch.float32"),
        ({"anchor": None}, TypeError, "anchor is a NoneType"),
        ({"positive": torch.zeros(4, dtype=torch.uint8)}, ValueError, r"positive has shape \[4\]"),
        ({"images": torch.zeros(3, 1, 2, 2, dtype=torch.uint8)}, ValueError, r"take images\[:, 0\]"),
        ({"images": torch.zeros(2, 2, 2, dtype=torch.uint8)}, ValueError, "images has 2 images and s_neg 3"),
    ],
)
def test_wrong_arguments(change, error, says):
    right = {
        "s_pos": 0.9,
        "s_neg": torch.tensor([0.1, 0.5, -0.2]),
        "anchor": torch.zeros(2, 2, dtype=torch.uint8),
        "images": torch.zeros(3, 2, 2, dtype=torch.uint8),
    }
    assert "tau-slider" in tau_slider(**right).html
    with pytest.raises(error, match=says):
        tau_slider(**{**right, **change})


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium on the path: the slider is not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(chromium, html, width=800, **context):
    """The fragment alone on a page; any error of its script, and any request, fails the test that looks."""
    page = chromium.new_context(viewport={"width": width, "height": 900}, **context).new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("request", lambda request: request.url.startswith("data:") or page.troubles.append(request.url))
    page.set_content(f'<!doctype html><meta charset="utf-8"><body style="margin: 0">{html}')
    return page


def test_slider_by_keyboard(digits, chromium):
    page = open_page(chromium, tau_slider(**digits).html)
    slider = page.get_by_role("slider", name="temperature tau")
    check_numbers(page, expected(digits["s_pos"], digits["s_neg"], 0.2))
    unfocused = slider.screenshot()
    page.keyboard.press("Tab")
    assert slider.evaluate("node => node === document.activeElement")
    assert slider.screenshot() != unfocused  # the focus can be seen
    seen = set()
    for keys, tau in [
        (["Home"], 0.01),
        (["ArrowRight"], 0.011),
        (["End"], 10),
        (["ArrowLeft"] * 32, 1),
        (["ArrowLeft"] * 6, 0.7),
        (["ArrowLeft"] * 32, 0.07),
    ]:
        for key in keys:
            page.keyboard.press(key)
        assert slider.get_attribute("aria-valuetext") == f"tau = {tau}"
        assert page.locator('[data-quantity="tau"]').inner_text() == str(tau)
        want = expected(digits["s_pos"], digits["s_neg"], tau)
        check_numbers(page, want)
        shares = [float(li.get_attribute("data-value")) for li in page.locator("li").all()]
        r = relative_penalty(digits["s_neg"].round(decimals=5)[None], tau)[0].sort(descending=True).values
        assert shares == pytest.approx(r[:12].tolist(), rel=1e-9, abs=1e-15)
        summary = page.locator(".says").inner_text()
        assert f"τ = {tau} " in summary
        assert page.get_by_role("img", name=summary).count() == 1
        seen.add(page.locator("svg").inner_html())
    assert len(seen) == 6
    assert page.troubles == []


def test_script_draws_what_python_drew(digits, chromium):
    html = tau_slider(**digits, tau=0.123).html  # between two stops: it becomes one
    drawn = []
    for scripts in (False, True):
        page = open_page(chromium, html, java_script_enabled=scripts)
        numbers = [page.locator(f'[data-quantity="{name}"]').inner_text() for name in ("tau", *QUANTITIES)]
        bars = [rect.get_attribute("height") for rect in page.locator("rect").all()]
        curve = re.findall(r"[\d.]+", page.locator(".rel").get_attribute("d"))
        shares = [item.inner_text() for item in page.locator("li").all()]
        drawn.append((numbers, page.locator(".says").inner_text(), shares, list(map(float, bars + curve))))
        assert page.locator("input").is_disabled() is not scripts
        assert page.locator("svg").bounding_box()["height"] > 100
        assert page.troubles == []
    assert drawn[0][:3] == drawn[1][:3]
    assert drawn[0][3] == pytest.approx(drawn[1][3], abs=0.011)
    assert drawn[0][0][0] == "0.123"


def test_several_sliders_on_a_page(digits, chromium):
    html = tau_slider(**digits).html
    page = open_page(chromium, html + tau_slider(**digits, tau=0.3).html + html)
    page.locator("input").nth(0).press("Home")
    page.locator("input").nth(2).press("End")
    values = page.locator('[data-quantity="tau"]').all_inner_texts()
    assert values == ["0.01", "0.3", "10"]
    assert page.troubles == []


def test_extremes(chromium):
    """A loss near 0, one negative alone, all similarities equal: the same numbers still, none of them NaN."""
    digit = torch.zeros(8, 8, dtype=torch.uint8)
    for s_pos, s_neg in [(1.0, [-1.0]), (-1.0, [1.0, -1.0]), (0.5, [0.5] * 20), (0.123456, [1.0000001] * 3)]:
        s_neg = torch.tensor(s_neg)
        page = open_page(chromium, tau_slider(s_pos, s_neg, digit, digit.expand(len(s_neg), 8, 8)).html)
        for key, tau in (("Home", 0.01), ("End", 10)):
            page.locator("input").press(key)
            check_numbers(page, expected(s_pos, s_neg, tau))
            assert "NaN" not in page.content()
        assert page.troubles == []


@pytest.mark.parametrize("width", [340, 390, 800])
def test_no_horizontal_scroll(digits, chromium, width):
    page = open_page(chromium, f'<div style="width: {width}px">{tau_slider(**digits).html}</div>', width=width)
    for key in ("Home", "End"):
        page.locator("input").press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
