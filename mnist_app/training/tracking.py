"""Report trainings to MLflow if MLFLOW_TRACKING_URI names a server; otherwise do nothing.

A separate process, recorder.py, does the reporting: no training waits for a server, and one that is killed leaves no
run that seems to go on. A problem is reported in a sentence, and the training goes on.
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
from mnist_app.training.recorder import NO_ANSWER, NOT_RECORDED, SERVER
from mnist_app.training.train import BatchReport, EpochReport
from mnist_app.training.trainer import Watch

NOT_INSTALLED = (
    f"{SERVER} is set, but MLflow is not installed, so this training is not logged: pip install --editable '.[mlflow]'"
)
NO_WORD = NOT_RECORDED.format("the process that logs it ended without a message.")
LONGEST = 60  # seconds that the end of a training waits for the recorder
# By default, MLflow tries for minutes to reach a server that is down. Limits set in the environment take precedence.
LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds; a server that shares two busy cores has taken more than 5
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",  # seconds: the second retry comes after two
}
NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

Tell = Callable[[str], None]


class Run:
    """A training that is reported to MLflow."""

    def __init__(self, recorder: "subprocess.Popen[bytes] | None", tell: Tell) -> None:
        self._recorder = recorder  # None if nothing is reported, or nothing can be any more
        self._tell = tell
        self._steps = 0

    def beside(self, watch: Watch) -> Watch:
        """Return a Watch that calls ``watch`` and also reports to MLflow."""

        def both(report: BatchReport | EpochReport, network: nn.Module) -> None:
            watch(report, network)
            if isinstance(report, EpochReport):
                self.measured({name: getattr(report, name) for name in CURVES})

        return both

    def measured(self, measures: Mapping[str, float]) -> None:
        """Report the next point of the curves, registry.CURVES."""
        self._steps += 1
        self._say("measured", {"step": self._steps, "measures": dict(measures)})

    def keep(self, folder: Path, card: ModelCard) -> None:
        """Report the finished model: all files in ``folder``, and what the card says."""
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
        except OSError:  # the recorder has given up, and says why
            self._end()

    def _end(self) -> None:
        """Wait until everything has been reported, and tell what went wrong."""
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
    """An MLflow run for the training inside the block, which ends as that ends. Problems only go to ``tell``."""
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
    finally:  # without "ended", the training was killed, if only by Ctrl-C
        run._end()


def _recorder(tell: Tell) -> "subprocess.Popen[bytes] | None":
    """Start the process that reports to MLflow, if that is wanted and possible."""
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
            stderr=subprocess.DEVNULL,  # MLflow's messages for administrators
            env={**LIMITS, **os.environ, **NO_TELEMETRY},
            start_new_session=True,  # Ctrl-C ends the training, and this process must note that
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
