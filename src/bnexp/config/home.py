"""What ``~`` at the beginning of a path stands for."""

from __future__ import annotations

import re
from pathlib import Path

from bnexp.errors import ConfigError


def at_home(place: str, where: str = "") -> str:
    """Return a path in which ``~`` or ``~name`` at the beginning is written out; another one as it is.

    Args:
        place: the path, as a user wrote it.
        where: the key or flag that it was written for, for the message.

    Raises:
        ConfigError: there is no such home folder.
    """
    if not place.startswith("~"):
        return place
    try:
        return str(Path(place).expanduser())
    except RuntimeError as error:  # HOME is not set, and the user has no entry; or there is no such user
        home = place.split("/")[0]
        said = f"{where}={place}" if where else place
        raise ConfigError(
            f"{said}: there is no home folder {home}; write the whole path, or ./{place} for a folder of that name"
        ) from error


def quoted(word: str) -> str:
    """Return an override with quotes around values that begin with ``~``: Hydra's grammar has no such sign there."""
    if re.match(r"[+]*[\w./@-]+=", word) is None or '"' in word or "'" in word:
        return word
    return re.sub(r"(?<=[=,(\[])~[^,()\[\]{}]*", lambda found: f'"{found[0]}"', word)
