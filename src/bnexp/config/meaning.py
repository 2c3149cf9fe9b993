"""What a word means that bnexp has not: looked up by meaning first (:mod:`bnexp.config.synonyms`), by spelling second.

Knows no Hydra, so that flags and completion can ask as well as the lines about mistakes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bnexp.config.folder import choices
from bnexp.config.keys import default_choices, keys_by_choice
from bnexp.config.synonyms import CHOICES, COMMANDS, GROUPS, KEYS, METRICS, NOTES, STUDY_WORDS, SWITCHES, VALUES
from bnexp.errors import did_you_mean, plain

LEAST = 3
"""Letters of a word that is being written from which on it is looked for among the beginnings of others."""

YES = ("", "on", "true", "yes")
"""Values of a switch that is on."""


@dataclass(frozen=True)
class Vocabulary:
    """What a run's words can be.

    Attributes:
        keys: each dotted key, with the choices of its group that have it.
        choices: the names of the choices of each group.
        chosen: the choice of each group so far.
    """

    keys: Mapping[str, set[str]]
    choices: Mapping[str, Sequence[str]]
    chosen: Mapping[str, str]

    def has(self, key: str) -> bool:
        """Whether the choices so far have this key."""
        group, dot, _ = key.partition(".")
        return key in self.keys and (not dot or self.chosen.get(group) in self.keys[key])


def vocabulary(folders: Sequence[Path], chosen: Mapping[str, str]) -> Vocabulary:
    """Return the words of the config folders, of which bnexp's own is the last; ``chosen`` goes before the defaults."""
    defaults = default_choices(folders[-1])
    known = {group: list(choices(folders, group)) for group in defaults}
    return Vocabulary(keys_by_choice(folders), known, {**defaults, **chosen})


def said(words: Iterable[str]) -> dict[str, str]:
    """Return what each ``KEY=VALUE`` among some words says, choices of groups too; of a sweep the first value."""
    return {key: value.partition(",")[0] for key, equals, value in (word.partition("=") for word in words) if equals}


def choice_meant(group: str, word: str, known: Iterable[str]) -> str | None:
    """Return which of the ``known`` choices of a group the field calls ``word``; further words may stand behind it."""
    names, wanted = list(known), plain(word)
    own = next((name for name in names if plain(name) == wanted), None)
    if own is not None or not wanted:
        return own
    found = _table(CHOICES.get(group, {})).get(wanted, ())
    return next((words for words in found if words.split()[0] in names), None)


def instead_of_choice(group: str, word: str, known: Iterable[str]) -> str:
    """Return the end of a line about a choice that a group has not: what to write, or the nearest in spelling."""
    names = list(known)
    meant = choice_meant(group, word, names)
    if meant is None:
        return did_you_mean(word, names)
    note = NOTES.get(meant, "")
    return f"; write {group}={meant}" + (f" ({note})" if note else "")


def words_meant(key: str, value: str | None, known: Vocabulary) -> list[str]:
    """Return what to write for ``key=value``, or for the one word ``key``: each entry an answer, the best one first.

    Nothing is found by spelling. The keys of the choices so far go before those that another choice would have.
    """
    head, _, leaf = key.rpartition(".")
    is_yes = value is None or plain(value) in YES
    if not head and is_yes and (found := _as_switch(key, known)):
        return found
    if (group := _group_meant(leaf, known)) is not None and (not head or leaf in known.chosen):
        return [_choosing(group, value, known)]
    candidates = list(_keys_meant(key, known))
    home = _group_meant(head.partition(".")[0], known) if head else None
    candidates = [name for name in candidates if name.partition(".")[0] == home] or candidates
    ready = [name for name in candidates if known.has(name)]
    if not ready:
        return [_with_its_choice(name, value, known) for name in candidates]
    group = ready[0].partition(".")[0]
    rather = [name for name in candidates[: candidates.index(ready[0])] if name.partition(".")[0] != group]
    return [_setting(ready[0], value), *(_with_its_choice(name, value, known) for name in rather)]


def instead_of_key(key: str, value: str | None, known: Vocabulary) -> str:
    """Return the end of a line about a key that is none: what to write, or the nearest in spelling."""
    if found := words_meant(key, value, known):
        return f"; write {', or '.join(found[:3])}"
    group, dot, leaf = key.partition(".")
    if not dot:
        return did_you_mean(key, [*known.chosen, *(name for name in known.keys if "." not in name)])
    if group not in known.chosen:
        return did_you_mean(group, known.chosen)
    for own in (True, False):  # the keys that can be set now go first
        names = [name for name in known.keys if name.startswith(f"{group}.") and (known.has(name) or not own)]
        if hint := did_you_mean(leaf, [name.removeprefix(f"{group}.") for name in names]):
            return hint.replace("'", f"'{group}.", 1)
    return ""


def value_meant(key: str, value: str) -> str | None:
    """Return what the field's ``value`` is called here, where the values of a key are words."""
    return next(iter(_table(VALUES.get(key, {})).get(plain(value), ())), None)


def metric_meant(word: str, known: Iterable[str]) -> str:
    """Return the end of a line about a metric that is none."""
    names = list(known)
    own = next((name for name in names if plain(name) == plain(word)), None)
    meant = own or next((name for name in _table(METRICS).get(plain(word), ()) if name in names), None)
    return f"; write {meant}" if meant else did_you_mean(word, names)


def instead_of_setting(key: str, settings: Iterable[str]) -> str:
    """Return the end of a line about a key that some runs have not, who have these ``settings``."""
    names = sorted(settings)
    groups = [name for name in names if "." not in name]
    of_runs = Vocabulary({name: {""} for name in names}, {}, dict.fromkeys(groups, ""))
    group = _group_meant(key, of_runs)
    found = [*([group] if group else ()), *_keys_meant(key, of_runs)]
    return f"; write {found[0]}" if found else did_you_mean(key, names)


def command_meant(word: str) -> str | None:
    """Return the command that other programs call ``word``."""
    return next(iter(_table(COMMANDS).get(plain(word), ())), None)


def study_word_meant(key: str) -> str | None:
    """Return the word about a study itself that is meant by ``key``."""
    return next(iter(_table(STUDY_WORDS).get(plain(key), ())), None)


def completions(current: str, known: Vocabulary) -> list[str]:
    """Return what a word that is still being written may be meant for: no word of bnexp's begins with it."""
    key, equals, value = current.partition("=")
    if not equals:
        return _keys_begun(key, known)
    done, comma, last = value.rpartition(",")
    names = list(known.choices.get(key, ()))
    own = [name for name in names if plain(last) and plain(name).startswith(plain(last))]
    table = [words for words in _begun(CHOICES.get(key, {}), plain(last), 2) if words in names]
    return [f"{key}={done}{comma}{name}" for name in dict.fromkeys([*own, *table])]


def _keys_begun(word: str, known: Vocabulary) -> list[str]:
    home, dot, leaf = word.rpartition(".")
    found = [*_begun(KEYS, plain(leaf), LEAST), *(name for name in known.keys if _is_begun(name, plain(leaf)))]
    keys = [key for key in dict.fromkeys(found) if known.has(key) and key.startswith(f"{home}{dot}")]
    groups = [] if dot else [group for group in _begun(GROUPS, plain(leaf), LEAST) if group in known.choices]
    return [f"{name}=" for name in (*groups, *keys)]


def _is_begun(key: str, stem: str) -> bool:
    return len(stem) >= LEAST and plain(key.rpartition(".")[2]).startswith(stem)


def _begun(table: Mapping[str, str], stem: str, least: int) -> list[str]:
    """Return the names of a table of which a word is ``stem``, or begins with it where it has enough letters."""
    begun = len(stem) >= least
    words = {name: [plain(word) for word in said.split()] for name, said in table.items()}
    return [name for name, all_ in words.items() if stem in all_ or (begun and any(w.startswith(stem) for w in all_))]


def _as_switch(word: str, known: Vocabulary) -> list[str]:
    """Return what says so where a word alone, or with ``=true``, asks for a choice: ``batchnorm``, ``nesterov``."""
    if (words := _switches().get(plain(word))) is not None:
        return [words]
    found = {group: meant for group, names in known.choices.items() if (meant := choice_meant(group, word, names))}
    return [f"{group}={words}" for group, words in found.items()] if len(found) == 1 else []


def _group_meant(word: str, known: Vocabulary) -> str | None:
    own = next((group for group in known.chosen if plain(group) == plain(word)), None)
    return own or next((group for group in _table(GROUPS).get(plain(word), ()) if group in known.chosen), None)


def _choosing(group: str, value: str | None, known: Vocabulary) -> str:
    """Return the words that choose what is meant from a group, or that show its choices."""
    if value is None:
        return f"{group}=…"
    several = [choice_meant(group, name, known.choices.get(group, ())) for name in value.split(",")]
    if any(name is None for name in several):
        return f"{group}=… (bnexp list {group} shows what)"
    return f"{group}={','.join(map(str, several))}"


def _keys_meant(key: str, known: Vocabulary) -> Iterator[str]:
    """Yield the keys that a word may mean: those of the table in its order, then those with such a last part."""
    leaf = plain(key.rpartition(".")[2])
    table = _table(KEYS)
    found = [*table.get(plain(key), ()), *table.get(leaf, ())]
    found += [name for name in known.keys if leaf and plain(name.rpartition(".")[2]) == leaf]
    yield from (name for name in dict.fromkeys(found) if name in known.keys)


def _setting(key: str, value: str | None) -> str:
    if value is None:
        return f"{key}={value_meant(key, 'true') or '…'}"
    meant = value_meant(key, value)
    return shlex.quote(f"{key}={value if meant is None else meant}")


def _with_its_choice(key: str, value: str | None, known: Vocabulary) -> str:
    """Return the words that set a key which only other choices have than those so far."""
    group, owners = key.partition(".")[0], sorted(known.keys[key])
    if len(owners) == 1:
        return f"{group}={owners[0]} {_setting(key, value)}"
    return f"{_setting(key, value)} ({group}={', '.join(owners[:5])}{', …' if len(owners) > 5 else ''} have it)"


@cache
def _switches() -> dict[str, str]:
    return {plain(word): words for word, words in SWITCHES.items()}


def _table(table: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Turn a table around: for each of the field's words, those of bnexp that it may mean, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for name, words in table.items():
        for word in dict.fromkeys(map(plain, words.split())):
            found[word] = (*found.get(word, ()), name)
    return found


def folded(word: str) -> str:
    """Return a flag as a key: ``--batch-size`` is ``batch_size``."""
    return re.sub("-", "_", word.lstrip("-"))
