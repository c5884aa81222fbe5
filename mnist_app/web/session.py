"""The state of a visitor's session, and who may change what. Keys that only one page reads are defined there."""

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
_PAGES, _SCROLL, _PICTURE_INPUT, _UNDER = "pages", "scroll_target", "picture_input", "under_picture"
_MODEL = "model"
_SECRET, _TEACHER, _KEPT = "secret", "teacher", "kept_correction"
SHOW_DRAWING = "show_drawing"
TEACH_DELETED, TEACH_CHOSEN = "teach_away", "teach_chosen"  # deleted ids, a list per press; ids selected to be deleted

T = TypeVar("T")


def using() -> str:
    """The model that this visitor uses: the one they chose, or else what was the default when they came.

    If that model is deleted or broken, the present default stands in for it, or else the shipped default.
    """
    chosen = cast(str, st.session_state.setdefault(_MODEL, default_model()))
    for find in (lambda: chosen, default_model):
        with suppress(ModelError):
            shared.model(name := find())
            return name
    return DEFAULT_MODEL


def stood_in_for() -> str | None:
    """The model that this visitor has chosen if another one has to stand in for it, else None."""
    return None if using() == st.session_state[_MODEL] else cast(str, st.session_state[_MODEL])


def use(name: str) -> None:
    """Switch to another model. Raises ModelError, and keeps the present one, if that cannot be loaded."""
    shared.model(name)
    st.session_state[_MODEL] = name


def pad() -> Pad:
    """This visitor's pad."""
    return cast(Pad, st.session_state.setdefault(_PAD, Pad()))


def arrive_at(page: str) -> None:
    """Note which page this run shows. After a change of page, the canvas comes back with its latest ink."""
    st.session_state[PEN_WIDTH] = st.session_state.get(PEN_WIDTH, USUAL_PEN)  # else lost on a page without the slider
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        _keep_upload()
        pad().catch_up()  # a stroke may have come in the same run as the click on the link
        pad().show(pad().latest)


def sent(key: str, name: str) -> Any:
    """What a component has just sent under ``name``; None if its page was left before Streamlit called back."""
    state = st.session_state.get(key)
    return None if state is None else state.get(name)


def know_pages(pages: list[Page]) -> None:
    """Note all pages by title, so that go_to() finds them."""
    st.session_state[_PAGES] = {page.title: page for page in pages}


def go_to(title: str, to: str = "h1") -> None:
    """Show another page instead of the rest of this one, scrolled to what the CSS selector ``to`` finds."""
    if page := st.session_state.get(_PAGES, {}).get(title):
        scroll_to(to, is_arrival=True)
        st.switch_page(page)


def scroll_to(to: str, is_arrival: bool = False) -> None:
    """Have the page scroll to the element that the CSS selector ``to`` finds, once that is there.

    It scrolls only on a phone, and only if the element is off the screen. An arrival scrolls everywhere, and moves the
    focus to the element too, because whatever had the focus may be gone.
    """
    st.session_state[_SCROLL] = {"to": to, "number": secrets.token_hex(4), "isArrival": is_arrival}


def scroll_target() -> dict[str, object]:
    """The arguments of the last scroll_to(), as scroll.js takes them."""
    return cast("dict[str, object]", st.session_state.get(_SCROLL, {}))


# Who may do what


def is_teacher() -> bool:
    """Whether this visitor may change what everybody shares."""
    if has_password():
        return st.session_state.get(_TEACHER) is True
    return is_open() or is_from_here(st.context.headers)


def why_not() -> str | None:
    """Why this visitor may not change what everybody shares; None if they may."""
    if is_teacher():
        return None
    if has_password():
        return "Only a teacher may do that. Sign in on the Teach, Train, Models or Data page."
    return "No teacher password is set, so this can be done only on the machine that runs the app."


def require_teacher() -> None:
    """Guard a callback that changes what everybody shares, whatever the page shows. Raises AccessError."""
    if reason := why_not():
        raise AccessError(reason)


def sign_in(password: str) -> None:
    """Make this visitor a teacher until the session ends. Raises AccessError."""
    shared.gate().admit(password, st.context.ip_address or "this machine")
    st.session_state[_TEACHER] = True


def sign_out() -> None:
    """Make this visitor a pupil again. They can no longer undo earlier deletions."""
    for key in (_TEACHER, TEACH_DELETED, TEACH_CHOSEN):
        st.session_state.pop(key, None)


# Corrections


def visitor() -> str:
    """The random number under which this visitor's corrections are kept. It does not reveal who they are."""
    return visitor_of(secret())


def secret() -> str:
    """A random secret that the browser tab keeps, to be the same visitor after a reload. Nobody else ever sees it."""
    return cast(str, st.session_state.setdefault(_SECRET, secrets.token_hex(16)))


def visitor_of(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()[:32]


def come_back(kept: Any) -> None:
    """After a reload, restore this visitor's identity, ink and last correction, unless they have drawn since.

    ``kept`` is what their browser kept. It may be anything.
    """
    if kept is None or not pad().is_untouched:  # None: the page was left before it came; it is sent again
        return
    told = kept if isinstance(kept, dict) else {}
    known = told.get("secret")
    if isinstance(known, str) and re.fullmatch("[0-9a-f]{32}", known):
        st.session_state[_SECRET] = known
    pad().restore(told.get("ink"))
    read_picture_again()  # the restored ink was not drawn over it
    with suppress(CorrectionError):  # the next attempt to keep one reports it
        for last in find_corrections(visitor(), most=1):
            note_correction(KeptCorrection(last.id, last.label, last.read, in_whole_pixels(last.drawing)))


@dataclass(frozen=True)
class KeptCorrection:
    """This visitor's last correction."""

    id: int
    label: int
    read: str | None  # what the model read; None if it refused
    drawn: list[list[list[float]]]  # the ink it is about, like Pad.drawn


def kept_correction() -> KeptCorrection | None:
    """The correction of the ink that is on the pad now, if there is one and it has not been deleted."""
    found = cast("KeptCorrection | None", st.session_state.get(_KEPT))
    if found is None or found.drawn != pad().drawn:
        return None
    return found if is_still_kept(found) else None


def is_still_kept(correction: KeptCorrection) -> bool:
    """Whether this visitor's correction was neither taken back nor replaced, whatever is on the pad now."""
    try:
        return is_kept(correction.id, visitor())
    except CorrectionError:  # it was kept; the next attempt to change it reports this
        return True


def note_correction(correction: KeptCorrection | None) -> None:
    st.session_state[_KEPT] = correction


# Answers computed for one visitor


@dataclass
class Answers:
    """The latest answer to each question of one visitor."""

    _known: dict[str, tuple[object, object]] = field(default_factory=dict)  # (what it is about, the answer)
    _lock: Lock = field(default_factory=Lock)

    def once(self, question: str, about: object, work: Callable[[], T]) -> T:
        """The result of ``work``, computed only if not known. Waits if a stopped run is still computing it."""
        with self._lock:
            if question not in self._known or self._known[question][0] != about:
                self._known[question] = about, work()
            return cast(T, self._known[question][1])


def once(question: str, model: str, about: object, work: Callable[[], T]) -> T:
    """The result of ``work``, kept: a panel shows it as the pen goes up, and the whole page then shows it again.

    Raises ModelError.
    """
    answers = cast(Answers, st.session_state.setdefault(_ANSWERS, Answers()))
    return answers.once(question, (model, shared.stamp_of(model), about), work)


def own_digits() -> Sequence[ReadDigit]:
    """The digits on this visitor's pad, as the model in use splits the drawing; none if the pad is blank."""
    drawing, name = pad().drawing, using()
    if drawing.is_blank:
        return ()
    return once("own digits", name, drawing.to_points(), lambda: read_drawing(shared.model(name), drawing).digits)


# A picture that is read instead of the drawing


@dataclass(frozen=True, eq=False)
class PictureInput:
    """A picture that the Draw page reads: from a split, a changed one, or an upload from before a change of page."""

    prepared: Prepared
    name: str
    label: int | None  # the digit that it shows, if known
    over: str | None = None  # file id of an upload, which is not read meanwhile
    before: "PictureInput | None" = None  # what put_back() returns to
    is_upload: bool = False

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], name: str, label: int | None) -> "PictureInput":
        """From a picture (28, 28), 0 = paper, 255 = ink."""
        step = Step(
            "28 × 28", "As in MNIST. This is all that the network sees.", pixels.astype(np.float32) / np.float32(255)
        )
        return cls(Prepared(pixels, (step,)), name, label)

    def without_uploader(self, upload: "PictureInput") -> "PictureInput":
        """The same once the uploader is gone: ``upload``, which it held, becomes the last picture to go back to."""
        before = self.before.without_uploader(upload) if self.before else upload
        return replace(self, over=None, before=before)


def read_picture_instead(
    pixels: NDArray[np.uint8], name: str, label: int | None, before: PictureInput | None = None
) -> None:
    """Have the Draw page read a picture until put_back() or another upload."""
    st.session_state[_PICTURE_INPUT] = replace(PictureInput.of(pixels, name, label), over=uploaded(), before=before)


def picture_input() -> PictureInput | None:
    """The picture that the Draw page reads, if one was chosen and nothing has been uploaded since."""
    found = cast("PictureInput | None", st.session_state.get(_PICTURE_INPUT))
    if found and found.over != uploaded():
        st.session_state.pop(_PICTURE_INPUT)
        return None
    return found


def put_back() -> None:
    """Have the Draw page read what it read before this picture: another picture, or the pad."""
    found = cast("PictureInput | None", st.session_state.pop(_PICTURE_INPUT, None))
    if found and found.before:
        st.session_state[_PICTURE_INPUT] = found.before


def prepared_upload(upload: UploadedFile) -> Prepared:
    """An uploaded picture ready to be read. It is prepared once, however often the page runs. Raises AppError."""
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
    """The file id of the picture in the Draw page's uploader, if any."""
    upload = cast("UploadedFile | None", st.session_state.get(UPLOAD))
    return upload.file_id if upload else None


def _keep_upload() -> None:
    """Keep an upload, which Streamlit's uploader forgets when its page is left."""
    found, kept = (
        cast("PictureInput | None", st.session_state.get(_PICTURE_INPUT)),
        st.session_state.pop(_PREPARED, None),
    )
    if kept:
        upload = PictureInput(kept[1], "your picture", None, is_upload=True)
        st.session_state[_PICTURE_INPUT] = found.without_uploader(upload) if found else upload


def is_drawn_over(picture: Prepared) -> bool:
    """Whether strokes were added to the pad since this picture was first read: then the drawing is read instead."""
    strokes = len(pad().strokes)
    known, under = cast("tuple[Prepared | None, int]", st.session_state.get(_UNDER, (None, 0)))
    under = min(under, strokes) if known is picture else strokes
    st.session_state[_UNDER] = picture, under
    return strokes > under


def read_picture_again() -> None:
    """Have the Draw page read the picture, whatever has been drawn over it."""
    st.session_state.pop(_UNDER, None)


# Exploring


def usual_view() -> View:
    """What Explore shows by default: the model in use on the test split, or on the sample's only split."""
    return View(using(), find_source().splits[-1])


def view_from_address() -> tuple[View, tuple[str, ...]]:
    """What this visitor looks at, and the names of invalid query parameters.

    A new address (opened, reloaded, gone back to) sets the view. A run that answers a press ignores the address, which
    the browser may have sent before it learned of the present view. Invalid names are reported until the next press,
    because the page also reruns by itself when a split has been read.
    """
    asked = st.query_params.to_dict()
    is_answer = st.session_state.pop(_ANSWERED, False)
    if is_answer or not asked:
        st.session_state.pop(_REFUSED, None)
    elif asked != st.session_state.get(_ADDRESS):
        st.session_state[_VIEW], st.session_state[_REFUSED] = View.from_query(asked, usual_view())
    return cast(View, st.session_state.setdefault(_VIEW, usual_view())), st.session_state.get(_REFUSED, ())


def current_view() -> View:
    """What this visitor looks at now; the view that a run was given may be one press behind."""
    return cast(View, st.session_state[_VIEW])


def set_view(view: View) -> None:
    """Set the view, from the callback of a press."""
    st.session_state[_VIEW], st.session_state[_ANSWERED] = view, True


def write_address(view: View) -> None:
    """Put the view into the address bar, with the effect of the press that this run answers."""
    query = view.to_query()
    st.session_state[_VIEW], st.session_state[_ADDRESS] = view, query
    st.session_state.pop(_ANSWERED, None)
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def see_drawing() -> None:
    """Set the view to the map, with the drawing on the pad shown in it."""
    set_view(replace(st.session_state.get(_VIEW) or usual_view(), panel="map"))
    st.session_state[SHOW_DRAWING] = True
