"""Exercises about training and evaluation."""

from collections.abc import Callable

import torch

from contrastlib.teaching import grading


def check_queue(answer: Callable) -> bool:
    """Which queue will fail? answer(t, size, B) -> [B], the rows of the queue that batch t, counted
    from 0, takes.
    """
    return grading.grade(
        answer,
        [(0, 10, 4), (2, 10, 4), (7, 10, 4)],
        lambda t, size, B: (t * B + torch.arange(B)) % size,
        {
            "you run off the end: after the last row comes row 0.": lambda t, size, B: (
                t * B + torch.arange(B)
            ),
            "batch t does not begin at row t: how many came before?": lambda t, size, B: (
                (t + torch.arange(B)) % size
            ),
            "the first batch has number 0.": lambda t, size, B: (
                ((t + 1) * B + torch.arange(B)) % size
            ),
            "a batch may lie across the end.": lambda t, size, B: (
                t % (size // B) * B + torch.arange(B)
            ),
        },
        "each batch follows the one before, and goes on at row 0 where the queue ends.",
        "a key lives for size / B steps. Whether that is too long, the speed of its maker decides.",
    )


def check_vote(answer: Callable) -> bool:
    """Image by image: answer(s, labels, k) -> [B], the class that most of the k most similar images
    have.
    """
    rng = torch.Generator().manual_seed(149)  # no vote is a tie
    s = torch.rand(4, 60, generator=rng).double()
    labels = torch.randint(4, 9, (60,), generator=rng)
    return grading.grade(
        answer,
        [(s, labels, 5), (s, labels, 15)],
        lambda s, labels, k: labels[s.topk(k).indices].mode().values,
        {
            "this is the class of the nearest alone.": lambda s, labels, k: labels[s.argmax(dim=1)],
            "the farthest have voted: s is no distance.": lambda s, labels, k: (
                labels[(-s).topk(k).indices].mode().values
            ),
            "all have voted, not the k nearest.": lambda s, labels, k: labels.mode().values.expand(
                4
            ),
            "classes are names: count them, take no mean.": lambda s, labels, k: (
                labels[s.topk(k).indices].double().mean(dim=1)
            ),
        },
        "take the labels of each row's k largest similarities, and then the one that is there "
        "most often.",
        "who is right on which image is now known, and two encoders can be compared image by "
        "image.",
    )
