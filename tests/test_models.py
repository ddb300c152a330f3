"""The encoders: shapes, unit vectors, gradients, sizes against torchvision's, bad input."""

import pytest
import torch
import torchvision
from torch import nn

from contrastlib.models import Encoder, convnet_digits, resnet18_cifar, resnet50, resnet_small

# Each backbone: how to make it, its input [C, H, W], its number of features.
BACKBONES = {
    "resnet18_cifar": (resnet18_cifar, (3, 32, 32), 512),
    "resnet50": (resnet50, (3, 64, 64), 2048),
    "resnet_small": (resnet_small, (3, 32, 32), 128),
    "convnet_digits": (convnet_digits, (1, 8, 8), 128),
}


def size(net):
    return sum(p.numel() for p in net.parameters())


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", BACKBONES)
def test_features_and_unit_vectors(name):
    make, shape, out_features = BACKBONES[name]
    encoder = Encoder(make(), d=16)
    x = images(4, *shape)
    features = encoder.features(x)
    z = encoder(x)
    assert encoder.backbone.out_features == out_features
    assert features.shape == (4, out_features)
    assert z.shape == (4, 16)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4))
    assert Encoder(encoder.backbone).head.out_features == 128  # the paper's d

    (z @ images(16)).sum().backward()
    without = [
        name
        for name, p in encoder.named_parameters()
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert without == []


@pytest.mark.parametrize("name", BACKBONES)
def test_seed_decides_the_weights(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in Encoder(BACKBONES[name][0]()).parameters()])

    first = weights(0)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_embedding_is_the_normalised_head_of_the_features():
    encoder = Encoder(convnet_digits(width=4), d=3).eval()
    z = encoder.features(images(5, 1, 8, 8)) @ encoder.head.weight.T + encoder.head.bias
    torch.testing.assert_close(
        encoder(images(5, 1, 8, 8)), z / z.pow(2).sum(dim=1, keepdim=True).sqrt()
    )


def test_zero_is_no_nan():
    encoder = Encoder(convnet_digits(width=4))
    nn.init.zeros_(encoder.head.weight)
    nn.init.zeros_(encoder.head.bias)
    z = encoder(images(2, 1, 8, 8))
    z.sum().backward()
    assert (z == 0).all()
    assert encoder.head.weight.grad.isfinite().all()


def test_autocast_leaves_the_embedding_in_float32():
    encoder = Encoder(resnet_small(width=4))
    with torch.autocast("cpu", torch.bfloat16):
        x = images(6, 3, 32, 32)
        assert encoder.features(x).dtype == torch.bfloat16
        z = encoder(x)
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize("make", [resnet18_cifar, resnet_small, convnet_digits])
@pytest.mark.parametrize("channels", [1, 3])
def test_in_channels(make, channels):
    net = make(in_channels=channels)
    assert net(images(2, channels, 16, 16)).shape == (2, net.out_features)
    assert (
        size(make(in_channels=3)) - size(make(in_channels=1))
        == 2 * 9 * next(net.parameters()).shape[0]
    )


def test_resnet18_is_torchvisions_but_for_its_first_convolution():
    theirs = torchvision.models.resnet18(weights=None)
    for arguments in ({}, {"stride": 2, "max_pool": True}):
        ours = resnet18_cifar(**arguments)
        shapes = {name: p.shape for name, p in ours.state_dict().items()}
        expected = {
            name: p.shape for name, p in theirs.state_dict().items() if not name.startswith("fc.")
        }
        assert shapes == expected | {"conv1.weight": (64, 3, 3, 3)}
        assert size(ours) == size(theirs) - size(theirs.fc) - 64 * 3 * (49 - 9)
        assert (
            abs(ours.conv1.weight.std() / (2 / (64 * 9)) ** 0.5 - 1) < 0.1
        )  # drawn as torchvision draws it


@pytest.mark.parametrize(
    ("stride", "max_pool", "places"), [(1, False, 4), (2, False, 2), (1, True, 2), (2, True, 1)]
)
def test_stride_and_pooling_decide_the_last_stage(stride, max_pool, places):
    net = resnet18_cifar(stride, max_pool)
    seen = []
    net.layer4.register_forward_hook(lambda module, x, out: seen.append(out.shape))
    net(images(2, 3, 32, 32))
    assert seen == [(2, 512, places, places)]


def test_resnet50_is_torchvisions_without_its_classifier():
    theirs = torchvision.models.resnet50(weights=None)
    assert size(resnet50()) == size(theirs) - size(theirs.fc)


@pytest.mark.parametrize("width", [4, 16])
def test_width(width):
    assert resnet_small(width).out_features == 8 * width
    assert convnet_digits(width).out_features == 4 * width


def test_stem_stride_decides_the_places():
    for stride, places in ((1, 4), (2, 2)):
        net = resnet_small(width=4, stem_stride=stride)
        assert net[:-2](images(2, 3, 32, 32)).shape == (2, 32, places, places)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Encoder(nn.Linear(3, 4).weight),
            TypeError,
            "backbone is a Parameter without a number out_features",
        ),
        (
            lambda: Encoder(nn.Flatten()),
            TypeError,
            "backbone is a Flatten without a number out_features",
        ),
        (lambda: Encoder(convnet_digits(), d=1), ValueError, "d is 1; give a number at least 2"),
        (lambda: Encoder(convnet_digits(), d=12.0), TypeError, "d is 12.0, a float"),
        (lambda: convnet_digits(width=0), ValueError, "width is 0"),
        (lambda: resnet_small(in_channels=0), ValueError, "in_channels is 0"),
        (lambda: resnet_small(stem_stride=True), TypeError, "stem_stride is True, a bool"),
        (lambda: resnet18_cifar(stride=0), ValueError, "stride is 0"),
    ],
)
def test_bad_settings(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
            TypeError,
            "x has dtype torch.uint8; it must be floating point",
        ),
        (torch.zeros(1, 8, 8), ValueError, r"x has shape \[1, 8, 8\]; give \[B, C, H, W\]"),
        (torch.zeros(0, 1, 8, 8), ValueError, "none of them 0"),
    ],
)
def test_bad_images(x, error, message):
    encoder = Encoder(convnet_digits())
    for method in (encoder, encoder.features):
        with pytest.raises(error, match=message):
            method(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_another_precision(dtype):
    encoder = Encoder(convnet_digits(4), 16).to(dtype).eval()
    z = encoder(torch.rand(3, 1, 8, 8, dtype=dtype))
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert z.dtype == expected
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3, dtype=expected))
