"""Real pen strokes if INK_COLLECTIONS names their folder, otherwise the hand-written digits of the tests."""

import gzip
import json
import os
from pathlib import Path

from ..conftest import ONE, SEVEN, TWO, ZERO, Strokes


def drawings(count: int, side: float = 220, margin: float = 60) -> list[Strokes]:
    """Return ``count`` drawings in the canvas's pixels."""
    folder = os.environ.get("INK_COLLECTIONS")
    if not folder:
        return [(ZERO, ONE, TWO, SEVEN)[n % 4] for n in range(count)]
    with gzip.open(Path(folder) / "unipen-val.jsonl.gz") as file:
        records = [json.loads(line) for line in file]
    chosen = (records[n * len(records) // count] for n in range(count))
    scale = side / 1000
    return [
        [[[margin + x * scale, margin + y * scale] for x, y in stroke] for stroke in record["strokes"]]
        for record in chosen
    ]
