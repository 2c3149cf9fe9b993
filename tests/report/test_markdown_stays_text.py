"""A text in Markdown is neither a list nor a heading nor a line, and its numbers can be read in the file itself."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from bnexp.report.markdown import escaped


@pytest.mark.parametrize(
    "text", ["1. one", "12) b", "- a", "+ b", "---", "===", "  - c", "-", "1.", "* * *", "# h", "> q"]
)
def test_a_paragraph_in_markdown_stays_one(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"{escaped(text)}\n")
    assert html == f"<p>{text.strip().replace('>', '&gt;')}</p>\n"
    assert "<h" not in MarkdownIt("commonmark").render(f"before\n{escaped(text)}\n")


@pytest.mark.parametrize("text", ["0.887", "+0.1 to 0.2", "−0.3", "-5 to 2", "1.5e+04", "3 of 4", "=x"])
def test_numbers_stay_readable_in_the_markdown_itself(text: str) -> None:
    assert escaped(text) == text
