"""Starting from somebody's weights instead of an init, and keeping parts of a network as they are."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MethodType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnexp.errors import ConfigError, did_you_mean
from bnexp.ranges import Place

Tensors = Mapping[str, Tensor]


class Finetuned(NamedTuple):
    """What was done to a model.

    Attributes:
        digest: a hash of the loaded numbers (empty where none were); it enters the run's fingerprint in place of the
            path, so that other weights are a new question and moved ones are not.
        notes: one line each about what was loaded, what was not, and what is frozen.
    """

    digest: str
    notes: tuple[str, ...]


def finetune_(model: nn.Module, *, weights: Place | None, freeze: list[str]) -> Finetuned:
    """Load ``weights`` into an initialized model and freeze parts of it.

    Weights: a run folder (the model in its checkpoint: that of its last evaluation) or a file that ``torch.save`` made
    of a ``state_dict``. Parameters and buffers (running statistics) are copied where name and shape agree; the others
    keep their init, as the output layer does when the number of classes differs. Where no parameter's name agrees, as
    in torchvision's ``vgg11`` for ``model=vgg``, tensors are taken in their order for as long as the last part of the
    name and the shape agree.

    Freeze: names of modules, ``stages`` or ``stages.0``. Their parameters get no gradient, and they stay in evaluation
    mode: batch norm goes on with its running statistics as they are, whatever ``evaluation.statistics`` is, dropout
    drops nothing. What is frozen computes the same function throughout.

    Raises:
        ConfigError: where the weights cannot be read or nothing of them fits, where there is no such module, and where
            nothing is left to train.
    """
    digest, notes = ("", ()) if weights is None else _load_(model, weights)
    return Finetuned(digest, (*notes, *_freeze_(model, freeze)))


def _load_(model: nn.Module, weights: str) -> Finetuned:
    own, given = model.state_dict(), _read(weights)
    is_parameter = dict(model.named_parameters()).keys()
    pairs = {name: name for name in own if name in given and own[name].shape == given[name].shape}
    by_name = not is_parameter.isdisjoint(pairs)
    if not by_name:
        pairs = _pairs_in_order(own, given)
    if is_parameter.isdisjoint(pairs):
        raise ConfigError(
            f"model.weights={weights}: none of its parameters fits this model; it begins with {_first(given)}, "
            f"this model with {_first(own)}: use the model and norm that it was trained with"
        )
    digest = hashlib.sha256()
    for name, source in pairs.items():
        own[name].copy_(given[source])
        digest.update(name.encode() + own[name].contiguous().numpy().tobytes())
    notes = [f"model.weights: loaded {len(pairs)} of the model's {len(own)} tensors"]
    if not by_name:
        notes[0] += ", in their order: " + ", ".join(f"{theirs} as {ours}" for ours, theirs in pairs.items())
    kept = [name for name in own if name not in pairs]
    unused = [name for name in given if name not in pairs.values()]
    if kept:
        notes.append(f"model.weights: these keep their init: {', '.join(kept)}")
    if unused:
        notes.append(f"model.weights: not used, for no place or another shape: {', '.join(unused)}")
    return Finetuned(digest.hexdigest(), tuple(notes))


def _read(weights: str) -> Tensors:
    path = Path(weights).expanduser()
    file = path / "checkpoint.pt" if path.is_dir() else path
    if not file.is_file():
        missing = "no checkpoint.pt in this folder" if path.is_dir() else "no such file or folder"
        raise ConfigError(f"model.weights={weights}: {missing}; name a run folder, or a file with a state_dict")
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()  # PyTorch does not compare the checksums
            if damaged is not None:
                raise ConfigError(f"model.weights={weights}: the file is damaged ({damaged}); copy or make it anew")
        with warnings.catch_warnings(action="ignore"):  # about the old formats of files that cannot be taken anyway
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except ConfigError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"model.weights={weights} cannot be read as a state_dict ({reason}); "
            "write one with torch.save(model.state_dict(), FILE)"
        ) from error
    content = loaded if isinstance(loaded, dict) else {}
    state = content["model"] if isinstance(content.get("model"), dict) else content  # a checkpoint's, or all there is
    found = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not found:
        raise ConfigError(
            f"model.weights={weights} holds no state_dict (names with tensors); "
            "write one with torch.save(model.state_dict(), FILE)"
        )
    return found


def _pairs_in_order(own: Tensors, given: Tensors) -> dict[str, str]:
    pairs = {}
    for (name, tensor), (other, value) in zip(own.items(), given.items(), strict=False):
        if name.rpartition(".")[2] != other.rpartition(".")[2] or tensor.shape != value.shape:
            break
        pairs[name] = other
    return pairs


def _first(tensors: Tensors) -> str:
    name, tensor = next(iter(tensors.items()))
    return f"{name} {tuple(tensor.shape)}"


def _freeze_(model: nn.Module, freeze: list[str]) -> list[str]:
    parts = {name: module for name, module in model.named_modules() if name and any(True for _ in module.parameters())}
    notes = []
    for name in freeze:
        if name not in parts:
            known = ", ".join(part for part in parts if "." not in part)
            raise ConfigError(
                f"model.freeze: the model has no part '{name}' with parameters{did_you_mean(name, parts)} "
                f"(it has: {known}, and their parts)"
            )
        part = parts[name].requires_grad_(False).eval()
        part.train = MethodType(_stay_in_evaluation_mode, part)
        for module in part.modules():
            module.frozen = True  # for the norms: bnexp.nn.statistics
        size = sum(parameter.numel() for parameter in part.parameters())
        notes.append(f"model.freeze: {name} keeps its {size:,} parameters and stays in evaluation mode")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"model.freeze={freeze} leaves nothing to train; take a part out, such as output")
    return notes


def _stay_in_evaluation_mode(module: nn.Module, mode: bool = True) -> nn.Module:
    return nn.Module.train(module, False)
