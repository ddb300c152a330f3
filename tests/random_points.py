"""Random unit vectors and similarities, which several test files use."""

import torch
import torch.nn.functional as F


def unit_vectors(n, d=8, seed=0, dtype=torch.float64):
    """Random points of the unit sphere, [n, d]."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=generator, dtype=dtype), dim=1)


def similarities(batch=5, negatives=9, seed=0, dtype=torch.float64):
    """Random s_pos [batch] and s_neg [batch, negatives], in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.rand(batch, negatives + 1, generator=generator, dtype=dtype) * 2 - 1
    return s[:, 0], s[:, 1:]
