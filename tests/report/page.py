"""A report as a reader sees it: its texts and tables, found by a parser and not by the code that wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "path", "use", "rect"}


@dataclass
class Page(HTMLParser):
    """Parses a page and checks on the way that every element is closed in its place.

    Attributes:
        tables: by heading, the tables of a section as rows of cells, header and detail rows included.
        texts: by heading, the paragraphs and list items.
        tags: every element with its attributes.
    """

    tables: dict[str, list[list[list[str]]]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.heading = ""
        self.text = ""

    @classmethod
    def of(cls, html: str) -> Page:
        page = cls()
        page.feed(html)
        page.close()
        assert page.open == []
        return page

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.setdefault(self.heading, []).append([])
        if tag == "tr":
            self.tables[self.heading][-1].append([])
        if tag in ("td", "th", "p", "li", "h1", "h2", "code"):
            self.text = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        text = " ".join(self.text.split())
        if tag in ("td", "th"):
            self.tables[self.heading][-1][-1].append(text)
        elif tag in ("h1", "h2"):
            self.heading = text
        elif tag in ("p", "li", "code") and text:
            self.texts.setdefault(self.heading, []).append(text)

    def handle_data(self, data: str) -> None:
        self.text += data
