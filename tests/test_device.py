"""A whole training step on a pretend GPU, on a machine without one, and the losses under autocast
on the CPU.

FakeTensorMode follows shapes, dtypes and devices without computing. On a pretend device it catches
tensors left on the CPU, factories without device=, and whatever makes a GPU wait: .item(), `if
tensor:`, boolean-mask indexing. It says nothing about numbers, kernels, autocast or speed, and lets
.cpu() pass. The pretend device is a private API of PyTorch and, once registered, is there for good:
so all of it runs in a process of its own.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
import torch.nn.functional as F
from helpers import PRETEND, SETUP, backends, register_pretended_device
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from contrastlib.keys import InBatchKeys, MemoryBank, MomentumQueue
from contrastlib.losses import (
    ContrastiveLoss,
    HardContrastiveLoss,
    HardSimpleLoss,
    SimpleLimitLoss,
    SimpleLoss,
    TripletLimitLoss,
)

N = 100
D = 16
B = 4
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
    """Train; return the devices of the loss, the weights and all that g keeps. An error comes back
    as its text.
    """
    with FakeTensorMode(), torch.autograd.set_multithreading_enabled(False):
        with torch.device(PRETEND):
            layers = (
                nn.Conv2d(3, 8, 3),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
            )
            encoder = nn.Sequential(*layers, nn.Linear(8, D))
        with torch.device(g_device):
            g = make_g(encoder)
        optimizer = torch.optim.SGD(encoder.parameters(), 0.1, momentum=0.9)
        try:
            for _ in range(steps):
                first, second = torch.randn(2, B, 3, 8, 8, device=PRETEND)
                indices = torch.randint(N, (B,), device=PRETEND)
                if g.other_view == "embeddings":
                    features, other = F.normalize(encoder(torch.cat([first, second])), dim=1).chunk(
                        2
                    )
                else:
                    features = F.normalize(encoder(first), dim=1)
                    other = second
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


class CountKernels(TorchDispatchMode):
    """Counts the operations that compute something: not views, and not memory that is only set
    aside.
    """

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **kwargs or {})
        name = function.overloadpacket.__name__
        computes = not function.is_view and "empty" not in name and name != "detach"
        if computes and isinstance(
            out, (torch.Tensor, tuple)
        ):  # not a question for a dtype or a device
            self.count += 1
        return out


def kernels(loss_name, keys, ignored, tau_kind="number"):
    """How many kernels a module launches on the pretended device: forward, and backward to the
    features.
    """
    with FakeTensorMode(), torch.autograd.set_multithreading_enabled(False), torch.device(PRETEND):
        features = torch.empty(256, 128, requires_grad=True)
        bank = torch.empty(keys, 128)
        positive = torch.empty(256, dtype=torch.long)
        tau = {
            "number": 0.2,
            "learnt": nn.Parameter(torch.empty(())),
            "individual": torch.empty(256),
        }[tau_kind]
        ignore = {0: None, 1: positive}.get(ignored)
        if ignored > 1:
            ignore = torch.empty(256, ignored, dtype=torch.long)
        module = {
            "contrastive": lambda: ContrastiveLoss(tau),
            "simple": lambda: SimpleLoss(),
            "hard_contrastive": lambda: HardContrastiveLoss(tau, alpha=0.0819),
            "hard_contrastive k": lambda: HardContrastiveLoss(tau, k=4095),
            "hard_simple": lambda: HardSimpleLoss(alpha=0.0819),
            "triplet_limit": lambda: TripletLimitLoss(tau),
            "simple_limit": lambda: SimpleLimitLoss(tau),
        }[loss_name]()
        with CountKernels() as counter:
            module(features, bank, positive, ignore=ignore).backward()
    return counter.count


@pytest.fixture(scope="module")
def elsewhere():
    if not hasattr(backends, SETUP):
        pytest.skip(
            f"this PyTorch, {torch.__version__}, has no torch.utils.backend_registration.{SETUP}"
        )
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=register_pretended_device
    ) as process:
        yield lambda function, *args: process.submit(function, *args).result(timeout=300)


@pytest.mark.parametrize("g_name", KEYS)
@pytest.mark.parametrize("loss_name", LOSSES)
def test_a_step_stays_on_its_device_and_never_waits(elsewhere, loss_name, g_name):
    assert elsewhere(named_step, loss_name, g_name) == {PRETEND}


@pytest.mark.parametrize("ignored", [0, 1, 3])
@pytest.mark.parametrize(
    ("loss_name", "at_most", "at_most_of_a_million"),
    [
        ("contrastive", 50, 250),
        ("simple", 50, 250),
        ("simple_limit", 50, 250),
        ("hard_contrastive", 100, 600),
        ("hard_contrastive k", 100, 600),
        ("hard_simple", 100, 600),
        ("triplet_limit", 100, 600),
    ],
)
def test_few_kernels_on_a_gpu(elsewhere, loss_name, at_most, at_most_of_a_million, ignored):
    assert elsewhere(kernels, loss_name, 50_000, ignored) <= at_most
    assert elsewhere(kernels, loss_name, 1_281_167, ignored) <= at_most_of_a_million


@pytest.mark.parametrize("tau_kind", ["learnt", "individual"])
@pytest.mark.parametrize("ignored", [0, 3])
def test_few_kernels_with_a_tensor_as_temperature(elsewhere, tau_kind, ignored):
    assert elsewhere(kernels, "contrastive", 50_000, ignored, tau_kind) <= 50
    assert elsewhere(kernels, "hard_contrastive", 50_000, ignored, tau_kind) <= 100


def test_planted_mismatch_is_caught(elsewhere):
    assert "same device" in elsewhere(bank_step, ForgetfulBank)


def test_bank_left_on_the_cpu_is_caught(elsewhere):
    assert "ValueError: indices is on pretend:0 and the bank on cpu" in elsewhere(
        bank_step, MemoryBank, "cpu"
    )


def test_planted_wait_is_caught(elsewhere):
    assert elsewhere(bank_step, AskingBank).startswith("DataDependentOutputException")
    assert elsewhere(bank_step, MaskingBank).startswith("DynamicOutputShapeException")


@pytest.mark.parametrize("g_name", KEYS)
@pytest.mark.parametrize("loss_name", LOSSES)
def test_autocast_changes_no_digit(loss_name, g_name):
    torch.manual_seed(0)
    indices = torch.randperm(N)[:B]
    first = torch.randn(B, D)
    second = torch.randn(B, D)
    first = F.normalize(first, dim=1).requires_grad_()
    second = F.normalize(second, dim=1).requires_grad_()

    def loss_gradients_and_state(autocast):
        g = KEYS[g_name](nn.Identity())
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert (first @ second.T).dtype == (
                torch.bfloat16 if autocast else torch.float32
            )  # it is at work
            loss = LOSSES[loss_name](first, **g.keys_for(indices, second))
            gradients = torch.autograd.grad(
                loss, [first, second], allow_unused=g_name != "in_batch"
            )
            g.update(indices, first)
        return loss.detach(), *gradients, *g.state_dict().values()

    for plain, cast in zip(
        loss_gradients_and_state(False), loss_gradients_and_state(True), strict=True
    ):
        assert plain is cast is None or (plain.dtype == cast.dtype and torch.equal(plain, cast))
