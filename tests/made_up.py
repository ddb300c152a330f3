"""Made-up records of runs, and what several tests do with records and figures."""

import math
from dataclasses import replace

import numpy as np
from matplotlib.text import Text

from contrastlib.reproduction import grids
from contrastlib.reproduction.paper_table import COLUMNS, table1
from contrastlib.training import run_records
from contrastlib.training.recipes import run_id, small


def random_run(loss, tau, seed, dataset="cifar10", base=small, status="finished"):
    """A run with numbers of its own: no two cells, seeds or data sets have one in common."""
    recipe = grids.cell(replace(base(dataset), seed=seed), loss, tau)
    rng = np.random.default_rng(int(run_id(recipe), 16))
    labels = rng.integers(0, 100 if dataset == "cifar100" else 10, 60)
    history = []
    for epoch in range(1, recipe.epochs + 1):
        history.append({"epoch": epoch, "effective_negatives": rng.uniform(10, 7000)})
    profile = np.sort(rng.uniform(0, 1, 11))[::-1].tolist()
    steps = np.array([-0.1, -0.05, 0, 0.05, 0.1])
    metrics = {
        "probe": rng.uniform(0.48, 0.52),
        "uniformity": rng.uniform(2, 3.8),
        "tolerance": rng.uniform(0, 0.5),
        "tolerance_as_printed": rng.uniform(0, 0.05),
        "knn": rng.uniform(0.4, 0.5),
        "positive_similarity": profile[0],
        "neighbour_similarities": profile[1:],
        "profile_quantiles": [(value + steps).tolist() for value in profile],
    }
    points = {
        "x": rng.integers(0, 1000, 60).tolist(),
        "y": rng.integers(0, 1000, 60).tolist(),
        "label": labels.tolist(),
    }
    if status == "diverged":
        metrics = {}
        points = {}
    return run_records.record(recipe, status, metrics, history, 1.0, "cpu", "float32", points)


def run_like_the_papers(loss, tau, seed, dataset="cifar10", base=small):
    """A run that follows Table 1, with a little noise, and a smooth curve between its
    temperatures.
    """
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1e-4)
    probe, uniformity, tolerance = expected_numbers(loss, tau, dataset)
    if tau is None:
        tau = 1.0
    rng = np.random.default_rng(seed + 100)
    labels = np.arange(100) % 4
    centres = np.stack([labels % 2, labels // 2], axis=1) * 500.0
    if tau <= 0.1:
        centres = np.zeros_like(centres)
    places = (centres + rng.uniform(0, 300, (100, 2))).astype(int)
    metrics = {
        "probe": probe + noise,
        "uniformity": uniformity + noise,
        "tolerance": tolerance + noise,
        "positive_similarity": 1 - 0.3 * (1 - tau),
        "neighbour_similarities": [0.1 + 0.8 * tau, 0.1],
    }
    points = {
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "label": labels.tolist(),
    }
    recipe = grids.cell(replace(base(dataset), seed=seed), loss, tau)
    return run_records.record(recipe, "finished", metrics, [], 1.0, "cpu", "float32", points)


def expected_numbers(loss, tau, dataset):
    """Probe, uniformity and tolerance of a cell: those of Table 1, else made up."""
    others = {
        "none": (0.4, 1.0, 0.9),
        "batch_norm": (0.39, 1.0, 0.9),
        "supervised": (0.9, 3.0, 0.5),
        "triplet_limit": (0.35, 1.0, 1.0),
    }
    if loss in others:
        return others[loss]
    if (loss, tau) in COLUMNS:
        return [table1(dataset, name)[loss, tau] for name in ("probe", "uniformity", "tolerance")]
    return 0.832 - 0.01 * abs(math.log(tau / 0.25)), 3.3, 0.2


def all_like_the_papers(dataset="cifar10", base=small, seeds=grids.SEEDS):
    """Runs of all cells by which claims are judged."""
    cells = [*grids.CELLS["all"], ("batch_norm", None)]
    return [
        run_like_the_papers(loss, tau, seed, dataset, base) for loss, tau in cells for seed in seeds
    ]


def without(records, dataset, *cells):
    """The records without those of some cells."""
    gone = set()
    for seed in grids.SEEDS:
        for cell in cells:
            gone.add(run_id(grids.cell(replace(small(dataset), seed=seed), *cell)))
    return [record for record in records if record["id"] not in gone]


def measured(records, dataset, loss, tau, measure):
    """Slowly and plainly: what the runs of a cell measured, by seed, accuracies in per cent."""
    found = {}
    for record in records:
        recipe = record["recipe"]
        same = recipe["dataset"] == dataset and recipe["loss"] == loss
        if same and (tau is None or recipe["tau"] == tau):
            found[record["seed"]] = record["metrics"][measure]
    factor = 100 if measure == "probe" else 1
    return [found[seed] * factor for seed in sorted(found)]


def words(figure):
    """All text of a figure in one line."""
    return " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")


def lines(axes, **wanted):
    """The lines of a panel with certain properties, such as label="CIFAR-10"."""
    found = []
    for line in axes.lines:
        if all(getattr(line, f"get_{name}")() == value for name, value in wanted.items()):
            found.append(line)
    return found
