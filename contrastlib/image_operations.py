"""Operators on a whole batch of images, each image with its own numbers: crop, colour, hue, blur.

`augment.Augmentation` draws the numbers and says why these forms are fast. All operators take float
images [B, C, H, W] in [0, 1], except `resized_crop`, which takes uint8. None waits for the device.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Luma (ITU-R BT.601) and the chroma of NTSC's YIQ, whose rows sum to 1, 0 and 0. torchvision's luma
# has 0.2989.
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def crop_boxes(
    area: Tensor, ratio: Tensor, top: Tensor, left: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The boxes of random crops, in whole pixels: top, left, height, width, each [B], float.

    area, ratio: [attempts, B], shares of the image's area and widths / heights. An image takes the
    first attempt that fits into it; where none does, the first of all, cut down to the image.
    top, left [B] in [0, 1) place the box uniformly among the pixels where it fits.
    """
    widths = (area * ratio * (height * width)).sqrt().round()  # [attempts, B]
    heights = (area / ratio * (height * width)).sqrt().round()  # [attempts, B]
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = fits.int().argmax(dim=0, keepdim=True)  # [1, B], 0 where none fits
    box_width = widths.gather(0, first).squeeze(0).clamp(1, width)  # [B]
    box_height = heights.gather(0, first).squeeze(0).clamp(1, height)  # [B]
    box_top = (top * (height - box_height + 1)).floor()  # [B]
    box_left = (left * (width - box_width + 1)).floor()  # [B]
    return box_top, box_left, box_height, box_width


def resized_crop(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    size: tuple[int, int],
    flip: Tensor | None = None,
) -> Tensor:
    """Cut a box out of each image and resize it by antialiased bilinear interpolation.

    images: uint8 [B, C, H, W]. top, left, height, width: [B], the boxes in pixels. size: height and
    width of what comes out. flip: bool [B], which images to mirror, or None.
    Returns float32 [B, C, *size] in [0, 1].
    What torchvision's resized_crop does to float images one by one, up to rounding.
    """
    batch, channels, rows, columns = images.shape
    new_height, new_width = size
    x = images.float().div_(255).reshape(batch, channels * rows, columns)  # [B, C H, W]
    across = resampling(left, width, columns, new_width, flip)  # [B, new W, W]
    x = torch.bmm(x, across.transpose(1, 2))  # [B, C H, new W]
    down = resampling(top, height, rows, new_height)  # [B, new H, H]
    # One product a channel: matmul would copy the matrices once for each of them.
    planes = x.view(batch, channels, rows, new_width).unbind(1)  # C times [B, H, new W]
    return torch.stack([torch.bmm(down, plane) for plane in planes], dim=1)


def resampling(
    start: Tensor, length: Tensor, pixels: int, size: int, flip: Tensor | None = None
) -> Tensor:
    """The matrices [B, size, pixels] that resample [start, start + length) of `pixels` to `size`.

    Each row is a triangle around its sample's place, one pixel wide to each side, or one sample
    where samples are wider (antialiasing), cut off at the box and scaled to sum to 1. start,
    length: [B], in pixels. flip: bool [B], where the samples run backwards, or None.
    """
    device = start.device
    samples = torch.arange(size, device=device, dtype=torch.float32)
    samples = (samples + 0.5) / size - 0.5  # [size], in (-1/2, 1/2)
    if flip is not None:
        samples = torch.where(flip[:, None], -samples, samples)  # [B, size]
    places = start[:, None] + (samples + 0.5) * length[:, None]  # [B, size], in pixels
    centres = torch.arange(pixels, device=device, dtype=torch.float32) + 0.5  # [pixels]
    after_start = centres > start[:, None]  # [B, pixels]
    before_end = centres < (start + length)[:, None]  # [B, pixels]
    inside = after_start & before_end
    radius = (length / size).clamp(min=1)[:, None, None]  # [B, 1, 1]
    # max(0, 1 - |place - centre| / radius), and 0 outside the box
    weights = (places[:, :, None] - centres).abs_()  # [B, size, pixels]
    weights.div_(-radius).add_(1).clamp_(min=0)
    weights.mul_(inside[:, None])
    return weights.div_(weights.sum(dim=2, keepdim=True))


def adjust_colour(
    x: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor | None = None,
) -> Tensor:
    """Change each image's colours by one affine map, then clamp them to [0, 1].

    x: float [B, C, H, W] in [0, 1]. brightness, contrast, saturation [B]: factors, 1 for no change;
    a saturation of 0 is grayscale. hue [B]: turns by which to rotate the chroma, None for none.
    torchvision's adjust_brightness, adjust_contrast, adjust_saturation one after the other, clamped
    once.
    """
    channels = x.shape[1]
    flat = x.flatten(2)  # [B, C, H W]
    # A row each for what keeps luma, what keeps chroma, and what turns chroma by 1/4: [3, C C].
    basis = constant(LUMA_AND_CHROMA if channels == 3 else [[1.0], [0.0], [0.0]], x.device)
    gain = brightness * contrast  # [B], of the luma
    along = gain * saturation  # [B], of the chroma
    across = torch.zeros_like(gain)  # [B], of the chroma turned by 1/4
    if hue is not None:
        angle = 2 * math.pi * hue
        across = along * angle.sin()
        along = along * angle.cos()
    linear = torch.stack([gain, along, across], dim=1) @ basis  # [B, C C]
    linear = linear.view(len(x), channels, channels)
    mean_luma = flat.mean(dim=2) @ basis[0, :channels]  # [B]
    offset = brightness * (1 - contrast) * mean_luma  # [B]
    return torch.baddbmm(offset[:, None, None], linear, flat).clamp_(0, 1).view_as(x)


def shift_hue_(x: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue of HSV, as torchvision's adjust_hue does, by another angle for each image.

    x: float [B, C, H, W] in [0, 1], which is overwritten; with C = 1 there is no hue and x stays.
    turns [B]: 1/3 takes red to green.

    HSV is no linear space, and the rotation of `adjust_colour` is no close approximation of this:
    it keeps a pixel's luma, while this keeps its largest and its smallest channel. By the same
    angle the two differ about as much as either changes the image; a test in tests/test_augment.py
    holds how much.
    """
    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)  # [B, H, W] each, views of x
    largest = torch.maximum(torch.maximum(red, green), blue)  # [B, H, W]
    smallest = torch.minimum(torch.minimum(red, green), blue)  # [B, H, W]
    # With channels scaled to [0, 1], hue is 1 + green + blue - red sixths of a turn where
    # green >= blue, minus that elsewhere: HSV's three cases in one. Of a grey pixel, whose spread
    # is 0, any hue will do.
    hue = (green + blue).sub_(red).sub_(smallest)  # green + blue - red - smallest
    spread = smallest.sub_(largest).neg_()  # largest - smallest, in the memory of smallest
    hue.div_(spread.clamp(min=1e-12)).add_(1)  # sixths of a turn, without its sign
    hue.copysign_(green - blue)  # as a number of sixths from red, in [-3, 3]
    hue.div_(6).add_(turns[:, None, None])  # in turns, shifted
    opposites = (1 / 2, 5 / 6, 1 / 6)  # cyan, magenta, yellow
    for channel, opposite in zip((red, green, blue), opposites, strict=True):
        # A channel is smallest within 1/6 turn of its opposite hue, largest beyond 1/3, and linear
        # in between. Each line overwrites the channel, hence x.
        torch.sub(hue, opposite, out=channel)  # hue - opposite
        channel.sub_(channel.round()).abs_()  # the distance on the circle, in [0, 1/2] turn
        channel.mul_(-6).add_(2).clamp_(0, 1)  # how far below the largest, as a share of spread
        channel.mul_(spread).sub_(largest).neg_()  # largest - share * spread
    return x


def gaussian_blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur as torchvision's gaussian_blur does, by another sigma [B] for each image, in pixels.

    x: float [B, C, H, W], mirrored at its borders: radius must be below H and W. The kernel has
    2 radius + 1 taps in each direction.
    """
    batch, channels, height, width = x.shape
    images = batch * channels
    taps = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    kernel = (-(taps**2) / (2 * sigma[:, None] ** 2)).softmax(dim=1)  # [B, taps]
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None, None, :]  # [B C, 1, 1, taps]
    x = F.pad(x, [radius] * 4, mode="reflect")  # [B, C, H + 2 radius, W + 2 radius]
    x = x.view(1, images, height + 2 * radius, width + 2 * radius)
    x = F.conv2d(x, kernel, groups=images)  # along the width
    x = F.conv2d(x, kernel.transpose(2, 3), groups=images)  # along the height
    return x.view(batch, channels, height, width)


def luma_and_chroma() -> list[list[float]]:
    """Three 3 x 3 maps of RGB, [3, 9]: to the grey of the same luma, to the rest (the chroma), and
    to the chroma turned by 1/4.
    """
    yiq = torch.tensor(YIQ, dtype=torch.float64, device="cpu")
    keep_luma = [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    keep_chroma = [[0, 0, 0], [0, 1, 0], [0, 0, 1]]
    turn_chroma = [[0, 0, 0], [0, 0, 1], [0, -1, 0]]
    maps = []
    for part in (keep_luma, keep_chroma, turn_chroma):
        in_rgb = yiq.inverse() @ yiq.new_tensor(part) @ yiq  # [3, 3]
        maps.append(in_rgb.flatten().tolist())
    return maps


LUMA_AND_CHROMA = luma_and_chroma()


def constant(values: list, device: torch.device) -> Tensor:
    """A small float32 tensor on a device, which the processor does not wait for."""
    return torch.tensor(values, dtype=torch.float32, device="cpu").to(device, non_blocking=True)


def between(uniform: Tensor, low: float, high: float) -> Tensor:
    """From uniform in [0, 1) to uniform in [low, high)."""
    return low + (high - low) * uniform
