"""One image file as 8 bits a channel, upright and without transparency, whatever the file holds.

This module loads Pillow; `image_folder` imports it only when there is a file to decode.
"""

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # the EXIF and TIFF tag
BITS_PER_SAMPLE = 258  # these two are TIFF tags
PHOTOMETRIC = 262
# Pillow's modes deeper than 8 bits whose values are unsigned and fill a known range, by format.
DEEP_MODES = {
    "JPEG2000": ("I;16",),
    "PNG": ("I", "I;16"),
    "PPM": ("I",),
    "TIFF": ("I;16", "I;16B", "I;16L"),
}


def decode(path: str, mode: str = "RGB") -> np.ndarray:
    """Decode one file to uint8 [C, H, W]; mode is "RGB" (C = 3) or "L" (C = 1).

    More than 8 bits a channel are scaled to 8, the full range to 0..255 (of 16 bits: value // 257;
    of colours Pillow itself keeps the higher byte, which is the same to within 1). Transparent
    images are laid on white. The EXIF orientation is applied. Of an animation or of several pages
    the first is taken.
    Errors: ValueError for a file that is no whole image, and for values without a known range
    (floats, 32-bit and signed integers).
    """
    try:
        with Image.open(path) as image:
            refusal = reason_to_refuse(image)
            if not refusal:
                pixels = eight_bit_pixels(image, mode)
    # Pillow raises any of these for a damaged file.
    except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = one_line(error)
        raise ValueError(
            f"{path} is damaged or no image: replace or delete it ({reason})"
        ) from None
    if refusal:
        raise ValueError(f"{path} {refusal}")
    pixels = pixels.reshape(*pixels.shape[:2], -1)  # [H, W, C]
    return pixels.transpose(2, 0, 1)


def one_line(error: BaseException) -> str:
    """The error's message with its line breaks as spaces."""
    return " ".join(str(error).split())


def is_deep(image: Image.Image) -> bool:
    """Whether an image is in one of Pillow's modes with more than 8 bits a channel."""
    return image.mode == "F" or image.mode.startswith("I")


def reason_to_refuse(image: Image.Image) -> str:
    """Why an image that was opened, but not yet loaded, has no certain 8-bit form; "" if it has."""
    if is_deep(image) and image.mode not in DEEP_MODES.get(image.format, ()):
        return (
            "holds numbers of more than 8 bits and of no certain range (Pillow's mode "
            f"{image.mode!r} in the format {image.format}): save it as a PNG with 8 or 16 bits"
        )
    reduced = ";16" in str(image.tile)  # Pillow will drop the lower byte of each colour
    if reduced and not is_deep(image) and "transparency" in image.info:
        return (
            "has 16 bits a channel and one colour that is transparent, which 8 bits cannot tell "
            "from its neighbours: save it with 8 bits a channel, or with an alpha channel"
        )
    return ""


def eight_bit_pixels(image: Image.Image, mode: str) -> np.ndarray:
    """The image as `decode` describes it: uint8 [H, W] in mode "L", [H, W, 3] in mode "RGB"."""
    image.load()
    orientation = read_orientation(image)
    if is_deep(image):
        image = scale_to_eight_bits(image)
    if image.has_transparency_data:
        image = lay_on_white(image)
    image = turn_upright(image, orientation)
    return np.asarray(image.convert(mode))


def scale_to_eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of up to 16 bits in mode "L": its full range becomes 0..255, rounded down."""
    values = np.asarray(image).astype(np.int64)  # [H, W]
    transparent = values == image.info.get("transparency")  # False where there is none
    bits = 16
    if image.format == "TIFF":
        bits = image.tag_v2[BITS_PER_SAMPLE][0]  # Pillow reads 12 bits unscaled
    largest = 2**bits - 1
    if image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0:
        values = largest - values  # 0 is white, which Pillow heeds for 8 bits only
    scaled = (values * 255 // largest).astype(np.uint8)
    scaled[np.broadcast_to(transparent, scaled.shape)] = 255
    return Image.fromarray(scaled)


def lay_on_white(image: Image.Image) -> Image.Image:
    """The image in mode "RGB", as it looks on a white page."""
    colours = image.convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")


def read_orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where there is none or the EXIF data is damaged."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow raises errors of many kinds here, and the image itself is whole
        return 1


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Undo an EXIF orientation, as ImageOps.exif_transpose does, which needs the EXIF data."""
    methods = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    if orientation not in methods:
        return image
    return image.transpose(methods[orientation])
