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
