"""The Train page and the Models page, without a browser."""

import base64
import dataclasses
import json
import logging
import math
import re
import shutil
import textwrap
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import streamlit
from safetensors.torch import save as save_tensors
from streamlit.testing.v1 import AppTest

from mnist_app.data.corrections import keep
from mnist_app.data.dataset import Digits
from mnist_app.errors import AppError
from mnist_app.ink.strokes import Drawing
from mnist_app.models.exchange import to_zip
from mnist_app.models.registry import (
    CURVES,
    DEFAULT_MODEL,
    ModelCard,
    ModelError,
    find_model,
    load_card,
    model_folders,
)
from mnist_app.models.shelf import default_model, delete_model, label, make_default, read_shelf, restore_model
from mnist_app.reading.recognition import Glyph, Prediction, load_recogniser, read_with, recognise_glyphs
from mnist_app.storage import user_models_folder
from mnist_app.training import jobs
from mnist_app.training.jobs import RUNNING, list_jobs
from mnist_app.training.teach import BEFORE
from mnist_app.training.train import PRESETS, EpochReport, fresh_network
from mnist_app.web import canvas, shared
from mnist_app.web.answer import percent
from mnist_app.web.charts import Curve, comparison_html, counts_html, curves_html, readings_html
from mnist_app.web.notice import plain, without_traceback
from mnist_app.web.pages import models

from ..conftest import SEVEN, Strokes, full_mnist
from .test_pages import digit_of, draw, html_of, ink, open_page

MARKUP = '<b onclick="f()">*b*</b> :red[x] www.a.b http://c.d e@f.g'


@pytest.fixture(autouse=True)
def mnist() -> None:
    full_mnist()


@pytest.fixture
def two_models() -> None:
    for name in ("one", "two"):
        shutil.copytree(find_model("mnist-cnn"), user_models_folder() / name)


def opened(name: str) -> AppTest:
    at = open_page(name).run()
    assert not at.exception, at.exception
    return at


def text_of(at: AppTest) -> str:
    """Return all that is shown as text."""
    elements: Any = [*at.markdown, *at.caption, *at.warning, *at.info]
    return "\n".join([*(element.value for element in elements), *(metric.label for metric in at.metric)])


def alive(text: str) -> list[str]:
    """Return the parts of MARKUP that are in a text unescaped, so that they would have an effect."""
    return [part for part in (' <b onclick="f()">', "*b*", ":red[x]", "www.a.b", "http://c.d", "e@f.g") if part in text]


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception, at.exception
    return at


# Train


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_with_its_recipe_unchanged(preset: str) -> None:
    at = opened("train")
    at.segmented_control(key="train_preset").set_value(preset).run()
    press(at, "train_start")
    request = list_jobs()[0].request
    assert request and request.config == PRESETS[preset].config


def test_details_change_the_recipe() -> None:
    at = opened("train")
    at.number_input(key="train_epochs").set_value(3).run()
    at.number_input(key="train_digits").set_value(5_000).run()
    at.number_input(key="train_attack_levels").set_value(32).run()
    at.slider(key="train_elastic").set_value(2.0).run()
    press(at, "train_start")
    request = list_jobs()[0].request
    expected = dataclasses.replace(
        PRESETS["quick"].config,
        epochs=3,
        digits=5_000,
        attack_levels=32,
        augmentation=dataclasses.replace(PRESETS["quick"].config.augmentation, elastic=2.0),
    )
    assert request and request.config == expected


def test_values_entered_just_before_the_press_count() -> None:
    at = opened("train")
    at.text_input(key="train_title").set_value("In haste")
    at.number_input(key="train_epochs").set_value(7)
    press(at, "train_start")
    (job,) = list_jobs()
    assert job.title == "In haste"
    assert job.request and job.request.config.epochs == 7


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("epochs", 0, "“Epochs” must be between 1 and 1000, not 0"),
        ("learning_rate", 5.0, "“Learning rate” must be between 1e-06 and 1, not 5.0"),
        ("batch_size", 1, "“Batch size” must be between 2 and 4096, not 1"),
        ("digits", 3, "“Training digits” must be between 10 and 55000, not 3"),
        ("digits", 55_001, "“Training digits” must be between 10 and 55000, not 55001"),
        ("seed", -1, "“Seed” must be between 0 and 4294967295, not -1"),
        ("attack_levels", 200, "“Attacks while it learns, levels” must be between 0 and 127, not 200"),
    ],
)
def test_an_invalid_recipe_is_reported_and_cannot_be_started(field: str, value: float, says: str) -> None:
    at = opened("train")
    at.number_input(key=f"train_{field}").set_value(value).run()
    assert says in text_of(at)
    assert not any(says in notice.value for notice in at.expander[0].warning), (
        "in the closed expander nobody would see it"
    )
    assert at.button(key="train_start").disabled


def test_the_preview_changes_as_a_slider_moves() -> None:
    at = opened("train")
    still = re.findall(r'class="augmented"><img src="([^"]+)', html_of(at))
    at.slider(key="train_rotation").set_value(30.0).run()
    turned = re.findall(r'class="augmented"><img src="([^"]+)', html_of(at))
    assert len(still) == len(turned) == 1 and still != turned


def test_every_visitor_sees_the_queue_and_may_cancel() -> None:
    here, there = opened("train"), opened("train")
    here.text_input(key="train_title").set_value("First").run()
    press(here, "train_start")
    here.text_input(key="train_title").set_value("Second").run()
    press(here, "train_start")
    there.run()
    assert "**First** waits in place 1 of the queue" in text_of(there)
    assert "**Second** waits in place 2 of the queue" in text_of(there)
    first = list_jobs()[0]
    press(there, f"cancel_{first.id}")
    assert (jobs.jobs_folder() / first.id / jobs.CANCEL).exists()


def test_markup_in_the_title_of_a_training_is_escaped() -> None:
    at = opened("train")
    at.text_input(key="train_title").set_value(MARKUP).run()
    press(at, "train_start")
    assert list_jobs()[0].title == MARKUP
    assert set(list_jobs()[0].name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not alive(text_of(at)) and "\\<b onclick" in text_of(at)


def test_a_full_queue_says_so() -> None:
    for number in range(jobs.MAX_WAITING + 1):
        jobs.submit(f"m{number}", PRESETS["quick"].config)
    at = press(opened("train"), "train_start")
    assert "8 trainings are already waiting" in text_of(at)


def a_job_that_learns(name: str = "mine", snapshots: tuple[float, ...] = ()) -> str:
    """Submit a running training with snapshots of its network after these passes: none, or 0.5 among them."""
    config = PRESETS["quick"].config
    identity = jobs.submit(name, config)
    for passes in snapshots:
        path = jobs.snapshot_path(jobs.jobs_folder() / identity, passes)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(save_tensors(fresh_network(config).state_dict()))
    report = EpochReport(1, 0.5, 0.4, 0.9, 0.2, 0.95, 3.0, tuple(tuple([50] * 10) for _ in range(10)))
    status = jobs.JobStatus(
        RUNNING,
        doing="Learning",
        passes=0.6,
        epoch=1,
        batch=200,
        batches=429,
        examples_per_second=5000,
        seconds_left=4.4,
        losses=((0.1, 2.0), (0.6, 0.3)),
        reports=(report,),
        snapshots=snapshots,
    )
    jobs.write_status(jobs.jobs_folder() / identity, status)
    return identity


def test_a_running_training_shows_its_progress_and_curves() -> None:
    a_job_that_learns()
    at = opened("train")
    progress: Any = at.get("progress")
    assert progress[0].proto.text.endswith("**mine** · epoch 1 · 5,000 digits a second · 4 s left")
    assert html_of(at).count('<figure class="training-curve">') == 2


def test_the_latest_losses_and_accuracies_are_shown_beside_the_curves() -> None:
    a_job_that_learns()
    said = re.sub(r"<[^>]+>", "", html_of(opened("train")))
    assert "Loss, nats training 0.300validation 0.200" in said
    assert "Read right training 90.00%validation 95.00%" in said


def test_finished_trainings_stay_listed_however_many_were_cancelled_since() -> None:
    learned = a_job_that_learns("learned", (0.5,))
    status = jobs.read_status(jobs.jobs_folder() / learned)
    jobs.write_status(jobs.jobs_folder() / learned, dataclasses.replace(status, state=jobs.DONE, reason="Well."))
    for number in range(7):
        identity = jobs.submit(f"m{number}", PRESETS["quick"].config)
        nothing = jobs.JobStatus(jobs.CANCELLED, "It had not started.")
        jobs.write_status(jobs.jobs_folder() / identity, nothing)
    at = opened("train")
    assert "learned" in [heading.value for heading in at.subheader], "it has curves to show"
    assert "**learned** is ready. Well." in text_of(at) and "**m6** was cancelled. It had not started." in text_of(at)
    assert "**m0**" not in text_of(at)
    assert "on the Models page" not in text_of(at), "its model is deleted"
    shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "learned")
    assert "on the Models page" in text_of(at.run())


def test_visitors_can_look_at_an_old_training_and_return_to_the_running_one() -> None:
    old = a_job_that_learns("old")
    status = jobs.read_status(jobs.jobs_folder() / old)
    jobs.write_status(jobs.jobs_folder() / old, dataclasses.replace(status, state=jobs.DONE, reason="Well."))
    running = a_job_that_learns("new")
    waiting = jobs.submit("waits", PRESETS["quick"].config)

    def offered(at: AppTest) -> list[str]:
        return [str(button.key) for button in at.button if button.label == "Show"]

    at = opened("train")
    assert offered(at) == [f"look_{old}"], "the running one is shown; the waiting one has nothing to show"
    press(at, f"look_{old}")
    assert "old" in [heading.value for heading in at.subheader] and offered(at) == [f"look_{running}"]
    press(at, f"look_{running}")
    assert "new" in [heading.value for heading in at.subheader] and offered(at) == [f"look_{old}"]
    assert {str(button.key) for button in at.button} >= {f"cancel_{running}", f"cancel_{waiting}"}
    at.session_state["train_shown"] = waiting  # this visitor's last request
    assert "new" in [heading.value for heading in at.run().subheader], "a waiting training has nothing to show yet"


def test_a_training_is_shown_by_the_present_title_of_its_model() -> None:
    learned = a_job_that_learns("learned")
    status = jobs.read_status(jobs.jobs_folder() / learned)
    jobs.write_status(jobs.jobs_folder() / learned, dataclasses.replace(status, state=jobs.DONE, reason="Well."))
    shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "learned")
    label("learned", "Our own", "")
    at = opened("train")
    assert "Our own" in [heading.value for heading in at.subheader] and "**Our own** is ready" in text_of(at)


def test_each_snapshot_reads_a_picture_once_for_all_visitors(monkeypatch: pytest.MonkeyPatch) -> None:
    a_job_that_learns(snapshots=(0.25, 0.5))
    reading = Mock(wraps=read_with)
    monkeypatch.setattr(shared, "read_with", reading)
    at = opened("train")
    there = opened("train")
    assert html_of(at).count('class="when"') == html_of(there).count('class="when"') == 2
    assert reading.call_count == 2, "two snapshots, however many visitors watch"
    at.number_input(key="watch_index").set_value(3).run()
    assert reading.call_count == 4, "another picture"


def test_the_moments_of_a_long_training_have_distinct_labels() -> None:
    read = Prediction(tuple(np.eye(10)[7]), "")
    html = readings_html([(passes, read) for passes in (0.125, 10.5, 147.0, 150.0)], 150.0)
    assert re.findall(r'class="when">([^<]*)<', html) == ["0.125", "10.5", "147", "150"]


def test_only_the_first_digit_of_a_number_on_the_pad_is_watched() -> None:
    a_job_that_learns(snapshots=(0.25, 0.5))
    at = open_page("train")
    at.session_state["pad"] = canvas.Pad(latest=ink([*SEVEN, [[320, 60], [320, 300]]]))
    at.run()
    assert not at.exception, at.exception
    said = "There is a number on the pad. Only its first digit is read here."
    assert said in text_of(at) and "Your drawing, and what it was read as" in text_of(at)
    at.segmented_control(key="watch_2").set_value("A test digit").run()
    assert said not in text_of(at) and "Test digit 247" in text_of(at)


def test_a_training_with_a_damaged_request_shows_no_moments() -> None:
    folder = jobs.jobs_folder() / a_job_that_learns(snapshots=(0.25, 0.5))
    (folder / jobs.REQUEST).write_text("{")
    assert 'class="when"' not in html_of(opened("train"))


def test_a_damaged_job_is_reported_as_failed() -> None:
    folder = jobs.jobs_folder() / a_job_that_learns()
    (folder / jobs.STATUS).write_text("{")
    (folder / jobs.REQUEST).write_text("{")
    assert "**A training** failed. The status of this training cannot be read" in text_of(opened("train"))


def test_without_mnist_the_page_says_where_to_fetch_it(no_mnist: None) -> None:
    at = opened("train")
    assert "You can fetch the training digits on the Data page" in text_of(at)
    assert not at.button


# Models


def test_model_names_do_not_clash_with_button_keys(own_home: Path) -> None:
    """Names are part of the buttons' keys, which must still be unique."""
    for name in ("default", "to-default", "import"):
        shutil.copytree(find_model("mnist-cnn"), user_models_folder() / name)
    at = press(opened("models"), "use_mnist-cnn")
    assert at.session_state["model"] == "mnist-cnn"
    press(at, "back_to_default")
    assert at.session_state["model"] == default_model()


def test_choosing_a_model_affects_only_that_visitor(two_models: None) -> None:
    here, there = opened("models"), opened("models")
    press(here, "use_one")
    there.run()
    assert "You use **one**" in text_of(here)
    assert "You use" not in text_of(there)
    assert default_model() == DEFAULT_MODEL


def test_a_new_default_affects_only_visitors_who_come_later(two_models: None) -> None:
    before = draw(opened("draw"), SEVEN)
    before.run()
    press(opened("models"), "default_one")
    before.run()
    assert before.session_state["model"] == DEFAULT_MODEL
    after = opened("draw")
    assert after.session_state["model"] == "one"
    assert digit_of(draw(after, SEVEN).run()) == "7"


def test_the_default_stands_in_for_a_deleted_model_until_it_is_restored(two_models: None) -> None:
    at, said = opened("draw"), "one is no longer here, so ink-cnn reads instead."
    at.session_state["model"] = "one"
    models = press(opened("models"), "delete_one")
    assert [toast.value for toast in models.toast] == [plain("Deleted: one. Undo is at the top of Models.")]
    assert digit_of(draw(at, SEVEN).run()) == "7"
    assert said in [caption.value for caption in at.caption]
    press(models, "undo_one")
    assert said not in [caption.value for caption in at.run().caption]


def test_a_drawing_is_still_read_if_the_default_is_broken(two_models: None) -> None:
    make_default("one")
    (find_model("one") / "model.safetensors").write_bytes(b"")
    assert digit_of(draw(opened("draw"), SEVEN).run()) == "7"


def test_an_earlier_default_can_be_restored(two_models: None) -> None:
    make_default("one")
    make_default("two")
    at = opened("models")
    press(at, "back_one")
    assert default_model() == "one"


def test_a_deleted_model_can_be_restored(two_models: None) -> None:
    at = press(opened("models"), "delete_one")
    assert "one" not in model_folders() and "**one** was deleted" in text_of(at)
    press(at, "undo_one")
    assert "one" in model_folders()


def test_an_import_does_not_take_the_name_of_a_deleted_model(two_models: None, tmp_path: Path) -> None:
    path = find_model("one") / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "one"}))
    (tmp_path / "one.zip").write_bytes(to_zip("one"))
    delete_model("one")
    script = f"""
        from pathlib import Path
        import streamlit as st
        from mnist_app.web.pages import models
        class Upload:
            getvalue = Path({str(tmp_path / "one.zip")!r}).read_bytes
        st.session_state["import"] = Upload
        models._take_in()
        """
    assert not AppTest.from_string(textwrap.dedent(script)).run().exception
    restore_model("one")
    assert {"one", "one-2"} <= set(model_folders())


@pytest.mark.parametrize(
    ("page", "key", "kept_from"),
    [
        ("models", "onnx_one", "mnist_app.web.pages.models.to_onnx"),
        ("teach", "teach_export", "mnist_app.web.pages.teach.to_json_lines"),
    ],
)
def test_a_failed_export_is_explained_by_the_next_run(
    two_models: None, monkeypatch: pytest.MonkeyPatch, page: str, key: str, kept_from: str
) -> None:
    keep(Drawing.from_points(SEVEN), 4, "7", "ink-cnn", "somebody")
    files = {}

    def button(*arguments: Any, **options: Any) -> None:
        files[options["key"]] = arguments[1]
        assert options["on_click"] == "ignore"

    def broken(*_: object) -> bytes:
        raise AppError("It is broken.")

    monkeypatch.setattr(streamlit, "download_button", button)
    monkeypatch.setattr(kept_from, broken)
    at = opened(page)
    assert "not exported" not in text_of(at)
    with pytest.raises(AppError):
        files[key]()
    name = "one" if page == "models" else "corrections.jsonl"
    assert [warning.value for warning in at.run().warning] == [plain(f"{name} was not exported: It is broken.")]
    assert not at.run().warning and not at.exception


def test_an_export_stopped_by_an_app_error_is_logged_without_a_traceback() -> None:
    for cause, has_traceback in ((ModelError("It is broken."), False), (KeyError("a bug of ours"), True)):
        failed = ValueError("The callable failed")
        failed.__cause__ = cause
        record = logging.LogRecord("streamlit", 40, "", 0, "Error in %s", ("a callable",), (ValueError, failed, None))
        assert without_traceback(record) and bool(record.exc_info) == has_traceback
        assert ("It is broken" in record.getMessage()) != has_traceback


def test_shipped_and_default_models_offer_no_deletion(two_models: None) -> None:
    make_default("one")
    deletions = [button.key for button in opened("models").button if str(button.key).startswith("delete_")]
    assert deletions == ["delete_two"]


def test_the_models_page_says_what_a_lesson_cost(two_models: None) -> None:
    for name, parent, before in (("one", "ink-cnn", {BEFORE: 0.9971}), ("two", "mnist-cnn", {})):
        path = find_model(name) / "card.json"
        changes = {"parent": parent, "metrics": {"test": {"accuracy": 0.9951, **before}}}
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    lessons = [caption.value for caption in opened("models").caption if "lesson" in caption.value]
    assert lessons == ["After the lesson 99.51% of the test digits are read right; before it, 99.71% by ink-cnn."], (
        "as measured before the lesson, whatever has that name now"
    )


def test_the_curves_of_a_taught_model_are_said_to_be_those_of_its_lesson(two_models: None) -> None:
    path = find_model("one") / "card.json"
    lesson = {"parent": "ink-cnn", "curves": [{**dict.fromkeys(CURVES, 0.5), "passes": at} for at in (1, 2)]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **lesson}))
    said = [caption.value for caption in opened("models").caption if "whole lesson" in caption.value]
    assert len(said) == 1 and said[0].startswith("The curves show the whole lesson, on ")


def test_a_model_that_cannot_be_shown_can_be_deleted(two_models: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = find_model("one") / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "machine": "unheard of"}))
    show = models._show

    def show_or_fail(card: ModelCard) -> None:
        if card.machine == "unheard of":
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        show(card)

    monkeypatch.setattr(models, "_show", show_or_fail)
    at = opened("models")
    assert "This model cannot be shown" in text_of(at)
    assert [metric.value for metric in at.metric].count("72,666") == 2, "of mnist-cnn and two"
    press(at, "delete_one")
    assert "one" not in model_folders() and "cannot be shown" not in text_of(at)


def test_markup_in_a_title_or_note_is_escaped(two_models: None) -> None:
    at = opened("models")
    at.text_input(key="title_one").set_value(MARKUP)
    at.text_area(key="note_one").set_value(MARKUP)
    next(button for button in at.button if "label_one" in str(button.form_id)).click().run()
    assert read_shelf().title("one") == MARKUP
    assert not alive(text_of(at) + "".join(heading.value for heading in at.subheader))
    assert at.text[0].value == MARKUP, "st.text renders no Markdown"


def test_markup_in_a_model_card_is_escaped(two_models: None) -> None:
    path = find_model("one") / "card.json"
    card = json.loads(path.read_text())
    told = dict.fromkeys(("summary", "data", "machine", "command", "parent"), MARKUP)
    path.write_text(json.dumps({**card, **told, "config": {"seed": MARKUP}, "metrics": {MARKUP: {"accuracy": 1}}}))
    at = opened("models")
    assert not alive(text_of(at))
    at.multiselect(key="compared").set_value(["one", "two"]).run()
    assert not at.exception and "<b onclick" not in html_of(at)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page waits for its results instead of showing a progress bar."""
    monkeypatch.setattr(models, "PATIENCE", 120)


def compare(*names: str) -> AppTest:
    at = opened("models")
    at.multiselect(key="compared").set_value(list(names)).run(timeout=120)
    assert not at.exception, at.exception
    return at


def test_two_models_are_compared_side_by_side(two_models: None, patience: None) -> None:
    at = compare("mnist-cnn", "one")
    assert "mnist-cnn" in html_of(at) and "99.71%" in html_of(at)
    assert "0 that mnist-cnn reads right and one misreads" in text_of(at), "they are the same network"
    assert "For mnist-cnn and one no curves were kept." in text_of(at)


def test_digits_that_only_one_of_two_models_reads_right_are_shown(
    no_mnist: None, patience: None, validation: Digits, said_of_validation: Callable[[str], np.ndarray]
) -> None:
    names = "ink-cnn", "mnist-cnn"
    read = [said_of_validation(name)[:, :10].argmax(axis=1) for name in names]
    at = compare(*names)
    for (better, right), (worse, wrong) in permutations(zip(names, read, strict=True), 2):
        parted = np.flatnonzero((right == validation.labels) & (wrong != validation.labels))
        assert len(parted) > 0
        assert f"{len(parted)} that {better} reads right and {worse} misreads:" in text_of(at)
        said = ", ".join(f"{validation.labels[index]} as {wrong[index]}" for index in parted[: models.MAX_PICTURES])
        assert f'alt="{said}"' in html_of(at)
    (more,) = re.findall(r'<table class="confusion still">.*?</table>', html_of(at))
    cells = [cell.replace("·", "0") for cell in re.findall(r"<td[^>]*>([^<]+)</td>", more)]
    pairs = zip(validation.labels, *read, strict=True)
    expected = np.zeros((10, 10), int)
    for meant, first, second in pairs:
        expected[meant, first] -= 1
        expected[meant, second] += 1
    assert np.array(cells, int).reshape(10, 10).tolist() == expected.tolist()


def test_any_two_of_three_models_can_be_compared_in_detail(no_mnist: None, patience: None) -> None:
    at = compare("ink-cnn", "mnist-cnn", "robust-cnn")
    pair = at.selectbox(key="parted")
    assert pair.options == ["ink-cnn and mnist-cnn", "ink-cnn and robust-cnn", "mnist-cnn and robust-cnn"]
    assert "ink-cnn and mnist-cnn on the validation digits" in [heading.value for heading in at.subheader]
    pair.set_value(("ink-cnn", "robust-cnn")).run(timeout=120)
    assert "ink-cnn and robust-cnn on the validation digits" in [heading.value for heading in at.subheader]
    assert html_of(at).count('class="confusion still"') == 1


def test_every_compared_model_reads_the_drawing_on_the_pad(no_mnist: None, patience: None) -> None:
    at = open_page("models")
    at.session_state["pad"] = canvas.Pad(latest=ink(SEVEN))
    at.run()
    at.multiselect(key="compared").set_value(["ink-cnn", "mnist-cnn"]).run(timeout=120)
    assert not at.exception, at.exception
    row = html_of(at).split("reads your drawing as</th>")[1].split("</tr>")[0]
    assert row == "<td>7</td><td>7</td>"
    assert "Draw something" not in text_of(at)


def test_a_refusal_shows_how_sure_the_model_is_of_it(no_mnist: None, patience: None) -> None:
    across: Strokes = [[[40, 170], [300, 170]]]
    doubt = recognise_glyphs(load_recogniser("ink-cnn"), [Glyph.of(Drawing.from_points(across))])[0].doubt
    at = open_page("models")
    at.session_state["pad"] = canvas.Pad(latest=ink(across))
    at.run()
    at.multiselect(key="compared").set_value(["ink-cnn", "mnist-cnn"]).run(timeout=120)
    said, sure = (html_of(at).split(f"{row}</th>")[1].split("</td>")[0] for row in ("reads your drawing as", ">sure"))
    assert (said, doubt > 0.9) == ("<td>no digit", True)
    assert sure == f"<td>{percent(doubt)}"


def test_compared_models_show_their_accuracy_and_loss_curves(two_models: None, no_mnist: None, patience: None) -> None:
    path = find_model("one") / "card.json"
    reports = [dict.fromkeys(CURVES, 0.5) | {"passes": passes, "train_loss": 0.25} for passes in (1, 2)]
    path.write_text(json.dumps({**json.loads(path.read_text()), "curves": reports}))
    html = html_of(compare("one", "two", "robust-cnn")).split('<table class="compared">')[1]
    measured = load_card(find_model("robust-cnn")).curves[-1]
    for measure, ours, title in (
        ("accuracy", ("50.00%", "50.00%"), "Read right"),
        ("loss", ("0.500", "0.250"), "Loss, nats"),
    ):
        theirs = [measured[f"{split}_{measure}"] for split in models.CURVED]
        last = [f"{100 * value:.2f}%" if measure == "accuracy" else f"{value:.3f}" for value in theirs]
        names = [f"{name}, {what}" for name in ("one", "robust-cnn") for what in models.CURVED.values()]
        ends = [f"{name} {value}" for name, value in zip(names, [*ours, *last], strict=True)]
        said = [f"{title}, latest values: {ends[0]}", *ends[1:]]
        assert f'alt="{"; ".join(said)}"' in html
    assert "for two no curves" in text_of(compare("one", "two")).lower()


# Figures


def test_curves_say_in_words_where_they_end() -> None:
    html = curves_html("Loss", [Curve("a<b", [(0, 1), (1, 0.25)], "red")], 1, 0, 1, is_share=False)
    assert 'alt="Loss, latest values: a&lt;b 0.250"' in html and "<bdi>a&lt;b</bdi> <b>0.250</b>" in html
    html = curves_html(
        "Read right", [Curve("a", [(0, 1), (1, 0.9871)], "red"), Curve("b", [], "red")], 1, 0, 1, is_share=True
    )
    assert 'alt="Read right, latest values: a 98.71%"' in html and "<bdi>a</bdi> <b>98.71%</b>" in html


def test_points_beyond_the_axes_are_clipped_not_drawn_at_the_edge() -> None:
    html = curves_html("Loss", [Curve("a", [(0, math.inf), (1, 2.0), (2, 0.5)], "red")], 2, 0, 1, is_share=False)
    svg = base64.b64decode(re.findall(r"base64,([^\"]+)", html)[0]).decode()
    heights = [float(point.split(",")[1]) for point in re.findall(r'points="([^"]+)"', svg)[0].split()]
    [clip] = re.findall(r'<rect x="[^"]+" y="([^"]+)"', svg)
    assert heights[0] < heights[1] < float(clip) < heights[2] and '<g clip-path="url(#axes)"><polyline' in svg


def test_fewer_mistakes_are_not_marked_as_mistakes() -> None:
    difference = np.zeros((10, 10), dtype=np.int64)
    difference[4, 9], difference[7, 1], difference[3, 3] = 2, -3, -2
    cells = dict(re.findall(r'<td class="(\w+)"[^>]*>(-?\d+)</td>', counts_html(difference, "")))
    assert cells == {"mistake": "2", "none": "-3", "right": "-2"}


def test_tables_escape_what_people_wrote() -> None:
    html = comparison_html([MARKUP], {MARKUP: [MARKUP]}) + counts_html(np.eye(10, dtype=np.int64), MARKUP)
    assert "<b onclick" not in html
