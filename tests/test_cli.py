import csv
import gzip
import io
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load as load_tensors

from mnist_app.__main__ import main
from mnist_app.data.dataset import DatasetError, Digits
from mnist_app.errors import AppError
from mnist_app.ink.preprocessing import prepare_image
from mnist_app.lab import effects
from mnist_app.lab.contender import NETWORK, Contender, Fitted, TrainingData
from mnist_app.models.networks import MEMBERS, Ensemble, batch_of, logits_of
from mnist_app.models.pennet import PenNet
from mnist_app.models.registry import PenCard, find_model, load_card, load_model, save_model
from mnist_app.models.shelf import delete_model, make_default
from mnist_app.storage import lab_folder, user_models_folder
from mnist_app.training.train import BatchReport, EpochReport, TrainConfig, train

from .conftest import ONE, SEVEN, TWO, ZERO
from .toy_lab import CURVES, figures, mean_digits, put

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: exit code, standard output, standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnist_app", *map(str, arguments)])
        code = main()
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def tiny_splits(monkeypatch: pytest.MonkeyPatch, tiny_digits: Digits) -> Digits:
    """All splits are the same few digits."""
    for module in ("data.dataset", "training.trainer"):
        monkeypatch.setattr(f"mnist_app.{module}.load_split", lambda split: tiny_digits)
    return tiny_digits


def ink(*drawings: object) -> bytes:
    return b"".join(json.dumps({"strokes": strokes}).encode() + b"\n" for strokes in drawings)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a picture of a seven, drawings plain and zipped, and files that cannot be read."""
    pixels = prepare_image(seven_on_paper()).pixels
    Image.fromarray(255 - pixels).resize((280, 280)).save(tmp_path / "seven.png")
    (tmp_path / "plain.jsonl").write_bytes(ink(ONE) + b"nonsense\n" + ink([], TWO))
    (tmp_path / "zipped.jsonl.gz").write_bytes(gzip.compress(ink(ZERO)))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(ink(ZERO))[:20])
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    return tmp_path


def seven_on_paper() -> Image.Image:
    image = Image.new("L", (340, 340), 255)
    for stroke in SEVEN:
        ImageDraw.Draw(image).line([(x, y) for x, y in stroke], fill=0, width=18)
    return image


def answers(output: str) -> list[object]:
    """Return the digit of each line, or its error."""
    lines = [json.loads(line) for line in output.splitlines()]
    return [line.get("digit", line.get("error")) for line in lines]


def test_predict_reads_all_its_inputs_in_order(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ink(TWO, ONE))))
    code, out, err = run("predict", files / "seven.png", "-", files / "zipped.jsonl.gz")
    assert (code, answers(out), err) == (0, [7, 2, 1, 0], "")


def test_an_answer_of_predict_has_all_fields_of_a_reading(run: Run, files: Path) -> None:
    (line,) = run("predict", files / "seven.png")[1].splitlines()
    answer = json.loads(line)
    assert set(answer) == {
        *("digit", "is_digit", "confidence", "probabilities", "model"),
        *("text", "words", "digits"),
    }
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert answer["confidence"] == answer["probabilities"][7]
    assert answer["model"] == "ink-cnn"


def test_predict_reports_errors_in_their_place_and_reads_the_rest(run: Run, files: Path) -> None:
    names = ["text.png", "plain.jsonl", "none.png", "cut.jsonl.gz", "blank.png", "none.jsonl", "seven.png"]
    code, out, err = run("predict", *(files / name for name in names))
    expected = ["not an image", 1, "not JSON", "no ink", 2, "none.png", "incomplete", "no ink", "none.jsonl", 7]
    assert (code, err) == (1, "7 of 10 could not be read; their lines say why.\n")
    assert all(str(part) in str(answer) for part, answer in zip(expected, answers(out), strict=True))


def test_predict_keeps_the_order_of_more_drawings_than_fit_in_a_batch(run: Run, tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_bytes(ink(*[ONE, TWO, []] * 100))
    assert answers(run("predict", tmp_path / "many.jsonl")[1]) == [1, 2, "There is no ink to read yet."] * 100


@pytest.mark.parametrize("name", ["gpt", ""])
@pytest.mark.parametrize("command", [["predict", "x.png"], ["evaluate"], ["prepare"]])
def test_an_unknown_model_gives_one_sentence_and_exit_code_1(run: Run, command: list[str], name: str) -> None:
    code, out, err = run(*command, "--model", name)
    assert (code, out) == (1, "")
    assert err.startswith(f"No model named {name!r}. Available: 'ink-cnn', 'ensemble'") and err.count("\n") == 1


def test_predict_ends_cleanly_when_its_reader_closes_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_bytes(ink(*[SEVEN] * 2000))
    command = f"set -o pipefail; {shlex.quote(sys.executable)} -m mnist_app predict many.jsonl | head -n 1"
    root = Path(__file__).parent.parent
    done = subprocess.run(
        ["bash", "-c", command.replace("many.jsonl", shlex.quote(str(tmp_path / "many.jsonl")))],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, answers(done.stdout), done.stderr) == (0, [7], "")


@pytest.mark.parametrize(
    ("redirected", "says"),
    [
        ("predict seven.jsonl >/dev/full", "Standard output cannot be written: No space left on device.\n"),
        ("models >/dev/full", "Standard output cannot be written: No space left on device.\n"),
        ("predict seven.jsonl >&-", "Nothing can be written to standard output: it is closed.\n"),
    ],
)
def test_output_that_cannot_be_written_is_reported_in_one_sentence(tmp_path: Path, redirected: str, says: str) -> None:
    (tmp_path / "seven.jsonl").write_bytes(ink(SEVEN))
    command = f"{shlex.quote(sys.executable)} -m mnist_app {redirected}"
    root = Path(__file__).parent.parent
    command = command.replace("seven.jsonl", shlex.quote(str(tmp_path / "seven.jsonl")))
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, says)


def test_an_os_error_elsewhere_is_not_blamed_on_standard_output(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mnist_app.__main__.models_command", fail)
    with pytest.raises(OSError, match="No space left"):
        run("models")


def test_an_interrupt_while_loading_ends_silently_with_exit_code_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mnist_app.__main__._parser", interrupt)
    assert run("models") == (130, "", "")


def test_predict_stores_nothing_in_the_home_folder(tmp_path: Path) -> None:
    """By default, ONNX Runtime reports to its makers and stores an identifier of the machine in the user's home."""
    (tmp_path / "seven.jsonl").write_bytes(ink(SEVEN))
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "mnist_app", "predict", tmp_path / "seven.jsonl"],
        cwd=Path(__file__).parent.parent,
        env={"HOME": str(home)},  # no variable from which it could infer that this is a test
        capture_output=True,
        text=True,
    )
    assert (answers(done.stdout), done.stderr) == ([7], "")
    assert list(home.rglob("*")) == []


def test_evaluate_json_has_the_promised_keys_and_figures(run: Run, tiny_splits: Digits, files: Path) -> None:
    (files / "plain.jsonl").write_text(json.dumps({"strokes": SEVEN, "label": 7}) + "\n")
    (files / "zipped.jsonl.gz").write_bytes(gzip.compress(json.dumps({"strokes": TWO, "label": 3}).encode()))
    (files / "cut.jsonl.gz").unlink()
    report = json.loads(run("evaluate", "--json", "--ink", files)[1])
    assert set(report) == {
        *("model", "split", "accuracy", "calibration_error", "refused", "per_digit", "confusion", "ink"),
    }
    assert (report["model"], report["split"]) == ("ink-cnn", "validation")
    assert set(report["ink"]) == {"collections", "macro_mean", "per_digit", "styles", "calibration_error", "refused"}
    assert report["ink"]["collections"] == {"plain": 1.0, "zipped": 0.0}
    assert report["ink"]["macro_mean"] == 0.5
    assert set(report["per_digit"]) == {str(digit) for digit in range(10)}
    assert set(report["per_digit"]["0"]) == {"precision", "recall", "f1", "support"}
    assert sum(map(sum, report["confusion"])) == len(tiny_splits)


def test_evaluate_json_has_null_for_ink_if_none_was_given(run: Run, tiny_splits: Digits) -> None:
    assert json.loads(run("evaluate", "--json", "--split", "test")[1])["ink"] is None


def test_evaluate_prints_a_row_for_each_digit(run: Run, tiny_splits: Digits) -> None:
    code, out, _ = run("evaluate")
    assert code == 0
    assert out.startswith("ink-cnn, validation split, 64 digits: ")
    assert all(f"\n{digit:>5}  " in out for digit in range(10))


@pytest.fixture
def hard_digits(monkeypatch: pytest.MonkeyPatch, validation: Digits) -> Digits:
    """Every split contains upside-down digits, many of which are misread."""
    hard = Digits(validation.images[::20, ::-1].copy(), validation.labels[::20])
    monkeypatch.setattr("mnist_app.data.dataset.load_split", lambda split: hard)
    return hard


@pytest.mark.parametrize("shipped", ["ink-cnn", "mnist-cnn", "robust-cnn", "ensemble"])
def test_every_shipped_model_reads_a_picture(run: Run, files: Path, shipped: str) -> None:
    (line,) = run("predict", files / "seven.png", "--model", shipped)[1].splitlines()
    assert (json.loads(line)["digit"], json.loads(line)["model"]) == (7, shipped)


@pytest.mark.parametrize("is_default", [False, True])
@pytest.mark.parametrize("shipped", ["ink-cnn", "mnist-cnn"])
def test_the_mistakes_file_lists_the_mistakes_of_the_evaluated_model(
    run: Run, hard_digits: Digits, tmp_path: Path, shipped: str, is_default: bool
) -> None:
    """For a model copied under another name, compares with a count of its logits, one by one."""
    shutil.copytree(find_model(shipped), user_models_folder() / "renamed")
    if is_default:
        make_default("renamed")
    asked = [] if is_default else ["--model", "renamed"]
    code, out, _ = run("evaluate", *asked, "--mistakes", tmp_path / "mistakes.csv", "--json")
    model = load_model(find_model(shipped))
    shares = (logits_of(model.network, hard_digits.images)[:, :10] / model.card.temperature).softmax(dim=1).tolist()
    expected = [
        (index, label, share.index(max(share)), max(share))
        for index, (label, share) in enumerate(zip(hard_digits.labels.tolist(), shares, strict=True))
        if share.index(max(share)) != label
    ]
    rows = list(csv.DictReader((tmp_path / "mistakes.csv").read_text().splitlines()))
    found = [(int(row["index"]), int(row["label"]), int(row["read"])) for row in rows]
    sureness = [float(row["confidence"]) for row in rows]
    assert code == 0 and len(found) > 30
    assert sorted(found) == [mistake[:3] for mistake in expected]
    assert sureness == sorted(sureness, reverse=True)
    known = {mistake[0]: mistake[3] for mistake in expected}
    assert sureness == pytest.approx([known[index] for index, *_ in found], abs=1e-5)
    assert json.loads(out)["accuracy"] == pytest.approx(1 - len(found) / len(hard_digits))


def test_evaluate_does_not_accept_the_train_split(
    run: Run, hard_digits: Digits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("evaluate", "--help")
    assert "--split {validation,test}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        run("evaluate", "--split", "train", "--mistakes", tmp_path / "mistakes.csv")
    assert end.value.code == 2 and "invalid choice: 'train'" in capsys.readouterr().err
    assert not (tmp_path / "mistakes.csv").exists()


def test_a_missing_split_is_an_error_that_names_the_download_command(run: Run, no_mnist: None) -> None:
    code, out, err = run("evaluate", "--split", "test")
    assert (code, out) == (1, "")
    assert "python -m mnist_app data fetch" in err


def test_a_trained_models_card_records_how_it_was_trained(run: Run, tiny_splits: Digits) -> None:
    code, out, _ = run("train", "--name", "mine", "--epochs", "1", "--batch-size", "32", "--seed", "4")
    card = load_card(find_model("mine"))
    assert (code, f"Saved {user_models_folder() / 'mine'}: validation" in out) == (0, True)
    assert card.command == "python -m mnist_app train --name mine --epochs 1 --batch-size 32 --seed 4"
    assert card.config == asdict(TrainConfig(epochs=1, batch_size=32, seed=4))
    assert set(card.metrics) == {"validation", "test"}
    assert load_model(find_model("mine")).card == card


def got_meanwhile(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a model is being trained, another model gets its name."""

    def train_meanwhile(*arguments: Any) -> Iterator[BatchReport | EpochReport]:
        shutil.copytree(find_model("mnist-cnn"), user_models_folder() / name)
        yield from train(*arguments)

    monkeypatch.setattr("mnist_app.training.trainer.train", train_meanwhile)


def test_a_name_taken_during_the_training_stays_with_the_other_model(
    run: Run, tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    got_meanwhile("mine", monkeypatch)
    code, out, _ = run("train", "--name", "mine", "--epochs", "1")
    assert code == 0
    assert f"The name 'mine' has been taken in the meantime. Saved {user_models_folder() / 'mine-2'}: validation" in out
    theirs, ours = (load_model(find_model(name)).card for name in ("mine", "mine-2"))
    assert theirs == load_card(find_model("mnist-cnn"))
    assert (ours.name, ours.config["epochs"]) == ("mine-2", 1)
    assert {path.name for path in user_models_folder().iterdir()} == {"mine", "mine-2"}


def test_a_model_that_cannot_be_moved_into_place_is_kept_and_its_path_reported(
    run: Run, tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(made: Path, taken: list[str]) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mnist_app.models.registry.put_in_place", refuse)
    code, _, err = run("train", "--name", "mine", "--epochs", "1")
    assert code == 1 and "No space left on device. The model is in " in err
    assert load_model(Path(err.split("The model is in ")[1].strip().removesuffix("."))).card.name == "mine"


def test_a_training_that_fails_leaves_no_files(run: Run, tiny_splits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Iterator[BatchReport | EpochReport]:
        raise AppError("no")

    monkeypatch.setattr("mnist_app.training.trainer.train", fail)
    assert run("train", "--name", "mine", "--epochs", "1") == (1, "", "no\n")
    assert list(user_models_folder().iterdir()) == []


def test_a_trained_model_is_saved_and_measured_with_16_bit_weights(
    run: Run, tiny_splits: Digits, tmp_path: Path
) -> None:
    run("train", "--output", tmp_path / "model", "--epochs", "1", "--batch-size", "16")
    kept = load_tensors((tmp_path / "model" / "model.safetensors").read_bytes())
    assert {tensor.dtype for tensor in kept.values() if tensor.is_floating_point()} == {torch.float16}
    model = load_model(tmp_path / "model")
    read = logits_of(model.network, tiny_splits.images).argmax(dim=1).numpy()
    assert model.card.metrics["test"]["accuracy"] == float((read == tiny_splits.labels).mean())


def test_the_command_on_a_card_reproduces_the_weights(run: Run, tiny_splits: Digits, tmp_path: Path) -> None:
    folder = tmp_path / "with a space" / "model"
    run("train", "--output", folder, "--epochs", "1", "--batch-size", "16")
    before = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(b"")
    python, dash_m, name, *arguments = shlex.split(load_card(folder).command)
    assert [python, dash_m, name] == ["python", "-m", "mnist_app"]
    assert run(*arguments)[0] == 0
    assert (folder / "model.safetensors").read_bytes() == before


def test_an_ensemble_combines_the_answers_and_cards_of_its_members(
    run: Run, tiny_splits: Digits, tmp_path: Path, files: Path
) -> None:
    members = [tmp_path / architecture for architecture in MEMBERS]
    for member in members:
        start = ["train", "--architecture", member.name, "--epochs", "1", "--batch-size", "16"]
        assert run(*start, "--output", member)[0] == 0
    trained = load_model(members[0])
    pen = PenCard(parameters=7, command="none", config={}, seconds=1, machine="this one")
    together = user_models_folder() / "together"
    says = "The first model of an ensemble must have learned from ink, and the others must not.\n"
    assert run("combine", *members, "--output", together)[::2] == (1, says)
    as_of_ink = replace(trained.card, pen=pen, config={**trained.card.config, "ink": {}})
    save_model(members[0], trained.network, as_of_ink, PenNet())
    assert run("combine", *members, "--output", together)[0] == 0
    card, cards = load_card(together), [load_card(member) for member in members]
    assert card.parameters == sum(member.parameters for member in cards)
    assert card.config == {"members": [member.command for member in cards], "ink": {}}
    assert card.command == f"python -m mnist_app combine {' '.join(map(str, members))} --output {together}"
    assert (card.data, card.temperature, card.pen) == (cards[0].data, cards[0].temperature, pen)
    assert (together / "pen.safetensors").read_bytes() == (members[0] / "pen.safetensors").read_bytes()
    networks, network = [load_model(member).network for member in members], load_model(together).network
    assert isinstance(network, Ensemble)
    with torch.inference_mode():
        pictures = batch_of(torch.from_numpy(tiny_splits.images))
        expected = Ensemble.combined([member(pictures) for member in networks])
    torch.testing.assert_close(logits_of(network, tiny_splits.images), expected)
    assert json.loads(run("predict", files / "seven.png", "--model", "together")[1])["model"] == "together"


def test_commands_that_take_a_models_folder_also_take_its_name(run: Run, tmp_path: Path) -> None:
    shutil.copytree(find_model("ink-cnn"), user_models_folder() / "mine")
    learned = "'ink-cnn' has learned from ink. Name its twins, trained --without some collections.\n"
    assert run("calibrate", "mine")[::2] == (1, learned)
    no_ink = "'mnist-cnn' cannot have a pen network: it has not learned from ink, or cannot refuse.\n"
    assert run("pen", "mnist-cnn", "--ink", tmp_path)[::2] == (1, no_ink)
    kinds = "An ensemble needs models with the architectures handnet, unpadded-3, unpadded-5, in this order.\n"
    assert run("combine", "mine", "--output", tmp_path / "x")[::2] == (1, kinds)
    for command in (["calibrate", "nope"], ["pen", "nope", "--ink", tmp_path], ["combine", "nope", "--output", "x"]):
        code, _, err = run(*command)
        assert (code, err.count("\n")) == (1, 1)
        assert err.startswith("There is no folder 'nope'. No model named 'nope'. Available: 'ink-cnn', ")


def test_combine_refuses_networks_of_other_architectures(run: Run, tmp_path: Path) -> None:
    code, _, err = run("combine", find_model("mnist-cnn"), find_model("robust-cnn"), "--output", tmp_path / "x")
    assert code == 1
    assert err == ("An ensemble needs models with the architectures handnet, unpadded-3, unpadded-5, in this order.\n")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("architecture", "answers_with"), [("convnet", 10), ("handnet", 11)])
def test_networks_with_and_without_refusal_learn_from_ink(
    run: Run, tiny_splits: Digits, tmp_path: Path, architecture: str, answers_with: int
) -> None:
    (tmp_path / "some.jsonl").write_text(json.dumps({"strokes": SEVEN, "label": 7}) + "\n")
    words = ("--architecture", architecture, "--epochs", "1", "--batch-size", "16")
    code, _, err = run("train", "--name", "mine", "--ink", tmp_path, *words)
    assert code == 0, err
    model = load_model(find_model("mine"))
    assert logits_of(model.network, tiny_splits.images).shape[1] == answers_with
    assert (model.card.config["ink"]["nondigits"] > 0) == (answers_with == 11)


def test_an_interrupted_command_ends_silently_with_exit_code_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mnist_app.__main__.models_command", interrupt)
    assert run("models") == (130, "", "")


def test_an_output_folder_that_cannot_be_written_is_reported_before_training(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "file" / "models" / "mine"
    (tmp_path / "file").touch()
    monkeypatch.setattr("mnist_app.training.trainer.train", lambda *_: pytest.fail("it trained"))
    code, _, err = run("train", "--output", folder, "--epochs", "1")
    assert (code, err) == (1, f"{folder} could not be written: Not a directory.\n")


def test_the_option_without_is_refused_if_no_ink_is_given(run: Run, tmp_path: Path) -> None:
    code, _, err = run("train", "--output", tmp_path / "x", "--without", "pendigits")
    assert (code, err) == (1, "--without only applies to ink. Name the ink's folder with --ink.\n")


def test_calibrate_needs_twins_for_a_model_that_learned_from_ink(run: Run, tmp_path: Path) -> None:
    shutil.copytree(find_model("ink-cnn"), tmp_path / "mine")
    before = (tmp_path / "mine" / "card.json").read_bytes()
    code, _, err = run("calibrate", tmp_path / "mine")
    assert (code, err) == (
        1,
        "'ink-cnn' has learned from ink. Name its twins, trained --without some collections.\n",
    )
    assert run("calibrate", tmp_path / "mine", "--ink", tmp_path)[::2] == (
        1,
        "--ink is only used with twins. Name the twins, too.\n",
    )
    assert (tmp_path / "mine" / "card.json").read_bytes() == before
    shutil.copytree(find_model("ensemble"), tmp_path / "all")
    assert run("calibrate", tmp_path / "all")[::2] == (
        1,
        "'ensemble' takes its calibration from what it was made from. Calibrate that, then make it again.\n",
    )


@pytest.mark.parametrize(
    ("workers", "sentence"),
    [
        ("-1", "--workers must be 0 or more, not -1."),
        ("2", "--workers only applies to ink. Name the ink's folder with --ink."),
    ],
)
def test_negative_workers_and_workers_without_ink_are_refused(
    run: Run, tmp_path: Path, workers: str, sentence: str
) -> None:
    arguments = ("train", "--output", tmp_path / "x", "--preset", "quick", "--workers", workers)
    assert run(*arguments)[::2] == (1, f"{sentence}\n")
    assert not (tmp_path / "x").exists()


def test_a_model_gets_a_pen_network_and_is_calibrated_with_it(run: Run, tmp_path: Path, tiny_splits: Digits) -> None:
    for name in ("first", "second"):
        digits = ((ONE, 1), (SEVEN, 7), (TWO, 2), (ZERO, 0))
        lines = "\n".join(json.dumps({"strokes": strokes, "label": label}) for strokes, label in digits)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    shipped, folder = load_model(find_model("ink-cnn")), user_models_folder() / "mine"
    learned = {**shipped.card.config["ink"], "without": ["second"]}
    bare = replace(shipped.card, name="mine", pen=None, config={**shipped.card.config, "ink": learned}, metrics={})
    save_model(folder, shipped.network, bare)
    code, out, _ = run("pen", folder, "--ink", tmp_path, "--seed", "3")
    assert code == 0 and "parameters follow the pen" in out
    pen = load_card(folder).pen
    assert pen and pen.command == f"python -m mnist_app pen {folder} --ink INK_FOLDER --seed 3"
    code, out, _ = run("calibrate", folder, folder, "--ink", tmp_path)
    card = load_card(folder)
    assert code == 0 and card.pen and card.pen.temperature != pen.temperature
    assert set(card.metrics["second, unseen"]) == {"accuracy", "by pictures alone"}
    assert f"With the pen: temperature {card.pen.temperature:.3f}" in out
    assert run("predict", tmp_path / "first.jsonl", "--model", "mine")[0] == 0


def test_the_pen_command_refuses_unsuitable_models_and_negative_workers(run: Run, tmp_path: Path) -> None:
    assert run("pen", find_model("mnist-cnn"), "--ink", tmp_path)[::2] == (
        1,
        "'mnist-cnn' cannot have a pen network: it has not learned from ink, or cannot refuse.\n",
    )
    assert run("pen", find_model("ink-cnn"), "--ink", tmp_path, "--workers", "-1")[::2] == (
        1,
        "--workers must be 0 or more, not -1.\n",
    )


def test_a_model_trained_under_attack_says_so_on_its_card_and_can_be_calibrated(run: Run, tiny_splits: Digits) -> None:
    run("train", "--name", "tough", "--preset", "quick", "--batch-size", "16", "--attack-levels", "32")
    card = load_card(find_model("tough"))
    assert "--attack-levels 32" in card.command and card.config["attack_levels"] == 32
    assert "under attack" in card.summary and "32 of 255 levels" in card.summary
    assert run("calibrate", find_model("tough"))[0] == 0
    assert load_card(find_model("tough")).temperature != card.temperature
    assert run("calibrate", find_model("tough"), find_model("tough"))[::2] == (
        1,
        "Twins are measured on real ink. Name its folder with --ink.\n",
    )
    assert run("calibrate", find_model("tough"), find_model("mnist-cnn"), "--ink", "/nowhere")[::2] == (
        1,
        "'mnist-cnn' is not a twin of 'tough': its architecture is different.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--name", "mnist-cnn"], "There is a model named 'mnist-cnn' already"),
        (["--name", "../x"], "A model's name has up to 64"),
        (["--name", "x", "--epochs", "0"], "epochs must be between 1 and 1000, not 0"),
        (["--name", "x", "--architecture", "mlp"], "No architecture 'mlp'"),
        (["--name", "x", "--attack-levels", "200"], "attack_levels must be between 0 and 127, not 200"),
    ],
)
def test_train_refuses_bad_names_and_options_at_once(
    run: Run, tiny_splits: Digits, arguments: list[str], says: str
) -> None:
    code, _, err = run("train", *arguments)
    assert (code, says in err, err.count("\n")) == (1, True, 1)
    assert not user_models_folder().exists()


def test_the_name_of_a_deleted_model_stays_reserved(run: Run) -> None:
    shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "mine")
    delete_model("mine")
    code, _, err = run("train", "--name", "mine")
    assert (code, err) == (1, "'mine' was deleted and can still be restored. Choose another name.\n")


def test_training_never_replaces_a_folder_that_is_not_a_model(
    run: Run, tiny_splits: Digits, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnist_app.training.trainer.train", lambda *_: pytest.fail("it trained first"))
    code, _, err = run("train", "--output", files, "--epochs", "1")
    assert (code, "is not a model" in err) == (1, True)
    assert (files / "seven.png").exists()


def test_help_explains_options_with_their_defaults_and_choices(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("train", "--help")
    out = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert "--epochs EPOCHS how often every digit is seen (default: 24)" in out
    assert "the kind of network: convnet, quicknet, inknet, handnet, unpadded-3, unpadded-5, trio (default:" in out
    assert "--rotation ROTATION degrees by which a digit is turned, at most (default: 12.0)" in out
    with pytest.raises(SystemExit):
        run("predict", "--help")
    assert "whose lines are answered 256 at a time" in " ".join(capsys.readouterr().out.split())


def test_prepare_ships_only_models_that_came_with_the_app(run: Run) -> None:
    shutil.copytree(find_model("mnist-cnn"), user_models_folder() / "mine")
    code, out, err = run("prepare", "--ship", "--model", "mine")
    assert (code, out) == (1, "")
    assert err == "'mine' did not come with the app. weights/ is only for models that did. Leave out --ship.\n"


def test_a_missing_test_split_is_noticed_before_the_training(
    run: Run, tiny_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_split(split: str) -> Digits:
        if split == "test":
            raise DatasetError("no test split")
        return tiny_digits

    monkeypatch.setattr("mnist_app.training.trainer.load_split", load_split)
    monkeypatch.setattr("mnist_app.training.trainer.train", lambda *_: pytest.fail("it trained first"))
    assert run("train", "--name", "x") == (1, "", "no test split\n")


def test_the_chosen_schedule_is_recorded_on_the_card(run: Run, tiny_splits: Digits) -> None:
    assert run("train", "--name", "mine", "--epochs", "1", "--schedule", "constant")[0] == 0
    card = load_card(find_model("mine"))
    assert "--schedule constant" in card.command and card.config["schedule"] == "constant"
    says = "No schedule 'sawtooth'. Available: one-cycle, constant.\n"
    assert run("train", "--name", "other", "--schedule", "sawtooth") == (1, "", says)


# The lab


@pytest.fixture
def a_small_lab(monkeypatch: pytest.MonkeyPatch, nothing_shipped: Path, tiny_digits: Digits) -> list[str]:
    """A lab of two toys and two studies that finish at once; returns the names of those that ran, in order."""
    done: list[str] = []
    toys = [Contender(name, f"A {name}", NETWORK, "", "as one likes", never) for name in ("ball", "kite")]

    def learn(name: str, folder: Path, ink: Path | None, is_quick: bool) -> str | None:
        done.append(name)
        put(folder.parent, figures(name), mean_digits(tiny_digits))
        return None if name == "ball" else "It rained."

    def see(*_: object) -> list[effects.EffectResult]:
        done.append("effects")
        return [effects.EffectResult("Noise", "It hurts.", [effects.Run("none", CURVES)])]

    monkeypatch.setattr("mnist_app.lab.run.contenders", lambda: toys)
    monkeypatch.setattr("mnist_app.lab.run.load_split", lambda split: tiny_digits)
    monkeypatch.setattr("mnist_app.lab.run._in_a_process", learn)
    monkeypatch.setattr("mnist_app.lab.studies.run_effects", see)
    return done


def never(_: TrainingData) -> Fitted:
    raise AssertionError


def test_the_lab_measures_all_models_and_resumes_where_it_stopped(run: Run, a_small_lab: list[str]) -> None:
    code, out, err = run("lab")
    first, second, third = out.splitlines()
    assert (second, third) == ("2/2 A kite: not measured. It rained.", "effects: done")
    assert code == 1 and err.endswith("1 of 2 could not be measured; the reasons are above.\n")
    assert first.startswith("1/2 A ball: 90.00%")
    assert a_small_lab == ["ball", "kite", "effects"], "without ink, the study that needs it is skipped"
    (lab_folder() / "kite" / "figures.json").unlink()
    assert "(measured before)" in run("lab")[1].splitlines()[0]
    assert a_small_lab[3:] == ["kite"]
    assert run("lab", "--force", "--models", "ball", "effects")[0] == 0
    assert a_small_lab[4:] == ["ball", "effects"]


def test_the_lab_ships_its_results_but_not_those_of_a_quick_run(
    run: Run, a_small_lab: list[str], nothing_shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run("lab", "--models", "ball", "effects", "--ship")[1]
    assert out.splitlines()[2:] == [f"Shipped {nothing_shipped / name}" for name in ("ball", "effects.json")]
    assert {path.name for path in nothing_shipped.iterdir()} == {"ball", "effects.json"}
    with pytest.raises(SystemExit) as end:
        run("lab", "--quick", "--ship")
    assert end.value.code == 2 and "not allowed with argument --quick" in capsys.readouterr().err


def test_the_lab_refuses_impossible_requests_before_it_starts(run: Run, a_small_lab: list[str]) -> None:
    assert run("lab", "--models", "car") == (
        *(1, ""),
        "Nothing in the lab is called 'car'. There are: ball, kite, effects, transfer.\n",
    )
    code, _, err = run("lab", "--models", "ball", "transfer")
    assert (code, err) == (1, "Learning from few samples needs real ink: name its folder with --ink.\n")
    assert run("lab", "--ink", "/nowhere")[0] == 1
    assert a_small_lab == []


def test_a_lab_model_predicts_by_name_but_cannot_be_taught_or_calibrated(run: Run, a_toy: Path, files: Path) -> None:
    code, out, err = run("predict", "--model", "toy", files / "seven.png")
    assert (code, json.loads(out)["model"], err) == (0, "toy", "")
    (files / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps({"strokes": SEVEN, "label": 7}).encode()))
    for command in (["teach", "toy", "--name", "mine", "--ink", files], ["calibrate", a_toy]):
        code, _, err = run(*command)
        assert (code, err.startswith("'toy' is only a graph: it answers, but cannot be taught")) == (1, True)
    assert "toy" not in run("models")[1]


def test_data_shows_the_source_of_the_digits(run: Run, toy_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("data", "show")[1] == "Source: the embedded sample. Splits: validation.\n"
    monkeypatch.setenv("MNIST_APP_DATA", "/nope")
    says = "/nope/MNIST/raw/train-images-idx3-ubyte is missing. Put the original there, or unset MNIST_APP_DATA.\n"
    assert run("data") == run("evaluate") == (1, "", says)
    monkeypatch.setenv("MNIST_APP_DATA", str(toy_mnist))
    assert run("data")[1] == (
        f"Source: the folder named by MNIST_APP_DATA ({toy_mnist}). Splits: train, validation, test.\n"
    )


def test_an_unreachable_mirror_is_reported_in_one_sentence(run: Run, no_mnist: None) -> None:
    code, _, err = run("data", "fetch", "--mirror", "http://127.0.0.1:1")
    assert (code, "cannot be reached" in err, err.count("\n")) == (1, True, 1)


def test_models_are_listed_with_their_figures(run: Run) -> None:
    out = run("models")[1]
    assert out.startswith("ink-cnn ")
    assert "72,666 parameters   validation 99." in out
