"""The steps of one or several runs on a GPU, as one CUDA graph: a launch for all of them."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from functools import cache

import torch

from bnexp.training.clock import clock
from bnexp.training.stretch import Stretch, Taken, take_step_by_step, wait_for_device

WARM_UP = 3
"""Steps that are launched one by one before the capture, so that libraries choose their kernels, and optimizers make
their state. They are steps of training like the others."""

Step = Callable[[], None]


class GraphedSteps:
    """Takes stretches by replaying a CUDA graph of one step, in which each run is a branch of its own.

    The branches share no tensor, so the GPU works on several of them at once where one leaves a part of it idle. A
    step that has to wait for the device cannot be captured; it goes on step by step.

    Args:
        required: a step that cannot be captured is an error.

    Attributes:
        is_broken: whether a capture failed, for want of memory, say. The runs in it have failed, and what they left
            behind in PyTorch may keep a further capture from succeeding.

    Source: Nguyen et al. 2021, "Accelerating PyTorch with CUDA Graphs".
    """

    def __init__(self, *, required: bool) -> None:
        self.required = required
        self.is_broken = False
        self.num_warm: dict[Step, int] = {}
        self.obstacle: str | None = None
        self.captured: tuple[Step, ...] = ()
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, stretches: Sequence[Stretch]) -> Taken:
        """Take the steps of all stretches, which have the same bounds.

        Raises:
            RuntimeError: where a graph is required and cannot be had.
        """
        if not all(stretch.has_fixed_update for stretch in stretches):
            self._refuse("its optimizer's update needs the host", stretches)
        if self.obstacle is not None:
            return self._without_graph(stretches)
        started = clock.now()
        steps = tuple(stretch.step for stretch in stretches)
        self.num_warm = {step: self.num_warm.get(step, 0) for step in steps}  # keeps no run that has ended
        for index in range(stretches[0].start, stretches[0].end):
            for stretch in stretches:
                stretch.seek(index)
            self._take(steps, stretches)
            for stretch in stretches:
                stretch.told(index + 1)
        wait_for_device()
        seconds = (clock.now() - started) / len(stretches)
        return Taken(seconds, len(stretches), graph=self.captured == steps)

    def _take(self, steps: tuple[Step, ...], stretches: Sequence[Stretch]) -> None:
        num_warm = min(self.num_warm[step] for step in steps)
        if self.obstacle is not None or num_warm < WARM_UP:
            if num_warm == WARM_UP - 1:
                self._try_out(steps, stretches)
            else:
                self._side_by_side(steps)
            self.num_warm = dict.fromkeys(steps, num_warm + 1)
            return
        if self.captured != steps:
            self._capture(steps, stretches)
        assert self.graph is not None
        self.graph.replay()

    def _side_by_side(self, steps: Sequence[Step]) -> None:
        """Launch each step on a stream of its own, between what came before and what comes after."""
        before = torch.cuda.current_stream()
        begun: list[torch.cuda.Stream] = []
        try:
            for index, step in enumerate(steps):
                stream = side_stream(torch.cuda.current_device(), index)
                stream.wait_stream(before)
                begun.append(stream)
                with torch.cuda.stream(stream):
                    step()
        finally:  # after an error too: memory is used again, and a capture with loose ends is an error of its own
            for stream in begun:
                before.wait_stream(stream)

    def _try_out(self, steps: Sequence[Step], stretches: Sequence[Stretch]) -> None:
        """Take a step and see whether it waits for the device: a capture would break at that, and leave a mess."""
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self._side_by_side(steps)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        if any("synchronizing CUDA operation" in str(warning.message) for warning in caught):
            self._refuse("a step waits for the device", stretches)

    def _capture(self, steps: tuple[Step, ...], stretches: Sequence[Stretch]) -> None:
        self.graph, self.captured = None, ()  # gives its memory back before the next one takes some
        gc.collect()  # what is left of a backward pass would tie the next one to the stream that it was on
        graph = torch.cuda.CUDAGraph()
        if torch.__version__ < "2.14":  # later versions see for themselves which generators are drawn from
            for generator in {generator for stretch in stretches for generator in stretch.generators}:
                graph.register_generator_state(generator)
        try:
            # The outer block is for versions that stay on the capture's own stream when it fails (2.11).
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
                self._side_by_side(steps)
        except RuntimeError as error:
            first = _first(error)
            if not isinstance(first, RuntimeError):  # an interruption
                raise first from None
            self.is_broken = True
            stretches[0].say("the capture of a CUDA graph failed: " + str(first).partition("\n")[0])
            raise
        self.graph, self.captured = graph, steps

    def _refuse(self, reason: str, stretches: Sequence[Stretch]) -> None:
        if self.required:
            raise RuntimeError(f"training.graph=on: {reason}, so that no graph can hold it; use training.graph=auto")
        if self.obstacle is None:
            stretches[0].say(f"{reason}, so that no graph can hold it; each operation is launched by itself")
        self.obstacle = reason

    def _without_graph(self, stretches: Sequence[Stretch]) -> Taken:
        """Take the stretches one after another; their runs had the same share of the time."""
        seconds = [take_step_by_step([stretch]).seconds for stretch in stretches]
        return Taken(sum(seconds) / len(seconds), len(seconds))


@cache
def side_stream(device: int, index: int) -> torch.cuda.Stream:
    """Return the ``index``-th stream of a device; the same one every time, as each keeps some memory for itself."""
    return torch.cuda.Stream(device)


def _first(error: BaseException) -> BaseException:
    """Return what was raised first: the end of a capture that was broken off may raise one more."""
    while error.__context__ is not None:
        error = error.__context__
    return error
