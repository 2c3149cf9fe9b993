import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from bnexp.data.csv import csv
from bnexp.data.dataset import Source
from bnexp.errors import ConfigError

TABLE = "id,age,city,bought\n" + "".join(f"{n},{20 + n},{'Bonn' if n % 3 else 'Ulm'},{n % 2}\n" for n in range(12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path / "table.csv"


def read(path: Path, content: str | bytes = TABLE, target: str | None = "bought", drop: tuple[str, ...] = ()) -> Source:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return csv(path=str(path), target=target, drop=list(drop))


def labelled(*labels: str) -> str:
    return "a,bought\n" + "".join(f"{number},{label}\n" for number, label in enumerate(labels))


def test_a_table_becomes_rows_with_labels(path: Path):
    source = read(path, drop=("id",))
    assert source.examples.inputs.dtype == torch.float32
    assert source.examples.inputs[:3].tolist() == [[20, 0, 1], [21, 1, 0], [22, 1, 0]]  # age, Bonn, Ulm
    assert source.examples.labels.dtype == torch.int64
    assert source.examples.labels.tolist() == [0, 1] * 6
    assert source.classes == ("0", "1")
    assert source.test is None
    assert source.notes == ("text turned into one column per category: city (2)",)


def test_the_digest_is_that_of_the_file(path: Path):
    assert read(path).digest == hashlib.sha256(TABLE.encode()).hexdigest()


@pytest.mark.parametrize(
    ("labels", "classes", "indices"),
    [
        (["no", "yes", "maybe"] * 4, ("maybe", "no", "yes"), [1, 2, 0] * 4),
        (["10", "9", "-1"] * 4, ("-1", "9", "10"), [2, 1, 0] * 4),  # sorted as numbers
        (["True", "False"] * 4, ("False", "True"), [1, 0] * 4),
        (["0.0", "1.0"] * 4, ("0", "1"), [0, 1] * 4),
        (["0.5", "1.5"] * 4, ("0.5", "1.5"), [0, 1] * 4),
    ],
)
def test_the_target_may_be_of_any_type(path: Path, labels: list[str], classes: tuple[str, ...], indices: list[int]):
    source = read(path, labelled(*labels))
    assert source.classes == classes
    assert source.examples.labels.tolist() == indices


def test_rows_without_a_target_are_left_out_and_told(path: Path):
    source = read(path, labelled("0", "", "1", "0", "1", "", "0", "1"))
    assert source.examples.inputs[:, 0].tolist() == [0, 2, 3, 4, 6, 7]
    assert source.examples.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert source.classes == ("0", "1")
    assert source.notes == ("rows left out because they have no value of bought: 2",)


def test_a_byte_order_mark_spaces_and_windows_lines_do_not_matter(path: Path):
    table = TABLE.replace("\n", "\r\n").replace(",", ", ")
    source = read(path, b"\xef\xbb\xbf" + table.encode(), drop=("id",))
    assert torch.equal(source.examples.inputs, read(path, drop=("id",)).examples.inputs)


def test_quoted_fields_may_hold_commas_and_line_breaks(path: Path):
    source = read(path, 'a,"b, c",bought\n' + '1,"x\ny",0\n2,"u,v",1\n' * 4)
    assert source.examples.inputs[:2].tolist() == [[1, 0, 1], [2, 1, 0]]


def test_the_real_credit_data(data_root: Path):
    source = csv(path=str(data_root / "UCI_Credit_Card.csv"), target="DEFAULT", drop=["ID"])
    assert source.examples.inputs.shape == (30000, 23)
    assert source.examples.inputs[0, :5].tolist() == [20000, 2, 2, 1, 24]
    assert torch.bincount(source.examples.labels).tolist() == [23364, 6636]  # 22 % default, as published
    assert np.isfinite(source.examples.inputs.numpy()).all()
    assert source.notes == ()


def message_of(path: Path, content: str | bytes, target: str | None = "bought", drop: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as error:
        read(path, content, target, drop)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "FILE")


def test_path_null_is_refused():
    with pytest.raises(
        ConfigError, match=r"^dataset\.path=null: there is no default file; write dataset\.path=FILE\.csv$"
    ):
        csv(path=None, target="a", drop=[])


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^dataset\.path=.*/none\.csv: no such file; it is a CSV file with a header"):
        csv(path=str(tmp_path / "none.csv"), target="a", drop=[])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "dataset.path=FILE is empty; it needs a header line and rows"),
        ("\n\n", "dataset.path=FILE is empty; it needs a header line and rows"),
        ("a,bought\n", "dataset.path=FILE has a header and no rows; it needs one row per example"),
        ("a;bought\n1;0\n", "dataset.path=FILE has the one column 'a;bought'; separate columns by commas"),
        ("a,b,a,bought\n1,2,3,0\n", "dataset.path=FILE has two columns 'a'; rename one of them"),
        (b"\xef\xbb\xbfa,b, a,bought\n1,2,3,0\n", "dataset.path=FILE has two columns 'a'; rename one of them"),
        (
            "a,bought\n1,2,0\n1,2,1\n",
            "dataset.path=FILE: the rows have more fields than the header names; name each column",
        ),
        (b"PK\x03\x04\xff\xfe\x00", "dataset.path=FILE is not UTF-8 text; save it as CSV in UTF-8"),
        (
            "a,bought\n1,0\n1,2,0\n",
            "dataset.path=FILE cannot be read as a table (Error tokenizing data. C error: "
            "Expected 2 fields in line 3, saw 3); mend that line",
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused(path: Path, content: str | bytes, expected: str):
    assert message_of(path, content) == expected


def test_target_null_is_refused_with_the_columns(path: Path):
    expected = "dataset.target=null: name the column to predict; the columns are id, age, city, bought"
    assert message_of(path, TABLE, None) == expected


def test_a_long_list_of_columns_is_cut(path: Path):
    wide = ",".join(f"c{number}" for number in range(25))
    assert message_of(path, f"{wide}\n{wide}\n", None).endswith("c18, c19 and 5 more")


def test_a_misspelt_target_is_answered_with_the_nearest_column(path: Path):
    assert message_of(path, TABLE, "bougt") == "dataset.target=bougt is no column of FILE; did you mean 'bought'?"
    assert message_of(path, TABLE, "zzz").endswith("FILE; the columns are id, age, city, bought")


def test_a_misspelt_column_to_drop_is_answered_with_the_nearest_column(path: Path):
    expected = "dataset.drop: 'cty' is no column of FILE; did you mean 'city'?"
    assert message_of(path, TABLE, drop=("id", "cty")) == expected


def test_dropping_the_target_is_refused(path: Path):
    assert message_of(path, TABLE, drop=("bought",)) == "dataset.drop leaves no target; take a column out of it"


def test_dropping_every_feature_is_refused(path: Path):
    expected = "dataset.drop leaves no features; take a column out of it"
    assert message_of(path, TABLE, drop=("id", "age", "city")) == expected


def test_a_constant_target_is_refused(path: Path):
    expected = "dataset.target=bought has too few distinct values (1); choose a column with at least two classes"
    assert message_of(path, labelled("1", "1", "1", "")) == expected


def test_a_target_without_values_is_refused(path: Path):
    assert message_of(path, labelled("", "", "")).startswith(
        "dataset.target=bought has too few distinct values (0); choose"
    )


def test_a_continuous_target_is_refused(path: Path):
    labels = [str(number / 7) for number in range(30)]
    expected = "dataset.target=bought has 30 distinct values in 30 rows, which is no class; choose a column with"
    assert message_of(path, labelled(*labels)).startswith(expected)
    many = [str(number) for number in range(101)] * 4
    assert message_of(path, labelled(*many)).startswith("dataset.target=bought has 101 distinct values in 404 rows")
    assert len(read(path, labelled(*many[:100] * 3)).classes) == 100
