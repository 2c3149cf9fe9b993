"""Reading a study file, and finding everything that is wrong with it before anything is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any

from bnexp.config.folder import choices, config_dir
from bnexp.config.targets import show
from bnexp.config.yaml_file import read_mapping, read_text
from bnexp.errors import ConfigError, did_you_mean
from bnexp.ranges import Count, Finite, Interval, violation
from bnexp.studies.claim_check import read_claims
from bnexp.studies.evidence import CURVES
from bnexp.studies.study import Arm, DeclaredClaim, Levels, Study, Target

KEYS: dict[str, Any] = {
    "question": str,
    "source": list[str],
    "base": list[str],
    "arms": dict,
    "factors": dict,
    "exclude": list,
    "baseline": str,
    "seeds": Count,
    "target": dict,
    "claims": list,
    "cost": str,
    "settings": dict,
}
"""What a study file may say, with the types."""

MOST_ARMS = 10_000
"""Of a factorial: each is composed and checked before the first run starts."""

REQUIRED = ("question", "baseline", "seeds")


def read_study(name: str, user_dirs: Sequence[Path] = ()) -> Study:
    """Read ``study/NAME.yaml`` from the user's config folders or bnexp's own.

    Raises:
        ConfigError: there is no such study, or a line for each mistake in its file.
    """
    files = choices([*user_dirs, config_dir()], "study")
    if name not in files:
        hint = did_you_mean(name, files) or f"; choose from {', '.join(files)}"
        raise ConfigError(f"{name}: there is no such study{hint}")
    node, text = read_mapping(files[name], hydras_numbers=False), read_text(files[name])
    first = text.splitlines()[0] if text else ""
    return parse_study(name, first.removeprefix("#").strip() if first.startswith("#") else "", node)


def parse_study(name: str, description: str, node: Any) -> Study:
    """Turn the content of a study file into a study.

    Raises:
        ConfigError: with a line for each mistake.
    """
    lines = [*_key_mistakes(node)]
    if lines:
        raise ConfigError(*(f"study {name}: {line}" for line in lines))
    factors = {str(factor): _levels(str(factor), levels, lines) for factor, levels in node.get("factors", {}).items()}
    arms = [*_literal_arms(node.get("arms", {}), lines), *_crossed_arms(factors, node.get("exclude", []), lines)]
    labels = [arm.label for arm in arms]
    lines += [f"arms: {label} is also an arm of the factors" for label in sorted({*labels}) if labels.count(label) > 1]
    if not arms:
        lines.append("arms: there are none; name them under arms, or cross factors")
    elif node["baseline"] not in labels:
        lines.append(f"baseline={node['baseline']}: there is no such arm{did_you_mean(node['baseline'], labels)}")
    target = _target(node["target"], lines) if "target" in node else None
    claims: list[DeclaredClaim] = []
    if not lines:  # claims speak of arms
        claims = read_claims(node.get("claims", []), arms, target is not None, lines)
    settings = {str(key): _words(f"settings.{key}", value, lines) for key, value in node.get("settings", {}).items()}
    base = _words("base", node.get("base", []), lines)
    said = {"base": base} | {f"settings.{name}": found for name, found in settings.items()}
    lines += _beyond_runs(said | {f"arms.{arm.label}": arm.overrides for arm in arms})
    if lines:
        raise ConfigError(*(f"study {name}: {line}" for line in lines))
    return Study(
        name=name,
        description=description,
        question=" ".join(node["question"].split()),
        source=tuple(node.get("source", [])),
        base=base,
        arms=tuple(arms),
        factors={factor: tuple(levels) for factor, levels in factors.items()},
        baseline=node["baseline"],
        seeds=node["seeds"],
        target=target,
        claims=tuple(claims),
        cost=node.get("cost", ""),
        settings=settings,
    )


def _key_mistakes(node: Any) -> Iterator[str]:
    if not isinstance(node, dict):
        yield f"the file must hold keys and values ({', '.join(KEYS)})"
        return
    yield from (f"{key}: there is no such key{did_you_mean(str(key), KEYS)}" for key in node if key not in KEYS)
    yield from (f"{key} is not set; every study needs it" for key in REQUIRED if key not in node)
    for key, annotation in KEYS.items():
        if key not in node:
            continue
        if annotation is dict:
            rule = None if isinstance(node[key], dict) else "must be keys and values"
        else:
            rule = violation(node[key], list[Any] if annotation is list else annotation)
        if rule:
            yield f"{key}={node[key]} {rule}"


def _words(where: str, value: Any, lines: list[str]) -> tuple[str, ...]:
    if violation(value, list[str]) or any("=" not in word and not word.startswith("~") for word in value):
        lines.append(f"{where}={value} must be a list of overrides, [norm=batch, optimizer.lr=0.1]")
        return ()
    return tuple(value)


def _beyond_runs(words: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a line for each word that reaches beyond the study's runs: the file may be a stranger's."""
    from bnexp.config.hydra_words import beyond_a_run  # Hydra takes a while, and many mistakes are told without it

    for where, found in words.items():
        yield from (f"{where}: {word} {rule}" for word in found if (rule := beyond_a_run(word)))


def _literal_arms(node: Mapping[Any, Any], lines: list[str]) -> list[Arm]:
    return [Arm(str(label), _words(f"arms.{label}", overrides, lines)) for label, overrides in node.items()]


def _levels(factor: str, node: Any, lines: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the levels of a factor with their overrides: values of the key ``factor``, or named lists of overrides."""
    if isinstance(node, dict):
        levels = {show(name): _words(f"factors.{factor}.{name}", words, lines) for name, words in node.items()}
    elif isinstance(node, list):
        levels = {show(value): (f"{factor}={show(value)}",) for value in node}
    else:
        levels = {}
    if len(levels) < 2 or len(levels) != len(node):
        lines.append(f"factors.{factor}={node} must list two or more different levels")
    return levels


def _crossed_arms(
    factors: Mapping[str, Mapping[str, tuple[str, ...]]], exclude: Sequence[Any], lines: list[str]
) -> list[Arm]:
    excluded: list[Levels] = []
    for item in exclude:
        if not isinstance(item, dict) or not item:
            lines.append(f"exclude: {item} must name levels, {{init: he, norm: none}}")
            continue
        levels = {str(factor): show(value) for factor, value in item.items()}
        for factor, value in levels.items():
            if value not in factors.get(factor, {}):
                lines.append(f"exclude: {factor}={value} is no level of a factor")
        excluded.append(levels)
    number = prod(map(len, factors.values()))
    if number > MOST_ARMS:
        lines.append(f"factors: they cross to {number:,} arms, more than {MOST_ARMS:,}; take factors or levels out")
        return []
    cells = [dict(zip(factors, names, strict=True)) for names in product(*factors.values())] if factors else []
    kept = [cell for cell in cells if not any(levels.items() <= cell.items() for levels in excluded)]
    return [
        Arm(
            label=" ".join(f"{factor}={value}" for factor, value in cell.items()),
            overrides=tuple(word for factor, value in cell.items() for word in factors[factor][value]),
            levels=cell,
        )
        for cell in kept
    ]


def target_values(metric: str) -> Any:
    """Return which values of a metric a target may ask for."""
    return Annotated[float, Interval(low=0, high=1)] if metric.endswith("accuracy") else Finite


def _target(node: Mapping[str, Any], lines: list[str]) -> Target | None:
    known = ("metric", "value", "from_baseline")
    lines += [f"target.{key}: there is no such key{did_you_mean(str(key), known)}" for key in node if key not in known]
    metric, value = node.get("metric", "val/accuracy"), node.get("value")
    if metric not in CURVES:
        lines.append(f"target.metric={metric} must be one of {', '.join(CURVES)}{did_you_mean(str(metric), CURVES)}")
    if (value is None) == (node.get("from_baseline") is not True):
        lines.append("target: give either a value or from_baseline: true")
    elif value is not None and (rule := violation(value, target_values(str(metric)))):
        lines.append(f"target.value={value} {rule}")
    return Target(str(metric), None if value is None else value)
