"""Scales that values can be read off: ticks with numbers on every logarithmic axis, colour bars made of shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import FigureBase

MOST_TICKS = 6
LEAST_RATIO = 1.02
"""Of the ends of a logarithmic axis: a loss that moves by less is a flat line, and its ticks stay short numbers."""

STRIDES = (1, 2, 3, 5, 10, 20, 50, 100)
"""How many powers of ten apart ticks may be; floating-point numbers span 640."""

BAR_COLOURS = 64
"""Shapes of a colour bar: nobody sees the steps, and a page with many bars stays small."""


def set_log_scale(axes: Axes, name: str = "y") -> None:
    """Make the axis ``name`` of ``axes`` logarithmic over what has been drawn, with two or more numbers on it.

    Matplotlib marks powers of ten alone, of which a narrow range holds none, and writes them as formulas.
    """
    from matplotlib.ticker import NullLocator

    axis, limits = (axes.yaxis, axes.set_ylim) if name == "y" else (axes.xaxis, axes.set_xlim)
    axes.set(**{f"{name}scale": "log"})
    low, high = sorted(map(float, axis.get_view_interval()))
    wider = max(math.sqrt(LEAST_RATIO / (high / low)), 1.0)
    low, high = low / wider, high * wider
    limits(low, high)
    ticks = log_ticks(low, high)
    axis.set_ticks(ticks, labels=plain(ticks))
    axis.set_minor_locator(NullLocator())


def log_ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Return at least two round numbers from ``low`` to ``high`` (0 < low < high), for a logarithmic scale.

    They are 1, 2, 5 or 1, 3 times powers of ten, powers of ten alone, or every second, third … of these: the finest
    that gives no more than ``most``. A range too narrow for three of them gets equal steps.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[float] = []
    for digits, stride in [((1, 2, 5), 1), ((1, 3), 1), *(((1,), stride) for stride in STRIDES)]:
        powers = [power for power in range(first, last + 1) if power % stride == 0]
        ticks = [tick for power in powers for digit in digits if low <= (tick := float(f"{digit}e{power}")) <= high]
        if len(ticks) <= most:
            break
    return ticks if len(ticks) > 2 else _equal_steps(low, high)


def plain(values: Sequence[float]) -> list[str]:
    """Return the numbers in as few digits as tell each from the others and from its place."""
    gap = min((abs(b - a) for a, b in pairwise(values)), default=math.inf)
    for digits in range(3, 17):
        found = [f"{float(f'{value:.{digits}g}'):.{max(digits, 6)}g}" for value in values]
        if all(abs(float(text) - value) <= 1e-3 * gap for text, value in zip(found, values, strict=True)):
            break
    return [re.sub(r"e\+?(-?)0*", r"e\1", text).replace("-", "−") for text in found]


def colour_bar(figure: FigureBase, drawn: ScalarMappable, panes: Sequence[Axes], **words: Any) -> Colorbar:
    """Put the scale of the colours of ``drawn`` beside ``panes``.

    Its colours are shapes. Matplotlib's own are a picture inside the drawing, which a page that loads nothing blocks.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    source = ScalarMappable(drawn.norm, drawn.cmap.resampled(BAR_COLOURS))
    bar = figure.colorbar(source, ax=list(panes), **words)
    assert bar.solids is not None
    bar.solids.set_rasterized(False)
    bar.solids.set_edgecolor("face")  # no seams between the shapes
    if isinstance(drawn.norm, LogNorm):
        assert drawn.norm.vmin is not None
        assert drawn.norm.vmax is not None
        ticks = log_ticks(drawn.norm.vmin, drawn.norm.vmax)
        bar.set_ticks(ticks, labels=plain(ticks))
        bar.minorticks_off()
    return bar


def _equal_steps(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    power = max(math.floor(math.log10(low)), -300)  # matplotlib takes a range of very small numbers for none at all
    for bins in (4, 5, 6, 8):
        found = MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(low / 10.0**power, high / 10.0**power)
        inside = [tick for step in found if low <= (tick := float(Decimal(f"{step:.6g}").scaleb(power))) <= high]
        if len(inside) > 2:
            break
    return inside
