"""A config, a checkpoint, a cache, a dataset or a run folder from a stranger runs no code."""

import hashlib
import os
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.analysis.synthetic import write_run
from tests.reliability.small import ROWS

import bnexp
from bnexp.cli.main import main
from bnexp.config.targets import resolve
from bnexp.data.cache import cached
from bnexp.data.download import Archive, obtain
from bnexp.errors import ConfigError

TARGETS = [
    *("os.system", "posix.system", "os.popen", "os.execv", "subprocess.run", "subprocess.Popen", "pty.spawn"),
    *("builtins.open", "builtins.eval", "builtins.exec", "builtins.__import__", "io.open", "pathlib.Path.touch"),
    *("shutil.rmtree", "shutil.copyfile", "urllib.request.urlretrieve", "importlib.import_module", "runpy.run_path"),
    *(
        "pickle.loads",
        "torch.load",
        "torch.hub.load",
        "torch.serialization.os.system",
        "torch.nn.modules.module.torch.load",
    ),
    *("bnexp.data.cache.os.remove", "bnexp.data.download.shutil.rmtree", "bnexp.nn.norms.os.system"),
    *("hydra.utils.instantiate", "code.interact", "ctypes.CDLL", "bnexp.training.record.RunFolder.clear"),
]


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that only foreign code would make, and an empty folder to work in."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "canary"


def choice(group, name, text):
    folder = Path("mine") / group
    folder.mkdir(parents=True)
    (folder / f"{name}.yaml").write_text(text)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_no_part_of_a_network_is_refused(target):
    with pytest.raises(ConfigError, match=re.escape(f"norm._target_={target}")):
        resolve(target, "norm")


@pytest.mark.parametrize("target", ["os.system", "builtins.open", "bnexp.data.cache.os.remove"])
def test_a_target_that_is_no_part_of_a_network_is_not_called(canary, capsys, target):
    words = f"_target_: {target}\ncommand: touch {canary}\npath: {canary}\nfile: {canary}\nname: {canary}\n"
    choice("norm", "evil", words)
    assert main(["train", "--config-dir", "mine", "norm=evil"]) == 2
    assert f"norm._target_={target}" in capsys.readouterr().err
    assert not canary.exists()
    assert os.listdir() == ["mine"]  # noqa: PTH208


@pytest.mark.parametrize(
    "text",
    [
        "_target_: bnexp.nn.norms.batch\neps: {_target_: os.system, command: touch CANARY}\nmomentum: 0.1\n",
        "_target_: bnexp.nn.norms.batch\neps: [{_target_: os.system, _args_: [touch CANARY]}]\n",
        "_target_: bnexp.nn.norms.batch\n_args_: [touch CANARY]\n",
        "_target_: torch.nn.Sequential\n_args_: [{_target_: os.system, _args_: [touch CANARY]}]\n",
        "_target_: !!python/object/apply:os.system [touch CANARY]\n",
        "_target_: bnexp.nn.norms.batch\neps: !!python/object/apply:os.system [touch CANARY]\n",
        "_target_: bnexp.nn.norms.batch\neps: ${oc.create:{_target_:os.system}}\n",
        "_target_: [os, system]\n",
        "_target_: {_target_: os.system}\n",
    ],
)
def test_nested_and_disguised_code_is_not_called(canary, capsys, text):
    choice("norm", "evil", text.replace("CANARY", str(canary)))
    assert main(["train", "--config-dir", "mine", "norm=evil", *ROWS[:-1]]) == 2
    assert len(capsys.readouterr().err.splitlines()) >= 1
    assert not canary.exists()


class Trap:
    """Pickled, an instruction to make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
def test_weights_of_a_stranger_are_read_without_running_code(canary, capsys, save):
    save({"model": Trap(canary)}, Path("weights.pt"))
    assert main(["train", *ROWS, "model.weights=weights.pt"]) == 2
    assert "model.weights=weights.pt" in capsys.readouterr().err
    assert not canary.exists()


def test_a_run_folder_of_a_stranger_is_read_without_running_code(canary, capsys):
    folder = write_run(Path("outputs"))
    evil = f"a: !!python/object/apply:os.system ['touch {canary}']\n"
    with (folder / "config.yaml").open("a") as config:
        config.write(evil)
    (folder / "checkpoint.pt").write_bytes(pickle.dumps(Trap(canary)))
    (folder / "metrics.jsonl").write_bytes(pickle.dumps(Trap(canary)))
    (folder / "events.out.tfevents.1").write_bytes(pickle.dumps(Trap(canary)))
    (Path("outputs") / "studies" / "x").mkdir(parents=True)
    (Path("outputs") / "studies" / "x" / "study.yaml").write_text(evil)
    for words in (["status", "outputs"], ["compare", "outputs"], ["clean", "outputs"]):
        main(words)
    capsys.readouterr()
    assert not canary.exists()


def test_a_cache_of_a_stranger_is_computed_anew(canary, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    array = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3)
    cached("room", "key", 1, lambda: (array, ""))
    [file] = (tmp_path / "cache" / "bnexp" / "room").iterdir()
    trapped = np.empty(1, dtype=object)
    trapped[0] = Trap(canary)
    for spoil in (
        lambda: np.savez(file, array=trapped),
        lambda: file.write_bytes(pickle.dumps(Trap(canary))),
    ):
        spoil()
        np.testing.assert_array_equal(cached("room", "key", 1, lambda: (array, ""))[0], array)
    assert not canary.exists()


KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]


def test_an_archive_of_a_stranger_decides_neither_paths_nor_kinds(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with tarfile.open(folder / "set.tar.gz", "w:gz") as tar:
        for number, kind in enumerate(KINDS):
            member = tarfile.TarInfo(f"set/{number}")
            member.type, member.linkname = kind, str(secret)
            tar.addfile(member)
        for name in ("../canary", str(tmp_path / "canary"), "set/../../canary", "set/x/../../../canary"):
            tar.addfile(tarfile.TarInfo(name))
    body = (folder / "set.tar.gz").read_bytes()
    wanted = [folder / "set" / str(number) for number in range(len(KINDS))]
    obtain(Archive([], hashlib.md5(body).hexdigest(), folder / "set.tar.gz", wanted))
    assert {path.name for path in tmp_path.rglob("*")} <= {"data", "secret", "set", "set.tar.gz", ".set.tar.gz.lock"}


def test_an_archive_of_another_checksum_is_not_opened(tmp_path):
    """So neither traversal nor a bomb gets as far as being unpacked."""
    (tmp_path / "set.gz").write_bytes(b"no archive at all")
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        obtain(Archive(["http://127.0.0.1:9/set.gz"], "0" * 32, tmp_path / "set.gz", [tmp_path / "set"]))
    assert not (tmp_path / "set").exists()


def test_no_module_reads_a_format_that_can_hold_code():
    """Every load of PyTorch's is of weights alone, each of NumPy's without pickles, each YAML loader a safe one."""
    source = Path(bnexp.__file__).parent
    calls = {str(file.relative_to(source)): file.read_text() for file in source.rglob("*.py")}
    for name, text in calls.items():
        assert not re.search(r"\bimport (pickle|shelve|marshal|dill|joblib)\b|\byaml\.(unsafe_|full_)", text), name
        assert all("weights_only=True" in line for line in text.splitlines() if re.search(r"\btorch\.load\(", line)), (
            name
        )
        assert all("allow_pickle=False" in line for line in text.splitlines() if re.search(r"\bnp\.load\(", line)), name
