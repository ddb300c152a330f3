"""The three choices of g, the other side of the loss: the batch itself, a memory bank, a momentum
encoder's queue.

Each gives the loss its keys before the step and takes in what was learnt after it, so any loss
trains with any g. They differ in what they make of the other view of each image, which the
attribute `other_view` names: "embeddings" (the encoder's own, with gradient), "images" (g embeds
them itself), or None (one view is enough). The loop is

    if g.other_view == "embeddings":
        features, other = encoder(torch.cat([first, second])).chunk(2)
    else:
        features, other = encoder(first), second  # a bank never looks at second: it may be None
    loss = criterion(features, **g.keys_for(indices, other))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    g.update(indices, features)

`keys_for` hands out the bank or the queue itself, not a copy, and `update` writes into it: call it
after `backward`. Tensors: B anchors, n images, d dimensions. `indices` [B], long, are the images'
numbers in the training set.

Under torch.distributed every process holds the whole bank or queue. They begin alike, drawn from
`seed`, and stay alike: `update` gathers what all processes learnt, in rank order. All need batches
of one size (checked on the CPU).
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastlib.checks import (
    check_count,
    check_finite,
    check_floating,
    check_lengths,
    check_momentum,
    check_row_numbers,
    check_same,
)
from contrastlib.collectives import gather_batch, world_size
from contrastlib.numerics import at_least_float32

__all__ = ["InBatchKeys", "MemoryBank", "MomentumQueue"]


class InBatchKeys(nn.Module):
    """The encoder itself on the other view, SimCLR's choice (Chen et al. 2020): the other images
    are the negatives.

    The other view of anchor i is its positive, those of the B - 1 others are its negatives. Nothing
    is stored. Under torch.distributed each process keeps to its own batch.
    """

    other_view = "embeddings"

    def keys_for(self, indices: Tensor, other_view: Tensor) -> dict[str, Tensor]:
        """Keys [B, d], which is other_view itself, so that gradients flow to it, and positive [B]:
        0, 1, ..., B - 1.

        other_view [B, d]: the unit vectors of the other views, in the order of the anchors.
        """
        check_floating("other_view", other_view, "B d")
        check_lengths("indices", indices, "other_view", other_view)
        return {
            "keys": other_view,
            "positive": torch.arange(len(other_view), device=other_view.device),
        }

    def update(self, indices: Tensor, features: Tensor) -> None:
        """Nothing to do: the next batch brings its own keys."""


class MemoryBank(nn.Module):
    """One key for each training image, a moving average of its features (Wu et al. 2018): the
    paper's choice.

    The positive of image i is row i of the bank; all other rows are its negatives. n images, d
    dimensions, momentum in [0, 1]: the share of the old row that stays. The rows begin as random
    unit vectors drawn from seed, and are float32 whatever autocast says.
    """

    other_view = None

    def __init__(self, n: int, d: int, momentum: float = 0.5, *, seed: int = 0):
        super().__init__()
        check_count("n", n)
        check_count("d", d)
        check_momentum(momentum)
        self.momentum = momentum
        # what is made in inference mode could not be trained with
        with torch.inference_mode(False):
            self.register_buffer("bank", random_unit_vectors(n, d, seed))

    def extra_repr(self) -> str:
        return "{}, {}, momentum={}".format(*self.bank.shape, self.momentum)

    def keys_for(self, indices: Tensor, other_view: Tensor | None = None) -> dict[str, Tensor]:
        """Keys [n, d], the whole bank, and positive [B], the indices. other_view is not used."""
        check_indices(indices, self.bank)
        return {"keys": self.bank, "positive": indices}

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        # in half precision an average may never move
        self.bank = self.bank.to(at_least_float32(self.bank))
        return self

    @torch.no_grad()
    def update(self, indices: Tensor, features: Tensor) -> None:
        """Move each image's row towards its features: row = normalise(momentum * row + (1 -
        momentum) * feature).

        features [B, d], unit vectors of any floating dtype. Of an image given twice the last one
        counts, on every device, the last process's where there are several. A row and its exact
        opposite at momentum 0.5 give 0.
        """
        check_floating("features", features, "B d")
        check_indices(indices, self.bank)
        check_lengths("indices", indices, "features", features)
        check_same("features", features, "the bank", self.bank)
        n, d = self.bank.shape
        if features.shape[1] != d:
            raise ValueError(
                f"features have {features.shape[1]} dimensions and the bank {d}; both must be the "
                f"encoder's: make the bank with d={features.shape[1]}"
            )
        check_finite("features", features)
        indices, features = gather_batch(indices, features.to(self.bank.dtype))
        # Writing one row twice leaves the winner to chance on a GPU: both write what the last says.
        order = torch.arange(len(indices), device=indices.device)
        last = order.new_zeros(n).scatter_reduce(0, indices, order, "amax")[indices]
        rows = self.momentum * self.bank[indices] + (1 - self.momentum) * features[last]
        self.bank[indices] = F.normalize(rows)


class MomentumQueue(nn.Module):
    """The last `size` keys of a momentum encoder, MoCo's choice (He et al. 2020).

    The positive is the momentum encoder's embedding of the other view; every row of the queue is a
    negative. Keep size well below the number of training images, or an image's older keys are among
    its negatives.

    encoder is the module being trained, bare: before DistributedDataParallel or torch.compile wraps
    it. The queue owns a copy of it, the momentum encoder, and follows it in `update`. size rows,
    momentum in [0, 1]. The rows begin as random unit vectors drawn from seed, when the first keys
    tell their dimensions, and are float32 whatever autocast says. A batch, or the batches of all
    processes together, may not be larger than the queue. Copied alone, a queue follows a copy of
    the encoder; copy.deepcopy((encoder, queue)) keeps the two together.
    """

    other_view = "images"

    def __init__(self, encoder: nn.Module, size: int, momentum: float = 0.999, *, seed: int = 0):
        super().__init__()
        if not isinstance(encoder, nn.Module):
            raise TypeError(
                f"encoder is a {type(encoder).__name__}; give the torch.nn.Module that is being "
                "trained"
            )
        check_count("size", size)
        check_momentum(momentum)
        self.size = size
        self.momentum = momentum
        self.seed = seed
        # in a tuple, so that it is no submodule: its parameters belong to the optimiser
        self.followed = (encoder,)
        self.waiting = None  # the keys of this step, which join the queue after it
        device = next(encoder.parameters(), torch.empty(0)).device
        # what is made in inference mode could not be trained with
        with torch.inference_mode(False):
            self.momentum_encoder = copy.deepcopy(encoder).requires_grad_(False)
            self.register_buffer("queue", torch.empty(size, 0, dtype=torch.float32, device=device))
            # the oldest key's row
            self.register_buffer("pointer", torch.zeros((), dtype=torch.long, device=device))
            self.make_averages()

    def make_averages(self) -> None:
        """Give each half-precision parameter of the momentum encoder its average in float32,
        "average_0" and so on.

        A step of 1 - momentum is too small for half precision: rounded to it, the average would
        never move.
        """
        for i, p in enumerate(self.momentum_encoder.parameters()):
            name = f"average_{i}"
            average = getattr(self, name, None)
            if p.dtype == at_least_float32(p):
                if average is not None:
                    p.copy_(average)
                    delattr(self, name)
            elif average is None:
                self.register_buffer(name, p.detach().float())
            else:
                setattr(self, name, average.to(at_least_float32(average)))

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.queue = self.queue.to(at_least_float32(self.queue))
        self.make_averages()
        return self

    def extra_repr(self) -> str:
        return f"size={self.size}, momentum={self.momentum}"

    def keys_for(self, indices: Tensor, other_view: Tensor) -> dict[str, Tensor]:
        """Keys [size, d], the queue, and positive_keys [B, d], the momentum encoder's embeddings of
        other_view.

        other_view: the images of the other views, a batch of B as the encoder takes them. No
        gradient flows here.
        """
        if other_view is None:
            raise TypeError(
                "other_view is None; give the images of the other views, which the queue embeds "
                "itself"
            )
        with torch.no_grad():
            keys = self.momentum_encoder(other_view)
        check_floating("the momentum encoder's output", keys, "B d")
        check_lengths("indices", indices, "other_view", keys)
        check_finite("the momentum encoder's output", keys)
        if world_size() * len(keys) > self.size:
            raise ValueError(
                f"{world_size()} batch(es) of {len(keys)} do not fit into a queue of {self.size}: "
                "make size larger or the batch smaller"
            )
        if self.queue.shape[1] == 0:
            with torch.inference_mode(False):
                self.queue = random_unit_vectors(self.size, keys.shape[1], self.seed).to(self.queue)
        if keys.shape[1] != self.queue.shape[1]:
            raise ValueError(
                f"the momentum encoder's output has {keys.shape[1]} dimensions and the queue "
                f"{self.queue.shape[1]}; both must come from one encoder: make a new "
                "MomentumQueue(encoder, size)"
            )
        self.waiting = keys.to(self.queue.dtype)
        return {"keys": self.queue, "positive_keys": self.waiting}

    @torch.no_grad()
    def update(self, indices: Tensor, features: Tensor) -> None:
        """Put the keys of the last `keys_for` in place of the oldest ones, and follow the encoder.

        Each parameter p of the momentum encoder becomes momentum * p + (1 - momentum) * q, q being
        the encoder's; buffers, such as batch normalisation's statistics, are copied. The averages
        of parameters in half precision are kept in float32. Of features [B, d] only their number is
        read.
        """
        if self.waiting is None:
            raise ValueError("no keys wait to join the queue: call keys_for before each update")
        check_lengths("features", features, "the last keys_for", self.waiting)
        (keys,) = gather_batch(self.waiting)
        rows = (self.pointer + torch.arange(len(keys), device=keys.device)) % self.size
        self.queue.index_copy_(0, rows, keys)
        self.pointer.add_(len(keys)).remainder_(self.size)
        self.waiting = None
        (encoder,) = self.followed
        pairs = zip(self.momentum_encoder.parameters(), encoder.parameters(), strict=True)
        for i, (p, q) in enumerate(pairs):
            average = getattr(self, f"average_{i}", p)
            average.lerp_(q.to(average.dtype), 1 - self.momentum)
            if average is not p:
                p.copy_(average)
        for p, q in zip(self.momentum_encoder.buffers(), encoder.buffers(), strict=True):
            p.copy_(q)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        saved = state_dict.get(prefix + "queue")
        # The dimensions come with the first keys, or from here.
        if saved is not None and len(saved) == self.size:
            with torch.inference_mode(False):
                self.queue = self.queue.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


def random_unit_vectors(rows: int, d: int, seed: int) -> Tensor:
    """Unit vectors [rows, d] drawn on the CPU from seed alone: the same on every device and in
    every process.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    draw = torch.randn(rows, d, generator=generator, device="cpu", dtype=torch.float32)
    # get_default_device() does not see `with torch.device(...)` before PyTorch 2.8.
    default_device = torch.empty(0).device
    return F.normalize(draw).to(default_device)


def check_indices(indices: Tensor, bank: Tensor) -> None:
    """Refuse anything but the images' numbers [B], long, of rows of the bank [n, d]."""
    hint = ", or make the bank with n = the number of training images"
    check_row_numbers("indices", indices, "image numbers", len(bank), "the bank", bank, hint)
    if indices.ndim != 1 or len(indices) == 0:
        raise ValueError(
            f"indices has shape {list(indices.shape)}; give [B], the number of each image, B at "
            "least 1"
        )
