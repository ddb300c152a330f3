"""Recipes: what they refuse, how settings change them, and the names of runs."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastlib.augment import Augmentation
from contrastlib.training.recipes import (
    Recipe,
    by_name,
    from_dict,
    live,
    paper,
    run_id,
    small,
    to_dict,
    with_settings,
)

# For each setting another value, and the choices under which it is read.
OTHER = {
    "dataset": "svhn",
    "limit": 500,
    "seed": 1,
    "loss": "simple",
    "tau": 0.3,
    "tau_to": 0.1,
    "tau_period": 40,
    "tau_start": 0.07,
    "tau_lr": 0.01,
    "tau_min": 0.05,
    "tau_max": 10.0,
    "lam": 0.5,
    "alpha": 0.2,
    "k": 7,
    "g": "batch",
    "negatives": 4096,
    "bank_momentum": 0.4,
    "queue_momentum": 0.99,
    "queue_size": 1024,
    "views": 2,
    "leave_out_same_class": True,
    "backbone": "resnet_small",
    "width": 8,
    "stem_stride": 2,
    "max_pool": True,
    "d": 64,
    "augmentation": Augmentation(flip=0.0),
    "batch": 64,
    "epochs": 100,
    "lr": 0.1,
    "schedule": "cosine",
    "lr_steps": (60,),
    "momentum": 0.8,
    "weight_decay": 0.0,
    "precision": "float32",
    "split": "train",
    "probe": "paper",
    "neighbours": 10,
}
READERS = {
    "tau_to": {"tau_to": 1.0, "tau_period": 20},
    "tau_period": {"tau_to": 1.0, "tau_period": 20},
    "tau_start": {"tau": "learnt"},
    "tau_lr": {"tau": "learnt"},
    "tau_min": {"tau": "learnt"},
    "tau_max": {"tau": "learnt"},
    "lam": {"loss": "simple"},
    "alpha": {"loss": "hard", "alpha": 0.1},
    "k": {"loss": "hard_simple", "k": 5},
    "g": {"views": 2},
    "queue_momentum": {"g": "queue", "views": 2},
    "queue_size": {"g": "queue", "views": 2},
    "width": {"backbone": "convnet_digits"},
}


def test_paper_is_the_papers():
    for dataset, alpha in (
        ("cifar10", 0.0819),
        ("cifar100", 0.0819),
        ("svhn", 0.0315),
        ("imagenet100", 0.034),
    ):
        r = paper(dataset)
        assert (r.dataset, r.alpha, r.limit, r.g, r.bank_momentum, r.negatives) == (
            dataset,
            alpha,
            None,
            "bank",
            0.5,
            None,
        )
        assert (r.d, r.batch, r.epochs, r.lr, r.lr_steps, r.momentum) == (
            128,
            128,
            200,
            0.03,
            (160, 190),
            0.9,
        )
        assert (r.schedule, r.views, r.lam, r.probe) == ("steps", 1, None, "paper")
    assert paper().backbone == "resnet18_cifar"
    assert paper().weight_decay == 5e-4
    assert paper().augmentation == Augmentation(
        crop=(0.2, 1), hue=0.4, grayscale=0.2, flip=0.5, blur=0.0
    )
    large = paper("imagenet100")
    assert (large.backbone, large.weight_decay, large.augmentation.size) == ("resnet50", 1e-4, 224)
    assert large.augmentation.blur > 0
    assert round(paper().alpha * 49_999) == 4095
    with pytest.raises(ValueError, match="the paper has no data set 'digits'"):
        paper("digits")


def test_ids_are_what_they_were():
    """Files are named by them: if this fails, outcomes already stored would no longer be found."""
    assert {r.dataset: run_id(r) for r in (paper(), live())} == {
        "cifar10": "bfa54ff8f023",
        "digits": "c8044b8e3efc",
    }


def test_ids_do_not_hang_on_the_process():
    code = "from contrastlib.training.recipes import *; print(run_id(live()))"
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True
    )
    assert out.stdout.strip() == run_id(live()), out.stderr


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_changes_the_id(name):
    recipe = replace(Recipe(), **READERS.get(name, {}))
    changes = {"alpha": {"alpha": 0.2}, "k": {"k": 7}}.get(name, {name: OTHER[name]})
    assert getattr(recipe, name) != OTHER[name]
    assert run_id(replace(recipe, **changes)) != run_id(recipe)


def test_every_setting_is_covered():
    assert OTHER.keys() == {f.name for f in fields(Recipe)}


@pytest.mark.parametrize(
    ("recipe", "unread"),
    [
        (Recipe(loss="simple"), {"tau": 7.0, "alpha": 0.5, "k": 3, "tau_to": 1.0, "tau_period": 9}),
        (Recipe(loss="contrastive"), {"lam": 2.0, "alpha": 0.5}),
        (
            Recipe(g="batch", views=2),
            {"bank_momentum": 0.1, "queue_size": 5, "queue_momentum": 0.1},
        ),
        (Recipe(backbone="resnet50"), {"width": 5, "stem_stride": 2, "max_pool": True}),
        (Recipe(schedule="cosine"), {"lr_steps": (1, 2)}),
        (Recipe(loss="supervised_contrastive"), {"lam": 2.0, "leave_out_same_class": True}),
    ],
)
def test_what_is_not_read_changes_no_id(recipe, unread):
    assert replace(recipe, **unread) != recipe
    assert run_id(replace(recipe, **unread)) == run_id(recipe)


def test_numbers_are_numbers():
    assert run_id(replace(live(), tau=1)) == run_id(replace(live(), tau=1.0))
    assert run_id(replace(live(), tau=1)) != run_id(replace(live(), tau=1 + 1e-12))
    inner = replace(live().augmentation, crop=(1, 1))
    assert run_id(replace(live(), augmentation=inner)) == run_id(
        replace(live(), augmentation=replace(inner, crop=(1.0, 1.0)))
    )


@settings(deadline=None, max_examples=30)
@given(
    tau=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**31),
    loss=st.sampled_from(["contrastive", "simple", "hard"]),
    lr_steps=st.lists(st.integers(1, 300), max_size=3).map(tuple),
)
def test_json_keeps_a_recipe(tau, seed, loss, lr_steps):
    recipe = replace(live(), tau=tau, seed=seed, loss=loss, lr_steps=lr_steps)
    again = from_dict(json.loads(json.dumps(to_dict(recipe))))
    assert again == recipe
    assert run_id(again) == run_id(recipe)


def test_a_stored_recipe_without_a_later_setting_is_read():
    values = to_dict(small())
    del values["negatives"]
    assert from_dict(values) == small()
    with pytest.raises(ValueError, match="no setting colour"):
        from_dict(values | {"colour": 1})


def test_settings():
    words = [
        "tau=1",
        "limit=none",
        "lr_steps=60,90",
        "max_pool=true",
        "augmentation.crop=0.5,1",
        "probe=paper",
    ]
    recipe = with_settings(small(), words)
    assert (recipe.tau, recipe.limit, recipe.lr_steps, recipe.max_pool) == (1, None, (60, 90), True)
    assert recipe.augmentation == dataclasses.replace(small().augmentation, crop=(0.5, 1))
    assert recipe.probe == "paper"
    assert with_settings(small(), ["lr_steps=60"]).lr_steps == (60,)
    assert with_settings(small(), iter(["g=queue", "views=2"])).g == "queue"
    assert with_settings(small(), ["loss=hard", "alpha=none", "k=4095"]).k == 4095
    assert with_settings(small(), []) == small()


def test_by_name():
    assert by_name("paper") == paper("cifar10")
    assert by_name("paper", ["dataset=svhn", "tau=0.5"]) == replace(paper("svhn"), tau=0.5)
    assert by_name("small", iter(["dataset=cifar100"])) == small("cifar100")
    assert by_name("live", ["dataset=fashion-mnist"]) == replace(live(), dataset="fashion-mnist")
    with pytest.raises(
        ValueError, match="no recipe 'big'; the recipes are: paper, desk, small, live"
    ):
        by_name("big")
    with pytest.raises(ValueError, match="the paper has no data set 'cifra10'"):
        by_name("paper", ["dataset=cifra10"])
    with pytest.raises(ValueError, match="key=value"):
        by_name("paper", ["dataset="])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tua=1"], "no setting 'tua'; did you mean tau"),
        (["augmentation.hua=0"], "did you mean augmentation.hue"),
        (["colour.hue=0"], "no setting 'colour.hue'"),
        (["zzz=0"], "the keys are: dataset, limit"),
        (["augmentation=1"], "no setting 'augmentation'"),
        (["tau"], "not of the form key=value"),
        (["tau="], "not of the form key=value"),
        (["=1"], "not of the form key=value"),
        (["tau=warm"], "tau=warm do not fit the recipe: tau is 'warm'"),
        (["tau=0"], "tau is 0"),
        (["tau=nan"], "tau is 'nan'"),
        (["tau=1e999"], "tau is inf"),
        (["tau_to=0.1"], "tau_period None; give both, or neither"),
        (["tau_to=-1", "tau_period=9"], "tau is -1"),
        (["tau_to=1", "tau_period=0"], "tau_period is 0"),
        (["tau=learned"], "tau is 'learned'; give a number above 0, such as 0.2, or 'learnt'"),
        (["tau=learnt", "tau_to=1", "tau_period=9"], "leave out tau_to and tau_period"),
        (["tau=learnt", "tau_period=9"], "leave out tau_to and tau_period"),
        (["tau=learnt", "loss=simple"], "cannot learn it; .* one of: contrastive, hard"),
        (["tau=learnt", "loss=hard_simple"], "cannot learn it"),
        (["tau=learnt", "loss=triplet_limit"], "cannot learn it"),
        (["tau=learnt", "loss=batch_norm"], "cannot learn it"),
        (["tau=learnt", "loss=none"], "cannot learn it"),
        (["tau=learnt", "tau_start=0"], "tau_start is 0"),
        (["tau=learnt", "tau_start=0.005"], "stays between tau_min, 0.01, and tau_max, 1.0"),
        (["tau=learnt", "tau_start=2"], "tau_start is 2; a learnt tau stays"),
        (
            ["tau=learnt", "tau_min=0.3"],
            "tau_start is 0.2; .* between tau_min, 0.3",
        ),
        (["tau=learnt", "tau_min=-1"], "tau_min is -1"),
        (["tau=learnt", "tau_max=inf"], "tau_max is 'inf'"),
        (["tau=learnt", "tau_lr=0"], "tau_lr is 0"),
        (["batch=12.5"], "batch is 12.5"),
        (["epochs=0"], "epochs is 0"),
        (["seed=-1"], "seed is -1"),
        (["seed=9007199254740993"], "seed is 9007199254740993"),
        (["loss=triplet"], "loss is 'triplet'; give one of: contrastive"),
        (["loss=hard", "k=3"], "give exactly one of them"),
        (["loss=hard", "alpha=1.5"], "alpha is 1.5"),
        (["g=queue"], "set views=2"),
        (["g=batch", "views=2", "negatives=200"], "only a bank is drawn from"),
        (["negatives=5"], "negatives is 5; give a number at least 127"),
        (["augmentation.flip=2"], "flip is 2"),
        (["lr_steps=a"], "lr_steps is 'a'"),
        (["max_pool=1"], "max_pool is 1"),
        (["momentum=2"], "momentum is 2"),
        (["bank_momentum=2"], "bank_momentum is 2"),
        (["queue_momentum=-1"], "queue_momentum is -1"),
        (["weight_decay=-1"], "weight_decay is -1"),
        (["limit=1"], "limit is 1"),
    ],
)
def test_bad_settings_are_one_clear_line(words, message):
    with pytest.raises(ValueError, match=message) as error:
        with_settings(live(), words)
    assert "\n" not in str(error.value)


def test_the_untrained_net_can_be_asked_for():
    assert with_settings(live(), ["loss=none"]).loss == "none"
    assert with_settings(live(), ["limit=none", "precision=none"]).precision is None


def test_numpy_numbers_become_pythons_own():
    """Also in a tuple and in an augmentation: a checkpoint and JSON hold plain values only."""
    augmentation = Augmentation(
        flip=np.float32(0.5),
        crop=(np.float64(0.2), np.float32(1)),
        mean=(np.float64(0.5),) * 3,
        std=(np.float32(0.25),) * 3,
    )
    recipe = replace(
        small(),
        lr=np.float64(0.03),
        tau=np.float32(0.25),
        epochs=np.int64(100),
        limit=np.int32(500),
        alpha=np.float16(0.5),
        max_pool=np.bool_(True),
        lr_steps=(np.int64(60), 90),
        augmentation=augmentation,
    )
    plain = json.loads(json.dumps(to_dict(recipe)))
    assert from_dict(plain) == recipe
    kinds = {type(value) for value in vars(recipe).values()}
    kinds |= {type(value) for value in recipe.lr_steps}
    kinds |= {type(value) for value in vars(recipe.augmentation).values()}
    for values in (recipe.augmentation.crop, recipe.augmentation.mean, recipe.augmentation.std):
        kinds |= {type(value) for value in values}
    assert kinds <= {str, int, float, bool, tuple, type(None), Augmentation}
    assert run_id(replace(small(), lr=np.float64(0.03))) == run_id(replace(small(), lr=0.03))
    assert replace(small(), epochs=np.int64(100)) == replace(small(), epochs=100)
    with pytest.raises(TypeError, match=r"epochs is 12\.5"):
        replace(small(), epochs=np.float64(12.5))
