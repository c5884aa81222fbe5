"""The page "Break it on purpose", by keyboard and on a phone."""

import re

from playwright.sync_api import Page, expect

from .visitor import Visitor


def test_a_digit_is_rotated_and_attacked_by_keyboard_alone(visitor: Visitor) -> None:
    page, keys = visitor.page, visitor.page.keyboard
    page.get_by_role("link", name="Break it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Break it on purpose")
    visitor.settle()
    slider = page.get_by_role("slider", name="Rotation")
    slider.focus()
    label, read = page.locator(".curves .label-at"), page.locator(".curves .read-at").first
    expect(label).to_have_text("Rotation: 0°")
    before = read.inner_text()
    keys.press("ArrowRight")
    expect(label).to_have_text("Rotation: 4.5°")
    keys.press("End")
    expect(label).to_have_text("Rotation: 90°")
    assert read.inner_text() != before
    page.get_by_role("radio", name="Distort it").focus()
    keys.press("ArrowRight")
    keys.press("Space")
    sentence = page.locator("p.sentence").first
    expect(sentence).to_contain_text(re.compile(r"with no pixel changed by more than 24 of 255 levels it .*reads"))
    visitor.settle()
    page.get_by_role("slider", name="Levels").focus()
    keys.press("Home")
    expect(sentence).to_contain_text("by more than 0 of 255 levels it still reads")
    visitor.settle()
    visitor.visit("Data")
    page.get_by_role("link", name="Break it").click()
    expect(sentence).to_contain_text("by more than 0 of 255 levels it still reads")
    assert visitor.errors == []


def test_a_phone_needs_no_sideways_scrolling(phone: Page, address: str) -> None:
    visitor = Visitor(phone)
    phone.goto(f"{address}/break")
    phone.locator(".curves .label-at").wait_for()
    visitor.settle()
    assert visitor.width() <= 390
    curves = phone.locator(".curves").bounding_box()
    assert curves and curves["x"] >= 0 and curves["x"] + curves["width"] <= 390
    assert visitor.errors == []
