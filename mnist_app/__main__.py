"""The command line: ``python -m mnist_app predict | evaluate | train | combine | …``."""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_app.errors import AppError

if TYPE_CHECKING:  # otherwise imported where used: `data fetch` need not wait two seconds for torch
    from torch import nn

    from mnist_app.data.dataset import Digits
    from mnist_app.reading.evaluation import Evaluation
    from mnist_app.reading.number import Readable
    from mnist_app.reading.recognition import Recogniser
    from mnist_app.training.train import BatchReport, EpochReport, TrainConfig
    from mnist_app.training.trainer import Watch

BATCH = 256  # drawings read at once; larger batches are no faster
STDIN = "-"
INTERRUPTED = 130  # the exit code that shells use for a command ended by Ctrl-C
# The options of `train` with their types and help. They are fields of TrainConfig, which defines defaults, choices and
# limits.
TRAIN_OPTIONS: dict[str, tuple[type, str]] = {
    "architecture": (str, "the kind of network"),
    "epochs": (int, "how often every digit is seen"),
    "batch_size": (int, "digits for each update of the weights"),
    "learning_rate": (float, "how far the weights move in an update, at most"),
    "seed": (int, "the seed of all random choices"),
    "optimiser": (str, "how the weights are updated"),
    "digits": (int, "how many of the training digits to learn from; all if left out"),
    "checks": (int, "validation measurements in each epoch"),
    "average": (float, "how much of the moving average of the weights is kept with each batch"),
    "label_smoothing": (float, "share of certainty given to the other digits"),
    "weight_decay": (float, "how strongly the weights are pulled towards 0"),
    "attack_levels": (int, "train on attacked digits: levels, of 255, that each pixel is changed by; 0 for no attack"),
    "schedule": (str, "how the learning rate changes during the training"),
    "precision": (str, "number format for matrix products"),
    "device": (str, "where to train"),
}
# How far digits are changed at random, in either direction. They are fields of Augmentation, which defines the limits.
CHANGES = {
    "rotation": "degrees by which a digit is turned, at most",
    "shift": "pixels by which it is moved, at most",
    "zoom": "share of its size by which it grows or shrinks, at most",
    "shear": "pixels that it leans sideways for each pixel of height, at most",
    "thickness": "pixels by which its strokes get thicker or thinner, at most",
    "elastic": "pixels by which its parts move against each other, at most",
}
PRESETS = ("quick", "minute", "best")


def predict_command(arguments: argparse.Namespace) -> None:
    """Print one JSON line for each image and each drawing, in order.

    If one cannot be read, its line says why and the rest is still read, but the command fails in the end.
    """
    from mnist_app.reading.number import Reading, read_each

    if not sys.stdout:  # it is None if the shell closed it
        raise AppError("Nothing can be written to standard output: it is closed.")
    model = _load(arguments.model)
    count = failed = 0
    for batch in _batched(itertools.chain.from_iterable(_readables(file) for file in arguments.files)):
        for answer in read_each(model, batch):
            line = answer.to_json() if isinstance(answer, Reading) else {"error": str(answer)}
            print(json.dumps(line))
            count += 1
            failed += "error" in line
        sys.stdout.flush()
    if failed:
        raise AppError(f"{failed:,} of {count:,} could not be read; their lines say why.")


def evaluate_command(arguments: argparse.Namespace) -> None:
    """Measure a model on a split and, with --ink, on collections of drawings."""
    import numpy as np

    from mnist_app.data.dataset import load_split
    from mnist_app.models.shelf import default_model
    from mnist_app.reading.calibration import calibration_error
    from mnist_app.reading.evaluation import evaluate, evaluate_ink
    from mnist_app.reading.recognition import recognise

    name = default_model() if arguments.model is None else arguments.model
    model = _load(name)
    digits = load_split(arguments.split)
    answers = recognise(model, digits.images)
    probabilities = np.array([answer.probabilities for answer in answers])
    refused = sum(not answer.is_digit for answer in answers) / len(answers)
    found = evaluate(digits.labels, probabilities.argmax(axis=1))
    ink = evaluate_ink(model, arguments.ink) if arguments.ink else None
    if arguments.mistakes:
        _write_mistakes(arguments.mistakes, name, arguments.split, digits)
    if arguments.json:
        report = {
            "model": model.card.name,
            "split": arguments.split,
            "accuracy": found.accuracy,
            "calibration_error": calibration_error(probabilities, digits.labels),
            "refused": refused,
            "per_digit": {digit: dataclasses.asdict(score) for digit, score in enumerate(found.per_digit)},
            "confusion": found.confusion.tolist(),
            "ink": ink and dataclasses.asdict(ink) | {"macro_mean": ink.macro_mean},
        }
        print(json.dumps(report))
        return
    print(f"{model.card.name}, {arguments.split} split, {len(digits):,} digits: {found.accuracy:.2%} read right\n")
    print(_tables(found))
    print(f"\nrefused {refused:.2%}, calibration error {calibration_error(probabilities, digits.labels):.2%}")
    if ink:
        print(f"\n{'collection':<32} accuracy")
        for name, accuracy in ink.collections.items():
            print(f"{name:<32} {accuracy:8.2%}")
        print(f"{'macro mean':<32} {ink.macro_mean:8.2%}")
        print(f"\n{'readable ones by digit and style':<32} accuracy  support")
        for digit, score in enumerate(ink.per_digit):
            print(f"{digit:<32} {score.recall:8.2%} {score.support:8,}")
            for style, fared in ink.styles.items():
                if style.startswith(str(digit)):
                    print(f"  {style:<30} {fared.accuracy:8.2%} {fared.support:8,}")
        print(f"refused {ink.refused:.2%}, calibration error {ink.calibration_error:.2%}")


def _write_mistakes(path: Path, model: str, split: str, digits: "Digits") -> None:
    """Write what a model misreads as CSV, the surest mistakes first, with probabilities and properties of the ink."""
    from mnist_app.explore.explorer import Filters, Readings, View, to_csv
    from mnist_app.explore.predictions import predictions_of

    readings = Readings(split, digits, predictions_of(model, split, digits)[0])
    chosen = View(model, split, Filters(verdict="wrong")).chosen(readings)
    try:
        path.write_text(to_csv(readings, chosen))
    except OSError as error:
        raise AppError(f"{path} cannot be written: {error.strerror}.") from None


def train_command(arguments: argparse.Namespace) -> None:
    """Train on the train split, with a progress bar, and save the model with its card."""
    from mnist_app.training.tracking import tracked
    from mnist_app.training.trainer import command_of, train_model

    if arguments.job:
        from mnist_app.training.worker import work

        sys.exit(0 if work(arguments.job) else 1)
    config = _config(arguments)
    if arguments.workers < 0:
        raise AppError(f"--workers must be 0 or more, not {arguments.workers}.")
    if arguments.workers and not arguments.ink:
        raise AppError("--workers only applies to ink. Name the ink's folder with --ink.")
    if arguments.without and not arguments.ink:
        raise AppError("--without only applies to ink. Name the ink's folder with --ink.")
    where = ["--output", str(arguments.output)] if arguments.output else ["--name", arguments.name]
    command = command_of(config, where)

    def make(folder: Path) -> str:
        with _bar(config) as watch, tracked(folder.name, command, dataclasses.asdict(config), _warn) as run:
            card = train_model(folder, config, run.beside(watch), command, arguments.ink, arguments.workers)
            run.keep(folder, card)
        return f": {_figures(card.metrics)}."

    if arguments.output:
        folder = arguments.output.resolve()
        print(f"Saved {folder}{make(folder)}")
    else:
        _save_as(arguments.name, make)


def teach_command(arguments: argparse.Namespace) -> None:
    """Teach a copy of a model labelled drawings, mixed with digits that it knows, and report what changed."""
    from mnist_app.models.registry import find_model, load_card
    from mnist_app.training.inkset import load_ink
    from mnist_app.training.teach import command_of_lesson, lesson, teach_model
    from mnist_app.training.tracking import tracked

    config = lesson(load_card(find_model(arguments.model)), len(load_ink(arguments.ink)), arguments.seed)
    command = command_of_lesson(arguments.model, ["--name", arguments.name], arguments.seed)

    def make(folder: Path) -> str:
        with _bar(config) as watch, tracked(folder.name, command, dataclasses.asdict(config), _warn) as run:
            card, taught = teach_model(folder, arguments.model, arguments.ink, config, run.beside(watch), command)
            run.keep(folder, card)
        return f". {taught.sentence}"

    _save_as(arguments.name, make)


def _save_as(name: str, make: Callable[[Path], str]) -> None:
    """Let ``make`` create a model in a hidden folder, then move it to the user's models. ``make`` returns a report.

    If another model has taken the name in the meantime, that one stays, and the new one gets a free name.
    """
    from mnist_app.models.registry import new_model_folder, put_in_place
    from mnist_app.models.shelf import restorable

    folder = new_model_folder(name)  # reports a bad name before the training instead of after it
    if name in restorable():
        raise AppError(f"{name!r} was deleted and can still be restored. Choose another name.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}."))
    except OSError as error:
        raise AppError(f"{folder.parent} could not be written: {error.strerror}.") from None
    made = workshop / name
    try:
        said = make(made)
        try:
            saved = put_in_place(made, restorable())
        except OSError as error:
            raise AppError(f"{folder} could not be written: {error.strerror}. The model is in {made}.") from None
    finally:
        if not made.exists():
            shutil.rmtree(workshop)
    there = "" if saved == name else f"The name {name!r} has been taken in the meantime. "
    print(f"{there}Saved {folder.parent / saved}{said}")


def _config(arguments: argparse.Namespace) -> "TrainConfig":
    """Return the preset, or the default recipe, with the options that were given.

    Only a network that can refuse learns from drawings that are not digits: the others have no class for them.
    """
    from mnist_app.models.networks import REFUSING
    from mnist_app.training.inkset import InkConfig
    from mnist_app.training.train import PRESETS, TrainConfig

    base = PRESETS[arguments.preset].config if arguments.preset else TrainConfig()
    given = vars(arguments)
    augmentation = dataclasses.replace(base.augmentation, **{name: given[name] for name in CHANGES if name in given})
    options = {name: given[name] for name in TRAIN_OPTIONS if name in given}
    config = dataclasses.replace(base, **options, augmentation=augmentation)
    if not arguments.ink:
        return config
    nondigits = InkConfig.nondigits if config.architecture in REFUSING else 0
    return dataclasses.replace(config, ink=InkConfig(nondigits=nondigits, without=tuple(arguments.without)))


@contextlib.contextmanager
def _bar(config: "TrainConfig") -> Iterator["Watch"]:
    """Show a progress bar and yield the function that advances it."""
    from tqdm import tqdm

    from mnist_app.training.train import BatchReport

    with tqdm(unit="batch", mininterval=1, delay=0.1) as bar:

        def watch(report: "BatchReport | EpochReport", _: "nn.Module") -> None:
            if isinstance(report, BatchReport):
                bar.total = report.batches * config.epochs
                bar.update()
                return
            bar.write(
                f"epoch {report.passes:g}/{config.epochs}: training loss {report.train_loss:.4f}, "
                f"validation loss {report.validation_loss:.4f}, accuracy {report.validation_accuracy:.2%}"
            )

        yield watch


def _warn(sentence: str) -> None:
    """Print a warning, above the progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(sentence, file=sys.stderr)


def pen_command(arguments: argparse.Namespace) -> None:
    """Train a pen network for a model that has learned from ink: the model then also reads how drawings were written.

    The pen network learns from the same collections as the model and is saved in the model's folder.
    """
    from tqdm import tqdm

    from mnist_app.training.pen import PenConfig, give_pen

    if arguments.workers < 0:
        raise AppError(f"--workers must be 0 or more, not {arguments.workers}.")
    words = ["pen", arguments.model, "--ink", "INK_FOLDER"]
    words += ["--seed", str(arguments.seed)] if arguments.seed else []
    command = shlex.join(["python", "-m", "mnist_app", *words])
    with tqdm(unit="batch", mininterval=1, delay=0.1) as bar:

        def watch(report: "BatchReport") -> None:
            bar.total = report.batches * PenConfig.epochs
            bar.update()
            bar.set_postfix(loss=f"{report.loss:.3f}", refresh=False)

        folder = _folder_of(arguments.model)
        card = give_pen(folder, arguments.ink, arguments.seed, watch, command, arguments.workers)
    assert card.pen
    print(f"Saved {folder}: {card.pen.parameters:,} parameters follow the pen. Calibrate the model before you use it.")


def combine_command(arguments: argparse.Namespace) -> None:
    """Combine trained models into one that answers with the mean of their probabilities."""
    from mnist_app.models.registry import load_model
    from mnist_app.training.ensembles import combine

    members = [load_model(_folder_of(member)) for member in arguments.members]
    command = ["python", "-m", "mnist_app", "combine", *arguments.members, "--output", str(arguments.output)]
    folder = arguments.output.resolve()
    print(f"Saved {folder}: {_figures(combine(folder, members, shlex.join(command)).metrics)}.")


def calibrate_command(arguments: argparse.Namespace) -> None:
    """Fit a model's confidence and refusal on data that it has not learned from, and write them on its card.

    That data is the validation split and real ink, which is read by twins of the model: each was trained by the same
    recipe without some collections, and now reads those. A model that has not learned from ink needs no twins.
    """
    import torch

    from mnist_app.data.dataset import load_split
    from mnist_app.models.registry import load_model, save_model
    from mnist_app.training.twins import answers_of, calibrated, unseen_ink

    torch.set_num_threads(1)
    folder = _folder_of(arguments.model)
    model = load_model(folder)
    if arguments.twins and not arguments.ink:
        raise AppError("Twins are measured on real ink. Name its folder with --ink.")
    if arguments.ink and not arguments.twins:
        raise AppError("--ink is only used with twins. Name the twins, too.")
    if "members" in model.card.config or model.card.parent:
        raise AppError(
            f"{model.card.name!r} takes its calibration from what it was made from. Calibrate that, then make it again."
        )
    if model.card.config.get("ink") and not arguments.twins:
        raise AppError(f"{model.card.name!r} has learned from ink. Name its twins, trained --without some collections.")
    twins = [load_model(_folder_of(twin)) for twin in arguments.twins]
    for twin in twins:
        if twin.card.architecture != model.card.architecture:
            raise AppError(f"{twin.card.name!r} is not a twin of {model.card.name!r}: its architecture is different.")
    ink = unseen_ink(twins, arguments.ink)
    card = calibrated(model.card, answers_of(model, load_split("validation")), ink)
    save_model(folder, model.network, card, model.pen)
    print(f"Temperature {card.temperature:.3f}, refused above a doubt of {card.refusal:.3f}: {_figures(card.metrics)}.")
    if card.pen:
        print(f"With the pen: temperature {card.pen.temperature:.3f}, refused above a doubt of {card.pen.refusal:.3f}.")


def prepare_command(arguments: argparse.Namespace) -> None:
    """Compute in advance what the Explore page shows of a model: predictions, neighbours, map."""
    import torch

    from mnist_app.explore.prepare import prepare, ship
    from mnist_app.models.shelf import default_model

    torch.set_num_threads(1)
    model = default_model() if arguments.model is None else arguments.model
    if arguments.ship:
        for path in ship(model):
            print(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")
    else:
        prepare(model, arguments.split)


def lab_command(arguments: argparse.Namespace) -> None:
    """Train and measure the lab's models, each in its own process, and run its studies; continues where it stopped.

    If a model cannot be measured, the others still are, but the command fails in the end.
    """
    from mnist_app.lab.figures import ship
    from mnist_app.lab.run import chosen, percent_bar, results_folder, run, time_all
    from mnist_app.lab.studies import run_study, ship_studies, to_do

    names, folder = chosen(arguments.models), results_folder(arguments.quick)
    studies = to_do(arguments.models, folder, arguments.ink, is_forced=arguments.force)
    failed = 0
    for result in run(names, arguments.ink, is_quick=arguments.quick, is_forced=arguments.force):
        print(f"{result.number}/{result.count} {result.sentence}", flush=True)
        failed += result.problem is not None
    time_all(names, is_quick=arguments.quick)
    for name in studies:
        with percent_bar(name) as progress:
            run_study(name, folder, arguments.ink, is_quick=arguments.quick, progress=progress)
        print(f"{name}: done")
    if arguments.ship:
        for path in filter(None, (*map(ship, names), *ship_studies(arguments.models))):
            print(f"Shipped {path}")
    if failed:
        raise AppError(f"{failed} of {len(names)} could not be measured; the reasons are above.")


def data_command(arguments: argparse.Namespace) -> None:
    """Download MNIST, or show where the digits come from."""
    from mnist_app.data.dataset import check_files, find_source
    from mnist_app.data.fetch import fetch

    if arguments.action == "fetch":
        print(f"MNIST is in {fetch(arguments.mirror)}")
        return
    source = find_source()
    if source.folder:
        check_files(source.folder)
    print(f"Source: {source.name}{f' ({source.folder})' if source.folder else ''}. Splits: {', '.join(source.splits)}.")


def models_command(_: argparse.Namespace) -> None:
    """List the available models."""
    from mnist_app.models.registry import ModelError, load_card, model_folders

    for name, folder in model_folders().items():
        try:
            card = load_card(folder)
            print(f"{name:<20} {card.parameters:>9,} parameters   {_figures(card.metrics)}")
        except ModelError as error:
            print(f"{name:<20} {error}")


def _folder_of(model: str) -> Path:
    """Return a model's folder, given the folder or the model's name. Raises AppError if it is neither."""
    from mnist_app.models.registry import ModelError, find_model

    if os.path.isdir(model):
        return Path(model).resolve()
    try:
        return find_model(model)
    except ModelError as error:
        raise AppError(f"There is no folder {model!r}. {error}") from None


def _load(name: str | None) -> "Recogniser":
    import torch

    from mnist_app.models.shelf import default_model
    from mnist_app.reading.recognition import load_recogniser

    torch.set_num_threads(1)
    return load_recogniser(default_model() if name is None else name)


def _readables(file: str) -> Iterator["Readable"]:
    """Yield the picture or the drawings in a file, or the error if they cannot be read."""
    from mnist_app.data.inkfiles import InkFileError, is_ink_file, read_records
    from mnist_app.ink.photo import ImageError, read_image
    from mnist_app.ink.preprocessing import BlankError, prepare_image

    path = Path(file)
    try:
        if file == STDIN or is_ink_file(path):
            for record in read_records(None if file == STDIN else path):
                yield record.drawing
        else:
            yield prepare_image(read_image(path)).pixels
    except (InkFileError, ImageError, BlankError) as error:
        yield error


def _batched(items: Iterable["Readable"]) -> Iterator[list["Readable"]]:
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, BATCH)):
        yield batch


def _tables(found: "Evaluation") -> str:
    lines = ["digit  precision  recall     F1  support"]
    lines += [
        f"{digit:>5}  {score.precision:9.2%} {score.recall:7.2%} {score.f1:6.2%} {score.support:8,}"
        for digit, score in enumerate(found.per_digit)
    ]
    lines += ["", "confusion: rows are the labels, columns the digits read"]
    lines.append("     " + "".join(f"{digit:6}" for digit in range(10)))
    lines += [f"{digit:>5}" + "".join(f"{count:6,}" for count in row) for digit, row in enumerate(found.confusion)]
    return "\n".join(lines)


def _figures(metrics: Mapping[str, Mapping[str, float]]) -> str:
    return ", ".join(f"{split} {values['accuracy']:.2%}" for split, values in metrics.items()) or "not measured"


class _TrainHelp(argparse.Action):
    """Shows help with the defaults and choices of TrainConfig, which takes long to import and is only imported here."""

    def __init__(self, **words: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, **words)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from mnist_app.training.train import CHOICES, TrainConfig

        usual = TrainConfig()
        defaults = {**vars(usual), **vars(usual.augmentation)}
        for action in parser._actions:
            if action.dest in CHOICES:
                action.help = f"{action.help}: {', '.join(CHOICES[action.dest])}"
            if action.dest in {**TRAIN_OPTIONS, **CHANGES} and defaults[action.dest] is not None:
                action.help = f"{action.help} (default: {defaults[action.dest]})"
        parser.print_help()
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    from mnist_app.data.dataset import SPLITS
    from mnist_app.data.fetch import MIRROR

    parser = argparse.ArgumentParser(prog="python -m mnist_app", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = commands.add_parser("predict", help="read images or drawings", description=predict_command.__doc__)
    files = f"an image, .jsonl, .jsonl.gz, or - for stdin, whose lines are answered {BATCH} at a time"
    predict.add_argument("files", nargs="+", metavar="FILE", help=files)
    predict.add_argument("--model", metavar="ID", help="a name that `models` lists")
    predict.set_defaults(run=predict_command)

    evaluate = commands.add_parser("evaluate", help="measure a model", description=evaluate_command.__doc__)
    evaluate.add_argument("--model", metavar="ID", help="a name that `models` lists")
    evaluate.add_argument("--split", choices=("validation", "test"), default="validation")
    evaluate.add_argument("--ink", type=Path, metavar="FOLDER", help="collections of drawings, .jsonl or .jsonl.gz")
    evaluate.add_argument("--mistakes", type=Path, metavar="FILE", help="write everything misread to this CSV file")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    evaluate.set_defaults(run=evaluate_command)

    train = commands.add_parser("train", help="train a network", description=train_command.__doc__, add_help=False)
    where = train.add_mutually_exclusive_group(required=True)
    where.add_argument("--name", help="the new model's name among your own")
    where.add_argument("--output", type=Path, metavar="FOLDER", help="the model's folder; replaced if it exists")
    train.add_argument("--ink", type=Path, metavar="FOLDER", help="collections of drawings to learn from as well")
    train.add_argument("--without", action="append", default=[], metavar="NAME", help="a collection to leave out")
    train.add_argument("--workers", type=int, default=0, metavar="N", help="processes that paint ink in advance")
    where.add_argument("--job", type=Path, help=argparse.SUPPRESS)  # only the app itself uses it
    train.add_argument("--preset", choices=PRESETS, help="a recipe to start from instead of the defaults")
    train.add_argument("-h", "--help", action=_TrainHelp, help="show this help message and exit")
    for option, (kind, help_) in {**TRAIN_OPTIONS, **{name: (float, help_) for name, help_ in CHANGES.items()}}.items():
        train.add_argument(f"--{option.replace('_', '-')}", type=kind, default=argparse.SUPPRESS, help=help_)
    train.set_defaults(run=train_command)

    teach = commands.add_parser("teach", help="teach a model drawings", description=teach_command.__doc__)
    teach.add_argument("model", metavar="ID", help="a name that `models` lists; this model is not changed")
    teach.add_argument("--name", required=True, help="the new model's name among your own")
    teach.add_argument("--ink", type=Path, metavar="FOLDER", required=True, help="labelled drawings, .jsonl")
    teach.add_argument("--seed", type=int, default=0)
    teach.set_defaults(run=teach_command)

    pen = commands.add_parser("pen", help="train a pen network for a model", description=pen_command.__doc__)
    pen.add_argument("model", metavar="MODEL", help="a folder, or a name that `models` lists; its card is rewritten")
    pen.add_argument("--ink", type=Path, metavar="FOLDER", required=True, help="collections of drawings")
    pen.add_argument("--seed", type=int, default=0)
    pen.add_argument("--workers", type=int, default=0, metavar="N", help="processes that prepare drawings in advance")
    pen.set_defaults(run=pen_command)

    combine = commands.add_parser("combine", help="make an ensemble", description=combine_command.__doc__)
    combine.add_argument("members", nargs="+", metavar="MODEL", help="folder or name of a model made by `train`")
    combine.add_argument("--output", type=Path, metavar="FOLDER", required=True, help="replaced if it exists")
    combine.set_defaults(run=combine_command)

    calibrate = commands.add_parser("calibrate", help="fit confidence", description=calibrate_command.__doc__)
    calibrate.add_argument(
        "model", metavar="MODEL", help="a folder, or a name that `models` lists; its card is rewritten"
    )
    calibrate.add_argument("twins", nargs="*", metavar="TWIN", help="folder or name of a twin, trained --without some")
    calibrate.add_argument("--ink", type=Path, metavar="FOLDER", help="all of the collections, for the twins")
    calibrate.set_defaults(run=calibrate_command)

    prepare = commands.add_parser("prepare", help="precompute what Explore shows", description=prepare_command.__doc__)
    prepare.add_argument("--model", metavar="ID", help="a name that `models` lists")
    prepare.add_argument("--split", choices=SPLITS, default="validation")
    prepare.add_argument("--ship", action="store_true", help="save validation and test in weights/, beside the model")
    prepare.set_defaults(run=prepare_command)

    lab = commands.add_parser("lab", help="compare kinds of models", description=lab_command.__doc__)
    lab.add_argument(
        "--models", nargs="+", default=[], metavar="NAME", help="only these models or studies; a wrong name lists all"
    )
    how = lab.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="a rehearsal on 2,000 digits, stored separately, not shipped")
    how.add_argument("--ship", action="store_true", help="copy the results into weights/")
    lab.add_argument("--ink", type=Path, metavar="FOLDER", help="collections of drawings to measure on as well")
    lab.add_argument("--force", action="store_true", help="repeat finished measurements")
    lab.set_defaults(run=lab_command)

    data = commands.add_parser("data", help="locate or download the digits", description=data_command.__doc__)
    data.add_argument("action", choices=("show", "fetch"), nargs="?", default="show")
    data.add_argument("--mirror", default=MIRROR, help="URL of a folder with MNIST's four .gz files")
    data.set_defaults(run=data_command)

    models = commands.add_parser("models", help="list the models", description=models_command.__doc__)
    models.set_defaults(run=models_command)
    return parser


def _not_printed() -> str | None:
    """Return why standard output cannot be written, or None if it can."""
    try:
        print(flush=True)  # writes an empty line if the fault is elsewhere
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where Python can flush what is still in its buffer
        return f"Standard output cannot be written: {error.strerror}."
    return None


def main() -> int:
    try:
        arguments = _parser().parse_args()
        arguments.run(arguments)
        if sys.stdout:
            sys.stdout.flush()  # here an error can still be reported
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        sys.stderr.close()
        return 0
    except OSError:
        if problem := _not_printed():
            print(problem, file=sys.stderr)
            return 1
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
