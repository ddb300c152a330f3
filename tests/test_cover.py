"""The picture on the first page: the same file each time, and clear refusals."""

import matplotlib as mpl
import pytest

from contrastlib.teaching import cover


def test_the_picture_is_made_the_same_twice_and_leaves_no_trace(tmp_path):
    before = dict(mpl.rcParams)
    first, second = (cover.save(tmp_path / name).read_bytes() for name in ("first", "second"))
    assert dict(mpl.rcParams) == before
    assert first == second
    assert b"<svg" in first


@pytest.mark.parametrize("arguments", [{"taus": ()}, {"taus": (0.0,)}, {"negatives": 0}, {"negatives": 5000}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"give|must"):
        cover.whom_does_the_loss_push(**arguments)
