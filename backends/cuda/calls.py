"""The CUDA calls of every batch, which do not release the interpreter lock.

They enqueue work and return within microseconds. A call that releases the lock must wait to get it
back: beside one other computing thread, 170 us a call on an H100's host instead of 7 us. Where
threads that are not Python's use the device, too, as decoders do, a call may wait for them, and
then releases the lock.

Handles are plain integers: the runtime API's and the driver API's are the same.
"""

from __future__ import annotations

import ctypes
import sys

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
SUCCESS, NOT_READY = 0, 600  # CUDA_SUCCESS, CUDA_ERROR_NOT_READY

_HANDLE, _ADDRESS = ctypes.c_void_p, ctypes.c_uint64
_SIZES = (ctypes.c_uint,) * 7  # grid, block, shared memory
_SIGNATURES = {
    "cuCtxSetCurrent": (_HANDLE,),
    "cuEventRecord": (_HANDLE, _HANDLE),
    "cuGraphLaunch": (_HANDLE, _HANDLE),
    "cuLaunchKernel": (_HANDLE, *_SIZES, _HANDLE, _HANDLE, _HANDLE),
    "cuMemcpyAsync": (_ADDRESS, _ADDRESS, ctypes.c_size_t, _HANDLE),
    "cuStreamQuery": (_HANDLE,),
    "cuStreamWaitEvent": (_HANDLE, _HANDLE, ctypes.c_uint),
}


class Calls:
    """Functions of the CUDA driver, by name; each returns a CUresult.

    Args:
        releases: they release the interpreter lock.

    Raises:
        OSError: the driver's library is not there.
    """

    def __init__(self, *, releases: bool = False) -> None:
        library = ctypes.CDLL(LIBRARY) if releases else ctypes.PyDLL(LIBRARY)
        self.set_context = _typed(library, "cuCtxSetCurrent")
        self.record = _typed(library, "cuEventRecord")
        self.launch_graph = _typed(library, "cuGraphLaunch")
        self.launch_kernel = _typed(library, "cuLaunchKernel")
        self.copy = _typed(library, "cuMemcpyAsync")
        self.query = _typed(library, "cuStreamQuery")
        self.wait = _typed(library, "cuStreamWaitEvent")


class Arguments:
    """A kernel's arguments in memory, and the array of their addresses that a launch takes.

    A launch copies them, so that they need to live no longer than the call.
    """

    __slots__ = ("_pointers", "_values", "address")

    def __init__(self, *values: ctypes.c_uint64 | ctypes.c_uint32) -> None:
        self._values = values
        addresses = [ctypes.addressof(value) for value in values]
        self._pointers = (ctypes.c_void_p * len(values))(*addresses)
        self.address = ctypes.addressof(self._pointers)


def _typed(library: ctypes.CDLL, name: str) -> ctypes._NamedFuncPointer:
    function = getattr(library, name)
    function.argtypes, function.restype = _SIGNATURES[name], ctypes.c_int
    return function  # type: ignore[no-any-return]  # getattr has no better type
