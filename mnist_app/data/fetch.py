"""Download MNIST with torchvision: verified, atomic, and resumed where it stopped when run again."""

import http.client
import shutil
import socket
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mnist_app.data.dataset import DatasetError, check_files, raw_folder
from mnist_app.storage import data_folder
from mnist_app.work import Command

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"  # torchvision's first; its second was shut down long ago
COMPRESSED_BYTES = 11_594_722  # the four .gz files together
PATIENCE = 10.0  # seconds without a byte after which a server counts as gone
REACHABLE_WITHIN = 3.0  # seconds within which a machine with a network gets an answer of any kind


def fetch(mirror: str = MIRROR, patience: float = PATIENCE) -> Path:
    """Download MNIST into the user's data folder, unless it is there already, and return that folder.

    torchvision shows its progress on standard error. Finished files are kept for the next try, a damaged one is
    downloaded again, and the data folder changes in one step at the end. Raises DatasetError with the reason.
    """
    target = data_folder()
    if is_fetched():
        return target
    mirror = f"{mirror.rstrip('/')}/"  # torchvision appends the files' names to it
    if not _answers(mirror, min(patience, REACHABLE_WITHIN)):
        raise DatasetError(f"{mirror} cannot be reached. Check the network connection.")
    staging = staging_folder()
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with FileLock(staging / "lock", timeout=0):
            _download(staging, mirror, patience)
            _put_in_place(staging, target)
    except Timeout:
        raise DatasetError("Another process is already downloading MNIST.") from None
    except TimeoutError:
        raise DatasetError(f"{mirror} stopped answering. Try again: finished files are kept.") from None
    except (RuntimeError, OSError, http.client.HTTPException, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"MNIST could not be downloaded from {mirror} ({reason}). Try again: finished files are kept."
        ) from None
    return target


class Download(Command):
    """A download in its own process: torchvision takes seconds to import, and the time limit holds for all sockets.

    If it is stopped, finished files are kept for the next try.
    """

    def __init__(self) -> None:
        super().__init__("data", "fetch")

    @property
    def share(self) -> float:
        """The share that has arrived, 0 to 1."""
        return min(1.0, bytes_fetched() / COMPRESSED_BYTES)


def is_fetched() -> bool:
    """Whether the user's data folder holds all of MNIST, whole."""
    try:
        check_files(data_folder())
    except DatasetError:
        return False
    return True


def staging_folder() -> Path:
    """Where a download grows until it is complete."""
    return data_folder().parent / "data.part"


def bytes_fetched() -> int:
    """How many of COMPRESSED_BYTES are on disk now."""
    fetched = 0
    for path in raw_folder(staging_folder()).glob("*.gz"):
        with suppress(FileNotFoundError):  # unpacked and removed by the downloading process
            fetched += path.stat().st_size
    return fetched


def _answers(mirror: str, within: float) -> bool:
    """Whether the mirror answers at all. Asks on a thread, because looking up a host name has no time limit."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(mirror, method="HEAD"), timeout=within).close()
        except urllib.error.HTTPError as error:
            error.close()  # "403" is an answer
        except (OSError, http.client.HTTPException, ValueError):  # ValueError: the mirror is not a URL
            return
        answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(within)
    return answered.is_set()


def _download(staging: Path, mirror: str, patience: float) -> None:
    # Imported here because it takes seconds, and an offline machine never gets this far.
    from mnist_app.data.torchvision_cpu import make_torchvision_importable

    make_torchvision_importable()
    from torchvision.datasets import MNIST

    # torchvision takes any unpacked file to be whole, even one whose unpacking was interrupted.
    for path in raw_folder(staging).glob("*-ubyte"):
        path.unlink()
    kind = type("MNIST", (MNIST,), {"mirrors": [mirror]})  # torchvision names the folder after the class
    with giving_up_after(patience):
        kind(str(staging), download=True)


@contextmanager
def giving_up_after(patience: float) -> Iterator[None]:
    """Set a time limit, in seconds, for all sockets: torchvision and torch would wait for a silent server for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(patience)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _put_in_place(staging: Path, target: Path) -> None:
    check_files(staging)
    for archive in raw_folder(staging).glob("*.gz"):
        archive.unlink()
    target.mkdir(parents=True, exist_ok=True)
    finished, broken = target / "MNIST", staging / "replaced"
    if finished.exists():
        finished.replace(broken)
    (staging / "MNIST").replace(finished)
    shutil.rmtree(staging, ignore_errors=True)
