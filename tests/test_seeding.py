"""Streams of random numbers: reproducible for good, and unrelated to each other."""

import pytest
import torch

from bnexp.seeding import derive_seed, generator

PURPOSES = ["split", "labels", "init", "order", "augment", "noise"]


@pytest.mark.parametrize(
    ("arguments", "seed"),
    [  # printf '0/split' | sha256sum | cut -c-16, less its last bit
        ((0, "split"), 0x68A30A9F8B07670A >> 1),
        ((1, "order", 7), 0xA26C9A6F3451882D >> 1),
    ],
)
def test_a_derived_seed_is_the_start_of_a_sha_256_on_every_machine(arguments, seed):
    assert derive_seed(*arguments) == seed


def test_every_seed_purpose_and_epoch_has_a_stream_of_its_own():
    seeds = [
        derive_seed(seed, purpose, *epoch)
        for seed in range(20)
        for purpose in PURPOSES
        for epoch in [(), *((index,) for index in range(50))]
    ]
    assert len(set(seeds)) == len(seeds) == 20 * len(PURPOSES) * 51
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_digits_do_not_run_from_one_argument_into_the_next():
    assert derive_seed(1, "order", 1, 23) != derive_seed(1, "order", 12, 3)
    assert derive_seed(1, "order", 1) != derive_seed(11, "order")


def test_the_same_arguments_give_the_same_numbers_whatever_was_drawn_before():
    first = torch.rand(100, generator=generator(3, "augment", 5))
    torch.rand(17)
    torch.rand(17, generator=generator(3, "augment", 4))
    assert torch.equal(first, torch.rand(100, generator=generator(3, "augment", 5)))


def test_streams_are_uncorrelated():
    streams = [(seed, purpose, epoch) for seed in (0, 1) for purpose in PURPOSES for epoch in (0, 1)]
    draws = torch.stack([torch.randn(10_000, generator=generator(*stream)) for stream in streams])
    correlations = torch.corrcoef(draws)[~torch.eye(len(streams), dtype=torch.bool)]
    assert correlations.abs().max() < 0.05  # 5 standard deviations, 1/√10,000 each


def test_pytorchs_own_stream_is_left_alone():
    before = torch.get_rng_state()
    torch.rand(10, generator=generator(0, "noise"))
    assert torch.equal(torch.get_rng_state(), before)
