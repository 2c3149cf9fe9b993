"""The table of invariances of Ba 2016 (table 1), cell by cell, for a dense layer.

Each transformation must leave the normalized outputs of the norms under ``invariant`` as they are, and change those of
the others. The table holds for ε = 0; 1e-30 is lost beside every variance here.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bnexp.nn import norms

NUM_EXAMPLES, NUM_INPUTS, NUM_UNITS = 6, 5, 4
SHAPE = {"eps": 1e-30, "affine": True, "input": False}
NORMS = {
    "batch": norms.batch(momentum=0.1, **SHAPE),
    "weight": norms.weight(),
    "layer": norms.layer(**SHAPE),
}


def outputs(name, weight, x):
    """Normalize x Wᵀ with ``name``; weight norm keeps its lengths g = 1."""
    norm = NORMS[name]
    layer = nn.Linear(NUM_INPUTS, NUM_UNITS, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
    if name == "weight":
        norm.weight(layer)
        layer.parametrizations.weight.original0.data.fill_(1)
    return norm.features(NUM_UNITS, False).double()(layer(x)).detach()


def rescale_weight_matrix(weight, x, factor, offset):
    return factor * weight, x


def recenter_weight_matrix(weight, x, factor, offset):
    return weight + offset, x


def rescale_weight_vector(weight, x, factor, offset):
    return torch.cat([factor * weight[:1], weight[1:]]), x


def rescale_dataset(weight, x, factor, offset):
    return weight, factor * x


def recenter_dataset(weight, x, factor, offset):
    return weight, x + offset


def rescale_single_case(weight, x, factor, offset):
    return weight, torch.cat([factor * x[:1], x[1:]])


TABLE = [
    (rescale_weight_matrix, {"batch", "weight", "layer"}),
    (recenter_weight_matrix, {"layer"}),
    (rescale_weight_vector, {"batch", "weight"}),
    (rescale_dataset, {"batch", "layer"}),
    (recenter_dataset, {"batch"}),
    (rescale_single_case, {"layer"}),
]


@pytest.mark.parametrize(("transform", "invariant"), TABLE, ids=[row[0].__name__ for row in TABLE])
@pytest.mark.parametrize("name", list(NORMS))
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), factor=st.floats(1.5, 100))
def test_the_outputs_change_exactly_where_the_table_says(transform, invariant, name, seed, factor):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(NUM_UNITS, NUM_INPUTS, dtype=torch.float64, generator=generator)
    x = torch.randn(NUM_EXAMPLES, NUM_INPUTS, dtype=torch.float64, generator=generator)
    offset = 1 + torch.rand(NUM_INPUTS, dtype=torch.float64, generator=generator)
    before = outputs(name, weight, x)
    after = outputs(name, *transform(weight, x, factor, offset))
    if name in invariant:
        torch.testing.assert_close(after, before, rtol=1e-7, atol=1e-7)
    else:
        assert (after - before).abs().max() > 1e-3
