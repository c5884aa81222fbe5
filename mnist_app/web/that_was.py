"""The question under the answer: which digit did you draw? What visitors say is kept, to be learned from."""

import streamlit as st

from mnist_app.data.corrections import delete_corrections, keep
from mnist_app.errors import AppError
from mnist_app.reading.number import read_drawing
from mnist_app.web import session, shared
from mnist_app.web.answer import a_digit
from mnist_app.web.live_ink import ink_ahead
from mnist_app.web.notice import problem_notice
from mnist_app.web.picks import picks
from mnist_app.web.tour import STOPS

_KEY, _PROBLEM = "that_was", "that_was_problem"
DIGITS = {str(digit): digit for digit in range(10)}
_WHOLE = {f"whole {digit}": digit for digit in range(10)}  # for a drawing that was read as a number


def that_was(is_number: bool) -> None:
    """The question with its ten answers, and the answer given. What was read as a number may have been one digit."""
    kept = session.kept_correction()
    picks(_question_html(is_number, kept.label if kept else None), _KEY, _keep)
    if problem := st.session_state.pop(_PROBLEM, None):
        problem_notice(problem)
    if kept:
        with st.container(horizontal=True, vertical_alignment="center", key="that_was_kept"):
            st.caption(f"Kept: that was {a_digit(kept.label)}.", width="content")
            st.button("Undo", key="that_was_undo", type="tertiary", on_click=_take_back)
            teach = session.is_teacher() and st.button(
                "Teach it", key="that_was_teach", type="tertiary", icon=":material/school:"
            )
        if teach:
            session.go_to("Teach")


def _question_html(is_number: bool, label: int | None) -> str:
    said = "It was one digit, a …" if is_number else "That was a …"
    buttons = "".join(
        f'<button type="button" data-pick="{pick}" aria-label="{said.replace("a …", a_digit(digit))}" '
        f'aria-pressed="{str(digit == label).lower()}">{digit}</button>'
        for pick, digit in (_WHOLE if is_number else DIGITS).items()
    )
    return f'<div class="that-was" role="group" aria-label="{said}"><span>{said}</span>{buttons}</div>'


def _keep(picked: str) -> None:
    """Keep the correction with what is read in the ink now. It replaces an earlier correction of the same ink."""
    label, pad = {**DIGITS, **_WHOLE}.get(picked), session.pad()
    pad.catch_up()
    before = session.kept_correction()
    if label is None or (before and before.label == label):
        return
    try:
        drawing = pad.drawing
        if drawing.is_blank:
            return
        shown = ink_ahead(pad, drawing, st.session_state[session.PEN_WIDTH])  # so that the answer on the page counts
        reading = read_drawing(shared.model(session.using()), shown)
        if reading.is_number != (picked in _WHOLE):  # a stroke came with the press and changed the question
            return
        earlier = before.id if before else None
        identity = keep(drawing, label, reading.text, session.using(), session.visitor(), instead_of=earlier)
        session.note_correction(session.KeptCorrection(identity, label, reading.text, pad.drawn))
        if st.session_state.get(session.TOUR) in range(len(STOPS) - 1) and reading.text != str(label):
            st.toast("You have found one that the network misreads: the last task of the tour.", icon=":material/tour:")
    except AppError as error:
        st.session_state[_PROBLEM] = str(error)


def _take_back() -> None:
    kept = session.kept_correction()
    if kept is None:
        return
    try:
        delete_corrections([kept.id], session.visitor())
        session.note_correction(None)
    except AppError as error:
        st.session_state[_PROBLEM] = str(error)
