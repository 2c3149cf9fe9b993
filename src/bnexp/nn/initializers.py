"""Initializers of PyTorch and of the papers; all but ``default_`` fill one weight.

A weight has the shape (out, in / groups, *kernel) or (out, in). As PyTorch counts, fan_in is in / groups × kernel size
and fan_out is out × kernel size: a depthwise 3 × 3 kernel on 32 channels has fan_in 9 and fan_out 288.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnexp.nn.gain import gain_of
from bnexp.nn.initialize import (
    Context,
    UnservedLayerError,
    as_constructed,
    default_weight_,
    named_layers,
    per_group,
    set_weight_,
    whole_model,
)
from bnexp.ranges import NonNegative, Positive


@as_constructed
@whole_model
def default_(model: nn.Module, context: Context) -> tuple[str, ...]:
    """PyTorch's own reset_parameters, for weights and biases.

    Formula: weight, bias ~ U(±1/√fan_in), so σ² = 1/(3·fan_in), one sixth of He's.
    Source: ``torch.nn.Linear.reset_parameters``.
    """
    for _, layer in named_layers(model):
        weight = torch.empty(layer.weight.shape, dtype=layer.weight.dtype)
        default_weight_(weight, context.generator)
        set_weight_(layer, weight)
        if layer.bias is not None:
            bound = weight[0].numel() ** -0.5
            layer.bias.uniform_(-bound, bound, generator=context.generator)
    return ()


def xavier_normal_(weight: Tensor, context: Context, *, gain: Positive) -> None:
    """Normal, keeping the variance of a linear network's signals and gradients.

    Formula: σ² = gain² · 2/(fan_in + fan_out)
    Source: Glorot & Bengio 2010, equation 12; the gain is PyTorch's, 1 in the paper.
    """
    nn.init.xavier_normal_(weight, gain, generator=context.generator)


def xavier_uniform_(weight: Tensor, context: Context, *, gain: Positive) -> None:
    """Uniform, keeping the variance of a linear network's signals and gradients.

    Formula: U(±gain · √(6/(fan_in + fan_out)))
    Source: Glorot & Bengio 2010, equation 16; the gain is PyTorch's, 1 in the paper.
    """
    nn.init.xavier_uniform_(weight, gain, generator=context.generator)


def he_normal_(weight: Tensor, context: Context, *, negative_slope: NonNegative | None) -> None:
    """Normal, keeping the variance of the signals of a ReLU network.

    Formula: σ² = 2/((1 + a²) · fan_in), a = negative_slope; None takes leaky ReLU's own, and 0 for any other activation
    Source: He et al. 2015, equations 10 and 15
    """
    slope = slope_of(negative_slope, context.activation)
    nn.init.kaiming_normal_(weight, slope, generator=context.generator)


def he_uniform_(weight: Tensor, context: Context, *, negative_slope: NonNegative | None) -> None:
    """Uniform, keeping the variance of the signals of a ReLU network.

    Formula: U(±√(6/((1 + a²) · fan_in))), a = negative_slope as in he
    Source: He et al. 2015, equations 10 and 15, with a uniform distribution of that variance
    """
    slope = slope_of(negative_slope, context.activation)
    nn.init.kaiming_uniform_(weight, slope, generator=context.generator)


def slope_of(negative_slope: float | None, activation: nn.Module) -> float:
    """Return the slope for negative inputs that He's formula takes: the one given, or else the activation's own."""
    if negative_slope is not None:
        return negative_slope
    return activation.negative_slope if isinstance(activation, nn.LeakyReLU) else 0.0


def lecun_normal_(weight: Tensor, context: Context) -> None:
    """Normal, keeping the variance of a linear network's signals.

    Formula: σ² = 1/fan_in
    Source: LeCun et al. 1998 (Efficient BackProp), section 4.6
    """
    nn.init.kaiming_normal_(weight, nonlinearity="linear", generator=context.generator)


def lecun_uniform_(weight: Tensor, context: Context) -> None:
    """Uniform, keeping the variance of a linear network's signals.

    Formula: U(±√(3/fan_in))
    Source: LeCun et al. 1998 (Efficient BackProp), section 4.6, with a uniform distribution of that variance
    """
    nn.init.kaiming_uniform_(weight, nonlinearity="linear", generator=context.generator)


@per_group
def identity_(weight: Tensor, context: Context) -> None:
    """Hand on as many inputs unchanged as there are outputs for.

    Formula: W = I, ones on the diagonal of any 2-D shape; for a kernel, I in its centre and 0 elsewhere
    Source: ``torch.nn.init.eye_`` and ``dirac_``; Keras has the 2-D case only
    """
    if weight.dim() == 2:
        nn.init.eye_(weight)
    else:
        nn.init.dirac_(weight)


@per_group
def orthogonal_(weight: Tensor, context: Context, *, gain: Positive | None) -> None:
    """Rows (or columns, if these are fewer) of equal length at right angles, uniformly among all such matrices.

    Formula: W of shape (out, fan_in) = gain · Q, Q from the QR of a normal matrix with R's diagonal made positive; a
        gain of None is the activation's
    Source: Saxe et al. 2013; ``torch.nn.init.orthogonal_``
    """
    nn.init.orthogonal_(weight, _gain(gain, context), context.generator)


@per_group
@torch.no_grad()
def delta_orthogonal_(weight: Tensor, context: Context, *, gain: Positive | None) -> None:
    """Orthogonal in the kernel's centre, so that a convolution keeps the length of every pixel's channel vector.

    Formula: W[:, :, centre] = gain · Q with QᵀQ = I, 0 elsewhere; gain · Q in a linear layer; a gain of None is the
        activation's
    Source: Xiao et al. 2018, algorithm 2

    Raises:
        UnservedLayerError: for a convolution with more inputs than outputs, which cannot keep lengths.
    """
    gain = _gain(gain, context)
    if weight.dim() == 2:
        nn.init.orthogonal_(weight, gain, context.generator)
        return
    num_outputs, num_inputs, *kernel = weight.shape
    if num_inputs > num_outputs:
        raise UnservedLayerError(f"delta_orthogonal needs at least {num_inputs} outputs and not {num_outputs}")
    centre = weight.zero_()
    for side in kernel:
        centre = centre.select(2, (side - 1) // 2)
    nn.init.orthogonal_(centre, gain, context.generator)


def _gain(gain: float | None, context: Context) -> float:
    return gain_of(context.activation) if gain is None else gain
