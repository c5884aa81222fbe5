"""A training told to MLflow, where MLFLOW_TRACKING_URI names a server; elsewhere nothing happens here.

A process of its own does the telling, recorder.py: no training waits for a server, and one that is killed leaves no run
that seems to go on. What goes wrong is told in a sentence, and the training goes on.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mnist_app.models.registry import CURVES, ModelCard
from mnist_app.training.recorder import NO_ANSWER, REFUSED, SERVER
from mnist_app.training.train import BatchReport, EpochReport
from mnist_app.training.trainer import Watch

NOT_INSTALLED = (
    f"{SERVER} is set, but MLflow is not installed, so this training is not logged: pip install --editable '.[mlflow]'"
)
NO_WORD = REFUSED.format("what was to log it ended without a word.")
LONGEST = 60  # seconds that the end of a training waits for the recorder
# MLflow itself would try for minutes to reach a server that is not there. Whoever sets other limits means them.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds; a server that shares two busy cores has taken more than 5
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",  # seconds: the second retry comes after two
}
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

Tell = Callable[[str], None]


class Run:
    """A training as MLflow is told of it."""

    def __init__(self, recorder: "subprocess.Popen[bytes] | None", tell: Tell) -> None:
        self._recorder = recorder  # None where nobody is to be told, or nobody can be any more
        self._tell = tell
        self._steps = 0

    def beside(self, watch: Watch) -> Watch:
        """What watches a training, and MLflow besides."""

        def both(report: BatchReport | EpochReport, network: nn.Module) -> None:
            watch(report, network)
            if isinstance(report, EpochReport):
                self.measured({name: getattr(report, name) for name in CURVES})

        return both

    def measured(self, measures: Mapping[str, float]) -> None:
        """The next point of the curves: registry.CURVES."""
        self._steps += 1
        self._say("measured", {"step": self._steps, "measures": dict(measures)})

    def keep(self, folder: Path, card: ModelCard) -> None:
        """What came of it: all files of a folder, and what the card says."""
        told = {
            "folder": str(folder.resolve()),
            "curves": list(card.curves),
            "params": {name: str(getattr(card, name)) for name in ("data", "parent", "parameters", "preprocessing")},
            "metrics": {
                f"final/{split}_{measure}": value
                for split, measures in card.metrics.items()
                for measure, value in measures.items()
            },
            "machine": card.machine,
            "summary": card.summary,
        }
        self._say("kept", told)

    def _say(self, what: str, content: object) -> None:
        if self._recorder is None:
            return
        assert self._recorder.stdin
        try:
            self._recorder.stdin.write(json.dumps([what, content]).encode() + b"\n")
            self._recorder.stdin.flush()
        except OSError:  # it has given up, and says why
            self._end()

    def _end(self) -> None:
        """Wait until all has been told, and tell what went wrong."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            said, _ = recorder.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            recorder.kill()
            recorder.communicate()
            said = NO_ANSWER.encode()
        if said or recorder.returncode:
            self._tell(said.decode(errors="replace") or NO_WORD)


@contextlib.contextmanager
def tracked(name: str, command: str, parameters: Mapping[str, Any], tell: Tell) -> Iterator[Run]:
    """A run of MLflow's for what is trained inside, which ends as that ends; problems are told, and no more."""
    run = Run(_recorder(tell), tell)
    run._say(
        "began",
        {
            "name": name,
            "at": round(1000 * time.time()),
            "params": dict(_flat(parameters)),
            "tags": {"name": name, "command": command},
        },
    )
    try:
        yield run
        run._say("ended", "FINISHED")
    except Exception:
        run._say("ended", "FAILED")
        raise
    finally:  # without such a word it was killed, if only by Ctrl-C
        run._end()


def _recorder(tell: Tell) -> "subprocess.Popen[bytes] | None":
    """The process that tells MLflow, where that is wanted and can be had."""
    if not os.environ.get(SERVER):
        return None
    if importlib.util.find_spec("mlflow") is None:
        tell(NOT_INSTALLED)
        return None
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "mnist_app.training.recorder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what MLflow says to who maintains its servers
            env={**LIMITS, **os.environ, **NO_TELEMETRY},
            start_new_session=True,  # Ctrl-C ends the training, and this is to note it
        )
    except OSError:  # no memory for another process
        tell(NO_WORD)
        return None


def _flat(parameters: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", str(value)
