"""Which modules of a network are its activation functions, whatever model made them and wherever they stand."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def marked(activation: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return the same factory, but for a mark on what it makes by which :func:`activations` finds it."""

    def make() -> nn.Module:
        module = activation()
        module.is_activation = True  # type: ignore[assignment]
        return module

    return make


def activations(model: nn.Module) -> list[nn.Module]:
    """Return the modules of ``model`` that a :func:`marked` factory made, in the order of registration."""
    return [module for module in model.modules() if getattr(module, "is_activation", False)]
