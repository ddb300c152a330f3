"""Images that are not 8 bits, opaque, upright and single: scaled, laid on white, turned, or
refused.
"""

import struct
import zlib

import numpy as np
import pytest
from data_helpers import error_of
from PIL import Image, ImageOps

from contrastlib.data.image_decoding import decode, turn_upright

GREY = np.array([[0, 16448], [32896, 65535]], np.uint16)  # 257 times 0, 64, 128 and 255
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)
SCALED = np.array([[0, 64], [128, 255]], np.uint8)
WHITE = [255, 255, 255]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"  # Pillow goes by what a file holds, not by its name


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(pixels, extra=b""):
    """A PNG of 16 bits a channel, which Pillow writes for grey images alone; pixels [H, W(, C)]."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b""
    for row in pixels:
        rows += b"\0" + row.astype(">u2").tobytes()
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def tiff(pixels, bits, width=None, sample_format=1, photometric=1):
    """A little-endian, uncompressed grey TIFF; pixels are written as they are."""
    height = pixels.shape[0]
    data = pixels.tobytes()
    tags = [
        (256, width or pixels.shape[1]),
        (257, height),
        (258, bits),
        (259, 1),  # no compression
        (262, photometric),
        (273, 8),  # where the data begin
        (277, 1),  # one channel
        (278, height),
        (279, len(data)),
        (339, sample_format),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


# More than 8 bits a channel


def save_with_pillow(pixels, **options):
    return lambda path: Image.fromarray(pixels).save(path, **options)


def write(content):
    return lambda path: path.write_bytes(content)


DEEP = {
    "PNG": save_with_pillow(GREY),
    "TIFF": save_with_pillow(GREY, format="TIFF"),
    "TIFF, big-endian": save_with_pillow(GREY.astype(">u2"), format="TIFF"),
    "TIFF, compressed": save_with_pillow(GREY, format="TIFF", compression="tiff_lzw"),
    "TIFF, 0 is white": write(tiff(65535 - GREY, 16, photometric=0)),
    "JPEG 2000": save_with_pillow(GREY, format="JPEG2000"),
    "PGM": write(b"P5\n2 2\n65535\n" + GREY.astype(">u2").tobytes()),
    "PGM, plain": write(b"P2\n2 2\n65535\n0 16448 32896 65535\n"),
    "PGM, 10 bits": write(b"P5\n2 2\n1023\n" + (GREY >> 6).astype(">u2").tobytes()),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_greys_are_scaled(path, kind):
    DEEP[kind](path)
    assert np.array_equal(decode(path, "L"), SCALED[None])
    assert np.array_equal(decode(path, "RGB"), np.stack([SCALED] * 3))


def test_all_values_of_16_bits(path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(path)
    assert np.array_equal(decode(path, "L")[0], values // 257)
    path.write_bytes(deep_png(np.stack([values] * 3, axis=2)))
    assert np.abs(decode(path)[0].astype(int) - values // 257).max() <= 1  # Pillow's upper byte


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("PNG", deep_png(COLOUR)),
        ("PPM", b"P6\n2 2\n65535\n" + COLOUR.astype(">u2").tobytes()),
    ],
)
def test_deep_colours_are_scaled(path, kind, content):
    path.write_bytes(content)
    assert np.array_equal(decode(path), (COLOUR // 257).transpose(2, 0, 1))


def test_tiff_of_12_bits_is_scaled_by_its_own_range(path):
    path.write_bytes(
        tiff(np.array([[0x00, 0x0F, 0xFF], [0x80, 0x00, 0x10]], np.uint8), 12, width=2)
    )
    assert decode(path, "L").tolist() == [[[0, 255], [2048 * 255 // 4095, 16 * 255 // 4095]]]


REFUSED = {
    "TIFF of floats": save_with_pillow(np.zeros((2, 2), np.float32), format="TIFF"),
    "TIFF of 32 bits": save_with_pillow(np.zeros((2, 2), np.int32), format="TIFF"),
    "TIFF of 32 bits, unsigned": write(tiff(np.zeros((2, 2), np.uint32), 32)),
    "TIFF of 16 bits, signed": write(tiff(np.zeros((2, 2), np.int16), 16, sample_format=2)),
    "PFM": write(b"Pf\n2 2\n-1.0\n" + bytes(16)),
    "FITS": write(
        b"".join(
            card.ljust(80)
            for card in (
                b"SIMPLE  = T",
                b"BITPIX  = 16",
                b"NAXIS   = 2",
                b"NAXIS1  = 2",
                b"NAXIS2  = 2",
            )
        )
        + b"END".ljust(2480)
        + bytes(2880)
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_numbers_of_no_certain_range_are_refused(path, kind, mode):
    REFUSED[kind](path)
    message = error_of(lambda: decode(path, mode))
    assert message.startswith(f"{path} holds numbers of more than 8 bits and of no certain range")


# Transparency


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_clear_pixels_are_white_and_opaque_ones_unchanged(tmp_path, suffix):
    red = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [9, 8, 7, 255], [0, 0, 0, 128]]], np.uint8)
    path = tmp_path / f"image.{suffix}"
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(red).save(path, **options)
    found = decode(path).transpose(1, 2, 0)[0].tolist()
    assert found == [WHITE, [255, 0, 0], [9, 8, 7], [127] * 3]
    assert decode(path, "L")[0, 0, 0] == 255


def test_grey_with_alpha(path):
    Image.fromarray(np.array([[[10, 0], [10, 255]]], np.uint8)).save(path)
    assert decode(path, "L").tolist() == [[[255, 10]]]


def palette_image():
    """Red, blue."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_a_clear_colour(path, kind):
    palette_image().save(path, format=kind, transparency=0)
    assert decode(path).transpose(1, 2, 0)[0].tolist() == [WHITE, [0, 0, 255]]
    palette_image().save(path, format=kind)
    assert decode(path).transpose(1, 2, 0)[0].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_palette_with_an_alpha_for_each_colour(path):
    palette_image().save(path, transparency=bytes([255, 0]))
    assert decode(path).transpose(1, 2, 0)[0].tolist() == [[255, 0, 0], WHITE]


def test_one_clear_grey_or_colour(path):
    Image.fromarray(np.array([[7, 9]], np.uint8)).save(path, transparency=7)
    assert decode(path, "L").tolist() == [[[255, 9]]]
    Image.fromarray(np.array([[[1, 2, 3], [3, 2, 1]]], np.uint8)).save(path, transparency=(1, 2, 3))
    assert decode(path).transpose(1, 2, 0)[0].tolist() == [WHITE, [3, 2, 1]]


def test_transparency_of_16_bits(path):
    alpha = np.array([[65535, 0], [65535, 0]], np.uint16)[:, :, None]
    path.write_bytes(deep_png(np.concatenate([COLOUR, alpha], axis=2)))
    expected = (COLOUR // 257).copy()
    expected[:, 1] = 255
    assert np.array_equal(decode(path), expected.transpose(2, 0, 1))
    path.write_bytes(deep_png(np.concatenate([GREY[:, :, None], alpha], axis=2)))
    assert decode(path, "L").tolist() == [[[0, 255], [128, 255]]]
    path.write_bytes(deep_png(GREY, png_chunk(b"tRNS", struct.pack(">H", 32896))))
    assert decode(path, "L").tolist() == [[[0, 64], [255, 255]]]
    path.write_bytes(deep_png(COLOUR, png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))))
    message = error_of(lambda: decode(path))
    assert message.startswith(f"{path} has 16 bits a channel and one colour that is transparent")


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    pixels = (
        np.random.default_rng(0).integers(0, 256, (2, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"image.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(pixels).convert("RGB").save(path, exif=exif, **options)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
    found = decode(path)
    assert found.shape == ((3, 16, 24) if orientation < 5 else (3, 24, 16))
    assert np.array_equal(found, expected)


def test_deep_images_are_turned_too(path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(GREY).save(path, exif=exif)
    assert np.array_equal(decode(path, "L")[0], SCALED[::-1, ::-1])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"MM"])
def test_damaged_exif_leaves_the_image_as_it_is(path, exif):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 1, 3)
    Image.fromarray(pixels).save(path, exif=exif)
    assert np.array_equal(decode(path), pixels.transpose(2, 0, 1))


def test_unknown_orientations_change_nothing():
    image = Image.fromarray(GREY)
    assert all(turn_upright(image, orientation) is image for orientation in (0, 1, 9, None))


# Other modes, and several images in one file


@pytest.mark.parametrize(
    ("name", "pixels", "options", "expected"),
    [
        ("a.png", np.array([[True, False]]), {}, [[255] * 3, [0] * 3]),
        ("a.tif", Image.new("CMYK", (1, 1), (255, 0, 0, 0)), {}, [[0, 255, 255]]),
        ("a.jpg", Image.new("CMYK", (1, 1), (0, 0, 0, 255)), {"quality": 100}, [[0, 0, 0]]),
        ("a.jpg", Image.new("CMYK", (1, 1), (0, 0, 0, 0)), {"quality": 100}, [WHITE]),
    ],
)
def test_other_modes(tmp_path, name, pixels, options, expected):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(tmp_path / name, **options)
    assert decode(tmp_path / name).transpose(1, 2, 0)[0].tolist() == expected


@pytest.mark.parametrize("suffix", ["png", "webp", "gif", "tif"])
def test_first_frame_of_several(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    later = Image.new("RGB", (2, 1), (200, 0, 0))
    options = {"lossless": True} if suffix == "webp" else {}
    first = Image.new("RGB", (2, 1), (10, 20, 30))
    first.save(path, save_all=True, append_images=[later], **options)
    assert decode(path).transpose(1, 2, 0)[0].tolist() == [[10, 20, 30]] * 2
