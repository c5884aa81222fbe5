"""How a model reads strained real ink, numbers, and drawings that are not digits.

``python -m tests.benchmarks.robustness --ink FOLDER [--models MODEL …]`` prints shares in percent and the number of
drawings behind each. Shares are macro means over collections, except for single digits, which are counted together. A
twin, trained with ``--name``, is measured on the collections that it was trained without. For a model that has learned
from all collections, the figures say little.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from mnist_app.data.inkfiles import collections
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import prepare_image
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import DEFAULT_MODEL, find_model, load_card
from mnist_app.reading.number import Reading, read_drawing, read_each
from mnist_app.reading.recognition import Recogniser, load_recogniser
from mnist_app.training.inkset import Ink, load_ink

from ..compositions import NONDIGITS, number

SEED = 0
DRAWINGS, NUMBERS, NONDIGIT_EACH = 1000, 1000, 100  # per collection; in total; per kind and collection
PAPER, DIGIT, PEN = 340, 220, 18  # pixels: the pad's side, a digit's longer side, the pen's width, as on the Draw page

Strain = Callable[[Drawing, Generator], Drawing | Image.Image]
Nondigit = Callable[[Sequence[Drawing], Generator], Drawing]


def turned(degrees: float) -> Strain:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.array([[cos, sin], [-sin, cos]])
    return lambda drawing, _: Drawing(tuple(stroke @ matrix for stroke in drawing.strokes))


def picture(
    drawing: Drawing, pen: float = PEN, size: float = DIGIT, at: tuple[float, float] = (0.5, 0.5)
) -> Image.Image:
    """Paint a drawing in black on white; ``at`` is its place on the paper, from 0 (left, top) to 1 (right, bottom)."""
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
    """Paint a drawing and give a fifth of the pixels a random grey."""
    pixels = np.array(picture(drawing))
    hit = random.random(pixels.shape) < 0.2
    return Image.fromarray(np.where(hit, random.integers(0, 256, pixels.shape), pixels).astype(np.uint8))


def photographed(drawing: Drawing, random: Generator) -> Image.Image:
    """Imitate a photograph: ballpoint on grey paper, lit from one side, blurred, grainy, up to 8 degrees askew."""
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


def accuracy(model: Recogniser, ink: Ink, strain: Strain) -> tuple[float, float]:
    """Return two shares of all drawings: read as their label and not refused, and read as their label either way."""
    random = np.random.default_rng(SEED)
    chosen = random.permutation(len(ink))[:DRAWINGS]
    strained = [strain(ink.drawings[at], random) for at in chosen]
    readable = [prepare_image(item).pixels if isinstance(item, Image.Image) else item for item in strained]
    read, labels = read_each(model, readable), ink.labels[chosen]
    is_right = np.array([likeliest(answer) == label for answer, label in zip(read, labels, strict=True)])
    is_said = np.array([getattr(answer, "text", None) is not None for answer in read])
    return float((is_right & is_said).mean()), float(is_right.mean())


def likeliest(answer: Reading | AppError) -> int | None:
    """Return the digit that was read, even if refused; None for a number or an unreadable drawing."""
    return None if isinstance(answer, AppError) or answer.is_number else answer.weakest.digit


def numbers_read(model: Recogniser, ink: Ink, count: int) -> tuple[float, float]:
    """Return the shares of numbers of 2 to 5 digits read right, and read wrong though each digit alone is right."""
    random, right, ill_grouped = np.random.default_rng(SEED), 0, 0
    for _ in range(count):
        chosen = random.integers(len(ink), size=random.integers(2, 6))
        digits, labels = [ink.drawings[at] for at in chosen], [str(ink.labels[at]) for at in chosen]
        if read_drawing(model, number(digits, random)).text == "".join(labels):
            right += 1
        else:
            ill_grouped += all(
                read_drawing(model, one).text == label for one, label in zip(digits, labels, strict=True)
            )
    return right / count, ill_grouped / count


def made_of(model: Recogniser, kind: Nondigit, drawings: Sequence[Drawing]) -> tuple[float, float]:
    """Return the shares of nonsense drawings that are refused, and that are taken for one digit."""
    random = np.random.default_rng(SEED)
    texts = [read_drawing(model, kind(drawings, random)).text for _ in range(NONDIGIT_EACH)]
    return texts.count(None) / len(texts), sum(len(text or "") == 1 for text in texts) / len(texts)


def singles_read(model: Recogniser, ink: Ink) -> tuple[int, float]:
    """Count single digits read as a number; return it with the share of the others read right, even if refused."""
    digits = [likeliest(answer) for answer in read_each(model, ink.drawings)]
    is_one = np.array([digit is not None for digit in digits])
    is_right = np.array([digit == label for digit, label in zip(digits, ink.labels, strict=True)])
    return int((~is_one).sum()), float(is_right[is_one].mean())


def asked_about(name: str, folder: Path) -> Iterator[tuple[Recogniser, Ink]]:
    """Yield a twin with each collection that it was trained without, any other model with every collection."""
    every = set(collections(folder))
    kept_out = (load_card(find_model(name)).config.get("ink") or {}).get("without") or sorted(every)
    model = load_recogniser(name)
    for collection in kept_out:
        yield model, load_ink(folder, without=every - {collection})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.robustness", description=__doc__)
    parser.add_argument("--ink", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL], metavar="MODEL", help="names of models")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pairs = [pair for name in arguments.models for pair in asked_about(name, arguments.ink)]

    def say(what: str, shares: Sequence[float], count: int) -> None:
        print(f"{what:<66}{np.mean(shares):>8.2%}  of {count:,}", flush=True)

    asked = sum(min(DRAWINGS, len(ink)) for _, ink in pairs)
    for name, strain in STRAINS.items():
        said, likeliest_ones = zip(*(accuracy(model, ink, strain) for model, ink in pairs), strict=True)
        say(name, said, asked)
        say(f"{name}, refused or not", likeliest_ones, asked)
    each = NUMBERS // len(pairs)
    numbers = zip(*(numbers_read(*pair, each) for pair in pairs), strict=True)
    for outcome, shares in zip(("right", "wrong, but each digit alone right"), numbers, strict=True):
        say(f"numbers of 2 to 5 digits read {outcome}", shares, each * len(pairs))
    singles = sum(len(ink) for _, ink in pairs)
    as_numbers, others = zip(*(singles_read(*pair) for pair in pairs), strict=True)
    say("single digits read as a number", [sum(as_numbers) / singles], singles)
    say("the others read right, refused or not", others, singles - sum(as_numbers))
    for kind in NONDIGITS:
        outcomes = zip(*(made_of(model, kind, ink.drawings) for model, ink in pairs), strict=True)
        for outcome, shares in zip(("refused", "taken for one digit"), outcomes, strict=True):
            say(f"{kind.__name__.replace('_', ' ')}: {outcome}", shares, NONDIGIT_EACH * len(pairs))


if __name__ == "__main__":
    main()
