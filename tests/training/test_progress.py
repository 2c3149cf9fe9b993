"""What a person is told: rare lines in a log, a bar on a terminal."""

import io
import math
import re
import sys
from types import SimpleNamespace

import pytest

from bnexp.training import progress
from bnexp.training.progress import Bar, PlainLines, reporter, scores

ROW = {"step": 20, "epoch": 0.5, "train/loss": 1.25, "val/loss": 1.5, "val/accuracy": 0.875}


ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Put a terminal in the place of stderr, for the test to call: pytest puts its own there after the fixtures."""

    def attach():
        monkeypatch.setattr(sys, "stderr", screen := Terminal())
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "200")
        return screen

    return attach


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds):
        now[0] += seconds

    return wait


def test_a_terminal_gets_a_bar_and_everything_else_plain_lines(terminal, monkeypatch):
    terminal()
    assert isinstance(reporter("arm/run"), Bar)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(reporter("arm/run"), PlainLines)


def test_plain_lines_come_every_few_seconds_at_most(clock, capsys):
    with PlainLines("arm/run", seconds_between=5) as told:
        told.start(0, 40, 64)
        for _ in range(4):
            clock(3)
            told.step(20)
            told.row(ROW)
    line = "arm/run: epoch 0.5, step 20/40, loss 1.2500, val accuracy 0.8750\n"
    assert capsys.readouterr() == ("", line * 2)  # after 6 and 12 seconds


def test_a_run_that_goes_on_says_from_where(capsys):
    with PlainLines("arm/run") as told:
        told.start(20, 40, 64)
        told.say("something else")
    assert capsys.readouterr() == ("", "arm/run: goes on after step 20 of 40\nsomething else\n")


@pytest.mark.parametrize("loss", [None, math.nan])
def test_a_loss_that_is_no_number_is_shown_as_such(loss):
    assert scores(ROW | {"train/loss": loss}) == "loss nan, val accuracy 0.8750"


def test_an_evaluation_without_a_score_is_shown_as_such():
    assert scores(ROW | {"val/accuracy": None, "train/loss": None}) == "loss nan, no score"


def test_the_bar_shows_steps_scores_and_speed(terminal, clock):
    screen = terminal()
    with Bar("arm/run") as told:
        told.start(0, 40, 64)
        clock(2)
        told.step(10)
        told.row(ROW | {"step": 10})
        told.bar.refresh()
        shown = screen.getvalue()
    assert "arm/run" in shown
    assert "10/40 steps" in shown
    assert "loss 1.2500, val accuracy 0.8750" in shown
    assert "320 examples/s" in shown  # 10 steps of 64 in 2 seconds


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_numbers_stay_whole_beside_a_long_name(terminal, clock, monkeypatch, width):
    screen = terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    name = "digits-convnet-default-none-momentum/0123456789-s0"
    with Bar(name) as told:
        told.start(0, 2500, 64)
        clock(2)
        told.step(1200)
        told.row(ROW | {"step": 1200})
        told.bar.refresh()
    [line] = [part for part in re.split(r"[\r\n]", ANSI.sub("", screen.getvalue())) if "1200/2500" in part][-1:]
    assert "1200/2500 steps loss 1.2500, val accuracy 0.8750 " in line
    assert re.search(r"(\d+|--):(\d\d|--)\s*$", line)
    assert len(line) <= width
    if width >= 80:
        assert "-s0 ━" in line
    assert (name in line) == (width >= 120)


def test_steps_and_time_are_whole_where_even_the_scores_have_no_room(terminal, clock, monkeypatch):
    screen = terminal()
    monkeypatch.setenv("COLUMNS", "40")
    with Bar("digits-convnet-default-none-momentum/0123456789-s0") as told:
        told.start(0, 2500, 64)
        told.row(ROW | {"step": 1200})
        told.bar.refresh()
    assert "1200/2500 steps --:--" in ANSI.sub("", screen.getvalue())


def test_time_spent_on_an_evaluation_does_not_count_in_the_speed(terminal, clock):
    terminal()
    with Bar("arm/run") as told:
        told.start(0, 40, 64)
        clock(2)
        told.step(10)
        clock(100)
        told.row(ROW | {"step": 10})
        clock(1)
        told.step(20)
        assert told.bar.tasks[0].fields["speed"] == "640 examples/s"


def test_a_bar_that_goes_on_counts_its_own_steps_only(terminal, clock):
    terminal()
    with Bar("arm/run") as told:
        told.start(30, 40, 64)
        clock(1)
        told.step(35)
        assert told.bar.tasks[0].completed == 35
        assert told.bar.tasks[0].fields["speed"] == "320 examples/s"


def test_the_bar_moves_ten_times_a_second_at_most(terminal, clock):
    terminal()
    with Bar("arm/run") as told:
        told.start(0, 1000, 64)
        moves = []
        for step in range(1, 101):
            clock(0.01)
            told.step(step)
            moves.append(told.bar.tasks[0].completed)
    assert len(set(moves)) <= 11


def test_a_line_above_the_bar_is_printed_as_it_is(terminal):
    screen = terminal()
    with Bar("arm/run") as told:
        told.say("checkpoint [bold]damaged[/bold]; training starts anew")
    assert "checkpoint [bold]damaged[/bold]; training starts anew" in screen.getvalue()
