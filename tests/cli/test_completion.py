"""What the words of a command line may become: asked directly, and by pressing Tab in real shells."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import within

from bnexp.cli import listing
from bnexp.cli.completion import candidates
from bnexp.cli.flags import HYDRA
from bnexp.cli.main import COMMANDS, main
from bnexp.config.folder import config_dir, groups

FILES = {
    "train.yaml": (
        "defaults:\n  - _self_\n  - norm: batch\n  - init: he\n  - training: default\n"
        "  - override hydra/job_logging: none\nseed: 0\noutput_dir: outputs\nhydra:\n  output_subdir: null\n"
    ),
    "norm/batch.yaml": "_target_: torch.nn.BatchNorm2d\n_partial_: true\neps: 1.0e-5\nmomentum: 0.1\n",
    "norm/group.yaml": "_target_: torch.nn.GroupNorm\neps: 1.0e-5\nnum_groups: 8\n",
    "norm/ghost.yaml": "defaults: [batch, _shared, _self_]\nnum_ghosts: 4\nnested:\n  _target_: a.b\n  depth: 1\n",
    "norm/none.yaml": "# nothing to set\n",
    "norm/_shared.yaml": "shared: 1\n",
    "init/he.yaml": "gain: 1\n",
    "init/xavier.yaml": "gain: 1\n",
    "init/xavier_uniform.yaml": "gain: 1\n",
    "training/default.yaml": "epochs: 15\neval_every: 1\n",
    "study/c1.yaml": "settings:\n  large: []\n  small: []\n",
}


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(listing, "config_dir", lambda: folder)
    (tmp_path / "mine" / "norm").mkdir(parents=True)
    (tmp_path / "mine" / "norm" / "my_norm.yaml").write_text("defaults: [_shared]\nsharpness: 3\n")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tr", "train"),
        ("help li", "list"),
        ("train no", "norm="),
        ("train norm=g", "norm=group norm=ghost"),
        ("train norm=batch in", "init="),
        ("train -m init=he,xa", "init=he,xavier init=he,xavier_uniform"),
        ("train -m init=xavier,xa", "init=xavier,xavier_uniform"),
        ("train training.ep", "training.epochs="),
        ("train tr", "training."),
        ("train norm.", "norm.eps= norm.momentum="),
        ("train norm=group norm.", "norm.eps= norm.num_groups="),
        ("train norm=group norm=batch norm.", "norm.eps= norm.momentum="),
        ("train norm=batch,group norm.", "norm.eps= norm.momentum= norm.num_groups="),
        ("train norm=ghost norm.", "norm.eps= norm.momentum= norm.nested.depth= norm.num_ghosts= norm.shared="),
        ("train norm=none norm.", ""),
        ("train norm=bacth norm.", ""),
        ("train se", "seed="),
        ("train st", ""),
        ("train hy", ""),
        ("train --mul", "--multirun"),
        ("su", "summary"),
        ("summary no", "norm="),
        ("summary norm=group norm.", "norm.eps= norm.num_groups="),
        ("summary -", "--json --config-dir --help"),
        ("summary --config-dir mine norm=m", "norm=my_norm"),
        ("train --cfg ", "job hydra all"),
        ("train --cfg=j", "--cfg=job"),
        ("train -i=pl", "-i=plugins"),
        ("train --config-dir mi", ""),
        ("train --config-dir mine norm=m", "norm=my_norm"),
        ("train -m -cd=mine norm=group,m", "norm=group,my_norm"),
        ("train --config-dir mine norm=my_norm norm.", "norm.shared= norm.sharpness="),
        ("train training.epochs=", ""),
        ("list no", "norm"),
        ("list norm g", "group ghost"),
        ("list norm group ", ""),
        ("list --", "--config-dir --help"),
        ("list -cd mi", ""),
        ("list -cd mine norm my", "my_norm"),
        ("dashboard --p", "--port"),
        ("dashboard ou", ""),
        ("study c", "c1"),
        ("study --dry-run c", "c1"),
        ("study c1 se", "seeds= setting="),
        ("study c1 setting=", "setting=large setting=small"),
        ("study c1 norm=g", "norm=group norm=ghost"),
        ("study c1 --", "--dry-run --config-dir --help"),
        ("compare --", "--metric --by --baseline --csv --json --plot --help"),
        ("compare ou", ""),
        ("compare outputs --by no", "norm"),
        ("compare outputs --by norm tr", "training"),
        ("compare outputs --by training.ep", "training.epochs"),
        ("compare outputs --by norm --plot no", ""),
        ("check no", "norm="),
        ("check norm=group norm.", "norm.eps= norm.num_groups="),
        ("check --", "--plot --json --config-dir --help"),
        ("landscape --", "--plot --grid --range --examples --directions --line --help"),
        ("landscape ou", ""),
        ("completion ", "bash zsh"),
        ("completion bash ", ""),
        ("unknown ", ""),
    ],
)
@pytest.mark.usefixtures("configs")
def test_a_word_is_completed_by_what_stands_before_it(line: str, expected: str) -> None:
    *before, current = line.split(" ")
    assert sorted(candidates(["bnexp", *before], current)) == sorted(expected.split())


def test_the_first_word_is_a_command() -> None:
    assert set(candidates(["bnexp"], "")) == {*COMMANDS, "help", "--help", "--version"}


@pytest.mark.usefixtures("configs")
def test_every_flag_of_hydra_is_offered() -> None:
    assert candidates(["bnexp", "train", "norm=batch"], "-") == [flag.names[0] for flag in HYDRA]


@pytest.mark.usefixtures("configs")
def test_the_shell_asks_by_the_number_of_the_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "--query", "2", "--", "bnexp", "train", "norm=gr", "--help"]) == 0
    assert capsys.readouterr().out == "norm=group\n"
    assert main(["completion", "--query", "2", "--", "bnexp", "train", "qqq"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [[], ["fish"], ["bash", "zsh"]])
def test_a_shell_that_is_not_known_gets_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", *words]) == 2
    line = " ".join(["completion", *words])
    assert capsys.readouterr().err == f"bnexp: {line}: name the shell; write bnexp completion bash or zsh\n"


def test_the_real_groups_are_completed_without_anything_heavy_in_good_time() -> None:
    query = ["completion", "--query", "2", "--", "bnexp", "train", "optimizer."]
    heavy = "[name for name in ('torch', 'hydra', 'numpy', 'rich') if name in sys.modules]"
    code = f"import sys; from bnexp.cli.main import main; main({query!r}); print({heavy})"

    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *found, imported = process.stdout.splitlines()
    assert "optimizer.lr=" in found
    assert imported == "[]"
    assert within(0.5, code)  # about 0.07 s


def test_every_real_group_of_a_run_is_offered() -> None:
    offered = {word.rstrip("=.") for word in candidates(["bnexp", "train"], "")}
    assert offered >= set(listing.defaults()) & set(groups([config_dir()]))


# How to start each, and what to type first: load the completion, let Ctrl-T write the line as it stands into a file.
SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        [
            'eval "$(bnexp completion bash)"',
            r"""bind -x '"\C-t": printf %s "$READLINE_LINE" > shown; mv shown line'""",
        ],
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        [
            "autoload -Uz compinit; compinit -u -D; unsetopt automenu",
            'eval "$(bnexp completion zsh)"',
            'show() { print -rn -- "$BUFFER" > shown; mv shown line }; zle -N show; bindkey "^T" show',
        ],
    ),
}


class Terminal:
    """A shell in a terminal: ``press_tab(line)`` returns what the line has become."""

    def __init__(self, shell: str, folder: Path) -> None:
        command, lines = SHELLS[shell]
        self.line = folder / "line"
        self.screen, inner = pty.openpty()
        environment = os.environ | {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "dumb",
        }
        self.process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, cwd=folder, env=environment, start_new_session=True
        )
        os.close(inner)
        for line in lines:
            os.write(self.screen, f"{line}\n".encode())

    def press_tab(self, line: str) -> str:
        os.write(self.screen, f"{line}\t\x14".encode())
        shown = b""
        deadline = time.monotonic() + 60
        while not self.line.exists():
            assert time.monotonic() < deadline, shown.decode(errors="replace")
            if select.select([self.screen], [], [], 0.02)[0]:
                shown += os.read(self.screen, 4096)
        text = self.line.read_text()
        self.line.unlink()
        os.write(self.screen, b"\x05\x15")
        return text

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.screen)


@pytest.fixture
def folder_with_bnexp(configs: Path, tmp_path: Path) -> Path:
    """A folder with a program ``bin/bnexp`` that takes its configs from the folder ``configs``."""
    program = tmp_path / "bin" / "bnexp"
    program.parent.mkdir()
    code = (
        "import sys; from pathlib import Path; import bnexp.config.folder as folder; "
        f'folder.config_dir = lambda: Path("{configs}"); from bnexp.cli.main import main; sys.exit(main())'
    )
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    program.chmod(0o755)
    (tmp_path / "outputs_of_mine").mkdir()
    return tmp_path


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, folder_with_bnexp: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    terminal = Terminal(request.param, folder_with_bnexp)
    yield terminal
    terminal.close()


def test_tab_completes_the_line_in_a_real_shell(terminal: Terminal) -> None:
    expected = {
        "bnexp compl": "bnexp completion ",
        "bnexp train no": "bnexp train norm=",
        "bnexp train norm=gr": "bnexp train norm=group ",
        "bnexp train norm=g": "bnexp train norm=g",
        "bnexp train init=x": "bnexp train init=xavier",
        "bnexp train -m init=he,xavier_": "bnexp train -m init=he,xavier_uniform ",
        "bnexp train tr": "bnexp train training.",
        "bnexp train training.ep": "bnexp train training.epochs=",
        "bnexp train norm=group norm.num": "bnexp train norm=group norm.num_groups=",
        "bnexp train --cfg=j": "bnexp train --cfg=job ",
        "bnexp train --config-dir mine norm=m": "bnexp train --config-dir mine norm=my_norm ",
        "bnexp train --config-dir mi": "bnexp train --config-dir mine/",
        "bnexp train output_dir=outputs_o": "bnexp train output_dir=outputs_of_mine/",
        "bnexp dashboard outputs_o": "bnexp dashboard outputs_of_mine/",
        "cd . && bnexp list norm gr": "cd . && bnexp list norm group ",
    }
    assert {line: terminal.press_tab(line) for line in expected} == expected
