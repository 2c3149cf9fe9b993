"""The run folder's files: strict JSON, whole lines, nothing beyond the checkpoint."""

import json
import math

import pytest

from bnexp.files import read_end
from bnexp.training.record import RunFolder, finite, last_row, read_rows
from bnexp.training.seal import read_result


def row(step, **changes):
    return {"step": step, "epoch": step / 10, "train/loss": 1 / (step + 1)} | changes


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def strict(text):
    """Parse JSON as its standard has it, without Python's NaN and Infinity."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_rows_come_back_as_they_were_appended(folder):
    rows = [row(step) for step in range(5)]
    for one in rows:
        folder.append_row(one)
    assert read_rows(folder.metrics) == rows
    assert [strict(line) for line in folder.metrics.read_text().splitlines()] == rows


def test_numbers_come_back_to_the_last_bit(folder):
    folder.append_row(row(1, **{"train/loss": 0.1 + 0.2, "lr": 1e-300}))
    assert read_rows(folder.metrics)[0]["train/loss"] == 0.1 + 0.2
    assert read_rows(folder.metrics)[0]["lr"] == 1e-300


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_lacks_is_null(folder, value):
    folder.append_row(row(1, **{"val/loss": value}))
    folder.write_result({"metrics": {"val/loss": value, "all": [1.0, value, (value,)]}, "steps": 1})
    assert strict(folder.metrics.read_text())["val/loss"] is None
    assert strict(folder.result.read_text())["metrics"] == {"val/loss": None, "all": [1.0, None, [None]]}


def test_finite_leaves_everything_else_as_it_is():
    value = {"a": [1, 2.5, "nan", None, True, {"b": -0.0}]}
    assert finite(value) == value


@pytest.mark.parametrize("length", [1, 10, -2])
def test_a_last_line_that_was_cut_short_is_left_out(folder, length):
    folder.append_row(row(1))
    with folder.metrics.open("a") as file:
        file.write((json.dumps(row(2)) + "\n")[:length])
    assert read_rows(folder.metrics) == [row(1)]


def test_rows_beyond_the_checkpoint_are_cut_off_and_the_next_begins_a_line(folder):
    for step in (10, 20, 30):
        folder.append_row(row(step))
    with folder.metrics.open("a") as file:
        file.write('{"step": 40, "tr')
    assert folder.cut_rows(20) == [row(10), row(20)]
    folder.append_row(row(25))
    assert [strict(line)["step"] for line in folder.metrics.read_text().splitlines()] == [10, 20, 25]


def test_without_a_checkpoint_all_rows_are_cut_off(folder):
    folder.append_row(row(10))
    assert folder.cut_rows(0) == []
    assert read_rows(folder.metrics) == []


def test_a_folder_without_metrics_has_no_rows(folder):
    assert read_rows(folder.metrics) == []
    assert folder.cut_rows(100) == []


def test_a_result_comes_back(folder):
    result = {"status": "done", "metrics": {"test/accuracy": 0.5}, "notes": ["σ² = 2/fan_in"]}
    folder.write_result(result)
    assert json.loads(folder.result.read_bytes()) == result
    assert "σ²" in folder.result.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [None, b"", b'{"status": "do', b"[1, 2]", b"\xff\xfe"])
def test_a_result_that_cannot_be_read_is_none(folder, content):
    if content is not None:
        folder.result.write_bytes(content)
    assert read_result(folder) is None


def test_a_new_attempt_begins_without_the_end_of_the_last_and_keeps_its_rows(folder):
    folder.append_row(row(10))
    for file in (folder.config, folder.result, folder.seal, folder.traceback, folder.checkpoint):
        file.write_text("old")
    folder.start("norm: σ\n".encode())
    assert sorted(folder.path.iterdir()) == sorted([folder.config, folder.metrics, folder.checkpoint])
    assert folder.config.read_text(encoding="utf-8") == "norm: σ\n"
    assert read_rows(folder.metrics) == [row(10)]


@pytest.mark.parametrize("num_rows", [0, 1, 2, 1000])
@pytest.mark.parametrize("tail", ["", '{"step": 1', "\n", '{"step": 1}'])
@pytest.mark.parametrize("width", [0, 100_000])
def test_the_last_row_is_that_of_reading_them_all(folder, num_rows, tail, width):
    rows = [row(step, note="x" * width if step == num_rows - 1 else "") for step in range(num_rows)]
    text = "".join(json.dumps(one) + "\n" for one in rows)
    folder.metrics.write_text(text + tail)
    assert last_row(folder.metrics) == (rows[-1] if rows else {})


def test_the_last_row_of_a_long_record_is_read_without_the_others(folder, monkeypatch):
    folder.metrics.write_text("".join(json.dumps(row(step)) + "\n" for step in range(100_000)))
    sizes = []

    def counting(path, most):
        sizes.append(most)
        return read_end(path, most)

    monkeypatch.setattr("bnexp.training.record.read_end", counting)
    assert last_row(folder.metrics) == row(99_999)
    assert sum(sizes) < folder.metrics.stat().st_size / 10
