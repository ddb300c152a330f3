"""The figures outside the chapters: the same file each time, and clear refusals."""

import matplotlib as mpl
import pytest

from contrastlib import figures


def test_figures_are_made_the_same_twice_and_leave_no_trace(tmp_path):
    before = dict(mpl.rcParams)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        figures.save(tmp_path / name)
    assert dict(mpl.rcParams) == before
    made = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert made
    for name in made:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes()
        assert b"<svg" in content


@pytest.mark.parametrize("arguments", [{"taus": ()}, {"taus": (0.0,)}, {"negatives": 0}, {"negatives": 5000}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"give|must"):
        figures.whom_does_the_loss_push(**arguments)
