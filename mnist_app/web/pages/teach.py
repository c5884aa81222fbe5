"""The Teach page: review and export corrected drawings, teach them to a model, and see what that changes."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from mnist_app.data.corrections import (
    count_corrections,
    delete_corrections,
    find_corrections,
    latest_id,
    restore_corrections,
    to_json_lines,
)
from mnist_app.data.dataset import find_source
from mnist_app.errors import AppError
from mnist_app.models.registry import ModelError, find_model, free_name, load_card
from mnist_app.models.shelf import make_default, read_shelf
from mnist_app.training import jobs
from mnist_app.training.jobs import DONE, Job
from mnist_app.training.teach import REPLAYED, Change, Taught, lesson, pictures_of
from mnist_app.web import session, shared
from mnist_app.web.exports import made_on_press, say_failed
from mnist_app.web.gallery import before_after_html, corrections_html, described_html
from mnist_app.web.notice import noticing, plain, problem_notice
from mnist_app.web.pages.models import who_uses_what
from mnist_app.web.pages.train import POLL_EVERY, PROBLEM, called, job_line, say_problem
from mnist_app.web.picks import picks
from mnist_app.web.sign_in import access_notice

PER_PAGE = 60
SHOWN = "teach_shown"  # session key: the lesson shown in detail
SHOWN_LESSONS = 6
MAX_TAUGHT = 500  # drawings in one lesson; if there are more, the latest
MAX_PICTURES = 40  # shown, of the drawings taught and of the digits broken
WHOSE = ["Everybody's", "Mine"]


def page() -> None:
    st.title("Teach it", anchor=False)
    st.write(
        "Draw a digit that is misread, and say below the answer what it was. The corrected drawings are collected "
        "here. A few of them are enough to teach a model a handwriting that it misreads."
    )
    access_notice()
    if problem := st.session_state.pop(PROBLEM, None):
        problem_notice(problem)
    say_failed()
    whose = _whose()
    try:
        count = count_corrections(whose)
        latest = latest_id(whose)
        _deletions()
        if count:
            _gallery(whose, count)
        else:
            st.caption("Nothing has been corrected yet." if whose is None else "You have not corrected anything yet.")
    except AppError as error:
        problem_notice(str(error))
        count = latest = 0
    _lesson(whose, count, latest)
    _lessons()


def _whose() -> str | None:
    """Whose corrections are shown: this visitor's, or None for everybody's, which only a teacher may see."""
    if not session.is_teacher():
        return session.visitor()
    chosen = st.segmented_control("Whose?", WHOSE, default=WHOSE[0], required=True, key="teach_whose")
    return None if chosen == WHOSE[0] else session.visitor()


def _may_change() -> str | None:
    """Whose corrections this visitor may delete; None for everybody's."""
    return None if session.is_teacher() else session.visitor()


def _gallery(whose: str | None, count: int) -> None:
    """Show the corrections, a page at a time. Pressing one chooses it."""
    pages = -(-count // PER_PAGE)
    page = min(st.session_state.get("teach_page", 1), pages)
    shown = find_corrections(whose, (page - 1) * PER_PAGE, PER_PAGE)
    chosen: set[int] = st.session_state.setdefault(session.TEACH_CHOSEN, set())
    here = [each.id for each in shown]
    elsewhere = len(chosen.difference(here))
    st.html(described_html(_described(count)))
    html = corrections_html(shown, pictures_of([each.drawing for each in shown]), chosen) if shown else ""
    picks(html, "teach_gallery", _choose, said=_described(count))
    with st.container(horizontal=True, vertical_alignment="center", key="teach_actions"):
        words = f"Delete {len(chosen)} chosen" if chosen else "Choose drawings to delete"
        words += f", {elsewhere} of them not shown" if elsewhere else ""
        st.button(words, icon=":material/delete:", key="teach_delete", on_click=_delete, disabled=not chosen)
        st.button(
            f"Delete all {len(here)} shown", key="teach_delete_shown", on_click=_delete, args=(here,), disabled=not here
        )
        st.download_button(
            "Export (JSON lines)",
            made_on_press("corrections.jsonl", partial(to_json_lines, whose)),
            "corrections.jsonl",
            "application/jsonl",
            icon=":material/download:",
            on_click="ignore",
            key="teach_export",
        )
        if pages > 1:
            for label, icon, by in (("Newer", "left", -1), ("Older", "right", 1)):
                st.button(
                    label,
                    icon=f":material/chevron_{icon}:",
                    key=f"teach_{icon}",
                    disabled=not 1 <= page + by <= pages,
                    on_click=_turn,
                    args=(by, pages),
                )
            st.caption(f"Page {page:,} of {pages:,}", width="content")


def _described(count: int) -> str:
    return "One drawing was corrected" if count == 1 else f"{count:,} drawings were corrected"


def _turn(by: int, pages: int) -> None:
    """Turn from the page shown by now: presses may come faster than pages."""
    page = min(st.session_state.get("teach_page", 1), pages)  # there may be fewer by now
    st.session_state["teach_page"] = min(max(page + by, 1), pages)


def _choose(picked: str) -> None:
    if picked.isdecimal() and len(picked) < 16:
        st.session_state[session.TEACH_CHOSEN] = st.session_state.get(session.TEACH_CHOSEN, set()) ^ {int(picked)}


def _delete(these: Sequence[int] | None = None) -> None:
    """Delete these corrections, or those that were chosen."""
    chosen: set[int] = st.session_state.get(session.TEACH_CHOSEN, set())
    asked = sorted(chosen) if these is None else these
    try:
        away = delete_corrections(asked, _may_change())
    except AppError as error:
        st.session_state[PROBLEM] = str(error)
        return
    if away:
        st.session_state.setdefault(session.TEACH_DELETED, []).append(away)
    st.session_state[session.TEACH_CHOSEN] = chosen.difference(asked)
    if len(away) < len(asked):
        st.session_state[PROBLEM] = (
            f"{len(asked) - len(away)} of these {len(asked)} were not deleted: they are gone already, or not yours."
        )


def _deletions() -> None:
    """Offer to undo this visitor's last deletion, and then the one before it."""
    if st.session_state.get(session.TEACH_DELETED):
        away = st.session_state[session.TEACH_DELETED][-1]
        with st.container(horizontal=True, vertical_alignment="center"):
            said = "One correction was" if len(away) == 1 else f"{len(away):,} corrections were"
            st.markdown(f":material/delete: {said} deleted.", width="content")
            st.button("Undo", key="teach_undo", on_click=_restore)


def _restore() -> None:
    if not st.session_state.get(session.TEACH_DELETED):
        return
    away = st.session_state[session.TEACH_DELETED][-1]
    try:
        back = restore_corrections(away, _may_change())
    except AppError as error:  # they stay deleted, and the visitor can try again
        st.session_state[PROBLEM] = str(error)
        return
    st.session_state[session.TEACH_DELETED].pop()
    if back < len(away):
        st.session_state[PROBLEM] = f"Of {len(away)} corrections, {back} came back. The others are gone for good."


# The lesson


def _lesson(whose: str | None, count: int, latest: int) -> None:
    """Say which model would be taught what, with the button that begins."""
    st.header("A lesson", anchor=False)
    name = st.session_state["teach_parent"] = session.using()
    if "train" not in find_source().splits:
        problem_notice("A lesson needs the training digits. Fetch them on the Data page.")
        return
    taught = min(count, MAX_TAUGHT)
    which = "the drawing" if taught == 1 else f"the {taught} drawings" if taught == count else f"the latest {taught}"
    what = f"{which} above" if taught else "the corrected drawings"
    st.write(
        f"A copy of **{plain(read_shelf().title(name))}**, the model you use, learns {what}, mixed with "
        f"{REPLAYED:,} training digits. That takes half a minute (an ensemble: a minute and a half). Nobody is "
        "switched to the copy: first see where it got better and where it got worse."
    )
    why_not = session.why_not()
    st.button(
        "Teach it",
        type="primary",
        icon=":material/school:",
        key="teach_start",
        disabled=not count or why_not is not None,
        help=why_not,
        on_click=_start,
        args=(name, whose, latest),
    )


def _start(parent: str, whose: str | None, latest: int) -> None:
    """Ask for a lesson with corrections up to the id ``latest``: nobody has seen later ones."""
    try:
        session.require_teacher()
        drawings = find_corrections(whose, most=MAX_TAUGHT, up_to=latest)
        if not drawings:
            raise ModelError("The corrections are gone, so there is nothing left to teach.")
        config = lesson(load_card(find_model(parent)), len(drawings))
        name = free_name(f"{parent}-taught", shared.reserved_names())
        lines = "".join(f"{each.to_line()}\n" for each in drawings)
        st.session_state[SHOWN] = jobs.submit(name, config, "", parent, lines)
    except AppError as error:
        st.session_state[PROBLEM] = str(error)


@st.fragment(run_every=POLL_EVERY)
@noticing
def _lessons() -> None:
    """Show the lessons that wait, run or have ended, and what one of them changed."""
    say_problem()
    lessons = [job for job in shared.queue().jobs() if job.request and job.request.parent]
    if st.session_state.get("teach_parent", session.using()) != session.using():
        st.rerun()  # the lesson offered above is for the model in use
    if not lessons:
        return
    done = [job for job in lessons if job.status.state == DONE]
    chosen = st.session_state.get(SHOWN)
    shown = next((job for job in lessons if job.id == chosen), done[-1] if done else lessons[-1])
    for job in reversed(lessons[-SHOWN_LESSONS:]):
        job_line(job, SHOWN if job in done and job is not shown else None)
    taught = jobs.taught(shown)
    if shown in done and taught:
        _account(shown, taught)


def _account(job: Job, taught: Taught) -> None:
    """Show what a lesson changed, and offer to use the model."""
    with st.container(border=True, key="teach_account"):
        parent = plain(read_shelf().title(taught.parent))
        st.subheader(f"What {plain(called(job))} does differently from {parent}", anchor=False)
        with st.container(horizontal=True, gap="large"):
            right, before = taught.right(taught.after), taught.right(taught.before)
            st.metric(
                "corrected drawings read right",
                f"{right} of {len(taught.labels)}",
                f"{right - before:+d}" if right != before else None,
            )
            for change in taught.changes:
                st.metric(
                    f"{change.split} digits read right (before: {change.before / change.count:.2%})",
                    f"{change.after / change.count:.2%}",
                    f"{change.points:+.2f} points" if change.after != change.before else None,
                )
        if taught.way:
            st.caption(taught.way)
        if session.is_teacher():  # pupils may not see the drawings of others
            st.html(_drawings_html(job, taught))
        for change in taught.changes:
            _broken(change)
        _adopt(job)


def _drawings_html(job: Job, taught: Taught) -> str:
    try:
        ink = jobs.drawings_of(job)
    except AppError:
        return ""
    many = min(len(ink), len(taught.labels), MAX_PICTURES)
    pictures = pictures_of(ink.drawings[:many])
    return before_after_html(pictures, taught.labels[:many], taught.before[:many], taught.after[:many])


def _broken(change: Change) -> None:
    """Show the digits that were read right before the lesson and are misread now."""
    source = find_source()
    digits = shared.split(change.split, source) if change.split in source.splits else None  # it may be gone by now
    at = [index for index in change.broken[:MAX_PICTURES] if digits and index < len(digits)]
    st.markdown(
        f"Of the {change.count:,} {change.split} digits it now reads **{len(change.mended)}** right that were misread "
        f"before, and misreads **{len(change.broken)}** that were read right{':' if at else '.'}"
    )
    if digits and at:
        labels = digits.labels[at].tolist()
        before, after = (list(map(str, read)) for read in (labels, change.broken_as[: len(at)]))
        st.html(before_after_html(digits.images[at], labels, before, after))


def _adopt(job: Job) -> None:
    try:
        find_model(job.name)
    except AppError:
        st.caption("This model has been deleted since.")
        return
    with st.container(horizontal=True):
        shelf, using, why_not = read_shelf(), session.using(), session.why_not()
        st.button(
            "Use for me",
            icon=":material/person:",
            key="teach_use",
            disabled=job.name == using,
            on_click=_use,
            args=(job.name,),
        )
        st.button(
            "Make default for everyone",
            icon=":material/groups:",
            key="teach_default",
            disabled=job.name == shelf.default or why_not is not None,
            help=why_not,
            on_click=_make_default,
            args=(job.name,),
        )
    st.caption(
        f"It is on the Models page as {plain(job.name)}. The model it was copied from is unchanged. "
        + who_uses_what(shelf, using)
    )


def _use(name: str) -> None:
    try:
        session.use(name)
    except AppError as error:
        st.session_state[PROBLEM] = str(error)


def _make_default(name: str) -> None:
    try:
        session.require_teacher()
        make_default(name)
    except AppError as error:
        st.session_state[PROBLEM] = str(error)
