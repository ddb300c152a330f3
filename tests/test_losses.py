"""The losses: equations against plain arithmetic, modules against equations, invariants, precision,
bad input.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from random_points import similarities, unit_vectors
from torch.autograd import gradcheck, gradgradcheck

from contrastlib import numerics
from contrastlib.losses import (
    ContrastiveLoss,
    HardContrastiveLoss,
    HardSimpleLoss,
    SimpleLimitLoss,
    SimpleLoss,
    contrastive,
    hard_contrastive,
    hard_negatives,
    hard_simple,
    simple,
    simple_limit,
    triplet_limit,
)

# ---------------------------------------------------------------- the equations, against loops over
# plain numbers


def loop_contrastive(s_pos, s_neg, tau):
    return -math.log(
        math.exp(s_pos / tau) / (sum(math.exp(s / tau) for s in s_neg) + math.exp(s_pos / tau))
    )


@pytest.mark.parametrize("tau", [0.05, 0.3, 1.0, 20.0])
def test_equations_against_loops(tau):
    s_pos, s_neg = similarities()
    rows = list(zip(s_pos.tolist(), s_neg.tolist(), strict=True))
    kept = [(p, sorted(n)[-3:]) for p, n in rows]
    expected = {
        contrastive(s_pos, s_neg, tau): [loop_contrastive(p, n, tau) for p, n in rows],
        simple(s_pos, s_neg): [-p + sum(n) / 9 for p, n in rows],
        simple(s_pos, s_neg, lam=0.7): [-p + 0.7 * sum(n) for p, n in rows],
        hard_contrastive(s_pos, s_neg, tau, k=3): [loop_contrastive(p, n, tau) for p, n in kept],
        hard_simple(s_pos, s_neg, k=3): [-p + sum(n) / 3 for p, n in kept],
        hard_simple(s_pos, s_neg, lam=0.7, k=3): [-p + 0.7 * sum(n) for p, n in kept],
        triplet_limit(s_pos, s_neg, tau): [max(0.0, max(n) - p) / tau for p, n in rows],
        simple_limit(s_pos, s_neg, tau): [
            -0.9 * p / tau + sum(n) / (10 * tau) + math.log(10) for p, n in rows
        ],
    }
    for ours, theirs in expected.items():
        torch.testing.assert_close(
            ours, torch.tensor(theirs, dtype=torch.float64), rtol=1e-12, atol=1e-12
        )


def test_hard_negatives_keeps_ties_and_rounds_alpha():
    s = torch.tensor([[0.1, 0.5, 0.5, -0.2], [0.9, 0.8, 0.7, 0.6]])
    assert hard_negatives(s, k=1).tolist() == [
        [False, True, True, False],
        [True, False, False, False],
    ]
    assert hard_negatives(s, alpha=0.6).sum(dim=1).tolist() == [2, 2]  # round(2.4)
    assert hard_negatives(s, alpha=0.01)[1].sum() == 1  # never fewer than one
    assert hard_negatives(s, alpha=1.0).all()


def test_hard_negatives_refuses_what_it_cannot_order():
    for s, error, words in [
        (torch.rand(5), ValueError, r"s_neg has shape \[5\]; give \[B, M\]"),
        ([[0.1, 0.2]], TypeError, "s_neg is a list"),
        (torch.full((2, 3), math.nan), ValueError, "NaN or infinite"),
    ]:
        with pytest.raises(error, match=words):
            hard_negatives(s, k=2)


def test_many_hard_negatives_in_half_precision():
    s_pos = torch.zeros(1, dtype=torch.half)
    s_neg = torch.full((1, 70_000), 0.97, dtype=torch.half)
    assert hard_simple(s_pos, s_neg, k=35_000).item() == pytest.approx(
        0.97, abs=1e-3
    )  # all tie, their sum overflows


# ---------------------------------------------------------------- the modules, against the
# equations

MODULES = {
    "contrastive": (lambda: ContrastiveLoss(0.1), lambda p, n: contrastive(p, n, 0.1)),
    "simple": (lambda: SimpleLoss(), lambda p, n: simple(p, n)),
    "simple lam": (lambda: SimpleLoss(lam=0.3), lambda p, n: simple(p, n, lam=0.3)),
    "hard k": (
        lambda: HardContrastiveLoss(0.1, k=4),
        lambda p, n: hard_contrastive(p, n, 0.1, k=4),
    ),
    "hard alpha": (
        lambda: HardContrastiveLoss(0.2, alpha=0.3),
        lambda p, n: hard_contrastive(p, n, 0.2, alpha=0.3),
    ),
    "hard simple": (lambda: HardSimpleLoss(k=4), lambda p, n: hard_simple(p, n, k=4)),
    "hard simple lam": (
        lambda: HardSimpleLoss(lam=0.3, k=4),
        lambda p, n: hard_simple(p, n, lam=0.3, k=4),
    ),
}
each_loss = pytest.mark.parametrize("name", MODULES)


def by_equation(equation, features, keys, positive=None, positive_keys=None, ignore=None):
    """The module's value from the whole similarity matrix: slow, and plain to see."""
    s = features @ keys.T
    negative = torch.ones_like(s, dtype=torch.bool)
    for rows in (positive, ignore):
        if rows is not None:
            negative[torch.arange(len(s)), rows] = False
    s_pos = (features * (keys[positive] if positive_keys is None else positive_keys)).sum(dim=1)
    return equation(s_pos, s[negative].view(len(s), -1)).mean()


@each_loss
@pytest.mark.parametrize(
    "use", ["positive", "positive and ignore", "positive_keys", "positive_keys and ignore"]
)
@pytest.mark.parametrize("chunk", [1, 2, 7, 4096])
def test_module_is_equation_and_so_are_its_gradients(name, use, chunk, monkeypatch):
    monkeypatch.setattr(numerics, "KEY_CHUNK", chunk)
    monkeypatch.setattr(numerics, "BLOCK_ELEMENTS", chunk * 20)
    module, equation = MODULES[name]
    f = unit_vectors(6)
    keys = unit_vectors(20, seed=1)
    own = unit_vectors(6, seed=2)
    leaves = [x.requires_grad_() for x in (f, keys, own)]
    rows = torch.tensor([0, 19, 3, 3, 7, 12])
    arguments = {
        "positive": {"positive": rows},
        "positive and ignore": {"positive": rows, "ignore": (rows + 1) % 20},
        "positive_keys": {"positive_keys": own},
        "positive_keys and ignore": {"positive_keys": own, "ignore": rows},
    }[use]
    ours = module()(f, keys, **arguments)
    theirs = by_equation(equation, f, keys, **arguments)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for mine, other in zip(
        torch.autograd.grad(3 * ours, leaves, allow_unused=True),
        torch.autograd.grad(3 * theirs, leaves, allow_unused=True),
        strict=True,
    ):
        assert (mine is None) == (other is None)
        if mine is not None:
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@each_loss
def test_gradcheck(name):
    f = unit_vectors(3).requires_grad_()
    keys = unit_vectors(7, seed=1).requires_grad_()
    own = unit_vectors(3, seed=2).requires_grad_()
    module, equation = MODULES[name]
    assert gradcheck(lambda f, keys: module()(f, keys, torch.tensor([0, 2, 6])), (f, keys))
    assert gradcheck(lambda f, keys, own: module()(f, keys, positive_keys=own), (f, keys, own))
    s_pos, s_neg = (s.requires_grad_() for s in similarities())
    assert gradcheck(equation, (s_pos, s_neg))
    assert gradgradcheck(equation, (s_pos, s_neg))


@pytest.mark.parametrize(
    "name", [name for name in MODULES if "hard" in name or name == "contrastive"]
)
def test_a_second_derivative_is_refused_and_not_dropped(name):
    f = unit_vectors(3).requires_grad_()
    keys = unit_vectors(7, seed=1)
    loss = MODULES[name][0]()(f, keys, torch.tensor([0, 2, 6]))
    with pytest.raises(
        RuntimeError, match="no second derivative: drop create_graph=True, or use the equation"
    ):
        torch.autograd.grad(loss, f, create_graph=True)


@each_loss
def test_keys_without_gradient_get_none(name):
    f = unit_vectors(4).requires_grad_()
    keys = unit_vectors(9, seed=1)
    MODULES[name][0]()(f, keys, torch.arange(4)).backward()
    assert f.grad.abs().sum() > 0
    assert keys.grad is None


@each_loss
def test_gradient_flows_to_each_argument_alone(name):
    """What one argument gets does not depend on which of the others ask."""

    def gradients(*asking):
        leaves = unit_vectors(4), unit_vectors(9, seed=1), unit_vectors(4, seed=2)
        asked = [leaves[i].requires_grad_() for i in asking]
        f, keys, own = leaves
        return torch.autograd.grad(MODULES[name][0]()(f, keys, positive_keys=own), asked)

    together = gradients(0, 1, 2)
    for i in range(3):
        assert torch.equal(gradients(i)[0], together[i])


@each_loss
def test_two_views_ignoring_oneself(name):
    """SimCLR with both views among the keys: the anchor is a row of keys too, and never its own
    negative.
    """
    z = torch.cat([unit_vectors(4), unit_vectors(4, seed=1)])
    rows = torch.arange(8)
    module, equation = MODULES[name]
    ours = module()(z, z, rows.roll(4), ignore=rows)
    torch.testing.assert_close(
        ours, by_equation(equation, z, z, positive=rows.roll(4), ignore=rows)
    )


# ---------------------------------------------------------------- invariants

seeds = st.integers(0, 10_000)
taus = st.floats(0.05, 20)


@given(seeds, taus)
def test_order_of_negatives_does_not_matter(seed, tau):
    s_pos, s_neg = similarities(seed=seed)
    shuffled = s_neg[:, torch.randperm(9, generator=torch.Generator().manual_seed(seed))]
    for loss in (
        lambda n: contrastive(s_pos, n, tau),
        lambda n: simple(s_pos, n),
        lambda n: hard_contrastive(s_pos, n, tau, k=4),
        lambda n: hard_simple(s_pos, n, k=4),
        lambda n: triplet_limit(s_pos, n, tau),
        lambda n: simple_limit(s_pos, n, tau),
    ):
        torch.testing.assert_close(loss(s_neg), loss(shuffled))


@given(seeds, taus, st.floats(-3, 3))
def test_adding_a_constant_to_all_similarities_does_not_matter(seed, tau, c):
    s_pos, s_neg = similarities(seed=seed)
    for loss in (
        lambda p, n: contrastive(p, n, tau),
        lambda p, n: hard_contrastive(p, n, tau, alpha=0.4),
        lambda p, n: simple(p, n),
        lambda p, n: hard_simple(p, n, k=4),
    ):
        torch.testing.assert_close(loss(s_pos + c, s_neg + c), loss(s_pos, s_neg))


@given(seeds)
def test_rotating_the_sphere_does_not_matter(seed):
    f = unit_vectors(4, seed=seed)
    keys = unit_vectors(12, seed=seed + 1)
    rotation = torch.linalg.qr(
        torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ).Q
    for module, _ in MODULES.values():
        rows = torch.arange(4)
        torch.testing.assert_close(
            module()(f @ rotation, keys @ rotation, rows), module()(f, keys, rows)
        )


@given(seeds, taus)
def test_hard_with_all_negatives_is_ordinary_and_alpha_agrees_with_k(seed, tau):
    s_pos, s_neg = similarities(seed=seed)
    torch.testing.assert_close(
        hard_contrastive(s_pos, s_neg, tau, alpha=1.0), contrastive(s_pos, s_neg, tau)
    )
    torch.testing.assert_close(hard_simple(s_pos, s_neg, k=9), simple(s_pos, s_neg))
    hard = hard_contrastive(s_pos, s_neg, tau, alpha=0.5)
    assert torch.equal(hard, hard_contrastive(s_pos, s_neg, tau, k=4))  # round(4.5) is 4 in Python
    assert (hard <= contrastive(s_pos, s_neg, tau)).all()


@given(seeds, st.floats(1e-3, 1e3), st.integers(1, 50))
def test_limits_stay_within_their_bounds(seed, tau, negatives):
    s_pos, s_neg = similarities(negatives=negatives, seed=seed)
    loss = contrastive(s_pos, s_neg, tau)
    above_triplet = loss - triplet_limit(s_pos, s_neg, tau)
    assert (above_triplet >= -1e-12).all()
    assert (above_triplet <= math.log(negatives + 1) + 1e-12).all()
    above_simple = loss - simple_limit(s_pos, s_neg, tau)
    assert (above_simple >= -1e-12).all()
    assert (above_simple <= 1 / (2 * tau**2) + 1e-12).all()


def test_identical_keys_share_the_gradient_and_change_nothing():
    """Ties at the threshold are all kept."""
    f = unit_vectors(2).requires_grad_()
    keys = unit_vectors(6, seed=1)[[0, 1, 2, 2, 2, 3]]
    for module, equation in MODULES.values():
        ours = module()(f, keys, torch.tensor([0, 1]))
        theirs = by_equation(equation, f, keys, torch.tensor([0, 1]))
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(
            torch.autograd.grad(ours, f)[0], torch.autograd.grad(theirs, f)[0]
        )


# ---------------------------------------------------------------- precision


def oracle(equation, f, keys, positive):
    """Value and gradient by the equation, in float64, of the very numbers that the float32 module
    is given.
    """
    f = f.detach().double().requires_grad_()
    loss = by_equation(equation, f, keys.double(), positive=positive)
    return loss.detach(), torch.autograd.grad(loss, f)[0]


def relative_error(ours, theirs):
    smallest = torch.finfo(torch.float32).tiny  # below it float32 has no digits to compare
    return ((ours.double() - theirs).norm() / theirs.norm().clamp(min=1e6 * smallest)).item()


def scenes():
    """Embeddings of the kinds one meets: spread, clustered, with the positive close or far."""
    spread = unit_vectors(16, 32, dtype=torch.float32)
    keys = unit_vectors(500, 32, seed=1, dtype=torch.float32)
    near = keys.clone()
    near[:16] = F.normalize(spread + 0.1 * unit_vectors(16, 32, seed=2, dtype=torch.float32), dim=1)
    cluster = F.normalize(keys + 3 * unit_vectors(1, 32, seed=3, dtype=torch.float32), dim=1)
    return {
        "positive far": (spread, keys),
        "positive near": (spread, near),
        "clustered": (cluster[16:32], cluster),
    }


@pytest.mark.parametrize("scene", scenes())
@pytest.mark.parametrize("tau", [1e-3, 0.01, 0.03, 0.07, 0.3, 1.0, 10.0, 100.0, 1e3])
@pytest.mark.parametrize("hard", [False, True])
def test_float32_gradient_against_float64(scene, tau, hard):
    f, keys = scenes()[scene]
    f.requires_grad_()
    positive = torch.arange(16)
    criterion = HardContrastiveLoss(tau, k=50) if hard else ContrastiveLoss(tau)
    loss = criterion(f, keys, positive)
    expected, gradient = oracle(
        lambda p, n: hard_contrastive(p, n, tau, k=50) if hard else contrastive(p, n, tau),
        f,
        keys,
        positive,
    )
    ours = torch.autograd.grad(loss, f)[0]
    assert torch.isfinite(loss)
    assert torch.isfinite(ours).all()
    # A float32 similarity is known to about 1e-7, so exp(s / tau) to about 1e-7 / tau: below tau =
    # 0.01, and where the anchors have nothing left to learn, that is what remains.
    bar = 1e-5 if 0.01 <= tau <= 100 and expected > 1e-12 else 1e-4
    assert relative_error(ours, gradient) <= bar
    assert relative_error(loss.detach(), expected) <= bar


@each_loss
def test_half_precision_features_and_autocast(name):
    """bf16 embeddings are taken at their own values; under autocast nothing is rounded further."""
    module, equation = MODULES[name]
    f = unit_vectors(6, dtype=torch.float32)
    keys = unit_vectors(40, seed=1, dtype=torch.float32)
    rows = torch.arange(6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module()(f, keys, rows), module()(f, keys, rows).float())
        under = module()(f, keys, rows)
    assert torch.equal(under, module()(f, keys, rows))
    f16 = f.bfloat16().requires_grad_()
    keys16 = keys.bfloat16().requires_grad_()
    loss = module()(f16, keys16, rows)
    expected = by_equation(equation, f16.float(), keys16.float(), rows)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    ours, theirs = (torch.autograd.grad(x, (f16, keys16)) for x in (loss, expected))
    torch.testing.assert_close(
        ours, theirs, rtol=1e-2, atol=1e-3
    )  # dtypes are compared too: both bfloat16


def test_modules_do_not_hold_the_similarity_matrix(monkeypatch):
    """The largest tensor that a forward pass saves or makes has B x KEY_CHUNK or BLOCK_ELEMENTS
    entries, not B x M.
    """
    monkeypatch.setattr(numerics, "KEY_CHUNK", 64)
    monkeypatch.setattr(numerics, "BLOCK_ELEMENTS", 4096)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    f = unit_vectors(64).requires_grad_()
    keys = unit_vectors(1000, seed=1).requires_grad_()
    for module, _ in MODULES.values():
        with Watch():
            module()(f, keys, torch.arange(64)).backward()
    assert keys.numel() <= largest < 64 * 1000 / 2


@pytest.mark.parametrize("path", ["cpu", "elsewhere"])
def test_kth_largest_is_a_sort(path):
    class Elsewhere(torch.Tensor):
        device = torch.device("meta")  # says that it is not on the CPU, where its numbers are

    for columns, k in [(1, 1), (5, 5), (40, 3), (1000, 1), (1000, 70), (1000, 1000)]:
        s = (
            torch.randn(30, columns, generator=torch.Generator().manual_seed(k)).mul(50).round()
        )  # with ties
        there = s if path == "cpu" else s.as_subclass(Elsewhere)
        found = numerics.kth_largest(there, k).as_subclass(torch.Tensor)
        ordered = s.sort(dim=1, descending=True).values
        assert found.shape == (30, 1)
        assert torch.equal(found[:, 0], ordered[:, k - 1])
        k_each = 1 + torch.arange(30)[:, None] % k
        found = numerics.kth_largest(there, k, k_each).as_subclass(torch.Tensor)
        assert torch.equal(found, ordered.gather(1, k_each - 1))


def test_kth_largest_selects_among_few(monkeypatch):
    lengths = []
    partition = numerics.np.partition
    monkeypatch.setattr(
        numerics.np,
        "partition",
        lambda a, *args, **kw: lengths.append(len(a)) or partition(a, *args, **kw),
    )
    numerics.kth_largest(torch.rand(100, 4096, generator=torch.Generator().manual_seed(0)), 400)
    assert lengths[0] == 100  # the sample of every row; then row by row what lies between
    assert max(lengths[1:]) < 4096 / 4


@pytest.mark.parametrize(
    ("batch", "columns"),
    [(1, 7), (10, 7), (10, 33), (10, 50), (10, 51), (10, 100), (10, 101), (7, 999)],
)
def test_blocks_fit_and_are_even(batch, columns, monkeypatch):
    monkeypatch.setattr(numerics, "BLOCK_ELEMENTS", 100)
    parts = [
        len(range(batch)[block])
        for block in numerics.row_blocks(batch, columns, torch.device("cpu"))
    ]
    fit = max(1, 100 // columns)
    assert sum(parts) == batch
    assert max(parts) <= fit
    assert len(parts) == math.ceil(batch / fit)


# ---------------------------------------------------------------- bad input: one clear error each


def modules():
    return [module() for module, _ in MODULES.values()]


@pytest.mark.parametrize("tau", [0, -1, math.nan, math.inf])
def test_tau_must_be_positive(tau):
    s_pos, s_neg = similarities()
    for call in (
        lambda: contrastive(s_pos, s_neg, tau),
        lambda: hard_contrastive(s_pos, s_neg, tau, k=1),
        lambda: triplet_limit(s_pos, s_neg, tau),
        lambda: simple_limit(s_pos, s_neg, tau),
        lambda: ContrastiveLoss(tau),
        lambda: HardContrastiveLoss(tau, k=1),
    ):
        with pytest.raises(ValueError, match=rf"tau is {tau}; it must be finite and above 0"):
            call()


def test_tau_below_what_float32_can_divide_by():
    with pytest.raises(
        ValueError, match="tau is 1e-39; similarities over it overflow: give at least 1e-30"
    ):
        ContrastiveLoss(1e-39)


def test_tau_must_be_a_number():
    for tau in ("0.1", None, True, [0.1]):
        with pytest.raises(TypeError, match=r"tau is .* give a number"):
            ContrastiveLoss(tau)


@pytest.mark.parametrize("lam", [0, -0.1, math.nan])
def test_lam_must_be_positive(lam):
    s_pos, s_neg = similarities()
    for call in (
        lambda: simple(s_pos, s_neg, lam),
        lambda: hard_simple(s_pos, s_neg, lam, k=1),
        lambda: SimpleLoss(lam),
        lambda: HardSimpleLoss(lam, k=1),
    ):
        with pytest.raises(ValueError, match=r"lam is .*; it must be finite and above 0"):
            call()


@pytest.mark.parametrize(
    ("alpha", "k", "error", "words"),
    [
        (None, None, ValueError, "exactly one of them"),
        (0.5, 3, ValueError, "exactly one of them"),
        (0.0, None, ValueError, "alpha is 0.0; it must be finite and above 0"),
        (1.5, None, ValueError, r"alpha is 1.5; it must lie in \(0, 1\]"),
        (None, 0, ValueError, "k is 0; keep at least 1"),
        (None, 2.0, TypeError, "k is 2.0, a float; give a whole number"),
        (None, True, TypeError, "k is True, a bool"),
    ],
)
def test_alpha_and_k(alpha, k, error, words):
    s_pos, s_neg = similarities()
    for call in (
        lambda: hard_contrastive(s_pos, s_neg, 0.1, alpha=alpha, k=k),
        lambda: hard_simple(s_pos, s_neg, alpha=alpha, k=k),
        lambda: HardContrastiveLoss(0.1, alpha=alpha, k=k),
        lambda: HardSimpleLoss(alpha=alpha, k=k),
    ):
        with pytest.raises(error, match=words):
            call()


@pytest.mark.parametrize("kind_of_k", [np.int64, np.uint8, np.uint64])
def test_k_may_be_a_whole_number_of_numpy(kind_of_k):
    s_pos, s_neg = similarities()
    k = kind_of_k(3)
    assert torch.equal(
        hard_contrastive(s_pos, s_neg, 0.1, k=k), hard_contrastive(s_pos, s_neg, 0.1, k=3)
    )
    f = unit_vectors(4)
    keys = unit_vectors(10)
    rows = torch.arange(4)
    for kind in (partial(HardContrastiveLoss, 0.1), HardSimpleLoss):
        assert torch.equal(kind(k=k)(f, keys, rows), kind(k=3)(f, keys, rows))


def test_k_beyond_the_negatives():
    s_pos, s_neg = similarities(negatives=9)
    f = unit_vectors(4)
    keys = unit_vectors(10)
    rows = torch.arange(4)
    for call in (
        lambda: hard_contrastive(s_pos, s_neg, 0.1, k=10),
        lambda: hard_simple(s_pos, s_neg, k=10),
        lambda: HardContrastiveLoss(0.1, k=10)(f, keys, rows),
        lambda: HardSimpleLoss(k=10)(f, keys, rows),
    ):
        with pytest.raises(ValueError, match=r"k is 10, but each anchor has only 9 negative\(s\)"):
            call()
    with pytest.raises(ValueError, match=r"only 8 negative\(s\)"):
        HardSimpleLoss(k=9)(f, keys, rows, ignore=rows + 4)


def test_equations_refuse_bad_similarities():
    s_pos, s_neg = similarities()
    for bad_pos, bad_neg, error, words in [
        (s_pos[:3], s_neg, ValueError, "s_pos has 3 anchors and s_neg has 5"),
        (s_pos[:, None], s_neg, ValueError, r"s_pos has shape \[5, 1\]; give \[B\]"),
        (s_pos, s_neg[:, :0], ValueError, r"s_neg has shape \[5, 0\]; give \[B, M\]"),
        (s_pos, s_neg.long(), TypeError, "s_neg has dtype torch.int64"),
        (s_pos.tolist(), s_neg, TypeError, "s_pos is a list"),
        (s_pos * math.nan, s_neg, ValueError, r"s_pos has 5 value\(s\) that are NaN or infinite"),
        (s_pos, s_neg / 0, ValueError, r"s_neg has 45 value\(s\) that are NaN or infinite"),
        (s_pos, s_neg.to("meta"), ValueError, "s_pos is on cpu and s_neg on meta"),
    ]:
        for loss in (
            lambda p, n: contrastive(p, n, 0.1),
            simple,
            lambda p, n: hard_contrastive(p, n, 0.1, k=1),
            lambda p, n: hard_simple(p, n, k=1),
            lambda p, n: triplet_limit(p, n, 0.1),
            lambda p, n: simple_limit(p, n, 0.1),
        ):
            with pytest.raises(error, match=words):
                loss(bad_pos, bad_neg)


def test_modules_refuse_bad_embeddings():
    f = unit_vectors(4)
    keys = unit_vectors(10)
    rows = torch.arange(4)
    bad = f.clone()
    bad[1, 2] = math.nan
    for arguments, error, words in [
        ({"features": bad}, ValueError, r"features has 1 value\(s\) that are NaN or infinite"),
        ({"features": f[0]}, ValueError, r"features has shape \[8\]; give \[B, d\]"),
        ({"keys": keys[:, :5]}, ValueError, "features have 8 dimensions and keys 5"),
        ({"keys": keys.long()}, TypeError, "keys has dtype torch.int64"),
        ({"keys": keys.to("meta")}, ValueError, "features is on cpu and keys on meta"),
        (
            {"keys": keys[:1], "positive": rows * 0},
            ValueError,
            "leaves no negative; give at least 2",
        ),
        ({"positive": None}, ValueError, "neither of positive and positive_keys"),
        ({"positive_keys": f}, ValueError, "both of positive and positive_keys"),
        (
            {"positive": None, "positive_keys": f[:3]},
            ValueError,
            "one row of positive_keys for each row of features",
        ),
        ({"positive": None, "positive_keys": bad}, ValueError, "positive_keys has 1 value"),
        (
            {"positive": rows[:3]},
            ValueError,
            "positive has shape .*; give one row of keys for each of the 4",
        ),
        ({"positive": rows.float()}, TypeError, "positive has dtype torch.float32"),
        ({"positive": [0, 1, 2, 3]}, TypeError, "positive is a list"),
        (
            {"positive": rows + 7},
            ValueError,
            "positive reaches from 7 to 10; .*give numbers from 0 to 9",
        ),
        ({"positive": rows - 1}, ValueError, "positive reaches from -1 to 2"),
        ({"positive": rows.to("meta")}, ValueError, "positive is on meta"),
        ({"ignore": rows + 7}, ValueError, "ignore reaches from 7 to 10"),
        ({"ignore": rows}, ValueError, "ignore names an anchor's own positive"),
    ]:
        for module in modules():
            with pytest.raises(error, match=words):
                module(**{"features": f, "keys": keys, "positive": rows} | arguments)


def test_two_keys_are_enough():
    """The positive and one negative; a single negative where the positive is no key."""
    f = unit_vectors(3)
    keys = unit_vectors(2, seed=1)
    s = f @ keys.T
    first = torch.zeros(3, dtype=torch.long)
    by_row = ContrastiveLoss(0.2)(f, keys, first)
    torch.testing.assert_close(by_row, contrastive(s[:, 0], s[:, 1:], 0.2).mean())
    own = keys[:1].expand(3, -1)
    by_key = ContrastiveLoss(0.2)(f, keys[1:], positive_keys=own)
    torch.testing.assert_close(by_key, by_row)


def test_modules_say_what_they_are():
    assert [repr(module) for module in modules()] == [
        "ContrastiveLoss(tau=0.1)",
        "SimpleLoss(lam=None)",
        "SimpleLoss(lam=0.3)",
        "HardContrastiveLoss(tau=0.1, k=4)",
        "HardContrastiveLoss(tau=0.2, alpha=0.3)",
        "HardSimpleLoss(lam=None, k=4)",
        "HardSimpleLoss(lam=0.3, k=4)",
    ]


def test_simple_limit_with_a_temperature_in_half_precision():
    """As many negatives times tau as float16 cannot count."""
    features = F.normalize(torch.randn(4, 8), dim=1)
    keys = F.normalize(torch.randn(50_000, 8), dim=1)
    found = []
    for dtype in (torch.float32, torch.float16):
        loss = SimpleLimitLoss(torch.full((4,), 2.0, dtype=dtype))
        found.append(loss(features, keys, torch.arange(4)).item())
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    assert found[0] != pytest.approx(math.log(50_000), abs=1e-3)


def test_a_share_in_half_precision_is_rounded_once():
    similarities = torch.rand(2, 25)
    kept = hard_negatives(similarities, alpha=np.float32(0.1))
    assert torch.equal(kept, hard_negatives(similarities, alpha=float(np.float32(0.1))))


def test_simple_limit_of_more_negatives_than_half_precision_counts():
    s_pos = torch.tensor([0.5])
    s_neg = torch.full((1, 80_000), 0.9)
    exact = simple_limit(s_pos, s_neg, 1.0)
    found = simple_limit(s_pos.half(), s_neg.half(), 1.0)
    assert found.dtype == torch.float16
    assert found.item() == pytest.approx(exact.item(), rel=2e-3)


def test_half_precision_at_a_temperature_that_it_cannot_hold():
    s_pos = torch.tensor([0.5, 0.1])
    s_neg = torch.tensor([[0.5, 0.2], [0.1, 0.1]])
    exact = contrastive(s_pos, s_neg, torch.tensor(1e-8))
    found = contrastive(s_pos.half(), s_neg.half(), torch.tensor(1e-8))
    torch.testing.assert_close(found.float(), exact, rtol=2e-3, atol=0)
