"""Corrections in real databases, and the ways in which such a database fails."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from mnist_app.data import corrections
from mnist_app.data.corrections import (
    CorrectionError,
    count_corrections,
    delete_corrections,
    find_corrections,
    is_kept,
    keep,
    latest_id,
    restore_corrections,
    to_json_lines,
)
from mnist_app.data.inkfiles import parse_line, read_records
from mnist_app.ink.strokes import MAX_POINTS, Drawing

from ..conftest import SEVEN, TWO


@pytest.fixture
def file(own_home: Path) -> Path:
    return own_home / "corrections.sqlite"


def kept(drawing: Drawing, count: int = 1, visitor: str = "anna") -> list[int]:
    return [keep(drawing, 7, "1", "ink-cnn", visitor) for _ in range(count)]


def test_a_correction_is_found_as_it_was_kept(a_seven: Drawing, file: Path) -> None:
    before = time.time()
    keep(a_seven, 7, "21", "ink-cnn", "anna")
    (found,) = find_corrections()
    assert found.drawing.to_points() == a_seven.to_points() == SEVEN
    assert (found.label, found.read, found.model, found.visitor) == (7, "21", "ink-cnn", "anna")
    assert before <= found.when <= time.time()
    assert found.is_misread and file.exists()


def test_a_correction_of_a_refused_drawing_has_no_reading(a_seven: Drawing) -> None:
    keep(a_seven, 7, None, "ink-cnn", "anna")
    assert find_corrections()[0].read is None


def test_corrections_are_listed_latest_first_page_by_page(a_seven: Drawing) -> None:
    ids = kept(a_seven, 5)
    pages = [[found.id for found in find_corrections(start=start, most=2)] for start in (0, 2, 4)]
    assert [*pages[0], *pages[1], *pages[2]] == ids[::-1]


def test_each_visitor_finds_their_own_corrections(a_seven: Drawing) -> None:
    kept(a_seven, 2, "anna"), kept(a_seven, 1, "ben")
    assert [count_corrections(whose) for whose in ("anna", "ben", "carl", None)] == [2, 1, 0, 3]
    assert {found.visitor for found in find_corrections("ben")} == {"ben"}


def test_a_deleted_correction_can_be_restored(a_seven: Drawing) -> None:
    first, second = kept(a_seven, 2)
    assert delete_corrections([first, first + 100]) == [first] and not is_kept(first, "anna")
    assert delete_corrections([first]) == [], "it was deleted already"
    assert [found.id for found in find_corrections()] == [second]
    assert restore_corrections([first, second]) == 1
    assert count_corrections() == 2


def test_visitors_cannot_delete_or_restore_the_corrections_of_others(a_seven: Drawing) -> None:
    (of_anna,) = kept(a_seven)
    assert delete_corrections([of_anna], "ben") == [] and count_corrections() == 1
    delete_corrections([of_anna])
    assert restore_corrections([of_anna], "ben") == 0 and count_corrections() == 0


def test_a_deleted_correction_cannot_be_restored_after_a_day(a_seven: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = kept(a_seven)
    delete_corrections([first])
    now = time.time()
    monkeypatch.setattr("mnist_app.data.corrections.time.time", lambda: now + corrections.KEPT_FOR + 1)
    delete_corrections([])
    assert restore_corrections([first]) == 0


def test_the_export_can_be_read_as_an_ink_file(a_seven: Drawing, tmp_path: Path) -> None:
    keep(a_seven, 7, "1", "ink-cnn", "anna")
    path = tmp_path / "mine.jsonl"
    path.write_text(to_json_lines())
    (record,) = read_records(path)
    assert (record.label, record.writer) == (7, "corrections/anna")
    assert isinstance(record.drawing, Drawing)
    points = np.concatenate(record.drawing.strokes)
    assert (points.min(), points.max()) == (0, 1000)
    assert [len(stroke) for stroke in record.drawing.strokes] == [6, 3]
    scale = np.ptp(np.concatenate(a_seven.strokes), axis=0).max() / 1000
    assert np.allclose(record.drawing.strokes[0] * scale + [95, 78], SEVEN[0], atol=scale)


@pytest.mark.parametrize(
    "strokes",
    [
        [[[5, 5]]],
        [[[0, 0], [1e300, 1e300]]],
        [[[-1e-300, 0], [0, 0]]],
        [[[3, 3], [3, 3]], [[3, 3]]],
        [[[0, 0], [0, 340]]] * 200,
    ],
)
def test_extreme_strokes_are_kept_and_exported(strokes: list[list[list[float]]]) -> None:
    drawing = Drawing.from_points(strokes)
    keep(drawing, 1, None, "ink-cnn", "anna")
    assert find_corrections()[0].drawing.to_points() == drawing.to_points()
    again = parse_line(to_json_lines().encode()).drawing
    assert isinstance(again, Drawing) and len(again.strokes) == len(strokes)


def test_a_drawing_with_too_many_points_is_refused() -> None:
    endless = Drawing.from_points([[[number % 300, number % 200] for number in range(MAX_POINTS)]])
    with pytest.raises(CorrectionError, match="has 20,000 points, but a digit to learn from may have at most 2,000"):
        keep(endless, 7, "1", "ink-cnn", "anna")


@pytest.mark.parametrize("label", [-1, 10, "7", None])
def test_a_label_that_is_not_a_digit_is_refused(a_seven: Drawing, label: int) -> None:
    with pytest.raises(CorrectionError, match="A digit must be 0 to 9"):
        keep(a_seven, label, "1", "ink-cnn", "anna")


def test_a_blank_pad_is_refused(blank_drawing: Drawing) -> None:
    with pytest.raises(CorrectionError, match="no ink"):
        keep(blank_drawing, 7, None, "ink-cnn", "anna")


def test_ten_thousand_corrections_are_listed_and_exported_quickly(a_seven: Drawing, file: Path) -> None:
    kept(a_seven)
    with sqlite3.connect(file) as database:
        database.executemany(
            "insert into corrections (strokes, label, read, model, visitor, kept_at) values (?, ?, ?, ?, ?, ?)",
            [(json.dumps(SEVEN), 7, "1", "ink-cnn", "anna", number) for number in range(9_999)],
        )
    database.close()
    began = time.process_time()
    assert len(find_corrections(start=5_000, most=60)) == 60 and count_corrections() == 10_000
    assert time.process_time() - began < 0.5
    assert to_json_lines().count("\n") == 10_000
    assert time.process_time() - began < 10


def test_a_deleted_correction_is_not_restored_beside_a_new_one_of_the_same_ink(a_seven: Drawing) -> None:
    (first,), (bens,) = kept(a_seven), kept(a_seven, visitor="ben")
    delete_corrections([first, bens])
    (again,) = kept(a_seven)
    assert restore_corrections([first, bens]) == 1, "only another visitor's correction of the same ink"
    assert {found.id for found in find_corrections()} == {again, bens}


def test_corrections_after_a_given_id_can_be_left_out(a_seven: Drawing) -> None:
    first, second = kept(a_seven), kept(a_seven, 2, "ben")
    seen = latest_id()
    assert (latest_id("anna"), seen) == (first[0], second[1])
    kept(a_seven, 3)
    assert [found.id for found in find_corrections(up_to=seen)] == [*reversed(second), *first]
    delete_corrections([first[0], *second])
    assert latest_id("ben") == 0


def test_no_more_corrections_are_kept_than_there_is_room_for(a_seven: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_app.data.corrections.MAX_KEPT", 3)
    kept(a_seven, 3)
    with pytest.raises(CorrectionError, match=r"no room for more than 3 corrections. Export and delete some"):
        kept(a_seven)
    assert count_corrections() == 3


def test_new_corrections_displace_deleted_ones_the_first_deleted_first(
    a_seven: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_app.data.corrections.MAX_KEPT", 3)
    first, second, third = kept(a_seven, 3)
    delete_corrections([second])
    delete_corrections([first])
    (fourth,) = kept(Drawing.from_points(TWO))
    assert [found.id for found in find_corrections()] == [fourth, third]
    assert restore_corrections([first, second]) == 1, "only the one that was deleted last"
    with pytest.raises(CorrectionError, match=r"no room for more than 3 corrections"):
        kept(a_seven)


def test_the_limit_for_one_visitor_leaves_room_for_others(a_seven: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_app.data.corrections.MAX_OF_ONE", 2)
    first, _ = kept(a_seven, 2)
    with pytest.raises(CorrectionError, match=r"corrected 2 drawings, the most that are kept for one visitor"):
        kept(a_seven)
    kept(a_seven, visitor="ben")
    delete_corrections([first], "anna")
    kept(a_seven)


def test_no_visitor_gets_more_room_by_deleting_and_restoring(a_seven: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_app.data.corrections.MAX_OF_ONE", 2)
    first, second = kept(a_seven, 2)
    (bens,) = kept(a_seven, visitor="ben")
    delete_corrections([bens], "ben")
    delete_corrections([first], "anna")
    delete_corrections([second], "anna")
    (third,) = kept(Drawing.from_points(TWO))
    assert restore_corrections([first, second, bens]) == 2, (
        "the correction that was deleted first has made room for the new one"
    )
    assert {found.id for found in find_corrections()} == {second, third, bens}


def test_a_changed_correction_replaces_the_earlier_one(a_seven: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_app.data.corrections.MAX_KEPT", 1)
    (first,) = kept(a_seven)
    second = keep(a_seven, 4, "1", "ink-cnn", "anna", instead_of=first)
    assert [(found.id, found.label) for found in find_corrections()] == [(second, 4)]
    assert not is_kept(first, "anna") and restore_corrections([first]) == 0
    with pytest.raises(CorrectionError):
        keep(a_seven, 5, "1", "ink-cnn", "ben", instead_of=second)
    assert is_kept(second, "anna"), "nobody can replace another visitor's correction"


def test_the_earlier_correction_stays_if_the_new_one_cannot_be_kept(
    a_seven: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = kept(a_seven, 2)
    monkeypatch.setattr("mnist_app.data.corrections.MAX_OF_ONE", 1)
    with pytest.raises(CorrectionError):
        keep(a_seven, 4, "1", "ink-cnn", "anna", instead_of=first)
    assert is_kept(first, "anna")


def test_a_correction_deleted_a_day_ago_is_gone_once_another_is_kept(
    a_seven: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = kept(a_seven)
    delete_corrections([first])
    now = time.time()
    monkeypatch.setattr("mnist_app.data.corrections.time.time", lambda: now + corrections.KEPT_FOR + 1)
    kept(Drawing.from_points(TWO), visitor="ben")
    assert restore_corrections([first]) == 0


def test_a_malformed_row_is_skipped_and_stays_in_the_database(a_seven: Drawing, file: Path) -> None:
    kept(a_seven, 3)
    with sqlite3.connect(file) as database:
        database.execute("update corrections set strokes = '[[[\"x\"' where id = 1")
        database.execute("update corrections set label = 77 where id = 2")
    database.close()
    assert [found.id for found in find_corrections()] == [3]
    assert count_corrections() == 3


# When the database fails


def test_a_locked_database_is_reported_as_busy_and_loses_nothing(
    a_seven: Drawing, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_app.data.corrections.PATIENCE", 0.1)
    corrections._engine.cache_clear()
    kept(a_seven)
    other = sqlite3.connect(file)
    other.execute("begin exclusive")
    with pytest.raises(CorrectionError, match=r"Somebody else is saving corrections.*Try again in a moment"):
        kept(a_seven)
    other.rollback()
    other.close()
    kept(a_seven)
    assert count_corrections() == 2


@pytest.mark.parametrize("content", [b"this is no database at all, but long enough to be looked at" * 20, None])
def test_a_damaged_database_is_left_as_it_is(a_seven: Drawing, file: Path, content: bytes | None) -> None:
    kept(a_seven, 50)
    broken = content or file.read_bytes()[:4096] + b"\xff" * 20_000
    file.write_bytes(broken)
    for use in (lambda: kept(a_seven), find_corrections):
        with pytest.raises(CorrectionError, match=r"damaged. Nothing in it was changed"):
            use()
    assert file.read_bytes() == broken


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Makes SQLite report a full disk as soon as a database has ten pages."""

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("pragma max_page_count = 10")

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)


def test_a_full_disk_loses_no_earlier_corrections(small_disk: None) -> None:
    long = Drawing.from_points([[[number / 7, number / 3] for number in range(500)]])
    with pytest.raises(CorrectionError, match=r"is full. Earlier corrections are still there"):
        for _ in range(100):
            kept(long)
    there = find_corrections()
    assert len(there) >= 1 and there[0].drawing.to_points() == long.to_points()


def test_a_home_that_cannot_be_created_is_an_error_with_the_reason(a_seven: Drawing, own_home: Path) -> None:
    own_home.write_text("a file where the folder should be")
    with pytest.raises(CorrectionError, match=r"The corrections in .* cannot be reached: File exists"):
        kept(a_seven)


@pytest.mark.parametrize("name", ["full house", "locked", "corrupt"])
def test_words_in_a_homes_path_are_not_mistaken_for_the_cause_of_an_error(
    a_seven: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_text("a file where the folder should be")
    monkeypatch.setenv("MNIST_APP_HOME", str(tmp_path / name))
    with pytest.raises(CorrectionError, match=f"{name}/corrections.sqlite cannot be reached: File exists"):
        kept(a_seven)


def test_no_space_for_the_home_is_reported_as_a_full_disk(a_seven: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(CorrectionError, match="There is no room for corrections"):
        kept(a_seven)


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a#b"])
def test_a_homes_path_is_not_interpreted_as_a_url(
    a_seven: Drawing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MNIST_APP_HOME", str(tmp_path / name))
    kept(a_seven)
    assert (tmp_path / name / "corrections.sqlite").is_file()
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("a")] == [name]


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "postgresql+nosuchdriver://me:secret@there/db",
        "nosuch://me:secret@x/y",
        "postgresql://me:secret@x:5432x/y",
    ],
)
def test_the_error_about_an_unusable_database_url_hides_its_password(
    a_seven: Drawing, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("MNIST_APP_DATABASE", url)
    with pytest.raises(CorrectionError, match="MNIST_APP_DATABASE") as raised:
        kept(a_seven)
    assert "secret" not in str(raised.value)


def test_a_url_in_the_environment_chooses_the_database(
    a_seven: Drawing, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_APP_DATABASE", f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    kept(a_seven)
    assert (tmp_path / "elsewhere.sqlite").exists() and not file.exists()


def test_the_table_compiles_to_suitable_statements_for_postgresql_and_mariadb() -> None:
    """Check the statements that PostgreSQL and MariaDB would receive, without such a server."""
    for dialect, text in ((postgresql.dialect(), "TEXT"), (mysql.dialect(), "MEDIUMTEXT")):
        created = str(CreateTable(corrections._CORRECTIONS, if_not_exists=True).compile(dialect=dialect))
        assert "CREATE TABLE IF NOT EXISTS corrections" in created and "PRIMARY KEY (id)" in created
        assert "kept_at DOUBLE" in created  # MariaDB's FLOAT would be minutes off
        assert f"strokes {text} NOT NULL" in created and ("SERIAL" in created or "AUTO_INCREMENT" in created)


def test_corrections_of_thirty_visitors_at_once_are_all_kept(a_seven: Drawing) -> None:
    threads = [threading.Thread(target=kept, args=(a_seven, 3, f"visitor {number}")) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_corrections() == 90


def test_a_killed_process_loses_no_correction_that_it_kept(a_seven: Drawing, file: Path) -> None:
    code = (
        "import os; from mnist_app.data.corrections import keep; from mnist_app.ink.strokes import Drawing\n"
        "drawing = Drawing.from_points([[[0, 0], [1, 1]]])\n"
        "while True: print(keep(drawing, 1, None, 'm', 'v'), flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        said = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
    there = {found.id for found in find_corrections()}
    assert set(said) <= there
    kept(a_seven)
