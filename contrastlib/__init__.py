"""The contrastive loss of Wang & Liu (CVPR 2021) and its behaviour, in code that reads like the
paper.

The mathematics: `losses`, `gradients`, `metrics`, `keys`. What tries it out: `data`, `augment`,
`models`, `recipes`, `train`, `results`. The command line: `python -m contrastlib`.
"""

__version__ = "0.1.0"
