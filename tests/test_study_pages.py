"""The pages of finished studies: every number is that of the runs, every text stays text, every file named exists."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import markdown
import numpy as np
import pytest
import yaml
from scipy import stats

ROOT = Path(__file__).parents[1]
HOSTILE = "=cmd()|`x` <script>alert(1)</script> [a](javascript:b) *c*\n| d"
ACCURACIES = {"none": [0.8, 0.9, 0.85], HOSTILE: [0.95, 0.9]}


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_pages", ROOT / "scripts" / "study_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_pages"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    claims = [
        {"id": "C1", "from": "L1", "claim": HOSTILE, "doubt": "much", "studies": ["mine", "other"],
         "tests": [{"file": "tests/test_floors.py", "verdict": "holds exactly"}]},
        {"id": "C2", "from": "L2", "claim": "b", "doubt": "–", "tests": [{"command": "bnexp check", "verdict": "x"}]},
    ]  # fmt: skip
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "claims.yaml").write_text(yaml.safe_dump(claims))
    return tmp_path / "docs"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A study with a run that failed, one that diverged, and words that would like to be more than words."""
    outputs = tmp_path / "outputs"
    write_study(outputs, "mine", {})
    return outputs


def write_study(outputs: Path, title: str, changes: dict[str, Any]) -> None:
    arms, rows = {}, []
    for index, (label, values) in enumerate(ACCURACIES.items()):
        folders = [f"group/{index}-s{seed}" for seed in range(3)]
        arms[label] = {"parameters": 1234, "examples": {"test": 100}, "runs": folders}
        for seed, folder in enumerate(folders):
            status = "failed" if seed >= len(values) else "diverged" if index == seed == 1 else "done"
            value = values[seed] if seed < len(values) else ""
            rows.append({"arm": f"'{label}", "seed": seed, "status": status, "test/accuracy": value})
            (outputs / folder).mkdir(parents=True, exist_ok=True)
            environment = {"torch": "2.15.0", "python": "3.11.7", "device_name": "a | machine", "threads": 1 + index}
            seconds = {"train": 1.0, "total": 1.5} if status != "failed" else {}
            content = {"status": status, "environment": environment, "seconds": seconds}
            (outputs / folder / "result.json").write_text(json.dumps(content))
    verdict = {
        "text": HOSTILE, "source": "C1", "status": "supported", "estimate": 0.0875, "interval": [None, 0.2],
        "claimed": "at least 0", "n": [3, 2], "seeds_needed": None, "note": "",
    }  # fmt: skip
    open_verdict = verdict | {"status": "undecided", "estimate": None, "interval": [None, None], "note": "one | run"}
    plan = {
        "name": title, "description": HOSTILE, "question": f"Why {HOSTILE}?", "source": ["C1"], "setting": None,
        "overrides": ["output_dir=/secret/place", "training.epochs=2"], "seeds": 3,
        "target": {"metric": "val/accuracy", "value": 0.9}, "arms": arms,
    }  # fmt: skip
    folder = outputs / "studies" / title
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(plan | changes, sort_keys=False))
    verdicts = [verdict, open_verdict | {"seeds_needed": 40}]
    (folder / "verdicts.json").write_text(json.dumps({"verdicts": verdicts}))
    with (folder / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


class Cells(HTMLParser):
    """The tags of a page, and the cells of its tables as a reader sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.in_a_cell = False
        self.feed(markdown.markdown(text, extensions=["tables", "fenced_code"]))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_a_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_a_cell = self.in_a_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.in_a_cell:
            self.rows[-1][-1] += data


def test_the_arms_of_a_page_are_the_runs_means_and_intervals(pages: ModuleType, outputs: Path, docs: Path) -> None:
    assert pages.main(outputs, docs) == 0
    page = (docs / "studies" / "mine.md").read_text()
    rows = Cells(page).rows
    [first, second] = [row for row in rows if row[-1] == "1,234"]
    for row, values in zip((first, second), ACCURACIES.values(), strict=True):
        mean, n = np.mean(values), len(values)
        half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
        low, high = max(0, mean - half), min(1, mean + half)
        assert row[1:4] == [str(n), "" if n == 3 else "1", f"{mean:.4f} ({low:.4f} to {high:.4f})"]
    assert "6 runs: 4 done, 1 diverged, 1 failed" in page
    assert "8 s of run time, added up over all runs; 5 s of it in training steps" in page
    assert "Python 3.11.7, PyTorch 2.15.0" in page
    assert "threads a run: 1, 2" in page


def test_the_verdicts_are_those_of_the_record(pages: ModuleType, outputs: Path, docs: Path) -> None:
    pages.main(outputs, docs)
    rows = Cells((docs / "studies" / "mine.md").read_text()).rows
    assert rows[1][1:] == ["supported", "0.0875", "−∞ to 0.2", "at least 0", "2 to 3", ""]
    assert rows[2][1:] == ["undecided", "–", "one | run", "at least 0", "2 to 3", "about 40"]


def test_hostile_text_stays_text(pages: ModuleType, outputs: Path, docs: Path) -> None:
    pages.main(outputs, docs)
    for page in ("studies/mine.md", "studies/README.md", "claims.md"):
        cells = Cells((docs / page).read_text())
        assert cells.tags <= {"h1", "h2", "p", "a", "pre", "code", "ul", "li", "strong",
                              "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
        assert not any("javascript" in link for link in cells.links)
        assert len({len(row) for row in cells.rows if len(row) != 5}) <= 1  # the table of arms has 5 columns
        assert any("<script>alert(1)</script> [a](javascript:b) *c*" in cell for row in cells.rows for cell in row)


def test_the_command_leaves_out_what_the_file_says_and_where_the_files_went(pages: ModuleType) -> None:
    plan = {"name": "case_study", "setting": None, "overrides": ["output_dir=/x", "init.gain=a b"], "seeds": 10,
            "target": {"metric": "val/accuracy", "value": 0.9}}  # fmt: skip
    assert pages.command(plan) == "bnexp study case_study 'init.gain=a b'"
    assert pages.command(plan | {"seeds": 3, "overrides": []}) == "bnexp study case_study seeds=3"
    assert pages.command(plan | {"setting": "mnist", "overrides": []}) == (
        "bnexp study case_study setting=mnist target=0.9"  # that setting's own target is another
    )
    assert pages.command(plan | {"name": "mine", "target": None}) == "bnexp study mine seeds=10 'init.gain=a b'"


def test_a_claim_has_a_row_for_each_verdict_and_test_and_what_is_not_run_says_so(
    pages: ModuleType, outputs: Path, docs: Path
) -> None:
    pages.main(outputs, docs)
    rows = Cells((docs / "claims.md").read_text()).rows[1:]
    assert [row[4] for row in rows] == ["supported", "undecided", "not run", "holds exactly", "x"]
    assert [row[0] for row in rows] == ["C1 (L1)", "", "", "", "C2 (L2)"]
    assert rows[0][5:] == ["−∞ to 0.2", "2 to 3"]
    assert rows[2][3] == "other"


def test_an_unfinished_study_is_named_and_left_out(
    pages: ModuleType, outputs: Path, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (outputs / "studies" / "begun").mkdir()
    write_study(outputs, "more_seeds", {"arms": {"none": {"runs": ["a", "b"]}}})
    assert pages.main(outputs, docs) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "begun: left out (FileNotFoundError" in lines[0]
    assert "results.csv has 6 rows and not 2; run the study to its end" in lines[1]
    assert {path.name for path in (docs / "studies").iterdir()} == {"README.md", "mine.md"}


CLAIMS = yaml.safe_load((ROOT / "docs" / "claims.yaml").read_text())
STUDIES = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "configs" / "study").glob("*.yaml")}


def test_the_table_has_all_claims_each_tested_somewhere_by_something_that_exists() -> None:
    assert [claim["id"] for claim in CLAIMS] == [f"C{number}" for number in range(1, 45)]
    for claim in CLAIMS:
        assert claim.keys() <= {"id", "from", "claim", "doubt", "studies", "tests"}
        assert claim.get("studies") or claim.get("tests"), claim["id"]
        assert {*claim.get("studies", [])} <= STUDIES.keys()
        for test in claim.get("tests", []):
            assert test.keys() in ({"file", "verdict"}, {"command", "verdict"})
            assert (ROOT / test.get("file", "")).exists(), test
            assert re.match(r"bnexp \w+", test.get("command", "bnexp check"))


def test_studies_and_the_table_agree_on_who_tests_what() -> None:
    declared = {(claim["source"], name) for name, study in STUDIES.items() for claim in study["claims"]}
    assert {(claim["id"], name) for claim in CLAIMS for name in claim.get("studies", [])} == declared
    for name, study in STUDIES.items():
        assert {*study["source"]} == {claim["source"] for claim in study["claims"]}, name


def test_a_remark_stands_on_every_page(pages: ModuleType, outputs: Path, docs: Path) -> None:
    pages.main(outputs, docs, "measured by <candlelight>")
    assert "- measured by &lt;candlelight&gt;\n" in (docs / "studies" / "mine.md").read_text()
    pages.main(outputs, docs)
    assert "candlelight" not in (docs / "studies" / "mine.md").read_text()
