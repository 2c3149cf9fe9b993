"""The names of lines below a figure, all of them within its width."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import FigureBase
    from matplotlib.legend import Legend

ROW_HEIGHT = 0.21  # inches
SPARE = 1.08  # a text of pixels can be so much wider than its outlines: each letter is a whole number of them


class Names(NamedTuple):
    """What a legend says, and in how many columns and rows."""

    texts: list[str]
    num_columns: int
    fontsize: float

    @property
    def height(self) -> float:
        """Of the legend, in inches."""
        return ROW_HEIGHT * -(-len(self.texts) // self.num_columns)


def arranged(labels: Sequence[str], width: float, most_columns: int | None = None, fontsize: float = 9) -> Names:
    """Arrange labels in as many columns as a figure ``width`` inches wide has room for.

    A label that is too long for a column of its own is cut in its middle.
    """
    em = fontsize * SPARE
    room = 72 * width - 2 * em  # points; what matplotlib keeps free at both sides
    beside = 4.8 * em  # a line's sample, and the gaps around it
    texts = [_fitted(label, room - beside, fontsize) for label in labels]
    widest = max((_width(text, fontsize) for text in texts), default=0)
    most = min(most_columns or len(texts), len(texts))
    return Names(texts, max(1, min(most, int(room // (widest + beside)))), fontsize)


def add_legend(figure: FigureBase, lines: Sequence[Artist | Any], names: Names) -> Legend:
    """Name the lines below a figure, each label letter by letter as it is."""
    # A label that began with an underscore would be left out, and dollar signs would be taken for formulas.
    legend = figure.legend(
        lines,
        [f" {text}" for text in names.texts],
        loc="outside lower center",
        ncols=names.num_columns,
        fontsize=names.fontsize,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def telling(labels: Sequence[str]) -> list[str]:
    """Leave out the settings (``key=value``) that all labels name: they tell no line from another."""
    shared = {word for word in set.intersection(*(set(label.split(" ")) for label in labels)) if "=" in word}
    found = [" ".join(word for word in label.split(" ") if word not in shared) for label in labels]
    return found if all(found) else list(labels)


def shortened(text: str, most: int) -> str:
    """Return a text of ``most`` letters at most, cut in its middle: labels of a factorial differ at their ends."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


@contextmanager
def any_script() -> Iterator[None]:
    """A label may hold letters that matplotlib's font lacks; it draws a box for them, and says so at length."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _fitted(label: str, room: float, fontsize: float) -> str:
    if _width(label, fontsize) <= room:
        return label
    letters = bisect_right(range(1, len(label)), room, key=lambda most: _width(shortened(label, most), fontsize))
    return shortened(label, max(letters, 1))


def _width(text: str, fontsize: float) -> float:
    """Points across; the space that :func:`add_legend` puts in front counts."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font, measure = FontProperties(size=fontsize), text_to_path.get_text_width_height_descent
    with any_script():
        return SPARE * max(measure(f" {line}", font, ismath=False)[0] for line in text.split("\n"))
