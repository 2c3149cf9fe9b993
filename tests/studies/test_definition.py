"""A study file is checked to the last word before anything is run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bnexp.config.folder import choices, config_dir
from bnexp.errors import ConfigError
from bnexp.studies.definition import parse_study, read_study

GOOD: dict[str, Any] = {
    "question": "Does it\n  matter?",
    "source": ["C1"],
    "base": ["model.depth=2"],
    "arms": {"mine": ["init=he"]},
    "factors": {"init": ["default", "he"], "norm": ["none", "batch"], "optimizer.lr": [0.1, 1]},
    "exclude": [{"init": "he", "optimizer.lr": 1}],
    "baseline": "mine",
    "seeds": 3,
    "target": {"metric": "val/accuracy", "value": 0.9},
    "claims": [{"text": "t", "kind": "difference", "a": "mine", "b": "init=he norm=none optimizer.lr=0.1",
                "metric": "test/accuracy", "low": 0.1}],
    "settings": {"mnist": ["dataset=mnist"]},
}  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (copy.deepcopy(GOOD) | changes).items() if value is not ...}


def one_claim(**changes: Any) -> dict[str, Any]:
    claim = {key: value for key, value in (GOOD["claims"][0] | changes).items() if value is not ...}
    return changed(claims=[claim])


def test_factors_are_crossed_less_what_is_excluded() -> None:
    study = parse_study("s", "", GOOD)
    assert [arm.label for arm in study.arms] == [
        "mine",
        "init=default norm=none optimizer.lr=0.1",
        "init=default norm=none optimizer.lr=1",
        "init=default norm=batch optimizer.lr=0.1",
        "init=default norm=batch optimizer.lr=1",
        "init=he norm=none optimizer.lr=0.1",
        "init=he norm=batch optimizer.lr=0.1",
    ]
    assert study.arms[1].overrides == ("init=default", "norm=none", "optimizer.lr=0.1")
    assert study.arms[1].levels == {"init": "default", "norm": "none", "optimizer.lr": "0.1"}
    assert study.arms[0].levels == {}
    assert study.question == "Does it matter?"


def test_a_level_can_be_a_list_of_overrides() -> None:
    factors = {"noise": {"off": [], "on": ["noise.input=0.1", "model.dropout=0.5"]}, "norm": ["none", "batch"]}
    node = changed(factors=factors, exclude=..., claims=...)
    arms = {arm.label: arm.overrides for arm in parse_study("s", "", node).arms}
    assert arms["noise=on norm=none"] == ("noise.input=0.1", "model.dropout=0.5", "norm=none")
    assert arms["noise=off norm=batch"] == ("norm=batch",)


WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": (["a"], "the file must hold keys and values"),
    "unknown key": (changed(arm={}), "study s: arm: there is no such key; did you mean 'arms'?"),
    "missing": (changed(baseline=...), "baseline is not set; every study needs it"),
    "type": (changed(seeds="many"), "seeds=many must be a whole number"),
    "no seeds": (changed(seeds=0), "seeds=0 must be at least 1"),
    "no arms": (changed(arms=..., factors=..., exclude=...), "arms: there are none"),
    "no such baseline": (changed(baseline="mime"), "baseline=mime: there is no such arm; did you mean 'mine'?"),
    "no override": (changed(arms={"mine": ["he"]}), "arms.mine=['he'] must be a list of overrides"),
    "no list": (changed(base="norm=batch"), "base=norm=batch must be a list"),
    "one level": (changed(factors={"init": ["he"]}), "factors.init=['he'] must list two or more different levels"),
    "equal levels": (changed(factors={"init": ["he", "he"]}), "factors.init=['he', 'he'] must list two or more"),
    "exclude": (changed(exclude=[{"init": "hee"}]), "exclude: init=hee is no level of a factor"),
    "twin": (changed(arms={"mine": [], "init=he norm=none optimizer.lr=0.1": []}), "is also an arm of the factors"),
    "target metric": (changed(target={"metric": "val/acc", "value": 1}), "target.metric=val/acc must be one of"),
    "target key": (changed(target={"vaule": 1}), "target.vaule: there is no such key; did you mean 'value'?"),
    "target both": (changed(target={"value": 1, "from_baseline": True}), "target: give either a value or"),
    "target neither": (changed(target={}), "target: give either a value or from_baseline"),
    "target percent": (changed(target={"value": 90}), "target.value=90 must be at least 0 and at most 1"),
    "target word": (changed(target={"value": "1e-1"}), "target.value=1e-1 must be a number"),
    "settings": (changed(settings={"mnist": "dataset=mnist"}), "settings.mnist=dataset=mnist must be a list"),
    "claim text": (one_claim(text=...), "claims[0]: text is not set"),
    "claim kind": (one_claim(kind="differance"), "kind=differance: there is no such kind; did you mean 'difference'?"),
    "claim key": (one_claim(unit="steps"), "unit: a claim of kind difference has no such key"),
    "claim needs": (one_claim(b=...), "b is not set; a claim of kind difference needs it"),
    "claim arm": (one_claim(a="mime"), "a=mime is no arm; did you mean 'mine'?"),
    "claim arms": (one_claim(a={"norm": "batch"}), "a={'norm': 'batch'} is no arm"),
    "claim metric": (one_claim(metric="test/acuracy"), "is no metric; did you mean 'test/accuracy'?"),
    "claim bound": (one_claim(low=...), "its threshold is not set"),
    "claim bounds": (one_claim(high=0.0), "low=0.1 is above high=0.0"),
    "claim number": (one_claim(low="1e-3"), "low=1e-3 must be a number"),
    "margin": (one_claim(margin=0.1), "margin belongs to an equivalence"),
    "no margin": (one_claim(kind="equivalence"), "an equivalence needs its margin"),
    "unit": (one_claim(kind="time_ratio", metric=..., unit="minutes"), "unit=minutes must be one of steps, epochs"),
    "effect factor": (
        one_claim(kind="main_effect", a=..., b=..., factor="nrom", levels=["none", "batch"]),
        "factor=nrom is no factor; did you mean 'norm'?",
    ),
    "effect levels": (
        one_claim(kind="main_effect", a=..., b=..., factor="norm", levels=["none", "bach"]),
        "names bach, which is no level of norm; did you mean 'batch'?",
    ),
    "effect one level": (
        one_claim(kind="main_effect", a=..., b=..., factor="norm", levels=["none"]),
        "levels=['none'] must list two levels",
    ),
    "effect excluded": (
        one_claim(kind="main_effect", a=..., b=..., factor="init", levels=["default", "he"]),
        "a main effect needs a complete factorial",
    ),
    "interaction where": (
        one_claim(kind="interaction", a=..., b=..., rows={"init": ["default", "he"]},
                  columns={"norm": ["none", "batch"]}),
        "2 arms are at init=default norm=none, and not one; name levels of the others under where",
    ),
    "interaction excluded": (
        one_claim(kind="interaction", a=..., b=..., rows={"init": ["default", "he"]},
                  columns={"norm": ["none", "batch"]}, where={"optimizer.lr": 1}),
        "0 arms are at init=he norm=none, and not one",
    ),
    "where": (
        one_claim(kind="interaction", a=..., b=..., rows={"init": ["default", "he"]},
                  columns={"norm": ["none", "batch"]}, where={"optimizer.lr": 2}),
        "names optimizer.lr=2, which is no level of a factor",
    ),
    "family": (
        one_claim(kind="between_ratio", a={"norm": "batch"}, b={"norm": "none"}, over="init"),
        "a and b must each leave one arm for every one of several levels of init",
    ),
    "rates": (
        one_claim(kind="best_difference", a={"norm": "batch", "optimizer.lr": 0.1},
                  b={"norm": "none", "optimizer.lr": 0.1}, over="init"),
        "over=init must be a factor whose levels are numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_in_a_line(name: str) -> None:
    node, line = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        parse_study("s", "", node)
    assert line in str(caught.value)
    assert all(text.startswith("study s: ") for text in str(caught.value).splitlines())


def test_a_time_to_target_needs_a_target() -> None:
    node = one_claim(kind="time_ratio", metric=..., unit="steps")
    parse_study("s", "", node)
    del node["target"]
    with pytest.raises(ConfigError, match="a time to target needs the study's target"):
        parse_study("s", "", node)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_study("s", "", changed(arm={}, seeds=-1))
    assert len(str(caught.value).splitlines()) == 2


def test_a_margin_is_a_range_around_nothing() -> None:
    [claim] = parse_study("s", "", one_claim(kind="equivalence", low=..., margin=0.02)).claims
    assert (claim.low, claim.high) == (-0.02, 0.02)


def test_levels_are_compared_as_they_are_written_on_the_command_line() -> None:
    node = one_claim(kind="divergence_difference", a={"optimizer.lr": 1}, b={"optimizer.lr": 0.1}, metric=...)
    [claim] = parse_study("s", "", node).claims
    assert claim.arguments == {"a": {"optimizer.lr": "1"}, "b": {"optimizer.lr": "0.1"}}


def test_a_users_study_goes_before_bnexps_own(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "case_study.yaml").write_text("# Mine\n" + yaml.safe_dump(GOOD))
    assert read_study("case_study", [tmp_path]).description == "Mine"
    assert read_study("case_study").description != "Mine"
    with pytest.raises(ConfigError, match="case_stdy: there is no such study; did you mean 'case_study'"):
        read_study("case_stdy")


def test_a_label_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text("arms:\n  a: [norm=none]\n  a: [norm=batch]\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not valid YAML: the key a stands twice"):
        read_study("mine", [tmp_path])


@pytest.mark.parametrize("name", choices([config_dir()], "study"))
def test_bnexps_own_studies_are_complete(name: str) -> None:
    study = read_study(name)
    assert study.description
    assert study.question.endswith("?")
    assert study.source
    assert study.claims
    assert study.cost
    assert study.settings
    assert all(claim.source for claim in study.claims)


def test_a_factorial_beyond_all_bounds_is_refused_before_it_is_built() -> None:
    factors = {f"optimizer.k{number}": [*range(10)] for number in range(10)}
    with pytest.raises(ConfigError, match="they cross to 10,000,000,000 arms, more than 10,000; take factors"):
        parse_study("s", "", changed(factors=factors, exclude=..., claims=...))
