"""Which trained encoders there are: their recipes, their titles and their colours."""

from dataclasses import replace

from contrastlib.reproduction.plotting import GREY, LOSS_COLOURS, tau_colour
from contrastlib.training.objectives import OBJECTIVES
from contrastlib.training.recipes import Recipe, small

__all__ = ["AVAILABLE", "colour", "recipe_of", "title"]

# A loss, and its temperature if it has one.
AVAILABLE: tuple[tuple[str, float | None], ...] = (
    ("contrastive", 0.07),
    ("contrastive", 0.2),
    ("contrastive", 1.0),
    ("hard", 1.0),
    ("simple", None),
    ("hard_simple", None),
    ("triplet_limit", 0.07),
    ("none", None),
)


def recipe_of(loss: str, tau: float | None = None) -> Recipe:
    """The recipe by which the encoder of this loss was trained: `small` on Fashion-MNIST, seed 0.

    loss: a name of a recipe's loss; "none" is the untrained network. tau: its temperature; None for
    a loss without one.
    Errors: ValueError, which lists what there is, for a pair that is not in `AVAILABLE`.
    """
    if (loss, tau) not in AVAILABLE:
        calls = ", ".join(call_of(*pair) for pair in AVAILABLE)
        raise ValueError(f"there is no trained encoder {call_of(loss, tau)}; there are: {calls}")
    recipe = replace(small("fashion-mnist"), loss=loss)
    if tau is None:
        return recipe
    return replace(recipe, tau=tau)


def call_of(loss: str, tau: float | None) -> str:
    """What loads an encoder, such as "pretrained('hard', 1.0)"."""
    if tau is None:
        return f"pretrained({loss!r})"
    return f"pretrained({loss!r}, {tau})"


def title(loss: str, tau: float | None = None) -> str:
    """What a figure calls an encoder, such as "ordinary, τ = 0.07". Errors as for `recipe_of`."""
    name = OBJECTIVES[recipe_of(loss, tau).loss].title
    if tau is None:
        return name
    return f"{name}, τ = {tau:g}"


def colour(loss: str, tau: float | None = None) -> str:
    """The encoder's colour in figures: its temperature's if it is ordinary, else its loss's."""
    recipe = recipe_of(loss, tau)
    if recipe.loss == "contrastive":
        return tau_colour(recipe.tau)
    return LOSS_COLOURS.get(recipe.loss, GREY)
