"""Modules that normalize with the statistics of the batch, and at test time with running averages of them.

A module here uses the batch's own statistics in training, and at test time too while its ``running_mean`` is None
(torch.nn's rule; :func:`bnexp.nn.statistics.batch_statistics` makes use of it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnexp.errors import ConfigError
from bnexp.nn.channels_last import batch_norm
from bnexp.nn.divisors import require_divisor


def require_several_values(choice: str, x: Tensor, num_statistics: int, size: str = "training.batch_size") -> None:
    """Raise :class:`ConfigError` where each statistic would be taken over one value, whose deviation is always 0."""
    if x.numel() == num_statistics:
        maps = " with 1×1 feature maps" if x.ndim > 2 else ""
        raise ConfigError(
            f"norm={choice} needs more than one value per channel in training: a batch of 1{maps} gives one; "
            f"use a larger {size} or norm=layer"
        )


class BatchNorm(_BatchNorm):
    """``torch.nn.BatchNorm1d`` and ``2d`` in one: (N, C, …) → (N, C, …).

    Differs in three things: one value per channel is an error line of bnexp, images in ``channels_last`` lose no digits
    on a CPU (:mod:`bnexp.nn.channels_last`), and the cumulative average (``momentum=None``) needs no number from the
    device, so that it works in a CUDA graph and on the meta device.
    """

    choice = "batch"

    @property
    def in_training_step(self) -> bool:
        """Whether this forward pass counts: it updates the running statistics."""
        return self.training and self.track_running_stats

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch.nn's name)
        """Normalize ``input`` (N, C, …); raise :class:`ConfigError` on one value per channel in training."""
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        self._check_input_dim(input)
        if self.in_training_step and self.momentum is None:
            return self._forward_cumulative(input)
        return by_its_own_statistics(self, input)

    def _forward_cumulative(self, x: Tensor) -> Tensor:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        # With momentum 1 these two come back as the batch's own mean and unbiased variance.
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = batch_norm(x, mean, var, self.weight, self.bias, momentum=1.0, eps=self.eps)
        self.num_batches_tracked.add_(1)
        share = self.num_batches_tracked.to(mean.dtype).reciprocal()
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)
        return y

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        if self.training or self.running_mean is None:
            require_several_values(self.choice, input, self.num_features)


def by_its_own_statistics(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Normalize ``x`` (N, C, …) by the batch's statistics, and record them in a training step of ``norm``."""
    if not (norm.training and norm.track_running_stats):
        return batch_norm(x, None, None, norm.weight, norm.bias, momentum=0.0, eps=norm.eps)
    assert norm.momentum is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    mean, var = norm.running_mean, norm.running_var
    return batch_norm(x, mean, var, norm.weight, norm.bias, momentum=norm.momentum, eps=norm.eps)


class SyncBatchNorm(nn.SyncBatchNorm):
    """``torch.nn.SyncBatchNorm`` with bnexp's error line; in a single process it is batch norm, on a CPU too."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalize ``input`` (N, C, …); raise :class:`ConfigError` on one value per channel in training."""
        if input.device.type != "cpu" or not (self.training or self.running_mean is None):
            return super().forward(input)
        self._check_input_dim(input)
        return by_its_own_statistics(self, input)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        if self.training or self.running_mean is None:
            require_several_values("sync_batch", input, self.num_features)


class GhostBatchNorm(BatchNorm):
    """Batch norm over consecutive parts of ``ghost_size`` examples, each with its own statistics in training.

    The running averages take the parts one after the other, as if each were a batch.

    Attributes:
        ghost_size: examples of a part; whoever chooses a probe batch reads it (``signals.level.probe_size``).
    """

    choice = "ghost_batch"

    def __init__(self, num_features: int, *, ghost_size: int, eps: float, momentum: float | None, affine: bool) -> None:
        super().__init__(num_features, eps, momentum, affine)
        self.ghost_size = ghost_size

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalize ``input`` (N, C, …); raise :class:`ConfigError` where ``ghost_size`` does not divide N."""
        if not self.in_training_step:
            return super().forward(input)
        require_divisor("norm.ghost_size", self.ghost_size, len(input), f"a batch of {len(input)}")
        require_several_values(self.choice, input[: self.ghost_size], self.num_features, size="norm.ghost_size")
        # super() without arguments does not reach into a comprehension before Python 3.12.
        normalize = super().forward
        return torch.cat([normalize(part) for part in torch.split(input, self.ghost_size)])


class NoisyBatchNorm(BatchNorm):
    """Batch norm, then in training a random scale and shift per example and channel, drawn anew in each step.

    The draws share a random centre per channel, so that each step has another distribution of the layer's outputs.

    Attributes:
        generator: where the draws come from; None is PyTorch's default generator of the input's device.
    """

    choice = "noisy_batch"

    def __init__(
        self,
        num_features: int,
        *,
        max_shift: float,
        max_scale: float,
        jitter: float,
        eps: float,
        momentum: float | None,
        affine: bool,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine)
        self.max_shift = max_shift
        self.max_scale = max_scale
        self.jitter = jitter
        self.generator: torch.Generator | None = None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Normalize ``input`` (N, C, …) and, in training, scale and shift it at random."""
        y = super().forward(input)
        if not self.in_training_step:
            return y
        per_channel, per_example = y.new_empty(y[:1].shape[:2]), y.new_empty(y.shape[:2])
        shift = self._uniform(per_channel, -self.max_shift, self.max_shift)
        shift = shift + self._uniform(per_example, -self.jitter, self.jitter)
        scale = self._uniform(per_channel, 1, self.max_scale)
        scale = scale + torch.empty_like(per_example).normal_(0, self.jitter, generator=self.generator)
        shape = (*y.shape[:2], *(1,) * (y.ndim - 2))
        return y * scale.view(shape) + shift.view(shape)

    def _uniform(self, like: Tensor, low: float, high: float) -> Tensor:
        return torch.empty_like(like).uniform_(low, high, generator=self.generator)


class BatchGroupNorm(nn.Module):
    """Batch norm with statistics over ``num_groups`` groups of channels, and weight and bias per channel.

    Its running statistics are those of the groups.
    """

    def __init__(self, num_groups: int, num_features: int, *, eps: float, momentum: float | None, affine: bool) -> None:
        super().__init__()
        self.statistics = BatchNorm(num_groups, eps, momentum, affine=False)
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (N, C, …); raise :class:`ConfigError` on one value per group in training."""
        num_groups = self.statistics.num_features
        if self.training or self.statistics.running_mean is None:
            require_several_values("batch_group", x, num_groups)
        y: Tensor = self.statistics(torch.unflatten(x, 1, (num_groups, -1))).flatten(1, 2)
        if self.weight is None or self.bias is None:
            return y
        shape = (-1, *(1,) * (x.ndim - 2))
        return (y * self.weight.view(shape) + self.bias.view(shape)).to(y.dtype)


class MeanOnlyBatchNorm(nn.Module):
    """Subtract the batch's mean of each channel and add a bias; the variance is left to the weights."""

    running_mean: Tensor | None
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, *, momentum: float | None) -> None:
        super().__init__()
        self.num_features = num_features
        self.momentum = momentum
        self.track_running_stats = True
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Centre ``x`` (N, C, …); raise :class:`ConfigError` on one value per channel in training."""
        mean = self.running_mean
        if self.training or mean is None:
            require_several_values("mean_only_batch", x, self.num_features)
            mean = x.mean((0, *range(2, x.ndim)), dtype=self.bias.dtype)
            if self.training and self.track_running_stats:
                self._update(mean.detach())
        return (x - (mean - self.bias).view(-1, *(1,) * (x.ndim - 2))).to(x.dtype)

    def _update(self, mean: Tensor) -> None:
        assert self.running_mean is not None
        self.num_batches_tracked.add_(1)
        share = self.num_batches_tracked.to(mean.dtype).reciprocal() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)

    def extra_repr(self) -> str:
        """Show the size and the momentum."""
        return f"{self.num_features}, momentum={self.momentum}"
