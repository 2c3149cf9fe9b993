"""A quadratic to descend: ½ Σ a (θ − c)², whose gradient a (θ − c) is steep in one direction and flat in another."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from torch import nn

Rule = Callable[[float, float, dict[str, float], int], float]


class Quadratic:
    """Three coordinates, taken down by an optimizer or by a rule in plain numbers."""

    a, c, start = (100.0, 1.0, 0.01), (1.0, -2.0, 3.0), (0.5, 0.25, -0.125)

    def weights(self) -> nn.Linear:
        """A linear layer without bias whose weight (1, 3) holds the starting point."""
        layer = nn.Linear(3, 1, bias=False).double()
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([self.start], dtype=torch.float64))
        return layer

    def descend(
        self, make: Callable[[nn.Module], torch.optim.Optimizer], num_steps: int = 3, steepness: float = 1.0
    ) -> list[list[float]]:
        """Take steps with the optimizer that ``make`` returns; return the weights after each."""
        layer = self.weights()
        return self.go_on(make(layer), layer, num_steps, steepness)

    def go_on(
        self, optimizer: torch.optim.Optimizer, layer: nn.Linear, num_steps: int, steepness: float = 1.0
    ) -> list[list[float]]:
        """Take further steps; return the weights after each."""
        a, c = steepness * torch.tensor(self.a, dtype=torch.float64), torch.tensor(self.c, dtype=torch.float64)
        path = []
        for _ in range(num_steps):
            optimizer.zero_grad()
            (0.5 * a * (layer.weight[0] - c) ** 2).sum().backward()
            optimizer.step()
            path.append(layer.weight[0].tolist())
        return path

    def by_hand(self, rule: Rule, num_steps: int = 3) -> list[list[float]]:
        """The same with ``rule(theta, g, state, t) -> theta`` for each coordinate on its own."""
        theta, states, path = list(self.start), [{"v": 0.0, "m": 0.0} for _ in self.start], []
        for t in range(1, num_steps + 1):
            theta = [rule(x, a * (x - c), s, t) for x, a, c, s in zip(theta, self.a, self.c, states, strict=True)]
            path.append(theta)
        return path

    def compare(
        self,
        make: Callable[[nn.Module], torch.optim.Optimizer],
        rule: Rule,
        num_steps: int = 3,
        tolerance: float = 1e-12,
    ) -> None:
        """Assert that optimizer and rule take the same steps in float64, up to a relative ``tolerance``."""
        found = torch.tensor(self.descend(make, num_steps), dtype=torch.float64)
        expected = torch.tensor(self.by_hand(rule, num_steps), dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)

    def compare_resumed(self, make: Callable[[nn.Module], torch.optim.Optimizer]) -> None:
        """Assert that an optimizer that was saved and loaded takes the very steps that it would have taken."""
        layer, twin = self.weights().float(), self.weights().float()  # as in a run
        optimizer, resumed = make(layer), make(twin)
        self.go_on(optimizer, layer, 2)
        twin.load_state_dict(layer.state_dict())
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        assert self.go_on(resumed, twin, 3) == self.go_on(optimizer, layer, 3)


@pytest.fixture
def quadratic() -> Quadratic:
    return Quadratic()
