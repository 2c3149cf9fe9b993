"""Where the program meets the words and streams of whoever called it: what no command need be ready for."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence

from bnexp.errors import ConfigError

LONGEST = 20_000
"""Characters of a word; a list of column names to drop may be long."""

LONGEST_KEY = 200
MOST_DIGITS = 500
DEEPEST = 30
"""Brackets inside one another in a word, far more than any value has."""

LONGEST_LINE = 2_000
"""Characters of an error line, of which a word may be part."""

FIXES = {
    errno.ENAMETOOLONG: "use a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle; name the folder itself",
    errno.EACCES: "change its permissions, or name another one",
    errno.EPERM: "change its permissions, or name another one",
    errno.ENOENT: "look at its spelling",
    errno.ENOTDIR: "part of the path is a file; name a folder",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "make room on the disk",
    errno.EROFS: "name a place that can be written",
}


def check_words(words: Sequence[str]) -> None:
    """Refuse what no command takes, before any parser or file system sees it.

    Raises:
        ConfigError: one line.
    """
    for word in words:
        if "\0" in word:
            raise ConfigError(f"{shortened(word)}: holds the character NUL, which no name or value has; leave it out")
        if len(word) > LONGEST:
            raise ConfigError(
                f"{shortened(word)}: a word has at most {LONGEST:,} characters; put long values in a choice"
            )


def check_overrides(words: Sequence[str]) -> None:
    """Refuse words about a run that Hydra's parser, or the record, cannot take.

    Raises:
        ConfigError: one line.
    """
    for word in words:
        key = word.partition("=")[0]
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise ConfigError(f"{word}: is not UTF-8 and could not be recorded; rename what it names")
        if len(key) > LONGEST_KEY:
            raise ConfigError(f"{shortened(word)}: a key has at most {LONGEST_KEY} characters; write key=value")
        if re.search(rf"\d{{{MOST_DIGITS + 1}}}", word):
            raise ConfigError(f"{shortened(word)}: a number has at most {MOST_DIGITS} digits; use a smaller one")
        if _depth(word) > DEEPEST:
            raise ConfigError(
                f"{shortened(word)}: more than {DEEPEST} brackets inside one another; no value has so many"
            )


def shortened(text: str, longest: int = 200) -> str:
    """Return a text with its middle left out if it is longer than ``longest``."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def about(error: OSError) -> str | None:
    """Return the line about a file or folder that could not be used: which, why, and what to do; None if it names none.

    Files of runs and data are dealt with where they are used. What is left are places that a user named.
    """
    if error.filename is None or error.errno is None:
        return None
    fix = FIXES.get(error.errno, "name another one")
    return f"{shortened(os.fsdecode(error.filename))}: {error.strerror}; {fix}"


def open_closed_streams() -> None:
    """Give a process that was started without standard streams (``>&-``) some that lead nowhere.

    Otherwise the next file that is opened would be number 1, and everything that any library prints would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False))


def _depth(word: str) -> int:
    deepest = depth = 0
    for sign in re.findall(r"[\[\](){}]", word):
        depth += 1 if sign in "[({" else -1
        deepest = max(deepest, depth)
    return deepest
