"""The contrastive loss of Wang & Liu (CVPR 2021) and its behaviour, in code that reads like the paper.

Modules: `losses`, `gradients`, `metrics`, `keys`, `data`, `augment`; `python -m contrastlib` for the command line.
"""

__version__ = "0.1.0"
