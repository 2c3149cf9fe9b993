"""From a study and the user's words to jobs: every run composed and checked before the first one starts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import yaml

from bnexp import plain_yaml
from bnexp.analysis.same_data import PUBLISHED
from bnexp.config.check import Config
from bnexp.config.compose import Composed, compose_seeds
from bnexp.config.hydra_words import check_hydra_words
from bnexp.data.progress import progress
from bnexp.errors import ConfigError, did_you_mean
from bnexp.experiment import Experiment, prepare
from bnexp.files import read_bytes
from bnexp.ranges import Count, Interval, violation
from bnexp.studies.definition import target_values
from bnexp.studies.study import Arm, Study
from bnexp.training.device import choose_device
from bnexp.training.record import RunFolder, run_name

OWN_KEYS = ("seeds", "setting", "target")
"""Words about the study itself; the others are overrides of its runs, or about Hydra and the launcher."""

SEEN = "the target was chosen after results were seen"

MOST_SEEDS = 10_000
"""All runs are composed before the first one starts."""


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        words: compose it, on another machine too.
        composed: what they compose.
        path: its folder.
        fingerprint: of its run.
        num_steps: how many steps it trains if nothing stops it early.
    """

    words: tuple[str, ...]
    composed: Composed
    path: Path
    fingerprint: str
    num_steps: int


@dataclass(frozen=True)
class PlannedArm:
    """An arm with a job for each seed, and what was found out about its network and data on the way.

    Attributes:
        chance: the share of the most frequent class in the training split of the first seed: the accuracy of a network
            that has learned nothing else.
    """

    arm: Arm
    words: tuple[str, ...]
    composed: Composed
    jobs: tuple[Job, ...]
    num_parameters: int
    num_examples: Mapping[str, int]
    chance: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A study as it will be run.

    Attributes:
        study: with the seeds and the target that the user asked for.
        setting: the larger setting that was chosen, or the empty string.
        overrides: the user's words that change the runs.
        hydra: the user's words about Hydra and its launcher.
        output_dir: where run folders go.
        folder: where the study's own files go.
        rerun: whether finished runs are repeated.
        on_cpu: whether the runs use the CPU alone.
        asked: the words that make this another question than the study's own; the folder's name stands for them.
    """

    study: Study
    setting: str
    overrides: tuple[str, ...]
    hydra: tuple[str, ...]
    arms: tuple[PlannedArm, ...]
    output_dir: Path
    folder: Path
    rerun: bool
    on_cpu: bool
    asked: tuple[str, ...] = ()

    @property
    def jobs(self) -> list[Job]:
        """Each run once, though several arms may share it; a seed of every arm before the next seed.

        What slows the machine down for a while then slows all arms, and their seconds can be compared.
        """
        return [
            *{job.path: job for jobs in zip(*(arm.jobs for arm in self.arms), strict=True) for job in jobs}.values()
        ]


def make_plan(study: Study, words: Sequence[str], user_dirs: Sequence[Path] = ()) -> Plan:
    """Compose and check all runs of a study.

    Raises:
        ConfigError: for the first thing that cannot work; nothing has been written then.
    """
    check_hydra_words(words)
    if replicas := next((word for word in words if _key(word) == "training.replicas"), None):
        raise ConfigError(f"{replicas}: a study trains its seeds side by side by itself; say how many with seeds=N")
    _refuse_own_words(study)
    own = {key: value for key, equals, value in map(_split, words) if equals and key in OWN_KEYS}
    typed = set(own)
    hydra = tuple(word for word in words if _key(word).startswith("hydra"))
    overrides = tuple(word for word in words if _key(word) not in OWN_KEYS and word not in hydra)
    setting = own.pop("setting", "")
    if setting and setting not in study.settings:
        known = f" (it has: {', '.join(study.settings)})" if study.settings else ", nor any other"
        raise ConfigError(
            f"setting={setting}: study {study.name} has no such setting{did_you_mean(setting, study.settings)}{known}"
        )
    larger = study.settings.get(setting, ())
    own = {key: value for key, _, value in map(_split, larger) if key in OWN_KEYS} | own
    declared = _with(study, {key: value for key, _, value in map(_split, larger) if key == "target"}).target
    study = _with(study, own)
    base = [*study.base, *(word for word in larger if _key(word) not in OWN_KEYS)]
    _refuse_collisions(study, overrides)
    arms = _plan_arms(study, [*base, *overrides], user_dirs)
    _refuse_twins(study.name, arms)
    config = arms[0].composed.config
    output_dirs = {arm.composed.config["output_dir"] for arm in arms}
    if len(output_dirs) > 1:
        raise ConfigError(f"study {study.name}: all arms must have the same output_dir, not {sorted(output_dirs)}")
    foreign = _words_about_data(overrides, config)
    if "target" not in typed and foreign:
        study = _without_target(study, base, foreign)
    is_chosen = "target" in typed and (study.target != declared or bool(foreign))
    chosen = [f"target={study.target.value}"] if study.target and is_chosen else []
    asked = merged([*(word for word in overrides if _key(word) not in ("output_dir", "rerun")), *chosen])
    folder = Path(config["output_dir"]) / "studies" / _folder_name(study.name, setting, asked)
    _refuse_other_question(folder, study.name, setting, asked)
    if is_chosen:
        study = replace(study, target_caution=_target_caution(folder, arms))
    device = choose_device(config["training"]["device"])
    return Plan(
        study=study,
        setting=setting,
        overrides=overrides,
        hydra=hydra,
        arms=arms,
        output_dir=Path(config["output_dir"]),
        folder=folder,
        rerun=config["rerun"],
        on_cpu=device.type == "cpu",
        asked=asked,
    )


def merged(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words with only the last one of each key: it is the one that counts."""
    return tuple({_key(word): word for word in words}.values())


def plan_runs(words: Sequence[tuple[str, ...]], composed: Sequence[Composed]) -> tuple[list[Job], Experiment]:
    """Check the first of some runs that differ in nothing but the seed, and so all of them.

    Args:
        words: those of each run.
        composed: what they compose.

    Raises:
        ConfigError: where it cannot work.
    """
    first = prepare(*composed[0])
    num_steps = _num_steps(first)
    each = zip(words, composed, strict=True)
    return [Job(own, item, *_identity(item, composed[0], first), num_steps) for own, item in each], first


def _plan_arms(study: Study, words: Sequence[str], user_dirs: Sequence[Path]) -> tuple[PlannedArm, ...]:
    planned = []
    with progress(f"study {study.name}: composing and checking {len(study.arms)} arms", len(study.arms)) as advance:
        for arm in study.arms:
            planned.append(_plan_arm(arm, merged([*words, *arm.overrides]), study.seeds, user_dirs))
            advance(1)
    return tuple(planned)


def _plan_arm(arm: Arm, words: tuple[str, ...], seeds: int, user_dirs: Sequence[Path]) -> PlannedArm:
    try:
        composed = compose_seeds(words, range(seeds), user_dirs)
        jobs, experiment = plan_runs([(*words, f"seed={seed}") for seed in range(seeds)], composed)
    except ConfigError as error:
        raise ConfigError(*(f"arm {arm.label}: {line}" for line in error.lines)) from error
    dataset = experiment.dataset
    num_parameters = sum(parameter.numel() for parameter in experiment.model.parameters())
    chance = float(dataset.train.labels.bincount().max()) / len(dataset.train)
    return PlannedArm(
        arm,
        words,
        jobs[0].composed,
        tuple(jobs),
        num_parameters,
        dataset.num_examples,
        chance,
        dataset.contract.warnings,
    )


def _identity(composed: Composed, first: Composed, experiment: Experiment) -> tuple[Path, str]:
    """Return a run's folder and fingerprint: those of the first seed, unless more than the seed differs."""
    if composed.config | {"seed": 0} != first.config | {"seed": 0}:  # weights=${seed}.pt, say
        experiment = prepare(*composed)
    path = experiment.path.with_name(run_name(experiment.fingerprint, composed.config["seed"]))
    return path, experiment.fingerprint


def _num_steps(experiment: Experiment) -> int:
    num_examples = len(experiment.dataset.train)
    return experiment.settings.epochs * (num_examples // experiment.settings.num_in_batch(num_examples))


def _with(study: Study, own: Mapping[str, str]) -> Study:
    """Return the study with the number of seeds and the target that the words ask for."""
    if "seeds" in own:
        seeds: Any = yaml.safe_load(own["seeds"])
        if rule := violation(seeds, Annotated[Count, Interval(high=MOST_SEEDS)]):
            raise ConfigError(f"seeds={own['seeds']} {rule}; seeds=5 takes the seeds 0 to 4")
        study = replace(study, seeds=seeds)
    if "target" in own:
        value: Any = _number(own["target"])
        if study.target is None:
            raise ConfigError(f"target={own['target']}: study {study.name} has no target")
        if rule := violation(value, target_values(study.target.metric)):
            raise ConfigError(f"target={own['target']} {rule}; it is a value of {study.target.metric}")
        study = replace(study, target=replace(study.target, value=value))
    return study


def _number(text: str) -> float | str:
    try:
        return float(text)  # YAML takes 1e-5 for a word
    except ValueError:
        return text


def _refuse_own_words(study: Study) -> None:
    """What the study or the launcher decides makes no arm: the runs would be the same ones."""
    words = [*study.base, *(word for arm in study.arms for word in arm.overrides)]
    words += [word for setting in study.settings.values() for word in setting]
    for word in words:
        if _key(word) == "seed":
            raise ConfigError(
                f"study {study.name}: {word}: every arm has the seeds 0 to N - 1 of seeds: N, so that a seed makes no "
                "arm; take the word out"
            )
        if _key(word) == "training.replicas":
            raise ConfigError(
                f"study {study.name}: {word}: a study trains its seeds side by side by itself; take the word out"
            )


def _refuse_twins(name: str, arms: Sequence[PlannedArm]) -> None:
    """Refuse arms whose runs are the same ones, whatever their words: comparing them would find that nothing differs.

    An arm that is named by itself may be another name for a cell of the factors, down to the last word.
    """
    first: dict[str, PlannedArm] = {}
    for arm in arms:
        other = first.setdefault(arm.jobs[0].path.name, arm)  # fingerprint and seed
        is_name_of_cell = (
            bool(arm.arm.levels) != bool(other.arm.levels) and arm.composed.config == other.composed.config
        )
        if other is not arm and not is_name_of_cell:
            own, others = set(arm.words), set(other.words)
            told = "; ".join(" ".join(sorted(words)) or "nothing" for words in (others - own, own - others))
            raise ConfigError(
                f"study {name}: arms {other.arm.label} and {arm.arm.label} are the same runs: what tells them apart "
                f"({told}) changes no number; take one of them out"
            )


def _words_about_data(overrides: Sequence[str], config: Config) -> list[str]:
    """Return the words that choose the data or change them: not how they are scaled, nor where published ones lie."""
    is_published = str(config["dataset"].get("_target_")).startswith(PUBLISHED)
    harmless = {"dataset.scaling", *(["dataset.root"] if is_published else [])}
    keys = [_key(word) for word in overrides]
    return [
        word
        for word, key in zip(overrides, keys, strict=True)
        if key == "dataset" or (key.startswith("dataset.") and key not in harmless)
    ]


def _without_target(study: Study, base: Sequence[str], foreign: Sequence[str]) -> Study:
    """Drop a target that was declared for other data than the words ask for; one from the baseline adapts itself."""
    target = study.target
    if target is None or target.value is None:
        return study
    declared_for = next((word for word in reversed(base) if _key(word) == "dataset"), "other data")
    why = (
        f"the target {target.metric} {target.value:g} was declared for {declared_for}, and the words ask for "
        f"{' '.join(foreign)}; add target=…"
    )
    return replace(study, target=None, no_target=why)


def _target_caution(folder: Path, arms: Sequence[PlannedArm]) -> str:
    """Say so where evaluations of the study's runs were there to be seen when this target was asked for first."""
    try:
        before: Any = plain_yaml.load(read_bytes(folder / "study.yaml"))
        return str(before["target"].get("caution") or "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        seen = any(RunFolder(job.path).metrics.exists() for arm in arms for job in arm.jobs)
        return SEEN if seen else ""


def _refuse_collisions(study: Study, overrides: Sequence[str]) -> None:
    """An arm would overrule such a word, or stop being that arm; either way nobody would be told."""
    for word in overrides:
        key = _key(word)
        if key == "seed":
            raise ConfigError(f"{word}: a study sets the seeds itself; seeds=N takes the seeds 0 to N - 1")
        owner = next((arm for arm in study.arms if key in map(_key, arm.overrides)), None)
        if owner is not None:
            raise ConfigError(f"{word}: the arms of study {study.name} set {key} themselves (arm {owner.label})")


def _folder_name(name: str, setting: str, asked: Sequence[str]) -> str:
    """Return the study's name, the setting's, and six digits of the words that make it another question."""
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:6] if asked else ""
    return "-".join(part for part in (name, setting, digest) if part)


def _refuse_other_question(folder: Path, name: str, setting: str, asked: tuple[str, ...]) -> None:
    """Raise ConfigError where the folder holds a study of other words: six digits do not tell all words apart."""
    try:
        node: Any = plain_yaml.load(read_bytes(folder / "study.yaml"))
        found = (node["name"], node["setting"] or "", tuple(node["asked"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return  # there is none, or none that can be read; it is written anew
    if found != (name, setting, asked):
        raise ConfigError(
            f"{folder}: holds study {found[0]} with other words ({' '.join(found[2]) or 'none'}); move that folder "
            "away, or use another output_dir"
        )


def _split(word: str) -> tuple[str, str, str]:
    return word.partition("=")


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
