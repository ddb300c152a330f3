"""Checks for the book's exercises: each calls your function on a few small inputs and prints one
line.

`check_gap(gap)` prints "Right: ..." and what has been shown, or "Not yet: ..." and a hint. A hint
belongs to a mistake: the check has computed what that mistake would give, and found it in your
answer. Every check returns True or False, and raises nothing, so it can mark an assignment: `assert
check_gap(gap)`. Tensors come as float64; s_pos [B], s_neg [B, M].
"""

from contrastlib.teaching.exercises.embeddings import check_class_sums, check_diagonal
from contrastlib.teaching.exercises.encoders import (
    check_own_share,
    check_rankme,
    check_separation,
)
from contrastlib.teaching.exercises.losses import (
    check_break,
    check_differences,
    check_gap,
    check_hardest_angle,
)
from contrastlib.teaching.exercises.temperature import (
    check_duel,
    check_individual,
    check_rule_of_thumb,
    check_second_term,
    check_takes_all,
)
from contrastlib.teaching.exercises.training import check_queue, check_vote

__all__ = [
    "check_break",
    "check_class_sums",
    "check_diagonal",
    "check_differences",
    "check_duel",
    "check_gap",
    "check_hardest_angle",
    "check_individual",
    "check_own_share",
    "check_queue",
    "check_rankme",
    "check_rule_of_thumb",
    "check_second_term",
    "check_separation",
    "check_takes_all",
    "check_vote",
]
