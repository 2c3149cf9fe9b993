import io

import numpy as np
import pandas as pd
import pytest

from bnexp.data.columns import encode
from bnexp.errors import ConfigError


def table(*lines: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO("\n".join(lines)))


def test_numbers_stay_as_they_are():
    rows, notes = encode(table("a,b", "1,2.5", "-3,4e2"))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[1, 2.5], [-3, 400]])
    assert notes == ()


def test_text_becomes_one_column_per_category_in_sorted_order():
    rows, notes = encode(table("a,colour", "1,red", "2,blue", "3,green", "4,red"))
    np.testing.assert_array_equal(rows, [[1, 0, 0, 1], [2, 1, 0, 0], [3, 0, 1, 0], [4, 0, 0, 1]])
    assert notes == ("text turned into one column per category: colour (3)",)


def test_missing_text_is_a_category_of_its_own():
    rows, notes = encode(table("a,colour", "1,red", "2,", "3,blue"))
    np.testing.assert_array_equal(rows[:, 1:], [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert notes[0].startswith("missing values in colour (1): ")


def test_missing_numbers_stay_missing_and_are_marked_in_one_more_column():
    rows, notes = encode(table("a,b,c", "1,,7", "2,5,", "3,,9"))
    nan = np.nan
    np.testing.assert_array_equal(rows, [[1, nan, 1, 7, 0], [2, 5, 0, nan, 1], [3, nan, 1, 9, 0]])
    assert notes == (
        "missing values in b (2), c (1): numbers filled with the median of the training examples, "
        "and marked in one more column each; text counted as a category",
    )


def test_true_and_false_become_one_and_zero_in_any_spelling():
    rows, _ = encode(table("a,b,c", "True,TRUE,true", "False,,false", "True,FALSE,true"))
    np.testing.assert_array_equal(rows[:, [0, 3]], [[1, 1], [0, 0], [1, 1]])
    np.testing.assert_array_equal(rows[:, 1:3], [[1, 0], [np.nan, 1], [0, 0]])


def test_a_column_of_texts_and_a_few_numbers_holds_categories():
    rows, _ = encode(table("size", "S", "M", "42", "M"))
    np.testing.assert_array_equal(rows, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]])  # sorted: 42, M, S


def test_text_among_numbers_is_named_with_its_row():
    with pytest.raises(
        ConfigError, match=r"^dataset\.path: column 'age', row 3: 'unknown' among numbers; mend it, .* dataset\.drop$"
    ):
        encode(table("age,b", "31,1", "42,1", "unknown,1", "57,1", "?,1"))


@pytest.mark.parametrize(("text", "shown"), [("inf", "inf"), ("-inf", "-inf"), ("1e300", r"1e\+300")])
def test_an_infinite_number_is_named_with_its_row(text: str, shown: str):
    with pytest.raises(ConfigError, match=rf"column 'b', row 2: {shown} is no finite number of 32 bits; mend it"):
        encode(table("a,b", "1,2", f"1,{text}"))


def test_rows_are_numbered_as_in_the_file_although_some_are_left_out():
    frame = table("a,b", "1,2", "1,3", "1,4", "1,inf").iloc[[0, 3]]
    with pytest.raises(ConfigError, match="column 'b', row 4: inf"):
        encode(frame)


def test_a_column_without_values_is_named():
    with pytest.raises(ConfigError, match=r"column 'b' has no values; add it to dataset\.drop$"):
        encode(table("a,b", "1,", "2,"))


def test_text_that_is_different_in_most_rows_is_no_category():
    frame = pd.DataFrame({"name": [f"person {number}" for number in range(257)]})
    with pytest.raises(
        ConfigError, match=r"'name' has 257 different texts, more than 256 categories; add it to dataset"
    ):
        encode(frame)
    assert encode(frame[1:])[0].shape == (256, 256)
