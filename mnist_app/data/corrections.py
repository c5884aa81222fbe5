"""Corrections (a drawing and the digit that its visitor meant) in a database: to review, delete, export and teach.

The database is an SQLite file under MNIST_APP_HOME, or whatever SQLAlchemy finds at the URL in MNIST_APP_DATABASE.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Integer,
    MetaData,
    NullPool,
    Row,
    String,
    Table,
    Text,
    create_engine,
    delete,
    func,
    insert,
    make_url,
    select,
    true,
    update,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from mnist_app.errors import AppError
from mnist_app.ink.strokes import Drawing
from mnist_app.storage import home

MAX_KEPT_POINTS = 2_000  # in a drawing that is kept; a digit drawn with a mouse has about 100
MAX_KEPT = 20_000  # enough for a class for years; with usual drawings, 80 MB
MAX_OF_ONE = 500  # per visitor: more than anyone draws in one class, and no script can take all the room
KEPT_FOR = 24 * 3600  # seconds until a deleted correction is gone for good
PATIENCE = 4  # seconds to wait while another process writes to the database
NAMED = "the database named by MNIST_APP_DATABASE"  # its URL may hold a password
SPAN = 1000  # the longer side of an exported drawing
LONGEST_READ, LONGEST_NAME = 20, 64  # characters

_LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")  # whose TEXT holds only 64 kB
_CORRECTIONS = Table(
    "corrections",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("strokes", _LONG_TEXT, nullable=False),  # [[[x, y], …], …] as JSON, CSS pixels of the pad
    Column("label", Integer, nullable=False),
    Column("read", String(LONGEST_READ)),  # the digits that were read; NULL if the drawing was refused
    Column("model", String(LONGEST_NAME), nullable=False),
    Column("visitor", String(LONGEST_NAME), nullable=False),
    Column("kept_at", Double, nullable=False),  # seconds since 1970
    Column("put_away_at", Double),  # when it was deleted, in the same unit; NULL if it was not
    sqlite_autoincrement=True,  # otherwise a new row may get the id of the last one removed, and be mistaken for it
)
_C = _CORRECTIONS.c
_writing = Lock()  # when a whole class writes at once, SQLite lets some of the waiting writers fail


class CorrectionError(AppError):
    """A correction could not be kept, found or deleted; the message says why. Stored corrections are unchanged."""


@dataclass(frozen=True, eq=False)
class Correction:
    """A drawing with the digit that was meant and the digits that were read."""

    id: int
    drawing: Drawing
    label: int  # 0 to 9
    read: str | None  # the digits that were read; None if it was refused
    model: str  # the name of the model that read it
    visitor: str  # whose session it was
    when: float  # seconds since 1970

    @property
    def is_misread(self) -> bool:
        return self.read != str(self.label)

    def to_line(self) -> str:
        """One line of JSON that `inkfiles` can read, the longer side SPAN units long, with the other fields."""
        points = np.concatenate(self.drawing.strokes)
        corner = points.min(axis=0)
        longer = np.ptp(points, axis=0).max() or 1.0
        strokes = [np.round((stroke - corner) / longer * SPAN).astype(int).tolist() for stroke in self.drawing.strokes]
        return json.dumps(
            {
                "label": self.label,
                "writer": f"corrections/{self.visitor}",
                "strokes": strokes,
                "read": self.read,
                "model": self.model,
                "when": round(self.when, 3),
            },
            separators=(",", ":"),
        )


def keep(
    drawing: Drawing, label: int, read: str | None, model: str, visitor: str, instead_of: int | None = None
) -> int:
    """Keep a correction, whole or not at all, and return its id. Raises CorrectionError.

    It replaces the visitor's correction ``instead_of``, if that is still there, and their deleted corrections of the
    same ink: restored, those would be duplicates.
    """
    if not (isinstance(label, int) and 0 <= label <= 9):
        raise CorrectionError(f"A digit must be 0 to 9, not {str(label)[:20]!r}.")
    if drawing.is_blank:
        raise CorrectionError("There is no ink to learn from yet.")
    if (points := sum(map(len, drawing.strokes))) > MAX_KEPT_POINTS:
        raise CorrectionError(
            f"This drawing has {points:,} points, but a digit to learn from may have at most {MAX_KEPT_POINTS:,}. "
            "Draw it again."
        )
    row = {
        "strokes": json.dumps(drawing.to_points(), separators=(",", ":")),
        "label": label,
        "read": read and read[:LONGEST_READ],
        "model": model[:LONGEST_NAME],
        "visitor": visitor[:LONGEST_NAME],
        "kept_at": time.time(),
    }
    with _writing, _database() as database:
        database.execute(delete(_CORRECTIONS).where((_C.id == instead_of) & _there(visitor)))
        again = (_C.visitor == row["visitor"]) & _C.put_away_at.is_not(None) & (_C.strokes == row["strokes"])
        database.execute(delete(_CORRECTIONS).where(again))
        _make_room(database, visitor)
        identity = database.execute(insert(_CORRECTIONS).values(row)).inserted_primary_key
        assert identity
        return int(identity[0])


def find_corrections(
    whose: str | None = None, start: int = 0, most: int = MAX_KEPT, up_to: int | None = None
) -> list[Correction]:
    """Corrections, the latest first: one visitor's, or everybody's for None. Raises CorrectionError.

    Those with an id above ``up_to`` are left out.

    A row without a valid drawing, whoever wrote it, is skipped and stays in the database.
    """
    known = true() if up_to is None else _C.id <= up_to
    chosen = select(_CORRECTIONS).where(_there(whose) & known).order_by(_C.kept_at.desc(), _C.id.desc())
    with _database() as database:
        rows = database.execute(chosen.offset(start).limit(most)).all()
    return [found for row in rows if (found := _correction(row))]


def count_corrections(whose: str | None = None) -> int:
    """The number of corrections: one visitor's, or everybody's for None. Raises CorrectionError."""
    with _database() as database:
        return _count(database, _there(whose))


def latest_id(whose: str | None = None) -> int:
    """The id of the latest correction, or 0 if there is none. Raises CorrectionError."""
    with _database() as database:
        return database.execute(select(func.max(_C.id)).where(_there(whose))).scalar_one() or 0


def is_kept(identity: int, visitor: str) -> bool:
    """Whether a visitor's correction is there, neither deleted nor replaced. Raises CorrectionError."""
    with _database() as database:
        return _count(database, (_C.id == identity) & _there(visitor)) > 0


def delete_corrections(chosen: Collection[int], whose: str | None = None) -> list[int]:
    """Delete corrections of the visitor ``whose``, or anybody's for None; for a day they can be restored.

    Returns the ids of those that were there. Raises CorrectionError.
    """
    with _writing, _database() as database:
        _forget_old(database)
        these = list(database.scalars(select(_C.id).where(_C.id.in_(chosen) & _there(whose))))
        database.execute(update(_CORRECTIONS).where(_C.id.in_(these)).values(put_away_at=time.time()))
        return these


def restore_corrections(chosen: Collection[int], whose: str | None = None) -> int:
    """Undo a deletion and return the number of restored corrections. Raises CorrectionError."""
    with _writing, _database() as database:
        these = _C.id.in_(chosen) & _of(whose) & _C.put_away_at.is_not(None)
        return database.execute(update(_CORRECTIONS).where(these).values(put_away_at=None)).rowcount


def to_json_lines(whose: str | None = None) -> str:
    """All corrections, one a line, the oldest first. Raises CorrectionError."""
    return "".join(f"{found.to_line()}\n" for found in reversed(find_corrections(whose)))


def _of(whose: str | None) -> ColumnElement[bool]:
    return true() if whose is None else _C.visitor == whose


def _there(whose: str | None) -> ColumnElement[bool]:
    return _of(whose) & _C.put_away_at.is_(None)


def _make_room(database: Connection, visitor: str) -> None:
    """Make room for one more correction. Raises CorrectionError if there are too many.

    Deleted corrections give way to new ones, the oldest first, so that deleting some makes room at once.
    """
    _forget_old(database)
    if _count(database, _there(visitor)) >= MAX_OF_ONE:
        raise CorrectionError(
            f"You have corrected {MAX_OF_ONE:,} drawings, the most that are kept for one visitor. "
            "Delete some on the Teach page first."
        )
    _give_way(database, _of(visitor), MAX_OF_ONE)
    if not _give_way(database, true(), MAX_KEPT):
        raise CorrectionError(f"There is no room for more than {MAX_KEPT:,} corrections. Export and delete some.")


def _give_way(database: Connection, which: ColumnElement[bool], most: int) -> bool:
    """Remove the deleted among these, the oldest first, until one more makes ``most``; return whether that suffices."""
    over = _count(database, which) + 1 - most
    if over <= 0:
        return True
    away = select(_C.id).where(which & _C.put_away_at.is_not(None)).order_by(_C.put_away_at, _C.id)
    oldest = list(database.scalars(away.limit(over)))
    database.execute(delete(_CORRECTIONS).where(_C.id.in_(oldest)))
    return len(oldest) == over


def _forget_old(database: Connection) -> None:
    database.execute(delete(_CORRECTIONS).where(_C.put_away_at < time.time() - KEPT_FOR))


def _count(database: Connection, which: ColumnElement[bool]) -> int:
    return database.execute(select(func.count()).select_from(_CORRECTIONS).where(which)).scalar_one()


def _correction(row: Row[Any]) -> Correction | None:
    try:
        drawing = Drawing.from_points(json.loads(row.strokes))
        if drawing.is_blank or not 0 <= row.label <= 9:
            return None
        read = None if row.read is None else str(row.read)
        return Correction(row.id, drawing, row.label, read, str(row.model), str(row.visitor), float(row.kept_at))
    except (ValueError, TypeError, RecursionError):
        return None


# The database


@contextlib.contextmanager
def _database() -> Iterator[Connection]:
    """A transaction: all of it happens or nothing. Raises CorrectionError."""
    named, file = os.environ.get("MNIST_APP_DATABASE"), home() / "corrections.sqlite"
    try:
        if not named:
            home().mkdir(parents=True, exist_ok=True)
        # A path is not a URL, in which question marks and per cent signs have a meaning.
        with _engine(_url(named) if named else URL.create("sqlite", database=str(file))).begin() as database:
            database.execute(CreateTable(_CORRECTIONS, if_not_exists=True))
            yield database
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise CorrectionError(_explained(NAMED if named else str(file), error)) from None


def _url(named: str) -> URL:
    try:
        return make_url(named)
    except ValueError as error:  # for a port that is not a number
        raise ArgumentError(str(error)) from None


@lru_cache(maxsize=4)
def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        # Opened again each time, in a fraction of a millisecond, because the file may have been moved away or put back.
        return create_engine(url, poolclass=NullPool, connect_args={"timeout": PATIENCE})
    return create_engine(url, pool_pre_ping=True)


def _explained(where: str, error: Exception) -> str:
    """A sentence about an error, for people."""
    reason = _reason(error)
    said = reason.lower()
    if "locked" in said:
        return f"Somebody else is saving corrections right now ({where}). Try again in a moment."
    if re.search(r"\bfull\b|no space", said):
        return f"There is no room for corrections: the disk with {where} is full. Earlier corrections are still there."
    if "not a database" in said or "malformed" in said or "corrupt" in said:
        return (
            f"The corrections cannot be read: {where} is damaged. Nothing in it was changed. "
            "To start again, move it elsewhere, but keep it: much of it can often be recovered."
        )
    if isinstance(error, ImportError | ArgumentError):
        return f"The corrections cannot be kept: SQLAlchemy cannot open {where}. Check the URL and its driver."
    return f"The corrections in {where} cannot be reached: {reason.splitlines()[0][:120].rstrip('.')}."


def _reason(error: Exception) -> str:
    """The original message, without the path that OSError adds: that may contain any of the words above."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(getattr(error, "orig", None) or error)
