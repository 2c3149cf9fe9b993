"""Write docs/studies/ and docs/claims.md from finished studies.

    bnexp study case_study                     # … and others
    python scripts/study_pages.py              # or: … OUTPUTS DOCS REMARK; else outputs and docs

Reads ``OUTPUTS/studies/*/`` and the ``result.json`` of their runs, and ``DOCS/claims.yaml``. A study that has not come
to its end is named and left out. Pages are written anew; nothing is computed but means, sums and intervals. REMARK is
what the records do not know, of the machine say; it goes onto every page.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from bnexp.analysis.metrics import metric_range
from bnexp.analysis.statistics.student import mean
from bnexp.analysis.statistics.verdict import seeds_in_words
from bnexp.config.folder import choices, config_dir
from bnexp.report.commands import joined
from bnexp.report.markdown import escaped
from bnexp.report.numbers import NONE, accuracy, between, general, minus
from bnexp.studies.definition import read_study

ELSEWHERE = ("output_dir", "rerun", "training.device")
"""Overrides that say where, and not what."""

ENVIRONMENT = {"bnexp": "bnexp", "python": "Python", "torch": "PyTorch", "numpy": "NumPy"}


@dataclass(frozen=True)
class Finished:
    """What lies in one study's folder."""

    folder: Path
    plan: Mapping[str, Any]
    verdicts: Sequence[Mapping[str, Any]]
    rows: Sequence[Mapping[str, str]]

    @property
    def title(self) -> str:
        return self.folder.name

    @cached_property
    def results(self) -> list[tuple[dict[str, Any], float]]:
        """The result of each run, each run once, and when it was written."""
        output_dir = self.folder.parents[1]
        paths = dict.fromkeys(run for arm in self.plan["arms"].values() for run in arm["runs"])
        files = [output_dir / path / "result.json" for path in paths]
        return [(json.loads(file.read_text("utf-8")), file.stat().st_mtime) for file in files if file.exists()]


def main(outputs: Path, docs: Path, remark: str = "") -> int:
    studies, left_out = read_studies(outputs / "studies")
    pages = docs / "studies"
    pages.mkdir(parents=True, exist_ok=True)
    for study in studies:
        (pages / f"{study.title}.md").write_text(study_page(study, remark), encoding="utf-8")
    (pages / "README.md").write_text(index_page(studies), encoding="utf-8")
    claims = yaml.safe_load((docs / "claims.yaml").read_text("utf-8"))
    (docs / "claims.md").write_text(claims_page(claims, studies), encoding="utf-8")
    for line in left_out:
        print(line, file=sys.stderr)
    return 1 if left_out else 0


def read_studies(folder: Path) -> tuple[list[Finished], list[str]]:
    """Return the finished studies by name, and a line for each folder without an answer."""
    found, left_out = [], []
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            plan = yaml.safe_load((path / "study.yaml").read_text("utf-8"))
            verdicts = json.loads((path / "verdicts.json").read_text("utf-8"))["verdicts"]
            with (path / "results.csv").open(encoding="utf-8", newline="") as file:
                rows = [*csv.DictReader(file)]
            if len(rows) != (planned := sum(len(arm["runs"]) for arm in plan["arms"].values())):
                raise ValueError(f"results.csv has {len(rows)} rows and not {planned}; run the study to its end")
            found.append(Finished(path, plan, verdicts, rows))
        except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
            left_out.append(f"{path}: left out ({type(error).__name__}: {error})")
    return found, left_out


def study_page(study: Finished, remark: str) -> str:
    plan = study.plan
    sources = ", ".join(f"[{name}](../claims.md#{name.lower()})" for name in map(escaped, plan["source"])) or NONE
    config = choices([config_dir()], "study").get(plan["name"])
    link = (
        f"[configs/study/{config.stem}.yaml](../../configs/study/{config.stem}.yaml)"
        if config
        else "a study of one's own"
    )
    parts = [
        f"# {escaped(study.title)}",
        escaped(plan["question"]),
        f"Claims: {sources}. Arms and thresholds were declared before the runs, in {link}.",
        f"```console\n$ {command(plan)}\n```",
        "## Verdicts",
        table(("claim", "verdict", "estimate", "95 % interval", "claimed", "n", "seeds needed"), verdict_rows(study)),
        "What a verdict means, and how each interval is made: [statistics](../statistics.md).",
        "## Arms",
        table(("arm", "n", "diverged", "test accuracy, mean (95 % CI)", "parameters"), arm_rows(study)),
        "## Runs",
        "\n".join(f"- {line}" for line in (*run_lines(study), *([escaped(remark)] if remark else []))),
    ]
    return "\n\n".join(parts) + "\n"


def command(plan: Mapping[str, Any]) -> str:
    """Return the line that repeats the study: what is not as in its file, but for where the files went."""
    own = {"seeds": str(plan["seeds"])}
    if plan["target"] and plan["target"]["value"] is not None:
        own["target"] = str(plan["target"]["value"])
    words = [f"setting={plan['setting']}"] if plan["setting"] else []
    words += [f"{key}={value}" for key, value in own.items() if value != usual(plan).get(key)]
    words += [word for word in plan["overrides"] if word.partition("=")[0].lstrip("+~") not in ELSEWHERE]
    return joined(["bnexp", "study", plan["name"], *words])


def usual(plan: Mapping[str, Any]) -> dict[str, str]:
    """Return seeds and target that the study's file asks for; nothing where it is not one of bnexp's own."""
    if plan["name"] not in choices([config_dir()], "study"):
        return {}
    study = read_study(plan["name"])
    found = {"seeds": str(study.seeds)} | ({"target": str(study.target.value)} if study.target else {})
    return found | dict(word.split("=", 1) for word in study.settings.get(plan["setting"] or "", ()))


def verdict_rows(study: Finished) -> list[tuple[str, ...]]:
    return [
        (
            escaped(verdict["text"]),
            f"**{escaped(verdict['status'])}**",
            general(verdict["estimate"]),
            interval(verdict),
            escaped(minus(verdict["claimed"])),
            counts(verdict["n"]),
            seeds_in_words(verdict["seeds_needed"]),
        )
        for verdict in study.verdicts
    ]


def interval(verdict: Mapping[str, Any]) -> str:
    """Write the interval; null is an infinite end, both where nothing is known, for a reason that is noted."""
    low, high = verdict["interval"]
    if low is None and high is None:
        return escaped(verdict["note"] or "unbounded")
    return between(general(-math.inf if low is None else low), general(math.inf if high is None else high))


def counts(n: Iterable[int]) -> str:
    found = sorted({*n})
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def arm_rows(study: Finished) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    # Rows come arm by arm. Their order tells whose they are: a label may have a ' in front of it there.
    remaining = iter(study.rows)
    for label, arm in study.plan["arms"].items():
        own = [next(remaining) for _ in arm["runs"]]
        ended = [row for row in own if row["status"] in ("done", "diverged")]
        values = [float(row["test/accuracy"]) for row in ended if row["test/accuracy"]]
        diverged = sum(row["status"] == "diverged" for row in ended)
        score = test_score(values, len(ended) - len(values), 1 / arm["examples"]["test"])
        rows.append((escaped(label), str(len(ended)), str(diverged or ""), score, f"{arm['parameters']:,}"))
    return rows


def test_score(values: Sequence[float], unscored: int, resolution: float) -> str:
    """Write the mean and its interval; no mean where a run has no score, as the others are the better runs."""
    if unscored:
        return f"no mean: {unscored} without score"
    if not values:
        return NONE
    found = mean(values, resolution).within(*metric_range("test/accuracy"))
    return accuracy(found.value) + ("" if found.note else f" ({between(*map(accuracy, found.interval()))})")


def run_lines(study: Finished) -> list[str]:
    """Say when and where the runs were made, and what did not end."""
    results = [result for result, _ in study.results]
    statuses = Counter(result["status"] for result in results)
    total = len({run for arm in study.plan["arms"].values() for run in arm["runs"]})
    lines = [f"{total} runs: " + ", ".join(f"{count} {escaped(status)}" for status, count in statuses.items())]
    if missing := total - len(results):
        lines[0] += f", {missing} missing"
    if results:
        newest = max(when for _, when in study.results)
        lines.append(f"Ended on {datetime.fromtimestamp(newest, UTC):%Y-%m-%d}")
        surroundings = [result.get("environment", {}) for result in results]
        versions = ", ".join(f"{name} {variants(surroundings, key)}" for key, name in ENVIRONMENT.items())
        machine = (
            f"Machine: {variants(surroundings, 'device_name')}; threads a run: {variants(surroundings, 'threads')}"
        )
        lines += [escaped(versions), escaped(machine)]
        total_seconds, train = (
            sum(result.get("seconds", {}).get(key) or 0.0 for result in results) for key in ("total", "train")
        )
        lines.append(
            f"{total_seconds:,.0f} s of run time, added up over all runs; {train:,.0f} s of it in training steps"
        )
    return lines


def variants(nodes: Iterable[Mapping[str, Any]], key: str) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(node.get(key, "unknown") for node in nodes))


def index_page(studies: Sequence[Finished]) -> str:
    rows = []
    for study in studies:
        statuses = Counter(verdict["status"] for verdict in study.verdicts)
        told = ", ".join(f"{count} {escaped(status)}" for status, count in statuses.items()) or NONE
        rows.append((f"[{escaped(study.title)}]({quote(study.title)}.md)", escaped(study.plan["description"]), told))
    text = (
        "What each study found: question, command, verdicts, arms, versions. Made by `scripts/study_pages.py`; all\n"
        "claims in one table: [claims](../claims.md)."
    )
    return f"# Studies\n\n{text}\n\n{table(('study', 'about', 'verdicts'), rows)}\n"


def claims_page(claims: Sequence[Mapping[str, Any]], studies: Sequence[Finished]) -> str:
    rows = [row for claim in claims for row in claim_rows(claim, studies)]
    text = (
        "What five lecture documents on deep learning (L1 to L5) teach, as bnexp understands it, what speaks against\n"
        "it, and what came out. A claim that a study tests has a verdict for every form in which it was declared;\n"
        "what is true of the code by its construction is held by a test. Made by `scripts/study_pages.py` from\n"
        "`claims.yaml` and the [studies](studies/README.md)."
    )
    header = ("", "claim", "doubt", "tested by", "verdict", "95 % interval", "n")
    return f"# Claims\n\n{text}\n\n{table(header, rows)}\n"


def claim_rows(claim: Mapping[str, Any], studies: Sequence[Finished]) -> list[tuple[str, ...]]:
    """Return a row for each verdict and each test; the first of them says what is claimed."""
    answers: list[tuple[str, ...]] = []
    told = set()
    for study in studies:
        for verdict in study.verdicts:
            if verdict["source"] == claim["id"]:
                told.add(study.plan["name"])
                where = f"[{escaped(study.title)}](studies/{quote(study.title)}.md): {escaped(verdict['text'])}"
                answers.append((where, f"**{escaped(verdict['status'])}**", interval(verdict), counts(verdict["n"])))
    answers += [(f"{escaped(name)}", "not run", "", "") for name in claim.get("studies", []) if name not in told]
    for test in claim.get("tests", []):
        where = f"[{escaped(test['file'])}](../{test['file']})" if "file" in test else f"`{test['command']}`"
        answers.append((where, escaped(test["verdict"]), "", ""))
    name = f'<a id="{claim["id"].lower()}"></a>{claim["id"]} ({claim["from"]})'
    heads = [(name, escaped(claim["claim"]), escaped(claim["doubt"])), *[("", "", "")] * (len(answers) - 1)]
    return [(*head, *answer) for head, answer in zip(heads, answers, strict=True)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown; the cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    given = [*sys.argv[1:], *("outputs", "docs", "")[len(sys.argv) - 1 :]]
    sys.exit(main(Path(given[0]), Path(given[1]), *given[2:]))
