"""Initializers that look at how a network is built: where it drops values, and where its residual branches are."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.nn.gain import gaussian_powers
from bnexp.nn.initialize import LAYERS, Context, fill_layers_, named_layers, set_weight_, whole_model
from bnexp.nn.initializers import he_normal_
from bnexp.nn.noise import Dropout


@whole_model
def dropout_adjusted_(model: nn.Module, context: Context, *, backward: bool) -> tuple[str, ...]:
    """Each unit's weights of length 1, divided by what dropout and the activation do to the variance.

    Formula: w ← (w/‖w‖)/√(E[f²]/p + p·E[f′²]), w normal, z ~ N(0, 1); f and the keep probability p stand before the
        layer in the first term and behind it in the second; f(z) = z, p = 1 at both ends of the network and wherever
        there is none; without ``backward`` the first term alone
    Source: Hendrycks & Gimpel 2016, section 2.2; the two ends and convolutions as in the authors' code
    """

    def on_unit_sphere(weight: Tensor, context: Context) -> None:
        weight.normal_(generator=context.generator)
        weight.div_(weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.dim() - 1)))

    fill_layers_(model, on_unit_sphere, context)
    power, slope_power = gaussian_powers(context.activation)
    gaps = _gaps(model, type(context.activation))
    for i, (_, layer) in enumerate(named_layers(model)):
        active_before, keep_before = gaps[i]
        active_behind, keep_behind = gaps[i + 1]
        variance = (power if active_before else 1.0) / keep_before
        if backward:
            variance += (slope_power if active_behind else 1.0) * keep_behind
        set_weight_(layer, layer.weight / variance**0.5)
    return ()


def _gaps(model: nn.Module, activation: type[nn.Module]) -> list[tuple[bool, float]]:
    """Return, for the gap before each layer and for the one behind the last, (has an activation, keep probability).

    Modules count in the order of registration, which is the order of computation in bnexp's models.
    """
    gaps, active, keep = [], False, 1.0
    for module in model.modules():
        if isinstance(module, LAYERS):
            gaps.append((active, keep))
            active, keep = False, 1.0
        elif isinstance(module, activation):
            active = True
        elif isinstance(module, nn.Dropout | Dropout):
            keep *= 1 - module.p
    return [*gaps, (active, keep)]


@whole_model
def fixup_(model: nn.Module, context: Context) -> tuple[str, ...]:
    """Residual networks without norm: branches that start at zero and whose updates do not add up with depth.

    Formula: He; in each of the L residual branches of m layers, W ← W · L^(−1/(2m − 2)) and the last layer 0; the
        output layer 0; a new scalar multiplier (1) behind each branch, a new scalar bias (0) before each layer and
        activation
    Source: Zhang et al. 2019, section 3 ("Fixup initialization"), rules 1 to 3

    A residual block is a module with the attributes ``residual`` and ``shortcut``. The scalars are new parameters,
    ``scalar_bias`` and ``multiplier``, of the modules that they serve.

    Raises:
        ConfigError: where the model has no residual block, or has norms in its branches.
    """
    blocks = [module for module in model.modules() if hasattr(module, "residual") and hasattr(module, "shortcut")]
    branches = [block.get_submodule("residual") for block in blocks]
    if not branches:
        raise ConfigError(
            "init=fixup initializes residual branches and this model has none; use model=resnet with its shortcuts"
        )
    for branch in branches:
        _refuse_norms(branch, type(context.activation))
    fill_layers_(model, partial(he_normal_, negative_slope=None), context)
    for branch in branches:
        *first, last = [layer for _, layer in named_layers(branch)]
        for layer in first:
            set_weight_(layer, layer.weight * len(branches) ** (-1 / (2 * len(first))))
        set_weight_(last, torch.zeros_like(last.weight))
        branch.register_parameter("multiplier", nn.Parameter(torch.ones(1)))
        branch.register_forward_hook(_multiply)
    output = named_layers(model)[-1][1]
    set_weight_(output, torch.zeros_like(output.weight))
    for module in list(model.modules()):
        if isinstance(module, (*LAYERS, type(context.activation))):
            module.register_parameter("scalar_bias", nn.Parameter(torch.zeros(1)))
            module.register_forward_pre_hook(_add_bias)
    return ()


def _refuse_norms(branch: nn.Module, activation: type[nn.Module]) -> None:
    known = (*LAYERS, activation, nn.Identity, nn.Dropout, Dropout)
    for module in branch.modules():
        if not any(True for _ in module.children()) and not isinstance(module, known):
            name = type(module).__name__.removeprefix("_")
            raise ConfigError(
                f"init=fixup takes the place of norms, and this model's residual branches hold {name}; use norm=none"
            )


def _add_bias(module: nn.Module, args: tuple[Tensor]) -> Tensor:
    return args[0] + module.get_parameter("scalar_bias")


def _multiply(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
    return output * module.get_parameter("multiplier")
