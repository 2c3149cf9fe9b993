"""A user's own table: a CSV file, one example per row."""

from __future__ import annotations

import csv as standard_csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from bnexp.data.cells import Cells, cells_of
from bnexp.data.columns import encode
from bnexp.data.contract import Column, Contract
from bnexp.data.dataset import Examples, Source
from bnexp.data.header import looks_like_a_row
from bnexp.data.items import item
from bnexp.data.labels import classes_of
from bnexp.data.names import shown
from bnexp.data.numbers import Mark
from bnexp.data.places import as_path, looked_for
from bnexp.errors import ConfigError, did_you_mean
from bnexp.ranges import Name, Place

LONGEST_FIELD = 2**20  # characters


def csv(
    *, path: Place | None, target: Name | None, drop: list[Name], header: bool | Literal["auto"], decimal: Mark
) -> Source:
    """Read ``path``: the column ``target`` is the class, the others but ``drop`` are the features.

    The different texts of the target are the classes (:func:`bnexp.data.labels.classes_of`), and rows without one are
    left out. :func:`bnexp.data.columns.encode` says how the features become float64 rows (N, F). Without a ``header``
    the columns are called ``column 1``, ``column 2``, …; ``auto`` takes the first line for the header and refuses a
    table where it looks like a row. ``decimal`` decides about numbers that can be read in two ways.

    Raises ConfigError where the file, the target or a column cannot be used; rows are counted without the header.
    """
    content = _content(path)
    names, fields, fact = _table(content, str(path), header)
    if target is None:
        raise ConfigError(f"dataset.target=null: name the column to predict; the columns are {_listing(names)}")
    label = _named(target, names, "dataset.target={name}", str(path))
    dropped = [_named(name, names, "dataset.drop: '{name}'", str(path)) for name in drop]
    wanted = [name for name in names if name not in {label, *dropped}]
    if label in dropped or not wanted:
        raise ConfigError(
            f"dataset.drop leaves no {'target' if label in dropped else 'features'}; take a column out of it"
        )

    table = {name: cells_of(name, fields[names.index(name)]) for name in [*wanted, label]}
    empty = [index for index, text in enumerate(table[label].texts) if not text]
    labelled = ~torch.isin(torch.from_numpy(table[label].codes), torch.tensor(empty)).numpy()
    table = {name: cells.kept(labelled) for name, cells in table.items()}
    labels, classes, doubts = classes_of(table[label])
    encoded = encode([table[name] for name in wanted], decimal, dropped)
    contract = _contract(names, table[label], dropped, encoded.columns, len(labelled) - int(labelled.sum()))
    contract = _noted(contract, Path(str(path)).name, fact, (*doubts, *encoded.warnings), dropped)
    examples = Examples(torch.from_numpy(encoded.rows), torch.from_numpy(labels))
    return Source(examples, classes, digest=hashlib.sha256(content).hexdigest(), contract=contract)


def _contract(
    names: Sequence[str], label: Cells, dropped: Sequence[str], features: Sequence[Column], left_out: int
) -> Contract:
    known = {column.name: column for column in features}
    known[label.name] = Column(label.name, "target", distinct=len(label.texts), stripped=label.stripped)
    known |= {name: Column(name, "dropped") for name in dropped}
    return Contract(columns=tuple(known[name] for name in names), rows_left_out=left_out)


def _noted(contract: Contract, file: str, fact: str, doubts: Sequence[str], dropped: Sequence[str]) -> Contract:
    """Return the contract with the lines about it."""
    suspects = contract.identifiers
    drop = item("dataset.drop", [*dropped, *(column.name for column in suspects)]) if suspects else ""
    warnings = [
        f"column '{shown(column.name)}' looks like an identifier: {column.suspect}; if it is one, write {drop}"
        for column in suspects
    ]
    return replace(
        contract, source=f"CSV table {file}", facts=(fact,) if fact else (), warnings=(*warnings, *doubts), drop=drop
    )


def _content(path: str | None) -> bytes:
    if path is None:
        raise ConfigError("dataset.path=null: there is no default file; write dataset.path=FILE.csv")
    file = as_path(path, "dataset.path")
    if not file.is_file():  # neither a folder nor a pipe, which would be waited for
        problem = "not a file" if file.exists() else "no such file"
        raise ConfigError(
            f"dataset.path={path}: {problem}{looked_for(path, file)}; it is a CSV file with a header line"
        )
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"dataset.path={path} cannot be read ({error.strerror}); choose another file") from error


def _table(content: bytes, path: str, header: bool | Literal["auto"]) -> tuple[list[str], list[Sequence[str]], str]:
    """Return the names of the columns, the fields of each, and a line about where the names come from."""
    lines = _lines(content, path)
    if not lines:
        raise ConfigError(f"dataset.path={path} is empty; it needs a header line and rows")
    first = [name.strip() for name in lines[0]]
    if header is False:
        columns: list[Sequence[str]] = list(zip(*lines, strict=True))
        names = [f"column {number}" for number in range(1, len(first) + 1)]
        return names, columns, f"there is no header; the columns are called 'column 1' to 'column {len(first)}'"
    if len(lines) == 1:
        raise ConfigError(f"dataset.path={path} has a header and no rows; it needs one row per example")
    columns = list(zip(*lines[1:], strict=True))
    if header == "auto" and looks_like_a_row(first, columns):
        raise ConfigError(
            f"dataset.path={path} seems to have no header: its first line ({_listing(first, 4)}) looks like a row; "
            "write dataset.header=false, which calls the columns 'column 1', 'column 2', …, or dataset.header=true"
        )
    names = [name or f"Unnamed: {number}" for number, name in enumerate(first)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"dataset.path={path} has two columns '{shown(twice)}'; rename one of them")
    return names, columns, ""


def _lines(content: bytes, path: str) -> list[list[str]]:
    """Return the fields of each line that is not empty, as many in each."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"dataset.path={path} is not UTF-8 text; save it as CSV in UTF-8") from error
    standard_csv.field_size_limit(LONGEST_FIELD)
    # Blanks before a field are part of it, and counted where they are stripped; but a quote behind them opens a field.
    blanks = re.search(r'(?:^|,) +"', text, re.MULTILINE) is not None
    lines, places = [], []
    reader = standard_csv.reader(io.StringIO(text, newline=""), skipinitialspace=blanks, strict=True)
    try:
        for line in reader:
            if line:
                lines.append(line)
                places.append(reader.line_num)
    except standard_csv.Error as error:
        raise ConfigError(
            f"dataset.path={path} cannot be read as a table (line {reader.line_num}: {error}); mend that line"
        ) from error
    if lines and len(lines[0]) == 1:
        raise ConfigError(f"dataset.path={path} has the one column '{shown(lines[0][0])}'; separate columns by commas")
    _check_widths(lines, places, path)
    return lines


def _check_widths(lines: Sequence[Sequence[str]], places: Sequence[int], path: str) -> None:
    if len({len(line) for line in lines}) < 2:
        return
    num_names, widths = len(lines[0]), {len(line) for line in lines[1:]}
    if len(widths) == 1 and min(widths) == num_names + 1:
        raise ConfigError(f"dataset.path={path}: the rows have more fields than the header names; name each column")
    index = next(index for index, line in enumerate(lines) if len(line) != num_names)
    raise ConfigError(
        f"dataset.path={path}: line {places[index]} has {len(lines[index])} fields and the first line {num_names}; "
        "mend that line, a field with a comma in it needs quotes"
    )


def _named(wanted: str | float | bool, names: Sequence[str], what: str, path: str) -> str:
    """Return the column that is meant: of that name, or, where a number was written, with that number for a name."""
    name = str(wanted)
    if name in names:
        return name
    if not isinstance(wanted, str):
        same = [one for one in names if _is_same(one, wanted)]
        if len(same) == 1:
            return same[0]
    raise ConfigError(f"{what.format(name=name)} is no column of {path}{_nearest(name, names)}")


def _is_same(name: str, value: float | bool) -> bool:
    if isinstance(value, bool):
        return name.lower() == str(value).lower()
    try:
        return float(name) == value
    except ValueError:
        return False


def _nearest(name: str, names: Sequence[str]) -> str:
    return did_you_mean(name, names) or f"; the columns are {_listing(names)}"


def _listing(names: Sequence[str], at_most: int = 20) -> str:
    return ", ".join(map(shown, names[:at_most])) + (
        f" and {len(names) - at_most} more" if len(names) > at_most else ""
    )
