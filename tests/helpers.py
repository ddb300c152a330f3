"""What several test files use: tiny recipes, comparisons, processes, a pretended device."""

import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import torch
import torch.utils.backend_registration as backends
from torch._subclasses.fake_tensor import FakeTensorMode

from contrastlib.training import pretrain
from contrastlib.training.recipes import live, run_id, to_dict

# Recipes that train in a moment

TINY = replace(live(), limit=96, batch=32, epochs=2, width=4, d=16, alpha=0.3, queue_size=64)
LOSSES = ("contrastive", "simple", "hard", "hard_simple", "triplet_limit", "simple_limit")
KEY_SOURCES = {
    "bank": {"g": "bank"},
    "bank two views": {"g": "bank", "views": 2},
    "batch": {"g": "batch", "views": 2},
    "queue": {"g": "queue", "views": 2},
}
CLOCK = ("seconds", "images_per_second")  # what differs between two runs that do the same


def train_tiny(recipe=TINY, folder=None, **options):
    return pretrain(recipe, folder=folder, device="cpu", progress=False, **options)


def interrupt_after(epochs, save):
    """A `loop.save` that stops training once the checkpoint of so many epochs is written."""

    def interrupting(state, folder):
        save(state, folder)
        if len(state.history) == epochs:
            raise KeyboardInterrupt

    return interrupting


# Checkpoints


def checkpoint(folder, name="checkpoint.pt"):
    return torch.load(folder / name, weights_only=True)


def bits(value):
    """Everything in a checkpoint but the clock, as bytes."""
    if isinstance(value, torch.Tensor):
        content = value.contiguous().flatten().view(torch.uint8).tolist()
        return str(value.dtype), tuple(value.shape), content
    if isinstance(value, dict):
        return {name: bits(inner) for name, inner in value.items() if name not in CLOCK}
    if isinstance(value, list):
        return [bits(inner) for inner in value]
    return value


def weight_bits(module):
    """All of a module's weights and buffers, as bytes."""
    return bits(dict(module.state_dict()))


def numbers(value, path=""):
    """All numbers of a checkpoint but the clock's, by their place in it."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        found = {}
        for name, inner in value.items():
            if name not in CLOCK:
                found.update(numbers(inner, f"{path}/{name}"))
        return found
    if isinstance(value, (torch.Tensor, float, int)):
        return {path: torch.as_tensor(value, dtype=torch.float64)}
    return {}


def distance(one, other):
    """The largest difference of two checkpoints: of states absolute, of the history relative."""
    one = numbers(one)
    other = numbers(other)
    assert one.keys() == other.keys()
    gaps = []
    for name, value in one.items():
        if value.numel() == 0:
            continue
        gap = (value - other[name]).abs().max()
        if "/history" in name:
            gap = gap / max(1, value.abs().max())
        assert gap.isfinite()
        gaps.append(gap)
    return max(gaps).item()


# Folders of runs, and the processes that train them


def epochs_logged(run_folder):
    """How many lines a run's log has."""
    log = run_folder / "log.jsonl"
    if not log.exists():
        return 0
    return log.read_bytes().count(b"\n")


def holder(run_folder):
    """The process that trains the run in this folder."""
    return int((run_folder / "lock.owner").read_text().split()[1])


def prepared(recipe, folder):
    """The folder of a run, as a sweep makes it."""
    run_folder = folder / run_id(recipe)
    run_folder.mkdir(parents=True)
    (run_folder / "recipe.json").write_text(json.dumps(to_dict(recipe)))
    return run_folder


def until(condition, seconds=300):
    """Wait for a condition; the limit only keeps a broken test from waiting for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def torchrun(*arguments):
    """Start two processes, which know nothing of this process's own rank."""
    environment = dict(os.environ)
    environment.pop("RANK", None)
    environment.pop("WORLD_SIZE", None)
    environment["OMP_NUM_THREADS"] = "1"
    environment["PYTHONPATH"] = os.pathsep.join([*sys.path[:1], os.getcwd()])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*launcher, "--nproc-per-node", "2", *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def finish(process, fails=False):
    """What the processes print, once all have ended, well or not."""
    try:
        out, err = process.communicate(timeout=500)
    finally:
        process.terminate()  # torchrun ends those that it started
    assert (process.returncode != 0) == fails, out + err
    return out, err


# A pretended GPU, see test_device

PRETEND = "pretend:0"
SETUP = "_setup_privateuseone_for_python_backend"


def register_pretended_device():
    """Give this process a device "pretend", known to PyTorch and to autograd, with nothing behind.

    It is a private API of PyTorch and, once registered, is there for good: call it in a process of
    its own.
    """

    def itself(mode, memo):
        return mode

    class Backend(backends._DummyBackendModule):
        def is_available(self):
            return False  # so that torch.tensor(..., device=PRETEND) stays fake

        def get_amp_supported_dtype(self):
            return [torch.bfloat16, torch.float16]  # torch.autocast(..., enabled=False) asks

    getattr(backends, SETUP)("pretend", backend_module=Backend())
    # A buffer's deep copy takes its mode along. Two modes do not mix, and a copied one crashes the
    # process.
    FakeTensorMode.__deepcopy__ = itself
    warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")  # deepcopy does
