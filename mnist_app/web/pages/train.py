"""The Train page: choose a recipe, watch the network learn, and look back at how it learned."""

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from mnist_app.data.dataset import find_source
from mnist_app.errors import AppError, FieldError
from mnist_app.models.networks import ARCHITECTURES, batch_of
from mnist_app.models.registry import free_name, model_folders
from mnist_app.models.shelf import read_shelf
from mnist_app.training import jobs
from mnist_app.training.augmentation import LIMITS, Augmentation, augment
from mnist_app.training.jobs import DONE, FAILED, LEARNED, RUNNING, WAITING, Job, JobStatus
from mnist_app.training.train import OPTIMISERS, PRESETS, TrainConfig
from mnist_app.web import session, shared
from mnist_app.web.answer import a_digit
from mnist_app.web.charts import MAX_LOSS, TRAINING, VALIDATION, Curve, counts_html, curves_html, readings_html
from mnist_app.web.gallery import image_sheet
from mnist_app.web.notice import noticing, plain, problem_notice
from mnist_app.web.own_digit import own_digit
from mnist_app.web.pictures import png_url
from mnist_app.web.sign_in import access_notice
from mnist_app.web.terms import terms

POLL_EVERY = 1.0  # seconds
PROBLEM = "train_problem"  # session key: what went wrong with a training or a lesson
PREVIEWED = 16
SHOWN = "train_shown"
SHOWN_ENDED = 6  # ended trainings that are listed, and as many of those that have reports

NETWORKS = {
    "quicknet": "Quick: 29,000 weights",
    "convnet": "Larger: 73,000 weights",
}
HELP = {
    "architecture": "How large the network is. The larger one reads a little better and learns four times as slowly.",
    "epochs": "How often it sees every digit. More is better up to about 20; twice as many take twice as long.",
    "learning_rate": "How far it moves its weights after each batch, at most. With too little it learns nothing in "
    "time, with too much it forgets what it knew.",
    "batch_size": "How many digits it sees before it moves its weights. Small batches learn more from each digit, "
    "large ones are faster.",
    "optimiser": "How it moves its weights. AdamW gives each weight its own pace, SGD moves all at the same pace.",
    "digits": "How many of the 55,000 training digits it sees. If there are few, it learns them by heart and reads "
    "others worse.",
    "attack_levels": "Before it learns from a digit, each pixel is changed by up to this many of 255 levels, in the "
    "way that misleads it most. Then attacks on it fail more often, and training takes twice as long.",
    "seed": "Where its random numbers start. The same seed gives the same network.",
    "rotation": "Turns each digit by up to this many degrees either way. Beyond 15 a 7 starts to look like a 1.",
    "shift": "Moves each digit by up to this many pixels.",
    "zoom": "Makes each digit larger or smaller by up to this share.",
    "shear": "Slants each digit to either side, by up to this many pixels for each pixel of height.",
    "thickness": "Makes strokes thicker or thinner by up to this many pixels, because pens differ.",
    "elastic": "Bends parts of a digit away from each other by up to this many pixels, because hands tremble.",
}
REACH = {"rotation": 45.0, "shift": 6.0, "zoom": 0.5, "shear": 0.6, "thickness": 2.0, "elastic": 4.0}  # of the sliders
LABELS = {  # of the details, by the names of the fields of a recipe
    "epochs": "Epochs",
    "digits": "Training digits",
    "batch_size": "Batch size",
    "learning_rate": "Learning rate",
    "attack_levels": "Attacks while it learns, levels",
    "seed": "Seed",
}
STATES = {
    WAITING: ("hourglass_empty", "waits"),
    RUNNING: ("model_training", "learns"),
    LEARNED: ("model_training", "is being saved"),
    DONE: ("check_circle", "is ready"),
    jobs.CANCELLED: ("cancel", "was cancelled"),
    FAILED: ("error", "failed"),
}


def page() -> None:
    st.title("Train a network", anchor=False)
    st.write(
        "Your network trains on this server, and everybody can watch. Drawing stays as fast as before. You may leave "
        "this page."
    )
    if "train" not in find_source().splits:
        problem_notice(
            "Only the sample that comes with the app is here. You can fetch the training digits on the Data page."
        )
        return
    access_notice()
    config = _recipe()
    title = st.text_input(
        "What shall it be called?",
        key="train_title",
        max_chars=60,
        placeholder="my network",
        width=400,
        persist_state="session",
    )
    why_not = session.why_not()
    # No callback: it would get the name and recipe of the last run, and a visitor may have typed one just now.
    is_pressed = st.button(
        "Train",
        icon=":material/play_arrow:",
        type="primary",
        key="train_start",
        disabled=config is None or why_not is not None,
        help=why_not,
    )
    if is_pressed and config:
        _start(config, title)
    if problem := st.session_state.pop(PROBLEM, None):
        problem_notice(problem)
    _trainings()


def _recipe() -> TrainConfig | None:
    """Let the visitor choose a recipe, by preset and in detail; None if the details make no sense."""
    preset = st.segmented_control(
        "How long?",
        list(PRESETS),
        format_func=lambda name: PRESETS[name].title,
        default=next(iter(PRESETS)),
        required=True,
        key="train_preset",
        persist_state="session",
        on_change=_take_preset,
    )
    st.caption(PRESETS[preset].promise)
    terms("loss", "validation", "augmentation")
    if "train_epochs" not in st.session_state:
        _take_preset()
    with st.expander("Details", icon=":material/tune:"):
        details = _details()
    try:
        return replace(PRESETS[preset].config, **details)
    except FieldError as error:  # outside the expander: if it is closed, one must still see why Train is disabled
        problem_notice(f"In Details: “{LABELS[error.field]}” {error.problem}")
        return None


def _take_preset() -> None:
    """Set every detail to the value of the preset."""
    config = PRESETS[st.session_state.get("train_preset") or next(iter(PRESETS))].config
    for name in ("architecture", "epochs", "learning_rate", "batch_size", "optimiser", "attack_levels", "seed"):
        st.session_state[f"train_{name}"] = getattr(config, name)
    st.session_state["train_digits"] = config.digits or 55_000
    for name in LIMITS:
        st.session_state[f"train_{name}"] = float(getattr(config.augmentation, name))


def _details() -> dict[str, Any]:
    """The fields of a recipe, as the visitor sets them."""
    left, right = st.columns(2, gap="large")
    with left:
        architecture = st.selectbox(
            "Network",
            [name for name in ARCHITECTURES if name in NETWORKS],
            format_func=NETWORKS.__getitem__,
            key="train_architecture",
            help=HELP["architecture"],
            persist_state="session",
        )
        epochs = st.number_input(
            LABELS["epochs"], step=1, key="train_epochs", help=HELP["epochs"], persist_state="session"
        )
        digits = st.number_input(
            LABELS["digits"], step=1000, key="train_digits", help=HELP["digits"], persist_state="session"
        )
        batch_size = st.number_input(
            LABELS["batch_size"], step=16, key="train_batch_size", help=HELP["batch_size"], persist_state="session"
        )
        rate = st.number_input(
            LABELS["learning_rate"],
            step=0.001,
            format="%g",
            key="train_learning_rate",
            help=HELP["learning_rate"],
            persist_state="session",
        )
        optimiser = st.segmented_control(
            "Optimiser",
            list(OPTIMISERS),
            format_func={"adamw": "AdamW", "sgd": "SGD"}.__getitem__,
            key="train_optimiser",
            required=True,
            help=HELP["optimiser"],
            persist_state="session",
        )
        attack_levels = st.number_input(
            LABELS["attack_levels"],
            step=8,
            key="train_attack_levels",
            help=HELP["attack_levels"],
            persist_state="session",
        )
        seed = st.number_input(LABELS["seed"], step=1, key="train_seed", help=HELP["seed"], persist_state="session")
    with right:
        sliders = {
            name: st.slider(
                f"{name.capitalize()}, {unit}",
                0.0,
                REACH[name],
                step=REACH[name] / 45 if name == "rotation" else REACH[name] / 20,
                key=f"train_{name}",
                help=HELP[name],
                persist_state="session",
            )
            for name, unit in (
                *(("rotation", "degrees"), ("shift", "pixels"), ("zoom", "share of the size")),
                *(("shear", "pixels per pixel"), ("thickness", "pixels"), ("elastic", "pixels")),
            )
        }
        augmentation = Augmentation(**sliders)
        st.html(_preview_html(augmentation))
    return {
        "architecture": architecture,
        "epochs": epochs,
        "digits": None if digits == 55_000 else digits,
        "batch_size": batch_size,
        "learning_rate": rate,
        "optimiser": str(optimiser),
        "attack_levels": attack_levels,
        "seed": seed,
        "augmentation": augmentation,
    }


def _preview_html(augmentation: Augmentation) -> str:
    """Sixteen digits as the network would see them: always the same ones, with the same random numbers."""
    digits = shared.split("validation", find_source())
    chosen = np.linspace(0, len(digits) - 1, PREVIEWED).astype(int)
    pictures = augment(
        batch_of(torch.from_numpy(digits.images[chosen])), augmentation, torch.Generator().manual_seed(4)
    )
    changed = (pictures[:, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    url = png_url(image_sheet(changed, 8))
    return (
        f'<figure class="augmented"><img src="{url}" alt="Sixteen digits, changed at random">'
        "<figcaption>Sixteen digits as it would see them</figcaption></figure>"
    )


def _start(config: TrainConfig, title: str) -> None:
    try:
        session.require_teacher()
        name = free_name(title or "network", shared.reserved_names())
        st.session_state[SHOWN] = jobs.submit(name, config, title)
    except AppError as error:
        st.session_state[PROBLEM] = str(error)


@st.fragment(run_every=POLL_EVERY)
@noticing
def _trainings() -> None:
    """Show the queue, which all visitors see, and one training in detail."""
    say_problem()
    known = shared.queue().jobs()
    if not known:
        st.caption("No network has been trained yet.")
        return
    current = [job for job in known if not job.status.is_over]
    ended = [job for job in reversed(known) if job.status.is_over]
    learned = [job for job in ended if job.status.reports]
    st.header("Trainings", anchor=False)
    shown = st.session_state.get(SHOWN)
    there_to_see = [job for job in known if job.status.reports or job.status.losses]
    job = next((job for job in there_to_see if job.id == shown), (*current, *learned, *ended)[0])
    for each in (*current, *(job for job in ended if job in ended[:SHOWN_ENDED] or job in learned[:SHOWN_ENDED])):
        job_line(each, SHOWN if each.status.reports and each.id != job.id else None)
    if job.status.reports or job.status.losses:
        _training(job)


def say_problem() -> None:
    """Rerun the page to show a problem: in a fragment that reruns every second it would not stay."""
    if PROBLEM in st.session_state:
        st.rerun()


def job_line(job: Job, look_key: str | None) -> None:
    """Show in a line how far a training has come or how it ended, with the buttons that apply.

    With a ``look_key``, the session key that says which job is shown, there is a button to look at this one.
    """
    icon, verb = STATES[job.status.state]
    with st.container(horizontal=True, vertical_alignment="center", key=f"job_{job.id}"):
        with st.container(width="stretch"):
            if job.status.state == RUNNING:
                st.progress(_share(job), text=f":material/{icon}: **{plain(called(job))}** {_progress(job.status)}")
            else:
                where = f" in place {job.place} of the queue" if job.place else f". {plain(job.status.reason)}"
                st.markdown(f":material/{icon}: **{plain(called(job))}** {verb}{where}")
        if not job.status.is_over and session.is_teacher():
            st.button("Cancel", key=f"cancel_{job.id}", on_click=_cancel, args=(job.id,))
        if look_key:
            st.button("Show", key=f"look_{job.id}", on_click=_look_at, args=(look_key, job.id))


def called(job: Job) -> str:
    """The present title of the model of a training, or the one that it will get."""
    shelf = read_shelf()
    return shelf.title(job.name) if job.name in shelf.labels else job.title


def _share(job: Job) -> float:
    return min(1.0, job.status.passes / _epochs(job))


def _epochs(job: Job) -> int:
    return job.request.config.epochs if job.request else 1


def _progress(status: JobStatus) -> str:
    if not (status.batches and status.seconds_left):
        return f"· {status.doing.lower()} …"
    left = f"{status.seconds_left:.0f} s" if status.seconds_left < 100 else f"{status.seconds_left / 60:.0f} minutes"
    return f"· epoch {status.epoch} · {status.examples_per_second:,.0f} digits a second · {left} left"


def _cancel(identity: str) -> None:
    try:
        session.require_teacher()
        jobs.cancel(identity)
    except AppError as error:
        st.session_state[PROBLEM] = str(error)


def _look_at(key: str, identity: str) -> None:
    st.session_state[key] = identity


def _training(job: Job) -> None:
    """Show the curves, and what the network read in a picture at one moment after another."""
    status = job.status
    st.subheader(plain(called(job)), anchor=False)
    passes = max(status.passes, 1e-9)
    with st.container(horizontal=True, gap="large"):
        st.html(_loss_html(status, passes), width="stretch")
        st.html(_accuracy_html(status, passes), width="stretch")
    if not status.snapshots:
        ended = "No moment of this training was kept to go back to."
        st.caption(ended if status.is_over else "It reads your drawing here after its first measurement.")
        return
    moment = status.snapshots[-1]
    if status.is_over and len(status.snapshots) > 1:
        moment = st.select_slider(
            "Go back in the training (passes over the digits)",
            status.snapshots,
            value=moment,
            format_func=lambda passes: f"{passes:.4g}",
            key=f"moment_{job.id}",
        )
    left, right = st.columns(2, gap="large")
    with left:
        _readings_over_time(job, moment)
    with right:
        report = next(report for report in status.reports if report.passes == moment)
        st.html(
            counts_html(
                np.array(report.confusion),
                f"{np.sum(report.confusion):,} validation digits after {moment:.3g} of {_epochs(job)} passes: "
                f"{report.validation_accuracy:.2%} read right. "
                "Rows: the label. Columns: what it was read as.",
            )
        )
    if status.state == DONE and job.name in model_folders():
        st.caption("The model is on the Models page, where it can be used, compared and made the default.")


def _readings_over_time(job: Job, moment: float) -> None:
    """Show a picture and what it was read as, moment by moment."""
    pixels, words = _watched()
    readings = []
    for passes in job.status.snapshots:
        try:
            readings.append((passes, shared.read_at(job, passes, pixels)))
        except AppError:
            continue  # deleted since the status was read
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f'<img class="watched" src="{png_url(pixels)}" alt="{words}">', width="content")
        with st.container(width="stretch"):
            st.caption(f"{words}, and what it was read as after so many passes over the digits:")
            st.html(readings_html(readings, moment))


def _watched() -> tuple[NDArray[np.uint8], str]:
    """The picture to read again and again, with its name: the visitor's drawing or a test digit."""
    kinds = ["My drawing", "A test digit"]
    if session.pad().drawing.is_blank:
        st.caption("Draw something on the Draw page to have it read here again and again.")
        kinds = kinds[1:]
    kind = st.segmented_control(
        "Watch", kinds, default=kinds[0], required=True, key=f"watch_{len(kinds)}", persist_state="session"
    )
    if kind == "My drawing" and (drawn := own_digit()):
        return drawn.pixels, "Your drawing"
    digits = shared.split("test", find_source())
    index = st.number_input(
        "Which of the test digits?", 0, len(digits) - 1, 247, key="watch_index", width=200, persist_state="session"
    )
    return digits.images[index], f"Test digit {index}, {a_digit(int(digits.labels[index]))}"


def _loss_html(status: JobStatus, passes: float) -> str:
    measured = [(report.passes, report.validation_loss) for report in status.reports]
    highest = max([1.0, *(loss for _, loss in status.losses[2:])])
    curves = [
        Curve("training", status.losses, TRAINING, dashed=True),
        Curve("validation", measured, VALIDATION),
    ]
    return curves_html("Loss, nats", curves, passes, 0, min(highest, MAX_LOSS), is_share=False)


def _accuracy_html(status: JobStatus, passes: float) -> str:
    learned = [(report.passes, report.train_accuracy) for report in status.reports]
    measured = [(report.passes, report.validation_accuracy) for report in status.reports]
    lowest = min([0.99, *(value for _, value in (*learned, *measured))])
    lowest = max(0.0, np.floor(lowest * 50) / 50)
    curves = [Curve("training", learned, TRAINING, dashed=True), Curve("validation", measured, VALIDATION)]
    return curves_html("Read right", curves, passes, float(lowest), 1, is_share=True)
