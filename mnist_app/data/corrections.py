"""What visitors say they have drawn, kept in a database: to be reviewed, taken back, exported and learned from.

The database is a file of SQLite's under MNIST_APP_HOME, or whatever SQLAlchemy finds at the URL MNIST_APP_DATABASE.
"""

import contextlib
import json
import os
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
from mnist_app.ink.strokes import Drawing, DrawingError
from mnist_app.storage import home

MOST_POINTS = 2_000  # of a drawing that is kept; a digit drawn with a mouse has about 100
MOST_KEPT = 20_000  # a class's worth for years: of usual drawings, 80 MB
MOST_OF_ONE = 500  # of them one visitor's: more than a hand draws in a lesson, and a script leaves room for the class
KEPT_FOR = 24 * 3600  # seconds until what was put away is gone for good
PATIENCE = 4  # seconds that are waited for a database that another one writes
NAMED = "the database that MNIST_APP_DATABASE names"  # its URL may hold a password
SPAN = 1000  # the longer side of an exported drawing
LONGEST_READ, LONGEST_NAME = 20, 64  # characters

_LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")  # whose usual text ends after 64 kB
_CORRECTIONS = Table(
    "corrections",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("strokes", _LONG_TEXT, nullable=False),  # [[[x, y], …], …] as JSON, CSS pixels of the pad
    Column("label", Integer, nullable=False),
    Column("read", String(LONGEST_READ)),  # what was read; NULL of what was taken for no digit
    Column("model", String(LONGEST_NAME), nullable=False),
    Column("visitor", String(LONGEST_NAME), nullable=False),
    Column("kept_at", Double, nullable=False),  # seconds since 1970
    Column("put_away_at", Double),  # likewise; NULL of what is there
    sqlite_autoincrement=True,  # or what is kept next gets the id of what was forgotten last, and is taken for it
)
_C = _CORRECTIONS.c
_writing = Lock()  # a class presses at once, and SQLite lets those who wait come to nothing


class CorrectionError(AppError):
    """A correction could not be kept, found or taken back; the message says why. What was there before is there."""


@dataclass(frozen=True, eq=False)
class Correction:
    """A drawing and what it was meant to be, beside what was read in it."""

    id: int
    drawing: Drawing
    label: int  # 0 to 9
    read: str | None  # the digits that were read; None of what was taken for no digit
    model: str  # the name of the one that read
    visitor: str  # whose session it was
    when: float  # seconds since 1970

    @property
    def is_misread(self) -> bool:
        return self.read != str(self.label)

    def to_line(self) -> str:
        """JSON as our reader of drawings takes it, the longer side SPAN units long, with what else is known."""
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

    It takes the place of the visitor's correction ``instead_of``, where that is still there, and of what they said of
    the same ink that was put away: brought back, that would stand beside it.
    """
    if not (isinstance(label, int) and 0 <= label <= 9):
        raise CorrectionError(f"A digit is 0 to 9, not {str(label)[:20]!r}.")
    if drawing.is_blank:
        raise CorrectionError("There is no ink to learn from yet.")
    if (points := sum(map(len, drawing.strokes))) > MOST_POINTS:
        raise CorrectionError(
            f"This drawing has {points:,} points, and a digit to learn from has at most {MOST_POINTS:,}. Draw it anew."
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
    whose: str | None = None, start: int = 0, most: int = MOST_KEPT, up_to: int | None = None
) -> list[Correction]:
    """Corrections, the latest first: one visitor's, or everybody's for None. Raises CorrectionError.

    Those after the one with the id ``up_to`` are left out.

    A row that holds no drawing, whoever wrote it, is left where it is and passed over.
    """
    known = true() if up_to is None else _C.id <= up_to
    chosen = select(_CORRECTIONS).where(_there(whose) & known).order_by(_C.kept_at.desc(), _C.id.desc())
    with _database() as database:
        rows = database.execute(chosen.offset(start).limit(most)).all()
    return [found for row in rows if (found := _correction(row))]


def count_corrections(whose: str | None = None) -> int:
    """How many there are. Raises CorrectionError."""
    with _database() as database:
        return _count(database, _there(whose))


def latest_id(whose: str | None = None) -> int:
    """The id of the latest correction, 0 where there is none. Raises CorrectionError."""
    with _database() as database:
        return database.execute(select(func.max(_C.id)).where(_there(whose))).scalar_one() or 0


def is_kept(identity: int, visitor: str) -> bool:
    """Whether a visitor's correction is there, neither deleted nor replaced. Raises CorrectionError."""
    with _database() as database:
        return _count(database, (_C.id == identity) & _there(visitor)) > 0


def put_away(chosen: Collection[int], whose: str | None = None) -> list[int]:
    """Delete corrections, for a day so that they can be brought back; of others than ``whose`` none, for None any.

    Returns the ids of those that were there. Raises CorrectionError.
    """
    with _writing, _database() as database:
        _forget_old(database)
        these = list(database.scalars(select(_C.id).where(_C.id.in_(chosen) & _there(whose))))
        database.execute(update(_CORRECTIONS).where(_C.id.in_(these)).values(put_away_at=time.time()))
        return these


def bring_back(chosen: Collection[int], whose: str | None = None) -> int:
    """Undo a deletion; returns how many came back. Raises CorrectionError."""
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
    """See to it that one more can be kept. Raises CorrectionError where too many are there.

    What was put away gives way to what is new, the oldest first: a full table is emptied by deleting, not by waiting.
    """
    _forget_old(database)
    if _count(database, _there(visitor)) >= MOST_OF_ONE:
        raise CorrectionError(
            f"You have had {MOST_OF_ONE:,} drawings corrected, and more are not kept of one visitor. "
            "Delete some on the Teach page first."
        )
    _give_way(database, _of(visitor), MOST_OF_ONE)
    if not _give_way(database, true(), MOST_KEPT):
        raise CorrectionError(f"{MOST_KEPT:,} corrections are kept already. Export them and delete some first.")


def _give_way(database: Connection, which: ColumnElement[bool], most: int) -> bool:
    """Forget of these what was put away, the oldest first, until one more makes ``most``; whether that suffices."""
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
    except (ValueError, TypeError, RecursionError, DrawingError):
        return None


# The database


@contextlib.contextmanager
def _database() -> Iterator[Connection]:
    """A transaction: all of it happens or nothing. Raises CorrectionError."""
    named, file = os.environ.get("MNIST_APP_DATABASE"), home() / "corrections.sqlite"
    try:
        if not named:
            home().mkdir(parents=True, exist_ok=True)
        # A path is no URL: what is a question mark or a per cent sign in the one has a meaning in the other.
        with _engine(_url(named) if named else URL.create("sqlite", database=str(file))).begin() as database:
            database.execute(CreateTable(_CORRECTIONS, if_not_exists=True))
            yield database
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise CorrectionError(_explained(NAMED if named else str(file), error)) from None


def _url(named: str) -> URL:
    try:
        return make_url(named)
    except ValueError as error:  # of a port that is no number
        raise ArgumentError(str(error)) from None


@lru_cache(maxsize=4)
def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        # Opened anew each time, a fraction of a millisecond: a file that was moved away or put back is no riddle.
        return create_engine(url, poolclass=NullPool, connect_args={"timeout": PATIENCE})
    return create_engine(url, pool_pre_ping=True)


def _explained(where: str, error: Exception) -> str:
    """In a sentence."""
    reason = _reason(error)
    said = reason.lower()
    if "locked" in said:
        return f"The corrections are being written by somebody else ({where}). Try again in a moment."
    if "full" in said or "no space" in said:
        return f"There is no room for corrections: the disk with {where} is full. What was kept before is still there."
    if "not a database" in said or "malformed" in said or "corrupt" in said:
        return (
            f"The corrections cannot be read: {where} is damaged. Nothing in it was changed; "
            "move it away to begin anew, and keep it, for much of it can often be rescued."
        )
    if isinstance(error, ImportError | ArgumentError):
        return f"The corrections cannot be kept: SQLAlchemy finds no way to {where}. Check the URL and its driver."
    return f"The corrections cannot be reached in {where}: {reason.splitlines()[0][:120].rstrip('.')}."


def _reason(error: Exception) -> str:
    """In the words of whoever noticed, and without the path that OSError adds: it may hold any of the words above."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(getattr(error, "orig", None) or error)
