"""Drawings in files: JSON lines ``{"strokes": [[[x, y], ...], ...]}``, plain or gzipped; other keys are allowed."""

import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mnist_app.errors import AppError
from mnist_app.ink.strokes import Drawing, DrawingError

SUFFIXES = (".jsonl", ".jsonl.gz")
LONGEST_LINE = 4 * 2**20  # bytes; MAX_POINTS points take less than 1 MB


class InkFileError(AppError):
    """A file of drawings cannot be read completely; the message says which and why."""


@dataclass(frozen=True, eq=False)
class Record:
    """One line of a file: a drawing, or the reason why there is none, and its label and writer, if any."""

    drawing: Drawing | DrawingError
    label: int | None = None
    writer: str | None = None  # unique within a collection


def is_ink_file(path: Path) -> bool:
    return path.name.endswith(SUFFIXES)


def read_records(path: Path | None) -> Iterator[Record]:
    """Each line of a file, or of standard input for None, in order; blank lines are skipped.

    A bad line gives a Record with the reason. Raises InkFileError if the file fails, after the lines before that.
    """
    if path is None:
        if not sys.stdin:  # None if a shell closed it
            raise InkFileError("There are no drawings on standard input: it is closed.")
        yield from map(parse_line, _lines(sys.stdin.buffer.readline))
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from map(parse_line, _lines(file.readline))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is broken or incomplete"
        raise InkFileError(f"{path} cannot be read completely: {reason}.") from None


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Each line that is not blank; if it is too long, only its beginning, which is still longer than LONGEST_LINE."""
    while line := read(LONGEST_LINE + 1):
        part = line
        while part and not part.endswith(b"\n"):
            part = read(LONGEST_LINE)
        if line.strip() or len(line) > LONGEST_LINE:
            yield line


def parse_line(line: bytes) -> Record:
    """A Record from one line of JSON."""
    if len(line) > LONGEST_LINE:
        return Record(DrawingError(f"The line is longer than {LONGEST_LINE // 2**20} MB."))
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return Record(DrawingError("The line is not JSON."))
    if not isinstance(content, dict) or "strokes" not in content:
        return Record(DrawingError('The line is not a JSON object with "strokes".'))
    label = content.get("label")
    known = label if isinstance(label, int) and not isinstance(label, bool) and 0 <= label <= 9 else None
    writer = str(content["writer"]) if "writer" in content else None
    try:
        return Record(Drawing.from_points(content["strokes"]), known, writer)
    except DrawingError as error:
        return Record(error, known, writer)


def collections(folder: Path) -> dict[str, Path]:
    """The files of drawings in a folder by collection name, sorted.

    Raises InkFileError if there is no such folder, it holds no such file, or two files have the same name.
    """
    if not os.path.isdir(folder):
        what = "not a folder" if os.path.exists(folder) else "missing"
        raise InkFileError(f"{folder} is {what}. Name a folder with files that end in {' or '.join(SUFFIXES)}.")
    found: dict[str, Path] = {}
    for path in (path for path in sorted(folder.glob("*")) if is_ink_file(path)):
        known = found.setdefault(path.name.split(".jsonl")[0], path)
        if known != path:
            raise InkFileError(f"{known} and {path.name} have the same collection name. Keep one of them.")
    if not found:
        raise InkFileError(f"{folder} holds no drawings: no file ends in {' or '.join(SUFFIXES)}.")
    return found
