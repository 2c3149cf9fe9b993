"""A study of many arms does not flood its report: some are drawn, the tables have all, and the report says so."""

from __future__ import annotations

from itertools import product

import pytest
from tests.report.conftest import MakeOutcome, runs
from tests.report.page import Page

from bnexp.report.document import Table
from bnexp.report.figures.over_rates import draw_accuracy, draw_divergence
from bnexp.report.rate_table import rate_blocks, sweep
from bnexp.report.write import write_report


def test_of_a_large_study_some_arms_and_cells_are_drawn_and_the_report_says_so(
    make_outcome: MakeOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = {"init": ["he", "xavier"], "norm": ["none", "batch"], "optimizer.lr": [0.1, 0.2, 0.4]}
    labels = [f"init={a} norm={b} optimizer.lr={c}" for a, b, c in product(*factors.values())]
    node = {"factors": factors, "baseline": labels[-1], "seeds": 2, "target": {"value": 0.6}}
    outcome = make_outcome(node, {label: runs(0.6 + i / 50, 0.61 + i / 50) for i, label in enumerate(labels)})
    monkeypatch.setattr("bnexp.report.outcome.MOST_DRAWN", 4)
    monkeypatch.setattr("bnexp.report.content.MOST_GRIDS", 2)
    monkeypatch.setattr("bnexp.report.content.MOST_LINES", 3)
    assert [arm.label for arm in outcome.drawn_arms] == [*labels[:4], labels[-1]]
    path = write_report(outcome)
    text = path.with_name("report.md").read_text(encoding="utf-8")
    assert text.count("5 of 12 arms are drawn, the first ones with the baseline.") == 5
    assert text.count("The first 3 of 4 are drawn.") == 2
    assert "These are the first 2 of 3 combinations; all are in results.csv." in text
    assert {file.name for file in path.with_name("figures").glob("factors*")} == {
        f"factors-{number}-{kind}"
        for number in (1, 2)
        for kind in ("means.png", "means.svg", "interaction.png", "interaction.svg")
    }
    assert len(Page.of(path.read_text(encoding="utf-8")).tables["Arms"][0]) == 1 + len(labels)


def test_of_many_families_over_the_learning_rate_the_first_are_drawn(make_outcome: MakeOutcome) -> None:
    norms = [f"norm{number}" for number in range(15)]
    node = {"factors": {"norm": norms, "optimizer.lr": [0.1, 1.0]}, "baseline": "norm=norm0 optimizer.lr=0.1"}
    labels = [f"norm={norm} optimizer.lr={rate}" for norm in norms for rate in (0.1, 1.0)]
    found = sweep(make_outcome({**node, "seeds": 1}, {label: runs(0.5) for label in labels}))
    assert found is not None
    for draw in (draw_accuracy, draw_divergence):
        names = [text.get_text().strip() for text in draw(found).legends[0].get_texts()]
        assert names[:14] == [f"norm={norm}" for norm in norms[:14]]
        assert "norm=norm14" not in names
    table = rate_blocks(found)[1]
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == [f"norm={norm}" for norm in norms] * 2


def test_of_a_small_study_all_is_drawn(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome({"arms": {"A": []}, "baseline": "A", "seeds": 2}, {"A": runs(0.9, 0.8)})
    assert "are drawn, the first" not in write_report(outcome).read_text(encoding="utf-8")
