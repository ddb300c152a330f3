"""The contrastive loss of Wang & Liu (CVPR 2021) and its behaviour, in code that reads like the paper.

Modules: `losses`, `gradients`, `metrics`, `keys`, `data`, `augment`, `models`. Command line: `python -m contrastlib`.
"""

__version__ = "0.1.0"
