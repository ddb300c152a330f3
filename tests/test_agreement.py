"""The losses against other people's code, where it computes the same thing and inside the range
where it is right.
"""

import pytest
import torch
import torch.nn.functional as F
from random_points import unit_vectors

from contrastlib.losses import ContrastiveLoss

TAUS = (0.07, 0.2, 1.0, 10.0)
each_tau = pytest.mark.parametrize("tau", TAUS)


def both(ours, theirs, *leaves):
    """The two values agree, and so do their gradients."""
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for mine, other in zip(
        torch.autograd.grad(ours, leaves), torch.autograd.grad(theirs, leaves), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def two_views(n=16):
    """Two batches of vectors before normalisation: the others normalise whatever they are given."""
    return tuple(
        torch.randn(n, 32, generator=torch.Generator().manual_seed(i)).requires_grad_()
        for i in (0, 1)
    )


def simclr(tau, first, second):
    """Both views are keys: the other view is the positive, and nobody is their own negative."""
    z = F.normalize(torch.cat([first, second]))
    rows = torch.arange(len(z))
    return ContrastiveLoss(tau)(z, z, rows.roll(len(first)), ignore=rows)


@each_tau
def test_lightly_in_batch(tau):
    loss = pytest.importorskip("lightly.loss").NTXentLoss(temperature=tau)
    first, second = two_views()
    both(simclr(tau, first, second), loss(first, second), first, second)


@each_tau
@pytest.mark.parametrize("name", ["NTXentLoss", "SupConLoss"])
def test_pytorch_metric_learning_in_batch(name, tau):
    loss = getattr(pytest.importorskip("pytorch_metric_learning.losses"), name)(temperature=tau)
    first, second = two_views()
    theirs = loss(torch.cat([first, second]), torch.arange(16).repeat(2))
    both(simclr(tau, first, second), theirs, first, second)


@each_tau
def test_lightly_against_a_bank(tau):
    loss = pytest.importorskip("lightly.loss").NTXentLoss(
        temperature=tau, memory_bank_size=(64, 32)
    )
    first, second = two_views()
    loss(first.detach(), second.detach())  # the bank is made on the first call
    bank = loss.memory_bank.bank.clone()
    ours = ContrastiveLoss(tau)(F.normalize(first), bank, positive_keys=F.normalize(second))
    both(ours, loss(first, second), first, second)


@each_tau
def test_cross_entropy_and_torchs_own_fused_form(tau):
    f = unit_vectors(16, 32, dtype=torch.float32)
    keys = unit_vectors(50, 32, 1, torch.float32)
    rows = torch.arange(16)
    f.requires_grad_()
    ours = ContrastiveLoss(tau)(f, keys, rows)
    both(ours, F.cross_entropy(f @ keys.T / tau, rows), f)
    if hasattr(F, "linear_cross_entropy"):  # torch 2.14 and later
        both(ContrastiveLoss(tau)(f, keys, rows), F.linear_cross_entropy(f / tau, keys, rows), f)
