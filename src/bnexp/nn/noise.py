"""Noise from a generator of its own, so that a network that draws some shifts nobody else's random numbers."""

# ruff: noqa: A002  (`input` is the name of a config key)
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.nn.activation import activations
from bnexp.ranges import NonNegative
from bnexp.seeding import generator as seeded_generator


class Dropout(nn.Module):
    """Zero each value with probability ``p`` in training, and scale the rest by 1 / (1 − p).

    Formula: y = x · b / (1 − p), b ~ Bernoulli(1 − p); so E[y] = x, the output in evaluation.
    Source: Srivastava et al. 2014; ``p`` is the probability to drop, as in PyTorch (the paper's p keeps).

    Attributes:
        generator: where the draws come from; None is PyTorch's default generator of the input's device.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of ``x``."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"


def draw_noise_from_(model: nn.Module, generator: torch.Generator) -> None:
    """Let all noise in ``model`` come from ``generator``.

    Every ``torch.nn.Dropout`` becomes a :class:`Dropout` here (PyTorch's own takes no generator), and every module with
    an attribute ``generator`` gets this one.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, Dropout(child.p).train(child.training))
    for module in model.modules():
        if hasattr(module, "generator"):
            module.generator = generator  # type: ignore[assignment]


class GaussianNoise:
    """Gaussian noise on inputs, weights, activations and gradients in training, each as strong as its key says.

    A strength is a standard deviation, in the units of what it is added to; 0 adds nothing, not even an operation. Each
    noise has a generator of its own, so that one more noise changes no other's draws. Weights are the parameters of two
    or more dimensions, as for weight decay; biases and parameters of norms are none, but have gradients like all.

    Formula: x + σ ε, ε ~ N(0, 1) for each value and step; so the mean is x, which evaluation takes
    Source: Bishop 1995 (inputs); Graves 2011 (weights: the gradient is taken at the noisy ones, the step from the clean
        ones); Poole et al. 2014 (activations); Neelakantan et al. 2015, equation 1 without annealing (gradients).

    Args:
        model: noise on activations is attached to it.
        seed: the run's.

    Attributes:
        generators: those in use by their purpose, ``noise/input`` and so on.

    Raises:
        ConfigError: for noise on the activations of a model that has none.
    """

    def __init__(
        self,
        model: nn.Module,
        seed: int,
        *,
        input: NonNegative,
        weight: NonNegative,
        activation: NonNegative,
        gradient: NonNegative,
    ) -> None:
        strengths = {"input": input, "weight": weight, "activation": activation, "gradient": gradient}
        self.strengths = {f"noise/{place}": std for place, std in strengths.items() if std > 0}
        device = next(model.parameters()).device
        self.generators = {purpose: seeded_generator(seed, purpose, device=device) for purpose in self.strengths}
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.weights = [parameter for parameter in self.parameters if parameter.dim() > 1]
        if activation > 0:
            self._attach(activations(model), activation)

    def on_input(self, inputs: Tensor) -> Tensor:
        """Return the inputs with noise."""
        return inputs + self._draw("noise/input", inputs) if "noise/input" in self.strengths else inputs

    @contextmanager
    def on_weights(self) -> Iterator[None]:
        """Let the weights be noisy within, and exactly what they were thereafter."""
        if "noise/weight" not in self.strengths:
            yield
            return
        clean = [weight.detach().clone() for weight in self.weights]
        with torch.no_grad():
            for weight in self.weights:
                weight.add_(self._draw("noise/weight", weight))
        yield
        with torch.no_grad():
            for weight, value in zip(self.weights, clean, strict=True):
                weight.copy_(value)

    def on_gradients_(self) -> None:
        """Add noise to the gradients in place."""
        if "noise/gradient" in self.strengths:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.add_(self._draw("noise/gradient", parameter.grad))

    def _attach(self, modules: list[nn.Module], std: float) -> None:
        if not modules:
            raise ConfigError(f"noise.activation={std}: this model has no activation function; use noise.activation=0")

        def add(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + self._draw("noise/activation", output) if module.training else output

        for module in modules:
            module.register_forward_hook(add)

    def _draw(self, purpose: str, like: Tensor) -> Tensor:
        std, generator = self.strengths[purpose], self.generators[purpose]
        return torch.empty_like(like).normal_(0, std, generator=generator)
