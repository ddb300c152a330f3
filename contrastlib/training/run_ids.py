"""What names a run: the hash of all settings that its recipe reads.

Settings that a choice of the recipe ignores are no part of the id, so that two recipes with one id
train the same network.
"""

import dataclasses
import hashlib
import json

from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipe import Recipe

__all__ = ["effective_settings", "run_id"]

# Settings that a choice does not read; what a loss does not read says `OBJECTIVES`. All others are
# part of the run's id, so a setting that is forgotten here costs a needless run, never a wrong one.
IGNORED_BY = {
    "g": {
        "bank": {"queue_momentum", "queue_size"},
        "batch": {"negatives", "bank_momentum", "queue_momentum", "queue_size"},
        "queue": {"negatives", "bank_momentum"},
    },
    "backbone": {
        "resnet18_cifar": {"width"},
        "resnet50": {"width", "stem_stride", "max_pool"},
        "resnet_small": {"max_pool"},
        "convnet_digits": {"stem_stride", "max_pool"},
    },
    "schedule": {"cosine": {"lr_steps"}},
    # It came after most of the runs were stored: where it is False, their ids are as they were.
    "leave_out_same_class": {False: {"leave_out_same_class"}},
}
# Settings that only a learnt temperature reads.
OF_LEARNT_TAU = frozenset({"tau_start", "tau_lr", "tau_min", "tau_max"})


def effective_settings(recipe: Recipe) -> dict:
    """The settings that the recipe's choices read, by name; `augmentation` is a dict of its own."""
    ignored = set(OBJECTIVES[recipe.loss].ignores)
    for choice, ignored_by in IGNORED_BY.items():
        ignored |= ignored_by.get(getattr(recipe, choice), set())
    if not recipe.learns_tau:
        ignored |= OF_LEARNT_TAU
    settings = dataclasses.asdict(recipe)
    return {name: value for name, value in settings.items() if name not in ignored}


def run_id(recipe: Recipe) -> str:
    """The run's name: the first 12 hex digits of the SHA-256 of the recipe's canonical JSON.

    Settings that the recipe's choices ignore are not hashed, nor are those that are None. So a new
    optional setting, whose None means what was done before, leaves the old ids valid. Numbers are
    written as floats: tau=1 is tau=1.0.
    """
    settings = canonical(effective_settings(recipe))
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def canonical(value: object) -> object:
    """The value with its numbers as floats, its tuples as lists, and without what is None."""
    if isinstance(value, dict):
        return {name: canonical(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, (tuple, list)):
        return [canonical(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
