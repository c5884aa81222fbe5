"""What a model makes of real ink under strain, of numbers and of what is no digit.

``python -m tests.benchmarks.hands --ink FOLDER [--model MODEL] [--collections NAME …]``: shares in percent, with how
many drawings each was counted on. Honest only for collections that the model has not learned from.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from mnist_app.data.inkfiles import collections
from mnist_app.ink.preprocessing import prepare_image
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading.number import read_drawing, read_each
from mnist_app.reading.recognition import Recogniser, load_recogniser
from mnist_app.training.inkset import Ink, load_ink

from ..compositions import NONDIGITS, number

SEED = 0
DRAWINGS, NUMBERS, NONDIGIT_EACH = 300, 500, 300  # of a collection; in all; of each kind
PAPER, DIGIT, PEN = 340, 220, 18  # pixels of the pad, of a digit's longer side, of the pen: as on the Draw page

Strain = Callable[[Drawing, Generator], Drawing | Image.Image]


def turned(degrees: float) -> Strain:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[cos, sin], [-sin, cos]])
    return lambda drawing, _: Drawing(tuple(stroke @ matrix for stroke in drawing.strokes))


def picture(
    drawing: Drawing, pen: float = PEN, size: float = DIGIT, at: tuple[float, float] = (0.5, 0.5)
) -> Image.Image:
    """A drawing in black on white; ``at`` says where on the paper, from 0 (left, top) to 1 (right, bottom)."""
    points = np.concatenate(drawing.strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = size / max((high - low).max(), 1e-9)
    corner = pen + (PAPER - 2 * pen - scale * (high - low)) * np.array(at)
    paper = Image.new("L", (PAPER, PAPER), 255)
    brush = ImageDraw.Draw(paper)
    for stroke in drawing.strokes:
        line = [tuple(point) for point in (stroke - low) * scale + corner]
        brush.line(line, fill=0, width=round(pen), joint="curve")
        for x, y in line:
            brush.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=0)
    return paper


def in_a_corner(drawing: Drawing, random: Generator) -> Image.Image:
    return picture(drawing, size=DIGIT / 2, at=(float(random.integers(2)), float(random.integers(2))))


def noisy(drawing: Drawing, random: Generator) -> Image.Image:
    """A fifth of the pixels are of a random grey."""
    pixels = np.array(picture(drawing))
    hit = random.random(pixels.shape) < 0.2
    return Image.fromarray(np.where(hit, random.integers(0, 256, pixels.shape), pixels).astype(np.uint8))


def photographed(drawing: Drawing, random: Generator) -> Image.Image:
    """Ballpoint on grey paper, light from one side, out of focus, with grain, held up to 8 degrees askew."""
    sheet = picture(drawing, pen=8).rotate(random.uniform(-8, 8), fillcolor=255).filter(ImageFilter.GaussianBlur(1.5))
    angle = random.uniform(0, 2 * np.pi)
    down, right = np.mgrid[0:PAPER, 0:PAPER] / PAPER - 0.5
    light = 0.7 + 0.35 * (np.cos(angle) * right + np.sin(angle) * down)
    ink = np.array(sheet) / 255 * 0.75 + 0.2
    return Image.fromarray(np.clip(255 * ink * light + random.normal(0, 5, ink.shape), 0, 255).astype(np.uint8))


STRAINS: dict[str, Strain] = {
    "as written": lambda drawing, _: drawing,
    "turned by 15 degrees to the right": turned(15),
    "turned by 15 degrees to the left": turned(-15),
    "as a picture": lambda drawing, _: picture(drawing),
    "as a picture, half the pen's width": lambda drawing, _: picture(drawing, pen=PEN / 2),
    "as a picture, twice the pen's width": lambda drawing, _: picture(drawing, pen=PEN * 2),
    "as a picture, half the size, in any corner": in_a_corner,
    "as a picture, 20% noise": noisy,
    "as a photograph (synthetic)": photographed,
}


def accuracy(model: Recogniser, ink: Ink, strain: Strain) -> float:
    """The share of drawings whose text is the label's digit and nothing else."""
    random = np.random.default_rng(SEED)
    chosen = random.permutation(len(ink))[:DRAWINGS]
    strained = [strain(ink.drawings[at], random) for at in chosen]
    readable = [prepare_image(item).pixels if isinstance(item, Image.Image) else item for item in strained]
    read = read_each(model, readable)
    return float(np.mean([getattr(a, "text", None) == str(ink.labels[at]) for a, at in zip(read, chosen, strict=True)]))


def numbers_right(model: Recogniser, ink: Ink) -> float:
    """The share of numbers of 2 to 5 digits that are read entirely right."""
    random, right = np.random.default_rng(SEED), []
    for _ in range(NUMBERS):
        chosen = random.integers(len(ink), size=random.integers(2, 6))
        drawing = number([ink.drawings[at] for at in chosen], random)
        right.append(read_drawing(model, drawing).text == "".join(str(ink.labels[at]) for at in chosen))
    return float(np.mean(right))


def singles_read_as_numbers(model: Recogniser, drawings: Sequence[Drawing]) -> float:
    return float(np.mean([getattr(reading, "is_number", False) for reading in read_each(model, drawings)]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hands", description=__doc__)
    parser.add_argument("--ink", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="its name")
    parser.add_argument("--collections", nargs="+", metavar="NAME", help="all without this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, every = load_recogniser(arguments.model), list(collections(arguments.ink))
    chosen = arguments.collections or every
    inks = [load_ink(arguments.ink, without=[other for other in every if other != name]) for name in chosen]
    together = load_ink(arguments.ink, without=[other for other in every if other not in chosen])

    def say(what: str, share: float, count: int) -> None:
        print(f"{what:<60}{share:>8.2%}  of {count:,}", flush=True)

    for name, strain in STRAINS.items():
        shares = [accuracy(model, ink, strain) for ink in inks]
        say(f"{name}, macro mean of {len(inks)} collections", float(np.mean(shares)), DRAWINGS * len(inks))
    say("numbers of 2 to 5 digits read right", numbers_right(model, together), NUMBERS)
    say("single digits read as a number", singles_read_as_numbers(model, together.drawings), len(together))
    random = np.random.default_rng(SEED)
    for kind in NONDIGITS:
        read = [read_drawing(model, kind(together.drawings, random)) for _ in range(NONDIGIT_EACH)]
        name = kind.__name__.replace("_", " ")
        say(f"{name}: refused", float(np.mean([reading.text is None for reading in read])), NONDIGIT_EACH)


if __name__ == "__main__":
    main()
