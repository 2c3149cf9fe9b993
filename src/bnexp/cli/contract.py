"""How the data contract is shown: in a few lines before a run trains, in full by ``bnexp check``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bnexp.data.names import shown
from bnexp.text import say

if TYPE_CHECKING:
    from bnexp.data.contract import Column, Contract, Images
    from bnexp.run import Reporting
    from bnexp.training.progress import Reporter

MOST_CLASSES = 20
MOST_NAMES = 6
HEAD = 9


def print_brief(contract: Contract) -> None:
    """Print to stderr what a run is about to learn from."""
    say(*brief(contract), error=True)


def announcing(contract: Contract, reporting: Reporting) -> Reporting:
    """Return what makes the reporter of a run, and prints the contract first: at its start, and only if it trains."""
    told: list[Contract] = []

    @contextmanager
    def open_reporter(name: str) -> Iterator[Reporter]:
        if not told:  # a run that fails in a graph is tried again
            told.append(contract)
            print_brief(contract)
        with reporting(name) as reporter:
            yield reporter

    return open_reporter


def print_warnings(warnings: Iterable[str]) -> None:
    """Print to stderr what is probably not meant with the data of many runs, once."""
    for warning in dict.fromkeys(warnings):
        say(f"{'warning':<{HEAD}} {warning}", error=True)


def brief(contract: Contract) -> list[str]:
    """Return a few lines: sizes, classes with their counts, columns, what was done, what is probably not meant."""
    lines = [("data", sizes(contract)), ("classes", class_counts(contract.classes))]
    if contract.columns:
        lines.append(("columns", _roles(contract.columns)))
    lines += [("", fact) for fact in done(contract)]
    lines += [("warning", warning) for warning in contract.warnings]
    return [f"{head:<{HEAD}} {text}" for head, text in lines]


def full(contract: Contract) -> list[tuple[str, str]]:
    """Return the whole contract as pairs of a head and a text."""
    facts = [("data", sizes(contract)), ("classes", class_counts(contract.classes, at_most=len(contract.classes)))]
    facts += [("read", fact) for fact in done(contract)]
    facts += [(f"column {shown(column.name)}", "; ".join(_about(column))) for column in contract.columns]
    return facts


def sizes(contract: Contract) -> str:
    """Name the source, the number of examples of each split, and the shape of an input."""
    train, val, test = (contract.examples[split] for split in ("train", "val", "test"))
    shape = "×".join(map(str, contract.input_shape))
    whence = f"{contract.source}: " if contract.source else ""
    return f"{whence}{train} training, {val} validation and {test} test examples of {shape} values"


def class_counts(classes: Mapping[str, int], at_most: int = MOST_CLASSES) -> str:
    """Name each class with its number of examples in all splits, or how many there are of how many examples."""
    if len(classes) <= at_most:
        return ", ".join(f"{shown(name)}: {count}" for name, count in classes.items())
    return f"{len(classes)} classes of {min(classes.values())} to {max(classes.values())} examples"


def done(contract: Contract) -> list[str]:
    """Return a line about each thing that was done to the files on the way to examples."""
    lines = list(contract.facts)
    if contract.images is not None:
        lines.append(_images(contract.images))
    columns = contract.columns
    readings = [f"{shown(column.name)} ({column.reading})" for column in columns if column.reading]
    missing = [f"{shown(column.name)} ({_words(column.missing)})" for column in columns if column.missing]
    empty = [f"{shown(column.name)} ({column.categories['']})" for column in columns if "" in column.categories]
    kept = [f"{shown(column.name)} ({_words(column.kept)})" for column in columns if column.kept]
    stripped = [f"{shown(column.name)} ({column.stripped})" for column in columns if column.stripped]
    lost = [f"{shown(column.name)} ({column.lost})" for column in columns if column.lost]
    for what, names in (
        ("texts read as numbers", readings),
        ("missing numbers, filled with the median of the training examples and marked in one more input each", missing),
        ("empty fields counted as a category", empty),
        ("words that are categories and not missing", kept),
        ("blanks stripped from fields", stripped),
        ("different numbers that fall together", lost),
    ):
        if names:
            lines.append(f"{what}: {_listed(names)}")
    if contract.rows_left_out:
        lines.append(f"rows left out because they have no class: {contract.rows_left_out}")
    return lines


def _roles(columns: Sequence[Column]) -> str:
    def named(role: str) -> list[str]:
        return [shown(column.name) for column in columns if column.role == role]

    target, numbers, dropped = named("target"), named("number"), named("dropped")
    categories = [f"{shown(column.name)} ({len(column.categories)})" for column in columns if column.role == "category"]
    parts = [f"target {target[0]}"]
    parts += [f"{len(numbers)} numbers ({_listed(numbers)})"] * bool(numbers)
    parts += [f"{len(categories)} of categories ({_listed(categories)})"] * bool(categories)
    parts += [f"dropped {_listed(dropped)}"] * bool(dropped)
    return ", ".join(parts)


def _about(column: Column) -> Iterator[str]:
    if column.role == "category":
        counts = list(column.categories.items())
        named = [f"{shown(name) or '(empty)'}: {count}" for name, count in counts]
        yield f"category, {len(counts)} inputs ({_listed(named, MOST_CLASSES)})"
    else:
        yield column.role
    if column.suspect:
        yield f"identifier suspected: {column.suspect}"
    if column.reading:
        yield column.reading
    if column.missing:
        yield f"missing: {_words(column.missing)}"
    if column.kept:
        yield f"not taken for missing: {_words(column.kept)}"
    if column.stripped:
        yield f"blanks stripped in {column.stripped} fields"
    if column.lost:
        yield f"{column.lost} of {column.distinct} different numbers fall together with another one"


def _images(images: Images) -> str:
    formats, modes = (
        ", ".join(f"{count} {name}" for name, count in counts.items()) for counts in (images.formats, images.modes)
    )
    return f"files: {formats}; modes: {modes}; {images.levels}"


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{repr(word) if word else 'empty'} {count}" for word, count in counts.items())


def _listed(names: Sequence[str], at_most: int = MOST_NAMES) -> str:
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")
