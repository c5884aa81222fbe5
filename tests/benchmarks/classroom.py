"""Thirty pupils at once: pages over the real WebSocket, live requests while they draw, a burst of pen-ups."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mnist_app.dataset import load_split

from ..browser.conftest import serve
from ..conftest import Strokes
from .browser import served
from .figures import Figure
from .ink import drawings

PUPILS = 30
STROKES_EACH = 10  # in the steady state, one every STROKE_EVERY seconds
STROKE_EVERY, STROKE_TAKES = 2.0, 0.7  # seconds
LIVE_EVERY = 0.03  # seconds between live requests, as in live_ink.js
RERUNS = 10_000


class Pupil:
    """One browser's worth of traffic: a page on a WebSocket and an API client beside it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: Any = None
        self._api: Any = None  # a connection's two ends
        self._canvas = ""  # the widget's id
        self.live: list[float] = []  # ms for each answer, by kind
        self.pen_up: list[float] = []
        self.rerun: list[float] = []

    async def open(self) -> None:
        uri = self._address.replace("http", "ws") + "/_stcore/stream"
        protocols: Any = ["streamlit"]
        self._socket = await websockets.connect(uri, subprotocols=protocols, max_size=None)
        host, port = self._address.removeprefix("http://").split(":")
        self._api = await asyncio.open_connection(host, int(port))
        await self._run_script({})
        assert self._canvas, "the page has no canvas"

    async def close(self) -> None:
        await self._socket.close()
        self._api[1].close()

    async def draw(self, strokes: Strokes) -> None:
        """Draw the last of the strokes on top of the others, with live answers, then lift the pen."""
        before, stroke = strokes[:-1], strokes[-1]
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < STROKE_TAKES:
            asked = time.perf_counter()
            so_far = stroke[: max(1, int(len(stroke) * passed / STROKE_TAKES))]
            self.live.append(await self._ask([*before, so_far]))
            await asyncio.sleep(max(0.0, LIVE_EVERY - (time.perf_counter() - asked)))
        await self.lift(strokes)

    async def lift(self, strokes: Strokes) -> None:
        """The pen goes up: the last live request, and 200 ms later what the canvas sends."""
        self.pen_up.append(await self._ask(strokes))
        await asyncio.sleep(0.2)
        self.rerun.append(await self.send(strokes))

    async def send(self, strokes: Strokes) -> float:
        """The canvas's message and the rerun it brings, ms."""
        objects = [
            {"type": "Path", "strokeWidth": 18, "path": [["M", *s[0]], *(["Q", *p, *p] for p in s), ["L", *s[-1]]]}
            for s in strokes
        ]
        began = time.perf_counter()
        await self._run_script({"drawing": {"raw": {"objects": objects}, "data": None}})
        return (time.perf_counter() - began) * 1000

    async def _ask(self, strokes: Strokes) -> float:
        # By hand, because thirty of a client library's own cost more than the server they are to measure.
        body = json.dumps({"strokes": strokes}).encode()
        head = "POST /api/predict HTTP/1.1\r\nHost: class\r\nContent-Type: application/json\r\n"
        reader, writer = self._api
        began = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.split("content-length:")[1].split()[0])
        prediction = json.loads(await reader.readexactly(length))
        waited = (time.perf_counter() - began) * 1000
        assert "digit" in prediction, prediction
        return waited

    async def _run_script(self, state: dict[str, Any]) -> None:
        message = BackMsg()
        message.rerun_script.query_string = ""
        if state:
            message.rerun_script.widget_states.widgets.add(id=self._canvas, json_value=json.dumps(state))
        await self._socket.send(message.SerializeToString())
        while True:
            heard = ForwardMsg()
            heard.ParseFromString(await self._socket.recv())
            element = heard.delta.new_element
            assert element.WhichOneof("type") != "exception", element
            if element.bidi_component.component_name.startswith("streamlit-drawable-canvas"):
                self._canvas = element.bidi_component.id
            if heard.WhichOneof("type") == "script_finished":
                return


def measure() -> list[Figure]:
    """Steady state and burst, alone, as a class, and as a class while a network trains; the server's memory."""
    load_split("train")  # without it nothing could train beside the class: better said now than after the lesson
    figures = []
    home = Path(tempfile.mkdtemp())
    with served(serve(home)) as address:
        server = _server_pid(address)
        figures.append(_memory("server memory before the class", server))
        figures += asyncio.run(_lesson(address, 1, "baseline: one pupil alone"))
        figures += asyncio.run(_lesson(address, PUPILS, f"{PUPILS} pupils"))
        figures.append(_memory("server memory after the class", server))
        with training(home):
            figures += asyncio.run(_lesson(address, PUPILS, f"{PUPILS} pupils and a training"))
    return figures


def measure_memory() -> list[Figure]:
    """Whether memory stays level over many reruns of the page."""
    figures = []
    with served(serve(Path(tempfile.mkdtemp()))) as address:
        server = _server_pid(address)
        for done in range(0, RERUNS + 1, RERUNS // 5):
            if done:
                asyncio.run(_rerun(address, RERUNS // 5))
            figures.append(_memory(f"server memory after {done:,} reruns", server))
    return figures


async def _lesson(address: str, pupils: int, who: str) -> list[Figure]:
    group = [Pupil(address) for _ in range(pupils)]
    opened = time.perf_counter()
    await asyncio.gather(*(pupil.open() for pupil in group))
    opening = (time.perf_counter() - opened) * 1000
    subjects = drawings(pupils)
    # One pupil alone draws without a pause, to have as many samples sooner.
    strokes, every = (STROKES_EACH, STROKE_EVERY) if pupils > 1 else (STROKES_EACH * 10, 0.0)

    async def work(number: int, pupil: Pupil) -> None:
        await asyncio.sleep(number * STROKE_EVERY / pupils)
        for turn in range(strokes):
            began = time.perf_counter()
            await pupil.draw(subjects[(number + turn) % pupils])
            await asyncio.sleep(max(0.0, every - (time.perf_counter() - began)))

    await asyncio.gather(*(work(number, pupil) for number, pupil in enumerate(group)))
    steady = [
        Figure.of(f"live answer, {who}", [ms for pupil in group for ms in pupil.live]),
        Figure.of(f"pen-up to answer, {who}", [ms for pupil in group for ms in pupil.pen_up]),
        Figure.of(f"canvas message to page updated, {who}", [ms for pupil in group for ms in pupil.rerun]),
    ]
    for pupil in group:
        pupil.pen_up.clear()
        pupil.rerun.clear()
    for _ in range(4 if pupils > 1 else 100):  # at least a hundred pen-ups
        await asyncio.gather(*(pupil.lift(subject) for pupil, subject in zip(group, subjects, strict=True)))
    burst = [
        Figure.of(f"burst: pen-up to answer, {who}", [ms for pupil in group for ms in pupil.pen_up]),
        Figure.of(f"burst: canvas message to page updated, {who}", [ms for pupil in group for ms in pupil.rerun]),
    ]
    await asyncio.gather(*(pupil.close() for pupil in group))
    return [Figure.of(f"all pages open, {who}", [opening]), *steady, *burst]


async def _rerun(address: str, times: int) -> None:
    pupil = Pupil(address)
    await pupil.open()
    subjects = drawings(10)
    for turn in range(times):
        await pupil.send(subjects[turn % 10])
    await pupil.close()


@contextmanager
def training(home: Path) -> Iterator[None]:
    """A network is trained beside the server, with lowered priority, as a job would be."""
    command = ["nice", "-n", "10", sys.executable, "-m", "mnist_app", "train", "--name", "bench", "--epochs", "1000"]
    env = {**os.environ, "MNIST_APP_HOME": str(home)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as trainer:
        assert trainer.stderr
        while b"batch" not in (said := trainer.stderr.read(100)) and said:
            pass
        assert trainer.poll() is None, "no training: it needs all of MNIST (MNIST_APP_DATA)"
        drain = subprocess.Popen(["cat"], stdin=trainer.stderr, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            trainer.terminate()
            drain.wait()


def _server_pid(address: str) -> int:
    """The process that serves at an address of this machine."""
    port = int(address.rpartition(":")[2])
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"STREAMLIT_SERVER_PORT={port}".encode() in environment.split(b"\0") and b"app.py" in command:
            return int(folder.name)
    raise AssertionError(f"nothing serves at {address}")


def _memory(what: str, pid: int) -> Figure:
    """Resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = int(status.split("VmRSS:")[1].split()[0])
    return Figure.of(what, [kilobytes / 1024], "MB")
