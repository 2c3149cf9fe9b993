"""The answer of a study in two sentences, made from its verdicts by rule, and what to keep in mind with it.

The first sentence counts the verdicts. The second gives the estimate of the claim that was declared first; where none
was declared, the largest difference from the baseline, as a thing found by looking.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from bnexp.analysis.few_examples import few_examples, of_metric
from bnexp.analysis.metrics import difference_range
from bnexp.analysis.statistics.difference import difference
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.verdict import EXPLORATORY_BELOW, Verdict, seeds_in_words
from bnexp.report.numbers import accuracy, general, interval, minus, points
from bnexp.report.outcome import Outcome
from bnexp.studies.conduct import status

METRIC = "test/accuracy"
STATUSES = ("supported", "contradicted", "undecided")


def answer(outcome: Outcome) -> tuple[str, str]:
    """Return the two sentences."""
    if not any(arm.runs for arm in outcome.arms):
        return "No run has finished.", "There is nothing to judge yet."
    if not outcome.verdicts:
        return "No claim was declared, so nothing is judged.", _largest_difference(outcome)
    return _count(outcome.verdicts), _first(outcome.verdicts)


def cautions(outcome: Outcome) -> list[str]:
    """Return what limits the answer: few seeds, runs without an answer, diverged runs."""
    lines = []
    counts = [len(arm.runs) for arm in outcome.arms if arm.runs]
    if counts and min(counts) < EXPLORATORY_BELOW:
        n = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        seeds = "seed" if n == "1" else "seeds"
        lines.append(f"Exploratory: {n} {seeds} an arm; a claim wants {EXPLORATORY_BELOW} or more.")
    if outcome.plan.study.target_caution:
        lines.append(f"Exploratory: {outcome.plan.study.target_caution}; so are the verdicts that rest on it.")
    if outcome.plan.study.no_target:
        lines.append(f"Times to target are not judged: {outcome.plan.study.no_target}.")
    finished = {run.path: run for arm in outcome.arms for run in arm.runs}
    jobs = outcome.plan.jobs
    lost = Counter(_state(status(job)) for job in jobs if job.path not in finished)
    if lost:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(lost.items()))
        lines.append(
            f"{lost.total()} of {len(jobs)} runs have no answer ({kinds}) and are not part of any number here."
        )
    diverged = sum(run.status == "diverged" for run in finished.values())
    if diverged:
        lines.append(
            f"{diverged} of {len(finished)} finished runs diverged: each counts with the accuracy it ended at, "
            "and as never reaching the target unless it had."
        )
    unscored = sum(run.metrics[METRIC] is None for run in finished.values())
    if unscored:
        lines.append(
            f"{unscored} of {len(finished)} finished runs have no score, as outputs of their networks are not finite "
            "numbers: their arms have no mean, and a claim about it is undecided."
        )
    lines += [
        f"{line[0].upper()}{line[1:]}."
        for line in few_examples(of_metric((run.result for run in finished.values()), METRIC))
    ]
    return lines


def listed(numbers: Iterable[int]) -> str:
    """Write rising numbers with runs of three or more drawn together: 1, 2, 4–10."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(f"{group[0]}–{group[-1]}" if len(group) > 2 else ", ".join(map(str, group)) for group in groups)


def _count(verdicts: Sequence[Verdict]) -> str:
    if len(verdicts) == 1:
        return f"The one claim is {verdicts[0].status}."
    parts = []
    for name in STATUSES:
        numbers = [number for number, verdict in enumerate(verdicts, 1) if verdict.status == name]
        if len(numbers) == len(verdicts):
            return f"All {len(verdicts)} claims are {name}."
        if numbers:
            parts.append(f"{len(numbers)} {'is' if len(numbers) == 1 else 'are'} {name} ({listed(numbers)})")
    return f"Of the {len(verdicts)} claims {', '.join(parts[:-1])} and {parts[-1]}."


def _first(verdicts: Sequence[Verdict]) -> str:
    verdict = verdicts[0]
    found = verdict.claim.estimate
    name = "It" if len(verdicts) == 1 else "The first"
    if math.isnan(found.value):
        return f"{name} says “{verdict.claim.name}” and is {verdict.status}: {verdict.finding}."
    sentence = f"{name} says “{verdict.claim.name}” and is {verdict.status}: "
    made = "" if found.note else f"; {found.method}, n = {found.runs}"
    sentence += (
        f"claimed is {minus(str(verdict.claim))}, found {general(found.value)} ({_in_words(found, general)}{made})"
    )
    if verdict.seeds_needed is not None:
        sentence += f"; {seeds_in_words(verdict.seeds_needed)} seeds an arm would tell"
    return sentence + "."


def _largest_difference(outcome: Outcome) -> str:
    baseline = outcome.baseline
    scored = [arm for arm in outcome.different_arms if outcome.evidence.is_complete(arm.label, METRIC)]
    others = [
        arm
        for arm in scored
        if not outcome.is_baseline(arm.label) and outcome.evidence.is_same_data(arm.label, baseline.label)
    ]
    if not scored:
        return "No arm has a mean test accuracy: each has a run without a score."
    if not others or not baseline.runs or not outcome.evidence.is_complete(baseline.label, METRIC):
        arm = scored[0]
        found = outcome.mean(arm.label)
        return f"The mean test accuracy of {arm.label} is {accuracy(found.value)} ({_in_words(found, accuracy)})."
    values = {arm.label: outcome.values(arm.label) for arm in others}
    resolution = outcome.evidence.resolution(baseline.label, METRIC)
    reference = outcome.values(baseline.label)
    bounds = difference_range(METRIC)
    differences = {label: difference(found, reference, resolution).within(*bounds) for label, found in values.items()}
    label = max(differences, key=lambda name: abs(differences[name].value))
    found = differences[label]
    return (
        f"The largest difference of test accuracy from {baseline.label} is {points(found.value)} ({label}; "
        f"{_in_words(found, points)}); it was picked after the runs, so it is something to look into and not a finding."
    )


def _in_words(found: Estimate, write: Callable[[float], str]) -> str:
    return f"no interval: {found.note}" if found.note else f"95 % interval {interval(found, write)}"


def _state(name: str) -> str:
    return "damaged" if name in ("done", "diverged") else name
