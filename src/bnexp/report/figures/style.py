"""What all drawings share: letters, lines, colours that colour-blind people can tell apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from bnexp.analysis.arms import Arm
from bnexp.analysis.curves import COLOURS, DASHES, styles
from bnexp.analysis.legend import add_legend, arranged, shortened, telling
from bnexp.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

INK = "#222222"
FAINT = "#777777"
RULE = "#dddddd"
PAPER = "#ffffff"

NARROW = 5.4  # inches: two of these side by side
WIDE = 10.0
TITLE_LETTER = 0.073  # inches: of the 8.5 points of a pane's title
PALETTE = (*COLOURS[:-1], "#111111")  # an SVG leaves out that a band is quite black, and nobody could make it light
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a label may hold dollars
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,  # the numbers at an axis are what they say
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "lines.linewidth": 1.8,
}


@contextmanager
def drawing() -> Iterator[None]:
    """The style of all drawings; it must hold while one is saved too, since ticks are made only then."""
    from matplotlib import rc_context

    with rc_context(SETTINGS):
        yield


def short(text: str, most: int = 34) -> str:
    """Return a label that fits on a line.

    A space in front keeps matplotlib from leaving out ``_names``.
    """
    line = shortened(printable(text), most)
    return f" {line}" if line.startswith("_") else line


def titles(labels: Sequence[str], width: float) -> list[str]:
    """Return the titles of panes ``width`` inches wide: what tells the arms apart, in two lines at most."""
    letters = max(int(width / TITLE_LETTER), 8)
    found = []
    for label in telling([printable(label) for label in labels]):
        lines = wrap(label, letters)
        if len(lines) > 2:
            lines = wrap(shortened(label, 2 * letters - 8), letters)[:2]
        found.append("\n".join(lines))
    return found


def arm_styles(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return colour and dashes of each arm's line."""
    return [{"color": PALETTE[COLOURS.index(colour)], "linestyle": dash} for colour, dash in styles(arms)]


def level_style(index: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the index-th line of a drawing whose lines are levels or families."""
    return {
        "color": PALETTE[index % len(PALETTE)],
        "linestyle": DASHES[index // len(PALETTE) % len(DASHES)],
        "marker": MARKERS[(index + index // len(PALETTE)) % len(MARKERS)],  # another one in each round of colours
        "markersize": 5,
    }


def legend_below(axes: Axes, columns: int = 2) -> Legend:
    """Put the legend of the only axes of a figure below it."""
    handles, labels = axes.get_legend_handles_labels()
    figure = axes.get_figure(root=True)
    assert figure is not None
    return add_legend(figure, handles, arranged(labels, figure.get_figwidth(), columns, SETTINGS["legend.fontsize"]))
