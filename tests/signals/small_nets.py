"""Networks small enough for a full Hessian, in float64, and a batch for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.nn import norms
from bnexp.nn.activation import marked
from bnexp.nn.noise import Dropout
from bnexp.nn.statistics import batch_statistics
from bnexp.signals.objective import Objective

BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def net(norm: norms.Norm = BATCH, dropout: float = 0.0) -> nn.Sequential:
    """Rows (N, 3) to 2 logits over two hidden layers of tanh units, with a norm and dropout behind the first."""
    torch.manual_seed(0)
    first, tanh = norm.weight(nn.Linear(3, 4)), marked(nn.Tanh)
    layers = [first, norm.features(4, False), tanh(), Dropout(dropout), nn.Linear(4, 3), tanh(), nn.Linear(3, 2)]
    return nn.Sequential(*layers).double()


def batch(num_examples: int = 12) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(num_examples, 3, generator=draws, dtype=torch.float64)
    return inputs, (inputs.sum(1) > 0).long()


def objective(model: nn.Module) -> Objective:
    return Objective(model, F.cross_entropy, *batch())


def as_function(model: nn.Module):  # type: ignore[no-untyped-def]
    """The loss on :func:`batch` as a pure function of one vector of all parameters, and that vector."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    inputs, labels = batch()

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        values = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return F.cross_entropy(call(model, values, inputs), labels)

    return loss, torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def call(model: nn.Module, values: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """The outputs in training mode at these parameters, for torch.func, which suffers no running averages."""
    with batch_statistics(model):
        outputs: Tensor = torch.func.functional_call(model.train(), values, (inputs,))
    return outputs


class Bowl(nn.Module):
    """The quadratic ½ (θ − θ₀)ᵀ H (θ − θ₀) as a network: inputs and targets play no part."""

    def __init__(self, hessian: Tensor, start: Tensor) -> None:
        super().__init__()
        self.hessian = hessian
        self.theta = nn.Parameter(start.clone())

    def forward(self, _: Tensor) -> Tensor:
        return self.theta @ self.hessian @ self.theta / 2


def bowl(*eigenvalues: float) -> tuple[Objective, Tensor, Tensor]:
    """An objective with a Hessian of these eigenvalues, the Hessian, and where it stands."""
    draws = torch.Generator().manual_seed(2)
    num = len(eigenvalues)
    basis, _ = torch.linalg.qr(torch.randn(num, num, generator=draws, dtype=torch.float64))
    hessian = basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T
    start = torch.randn(num, generator=draws, dtype=torch.float64)
    return Objective(Bowl(hessian, start), lambda loss, _: loss, *batch()), hessian, start
