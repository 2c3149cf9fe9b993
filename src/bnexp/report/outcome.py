"""All that a report is made from: the plan, what its runs say, the verdicts, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bnexp.analysis.arms import Arm
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.verdict import Verdict
from bnexp.studies.evidence import Evidence, measure
from bnexp.studies.plan import Plan
from bnexp.studies.study import Target

MOST_DRAWN = 48
"""Arms: their panes fill two screens, and take seconds to draw. Tables and files have all arms."""


@dataclass(frozen=True)
class Outcome:
    """A study whose runs have ended.

    Attributes:
        errors: a line about each run folder without an answer.
        user_dirs: the folders that ``--config-dir`` named.
    """

    plan: Plan
    evidence: Evidence
    verdicts: Sequence[Verdict]
    errors: Mapping[Path, str] = field(default_factory=dict)
    user_dirs: Sequence[Path] = ()

    @property
    def arms(self) -> list[Arm]:
        """All arms with their finished runs, in the plan's order."""
        return [self.evidence.arms[item.arm.label] for item in self.plan.arms]

    @property
    def baseline(self) -> Arm:
        """The arm that the others are compared with."""
        return self.evidence.arms[self.plan.study.baseline]

    @cached_property
    def twins(self) -> dict[str, str]:
        """Arms that are another name for the runs of an earlier arm, with that arm's label."""
        first: dict[tuple[Path, ...], str] = {}
        found = {}
        for item in self.plan.arms:
            earlier = first.setdefault(tuple(job.path for job in item.jobs), item.arm.label)
            if earlier != item.arm.label:
                found[item.arm.label] = earlier
        return found

    @property
    def different_arms(self) -> list[Arm]:
        """Arms that have a finished run, each set of runs once."""
        return [arm for arm in self.arms if arm.runs and arm.label not in self.twins]

    @property
    def drawn_arms(self) -> list[Arm]:
        """The first of the different arms, as many as a drawing can hold, and the baseline."""
        arms = self.different_arms
        return [arm for index, arm in enumerate(arms) if index < MOST_DRAWN or self.is_baseline(arm.label)]

    def is_baseline(self, label: str) -> bool:
        """Whether an arm's runs are those of the baseline."""
        baseline = self.plan.study.baseline
        return self.twins.get(label, label) == self.twins.get(baseline, baseline)

    @property
    def target(self) -> tuple[Target, float] | None:
        """The target and its value; None where there is none."""
        target, value = self.evidence.target, self.evidence.target_value
        return None if target is None or value is None else (target, value)

    def values(self, label: str, metric: str = "test/accuracy") -> list[float]:
        """Return the finite values of a metric over an arm's runs."""
        found = (measure(run)[metric] for run in self.evidence.runs[label])
        return [value for value in found if value is not None]

    def mean(self, label: str, metric: str = "test/accuracy") -> Estimate:
        """Return an arm's mean with Student's interval; unknown where a run has no finite value."""
        return self.evidence.mean(label, metric)
