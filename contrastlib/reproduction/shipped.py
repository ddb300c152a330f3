"""The records of the runs that come with the package."""

from pathlib import Path

from contrastlib.training import run_records

FOLDER = Path(__file__).parent / "runs"


def read_shipped() -> list[dict]:
    """All records that come with the package, by id."""
    return run_records.read_all(FOLDER)
