import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from bnexp.data.csv import csv
from bnexp.data.dataset import Source
from bnexp.data.items import item
from bnexp.errors import ConfigError

TABLE = "id,age,city,bought\n" + "".join(f"{n},{20 + n},{'Bonn' if n % 3 else 'Ulm'},{n % 2}\n" for n in range(12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "table.csv").write_text(TABLE)
    return tmp_path / "table.csv"


def read(
    path: Path,
    content: str | bytes = TABLE,
    target: str | float | bool | None = "bought",
    drop: Sequence[str | float | bool] = (),
    header: bool | Literal["auto"] = "auto",
) -> Source:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return csv(path=str(path), target=target, drop=list(drop), header=header, decimal="auto")


def labelled(*labels: str) -> str:
    return "a,bought\n" + "".join(f"{number},{label}\n" for number, label in enumerate(labels))


def test_a_table_becomes_rows_with_labels(path: Path):
    source = read(path, drop=("id",))
    assert source.examples.inputs.dtype == torch.float64
    assert source.examples.inputs[:3].tolist() == [[20, 0, 1], [21, 1, 0], [22, 1, 0]]  # age, Bonn, Ulm
    assert source.examples.labels.dtype == torch.int64
    assert source.examples.labels.tolist() == [0, 1] * 6
    assert source.classes == ("0", "1")
    assert source.test is None
    assert [(one.name, one.role) for one in source.contract.columns] == [
        ("id", "dropped"),
        ("age", "number"),
        ("city", "category"),
        ("bought", "target"),
    ]
    assert source.contract.warnings == ()


def test_the_digest_is_that_of_the_file(path: Path):
    assert read(path).digest == hashlib.sha256(TABLE.encode()).hexdigest()


@pytest.mark.parametrize(
    ("labels", "classes", "indices"),
    [
        (["no", "yes", "maybe"] * 4, ("maybe", "no", "yes"), [1, 2, 0] * 4),
        (["10", "9", "-1"] * 4, ("-1", "9", "10"), [2, 1, 0] * 4),  # sorted as numbers
        (["True", "False"] * 4, ("False", "True"), [1, 0] * 4),
        (["0.0", "1.0"] * 4, ("0.0", "1.0"), [0, 1] * 4),
        (["01", "1", "001"] * 4, ("001", "01", "1"), [1, 2, 0] * 4),
        (["1e300", "2e300"] * 4, ("1e300", "2e300"), [0, 1] * 4),
        (["2e400", "1e400"] * 4, ("1e400", "2e400"), [1, 0] * 4),
        (["9007199254740993", "9007199254740992"] * 4, ("9007199254740992", "9007199254740993"), [1, 0] * 4),
        (["None", "Insomnia", "Sleep Apnea"] * 4, ("Insomnia", "None", "Sleep Apnea"), [1, 0, 2] * 4),
        (["NA", "null", "nan", "N/A"] * 4, ("N/A", "NA", "nan", "null"), [1, 3, 2, 0] * 4),
        (["yes", "yes ", "no", " no"] * 4, ("no", "yes"), [1, 1, 0, 0] * 4),
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
    assert source.contract.rows_left_out == 2


def test_doubtful_classes_are_told(path: Path):
    def warnings(*labels: str) -> tuple[str, ...]:
        return read(path, labelled(*labels * 4)).contract.warnings

    assert warnings("01", "1") == ("the classes '01' and '1' of bought are the same number and are kept apart",)
    assert warnings("0", "1", "NA") == (
        "'NA' (4) of bought is a class here; leave the field empty if the class is missing",
    )
    assert warnings("yes", "Yes") == (
        "the classes 'Yes' and 'yes' differ in case, blanks or form alone and are kept apart",
    )
    assert warnings("yes", "no") == ()


def test_a_byte_order_mark_spaces_and_windows_lines_do_not_matter(path: Path):
    table = TABLE.replace("\n", "\r\n").replace(",", ", ")
    source = read(path, b"\xef\xbb\xbf" + table.encode(), drop=("id",))
    assert torch.equal(source.examples.inputs, read(path, drop=("id",)).examples.inputs)


def test_quoted_fields_may_hold_commas_and_line_breaks(path: Path):
    source = read(path, 'a,"b, c",bought\n' + '1,"x\ny",0\n2,"u,v",1\n' * 4)
    assert source.examples.inputs[:2].tolist() == [[1, 0, 1], [2, 1, 0]]


def test_the_real_credit_data(data_root: Path):
    path = str(data_root / "UCI_Credit_Card.csv")
    source = csv(path=path, target="DEFAULT", drop=["ID"], header="auto", decimal="auto")
    assert source.examples.inputs.shape == (30000, 23)
    assert source.examples.inputs[0, :5].tolist() == [20000, 2, 2, 1, 24]
    assert torch.bincount(source.examples.labels).tolist() == [23364, 6636]  # 22 % default, as published
    assert np.isfinite(source.examples.inputs.numpy()).all()
    assert source.contract.warnings == ()
    (suspect,) = csv(path=path, target="DEFAULT", drop=[], header="auto", decimal="auto").contract.identifiers
    assert suspect.name == "ID"


def message_of(
    path: Path,
    content: str | bytes,
    target: str | float | bool | None = "bought",
    drop: Sequence[str | float | bool] = (),
    header: bool | Literal["auto"] = "auto",
) -> str:
    with pytest.raises(ConfigError) as error:
        read(path, content, target, drop, header)
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(path), "FILE")


def test_path_null_is_refused():
    with pytest.raises(
        ConfigError, match=r"^dataset\.path=null: there is no default file; write dataset\.path=FILE\.csv$"
    ):
        csv(path=None, target="a", drop=[], header="auto", decimal="auto")


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^dataset\.path=.*/none\.csv: no such file; it is a CSV file with a header"):
        csv(path=str(tmp_path / "none.csv"), target="a", drop=[], header="auto", decimal="auto")


def test_a_refusal_names_what_was_looked_for(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(
        ConfigError, match=f"^dataset.path=no.csv: no such file \\(looked for {path.parent}/no.csv\\); "
    ):
        csv(path="no.csv", target="bought", drop=[], header="auto", decimal="auto")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ConfigError, match=r"pipe\.csv: not a file; it is"):
        csv(path=str(tmp_path / "pipe.csv"), target="a", drop=[], header="auto", decimal="auto")


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
            "a,bought\n1,0\n\n1,2,0\n",
            "dataset.path=FILE: line 4 has 3 fields and the first line 2; mend that line, a field with a comma in it "
            "needs quotes",
        ),
        (
            "a,b,bought\n1,2,0\n1,2\n",
            "dataset.path=FILE: line 3 has 2 fields and the first line 3; mend that line, a field with a comma in it "
            "needs quotes",
        ),
        (
            'a,bought\n1,0\n"x,1\n2,0\n',  # a quote that is never closed would swallow the rest
            "dataset.path=FILE cannot be read as a table (line 4: unexpected end of data); mend that line",
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
    assert message_of(path, f"{wide}\n{','.join('1' * 25)}\n", None).endswith("c18, c19 and 5 more")


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


@pytest.mark.parametrize("wanted", [9, "9", 9.0])
def test_a_column_whose_name_is_a_number_can_be_named(path: Path, wanted: str | float):
    table = "id,7,9\n" + "".join(f"x{number % 5},{number / 7},{number % 2}\n" for number in range(12))
    source = read(path, table, wanted, drop=[7])
    assert source.classes == ("0", "1")
    assert [one.role for one in source.contract.columns] == ["category", "dropped", "target"]


@pytest.mark.parametrize(
    ("name", "typed"), [("1.50", 1.5), ("1_000", 1000), ("1e3", 1000.0), ("True", True), ("-4", -4)]
)
def test_a_number_names_the_column_that_is_written_otherwise(path: Path, name: str, typed: float | bool):
    table = f"id,a,{name}\n" + "".join(f"x{number % 5},{number / 7},{number % 2}\n" for number in range(12))
    assert read(path, table, typed).classes == ("0", "1")


def test_a_name_that_two_columns_may_have_is_refused(path: Path):
    table = "1.0,1.00,y\n" + "".join(f"{number},x,{number % 2}\n" for number in range(12))
    assert "dataset.target=1 is no column of FILE" in message_of(path, table, 1)


IRIS = [
    *("5.1,3.5,1.4,0.2,Iris-setosa", "4.9,3.0,1.4,0.2,Iris-setosa", "7.0,3.2,4.7,1.4,Iris-versicolor"),
    *("6.4,3.2,4.5,1.5,Iris-versicolor", "6.3,3.3,6.0,2.5,Iris-virginica", "5.8,2.7,5.1,1.9,Iris-virginica"),
]
ADULT = [
    "39, State-gov, 77516, Bachelors, 13, <=50K",
    "50, Self-emp, 83311, Bachelors, 13, <=50K",
    "38, Private, 215646, HS-grad, 9, >50K",
    "53, State-gov, 234721, 11th, 7, >50K",
]
DIGITS = ["0,0,5,13,1,1", "0,0,5,0,0,1", "3,1,9,13,4,0", "1,0,5,13,1,0"]
MUSHROOMS = ["p,x,s,n", "e,x,s,y", "e,b,s,w", "p,x,y,n"]


@pytest.mark.parametrize("rows", [IRIS, ADULT, DIGITS, MUSHROOMS], ids=["iris", "adult", "digits", "mushrooms"])
def test_a_table_without_a_header_never_loses_its_first_row(path: Path, rows: list[str]):
    content = "".join(f"{row}\n" for row in rows * 3)
    target = f"column {rows[0].count(',') + 1}"
    problem = message_of(path, content, rows[0].split(",")[-1].strip())
    assert problem.startswith("dataset.path=FILE seems to have no header: its first line (")
    assert "write dataset.header=false" in problem
    source = read(path, content, target if rows is not MUSHROOMS else "column 1", header=False)
    assert len(source.examples) == 3 * len(rows)


@pytest.mark.parametrize(
    "header",
    [
        "sepal length,sepal width,petal length,petal width,species",
        "0,1,2,3,4",
        ",1,2,3,4",
        "a,b,c,d,e",
        "400,410,420,430,species",
        "1,2,3,4,Iris-setosa?",
        "NA,None,nan,x,null",
    ],
)
def test_a_header_is_taken_for_one_whatever_the_names_are(path: Path, header: str):
    names = [name or "Unnamed: 0" for name in header.split(",")]
    source = read(path, "".join(f"{row}\n" for row in [header, *IRIS * 3]), names[-1])
    assert [one.name for one in source.contract.columns] == names
    assert source.classes == ("Iris-setosa", "Iris-versicolor", "Iris-virginica")
    assert len(source.examples) == 18


def numbered(*columns: Sequence[object], names: str) -> str:
    rows = zip(*columns, (row % 2 for row in range(len(columns[0]))), strict=True)
    return f"{names},bought\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows)


SHUFFLED = [(7 * number) % 41 for number in range(41)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("", range(41)),
        ("", range(1, 42)),
        ("anything", range(41)),
        ("anything", range(1000, 1410, 10)),
        ("down", range(41, 0, -1)),
        ("anything", [f"{number}.0" for number in range(41)]),
        ("anything", [number**2 for number in range(41)]),  # sorted, with gaps
        ("anything", SHUFFLED),
        ("customer_id", [number**2 + 10**6 for number in SHUFFLED]),
        ("userId", [number**2 + 10**6 for number in SHUFFLED]),
        ("anything", [2**60 + number**2 for number in SHUFFLED]),
        ("anything", [f"C-{number}" for number in SHUFFLED]),
    ],
)
def test_identifiers_are_suspected_and_the_fix_can_be_pasted(path: Path, name: str, values: Sequence[object]):
    content = numbered(values, [number / 7 % 1 for number in SHUFFLED], names=f"{name},x")
    contract = read(path, content).contract
    shown = name or "Unnamed: 0"
    assert [one.name for one in contract.identifiers] == [shown]
    (word,) = shlex.split(contract.drop)
    override = OverridesParser.create().parse_override(word)
    assert (override.key_or_group, override.value()) == ("dataset.drop", [shown])
    assert contract.drop in contract.warnings[0]
    assert read(path, content, drop=[shown]).contract.identifiers == ()


@pytest.mark.parametrize(
    "values",
    [
        [number % 20 for number in SHUFFLED],
        [number / 7 for number in range(41)],
        [number**2 for number in SHUFFLED],
        [f"C-{number % 40}" for number in SHUFFLED],
        ["yes", *["no"] * 40],
    ],
)
def test_what_repeats_or_is_measured_is_no_identifier(path: Path, values: Sequence[object]):
    assert read(path, numbered(values, SHUFFLED[::-1], names="a,b"), drop=["b"]).contract.identifiers == ()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="$", codec="utf-8"), min_size=1, max_size=6), min_size=1, max_size=3
    )
)
def test_an_item_survives_the_shell_and_hydra(names: list[str]):
    (word,) = shlex.split(item("dataset.drop", names))
    assert OverridesParser.create().parse_override(word).value() == names
