"""Nothing here needs the network, and nothing opens a connection."""

import socket
from pathlib import Path

import pytest
import yaml
from tests.reliability.small import QUICK, ROWS

from bnexp.cli.main import main

LOCAL = (socket.AF_UNIX,)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A process in which every attempt to reach another machine, or to be reached, is noted and fails."""
    tried = []

    def refusing(name):
        original = getattr(socket.socket, name)

        def call(self, *words):
            if self.family in LOCAL:
                return original(self, *words)
            tried.append((name, words))
            raise OSError("there is no network")

        return call

    def refuse(*words, **more):
        tried.append(words)
        raise OSError("there is no network")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refusing(name))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("bnexp.studies.launch.num_cores", lambda: 1)  # all in this process
    monkeypatch.chdir(tmp_path)
    yield tried
    assert tried == []


def test_training_comparing_and_a_study_with_its_report_need_no_network(offline, tmp_path, capsys):
    words = [*ROWS[:-1], *QUICK]
    assert main(["train", *words]) == 0
    assert main(["train", "-m", "norm=none,batch", "seed=0,1", *words]) == 0
    assert main(["compare", "--plot", "curves"]) == 0
    assert main(["status"]) == 0
    assert main(["summary", "model=mlp", "dataset=two_features"]) == 0
    folder = Path("mine") / "study"
    folder.mkdir(parents=True)
    claim = {"text": "It helps", "kind": "difference", "a": "batch", "b": "none", "metric": "test/accuracy", "low": 0.1}
    study = {"question": "Does it help?", "base": words, "arms": {"none": ["norm=none"], "batch": ["norm=batch"]}}
    study |= {"baseline": "none", "seeds": 2, "claims": [claim | {"source": "test"}]}
    (folder / "small.yaml").write_text("# A small study\n" + yaml.safe_dump(study))
    assert main(["study", "small", "--config-dir", "mine"]) == 0
    assert (tmp_path / "outputs" / "studies" / "small" / "verdicts.json").exists()


def test_an_attempt_would_be_noticed(offline):
    with pytest.raises(OSError, match="there is no network"):
        socket.create_connection(("127.0.0.1", 9))
    offline.clear()
