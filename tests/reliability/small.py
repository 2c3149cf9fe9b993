"""The smallest runs that have everything: a checkpoint, rows, events; and what they recorded."""

from functools import cache

import torch
from tests.training.small_run import assert_same_state, without_seconds

from bnexp.config.compose import Composed, compose_run
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder, read_rows
from bnexp.training.seal import read_result

ROWS = ("dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.width=8", "norm=batch")
IMAGES = ("model.width=4", "training.batch_size=128")
QUICK = ("training.epochs=4", "training.device=cpu", "training.threads=1")


@cache
def composed(*words):
    """A run's configuration. Hydra takes twice as long as the run, so forked processes are handed what it made."""
    return compose_run([*QUICK, *words])


def with_seed(one, seed):
    """The same run with another seed."""
    return Composed(one.config | {"seed": seed}, one.choices)


def train(folder, one, reporting=Silence):
    """Train the composed run ``one`` below ``folder``, or go on with it; return the result."""
    torch.set_num_threads(1)
    return run(prepare(one.config | {"output_dir": str(folder)}, one.choices), reporting)


def only_run(folder):
    """The one run folder below ``folder``."""
    [config] = folder.glob("*/*/config.yaml")
    return RunFolder(config.parent)


def rows(folder):
    """The recorded evaluations of the one run below ``folder``, without their times."""
    return [without_seconds(row) for row in read_rows(only_run(folder).metrics)]


def assert_same_end(one, other):
    """The runs below two folders ended with the same bits: weights, buffers, optimizer, generators, counters, rows."""
    found, expected = (load_checkpoint(only_run(folder).checkpoint) for folder in (one, other))
    for state in (found, expected):
        for key in ("seconds_train", "seconds_total", "rows", "parts"):  # the rows' checksum is one of their times too
            del state["progress"][key]
    assert_same_state(found, expected)
    assert rows(one) == rows(other)
    results = [read_result(only_run(folder)) for folder in (one, other)]
    assert results[0]["status"] == results[1]["status"]
    assert results[0]["metrics"] == results[1]["metrics"]
