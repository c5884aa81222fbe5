"""Corrections and lessons, by pupils and their teacher, with mouse, finger and keyboard."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from mnist_app.data.corrections import keep
from mnist_app.data.inkfiles import parse_line
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import find_model, load_card
from mnist_app.models.shelf import make_default

from ..conftest import SEVEN, TWO, full_mnist
from ..processes import until
from .conftest import serve
from .visitor import Visitor

PATIENCE = 240_000  # ms: a lesson beside other tests on two cores
SECRET = "open sesame"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The address of an app that only a teacher may change."""
    yield from serve(tmp_path, MNIST_APP_TEACHER_PASSWORD=SECRET)


def visitor_of(chromium: Browser, address: str) -> Visitor:
    return Visitor(chromium.new_context(viewport={"width": 1280, "height": 1600}).new_page()).open(address)


def sign_in(page: Page, password: str) -> None:
    page.get_by_role("button", name="I am the teacher").click()
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def say(visitor: Visitor, digit: int) -> None:
    visitor.page.locator(f".that-was [data-pick='{digit}']").click()
    expect(visitor.page.get_by_text(f"Kept: that was a {digit}.")).to_be_visible()


def is_told(page: Page, target: Locator, why: str) -> bool:
    """Whether a tooltip appears. Cards still grow after their run, and may move away from under the mouse."""
    page.mouse.move(0, 0)
    target.hover()
    page.wait_for_timeout(1000)
    return page.get_by_text(why).is_visible()


def test_a_pupil_corrects_and_the_teacher_teaches(
    chromium: Browser, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_mnist()
    monkeypatch.setenv("MNIST_APP_HOME", str(tmp_path))
    make_default("mnist-cnn")  # learns sooner than one with a pen network
    tested = load_card(find_model("mnist-cnn")).metrics["test"]
    pupil, other = visitor_of(chromium, guarded), visitor_of(chromium, guarded)
    expect(pupil.page.locator(".that-was")).to_have_count(0)
    pupil.draw(SEVEN)
    pupil.settle()
    say(pupil, 4)
    # The drawing and its correction are still there after a visit to another page.
    pupil.page.get_by_role("link", name="Teach").click()
    expect(pupil.page.locator(".tile")).to_have_count(1)
    expect(pupil.page.get_by_role("button", name="Teach it")).to_be_disabled()
    pupil.page.get_by_role("link", name="Draw").click()
    expect(pupil.page.get_by_text("Kept: that was a 4.")).to_be_visible()
    # And after a reload by the same pupil.
    pupil.page.reload()
    pupil.wait_for_pad()
    expect(pupil.page.get_by_text("Kept: that was a 4.")).to_be_visible()
    pupil.settle()
    pupil.page.get_by_role("link", name="Teach").click()
    expect(pupil.page.locator(".tile")).to_have_count(1)
    pupil.page.reload()
    expect(pupil.page.locator(".tile")).to_have_count(1)
    pupil.page.get_by_role("link", name="Draw").click()
    expect(pupil.page.get_by_text("Kept: that was a 4.")).to_be_visible()
    # Another pupil does not see it and cannot sign in with a guessed password.
    page = other.page
    page.get_by_role("link", name="Teach").click()
    expect(page.get_by_text("You have not corrected anything yet.")).to_be_visible()
    sign_in(page, "guessed")
    expect(page.get_by_text("That is not the teacher's password.")).to_be_visible()
    # The teacher sees it, exports it and teaches it.
    page.get_by_role("button", name="I am the teacher").press("Escape")
    page.reload()
    sign_in(page, SECRET)
    expect(page.get_by_text("You are the teacher")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(1)
    lines = other.download(page.get_by_role("button", name="Export")).path().read_bytes().splitlines()
    record = parse_line(lines[0])
    assert (len(lines), record.label, json.loads(lines[0])["read"]) == (1, 4, "7")
    assert isinstance(record.drawing, Drawing)
    page.locator(".st-key-teach_start button").click()
    account = page.locator(".st-key-teach_account")
    account.wait_for(timeout=PATIENCE)
    expect(account).to_contain_text(f"test digits read right (before: {tested['accuracy']:.2%})")
    expect(account.get_by_role("button", name="Use for me")).to_be_enabled()
    page.locator(".st-key-teach_use button").click()
    expect(page.get_by_text("A copy of mnist-cnn-taught, the model you use")).to_be_visible()
    # An error is shown and stays, although the panel is rebuilt every second.
    (tmp_path / "models" / "mnist-cnn-taught" / "model.safetensors").write_bytes(b"")
    page.locator(".st-key-teach_default button").click()
    notice = page.get_by_text("model.safetensors")
    expect(notice).to_be_visible()
    page.wait_for_timeout(2_500)
    expect(notice).to_be_visible()
    # None of this has affected the pupil.
    pupil.page.reload()
    pupil.wait_for_pad()
    pupil.settle()  # the drawing is back: the page's own requests must not overtake the press
    pupil.page.get_by_role("link", name="Models").click()
    expect(pupil.page.get_by_text("Everybody starts with mnist-cnn.")).to_be_visible()
    pupil.settle()
    choice = pupil.page.locator(".st-key-default_mnist-cnn-taught")
    expect(choice.get_by_role("button")).to_be_disabled()
    until(lambda: is_told(pupil.page, choice.get_by_test_id("stTooltipHoverTarget"), "Only a teacher may do that"))
    assert pupil.errors == other.errors == []


def test_drawings_are_selected_and_deselected_one_by_one(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_APP_HOME", str(tmp_path))
    for label in (1, 2, 3):
        keep(Drawing.from_points(SEVEN), label, "7", "ink-cnn", "anna")
    server = serve(tmp_path)
    page = visitor_of(chromium, next(server)).page
    page.get_by_role("link", name="Teach").click()
    tiles, delete = page.locator(".st-key-teach_gallery [data-pick]"), page.locator(".st-key-teach_delete button")
    for pressed, chosen in ((0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (0, [1, 2]), (2, [1])):
        tiles.nth(pressed).click()
        expect(delete).to_contain_text(f"Delete {len(chosen)} chosen")
        for at in range(3):
            expect(tiles.nth(at)).to_have_attribute("aria-pressed", str(at in chosen).lower())
    delete.click()
    expect(tiles).to_have_count(2)
    page.close()
    assert next(server, None) is None


def test_a_correction_can_be_made_and_undone_by_keyboard(visitor: Visitor) -> None:
    visitor.draw(TWO)
    visitor.settle()
    digits = visitor.page.locator(".that-was button")
    digits.first.focus()
    for _ in range(3):
        visitor.page.keyboard.press("ArrowRight")
    expect(digits.nth(3)).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_text("Kept: that was a 3.")).to_be_visible()
    expect(digits.nth(3)).to_have_attribute("aria-pressed", "true")
    visitor.page.locator(".st-key-that_was_undo button").press("Enter")
    expect(visitor.page.get_by_text("Kept: that was a 3.")).to_have_count(0)
    assert visitor.errors == []


def test_on_a_phone_correction_buttons_lie_below_the_answer_and_fit_a_finger(phone_visitor: Visitor) -> None:
    phone_visitor.touch(SEVEN)
    phone_visitor.settle()
    answer, first, last = (
        phone_visitor.page.locator(place).bounding_box()
        for place in (".answer", ".that-was button >> nth=0", ".that-was button >> nth=9")
    )
    assert answer and first and last
    assert first["y"] >= answer["y"] + answer["height"]
    assert first["width"] >= 30 and first["height"] >= 34 and last["x"] + last["width"] <= 390
    phone_visitor.page.locator(".that-was button >> nth=4").tap()
    expect(phone_visitor.page.get_by_text("Kept: that was a 4.")).to_be_visible()
