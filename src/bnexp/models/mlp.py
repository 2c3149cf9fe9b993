"""The multilayer perceptron, for rows and for flattened images."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from bnexp.models.layers import Activation, Hidden, Norm, NormPosition, input_norm
from bnexp.ranges import Count, Fraction


class MLP(nn.Module):
    """``depth`` hidden layers of ``width`` units, each followed by dropout, and a linear output layer.

    Args:
        input_shape: (F,) or (C, H, W); images are flattened.
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each hidden layer.
        depth: number of hidden layers.
        width: units of each.
        dropout: probability to drop a hidden unit.
        norm_position: norm before or after the activation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        activation: Activation,
        norm: Norm,
        *,
        depth: Count,
        width: Count,
        dropout: Fraction,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        num_features = prod(input_shape)
        self.flatten = nn.Flatten()
        self.input_norm = input_norm(norm, num_features, spatial=False)
        layers: list[nn.Module] = []
        for _ in range(depth):
            hidden = Hidden(nn.Linear(num_features, width), activation, norm, norm_position)
            layers += [hidden, nn.Dropout(dropout)]
            num_features = width
        self.hidden = nn.Sequential(*layers)
        self.output = norm.weight(nn.Linear(num_features, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized inputs (N, …) to logits (N, num_classes)."""
        x = self.input_norm(self.flatten(x))
        logits: Tensor = self.output(self.hidden(x))
        return logits
