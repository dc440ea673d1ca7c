"""No tracker: what was detected, without identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sut.video.types import no_boxes

if TYPE_CHECKING:
    from sut.video.types import Boxes, Pixels


class NoTracker:
    """Passes boxes on. Nobody knows of any object in a frame without inference."""

    sees_pixels = False

    def update(self, boxes: Boxes | None, pixels: Pixels) -> Boxes:
        """See sut.video.types.Tracker."""
        return no_boxes() if boxes is None else boxes

    def describe(self) -> dict[str, object]:
        """See sut.video.types.Tracker."""
        return {"preset": "none", "algorithm": "none", "parameters": {}}
