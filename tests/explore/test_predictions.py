"""A model's predictions, neighbours, favourites and maps: correct, computed once, never lost to a bad disk."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mnist_app.data.dataset import Digits, load_split
from mnist_app.explain import feature_maps
from mnist_app.explore import disk_cache, favourites, neighbours, predictions, projection
from mnist_app.explore.predictions import Predictions, predict, predictions_of
from mnist_app.explore.prepare import SHIPPED_SPLITS, prepare
from mnist_app.models.graph import Graph, read_features, to_graph
from mnist_app.models.networks import ARCHITECTURES, batch_of, build
from mnist_app.models.registry import DEFAULT_MODEL, ModelError, find_model, load_model
from mnist_app.reading.recognition import Recogniser, load_recogniser
from mnist_app.storage import SHIPPED_WEIGHTS, computed_folder

from ..conftest import full_mnist


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that ships models, but nothing computed from them."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("mnist_app.explore.disk_cache.SHIPPED_WEIGHTS", tmp_path / "empty")


def count_predictions(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> list[int]:
    """Return a list that gets the number of pictures each time a network reads some."""
    asked = []

    def counted(graph: Graph, images: np.ndarray, progress: predictions.Progress) -> Predictions:
        asked.append(len(images))
        time.sleep(seconds)
        return predict(graph, images, progress)

    monkeypatch.setattr("mnist_app.explore.predictions.predict", counted)
    return asked


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_read_features_gives_the_logits_and_a_feature_row_per_picture(architecture: str, tiny_digits: Digits) -> None:
    network = build(architecture).eval()
    pictures = batch_of(torch.from_numpy(tiny_digits.images))
    with torch.inference_mode():
        logits, features = read_features(network, pictures)
        assert torch.allclose(logits, network(pictures), atol=1e-5)
    assert features.shape[0] == 64 and features.ndim == 2


def test_a_network_without_features_has_its_logits_as_features(tiny_digits: Digits) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    found = predict(Graph(to_graph(network)), tiny_digits.images)
    assert np.allclose(found.features, found.logits, atol=0.01)


def test_the_shipped_predictions_match_the_model(
    validation: Digits,
    shipped_model: Recogniser,
    said_of_validation: Callable[[str], np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mnist_app.explore.predictions.predict", None)  # computing would fail
    shipped, _ = predictions_of(DEFAULT_MODEL, "validation", validation)
    independent = said_of_validation(DEFAULT_MODEL)[:, :10]
    assert np.allclose(shipped.logits, independent, atol=2e-3)
    assert (shipped.read == independent.argmax(axis=1)).all()
    shares = np.exp(independent.astype(np.float64) / shipped_model.card.temperature)
    shares /= shares.sum(axis=1, keepdims=True)
    assert np.allclose(shipped.probabilities, shares, atol=1e-3)
    labels = validation.labels
    assert np.allclose(shipped.losses(labels), -np.log(shares[np.arange(5000), labels]), atol=5e-3)


def test_precomputed_results_of_the_shipped_models_are_shipped_and_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full_mnist()
    train = load_split("train")
    for compute in ("mnist_app.explore.predictions.predict", "mnist_app.explore.favourites.favourites"):
        monkeypatch.setattr(compute, None)  # computing would fail
    for model in ("ink-cnn", "mnist-cnn"):
        assert len(neighbours.sketch_of(model, "train", train).places) == len(train)
    for split in SHIPPED_SPLITS:
        digits = load_split(split)
        for model in ("ink-cnn", "mnist-cnn"):
            assert len(predictions_of(model, split, digits)[0]) == len(digits)
            assert neighbours.known_neighbours(model, split, digits, train) is not None
        for model in ("ink-cnn", "mnist-cnn", "robust-cnn"):
            assert favourites.favourites_of(model, "train", train)
            assert projection.known_tsne(model, split, digits) is not None
    sizes = [path.stat().st_size for path in SHIPPED_WEIGHTS.rglob("*") if path.is_file()]
    assert max(sizes) < 2e6 and sum(sizes) < 12e6


def test_predictions_are_computed_once_and_read_back_unchanged(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_predictions(monkeypatch)
    first, problem = predictions_of(DEFAULT_MODEL, "validation", tiny_digits)
    again, _ = predictions_of(DEFAULT_MODEL, "validation", tiny_digits)
    assert asked == [64] and problem is None
    assert np.array_equal(first.logits, again.logits) and np.array_equal(first.features, again.features)
    assert len(list((own_home / "computed").glob("*.npz"))) == 1


def test_other_data_or_weights_give_another_cache_key(tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = predictions.origin_of(DEFAULT_MODEL, "test", tiny_digits)
    assert predictions.origin_of(DEFAULT_MODEL, "test", tiny_digits[np.arange(63)]).key != origin.key
    monkeypatch.setattr("mnist_app.explore.predictions.weights_of", lambda model: b"other")
    assert predictions.origin_of(DEFAULT_MODEL, "test", tiny_digits).key != origin.key


def test_ten_simultaneous_callers_compute_the_predictions_once(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count_predictions(monkeypatch, seconds=0.3)
    found: list[Predictions] = []
    visitors = [
        threading.Thread(target=lambda: found.append(predictions_of(DEFAULT_MODEL, "test", tiny_digits)[0]))
        for _ in range(10)
    ]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert asked == [64]
    assert len(found) == 10 and all(np.array_equal(each.logits, found[0].logits) for each in found)


def test_the_oldest_cached_file_makes_room_for_new_ones(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "MAX_KEPT", 200_000)
    numbers = {"numbers": np.random.default_rng(0).random(10_000)}  # 80 kB that cannot be compressed
    for when, model in enumerate(("first", "second", "third")):
        origin = disk_cache.Origin.of(model, "test", b"")
        assert disk_cache.look_up_or_compute("some", origin, {"numbers": (10_000,)}, lambda: numbers).problem is None
        os.utime(computed_folder() / origin.file("some"), (when, when))
    assert {path.name.split(".")[0] for path in computed_folder().iterdir()} == {"second", "third"}


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "pickle", "other shapes"])
def test_a_damaged_cache_file_is_computed_again(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    first, _ = predictions_of(DEFAULT_MODEL, "test", tiny_digits)
    (path,) = (own_home / "computed").glob("*.npz")
    content = path.read_bytes()
    if damage == "pickle":
        np.savez(path.with_suffix(""), logits=np.array([{}], object), features=np.zeros(1))
    elif damage == "other shapes":
        np.savez(path.with_suffix(""), logits=np.zeros((3, 10)), features=np.zeros((3, 4)))
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
        path.write_bytes({"cut": content[:middle], "flipped": flipped, "empty": b"", "text": b"no zip"}[damage])
    asked = count_predictions(monkeypatch)
    again, problem = predictions_of(DEFAULT_MODEL, "test", tiny_digits)
    assert asked == [64] and problem is None
    assert np.array_equal(first.logits, again.logits)
    predictions_of(DEFAULT_MODEL, "test", tiny_digits)
    assert asked == [64], "the file should be whole again"


def test_a_full_disk_gives_one_error_sentence_and_loses_no_result(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    found, problem = predictions_of(DEFAULT_MODEL, "test", tiny_digits)
    assert len(found) == 64
    assert problem == (
        f"The results could not be saved in {own_home / 'computed'}: No space left on device. "
        "They will be computed again next time."
    )
    assert list((own_home / "computed").glob("*.npz")) == list((own_home / "computed").glob(".*")) == []


def test_a_failed_write_leaves_no_file_and_kept_files_have_the_usual_mode(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    path = own_home / "some.npz"
    disk_cache.keep(path, {"numbers": np.arange(3)})
    plain = own_home / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    monkeypatch.setattr("mnist_app.explore.disk_cache.np.lib.format.write_array", no_memory)
    with pytest.raises(MemoryError):
        disk_cache.keep(own_home / "other.npz", {"numbers": np.arange(3)})
    assert {each.name for each in own_home.iterdir()} == {"some.npz", "plain"}


def test_large_splits_are_read_one_at_a_time_but_cached_results_never_wait(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "AT_ONCE", len(tiny_digits) - 1)
    asks = {
        "predictions": lambda: predictions_of(DEFAULT_MODEL, "test", tiny_digits),
        "sketch": lambda: neighbours.sketch_of(DEFAULT_MODEL, "test", tiny_digits),
        "favourites": lambda: favourites.favourites_of(DEFAULT_MODEL, "test", tiny_digits),
    }
    for name, ask in asks.items():
        first, again = threading.Thread(target=ask), threading.Thread(target=ask)
        with predictions.turn_of(tiny_digits):  # as if another reading were running
            first.start()
            first.join(30 if name == "sketch" else 0.5)  # a sketch needs only the stored predictions
            assert first.is_alive() == (name != "sketch")
        first.join()
        with predictions.turn_of(tiny_digits):
            again.start()
            again.join(30)
            assert not again.is_alive()


def test_a_home_that_cannot_be_created_gives_an_error_sentence_and_results(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits
) -> None:
    own_home.write_text("a file where the folder should be")
    found, problem = predictions_of(DEFAULT_MODEL, "test", tiny_digits)
    assert len(found) == 64
    assert problem and problem.startswith(f"The results could not be saved in {computed_folder()}")


def test_a_missing_model_is_named_in_the_error(tiny_digits: Digits) -> None:
    with pytest.raises(ModelError, match="No model named 'nobody'"):
        predictions_of("nobody", "test", tiny_digits)


def test_a_long_model_name_still_fits_into_a_file_name() -> None:
    assert len(disk_cache.Origin("m" * 255, "validation", "0" * 16).file("predictions")) < 200


def test_progress_is_reported_after_each_chunk(shipped_model: Recogniser, validation: Digits) -> None:
    shares: list[float] = []
    predict(shipped_model.graph, validation.images[:250], shares.append)
    assert shares == pytest.approx([100 / 250, 200 / 250, 1])


def test_the_nearest_neighbours_are_the_same_as_in_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 8)).astype(np.float32)
    found = neighbours.nearest(features[:250], features, np.arange(250))
    for query in range(250):
        distances = np.sqrt(((features.astype(float) - features[query]) ** 2).sum(axis=1))
        distances[query] = np.inf
        assert found.indices[query].tolist() == np.argsort(distances)[:5].tolist()
        assert np.allclose(found.distances[query], np.sort(distances)[:5], atol=1e-4)


def test_a_sketch_finds_at_least_99_percent_of_the_nearest_neighbours() -> None:
    """The features vary mostly along a few axes, as those of networks do; the sketch has one byte for each axis."""
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(2000, 96)) * 0.9 ** np.arange(96) @ np.linalg.qr(rng.normal(size=(96, 96)))[0]).astype(
        np.float32
    )
    sketch = neighbours.Sketch.of(features)
    assert sketch.places.dtype == np.uint8 and sketch.places.shape == (2000, neighbours.AXES)
    asked: list[int] = []

    def features_at(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        asked.append(len(rows))
        return features[rows]

    found = 0
    for query in range(100):
        exact = neighbours.nearest(features[[query]], features, [query])
        near = sketch.nearest(features[[query]], features_at, query)
        found += len(set(near.indices[0]) & set(exact.indices[0]))
        assert query not in near.indices[0]
        same = near.indices[0] == exact.indices[0]
        assert np.allclose(near.distances[0][same], exact.distances[0][same], atol=1e-5)
    assert set(asked) == {neighbours.CANDIDATES}
    assert found >= 0.99 * 500


def test_a_sketch_of_few_pictures_finds_the_exact_neighbours() -> None:
    features = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    near = neighbours.Sketch.of(features).nearest(features[[4]], lambda rows: features[rows])
    assert np.array_equal(near.indices, neighbours.nearest(features[[4]], features).indices)


def test_the_shipped_sketch_finds_the_nearest_training_pictures() -> None:
    full_mnist()
    train, validation = load_split("train"), load_split("validation")
    exact = neighbours.known_neighbours(DEFAULT_MODEL, "validation", validation, train)
    features, _ = predictions_of(DEFAULT_MODEL, "validation", validation)
    assert exact is not None
    sketch, graph = neighbours.sketch_of(DEFAULT_MODEL, "train", train), load_recogniser(DEFAULT_MODEL).graph
    some = range(0, 5_000, 125)
    found = 0
    for at in some:
        near = sketch.nearest(features.features[[at]], lambda rows: predict(graph, train.images[rows]).features)
        found += len(set(near.indices[0]) & set(exact.indices[at]))
    assert found >= 0.99 * 5 * len(some)


def test_favourites_are_computed_once_and_read_back_unchanged(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = favourites.favourites_of(DEFAULT_MODEL, "train", tiny_digits)
    assert [found.patches.shape[0] for found in first] == [16, 16, 48, 48, 48, 96, 96, 96]
    monkeypatch.setattr(favourites, "favourites", None)  # computing again would fail
    again = favourites.favourites_of(DEFAULT_MODEL, "train", tiny_digits)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.patches, other.patches) and np.array_equal(one.strengths, other.strengths)


def test_no_training_picture_excites_a_map_more_than_its_shipped_favourite() -> None:
    full_mnist()
    train = load_split("train")
    for model in ("ink-cnn", "mnist-cnn", "robust-cnn"):
        some = feature_maps.favourites(load_recogniser(model).network, train.images[5::113])
        for shipped, found in zip(favourites.favourites_of(model, "train", train), some, strict=True):
            assert (found.strengths[:, 0] <= shipped.strengths[:, 0] * 1.001).all()


def test_shipped_neighbours_have_the_right_distances_in_rising_order() -> None:
    full_mnist()
    train, test = load_split("train"), load_split("test")
    shipped = neighbours.known_neighbours(DEFAULT_MODEL, "test", test, train)
    assert shipped is not None
    network = load_model(find_model(DEFAULT_MODEL)).network
    index = 1901
    near = shipped.indices[index]
    with torch.inference_mode():
        own = network.features(batch_of(torch.from_numpy(test.images[[index]])))  # type: ignore[operator]
        theirs = network.features(batch_of(torch.from_numpy(train.images[near])))  # type: ignore[operator]
    assert np.allclose((own - theirs).norm(dim=1).numpy(), shipped.distances[index], atol=5e-3)
    assert (np.diff(shipped.distances[index]) >= 0).all()


def test_the_map_is_prepared_before_the_sketch_and_the_favourites(
    own_home: Path, nothing_shipped: None, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    monkeypatch.setattr("mnist_app.explore.prepare.load_split", lambda split: tiny_digits)
    for slow in ("neighbours.sketch_of", "favourites.favourites_of"):
        monkeypatch.setattr(
            f"mnist_app.explore.{slow}",
            lambda *_: there.append(projection.known_tsne(DEFAULT_MODEL, "validation", tiny_digits) is not None),
        )
    prepare(DEFAULT_MODEL, "validation")
    assert there == [True, True]


def test_pca_preserves_the_distances_within_a_plane() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(200, 2)) * [5, 2]
    features = (plane @ np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]).astype(np.float32)
    places, also = projection.pca(features, features[:3])
    assert np.allclose(places[:3], also, atol=0.1)
    assert (places.min(), places.max()) == (0, projection.SIDE)
    distances = [np.linalg.norm(points[:, None] - points[None], axis=2) for points in (plane, places)]
    assert np.corrcoef(distances[0].ravel(), distances[1].ravel())[0, 1] > 0.999


def test_another_picture_is_placed_among_its_neighbours() -> None:
    features = np.repeat(np.eye(3, dtype=np.float32) * 10, 10, axis=0)
    places = np.repeat(np.array([[0, 0], [500, 0], [0, 500]], np.float32), 10, axis=0)
    assert np.allclose(projection.place(features[[12]] + 0.1, features, places), [[500, 0]], atol=1)


def test_neighbours_on_the_shipped_map_mostly_share_their_label() -> None:
    digits = load_split("validation")
    places = projection.known_tsne(DEFAULT_MODEL, "validation", digits)
    assert places is not None
    assert (places.min(), places.max()) == pytest.approx((0, projection.SIDE))
    near = neighbours.nearest(places[::10], places, np.arange(0, 5000, 10))
    assert (digits.labels[near.indices] == digits.labels[::10, None]).mean() > 0.98
