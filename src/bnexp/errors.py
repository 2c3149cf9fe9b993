"""The one exception that means "the user can mend this", and how its message is worded.

A message has three parts on one line: the value received, the rule it breaks, the fix.
The command line prints it and ends with status 2; nothing has been written by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from bnexp.text import printable

ALIKE = 0.66
"""The share of letters, in order, that a word and its misspelling have in common at least (difflib's ratio)."""

LONGEST_WORD = 200
"""Beyond it nobody has misspelled a word, and comparing takes long."""


class ConfigError(ValueError):
    """A value that a user chose cannot work; the message says which, why, and what to write instead.

    Attributes:
        lines: a line for each mistake. What is not printable in the values that it names is written out.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = tuple(map(printable, lines))

    def __str__(self) -> str:
        """Return the lines."""
        return "\n".join(self.lines)


class Terminated(BaseException):
    """SIGTERM arrived: finish what must be finished and end with status 143."""


class TimedOut(Exception):  # noqa: N818  (named as Terminated is)
    """A run has taken longer than ``training.timeout``; it has failed, and the sweep goes on."""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the candidate nearest to ``word`` in spelling, or an empty string."""
    found = nearest(word, candidates)
    return f"; did you mean '{found}'?" if found is not None else ""


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that ``word`` is a misspelling of, or None: a wrong hint costs more than none.

    Case, hyphens and underscores do not matter. One letter in three may be wrong, two may stand in the wrong
    order, or all from some letter on may be missing.
    """
    wanted = _bare(word)
    by_bare = {_bare(candidate): candidate for candidate in reversed(list(candidates))}
    if not wanted or len(wanted) > LONGEST_WORD:
        return None
    if wanted in by_bare:
        return by_bare[wanted]
    close = get_close_matches(wanted, by_bare, n=1, cutoff=ALIKE)
    close = close or [name for name in by_bare if len(wanted) > 2 and sorted(name) == sorted(wanted)]
    beginnings = [name for name in by_bare if len(wanted) > 2 and name.startswith(wanted)]
    close = close or (beginnings if len(beginnings) == 1 else [])
    return by_bare[close[0]] if close else None


def _bare(word: str) -> str:
    return word.casefold().replace("-", "").replace("_", "")
