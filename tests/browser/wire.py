"""A page without a browser: it receives what the script sends over Streamlit's WebSocket and sends widget states."""

import json
from typing import Any, Self

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from ..conftest import Strokes

CANVAS = "streamlit-drawable-canvas"
FOR_ANOTHER_RUN = ForwardMsg.FINISHED_EARLY_FOR_RERUN
WELL = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


class ScriptError(Exception):
    """The script ended with an exception, which the page shows."""


class WirePage:
    """A page with a session of its own."""

    def __init__(self, address: str) -> None:
        self._uri = address.replace("http", "ws", 1) + "/_stcore/stream"
        self._socket: Any = None
        self._canvas = ""  # the widget's id
        self._fragment = ""  # the id of the fragment that contains the canvas
        self._buttons: dict[str, str] = {}  # ids by label
        self.answer = ""  # the panel's HTML

    async def open(self) -> Self:
        protocols: Any = ["streamlit"]
        self._socket = await websockets.connect(self._uri, subprotocols=protocols, max_size=None, compression=None)
        await self._run(BackMsg())
        assert self._canvas, "the page has no canvas"
        return self

    async def close(self) -> None:
        await self._socket.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def draw(self, strokes: Strokes) -> None:
        """Send a drawing as the canvas does, and wait for the script run."""
        paths = [[["M", *s[0]], *(["Q", *point, *point] for point in s), ["L", *s[-1]]] for s in strokes]
        objects = [{"type": "Path", "strokeWidth": 18, "path": path} for path in paths]
        await self.send_canvas(json.dumps({"drawing": {"raw": {"objects": objects}, "data": None}}))

    async def send_canvas(self, state: str) -> None:
        """Send any text as the canvas's state, even one that no canvas would send."""
        message = BackMsg()
        message.rerun_script.widget_states.widgets.add(id=self._canvas, json_value=state)
        message.rerun_script.fragment_id = self._fragment
        await self._run(message)

    async def press(self, label: str) -> None:
        message = BackMsg()
        message.rerun_script.widget_states.widgets.add(id=self._buttons[label], trigger_value=True)
        await self._run(message)

    async def _run(self, message: BackMsg) -> None:
        message.rerun_script.query_string = ""
        await self._socket.send(message.SerializeToString())
        kinds, heard = [], ForwardMsg()
        while heard.WhichOneof("type") != "script_finished" or heard.script_finished == FOR_ANOTHER_RUN:
            heard.ParseFromString(await self._socket.recv())
            kinds.append(self._note(heard.delta))
        if "exception" in kinds or heard.script_finished not in WELL:
            raise ScriptError

    def _note(self, delta: Delta) -> str | None:
        """Remember what is needed later, and return the element's kind."""
        element = delta.new_element
        kind = element.WhichOneof("type")
        if kind == "bidi_component" and element.bidi_component.component_name.startswith(CANVAS):
            self._canvas, self._fragment = element.bidi_component.id, delta.fragment_id
        elif kind == "button":
            self._buttons[element.button.label] = element.button.id
        elif kind == "html" and 'class="answer' in element.html.body:
            self.answer = element.html.body
        return kind
