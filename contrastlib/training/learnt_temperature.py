"""A temperature that is learnt with the network, as CLIP does it (Radford et al. 2021)."""

import math

import torch
from torch import Tensor, nn

__all__ = ["LearntTemperature"]


class LearntTemperature(nn.Module):
    """One temperature for all anchors: what is learnt is log(1 / tau), CLIP's `logit_scale`.

    A step on a logarithm multiplies tau, so that a step means the same at 0.02 and at 1, and tau
    stays above 0. (A step on log(1 / tau) and one on log(tau) are the same; the name is CLIP's.)

    start, lowest, highest: temperatures; `clip` keeps tau within the last two.
    """

    def __init__(self, start: float, lowest: float, highest: float):
        super().__init__()
        self.lowest = lowest
        self.highest = highest
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(start)))

    def forward(self) -> Tensor:
        """tau, a tensor without dimensions, through which gradients flow to `logit_scale`."""
        return torch.exp(-self.logit_scale)

    @torch.no_grad()
    def clip(self) -> None:
        """Bring tau back into its range; after each step."""
        self.logit_scale.clamp_(-math.log(self.highest), -math.log(self.lowest))
