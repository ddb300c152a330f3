"""Where a run computes: the device, the precision of the network, processor cores and threads."""

import os

import torch

from contrastlib.checks import check_count
from contrastlib.training import distributed
from contrastlib.training.recipe import Recipe
from contrastlib.training.run_ids import IGNORED_BY

ONE_THREAD_NETS = ("convnet_digits",)  # so small that a second thread only waits for the first


def core_count() -> int:
    """The number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def decode_workers() -> int:
    """The number of DataLoader workers: this process's share of the cores it may use."""
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(1, core_count() // processes_here)


def set_threads(recipe: Recipe, threads: int | None = None) -> None:
    """Give PyTorch so many processor threads; None leaves its default, but one for tiny nets.

    OMP_NUM_THREADS in the environment counts as an explicit choice, which None respects.
    """
    if threads is not None:
        check_count("threads", threads)
        torch.set_num_threads(threads)
    elif recipe.backbone in ONE_THREAD_NETS and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def pick_device(name: str | torch.device | None) -> torch.device:
    """The device asked for; None takes the best there is: cuda, then mps, then cpu.

    Under torchrun "cuda" is the GPU of this process's own local rank.
    Errors: ValueError for a name that is no device, and for one that this machine lacks.
    """
    available = available_devices()
    if name is None:
        name = available[0]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        message = f"there is no device {name!r}; give cpu, cuda, cuda:N or mps"
        raise ValueError(message) from error
    if device == torch.device("cuda") and distributed.env_world_size() > 1:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    missing = device.type not in available
    if device.type == "cuda" and not missing:
        missing = (device.index or 0) >= torch.cuda.device_count()
    if missing:
        choices = ", ".join(available)
        raise ValueError(f"device {device} is not available here; give one of: {choices}")
    return device


def available_devices() -> list[str]:
    """The kinds of device that this machine has, the fastest first."""
    available = []
    if torch.cuda.is_available():
        available.append("cuda")
    if torch.backends.mps.is_available():
        available.append("mps")
    available.append("cpu")
    return available


def pick_precision(recipe: Recipe, device: torch.device) -> str:
    """The recipe's precision; where it has none, bfloat16 if the device multiplies it natively.

    Elsewhere bfloat16 is slower than float32.
    """
    if recipe.precision is not None:
        return recipe.precision
    if multiplies_bfloat16(device):
        return "bfloat16"
    return "float32"


def memory_format(recipe: Recipe, device: torch.device) -> torch.memory_format:
    """How the network's weights and its images lie in memory: channels last, which is faster.

    But not where a small network has fewer than 8 channels, on the CPU: there PyTorch 2.14's
    float32 convolutions over channels last write past their memory, on some processors (seen with
    AVX2). A run in bfloat16 is evaluated in float32, so its precision does not matter.
    """
    reads_width = "width" not in IGNORED_BY["backbone"][recipe.backbone]
    if device.type == "cpu" and reads_width and recipe.width < 8:
        return torch.contiguous_format
    return torch.channels_last


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    for test in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        # Not every version of PyTorch has both tests; bool() is False.
        if getattr(torch.cpu, test, bool)():
            return True
    return False
