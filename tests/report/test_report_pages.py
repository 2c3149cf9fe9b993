"""Reports of odd and hostile studies; the page loads nothing, closes what it opens, and comes out the same twice."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests.report.conftest import FakeRun, MakeOutcome, runs
from tests.report.page import Page

from bnexp.report.answer import answer
from bnexp.report.commands import joined, study_command
from bnexp.report.cost_table import measured_with
from bnexp.report.figures import files
from bnexp.report.figures.every_seed import draw_every_seed
from bnexp.report.outcome import Outcome
from bnexp.report.write import write_report
from bnexp.studies.definition import parse_study
from bnexp.studies.evidence import Evidence
from bnexp.studies.launch import LOCKSTEP, Launcher
from bnexp.studies.launches import record_launch
from bnexp.studies.plan import make_plan

HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd()|'/C calc'!A0",
    "a|b `x` *y* _z_ [l](javascript:alert(1)) ![i](http://evil.example/x.png)",
    "one\ntwo \u202etxt.exe --><img src=x onerror=alert(1)>",
    "$\\frac{1}{0}$ ünï ☃ &lt;b&gt; {{ 7*7 }} {% raw %}",
    "_hidden",
]


def markdown(path: Path) -> str:
    """The report in Markdown, as a renderer that lets HTML through shows it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    return str(parser.render(path.with_name("report.md").read_text(encoding="utf-8")))


def pages(outcome: Outcome) -> list[Page]:
    path = write_report(outcome)
    return [Page.of(path.read_text(encoding="utf-8")), Page.of(markdown(path))]


def two_arms(seeds: int = 3, **keys: Any) -> dict[str, Any]:
    claim = {"text": "A wins", "kind": "difference", "a": "A", "b": "B", "metric": "test/accuracy", "low": 0.0}
    arms = {"A": ["norm=batch"], "B": ["norm=none"]}
    return {"arms": arms, "baseline": "B", "seeds": seeds, "claims": [claim], **keys}


def figures_of(outcome: Outcome) -> set[str]:
    return {path.name for path in (outcome.plan.folder / "figures").iterdir()}


def test_the_page_loads_nothing_and_has_both_colour_schemes(make_outcome: MakeOutcome) -> None:
    path = write_report(make_outcome(two_arms(target={"value": 0.8}), {"A": runs(0.9, 0.8, 0.9), "B": runs(0.7, 0.6)}))
    text = path.read_text(encoding="utf-8")
    page = Page.of(text)
    names = [name for name, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "embed", "image", "img", "base", "form"} & {*names}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "xlink:href", "src", "srcset", "action", "data"):
                assert value is not None
                assert value.startswith("#")
    assert not re.search(r"url\((?!#)|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len({*ids}), "two figures share a name"
    used = {value for _, node in page.tags for name, value in node.items() if name in ("href", "xlink:href")}
    used |= {f"#{name}" for name in re.findall(r"url\(#([^)]+)\)", text)}
    assert {value.removeprefix("#") for value in used if value} <= {*ids}
    assert names.count("svg") == len(list(path.with_name("figures").glob("*.svg"))) == 5
    linked = re.findall(r"figures/[\w-]+\.svg", path.with_name("report.md").read_text(encoding="utf-8"))
    assert all((path.parent / name).with_suffix(kind).stat().st_size for name in linked for kind in (".svg", ".png"))
    assert len(linked) == 5


def test_the_same_runs_give_the_same_bytes(make_outcome: MakeOutcome) -> None:
    factors = {"init": ["he", "xavier"], "norm": ["none", "batch"]}
    node = {"factors": factors, "baseline": "init=he norm=none", "seeds": 2, "target": {"value": 0.6}}
    labels = [f"init={init} norm={norm}" for init in factors["init"] for norm in factors["norm"]]
    outcome = make_outcome(node, {label: runs(0.5 + 0.1 * i, 0.52 + 0.1 * i) for i, label in enumerate(labels)})

    def write() -> dict[str, bytes]:
        shutil.rmtree(outcome.plan.folder / "figures", ignore_errors=True)
        folder = write_report(outcome).parent
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    first = write()
    assert write() == first
    assert {"report.html", "report.md", "figures/factors-1-means.png", "figures/final-accuracy.svg"} <= first.keys()


def test_hostile_names_come_out_as_text(make_outcome: MakeOutcome) -> None:
    evil = HOSTILE[0]
    node = {
        "question": evil + HOSTILE[2],
        "source": [HOSTILE[2]],
        "arms": {name: [f"norm={name}"] for name in HOSTILE},
        "baseline": HOSTILE[1],
        "seeds": 2,
        "claims": [
            {"text": name, "source": name, "kind": "difference", "metric": "test/accuracy", "low": 0.0,
             "a": HOSTILE[0], "b": HOSTILE[1]} for name in HOSTILE
        ],
    }  # fmt: skip
    found = {name: [FakeRun([0.5], 0.5, notes=[evil]), FakeRun([0.6], 0.6, status="failed")] for name in HOSTILE}
    outcome = make_outcome(node, found)
    path = write_report(outcome)
    shown = [name.replace("\n", "\\n").replace("\u202e", "\\u202e") for name in HOSTILE]
    shown = [" ".join(name.split()) for name in shown]
    for text in (path.read_text(encoding="utf-8"), markdown(path)):
        page = Page.of(text)
        assert not {"script", "b"} & {name for name, _ in page.tags}
        assert not [1 for _, node in page.tags if "onerror" in node or "evil" in str(node.get("src"))]
        links = [node["href"] for name, node in page.tags if name == "a"]
        assert all(link is not None and link.startswith("#") for link in links)
        assert "\u202e" not in text
        rows = [row for row in page.tables["Verdicts"][0][1:] if len(row) > 1]
        assert [row[1] for row in rows] == [name.replace("one\\ntwo", "one two") for name in shown]
        assert [row[-1] for row in rows] == shown
        assert [row[0] for row in page.tables["Arms"][0][1:]] == shown
        errors = page.tables["What was run"][-1][1:]
        assert [row[2:] for row in errors] == [["failed", "OSError: no <b>disk</b>"]] * len(HOSTILE)
        assert evil in page.texts["What was run"]
    with path.with_name("results.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    figures = "".join(file.read_text(encoding="utf-8") for file in path.with_name("figures").glob("*.svg"))
    assert "<script" not in figures
    commands = [text for text in Page.of(path.read_text(encoding="utf-8")).texts["What was run"] if "train" in text]
    quoted = [command for command in commands if "$'" not in command]
    words = [shlex.split(command)[3] for command in quoted]
    assert words == [f"norm={name}" for name in HOSTILE if name.isprintable()]


def test_a_command_with_a_line_break_is_one_line_that_bash_reads_back(make_outcome: MakeOutcome) -> None:
    words = ["norm=it's\na `b` \\n \x1b $x", "plain", "a b"]
    line = joined(words)
    assert len(line.splitlines()) == 1
    told = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert told.decode().split("\0")[:-1] == words


def test_no_factors_no_target_no_claims(make_outcome: MakeOutcome) -> None:
    node = {"arms": {"A": [], "B": ["norm=batch"]}, "baseline": "A", "seeds": 2}
    outcome = make_outcome(node, {"A": runs(0.5, 0.6), "B": runs(0.7, 0.9)})
    for page in pages(outcome):
        assert page.texts["Verdicts"] == ["The study declares no claim."]
        assert page.texts["Time to target"] == ["The study sets no target."]
        answer = " ".join(page.texts["Does it?"])
        assert "No claim was declared, so nothing is judged. The largest difference" in answer.replace("\n", " ")
        assert "+0.2500 (B; 95 % interval" in answer
        assert not [heading for heading in page.tables if heading.startswith(("Factors", "Over"))]
    assert "target-steps.png" not in figures_of(outcome)


def test_one_arm_with_one_run_has_no_interval_and_says_why(make_outcome: MakeOutcome) -> None:
    node = {"arms": {"A": []}, "baseline": "A", "seeds": 1, "target": {"value": 0.4}}
    for page in pages(make_outcome(node, {"A": runs(0.5)})):
        assert page.tables["Arms"][0][1] == ["A", "1", "0", "0.5000", "one run", "baseline", "", ""]
        assert any("fewer than two runs" in text for text in page.texts["Arms"])
        assert page.tables["Time to target"][0][1][:5] == ["A", "1 of 1", "20", "20", "one run"]
        assert any("The mean test accuracy of A is 0.5000" in text for text in page.texts["Does it?"])


def test_all_diverged(make_outcome: MakeOutcome) -> None:
    lost = [FakeRun([0.1], 0.1, losses=[None], status="diverged") for _ in range(3)]
    outcome = make_outcome(two_arms(target={"value": 0.8}), {"A": lost, "B": lost})
    for page in pages(outcome):
        assert page.tables["Time to target"][0][1][:4] == ["A", "0 of 3", "never", "–"]
        assert page.tables["Diagnosis"][0][1][4].startswith("training diverges")
        assert [row[1:] for row in page.tables["What was run"][-1][1:]] == [["0", "7"], ["1", "7"], ["2", "7"]] * 2
        assert any("6 of 6 finished runs diverged" in text for text in page.texts["Does it?"])


def test_unfinished_runs_are_counted_and_named(make_outcome: MakeOutcome) -> None:
    stopped = FakeRun([0.2], 0.2, status="interrupted")
    outcome = make_outcome(two_arms(target={"value": 0.8}), {"A": [*runs(0.9), None, stopped], "B": [None, None, None]})
    for page in pages(outcome):
        assert any("5 of 6 runs have no answer (1 interrupted, 4 missing)" in text for text in page.texts["Does it?"])
        assert [row[:5] for row in page.tables["Arms"][0][1:]] == [
            ["A", "1 of 3", "0", "0.9000", "one run"],
            ["B", "0 of 3", "0", "–", "no run"],
        ]
        [verdict] = [row for row in page.tables["Verdicts"][0][1:] if len(row) > 1]
        assert verdict[2:5] == ["undecided", "–", "no run"]
        lost = page.tables["What was run"][-1][1:]
        assert [row[:3] for row in lost][:2] == [["A", "1", "missing"], ["A", "2", "interrupted"]]


def test_nothing_has_finished(make_outcome: MakeOutcome) -> None:
    factors = {"norm": ["none", "batch"], "optimizer.lr": [0.1, 1.0]}
    node = {"factors": factors, "baseline": "norm=none optimizer.lr=0.1", "seeds": 2, "target": {"from_baseline": True}}
    outcome = make_outcome(node, {})
    for page in pages(outcome):
        assert any(text.startswith("No run has finished.") for text in page.texts["Does it?"])
    assert not (outcome.plan.folder / "figures").exists()


def test_many_arms_get_a_pane_each_and_stay_in_the_page(make_outcome: MakeOutcome) -> None:
    node = {"arms": {f"arm {i:02d}": [f"norm.eps={i}"] for i in range(22)}, "baseline": "arm 00", "seeds": 2}
    found = {f"arm {i:02d}": runs(0.5 + i / 100, 0.51 + i / 100) for i in range(22)}
    path = write_report(make_outcome({**node, "target": {"value": 0.6}}, found))
    assert path.read_text(encoding="utf-8").count('<figure class="wide">') == 3


def test_arms_that_share_their_runs_are_drawn_and_compared_once(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(two_arms(), {"A": runs(0.9, 0.8, 0.85), "B": runs(0.9, 0.8, 0.85)})
    first, second = outcome.plan.arms
    twin = replace(outcome, plan=replace(outcome.plan, arms=(replace(first, jobs=second.jobs), second)))
    for page in pages(twin):
        assert page.tables["Arms"][0][1][5] == "the baseline's runs"
        assert [row[0] for row in page.tables["Cost"][0][1:]] == ["A"]
        assert any("B is another name for the runs of A." in text for text in page.texts["Arms"])


def test_a_figure_that_fails_leaves_a_line_and_the_rest_of_the_report(
    make_outcome: MakeOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> list[Path]:
        raise RuntimeError("no <font>")

    monkeypatch.setattr(files, "save", broken)
    outcome = make_outcome(two_arms(), {"A": runs(0.9, 0.8, 0.9), "B": runs(0.7, 0.6, 0.7)})
    for page in pages(outcome):
        lines = [text for text in page.texts["Final accuracy, every seed"] if "could not be drawn" in text]
        assert lines == ["The figure final-accuracy could not be drawn: RuntimeError: no <font>"]
        assert page.tables["Arms"]


def test_a_run_that_got_nothing_right_is_a_point_too(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(two_arms(), {"A": runs(0.0, 0.5, 0.25), "B": runs(0.0, 0.1, status="diverged")})
    [axes] = draw_every_seed(outcome).axes
    shown = {
        sign: sorted(float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == sign) for sign in "ox"
    }
    assert shown == {"o": [0.0, 0.25, 0.5], "x": [0.0, 0.1]}


def test_times_are_in_epochs_where_arms_have_different_numbers_of_steps(make_outcome: MakeOutcome) -> None:
    quick = [FakeRun([0.5, 0.8, 0.9], 0.9, steps=1) for _ in range(3)]
    outcome = make_outcome(two_arms(target={"value": 0.7}), {"A": quick, "B": runs(0.9, 0.8, 0.6)})
    first, second = outcome.plan.arms
    shorter = replace(first, jobs=tuple(replace(job, num_steps=3) for job in first.jobs))
    mixed = replace(outcome, plan=replace(outcome.plan, arms=(shorter, second)))
    for page in pages(mixed):
        [table] = page.tables["Time to target"]
        assert table[0][2:4] == ["median epochs", "mean epochs"]
        # Evaluations lie 1 epoch apart: A arrives at 2, 2, 2, and B at 2, 2 and not until 3, where its budget ends.
        assert [row[1:4] for row in table[1:]] == [["3 of 3", "2", "2"], ["2 of 3", "2", "2.33"]]
        assert any("up to 3 epochs" in text for text in page.texts["Time to target"])
    assert "target-epochs.svg" in figures_of(mixed)


def test_curves_that_are_damaged_are_named(make_outcome: MakeOutcome) -> None:
    node = {"arms": {"A": []}, "baseline": "A", "seeds": 1}
    outcome = make_outcome(node, {"A": runs(0.5)})
    outcome.arms[0].runs[0].result["steps"] = 99  # the rows end before
    for page in pages(outcome):
        [line] = page.texts["Learning curves"]
        assert line.startswith("not drawn: ")
        assert line.endswith("metrics.jsonl is missing or damaged")


LAUNCHES = [
    ([], "How many runs shared the machine while the seconds were measured is not known."),
    ([(6, 2)], "Seconds were measured with 2 runs at a time."),
    ([(6, 1), (1, 1)], "Seconds were measured with one run at a time."),
    ([(4, 2), (2, 1)], "Seconds were measured with 2 runs at a time (4 runs launched) and one run at a time "
     "(2 runs launched)."),
    ([(2, None)], "Seconds were measured with as many runs at a time as the launcher cluster placed on a machine; of "
     "4 runs or more, trained otherwise, it is not known."),
]  # fmt: skip


def test_figures_of_an_earlier_report_go_and_other_files_stay(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(two_arms(), {"A": runs(0.9, 0.8, 0.9), "B": runs(0.7, 0.6, 0.7)})
    figures = outcome.plan.folder / "figures"
    figures.mkdir(parents=True)
    for name in ("heat-map-9.svg", "heat-map-9.png", "notes.txt"):
        (figures / name).touch()
    shown = set(
        re.findall(r"figures/([\w.-]+)", write_report(outcome).with_name("report.md").read_text(encoding="utf-8"))
    )
    assert shown
    assert {file.name for file in figures.iterdir()} == {
        "notes.txt", *(Path(name).with_suffix(kind).name for name in shown for kind in (".svg", ".png"))
    }  # fmt: skip


def test_seeds_in_lockstep_are_told_of(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(two_arms(), {"A": runs(0.9, 0.8, 0.9), "B": runs(0.7, 0.6, 0.7)})
    record_launch(outcome.plan.folder, Launcher(LOCKSTEP, None, lambda jobs: []), 6)
    assert "with seeds of an arm in lockstep" in measured_with(outcome)
    assert "the seconds of a run are its share." in measured_with(outcome)


@pytest.mark.parametrize(("launches", "told"), LAUNCHES)
def test_the_load_of_the_machine_is_told_as_far_as_it_is_known(
    launches: list[tuple[int, int | None]], told: str, make_outcome: MakeOutcome
) -> None:
    outcome = make_outcome(two_arms(), {"A": runs(0.9, 0.8, 0.9), "B": runs(0.7, 0.6, 0.7)})
    for count, at_a_time in launches:
        record_launch(outcome.plan.folder, Launcher("cluster", at_a_time, lambda jobs: []), count)
    assert measured_with(outcome) == told


def test_the_answer_has_real_minus_signs(make_outcome: MakeOutcome) -> None:
    claim = {"text": "A holds up", "kind": "equivalence", "a": "A", "b": "B", "metric": "test/accuracy", "margin": 0.05}
    outcome = make_outcome(two_arms() | {"claims": [claim]}, {"A": runs(0.7, 0.6, 0.7), "B": runs(0.9, 0.8, 0.9)})
    second = answer(outcome)[1]
    assert "claimed is between −0.05 and 0.05, found −0.2 (95 % interval −0.3" in second
    assert " -" not in second


def test_the_command_of_a_study_names_the_same_study_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = {"question": "?", "base": ["model.depth=3", "model.width=4", "training.epochs=2"], "baseline": "A",
            "arms": {"A": [], "B": ["norm=batch"]}, "seeds": 2, "target": {"value": 0.5},
            "settings": {"wide": ["model.width=8", "seeds=3", "target=0.7"]}}  # fmt: skip
    study = parse_study("mine", "", node)
    for words in ([], ["seeds=1", "target=1e-5"], ["setting=wide", "training.epochs=1", "rerun=true"]):
        plan = make_plan(study, words)
        command = shlex.split(study_command(Outcome(plan, Evidence([]), ())))
        assert command[:3] == ["bnexp", "study", "mine"]
        again = make_plan(study, command[3:])
        assert (again.folder, again.study, again.rerun) == (plan.folder, plan.study, False)
        assert [job.path for job in again.jobs] == [job.path for job in plan.jobs]
