"""The drawn parts of the temperature slider, and its images as data."""

import math
import struct
import zlib
from base64 import b64encode
from bisect import bisect_left

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 40


def x_of(similarity: float, low: float, high: float) -> float:
    """Return where a similarity lies in the chart, which is 1000 wide."""
    return (similarity - low) / (high - low) * 1000


def bin_numbers(s_neg: Tensor, low: float, high: float) -> Tensor:
    return ((s_neg - low) / (high - low) * BINS).long().clamp(max=BINS - 1)


def histogram(s_neg: Tensor, low: float, high: float) -> str:
    """Return the path of the negatives' histogram; the highest bar is 100 high."""
    counts = torch.bincount(bin_numbers(s_neg, low, high), minlength=BINS).double()
    heights = (100 * counts / counts.max()).tolist()
    width = 1000 / BINS
    path = ""
    for number, height in enumerate(heights):
        if height > 0:
            path += f"M{number * width:g} 100v-{height:.2f}h{width:g}V100"
    return path


def bars(s_neg: Tensor, shares: Tensor, low: float, high: float) -> str:
    """Return the bars of the push on all negatives of a bin together; the highest is 100 high."""
    push = torch.bincount(bin_numbers(s_neg, low, high), shares, minlength=BINS)
    heights = (100 * push / push.max()).tolist()
    width = 1000 / BINS
    bars = ""
    for number, height in enumerate(heights):
        bars += (
            f'<rect x="{number * width:g}" width="{width:g}" '
            f'y="{100 - height:.2f}" height="{height:.2f}"/>'
        )
    return bars


def curve(top: float, tau: float, low: float, high: float) -> str:
    """Return the path of the push on one negative, as a share of that at similarity `top`."""
    points = []
    for step in range(201):
        s = low + (top - low) * step / 200
        points.append(f"{x_of(s, low, high):.1f} {100 - 100 * math.exp((s - top) / tau):.2f}")
    return "M" + "L".join(points)


def ticks(low: float, high: float) -> str:
    """Return the labels of the similarity axis, at most seven."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / step <= 6)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    labels = ""
    for number in range(first, last + 1):
        left = x_of(number * step, low, high) / 10
        labels += f'<small style="left: {left:.2f}%">{number * step:.2g}</small>'
    return labels


def slider_scale(stops: list[float]) -> str:
    """Return the labels below the slider, each under its stop."""
    labels = ""
    for tau in (0.01, 0.1, 1, 10):
        left = 100 * bisect_left(stops, tau) / (len(stops) - 1)
        labels += f'<small data-tau="{tau:g}" style="left: {left:.2f}%">{tau:g}</small>'
    return labels


def png(image: Tensor) -> str:
    """Write a grey image [H, W] as a data URI: the smallest PNG writer.

    An image of 16 levels of grey, all of them multiples of 17, takes half a byte a pixel.
    """
    height, width = image.shape
    pixels = image.cpu()
    depth = 8
    if (pixels % 17 == 0).all():
        depth = 4
        levels = F.pad(pixels // 17, (0, width % 2))
        pixels = 16 * levels[:, 0::2] + levels[:, 1::2]  # two pixels a byte
    rows = b"".join(b"\0" + row.numpy().tobytes() for row in pixels)
    header = struct.pack(">2I5B", width, height, depth, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
        png += (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )
    return "data:image/png;base64," + b64encode(png).decode()
