"""From one image file to one sample: decode, resize, crop, order channels, normalise.

Pillow resizes. Every step gives the same bytes for the same file and versions of Pillow and NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

from data import steps as steps_
from data.decode import decode
from data.frames import corner_of, letterboxed, resized
from sut.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

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
    path: Path | BinaryIO,
    steps: Sequence[steps_.Step],
    layout: str | None,
    dtype: np.dtype[np.generic],
) -> NDArray[np.generic]:
    """Return the sample of one image file, or of its bytes: [C, H, W] for NCHW, else [H, W, C].

    Numbers become integers by rounding to the nearest, and are cut to the integer's range.

    Raises:
        DataError: the file is missing, not an image, cut off, smaller than its crop, or of pixels
            without an 8-bit form.
    """
    image = decode(path, upright=steps_.Exif(orientation="ignore") not in steps)
    return sample_of(image, steps, layout, dtype, str(path))


def sample_of(  # noqa: PLR0913 - an image, four facts of its benchmark, and where it goes
    image: Image.Image,
    steps: Sequence[steps_.Step],
    layout: str | None,
    dtype: np.dtype[np.generic],
    where: str,
    room: NDArray[np.generic] | None = None,
) -> NDArray[np.generic]:
    """Return the sample of one upright RGB image, as `read_sample` does.

    It is made in `room`, which is then returned, if that has its shape, and is float32 or what the
    sample is.

    Raises:
        DataError: it is smaller than its crop; `where` names it.
    """
    for step in steps:
        match step:
            case steps_.Normalize():
                pass
            case steps_.CenterCrop():
                image = _center_crop(image, step, where)
            case _:
                image = _change(image, step)
    pixels = np.asarray(image)
    if pixels.ndim == 2:  # noqa: PLR2004 - grey images come without an axis of channels
        pixels = pixels[:, :, None]
    return sample_of_pixels(pixels, steps, layout, dtype, room)


def sample_of_pixels(
    pixels: NDArray[np.uint8],
    steps: Sequence[steps_.Step],
    layout: str | None,
    dtype: np.dtype[np.generic],
    room: NDArray[np.generic] | None = None,
) -> NDArray[np.generic]:
    """Return the sample of an image to which all steps but `normalize` are done.

    Args:
        pixels: [H, W, channels].
        steps: all of the benchmark.
        layout: of the sample.
        dtype: of the sample.
        room: see `sample_of`.
    """
    normalize = next((step for step in steps if isinstance(step, steps_.Normalize)), None)
    if dtype == pixels.dtype and normalize is None:
        made = pixels.transpose(2, 0, 1) if layout == "NCHW" else pixels
        if room is None or room.shape != made.shape or room.dtype != dtype:
            return np.array(made, order="C")
        room[...] = made
        return room
    by = normalize or steps_.Normalization()
    means, stds = (
        np.broadcast_to(np.asarray(of, np.float32), pixels.shape[2]) for of in (by.mean, by.std)
    )
    planes = pixels.transpose(2, 0, 1)
    values = _floats(planes.shape if layout == "NCHW" else pixels.shape, room)
    outs = values if layout == "NCHW" else values.transpose(2, 0, 1)
    # Each channel straight to its place: a fifth of the time of whole steps, one after the other.
    for plane, out, of_mean, of_std in zip(planes, outs, means, stds, strict=True):
        np.subtract(plane, of_mean, out=out, dtype=np.float32)
        np.divide(out, of_std, out=out)
    return _cast(values, dtype)


def _floats(shape: tuple[int, ...], room: NDArray[np.generic] | None) -> NDArray[np.float32]:
    if room is not None and room.shape == shape and room.dtype == np.float32:
        return cast("NDArray[np.float32]", room)
    return np.empty(shape, np.float32)


def _change(image: Image.Image, step: steps_.Step) -> Image.Image:
    match step:
        case steps_.ResizeShorter() | steps_.Resize():
            return _resize(image, resized(image.size, step), step.filter)
        case steps_.Letterbox():
            fitted = letterboxed(image.size, step)
            box = Image.new(image.mode, (step.width, step.height), _grey(image.mode, step.fill))
            box.paste(_resize(image, fitted.size, step.filter), fitted.corner)
            return box
        case steps_.Color(order="BGR"):
            return Image.merge("RGB", image.split()[::-1])
        case steps_.Color(order="L"):
            return image.convert("L")
    return image


def _grey(mode: str, value: int) -> int | tuple[int, ...]:
    return value if mode == "L" else (value,) * 3


def _resize(image: Image.Image, size: tuple[int, int], filter_: steps_.Filter) -> Image.Image:
    if filter_ != "linear":
        return image.resize(size, _FILTERS[filter_])
    if size == image.size:
        return image
    # Pillow's own bilinear filter takes more than four pixels where an image shrinks. Its affine
    # transform does not, but cuts the result to whole numbers, except in mode F.
    scale = (image.width / size[0], 0, 0, 0, image.height / size[1], 0)
    channels = [
        np.asarray(
            channel.convert("F").transform(
                size, Image.Transform.AFFINE, scale, Image.Resampling.BILINEAR
            )
        )
        for channel in image.split()
    ]
    pixels = np.rint(np.stack(channels, axis=2)).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if len(channels) == 1 else pixels)


def _center_crop(image: Image.Image, step: steps_.CenterCrop, where: str) -> Image.Image:
    width, height = image.size
    if width < step.width or height < step.height:
        raise DataError(
            f"{where}: {height}x{width} pixels at center_crop; expected at least "
            f"{step.height}x{step.width}. Put a resize before it, or leave the image out."
        )
    left, top = corner_of(image.size, step)
    return image.crop((left, top, left + step.width, top + step.height))


def _cast(values: NDArray[np.float32], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype, copy=False)
