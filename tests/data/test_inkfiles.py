import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mnist_app.data.inkfiles import (
    LONGEST_LINE,
    InkFileError,
    Record,
    collections,
    is_ink_file,
    parse_line,
    read_records,
)
from mnist_app.ink.strokes import DrawingError

DOT = {"strokes": [[[1, 2]]]}


def lines(*contents: object) -> bytes:
    return b"".join(json.dumps(content).encode() + b"\n" for content in contents)


def points(record: Record) -> list[list[list[float]]]:
    assert not isinstance(record.drawing, DrawingError), record.drawing
    return record.drawing.to_points()


@pytest.mark.parametrize(("name", "pack"), [("ink.jsonl", bytes), ("ink.jsonl.gz", gzip.compress)])
def test_drawings_come_in_order_with_their_labels(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    content = lines({**DOT, "label": 3, "writer": "x"}, DOT, {"strokes": []})
    (tmp_path / name).write_bytes(pack(content.replace(b"\n", b"\n\n  \r\n")))
    records = list(read_records(tmp_path / name))
    assert [points(record) for record in records] == [[[[1, 2]]], [[[1, 2]]], []]
    assert [record.label for record in records] == [3, None, None]


def test_without_a_path_drawings_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(DOT, DOT))))
    assert len(list(read_records(None))) == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"strokes", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"strokes": [', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"strokes": ' + b"1" * 5000 + b"}", "not JSON"),  # more digits than Python converts to a number
        (b"[]", 'with "strokes"'),
        (b"null", 'with "strokes"'),
        (b'{"stroke": []}', 'with "strokes"'),
        (b'{"strokes": [[[1]]]}', "pair of numbers"),
        (b'{"strokes": [[[NaN, 1]]]}', "finite"),
        (b'{"strokes": null}', "list"),
        (b" " * LONGEST_LINE + b"1", "longer than 4 MB"),
    ],
)
def test_a_bad_line_becomes_a_record_with_the_reason(line: bytes, says: str) -> None:
    error = parse_line(line).drawing
    assert isinstance(error, DrawingError) and says in str(error)


def test_a_line_that_is_too_long_is_never_held_in_memory_whole(tmp_path: Path) -> None:
    long = b" " * (LONGEST_LINE // 2) + b"1" * (16 * LONGEST_LINE)
    late = b" " * (16 * LONGEST_LINE) + lines(DOT).strip()
    (tmp_path / "ink.jsonl").write_bytes(b"\n".join([lines(DOT).strip(), long, late, lines(DOT).strip()]))
    tracemalloc.start()
    try:
        records = list(read_records(tmp_path / "ink.jsonl"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [isinstance(record.drawing, DrawingError) for record in records] == [False, True, True, False]
    assert most < 5 * LONGEST_LINE


def test_standard_input_that_is_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InkFileError, match="standard input: it is closed"):
        list(read_records(None))


def test_a_bad_line_does_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "ink.jsonl").write_bytes(lines(DOT) + b"nonsense\n" + lines(DOT))
    records = list(read_records(tmp_path / "ink.jsonl"))
    assert [isinstance(record.drawing, DrawingError) for record in records] == [False, True, False]


@pytest.mark.parametrize("label", [True, False, "3", 3.0, -1, 10, None, [3]])
def test_a_label_that_is_not_a_digit_is_ignored(label: object) -> None:
    assert parse_line(lines({**DOT, "label": label})).label is None


@pytest.mark.parametrize("label", range(10))
def test_every_digit_is_a_label(label: int) -> None:
    assert parse_line(lines({**DOT, "label": label})).label == label


def test_a_bad_drawing_keeps_its_label() -> None:
    assert parse_line(lines({"strokes": "x", "label": 4})).label == 4


def test_a_truncated_file_gives_the_drawings_before_the_cut_then_an_error(tmp_path: Path) -> None:
    path, ink = tmp_path / "ink.jsonl.gz", lines(*({"strokes": [[[i, i * i]]]} for i in range(3000)))
    path.write_bytes(gzip.compress(ink)[:-3000])
    records = []
    with pytest.raises(InkFileError, match=r"ink\.jsonl\.gz cannot be read completely: it is broken or incomplete\."):
        for record in read_records(path):
            records.append(points(record)[0][0])
    assert len(records) > 500
    assert records == [[i, i * i] for i in range(len(records))]


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 20])
def test_a_broken_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ink.jsonl.gz").write_bytes(content)
    with pytest.raises(InkFileError, match="broken or incomplete"):
        list(read_records(tmp_path / "ink.jsonl.gz"))


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InkFileError, match=r"none\.jsonl cannot be read completely: No such file or directory\."):
        list(read_records(tmp_path / "none.jsonl"))


def test_collections_are_named_after_their_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a-1.jsonl.gz", "README.md", "c.json"):
        (tmp_path / name).touch()
    assert collections(tmp_path) == {"a-1": tmp_path / "a-1.jsonl.gz", "b": tmp_path / "b.jsonl"}
    assert not is_ink_file(tmp_path / "c.json")


def test_a_folder_without_drawings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InkFileError, match=r"holds no drawings: no file ends in \.jsonl or \.jsonl\.gz"):
        collections(tmp_path)


def test_a_path_that_is_missing_or_not_a_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "ink.jsonl").write_bytes(lines(DOT))
    for name, what in (("nowhere", "missing"), ("ink.jsonl", "not a folder")):
        with pytest.raises(InkFileError, match=rf"{name} is {what}\. Name a folder with files that end in \.jsonl or"):
            collections(tmp_path / name)


def test_two_files_with_the_same_collection_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(DOT))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(DOT)))
    with pytest.raises(InkFileError, match=r"a\.jsonl and a\.jsonl\.gz have the same collection name"):
        collections(tmp_path)
