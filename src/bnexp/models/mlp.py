"""The multilayer perceptron, for rows and for flattened images."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Annotated

from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.models.budget import choose_size, num_parameters
from bnexp.models.layers import Activation, DropoutPosition, Hidden, Norm, NormPosition, Recipe, input_norm
from bnexp.ranges import Count, Depth, Fraction, Interval, Unless, Width


class MLP(nn.Module):
    """``depth`` hidden layers of ``width`` units, or hidden layers of any sizes, and a linear output layer.

    Formula: xᵢ = activation(norm(Wᵢ xᵢ₋₁ + bᵢ)); logits = W x + b
    Source: Rumelhart, Hinton & Williams 1986

    Args:
        input_shape: (F,) or (C, H, W); images are flattened.
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each hidden layer.
        depth: number of hidden layers.
        width: units of each; None where ``parameters`` decides.
        parameters: number of weights and biases to come near to, those of norms not counted; None where ``width``
            decides.
        hidden: units of each hidden layer, in place of ``depth`` and ``width``, which are then not looked at; None
            where these decide.
        dropout: probability to drop a hidden unit.
        dropout_position: see :class:`bnexp.models.layers.Recipe`.
        norm_position: norm before or after the activation.

    Raises:
        ConfigError: for a size that is not decided once.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        activation: Activation,
        norm: Norm,
        *,
        depth: Annotated[Depth, Unless("hidden")],
        width: Annotated[Width | None, Unless("hidden")],
        parameters: Annotated[Count, Interval(high=10**12)] | None,
        hidden: list[Width] | None,
        dropout: Fraction,
        dropout_position: DropoutPosition,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        num_inputs = prod(input_shape)

        def count(units: int) -> int:
            return num_parameters([num_inputs, *[units] * depth, num_classes])

        if hidden is None:
            hidden = [choose_size(width, parameters, count)] * depth
        elif parameters is not None:
            raise ConfigError(f"model.hidden={hidden} decides the sizes: take model.parameters={parameters} out")
        recipe = Recipe(activation, norm, norm_position, dropout, dropout_position)
        sizes = [num_inputs, *hidden]
        self.flatten = nn.Flatten()
        self.input_norm = input_norm(norm, num_inputs, spatial=False)
        self.hidden = nn.Sequential(*(Hidden(nn.Linear(*pair), recipe) for pair in pairwise(sizes)))
        self.dropout = recipe.before_output()
        self.output = norm.weight(nn.Linear(sizes[-1], num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized inputs (N, …) to logits (N, num_classes)."""
        x = self.input_norm(self.flatten(x))
        logits: Tensor = self.output(self.dropout(self.hidden(x)))
        return logits
