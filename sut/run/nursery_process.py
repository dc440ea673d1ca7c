"""The process of sut.run.nursery: imports, and then forks whenever it is asked to.

It touches no device and has one thread, or it refuses to fork: neither survives that.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import traceback
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from backends.base import load_libraries
from sut.base.errors import EXIT_FAILED
from sut.run import child
from sut.run.nursery import MOST_BYTES, Answer, Imports, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STREAMS = 3
# NVIDIA's driver: /dev/nvidia0, /dev/nvidiactl, a Jetson's /dev/nvmap; on Windows' Linux /dev/dxg.
_DEVICES = ("/dev/nv", "/dev/dxg")


def main() -> int:
    """Import, then fork until the parent is gone; return the exit code."""
    first = dict(os.environ)  # imports set some, which a new process does not have
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        imports = msgspec.json.decode(parent.recv(MOST_BYTES), type=Imports)
        problem = _imported(imports) or unfit()
        # The collector would write to every page that the processes share.
        gc.collect()
        gc.freeze()
        parent.send(msgspec.json.encode(Answer(problem=problem)))
        while not problem:
            said, files, _, _ = socket.recv_fds(parent, MOST_BYTES, _STREAMS)
            if not said:
                return 0
            try:
                wanted = msgspec.json.decode(said, type=Wanted)
                answer = Answer(_forked(wanted, wanted.environment(first), files, parent))
            except OSError as error:
                answer = Answer(problem=f"no process could be forked: {error}")
            finally:
                for file in files:
                    os.close(file)
            parent.send(msgspec.json.encode(answer))
    return EXIT_FAILED


def unfit(proc: Path = Path("/proc/self")) -> str:
    """Return why a process must not be forked; empty: nothing speaks against it.

    Args:
        proc: its folder.
    """
    names = [
        (task / "comm").read_text("utf-8", "replace").strip()
        for task in (proc / "task").iterdir()
        if task.name != str(os.getpid())
    ]
    if names:
        return f"threads that the imports started ({', '.join(names)}) do not survive a fork"
    opened = {os.readlink(file) for file in (proc / "fd").iterdir() if file.is_symlink()}
    devices = sorted(name for name in opened if name.startswith(_DEVICES))
    if devices:
        return f"a device that the imports opened does not survive a fork: {', '.join(devices)}"
    return ""


def _imported(imports: Imports) -> str:
    """Import; return why that failed, or an empty text."""
    try:
        if imports.backend:
            load_libraries(imports.backend, imports.options, imports.device)
        for module in imports.modules:
            import_module(module)
        if not unfit() and _is_harmless(imports.perhaps):
            for module in imports.perhaps:
                import_module(module)
    except Exception as error:  # noqa: BLE001 - a new process says it in full
        return f"{type(error).__name__}: {error}"
    return ""


def _is_harmless(modules: Sequence[str]) -> bool:
    """Return whether a process that imports them may still be forked: another one tries it."""
    if not modules:
        return True
    tries = os.fork()
    if not tries:
        code = EXIT_FAILED
        try:
            for module in modules:
                import_module(module)
            code = EXIT_FAILED if unfit() else 0
        finally:  # whatever happens, no second nursery goes on here
            os._exit(code)
    _, status = os.waitpid(tries, 0)
    return status == 0


def _forked(
    wanted: Wanted, variables: Mapping[str, str], files: Sequence[int], parent: socket.socket
) -> int:
    """Fork a process that is an orphan at once, so that our parent adopts it; return its number.

    Raises:
        OSError: the system has no room for it.
    """
    told, tell = os.pipe()
    try:
        between = os.fork()
        if not between:
            _between(partial(_live, wanted, variables, files), tell, (parent.fileno(), told))
        os.close(tell)
        pid = os.read(told, MOST_BYTES)
        os.waitpid(between, 0)
    finally:
        os.close(told)
    if not pid:
        raise OSError("it ended before it began")
    return int(pid)


def _between(live: Callable[[], NoReturn], tell: int, ours: Sequence[int]) -> NoReturn:
    """Fork the process itself, and end: it becomes an orphan."""
    try:
        if not os.fork():
            os.setsid()
            os.write(tell, str(os.getpid()).encode())
            for file in (tell, *ours):
                os.close(file)
            live()
    finally:  # whatever happens, no second nursery goes on here
        os._exit(EXIT_FAILED)


def _live(wanted: Wanted, variables: Mapping[str, str], files: Sequence[int]) -> NoReturn:
    """Be the process: what it begins with is that of a new one."""
    try:
        for stream, file in enumerate(files):
            os.dup2(file, stream)
            os.close(file)
        os.environ.clear()
        os.environ.update(variables)
        if "numpy.random" in sys.modules:  # Python itself seeds its own after a fork
            sys.modules["numpy.random"].seed()
        sys.argv = [wanted.module, wanted.request]
        child.end(child.main(import_module(wanted.module).act, "forked"))
    except BaseException:  # noqa: BLE001 - as an interpreter ends with it
        traceback.print_exc()
        child.end(EXIT_FAILED)


if __name__ == "__main__":
    os._exit(main())  # nothing is left to do, and torch takes its time to end
