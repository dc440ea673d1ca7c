"""loadgen-sut: an MLPerf Inference system under test. Importing it loads no engine, no LoadGen."""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

__version__ = "0.1.0"


class _Siblings:
    """Finds the packages beside this one before all others of the same names.

    PYTHONPATH may hold a package `data` of somebody else: the name is a common one. Every process
    of the program imports this package first.
    """

    _names = frozenset({"backends", "scenarios", "data"})
    # Not pathlib, which is slow to load: a Ctrl-C before __main__ is a traceback.
    _root = os.path.dirname(os.path.dirname(__file__))

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        return PathFinder.find_spec(name, [cls._root]) if name in cls._names else None


sys.meta_path.insert(0, _Siblings)
