"""From a drawing to ``figures/NAME.png``, ``figures/NAME.svg`` and an element that a page can hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.analysis.curves import save
from bnexp.files import make_folder, read_text
from bnexp.report.document import Figure
from bnexp.report.figures.style import FAINT, INK, PALETTE, PAPER, RULE, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

THEMED = tuple(colour.lower() for colour in (*PALETTE, INK, FAINT, RULE, PAPER))
"""Colours that the page may replace in its dark form."""


def figure(folder: Path, name: str, caption: str, draw: Callable[[], Drawing], *, wide: bool = False) -> Figure | str:
    """Draw, save, and return the figure; or, where that went wrong, a line.

    A report without a figure is better than none.
    """
    try:
        with drawing():
            make_folder(folder, folder.parent)
            drawn = draw()
            drawn.draw_without_rendering()
            drawn.set_layout_engine("none")  # what was laid out once is not laid out again for each format
            *_, vector = save(drawn, folder / name)
        return Figure(name, caption, _element(read_text(vector), name), wide)
    except Exception as error:
        return f"The figure {name} could not be drawn: {type(error).__name__}: {error}"


def _element(svg: str, name: str) -> str:
    """Return the ``<svg>`` element alone, with names that clash with no other figure's, and colours left to the page.

    What a stranger wrote stands in it as outlines of letters only: matplotlib's comments, which hold the texts, go.
    """
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)
    colours = re.compile("|".join(THEMED))
    body = colours.sub(lambda found: f"var(--c{found[0][1:]}, {found[0]})", body)
    return re.sub(r"\n\s*", "\n", body).strip()
