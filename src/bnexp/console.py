"""Rich's console for text from anywhere: no markup, and nothing that a terminal obeys but what rich itself writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import rich.console
from rich.segment import Segment
from rich.text import Text

from bnexp.text import HarmlessStream, printable


class Console(rich.console.Console):
    """A console that takes no text for markup. A text is a line, however many line breaks it holds."""

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, width=width, highlight=False, markup=False, emoji=False)

    @property
    def file(self) -> IO[str]:
        """The stream below the harmless one, so that rich's own codes for colours and the cursor get through."""
        found: Any = super().file
        return found.under if isinstance(found, HarmlessStream) else found

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a text into what rich draws."""
        return super().render_str(printable(text), **options)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Write out what is not printable in anything that was drawn; the codes of rich's own are no part of it."""
        return super()._render_buffer(
            segment if segment.control else segment._replace(text="\n".join(map(printable, segment.text.split("\n"))))
            for segment in buffer
        )
