"""The numbers that Wang & Liu (CVPR 2021) print: Table 1. The curves of their figures are images,
without numbers.
"""

COLUMNS = (
    ("contrastive", 0.07),
    ("contrastive", 0.3),
    ("contrastive", 0.7),
    ("contrastive", 1.0),
    ("simple", None),
    ("hard", 0.07),
    ("hard", 0.3),
    ("hard", 0.7),
    ("hard", 1.0),
    ("hard_simple", None),
)
DATASETS = ("cifar10", "cifar100", "svhn", "imagenet100")
MEASURES = ("probe", "uniformity", "tolerance")

# Linear accuracy in per cent, -L_uniformity, and the mean similarity of images of one class, in the
# order of COLUMNS.
PRINTED = {
    ("cifar10", "probe"): "79.75 83.27 82.69 82.21 74.83 79.2 83.63 84.19 84.19 84.84",
    ("cifar10", "uniformity"): "3.86 3.60 3.17 2.96 1.68 3.88 3.89 3.87 3.86 3.85",
    ("cifar10", "tolerance"): "0.04 0.178 0.333 0.372 0.61 0.034 0.0267 0.030 0.030 0.030",
    ("cifar100", "probe"): "51.82 56.44 50.99 48.33 39.31 50.77 56.55 57.54 56.77 55.71",
    ("cifar100", "uniformity"): "3.86 3.60 3.18 2.96 2.12 3.87 3.88 3.87 3.86 3.86",
    ("cifar100", "tolerance"): "0.10 0.269 0.331 0.343 0.39 0.088 0.124 0.158 0.172 0.174",
    ("svhn", "probe"): "92.55 95.47 94.17 92.07 70.83 91.82 94.79 95.02 95.26 94.99",
    ("svhn", "uniformity"): "3.88 3.65 3.27 3.05 1.50 3.89 3.91 3.90 3.88 3.85",
    ("svhn", "tolerance"): "0.032 0.137 0.186 0.197 0.074 0.025 0.021 0.021 0.023 0.026",
    ("imagenet100", "probe"): "71.53 75.10 69.03 63.57 48.09 68.33 74.21 74.70 74.28 74.31",
    ("imagenet100", "uniformity"): "3.917 3.693 3.323 3.08 1.742 3.929 3.932 3.927 3.923 3.917",
    ("imagenet100", "tolerance"): "0.093 0.380 0.427 0.456 0.528 0.067 0.096 0.121 0.134 0.157",
}


def as_printed(dataset: str, measure: str) -> dict[tuple[str, float | None], str]:
    """What Table 1 prints, by column; empty for a data set that it does not have."""
    if (dataset, measure) not in PRINTED:
        return {}
    return dict(zip(COLUMNS, PRINTED[dataset, measure].split(), strict=True))


def table1(dataset: str, measure: str) -> dict[tuple[str, float | None], float]:
    """What Table 1 has for a data set and "probe" (accuracy in [0, 1]), "uniformity" or
    "tolerance", by column.
    """
    scale = 0.01 if measure == "probe" else 1.0
    printed = as_printed(dataset, measure)
    return {column: round(float(text) * scale, 6) for column, text in printed.items()}
