"""The training loop, from the first step to the result."""

from __future__ import annotations

import time
from contextlib import closing
from math import isfinite
from typing import Any

from bnexp.optim.optimizers import set_lr_
from bnexp.training.batches import Scale, TrainingBatches, on_device
from bnexp.training.checkpoint import DamagedCheckpointError, load_checkpoint, save_checkpoint
from bnexp.training.evaluation import Evaluator, Score
from bnexp.training.progress import Reporter
from bnexp.training.record import Row, RunFolder
from bnexp.training.settings import Settings
from bnexp.training.state import Parts, Progress, capture, restore
from bnexp.training.step import Step, autocast
from bnexp.training.tensorboard import EventWriter

DIVERGED = 1e3
"""A run has diverged when a step's loss is not finite, or beyond this multiple of the first step's loss."""


class Training:
    """One run. :meth:`run` trains it to its end, or the rest of the way where its folder holds a checkpoint."""

    def __init__(
        self, parts: Parts, settings: Settings, *, seed: int, fingerprint: str, folder: RunFolder, reporter: Reporter
    ) -> None:
        self.parts = parts
        self.settings = settings
        self.fingerprint = fingerprint
        self.folder = folder
        self.reporter = reporter
        self.progress = Progress()
        scale = Scale(parts.dataset, parts.device)
        self.val = on_device(parts.dataset.val, parts.device)
        self.test = on_device(parts.dataset.test, parts.device)
        train = on_device(parts.dataset.train, parts.device)
        batch_size = len(train) if settings.batch_size == "full" else settings.batch_size
        self.batches = TrainingBatches(
            train,
            scale,
            parts.augmentation,
            num_classes=len(parts.dataset.classes),
            label_smoothing=settings.label_smoothing,
            batch_size=batch_size,
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

    def run(self, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """Train, evaluate and record until the end; return the outcome: status and metrics."""
        with closing(EventWriter(self.folder.path, self._resume())) as events:
            started = time.perf_counter() - self.progress.seconds_total
            self.reporter.start(self.progress.step, self.num_steps, self.batches.batch_size)
            while not self._is_finished():
                end = min(self.num_steps, self.progress.step + self.steps_per_evaluation)
                row = self._evaluate(*self._train_until(end))
                self.progress.seconds_total = time.perf_counter() - started
                self.folder.append_row(row)
                events.add(row)
                self.reporter.row(row)
                save_checkpoint(self.folder.checkpoint, capture(self.parts, self.progress, self.fingerprint))
            outcome = self._outcome()
            events.summarize(hyperparameters, outcome["metrics"])
        return outcome

    def counts(self) -> dict[str, Any]:
        """Return how much has been done so far, for ``result.json``."""
        progress = self.progress
        seconds = {"train": progress.seconds_train, "total": progress.seconds_total}
        return {"epochs": self._epoch(progress.step), "steps": progress.step, "seconds": seconds}

    def _resume(self) -> list[Row]:
        """Go on from the folder's checkpoint, if there is one; return the rows recorded up to it."""
        for file in self.folder.event_files():  # written anew from the rows
            file.unlink()
        if self.folder.checkpoint.exists():
            try:
                state = load_checkpoint(self.folder.checkpoint)
                if state.get("fingerprint") != self.fingerprint:
                    raise DamagedCheckpointError(f"{self.folder.checkpoint} belongs to another run")
                if state.get("device") != self.parts.device.type:  # whose generators have states of another form
                    raise DamagedCheckpointError(f"{self.folder.checkpoint} was written on another kind of device")
                if len(self.folder.rows_until(state["progress"]["step"])) != state["progress"]["num_evaluations"]:
                    raise DamagedCheckpointError(
                        f"{self.folder.metrics} lacks evaluations that came before the checkpoint"
                    )
                self.progress = restore(state, self.parts)
            except DamagedCheckpointError as error:
                self.reporter.say(f"{error}; training starts anew")
        return self.folder.cut_rows(self.progress.step)

    def _is_finished(self) -> bool:
        patience = self.settings.early_stopping
        stopped_early = patience is not None and self.progress.evaluations_since_best >= patience
        return self.progress.step >= self.num_steps or stopped_early or self.progress.diverged_step is not None

    def _train_until(self, end: int) -> tuple[list[float], int]:
        self.parts.model.train()
        started = time.perf_counter()
        for index in range(self.progress.step, end):
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
        limit = DIVERGED * progress.initial_loss
        numbered = enumerate(losses, progress.step + 1)
        diverged = (number for number, loss in numbered if not isfinite(loss) or loss > limit)
        progress.diverged_step = next(diverged, None)
        progress.step += len(losses)
        progress.num_evaluations += 1
        val = self._score("val")
        self._note_best(val)
        return {
            "step": progress.step,
            "epoch": self._epoch(progress.step),
            "seconds": progress.seconds_train,
            "train/loss": sum(losses) / len(losses),
            "train/accuracy": num_correct / (len(losses) * self.batches.batch_size),
            "val/loss": val.loss,
            "val/accuracy": val.accuracy,
            "lr": self.parts.optimizer.param_groups[0]["lr"],
        }

    def _note_best(self, val: Score) -> None:
        progress = self.progress
        if val.accuracy <= progress.best_val_accuracy:
            progress.evaluations_since_best += 1
            return
        progress.best_step = progress.step
        progress.best_val_accuracy = val.accuracy
        progress.best_test_accuracy = self._score("test").accuracy
        progress.evaluations_since_best = 0

    def _score(self, split: str) -> Score:
        return self.evaluator.score(self.parts.model, self.val if split == "val" else self.test)

    def _epoch(self, step: int) -> float:
        return step / self.batches.steps_per_epoch

    def _outcome(self) -> dict[str, Any]:
        progress = self.progress
        val, test = self._score("val"), self._score("test")
        outcome: dict[str, Any] = {
            "status": "done" if progress.diverged_step is None else "diverged",
            "metrics": {
                "initial/loss": progress.initial_loss,
                "val/loss": val.loss,
                "val/accuracy": val.accuracy,
                "test/loss": test.loss,
                "test/accuracy": test.accuracy,
                "best/epoch": self._epoch(progress.best_step),
                "best/val/accuracy": progress.best_val_accuracy,
                "best/test/accuracy": progress.best_test_accuracy,
            },
        }
        if progress.diverged_step is not None:
            outcome["diverged_step"] = progress.diverged_step
        return outcome
