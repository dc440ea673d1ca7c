"""Cores as text, the order of processes, and the C library's allocator."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from sut.base.errors import ConfigError
from sut.base.process import (
    NICENESS,
    collector_off,
    collector_on,
    cpu_list,
    parse_affinity,
    parse_cpus,
    return_memory,
)


def test_ranges_and_single_cores_are_read() -> None:
    assert parse_cpus("0-3,8, 10-11") == {0, 1, 2, 3, 8, 10, 11}


@pytest.mark.parametrize("text", ["0-3,8,10-11", "7", "0-1", "2,4", ""])
def test_cores_are_written_as_they_are_read(text: str) -> None:
    assert cpu_list(parse_cpus(text) if text else ()) == text


def test_devices_get_their_cores() -> None:
    assert parse_affinity("0:0-15&1,2:16-31") == {"0": "0-15", "1": "16-31", "2": "16-31"}
    assert parse_affinity("") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "DEVICES:CORES"),
        ("0:", "DEVICES:CORES"),
        ("0:a-b", "0-3,8"),
        ("0:3-1", "3-1"),
        ("0:1&0:2", "device 0"),
        ("0:1-", "cores"),
    ],
)
def test_what_is_no_such_list_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_affinity(text)


class Ring:
    """Refers to itself, as engines of libraries do."""

    def __init__(self) -> None:
        self.me = self


def test_what_was_frozen_is_collected_once_the_collector_is_on_again() -> None:
    interval_s = sys.getswitchinterval()
    ring = Ring()
    gone = weakref.ref(ring)
    try:
        collector_off()
        del ring
        gc.collect()
        assert gone() is not None, "frozen"
    finally:
        collector_on()
        sys.setswitchinterval(interval_s)

    assert gone() is None
    assert gc.isenabled()


def before_others_in(*, new_session: bool) -> str:
    """Return the session's niceness after a process of it went before others."""
    code = (
        "import pathlib, sut.base.process; sut.base.process.before_others(); "
        "print(pathlib.Path('/proc/self/autogroup').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        start_new_session=new_session,
    )
    return done.stdout.strip()


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists() or os.geteuid() != 0,
    reason="needs Linux's autogroup, and root",
)
def test_a_test_goes_before_other_sessions_and_leaves_its_user_s_own_alone() -> None:
    before = Path("/proc/self/autogroup").read_text("ascii").strip()

    assert before_others_in(new_session=True).endswith(f"nice {NICENESS}")
    assert before_others_in(new_session=False) == before


def printed_by(code: str) -> int:
    """Return the number that a process of Python prints."""
    command = [sys.executable, "-c", code]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


# Frees many small blocks of malloc's, and prints how many bytes of them wait in its fastbins.
FREE_MANY = """\
import ctypes
import sut.base.process

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]


class Figures(ctypes.Structure):  # struct mallinfo2 of malloc.h
    _fields_ = [("field" + str(n), ctypes.c_size_t) for n in range(10)]


libc.mallinfo2.restype = Figures
if {off}:
    sut.base.process.fastbins_off()
blocks = [libc.malloc(48) for _ in range(10_000)]
for block in blocks:
    libc.free(block)
print(libc.mallinfo2().field6)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="this C library is not glibc 2.33 or newer"
)
def test_freed_blocks_wait_in_no_list_for_a_later_walk() -> None:
    waiting = {off: printed_by(FREE_MANY.format(off=off)) for off in (False, True)}

    assert waiting[False] > 100_000
    assert waiting[True] == 0


# Takes and frees four blocks of 602 kB a hundred times, and prints how many pages it was given.
TAKE_LARGE = """\
import ctypes
import resource
import sut.base.process

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
if {kept}:
    sut.base.process.keep_large_blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    blocks = [libc.malloc(602_112) for _ in range(4)]
    for block in blocks:
        ctypes.memset(block, 1, 602_112)
    for block in blocks:
        libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="this C library is not glibc 2.33 or newer"
)
def test_large_blocks_that_were_freed_need_no_new_pages() -> None:
    given = {kept: printed_by(TAKE_LARGE.format(kept=kept)) for kept in (False, True)}

    assert given[True] < given[False] / 4


def test_memory_below_a_block_in_use_is_given_back() -> None:
    def resident_mib() -> float:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) / 256

    blocks = [bytes([number % 256]) * 4096 for number in range(10_000)]
    kept = blocks[-1]
    del blocks
    before_mib = resident_mib()

    return_memory()

    assert resident_mib() < before_mib - 30
    assert kept
