"""Where a user's files lie."""

from __future__ import annotations

from pathlib import Path

from bnexp.data.names import printable
from bnexp.errors import ConfigError


def as_path(place: str, key: str) -> Path:
    """Return the path that ``key`` names; raise ConfigError where it is not UTF-8: it could not be recorded."""
    if not _is_utf8(place):
        raise ConfigError(f"{key}={printable(place)}: the name is not UTF-8; rename it, or make a link to it that is")
    return Path(place)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def looked_for(place: str, path: Path) -> str:
    """Return `` (looked for PATH)`` where that is not what was written."""
    return "" if str(path.absolute()) == place else f" (looked for {path.absolute()})"
