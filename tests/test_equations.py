"""Each numbered equation of the book, as printed there, against the library: label eq-NAME, test
test_eq_NAME.

The equations are written out over plain Python numbers, so that nothing of the library is on both
sides.
"""

import importlib
import re
from itertools import permutations, product
from math import cos, exp, log, pi, sin, sinh
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from random_points import unit_vectors
from torch import nn

from contrastlib import gradients, keys, losses, metrics
from contrastlib.reproduction import verdicts

ROOT = Path(__file__).parent.parent
TAUS = (0.05, 0.2, 1.0, 5.0)
each_tau = pytest.mark.parametrize("tau", TAUS)


def similarities(anchors=4, instances=7):
    """A full matrix s[i][j] of similarities between `anchors` of the instances and all of them, as
    nested lists.
    """
    draw = (
        torch.rand(
            anchors, instances, generator=torch.Generator().manual_seed(3), dtype=torch.float64
        )
        * 2
        - 1
    )
    return draw.tolist()


def split(s):
    """The library's arguments s_pos [B] and s_neg [B, M] out of the matrix."""
    s_pos = torch.tensor([row[i] for i, row in enumerate(s)], dtype=torch.float64)
    s_neg = torch.tensor([row[:i] + row[i + 1 :] for i, row in enumerate(s)], dtype=torch.float64)
    return s_pos, s_neg


def unit(n, d=6, seed=0):
    return unit_vectors(n, d, seed)


def others(row, i):
    return [(k, s) for k, s in enumerate(row) if k != i]


def inner(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def squared_distance(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def entropy(shares):
    return -sum(x * log(x) for x in shares if x > 0)


def loss(row, i, tau):
    return -log(
        exp(row[i] / tau) / (sum(exp(s / tau) for _, s in others(row, i)) + exp(row[i] / tau))
    )


def probability(row, i, j, tau):
    return exp(row[j] / tau) / (sum(exp(s / tau) for _, s in others(row, i)) + exp(row[i] / tau))


def slope(function, x, step=1e-5):
    """The derivative by central differences, good to about 1e-9 here."""
    return (function(x + step) - function(x - step)) / (2 * step)


def changed(row, j, value):
    return [*row[:j], value, *row[j + 1 :]]


def slope_by_similarity(row, i, j, tau):
    """How the loss of anchor i changes with its similarity to instance j, by differences."""
    return slope(lambda s: loss(changed(row, j, s), i, tau), row[j])


def close(ours, theirs, tolerance=1e-10):
    torch.testing.assert_close(
        ours, torch.as_tensor(theirs, dtype=torch.float64), rtol=tolerance, atol=tolerance
    )


# ---------------------------------------------------------------- instance discrimination


def test_eq_similarity():
    """Unit vectors: the inner product that the modules take is the cosine."""
    raw_f = torch.randn(3, 6, dtype=torch.float64)
    raw_g = torch.randn(9, 6, dtype=torch.float64)
    f = F.normalize(raw_f)
    g = F.normalize(raw_g)
    s = []
    for x in f.tolist():
        s.append([inner(x, y) for y in g.tolist()])
    close(torch.cosine_similarity(raw_f[:, None], raw_g[None], dim=2), s)
    by_hand = sum(loss(row, i, 0.2) for i, row in enumerate(s)) / 3
    close(losses.ContrastiveLoss(0.2)(f, g, torch.arange(3)), by_hand)


@each_tau
def test_eq_contrastive(tau):
    s = similarities()
    close(losses.contrastive(*split(s), tau), [loss(row, i, tau) for i, row in enumerate(s)])


@each_tau
def test_eq_contrastive_difference(tau):
    s = similarities()
    by_differences = []
    for i, row in enumerate(s):
        terms = [exp((x - row[i]) / tau) for _, x in others(row, i)]
        by_differences.append(log(1 + sum(terms)))
    close(losses.contrastive(*split(s), tau), by_differences)


@each_tau
def test_eq_chance(tau):
    equal = [[0.3] * 7] * 4
    close(losses.contrastive(*split(equal), tau), [log(7)] * 4)
    f = unit(1).expand(4, -1)
    close(losses.ContrastiveLoss(tau)(f, f[:1].expand(7, -1), torch.arange(4)), log(7))


@each_tau
def test_eq_infonce_bound(tau):
    """Exact expectations over three values of x and of y and N = 3 keys, for any scores."""
    joint = torch.tensor([[4.0, 1, 1], [1, 3, 1], [1, 1, 2]], dtype=torch.float64) / 15  # p(x, y)
    p_y = joint.sum(dim=0)
    information = (joint * (joint / (joint.sum(dim=1, keepdim=True) * p_y)).log()).sum()

    def nats(scores):
        """Return log N minus the expected loss."""
        expected = 0.0
        for x, y, first, second in product(range(3), repeat=4):
            weight = joint[x, y] * p_y[first] * p_y[second]
            s_neg = torch.stack([scores[x, first], scores[x, second]])[None]
            expected += weight * losses.contrastive(scores[x, y][None], s_neg, tau)
        return log(3) - expected

    any_scores = torch.tensor([[0.9, -0.2, 0.1], [0.3, 0.5, -1], [0, -0.4, 1]]).double()
    optimal = tau * (joint / p_y).log()
    assert nats(any_scores) < nats(optimal) < min(information, log(3))


def test_eq_memory_bank():
    m = 0.5
    bank = keys.MemoryBank(5, 6, momentum=0.5)
    before = bank.bank.clone()
    f = unit(2).float()
    rows = torch.tensor([3, 1])
    bank.update(rows, f)
    expected = before.clone()
    for i, feature in zip(rows.tolist(), f, strict=True):
        mixed = m * before[i] + (1 - m) * feature
        expected[i] = mixed / mixed.norm()
    torch.testing.assert_close(bank.bank, expected)


def test_eq_momentum_encoder():
    m = 0.9
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    queue = keys.MomentumQueue(encoder, 6, momentum=m)
    theta_g = [p.detach().clone() for p in encoder.parameters()]
    with torch.no_grad():
        for p in encoder.parameters():
            p.add_(torch.randn_like(p))
    indices = torch.arange(2)
    images = torch.randn(2, 4)
    queue.keys_for(indices, images)
    queue.update(indices, encoder(images).detach())
    for g, theta_f, ours in zip(
        theta_g, encoder.parameters(), queue.momentum_encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, m * g + (1 - m) * theta_f)


@each_tau
def test_eq_exchange(tau):
    f = unit(7)
    g = unit(7, seed=1)
    permutation = torch.tensor([2, 0, 1, 4, 3, 6, 5])
    rows = torch.arange(7)
    for criterion in (
        losses.ContrastiveLoss(tau),
        losses.HardContrastiveLoss(tau, k=3),
        losses.SimpleLoss(),
        losses.HardSimpleLoss(k=3),
    ):
        close(criterion(f[permutation], g[permutation], rows), criterion(f, g, rows))


# ---------------------------------------------------------------- gradients


@each_tau
def test_eq_probability(tau):
    s = similarities()
    p_pos, p_neg = gradients.probabilities(*split(s), tau)
    close(p_pos, [probability(row, i, i, tau) for i, row in enumerate(s)])
    by_hand = []
    for i, row in enumerate(s):
        by_hand.append([probability(row, i, j, tau) for j, _ in others(row, i)])
    close(p_neg, by_hand)


@each_tau
def test_eq_gradient_positive(tau):
    s = similarities()
    g_pos, _ = gradients.similarity_gradients(*split(s), tau)
    by_hand = []
    for i, row in enumerate(s):
        of_negatives = [probability(row, i, k, tau) for k, _ in others(row, i)]
        by_hand.append(-sum(of_negatives) / tau)
    close(g_pos, by_hand)
    differences = [slope_by_similarity(row, i, i, tau) for i, row in enumerate(s)]
    close(g_pos, differences, 1e-6)


@each_tau
def test_eq_gradient_negative(tau):
    s = similarities()
    _, g_neg = gradients.similarity_gradients(*split(s), tau)
    by_hand = []
    differences = []
    for i, row in enumerate(s):
        negatives = [j for j, _ in others(row, i)]
        by_hand.append([probability(row, i, j, tau) / tau for j in negatives])
        differences.append([slope_by_similarity(row, i, j, tau) for j in negatives])
    close(g_neg, by_hand)
    close(g_neg, differences, 1e-6)


@each_tau
def test_eq_gradient_balance(tau):
    s_pos, s_neg = split(similarities())
    g_pos, g_neg = gradients.similarity_gradients(s_pos, s_neg, tau)
    p_pos, _ = gradients.probabilities(s_pos, s_neg, tau)
    close(g_neg.abs().sum(dim=1), g_pos.abs())
    close(g_pos.abs(), (1 - p_pos) / tau)


@each_tau
def test_eq_gradient_anchor(tau):
    f = unit(4)
    k = unit(7, seed=1)
    for i in range(4):
        s = (f[i] @ k.T).tolist()
        expected = (sum(probability(s, i, j, tau) * k[j] for j in range(7)) - k[i]) / tau
        rest = torch.cat([k[:i], k[i + 1 :]])
        close(gradients.anchor_gradient(f[i : i + 1], k[i : i + 1], rest, tau)[0], expected)
    leaf = f.clone().requires_grad_()
    losses.ContrastiveLoss(tau)(leaf, k, torch.arange(4)).backward()
    close(4 * leaf.grad[3], expected)


@each_tau
def test_eq_gradient_sphere(tau):
    z = 3 * unit(1)
    k = unit(7, seed=1)

    def of_raw(x):
        f = x / x.norm()
        return loss((f @ k.T).tolist(), 0, tau)

    steps = torch.eye(6, dtype=torch.float64)
    differences = [slope(lambda h, e=e: of_raw(z[0] + h * e), 0.0) for e in steps]
    f = F.normalize(z)
    g = gradients.anchor_gradient(f, k[:1], k[1:], tau)
    close(gradients.project_to_tangent(g, f)[0] / z.norm(), differences, 1e-6)
    projector = torch.eye(6, dtype=torch.float64) - f.T @ f
    close(gradients.project_to_tangent(g, f), g @ projector)


@each_tau
def test_eq_euler(tau):
    f = unit(1)
    k = unit(7, seed=1)
    s = (f @ k.T)[0].tolist()
    g = gradients.anchor_gradient(f, k[:1], k[1:], tau)
    by_differences = slope(lambda t: loss(s, 0, t), tau)
    close(-(f * g).sum(dim=1) / tau, [by_differences], 1e-6)


# ---------------------------------------------------------------- temperature


@each_tau
def test_eq_relative_penalty(tau):
    s = similarities()
    s_pos, s_neg = split(s)
    r = gradients.relative_penalty(s_neg, tau)
    by_hand = []
    for i, row in enumerate(s):
        powers = [exp(x / tau) for _, x in others(row, i)]
        total = sum(powers)
        by_hand.append([power / total for power in powers])
    close(r, by_hand)
    g_pos, g_neg = gradients.similarity_gradients(s_pos, s_neg, tau)
    close(r, g_neg.abs() / g_pos.abs()[:, None])


@each_tau
def test_eq_penalty_ratio(tau):
    _, s_neg = split(similarities())
    r = gradients.relative_penalty(s_neg, tau)
    close(r[:, 0] / r[:, 1], [exp((row[0] - row[1]) / tau) for row in s_neg.tolist()], 1e-8)


@each_tau
def test_eq_entropy(tau):
    _, s_neg = split(similarities())
    r = gradients.relative_penalty(s_neg, tau)
    close(gradients.entropy(r), [entropy(row) for row in r.tolist()])


@each_tau
def test_eq_effective_negatives(tau):
    _, s_neg = split(similarities())
    r = gradients.relative_penalty(s_neg, tau)
    effective = gradients.effective_negatives(r)
    close(effective, [exp(entropy(row)) for row in r.tolist()])
    assert (effective >= 1).all()
    assert (effective <= s_neg.shape[1]).all()


@each_tau
def test_eq_entropy_slope(tau):
    _, s_neg = split(similarities())

    def entropy_at(row, t):
        weights = [exp(x / t) for x in row]
        return -sum(w / sum(weights) * log(w / sum(weights)) for w in weights)

    r = gradients.relative_penalty(s_neg, tau)
    mean = (r * s_neg).sum(dim=1, keepdim=True)
    variance = (r * (s_neg - mean) ** 2).sum(dim=1)
    close(
        variance / tau**3,
        [slope(lambda t, row=row: entropy_at(row, t), tau) for row in s_neg.tolist()],
        1e-5,
    )


def bump(u, g, tau):
    """The von Mises-Fisher density around g at the point u of the sphere in R^3, kappa = 1/tau."""
    kappa = 1 / tau
    return (
        kappa / (4 * pi * sinh(kappa)) * exp(kappa * sum(a * b for a, b in zip(u, g, strict=True)))
    )


def estimated_density(u, points, tau):
    return sum(bump(u, g, tau) for g in points) / len(points)


@each_tau
def test_eq_kernel_density(tau):
    """It integrates to one, and at the anchor its sum is the one that divides the weights."""
    points = unit(7, d=3).tolist()
    heights = 400  # rings of equal area, each with 40 points
    total = 0.0
    for ring in range(heights):
        z = 2 * (ring + 0.5) / heights - 1
        radius = (1 - z**2) ** 0.5
        for step in range(40):
            angle = 2 * pi * step / 40
            total += estimated_density([radius * cos(angle), radius * sin(angle), z], points, tau)
    assert 4 * pi * total / (40 * heights) == pytest.approx(1, rel=1e-2)

    (anchor,) = unit(1, d=3, seed=1)
    s_neg = (torch.tensor(points, dtype=torch.float64) @ anchor)[None]
    kappa = 1 / tau
    constant = kappa / (4 * pi * sinh(kappa))
    weights = 7 * estimated_density(anchor.tolist(), points, tau) / constant
    close(gradients.relative_penalty(s_neg, tau), (s_neg / tau).exp() / weights)


@each_tau
def test_eq_density_gradient(tau):
    points = unit(7, d=3)
    u = unit(1, d=3, seed=1)[0]
    r = gradients.relative_penalty((points @ u)[None], tau)[0]
    by_shares = r @ points / tau
    for axis in range(3):
        start = u.tolist()

        def moved(x, axis=axis, start=start):
            return log(estimated_density(changed(start, axis, x), points.tolist(), tau))

        assert by_shares[axis].item() == pytest.approx(
            slope(moved, start[axis]), rel=1e-5, abs=1e-7
        )


# ---------------------------------------------------------------- limits


def triplet(row, i, tau):
    return max(max(s for _, s in others(row, i)) - row[i], 0) / tau


def line(row, i, tau):
    n = len(row)
    return -(n - 1) / (n * tau) * row[i] + sum(s for _, s in others(row, i)) / (n * tau) + log(n)


def hostile():
    """`similarities` with anchors at the extremes: all keys equal, half of them opposite, the
    positive nearest.
    """
    half = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]
    return [*similarities(), [0.3] * 7, half, [-0.2] * 6 + [0.9]]


@each_tau
def test_eq_limit_small(tau):
    s = hostile()
    close(losses.triplet_limit(*split(s), tau), [triplet(row, i, tau) for i, row in enumerate(s)])
    # The loss tends to it: where one key is nearest alone, nothing is left of the difference.
    for i, row in enumerate(similarities()):
        top = sorted(row)
        t = (top[-1] - top[-2]) / 40
        difference = losses.contrastive(*split(similarities()), t) - losses.triplet_limit(
            *split(similarities()), t
        )
        assert difference[i].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("tau", [0.001, *TAUS, 50.0])
def test_eq_bound_small(tau):
    s = hostile()
    difference = losses.contrastive(*split(s), tau) - losses.triplet_limit(*split(s), tau)
    p_pos, p_neg = gradients.probabilities(*split(s), tau)
    close(difference, -torch.cat([p_pos[:, None], p_neg], dim=1).amax(dim=1).log(), 1e-9)
    assert (difference > -1e-9).all()
    assert (difference <= log(7) + 1e-12).all()
    assert difference[4].item() == pytest.approx(log(7))  # all keys tie: the bound is reached
    if tau == 0.001:  # the limit is the logarithm of the number that tie
        assert difference[5].item() == pytest.approx(log(3))


@each_tau
def test_eq_limit_large(tau):
    s = hostile()
    close(losses.simple_limit(*split(s), tau), [line(row, i, tau) for i, row in enumerate(s)])
    scaled = 6 / (7 * tau) * losses.simple(*split(s)) + log(7)
    close(losses.simple_limit(*split(s), tau), scaled)


@pytest.mark.parametrize("tau", [*TAUS, 50.0])
def test_eq_bound_large(tau):
    s = hostile()
    difference = losses.contrastive(*split(s), tau) - losses.simple_limit(*split(s), tau)
    divergence = []
    for i, row in enumerate(s):
        ratios = [1 / 7 / probability(row, i, j, tau) for j in range(7)]
        divergence.append(sum(map(log, ratios)) / 7)
    close(difference, divergence)
    assert (difference > -1e-12).all()
    assert (difference <= 1 / (2 * tau**2)).all()
    if tau == 50.0:  # variance / 2 tau^2 to leading order: opposite halves come near the bound
        for i, row in enumerate(s):
            variance = sum((x - sum(row) / 7) ** 2 for x in row) / 7
            assert difference[i].item() == pytest.approx(
                variance / (2 * tau**2), rel=0.02, abs=1e-12
            )


def test_eq_simple_mean():
    f = unit(7)
    g = unit(7, seed=1)
    by_library = losses.SimpleLoss()(f, g, torch.arange(7))
    f_mean = f.mean(dim=0)
    g_mean = g.mean(dim=0)
    covariance = sum(((f[i] - f_mean) @ (g[i] - g_mean)).item() for i in range(7)) / 7
    close(by_library, -7 / 6 * covariance)
    assert by_library.item() > -7 / 6
    poles = torch.cat([f[:1].expand(4, -1), -f[:1].expand(4, -1)])  # aligned, with mean zero
    spread = torch.cat([f[:4], -f[:4]])
    for z in (poles, spread):
        close(losses.SimpleLoss()(z, z, torch.arange(8)), -8 / 7)


# ---------------------------------------------------------------- hard negatives


def kept(row, i, k):
    """Anchor i's negatives at or above the k-th largest similarity, ties included."""
    negatives = [s for _, s in others(row, i)]
    threshold = sorted(negatives, reverse=True)[k - 1]
    return [s for s in negatives if s >= threshold]


def hard_loss(row, i, tau, k):
    return -log(
        exp(row[i] / tau) / (sum(exp(s / tau) for s in kept(row, i, k)) + exp(row[i] / tau))
    )


def tied():
    """`similarities` in which anchor 0's second and third nearest negatives tie, so that k = 2
    keeps three.
    """
    s = similarities()
    order = sorted(range(1, 7), key=lambda j: -s[0][j])
    s[0][order[2]] = s[0][order[1]]
    assert len(kept(s[0], 0, 2)) == 3
    return s


@each_tau
def test_eq_hard_loss(tau):
    s = tied()
    expected = [hard_loss(row, i, tau, 2) for i, row in enumerate(s)]
    close(losses.hard_contrastive(*split(s), tau, k=2), expected)
    close(losses.hard_contrastive(*split(s), tau, alpha=0.4), expected)  # of 6, round(2.4) are kept
    f = unit(4)
    g = unit(7, seed=1)
    by_hand = sum(hard_loss(row, i, tau, 2) for i, row in enumerate((f @ g.T).tolist())) / 4
    close(losses.HardContrastiveLoss(tau, k=2)(f, g, torch.arange(4)), by_hand)


@each_tau
def test_eq_hard_penalty(tau):
    s = tied()
    _, s_neg = split(s)
    r = gradients.relative_penalty(s_neg, tau, k=2)
    for i, row in enumerate(s):
        near = kept(row, i, 2)
        total = sum(exp(x / tau) for x in near)
        close(r[i], [exp(x / tau) / total if x >= min(near) else 0.0 for _, x in others(row, i)])
        for m, (j, x) in enumerate(
            others(row, i)
        ):  # a share of the push: the loss's slopes, divided

            def push(x, row=row, i=i, j=j):
                return hard_loss(changed(row, j, x), i, tau, 2)

            if near.count(x) == 1:  # at a tie a step changes who is kept
                pull = slope(
                    lambda x, row=row, i=i: hard_loss(changed(row, i, x), i, tau, 2), row[i]
                )
                close(r[i, m] * abs(pull), abs(slope(push, x)), 1e-6)


def test_eq_hard_simple():
    s = tied()
    expected = [sum(kept(row, i, 2)) / len(kept(row, i, 2)) - row[i] for i, row in enumerate(s)]
    close(losses.hard_simple(*split(s), k=2), expected)
    f = unit(4)
    g = unit(7, seed=1)
    rows = (f @ g.T).tolist()
    by_hand = sum(sum(kept(row, i, 2)) / 2 - row[i] for i, row in enumerate(rows)) / 4
    close(losses.HardSimpleLoss(k=2)(f, g, torch.arange(4)), by_hand)


@pytest.mark.parametrize("tau", [*TAUS, 50.0])
def test_eq_hard_large_tau(tau):
    s = tied()
    loss = losses.hard_contrastive(*split(s), tau, k=2)
    simple = losses.hard_simple(*split(s), k=2)
    for i, row in enumerate(s):
        near = kept(row, i, 2)
        n = len(near)
        excess = loss[i].item() - log(n + 1) - n / ((n + 1) * tau) * simple[i].item()
        width = max(*near, row[i]) - min(*near, row[i])
        assert -1e-12 <= excess <= width**2 / (8 * tau**2) <= 1 / (2 * tau**2)
        mean = (sum(near) + row[i]) / (n + 1)
        variance = sum((x - mean) ** 2 for x in [*near, row[i]]) / (n + 1)
        if (
            tau > 40
        ):  # to leading order the excess is variance / 2 tau^2: no smaller power of tau is left
            assert excess == pytest.approx(variance / (2 * tau**2), rel=0.03, abs=1e-12)


# ---------------------------------------------------------------- reading a training run


def mean_loss_of_scores(score, chances):
    """The mean of the contrastive loss at tau = 1, over images (alike) and their views.

    score[x][i] is the similarity of view x and key i, chances[i][x] the probability of view x of
    image i.
    """
    total = 0.0
    for i, views in enumerate(chances):
        for x, chance in enumerate(views):
            s_pos, s_neg = split([score[x][i : i + 1] + score[x][:i] + score[x][i + 1 :]])
            total += chance * losses.contrastive(s_pos, s_neg, 1.0).item() / len(chances)
    return total


def test_eq_training_gain():
    """No scores gain more than the mutual information; log-probabilities gain all of it."""
    draw = torch.rand(4, 5, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    chances = (draw / draw.sum(dim=1, keepdim=True)).tolist()  # 4 images with 5 views each
    of_view = [sum(of_images) / 4 for of_images in zip(*chances, strict=True)]
    information = 0.0
    for views in chances:
        information += sum(p / 4 * log(p / of_view[x]) for x, p in enumerate(views))
    assert 0 < information < log(4)
    for seed in range(20):
        score = torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)).tolist()
        assert log(4) - mean_loss_of_scores(score, chances) <= information
    best = torch.tensor(chances).log().T.tolist()
    assert log(4) - mean_loss_of_scores(best, chances) == pytest.approx(information)


# ---------------------------------------------------------------- choosing the temperature


@each_tau
def test_eq_tau_gradient(tau):
    s = similarities()
    by_hand = []
    for i, row in enumerate(s):
        expected = sum(probability(row, i, j, tau) * x for j, x in enumerate(row))
        by_hand.append((row[i] - expected) / tau**2)
    s_pos, s_neg = split(s)
    t = torch.full((4,), tau, dtype=torch.float64, requires_grad=True)  # one for each anchor
    logits = torch.tensor(s, dtype=torch.float64) / t[:, None]
    (ours,) = torch.autograd.grad(F.cross_entropy(logits, torch.arange(4), reduction="sum"), t)
    close(ours, by_hand)
    step = 1e-5 * tau
    difference = losses.contrastive(s_pos, s_neg, tau + step) - losses.contrastive(
        s_pos, s_neg, tau - step
    )
    close(difference / (2 * step), by_hand, 1e-6)


def slopes(of, row, i):
    """The pull on the positive and the push on each negative, by differences of the loss."""
    by = [slope(lambda x, j=j: of(changed(row, j, x), i), row[j]) for j in range(len(row))]
    return -torch.tensor(by[i], dtype=torch.float64), torch.tensor(
        by[:i] + by[i + 1 :], dtype=torch.float64
    )


@each_tau
def test_eq_margin(tau):
    """The loss as a margin, and what twice the negatives do."""
    s = similarities()
    by_margin = []
    for i, row in enumerate(s):
        negatives = [x for _, x in others(row, i)]
        m = len(negatives)
        soft = tau * log(sum(exp(x / tau) for x in negatives) / m)
        by_margin.append(log(1 + exp((tau * log(m) + soft - row[i]) / tau)))
    s_pos, s_neg = split(s)
    close(losses.contrastive(s_pos, s_neg, tau), by_margin)
    twice = losses.contrastive(s_pos, torch.cat([s_neg, s_neg], dim=1), tau)
    close(twice, losses.contrastive(s_pos - tau * log(2), s_neg, tau))


@each_tau
def test_eq_decoupled(tau):
    """The shares are the relative penalty, and the pull is 1 / tau."""

    def decoupled(row, i):
        return -row[i] / tau + log(sum(exp(x / tau) for _, x in others(row, i)))

    s = similarities()
    r = gradients.relative_penalty(split(s)[1], tau)
    for i, row in enumerate(s):
        pull, push = slopes(decoupled, row, i)
        close(pull, 1 / tau, 1e-6)
        close(push / pull, r[i], 1e-6)


@each_tau
def test_eq_debiased(tau):
    """The first term leaves the shares as they are; under the second nobody is pushed."""

    def debiased(row, i, rho):
        m = len(row) - 1
        negatives = sum(exp(x / tau) for _, x in others(row, i))
        n = max((negatives - rho * m * exp(row[i] / tau)) / (1 - rho), m * exp(-1 / tau))
        return log(1 + n * exp(-row[i] / tau))

    s = [changed(row, i, 0.1) for i, row in enumerate(similarities())]
    s_pos, s_neg = split(s)
    close(losses.contrastive(s_pos, s_neg, tau), [debiased(row, i, 0) for i, row in enumerate(s)])
    r = gradients.relative_penalty(s_neg, tau)
    for i, row in enumerate(s):
        pull, push = slopes(lambda row, i: debiased(row, i, 0.01), row, i)
        negatives = sum(exp(x / tau) for _, x in others(row, i))
        close(pull, negatives / (negatives + (1 - 0.01 - 0.06) * exp(row[i] / tau)) / tau, 1e-6)
        close(push / pull, r[i], 1e-6)
        _, push = slopes(lambda row, i: debiased(row, i, 0.9), changed(row, i, 1.0), i)
        assert (push == 0).all()


def test_eq_tau_schedule():
    """PyTorch's cosine annealing is the same curve: from the larger to the smaller in half a
    period, and back.
    """
    high = 1.0
    low = 0.1
    period = 40
    rate = torch.optim.SGD([torch.zeros(1)], lr=high)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(rate, T_max=period // 2, eta_min=low)
    for t in range(2 * period):
        assert low + (high - low) / 2 * (1 + cos(2 * pi * t / period)) == pytest.approx(
            annealing.get_last_lr()[0]
        )
        rate.step()
        annealing.step()


# ---------------------------------------------------------------- uniformity and tolerance


def pairs(z):
    """The inner products of all ordered pairs of different rows, with the two row numbers."""
    numbered = enumerate(z.tolist())
    return [(i, j, inner(x, y)) for (i, x), (j, y) in permutations(numbered, 2)]


@pytest.mark.parametrize("t", [0.5, 2.0, 5.0])
def test_eq_uniformity(t):
    z = unit(9)
    rows = z.tolist()
    squares = [squared_distance(x, y) for x, y in permutations(rows, 2)]
    assert metrics.uniformity(z, t) == pytest.approx(
        -log(sum(exp(-t * d) for d in squares) / len(squares))
    )


@pytest.mark.parametrize("t", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("d", [2, 3, 7, 128])
def test_eq_uniformity_ceiling(d, t):
    term = 1.0
    series = 1.0
    for k in range(1, 200):
        term *= t**2 / (k * (d / 2 + k - 1))
        series += term
    assert metrics.uniformity_ceiling(d, t) == pytest.approx(2 * t - log(series))
    # The mean itself, over the density (1 - u^2)^((d - 3) / 2) of one coordinate u = cos(angle) of
    # an even spread.
    angles = [(k + 0.5) * pi / 20_000 for k in range(20_000)]
    density = [sin(a) ** (d - 2) for a in angles]
    mean = sum(p * exp(2 * t * cos(a) - 2 * t) for a, p in zip(angles, density, strict=True)) / sum(
        density
    )
    assert metrics.uniformity_ceiling(d, t) == pytest.approx(-log(mean), rel=1e-6)


@each_tau
def test_eq_uniformity_normaliser(tau):
    z = unit(9)
    partition = [0.0] * 9
    for i, _, s in pairs(z):
        partition[i] += exp(s / tau)
    right = exp(-1 / tau) * sum(Z / 8 for Z in partition) / 9
    assert exp(-metrics.uniformity(z, 1 / (2 * tau))) == pytest.approx(right)


CLASSES = [0, 0, 0, 1, 1, 2, 2, 2, 2]


def test_eq_tolerance():
    z = unit(9)
    printed = sum(s for i, j, s in pairs(z) if CLASSES[i] == CLASSES[j]) / 72
    assert metrics.tolerance(z, torch.tensor(CLASSES), per_class_pair=False) == pytest.approx(
        printed
    )


def test_eq_tolerance_per_pair():
    z = unit(9)
    alike = [s for i, j, s in pairs(z) if CLASSES[i] == CLASSES[j]]
    per_pair = metrics.tolerance(z, torch.tensor(CLASSES))
    assert per_pair == pytest.approx(sum(alike) / len(alike))
    printed = metrics.tolerance(z, torch.tensor(CLASSES), per_class_pair=False)
    assert per_pair == pytest.approx(printed / (len(alike) / 72))


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_eq_mmd(t):
    """The squared MMD between points of a circle and its even spread, here 720 points."""
    z = unit(5, d=2)
    even = [[cos(2 * pi * k / 720), sin(2 * pi * k / 720)] for k in range(720)]

    def repulsion(first, second):
        squares = [squared_distance(u, v) for u, v in product(first, second)]
        return sum(exp(-t * square) for square in squares) / len(squares)

    points = z.tolist()
    squared = repulsion(points, points) - 2 * repulsion(points, even) + repulsion(even[:1], even)
    # The mean with replacement, from the library's over distinct pairs.
    of_distribution = (1 + 4 * exp(-metrics.uniformity(z, t))) / 5
    assert squared == pytest.approx(of_distribution - exp(-metrics.uniformity_ceiling(2, t)))


@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_eq_many_negatives(tau):
    """Each of six images is a negative a great many times, as if drawn independently."""
    f = unit(6)
    g = unit(6, seed=1)
    times = 2000
    s = f @ g.T
    loss = losses.contrastive(s.diagonal(), s.repeat(1, times), tau).mean().item()
    pull = -sum(s[i, i].item() for i in range(6)) / 6 / tau
    push = 0.0
    for row in s.tolist():
        push += log(sum(exp(x / tau) for x in row) / 6) / 6
    assert loss - log(6 * times) == pytest.approx(pull + push, abs=2e-2)
    few = losses.contrastive(s.diagonal(), s, tau).mean().item()
    assert abs(few - log(6) - pull - push) > 10 * abs(loss - log(6 * times) - pull - push)


# ---------------------------------------------------------------- nothing is left out


def test_eq_pooled():
    t_975 = 2.021075390306273  # Student's t at 0.975 with forty degrees of freedom
    cells = {"contrastive 0.2": [0.54, 0.56], "contrastive 0.07": [0.53, 0.51, 0.52]}
    values = pd.DataFrame({name: pd.Series(column) for name, column in cells.items()})
    weights = {("contrastive", 0.2): 2.0, ("contrastive", 0.07): -1.0}
    part = verdicts.Part("", "", "probe", weights)
    found = verdicts.estimate(part, values, verdicts.Spread(0.01**2, 40, 0.5), None)
    effect = 2 * (0.54 + 0.56) / 2 - (0.53 + 0.51 + 0.52) / 3
    half = t_975 * 0.01 * (2**2 / 2 + 1**2 / 3) ** 0.5
    expected = (effect, effect - half, effect + half)
    assert (found.effect, found.low, found.high) == pytest.approx(expected, rel=1e-12)


def test_eq_interval():
    x = [0.4, 0.7, 0.1, 0.6]
    t_975 = 3.182446305284263  # Student's t at 0.975 with three degrees of freedom
    mean = sum(x) / 4
    s = (sum((value - mean) ** 2 for value in x) / 3) ** 0.5
    found = verdicts.interval(x)
    assert found == pytest.approx((mean, mean - t_975 * s / 2, mean + t_975 * s / 2), rel=1e-12)


def labels():
    """Every equation label of the book's pages."""
    found = []
    for path in [ROOT / "index.md", *(ROOT / "book").iterdir()]:
        if path.suffix == ".md":
            text = path.read_text()
        elif path.suffix == ".ipynb":
            text = "\n".join(
                c.source
                for c in nbformat.read(path, as_version=4).cells
                if c.cell_type == "markdown"
            )
        else:
            continue
        found += re.findall(r"\$\$ \(([\w-]+)\)", text) + re.findall(
            r"\{math\}\s*\n:label: (\S+)", text
        )
    return found


def test_every_label_has_a_test_and_every_test_a_label():
    tests = {name for name in globals() if name.startswith("test_eq_")}
    found = labels()
    assert len(found) == len(set(found)), "a label is used twice"
    assert {"test_" + label.replace("-", "_") for label in found} == tests


def test_notation_names_exist_and_none_is_missing():
    page = (ROOT / "book" / "notation.md").read_text()
    named = set(re.findall(r"`(contrastlib\.\w+\.\w+)", page))
    for name in named:
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute), name
    public = {
        f"{m.__name__}.{name}" for m in (losses, gradients, keys, metrics) for name in m.__all__
    }
    assert public <= named, f"not on the notation page: {sorted(public - named)}"
