import dataclasses
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mnist_app.data.dataset import Digits
from mnist_app.models.networks import build, logits_of
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import (
    CARD,
    CURVES,
    DEFAULT_MODEL,
    GRAPH,
    LARGEST_FILE,
    PEN,
    WEIGHTS,
    ModelCard,
    ModelError,
    PenCard,
    answering_file,
    find_model,
    free_name,
    lab_models,
    load_card,
    load_model,
    model_folders,
    new_model_folder,
    put_in_place,
    save_model,
)
from mnist_app.storage import SHIPPED_LAB, SHIPPED_WEIGHTS, lab_folder, user_models_folder
from mnist_app.training.train import TrainConfig, fresh_network

SHIPPED = sorted(path.name for path in SHIPPED_WEIGHTS.iterdir() if path.is_dir() and path != SHIPPED_LAB)


@pytest.fixture
def network() -> nn.Module:
    return fresh_network(TrainConfig(seed=3))


@pytest.fixture
def a_card() -> ModelCard:
    return ModelCard(
        name="mine",
        summary="A model for tests.",
        architecture="convnet",
        parameters=72_666,
        preprocessing=1,
        data="none",
        command="none",
        config={"epochs": 1, "augmentation": {"rotation": 0.5}},
        seconds=1.5,
        machine="this one",
        metrics={"validation": {"accuracy": 0.1}},
    )


@pytest.fixture
def pen() -> PenNet:
    torch.manual_seed(0)
    return PenNet().eval()


@pytest.fixture
def a_pen_card() -> PenCard:
    return PenCard(parameters=7, command="none", config={"epochs": 1}, seconds=2.5, machine="this one", temperature=0.5)


@pytest.fixture
def writing(pen: PenNet, a_card: ModelCard, a_pen_card: PenCard) -> Path:
    """The folder of a saved model with a pen network."""
    folder = new_model_folder("writing")
    card = dataclasses.replace(a_card, name="writing", architecture="handnet", pen=a_pen_card)
    save_model(folder, build("handnet"), card, pen)
    return folder


@pytest.fixture
def mine(network: nn.Module, a_card: ModelCard) -> Path:
    """The folder of a user's saved model."""
    folder = new_model_folder("mine")
    save_model(folder, network, a_card)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_comes_back_as_it_was_saved(
    mine: Path, network: nn.Module, a_card: ModelCard, tiny_digits: Digits
) -> None:
    model = load_model(find_model("mine"))
    assert model.card == a_card
    assert torch.equal(logits_of(model.network, tiny_digits.images), logits_of(network, tiny_digits.images))


def test_weights_that_fit_16_bits_are_stored_in_16_and_come_back_the_same(
    mine: Path, network: nn.Module, a_card: ModelCard, tiny_digits: Digits
) -> None:
    size = (mine / WEIGHTS).stat().st_size
    network.half().float()
    save_model(mine, network, a_card)
    assert (mine / WEIGHTS).stat().st_size < 0.6 * size
    model = load_model(mine)
    assert all(weights.dtype == torch.float32 for weights in model.network.parameters())
    assert torch.equal(logits_of(model.network, tiny_digits.images), logits_of(network, tiny_digits.images))


def test_weights_beyond_16_bits_are_kept_as_they_are(mine: Path, network: nn.Module, a_card: ModelCard) -> None:
    network.get_parameter("classifier.bias").data[:2] = torch.tensor([1e9, float("nan")])
    save_model(mine, network, a_card)
    bias = load_model(mine).network.get_parameter("classifier.bias")
    assert bias[0] == 1e9 and bias[1].isnan()


def test_saving_leaves_only_the_card_and_the_weights_behind(mine: Path) -> None:
    assert sorted(path.name for path in mine.iterdir()) == [CARD, WEIGHTS]
    assert [path.name for path in mine.parent.iterdir()] == ["mine"]


def test_a_saved_models_folder_has_ordinary_permissions(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "ordinary").mkdir()
    assert mine.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_saving_again_replaces_the_model(mine: Path, a_card: ModelCard) -> None:
    other = fresh_network(TrainConfig(seed=4))
    save_model(mine, other, dataclasses.replace(a_card, summary="Another."))
    assert load_card(mine).summary == "Another."
    assert [path.name for path in mine.parent.iterdir()] == ["mine"]


def test_a_failure_while_writing_leaves_the_old_model(
    mine: Path, network: nn.Module, a_card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(mine)
    monkeypatch.setattr("mnist_app.models.registry.asdict", lambda _: pytest.fail("halfway"))
    with pytest.raises(pytest.fail.Exception):
        save_model(mine, network, a_card)
    assert content(mine) == before
    assert [path.name for path in mine.parent.iterdir()] == ["mine"]


def test_a_failure_at_the_last_step_leaves_the_old_model(
    mine: Path, network: nn.Module, a_card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace = content(mine), os.replace

    def replace_or_fail(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_or_fail)
    with pytest.raises(ModelError, match="could not be written: No space left on device"):
        save_model(mine, network, dataclasses.replace(a_card, summary="Another."))
    assert content(mine) == before
    assert [path.name for path in mine.parent.iterdir()] == ["mine"]


def test_saving_never_replaces_a_file_or_folder_that_is_not_a_model(
    tmp_path: Path, network: nn.Module, a_card: ModelCard
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for precious in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ModelError, match="exists already and is not a model"):
            save_model(precious, network, a_card)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


TWO_WEEKS_AGO = time.time() - 14 * 24 * 3600


@pytest.fixture
def a_workshop(mine: Path) -> Path:
    """A folder that a killed training left beside a model two weeks ago."""
    workshop = mine.parent / ".other.1a2b3c4d"
    (workshop / "new").mkdir(parents=True)
    (workshop / "new" / WEIGHTS).write_bytes(b"half")
    os.utime(workshop, (TWO_WEEKS_AGO, TWO_WEEKS_AGO))
    return workshop


def put_another(mine: Path) -> None:
    shutil.copytree(mine, mine.parents[1] / "elsewhere" / "other")
    assert put_in_place(mine.parents[1] / "elsewhere" / "other") == "other"


@pytest.mark.usefixtures("a_workshop")
def test_old_leftovers_of_a_killed_training_are_removed_with_the_next_model(mine: Path) -> None:
    put_another(mine)
    assert {path.name for path in mine.parent.iterdir()} == {"mine", "other"}


def whole(workshop: Path) -> None:
    (workshop / "new" / CARD).write_text("{}")


def with_a_thesis(workshop: Path) -> None:
    (workshop / "new" / "thesis.txt").write_text("years of work")


def recent(workshop: Path) -> None:
    os.utime(workshop)


def called_otherwise(workshop: Path) -> None:
    workshop.rename(workshop.with_name(".config"))


@pytest.mark.parametrize("kept", [whole, with_a_thesis, recent, called_otherwise])
def test_leftovers_that_may_be_a_model_someones_work_or_in_use_are_kept(
    mine: Path, a_workshop: Path, kept: Callable[[Path], None]
) -> None:
    kept(a_workshop)
    if kept in (whole, with_a_thesis):
        os.utime(a_workshop, (TWO_WEEKS_AGO, TWO_WEEKS_AGO))
    put_another(mine)
    assert len(list(mine.parent.iterdir())) == 3


def test_an_unknown_name_is_refused_naming_the_available_models(mine: Path) -> None:
    with pytest.raises(
        ModelError, match=r"No model named 'mnist-cnn-3'\. Available: 'ink-cnn', 'ensemble', 'mnist-cnn', .*'mine'\."
    ):
        find_model("mnist-cnn-3")


def no_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def truncated_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


def other_weights(folder: Path) -> None:
    save_file({"theirs": torch.zeros(3)}, folder / WEIGHTS)


def weights_of_another_shape(folder: Path) -> None:
    tensors = {name: tensor.repeat(2) for name, tensor in build("convnet").state_dict().items() if tensor.dim() == 1}
    save_file(build("convnet").state_dict() | tensors, folder / WEIGHTS)


def weights_of_another_kind(kind: torch.dtype) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = build("convnet").state_dict()
        save_file(tensors | {"classifier.bias": tensors["classifier.bias"].to(kind)}, folder / WEIGHTS)

    return change


def a_pickle(folder: Path) -> None:
    torch.save({"a": torch.zeros(3)}, folder / WEIGHTS)


def weights_too_large(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, LARGEST_FILE + 1)  # a sparse file takes no space on the disk


def a_folder_for_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


def no_card(folder: Path) -> None:
    (folder / CARD).unlink()


def card_that_says(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        card = json.loads((folder / CARD).read_text())
        (folder / CARD).write_text(json.dumps(card | changes))

    return change


def card_made_of(text: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / CARD).write_bytes(text)

    return change


@pytest.mark.parametrize(
    ("damage", "file", "says"),
    [
        (no_weights, WEIGHTS, "is missing: there is a card, but not its weights"),
        (truncated_weights, WEIGHTS, "is not a whole safetensors file"),
        (a_pickle, WEIGHTS, "is not a whole safetensors file"),
        (other_weights, WEIGHTS, "does not hold the weights of the architecture 'convnet'"),
        (weights_of_another_shape, WEIGHTS, "does not hold the weights of the architecture 'convnet'"),
        (
            weights_of_another_kind(torch.complex64),
            WEIGHTS,
            "holds 'classifier.bias' as complex64, but .* needs float32",
        ),
        (
            weights_of_another_kind(torch.bool),
            WEIGHTS,
            "holds 'classifier.bias' as bool, but the network needs float32",
        ),
        (weights_of_another_kind(torch.int32), WEIGHTS, "holds 'classifier.bias' as int32, but .* needs float32"),
        (weights_too_large, WEIGHTS, "is larger than 64 MB"),
        (a_folder_for_weights, WEIGHTS, "cannot be read: Is a directory"),
        (no_card, CARD, "is missing, so 'mine' is not a model"),
        (card_made_of(b""), CARD, "is not a model card"),
        (card_made_of(b"{"), CARD, "is not a model card"),
        (card_made_of(b"\xff\xfe"), CARD, "is not a model card"),
        (card_made_of(b"[1]"), CARD, "is not a model card .it is not an object"),
        (card_made_of(b"{}"), CARD, "is not a model card .it lacks name, summary, architecture"),
        (
            card_that_says(colour="red"),
            CARD,
            "is not a model card .it has a field 'colour', which this version does not",
        ),
        (card_that_says(**{"\ud800" * 1000: 1}), CARD, r"is not a model card.{1,80}(\\ud800){5,200}"),
        (card_that_says(architecture="transformer"), CARD, "the architecture 'transformer', which this version does"),
        (card_that_says(architecture=["convnet"]), CARD, "'architecture' must be a string"),
        (card_that_says(config=[]), CARD, "'config' must be an object"),
        (card_that_says(metrics="x"), CARD, "'metrics' must be numbers by split"),
        (card_that_says(metrics={"test": {"loss": 1}}), CARD, "'metrics' must be numbers by split, each .* accuracy"),
        (card_that_says(metrics={"test": {"accuracy": True}}), CARD, "'metrics' must be numbers"),
        (
            card_that_says(curves=[{"passes": 1}]),
            CARD,
            "'curves' must be a list of reports with the numbers passes, train",
        ),
        (card_that_says(seconds=None), CARD, "'seconds' must be a finite number"),
        (card_that_says(seconds=10**400), CARD, "'seconds' must be a finite number"),
        (card_that_says(temperature=True), CARD, "'temperature' must be a finite number"),
        (card_that_says(preprocessing=True), CARD, "'preprocessing' must be a finite number"),
        (card_that_says(summary="\ud800"), CARD, "surrogates not allowed"),
        (card_that_says(parent="\ud800"), CARD, "surrogates not allowed"),
        (card_that_says(metrics={"\ud800": {"accuracy": 1}}), CARD, "surrogates not allowed"),
        (card_that_says(metrics={"test": {"accuracy": 1, "\ud800": 1}}), CARD, "surrogates not allowed"),
        (card_that_says(config={"seed": [{"\ud800": 1}]}), CARD, "surrogates not allowed"),
        (card_that_says(config={"seed": ["\ud800"]}), CARD, "surrogates not allowed"),
        (card_that_says(parent=["mnist-cnn"]), CARD, "the parent is not a name"),
        (card_that_says(config={"ink": 5}), CARD, "the config's ink has another type"),
        (card_that_says(config={"ink": 0}), CARD, "the config's ink has another type"),
        (card_that_says(config={"ink": {"without": 5}}), CARD, "the config's ink has another type"),
        (card_that_says(config={"ink": {"without": [5]}}), CARD, "the config's ink has another type"),
        (card_that_says(machine="x" * 4_001), CARD, "a text or the config is too long"),
        (card_that_says(config={"seed": "x" * 20_000}), CARD, "a text or the config is too long"),
        (card_that_says(metrics={"x" * 101: {"accuracy": 1}}), CARD, "has too long a name"),
        (card_that_says(metrics={f"{split}": {"accuracy": 1} for split in range(41)}), CARD, "more figures than"),
        (card_that_says(curves=[dict.fromkeys(CURVES, 1)] * 20_001), CARD, "more figures than"),
    ],
)
def test_a_damaged_model_is_refused_naming_the_file_at_fault(
    mine: Path, damage: Callable[[Path], None], file: str, says: str
) -> None:
    damage(mine)
    with pytest.raises(ModelError, match=f"mine/{file} .*{says}|mine/{file} {says}"):
        load_model(mine)


def test_a_pen_network_comes_back_as_it_was_saved(writing: Path, pen: PenNet, a_pen_card: PenCard) -> None:
    model = load_model(writing)
    assert model.pen and model.card.pen == a_pen_card
    assert all(torch.equal(one, other) for one, other in zip(model.pen.parameters(), pen.parameters(), strict=True))


def test_saving_a_model_without_its_pen_network_removes_the_old_pen_file(
    writing: Path, network: nn.Module, a_card: ModelCard
) -> None:
    save_model(writing, network, a_card)
    assert sorted(content(writing)) == [CARD, WEIGHTS]
    assert load_model(writing).pen is None


def pen_that_says(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        card = json.loads((folder / CARD).read_text())
        (folder / CARD).write_text(json.dumps(card | {"pen": card["pen"] | changes}))

    return change


def no_pen(folder: Path) -> None:
    (folder / PEN).unlink()


def truncated_pen(folder: Path) -> None:
    (folder / PEN).write_bytes((folder / PEN).read_bytes()[:-1])


def another_pen(folder: Path) -> None:
    (folder / PEN).write_bytes((folder / WEIGHTS).read_bytes())


@pytest.mark.parametrize(
    ("damage", "file", "says"),
    [
        (no_pen, PEN, "is missing: there is a card, but not its weights"),
        (truncated_pen, PEN, "is not a whole safetensors file"),
        (another_pen, PEN, "does not hold the weights of a pen network"),
        (pen_that_says(colour="red"), CARD, "is not a model card .its pen has a field 'colour'"),
        (pen_that_says(temperature=0), CARD, "the temperature must be above 0"),
        (pen_that_says(temperature="1"), CARD, "'temperature' must be a finite number"),
        (pen_that_says(command=7), CARD, "'command' must be a string"),
        (pen_that_says(config=7), CARD, "'config' must be an object"),
        (pen_that_says(command="x" * 4_001), CARD, "too long"),
        (card_that_says(pen={}), CARD, "its pen lacks parameters, command, config, seconds, machine"),
        (card_that_says(pen=7), CARD, "its pen is not an object"),
        (card_that_says(architecture="convnet"), CARD, "a pen network, but 'convnet' cannot be used with one"),
        (card_that_says(pen=[]), CARD, "is not a model card"),
    ],
)
def test_a_damaged_pen_network_is_refused_naming_the_file_at_fault(
    writing: Path, damage: Callable[[Path], None], file: str, says: str
) -> None:
    damage(writing)
    with pytest.raises(ModelError, match=f"writing/{file} .*{says}|writing/{file} {says}"):
        load_model(writing)


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "", "a" * 65, ".hidden", "-x", "a b", "ü", "..", "x\n"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="up to 64 characters a-z, 0-9"):
        new_model_folder(name)


def test_a_name_that_is_taken_is_refused(mine: Path) -> None:
    for taken in ("mine", *SHIPPED):
        with pytest.raises(ModelError, match=f"There is a model named '{taken}' already"):
            new_model_folder(taken)


def test_a_valid_name_gives_a_folder_among_the_users_models() -> None:
    assert new_model_folder("a" * 64) == user_models_folder() / ("a" * 64)


def test_the_users_models_come_after_the_shipped_ones(mine: Path) -> None:
    shutil.copytree(mine, mine.parent / "another")
    (mine.parent / ".half-written").mkdir()
    (mine.parent / "a-file").touch()
    others = [name for name in SHIPPED if name != DEFAULT_MODEL]
    assert list(model_folders()) == [DEFAULT_MODEL, *others, "another", "mine"]


def test_a_users_model_cannot_take_the_place_of_a_shipped_one(mine: Path) -> None:
    mine.rename(mine.with_name("mnist-cnn"))
    assert find_model("mnist-cnn") == SHIPPED_WEIGHTS / "mnist-cnn"


def test_the_shipped_weights_folder_is_small() -> None:
    sizes = {path: path.stat().st_size for path in SHIPPED_WEIGHTS.rglob("*") if path.is_file()}
    assert sizes[SHIPPED_WEIGHTS / DEFAULT_MODEL / WEIGHTS] < 1_000_000
    assert max(sizes.values()) < 2_000_000 and sum(sizes.values()) < 12_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_card_is_complete(name: str) -> None:
    card = load_card(SHIPPED_WEIGHTS / name)
    assert card.name == name
    assert card.parameters == sum(weights.numel() for weights in load_model(find_model(name)).network.parameters())
    assert all(0.9 < card.metrics[split]["accuracy"] < 1 for split in ("validation", "test"))
    assert re.match(r"python -m mnist_app (train|combine) ", card.command)
    assert "MNIST" in card.data and "CC BY-SA 3.0" in card.data
    # Fields that were added later have their defaults. A combined model has its members' commands.
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    assert set(card.config) <= known or all("mnist_app train " in each for each in card.config["members"])
    assert card.summary and card.machine and card.seconds > 0


def test_mnist_cnn_reads_as_well_as_its_card_says(
    validation: Digits, said_of_validation: Callable[[str], np.ndarray]
) -> None:
    read = said_of_validation("mnist-cnn").argmax(axis=1)
    card = load_card(find_model("mnist-cnn"))
    assert float(np.mean(read == validation.labels)) == pytest.approx(card.metrics["validation"]["accuracy"], abs=3e-4)


# The lab's models


def test_a_lab_model_is_found_by_name_but_not_listed_with_the_other_models(a_toy: Path) -> None:
    assert find_model("toy") == a_toy == lab_models()["toy"]
    assert answering_file(a_toy) == a_toy / GRAPH
    assert "toy" not in model_folders()


def test_lab_models_of_this_machine_take_precedence_over_shipped_ones(a_toy: Path, nothing_shipped: Path) -> None:
    shutil.copytree(a_toy, nothing_shipped / "toy")
    shutil.copytree(a_toy, nothing_shipped / "robot")
    assert lab_models() == {"toy": a_toy, "robot": nothing_shipped / "robot"}
    shutil.rmtree(a_toy)
    assert find_model("toy") == lab_models()["toy"] == nothing_shipped / "toy"


def test_lab_figures_without_a_graph_do_not_count_as_a_model(a_toy: Path, nothing_shipped: Path) -> None:
    (a_toy / GRAPH).unlink()
    assert lab_models() == {}
    with pytest.raises(ModelError, match="No model named 'toy'"):
        find_model("toy")


def test_the_shipped_lab_folder_does_not_count_as_a_model(
    nothing_shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_shipped.mkdir()
    monkeypatch.setattr("mnist_app.models.registry.SHIPPED_WEIGHTS", tmp_path)
    assert "shipped" not in model_folders()
    with pytest.raises(ModelError, match="No model named 'shipped'"):
        find_model("shipped")


def test_a_new_model_cannot_take_a_lab_models_name(a_toy: Path) -> None:
    with pytest.raises(ModelError, match="There is a model named 'toy' already"):
        new_model_folder("toy")
    assert free_name("Toy") == "toy-2"


def test_a_users_model_keeps_its_name_when_a_lab_model_has_the_same(mine: Path, a_toy: Path) -> None:
    shutil.copytree(a_toy, lab_folder() / "mine")
    assert find_model("mine") == mine and "mine" not in lab_models()


def test_a_model_that_is_only_a_graph_cannot_be_loaded_as_a_network(a_toy: Path) -> None:
    with pytest.raises(ModelError, match="'toy' is only a graph: it answers, but cannot be taught, exported or made"):
        load_model(a_toy)
