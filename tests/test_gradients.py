"""The closed-form gradients: against autograd, against plain arithmetic, invariants, bad input."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from random_points import similarities, unit_vectors
from torch.autograd import gradcheck

from contrastlib.gradients import (
    anchor_gradient,
    effective_negatives,
    entropy,
    probabilities,
    project_to_tangent,
    relative_penalty,
    similarity_gradients,
    tau_for,
)
from contrastlib.losses import contrastive, hard_contrastive

seeds = st.integers(0, 10_000)
taus = st.floats(0.02, 50)


@given(seeds, taus)
def test_similarity_gradients_are_the_derivatives(seed, tau):
    s_pos, s_neg = (s.requires_grad_() for s in similarities(seed=seed))
    by_autograd = torch.autograd.grad(contrastive(s_pos, s_neg, tau).sum(), (s_pos, s_neg))
    for ours, theirs in zip(similarity_gradients(s_pos, s_neg, tau), by_autograd, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@given(seeds, taus)
def test_probabilities_add_up_and_gradients_balance(seed, tau):
    s_pos, s_neg = similarities(seed=seed)
    p_pos, p_neg = probabilities(s_pos, s_neg, tau)
    torch.testing.assert_close(p_pos + p_neg.sum(dim=1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(-torch.log(p_pos), contrastive(s_pos, s_neg, tau))
    g_pos, g_neg = similarity_gradients(s_pos, s_neg, tau)
    torch.testing.assert_close(g_pos, -g_neg.sum(dim=1))


@given(seeds, taus)
def test_relative_penalty_is_the_ratio_of_gradients(seed, tau):
    s_pos, s_neg = similarities(seed=seed)
    g_pos, g_neg = similarity_gradients(s_pos, s_neg, tau)
    r = relative_penalty(s_neg, tau)
    torch.testing.assert_close(r, g_neg / -g_pos[:, None])
    torch.testing.assert_close(r.sum(dim=1), torch.ones(5, dtype=torch.float64))


@given(seeds, taus)
def test_hard_relative_penalty_is_the_ratio_of_the_hard_gradients(seed, tau):
    s_pos, s_neg = (s.requires_grad_() for s in similarities(seed=seed))
    loss = hard_contrastive(s_pos, s_neg, tau, k=4).sum()
    g_pos, g_neg = torch.autograd.grad(loss, (s_pos, s_neg))
    r = relative_penalty(s_neg, tau, k=4)
    torch.testing.assert_close(r, g_neg / -g_pos[:, None], rtol=1e-6, atol=1e-9)
    assert ((r > 0).sum(dim=1) <= 4).all()
    torch.testing.assert_close(r, relative_penalty(s_neg, tau, alpha=0.45))
    torch.testing.assert_close(
        relative_penalty(s_neg, tau, alpha=1.0), relative_penalty(s_neg, tau)
    )


@given(seeds, taus)
def test_entropy_rises_with_tau_at_the_stated_slope(seed, tau):
    _, s_neg = similarities(seed=seed)
    t = torch.tensor(tau, dtype=torch.float64, requires_grad=True)
    h = entropy(torch.softmax(s_neg / t, dim=1))
    r = relative_penalty(s_neg, tau)
    variance = (r * s_neg**2).sum(dim=1) - (r * s_neg).sum(dim=1) ** 2
    for row in range(len(h)):
        slope = torch.autograd.grad(h[row], t, retain_graph=True)[0]
        torch.testing.assert_close(slope, variance[row] / tau**3, rtol=1e-6, atol=1e-8)
    assert (entropy(relative_penalty(s_neg, tau * 1.1)) >= entropy(r)).all()


def test_entropy_at_its_ends():
    equal = torch.zeros(1, 8)
    for tau in (0.01, 1.0, 100.0):
        torch.testing.assert_close(
            entropy(relative_penalty(equal, tau)), torch.tensor([math.log(8)])
        )
        torch.testing.assert_close(
            effective_negatives(relative_penalty(equal, tau)), torch.tensor([8.0])
        )
    one = torch.tensor([[1.0, 0.0, 0.0]])
    assert entropy(one).item() == 0
    assert effective_negatives(one).item() == 1


def test_anchor_gradient_is_the_derivative_and_is_attention():
    f = unit_vectors(5).requires_grad_()
    keys = unit_vectors(20, seed=1)
    own = unit_vectors(5, seed=2)
    for tau in (0.02, 0.2, 2.0):
        loss = contrastive((f * own).sum(dim=1), f @ keys.T, tau).sum()
        ours = anchor_gradient(f.detach(), own, keys, tau)
        torch.testing.assert_close(ours, torch.autograd.grad(loss, f)[0])
        for i in range(5):
            everything = torch.cat([own[i : i + 1], keys])
            attended = F.scaled_dot_product_attention(
                f[i : i + 1], everything, everything, scale=1 / tau
            )
            torch.testing.assert_close(ours[i], (attended[0] - own[i]) / tau, rtol=1e-7, atol=1e-9)


def test_tangent_is_the_derivative_before_normalisation():
    z = 3 * unit_vectors(5)
    z[1] *= 2
    z.requires_grad_()
    keys = unit_vectors(20, seed=1)
    own = unit_vectors(5, seed=2)
    f = F.normalize(z, dim=1)
    loss = contrastive((f * own).sum(dim=1), f @ keys.T, 0.2).sum()
    along = project_to_tangent(anchor_gradient(f, own, keys, 0.2), f)
    torch.testing.assert_close(along / z.norm(dim=1, keepdim=True), torch.autograd.grad(loss, z)[0])
    torch.testing.assert_close(
        (along * f).sum(dim=1), torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_gradcheck():
    s_pos, s_neg = (s.requires_grad_() for s in similarities(batch=2, negatives=4))
    assert gradcheck(lambda p, n: probabilities(p, n, 0.3), (s_pos, s_neg))
    assert gradcheck(lambda p, n: similarity_gradients(p, n, 0.3), (s_pos, s_neg))
    assert gradcheck(lambda n: relative_penalty(n, 0.3, k=2), (s_neg,))
    assert gradcheck(lambda n: effective_negatives(relative_penalty(n, 0.3)), (s_neg,))


@pytest.mark.parametrize("tau", [1e-3, 1e3])
def test_no_nan_at_either_end(tau):
    s_pos, s_neg = similarities(dtype=torch.float32)
    for x in (*probabilities(s_pos, s_neg, tau), *similarity_gradients(s_pos, s_neg, tau)):
        assert torch.isfinite(x).all()
    assert torch.isfinite(entropy(relative_penalty(s_neg, tau))).all()


def test_bad_input():
    s_pos, s_neg = similarities()
    f = unit_vectors(5)
    keys = unit_vectors(9)
    for call, error, words in [
        (
            lambda: probabilities(s_pos, s_neg, 0),
            ValueError,
            "tau is 0; it must be finite and above 0",
        ),
        (
            lambda: similarity_gradients(s_pos[:2], s_neg, 1),
            ValueError,
            "s_pos has 2 anchors and s_neg has 5",
        ),
        (lambda: relative_penalty(s_neg, -1), ValueError, "tau is -1"),
        (
            lambda: relative_penalty(s_neg[0], 1),
            ValueError,
            r"s_neg has shape \[9\]; give \[B, M\]",
        ),
        (lambda: relative_penalty(s_neg * math.nan, 1), ValueError, "NaN or infinite"),
        (lambda: relative_penalty(s_neg, 1, alpha=0.1, k=2), ValueError, "exactly one"),
        (
            lambda: relative_penalty(s_neg, 1, k=10),
            ValueError,
            "k is 10, but each anchor has only 9",
        ),
        (lambda: entropy(s_neg[0]), ValueError, r"r has shape \[9\]"),
        (lambda: entropy(s_neg / 0), ValueError, "NaN or infinite"),
        (lambda: anchor_gradient(f[0], f, keys, 1), ValueError, r"features has shape \[8\]"),
        (lambda: anchor_gradient(f, f[:2], keys, 1), ValueError, "positive_keys"),
        (lambda: anchor_gradient(f, f, keys[:, :3], 1), ValueError, "dimensions"),
        (lambda: anchor_gradient(f, f, keys, 0), ValueError, "tau is 0"),
        (lambda: project_to_tangent(f, f[:2]), ValueError, "gradient has shape"),
    ]:
        with pytest.raises(error, match=words):
            call()


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tau_for_finds_the_share(share, dtype):
    s_neg = 2 * torch.rand(6, 200, generator=torch.Generator().manual_seed(1), dtype=dtype) - 1
    s_neg = s_neg * torch.linspace(0.2, 1.0, 6, dtype=dtype)[:, None]
    tau = tau_for(s_neg, share)
    found = effective_negatives(relative_penalty(s_neg, tau)) / 200
    torch.testing.assert_close(found, torch.full_like(found, share), rtol=1e-3, atol=0)


def test_tau_for_scales_with_the_similarities_and_skips_what_is_not_there():
    s_neg = torch.rand(3, 50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    tau = tau_for(s_neg, 0.2)
    torch.testing.assert_close(tau_for(s_neg / 4, 0.2), tau / 4)
    padded = torch.cat([s_neg, torch.full((3, 30), -torch.inf, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(tau_for(padded, 0.2), tau)


@pytest.mark.parametrize(
    ("scale", "share", "said"),
    [
        (1e-5, 0.1, "train the encoder first"),  # as under an untrained encoder
        (1.0, 1e-4, "raise share"),  # fewer than one negative
        (1000.0, 0.9, "raise highest"),
        (1.0, 0.0, "between 0 and 1"),
        (1.0, 1.0, "between 0 and 1"),
        (0.0, 0.5, "negatives tie"),
    ],
)
def test_tau_for_refuses_to_stop_at_its_limits(scale, share, said):
    s_neg = torch.rand(3, 50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with pytest.raises(ValueError, match=said):
        tau_for(scale * s_neg, share)


def test_half_precision_at_a_small_temperature_and_with_many_negatives():
    s_neg = torch.tensor([[0.9, 0.2], [0.8, 0.3]]).half()
    assert relative_penalty(s_neg, 1e-5).tolist() == [[1, 0], [1, 0]]
    p_pos, p_neg = probabilities(torch.tensor([0.5, 0.9]).half(), s_neg, 1e-5)
    assert p_pos.tolist() == [0, 1]
    assert p_neg.tolist() == [[1, 0], [0, 0]]
    assert p_neg.dtype == torch.float16
    many = effective_negatives(relative_penalty(torch.zeros(1, 70_000).half(), 1.0))
    assert many.item() == pytest.approx(70_000, rel=0.02)  # 1 / 70,000 is rounded


def test_tau_for_refuses_a_range_that_is_none():
    with pytest.raises(ValueError, match=r"lowest is 10.0 and highest 0.001; give two"):
        tau_for(torch.rand(2, 5), 0.3, lowest=10.0, highest=1e-3)
    with pytest.raises(ValueError, match=r"lowest is 0.1 and highest 0.1; give two"):
        tau_for(torch.rand(2, 5), 0.3, lowest=0.1, highest=0.1)
