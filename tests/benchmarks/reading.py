"""How long it takes from strokes to pixels and to a prediction, on one thread, without a server."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import trajectory_of
from mnist_app.models.networks import batch_of
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading.recognition import Glyph, digit_logits, load_recogniser, recognise, recognise_glyphs

from .figures import Figure, timed
from .ink import drawings


def measure() -> list[Figure]:
    torch.set_num_threads(1)
    model, together = load_recogniser(DEFAULT_MODEL), load_recogniser("ensemble")
    subjects = [Drawing.from_points(strokes) for strokes in drawings(505)]
    pixels = [pixels_of_drawing(drawing)[None] for drawing in subjects]
    ways, pen = [trajectory_of(drawing) for drawing in subjects], model.pen_graph
    assert pen  # the default model has one
    batch = np.concatenate(pixels)[:500]

    @torch.inference_mode()
    def by_pytorch(picture: NDArray[np.uint8]) -> Tensor:
        return digit_logits(model, batch_of(torch.from_numpy(picture)))

    return [
        timed("strokes to pixels", pixels_of_drawing, subjects),
        timed("strokes to the pen's trajectory", trajectory_of, subjects),
        timed("pixels to prediction, one at a time", lambda picture: recognise(model, picture), pixels),
        timed("the same by the ensemble", lambda picture: recognise(together, picture), pixels),
        timed("trajectory to the pen network's logits", lambda way: pen.read([way]), ways),
        timed("strokes to prediction, one at a time", lambda d: recognise_glyphs(model, [Glyph.of(d)]), subjects),
        timed("the same by the ensemble", lambda d: recognise_glyphs(together, [Glyph.of(d)]), subjects),
        timed("baseline: pixels to logits by PyTorch, one at a time", by_pytorch, pixels),
        timed("baseline: pixels to prediction, 500 at once", lambda _: recognise(model, batch), range(25)),
    ]
