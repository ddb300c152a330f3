"""How good frozen features are: the accuracy of a linear classifier on them, by two ways of fitting
it.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastlib.checks import check_dimensions, check_finite, check_floating, check_labels
from contrastlib.numerics import at_least_float32, no_autocast

# The paper's SGD gets 0.88 to 0.91 of the digits right by their pixels at spreads from 0.1 to 100,
# 0.82 at 0.01, a tenth at 0.001; 0.88 with a mean 10 spreads long, 0.85 at 100, a tenth at 1,000.
SMALLEST_SPREAD = 0.01  # of the points around their mean
LARGEST_OFFSET = 100  # of the mean from 0, in spreads


def linear_probe(
    train_x: Tensor,
    train_labels: Tensor,
    test_x: Tensor,
    test_labels: Tensor,
    *,
    protocol: str = "lbfgs",
) -> float:
    """The share of test points, in [0, 1], that a linear classifier of the frozen training features
    gets right.

    train_x [N, F] and test_x [M, F], any scale; train_labels [N] and test_labels [M], integers.

    protocol "lbfgs" (fast, deterministic): multinomial logistic regression to convergence on
    standardised features, with a penalty of 1e-4 / 2 times the squared weights. "paper": 100 epochs
    of SGD on the features as they are, learning rate 30, times 0.2 at epochs 40, 60 and 80,
    momentum 0.9, no weight decay; the paper does not give the batch (here 128) or the start
    (weights of size 0.01, after Wu et al. 2018), and the seed is fixed. On correlated features of
    uneven scale that SGD stops short of the minimum, and "lbfgs" scores higher: compare with the
    paper's Table 1 by "paper". It needs features on a scale of about 1: it warns where they lie too
    close together, and ValueError says where they are so large that its weights are not finite.
    tests/test_metrics.py, `test_probe_protocols_agree`, bounds the difference.
    """
    for name, x, labels in (("train", train_x, train_labels), ("test", test_x, test_labels)):
        check_floating(f"{name}_x", x, "N F")
        check_finite(f"{name}_x", x)
        check_labels(f"{name}_labels", labels, f"{name}_x", x)
    check_dimensions("train_x", train_x, "test_x", test_x)
    fits = {"lbfgs": fit_lbfgs, "paper": fit_paper}
    if protocol not in fits:
        raise ValueError(f"protocol is {protocol!r}; give one of: {', '.join(fits)}")
    # The features may come from inference mode, whose tensors autograd refuses.
    with torch.inference_mode(False), torch.enable_grad(), no_autocast(train_x):
        classes, y = train_labels.clone().unique(return_inverse=True)
        if len(classes) < 2:
            raise ValueError("train_labels holds one class only; a classifier needs at least 2")
        x = train_x.detach().to(at_least_float32(train_x), copy=True)
        if protocol == "paper":
            warn_of_scale(x)
        weight, bias = fits[protocol](x, y, len(classes))
        if not bool(weight.isfinite().all() & bias.isfinite().all()):
            raise ValueError(
                f"the classifier's weights are not finite; train_x reaches {x.abs().max():.3g}: "
                "give features on a scale of about 1"
            )
        predicted = F.linear(test_x.detach().to(x.dtype), weight, bias).argmax(dim=1)
        return (classes[predicted] == test_labels).sum().item() / len(test_x)


def warn_of_scale(x: Tensor) -> None:
    """Warn where the features x [N, F] are not on the scale that a learning rate of 30 is made for.

    A step moves a score by the rate times the square of a feature vector's length. Where the points
    lie close together, the scores hardly move, while the bias, whose steps are as large as ever,
    drowns them. Where the mean is many spreads long, all points push along it and the scores swing.
    """
    mean = x.mean(dim=0)  # [F]
    spread = (x - mean).square().sum(dim=1).mean().sqrt()  # the typical distance from the mean
    if not bool(spread > 0):  # equal points cannot be told apart on any scale
        return
    too_narrow = bool(spread < SMALLEST_SPREAD)
    too_far = bool(mean.norm() > LARGEST_OFFSET * spread)
    if too_narrow or too_far:
        warnings.warn(
            f"the features lie {spread.item():.3g} around a mean of length "
            f"{mean.norm().item():.3g}; the paper's SGD, at learning rate 30, falls short or stays "
            "at chance there: subtract the training mean and divide by the training standard "
            'deviation, in both sets, or use protocol="lbfgs"',
            stacklevel=3,
        )


def fit_lbfgs(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Logistic regression on standardised x [N, F] -> weight [classes, F] and bias [classes] for x
    as it is.
    """
    mean = x.mean(dim=0)
    std = x.std(dim=0, correction=0)
    std = torch.where(std > 1e-5 * std.max(), std, 1)  # a constant feature's std is rounding error
    x = (x - mean) / std
    # Features are correlated, which takes L-BFGS a thousand steps. The weights are sought in
    # coordinates in which they are not (a root of their covariance), which takes it tens and moves
    # no minimum: the penalty is on weight.
    covariance = (x.T @ x / len(x)).cpu().double()
    covariance.diagonal().add_(1e-3)
    root = torch.linalg.cholesky(covariance)
    turn = torch.linalg.inv(root).to(x)
    turned = x.new_zeros(classes, x.shape[1]).requires_grad_()
    bias = x.new_zeros(classes).requires_grad_()
    steps = 1000
    optimizer = torch.optim.LBFGS(
        [turned, bias],
        max_iter=steps,
        tolerance_grad=1e-5,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        weight = turned @ turn
        value = F.cross_entropy(F.linear(x, weight, bias), y) + 1e-4 / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    if optimizer.state[turned]["n_iter"] >= steps:
        warnings.warn(
            f"the linear probe had not converged after {steps} steps of L-BFGS", stacklevel=3
        )
    weight = (turned @ turn).detach() / std
    return weight, bias.detach() - weight @ mean


def fit_paper(x: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The paper's SGD on x [N, F] as it is -> weight [classes, F] and bias [classes]."""
    generator = torch.Generator("cpu").manual_seed(0)
    weight = (
        (0.01 * torch.randn(classes, x.shape[1], generator=generator, device="cpu"))
        .to(x)
        .requires_grad_()
    )
    bias = x.new_zeros(classes).requires_grad_()
    optimizer = torch.optim.SGD([weight, bias], lr=30, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [40, 60, 80], gamma=0.2)
    for _ in range(100):
        order = torch.randperm(len(x), generator=generator, device="cpu").to(x.device)
        for rows in order.split(128):
            optimizer.zero_grad()
            F.cross_entropy(F.linear(x[rows], weight, bias), y[rows]).backward()
            optimizer.step()
        schedule.step()
    return weight.detach(), bias.detach()
