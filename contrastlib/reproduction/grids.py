"""Grids: the runs behind each figure and table, as lists of recipes. `contrastlib sweep GRID`
trains one.

A grid is made from a recipe by name, so that the same grid runs small on a processor and as the
paper has it on GPUs.
"""

from collections.abc import Iterable
from dataclasses import replace

from contrastlib.reproduction.paper_table import COLUMNS
from contrastlib.training.recipes import ALPHAS, Recipe, by_name, desk, run_id, small

__all__ = ["NAMES", "cell", "grid"]

TAUS = (0.02, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
SEEDS = (0, 1, 2)
BASELINES = (("none", None), ("supervised", None))  # shown beside every probe
CURVES = tuple((loss, tau) for tau in TAUS for loss in ("contrastive", "hard"))
CELLS = {
    "table1": COLUMNS + BASELINES,
    "curves": CURVES,  # Figures 4 to 7 and 9
    "maps": (("contrastive", 0.07), ("contrastive", 0.2)),  # Figure 2
    "profiles": tuple(("contrastive", tau) for tau in (0.07, 0.2, 0.3, 0.7, 1.0)),  # Figure 8
    "limits": (
        ("triplet_limit", 0.07),
        ("simple_limit", 1.0),
        ("contrastive", 0.07),
        ("contrastive", 1.0),
        *BASELINES,
    ),
    "all": tuple(dict.fromkeys(COLUMNS + CURVES + (("triplet_limit", 0.07),) + BASELINES)),
}

# Runs that were registered before any of them was made; see `registered`.
BEST_TAUS = (0.07, 0.1, 0.2, 0.3)  # among which the ordinary loss's best temperature is looked for
DESK = (
    ("contrastive", 0.2),
    ("contrastive", 0.07),
    ("contrastive", 0.3),
    ("contrastive", 1.0),
    ("hard", 1.0),
    ("hard", 0.3),
    ("simple", None),
    ("hard_simple", None),
    *BASELINES,
    ("batch_norm", None),
    ("contrastive", 0.1),
    ("contrastive", 0.7),
    ("hard", 0.07),
    ("hard", 0.7),
    ("triplet_limit", 0.07),
)
REGISTERED = (
    "scaled-lr",
    "batch-norm",
    "desk",
    "width-32",
    "whole-batch",
    "width-64",
    "paper-probe",
    "all-images",
)
SAME_STEPS = 30  # epochs of all images, about as many steps as 200 epochs of `small`

# Registered as well, but about no claim of the paper's; see `oracle`.
ORACLE_TAUS = (0.07, 1.0, 0.2)
ORACLE_EPOCHS = 60
ORACLE_LIMIT = 3000
SUPERVISED_TAU = 0.1  # that of Khosla et al.

# Questions that the paper leaves open: the ordinary loss with one thing changed. See `ablations`.
ABLATION_TAUS = (0.07, 0.2, 1.0)
ABLATIONS = {
    "50 epochs": {"epochs": 50},
    "cosine tau": {"tau": 1.0, "tau_to": 0.1, "tau_period": 40},
    "512 negatives": {"negatives": 512},
    "queue": {"g": "queue", "views": 2},
    "in-batch": {"g": "batch", "views": 2},
}
NAMES = (*CELLS, *REGISTERED, "oracle", "beyond", "pilot")


def cell(recipe: Recipe, loss: str, tau: float | None = None) -> Recipe:
    """The recipe with another loss and temperature (None where the loss has none).

    On a whole data set "hard_simple" keeps the 4095 nearest, as the paper says; on part of one, the
    recipe's share.
    """
    if tau is None:
        tau = recipe.tau
    recipe = replace(recipe, loss=loss, tau=tau)
    all_images = recipe.limit is None and recipe.dataset in ALPHAS
    all_negatives = recipe.g == "bank" and recipe.negatives is None
    if loss == "hard_simple" and all_images and all_negatives:
        recipe = replace(recipe, alpha=None, k=4095)
    return recipe


def grid(
    name: str,
    recipe: str = "small",
    settings: Iterable[str] = (),
    seeds: Iterable[int] = SEEDS,
) -> list[Recipe]:
    """The runs of a grid, seed by seed, so that a sweep which is stopped early has every column at
    least once.

    recipe, settings: as for `recipes.by_name`. The pilot takes neither, nor seeds; the registered
    grids take a data set alone. Errors: ValueError for a name not in NAMES, and for settings that
    the grid has itself, such as tau.
    """
    settings = list(settings)
    if name not in NAMES:
        raise ValueError(f"there is no grid {name!r}; the grids are: {', '.join(NAMES)}")
    if name == "pilot":
        if recipe != "small" or settings:
            raise ValueError("the pilot is fixed: it takes no other recipe, data set or setting")
        return pilot()
    if name in REGISTERED or name == "oracle":
        return registered_grid(name, recipe, settings, seeds)
    refuse_own_settings(name, settings)
    base = by_name(recipe, settings)
    runs = []
    for seed in seeds:
        seeded = replace(base, seed=seed)
        if name == "beyond":
            for ablation in ABLATIONS:
                runs += ablated(seeded, ablation)
        else:
            runs += [cell(seeded, loss, tau) for loss, tau in CELLS[name]]
    return list({run_id(run): run for run in runs}.values())


def refuse_own_settings(name: str, settings: list[str]) -> None:
    """Refuse settings that the grid has itself."""
    own = {"loss", "tau", "seed"}
    if name == "beyond":
        for changes in ABLATIONS.values():
            own.update(changes)
    given = {setting.partition("=")[0] for setting in settings}
    taken = sorted(own & given)
    if taken:
        raise ValueError(
            f"the grid {name!r} sets {', '.join(taken)} itself: leave that out "
            "(--seeds chooses seeds), or train one run by contrastlib train"
        )


def registered_grid(
    name: str, recipe: str, settings: list[str], seeds: Iterable[int]
) -> list[Recipe]:
    """The runs of a registered grid."""
    others = [setting for setting in settings if not setting.startswith("dataset=")]
    if recipe != "small" or others:
        raise ValueError(
            f"the grid {name!r} is as it was registered: it takes a data set, "
            "but no recipe or setting"
        )
    dataset = by_name("small", settings).dataset
    runs = []
    for seed in seeds:
        if name == "oracle":
            runs += oracle(dataset, seed)
        else:
            runs += registered(name, dataset, seed)
    return runs


def registered(name: str, dataset: str, seed: int) -> list[Recipe]:
    """The runs of one seed of a registered grid, and what each grid is for.

    - "scaled-lr": `small` with the learning rate in proportion to tau, 0.06 at tau = 0.2. A step on
      the ordinary loss is otherwise about 1 / tau long, so that 0.07 was trained with steps three
      times as long as 0.2. We expect that shorter steps help 0.07, so that the left side of the
      inverted U does not appear.
    - "batch-norm": `small` without training, but with batch normalisation that has seen the images:
      C3's baseline.
    - "desk": the paper's protocol on all images, the network alone being changed. We expect the
      left side to appear, but smaller than in the paper, since the net stays small.
    - "width-32", "width-64": `small` with a wider net. Two papers find that small networks want
      small temperatures (Shi et al. 2021, arXiv 2107.14762; Lin et al. 2022, arXiv 2212.07158). We
      expect the best temperature to move from 0.1 towards 0.2 as the net grows, by about a point in
      the probe at 0.2 minus that at 0.07.
    - "whole-batch": all images, with the batch as keys and two views. We expect the best of the
      temperatures to be 0.2, and better nets than those of the bank, since the keys are fresh and
      take part in the gradient.
    - "paper-probe": `small` read by the paper's probe as well as by logistic regression. This grid
      was registered later than the others, after three runs of "desk" had been read by both: their
      left side is 3.6 points by the paper's probe and 1.7 by logistic regression. We expect the
      same of `small`, whose left side by logistic regression is -1.0: about +1 point by the paper's
      probe. So the probe would account for nearly half of the difference between `small` and
      "desk", and the images and the schedule for the rest.
    - "all-images": `small` on all images, with about as many steps. This grid was registered last,
      after five runs of "desk" had been read: from `small` to "desk" the left side rises by 2.7
      points by logistic regression, from -1.0 to +1.7, and several things change together. Here the
      images change alone, and with them the number of negatives and how often an image is seen. We
      expect the left side to rise by about half as much, to about +0.4 points. So the images would
      account for half of the rise, and the number of steps, the learning rate, its schedule and the
      hue for the rest.
    """
    base = replace(small(dataset), seed=seed)
    if name == "batch-norm":
        return [cell(base, "batch_norm")]
    if name == "desk":
        base = replace(desk(dataset), seed=seed)
        return [cell(base, loss, tau) for loss, tau in DESK]
    if name == "scaled-lr":
        others = [tau for tau in BEST_TAUS if tau != 0.2]
        return [replace(base, tau=tau, lr=round(0.3 * tau, 4)) for tau in others]
    if name == "paper-probe":
        return [replace(base, tau=tau, probe="paper") for tau in BEST_TAUS]
    if name == "all-images":
        base = replace(base, limit=None, epochs=SAME_STEPS)
        return [replace(base, tau=tau) for tau in BEST_TAUS]
    if name == "whole-batch":
        base = replace(base, limit=None, g="batch", views=2)
        return [replace(base, tau=tau) for tau in (*BEST_TAUS, 0.5, 1.0)]
    widths = {"width-32": 32, "width-64": 64}
    return [replace(base, width=widths[name], tau=tau) for tau in BEST_TAUS]


def oracle(dataset: str, seed: int) -> list[Recipe]:
    """The runs of one seed of "oracle", and what was expected of them before any was made.

    At each temperature the ordinary loss with all negatives and without those of the anchor's
    class, which the labels name; then the supervised contrastive loss. All are `small` on fewer
    images for fewer epochs.

    The dilemma says that a small temperature spreads the points over the sphere and so pushes a
    class apart. Without same-class negatives nothing pushes it apart. We expect of the oracle,
    compared with the ordinary loss at the same temperature: (1) more tolerance, by most at 0.07;
    (2) less uniformity at 0.07 and 0.2, since a class that gathers leaves room, and no clear change
    at 1; (3) more tolerance than the ordinary loss has at an equal uniformity, so that its points
    lie above the ordinary loss's curve; (4) more accurate neighbours at each temperature, by most
    at 1, and a smaller difference between the temperatures; (5) a probe that is better by a point
    or two, hardly different between temperatures. Of the supervised loss we expect the most
    tolerance of all, above 0.7, and the best neighbours and probe.
    """
    base = replace(small(dataset), limit=ORACLE_LIMIT, epochs=ORACLE_EPOCHS, seed=seed)
    runs = []
    for tau in ORACLE_TAUS:
        ordinary = cell(base, "contrastive", tau)
        runs.append(ordinary)
        runs.append(replace(ordinary, leave_out_same_class=True))
    runs.append(cell(base, "supervised_contrastive", SUPERVISED_TAU))
    return runs


def ablated(recipe: Recipe, ablation: str) -> list[Recipe]:
    """The recipe with one of ABLATIONS, at each of ABLATION_TAUS, or at the ablation's own
    temperature.
    """
    changes = ABLATIONS[ablation]
    taus = ABLATION_TAUS
    if "tau" in changes:
        taus = (changes["tau"],)
    return [replace(cell(recipe, "contrastive", tau), **changes) for tau in taus]


def pilot() -> list[Recipe]:
    """The runs that chose the number of images, width and learning rate of `small`, by the probe at
    tau = 0.2.

    First two sizes that take about as long, then two more learning rates at the better one. No
    other temperature was tried, so that no claim about tau is tuned to; nor is the seed used again.
    """
    base = replace(small(), tau=0.2, seed=100)
    better = replace(base, limit=7500, width=16, lr=0.06)
    other = replace(base, limit=4000, width=32, lr=0.06)
    return [better, other, replace(better, lr=0.03), replace(better, lr=0.12)]
