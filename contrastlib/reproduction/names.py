"""What data sets, losses and measures are called in figures and tables."""

from contrastlib.data import DATASETS
from contrastlib.reproduction.paper_table import DATASETS as PAPER_DATASETS
from contrastlib.training.objectives import OBJECTIVES

# The titles of the data sets, the paper's first: the order in figures.
NAMES = {name: DATASETS[name].title for name in (*PAPER_DATASETS, *DATASETS)}
LOSSES = {name: objective.title for name, objective in OBJECTIVES.items()}
UNITS = {"probe": "accuracy, %", "uniformity": "nats", "tolerance": "mean cosine"}
DECIMALS = {"probe": 1, "knn": 1, "uniformity": 2, "tolerance": 3, "alignment": 2}
