"""The example that runs through chapters 1 to 7, by hand: a positive at 0.8, negatives at 0.6 and
0, at the temperatures 0.2 and 1. A test for each chapter, named after it.

What is printed in the book is computed here with plain numbers, compared with the library, and
rounded as the book rounds it.
"""

from math import cos, exp, log, radians, sin, sqrt

import pytest
import torch

from contrastlib import gradients, losses, metrics

POSITIVE = 0.8
NEGATIVES = (0.6, 0.0)


def tensors():
    """The example as the library takes it: s_pos [1], s_neg [1, 2]."""
    s_pos = torch.tensor([POSITIVE], dtype=torch.float64)
    s_neg = torch.tensor([NEGATIVES], dtype=torch.float64)
    return s_pos, s_neg


def softmax(tau):
    """The probabilities of the positive and of the two negatives."""
    exponentials = [exp(s / tau) for s in (POSITIVE, *NEGATIVES)]
    return [e / sum(exponentials) for e in exponentials]


def rounded(values, digits):
    return [round(float(value), digits) for value in values]


@pytest.mark.parametrize(
    ("tau", "exponentials", "probabilities", "loss"),
    [
        (0.2, [54.60, 20.09, 1.00], [0.721, 0.265, 0.013], 0.327),
        (1.0, [2.23, 1.82, 1.00], [0.441, 0.361, 0.198], 0.819),
    ],
)
def test_instance_discrimination(tau, exponentials, probabilities, loss):
    """The exponentials, their softmax, and the loss, also by its differences; chance is log 3."""
    assert rounded([exp(s / tau) for s in (POSITIVE, *NEGATIVES)], 2) == exponentials
    assert rounded(softmax(tau), 3) == probabilities
    by_differences = log(1 + sum(exp((s - POSITIVE) / tau) for s in NEGATIVES))
    by_library = losses.contrastive(*tensors(), tau).item()
    assert by_differences == pytest.approx(-log(softmax(tau)[0]))
    assert by_library == pytest.approx(by_differences)
    assert round(by_library, 3) == loss
    assert by_library < log(3)


@pytest.mark.parametrize(
    ("tau", "forces", "shares", "along", "on_circle"),
    [
        (0.2, [1.39, 1.33, 0.07], [0.953, 0.047], [0.84, 1.06, 0.07], [1.83, -0.32]),
        (1.0, [0.56, 0.36, 0.20], [0.646, 0.354], [0.34, 0.29, 0.20], [0.43, -0.23]),
    ],
)
def test_gradients(tau, forces, shares, along, on_circle):
    """One pull and two pushes, their shares, their parts along the sphere, and what the
    temperature gets.
    """
    p_pos, *p_neg = softmax(tau)
    by_hand = [(1 - p_pos) / tau, *(p / tau for p in p_neg)]
    assert rounded(by_hand, 2) == forces
    assert by_hand[0] == pytest.approx(sum(by_hand[1:]))
    assert rounded([push / by_hand[0] for push in by_hand[1:]], 3) == shares
    sines = [sqrt(1 - s**2) for s in (POSITIVE, *NEGATIVES)]
    assert rounded([sine * force for sine, force in zip(sines, by_hand, strict=True)], 2) == along

    s_pos, s_neg = tensors()
    g_pos, g_neg = gradients.similarity_gradients(s_pos, s_neg, tau)
    assert [-g_pos.item(), *g_neg[0].tolist()] == pytest.approx(by_hand)
    assert gradients.relative_penalty(s_neg, tau)[0].tolist() == pytest.approx(
        [push / by_hand[0] for push in by_hand[1:]]
    )

    keys = torch.tensor([[-0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]], dtype=torch.float64)
    anchor = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert (anchor @ keys.T)[0].tolist() == [POSITIVE, *NEGATIVES]
    gradient = gradients.anchor_gradient(anchor, keys[:1], keys[1:], tau)[0]
    assert rounded(gradient, 2) == on_circle
    assert gradient[0].item() == pytest.approx(
        sines[0] * by_hand[0] + sines[1] * by_hand[1] - sines[2] * by_hand[2]
    )

    t = torch.tensor(tau, dtype=torch.float64, requires_grad=True)
    losses.contrastive(s_pos, s_neg, t).sum().backward()
    dot = -POSITIVE * by_hand[0] + sum(s * g for s, g in zip(NEGATIVES, by_hand[1:], strict=True))
    assert dot == pytest.approx(gradient[1].item())
    assert t.grad.item() == pytest.approx(-dot / tau)


@pytest.mark.parametrize(
    ("tau", "weights", "shares", "nats", "effective"),
    [
        (0.2, [20.09, 1.00], [0.953, 0.047], 0.19, 1.21),
        (1.0, [1.82, 1.00], [0.646, 0.354], 0.65, 1.92),
    ],
)
def test_temperature(tau, weights, shares, nats, effective):
    """The shares of the push, their entropy and the effective negatives."""
    by_hand = [exp(s / tau) for s in NEGATIVES]
    assert [round(w, 2) for w in by_hand] == weights
    r = gradients.relative_penalty(torch.tensor([NEGATIVES], dtype=torch.float64), tau)
    assert r[0].tolist() == pytest.approx([w / sum(by_hand) for w in by_hand])
    assert [round(share, 3) for share in r[0].tolist()] == shares
    assert r[0, 0].item() / r[0, 1].item() == pytest.approx(exp(0.6 / tau))
    entropy = -sum(w / sum(by_hand) * log(w / sum(by_hand)) for w in by_hand)
    assert gradients.entropy(r).item() == pytest.approx(entropy)
    assert round(entropy, 2) == nats
    assert round(gradients.effective_negatives(r).item(), 2) == effective


@pytest.mark.parametrize(
    ("degrees", "uniformity", "tolerance"),
    [
        ([0, 180, 90, 270], 4.40, -1.00),  # mixed
        ([0, 90, 180, 270], 4.40, 0.00),  # sorted
        ([0, 30, 180, 210], 1.63, 0.87),  # two bunches
        ([0, 0, 0, 0], 0.00, 1.00),  # one heap
    ],
)
def test_uniformity_tolerance(degrees, uniformity, tolerance):
    """Four points on a circle, the first two of one class, the last two of another."""
    points = [(cos(radians(angle)), sin(radians(angle))) for angle in degrees]
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    similarity = {
        (i, j): points[i][0] * points[j][0] + points[i][1] * points[j][1] for i, j in pairs
    }
    repulsion = sum(exp(-2 * (2 - 2 * s)) for s in similarity.values()) / 6
    of_one_class = (similarity[0, 1] + similarity[2, 3]) / 2
    z = torch.tensor(points, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    assert metrics.uniformity(z) == pytest.approx(-log(repulsion), abs=1e-12)
    assert metrics.tolerance(z, labels) == pytest.approx(of_one_class, abs=1e-12)
    assert round(-log(repulsion), 2) == uniformity
    assert round(of_one_class, 2) == tolerance
    printed = metrics.tolerance(z, labels, per_class_pair=False)
    assert printed == pytest.approx(of_one_class / 3, abs=1e-12)


def test_uniformity_tolerance_as_the_text_computes_it():
    assert round((4 * exp(-4) + 2 * exp(-8)) / 6, 4) == 0.0123
    assert round(exp(-4), 3) == 0.018
    assert round(2 * cos(radians(30)) / 6, 2) == 0.29
    assert round(metrics.uniformity_ceiling(2), 2) == 1.58


@pytest.mark.parametrize(
    ("tau", "loss", "large_end", "missing"),
    [(0.2, 0.327, -0.568, 0.895), (1.0, 0.819, 0.765, 0.054)],
)
def test_limits(tau, loss, large_end, missing):
    """Eq 6 is zero, since the positive leads; Eq 7 is the mean of the negatives minus the positive;
    and what they leave out is the largest logarithm and the divergence.
    """
    probabilities = softmax(tau)
    by_hand = -log(probabilities[0])
    assert round(by_hand, 3) == loss

    nearest = max(max(NEGATIVES) - POSITIVE, 0) / tau
    assert nearest == 0
    assert losses.triplet_limit(*tensors(), tau).item() == nearest
    assert by_hand - nearest == pytest.approx(-log(max(probabilities)))
    assert 0 <= by_hand - nearest <= log(3)

    mean = -(2 / 3) * POSITIVE / tau + (1 / 3) * sum(NEGATIVES) / tau + log(3)
    assert mean == pytest.approx((2 / 3) * (sum(NEGATIVES) / 2 - POSITIVE) / tau + log(3))
    assert round(mean, 3) == large_end
    assert losses.simple_limit(*tensors(), tau).item() == pytest.approx(mean)
    divergence = sum(log(1 / 3 / p) for p in probabilities) / 3
    assert by_hand - mean == pytest.approx(divergence)
    assert round(divergence, 3) == missing
    assert 0 <= divergence <= 1 / (2 * tau**2)


def test_limits_with_a_negative_ahead():
    """The chapter's second picture: the positive at 0.6, a negative at 0.8, tau 0.2."""
    s_pos = torch.tensor([0.6], dtype=torch.float64)
    s_neg = torch.tensor([[0.8, 0.0]], dtype=torch.float64)
    nearest = losses.triplet_limit(s_pos, s_neg, 0.2).item()
    assert nearest == pytest.approx(1)
    left_out = losses.contrastive(s_pos, s_neg, 0.2).item() - nearest
    assert left_out == pytest.approx(-log(softmax(0.2)[0]))
    assert round(left_out, 3) == 0.327


@pytest.mark.parametrize(
    ("tau", "loss", "hard", "dropped"), [(0.2, 0.327, 0.313, 0.047), (1.0, 0.819, 0.598, 0.354)]
)
def test_hard_negatives(tau, loss, hard, dropped):
    """With k = 1 the negative at 0.6 is kept alone: its share becomes 1, and one is effective."""
    s_pos, s_neg = tensors()
    assert round(losses.contrastive(s_pos, s_neg, tau).item(), 3) == loss
    by_hand = log(1 + exp((NEGATIVES[0] - POSITIVE) / tau))
    assert losses.hard_contrastive(s_pos, s_neg, tau, k=1).item() == pytest.approx(by_hand)
    assert round(by_hand, 3) == hard
    r = gradients.relative_penalty(s_neg, tau)
    assert round(r[0, 1].item(), 3) == dropped
    kept = gradients.relative_penalty(s_neg, tau, k=1)
    assert kept[0].tolist() == [1.0, 0.0]
    assert gradients.effective_negatives(kept).item() == pytest.approx(1)
    gamma = 1 - dropped
    bound = gamma * gradients.effective_negatives(r).item()
    assert bound + 1e-3 >= 1
    without_near = losses.contrastive(s_pos, s_neg[:, 1:], tau).item()  # the oracle
    assert without_near == pytest.approx(log(1 + exp(-POSITIVE / tau)))
    if tau == 0.2:
        assert round(without_near, 3) == 0.018
    if tau == 1.0:
        assert round(gamma, 3) == 0.646
        assert round(gradients.effective_negatives(r).item(), 2) == 1.92
        assert round(bound, 2) == 1.24
