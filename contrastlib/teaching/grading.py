"""Grade an answer: right or not yet, with the hint that belongs to the mistake."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class NotYet(Exception):
    """The answer cannot be compared with the right one; the message says why."""


def _unchanged(value: Tensor, *case) -> Tensor:
    return value


def grade(
    answer: Callable,
    cases: Sequence[tuple],
    right: Callable,
    mistakes: dict[str, Callable],
    fallback_hint: str | Sequence[str],
    takeaway: str,
    *,
    transform: Callable = _unchanged,
    rtol: float = 1e-6,
) -> bool:
    """Compare `answer(*case)` with `right(*case)` on all cases, print one line, and return the
    verdict.

    answer: the student's function. right: the right function. Both return a number or a tensor, of
    the same shape. mistakes: from a hint to the function that makes its mistake. fallback_hint: the
    hint where none of these fits, or one for each case, of which that of the first case that fails
    is taken. takeaway: what a right answer has shown. transform: called as `transform(value,
    *case)` on what the student's function returned, before the comparison. rtol: the relative
    tolerance of the comparison.
    """
    expected = [torch.as_tensor(right(*case), dtype=torch.float64) for case in cases]
    try:
        values = [_call(answer, case, wanted) for case, wanted in zip(cases, expected, strict=True)]
    except NotYet as problem:
        print(f"Not yet: {problem}")
        return False
    values = [transform(value, *case) for value, case in zip(values, cases, strict=True)]

    agrees = _agreements(values, expected, rtol)
    if all(agrees):
        print(f"Right: {takeaway}")
        return True
    for hint, mistake in mistakes.items():
        if all(_agreements(values, [mistake(*case) for case in cases], rtol)):
            print(f"Not yet: {hint}")
            return False
    if not isinstance(fallback_hint, str):
        fallback_hint = fallback_hint[agrees.index(False)]
    print(f"Not yet: {fallback_hint}")
    return False


def _call(answer: Callable, case: tuple, expected: Tensor) -> Tensor:
    """Return the student's value as a tensor of the expected shape; NotYet where there is none."""
    if not callable(answer):
        raise NotYet(
            f"this is a {type(answer).__name__}; give the function itself, its name without "
            "brackets."
        )
    copies = [part.clone() if isinstance(part, Tensor) else part for part in case]
    try:
        value = answer(*copies)  # copies, because an answer may change what it is given
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise NotYet(f"your function stopped with {reason}") from error
    if value is None:
        raise NotYet("there is no answer, only None: is a `return` missing?")
    try:
        value_as_tensor = torch.as_tensor(value, dtype=torch.float64, device="cpu").detach()
        shape = list(value_as_tensor.shape)
    except Exception as error:  # what is returned may be anything
        raise NotYet(
            f"this {type(value).__name__} cannot be read as numbers; return a number or a tensor."
        ) from error
    if shape != list(expected.shape):
        wanted = "one number"
        if expected.dim() > 0:
            wanted = f"{list(expected.shape)}, one number for each anchor"
        raise NotYet(f"the shape is {shape}; give {wanted}.")
    if not value_as_tensor.isfinite().all():
        raise NotYet(
            "there are NaN or infinite values: does something overflow, or a logarithm meet 0?"
        )
    return value_as_tensor


def _agreements(values: list[Tensor], others: list, rtol: float) -> list[bool]:
    """Whether the values agree with the others, case by case."""
    agreements = []
    for value, other in zip(values, others, strict=True):
        other = torch.as_tensor(other, dtype=torch.float64)
        agreements.append(torch.allclose(value, other, rtol=rtol, atol=1e-9))
    return agreements
