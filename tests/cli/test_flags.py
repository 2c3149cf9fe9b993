"""Flags may stand anywhere; Hydra's own parser is the judge of what they mean."""

import re
import shlex

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from bnexp.cli.flags import CONFIG_DIR, HYDRA, help_text, parse
from bnexp.config.home import quoted
from bnexp.errors import ConfigError

NOT_TAKEN = {
    "--experimental-rerun": "it unpickles a file, and so runs what is in it",
    "--config-name": "a primary configuration that is not bnexp's own sets whatever it likes of Hydra's",
    "--config-path": "so does another folder in the place of bnexp's own",
    "--shell-completion": "bnexp completion does that",
}


def test_the_flags_are_hydras_own_but_for_those_that_are_not_taken() -> None:
    theirs = {
        frozenset(action.option_strings): (
            action.nargs != 0,
            tuple(action.choices or ()),
            action.const if action.nargs == "?" else None,
        )
        for action in get_args_parser()._actions
        if action.option_strings and not NOT_TAKEN.keys() & set(action.option_strings)
    }
    ours = {frozenset(flag.names): (flag.value is not None, flag.choices, flag.alone) for flag in HYDRA}
    assert ours == theirs


@pytest.mark.parametrize("name", [*NOT_TAKEN, "-cn", "-cp", "-sc"])
@pytest.mark.parametrize("value", [[], ["x"]])
def test_a_flag_that_is_not_taken_is_no_flag(name: str, value: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"{name}: bnexp train has no such flag"):
        parse([name, *value, "norm=batch"], HYDRA, "train")


def test_overrides_on_both_sides_of_a_flag_are_read() -> None:
    arguments = ["norm=batch", "-m", "init=he,xavier", "--config-dir", "mine", "seed=range(3)"]
    flags, words = parse(arguments, HYDRA, "train")
    assert words == ["norm=batch", "init=he,xavier", "seed=range(3)"]
    assert flags == {"--multirun": "", "--config-dir": "mine"}


SPELLINGS = st.sampled_from(
    [
        *(
            [name]
            for flag in HYDRA
            for name in flag.names
            if flag.value is None and flag.names[0] not in ("--version",)
        ),
        *(
            [name, value]
            for flag in HYDRA
            for name in flag.names
            if flag.value
            for value in flag.choices or ("x", "a=b")
        ),
        *(
            [f"{name}={value}"]
            for flag in HYDRA
            for name in flag.names
            if flag.value
            for value in flag.choices or ("x", "a=b")
        ),
        ["--info"],
        ["-i"],
    ]
)
OVERRIDES = st.sampled_from(
    ["norm=batch", "init=he,xavier", "optimizer.lr=-1", "~schedule", "+a.b=c", "seed=range(3)"]
).map(lambda word: [word])


@given(st.lists(SPELLINGS | OVERRIDES, max_size=6))
def test_shuffled_words_are_read_as_hydra_reads_flags_and_overrides_apart(parts: list[list[str]]) -> None:
    overrides = [word for part in parts for word in part if not part[0].startswith("-")]
    flags = [word for part in parts for word in part if part[0].startswith("-")]
    expected = vars(get_args_parser().parse_args(flags))
    found, words = parse([word for part in parts for word in part], HYDRA, "train")
    assert words == overrides
    for flag in HYDRA:
        name = flag.names[0]
        value = expected[name.strip("-").replace("-", "_")] if name != "--version" else False
        assert found.get(name, None if flag.value else False) == ("" if value is True else value)


def test_info_without_a_value_leaves_the_next_override_alone() -> None:
    assert parse(["--info", "norm=batch"], HYDRA, "train") == ({"--info": "all"}, ["norm=batch"])
    assert parse(["norm=batch", "-i", "defaults"], HYDRA, "train") == ({"--info": "defaults"}, ["norm=batch"])


def test_of_a_flag_given_twice_the_last_value_counts_as_with_argparse() -> None:
    assert parse(["-cd", "a", "word", "--config-dir=b"], [CONFIG_DIR], "list") == ({"--config-dir": "b"}, ["word"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--multrun"], "--multrun: bnexp train has no such flag; did you mean '--multirun'?"),
        (["--zzzzzzz"], "--zzzzzzz: bnexp train has no such flag; bnexp train --help shows the flags"),
        (["--config-dir"], "--config-dir: the flag lacks its value; write --config-dir DIR"),
        (["--config-dir="], "--config-dir: the flag lacks its value; write --config-dir DIR"),
        (["-cd", "--multirun"], "-cd: the flag lacks its value; write -cd DIR"),
        (["--cfg"], "--cfg: the flag lacks its value; give it one of job, hydra, all"),
        (["-c", "norm=batch"], "-c=norm=batch: must be one of job, hydra, all"),
        (["--cfg=jop"], "--cfg=jop: must be one of job, hydra, all; did you mean 'job'?"),
        (["--info=default"], "must be one of all, config, defaults"),
        (["--multirun=3"], "--multirun=3: the flag takes no value; write --multirun"),
    ],
)
def test_a_mistaken_flag_gets_one_line_that_says_what_to_write(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        parse(["norm=batch", *arguments], HYDRA, "train")
    assert "\n" not in str(caught.value)


def test_the_examples_and_flags_of_the_help_are_understood() -> None:
    examples = re.findall(r"^  bnexp (train.*?)(?:   .*)?$", help_text(), re.MULTILINE)
    assert len(examples) == 6
    for example in examples:
        _, *arguments = shlex.split(example)
        parse(arguments, HYDRA, "train")
    known = {name for flag in HYDRA for name in flag.names}
    assert known.issuperset(re.findall(r"(?<!\S)--?[a-z][a-z-]*", help_text()))


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("dataset.path=~/x.csv", "~/x.csv"),
        ("dataset.path=~/my data/x.csv", "~/my data/x.csv"),
        ("output_dir=~", "~"),
        ("dataset.path=~someone/x.csv", "~someone/x.csv"),
        ("dataset.path='~/x.csv'", "~/x.csv"),
        ("dataset.drop=[~a,b]", ["~a", "b"]),
        ("dataset.path=a~b", "a~b"),
        ("~dataset.path", None),
    ],
)
def test_a_tilde_in_front_of_a_value_reaches_hydra(word: str, values: object) -> None:
    passed = quoted(word)
    if values == "a~b":
        assert passed == word  # which Hydra refuses: it is no home folder
        return
    assert OverridesParser.create().parse_override(passed).value() == values


def test_tildes_in_a_sweep_reach_hydra() -> None:
    passed = quoted("dataset.path=~/a.csv,~/b.csv")
    override = OverridesParser.create().parse_override(passed)
    assert list(override.sweep_string_iterator()) == ['"~/a.csv"', '"~/b.csv"']
