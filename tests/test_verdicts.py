"""The rule of verdicts: its words, its intervals, and what it says where nothing is to be seen."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contrastlib.reproduction.run_index import label
from contrastlib.reproduction.verdicts import (
    WORDS,
    Estimate,
    Part,
    Spread,
    estimate,
    interval,
    join,
    spread,
    word,
)

FIRST = ("contrastive", 0.2)
SECOND = ("contrastive", 0.07)
DIFFERENCE = Part(
    "C10", "a difference", "probe", {FIRST: 1.0, SECOND: -1.0}, paper=0.02, primary=True
)
ALIKE = Spread(1e-4, 40, 0.5)
UNLIKE = Spread(1e-4, 40, 0.01)


def values(first, second):
    return pd.DataFrame({label(FIRST): first, label(SECOND): second})


def judged(low, high, effect=None, bar=0.5):
    middle = (low + high) / 2 if effect is None else effect
    return word(Estimate(middle, low, high, 3, 0.1, 4, "t"), bar)


def test_five_words():
    assert judged(0.1, 1.1) == "reproduced"
    assert judged(0.1, 0.3) == "smaller than in the paper"
    assert judged(-0.1, 1.9) == "undecided"
    assert judged(-0.3, -0.1) == "opposite here"
    assert word(Estimate(math.nan, math.nan, math.nan, 0, math.nan, 0, "none"), 0.0) == "not run"
    assert len(WORDS) == 5


def test_pooled_interval_by_hand():
    found = estimate(DIFFERENCE, values([0.5, 0.6, 0.7], [0.4, 0.4, 0.4]), ALIKE, None)
    half = stats.t.ppf(0.975, 40) * math.sqrt(1e-4 * (1 / 3 + 1 / 3))
    assert found.effect == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert (found.how, found.freedom, found.seeds) == ("pooled", 40, 3)


def test_where_spreads_differ_the_interval_is_student_s():
    found = estimate(DIFFERENCE, values([0.5, 0.6, 0.7], [0.4, 0.4, 0.4]), UNLIKE, None)
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half))
    assert (found.how, found.freedom) == ("t", 2)


@pytest.mark.parametrize(("pool", "freedom"), [(ALIKE, 40), (UNLIKE, 2)])
def test_one_seed_borrows_its_variance(pool, freedom):
    small = values([0.5, 0.6, 0.7], [0.4, 0.4, 0.4])
    alone = estimate(DIFFERENCE, values([0.6], [0.5]), Spread(math.nan, 0, math.nan), (small, pool))
    error = math.sqrt(2e-4) if pool.alike else 0.1
    half = stats.t.ppf(0.975, freedom) * error
    assert (alone.low, alone.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert (alone.how, alone.seeds) == ("borrowed", 1)


def test_one_seed_with_nothing_to_borrow_is_undecided():
    found = estimate(DIFFERENCE, values([0.6], [0.5]), Spread(math.nan, 0, math.nan), None)
    assert (found.low, found.high, found.how) == (-math.inf, math.inf, "none")
    assert word(found, 0.0) == "undecided"


def test_an_effect_without_an_interval_of_its_own_borrows():
    """One seed of it, although other cells of its recipe have many, and are not alike."""
    small = values([0.5, 0.6, 0.7], [0.4, 0.4, 0.4])
    alone = estimate(DIFFERENCE, values([0.6], [0.5]), UNLIKE, (small, UNLIKE))
    assert alone.how == "borrowed"
    assert alone.freedom == 2
    assert alone.error == pytest.approx(0.1)
    own = estimate(DIFFERENCE, values([0.6, 0.8], [0.5, 0.5]), UNLIKE, (small, UNLIKE))
    assert own.how == "t"
    assert own.freedom == 1


def test_student_s_interval_is_about_the_seeds_that_have_all_cells():
    found = estimate(DIFFERENCE, values([1.0, 1.1, 4.0], [0.0, 0.1, math.nan]), UNLIKE, None)
    assert found.effect == pytest.approx(1.0)
    assert found.seeds == 2
    pooled = estimate(DIFFERENCE, values([1.0, 1.1, 4.0], [0.0, 0.1, math.nan]), ALIKE, None)
    assert pooled.effect == pytest.approx(6.1 / 3 - 0.05)


def test_bartlett_decides_what_is_alike():
    rng = np.random.default_rng(0)
    same = [rng.normal(0, 1, 3) for _ in range(20)]
    other = [rng.normal(0, 10.0**-index, 3) for index in range(20)]
    assert spread(same).alike
    assert spread(same).freedom == 40
    assert spread(same).variance == pytest.approx(
        np.mean([np.var(group, ddof=1) for group in same])
    )
    assert not spread(other).alike
    assert not spread([[1.0], [2.0]]).alike
    assert not spread([[1.0, 1.0], [2.0, 3.0]]).alike


def test_a_margin_is_part_of_the_effect():
    as_good = Part("C11", "as good", "probe", {FIRST: 1.0, SECOND: -1.0}, margin=0.01)
    found = estimate(as_good, values([0.5, 0.5, 0.5], [0.505, 0.505, 0.505]), ALIKE, None)
    assert found.effect == pytest.approx(0.005)


def test_an_effect_that_is_no_sum_has_student_s_interval():
    largest = Part(
        "C5", "largest", "probe", {FIRST: 1.0, SECOND: 1.0}, combine=lambda frame: frame.max(axis=1)
    )
    found = estimate(largest, values([0.5, 0.6, 0.7], [0.4, 0.4, 0.9]), ALIKE, None)
    assert found.effect == pytest.approx((0.5 + 0.6 + 0.9) / 3)
    assert found.how == "t"


def test_data_sets_are_joined_as_multiples_of_the_papers_effect():
    twice = Part("C10", "", "probe", {FIRST: 1.0}, paper=0.04, primary=True)
    one = Estimate(0.02, 0.01, 0.03, 3, 0.005, 40, "pooled")
    other = Estimate(0.02, 0.0, 0.04, 3, 0.01, 40, "pooled")
    found, bar = join([(DIFFERENCE, one), (twice, other)])
    assert found.effect == pytest.approx((1.0 + 0.5) / 2)
    assert found.error == pytest.approx(math.hypot(0.25, 0.25) / 2)
    assert bar == 0.5
    gone = Estimate(math.nan, math.nan, math.nan, 0, math.nan, 0, "none")
    assert join([(DIFFERENCE, one), (twice, gone)])[0].effect == pytest.approx(1.0)
    assert word(*join([(twice, gone)])) == "not run"


def test_without_an_effect_most_runs_are_undecided():
    """Three seeds, twenty cells, no effect: each one-sided word comes in about 2.5 % of cases."""
    rng = np.random.default_rng(1)
    said = []
    for _ in range(2000):
        cells = [rng.normal(0, 0.01, 3) for _ in range(20)]
        said.append(
            word(
                estimate(DIFFERENCE, values(cells[0], cells[1]), spread(cells), None),
                DIFFERENCE.bar,
            )
        )
    share = {one: said.count(one) / len(said) for one in WORDS}
    assert 0.93 < share["undecided"] < 0.97
    assert 0.01 < share["opposite here"] < 0.04
    assert 0.01 < share["reproduced"] + share["smaller than in the paper"] < 0.04


def test_the_first_steps_of_the_word():
    """A mean at the bar counts as reproduced, and an interval that touches zero as undecided."""
    assert judged(0.1, 0.9, bar=0.5) == "reproduced"
    assert judged(0.0, 1.0) == judged(-1.0, 0.0) == "undecided"
    assert judged(-math.inf, math.inf, effect=3.0) == "undecided"


def test_interval_is_student_s():
    found = interval([1.0, 2.0, 3.0])
    assert found == pytest.approx((2.0, 2.0 - 2.484, 2.0 + 2.484), abs=1e-3)
    assert interval([4.0]) == (4.0, -math.inf, math.inf)
    assert all(map(math.isnan, interval([])))
