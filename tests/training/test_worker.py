"""What a job's child process writes about its training. There is no process here; the reports are invented."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from mnist_app.training import jobs, worker
from mnist_app.training.jobs import FAILED, LEARNED, RUNNING, JobStatus, snapshot_path
from mnist_app.training.train import BatchReport, EpochReport, TrainConfig
from mnist_app.training.worker import MAX_LOSSES, MAX_REPORTS, MAX_SNAPSHOTS, Reporter

COUNTS = tuple(tuple(range(10)) for _ in range(10))


@pytest.fixture
def network() -> nn.Module:
    return nn.Linear(2, 2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list whose only element is the time, which a test can advance."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def reporter(folder: Path, epochs: int = 2, batch_size: int = 100) -> Reporter:
    reporter = Reporter(folder, TrainConfig(epochs=epochs, batch_size=batch_size))
    reporter.begin()
    return reporter


def status_in(folder: Path) -> JobStatus:
    status = jobs.known_status(folder)
    assert status
    return status


def loss_at(passes: float) -> float:
    return 1 / passes


def measured(passes: float) -> EpochReport:
    return EpochReport(int(passes), passes, loss_at(passes), 0.9, loss_at(passes), 0.95, passes, COUNTS)


def measurements(epochs: int, checks: int) -> Iterator[EpochReport]:
    return (measured((number + 1) / checks) for number in range(epochs * checks))


def test_pace_and_time_left_do_not_count_the_slow_first_batch(
    tmp_path: Path, clock: list[float], network: nn.Module
) -> None:
    """The pace counts from the end of the first batch, which takes longer than the others."""
    writing = reporter(tmp_path)
    for batch in range(1, 12):
        clock[0] += 10 if batch == 1 else 0.5
        writing.watch(BatchReport(1, batch, 30, 2.0), network)
    status = status_in(tmp_path)
    assert (status.epoch, status.batch, status.batches, status.passes) == (1, 11, 30, 11 / 30)
    assert status.examples_per_second == pytest.approx(100 / 0.5)
    assert status.seconds_left == pytest.approx((60 - 11) * 0.5)
    assert status.doing == "Learning"


def test_after_its_last_batch_a_job_is_measuring_with_no_time_left(
    tmp_path: Path, clock: list[float], network: nn.Module
) -> None:
    writing = reporter(tmp_path, epochs=1)
    for batch in range(1, 4):
        clock[0] += 1
        writing.watch(BatchReport(1, batch, 3, 2.0), network)
    assert (status_in(tmp_path).doing, status_in(tmp_path).seconds_left) == ("Measuring on validation and test", 0)


@pytest.mark.parametrize("batches", [MAX_LOSSES - 1, MAX_LOSSES, MAX_LOSSES + 1, 1000])
def test_the_loss_curve_is_thinned_by_averaging(
    tmp_path: Path, clock: list[float], network: nn.Module, batches: int
) -> None:
    writing = reporter(tmp_path, epochs=1)
    for batch in range(1, batches + 1):
        clock[0] += 0.01
        writing.watch(BatchReport(1, batch, batches, float(batch)), network)
    writing.end(LEARNED, "It has learned.")
    losses = status_in(tmp_path).losses
    assert MAX_LOSSES / 2 <= len(losses) <= MAX_LOSSES
    each = round(losses[0][0] * batches)  # batches for each point
    assert [passes for passes, _ in losses] == pytest.approx([each * n / batches for n in range(1, len(losses) + 1)])
    assert [loss for _, loss in losses] == pytest.approx([each * n - (each - 1) / 2 for n in range(1, len(losses) + 1)])


@pytest.mark.parametrize(("epochs", "checks"), [(1, 8), (13, 1), (100, 8), (1000, 1)])
def test_a_long_training_keeps_few_reports_and_fewer_snapshots(
    tmp_path: Path, network: nn.Module, epochs: int, checks: int
) -> None:
    writing = reporter(tmp_path, epochs)
    for report in measurements(epochs, checks):
        writing.watch(report, network)
    status = status_in(tmp_path)
    passes = [report.passes for report in status.reports]
    assert len(passes) == min(epochs * checks, MAX_REPORTS)
    assert len(status.snapshots) == min(epochs * checks, MAX_SNAPSHOTS)
    for kept in (passes, status.snapshots):
        assert (kept[0], kept[-1]) == (1 / checks, epochs), "the first and the last stay"
        widest = max(later - before for before, later in itertools.pairwise(kept))
        assert widest <= 2.5 * epochs / (len(kept) - 1), "and the others are spread about evenly between them"
    assert set(status.snapshots) <= set(passes)
    on_disk = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert on_disk == sorted(snapshot_path(tmp_path, moment).name for moment in status.snapshots)
    assert [report.passes for report in status.reports if report.confusion == COUNTS] == list(status.snapshots)
    assert all(report.confusion in (COUNTS, ()) for report in status.reports)
    assert (tmp_path / jobs.STATUS).stat().st_size < 32_000


def test_a_snapshot_that_cannot_be_written_is_not_listed_and_leaves_no_file(
    tmp_path: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = reporter(tmp_path)
    writing.watch(measured(0.5), network)

    def refuse(path: Path, content: bytes) -> None:
        path.touch()  # a full disk takes the file's name but not its content
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        writing.watch(measured(1.0), network)
    writing.watch(measured(1.5), network)
    status = status_in(tmp_path)
    assert [report.passes for report in status.reports] == [0.5, 1, 1.5]
    assert status.snapshots == (0.5, 1.5)
    assert len(list((tmp_path / "snapshots").iterdir())) == 2


def test_no_later_report_overwrites_the_final_status(
    tmp_path: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends while a report is being written slowly, so that the report would be written last."""
    writing = reporter(tmp_path)
    under_way, said = threading.Event(), threading.Event()

    def slow(folder: Path, status: JobStatus) -> None:
        if status.state == RUNNING:
            under_way.set()
            said.wait(0.5)  # the last status must not be written meanwhile: it would be lost
        jobs.write_status(folder, status)
        if status.state == FAILED:
            said.set()

    monkeypatch.setattr(worker, "write_status", slow)
    progress = threading.Thread(target=writing.watch, args=(measured(1.0), network))
    progress.start()
    assert under_way.wait(10)
    writing.end(FAILED, jobs.SERVER_GONE)
    progress.join()
    last = status_in(tmp_path)
    assert (last.state, last.reason) == (FAILED, jobs.SERVER_GONE)
    writing.watch(measured(2.0), network)  # it still trains for a moment
    assert status_in(tmp_path) == last


def test_the_first_of_two_final_statuses_stands(tmp_path: Path) -> None:
    writing = reporter(tmp_path)
    assert writing.end(LEARNED, "99.12% of the test digits are read right.")
    assert not writing.end(FAILED, jobs.SERVER_GONE)
    assert status_in(tmp_path).state == LEARNED
