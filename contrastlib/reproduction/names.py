"""What data sets, losses and measures are called in figures and tables."""

NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn": "SVHN",
    "imagenet100": "ImageNet100",
    "fashion-mnist": "Fashion-MNIST",
    "digits": "Digits",
}
LOSSES = {
    "contrastive": "ordinary",
    "hard": "hard",
    "simple": "simple",
    "hard_simple": "hard simple",
    "triplet_limit": "Eq. 6",
    "none": "untrained",
    "batch_norm": "untrained, batch norm",
    "supervised": "supervised",
}
UNITS = {"probe": "accuracy, %", "uniformity": "nats", "tolerance": "mean cosine"}
DECIMALS = {"probe": 1, "knn": 1, "uniformity": 2, "tolerance": 3, "alignment": 2}
