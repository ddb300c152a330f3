"""Ablations: questions that the paper leaves open, answered by runs of the same recipe with one
thing changed.

(a) Does the choice of g, or the number of negatives, move the best temperature? (b) Does Eq 11 as
printed change any conclusion about tolerance? (c) How many negatives does training effectively look
at? (d) Is a temperature that follows a cosine (Kukleva et al. 2023) better than the best constant
one? (e) Does the best temperature move with the length of training, and do probe and nearest
neighbours agree on it?

What we expected, written down before any run of the grid "beyond", which (b) and (c) do without:
(a) fewer negatives favour a larger temperature, since fewer of them are near; (b) none within a
data set, where the two forms differ by a constant, but the order of data sets turns round; (c) at
tau = 1 nearly all, at 0.07 few, and fewer as training goes on; (d) no; (e) yes, towards larger
temperatures, and nearest neighbours prefer smaller ones than the probe.
"""

from dataclasses import dataclass

import pandas as pd

from contrastlib.reproduction import aggregate, grids
from contrastlib.reproduction.aggregate import summary
from contrastlib.reproduction.run_index import SCALES, Measure, Runs, metric
from contrastlib.training.recipes import Recipe

__all__ = ["NAMES_OF_FIGURES", "answers", "numbers"]

BASELINE = "baseline"
TOLERANCE_DATASETS = ("cifar10", "cifar100")
# Of Table 1's temperatures, those whose effective negatives are shown.
EFFECTIVE_TAUS = (0.07, 0.3, 1.0)
LABELS = {"probe": "linear probe (%)", "knn": "nearest neighbours (%)"}
FIGURES = {  # the ablations that a figure compares, by both measures
    "keys": (BASELINE, "512 negatives", "queue", "in-batch"),
    "schedule": (BASELINE, "cosine tau"),
    "length": (BASELINE, "50 epochs"),
}
NAMES_OF_FIGURES = (*FIGURES, "effective", "printed")


def recipes_of(base: Recipe, ablation: str) -> list[Recipe]:
    """An ablation's recipes, one for each of its temperatures."""
    if ablation == BASELINE:
        return [grids.cell(base, "contrastive", tau) for tau in grids.ABLATION_TAUS]
    return grids.ablated(base, ablation)


def values(runs: Runs, recipe: Recipe, measure: Measure) -> pd.Series:
    """A measure of a recipe's finished runs, by seed, accuracies in per cent."""
    found = {}
    for seed, record in runs.of(recipe).items():
        if record["status"] == "finished":
            scale = 1.0 if callable(measure) else aggregate.factor(measure)
            found[seed] = scale * metric(record, measure)
    return pd.Series(found, dtype=float)


def numbers(
    name: str, records: list[dict], scale: str = "small", dataset: str = "cifar10"
) -> pd.DataFrame:
    """Exactly what a figure of NAMES_OF_FIGURES draws, as a tidy frame, see `aggregate`."""
    if name == "printed":
        return printed_tolerance(records, scale)
    base = SCALES[scale].recipe(dataset)
    runs = Runs(records, base)
    rows = []
    if name == "effective":
        for tau in EFFECTIVE_TAUS:
            rows += effective_by_epoch(runs, tau)
    else:
        for measure in LABELS:
            for ablation in FIGURES[name]:
                for recipe in recipes_of(base, ablation):
                    row = {"measure": measure, "ablation": ablation, "tau": recipe.tau}
                    rows.append(row | summary(values(runs, recipe, measure)))
    data = pd.DataFrame(rows)
    data.insert(0, "scale", scale)
    data.insert(1, "dataset", dataset)
    return data


def effective_by_epoch(runs: Runs, tau: float) -> list[dict]:
    """The effective number of negatives at each epoch, ordinary loss."""
    recipe = grids.cell(runs.base, "contrastive", tau)
    rows = []
    for epoch in range(1, recipe.epochs + 1):

        def at_epoch(record: dict, index: int = epoch - 1) -> float:
            return record["history"]["effective_negatives"][index]

        rows.append({"tau": tau, "epoch": epoch} | summary(values(runs, recipe, at_epoch)))
    return rows


def printed_tolerance(records: list[dict], scale: str) -> pd.DataFrame:
    """Tolerance against temperature in both forms, "tolerance" and "tolerance_as_printed"."""
    cells = [("contrastive", tau) for tau in grids.TAUS]
    parts = []
    for form in ("tolerance", "tolerance_as_printed"):
        part = aggregate.frame(records, scale, TOLERANCE_DATASETS, cells, form)
        parts.append(part.assign(measure=form))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Answer:
    """One comparison: a question, what is compared, the measure, and the effect of each seed."""

    question: str
    compared: str
    measure: str
    effects: pd.Series


class Answers:
    """The comparisons of all questions, on the runs of one data set."""

    def __init__(self, records: list[dict], scale: str, dataset: str):
        self.base = SCALES[scale].recipe(dataset)
        self.runs = Runs(records, self.base)

    def at(self, ablation: str, tau: float | None, measure: str) -> pd.Series:
        """A measure of an ablation at a temperature, by seed; None takes the ablation's own
        temperature.
        """
        for recipe in recipes_of(self.base, ablation):
            if tau is None or recipe.tau == tau:
                return values(self.runs, recipe, measure)
        raise ValueError(f"{ablation} was not asked about at tau = {tau}")

    def gain(self, ablation: str, other: float, measure: str) -> pd.Series:
        """A measure at 0.2 minus that at another temperature."""
        return self.at(ablation, 0.2, measure) - self.at(ablation, other, measure)

    def keys(self) -> list[Answer]:
        """(a)"""
        found = []
        for ablation in FIGURES["keys"][1:]:
            for measure in LABELS:
                found.append(
                    Answer(
                        "a",
                        f"{ablation}: 0.2 minus 0.07",
                        measure,
                        self.gain(ablation, 0.07, measure),
                    )
                )
                for other in (0.07, 1.0):
                    more = self.gain(ablation, other, measure) - self.gain(BASELINE, other, measure)
                    says = f"{ablation} minus baseline: 0.2 minus {other:g}"
                    found.append(Answer("a", says, measure, more))
                for tau in grids.ABLATION_TAUS:
                    apart = self.at(ablation, tau, measure) - self.at(BASELINE, tau, measure)
                    found.append(Answer("a", f"{ablation} minus baseline: {tau:g}", measure, apart))
        return found

    def printed(self) -> list[Answer]:
        """(b)"""
        found = []
        for tau in grids.TAUS:
            recipe = grids.cell(self.base, "contrastive", tau)
            as_printed = values(self.runs, recipe, "tolerance_as_printed")
            ratio = as_printed / values(self.runs, recipe, "tolerance")
            if len(ratio):
                found.append(Answer("b", f"tau {tau:g}", "printed / tabled", ratio))
        return found

    def effective(self) -> list[Answer]:
        """(c)"""
        found = []
        for tau in EFFECTIVE_TAUS:
            recipe = grids.cell(self.base, "contrastive", tau)
            most = values(self.runs, recipe, lambda r: max(r["history"]["effective_negatives"]))
            last = values(self.runs, recipe, lambda r: r["history"]["effective_negatives"][-1])
            found.append(Answer("c", f"tau {tau:g}, at most", "effective negatives", most))
            found.append(Answer("c", f"tau {tau:g}, at the end", "effective negatives", last))
        return found

    def schedule(self) -> list[Answer]:
        """(d)"""
        found = []
        for measure in LABELS:
            for tau in grids.ABLATION_TAUS:
                apart = self.at("cosine tau", None, measure) - self.at(BASELINE, tau, measure)
                found.append(Answer("d", f"cosine tau minus constant {tau:g}", measure, apart))
        return found

    def length(self) -> list[Answer]:
        """(e)"""
        found = []
        for other in (0.07, 1.0):
            for measure in LABELS:
                short = self.gain("50 epochs", other, measure)
                long = self.gain(BASELINE, other, measure)
                says = f"0.2 minus {other:g}"
                found.append(Answer("e", f"50 epochs: {says}", measure, short))
                found.append(Answer("e", f"200 epochs: {says}", measure, long))
                found.append(Answer("e", f"200 minus 50 epochs: {says}", measure, long - short))
            more = self.gain(BASELINE, other, "knn") - self.gain(BASELINE, other, "probe")
            found.append(Answer("e", f"200 epochs: 0.2 minus {other:g}", "knn minus probe", more))
        return found


def answers(records: list[dict], scale: str = "small", dataset: str = "cifar10") -> pd.DataFrame:
    """What was found on each question: effects with their 95 % intervals over seeds, NaN where
    nothing was run.

    measure: "probe", "knn", both in points, "knn minus probe", "printed / tabled" tolerance, or
    "effective negatives".
    """
    asked = Answers(records, scale, dataset)
    found = [
        *asked.keys(),
        *asked.printed(),
        *asked.effective(),
        *asked.schedule(),
        *asked.length(),
    ]
    rows = []
    for answer in found:
        effects = summary(answer.effects.dropna())
        rows.append(
            {
                "question": answer.question,
                "compared": answer.compared,
                "measure": answer.measure,
                "mean": effects["mean"],
                "low": effects["low"],
                "high": effects["high"],
                "seeds": effects["seeds"],
            }
        )
    return pd.DataFrame(rows)
