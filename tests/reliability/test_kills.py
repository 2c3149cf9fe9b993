"""A run that is killed at random, again and again, ends with the bits of one that was not."""

import random
import time

import pytest
from tests.reliability.forked import KILLED, exit_code, start
from tests.reliability.small import IMAGES, assert_same_end, composed, only_run, train, with_seed

from bnexp.analysis.states import find_states

NORMS = (
    *("norm=none", "norm=batch", "norm=layer", "norm=instance", "norm=group norm.num_groups=2", "norm=weight"),
    *("norm=spectral", "norm=noisy_batch", "norm=ghost_batch", "norm=filter_response", "norm=rms"),
)
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "nadam", "asgd", "adagrad", "adamax")
SCHEDULES = ("constant", "cosine schedule.warmup=0.1", "one_cycle", "step")
AUGMENTATIONS = ("none", "crop_flip augment.padding=1", "cutout", "mixup")
LONG = (
    "dataset.subset=0.5",
    "training.epochs=5",
    "training.batch_size=64",
    "training.eval_every=0.4",
    "model.dropout=0.2",
)


def arm(draws):
    """A norm, an optimizer, a schedule and an augmentation; and noise, whose generators have a state."""
    norm, optimizer, schedule, augmentation = map(draws.choice, (NORMS, OPTIMIZERS, SCHEDULES, AUGMENTATIONS))
    words = f"{norm} optimizer={optimizer} schedule={schedule} augment={augmentation} noise.input=0.05"
    return with_seed(composed(*IMAGES, *LONG, *words.split()), draws.randrange(100))


def survive(folder, one, num_kills, draws):
    """Train below ``folder`` with so many kills; return how many of them came before the run's end."""
    undisturbed = train(folder / "undisturbed", one)
    assert undisturbed["status"] == "done"
    inside = 0
    for _ in range(num_kills):
        process = start(train, folder / "killed", one)
        while process.is_alive() and not list((folder / "killed").glob("*/*/.owner.json")):
            time.sleep(0.001)
        process.join(draws.uniform(0, undisturbed["seconds"]["total"]))
        process.kill()
        if exit_code(process) == KILLED:
            states = find_states([folder / "killed"])
            assert [state.status for state in states] in (["interrupted"], ["done"])
            inside += states[0].status == "interrupted"
    result = train(folder / "killed", one)
    assert result["status"] == "done"
    assert_same_end(folder / "killed", folder / "undisturbed")
    assert not list(only_run(folder / "killed").path.glob(".*.part"))
    return inside


def test_runs_that_are_killed_at_twenty_random_moments_end_with_the_same_bits(tmp_path):
    inside = 0
    for number in range(5):
        draws = random.Random(number)
        inside += survive(tmp_path / str(number), arm(draws), 4, draws)
    assert inside >= 5  # or hardly one hit


@pytest.mark.slow
@pytest.mark.parametrize("number", range(100, 140))
def test_two_hundred_kills_change_no_bit(tmp_path, number):
    draws = random.Random(number)
    one = arm(draws)
    # A run may come to its end before its first kill: then it is no test, and there is another attempt.
    assert any(survive(tmp_path / str(attempt), one, 5, draws) > 0 for attempt in range(4))
