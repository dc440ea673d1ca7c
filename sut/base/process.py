"""Settings of a measured process: garbage collector, interpreter lock, cores."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sut.base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

# With the interpreter's default of 5 ms, p99 at 20,000 queries/s is 10-12 ms instead of 2-3 ms.
SWITCH_INTERVAL_S = 1e-4


# <linux/prctl.h>. By default a thread's timers fire up to 50 us late.
_PR_SET_TIMERSLACK = 29

# Priority over other processes, if this user may set it (root, or CAP_SYS_NICE). A device that is
# 98 % busy never catches up with a thread that waited 10 ms for a core.
NICENESS = -10


def before_others() -> None:
    """Take priority over other processes, if this user may; threads and children inherit it.

    Call it first: on Linux it applies to the calling thread and to those that it starts. Where
    Linux groups processes by session (sched(7), autogroup), niceness counts only within a session,
    and each session has its own niceness. Call it in a process that leads its session.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    group = Path("/proc/self/autogroup")
    if group.exists() and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            group.write_text(str(NICENESS), "ascii")


def keep_large_blocks() -> None:
    """Let glibc's malloc keep the memory of freed blocks of up to 32 MiB, up to 256 MiB of it.

    By default what is free at the end of a heap goes back to the kernel, and the next block takes a
    page fault for each of its pages. A process that receives samples of 602 kB from libzmq spent
    0.23 of its 0.53 ms a sample on that. Call it before there are threads.

    Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, malloc.h
        mallopt(trim_threshold, 256 << 20)
        mallopt(mmap_threshold, 32 << 20)


def fastbins_off() -> None:
    """Make glibc's malloc merge a small block with its neighbours as soon as it is freed.

    In LoadGen, one thread allocates millions of blocks and another frees them. glibc keeps freed
    blocks in its fastbins until somebody asks for 1 KiB or more; then it walks through all of them.
    LoadGen's issuing thread asks for that much when more than 63 queries are due at once, which
    means that it is already late. Sampled at 20,700 queries/s: 82 walks in 34 s, each up to 3 ms,
    and 12 ms at the end. With this setting there are none.

    Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        largest_block_in_fastbins = 1  # M_MXFAST, malloc.h
        mallopt(largest_block_in_fastbins, 0)


def return_memory() -> None:
    """Give free memory back to the system; takes less than a millisecond for 60 MiB. Any thread.

    glibc keeps pages that were freed below one in use, and a server that frees on one thread what
    another asked for grows by them. Does nothing with another C library.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def precise_timers() -> None:
    """Make the calling thread's timers fire on time; if the system cannot, they fire a bit late."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def collector_off() -> None:
    """Keep garbage collection and long holds of the interpreter lock out of the measurement."""
    prefer_short_pauses()
    gc.disable()


def prefer_short_pauses() -> None:
    """Collect garbage only of what comes from now on, and hand over the interpreter lock sooner.

    For a few threads. Each one that waits for the lock looks after every such time, so with one for
    each of 20 streams that alone takes a sixth of the processor.
    """
    collect_new_alone()
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def collect_new_alone() -> None:
    """Collect garbage only of what comes from now on: to look at what is there takes long."""
    gc.collect()
    gc.freeze()


def collector_on() -> None:
    """Undo `collector_off`, and collect what was left meanwhile."""
    gc.unfreeze()
    gc.enable()
    gc.collect()


def bind_process(cpus: set[int]) -> None:
    """Bind every thread of this process to these cores; new threads inherit them.

    NumPy's matrix library starts threads when it is imported, before anybody knows the cores.
    """
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(task), cpus)


def parse_cpus(text: str) -> set[int]:
    """Return the cores of a list such as "0-3,8".

    Raises:
        ConfigError: `text` is not such a list.
    """
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ConfigError(f'--affinity: "{text}"; expected cores such as 0-3,8.')
        low, high = int(first), int(last or first)
        if high < low:
            raise ConfigError(f'--affinity: "{text}"; the range {part} is empty.')
        cpus.update(range(low, high + 1))
    return cpus


def cpu_list(cpus: Iterable[int]) -> str:
    """Return cores as a list such as "0-3,8", which `parse_cpus` reads."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and parts[-1][-1] == cpu - 1:
            parts[-1][1:] = [cpu]
        else:
            parts.append([cpu])
    return ",".join("-".join(map(str, part)) for part in parts)


def parse_affinity(text: str) -> dict[str, str]:
    """Split "0:0-15&1:16-31" (NVIDIA's syntax: devices, colon, cores) into cores by device.

    An empty text gives no devices.

    Raises:
        ConfigError: `text` does not have that form, or names a device twice.
    """
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        devices, colon, cpus = part.partition(":")
        if not (devices and colon and cpus):
            raise ConfigError(
                f'--affinity: "{part}"; expected DEVICES:CORES, such as 0:0-15&1:16-31.'
            )
        parse_cpus(cpus)
        for device in devices.split(","):
            if device in found:
                raise ConfigError(f'--affinity: device {device} is named twice in "{text}".')
            found[device] = cpus
    return found


def state_of(pid: int) -> str:
    """Return the state of a process, such as `R` or `D` (see proc(5)); empty: it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def is_stopped(pid: int) -> bool:
    """Whether a process stands still: a signal or a debugger stopped it, and nothing ended it."""
    return state_of(pid) in {"T", "t"}


def exit_words(code: int) -> str:
    """Return how a process ended in words: `signal SIGKILL`, or `exit code 1`."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
