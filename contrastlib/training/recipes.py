"""Recipes: all that decides how a run comes out, as plain values. `paper`, `desk`, `small`, `live`.

A recipe is a frozen dataclass: change one by dataclasses.replace(recipe, tau=0.1), or by with_settings(recipe,
["tau=0.1"]) from a command line. Its `run_id` names the run. What changes only where or how a run is done (folder,
device, progress bar) is no part of it.
"""

import ast
import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

from contrastlib.augment import Augmentation
from contrastlib.checks import check_count, check_momentum, check_one_of, check_positive, check_share, check_tau
from contrastlib.data import DATASETS

__all__ = ["Recipe", "by_name", "desk", "from_dict", "live", "paper", "run_id", "small", "to_dict", "with_settings"]

CHOICES = {
    "loss": (
        "contrastive",
        "simple",
        "hard",
        "hard_simple",
        "triplet_limit",
        "simple_limit",
        "supervised",
        "none",
        "batch_norm",
    ),
    "g": ("bank", "batch", "queue"),
    "backbone": ("resnet18_cifar", "resnet50", "resnet_small", "convnet_digits"),
    "schedule": ("steps", "cosine"),
    "precision": (None, "float32", "bfloat16"),
    "split": ("test", "train"),
    "probe": ("lbfgs", "paper"),
}
# Settings that only some choices read: two recipes that differ in nothing else are one run.
READ_BY = {
    "tau": ("loss", {"contrastive", "hard", "triplet_limit", "simple_limit"}),
    "tau_to": ("loss", {"contrastive", "hard"}),
    "tau_period": ("loss", {"contrastive", "hard"}),
    "lam": ("loss", {"simple", "hard_simple"}),
    "alpha": ("loss", {"hard", "hard_simple"}),
    "k": ("loss", {"hard", "hard_simple"}),
    "negatives": ("g", {"bank"}),
    "bank_momentum": ("g", {"bank"}),
    "queue_momentum": ("g", {"queue"}),
    "queue_size": ("g", {"queue"}),
    "width": ("backbone", {"resnet_small", "convnet_digits"}),
    "stem_stride": ("backbone", {"resnet18_cifar", "resnet_small"}),
    "max_pool": ("backbone", {"resnet18_cifar"}),
    "lr_steps": ("schedule", {"steps"}),
}

ALPHAS = {name: info.paper_alpha for name, info in DATASETS.items() if info.paper_alpha is not None}


@dataclass(frozen=True)
class Recipe:
    """One run: data, objective, keys, network, views, optimiser, and how the outcome is measured.

    dataset, limit: a name of `data.load`, and how many of its training images to use (None: all). seed fixes the first
    weights, the bank or queue, the order of the images and the views.

    loss: "contrastive" (Eq 1), "simple" (Eq 3), "hard" (Eq 9), "hard_simple", and the two limits as objectives,
    "triplet_limit" (Eq 6) and "simple_limit" (Eq 7); to hold beside them, "supervised" trains the same net by
    cross-entropy with the labels, "none" measures it untrained, and "batch_norm" measures it untrained but for batch
    normalisation, which sees the images as often as in training. tau: temperature; with tau_to and tau_period it swings
    from tau to tau_to and back, one cosine in so many epochs (Kukleva et al. 2023). lam: the simple losses' weight of
    the negatives; the paper gives none, None means 1 / (number of negatives kept), which Eq 7 implies. alpha
    or k, exactly one, for the hard losses: share or number of negatives kept. The paper gives both for each data set,
    and for SVHN and ImageNet100 they disagree; `paper` takes its alpha, and k=4095 with alpha=None is the other
    reading.

    g: "bank" (Wu et al. 2018, the paper's), "batch" (SimCLR) or "queue" (MoCo), with bank_momentum, queue_momentum and
    queue_size. negatives: the number of a bank's rows each anchor is set against; the paper does not say, None is all
    others (Eq 1), 4096 would follow Wu et al. They are drawn anew for each step, without repetition, and hold the
    batch's own rows. views: 1 takes the anchor's own row of the bank as its positive (the paper's); 2 takes the other
    view's embedding. Batch and queue need 2.

    backbone: a name in `models`; width: channels of the small nets. stem_stride, max_pool: of ResNet-18 the paper
    changes the first kernel and leaves open its stride of 2 and the pooling after it; here both are left out (1, False)
    as in the code of Wu et al. d: dimensions of the embeddings. augmentation: see `augment.Augmentation`; without a
    mean and a std, those of the training images are taken.

    SGD: batch, epochs, lr, momentum, weight_decay; schedule "steps" multiplies lr by 0.1 at the epochs lr_steps,
    "cosine" lets it fall to 0 step by step. precision: "bfloat16" runs the network alone under autocast; None does so
    where the device computes it natively.

    split: the images on which uniformity, tolerance, alignment and neighbours are measured; the paper does not say.
    probe: "lbfgs" or "paper", see `metrics.linear_probe`. neighbours: k of the nearest-neighbour accuracy, at most half
    a class's average number of images.

    Errors: TypeError or ValueError for a value out of range, and for settings that do not go together.
    """

    dataset: str = "cifar10"
    limit: int | None = None
    seed: int = 0
    loss: str = "contrastive"
    tau: float = 0.2
    tau_to: float | None = None
    tau_period: float | None = None
    lam: float | None = None
    alpha: float | None = None
    k: int | None = None
    g: str = "bank"
    negatives: int | None = None
    bank_momentum: float = 0.5
    queue_momentum: float = 0.999
    queue_size: int = 4096
    views: int = 1
    backbone: str = "resnet18_cifar"
    width: int = 16
    stem_stride: int = 1
    max_pool: bool = False
    d: int = 128
    augmentation: Augmentation = field(default_factory=Augmentation)
    batch: int = 128
    epochs: int = 200
    lr: float = 0.03
    schedule: str = "steps"
    lr_steps: tuple[int, ...] = (160, 190)
    momentum: float = 0.9
    weight_decay: float = 5e-4
    precision: str | None = None
    split: str = "test"
    probe: str = "lbfgs"
    neighbours: int = 200

    def __post_init__(self):
        if not isinstance(self.dataset, str):
            raise TypeError(f"dataset is {self.dataset!r}; give a name, such as 'digits'")
        if not isinstance(self.augmentation, Augmentation):
            raise TypeError(f"augmentation is {self.augmentation!r}; give an augment.Augmentation")
        if not isinstance(self.max_pool, bool):
            raise TypeError(f"max_pool is {self.max_pool!r}; give True or False")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give one of: {', '.join(map(str, allowed))}")
        lowest = {"seed": 0, "batch": 2, "epochs": 1, "d": 2, "width": 1, "stem_stride": 1, "queue_size": 1}
        for name, low in (lowest | {"neighbours": 1}).items():
            check_count(name, getattr(self, name), low)
        check_count("seed", self.seed, 0, 2**61, "each run takes four seeds of 64 bits from it")
        for name, low in {"limit": 2, "k": 1, "negatives": self.batch - 1}.items():
            if getattr(self, name) is not None:
                why = "the others of the batch are among them" if name == "negatives" else ""
                check_count(name, getattr(self, name), low, why=why)
        check_count("views", self.views, 1, 2)
        check_tau(self.tau)
        if (self.tau_to is None) != (self.tau_period is None):
            raise ValueError(f"tau_to is {self.tau_to} and tau_period {self.tau_period}; give both, or neither")
        if self.tau_to is not None:
            check_tau(self.tau_to)
            check_positive("tau_period", self.tau_period)
        check_positive("lr", self.lr)
        check_share("weight_decay", self.weight_decay, 1.0)
        for name in ("bank_momentum", "queue_momentum", "momentum"):
            check_momentum(getattr(self, name))
        if self.lam is not None:
            check_positive("lam", self.lam)
        if self.loss in ("hard", "hard_simple"):
            check_one_of(self.alpha, self.k)
        if self.g != "bank" and self.views != 2:
            raise ValueError(f"g is {self.g!r} and views is {self.views}; its keys are other views: set views=2")
        if self.g != "bank" and self.negatives is not None:
            raise ValueError(f"negatives is {self.negatives} and g is {self.g!r}; only a bank is drawn from: use None")
        if not isinstance(self.lr_steps, tuple):
            raise TypeError(f"lr_steps is {self.lr_steps!r}; give epochs in a tuple, such as (160, 190)")
        for epoch in self.lr_steps:
            check_count("an epoch of lr_steps", epoch)


def paper(dataset: str = "cifar10") -> Recipe:
    """The paper's protocol on cifar10, cifar100, svhn or imagenet100: 200 epochs of SGD against a memory bank.

    alpha is the paper's for each set, ready for loss="hard"; its HardSimple keeps 4095: k=4095, alpha=None.
    """
    if dataset not in ALPHAS:
        raise ValueError(f"the paper has no data set {dataset!r}; it has: {', '.join(ALPHAS)}")
    recipe = Recipe(dataset=dataset, alpha=ALPHAS[dataset], probe="paper")
    if dataset == "imagenet100":
        blurred = Augmentation(size=224, blur=0.5)  # how often is SimCLR's; the paper names the blur alone
        recipe = replace(recipe, backbone="resnet50", weight_decay=1e-4, augmentation=blurred)
    return recipe


def desk(dataset: str = "cifar10") -> Recipe:
    """The paper's protocol with one thing changed, the network: all images, but the net of `small`.

    So the bank, the hard negatives (4095 of CIFAR-10's), the views, the optimiser, its schedule and the probe are the
    paper's. Hours on one processor core.
    """
    return replace(paper(dataset), backbone="resnet_small", width=16, stem_stride=2)


def small(dataset: str = "cifar10") -> Recipe:
    """The paper's 200 epochs on 7,500 images and a small net: minutes on one processor core.

    Images and width were chosen by a pilot (`grids.pilot`). Three learning rates differed there by less than the
    probe's standard error, and the middle one was kept. The hue is turned by rotation and by less, since pixelwise hue
    would take longer than the network.
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
    """The digits in seconds, inside a notebook: a bank of 1,437 images and three convolutions, and no flip."""
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
    """The recipe "paper", "desk", "small" or "live" with settings; "dataset=svhn" takes SVHN's own alpha.

    Errors: ValueError for another name and as in `with_settings`.
    """
    makers = {"paper": paper, "desk": desk, "small": small, "live": live}
    if name not in makers:
        raise ValueError(f"there is no recipe {name!r}; the recipes are: {', '.join(makers)}")
    settings = list(settings)
    datasets = [text for key, _, text in (setting.partition("=") for setting in settings) if key == "dataset" and text]
    recipe = makers[name](*datasets[-1:]) if name != "live" else live()
    return with_settings(recipe, settings)


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with key=value settings, such as "tau=0.1", "limit=none", "augmentation.flip=0" or "lr_steps=60,90".

    Errors: ValueError, which names the setting, for a missing "=", an unknown key and a value the recipe refuses.
    """
    settings = list(settings)
    changes: dict[str, object] = {}
    views: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key or not text:
            raise ValueError(f"the setting {setting!r} is not of the form key=value, such as tau=0.1")
        outer, dot, inner = key.partition(".")
        target, name, where = (Augmentation, inner, views) if dot else (Recipe, key, changes)
        types = {f.name: str(f.type) for f in fields(target)}
        if name not in types or (dot and outer != "augmentation") or key == "augmentation":
            known = [f.name for f in fields(Recipe) if f.name != "augmentation"]
            known += [f"augmentation.{f.name}" for f in fields(Augmentation)]
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are: {', '.join(known)}"
            raise ValueError(f"there is no setting {key!r}; {hint}")
        value = text if types[name] == str(str) else parsed(text)  # loss=none is the untrained net
        where[name] = (value,) if "tuple" in types[name] and isinstance(value, (int, float)) else value
    try:
        if views:
            changes["augmentation"] = replace(recipe.augmentation, **views)
        return replace(recipe, **changes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the settings {', '.join(settings)} do not fit the recipe: {error}") from error


def parsed(text: str) -> object:
    """A setting's value: none, true, false, a number, numbers with commas between, or else the text itself."""
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def to_dict(recipe: Recipe) -> dict:
    """All settings as plain values, ready for JSON; `from_dict` takes them back."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def from_dict(values: dict) -> Recipe:
    """The recipe of `to_dict`'s values; ValueError or TypeError for what is none."""

    def build(target, values):
        unknown = set(values) - {f.name for f in fields(target)}
        if unknown:
            raise ValueError(f"a recipe has no setting {', '.join(sorted(unknown))}: it is of another version")
        return target(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    augmentation = build(Augmentation, values.get("augmentation", {}))
    return build(Recipe, {**values, "augmentation": augmentation})


def run_id(recipe: Recipe) -> str:
    """The run's name: the first 12 hex digits of the SHA-256 of the recipe's canonical JSON.

    Left out are settings that the recipe's choices do not read, and those that are None: so a setting of a later
    version whose None means what was done before changes no name. Numbers are written as floats: tau=1 is tau=1.0.
    """
    settings = dataclasses.asdict(recipe)
    for name, (choice, readers) in READ_BY.items():
        if getattr(recipe, choice) not in readers:
            settings[name] = None
    text = json.dumps(canonical(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def canonical(value: object) -> object:
    """The value with its numbers as floats, its tuples as lists, and without what is None."""
    if isinstance(value, dict):
        return {name: canonical(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, (tuple, list)):
        return [canonical(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
