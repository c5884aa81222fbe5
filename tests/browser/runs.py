"""Waits until the script has answered everything that a page has sent, by listening to Streamlit's WebSocket."""

from playwright.sync_api import Page, WebSocket, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

CANVAS_SPEAKS_AFTER = 200  # ms after pen-up, by a timer in the page
PATIENCE = 30_000  # ms for one run
# Fragment runs that may begin between a press and the whole run that it asks for. After more, the whole run counts as
# ended: Streamlit does not report the end of a run if a fragment is requested at that moment (its issue 9921).
MAX_OVERTAKING = 2

WHOLE = {int(ForwardMsg.FINISHED_SUCCESSFULLY), int(ForwardMsg.FINISHED_WITH_COMPILE_ERROR)}
FRAGMENT = {int(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)}


class Runs:
    """The script runs that a page asked for, without those that a fragment asks for by itself at regular intervals."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._heard = 0  # number of messages that began or ended a run
        self._awaited: set[int] = set()  # the kinds of end that count; empty once one has come
        self._overtaking = 0  # fragment runs that have begun since the request
        page.on("websocket", self._listen)

    def settle(self) -> None:
        """Wait until the canvas has reported, the script has answered, and this has not caused further runs."""
        heard = -1
        while heard != self._heard:
            heard = self._heard
            # A page's timers fire in order: once this one has fired, so has the canvas's, however busy the machine.
            self._page.evaluate("(time) => new Promise((done) => setTimeout(done, time))", CANVAS_SPEAKS_AFTER + 20)
            self._wait()
        app = self._page.get_by_test_id("stApp")
        expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE)

    def _wait(self) -> None:
        waited = 0
        while self._awaited:
            assert waited < PATIENCE, "the script did not answer"
            self._page.wait_for_timeout(20)  # messages arrive during this wait
            waited += 20

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._received)

    def _sent(self, payload: str | bytes) -> None:
        message = BackMsg.FromString(payload if isinstance(payload, bytes) else payload.encode())
        if message.WhichOneof("type") == "rerun_script" and not message.rerun_script.is_auto_rerun:
            self._heard += 1
            is_fragment = bool(message.rerun_script.fragment_id) and self._awaited != WHOLE
            self._awaited = WHOLE | FRAGMENT if is_fragment else WHOLE
            self._overtaking = 0

    def _received(self, payload: str | bytes) -> None:
        message = ForwardMsg.FromString(payload if isinstance(payload, bytes) else payload.encode())
        kind, has_ended = message.WhichOneof("type"), False
        if kind == "new_session" and message.metadata.run.fragment_ids:
            self._overtaking += 1
            has_ended = self._awaited == WHOLE and self._overtaking > MAX_OVERTAKING
        elif kind == "script_finished":
            has_ended = message.script_finished in self._awaited
        if has_ended:
            self._heard += 1
            self._awaited = set()
