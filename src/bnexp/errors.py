"""The one exception that means "the user can mend this", and how its message is worded.

A message has three parts on one line: the value received, the rule it breaks, the fix.
The command line prints it and ends with status 2; nothing has been written by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from bnexp.text import printable


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
    """Return ``"; did you mean 'x'?"`` for the candidate nearest to ``word``, or an empty string."""
    close = get_close_matches(word, list(candidates), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
