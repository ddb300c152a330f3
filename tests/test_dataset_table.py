"""`DATASETS` is all that is said of a data set: one entry adds one, and no other name is taken."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_helpers import error_of
from PIL import Image

import contrastlib
from contrastlib.data import DATASETS, DatasetInfo, dataset_info, image_files, load, stream
from contrastlib.reproduction import paper_table
from contrastlib.training import (
    cost_estimate,
    image_sources,
    local_workers,
    loop,
    one_run,
    recipes,
)

pytestmark = pytest.mark.usefixtures("own_data_only")


def paint_squares(folder, each):
    """Two classes of 64 x 64 PNGs: noise that is mostly red, and noise that is mostly blue."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("blue", "red")):
        place = folder / name
        place.mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 100, (64, 64, 3), dtype=np.uint8)
            pixels[:, :, 2 - 2 * label] += 150
            Image.fromarray(pixels).save(place / f"{i:03d}.png")


@pytest.fixture
def squares(root, monkeypatch):
    """What CONTRIBUTING says of adding a data set: an image folder and one entry."""
    paint_squares(root / "squares" / "train", 30)
    paint_squares(root / "squares" / "test", 10)
    monkeypatch.setenv("CONTRASTLIB_DATA", str(root))
    info = DatasetInfo(title="Squares", train_images=60, channels=3, side=64)
    monkeypatch.setitem(DATASETS, "squares", info)
    return root


def test_an_entry_and_a_folder_add_a_data_set(squares):
    train = load("squares")
    assert train.images.shape == (60, 3, 64, 64)
    assert train.classes == ("blue", "red")
    assert load("squares", "test").labels.tolist() == [0] * 10 + [1] * 10
    assert len(stream("squares", workers=0).dataset) == 60


def test_the_live_recipe_trains_on_it_for_an_epoch(squares, tmp_path):
    settings = ["dataset=squares", "epochs=1", "batch=20", "neighbours=5"]
    recipe = recipes.by_name("live", settings)
    outcome = one_run.run(recipe, tmp_path / "runs", progress=False)
    assert outcome["status"] == "finished"
    assert outcome["recipe"]["dataset"] == "squares"
    assert len(outcome["history"]["loss"]) == 1
    operations = cost_estimate.flops(recipe)
    assert operations > cost_estimate.flops(replace(recipe, dataset="digits", limit=60))


def test_a_worker_of_a_sweep_trains_on_it(squares, tmp_path):
    recipe = recipes.by_name("live", ["dataset=squares", "epochs=1", "batch=20", "neighbours=5"])
    folder = tmp_path / "runs" / recipes.run_id(recipe)
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(recipes.to_dict(recipe)))
    assert local_workers.train_one(str(folder), "cpu") == "finished"


def test_without_its_folder_one_line_says_where_it_belongs(squares):
    shutil.rmtree(squares / "squares")
    wanted = squares / "squares" / "train"
    message = error_of(lambda: load("squares"), FileNotFoundError)
    assert (
        message
        == f"there is no folder {wanted}: put the train images of squares at {wanted}/CLASS/*"
    )


def test_a_grey_entry_reads_the_same_files_as_grey(squares, monkeypatch):
    load("squares")  # which keeps the colours in the cache
    monkeypatch.setitem(DATASETS, "squares", replace(DATASETS["squares"], channels=1))
    assert load("squares").images.shape == (60, 1, 64, 64)


def test_an_unknown_name_is_refused_everywhere(tmp_path):
    recipe = replace(recipes.live(), dataset="mnist")
    (tmp_path / "recipe.json").write_text(json.dumps(recipes.to_dict(recipe)))
    for call in (
        lambda: load("mnist"),
        lambda: load(["cifar10"]),
        lambda: stream("mnist"),
        lambda: image_files("mnist"),
        lambda: dataset_info("mnist"),
        lambda: image_sources.build_images(recipe, "train", "cpu"),
        lambda: cost_estimate.train_images(recipe),
        lambda: cost_estimate.flops(recipe),
        lambda: local_workers.train_one(str(tmp_path)),
        lambda: loop.pretrain(recipe, progress=False),
    ):
        message = error_of(call)
        assert message.startswith("there is no data set ")
        assert message.endswith(f"the names are: {', '.join(DATASETS)}")
    message = error_of(lambda: recipes.paper("mnist"))
    assert (
        message == "the paper has no data set 'mnist'; it has: cifar10, cifar100, svhn, imagenet100"
    )


def test_the_table_and_the_paper_agree():
    papers = [name for name, info in DATASETS.items() if info.paper_alpha is not None]
    assert papers == list(paper_table.DATASETS)


@pytest.mark.parametrize("name", [name for name, info in DATASETS.items() if info.bundled])
def test_bundled_sets_are_as_the_table_says(name):
    info = DATASETS[name]
    data = load(name)
    assert len(data) == info.train_images
    assert data.images.shape[1:] == (info.channels, info.side, info.side)
    assert len(info.first_classes) == len(data.classes) == 10


def test_nothing_says_it_again():
    """Outside the table the library names a data set only where that one set is meant."""
    package = Path(contrastlib.__file__).parent
    repeated = []
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        titles = [info.title for info in DATASETS.values() if f'"{info.title}"' in text]
        if titles and path.name != "table.py":
            repeated.append((path.name, titles))
    assert repeated == []
