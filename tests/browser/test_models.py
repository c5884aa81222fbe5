"""The Models page in a browser: names, the default, comparing, deleting, export and import."""

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from mnist_app.models.registry import find_model

from ..conftest import SEVEN
from .conftest import serve
from .visitor import Visitor

# A title and a note in which Markdown finds something to format even if special characters are escaped.
TITLE = "www.a.example :smile: <b>1</b> -> e@f.example http://g.h"
NOTE = "- one\n1. two\nhead\n---\n*b* www.a.example"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a user's model called mine."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(find_model("mnist-cnn"), home / "models" / "mine")
    return home


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[str]:
    """The address of an app with only the sample, which is read quickly."""
    yield from serve(home, MNIST_APP_DATA="")


@pytest.fixture
def keeper(chromium: Browser, app: str) -> Iterator[Visitor]:
    """A visitor at the app's own machine who has opened the Models page."""
    # So tall that nothing scrolls: scrolling closes an open list.
    visitor = Visitor(chromium.new_context(viewport={"width": 1280, "height": 4500}).new_page())
    visitor.page.goto(f"{app}/models")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Models")
    visitor.settle()
    yield visitor
    assert visitor.errors == []
    visitor.page.context.close()


def model(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-model_{name}")


def press(visitor: Visitor, key: str) -> None:
    visitor.page.locator(f".st-key-{key} button").click()
    visitor.settle()


def relabel(visitor: Visitor, name: str, title: str, note: str) -> None:
    page = visitor.page
    page.locator(f".st-key-edit_{name} button").first.click()
    page.locator(f".st-key-title_{name} input").fill(title)
    page.locator(f".st-key-note_{name} textarea").fill(note)
    page.get_by_role("button", name="Keep").click()
    visitor.settle()
    page.keyboard.press("Escape")


def exported(visitor: Visitor, name: str, kind: str) -> bytes:
    """Export a model as a ``zip`` or ``onnx`` file and return the download."""
    visitor.page.locator(f".st-key-export_{name} button").first.click()
    download = visitor.download(visitor.page.locator(f".st-key-{kind}_{name} button"))
    visitor.page.keyboard.press("Escape")
    assert download.suggested_filename == f"{name}.{kind}"
    return download.path().read_bytes()


def compare(visitor: Visitor, *names: str) -> Locator:
    """Choose models to compare; return the names above their figures."""
    for name in names:
        visitor.page.locator(".st-key-compared input").fill(name)
        visitor.page.get_by_role("option", name=name, exact=True).click()
        visitor.settle()
    visitor.page.keyboard.press("Escape")
    compared = visitor.page.locator("table.compared").first.locator("thead th")
    expect(compared).to_have_text([*names])
    return compared


def test_a_title_and_a_note_are_shown_exactly_as_written(keeper: Visitor) -> None:
    relabel(keeper, "mine", TITLE, NOTE)
    mine = model(keeper.page, "mine")
    expect(mine.get_by_role("heading")).to_have_text(TITLE)
    assert mine.get_by_test_id("stText").inner_text() == NOTE
    assert mine.locator("a, li, b, em, h1, h2, hr, img, code:not(pre code)").count() == 0
    press(keeper, "default_mine")
    words = keeper.page.get_by_text("Everybody starts with")
    expect(words).to_have_text(f"Everybody starts with {TITLE}. You use ink-cnn.")
    assert words.locator("a, img").count() == 0
    keeper.page.get_by_role("button", name="Go back to an earlier default").click()
    press(keeper, "back_ink-cnn")
    relabel(keeper, "mine", "", "")
    expect(mine.get_by_role("heading")).to_have_text("mine")


def test_a_model_can_be_chosen_and_made_the_default_and_both_undone(keeper: Visitor) -> None:
    words = keeper.page.get_by_text("Everybody starts with")
    press(keeper, "use_mine")
    expect(words).to_have_text("Everybody starts with ink-cnn. You use mine.")
    press(keeper, "default_mine")
    expect(words).to_have_text("Everybody starts with mine.")
    keeper.page.get_by_role("button", name="Go back to an earlier default").click()
    press(keeper, "back_ink-cnn")
    expect(words).to_have_text("Everybody starts with ink-cnn. You use mine.")
    press(keeper, "back_to_default")
    expect(words).to_have_text("Everybody starts with ink-cnn.")


def test_models_are_compared(keeper: Visitor) -> None:
    page = keeper.page
    compare(keeper, "ink-cnn", "mnist-cnn", "robust-cnn")
    expect(page.get_by_text("For mnist-cnn no curves were kept.")).to_be_visible()
    expect(page.locator("figure.training-curve:visible")).to_have_text(
        [re.compile("Read right"), re.compile("Loss, nats")]
    )
    expect(page.get_by_role("heading", level=3, name="ink-cnn and mnist-cnn on the validation digits")).to_be_visible()
    expect(page.locator("img.parted")).to_have_count(2)
    before = page.locator("img.parted").first.get_attribute("alt")
    page.locator(".st-key-parted").get_by_role("combobox").click()
    page.get_by_role("option", name="mnist-cnn and robust-cnn").click()
    keeper.settle()
    expect(
        page.get_by_role("heading", level=3, name="mnist-cnn and robust-cnn on the validation digits")
    ).to_be_visible()
    assert page.locator("img.parted").first.get_attribute("alt") != before
    expect(page.locator("table.confusion.still")).to_have_count(1)
    # The comparison is still there after a visit to the Draw page.
    keeper.visit("Draw")
    keeper.wait_for_pad()
    keeper.draw([*SEVEN, [[320, 60], [320, 300]]])
    keeper.settle()
    keeper.visit("Models")
    expect(
        page.get_by_role("heading", level=3, name="mnist-cnn and robust-cnn on the validation digits")
    ).to_be_visible()
    expect(page.get_by_text("There is a number on the pad. Only its first digit is read here.")).to_be_visible()
    read = page.locator("table.compared").nth(1).get_by_role("row", name="reads your drawing as")
    expect(read.get_by_role("cell")).to_have_text(["7", "7", "7"])


def test_a_deleted_model_drops_out_of_the_comparison(keeper: Visitor) -> None:
    compared = compare(keeper, "mine", "ink-cnn", "mnist-cnn")
    press(keeper, "delete_mine")
    keeper.visit("Data")
    keeper.visit("Models")
    expect(compared).to_have_text(["ink-cnn", "mnist-cnn"])
    expect(keeper.page.get_by_test_id("stException")).to_have_count(0)
    press(keeper, "undo_mine")


def test_a_deletion_can_be_undone(keeper: Visitor, home: Path) -> None:
    press(keeper, "delete_mine")
    expect(model(keeper.page, "mine")).to_have_count(0)
    expect(keeper.page.get_by_text("mine was deleted.")).to_be_visible()
    assert not (home / "models" / "mine").exists()
    press(keeper, "undo_mine")
    expect(model(keeper.page, "mine")).to_be_visible()
    expect(keeper.page.get_by_text("was deleted.")).to_have_count(0)


def test_an_exported_model_can_be_imported_again(keeper: Visitor, home: Path) -> None:
    page = keeper.page
    graph = onnxruntime.InferenceSession(exported(keeper, "mine", "onnx"), providers=["CPUExecutionProvider"])
    assert graph.run(None, {"pictures": np.zeros((1, 1, 28, 28), np.float32)})[0].shape[0] == 1
    content = exported(keeper, "mine", "zip")
    assert sorted(zipfile.ZipFile(io.BytesIO(content)).namelist()) == ["mine/card.json", "mine/model.safetensors"]
    page.get_by_text("Import a model").click()
    page.locator(".st-key-import input[type=file]").set_input_files(
        {"name": "mine.zip", "mimeType": "application/zip", "buffer": content}
    )
    expect(page.locator(".st-key-import")).to_contain_text("mine.zip")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text(re.compile(r"Imported as mnist-cnn-2\."))).to_be_visible()
    expect(model(page, "mnist-cnn-2").get_by_role("heading")).to_have_text("mnist-cnn-2")
    weights = [(home / "models" / name / "model.safetensors").read_bytes() for name in ("mine", "mnist-cnn-2")]
    assert weights[0] == weights[1]
    press(keeper, "delete_mnist-cnn-2")
    expect(model(page, "mnist-cnn-2")).to_have_count(0)
