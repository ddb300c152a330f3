"""The embedded digits, and what `load` refuses."""

import pytest
import torch
from sklearn.datasets import load_digits

from contrastlib.data import load


def test_digits_are_the_digits():
    train, test = load("digits"), load("digits", split="test")
    assert len(train) == 1437
    assert len(test) == 360
    images = torch.cat([train.images, test.images])
    assert images.dtype == torch.uint8
    assert images.shape == (1797, 1, 8, 8)
    pixels, labels = load_digits(return_X_y=True)
    torch.testing.assert_close(images.flatten(1).double() * 16 / 255, torch.from_numpy(pixels), atol=0.5, rtol=0)
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(labels))
    assert train.classes == tuple("0123456789")


def test_limit_is_random_fixed_and_nested():
    small, large = load("digits", limit=50), load("digits", limit=200)
    assert torch.equal(small.images, large.images[:50])
    assert torch.equal(load("digits", limit=50).labels, small.labels)
    assert len(large.labels.unique()) == 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "mnist"}, "there is no data set 'mnist'; the names are: digits"),
        ({"name": "digits", "split": "val"}, "digits has no split 'val'; the splits are: train, test"),
        ({"name": "digits", "limit": 0}, "limit is 0; digits has 1437 train images: give 1 to 1437"),
        ({"name": "digits", "limit": 5000}, "limit is 5000"),
        ({"name": "digits", "limit": 0.5}, "limit is 0.5"),
    ],
)
def test_load_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        load(**arguments)
