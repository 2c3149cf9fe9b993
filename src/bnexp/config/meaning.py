"""What a word that nothing here is called may have meant: by the field's names first, by spelling second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, config_dir, groups
from bnexp.config.synonyms import (
    REMARKS,
    VALUES,
    absence_of,
    choice_called,
    group_called,
    keys_beginning,
    keys_called,
    plain,
    value_called,
)
from bnexp.config.yaml_file import read_mapping
from bnexp.errors import ConfigError, did_you_mean, nearest

NAMING = ("name", "type", "kind", "class", "cls", "choice", "target", "id")
"""Keys by which other programs choose: ``optimizer.name=adam``."""

NEGATIVE = ("false", "no", "off", "none", "null", "0", "")


@dataclass(frozen=True)
class Vocabulary:
    """What there is to write, and what a command line has chosen so far.

    Attributes:
        folders: the config folders, the user's first, bnexp's own last.
        chosen: the choice of each group of a run.
    """

    folders: Sequence[Path]
    chosen: Mapping[str, str]

    @cached_property
    def groups(self) -> list[str]:
        """The groups of a run."""
        return [group for group in self.chosen if group in groups(self.folders)]

    @cached_property
    def keys(self) -> dict[str, set[str]]:
        """All keys, each with the choices of its group that have it."""
        found = keys_by_choice(self.folders)
        return {key: owners for key, owners in found.items() if "." not in key or key.partition(".")[0] in self.chosen}

    def choices(self, group: str) -> dict[str, Path]:
        """The choices of a group with their files."""
        return choices(self.folders, group)

    def instead_of_choice(self, group: str, name: str) -> str:
        """Return ``; write init=he (…)`` for a choice that ``group`` lacks, or the nearest and all that there are."""
        known = self.choices(group)
        found = choice_called(group, name, known)
        if found is not None:
            return _write(found)
        absent = absence_of(name)
        hint = f"; {absent}" if absent else did_you_mean(name, known)
        return f"{hint} (it has: {', '.join(known)})"

    def instead_of_word(self, key: str, value: str | None) -> str:
        """Return ``; write optimizer.lr=0.1`` for a word ``key=value`` (None: nothing but the key) that sets nothing.

        Empty where no name of the field fits.
        """
        found = self.meant(key, value)
        if found:
            return _write(*found) + (self._owners(found[0]) if len(found) == 1 else "")
        absent = absence_of(key)
        return f"; {absent}" if absent else ""

    def meant(self, key: str, value: str | None) -> list[str]:
        """Return the words of a command line that may have been meant by ``key=value``."""
        head, _, leaf = key.rpartition(".")
        home = group_called(head.partition(".")[0], self.groups) if head else None
        if home is not None and plain(leaf) in NAMING and value:
            return self._chosen(home, value)
        if home is None and (group := group_called(leaf, self.groups)) is not None:
            return self._chosen(group, value or "")
        if home is not None and value and (group := group_called(leaf, self.groups)) not in (None, home):
            return self._chosen(str(group), value)
        if found := self._keys(leaf, home):
            return [word for each in found if (word := _filled(each, value))]
        return [] if home else self._choice_alone(leaf, value)

    def keys_beginning(self, beginning: str) -> list[str]:
        """Return what may be meant by another name of a key, whole or only begun: ``lr``, ``learn``."""
        names = keys_beginning(beginning)
        whole = self.meant(beginning, None)
        words = whole or [word for name in names for word in self.meant(name, None)]
        return list(dict.fromkeys(words))

    def _owners(self, words: str) -> str:
        """Return `` (optimizer=adam has it, …)`` where the chosen choice has no such key."""
        key = words.partition("=")[0]
        if "." not in key or self.is_chosen(key):
            return ""
        group = key.partition(".")[0]
        owners = sorted(self.keys[key])
        return f" ({group}={self.chosen[group]} has no such key; these have: {', '.join(owners)})"

    def _chosen(self, group: str, value: str) -> list[str]:
        """Return the word that chooses in a group."""
        known = self.choices(group)
        if value in known:
            return [f"{group}={value}"]
        if not value:
            return [f"{group}=…" if len(known) > 1 else f"{group}.KEY=…"]
        found = choice_called(group, value, known)
        return [found] if found is not None else [] if absence_of(value) else [f"{group}=…"]

    def _keys(self, leaf: str, home: str | None) -> list[str]:
        """Return the words for a key that is called ``leaf``: of the group ``home`` first, of chosen choices first."""
        named = keys_called(leaf)
        for candidates in (named, [f"{key}=" for key in self.keys if plain(key) == plain(leaf)]):
            ranks = {words: self._rank(words, home) for words in candidates if self._is_there(words)}
            found = [words for words, rank in ranks.items() if rank == min(ranks.values())]
            if found:
                return found[:1] if candidates is named else found[:3]
        return []

    def _is_there(self, words: str) -> bool:
        key = words.partition("=")[0]
        return key in self.keys or key in self.groups

    def _rank(self, words: str, home: str | None) -> tuple[bool, bool]:
        """Order what may be meant: of the group ``home`` before others, of a chosen choice before others."""
        group, dot, _ = words.partition("=")[0].partition(".")
        return home not in (None, group), bool(dot) and not self.is_chosen(words.partition("=")[0])

    def is_chosen(self, key: str) -> bool:
        """Whether the chosen choice of its group has a key."""
        return self.chosen.get(key.partition(".")[0]) in self.keys.get(key, ())

    def _choice_alone(self, word: str, value: str | None) -> list[str]:
        """Return the words that choose what is called ``word``, in whichever groups have it: ``batchnorm=true``."""
        if plain(word) in NEGATIVE:
            return []
        choosing = {group: known for group in self.groups if len(known := self.choices(group)) > 1}
        exact = [f"{group}={word}" for group, known in choosing.items() if word in known]
        others = (choice_called(group, word, known) for group, known in choosing.items())
        found = exact or [words for words in others if words is not None]
        if value is not None and value.casefold() in NEGATIVE:
            heads = [words.partition("=")[0] for words in found]
            return [f"{group}=none" for group in heads if "none" in self.choices(group)]
        return found[:3]


def nearest_key(key: str, vocabulary: Vocabulary) -> str:
    """Return the hint for a misspelled key: the nearest of its group's chosen choice, else of its group."""
    group, dot, leaf = key.rpartition(".")
    own = [known for known in vocabulary.keys if known.rpartition(".")[0] == group]
    chosen = [known for known in own if vocabulary.chosen.get(group) in vocabulary.keys[known]]
    others = [] if dot else list(vocabulary.keys)
    for candidates in (chosen, own, others):
        by_leaf = {known.rpartition(".")[2]: known for known in reversed(candidates)}
        if (found := nearest(leaf, by_leaf)) is not None:
            return f"; did you mean '{by_leaf[found]}'?"
    return ""


def _write(*words: str) -> str:
    """Return ``; write`` and the words, with what tells them apart."""
    remarks = {word: remark for word in words if (remark := REMARKS.get(word))}
    shown = [f"{word} ({remarks[word]})" if word in remarks else word for word in words]
    return "; write " + " or ".join(shown)


def _filled(words: str, value: str | None) -> str:
    """Put the typed value behind a key; a word that is whole stays so, and becomes a key where the value says no."""
    if words.endswith("="):
        key = words[:-1]
        given = "…" if value in (None, "") else str(value)
        return f"{key}={value_called(key, given, VALUES.get(key, ())) or given}"
    if value is not None and value.casefold() in NEGATIVE and not words.endswith("…"):
        return f"{words.partition('=')[0]}=…"
    return words


def keys_by_choice(folders: Sequence[Path]) -> dict[str, set[str]]:
    """All dotted keys that a run's configuration can have, each with the choices of its group that have it."""
    found: dict[str, set[str]] = {key: {"train"} for key in _flat(read_mapping(config_dir() / "train.yaml"), "")}
    for group in groups(folders):
        for name, file in choices(folders, group).items():
            node = _said(file)
            parts = [file.parent / f"{part}.yaml" for part in node.get("defaults", []) if str(part).startswith("_")]
            for source in [file, *(part for part in parts if part.exists())]:
                for key in _flat(_said(source), f"{group}."):
                    found.setdefault(key, set()).add(name)
    return found


def default_choices() -> dict[str, str]:
    """Return the groups of a training run and the choice of each that is taken if none is named."""
    defaults = read_mapping(config_dir() / "train.yaml").get("defaults", [])
    chosen = {str(group): str(name) for entry in defaults if isinstance(entry, dict) for group, name in entry.items()}
    return {group: name for group, name in chosen.items() if not group.startswith("override ")}


def vocabulary_of(words: Sequence[str], user_dirs: Sequence[Path] = ()) -> Vocabulary:
    """Return the vocabulary of a command line that need not be right: what its words choose is read from their text."""
    chosen = default_choices()
    for word in words:
        group, equals, name = word.partition("=")
        if equals and group in chosen:
            chosen[group] = name.partition(",")[0]
    return Vocabulary([*user_dirs, config_dir()], chosen)


def _said(file: Path) -> dict[str, Any]:
    """What a choice's file says; nothing where it cannot be read, which is told to those who choose it."""
    try:
        return read_choice(file)
    except ConfigError:
        return {}


def _flat(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        if key not in ("defaults", "hydra", "_target_", "_partial_"):
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from _flat(value, f"{prefix}{key}.")
