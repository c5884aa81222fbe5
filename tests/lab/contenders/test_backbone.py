"""ImageNet's weights, and what can go wrong while they download. The server is local; the weights are random."""

import gc
import hashlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from mnist_app.data.torchvision_cpu import make_torchvision_importable
from mnist_app.errors import AppError
from mnist_app.lab.contender import TrainingData
from mnist_app.lab.contenders import backbone
from mnist_app.lab.contenders.backbone import CONTENDERS, Backbone, load_backbone
from mnist_app.models.graph import Graph
from mnist_app.models.networks import batch_of
from mnist_app.storage import data_folder

from ...data import test_fetch
from ...data.test_fetch import Answer, Mirror, cut_short, never, never_to_the_end, not_found, with_a_flipped_bit

# A rejected response is closed only by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def saved(weights: Mapping[str, Tensor]) -> bytes:
    file = BytesIO()
    torch.save(weights, file)
    return file.getvalue()


def named(content: bytes) -> str:
    """Name a file after its content, as PyTorch does."""
    return f"small-{hashlib.sha256(content).hexdigest()[:8]}.pth"


@pytest.fixture(scope="module")
def weights() -> Mapping[str, Tensor]:
    make_torchvision_importable()
    torch.manual_seed(0)
    return importlib.import_module("torchvision.models").mobilenet_v3_small().state_dict()


@pytest.fixture(scope="module")
def content(weights: Mapping[str, Tensor]) -> bytes:
    return saved(weights)


@pytest.fixture
def mirror(content: bytes) -> Iterator[Mirror]:
    """A server of these weights, of another network's weights, and of a page."""
    test_fetch.the_test_is_over.clear()
    others = saved({"theirs": torch.zeros(3)})
    mirror = Mirror({named(each): each for each in (content, others, b"<html>Please sign in.</html>")})
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    test_fetch.the_test_is_over.set()
    mirror.server.shutdown()
    thread.join()
    mirror.server.server_close()
    gc.collect()  # here, where the filter above applies


def left_behind() -> list[str]:
    return [path.name for path in data_folder().glob("*")]


def test_weights_are_downloaded_once_and_loaded_into_the_layers(
    mirror: Mirror, weights: Mapping[str, Tensor], content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    url = mirror.url + named(content)
    for _ in range(2):
        found = load_backbone(url)
        assert not found.training
        for name, tensor in found.layers[0].state_dict().items():  # type: ignore[index]
            assert torch.equal(tensor, weights[f"features.{name}"]), name
    assert mirror.asked == left_behind() == [named(content)]
    assert capsys.readouterr().out == "", "standard output is for the results"


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        (with_a_flipped_bit, "invalid hash value"),
        (cut_short, "invalid hash value"),
        (not_found, "404"),
        (never, "timed out"),
        (never_to_the_end, "timed out"),
    ],
)
def test_a_failed_download_is_an_error_with_the_reason_and_leaves_no_file(
    mirror: Mirror, content: bytes, manner: Answer, says: str
) -> None:
    mirror.answer(manner, named(content))
    with pytest.raises(AppError, match=rf"ImageNet's weights could not be downloaded from {mirror.url}.*{says}.*Try"):
        load_backbone(mirror.url + named(content), patience=0.3)
    assert left_behind() == []


def test_a_server_that_refuses_connections_is_an_error_with_the_reason() -> None:
    began = time.monotonic()
    with pytest.raises(AppError, match=r"could not be downloaded from http://127\.0\.0\.1:1/.*Connection refused"):
        load_backbone("http://127.0.0.1:1/small-12345678.pth")
    assert time.monotonic() - began < 10


def other_weights() -> bytes:
    return saved({"theirs": torch.zeros(3)})


@pytest.mark.parametrize("other", [other_weights, lambda: b"<html>Please sign in.</html>"])
def test_a_download_of_something_else_is_a_short_error_and_leaves_no_file(
    mirror: Mirror, other: Callable[[], bytes]
) -> None:
    with pytest.raises(AppError, match="could not be downloaded from") as refused:
        load_backbone(mirror.url + named(other()))
    assert len(str(refused.value)) < 400 and "\n" not in str(refused.value)
    assert left_behind() == []


def test_a_damaged_file_is_an_error_once_and_then_downloaded_again(mirror: Mirror, content: bytes) -> None:
    data_folder().mkdir(parents=True)
    (data_folder() / named(content)).write_bytes(content[:1000])
    with pytest.raises(AppError, match=r"Try again\."):
        load_backbone(mirror.url + named(content))
    asked = len(mirror.asked)
    load_backbone(mirror.url + named(content))
    assert len(mirror.asked) > asked


def test_a_home_that_is_not_a_folder_is_an_error_with_the_reason(
    mirror: Mirror, content: bytes, own_home: Path
) -> None:
    own_home.write_text("a file where the folder should be")
    with pytest.raises(AppError, match=r"could not be downloaded from .*Not a directory"):
        load_backbone(mirror.url + named(content))


@pytest.fixture
def frozen(weights: Mapping[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """The layers with random weights, because no others can be downloaded."""
    network = importlib.import_module("torchvision.models").mobilenet_v3_small()
    network.load_state_dict(weights)
    found = Backbone(torch.nn.Sequential(network.features, network.avgpool)).eval()
    monkeypatch.setattr(backbone, "load_backbone", lambda: found)
    return found


def test_pictures_are_resized_and_normalised_as_torchvision_would(short_data: TrainingData) -> None:
    from torchvision.transforms.functional import normalize, resize

    pictures = batch_of(torch.from_numpy(short_data.digits.images[:2]))
    expected = normalize(resize(pictures, [84, 84]).expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(Backbone(torch.nn.Identity())(pictures), expected.flatten(1))


def test_the_classifier_is_logistic_regression_on_the_frozen_layers_features(
    frozen: Backbone, short_data: TrainingData
) -> None:
    few = short_data.digits[:60]
    fitted = CONTENDERS[0].fit(TrainingData(few, few, True, short_data.progress))
    with torch.inference_mode():
        seen = frozen(batch_of(torch.from_numpy(few.images))).numpy()
    expected = LogisticRegression(C=1.0, max_iter=200).fit(seen, few.labels).decision_function(seen)
    logits, features = Graph(fitted.graph()).read(few.images)
    assert features.shape == (60, 576)
    np.testing.assert_allclose(logits, expected, atol=1e-2 * np.abs(expected).max())
    assert fitted.read
    np.testing.assert_allclose(logits, fitted.read(few.images), atol=1e-3 * np.abs(expected).max())
