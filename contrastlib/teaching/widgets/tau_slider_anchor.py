"""An anchor of the temperature slider: its similarities and its images, checked."""

from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from contrastlib.checks import check_finite, check_floating


@dataclass(frozen=True)
class Anchor:
    """An anchor, its positive and its negatives.

    s_pos: the positive's similarity, a number or a tensor of one value. s_neg [M]: the negatives'
    similarities. Both in [-1, 1]. image uint8 [H, W] and negatives uint8 [M, H, W]: grey pictures;
    positive: uint8 [H, W], or None. name: what the anchor shows, in a word. ValueError or TypeError
    on anything else.
    """

    s_pos: float | Tensor
    s_neg: Tensor
    image: Tensor
    negatives: Tensor
    positive: Tensor | None = None
    name: str = "anchor"

    def __post_init__(self) -> None:
        check_floating("s_neg", self.s_neg, "M")
        if not isinstance(self.s_pos, Real | Tensor):
            raise TypeError(
                f"s_pos is a {type(self.s_pos).__name__}; give one number, the positive's "
                "similarity"
            )
        s_pos = torch.as_tensor(self.s_pos)
        if s_pos.numel() != 1:
            raise ValueError(
                f"s_pos has shape {list(s_pos.shape)}; give one number, the positive's similarity"
            )
        check_similarities("s_pos", s_pos)
        check_similarities("s_neg", self.s_neg)
        check_images("anchor", self.image, "H W")
        check_images("images", self.negatives, "M H W")
        if len(self.negatives) != len(self.s_neg):
            raise ValueError(
                f"images has {len(self.negatives)} images and s_neg {len(self.s_neg)} values; "
                "give one image for each"
            )
        if self.positive is not None:
            check_images("positive", self.positive, "H W")


def check_similarities(name: str, s: Tensor) -> None:
    """Refuse what no cosine can be."""
    check_finite(name, s)
    if s.abs().max() > 1.001:
        raise ValueError(
            f"{name} reaches {s.abs().max():.4g}; cosines lie in [-1, 1]: normalise the embeddings"
        )


def check_images(name: str, images: Tensor, shape: str) -> None:
    """Refuse anything but uint8 of this shape, such as "M H W"."""
    sizes = shape.split()
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        given = images.dtype if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise TypeError(
            f"{name} is {given}; give a uint8 tensor [{', '.join(sizes)}], grey values from 0 "
            "to 255"
        )
    if images.ndim != len(sizes) or 0 in images.shape:
        raise ValueError(
            f"{name} has shape {list(images.shape)}; give [{', '.join(sizes)}], none of them 0: "
            "of images [N, 1, H, W] take images[:, 0]"
        )
