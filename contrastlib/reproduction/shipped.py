"""The records of the runs that come with the package."""

from collections.abc import Iterable
from pathlib import Path

from contrastlib.reproduction import grids
from contrastlib.training import run_records
from contrastlib.training.recipes import run_id

FOLDER = Path(__file__).parent / "runs"


def read_shipped() -> list[dict]:
    """All records that come with the package, by id, without those of the pilot."""
    return without_pilot(run_records.read_all(FOLDER))


def without_pilot(records: Iterable[dict]) -> list[dict]:
    """The records without those of the pilot, which chose the recipe `small` and judges nothing."""
    pilot = {run_id(recipe) for recipe in grids.grid("pilot")}
    return [record for record in records if record["id"] not in pilot]
