"""What a visitor's session holds, and who may change what. Keys that one page alone reads are beside it."""

import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from threading import Lock
from typing import Any, TypeVar, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.navigation.page import Page
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mnist_app.access import AccessError, has_password, is_from_here, is_open
from mnist_app.data.corrections import CorrectionError, find_corrections, is_kept
from mnist_app.data.dataset import find_source
from mnist_app.explore.explorer import View
from mnist_app.ink.photo import open_image
from mnist_app.ink.preprocessing import Prepared, Step, prepare_image
from mnist_app.models.registry import DEFAULT_MODEL, ModelError
from mnist_app.models.shelf import default_model
from mnist_app.reading.number import ReadDigit, read_drawing
from mnist_app.web import shared
from mnist_app.web.canvas import USUAL_PEN, Pad, in_whole_pixels

PEN_WIDTH = "pen_width"
UPLOAD = "upload"
_PAD = "pad"
_PAGE = "page"
_PREPARED, _ANSWERS = "prepared_upload", "answers"
_VIEW, _ADDRESS, _ANSWERED, _REFUSED = "view", "address", "answered", "refused"
WHY, TOUR = "why", "tour"
_PAGES, _LED, _TAKEN, _UNDER = "pages", "led", "taken", "under_picture"
_MODEL = "model"
_SECRET, _TEACHER, _KEPT = "secret", "teacher", "kept_correction"
SHOW_DRAWING = "show_drawing"
TEACH_AWAY, TEACH_CHOSEN = "teach_away", "teach_chosen"  # what was deleted, a press at a time; what is chosen to be

T = TypeVar("T")


def using() -> str:
    """The model that this visitor reads with: chosen, or the default when they came. A new default disturbs nobody.

    While that is deleted, or broken, another one stands in.
    """
    chosen = cast(str, st.session_state.setdefault(_MODEL, default_model()))
    for find in (lambda: chosen, default_model):
        with suppress(ModelError):
            shared.model(name := find())
            return name
    return DEFAULT_MODEL


def stood_in_for() -> str | None:
    """The model that this visitor has chosen, where another one has to stand in for it."""
    return None if using() == st.session_state[_MODEL] else cast(str, st.session_state[_MODEL])


def use(name: str) -> None:
    """Read with another model from now on. Raises ModelError where that cannot be had: the present one stays."""
    shared.model(name)
    st.session_state[_MODEL] = name


def pad() -> Pad:
    """This visitor's canvas."""
    return cast(Pad, st.session_state.setdefault(_PAD, Pad()))


def arrive_at(page: str) -> None:
    """Note which page this run shows. A canvas that was out of sight comes back with the ink it last had."""
    st.session_state[PEN_WIDTH] = st.session_state.get(PEN_WIDTH, USUAL_PEN)  # or a page without it forgets it
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        _keep_upload()
        pad().catch_up()  # a stroke may have come together with the press on the link
        pad().show(pad().latest)


def sent(key: str, name: str) -> Any:
    """What a component has just sent under ``name``; None where it left with its page before Streamlit called back."""
    state = st.session_state.get(key)
    return None if state is None else state.get(name)


def know_pages(pages: list[Page]) -> None:
    """Note the pages there are, so that one can lead to another."""
    st.session_state[_PAGES] = {page.title: page for page in pages}


def go_to(title: str, to: str = "h1") -> None:
    """Show another page instead of the rest of this one, from where the CSS selector ``to`` finds something."""
    if page := st.session_state.get(_PAGES, {}).get(title):
        lead_to(to, is_arrival=True)
        st.switch_page(page)


def lead_to(to: str, is_arrival: bool = False) -> None:
    """Have the page scroll to what the CSS selector ``to`` finds once it is there: on a phone, where it may be off the
    screen; an arrival anywhere, and with the focus, whose place may be gone.
    """
    st.session_state[_LED] = {"to": to, "number": secrets.token_hex(4), "isArrival": is_arrival}


def led() -> dict[str, object]:
    """What lead_to() was asked for last."""
    return cast("dict[str, object]", st.session_state.get(_LED, {}))


# Who may


def is_teacher() -> bool:
    """Whether this visitor may change what everybody shares."""
    if has_password():
        return st.session_state.get(_TEACHER) is True
    return is_open() or is_from_here(st.context.headers)


def require_teacher() -> None:
    """For the callbacks that change what everybody shares, whatever the page shows. Raises AccessError."""
    if is_teacher():
        return
    if has_password():
        raise AccessError(
            "Only a teacher may do that. The password is asked for on the pages Teach, Train, Models and Data."
        )
    raise AccessError("Only somebody at the machine that the app runs on may do that: it was given no password.")


def sign_in(password: str) -> None:
    """Be a teacher for as long as this session lasts. Raises AccessError."""
    shared.gate().admit(password, st.context.ip_address or "this machine")
    st.session_state[_TEACHER] = True


def sign_out() -> None:
    """Be no teacher any more; the ways back for what was deleted as one go, too."""
    for key in (_TEACHER, TEACH_AWAY, TEACH_CHOSEN):
        st.session_state.pop(key, None)


# Corrections


def visitor() -> str:
    """What this visitor is called among corrections: a number drawn by lot, which says nothing of who it is."""
    return visitor_of(secret())


def secret() -> str:
    """What this visitor's tab keeps, to be the same visitor after a reload; nobody else ever sees it."""
    return cast(str, st.session_state.setdefault(_SECRET, secrets.token_hex(16)))


def visitor_of(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()[:32]


def come_back(kept: Any) -> None:
    """Be who this visitor was before a reload, with the ink and what was said of it, unless they have drawn since.

    ``kept`` is what their browser kept, and may be anything.
    """
    if kept is None or not pad().is_untouched:  # None where the page was left before it came: it will be sent again
        return
    told = kept if isinstance(kept, dict) else {}
    known = told.get("secret")
    if isinstance(known, str) and re.fullmatch("[0-9a-f]{32}", known):
        st.session_state[_SECRET] = known
    pad().bring_back(told.get("ink"))
    read_picture_again()  # what was brought back was not drawn over one
    with suppress(CorrectionError):  # whoever keeps something next hears what is wrong
        for last in find_corrections(visitor(), most=1):
            note_kept(Kept(last.id, last.label, last.read, in_whole_pixels(last.drawing)))


@dataclass(frozen=True)
class Kept:
    """What this visitor last said they drew."""

    id: int  # of the correction
    label: int
    read: str | None  # what was read in it; None where it was taken for no digit
    drawn: list[list[list[float]]]  # the ink of which it was said, as Pad.drawn has it


def kept() -> Kept | None:
    """The correction of what is on the pad now, if there is one and nobody has deleted it."""
    found = cast("Kept | None", st.session_state.get(_KEPT))
    if found is None or found.drawn != pad().drawn:
        return None
    return found if is_still_kept(found) else None


def is_still_kept(correction: Kept) -> bool:
    """Whether this visitor's correction was neither taken back nor replaced, whatever is on the pad by now."""
    try:
        return is_kept(correction.id, visitor())
    except CorrectionError:  # it was kept, and whoever changes it now hears what is wrong
        return True


def note_kept(correction: Kept | None) -> None:
    st.session_state[_KEPT] = correction


# What is worked out for a visitor


@dataclass
class Answers:
    """What was last worked out for one visitor, for each question."""

    _known: dict[str, tuple[object, object]] = field(default_factory=dict)  # what it is about, and the answer
    _lock: Lock = field(default_factory=Lock)

    def once(self, question: str, about: object, work: Callable[[], T]) -> T:
        """What ``work`` gives, unless it is known. A run that was ended may be at it still: then that is awaited."""
        with self._lock:
            if question not in self._known or self._known[question][0] != about:
                self._known[question] = about, work()
            return cast(T, self._known[question][1])


def once(question: str, model: str, about: object, work: Callable[[], T]) -> T:
    """What ``work`` gives, not worked out again: the whole page shows what a panel has shown as the pen went up.

    Raises ModelError.
    """
    answers = cast(Answers, st.session_state.setdefault(_ANSWERS, Answers()))
    return answers.once(question, (model, shared.stamp_of(model), about), work)


def own_digits() -> Sequence[ReadDigit]:
    """The digits on this visitor's pad, as the model in use tells them apart; none of a blank one."""
    drawing, name = pad().drawing, using()
    if drawing.is_blank:
        return ()
    return once("own digits", name, drawing.to_points(), lambda: read_drawing(shared.model(name), drawing).digits)


# A picture in place of the drawing


@dataclass(frozen=True, eq=False)
class Taken:
    """A picture that the Draw page reads: of a split, a changed one, or one that was uploaded before another page."""

    prepared: Prepared
    name: str
    label: int | None  # the digit that it shows, where that is known
    over: str | None = None  # what the uploader holds, which is not read meanwhile
    before: "Taken | None" = None  # what was read before it, and is again once it is put back
    is_upload: bool = False

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], name: str, label: int | None) -> "Taken":
        """Of a picture (28, 28), 0 = paper, 255 = ink."""
        step = Step(
            "28 × 28", "As MNIST has it: all that the network sees.", pixels.astype(np.float32) / np.float32(255)
        )
        return cls(Prepared(pixels, (step,)), name, label)

    def without_uploader(self, upload: "Taken") -> "Taken":
        """The same once the uploader is gone, and what it held is known."""
        before = self.before.without_uploader(upload) if self.before else upload
        return replace(self, over=None, before=before)


def take(pixels: NDArray[np.uint8], name: str, label: int | None, before: Taken | None = None) -> None:
    """Have the Draw page read a picture until it is put back, or another one is uploaded."""
    st.session_state[_TAKEN] = replace(Taken.of(pixels, name, label), over=uploaded(), before=before)


def taken() -> Taken | None:
    """The picture that the Draw page is to read, if one was taken there and nothing was uploaded since."""
    found = cast("Taken | None", st.session_state.get(_TAKEN))
    if found and found.over != uploaded():
        st.session_state.pop(_TAKEN)
        return None
    return found


def put_back() -> None:
    """Have the Draw page read what it read before the picture that was taken to it: another one, or the pad."""
    found = cast("Taken | None", st.session_state.pop(_TAKEN, None))
    if found and found.before:
        st.session_state[_TAKEN] = found.before


def prepared_upload(upload: UploadedFile) -> Prepared:
    """An uploaded picture ready to be read; worked out once, however often the page runs. Raises AppError."""
    kept = st.session_state.get(_PREPARED)
    if kept is None or kept[0] != upload.file_id:
        forget_upload()
        kept = upload.file_id, prepare_image(open_image(upload.getvalue()))
        st.session_state[_PREPARED] = kept
    return cast(Prepared, kept[1])


def forget_upload() -> None:
    """Note that there is no uploaded picture, or none that can be read."""
    st.session_state.pop(_PREPARED, None)


def uploaded() -> str | None:
    """What the picture on the Draw page is known by, where one was uploaded."""
    upload = cast("UploadedFile | None", st.session_state.get(UPLOAD))
    return upload.file_id if upload else None


def _keep_upload() -> None:
    """Have what was uploaded outlive the uploader, which forgets it with its page."""
    found, kept = cast("Taken | None", st.session_state.get(_TAKEN)), st.session_state.pop(_PREPARED, None)
    if kept:
        upload = Taken(kept[1], "your picture", None, is_upload=True)
        st.session_state[_TAKEN] = found.without_uploader(upload) if found else upload


def is_drawn_over(picture: Prepared) -> bool:
    """Whether the pad has got strokes since a picture came to be read: then it is the drawing that is meant."""
    strokes = len(pad().strokes)
    known, under = cast("tuple[Prepared | None, int]", st.session_state.get(_UNDER, (None, 0)))
    under = min(under, strokes) if known is picture else strokes
    st.session_state[_UNDER] = picture, under
    return strokes > under


def read_picture_again() -> None:
    """Have the Draw page read the picture, whatever has been drawn since it came."""
    st.session_state.pop(_UNDER, None)


# Exploring


def usual_view() -> View:
    """What Explore shows when nobody asks for anything: the model in use on test, or on what there is."""
    return View(using(), find_source().splits[-1])


def view() -> tuple[View, tuple[str, ...]]:
    """What this visitor looks at, and the names of query parameters that made no sense.

    The address decides when it is new: opened, reloaded, gone back to. A run that answers a press does not ask it, for
    the browser may have sent it before it heard of the view that it is now. What made no sense is named until then:
    the page runs again by itself when a split has been read.
    """
    asked = st.query_params.to_dict()
    is_answer = st.session_state.pop(_ANSWERED, False)
    if is_answer or not asked:
        st.session_state.pop(_REFUSED, None)
    elif asked != st.session_state.get(_ADDRESS):
        st.session_state[_VIEW], st.session_state[_REFUSED] = View.from_query(asked, usual_view())
    return cast(View, st.session_state.setdefault(_VIEW, usual_view())), st.session_state.get(_REFUSED, ())


def seen() -> View:
    """What this visitor looks at by now; what a run was given may be a press behind."""
    return cast(View, st.session_state[_VIEW])


def show(view: View) -> None:
    """Look at something else, from the callback of what was pressed."""
    st.session_state[_VIEW], st.session_state[_ANSWERED] = view, True


def write_address(view: View) -> None:
    """Put the view into the address bar, which then knows of the press that this run answers."""
    query = view.to_query()
    st.session_state[_VIEW], st.session_state[_ADDRESS] = view, query
    st.session_state.pop(_ANSWERED, None)
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def see_drawing() -> None:
    """Look at the map with what is drawn on the pad."""
    show(replace(st.session_state.get(_VIEW) or usual_view(), panel="map"))
    st.session_state[SHOW_DRAWING] = True
