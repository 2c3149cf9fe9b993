"""The training loop, from the first step to the result."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from bnexp.optim.optimizers import has_fixed_update, put_lr_on_device_, set_lr_
from bnexp.training.batches import Scale, TrainingBatches, on_device
from bnexp.training.checkpoint import save_checkpoint
from bnexp.training.clock import clock
from bnexp.training.evaluation import Evaluator
from bnexp.training.progress import Reporter
from bnexp.training.record import Row, RunFolder, chained, finite
from bnexp.training.resume import newest_state
from bnexp.training.settings import Settings
from bnexp.training.state import Parts, Progress, capture, restore
from bnexp.training.step import Step, autocast
from bnexp.training.stretch import Run, Stretch, Taken
from bnexp.training.surroundings import changes
from bnexp.training.timeout import TimeLimit
from bnexp.training.watch import make_monitor

if TYPE_CHECKING:
    from bnexp.training.tensorboard import EventWriter

DIVERGED = 1e3
"""A run has diverged when a step's loss is not finite, or beyond this multiple of the first step's loss.

A first loss below 1 counts as 1: a network that starts with the right answers has a loss near 0, and no scale in it.
"""


class Training:
    """One run. :meth:`run` trains it to its end, or the rest of the way where its folder holds a checkpoint.

    It asks for its steps to be taken (:mod:`bnexp.training.stretch`), and does all that lies between them itself.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        *,
        seed: int,
        fingerprint: str,
        folder: RunFolder,
        reporter: Reporter,
        limit: TimeLimit,
    ) -> None:
        self.parts = parts
        self.settings = settings
        self.fingerprint = fingerprint
        self.seed = seed
        self.folder = folder
        self.reporter = reporter
        self.limit = limit
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
        self.has_fixed_update = has_fixed_update(parts.optimizer)
        if self.has_fixed_update:
            put_lr_on_device_(parts.optimizer)
        self.step = Step(
            parts.model, parts.optimizer, parts.loss, parts.noise, settings, parts.device, self.steps_per_evaluation
        )
        self.monitor = make_monitor(parts, settings, self.batches, self.steps_per_evaluation)
        self.taken = Taken(0.0)
        self.resumed_at = 0.0

    def run(self, hyperparameters: dict[str, Any], surroundings: Mapping[str, Any]) -> Run:
        """Train, evaluate and record until the end; return the outcome: status and metrics.

        Args:
            hyperparameters: what TensorBoard shows of the configuration.
            surroundings: what the run trains in (:mod:`bnexp.training.surroundings`), for the record.
        """
        rows = self._resume()
        self._begin_part(surroundings)
        histograms = self.folder.cut_histograms(self.progress.step)
        with ExitStack() as stack:
            events: EventWriter | None = None
            stack.enter_context(clock.ticking())
            self.resumed_at = clock.now()
            self.reporter.start(self.progress.step, self.num_steps, self.batches.batch_size)
            while not self._is_finished():
                end = min(self.num_steps, self.progress.step + self.steps_per_evaluation)
                yield from self._train_until(end)
                row = self._evaluate(*self.step.fetch())
                events = events or stack.enter_context(self._events(rows, histograms))
                signals = self.monitor.measure()
                row = finite(row | signals.numbers)
                self._count_seconds()
                self.folder.append_row(row)
                self.progress.rows = chained(self.progress.rows, row)
                events.add(row)
                if signals.histograms:
                    found = {tag: asdict(counted) for tag, counted in signals.histograms.items()}
                    self.progress.histograms = chained(
                        self.progress.histograms, self.folder.append_histograms(self.progress.step, found)
                    )
                    events.add_histograms(self.progress.step, found)
                self.reporter.row(row)
                state = capture(self.parts, self.progress, self.fingerprint, self.seed)
                save_checkpoint(self.folder.checkpoint, state, self.folder.previous_checkpoint)
            outcome = self._outcome()
            events = events or stack.enter_context(self._events(rows, histograms))
            events.summarize(hyperparameters, outcome["metrics"])
        return outcome

    def counts(self) -> dict[str, Any]:
        """Return how much has been done so far, for ``result.json``."""
        progress = self.progress
        seconds = {"train": progress.seconds_train, "total": progress.seconds_total}
        launch = {"replicas": self.taken.replicas, "graph": self.taken.graph, "compile": self.settings.compile}
        done = {"epochs": self._epoch(progress.step), "steps": progress.step, "seconds": seconds, "launch": launch}
        return done | {"rows": progress.rows, "histograms": progress.histograms, "parts": progress.parts}

    def _events(self, rows: list[Row], histograms: Iterable[Mapping[str, Any]]) -> closing[EventWriter]:
        """Open TensorBoard's file. Its import takes long, so it comes after the first steps."""
        from bnexp.training.tensorboard import EventWriter

        return closing(EventWriter(self.folder.path, rows, histograms))

    def _resume(self) -> list[Row]:
        """Resume from the folder's checkpoint, if there is one; return the rows recorded up to it."""
        for file in self.folder.event_files():  # written anew from the rows
            file.unlink()
        own = (self.fingerprint, self.seed)
        state = newest_state(self.folder, own, self.parts.device.type, self.reporter.say)
        if state is not None:
            self.progress = restore(state, self.parts)
        return self.folder.cut_rows(self.progress.step)

    def _begin_part(self, surroundings: Mapping[str, Any]) -> None:
        """Note from which step on the run trains in these surroundings, and say so where they are other ones."""
        parts = self.progress.parts
        changed = changes(parts[-1]["environment"], surroundings) if parts else {}
        if changed:
            listed = ", ".join(f"{key} {old} → {new}" for key, (old, new) in changed.items())
            self.reporter.say(f"resumes in other surroundings, as a further part of the run: {listed}")
        if changed or not parts:
            parts.append({"first_step": self.progress.step, "environment": dict(surroundings)})

    def _is_finished(self) -> bool:
        patience = self.settings.early_stopping
        stopped_early = patience is not None and self.progress.evaluations_since_best >= patience
        return self.progress.step >= self.num_steps or stopped_early or self.progress.diverged_step is not None

    def _train_until(self, end: int) -> Generator[Stretch, Taken, None]:
        # The last step is taken by itself: the monitor compares the parameters before and behind it.
        self.parts.model.train()
        if end - 1 > self.progress.step:
            yield from self._take(self.progress.step, end - 1)
        self.monitor.before_last_step()
        yield from self._take(end - 1, end)

    def stretch(self, start: int, end: int) -> Stretch:
        """Return the steps from ``start`` up to ``end``, for somebody to take."""
        return Stretch(
            start,
            end,
            seek=self._seek,
            step=self._step,
            told=self.reporter.step,
            say=self.reporter.say,
            generators=list(self.parts.generators.values()),
            has_fixed_update=self.has_fixed_update,
            limit=self.limit,
        )

    def _take(self, start: int, end: int) -> Generator[Stretch, Taken, None]:
        self._count_seconds()
        with self.limit.paused():
            self.taken = yield self.stretch(start, end)
        self.progress.seconds_train += self.taken.seconds
        self.progress.seconds_total += self.taken.seconds
        self.resumed_at = clock.now()

    def _seek(self, index: int) -> None:
        self.batches.seek(index)
        set_lr_(self.parts.optimizer, self._lr(index))

    def _step(self) -> None:
        self.step(*self.batches.current())

    def _lr(self, index: int) -> float:
        return float(self.base_lr * self.parts.schedule(index, self.num_steps))

    def _count_seconds(self) -> None:
        """Add what has passed since this run was last called; others may run while it waits for its steps."""
        now = clock.now()
        self.progress.seconds_total += now - self.resumed_at
        self.resumed_at = now

    def _evaluate(self, losses: list[float], num_correct: float) -> Row:
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
            "lr": self._lr(progress.step - 1),
        }

    def _score(self) -> None:
        """Score the validation split, and the test split where somebody will be told: at the best and at the last."""
        progress = self.progress
        with self.evaluator.scoring(self.parts.model) as score:
            val = score(self.val)
            is_best = val.accuracy > progress.best_val_accuracy  # not so without a score, which is NaN
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
        metrics = {
            "initial/loss": progress.initial_loss,
            **progress.scores,
            "best/epoch": self._epoch(progress.best_step) if progress.best_step else None,
            "best/val/accuracy": progress.best_val_accuracy,
            "best/test/accuracy": progress.best_test_accuracy,
        }
        status = "done" if progress.diverged_step is None else "diverged"
        outcome: dict[str, Any] = {"status": status, "metrics": finite(metrics)}
        if progress.diverged_step is not None:
            outcome["diverged_step"] = progress.diverged_step
        return outcome
