"""Augmentation of whole batches on the device, with parameters drawn for each image on its own.

An augmentation is planned for an epoch and applied to a batch: :class:`Plan` holds the drawn parameters, a row for each
example in the order of the epoch, drawn on the CPU from the epoch's own generator. So the same seed gives the same
augmentation on every device, and a resumed run needs no saved state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bnexp.ranges import Count


@dataclass(frozen=True)
class Plan:
    """What happens to the images of one epoch.

    Attributes:
        parameters: integers of shape (num_examples, num_parameters).
        apply: ``apply(images, rows)`` maps images (B, C, H, W) of any dtype with their rows of ``parameters`` to images
            of the same shape.
    """

    parameters: Tensor
    apply: Callable[[Tensor, Tensor], Tensor]


Augmentation = Callable[[int, torch.Generator], Plan | None]


def none(num_examples: int, generator: torch.Generator) -> None:
    """Change nothing; the loop takes the shorter way without a plan."""


def flip(num_examples: int, generator: torch.Generator) -> Plan:
    """Mirror each image left to right with probability 1/2."""
    return Plan(
        torch.randint(2, (num_examples, 1), generator=generator), lambda images, rows: flipped(images, rows[:, 0])
    )


def crop_flip(num_examples: int, generator: torch.Generator, *, padding: Count) -> Plan:
    """Shift each image by up to ``padding`` pixels either way, filling with zeros, and mirror it with probability 1/2.

    The crop of the padded image that He et al. 2016 (section 4.2) train CIFAR-10 with.
    """
    shifts = torch.randint(2 * padding + 1, (num_examples, 2), generator=generator)
    mirrors = torch.randint(2, (num_examples, 1), generator=generator)

    def apply(images: Tensor, rows: Tensor) -> Tensor:
        return cropped(images, rows[:, 0], rows[:, 1], rows[:, 2], padding)

    return Plan(torch.cat([shifts, mirrors], dim=1), apply)


def flipped(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror left to right those images (B, C, H, W) whose entry of ``mirrored`` (B,) is 1."""
    return torch.where(mirrored.bool()[:, None, None, None], images.flip(-1), images)


def cropped(images: Tensor, top: Tensor, left: Tensor, mirrored: Tensor, padding: int) -> Tensor:
    """Cut (H, W) windows at ``top``, ``left`` (B,) out of images (B, C, H, W) padded with zeros; mirror some of them.

    One gather does both: row and column indices are computed for each image, reversed where it is mirrored.
    """
    num_images, channels, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    columns = torch.arange(width, device=images.device)
    columns = torch.where(mirrored.bool()[:, None], width - 1 - columns, columns) + left[:, None]  # (B, W)
    rows = torch.arange(height, device=images.device) + top[:, None]  # (B, H)
    indices = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]  # (B, H, W) into the flattened padded image
    flat = padded.reshape(num_images, channels, -1)
    windows = flat.gather(2, indices.view(num_images, 1, -1).expand(-1, channels, -1))
    return windows.view(num_images, channels, height, width)
