"""The four recipes of the book, and their settings from a command line.

`paper`, `desk`, `small` and `live` return a frozen `Recipe` (see `recipe`): change one by
dataclasses.replace(recipe, tau=0.1), or by with_settings(recipe, ["tau=0.1"]). All of them can
learn the temperature: tau="learnt".
"""

import ast
import difflib
from collections.abc import Iterable
from dataclasses import fields, replace

from contrastlib.augment import Augmentation
from contrastlib.data import DATASETS
from contrastlib.training.recipe import Recipe, from_dict, to_dict
from contrastlib.training.run_ids import run_id

__all__ = [
    "Recipe",
    "by_name",
    "desk",
    "from_dict",
    "live",
    "paper",
    "parsed",
    "run_id",
    "small",
    "to_dict",
    "with_settings",
]

# The paper's shares of hard negatives, as printed.
ALPHAS = {name: info.paper_alpha for name, info in DATASETS.items() if info.paper_alpha is not None}


def paper(dataset: str = "cifar10") -> Recipe:
    """The paper's protocol: 200 epochs of SGD against a memory bank.

    dataset: cifar10, cifar100, svhn or imagenet100. alpha is the paper's for each set, ready for
    loss="hard"; its HardSimple keeps 4095 negatives: k=4095, alpha=None.
    """
    if dataset not in ALPHAS:
        raise ValueError(f"the paper has no data set {dataset!r}; it has: {', '.join(ALPHAS)}")
    recipe = Recipe(dataset=dataset, alpha=ALPHAS[dataset], probe="paper")
    if dataset == "imagenet100":
        # The paper names the blur but not how often it is applied: 0.5 is SimCLR's.
        blurred = Augmentation(size=224, blur=0.5)
        recipe = replace(recipe, backbone="resnet50", weight_decay=1e-4, augmentation=blurred)
    return recipe


def desk(dataset: str = "cifar10") -> Recipe:
    """The paper's protocol with one thing changed: the network, which is that of `small`.

    So the images, the bank, the hard negatives (4095 of CIFAR-10's), the views, the optimiser, its
    schedule and the probe are the paper's. It takes hours on one processor core.
    """
    return replace(paper(dataset), backbone="resnet_small", width=16, stem_stride=2)


def small(dataset: str = "cifar10") -> Recipe:
    """The paper's 200 epochs on 7,500 images and a small network: minutes on one processor core.

    Images and width were chosen by a pilot (`grids.pilot`). Three learning rates differed there by
    less than the probe's standard error, and the middle one was kept. The hue is turned by rotation
    and by less, since pixelwise hue would take longer than the network.
    """
    return replace(
        Recipe(dataset=dataset, limit=7500, alpha=ALPHAS.get(dataset, 0.0819)),
        backbone="resnet_small",
        stem_stride=2,
        augmentation=Augmentation(hue=0.1, hue_space="yiq"),
        lr=0.06,
        schedule="cosine",
    )


def live() -> Recipe:
    """The digits inside a notebook, in a minute: 1,437 images, three convolutions, no flip."""
    return Recipe(
        dataset="digits",
        alpha=0.0819,
        backbone="convnet_digits",
        width=32,
        augmentation=Augmentation(crop=(0.4, 1.0), flip=0.0),
        epochs=60,
        schedule="cosine",
        precision="float32",  # so small a net is no faster in bfloat16
    )


def by_name(name: str, settings: Iterable[str] = ()) -> Recipe:
    """The recipe "paper", "desk", "small" or "live" with settings.

    "dataset=svhn" takes SVHN's own alpha, but not for "live". Errors: ValueError for another name,
    and as in `with_settings`.
    """
    makers = {"paper": paper, "desk": desk, "small": small, "live": live}
    if name not in makers:
        raise ValueError(f"there is no recipe {name!r}; the recipes are: {', '.join(makers)}")
    settings = list(settings)
    dataset = None
    for setting in settings:
        key, _, text = setting.partition("=")
        if key == "dataset" and text:
            dataset = text
    if dataset is None or name == "live":
        return with_settings(makers[name](), settings)
    return with_settings(makers[name](dataset), settings)


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with key=value settings.

    Such as "tau=0.1", "limit=none", "augmentation.flip=0" or "lr_steps=60,90". Errors: ValueError,
    which names the setting, for a missing "=", an unknown key, and a value the recipe refuses.
    """
    settings = list(settings)
    changes: dict[str, object] = {}
    augmentation_changes: dict[str, object] = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        if not key or not text:
            raise ValueError(
                f"the setting {setting!r} is not of the form key=value, such as tau=0.1"
            )
        types = setting_types()
        if key not in types:
            raise ValueError(f"there is no setting {key!r}; {hint(key, list(types))}")
        value = typed(text, types[key])
        if key.startswith("augmentation."):
            augmentation_changes[key.removeprefix("augmentation.")] = value
        else:
            changes[key] = value
    try:
        if augmentation_changes:
            changes["augmentation"] = replace(recipe.augmentation, **augmentation_changes)
        return replace(recipe, **changes)
    except (TypeError, ValueError) as error:
        listed = ", ".join(settings)
        raise ValueError(f"the settings {listed} do not fit the recipe: {error}") from error


def setting_types() -> dict[str, str]:
    """All keys of settings, such as "tau" and "augmentation.flip", and what their types say."""
    types = {f.name: annotation(f.type) for f in fields(Recipe) if f.name != "augmentation"}
    for f in fields(Augmentation):
        types[f"augmentation.{f.name}"] = annotation(f.type)
    return types


def annotation(kind: object) -> str:
    """A field's type in words, such as "str" or "tuple[int, ...]"."""
    if kind is str:
        return "str"
    return str(kind)


def hint(key: str, known: list[str]) -> str:
    """What an unknown key may have meant."""
    near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"did you mean {near[0]}?"
    return f"the keys are: {', '.join(known)}"


def typed(text: str, kind: str) -> object:
    """A setting's value for a field of this type."""
    if kind == "str":  # loss=none is the untrained network
        return text
    value = parsed(text)
    if "tuple" in kind and isinstance(value, (int, float)):
        return (value,)
    return value


def parsed(text: str) -> object:
    """The value of a setting's text.

    It is none, true, false, a number, numbers with commas between, or else the text itself.
    """
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
