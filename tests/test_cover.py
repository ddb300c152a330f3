"""The picture on the first page: the same file each time, and clear refusals."""

import matplotlib as mpl
import pytest

from contrastlib.teaching import cover


def test_the_pictures_are_made_the_same_twice_and_leave_no_trace(tmp_path):
    before = dict(mpl.rcParams)
    first = [file.read_bytes() for file in cover.save(tmp_path / "first")]
    second = [file.read_bytes() for file in cover.save(tmp_path / "second")]
    assert dict(mpl.rcParams) == before
    assert first == second
    svg, png, verdicts = first
    assert b"<svg" in svg
    assert b"<svg" in verdicts
    assert b"#ffffff" not in verdicts  # it stands on the dark theme, too
    assert int.from_bytes(png[16:20]) == 1200  # pixels wide, as sites that show links want them


@pytest.mark.parametrize(
    "arguments", [{"taus": ()}, {"taus": (0.0,)}, {"negatives": 0}, {"negatives": 5000}]
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=r"give|must"):
        cover.whom_does_the_loss_push(**arguments)
