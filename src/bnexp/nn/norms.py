"""The choices of ``norm``: one function each, whose keywords are the keys of ``configs/norm/<choice>.yaml``.

In the formulas μ and σ² are the mean and the *biased* variance of the values that the first line names, γ and β
the trainable ``weight`` and ``bias`` per channel, which start at 1 and 0. Keywords that several share:

* ``eps``: what is added to the variance, in squared units of the layer's outputs; PyTorch refuses 0, and 1e-30 has
  its effect: it is lost beside any variance that is not 0;
* ``momentum``: weight of the *new* batch in the running averages (PyTorch's sense); None averages all batches equally;
* ``affine``: whether there are γ and β;
* ``input``: whether one more norm stands in front of the network.

Running averages hold the mean and the *unbiased* variance, as torch.nn has it.
"""
# ruff: noqa: A002  (`input` is the name of the config key)

from __future__ import annotations

from functools import partial
from typing import Annotated

from torch import nn

from bnexp.errors import ConfigError
from bnexp.nn.batch_norms import (
    BatchGroupNorm,
    BatchNorm,
    GhostBatchNorm,
    MeanOnlyBatchNorm,
    NoisyBatchNorm,
    SyncBatchNorm,
)
from bnexp.nn.divisors import require_divisor
from bnexp.nn.example_norms import FilterResponseNorm, GroupNorm, InstanceNorm, RMSNorm
from bnexp.nn.norm import Norm
from bnexp.nn.weight_norms import centered_weight_norm, spectral_norm, weight_norm
from bnexp.ranges import Count, Interval, NonNegative, Positive, Probability

AtLeastOne = Annotated[float, Interval(low=1)]


def none() -> Norm:
    """Nothing: the control arm.

    Formula: y = x
    Source: —
    """
    return Norm()


def batch(*, eps: Positive, momentum: Probability | None, affine: bool, input: bool) -> Norm:
    """Each channel over the batch: N, H, W.

    Formula: y = γ (x − μ) / √(σ² + ε) + β; at test time with running averages of μ and σ²
    Source: Ioffe & Szegedy 2015, algorithm 1
    """
    return Norm(lambda num_features, _: BatchNorm(num_features, eps, momentum, affine), input=input)


def layer(*, eps: Positive, affine: bool, input: bool) -> Norm:
    """Each example over all its channels: C, H, W.

    Formula: y = γ (x − μ) / √(σ² + ε) + β
    Source: Ba 2016, equation 3; for images with γ and β per channel, which is group norm with one group (Wu & He 2018)
    """

    def features(num_features: int, spatial: bool) -> nn.Module:
        if spatial:
            return GroupNorm(1, num_features, eps, affine)
        _require_several_features("layer", num_features)
        return nn.LayerNorm(num_features, eps, affine)

    return Norm(features, input=input)


def group(*, num_groups: Count, eps: Positive, affine: bool, input: bool) -> Norm:
    """Each example over groups of its channels: C/G, H, W.

    Formula: y = γ (x − μ) / √(σ² + ε) + β
    Source: Wu & He 2018, equations 1, 2 and 7
    """

    def features(num_features: int, spatial: bool) -> nn.Module:
        _require_groups(num_groups, num_features, spatial)
        if not spatial and num_groups == num_features:
            raise ConfigError(
                f"norm.num_groups={num_groups} leaves one value in each group of {num_features} features, "
                "which normalizes to 0; use fewer groups or norm=batch"
            )
        return GroupNorm(num_groups, num_features, eps, affine)

    return Norm(features, input=input)


def instance(*, eps: Positive, affine: bool, input: bool) -> Norm:
    """Each channel of each example over its positions: H, W.

    Formula: y = γ (x − μ) / √(σ² + ε) + β
    Source: Ulyanov 2016
    """

    def features(num_features: int, spatial: bool) -> nn.Module:
        if not spatial:
            raise ConfigError(
                "norm=instance needs images: a dense layer has one value per feature of each instance, which "
                "normalizes to 0; use norm=layer or a convolutional model"
            )
        return InstanceNorm(num_features, eps, affine=affine)

    return Norm(features, input=input)


def rms(*, eps: Positive, affine: bool, input: bool) -> Norm:
    """Each example over all its channels, without centering: C, H, W.

    Formula: y = γ x / √(mean(x²) + ε)
    Source: Zhang & Sennrich 2019, equation 4
    """

    def features(num_features: int, spatial: bool) -> nn.Module:
        if not spatial:
            _require_several_features("rms", num_features)
        return RMSNorm(num_features, eps=eps, affine=affine)

    return Norm(features, input=input)


def filter_response(*, eps: Positive, threshold: bool, input: bool) -> Norm:
    """Each channel of each example over its positions, without centering, with a learned threshold: H, W.

    Formula: z = max(y, τ), y = γ x / √(mean(x²) + ε) + β; τ per channel starts at 0
    Source: Singh & Krishnan 2020, equations 1 to 3
    """
    build = partial(FilterResponseNorm, eps=eps, threshold=threshold)
    return Norm(lambda num_features, spatial: build(num_features, spatial=spatial), input=input)


def ghost_batch(*, ghost_size: Count, eps: Positive, momentum: Probability | None, affine: bool, input: bool) -> Norm:
    """Each channel over parts of the batch: ghost_size, H, W.

    Formula: as batch, for each part; the running averages take the parts one after the other
    Source: Hoffer 2017, algorithm 1
    """
    build = partial(GhostBatchNorm, ghost_size=ghost_size, eps=eps, momentum=momentum, affine=affine)
    return Norm(lambda num_features, _: build(num_features), input=input)


def noisy_batch(
    *,
    max_shift: NonNegative,
    max_scale: AtLeastOne,
    jitter: NonNegative,
    eps: Positive,
    momentum: Probability | None,
    affine: bool,
    input: bool,
) -> Norm:
    """Batch norm whose fixed distributions noise undoes in training: the control for internal covariate shift.

    Formula: z = s·y + m per example and channel; m ~ U(μ ± jitter), s ~ N(σ, jitter²); μ ~ U(± max_shift),
        σ ~ U(1, max_scale) per channel, drawn anew in each step
    Source: Santurkar 2018, section 2.1 and the appendix's algorithm "noisy BatchNorm"
    """
    build = partial(
        NoisyBatchNorm,
        max_shift=max_shift,
        max_scale=max_scale,
        jitter=jitter,
        eps=eps,
        momentum=momentum,
        affine=affine,
    )
    return Norm(lambda num_features, _: build(num_features), input=input)


def batch_group(*, num_groups: Count, eps: Positive, momentum: Probability | None, affine: bool, input: bool) -> Norm:
    """Groups of channels over the batch: N, C/G, H, W.

    Formula: as batch, with μ and σ² (and their running averages) per group, γ and β per channel
    Source: Summers & Dinneen 2020, "batch and group normalization" for small batches
    """

    def features(num_features: int, spatial: bool) -> nn.Module:
        _require_groups(num_groups, num_features, spatial)
        return BatchGroupNorm(num_groups, num_features, eps=eps, momentum=momentum, affine=affine)

    return Norm(features, input=input)


def sync_batch(*, eps: Positive, momentum: Probability, affine: bool, input: bool) -> Norm:
    """Each channel over the batches of all processes: N, H, W; in one process the same as batch.

    Formula: as batch
    Source: torch.nn.SyncBatchNorm
    """
    return Norm(lambda num_features, _: SyncBatchNorm(num_features, eps, momentum, affine), input=input)


def weight() -> Norm:
    """Each unit's weight split into a length and a direction.

    Formula: w = g v / ‖v‖
    Source: Salimans & Kingma 2016, equation 2
    """
    return Norm(weight=weight_norm)


def mean_only_batch(*, momentum: Probability | None, input: bool) -> Norm:
    """Weight norm, and each channel centred over the batch: N, H, W.

    Formula: y = x − μ + β with w = g v / ‖v‖; at test time with the running average of μ
    Source: Salimans & Kingma 2016, section 4
    """
    return Norm(lambda num_features, _: MeanOnlyBatchNorm(num_features, momentum=momentum), weight_norm, input)


def centered_weight() -> Norm:
    """Each unit's weight centred, then split into a length and a direction.

    Formula: w = g (v − v̄) / ‖v − v̄‖
    Source: Huang 2017, "Centered weight normalization"
    """
    return Norm(weight=centered_weight_norm)


def spectral(*, n_power_iterations: Count, eps: Positive) -> Norm:
    """Each layer's weight divided by its largest singular value.

    Formula: W / σ, σ = uᵀ W v with u, v from power iteration; W as a matrix (out, in · kernel)
    Source: Miyato 2018, equation 8 and algorithm 1
    """
    return Norm(weight=partial(spectral_norm, n_power_iterations=n_power_iterations, eps=eps))


def _require_groups(num_groups: int, num_features: int, spatial: bool) -> None:
    require_divisor(
        "norm.num_groups", num_groups, num_features, f"{num_features} {'channels' if spatial else 'features'}"
    )


def _require_several_features(choice: str, num_features: int) -> None:
    if num_features == 1:
        raise ConfigError(
            f"norm={choice} on a dense layer of 1 feature has a single value, which normalizes to a constant; "
            "use norm=batch or a wider layer"
        )
