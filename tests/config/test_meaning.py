"""The field's words lead to bnexp's, and to none where nothing is meant."""

import re
from dataclasses import replace

import pytest

from bnexp.cli.main import COMMANDS as REAL_COMMANDS
from bnexp.config import synonyms
from bnexp.config.folder import choices, config_dir
from bnexp.config.keys import default_choices
from bnexp.config.meaning import Vocabulary, choice_meant, command_meant, vocabulary, words_meant
from bnexp.errors import did_you_mean, plain
from bnexp.studies.definition import CURVES
from bnexp.studies.plan import OWN_KEYS

OWN = [config_dir()]
GROUPS = default_choices(config_dir())
ALL = vocabulary(OWN, {})
KEYS = ALL.keys
FILES = {group: {file.stem for file in (config_dir() / group).glob("[!_]*.yaml")} for group in GROUPS}


def known(**chosen: str) -> Vocabulary:
    return replace(ALL, chosen={**ALL.chosen, **chosen})


CHOICE_WORDS = [
    (g, word, meant) for g, table in synonyms.CHOICES.items() for meant, s in table.items() for word in s.split()
]
KEY_WORDS = [(word, key) for key, words in synonyms.KEYS.items() for word in words.split()]


@pytest.mark.parametrize(("group", "word", "meant"), CHOICE_WORDS)
def test_each_synonym_of_a_choice_leads_to_a_file_and_keys_that_are_there(group: str, word: str, meant: str) -> None:
    first, *others = meant.split()
    assert first in FILES[group]
    for other in others:
        key, _, value = other.partition("=")
        assert value in FILES[key] if key in FILES else first in KEYS[key]
    assert choice_meant(group, word, FILES[group]) is not None
    assert plain(word) not in map(plain, FILES[group]), "a choice of this name is there"


@pytest.mark.parametrize(("word", "key"), KEY_WORDS)
def test_each_synonym_of_a_key_leads_to_a_key_that_is_there(word: str, key: str) -> None:
    assert key in KEYS
    assert word not in KEYS
    group, dot, _ = key.partition(".")
    chosen = {group: sorted(KEYS[key])[0]} if dot else {}
    answers = words_meant(f"{group}.{word}" if dot else word, "7", known(**chosen))
    assert re.match(rf"'?{re.escape(key.partition('.')[0])}", answers[0]), answers


def test_groups_values_switches_commands_metrics_and_words_of_studies_exist() -> None:
    assert synonyms.GROUPS.keys() <= GROUPS.keys()
    assert synonyms.VALUES.keys() <= KEYS.keys()
    assert {words.partition("=")[0] for words in synonyms.SWITCHES.values()} <= {*GROUPS, *KEYS}
    assert {words.split()[0] for words in synonyms.COMMANDS} == REAL_COMMANDS.keys()
    assert synonyms.STUDY_WORDS.keys() == {*OWN_KEYS}
    assert {*synonyms.NOTES} <= set().union(*FILES.values())
    assert {metric for metric in synonyms.METRICS if not metric.startswith(("best", "test", "train/acc"))} <= {*CURVES}


@pytest.mark.parametrize("table", [synonyms.GROUPS, synonyms.COMMANDS, synonyms.METRICS, *synonyms.CHOICES.values()])
def test_a_word_means_one_thing_in_its_table(table: dict[str, str]) -> None:
    words = [(plain(word), name) for name, said in table.items() for word in said.split()]
    homes: dict[str, set[str]] = {}
    for word, name in words:
        homes.setdefault(word, set()).add(name)
    assert {word: names for word, names in homes.items() if len(names) > 1} == {}


MEANT = {
    "lr=0.1": "optimizer.lr=0.1",
    "LR=0.1": "optimizer.lr=0.1",
    "learning-rate=0.1": "optimizer.lr=0.1",
    "learningRate=0.1": "optimizer.lr=0.1",
    "eta=0.1": "optimizer.lr=0.1",
    "optimizer.learning_rate=0.1": "optimizer.lr=0.1",
    "opt.learning_rate=0.1": "optimizer.lr=0.1",
    "training.lr=0.1": "optimizer.lr=0.1",
    "model.lr=0.1": "optimizer.lr=0.1",
    "bs=32": "training.batch_size=32",
    "batch_size=32": "training.batch_size=32",
    "trainer.max_epochs=3": "training.epochs=3",
    "wd=5e-4": "optimizer.weight_decay=5e-4",
    "l2=5e-4": "optimizer.weight_decay=5e-4",
    "momentum=0.8": "optimizer.momentum=0.8",
    "layers=4": "model.depth=4",
    "hidden_size=64": "model.width=64",
    "dropout_rate=0.5": "model.dropout=0.5",
    "random_state=3": "seed=3",
    "device=gpu": "training.device=cuda",
    "gpu=0": "training.device=cuda:0",
    "cuda=false": "training.device=cpu",
    "amp=true": "training.precision=bf16",
    "fp16=true": "training.precision=bf16",
    "precision=16-mixed": "training.precision=bf16",
    "patience=5": "training.early_stopping=5",
    "max_grad_norm=1": "training.gradient_clip=1",
    "augmentation=hflip": "augment=flip",
    "normalization=BatchNorm2d": "norm=batch",
    "initializer=glorot_normal": "init=glorot_normal",
    "initializer=kaiming": "init=he",
    "nonlinearity=swish": "activation=silu",
    "criterion=CrossEntropyLoss": "loss=cross_entropy",
    "lr_scheduler=CosineAnnealingLR": "schedule=cosine",
    "arch=resnet20": "model=resnet model.depth=20",
    "model.norm=bn": "norm=batch",
    "batchnorm=true": "norm=batch",
    "nesterov=True": "optimizer=nesterov",
    "outdir=x y": "'output_dir=x y'",
    "label_smooth=0.1": "training.label_smoothing=0.1",
}


@pytest.mark.parametrize("word", MEANT)
def test_the_first_answer_is_what_is_meant(word: str) -> None:
    key, _, value = word.partition("=")
    assert words_meant(key, value, known())[0] == MEANT[word]


def test_the_keys_of_the_choices_so_far_go_first() -> None:
    csv = known(dataset="csv")
    images = known(dataset="image_folder")
    assert words_meant("data_dir", "x", csv) == ["dataset.path=x"]
    assert words_meant("data_dir", "x", images) == ["dataset.root=x"]
    adam = known(optimizer="adam", norm="batch")
    assert words_meant("epsilon", "1", adam) == ["optimizer.eps=1"]
    assert words_meant("optimizer.learning_rate", "1", known(optimizer="rprop")) == ["optimizer.lr=1"]
    rate = words_meant("momentum", "1", adam)
    assert rate[0] == "norm.momentum=1"
    assert rate[1].startswith("optimizer.momentum=1 (optimizer=momentum, nesterov, rmsprop have it")


@pytest.mark.parametrize("word", ["colour", "foo", "", "-", "quux.lr2", "hydra", "x" * 300, "ä", "norm.colour"])
def test_a_word_that_means_nothing_leads_nowhere(word: str) -> None:
    assert words_meant(word, "3", known()) == []


@pytest.mark.parametrize(("word", "wrong"), [("learning_rate", "min_step"), ("colour", "color_jitter"), ("lr", "rho")])
def test_words_that_hardly_agree_are_no_misspelling(word: str, wrong: str) -> None:
    assert did_you_mean(word, [wrong]) == ""


def test_letters_in_another_case_and_hyphens_are_the_same_word() -> None:
    assert did_you_mean("Cross-Entropy", ["mse", "cross_entropy"]) == "; did you mean 'cross_entropy'?"
    assert command_meant("Tensor-Board") == "dashboard"


def test_a_choice_of_the_users_own_is_found_by_its_name(tmp_path) -> None:
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "my_norm.yaml").write_text("_target_: mine.norm\n")
    assert choice_meant("norm", "MyNorm", choices([tmp_path, *OWN], "norm")) == "my_norm"
