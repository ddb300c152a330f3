"""A temperature that is a tensor, and negatives that should not count: modules against equations,
in float64.
"""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from random_points import similarities, unit_vectors
from torch import nn

from contrastlib import losses
from contrastlib.gradients import (
    anchor_gradient,
    effective_negatives,
    entropy,
    probabilities,
    relative_penalty,
    similarity_gradients,
)

ANCHORS = 16
KEYS = 300
DIMENSIONS = 32
TAUS = [0.01, 0.03, 0.1, 1.0, 10.0, 100.0]
WITH_TAU = {
    "contrastive": (losses.ContrastiveLoss, losses.contrastive, {}),
    "hard k": (losses.HardContrastiveLoss, losses.hard_contrastive, {"k": 40}),
    "hard alpha": (losses.HardContrastiveLoss, losses.hard_contrastive, {"alpha": 0.2}),
    "triplet limit": (losses.TripletLimitLoss, losses.triplet_limit, {}),
    "simple limit": (losses.SimpleLimitLoss, losses.simple_limit, {}),
}
WITHOUT_TAU = {
    "simple": (losses.SimpleLoss, losses.simple, {}),
    "simple lam": (losses.SimpleLoss, losses.simple, {"lam": 0.3}),
    "hard simple k": (losses.HardSimpleLoss, losses.hard_simple, {"k": 40}),
    "hard simple alpha": (losses.HardSimpleLoss, losses.hard_simple, {"alpha": 0.2}),
    "hard simple lam": (losses.HardSimpleLoss, losses.hard_simple, {"lam": 0.3, "alpha": 0.2}),
}
EVERY = list(WITH_TAU) + list(WITHOUT_TAU)
each_with_tau = pytest.mark.parametrize("name", WITH_TAU)
each = pytest.mark.parametrize("name", EVERY)
each_kind = pytest.mark.parametrize("kind", ["scalar", "individual"])
each_use = pytest.mark.parametrize("use", ["bank", "queue", "batch"])


def temperature(kind, tau, dtype):
    """One temperature for all, or one an anchor around the same value."""
    if kind == "scalar":
        return torch.tensor(tau, dtype=dtype)
    spread = torch.linspace(0.7, 1.4, ANCHORS, dtype=dtype)
    return (tau * spread).clamp(0.01, 100)


def uneven_lists(positive):
    """Rows to ignore [ANCHORS, 6]: 0 to 6 of them, one repeated, filled up with -1, never the
    positive.
    """
    generator = torch.Generator().manual_seed(5)
    rows = torch.randint(KEYS, (ANCHORS, 6), generator=generator)
    rows[::3, 1] = rows[::3, 0]
    lengths = torch.arange(ANCHORS) % 7
    rows[torch.arange(6) >= lengths[:, None]] = -1
    if positive is not None:
        rows[rows == positive[:, None]] = -1
    return rows


def scene(use, dtype=torch.float64):
    """Features, keys and the arguments that name the positives."""
    features = unit_vectors(ANCHORS, DIMENSIONS, 0, dtype)
    keys = unit_vectors(KEYS, DIMENSIONS, 1, dtype)
    positive = torch.randperm(KEYS, generator=torch.Generator().manual_seed(2))[:ANCHORS]
    if use == "queue":
        return features, keys, {"positive_keys": unit_vectors(ANCHORS, DIMENSIONS, 3, dtype)}
    if use == "batch":
        keys = torch.cat([unit_vectors(ANCHORS, DIMENSIONS, 4, dtype), keys])[:KEYS]
        positive = torch.arange(ANCHORS)
    return features, keys, {"positive": positive}


def by_equation(
    equation, features, keys, positive=None, positive_keys=None, ignore=None, **settings
):
    """The module's value from all similarities, -inf where a key is no negative."""
    s_neg = features @ keys.T
    missing = torch.zeros_like(s_neg, dtype=torch.bool)
    if positive is not None:
        positive_keys = keys[positive]
        missing[torch.arange(len(keys[positive])), positive] = True
    if ignore is not None:
        for anchor, rows in enumerate(ignore.reshape(len(features), -1).tolist()):
            for row in rows:
                if row >= 0:
                    missing[anchor, row] = True
    s_pos = (features * positive_keys).sum(dim=1)
    return equation(s_pos, s_neg.masked_fill(missing, -math.inf), **settings).mean()


def relative_error(ours, theirs):
    return ((ours.double() - theirs).norm() / theirs.norm().clamp(min=1e-30)).item()


def tau_errors(name, kind, tau, ignoring, dtype):
    """Relative errors of dL/dtau and dL/df against autograd of the equation in float64."""
    module, equation, settings = WITH_TAU[name]
    features, keys, arguments = scene("bank", dtype)
    if ignoring:
        arguments["ignore"] = uneven_lists(arguments["positive"])
    features.requires_grad_()
    tau = temperature(kind, tau, dtype).requires_grad_()
    ours = torch.autograd.grad(
        module(tau, **settings)(features, keys, **arguments), (tau, features)
    )
    exact = [x.detach().double().requires_grad_() for x in (tau, features)]
    loss = by_equation(equation, exact[1], keys.double(), tau=exact[0], **arguments, **settings)
    theirs = torch.autograd.grad(loss, exact)
    return [relative_error(a, b) for a, b in zip(ours, theirs, strict=True)]


# ---------------------------------------------------------------- the gradient of tau


@pytest.mark.parametrize(("dtype", "bar"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("ignoring", [False, True])
@each_kind
@each_with_tau
def test_gradient_of_tau_is_autograds_in_float64(name, kind, ignoring, dtype, bar):
    for tau in TAUS:
        assert max(tau_errors(name, kind, tau, ignoring, dtype)) <= bar, tau


@each_with_tau
def test_gradient_of_tau_is_eulers(name):
    """L depends on f / tau alone, up to a constant: tau dL/dtau = -f . dL/df."""
    module, _, settings = WITH_TAU[name]
    features, keys, arguments = scene("bank")
    features.requires_grad_()
    tau = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    loss = module(tau, **settings)(features, keys, **arguments)
    of_tau, of_features = torch.autograd.grad(loss, (tau, features))
    torch.testing.assert_close(of_tau, -(features * of_features).sum() / tau)


def test_a_learnt_temperature_of_clips():
    torch.manual_seed(0)
    f = F.normalize(torch.randn(8, 16), dim=1).requires_grad_()
    keys = F.normalize(torch.randn(64, 16), dim=1)
    module = losses.ContrastiveLoss(0.07)
    module.tau = nn.Parameter(torch.tensor(0.07))
    loss = module(f, keys, torch.arange(8))
    loss.backward()
    tau = torch.tensor(0.07, requires_grad=True)
    expected = F.cross_entropy(f.detach() @ keys.T / tau, torch.arange(8))
    expected.backward()
    assert [name for name, _ in module.named_parameters()] == ["tau"]
    assert repr(module) == "ContrastiveLoss(tau=tensor(0.07))"
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(module.tau.grad, tau.grad)
    assert tau.grad.item() == pytest.approx(-79.872, abs=1e-3)


@each_kind
@each_with_tau
def test_a_tensor_of_numbers_is_those_numbers(name, kind):
    module, equation, settings = WITH_TAU[name]
    features, keys, arguments = scene("bank")
    tau = temperature(kind, 0.2, torch.float64)
    expected = [
        module(t, **settings)(features[[i]], keys, arguments["positive"][[i]])
        for i, t in enumerate(tau.expand(ANCHORS).tolist())
    ]
    value = module(tau, **settings)(features, keys, **arguments)
    torch.testing.assert_close(value, torch.stack(expected).mean())
    torch.testing.assert_close(
        value, by_equation(equation, features, keys, tau=tau, **arguments, **settings)
    )


@each_kind
def test_equations_of_gradients_take_a_tensor(kind):
    s_pos, s_neg = similarities(ANCHORS)
    tau = temperature(kind, 0.2, torch.float64).requires_grad_()
    numbers = tau.expand(ANCHORS).tolist()
    f = unit_vectors(ANCHORS)
    own = unit_vectors(ANCHORS, seed=1)
    keys = unit_vectors(9, seed=2)
    for function in (
        lambda p, n, f, own, tau: torch.cat([p[:, None], probabilities(p, n, tau)[1]], dim=1),
        lambda p, n, f, own, tau: similarity_gradients(p, n, tau)[1],
        lambda p, n, f, own, tau: similarity_gradients(p, n, tau)[0][:, None],
        lambda p, n, f, own, tau: relative_penalty(n, tau),
        lambda p, n, f, own, tau: relative_penalty(n, tau, k=3),
        lambda p, n, f, own, tau: anchor_gradient(f, own, keys, tau),
    ):
        rows = [
            function(s_pos[[i]], s_neg[[i]], f[[i]], own[[i]], number)
            for i, number in enumerate(numbers)
        ]
        value = function(s_pos, s_neg, f, own, tau)
        torch.testing.assert_close(value, torch.cat(rows))
        (slope,) = torch.autograd.grad(value.square().sum(), tau)
        assert slope.isfinite().all()


@each_with_tau
def test_bad_temperatures_are_refused_whenever_they_were_set(name):
    module_class, equation, settings = WITH_TAU[name]
    features, keys, arguments = scene("bank")
    s_pos, s_neg = similarities(ANCHORS, 60)
    module = module_class(0.2, **settings)
    for bad, error, words in [
        (-0.1, ValueError, "tau is -0.1; it must be finite and above 0"),
        (math.nan, ValueError, "tau is nan"),
        ("0.1", TypeError, "tau is '0.1'"),
        (torch.tensor(-0.1), ValueError, "tau is -0.1; it must be finite and above 0"),
        (torch.tensor(math.inf), ValueError, "tau is inf"),
        (
            torch.full((ANCHORS,), 0.2).index_fill(0, torch.tensor(3), 0),
            ValueError,
            "tau is 0; it must",
        ),
        (torch.tensor(1), TypeError, "tau has dtype torch.int64"),
        (torch.full((3,), 0.2), ValueError, r"tau has shape \[3\]; give .*\[16\]"),
        (torch.full((ANCHORS, 1), 0.2), ValueError, r"tau has shape \[16, 1\]"),
        (torch.full((ANCHORS,), 0.2, device="meta"), ValueError, "tau is on meta"),
    ]:
        module.tau = bad
        with pytest.raises(error, match=words):
            module(features, keys, **arguments)
        with pytest.raises(error, match=words):
            equation(s_pos, s_neg, bad, **settings)
    with pytest.raises(ValueError, match="tau is -1; it must"):
        module_class(torch.tensor(-1.0), **settings)


# ---------------------------------------------------------------- negatives that do not count


@each_use
@each
def test_ignored_keys_are_not_there(name, use):
    module, equation, settings = (WITH_TAU | WITHOUT_TAU)[name]
    if name in WITH_TAU:
        settings = {"tau": 0.2, **settings}
    features, keys, arguments = scene(use)
    arguments["ignore"] = uneven_lists(arguments.get("positive"))
    leaves = [features.requires_grad_(), keys.requires_grad_()]
    if use == "queue":
        leaves.append(arguments["positive_keys"].requires_grad_())
    ours = module(**settings)(features, keys, **arguments)
    theirs = by_equation(equation, features, keys, **arguments, **settings)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad(ours, leaves)
    theirs = torch.autograd.grad(theirs, leaves)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@each
def test_one_row_for_each_repeated_rows_and_none(name):
    module, _, settings = (WITH_TAU | WITHOUT_TAU)[name]
    if name in WITH_TAU:
        settings = {"tau": 0.2, **settings}
    features, keys, arguments = scene("bank")
    loss = module(**settings)
    s = (features @ keys.T).scatter(1, arguments["positive"][:, None], -2)
    row = s.argmax(dim=1)  # the nearest negative, on which every loss depends
    none = torch.full_like(row, -1)
    one = loss(features, keys, **arguments, ignore=row)
    assert torch.equal(one, loss(features, keys, **arguments, ignore=row[:, None]))
    assert torch.equal(
        one, loss(features, keys, **arguments, ignore=torch.stack([row, none, row, row], 1))
    )
    plain = loss(features, keys, **arguments)
    assert one != plain
    torch.testing.assert_close(
        loss(features, keys, **arguments, ignore=none), plain, rtol=1e-14, atol=0
    )


def test_numbers_of_negatives_are_each_anchors_own():
    s_neg = torch.tensor([[0.9, 0.1, 0.5, -math.inf], [-math.inf, 0.4, -math.inf, -math.inf]])
    s_pos = torch.zeros(2)
    assert losses.simple(s_pos, s_neg).tolist() == pytest.approx([0.5, 0.4])
    assert losses.hard_negatives(s_neg, alpha=0.6).tolist() == [
        [True, False, True, False],  # 2 of 3
        [False, True, False, False],  # 1 of 1
    ]
    expected = [1.5 / 4 / 10 + math.log(4), 0.4 / 2 / 10 + math.log(2)]
    assert losses.simple_limit(s_pos, s_neg, 10.0).tolist() == pytest.approx(expected)
    r = relative_penalty(s_neg, 0.5)
    assert effective_negatives(r)[1] == 1
    assert (r[s_neg == -math.inf] == 0).all()
    with pytest.raises(
        ValueError, match=r"k is 2, but anchor 1 has only 1 negative\(s\): give k <= 1"
    ):
        losses.hard_simple(s_pos, s_neg, k=2)


def test_a_module_refuses_k_beyond_an_anchors_own_negatives():
    features, keys, arguments = scene("bank")
    ignore = torch.full((ANCHORS, 3), -1)
    ignore[7] = (arguments["positive"][7] + torch.arange(1, 4)) % KEYS
    for module in (losses.HardSimpleLoss(k=297), losses.HardContrastiveLoss(0.2, k=297)):
        with pytest.raises(ValueError, match="k is 297, but anchor 7 has only 296"):
            module(features, keys, **arguments, ignore=ignore)
    ignore[7, 0] = -1
    assert losses.HardSimpleLoss(k=297)(features, keys, **arguments, ignore=ignore).isfinite()


@pytest.mark.parametrize("tau", [0.01, 0.2, 10.0])
def test_minus_infinity_leaves_gradients_finite_and_right(tau):
    """A row padded with -inf has the value and the gradients of the row without the padding."""
    generator = torch.Generator().manual_seed(0)
    s = torch.rand(4, 8, generator=generator, dtype=torch.float64) * 2 - 1
    padding = torch.full((4, 3), -math.inf, dtype=torch.float64)
    for function in (
        losses.contrastive,
        lambda p, n, tau: losses.simple(p, n),
        lambda p, n, tau: losses.simple(p, n, 0.3),
        lambda p, n, tau: losses.hard_contrastive(p, n, tau, alpha=0.5),
        lambda p, n, tau: losses.hard_contrastive(p, n, tau, k=3),
        lambda p, n, tau: losses.hard_simple(p, n, alpha=0.5),
        losses.triplet_limit,
        losses.simple_limit,
        lambda p, n, tau: probabilities(p, n, tau)[0],
        lambda p, n, tau: similarity_gradients(p, n, tau)[0],
        lambda p, n, tau: entropy(relative_penalty(n, tau)),
        lambda p, n, tau: effective_negatives(relative_penalty(n, tau, alpha=0.5)),
    ):
        found = []
        for pad in (False, True):
            s_pos = s[:, 0].clone().requires_grad_()
            short = s[:, 1:].clone().requires_grad_()
            temperatures = torch.full((4,), tau, dtype=torch.float64, requires_grad=True)
            s_neg = short
            if pad:
                s_neg = torch.cat([padding, short], dim=1).requires_grad_()
            value = function(s_pos, s_neg, temperatures)
            leaves = (s_pos, short, temperatures)
            gradients = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
            found.append([value, *(g for g in gradients if g is not None)])
        torch.testing.assert_close(found[0], found[1])


def test_what_is_not_there_is_minus_infinity_alone():
    s_pos, s_neg = similarities()
    for value in (math.nan, math.inf):
        bad = s_neg.clone()
        bad[1, 2] = value
        bad[2, 3] = -math.inf
        for call in (
            lambda n: losses.contrastive(s_pos, n, 0.1),
            lambda n: relative_penalty(n, 0.1),
            lambda n: losses.hard_negatives(n, k=2),
        ):
            with pytest.raises(
                ValueError, match=r"s_neg has 2 value\(s\) that are NaN or infinite"
            ):
                call(bad)
    s_neg[3] = -math.inf
    with pytest.raises(ValueError, match="s_neg leaves anchor 3 no negative"):
        losses.simple(s_pos, s_neg)


def test_lists_to_ignore_that_make_no_sense():
    features, keys, arguments = scene("bank")
    positive = arguments["positive"]
    everything = torch.arange(KEYS).expand(ANCHORS, KEYS).clone()
    everything[torch.arange(ANCHORS), positive] = -1
    for ignore, error, words in [
        (positive[:3], ValueError, r"ignore has shape \[3\]"),
        (positive[:, None, None], ValueError, r"ignore has shape \[16, 1, 1\]"),
        (positive[:, None].float(), TypeError, "ignore has dtype torch.float32"),
        (torch.full((ANCHORS, 2), KEYS), ValueError, "numbers from 0 to 299, or -1 for none"),
        (torch.full((ANCHORS, 2), -2), ValueError, "ignore reaches from -2"),
        (
            torch.stack([positive * 0 - 1, positive], 1),
            ValueError,
            "ignore names an anchor's own positive",
        ),
        (everything, ValueError, "ignore leaves no negative of anchor 0"),
    ]:
        for module in (
            losses.ContrastiveLoss(0.1),
            losses.SimpleLoss(),
            losses.HardSimpleLoss(k=1),
        ):
            with pytest.raises(error, match=words):
                module(features, keys, **arguments, ignore=ignore)


def test_one_tau_serves_every_block_of_anchors(monkeypatch):
    monkeypatch.setattr("contrastlib.numerics.BLOCK_ELEMENTS", 4 * KEYS)
    features, keys, arguments = scene("bank")
    tau = torch.tensor(0.2, dtype=torch.float64)
    found = losses.HardContrastiveLoss(tau, k=5)(features, keys, **arguments)
    torch.testing.assert_close(
        found, losses.HardContrastiveLoss(0.2, k=5)(features, keys, **arguments)
    )


@pytest.mark.filterwarnings("ignore:keys is not made of unit vectors")
def test_ignored_keys_in_half_precision_are_added_up_in_that_of_the_features():
    features, keys, arguments = scene("bank", torch.float32)
    keys = keys.bfloat16()
    ignore = (arguments["positive"][:, None] + torch.arange(1, KEYS // 2)) % KEYS
    found = losses.SimpleLoss()(features, keys, **arguments, ignore=ignore)
    wide = losses.SimpleLoss()(features, keys.float(), **arguments, ignore=ignore)
    torch.testing.assert_close(found, wide, rtol=1e-5, atol=1e-6)


def test_one_negative_is_enough():
    features, keys, arguments = scene("bank")
    positive = arguments["positive"]
    all_but_one = torch.arange(KEYS).expand(ANCHORS, KEYS).clone()
    all_but_one[torch.arange(ANCHORS), positive] = -1
    only = (positive + 1) % KEYS
    all_but_one[torch.arange(ANCHORS), only] = -1
    found = losses.ContrastiveLoss(0.1)(features, keys, **arguments, ignore=all_but_one)
    s_pos = (features * keys[positive]).sum(dim=1)
    s_neg = (features * keys[only]).sum(dim=1)[:, None]
    torch.testing.assert_close(found, losses.contrastive(s_pos, s_neg, 0.1).mean())


def test_elsewhere_an_anchor_without_negatives_gives_no_nan(monkeypatch):
    """On a GPU nobody looks; the loss of such an anchor is that of no negative at all."""
    monkeypatch.setattr("contrastlib.checks.readable", lambda tensor: False)
    monkeypatch.setattr("contrastlib.pairs.readable", lambda tensor: False)
    features, keys, arguments = scene("bank")
    ignore = torch.arange(KEYS).expand(ANCHORS, KEYS)
    for module in (
        losses.ContrastiveLoss(0.1),
        losses.SimpleLoss(),
        losses.HardContrastiveLoss(0.1, k=5),
        losses.HardSimpleLoss(k=5),
    ):
        leaf = features.clone().requires_grad_()
        loss = module(leaf, keys, **arguments, ignore=ignore)
        loss.backward()
        assert loss.isfinite()
        assert leaf.grad.isfinite().all()


# ---------------------------------------------------------------- what misleads


@each
def test_one_warning_of_features_that_are_not_unit_vectors(name):
    module, _, settings = (WITH_TAU | WITHOUT_TAU)[name]
    if name in WITH_TAU:
        settings = {"tau": 0.2, **settings}
    features, keys, arguments = scene("bank")
    loss = module(**settings)
    for bad in (3 * features, F.normalize(features, dim=0)):
        with pytest.warns(
            UserWarning, match=r"features is not made of unit vectors.*F\.normalize"
        ) as caught:
            loss(bad, keys, **arguments)
        assert [w.filename for w in caught] == [__file__]
    with pytest.warns(UserWarning, match="^keys is not made of unit vectors"):
        loss(features, 2 * keys, **arguments)
    with pytest.warns(UserWarning, match="positive_keys is not made of unit vectors"):
        loss(features, keys, positive_keys=2 * features)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(features, keys, **arguments)
        loss(features.bfloat16(), keys.bfloat16(), **arguments)
        loss(features * (1 + 5e-4), keys, **arguments)


@pytest.mark.parametrize("name", ["contrastive", "hard k", "hard simple k", "triplet limit"])
def test_function_transforms_get_the_message_of_double_backward(name):
    module, _, settings = (WITH_TAU | WITHOUT_TAU)[name]
    if name in WITH_TAU:
        settings = {"tau": 0.2, **settings}
    features, keys, arguments = scene("bank")
    loss = module(**settings)
    words = "no second derivative: drop create_graph=True, or use the equation"
    for transform in (torch.func.grad, torch.func.hessian):
        with pytest.raises(RuntimeError, match=words):
            transform(lambda f: loss(f, keys, **arguments))(features)


@pytest.mark.parametrize("name", ["contrastive", "simple"])
@pytest.mark.parametrize("ignoring", [False, True])
def test_compiles_into_one_graph(name, ignoring):
    loss = losses.SimpleLoss() if name == "simple" else losses.ContrastiveLoss(0.2)
    features, keys, arguments = scene("bank")
    if ignoring:
        arguments["ignore"] = uneven_lists(arguments["positive"])
    torch._dynamo.reset()
    explained = torch._dynamo.explain(loss)(features.requires_grad_(), keys, **arguments)
    assert explained.graph_count == 1
    assert explained.graph_break_count == 0
    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)(features, keys, **arguments)
    plain = loss(features, keys, **arguments)
    torch.testing.assert_close(compiled, plain)
    ours = torch.autograd.grad(compiled, features)
    theirs = torch.autograd.grad(plain, features)
    torch.testing.assert_close(ours, theirs)
