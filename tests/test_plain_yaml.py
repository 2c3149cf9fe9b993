"""YAML takes no more than its length lets one expect."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bnexp.plain_yaml import UnboundedError, check_bounds, load

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(code)}: &{chr(code)} [{','.join([f'*{chr(code - 1)}'] * 10)}]\n" for code in range(ord("b"), ord("k"))
)


@given(PLAIN)
def test_what_was_written_is_read(value: Any) -> None:
    content = yaml.safe_dump(value).encode()
    check_bounds(content)
    assert load(content) == yaml.safe_load(content)


@pytest.mark.parametrize("unit", ["[", "- ", "? ", "{a: ", "a: [", "- - "])
@pytest.mark.parametrize("times", [101, 5_000, 100_000])
def test_levels_without_end_are_refused_before_the_loader_sees_them(unit: str, times: int) -> None:
    with pytest.raises((UnboundedError, yaml.YAMLError)):
        check_bounds(unit * times)
    code = "import sys, yaml\nfrom bnexp.plain_yaml import load\ntry:\n    load(sys.stdin.buffer.read())\n"
    code += "except yaml.YAMLError:\n    pass\n"
    if times > 5_000:  # libyaml's loader would end the process
        done = subprocess.run([sys.executable, "-c", code], input=(unit * times).encode(), check=False)
        assert done.returncode == 0


def test_a_hundred_levels_are_enough() -> None:
    check_bounds("[" * 98 + "]" * 98)
    with pytest.raises(UnboundedError, match="nested more than 100 levels"):
        check_bounds("[" * 101 + "]" * 101)


def test_laughs_are_counted_and_not_written_out() -> None:
    began = time.process_time()
    with pytest.raises(UnboundedError, match="more than 2,000,000 values"):
        load(LAUGHS.encode())
    assert time.process_time() - began < 5


def test_what_holds_itself_is_refused() -> None:
    for content in (b"a: &a [*a]", b"&a {b: {c: *a}}"):
        with pytest.raises(UnboundedError, match="holds itself"):
            load(content)


@pytest.mark.parametrize(("content", "number"), [("[1, 2]", 3), ("a: &x [1, 2]\nb: *x\n", 9), ("&x 1", 1)])
def test_values_are_counted_with_their_keys_and_aliases(content: str, number: int) -> None:
    check_bounds(content, number)
    with pytest.raises(UnboundedError):
        check_bounds(content, number - 1)


def test_an_alias_may_repeat_what_is_small() -> None:
    assert load(b"a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_an_alias_of_nothing_is_no_yaml() -> None:
    with pytest.raises(yaml.YAMLError):
        load(b"a: *x\n")
