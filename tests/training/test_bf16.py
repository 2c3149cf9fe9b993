"""The probe of bfloat16, on a CPU that has it right and on ones that do not."""

from __future__ import annotations

import pytest
import torch

from bnexp.errors import ConfigError
from bnexp.training import bf16


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    bf16.probe_bf16.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, error: float, times: float) -> None:
    """Let bfloat16 have so large a relative error, and take so many times as long."""

    def convolve(*, enabled: bool) -> tuple[list[torch.Tensor], float]:
        return [torch.full((4,), 1 + error * enabled)], times if enabled else 1.0

    monkeypatch.setattr(bf16, "_convolve", convolve)


def test_the_convolutions_of_this_machine_are_right_to_eight_bits() -> None:
    wide, _ = bf16._convolve(enabled=False)
    narrow, _ = bf16._convolve(enabled=True)
    for one, other in zip(wide, narrow, strict=True):
        assert 0 < float((one - other).norm() / one.norm()) < 2**-7


def test_a_faster_one_is_taken_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, error=0.003, times=0.6)
    assert bf16.probe_bf16() == ()


def test_a_slower_one_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, error=0.003, times=2.0)
    assert bf16.probe_bf16() == (
        "bfloat16 convolutions are slower than float32 ones on this CPU; training.precision=fp32 is faster",
    )


@pytest.mark.parametrize("error", [0.5, float("nan")])
def test_a_wrong_one_is_refused(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, error=error, times=0.6)
    with pytest.raises(ConfigError, match=r"^training\.precision=bf16: this CPU's bfloat16 convolutions are wrong"):
        bf16.probe_bf16()
