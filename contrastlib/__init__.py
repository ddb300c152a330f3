"""The contrastive loss of Wang & Liu (CVPR 2021) and its behaviour, in code that reads like the
paper.

What a practitioner imports: `losses`, `gradients`, `metrics`, `keys`, `data`, `augment`, `models`.
What tries it out: `training`, `reproduction`; what shows and measures it: `teaching`, `bench`. The
command line: `python -m contrastlib`.
"""

__version__ = "0.1.0"
