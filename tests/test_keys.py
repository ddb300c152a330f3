"""The three g's against slow references, their wrapping, their state, and several processes against
one.
"""

import copy
import warnings
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from contrastlib.keys import InBatchKeys, MemoryBank, MomentumQueue
from contrastlib.losses import ContrastiveLoss, HardContrastiveLoss, HardSimpleLoss, SimpleLoss
from contrastlib.training import components, recipes

N = 20
D = 5
LOSSES = {
    "contrastive": ContrastiveLoss(0.2),
    "simple": SimpleLoss(),
    "hard_contrastive": HardContrastiveLoss(0.2, k=2),
    "hard_simple": HardSimpleLoss(k=2),
}
KEYS = {
    "in_batch": lambda encoder: InBatchKeys(),
    "bank": lambda encoder: MemoryBank(N, D),
    "queue": lambda encoder: MomentumQueue(encoder, 7),
}


class Encoder(nn.Module):
    """A few weights and, for the buffers' sake, batch normalisation, on images [B, 3, 4, 4]."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, D)
        )

    def forward(self, x):
        return F.normalize(self.layers(x), dim=1)


class Unit(nn.Module):
    """No weights: a queue of its outputs holds what was put in."""

    def forward(self, x):
        return F.normalize(x, dim=1)


def units(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def loss_of(encoder, g, criterion, indices, first, second):
    """The first half of the loop in the module's docstring."""
    if g.other_view == "embeddings":
        features, other = encoder(torch.cat([first, second])).chunk(2)
    else:
        features = encoder(first)
        other = second
    return criterion(features, **g.keys_for(indices, other)), features


def train_step(encoder, g, criterion, optimizer, indices, first, second):
    loss, features = loss_of(encoder, g, criterion, indices, first, second)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    g.update(indices, features)


@pytest.mark.parametrize("g_name", KEYS)
@pytest.mark.parametrize("loss_name", LOSSES)
def test_any_loss_trains_with_any_g(loss_name, g_name):
    torch.manual_seed(0)
    encoder = Encoder()
    g = KEYS[g_name](encoder)
    optimizer = torch.optim.SGD(encoder.parameters(), 0.01)
    batch = torch.tensor([8, 3, 5, 13]), torch.randn(4, 3, 4, 4), torch.randn(4, 3, 4, 4)
    for _ in range(3):
        loss, features = loss_of(encoder, g, LOSSES[loss_name], *batch)
        optimizer.zero_grad()
        loss.backward()
        assert all(
            p.grad.isfinite().all() and p.grad.any() for p in encoder.layers[-1].parameters()
        )
        optimizer.step()
        with torch.no_grad():
            after, _ = loss_of(encoder, g, LOSSES[loss_name], *batch)
        assert after < loss  # against the same keys, the step was downhill
        before = {name: t.clone() for name, t in g.state_dict().items()}
        g.update(batch[0], features)
        assert all(
            not torch.equal(t, before[name])
            for name, t in g.state_dict().items()
            if name in ("bank", "queue")
        )
    assert not any(t.requires_grad for t in g.state_dict().values())


# In the batch


def test_in_batch_gradient_flows_to_both_views():
    first = units(4, D).requires_grad_()
    second = units(4, D, seed=1).requires_grad_()
    arguments = InBatchKeys().keys_for(torch.tensor([9, 3, 5, 1]), second)
    assert arguments["keys"] is second
    assert arguments["positive"].tolist() == [0, 1, 2, 3]
    # What SimCLR's code usually says.
    F.cross_entropy(first @ second.T / 0.2, torch.arange(4)).backward()
    expected = first.grad.clone(), second.grad.clone()
    first.grad = None
    second.grad = None
    ContrastiveLoss(0.2)(first, **arguments).backward()
    torch.testing.assert_close((first.grad, second.grad), expected)
    assert not InBatchKeys().state_dict()


# Memory bank


@settings(deadline=None, max_examples=25)
@given(
    batches=st.lists(
        st.lists(st.integers(0, N - 1), min_size=1, max_size=6), min_size=1, max_size=4
    ),
    momentum=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_bank_is_a_dictionary_of_moving_averages(batches, momentum, seed):
    g = MemoryBank(N, D, momentum, seed=seed)
    slow = dict(enumerate(g.bank.clone()))
    for step, batch in enumerate(batches):
        features = units(len(batch), D, seed=seed + step)
        g.update(torch.tensor(batch), features)
        before = dict(slow)
        for i, f in zip(
            batch, features, strict=True
        ):  # of an image given twice the last one counts
            mixed = momentum * before[i] + (1 - momentum) * f
            slow[i] = mixed / mixed.norm()
    torch.testing.assert_close(g.bank, torch.stack([slow[i] for i in range(N)]))


def test_an_image_given_twice_is_written_one_value():
    """On a GPU the order of two writes to one row is chance, so nothing may depend on it."""
    written = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function is torch.ops.aten.index_put_.default:
                written.append(args)
            return function(*args, **kwargs or {})

    g = MemoryBank(N, D)
    with Watch():
        g.update(torch.tensor([4, 9, 4, 4]), units(4, D))
    ((_, (indices,), rows),) = written
    assert indices.tolist() == [4, 9, 4, 4]
    assert torch.equal(rows[0], rows[3])
    assert torch.equal(rows[2], rows[3])


def test_bank_hands_out_itself_and_its_rows_as_positives():
    g = MemoryBank(N, D)
    indices = torch.tensor([3, 7])
    arguments = g.keys_for(indices, None)
    assert arguments["keys"] is g.bank
    assert arguments["positive"] is indices
    torch.testing.assert_close(g.bank.norm(dim=1), torch.ones(N))
    assert torch.equal(g.bank, MemoryBank(N, D).bank)
    assert not torch.equal(g.bank, MemoryBank(N, D, seed=1).bank)
    bank = g.bank.clone()
    bank[3] = -units(1, D)[0]
    g.bank.copy_(bank)
    g.update(torch.tensor([3]), units(1, D))
    assert g.bank[3].tolist() == [0.0] * D  # opposites cancel: no direction, and no NaN


def test_update_before_backward_is_refused():
    g = MemoryBank(N, D)
    features = units(2, D).requires_grad_()
    loss = ContrastiveLoss(0.2)(features, **g.keys_for(torch.tensor([0, 1])))
    g.update(torch.tensor([0, 1]), features)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# Momentum queue


@settings(deadline=None, max_examples=25)
@given(size=st.integers(1, 9), data=st.data())
def test_queue_is_first_in_first_out_however_it_wraps(size, data):
    batches = data.draw(st.lists(st.integers(1, size), min_size=1, max_size=8))
    g = MomentumQueue(Unit(), size)
    slow = None
    for step, batch in enumerate(batches):
        images = units(batch, D, seed=step)
        arguments = g.keys_for(torch.arange(batch), images)
        torch.testing.assert_close(arguments["positive_keys"], images)
        if slow is None:
            slow = list(arguments["keys"].clone())
            oldest = 0
        torch.testing.assert_close(
            arguments["keys"], torch.stack(slow)
        )  # own keys are not there yet
        g.update(torch.arange(batch), images)
        for image in images:
            slow[oldest] = image
            oldest = (oldest + 1) % size
        torch.testing.assert_close(g.queue, torch.stack(slow))
        assert int(g.pointer) == oldest


def test_momentum_encoder_is_a_moving_average_and_copies_buffers():
    torch.manual_seed(0)
    encoder = Encoder()
    g = MomentumQueue(encoder, 8, momentum=0.9)
    slow = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    optimizer = torch.optim.SGD(encoder.parameters(), 0.5)
    for _ in range(3):
        images = torch.randn(4, 3, 4, 4)
        train_step(encoder, g, LOSSES["contrastive"], optimizer, torch.arange(4), images, images)
        slow = {name: 0.9 * slow[name] + 0.1 * p.detach() for name, p in encoder.named_parameters()}
    torch.testing.assert_close(
        {name: p.detach() for name, p in g.momentum_encoder.named_parameters()}, slow
    )
    for ours, theirs in zip(g.momentum_encoder.buffers(), encoder.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    assert not any(p.requires_grad for p in g.parameters())
    assert all(
        name.startswith(("momentum_encoder.", "queue", "pointer")) for name in g.state_dict()
    )


def test_queue_key_is_the_momentum_encoders_not_the_encoders():
    torch.manual_seed(0)
    encoder = Encoder().eval()
    g = MomentumQueue(encoder, 8, momentum=1.0)
    frozen = copy.deepcopy(encoder)
    with torch.no_grad():
        encoder.layers[-1].bias.add_(1)
    images = torch.randn(4, 3, 4, 4, requires_grad=True)
    keys = g.keys_for(torch.arange(4), images)["positive_keys"]
    torch.testing.assert_close(keys, frozen(images).detach())
    assert not torch.allclose(keys, encoder(images))
    assert keys.grad_fn is None
    assert not keys.requires_grad


# State, devices, precision


@pytest.mark.parametrize("g_name", KEYS)
def test_state_dict_and_deepcopy_carry_everything(g_name):
    def resumed(encoder, g, steps):
        optimizer = torch.optim.SGD(encoder.parameters(), 0.1)
        draw = torch.Generator().manual_seed(steps[0])
        for _ in steps:
            first, second = torch.randn(2, 3, 3, 4, 4, generator=draw)
            indices = torch.randperm(N, generator=draw)[:3]
            train_step(encoder, g, LOSSES["contrastive"], optimizer, indices, first, second)
        return {**encoder.state_dict(), **{"g." + name: t for name, t in g.state_dict().items()}}

    torch.manual_seed(0)
    encoder = Encoder()
    g = KEYS[g_name](encoder)
    resumed(encoder, g, [0, 1, 2])
    copied_encoder, copied_g = copy.deepcopy((encoder, g))
    loaded_encoder = Encoder()
    loaded_g = KEYS[g_name](loaded_encoder)
    loaded_encoder.load_state_dict(encoder.state_dict())
    assert not loaded_g.load_state_dict(g.state_dict()).missing_keys
    whole = resumed(encoder, g, [3, 4])
    for other in (
        resumed(copied_encoder, copied_g, [3, 4]),
        resumed(loaded_encoder, loaded_g, [3, 4]),
    ):
        assert whole.keys() == other.keys()
        assert all(torch.equal(whole[name], other[name]) for name in whole)


def test_state_of_a_queue_of_another_size_is_refused():
    g = MomentumQueue(Unit(), 6)
    g.keys_for(torch.arange(2), units(2, D))
    with pytest.raises(RuntimeError, match="size mismatch"):
        MomentumQueue(Unit(), 7).load_state_dict(g.state_dict())


@pytest.mark.parametrize("g_name", ["bank", "queue"])
def test_moves_to_another_device_whole(g_name):
    encoder = Encoder()
    g = KEYS[g_name](encoder).to("meta")
    assert {t.device.type for t in g.state_dict().values()} == {"meta"}
    assert {p.device.type for p in encoder.parameters()} == {
        "cpu"
    }  # the encoder belongs to its owner


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_storage_stays_float32(dtype):
    features = units(3, D).to(dtype)
    bank = MemoryBank(N, D)
    queue = MomentumQueue(Unit(), 7)
    indices = torch.arange(3)
    exact = MemoryBank(N, D)
    exact.update(indices, features.float())
    with torch.autocast("cpu", torch.bfloat16):
        bank.update(indices, features)
        queue.keys_for(indices, features)
        queue.update(indices, features)
    assert bank.bank.dtype == queue.queue.dtype == torch.float32
    assert torch.equal(bank.bank, exact.bank)
    torch.testing.assert_close(queue.queue[:3], features.float(), atol=1e-2, rtol=0)


def test_storage_is_drawn_alike_whatever_the_defaults():
    drawn_on = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **kwargs or {})
            if "randn" in str(function):
                drawn_on.append(out.device.type)
            return out

    expected = MemoryBank(N, D).bank
    torch.set_default_dtype(torch.float64)
    try:
        bank = MemoryBank(N, D)
        queue = MomentumQueue(Unit(), 7)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(bank.bank, expected)
    assert bank.bank.dtype == queue.queue.dtype == torch.float32
    with torch.device("meta"), Watch():
        assert MemoryBank(N, D).bank.is_meta
    assert drawn_on == ["cpu"]  # from there it is the same draw for every device
    elsewhere = MomentumQueue(Encoder().to("meta"), 7)
    assert {t.device.type for t in elsewhere.state_dict().values()} == {
        "meta"
    }  # where the encoder is


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("when", ["before", "after", "queue too"])
def test_momentum_encoder_moves_in_half_precision(dtype, when):
    """Its average is kept in float32: a step of 0.001 is less than half precision resolves."""
    torch.manual_seed(0)
    encoder = nn.Linear(8, 4)
    if when == "before":
        encoder.to(dtype)
    g = MomentumQueue(encoder, 16, momentum=0.99)
    if when == "after":
        encoder.to(dtype)
    if when == "queue too":
        encoder.to(dtype)
        g.to(dtype)
    start = g.momentum_encoder.weight.float().clone()
    with torch.no_grad():
        encoder.weight.mul_(1.5)
    images = torch.randn(2, 8, dtype=g.momentum_encoder.weight.dtype)
    for _ in range(100):
        g.keys_for(torch.arange(2), images)
        g.update(torch.arange(2), torch.zeros(2, 4))
    moved = (g.momentum_encoder.weight.float() - start).norm()
    way = moved / (encoder.weight.float() - start).norm()
    assert way.item() == pytest.approx(1 - 0.99**100, rel=0.02)
    assert g.queue.dtype == torch.float32
    copied = MomentumQueue(encoder, 16, momentum=0.99).to(g.momentum_encoder.weight.dtype)
    copied.load_state_dict(g.state_dict())
    for queue in (g, copied):
        queue.keys_for(torch.arange(2), images)
        queue.update(torch.arange(2), torch.zeros(2, 4))
    assert all(torch.equal(t, copied.state_dict()[name]) for name, t in g.state_dict().items())
    g.float()  # back to float32: the parameters are the averages, and nothing else is kept
    assert not any(name.startswith("average") for name in g.state_dict())


def test_bank_stays_float32_where_its_module_is_moved_to_half_precision():
    g = MemoryBank(N, D).half()
    assert g.bank.dtype == torch.float32


@pytest.mark.parametrize("made", ["outside", "inside"])
@pytest.mark.parametrize("g_name", KEYS)
def test_what_was_first_used_in_inference_mode_can_train(g_name, made):
    torch.manual_seed(0)
    encoder = Encoder()
    if made == "outside":
        g = KEYS[g_name](encoder)
    indices = torch.arange(4)
    images = torch.randn(4, 3, 4, 4)
    with torch.inference_mode():
        if made == "inside":
            g = KEYS[g_name](encoder)
        _, features = loss_of(encoder, g, LOSSES["contrastive"], indices, images, images)
        g.update(indices, features)
        g.load_state_dict(g.state_dict())
        loss_of(encoder, g, LOSSES["contrastive"], indices, images, images)  # keys that wait
    optimizer = torch.optim.SGD(encoder.parameters(), 0.1)
    for _ in range(2):
        train_step(encoder, g, LOSSES["contrastive"], optimizer, indices, images, images)
    assert encoder.layers[-1].weight.grad.any()


def test_a_queue_of_more_keys_than_images_is_warned_of():
    recipe = recipes.live()
    for size, images in [(64, 64), (4096, 1437)]:
        larger = replace(recipe, g="queue", views=2, queue_size=size)
        with pytest.warns(
            UserWarning, match=f"holds {size} keys of {images} images.*set queue_size"
        ):
            components.build_key_source(larger, Unit(), images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        components.build_key_source(
            replace(recipe, g="queue", views=2, queue_size=64), Unit(), 1437
        )


# What they refuse


def queue_of_seven():
    return MomentumQueue(Unit(), 7)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ValueError, "n is 0", lambda: MemoryBank(0, D)),
        (ValueError, "d is -1", lambda: MemoryBank(N, -1)),
        (TypeError, "n is 2.0", lambda: MemoryBank(2.0, D)),
        (ValueError, "momentum is 1.1", lambda: MemoryBank(N, D, 1.1)),
        (ValueError, "momentum is nan", lambda: MemoryBank(N, D, float("nan"))),
        (TypeError, "momentum is '0.5'", lambda: MemoryBank(N, D, "0.5")),
        (
            ValueError,
            "from 3 to 20.*, or make the bank with n = the number of training images$",
            lambda: MemoryBank(N, D).keys_for(torch.tensor([3, N])),
        ),
        (
            ValueError,
            "from -1 to 3",
            lambda: MemoryBank(N, D).update(torch.tensor([3, -1]), units(2, D)),
        ),
        (
            TypeError,
            "dtype torch.int32",
            lambda: MemoryBank(N, D).keys_for(torch.tensor([3]).int()),
        ),
        (TypeError, "indices is a list", lambda: MemoryBank(N, D).keys_for([3])),
        (ValueError, r"shape \[1, 1\]", lambda: MemoryBank(N, D).keys_for(torch.tensor([[3]]))),
        (
            ValueError,
            "on meta and the bank on cpu",
            lambda: MemoryBank(N, D).keys_for(torch.arange(3, device="meta")),
        ),
        (
            ValueError,
            "4 dimensions and the bank 5",
            lambda: MemoryBank(N, D).update(torch.arange(2), units(2, 4)),
        ),
        (
            ValueError,
            "indices has 3 row",
            lambda: MemoryBank(N, D).update(torch.arange(3), units(2, D)),
        ),
        (
            ValueError,
            "NaN or infinite",
            lambda: MemoryBank(N, D).update(torch.arange(2), units(2, D) / 0),
        ),
        (
            TypeError,
            "dtype torch.int64",
            lambda: MemoryBank(N, D).update(torch.arange(2), torch.ones(2, D).long()),
        ),
        (ValueError, "size is 0", lambda: MomentumQueue(Unit(), 0)),
        (TypeError, "size is True", lambda: MomentumQueue(Unit(), True)),
        (ValueError, "momentum is -0.1", lambda: MomentumQueue(Unit(), 7, -0.1)),
        (TypeError, "encoder is a function", lambda: MomentumQueue(F.normalize, 7)),
        (
            ValueError,
            "not fit into a queue of 7",
            lambda: queue_of_seven().keys_for(torch.arange(8), units(8, D)),
        ),
        (
            ValueError,
            "keys_for before each",
            lambda: queue_of_seven().update(torch.arange(2), units(2, D)),
        ),
        (
            ValueError,
            "NaN or infinite",
            lambda: queue_of_seven().keys_for(torch.arange(2), units(2, D) / 0),
        ),
        (TypeError, "other_view is None", lambda: queue_of_seven().keys_for(torch.arange(2), None)),
        (
            ValueError,
            "indices has 3 row",
            lambda: queue_of_seven().keys_for(torch.arange(3), units(2, D)),
        ),
        (
            ValueError,
            r"give \[B, d\]",
            lambda: InBatchKeys().keys_for(torch.arange(2), torch.ones(2, 3, 4, 4)),
        ),
        (
            ValueError,
            "indices has 3 row",
            lambda: InBatchKeys().keys_for(torch.arange(3), units(2, D)),
        ),
    ],
)
def test_refuses(error, match, call):
    with pytest.raises(error, match=match):
        call()


def test_queue_refuses_what_does_not_follow_from_the_last_step():
    g = MomentumQueue(Unit(), 7)
    indices = torch.arange(2)
    g.keys_for(indices, units(2, D))
    with pytest.raises(ValueError, match="features has 3 row"):
        g.update(torch.arange(3), units(3, D))
    g.update(indices, units(2, D))
    with pytest.raises(ValueError, match="call keys_for before each update"):
        g.update(indices, units(2, D))
    with pytest.raises(ValueError, match="4 dimensions and the queue 5"):
        g.keys_for(indices, units(2, 4))


@pytest.mark.parametrize(
    "late", [nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)]
)  # parameters, and buffers alone
def test_queue_refuses_an_encoder_that_has_grown(late):
    encoder = Unit()
    g = MomentumQueue(encoder, 7)
    indices = torch.arange(2)
    encoder.late = late
    g.keys_for(indices, units(2, D))
    with pytest.raises(ValueError, match="zip"):
        g.update(indices, units(2, D))


def test_a_refused_update_changes_nothing():
    g = MemoryBank(N, D)
    before = g.bank.clone()
    with pytest.raises(ValueError, match="NaN"):
        g.update(torch.arange(2), torch.tensor([[1.0] * D, [float("nan")] * D]))
    assert torch.equal(g.bank, before)


# Several processes

STEPS = 5
BATCH = 3


def feed(rank, world):
    """STEPS updates of a bank and a queue with this process's share of each batch; the states they
    end in.
    """
    bank = MemoryBank(N, D)
    queue = MomentumQueue(Unit(), 2 * BATCH + 1)  # every step wraps
    for step in range(STEPS):
        draw = torch.Generator().manual_seed(step)
        indices = torch.randint(
            N, (2 * BATCH,), generator=draw
        )  # with repetitions within and between processes
        features = units(2 * BATCH, D, seed=step)
        share = slice(rank * 2 * BATCH // world, (rank + 1) * 2 * BATCH // world)
        bank.update(indices[share], features[share])
        queue.keys_for(indices[share], features[share])
        queue.update(indices[share], features[share])
    return {"bank": bank.bank, "queue": queue.queue, "pointer": queue.pointer}


def one_process(rank, world, folder):
    torch.manual_seed(rank)  # as training does, so that no process draws another's augmentations
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world
    )
    state = feed(rank, world)
    errors = []
    for call in (
        lambda: MemoryBank(N, D).update(torch.arange(2 + rank), units(2 + rank, D)),
        lambda: MomentumQueue(Unit(), 7).keys_for(torch.arange(4), units(4, D)),
    ):
        try:
            call()
        except ValueError as error:
            errors.append(str(error))
    torch.save({"errors": errors, **state}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_gloo_available(), reason="this build of PyTorch has no gloo")
def test_two_processes_hold_what_one_would(tmp_path):
    mp.spawn(one_process, (2, tmp_path), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = feed(0, 1)
    start = MemoryBank(N, D).bank
    assert not torch.equal(one["bank"], start)
    for name, expected in alone.items():
        assert torch.equal(one[name], two[name]), name
        assert torch.equal(one[name], expected), name
    for state in (one, two):
        unequal, too_large = state["errors"]
        assert "batches of [2, 3]" in unequal
        assert "2 batch(es) of 4 do not fit into a queue of 7" in too_large
