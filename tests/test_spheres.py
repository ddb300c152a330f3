"""The two spheres: their numbers against the library, in Python and in a browser, with and without scripts."""

import json
import re
import shutil
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from contrastlib import gradients, losses, metrics
from contrastlib.teaching.spheres import gradient_sphere, sphere

TAUS, STEPS = [0.07, 0.25, 1.0], [0, 4, 8, 12, 16]
LABELS = torch.tensor([0, 0, 1, 1, 3, 3, 3])


@pytest.fixture(scope="module")
def frames():
    """Seven points on their way from a heap to somewhere else, at three temperatures."""
    generator = torch.Generator().manual_seed(0)
    heap = torch.tensor([0.3, -0.2, 0.9]) + 0.1 * torch.randn(7, 3, generator=generator)
    ends = torch.randn(3, 1, 7, 3, generator=generator)
    return F.normalize(torch.lerp(heap, ends, torch.linspace(0, 1, 5)[:, None, None]), dim=3)


def test_a_warning_names_the_line_that_gave_the_points(frames):
    with pytest.warns(UserWarning, match="frames is not made of unit vectors") as caught:
        sphere(frames * 1.01, LABELS, TAUS, STEPS)
    assert caught[0].filename == __file__


def test_a_film_in_which_nothing_moves_from_one_place():
    still = torch.tensor([0.0, 0.0, 1.0]).expand(1, 2, 4, 3)
    assert "tolerance, 0.8 to 1" in sphere(still, torch.tensor([0, 0, 1, 1]), [0.1]).html


@pytest.fixture(scope="module")
def html(frames):
    return sphere(frames, LABELS, TAUS, STEPS).html


def expected(frames):
    """Uniformity and tolerance of points [N, 3], from their coordinates in 16 bits."""
    z = F.normalize((frames.double() * 32767).round(), dim=-1)
    return metrics.uniformity(z), metrics.tolerance(z, LABELS)


def test_the_page_holds_the_points(frames, html):
    data = b64decode(re.search(r'data-frames="([^"]+)"', html)[1])
    held = torch.from_numpy(np.frombuffer(data, "<i2").astype("f8")).view(frames.shape)
    torch.testing.assert_close(F.normalize(held, dim=3), frames.double(), atol=3e-5, rtol=0)
    assert json.loads(re.search(r'data-labels="([^"]+)"', html)[1]) == LABELS.tolist()
    # Sixteen bits are enough: the numbers are those of the exact points.
    for way in frames:
        exact = metrics.uniformity(way[-1]), metrics.tolerance(way[-1], LABELS)
        assert expected(way[-1]) == pytest.approx(exact, abs=1e-4)


def test_stills_are_the_first_and_the_last_frames(frames, html):
    captions = re.findall(r"<figcaption>([^<]+)", html)
    assert len(captions) == 6
    for caption, (moment, k) in zip(captions, [(m, k) for m in (0, -1) for k in range(3)], strict=True):
        u, t = expected(frames[k, moment])
        assert caption == f"τ = {TAUS[k]:g}, step {STEPS[moment]}: uniformity {u:.2f}, tolerance {t:.2f}"
        assert f'aria-label="{caption}"' in html


def test_fragment_asks_for_nothing(frames, html):
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|import |innerHTML|type=.module", html)
    assert "$" not in html  # no blank left, and nothing for MathJax
    assert "\\(" not in html
    assert len(html) < 40_000
    shown = sphere(frames, LABELS, TAUS, STEPS)
    assert shown.html == html
    assert repr(shown).startswith("7 points on the sphere; uniformity and tolerance after step 16: ")
    assert sphere(frames, LABELS, TAUS).html != html  # another id, too


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"frames": [[1.0]]}, TypeError, "frames is a list"),
        ({"frames": torch.zeros(3, 7, 3)}, ValueError, r"frames has shape \[3, 7, 3\]"),
        ({"frames": torch.ones(3, 5, 7, 4)}, ValueError, "the last dimension is 3"),
        ({"frames": torch.full((3, 5, 7, 3), torch.nan)}, ValueError, "frames"),
        ({"labels": LABELS[:5]}, ValueError, "labels"),
        ({"labels": LABELS.float()}, TypeError, "labels"),
        ({"labels": torch.arange(7)}, ValueError, "labels has 7 classes; there are 6 colours"),
        ({"taus": [0.1, 0.2]}, ValueError, "give one temperature for each"),
        ({"taus": [0.1, 0.2, 0.0]}, ValueError, "tau is 0.0"),
        ({"steps": [0, 1]}, ValueError, "give one step for each"),
        ({"steps": [0, 1, 2, 3, 4.5]}, TypeError, "a step is 4.5"),
    ],
)
def test_wrong_arguments(frames, change, error, says):
    right = {"frames": frames, "labels": LABELS, "taus": TAUS, "steps": STEPS}
    with pytest.raises(error, match=says):
        sphere(**{**right, **change})


def test_no_two_points_of_a_class(frames):
    with pytest.raises(ValueError, match="no same-class pair"):
        sphere(frames[:, :, :3], torch.arange(3), TAUS)


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium on the path: the sphere is not tried in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(chromium, html, width=800, theme="light", **context):
    """The fragment alone on a page; any error of its script, and any request, fails the test that looks."""
    page = chromium.new_context(viewport={"width": width, "height": 900}, **context).new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("request", lambda request: request.url.startswith("data:") or page.troubles.append(request.url))
    page.set_content(
        f'<!doctype html><html data-theme="{theme}"><meta charset="utf-8"><body style="margin: 0">'
        f'<div style="width: {width}px">{html}</div>'
    )
    return page


def quantity(page, name):
    return float(page.locator(f'[data-quantity="{name}"]').get_attribute("data-value"))


def check(page, points, step):
    """What the page says of these points is what the library says."""
    u, t = expected(points)
    assert quantity(page, "step") == step
    assert quantity(page, "uniformity") == pytest.approx(u, rel=1e-9)
    assert quantity(page, "tolerance") == pytest.approx(t, rel=1e-9)
    assert page.locator('[data-quantity="uniformity"]').inner_text() == f"{u:.2f}"
    assert page.locator('[data-quantity="tolerance"]').inner_text() == f"{t:.2f}"


def test_by_keyboard(frames, html, chromium):
    page = open_page(chromium, html)
    check(page, frames[0, 0], 0)
    page.keyboard.press("Tab")  # the temperatures
    for k in (1, 2, 0):
        page.keyboard.press("ArrowRight")
        check(page, frames[k, 0], 0)
    page.keyboard.press("Tab")  # the sphere
    places = page.locator(".globe g").inner_html()
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
        before, places = places, page.locator(".globe g").inner_html()
        assert places != before
        check(page, frames[0, 0], 0)  # turning changes no number
    for key, moment in (("Tab", 0), ("Enter", 0), ("Tab", 0), ("Tab", 0), ("Enter", 1), ("Enter", 2)):
        page.keyboard.press(key)  # back, which cannot go further; Play, passed over; on
        check(page, frames[0, moment], STEPS[moment])
    page.keyboard.press("Tab")  # the slider
    for key, moment in (("End", 4), ("ArrowLeft", 3), ("Home", 0)):
        page.keyboard.press(key)
        check(page, frames[0, moment], STEPS[moment])
        slider = page.get_by_role("slider", name="training step")
        assert slider.get_attribute("aria-valuetext") == f"step {STEPS[moment]}"
        assert f"step {STEPS[moment]}:" in page.locator(".says").inner_text()
    assert page.get_by_role("application", name="sphere with 7 points").count() == 1
    assert page.troubles == []


def test_focus_can_be_seen(html, chromium):
    page = open_page(chromium, html)
    for _ in range(6):
        looks = page.screenshot()
        page.keyboard.press("Tab")
        assert page.screenshot() != looks


def test_play_pause_and_play_again(frames, html, chromium):
    page = open_page(chromium, html)
    page.wait_for_timeout(300)
    check(page, frames[0, 0], 0)  # nothing moves by itself
    play = page.locator("[data-do=play]")
    play.click()
    assert play.inner_text() == "Pause"
    page.wait_for_function("document.querySelector('[data-do=play]').textContent === 'Play'")  # it stops at the end
    check(page, frames[0, 4], 16)
    two_frames = "await new Promise(requestAnimationFrame); " * 2
    play.evaluate(f"async (button) => {{ button.click(); {two_frames} button.click(); }}")  # soon, even if slow
    assert play.inner_text() == "Play"
    stopped = quantity(page, "step")
    assert stopped < 16  # from the beginning again, and paused
    page.wait_for_timeout(300)
    check(page, frames[0, STEPS.index(stopped)], stopped)
    assert page.troubles == []


def places_seen(page, milliseconds):
    """How many different pictures the first point makes, looked at once a frame."""
    page.evaluate("""() => {
        window.seen = new Set();
        const look = () => {
            const mark = document.querySelector(".globe text");
            window.seen.add(mark.getAttribute("x") + " " + mark.getAttribute("y"));
            requestAnimationFrame(look);
        };
        look();
    }""")
    page.locator("[data-do=play]").click()
    page.wait_for_timeout(milliseconds)
    return page.evaluate("window.seen.size")


def test_less_motion_means_stills(html, chromium):
    assert places_seen(open_page(chromium, html), 900) > 6
    page = open_page(chromium, html, reduced_motion="reduce")
    assert places_seen(page, 1300) <= 3
    assert page.troubles == []


def test_drag_turns_the_sphere(frames, html, chromium):
    page = open_page(chromium, html)
    before, box = page.locator(".globe g").inner_html(), page.locator(".globe").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 120, steps=4)
    page.mouse.up()
    turned = page.locator(".globe g").inner_html()
    assert turned != before
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    assert page.locator(".globe g").inner_html() == turned  # it was let go
    check(page, frames[0, 0], 0)


def test_script_draws_what_python_drew(frames, html, chromium):
    """The first picture of the film is the first still, which is all a page without scripts shows."""
    page = open_page(chromium, html, java_script_enabled=False)
    assert page.locator("figcaption").nth(5).is_visible()
    assert not page.locator(".globe").is_visible()
    assert not page.locator("[data-do=play]").is_visible()
    assert "needs scripts" in page.locator("noscript").inner_text()
    still = page.locator(".still svg").first.locator("text").all()
    drawn = [[float(m.get_attribute(a)) for a in ("x", "y", "opacity")] for m in still]
    page = open_page(chromium, html)
    assert not page.locator(".still").is_visible()
    assert page.locator(".globe").is_visible()
    marks = page.locator(".globe text").all()
    assert [m.text_content() for m in marks] == [str(label) for label in LABELS.tolist()]
    moving = [[float(m.get_attribute(a)) for a in ("x", "y", "opacity")] for m in marks]
    assert torch.tensor(drawn).sub(torch.tensor(moving)).abs().max() <= 0.11
    assert page.troubles == []


def test_two_spheres_on_a_page(frames, html, chromium):
    page = open_page(chromium, html + html + sphere(frames.flip(0), LABELS, TAUS[::-1]).html)
    page.locator(".sphere").nth(1).locator("input[type=radio]").nth(2).check()
    chosen = [[r.is_checked() for r in s.locator("input[type=radio]").all()] for s in page.locator(".sphere").all()]
    assert chosen == [[True, False, False], [False, False, True], [True, False, False]]
    assert page.troubles == []


def test_points_that_meet_their_opposite(chromium):
    """Half way between opposite points there is no direction: still no NaN."""
    ends = torch.tensor([[[1.0, 0, 0], [1, 0, 0]], [[-1, 0, 0], [0, 0, 1]]])[None]
    page = open_page(chromium, sphere(ends, torch.tensor([0, 0]), [0.1]).html)
    page.locator("[data-do=play]").click()
    page.wait_for_timeout(400)
    assert "NaN" not in page.content()
    assert page.troubles == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scripts", [True, False])
def test_themes(html, chromium, theme, scripts):
    """Every class has a colour of its own, which stands out from the theme's ground (WCAG: 4.5 to 1 for text)."""
    page = open_page(chromium, html, theme=theme, java_script_enabled=scripts)
    where = ".globe" if scripts else ".still figure:first-child"
    colours = {page.locator(f"{where} .k{k}").first.evaluate("(n) => getComputedStyle(n).fill") for k in range(3)}
    assert len(colours) == 3

    def light(channels):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in channels)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = light((255, 255, 255) if theme == "light" else (20, 24, 30))
    for colour in colours:
        ink = light(map(int, re.findall(r"\d+", colour)))
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) > 4.5, colour


@pytest.mark.parametrize("width", [340, 390, 800])
@pytest.mark.parametrize("scripts", [True, False])
def test_no_horizontal_scroll(html, chromium, width, scripts):
    page = open_page(chromium, html, width=width, java_script_enabled=scripts)
    # Without scripts the page cannot be asked: what sticks out would make the picture of the whole page wider.
    wide = int.from_bytes(page.screenshot(full_page=True)[16:20])
    assert wide == width


# ---------------------------------------------------------------- gradients under the reader's hand


@pytest.fixture(scope="module")
def points():
    """Anchor, positive, and six negatives."""
    return F.normalize(torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


@pytest.fixture(scope="module")
def gradient_html(points):
    return gradient_sphere(points[0], points[1], points[2:], 0.2, k=2).html


def expected_rows(anchor, points, tau, k=2):
    """Similarity and shares of the push of each negative; last the positive's similarity and the three forces."""
    f, positive, negatives = anchor[None], points[1:2], points[2:]
    s_pos, s_neg = (f * positive).sum(dim=1), f @ negatives.T
    leaf = f.clone().requires_grad_()
    pos, neg = (leaf * positive).sum(dim=1), leaf @ negatives.T
    loss = [
        tau * losses.contrastive(pos, neg, tau),
        tau * losses.hard_contrastive(pos, neg, tau, k=k),
        losses.simple(pos, neg),
    ]
    slopes = [torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0] for value in loss]
    forces = [gradients.project_to_tangent(slope, f).norm().item() for slope in slopes]
    shares = [gradients.relative_penalty(s_neg, tau), gradients.relative_penalty(s_neg, tau, k=k)]
    rows = [[s.item(), r.item(), h.item(), 1 / 6] for s, r, h in zip(s_neg[0], shares[0][0], shares[1][0], strict=True)]
    return torch.tensor([*rows, [s_pos.item(), *forces]])


def rows_shown(page):
    rows = page.locator("tbody tr").all()
    cells = [[float(cell.get_attribute("data-value")) for cell in row.locator("td").all()] for row in rows]
    return torch.tensor(cells)


def anchor_of(page, points):
    """Where the anchor is, from its similarities to the keys."""
    s = torch.cat([rows_shown(page)[-1:, 0], rows_shown(page)[:-1, 0]]).double()
    return torch.linalg.lstsq(points[1:], s[:, None]).solution[:, 0]


def test_forces_and_shares_are_the_librarys(points, gradient_html, chromium):
    page = open_page(chromium, gradient_html, java_script_enabled=False)
    drawn = rows_shown(page)
    torch.testing.assert_close(drawn, expected_rows(points[0], points, 0.2), atol=5e-5, rtol=0)
    assert page.locator("input").is_disabled()
    places = [m.get_attribute("x") for m in page.locator(".globe text").all()]
    tips = [re.findall(r"-?[\d.]+", a.get_attribute("d"))[:4] for a in page.locator(".arrow").all()]
    says = page.locator(".says").inner_text()
    page = open_page(chromium, gradient_html)
    torch.testing.assert_close(rows_shown(page), drawn, atol=1e-6, rtol=0)
    assert page.locator(".says").inner_text() == says
    for ours, theirs in zip(places, [m.get_attribute("x") for m in page.locator(".globe text").all()], strict=True):
        assert float(ours) == pytest.approx(float(theirs), abs=0.11)
    for tip, arrow in zip(tips, page.locator(".arrow").all(), strict=True):
        moved = re.findall(r"-?[\d.]+", arrow.get_attribute("d"))[:4]
        assert list(map(float, tip)) == pytest.approx(list(map(float, moved)), abs=0.11)
    assert page.troubles == []


def test_anchor_moves_by_keyboard(points, gradient_html, chromium):
    page = open_page(chromium, gradient_html)
    page.keyboard.press("Tab")
    assert page.get_by_role("application").evaluate("node => node === document.activeElement")
    before = points[0]
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
        anchor = anchor_of(page, points)
        assert 0.02 < (anchor - before).norm() < 0.2
        assert anchor.norm() == pytest.approx(1, abs=1e-4)
        torch.testing.assert_close(rows_shown(page), expected_rows(anchor, points, 0.2), atol=2e-4, rtol=0)
        before = anchor
    marks = page.locator(".globe g").inner_html()
    page.keyboard.press("Shift+ArrowRight")
    assert page.locator(".globe g").inner_html() != marks  # the sphere turns, the anchor stays on it
    torch.testing.assert_close(anchor_of(page, points), before, atol=1e-5, rtol=0)
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert page.locator("input").get_attribute("aria-valuetext") == "tau = 0.05"
    torch.testing.assert_close(rows_shown(page), expected_rows(before, points, 0.05), atol=2e-3, rtol=0)
    assert page.troubles == []


def test_anchor_moves_by_drag(points, gradient_html, chromium):
    page = open_page(chromium, gradient_html)
    box = page.locator(".globe .anchor").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y - 20, steps=3)
    page.mouse.up()
    box = page.locator(".globe .anchor").bounding_box()
    assert (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) == pytest.approx((x + 30, y - 20), abs=1)
    anchor = anchor_of(page, points)
    torch.testing.assert_close(rows_shown(page), expected_rows(anchor, points, 0.2), atol=2e-4, rtol=0)
    marks = page.locator(".globe g").inner_html()
    globe = page.locator(".globe").bounding_box()
    page.mouse.move(globe["x"] + 20, globe["y"] + 20)
    page.mouse.down()
    page.mouse.move(globe["x"] + 60, globe["y"] + 20, steps=3)
    page.mouse.up()
    assert page.locator(".globe g").inner_html() != marks
    torch.testing.assert_close(anchor_of(page, points), anchor, atol=1e-5, rtol=0)
    assert page.troubles == []


def test_gradient_fragment_asks_for_nothing(points, gradient_html):
    assert not re.search(r"https?://|fetch\(|import |innerHTML|type=.module", gradient_html)
    assert "$" not in gradient_html
    assert len(gradient_html) < 20_000
    shown = gradient_sphere(points[0], points[1], points[2:], 0.2, k=2)
    assert shown.html == gradient_html
    assert repr(shown).startswith("At τ = 0.2, positive at similarity ")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"anchor": torch.zeros(2)}, ValueError, r"anchor has shape \[2\]"),
        ({"positive": [1.0, 0, 0]}, TypeError, "positive is a list"),
        ({"negatives": torch.zeros(4, 2)}, ValueError, "the last dimension is 3"),
        ({"negatives": F.normalize(torch.ones(10, 3))}, ValueError, "number of negatives is 10"),
        ({"k": 7}, ValueError, "k is 7"),
        ({"tau": 0.123}, ValueError, "the slider stops at 0.05"),
    ],
)
def test_wrong_arguments_of_the_gradients(points, change, error, says):
    right = {"anchor": points[0], "positive": points[1], "negatives": points[2:], "k": 2}
    with pytest.raises(error, match=says):
        gradient_sphere(**{**right, **change})


@pytest.mark.parametrize("width", [340, 390, 800])
def test_gradients_fit_a_phone(gradient_html, chromium, width):
    for theme in ("light", "dark"):
        page = open_page(chromium, gradient_html, width=width, theme=theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert len({a.evaluate("(n) => getComputedStyle(n).stroke") for a in page.locator(".arrow").all()}) == 3


def test_gradients_fit_a_phone_in_the_books_own_styles(gradient_html, chromium):
    css = (Path(__file__).parent.parent / "_static" / "book.css").read_text(encoding="utf-8")
    css += "div { font-family: sans-serif }"
    page = open_page(chromium, f'<style>{css}</style><div class="cell_output">{gradient_html}</div>', width=300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 300
