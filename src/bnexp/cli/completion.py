"""``bnexp completion``: the script that teaches a shell to complete bnexp's words, and the answers to its questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bnexp.cli.check import FLAGS as CHECK
from bnexp.cli.clean import FLAGS as CLEAN
from bnexp.cli.compare import FLAGS as COMPARE
from bnexp.cli.flags import CONFIG_DIR, HYDRA, SUMMARY, Flag, parse
from bnexp.cli.inspect import FLAGS as INSPECT
from bnexp.cli.landscape import FLAGS as LANDSCAPE
from bnexp.cli.listing import defaults, parts, primary, search_path
from bnexp.cli.main import COMMANDS
from bnexp.cli.status import FLAGS as STATUS
from bnexp.cli.study import FLAGS as STUDY
from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, groups
from bnexp.config.yaml_file import read_mapping
from bnexp.errors import ConfigError
from bnexp.text import say

HELP = """\
usage: bnexp completion bash|zsh

Print the script that completes commands, groups, choices, keys and flags. To have it in every new shell, add to
  ~/.bashrc    eval "$(bnexp completion bash)"      (bash 4.4 or newer)
  ~/.zshrc     eval "$(bnexp completion zsh)"
"""

# Both ask `bnexp completion --query INDEX -- WORD...` for the words that the word number INDEX may become, one a line.
# Where there are none, the shell completes file names. Nothing is added after a word that wants to go on (norm=).
BASH = r"""_bnexp() {
    local line=${COMP_LINE:0:COMP_POINT} words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local current=${words[-1]}
    mapfile -t COMPREPLY < <("${words[0]}" completion --query $((${#words[@]} - 1)) -- "${words[@]}" 2> /dev/null)
    # Bash takes = for the border of a word and replaces only what follows it.
    [[ $current == *=* && $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${current%%=*}="}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace
    return 0
}
complete -o default -F _bnexp bnexp
"""

ZSH = r"""_bnexp() {
    local -a found
    found=("${(@f)$("${words[1]}" completion --query $((CURRENT - 1)) \
        -- "${(@Q)words[1,CURRENT - 1]}" "${(Q)PREFIX}" 2> /dev/null)}")
    found=(${found:#})
    if (( $#found == 0 )); then
        compset -P '*='
        _files
        return
    fi
    local -a unfinished=(${(M)found:#*[=.]}) finished=(${found:#*[=.]})
    compadd -Q -S '' -a unfinished
    compadd -Q -a finished
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _bnexp bnexp
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH}


def help_text() -> str:
    """Return what ``bnexp completion --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Print a shell's script, or what the shell asks for; return the exit status."""
    match list(arguments):
        case ["--query", index, "--", *words]:
            for word in candidates(words[: int(index)], words[int(index)]):
                say(word)
        case [shell] if shell in SCRIPTS:
            say(*SCRIPTS[shell].splitlines())
        case _:
            raise ConfigError(
                f"{' '.join(['completion', *arguments])}: name the shell; write bnexp completion bash or zsh"
            )
    return 0


def candidates(before: Sequence[str], current: str) -> list[str]:
    """Return what the word ``current`` may become after the words ``before``, the program's name being the first."""
    match before:
        case [_]:
            words = [*COMMANDS, "help", "--help", "--version"]
        case [_, "help"]:
            words = list(COMMANDS)
        case [_, "train", *arguments]:
            words = _overrides(arguments, current, HYDRA)
        case [_, "summary", *arguments]:
            words = _overrides(arguments, current, SUMMARY)
        case [_, "inspect", *arguments]:
            words = _overrides(arguments, current, INSPECT)
        case [_, "list", *arguments]:
            words = _list(arguments, current)
        case [_, "study", *arguments]:
            words = _study(arguments, current)
        case [_, "compare", *arguments]:
            words = _compare(arguments, current)
        case [_, "status", *_] if current.startswith("-"):
            words = [flag.names[0] for flag in STATUS]
        case [_, "clean", *_] if current.startswith("-"):
            words = [flag.names[0] for flag in CLEAN]
        case [_, "check", *arguments]:
            words = _overrides(arguments, current, CHECK)
        case [_, "landscape", *_] if current.startswith("-"):
            words = [flag.names[0] for flag in LANDSCAPE]
        case [_, "completion"]:
            words = list(SCRIPTS)
        case [_, "dashboard", *_] if current.startswith("-"):
            words = ["--port", "--help"]
        case _:
            words = []
    return [word for word in words if word.startswith(current)]


def _overrides(arguments: Sequence[str], current: str, flags: Sequence[Flag]) -> list[str]:
    if (flag := _unfinished(arguments, flags)) is not None:
        return list(flag.choices)
    key, equals, value = current.partition("=")
    if key.startswith("-"):
        with_choices = [f"{key}={choice}" for flag in flags if key in flag.names for choice in flag.choices]
        return with_choices if equals else [flag.names[0] for flag in flags]
    folders, overrides = _read_so_far(arguments, flags)
    if equals:
        # Several choices with commas between them, as a multirun takes them: only the last is still being written.
        done, comma, _ = value.rpartition(",")
        return [f"{key}={done}{comma}{name}" for name in choices(folders, key) if name not in done.split(",")]
    if "." in key:
        return list(_keys(folders, overrides, key.partition(".")[0]))
    return list(_first_words(folders))


def _first_words(folders: Sequence[Path]) -> Iterator[str]:
    chosen = defaults()
    for group in chosen:
        # A group of one leaves nothing to choose, only values to set.
        yield f"{group}=" if len(choices(folders, group)) > 1 else f"{group}."
    own = read_mapping(primary())
    yield from (f"{key}=" for key in own if key not in ("defaults", "hydra"))


def _keys(folders: Sequence[Path], overrides: Sequence[str], group: str) -> Iterator[str]:
    """Yield the keys of ``group``, for the choices of it that the command line names, or for the default."""
    named = [word.removeprefix(f"{group}=") for word in overrides if word.startswith(f"{group}=")]
    chosen = named[-1] if named else defaults().get(group, "")
    files = [file for choice in chosen.split(",") for file in parts(folders, group, choice)]
    keys = {key for file in files for key in _leaves(read_choice(file), group)}
    yield from (f"{key}=" for key in sorted(keys))


def _leaves(content: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}.{key}")
        elif not key.startswith("_") and key != "defaults":
            yield f"{prefix}.{key}"


def _list(arguments: Sequence[str], current: str) -> list[str]:
    if _unfinished(arguments, [CONFIG_DIR]) is not None:
        return []
    if current.startswith("-"):
        return ["--config-dir", "--help"]
    folders, words = _read_so_far(arguments, [CONFIG_DIR])
    if not words:
        return groups(folders)
    return list(choices(folders, words[0])) if len(words) == 1 else []


def _study(arguments: Sequence[str], current: str) -> list[str]:
    """The name of a study comes first; then settings, and words for its runs."""
    if current.startswith("-") or _unfinished(arguments, STUDY) is not None:
        return _overrides(arguments, current, STUDY)
    folders, words = _read_so_far(arguments, STUDY)
    known = choices(folders, "study")
    names = [word for word in words if word in known]
    if not names and "=" not in current:
        return list(known)
    if names and current.startswith("setting="):
        return [f"setting={name}" for name in read_mapping(known[names[0]], hydras_numbers=False).get("settings", {})]
    own = [] if "=" in current else ["seeds=", "setting=", "target="]
    return [*own, *(word for word in _overrides(words, current, STUDY) if word != "seed=")]


def _compare(arguments: Sequence[str], current: str) -> list[str]:
    if current.startswith("-"):
        return [flag.names[0] for flag in COMPARE]
    given = [word for word in arguments if word.startswith("-")]
    if given[-1:] != ["--by"]:
        return []
    folders = search_path({})
    group, dot, _ = current.partition(".")
    return [key.rstrip("=") for key in _keys(folders, [], group)] if dot else list(defaults())


def _unfinished(arguments: Sequence[str], flags: Sequence[Flag]) -> Flag | None:
    """Return the flag whose value the next word is."""
    takers = (flag for flag in flags if flag.value and arguments and arguments[-1] in flag.names)
    return next(takers, None)


def _read_so_far(arguments: Sequence[str], flags: Sequence[Flag]) -> tuple[list[Path], list[str]]:
    """Return the config folders and the plain words of a command line that is still being written."""
    found, words = parse(arguments, flags, "")
    return search_path(found), words
