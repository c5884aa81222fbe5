"""What a client that is not a browser may send over Streamlit's WebSocket."""

from collections.abc import Awaitable, Callable

import pytest
from anyio.from_thread import start_blocking_portal

from ..conftest import ONE, SEVEN
from .wire import ScriptError, WirePage

NONSENSE = [
    "5",
    "null",
    '"x"',
    "[]",
    '{"drawing": "x"}',
    '{"drawing": {"raw": 5}}',
    '{"drawing": {"raw": {"objects": [{"type": "Circle"}]}}}',
    '{"drawing": {"raw": {"objects": [{"type": "Path", "path": [["M", NaN, 1]]}]}}}',
    '{"backgroundFit": 3}',
    '{"a": ' * 500 + "1" + "}" * 500,
]


def visit(steps: Callable[[], Awaitable[None]]) -> None:
    with start_blocking_portal() as portal:  # in this thread, the event loop of the browser tests is running
        portal.call(steps)


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_canvas_that_sends_nonsense_breaks_no_session(address: str, nonsense: str) -> None:
    async def steps() -> None:
        async with WirePage(address) as vandal, WirePage(address) as neighbour:
            await neighbour.draw(SEVEN)
            await vandal.send_canvas(nonsense)
            await vandal.send_canvas(nonsense)  # again on the next canvas
            await vandal.draw(ONE)
            assert '<p class="digit" style="--length:1">1</p>' in vandal.answer
            await neighbour.press("Undo")
            await neighbour.draw(SEVEN)
            assert '<p class="digit" style="--length:1">7</p>' in neighbour.answer

    visit(steps)


def test_text_that_is_not_json_breaks_only_the_session_that_sent_it(address: str) -> None:
    async def steps() -> None:
        async with WirePage(address) as vandal, WirePage(address) as neighbour:
            with pytest.raises(ScriptError):  # Streamlit parses the text before our code runs, and keeps it
                await vandal.send_canvas("{")
            await neighbour.draw(SEVEN)
            assert '<p class="digit" style="--length:1">7</p>' in neighbour.answer
        async with WirePage(address) as reloaded:
            await reloaded.draw(ONE)
            assert '<p class="digit" style="--length:1">1</p>' in reloaded.answer

    visit(steps)
