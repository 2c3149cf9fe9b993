"""A user's own table: a CSV file with a header line, one example per row."""

from __future__ import annotations

import csv as standard_csv
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from bnexp.data.columns import encode
from bnexp.data.dataset import Examples, Source
from bnexp.errors import ConfigError, did_you_mean
from bnexp.ranges import Place

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = 100


def csv(*, path: Place | None, target: str | None, drop: list[str]) -> Source:
    """Read ``path``: the column ``target`` is the class, the others but ``drop`` are the features.

    The target may be numbers or text; its sorted values are the classes, and rows without one are left out. How the
    features become float32 rows (N, F) is told by :func:`bnexp.data.columns.encode`.

    Raises ConfigError where the file, the target or a column cannot be used; rows are counted without the header.
    """
    content = _content(path)
    frame = _parse(content, str(path))
    names = [str(name) for name in frame.columns]
    if target is None:
        raise ConfigError(f"dataset.target=null: name the column to predict; the columns are {_listing(names)}")
    if target not in names:
        raise ConfigError(f"dataset.target={target} is no column of {path}{_nearest(target, names)}")
    unknown = next((name for name in drop if name not in names), None)
    if unknown is not None:
        raise ConfigError(f"dataset.drop: '{unknown}' is no column of {path}{_nearest(unknown, names)}")
    features = [name for name in names if name not in {target, *drop}]
    if target in drop or not features:
        raise ConfigError(
            f"dataset.drop leaves no {'target' if target in drop else 'features'}; take a column out of it"
        )

    labelled = frame[frame[target].notna()]
    labels, classes = _labels(labelled[target])
    rows, notes = encode(labelled[features])
    if len(labelled) < len(frame):
        notes = (f"rows left out because they have no value of {target}: {len(frame) - len(labelled)}", *notes)
    examples = Examples(torch.from_numpy(rows), torch.from_numpy(labels))
    return Source(examples, classes, digest=hashlib.sha256(content).hexdigest(), notes=notes)


def _content(path: str | None) -> bytes:
    if path is None:
        raise ConfigError("dataset.path=null: there is no default file; write dataset.path=FILE.csv")
    file = Path(path).expanduser()
    if not file.is_file():
        problem = "not a file" if file.exists() else "no such file"
        raise ConfigError(f"dataset.path={path}: {problem}; it is a CSV file with a header line")
    return file.read_bytes()


def _parse(content: bytes, path: str) -> pd.DataFrame:
    import pandas as pd

    try:
        text = content.decode("utf-8-sig")
        lines = standard_csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
        header = next((line for line in lines if line), [])
        frame = pd.read_csv(io.StringIO(text), skipinitialspace=True, low_memory=False)
    except UnicodeDecodeError as error:
        raise ConfigError(f"dataset.path={path} is not UTF-8 text; save it as CSV in UTF-8") from error
    except (pd.errors.ParserError, standard_csv.Error) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"dataset.path={path} cannot be read as a table ({reason}); mend that line") from error
    except pd.errors.EmptyDataError as error:
        raise ConfigError(f"dataset.path={path} is empty; it needs a header line and rows") from error
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"dataset.path={path} has two columns '{twice}'; rename one of them")
    if len(header) == 1:
        raise ConfigError(f"dataset.path={path} has the one column '{header[0]}'; separate columns by commas")
    if not isinstance(frame.index, pd.RangeIndex):
        raise ConfigError(f"dataset.path={path}: the rows have more fields than the header names; name each column")
    if frame.empty:
        raise ConfigError(f"dataset.path={path} has a header and no rows; it needs one row per example")
    return frame


def _labels(column: pd.Series) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the class index of each row and the names of the classes, sorted as numbers or as text."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_bool_dtype(column) or not is_numeric_dtype(column):
        column = column.astype(str)
    elif (column % 1 == 0).all():
        column = column.astype(np.int64)  # beside missing values, pandas reads 0 and 1 as 0.0 and 1.0
    values, labels = np.unique(column.to_numpy(), return_inverse=True)
    if len(values) < 2:
        raise ConfigError(
            f"dataset.target={column.name} has too few distinct values ({len(values)}); "
            "choose a column with at least two classes"
        )
    if len(values) > min(MAX_CLASSES, len(column) / 3):
        raise ConfigError(
            f"dataset.target={column.name} has {len(values)} distinct values in {len(column)} rows, which is no class; "
            f"choose a column with at most {MAX_CLASSES} values and three rows of each"
        )
    return labels.astype(np.int64), tuple(str(value) for value in values)


def _nearest(name: str, names: list[str]) -> str:
    return did_you_mean(name, names) or f"; the columns are {_listing(names)}"


def _listing(names: list[str], at_most: int = 20) -> str:
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")
