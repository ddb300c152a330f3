"""The two spheres: their numbers against the library, in Python and in a browser, with and without
scripts.
"""

import json
import re
from base64 import b64decode
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import GROUNDS, centre, channels, contrast, drag, open_page, page_width, swipe

from contrastlib import gradients, losses, metrics
from contrastlib.data import load
from contrastlib.teaching.embeddings import embed, embed_views
from contrastlib.teaching.encoders import pretrained
from contrastlib.teaching.widgets import encoder_similarities
from contrastlib.teaching.widgets.spheres import (
    Scene,
    encoders_gradient_sphere,
    gradient_sphere,
    gradient_sphere_for,
    training_film,
)

TAUS = [0.07, 0.25, 1.0]
STEPS = [0, 4, 8, 12, 16]
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
        training_film(frames * 1.01, LABELS, TAUS, STEPS)
    assert caught[0].filename == __file__


def test_a_film_in_which_nothing_moves_from_one_place():
    still = torch.tensor([0.0, 0.0, 1.0]).expand(1, 2, 4, 3)
    assert "tolerance, 0.8 to 1" in training_film(still, torch.tensor([0, 0, 1, 1]), [0.1]).html


@pytest.fixture(scope="module")
def html(frames):
    return training_film(frames, LABELS, TAUS, STEPS).html


def expected(frames):
    """Uniformity and tolerance of points [N, 3], from their coordinates in 16 bits."""
    z = F.normalize((frames.double() * 32767).round(), dim=-1)
    return metrics.uniformity(z), metrics.tolerance(z, LABELS)


def test_the_page_holds_the_points(frames, html):
    data = b64decode(re.search(r'data-frames="([^"]+)"', html)[1])
    held = torch.from_numpy(np.frombuffer(data, "<i2").astype("f8")).view(frames.shape)
    torch.testing.assert_close(F.normalize(held, dim=3), frames.double(), atol=3e-5, rtol=0)
    assert json.loads(re.search(r"data-labels='([^']+)'", html)[1]) == LABELS.tolist()
    # Sixteen bits are enough: the numbers are those of the exact points.
    for way in frames:
        exact = metrics.uniformity(way[-1]), metrics.tolerance(way[-1], LABELS)
        assert expected(way[-1]) == pytest.approx(exact, abs=1e-4)


def test_stills_are_the_first_and_the_last_frames(frames, html):
    captions = re.findall(r"<figcaption>([^<]+)", html)
    assert len(captions) == 6
    for caption, (moment, k) in zip(
        captions, [(m, k) for m in (0, -1) for k in range(3)], strict=True
    ):
        u, t = expected(frames[k, moment])
        assert (
            caption
            == f"τ = {TAUS[k]:g}, step {STEPS[moment]}: uniformity {u:.2f}, tolerance {t:.2f}"
        )
        assert f'aria-label="{caption}"' in html


def test_fragment_asks_for_nothing(frames, html):
    assert not re.search(
        r"https?://(?!www\.w3\.org/2000/svg)|fetch\(|import |innerHTML|type=.module", html
    )
    assert "$" not in html  # nothing for MathJax
    assert "{{" not in html  # no placeholder left
    assert "\\(" not in html
    assert len(html) < 32_000
    shown = training_film(frames, LABELS, TAUS, STEPS)
    assert shown.html == html
    assert repr(shown).startswith(
        "7 points on the sphere; uniformity and tolerance after step 16: "
    )
    assert training_film(frames, LABELS, TAUS).html != html  # another id, too


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
        training_film(**{**right, **change})


def test_no_two_points_of_a_class(frames):
    with pytest.raises(ValueError, match="no same-class pair"):
        training_film(frames[:, :, :3], torch.arange(3), TAUS)


def check(page, frames, moment):
    """What the page says of a moment of all films is what the library says."""
    assert page.locator('[data-quantity="step"]').inner_text() == str(STEPS[moment])
    spheres = page.locator(".live figure[data-k]").all()
    for points, sphere in zip(frames[:, moment], spheres, strict=True):
        for name, value in zip(("uniformity", "tolerance"), expected(points), strict=True):
            node = sphere.locator(f'[data-quantity="{name}"]')
            assert float(node.get_attribute("data-value")) == pytest.approx(value, rel=1e-9)
            assert node.inner_text() == f"{value:.2f}"


def drawn_points(page):
    return [group.inner_html() for group in page.locator(".globe g").all()]


def test_it_opens_on_the_end_frame_and_nothing_moves_by_itself(frames, html, chromium):
    page = open_page(chromium, html)
    check(page, frames, 4)
    two_pictures = """async () => {
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
    }"""
    before = drawn_points(page)
    page.evaluate(two_pictures)
    assert drawn_points(page) == before
    assert len(before) == 3
    says = page.locator(".says").inner_text()
    for tau, points in zip(TAUS, frames[:, -1], strict=True):
        u, t = expected(points)
        assert f"{u:.2f} and {t:.2f} at τ = {tau:g}" in says
    assert page.troubles == []


def test_by_keyboard(frames, html, chromium):
    page = open_page(chromium, html)
    page.keyboard.press("Tab")  # the spheres, which turn together
    places = drawn_points(page)
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
        before = places
        places = drawn_points(page)
        assert all(now != then for now, then in zip(places, before, strict=True))
        check(page, frames, 4)  # turning changes no number
    for key, moment in (
        ("Tab", 4),
        ("Tab", 4),
        ("Enter", 3),
        ("Enter", 2),
        ("Tab", 2),
        ("Enter", 3),
    ):
        page.keyboard.press(key)  # past Play; back, twice; on
        check(page, frames, moment)
    page.keyboard.press("Tab")  # the slider
    for key, moment in (("End", 4), ("ArrowLeft", 3), ("Home", 0)):
        page.keyboard.press(key)
        check(page, frames, moment)
        slider = page.get_by_role("slider", name="training step")
        assert slider.get_attribute("aria-valuetext") == f"step {STEPS[moment]}"
        assert page.locator(".says").inner_text().startswith(f"Step {STEPS[moment]}:")
    assert page.get_by_role("application", name="sphere with 7 points at tau = 0.07").count() == 1
    assert page.troubles == []


def test_focus_can_be_seen(html, chromium):
    page = open_page(chromium, html)
    for _ in range(5):
        looks = page.screenshot()
        page.keyboard.press("Tab")
        assert page.screenshot() != looks


# A clock that the test turns: 20 pictures a second, each drawn when it is asked for.
CLOCK = """() => {
    let now = 0, waiting = [];
    performance.now = () => now;
    window.requestAnimationFrame = (callback) => { waiting.push(callback); return waiting.length; };
    window.cancelAnimationFrame = () => { waiting = []; };
    window.pictures = (count) => {
        const seen = new Set();
        for (let k = 0; k < count; k++) {
            now += 50;
            const due = waiting;
            waiting = [];
            for (const callback of due) callback(now);
            const mark = document.querySelector(".globe text");
            seen.add(mark.getAttribute("x") + " " + mark.getAttribute("y"));
        }
        return seen.size;
    };
}"""


def test_play_pause_and_play_again(frames, html, chromium):
    page = open_page(chromium, html)
    page.evaluate(CLOCK)
    play = page.locator("[data-do=play]")
    play.click()
    assert play.inner_text() == "Pause"
    page.evaluate("pictures(20)")
    assert play.inner_text() == "Play"  # it stops at the end
    check(page, frames, 4)
    play.click()
    page.evaluate("pictures(5)")  # a quarter of a second: two moments
    play.click()
    assert play.inner_text() == "Play"
    check(page, frames, 2)  # from the beginning again, and paused
    before = drawn_points(page)
    page.evaluate("pictures(5)")
    assert drawn_points(page) == before
    assert page.troubles == []


@pytest.mark.parametrize(("motion", "least", "most"), [("no-preference", 9, 12), ("reduce", 4, 5)])
def test_less_motion_means_stills(html, chromium, motion, least, most):
    """A film of five moments lasts half a second at eight a second: ten pictures; or five stills in
    five seconds.
    """
    page = open_page(chromium, html, reduced_motion=motion)
    page.evaluate(CLOCK)
    page.locator("[data-do=play]").click()
    assert least <= page.evaluate("pictures(110)") <= most
    assert page.locator("[data-do=play]").inner_text() == "Play"
    assert page.troubles == []


def test_drag_turns_all_spheres(frames, html, chromium):
    page = open_page(chromium, html)
    before = drawn_points(page)
    x, y = centre(page.locator(".globe").nth(1))
    drag(page, (x - 30, y), (x + 30, y + 20))
    turned = drawn_points(page)
    assert all(now != then for now, then in zip(turned, before, strict=True))
    page.mouse.move(x, y)
    assert drawn_points(page) == turned  # it was let go
    check(page, frames, 4)


def tall(html):
    """The widget on a page that is long enough to be scrolled."""
    return f'<div style="height: 300px"></div>{html}<div style="height: 1500px"></div>'


def selected_text(page):
    return page.evaluate("getSelection().toString()")


@pytest.mark.parametrize("widget", ["film", "gradients"])
def test_a_swipe_scrolls_the_page_and_a_drag_turns_the_sphere(request, chromium, widget):
    html = request.getfixturevalue("html" if widget == "film" else "gradient_html")
    page = open_page(chromium, tall(html), width=390, has_touch=True, is_mobile=True)
    globe = page.locator(".globe").first
    x, y = centre(globe)
    before = drawn_points(page)
    swipe(page, (x - 40, y + 40), (x - 40, y - 160))
    assert page.evaluate("scrollY") > 50
    assert drawn_points(page) == before
    page.evaluate("scrollTo(0, 0)")
    x, y = centre(globe)
    swipe(page, (x - 50, y + 40), (x + 50, y + 40))
    assert page.evaluate("scrollY") == 0
    assert drawn_points(page) != before
    assert page.troubles == []


@pytest.mark.parametrize("widget", ["film", "gradients"])
def test_dragging_selects_no_text(request, chromium, widget):
    html = request.getfixturevalue("html" if widget == "film" else "gradient_html")
    page = open_page(chromium, f"<p>Text above.</p>{html}<p>Text below.</p>")
    box = page.locator(".globe").first.bounding_box()
    drag(
        page,
        (box["x"] + 20, box["y"] + 20),
        (box["x"] + box["width"] - 10, box["y"] + box["height"] - 10),
    )
    assert selected_text(page) == ""


def drawn_marks(texts):
    numbers = []
    for mark in texts:
        numbers.append([float(mark.get_attribute(name)) for name in ("x", "y", "opacity")])
    return torch.tensor(numbers)


def test_script_draws_what_python_drew(html, chromium):
    """The end of each film is its second still; without scripts the stills are all that a page
    shows.
    """
    page = open_page(chromium, html, java_script_enabled=False)
    assert page.locator(".still figcaption").nth(5).is_visible()
    assert not page.locator(".globe").first.is_visible()
    assert not page.locator("[data-do=play]").is_visible()
    assert "needs scripts" in page.locator("noscript").inner_text()
    stills = [drawn_marks(svg.locator("text").all()) for svg in page.locator(".still svg").all()]
    page = open_page(chromium, html)
    assert not page.locator(".still").is_visible()
    for still, globe in zip(stills[3:], page.locator(".globe").all(), strict=True):
        marks = globe.locator("text").all()
        assert [mark.text_content() for mark in marks] == [str(label) for label in LABELS.tolist()]
        assert (still - drawn_marks(marks)).abs().max() <= 0.11
    page.locator("input[type=range]").press("Home")
    for still, globe in zip(stills[:3], page.locator(".globe").all(), strict=True):
        assert (still - drawn_marks(globe.locator("text").all())).abs().max() <= 0.11
    assert page.troubles == []


def test_two_films_on_a_page(frames, html, chromium):
    page = open_page(chromium, html + html + training_film(frames.flip(0), LABELS, TAUS[::-1]).html)
    page.locator(".widget").nth(1).locator("input").press("Home")
    steps = [
        widget.locator('[data-quantity="step"]').inner_text()
        for widget in page.locator(".widget").all()
    ]
    assert steps == ["16", "0", "4"]
    assert page.troubles == []


def test_points_that_meet_their_opposite(chromium):
    """Half way between opposite points there is no direction: still no NaN."""
    ends = torch.tensor([[[1.0, 0, 0], [1, 0, 0]], [[-1, 0, 0], [0, 0, 1]]])[None]
    page = open_page(chromium, training_film(ends, torch.tensor([0, 0]), [0.1]).html)
    page.evaluate(CLOCK)
    page.locator("[data-do=play]").click()
    for _ in range(4):
        page.evaluate("pictures(1)")
        assert "NaN" not in page.content()
    assert page.troubles == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scripts", [True, False])
def test_themes(html, chromium, theme, scripts):
    """Every class has a colour of its own, which stands out from the theme's ground (WCAG: 4.5 to 1
    for text).
    """
    page = open_page(chromium, html, theme=theme, java_script_enabled=scripts)
    where = ".live" if scripts else ".still figure:first-child"
    colours = {
        page.locator(f"{where} .k{k}").first.evaluate("(n) => getComputedStyle(n).fill")
        for k in range(3)
    }
    assert len(colours) == 3

    for colour in colours:
        assert contrast(channels(colour), GROUNDS[theme]) > 4.5, colour


@pytest.mark.parametrize("width", [340, 390, 800])
@pytest.mark.parametrize("scripts", [True, False])
def test_no_horizontal_scroll(html, chromium, width, scripts):
    page = open_page(chromium, html, width=width, java_script_enabled=scripts)
    assert page_width(page) == width


# ---------------------------------------------------------------- gradients under the reader's hand


@pytest.fixture(scope="module")
def points():
    """Anchor, positive, and six negatives."""
    return F.normalize(
        torch.randn(8, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )


@pytest.fixture(scope="module")
def gradient_html(points):
    return gradient_sphere(points[0], points[1], points[2:], 0.2, k=2).html


def expected_rows(anchor, points, tau, k=2):
    """Similarity and shares of the push of each negative; last the positive's similarity and the
    three forces.
    """
    f = anchor[None]
    positive = points[1:2]
    negatives = points[2:]
    s_pos = (f * positive).sum(dim=1)
    s_neg = f @ negatives.T
    leaf = f.clone().requires_grad_()
    pos = (leaf * positive).sum(dim=1)
    neg = leaf @ negatives.T
    loss = [
        tau * losses.contrastive(pos, neg, tau),
        tau * losses.hard_contrastive(pos, neg, tau, k=k),
        losses.simple(pos, neg),
    ]
    slopes = [torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0] for value in loss]
    forces = [gradients.project_to_tangent(slope, f).norm().item() for slope in slopes]
    shares = [gradients.relative_penalty(s_neg, tau), gradients.relative_penalty(s_neg, tau, k=k)]
    rows = [
        [s.item(), r.item(), h.item(), 1 / 6]
        for s, r, h in zip(s_neg[0], shares[0][0], shares[1][0], strict=True)
    ]
    return torch.tensor([*rows, [s_pos.item(), *forces]])


def rows_shown(page):
    numbers = []
    for row in page.locator("tbody tr").all():
        cells = row.locator("td").all()
        numbers.append([float(cell.get_attribute("data-value")) for cell in cells])
    return torch.tensor(numbers)


def anchor_of(page, points):
    """Where the anchor is, from its similarities to the keys."""
    s = torch.cat([rows_shown(page)[-1:, 0], rows_shown(page)[:-1, 0]]).double()
    return torch.linalg.lstsq(points[1:], s[:, None]).solution[:, 0]


def path_numbers(page, selector):
    """The numbers of each path, in order."""
    paths = page.locator(selector).all()
    return [list(map(float, re.findall(r"-?[\d.]+", path.get_attribute("d")))) for path in paths]


def test_the_still_figure_has_its_circles_and_arrowheads(gradient_html, chromium):
    """So that the book on paper has them, too: Python draws what the script draws."""
    still, moving = (
        open_page(chromium, gradient_html, java_script_enabled=scripts) for scripts in (False, True)
    )
    for selector in (".front", ".behind", "path.arrow"):
        drawn = path_numbers(still, selector)
        assert drawn[0]
        for ours, theirs in zip(drawn, path_numbers(moving, selector), strict=True):
            assert ours == pytest.approx(theirs, abs=0.11)


def test_forces_and_shares_are_the_librarys(points, gradient_html, chromium):
    page = open_page(chromium, gradient_html, java_script_enabled=False)
    drawn = rows_shown(page)
    torch.testing.assert_close(drawn, expected_rows(points[0], points, 0.2), atol=5e-5, rtol=0)
    assert page.locator("input[type=range]").is_disabled()
    places = [m.get_attribute("x") for m in page.locator(".globe text").all()]
    tips = [
        re.findall(r"-?[\d.]+", a.get_attribute("d"))[:4] for a in page.locator("path.arrow").all()
    ]
    says = page.locator(".says").inner_text()
    page = open_page(chromium, gradient_html)
    torch.testing.assert_close(rows_shown(page), drawn, atol=1e-6, rtol=0)
    assert page.locator(".says").inner_text() == says
    for ours, theirs in zip(
        places, [m.get_attribute("x") for m in page.locator(".globe text").all()], strict=True
    ):
        assert float(ours) == pytest.approx(float(theirs), abs=0.11)
    for tip, arrow in zip(tips, page.locator("path.arrow").all(), strict=True):
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
        torch.testing.assert_close(
            rows_shown(page), expected_rows(anchor, points, 0.2), atol=2e-4, rtol=0
        )
        before = anchor
    marks = page.locator(".globe g").inner_html()
    page.keyboard.press("Shift+ArrowRight")
    assert (
        page.locator(".globe g").inner_html() != marks
    )  # the sphere turns, the anchor stays on it
    torch.testing.assert_close(anchor_of(page, points), before, atol=1e-5, rtol=0)
    page.locator("input[type=range]").press("Home")
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") == "tau = 0.05"
    torch.testing.assert_close(
        rows_shown(page), expected_rows(before, points, 0.05), atol=2e-3, rtol=0
    )
    assert page.troubles == []


def test_anchor_moves_by_drag(points, gradient_html, chromium):
    page = open_page(chromium, gradient_html)
    x, y = centre(page.locator(".globe .anchor"))
    drag(page, (x, y), (x + 30, y - 20))
    assert centre(page.locator(".globe .anchor")) == pytest.approx((x + 30, y - 20), abs=1)
    anchor = anchor_of(page, points)
    torch.testing.assert_close(
        rows_shown(page), expected_rows(anchor, points, 0.2), atol=2e-4, rtol=0
    )
    marks = page.locator(".globe g").inner_html()
    globe = page.locator(".globe").bounding_box()
    drag(page, (globe["x"] + 20, globe["y"] + 20), (globe["x"] + 60, globe["y"] + 20))
    assert page.locator(".globe g").inner_html() != marks
    torch.testing.assert_close(anchor_of(page, points), anchor, atol=1e-5, rtol=0)
    assert page.troubles == []


def test_a_finger_moves_the_anchor_up_and_down_too(points, gradient_html, chromium):
    page = open_page(chromium, tall(gradient_html), width=390, has_touch=True, is_mobile=True)
    x, y = centre(page.locator(".globe .anchor"))
    swipe(page, (x, y), (x, y - 60))
    assert page.evaluate("scrollY") == 0
    assert (anchor_of(page, points) - points[0]).norm() > 0.2


def test_a_button_for_each_task_and_one_back(points, gradient_html, chromium):
    page = open_page(chromium, gradient_html)
    start = rows_shown(page)
    places = page.locator(".globe g").inner_html()
    for name, point in (
        ("anchor on the positive", 1),
        ("anchor on negative 1", 2),
        ("anchor on negative 6", 7),
    ):
        page.get_by_role("button", name=name).click()
        torch.testing.assert_close(
            rows_shown(page), expected_rows(points[point], points, 0.2), atol=1e-4, rtol=0
        )
    for tau in (0.05, 2.0):
        page.get_by_role("button", name=f"τ = {tau:g}", exact=True).click()
        torch.testing.assert_close(
            rows_shown(page), expected_rows(points[7], points, tau), atol=2e-3, rtol=0
        )
    page.locator(".globe").press("Shift+ArrowLeft")
    page.get_by_role("button", name="Reset").click()
    assert torch.equal(rows_shown(page), start)
    assert page.locator(".globe g").inner_html() == places
    assert page.locator("input[type=range]").get_attribute("aria-valuetext") == "tau = 0.2"
    assert page.troubles == []


def ends_of(arrow):
    """Where an arrow begins and ends, in the picture."""
    return torch.tensor(
        [float(number) for number in re.findall(r"-?[\d.]+", arrow.get_attribute("d"))[:4]]
    ).view(2, 2)


@pytest.mark.parametrize(("number", "column"), [(0, 1), (1, 2), (2, 3)])
def test_each_push_is_an_arrow_as_wide_as_its_share(gradient_html, chromium, number, column):
    page = open_page(chromium, gradient_html)
    page.locator(".segments input").nth(number).check()
    shares = rows_shown(page)[:-1, column]
    pushes = page.locator("path.push").all()
    widths = torch.tensor(
        [float(push.evaluate("(node) => node.style.strokeWidth")) for push in pushes]
    )
    torch.testing.assert_close(widths, 1 + 8 * shares, atol=0.006, rtol=0)
    # The pushes and the pull add up to the loss's arrow.
    drawn = [ends_of(part) for part in (*pushes, page.locator("path.pull"))]
    whole = ends_of(page.locator("path.arrow").nth(number))
    total = sum(end - start for start, end in drawn)
    torch.testing.assert_close(total, whole[1] - whole[0], atol=0.8, rtol=0)
    assert page.troubles == []


def loss_at(anchor, points, tau, number):
    f = anchor[None]
    s_pos = (f * points[1]).sum(dim=1)
    s_neg = f @ points[2:].T
    values = losses.contrastive(s_pos, s_neg, tau), losses.hard_contrastive(s_pos, s_neg, tau, k=2)
    return (*values, losses.simple(s_pos, s_neg))[number].item()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_let_go_runs_downhill_and_leaves_a_trail(points, gradient_html, chromium, number, motion):
    page = open_page(chromium, gradient_html, reduced_motion=motion)
    page.evaluate(CLOCK)
    page.locator(".segments input").nth(number).check()
    values = [loss_at(anchor_of(page, points), points, 0.2, number)]
    page.get_by_role("button", name="Let go").click()
    if motion != "reduce":
        for _ in range(10):
            page.evaluate("pictures(100)")
            values.append(loss_at(anchor_of(page, points), points, 0.2, number))
        assert all(after < before + 1e-6 for before, after in pairwise(values))
    assert page.get_by_role("button", name="Let go").count() == 1  # it has come to rest
    if number != 1:  # the hard loss's set of hard negatives may change from step to step for ever
        assert rows_shown(page)[-1, number + 1] < 0.006
    assert len(re.findall("L", page.locator(".trail").get_attribute("d"))) > 5
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".trail").get_attribute("d") == ""
    torch.testing.assert_close(anchor_of(page, points), points[0], atol=1e-4, rtol=0)
    assert page.troubles == []


def test_the_table_is_whole_on_a_phone(gradient_html, chromium):
    css = (Path(__file__).parent.parent / "_static" / "book.css").read_text(encoding="utf-8")
    css += "body { font-family: sans-serif }"
    page = open_page(
        chromium, f'<style>{css}</style><div class="cell_output">{gradient_html}</div>', width=342
    )
    right = page.locator("tbody td:last-child").evaluate_all(
        "(cells) => cells.map((c) => c.getBoundingClientRect().right)"
    )
    assert max(right) <= 342


def test_gradient_fragment_asks_for_nothing(points, gradient_html):
    assert not re.search(r"https?://|fetch\(|import |innerHTML|type=.module", gradient_html)
    assert "$" not in gradient_html
    assert len(gradient_html) < 32_000
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
        assert (
            len(
                {
                    a.evaluate("(n) => getComputedStyle(n).stroke")
                    for a in page.locator("path.arrow").all()
                }
            )
            == 3
        )


def test_gradients_fit_a_phone_in_the_books_own_styles(gradient_html, chromium):
    css = (Path(__file__).parent.parent / "_static" / "book.css").read_text(encoding="utf-8")
    css += "div { font-family: sans-serif }"
    page = open_page(
        chromium, f'<style>{css}</style><div class="cell_output">{gradient_html}</div>', width=300
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 300


# ------------------------------------------------------------ clothes under trained encoders


@pytest.fixture(scope="module")
def encoders_html(points):
    return encoders_gradient_sphere(points[0], points[1], points[2:7], 0.2, k=2).html


def similarities_of(trained_at):
    """In the encoder's own 128 dimensions: the anchor's to its negatives, and to its positive."""
    anchor = encoder_similarities.ANCHOR_OF_SCENES
    others = list(encoder_similarities.NEGATIVES_OF_SCENES)
    images = load("fashion-mnist-part", "test").images
    encoder = pretrained("contrastive", trained_at)
    f = embed(encoder, images[anchor : anchor + 1])
    view = embed_views(encoder, images[anchor : anchor + 1])
    return torch.cat([embed(encoder, images[others]), view]) @ f[0]


@pytest.mark.parametrize(("place", "trained_at"), [(1, 0.07), (2, 0.2), (3, 1.0)])
def test_similarities_under_an_encoder_are_its_own(encoders_html, chromium, place, trained_at):
    page = open_page(chromium, encoders_html)
    before = rows_shown(page)
    select = page.get_by_role("combobox", name="Similarities from")
    select.select_option(index=place)
    drawn = rows_shown(page)
    want = similarities_of(trained_at)
    # The view is rounded to 256 levels of grey before it is embedded.
    torch.testing.assert_close(drawn[:-1, 0], want[:-1], atol=2e-4, rtol=0)
    assert drawn[-1, 0] == pytest.approx(want[-1].item(), abs=0.02)
    shares = gradients.relative_penalty(drawn[None, :-1, 0], 0.2)[0]
    torch.testing.assert_close(drawn[:-1, 1], shares, atol=1e-5, rtol=0)
    assert page.locator(".says").inner_text().startswith(f"Encoder trained at {trained_at:g}, at τ")
    pictures = page.locator(".pictures li")
    assert pictures.all_inner_texts() == ["anchor", "+", "1", "2", "3", "4", "5"]
    shows = [image.get_attribute("alt") for image in pictures.locator("img").all()]
    assert shows == ["boot", "a view of the boot", "boot", "sneaker", "boot", "pullover", "sneaker"]
    assert pictures.locator("img").evaluate_all("(all) => all.every((i) => i.naturalWidth === 28)")
    assert "128 dimensions do not fit" in page.locator(".note").inner_text()
    select.select_option(index=0)
    assert torch.equal(rows_shown(page), before)
    assert page.locator(".pictures").is_hidden()
    assert page.locator(".note").is_hidden()
    assert page.troubles == []


def test_a_scene_is_chosen_by_keyboard_and_moved_in(encoders_html, chromium):
    page = open_page(chromium, encoders_html)
    page.keyboard.press("Tab")
    select = page.get_by_role("combobox", name="Similarities from")
    assert select.evaluate("node => node === document.activeElement")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.locator(".says").inner_text().startswith("Encoder trained at 1, at τ = 0.2")
    start = rows_shown(page)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert not torch.equal(rows_shown(page), start)
    page.get_by_role("button", name="anchor on negative 4").click()
    assert rows_shown(page)[3, 0] == pytest.approx(1, abs=1e-6)
    page.get_by_role("button", name="Reset").click()  # to the start of this scene
    torch.testing.assert_close(rows_shown(page), start, atol=1e-6, rtol=0)
    page.get_by_role("button", name="Let go").click()
    select.select_option(index=1)  # nothing runs on in another scene
    assert page.get_by_role("button", name="Let go").count() == 1
    assert page.locator(".trail").get_attribute("d") == ""
    assert page.troubles == []


def test_without_scripts_it_is_the_figure_of_the_first_scene(points, encoders_html, chromium):
    page = open_page(chromium, encoders_html, java_script_enabled=False)
    assert page.locator("select").is_hidden()
    five = torch.cat([points[:2], points[2:7]])
    alone = open_page(
        chromium,
        gradient_sphere(five[0], five[1], five[2:], 0.2, k=2).html,
        java_script_enabled=False,
    )
    assert page.locator("table").inner_text() == alone.locator("table").inner_text()
    assert page.locator(".globe").inner_text() == alone.locator(".globe").inner_text()


def test_the_scenes_are_light_and_ask_for_nothing(points, encoders_html):
    alone = gradient_sphere(points[0], points[1], points[2:7], 0.2, k=2).html
    assert len(encoders_html) - len(alone) < 8_000
    assert not re.search(r"https?://|fetch\(|innerHTML|type=.module", encoders_html)


@pytest.mark.parametrize("width", [340, 800])
def test_the_pictures_fit_a_phone(encoders_html, chromium, width):
    page = open_page(chromium, encoders_html, width=width)
    page.locator("select").select_option(index=2)
    assert page_width(page) == width


def test_keys_around_an_anchor_keep_their_similarities_to_it():
    generator = torch.Generator().manual_seed(3)
    f, *keys = F.normalize(torch.randn(7, 128, generator=generator, dtype=torch.float64), dim=1)
    keys = torch.stack([*keys, f, -f])  # one at the anchor, and one opposite
    here, places = encoder_similarities.around(f, keys)
    torch.testing.assert_close(places @ here, keys @ f)
    torch.testing.assert_close(places.norm(dim=1), torch.ones(8, dtype=torch.float64))
    assert places[0, 1] > 0
    assert places[0, 2] == pytest.approx(0, abs=1e-12)
    assert places[1, 2] > 0
    # In three dimensions nothing is lost: all similarities stay.
    f, *keys = F.normalize(torch.randn(6, 3, generator=generator, dtype=torch.float64), dim=1)
    keys = torch.stack(keys)
    _, places = encoder_similarities.around(f, keys)
    torch.testing.assert_close(places @ places.T, keys @ keys.T)


GREY = torch.zeros(7, 28, 28, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"name": "made-up"}, ValueError, "give each a name of its own"),
        ({"name": ""}, ValueError, "give each a name of its own"),
        ({"negatives": slice(2, 6)}, ValueError, r"have \[4, 5\] negatives"),
        ({"images": GREY.float()}, TypeError, "images is torch.float32"),
        ({"images": GREY[:6], "shows": ["boot"] * 7}, ValueError, "6 images, 7 names .*, and 7"),
        ({"images": GREY}, ValueError, "7 images, 0 names"),
    ],
)
def test_scenes_that_do_not_go_together(points, change, error, says):
    right = {"anchor": points[0], "positive": points[1], "negatives": points[2:7]}
    if "negatives" in change:
        change = {"negatives": points[change["negatives"]]}
    scenes = [Scene("made-up", **right), Scene(**{"name": "other", **right, **change})]
    with pytest.raises(error, match=says):
        gradient_sphere_for(scenes, 0.2, k=2)
    with pytest.raises(ValueError, match="scenes is empty"):
        gradient_sphere_for([])
