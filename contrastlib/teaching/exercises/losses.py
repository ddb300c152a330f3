"""Exercises about the loss and its gradient."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from contrastlib.gradients import similarity_gradients
from contrastlib.losses import contrastive
from contrastlib.teaching import grading


def check_gap(answer: Callable) -> bool:
    """The gap that it takes: answer(M, tau), the gap at which the right image has probability one
    half.
    """
    return grading.grade(
        answer,
        [(3, 1.0), (10, 0.2), (4095, 0.07)],
        lambda M, tau: tau * math.log(M),
        {
            "the temperature is missing: in what unit does the loss count gaps?": lambda M, tau: (
                math.log(M)
            ),
            "tau stands on the wrong side: a large one makes gaps look small.": lambda M, tau: (
                math.log(M) / tau
            ),
            "you count M + 1 rivals. Is the positive its own rival?": lambda M, tau: (
                tau * math.log(M + 1)
            ),
            "you count M - 1 rivals, but M is the negatives alone.": lambda M, tau: (
                tau * math.log(M - 1)
            ),
            "the sign: must the positive be above the negatives?": lambda M, tau: (
                -tau * math.log(M)
            ),
            "a logarithm to base 2: which base has the loss?": lambda M, tau: tau * math.log2(M),
        },
        "put M equal negatives into the loss as a difference. What is the loss at probability "
        "one half?",
        "a thousand times as many negatives ask for only log 1000, about seven, temperatures more.",
    )


def check_break(answer: Callable) -> bool:
    """Break the exchange: answer(f, keys, pi, tau), the mean loss when f is shuffled by pi, and
    keys is not.
    """
    f, keys = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pi = torch.tensor([1, 2, 3, 0, 5, 4])
    label = torch.arange(6)

    def mean_loss(f, keys, tau):
        return F.cross_entropy(f @ keys.T / tau, label)

    def no_positive(f, keys, pi, tau):
        s = f[pi] @ keys.T / tau
        return (
            s.masked_fill(torch.eye(6).bool(), -math.inf).logsumexp(dim=1) - s.diagonal()
        ).mean()

    return grading.grade(
        answer,
        [(f, keys, pi, 0.5), (f, keys, pi, 2.0)],
        lambda f, keys, pi, tau: mean_loss(f[pi], keys, tau),
        {
            "this is the loss from before: key i and label i stay.": lambda f, keys, pi, tau: (
                mean_loss(f, keys, tau)
            ),
            "you have shuffled the keys in place of f.": lambda f, keys, pi, tau: mean_loss(
                f, keys[pi], tau
            ),
            "the positive is missing from the denominator: it is one of N classes.": no_positive,
            "the temperature is missing from the scores.": lambda f, keys, pi, tau: mean_loss(
                f[pi], keys, 1.0
            ),
            "tau is not passed on: mean_loss then takes 0.2.": lambda f, keys, pi, tau: mean_loss(
                f[pi], keys, 0.2
            ),
            "tau belongs inside, before the exponential.": lambda f, keys, pi, tau: (
                mean_loss(f[pi], keys, 1.0) / tau
            ),
            "this is the sum over the anchors; the mean is wanted.": lambda f, keys, pi, tau: (
                6 * mean_loss(f[pi], keys, tau)
            ),
            "two softmaxes: cross_entropy takes scores and makes its own.": (
                lambda f, keys, pi, tau: F.cross_entropy(
                    (f[pi] @ keys.T / tau).softmax(dim=1), label
                )
            ),
            "base 2: losses are in nats.": lambda f, keys, pi, tau: (
                mean_loss(f[pi], keys, tau) / math.log(2)
            ),
        },
        "row i of the scores is f[pi[i]] with every key, and its right class is i.",
        "with its partner gone an anchor's loss is another. Which views belong together is all "
        "that the loss knows.",
    )


def check_differences(answer: Callable) -> bool:
    """A second witness: answer(loss, s_pos, tau) -> [B], the slope of loss at s_pos by central
    differences.
    """
    s_pos, *s_neg = torch.rand(
        7, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    s_neg = torch.stack(s_neg, dim=1)
    # First a parabola, where central differences are exact. Then the loss, on similarities about
    # tau apart.
    cases = [(lambda s: s**2, s_pos, 1.0)]
    for tau, c in ((1.0, 1.0), (1e-2, 1e-2), (1e-4, 1e-4), (1e3, 1.0)):
        cases.append((lambda s, tau=tau, c=c: contrastive(s, c * s_neg, tau), c * s_pos, tau))

    def slope(loss, s, tau):
        """The slope; of the loss times tau, which makes it about one at every temperature."""
        if loss is cases[0][0]:
            return 2 * s
        return tau * similarity_gradients(s, min(tau, 1) * s_neg, tau)[0]

    return grading.grade(
        answer,
        cases,
        slope,
        {
            "this is twice the slope: how far apart are your two points?": lambda *case: (
                2 * slope(*case)
            ),
            "the sign: which value is taken from which?": lambda *case: -slope(*case),
        },
        (
            "a parabola's slope must come out exactly: do your two points lie evenly about s_pos?",
            "right on a parabola, wrong on the loss at tau = 1: is the step small enough?",
            "right at tau = 1, wrong at tau = 0.01: what is a small step there?",
            "right at tau = 0.01, wrong at tau = 0.0001: what is a small step there?",
            "right at small tau, lost in rounding at tau = 1000: how little does the loss "
            "change in your step there?",
        ),
        "one rule for the step serves seven powers of ten of the temperature, and Eq. 4 has "
        "its second witness.",
        transform=lambda value, loss, s, tau: tau * value,
    )


def check_hardest_angle(answer: Callable) -> bool:
    """The hardest angle: answer(tau), the cosine c at which a negative's push along the circle is
    greatest.
    """

    def cosine(tau):
        return (math.sqrt(tau**2 + 4) - tau) / 2

    return grading.grade(
        answer,
        [(0.05,), (0.3,), (2.0,)],
        cosine,
        {
            "this is a root of the equation, but no cosine.": lambda tau: (
                -(math.sqrt(tau**2 + 4) + tau) / 2
            ),
            "this is the angle; its cosine is asked.": lambda tau: math.acos(cosine(tau)),
            "you have 1/tau for tau.": lambda tau: cosine(1 / tau),
            "the whole push is greatest there, but how much lies along the circle?": lambda tau: (
                1.0
            ),
            "what lies along the circle goes with a sine, not its square.": lambda tau: (
                math.sqrt(tau**2 + 1) - tau
            ),
        },
        "take the logarithm of the push along the circle, a sum of two terms. Where is its "
        "derivative in c zero?",
        "the nearest negatives push hard and in vain; the temperature decides how near is too "
        "near.",
        rtol=1e-3,  # so that a search on a grid will do
    )
