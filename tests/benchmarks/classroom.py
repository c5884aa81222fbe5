"""Thirty pupils at once: pages over the real WebSocket, live requests while they draw, a burst of pen-ups."""

import asyncio
import json
import math
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mnist_app.data.dataset import load_split

from ..browser.conftest import serve
from ..browser.wire import WirePage
from ..conftest import Strokes
from .browser import served, training
from .figures import Figure
from .ink import drawings

PUPILS = 30
SAMPLES = 100  # at least, of every figure
STROKES_EACH = 10  # of a pupil in the steady state, one every STROKE_EVERY seconds
STROKE_EVERY, STROKE_TAKES = 2.0, 0.7  # seconds
BURSTS = 10  # each gives one sample per pupil, but these are not independent
SAMPLES_A_SECOND = 60  # of the pointer, one for each frame of the screen
SHORTEST_INTERVAL, COURTESY = 30, 4  # ms between live requests, and ms of rest for each ms of delay: as in live_ink.js
CANVAS_SPEAKS_AFTER = 0.2  # seconds after pen-up
RERUNS, RERUNS_EACH = 10_000, 1_000  # in total, and for each figure


class Api:
    """A browser's connection to the API, hand-written because thirty HTTP clients cost more than what they measure."""

    def __init__(self, address: str) -> None:
        self.asked = self.answered = self.let_go = 0
        self._host, self._port = address.removeprefix("http://").split(":")
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, strokes: Strokes) -> float:
        """Return how long the answer took, ms. Raises AssertionError if it is not a digit."""
        body = json.dumps({"strokes": strokes}).encode()
        head = "POST /api/predict HTTP/1.1\r\nHost: class\r\nContent-Type: application/json\r\n"
        began = time.perf_counter()
        self.asked += 1
        if not self._writer:
            self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))
        assert self._reader
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        content = await self._reader.readexactly(int(answer.split(b"content-length:")[1].split()[0]))
        assert b'"digit"' in content, content
        self.answered += 1
        return (time.perf_counter() - began) * 1000

    def stop_waiting(self) -> None:
        """Give up on a pending answer: over HTTP/1.1 that costs a browser its connection."""
        self.let_go += 1
        self.close()

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        self._writer = None


class Pupil:
    """The traffic of one browser: a page on a WebSocket, and the requests of live_ink."""

    def __init__(self, address: str) -> None:
        self._page = WirePage(address)
        self._api = Api(address)
        self._quickest = math.inf  # ms, the fastest answer so far
        self.opening: list[float] = []  # this and the following in ms
        self.live: list[float] = []
        self.pen_up: list[float] = []
        self.rerun: list[float] = []

    @property
    def overtaken(self) -> int:
        """The number of live requests that were abandoned because the pen went up."""
        return self._api.let_go

    async def open(self) -> None:
        began = time.perf_counter()
        await self._page.open()
        self.opening.append((time.perf_counter() - began) * 1000)

    async def close(self) -> None:
        """Close both connections. Raises AssertionError if an awaited answer never came."""
        assert self._api.asked == self._api.answered + self._api.let_go, "an answer was lost"
        self._api.close()
        await self._page.close()

    async def draw(self, strokes: Strokes) -> None:
        """Draw the last of the strokes after the others, with live answers, then lift the pen."""
        following = asyncio.create_task(self._follow(strokes[:-1], strokes[-1]))
        await asyncio.wait([following], timeout=STROKE_TAKES)
        if not following.cancel():
            following.result()  # it ends by itself only with an error
        await asyncio.wait([following])
        await self.lift(strokes)

    async def _follow(self, others: Strokes, stroke: list[list[float]]) -> None:
        """Ask about the stroke so far, as often as live_ink does."""
        began = time.perf_counter()
        while True:
            passed = (time.perf_counter() - began) / STROKE_TAKES
            try:
                waited = await self._api.ask([*others, stroke[: 1 + int(len(stroke) * passed)]])
            except asyncio.CancelledError:
                self._api.stop_waiting()
                raise
            self.live.append(waited)
            self._quickest = min(self._quickest, waited)
            late = max(0.0, waited - self._quickest - SHORTEST_INTERVAL)
            await asyncio.sleep(max(SHORTEST_INTERVAL - waited, COURTESY * late) / 1000)

    async def lift(self, strokes: Strokes) -> None:
        """Lift the pen: send the last live request, and 200 ms later the canvas's message."""
        up = time.perf_counter()
        self.pen_up.append(await self._api.ask(strokes))
        await asyncio.sleep(CANVAS_SPEAKS_AFTER - (time.perf_counter() - up))
        self.rerun.append(await self.send(strokes))

    async def send(self, strokes: Strokes) -> float:
        """Send the canvas's message and return how long the rerun takes, ms."""
        began = time.perf_counter()
        await self._page.draw(strokes)
        return (time.perf_counter() - began) * 1000


def as_sampled(drawing: Strokes) -> Strokes:
    """Resample strokes to the points that a pointer gives in STROKE_TAKES, rounded as by live_ink."""
    marks = np.linspace(0, 1, round(STROKE_TAKES * SAMPLES_A_SECOND))
    sampled = []
    for stroke in drawing:
        points = np.array(stroke)
        at = np.linspace(0, 1, len(points))
        sampled.append(np.column_stack([np.interp(marks, at, points[:, axis]) for axis in (0, 1)]).round(1).tolist())
    return sampled


def measure() -> Iterator[Figure]:
    """Measure one pupil, a class in steady state and in bursts, a class beside a training, and the server's memory."""
    load_split("train")  # needed for the training at the end; fails early if it is missing
    home = Path(tempfile.mkdtemp())
    with served(serve(home)) as address:
        server = _server_pid(address)
        yield Figure.of("server memory before the class", [memory(server)], "MB")
        yield from asyncio.run(_alone(address))
        yield from asyncio.run(_with_memory(_class(address, f"{PUPILS} pupils"), server))
        yield Figure.of("server memory after the class", [memory(server)], "MB")
        with training(home):
            yield from asyncio.run(_class(address, f"{PUPILS} pupils and a training"))


def measure_memory() -> Iterator[Figure]:
    """Measure memory while a visitor draws, undoes and clears: each is a rerun, and the last two remount the canvas."""
    with served(serve(Path(tempfile.mkdtemp()))) as address, asyncio.Runner() as runner:
        server, page = _server_pid(address), WirePage(address)
        runner.run(page.open())
        for first in range(0, RERUNS, RERUNS_EACH):
            samples = runner.run(_rerun(page, server))
            yield Figure.of(f"server memory, reruns {first + 1:,} to {first + RERUNS_EACH:,}", samples, "MB")
        runner.run(page.close())


async def _alone(address: str) -> list[Figure]:
    """Measure one pupil, who draws without pauses to collect the samples sooner."""
    pupil, subjects = Pupil(address), [as_sampled(drawing) for drawing in drawings(SAMPLES)]
    await _open([pupil])
    for subject in subjects:
        await pupil.draw(subject)
    await pupil.close()
    return _figures([pupil], "baseline: one pupil alone")


async def _class(address: str, who: str) -> list[Figure]:
    """Measure pupils who draw in turn, and then several times lift their pens all at once."""
    group, subjects = [Pupil(address) for _ in range(PUPILS)], [as_sampled(drawing) for drawing in drawings(PUPILS)]
    await _open(group)

    async def work(number: int, pupil: Pupil) -> None:
        await asyncio.sleep(number * STROKE_EVERY / PUPILS)
        for turn in range(STROKES_EACH):
            began = time.perf_counter()
            await pupil.draw(subjects[(number + turn) % PUPILS])
            await asyncio.sleep(max(0.0, STROKE_EVERY - (time.perf_counter() - began)))

    await asyncio.gather(*(work(number, pupil) for number, pupil in enumerate(group)))
    steady = _figures(group, who)
    for pupil in group:
        pupil.pen_up.clear()
        pupil.rerun.clear()
    for _ in range(BURSTS):
        await asyncio.gather(*(pupil.lift(subject) for pupil, subject in zip(group, subjects, strict=True)))
    await asyncio.gather(*(pupil.close() for pupil in group))
    return [*steady, *_figures(group, f"burst of {who}")[2:4]]


async def _open(group: list[Pupil]) -> None:
    """Let all pupils open the page at once, repeatedly until there are enough samples."""
    for turn in range(math.ceil(SAMPLES / len(group))):
        if turn:
            await asyncio.gather(*(pupil.close() for pupil in group))
        await asyncio.gather(*(pupil.open() for pupil in group))


def _figures(group: list[Pupil], who: str) -> list[Figure]:
    return [
        Figure.of(f"page opened, {who}", [ms for pupil in group for ms in pupil.opening]),
        Figure.of(f"live answer, {who}", [ms for pupil in group for ms in pupil.live]),
        Figure.of(f"pen-up to answer, {who}", [ms for pupil in group for ms in pupil.pen_up]),
        Figure.of(f"canvas message to page updated, {who}", [ms for pupil in group for ms in pupil.rerun]),
        Figure.of(f"live requests overtaken by pen-up, a pupil, {who}", [pupil.overtaken for pupil in group], ""),
    ]


async def _with_memory(lesson: Coroutine[Any, Any, list[Figure]], server: int) -> list[Figure]:
    """Return a class's figures and the server's memory while it lasts."""
    task, samples = asyncio.create_task(lesson), []
    while not task.done():
        samples.append(memory(server))
        await asyncio.wait([task], timeout=0.2)
    return [*task.result(), Figure.of("server memory during the class", samples, "MB")]


async def _rerun(page: WirePage, server: int) -> list[float]:
    """Return the server's memory, MB, after every hundred of RERUNS_EACH reruns of one page."""
    subjects, samples = drawings(10), []
    for turn in range(RERUNS_EACH // 4):
        subject = subjects[turn % 10]
        for act in (page.draw(subject), page.press("Undo"), page.draw(subject), page.press("Clear")):
            await act
        if turn % 25 == 24:
            samples.append(memory(server))
    return samples


def _server_pid(address: str) -> int:
    """Return the id of the process that serves an address of this machine."""
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


def memory(pid: int) -> float:
    """Return the resident memory of a process, MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
