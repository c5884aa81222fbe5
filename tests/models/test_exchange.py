import dataclasses
import io
import json
import os
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load, save
from scipy.special import softmax

from mnist_app.data.dataset import Digits
from mnist_app.ink.trajectory import POINTS
from mnist_app.models import exchange
from mnist_app.models.exchange import from_zip, to_onnx, to_zip
from mnist_app.models.networks import ARCHITECTURES, build, logits_of
from mnist_app.models.registry import CARD, PEN, WEIGHTS, ModelError, find_model, load_model, model_folders, save_model
from mnist_app.reading.recognition import load_recogniser, recognise
from mnist_app.storage import user_models_folder


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_onnx_gives_the_same_logits(architecture: str, validation: Digits) -> None:
    card = dataclasses.replace(load_model(find_model("mnist-cnn")).card, architecture=architecture, name="mine")
    network = build(architecture).eval()
    save_model(user_models_folder() / "mine", network, card)
    content = to_onnx("mine")
    onnx.checker.check_model(onnx.load_from_string(content))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    images = validation.images[::50]
    theirs = session.run(None, {"pictures": images[:, None].astype(np.float32) / 255})[0]
    np.testing.assert_allclose(theirs, logits_of(network, images).numpy(), atol=1e-4)


@pytest.mark.parametrize("name", ["ink-cnn", "ensemble", "mnist-cnn"])
def test_an_onnx_files_notes_suffice_to_reproduce_the_apps_answers(name: str, validation: Digits) -> None:
    content, images = to_onnx(name), validation.images[::50]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    notes, told = session.get_modelmeta().custom_metadata_map, session.get_modelmeta().description
    logits = session.run(None, {"pictures": images[:, None].astype(np.float32) / 255})[0].astype(np.float64)
    probabilities = softmax(logits[:, :10] / float(notes["temperature"]), axis=1)
    expected = recognise(load_recogniser(name), images)
    np.testing.assert_allclose(probabilities, [answer.probabilities for answer in expected], atol=1e-5)
    assert ("refusal" in notes) == (logits.shape[1] == 11) == ("not a digit" in told) == (name != "mnist-cnn")
    if "refusal" in notes:
        doubts = softmax(logits, axis=1)[:, 10]
        np.testing.assert_allclose(doubts, [answer.doubt for answer in expected], atol=1e-5)
        assert [doubt <= float(notes["refusal"]) for doubt in doubts] == [answer.is_digit for answer in expected]
    assert ("The pen network is left out" in told) == (load_model(find_model(name)).pen is not None)
    assert "0 = paper, 1 = ink" in notes["input"] and notes["use"] in told


def test_a_model_on_which_onnx_runtime_and_pytorch_differ_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "AGREEMENT", 0.0)
    with pytest.raises(ModelError, match="ONNX Runtime and PyTorch differ by"):
        to_onnx("mnist-cnn")


@pytest.mark.parametrize("export", [to_zip, to_onnx])
def test_a_lab_model_is_not_exported(a_toy: Path, export: Callable[[str], bytes]) -> None:
    with pytest.raises(ModelError, match="'toy' is only a graph: it answers, but cannot be taught, exported"):
        export("toy")


def test_an_exported_model_can_be_imported_under_a_free_name(validation: Digits) -> None:
    name = from_zip(to_zip("mnist-cnn"))
    assert name == "mnist-cnn-2"
    back, original = load_model(find_model(name)), load_model(find_model("mnist-cnn"))
    assert back.card.name == name and back.card.metrics == original.card.metrics
    images = validation.images[:100]
    assert torch.equal(logits_of(back.network, images), logits_of(original.network, images))


def test_models_imported_at_the_same_time_get_different_names() -> None:
    content = to_zip("mnist-cnn")
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(from_zip, [content] * 8))
    assert len(set(names)) == 8
    assert sorted(path.name for path in user_models_folder().iterdir()) == sorted(names)
    assert {name: load_model(find_model(name)).card.name for name in names} == {name: name for name in names}


def test_paths_in_an_archive_do_not_decide_where_its_model_is_saved() -> None:
    parts = {f"../../../../{name}": content for name, content in parts_of(to_zip("mnist-cnn")).items()}
    assert from_zip(packed(parts)) == "mnist-cnn-2"
    assert [path.name for path in user_models_folder().iterdir()] == ["mnist-cnn-2"]


def renamed(card: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(card), **changes}).encode()


@pytest.mark.parametrize("name", ["../../escape", "<img src=x>", "", "x" * 500, "CON", "."])
def test_an_imported_models_name_is_turned_into_a_valid_one(name: str) -> None:
    parts = parts_of(to_zip("mnist-cnn"))
    card = "mnist-cnn/" + CARD
    given = from_zip(packed({**parts, card: renamed(parts[card], name=name)}))
    assert find_model(given).parent == user_models_folder()
    assert set(given) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_model_with_files_dated_before_1980_can_be_exported() -> None:
    folder = user_models_folder() / "old"
    shutil.copytree(find_model("mnist-cnn"), folder)
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    assert set(parts_of(to_zip("old"))) == {f"old/{CARD}", f"old/{WEIGHTS}"}


def no_card(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in parts.items() if not name.endswith(CARD)}


def two_cards(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {**parts, "other/" + CARD: b"{}"}


def nonsense_for_a_card(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {**no_card(parts), CARD: b"{"}


def another_architecture(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {**no_card(parts), CARD: renamed(parts["mnist-cnn/" + CARD], architecture="quicknet")}


def a_pickle(parts: dict[str, bytes]) -> dict[str, bytes]:
    file = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, file)
    return {**parts, "mnist-cnn/" + WEIGHTS: file.getvalue()}


def numbers_of_a_kind_that_is_new(parts: dict[str, bytes]) -> dict[str, bytes]:
    header = json.dumps({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    return {**parts, "mnist-cnn/" + WEIGHTS: struct.pack("<Q", len(header)) + header + b"\0"}


def not_a_number(parts: dict[str, bytes]) -> dict[str, bytes]:
    tensors = load(parts["mnist-cnn/" + WEIGHTS])
    tensors["classifier.bias"][3] = torch.nan
    return {**parts, "mnist-cnn/" + WEIGHTS: save(tensors)}


def test_a_pen_network_is_exported_and_imported_with_its_model() -> None:
    back, original = load_model(find_model(from_zip(to_zip("ink-cnn")))), load_model(find_model("ink-cnn"))
    assert back.card.pen == original.card.pen is not None
    assert back.pen and original.pen
    way = torch.rand(3, POINTS, 3)
    with torch.inference_mode():
        assert torch.equal(back.pen(way), original.pen(way))


def without_its_pen(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in parts.items() if not name.endswith(PEN)}


def with_two_pens(parts: dict[str, bytes]) -> dict[str, bytes]:
    return {**parts, PEN: b""}


def with_a_pen_that_is_no_number(parts: dict[str, bytes]) -> dict[str, bytes]:
    tensors = load(parts["ink-cnn/" + PEN])
    tensors["classifier.bias"][3] = torch.nan
    return {**parts, "ink-cnn/" + PEN: save(tensors)}


def with_a_pen_that_is_too_strong(parts: dict[str, bytes]) -> dict[str, bytes]:
    tensors = load(parts["ink-cnn/" + PEN])
    tensors["features.0.shortcut.weight"] = torch.full_like(tensors["features.0.shortcut.weight"].float(), 3e38)
    tensors["features.0.shortcut.weight"][:, 0] *= -1
    return {**parts, "ink-cnn/" + PEN: save(tensors)}


def of_another_architecture(parts: dict[str, bytes]) -> dict[str, bytes]:
    other = parts_of(to_zip("mnist-cnn"))
    card = renamed(other["mnist-cnn/" + CARD], pen=json.loads(parts["ink-cnn/" + CARD])["pen"])
    return {**other, "mnist-cnn/" + CARD: card, PEN: parts["ink-cnn/" + PEN]}


def with_a_pen_that_says(**changes: object) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(parts: dict[str, bytes]) -> dict[str, bytes]:
        card = json.loads(parts["ink-cnn/" + CARD])
        return {**parts, "ink-cnn/" + CARD: renamed(json.dumps(card).encode(), pen=card["pen"] | changes)}

    return change


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_its_pen, "Its pen.safetensors is missing"),
        (with_two_pens, "must contain one pen.safetensors, but this one has 2"),
        (with_a_pen_that_is_no_number, "Its weights give answers that are not finite numbers"),
        (with_a_pen_that_is_too_strong, "Its weights give answers that are not finite numbers"),
        (of_another_architecture, "a pen network, but 'convnet' cannot be used with one"),
        (with_a_pen_that_says(refusal=2), "a refusal threshold that is not between 0 and 1"),
        (with_a_pen_that_says(temperature=1e9), "temperature is not between"),
    ],
)
def test_a_model_with_a_damaged_pen_network_is_not_imported(
    damage: Callable[[dict[str, bytes]], dict[str, bytes]], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        from_zip(packed(damage(parts_of(to_zip("ink-cnn")))))
    assert not user_models_folder().exists() or not list(user_models_folder().iterdir())


def claiming(**changes: object) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Give a model's card other values."""
    return lambda parts: {**no_card(parts), CARD: renamed(parts["mnist-cnn/" + CARD], **changes)}


def test_an_imported_models_parameters_are_counted_again() -> None:
    name = from_zip(packed(claiming(parameters=7)(parts_of(to_zip("mnist-cnn")))))
    assert load_model(find_model(name)).card.parameters == 72_666


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (no_card, "must contain one card.json, but this one has 0"),
        (two_cards, "must contain one card.json, but this one has 2"),
        (nonsense_for_a_card, "Its card.json is not a model card"),
        (another_architecture, "does not hold the weights of the architecture 'quicknet'"),
        (a_pickle, "Its model.safetensors is not a whole safetensors file"),
        (numbers_of_a_kind_that_is_new, "Its model.safetensors is not a whole safetensors file"),
        (not_a_number, "give answers that are not finite numbers"),
        (claiming(preprocessing=2), "learned from pictures that were prepared differently"),
        (claiming(metrics={"test": {"accuracy": 1.2}}), "not between 0 and 1"),
        (claiming(metrics={"test": {"accuracy": 0.9, "before the lesson": 1e300}}), "not between 0 and 1"),
        (claiming(refusal=-1), "not between 0 and 1"),
        (claiming(seconds=-1e300), "impossible training time"),
        (claiming(seconds=1e300), "impossible training time"),
        (claiming(temperature=1e-9), "temperature is not between"),
        (claiming(summary="\ud800"), "Its card.json is not a model card .*surrogates not allowed"),
        (claiming(summary="x" * 2**19), "Its card.json is not a model card .*too long"),
    ],
)
def test_an_archive_without_a_valid_model_is_refused_and_leaves_nothing(
    damage: Callable[[dict[str, bytes]], dict[str, bytes]], says: str
) -> None:
    with pytest.raises(ModelError, match=says) as refused:
        from_zip(packed(damage(parts_of(to_zip("mnist-cnn")))))
    assert "/tmp" not in str(refused.value)
    assert list(model_folders()) == ["ink-cnn", "ensemble", "mnist-cnn", "robust-cnn"]


def beyond_all_files(parts: dict[str, bytes]) -> bytes:
    """Return a ZIP whose entries begin at an offset beyond any possible file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name)
            entry.extra = struct.pack("<HHQ", 1, 8, 2**63)
            archive.writestr(entry, content)
    found = bytearray(file.getvalue())
    for at in (match.start() for match in re.finditer(b"PK\x01\x02", bytes(found))):
        found[at + 42 : at + 46] = b"\xff" * 4
    return bytes(found)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"no zip",
        packed({})[:10],
        packed({"é": b""}).replace("é".encode(), b"\xff\xff"),  # a name that is falsely marked as UTF-8
        packed({CARD: b"", WEIGHTS: b""})[:-6] + b"\xff\xff\0\0\0\0",  # entries before the file's beginning
        beyond_all_files({CARD: b"", WEIGHTS: b""}),
    ],
)
def test_a_file_that_is_not_a_readable_zip_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="not a ZIP file that can be read"):
        from_zip(content)


def test_an_archive_whose_card_unpacks_to_more_than_1_mb_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CARD, bytes(exchange.LARGEST_CARD + 1))
        archive.writestr(WEIGHTS, b"")
    with pytest.raises(ModelError, match=r"Its card\.json is larger than 1 MB"):
        from_zip(file.getvalue())


def test_a_compression_method_that_unpacks_without_limit_is_refused() -> None:
    file = io.BytesIO()
    parts = parts_of(to_zip("mnist-cnn"))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ModelError, match="uses a compression method that is not supported"):
        from_zip(file.getvalue())
