"""Initializers that look at a batch of data: they run the network in training mode and scale what comes out of it.

The network's modes, buffers (running statistics) and random streams are afterwards as they were before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnexp.errors import ConfigError
from bnexp.nn.initialize import Context, Layer, fill_layers_, named_layers, set_weight_, whole_model
from bnexp.nn.initializers import lecun_normal_, orthogonal_
from bnexp.ranges import Count, Natural, Positive

Visit = Callable[[str, Layer, Tensor, Tensor], Tensor]


@whole_model
def lsuv_(model: nn.Module, context: Context, *, tolerance: Positive, max_tries: Count) -> tuple[str, ...]:
    """Layer-sequential unit variance: orthonormal, then each layer divided by the standard deviation of its output.

    Formula: W ← W/std(Wx) on a batch until |std − 1| ≤ tolerance, at most max_tries times, from the first layer to the
        last; biases 0
    Source: Mishkin & Matas 2016, algorithm 1, whose tolerance is on the variance
    """
    fill_layers_(model, partial(orthogonal_, gain=1.0), context)
    notes = []

    def scale(name: str, layer: Layer, inputs: Tensor, outputs: Tensor) -> Tensor:
        std = float(outputs.std(correction=0))
        for _ in range(max_tries):
            if abs(std - 1) <= tolerance or std == 0:
                break
            _rescale_(layer, layer.weight / std)
            outputs = layer.forward(inputs)
            std = float(outputs.std(correction=0))
        if abs(std - 1) > tolerance:
            notes.append(f"{name}: its output keeps a standard deviation of {std:.3g}, which lsuv could not make 1")
        return outputs

    with _probing(model, context) as inputs:
        _visit_layers(model, inputs, scale)
    return tuple(notes)


@whole_model
def data_dependent_(model: nn.Module, context: Context, *, balance_steps: Natural) -> tuple[str, ...]:
    """Every channel of every layer's output with mean 0 and standard deviation 1, then layers that learn equally fast.

    Formula: w_c ← w_c/σ_c, b_c ← −μ_c/σ_c per channel c, starting from normal weights; then, balance_steps times,
        W_k ← W_k · √(C_k/C̄) with C_k = √(mean g²/mean W_k²), g the gradient of the outputs' sum weighted with N(0, 1)
        numbers and C̄ the geometric mean of all C_k; biases follow the scale of their layer's input
    Source: Krähenbühl et al. 2016, algorithms 1 and 2; the second as in the authors' code, which scales all layers at
        once and so keeps the function of a network that is positively homogeneous (ReLU, max-pool, no norm)
    """
    # The paper draws from N(0, 1); the width falls out with the division by σ_c.
    fill_layers_(model, lecun_normal_, context)
    notes: list[str] = []
    order: list[Layer] = []

    def standardize(name: str, layer: Layer, inputs: Tensor, outputs: Tensor) -> Tensor:
        order.append(layer)
        channels = outputs.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)
        std, mean = torch.std_mean(channels, dim=1, correction=0)
        if not std.all():
            notes.append(
                f"{name}: {int((std == 0).sum())} of its {len(std)} channels do not vary and keep their weights"
            )
            std = torch.where(std == 0, 1.0, std)
        _rescale_(layer, layer.weight / std.view(-1, *[1] * (layer.weight.dim() - 1)))
        if layer.bias is None:
            notes.append(f"{name}: without a bias its channels keep their means")
        else:
            layer.bias.copy_(-mean / std)
        return layer.forward(inputs)

    with _probing(model, context) as inputs:
        _visit_layers(model, inputs, standardize)
        if balance_steps:
            notes += _balance(model, inputs, order, balance_steps, context.generator)
    return tuple(notes)


def _balance(model: nn.Module, inputs: Tensor, order: list[Layer], steps: int, generator: torch.Generator) -> list[str]:
    # One direction for all steps: with a new one for each, they would chase the noise of the estimate.
    direction = torch.randn(model(inputs).shape, generator=generator)
    input_scale: dict[Layer, Tensor] = {}
    factor = dict.fromkeys(order, torch.ones(()))

    def rescale(name: str, layer: Layer, inputs: Tensor, outputs: Tensor) -> Tensor:
        scale = inputs.abs().mean()
        if layer.bias is not None:
            layer.bias.mul_(factor[layer] * scale / input_scale.get(layer, scale))
        input_scale[layer] = scale
        _rescale_(layer, layer.weight * factor[layer])
        return layer.forward(inputs)

    _visit_layers(model, inputs, rescale)  # with factors of 1, to note the scales
    for _ in range(steps):
        log_rate, output_std = _log_change_rates(model, inputs, order, direction)
        surplus = log_rate - log_rate.mean() - output_std.log() / len(order)
        if surplus.abs().max() < 0.01:
            break
        factor = dict(zip(order, torch.exp(surplus / 2), strict=True))
        _visit_layers(model, inputs, rescale)
    output_std = _output_std(model(inputs))
    if abs(output_std.log()) <= 0.25:  # the authors' threshold
        return []
    return [
        f"balancing changed the network's function: its outputs' standard deviation is {float(output_std):.3g}, not 1"
    ]


def _log_change_rates(model: nn.Module, inputs: Tensor, order: list[Layer], direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return log C_k of each layer, and the standard deviation of the outputs.

    The directions of two samples are independent, so the square of the batch's gradient estimates the sum of the
    samples' squared gradients without bias; nothing has to be computed per sample.
    """
    with torch.enable_grad(), parametrize.cached():
        outputs = model(inputs)
        weights = [layer.weight for layer in order]
        gradients = torch.autograd.grad(outputs, weights, direction)
    powers = [g.square().mean() / w.detach().square().mean() for g, w in zip(gradients, weights, strict=True)]
    return torch.stack(powers).log() / 2, _output_std(outputs.detach())


def _output_std(outputs: Tensor) -> Tensor:
    return outputs.std(0, correction=0).mean()


def _rescale_(layer: Layer, weight: Tensor) -> None:
    set_weight_(layer, weight)
    if not torch.isclose(layer.weight.norm(), weight.norm(), rtol=0.01):
        raise ConfigError(
            "a data-dependent init sets the scale of each weight, which this norm takes away again (as norm=spectral "
            "does); use another init, or norm=none"
        )


def _visit_layers(model: nn.Module, inputs: Tensor, visit: Visit) -> None:
    """Run ``model`` once; ``visit(name, layer, inputs, outputs)`` may change each layer, and its result flows on.

    The layers come in the order in which the network computes them, each once.
    """
    visited = set()

    def hook(name: str, layer: Layer, args: tuple[Tensor], outputs: Tensor) -> Tensor:
        if name in visited:
            return outputs
        visited.add(name)
        return visit(name, layer, args[0], outputs)

    handles = [layer.register_forward_hook(partial(hook, name)) for name, layer in named_layers(model)]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _probing(model: nn.Module, context: Context) -> Iterator[Tensor]:
    """Yield the inputs with ``model`` in training mode and its noise from ``context.generator``; then restore all."""
    if context.inputs is None:
        raise ValueError("a data-dependent initializer needs Context.inputs")
    modes = {module: module.training for module in model.modules()}
    noisy = {module: module.generator for module in model.modules() if hasattr(module, "generator")}
    # A parametrization's buffers (spectral norm's singular vectors) go with the weights, which are to change.
    kept = [
        (buffer, buffer.clone()) for name, buffer in model.named_buffers() if ".parametrizations." not in f".{name}"
    ]
    seed = int(torch.randint(2**62, (), generator=context.generator))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            for module in noisy:
                module.generator = None  # type: ignore[assignment]
            model.train()
            yield context.inputs
    finally:
        for module, mode in modes.items():
            module.training = mode
        for module, generator in noisy.items():
            module.generator = generator
        for buffer, value in kept:
            buffer.copy_(value)
