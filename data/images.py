"""From one image file to one sample: decode, resize, crop, order channels, normalise.

Pillow resizes. Every step gives the same bytes for the same file and versions of Pillow and NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data import schema
from data.decode import decode
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def read_sample(
    path: Path, steps: Sequence[schema.Step], layout: str | None, dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return the sample of one image file: [C, H, W] for NCHW, else [H, W, C].

    Numbers become integers by rounding to the nearest, and are cut to the integer's range.

    Raises:
        DataError: the file is missing, not an image, cut off, smaller than its crop, or of pixels
            without an 8-bit form.
    """
    image = decode(path, upright=schema.Exif(orientation="ignore") not in steps)
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    for step in steps:
        match step:
            case schema.Normalize():
                mean, std = step.mean, step.std
            case schema.CenterCrop():
                image = _center_crop(image, step, path)
            case _:
                image = _change(image, step)
    pixels = np.asarray(image)
    if pixels.ndim == 2:  # noqa: PLR2004 - grey images come without an axis of channels
        pixels = pixels[:, :, None]
    values = pixels.astype(np.float32)
    values -= np.asarray(mean, np.float32)
    values /= np.asarray(std, np.float32)
    sample = _cast(values, dtype)
    return sample.transpose(2, 0, 1) if layout == "NCHW" else sample


def _change(image: Image.Image, step: schema.Step) -> Image.Image:
    match step:
        case schema.ResizeShorter():
            width, height = image.size
            shorter = min(width, height)
            size = (width * step.size // shorter, height * step.size // shorter)
            return image.resize(size, _FILTERS[step.filter])
        case schema.Resize():
            return image.resize((step.width, step.height), _FILTERS[step.filter])
        case schema.Color(order="BGR"):
            return Image.merge("RGB", image.split()[::-1])
        case schema.Color(order="L"):
            return image.convert("L")
    return image


def _center_crop(image: Image.Image, step: schema.CenterCrop, path: Path) -> Image.Image:
    width, height = image.size
    if width < step.width or height < step.height:
        raise DataError(
            f"{path}: {height}x{width} pixels at center_crop; expected at least "
            f"{step.height}x{step.width}. Put a resize before it, or leave the image out."
        )
    left, top = (width - step.width) // 2, (height - step.height) // 2
    return image.crop((left, top, left + step.width, top + step.height))


def _cast(values: NDArray[np.float32], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
