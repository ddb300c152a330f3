"""Each numbered equation of the book, as printed there, against the library: label eq-NAME, test test_eq_NAME.

The equations are written out over plain Python numbers, so that nothing of the library is on both sides.
"""

import importlib
import re
from math import exp, log
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from contrastlib import gradients, keys, losses, metrics

ROOT = Path(__file__).parent.parent
TAUS = (0.05, 0.2, 1.0, 5.0)
each_tau = pytest.mark.parametrize("tau", TAUS)


def similarities(anchors=4, instances=7):
    """A full matrix s[i][j] of similarities between `anchors` of the instances and all of them, as nested lists."""
    draw = torch.rand(anchors, instances, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1
    return draw.tolist()


def split(s):
    """The library's arguments s_pos [B] and s_neg [B, M] out of the matrix."""
    s_pos = torch.tensor([row[i] for i, row in enumerate(s)], dtype=torch.float64)
    s_neg = torch.tensor([row[:i] + row[i + 1 :] for i, row in enumerate(s)], dtype=torch.float64)
    return s_pos, s_neg


def unit(n, d=6, seed=0):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def others(row, i):
    return [(k, s) for k, s in enumerate(row) if k != i]


def loss(row, i, tau):
    return -log(exp(row[i] / tau) / (sum(exp(s / tau) for _, s in others(row, i)) + exp(row[i] / tau)))


def probability(row, i, j, tau):
    return exp(row[j] / tau) / (sum(exp(s / tau) for _, s in others(row, i)) + exp(row[i] / tau))


def slope(function, x, step=1e-5):
    """The derivative by central differences, good to about 1e-9 here."""
    return (function(x + step) - function(x - step)) / (2 * step)


def changed(row, j, value):
    return [*row[:j], value, *row[j + 1 :]]


def close(ours, theirs, tolerance=1e-10):
    torch.testing.assert_close(ours, torch.as_tensor(theirs, dtype=torch.float64), rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- instance discrimination


def test_eq_similarity():
    """Unit vectors: the inner product that the modules take is the cosine."""
    raw_f, raw_g = torch.randn(3, 6, dtype=torch.float64), torch.randn(9, 6, dtype=torch.float64)
    f, g = F.normalize(raw_f), F.normalize(raw_g)
    s = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in g.tolist()] for x in f.tolist()]
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
    by_differences = [log(1 + sum(exp((x - row[i]) / tau) for _, x in others(row, i))) for i, row in enumerate(s)]
    close(losses.contrastive(*split(s), tau), by_differences)


@each_tau
def test_eq_chance(tau):
    equal = [[0.3] * 7] * 4
    close(losses.contrastive(*split(equal), tau), [log(7)] * 4)
    f = unit(1).expand(4, -1)
    close(losses.ContrastiveLoss(tau)(f, f[:1].expand(7, -1), torch.arange(4)), log(7))


def test_eq_memory_bank():
    m, bank = 0.5, keys.MemoryBank(5, 6, momentum=0.5)
    before, f, rows = bank.bank.clone(), unit(2).float(), torch.tensor([3, 1])
    bank.update(rows, f)
    expected = before.clone()
    for i, feature in zip(rows.tolist(), f, strict=True):
        mixed = m * before[i] + (1 - m) * feature
        expected[i] = mixed / mixed.norm()
    torch.testing.assert_close(bank.bank, expected)


def test_eq_momentum_encoder():
    m, encoder = 0.9, nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    queue = keys.MomentumQueue(encoder, 6, momentum=m)
    theta_g = [p.detach().clone() for p in encoder.parameters()]
    with torch.no_grad():
        for p in encoder.parameters():
            p.add_(torch.randn_like(p))
    indices, images = torch.arange(2), torch.randn(2, 4)
    queue.keys_for(indices, images)
    queue.update(indices, encoder(images).detach())
    for g, theta_f, ours in zip(theta_g, encoder.parameters(), queue.momentum_encoder.parameters(), strict=True):
        torch.testing.assert_close(ours, m * g + (1 - m) * theta_f)


@each_tau
def test_eq_exchange(tau):
    f, g, permutation = unit(7), unit(7, seed=1), torch.tensor([2, 0, 1, 4, 3, 6, 5])
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
    close(p_neg, [[probability(row, i, j, tau) for j, _ in others(row, i)] for i, row in enumerate(s)])


@each_tau
def test_eq_gradient_positive(tau):
    s = similarities()
    g_pos, _ = gradients.similarity_gradients(*split(s), tau)
    close(g_pos, [-sum(probability(row, i, k, tau) for k, _ in others(row, i)) / tau for i, row in enumerate(s)])
    differences = [slope(lambda x, i=i, row=row: loss(changed(row, i, x), i, tau), row[i]) for i, row in enumerate(s)]
    close(g_pos, differences, 1e-6)


@each_tau
def test_eq_gradient_negative(tau):
    s = similarities()
    _, g_neg = gradients.similarity_gradients(*split(s), tau)
    close(g_neg, [[probability(row, i, j, tau) / tau for j, _ in others(row, i)] for i, row in enumerate(s)])
    differences = [
        [slope(lambda x, i=i, j=j, row=row: loss(changed(row, j, x), i, tau), row[j]) for j, _ in others(row, i)]
        for i, row in enumerate(s)
    ]
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
    f, k = unit(4), unit(7, seed=1)
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
    z, k = 3 * unit(1), unit(7, seed=1)

    def of_raw(x):
        f = x / x.norm()
        return loss((f @ k.T).tolist(), 0, tau)

    steps = torch.eye(6, dtype=torch.float64)
    differences = [slope(lambda h, e=e: of_raw(z[0] + h * e), 0.0) for e in steps]
    f = F.normalize(z)
    g = gradients.anchor_gradient(f, k[:1], k[1:], tau)
    close(gradients.tangent(g, f)[0] / z.norm(), differences, 1e-6)
    projector = torch.eye(6, dtype=torch.float64) - f.T @ f
    close(gradients.tangent(g, f), g @ projector)


# ---------------------------------------------------------------- temperature


@each_tau
def test_eq_relative_penalty(tau):
    s = similarities()
    s_pos, s_neg = split(s)
    r = gradients.relative_penalty(s_neg, tau)
    total = [sum(exp(x / tau) for _, x in others(row, i)) for i, row in enumerate(s)]
    close(r, [[exp(x / tau) / total[i] for _, x in others(row, i)] for i, row in enumerate(s)])
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
    close(gradients.entropy(r), [-sum(x * log(x) for x in row if x > 0) for row in r.tolist()])


@each_tau
def test_eq_effective_negatives(tau):
    _, s_neg = split(similarities())
    r = gradients.relative_penalty(s_neg, tau)
    effective = gradients.effective_negatives(r)
    close(effective, [exp(-sum(x * log(x) for x in row if x > 0)) for row in r.tolist()])
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
    close(variance / tau**3, [slope(lambda t, row=row: entropy_at(row, t), tau) for row in s_neg.tolist()], 1e-5)


# ---------------------------------------------------------------- nothing is left out


def labels():
    """Every equation label of the book's pages."""
    found = []
    for path in [ROOT / "index.md", *(ROOT / "book").iterdir()]:
        if path.suffix == ".md":
            text = path.read_text()
        elif path.suffix == ".ipynb":
            text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
        else:
            continue
        found += re.findall(r"\$\$ \(([\w-]+)\)", text) + re.findall(r"\{math\}\s*\n:label: (\S+)", text)
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
    public = {f"{m.__name__}.{name}" for m in (losses, gradients, keys, metrics) for name in m.__all__}
    assert public <= named, f"not on the notation page: {sorted(public - named)}"
