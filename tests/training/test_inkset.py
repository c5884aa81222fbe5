import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits
from mnist_app.data.inkfiles import InkFileError
from mnist_app.errors import AppError
from mnist_app.ink.trajectory import POINTS
from mnist_app.models.networks import NOT_A_DIGIT
from mnist_app.training import inkset
from mnist_app.training.inkset import Ink, InkConfig, fresh_digits, fresh_trajectories, load_ink, sources_of, traced_ink

from ..conftest import ONE, SEVEN, ZERO


@pytest.fixture
def ink_folder(tmp_path: Path) -> Path:
    """Two collections, one of which has a blank, a broken and an unlabelled line."""
    lines: dict[str, list[dict[str, object]]] = {
        "first": [{"label": 7, "strokes": SEVEN}, {"label": 0, "strokes": ZERO}],
        "second": [{"label": 1, "strokes": ONE}, {"label": 1, "strokes": []}, {"label": 1}, {"strokes": ONE}],
    }
    for name, records in lines.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    return tmp_path


def test_labelled_ink_of_all_collections_is_loaded(ink_folder: Path) -> None:
    ink = load_ink(ink_folder)
    assert ink.labels.tolist() == [7, 0, 1]
    assert ink.drawings[0].to_points() == SEVEN
    assert ink.names == ("first", "second")


def test_a_collection_can_be_kept_out(ink_folder: Path) -> None:
    assert load_ink(ink_folder, without=["first"]).labels.tolist() == [1]


def test_keeping_out_an_unknown_collection_is_refused(ink_folder: Path) -> None:
    with pytest.raises(InkFileError, match=r"no collection 'third'.*first, second"):
        load_ink(ink_folder, without=["third"])


def test_keeping_out_every_collection_is_refused(ink_folder: Path) -> None:
    with pytest.raises(InkFileError, match="no labelled drawings to learn from"):
        load_ink(ink_folder, without=["first", "second"])


def epoch_of(ink: Ink, config: InkConfig, seed: int, epoch: int, workers: int = 0) -> Digits:
    parts = list(fresh_digits(ink, config, seed, epoch, workers))
    return Digits(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def test_each_epoch_has_new_copies_and_drawings_that_are_not_digits(ink_folder: Path) -> None:
    ink, config = load_ink(ink_folder), InkConfig(copies=4, nondigits=0.5)
    epochs = [epoch_of(ink, config, *which) for which in ((0, 1), (0, 2), (1, 1))]
    assert epochs[0].labels.tolist() == [7, 0, 1] * 4 + [NOT_A_DIGIT] * 6
    assert epochs[0].images.shape == (18, 28, 28)
    assert len({picture.tobytes() for epoch in epochs for picture in epoch.images}) == 54


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12, at any fork with threads
def test_a_worker_process_paints_the_same_pictures(ink_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inkset, "AT_ONCE", 4)
    ink, config = load_ink(ink_folder), InkConfig(copies=4, nondigits=0.5)
    alone, together = epoch_of(ink, config, 0, 1), epoch_of(ink, config, 0, 1, workers=1)
    assert np.array_equal(alone.images, together.images)
    assert np.array_equal(alone.labels, together.labels)


def ways_of(ink: Ink, config: InkConfig, seed: int, epoch: int, workers: int = 0) -> NDArray[np.float32]:
    return np.concatenate([ways for ways, _ in fresh_trajectories(ink, config, seed, epoch, workers)])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_each_epoch_has_new_trajectories_and_a_worker_makes_the_same(
    ink_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inkset, "AT_ONCE", 4)
    ink, config = load_ink(ink_folder), InkConfig(copies=4, nondigits=0.5)
    labels = np.concatenate([labels for _, labels in fresh_trajectories(ink, config, 0, 1)])
    assert labels.tolist() == [7, 0, 1] * 4 + [NOT_A_DIGIT] * 6
    ways = ways_of(ink, config, 0, 1)
    assert ways.shape == (18, POINTS, 3)
    assert len({way.tobytes() for way in (*ways, *ways_of(ink, config, 0, 2))}) == 36
    assert np.array_equal(ways, ways_of(ink, config, 0, 1, workers=1))


def test_keeping_out_a_collection_leaves_the_other_pictures_unchanged(ink_folder: Path) -> None:
    config = InkConfig(copies=2, nondigits=0)
    every = epoch_of(load_ink(ink_folder), config, 0, 1)
    some = epoch_of(load_ink(ink_folder, without=["first"]), config, 0, 1)
    assert np.array_equal(every.images[every.labels == 1], some.images)


def test_pictures_are_traced_into_drawings_and_blank_ones_left_out(tiny_digits: Digits) -> None:
    ink = traced_ink(tiny_digits)
    assert np.array_equal(ink.labels, tiny_digits.labels)
    for drawing, label in zip(ink.drawings, ink.labels, strict=True):
        (bar,) = drawing.strokes
        assert np.ptp(bar[:, 0]) > 10 * np.ptp(bar[:, 1])
        assert abs(bar[:, 1].mean() / 3 - (2 + 3 + 2 * label)) < 1.5  # three times as large, two pixels from the edge
    speck = tiny_digits[:2]
    speck.images[0] = 0
    assert np.array_equal(traced_ink(speck).labels, tiny_digits.labels[1:2])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"copies": 0}, "copies must be a whole number between 1 and 100, not 0."),
        ({"copies": 1.5}, "copies must be a whole number between 1 and 100, not 1.5."),
        ({"nondigits": -1}, "nondigits must be between 0 and 10, not -1."),
    ],
)
def test_an_ink_config_outside_its_limits_is_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(AppError) as error:
        InkConfig(**options)  # type: ignore[arg-type]
    assert str(error.value) == sentence


def test_each_source_is_named_once_with_its_licence() -> None:
    named = sources_of(["unipen-apb", "pendigits", "unipen-val", "mine"])
    assert [source.split(",")[0].split(" train")[0] for source in named] == [
        "Pen-Based Recognition of Handwritten Digits",
        "UNIPEN",
        "the collection mine",
    ]
    assert all("CC BY 4.0" in source for source in named[:2])
