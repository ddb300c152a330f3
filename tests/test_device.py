"""A whole training step on a pretend GPU, on a machine without one, and the losses under autocast on the CPU.

FakeTensorMode follows shapes, dtypes and devices without computing. On a pretend device it catches tensors left on the
CPU, factories without device=, and whatever makes a GPU wait: .item(), `if tensor:`, boolean-mask indexing. It says
nothing about numbers, kernels, autocast or speed, and lets .cpu() pass. The pretend device is a private API of PyTorch
and, once registered, is there for good: so all of it runs in a process of its own.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
import torch.nn.functional as F
from helpers import PRETEND, SETUP, backends, register_pretended_device
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from contrastlib.keys import InBatchKeys, MemoryBank, MomentumQueue
from contrastlib.losses import ContrastiveLoss, HardContrastiveLoss, HardSimpleLoss, SimpleLoss

N, D, B = 100, 16, 4
LOSSES = {
    "contrastive": ContrastiveLoss(0.2),
    "simple": SimpleLoss(),
    "hard_contrastive": HardContrastiveLoss(0.2, alpha=0.5),
    "hard_simple": HardSimpleLoss(alpha=0.5),
}
KEYS = {
    "in_batch": lambda encoder: InBatchKeys(),
    "bank": lambda encoder: MemoryBank(N, D),
    "queue": lambda encoder: MomentumQueue(encoder, 10),
}


class ForgetfulBank(MemoryBank):
    """Planted: its update makes a tensor without device=."""

    def update(self, indices, features):
        super().update(indices, features * torch.ones(D, device="cpu"))


class AskingBank(MemoryBank):
    """Planted: its update asks the device for a value."""

    def update(self, indices, features):
        if indices.max() < N:
            super().update(indices, features)


class MaskingBank(MemoryBank):
    """Planted: its update makes a tensor whose shape depends on values."""

    def update(self, indices, features):
        kept = features[:, 0] > 0
        super().update(indices[kept], features[kept])


def step(criterion, make_g, g_device=PRETEND, steps=2):
    """Train; return the devices of the loss, the weights and all that g keeps. An error comes back as its text."""
    with FakeTensorMode(), torch.autograd.set_multithreading_enabled(False):
        with torch.device(PRETEND):
            layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
            encoder = nn.Sequential(*layers, nn.Linear(8, D))
        with torch.device(g_device):
            g = make_g(encoder)
        optimizer = torch.optim.SGD(encoder.parameters(), 0.1, momentum=0.9)
        try:
            for _ in range(steps):
                first, second = torch.randn(2, B, 3, 8, 8, device=PRETEND)
                indices = torch.randint(N, (B,), device=PRETEND)
                if g.other_view == "embeddings":
                    features, other = F.normalize(encoder(torch.cat([first, second])), dim=1).chunk(2)
                else:
                    features, other = F.normalize(encoder(first), dim=1), second
                loss = criterion(features, **g.keys_for(indices, other))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                g.update(indices, features)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return {str(t.device) for t in (loss, *encoder.parameters(), *g.state_dict().values())}


def named_step(loss_name, g_name):
    return step(LOSSES[loss_name], KEYS[g_name])


def bank_step(bank, g_device=PRETEND):
    return step(LOSSES["contrastive"], lambda encoder: bank(N, D), g_device)


@pytest.fixture(scope="module")
def elsewhere():
    if not hasattr(backends, SETUP):
        pytest.skip(f"this PyTorch, {torch.__version__}, has no torch.utils.backend_registration.{SETUP}")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=register_pretended_device) as process:
        yield lambda function, *args: process.submit(function, *args).result(timeout=300)


@pytest.mark.parametrize("g_name", KEYS)
@pytest.mark.parametrize("loss_name", LOSSES)
def test_a_step_stays_on_its_device_and_never_waits(elsewhere, loss_name, g_name):
    assert elsewhere(named_step, loss_name, g_name) == {PRETEND}


def test_planted_mismatch_is_caught(elsewhere):
    assert "same device" in elsewhere(bank_step, ForgetfulBank)


def test_bank_left_on_the_cpu_is_caught(elsewhere):
    assert "ValueError: indices is on pretend:0 and the bank on cpu" in elsewhere(bank_step, MemoryBank, "cpu")


def test_planted_wait_is_caught(elsewhere):
    assert elsewhere(bank_step, AskingBank).startswith("DataDependentOutputException")
    assert elsewhere(bank_step, MaskingBank).startswith("DynamicOutputShapeException")


@pytest.mark.parametrize("g_name", KEYS)
@pytest.mark.parametrize("loss_name", LOSSES)
def test_autocast_changes_no_digit(loss_name, g_name):
    torch.manual_seed(0)
    indices, first, second = torch.randperm(N)[:B], torch.randn(B, D), torch.randn(B, D)
    first, second = F.normalize(first, dim=1).requires_grad_(), F.normalize(second, dim=1).requires_grad_()

    def loss_gradients_and_state(autocast):
        g = KEYS[g_name](nn.Identity())
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert (first @ second.T).dtype == (torch.bfloat16 if autocast else torch.float32)  # it is at work
            loss = LOSSES[loss_name](first, **g.keys_for(indices, second))
            gradients = torch.autograd.grad(loss, [first, second], allow_unused=g_name != "in_batch")
            g.update(indices, first)
        return loss.detach(), *gradients, *g.state_dict().values()

    for plain, cast in zip(loss_gradients_and_state(False), loss_gradients_and_state(True), strict=True):
        assert plain is cast is None or (plain.dtype == cast.dtype and torch.equal(plain, cast))
