"""A first lesson of five minutes: seven stops on three pages. It can be left at any time."""

from dataclasses import dataclass
from typing import Any, cast

import streamlit as st

from mnist_app.web import session
from mnist_app.web.answer import a_digit

_FOUND, _MOVED = "tour_found", "tour_moved"
_BOX = ".st-key-tour_stop"


@dataclass(frozen=True)
class Stop:
    """Where to look, and what to do there."""

    page: str  # its title
    text: str  # Markdown


STOPS = (
    Stop(
        "Draw",
        "**Draw a digit** the way you always write it. The bars move with the pen: every bit of ink is read at once.",
    ),
    Stop(
        "Draw",
        "Below the answer, press **What did it see?** You get your digit as 28 × 28 numbers, and the path of the pen. "
        "Would you have picked the same five digits as most similar?",
    ),
    Stop(
        "Draw",
        "Press **Where did it look?** Blue ink speaks for the digit, amber ink against it. Which part could you "
        "leave out and still have it read? Press Undo or Clear, and try.",
    ),
    Stop(
        "Draw",
        "Press **When did it decide?** and drag the slider back. How much of the digit was enough?",
    ),
    Stop(
        "Explore",
        "The network has never learned from these pictures. Here are **the first ones it misreads**. Open one. Would "
        "you have read it right? A yellow ? marks pictures whose label is itself in doubt.",
    ),
    Stop(
        "Break it",
        "Now **push it until it breaks**: turn the digit, blur it, cover it. Then press **Attack it**: the change is "
        "barely visible, yet the network reads another digit, or nearly does. Would it fool you?",
    ),
    Stop(
        "Draw",
        "Your turn: **find a digit that the network misreads and your neighbour does not.** Draw it in a way that "
        "nobody taught the network. Then, below the answer, press the digit that you meant: **That was a …**",
    ),
)


def tour(page: str) -> None:
    """Show the present stop above the page. Goes to the stop's page if the visitor has just moved on to that stop."""
    at = st.session_state.get(session.TOUR)
    if at is None:
        return
    if st.session_state.pop(_MOVED, False) and STOPS[at].page != page:
        session.go_to(STOPS[at].page, _BOX)
    is_last = at == len(STOPS) - 1
    found = _found() if is_last else None
    with st.container(border=True, key="tour_stop"):
        st.write(found or STOPS[at].text)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Back", on_click=_go, args=(at - 1,), disabled=at == 0, key="tour_back")
            if is_last:
                label = "Finish" if found else "Finish without one"
                st.button(label, on_click=_end, type="primary" if found else "secondary", key="tour_done")
            else:
                st.button("Next", on_click=_go, args=(at + 1,), type="primary", key="tour_next")
                st.button("Leave the tour", on_click=_end, type="tertiary", key="tour_leave")
            st.caption(f"{at + 1} of {len(STOPS)}", width="content")


def _found() -> str | None:
    """The text of the last stop once the visitor has corrected a misread digit, until they take that back."""
    kept = session.kept_correction()
    if kept and kept.read != str(kept.label):
        st.session_state[_FOUND] = kept
    found = cast("session.KeptCorrection | None", st.session_state.get(_FOUND))
    if not found or not session.is_still_kept(found):
        return None
    read = f"read {found.read}" if found.read else "saw no digit in it"
    who = "you" if session.is_teacher() else "your teacher"
    return (
        f"**You have found one:** you drew {a_digit(found.label)}, and the network {read}. On the Draw page "
        f"you can ask what would change its mind; on the Teach page {who} can teach it."
    )


def resume(kept: Any) -> None:
    """Continue the tour after a reload. ``kept`` is what the visitor's browser kept, and may be anything."""
    at = kept.get("tour") if isinstance(kept, dict) else None
    if session.pad().is_untouched and isinstance(at, int) and 0 <= at < len(STOPS):
        st.session_state[session.TOUR] = at


def offer_tour() -> None:
    """The button that starts the tour, at the foot of a page."""
    if st.session_state.get(session.TOUR) is None:
        st.button(
            "Take the five-minute tour",
            icon=":material/tour:",
            on_click=_go,
            args=(0,),
            type="tertiary",
            key="tour_take",
        )


def _go(at: int) -> None:
    if st.session_state.get(session.TOUR) is None:
        _keep_ink()
    st.session_state[session.TOUR], st.session_state[_MOVED] = at, True
    session.scroll_to(_BOX, is_arrival=True)
    if STOPS[at].page == "Explore":
        session.set_view(session.usual_view())  # the view that the stop's text describes


def _keep_ink() -> None:
    """Remount the canvas with its ink: as the box above the pad comes or goes, the canvas moves and starts over."""
    pad = session.pad()
    pad.catch_up()
    pad.show(pad.latest)


def _end() -> None:
    _keep_ink()
    st.session_state[session.TOUR] = None
    st.session_state.pop(_FOUND, None)
