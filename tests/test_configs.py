"""Every choice of every group, as the folder listing has them, is built and trained for one step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnexp.config.compose import compose_run
from bnexp.config.folder import choices, config_dir, groups
from bnexp.experiment import prepare
from bnexp.run import run

RUN_GROUPS = [group for group in groups([config_dir()]) if group != "study"]
ALL = [(group, name) for group in RUN_GROUPS for name in choices([config_dir()], group)]

NEEDS = {
    "csv": ["dataset.path={csv}", "dataset.target=label", "model=mlp"],
    "image_folder": ["dataset.root={images}"],
    "breast_cancer": ["model=mlp"],
    "two_features": ["model=mlp"],
    "fixup": ["model=resnet", "model.depth=8"],
    "ghost_batch": ["training.batch_size=256"],
}
PUBLISHED = {"mnist", "fashion_mnist", "cifar10", "cifar100", "credit"}
SMALL = ["training.epochs=1", "training.batch_size=full", "dataset.subset=0.2"]
SMALL_MODEL = ["model.depth=3", "model.width=8"]
SMALL_MODELS = {
    "resnet": ["model.depth=8", "model.width=8"],
    "vgg": ["model.depth=11", "model.width=8"],
    "googlenet": ["model.width=8"],
    "shallow": ["model.parameters=2000"],
    "deep": ["model.parameters=2000"],
}


def make_inputs(folder: Path) -> dict[str, Path]:
    generator = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / "images" / name).mkdir(parents=True)
        for index in range(20):
            pixels = generator.integers(256, size=(8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name / f"{index}.png")
    rows = "\n".join(f"{index},{index % 3},{'yes' if index % 2 else 'no'}" for index in range(60))
    (folder / "rows.csv").write_text(f"a,b,label\n{rows}\n")
    return {"csv": folder / "rows.csv", "images": folder / "images"}


@pytest.mark.parametrize(("group", "name"), ALL, ids=[f"{group}={name}" for group, name in ALL])
def test_every_choice_trains_a_step(group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    inputs = make_inputs(tmp_path)
    words = [word.format(**inputs) for word in NEEDS.get(name, [])]
    if name in PUBLISHED:
        pytest.skip("needs files that are not bundled; trained on in tests/system where BNEXP_DATA has them")
    size = SMALL_MODELS.get(name, SMALL_MODEL)
    overrides = [*SMALL, *size, f"{group}={name}", *words, f"output_dir={tmp_path}/out"]
    composed = compose_run(overrides)
    prepared = prepare(*composed)
    result = run(prepared)
    assert result["status"] == "done", result
    assert result["steps"] == 1
    assert 0 <= result["metrics"]["test/accuracy"] <= 1
