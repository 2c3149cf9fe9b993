"""Writing a study's report into its folder."""

from __future__ import annotations

from pathlib import Path

from bnexp.atomic import write_atomically
from bnexp.report.content import make_report
from bnexp.report.html import as_html
from bnexp.report.markdown import as_markdown
from bnexp.report.outcome import Outcome


def write_report(outcome: Outcome) -> Path:
    """Write ``report.html``, ``report.md`` and ``figures/``; return the path of the first.

    The same runs give the same bytes.
    """
    folder = outcome.plan.folder
    report = make_report(outcome, folder / "figures")
    write_atomically(folder / "report.html", as_html(report).encode())
    write_atomically(folder / "report.md", as_markdown(report).encode())
    return folder / "report.html"
