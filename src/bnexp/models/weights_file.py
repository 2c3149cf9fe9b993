"""Weights in files that others have written: reading them without running code, and finding them among what is there.

A file holds a ``state_dict`` (names with tensors) or dicts that hold some: ``state_dict``, ``model_state_dict``,
``model``, an average beside it (``model_ema``). Wrappers put a prefix before each name: ``module.`` (DataParallel),
``model.`` (Lightning), ``_orig_mod.`` (torch.compile). None of these names is known here: the network that the weights
are for decides which tensors fit, and under which prefix.
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bnexp.errors import ConfigError

Tensors = Mapping[str, Tensor]

DEEPEST = 3
"""Dicts within dicts, and parts of a prefix, that are looked at."""


@dataclass(frozen=True)
class Found:
    """Tensors in a file that are those of one network.

    Attributes:
        path: the keys of the dicts that they lie in, from the outermost.
        prefix: what has been taken off the front of their names.
        tensors: the rest of each name, with its tensor.
    """

    path: tuple[str, ...]
    prefix: str
    tensors: Tensors

    def __str__(self) -> str:
        return " ".join([*(f"['{key}']" for key in self.path), *([f"'{self.prefix}…'"] if self.prefix else [])])

    def lies_apart_from(self, other: Found) -> bool:
        """Whether the two share no tensor."""
        names = {(self.path, self.prefix + name) for name in self.tensors}
        return names.isdisjoint((other.path, other.prefix + name) for name in other.tensors)


def tensors_in(weights: str) -> list[Found]:
    """Return each dict of tensors in the file or run folder ``weights``, the outermost first.

    Raises:
        ConfigError: where it cannot be read, or holds no tensors.
    """
    path = Path(weights)
    file = path / "checkpoint.pt" if path.is_dir() else path
    _require_readable(file, weights, is_folder=path.is_dir())
    found = list(_dicts(_load(file, weights), ()))
    if not found:
        raise ConfigError(
            f"model.weights={weights} holds no state_dict (names with tensors); "
            "write one with torch.save(model.state_dict(), FILE)"
        )
    return found


def choose(found: list[Found], parameters: Tensors, weights: str) -> Found | None:
    """Return the tensors that fit most of a network's ``parameters`` by name and shape; None where nothing fits.

    Raises:
        ConfigError: where others fit half as many of them or more, and nothing says which are meant.
    """
    candidates = [one for each in found for one in _without_prefix(each)]
    counted = [(_num_fitting(one.tensors, parameters), one) for one in candidates]
    most, best = max(counted, key=lambda pair: pair[0])
    if most == 0:
        return None
    rivals = [one for count, one in counted if 2 * count > most and one.lies_apart_from(best)]
    if rivals:
        raise ConfigError(
            f"model.weights={weights} holds several networks that fit this model: "
            f"{', '.join(map(str, [best, *rivals]))}; write the state_dict of one of them into a file of its own with "
            "torch.save, and name that"
        )
    return best


def _num_fitting(tensors: Tensors, parameters: Tensors) -> int:
    return sum(name in tensors and tensors[name].shape == value.shape for name, value in parameters.items())


def _without_prefix(found: Found) -> Iterator[Found]:
    yield found
    parts = [name.split(".") for name in found.tensors]
    prefixes = {".".join([*one[:end], ""]): None for one in parts for end in range(1, min(len(one), DEEPEST + 1))}
    for prefix in prefixes:
        rest = {name.removeprefix(prefix): value for name, value in found.tensors.items() if name.startswith(prefix)}
        yield Found(found.path, prefix, rest)


def _dicts(content: Any, path: tuple[str, ...]) -> Iterator[Found]:
    if not isinstance(content, Mapping) or len(path) > DEEPEST:
        return
    tensors = {str(name): value for name, value in content.items() if _is_plain(value)}
    if tensors:
        yield Found(path, "", tensors)
    for key, value in content.items():
        yield from _dicts(value, (*path, str(key)))


def _is_plain(value: Any) -> bool:
    is_dense = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized
    return is_dense and not value.is_complex() and not value.is_meta


def _require_readable(file: Path, weights: str, *, is_folder: bool) -> None:
    if not file.is_file():
        missing = "no checkpoint.pt in this folder" if is_folder else "no such file or folder"
        reason = "not a regular file" if file.exists() else missing
        raise ConfigError(f"model.weights={weights}: {reason}; name a run folder, or a file with a state_dict")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if file.stat().st_size > memory:
        raise ConfigError(
            f"model.weights={weights}: its {file.stat().st_size / 2**30:,.0f} GiB do not fit into the memory of this "
            f"machine ({memory / 2**30:,.0f} GiB); name a file with the state_dict alone"
        )


def _load(file: Path, weights: str) -> Any:
    try:
        _refuse_other_formats(file, weights)
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()  # PyTorch does not compare the checksums
            if damaged is not None:
                raise ConfigError(f"model.weights={weights}: the file is damaged ({damaged}); copy or make it anew")
        with warnings.catch_warnings(action="ignore"):  # about the old formats of files that cannot be taken anyway
            return torch.load(file, map_location="cpu", weights_only=True)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"model.weights={weights} cannot be read as a state_dict {_reason(str(error))}") from error


def _refuse_other_formats(file: Path, weights: str) -> None:
    with file.open("rb") as opened:
        start = opened.read(9)
    if file.suffix == ".safetensors" or (len(start) == 9 and start[8:] == b"{" and start[6:8] == b"\0\0"):
        raise ConfigError(
            f"model.weights={weights} is in the safetensors format, which bnexp does not read; write it anew with "
            "torch.save(safetensors.torch.load_file(FILE), OTHER)"
        )


def _reason(error: str) -> str:
    """Say why PyTorch has not loaded a file, and what to do about it."""
    objects = re.search(r"GLOBAL ([\w.]+)", error) or re.search(r"(?:class|global)\W+([\w]+\.[\w.]+)", error)
    if "eights only load failed" in error and objects is not None:
        return (
            f"(it holds objects of {objects[1]} too, and to load these can run code); if you trust it, load it in "
            "Python with weights_only=False and write its tensors alone: torch.save(CONTENT['state_dict'], OTHER)"
        )
    first_line = error.strip().partition("\n")[0]
    return f"({first_line}); write one with torch.save(model.state_dict(), FILE)"
