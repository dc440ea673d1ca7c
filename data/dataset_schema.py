"""The structures of a benchmark file's `dataset`: where samples come from.

A relative path starts at the benchmark file's folder; `--data` replaces it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from data.strict_yaml import Positive, Sha256, StrictStruct, Text


class BuiltinData(StrictStruct, frozen=True, tag_field="kind", tag="builtin"):
    """Images inside an installed package, with the label in each file's name.

    Attributes:
        package: a pip requirement.
        folder: of the images, from the folder that packages are installed in.
        pattern: a regular expression for the whole file name, with the group `label`.
        sha256: of the files' contents one after the other, in the order of their names.
    """

    package: Text
    folder: Text
    pattern: Text
    sha256: Sha256

    def __post_init__(self) -> None:
        """Refuse a pattern that names no label."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a later Python may read it in another way
                groups = re.compile(self.pattern).groupindex
        except (re.error, OverflowError, RecursionError, Warning) as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error
        if "label" not in groups:
            raise ValueError('pattern has no group; expected "(?P<label>[0-9]+)" in it')


class ImagenetData(StrictStruct, frozen=True, tag_field="kind", tag="imagenet"):
    """ImageNet's validation images beside `val_map.txt`: a line `NAME LABEL` a sample, in order."""

    folder: Text | None = None
    val_map: Text = "val_map.txt"
    classes: Positive = 1000


class FolderData(StrictStruct, frozen=True, tag_field="kind", tag="folder"):
    """A folder of images.

    Attributes:
        folder: None if only `--data DIR` names it.
        labels: a CSV file in that folder with a line `file,label` for each sample; None: no labels,
            which is enough for a performance run.
        classes: labels are 0 to classes - 1; None: no upper limit.
    """

    folder: Text | None = None
    labels: Text | None = None
    classes: Positive | None = None


class ArraysData(StrictStruct, frozen=True, tag_field="kind", tag="arrays"):
    """NumPy arrays [N, *shape], one for each input and named as it: samples that are no images.

    Attributes:
        path: a .npz file, a folder with a .npy file for each input, or the .npy file of a single
            input; None if only `--data` names it.
        labels: the array beside them with a whole number for each sample; None: no labels, which is
            enough for a performance run.
        classes: labels are 0 to classes - 1; None: no upper limit.
    """

    path: Text | None = None
    labels: Text | None = None
    classes: Positive | None = None


class CocoData(StrictStruct, frozen=True, tag_field="kind", tag="coco"):
    """Images with boxes in a COCO annotation file; MLPerf's OpenImages has one, too.

    Sample i is the file's image i, as MLPerf's accuracy scripts count.

    Attributes:
        folder: None if only `--data DIR` names it.
        annotations: the file, from that folder.
        images: the images' folder, from that folder.
    """

    folder: Text | None = None
    annotations: Text = "annotations/instances_val2017.json"
    images: Text = "val2017"


class SyntheticData(StrictStruct, frozen=True, tag_field="kind", tag="synthetic"):
    """Random samples from a seed. Good for timing, and always named as synthetic in a result.

    Attributes:
        count: samples.
        seed: of the numbers.
        below: integers of an input are from 0 to one less than this, by the input's name. Without
            it, int32 and int64 are below 128, and bytes have any value.
        like: "electricity": the hourly consumption of made-up consumers; data.series says which
            inputs it takes. None: numbers without any order.
    """

    count: Positive
    seed: Annotated[int, Meta(ge=0)] = 0
    below: Mapping[str, Positive] = {}
    like: Literal["electricity"] | None = None
