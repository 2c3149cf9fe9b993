"""A config folder or a study from a stranger sets the values of bnexp's choices, and reaches nothing else."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf

from bnexp.cli.main import main
from bnexp.config.choice_file import check_interpolations
from bnexp.config.compose import compose_run, config_loader
from bnexp.config.hydra_words import check_hydra_words
from bnexp.errors import ConfigError

SECRET = "s3cr3t-of-the-user"
QUICK = ["dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.width=8", "training.epochs=1"]
QUICK += ["training.device=cpu", "training.threads=1"]
BATCH = "# Mine\n_target_: bnexp.nn.norms.batch\neps: 0.5\nmomentum: 0.1\naffine: true\ninput: false\n"
CALLBACK = "{callbacks: {x: {_target_: pathlib.Path.touch, _args_: [CANARY]}}}"

PACKAGES = {
    "global": f"# @package _global_\nhydra: {CALLBACK}\n",
    "global with spaces": f"#  @package   _global_\nhydra: {CALLBACK}\n",
    "global behind empty lines": f"\n\n   # @package _global_\nhydra: {CALLBACK}\n",
    "callbacks": "# @package hydra.callbacks.x\n_target_: pathlib.Path.touch\n_args_: [CANARY]\n",
    "another group": "# @package init\n_target_: bnexp.nn.initializers.he_normal_\n",
    "behind a comment": f"# Mine\n# @package _global_\nhydra: {CALLBACK}\n",
}
DEFAULTS = {
    "override": "defaults: [override /hydra/launcher: joblib]\n",
    "override a choice": "defaults: [{override /init: he}]\n",
    "of hydra": "defaults: [/hydra/callbacks: x]\n",
    "moved": "defaults: [{/norm@hydra.callbacks.x: batch}]\n",
    "moved here": "defaults: [batch@hydra.callbacks.x]\n",
    "moved to the top": "defaults: [batch@_global_]\n",
    "absolute": "defaults: [/norm/batch]\n",
    "up": "defaults: [../init/he]\n",
    "optional": "defaults: [optional /hydra/callbacks: x]\n",
    "of another group": "defaults: [{init: he}]\n",
    "interpolated": "defaults: ['${oc.env:SECRET}']\n",
    "interpolated by a choice": "defaults: [{x: '${norm}'}]\n",
    "no list": "defaults: batch\n",
    "keys": "defaults: {norm: batch}\n",
    "null": "defaults: [null]\n",
}
VALUES = {
    "value": "eps: ${oc.env:SECRET}",
    "default": "eps: ${oc.env:NOTHING,${oc.env:SECRET}}",
    "text": "eps: http://host/?k=${oc.env:SECRET}",
    "list": "eps: [1, ['${oc.env:SECRET}']]",
    "dict": "eps: {a: {b: '${oc.env:SECRET}'}}",
    "key": "'${oc.env:SECRET}': 1",
    "nested key": "eps: {'${oc.env:SECRET}': 1}",
    "target": "_target_: ${oc.env:SECRET}",
    "anchor": "momentum: &a ${oc.env:SECRET}\neps: *a",
    "merge": "momentum: &a {b: '${oc.env:SECRET}'}\neps: {<<: *a}",
    "resolver by name": "momentum: env\neps: ${oc.${norm.momentum}:SECRET}",
    "argument by name": "momentum: SECRET\neps: ${oc.env:${norm.momentum}}",
    "spaces": "eps: '${ oc.env : SECRET }'",
    "escaped": 'eps: "\\x24{oc.env:SECRET}"',
    "unicode": 'eps: "\\u0024\\u007boc.env:SECRET}"',
    "folded": "eps: >-\n  ${oc.env:SECRET}",
    "backslash": "eps: '\\${oc.env:SECRET}'",
    "two": "eps: '$${oc.env:SECRET}'",
    "decode": "eps: ${oc.decode:'${oc.env:SECRET}'}",
    "create": "eps: ${oc.create:{_target_:os.system}}",
    "deprecated": "eps: ${oc.deprecated:norm.momentum}",
    "now": "eps: ${now:%Y}",
    "hydra": "eps: ${hydra:runtime.cwd}",
    "select": "eps: ${oc.select:nothing,${oc.env:SECRET}}",
    "dict values": "eps: ${oc.dict.values:norm}",
}
FORMS = {
    "train": ["train"],
    "hydra's run": ["train", "hydra.verbose=false"],
    "cfg": ["train", "--cfg", "job"],
    "cfg of hydra": ["train", "--cfg", "hydra", "--resolve"],
    "multirun": ["train", "-m", "seed=1,2"],
    "hydra's multirun": ["train", "-m", "seed=1,2", "hydra/launcher=basic"],
    "joblib": ["train", "-m", "seed=1,2", "hydra/launcher=joblib"],
    "summary": ["summary"],
    "inspect": ["inspect"],
    "check": ["check"],
}
NAMED = "_target_: bnexp.nn.norms.batch\n"
ATTACKS = {
    **{f"package: {name}": text for name, text in PACKAGES.items()},
    **{f"defaults: {name}": text + BATCH for name, text in DEFAULTS.items()},
    **{f"value: {name}": text if name == "target" else f"{NAMED}{text}\n" for name, text in VALUES.items()},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a config folder ``mine``; a secret in the environment; and what must not have happened."""
    (tmp_path / "work" / "mine" / "norm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SECRET", SECRET)
    handlers, level = logging.root.handlers[:], logging.root.level
    yield tmp_path / "work"
    logging.root.handlers[:] = handlers  # Hydra's --info logs for the whole process
    logging.root.setLevel(level)
    assert not (tmp_path / "canary").exists()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET not in file.read_text(errors="replace")


def refused(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> str:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("bnexp: ")
    return line


def write(place: Path, text: str, name: str = "norm/evil.yaml") -> Path:
    file = place / "mine" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.replace("CANARY", str(place.parent / "canary")))
    return file


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_reaches_beyond_its_group_is_refused(
    attack: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(place, ATTACKS[attack])
    line = refused(capsys, ["train", "-cd", "mine", "norm=evil", *QUICK])
    assert line.startswith(f"bnexp: {file.relative_to(place)}: ")
    assert not Path("outputs").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("attack", ["package: global", "package: callbacks", "defaults: moved", "value: value"])
def test_it_is_refused_in_the_same_words_by_every_command(
    attack: str, form: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place, ATTACKS[attack])
    expected = refused(capsys, ["train", "-cd", "mine", "norm=evil", *QUICK])
    assert refused(capsys, [*FORMS[form], "-cd", "mine", "norm=evil", *QUICK]) == expected
    assert refused(capsys, ["list", "norm", "evil", "-cd", "mine"]) == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.yaml", f"hydra: {CALLBACK}\n"),
        ("hydra/callbacks/evil.yaml", "x: {_target_: pathlib.Path.touch, _args_: [CANARY]}\n"),
        ("hydra/launcher/basic.yaml", "_target_: pathlib.Path.touch\n_args_: [CANARY]\n"),
        ("hydra/config.yaml", f"{CALLBACK}\n"),
    ],
)
def test_a_folder_with_hydras_own_parts_is_refused(
    name: str, text: str, form: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place, text, name)
    assert f"mine/{name.split('/')[0]}: a config folder gives choices" in refused(
        capsys, [*FORMS[form], "-cd", "mine", *QUICK]
    )


def test_what_a_user_sets_in_a_choice_leaves_hydras_own_node_as_it_is(place: Path) -> None:
    write(place, BATCH.replace("momentum: 0.1", "momentum: ${optimizer.lr}") + "hydra:\n  verbose: true\n")
    words = ["norm=evil"]
    nodes = []
    for folders in ([], [place / "mine"]):
        loader = config_loader(folders)
        config = loader.load_configuration("train", words if folders else [], RunMode.MULTIRUN)
        node = OmegaConf.to_container(config.hydra, resolve=False)
        assert isinstance(node, dict)
        nodes.append({key: value for key, value in node.items() if key not in ("runtime", "overrides", "job")})
    assert nodes[0] == nodes[1]


def test_an_interpolation_that_names_another_value_is_filled_in(place: Path) -> None:
    write(place, BATCH.replace("momentum: 0.1", "momentum: ${optimizer.lr}"))
    config, _ = compose_run(["norm=evil", "optimizer.lr=0.25"], [place / "mine"])
    assert config["norm"]["momentum"] == 0.25


def test_bnexps_own_files_may_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNEXP_DATA", "/somewhere")
    assert "/somewhere" in compose_run(["dataset=mnist"])[0]["dataset"].values()


SHADOW = {
    "train": ["train"],
    "hydra's run": ["train", "hydra.verbose=false"],
    "multirun": ["train", "-m", "seed=1,2"],
    "hydra's multirun": ["train", "-m", "seed=1,2", "hydra/launcher=basic"],
}


@pytest.mark.parametrize("form", SHADOW)
def test_a_users_choice_of_the_name_of_one_of_bnexps_wins_everywhere(
    form: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(place, BATCH, "norm/batch.yaml")
    assert main([*SHADOW[form], "-cd", "mine", "norm=batch", *QUICK]) == 0
    assert "missing" not in capsys.readouterr().out
    configs = [yaml.safe_load(file.read_text()) for file in Path("outputs").glob("*/*/config.yaml")]
    assert len(configs) == (2 if "-m" in SHADOW[form] else 1)
    assert all(config["norm"]["eps"] == 0.5 for config in configs)


@pytest.mark.slow
def test_it_wins_in_the_processes_of_a_launcher(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, BATCH, "norm/batch.yaml")
    assert main(["train", "-m", "seed=1,2", "hydra/launcher=joblib", "-cd", "mine", "norm=batch", *QUICK]) == 0
    assert "missing" not in capsys.readouterr().out
    configs = [yaml.safe_load(file.read_text()) for file in Path("outputs").glob("*/*/config.yaml")]
    assert [config["norm"]["eps"] for config in configs] == [0.5, 0.5]


def test_it_wins_where_a_configuration_is_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, BATCH, "norm/batch.yaml")
    for words in (["train", "--cfg", "job", "norm=batch"], ["train", "--info", "config", "norm=batch"]):
        assert main([*words, "-cd", "mine"]) == 0
        assert "eps: 0.5" in capsys.readouterr().out
    assert main(["list", "norm", "batch", "-cd", "mine"]) == 0
    assert "eps: 0.5" in capsys.readouterr().out


ODD = {
    "latin-1": "# Größe\neps: 1\n".encode("latin-1"),
    "utf-16": "eps: 1\n".encode("utf-16"),
    "nul": b"eps: \x00\n",
    "escape": b"# \x1b[2J\neps: 1\n",
    "syntax": b"eps: [1\n",
    "twins": b"eps: 1\neps: 2\n",
    "a list": b"- eps\n",
    "a word": b"eps\n",
    "a number for a key": b"1: 2\n",
    "python": b"eps: !!python/name:os.system\n",
    "another tag": b"eps: !thing 1\n",
    "itself": b"eps: &a [*a]\n",
    "deep": b"eps: " + b"[" * 3000 + b"]" * 3000 + b"\n",
    "laughs": b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 10)) for c in range(ord("b"), ord("k"))),
    "large": b"#" * 1_000_001,
    "two documents": b"eps: 1\n---\neps: 2\n",
    "a day that is none": b"eps: 2001-99-99 00:00:00\n",
    "many digits": b"eps: " + b"1" * 5000 + b"\n",
}


@pytest.mark.parametrize("odd", ODD)
def test_a_file_that_cannot_be_read_gets_the_same_line_from_every_command(
    odd: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place / "mine" / "norm" / "evil.yaml"
    file.write_bytes(ODD[odd])
    if odd == "a day that is none":  # no text is a date to Hydra, so this is a value like any other
        assert main(["list", "norm", "evil", "-cd", "mine"]) == 0
        return
    line = refused(capsys, ["list", "norm", "evil", "-cd", "mine"])
    assert line.startswith("bnexp: mine/norm/evil.yaml")
    for words in (["train"], ["train", "--cfg", "job"], ["summary"]):
        assert refused(capsys, [*words, "-cd", "mine", "norm=evil", *QUICK]).replace(f"{place}/", "") == line


def test_a_file_that_cannot_be_read_does_not_hide_another_mistake(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "mine" / "norm" / "evil.yaml").write_bytes(ODD["latin-1"])
    assert "did you mean 'batch'" in refused(capsys, ["train", "-cd", "mine", "norm=bach", *QUICK])
    assert main(["train", "-cd", "mine", "--cfg", "job", "norm=batch"]) == 0


def test_a_choice_whose_defaults_go_round_is_told_in_a_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(place, "defaults: [other]\n" + BATCH)
    write(place, "defaults: [evil]\n", "norm/other.yaml")
    refused(capsys, ["train", "-cd", "mine", "norm=evil", *QUICK])
    assert main(["list", "norm", "evil", "-cd", "mine"]) == 0


REFUSED = [
    "hydra={callbacks:{x:{_target_:os.system}}}",
    "+hydra.callbacks.x={_target_:os.system}",
    "++hydra.callbacks={x:{_target_:os.system}}",
    "+hydra.callbacks.x=${norm}",
    "+hydra.callbacks.x._target_=os.system",
    "hydra.job_logging={version:1,handlers:{x:{class:os.system}}}",
    "++hydra.job_logging.handlers.x.class=os.system",
    "+hydra.hydra_logging.formatters.x.()=os.system",
    "++hydra.hydra_logging.handlers.x={'()':'ext://os.system'}",
    "hydra.launcher._target_=os.system",
    "hydra.launcher={_target_:os.system}",
    "+hydra.launcher.x={y:{z:[{_target_:os.system}]}}",
    "+hydra.sweeper.sampler={_target_:os.system}",
    "+hydra.sweeper.x._args_=[1]",
    "hydra.launcher={a:1,_recursive_:true}",
    "hydra.searchpath=[file:///tmp]",
    "++hydra.searchpath=[pkg://os]",
    "+norm@hydra.callbacks.x=batch",
    "norm@hydra.launcher=batch",
    "+norm@_global_=batch",
    "+init@norm=he",
    "hydra/launcher@norm=basic",
]
NODES = ["hydra.launcher=${norm}", "hydra.sweeper=${norm}", "+hydra.sweeper.x=${norm}", "+hydra.launcher.x=[${norm}]"]
TAKEN = [
    "hydra.verbose=true",
    "hydra/launcher=joblib",
    "hydra/launcher=basic",
    "hydra/job_logging=default",
    "hydra/job_logging=disabled",
    "hydra.sweep.dir=${output_dir}/x",
    "hydra.job.chdir=true",
    "+hydra.job.env_set.X=1",
    "hydra.mode=MULTIRUN",
    "~hydra.sweeper",
    "norm=batch",
    "+norm.x={_target_:a}",
    "output_dir=a@b",
]


@pytest.mark.parametrize("word", REFUSED)
def test_a_word_that_names_code_for_hydra_or_a_place_for_a_choice_is_refused(
    word: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["train", word], ["train", "-m", "seed=0,1", word], ["train", "--cfg", "hydra", word]):
        assert refused(capsys, words).startswith(f"bnexp: {word}: ")
    with pytest.raises(ConfigError):
        compose_run([word])
    assert not (place / "outputs").exists()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("word", NODES)
def test_a_part_of_hydras_does_not_come_from_a_choice(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a part of Hydra's own" in refused(capsys, ["train", "--cfg", "hydra", word])
    assert "a part of Hydra's own" in refused(capsys, ["train", "-m", "seed=0,1", word])


@pytest.mark.parametrize("word", TAKEN)
def test_a_word_that_chooses_or_sets_a_value_is_taken(word: str) -> None:
    check_hydra_words([word])


STUDY = {
    "question": "Who?",
    "base": QUICK,
    "arms": {"a": ["norm=none"], "b": ["norm=batch"]},
    "baseline": "a",
    "seeds": 1,
}
EVIL_WORDS = [
    "hydra/launcher=joblib",
    "hydra.callbacks.x._target_=os.system",
    "+hydra.callbacks.x=${norm}",
    "hydra.searchpath=[file://mine]",
    "hydra.sweep.dir=/tmp/x",
    "+norm@hydra.callbacks.x=batch",
    "output_dir=${oc.env:SECRET}",
    "output_dir=out/${oc.env:SECRET}",
    "output_dir='${oc.env:SECRET}'",
    "+dataset.x=[a,{b:'${oc.env:SECRET}'}]",
    r"output_dir=$\{oc.env\:SECRET\}",
    "output_dir=${now:%Y}",
]


@pytest.mark.parametrize("where", ["base", "arms", "factors", "settings"])
@pytest.mark.parametrize("word", EVIL_WORDS)
def test_a_study_speaks_of_its_runs_alone(
    word: str, where: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = dict(STUDY)
    if where == "base":
        node["base"] = [*QUICK, word]
    elif where == "arms":
        node["arms"] = {"a": ["norm=none"], "b": ["norm=batch", word]}
    elif where == "factors":
        node["factors"] = {"norm": {"x": [word], "y": ["norm=batch"]}}
    else:
        node["settings"] = {"large": [word]}
    write(place, yaml.safe_dump(node), "study/evil.yaml")
    assert main(["study", "evil", "-cd", "mine"]) == 2
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert all(line.removeprefix("bnexp: ").startswith("study evil: ") for line in err.splitlines())
    assert word in err
    assert not list(place.glob("out*"))


@pytest.mark.parametrize("text", ["${a.b}", "x ${optimizer.lr} ${..y} ${.z}", "100 $", "{a}", "$a", ""])
def test_texts_that_name_values_are_taken(text: str) -> None:
    check_interpolations("file:", {"a": [text]})


@pytest.mark.parametrize("text", [*itertools.chain(VALUES.values())])
def test_every_disguise_is_caught_after_parsing(text: str) -> None:
    with pytest.raises(ConfigError):
        check_interpolations("file:", yaml.safe_load(text))
