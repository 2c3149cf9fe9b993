"""One training step, with static shapes and nothing that waits for the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnexp.nn.losses import Loss
from bnexp.nn.noise import GaussianNoise
from bnexp.optim.uncompiled import bare_step
from bnexp.training.answers import num_correct, wide
from bnexp.training.settings import Settings


class Step:
    """Forward, backward, update; losses and correct counts wait on the device until an evaluation fetches them.

    It does the same to the same tensors each time it is called, and Python keeps no count of that: so a CUDA graph of
    one call stands for all.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        noise: GaussianNoise,
        settings: Settings,
        device: torch.device,
        max_steps: int,
    ) -> None:
        self.forward = compiled(model) if settings.compile else model
        self.update = bare_step(optimizer)
        self.zero_grad = optimizer.zero_grad
        self.loss = loss
        self.noise = noise
        self.gradient_clip = settings.gradient_clip
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.autocast = autocast(settings, device)
        self.losses = torch.zeros(max_steps, device=device)
        self.num_correct = torch.zeros((), dtype=wide(device), device=device)
        self.num_steps = torch.zeros(1, dtype=torch.int64, device=device)

    def __call__(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on one batch: inputs (B, …), and labels (B,) or probabilities (B, K) of which the largest counts."""
        with self.noise.on_weights():
            with self.autocast:
                logits = self.forward(self.noise.on_input(inputs)).float()
                loss = self.loss(logits, targets)
            loss.backward()
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.gradient_clip)
        self.noise.on_gradients_()  # behind the clipping, which would change its strength
        self.update()
        self.zero_grad(set_to_none=True)
        self.losses.index_copy_(0, self.num_steps, loss.detach().view(1))
        labels = targets if targets.dim() == 1 else targets.argmax(1)
        self.num_correct += num_correct(logits.detach(), labels)
        self.num_steps += 1

    def fetch(self) -> tuple[list[float], float]:
        """Return the loss of each step since the last call, and the number of correct answers; start counting anew."""
        losses, num_correct = self.losses[: int(self.num_steps)].tolist(), float(self.num_correct)
        self.num_steps.zero_()
        self.num_correct.zero_()
        return losses, num_correct


def compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the forward pass as ``torch.compile`` makes it, at the first call; its parameters are the model's."""
    found: Callable[[Tensor], Tensor] = torch.compile(model)
    return found


def autocast(settings: Settings, device: torch.device) -> torch.autocast:
    """Return the context of forward passes: bfloat16 where ``training.precision=bf16``, else as is."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bf16")
