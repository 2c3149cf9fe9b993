"""Where modules are imported from: never the folder that one works in, unless it was named.

That folder holds data, and whatever else came with it. Python puts it first on the path of a process that is started
with ``-m`` or ``-c``, as multiprocessing, joblib and submitit start theirs and TensorBoard is started, and where
``PYTHONPATH`` has an empty entry, as ``export PYTHONPATH=$PYTHONPATH:/my/code`` makes one. A ``random.py`` beside the
data would run instead of Python's.

This module imports what Python has imported by itself when it starts, and nothing else.
"""

import os
import sys
from importlib.util import find_spec

TYPE_CHECKING = False  # typing itself is no module that Python starts with
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def protect() -> None:
    """Take the working folder off the path of this process and of all that it will start.

    A plugin that lies there is found if ``PYTHONPATH`` names the folder, in full or as ``.``. What lies there does not
    configure matplotlib either: its file may have LaTeX run.
    """
    if not any(isinstance(finder, _MatplotlibFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MatplotlibFinder())
    here = _here()
    put_first = not (sys.flags.safe_path or os.environ.get("PYTHONSAFEPATH"))  # by Python, and not taken away yet
    os.environ["PYTHONSAFEPATH"] = "1"
    if put_first and sys.path[:1] in ([""], [here]):
        del sys.path[0]
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [entry for entry in entries if entry]
    if 0 < len(named) < len(entries):
        os.environ["PYTHONPATH"] = os.pathsep.join(named)
        if here not in map(os.path.abspath, named):
            end = len(entries) + 1  # before them stands the folder of the program
            head = sys.path[:end]
            sys.path[:end] = [entry for entry in head if entry not in ("", here)]


class _MatplotlibFinder:
    """Has matplotlib imported without a look at a ``matplotlibrc`` in the working folder, where it looks first."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """Return how to import matplotlib; nothing for other modules."""
        if name != "matplotlib":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _elsewhere(spec.loader.exec_module)  # type: ignore[assignment, method-assign]
        return spec


def _elsewhere(execute: "Callable[[ModuleType], None]") -> "Callable[[ModuleType], None]":
    def execute_elsewhere(module: "ModuleType") -> None:
        exists: Any = os.path.exists
        os.path.exists = lambda path: path != "matplotlibrc" and exists(path)
        try:
            execute(module)
        finally:
            os.path.exists = exists

    return execute_elsewhere


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  (pathlib and what it imports may lie in the working folder)
    except OSError:  # it has been removed
        return ""
