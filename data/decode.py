"""Decodes an image file to 8-bit RGB pixels, the right way up, or refuses it.

Pillow's own conversion clips pixels of more than 8 bits, and ignores the orientation that a camera
notes in EXIF. Both are done here as OpenCV's `imread` does, with which MLPerf's reference reads.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Pillow warns of odd EXIF, palettes and sizes on the screen, once for each image. An image either
# gives its pixels or is refused by name. The filter is the process's, because decoding has threads.
warnings.filterwarnings("ignore", module=r"PIL(\.|$)")

# Modes of 8 bits or fewer, whose conversion to RGB changes no pixel that is seen. LAB is not one of
# them: Pillow takes its values for another colour.
_EIGHT_BITS = frozenset(
    {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "La"}
)
_SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_PGM_OF_16_BITS = ("PPM", "I")  # format and mode; Pillow has scaled it to 0..65535

# Tags of TIFF 6.0, and what their values mean.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO = 0
_UNSIGNED = 1

_ORIENTATION = 0x0112  # EXIF 2.32, 4.6.4
_TURNS: Mapping[object, Transpose] = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,  # counter-clockwise
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

_SIDEWAYS = frozenset(
    {Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90}
)


def decode(path: Path | BinaryIO, *, upright: bool = True) -> Image.Image:
    """Return the whole image in mode RGB.

    Args:
        path: of the file, or a stream with its bytes.
        upright: apply the orientation in EXIF. The one in a TIFF's own tags always applies.

    Raises:
        DataError: the file is missing, not an image, cut off, or its pixels have no 8-bit form.
    """
    try:
        with Image.open(path) as image:
            image.load()
            pixels = _eight_bits(image, path)
            turn = _TURNS.get(_orientation(image)) if upright else None
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected an image.") from error
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything for a broken file
        raise DataError(f"{path}: not an image, or damaged: {error}.") from error
    return pixels if turn is None else pixels.transpose(turn)


def size_of(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """Return width and height of the image that `decode` would return, without its pixels.

    Raises:
        DataError: the file is missing, or not an image.
    """
    try:
        with Image.open(path) as image:
            turn = _TURNS.get(_orientation(image)) if upright else None
            width, height = image.size
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; expected an image.") from error
    except Exception as error:  # Pillow's decoders raise almost anything for a broken file
        raise DataError(f"{path}: not an image, or damaged: {error}.") from error
    return (height, width) if turn in _SIDEWAYS else (width, height)


def _eight_bits(image: Image.Image, path: Path | BinaryIO) -> Image.Image:
    mode, tags = image.mode, _tags(image)
    signed = set(tags.get(_SAMPLE_FORMAT, ())) - {_UNSIGNED}
    if mode in _EIGHT_BITS and not signed:
        return image.convert("LA" if mode == "La" else mode).convert("RGB")
    if mode in _SIXTEEN_BITS or (image.format, mode) == _PGM_OF_16_BITS:
        (bits,) = tags.get(_BITS, (16,))
        high = (np.asarray(image).astype(np.int64) >> (bits - 8)).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            high = 255 - high
        return Image.fromarray(high).convert("RGB")
    what = f"{mode}, not unsigned" if signed else mode
    raise DataError(
        f"{path}: pixels of mode {what} have no certain form in 8 bits; expected grey or colour of "
        "8 or 16 bits. Convert the images with the scale that the model was trained with."
    )


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of a TIFF; those of EXIF in other formats say nothing about pixels."""
    return getattr(image, "tag_v2", {})


def _orientation(image: Image.Image) -> object:
    """Return the orientation in EXIF; None without one. What cannot be read is ignored."""
    raw = image.info.get("exif")
    if not raw:
        return None
    exif = Image.Exif()
    try:
        exif.load(raw)
        return exif.get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - damaged EXIF raises almost anything, and the pixels are whole
        return None
