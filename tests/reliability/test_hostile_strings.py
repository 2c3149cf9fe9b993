"""Whatever strangers put into names, values, classes and messages: a terminal is sent nothing that it would obey."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.analysis.synthetic import write_run
from tests.cli.test_status import on_a_terminal
from tests.conftest import command
from tests.test_console import RICHS_OWN
from tests.test_text import ANY, is_harmless

from bnexp.cli.main import main
from bnexp.config.compose import compose_run
from bnexp.errors import ConfigError

CLEAR_AND_TITLE = "\x1b[2J\x1b]0;owned\x07"
HOSTILE = [
    CLEAR_AND_TITLE,
    "\x9b2J\x9d0;owned\x9c",
    "a\rb\bc\x7f",
    "line\nbnexp: another line\u2028\u0085",
    "\u202egnp.exe\u2066",
    "[bold]x[/bold][/] [link=http://x]",
    "\udcff",
]
TEXTS = ANY | st.sampled_from(HOSTILE)
few = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def name(text: str) -> str:
    """The text as far as a file system takes it for a name."""
    kept = "".join(letter for letter in text if letter not in "/\0" and not "\ud800" <= letter < "\udc80")[:40]
    kept = "".join(letter for letter in kept if not "\udd00" <= letter <= "\udfff")
    return f"x{kept}"


def told(words: Sequence[str]) -> tuple[int, list[str], list[str]]:
    """The exit status and the lines of both streams, of which all letters are harmless."""
    out, err = StringIO(newline=""), StringIO(newline="")
    with redirect_stdout(out), redirect_stderr(err):
        status = main(words)
    streams = [stream.getvalue() for stream in (out, err)]
    for content in streams:
        assert is_harmless(content.replace("\n", "")), content
    lines, errors = (content.split("\n") for content in streams)
    assert lines.pop() == errors.pop() == ""
    return status, lines, errors


@few
@given(TEXTS)
@example(CLEAR_AND_TITLE)
@example("line\nbnexp: another line")
def test_a_mistaken_word_is_one_harmless_line(text: str) -> None:
    for words in (
        [f"x{text}"],
        ["train", f"norm=x{text}"],
        ["train", f"x{text}=1"],
        ["train", f"norm.x{text}=1"],
        ["train", f"--x{text}"],
        ["train", f"--cfg=x{text}"],
        ["train", f"--config-dir=x{text}"],
        ["summary", f"--x{text}"],
        ["study", f"x{text}"],
        ["list", f"x{text}"],
        ["list", "norm", f"x{text}"],
        ["status", f"x{text}"],
        ["compare", f"x{text}"],
        ["clean", f"x{text}"],
        ["dashboard", f"x{text}"],
        ["dashboard", f"--port=x{text}"],
        ["landscape", f"x{text}"],
        ["completion", f"x{text}"],
    ):
        status, out, err = told(words)
        assert (status, out, len(err)) == (2, [], 1), (words, err)
        assert err[0].startswith("bnexp: ")


@few
@given(TEXTS, TEXTS)
@example(CLEAR_AND_TITLE, "line\nbnexp: another line")
def test_a_run_of_a_stranger_is_shown_harmlessly(
    tmp_path_factory: pytest.TempPathFactory, one: str, other: str
) -> None:
    root = tmp_path_factory.mktemp("runs")
    arm = root / "outputs" / name(one)
    for number, status in enumerate(("done", "done", "failed", "interrupted")):
        folder = write_run(root, f"{number:010x}", status=status, norm=f"n{one}{number}", environment={"torch": other})
        result = json.loads((folder / "result.json").read_text())
        result |= {"error": f"E: {other}", "notes": [one, other]} if status == "failed" else {"notes": [one]}
        (folder / "result.json").write_text(json.dumps(result))
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["norm"] |= {f"k{other}": one}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        arm.mkdir(parents=True, exist_ok=True)
        folder.rename(arm / folder.name)
    outputs = str(root / "outputs")
    status, out, _ = told(["status", outputs, "--once"])
    assert (status, len(out)) == (0, 1 + 4 + 1)
    assert told(["status", outputs, "--json"])[0] == 0
    told(["compare", outputs])
    told(["compare", outputs, "--json"])
    told(["compare", outputs, "--csv", "-"])
    told(["landscape", outputs])
    _, out, _ = told(["clean", outputs, "--yes"])
    assert len(out) == 2 + 1
    shutil.rmtree(root)


@few
@given(TEXTS)
@example(CLEAR_AND_TITLE)
def test_a_config_folder_of_a_stranger_is_listed_harmlessly(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    mine = tmp_path_factory.mktemp("mine")
    (mine / "norm").mkdir()
    file = mine / "norm" / f"{name(text)}.yaml"
    comment = text.encode("utf-8", "replace")
    file.write_bytes(b"# About " + comment + b"\n_target_: bnexp.nn.norms.batch\neps: 1\n")
    for words in (
        ["list", "-cd", str(mine)],
        ["list", "norm", "-cd", str(mine)],
        ["list", "norm", name(text), "-cd", str(mine)],
        ["completion", "--query", "4", "--", "bnexp", "train", "-cd", str(mine), "norm="],
    ):
        assert told(words)[0] in (0, 2)
    with pytest.raises(ConfigError) as caught:
        compose_run([f"norm=x{name(text)}"], [mine])
    assert is_harmless(str(caught.value).replace("\n", ""))
    shutil.rmtree(mine)


@few
@given(TEXTS)
@example(CLEAR_AND_TITLE)
def test_a_study_of_a_stranger_is_refused_harmlessly(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    mine = tmp_path_factory.mktemp("mine")
    (mine / "study").mkdir()
    node = {"question": text, text or "k": text, "arms": {text: [f"norm={text}"]}, "baseline": text, "cost": text}
    (mine / "study" / "s.yaml").write_text(yaml.safe_dump(node), encoding="utf-8")
    status, out, err = told(["study", "s", "-cd", str(mine)])
    assert (status, out) == (2, [])
    assert err[0].startswith("bnexp: ")
    assert all("study s: " in line or "s.yaml" in line for line in err)
    shutil.rmtree(mine)


QUICK = ["model=mlp", "model.width=4", "training.epochs=1", "training.device=cpu", "training.threads=1"]


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\udcff" not in text], ids=ascii)
def test_a_table_of_a_stranger_is_read_and_described_harmlessly(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([f"number {text}", f"word {text}", "y"])
        table.writerows([number, f"{text}{number % 3}", f"class {text}{number % 2}"] for number in range(60))
    words = ["dataset=csv", "dataset.path=table.csv", *QUICK]
    for start in (["train"], ["check"], ["inspect"], ["summary"]):
        assert told([*start, *words, "dataset.target=y"])[0] in (0, 1, 2)
    status, out, err = told(["train", *words, "dataset.target=nope"])
    assert (status, out, len(err)) == (2, [], 1)
    os.makedirs("images/train", exist_ok=True)  # noqa: PTH103
    Path("images", "train", name(text)).mkdir()
    (Path("images") / "train" / name(text) / f"{name(text)}.png").write_bytes(b"no image")
    status, _, err = told(["train", "dataset=image_folder", "dataset.root=images"])
    assert (status, len(err)) == (2, 1)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_the_live_view_is_harmless(text: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "outputs", status="failed")
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"error": f"E {text}"}))
    folder.parent.rename(tmp_path / "outputs" / name(text))
    shown, status = on_a_terminal(*command("status"), cwd=tmp_path)
    assert status == 0
    assert "failed" in shown
    assert is_harmless(RICHS_OWN.sub("", shown).replace("\n", ""))
