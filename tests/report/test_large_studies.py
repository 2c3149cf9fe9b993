"""A study of many arms does not flood its report: some are drawn, the tables have all, and the report says so."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from tests.report.conftest import MakeOutcome, runs
from tests.report.page import Page

from bnexp.analysis.statistics.learning_rate import Trial
from bnexp.report.document import Table
from bnexp.report.figures.over_rates import draw_accuracy, draw_divergence
from bnexp.report.rate_table import Sweep, rate_blocks, sweep
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


@pytest.mark.parametrize("rates", [[0.1], [0.1, 0.101, 0.2], [10.0 ** (-i / 10) for i in range(40)], [0.1, 0.1001]])
def test_the_axis_of_rates_has_numbers_that_do_not_cover_each_other(rates: list[float]) -> None:
    trials = [Trial("arm", rate, seed, 0.5, 0.6, diverged=False) for rate in rates for seed in (0, 1)]
    figure = draw_accuracy(Sweep(tuple(trials), resolution=0.01))
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].get_xticklabels() if text.get_text()]
    assert len(texts) >= 2
    upright = [text.get_window_extent() for text in texts if not text.get_rotation()]
    assert all(one.x1 < other.x0 for one, other in pairwise(upright))


def test_of_a_small_study_all_is_drawn(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome({"arms": {"A": []}, "baseline": "A", "seeds": 2}, {"A": runs(0.9, 0.8)})
    assert "are drawn, the first" not in write_report(outcome).read_text(encoding="utf-8")
