"""The paper's augmentations on a whole batch at once, on the device where the images are.

Random resized crop, colour jitter, horizontal flip and random grayscale, after Wu et al. (2018); Gaussian blur for
ImageNet100, after SimCLR (Chen et al. 2020). Each image has its own draw. In a training loop:

    augment = Augmentation(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
    view = augment(images, generator)  # uint8 [B, C, H, W] -> float32 [B, C, H, W]; call it again for the other view
    plain = augment.normalise(images)  # the same scale without any chance, for the probe

Two facts make it fast. Resizing is linear in each direction, so crop, resize and flip together are two matrix products
an image. And jitter is linear in colour: brightness b, contrast c, saturation s and a rotation of hue act on the luma Y
and the chroma (I, Q) of a pixel as

    Y -> b c Y + b (1 - c) mean(Y)        (I, Q) -> b c s R(hue) (I, Q)

so all of them together are one affine map of RGB an image, whatever their order; grayscale is s = 0. torchvision
applies them in random order and clamps to [0, 1] after each, and that is all that sets brightness, contrast,
saturation and grayscale apart from it: 0.4 of 255 a pixel on CIFAR10, as much as from one of its own orders to another.
Hue is another matter: see `shift_hue_`.
"""

import math
from dataclasses import dataclass
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_positive, check_range, check_share

__all__ = ["Augmentation", "adjust_colour", "crop_boxes", "gaussian_blur", "resized_crop", "shift_hue_"]

ATTEMPTS = 10  # crops drawn for each image, of which the first that fits is taken, as in torchvision
# Luma (ITU-R BT.601) and the chroma of NTSC's YIQ, whose rows sum to 1, 0 and 0. torchvision's luma has 0.2989.
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class Augmentation:
    """Random views of a batch of images; the defaults are the paper's for CIFAR10, CIFAR100 and SVHN.

    crop: smallest and largest area of the crop, as a share of the image's, in (0, 1]. ratio: its smallest and largest
    width / height. size: side of the square that comes out; None keeps the images' own height and width.
    brightness, contrast, saturation in [0, 1]: each factor is uniform in [1 - strength, 1 + strength]. hue in
    [0, 0.5]: the shift is uniform in [-hue, hue] turns of the colour circle.
    hue_space: "hsv" shifts the hue as torchvision does, pixel by pixel, after brightness, contrast and saturation;
    "yiq" rotates the chroma, which is linear and so costs nothing. They are not close: see `shift_hue_`.
    jitter_probability, grayscale, flip, blur in [0, 1]: how often an image is jittered, greyed, mirrored, blurred.
    blur_sigma: smallest and largest standard deviation of the blur in pixels; its radius is 1/20 of the height.
    mean, std: one number a channel for (x - mean) / std, with x in [0, 1]; None for both leaves x in [0, 1].

    Images with one channel (digits, Fashion-MNIST) have no chroma: of the colour operations only brightness and
    contrast remain, as in torchvision.
    Errors: ValueError for a number outside its range; TypeError for what is no number.
    """

    crop: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    size: int | None = None
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.4
    hue_space: str = "hsv"
    jitter_probability: float = 1.0
    grayscale: float = 0.2
    flip: float = 0.5
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        for name in ("brightness", "contrast", "saturation", "jitter_probability", "grayscale", "flip", "blur"):
            check_share(name, getattr(self, name), 1.0)
        check_share("hue", self.hue, 0.5)
        for name in ("crop", "ratio", "blur_sigma"):
            check_range(name, getattr(self, name))
        if self.crop[1] > 1:
            raise ValueError(f"crop is {self.crop}; no crop is larger than its image: give two shares in (0, 1]")
        if self.hue_space not in ("hsv", "yiq"):
            raise ValueError(f"hue_space is {self.hue_space!r}; give 'hsv' (torchvision's hue) or 'yiq' (a rotation)")
        if self.size is not None and (isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1):
            raise ValueError(f"size is {self.size!r}; give a whole number of pixels, at least 1, or None")
        if (self.mean is None) != (self.std is None):
            raise ValueError(f"mean is {self.mean} and std {self.std}; give both, one number a channel, or neither")
        for value in self.mean or ():
            if not isinstance(value, Real) or not math.isfinite(value):
                raise ValueError(f"mean is {self.mean!r}; give one finite number a channel, such as (0.5, 0.5, 0.5)")
        for value in self.std or ():
            check_positive("std", value)

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One random view of each image.

        images: uint8 [B, C, H, W], C = 1 or 3. generator: on the images' device; None takes PyTorch's own there. As
        many numbers are drawn whatever the settings, so from one state two settings see the same crops.
        Returns float32 [B, C, size, size], or [B, C, H, W] without a size; the device is never waited for.
        Errors: TypeError for another dtype; ValueError for another shape and for a generator on another device.
        """
        self.check(images)
        if generator is not None and generator.device.type != images.device.type:
            raise ValueError(
                f"generator is on {generator.device} and images on {images.device}; both must be on one device: "
                f"make it with torch.Generator({images.device.type!r})"
            )
        (batch, _, height, width), device = images.shape, images.device
        draws = torch.rand(2 * ATTEMPTS + 11, batch, generator=generator, device=device, dtype=torch.float32)
        area, ratio, jitter, others = draws.split([ATTEMPTS, ATTEMPTS, 4, 7])
        top, left, flip, jittered, grayscale, blurred, sigma = others.unbind()
        strength = constant([self.brightness, self.contrast, self.saturation, self.hue], device)
        jitter = between(jitter, -1, 1) * (jittered < self.jitter_probability) * strength[:, None]
        brightness, contrast, saturation, _ = (1 + jitter).unbind()
        saturation = saturation * (grayscale >= self.grayscale)  # before the hue, as in Wu et al.'s code
        hue = jitter[3]
        ratio = between(ratio, *map(math.log, self.ratio)).exp()
        box = crop_boxes(between(area, *self.crop), ratio, top, left, height, width)
        # Autocast would round the images to bfloat16's 8 bits.
        with torch.autocast(device.type, enabled=False):
            x = resized_crop(images, *box, (self.size or height, self.size or width), flip < self.flip)
            if self.hue_space == "yiq":
                x = adjust_colour(x, brightness, contrast, saturation, hue)
            else:
                x = shift_hue_(adjust_colour(x, brightness, contrast, saturation), hue)
            if self.blur:
                sigma = torch.where(blurred < self.blur, between(sigma, *self.blur_sigma), 1e-3)  # 1e-3 pixels: no blur
                x = gaussian_blur(x, sigma, max(1, x.shape[2] // 20))
        return self.scale(x)

    def normalise(self, images: Tensor) -> Tensor:
        """The images as they are, float32 [B, C, H, W] on the scale of the views. Errors as for a view."""
        self.check(images)
        return self.scale(images.float() / 255)

    def scale(self, x: Tensor) -> Tensor:
        """(x - mean) / std, in place; x float32 [B, C, H, W] in [0, 1]."""
        if self.mean is None:
            return x
        mean, std = constant([self.mean, self.std], x.device).view(2, -1, 1, 1)
        return x.sub_(mean).div_(std)

    def check(self, images: Tensor) -> None:
        """Refuse anything but uint8 [B, C, H, W] with 1 or 3 channels, for each of which there is a mean."""
        if not isinstance(images, Tensor):
            raise TypeError(f"images is a {type(images).__name__}; give a uint8 tensor of shape [B, C, H, W]")
        if images.dtype != torch.uint8:
            raise TypeError(f"images has dtype {images.dtype}; give torch.uint8, values 0 to 255")
        if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
            raise ValueError(
                f"images has shape {list(images.shape)}; give [B, C, H, W], C = 1 or 3, none of them 0: "
                "one image is images[None], and channels come before height"
            )
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != images.shape[1]:
                raise ValueError(
                    f"{name} has {len(values)} number(s) and the images {images.shape[1]} channel(s); "
                    "give one number for each channel"
                )


def crop_boxes(
    area: Tensor, ratio: Tensor, top: Tensor, left: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The boxes of random crops, in whole pixels: top, left, height, width, each [B], float.

    area, ratio: [attempts, B], shares of the image's area and widths / heights. An image takes the first attempt that
    fits into it; where none does, the first of all, cut down to the image.
    top, left [B] in [0, 1) place the box uniformly among the pixels where it fits.
    """
    w = (area * ratio * (height * width)).sqrt().round()
    h = (area / ratio * (height * width)).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=0, keepdim=True)  # 0 where none fits
    w = w.gather(0, first).squeeze(0).clamp(1, width)
    h = h.gather(0, first).squeeze(0).clamp(1, height)
    return (top * (height - h + 1)).floor(), (left * (width - w + 1)).floor(), h, w


def resized_crop(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    size: tuple[int, int],
    flip: Tensor | None = None,
) -> Tensor:
    """Cut a box out of each image, resize it by antialiased bilinear interpolation, mirror it where flip says so.

    images: uint8 [B, C, H, W]. top, left, height, width: [B], the boxes in pixels. size: height and width of what
    comes out. flip: bool [B] or None. Returns float32 [B, C, *size] in [0, 1].
    What torchvision's resized_crop does to float images one by one, up to rounding.
    """
    batch, channels, rows, columns = images.shape
    x = images.float().div_(255).reshape(batch, channels * rows, columns)
    x = torch.bmm(x, resampling(left, width, columns, size[1], flip).transpose(1, 2))  # along the width
    heights = resampling(top, height, rows, size[0])
    # One product a channel: matmul would copy the matrices once for each of them.
    return torch.stack([torch.bmm(heights, y) for y in x.view(batch, channels, rows, size[1]).unbind(1)], dim=1)


def resampling(start: Tensor, length: Tensor, pixels: int, size: int, flip: Tensor | None = None) -> Tensor:
    """The matrices [B, size, pixels] that take `pixels` samples to `size` samples of [start, start + length).

    Each row is a triangle around its sample's place, one pixel wide to each side, or one sample where samples are wider
    (antialiasing), cut off at the box and scaled to sum to 1. flip: bool [B], where the samples run backwards.
    """
    samples = (torch.arange(size, device=start.device, dtype=torch.float32) + 0.5) / size - 0.5  # in (-1/2, 1/2)
    samples = samples if flip is None else torch.where(flip[:, None], -samples, samples)
    places = start[:, None] + (samples + 0.5) * length[:, None]  # [B, size], in pixels
    centres = torch.arange(pixels, device=start.device, dtype=torch.float32) + 0.5
    inside = (centres > start[:, None]) & (centres < (start + length)[:, None])  # [B, pixels]
    radius = (length / size).clamp(min=1)[:, None, None]
    weights = (places[:, :, None] - centres).abs_().div_(-radius).add_(1).clamp_(min=0).mul_(inside[:, None])
    return weights.div_(weights.sum(dim=2, keepdim=True))


def adjust_colour(
    x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor | None = None
) -> Tensor:
    """Brightness, contrast, saturation and a rotation of hue, as one affine map of each image's colours; then clamp.

    x: float [B, C, H, W] in [0, 1]. brightness, contrast, saturation [B]: factors, 1 for no change; a saturation of 0
    is grayscale. hue [B]: turns by which to rotate the chroma, None for none.
    torchvision's adjust_brightness, adjust_contrast, adjust_saturation one after the other, clamped once.
    """
    flat, gain = x.flatten(2), brightness * contrast
    basis = constant(LUMA_AND_CHROMA if x.shape[1] == 3 else [[1.0], [0.0], [0.0]], x.device)
    along, across = gain * saturation, torch.zeros_like(gain)
    if hue is not None:
        along, across = along * (2 * math.pi * hue).cos(), along * (2 * math.pi * hue).sin()
    linear = (torch.stack([gain, along, across], dim=1) @ basis).view(len(x), *2 * x.shape[1:2])
    mean = flat.mean(dim=2) @ basis[0, : x.shape[1]]
    offset = brightness * (1 - contrast) * mean
    return torch.baddbmm(offset[:, None, None], linear, flat).clamp_(0, 1).view_as(x)


def shift_hue_(x: Tensor, turns: Tensor) -> Tensor:
    """Shift the hue of HSV, as torchvision's adjust_hue does, by another angle for each image; x is overwritten.

    x: float [B, C, H, W] in [0, 1]; with C = 1 there is no hue and x stays. turns [B]: 1/3 takes red to green.

    HSV is no linear space, and the rotation of `adjust_colour` is no close approximation of this: it keeps a pixel's
    luma, while this keeps its largest and its smallest channel. By the same angle the two differ about as much as
    either changes the image; a test in tests/test_augment.py holds how much.
    """
    if x.shape[1] == 1:
        return x
    red, green, blue = x.unbind(1)
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    # With channels scaled to [0, 1], hue is 1 + green + blue - red sixths of a turn where green >= blue, minus that
    # elsewhere: HSV's three cases in one. Of a grey pixel, whose spread is 0, any hue will do.
    hue = (green + blue).sub_(red).sub_(smallest)
    spread = smallest.sub_(largest).neg_()
    hue.div_(spread.clamp(min=1e-12)).add_(1).copysign_(green - blue).div_(6).add_(turns[:, None, None])
    for channel, opposite in zip((red, green, blue), (1 / 2, 5 / 6, 1 / 6), strict=True):  # cyan, magenta, yellow
        # A channel is smallest within 1/6 turn of its opposite hue, largest beyond 1/3, linear in between.
        away = torch.sub(hue, opposite, out=channel)
        away.sub_(away.round()).abs_().mul_(-6).add_(2).clamp_(0, 1).mul_(spread).sub_(largest).neg_()
    return x


def gaussian_blur(x: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur as torchvision's, with 2 radius + 1 taps in each direction, and another sigma [B] for each image.

    x: float [B, C, H, W], mirrored at its borders: radius must be below H and W.
    """
    batch, channels, height, width = x.shape
    taps = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    kernel = (-(taps**2) / (2 * sigma[:, None] ** 2)).softmax(dim=1)  # [B, 2 radius + 1]
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None, None, :]
    x = F.pad(x, [radius] * 4, mode="reflect").view(1, batch * channels, height + 2 * radius, width + 2 * radius)
    x = F.conv2d(F.conv2d(x, kernel, groups=batch * channels), kernel.transpose(2, 3), groups=batch * channels)
    return x.view(batch, channels, height, width)


def luma_and_chroma() -> list[list[float]]:
    """Three 3 x 3 maps of RGB, [3, 9]: to the grey of the same luma, to the rest, and to the rest turned by 1/4."""
    yiq = torch.tensor(YIQ, dtype=torch.float64, device="cpu")
    parts = ([1, 0, 0], [0, 0, 0], [0, 0, 0]), ([0, 0, 0], [0, 1, 0], [0, 0, 1]), ([0, 0, 0], [0, 0, 1], [0, -1, 0])
    return [(yiq.inverse() @ yiq.new_tensor(part) @ yiq).flatten().tolist() for part in parts]


LUMA_AND_CHROMA = luma_and_chroma()


def constant(values: list, device: torch.device) -> Tensor:
    """A small float32 tensor on a device, which the processor does not wait for."""
    return torch.tensor(values, dtype=torch.float32, device="cpu").to(device, non_blocking=True)


def between(uniform: Tensor, low: float, high: float) -> Tensor:
    """From uniform in [0, 1) to uniform in [low, high)."""
    return low + (high - low) * uniform
