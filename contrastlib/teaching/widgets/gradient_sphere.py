"""Gradients on a sphere that one can see, under the reader's hand, with no kernel."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_count, check_floating, check_unit
from contrastlib.teaching.widgets.base import Interactive, render
from contrastlib.teaching.widgets.gradient_sphere_html import TAUS, Held, context
from contrastlib.teaching.widgets.tau_slider_anchor import check_images
from contrastlib.teaching.widgets.tau_slider_parts import png

__all__ = ["Scene", "encoders_gradient_sphere", "gradient_sphere", "gradient_sphere_for"]


@dataclass(frozen=True)
class Scene:
    """Points for the sphere of gradients, of which the reader chooses by the scene's name.

    anchor [3], positive [3], negatives [M, 3]: unit vectors, M from 2 to 9. images: uint8
    [2 + M, H, W] of all of them in this order, grey, and shows: what each shows, in a word; None
    and none for points that are no images. note: what is said of the scene, in a sentence.
    """

    name: str
    anchor: Tensor
    positive: Tensor
    negatives: Tensor
    images: Tensor | None = None
    shows: Sequence[str] = ()
    note: str = ""


def gradient_sphere(
    anchor: Tensor, positive: Tensor, negatives: Tensor, tau: float = 0.2, *, k: int = 3
) -> Interactive:
    """One anchor that the reader moves, and the forces of three losses on it: ordinary, hard and
    simple.

    The arrows are the parts along the sphere of minus the gradient by the anchor, of
    `losses.contrastive` and `losses.hard_contrastive` (times tau) and of `losses.simple`: the
    positive minus the keys' mean under each loss's weights. Of the loss that is chosen each single
    push is drawn as well, as wide as its share, and "Let go" takes the anchor along its arrow.
    Beside them stand the negatives' relative penalties (Eqs 5 and 8). Without scripts it is a still
    figure.

    anchor [3], positive [3], negatives [M, 3]: unit vectors, M from 2 to 9. tau: a stop of the
    slider, from 0.05 to 2. k: the number of hard negatives, in [1, M]. ValueError or TypeError on
    anything else.
    """
    scene = Scene("", anchor, positive, negatives)
    check_scene(scene, level=4)
    return render_scenes([scene], tau, k)


def gradient_sphere_for(scenes: Sequence[Scene], tau: float = 0.2, *, k: int = 3) -> Interactive:
    """The sphere of `gradient_sphere` with several scenes, of which the reader chooses one by its
    name.

    scenes: at least one; the first is shown at the start. All have the same number of negatives.
    tau, k: as for `gradient_sphere`. ValueError or TypeError on anything else.
    """
    if not scenes:
        raise ValueError("scenes is empty; give at least one Scene")
    for scene in scenes:
        check_scene(scene, level=4)
    sizes = {len(scene.negatives) for scene in scenes}
    if len(sizes) > 1:
        raise ValueError(f"the scenes have {sorted(sizes)} negatives; give each the same number")
    names = [scene.name for scene in scenes]
    if len(scenes) > 1 and (len(set(names)) < len(names) or "" in names):
        raise ValueError(f"the scenes have the names {names}; give each a name of its own")
    return render_scenes(scenes, tau, k)


def encoders_gradient_sphere(
    anchor: Tensor, positive: Tensor, negatives: Tensor, tau: float = 0.2, *, k: int = 3
) -> Interactive:
    """The sphere of `gradient_sphere`, whose reader may also take seven clothes under each of the
    three ordinary encoders that come with the book.

    anchor, positive, tau, k: as for `gradient_sphere`. negatives [5, 3].
    """
    from contrastlib.teaching.widgets.encoder_similarities import scenes_of_encoders

    made_up = Scene("made-up points", anchor, positive, negatives)
    return gradient_sphere_for([made_up, *scenes_of_encoders()], tau, k=k)


def check_scene(scene: Scene, level: int) -> None:
    """Refuse what is no scene. level: of the caller whom a warning names, as in `check_unit`."""
    for name, points, shape in (
        ("anchor", scene.anchor, "3"),
        ("positive", scene.positive, "3"),
        ("negatives", scene.negatives, "M 3"),
    ):
        check_floating(name, points, shape)
        if points.shape[-1] != 3:
            raise ValueError(f"{name} has shape {list(points.shape)}; the last dimension is 3")
        check_unit(name, points.view(-1, 3), level=level)
    count = len(scene.negatives)
    check_count("the number of negatives", count, 2, 9, "each is shown as a digit")
    if scene.images is None:
        return
    check_images("images", scene.images, "K H W")
    if not len(scene.images) == len(scene.shows) == 2 + count:
        raise ValueError(
            f"{len(scene.images)} images, {len(scene.shows)} names of what they show, and "
            f"{2 + count} points; give one of each to the anchor, the positive and each negative"
        )


def render_scenes(scenes: Sequence[Scene], tau: float, k: int) -> Interactive:
    """The widget of checked scenes."""
    check_count("k", k, 1, len(scenes[0].negatives), "that many negatives are there")
    if tau not in TAUS:
        raise ValueError(
            f"tau is {tau!r}; the slider stops at {', '.join(map(str, TAUS))}: give one of them"
        )
    held = [hold(scene) for scene in scenes]
    return render("gradient_sphere", context(held, tau, k), scripts=("sphere.js",))


def hold(scene: Scene) -> Held:
    """Rounded here, so that the still figure and the script start from the same numbers."""
    points = torch.stack([scene.anchor, scene.positive, *scene.negatives]).detach().cpu().double()
    rounded = (F.normalize(points, dim=1) * 1e5).round() / 1e5  # [2 + M, 3]
    pictures = []
    if scene.images is not None:
        for image, shows in zip(scene.images, scene.shows, strict=True):
            pictures.append((png(image), shows))
    return Held(scene.name, rounded, pictures, scene.note)
