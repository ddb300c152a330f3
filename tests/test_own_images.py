"""A reader's own images: from photographs and from arrays to what the trained encoders take."""

import numpy as np
import pytest
import torch
from data_helpers import error_of
from PIL import Image, ImageDraw

from contrastlib.data import load
from contrastlib.teaching.embeddings import embed
from contrastlib.teaching.encoders import pretrained
from contrastlib.teaching.own_images import own_image, own_images


def drawn(path, paper, ink):
    picture = Image.new("L", (200, 120), paper)
    ImageDraw.Draw(picture).rectangle((80, 20, 120, 100), fill=ink)
    picture.convert("RGB").save(path)
    return path


@pytest.mark.parametrize(("paper", "ink"), [(255, 30), (0, 225)])
def test_an_own_image_is_light_on_black_and_keeps_its_shape(tmp_path, paper, ink):
    image = own_image(drawn(tmp_path / "own.png", paper, ink))
    assert image.shape == (1, 1, 28, 28)
    assert image.dtype == torch.uint8
    assert image[0, 0, :5].max() == 0  # padded above
    assert image[0, 0, 14, 14] == 225
    lit = image[0, 0] > 110
    width = lit.any(dim=0).sum().item()
    height = lit.any(dim=1).sum().item()
    assert (width, height) == pytest.approx((41 / 200 * 28, 81 / 200 * 28), abs=1)


def test_what_is_transparent_counts_as_white(tmp_path):
    path = drawn(tmp_path / "paper.png", 255, 30)
    on_paper = Image.open(path).convert("L")
    cut_out = Image.new("RGBA", on_paper.size, (30, 30, 30, 0))
    cut_out.putalpha(on_paper.point(lambda grey: 255 if grey < 128 else 0))
    cut_out.save(tmp_path / "cut_out.png")
    assert torch.equal(own_image(tmp_path / "cut_out.png"), own_image(path))


def test_an_image_of_16_bits_is_refused(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((40, 40), 40_000, dtype=np.uint16)).save(path)
    assert error_of(lambda: own_image(path)) == (
        f"{path} has 16 bits a pixel: save it with 8, as a JPEG or an 8-bit PNG"
    )


def test_an_own_image_that_is_none(tmp_path):
    path = tmp_path / "own.png"
    with pytest.raises(FileNotFoundError):
        own_image(path)
    path.write_text("no picture")
    assert error_of(lambda: own_image(path)) == (
        f"{path} is no picture that Pillow reads: give a PNG or JPEG"
    )


def test_a_truncated_picture_is_named(tmp_path):
    path = drawn(tmp_path / "own.png", 255, 30)
    path.write_bytes(path.read_bytes()[:150])
    assert "own.png is no picture that Pillow reads" in error_of(lambda: own_image(path))


@pytest.fixture
def folder(tmp_path):
    """Two pictures, not made in the order of their names, and files beside them that are none."""
    made = tmp_path / "my_clothes"
    made.mkdir()
    drawn(made / "b_shirt.PNG", 255, 30)
    drawn(made / "a_bag.jpg", 0, 200)
    (made / "notes.txt").write_text("a bag, a shirt")
    (made / "._a_bag.jpg").write_bytes(b"\x00\x05\x16\x07")  # what macOS leaves on other drives
    return made


def test_a_folder_is_read_in_the_order_of_its_names(folder):
    images = own_images(folder)
    assert images.shape == (2, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert torch.equal(images[:1], own_image(folder / "a_bag.jpg"))
    assert torch.equal(images[1:], own_image(folder / "b_shirt.PNG"))
    assert torch.equal(own_images(str(folder)), images)


def test_a_folder_without_pictures_a_file_and_nothing_at_all(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no picture; put files into it whose names end in .bmp" in error_of(
        lambda: own_images(empty)
    )
    with pytest.raises(FileNotFoundError, match="missing; give a folder"):
        own_images(tmp_path / "gone")
    with pytest.raises(NotADirectoryError, match="is a file; give the folder"):
        own_images(folder / "a_bag.jpg")
    (folder / "c.png").write_text("no picture")
    assert "c.png is no picture that Pillow reads" in error_of(lambda: own_images(folder))


def test_arrays_become_what_the_encoders_take():
    clothes = load("fashion-mnist-part", "test", limit=4).images  # uint8 [4, 1, 28, 28]
    forms = [
        clothes,
        clothes[:, 0],
        clothes.numpy(),
        clothes.numpy()[:, 0],
        clothes.float() / 255,
        clothes.numpy()[:, 0].astype(np.float16) / 255,
        list(clothes),
        [image[0].numpy() for image in clothes],
        tuple(clothes.double() / 255),
    ]
    for form in forms:
        assert torch.equal(own_images(form), clothes)
    taken = own_images(clothes)
    taken[:] = 0
    assert clothes.max() > 0  # a copy
    encoder = pretrained("contrastive", 0.2)
    assert torch.equal(embed(encoder, own_images(list(clothes))), embed(encoder, clothes))


GREY = torch.zeros(2, 28, 28, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        (torch.zeros(2, 32, 32), ValueError, r"array has shape \[2, 32, 32\].*28 x 28.*any size"),
        (
            torch.zeros(2, 3, 28, 28),
            ValueError,
            r"shape \[2, 3, 28, 28\]; give .*: of colours take",
        ),
        (np.zeros((2, 28, 28, 3)), ValueError, r"shape \[2, 28, 28, 3\]; give .*: of colours take"),
        (GREY[0], ValueError, r"shape \[28, 28\]; give .*: one image is image\[None\]"),
        (GREY[:0], ValueError, r"shape \[0, 28, 28\]"),
        ([], ValueError, "the list is empty"),
        ([GREY[0], GREY[0, :9]], ValueError, r"image 1 of the list has shape \[9, 28\]"),
        ([GREY], ValueError, r"image 0 of the list has shape \[2, 28, 28\]; give \[28, 28\] or"),
        ([[0.5] * 28] * 28, TypeError, "image 0 of the list is a list; give a folder"),
        (7, TypeError, "the array is a int; give a folder"),
        (GREY.long(), TypeError, "dtype torch.int64; give uint8"),
        (GREY.numpy().astype(np.int32), TypeError, "dtype int32; give uint8"),
        (GREY + 37.0, ValueError, r"values from 37 to 37; floats must be in \[0, 1\]: divide"),
        (GREY * torch.nan, ValueError, "values from nan"),
    ],
)
def test_images_of_another_size_or_kind_are_refused(source, error, says):
    with pytest.raises(error, match=says):
        own_images(source)
