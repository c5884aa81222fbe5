"""The process that tells MLflow of a training: all that knows MLflow.

tracking.py says what happens, a line of JSON each: ["began", …], ["measured", …], ["kept", …], ["ended", …]. Where the
lines end without the last of these, whoever trained was killed. What goes wrong is a sentence on standard output, and
the end.
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
NO_ANSWER = f"MLflow has not got all of this training: the server that {SERVER} names did not answer. See if it runs."
REFUSED = "MLflow has not got all of this training: {}"
LONGEST_REASON = 300  # characters of what MLflow says of an error; it may quote a page of HTML


def record(lines: Iterator[str]) -> None:
    """Make a run of what the lines say, until they end."""
    from mlflow import MlflowClient  # here, for an installation that is broken is a sentence, too
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
        status = "FAILED"  # whatever became of the training: this is not all of it
        raise
    finally:
        client.set_terminated(run, status)


def _taken_in(lines: Iterable[str]) -> Iterator[str]:
    """The same lines, each taken in as it comes: a full pipe would hold up who trains until a server has answered."""
    waiting: SimpleQueue[str | None] = SimpleQueue()

    def take_in() -> None:
        for line in lines:
            waiting.put(line)
        waiting.put(None)

    Thread(target=take_in, daemon=True).start()
    return iter(waiting.get, None)


def _reason(error: Exception) -> str:
    """What went wrong, without the server's address: pupils may read it, and it may hold a password."""
    if isinstance(error.__context__, OSError):  # of which those of HTTP are
        return NO_ANSWER
    said = " ".join(str(error).replace(os.environ[SERVER], SERVER).split())
    return REFUSED.format(said[:LONGEST_REASON])


def main() -> None:
    problem = ""
    with contextlib.redirect_stdout(sys.stderr):  # MLflow says there where the run is to be seen
        try:
            record(_taken_in(sys.stdin))
        except Exception as error:  # of whatever kind: the training goes on
            problem = _reason(error)
    print(problem, end="", flush=True)


if __name__ == "__main__":
    main()
