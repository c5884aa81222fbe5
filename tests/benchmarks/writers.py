"""Splits each collection of drawings in two by writer: a fifth of the writers are held out from training.

``python -m tests.benchmarks.writers --ink FOLDER OUTPUT`` writes NAME and NAME-unseen for each. A model trained with
``--ink OUTPUT`` and ``--without`` each NAME-unseen knows every collection, but none of the held-out writers.
"""

import argparse
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

from mnist_app.data.inkfiles import Record, collections, read_records
from mnist_app.ink.strokes import Drawing
from mnist_app.storage import write_whole

EVERY = 5  # every fifth writer is held out, in a shuffled order that never changes


def kept_out(writers: Iterable[str]) -> set[str]:
    return set(sorted(writers, key=lambda name: crc32(name.encode()))[::EVERY])


def packed(records: Iterable[Record]) -> bytes:
    """Return the content of a file of drawings with these records."""
    lines = [
        json.dumps({"label": record.label, "writer": record.writer, "strokes": record.drawing.to_points()})
        for record in records
        if isinstance(record.drawing, Drawing)
    ]
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.writers", description=__doc__)
    parser.add_argument("--ink", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    arguments = parser.parse_args()
    for name, path in collections(arguments.ink).items():
        records = list(read_records(path))
        writers = {str(record.writer) for record in records}
        out = kept_out(writers)
        known, unseen = (
            [record for record in records if (str(record.writer) in out) is is_out] for is_out in (False, True)
        )
        write_whole(arguments.output / f"{name}.jsonl.gz", packed(known))
        write_whole(arguments.output / f"{name}-unseen.jsonl.gz", packed(unseen))
        print(f"{name}: {len(unseen):,} drawings by {len(out)} of {len(writers)} writers are held out")


if __name__ == "__main__":
    main()
