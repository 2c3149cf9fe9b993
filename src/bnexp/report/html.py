"""The report as one HTML file that loads nothing: style and figures are inside."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bnexp.report.document import Report
from bnexp.text import printable

TEMPLATES = Path(__file__).parent / "templates"


def as_html(report: Report) -> str:
    """Fill the template; all texts are escaped, the figures alone are taken as they are."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Control characters, and letters that turn the direction of writing, would show something else than there is.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.tests["text"] = lambda block: isinstance(block, str)
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("report.html.j2").render(report=report)
