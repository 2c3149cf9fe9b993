"""What is found out about an experiment before anything is written: batches, optimizers, noise, memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bnexp.compatibility import check_network
from bnexp.config.compose import compose_run
from bnexp.errors import ConfigError
from bnexp.experiment import prepare

SMALL = ["model=mlp", "model.hidden=[4]", "dataset=breast_cancer", "norm=batch"]


def mistake(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        prepare(*compose_run(words))
    return str(caught.value)


@pytest.mark.parametrize(("size", "split"), [(45, "46 validation"), (112, "113 test"), (1, "46 validation")])
def test_a_remainder_of_one_example_is_refused_where_each_batch_has_its_own_statistics(size: int, split: str) -> None:
    assert mistake(*SMALL, "evaluation.statistics=batch", f"evaluation.batch_size={size}") == (
        f"evaluation.batch_size={size} makes a batch of 1 of the {split} examples, too few for the statistics of "
        "norm=batch; use another evaluation.batch_size, or evaluation.statistics=running"
    )


@pytest.mark.parametrize("words", [["batch", "44"], ["batch", "full"], ["running", "45"], ["precise", "45"]], ids=str)
def test_any_other_remainder_is_taken(words: list[str]) -> None:
    statistics, size = words
    prepare(*compose_run([*SMALL, f"evaluation.statistics={statistics}", f"evaluation.batch_size={size}"]))


def test_a_network_whose_norms_are_frozen_takes_a_remainder_of_one() -> None:
    words = ["evaluation.statistics=batch", "evaluation.batch_size=45", "model.freeze=[hidden]"]
    prepare(*compose_run([*SMALL, *words]))


PLUGIN = """
import torch
from torch import Tensor, nn

def picky(model, *, lr: float):
    raise ValueError("no such rule")
"""


def test_an_optimizer_and_noise_that_cannot_be_built_are_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, f"output_dir={tmp_path}"]
    assert mistake(*words, "activation=relu", "model=mlp", "noise.activation=1", "model.hidden=[]").startswith(
        "noise.activation=1: this model has no activation function"
    )
    (tmp_path / "picky_optimizers.py").write_text(PLUGIN)
    (tmp_path / "mine" / "optimizer").mkdir(parents=True)
    node = "_target_: picky_optimizers.picky\n_partial_: true\nlr: 1.0\n"
    (tmp_path / "mine" / "optimizer" / "picky.yaml").write_text(node)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BNEXP_PLUGINS", "picky_optimizers")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"^optimizer=picky: no such rule$"):
        prepare(*compose_run([*words, "optimizer=picky"], [tmp_path / "mine"]))
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(path)] == before


def test_what_was_tried_out_leaves_no_trace_in_the_network() -> None:
    plain = prepare(*compose_run(SMALL)).model
    noisy = prepare(*compose_run([*SMALL, "noise.activation=0.5", "noise.weight=0.5", "optimizer=adagrad"])).model
    assert all(not module._forward_hooks for module in noisy.modules())
    for one, other in zip(plain.state_dict().values(), noisy.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("depth", [2, 3])
def test_a_network_is_refused_where_its_parameters_would_not_fit_into_memory(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_parameters = (30 * 50 + 50) + (depth - 1) * (50 * 50 + 50) + (50 * 2 + 2)
    words = ["model=mlp", "dataset=breast_cancer", "model.width=50", f"model.depth={depth}", "norm=batch"]
    monkeypatch.setattr("bnexp.compatibility.machine_memory", lambda: 16 * num_parameters)
    prepare(*compose_run(words))
    monkeypatch.setattr("bnexp.compatibility.machine_memory", lambda: 16 * num_parameters - 1)
    assert mistake(*words).startswith(f"model=mlp: its {num_parameters:,} parameters take ")


def test_a_batch_too_large_to_be_computed_in_passing_is_tried_out_in_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnexp.compatibility.MOST_VALUES", 64 * 64 - 1)
    seen = []

    class Watched(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append((inputs.device.type, len(inputs)))
            return super().forward(inputs.flatten(1))

    config, choices = compose_run(["training.batch_size=64"])
    dataset = prepare(config, choices).dataset
    check_network(Watched(64, 10), config, choices, dataset)
    config["training"]["batch_size"] = 63
    check_network(Watched(64, 10), config, choices, dataset)
    assert seen == [("meta", 64), ("cpu", 63)]


@pytest.mark.parametrize("init", ["lsuv", "data_dependent"])
def test_an_init_that_looks_at_data_takes_whole_ghost_batches_of_it(init: str) -> None:
    """Of the 410 training rows 400 are ten ghost batches."""
    words = ["norm=ghost_batch", "norm.ghost_size=40", "training.batch_size=80", f"init={init}"]
    prepare(*compose_run([*SMALL, *words]))
