"""The line beside shared controls that says who may use them, and the teacher's sign-in."""

import streamlit as st

from mnist_app.access import has_password, is_open
from mnist_app.errors import AppError
from mnist_app.web import session
from mnist_app.web.notice import problem_notice

_GIVEN, _PROBLEM = "teacher_password", "teacher_problem"


def access_notice() -> None:
    """Say who may change what everybody shares and, if a password is set, offer to sign in as the teacher."""
    if not has_password():
        st.caption(_trust(), width="content")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="access_notice"):
        if session.is_teacher():
            st.caption(":material/school: You are the teacher until you close or reload this page.", width="content")
            st.button("Sign out", key="sign_out", on_click=session.sign_out, type="tertiary")
            return
        st.caption(":material/lock: Only a teacher may change what everybody shares.", width="content")
        with st.popover("I am the teacher", type="tertiary"), st.form("sign_in", border=False):
            st.text_input("Password", type="password", key=_GIVEN, autocomplete="current-password")
            if problem := st.session_state.pop(_PROBLEM, None):
                problem_notice(problem)  # in here, because on a phone the open popover covers the page
            st.form_submit_button("Sign in", on_click=_sign_in)


def _trust() -> str:
    if is_open():
        return ":material/lock_open: This app was started open to all: everybody who reaches it may change everything."
    if session.is_teacher():
        return ":material/lock_open: You are at the machine that runs the app, so you may change what everybody shares."
    return ":material/lock: Only people at the machine that runs the app may change what everybody shares."


def _sign_in() -> None:
    given = st.session_state[_GIVEN]
    st.session_state[_GIVEN] = ""
    try:
        session.sign_in(given)
    except AppError as error:
        st.session_state[_PROBLEM] = str(error)
