"""Which runs were judged on the same examples: only their accuracies and losses can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bnexp.analysis.arms import word
from bnexp.analysis.runs import Run

SHOWN = ("scaling", "label_noise", "image_size", "drop")
"""Settings of a dataset that say how examples are shown, or which training labels are wrong: the examples that a run is
judged on are the same ones."""

VALIDATION = ("subset", "val_fraction")
"""Settings that change the validation split and leave the test split as it is."""

PLACES = ("path", "root")
PUBLISHED = "bnexp.data.published."
"""What is read by functions here is known by its name, wherever it lies."""


@dataclass(frozen=True)
class DataSet:
    """Runs that were judged on the same examples.

    Attributes:
        label: what tells these examples from those of the others.
        runs: in the order in which they came.
    """

    label: str
    runs: tuple[Run, ...]


def by_data(runs: Iterable[Run], metric: str) -> list[DataSet]:
    """Group runs by the examples that their ``metric`` was measured on: test examples for ``test/…``, else validation.

    These are the same where the loader and its settings, the files (by their digest; by their path where none was
    recorded), the classes, the share that is held out and the number of examples are the same. The seed may draw them
    anew from the same data, as it does for all arms alike.
    """
    groups: dict[str, tuple[dict[str, Any], list[Run]]] = {}
    for run in runs:
        traits = _traits(run, metric)
        groups.setdefault(json.dumps(traits, sort_keys=True, default=str), (traits, []))[1].append(run)
    labels = _labels([traits for traits, _ in groups.values()])
    return [DataSet(label, tuple(found)) for label, (_, found) in zip(labels, groups.values(), strict=True)]


def is_same_data(runs: Iterable[Run], metric: str) -> bool:
    """Whether all of these runs were judged on the same examples."""
    return len(by_data(runs, metric)) < 2


def _traits(run: Run, metric: str) -> dict[str, Any]:
    node = run.config.get("dataset")
    node = node if isinstance(node, Mapping) else {}
    data = run.result.get("data")
    digest = data.get("digest") if isinstance(data, Mapping) else data
    classes = data.get("classes") if isinstance(data, Mapping) else None
    is_test = "test/" in metric
    ignored = {*SHOWN, *(VALIDATION if is_test else ())}
    if digest or str(node.get("_target_", "")).startswith(PUBLISHED):
        ignored |= {*PLACES}
    split = "test" if is_test else "val"
    return {
        "dataset": run.config["choices"].get("dataset"),
        **{f"dataset.{key}": value for key, value in node.items() if key not in ignored},
        "files": digest,
        "classes": sorted(map(str, classes)) if isinstance(classes, Mapping) else None,
        f"{split} examples": run.result.get("examples", {}).get(split),
    }


def _labels(every: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the name of each choice, and what else differs among the data of one name."""
    labels = []
    for traits in every:
        rivals = [other for other in every if other["dataset"] == traits["dataset"]]
        keys = [key for key in traits if any(_differ(traits, other, key) for other in rivals)]
        words = [word("dataset", traits["dataset"]), *(_told(key, traits[key]) for key in keys)]
        labels.append(" ".join(words))
    return labels


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> bool:
    return json.dumps(one.get(key), default=str) != json.dumps(other.get(key), default=str)


def _told(key: str, value: object) -> str:
    if key == "files":
        return f"files {str(value)[:8]}"
    if key == "classes":
        return f"{len(value)} classes" if isinstance(value, list) else "unknown classes"
    return word(key, value) if "." in key else f"{'unknown' if value is None else value} {key}"
