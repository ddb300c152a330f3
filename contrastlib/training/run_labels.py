"""What tells the runs of a sweep apart, in words."""

from collections.abc import Iterable

from contrastlib.training.recipe import Recipe
from contrastlib.training.run_ids import effective_settings


def labels(recipes: Iterable[Recipe]) -> list[str]:
    """For each recipe its data set, loss, temperature and seed, and what else distinguishes it.

    For example "digits contrastive tau 0.2 seed 0 augmentation.flip 0.5": the last setting is named
    because another of the recipes differs in it alone.
    """
    rows = [flat_settings(recipe) for recipe in recipes]
    beginnings = [beginning(row) for row in rows]
    texts = []
    for row, first_words in zip(rows, beginnings, strict=True):
        alike = [
            other for other, words in zip(rows, beginnings, strict=True) if words == first_words
        ]
        text = first_words
        for name, value in row.items():
            if any(other.get(name) != value for other in alike):
                text += f" {name} {value}"
        texts.append(text)
    return texts


def flat_settings(recipe: Recipe) -> dict:
    """The settings that the recipe reads; an augmentation's as "augmentation.NAME", at the end."""
    settings = effective_settings(recipe)
    augmentation = settings.pop("augmentation")
    for name, value in augmentation.items():
        settings[f"augmentation.{name}"] = value
    return settings


def beginning(row: dict) -> str:
    """Data set, loss, temperature if there is one, and seed."""
    words = [row["dataset"], row["loss"]]
    if "tau" in row:
        tau = row["tau"]  # a number, or "learnt"
        if not isinstance(tau, str):
            tau = f"{tau:g}"
        words.append(f"tau {tau}")
    words.append(f"seed {row['seed']}")
    return " ".join(words)
