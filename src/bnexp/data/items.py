"""How an item of the command line is written so that it survives both the shell and Hydra."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_RESERVED = {"null", "true", "false", "nan", "inf"}


def item(key: str, value: str | Sequence[str]) -> str:
    """Return ``key=value`` or ``key=[value,…]`` as one can paste it into a shell: ``'dataset.drop=[id,"my name"]'``."""
    text = _quoted(value) if isinstance(value, str) else f"[{','.join(map(_quoted, value))}]"
    return shlex.quote(f"{key}={text}")


def _quoted(text: str) -> str:
    """Return a text as Hydra reads it, in double quotes where it could be anything else than a word."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    # A backslash is doubled only where it stands before a quote, the end, or another one: so Hydra's grammar has it.
    escaped = re.sub(r'(\\*)("|$|\$\{)', lambda found: found[1] * 2 + ("\\" if found[2] else "") + found[2], text)
    return f'"{escaped}"'
