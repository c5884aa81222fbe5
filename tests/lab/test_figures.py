"""Figures are saved, loaded, shown and shipped; unreadable ones are skipped."""

import errno
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from mnist_app.errors import AppError
from mnist_app.lab.contender import NETWORK, Contender, Expected
from mnist_app.lab.figures import (
    FIGURES,
    PROBLEM,
    SHIPPED_UP_TO,
    Figures,
    is_up_to_date,
    missing,
    problem_of,
    problems,
    read_figures,
    ship,
    table,
    write_json,
)
from mnist_app.models.registry import CARD, GRAPH, lab_models
from mnist_app.storage import lab_folder

from ..toy_lab import figures, put

Content = dict[str, Any]


@pytest.fixture(autouse=True)
def shipped(nothing_shipped: Path) -> Path:
    """The folder of shipped results: empty, unless a test puts something there."""
    return nothing_shipped


def told(found: Figures | None) -> Mapping[str, Any]:
    """Return figures in their JSON form."""
    assert found
    return json.loads(json.dumps(asdict(found)))


def test_figures_are_saved_and_loaded_unchanged() -> None:
    for known in (figures(), figures(expected=None, ink=None, memory=None, own=None, curves=())):
        assert told(read_figures(put(lab_folder(), known))) == told(known)


def without(name: str) -> Callable[[Content], Content]:
    return lambda content: {key: value for key, value in content.items() if key != name}


def where(**changes: Any) -> Callable[[Content], Content]:
    return lambda content: content | changes


NAN = float("nan")
NUMBERS = [each.name for each in fields(Figures) if each.type in (int, float)]
CURVE = dict.fromkeys(("passes", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), 0.5)
NO_CURVES: list[Any] = [None, 5, [5], [{}], [CURVE], [CURVE | {"seconds": NAN}]]


@pytest.mark.parametrize(
    "damage",
    [
        *(without(each.name) for each in fields(Figures)),
        *(where(**{name: value}) for name in NUMBERS for value in (NAN, float("inf"), None, "1")),
        *(where(**{name: NAN}) for name in ("ink", "memory")),
        *(where(**{name: value}) for name in ("name", "title", "idea", "recipe", "machine") for value in (None, 5)),
        where(family="dogs"),
        where(colour="red"),
        *(where(latency=value) for value in (None, 5, {}, {"median": NAN, "p95": 1.0}, {"median": "1", "p95": 1.0})),
        where(own=5),
        *(where(own=value) for value in ({"median": 1.0}, {"median": 1.0, "p95": None})),
        where(expected="x"),
        where(expected={"accuracy": None, "source": "", "excuse": ""}),
        *(where(confusion=value) for value in (None, [], [[1]], [[1] * 10] * 9, [[0.5] * 10] * 10, [["1"] * 10] * 10)),
        *(where(curves=value) for value in NO_CURVES),
    ],
)
def test_figures_that_a_page_could_not_show_are_skipped(damage: Callable[[Content], Content]) -> None:
    put(lab_folder(), figures("whole"))
    folder = put(lab_folder(), figures("broken"))
    write_json(folder / FIGURES, damage(asdict(figures("broken"))))
    assert read_figures(folder) is None
    assert [found.name for found in table()] == ["whole"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"5", b"\xff\xfe", b"null"])
def test_files_that_are_not_json_objects_are_skipped(content: bytes) -> None:
    folder = put(lab_folder(), figures())
    (folder / FIGURES).write_bytes(content)
    (folder / PROBLEM).write_bytes(content)
    assert table() == [] and problems() == {}


def test_figures_from_this_machine_take_precedence_over_shipped_ones(shipped: Path) -> None:
    put(shipped, figures("toy", accuracy=0.7))
    put(shipped, figures("robot", accuracy=0.6))
    own = put(lab_folder(), figures("toy", accuracy=0.8))
    assert {found.name: found.accuracy for found in table()} == {"toy": 0.8, "robot": 0.6}
    (own / FIGURES).write_text("{")
    assert {found.name: found.accuracy for found in table()} == {"toy": 0.7, "robot": 0.6}


def test_problems_are_listed_only_for_contenders_without_figures(shipped: Path) -> None:
    for lab, name in ((lab_folder(), "toy"), (shipped, "toy"), (shipped, "robot"), (lab_folder(), "ball")):
        write_json(lab / name / PROBLEM, {"problem": f"{lab.name} is shut"})
    put(shipped, figures("robot"))
    write_json(shipped / "kite" / PROBLEM, {"problem": "there was no wind elsewhere"})
    assert problems() == {"ball": "lab is shut", "toy": "lab is shut"}
    assert missing() == ["kite"]


@pytest.mark.parametrize(("accuracy", "short"), [(0.95, False), (0.9, False), (0.8971, False), (0.8969, True)])
def test_an_accuracy_falls_short_at_more_than_0_3_points_below_expectation(accuracy: float, short: bool) -> None:
    assert figures(accuracy=accuracy, expected=Expected(0.9, "a book")).falls_short is short
    assert not figures(accuracy=accuracy, expected=None).falls_short


def test_figures_are_up_to_date_if_of_the_same_recipe_with_the_requested_ink() -> None:
    contender = Contender("toy", "Toy", NETWORK, "It plays.", "as one likes", lambda data: pytest.fail("it learned"))
    assert is_up_to_date(figures(), contender) and is_up_to_date(figures(), contender, with_ink=True)
    assert not is_up_to_date(None, contender)
    assert not is_up_to_date(figures(), replace(contender, recipe="another"))
    assert is_up_to_date(figures(ink=None), contender) and not is_up_to_date(
        figures(ink=None), contender, with_ink=True
    )
    assert is_up_to_date(figures(ink=None), replace(contender, knows_ink=True), with_ink=True), (
        "it has learned from ink, so it is not measured on ink"
    )


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(lab_folder(), figures())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(OSError, match="No space left"):
            write_json(folder / FIGURES, {})
    assert [path.name for path in folder.iterdir()] == [FIGURES]
    assert told(read_figures(folder)) == told(figures())


def test_a_figures_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    folder = put(lab_folder(), figures())
    assert (folder / FIGURES).stat().st_mode == (tmp_path / "ordinary").stat().st_mode


# Shipping


def parts_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_small_model_is_shipped_with_its_figures_and_can_be_found_there(mean_digit: nn.Module, shipped: Path) -> None:
    put(lab_folder(), figures(zipped=SHIPPED_UP_TO), mean_digit)
    assert ship("toy") == shipped / "toy"
    assert parts_of(shipped / "toy") == {FIGURES, CARD, GRAPH}
    (lab_folder() / "toy").rename(lab_folder() / "elsewhere")
    assert told(table()[0]) == told(figures(zipped=SHIPPED_UP_TO)) and lab_models()["toy"] == shipped / "toy"


def test_only_the_figures_of_a_large_model_are_shipped_replacing_an_older_model(
    mean_digit: nn.Module, shipped: Path
) -> None:
    put(shipped, figures(), mean_digit)
    put(lab_folder(), figures(zipped=SHIPPED_UP_TO + 1), mean_digit)
    ship("toy")
    assert parts_of(shipped / "toy") == {FIGURES}


def test_a_problem_is_shipped_unless_figures_were_shipped_before(shipped: Path) -> None:
    write_json(lab_folder() / "toy" / PROBLEM, {"problem": "it rained"})
    assert ship("toy") == shipped / "toy"
    assert parts_of(shipped / "toy") == {PROBLEM} and problem_of(shipped / "toy") == "it rained"
    put(shipped, figures())
    assert ship("toy") is None and read_figures(shipped / "toy")


def test_a_full_disk_leaves_shipped_figures_as_they_were(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(shipped, figures(parameters=1))
    put(lab_folder(), figures(parameters=2))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mnist_app.lab.figures.shutil.copy", full)
    with pytest.raises(AppError, match="No space left on device"):
        ship("toy")
    found = read_figures(shipped / "toy")
    assert found and found.parameters == 1
    assert [path.name for path in shipped.iterdir()] == ["toy"]


def test_a_contender_that_was_not_measured_cannot_be_shipped() -> None:
    with pytest.raises(AppError, match="'toy' has not been measured yet: python -m mnist_app lab --models toy"):
        ship("toy")


def test_a_shipping_folder_that_cannot_be_written_is_an_error_that_names_it(shipped: Path) -> None:
    shipped.write_text("a file where the folder should be")
    put(lab_folder(), figures())
    with pytest.raises(AppError, match=r"shipped/toy could not be written: "):
        ship("toy")
