"""Marking an answer: right or not yet, with the hint that belongs to the mistake."""

from collections.abc import Callable, Sequence

import torch


def judge(
    answer: Callable,
    cases: Sequence[tuple],
    right: Callable,
    wrong: dict[str, Callable],
    otherwise: str | Sequence[str],
    shown: str,
    *,
    seen: Callable = lambda value, *case: value,
    rtol: float = 1e-6,
) -> bool:
    """Compare answer(*case) with right(*case) on all cases, print the one line, and return the verdict.

    wrong maps a hint to what its mistake gives; otherwise is the hint where none fits, or one for each case, of which
    the first that fails is taken. seen turns what was returned into what right and wrong are compared with.
    """

    def say(line: str) -> bool:
        print(line)
        return line.startswith("Right")

    if not callable(answer):
        return say(f"Not yet: this is a {type(answer).__name__}; give the function itself, its name without brackets.")
    got, meant = [], [torch.as_tensor(right(*case), dtype=torch.float64) for case in cases]
    for case, expected in zip(cases, meant, strict=True):
        try:  # clones, as an answer may change what it is given
            value = answer(*(a.clone() if isinstance(a, torch.Tensor) else a for a in case))
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            return say(f"Not yet: your function stopped with {why}")
        if value is None:
            return say("Not yet: there is no answer, only None: is a `return` missing?")
        try:
            value = torch.as_tensor(value, dtype=torch.float64, device="cpu").detach()
            shape = list(value.shape)
        except Exception:  # what is returned may be anything
            return say(f"Not yet: this {type(value).__name__} cannot be read as numbers; return a number or a tensor.")
        if shape != list(expected.shape):
            wanted = f"{list(expected.shape)}, one number for each anchor" if expected.dim() else "one number"
            return say(f"Not yet: the shape is {shape}; give {wanted}.")
        if not value.isfinite().all():
            return say("Not yet: there are NaN or infinite values: does something overflow, or a logarithm meet 0?")
        got.append(seen(value, *case))

    def agree(values: list) -> list[bool]:
        values = [torch.as_tensor(value, dtype=torch.float64) for value in values]
        return [torch.allclose(g, v, rtol=rtol, atol=1e-9) for g, v in zip(got, values, strict=True)]

    fits = agree(meant)
    if all(fits):
        return say(f"Right: {shown}")
    for hint, mistake in wrong.items():
        if all(agree([mistake(*case) for case in cases])):
            return say(f"Not yet: {hint}")
    return say(f"Not yet: {otherwise if isinstance(otherwise, str) else otherwise[fits.index(False)]}")
