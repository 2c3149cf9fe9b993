"""From a drawing to ``figures/NAME.png``, ``figures/NAME.svg`` and an element that a page can hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from bnexp.analysis.curves import save
from bnexp.files import make_folder, read_text
from bnexp.report.document import Figure
from bnexp.report.figures.style import FAINT, INK, PALETTE, PAPER, RULE, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

ROLES = {INK: "ink", FAINT: "faint", RULE: "rule", PAPER: "paper"} | {
    colour.lower(): f"line-{number}" for number, colour in enumerate(PALETTE, 1)
}
"""What the colours of texts, axes and lines stand for; the page gives each another colour in its dark form."""

THEMED = "themed-"
"""Begins the names of the parts of a drawing whose colours are roles. All other colours are data, which stay."""


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
            _mark(drawn)
            *_, vector = save(drawn, folder / name)
        return Figure(name, caption, _element(read_text(vector), name), wide)
    except Exception as error:
        return f"The figure {name} could not be drawn: {type(error).__name__}: {error}"


def _mark(drawn: Drawing) -> None:
    """Name all texts, lines and areas that have a colour of their own and not one that stands for a value."""
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Text

    plain = [part for part in drawn.findobj(Collection) if isinstance(part, Collection) and part.get_array() is None]
    for number, part in enumerate([*drawn.findobj(Text), *drawn.findobj(Line2D), *drawn.findobj(Patch), *plain]):
        part.set_gid(f"{THEMED}{number}")


def _element(svg: str, name: str) -> str:
    """Return the ``<svg>`` element alone, with names that clash with no other figure's, and colours left to the page.

    What a stranger wrote stands in it as outlines of letters only: matplotlib's comments, which hold the texts, go.
    """
    body = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    root = ElementTree.fromstring(body)
    _adapt(root, name, themed=False)
    return ElementTree.tostring(root, encoding="unicode").strip()


def _adapt(node: ElementTree.Element, name: str, *, themed: bool) -> None:
    """Rewrite an element and all below it."""
    themed = themed or node.get("id", "").startswith(THEMED)
    node.tag = _local(node.tag)
    node.text, node.tail = "\n" if len(node) else None, "\n"  # texts are outlines: there is nothing but space
    attributes = {_local(key): value for key, value in node.attrib.items()}
    node.attrib.clear()
    for key, value in attributes.items():
        if key == "id":
            value = f"{name}-{value}"
        elif key == "href":
            value = f"#{name}-{value.removeprefix('#')}"
        elif key == "style" and themed:
            value = re.sub("#[0-9a-f]{6}", _themed, value)
        node.set(key, value.replace("url(#", f"url(#{name}-"))
    for child in node:
        _adapt(child, name, themed=themed)


def _local(name: str) -> str:
    """Return a name without its namespace: a page's ``<svg>`` needs none."""
    return name.rpartition("}")[2]


def _themed(colour: re.Match[str]) -> str:
    role = ROLES.get(colour[0])
    return colour[0] if role is None else f"var(--figure-{role}, {colour[0]})"
