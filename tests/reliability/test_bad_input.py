"""Whatever stands in a configuration: it is valid, or one line says what is wrong. Never another exception."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnexp.config.compose import compose_run
from bnexp.config.folder import choices, config_dir, groups
from bnexp.config.meaning import keys_by_choice
from bnexp.errors import ConfigError
from bnexp.experiment import prepare

FOLDERS = [config_dir()]
GROUPS = [group for group in groups(FOLDERS) if group != "study"]
KEYS = sorted(key for key in keys_by_choice(FOLDERS) if not key.startswith("study"))
DOWNLOADED = {"mnist", "fashion_mnist", "cifar10", "cifar100"}

ODD = st.sampled_from(
    [
        *("", "null", "true", "nan", "inf", "-inf", "1e400", "-0.0", "0", "-1", "1", "2", "3", "0.5", "1.5", "1e-300"),
        *("99999999999999999999", "[]", "[1,2]", "[nan]", "{}", "{a:1}", "{_target_:os.system}", "[[1],[2]]", "'x y'"),
        *("../../etc", "/", "/dev/null", "~", "..", ".", "a/b", "ä", "日本", "'🙂'", "'\\n'", "\\", "'", "$HOME"),
        *("${seed}", "${nope}", "${oc.env:HOME}", "???", "1,2", "range(3)", "glob(*)", "choice(1,2)", "full", "auto"),
        *("0x10", "1_000", "007", "yes", "cuda:99", "mps", "tf32", "bf16", "x" * 300, "\u0000", "\u202e", "a=b", "@c"),
    ]
)
# Not st.floats(): runs flush denormal numbers, and Hypothesis cannot do without them.
NUMBER = st.one_of(st.integers(-3, 200).map(str), st.builds("{}e{}".format, st.integers(-99, 99), st.integers(-9, 3)))
TEXT = st.text(max_size=8)
VALUE = st.one_of(ODD, NUMBER, TEXT)
CHOICE = st.sampled_from(GROUPS).flatmap(
    lambda group: st.sampled_from(
        [name for name in choices(FOLDERS, group) if name not in DOWNLOADED] or ["default"]
    ).map(lambda name: f"{group}={name}")
)
SETTING = st.builds("{}={}".format, st.sampled_from(KEYS), VALUE)
WORD = st.one_of(
    CHOICE,
    SETTING,
    SETTING,
    st.builds("+{}={}".format, st.sampled_from([*KEYS, "norm.x.y.z", "a", "hydra.run.dir"]), VALUE),
    st.builds("~{}".format, st.sampled_from([*KEYS, *GROUPS])),
    st.builds("{}={}".format, TEXT, VALUE),
    st.builds("{}={}".format, st.sampled_from(GROUPS), VALUE),
    TEXT,
)
SMALL = ["dataset.subset=0.1", "training.device=cpu"]


def refused_or_valid(words):
    """Compose and prepare; nothing but a ConfigError may come out, within five seconds."""
    began, refusal = time.process_time(), None
    try:
        prepare(*compose_run(words))
    except ConfigError as error:
        refusal = str(error)
    assert time.process_time() - began < 5  # of its own: other processes may be busy
    assert refusal is None or refusal.strip()
    return refusal is None


@pytest.fixture
def empty(tmp_path_factory, monkeypatch):
    """An empty folder to work in, and a cache outside of it."""
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("BNEXP_PLUGINS", "")
    return folder


FUZZ = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None, "derandomize": True}


@settings(max_examples=100, **FUZZ)
@given(words=st.lists(WORD, max_size=4))
def test_any_configuration_is_valid_or_refused_in_words(empty, words):
    refused_or_valid([*SMALL, *words])
    assert list(empty.iterdir()) == []


@pytest.mark.slow
@settings(max_examples=2000, **FUZZ)
@given(words=st.lists(WORD, max_size=4))
def test_two_thousand_configurations_are_valid_or_refused_in_words(empty, words):
    refused_or_valid([*SMALL, *words])
    assert list(empty.iterdir()) == []


def test_both_happen(empty):
    assert refused_or_valid([*SMALL, "norm=batch"])
    assert not refused_or_valid([*SMALL, "norm=batch", "norm.eps=-1"])
    assert Path.cwd() == empty
    assert os.listdir() == []  # noqa: PTH208
