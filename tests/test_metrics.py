"""The metrics against the slow obvious thing, their closed forms, their memory, and what they
refuse.
"""

import math
import subprocess
import sys
import warnings
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from random_points import unit_vectors

from contrastlib import metrics, probe
from contrastlib.data import load
from contrastlib.losses import contrastive
from contrastlib.metrics import (
    alignment,
    knn_accuracy,
    linear_probe,
    neighbour_profile,
    tolerance,
    uniformity,
    uniformity_ceiling,
)

CLOSE = {torch.float32: 2e-6, torch.float64: 1e-12}
some = settings(deadline=None, max_examples=20)


def classes(n, c, seed=0):
    return torch.randint(c, (n,), generator=torch.Generator().manual_seed(seed))


def slow_uniformity(z, t):
    return -torch.pdist(z.double()).pow(2).mul(-t).exp().mean().log().item()


def slow_tolerance(z, labels, per_class_pair):
    total = 0
    pairs = 0
    same = 0
    for i in range(len(z)):
        for j in range(len(z)):
            if i != j:
                pairs += 1
                if labels[i] == labels[j]:
                    same += 1
                    total += float(z[i].double() @ z[j].double())
    return total / (same if per_class_pair else pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("t", [0.1, 2.0, 7.0])
def test_uniformity_is_its_equation(dtype, t):
    z = unit_vectors(200, 16, dtype=dtype)
    assert isinstance(uniformity(z, t), float)
    assert uniformity(z, t) == pytest.approx(slow_uniformity(z, t), abs=CLOSE[dtype] * t)


@pytest.mark.parametrize("side", [2, 3, 64, 199, 200, 201, 8192])
def test_uniformity_in_any_blocks(monkeypatch, side):
    z = unit_vectors(200, 16)
    monkeypatch.setattr(metrics, "PAIR_BLOCK", side)
    assert uniformity(z) == pytest.approx(slow_uniformity(z, 2.0), abs=1e-12)


@pytest.mark.parametrize("t", [50.0, 1e4])
def test_uniformity_where_every_pair_underflows(t):
    # In float32 exp(-4t) is 0 for each of these pairs; the nearest one rules.
    z = torch.eye(4)
    assert uniformity(z, t) == pytest.approx(2 * t, rel=1e-6)
    z = unit_vectors(50, 8)
    expected = -(torch.logsumexp(-t * torch.pdist(z).square(), 0) - math.log(50 * 49 / 2)).item()
    assert uniformity(z.float(), t) == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_uniformity_when_all_points_are_equal(dtype):
    assert uniformity(torch.eye(8, dtype=dtype)[:1].expand(700, 8)) == 0
    z = unit_vectors(1, 8).expand(50, 8)
    assert uniformity(z) == pytest.approx(0, abs=1e-12)


def test_uniformity_of_an_antipodal_pair():
    z = unit_vectors(1, 8)
    assert uniformity(torch.cat([z, -z]), t=3.0) == pytest.approx(12.0)


def test_uniformity_of_vectors_of_any_length():
    z = 3 * unit_vectors(100, 4) + 1
    with pytest.warns(UserWarning, match="unit vectors"):
        assert uniformity(z, 0.5) == pytest.approx(slow_uniformity(z, 0.5), abs=1e-10)


def test_uniformity_in_half_precision_and_under_autocast():
    z = unit_vectors(300, 64).bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # rounding alone is no reason to warn
        uniformity(z)
    assert uniformity(z) == pytest.approx(slow_uniformity(z, 2.0), abs=1e-5)
    z = unit_vectors(300, 64, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = uniformity(z)
    assert inside == uniformity(z)


@pytest.mark.parametrize("t", [0.5, 2.0, 5.0])
def test_uniformity_is_the_normaliser_of_the_contrastive_loss(t):
    # exp(L_uniformity) = e^(-1/tau) mean_i Z_i / (N - 1) at tau = 1 / (2t). With itself as positive
    # (s_pos = 1), an anchor's loss is log(1 + e^(-1/tau) Z_i).
    n = 100
    tau = 1 / (2 * t)
    z = unit_vectors(n, 16)
    s = z @ z.T
    s_neg = s[~torch.eye(n, dtype=torch.bool)].view(n, n - 1)
    partition = (s_neg / tau).exp().sum(dim=1)
    identity = math.exp(-1 / tau) * partition.mean().item() / (n - 1)
    assert math.exp(-uniformity(z, t)) == pytest.approx(identity, rel=1e-10)
    loss = contrastive(torch.ones(n, dtype=z.dtype), s_neg, tau)
    assert math.exp(-uniformity(z, t)) == pytest.approx(
        loss.expm1().mean().item() / (n - 1), rel=1e-10
    )


@some
@given(seed=st.integers(0, 10**6), n=st.integers(4, 40), d=st.integers(2, 12), t=st.floats(0.1, 30))
def test_turning_and_shuffling_change_nothing(seed, n, d, t):
    z = unit_vectors(n, d, seed)
    y = torch.arange(n) % 2
    turn = torch.linalg.qr(
        torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=z.dtype)
    ).Q
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    moved = (z @ turn)[order]
    relabelled = 7 - 3 * y[order]
    assert uniformity(moved, t) == pytest.approx(uniformity(z, t), abs=1e-9)
    assert 0 <= uniformity(z, t) <= 4 * t
    for reading in (True, False):
        assert tolerance(moved, relabelled, per_class_pair=reading) == pytest.approx(
            tolerance(z, y, per_class_pair=reading), abs=1e-12
        )
    other = unit_vectors(n, d, seed + 1)
    assert alignment(moved, (other @ turn)[order]) == pytest.approx(alignment(z, other), abs=1e-12)


@pytest.mark.parametrize("d", [2, 3, 128, 2048])
@pytest.mark.parametrize("t", [1e-3, 0.5, 2.0, 50.0, 1e3])
def test_ceiling_is_the_hypergeometric_function(d, t):
    with mpmath.workdps(40):
        f = mpmath.hyp0f1(mpmath.mpf(d) / 2, mpmath.mpf(t) ** 2, maxterms=10**5)
        expected = float(2 * mpmath.mpf(t) - mpmath.log(f))
    assert uniformity_ceiling(d, t) == pytest.approx(expected, abs=1e-10)


def test_ceiling_at_the_ends():
    assert round(uniformity_ceiling(128), 3) == 3.938
    # On the circle I_0(x) ~ e^x / sqrt(2 pi x), so the ceiling tends to log(4 pi t) / 2; at small t
    # it tends to 2t.
    assert uniformity_ceiling(2, 1e7) == pytest.approx(math.log(4e7 * math.pi) / 2, abs=1e-6)
    assert uniformity_ceiling(128, 1e-9) == pytest.approx(2e-9, rel=1e-6)


@pytest.mark.parametrize(("d", "t"), [(3, 2.0), (16, 2.0), (3, 20.0)])
def test_ceiling_is_what_random_points_approach(d, t):
    # Independent pairs, so that the spread of the mean is known: within five standard errors.
    difference = unit_vectors(200_000, d) - unit_vectors(200_000, d, seed=1)
    kernel = difference.square().sum(dim=1).mul(-t).exp()
    error = kernel.std() / math.sqrt(len(kernel))
    assert abs(math.exp(-uniformity_ceiling(d, t)) - kernel.mean()) < 5 * error


def test_uniformity_of_random_points_is_near_the_ceiling_and_may_pass_it():
    ceiling = uniformity_ceiling(16)
    estimates = [uniformity(unit_vectors(1000, 16, seed)) for seed in range(10)]
    assert estimates == pytest.approx([ceiling] * 10, abs=0.02)
    assert min(estimates) < ceiling < max(estimates)
    assert uniformity(F.normalize(unit_vectors(1000, 16) + 0.2, dim=1)) < ceiling - 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("per_class_pair", [True, False])
def test_tolerance_is_its_equation(dtype, per_class_pair):
    z = unit_vectors(60, 8, dtype=dtype)
    y = classes(60, 5)
    expected = slow_tolerance(z, y, per_class_pair)
    assert isinstance(tolerance(z, y), float)
    assert tolerance(z, y, per_class_pair=per_class_pair) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("rows", [1, 7, 60, 61])
def test_tolerance_in_any_blocks(monkeypatch, rows):
    z = unit_vectors(60, 8)
    y = classes(60, 5)
    expected = tolerance(z, y)
    monkeypatch.setattr(metrics, "POINT_CHUNK", rows)
    assert tolerance(z, y) == pytest.approx(expected, abs=1e-13)


def test_tolerance_of_one_hot_classes():
    # Each class on its own axis: 1 within a class; Eq 11 as printed is the share of same-class
    # pairs, here 9 / 99.
    y = torch.arange(100) % 10
    z = torch.eye(10)[y]
    assert tolerance(z, y) == 1
    assert tolerance(z, y, per_class_pair=False) == pytest.approx(9 / 99)
    assert tolerance(z, torch.zeros(100, dtype=torch.int32)) == pytest.approx(9 / 99)


def test_tolerance_leaves_lone_points_out():
    z = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    assert tolerance(z, torch.tensor([5, 5, -1])) == pytest.approx(0.6)
    with pytest.raises(ValueError, match="no same-class pair"):
        tolerance(z, torch.arange(3))


def test_alignment_is_its_equation():
    z1 = unit_vectors(50, 8)
    z2 = unit_vectors(50, 8, seed=1)
    assert alignment(z1, z1) == 0
    assert alignment(z1, -z1, alpha=3) == pytest.approx(8)
    assert alignment(z1, z2) == pytest.approx((2 - 2 * (z1 * z2).sum(dim=1)).mean().item())
    assert alignment(z1, z2, alpha=1) == pytest.approx((z1 - z2).norm(dim=1).mean().item())
    assert alignment(z1.float(), z2) == pytest.approx(alignment(z1, z2), abs=1e-6)


@pytest.mark.parametrize("block", [1, 100, 2**21])
def test_neighbour_profile_is_a_sort(monkeypatch, block):
    monkeypatch.setattr("contrastlib.numerics.BLOCK_ELEMENTS", block)
    z = unit_vectors(20, 8)
    keys = unit_vectors(30, 8, seed=1)
    positive = classes(20, 30, seed=2)
    pos, top = neighbour_profile(z, keys, positive, k=29)
    for i in range(20):
        s = keys @ z[i]
        own = int(positive[i])
        torch.testing.assert_close(pos[i], s[own])
        torch.testing.assert_close(
            top[i], torch.cat([s[:own], s[own + 1 :]]).sort(descending=True).values
        )


def test_neighbour_profile_leaves_out_the_positive_but_not_its_copies():
    keys = torch.eye(4)[[0, 0, 1, 2]]
    pos, top = neighbour_profile(keys[:1], keys, torch.tensor([0]), k=2)
    assert pos.tolist() == [1]
    assert top.tolist() == [[1, 0]]


@pytest.mark.parametrize("block", [1, 300, 2**21])
def test_knn_is_a_weighted_vote(monkeypatch, block):
    monkeypatch.setattr("contrastlib.numerics.BLOCK_ELEMENTS", block)
    z = unit_vectors(100, 3)
    y = classes(100, 4) * 3 - 5
    test = unit_vectors(40, 3, seed=1)
    truth = classes(40, 4, seed=1) * 3 - 5
    right = 0
    for point, label in zip(test, truth, strict=True):
        votes = {}
        for s, c in sorted(zip((z @ point).tolist(), y.tolist(), strict=True), reverse=True)[:20]:
            votes[c] = votes.get(c, 0) + math.exp(s / 0.2)
        right += max(votes, key=votes.get) == label
    assert knn_accuracy(z, y, test, truth, k=20, tau=0.2) == right / 40


def test_knn_knows_its_training_points_at_any_tau():
    z = unit_vectors(50, 8)
    y = classes(50, 4)
    assert knn_accuracy(z, y, z, y, k=1) == 1
    assert knn_accuracy(z, y, z, y, k=50, tau=1e-4) == 1  # exp(1 / tau) would overflow
    assert knn_accuracy(z, y, z, y + 10, k=5) == 0  # classes never seen


@pytest.mark.parametrize("first", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("second", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:.*unit vectors")  # in 8 dimensions bfloat16's rounding shows
def test_neighbours_in_mixed_precision(first, second):
    z = unit_vectors(40, 8).to(first)
    test = unit_vectors(20, 8, seed=1).to(second)
    y = classes(40, 4)
    positive = torch.arange(20)
    assert knn_accuracy(z, y, test, y[:20], k=5) == knn_accuracy(
        z.double(), y, test.double(), y[:20], k=5
    )
    wide = torch.promote_types(torch.promote_types(first, second), torch.float32)
    for got, want in zip(
        neighbour_profile(test, z, positive),
        neighbour_profile(test.double(), z.double(), positive),
        strict=True,
    ):
        torch.testing.assert_close(got, want.to(wide))


def digits(kind):
    """The digits' frozen features [N, F] of some kind, and labels: train, then test."""
    train = load("digits")
    test = load("digits", "test")
    x = [s.images.float().div(255) for s in (train, test)]
    if kind == "pixels":
        x = [images.flatten(1) for images in x]
    else:  # an untrained convolution, pooled
        filters = torch.randn(32, 1, 3, 3, generator=torch.Generator().manual_seed(0))
        x = [
            F.avg_pool2d(F.conv2d(images, filters, padding=1).relu(), 2).flatten(1) for images in x
        ]
    return x[0], train.labels, x[1], test.labels


@pytest.mark.parametrize(("kind", "ahead"), [("pixels", 0.02), ("convolution", 0.06)])
def test_probe_protocols_agree(kind, ahead):
    # Of 360 test digits. The convolution's 512 features are correlated, and there the paper's SGD,
    # which does not standardise, stops short of the minimum.
    data = digits(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # L-BFGS converges
        fast = linear_probe(*data)
    paper = linear_probe(*data, protocol="paper")
    assert paper > 0.85
    assert -0.02 <= fast - paper <= ahead
    assert linear_probe(*data) == fast
    assert linear_probe(*data, protocol="paper") == paper


def test_probe_finds_the_minimum():
    # At the minimum of mean cross-entropy + 1e-4 / 2 |w|^2 on standardised features, the gradient
    # vanishes.
    x, y, _, _ = digits("pixels")
    weight, bias = probe.fit_lbfgs(x.double(), y, 10)
    mean = x.double().mean(0)
    std = x.double().std(0, correction=0)
    live = std > 0
    w = (weight * std).requires_grad_()
    b = (bias + weight @ mean).requires_grad_()
    z = torch.where(live, (x.double() - mean) / std.where(live, 1), 0)
    loss = F.cross_entropy(z @ w.T + b, y) + 1e-4 / 2 * w.square().sum()
    assert all(grad.abs().max() < 5e-5 for grad in torch.autograd.grad(loss, (w, b)))
    assert (weight.abs()[:, ~live] < 1e-6).all()


def test_probe_standardises_and_weighs_its_penalty_as_stated():
    # Two points, which standardised are -1 and 1: their weights are -w and w, and log(1 + e^(-2w))
    # + 1e-4 w^2 is least.
    weight, _ = probe.fit_lbfgs(
        torch.tensor([[3.0], [7.0]], dtype=torch.float64), torch.arange(2), 2
    )
    w = 2 * weight[1].item()
    assert 1 / (1 + math.exp(2 * w)) == pytest.approx(1e-4 * w, rel=0.05)


def test_probe_says_when_it_has_not_converged(monkeypatch):
    def step(optimizer, closure):
        optimizer.state[optimizer.param_groups[0]["params"][0]]["n_iter"] = 1000

    monkeypatch.setattr(torch.optim.LBFGS, "step", step)
    with pytest.warns(UserWarning, match="not converged after 1000 steps") as caught:
        linear_probe(UNIT, LABELS, UNIT, LABELS)
    assert [w.filename for w in caught] == [__file__]


def test_probe_by_paper_is_its_schedule():
    # SGD with momentum written out; the draws come from the same generator in the same order.
    x = unit_vectors(300, 4)
    y = classes(300, 3)
    generator = torch.Generator().manual_seed(0)
    weight = (0.01 * torch.randn(3, 4, generator=generator)).double()
    bias = torch.zeros(3, dtype=torch.float64)
    pushes = torch.zeros_like(weight), torch.zeros_like(bias)
    for epoch in range(100):
        rate = 30 * 0.2 ** sum(epoch >= milestone for milestone in (40, 60, 80))
        order = torch.randperm(300, generator=generator)
        for rows in (order[:128], order[128:256], order[256:]):
            error = (torch.softmax(x[rows] @ weight.T + bias, dim=1) - torch.eye(3)[y[rows]]) / len(
                rows
            )
            for value, push, grad in zip(
                (weight, bias), pushes, (error.T @ x[rows], error.sum(dim=0)), strict=True
            ):
                push.mul_(0.9).add_(grad)
                value.sub_(rate * push)
    torch.testing.assert_close(probe.fit_paper(x, y, 3), (weight, bias), rtol=1e-6, atol=1e-6)


def test_probe_ignores_scale_shift_and_autograd():
    x, y, test, truth = digits("pixels")
    fast = linear_probe(x, y, test, truth)
    assert linear_probe(100 * x + 7, y, 100 * test + 7, truth) == pytest.approx(fast, abs=2 / 360)
    renamed = linear_probe(x, 5 - 2 * y, test, 5 - 2 * truth)  # the classes in another order
    assert renamed == pytest.approx(fast, abs=2 / 360)
    with torch.inference_mode():
        inside = linear_probe(x + 0, y + 0, test + 0, truth + 0)
    assert inside == fast
    assert linear_probe(x + 0 * x.mean().requires_grad_(), y, test, truth) == fast
    half = x.bfloat16(), test.bfloat16()
    assert linear_probe(half[0], y, half[1], truth) == linear_probe(
        half[0].float(), y, half[1].float(), truth
    )
    assert linear_probe(x * 0, y, test * 0, truth) == pytest.approx(
        0.1, abs=0.03
    )  # nothing to see: chance


def no_fit(x, y, classes):
    """In place of the paper's SGD, which takes a second."""
    return x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 0.0), (1.0, 1e4), (1e-3, 1.0)])
def test_probe_by_paper_warns_of_a_scale_on_which_it_stays_at_chance(scale, offset, monkeypatch):
    monkeypatch.setattr(probe, "fit_paper", no_fit)
    x, y, test, truth = digits("pixels")
    x = scale * x + offset
    test = scale * test + offset
    with pytest.warns(UserWarning, match="at chance there: subtract the training mean") as caught:
        linear_probe(x, y, test, truth, protocol="paper")
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_probe_by_paper_says_nothing_of_features_as_they_are(scale, monkeypatch):
    monkeypatch.setattr(probe, "fit_paper", no_fit)
    x, y, test, truth = digits("pixels")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear_probe(scale * x, y, scale * test, truth, protocol="paper")
        linear_probe(UNIT, LABELS, UNIT, LABELS, protocol="paper")
        linear_probe(x * 0, y, test * 0, truth, protocol="paper")
        linear_probe(1e-6 * x + 1, y, 1e-6 * test + 1, truth)


MEASURE = """
import sys, torch
import torch.nn.functional as F
from contrastlib import metrics
torch.set_num_threads(1)

def kib(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

def extra(call):
    # Up to the highest mark so far, so that more shows.
    ballast = torch.ones(256 * max(0, kib("VmHWM") - kib("VmRSS")))
    before = kib("VmRSS")
    call()
    return (kib("VmHWM") - before) / 1024

z = torch.empty(50_000, 128)
for rows in z.split(1000):
    rows.copy_(F.normalize(torch.randn(rows.shape), dim=1))
y = torch.randint(10, (50_000,))
calls = {"uniformity": lambda z, y: metrics.uniformity(z), "tolerance": metrics.tolerance}
call = calls[sys.argv[1]]
call(z[:1000].clone(), y[:1000])  # what libraries load on first use is not the metric's
print(extra(lambda: call(z, y)), extra(lambda: torch.ones(25 * 2**20)))
"""


def test_off_the_cpu_a_chunk_of_points_is_as_large_as_memory_allows():
    elements = metrics.DEVICE_ELEMENTS
    for d, points in ((1, elements), (128, elements // 128), (elements + 1, 1)):
        assert metrics.point_chunk(torch.empty(3, d, device="meta")) == points
    assert metrics.point_chunk(torch.empty(3, 128)) == metrics.POINT_CHUNK


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory's highest mark from /proc")
@pytest.mark.parametrize("name", ["uniformity", "tolerance"])
def test_memory_at_fifty_thousand_points(name):
    # uniformity takes about 5 seconds on one core; all its pairs at once would take 9.3 GiB
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, name], capture_output=True, text=True, check=True
    )
    used, hundred = map(float, out.stdout.split())
    assert hundred == pytest.approx(100, abs=5)  # MiB: the measure sees what is there
    assert used < 64


UNIT = unit_vectors(20, 4)
LABELS = torch.arange(20) % 3
CALLS = {
    "uniformity": lambda z: uniformity(z),
    "tolerance": lambda z: tolerance(z, LABELS),
    "alignment": lambda z: alignment(z, UNIT),
    "alignment, second": lambda z: alignment(UNIT, z),
    "neighbour_profile": lambda z: neighbour_profile(z, UNIT, torch.arange(20)),
    "neighbour_profile, keys": lambda z: neighbour_profile(UNIT, z, torch.arange(20)),
    "knn_accuracy": lambda z: knn_accuracy(z, LABELS, UNIT, LABELS, k=5),
    "knn_accuracy, test": lambda z: knn_accuracy(UNIT, LABELS, z, LABELS, k=5),
}


@pytest.mark.parametrize("name", CALLS)
def test_warns_of_features_that_are_not_unit_vectors(name):
    z = UNIT.clone()
    z[3] *= 1.5
    with pytest.warns(UserWarning, match=r"off 1 by 0\.5; call F\.normalize") as caught:
        CALLS[name](z)
    assert [w.filename for w in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CALLS[name](UNIT * (1 + 5e-4))
        linear_probe(7 * UNIT, LABELS, 7 * UNIT, LABELS)


@pytest.mark.parametrize("name", CALLS)
def test_refuses_features_that_make_no_sense(name):
    call = CALLS[name]
    for value in (math.nan, math.inf):
        z = UNIT.clone()
        z[3, 1] = value
        with pytest.raises(ValueError, match=r"1 value\(s\) that are NaN or infinite"):
            call(z)
    with pytest.raises(ValueError, match="length overflows"):
        call(UNIT.float() * 1e30)
    with pytest.raises(TypeError, match="floating point"):
        call(UNIT.long())
    with pytest.raises(TypeError, match="ndarray"):
        call(UNIT.numpy())
    with pytest.raises(ValueError, match=r"give \[N, d\]"):
        call(UNIT[0])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: uniformity(UNIT[:1]), ValueError, "at least 2"),
        (lambda: uniformity(UNIT, 0), ValueError, "t is 0; it must be finite and above 0"),
        (lambda: uniformity(UNIT, -1.0), ValueError, "t is -1.0"),
        (lambda: uniformity(UNIT, math.nan), ValueError, "t is nan"),
        (lambda: uniformity(UNIT, "2"), TypeError, "give a number above 0"),
        (lambda: uniformity(UNIT, 1e308), ValueError, "uniformity came out as"),
        (lambda: uniformity_ceiling(1), ValueError, "d is 1; give a number at least 2"),
        (lambda: uniformity_ceiling(2.0), TypeError, "whole number"),
        (lambda: uniformity_ceiling(128, 0.0), ValueError, "t is 0.0"),
        (
            lambda: tolerance(UNIT, LABELS[:5]),
            ValueError,
            r"shape \[5\]; give one label for each of the 20 rows of z",
        ),
        (lambda: tolerance(UNIT, LABELS.float()), TypeError, "class numbers"),
        (lambda: tolerance(UNIT, LABELS.tolist()), TypeError, "labels is a list"),
        (lambda: tolerance(UNIT[:1], LABELS[:1]), ValueError, "no same-class pair"),
        (lambda: alignment(UNIT, UNIT[:5]), ValueError, "one row of z2 for each row of z1"),
        (lambda: alignment(UNIT, UNIT, alpha=0), ValueError, "alpha is 0"),
        (
            lambda: neighbour_profile(UNIT, UNIT, LABELS, k=20),
            ValueError,
            "from 1 to 19: an anchor has one",
        ),
        (lambda: neighbour_profile(UNIT, UNIT, LABELS, k=0), ValueError, "k is 0"),
        (lambda: neighbour_profile(UNIT, UNIT, LABELS, k=2.0), TypeError, "whole number"),
        (
            lambda: neighbour_profile(UNIT, UNIT, LABELS + 18),
            ValueError,
            "give numbers from 0 to 19",
        ),
        (
            lambda: neighbour_profile(UNIT, unit_vectors(20, 5), LABELS),
            ValueError,
            "keys 5; both must come from",
        ),
        (
            lambda: knn_accuracy(UNIT, LABELS, UNIT, LABELS),
            ValueError,
            "k is 200; give a number from 1 to 20",
        ),
        (lambda: knn_accuracy(UNIT, LABELS, UNIT, LABELS, 5, 0), ValueError, "tau is 0"),
        (
            lambda: knn_accuracy(UNIT, LABELS, UNIT, LABELS[:3], 5),
            ValueError,
            r"test_labels has shape \[3\]",
        ),
        (
            lambda: knn_accuracy(UNIT, LABELS, unit_vectors(9, 5), LABELS[:9], 5),
            ValueError,
            "test_z 5",
        ),
        (
            lambda: linear_probe(UNIT, LABELS, UNIT, LABELS, protocol="sgd"),
            ValueError,
            "one of: lbfgs, paper",
        ),
        (lambda: linear_probe(UNIT, LABELS * 0, UNIT, LABELS), ValueError, "one class only"),
        (
            lambda: linear_probe(UNIT * math.nan, LABELS, UNIT, LABELS),
            ValueError,
            "train_x has 80 value",
        ),
        (
            lambda: linear_probe(UNIT, LABELS, unit_vectors(9, 5), LABELS[:9]),
            ValueError,
            "test_x 5",
        ),
        (lambda: linear_probe(UNIT.long(), LABELS, UNIT, LABELS), TypeError, "train_x has dtype"),
        (lambda: linear_probe(UNIT, LABELS, UNIT.long(), LABELS), TypeError, "test_x has dtype"),
        (
            lambda: linear_probe(UNIT, LABELS[None], UNIT, LABELS),
            ValueError,
            r"train_labels has shape \[1, 20\]",
        ),
    ],
)
def test_refuses(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_sums_are_in_float64_but_on_apples_gpus():
    assert metrics.accumulate_dtype(SimpleNamespace(device=torch.device("mps"))) is torch.float32
    assert metrics.accumulate_dtype(SimpleNamespace(device=torch.device("cuda"))) is torch.float64


def test_refuses_tensors_on_two_devices():
    far = torch.empty(20, 4, device="meta")
    with pytest.raises(ValueError, match="both must be on one device"):
        alignment(UNIT, far)
    with pytest.raises(ValueError, match="both must be on one device"):
        tolerance(UNIT, LABELS.to("meta"))


def test_nothing_is_made_on_the_default_device():
    # A tensor made without device= would be one without numbers.
    for call in (
        lambda: uniformity(UNIT),
        lambda: tolerance(UNIT, LABELS),
        lambda: alignment(UNIT, UNIT.flip(0)),
        lambda: neighbour_profile(UNIT, UNIT, LABELS),
        lambda: knn_accuracy(UNIT, LABELS, UNIT.flip(0), LABELS, k=5),
        lambda: linear_probe(UNIT, LABELS, UNIT.flip(0), LABELS),
        lambda: linear_probe(UNIT, LABELS, UNIT.flip(0), LABELS, protocol="paper"),
    ):
        expected = call()
        with torch.device("meta"):
            assert repr(call()) == repr(expected)


DEVICES = [name for name, here in [("cpu", True), ("cuda", torch.cuda.is_available())] if here]


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree_with_float64(device):
    z = unit_vectors(6000, 32, dtype=torch.float32)
    y = classes(6000, 5)
    exact = z.double()
    near = z.to(device)
    far = y.to(device)
    assert uniformity(near) == pytest.approx(uniformity(exact), abs=1e-6)
    assert tolerance(near, far) == pytest.approx(tolerance(exact, y), abs=1e-9)
    assert alignment(near, near.flip(0)) == pytest.approx(alignment(exact, exact.flip(0)), abs=1e-6)
    for got, want in zip(
        neighbour_profile(near[:50], near, far[:50]),
        neighbour_profile(exact[:50], exact, y[:50]),
        strict=True,
    ):
        torch.testing.assert_close(got.cpu().double(), want, atol=1e-6, rtol=0)
    got = knn_accuracy(near, far, near[:500], far[:500])
    assert got == pytest.approx(knn_accuracy(exact, y, exact[:500], y[:500]), abs=0.005)
    got = linear_probe(near, far, near[:500], far[:500])
    assert got == pytest.approx(linear_probe(exact, y, exact[:500], y[:500]), abs=0.005)


def test_the_papers_probe_refuses_features_that_are_too_large():
    x = torch.rand(20, 4) * 1e30
    labels = torch.arange(20) % 2
    with pytest.raises(ValueError, match="give features on a scale of about 1"):
        metrics.linear_probe(x, labels, x, labels, protocol="paper")


def test_neighbours_take_one_temperature():
    z = F.normalize(torch.randn(8, 3), dim=1)
    labels = torch.arange(8) % 2
    with pytest.raises(TypeError, match="give a number above 0"):
        metrics.knn_accuracy(z, labels, z, labels, k=3, tau=torch.tensor([0.1, 0.2, 0.3]))


def test_whole_numbers_may_be_numpys():
    assert uniformity_ceiling(np.int64(128)) == uniformity_ceiling(128)
    _, top = neighbour_profile(UNIT, UNIT, LABELS, k=np.int64(2))
    assert top.shape == (len(UNIT), 2)
