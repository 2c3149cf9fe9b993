"""``bnexp train`` as a person uses it, through the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import command
from tests.sealing import break_seal

QUICK = ["training.epochs=2", "model.width=8"]


def run_folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("outputs/*/*/result.json"))


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def rows(folder: Path, *, timeless: bool = False) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not (timeless and key == "seconds")} for line in lines]


def test_the_demo_reaches_97_percent_and_leaves_the_whole_record(bnexp, tmp_path: Path) -> None:
    done = bnexp("train", "model=convnet", "init=he", "norm=batch")
    assert done.returncode == 0, done.stderr
    [folder] = run_folders(tmp_path)
    assert folder.parent.name == "digits-convnet-he-batch-momentum"
    result = read(folder)
    assert result["status"] == "done"
    assert (folder.name, len(result["fingerprint"])) == (f"{result['fingerprint'][:10]}-s0", 64)
    assert result["metrics"]["test/accuracy"] >= 0.97
    assert str(folder.relative_to(tmp_path)) in done.stdout
    assert "bnexp dashboard" in done.stdout

    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["choices"]["norm"] == "batch"
    assert [row["epoch"] for row in rows(folder)] == list(range(1, 16))
    assert rows(folder)[0].keys() >= {
        "step", "epoch", "seconds", "train/loss", "train/accuracy", "val/loss", "val/accuracy", "lr",
    }  # fmt: skip
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["progress"]["step"] == result["steps"]

    [events] = folder.glob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events)).Reload()
    written = [event.value for event in accumulator.Scalars("val/accuracy")]
    assert written == pytest.approx([row["val/accuracy"] for row in rows(folder)])
    assert [path for path in folder.iterdir() if path.is_dir()] == []

    again = bnexp("train", "model=convnet", "init=he", "norm=batch")
    assert "was not repeated" in again.stdout
    assert read(folder) == result


def test_two_fresh_processes_give_the_same_bits(bnexp, tmp_path: Path) -> None:
    words = [*QUICK, "norm=batch", "augment=crop_flip", "augment.padding=1", "model.dropout=0.3"]
    for place in ("one", "two"):
        assert bnexp("train", *words, f"output_dir={place}").returncode == 0
    [one], [two] = (sorted((tmp_path / place).glob("*/*")) for place in ("one", "two"))
    assert one.name == two.name
    assert rows(one, timeless=True) == rows(two, timeless=True)
    weights = [torch.load(folder / "checkpoint.pt", weights_only=True)["model"] for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_multirun_trains_what_is_missing_and_shows_each_arm(bnexp, tmp_path: Path) -> None:
    words = ["train", *QUICK, "init=default,he", "-m", "norm=none,batch", "seed=range(2)"]
    first = bnexp(*words)
    assert first.returncode == 0, first.stderr
    assert len(run_folders(tmp_path)) == 8
    for arm in ("init=default norm=none", "init=default norm=batch", "init=he norm=none", "init=he norm=batch"):
        assert arm in first.stdout
    assert "±" in first.stdout
    missing = run_folders(tmp_path)[3]
    break_seal(missing)
    (missing / "checkpoint.pt").unlink()
    times = {folder: (folder / "result.json").stat().st_mtime_ns for folder in run_folders(tmp_path)}
    second = bnexp(*words)
    assert second.returncode == 0
    assert second.stdout.count("not repeated") == 7
    assert len(run_folders(tmp_path)) == 8
    assert all((folder / "result.json").stat().st_mtime_ns == old for folder, old in times.items())


def test_a_failed_run_stops_nothing_and_the_status_is_1(bnexp, tmp_path: Path) -> None:
    (tmp_path / "mine" / "schedule").mkdir(parents=True)
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "broken_schedules.py").write_text(
        "import sys\ndef bad(step, num_steps, *, how: str):\n"
        "    sys.exit(3) if how == 'exit' else 1 / 0 if how == 'raise' else None\n    return 1.0\n"
    )
    target = "_target_: broken_schedules.bad\n_partial_: true\nhow: fine\n"
    (tmp_path / "mine" / "schedule" / "bad.yaml").write_text(target)
    done = bnexp(
        "train", "--config-dir", "mine", "-m", "schedule=bad", "schedule.how=raise,exit,fine", *QUICK,
        env={"BNEXP_PLUGINS": "broken_schedules", "PYTHONPATH": str(tmp_path / "plugin")},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    results = {read(folder)["status"]: read(folder) for folder in run_folders(tmp_path)}
    assert sorted(read(folder)["status"] for folder in run_folders(tmp_path)) == ["done", "failed", "failed"]
    assert results["failed"]["error"]
    assert "2 failed" in done.stdout.replace("1 failed\n", "") or done.stdout.count("1 failed") == 2
    assert len(list(tmp_path.glob("outputs/*/*/traceback.txt"))) == 2


def test_a_divergence_is_an_outcome_and_not_a_failure(bnexp, tmp_path: Path) -> None:
    done = bnexp("train", "optimizer=sgd", "optimizer.lr=1e6", *QUICK)
    assert done.returncode == 0, done.stderr
    [folder] = run_folders(tmp_path)
    assert read(folder)["status"] == "diverged"
    assert 1 <= read(folder)["diverged_step"] <= 40
    json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1], parse_constant=pytest.fail)


def test_a_run_that_is_asked_for_twice_counts_once(bnexp, tmp_path: Path) -> None:
    done = bnexp("train", "-m", "seed=0,0", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "±" not in done.stdout.splitlines()[-2]
    assert len(run_folders(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["lines lost", "no status", "foreign checkpoint", "no text"])
def test_a_damaged_record_is_noticed_and_trained_again_where_that_is_asked_for(
    damage: str, bnexp, tmp_path: Path
) -> None:
    assert bnexp("train", *QUICK).returncode == 0
    [folder] = run_folders(tmp_path)
    before = rows(folder, timeless=True)
    (folder / "result.json").write_text("{}")
    if damage == "lines lost":
        (folder / "metrics.jsonl").write_text("")
    elif damage == "foreign checkpoint":
        torch.save({"a": 1}, folder / "checkpoint.pt")
    elif damage == "no text":
        (folder / "metrics.jsonl").write_bytes(b"\xff\xfe")
    again = bnexp("train", *QUICK)
    assert again.returncode == 2
    assert "result.json: is not what was sealed at the run's end" in again.stderr
    assert (folder / "result.json").read_text() == "{}"
    again = bnexp("train", *QUICK, "rerun=true")
    assert again.returncode == 0, again.stderr
    assert read(folder)["status"] == "done"
    assert rows(folder, timeless=True) == before


@pytest.mark.parametrize("damage", ["lines lost", "no status", "foreign checkpoint", "no text"])
def test_damage_to_a_run_that_was_killed_at_its_very_end_is_noticed_and_trained_anew(
    damage: str, bnexp, tmp_path: Path
) -> None:
    assert bnexp("train", *QUICK).returncode == 0
    [folder] = run_folders(tmp_path)
    before = rows(folder, timeless=True)
    (break_seal(folder) / "result.json").write_text("{}")
    if damage == "lines lost":
        (folder / "metrics.jsonl").write_text("")
    elif damage == "foreign checkpoint":
        torch.save({"a": 1}, folder / "checkpoint.pt")
    elif damage == "no text":
        (folder / "metrics.jsonl").write_bytes(b"\xff\xfe")
    again = bnexp("train", *QUICK)
    assert again.returncode == 0, again.stderr
    assert read(folder)["status"] == "done"
    assert rows(folder, timeless=True) == before
    assert ("training starts anew" in again.stderr) == (damage != "no status")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_goes_on_to_the_same_end(
    number: signal.Signals, status: int, bnexp, tmp_path: Path
) -> None:
    words = ["train", "model.width=16", "norm=batch", "training.epochs=25"]
    process = subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: any(len(rows(path.parent)) >= 3 for path in tmp_path.glob("outputs/*/*/checkpoint.pt")), process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == status, stderr
    assert "Traceback" not in stderr
    [folder] = run_folders(tmp_path)
    assert read(folder)["status"] == "interrupted"
    stopped_at = len(rows(folder))
    assert stopped_at < 25
    resumed = bnexp(*words)
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after step" in resumed.stderr
    assert bnexp(*words, "output_dir=undisturbed").returncode == 0
    [undisturbed] = (tmp_path / "undisturbed").glob("*/*")
    assert rows(folder, timeless=True) == rows(undisturbed, timeless=True)
    one, two = (torch.load(path / "checkpoint.pt", weights_only=True)["model"] for path in (folder, undisturbed))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_multirun_stopped_half_way_trains_only_what_is_missing(bnexp, tmp_path: Path) -> None:
    words = ["train", "-m", "norm=none,batch", "seed=range(4)", "training.epochs=4"]
    process = subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(run_folders(tmp_path)) >= 3, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 130, stderr
    assert "mean ± sd over seeds" in stdout
    finished = {folder: (folder / "result.json").read_text() for folder in run_folders(tmp_path)
                if (folder / "seal.json").exists()}  # fmt: skip
    assert 2 <= len(finished) < 8
    second = bnexp(*words)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("not repeated") == len(finished)
    assert len(run_folders(tmp_path)) == 8
    assert all((folder / "result.json").read_text() == text for folder, text in finished.items())


def test_joblib_trains_one_run_per_core_with_the_same_numbers(bnexp, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["train", "-m", "norm=none,batch", "seed=0,1", *QUICK]
    assert bnexp(*words, "output_dir=plain").returncode == 0
    done = bnexp(*words, "output_dir=parallel", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert done.returncode == 0, done.stderr
    plain = {path.parent.name: path for path in (tmp_path / "plain").glob("*/*/metrics.jsonl")}
    parallel = {path.parent.name: path for path in (tmp_path / "parallel").glob("*/*/metrics.jsonl")}
    assert plain.keys() == parallel.keys()
    assert len(plain) == 4
    for name, path in plain.items():
        assert rows(path.parent, timeless=True) == rows(parallel[name].parent, timeless=True)


def test_hydras_flags_work_anywhere(bnexp, tmp_path: Path) -> None:
    done = bnexp("train", "norm=batch", "--cfg", "job", "init=he")
    assert done.returncode == 0
    shown = yaml.safe_load(done.stdout)
    assert shown["norm"]["_target_"] == "bnexp.nn.norms.batch"
    assert shown["init"]["_target_"] == "bnexp.nn.initializers.he_normal_"
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_works_from_another_folder(bnexp, tmp_path: Path) -> None:
    source = Path(__file__).parents[2]
    words = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path / "dist"),
        str(source),
    ]
    subprocess.run([command()[0], *words], check=True, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("bnexp-*.whl")
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)]
    subprocess.run([command()[0], *words], check=True, capture_output=True)
    environment = {"PYTHONPATH": str(tmp_path / "site")}
    where = subprocess.run(
        [command()[0], "-c", "import bnexp.config.folder as f; print(f.config_dir())"],
        cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.strip() == str(tmp_path / "site" / "bnexp" / "configs")
    done = bnexp("train", "norm=batch", *QUICK, env=environment)
    assert done.returncode == 0, done.stderr
    assert read(run_folders(tmp_path)[0])["status"] == "done"


def wait_for(condition, process: subprocess.Popen[str], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
