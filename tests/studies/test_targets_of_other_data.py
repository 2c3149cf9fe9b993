"""A target holds for the data that it was declared for, and one that was chosen after the results is marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bnexp.report.outcome import Outcome
from bnexp.report.write import write_report
from bnexp.studies.conduct import conduct, missing_jobs
from bnexp.studies.definition import parse_study
from bnexp.studies.plan import Plan, make_plan
from bnexp.studies.record import read_evidence, write_plan, write_results
from bnexp.studies.show import print_outcome
from bnexp.studies.verdicts import verdicts

NODE: dict[str, Any] = {
    "question": "?",
    "base": ["dataset=two_features", "dataset.num_examples=200", "model=mlp", "model.width=4", "training.epochs=2"],
    "arms": {"one": ["norm=none"], "two": ["norm=batch"]},
    "baseline": "one",
    "seeds": 2,
    "target": {"value": 0.9},
    "claims": [
        {"text": "faster", "kind": "time_ratio", "a": "two", "b": "one", "unit": "steps", "high": 0.7},
        {"text": "better", "kind": "difference", "a": "two", "b": "one", "metric": "test/accuracy", "low": 0.0},
    ],
    "settings": {"noisy": ["dataset.noise=0.5", "target=0.8"]},
}
OTHER_DATA = ("dataset=brightness", "dataset.noise=0.5", "dataset.num_examples=300", "dataset.subset=0.5")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def make(*words: str, **changes: Any) -> Plan:
        return make_plan(parse_study("s", "", NODE | changes), words)

    return make


def train(plan: Plan) -> None:
    from bnexp.experiment import prepare
    from bnexp.run import run
    from bnexp.training.progress import Silence

    write_plan(plan)
    conduct(
        missing_jobs(plan), lambda jobs: [run(prepare(*j.composed), Silence)["status"] for j in jobs], lambda _: None
    )


def judge(plan: Plan) -> tuple[dict[str, Any], str]:
    """Judge what is there, as ``bnexp study`` does; return ``verdicts.json`` and the report."""
    write_plan(plan)
    evidence, damaged = read_evidence(plan)
    found = verdicts(plan.study.claims, evidence)
    write_results(plan, evidence, found)
    write_report(Outcome(plan, evidence, found, damaged))
    print_outcome(plan, evidence, found, {})
    content: dict[str, Any] = json.loads((plan.folder / "verdicts.json").read_text())
    return content, (plan.folder / "report.md").read_text()


@pytest.mark.parametrize("word", OTHER_DATA)
def test_other_data_drop_a_declared_target_and_say_so(plan, word: str) -> None:
    made = plan(word)
    assert made.study.target is None
    assert made.study.no_target == (
        f"the target val/accuracy 0.9 was declared for dataset=two_features, and the words ask for {word}; add target=…"
    )


@pytest.mark.parametrize("word", ["training.epochs=1", "model.width=8", "dataset.scaling=raw", "training.threads=1"])
def test_other_words_leave_it(plan, word: str) -> None:
    assert plan(word).study.target.value == 0.9


def test_a_target_of_ones_own_is_taken_and_one_from_the_baseline_adapts(plan) -> None:
    assert plan("dataset.noise=0.5", "target=0.8").study.target.value == 0.8
    relative = {"metric": "val/loss", "from_baseline": True}
    assert plan("dataset.noise=0.5", target=relative).study.target.value is None
    assert plan("setting=noisy").study.target.value == 0.8  # the file says so


def test_claims_that_need_it_are_not_judged_and_the_others_are(plan, capsys: pytest.CaptureFixture[str]) -> None:
    made = plan("dataset.noise=0.5", "seeds=2")
    train(made)
    content, report = judge(made)
    faster, better = content["verdicts"]
    assert (content["target"], faster["status"], faster["interval"]) == (None, "undecided", [None, None])
    assert faster["note"].startswith("not judged: the target val/accuracy 0.9 was declared for dataset=two_features")
    assert "interval -inf" not in faster["explanation"]
    assert better["interval"] != [None, None]
    out = capsys.readouterr().out
    assert "no target: the target val/accuracy 0.9" in out
    assert "No target: the target val/accuracy 0.9 was declared for" in report


def test_a_target_chosen_after_the_results_is_marked_and_overwrites_nothing(
    plan, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = plan()
    train(declared)
    content, report = judge(declared)
    assert content["exploratory"] is None
    assert "chosen after results" not in report
    before = {file: file.read_bytes() for file in declared.folder.rglob("*") if file.is_file()}
    capsys.readouterr()

    chosen = plan("target=0.6")
    assert chosen.folder != declared.folder
    for _ in range(2):  # the second time, too
        content, report = judge(plan("target=0.60"))
        faster, better = content["verdicts"]
        assert content["exploratory"] == "the target was chosen after results were seen"
        assert faster["exploratory"] == content["exploratory"]
        assert "exploratory: the target was chosen after results were seen" in faster["explanation"]
        assert better["exploratory"] is None
        assert "Exploratory: the target was chosen after results were seen" in report
        out = capsys.readouterr().out
        assert "(exploratory)" in out
        assert "exploratory: the target was chosen after results were seen" in out
    assert before == {file: file.read_bytes() for file in declared.folder.rglob("*") if file.is_file()}


def test_a_target_asked_for_before_any_result_is_not_marked_then_or_later(plan) -> None:
    train(plan("target=0.6"))
    content, _ = judge(plan("target=0.6"))
    assert content["exploratory"] is None
    assert content["target"]["value"] == 0.6
    assert judge(plan("target=0.7"))[0]["exploratory"]


def test_the_declared_target_typed_once_more_is_the_declared_one(plan) -> None:
    declared = plan()
    train(declared)
    again = plan("target=0.9")
    assert (again.folder, again.study.target_caution) == (declared.folder, "")
    wide = plan("setting=noisy", "target=0.8")
    assert (wide.folder, wide.study.target_caution) == (plan("setting=noisy").folder, "")


def test_the_declared_number_for_other_data_is_another_target(plan) -> None:
    train(plan("dataset.noise=0.5"))
    assert plan("dataset.noise=0.5", "target=0.9").study.target_caution
