"""The checks of the exercises: right answers pass, mistakes get the hint meant for them, rubbish
gets one line.
"""

import ast
import json
import math
import re
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from contrastlib.gradients import effective_negatives, tau_for
from contrastlib.losses import contrastive, simple_limit
from contrastlib.teaching import exercises, grading

ROOT = Path(__file__).parent.parent
CHECKS = {name: getattr(exercises, name) for name in exercises.__all__}
each_check = pytest.mark.parametrize("name", CHECKS)


def bisected(s_neg, target, lowest=1e-3, highest=1e2):
    low = torch.full((len(s_neg), 1), lowest).double()
    high = torch.full((len(s_neg), 1), highest).double()
    for _ in range(60):
        middle = (low * high).sqrt()
        few = (effective_negatives(torch.softmax(s_neg / middle, dim=1)) < target)[:, None]
        low = torch.where(few, middle, low)
        high = torch.where(few, high, middle)
    return middle[:, 0]


def with_variance(unbiased):
    def second(s_pos, s_neg, tau):
        variance = torch.cat([s_pos[:, None], s_neg], dim=1).var(dim=1, unbiased=unbiased)
        return simple_limit(s_pos, s_neg, tau) + variance / (2 * tau**2)

    return second


def central(step):
    return lambda loss, s, tau: (loss(s + step(tau)) - loss(s - step(tau))) / (2 * step(tau))


def one_by_one(f, keys, pi, tau):
    """The mean loss by its definition, with loops."""
    total = 0.0
    for i in range(len(f)):
        e = [math.exp(float(f[pi[i]] @ key) / tau) for key in keys]
        total -= math.log(e[i] / sum(e))
    return total / len(f)


def grid(tau):
    c = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    return c[((c - 1) / tau + 0.5 * torch.log1p(-c * c)).argmax()]


def coldest(M, delta, p):
    """By bisection on the share that the nearest takes when all others sit at delta."""
    low = 1e-6
    high = 1e3
    for _ in range(100):
        tau = (low + high) / 2
        if 1 / (1 + (M - 1) * math.exp(-delta / tau)) > p:
            low = tau
        else:
            high = tau
    return low


def by_std(s_neg, tau):
    return [len(s) * math.exp(-((s.std(unbiased=False).item() / tau) ** 2) / 2) for s in s_neg]


def softmax_twice(f, keys, pi, tau):
    return F.cross_entropy(torch.softmax(f[pi] @ keys.T / tau, dim=1), torch.arange(len(f)))


def mean_loss(f, keys, tau):
    return F.cross_entropy(f @ keys.T / tau, torch.arange(len(f)))


def pair_by_pair(z, t):
    """Uniformity by its definition, with loops."""
    n = len(z)
    repulsion = [
        math.exp(-t * float((z[i] - z[j]).norm()) ** 2)
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    return -math.log(sum(repulsion) / len(repulsion))


def alike(z, labels):
    """Tolerance with a mask of all pairs."""
    return (z @ z.T)[(labels[:, None] == labels).fill_diagonal_(False)].mean()


def auc_by_ranks(same, other):
    """By the ranks of all together (Mann and Whitney), a tie having the mean of its ranks."""
    everything = np.concatenate([same.numpy(), other.numpy()])
    _, inverse, counts = np.unique(everything, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks = mean_rank[inverse][: len(same)]
    return (ranks.mean() - (len(same) + 1) / 2) / len(other)


def svd(z):
    """Singular values by numpy."""
    return np.linalg.svd(z.numpy(), compute_uv=False)


def effective_rank(z, change=lambda values: values, total=sum):
    values = change(svd(z))
    shares = values / total(values)
    return math.exp(-sum(share * math.log(share) for share in shares if share > 0))


def own_share(z, labels, keys, key_labels, k):
    """Image by image, and key by key."""
    shares = []
    for point, label in zip(z, labels, strict=True):
        ranked = sorted(range(len(keys)), key=lambda j: -float(point @ keys[j]))
        own = [key_labels[j] == label for j in ranked[:k]]
        shares.append(sum(own) / k)
    return shares


# For each check a right answer, written unlike the library's, and mistakes with a piece of their
# hints.
ANSWERS = {
    "check_gap": (
        lambda M, tau: tau * math.log1p(M - 1),
        {
            "temperature is missing": lambda M, tau: math.log(M),
            "M \\+ 1 rivals": lambda M, tau: tau * math.log(M + 1),
        },
    ),
    "check_break": (
        one_by_one,
        {
            "loss from before": lambda f, keys, pi, tau: mean_loss(f[pi], keys[pi], tau),
            "temperature is missing": lambda f, keys, pi, tau: mean_loss(f[pi], keys, 1),
            "belongs inside": lambda f, keys, pi, tau: mean_loss(f[pi], keys, 1) / tau,
            "the sum": lambda f, keys, pi, tau: len(f) * mean_loss(f[pi], keys, tau),
            "two softmaxes": softmax_twice,
        },
    ),
    "check_differences": (
        central(lambda tau: 3e-4 * tau),
        {
            "evenly": lambda loss, s, tau: (loss(s + 1e-4 * tau) - loss(s)) / (1e-4 * tau),
            "twice": lambda loss, s, tau: 2 * central(lambda tau: 1e-4 * tau)(loss, s, tau),
            "small enough": central(lambda tau: 0.1),
            "wrong at tau = 0.01": central(lambda tau: 1e-3),
            "wrong at tau = 0.0001": central(lambda tau: 1e-6),
            "rounding at tau = 1000": central(lambda tau: 1e-8 * min(tau, 1) ** 0.5),
        },
    ),
    "check_hardest_angle": (
        grid,
        {
            "its cosine": lambda tau: grid(tau).arccos(),
            "lies along": lambda tau: 1,
            "1/tau for": lambda tau: grid(1 / tau),
        },
    ),
    "check_takes_all": (
        coldest,
        {
            "its own rival": lambda M, delta, p: coldest(M + 1, delta, p),
            "M = 2 alone": lambda M, delta, p: coldest(2, delta, p),
            "base 2": lambda M, delta, p: delta / math.log2((M - 1) * p / (1 - p)),
        },
    ),
    "check_rule_of_thumb": (
        by_std,
        {
            "sigma stands": lambda s, tau: s.shape[1] * torch.exp(-s.std(dim=1) / (2 * tau**2)),
            "one spread": lambda s, tau: (
                s.shape[1] * torch.exp(-s.var() / (2 * tau**2)).expand(len(s))
            ),
        },
    ),
    "check_second_term": (
        with_variance(unbiased=False),
        {
            "divide by N - 1": with_variance(unbiased=True),
            "Eq. 7 without": simple_limit,
            "positive is missing": lambda a, b, t: (
                simple_limit(a, b, t) + b.var(dim=1, correction=0) / (2 * t**2)
            ),
        },
    ),
    "check_duel": (
        bisected,
        {
            "upper end": lambda s_neg, k: torch.full((len(s_neg),), 1e3),
            "lower end": lambda s_neg, k: torch.zeros(len(s_neg)),
            "log2 k": lambda s_neg, k: bisected(s_neg, math.exp(math.log2(k))),
            "its own tau": lambda s_neg, k: bisected(s_neg, k).mean().expand(len(s_neg)),
        },
    ),
    "check_diagonal": (
        pair_by_pair,
        {
            "diagonal is in your mean": lambda z, t: -(2 * t * (z @ z.T - 1)).exp().mean().log(),
            "still in your count": lambda z, t: (
                pair_by_pair(z, t) - math.log((len(z) - 1) / len(z))
            ),
            "want a square": lambda z, t: -(-t * torch.pdist(z)).exp().mean().log(),
            "constant is missing": lambda z, t: pair_by_pair(z, t) - 2 * t,
        },
    ),
    "check_class_sums": (
        alike,
        {
            "similarity to itself": lambda z, labels: (z @ z.T)[labels[:, None] == labels].mean(),
            "mean over classes": lambda z, y: (
                sum(alike(z[y == k], y[y == k]) for k in range(3)) / 3
            ),
            "as printed": lambda z, labels: (
                alike(z, labels) * 20 / 72
            ),  # 20 of the 72 pairs are of one class
        },
    ),
    "check_separation": (
        auc_by_ranks,
        {
            "count it as lost": lambda a, b: (a[:, None] > b).double().mean(),
            "count it as won": lambda a, b: (a[:, None] >= b).double().mean(),
            "other way round": lambda a, b: auc_by_ranks(b, a),
            "number of pairs": lambda a, b: auc_by_ranks(a, b) * len(a) * len(b),
            "minus the share": lambda a, b: (a[:, None] - b).sign().mean(),
            "difference of the two means": lambda a, b: a.mean() - b.mean(),
            "gap over the spread": lambda a, b: (
                (a.mean() - b.mean()) / ((a.var() + b.var()) / 2) ** 0.5
            ),
        },
    ),
    "check_rankme": (
        effective_rank,
        {
            "shares of the squares": lambda z: effective_rank(z, lambda v: v**2),
            "not yet a number": lambda z: math.log(effective_rank(z)),
            "power of 2": lambda z: 2 ** math.log(effective_rank(z)),
            "mean is taken off": lambda z: effective_rank(z - z.mean(dim=0)),
            "divided by the largest": lambda z: effective_rank(z, total=max),
            "1 over the sum": lambda z: svd(z).sum() ** 2 / (svd(z) ** 2).sum(),
        },
    ),
    "check_own_share": (
        own_share,
        {
            "divide it by k": lambda z, y, keys, key_y, k: [
                k * x for x in own_share(z, y, keys, key_y, k)
            ],
            "k farthest": lambda z, y, keys, key_y, k: own_share(z, y, -keys, key_y, k),
            "share of the class": lambda z, y, keys, key_y, k: [
                k * x / (key_y == label).sum().item()
                for x, label in zip(own_share(z, y, keys, key_y, k), y, strict=True)
            ],
            "others' share": lambda z, y, keys, key_y, k: [
                1 - x for x in own_share(z, y, keys, key_y, k)
            ],
            "nearest alone": lambda z, y, keys, key_y, k: own_share(z, y, keys, key_y, 1),
            "all keys are counted": lambda z, y, keys, key_y, k: own_share(
                z, y, keys, key_y, len(keys)
            ),
        },
    ),
    "check_individual": (
        lambda s_neg, c: bisected(s_neg, s_neg.shape[1] * math.exp(-c)),
        {
            "no share": lambda s_neg, c: bisected(s_neg, s_neg.shape[1] * c),
            "power of 2": lambda s_neg, c: bisected(s_neg, s_neg.shape[1] * 2**-c),
        },
    ),
    "check_queue": (
        lambda t, size, B: [n % size for n in range(B * t, B * t + B)],
        {
            "off the end": lambda t, size, B: list(range(B * t, B * t + B)),
            "at row t": lambda t, size, B: [n % size for n in range(t, t + B)],
            "across the end": lambda t, size, B: [t * B % (size - size % B) + n for n in range(B)],
        },
    ),
    "check_vote": (
        lambda s, labels, k: [
            Counter(labels[row.argsort()[-k:]].tolist()).most_common(1)[0][0] for row in s
        ],
        {
            "nearest alone": lambda s, labels, k: labels[s.argmax(dim=1)],
            "no distance": lambda s, labels, k: labels[s.argsort(dim=1)[:, :k]].mode(dim=1).values,
            "no mean": lambda s, labels, k: [
                labels[row.argsort()[-k:]].double().mean().item() for row in s
            ],
        },
    ),
}


def stop(*case):
    raise KeyError("similarity\nof nothing")


RUBBISH = {
    "this is a float; give the function itself": 0.5,
    "this is a NoneType": None,
    "only None: is a `return` missing": lambda *case: None,
    "stopped with KeyError: 'similarity": stop,
    "stopped with TypeError: .*argument": lambda: 1.0,
    "int cannot be read as numbers": lambda *case: 10**400,
    "str cannot be read as numbers": lambda *case: "one half",
    "tuple cannot be read as numbers": lambda *case: (torch.zeros(2), torch.zeros(3)),
    "the shape is \\[2, 2\\]; give ": lambda *case: torch.zeros(2, 2),
}


def one_line(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_every_check_is_tried():
    assert set(ANSWERS) == set(CHECKS)
    assert all(len(wrong) >= 2 for _, wrong in ANSWERS.values())


@each_check
def test_a_right_answer_passes(name, capsys):
    assert CHECKS[name](ANSWERS[name][0]) is True
    assert one_line(capsys).startswith("Right: ")


@pytest.mark.parametrize(
    ("name", "hint"), [(name, hint) for name in ANSWERS for hint in ANSWERS[name][1]]
)
def test_a_mistake_gets_its_hint(name, hint, capsys):
    assert CHECKS[name](ANSWERS[name][1][hint]) is False
    assert re.match(f"Not yet: .*{hint}", one_line(capsys))


@each_check
@pytest.mark.parametrize("line", RUBBISH)
def test_rubbish_gets_one_line(name, line, capsys):
    assert CHECKS[name](RUBBISH[line]) is False
    assert re.match(f"Not yet: .*{line}", one_line(capsys))


@each_check
def test_not_a_number(name, capsys):
    scalars = ("gap", "break", "hardest_angle", "takes_all", "diagonal", "class_sums")
    scalars += ("separation", "rankme")
    size = () if name.removeprefix("check_") in scalars else (4,)
    size = (3,) if name == "check_rule_of_thumb" else size
    assert CHECKS[name](lambda *case: torch.full(size, math.nan)) is False
    assert "NaN or infinite" in one_line(capsys)


@each_check
def test_every_hint_can_be_had(name, capsys, monkeypatch):
    """What a hint is keyed to differs from the right answer and from all other mistakes."""
    given = {}

    def note(*positional, **named):
        given.update(positional=positional, named=named)

    with monkeypatch.context() as patched:
        patched.setattr(grading, "grade", note)
        CHECKS[name](None)
    _, cases, right, mistakes, fallback_hint, takeaway = given["positional"]
    plain = {**given["named"], "transform": lambda value, *case: value}
    assert grading.grade(right, cases, right, mistakes, fallback_hint, takeaway, **plain)
    assert one_line(capsys) == f"Right: {takeaway}"
    for hint, mistake in mistakes.items():
        assert not grading.grade(mistake, cases, right, mistakes, fallback_hint, takeaway, **plain)
        assert one_line(capsys) == f"Not yet: {hint}"
    fallback_hints = [fallback_hint] if isinstance(fallback_hint, str) else list(fallback_hint)
    assert len(fallback_hints) in (1, len(cases))
    for line in (takeaway, *mistakes, *fallback_hints):
        assert line.endswith((".", "?"))


def test_checks_leave_the_random_numbers_alone(capsys):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for name, (right, _) in ANSWERS.items():
        CHECKS[name](right)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_answer_may_be_trained_on_or_change_its_input(capsys):
    def careless(s_pos, s_neg, tau):
        value = with_variance(unbiased=False)(s_pos.clone().requires_grad_(), s_neg, tau)
        s_neg.zero_()
        return value

    assert exercises.check_second_term(careless)


def chapters():
    """Each chapter's exercises (label -> text), and the functions of its code and solutions."""
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        prose = "\n".join(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
        )
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        exercise = re.findall(
            r"^(`{3,})\{exercise\} ([^\n]*)\n:label: (\S+)\n(.*?)^\1$",
            prose,
            re.MULTILINE | re.DOTALL,
        )
        solutions = re.findall(
            r"^(`{3,})\{solution\} [^\n]*\n(.*?)^\1$", prose, re.MULTILINE | re.DOTALL
        )
        for _, body in solutions:
            code += re.findall(r"^```python\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
            code += [
                textwrap.dedent(block)
                for block in re.findall(r"(?:^(?: {4}[^\n]*)?\n)+", body, re.MULTILINE)
            ]
        functions = [
            node
            for source in code
            for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef)
        ]
        yield (
            path.stem,
            prose,
            {label: (title, text) for _, title, label, text in exercise},
            functions,
        )


def test_every_check_belongs_to_one_exercise_and_every_mention_exists():
    mentions = []
    for _, prose, found, _ in chapters():
        inside = []
        for _, text in found.values():
            inside += re.findall(
                r"`from contrastlib.teaching.exercises import (check_\w+)`, then `\1\(\w+\)`", text
            )
        assert set(re.findall(r"\bcheck_\w+", prose)) == set(inside)
        mentions += inside
    assert sorted(mentions) == sorted(CHECKS)


def test_the_books_own_solutions_pass(capsys):
    """Those that are functions; the others are formulas on paper."""
    passed = set()
    for _, prose, _, functions in chapters():
        space = {"torch": torch, "F": F, "math": math, "effective_negatives": effective_negatives}
        space |= {"contrastive": contrastive, "simple_limit": simple_limit, "tau_for": tau_for}
        for function in functions:
            exec(ast.unparse(function), space)
        for check, answer in re.findall(r"`(check_\w+)\((\w+)\)`", prose):
            if answer in space:
                assert CHECKS[check](space[answer]), capsys.readouterr().out
                passed.add(check)
    on_paper = {"check_gap", "check_hardest_angle", "check_takes_all"}
    assert passed == set(CHECKS) - on_paper


def test_the_checks_say_whose_they_are():
    """The first words of a docstring are the exercise's title in the book."""
    titles = {}
    for _, _, found, _ in chapters():
        for title, text in found.values():
            titles |= dict.fromkeys(re.findall(r"`(check_\w+)\(", text), title)
    for name, check in CHECKS.items():
        kind, _, title = titles[name].partition(": ")
        assert kind in ("Pencil", "Code")
        assert check.__doc__.lower().startswith(title.lower().rstrip("?"))
