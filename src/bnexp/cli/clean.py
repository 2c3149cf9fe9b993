"""``bnexp clean``: removes runs without an answer and what killed processes left, after asking."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnexp.cli.compare import existing_folders
from bnexp.cli.flags import Flag, parse
from bnexp.errors import ConfigError
from bnexp.text import say

if TYPE_CHECKING:
    from bnexp.analysis.removal import Removable

HELP = """\
usage: bnexp clean PATH ... [FLAGS]
       bnexp clean --cache [--yes]

List what can be removed at or below PATH, ask, and remove it. Without flags that is all but finished runs: failed and
interrupted ones, and files that were half written when a process was killed. Nothing outside PATH is touched, no link
is followed, and a run that is being trained is left alone. So are files that bnexp did not write.

what (several may be given):
  --failed            runs that failed
  --interrupted       runs that were interrupted; the same command would resume them
  --leftovers         half-written files
  --damaged           finished runs whose files are not those they ended with, or of an earlier version of bnexp: only
                      if asked for
  --diverged, --done  finished runs: only if asked for

flags:
  --cache             the decoded images that are kept for the next run, in $XDG_CACHE_HOME/bnexp or ~/.cache/bnexp;
                      they are decoded again where they are needed
  --yes               do not ask
"""

KINDS = ("failed", "interrupted", "leftovers", "damaged", "diverged", "done")
UNASKED = ("failed", "interrupted", "leftovers")
FLAGS = (*(Flag((f"--{kind}",)) for kind in KINDS), Flag(("--cache",)), Flag(("--yes",)), Flag(("--help", "-h")))


def help_text() -> str:
    """Return what ``bnexp clean --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Remove what the arguments name; return the exit status: 1 if something could not be removed."""
    from bnexp.analysis.removal import find_cached, find_removable, remove

    flags, words = parse(arguments, FLAGS, "clean")
    kinds = [kind for kind in KINDS if f"--{kind}" in flags]
    if not words and "--cache" not in flags:
        raise ConfigError("clean: name a folder; write bnexp clean outputs")
    paths = [path for word in words for path in existing_folders(word)]
    found = find_removable(paths, kinds or UNASKED)
    if "--cache" in flags:
        found += find_cached()
    if not found:
        say("nothing to remove")
        return 0
    for one in found:
        say(f"{one.kind:<11}  {size(one.num_bytes):>8}  {one.path}")
    if "--yes" not in flags and not _agreed(found):
        say("nothing was removed")
        return 0
    problems = [line for one in found if (line := remove(one)) is not None]
    for line in problems:
        say(line, error=True)
    say(f"removed {len(found) - len(problems)} of {len(found)}")
    return 1 if problems else 0


def size(num_bytes: int) -> str:
    """Write a size as 512 B, 3.4 kB, 12 MB or 1.2 GB."""
    amount, unit = float(num_bytes), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"


def _agreed(found: Sequence[Removable]) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("clean: there is no terminal to ask at; add --yes to remove these")
    total = size(sum(one.num_bytes for one in found))
    say(f"Remove these {len(found)} ({total})? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
