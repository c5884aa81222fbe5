"""Draw a digit, see it read, see what the network really saw."""

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.photo import open_image
from mnist_app.preprocessing import Prepared, prepare_drawing, prepare_image
from mnist_app.recognition import recognise
from mnist_app.registry import DEFAULT_MODEL
from mnist_app.strokes import Drawing
from mnist_app.web import session
from mnist_app.web.answer import answer_html
from mnist_app.web.live_ink import live_ink
from mnist_app.web.pad import drawing_pad
from mnist_app.web.pictures import steps_html

PICTURES = ["png", "jpg", "jpeg", "webp"]


def page() -> None:
    st.title("Draw a digit", anchor=False)
    with st.container(horizontal=True, gap="large"):
        with st.container(width=session.PAD_SIDE + 2):
            drawing, problem = _pad()
        answer = st.container(width="stretch", key="answer")
    uploaded, picture_problem = _controls()
    with answer:
        problem = problem or picture_problem
        if problem:
            st.warning(problem, icon=":material/error:")
        follows = not (uploaded or problem)
        prepared = prepare_drawing(drawing) if follows and not drawing.is_blank else uploaded
        prediction = recognise(session.model(DEFAULT_MODEL), prepared.pixels[None])[0] if prepared else None
        st.html(answer_html(prediction))
        live_ink(drawing, session.pad().version, prediction, follows)
        if uploaded:
            st.caption("Read from the picture. Remove it to go back to the pad.")
        if prepared:
            st.html(steps_html(prepared.steps))


def _pad() -> tuple[Drawing, str | None]:
    """The pad with its buttons: what is drawn on it, and what was wrong with it if anything was."""
    pad = session.pad()
    try:
        drawing = drawing_pad(pad, st.session_state.get(session.PEN_WIDTH, session.USUAL_PEN))
        problem = None
    except AppError as error:
        drawing, problem = Drawing(()), f"{error} The pad was cleared."
    with st.container(horizontal=True, key="pad_buttons"):
        blank = not pad.strokes
        st.button("Undo", icon=":material/undo:", shortcut="Mod+Z", on_click=pad.undo, disabled=blank, key="undo")
        st.button("Clear", icon=":material/delete:", shortcut="Delete", on_click=pad.clear, disabled=blank, key="clear")
    return drawing, problem


def _controls() -> tuple[Prepared | None, str | None]:
    """Pen width and upload: the picture that was uploaded, ready to be read, or what is wrong with it."""
    pen, picture = st.columns(2, gap="large")
    pen.slider(
        "Pen width",
        *session.PEN_WIDTHS,
        session.USUAL_PEN,
        key=session.PEN_WIDTH,
        help="For your eyes only: the network always sees strokes as thick as MNIST's pen.",
    )
    upload = picture.file_uploader("Or read a picture of a digit: upload or paste it", PICTURES, key=session.UPLOAD)
    if upload is None:
        return None, None
    try:
        return prepare_image(open_image(upload.getvalue())), None
    except AppError as error:
        return None, f"{upload.name}: {error}"
