"""The encoder f: a backbone and a linear layer onto the unit sphere.

The linear probe reads the backbone's pooled features. A backbone is any module that takes images,
float [B, C, H, W], to features [B, out_features] and says how many in its attribute `out_features`.
resnet18_cifar and resnet50 are the paper's; resnet_small and convnet_digits train on a CPU. No
weights are downloaded: every net starts from PyTorch's random numbers, so torch.manual_seed fixes
it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastlib.checks import check_count, check_floating
from contrastlib.numerics import at_least_float32

__all__ = ["Encoder", "convnet_digits", "resnet18_cifar", "resnet50", "resnet_small"]


class WideLinear(nn.Linear):
    """A linear layer that computes in the precision of its input, whatever that of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


class Encoder(nn.Module):
    """The paper's f, images to unit vectors: a backbone, one linear layer, normalisation.

    It follows Wu et al. (2018). backbone: a module as above. d: dimensions of the sphere's space,
    the paper's 128.
    Errors: TypeError for a backbone without a whole number out_features and for a d that is no
    whole number; ValueError for d < 2, since the unit vectors of one dimension are only 1 and -1.
    """

    def __init__(self, backbone: nn.Module, d: int = 128):
        super().__init__()
        out_features = getattr(backbone, "out_features", None)
        if not isinstance(backbone, nn.Module) or not isinstance(out_features, int):
            raise TypeError(
                f"backbone is a {type(backbone).__name__} without a number out_features; give a "
                "module that takes images to features [B, out_features], such as resnet_small()"
            )
        check_count("d", d, 2)
        self.backbone = backbone
        self.head = WideLinear(out_features, d)

    def features(self, x: Tensor) -> Tensor:
        """From images, float [B, C, H, W], to the backbone's features [B, out_features].

        Errors: TypeError for a dtype that is not floating, ValueError for another number of
        dimensions.
        """
        check_floating("x", x, "B C H W")
        return self.backbone(x)

    def forward(self, x: Tensor) -> Tensor:
        """From images, float [B, C, H, W], to unit vectors [B, d], float32 also under autocast and
        for weights in half precision (float64 for float64).

        Errors as for `features`.
        """
        features = self.features(x)  # [B, out_features]
        # In bfloat16 two nearby embeddings would have the same similarities to all keys.
        with torch.autocast(x.device.type, enabled=False):
            features = features.to(at_least_float32(features))
            return F.normalize(self.head(features), dim=1)  # [B, d]


def resnet18_cifar(stride: int = 1, max_pool: bool = False, in_channels: int = 3) -> nn.Module:
    """ResNet-18 for images of 32 x 32 pixels: torchvision's, its first convolution 3 x 3.

    It has 512 features. The paper says no more than that the first convolution is 3 x 3. The
    default leaves out its stride of 2 and the maximum pooling after it too, as in the code of Wu et
    al. (2018), whose set-up the paper follows, and as is usual for CIFAR: the last stage then sees
    4 x 4 places. stride=2, max_pool=True changes the kernel alone and leaves one place, for a
    sixteenth of the arithmetic. The number of weights is the same.
    """
    check_count("stride", stride, 1)
    check_count("in_channels", in_channels, 1)
    from torchvision.models import resnet18  # a second to import

    net = resnet18(weights=None)
    net.conv1 = nn.Conv2d(in_channels, 64, 3, stride, padding=1, bias=False)
    # As torchvision initialises its own.
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    if not max_pool:
        net.maxpool = nn.Identity()
    return without_classifier(net)


def resnet50() -> nn.Module:
    """ResNet-50 as torchvision has it, for ImageNet100 at 224 x 224 pixels. 2048 features."""
    from torchvision.models import resnet50 as torchvision_resnet50  # a second to import

    return without_classifier(torchvision_resnet50(weights=None))


def resnet_small(width: int = 16, in_channels: int = 3, stem_stride: int = 2) -> nn.Sequential:
    """A ResNet of four stages with one block each, for 32 x 32 pixels on a CPU.

    It has 8 * width features. width: channels of the first stage; each further stage has twice as
    many, and half the height and width. stem_stride: 2 halves the image at the start, which makes
    the net four times as fast as 1.
    """
    check_count("width", width, 1)
    check_count("in_channels", in_channels, 1)
    check_count("stem_stride", stem_stride, 1)
    first = Block(width, width, 1)
    second = Block(width, 2 * width, 2)
    third = Block(2 * width, 4 * width, 2)
    fourth = Block(4 * width, 8 * width, 2)
    stem = (*convolution(in_channels, width, stem_stride), nn.ReLU())
    return pooled(8 * width, *stem, first, second, third, fourth)


def convnet_digits(width: int = 32, in_channels: int = 1) -> nn.Sequential:
    """Three convolutions for the digits, 8 x 8 pixels, which train in seconds on a CPU.

    It has 4 * width features.
    """
    check_count("width", width, 1)
    check_count("in_channels", in_channels, 1)
    first = convolution(in_channels, width, 1)
    second = convolution(width, 2 * width, 2)
    third = convolution(2 * width, 4 * width, 2)
    return pooled(4 * width, *first, nn.ReLU(), *second, nn.ReLU(), *third, nn.ReLU())


class Block(nn.Module):
    """The basic block of a ResNet (He et al. 2016): two convolutions and a shortcut around them."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        first = convolution(in_channels, out_channels, stride)
        second = convolution(out_channels, out_channels)
        self.residual = nn.Sequential(*first, nn.ReLU(), *second)
        if stride == 1 and in_channels == out_channels:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential(*convolution(in_channels, out_channels, stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        """From [B, in_channels, H, W] to [B, out_channels, H / stride, W / stride], rounded up."""
        return F.relu(self.residual(x) + self.shortcut(x))


def convolution(
    in_channels: int, out_channels: int, stride: int = 1, kernel: int = 3
) -> tuple[nn.Module, nn.Module]:
    """A convolution without bias and the batch normalisation that follows it."""
    padding = kernel // 2
    convolve = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
    return convolve, nn.BatchNorm2d(out_channels)


def pooled(out_features: int, *layers: nn.Module) -> nn.Sequential:
    """The layers, then the mean over all places: a backbone."""
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.out_features = out_features
    return net


def without_classifier(net: nn.Module) -> nn.Module:
    """A torchvision ResNet that ends at its pooled features: a backbone."""
    net.out_features = net.fc.in_features
    net.fc = nn.Identity()
    return net
