"""The temperature slider: its numbers against the library, in Python and in a browser, with and
without scripts.
"""

import base64
import io
import re
from functools import cache
from html.parser import HTMLParser

import pytest
import torch
from browser import GROUNDS, centre, channels, contrast, open_page, page_width
from PIL import Image

from contrastlib.data import load
from contrastlib.gradients import effective_negatives, entropy, relative_penalty
from contrastlib.losses import contrastive
from contrastlib.teaching.embeddings import embed, embed_views
from contrastlib.teaching.encoders import pretrained
from contrastlib.teaching.widgets import base
from contrastlib.teaching.widgets.encoder_similarities import ANCHORS, IMAGES
from contrastlib.teaching.widgets.tau_slider import (
    Anchor,
    digits_tau_slider,
    encoders_tau_slider,
    tau_slider,
    tau_slider_for,
    tau_slider_of_sources,
)
from contrastlib.teaching.widgets.tau_slider_parts import png

QUANTITIES = ("loss", "entropy", "effective", "nearest")


@pytest.fixture(scope="module")
def digits():
    """Anchor 0, its copy shifted by a pixel as the positive, the other digits as negatives."""
    images = load("digits").images[:, 0]
    mean = images.double().mean(0)

    def embed(x):
        return torch.nn.functional.normalize((x.double() - mean).flatten(1), dim=1)

    z = embed(images)
    shifted = images[:1].roll(1, dims=2)
    return {
        "s_pos": (embed(shifted)[0] @ z[0]).item(),
        "s_neg": z[1:] @ z[0],
        "anchor": images[0],
        "images": images[1:],
        "positive": shifted[0],
    }


def expected(s_pos, s_neg, tau):
    """The four numbers by the library, in float64, from the similarities to five decimals."""
    s_pos = torch.tensor([s_pos], dtype=torch.float64).round(decimals=5)
    s_neg = s_neg.double().round(decimals=5)[None]
    r = relative_penalty(s_neg, tau)
    values = contrastive(s_pos, s_neg, tau), entropy(r), effective_negatives(r), r.max()
    return dict(zip(QUANTITIES, (v.item() for v in values), strict=True))


def check_numbers(page, want):
    """What the page says is what the library says: in full in data-value, and in the digits that it
    shows.
    """
    for name in QUANTITIES:
        node = page.locator(f'[data-quantity="{name}"]')
        assert float(node.get_attribute("data-value")) == pytest.approx(
            want[name], rel=1e-9, abs=1e-12
        ), name
        text = node.inner_text()
        digits = {"loss": 3, "entropy": 3, "effective": 1}.get(name)
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
        self.open = []
        self.tags = []
        self.ids = []
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
    # Five decimals of a similarity are enough: the loss is that of the exact ones, within 1e-5 /
    # tau.
    s_pos = torch.tensor([digits["s_pos"]], dtype=torch.float64)
    assert contrastive(s_pos, digits["s_neg"][None], tau).item() == pytest.approx(
        want["loss"], abs=1.1e-5 / tau
    )


def test_fragment_is_whole_and_asks_for_nothing(digits):
    shown = tau_slider(**digits)
    page = Outline(shown._repr_html_())
    assert len(page.ids) == 1
    assert page.tags.count("li") == 15
    assert page.tags.count("svg") == 1
    assert not re.search(r"https?://|//[a-z]+\.|fetch\(|import |innerHTML|type=.module", shown.html)
    assert "$" not in shown.html  # nothing for MathJax
    assert "{{" not in shown.html  # no placeholder left
    assert "<!--" not in shown.html
    assert "\\(" not in shown.html
    assert len(shown.html) < 42_000
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
        (
            {"images": torch.zeros(3, 1, 2, 2, dtype=torch.uint8)},
            ValueError,
            r"take images\[:, 0\]",
        ),
        (
            {"images": torch.zeros(2, 2, 2, dtype=torch.uint8)},
            ValueError,
            "images has 2 images and s_neg 3",
        ),
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
        r = (
            relative_penalty(digits["s_neg"].round(decimals=5)[None], tau)[0]
            .sort(descending=True)
            .values
        )
        assert shares == pytest.approx(
            r[[*range(12), 143, 717, 1435]].tolist(), rel=1e-9, abs=1e-15
        )
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
        numbers = [
            page.locator(f'[data-quantity="{name}"]').inner_text() for name in ("tau", *QUANTITIES)
        ]
        bars = [rect.get_attribute("height") for rect in page.locator("rect").all()]
        curve = re.findall(r"[\d.]+", page.locator(".rel").get_attribute("d"))
        shares = [item.inner_text() for item in page.locator("li").all()]
        drawn.append(
            (numbers, page.locator(".says").inner_text(), shares, list(map(float, bars + curve)))
        )
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
    """A loss near 0, one negative alone, all similarities equal: the same numbers still, none of
    them NaN.
    """
    digit = torch.zeros(8, 8, dtype=torch.uint8)
    for s_pos, s_neg in [
        (1.0, [-1.0]),
        (-1.0, [1.0, -1.0]),
        (0.5, [0.5] * 20),
        (0.123456, [1.0000001] * 3),
    ]:
        s_neg = torch.tensor(s_neg)
        page = open_page(
            chromium, tau_slider(s_pos, s_neg, digit, digit.expand(len(s_neg), 8, 8)).html
        )
        for key, tau in (("Home", 0.01), ("End", 10)):
            page.locator("input").press(key)
            check_numbers(page, expected(s_pos, s_neg, tau))
            assert "NaN" not in page.content()
        assert page.troubles == []


@pytest.mark.parametrize("width", [340, 390, 800])
@pytest.mark.parametrize("scripts", [True, False])
def test_no_horizontal_scroll(digits, several, chromium, width, scripts):
    for html in (tau_slider(**digits).html, several):
        page = open_page(chromium, html, width=width, java_script_enabled=scripts)
        assert page_width(page) == width


@pytest.fixture(scope="module")
def several():
    return digits_tau_slider((2, 0, 7)).html


def test_digits_under_the_slider_are_those_that_one_gives_by_hand(digits):
    """The positive differs: it is one pixel lower, as in the chapter, and not one pixel to the
    right.
    """
    images = load("digits").images[:, 0]
    shifted = images[0].roll(1, dims=0)
    mean = images.double().mean(0)
    anchor, positive = (
        torch.nn.functional.normalize((image.double() - mean).flatten(), dim=0)
        for image in (images[0], shifted)
    )
    by_hand = Anchor(
        anchor @ positive,
        digits["s_neg"],
        images[0],
        images[1:],
        shifted,
        name=str(load("digits").labels[0].item()),
    )
    assert digits_tau_slider((0,)).html == tau_slider_for([by_hand]).html


def numbers_of(index, tau):
    """The four numbers of a digit by the library, slowly and plainly."""
    images = load("digits").images
    x = images.flatten(1).double()
    mean = x.mean(dim=0)
    z = torch.nn.functional.normalize(x - mean, dim=1)
    lower = images[index].roll(1, dims=1).flatten().double()
    s_pos = torch.nn.functional.normalize(lower - mean, dim=0) @ z[index]
    s_neg = torch.cat([z[:index], z[index + 1 :]]) @ z[index]
    return expected(s_pos.item(), s_neg, tau)


def test_a_tap_on_a_digit_makes_it_the_anchor(several, chromium):
    page = open_page(chromium, several, width=390, has_touch=True)
    drawn = set()
    for number, index in ((0, 2), (2, 7), (1, 0), (0, 2)):
        page.touchscreen.tap(*centre(page.locator(".choices label").nth(number)))
        check_numbers(page, numbers_of(index, 0.2))
        chosen = page.locator(".choices img").nth(number).get_attribute("src")
        assert page.locator(".anchor img").get_attribute("src") == chosen
        assert [radio.is_checked() for radio in page.locator(".choices input").all()] == [
            k == number for k in range(3)
        ]
        drawn.add(
            (
                page.locator(".hist").get_attribute("d"),
                page.locator("ol img").first.get_attribute("src"),
            )
        )
    assert len(drawn) == 3
    assert page.troubles == []


def test_one_stop_has_ten_effective_negatives(several, chromium):
    page = open_page(chromium, several)
    stops = []
    for number, index in ((0, 2), (1, 0), (2, 7)):
        page.locator(".choices input").nth(number).check()
        page.get_by_role("button", name="ten effective negatives").click()
        tau = float(page.locator('[data-quantity="tau"]').get_attribute("data-value"))
        assert numbers_of(index, tau)["effective"] == pytest.approx(10, abs=0.01)
        assert page.locator('[data-quantity="effective"]').inner_text() == "10.0"
        check_numbers(page, numbers_of(index, tau))
        stops.append(page.locator("input[type=range]").input_value())
        page.locator("input[type=range]").press("ArrowLeft")
        page.locator("input[type=range]").press("ArrowRight")  # the keys stop there, too
        assert page.locator('[data-quantity="effective"]').inner_text() == "10.0"
    page.get_by_role("button", name="τ = 0.05").click()
    check_numbers(page, numbers_of(7, 0.05))
    assert page.troubles == []


def test_no_stop_where_ten_cannot_be_had(chromium):
    digit = torch.zeros(8, 8, dtype=torch.uint8)
    html = tau_slider(0.9, torch.linspace(-0.5, 0.5, 9), digit, digit.expand(9, 8, 8)).html
    assert "data-ten>" not in html
    assert open_page(chromium, html).get_by_role("button", name="ten").count() == 0


def test_on_a_phone_the_digits_lie_under_the_thumb(several, chromium):
    page = open_page(chromium, several, width=390, has_touch=True)
    slider = page.locator("input[type=range]").bounding_box()
    first, *_, last = [item.bounding_box() for item in page.locator("ol li:not(.distant)").all()]
    assert 0 < first["y"] - slider["y"] - slider["height"] < 60
    assert last["y"] + last["height"] < 600  # slider and digits are seen together


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_accent_stands_out(several, chromium, theme):
    page = open_page(chromium, several, theme=theme)
    colour = page.locator(".control b").evaluate("(node) => getComputedStyle(node).color")
    assert contrast(channels(colour), GROUNDS[theme]) > 4.5


@pytest.mark.parametrize(
    ("sizes", "tau", "says"),
    [
        ((), 0.2, "anchors is empty"),
        ((3, 4), 0.2, "give each the same number"),
        ((3,), 20.0, "from 0.01 to 10"),
    ],
)
def test_wrong_arguments_for_several(sizes, tau, says):
    digit = torch.zeros(8, 8, dtype=torch.uint8)
    anchors = [Anchor(0.9, torch.zeros(size), digit, digit.expand(size, 8, 8)) for size in sizes]
    with pytest.raises(ValueError, match=says):
        tau_slider_for(anchors, tau)


def test_a_template_and_its_context_must_match():
    assert base.fill_template("<b>{{name}}</b> ${n}", {"name": 1}) == "<b>1</b> ${n}"
    with pytest.raises(KeyError, match=r"asks for \['name'\]"):
        base.fill_template("{{name}}", {})
    with pytest.raises(KeyError, match=r"holds \['more'\]"):
        base.fill_template("{{name}}", {"name": 1, "more": 2})


# ------------------------------------------------------------ similarities under trained encoders


@pytest.fixture(scope="module")
def with_encoders():
    return encoders_tau_slider((2, 0, 7)).html


@cache
def of_encoder(tau, row):
    """An anchor's similarities under an encoder: the positive's, and those of the negatives."""
    images = load("fashion-mnist-part", "test").images[:IMAGES]
    encoder = pretrained("contrastive", tau)
    z = torch.nn.functional.normalize(embed(encoder, images).double(), dim=1)
    # The page's views are rounded to 256 levels, these are not.
    view = embed_views(encoder, images[list(ANCHORS)])[ANCHORS.index(row)].double()
    return (view @ z[row]).item(), torch.cat([z[:row], z[row + 1 :]]) @ z[row]


def check_encoder(page, trained_at, row, tau):
    """The page's numbers are the library's; the loss nearly so, since its positive is rounded."""
    s_pos, s_neg = of_encoder(trained_at, row)
    want = expected(s_pos, s_neg, tau)
    for name in ("entropy", "effective", "nearest"):
        node = page.locator(f'[data-quantity="{name}"]')
        # Embeddings are float32: a similarity may round to the next fifth decimal.
        assert float(node.get_attribute("data-value")) == pytest.approx(want[name], rel=2e-3), name
    loss = page.locator('[data-quantity="loss"]').get_attribute("data-value")
    assert float(loss) == pytest.approx(want["loss"], abs=0.02 / tau)
    assert page.locator('[data-quantity="effective"] + small').inner_text() == f"of {IMAGES - 1}"


def test_the_reader_chooses_where_similarities_come_from(with_encoders, chromium):
    page = open_page(chromium, with_encoders)
    check_numbers(page, numbers_of(2, 0.2))
    select = page.get_by_role("combobox", name="Similarities from")
    assert select.locator("option").all_inner_texts() == [
        "pixels of the digits",
        "encoder trained at 0.07",
        "encoder trained at 0.2",
        "encoder trained at 1",
    ]
    seen = set()
    for place, trained_at in ((1, 0.07), (3, 1.0), (2, 0.2)):
        select.select_option(index=place)
        radios = page.locator(".choices input").all()
        names = [radio.get_attribute("aria-label") for radio in radios]
        assert names == ["anchor shirt", "anchor trouser", "anchor boot"]
        for number, row in enumerate(ANCHORS):
            page.locator(".choices input").nth(number).check()
            check_encoder(page, trained_at, row, 0.2)
            seen.add(page.locator(".hist").get_attribute("d"))
        assert page.locator(".place").all_inner_texts() == ["no. 40", "no. 200", "no. 399"]
    assert len(seen) == 9
    select.select_option(index=0)
    check_numbers(page, numbers_of(2, 0.2))
    assert page.locator(".place").all_inner_texts() == ["no. 144", "no. 718", "no. 1436"]
    assert page.locator('[data-quantity="effective"] + small').inner_text() == "of 1436"
    assert page.troubles == []


def test_an_anchor_and_a_temperature_stay_from_encoder_to_encoder(with_encoders, chromium):
    page = open_page(chromium, with_encoders)
    select = page.get_by_role("combobox", name="Similarities from")
    select.select_option(index=1)
    page.locator(".choices input").nth(1).check()
    page.get_by_role("button", name="τ = 0.05").click()
    shown = page.locator(".anchor img").get_attribute("src")
    for place, trained_at in ((2, 0.2), (3, 1.0)):
        select.select_option(index=place)
        assert page.get_by_role("radio", name="anchor trouser").is_checked()
        assert page.locator(".anchor img").get_attribute("src") == shown
        check_encoder(page, trained_at, ANCHORS[1], 0.05)
    # Trained at 1, this anchor's class lies so near that ten cannot be had on the slider.
    assert page.get_by_role("button", name="ten effective").count() == 0
    select.select_option(index=2)
    page.get_by_role("button", name="ten effective").click()
    assert page.locator('[data-quantity="effective"]').inner_text() == "10.0"
    assert page.troubles == []


def test_the_source_is_chosen_by_keyboard_and_said_aloud(with_encoders, chromium):
    page = open_page(chromium, with_encoders)
    page.keyboard.press("Tab")
    select = page.get_by_role("combobox", name="Similarities from")
    assert select.evaluate("node => node === document.activeElement")
    page.keyboard.press("ArrowDown")
    says = page.locator(".says")
    assert says.get_attribute("aria-live") == "polite"
    start = "Encoder trained at 0.07: at τ = 0.2 the 12 nearest of the 399 negatives take "
    assert says.inner_text().startswith(start)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")  # the images are one group of radio buttons still
    assert page.get_by_role("radio", name="anchor trouser").is_checked()
    check_encoder(page, 0.07, ANCHORS[1], 0.2)
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert page.locator('[data-quantity="tau"]').inner_text() == "0.01"
    assert page.troubles == []


def test_two_sliders_choose_their_sources_apart(with_encoders, chromium):
    page = open_page(chromium, with_encoders + encoders_tau_slider((0, 2), 0.1).html)
    page.locator("select").nth(1).select_option(index=3)
    says = page.locator(".says").all_inner_texts()
    assert says[0].startswith("Pixels of the digits: at τ = 0.2 ")
    assert says[1].startswith("Encoder trained at 1: at τ = 0.1 ")
    page.locator(".choices").nth(1).locator("input").nth(2).check()
    assert page.locator(".choices").nth(0).locator("input").nth(0).is_checked()
    assert page.troubles == []


def test_without_scripts_it_is_the_figure_of_the_digits(with_encoders, several, chromium):
    page = open_page(chromium, with_encoders, java_script_enabled=False)
    assert page.locator("select").is_hidden()
    alone = open_page(chromium, several, java_script_enabled=False)
    for part in ("ol", "dl"):
        assert page.locator(part).inner_text() == alone.locator(part).inner_text()
    assert repr(encoders_tau_slider((2, 0, 7))) == page.locator(".says").inner_text()


def test_the_encoders_are_light_and_ask_for_nothing(with_encoders, several):
    assert len(with_encoders) - len(several) < 60_000
    assert len(Outline(with_encoders).ids) == 1
    assert not re.search(r"https?://|//[a-z]+\.|fetch\(|innerHTML|type=.module", with_encoders)
    assert "{{" not in with_encoders


@pytest.mark.parametrize("width", [340, 800])
def test_the_choice_fits_a_phone(with_encoders, chromium, width):
    page = open_page(chromium, with_encoders, width=width)
    page.locator("select").select_option(index=3)
    assert page_width(page) == width


@pytest.mark.parametrize("width", [28, 7])
@pytest.mark.parametrize(("step", "bits"), [(17, 4), (1, 8)])
def test_an_image_is_written_as_it_is(step, bits, width):
    image = (torch.arange(5 * width).view(5, width) % 16 * step).to(torch.uint8)
    content = base64.b64decode(png(image).partition(",")[2])
    read = Image.open(io.BytesIO(content)).convert("L")
    assert list(read.tobytes()) == image.flatten().tolist()
    assert content[24] == bits  # a pixel


def anchor_with(count, positive=None):
    digit = torch.zeros(8, 8, dtype=torch.uint8)
    return Anchor(0.9, torch.linspace(-0.5, 0.5, count), digit, digit.expand(count, 8, 8), positive)


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ({}, "sources is empty"),
        ({"a": []}, "anchors is empty"),
        ({"a": [anchor_with(3)], "": [anchor_with(3)]}, "a source has the name ''"),
        ({"a": [anchor_with(3)], "b": [anchor_with(60)]}, r"have \[3, 60\] negatives an anchor"),
        (
            {"a": [anchor_with(3)], "b": [anchor_with(3, torch.zeros(8, 8, dtype=torch.uint8))]},
            "some anchors lack the image",
        ),
    ],
)
def test_sources_that_do_not_go_together(sources, says):
    with pytest.raises(ValueError, match=says):
        tau_slider_of_sources(sources)


def test_a_sources_name_is_text(chromium):
    sources = {"x < y & z": [anchor_with(3)], "<b>bold</b>": [anchor_with(3)]}
    page = open_page(chromium, tau_slider_of_sources(sources).html)
    assert page.locator("option").all_inner_texts() == ["x < y & z", "<b>bold</b>"]
    page.locator("select").select_option(index=1)
    assert page.locator(".says").inner_text().startswith("<b>bold</b>: at τ = 0.2 the 3 nearest")
