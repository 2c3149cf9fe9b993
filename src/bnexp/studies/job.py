"""One run of a study, in this process or a launcher's worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import chdir, nullcontext

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from bnexp.config.compose import resolved
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.text import harmless_streams
from bnexp.training.progress import Silence

SECONDS_BETWEEN_LOOKS = 1.0


@harmless_streams()
def train_job(config: DictConfig) -> str:
    """Train one run and return its status; ``running`` where another process is at it.

    A run that fails has left its error in its folder; nothing is raised for it.
    """
    hydra_config = HydraConfig.get()
    composed = resolved(config, hydra_config.runtime.choices)
    # With hydra.job.chdir=true Hydra is somewhere else by now; paths are seen from where the user called.
    with chdir(hydra_config.runtime.cwd) if hydra_config.job.chdir else nullcontext():
        return str(run(prepare(*composed), Silence)["status"])


def obey(parent: int) -> None:
    """Let this local worker live and die with the process that started it.

    Ctrl-C reaches both; it is for the parent to stop the workers. And if the parent is killed, joblib's workers would
    go on training what they have been handed, and then wait: for minutes, or for ever where the parent was just
    handing over the next job.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def die_with_parent() -> None:
        while os.getppid() == parent:  # another one from the start if it was killed before this worker was up
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)  # as if killed too: the next start goes on from the last checkpoint

    threading.Thread(target=die_with_parent, daemon=True).start()
