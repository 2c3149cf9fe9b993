"""Any two choices meet in a run: what is accepted trains three steps, what is refused is refused for a stated reason.

The runs are a pairwise cover: every pair of choices of different groups is in a run that works, or, where the pair
cannot work, in one that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from bnexp.config.compose import Composed, compose_run
from bnexp.config.folder import choices, config_dir
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.run import run

Row = dict[str, str]

CHOSEN = ("init", "norm", "optimizer", "model", "activation", "loss", "schedule", "augment")
WORDS = {
    "noise": {
        "nowhere": [],
        "on inputs and weights": ["noise.input=0.1", "noise.weight=0.01"],
        "on activations and gradients": ["noise.activation=0.1", "noise.gradient=0.01"],
    },
    "signals": {level: [f"signals={level}"] for level in ("off", "light", "full")},
    "dataset": {
        "digits": ["dataset=digits", "dataset.subset=0.0732"],
        "breast_cancer": ["dataset=breast_cancer", "dataset.subset=0.235"],
        "two_features": ["dataset=two_features", "dataset.num_examples=135"],
        "brightness": ["dataset=brightness", "dataset.num_examples=144"],
    },
}
"""Words of the choices in a group that are no choice of Hydra's, or need more than their name: 96 training examples."""

GROUPS = {
    **{group: list(choices([config_dir()], group)) for group in CHOSEN},
    **{group: list(words) for group, words in WORDS.items()},
    "norm_position": ["before", "after"],
    "precision": ["fp32", "bf16"],
}

EXPENSIVE = {("model", "googlenet"), ("signals", "full")}
"""They meet once and not by the way: this network has 57 layers, and each of them is measured."""

DENSE = ("mlp", "shallow", "deep")
ROWS = ("breast_cancer", "two_features")
PICTORIAL = ("flip", "crop_flip", "cutout")
# Norms that divide by the length of each unit's weights.
LENGTHS = ("weight", "centered_weight", "mean_only_batch")


def reasons(row: Mapping[str, str]) -> list[str]:
    """List why these choices cannot work together: a part of each line that may be the answer."""
    init, norm, model, dataset = (row.get(group) for group in ("init", "norm", "model", "dataset"))
    zero_weights = init == "zeros" and norm in (*LENGTHS, "spectral")
    equal_weights = init in ("constant", "ones") and norm == "centered_weight"
    # Images have one channel, and two features are fewer than units: some of these get nothing.
    few_inputs = model not in (None, *DENSE) or dataset == "two_features"
    missing_weights = init == "identity" and norm in LENGTHS and few_inputs
    rules = {
        "needs images; this dataset has rows": model not in (None, *DENSE) and dataset in ROWS,
        f"augment={row.get('augment')} needs images": row.get("augment") in PICTORIAL and dataset in ROWS,
        "no schedule has an effect": row.get("optimizer") == "rprop" and row.get("schedule") not in (None, "constant"),
        "init=fixup initializes residual branches": init == "fixup"
        and (model not in (None, "resnet") or dataset in ROWS),
        "init=fixup takes the place of norms": init == "fixup" and norm not in (None, "none"),
        "norm=instance needs images": norm == "instance" and (model in DENSE or dataset in ROWS),
        # Five pools leave one position of 8 × 8, and of 16 × 16.
        "1×1 feature maps": norm in ("instance", "filter_response") and model == "vgg",
        "filters of norm 0": zero_weights or equal_weights or missing_weights,
        "sets the scale of each weight": init in ("lsuv", "data_dependent") and norm == "spectral",
    }
    return [line for line, applies in rules.items() if applies]


def cover() -> Iterator[Row]:
    """Yield rows until every pair has had one; each takes the next pair, and with it as many others as it can."""
    uncovered = {
        frozenset(pair): None
        for one, other in combinations(GROUPS, 2)
        for pair in product(product([one], GROUPS[one]), product([other], GROUPS[other]))
    }
    while uncovered:
        pair = next(iter(uncovered))
        row = dict(sorted(pair))
        for group in [group for group in GROUPS if group not in row]:
            fitting = [choice for choice in GROUPS[group] if reasons(row | {group: choice}) == reasons(row)]
            cheap = [choice for choice in fitting if not (row | {group: choice}).items() >= EXPENSIVE]
            row[group] = max(
                cheap or fitting,
                key=lambda choice: sum(frozenset([(group, choice), item]) in uncovered for item in row.items()),
            )
        for covered in [pair] if reasons(row) else map(frozenset, combinations(row.items(), 2)):
            uncovered.pop(covered, None)
        yield row


SIZES = {
    "mlp": ["model.width=16"],
    "shallow": ["model.width=16", "model.parameters=null"],
    "deep": ["model.width=16", "model.parameters=null"],
    "convnet": ["model.width=8"],
    "resnet": ["model.width=8", "model.depth=8"],
    "vgg": ["model.width=8"],
    "googlenet": ["model.width=8"],
}
TRAINING = {
    "mini-batches": ["training.batch_size=32", "training.epochs=1"],
    "full batch": ["training.batch_size=full", "training.epochs=3"],
}


@cache
def composed(*words: str) -> Composed:
    return compose_run(["training.device=cpu", *words])


def configuration(row: Row, folder: Path) -> Composed:
    """What ``compose_run`` gives for the row, put together from one composition for each choice: these take time."""
    batches = "full batch" if row["optimizer"] == "gd" else "mini-batches"
    parts = {
        **{group: composed(f"{group}={row[group]}") for group in CHOSEN},
        **{group: composed(*words[row[group]]) for group, words in WORDS.items()},
        "model": composed(f"model={row['model']}", f"model.norm_position={row['norm_position']}", *SIZES[row["model"]]),
        "training": composed(f"training.precision={row['precision']}", *TRAINING[batches]),
    }
    config: dict[str, Any] = {**composed().config, "output_dir": str(folder)}
    config |= {group: part.config[group] for group, part in parts.items()}
    return Composed(config, composed().choices | {group: part.choices[group] for group, part in parts.items()})


@pytest.mark.parametrize("row", list(cover()), ids=lambda row: "-".join(row[group] for group in GROUPS))
def test_a_row_trains_three_steps_or_is_refused_for_the_stated_reason(row: Row, tmp_path: Path) -> None:
    if expected := reasons(row):
        with pytest.raises(ConfigError) as refusal:
            prepare(*configuration(row, tmp_path))
        assert "\n" not in str(refusal.value)
        assert any(reason in str(refusal.value) for reason in expected), refusal.value
        assert not list(tmp_path.iterdir())
    else:
        result = run(prepare(*configuration(row, tmp_path)))
        assert result["status"] in ("done", "diverged"), result
        assert result["steps"] == 3 or result["status"] == "diverged"


def test_every_pair_is_in_a_row_that_works_or_cannot_work() -> None:
    rows = list(cover())
    working = {frozenset(pair) for row in rows if not reasons(row) for pair in combinations(row.items(), 2)}
    refused = {frozenset(pair) for row in rows if reasons(row) for pair in combinations(row.items(), 2)}
    for one, other in combinations(GROUPS, 2):
        for pair in product(product([one], GROUPS[one]), product([other], GROUPS[other])):
            assert frozenset(pair) in (refused if reasons(dict(pair)) else working)
