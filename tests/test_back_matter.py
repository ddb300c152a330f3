"""The pages behind the chapters: what they add up, and what they compute, is so."""

import re
from math import cos, exp, log, pi, sqrt
from pathlib import Path

import nbformat
import pytest
import torch
import yaml

from contrastlib import gradients, losses, metrics

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "book"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [Path(entry["file"]).name for entry in TOC["parts"][0]["chapters"]]
GUIDE = (BOOK / "lecturers_guide.md").read_text(encoding="utf-8")
EXERCISE = re.compile(r"^(`{3,})\{exercise\} (\w+)[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
GRADE = re.compile(r"^\*?(★+)(☆*), (\d+) minutes", re.MULTILINE)
KINDS = ("Pencil", "Code", "Project")


def page(name):
    return (BOOK / f"{name}.md").read_text(encoding="utf-8")


def rows(heading):
    """The rows of the table under a heading of the guide, by chapter."""
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| \{doc\}`(\w+)` \| (.+) \|$", section, re.MULTILINE))


def prose(name):
    """The text of a chapter."""
    text = ""
    for cell in nbformat.read(BOOK / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "markdown":
            text += cell.source + "\n"
    return text


def exercises(name):
    """Kind and text of each exercise of a chapter."""
    return [(kind, body) for _, kind, body in EXERCISE.findall(prose(name))]


def test_the_guide_has_the_chapters_in_their_order():
    assert list(rows("What each chapter gives")) == CHAPTERS


def test_a_chapter_needs_only_chapters_before_it():
    for number, (name, row) in enumerate(rows("What each chapter gives").items(), 1):
        needs = re.search(r"\*Needs (.+)\.\* \|", row)[1]
        named = [int(digits) for digits in re.findall(r"\d+", needs)]
        assert all(other < number for other in named), (name, needs)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_guide_adds_up_the_minutes_of_the_exercises(name):
    found = exercises(name)
    graded = [(kind, GRADE.search(body)) for kind, body in found]
    if not any(grade for _, grade in graded):
        pytest.skip(f"the exercises of {name} have no minutes")
    assert all(grade for _, grade in graded), f"an exercise of {name} has no minutes"
    minutes = dict.fromkeys(KINDS, 0)
    for kind, grade in graded:
        assert len(grade[1]) + len(grade[2]) == 3
        minutes[kind] += int(grade[3])
    expected = [*minutes.values(), sum(minutes.values())]
    row = rows("What the exercises take").get(name, "")
    assert row == " | ".join(str(number) for number in expected)


def total_row(heading):
    """The numbers of the last row of the table under a heading."""
    section = GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0]
    row = re.search(r"^\| together \|(.+)\|$", section, re.MULTILINE)[1]
    return [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", row)]


def test_the_guide_adds_up_its_tables():
    minutes = [row.split(" | ")[-1] for row in rows("What each chapter gives").values()]
    assert total_row("What each chapter gives") == [sum(map(int, minutes))]
    columns = zip(
        *(row.split(" | ") for row in rows("What the exercises take").values()), strict=True
    )
    assert total_row("What the exercises take") == [sum(map(int, column)) for column in columns]


def test_the_guide_adds_up_the_points_of_the_examination():
    points = re.findall(r"\*\((\d+) points\)\*", GUIDE)
    assert f"The questions add up to {sum(map(int, points))} points" in GUIDE


def test_every_exercise_has_its_hint_inside():
    """Else students' notebooks have the hint below the answer, above the next exercise."""
    for name in rows("What the exercises take"):
        for _, body in exercises(name):
            assert "{dropdown} Hint" in body, body.split("\n")[0]


def numbers(text):
    """The numbers of a text as they are written, with real minus signs."""
    return re.findall(r"−?\d+(?:\.\d+)?", text)


def as_written(value, written):
    """A value, rounded to as many decimals as a written number has."""
    decimals = len(written.partition(".")[2])
    return f"{value:.{decimals}f}".replace("-", "−")


def answer(number):
    """One answer of the examination."""
    answers = GUIDE.split("{dropdown} Answers in outline\n")[1]
    return re.search(rf"^{number}\. (.*?)(?=^\d+\. |^```)", answers, re.MULTILINE | re.DOTALL)[1]


def example(tau):
    """The worked example as the library has it: similarities, probabilities, shares."""
    s_pos = torch.tensor([0.8], dtype=torch.float64)
    s_neg = torch.tensor([[0.6, 0.0]], dtype=torch.float64)
    p_pos, p_neg = gradients.probabilities(s_pos, s_neg, tau)
    r = gradients.relative_penalty(s_neg, tau)
    return s_pos, s_neg, [*p_pos.tolist(), *p_neg[0].tolist()], r


def contains(text, *values):
    """Each value, rounded as some number of the text is, stands there."""
    for value, digits in values:
        written = f"{value:.{digits}f}".replace("-", "−")
        assert written in text, f"{written} is not in: {text}"


def test_the_examinations_numbers():
    s_pos, s_neg, probabilities, r = example(0.2)
    contains(answer(1), *((p, 3) for p in probabilities))
    contains(answer(1), (losses.contrastive(s_pos, s_neg, 0.2).item(), 3))
    contains(answer(4), (log(128) - 2, 2), (log(128), 2))
    contains(answer(11), *((share, 3) for share in r[0].tolist()))
    entropy = gradients.entropy(r).item()
    contains(answer(11), (entropy, 2), (exp(entropy), 2))
    square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)
    mean = (4 * exp(-4) + 2 * exp(-8)) / 6
    assert metrics.uniformity(square) == pytest.approx(-log(mean))
    contains(answer(13), (mean, 4), (-log(mean), 2))
    ceiling = metrics.uniformity_ceiling(128)
    assert f"The ceiling is {ceiling:.3f}" in GUIDE
    excess = (exp(ceiling) - 1) / 10_000
    contains(answer(15), (excess, 3))
    assert ceiling < 3.941 < ceiling + excess
    at_one = losses.simple_limit(s_pos, s_neg, 1.0).item()
    loss = losses.contrastive(s_pos, s_neg, 1.0).item()
    assert losses.triplet_limit(s_pos, s_neg, 1.0).item() == 0
    contains(answer(16), (log(3), 3), (at_one, 3), (loss, 3), (loss - at_one, 3))
    contains(answer(19), (4095 / 50_000, 4), (4095 / 73_257, 4))
    effects = torch.tensor([1.6, 0.3, 0.3], dtype=torch.float64)
    half = 4.30 * effects.std().item() / sqrt(3)
    contains(answer(21), (effects.mean().item(), 2), (effects.std().item(), 2), (half, 2))
    assert half > effects.mean()


def test_the_formula_sheets_example():
    cells = {}
    for line in page("formula_sheet").splitlines():
        if line.startswith("| ") and "τ" not in line:
            name, *columns = [part.strip() for part in line.strip("|").split("|")]
            cells[name] = [numbers(column) for column in columns]
    for place, tau in enumerate((0.2, 1.0)):
        s_pos, s_neg, probabilities, r = example(tau)
        push = [p / tau for p in probabilities[1:]]
        near = s_neg[:, :1]
        expected = {
            "exponentials": [exp(0.8 / tau), exp(0.6 / tau), 1],
            "probabilities": probabilities,
            "loss": losses.contrastive(s_pos, s_neg, tau).tolist(),
            "pull = pushes": [sum(push), *push],
            "shares": r[0].tolist(),
            "effective negatives": gradients.effective_negatives(r).tolist(),
            "Eq. 6, Eq. 7": [
                losses.triplet_limit(s_pos, s_neg, tau).item(),
                losses.simple_limit(s_pos, s_neg, tau).item(),
            ],
            "hard loss, $k = 1$": losses.contrastive(s_pos, near, tau).tolist(),
        }
        hard = losses.hard_contrastive(s_pos, s_neg, tau, k=1).tolist()
        assert hard == pytest.approx(expected["hard loss, $k = 1$"])
        assert list(expected) == list(cells)
        for name, values in expected.items():
            written = cells[name][place]
            assert len(written) == len(values)
            for text, value in zip(written, values, strict=True):
                assert text == as_written(value, text), name


def test_the_formula_sheet_has_every_equation_of_the_paper():
    found = set()
    for line in re.findall(r"^- Eqs?\. [^:]+:", page("formula_sheet"), re.MULTILINE):
        found |= {int(number) for number in re.findall(r"(?<!\d)\d+", line.split("$")[0])}
    assert found == set(range(1, 12))
    assert f"{metrics.uniformity_ceiling(128):.3f}" in page("formula_sheet")


def test_the_prerequisites_examples():
    text = page("prerequisites")
    exponentials = [exp(4), exp(3), 1.0]
    total = sum(exponentials)
    contains(text, (exponentials[0], 1), (exponentials[1], 1), (total, 1))
    contains(text, *((e / total, 3) for e in exponentials))
    x = torch.tensor(0.0, requires_grad=True)
    torch.log(1 + torch.exp(3 * x)).backward()
    assert x.grad == 1.5
    even = (0.5, 0.5)
    uneven = (0.9, 0.1)
    contains(text, (divergence(even, uneven), 3), (divergence(uneven, even), 3))
    contains(text, (exp(2), 2), ((1 + exp(2)) / 2, 2), (exp(1), 2))
    *_, r = example(0.2)
    contains(text, *((share, 3) for share in r[0].tolist()))
    contains(text, (gradients.entropy(r).item(), 2))
    half = 4.30 / sqrt(3)
    contains(text, (2 + half, 1))
    assert f"$-{half - 2:.1f}$" in text
    velocity = 0.0
    for expected in (1, 1.9, 2.71):
        velocity = 0.9 * velocity + 1
        assert velocity == pytest.approx(expected)
    assert 2 - 2 * cos(pi / 2) == pytest.approx(2)
    first = torch.tensor([3.0, 4.0])
    second = torch.tensor([4.0, 3.0])
    product = int(first @ second)
    lengths = int(first.norm() * second.norm())
    assert f"inner product is {product}" in text
    assert f"product of the lengths is {lengths}" in text.replace("\n", " ")


def divergence(q, p):
    return sum(a * log(a / b) for a, b in zip(q, p, strict=True))
