"""PyTorch's own norms in somebody's model, which bnexp runs in ``channels_last``."""

from __future__ import annotations

from torch import nn

from bnexp.nn.batch_norms import BatchNorm
from bnexp.nn.example_norms import GroupNorm, InstanceNorm


class BatchNorm2d(BatchNorm, nn.BatchNorm2d):
    """bnexp's batch norm where somebody's code may ask for PyTorch's class."""


KEEPING: dict[type[nn.Module], type[nn.Module]] = {
    nn.GroupNorm: GroupNorm,
    nn.InstanceNorm2d: InstanceNorm,
    nn.BatchNorm2d: BatchNorm2d,
}


def keep_digits_(model: nn.Module) -> None:
    """Let norms of ``torch.nn`` compute as bnexp's own do, which lose no digits; parameters and names stay."""
    for module in model.modules():
        module.__class__ = KEEPING.get(type(module), type(module))
