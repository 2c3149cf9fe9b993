"""How far did a step move each layer, measured in the layer's own size?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bnexp.signals.objective import norm


class LastStep:
    """The parameters before a step, to be compared with those after it.

    The step itself is not touched: :meth:`remember` before it, :meth:`update_ratios` at any time after it.
    """

    def __init__(self, layers: Mapping[str, Sequence[Tensor]]) -> None:
        self.layers = layers
        self._before: dict[str, list[Tensor]] = {}

    def remember(self) -> None:
        """Copy the parameters as they are now."""
        self._before = {name: [own.detach().clone() for own in parameters] for name, parameters in self.layers.items()}

    @torch.no_grad()
    def update_ratios(self) -> dict[str, Tensor]:
        """Return the size of each layer's change beside the layer's own, a scalar each; then forget the copy.

        The change is the real one: momentum, weight decay, clipping and all that an optimizer does to a gradient are in
        it. About 10⁻³ is customary. Beside a norm, which takes away the scale of the weights in front of it, the ratio
        and not the learning rate says how fast a layer turns (van Laarhoven 2017). Infinite for a layer of zeros.

        Formula: ‖θ_after − θ_before‖ / ‖θ_before‖, over all parameters of the layer
        Source: Karpathy, CS231n notes, "Ratio of weights:updates".
        """
        ratios = {}
        for name, before in self._before.items():
            changes = [own - old for own, old in zip(self.layers[name], before, strict=True)]
            ratios[name] = norm(changes) / norm(before)
        self._before = {}
        return ratios
