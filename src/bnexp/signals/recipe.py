"""The first steps of a recipe for training networks, each with its rule: pass or fail.

"Become one with the data", "set up the end-to-end skeleton and get dumb baselines", "verify loss at init", "overfit one
batch" (Karpathy 2019, A recipe for training neural networks). The bounds are bnexp's own, and generous: what fails
here is nearly always a mistake, what passes may still be one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bnexp.data.contract import Contract
from bnexp.data.names import shown
from bnexp.signals.first_steps import Agreement, Fit
from bnexp.signals.overview import Overview
from bnexp.signals.rounding import as_written, percent_of_all

SMALLEST_SCALE, LARGEST_SCALE = 0.1, 3.0
"""Of a channel's or feature's root mean square; standardized inputs have 1, images from 0 to 1 about 0.3 to 0.6."""

MOST_DUPLICATES = 0.01
"""Of the validation and test examples."""

LARGEST_INITIAL_LOSS = 2.0
"""In multiples of ln(classes). He init without a norm has about 1.5 on digits, for its logits vary, and trains well."""

FIT_STEPS = 200
GRADIENT_STEPS = 5
SETTLING_PASSES = 500
"""Of batch norm's running statistics: with a momentum of 0.01 (Keras' 0.99), 0.7 % of the start is left."""

FIT_SECONDS, SETTLING_SECONDS = 20.0, 10.0
"""Of computing: all of it has to end within a minute, also where a step of a deep network takes a second."""

LEAST_AGREEMENT = 0.95
MOST_NAMES = 4


class Check(NamedTuple):
    """One line of the report.

    Attributes:
        name: what is checked.
        passed: whether the rule is kept.
        value: the measured number.
        measured: the same in words.
        rule: what it has to be.
        advice: what is wrong where it fails, and what to try.
    """

    name: str
    passed: bool
    value: float
    measured: str
    rule: str
    advice: str


def check_scale(data: Overview) -> Check:
    """Whether inputs come in units that a network can work with at once (LeCun et al. 1998, section 4.3)."""
    largest, smallest = data.largest_scale, data.smallest_scale
    kind = "channel" if len(data.input_shape) == 3 else "feature"
    return Check(
        name="input scale",
        passed=SMALLEST_SCALE <= as_written(largest, ".3g") <= LARGEST_SCALE,
        value=largest,
        measured=f"root mean square of the {kind}s {smallest:.3g} to {largest:.3g}",
        rule=f"the largest between {SMALLEST_SCALE:g} and {LARGEST_SCALE:g}",
        advice="inputs far from 1 force another learning rate; use dataset.scaling=standardized",
    )


def check_identifiers(contract: Contract) -> Check:
    """Whether a table has features that number or name its rows: they say nothing about a row that is new."""
    suspects = [f"{shown(column.name)} ({column.suspect})" for column in contract.identifiers]
    return Check(
        name="identifiers",
        passed=not suspects,
        value=len(suspects),
        measured=f"{len(suspects)} columns look like identifiers" + (f": {_listed(suspects)}" if suspects else ""),
        rule="none",
        advice=f"what it learns from them holds for these rows alone; write {contract.drop}",
    )


def check_leakage(data: Overview) -> Check:
    """Whether examples that decide and report are ones that the network trains on."""
    shared = data.duplicates["val"] + data.duplicates["test"]
    total = sum(sum(data.counts[split].values()) for split in ("val", "test"))
    return Check(
        name="separate splits",
        passed=shared / total <= MOST_DUPLICATES,
        value=shared / total,
        measured=f"{shared} of {total} validation and test inputs are also training inputs",
        rule=f"at most {MOST_DUPLICATES:.0%}",
        advice="accuracies will flatter; remove repeated examples from the data",
    )


def check_initial_loss(loss: float, num_classes: int) -> Check:
    """Whether an untrained network says that it knows nothing: cross-entropy ln(K)."""
    multiple = loss / math.log(num_classes)
    return Check(
        name="initial loss",
        passed=as_written(multiple, ".2f") <= LARGEST_INITIAL_LOSS,  # not so for NaN
        value=loss,
        measured=f"{loss:.3f} nats = {multiple:.2f} ln({num_classes})",
        rule=f"at most {LARGEST_INITIAL_LOSS:g} ln(classes)",
        advice="the network starts sure of wrong answers; use a smaller init, a norm, or dataset.scaling=standardized",
    )


def check_gradients(fit: Fit, num_parameters: int) -> Check:
    """Whether every parameter has a finite gradient that is not 0 in one of the first steps."""
    missing = sorted({*fit.unreached, *fit.broken}, key=[*fit.unreached, *fit.broken].index)
    reached = num_parameters - len(missing)
    named = f"; not: {_listed(missing)}" if missing else ""
    return Check(
        name="gradient flow",
        passed=not missing,
        value=reached / num_parameters,
        measured=f"{reached} of {num_parameters} parameter tensors get a gradient in the first steps{named}",
        rule=f"all, within {GRADIENT_STEPS} steps, finite",
        advice="what gets no gradient is not trained; use another init, or a smaller learning rate",
    )


def check_fit(fit: Fit, num_examples: int) -> Check:
    """Whether the optimizer learns one batch by heart; a network that cannot do that will learn nothing else."""
    found = (
        f"all right after step {fit.step}"
        if fit.step is not None
        else f"at best {percent_of_all(fit.accuracy)} right in {fit.num_steps} steps"
    )
    return Check(
        name="one batch",
        passed=fit.step is not None,
        value=fit.accuracy,
        measured=f"batch of {num_examples}: {found}, loss {fit.loss:.3g}",
        rule=f"all right within {FIT_STEPS} steps, or those of {FIT_SECONDS:g} s",
        advice=(
            "labels, loss, init or learning rate are wrong, or the network is too small; try another optimizer.lr, and "
            "bnexp inspect with the same words shows whether signals arrive"
        ),
    )


def check_agreement(agreement: Agreement) -> Check:
    """Whether evaluation mode answers as training mode does, for a batch that the network has settled on."""
    return Check(
        name="train and eval",
        passed=as_written(agreement.predictions, ".1%") >= LEAST_AGREEMENT,
        value=agreement.predictions,
        measured=f"same answer to {agreement.predictions:.1%} of a batch, logits differ by {agreement.difference:.2%}",
        rule=f"same answer to {LEAST_AGREEMENT:.0%}",
        advice="statistics do not settle (a larger norm.momentum), or the norm draws or divides the batch in training",
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
