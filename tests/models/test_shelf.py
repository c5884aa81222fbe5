import shutil
import time
from pathlib import Path

import pytest

from mnist_app.models import shelf
from mnist_app.models.registry import (
    DEFAULT_MODEL,
    ModelError,
    find_model,
    free_name,
    model_folders,
    new_model_folder,
)
from mnist_app.models.shelf import (
    default_model,
    delete_model,
    label,
    make_default,
    read_shelf,
    restorable,
    restore_model,
)
from mnist_app.storage import SHIPPED_LAB, user_models_folder


@pytest.fixture(autouse=True)
def two_models(own_home: Path) -> None:
    """Users' models named one and two."""
    for name in ("one", "two"):
        shutil.copytree(find_model("mnist-cnn"), user_models_folder() / name)


def test_the_shipped_model_is_the_default_until_somebody_says_otherwise() -> None:
    assert default_model() == DEFAULT_MODEL
    make_default("one")
    assert default_model() == "one"


def test_earlier_defaults_are_remembered_and_can_be_chosen_again() -> None:
    make_default("one")
    make_default("two")
    assert read_shelf().earlier_defaults == ["one", DEFAULT_MODEL]
    make_default(DEFAULT_MODEL)
    assert default_model() == DEFAULT_MODEL
    assert read_shelf().earlier_defaults == ["two", "one"]


def test_a_model_that_cannot_answer_does_not_become_the_default() -> None:
    (find_model("one") / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        make_default("one")
    assert default_model() == DEFAULT_MODEL


def test_a_default_whose_folder_is_gone_gives_way_to_the_one_before() -> None:
    make_default("one")
    make_default("two")
    shutil.rmtree(find_model("two"))
    assert default_model() == "one"


def test_models_with_the_same_title_are_told_apart_by_their_names() -> None:
    label("one", "my net", "")
    delete_model("one")
    label("two", "my net", "")  # the title may be used again
    restore_model("one")
    shelf = read_shelf()
    assert [shelf.title(name) for name in ("one", "two")] == ["my net (one)", "my net (two)"]
    with pytest.raises(ModelError, match="Another model is called 'my net'"):
        label(DEFAULT_MODEL, "my net", "")
    label("two", "other", "")
    assert [read_shelf().title(name) for name in ("one", "two")] == ["my net", "other"]


def test_a_title_that_equals_a_later_models_name_is_told_apart_from_it() -> None:
    label("one", "three", "")
    shutil.copytree(find_model("two"), user_models_folder() / "three")
    shelf = read_shelf()
    assert [shelf.title(name) for name in ("one", "three")] == ["three (one)", "three"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"defaults": 3}', '{"defaults": [], "labels": [], "titles": 1}'])
def test_a_shelf_that_cannot_be_read_leaves_the_shipped_default(own_home: Path, content: str) -> None:
    make_default("one")
    (own_home / "shelf.json").write_text(content)
    assert default_model() == DEFAULT_MODEL
    make_default("two")
    assert default_model() == "two"
    (aside,) = own_home.glob("shelf.*.broken")
    assert aside.read_text() == content


def test_a_shipped_or_default_model_is_never_deleted() -> None:
    make_default("one")
    for name, reason in ((DEFAULT_MODEL, "came with the app"), ("one", "is the default model")):
        with pytest.raises(ModelError, match=reason):
            delete_model(name)
    assert {DEFAULT_MODEL, "one"} <= set(model_folders())


def test_a_lab_model_cannot_become_the_default_or_be_deleted(a_toy: Path) -> None:
    with pytest.raises(ModelError, match="'toy' is only a graph"):
        make_default("toy")
    with pytest.raises(ModelError, match="'toy' is a lab model and cannot be deleted"):
        delete_model("toy")
    assert a_toy.is_dir() and restorable() == [] and default_model() == DEFAULT_MODEL


def test_a_users_model_named_like_the_lab_folder_can_be_deleted(
    nothing_shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_shipped.mkdir()
    monkeypatch.setattr(shelf, "SHIPPED_WEIGHTS", nothing_shipped.parent)
    shutil.copytree(find_model("one"), user_models_folder() / nothing_shipped.name)
    delete_model(nothing_shipped.name)
    assert restorable() == [nothing_shipped.name]


def test_a_users_model_named_like_the_lab_folder_is_listed_and_keeps_its_name() -> None:
    shutil.copytree(find_model("one"), user_models_folder() / SHIPPED_LAB.name)
    assert model_folders()[SHIPPED_LAB.name] == find_model(SHIPPED_LAB.name) == user_models_folder() / SHIPPED_LAB.name
    make_default(SHIPPED_LAB.name)
    assert default_model() == SHIPPED_LAB.name
    assert free_name("Lab") == f"{SHIPPED_LAB.name}-2"
    with pytest.raises(ModelError, match=f"There is a model named '{SHIPPED_LAB.name}' already"):
        new_model_folder(SHIPPED_LAB.name)


def test_a_deletion_can_be_undone() -> None:
    before = {path.name: path.read_bytes() for path in find_model("one").iterdir()}
    delete_model("one")
    assert "one" not in model_folders()
    assert restorable() == ["one"]
    restore_model("one")
    assert {path.name: path.read_bytes() for path in find_model("one").iterdir()} == before
    assert restorable() == []


def test_a_deletion_is_not_undone_over_a_new_model_of_that_name() -> None:
    delete_model("one")
    shutil.copytree(find_model("two"), user_models_folder() / "one")
    with pytest.raises(ModelError, match="There is another model named 'one' now"):
        restore_model("one")


def test_a_deletion_is_final_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    delete_model("one")
    later = time.time() + shelf.KEPT_FOR + 1
    monkeypatch.setattr("time.time", lambda: later)
    with pytest.raises(ModelError, match="can no longer be restored"):
        restore_model("one")
    delete_model("two")
    assert [path.name for path in shelf._deleted_folder().iterdir()] == ["two"]


def test_a_new_model_inherits_nothing_from_a_deleted_one_but_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    make_default("one")
    make_default("two")
    label("one", "The best", "of all")
    delete_model("one")
    assert read_shelf().title("one") == "The best", "it can be restored as it was"
    later = time.time() + shelf.KEPT_FOR + 1
    monkeypatch.setattr("time.time", lambda: later)
    shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "one")
    for _ in range(2):
        known = read_shelf()
        assert (known.title("one"), known.labels, known.earlier_defaults) == ("one", {}, [DEFAULT_MODEL])
        make_default("two")  # any change removes the folder of the deleted one
    assert not list(shelf._deleted_folder().iterdir())
    label("one", "Another", "")
    assert read_shelf().title("one") == "Another"


@pytest.mark.parametrize("title", ["<b>bold</b>", "../../etc/passwd", "Ünïcode — 7", "a" * 60])
def test_a_title_may_be_any_text_and_renames_no_folder(title: str) -> None:
    label("one", title, "a note")
    assert read_shelf().title("one") == title
    assert set(model_folders()) >= {"one", "two"}


def test_titles_are_tidied_unique_and_limited_in_length() -> None:
    label("one", "  My\n model ", "")
    assert read_shelf().title("one") == "My model"
    for title in ("My model", "mnist-cnn"):
        with pytest.raises(ModelError, match="Another model is called"):
            label("two", title, "")
    with pytest.raises(ModelError, match="at most 60 characters"):
        label("two", "a" * 61, "")
    with pytest.raises(ModelError, match="at most 500 characters"):
        label("two", "", "a" * 501)
    label("one", "", "")
    assert read_shelf().title("one") == "one"
