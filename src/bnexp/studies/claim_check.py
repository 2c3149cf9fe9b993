"""Reading the claims of a study file: each key is compared with the signature of the claim's kind."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any, get_args, get_type_hints

from bnexp.config.targets import show
from bnexp.errors import did_you_mean
from bnexp.ranges import Finite, Positive, violation
from bnexp.studies.claims import KINDS
from bnexp.studies.evidence import METRICS
from bnexp.studies.study import Arm, DeclaredClaim, Levels

EVERY_CLAIM = {"text": str, "source": str, "kind": str, "low": Finite, "high": Finite, "margin": Positive}


def read_claims(nodes: Sequence[Any], arms: Sequence[Arm], has_target: bool, lines: list[str]) -> list[DeclaredClaim]:
    """Return the declared claims; append a line to ``lines`` for each mistake."""
    claims = []
    for index, node in enumerate(nodes):
        found = _claim_mistakes(node, arms, has_target)
        lines += [f"claims[{index}]: {line}" for line in found]
        if not found:
            claims.append(_claim(node))
    return claims


def _claim(node: Mapping[str, Any]) -> DeclaredClaim:
    arguments = {key: _plain(value) for key, value in node.items() if key not in EVERY_CLAIM}
    low, high = node.get("low", -math.inf), node.get("high", math.inf)
    if "margin" in node:
        low, high = -node["margin"], node["margin"]
    text = " ".join(node["text"].split())
    return DeclaredClaim(text, node.get("source", ""), node["kind"], arguments, float(low), float(high))


def _claim_mistakes(node: Any, arms: Sequence[Arm], has_target: bool) -> list[str]:
    if not isinstance(node, dict):
        return [f"{node} must hold keys and values: text, kind, …"]
    lines = [f"{key} is not set" for key in ("text", "kind") if key not in node]
    if lines:
        return lines
    if node["kind"] not in KINDS:
        return [f"kind={node['kind']}: there is no such kind{did_you_mean(str(node['kind']), KINDS)}"]
    schema = inspect.signature(KINDS[node["kind"]]).parameters
    hints = get_type_hints(KINDS[node["kind"]], include_extras=True)
    keys = [key for key in schema if key != "evidence"]
    known = [*EVERY_CLAIM, *keys]
    lines += [
        f"{key}: a claim of kind {node['kind']} has no such key{did_you_mean(str(key), known)}"
        for key in node
        if key not in known
    ]
    lines += [
        f"{key} is not set; a claim of kind {node['kind']} needs it"
        for key in keys
        if key not in node and schema[key].default is inspect.Parameter.empty
    ]
    lines += [
        f"{key}={node[key]} {rule}"
        for key, annotation in EVERY_CLAIM.items()
        if key in node and (rule := violation(node[key], annotation))
    ]
    given = [(key, rule) for key in keys if key in node and (rule := _rule(node, key, hints[key], arms))]
    lines += [f"{key}={node[key]} {rule}" for key, rule in given]
    return lines or _bound_mistakes(node) or _whole_mistakes(node, arms, has_target)


def _bound_mistakes(node: Mapping[str, Any]) -> list[str]:
    if node["kind"] == "equivalence":
        fits = "margin" in node and not {"low", "high"} & node.keys()
        return [] if fits else ["an equivalence needs its margin, and neither low nor high"]
    if "margin" in node:
        return [f"margin belongs to an equivalence; a {node['kind']} takes low, high or both"]
    if not {"low", "high"} & node.keys():
        return ["its threshold is not set: give low (at least), high (at most) or both"]
    if node.get("low", -math.inf) > node.get("high", math.inf):
        return [f"low={node['low']} is above high={node['high']}"]
    return []


def _rule(node: Mapping[str, Any], key: str, annotation: Any, arms: Sequence[Arm]) -> str | None:
    """Say which rule the value of ``key`` breaks: what it must name is told by the marks of its annotation."""
    value, factors = node[key], _factors(arms)
    options = (annotation, *get_args(annotation))  # one of them, in a union
    marks = {mark for option in options for mark in getattr(option, "__metadata__", ())}
    if "arm" in marks and (isinstance(value, str) or "levels" not in marks):
        return _name_rule("arm", value, [arm.label for arm in arms])
    if "metric" in marks:
        return _name_rule("metric", value, METRICS)
    if "factor" in marks:
        return _name_rule("factor", value, factors)
    if "levels" in marks:
        return _levels_rule(value, arms)
    if "two levels" in marks:
        return _pair_rule(str(node.get("factor")), value, factors)
    if "a factor's two levels" in marks:
        if not isinstance(value, dict) or len(value) != 1:
            return "must name one factor and two of its levels, {norm: [none, batch]}"
        [(factor, pair)] = value.items()
        return _pair_rule(str(factor), pair, factors)
    return violation(value, annotation)


def _name_rule(what: str, value: Any, known: Collection[str]) -> str | None:
    return None if value in known else f"is no {what}{did_you_mean(str(value), known)}"


def _levels_rule(value: Any, arms: Sequence[Arm]) -> str | None:
    if not isinstance(value, dict) or not value:
        return "must name levels of factors, {norm: batch}"
    levels = _plain(value)
    wrong = [factor for factor in levels if levels[factor] not in _factors(arms).get(factor, [])]
    if wrong:
        return f"names {wrong[0]}={levels[wrong[0]]}, which is no level of a factor"
    return None if any(levels.items() <= arm.levels.items() for arm in arms) else "chooses no arm"


def _pair_rule(factor: str, pair: Any, factors: Mapping[str, Sequence[str]]) -> str | None:
    if not isinstance(pair, list) or len(pair) != 2 or pair[0] == pair[1]:
        return "must list two levels"
    if factor not in factors:
        return f"names {factor}, which is no factor{did_you_mean(factor, factors)}"
    wrong = [show(level) for level in pair if show(level) not in factors[factor]]
    return (
        f"names {wrong[0]}, which is no level of {factor}{did_you_mean(wrong[0], factors[factor])}" if wrong else None
    )


def _whole_mistakes(node: Mapping[str, Any], arms: Sequence[Arm], has_target: bool) -> list[str]:
    """What only shows when the right words are put together."""
    words = {key: _plain(value) for key, value in node.items() if key not in EVERY_CLAIM}
    cells = [arm.levels for arm in arms if arm.levels and words.get("where", {}).items() <= arm.levels.items()]
    match node["kind"]:
        case "time_ratio" if not has_target:
            return ["a time to target needs the study's target"]
        case "main_effect":
            return _main_effect_mistakes(words["factor"], words["levels"], cells)
        case "interaction":
            return _interaction_mistakes({**words["rows"]}, {**words["columns"]}, cells)
        case "between_ratio" | "best_difference":
            families = [[cell for cell in cells if words[side].items() <= cell.items()] for side in ("a", "b")]
            return _family_mistakes(words["over"], families, numbers=node["kind"] == "best_difference")
    return []


def _main_effect_mistakes(factor: str, levels: Sequence[str], cells: Sequence[Levels]) -> list[str]:
    others = [frozenset({*cell.items()} - {(factor, cell[factor])}) for cell in cells if cell[factor] in levels]
    if len({*others}) < 2 or any(others.count(other) != 2 for other in others):
        return ["a main effect needs a complete factorial of two or more factors (a difference compares two arms)"]
    return []


def _interaction_mistakes(
    rows: Mapping[str, Sequence[str]], columns: Mapping[str, Sequence[str]], cells: Sequence[Levels]
) -> list[str]:
    (row, row_levels), (column, column_levels) = *rows.items(), *columns.items()
    for levels in product(row_levels, column_levels):
        wanted = dict(zip((row, column), levels, strict=True))
        at = [cell for cell in cells if wanted.items() <= cell.items()]
        if len(at) != 1:
            name = " ".join(f"{factor}={level}" for factor, level in wanted.items())
            return [f"{len(at)} arms are at {name}, and not one" + "; name levels of the others under where" * bool(at)]
    return []


def _family_mistakes(over: str, families: Sequence[Sequence[Levels]], *, numbers: bool) -> list[str]:
    for family in families:
        levels = [cell[over] for cell in family]
        if len(levels) < 2 or len({*levels}) != len(levels):
            return [f"a and b must each leave one arm for every one of several levels of {over}"]
        if numbers and any(map(_is_no_number, levels)):
            return [f"over={over} must be a factor whose levels are numbers"]
    return []


def _factors(arms: Sequence[Arm]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for arm in arms:
        for factor, level in arm.levels.items():
            found.setdefault(factor, {})[level] = None
    return {factor: [*levels] for factor, levels in found.items()}


def _plain(value: Any) -> Any:
    """Write levels as the arms have them: 0.1 is "0.1", true is "true"."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else show(value)


def _is_no_number(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return True
