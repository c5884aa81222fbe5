"""Waiting for a shared computation: a failure is shown, and the computation can be restarted."""

import textwrap

from streamlit.testing.v1 import AppTest

SCRIPT = """
    import streamlit as st
    from mnist_app.errors import AppError
    from mnist_app.web.waiting import wait_for
    from mnist_app.work import Work

    def fail(progress):
        raise AppError("It is broken.")

    for name in ("one", "two"):
        work = Work(fail)
        work.result(5)
        wait_for(work, f"{name} is read", lambda name=name: st.session_state.update(begun=name))
    """


def test_two_failures_on_one_page_can_be_retried_separately() -> None:
    at = AppTest.from_string(textwrap.dedent(SCRIPT), default_timeout=60).run()
    assert not at.exception, at.exception
    assert [notice.value for notice in at.warning] == ["It is broken."] * 2
    for number, name in ((1, "two"), (0, "one")):
        at.button[number].click().run()
        assert at.session_state["begun"] == name
