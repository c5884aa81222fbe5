"""How long the panel Why and the page Break it take to compute, and whether the ink that they mark really matters."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnist_app.data.dataset import find_source, load_split
from mnist_app.explain.attacks import STEPS, Attack, accuracy_under
from mnist_app.explain.attribution import integrated_gradients
from mnist_app.explain.distortions import DISTORTIONS
from mnist_app.explain.doctor import Norms, examine, smallest_change
from mnist_app.explain.feature_maps import follow
from mnist_app.explain.replay import replay
from mnist_app.explore.neighbours import known_neighbours, sketch_of
from mnist_app.explore.predictions import predict, predictions_of
from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.models.graph import Graph
from mnist_app.models.registry import CARD, DEFAULT_MODEL
from mnist_app.reading.recognition import Recogniser, load_recogniser, recognise
from mnist_app.storage import SHIPPED_WEIGHTS

from ..explain.deletion import deletion
from .figures import Figure, timed
from .ink import drawings

REMOVED = 0.2  # share of the inked pixels that is erased
DELETIONS = 200  # pictures
LEVELS = (8, 24, 64)  # a small attack, the page's default, the page's maximum


def measure() -> list[Figure]:
    torch.set_num_threads(1)
    model = load_recogniser(DEFAULT_MODEL)
    digits, norms = load_split(find_source().splits[-1]), Norms.of(load_split("validation"))
    subjects = [Drawing.from_points(strokes) for strokes in drawings(65)]
    pictures = {id(drawing): pixels_of_drawing(drawing) for drawing in subjects}
    learnable = find_source().splits[0]
    learned = load_split(learnable)
    sketch = sketch_of(DEFAULT_MODEL, learnable, learned)

    def of_picture(work: Callable[[NDArray[np.uint8], int], Any]) -> Callable[[Drawing], Any]:
        """Apply ``work`` to a drawing's picture and the digit read in it; the time includes the reading."""

        def run(drawing: Drawing) -> Any:
            pixels = pictures[id(drawing)]
            return work(pixels, recognise(model, pixels[None])[0].digit)

        return run

    def see(pixels: NDArray[np.uint8], _: int) -> None:
        features = predict(model.graph, pixels[None]).features
        sketch.nearest(features, lambda rows: predict(model.graph, learned.images[rows]).features)
        follow(model.network, pixels)

    def look(pixels: NDArray[np.uint8], digit: int) -> None:
        integrated_gradients(model, pixels, digit, (digit + 1) % 10)

    def diagnose(drawing: Drawing) -> None:
        pixels = pictures[id(drawing)]
        read = recognise(model, pixels[None])[0]
        examine(norms, pixels, read.runner_up)
        smallest_change(model, pixels, drawing, read.runner_up)

    slowest = max(DISTORTIONS, key=lambda distortion: distortion.name == "Thickness")
    return [
        timed("what did it see: nearest training pictures, all layers", of_picture(see), subjects),
        timed("where did it look: two digits", of_picture(look), subjects),
        timed("when did it decide: 48 moments", lambda drawing: replay(model, drawing), subjects),
        timed("what would change its mind: every change tried", diagnose, subjects),
        timed(
            "41 positions of the slowest slider, one model",
            of_picture(lambda pixels, _: recognise(model, slowest.sweep(pixels, 41)[1])),
            subjects[:30],
        ),
        timed(
            "PGD, one picture",
            of_picture(lambda pixels, digit: Attack(24).run(model, pixels[None], np.array([digit]))),
            subjects[:30],
        ),
        *_deletions(model, digits.images),
    ]


def _deletions(model: Recogniser, images: NDArray[np.uint8]) -> list[Figure]:
    """Measure the probability left of the digit read after a fifth of its inked pixels is erased."""
    random, share = np.random.default_rng(0), np.array([REMOVED])
    left: dict[str, list[float]] = {"marked": [], "random": [], "darkest": []}
    for index in random.choice(len(images), DELETIONS, replace=False):
        pixels = images[index]
        digit, ink = recognise(model, pixels[None])[0].digit, np.flatnonzero(pixels)
        [found] = integrated_gradients(model, pixels, digit)
        values = found.values.ravel()[ink]
        orders = {"marked": ink[np.argsort(-values)], "random": random.permutation(ink)}
        orders["darkest"] = ink[np.argsort(-pixels.ravel()[ink].astype(int), kind="stable")]
        for how, order in orders.items():
            left[how].append(float(deletion(model, pixels, digit, order, share)[0]))
    return [
        Figure(
            f"mean probability left without the {how} fifth of the ink", "%", DELETIONS, *[100 * float(np.mean(p))] * 2
        )
        for how, p in left.items()
    ]


def measure_sketches() -> Iterator[Figure]:
    """Measure how many of the five nearest training pictures a sketch finds, for every tenth validation digit."""
    torch.set_num_threads(1)
    train, digits = load_split("train"), load_split("validation")
    for folder in sorted(path.parent for path in SHIPPED_WEIGHTS.glob(f"*/{CARD}")):
        exact = known_neighbours(folder.name, "validation", digits, train)
        if not exact:  # it ships without a sketch
            continue
        known, _ = predictions_of(folder.name, "validation", digits)
        sketch, graph = sketch_of(folder.name, "train", train), load_recogniser(folder.name).graph

        def features_at(rows: NDArray[np.intp], graph: Graph = graph) -> NDArray[np.float32]:
            return predict(graph, train.images[rows]).features

        shares = []
        for at in range(0, len(digits), 10):
            near = sketch.nearest(known.features[[at]], features_at)
            shares.append(100 * float(np.isin(near.indices[0], exact.indices[at]).mean()))
        mean = float(np.mean(shares))
        yield Figure(f"{folder.name}: found of the five nearest, mean", "%", len(shares), mean, mean)


def measure_attacks() -> Iterator[Figure]:
    """Measure the shipped models on a thousand test digits, plain and attacked, in the way the page Break it does."""
    torch.set_num_threads(1)
    digits = load_split("test")[slice(0, None, 10)]
    attacks = {"plain": Attack(0, 1)} | {
        f"{how}, {levels} levels": Attack(levels, steps)
        for how, steps in (("FGSM", 1), ("PGD", STEPS))
        for levels in LEVELS
    }
    for folder in sorted(path.parent for path in SHIPPED_WEIGHTS.glob(f"*/{CARD}")):
        model = load_recogniser(folder.name)
        for how, attack in attacks.items():
            right = 100 * accuracy_under(attack, model, digits)
            yield Figure(f"{folder.name}: accuracy, {how}", "%", len(digits), right, right)
