"""The commands that repeat a study or one of its runs, as they can be given to a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from bnexp.report.outcome import Outcome


def study_command(outcome: Outcome) -> str:
    """Return the line that repeats the study, with the seeds and the target that it had."""
    plan = outcome.plan
    target = plan.study.target
    own = [f"seeds={plan.study.seeds}"]
    own += [f"setting={plan.setting}"] if plan.setting else []
    own += [f"target={target.value}"] if target is not None and target.value is not None else []
    folders = [word for folder in outcome.user_dirs for word in ("--config-dir", str(folder))]
    overrides = [word for word in plan.overrides if word.partition("=")[0].lstrip("+") != "rerun"]
    return joined(["bnexp", "study", plan.study.name, *own, *overrides, *folders])


def train_commands(outcome: Outcome) -> list[tuple[str, str]]:
    """Return, for each set of runs, its arm and the line that trains the run of seed 0."""
    folders = [word for folder in outcome.user_dirs for word in ("--config-dir", str(folder))]
    return [
        (item.arm.label, joined(["bnexp", "train", *item.jobs[0].words, *folders]))
        for item in outcome.plan.arms
        if item.arm.label not in outcome.twins
    ]


def joined(words: Iterable[str]) -> str:
    """Quote words for a shell and join them; the line stays a line whatever is in them."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    # $'…' of bash and zsh, in which ascii()'s escapes mean what they say.
    letters = (letter if letter.isprintable() else ascii(letter)[1:-1] for letter in word.replace("\\", "\\\\"))
    return "$'" + "".join(letters).replace("'", "\\'") + "'"
