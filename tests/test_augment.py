"""The augmentations: each operator against torchvision image by image, the draws' distributions,
bad input.
"""

import dataclasses
import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_image
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import RandomResizedCrop

from contrastlib.augment import Augmentation
from contrastlib.image_operations import (
    YIQ,
    adjust_colour,
    crop_boxes,
    gaussian_blur,
    resized_crop,
    shift_hue_,
)

STILL = {
    "crop": (1.0, 1.0),
    "ratio": (1.0, 1.0),
    "jitter_probability": 0.0,
    "grayscale": 0.0,
    "flip": 0.0,
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(batch=5, channels=3, height=32, width=32, seed=0):
    return torch.randint(
        0, 256, (batch, channels, height, width), dtype=torch.uint8, generator=seeded(seed)
    )


def colours(low=0.0, high=1.0, batch=5, channels=3):
    """Float images; the last has few colours, so that many pixels are grey or have two equal
    channels.
    """
    x = torch.rand(batch, channels, 12, 10, generator=seeded())
    x[-1] = (2 * x[-1]).round() / 2
    return low + (high - low) * x


def distance(x, y):
    return (x - y).abs().max().item()


# ---------------------------------------------------------------- each operator against
# torchvision's


@pytest.mark.parametrize(
    "size", [(32, 32), (40, 36), (64, 50), (8, 12)]
)  # the last shrinks, hence is antialiased
def test_resized_crop_is_torchvisions(size):
    images = pictures(height=40, width=36)
    top = (3, 0, 7, 39, 15)
    left = (6, 0, 1, 0, 35)
    height = (10, 40, 33, 1, 25)
    width = (30, 36, 9, 36, 1)
    boxes = list(zip(top, left, height, width, strict=True))
    expected = [
        tv.resized_crop(i / 255, *box, list(size)) for i, box in zip(images, boxes, strict=True)
    ]
    result = resized_crop(images, *torch.tensor(boxes).float().T, size)
    assert distance(result, torch.stack(expected)) < 1e-5

    flip = torch.tensor([True, False, True, True, False])
    expected = [tv.horizontal_flip(i) if f else i for i, f in zip(expected, flip, strict=True)]
    assert (
        distance(
            resized_crop(images, *torch.tensor(boxes).float().T, size, flip), torch.stack(expected)
        )
        < 1e-5
    )


def test_enlarging_needs_no_antialiasing():
    images = pictures(1, height=20, width=20)
    box = (2, 3, 11, 9)
    plain = tv.resized_crop(images / 255, *box, [32, 32], antialias=False)
    assert (
        distance(resized_crop(images, *torch.tensor(box).float()[:, None], (32, 32)), plain) < 1e-5
    )


FACTORS = torch.tensor([0.6, 0.8, 1.0, 1.2, 1.4])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("place", "reference"),
    [(0, tv.adjust_brightness), (1, tv.adjust_contrast), (2, tv.adjust_saturation)],
)
def test_colour_factors_are_torchvisions(place, reference, channels):
    x = colours(channels=channels)
    factors = [torch.ones(5)] * 3
    factors[place] = FACTORS
    expected = torch.stack(
        [reference(image, factor.item()) for image, factor in zip(x, FACTORS, strict=True)]
    )
    assert (
        distance(adjust_colour(x, *factors), expected) < 1e-4
    )  # torchvision's luma weights sum to 0.9999


def test_saturation_0_is_grayscale():
    one = torch.ones(5)
    assert (
        distance(adjust_colour(colours(), one, one, 0 * one), tv.rgb_to_grayscale(colours(), 3))
        < 2e-4
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_colour_map_is_torchvisions_in_any_order_where_nothing_is_clamped(order):
    x = colours(0.3, 0.6)
    factors = (FACTORS, FACTORS.roll(1), FACTORS.roll(2))
    steps = tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation
    expected = []
    for i, image in enumerate(x):
        for step in order:
            image = steps[step](image, factors[step][i].item())
        assert 0 < image.min() < image.max() < 1
        expected.append(image)
    assert distance(adjust_colour(x, *factors), torch.stack(expected)) < 2e-4


@settings(deadline=None, max_examples=25)
@given(turns=st.lists(st.floats(-0.5, 0.5, width=32), min_size=5, max_size=5))
def test_shift_hue_is_torchvisions(turns):
    expected = torch.stack(
        [tv.adjust_hue(image, turn) for image, turn in zip(colours(), turns, strict=True)]
    )
    assert distance(shift_hue_(colours(), torch.tensor(turns)), expected) < 1e-5


def test_hue_rotation_turns_the_chroma():
    x = colours(0.4, 0.6)
    one = torch.ones(5)
    turns = torch.linspace(-0.4, 0.4, 5)
    yiq = torch.tensor(YIQ, dtype=torch.float64)
    for image, turn, result in zip(
        x.double(), turns.tolist(), adjust_colour(x, one, one, one, turns), strict=True
    ):
        c = math.cos(2 * math.pi * turn)
        s = math.sin(2 * math.pi * turn)
        rotation = torch.tensor([[1, 0, 0], [0, c, s], [0, -s, c]], dtype=torch.float64)
        expected = torch.einsum("ij,jhw->ihw", yiq.inverse() @ rotation @ yiq, image)
        assert distance(result, expected) < 1e-6


@pytest.mark.parametrize("most", [0.1, 0.4])
def test_how_far_the_two_hues_differ(most):
    """On photographs, in steps of 1/255: as far as either moves a channel, or within a factor of
    four of it.
    """
    photographs = torch.stack(
        [torch.tensor(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    )
    x = tv.resize(photographs.permute(0, 3, 1, 2), [96, 96]).float() / 255
    x = x.unfold(2, 32, 32).unfold(3, 32, 32).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 32, 32)
    one = torch.ones(len(x))
    turns = (torch.rand(len(x), generator=seeded()) * 2 - 1) * most
    hsv = shift_hue_(x.clone(), turns)
    yiq = adjust_colour(x, one, one, one, turns).clamp(0, 1)
    moved, turned, apart = (
        (a - b).abs().mean().item() for a, b in ((hsv, x), (yiq, x), (hsv, yiq))
    )
    print(
        f"hue up to {most}: HSV moves {255 * moved:.1f}, YIQ {255 * turned:.1f}, "
        f"apart {255 * apart:.1f}"
    )
    assert max(moved, turned) / 4 < apart < 4 * min(moved, turned)


def test_both_hues_turn_the_same_way():
    x = colours()
    one = torch.ones(5)
    turns = torch.full((5,), 0.2)
    hsv = shift_hue_(x.clone(), turns)
    along, against = (adjust_colour(x, one, one, one, t) for t in (turns, -turns))
    assert (hsv - along).abs().mean() < (hsv - against).abs().mean() / 2


@pytest.mark.parametrize("hue_space", ["hsv", "yiq"])
def test_hue_leaves_greys_alone(hue_space):
    grey = pictures(channels=1).expand(-1, 3, -1, -1)
    augment = Augmentation(
        **STILL | {"jitter_probability": 1}, brightness=0, contrast=0, hue=0.5, hue_space=hue_space
    )
    assert distance(augment(grey), grey / 255) < 1e-6


def test_gaussian_blur_is_torchvisions():
    sigmas = torch.tensor([0.1, 0.4, 0.9, 2.0, 1e-3])
    expected = [
        tv.gaussian_blur(image, 7, [sigma.item()])
        for image, sigma in zip(colours(), sigmas, strict=True)
    ]
    result = gaussian_blur(colours(), sigmas, 3)
    assert distance(result, torch.stack(expected)) < 1e-5
    assert torch.equal(result[-1], colours()[-1])  # a sigma far below a pixel is no blur


# ---------------------------------------------------------------- the draws


@pytest.mark.parametrize(
    ("scale", "ratio"),
    [
        ((0.2, 1.0), (3 / 4, 4 / 3)),
        ((0.08, 0.5), (0.5, 2.0)),
        ((0.95, 1.0), (1.4, 1.5)),
    ],  # the last never fits
)
def test_crops_are_distributed_as_torchvisions(scale, ratio):
    n = 4000
    size = (32, 40) if ratio[0] < 1 else (32, 32)
    torch.manual_seed(0)
    expected = [RandomResizedCrop.get_params(torch.empty(3, *size), scale, ratio) for _ in range(n)]
    expected = torch.tensor(expected, dtype=torch.float64)
    u = torch.rand(22, n, generator=seeded())
    area = scale[0] + (scale[1] - scale[0]) * u[:10]
    aspect = (math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * u[10:20]).exp()
    boxes = torch.stack(crop_boxes(area, aspect, u[20], u[21], *size), dim=1).double()
    assert torch.equal(boxes, boxes.round())
    if (
        ratio[0] > 1
    ):  # then torchvision takes the largest crop of the smallest ratio, here the first one drawn
        assert (boxes[:, 3] == 32).all()
        assert (boxes[:, 2] <= 32).all()
        return
    height, width = size
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= height).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()
    for draws in (
        lambda b: b,
        lambda b: b**2,
        lambda b: b[:, 2:3] * b[:, 3:4],
    ):  # means, spreads, area
        ours = draws(boxes)
        theirs = draws(expected)
        error = (ours.var(dim=0) / n + theirs.var(dim=0) / n).sqrt()
        assert ((ours.mean(dim=0) - theirs.mean(dim=0)).abs() < 5 * error).all()


def test_crops_below_one_pixel_take_one():
    images = pictures(20, height=9, width=31)
    augment = Augmentation(**STILL | {"ratio": (3 / 4, 4 / 3), "crop": (0.01, 0.02)})
    assert augment(images).isfinite().all()


def factors_of(augment, images):
    """Per image, what brightness alone multiplied it by."""
    return (augment(images, seeded()) * 255 / images).flatten(1).mean(dim=1)


def test_jitter_is_uniform_and_sometimes_left_out():
    images = torch.full((2000, 3, 4, 4), 100, dtype=torch.uint8)
    still = STILL | {"jitter_probability": 1.0}
    factors = factors_of(Augmentation(**still, contrast=0, saturation=0, hue=0), images)
    assert 0.6 <= factors.min() < 0.605
    assert 1.395 < factors.max() <= 1.4
    assert abs(factors.mean() - 1) < 0.03
    assert abs(factors.std() - 0.8 / 12**0.5) < 0.02
    still["jitter_probability"] = 0.25
    unmoved = (
        factors_of(Augmentation(**still, contrast=0, saturation=0, hue=0), images) - 1
    ).abs() < 1e-5
    assert abs(unmoved.float().mean() - 0.75) < 0.05


@pytest.mark.parametrize("hue_space", ["hsv", "yiq"])
@pytest.mark.parametrize(
    ("operator", "reference"),
    [("flip", tv.horizontal_flip), ("grayscale", lambda x: tv.rgb_to_grayscale(x, 3))],
)
def test_probabilities(operator, reference, hue_space):
    images = pictures(400, height=6, width=6)
    for probability in (0.0, 0.3, 1.0):
        views = Augmentation(**STILL | {operator: probability}, hue_space=hue_space)(
            images, seeded()
        )
        changed = (views - reference(images / 255)).abs().amax((1, 2, 3)) < 2e-4
        unchanged = (views - images / 255).abs().amax((1, 2, 3)) < 2e-4
        assert (changed ^ unchanged).all()
        assert abs(changed.float().mean() - probability) < (0.1 if 0 < probability < 1 else 1e-9)


def test_blur_happens_as_often_as_told():
    images = pictures(300, height=8, width=8)
    views = Augmentation(**STILL, blur=0.5, blur_sigma=(1.0, 2.0))(images, seeded())
    unchanged = (views - images / 255).abs().amax((1, 2, 3)) < 1e-5
    assert abs(unchanged.float().mean() - 0.5) < 0.15
    assert views[~unchanged].std() < 0.7 * views[unchanged].std()


@pytest.mark.parametrize("hue_space", ["hsv", "yiq"])
@pytest.mark.parametrize("channels", [1, 3])
def test_views(hue_space, channels):
    images = pictures(1, channels).expand(6, -1, -1, -1)  # six times the same image
    augment = Augmentation(
        hue_space=hue_space, blur=0.5, mean=(0.5,) * channels, std=(0.25,) * channels
    )
    generator = seeded()
    first = augment(images, generator)
    second = augment(images, generator)
    again = augment(images, seeded())
    assert torch.equal(first, again)
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert -2 <= first.min() < first.max() <= 2
    for i, j in itertools.combinations(torch.cat([first, second]), 2):
        assert (
            distance(i, j) > 0.1
        )  # no image shares its draw with another, nor a view with the other view


def test_settings_share_their_crops():
    images = pictures(4)
    changed = {"hue": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "grayscale": 0.0}
    views = [Augmentation(**changed, hue_space=space)(images, seeded()) for space in ("hsv", "yiq")]
    assert distance(*views) < 1e-5


def test_nothing_to_do_is_normalise():
    augment = Augmentation(**STILL, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    plain = augment.normalise(pictures())
    assert distance(augment(pictures()), plain) < 1e-5
    assert distance(plain, tv.normalize(pictures() / 255, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4])) < 1e-6


def test_size_and_memory_format():
    images = pictures(height=40, width=30)
    augment = Augmentation(size=24)
    assert augment(images).shape == (5, 3, 24, 24)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(images, seeded()), augment(last, seeded()))


@pytest.mark.parametrize("hue_space", ["hsv", "yiq"])
def test_autocast_changes_nothing(hue_space):
    augment = Augmentation(hue_space=hue_space, blur=0.5)
    plain = augment(pictures(), seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(pictures(), seeded()), plain)


@pytest.mark.parametrize("hue_space", ["hsv", "yiq"])
def test_no_value_is_read(hue_space):
    """FakeTensorMode raises where a value is asked for, which is where a GPU would make the
    processor wait.
    """
    with FakeTensorMode():
        images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
        views = Augmentation(hue_space=hue_space, blur=0.5, mean=(0.5,) * 3, std=(0.2,) * 3)(images)
        assert views.shape == images.shape


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"flip": 1.5}, ValueError, r"flip is 1.5; it must lie in \[0, 1.0\]"),
        ({"grayscale": -0.1}, ValueError, "grayscale is -0.1"),
        ({"jitter_probability": float("nan")}, ValueError, "jitter_probability is nan"),
        ({"blur": True}, TypeError, "blur is True, a bool"),
        ({"brightness": "0.4"}, TypeError, "brightness is '0.4', a str"),
        ({"saturation": 1.2}, ValueError, "saturation is 1.2"),
        ({"hue": 0.6}, ValueError, r"hue is 0.6; it must lie in \[0, 0.5\]"),
        ({"hue_space": "rgb"}, ValueError, "hue_space is 'rgb'; give 'hsv'"),
        ({"crop": (0.0, 1.0)}, ValueError, "crop is 0.0; it must be finite and above 0"),
        ({"crop": (0.2, 1.1)}, ValueError, r"crop is \(0.2, 1.1\); no crop is larger"),
        ({"crop": 0.2}, TypeError, "crop is 0.2; give two numbers"),
        ({"ratio": (2, 1)}, ValueError, r"the smallest comes first: give \(1, 2\)"),
        ({"blur_sigma": (0.1, math.inf)}, ValueError, "blur_sigma is inf"),
        ({"size": 0}, ValueError, "size is 0; give a whole number of pixels"),
        ({"mean": (0.5,)}, ValueError, "give both"),
        ({"mean": (0.5,), "std": (0.0,)}, ValueError, "std is 0.0"),
        (
            {"mean": "nan", "std": (0.2, 0.2, 0.2)},
            ValueError,
            "mean is 'nan'; give one finite number a channel",
        ),
        ({"mean": (float("nan"),), "std": (0.2,)}, ValueError, "give one finite number a channel"),
    ],
)
def test_bad_settings(setting, error, message):
    with pytest.raises(error, match=message):
        Augmentation(**setting)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble, np.float16, Fraction])
def test_other_numbers_become_pythons(kind):
    """So a recipe that holds them can be written to JSON or a checkpoint, and hashed."""
    half = kind(0.5)
    augment = Augmentation(
        crop=(half, kind(1)),
        ratio=np.array([0.5, 2.0]),
        size=np.int64(8),
        brightness=half,
        hue=half,
        hue_space=np.str_("yiq"),
        flip=np.array(0.5),
        blur_sigma=[half, kind(2)],
        mean=np.full(3, 0.5, np.float32),
        std=torch.full((3,), 0.25),
    )
    plain = Augmentation(
        crop=(0.5, 1.0),
        ratio=(0.5, 2.0),
        size=8,
        brightness=0.5,
        hue=0.5,
        hue_space="yiq",
        flip=0.5,
        blur_sigma=(0.5, 2.0),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    assert augment == plain
    assert hash(augment) == hash(plain)
    for name, value in dataclasses.asdict(augment).items():
        values = value if isinstance(value, tuple) else (value,)
        assert {type(one) for one in values} <= {int, float, str}, name
    assert json.loads(json.dumps(dataclasses.asdict(augment)))["flip"] == 0.5


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"flip": np.float32(1.5)}, ValueError, "flip is 1.5"),
        ({"flip": np.float32("nan")}, ValueError, "flip is nan"),
        ({"flip": np.bool_(True)}, TypeError, "flip is True, a bool"),
        ({"flip": np.array([0.5, 0.5])}, TypeError, r"flip is \(0.5, 0.5\), a tuple"),
        ({"size": np.float32(8)}, ValueError, "size is 8.0; give a whole number"),
        ({"size": np.int64(0)}, ValueError, "size is 0"),
        ({"crop": np.array([0.2, 0.5, 1.0])}, TypeError, "give two numbers"),
    ],
)
def test_bad_numbers_of_numpy(setting, error, message):
    with pytest.raises(error, match=message):
        Augmentation(**setting)


@pytest.mark.parametrize("method", ["__call__", "normalise"])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(2, 3, 8, 8), TypeError, "images has dtype torch.float32; give torch.uint8"),
        ([[0]], TypeError, "images is a list"),
        (pictures(2)[0], ValueError, r"images has shape \[3, 32, 32\]; give \[B, C, H, W\]"),
        (pictures(2).permute(0, 2, 3, 1), ValueError, "channels come before height"),
        (pictures(2)[:0], ValueError, "none of them 0"),
        (pictures(2, channels=1), ValueError, r"mean has 3 number\(s\) and the images 1 channel"),
    ],
)
def test_bad_images(method, images, error, message):
    with pytest.raises(error, match=message):
        getattr(Augmentation(mean=(0.5,) * 3, std=(0.2,) * 3), method)(images)


def test_generator_elsewhere():
    with pytest.raises(ValueError, match="generator is on cpu and images on meta"):
        Augmentation()(torch.zeros(2, 3, 8, 8, dtype=torch.uint8, device="meta"), seeded())


@pytest.mark.parametrize("shape", [(64, 3), (1, 10), (10, 1), (2, 2)])
def test_blur_of_thin_images(shape):
    images = torch.randint(0, 256, (4, 3, *shape), dtype=torch.uint8)
    always = Augmentation(crop=(1.0, 1.0), ratio=(1.0, 1.0), blur=1.0)
    view = always(images, torch.Generator().manual_seed(0))
    assert view.isfinite().all()


def test_one_number_for_the_mean_is_refused():
    with pytest.raises(ValueError, match=r"mean is 0.5; give one number a channel"):
        Augmentation(mean=0.5, std=0.2)
