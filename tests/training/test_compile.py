"""``training.compile``: other kernels, the same training."""

import pytest
import torch

from bnexp.config.compose import compose_run
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder

WORDS = ["model=mlp", "norm=batch", "init=he", "training.epochs=1", "training.threads=1", "training.device=cpu"]


def train(folder, *words):
    prepared = prepare(*compose_run([*WORDS, *words, f"output_dir={folder}"]))
    result = run(prepared, Silence)
    assert result["status"] == "done", result
    return load_checkpoint(RunFolder(prepared.path).checkpoint)["model"], result


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the compiler itself
@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_compiled_kernels_train_the_same_network_but_for_rounding(tmp_path, model):
    words = [f"model={model}", "model.width=8", "model.dropout=0"]
    plain, _ = train(tmp_path / "plain", *words)
    other, _ = train(tmp_path / "other", *words, "seed=1")
    compiled, result = train(tmp_path / "compiled", *words, "training.compile=true")
    assert plain.keys() == compiled.keys()
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4)
    assert any(not torch.allclose(other[name], value, rtol=1e-3, atol=1e-4) for name, value in plain.items())
    assert result["launch"]["compile"] is True


def test_without_a_compiler_there_is_a_line_about_it(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match=r"training\.compile=true needs a C\+\+ compiler.*install g\+\+"):
        prepare(*compose_run([*WORDS, "training.compile=true", f"output_dir={tmp_path}"]))
    assert not list(tmp_path.iterdir())
