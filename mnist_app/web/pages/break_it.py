"""The Break it page: distort a digit step by step, or attack it, and see what two models read."""

import html
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mnist_app.data.dataset import CLASSES, find_source
from mnist_app.errors import AppError
from mnist_app.explain.attacks import Attack
from mnist_app.explain.distortions import DISTORTIONS
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import DEFAULT_MODEL, ROBUST_MODEL, model_folders
from mnist_app.models.shelf import read_shelf
from mnist_app.reading.recognition import Prediction, Recogniser, follows, recognise
from mnist_app.web import session, shared
from mnist_app.web.answer import a_digit, percent
from mnist_app.web.charts import perturbation
from mnist_app.web.curves import Plot, curves
from mnist_app.web.notice import plain, problem_notice
from mnist_app.web.pictures import png_url, row_html
from mnist_app.web.terms import terms
from mnist_app.work import Work

BREAK_HOW, BREAK_WHICH, BREAK_DIGIT, BREAK_NUMBER = "break_how", "break_which", "break_digit", "break_number"
BREAK_MODELS, BREAK_WHAT, BREAK_LEVELS = "break_models", "break_what", "break_levels"
BREAK_METHOD, BREAK_TARGET, BREAK_ALL = "break_method", "break_target", "break_all"
FRAMES = 41  # positions of a slider; odd, so that the middle is one of them
DISTORT, ATTACK = "Distort it", "Attack it"
STEP = 8  # levels; coarse, so that a class shares the results of a thousand attacks
ANYTHING = -1  # the target of an attack that aims at no digit; None would mean that nothing is selected
MAX_LEVELS = 64  # levels that an attack may change a pixel by; with more, people see another digit too


@dataclass(frozen=True, eq=False)
class Subject:
    """The picture to break, where it comes from, and the digit it shows."""

    pixels: NDArray[np.uint8]  # (28, 28)
    name: str
    digit: int
    drawing: Drawing | None = None  # its strokes, if the visitor drew it


def page() -> None:
    st.title("Break it on purpose", anchor=False)
    st.write("Every network can be fooled. How far can you push a digit before it is misread?")
    try:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            subject = _subject()
            models = _models()
            how = st.segmented_control(
                "How", [DISTORT, ATTACK], default=DISTORT, required=True, key=BREAK_HOW, persist_state="session"
            )
        if subject.drawing and any(follows(model, subject.drawing) for model in models):
            st.caption("Here only the picture of your drawing is read, not the movement of the pen.")
        if how == ATTACK:
            _attack(subject, models)
        else:
            _distort(subject, models)
    except AppError as error:
        problem_notice(str(error))


def _subject() -> Subject:
    """Let the visitor choose: their own drawing, if any, or a digit of the last split that is here."""
    drawn = session.own_digits()
    if drawn:
        chosen = st.segmented_control(
            "Which digit",
            ["My drawing", "A digit of MNIST"],
            default="My drawing",
            required=True,
            key=BREAK_WHICH,
            persist_state="session",
        )
        if chosen == "My drawing":
            model, read = shared.model(session.using()), drawn[0]
            name = "the first digit of your drawing" if len(drawn) > 1 else "your drawing"
            # Read by the image network alone, as on all of this page: what is broken is a picture.
            return Subject(read.pixels, name, recognise(model, read.pixels[None])[0].digit, read.drawing)
    source = find_source()
    digits = shared.split(source.splits[-1], source)
    digit = st.selectbox("Digit", range(CLASSES), index=5, key=BREAK_DIGIT, persist_state="session", width=90)
    of_digit = np.flatnonzero(digits.labels == digit)
    number = st.number_input("Number", 1, len(of_digit), 1, key=BREAK_NUMBER, persist_state="session", width=130)
    at = int(of_digit[number - 1])
    return Subject(digits.images[at], f"picture {at:,} of the {source.splits[-1]} split", int(digit))


def _models() -> list[Recogniser]:
    """Let the visitor choose one or two models: at first theirs and the one trained to withstand attacks."""
    names, using = list(model_folders()), session.using()
    other = ROBUST_MODEL if using != ROBUST_MODEL else DEFAULT_MODEL
    chosen = st.multiselect(
        "Models",
        names,
        default=[using, other],
        format_func=read_shelf().title,
        max_selections=2,
        key=BREAK_MODELS,
        persist_state="session",
        width="stretch",
    )
    if not chosen:
        st.caption(f"No model is chosen, so {plain(read_shelf().title(using))}, the model you use, is shown.")
    return [shared.model(name) for name in chosen or [using]]


def _title(model: Recogniser) -> str:
    return read_shelf().title(model.card.name)


def _distort(subject: Subject, models: list[Recogniser]) -> None:
    """Show one distortion over its whole range, and what each model reads along it."""
    named = {distortion.name: distortion for distortion in DISTORTIONS}
    name = st.pills(
        "Distortion", list(named), default=DISTORTIONS[0].name, required=True, key=BREAK_WHAT, persist_state="session"
    )
    distortion = named[name or DISTORTIONS[0].name]
    amounts, pictures = distortion.sweep(subject.pixels, FRAMES, subject.drawing)
    read = [recognise(model, pictures) for model in models]
    usual = int(np.abs(amounts - distortion.none).argmin())
    sentences = [
        _limits(model, found, amounts, usual, distortion.unit) for model, found in zip(models, read, strict=True)
    ]
    st.html("".join(f'<p class="sentence">{sentence}</p>' for sentence in sentences))
    curves(
        distortion.name,
        pictures,
        [f"{_number(amount)}{distortion.unit}" for amount in amounts],
        [Plot.of(_title(model), found) for model, found in zip(models, read, strict=True)],
        usual,
        key="break_curves",
    )


def _limits(model: Recogniser, read: list[Prediction], amounts: NDArray[np.float64], usual: int, unit: str) -> str:
    """How far the picture can be pushed either way before the reading changes, in a sentence."""
    name, first = html.escape(_title(model)), read[usual]
    if not first.is_digit:
        return f"{name} sees no digit even in the unchanged picture."
    ends = []
    for way in (-1, 1):
        along = range(usual + way, -1 if way < 0 else len(read), way)
        lost = next((at for at in along if not read[at].is_digit or read[at].digit != first.digit), None)
        if lost is not None:
            what = f"reads {a_digit(read[lost].digit)}" if read[lost].is_digit else "sees no digit"
            ends.append(f"at {_number(amounts[lost])}{unit} it {what}")
    if not ends:
        return f"{name} reads {a_digit(first.digit)} over the whole range."
    return f"{name} reads {a_digit(first.digit)}; {' and '.join(ends)}."


def _number(amount: float) -> str:
    """With at most two decimals, and no minus sign before a zero."""
    return f"{round(amount, 2) + 0.0:g}".replace("-", "−")


def _attack(subject: Subject, models: list[Recogniser]) -> None:
    """Attack each model with the picture, and make the change visible."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        levels = st.slider(
            "Largest change of a pixel, of 255 grey levels",
            *(0, MAX_LEVELS, 24, STEP),
            key=BREAK_LEVELS,
            persist_state="session",
        )
        steps = {"FGSM": 1, "PGD": Attack(1).steps}
        method = st.segmented_control(
            "Method", list(steps), default="PGD", required=True, key=BREAK_METHOD, persist_state="session"
        )
        targets = [ANYTHING, *(digit for digit in range(CLASSES) if digit != subject.digit)]
        if st.session_state.get(BREAK_TARGET) not in targets:  # the picture shows that digit by now
            st.session_state[BREAK_TARGET] = ANYTHING
        target = st.selectbox(
            "Make it look like",
            targets,
            format_func=lambda digit: "anything else" if digit == ANYTHING else a_digit(digit),
            key=BREAK_TARGET,
            persist_state="session",
            width=160,
        )
    terms("perturbation", "FGSM", "PGD", "adversarial training")
    attack = Attack(levels, steps[method or "PGD"])
    for model in models:
        aim = None if target == ANYTHING else target
        st.html(_attacked_html(subject, model, _attacked(subject.pixels, model, attack, aim), models))
    st.caption(
        "FGSM takes one step and moves each pixel the way that hurts most; PGD takes twenty small steps. Both look "
        "into the network that they attack: the change is made for that one, and the other is only shown the result."
    )
    label = f"Attack {shared.ATTACKED:,} digits with {method}, {levels} levels, to be read as anything else"
    if levels and st.toggle(label, key=f"{BREAK_ALL}_{method}_{levels}"):
        _attack_many(attack, [model.card.name for model in models])


def _attacked(pixels: NDArray[np.uint8], model: Recogniser, attack: Attack, target: int | None) -> NDArray[np.uint8]:
    """The picture changed so that the model reads the target, or, without one, anything but what it read before."""
    aim = recognise(model, pixels[None])[0].digit if target is None else target
    return attack.run(model, pixels[None], np.array([aim]), is_target=target is not None)[0]


def _attack_many(attack: Attack, names: list[str]) -> None:
    """Show what share of the attacked digits each model still reads right, once that is known."""
    works = {name: shared.under_attack(name, attack) for name in names}
    for name, work in works.items():
        share = work.result(0)
        if work.problem:
            problem_notice(work.problem)
        elif share is not None:
            st.write(
                f"**{plain(read_shelf().title(name))}** still reads **{share:.1%}** of {shared.ATTACKED:,} digits "
                "right. If it says “not a digit”, the digit it finds likeliest counts."
            )
    running = {name: work for name, work in works.items() if work.is_running}
    if running:
        _wait(running)


@st.fragment(run_every=0.5)
def _wait(running: dict[str, Work[float]]) -> None:
    """Show how far the attacks have come, until one of them is done."""
    for name, work in running.items():
        if not work.is_running:
            st.rerun()
        done = f"{work.share:.0%} of {shared.ATTACKED:,} digits attacked" if work.share else "waiting for its turn"
        st.progress(work.share, f"{plain(read_shelf().title(name))}: {done}")


def _attacked_html(subject: Subject, attacked: Recogniser, pixels: NDArray[np.uint8], models: list[Recogniser]) -> str:
    """The picture before, the change, the picture after, and what the models read in it."""
    moved = pixels.astype(np.int64) - subject.pixels
    most = int(np.abs(moved).max())
    before, after = recognise(attacked, np.stack([subject.pixels, pixels]))
    name = html.escape(_title(attacked))
    still = "still " if (before.digit, before.is_digit) == (after.digit, after.is_digit) else ""
    sentence = (
        f"{name} read {_read(before)}; with no pixel changed by more than {most} of 255 levels it {still}reads "
        f"{_read(after)}."
    )
    for other in models:
        if other is not attacked:
            seen = recognise(other, pixels[None])[0]
            sentence += f" {html.escape(_title(other))}, shown the same picture, reads {_read(seen)}."
    pictures = [(png_url(subject.pixels), f"{html.escape(subject.name)}: {_read(before)}")]
    if most:
        change = (
            f"the change: {most} levels at most, {np.abs(moved).mean():.1f} on average; shown {127 / most:.0f} times "
            "as strong"
        )
        pictures += [(png_url(perturbation(moved)), change), (png_url(pixels), f"after: {_read(after)}")]
    return f'<p class="sentence">{sentence}</p>{row_html(pictures, "wide")}'


def _read(prediction: Prediction) -> str:
    if not prediction.is_digit:
        return "no digit"
    return f"{a_digit(prediction.digit)} ({percent(prediction.confidence)})"
