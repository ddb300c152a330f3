"""Where the run explorer's marks lie: the axes of the plane, which marks form a crowd, and how a
crowd is spread out in its zoom. Lengths are in units of the drawing.
"""

import math
from dataclasses import dataclass
from itertools import combinations

from contrastlib.teaching.widgets import run_marks
from contrastlib.teaching.widgets.run_marks import Mark

WIDTH = 340  # of the plane and of its zoom
HEIGHT = 250
CROWDED = 12  # marks nearer than this to another are in a crowd
LINKED = 60  # crowded marks nearer than this to each other belong to one crowd
APART = 28  # the least distance of two marks in the enlarged crowd: a finger can press each


@dataclass(frozen=True)
class Axis:
    """A linear axis whose first tick lies at `start` and whose last lies at `end`."""

    ticks: list[float]
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        low = self.ticks[0]
        high = self.ticks[-1]
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def plane_axes(marks: list[Mark], ceiling: float) -> tuple[Axis, Axis]:
    tolerances = []
    uniformities = [ceiling]
    for mark in marks:
        tolerances += mark.measures["tolerance"]["values"]
        uniformities += mark.measures["uniformity"]["values"]
    return axis(tolerances, 0, WIDTH), axis(uniformities, HEIGHT, 0)


def zoom_axes(crowd: list[Mark]) -> tuple[Axis, Axis]:
    means = [run_marks.means(mark) for mark in crowd]
    return axis([x for x, _ in means], 0, WIDTH), axis([y for _, y in means], HEIGHT, 0)


def axis(values: list[float], start: float, end: float) -> Axis:
    """Return an axis with round ticks around the values."""
    spread = max(values) - min(values)
    steps = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
    step = next(step for step in steps if spread <= 6 * step)
    low = math.floor(min(values) / step)
    high = math.floor(max(values) / step) + 1
    return Axis([number * step for number in range(low, high + 1)], start, end)


def crowd(marks: list[Mark], across: Axis, up: Axis) -> list[Mark]:
    """Return the largest crowd: marks that have another within CROWDED, linked by steps shorter
    than LINKED.
    """
    places = {
        mark.title: (across(x), up(y))
        for mark, (x, y) in zip(marks, map(run_marks.means, marks), strict=True)
    }

    def is_crowded(mark: Mark) -> bool:
        others = [place for title, place in places.items() if title != mark.title]
        return any(math.dist(places[mark.title], other) < CROWDED for other in others)

    waiting = [mark for mark in marks if is_crowded(mark)]
    largest: list[Mark] = []
    while waiting:
        crowd = [waiting.pop(0)]
        for member in crowd:  # grows while it is walked through
            here = places[member.title]
            still_waiting = []
            for mark in waiting:
                if math.dist(places[mark.title], here) < LINKED:
                    crowd.append(mark)
                else:
                    still_waiting.append(mark)
            waiting = still_waiting
        if len(crowd) > len(largest):
            largest = crowd
    return largest


def spread(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Move places apart until none is nearer than APART to another, each as little as may be,
    within the plane.
    """
    moved = [list(place) for place in places]
    for _ in range(500):
        done = True
        for i, j in combinations(range(len(moved)), 2):
            across = moved[j][0] - moved[i][0]
            up = moved[j][1] - moved[i][1]
            distance = math.hypot(across, up)
            if distance >= APART:
                continue
            done = False
            if distance < 1e-9:  # on each other: any direction will do
                across = 1.0
                distance = 1.0
            push = (APART + 0.5 - distance) / 2 / distance
            moved[i] = [moved[i][0] - push * across, moved[i][1] - push * up]
            moved[j] = [moved[j][0] + push * across, moved[j][1] + push * up]
        for place in moved:
            place[0] = min(max(place[0], 8), WIDTH - 8)
            place[1] = min(max(place[1], 8), HEIGHT - 8)
        if done:
            break
    return [(across, up) for across, up in moved]
