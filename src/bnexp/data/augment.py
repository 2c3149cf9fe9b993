"""Augmentation of whole batches on the device, with parameters drawn for each example on its own.

An augmentation is planned for an epoch and applied to a batch: :class:`Plan` holds the drawn parameters, a row for each
example in the order of the epoch, drawn on the CPU from the epoch's own generator. So the same seed gives the same
augmentation on every device, and a resumed run needs no saved state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bnexp.ranges import Count, Positive

Change = Callable[[Tensor, Tensor], Tensor]
"""``change(images, rows)`` maps images (B, C, H, W) with their rows of parameters to images of that shape and type."""


@dataclass(frozen=True)
class Plan:
    """What happens to the examples of one epoch.

    Attributes:
        parameters: integers of shape (num_examples, num_parameters), the rows that the two changes read.
        apply: changes images of any dtype, as they are stored; None leaves inputs as they are.
        apply_scaled: changes images as the network gets them; None leaves inputs as they are.
        shares: λ of shape (num_examples,) by which an example is mixed with the one before it in its batch, inputs and
            labels alike (:func:`mixed`); None mixes nothing.
    """

    parameters: Tensor
    apply: Change | None
    apply_scaled: Change | None = None
    shares: Tensor | None = None

    @property
    def needs_images(self) -> bool:
        """Whether rows of features cannot be augmented so."""
        return self.apply is not None or self.apply_scaled is not None

    def to(self, device: torch.device) -> Plan:
        """Return the same plan with its tensors on ``device``."""
        shares = None if self.shares is None else self.shares.to(device)
        return Plan(self.parameters.to(device), self.apply, self.apply_scaled, shares)

    def copy_(self, other: Plan) -> None:
        """Take over what was drawn for another epoch; the changes are the same in all of them."""
        self.parameters.copy_(other.parameters)
        if self.shares is not None and other.shares is not None:
            self.shares.copy_(other.shares)


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


def cutout(num_examples: int, generator: torch.Generator, *, padding: Count | None, size: Count) -> Plan:
    """Set a square around a random pixel of each image to 0; at the edge a part of it lies outside.

    0 is the mean under ``dataset.scaling=standardized``, as the paper has it, and black under the others. With a
    ``padding``, each image is first shifted and mirrored as by ``crop_flip``.

    Formula: x = 0 where −⌊size / 2⌋ ≤ row − r, column − c < size − ⌊size / 2⌋
    Source: DeVries & Taylor 2017, section 3.2.
    """
    cropping = _cropping(num_examples, generator, padding)
    centres = torch.randint(2**31, (num_examples, 2), generator=generator)  # modulo height and width in `hide`

    def hide(images: Tensor, rows: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return hidden(images, rows[:, -2] % height, rows[:, -1] % width, size)

    return Plan(torch.cat([cropping.parameters, centres], dim=1), cropping.apply, hide)


def mixup(num_examples: int, generator: torch.Generator, *, padding: Count | None, alpha: Positive) -> Plan:
    """Mix each example with the one before it in its batch, by a share drawn for each: inputs and labels.

    With a ``padding``, each image is first shifted and mirrored as by ``crop_flip``; without one, rows mix as well.

    Formula: x̃ = λ x + (1 − λ) x′, ỹ = λ y + (1 − λ) y′, λ ~ Beta(α, α)
    Source: Zhang et al. 2018, section 2; their code draws one λ for a batch, and partners at random (which the one
        before is, as the order of an epoch is random).
    """
    cropping = _cropping(num_examples, generator, padding)
    seed = int(torch.randint(2**62, (), generator=generator))
    shares = np.random.default_rng(seed).beta(alpha, alpha, num_examples)  # PyTorch draws no Beta from a generator
    return Plan(cropping.parameters, cropping.apply, shares=torch.from_numpy(shares).float())


def _cropping(num_examples: int, generator: torch.Generator, padding: int | None) -> Plan:
    if padding is None:
        return Plan(torch.empty((num_examples, 0), dtype=torch.int64), None)
    return crop_flip(num_examples, generator, padding=padding)


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


def hidden(images: Tensor, row: Tensor, column: Tensor, size: int) -> Tensor:
    """Set to 0 a ``size`` × ``size`` square around the pixel at ``row``, ``column`` (B,) of each image (B, C, H, W)."""
    height, width = images.shape[-2:]
    below = torch.arange(height, device=images.device) - (row - size // 2)[:, None]  # (B, H), from the square's top
    right = torch.arange(width, device=images.device) - (column - size // 2)[:, None]  # (B, W), from its left edge
    inside = ((below >= 0) & (below < size))[:, :, None] & ((right >= 0) & (right < size))[:, None, :]
    return torch.where(inside[:, None], 0, images)


def mixed(values: Tensor, shares: Tensor) -> Tensor:
    """Return λ x + (1 − λ) x′ for each x of the floats ``values`` (B, …), λ its share (B,), x′ the one before it."""
    partners = torch.cat([values[-1:], values[:-1]])
    return torch.lerp(partners, values, shares.view(-1, *[1] * (values.dim() - 1)))
