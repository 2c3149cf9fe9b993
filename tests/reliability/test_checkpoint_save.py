"""A checkpoint is old or new, never half: whatever operation of a save a process dies before, in or after."""

import pytest
import torch
from tests.reliability.faults import Operations, die_after, die_before, die_half_way, injected
from tests.reliability.forked import KILLED, exit_code, start

from bnexp.atomic import remove_leftovers
from bnexp.training.checkpoint import load_checkpoint, save_checkpoint

OF_A_SAVE = ["open", "write", "fsync", "replace", "replace", "fsync"]
OF_THE_FIRST = ["open", "write", "fsync", "replace", "fsync"]  # there is none before that had to be kept
NUM_SAVES = 4


def state(number):
    return {"number": number, "weight": torch.full((100, 100), float(number))}


def save_again_and_again(folder, operations):
    with injected(operations):
        for number in range(1, NUM_SAVES + 1):
            save_checkpoint(folder / "checkpoint.pt", state(number), folder / "previous.pt")


def last_state(folder):
    """The state that a run would go on from; 0 for none."""
    there = [path for path in (folder / "checkpoint.pt", folder / "previous.pt") if path.exists()]
    return load_checkpoint(there[0])["number"] if there else 0


def test_a_save_has_the_operations_that_are_tried_below(tmp_path):
    operations = Operations()
    save_again_and_again(tmp_path, operations)
    assert operations.seen == OF_THE_FIRST + OF_A_SAVE * (NUM_SAVES - 1)


@pytest.mark.parametrize("die", [die_before, die_half_way, die_after])
def test_a_process_killed_at_any_operation_of_any_save_leaves_a_checkpoint_that_loads(tmp_path, die):
    operations = [
        (number, name) for number in range(1, NUM_SAVES + 1) for name in (OF_THE_FIRST if number == 1 else OF_A_SAVE)
    ]
    processes = []
    for n in range(1, len(operations) + 1):
        (tmp_path / str(n)).mkdir()
        processes.append(start(save_again_and_again, tmp_path / str(n), Operations(n, die)))
    for n, ((number, _), process) in enumerate(zip(operations, processes, strict=True), 1):
        assert exit_code(process) == KILLED
        folder = tmp_path / str(n)
        assert last_state(folder) in (number - 1, number)
        remove_leftovers(folder)
        assert {path.name for path in folder.iterdir()} <= {"checkpoint.pt", "previous.pt"}
    assert last_state(tmp_path / "1") == 0
    assert last_state(tmp_path / str(len(operations))) == NUM_SAVES
