"""The steps of one or several runs on a GPU, as one CUDA graph: a launch for all of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import torch

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

    Source: Nguyen et al. 2021, "Accelerating PyTorch with CUDA Graphs".
    """

    def __init__(self, *, required: bool) -> None:
        self.required = required
        self.streams: list[torch.cuda.Stream] = []
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
        started = time.perf_counter()
        steps = tuple(stretch.step for stretch in stretches)
        for index in range(stretches[0].start, stretches[0].end):
            for stretch in stretches:
                stretch.seek(index)
            self._take(steps, stretches)
            for stretch in stretches:
                stretch.told(index + 1)
        wait_for_device()
        seconds = (time.perf_counter() - started) / len(stretches)
        return Taken(seconds, len(stretches), graph=self.captured == steps)

    def _take(self, steps: tuple[Step, ...], stretches: Sequence[Stretch]) -> None:
        num_warm = min(self.num_warm.get(step, 0) for step in steps)
        if self.obstacle is not None or num_warm < WARM_UP:
            if num_warm == WARM_UP - 1:
                self._try_out(steps, stretches)
            else:
                self._side_by_side(steps)
            self.num_warm |= dict.fromkeys(steps, num_warm + 1)
            return
        if self.captured != steps:
            self._capture(steps, stretches)
        assert self.graph is not None
        self.graph.replay()

    def _side_by_side(self, steps: Sequence[Step]) -> None:
        """Launch each step on a stream of its own, between what came before and what comes after."""
        before = torch.cuda.current_stream()
        while len(self.streams) < len(steps):
            self.streams.append(torch.cuda.Stream())
        for step, stream in zip(steps, self.streams, strict=False):
            stream.wait_stream(before)
            with torch.cuda.stream(stream):
                step()
        for _, stream in zip(steps, self.streams, strict=False):
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
        self.graph = None  # gives its memory back before the next one takes some
        graph = torch.cuda.CUDAGraph()
        for generator in {generator for stretch in stretches for generator in stretch.generators}:
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            self._side_by_side(steps)
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
