import gc
import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mnist_app.data import dataset
from mnist_app.data.dataset import FILES, DatasetError, load_split, raw_folder
from mnist_app.data.fetch import bytes_fetched, fetch, is_fetched, staging_folder
from mnist_app.data.torchvision_cpu import make_torchvision_importable
from mnist_app.storage import data_folder

# torchvision does not close rejected responses; the garbage collector does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

GZ = [f"{name}.gz" for name in FILES]
the_test_is_over = threading.Event()
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class Mirror:
    """A local server of MNIST's four files that can be made to misbehave."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []  # names of files, one for each request
        self.answers: dict[str, Answer] = {}  # by file name; `well` for all others
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                head(self, 200, 0)

            def do_GET(self) -> None:
                name = Path(self.path).name
                mirror.asked.append(name)
                try:
                    mirror.answers.get(name, well)(self, mirror.files[name])
                except OSError:
                    self.close_connection = True  # the client has disconnected

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False  # so that closing the server waits for its requests
        self.url = f"http://127.0.0.1:{self.server.server_port}/mnist/"

    def answer(self, answer: Answer, *names: str) -> None:
        self.answers = dict.fromkeys(names or GZ, answer)


def head(request: BaseHTTPRequestHandler, status: int, length: int) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(length))
    request.end_headers()


def well(request: BaseHTTPRequestHandler, content: bytes) -> None:
    head(request, 200, len(content))
    request.wfile.write(content)


def slowly(request: BaseHTTPRequestHandler, content: bytes) -> None:
    head(request, 200, len(content))
    for part in (content[:5], content[5:50], content[50:]):
        time.sleep(0.02)
        request.wfile.write(part)


def cut_short(request: BaseHTTPRequestHandler, content: bytes) -> None:
    head(request, 200, len(content))
    request.wfile.write(content[: len(content) // 2])


def with_a_flipped_bit(request: BaseHTTPRequestHandler, content: bytes) -> None:
    well(request, content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])


def not_found(request: BaseHTTPRequestHandler, _: bytes) -> None:
    head(request, 404, 0)


def never(_: BaseHTTPRequestHandler, __: bytes) -> None:
    the_test_is_over.wait(5)


def never_to_the_end(request: BaseHTTPRequestHandler, content: bytes) -> None:
    head(request, 200, len(content))
    request.wfile.write(content[:10])
    the_test_is_over.wait(5)


@pytest.fixture
def mirror(toy_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    make_torchvision_importable()
    from torchvision.datasets import MNIST

    files = {f"{path.name}.gz": gzip.compress(path.read_bytes(), mtime=0) for path in raw_folder(toy_mnist).iterdir()}
    md5s = [(name, hashlib.md5(files[name], usedforsecurity=False).hexdigest()) for name in GZ]
    monkeypatch.setattr(MNIST, "resources", md5s)
    the_test_is_over.clear()
    mirror = Mirror(files)
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    the_test_is_over.set()
    mirror.server.shutdown()
    thread.join()
    mirror.server.server_close()
    gc.collect()  # here, where the filter above applies


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def broken_data(toy_mnist: Path) -> Path:
    """A data folder in which one file lost its end; returns that file."""
    for path in raw_folder(toy_mnist).iterdir():
        copy = raw_folder(data_folder()) / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    broken = raw_folder(data_folder()) / "t10k-labels-idx1-ubyte"
    broken.write_bytes(broken.read_bytes()[:-3])
    return broken


def nothing_in_place() -> bool:
    return not data_folder().exists()


@pytest.mark.parametrize("manner", [well, slowly])
def test_fetched_data_is_in_place_and_loads(mirror: Mirror, toy_mnist: Path, manner: Answer) -> None:
    mirror.answer(manner)
    assert fetch(mirror.url) == data_folder()
    assert not staging_folder().exists()
    assert sorted(path.name for path in raw_folder(data_folder()).iterdir()) == sorted(FILES)
    original = (raw_folder(toy_mnist) / "t10k-images-idx3-ubyte").read_bytes()
    np.testing.assert_array_equal(load_split("test").images.ravel(), np.frombuffer(original, np.uint8)[16:])


def test_data_that_is_there_is_not_fetched_again(mirror: Mirror) -> None:
    fetch(mirror.url)
    mirror.asked.clear()
    fetch(mirror.url)
    assert mirror.asked == []


def test_a_mirror_may_be_named_without_its_last_slash(mirror: Mirror) -> None:
    fetch(mirror.url.rstrip("/"))
    assert is_fetched()


@pytest.mark.parametrize("manner", [cut_short, with_a_flipped_bit, not_found])
@pytest.mark.parametrize("name", [GZ[0], GZ[3]])
def test_a_file_that_does_not_arrive_whole_is_an_error_and_nothing_changes(
    mirror: Mirror, manner: Answer, name: str
) -> None:
    mirror.answer(manner, name)
    with pytest.raises(DatasetError, match=rf"could not be downloaded from {mirror.url} .*{name}.*Try again"):
        fetch(mirror.url)
    assert nothing_in_place()
    mirror.answer(well)
    fetch(mirror.url)
    assert is_fetched()


@pytest.mark.parametrize("manner", [never, never_to_the_end])
def test_the_download_gives_up_on_a_server_that_falls_silent(mirror: Mirror, manner: Answer) -> None:
    mirror.answer(manner, GZ[1])
    began = time.monotonic()
    with pytest.raises(DatasetError, match=r"stopped answering\. Try again"):
        fetch(mirror.url, patience=0.3)
    assert time.monotonic() - began < 1.5
    assert nothing_in_place()
    assert socket.getdefaulttimeout() is None


def test_a_server_that_never_answers_counts_as_unreachable(silent_server: str) -> None:
    began = time.monotonic()
    with pytest.raises(DatasetError, match=r"cannot be reached\. Check the network"):
        fetch(silent_server, patience=0.2)
    assert time.monotonic() - began < 1
    assert nothing_in_place() and not staging_folder().exists()


@pytest.mark.parametrize("mirror_url", ["http://127.0.0.1:1/", "no URL at all", "http://[/", "http://a b/"])
def test_an_address_that_leads_to_no_server_is_an_error(mirror_url: str) -> None:
    with pytest.raises(DatasetError, match=r"cannot be reached\. Check the network connection\."):
        fetch(mirror_url)
    assert nothing_in_place()


def test_the_next_run_fetches_only_the_files_that_are_missing(mirror: Mirror) -> None:
    mirror.answer(not_found, *GZ[2:])
    with pytest.raises(DatasetError):
        fetch(mirror.url)
    assert bytes_fetched() == sum(len(mirror.files[name]) for name in GZ[:2])
    mirror.answer(well)
    mirror.asked.clear()
    fetch(mirror.url)
    assert set(mirror.asked) == set(GZ[2:])


def test_an_archive_deleted_during_the_count_counts_as_no_bytes(own_home: Path) -> None:
    raw = raw_folder(staging_folder())
    raw.mkdir(parents=True)
    (raw / GZ[0]).write_bytes(b"12345")
    (raw / GZ[1]).symlink_to(raw / "gone")
    assert bytes_fetched() == 5


def test_a_file_whose_download_was_cut_short_is_fetched_again(mirror: Mirror) -> None:
    raw = raw_folder(staging_folder())
    raw.mkdir(parents=True)
    (raw / GZ[0]).write_bytes(mirror.files[GZ[0]])
    (raw / GZ[1]).write_bytes(mirror.files[GZ[1]][:20])
    fetch(mirror.url)
    assert is_fetched()
    assert GZ[0] not in mirror.asked


def test_a_file_whose_unpacking_was_cut_short_is_unpacked_again(mirror: Mirror) -> None:
    raw = raw_folder(staging_folder())
    raw.mkdir(parents=True)
    for name, content in mirror.files.items():
        (raw / name).write_bytes(content)
        (raw / name).with_suffix("").write_bytes(gzip.decompress(content)[:-1])
    fetch(mirror.url)
    assert is_fetched()
    assert mirror.asked == []


def test_an_archive_with_unexpected_content_is_not_put_in_place(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dataset.FILES, GZ[2].removesuffix(".gz"), ("0" * 32, (30, 28, 28)))
    with pytest.raises(DatasetError, match="t10k-images-idx3-ubyte is damaged"):
        fetch(mirror.url)
    assert nothing_in_place()


def test_broken_data_is_replaced(mirror: Mirror, broken_data: Path) -> None:
    assert not is_fetched()
    fetch(mirror.url)
    assert is_fetched()


def test_broken_data_stays_if_its_replacement_cannot_be_downloaded(mirror: Mirror, broken_data: Path) -> None:
    before = broken_data.read_bytes()
    mirror.answer(not_found, GZ[2])
    with pytest.raises(DatasetError):
        fetch(mirror.url)
    assert broken_data.read_bytes() == before


def test_a_second_download_at_the_same_time_is_refused_and_the_first_finishes(mirror: Mirror) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hesitantly(request: BaseHTTPRequestHandler, content: bytes) -> None:
        asked.set()
        go_on.wait(5)
        well(request, content)

    mirror.answer(hesitantly)
    first = threading.Thread(target=fetch, args=[mirror.url])
    first.start()
    assert asked.wait(5)
    with pytest.raises(DatasetError, match="Another process is already downloading MNIST"):
        fetch(mirror.url)
    go_on.set()
    first.join()
    assert is_fetched()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_and_changes_nothing(mirror: Mirror, broken_data: Path) -> None:
    before = broken_data.read_bytes()
    raw_folder(staging_folder()).mkdir(parents=True)
    (raw_folder(staging_folder()) / GZ[0]).symlink_to("/dev/full")  # torchvision writes the download through the link
    with pytest.raises(DatasetError, match="No space left on device"):
        fetch(mirror.url)
    assert broken_data.read_bytes() == before


def test_a_home_that_cannot_be_written_is_an_error(mirror: Mirror, own_home: Path) -> None:
    own_home.write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match="could not be downloaded"):
        fetch(mirror.url)
