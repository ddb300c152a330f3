"""The plane of runs: its numbers against the runs', in Python and in a browser, with and without scripts."""

import json
import math
import re
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from test_figures import made_up, without

from contrastlib import metrics
from contrastlib.reproduction import aggregate, grids
from contrastlib.reproduction.first_rule import per_seed
from contrastlib.teaching.run_explorer import COLUMNS, plane
from contrastlib.training.recipes import paper, run_id, small


@pytest.fixture(scope="module")
def records():
    """CIFAR-10 with three seeds but for two cells that were not run; CIFAR-100 with one."""
    made = [made_up(loss, tau, seed) for loss, tau in grids.CELLS["all"] for seed in grids.SEEDS]
    made += [made_up(loss, tau, 0, "cifar100") for loss, tau in grids.CELLS["all"]]
    return without(made, "cifar10", ("contrastive", 0.1), ("hard", 0.02))


SHOWN = [column for column in COLUMNS if column not in (("contrastive", 0.1), ("hard", 0.02))]
FIRST = SHOWN.index(("contrastive", 0.07))  # which it opens with


@pytest.fixture(scope="module")
def html(records):
    return plane(records).html


def runs(records, loss, tau, dataset="cifar10"):
    return [*per_seed(records, grids.cell(small(dataset), loss, tau)).values()]


def name(loss, tau):
    return aggregate.LOSSES.get(loss, loss) + ("" if tau is None else f", τ = {tau:g}")


def expected(found):
    """Slowly and plainly: means over seeds of the three measures, and of the profile [11, 5]."""
    measured = {m: np.mean([run["metrics"][m] for run in found]) for m in ("uniformity", "tolerance", "probe")}
    profile = np.zeros((11, 5))
    for run in found:
        means = [run["metrics"]["positive_similarity"], *run["metrics"]["neighbour_similarities"]]
        for rank, (mean, (q5, q25, _, q75, q95)) in enumerate(
            zip(means, run["metrics"]["profile_quantiles"], strict=True)
        ):
            profile[rank] += np.array([mean, q5, q25, q75, q95]) / len(found)
    return measured, profile


def words(found, loss, tau):
    """The start of what is said of a cell."""
    seeds = f"{len(found)} seed{'s' * (len(found) > 1)}"
    return f"{name(loss, tau).capitalize()} ({seeds}): uniformity {expected(found)[0]['uniformity']:.2f}"


def tags(html, tag, marker):
    """The attributes of every tag of a kind whose text has the marker."""
    return [
        dict(re.findall(r'([\w-]+)="([^"]*)"', text)) for text in re.findall(rf"<{tag} [^>]*>", html) if marker in text
    ]


def axis(svg, direction):
    """From a coordinate of a chart to its value, by the labels of the first and the last tick."""
    tick = {"x": r'<text x="([-\d.]+)" y="264">([-\d.]+)<', "y": r'<text class="end" x="-6" y="([-\d.]+)">([-\d.]+)<'}
    (a, first), *_, (b, last) = ([float(text) for text in found] for found in re.findall(tick[direction], svg))
    return lambda at: first + (float(at) - a) * (last - first) / (b - a)


def parts(html):
    """The plane and the profile, without what stands around them."""
    return re.findall(r"<svg viewBox=\"-44.*?</svg>", html, re.DOTALL)


def test_every_cell_is_there_with_the_numbers_of_its_runs(records, html):
    radios, profiles = tags(html, "input", "radio"), tags(html, "g", "data-profile")
    assert [radio["aria-label"] for radio in radios] == [name(*column) for column in SHOWN]
    for column, radio, held in zip(SHOWN, radios, profiles, strict=True):
        found = runs(records, *column)
        measured, profile = expected(found)
        assert float(radio["data-uniformity"]) == pytest.approx(measured["uniformity"], rel=1e-9)
        assert float(radio["data-tolerance"]) == pytest.approx(measured["tolerance"], rel=1e-9)
        assert float(radio["data-probe"]) == pytest.approx(100 * measured["probe"], rel=1e-9)
        np.testing.assert_allclose(json.loads(held["data-profile"]), profile, atol=5.1e-5)
        says = radio["data-says"]
        assert says.startswith(words(found, *column))
        for text in f"tolerance {measured['tolerance']:.3f} ±", f"accuracy {100 * measured['probe']:.1f} ±":
            assert text in says
        near = profile[[0, 1, 10], 0]
        assert re.findall(r"[\d.]+\d", says.split("Similarity")[1]) == [f"{value:.2f}" for value in near]


def test_half_an_interval_is_said_where_there_are_several_seeds(records, html):
    data = aggregate.frame(aggregate.usable(records), small, ["cifar10"], [("simple", None)], "uniformity").iloc[0]
    (says,) = (radio["data-says"] for radio in tags(html, "input", 'aria-label="simple"'))
    assert f"uniformity {data['mean']:.2f} ±\u00a0{data['high'] - data['mean']:.2f}," in says
    one = plane(records, dataset="cifar100").html
    assert "±" in html
    assert "±" not in one
    assert "(1 seed)" in one


def test_marks_lie_where_their_runs_are(records, html):
    drawn = parts(html)[0]
    x, y = axis(drawn, "x"), axis(drawn, "y")
    marks, dots = tags(drawn, "path", "mark"), tags(drawn, "circle", "cx=")
    seen, each = [], []
    for column, mark in zip(SHOWN, marks, strict=True):
        measured, _ = expected(runs(records, *column))
        across, up = re.findall(r"[-\d.]+", mark["transform"])
        assert x(across) == pytest.approx(measured["tolerance"], abs=2e-3)
        assert y(up) == pytest.approx(measured["uniformity"], abs=1e-2)
        seen.append((mark["class"].split()[1], mark["d"]))
        each += [[run["metrics"][m] for m in ("tolerance", "uniformity")] for run in runs(records, *column)]
    np.testing.assert_allclose([[x(dot["cx"]), y(dot["cy"])] for dot in dots], each, atol=1e-2)
    assert (
        len(set(seen)) == len({kind for kind, _ in seen}) == len({shape for _, shape in seen}) == 4
    )  # not colour alone
    (line,) = re.findall(r'class="ceiling" d="M0 ([\d.]+)H', drawn)
    assert y(line) == pytest.approx(metrics.uniformity_ceiling(128), abs=1e-2)
    assert f"ceiling {metrics.uniformity_ceiling(128):.2f}" in drawn


def test_the_ordinary_loss_is_joined_in_order_of_tau(html):
    drawn = parts(html)[0]
    places = [" ".join(re.findall(r"[-\d.]+", mark["transform"])) for mark in tags(drawn, "path", "mark k0")]
    (gaps,), (way,) = (tags(drawn, "path", f'class="{kind}"') for kind in ("gaps", "way"))
    assert gaps["d"] == "M" + "L".join(places)
    steps = [f"M{a}L{b}" for a, b in pairwise(places)]
    assert len(steps) == 7
    assert way["d"] == "".join(steps[:2] + steps[3:])  # not from 0.07 to 0.2, since 0.1 was not run
    assert "temperatures that were not run" in html
    assert "No run: CIFAR-10 ordinary 0.1; CIFAR-10 hard 0.02." in html


def test_the_profile_is_drawn_as_it_is_held(html):
    drawn = parts(html)[1]
    s, paths = axis(drawn, "y"), re.findall(r"<g [^>]*data-profile=.*?</g>", drawn)
    for path in paths:
        (held,) = tags(path, "g", "data-profile")
        mean, q5, q25, q75, q95 = np.array(json.loads(held["data-profile"])).T
        thin, thick, dash, level = (re.findall(r"[-\d.]+", text["d"]) for text in tags(path, "path", " d="))
        for values, numbers in ((q5, thin[1::3]), (q95, thin[2::3]), (q25, thick[1::3]), (q75, thick[2::3])):
            np.testing.assert_allclose([s(number) for number in numbers], values, atol=2e-3)
        np.testing.assert_allclose([s(number) for number in dash[1::3]], mean, atol=2e-3)
        assert s(level[1]) == pytest.approx(mean[0], abs=2e-3)


def placed(loss, tau, tolerance, uniformity):
    record = made_up(loss, tau, 0)
    record["metrics"] |= {"tolerance": tolerance, "uniformity": uniformity}
    return record


def test_labels_cover_no_mark_and_no_other(html):
    corners = [("contrastive", 0.07, 0.051, 3.9), ("contrastive", 1.0, 0.3499, 3.9), ("simple", None, 0.3499, 2.01)]
    for shown, least in (html, 8), (plane([placed(*corner) for corner in corners]).html, 3):
        drawn = parts(shown)[0]
        marks = [tuple(map(float, re.findall(r"[-\d.]+", mark["transform"]))) for mark in tags(drawn, "path", "mark")]
        texts = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)">([\w. ]+)</text>', drawn[drawn.rindex('class="mark') :])
        assert len(texts) >= least
        short = [name(*column).removeprefix("ordinary, τ = ").replace(", τ =", "") for column in SHOWN]
        assert {text for *_, text in texts} <= {*short}
        boxes = [(float(x), float(y), 3.7 * len(text), 7) for x, y, text in texts] + [(x, y, 5, 5) for x, y in marks]
        for k, (x, y, wide, high) in enumerate(boxes[: len(texts)]):
            assert wide < x < 340 - wide
            assert 0 < y < 250 - high
            for a, b, w, h in boxes[k + 1 :]:
                assert abs(x - a) > wide + w or abs(y - b) > high + h


def test_a_label_is_nearest_to_its_own_mark():
    """In a crowd, where the room beside a mark is often beside another."""
    crowd = [("contrastive", tau, 0.05 + 0.02 * k, 3.9 - 0.1 * k) for k, tau in enumerate(grids.TAUS)]
    crowd += [("hard", tau, 0.06 + 0.02 * k, 3.92 - 0.1 * k) for k, tau in enumerate(grids.TAUS)]
    html = plane([placed(*corner) for corner in crowd]).html
    drawn = parts(html)[0]
    marks = [tuple(map(float, re.findall(r"[-\d.]+", mark["transform"]))) for mark in tags(drawn, "path", "mark")]
    names = [radio["aria-label"] for radio in tags(html, "input", "radio")]
    assert len(marks) == len(names) == len(crowd)
    texts = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)">([\w. ]+)</text>', drawn[drawn.rindex('class="mark') :])
    assert len(texts) >= 4
    for x, y, text in texts:
        nearest = min(range(len(marks)), key=lambda i: math.dist(marks[i], (float(x), float(y))))
        assert text == names[nearest].removeprefix("ordinary, τ = ").replace(", τ =", "")


def test_the_outcomes_that_come_with_the_library(records):
    shown = plane()
    found = {cell: runs(aggregate.usable(None), *cell) for cell in COLUMNS}
    radios = tags(shown.html, "input", "radio")
    assert [radio["aria-label"] for radio in radios] == [name(*cell) for cell, there in found.items() if there]
    assert not re.search(r"\bnan\b", shown.html, re.IGNORECASE)
    # The pilot's outcomes are of the small recipe, at another seed: they are not shown.
    pilot = [made_up("contrastive", 0.2, 100)]
    assert run_id(replace(small(), seed=100)) == pilot[0]["id"]
    assert plane(records + pilot).html == plane(records).html


def test_what_diverged_is_said_and_not_averaged(records):
    lost = made_up("simple", None, 1, status="diverged")
    kept = [record for record in records if record["id"] != lost["id"]]
    html = plane([*kept, lost]).html
    (radio,) = tags(html, "input", 'aria-label="simple"')
    assert radio["data-says"].startswith("Simple (2 seeds, 1 diverged): ")
    assert float(radio["data-uniformity"]) == pytest.approx(expected(runs(kept, "simple", None))[0]["uniformity"])
    assert "Diverged: CIFAR-10 simple (1 of 3)." in html


def test_fragment_asks_for_nothing(records, html):
    assert not re.search(r"https?://|fetch\(|import |innerHTML|type=.module", html)
    assert "$" not in html  # no blank left, and nothing for MathJax
    assert "\\(" not in html
    assert not re.search(r"\bnan\b", html, re.IGNORECASE)
    assert len(html) < 60_000
    shown = plane(records)
    assert shown.html == html
    assert repr(shown) == shown.summary
    u = aggregate.describe(aggregate.frame(records, small, ["cifar10"], COLUMNS, "uniformity"), "uniformity")
    assert repr(shown).startswith(f"Uniformity: {u} Tolerance: CIFAR-10 ordinary: from ")
    ids = [re.search(r' id="([\w-]+)"', page)[1] for page in (html, plane(records, dataset="cifar100").html)]
    assert ids[0] != ids[1]


def test_one_run_is_enough():
    html = plane([made_up("hard", 0.3, 0)]).html
    assert [radio["aria-label"] for radio in tags(html, "input", "radio")] == ["hard, τ = 0.3"]
    assert not re.search(r"\bnan\b", html, re.IGNORECASE)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            {"records": []},
            ValueError,
            "no finished run of the recipe 'small' on CIFAR-10.*sweep curves --dataset cifar10",
        ),
        ({"records": [made_up("none", None, 0)]}, ValueError, "no finished run"),
        ({"records": [made_up("hard", 0.3, 0, status="diverged")]}, ValueError, "no finished run"),
        ({"dataset": "svhn"}, ValueError, "on SVHN"),
        ({"base": paper}, ValueError, "the recipe 'paper-scale'.*--recipe paper"),
        ({"dataset": "cifar"}, ValueError, "there is no data set 'cifar'"),
        ({"dataset": ["cifar10"]}, TypeError, "one data set"),
        ({"records": {"id": 1}}, TypeError, "no outcome"),
        ({"records": ["runs"]}, TypeError, r"results.read_all\(\)"),
    ],
)
def test_wrong_arguments(records, change, error, says):
    right = {"records": records, "base": small, "dataset": "cifar10"}
    with pytest.raises(error, match=says):
        plane(**{**right, **change})


def test_an_outcome_without_a_profile_is_named():
    record = made_up("hard", 0.3, 0)
    del record["metrics"]["profile_quantiles"]
    with pytest.raises(ValueError, match=f"the outcome {record['id']} has no metric 'profile_quantiles'"):
        plane([record])


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium on the path: the plane is not tried in a browser")
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


def check(page, records, k):
    """The cell that is chosen, on the plane, beside it and in words."""
    radios, profiles = page.locator("input").all(), page.locator(".profile g").all()
    assert [radio.is_checked() for radio in radios] == [i == k for i in range(len(SHOWN))]
    assert [profile.is_visible() for profile in profiles] == [i == k for i in range(len(SHOWN))]
    mark = page.locator(".chart .mark").nth(k)
    assert page.locator(".ring").get_attribute("transform") == mark.get_attribute("transform")
    says = page.locator("[aria-live=polite]").inner_text()
    assert says.startswith(words(runs(records, *SHOWN[k]), *SHOWN[k]))
    assert page.get_by_role("img", name=says).count() == 1
    assert page.troubles == []


def test_by_keyboard(records, html, chromium):
    page = open_page(chromium, html)
    check(page, records, FIRST)
    looks = page.screenshot()
    page.keyboard.press("Tab")
    assert page.screenshot() != looks  # the focus can be seen
    steps = ("Right", 1), ("Down", 2), ("Left", 1), ("Up", 0), ("Up", -1), ("Up", -2), ("Up", len(SHOWN) - 1 - FIRST)
    for key, k in ((f"Arrow{way}", FIRST + step) for way, step in steps):
        page.keyboard.press(key)
        check(page, records, k)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")  # one stop for the whole plane
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "hard simple"
    assert page.get_by_role("group", name="Choose a run:").get_by_role("radio").count() == len(SHOWN)


def test_by_press(records, html, chromium):
    page = open_page(chromium, html)
    for k in (3, 12, len(SHOWN) - 1):
        box = page.locator(".chart .mark").nth(k).bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2 + 1, box["y"] + box["height"] / 2)
        check(page, records, k)
    page.keyboard.press("ArrowLeft")  # and on from there
    check(page, records, len(SHOWN) - 2)
    frame = page.locator(".chart svg").first.bounding_box()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] - 3)
    check(page, records, len(SHOWN) - 2)  # nothing is near


def test_by_tap(records, html, chromium):
    page = open_page(chromium, html, width=390, has_touch=True)
    box = page.locator(".chart .mark").nth(4).bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    check(page, records, 4)


def test_still_without_scripts(records, html, chromium):
    page = open_page(chromium, html, java_script_enabled=False)
    check(page, records, FIRST)
    assert page.locator("noscript small").is_visible()
    assert page.locator(".chart svg").first.is_visible()
    assert all(radio.is_disabled() for radio in page.locator("input").all())
    assert not page.locator(".help").is_visible()
    page = open_page(chromium, html)
    assert not any(radio.is_disabled() for radio in page.locator("input").all())
    assert page.locator(".help").is_visible()


def test_several_planes_on_a_page(records, html, chromium):
    page = open_page(chromium, html + html + plane(records, dataset="cifar100").html)
    spheres = page.locator(".sphere").all()
    spheres[1].locator("input").nth(4).check()
    chosen = [[k for k, radio in enumerate(s.locator("input").all()) if radio.is_checked()] for s in spheres]
    assert chosen == [[FIRST], [4], [FIRST]]
    assert page.troubles == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes(html, chromium, theme):
    """Each loss has a colour of its own, which stands out from the theme's ground (WCAG: 3 to 1 for marks)."""
    page = open_page(chromium, html, theme=theme)
    colours = {page.locator(f".chart .mark.k{k}").first.evaluate("(n) => getComputedStyle(n).stroke") for k in range(4)}
    assert len(colours) == 4

    def light(channels):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in channels)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = light((255, 255, 255) if theme == "light" else (20, 24, 30))
    for colour in colours:
        ink = light(map(int, re.findall(r"\d+", colour)))
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) > 3, colour


@pytest.mark.parametrize("width", [340, 390, 800])
@pytest.mark.parametrize("scripts", [True, False])
def test_no_horizontal_scroll(html, chromium, width, scripts):
    page = open_page(chromium, html, width=width, java_script_enabled=scripts)
    # Without scripts the page cannot be asked: what sticks out would make the picture of the whole page wider.
    assert int.from_bytes(page.screenshot(full_page=True)[16:20]) == width
    beside, profile = (page.locator(f".beside > {part}").bounding_box() for part in ("div:first-child", ".profile"))
    assert (profile["y"] >= beside["y"] + beside["height"]) is (width < 600)  # they stack on a phone
