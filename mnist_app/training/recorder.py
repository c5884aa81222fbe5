"""The process that reports a training to MLflow, and the only module that uses MLflow.

tracking.py sends it events, one line of JSON each: ["began", …], ["measured", …], ["kept", …], ["ended", …]. If the
lines stop before the last of these, the training was killed. If anything fails, the process prints a sentence to
standard output and ends.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Thread

SERVER, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
USUAL_EXPERIMENT = "mnist-app"
NO_ANSWER = f"MLflow did not record all of this training: the server that {SERVER} names did not answer. Is it running?"
NOT_RECORDED = "MLflow did not record all of this training: {}"
LONGEST_REASON = 300  # characters of MLflow's error message, which may quote a page of HTML


def record(lines: Iterator[str]) -> None:
    """Record the events in the lines as a run of MLflow's, until they end."""
    from mlflow import MlflowClient  # here, so that a broken installation is reported like other errors
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    client = MlflowClient()
    title = os.environ.get(EXPERIMENT) or USUAL_EXPERIMENT
    found = client.get_experiment_by_name(title)
    experiment = found.experiment_id if found else client.create_experiment(title)
    _, began = json.loads(next(lines))
    run = client.create_run(experiment, began["at"], began["tags"], began["name"]).info.run_id
    status = "KILLED"
    try:
        client.log_batch(run, params=[Param(*each) for each in began["params"].items()])
        for what, told in map(json.loads, lines):
            if what == "measured":
                at = began["at"] + round(1000 * told["measures"]["seconds"])
                client.log_batch(
                    run, [Metric(name, value, at, told["step"]) for name, value in told["measures"].items()]
                )
            elif what == "kept":
                now = round(1000 * time.time())
                client.log_batch(
                    run,
                    [Metric(name, value, now, 0) for name, value in told["metrics"].items()],
                    [Param(*each) for each in told["params"].items()],
                    [RunTag("machine", told["machine"]), RunTag(MLFLOW_RUN_NOTE, told["summary"])],
                )
                client.log_dict(run, told["curves"], "curves.json")
                client.log_artifacts(run, told["folder"])
            else:
                status = told
    except Exception:
        status = "FAILED"  # whatever became of the training: the run is incomplete
        raise
    finally:
        client.set_terminated(run, status)


def _taken_in(lines: Iterable[str]) -> Iterator[str]:
    """The same lines, read as they come: a full pipe would hold up the training until the server has answered."""
    waiting: SimpleQueue[str | None] = SimpleQueue()

    def take_in() -> None:
        for line in lines:
            waiting.put(line)
        waiting.put(None)

    Thread(target=take_in, daemon=True).start()
    return iter(waiting.get, None)


def _reason(error: Exception) -> str:
    """Say what went wrong, without the server's address, which may hold a password: pupils may read this."""
    if isinstance(error.__context__, OSError):  # HTTP errors are OSErrors, too
        return NO_ANSWER
    said = " ".join(str(error).replace(os.environ[SERVER], SERVER).split())
    return NOT_RECORDED.format(said[:LONGEST_REASON])


def main() -> None:
    problem = ""
    with contextlib.redirect_stdout(sys.stderr):  # MLflow prints where to see the run
        try:
            record(_taken_in(sys.stdin))
        except Exception as error:  # of any kind: the training goes on
            problem = _reason(error)
    print(problem, end="", flush=True)


if __name__ == "__main__":
    main()
