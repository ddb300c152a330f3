"""Training: recipes, the loop, evaluation, records, sweeps. `pretrain` and `run` are the two ways in."""

from .evaluation import batch_norm_only, evaluate, supervised, tsne, untrained
from .loop import Run, pretrain, run

__all__ = ["Run", "batch_norm_only", "evaluate", "pretrain", "run", "supervised", "tsne", "untrained"]
