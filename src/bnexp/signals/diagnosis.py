"""What the numbers of an inspection mean: rules that each read them and say one sentence, or nothing.

Thresholds are compared with the numbers as the sentences write them (:mod:`bnexp.signals.rounding`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, sqrt

from bnexp.signals.advice import advice
from bnexp.signals.inspection import Inspection, LayerReport
from bnexp.signals.rounding import as_written

Rule = Callable[[Inspection], str | None]

VARIANCE_RANGE = 100.0
"""Factor between the variances of the first and the last hidden layer that is still no trouble."""

GRADIENT_RANGE = 100.0
"""Factor between a layer's gradient and the last layer's that is still no trouble.

Three layers of sigmoids have 1/1000 (default init) or 1/230 (Xavier) on the digits, and do not learn even one batch by
heart (``bnexp check``).
"""

DEAD = 0.1
"""Fraction of all hidden units."""

NEVER_DEAD = ("ELU", "LeakyReLU", "Sigmoid", "Tanh")
"""Functions whose slope at 0 is not 0: a unit of theirs that is 0 for all examples can still learn."""

SATURATED = 0.25
"""Fraction of the values of one layer."""

LOSS_EXCESS = 2.0
"""Initial loss over that of equal logits."""

SENSITIVITY = (1e-3, 100.0)
"""Change of the logits over that of the input, in the direction of the largest change."""

WEIGHT_TOLERANCE = 0.1
"""Relative difference between a weight's standard deviation and what theory promises."""


def diagnose(inspection: Inspection) -> list[str]:
    """Return what the rules have to say, in their order; an empty list where nothing stands out.

    The first sentence about the size of signals also says what may help.
    """
    sentences = [line for rule in SIGNAL_RULES if (line := rule(inspection)) is not None]
    if sentences:
        sentences[0] += f": {advice(inspection)}"
    return sentences + [line for rule in OTHER_RULES if (line := rule(inspection)) is not None]


def overflow(inspection: Inspection) -> str | None:
    """Speak where a signal, a gradient or the loss is no finite number."""
    for number, layer in enumerate(inspection.layers, 1):
        if not isfinite(layer.preactivation_std):
            return f"the signal overflows in {_place(number, layer)}"
    if not isfinite(inspection.initial_loss):
        return "the initial loss overflows"
    if not all(isfinite(layer.gradient_norm) for layer in inspection.layers):
        return "gradients overflow"
    return None


def shrinking_variance(inspection: Inspection) -> str | None:
    """Speak where the variance of the last hidden layer's pre-activations is less than 1/100 of the first's."""
    return _variance(inspection, "shrinks", lambda ratio: ratio < 1 / VARIANCE_RANGE)


def growing_variance(inspection: Inspection) -> str | None:
    """Speak where the variance of the last hidden layer's pre-activations is more than 100 times the first's."""
    return _variance(inspection, "grows", lambda ratio: ratio > VARIANCE_RANGE)


def vanishing_gradient(inspection: Inspection) -> str | None:
    """Speak where the gradient of a layer's weight is not zero, and less than 1/100 of the last layer's."""
    return _gradient(inspection, "gradient_ratio", "gradients", is_small=True)


def exploding_gradient(inspection: Inspection) -> str | None:
    """Speak where the gradient of a layer's weight is more than 100 times the last layer's."""
    return _gradient(inspection, "gradient_ratio", "gradients", is_small=False)


def fading_backward_signal(inspection: Inspection) -> str | None:
    """Speak where the gradient of a layer's pre-activations is not zero, and less than 1/100 of the last layer's.

    Silent where :func:`vanishing_gradient` speaks.
    """
    if vanishing_gradient(inspection) is not None:
        return None
    return _gradient(inspection, "preactivation_gradient_ratio", "backward signals", is_small=True)


def growing_backward_signal(inspection: Inspection) -> str | None:
    """Speak where the gradient of a layer's pre-activations is more than 100 times the last layer's.

    Silent where :func:`exploding_gradient` speaks.
    """
    if exploding_gradient(inspection) is not None:
        return None
    return _gradient(inspection, "preactivation_gradient_ratio", "backward signals", is_small=False)


def insensitive_output(inspection: Inspection) -> str | None:
    """Speak where the largest singular value of ∂logits/∂input is less than 1/1000, but not 0.

    It is exactly 0 behind weights that are (init=zeros, Fixup's output layer): nothing has faded on its way.
    """
    largest = inspection.jacobian_singular_values[0]
    if not (largest > 0 and as_written(largest, ".0e") < SENSITIVITY[0]):
        return None
    return f"the logits hardly depend on the input: a change of length 1 moves them by {largest:.0e} at most"


def oversensitive_output(inspection: Inspection) -> str | None:
    """Speak where the largest singular value of ∂logits/∂input is more than 100."""
    largest = inspection.jacobian_singular_values[0]
    if not as_written(largest, ".0f") > SENSITIVITY[1]:
        return None
    return f"a small change of the input can move the logits {largest:.0f} times as far"


def blocked_gradient(inspection: Inspection) -> str | None:
    """Speak where a layer's weight has a gradient of exactly zero, so that the first step leaves it as it is."""
    blocked = [(i, layer) for i, layer in enumerate(inspection.layers, 1) if layer.gradient_norm == 0]
    if not blocked:
        return None
    others = f" and {len(blocked) - 1} more" if len(blocked) > 1 else ""
    return f"no gradient reaches {_place(*blocked[0])}{others}: the first step does not change their weights"


def dead_units(inspection: Inspection) -> str | None:
    """Speak where more than 10 % of the hidden units are zero for the whole batch and at all positions.

    Silent about functions that let a gradient through at 0.
    """
    mortal = [layer for layer in inspection.hidden if layer.function not in NEVER_DEAD]
    if not mortal or as_written(inspection.dead_fraction, ".0%") <= DEAD:
        return None
    worst = max(mortal, key=lambda layer: layer.dead_fraction)
    place = _place(inspection.layers.index(worst) + 1, worst)
    return (
        f"{100 * inspection.dead_fraction:.0f} % of the hidden units are dead, zero for all {inspection.num_examples} "
        f"examples ({100 * worst.dead_fraction:.0f} % of {place}): they get no gradient"
    )


def saturation(inspection: Inspection) -> str | None:
    """Speak where more than 25 % of a layer's values are in the flat tails of tanh or sigmoid."""
    worst = max(inspection.hidden, key=lambda layer: layer.saturated_fraction, default=None)
    if worst is None or as_written(worst.saturated_fraction, ".0%") <= SATURATED:
        return None
    place = _place(inspection.layers.index(worst) + 1, worst)
    return (
        f"{100 * worst.saturated_fraction:.0f} % of the values of {place} are saturated, where {worst.function} is "
        f"flat: its inputs have mean {worst.preactivation_mean:.2g} and standard deviation "
        f"{worst.preactivation_std:.2g}; try smaller weights"
    )


def high_initial_loss(inspection: Inspection) -> str | None:
    """Speak where the initial loss is more than twice that of equal logits."""
    found, expected = inspection.initial_loss, inspection.expected_initial_loss
    if not isfinite(found) or found <= LOSS_EXCESS * expected:
        return None
    return (
        f"the initial loss is {found:.3g}, and {expected:.3g} where no class is preferred: the logits start too "
        "large; try smaller weights, or dataset.scaling=standardized where the inputs are raw"
    )


def equal_units(inspection: Inspection) -> str | None:
    """Speak where all units of a hidden layer have the same weights and the same gradient.

    A gradient of zero counts where no weight of the network differs from its layer's others: layers behind, whose
    weights do, may tell the units apart as soon as a gradient passes (Fixup).
    """
    is_constant = all(layer.weight_std == 0 for layer in inspection.layers)
    alike = [
        (i, layer)
        for i, layer in enumerate(inspection.layers, 1)
        if layer.function and (layer.units_alike or (is_constant and layer.shape[0] > 1))
    ]
    if not alike:
        return None
    others = f" (and in {len(alike) - 1} more)" if len(alike) > 1 else ""
    return (
        f"the {alike[0][1].shape[0]} units of {_place(*alike[0])} have the same weights and gradients{others}: "
        "they stay equal; use a random init"
    )


def unexpected_weights(inspection: Inspection) -> str | None:
    """Speak where a weight's standard deviation is off theory by more than 10 % and five standard errors.

    The standard error is that of n independent normal weights, σ/√(2n).
    """
    for number, layer in enumerate(inspection.layers, 1):
        theory = layer.weight_std_theory
        if theory is None:
            continue
        tolerance = max(WEIGHT_TOLERANCE, 5 / sqrt(2 * layer.shape[0] * layer.fan_in)) * theory
        if abs(layer.weight_std - theory) > max(tolerance, 1e-6):
            return (
                f"the weights of {_place(number, layer)} have a standard deviation of {layer.weight_std:.3g}, and the "
                f"init's formula says {theory:.3g}"
            )
    return None


SIGNAL_RULES: Sequence[Rule] = (
    overflow,
    shrinking_variance,
    growing_variance,
    vanishing_gradient,
    exploding_gradient,
    fading_backward_signal,
    growing_backward_signal,
    insensitive_output,
    oversensitive_output,
)

OTHER_RULES: Sequence[Rule] = (
    blocked_gradient,
    dead_units,
    saturation,
    high_initial_loss,
    equal_units,
    unexpected_weights,
)


def _variance(inspection: Inspection, verb: str, is_trouble: Callable[[float], bool]) -> str | None:
    factor, num_layers = inspection.variance_factor, len(inspection.hidden)
    if factor is None or not is_trouble(ratio := as_written(factor ** (num_layers - 1), ".0e")):
        return None
    return f"variance {verb} by {factor:.2g} a layer, {ratio:.0e} over {num_layers} layers"


def _gradient(inspection: Inspection, field: str, what: str, *, is_small: bool) -> str | None:
    """Name the layer whose ratio to the last layer's gradient is the smallest (or the largest), if it is trouble."""
    ratios = [(getattr(layer, field), i) for i, layer in enumerate(inspection.layers, 1)]
    finite = [(ratio, i) for ratio, i in ratios if ratio and isfinite(ratio)]
    if not finite:
        return None
    ratio, number = min(finite) if is_small else max(finite)
    written = as_written(ratio, ".0e")
    if written >= 1 / GRADIENT_RANGE if is_small else written <= GRADIENT_RANGE:
        return None
    return f"{what} of {_place(number, inspection.layers[number - 1])} are {ratio:.0e} of layer {len(ratios)}'s"


def _place(number: int, layer: LayerReport) -> str:
    return f"layer {number} ({layer.name})"
