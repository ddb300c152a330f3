"""Exercises about uniformity and tolerance."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from contrastlib.teaching import grading


def check_diagonal(answer: Callable) -> bool:
    """Uniformity without the diagonal: answer(z, t), minus the logarithm of the mean repulsion of
    different points.
    """
    z = F.normalize(
        torch.randn(7, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64), dim=1
    )

    def even(z, t, own=0, pairs=42, power=2):
        return -torch.log(((-t * torch.cdist(z, z) ** power).exp().sum() - 7 + own) / pairs)

    return grading.grade(
        answer,
        [(z, 2.0), (z, 0.5)],
        even,
        {
            "the diagonal is in your mean: does a point repel itself?": lambda z, t: even(
                z, t, 7, 49
            ),
            "the diagonal is still in your count, though not in your sum.": lambda z, t: even(
                z, t, pairs=49
            ),
            "the sign: larger should mean more even.": lambda z, t: -even(z, t),
            "the distances want a square.": lambda z, t: even(z, t, power=1),
            "a constant is missing: a squared distance is 2 - 2 u.v.": lambda z, t: (
                even(z, t) - 2 * t
            ),
        },
        "minus the logarithm of a mean of exp(-t |u - v|^2), over the N (N - 1) pairs of "
        "different points.",
        "any number of points in a few rows of memory, and no point counted as its own neighbour.",
    )


def check_class_sums(answer: Callable) -> bool:
    """Tolerance without pairs: answer(z, labels), the mean similarity of two different points of
    one class.
    """
    z = F.normalize(
        torch.randn(9, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64), dim=1
    )
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2])

    def of(rule):  # rule(squared lengths of the class sums, sizes of the classes)
        return lambda z, labels: rule(
            (F.one_hot(labels).T.double() @ z).square().sum(dim=1), labels.bincount()
        )

    return grading.grade(
        answer,
        [(z, labels), (z, labels.flip(0))],
        of(lambda squares, sizes: (squares - sizes).sum() / (sizes * (sizes - 1)).sum()),
        {
            "each point's similarity to itself is in your mean.": of(
                lambda squares, sizes: squares.sum() / (sizes * sizes).sum()
            ),
            "each point itself is still in your count.": of(
                lambda squares, sizes: (squares - sizes).sum() / (sizes * sizes).sum()
            ),
            "a mean over classes lets small ones weigh more.": of(
                lambda squares, sizes: ((squares - sizes) / (sizes * sizes - sizes)).mean()
            ),
            "this is Eq. 11 as printed: of which pairs is the mean?": of(
                lambda squares, sizes: (squares - sizes).sum() / 72
            ),
        },
        "a class's squared sum holds every pair of it twice, and every point with itself.",
        "a sum for each class replaces all pairs.",
    )
