"""Writing a study's report into its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bnexp.atomic import write_atomically
from bnexp.report.content import make_report
from bnexp.report.document import Figure, Figures, Report
from bnexp.report.html import as_html
from bnexp.report.markdown import as_markdown
from bnexp.report.outcome import Outcome


def write_report(outcome: Outcome) -> Path:
    """Write ``report.html``, ``report.md`` and ``figures/``; return the path of the first.

    The same runs give the same bytes. Figures of an earlier report that this one does not have go.
    """
    folder = outcome.plan.folder
    report = make_report(outcome, folder / "figures")
    write_atomically(folder / "report.html", as_html(report).encode())
    write_atomically(folder / "report.md", as_markdown(report).encode())
    shown = {figure.name for figure in _figures(report)}
    for file in (folder / "figures").glob("*.*"):
        if file.suffix in (".svg", ".png") and file.stem not in shown:
            file.unlink()
    return folder / "report.html"


def _figures(report: Report) -> Iterator[Figure]:
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Figures):
                yield from block.items
