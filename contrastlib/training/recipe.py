"""A recipe is all that decides how a run comes out, as plain values; its id (`run_ids`) names the
run.

Where and how a run is done (folder, device, progress bar) is no part of it. The four recipes that
the book uses, and settings from a command line, are in `recipes`.
"""

import dataclasses
import json
from dataclasses import dataclass, field, fields

from contrastlib.augment import Augmentation
from contrastlib.checks import (
    as_python,
    check_count,
    check_momentum,
    check_one_of,
    check_positive,
    check_share,
    check_tau,
)
from contrastlib.training.objectives import OBJECTIVES

__all__ = ["Recipe", "from_dict", "to_dict"]

CHOICES = {
    "g": ("bank", "batch", "queue"),
    "backbone": ("resnet18_cifar", "resnet50", "resnet_small", "convnet_digits"),
    "schedule": ("steps", "cosine"),
    "precision": (None, "float32", "bfloat16"),
    "split": ("test", "train"),
    "probe": ("lbfgs", "paper"),
}
LOWEST = {
    "batch": 2,
    "epochs": 1,
    "d": 2,
    "width": 1,
    "stem_stride": 1,
    "queue_size": 1,
    "neighbours": 1,
}


@dataclass(frozen=True)
class Recipe:
    """One run: data, objective, keys, network, views, optimiser, and how it is measured.

    Change one by `dataclasses.replace(recipe, tau=0.1)`. Where the paper leaves a choice open, the
    comment says so and names the default. Numpy's numbers become Python's own.

    - "contrastive" is Eq 1, "simple" Eq 3, "hard" Eq 9, "hard_simple" Eq 3 over the hardest
      negatives, "triplet_limit" Eq 6, "simple_limit" Eq 7.
    - tau="learnt" learns the temperature of "contrastive", "hard" or "supervised_contrastive" with
      the network, as CLIP does: see `learnt_temperature`.
    - "supervised_contrastive" is that of Khosla et al. 2020, whose positives are all keys of the
      anchor's class.
    - "supervised" trains the same network with the labels, "none" leaves it untrained, and
      "batch_norm" shows its batch normalisation the images as often as in training, without
      changing a weight. These three are baselines.

    Errors: TypeError or ValueError for a value out of range, and for settings that contradict.
    """

    dataset: str = "cifar10"  #: a name of `data.load`
    limit: int | None = None  #: how many of the training images; None: all
    seed: int = 0  #: of the first weights, bank or queue, order of the images, and views

    loss: str = "contrastive"  #: a name in `objectives.OBJECTIVES`
    tau: float | str = 0.2  #: temperature; "learnt": learnt with the network, as in CLIP
    #: With tau_period: tau swings to tau_to and back, along a cosine (Kukleva et al. 2023).
    tau_to: float | None = None
    tau_period: float | None = None  #: epochs of one such swing
    tau_start: float = 0.2  #: a learnt temperature's first value; CLIP: 0.07
    #: The learning rate of log(1 / tau) at the start, for a learnt temperature; None: a tenth of
    #: lr. At lr itself it would run to a bound before the network has learnt anything.
    tau_lr: float | None = None
    tau_min: float = 0.01  #: a learnt temperature is kept above this, as OpenCLIP's is
    tau_max: float = 1.0  #: a learnt temperature is kept below this
    lam: float | None = None  #: weight of the negatives, not in the paper; None: 1 / their number
    #: The share of negatives that the hard losses keep; they take either alpha or k. For SVHN and
    #: ImageNet100 the two that the paper gives disagree; `recipes.paper` takes its alpha.
    alpha: float | None = None
    k: int | None = None  #: the number of negatives that the hard losses keep

    #: The source of keys: "bank" (Wu et al. 2018, the paper), "batch" (SimCLR), "queue" (MoCo).
    g: str = "bank"
    #: How many of the bank's rows each anchor is compared with, drawn anew each step without
    #: repetition, the batch's own among them. Not in the paper; None: all (Eq 1); Wu et al.: 4096.
    negatives: int | None = None
    bank_momentum: float = 0.5  #: the share of the old row that stays
    queue_momentum: float = 0.999  #: the share of the momentum encoder that stays
    queue_size: int = 4096  #: keys in the queue
    #: 1: the positive is the anchor's row of the bank (the paper); 2: the other view.
    views: int = 1
    #: Leave the keys of an anchor's own class out of its negatives, by the labels. Not in the
    #: paper: an oracle, which shows what a loss does without false negatives.
    leave_out_same_class: bool = False

    backbone: str = "resnet18_cifar"  #: a name in `models`
    width: int = 16  #: channels of the small networks
    stem_stride: int = 1  #: of ResNet-18's first convolution; not in the paper, 1 in Wu et al.
    max_pool: bool = False  #: ResNet-18's pooling after it; not in the paper, left out in Wu et al.
    d: int = 128  #: dimensions of the embeddings

    #: Without a mean and a std, those of the training images are taken.
    augmentation: Augmentation = field(default_factory=Augmentation)

    batch: int = 128  #: anchors a step
    epochs: int = 200  #: passes over the training images
    lr: float = 0.03  #: of SGD, at the start
    schedule: str = "steps"  #: "steps": times 0.1 at each of lr_steps; "cosine": to 0, step by step
    lr_steps: tuple[int, ...] = (160, 190)  #: in epochs
    momentum: float = 0.9  #: of SGD
    weight_decay: float = 5e-4  #: of SGD, on all weights
    #: Of the network alone, "float32" or "bfloat16" (autocast); None: bfloat16 where it is native.
    precision: str | None = None

    split: str = "test"  #: the images of uniformity, tolerance, alignment; not in the paper
    probe: str = "lbfgs"  #: or "paper", see `metrics.linear_probe`
    neighbours: int = 200  #: k of the kNN accuracy; at most half a class's average number of images

    def __post_init__(self):
        for setting in fields(self):
            value = as_python(getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)
        self._check_types()
        self._check_choices()
        self._check_numbers()
        self._check_temperature()
        self._check_combinations()

    @property
    def learns_tau(self) -> bool:
        """Whether the temperature is learnt: then `tau` is no number."""
        return self.tau == "learnt"

    def _check_types(self) -> None:
        if not isinstance(self.dataset, str):
            raise TypeError(f"dataset is {self.dataset!r}; give a name, such as 'digits'")
        if not isinstance(self.augmentation, Augmentation):
            raise TypeError(f"augmentation is {self.augmentation!r}; give an augment.Augmentation")
        for name in ("max_pool", "leave_out_same_class"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise TypeError(f"{name} is {value!r}; give True or False")

    def _check_choices(self) -> None:
        choices = {"loss": tuple(OBJECTIVES), **CHOICES}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                listed = ", ".join(map(str, allowed))
                raise ValueError(f"{name} is {value!r}; give one of: {listed}")

    def _check_numbers(self) -> None:
        check_count("seed", self.seed, 0, 2**53, "ids tell whole numbers apart up to there")
        for name, lowest in LOWEST.items():
            check_count(name, getattr(self, name), lowest)
        if self.limit is not None:
            check_count("limit", self.limit, 2)
        if self.k is not None:
            check_count("k", self.k, 1)
        if self.negatives is not None:
            why = "the others of the batch are among them"
            check_count("negatives", self.negatives, self.batch - 1, why=why)
        check_count("views", self.views, 1, 2)
        check_positive("lr", self.lr)
        check_share("weight_decay", self.weight_decay, 1.0)
        check_share("momentum", self.momentum, 1.0)
        check_momentum(self.bank_momentum, "bank_momentum")
        check_momentum(self.queue_momentum, "queue_momentum")
        if self.lam is not None:
            check_positive("lam", self.lam)
        if not isinstance(self.lr_steps, tuple):
            raise TypeError(
                f"lr_steps is {self.lr_steps!r}; give epochs in a tuple, such as (160, 190)"
            )
        for epoch in self.lr_steps:
            check_count("an epoch of lr_steps", epoch)

    def _check_temperature(self) -> None:
        if self.learns_tau:
            self._check_learnt_temperature()
            return
        if isinstance(self.tau, str):
            raise ValueError(
                f"tau is {self.tau!r}; give a number above 0, such as 0.2, or 'learnt'"
            )
        check_tau(self.tau)
        if (self.tau_to is None) != (self.tau_period is None):
            raise ValueError(
                f"tau_to is {self.tau_to} and tau_period {self.tau_period}; give both, or neither"
            )
        if self.tau_to is not None:
            check_tau(self.tau_to)
            check_positive("tau_period", self.tau_period)

    def _check_learnt_temperature(self) -> None:
        if self.tau_to is not None or self.tau_period is not None:
            raise ValueError(
                f"tau is 'learnt', tau_to {self.tau_to} and tau_period {self.tau_period}; a "
                "temperature is learnt or has a schedule: leave out tau_to and tau_period"
            )
        if not OBJECTIVES[self.loss].tau_can_change:
            learners = [name for name, entry in OBJECTIVES.items() if entry.tau_can_change]
            raise ValueError(
                f"tau is 'learnt' and loss is {self.loss!r}, which cannot learn it; give tau a "
                f"number, or loss one of: {', '.join(learners)}"
            )
        for name in ("tau_min", "tau_start", "tau_max"):
            check_positive(name, getattr(self, name))
        if not self.tau_min <= self.tau_start <= self.tau_max:
            raise ValueError(
                f"tau_start is {self.tau_start}; a learnt tau stays between tau_min, "
                f"{self.tau_min}, and tau_max, {self.tau_max}: give a start between them"
            )
        if self.tau_lr is not None:
            check_positive("tau_lr", self.tau_lr)

    def _check_combinations(self) -> None:
        if OBJECTIVES[self.loss].keeps_hardest:
            check_one_of(self.alpha, self.k)
        if self.g != "bank" and self.views != 2:
            raise ValueError(
                f"g is {self.g!r} and views is {self.views}; its keys are other views: set views=2"
            )
        if self.g != "bank" and self.negatives is not None:
            raise ValueError(
                f"negatives is {self.negatives} and g is {self.g!r}; "
                "only a bank is drawn from: use None"
            )
        if self.g == "queue" and self.reads_labels:
            raise ValueError(
                f"g is 'queue', which keeps no labels of its keys, and {self._why_labels()}: "
                "set g='bank' or g='batch'"
            )

    @property
    def reads_labels(self) -> bool:
        """Whether the loss is told which keys are of the anchor's class."""
        objective = OBJECTIVES[self.loss]
        leaves_out = self.leave_out_same_class and "leave_out_same_class" not in objective.ignores
        return objective.needs_labels or leaves_out

    def _why_labels(self) -> str:
        """What in the recipe needs labels, in words."""
        if OBJECTIVES[self.loss].needs_labels:
            return f"loss {self.loss!r} needs them"
        return "leave_out_same_class needs them"


def to_dict(recipe: Recipe) -> dict:
    """All settings as plain values, ready for JSON; `from_dict` takes them back."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def from_dict(values: dict) -> Recipe:
    """The recipe of `to_dict`'s values. Errors: ValueError or TypeError for what is no recipe."""
    augmentation = _from_plain(Augmentation, values.get("augmentation", {}))
    return _from_plain(Recipe, {**values, "augmentation": augmentation})


def _from_plain(kind: type, values: dict) -> object:
    """A Recipe or an Augmentation from plain values, whose lists were tuples."""
    known = {setting.name for setting in fields(kind)}
    unknown = set(values) - known
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ValueError(f"a recipe has no setting {names}: it is of another version")
    settings = {}
    for name, value in values.items():
        settings[name] = tuple(value) if isinstance(value, list) else value
    return kind(**settings)
