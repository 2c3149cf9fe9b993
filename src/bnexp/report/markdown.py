"""The report in Markdown, with links to the figures. Whatever a text holds, it stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bnexp.report.document import Block, Commands, Figures, Items, Report, Section, Table
from bnexp.text import printable

SPECIAL = re.compile(r"([\\`*_{}\[\]|~$#])")
START = re.compile(r"^(\s*)([-+](?=\s|$)|[-=](?=[-=\s]*$)|\d(?=\d*[.)](?:\s|$)))")
"""The first sign of what would begin a list, draw a line or underline a heading."""
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def as_markdown(report: Report) -> str:
    """Write the report."""
    answer = [*map(escaped, report.answer), *(f"*{escaped(line)}*" for line in report.cautions)]
    source = f", tests {escaped(report.source)}" if report.source else ""
    parts = [
        f"# {escaped(report.question)}",
        f"Report of the bnexp study {escaped(report.name)}{source}.",
        *answer,
        *(part for section in report.sections for part in _section(section)),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Write a text so that nothing in it is Markdown, HTML, a link or a mention; on one line."""
    line = printable(text)
    line = re.sub(r"[&<>@]", lambda found: ENTITIES[found[0]], line)
    line = SPECIAL.sub(r"\\\1", line)
    line = line.replace("://", "&#58;//").replace("www.", "www&#46;")  # GitHub makes links of bare addresses
    return START.sub(lambda found: f"{found[1]}&#{ord(found[2])};", line)


def _section(section: Section) -> list[str]:
    return [f"## {escaped(section.title)}", *map(_block, section.blocks)]


def _block(block: Block) -> str:
    if isinstance(block, str):
        return escaped(block)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Items):
        return "\n".join(f"- {escaped(line)}" for line in block.lines)
    if isinstance(block, Figures):
        return "\n\n".join(f"![{escaped(item.caption)}](figures/{item.name}.svg)" for item in block.items)
    return _commands(block)


def _table(table: Table) -> str:
    rule = ("--:" if column.kind == "number" else "---" for column in table.columns)
    lines = [_line(column.title for column in table.columns), "| " + " | ".join(rule) + " |", *map(_line, table.rows)]
    details = [f"{number}. {escaped(line)}" for number, line in enumerate(table.details, 1)]
    return "\n".join(lines + ([""] if details else []) + details)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"


def _commands(commands: Commands) -> str:
    text = "\n".join(f"# {printable(what)}\n{command}" for what, command in commands.lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}bash\n{text}\n{fence}"
