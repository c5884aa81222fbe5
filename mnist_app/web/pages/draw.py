"""The Draw page: draw a digit, see it read, and see what the network really saw."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import Prepared, prepare_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.models.shelf import read_shelf
from mnist_app.reading.number import Reading, read_drawing, read_picture
from mnist_app.reading.recognition import follows
from mnist_app.web import canvas, session, shared
from mnist_app.web.answer import answer_html, boxes_html
from mnist_app.web.live_ink import ink_ahead, live_ink
from mnist_app.web.notice import plain, problem_notice
from mnist_app.web.pad import drawing_pad
from mnist_app.web.pictures import digits_html, pen_step, steps_html
from mnist_app.web.terms import terms
from mnist_app.web.that_was import that_was
from mnist_app.web.why import why

PICTURES = "image"  # of any type; one that cannot be read gets an error message


def page() -> None:
    with shared.turn():
        answer, reading, meant = _drawn_and_read()
    if reading:
        with answer:  # outside the turn: it may wait for shared work, and nobody else should
            why(reading.digits, session.using(), meant, told=session.pad().drawing)
            terms("centre of mass", "probability")


def _drawn_and_read() -> tuple[DeltaGenerator, Reading | None, int | None]:
    """Show pad and answer. Returns the answer's container, the reading and the digit meant, if known."""
    st.title("Draw a digit", anchor=False)
    with st.container(horizontal=True, gap="large", key="draw"):
        with st.container(width=canvas.PAD_SIDE + 2):
            drawing, boxes = _pad()
        with st.container(key="controls"):  # below the pad; below the answer, too, if that has no room beside the pad
            given = _controls()
        answer = st.container(width="stretch", key="answer")
    picture = None if given and session.is_drawn_over(given) else given
    with answer:
        known = drawing
        drawing = ink_ahead(session.pad(), known, st.session_state[session.PEN_WIDTH])
        reading = _read(drawing, picture)
        boxes.html(boxes_html(None if picture else reading, canvas.PAD_SIDE))
        st.html(answer_html(reading))
        is_awaited = known.is_blank and st.session_state.get(session.WHY) is not None
        live_ink(known, session.pad().version, reading, session.using(), follows=picture is None, is_awaited=is_awaited)
        with st.container():  # keeps what follows in place, so that it is not rebuilt
            if gone := session.stood_in_for():
                title = read_shelf().title
                st.caption(f"{plain(title(gone))} is no longer here, so {plain(title(session.using()))} reads instead.")
            if given and not picture:
                _picture_waits()
            meant = _below_the_answer(drawing, picture, reading) if reading else None
    return answer, reading, meant


def _below_the_answer(drawing: Drawing, picture: Prepared | None, reading: Reading) -> int | None:
    """Show the question “That was a …”, links and the pictures that were read. Returns the digit meant, if known."""
    meant = None
    if picture is None:
        that_was(reading.is_number)
        kept = session.kept_correction()
        meant = kept.label if kept and not reading.is_number else None
    source = session.picture_input()
    if source and picture is source.prepared:
        meant = source.label
        _way_back(source)
    elif picture:
        st.caption("Reading the picture, as one digit. Draw, or remove the picture, to go back to the pad.")
    elif not reading.is_number:
        to_map = st.button("See it on the map", icon=":material/map:", on_click=session.see_drawing, key="to_map")
        if to_map:
            session.go_to("Explore")
    if picture:
        st.html(steps_html(picture.steps))
    elif reading.is_number:
        st.html(digits_html(reading))
    else:
        steps = prepare_drawing(drawing).steps
        is_followed = follows(shared.model(session.using()), drawing)
        st.html(steps_html([*steps, pen_step(drawing)] if is_followed else steps))
    return meant


def _read(drawing: Drawing, picture: Prepared | None) -> Reading | None:
    """Read the picture if there is one, else the drawing. Returns None for a blank pad."""
    model = shared.model(session.using())
    if picture:
        return read_picture(model, picture.pixels)
    return None if drawing.is_blank else read_drawing(model, drawing)


def _pad() -> tuple[Drawing, DeltaGenerator]:
    """Show the pad and its buttons. Returns the drawing and the place for boxes around digits."""
    pad = session.pad()
    problem, boxes = drawing_pad(pad, st.session_state[session.PEN_WIDTH])
    if problem:
        problem_notice(f"{problem} The last stroke was taken back.")
    with st.container(horizontal=True, key="pad_buttons"):
        undo, clear = ":material/undo:", ":material/delete:"
        st.button("Undo", icon=undo, shortcut="Mod+Z", on_click=pad.undo, disabled=not pad.can_undo, key="undo")
        st.button("Clear", icon=clear, shortcut="Delete", on_click=pad.clear, disabled=not pad.strokes, key="clear")
    return pad.drawing, boxes


def _controls() -> Prepared | None:
    """Show pen width and upload. Returns the picture to read instead of the pad, prepared, or None."""
    st.slider(
        "Pen width",
        *canvas.PEN_WIDTHS,
        key=session.PEN_WIDTH,
        help="Changes only what you see: the network always sees strokes as thick as MNIST's. But a stroke shorter "
        "than half the pen width counts as a dot.",
    )
    upload = st.file_uploader(
        "Or read a picture of a digit: upload or paste it",
        PICTURES,
        key=session.UPLOAD,
        on_change=session.scroll_to,
        args=(".answer",),
    )
    if not upload:
        session.forget_upload()
    elif not session.picture_input():
        try:
            return session.prepared_upload(upload)
        except AppError as error:
            problem_notice(f"{upload.name}: {error} The pad is read instead.")
    source = session.picture_input()
    return source.prepared if source else None


def _picture_waits() -> None:
    """Say that the drawing is read, because it came after the picture, and offer the way back."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Reading the pad again, because you drew on it.", width="content")
        st.button("Read the picture", icon=":material/image:", on_click=session.read_picture_again, key="read_picture")


def _way_back(source: session.PictureInput) -> None:
    """Say where the picture comes from, and offer the ways back."""
    st.caption(f"Reading {source.name}.")
    if source.over or source.before:
        which = "the" if source.before and not source.before.is_upload else "my"
        back_to = f"Back to {which} picture"
        st.button(back_to, icon=":material/arrow_back:", on_click=session.put_back, key="put_back")
        return
    with st.container(horizontal=True):
        back = not source.is_upload and st.button("Back to Explore", icon=":material/arrow_back:", key="back")
        st.button("Draw instead", icon=":material/draw:", on_click=session.put_back, key="put_back")
    if back:
        session.go_to("Explore")
