"""A run's network as its checkpoint holds it, built anew; nothing in the run folder is changed.

The one place where judging runs takes more than their records: a landscape needs the function itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from bnexp.analysis.runs import Run
from bnexp.errors import ConfigError
from bnexp.experiment import Experiment, prepare
from bnexp.training.checkpoint import DamagedCheckpointError, load_checkpoint
from bnexp.training.record import RunFolder
from bnexp.training.seal import DamagedRunError, check_files


class NotFiniteError(ConfigError):
    """The run diverged so far that its weights are no numbers: there is no point in the middle of a landscape."""


@dataclass(frozen=True)
class Trained:
    """A run with its network.

    Attributes:
        run: the record.
        experiment: settings and data of the run, read anew.
        model: the network on the CPU, with the weights and running statistics of the run's last evaluation.
        step: the training steps behind it.
    """

    run: Run
    experiment: Experiment
    model: nn.Module
    step: int


def load_trained(run: Run) -> Trained:
    """Build a run's network and fill it with the run's checkpoint.

    Raises:
        ConfigError: one line, where the checkpoint is missing, damaged or another run's, or data and settings are no
            longer those of the run.
        NotFiniteError: where the weights are not finite.
    """
    experiment = _rebuilt(run)
    checkpoint = RunFolder(run.path).checkpoint
    if not checkpoint.exists():
        raise ConfigError(
            f"{run.path}: no {checkpoint.name}, so there are no weights; name a run that has been trained"
        )
    try:
        check_files(RunFolder(run.path), checkpoint)
        state = load_checkpoint(checkpoint)
        if (state.get("fingerprint"), state.get("seed")) != (experiment.fingerprint, run.seed):
            raise ConfigError(f"{checkpoint}: belongs to another run; train this one again")
        experiment.model.load_state_dict(state["model"])
        step = int(state["progress"]["step"])
    except DamagedRunError as error:
        raise ConfigError(str(error)) from error
    except (DamagedCheckpointError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        line = str(error).splitlines()[0].removeprefix(f"{checkpoint} ")
        raise ConfigError(f"{checkpoint}: damaged ({line}); train it again with rerun=true") from error
    if not all(tensor.isfinite().all() for tensor in experiment.model.state_dict().values()):
        raise NotFiniteError(f"{run.path}: {run.status} at step {step}, its weights are not finite; leave this run out")
    return Trained(run, experiment, experiment.model, step)


def _rebuilt(run: Run) -> Experiment:
    config = {key: value for key, value in run.config.items() if key not in ("choices", "fingerprint")}
    try:
        # What a run ran on cannot change its numbers; it need not be at hand any more.
        anywhere = {"device": "auto", "graph": "auto", "compile": False}
        config["training"] = config["training"] | anywhere
        experiment = prepare(config, run.config["choices"], writes=False)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{run.path}: its network cannot be built again ({line})") from error
    if experiment.fingerprint != run.result["fingerprint"]:
        raise ConfigError(
            f"{run.path}: its data or its code are no longer those it was trained with (bnexp's own, or a plugin's); "
            "train it again"
        )
    return experiment
