"""The network that a configuration means: made and initialized so that configuration and seed alone decide every bit.

Modules of PyTorch and of plugins draw from the generators of the whole process. So these are seeded while a network is
made, and once more while it is initialized: an init draws the same whatever the norm's constructor drew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnexp.compatibility import check_memory
from bnexp.config.check import Config
from bnexp.config.targets import build
from bnexp.data.dataset import Dataset
from bnexp.errors import ConfigError
from bnexp.global_generators import globally_seeded
from bnexp.nn import norm as norms
from bnexp.nn.activation import marked
from bnexp.nn.foreign_norms import keep_digits_
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.lazy import materialize_
from bnexp.nn.left_alone import Before, remember
from bnexp.seeding import derive_seed, generator
from bnexp.signals.level import probe_size
from bnexp.training.batches import Scale

PROBE_SIZE = 512
"""Training inputs that a data-dependent initializer sees (Mishkin & Matas 2016 and Krähenbühl 2015 use a batch)."""

PARTS = ("model", "activation", "norm", "init")
"""The groups whose code makes a network."""


class Built(NamedTuple):
    """An initialized network on the CPU, the initializer's notes, and how constructors had made its parameters."""

    model: nn.Module
    notes: tuple[str, ...]
    constructed: list[Before]


def construct(config: Config, choices: Mapping[str, str], architecture: Config, dataset: Dataset) -> Built:
    """Make and initialize a network.

    Where code from outside bnexp takes part, it is made twice: a source of random numbers that no seed reaches
    (``numpy.random.default_rng()``, the clock) shows itself by other bits.

    Args:
        config: the resolved configuration.
        choices: the name of the choice of each group, for the messages.
        architecture: the node of the model, without what is done to it afterwards.
        dataset: decides the shapes; a data-dependent initializer sees a part of it.

    Raises:
        ConfigError: where it does not fit into memory, cannot be initialized so, or comes out differently each time.
    """
    built = _build(config, choices, architecture, dataset)
    foreign = [part for part in PARTS if not config[part]["_target_"].startswith(("bnexp.", "torch."))]
    if foreign:
        _require_equal(built.model, _build(config, choices, architecture, dataset).model, foreign, choices)
    return built


def _build(config: Config, choices: Mapping[str, str], architecture: Config, dataset: Dataset) -> Built:
    seed = config["seed"]
    activation = build(config["activation"], "activation")
    norm = build(config["norm"], "norm")
    if not isinstance(norm, norms.Norm):
        raise ConfigError(
            f"norm={choices['norm']} returns a {type(norm).__name__}; a norm must return a bnexp.nn.norm.Norm"
        )
    make: Callable[[norms.Norm], nn.Module] = partial(
        build(architecture, "model"), dataset.input_shape, len(dataset.classes), marked(activation)
    )

    check_memory(partial(make, norms.Norm()), choices)
    with globally_seeded(derive_seed(seed, "model")):
        model = make(norms.marked(norm))
        materialize_(model, dataset.input_shape)
    keep_digits_(model)
    constructed = remember(model)
    with globally_seeded(derive_seed(seed, "init/shared")):
        num_probed = probe_size(PROBE_SIZE, len(dataset.train), model)
        context = Context(
            activation=activation(),
            generator=generator(seed, "init"),
            inputs=Scale(dataset, torch.device("cpu"))(dataset.train.inputs[:num_probed]),
        )
        notes = initialize_(model, build(config["init"], "init"), context)
    return Built(model, notes, constructed)


def _require_equal(model: nn.Module, again: nn.Module, foreign: list[str], choices: Mapping[str, str]) -> None:
    own, other = _tensors(model), _tensors(again)
    different = [name for name in own if name not in other or not _equal(own[name], other[name])]
    if different or own.keys() != other.keys():
        parts = " or ".join(f"{part}={choices[part]}" for part in foreign)
        raise ConfigError(
            f"{parts} does not make the same network twice ({', '.join(different[:3]) or 'other names'}): it draws "
            "numbers that no seed reaches; let it draw from torch's, NumPy's (np.random.normal) or Python's own "
            "generator, which bnexp seeds"
        )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(chain(model.named_parameters(), model.named_buffers()))


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one, other) or torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
