"""Eigenvalues against full Hessians, matrices of known spectrum, and ARPACK."""

from __future__ import annotations

import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from tests.signals.small_nets import BATCH, as_function, bowl, net, objective
from torch import Tensor, nn

from bnexp.nn import norms
from bnexp.signals.curvature import curvature, lanczos, spectrum


def symmetric(eigenvalues: Tensor) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    num = len(eigenvalues)
    basis, _ = torch.linalg.qr(torch.randn(num, num, generator=draws, dtype=torch.float64))
    return basis @ torch.diag(eigenvalues) @ basis.T


def hessian(model: nn.Module) -> Tensor:
    """The full Hessian, row by row, from differences of gradients."""
    loss, start = as_function(model)
    slope = torch.func.grad(loss)
    steps = 1e-5 * torch.eye(len(start), dtype=start.dtype)
    return torch.stack([(slope(start + step) - slope(start - step)) / 2e-5 for step in steps])


NORMS = {
    "none": norms.none(),
    "batch": BATCH,
    "layer": norms.layer(eps=1e-5, affine=True, input=False),
    "rms": norms.rms(eps=1e-5, affine=True, input=False),
    "weight": norms.weight(),
    "centered_weight": norms.centered_weight(),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_network_has_the_extreme_eigenvalues_of_its_full_hessian(name: str) -> None:
    model = net(NORMS[name])
    exact = torch.linalg.eigvalsh(hessian(model))
    found = curvature(objective(model), num_steps=len(exact), num_vectors=1)
    assert found.largest == pytest.approx(float(exact[-1]), rel=1e-6)
    assert found.smallest == pytest.approx(float(exact[0]), rel=1e-6)


def test_torch_func_has_the_same_hessian() -> None:
    model = net(norms.none())
    loss, start = as_function(model)
    slope = torch.func.grad(loss)
    exact = torch.func.vmap(lambda v: torch.func.vjp(slope, start)[1](v)[0])(torch.eye(len(start), dtype=start.dtype))
    assert torch.allclose(exact, hessian(model), atol=1e-8)


def test_the_negative_fraction_is_near_that_of_the_full_hessian() -> None:
    model = net(norms.none())
    exact = torch.linalg.eigvalsh(hessian(model))
    found = curvature(objective(model), num_steps=len(exact), num_vectors=60)
    fraction = float(-exact.clamp(max=0).sum() / exact.abs().sum())
    assert found.negative_fraction == pytest.approx(fraction, abs=0.05)


def test_a_bowl_curves_up_and_a_saddle_of_two_equal_curvatures_half_down() -> None:
    up, _, _ = bowl(3.0, 2.0, 1.0)
    assert curvature(up, num_steps=3, num_vectors=2).negative_fraction == pytest.approx(0, abs=1e-12)
    even = symmetric(torch.tensor([2.0, -2.0] * 100, dtype=torch.float64))
    found = spectrum(lambda v: even @ v, even[0], num_steps=10, num_vectors=20)
    assert found.negative_fraction == pytest.approx(0.5, abs=0.03)


def test_few_steps_find_the_eigenvalues_that_stand_out() -> None:
    # The spectrum of a trained network: a few large eigenvalues, and hundreds about 0.
    bulk = torch.linspace(-0.3, 0.3, 500, dtype=torch.float64)
    matrix = symmetric(torch.cat([bulk, torch.tensor([4.0, 9.0, -2.0], dtype=torch.float64)]))
    found = spectrum(lambda v: matrix @ v, matrix[0], num_steps=20, num_vectors=1)
    operator = LinearOperator(matrix.shape, matvec=lambda v: matrix.numpy() @ v, dtype=float)
    smallest, largest = sorted(eigsh(operator, k=2, which="BE", return_eigenvectors=False))
    assert found.largest == pytest.approx(largest, rel=1e-4)
    assert found.smallest == pytest.approx(smallest, rel=1e-4)


def test_estimates_never_leave_the_spectrum() -> None:
    values = torch.linspace(-1, 1, 300, dtype=torch.float64)
    matrix = symmetric(values)
    found = spectrum(lambda v: matrix @ v, matrix[0], num_steps=5, num_vectors=3)
    assert -1 <= found.smallest < found.largest <= 1


def test_lanczos_stops_where_the_action_of_the_matrix_is_exhausted() -> None:
    identity = torch.eye(50, dtype=torch.float64) * 3
    start = torch.full((50,), 50**-0.5, dtype=torch.float64)
    diagonal, beside = lanczos(lambda v: identity @ v, start, num_steps=10)
    assert diagonal.tolist() == pytest.approx([3.0])
    assert len(beside) == 0


def test_a_flat_loss_has_no_curvature_and_no_fraction() -> None:
    flat, _, _ = bowl(0.0, 0.0)
    found = curvature(flat, num_steps=2, num_vectors=1)
    assert (found.largest, found.smallest) == (0, 0)
    assert found.negative_fraction != found.negative_fraction


def test_a_hessian_that_is_not_finite_gives_no_numbers() -> None:
    found = spectrum(lambda v: v * torch.nan, torch.ones(4), num_steps=3, num_vectors=1)
    assert found.largest != found.largest
