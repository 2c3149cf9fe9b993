"""The field's words lead to keys and choices that exist, and meaning comes before spelling."""

from __future__ import annotations

import re
from functools import cache

import pytest

from bnexp.config.compose import compose_run
from bnexp.config.folder import choices, config_dir, groups
from bnexp.config.meaning import Vocabulary, default_choices, keys_by_choice, vocabulary_of
from bnexp.config.synonyms import (
    ABSENT,
    CHOICES,
    GROUPS,
    KEYS,
    REMARKS,
    VALUES,
    absence_of,
    choice_called,
    group_called,
    metric_called,
    plain,
    value_called,
)
from bnexp.errors import nearest
from bnexp.ranges import violation, words_of

FOLDERS = [config_dir()]


@cache
def keys() -> dict[str, set[str]]:
    return {key: owners for key, owners in keys_by_choice(FOLDERS).items() if not key.startswith("study.")}


def meant(line: str) -> list[str]:
    """What the last word of a line may mean, after those before it."""
    *before, word = line.split(" ")
    key, equals, value = word.partition("=")
    return vocabulary_of(before).meant(key, value if equals else None)


def test_every_group_in_the_table_is_one() -> None:
    assert set(GROUPS) == set(groups(FOLDERS)) - {"study"}


@pytest.mark.parametrize("words", KEYS)
def test_every_key_in_the_table_is_one(words: str) -> None:
    for word in words.split():
        key, equals, value = word.partition("=")
        assert equals
        assert key in keys() or value in choices(FOLDERS, key)


@pytest.mark.parametrize("words", CHOICES)
def test_every_choice_in_the_table_composes(words: str) -> None:
    group, _, name = words.partition(" ")[0].partition("=")
    composed = compose_run([word for word in words.split() if not word.endswith("…")])
    assert composed.choices[group] == name
    assert all(word.partition("=")[0] in keys() for word in words.split()[1:])


@pytest.mark.parametrize("words", CHOICES)
def test_every_other_name_of_a_choice_leads_to_it(words: str) -> None:
    group = words.partition("=")[0]
    known = choices(FOLDERS, group)
    for name in CHOICES[words].split():
        assert choice_called(group, name, known) == words or plain(name) in map(plain, known)


@pytest.mark.parametrize("words", KEYS)
def test_every_other_name_of_a_key_leads_to_one_that_exists(words: str) -> None:
    vocabulary = Vocabulary(FOLDERS, default_choices())
    for name in KEYS[words].split():
        found = vocabulary.meant(name, "1")
        assert found, name
        for word in " ".join(found).split():
            assert word.partition("=")[0] in {*keys(), *vocabulary.groups}


@pytest.mark.parametrize("key", VALUES)
def test_every_value_in_the_table_is_taken(key: str) -> None:
    group, _, leaf = key.partition(".")
    owner = sorted(keys()[key])[0]
    from bnexp.config.check import schema

    annotation = schema(compose_run([f"{group}={owner}"]).config, group)[leaf].annotation
    for value in VALUES[key]:
        assert violation(value, annotation) is None
        assert value in words_of(annotation)


def test_what_there_is_not_is_no_choice_and_no_key() -> None:
    for name in " ".join(ABSENT).split():
        assert absence_of(name)
        assert not any(name in choices(FOLDERS, group) for group in groups(FOLDERS))
        assert name not in {key.rpartition(".")[2] for key in keys()}


def test_every_remark_is_about_something_in_the_table() -> None:
    assert set(REMARKS) <= {*CHOICES, *KEYS}


MEANT = {
    "lr=0.1": ["optimizer.lr=0.1"],
    "LR=0.1": ["optimizer.lr=0.1"],
    "optimizer.learning_rate=0.1": ["optimizer.lr=0.1"],
    "optimizer=rprop optimizer.learning-rate=0.1": ["optimizer.lr=0.1"],
    "training.lr=0.1": ["optimizer.lr=0.1"],
    "optim.lr=0.1": ["optimizer.lr=0.1"],
    "momentum=0.9": ["optimizer.momentum=0.9"],
    "optimizer=adam norm=batch momentum=0.9": ["norm.momentum=0.9"],
    "norm=batch norm.epsilon=1e-3": ["norm.eps=1e-3"],
    "optimizer=adam norm=batch optimizer.epsilon=1e-3": ["optimizer.eps=1e-3"],
    "betas=[0.9,0.99]": ["optimizer.beta1=… optimizer.beta2=…"],
    "dropout=0.5": ["model.dropout=0.5"],
    "bs=32": ["training.batch_size=32"],
    "l2=1e-4": ["optimizer.weight_decay=1e-4"],
    "epoch=3": ["training.epochs=3"],
    "hidden=64": ["model.width=64"],
    "random_seed=3": ["seed=3"],
    "gpu=true": ["training.device=cuda"],
    "amp=true": ["training.precision=bf16"],
    "amp=false": ["training.precision=…"],
    "precision=fp16": ["training.precision=bf16"],
    "bn=true": ["norm=batch"],
    "batchnorm=false": ["norm=none"],
    "normalization=bn": ["norm=batch"],
    "initializer=kaiming_uniform_": ["init=he_uniform"],
    "optimizer.name=Adam": ["optimizer=adam"],
    "model.norm=BatchNorm2d": ["norm=batch"],
    "model.name=resnet20": ["model=resnet model.depth=20"],
    "resnet": ["model=resnet"],
    "identity": ["init=identity"],
    "colour=red": [],
    "training.colour=red": [],
    "model=mlp dropuot=0.1": [],
}


@pytest.mark.parametrize("line", MEANT)
def test_a_word_means_what_the_field_means_by_it(line: str) -> None:
    assert meant(line) == MEANT[line]


CALLED = {
    "init": {
        "kaiming": "he",
        "kaiming_normal_": "he",
        "nn.init.kaiming_normal_": "he",
        "HeNormal": "he",
        "he_normal": "he",
        "msra": "he",
        "HeUniform": "he_uniform",
        "glorot": "xavier",
        "xavier_normal_": "xavier",
        "xavier_uniform_": "xavier_uniform",
        "GlorotUniform": "glorot_uniform",
        "lecun_normal": "lecun",
        "trunc_normal_": "truncated_normal",
        "eye": "identity",
        "pytorch": "default",
        "RandomNormal": "random_normal",
    },
    "norm": {
        "bn": "batch",
        "BN": "batch",
        "batch_norm": "batch",
        "BatchNorm2d": "batch",
        "BatchNormalization": "batch",
        "ln": "layer",
        "LayerNorm": "layer",
        "layer-norm": "layer",
        "gn": "group",
        "nn.GroupNorm": "group",
        "in": "instance",
        "InstanceNorm2d": "instance",
        "RMSNorm": "rms",
        "weight_norm": "weight",
        "sn": "spectral",
        "frn": "filter_response",
        "SyncBatchNorm": "sync_batch",
        "identity": "none",
        "off": "none",
    },
    "optimizer": {"SGD": "sgd", "AdamW": "adamw", "torch.optim.Adam": "adam", "nag": "nesterov", "sgdm": "momentum"},
    "activation": {"swish": "silu", "nn.LeakyReLU": "leaky_relu", "logistic": "sigmoid", "lrelu": "leaky_relu"},
    "loss": {"ce": "cross_entropy", "nn.CrossEntropyLoss": "cross_entropy", "nll": "cross_entropy", "MSELoss": "mse"},
    "dataset": {"cifar": "cifar10", "CIFAR-10": "cifar10", "fmnist": "fashion_mnist", "imagefolder": "image_folder"},
    "model": {"cnn": "convnet", "fc": "mlp", "ResNet": "resnet", "inception": "googlenet"},
    "schedule": {"CosineAnnealingLR": "cosine", "OneCycleLR": "one_cycle", "MultiStepLR": "step", "none": "constant"},
    "augment": {"RandomCrop": "crop_flip", "hflip": "flip", "off": "none"},
}


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in CALLED.items() for name in names])
def test_a_choice_is_known_by_the_fields_names(group: str, name: str) -> None:
    assert choice_called(group, name, choices(FOLDERS, group)) == f"{group}={CALLED[group][name]}"


@pytest.mark.parametrize("name", ["selu", "prelu", "lamb", "lion", "imagenet", "vit", "plateau", "mae", "q", "", "."])
def test_what_there_is_not_gets_no_neighbour(name: str) -> None:
    vocabulary = Vocabulary(FOLDERS, default_choices())
    for group in vocabulary.groups:
        assert choice_called(group, name, choices(FOLDERS, group)) is None
        hint = vocabulary.instead_of_choice(group, name)
        assert "write " not in hint
        assert "did you mean" not in hint


def test_a_name_of_a_choice_that_a_folder_lacks_means_nothing() -> None:
    assert choice_called("norm", "bn", ["none", "layer"]) is None
    assert group_called("normalization", ["init"]) is None
    assert value_called("training.precision", "fp16", ["fp32"]) is None


@pytest.mark.parametrize(
    ("word", "metric"),
    [
        ("acc", "test/accuracy"),
        ("val_acc", "val/accuracy"),
        ("Validation-Accuracy", "val/accuracy"),
        ("test_loss", "test/loss"),
        ("accuracy/val", "val/accuracy"),
        ("best_val_acc", "best/val/accuracy"),
        ("f1", None),
        ("", None),
    ],
)
def test_a_metric_is_known_by_the_fields_names(word: str, metric: str | None) -> None:
    known = ["test/accuracy", "val/accuracy", "test/loss", "best/val/accuracy"]
    assert metric_called(word, known) == metric


@pytest.mark.parametrize(
    ("word", "candidate"),
    [
        *[("bacth", "batch"), ("sdg", "sgd"), ("Adma", "adam"), ("momentun", "momentum"), ("cross", "cross_entropy")],
        *[
            ("weight-decay", "weight_decay"),
            ("XAVIER", "xavier"),
            ("multirnu", "multirun"),
            ("num_group", "num_groups"),
        ],
    ],
)
def test_a_misspelled_word_is_recognized(word: str, candidate: str) -> None:
    assert nearest(word, [candidate, "unlike_all"]) == candidate


@pytest.mark.parametrize(
    ("word", "candidate"),
    [
        *[("learning_rate", "min_step"), ("norm", "info"), ("depth", "width"), ("lr", "l2"), ("bn", "in")],
        *[("path", "port"), ("epochs", "loss"), ("x" * 1000, "x"), ("", "a"), ("step", "seed")],
    ],
)
def test_another_word_is_not_taken_for_a_misspelling(word: str, candidate: str) -> None:
    assert nearest(word, [candidate]) is None


def test_a_word_is_written_in_one_way_in_the_table() -> None:
    for table in (KEYS, CHOICES):
        for names in table.values():
            assert all(re.fullmatch(r"[a-z0-9_.]+", name) for name in names.split())
