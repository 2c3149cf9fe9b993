"""The schedules against torch.optim.lr_scheduler, step by step."""

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from bnexp.optim import schedules


def torch_factors(make_scheduler, num_steps):
    """The learning rate of each step under one of PyTorch's schedulers, the optimizer's own being 1."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = make_scheduler(optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(num_steps - 1):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


def factors(schedule, num_steps, **keywords):
    return [schedule(step, num_steps, **keywords) for step in range(num_steps)]


def test_constant_is_one():
    assert factors(schedules.constant, 10, warmup=0.0) == [1.0] * 10


@pytest.mark.parametrize(("num_steps", "num_warmup"), [(10, 5), (100, 25), (64, 16)])
def test_warm_up_rises_as_linear_lr_does_and_is_through_after_its_portion(num_steps, num_warmup):
    found = factors(schedules.constant, num_steps, warmup=num_warmup / num_steps)
    expected = torch_factors(
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 1 / num_warmup, 1.0, num_warmup - 1), num_steps
    )
    assert found == pytest.approx(expected, rel=1e-12)
    assert found[num_warmup - 2] < 1
    assert found[num_warmup - 1 :] == [1.0] * (num_steps - num_warmup + 1)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 100, 137])
def test_cosine_equals_cosine_annealing_lr(num_steps):
    expected = torch_factors(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, num_steps), num_steps)
    assert factors(schedules.cosine, num_steps, warmup=0.0) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_after_a_warm_up_the_cosine_falls_over_the_steps_that_are_left():
    found = factors(schedules.cosine, 100, warmup=0.2)
    expected = torch_factors(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 80), 80)
    assert found[:20] == pytest.approx([(step + 1) / 20 for step in range(20)], rel=1e-12)
    assert found[20:] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("num_steps", "milestones"), [(100, [50, 75]), (8, [1, 2, 7]), (12, [])])
def test_step_equals_multi_step_lr(num_steps, milestones):
    expected = torch_factors(lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones, 0.1), num_steps)
    portions = [milestone / num_steps for milestone in milestones]
    found = factors(schedules.step, num_steps, milestones=portions, gamma=0.1, warmup=0.0)
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_milestone_of_so_many_percent_falls_on_that_step_of_a_hundred():
    for percent in range(1, 100):  # 0.07 · 100 and some others are not whole numbers in floating point
        found = factors(schedules.step, 100, milestones=[float(f"0.{percent:02d}")], gamma=0.5, warmup=0.0)
        assert found == [1.0] * percent + [0.5] * (100 - percent)


@pytest.mark.parametrize("num_steps", [7, 10, 100, 137])
@pytest.mark.parametrize("rise", [0.0, 0.25, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("start_division", "end_division"), [(25.0, 1e4), (3.0, 10.0)])
def test_one_cycle_equals_one_cycle_lr(num_steps, rise, start_division, end_division):
    def scheduler(optimizer):
        return lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=num_steps,
            pct_start=rise,
            div_factor=start_division,
            final_div_factor=end_division,
            cycle_momentum=False,
        )

    found = factors(schedules.one_cycle, num_steps, rise=rise, start_division=start_division, end_division=end_division)
    assert found == pytest.approx(torch_factors(scheduler, num_steps), rel=1e-9)


SCHEDULES = [
    (schedules.constant, {"warmup": 0.3}),
    (schedules.step, {"milestones": [0.5, 0.75], "gamma": 0.1, "warmup": 0.3}),
    (schedules.cosine, {"warmup": 0.3}),
    (schedules.one_cycle, {"rise": 0.3, "start_division": 25.0, "end_division": 1e4}),
    (schedules.one_cycle, {"rise": 0.5, "start_division": 25.0, "end_division": 1e4}),
]


@pytest.mark.parametrize(("schedule", "keywords"), SCHEDULES)
@pytest.mark.parametrize("num_steps", range(1, 30))
def test_trainings_of_any_length_have_factors_above_zero_and_at_most_one(schedule, keywords, num_steps):
    assert all(0 < factor <= 1 for factor in factors(schedule, num_steps, **keywords))
