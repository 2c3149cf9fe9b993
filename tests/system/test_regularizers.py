"""What a regularizer's words do to a run from the configuration to the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnexp.config.compose import compose_run
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.training.record import RunFolder, read_rows

SMALL = ["model=mlp", "model.width=16", "dataset.subset=0.3", "training.epochs=2", "training.device=cpu"]


def trained(folder: Path, *words: str) -> list[dict[str, float]]:
    prepared = prepare(*compose_run([*SMALL, *words, f"output_dir={folder}"]))
    result = run(prepared)
    assert result["status"] == "done", result
    rows = read_rows(RunFolder(prepared.path).metrics)
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.parametrize(
    "word",
    [
        "noise.input=0.3",
        "noise.weight=0.05",
        "noise.activation=0.3",
        "noise.gradient=0.05",
        "loss=focal",
        "loss=mse",
        "loss=hinge",
        "augment=cutout",
        "augment=mixup",
        "training.label_smoothing=0.1",
    ],
)
def test_every_regularizer_changes_a_run_and_is_repeatable(word: str, tmp_path: Path) -> None:
    plain, first, again = trained(tmp_path), trained(tmp_path, word), trained(tmp_path / "again", word)
    assert first == again
    assert len(first) == len(plain) == 2
    for row, other in zip(first, plain, strict=True):
        assert row["train/loss"] != other["train/loss"]
        assert row["val/loss"] != other["val/loss"]


def test_gradient_descent_is_sgd_on_full_batches(tmp_path: Path) -> None:
    words = ["training.batch_size=full", "training.epochs=5", "optimizer.lr=0.5"]
    gd = trained(tmp_path, "optimizer=gd", *words)
    assert [row["step"] for row in gd] == [1, 2, 3, 4, 5]
    assert gd == trained(tmp_path, "optimizer=sgd", *words)
