"""Where modules are imported from: never the folder that one works in, unless it was named.

That folder holds data, and whatever else came with it. Python puts it first on the path of a process that is started
with ``-m`` or ``-c``, as multiprocessing, joblib and submitit start theirs and TensorBoard is started, and where
``PYTHONPATH`` has an empty entry, as ``export PYTHONPATH=$PYTHONPATH:/my/code`` makes one. A ``random.py`` beside the
data would run instead of Python's.

This module imports what Python has imported by itself when it starts, and nothing else.
"""

import os
import sys


def protect() -> None:
    """Take the working folder off the path of this process and of all that it will start.

    A plugin that lies there is found if ``PYTHONPATH`` names the folder, in full or as ``.``.
    """
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
            head = sys.path[: len(entries)]
            sys.path[: len(entries)] = [entry for entry in head if entry not in ("", here)]


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  (pathlib and what it imports may lie in the working folder)
    except OSError:  # it has been removed
        return ""
