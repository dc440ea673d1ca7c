"""Pictures made smaller on a device: each pixel is the mean of the area that it covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from backends.cuda.gpu import open_driver
from backends.cuda.host_driver import HostDriver
from sut.base.errors import SutError
from tests.backends.shrinking import shrunk

if TYPE_CHECKING:
    from numpy.typing import NDArray


def image(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)


def test_whole_blocks_become_their_mean() -> None:
    whole = image(12, 20)

    found = shrunk(HostDriver(), whole, (5, 4))

    np.testing.assert_allclose(found, whole.reshape(4, 3, 5, 4, 3).mean((1, 3)), atol=0.5)


def test_a_pixel_between_two_counts_for_each_by_its_share() -> None:
    row = np.array([[[90] * 3, [30] * 3, [60] * 3]], np.uint8)

    found = shrunk(HostDriver(), row, (2, 1))

    assert found[0, :, 0].tolist() == [(90 + 30 / 2) / 1.5, (30 / 2 + 60) / 1.5]


def test_the_same_size_is_the_same_picture() -> None:
    whole = image(7, 9)

    np.testing.assert_array_equal(shrunk(HostDriver(), whole, (9, 7)), whole)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(300, 300), (533, 300), (1920, 1080), (1, 1), (2000, 1090)])
def test_a_gpu_makes_the_same_picture_as_the_host(size: tuple[int, int]) -> None:
    try:
        gpu = open_driver("0")
    except SutError as error:
        pytest.skip(str(error))
    gpu.use()
    whole = image(1080, 1920)

    on_gpu, on_host = shrunk(gpu, whole, size), shrunk(HostDriver(), whole, size)

    # Sums of float32 and of float64 are rounded to neighbours where they are near a half.
    assert np.abs(on_gpu.astype(int) - on_host).max() <= 1
    assert (on_gpu == on_host).mean() > 0.99
