"""Studies are run once, saved, loaded and shipped."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from mnist_app.errors import AppError
from mnist_app.lab import studies
from mnist_app.lab.effects import EffectResult, Run
from mnist_app.lab.figures import write_json
from mnist_app.lab.studies import EFFECTS, TRANSFER, asked_for, effects, run_study, ship_studies, to_do, transfer
from mnist_app.lab.transfer import Direction, Point
from mnist_app.storage import lab_folder

from ..toy_lab import CURVES

SEEN = EffectResult("Noise", "It hurts.", [Run("none", list(CURVES)), Run("much", list(CURVES[:1]))])
WAY = Direction("here", "there", 100, 0.5, [Point(10, [0.6], [0.4])])


@pytest.fixture(autouse=True)
def both_studies(monkeypatch: pytest.MonkeyPatch, nothing_shipped: Path) -> None:
    """Studies that finish at once, always with the same findings."""
    monkeypatch.setattr(studies, "run_effects", lambda is_quick, progress: [SEEN])
    monkeypatch.setattr(studies, "run_transfer", lambda ink, is_quick, progress: [WAY])


def test_results_of_a_study_are_saved_and_loaded_unchanged(tmp_path: Path) -> None:
    assert not effects() and not transfer()
    run_study(EFFECTS, lab_folder(), None)
    run_study(TRANSFER, lab_folder(), tmp_path)
    assert (effects(), transfer()) == ([SEEN], [WAY])


def test_results_from_this_machine_take_precedence_over_shipped_ones(nothing_shipped: Path) -> None:
    write_json(nothing_shipped / "effects.json", {"parts": []})
    assert effects() == []
    run_study(EFFECTS, lab_folder(), None)
    assert effects() == [SEEN]


def test_a_study_that_needs_ink_is_an_error_without_it() -> None:
    with pytest.raises(AppError, match="needs real ink: name its folder with --ink"):
        run_study(TRANSFER, lab_folder(), None)
    with pytest.raises(AppError, match="needs real ink: name its folder with --ink"):
        to_do([TRANSFER], lab_folder(), None, is_forced=False)


def test_a_study_is_run_only_once_unless_it_is_forced(tmp_path: Path) -> None:
    def left(*names: str, ink: Path | None = tmp_path, is_forced: bool = False) -> list[str]:
        return to_do(names, lab_folder(), ink, is_forced=is_forced)

    assert left() == left(EFFECTS, TRANSFER, "toy") == [EFFECTS, TRANSFER]
    assert left("toy") == []
    assert left(ink=None) == [EFFECTS], "without ink, a study that needs it is skipped unless it was named"
    run_study(EFFECTS, lab_folder(), None)
    assert left() == [TRANSFER] and left(EFFECTS) == []
    assert left(EFFECTS, is_forced=True) == [EFFECTS]
    run_study(TRANSFER, lab_folder(), tmp_path)
    assert left(TRANSFER, ink=None) == []


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "5",
        "[]",
        "{}",
        '{"parts": 5}',
        '{"parts": [5]}',
        json.dumps({"parts": [{"title": "Noise", "what": "It hurts."}]}),
        json.dumps({"parts": [{**asdict(SEEN), "runs": [{"setting": "none", "curves": []}]}]}),
        json.dumps({"parts": [{**asdict(SEEN), "runs": [{"setting": "none", "curves": [{"passes": float("nan")}]}]}]}),
    ],
)
def test_unreadable_results_give_way_to_shipped_ones(broken: str, nothing_shipped: Path) -> None:
    run_study(EFFECTS, nothing_shipped, None)
    lab_folder().mkdir(parents=True)
    (lab_folder() / "effects.json").write_text(broken)
    assert effects() == [SEEN]
    (nothing_shipped / "effects.json").write_text(broken)
    assert effects() == []


def test_only_studies_that_were_run_are_shipped(nothing_shipped: Path, tmp_path: Path) -> None:
    assert ship_studies([]) == []
    run_study(EFFECTS, lab_folder(), None)
    assert ship_studies([TRANSFER]) == []
    assert ship_studies([]) == [nothing_shipped / "effects.json"]
    (lab_folder() / "effects.json").unlink()
    assert effects() == [SEEN]


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(nothing_shipped: Path) -> None:
    run_study(EFFECTS, lab_folder(), None)
    nothing_shipped.write_text("a file where the folder should be")
    with pytest.raises(AppError, match="shipped could not be written: "):
        ship_studies([])
    with pytest.raises(AppError, match="shipped could not be written: "):
        run_study(EFFECTS, nothing_shipped, None)


def test_all_studies_are_meant_if_nothing_is_named() -> None:
    assert (asked_for([]), asked_for(["toy"]), asked_for(["toy", TRANSFER])) == ([EFFECTS, TRANSFER], [], [TRANSFER])
