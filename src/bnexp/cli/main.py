"""The command ``bnexp``: its subcommands, its help, and what becomes of an error.

Nothing heavy is imported before a subcommand needs it, so help and mistakes answer at once.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from itertools import takewhile
from shlex import quote
from typing import NamedTuple, NoReturn

import bnexp
from bnexp.cli.boundary import LONGEST_LINE, about, check_words, open_closed_streams, shortened
from bnexp.cli.wrapping import fitted
from bnexp.errors import ConfigError, Terminated, did_you_mean
from bnexp.garbage import importing
from bnexp.import_path import protect
from bnexp.text import OutputError, harmless_streams, make_streams_harmless, say


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        summary: its line in ``bnexp --help``.
        module: where ``run(arguments) -> exit status`` is.
        help_module: where ``help_text()`` is, if ``module`` takes long to import.
    """

    summary: str
    module: str
    help_module: str = ""


COMMANDS = {
    "train": Command("train a network; with -m, every combination of choices", "bnexp.cli.train", "bnexp.cli.flags"),
    "summary": Command("layers, shapes, parameters and multiply-adds of a network", "bnexp.cli.summary"),
    "inspect": Command("signals through a network before its first step, layer by layer", "bnexp.cli.inspect"),
    "study": Command("answer a question with many runs and statistics", "bnexp.cli.study"),
    "list": Command("what can be chosen, and what a choice does", "bnexp.cli.listing"),
    "compare": Command("table, statistics and curves of finished runs", "bnexp.cli.compare"),
    "status": Command("what state each run is in: running, done, failed, …", "bnexp.cli.status"),
    "clean": Command("remove failed and interrupted runs, and leftovers", "bnexp.cli.clean"),
    "landscape": Command("map the loss around the weights of finished runs", "bnexp.cli.landscape"),
    "check": Command("the first steps before an experiment: data, baselines, one batch", "bnexp.cli.check"),
    "dashboard": Command("show the curves of all runs in TensorBoard", "bnexp.cli.dashboard"),
    "completion": Command("complete words of the command line in bash or zsh", "bnexp.cli.completion"),
}

HELP_WORDS = ("--help", "-h")


def process() -> NoReturn:
    """Be the process ``bnexp``: do what its words ask for, and end.

    What Python does last, taking down one module after another, is left out: it takes PyTorch's half a second.
    """
    protect()
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± or × still gets the numbers
    make_streams_harmless()  # to the very end: the traceback of an unforeseen error comes after everything else
    status = main()
    threading._shutdown()  # type: ignore[attr-defined]  # with the next line, all that others have left for the end
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # full, or closed meanwhile: told where it was written to
            stream.flush()
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``bnexp`` with the words ``argv`` (by default the process's own) and return the exit status.

    0: done; 1: a run failed, or the output cannot be written; 2: a mistake on the command line, told in one line;
    130: Ctrl-C; 141: whoever read the output has gone. Any other exception passes through with its traceback.
    """
    try:
        with harmless_streams():
            status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except ConfigError as error:
        first, *others = error.lines
        _complain(f"bnexp: {first}", *others)
        return 2
    except KeyboardInterrupt:
        return 130
    except Terminated:
        return 143
    except BrokenPipeError:
        if not _reader_has_gone():
            raise
        _drop_output()
        return 141
    except OSError as error:
        if isinstance(error, OutputError):
            _drop_output()
            _complain(f"bnexp: standard output cannot be written: {error.strerror}")
            return 1
        if (line := about(error)) is None:
            raise
        _complain(f"bnexp: {line}")
        return 2


def _complain(*lines: str) -> None:
    """Print error lines; where standard error is full or closed there is nobody to tell."""
    with suppress(OSError):
        say(*(shortened(line, LONGEST_LINE) for line in lines), error=True)


def _drop_output() -> None:
    """Let what is still buffered go nowhere; otherwise the interpreter complains while it shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str]) -> int:
    check_words(words)
    name, *arguments = words or ["--help"]
    if name == "--version":
        say(f"bnexp {bnexp.__version__}")
        return 0
    if name == "help" or name in HELP_WORDS:
        say(*fitted(_help(arguments[0]) if arguments else _overview()).splitlines())
        return 0
    command = _command(name)
    # After `--` stand words that belong to somebody else's command line: the completion's question.
    if any(word in HELP_WORDS for word in takewhile(lambda word: word != "--", arguments)):
        say(*fitted(_help(name)).splitlines())
        return 0
    with importing():
        module = import_module(command.module)
    status: int = module.run(arguments)
    return status


def _command(name: str) -> Command:
    if name in COMMANDS:
        return COMMANDS[name]
    if "=" in name:
        raise ConfigError(f"{name}: a command must come first; write bnexp train {quote(name)}")
    hint = did_you_mean(name, [*COMMANDS, "help", "--help", "--version"]) or f"; choose from {', '.join(COMMANDS)}"
    raise ConfigError(f"{name}: bnexp has no such {'flag' if name.startswith('-') else 'command'}{hint}")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    lines = [
        f"bnexp {bnexp.__version__}: what do initialization and normalization do to the training of a network?",
        "",
        "usage: bnexp COMMAND [WORDS]",
        "",
        *rows,
        "",
        "A first run:   bnexp train model=convnet init=he norm=batch",
        "More:          bnexp COMMAND --help, bnexp --version",
    ]
    return "\n".join(lines) + "\n"


def _help(name: str) -> str:
    command = _command(name)
    text: str = import_module(command.help_module or command.module).help_text()
    return text


def _reader_has_gone() -> bool:
    """Whether the other end of standard output is closed (another pipe may have broken just as well)."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return bool(poll.poll(0))
