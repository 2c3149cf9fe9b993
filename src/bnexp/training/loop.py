"""The training loop, from the first step to the result."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from bnexp.optim.optimizers import set_lr_
from bnexp.training.batches import Scale, TrainingBatches, on_device
from bnexp.training.checkpoint import save_checkpoint
from bnexp.training.evaluation import Evaluator
from bnexp.training.progress import Reporter
from bnexp.training.record import Row, RunFolder, chained
from bnexp.training.resume import newest_state
from bnexp.training.settings import Settings
from bnexp.training.state import Parts, Progress, capture, restore
from bnexp.training.step import Step, autocast
from bnexp.training.watch import make_monitor

if TYPE_CHECKING:
    from bnexp.training.tensorboard import EventWriter

DIVERGED = 1e3
"""A run has diverged when a step's loss is not finite, or beyond this multiple of the first step's loss.

A first loss below 1 counts as 1: a network that starts with the right answers has a loss near 0, and no scale in it.
"""


class Training:
    """One run. :meth:`run` trains it to its end, or the rest of the way where its folder holds a checkpoint."""

    def __init__(
        self, parts: Parts, settings: Settings, *, seed: int, name: str, folder: RunFolder, reporter: Reporter
    ) -> None:
        self.parts = parts
        self.settings = settings
        self.name = name
        self.folder = folder
        self.reporter = reporter
        self.progress = Progress()
        scale = Scale(parts.dataset, parts.device)
        self.val = on_device(parts.dataset.val, parts.device)
        self.test = on_device(parts.dataset.test, parts.device)
        train = on_device(parts.dataset.train, parts.device)
        self.batches = TrainingBatches(
            train,
            scale,
            parts.augmentation,
            num_classes=len(parts.dataset.classes),
            label_smoothing=settings.label_smoothing,
            batch_size=settings.num_in_batch(len(train)),
            seed=seed,
        )
        self.evaluator = Evaluator(parts.evaluation, train, scale, autocast(settings, parts.device))
        self.num_steps = settings.epochs * self.batches.steps_per_epoch
        wanted = round(settings.eval_every * self.batches.steps_per_epoch)
        self.steps_per_evaluation = min(max(1, wanted), self.num_steps)
        self.base_lr = parts.optimizer.param_groups[0]["lr"]
        self.step = Step(
            parts.model, parts.optimizer, parts.loss, parts.noise, settings, parts.device, self.steps_per_evaluation
        )
        self.monitor = make_monitor(parts, settings, self.batches, self.steps_per_evaluation)

    def run(self, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """Train, evaluate and record until the end; return the outcome: status and metrics."""
        rows = self._resume()
        histograms = self.folder.cut_histograms(self.progress.step)
        with ExitStack() as stack:
            events: EventWriter | None = None
            started = time.perf_counter() - self.progress.seconds_total
            self.reporter.start(self.progress.step, self.num_steps, self.batches.batch_size)
            while not self._is_finished():
                end = min(self.num_steps, self.progress.step + self.steps_per_evaluation)
                row = self._evaluate(*self._train_until(end))
                events = events or stack.enter_context(self._events(rows, histograms))
                signals = self.monitor.measure()
                row |= signals.numbers
                self.progress.seconds_total = time.perf_counter() - started
                self.folder.append_row(row)
                self.progress.rows = chained(self.progress.rows, row)
                events.add(row)
                if signals.histograms:
                    found = {tag: asdict(counted) for tag, counted in signals.histograms.items()}
                    self.folder.append_histograms(self.progress.step, found)
                    events.add_histograms(self.progress.step, found)
                self.reporter.row(row)
                state = capture(self.parts, self.progress, self.name)
                save_checkpoint(self.folder.checkpoint, state, self.folder.previous_checkpoint)
            outcome = self._outcome()
            events = events or stack.enter_context(self._events(rows, histograms))
            events.summarize(hyperparameters, outcome["metrics"])
        return outcome

    def counts(self) -> dict[str, Any]:
        """Return how much has been done so far, for ``result.json``."""
        progress = self.progress
        seconds = {"train": progress.seconds_train, "total": progress.seconds_total}
        return {"epochs": self._epoch(progress.step), "steps": progress.step, "seconds": seconds}

    def _events(self, rows: list[Row], histograms: Iterable[Mapping[str, Any]]) -> closing[EventWriter]:
        """Open TensorBoard's file. Its import takes long, so it comes after the first steps."""
        from bnexp.training.tensorboard import EventWriter

        return closing(EventWriter(self.folder.path, rows, histograms))

    def _resume(self) -> list[Row]:
        """Go on from the folder's checkpoint, if there is one; return the rows recorded up to it."""
        for file in self.folder.event_files():  # written anew from the rows
            file.unlink()
        state = newest_state(self.folder, self.name, self.parts.device.type, self.reporter.say)
        if state is not None:
            self.progress = restore(state, self.parts)
        return self.folder.cut_rows(self.progress.step)

    def _is_finished(self) -> bool:
        patience = self.settings.early_stopping
        stopped_early = patience is not None and self.progress.evaluations_since_best >= patience
        return self.progress.step >= self.num_steps or stopped_early or self.progress.diverged_step is not None

    def _train_until(self, end: int) -> tuple[list[float], int]:
        self.parts.model.train()
        started = time.perf_counter()
        for index in range(self.progress.step, end):
            if index == end - 1:
                paused = time.perf_counter()
                self.monitor.before_last_step()
                started += time.perf_counter() - paused
            set_lr_(self.parts.optimizer, self.base_lr * self.parts.schedule(index, self.num_steps))
            self.step(*self.batches.at(index))
            self.reporter.step(index + 1)
        losses, num_correct = self.step.fetch()  # waits for the device, so the clock is right
        self.progress.seconds_train += time.perf_counter() - started
        return losses, num_correct

    def _evaluate(self, losses: list[float], num_correct: int) -> Row:
        progress = self.progress
        if progress.initial_loss is None:
            progress.initial_loss = losses[0]
        limit = DIVERGED * max(progress.initial_loss, 1.0)
        numbered = enumerate(losses, progress.step + 1)
        diverged = (number for number, loss in numbered if not isfinite(loss) or loss > limit)
        progress.diverged_step = next(diverged, None)
        progress.step += len(losses)
        progress.num_evaluations += 1
        self._score()
        return {
            "step": progress.step,
            "epoch": self._epoch(progress.step),
            "seconds": progress.seconds_train,
            "train/loss": sum(losses) / len(losses),
            "train/accuracy": num_correct / (len(losses) * self.batches.batch_size),
            "val/loss": progress.scores["val/loss"],
            "val/accuracy": progress.scores["val/accuracy"],
            "lr": self.parts.optimizer.param_groups[0]["lr"],
        }

    def _score(self) -> None:
        """Score the validation split, and the test split where somebody will be told: at the best and at the last."""
        progress = self.progress
        with self.evaluator.scoring(self.parts.model) as score:
            val = score(self.val)
            is_best = val.accuracy > progress.best_val_accuracy
            progress.evaluations_since_best = 0 if is_best else progress.evaluations_since_best + 1
            progress.scores |= {"val/loss": val.loss, "val/accuracy": val.accuracy}
            if is_best or self._is_finished():
                test = score(self.test)
                progress.scores |= {"test/loss": test.loss, "test/accuracy": test.accuracy}
        if is_best:
            progress.best_step = progress.step
            progress.best_val_accuracy = val.accuracy
            progress.best_test_accuracy = test.accuracy

    def _epoch(self, step: int) -> float:
        return step / self.batches.steps_per_epoch

    def _outcome(self) -> dict[str, Any]:
        progress = self.progress
        outcome: dict[str, Any] = {
            "status": "done" if progress.diverged_step is None else "diverged",
            "metrics": {
                "initial/loss": progress.initial_loss,
                **progress.scores,
                "best/epoch": self._epoch(progress.best_step),
                "best/val/accuracy": progress.best_val_accuracy,
                "best/test/accuracy": progress.best_test_accuracy,
            },
        }
        if progress.diverged_step is not None:
            outcome["diverged_step"] = progress.diverged_step
        return outcome
