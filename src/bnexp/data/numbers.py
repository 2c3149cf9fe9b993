"""Which numbers stand in a column of texts: "52,000", "1.234,5", "$ 3.20", "12 %".

A convention is taken only where the whole column follows it, and where no other one gives other numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mark = Literal["auto", "point", "comma"]
"""Which sign stands before the decimals, where both are possible."""

CURRENCIES = (
    *("usd", "eur", "gbp", "jpy", "chf", "cny", "inr", "cad", "aud", "sek", "nok", "dkk", "pln", "brl", "mxn", "krw"),
    *("zar", "czk", "huf", "try", "euro", "dollars", "kr.", "kr", "zł", "kč", "fr.", "ft", "lei"),
)
"""Of the world's, those that are written as letters most often; a sign like € is known by its kind."""

SAFE_DIGITS = 15  # so many decimal digits always survive 64 bits
LEAST_ROUND = 3  # different numbers that all end in two zeros: nobody writes three decimals of which two are always 0

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_PLAIN = re.compile(rf"(?:[+-]?(?:\d++\.?\d*+|\.\d++){_EXPONENT}\n)*+", re.ASCII)
_LETTERS = re.compile(r"[A-Za-z]{0,3}")
_BLANKS = " \u00a0\u2009\u202f'’"  # between thousands: also the no-break and the thin ones
_BODY = re.compile(rf"[\d.,{_BLANKS}]*\d[\d.,{_BLANKS}]*{_EXPONENT}", re.ASCII)


@dataclass(frozen=True)
class _Convention:
    pattern: re.Pattern[str]
    mark: Mark
    group: str  # what separates thousands
    how: str


def _convention(thousands: str, decimals: str, how: str, mark: Mark, group: str) -> _Convention:
    whole = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+|\d{{1,3}}" if thousands else r"\d+"
    end = "" if thousands else _EXPONENT
    pattern = rf"(?:(?:{whole})(?:{decimals}\d*)?|{decimals}\d+){end}"
    return _Convention(re.compile(pattern, re.ASCII), mark, group, how)


_CONVENTIONS = (
    _convention("", r"\.", "", "point", ""),
    _convention(",", r"\.", "commas separate thousands", "point", ","),
    _convention("", ",", "the comma is the decimal mark", "comma", ""),
    _convention(r"\.", ",", "points separate thousands, the comma is the decimal mark", "comma", "."),
    _convention(rf"[{_BLANKS}]", r"\.", "blanks or apostrophes separate thousands", "point", _BLANKS),
    _convention(
        rf"[{_BLANKS}]",
        ",",
        "blanks or apostrophes separate thousands, the comma is the decimal mark",
        "comma",
        _BLANKS,
    ),
)


@dataclass(frozen=True)
class Numbers:
    """Texts read as numbers.

    Attributes:
        values: float64, one a text; NaN for a text that is none.
        how: how they were read, empty where all are written plainly.
        problem: why they cannot be read, empty if they can: texts that contradict each other, or two readings.
    """

    values: NDArray[np.float64]
    how: str = ""
    problem: str = ""


def read_numbers(texts: Sequence[str], mark: Mark) -> Numbers:
    """Read different ``texts`` without blanks around them; ``mark`` decides where both readings are possible."""
    if mark != "comma" and _are_plain(texts) and not _is_grouped(texts):
        values = np.array(list(map(float, texts)), dtype=np.float64)
        return Numbers(values, f"the point is the decimal mark: '{texts[0]}' is {values[0]:.15g}" * _are_grouped(texts))
    parts = [_taken_apart(text) for text in texts]
    found = [part for part in parts if part is not None]
    values = np.full(len(texts), np.nan)
    if not found:
        return Numbers(values)
    where = np.array([part is not None for part in parts])
    shown = [text for text, part in zip(texts, parts, strict=True) if part is not None]
    units = {part.unit: text for part, text in zip(found, shown, strict=True)}
    if len(units) > 1:
        one, other = list(units.values())[:2]
        return Numbers(_numeric(where), problem=f"'{one}' and '{other}' are written in different units")
    bodies = [part.body for part in found]
    fitting = [convention for convention in _CONVENTIONS if all(map(convention.pattern.fullmatch, bodies))]
    if not fitting:
        return Numbers(_numeric(where), problem=_contradiction(shown, bodies))
    signs = np.array([part.sign for part in found])
    readings = [signs * np.array([_value(body, one) for body in bodies]) for one in fitting]
    choice = _choice(fitting, readings, bodies, mark)
    if choice is None:
        other = next(reading for reading in readings if not np.array_equal(reading, readings[0]))
        index = int(np.flatnonzero(readings[0] != other)[0])
        both = " or ".join(f"{reading[index]:.15g}" for reading in (readings[0], other))
        return Numbers(
            _numeric(where),
            problem=f"'{shown[index]}' can be {both}; write dataset.decimal=point or dataset.decimal=comma",
        )
    values[where] = readings[choice]
    return Numbers(values, _told(fitting[choice].how, found[0].unit, shown, bodies, readings[choice]))


def exactly_distinct(texts: Sequence[str]) -> int | None:
    """Count the different numbers of plainly written texts exactly; None where 64 bits surely tell them apart."""
    if all(len(text) <= SAFE_DIGITS for text in texts):
        return None
    return len({Decimal(text) for text in texts})


@dataclass(frozen=True)
class _Parts:
    sign: float
    unit: str
    body: str


def _taken_apart(text: str) -> _Parts | None:
    """Return sign, unit and digits of a text, or None where it has anything else."""
    rest, signs, units = text, "", []
    if text[:1] == "(" and text[-1:] == ")":  # as accountants write it
        signs, rest = "-", text[1:-1].strip()
    for _ in range(2):  # a sign and a currency, in either order
        if rest[:1] in ("-", "−", "+"):
            signs, rest = signs + rest[0], rest[1:].lstrip()
        elif (unit := _unit(rest, str.startswith)) and unit != "%":
            units.append(unit)
            rest = rest[len(unit) :].lstrip()
    if unit := _unit(rest, str.endswith):
        units.append(unit)
        rest = rest[: -len(unit)].rstrip()
    if rest[-1:] in ("-", "−"):  # as SAP writes it
        signs, rest = signs + "-", rest[:-1].rstrip()
    if len(units) > 1 or len(signs) > 1 or not _BODY.fullmatch(rest):
        return None
    return _Parts(1.0 if signs in ("", "+") else -1.0, "".join(units), rest)


def _unit(text: str, at: Callable[[str, str], bool]) -> str:
    """Return the currency or per cent sign ``at`` the start or the end of a text, or nothing."""
    if at is str.startswith:
        letters = _LETTERS.match(text)
        first = text[: letters.end() + 1] if letters else ""  # R$, US$
    else:
        first = text[-1:]
    if first and (first == "%" or unicodedata.category(first[-1]) == "Sc"):
        return first
    return next(
        (
            text[: len(code)] if at is str.startswith else text[-len(code) :]
            for code in CURRENCIES
            if at(text.casefold(), code)
        ),
        "",
    )


def _are_plain(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers as programs write them; one regular expression looks at all of them at once."""
    joined = "".join(f"{text}\n" for text in texts)
    return joined.count("\n") == len(texts) and _PLAIN.fullmatch(joined) is not None


def _is_grouped(texts: Sequence[str]) -> bool:
    """Whether plain texts may have points between thousands: beside "1.234" there are whole numbers, and nothing else.

    Where all are written "1.234", both readings differ by a factor alone, and the usual one is taken and told.
    """
    with_point = [text for text in texts if "." in text]
    return 0 < len(with_point) < len(texts) and all(map(_grouped_by_points, texts))


def _are_grouped(texts: Sequence[str]) -> bool:
    """Whether all plain texts look like "1.234"."""
    return all("." in text and _grouped_by_points(text) for text in texts)


def _grouped_by_points(text: str) -> bool:
    return _CONVENTIONS[3].pattern.fullmatch(text.lstrip("+-")) is not None


def _value(body: str, convention: _Convention) -> float:
    for sign in convention.group:
        body = body.replace(sign, "")
    return float(body.replace(",", ".") if convention.mark == "comma" else body)


def _choice(
    fitting: Sequence[_Convention], readings: Sequence[NDArray[np.float64]], bodies: Sequence[str], mark: Mark
) -> int | None:
    """Return the convention to read by, or None where two give different numbers and nothing decides."""
    if all(np.array_equal(readings[0], reading) for reading in readings):
        return 0
    if mark != "auto":
        wanted = [index for index, one in enumerate(fitting) if one.mark == mark]
        if wanted and all(np.array_equal(readings[wanted[0]], readings[index]) for index in wanted):
            return wanted[0]
        return None
    if all("," not in body for body in bodies) and all("." in body for body in bodies):
        return next((index for index, one in enumerate(fitting) if not one.how), None)
    grouped = [body for body in bodies if "," in body]
    if len(set(grouped)) >= LEAST_ROUND and all(body.endswith("00") for body in grouped):
        return next((index for index, one in enumerate(fitting) if one.group == ","), None)
    return None


def _contradiction(shown: Sequence[str], bodies: Sequence[str]) -> str:
    """Name two texts that follow no one convention, or one that follows none."""
    for text, body in zip(shown, bodies, strict=True):
        if not any(one.pattern.fullmatch(body) for one in _CONVENTIONS):
            return f"'{text}' is written like a number and is none"
    first = [one for one in _CONVENTIONS if one.pattern.fullmatch(bodies[0])]
    for text, body in zip(shown, bodies, strict=True):
        first = [one for one in first if one.pattern.fullmatch(body)]
        if not first:
            return f"'{shown[0]}' and '{text}' are written by different conventions"
    raise AssertionError("a convention fits them all")


def _numeric(where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mark what looks like a number: 0, and NaN for the others."""
    return np.where(where, 0.0, np.nan)


def _told(how: str, unit: str, shown: Sequence[str], bodies: Sequence[str], values: NDArray[np.float64]) -> str:
    what = [how] if how and any(not body.isdigit() for body in bodies) else []
    if unit:
        what.append("per cent" if unit == "%" else f"currency {unit}")
    index = max(range(len(bodies)), key=lambda one: (len(re.sub(r"\d", "", shown[one])), -one))
    return f"{', '.join(what)}: '{shown[index]}' is {values[index]:.15g}" if what else ""
