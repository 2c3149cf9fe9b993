"""Which numbers split a whole into equal parts, and the error line where one does not."""

from __future__ import annotations

from bnexp.errors import ConfigError


def require_divisor(key: str, value: int, whole: int, name: str) -> None:
    """Raise :class:`ConfigError` where ``value``, given under ``key``, does not divide ``whole``, called ``name``."""
    if whole % value:
        *others, last = [str(n) for n in range(1, whole + 1) if whole % n == 0]
        fitting = f"{', '.join(others)} or {last}" if others else last
        raise ConfigError(f"{key}={value} does not divide {name}; use {fitting}")
