"""Rooms for frames in shared memory, and how many processes read: without any process."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sut.video.flow.apart.memory import COUNTS, Layout, Memory, StageRoom
from sut.video.flow.apart.rooms import RELEASED, Room
from sut.video.flow.apart.wire import Handed, Pixels, pack_frame, unpack_frame
from sut.video.flow.interpreter import Looks
from sut.video.flow.settings import reader_processes

if TYPE_CHECKING:
    from numpy.typing import NDArray


STAGES = (
    StageRoom(1, (((3, 5, 7), "float32"), ((11,), "int64"))),
    StageRoom(4, (((2, 6), "uint8"), ((3,), "float32"))),
)


def mapped(layout: Layout) -> tuple[Memory, Memory]:
    """Return a memory as two processes map it."""
    file = os.memfd_create("test")
    try:
        os.ftruncate(file, layout.size)
        return Memory(file, layout), Memory(file, layout)
    finally:
        os.close(file)


def test_what_one_side_writes_the_other_reads_and_no_two_rooms_overlap() -> None:
    layout = Layout(STAGES, 3, (0, 4 * 2 * 3))
    ours, theirs = mapped(layout)

    for stream in range(2):
        for taken in range(3):
            for number, array in enumerate(all_of(ours, stream, taken)):
                array[:] = 40 * stream + 10 * taken + number
    for taken in range(3):
        ours.pixels(1, taken, (4, 2))[:] = 100 + taken
    ours.counts(1)[0], ours.beat_ns, ours.looks = 7, 9, Looks(5, 2)

    for stream in range(2):
        for taken in range(3):
            arrays = all_of(theirs, stream, taken)
            first = 40 * stream + 10 * taken
            assert [np.unique(one).tolist() for one in arrays] == [[first + n] for n in range(4)]
            shapes = [(1, 3, 5, 7), (1, 11), (4, 2, 6), (4, 3)]
            assert [array.shape for array in arrays] == shapes
    (output,) = theirs.answer(1, 0, 1, 2)
    assert output.shape == (2, 3), "of two samples"
    again = np.shares_memory(theirs.input(1, 4), theirs.input(1, 1))
    assert again, "the fourth frame takes the first one's room"
    assert theirs.pixels(1, 2, (4, 2)).shape == (2, 4, 3)
    assert [np.unique(theirs.pixels(1, k, (4, 2))).tolist() for k in range(3)] == [
        [100], [101], [102],
    ]  # fmt: skip
    assert (theirs.counts(1)[0], theirs.beat_ns, theirs.looks) == (7, 9, (5, 2))
    ours.clear()
    assert theirs.counts(1).tolist() == [0] * len(COUNTS)


def all_of(memory: Memory, stream: int, taken: int) -> list[NDArray[Any]]:
    """Return all arrays of a room."""
    found = []
    for number, stage in enumerate(STAGES):
        found.append(memory.input(stream, taken, number, stage.rows))
        found += memory.answer(stream, taken, number, stage.rows)
    return found


def test_a_room_is_free_again_when_the_other_process_has_counted_its_frame() -> None:
    counts = memoryview(bytearray(8 * len(COUNTS))).cast("q")
    room = Room(counts, 2)

    assert room.take(waits=True)
    assert room.take(waits=False)
    assert not room.take(waits=False)
    counts[RELEASED] += 1
    assert room.take(waits=False)
    room.add()  # it was not used
    assert room.take(waits=False)
    assert not room.take(waits=False)


@pytest.mark.parametrize("ends", [False, True])
def test_who_waits_for_room_gets_it_or_is_told_that_it_is_over(ends: bool) -> None:
    counts = memoryview(bytearray(8 * len(COUNTS))).cast("q")
    room, got = Room(counts, 1), list[bool]()
    assert room.take(waits=True)

    waits = threading.Thread(target=lambda: got.append(room.take(waits=True)))
    waits.start()
    if ends:
        room.end()
    else:
        counts[RELEASED] += 1
        room.wake()
    waits.join(10)

    assert got == [not ends]


def test_a_frame_travels_as_it_is() -> None:
    sent = Handed(3, 2**40, 7, 1920, 1080, True, False, 1.5, -1, 2**60, 3, 4)

    got = unpack_frame(memoryview(pack_frame(sent))[5:])

    assert got == sent


def test_pixels_travel_only_of_frames_whose_pixels_are_wanted() -> None:
    wanted = [(p.wanted(inferred=True), p.wanted(inferred=False)) for p in Pixels]

    assert wanted == [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize(
    ("streams", "cores", "decoded_here", "expected"),
    [
        (100, 2, True, 0),
        (7, 16, True, 0),
        (8, 16, True, 8),
        (25, 16, True, 16),
        (8, 16, False, 1),
        (25, 16, False, 2),
        (200, 16, False, 13),
    ],
)
def test_processes_are_as_many_as_streams_and_cores_want(
    streams: int, cores: int, decoded_here: bool, expected: int
) -> None:
    assert reader_processes(streams, cores, decoded_here=decoded_here) == expected


@pytest.mark.parametrize(
    ("streams", "cores", "decoded_here", "expected"),
    [(1, 16, True, 0), (2, 2, True, 2), (25, 16, True, 16), (4, 16, False, 2), (25, 16, False, 13)],
)
def test_whoever_makes_crops_has_few_streams(
    streams: int, cores: int, decoded_here: bool, expected: int
) -> None:
    found = reader_processes(streams, cores, decoded_here=decoded_here, crops=True)

    assert found == expected
