"""What ``bnexp list`` says about a small config folder, and that it says something about every real choice."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bnexp.cli import listing
from bnexp.cli.main import main
from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, config_dir, groups

TRAIN = """\
# One run.
defaults:
  - _self_
  - norm: none
  - init: he
  - override hydra/job_logging: none
seed: 0
"""
BATCH = """\
# Batch norm: one mean and variance per channel
# @package norm
_target_: torch.nn.BatchNorm2d
_partial_: true
# Added to the variance.
eps: 1.0e-5
momentum: 0.1  # weight of the new batch
"""
FILES = {
    "train.yaml": TRAIN,
    "norm/batch.yaml": BATCH,
    "norm/none.yaml": "# Outputs as they are\n",
    "norm/_shared.yaml": "# What norms share\neps: 1.0e-5\n",
    "init/he.yaml": "# σ² = 2 / fan_in\n_target_: bnexp.nn.example.he_\n_partial_: true\ngain: 1.0\n",
    "empty/README.md": "no choice here",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write(tmp_path / "configs", FILES)
    monkeypatch.setattr(listing, "config_dir", lambda: folder)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["list", *words]) == 0
    return capsys.readouterr().out


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["list", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.usefixtures("configs")
def test_groups_stand_in_the_order_of_the_defaults_with_their_number_and_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(capsys) == "group  choices  default\nnorm         2  none\ninit         1  he\n"


@pytest.mark.usefixtures("configs")
def test_a_group_lists_its_choices_and_marks_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        printed(capsys, "norm")
        == "  batch  Batch norm: one mean and variance per channel\n* none   Outputs as they are\n"
    )


@pytest.mark.usefixtures("configs")
def test_a_choice_shows_its_description_its_target_and_its_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "norm", "batch") == (
        "norm=batch: Batch norm: one mean and variance per channel\n\ntorch.nn.BatchNorm2d\n\n"
        "# Added to the variance.\neps: 1.0e-5\nmomentum: 0.1  # weight of the new batch\n"
    )
    assert printed(capsys, "norm", "none") == "norm=none: Outputs as they are\n"


@pytest.mark.usefixtures("configs")
def test_the_formula_and_source_come_from_the_docstring_of_code_that_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = '''\
raise RuntimeError("imported")

def he_(weight, *, gain):
    """He's normal of ``weight``.

    Formula: σ² = gain² · 2 / fan_in
    Source: He et al. 2015,
        equation 10.

    More that nobody asked for.
    """
'''
    package = write(tmp_path / "src" / "bnexp", {"__init__.py": "", "nn/example.py": code})
    monkeypatch.setattr(listing.bnexp, "__file__", str(package / "__init__.py"))
    assert printed(capsys, "init", "he") == (
        "init=he: σ² = 2 / fan_in\n\nbnexp.nn.example.he_\nHe's normal of `weight`.\n"
        "Formula: σ² = gain² · 2 / fan_in\nSource: He et al. 2015, equation 10.\n\ngain: 1.0\n"
    )


@pytest.mark.usefixtures("configs")
def test_a_choice_that_builds_on_others_shows_their_values_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "# A preset of batch\ndefaults:\n  - batch\n  - _shared\n  - _self_\nmomentum: 0.5\n"
    mine = write(tmp_path / "mine", {"norm/preset.yaml": code})
    assert printed(capsys, "norm", "preset", "-cd", str(mine)) == (
        "norm=preset: A preset of batch\n\ntorch.nn.BatchNorm2d\n\nmomentum: 0.5\n\n"
        "# Batch norm: one mean and variance per channel\n# Added to the variance.\neps: 1.0e-5\n"
        "momentum: 0.1  # weight of the new batch\n\n# What norms share\neps: 1.0e-5\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nrom"], "nrom: there is no such group; did you mean 'norm'?"),
        (["qqqq"], "qqqq: there is no such group; choose from init, norm"),
        (["norm", "bacth"], "bacth: the group norm has no such choice; did you mean 'batch'?"),
        (["norm", "_shared"], "_shared: the group norm has no such choice"),
        (["norm", "batch", "eps"], "eps: one word too many"),
        (["--config-dir", "nowhere"], "--config-dir=nowhere: no such folder"),
        (["--confg-dir=x"], "--confg-dir: bnexp list has no such flag; did you mean '--config-dir'?"),
    ],
)
@pytest.mark.usefixtures("configs")
def test_a_mistake_gets_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mistake(capsys, *words).startswith(f"bnexp: {message}")


@pytest.mark.usefixtures("configs")
def test_a_users_folder_adds_choices_to_bnexps_groups_and_goes_before_bnexps_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = write(
        tmp_path / "mine",
        {"norm/mine.yaml": "# My own\n", "norm/none.yaml": "# Mine too\n", "extra/x.yaml": "a: 1\n# Of b\nb: 2\n"},
    )
    assert "extra" not in printed(capsys, "--config-dir", str(mine))  # no run has such a group
    assert printed(capsys, "norm", f"--config-dir={mine}").splitlines() == [
        "  batch  Batch norm: one mean and variance per channel",
        "  mine   My own",
        "* none   Mine too",
    ]
    assert printed(capsys, "norm", "mine", "-cd", str(mine)) == "norm=mine: My own\n"
    assert "extra: there is no such group" in mistake(capsys, "extra", "-cd", str(mine))


@pytest.mark.usefixtures("configs")
def test_a_yaml_file_that_is_not_valid_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = write(tmp_path / "mine", {"norm/bad.yaml": "# Bad\na: [1\n"})
    assert f"{mine / 'norm' / 'bad.yaml'}: not valid YAML" in mistake(capsys, "norm", "bad", "-cd", str(mine))


@pytest.mark.parametrize("width", [100, 60, 40, 25])
def test_lines_of_a_terminal_are_no_wider_than_it_and_lose_no_word(configs: Path, width: int) -> None:
    long = {
        f"norm/with_a_long_name_{i}.yaml": f"# A long description, number {i}, of what this does and why\n"
        for i in range(3)
    }
    lines = listing.one_group([write(configs, long)], "norm", width)
    assert all(len(line) <= width for line in lines)
    words = [word for line in listing.one_group([configs], "norm", None) for word in line.split()]
    assert [word for line in lines for word in line.split()] == words


def test_a_choice_is_wrapped_for_a_terminal(configs: Path) -> None:
    lines = listing.one_choice([configs], "norm", "batch", 40)
    assert lines[:4] == ["norm=batch: Batch norm: one mean and", "  variance per channel", "", "torch.nn.BatchNorm2d"]


def test_only_a_terminal_gets_the_line_that_says_how_to_go_on() -> None:
    command = [sys.executable, "-c", "from bnexp.cli.main import main; main(['list'])"]
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, check=True)
    assert b"bnexp list GROUP names the choices of one." in os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)
    assert b"bnexp list GROUP" not in subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def test_every_real_choice_describes_itself_and_every_default_exists() -> None:
    folders = [config_dir()]
    for group in groups(folders):
        for name, path in choices(folders, group).items():
            assert listing.description(path), path
            assert listing.one_choice(folders, group, name, None)
    for group, choice in listing.defaults().items():
        assert choice in choices(folders, group), f"{group}={choice}"


@pytest.mark.parametrize("group", ["init", "norm", "optimizer", "loss", "model", "activation"])
def test_every_choice_that_is_bnexps_own_has_a_formula_and_a_source(group: str) -> None:
    folders = [config_dir()]
    for name, path in choices(folders, group).items():
        if not read_choice(path)["_target_"].startswith("torch."):
            lines = listing.one_choice(folders, group, name, None)
            assert [line for line in lines if re.match(r"Formula: .", line)], name
            assert [line for line in lines if re.match(r"Source: .", line)], name


def test_the_docstring_read_from_the_source_is_the_one_that_python_sees() -> None:
    from bnexp.models.convnet import ConvNet

    assert ConvNet.__doc__
    squeezed = re.sub(r"\s+", " ", ConvNet.__doc__).strip()
    assert re.sub(r"\s+", " ", listing.docstring("bnexp.models.convnet.ConvNet")) == squeezed
    assert listing.docstring("torch.nn.ReLU") == ""


@pytest.mark.parametrize("target", ["[os, system]", "{a: 1}", "3", "bnexp./etc/x.f", "bnexp...x", "bnexp", "null"])
def test_whatever_a_choice_names_it_is_shown_and_not_looked_up(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = write(tmp_path / "mine", {"norm/odd.yaml": f"# Odd\n_target_: {target}\neps: 1\n"})
    assert "norm=odd: Odd\n" in printed(capsys, "norm", "odd", "-cd", str(mine))


@pytest.mark.parametrize("name", ["../init/he", "/etc/x", "a/b", "..", "."])
def test_a_name_that_leads_out_of_a_group_is_no_choice(name: str) -> None:
    assert listing.parts([config_dir()], "norm", name) == []
    assert listing.parts([config_dir()], name, "batch") == []
