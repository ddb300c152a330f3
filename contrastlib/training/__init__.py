"""Training: recipes, the loop, evaluation, records, sweeps.

`pretrain` trains an encoder, `run` also measures it and writes a record. Start at `loop`.
"""

from contrastlib.training.baselines import batch_norm_only, supervised, untrained
from contrastlib.training.evaluation import evaluate, tsne
from contrastlib.training.loop import Run, pretrain
from contrastlib.training.one_run import run

__all__ = [
    "Run",
    "batch_norm_only",
    "evaluate",
    "pretrain",
    "run",
    "supervised",
    "tsne",
    "untrained",
]
