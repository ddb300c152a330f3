"""Several processes that train one network: `torchrun --nproc-per-node N -m contrastlib train ...`.

The recipe's batch is the whole batch: each process takes its N-th, in rank order. All processes
draw the same random numbers for the whole batch, so order and views do not depend on N. Three
things cross the processes: the gradients, which DistributedDataParallel averages; the statistics
of batch normalisation; and what the key source needs. On equal shares the mean over the processes
of the mean over a share is the mean over the batch. So N processes do what one does, up to
rounding, and one may resume from the checkpoint of the other. Training magnifies rounding, in one
process as in several: each step is equal, to 1e-12 in float64 (tests/test_distributed.py), but not
the last digits of a long run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from contrastlib.collectives import all_gather, world_size
from contrastlib.numerics import at_least_float32

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}


class Shard(NamedTuple):
    """The share of each batch that one process computes."""

    rank: int = 0
    world_size: int = 1

    def of(self, tensor: Tensor) -> Tensor:
        """The rows of a tensor [B, ...] that belong to this shard [B / world_size, ...]."""
        return tensor.chunk(self.world_size)[self.rank]


WHOLE_BATCH = Shard()


def env_world_size() -> int:
    """The number of processes that torchrun started: 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """The rank of this process. Rank 0 alone writes files and shows progress."""
    if is_initialised():
        return dist.get_rank()
    if env_world_size() == 1:
        return 0
    return int(os.environ.get("RANK", 0))


def is_initialised() -> bool:
    """Whether this process belongs to a process group."""
    return dist.is_available() and dist.is_initialized()


def shard() -> Shard:
    """The shard of this process: rank 0 of 1 outside a process group."""
    if world_size() == 1:
        return WHOLE_BATCH
    return Shard(rank(), world_size())


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Initialise the process group for the duration of the block, unless one exists.

    Without torchrun there is nothing to initialise. Errors: ValueError for a device on which
    several processes cannot train.
    """
    if env_world_size() == 1 or is_initialised():
        yield
        return
    if device.type not in BACKENDS:
        raise ValueError(
            f"{env_world_size()} processes cannot train together on {device.type}; "
            "give cuda or cpu as device, or start one"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(BACKENDS[device.type])
    yield
    # Not in a `finally`: after an error the other processes may still wait in a collective, and
    # torchrun ends them.
    dist.destroy_process_group()


@contextmanager
def local_main_process_first() -> Iterator[None]:
    """Let one process of each machine run the block before the others: it may fill a cache."""
    is_local_main = int(os.environ.get("LOCAL_RANK", 0)) == 0
    if world_size() > 1 and not is_local_main:
        dist.barrier()
    yield
    if world_size() > 1 and is_local_main:
        dist.barrier()


def all_reduce_mean(values: Tensor) -> Tensor:
    """The mean of a tensor over the processes; no gradient flows."""
    if world_size() == 1:
        return values
    return all_gather(values[None]).mean(dim=0)


def average_gradients(module: nn.Module) -> None:
    """Average a module's gradients over the processes, as `wrap_ddp` does for the network."""
    for parameter in module.parameters():
        parameter.grad = all_reduce_mean(parameter.grad)


def all_ranks(flag: Tensor | bool, device: torch.device) -> bool:
    """Whether the flag is true in all processes."""
    if world_size() == 1:
        return bool(flag)
    return bool(_gather_flags(flag, device).all())


def from_first_rank(flag: bool, device: torch.device) -> bool:
    """The flag of rank 0, in all processes."""
    if world_size() == 1:
        return flag
    return bool(_gather_flags(flag, device)[0])


def _gather_flags(flag: Tensor | bool, device: torch.device) -> Tensor:
    """The flags of all processes, in rank order: uint8 [world_size]."""
    own = torch.as_tensor(flag, device=device).view(1).to(torch.uint8)
    return all_gather(own)


class Gather(torch.autograd.Function):
    """Join the tensors [B, ...] of all processes in rank order -> [world_size * B, ...].

    The gradient of each process's tensor is the sum of what all processes computed for it.
    """

    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        ctx.length = len(tensor)
        return all_gather(tensor)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        start = dist.get_rank() * ctx.length
        return gradient[start : start + ctx.length]


class SyncBatchNormCPU(nn.BatchNorm2d):
    """nn.SyncBatchNorm for the CPU: statistics of the whole batch, gathered from all processes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(x)
        y = x.to(at_least_float32(x))  # [B, C, H, W]
        local_mean = y.mean(dim=(0, 2, 3))  # [C]
        mean = Gather.apply(local_mean[None]).mean(dim=0)  # [C]
        y = y - mean[:, None, None]
        local_variance = y.square().mean(dim=(0, 2, 3))  # [C]
        variance = Gather.apply(local_variance[None]).mean(dim=0)  # [C], biased
        n = world_size() * y[:, 0].numel()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()  # [C]
        y = y * scale[:, None, None] + self.bias[:, None, None]
        return y.to(x.dtype)


def convert_sync_batchnorm(net: nn.Module, device: torch.device) -> None:
    """Make the network's batch normalisation use the statistics of the whole batch, in place.

    Names and parameters stay as they are.
    """
    if world_size() == 1:
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(net)
        return
    for module in net.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNormCPU


def wrap_ddp(net: nn.Module) -> nn.Module:
    """The network with gradients averaged over the processes."""
    if world_size() == 1:
        return net
    return DistributedDataParallel(net)
