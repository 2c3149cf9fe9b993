"""A report in a browser: nothing is blocked, broken, empty or cut off, on a desk and on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report import browser as chromium
from tests.report.browser import Browser
from tests.report.pictures import factorial_study, study_of_arms

from bnexp.report.write import write_report

BROKEN_IMAGES = "[...document.images].filter(one => !one.complete || !one.naturalWidth).map(one => one.src)"
RASTERS = "[...document.querySelectorAll('image')].map(one => one.href.baseVal.slice(0, 40))"
EMPTY_DRAWINGS = """[...document.querySelectorAll('svg')].filter(one => {
    const page = one.getBoundingClientRect(), drawn = one.getBBox();
    return !(page.width > 50 && page.height > 20 && drawn.width && drawn.height);
}).length"""
# The first shape of a pane is its background; what is scrolled out of sight is not seen.
PANES = """[...document.querySelectorAll('svg g[id*="axes_"]')].map(one => {
    const box = one.querySelector('path').getBoundingClientRect();
    return [box.left, box.right, box.top + scrollY, box.bottom + scrollY];
}).filter(box => box[1] <= document.documentElement.clientWidth)"""
CUT_OFF = """[...document.querySelectorAll('body *')].filter(one =>
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !one.closest('.scroll')
).map(one => one.outerHTML.slice(0, 80))"""
CELLS = """[...document.querySelectorAll('g[id*="QuadMesh"] path, g[id*="QuadMesh"] use')].map(
    one => getComputedStyle(one).fill)"""
LETTERS = """[...document.querySelectorAll('svg g[id*="axis_"] use[href*="DejaVu"]')].map(
    one => getComputedStyle(one).fill)"""
FRAME = 3  # pixels
PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.skip(f"no browser is installed: none of {', '.join(chromium.NAMES)} is on the PATH")
    try:
        with chromium.running(program, tmp_path_factory.mktemp("browser")) as found:
            yield found
    except chromium.CannotStartError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports with every kind of figure."""
    folder = tmp_path_factory.mktemp("reports")
    return {
        "factors": write_report(factorial_study(folder / "factors")),
        "nine arms": write_report(study_of_arms(folder / "nine", 9)),
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["factors", "nine arms"])
def test_nothing_of_a_report_is_blocked_broken_empty_or_cut_off(
    browser: Browser, reports: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.open(reports[name], width=width, dark=dark)
    assert faults(browser) == []
    assert browser.evaluate("document.querySelectorAll('figure svg').length") >= 6
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(CUT_OFF) == []


@pytest.mark.parametrize("name", ["factors", "nine arms"])
def test_dark_pages_keep_the_colours_of_data_and_every_letter_can_be_read(
    browser: Browser, reports: dict[str, Path], name: str
) -> None:
    cells, papers = [], []
    for dark in (False, True):
        browser.open(reports[name], width=1280, dark=dark)
        cells.append(browser.evaluate(CELLS))
        papers.append(browser.evaluate(PAPER))
        letters = set(browser.evaluate(LETTERS))
        assert letters
        assert min(contrast(letter, papers[-1]) for letter in letters) >= 4.5  # WCAG 2.2, 1.4.3
    assert papers[0] != papers[1]
    assert len(set(cells[0])) > 10
    assert cells[0] == cells[1]


BLOCKED = (
    "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><svg width=99 height=99>"
    "<image width=99 height=99 href='data:image/gif;base64,R0lGODlhAQABAAAAACw='/></svg>"
)
PANE = "<svg width=99 height=99><g id=axes_1><path d='M0 0h99v99h-99z' fill=%s /></g></svg>"


@pytest.mark.parametrize(
    "page", [BLOCKED, "<img src=nothing.png>", "<svg></svg>", PANE % "blue", "<script>console.error(1)</script>"]
)
def test_the_browser_finds_what_is_broken(browser: Browser, tmp_path: Path, page: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html>{page}")
    browser.open(file, width=400, dark=False)
    assert faults(browser)


def faults(browser: Browser) -> list[Any]:
    """What is wrong with the open page's pictures, and what the browser's console says."""
    found: list[Any] = [*browser.evaluate(BROKEN_IMAGES), *browser.evaluate(RASTERS)]
    found += ["empty drawing"] * browser.evaluate(EMPTY_DRAWINGS)
    seen = browser.picture()
    for left, right, top, bottom in (map(round, box) for box in browser.evaluate(PANES)):
        inside = seen[top + FRAME : bottom - FRAME, left + FRAME : right - FRAME]
        if (inside == inside[:1, :1]).all():
            found.append(f"empty pane at {left}, {top}")
    return found + browser.problems


def contrast(one: str, other: str) -> float:
    """The contrast of two colours ``rgb(r, g, b)`` as WCAG 2.2 defines it: 1 to 21."""
    low, high = sorted(luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = np.array([float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
