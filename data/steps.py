"""The steps of preprocessing in a benchmark file, from an image to one sample.

Layout and dtype are those of the input. Runs nothing: `data.images` does the steps.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from data.strict_yaml import Positive, PositiveFloat, StrictStruct

# Pillow's filters, which average over more pixels where an image shrinks; and "linear", which takes
# the four nearest pixels at any scale, as OpenCV's INTER_LINEAR does.
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos", "linear"]

_COLOR_CHANNELS = 3


class ResizeShorter(StrictStruct, frozen=True, tag_field="step", tag="resize_shorter"):
    """Scale so that the shorter side is `size` pixels; the longer one is cut to whole pixels."""

    size: Positive
    filter: Filter = "bilinear"


class Resize(StrictStruct, frozen=True, tag_field="step", tag="resize"):
    """Scale to exactly `height` x `width` pixels, whatever the aspect ratio."""

    height: Positive
    width: Positive
    filter: Filter = "bilinear"


class Letterbox(StrictStruct, frozen=True, tag_field="step", tag="letterbox"):
    """Scale to fit into `height` x `width` pixels, keep the aspect ratio, and fill the rest.

    Attributes:
        height: in pixels.
        width: in pixels.
        filter: of the scaling.
        fill: the value of all channels where no image is.
        place: of the image; "center" has equal borders, "corner" none at the top and left.
    """

    height: Positive
    width: Positive
    filter: Filter = "linear"
    fill: Annotated[int, Meta(ge=0, le=255)] = 114
    place: Literal["center", "corner"] = "center"


class CenterCrop(StrictStruct, frozen=True, tag_field="step", tag="center_crop"):
    """Keep the middle `height` x `width` pixels; a smaller image is refused."""

    height: Positive
    width: Positive


class Color(StrictStruct, frozen=True, tag_field="step", tag="color"):
    """Order the channels; "L" is one channel of grey. Without this step an image is RGB."""

    order: Literal["RGB", "BGR", "L"]


class Normalization(StrictStruct, frozen=True):
    """(x - mean) / std in float32 on x in 0..255: one number, or one a channel."""

    mean: float | tuple[float, ...] = 0.0
    std: PositiveFloat | tuple[PositiveFloat, ...] = 1.0

    def __post_init__(self) -> None:
        """Refuse a list that fits neither grey nor colour."""
        self.check_channels(_COLOR_CHANNELS)

    def check_channels(self, channels: int) -> None:
        """Raise ValueError unless the numbers are one, or one a channel."""
        for name, value in (("mean", self.mean), ("std", self.std)):
            if isinstance(value, tuple) and len(value) not in (1, channels):
                raise ValueError(
                    f"normalize: {name} has {len(value)} numbers; expected 1, or one for each of "
                    f"{channels} channels"
                )


class Normalize(Normalization, frozen=True, tag_field="step", tag="normalize"):
    """Normalise; always the last step."""


class Exif(StrictStruct, frozen=True, tag_field="step", tag="exif"):
    """Whether the orientation that a camera noted in EXIF turns the image; without this step: yes.

    It is the first step. A model that was trained on images as they lie in their files needs
    "ignore". The orientation in a TIFF's own tags always applies.
    """

    orientation: Literal["apply", "ignore"] = "apply"


Step = Exif | ResizeShorter | Resize | Letterbox | CenterCrop | Color | Normalize
