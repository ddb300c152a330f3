"""The recipe of the chapter "Choosing the temperature", followed on runs that are finished.

Nothing is trained here: every temperature at which the recipe would train has been run already, so
that what it chooses can be compared with the best of all.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from contrastlib.reproduction.grids import TAUS
from contrastlib.reproduction.run_index import Runs

# The band: shares of the negatives that should be effective.
FEWEST = 0.01
MOST = 0.5


@dataclass(frozen=True)
class Search:
    """What the recipe did: short runs {tau: share effective}, full runs, and its choice."""

    measured: dict[float, float]
    trained: tuple[float, ...]
    chosen: float


def share_effective(record: dict, epoch: int | None = None) -> float:
    """The share of the negatives that is effective, in (0, 1], after an epoch of a run; None: at
    its end.

    record: of a run with the memory bank, whose anchors have all other images as negatives.
    """
    by_epoch = record["history"]["effective_negatives"]
    if epoch is None:
        epoch = len(by_epoch)
    negatives = record["recipe"]["limit"] - 1
    return by_epoch[epoch - 1] / negatives


def mean_share(runs: Runs, tau: float, epoch: int | None = None) -> float:
    """`share_effective`, averaged over the seeds of the ordinary loss at this temperature.

    Errors: ValueError where no run at it is finished.
    """
    records = runs.finished(("contrastive", tau)).values()
    if not records:
        raise ValueError(
            f"there is no finished run at tau = {tau:g}; the grid has runs at "
            f"{', '.join(f'{known:g}' for known in TAUS)}"
        )
    return sum(share_effective(record, epoch) for record in records) / len(records)


def mean_accuracy(runs: Runs, tau: float, measure: str = "probe") -> float:
    """An accuracy, in [0, 1], averaged over the seeds of the ordinary loss at this temperature; NaN
    where no run at it is finished.
    """
    return float(runs.by_seed("contrastive", tau, measure).mean())


def nearest(tau: float, taus: Iterable[float] = TAUS) -> float:
    """The temperature of `taus` that is nearest to tau on a logarithmic scale."""
    return min(taus, key=lambda known: abs(math.log(known / tau)))


def follow(runs: Runs, start: float, *, epochs: int = 50, measure: str = "probe") -> Search:
    """Follow the recipe from a first temperature: short runs of so many epochs, then full ones.

    The short runs are the beginnings of the full ones, under the full learning-rate schedule.
    Errors: ValueError where the recipe comes to a temperature at which no run is finished.
    """
    tau = start
    measured = {}
    while tau not in measured:
        share = mean_share(runs, tau, epochs)
        measured[tau] = share
        if share < FEWEST:
            tau = nearest(2 * tau)
        elif share > MOST:
            tau = nearest(tau / 2)
    trained = {nearest(tau / 2), tau, nearest(2 * tau)}
    while True:
        accuracy = {known: mean_accuracy(runs, known, measure) for known in trained}
        absent = [known for known in trained if math.isnan(accuracy[known])]
        if absent:
            raise ValueError(f"there is no finished run at tau = {absent[0]:g}: train it first")
        best = max(accuracy, key=accuracy.get)
        beside = set()  # what the bracket lacks where its best lies at an end
        if best == min(trained):
            beside.add(nearest(best / 2))
        if best == max(trained):
            beside.add(nearest(2 * best))
        if beside <= trained:
            return Search(measured, tuple(sorted(trained)), best)
        trained |= beside
