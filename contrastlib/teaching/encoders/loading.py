"""From a file to an encoder, and from an encoder to a file.

FOLDER/ID.safetensors holds an encoder's weights by their names in `Encoder`: matrices and
convolutions in half precision, the few vectors of batch normalisation, and the mean and standard
deviation of its training images, in single. FOLDER/ID.json is the record of its run, with three
more entries: `weights_sha256` of the file, `weights_bytes`, and `on_part` (see `make`).
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor

from contrastlib.checks import readable
from contrastlib.models import Encoder
from contrastlib.teaching.encoders.catalogue import recipe_of
from contrastlib.training import components, run_records
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipes import Recipe, run_id

__all__ = ["FOLDER", "PretrainedEncoder", "pretrained", "record"]

FOLDER = Path(__file__).parent / "weights"
IMAGE = (1, 28, 28)  # channels, height and width of Fashion-MNIST's images


class PretrainedEncoder(Encoder):
    """An encoder that takes images as they are, and puts them on the scale of its training.

    recipe: how it was trained. mean, std: of the brightness of its training images, in [0, 1]; the
    network is given (x - mean) / std.

    The images of `features` and `forward` are uint8 [B, 1, 28, 28], as `contrastlib.data.load`
    returns them, or floats in [0, 1] of that shape, as `recipe.augmentation` makes views. The
    features are [B, 128], before the head; `forward` returns unit vectors [B, 128].
    """

    recipe: Recipe
    mean: Tensor  # [1]
    std: Tensor  # [1]

    def __init__(self, recipe: Recipe):
        first = components.build_encoder(recipe, IMAGE[0])
        super().__init__(first.backbone, recipe.d)
        self.head = first.head  # with the first weights that the recipe's seed gives
        self.recipe = recipe
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("std", torch.ones(1))

    def features(self, x: Tensor) -> Tensor:
        """From images [B, 1, 28, 28], uint8 or floats in [0, 1], to features [B, 128].

        Errors: TypeError for another dtype; ValueError for another shape and, on the CPU, for
        floats outside [0, 1].
        """
        check_images(x)
        if x.dtype == torch.uint8:
            x = x.float() / 255
        return self.backbone((x - self.mean) / self.std)


def check_images(x: Tensor) -> None:
    """Refuse anything but images [B, 1, 28, 28], uint8 or floats in [0, 1]."""
    if not isinstance(x, Tensor):
        raise TypeError(f"the images are a {type(x).__name__}; give a tensor [B, 1, 28, 28]")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise TypeError(
            f"the images have dtype {x.dtype}; give torch.uint8, values 0 to 255, or floats in "
            "[0, 1]"
        )
    if x.ndim != 4 or tuple(x.shape[1:]) != IMAGE or len(x) == 0:
        raise ValueError(
            f"the images have shape {list(x.shape)}; this encoder takes [B, 1, 28, 28], grey "
            "images of 28 x 28 pixels: contrastlib.teaching.own_images.own_image reads a picture "
            "so, and one image is images[None]"
        )
    if x.is_floating_point() and readable(x):
        low, high = x.aminmax()
        # Written so that NaN is refused, too.
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"the images have values from {low.item():.3g} to {high.item():.3g}; floats must "
                "be in [0, 1] (the encoder itself puts them on its scale): divide by 255, or give "
                "torch.uint8"
            )


def pretrained(loss: str, tau: float | None = None) -> PretrainedEncoder:
    """An encoder trained on Fashion-MNIST with this loss, in evaluation mode, on the CPU.

    loss, tau: a pair of `AVAILABLE`, such as "contrastive", 0.07. A loss without a temperature
    needs no tau: pretrained("simple"). "none" is the network before training; its weights are the
    random ones of its recipe's seed.
    Its weights are float32, rounded to half precision, and want no gradients.
    Errors: ValueError for a pair that is not there, and for a file that is damaged;
    FileNotFoundError for one that is missing.
    """
    recipe = recipe_of(loss, tau)
    path = FOLDER / f"{run_id(recipe)}.safetensors"
    encoder = PretrainedEncoder(recipe)
    tensors = read_tensors(path, record(loss, tau).get("weights_sha256"))
    if not OBJECTIVES[recipe.loss].compares_pairs:
        tensors = {**encoder.state_dict(), **tensors}  # the file has mean and std alone
    encoder.load_state_dict(tensors)  # half precision becomes float32 here
    return encoder.requires_grad_(False).eval()


def record(loss: str, tau: float | None = None) -> dict:
    """The record of the run that trained this encoder: see `contrastlib.training.run_records`.

    Beside a run's entries it has on_part, what the encoder in float32 measures on the part of
    Fashion-MNIST that comes with the package: uniformity, tolerance and knn.
    Errors: as for `pretrained`.
    """
    return run_records.read(recipe_of(loss, tau), FOLDER)


def read_tensors(path: Path, sha256: str | None) -> dict[str, Tensor]:
    """A file's tensors by name. Errors: ValueError where its bytes are not those of its record."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: install contrastlib again")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path} is damaged ({len(content):,} bytes, and their SHA-256 is not that in "
            f"{path.stem}.json): install contrastlib again"
        )
    try:
        return tensors_from_bytes(content)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error}): make it again") from error
