"""What processes that train together exchange, in rank order. With one process each function
returns its input.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from contrastlib.checks import readable


def world_size() -> int:
    """How many processes train together: 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_batch(*tensors: Tensor) -> list[Tensor]:
    """Each tensor [B, ...] with those of all processes joined in rank order [processes * B, ...];
    no gradient flows.
    """
    if world_size() == 1:
        return list(tensors)
    if readable(tensors[0]):  # unequal batches would abort the process or leave rows unwritten
        lengths = all_gather(torch.tensor([len(tensors[0])], device="cpu")).tolist()
        if len(set(lengths)) > 1:
            raise ValueError(
                f"the processes have batches of {lengths}; all must be of one size: use a "
                "DistributedSampler, and drop_last=True in the DataLoader"
            )
    return [all_gather(tensor) for tensor in tensors]


def all_gather(tensor: Tensor) -> Tensor:
    """The tensors of all processes, joined in rank order."""
    tensor = tensor.contiguous()
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)
