"""Imported once by the process that all others here are forked from: what a run needs, so that none waits for it."""

from tempfile import TemporaryDirectory

import pytest  # noqa: F401  (a forked process looks at its parent's main module)
import torch
from tests.reliability.small import IMAGES, ROWS, composed, train

from bnexp.cli import clean, main, status  # noqa: F401
from bnexp.cli import train as command  # noqa: F401

torch.set_num_threads(1)
for words in (ROWS, IMAGES):
    with TemporaryDirectory() as folder:
        train(folder, composed(*words))
