"""Exercises about what the temperature does."""

import math
from collections.abc import Callable

import torch

from contrastlib.gradients import effective_negatives, entropy
from contrastlib.losses import simple_limit
from contrastlib.teaching import grading


def check_takes_all(answer: Callable) -> bool:
    """When does one take all? answer(M, delta, p), the highest tau that is sure to give the nearest
    a share p.
    """

    def log_odds(M, p):
        return math.log((M - 1) * p / (1 - p))

    return grading.grade(
        answer,
        [(2, 0.1, 0.9), (100, 0.05, 0.6), (1000, 0.3, 0.99)],
        lambda M, delta, p: delta / log_odds(M, p),
        {
            "you count M others. Is the nearest its own rival?": lambda M, delta, p: (
                delta / log_odds(M + 1, p)
            ),
            "right for M = 2 alone: all others may be as near as the second.": lambda M, delta, p: (
                delta / log_odds(2, p)
            ),
            "this is 1/tau.": lambda M, delta, p: log_odds(M, p) / delta,
            "the nearest has the share p, not 1 - p.": lambda M, delta, p: (
                delta / log_odds(M, 1 - p)
            ),
            "the lead is missing: what if delta doubles?": lambda M, delta, p: 1 / log_odds(M, p),
            "base 2: which base has the exponential?": lambda M, delta, p: (
                delta * math.log(2) / log_odds(M, p)
            ),
        },
        "make it hard for the nearest: put all M - 1 others at distance delta. What is its share?",
        "the lead counts in full, the number of rivals by its logarithm alone.",
    )


def check_rule_of_thumb(answer: Callable) -> bool:
    """A rule of thumb: answer(s_neg, tau) -> [B], the effective negatives if similarities were
    normal.
    """
    s_neg = torch.randn(3, 2000, generator=torch.Generator().manual_seed(3)) * torch.tensor(
        [[0.05], [0.1], [0.15]]
    )
    s_neg = s_neg.double()

    def rule(s_neg, tau, factor=1.0):
        return s_neg.shape[1] * torch.exp(-factor * s_neg.var(dim=1) / (2 * tau**2))

    return grading.grade(
        answer,
        [(s_neg, 0.1), (s_neg, 0.3)],
        rule,
        {
            "sigma stands where its square belongs.": lambda s_neg, tau: rule(
                s_neg, tau, 1 / s_neg.std(dim=1)
            ),
            "tau stands where its square belongs.": lambda s_neg, tau: rule(s_neg, tau, tau),
            "half the exponent is enough.": lambda s_neg, tau: rule(s_neg, tau, 2.0),
            "the sign: can more than M negatives share the push?": lambda s_neg, tau: rule(
                s_neg, tau, -1.0
            ),
            "this is a share of the negatives, not their number.": lambda s_neg, tau: (
                rule(s_neg, tau) / s_neg.shape[1]
            ),
            "this is an entropy, not yet a number of negatives.": lambda s_neg, tau: rule(
                s_neg, tau
            ).log(),
            "one spread for all; each anchor has its own.": lambda s_neg, tau: rule(
                s_neg, tau, s_neg.var() / s_neg.var(dim=1)
            ),
        },
        "sigma is the standard deviation of each anchor's own negatives.",
        "where similarities are near normal, their spread beside tau is all that counts.",
        rtol=2e-3,  # so that either estimate of the variance will do
    )


def check_second_term(answer: Callable) -> bool:
    """One term more: answer(s_pos, s_neg, tau) -> [B], the right side of Eq. 7 with the variance
    added.
    """
    s_pos, *s_neg = (
        2 * torch.rand(7, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 1
    )
    s_neg = torch.stack(s_neg, dim=1)

    def term(s_pos, s_neg, tau, unbiased=False):
        return torch.cat([s_pos[:, None], s_neg], dim=1).var(dim=1, unbiased=unbiased) / (
            2 * tau**2
        )

    return grading.grade(
        answer,
        [(s_pos, s_neg, 0.5), (s_pos, s_neg, 3.0)],
        lambda s_pos, s_neg, tau: simple_limit(s_pos, s_neg, tau) + term(s_pos, s_neg, tau),
        {
            "you divide by N - 1, as for a sample; here each of the N keys counts 1/N.": (
                lambda s_pos, s_neg, tau: (
                    simple_limit(s_pos, s_neg, tau) + term(s_pos, s_neg, tau, True)
                )
            ),
            "the positive is missing from the variance.": (
                lambda s_pos, s_neg, tau: (
                    simple_limit(s_pos, s_neg, tau)
                    + s_neg.var(dim=1, unbiased=False) / (2 * tau**2)
                )
            ),
            "the new term is twice too large.": lambda s_pos, s_neg, tau: (
                simple_limit(s_pos, s_neg, tau) + 2 * term(s_pos, s_neg, tau)
            ),
            "tau stands where its square belongs.": lambda s_pos, s_neg, tau: (
                simple_limit(s_pos, s_neg, tau) + tau * term(s_pos, s_neg, tau)
            ),
            "the sign: does Eq. 7 lie above the loss or below?": lambda s_pos, s_neg, tau: (
                simple_limit(s_pos, s_neg, tau) - term(s_pos, s_neg, tau)
            ),
            "log N is missing.": lambda s_pos, s_neg, tau: (
                simple_limit(s_pos, s_neg, tau) + term(s_pos, s_neg, tau) - math.log(7)
            ),
            "this is the new term alone.": term,
            "this is Eq. 7 without the new term.": simple_limit,
        },
        "N counts the positive, in the mean, in the variance and in the constant.",
        "mean and spread of all keys, and the loss at large tau is known to within 1 / tau cubed.",
    )


def check_duel(answer: Callable) -> bool:
    """Threshold and temperature at the same effective number: answer(s_neg, k) -> [B].

    That is the tau with k effective negatives for each anchor.
    """
    s_neg = (
        torch.rand(4, 60, generator=torch.Generator().manual_seed(5)).double()
        * torch.arange(1, 5)[:, None]
        / 2
    )
    return grading.grade(
        answer,
        [(s_neg, 8), (s_neg, 15)],
        lambda s_neg, k: torch.full((4,), float(k)),
        {
            "at your tau all push alike: does the search end at its upper end?": lambda s_neg, k: (
                torch.full((4,), 60.0)
            ),
            "at your tau one takes all: does the search end at its lower end?": lambda s_neg, k: (
                torch.ones(4)
            ),
            "your entropy is log2 k: it is in nats.": lambda s_neg, k: torch.full(
                (4,), k ** (1 / math.log(2))
            ),
        },
        "at your tau the effective negatives are not k. Each anchor needs its own tau, in a "
        "wide enough bracket.",
        "for every anchor one tau, and only one, because the entropy rises strictly.",
        transform=lambda tau, s_neg, k: effective_negatives(
            torch.softmax(s_neg / tau[:, None].clamp(min=1e-9), dim=1)
        ),
        rtol=1e-2,
    )


def check_individual(answer: Callable) -> bool:
    """Equal numbers for all: answer(s_neg, c) -> [B], the tau with H(r) = log M - c."""
    s_neg = (
        torch.rand(4, 60, generator=torch.Generator().manual_seed(6)).double()
        * torch.arange(1, 5)[:, None]
        / 2
    )
    return grading.grade(
        answer,
        [(s_neg, 0.3), (s_neg, 0.9)],
        lambda s_neg, c: torch.full((4,), c),
        {
            "c is no share: what share of M has this entropy?": lambda s_neg, c: torch.full(
                (4,), -math.log(c)
            ),
            "1 - c is the share to first order only.": lambda s_neg, c: torch.full(
                (4,), -math.log(1 - c)
            ),
            "the entropy itself is c now.": lambda s_neg, c: torch.full((4,), math.log(60) - c),
            "a power of 2: entropies are in nats.": lambda s_neg, c: torch.full(
                (4,), c * math.log(2)
            ),
        },
        "at your tau the entropy is not log M - c. Each anchor needs a tau of its own.",
        "a Lagrange multiplier for the entropy is a temperature, and each anchor gets its own.",
        transform=lambda tau, s_neg, c: (
            math.log(60) - entropy(torch.softmax(s_neg / tau[:, None].clamp(min=1e-9), dim=1))
        ),
        rtol=1e-3,
    )
