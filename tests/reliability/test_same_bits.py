"""The same configuration gives the same bits: in another process, and stopped and gone on with."""

from contextlib import suppress
from itertools import cycle, product

import pytest
import torch
from tests.reliability.forked import call, exit_code, start
from tests.reliability.small import IMAGES, assert_same_end, composed, train

from bnexp.config.folder import choices, config_dir
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.training.progress import Silence

NORMS, INITS, OPTIMIZERS = (list(choices([config_dir()], group)) for group in ("norm", "init", "optimizer"))
TINY = (*IMAGES, "dataset.subset=0.2", "training.epochs=2", "training.eval_every=0.5", "training.batch_size=64")


class Stopped(Silence):
    """Ctrl-C at the third evaluation, in the second epoch."""

    def __init__(self, name):
        self.num_rows = 0

    def row(self, row):
        self.num_rows += 1
        if self.num_rows == 3:
            raise KeyboardInterrupt


def stop(folder, one):
    """Train until the third evaluation, or to the end where the run diverges before."""
    with suppress(KeyboardInterrupt):
        train(folder, one, Stopped)


def assert_same_bits(folder, norm, init, optimizer):
    """Here, and in two fresh processes of which the first is stopped; whether the choices work together."""
    words = [f"norm={norm}", f"init={init}", f"optimizer={optimizer}"]
    words += ["norm.num_groups=2"] * (norm in ("group", "batch_group")) + [
        "training.batch_size=full",
        "training.epochs=4",
    ] * (optimizer == "gd")
    one = composed(*TINY, *words)
    try:
        prepare(*one)
    except ConfigError:
        return False
    process = start(stop, folder / "parts", one)
    assert train(folder / "whole", one)["status"] in ("done", "diverged")
    assert exit_code(process) == 0
    assert call(train, folder / "parts", one) == 0
    assert_same_end(folder / "parts", folder / "whole")
    return True


def test_every_norm_and_every_optimizer_gives_the_same_bits_again(tmp_path):
    """Each with the next of the inits."""
    tried = set()
    for number, (norm, init, optimizer) in enumerate(zip(NORMS, cycle(INITS[3:]), OPTIMIZERS, strict=False)):
        if assert_same_bits(tmp_path / str(number), norm, init, optimizer):
            tried.add(norm)
    assert len(tried) >= len(NORMS) - 3


def rows():
    """Every pair of norm, init and optimizer: in row i of norm × init, the optimizer is shifted by both."""
    for (n, norm), (i, init) in product(enumerate(NORMS), enumerate(INITS)):
        yield norm, init, OPTIMIZERS[(n + i) % len(OPTIMIZERS)]


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_every_pair_of_norm_init_and_optimizer_gives_the_same_bits_again(tmp_path, norm):
    mine = [row for row in rows() if row[0] == norm]
    work = [row for row in mine if assert_same_bits(tmp_path / row[1], *row)]
    assert len(work) >= 5  # or this would show little


def test_the_rows_hold_every_pair():
    found = list(rows())
    assert len({(norm, optimizer) for norm, _, optimizer in found}) == len(NORMS) * len(OPTIMIZERS)
    assert len({(norm, init) for norm, init, _ in found}) == len(NORMS) * len(INITS)
    assert len({(init, optimizer) for _, init, optimizer in found}) >= len(INITS) * min(len(NORMS), len(OPTIMIZERS))


def test_deterministic_algorithms_are_asked_for_and_given_up_again(tmp_path):
    asked = []

    class Asking(Silence):
        def row(self, row):
            asked.append(torch.are_deterministic_algorithms_enabled())

    train(tmp_path / "one", composed(*TINY, "training.deterministic=true"), Asking)
    train(tmp_path / "two", composed(*TINY), Asking)
    assert asked == [True] * 4 + [False] * 4


@pytest.mark.gpu
@pytest.mark.parametrize("norm", NORMS)
def test_deterministic_runs_on_a_gpu_have_the_same_bits_or_name_the_operation(tmp_path, norm):
    words = [
        f"norm={norm}",
        *["norm.num_groups=2"] * (norm in ("group", "batch_group")),
        "augment=crop_flip",
        "augment.padding=1",
    ]
    one = composed(*TINY, *words, "training.deterministic=true", "training.device=cuda")
    results = [train(tmp_path / name, one) for name in ("one", "two")]
    if results[0]["status"] == "failed":
        assert "does not have a deterministic implementation" in results[0]["error"]
        assert results[1]["error"] == results[0]["error"]
    else:
        assert_same_end(tmp_path / "one", tmp_path / "two")
