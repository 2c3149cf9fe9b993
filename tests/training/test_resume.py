"""A run that was stopped goes on as if it had not been, bit by bit; a run that cannot go on starts anew."""

import itertools
import threading
from functools import partial

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.training.small_run import OPTIMIZERS, ROWS, Listener, assert_same_run, crop, linear, make, recorded
from torch import nn

from bnexp.data.augment import cutout, mixup
from bnexp.nn import norms
from bnexp.nn.losses import mse
from bnexp.training.record import RunFolder, read_rows

NOISY = norms.noisy_batch(max_shift=0.5, max_scale=1.25, jitter=0.1, eps=1e-5, momentum=0.1, affine=True, input=False)


@pytest.mark.parametrize(
    ("noise", "stop_row"), [({}, 2), ({"dropout": 0.3, "augmentation": crop}, 3)], ids=["plain", "dropout-crop"]
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_run_goes_on_bit_by_bit_as_if_it_had_not_stopped(tmp_path, optimizer, noise, stop_row):
    whole = make(tmp_path / "whole", optimizer=optimizer, **noise)
    expected = whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", optimizer=optimizer, listener=Listener(stop_row=stop_row), **noise).run({})
    listener = Listener()
    resumed = make(tmp_path / "parts", optimizer=optimizer, init_seed=1, listener=listener, **noise)
    outcome = resumed.run({})
    assert_same_run(resumed, whole)
    # The row was written and the checkpoint was not yet: the run goes on from the one before.
    assert listener.begun == [(6 * (stop_row - 1), 24, 8)]
    assert outcome == expected


@pytest.mark.parametrize("norm", [norms.none(), NOISY, norms.weight(), norms.spectral(n_power_iterations=1, eps=1e-12)])
def test_noise_buffers_and_reparametrized_weights_go_on_too(tmp_path, norm):
    whole = make(tmp_path / "whole", norm=norm)
    whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", norm=norm, listener=Listener(stop_row=3)).run({})
    resumed = make(tmp_path / "parts", norm=norm, init_seed=1)
    resumed.run({})
    assert_same_run(resumed, whole)


@pytest.mark.parametrize(
    "words",
    [
        {"noise": {"input": 0.1, "gradient": 0.01}},
        {"noise": {"weight": 0.1, "activation": 0.1}, "dropout": 0.3},
        {"augmentation": partial(mixup, padding=1, alpha=0.5)},
        {"augmentation": partial(cutout, padding=None, size=2), "label_smoothing": 0.1, "loss": mse},
    ],
)
def test_every_regularizer_goes_on_too(tmp_path, words):
    whole = make(tmp_path / "whole", **words)
    expected = whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", listener=Listener(stop_row=3), **words).run({})
    resumed = make(tmp_path / "parts", init_seed=1, **words)
    assert resumed.run({}) == expected
    assert_same_run(resumed, whole)
    plain = make(tmp_path / "plain")
    plain.run({})
    assert recorded(tmp_path / "plain") != recorded(tmp_path / "whole")  # it did something


class DrawsFromPyTorch(nn.Module):
    """Noise that knows of no generator, as in somebody else's plugin."""

    def forward(self, x):
        return x + 0.1 * torch.randn_like(x) if self.training else x


def test_a_model_that_draws_from_pytorchs_own_generator_goes_on_too(tmp_path):
    def model():
        return nn.Sequential(DrawsFromPyTorch(), *linear())

    whole = make(tmp_path / "whole", model=model(), dataset=ROWS)
    whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", model=model(), dataset=ROWS, listener=Listener(stop_row=2)).run({})
    resumed = make(tmp_path / "parts", model=model(), dataset=ROWS, init_seed=1)
    resumed.run({})
    assert_same_run(resumed, whole)


def test_a_run_that_is_stopped_again_and_again_between_evaluations_comes_to_the_same_end(tmp_path):
    noise = {"dropout": 0.3, "augmentation": crop, "eval_every": 0.5}
    whole = make(tmp_path / "whole", **noise)
    whole.run({})
    for stop_step in (2, 5, 8, 16, 24):
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "parts", listener=Listener(stop_step=stop_step), **noise).run({})
    resumed = make(tmp_path / "parts", **noise)
    resumed.run({})
    assert_same_run(resumed, whole)


def test_a_finished_run_is_not_trained_again_and_has_the_same_outcome(tmp_path):
    expected = make(tmp_path).run({})
    listener = Listener()
    outcome = make(tmp_path, init_seed=1, listener=listener).run({})
    assert listener.steps == []
    assert outcome == expected


@pytest.mark.parametrize("num_damaged", [1, 2])
def test_a_damaged_checkpoint_is_told_of_and_the_run_goes_on_from_the_one_before_or_anew(tmp_path, num_damaged):
    whole = make(tmp_path / "whole")
    whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", listener=Listener(stop_row=4)).run({})
    for name in ("checkpoint.pt", "checkpoint-previous.pt")[:num_damaged]:
        checkpoint = tmp_path / "parts" / name
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    listener = Listener()
    rest = make(tmp_path / "parts", listener=listener, init_seed=1 if num_damaged == 1 else 0)
    rest.run({})
    assert listener.begun == [(12 if num_damaged == 1 else 0, 24, 8)]
    (line,) = listener.lines
    assert "checkpoint.pt is damaged: its checksum does not fit; " in line
    assert line.endswith("training resumes from the checkpoint before it" if num_damaged == 1 else "starts anew")
    assert_same_run(rest, whole)


def test_a_checkpoint_of_another_run_is_not_taken(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=Listener(stop_row=3)).run({})
    listener = Listener()
    make(tmp_path, fingerprint="9876543210", listener=listener).run({})
    assert listener.begun == [(0, 24, 8)]
    assert "belongs to another run" in listener.lines[0]


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path):
    runs = {}
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        runs[name] = make(tmp_path / name, seed=seed, dropout=0.3, augmentation=crop)
        runs[name].run({})
    assert_same_run(runs["first"], runs["again"])
    assert recorded(tmp_path / "first") != recorded(tmp_path / "other")


def test_seconds_go_on_after_a_stop(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=Listener(stop_row=3)).run({})
    before = read_rows(RunFolder(tmp_path).metrics)
    resumed = make(tmp_path)
    resumed.run({})
    seconds = resumed.counts()["seconds"]
    rows = read_rows(RunFolder(tmp_path).metrics)
    assert [row["seconds"] for row in rows[:2]] == [row["seconds"] for row in before[:2]]
    assert all(one["seconds"] < other["seconds"] for one, other in itertools.pairwise(rows))
    assert seconds["total"] >= seconds["train"] == rows[-1]["seconds"]


def test_a_stopped_run_leaves_its_event_file_whole_and_no_thread(tmp_path):
    num_threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=Listener(stop_row=3)).run({})
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("val/loss")
    assert [event.step for event in events] == [6, 12, 18]
    assert threading.active_count() == num_threads


def test_one_event_file_is_left_of_a_run_however_often_it_stopped(tmp_path):
    for stop_row in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, listener=Listener(stop_row=stop_row)).run({})
    make(tmp_path).run({"norm": "batch"})
    files = sorted(path.name for path in tmp_path.iterdir())
    events = [name for name in files if name.startswith("events.out.tfevents.")]
    assert len(events) == 1
    assert files == sorted(["checkpoint.pt", "checkpoint-previous.pt", "metrics.jsonl", *events])
