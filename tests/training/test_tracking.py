"""Trainings logged to MLflow: a real server with an SQLite store, queried with MLflow's own client."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mnist_app.__main__ import main
from mnist_app.data.corrections import keep, to_json_lines
from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.ink.strokes import Drawing
from mnist_app.lab import run as lab
from mnist_app.lab.figures import read_figures
from mnist_app.lab.lineup import contenders
from mnist_app.lab.measure import learn_and_measure
from mnist_app.models.registry import CURVES, GRAPH, ModelCard, find_model, load_card
from mnist_app.training import jobs, recorder, tracking, worker
from mnist_app.training.augmentation import STILL
from mnist_app.training.queue import Queue
from mnist_app.training.recorder import NO_ANSWER, SERVER
from mnist_app.training.tracking import NOT_INSTALLED, tracked
from mnist_app.training.train import BatchReport, EpochReport, TrainConfig, train

from ..conftest import ONE, full_mnist
from ..processes import until

ROOT = Path(__file__).parents[2]
NOBODY = "http://anna:secret@127.0.0.1:1"  # where no server listens
QUICK = ("--preset", "quick", "--batch-size", "16")


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server for these tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    command = [sys.executable, "-m", "mlflow", "server", *kept, "--host", "127.0.0.1", "--port", str(port)]
    # Its jobs are for language models and need further packages.
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--workers", "1"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, **settings},
            start_new_session=True,  # it has a child, which must end with it
        ) as process,
    ):
        try:
            until(lambda: is_up(f"http://127.0.0.1:{port}/health") or process.poll(), 120)
            assert process.poll() is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def is_up(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture
def server(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MlflowClient:
    """MLflow's server, named in the environment, with an experiment for this test alone."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")  # for this client
    monkeypatch.setenv(SERVER, address)
    monkeypatch.setenv(recorder.EXPERIMENT, tmp_path.name)
    return MlflowClient(address)


@pytest.fixture
def tiny_splits(monkeypatch: pytest.MonkeyPatch, tiny_digits: Digits) -> Digits:
    """All splits are the same few digits."""
    for module in ("training.trainer", "training.teach"):
        monkeypatch.setattr(f"mnist_app.{module}.load_split", lambda split: tiny_digits)
    return tiny_digits


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mnist_app", *words])
    return main()


def the_run(server: MlflowClient) -> Run:
    experiment = server.get_experiment_by_name(os.environ[recorder.EXPERIMENT])
    assert experiment
    (run,) = server.search_runs([experiment.experiment_id])
    return run


def curve(server: MlflowClient, run: Run, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in server.get_metric_history(run.info.run_id, name)]


def kept_files(server: MlflowClient, run: Run, folder: Path) -> dict[str, bytes]:
    return {
        file.path: Path(server.download_artifacts(run.info.run_id, file.path, str(folder))).read_bytes()
        for file in server.list_artifacts(run.info.run_id)
    }


def check_curves(server: MlflowClient, run: Run, card: ModelCard) -> None:
    for name in CURVES:
        expected = [(step, report[name]) for step, report in enumerate(card.curves, 1)]
        assert curve(server, run, name) == expected


def test_a_training_is_a_run_with_its_parameters_curves_card_and_model(
    server: MlflowClient,
    tiny_splits: Digits,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, "train", "--name", "mine", *QUICK, "--epochs", "2", "--seed", "4") == 0
    assert "MLflow" not in "".join(capfd.readouterr())
    card, run = load_card(find_model("mine")), the_run(server)
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert {name: run.data.tags[name] for name in ("name", "command", "machine")} == {
        **{"name": "mine", "command": card.command, "machine": card.machine}
    }
    expected = {"architecture": "quicknet", "epochs": "2", "seed": "4", "augmentation.rotation": "0", "ink": "None"}
    expected |= {"data": card.data, "parent": "None", "parameters": str(card.parameters)}
    assert run.data.params == {**run.data.params, **expected}
    assert set(card.config) - {"augmentation"} <= set(run.data.params)
    assert len(card.curves) == 8
    check_curves(server, run, card)
    for split in ("validation", "test"):
        assert run.data.metrics[f"final/{split}_accuracy"] == card.metrics[split]["accuracy"]
    files = kept_files(server, run, tmp_path)
    assert {name: content for name, content in files.items() if name != "curves.json"} == {
        path.name: path.read_bytes() for path in find_model("mine").iterdir()
    }
    assert json.loads(files["curves.json"]) == card.curves


def test_a_lesson_is_a_run_that_names_its_parent(
    server: MlflowClient, tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep(Drawing.from_points(ONE), 1, "7", "mnist-cnn", "anna")
    (tmp_path / "ink").mkdir()
    (tmp_path / "ink" / "corrections.jsonl").write_text(to_json_lines())
    monkeypatch.setattr("mnist_app.training.teach.ALLOWED", 1)  # the model does not know digits that are bars
    words = ("teach", "mnist-cnn", "--name", "taught", "--ink", str(tmp_path / "ink"))
    assert command(monkeypatch, *words) == 0
    run, card = the_run(server), load_card(find_model("taught"))
    assert (run.info.status, run.data.tags["command"]) == ("FINISHED", card.command)
    assert (run.data.params["parent"], run.data.params["ink.copies"]) == ("mnist-cnn", "30")
    check_curves(server, run, card)


def test_a_lab_model_is_a_run_with_its_figures_and_its_graph(
    server: MlflowClient, validation: Digits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mnist_app.lab.measure.load_split", lambda split: validation[:1000])
    contender = next(each for each in contenders() if each.name == "one-convolution")
    folder = tmp_path / contender.name
    lab._tracked(contender, folder, True, lambda: learn_and_measure(contender, folder, is_quick=True))
    run, figures, card = the_run(server), read_figures(folder), load_card(folder)
    assert figures
    assert (run.info.run_name, run.info.status) == ("one-convolution", "FINISHED")
    assert run.data.tags["command"] == "python -m mnist_app lab --models one-convolution --quick"
    assert (run.data.params["family"], run.data.params["recipe"]) == (figures.family, figures.recipe)
    assert run.data.metrics["final/validation_accuracy"] == figures.validation_accuracy
    assert run.data.metrics["final/test_accuracy"] == figures.accuracy
    assert len(card.curves) == 1
    check_curves(server, run, card)
    files = kept_files(server, run, tmp_path)
    assert set(files) == {"curves.json", "card.json", "figures.json", GRAPH}
    assert files[GRAPH] == (folder / GRAPH).read_bytes()


@pytest.mark.parametrize(("end", "status"), [(AppError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_failed_or_interrupted_training_is_a_failed_or_killed_run(
    server: MlflowClient, tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch, end: BaseException, status: str
) -> None:
    def train_until(*arguments: Any) -> Iterator[BatchReport | EpochReport]:
        for report in train(*arguments):
            yield report
            if isinstance(report, EpochReport):
                raise end

    monkeypatch.setattr("mnist_app.training.trainer.train", train_until)
    with contextlib.suppress(KeyboardInterrupt):
        command(monkeypatch, "train", "--name", "mine", *QUICK)
    run = the_run(server)
    assert run.info.status == status and run.info.end_time
    assert len(curve(server, run, "train_loss")) == 1


def test_a_cancelled_job_is_a_killed_run(server: MlflowClient) -> None:
    """Its process is killed, so it cannot report this itself."""
    full_mnist()
    queue = Queue()
    queue.start()
    try:
        long = TrainConfig("quicknet", epochs=1000, digits=500, augmentation=STILL)
        identity = jobs.submit("mine", long)
        until(lambda: measured_in(server, "passes"), 240)
        jobs.cancel(identity)
        until(lambda: the_run(server).info.status != "RUNNING")
    finally:
        queue.stop()
    run = the_run(server)
    assert (run.info.status, run.info.run_name) == ("KILLED", "mine")
    assert "machine" not in run.data.tags and not server.list_artifacts(run.info.run_id)


def measured_in(server: MlflowClient, name: str) -> bool:
    """Whether the run of this test has begun and has a point of this curve."""
    experiment = server.get_experiment_by_name(os.environ[recorder.EXPERIMENT])
    return experiment is not None and any(
        name in run.data.metrics for run in server.search_runs([experiment.experiment_id])
    )


# When MLflow cannot be reached


def test_without_a_server_address_mlflow_is_not_imported_nor_a_recorder_started() -> None:
    """Runs in its own interpreter, because this one has imported MLflow for the tests."""
    script = """
        import subprocess, sys
        import numpy as np
        from mnist_app.data.dataset import Digits
        from mnist_app.lab import run
        from mnist_app.training import recorder, tracking, trainer, worker
        from mnist_app import __main__ as app
        few = Digits(np.zeros((64, 28, 28), np.uint8), np.arange(64) % 10)
        trainer.load_split = lambda split: few
        subprocess.Popen = None
        sys.argv = ["mnist_app", "train", "--name", "mine", "--preset", "quick", "--batch-size", "16"]
        assert app.main() == 0
        print("imported:", *(name for name in sys.modules if name.partition(".")[0] == "mlflow"))
        """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_a_missing_mlflow_package_is_reported_before_training_begins(
    tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SERVER, NOBODY)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    monkeypatch.setattr(subprocess, "Popen", Mock(side_effect=AssertionError("it started a recorder anyway")))
    said: list[str] = []

    def train_then(*arguments: Any) -> Iterator[BatchReport | EpochReport]:
        said.append(capsys.readouterr().err)
        yield from train(*arguments)

    monkeypatch.setattr("mnist_app.training.trainer.train", train_then)
    assert command(monkeypatch, "train", "--name", "mine", *QUICK) == 0
    assert said[0].count(NOT_INSTALLED) == 1 and NOT_INSTALLED.endswith("pip install --editable '.[mlflow]'")
    assert "MLflow" not in capsys.readouterr().err
    assert load_card(find_model("mine")).curves


@pytest.mark.parametrize("is_mute", [False, True])
def test_a_server_that_does_not_answer_is_reported_and_the_model_kept(
    tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch, is_mute: bool
) -> None:
    """Either nothing listens at the address, or the server never answers. The job's result says so."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv(SERVER, f"http://127.0.0.1:{mute.getsockname()[1]}" if is_mute else NOBODY)
        if is_mute:  # so that it takes one second instead of 90
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        request = jobs.Request("mine", TrainConfig("quicknet", epochs=1, batch_size=16, augmentation=STILL))
        began = time.monotonic()
        said = worker._learn(Path(os.environ["MNIST_APP_HOME"]), request, lambda *_: None)
    assert said.endswith(f" of the test digits are read right. {NO_ANSWER}")
    assert time.monotonic() - began < 30
    assert load_card(jobs.made_in(Path(os.environ["MNIST_APP_HOME"]), request)).curves


def test_an_mlflow_error_is_quoted_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setenv(SERVER, "ftp://anna:secret@127.0.0.1")
    with tracked("mine", "train", {}, told.append):
        pass
    (said,) = told
    assert (
        said.startswith("MLflow did not record all of this training: ")
        and "unsupported URI 'MLFLOW_TRACKING_URI'" in said
    )
    assert "secret" not in said


def test_a_recorder_that_does_not_end_is_killed_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv(SERVER, f"http://127.0.0.1:{mute.getsockname()[1]}")
        monkeypatch.setattr(tracking, "LONGEST", 0.1)
        with tracked("mine", "train", {}, told.append) as run:
            process = run._recorder
    assert process and process.returncode == -signal.SIGKILL
    assert told == [NO_ANSWER]


def test_training_does_not_wait_for_a_slow_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LONGEST", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv(SERVER, f"http://127.0.0.1:{mute.getsockname()[1]}")
        with tracked("mine", "train", {}, lambda _: None) as run:
            began = time.monotonic()
            for _ in range(5_000):  # reports, far more than a pipe holds
                run.measured(dict.fromkeys(CURVES, 0.5))
            waited = time.monotonic() - began
    assert waited < 20, "only while MLflow is imported, not until the recorder gives up"


def test_tracking_contacts_nobody_but_the_mlflow_server(server: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy stands for the rest of the world; by default, MLflow would report each run to its makers."""
    for name in ("CI", "PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY"):  # with these set, it would not report
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        told: list[str] = []
        with tracked("mine", "train", {}, told.append):
            pass
        assert told == []
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
