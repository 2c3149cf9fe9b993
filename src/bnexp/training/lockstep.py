"""Several runs side by side in one process, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from bnexp.global_generators import global_state, set_global_state
from bnexp.training.stretch import Run, Stretch, Take, Taken


def train_in_lockstep(runs: Sequence[Run], take: Take, at_once: int) -> list[dict[str, Any]]:
    """Train runs to their ends; return their results.

    The run that is furthest behind goes next, with up to ``at_once`` − 1 others that want the same steps taken. An
    error of a run ends that run. When the runs are stopped, each of them is told.
    """
    members = [_Member(run) for run in runs]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(closing(run))  # a run that is closed before its end writes down how far it came
        for member in members:
            member.go_on(lambda run: next(run))
        while wanted := [member.wanted for member in members if member.wanted]:
            start, end = min((stretch.start, stretch.end) for stretch in wanted)
            chosen = [one for one in members if one.wanted and (one.wanted.start, one.wanted.end) == (start, end)]
            _advance(chosen[:at_once], take)
    return [member.result for member in members]


def _advance(members: Sequence[_Member], take: Take) -> None:
    stretches = [member.wanted for member in members if member.wanted]
    # A process has one alarm: it is set for the run that has least time left, and the others are charged behind it.
    first, *others = sorted((stretch.limit for stretch in stretches), key=lambda limit: limit.left)
    try:
        with members[0].own_random_numbers(), first.running(len(stretches)):
            taken = take(stretches)
    except (Exception, SystemExit) as error:
        for member in members:
            member.throw(error)
    else:
        for limit in others:
            limit.spend(taken.seconds)
        for member in members:
            member.send(taken)


class _Member:
    """A run among others: what it wants next or came to, and the state of its random numbers meanwhile.

    What draws from a generator of the run needs no such care; this is for code that takes the process's own.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.wanted: Stretch | None = None
        self.result: dict[str, Any] = {}
        self.random_state = global_state()

    def send(self, taken: Taken) -> None:
        """Let the run go on up to the next stretch, or to its end."""
        self.go_on(lambda run: run.send(taken))

    def throw(self, error: BaseException) -> None:
        """Raise an error in the run."""
        self.go_on(lambda run: run.throw(error))

    def go_on(self, act: Callable[[Run], Stretch]) -> None:
        """Call the run."""
        with self.own_random_numbers():
            try:
                self.wanted = act(self.run)
            except StopIteration as end:
                self.wanted, self.result = None, end.value

    @contextmanager
    def own_random_numbers(self) -> Iterator[None]:
        """Let the process's own generators go on where they were when this run was last at work."""
        set_global_state(self.random_state)
        yield
        self.random_state = global_state()
