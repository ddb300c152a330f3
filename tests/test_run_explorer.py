"""The run explorer: its numbers against the runs', in Python and in a browser, with and without
scripts.
"""

import json
import math
import re
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from browser import GROUNDS, centre, channels, contrast, open_page, page_width
from made_up import random_run as made_up
from made_up import without

from contrastlib import metrics
from contrastlib.reproduction import aggregate, grids
from contrastlib.reproduction import words as frame_words
from contrastlib.reproduction.names import LOSSES
from contrastlib.reproduction.run_index import Runs
from contrastlib.reproduction.shipped import read_shipped
from contrastlib.teaching.widgets.run_explorer import run_explorer
from contrastlib.teaching.widgets.run_marks import COLUMNS
from contrastlib.training.recipes import run_id, small


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
    """CIFAR-10 alone; the choice of a data set has its own tests."""
    return run_explorer(records, datasets=["cifar10"]).html


@pytest.fixture(scope="module")
def three(records):
    """Three data sets, of which Fashion-MNIST has two cells."""
    fashion = [
        made_up("contrastive", 0.3, 0, "fashion-mnist"),
        made_up("simple", None, 0, "fashion-mnist"),
    ]
    return run_explorer(records + fashion).html


def runs(records, loss, tau, dataset="cifar10"):
    return [*Runs(records, small(dataset)).cell((loss, tau)).values()]


def name(loss, tau):
    return LOSSES.get(loss, loss) + ("" if tau is None else f", τ = {tau:g}")


def expected(found):
    """Slowly and plainly: means over seeds of the three measures, and of the profile [11, 5]."""
    measured = {}
    for measure in ("uniformity", "tolerance", "probe"):
        measured[measure] = np.mean([run["metrics"][measure] for run in found])
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
    seeds = "1 seed" if len(found) == 1 else f"{len(found)} seeds"
    uniformity = expected(found)[0]["uniformity"]
    return f"{name(loss, tau).capitalize()} ({seeds}): uniformity {uniformity:.2f}"


def tags(html, tag, marker):
    """The attributes of every tag of a kind whose text has the marker."""
    return [
        dict(re.findall(r'([\w-]+)="([^"]*)"', text))
        for text in re.findall(rf"<{tag} [^>]*>", html)
        if marker in text
    ]


def axis(svg, direction):
    """From a coordinate of a chart to its value, by the labels of the first and the last tick."""
    tick = {
        "x": r'<text x="([-\d.]+)" y="264">([-\d.]+)<',
        "y": r'<text class="end" x="-6" y="([-\d.]+)">([-\d.]+)<',
    }
    ticks = re.findall(tick[direction], svg)
    a, first = map(float, ticks[0])
    b, last = map(float, ticks[-1])
    return lambda at: first + (float(at) - a) * (last - first) / (b - a)


def parts(html):
    """The first data set's plane, its zoom and the profile, without what stands around them."""
    return re.findall(r'<svg viewBox="-54.*?</svg>', html, re.DOTALL)[:3]


def test_every_cell_is_there_with_the_numbers_of_its_runs(records, html):
    marks = tags(parts(html)[0], "path", "mark")
    profiles = tags(html, "g", "data-profile")
    assert [mark["data-title"] for mark in marks] == [name(*column) for column in SHOWN]
    for column, mark, held in zip(SHOWN, marks, profiles, strict=True):
        found = runs(records, *column)
        measured, profile = expected(found)
        assert float(mark["data-uniformity"]) == pytest.approx(measured["uniformity"], rel=1e-9)
        assert float(mark["data-tolerance"]) == pytest.approx(measured["tolerance"], rel=1e-9)
        assert float(mark["data-probe"]) == pytest.approx(100 * measured["probe"], rel=1e-9)
        np.testing.assert_allclose(json.loads(held["data-profile"]), profile, atol=5.1e-5)
        says = mark["data-sentence"]
        assert says.startswith(words(found, *column))
        for text in (
            f"tolerance {measured['tolerance']:.3f} ±",
            f"accuracy {100 * measured['probe']:.1f} ±",
        ):
            assert text in says
        near = profile[[0, 1, 10], 0]
        assert re.findall(r"[\d.]+\d", says.split("Similarity")[1]) == [
            f"{value:.2f}" for value in near
        ]


def test_half_an_interval_is_said_where_there_are_several_seeds(records, html):
    data = aggregate.frame(records, "small", ["cifar10"], [("simple", None)], "uniformity").iloc[0]
    (says,) = (mark["data-sentence"] for mark in tags(html, "path", 'data-title="simple"'))
    assert f"uniformity {data['mean']:.2f} ±\u00a0{data['high'] - data['mean']:.2f}," in says
    one = run_explorer(records, datasets=["cifar100"]).html
    assert "±" in html
    assert "±" not in one
    assert "(1 seed)" in one


def test_marks_lie_where_their_runs_are(records, html):
    drawn = parts(html)[0]
    x = axis(drawn, "x")
    y = axis(drawn, "y")
    marks = tags(drawn, "path", "mark")
    dots = tags(drawn, "circle", "cx=")
    seen = []
    each = []
    for column, mark in zip(SHOWN, marks, strict=True):
        measured, _ = expected(runs(records, *column))
        across, up = re.findall(r"[-\d.]+", mark["transform"])
        assert x(across) == pytest.approx(measured["tolerance"], abs=2e-3)
        assert y(up) == pytest.approx(measured["uniformity"], abs=1e-2)
        seen.append((mark["class"].split()[1], mark["d"]))
        for run in runs(records, *column):
            each.append([run["metrics"]["tolerance"], run["metrics"]["uniformity"]])
    np.testing.assert_allclose([[x(dot["cx"]), y(dot["cy"])] for dot in dots], each, atol=1e-2)
    assert (
        len(set(seen)) == len({kind for kind, _ in seen}) == len({shape for _, shape in seen}) == 4
    )  # not colour alone
    (line,) = re.findall(r'class="ceiling" d="M0 ([\d.]+)H', drawn)
    assert y(line) == pytest.approx(metrics.uniformity_ceiling(128), abs=1e-2)
    assert f"ceiling {metrics.uniformity_ceiling(128):.2f}" in drawn


def test_the_ordinary_loss_is_joined_in_order_of_tau_from_0_05_on(html):
    drawn = parts(html)[0]
    places = [
        " ".join(re.findall(r"[-\d.]+", mark["transform"]))
        for mark in tags(drawn, "path", "mark k0")
    ][1:]
    (gaps,) = tags(drawn, "path", 'class="gaps"')
    (way,) = tags(drawn, "path", 'class="way"')
    assert gaps["d"] == "M" + "L".join(places)
    steps = [f"M{a}L{b}" for a, b in pairwise(places)]
    assert len(steps) == 6
    assert way["d"] == "".join(
        [steps[0], *steps[2:]]
    )  # not from 0.07 to 0.2, since 0.1 was not run
    assert "temperatures that were not run" in html
    assert "No run: CIFAR-10 ordinary 0.1; CIFAR-10 hard 0.02." in html


def test_the_profile_is_drawn_as_it_is_held(html):
    drawn = parts(html)[-1]
    s = axis(drawn, "y")
    paths = re.findall(r"<g [^>]*data-profile=.*?</g>", drawn)
    for path in paths:
        (held,) = tags(path, "g", "data-profile")
        mean, q5, q25, q75, q95 = np.array(json.loads(held["data-profile"])).T
        thin, thick, dash, level = (
            re.findall(r"[-\d.]+", text["d"]) for text in tags(path, "path", " d=")
        )
        for values, numbers in (
            (q5, thin[1::3]),
            (q95, thin[2::3]),
            (q25, thick[1::3]),
            (q75, thick[2::3]),
        ):
            np.testing.assert_allclose([s(number) for number in numbers], values, atol=2e-3)
        np.testing.assert_allclose([s(number) for number in dash[1::3]], mean, atol=2e-3)
        assert s(level[1]) == pytest.approx(mean[0], abs=2e-3)


def placed(loss, tau, tolerance, uniformity):
    record = made_up(loss, tau, 0)
    record["metrics"] |= {"tolerance": tolerance, "uniformity": uniformity}
    return record


def test_labels_cover_no_mark_and_no_other(html):
    corners = [
        ("contrastive", 0.07, 0.051, 3.9),
        ("contrastive", 1.0, 0.3499, 3.9),
        ("simple", None, 0.3499, 2.01),
    ]
    for shown, least in (html, 8), (run_explorer([placed(*corner) for corner in corners]).html, 2):
        drawn = parts(shown)[0]
        marks = [
            tuple(map(float, re.findall(r"[-\d.]+", mark["transform"])))
            for mark in tags(drawn, "path", "mark")
        ]
        texts = re.findall(
            r'<text x="([-\d.]+)" y="([-\d.]+)">([\w. ]+)</text>',
            drawn[drawn.rindex('class="mark') :],
        )
        assert len(texts) >= least
        short = [
            name(*column).removeprefix("ordinary, τ = ").replace(", τ =", "") for column in SHOWN
        ]
        assert {text for *_, text in texts} <= {*short}
        boxes = [(float(x), float(y), 3.7 * len(text), 7) for x, y, text in texts] + [
            (x, y, 5, 5) for x, y in marks
        ]
        for k, (x, y, wide, high) in enumerate(boxes[: len(texts)]):
            assert wide < x < 340 - wide
            assert 0 < y < 250 - high
            for a, b, w, h in boxes[k + 1 :]:
                assert abs(x - a) > wide + w or abs(y - b) > high + h


def test_a_label_is_nearest_to_its_own_mark():
    """In a crowd, where the room beside a mark is often beside another."""
    crowd = [
        ("contrastive", tau, 0.05 + 0.02 * k, 3.9 - 0.1 * k) for k, tau in enumerate(grids.TAUS)
    ]
    crowd += [("hard", tau, 0.06 + 0.02 * k, 3.92 - 0.1 * k) for k, tau in enumerate(grids.TAUS)]
    html = run_explorer([placed(*corner) for corner in crowd]).html
    drawn = parts(html)[0]
    marks = [
        tuple(map(float, re.findall(r"[-\d.]+", mark["transform"])))
        for mark in tags(drawn, "path", "mark")
    ]
    names = [mark["data-title"] for mark in tags(drawn, "path", "mark")]
    assert len(marks) == len(names) == len(crowd)
    texts = re.findall(
        r'<text x="([-\d.]+)" y="([-\d.]+)">([\w. ]+)</text>', drawn[drawn.rindex('class="mark') :]
    )
    assert len(texts) >= 4
    for x, y, text in texts:
        nearest = min(range(len(marks)), key=lambda i: math.dist(marks[i], (float(x), float(y))))
        assert text == names[nearest].removeprefix("ordinary, τ = ").replace(", τ =", "")


def test_the_records_that_come_with_the_library(records):
    shown = run_explorer()
    datasets = re.findall(r'<div class="dataset" data-dataset="([\w-]+)"', shown.html)
    assert datasets == ["cifar10", "cifar100", "fashion-mnist"]
    usable = read_shipped()
    titles = []
    for dataset in datasets:
        titles += [name(*column) for column in COLUMNS if runs(usable, *column, dataset)]
    assert [mark["data-title"] for mark in tags(shown.html, "path", "data-title")] == titles
    assert not re.search(r"\bnan\b", shown.html, re.IGNORECASE)
    # The pilot's runs are of the small recipe, at another seed: they are not shown.
    pilot = [made_up("contrastive", 0.2, 100)]
    assert run_id(replace(small(), seed=100)) == pilot[0]["id"]
    assert run_explorer(records + pilot).html == run_explorer(records).html


def test_what_diverged_is_said_and_not_averaged(records):
    lost = made_up("simple", None, 1, status="diverged")
    kept = [record for record in records if record["id"] != lost["id"]]
    html = run_explorer([*kept, lost], datasets=["cifar10"]).html
    (mark,) = tags(html, "path", 'data-title="simple"')
    assert mark["data-sentence"].startswith("Simple (2 seeds, 1 diverged): ")
    assert float(mark["data-uniformity"]) == pytest.approx(
        expected(runs(kept, "simple", None))[0]["uniformity"]
    )
    assert "Diverged: CIFAR-10 simple (1 of 3)." in html


def test_fragment_asks_for_nothing(records, html):
    assert not re.search(r"https?://|fetch\(|import |innerHTML|type=.module", html)
    assert "$" not in html  # nothing for MathJax
    assert "{{" not in html  # no placeholder left
    assert "\\(" not in html
    assert not re.search(r"\bnan\b", html, re.IGNORECASE)
    assert len(html) < 60_000
    shown = run_explorer(records, datasets=["cifar10"])
    assert shown.html == html
    assert repr(shown) == shown.summary
    u = frame_words.describe(
        aggregate.frame(records, "small", ["cifar10"], COLUMNS, "uniformity"), "uniformity"
    )
    assert repr(shown).startswith(f"Uniformity: {u} Tolerance: CIFAR-10 ordinary: from ")
    ids = [
        re.search(r' id="([\w-]+)"', page)[1]
        for page in (html, run_explorer(records, datasets=["cifar100"]).html)
    ]
    assert ids[0] != ids[1]


def test_one_run_is_enough():
    html = run_explorer([made_up("hard", 0.3, 0)]).html
    assert [mark["data-title"] for mark in tags(html, "path", "data-title")] == ["hard, τ = 0.3"]
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
        ({"datasets": ["svhn"]}, ValueError, "on SVHN"),
        ({"scale": "paper"}, ValueError, "the recipe 'paper'.*--recipe paper"),
        ({"datasets": ["cifar"]}, ValueError, "there is no data set 'cifar'"),
        ({"datasets": "cifar10"}, TypeError, "a list of names"),
        ({"datasets": []}, ValueError, "datasets is empty"),
        ({"records": {"id": 1}}, TypeError, "no outcome"),
        ({"records": ["runs"]}, TypeError, r"run_records.read_all\(folder\)"),
    ],
)
def test_wrong_arguments(records, change, error, says):
    right = {"records": records, "scale": "small", "datasets": ["cifar10"]}
    with pytest.raises(error, match=says):
        run_explorer(**{**right, **change})


def test_an_outcome_without_a_profile_is_named():
    record = made_up("hard", 0.3, 0)
    del record["metrics"]["profile_quantiles"]
    with pytest.raises(
        ValueError, match=f"the record {record['id']} has no metric 'profile_quantiles'"
    ):
        run_explorer([record])


def visible(page, selector):
    return page.locator(f".dataset:not([hidden]) {selector}")


def check(page, records, k, shown=SHOWN, dataset="cifar10"):
    """The chosen mark, on the plane, in the zoom, in the controls, beside it and in words."""
    profiles = visible(page, ".profile g").all()
    assert [profile.is_visible() for profile in profiles] == [i == k for i in range(len(shown))]
    mark = visible(page, ".plane .mark").nth(k)
    assert visible(page, ".plane .ring").get_attribute("transform") == mark.get_attribute(
        "transform"
    )
    enlarged = visible(page, f'.zoom [data-number="{k}"]')
    if visible(page, ".zoom").count():
        assert visible(page, ".zoom .ring").is_visible() is (enlarged.count() == 1)
        if enlarged.count():
            assert visible(page, ".zoom .ring").get_attribute(
                "transform"
            ) == enlarged.get_attribute("transform")
    loss, tau = shown[k]
    assert page.locator(f'.segments input[value="{loss}"]').is_checked()
    assert page.locator('[data-quantity="tau"]').inner_text() == (
        "none" if tau is None else f"{tau:g}"
    )
    says = visible(page, "[aria-live=polite]").inner_text()
    assert says.startswith(words(runs(records, loss, tau, dataset), loss, tau))
    assert page.get_by_role("img", name=says).count() == 1
    assert page.troubles == []


def test_by_keyboard(records, html, chromium):
    page = open_page(chromium, html)
    check(page, records, FIRST)
    looks = page.screenshot()
    page.locator('input[value="contrastive"]').focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.screenshot() != looks  # the focus can be seen
    page.keyboard.press("ArrowRight")
    check(page, records, SHOWN.index(("hard", 0.07)))
    page.keyboard.press("Tab")  # the slider
    for key, tau in (("ArrowRight", 0.1), ("End", 1.0), ("Home", 0.05)):
        page.keyboard.press(key)
        check(page, records, SHOWN.index(("hard", tau)))
    page.keyboard.press("Shift+Tab")
    for loss, tau in (("simple", None), ("hard_simple", None), ("contrastive", 0.05)):
        page.keyboard.press("ArrowRight")
        check(page, records, SHOWN.index((loss, tau)))  # the temperature is kept in mind


def test_by_press(records, html, chromium):
    page = open_page(chromium, html)
    for k in (3, 12, len(SHOWN) - 1):
        x, y = centre(page.locator(".plane .mark").nth(k))
        page.mouse.click(x + 1, y)
        check(page, records, k)
    page.locator('input[value="hard"]').check()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")  # and on from there
    frame = page.locator(".plane svg").bounding_box()
    before = page.locator(".says").inner_text()
    page.mouse.click(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] - 3)
    assert page.locator(".says").inner_text() == before  # nothing is near


def test_every_run_of_the_library_can_be_pressed_on_a_phone(chromium):
    """In the plane, or in the zoom where marks lie on each other."""
    usable = read_shipped()
    page = open_page(chromium, run_explorer(datasets=["cifar10"]).html, width=390, has_touch=True)
    shown = [column for column in COLUMNS if runs(usable, *column)]
    enlarged = page.locator(".zoom .mark").all()
    assert len(enlarged) >= 10
    places = [centre(mark) for mark in enlarged]
    assert min(math.dist(a, b) for a, b in combinations(places, 2)) >= 22
    for mark in enlarged:
        page.touchscreen.tap(*centre(mark))
        check(page, usable, int(mark.get_attribute("data-number")), shown)
    inside = {int(mark.get_attribute("data-number")) for mark in enlarged}
    for k in set(range(len(shown))) - inside:
        page.touchscreen.tap(*centre(page.locator(".plane .mark").nth(k)))
        check(page, usable, k, shown)


def test_the_zoom_shows_where_its_marks_belong():
    drawn = parts(run_explorer(datasets=["cifar10"]).html)
    plane = drawn[0]
    zoom = drawn[1]
    x = axis(zoom, "x")
    y = axis(zoom, "y")
    dots = tags(zoom, "circle", "cx=")
    marks = tags(plane, "path", "data-title")
    for dot, mark in zip(dots, tags(zoom, "path", "data-number"), strict=True):
        held = marks[int(mark["data-number"])]
        assert x(dot["cx"]) == pytest.approx(float(held["data-tolerance"]), abs=2e-4)
        assert y(dot["cy"]) == pytest.approx(float(held["data-uniformity"]), abs=1e-3)
        assert mark["d"] == held["d"]


def test_another_data_set(records, three, chromium):
    page = open_page(chromium, three)
    assert page.get_by_role("group", name="Data set").get_by_role("radio").count() == 3
    check(page, records, FIRST)
    page.locator('input[value="hard"]').check()
    page.locator('input[value="cifar100"]').check()
    check(
        page, records, COLUMNS.index(("hard", 0.07)), COLUMNS, "cifar100"
    )  # loss and temperature stay
    page.locator('input[value="fashion-mnist"]').check()
    assert (
        visible(page, ".says").inner_text().startswith("Ordinary, τ = 0.3 (1 seed)")
    )  # it has no hard run
    assert page.locator('input[value="hard"]').is_disabled()
    assert page.locator(
        "input[type=range]"
    ).is_disabled()  # and of the ordinary loss one temperature
    page.locator('input[value="cifar10"]').check()
    check(page, records, SHOWN.index(("contrastive", 0.3)))


def test_still_without_scripts(records, three, chromium):
    page = open_page(chromium, three, java_script_enabled=False)
    assert (
        visible(page, ".says")
        .inner_text()
        .startswith(words(runs(records, *SHOWN[FIRST]), *SHOWN[FIRST]))
    )
    assert page.locator("noscript small").is_visible()
    assert page.locator(".dataset:visible").count() == 1
    assert all(radio.is_disabled() for radio in page.locator("input[type=radio]").all())
    assert not page.locator(".help").is_visible()
    page = open_page(chromium, three)
    assert not any(radio.is_disabled() for radio in page.locator("input").all())
    assert page.locator(".help").is_visible()


def test_several_on_a_page(records, html, chromium):
    page = open_page(chromium, html + html + run_explorer(records, datasets=["cifar100"]).html)
    page.locator(".run-explorer").nth(1).locator('input[value="simple"]').check()
    says = [text.split("(")[0].strip() for text in page.locator(".says").all_inner_texts()]
    assert says == ["Ordinary, τ = 0.07", "Simple", "Ordinary, τ = 0.07"]
    assert page.troubles == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes(html, chromium, theme):
    """Each loss has a colour of its own, which stands out from the theme's ground (WCAG: 3 to 1 for
    marks).
    """
    page = open_page(chromium, html, theme=theme)
    colours = {
        page.locator(f".plane .mark.k{k}").first.evaluate("(n) => getComputedStyle(n).stroke")
        for k in range(4)
    }
    assert len(colours) == 4
    for colour in colours:
        assert contrast(channels(colour), GROUNDS[theme]) > 3, colour
    label = page.locator(".segments label:has(:checked)").last
    colours = label.evaluate(
        "(n) => [getComputedStyle(n).color, getComputedStyle(n).backgroundColor]"
    )
    assert contrast(*map(channels, colours)) > 4.5


@pytest.mark.parametrize("width", [340, 390, 800])
@pytest.mark.parametrize("scripts", [True, False])
def test_no_horizontal_scroll(three, chromium, width, scripts):
    page = open_page(chromium, three, width=width, java_script_enabled=scripts)
    assert page_width(page) == width
    plane = visible(page, ".plane").bounding_box()
    profile = visible(page, ".profile").bounding_box()
    assert profile["y"] >= plane["y"] + plane["height"]
