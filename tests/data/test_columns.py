import csv

import numpy as np
import pytest

from bnexp.data.cells import Cells, cells_of
from bnexp.data.columns import Encoded, encode
from bnexp.data.numbers import Mark
from bnexp.errors import ConfigError


def table(*lines: str) -> list[Cells]:
    names, *rows = csv.reader(lines)
    return [cells_of(name, column) for name, column in zip(names, zip(*rows, strict=True), strict=True)]


def encoded(*lines: str, mark: Mark = "auto") -> Encoded:
    return encode(table(*lines), mark)


def column(*fields: str, mark: Mark = "auto") -> list[float]:
    return encode([cells_of("x", fields)], mark).rows[:, 0].tolist()


def refusal(*fields: str, mark: Mark = "auto") -> str:
    with pytest.raises(ConfigError) as error:
        encode([cells_of("x", fields)], mark)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_numbers_stay_as_they_are():
    found = encoded("a,b", "1,2.5", "-3,4e2")
    assert found.rows.dtype == np.float64
    np.testing.assert_array_equal(found.rows, [[1, 2.5], [-3, 400]])
    assert [one.role for one in found.columns] == ["number", "number"]
    assert found.warnings == ()


def test_unix_times_and_years_keep_every_second():
    assert column(*map(str, range(1_700_000_000, 1_700_000_060))) == list(range(1_700_000_000, 1_700_000_060))


def test_text_becomes_one_column_per_category_in_sorted_order():
    found = encoded("a,colour", "1,red", "2,blue", "3,green", "4,red")
    np.testing.assert_array_equal(found.rows, [[1, 0, 0, 1], [2, 1, 0, 0], [3, 0, 1, 0], [4, 0, 0, 1]])
    assert found.columns[1].categories == {"blue": 1, "green": 1, "red": 2}
    assert found.columns[1].features == ("colour = blue", "colour = green", "colour = red")


def test_an_empty_text_is_a_category_of_its_own():
    found = encoded("a,colour", "1,red", "2,", "3,blue")
    np.testing.assert_array_equal(found.rows[:, 1:], [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert found.columns[1].categories == {"blue": 1, "red": 1, "": 1}


def test_words_for_missing_are_categories_of_a_text_and_are_told():
    found = encoded("a,basement", "1,None", "2,full", "3,", "4,NA", "5,None", "6,full")
    assert found.columns[1].categories == {"NA": 1, "None": 2, "full": 2, "": 1}
    assert found.columns[1].kept == {"NA": 1, "None": 2}


def test_missing_numbers_stay_missing_and_are_marked_in_one_more_column():
    found = encoded("a,b,c", "1,,7", "2,5,NaN", "3,N/A,9")
    nan = np.nan
    np.testing.assert_array_equal(found.rows, [[1, nan, 1, 7, 0], [2, 5, 0, nan, 1], [3, nan, 1, 9, 0]])
    assert [one.missing for one in found.columns] == [{}, {"": 1, "N/A": 1}, {"NaN": 1}]
    assert found.columns[1].features == ("b", "b is missing")


def test_true_and_false_become_one_and_zero_in_any_spelling():
    rows = encoded("a,b,c", "True,TRUE,true", "False,,false", "True,FALSE,true").rows
    np.testing.assert_array_equal(rows[:, [0, 3]], [[1, 1], [0, 0], [1, 1]])
    np.testing.assert_array_equal(rows[:, 1:3], [[1, 0], [np.nan, 1], [0, 0]])


def test_a_column_of_texts_and_a_few_numbers_holds_categories():
    rows = encoded("size", "S", "M", "42", "M").rows
    np.testing.assert_array_equal(rows, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]])  # sorted: 42, M, S


def test_blanks_at_the_ends_are_stripped_and_counted():
    found = encoded("city", "Bonn", "Bonn ", " Ulm", "Ulm", "\tUlm\xa0")
    assert found.rows.shape == (5, 2)
    assert found.columns[0].stripped == 3


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        (["52,000", "1,250,000", "17"], [52000, 1250000, 17]),
        (["52,000", "61,500", "1,200"], [52000, 61500, 1200]),
        (["1,234.5", "7.25", "-12,000"], [1234.5, 7.25, -12000]),
        (["1,5", "1234,25", "-0,125", "3"], [1.5, 1234.25, -0.125, 3]),
        (["0,123", "1,234"], [0.123, 1.234]),  # nobody groups with a zero in front
        (["1.234,5", "12,5", "1.234.567"], [1234.5, 12.5, 1234567]),
        (["1 234,5", "12,5"], [1234.5, 12.5]),
        (["1\u202f234", "1\u202f234\u202f567", "12"], [1234, 1234567, 12]),
        (["1'234.50", "12.25"], [1234.5, 12.25]),
        (["$ 3.20", "$1,234.00", "-$5", "$-6"], [3.2, 1234, -5, -6]),
        (["3,20 €", "€5", "1.000,50€"], [3.2, 5, 1000.5]),
        (["USD 5", "7 USD"], [5, 7]),
        (["12 %", "0.5%"], [12, 0.5]),
        (["(1,234,567)", "5", "(0.5)"], [-1234567, 5, -0.5]),
        (["1.234,50-", "12,00"], [-1234.5, 12]),
        (["R$ 1,50", "R$ 2,25"], [1.5, 2.25]),
        (["5 kr", "7,5 kr"], [5, 7.5]),
        (["5 usd", "7.5 usd"], [5, 7.5]),
        (["\u22125", "5"], [-5, 5]),  # the minus of typesetters
        (["1,5E+03", "2,5"], [1500, 2.5]),
        (["1.234", "2.567"], [1.234, 2.567]),
    ],
)
def test_numbers_written_as_text_are_read_where_the_column_agrees(fields: list[str], numbers: list[float]):
    assert column(*fields) == numbers
    assert column(*reversed(fields)) == numbers[::-1]


@pytest.mark.parametrize(
    ("fields", "point", "comma"),
    [
        (["1,234", "2,567"], [1234, 2567], [1.234, 2.567]),
        (["950", "1,234"], [950, 1234], [950, 1.234]),
        (["950", "1.234"], [950, 1.234], [950, 1234]),
        (["$950", "$1.234"], [950, 1.234], [950, 1234]),
    ],
)
def test_numbers_that_can_be_read_in_two_ways_are_refused_until_somebody_decides(
    fields: list[str], point: list[float], comma: list[float]
):
    assert refusal(*fields).endswith("; write dataset.decimal=point or dataset.decimal=comma")
    assert column(*fields, mark="point") == point
    assert column(*fields, mark="comma") == comma


def test_a_mark_decides_nothing_where_there_is_no_doubt():
    assert column("1.5", "2", mark="comma") == [1.5, 2]
    assert column("1,5", "2", mark="point") == [1.5, 2]


@pytest.mark.parametrize(
    "fields",
    [
        ["1,234.5", "1.234,5", "7"],  # two conventions
        ["$5", "€5", "$6"],
        ["5", "$5", "6"],
        ["12 %", "0.12", "13 %"],
        ["1,23,456", "5", "6"],
        ["12.03.2024", "13.03.2024"],
    ],
)
def test_numbers_that_contradict_each_other_are_refused_and_no_categories(fields: list[str]):
    for order in (fields, fields[::-1]):
        assert refusal(*order).startswith("dataset.path: column 'x'")


def test_text_among_numbers_is_named_with_its_row():
    with pytest.raises(ConfigError) as error:
        encoded("age,b", "31,1", "42,1", "unknown,1", "57,1", "?,1")
    assert str(error.value) == (
        "dataset.path: column 'age', row 3: 'unknown' among numbers; mend it, leave it empty if it is missing, "
        "or write 'dataset.drop=[age]'"
    )


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "1e400", "-1e301"])
def test_an_infinite_number_is_named_with_its_row(text: str):
    assert f"column 'x', row 2: '{text}' is no finite number of 64 bits; mend it" in refusal("2", text)


def test_rows_are_numbered_as_in_the_file_although_some_are_left_out():
    cells = [one.kept(np.array([True, False, False, True])) for one in table("a,b", "1,2", "1,3", "1,4", "1,inf")]
    with pytest.raises(ConfigError, match="column 'b', row 4: 'inf'"):
        encode(cells, "auto")


def test_a_column_without_values_is_named():
    with pytest.raises(ConfigError, match=r"column 'b' has no values; write 'dataset\.drop=\[id,b\]'$"):
        encode(table("a,b", "1,", "2,"), "auto", dropped=["id"])


def test_text_that_is_different_in_most_rows_is_no_category():
    names = [f"person {number}" for number in range(257)]
    assert refusal(*names) == (
        "dataset.path: column 'x' has 257 different texts ('person 0', …), more than 256 categories; "
        "if they are numbers, write them plainly (1234.5); if they are names, write 'dataset.drop=[x]'"
    )
    assert encode([cells_of("x", names[1:])], "auto").rows.shape == (256, 256)


def test_what_may_be_a_number_is_not_advised_to_be_dropped_alone():
    assert "if they are numbers, write them plainly (1234.5)" in refusal(*[f"{number} kg" for number in range(300)])
    (warning,) = encode([cells_of("x", [f"{number} kg" for number in range(50)] * 2)], "auto").warnings
    assert "50 different texts" in warning
    assert "if they are numbers, write them plainly" in warning


def test_digits_that_64_bits_do_not_hold_are_counted():
    first = 2**53
    found = encode([cells_of("x", [str(first + number % 4) for number in range(12)])], "auto")
    # of 2⁵³, 2⁵³ + 1, + 2 and + 3, a double holds the even ones; the others round to an even neighbour: 3 are left
    assert len({float(first + number) for number in range(4)}) == 3
    assert found.columns[0].lost == 1
    assert "1 of its different numbers fall together" in found.warnings[0]


def test_codes_that_are_one_number_are_told():
    found = encode([cells_of("zip", ["01234", "1234", "5", "5"])], "auto")
    assert found.warnings == (
        "column 'zip': '01234' and '1234' are the same number; if they are codes, put a letter in front of each",
    )


@pytest.mark.parametrize(
    ("one", "other"), [("Bonn", "bonn"), ("caf\u00e9", "cafe\u0301"), ("New  York", "new york"), ("Bonn", "Bonn\u200b")]
)
def test_categories_that_look_alike_are_kept_apart_and_told(one: str, other: str):
    found = encode([cells_of("x", [one, other, "Ulm"])], "auto")
    assert found.rows.shape == (3, 3)
    assert "differ in case, blanks or form alone" in found.warnings[0]
