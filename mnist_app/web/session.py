"""What a visitor's session holds, who may change what, and what is loaded or computed once for all.

Keys that one page alone reads are beside it.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any, TypeVar, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.navigation.page import Page
from streamlit.runtime.uploaded_file_manager import UploadedFile
from torch import nn

from mnist_app.access import AccessError, Gate, has_password, is_from_here, is_open
from mnist_app.data.corrections import CorrectionError, find_corrections, is_kept
from mnist_app.data.dataset import Digits, Source, find_source, load_split
from mnist_app.data.fetch import Download
from mnist_app.explain.attacks import Attack, accuracy_under
from mnist_app.explain.doctor import Norms
from mnist_app.explain.feature_maps import Favourites
from mnist_app.explore.explorer import Readings, View
from mnist_app.explore.favourites import favourites_of
from mnist_app.explore.neighbours import Neighbours, Sketch, known_neighbours, sketch_of
from mnist_app.explore.predictions import predict, predictions_of
from mnist_app.explore.projection import Layout, Places, known_tsne, pca
from mnist_app.ink.photo import open_image
from mnist_app.ink.preprocessing import Prepared, Step, prepare_image
from mnist_app.ink.strokes import Drawing, DrawingError
from mnist_app.models.registry import CARD, DEFAULT_MODEL, PEN, ModelError, answering_file, find_model
from mnist_app.models.shelf import default_model, restorable
from mnist_app.reading.evaluation import Evaluation, evaluate
from mnist_app.reading.number import ReadDigit, read_drawing
from mnist_app.reading.recognition import Glyph, Prediction, Recogniser, load_recogniser, read_with, recognise_glyphs
from mnist_app.training.jobs import Job, JobError, snapshot_network
from mnist_app.training.queue import Queue
from mnist_app.work import Progress, Work

CANVASES = 8  # names in turn: Streamlit remembers each name for as long as the session lasts
MOST_MODELS = 48  # in memory at once, each with 6 MB, an ensemble with 16, a few of the lab's with more
MOST_MOMENTS = 100  # networks of trainings' moments, each with half a MB
MOST_READ = 2_000  # readings by those networks: a class with a drawing each, twelve moments, and some to spare
PAD_SIDE = 340  # CSS pixels: as large as a 375 px wide phone has room for; style.css makes it smaller on smaller ones
INK = "#1a1a1a"  # the same in both themes, as the paper is
MOST_ATTACKS = 500  # figures kept of models under attack
ATTACKED = 1_000  # digits that an attack's accuracy is measured on
PEN_WIDTHS, USUAL_PEN = (6, 40), 18  # CSS pixels

PEN_WIDTH = "pen_width"
UPLOAD = "upload"
_PAD = "pad"
_PAGE = "page"
_PREPARED, _ANSWERS = "prepared_upload", "answers"
_VIEW, _ADDRESS, _ANSWERED, _REFUSED = "view", "address", "answered", "refused"
WHY, WHY_PICTURE, WHY_DIGIT, WHY_LAYERS, MEANT = "why", "why_picture", "why_digit", "why_layers", "meant"
BREAK_HOW, BREAK_WHICH, BREAK_DIGIT, BREAK_NUMBER = "break_how", "break_which", "break_digit", "break_number"
BREAK_MODELS, BREAK_WHAT, BREAK_LEVELS = "break_models", "break_what", "break_levels"
BREAK_METHOD, BREAK_TARGET, BREAK_ALL = "break_method", "break_target", "break_all"
TOUR, TOUR_MOVED = "tour", "tour_moved"
_PAGES, _TAKEN, _UNDER = "pages", "taken", "under_picture"
_MODEL = "model"
_VISITOR, _SECRET, _TEACHER, _KEPT = "visitor", "secret", "teacher", "kept_correction"
SHOW_DRAWING = "show_drawing"
TEACH_AWAY, TEACH_CHOSEN = "teach_away", "teach_chosen"  # what was deleted, a press at a time; what is chosen to be

MOST_EXPLORED = 8  # splits as models read them that stay in memory; each takes up to 75 MB

T = TypeVar("T")

Stamp = tuple[tuple[int, int], ...]  # when each file was written, in nanoseconds, and its size

_loading: dict[tuple[str, Stamp], Lock] = {}  # by model and stamp: of one, the first to ask loads it for all
_beginning = Lock()  # two visitors may ask for the same map at once
_attacking = Lock()  # a class may ask about as many attacks as it likes: one after the other
LONGEST_WAIT = 0.5  # seconds that a page waits for its turn
_turns = Lock()


@lru_cache(maxsize=MOST_MODELS)  # asked several times in every run, and a tenth of what st.cache_resource costs
def _model(name: str, stamp: Stamp) -> Recogniser:
    return load_recogniser(name)


def model(name: str) -> Recogniser:
    """A model by its name, loaded once for all sessions and again when its weights change. Raises ModelError."""
    key = name, stamp_of(name)
    with _loading.setdefault(key, Lock()):  # a class that hears of a new default asks for it at once
        return _model(*key)


def using() -> str:
    """The model that this visitor reads with: chosen, or the default when they came. A new default disturbs nobody.

    While that is deleted, or broken, another one stands in.
    """
    chosen = cast(str, st.session_state.setdefault(_MODEL, default_model()))
    for find in (lambda: chosen, default_model):
        with suppress(ModelError):
            model(name := find())
            return name
    return DEFAULT_MODEL


def stood_in_for() -> str | None:
    """The model that this visitor has chosen, where another one has to stand in for it."""
    return None if using() == st.session_state[_MODEL] else cast(str, st.session_state[_MODEL])


def use(name: str) -> None:
    """Read with another model from now on. Raises ModelError where that cannot be had: the present one stays."""
    model(name)
    st.session_state[_MODEL] = name


@st.cache_resource(show_spinner=False)
def split(name: str, source: Source) -> Digits:
    """One split, read once for all sessions; ``source`` only says when to read again."""
    return load_split(name)


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


@st.cache_resource(show_spinner=False)
def downloads() -> list[Download]:
    """The download that is under way or ended last, if any: one for all visitors."""
    return []


def download() -> None:
    """Begin to fetch MNIST, unless that is under way: two visitors may press at once. Raises AccessError."""
    require_teacher()
    with _beginning:
        if not (downloads() and downloads()[-1].is_running):
            downloads()[:] = [Download()]


@dataclass
class Pad:
    """One visitor's canvas. A new version is a new canvas, which starts with ``restored`` and then owns the ink."""

    version: int = 0
    restored: dict[str, Any] | None = None  # Fabric JSON that this version of the canvas started with
    latest: dict[str, Any] | None = None  # Fabric JSON as the canvas last sent it
    covered: tuple[int, dict[str, Any] | None] | None = None  # strokes of what was put over the ink, and that ink
    ahead: Drawing | None = None  # the ink as it was read before this version of the canvas told of it
    is_untouched: bool = True  # nothing was drawn, cleared or brought back yet: ink from before a reload is welcome

    @property
    def key(self) -> str:
        """The canvas's name; by the time it comes again, whatever the earlier one had to say has long been said."""
        return f"pad-{self.version % CANVASES}"

    def show(self, ink: dict[str, Any] | None) -> None:
        """Put ink on a new canvas; what is on the present one is given up."""
        self.version += 1
        self.restored = self.latest = ink
        self.ahead = None

    def put(self, drawing: Drawing) -> None:
        """Show a drawing in place of what is on the canvas, which Undo brings back, even what came with the press."""
        self.catch_up()
        self.is_untouched = False
        self.covered = len(drawing.strokes), self.latest
        pen = drawing.pen_width or USUAL_PEN
        self.show(drawing.moved_onto(PAD_SIDE, pen / 2).to_fabric(pen, INK))

    def clear(self) -> None:
        """Start over on a blank canvas; Undo brings back what was on this one, even what came with the press."""
        self.catch_up()
        if not self.strokes:  # a second press, which is not to take the first one's place
            return
        self.is_untouched = False
        self.covered = 0, self.latest
        self.show(None)

    def bring_back(self, ink: Any) -> None:
        """Show ink from before a reload, if there was any and it can be a drawing."""
        if ink is not None:
            with suppress(DrawingError):
                self.accept({"drawing": {"raw": ink}})
                self.show(self.latest)
        self.is_untouched = False

    def accept(self, state: Any) -> None:
        """Take over what the browser holds as the state of this canvas, if it can be that. Raises DrawingError."""
        try:
            drawing, fit = state.get("drawing"), state.get("backgroundFit")
            ink = drawing if drawing is None else drawing["raw"]
        except (AttributeError, KeyError, TypeError):
            raise DrawingError("The canvas sent something that is no drawing.") from None
        if fit is not None or not isinstance(ink, dict | None):
            raise DrawingError("The canvas sent something that is no drawing.")
        if ink is not None:
            Drawing.from_fabric(ink)
            self.latest = ink
            self.is_untouched = False

    def catch_up(self) -> None:
        """Take over what the canvas sent together with what this run answers, if anything, before it is shown anew."""
        with suppress(KeyError, DrawingError):  # nothing drawn on this canvas yet, or nothing that a canvas sends
            self.accept(st.session_state[self.key])

    @property
    def can_undo(self) -> bool:
        """Whether there is anything to take back."""
        return bool(self.strokes or self.covered)

    def undo(self) -> None:
        """Take back the last stroke, even one that the canvas sent together with this; or what was put on the pad."""
        self.catch_up()
        if self.covered and len(self.strokes) == self.covered[0]:
            ink, self.covered = self.covered[1], None
            self.show(ink)
        elif self.strokes:
            self.show({**(self.latest or {}), "objects": self.strokes[:-1]})

    @property
    def strokes(self) -> list[Any]:
        """The objects on the canvas."""
        return list((self.latest or {}).get("objects", []))

    @property
    def drawing(self) -> Drawing:
        """The ink as the canvas last sent it."""
        return Drawing.from_fabric(self.latest or {})

    @property
    def drawn(self) -> list[list[list[float]]]:
        """The ink in whole pixels: the same after the canvas was shown anew, whatever else it then says of it."""
        return _in_whole_pixels(self.drawing)


def _in_whole_pixels(drawing: Drawing) -> list[list[list[float]]]:
    return [stroke.round().tolist() for stroke in drawing.strokes]


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


# Who may


@st.cache_resource(show_spinner=False)
def gate() -> Gate:
    """Asks for the teacher's password: one for all visitors."""
    return Gate()


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
    gate().admit(password, st.context.ip_address or "this machine")
    st.session_state[_TEACHER] = True


def sign_out() -> None:
    """Be no teacher any more; the ways back for what was deleted as one go, too."""
    for key in (_TEACHER, TEACH_AWAY, TEACH_CHOSEN):
        st.session_state.pop(key, None)


# Corrections


def visitor() -> str:
    """What this visitor is called among corrections: a number drawn by lot, which says nothing of who it is."""
    return cast(str, st.session_state.setdefault(_VISITOR, _called(secret())))


def secret() -> str:
    """What this visitor's tab keeps, to be the same visitor after a reload; nobody else ever sees it."""
    return cast(str, st.session_state.setdefault(_SECRET, secrets.token_hex(16)))


def _called(secret: str) -> str:
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
        st.session_state[_SECRET], st.session_state[_VISITOR] = known, _called(known)
    pad().bring_back(told.get("ink"))
    read_picture_again()  # what was brought back was not drawn over one
    with suppress(CorrectionError):  # whoever keeps something next hears what is wrong
        for last in find_corrections(visitor(), most=1):
            note_kept(Kept(last.id, last.label, last.read, _in_whole_pixels(last.drawing)))


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


# Training


@st.cache_resource(show_spinner=False)
def queue() -> Queue:
    """The trainings: one queue for all visitors."""
    return Queue()


def spoken_for() -> set[str]:
    """Names that no new model may have, besides those of the models there are: deleted ones' and trainings'."""
    return {*restorable(), *(job.name for job in queue().jobs())}


@lru_cache(maxsize=MOST_MOMENTS)
def _moment(identity: str, architecture: str, passes: float) -> nn.Module:
    return snapshot_network(identity, architecture, passes)


@lru_cache(maxsize=MOST_READ)  # who looks on asks for a dozen every second
def _reading(identity: str, architecture: str, passes: float, pixels: bytes) -> Prediction:
    picture = np.frombuffer(bytearray(pixels), np.uint8).reshape(28, 28)
    return read_with(_moment(identity, architecture, passes), picture)


def read_at(job: Job, passes: float, pixels: NDArray[np.uint8]) -> Prediction:
    """What a network read in a picture (28, 28) at a moment of its training that was kept. Raises JobError."""
    if job.request is None:
        raise JobError("It is not known any more which network this training was of.")
    return _reading(job.id, job.request.config.architecture, passes, pixels.tobytes())


@lru_cache(maxsize=MOST_READ)  # two dozen models at once, whenever the page of the lab runs
def _read_by(name: str, stamp: Stamp, pixels: bytes, trajectory: bytes) -> Prediction:
    way = np.frombuffer(trajectory, np.float32).reshape(-1, 3) if trajectory else None
    return recognise_glyphs(model(name), [Glyph(np.frombuffer(pixels, np.uint8).reshape(28, 28), way)])[0]


def read_by(name: str, drawn: Glyph) -> Prediction:
    """What a model reads in what was drawn, as one digit. Raises ModelError."""
    way = b"" if drawn.trajectory is None else drawn.trajectory.tobytes()
    return _read_by(name, stamp_of(name), drawn.pixels.tobytes(), way)


def own_digits() -> Sequence[ReadDigit]:
    """The digits on this visitor's pad, as the model in use tells them apart; none of a blank one."""
    drawing, name = pad().drawing, using()
    if drawing.is_blank:
        return ()
    return once("own digits", name, drawing.to_points(), lambda: read_drawing(model(name), drawing).digits)


# Saying why


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
    return answers.once(question, (model, stamp_of(model), about), work)


# Going from page to page


@contextmanager
def turn() -> Iterator[None]:
    """The Draw pages of a class are made one after the other: an answer waits behind one script, not behind thirty.

    Nobody waits for long: who has waited LONGEST_WAIT goes on beside the others.
    """
    is_ours = _turns.acquire(timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if is_ours:
            _turns.release()


def sent(key: str, name: str) -> Any:
    """What a component has just sent under ``name``; None where it left with its page before Streamlit called back."""
    state = st.session_state.get(key)
    return None if state is None else state.get(name)


def know_pages(pages: list[Page]) -> None:
    """Note the pages there are, so that one can lead to another."""
    st.session_state[_PAGES] = {page.title: page for page in pages}


def go_to(title: str) -> None:
    """Show another page instead of the rest of this one."""
    if page := st.session_state.get(_PAGES, {}).get(title):
        st.switch_page(page)


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


def uploaded() -> str | None:
    """What the picture on the Draw page is known by, where one was uploaded."""
    upload = cast("UploadedFile | None", st.session_state.get(UPLOAD))
    return upload.file_id if upload else None


def put_back() -> None:
    """Have the Draw page read what it read before the picture that was taken to it: another one, or the pad."""
    found = cast("Taken | None", st.session_state.pop(_TAKEN, None))
    if found and found.before:
        st.session_state[_TAKEN] = found.before


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


def stamp_of(model: str) -> Stamp:
    """Changes whenever what a model answers does: weights, those of the pen, the card. Raises ModelError."""
    folder = find_model(model)
    path = answering_file(folder)
    try:
        found = [path.stat()]
        for path in (folder / PEN, folder / CARD):
            found += [path.stat()] if path.exists() else []
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    return tuple((each.st_mtime_ns, each.st_size) for each in found)


@dataclass(frozen=True, eq=False)
class Explored:
    """A split with what a model makes of it, and why that could not be kept for the next time, if so."""

    readings: Readings
    evaluation: Evaluation
    problem: str | None


@st.cache_resource(show_spinner=False, max_entries=MOST_EXPLORED)
def _exploring(model: str, stamp: Stamp, name: str, source: Source) -> Work[Explored]:
    def explore(progress: Progress) -> Explored:
        digits = split(name, source)
        predictions, problem = predictions_of(model, name, digits, progress)
        readings = Readings(name, digits, predictions)
        _ = readings.thickness, readings.slant, readings.averages, readings.losses  # now rather than in a click
        return Explored(readings, evaluate(digits.labels, predictions.read), problem)

    return Work(explore)


def exploring(model: str, name: str) -> Work[Explored]:
    """The computation of a model's readings of a split, done or under way: one for all visitors. Raises ModelError."""
    return cast(Work[Explored], _unless_failed(_exploring, model, stamp_of(model), name, find_source()))


def _unless_failed(cached: Any, *key: object) -> Any:
    """Work that is cached, and forgotten once somebody has been told that it failed: the next to ask begins anew."""
    work = cached(*key)
    if work.problem:
        cached.clear(*key)
    return work


@st.cache_resource(show_spinner=False)
def norms() -> Norms:
    """What real digits are like: the 5,000 of the validation split, which are here without a download."""
    return Norms.of(split("validation", find_source()))


@st.cache_resource(show_spinner=False, max_entries=MOST_MODELS)
def _favourites(model: str, stamp: Stamp, source: Source) -> Work[tuple[Favourites, ...]]:
    name = source.splits[0]  # to learn from, or the sample

    def compute(progress: Progress) -> tuple[Favourites, ...]:
        return favourites_of(model, name, split(name, source), progress)

    return Work(compute)


def maps_favourites(model: str) -> Work[tuple[Favourites, ...]]:
    """What each map of a model responds to most, computed once for all visitors. Raises ModelError."""
    return cast(Work[tuple[Favourites, ...]], _unless_failed(_favourites, model, stamp_of(model), find_source()))


@st.cache_resource(show_spinner=False, max_entries=MOST_ATTACKS)
def _under_attack(model_name: str, stamp: Stamp, source: Source, attack: Attack) -> Work[float]:
    digits = split(source.splits[-1], source)
    some = digits[slice(0, len(digits), len(digits) // ATTACKED)]  # spread out, for the sample is in order

    def measure(progress: Progress) -> float:
        with _attacking:
            return accuracy_under(attack, model(model_name), some, progress)

    return Work(measure)


def under_attack(model: str, attack: Attack) -> Work[float]:
    """How a model fares when ATTACKED digits are attacked, under way or done, once for all visitors.

    Raises ModelError.
    """
    return cast(Work[float], _unless_failed(_under_attack, model, stamp_of(model), find_source(), attack))


@st.cache_resource(show_spinner=False, max_entries=MOST_EXPLORED)
def _pca(model: str, stamp: Stamp, name: str, source: Source, _readings: Readings) -> Places:
    return pca(_readings.predictions.features)[0]


@st.cache_resource(show_spinner=False, max_entries=MOST_EXPLORED)
def _known_tsne(model: str, stamp: Stamp, name: str, source: Source) -> Places | None:
    return known_tsne(model, name, split(name, source))


@st.cache_resource(show_spinner=False)
def layouts() -> dict[tuple[str, str], Layout]:
    """The maps that are being computed or were, by model and split: one for all visitors."""
    return {}


def places(model: str, readings: Readings, method: str) -> Places | None:
    """Where the pictures lie on a map; None while that is not known."""
    key = model, stamp_of(model), readings.split, find_source()
    if method == "pca":
        return _pca(*key, readings)
    found = _known_tsne(*key)
    if found is None:
        _known_tsne.clear(*key)  # it may be computed by the next time
    return found


def lay_out(model: str, name: str) -> None:
    """Begin to compute a t-SNE map, unless one is under way: a class draws on the same machine."""
    with _beginning:
        if running_layout() is None:
            layouts()[model, name] = Layout(model, name)


def running_layout() -> tuple[str, str] | None:
    """The model and the split whose map is being computed, if any."""
    return next((key for key, layout in layouts().items() if layout.is_running), None)


def see_drawing() -> None:
    """Look at the map with what is drawn on the pad."""
    show(replace(st.session_state.get(_VIEW) or usual_view(), panel="map"))
    st.session_state[SHOW_DRAWING] = True


@st.cache_resource(show_spinner=False, max_entries=MOST_MODELS)
def _sketch(model: str, stamp: Stamp, source: Source) -> Work[Sketch]:
    name = source.splits[0]  # to learn from, or the sample

    def compute(progress: Progress) -> Sketch:
        return sketch_of(model, name, split(name, source), progress)

    return Work(compute)


def sketch(model: str) -> Work[Sketch]:
    """The training pictures as a model sees them, computed once for all visitors. Raises ModelError."""
    return cast(Work[Sketch], _unless_failed(_sketch, model, stamp_of(model), find_source()))


@st.cache_resource(show_spinner=False, max_entries=MOST_EXPLORED)
def _known_neighbours(model: str, stamp: Stamp, name: str, source: Source) -> Neighbours | None:
    return known_neighbours(model, name, split(name, source), split("train", source))


def shipped_neighbours(model: str, name: str) -> Neighbours | None:
    """The nearest training pictures of every picture of a split, where they were computed beforehand."""
    return _known_neighbours(model, stamp_of(model), name, find_source())


def nearest_of(name: str, found: Sketch, query: NDArray[np.float32], own: int | None = None) -> Neighbours:
    """The nearest of the pictures that a model's sketch is of; ``query`` are the last features (1, F) of one."""
    source, graph = find_source(), model(name).graph
    images = split(source.splits[0], source).images
    return found.nearest(query, lambda rows: predict(graph, images[rows]).features, own)


def features_of(name: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture's (28, 28) last features (1, F)."""
    return predict(model(name).graph, pixels[None]).features
