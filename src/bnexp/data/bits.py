"""Which numbers are told apart in 64 bits and not in the 32 bits that a network computes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bnexp.data.contract import Contract

SAFE_RANGE = 2.0**20
"""Whole numbers of this range stay apart whatever offset and unit they get: 32 bits hold 24 binary digits."""

TOLERATED = 0.01
"""Share of a column's different numbers that may fall together without a warning: among ten thousand measured values,
some pairs are closer than 32 bits tell, and nothing depends on them."""


def with_losses(contract: Contract, before: Sequence[Tensor], after: Sequence[Tensor]) -> Contract:
    """Return the contract with the numbers that scaling to float32 has made equal, and a warning where they are many.

    Args:
        contract: what is known so far.
        before, after: the rows (N, F) of each split, in float64 and in float32.
    """
    stored, seen = torch.cat(list(before)), torch.cat(list(after))
    names = contract.features or [f"feature {index}" for index in range(stored.shape[1])]
    lost, warnings = {}, []
    for index in _doubtful(stored, seen):
        distinct = len(stored[:, index].unique())
        if (missed := distinct - len(seen[:, index].unique())) > 0:
            lost[names[index]] = missed
            if missed > TOLERATED * distinct:
                warnings.append(
                    f"{missed} of {distinct} different numbers of '{names[index]}' are the same to the network, which "
                    "computes in 32 bits; subtract a constant from the column, take its far values out, or use "
                    "dataset.scaling=standardized"
                )
    columns = tuple(
        replace(column, lost=column.lost + sum(lost.get(name, 0) for name in column.features))
        for column in contract.columns
    )
    return replace(contract, columns=columns, warnings=(*contract.warnings, *warnings))


def _doubtful(stored: Tensor, seen: Tensor) -> list[int]:
    """Return the columns whose numbers can have fallen together; the others need no sorting."""
    low, high = stored.amin(dim=0), stored.amax(dim=0)
    whole = (stored == stored.floor()).all(dim=0) & (high - low < SAFE_RANGE)
    # Raw numbers far from 0 lose their last digits however small their range is.
    reach = seen.abs().amax(dim=0).double() / (seen.amax(dim=0) - seen.amin(dim=0)).double().clamp_min(1e-300)
    return torch.nonzero(~(whole & (reach * (high - low) < SAFE_RANGE)) & (high > low)).flatten().tolist()
