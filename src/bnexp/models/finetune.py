"""Starting from somebody's weights instead of an init, and keeping parts of a network as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import MethodType
from typing import NamedTuple

from torch import nn

from bnexp.errors import ConfigError, did_you_mean
from bnexp.models.weights_file import Found, Tensors, choose, tensors_in
from bnexp.ranges import Place


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

    Weights: a run folder (the model in its checkpoint: that of its last evaluation) or a file that ``torch.save``
    made of a ``state_dict``, or of dicts of which one holds it (:mod:`bnexp.models.weights_file`). Parameters and
    buffers (running statistics) are copied where name and shape agree; the others keep their init, as the output
    layer does when the number of classes differs. Where no parameter's name agrees, as in torchvision's ``vgg11``
    for ``model=vgg``, tensors are taken in their order for as long as the last part of the name and the shape
    agree.

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
    own = model.state_dict()
    parameters = {name: own[name] for name, _ in model.named_parameters() if name in own}
    found = tensors_in(weights)
    chosen = choose(found, parameters, weights)
    given, pairs = _paired(own, parameters, found, weights) if chosen is None else (chosen, _by_name(own, chosen))
    digest = hashlib.sha256()
    for name, source in pairs.items():
        if not given.tensors[source].isfinite().all():
            raise ConfigError(
                f"model.weights={weights}: its {given.prefix}{source} holds numbers that are not finite, so the "
                "network has no outputs; use weights from before it diverged"
            )
        own[name].copy_(given.tensors[source])
        digest.update(name.encode() + own[name].contiguous().numpy().tobytes())
    notes = [f"model.weights: loaded {len(pairs)} of the model's {len(own)} tensors"]
    if not Path(weights).is_dir():  # a run folder has one network
        notes[0] += f", from {'.'.join(given.path)}" * bool(given.path)
        notes[0] += f", without the prefix {given.prefix}" * bool(given.prefix)
    if chosen is None:
        notes[0] += ", in their order: " + ", ".join(f"{theirs} as {ours}" for ours, theirs in pairs.items())
    kept = [name for name in own if name not in pairs]
    beside = next(one for one in found if one.path == given.path).tensors
    unused = [name for name in beside if name not in {given.prefix + used for used in pairs.values()}]
    if kept:
        notes.append(f"model.weights: these keep their init: {', '.join(kept)}")
    if unused:
        notes.append(f"model.weights: not used, for no place or another shape: {', '.join(unused)}")
    return Finetuned(digest.hexdigest(), tuple(notes))


def _by_name(own: Tensors, given: Found) -> dict[str, str]:
    return {name: name for name in own if name in given.tensors and own[name].shape == given.tensors[name].shape}


def _paired(own: Tensors, parameters: Tensors, found: list[Found], weights: str) -> tuple[Found, dict[str, str]]:
    """Return the tensors in the file that fit in their order, and each of the model's names with theirs."""
    paired = [(given, _pairs_in_order(own, given.tensors)) for given in found]
    fitting = [(given, pairs) for given, pairs in paired if not parameters.keys().isdisjoint(pairs)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting or len(found) > 1:
        places = ", ".join(str(given) or "its outermost dict" for given in found)
        raise ConfigError(
            f"model.weights={weights} holds {'several' if fitting else 'no'} tensors that fit this model; looked in: "
            f"{places}; write the state_dict that you mean into a file of its own with torch.save, and name that"
        )
    raise ConfigError(
        f"model.weights={weights}: none of its parameters fits this model; it begins with {_first(found[0].tensors)}, "
        f"this model with {_first(own)}: use the model and norm that it was trained with"
    )


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
