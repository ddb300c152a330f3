"""Checks for the book's exercises: each calls your function on a few small inputs and prints one line.

`check_gap(gap)` prints "Right: ..." and what has been shown, or "Not yet: ..." and a hint. A hint belongs to a mistake:
the check has computed what that mistake would give, and found it in your answer. Every check returns True or False, and
raises nothing, so it can mark an assignment: `assert check_gap(gap)`. Tensors come as float64; s_pos [B], s_neg [B, M].
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from contrastlib.gradients import effective_negatives, entropy, similarity_gradients
from contrastlib.losses import contrastive, simple_limit
from contrastlib.teaching.grading import judge


def check_gap(answer: Callable) -> bool:
    """The gap that it takes: answer(M, tau), the gap at which the right image has probability one half."""
    return judge(
        answer,
        [(3, 1.0), (10, 0.2), (4095, 0.07)],
        lambda M, tau: tau * math.log(M),
        {
            "the temperature is missing: in what unit does the loss count gaps?": lambda M, tau: math.log(M),
            "tau stands on the wrong side: a large one makes gaps look small.": lambda M, tau: math.log(M) / tau,
            "you count M + 1 rivals. Is the positive its own rival?": lambda M, tau: tau * math.log(M + 1),
            "you count M - 1 rivals, but M is the negatives alone.": lambda M, tau: tau * math.log(M - 1),
            "the sign: must the positive be above the negatives?": lambda M, tau: -tau * math.log(M),
            "a logarithm to base 2: which base has the loss?": lambda M, tau: tau * math.log2(M),
        },
        "put M equal negatives into the loss as a difference. What is the loss at probability one half?",
        "a thousand times as many negatives ask for only log 1000, about seven, temperatures more.",
    )


def check_break(answer: Callable) -> bool:
    """Break the exchange: answer(f, keys, pi, tau), the mean loss when f is shuffled by pi, and keys is not."""
    f, keys = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pi, label = torch.tensor([1, 2, 3, 0, 5, 4]), torch.arange(6)

    def mean_loss(f, keys, tau):
        return F.cross_entropy(f @ keys.T / tau, label)

    def no_positive(f, keys, pi, tau):
        s = f[pi] @ keys.T / tau
        return (s.masked_fill(torch.eye(6).bool(), -math.inf).logsumexp(dim=1) - s.diagonal()).mean()

    return judge(
        answer,
        [(f, keys, pi, 0.5), (f, keys, pi, 2.0)],
        lambda f, keys, pi, tau: mean_loss(f[pi], keys, tau),
        {
            "this is the loss from before: key i and label i stay.": lambda f, k, pi, t: mean_loss(f, k, t),
            "you have shuffled the keys in place of f.": lambda f, k, pi, t: mean_loss(f, k[pi], t),
            "the positive is missing from the denominator: it is one of the N classes.": no_positive,
            "the temperature is missing from the scores.": lambda f, k, pi, t: mean_loss(f[pi], k, 1.0),
            "tau belongs inside, before the exponential.": lambda f, k, pi, t: mean_loss(f[pi], k, 1.0) / t,
            "this is the sum over the anchors; the mean is wanted.": lambda f, k, pi, t: 6 * mean_loss(f[pi], k, t),
            "two softmaxes: cross_entropy takes scores and makes its own.": (
                lambda f, k, pi, t: F.cross_entropy((f[pi] @ k.T / t).softmax(dim=1), label)
            ),
            "base 2: losses are in nats.": lambda f, k, pi, t: mean_loss(f[pi], k, t) / math.log(2),
        },
        "row i of the scores is f[pi[i]] with every key, and its right class is i.",
        "with its partner gone an anchor's loss is another. Which views belong together is all that the loss knows.",
    )


def check_differences(answer: Callable) -> bool:
    """A second witness: answer(loss, s_pos, tau) -> [B], the slope of loss at s_pos by central differences."""
    s_pos, *s_neg = torch.rand(7, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    s_neg = torch.stack(s_neg, dim=1)
    # First a parabola, where central differences are exact. Then the loss, on similarities about tau apart.
    cases = [(lambda s: s**2, s_pos, 1.0)]
    for tau, c in ((1.0, 1.0), (1e-2, 1e-2), (1e-4, 1e-4), (1e3, 1.0)):
        cases.append((lambda s, tau=tau, c=c: contrastive(s, c * s_neg, tau), c * s_pos, tau))

    def slope(loss, s, tau):  # times tau, which makes it about one at every temperature
        return 2 * s if loss is cases[0][0] else tau * similarity_gradients(s, min(tau, 1) * s_neg, tau)[0]

    return judge(
        answer,
        cases,
        slope,
        {
            "this is twice the slope: how far apart are your two points?": lambda *case: 2 * slope(*case),
            "the sign: which value is taken from which?": lambda *case: -slope(*case),
        },
        (
            "a parabola's slope must come out exactly: do your two points lie evenly about s_pos?",
            "right on a parabola, wrong on the loss at tau = 1: is the step small enough?",
            "right at tau = 1, wrong at tau = 0.01: what is a small step there?",
            "right at tau = 0.01, wrong at tau = 0.0001: what is a small step there?",
            "right at small tau, lost in rounding at tau = 1000: how little does the loss change in your step there?",
        ),
        "one rule for the step serves seven powers of ten of the temperature, and Eq. 4 has its second witness.",
        seen=lambda value, loss, s, tau: tau * value,
    )


def check_hardest_angle(answer: Callable) -> bool:
    """The hardest angle: answer(tau), the cosine c at which a negative's push along the circle is greatest."""

    def cosine(tau):
        return (math.sqrt(tau**2 + 4) - tau) / 2

    return judge(
        answer,
        [(0.05,), (0.3,), (2.0,)],
        cosine,
        {
            "this is a root of the equation, but no cosine.": lambda tau: -(math.sqrt(tau**2 + 4) + tau) / 2,
            "this is the angle; its cosine is asked.": lambda tau: math.acos(cosine(tau)),
            "you have 1/tau for tau.": lambda tau: cosine(1 / tau),
            "there the whole push is greatest, but how much of it lies along the circle?": lambda tau: 1.0,
            "what lies along the circle goes with a sine, not its square.": lambda tau: math.sqrt(tau**2 + 1) - tau,
        },
        "take the logarithm of the push along the circle, a sum of two terms. Where is its derivative in c zero?",
        "the nearest negatives push hard and in vain; the temperature decides how near is too near.",
        rtol=1e-3,  # so that a search on a grid will do
    )


def check_takes_all(answer: Callable) -> bool:
    """When does one take all? answer(M, delta, p), the highest tau that is sure to give the nearest a share p."""

    def log_odds(M, p):
        return math.log((M - 1) * p / (1 - p))

    return judge(
        answer,
        [(2, 0.1, 0.9), (100, 0.05, 0.6), (1000, 0.3, 0.99)],
        lambda M, d, p: d / log_odds(M, p),
        {
            "you count M others. Is the nearest its own rival?": lambda M, d, p: d / log_odds(M + 1, p),
            "right for M = 2 alone: all the others may be as near as the second.": lambda M, d, p: d / log_odds(2, p),
            "this is 1/tau.": lambda M, d, p: log_odds(M, p) / d,
            "the nearest has the share p, not 1 - p.": lambda M, d, p: d / log_odds(M, 1 - p),
            "the lead is missing: what if delta doubles?": lambda M, d, p: 1 / log_odds(M, p),
            "base 2: which base has the exponential?": lambda M, d, p: d * math.log(2) / log_odds(M, p),
        },
        "make it hard for the nearest: put all M - 1 others at distance delta. What is its share?",
        "the lead counts in full, the number of rivals by its logarithm alone.",
    )


def check_rule_of_thumb(answer: Callable) -> bool:
    """A rule of thumb: answer(s_neg, tau) -> [B], the effective negatives if similarities were normal."""
    s_neg = torch.randn(3, 2000, generator=torch.Generator().manual_seed(3)) * torch.tensor([[0.05], [0.1], [0.15]])
    s_neg = s_neg.double()

    def rule(s, tau, factor=1.0):
        return s.shape[1] * torch.exp(-factor * s.var(dim=1) / (2 * tau**2))

    return judge(
        answer,
        [(s_neg, 0.1), (s_neg, 0.3)],
        rule,
        {
            "sigma stands where its square belongs.": lambda s, tau: rule(s, tau, 1 / s.std(dim=1)),
            "tau stands where its square belongs.": lambda s, tau: rule(s, tau, tau),
            "half the exponent is enough.": lambda s, tau: rule(s, tau, 2.0),
            "the sign: can more than M negatives share the push?": lambda s, tau: rule(s, tau, -1.0),
            "this is a share of the negatives, not their number.": lambda s, tau: rule(s, tau) / s.shape[1],
            "this is an entropy, not yet a number of negatives.": lambda s, tau: rule(s, tau).log(),
            "one spread for all; each anchor has its own.": lambda s, tau: rule(s, tau, s.var() / s.var(dim=1)),
        },
        "sigma is the standard deviation of each anchor's own negatives.",
        "where similarities are near normal, their spread beside tau is all that counts.",
        rtol=2e-3,  # so that either estimate of the variance will do
    )


def check_second_term(answer: Callable) -> bool:
    """One term more: answer(s_pos, s_neg, tau) -> [B], the right side of Eq. 7 with the variance added."""
    s_pos, *s_neg = 2 * torch.rand(7, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 1
    s_neg = torch.stack(s_neg, dim=1)

    def term(a, b, tau, unbiased=False):
        return torch.cat([a[:, None], b], dim=1).var(dim=1, unbiased=unbiased) / (2 * tau**2)

    return judge(
        answer,
        [(s_pos, s_neg, 0.5), (s_pos, s_neg, 3.0)],
        lambda a, b, t: simple_limit(a, b, t) + term(a, b, t),
        {
            "you divide by N - 1, as for a sample; here each of the N keys counts 1/N.": (
                lambda a, b, t: simple_limit(a, b, t) + term(a, b, t, True)
            ),
            "the positive is missing from the variance.": (
                lambda a, b, t: simple_limit(a, b, t) + b.var(dim=1, unbiased=False) / (2 * t**2)
            ),
            "the new term is twice too large.": lambda a, b, t: simple_limit(a, b, t) + 2 * term(a, b, t),
            "tau stands where its square belongs.": lambda a, b, t: simple_limit(a, b, t) + t * term(a, b, t),
            "the sign: does Eq. 7 lie above the loss or below?": lambda a, b, t: simple_limit(a, b, t) - term(a, b, t),
            "log N is missing.": lambda a, b, t: simple_limit(a, b, t) + term(a, b, t) - math.log(7),
            "this is the new term alone.": term,
            "this is Eq. 7 without the new term.": simple_limit,
        },
        "N counts the positive, in the mean, in the variance and in the constant.",
        "mean and spread of all keys, and the loss at large tau is known to within 1 / tau cubed.",
    )


def check_duel(answer: Callable) -> bool:
    """A fair duel: answer(s_neg, k) -> [B], the tau at which each anchor has k effective negatives."""
    s_neg = torch.rand(4, 60, generator=torch.Generator().manual_seed(5)).double() * torch.arange(1, 5)[:, None] / 2
    return judge(
        answer,
        [(s_neg, 8), (s_neg, 15)],
        lambda s, k: torch.full((4,), float(k)),
        {
            "at your tau all push alike: does the search end at its upper end?": lambda s, k: torch.full((4,), 60.0),
            "at your tau one takes all: does the search end at its lower end?": lambda s, k: torch.ones(4),
            "your entropy is log2 k: it is in nats.": lambda s, k: torch.full((4,), k ** (1 / math.log(2))),
        },
        "at your tau the effective negatives are not k. Each anchor needs its own tau, in a wide enough bracket.",
        "for every anchor one tau, and only one, because the entropy rises strictly.",
        seen=lambda tau, s, k: effective_negatives(torch.softmax(s / tau[:, None].clamp(min=1e-9), dim=1)),
        rtol=1e-2,
    )


def check_diagonal(answer: Callable) -> bool:
    """Uniformity without the diagonal: answer(z, t), minus the logarithm of the mean repulsion of different points."""
    z = F.normalize(torch.randn(7, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64), dim=1)

    def even(z, t, own=0, pairs=42, power=2):
        return -torch.log(((-t * torch.cdist(z, z) ** power).exp().sum() - 7 + own) / pairs)

    return judge(
        answer,
        [(z, 2.0), (z, 0.5)],
        even,
        {
            "the diagonal is in your mean: does a point repel itself?": lambda z, t: even(z, t, 7, 49),
            "the diagonal is still in your count, though not in your sum.": lambda z, t: even(z, t, pairs=49),
            "the sign: larger should mean more even.": lambda z, t: -even(z, t),
            "the distances want a square.": lambda z, t: even(z, t, power=1),
            "a constant is missing: a squared distance is 2 - 2 u.v.": lambda z, t: even(z, t) - 2 * t,
        },
        "minus the logarithm of a mean of exp(-t |u - v|^2), over the N (N - 1) pairs of different points.",
        "any number of points in a few rows of memory, and no point counted as its own neighbour.",
    )


def check_class_sums(answer: Callable) -> bool:
    """Tolerance without pairs: answer(z, labels), the mean similarity of two different points of one class."""
    z = F.normalize(torch.randn(9, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64), dim=1)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2])

    def of(rule):  # rule(squared lengths of the class sums, sizes of the classes)
        return lambda z, y: rule((F.one_hot(y).T.double() @ z).square().sum(dim=1), y.bincount())

    return judge(
        answer,
        [(z, labels), (z, labels.flip(0))],
        of(lambda q, n: (q - n).sum() / (n * (n - 1)).sum()),
        {
            "each point's similarity to itself is in your mean.": of(lambda q, n: q.sum() / (n * n).sum()),
            "each point itself is still in your count.": of(lambda q, n: (q - n).sum() / (n * n).sum()),
            "a mean over classes lets small ones weigh more.": of(lambda q, n: ((q - n) / (n * n - n)).mean()),
            "this is Eq. 11 as printed: of which pairs is the mean?": of(lambda q, n: (q - n).sum() / 72),
        },
        "a class's squared sum holds every pair of it twice, and every point with itself.",
        "a sum for each class replaces all pairs.",
    )


def check_individual(answer: Callable) -> bool:
    """Equal numbers for all: answer(s_neg, rho) -> [B], each anchor's tau with H(r) = log M - rho."""
    s_neg = torch.rand(4, 60, generator=torch.Generator().manual_seed(6)).double() * torch.arange(1, 5)[:, None] / 2
    return judge(
        answer,
        [(s_neg, 0.3), (s_neg, 0.9)],
        lambda s, rho: torch.full((4,), rho),
        {
            "rho is no share: what share of M has this entropy?": lambda s, rho: torch.full((4,), -math.log(rho)),
            "1 - rho is the share to first order only.": lambda s, rho: torch.full((4,), -math.log(1 - rho)),
            "the entropy itself is rho now.": lambda s, rho: torch.full((4,), math.log(60) - rho),
            "a power of 2: entropies are in nats.": lambda s, rho: torch.full((4,), rho * math.log(2)),
        },
        "at your tau the entropy is not log M - rho. Each anchor needs a tau of its own.",
        "a Lagrange multiplier for the entropy is a temperature, and each anchor gets its own.",
        seen=lambda tau, s, rho: math.log(60) - entropy(torch.softmax(s / tau[:, None].clamp(min=1e-9), dim=1)),
        rtol=1e-3,
    )


def check_queue(answer: Callable) -> bool:
    """Which queue will fail? answer(t, size, B) -> [B], the rows of the queue that batch t, counted from 0, takes."""
    return judge(
        answer,
        [(0, 10, 4), (2, 10, 4), (7, 10, 4)],
        lambda t, size, B: (t * B + torch.arange(B)) % size,
        {
            "you run off the end: after the last row comes row 0.": lambda t, size, B: t * B + torch.arange(B),
            "batch t does not begin at row t: how many came before?": lambda t, size, B: (t + torch.arange(B)) % size,
            "the first batch has number 0.": lambda t, size, B: ((t + 1) * B + torch.arange(B)) % size,
            "a batch may lie across the end.": lambda t, size, B: t % (size // B) * B + torch.arange(B),
        },
        "each batch follows the one before, and goes on at row 0 where the queue ends.",
        "a key lives for size / B steps. Whether that is too long, the speed of its maker decides.",
    )


def check_vote(answer: Callable) -> bool:
    """Image by image: answer(s, labels, k) -> [B], the class that most of the k most similar images have."""
    chance = torch.Generator().manual_seed(149)  # no vote is a tie
    s, labels = torch.rand(4, 60, generator=chance).double(), torch.randint(4, 9, (60,), generator=chance)
    return judge(
        answer,
        [(s, labels, 5), (s, labels, 15)],
        lambda s, y, k: y[s.topk(k).indices].mode().values,
        {
            "this is the class of the nearest alone.": lambda s, y, k: y[s.argmax(dim=1)],
            "the farthest have voted: s is no distance.": lambda s, y, k: y[(-s).topk(k).indices].mode().values,
            "all have voted, not the k nearest.": lambda s, y, k: y.mode().values.expand(4),
            "classes are names: count them, take no mean.": lambda s, y, k: y[s.topk(k).indices].double().mean(dim=1),
        },
        "take the labels of each row's k largest similarities, and then the one that is there most often.",
        "who is right on which image is now known, and two encoders can be compared image by image.",
    )
