"""Corrections, the Teach page, and permissions, without a browser."""

import json
import re
import textwrap
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from mnist_app.access import MAX_WRONG, OPEN, PASSWORD, AccessError
from mnist_app.data.corrections import KEPT_FOR, count_corrections, delete_corrections, find_corrections, keep
from mnist_app.data.inkfiles import parse_line
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import ModelError, model_folders
from mnist_app.models.shelf import default_model, read_shelf
from mnist_app.training import jobs
from mnist_app.training.jobs import DONE, FAILED, JobError, JobStatus, list_jobs
from mnist_app.training.teach import Change, Taught
from mnist_app.web import session, shared
from mnist_app.web.gallery import corrections_html
from mnist_app.web.pages import data

from ..conftest import SEVEN, TWO, Strokes, full_mnist
from .test_pages import draw, html_of, open_page
from .test_train_page import MARKUP, press, text_of, two_models

__all__ = ["two_models"]  # a fixture


@pytest.fixture(autouse=True)
def fresh_gate() -> None:
    shared.gate.clear()


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(PASSWORD, "open sesame")
    return "open sesame"


def say(at: AppTest, digit: str) -> AppTest:
    """Press one of the ten digits, which AppTest cannot do by itself."""
    at.session_state["picked"] = digit
    at.run()
    assert not at.exception, at.exception
    return at


def drawing_page(strokes: Strokes) -> AppTest:
    script = """
        import streamlit as st
        from mnist_app.web import session, that_was
        from mnist_app.web.pages import draw
        session.arrive_at("draw")
        if picked := st.session_state.pop("picked", None):
            that_was._keep(picked)
        draw.page()
        """
    at = AppTest.from_string(textwrap.dedent(script), default_timeout=60).run()
    return draw(at, strokes).run()


def opened(at: AppTest) -> AppTest:
    at.run()
    assert not at.exception, at.exception
    return at


def gallery_of(at: AppTest) -> str:
    found = [json.loads(element.proto.json) for element in at.get("bidi_component") if "gallery" in element.proto.id]
    return str(found)


def sign_in(at: AppTest, password: str) -> AppTest:
    at.text_input(key="teacher_password").set_value(password)
    next(button for button in at.button if "sign_in" in str(button.form_id)).click().run()
    assert not at.exception, at.exception
    return at


# Draw


def test_a_correction_is_kept_with_what_was_read() -> None:
    say(drawing_page(SEVEN), "4")
    (found,) = find_corrections()
    assert (found.label, found.read, found.model) == (4, "7", "ink-cnn")
    assert len(found.drawing.strokes) == 2 and found.visitor


def test_a_second_correction_of_the_same_ink_replaces_the_first() -> None:
    at = say(say(drawing_page(SEVEN), "4"), "1")
    assert [found.label for found in find_corrections()] == [1]
    assert "Kept: that was a 1." in text_of(at)
    say(at, "1")
    assert count_corrections() == 1


@pytest.mark.parametrize(
    ("said", "stop", "toasts"), [("4", 5, 1), ("4", 0, 1), ("7", 5, 0), ("4", 6, 0), ("4", None, 0)]
)
def test_a_toast_announces_a_misread_digit_found_on_the_tour(said: str, stop: int | None, toasts: int) -> None:
    at = drawing_page(SEVEN)
    at.session_state[session.TOUR] = stop
    at.session_state["picked"] = said
    assert len([toast for toast in at.run().toast if "You have found one" in toast.value]) == toasts


def test_a_correction_deleted_elsewhere_is_no_longer_shown_as_kept() -> None:
    at = say(drawing_page(SEVEN), "4")
    delete_corrections([found.id for found in find_corrections()])
    assert "Kept" not in text_of(opened(at))
    say(at, "4")
    assert [found.label for found in find_corrections()] == [4]


SEVENTY_SEVEN = [[[x / 2 + right, y / 2] for x, y in stroke] for right in (0, 150) for stroke in SEVEN]


def question_of(at: AppTest) -> str:
    return next(e.proto.json for e in at.get("bidi_component") if "that_was" in e.proto.id)


def test_a_drawing_read_as_a_number_can_be_corrected_to_one_digit() -> None:
    at = drawing_page(SEVENTY_SEVEN)
    assert "77" in re.sub("<[^>]*>", "", html_of(at))
    assert "It was one digit, a 4" in question_of(at) and "That was" not in question_of(at)
    say(at, "whole 4")
    (found,) = find_corrections()
    assert (found.label, found.read, len(found.drawing.strokes)) == (4, "77", 4)
    assert "Kept: that was a 4." in text_of(at)


@pytest.mark.parametrize(("strokes", "said"), [(SEVENTY_SEVEN, "4"), (SEVEN, "whole 4")])
def test_an_answer_to_a_question_that_a_new_stroke_changed_is_not_kept(strokes: Strokes, said: str) -> None:
    say(drawing_page(strokes), said)
    assert count_corrections() == 0


def test_a_correction_keeps_the_reading_that_the_page_showed() -> None:
    """The pen's points and the canvas's differ slightly, and the page reads the pen's if it can."""
    at = drawing_page(SEVEN)
    pad = at.session_state["pad"]
    ends = [[stroke[0], [200.0, 320.0], stroke[-1]] for stroke in SEVEN]
    pad.ahead = Drawing.from_points([[[x, y] for x, y in stroke] for stroke in ends])
    read = re.findall('<p class="digit"[^>]*>(.*?)</p>', html_of(opened(at)))[-1]
    assert read != "7"
    say(at, "7")
    (found,) = find_corrections()
    assert found.read == (None if read == "?" else read)


def test_another_drawing_gets_its_own_correction() -> None:
    at = say(drawing_page(SEVEN), "4")
    draw(at, TWO).run()
    assert "Kept" not in text_of(at)
    say(at, "4")
    assert count_corrections() == 2


def test_a_correction_can_be_undone() -> None:
    at = say(drawing_page(SEVEN), "8")
    assert "Kept: that was an 8." in text_of(at)
    press(at, "that_was_undo")
    assert count_corrections() == 0 and "Kept" not in text_of(at)


@pytest.mark.parametrize("nonsense", ["", "10", "-1", "x", "٣", "4 "])
def test_an_answer_that_is_not_a_digit_is_ignored(nonsense: str) -> None:
    say(drawing_page(SEVEN), nonsense)
    assert count_corrections() == 0


def test_a_blank_pad_asks_nothing_and_keeps_nothing() -> None:
    at = drawing_page([])
    assert not at.get("bidi_component") or "that_was" not in str([e.proto.id for e in at.get("bidi_component")])
    say(at, "4")
    assert count_corrections() == 0


def test_a_correction_that_cannot_be_kept_is_reported_and_the_ink_stays(own_home: Path) -> None:
    at = drawing_page(SEVEN)
    own_home.mkdir(exist_ok=True)
    (own_home / "corrections.sqlite").write_bytes(b"no database at all " * 100)
    say(at, "4")
    assert len(at.warning) == 1 and "is damaged" in at.warning[0].value
    assert len(at.session_state["pad"].strokes) == 2


# Teach


def kept(count: int = 1, visitor: str = "anna") -> list[int]:
    who = session.visitor_of(visitor)
    return [keep(Drawing.from_points(SEVEN), 7, "1", "ink-cnn", who) for _ in range(count)]


def test_corrections_are_counted_deleted_and_restored() -> None:
    full_mnist()
    first, second = kept(2)
    at = opened(open_page("teach"))
    assert "2 drawings were corrected" in html_of(at)
    at.session_state["teach_chosen"] = {first}
    press(at.run(), "teach_delete")
    assert [found.id for found in find_corrections()] == [second]
    assert "One drawing was corrected" in html_of(at) and "One correction was deleted" in text_of(at)
    press(at, "teach_undo")
    assert count_corrections() == 2


def test_many_corrections_are_shown_a_page_at_a_time() -> None:
    kept(61)
    at = opened(open_page("teach"))
    assert "Page 1 of 2" in text_of(at) and at.button(key="teach_left").disabled
    press(at, "teach_right")
    assert "Page 2 of 2" in text_of(at) and at.button(key="teach_right").disabled


@pytest.mark.parametrize(
    ("page", "presses", "pages", "then"),
    [
        (1, [1, 1], 3, 3),  # both before the page reruns
        (3, [-1], 2, 1),  # the last page's drawings were deleted meanwhile
    ],
)
def test_every_press_turns_one_page_from_the_page_shown(page: int, presses: list[int], pages: int, then: int) -> None:
    script = f"""
        import streamlit as st
        from mnist_app.web.pages import teach
        st.session_state["teach_page"] = {page}
        for by in {presses}:
            teach._turn(by, {pages})
        st.text(st.session_state["teach_page"])
        """
    at = AppTest.from_string(textwrap.dedent(script)).run()
    assert [text.value for text in at.text] == [str(then)]


def test_a_selection_survives_turning_the_page() -> None:
    ids = kept(61)
    at = opened(open_page("teach"))
    at.session_state["teach_chosen"] = {ids[-1]}
    press(at.run(), "teach_right")
    assert at.button(key="teach_delete").label == "Delete 1 chosen, 1 of them not shown"
    press(at, "teach_delete")
    assert ids[-1] not in [found.id for found in find_corrections()] and count_corrections() == 60


def test_a_whole_page_can_be_deleted_and_restored_at_once() -> None:
    ids = kept(61)
    at = press(opened(open_page("teach")), "teach_delete_shown")
    assert [found.id for found in find_corrections()] == ids[:1]
    assert "60 corrections were deleted" in text_of(at)
    press(at, "teach_undo")
    assert count_corrections() == 61


def test_deletions_are_undone_one_by_one_latest_first() -> None:
    first, second, third = kept(3)
    at = opened(open_page("teach"))
    for one in (first, second):
        at.session_state["teach_chosen"] = {one}
        press(at.run(), "teach_delete")
    press(at, "teach_undo")
    assert {found.id for found in find_corrections()} == {second, third}
    press(at, "teach_undo")
    assert count_corrections() == 3 and "teach_undo" not in [button.key for button in at.button]


def test_only_corrections_that_were_really_deleted_are_counted_and_restored() -> None:
    first, second = kept(2)
    at = opened(open_page("teach"))
    at.session_state["teach_chosen"] = {first, second}
    delete_corrections([first])
    press(at.run(), "teach_delete")
    assert "One correction was deleted" in text_of(at) and "1 of these 2 were not deleted" in text_of(at)
    press(at, "teach_undo")
    assert [found.id for found in find_corrections()] == [second], "somebody else deleted the other one"


def test_an_undo_that_fails_can_be_tried_again(own_home: Path) -> None:
    kept(1)
    at = press(opened(open_page("teach")), "teach_delete_shown")
    file = own_home / "corrections.sqlite"
    whole = file.read_bytes()
    file.write_bytes(b"no database at all " * 100)
    press(at, "teach_undo")
    assert "is damaged" in text_of(at)
    file.write_bytes(whole)
    press(opened(at), "teach_undo")
    assert count_corrections() == 1


def test_an_undo_that_comes_too_late_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(2)
    at = press(opened(open_page("teach")), "teach_delete_shown")
    now = time.time()
    monkeypatch.setattr("mnist_app.data.corrections.time.time", lambda: now + KEPT_FOR + 1)
    delete_corrections([])
    press(at, "teach_undo")
    assert "Of 2 corrections, 0 came back" in text_of(at)


@pytest.mark.parametrize("part", ["teach._lessons", "train._trainings"])
def test_a_problem_noticed_by_a_fragment_is_shown_by_the_whole_page(part: str) -> None:
    script = f"""
        import streamlit as st
        from mnist_app.web.pages import teach, train
        if problem := st.session_state.pop(train.PROBLEM, None):
            st.write(problem)
        elif "done" not in st.session_state:
            st.session_state["done"], st.session_state[train.PROBLEM] = True, "Alas."
            {part}()
        """
    at = AppTest.from_string(textwrap.dedent(script), default_timeout=60).run()
    assert not at.exception and at.markdown[0].value == "Alas."


def test_a_lesson_that_cannot_be_cancelled_says_so_on_the_teach_page(monkeypatch: pytest.MonkeyPatch) -> None:
    full_mnist()
    kept()
    at = press(opened(open_page("teach")), "teach_start")
    (job,) = list_jobs()

    def refuse(_: str) -> None:
        raise JobError("The training could not be cancelled: no room.")

    monkeypatch.setattr(jobs, "cancel", refuse)
    press(at, f"cancel_{job.id}")
    assert "could not be cancelled:color[:] no room" in text_of(at)


def test_without_mnist_the_page_does_not_rerun_for_ever(no_mnist: None, two_models: None) -> None:
    at = opened(open_page("teach"))
    session_model = at.session_state["model"]
    at.session_state["teach_parent"], at.session_state["model"] = session_model, "one"
    assert "Fetch them on the Data page" in text_of(opened(at))
    assert at.session_state["teach_parent"] == "one"


def test_a_damaged_database_is_reported_and_no_lesson_can_start(own_home: Path) -> None:
    full_mnist()
    own_home.mkdir(exist_ok=True)
    (own_home / "corrections.sqlite").write_bytes(b"no database at all " * 100)
    at = opened(open_page("teach"))
    assert "is damaged" in at.warning[0].value
    assert at.button(key="teach_start").disabled


def test_a_lesson_is_a_job_with_its_drawings() -> None:
    full_mnist()
    kept(3)
    press(opened(open_page("teach")), "teach_start")
    (job,) = list_jobs()
    assert job.request and (job.request.parent, job.request.model) == ("ink-cnn", "ink-cnn-taught")
    assert jobs.drawings_of(job).labels.tolist() == [7, 7, 7]


def test_a_lesson_teaches_only_the_drawings_that_the_page_showed() -> None:
    full_mnist()
    kept(2)
    at = opened(open_page("teach"))
    kept()  # nobody has seen it yet
    press(at, "teach_start")
    (job,) = list_jobs()
    assert len(jobs.drawings_of(job)) == 2


@pytest.fixture
def a_lesson_that_is_over(two_models: None) -> None:
    """It taught two of Anna's drawings; its model is called "one" because its own name had been taken."""
    full_mnist()
    kept(2)
    press(opened(open_page("teach")), "teach_start")
    (job,) = list_jobs()
    folder = jobs.jobs_folder() / job.id
    changes = (
        Change("validation", 5_000, 4_990, 4_991, (5,), (), ()),
        Change("test", 10_000, 9_970, 9_968, (), (3, 9), (5, 1)),
    )
    (folder / jobs.TAUGHT).write_text(Taught("ink-cnn", (7, 7), ("17", None), ("7", "7"), changes, 0.6).to_json())
    jobs.write_status(folder, JobStatus(DONE, "Well.", model="one"))


def test_the_effect_of_a_lesson_is_shown_before_anybody_uses_its_model(a_lesson_that_is_over: None) -> None:
    at = opened(open_page("teach"))
    assert "What one does differently from ink-cnn" in [heading.value for heading in at.subheader]
    assert "It went 60% of the way to what it learned" in text_of(at)
    metrics = {metric.label: (metric.value, metric.delta) for metric in at.metric}
    assert metrics == {
        "corrected drawings read right": ("2 of 2", "+2"),
        "validation digits read right (before: 99.80%)": ("99.82%", "+0.02 points"),
        "test digits read right (before: 99.70%)": ("99.68%", "-0.02 points"),
    }
    assert "misreads **2** that were read right" in text_of(at)
    assert html_of(at).count('aria-label="7, read as') == 2
    assert 'aria-label="7, read as none before, as 7 now"' in html_of(at)
    assert 'aria-label="7, read as 17 before, as 7 now"' in html_of(at)
    assert default_model() == "ink-cnn" and at.session_state["model"] == "ink-cnn"
    assert "Everybody starts with **ink-cnn**." in text_of(at) and "You use" not in text_of(at)
    press(at, "teach_use")
    assert at.session_state["model"] == "one" and "You use **one**." in text_of(at)
    press(at, "teach_default")
    assert default_model() == "one" and "Everybody starts with **one**." in text_of(at)


def test_the_effect_of_a_lesson_is_shown_even_if_mnist_is_gone(
    a_lesson_that_is_over: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MNIST_APP_DATA")
    at = opened(open_page("teach"))
    assert "misreads **2** that were read right." in text_of(at) and "on the Models page as one" in text_of(at)


def test_an_error_in_a_fragment_is_shown_as_a_sentence(
    a_lesson_that_is_over: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_app.web.pages.teach._account", Mock(side_effect=ModelError("It is gone.")))
    assert "It is gone." in [notice.value for notice in opened(open_page("teach")).warning]


def test_an_earlier_lesson_can_be_looked_at_again_and_a_failed_one_hides_none(
    a_lesson_that_is_over: None,
) -> None:
    (first,) = list_jobs()
    for _ in range(2):
        press(opened(open_page("teach")), "teach_start")
    _, second, third = list_jobs()
    account = json.loads((jobs.jobs_folder() / first.id / jobs.TAUGHT).read_text())
    folder = jobs.jobs_folder() / second.id
    (folder / jobs.TAUGHT).write_text(json.dumps(account | {"parent": "mnist-cnn"}))
    jobs.write_status(folder, JobStatus(DONE, "Well.", model="two"))
    jobs.write_status(jobs.jobs_folder() / third.id, JobStatus(FAILED, "Not well."))
    at = opened(open_page("teach"))
    assert any("differently from mnist-cnn" in heading.value for heading in at.subheader)
    press(at, f"look_{first.id}")
    assert any("differently from ink-cnn" in heading.value for heading in at.subheader)
    assert f"look_{third.id}" not in [button.key for button in at.button]


def test_markup_in_a_correction_is_escaped() -> None:
    keep(Drawing.from_points(SEVEN), 7, MARKUP, MARKUP, MARKUP)
    (found,) = find_corrections()
    html = corrections_html([found], np.zeros((1, 28, 28), np.uint8), [])
    assert "<b onclick" not in html
    assert parse_line(found.to_line().encode()).label == 7


# Permissions


def test_without_a_password_a_line_says_what_people_at_the_machine_may_do() -> None:
    full_mnist()
    for name in ("teach", "train", "models"):
        assert "You are at the machine that runs the app, so you may change what everybody shares" in text_of(
            opened(open_page(name))
        )


def test_without_a_password_remote_visitors_change_nothing_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, two_models: None
) -> None:
    monkeypatch.setattr(type(st.context), "headers", {"Host": "digits.example.org", "X-Forwarded-Proto": "https"})
    at = opened(open_page("models"))
    assert "Only people at the machine that runs the app" in text_of(at)
    assert at.button(key="default_one").disabled
    assert "only on the machine that runs the app" in at.button(key="default_one").help
    with pytest.raises(AccessError, match="only on the machine that runs the app"):
        session.require_teacher()
    monkeypatch.setenv(OPEN, "1")
    assert not opened(open_page("models")).button(key="default_one").disabled


def test_a_pupil_cannot_fetch_mnist(guarded: str, no_mnist: None) -> None:
    before = list(shared.downloads())
    at = opened(open_page("data"))
    assert at.button(key="fetch").disabled and "Only a teacher may change" in text_of(at)
    assert at.button(key="fetch").help.startswith("Only a teacher may do that")
    data._fetch()
    assert shared.downloads() == before


def test_a_pupil_sees_only_their_own_corrections(guarded: str) -> None:
    full_mnist()
    kept(2, "anna")
    at = open_page("teach")
    at.session_state["secret"] = "ben"
    opened(at)
    assert "You have not corrected anything yet" in text_of(at)
    assert at.button(key="teach_start").disabled and "Sign in" in at.button(key="teach_start").help
    kept(1, "ben")
    opened(at)
    assert "One drawing was corrected" in html_of(at)
    sign_in(at, guarded)
    assert "3 drawings were corrected" in html_of(at) and not at.button(key="teach_start").disabled


def test_a_pupil_sees_what_a_lesson_did_but_not_the_drawings_taught(a_lesson_that_is_over: None, guarded: str) -> None:
    at = opened(open_page("teach"))
    assert "corrected drawings read right" in text_of(at)
    assert 'aria-label="7, read as' not in html_of(at)


def pressed_by(visitor: str, call: str, chosen: list[int]) -> None:
    """Run a callback of the Teach page in a session in which these corrections are selected."""
    script = f"""
        import streamlit as st
        from mnist_app.web.pages import teach
        st.session_state["secret"], st.session_state["teach_chosen"] = {visitor!r}, {set(chosen)!r}
        {call}
        """
    at = AppTest.from_string(textwrap.dedent(script)).run()
    assert not at.exception, at.exception


def test_a_pupil_cannot_delete_the_corrections_of_others_by_their_ids(guarded: str) -> None:
    ids = kept(2, "anna")
    pressed_by("ben", "teach._delete()", ids)
    pressed_by("ben", f"teach._delete({ids!r})", [])
    assert count_corrections() == 2


def test_a_pupil_cannot_restore_what_was_deleted_by_somebody_else(guarded: str) -> None:
    ids = kept(2, "anna")
    delete_corrections(ids)
    pressed_by("anna", "teach._delete(); teach._restore()", ids)
    assert count_corrections() == 0


ACTIONS = {
    "train._start(PRESETS['quick'].config, '')": "train_problem",
    "train._cancel('x')": "train_problem",
    "teach._start('ink-cnn', None, 9)": "train_problem",
    "teach._make_default('one')": "train_problem",
    "models._do(make_default, 'one')": "models_problem",
    "models._do(delete_model, 'one')": "models_problem",
    "models._do(restore_model, 'one')": "models_problem",
    "models._relabel('one')": "models_problem",
    "models._take_in()": "models_problem",
}


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_itself_refuses_pupils(action: str, guarded: str, two_models: None) -> None:
    kept()
    at = AppTest.from_string(
        "import streamlit as st\nfrom mnist_app.web.pages import models, teach, train\n"
        "from mnist_app.models.shelf import restore_model, make_default, delete_model\n"
        "from mnist_app.training.train import PRESETS\n"
        f"{action}\nst.write(st.session_state.get({ACTIONS[action]!r}))"
    ).run()
    assert not at.exception, at.exception
    assert at.markdown[0].value.startswith("Only a teacher may do that")
    assert list_jobs() == [] and default_model() == "ink-cnn" and "one" in model_folders()
    assert read_shelf().title("one") == "one"


def test_signing_in_makes_only_this_session_a_teacher(guarded: str, two_models: None) -> None:
    here, there = opened(open_page("models")), opened(open_page("models"))
    assert here.button(key="default_one").disabled and "delete_one" not in [button.key for button in here.button]
    sign_in(here, "wrong")
    assert "not the teacher's password" in here.warning[0].value
    sign_in(here, guarded)
    assert "You are the teacher" in text_of(here)
    assert guarded not in str(here.session_state)
    there.run()
    assert "Only a teacher may change" in text_of(there)
    assert not here.button(key="default_one").help
    press(here, "default_one")
    assert default_model() == "one"
    press(here, "sign_out")
    assert here.button(key="default_two").disabled


def test_signing_out_removes_the_offer_to_undo_deletions(guarded: str) -> None:
    kept(2)
    at = sign_in(opened(open_page("teach")), guarded)
    press(at, "teach_delete_shown")
    press(at, "sign_out")
    assert "teach_undo" not in [button.key for button in at.button]


def test_the_password_field_has_no_length_limit(guarded: str) -> None:
    at = opened(open_page("teach"))
    assert at.text_input(key="teacher_password").proto.max_chars == 0, "no limit"


def test_wrong_passwords_are_counted_per_address_over_all_sessions(
    guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContextProxy, "ip_address", "198.51.100.7")
    for _ in range(MAX_WRONG):
        sign_in(opened(open_page("teach")), "wrong")
    at = sign_in(opened(open_page("teach")), guarded)
    assert "Too many wrong passwords" in at.warning[0].value
    monkeypatch.setattr(ContextProxy, "ip_address", "198.51.100.8")
    other = sign_in(opened(open_page("teach")), guarded)
    assert "You are the teacher" in text_of(other), "guessing locks nobody else out"
    assert "You are the teacher" not in text_of(at)


def test_a_pupil_may_use_another_model(guarded: str, two_models: None) -> None:
    at = press(opened(open_page("models")), "use_one")
    assert at.session_state["model"] == "one"


def test_a_pupil_who_is_refused_is_told_where_to_sign_in(guarded: str) -> None:
    with pytest.raises(AccessError, match="Sign in on the Teach, Train, Models or Data page"):
        session.require_teacher()
