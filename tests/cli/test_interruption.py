"""What is said when Ctrl-C ends a command: how to go on, truly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.cli.main import main
from bnexp.training.loop import Training

QUICK = ["model=mlp", "model.hidden=[4]", "dataset=breast_cancer", "training.epochs=6"]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["train", *QUICK, *words])


def num_rows() -> int:
    [metrics] = Path("outputs").rglob("metrics.jsonl")
    return len(metrics.read_text().splitlines())


@pytest.mark.parametrize(
    ("words", "again"), [([], []), (["rerun=false"], ["rerun=false"]), (["rerun=true"], ["rerun=true"])], ids=str
)
def test_the_command_that_is_named_goes_on_where_it_stopped(
    words: list[str],
    again: list[str],
    train: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate = Training._evaluate

    def interrupted(self: Training, losses: list[float], num_correct: int) -> object:
        if self.progress.num_evaluations == 3:
            raise KeyboardInterrupt
        return evaluate(self, losses, num_correct)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_evaluate", interrupted)
        assert train(*words) == 130
    assert "interrupted; the same command resumes where it stopped" in capsys.readouterr().err
    assert num_rows() == 3
    assert train(*again) == 0
    assert "goes on after step 18 of 36" in capsys.readouterr().err
    assert num_rows() == 6
