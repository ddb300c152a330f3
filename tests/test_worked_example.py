"""The example that runs through chapters 1 to 7, by hand: a positive at 0.8, negatives at 0.6 and
0, at the temperatures 0.2 and 1. A test for each chapter, named after it.

What is printed in the book is computed here with plain numbers, compared with the library, and
rounded as the book rounds it.
"""

from math import exp, log

import pytest
import torch

from contrastlib import losses

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
