"""A table of known numbers, categories and classes, written with any mixture of quirks, is read as it is or refused."""

from __future__ import annotations

import csv as standard_csv
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bnexp.data.csv import csv
from bnexp.data.dataset import Source
from bnexp.errors import ConfigError

WORDS = [
    "None",
    "NA",
    "null",
    "nan",
    "N/A",
    "True",
    "yes",
    "01",
    "1",
    "001",
    "1.0",
    "1e300",
    "2e300",
    "-",
    "?",
    "é",
    "0",
]

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=6)
class_names = (st.sampled_from(WORDS) | texts).map(str.strip).filter(bool)
category_names = st.sampled_from(["None", "NA", "red", "Red", "dark blue", "a,b", 'say "x"', "12 kg", "x\ny", "ä"])


def grouped(number: Decimal, mark: str, group: str) -> str:
    return f"{number:,}".replace(",", "G").replace(".", mark).replace("G", group)


STYLES: dict[str, Callable[[Decimal], str]] = {
    "plain": str,
    "commas": lambda number: grouped(number, ".", ","),
    "comma": lambda number: grouped(number, ",", ""),
    "german": lambda number: grouped(number, ",", "."),
    "swiss": lambda number: grouped(number, ".", "'"),
    "french": lambda number: grouped(number, ",", "\u202f"),
    "dollars": lambda number: "$ " + grouped(number, ".", ","),
    "euros": lambda number: grouped(number, ",", ".") + " €",
    "per cent": lambda number: f"{number} %",
    "typeset": lambda number: str(number).replace("-", "\u2212"),
}

decimals = st.builds(
    lambda whole, places: Decimal(whole).scaleb(-places).normalize() + 0,
    st.integers(-5_000_000, 5_000_000) | st.integers(-2000, 2000),
    st.integers(0, 3),
).map(lambda number: Decimal(f"{number:f}"))


@dataclass
class Feature:
    """A column: what it means, None where it is missing, and how that is written."""

    name: str
    truth: list[Decimal | str | None]
    fields: list[str]

    @property
    def is_number(self) -> bool:
        return any(isinstance(value, Decimal) for value in self.truth)


@st.composite
def features(draw: st.DrawFn, name: str, num_rows: int) -> Feature:
    rows = {"min_size": num_rows, "max_size": num_rows}
    kind = draw(st.sampled_from(["number", "number", "category", "index"]))
    if kind == "index":
        return Feature(name, [Decimal(row) for row in range(num_rows)], [str(row) for row in range(num_rows)])
    if kind == "category":
        values = draw(st.lists(category_names | st.just(""), **rows))
        return Feature(name, [value or None for value in values], values)
    numbers = draw(st.lists(decimals, **rows))
    style = STYLES[draw(st.sampled_from(sorted(STYLES)))]
    absent = draw(st.sampled_from(["", "NA", "None", "#N/A"]))
    missing = draw(st.lists(st.integers(0, num_rows - 1), max_size=2))
    truth: list[Decimal | str | None] = [None if row in missing else value for row, value in enumerate(numbers)]
    return Feature(name, truth, [absent if value is None else style(value) for value in truth])  # type: ignore[arg-type]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Feature], list[str], bytes]:
    classes = draw(st.lists(class_names, min_size=2, max_size=4, unique=True))
    labels = draw(st.permutations([*classes * 3, *draw(st.lists(st.sampled_from([*classes, ""]), max_size=12))]))
    names = draw(
        st.lists(st.sampled_from(["a", "b", "7", "9", "", "0", "x y", "2.5"]), min_size=1, max_size=3, unique=True)
    )
    columns = [draw(features(name, len(labels))) for name in names]
    text = io.StringIO()
    blank = st.sampled_from(["", "", "", " ", "  "]) if draw(st.booleans()) else st.just("")
    quoting = draw(st.sampled_from([standard_csv.QUOTE_MINIMAL, standard_csv.QUOTE_ALL]))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    writer = standard_csv.writer(text, quoting=quoting, lineterminator=ending)
    writer.writerow([*names, "label"])
    for row, label in enumerate(labels):
        fields = [*(column.fields[row] for column in columns), label]
        writer.writerow([f"{draw(blank)}{field}{draw(blank)}" for field in fields])
    mark = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return columns, list(labels), mark + text.getvalue().encode()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table.csv"


def read(file: Path, content: bytes, **options: Any) -> Source | None:
    """Return what is read, or None where it is refused in one line."""
    file.write_bytes(content)
    try:
        return csv(
            **({"path": str(file), "target": "label", "drop": [], "header": "auto", "decimal": "auto"} | options)
        )
    except ConfigError as error:
        refusal = str(error)
    assert refusal.count("\n") == 0
    return None


@settings(max_examples=400, deadline=None)
@given(tables())
def test_a_table_is_read_as_it_is_meant_or_refused(file: Path, table: tuple[list[Feature], list[str], bytes]) -> None:
    columns, labels, content = table
    source = read(file, content)
    if source is None:
        return
    kept = [row for row, label in enumerate(labels) if label]
    assert [source.classes[label] for label in source.examples.labels.tolist()] == [labels[row] for row in kept]
    assert source.contract.rows_left_out == len(labels) - len(kept)
    inputs = source.examples.inputs.numpy()
    start = 0
    for place, column in enumerate(columns):
        found = source.contract.columns[place]
        block = inputs[:, start : start + len(found.features)]
        start += len(found.features)
        truth = [column.truth[row] for row in kept]
        if found.role == "number":
            assert column.is_number
            assert_numbers(block, truth, found.reading)
        else:
            assert_categories(block, found.categories, truth, [column.fields[row].strip() for row in kept])
    assert start == inputs.shape[1]


def assert_numbers(block: np.ndarray, truth: list[Decimal | str | None], reading: str) -> None:
    numbers = np.array([np.nan if value is None else float(value) for value in truth])
    if reading.startswith("the point is the decimal mark"):  # "1.234" throughout: another unit, and said
        numbers = np.where(block[:, 0] == numbers, numbers, numbers / 1000)
    np.testing.assert_array_equal(block[:, 0], numbers)
    if block.shape[1] == 2:
        np.testing.assert_array_equal(block[:, 1], np.isnan(numbers))
    else:
        assert not np.isnan(numbers).any()


def assert_categories(
    block: np.ndarray, categories: dict[str, int], truth: list[Decimal | str | None], fields: list[str]
) -> None:
    # Numbers may be categories only where all rows with a class lack them: then a word is all that is left.
    assert all(not isinstance(value, Decimal) for value in truth)
    names = list(categories)
    assert (block.sum(axis=1) == 1).all()
    assert [names[index] for index in block.argmax(axis=1)] == fields
    assert categories == dict(Counter(fields))


@settings(max_examples=200, deadline=None)
@given(st.lists(class_names, min_size=2, max_size=6, unique=True), st.integers(0, 3), st.randoms(use_true_random=False))
@example(["None", "Insomnia", "Sleep Apnea"], 0, None)
@example(["01", "1", "001"], 0, None)
@example(["1e300", "2e300"], 0, None)
def test_different_texts_are_different_classes_with_their_counts_in_any_order_of_the_rows(
    file: Path, names: list[str], more: int, random: Any
) -> None:
    labels = [name for number, name in enumerate(names) for _ in range(3 + more * number)]

    def source_of(labels: list[str]) -> Source:
        text = io.StringIO()
        writer = standard_csv.writer(text)
        writer.writerows([["x", "label"], *([f"{row}.5", label] for row, label in enumerate(labels))])
        found = read(file, text.getvalue().encode())
        assert found is not None
        return found

    first = source_of(labels)
    assert set(first.classes) == set(names)
    if random is not None:
        random.shuffle(labels)
    source = source_of(labels)
    assert source.classes == first.classes
    assert [source.classes[label] for label in source.examples.labels.tolist()] == labels
