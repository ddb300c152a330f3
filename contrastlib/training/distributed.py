"""Several processes that train one net as one process would: `torchrun --nproc-per-node N -m contrastlib train ...`.

The recipe's batch is the whole batch: each process takes its N-th, in rank order. All draw the same random numbers for
the whole of it, so order and views do not depend on N. Three things cross the processes: the gradients, which
DistributedDataParallel averages; the statistics of batch normalisation; and what g needs. On equal parts the mean over
the processes of the mean over a part is the mean over the batch. So N processes do what one does, up to rounding, and
one may go on from the checkpoint of the other. Training magnifies rounding, in one process as in several: what is equal
is each step, to 1e-12 in float64 (tests/test_distributed.py), not the last digits of a long run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from contrastlib.collectives import all_gather, world_size
from contrastlib.numerics import at_least_float32

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}


def launched() -> int:
    """How many processes torchrun started: 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """The number of this process, 0 for the first, which alone writes files and shows progress."""
    started = dist.is_available() and dist.is_initialized()
    return dist.get_rank() if started else int(os.environ.get("RANK", 0)) if launched() > 1 else 0


def part() -> tuple[int, int]:
    """Which part of a batch is this process's, and how many parts there are."""
    return (rank(), world_size()) if world_size() > 1 else (0, 1)


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Connect the processes that torchrun started, where they are not yet, for as long as the block lasts."""
    if launched() == 1 or (dist.is_available() and dist.is_initialized()):
        yield
        return
    if device.type not in BACKENDS:
        raise ValueError(
            f"{launched()} processes cannot train together on {device.type}; give cuda or cpu as device, or start one"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(BACKENDS[device.type])
    yield
    dist.destroy_process_group()  # not after an error: the others may be waiting in it, and torchrun ends them


@contextmanager
def first_on_each_machine() -> Iterator[None]:
    """Let one process a machine do the block before its others do: it may download or fill a cache."""
    late = int(os.environ.get("LOCAL_RANK", 0)) > 0
    if world_size() > 1 and late:
        dist.barrier()
    yield
    if world_size() > 1 and not late:
        dist.barrier()


def mean(values: Tensor) -> Tensor:
    """The mean over the processes; no gradient flows."""
    return values if world_size() == 1 else all_gather(values[None]).mean(dim=0)


def agreed(flag: Tensor | bool, device: torch.device) -> bool:
    """Whether the flag is true in all processes."""
    if world_size() == 1:
        return bool(flag)
    return bool(all_gather(torch.as_tensor(flag, device=device).view(1).to(torch.uint8)).all())


class Gather(torch.autograd.Function):
    """The tensors [B, ...] of all processes joined in rank order; each process's gradient is the sum over all."""

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        ctx.length = len(tensor)
        return all_gather(tensor)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[dist.get_rank() * ctx.length :][: ctx.length]


class WholeBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, on the CPU, where nn.SyncBatchNorm does not work."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(x)
        y = x.to(at_least_float32(x))
        average = Gather.apply(y.mean(dim=(0, 2, 3))[None]).mean(dim=0)
        y = y - average[:, None, None]
        variance = Gather.apply(y.square().mean(dim=(0, 2, 3))[None]).mean(dim=0)
        n = world_size() * y[:, 0].numel()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(average, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (y * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share_statistics(net: nn.Module, device: torch.device) -> None:
    """Make the net's batch normalisation that of the whole batch, in place; names and parameters stay as they are."""
    if world_size() == 1:
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(net)
        return
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = WholeBatchNorm


def parallel(net: nn.Module) -> nn.Module:
    """The net with gradients averaged over the processes."""
    return net if world_size() == 1 else DistributedDataParallel(net)
