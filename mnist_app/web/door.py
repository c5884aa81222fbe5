"""Lets nobody in at an address that strangers reach, where the app was told nothing of strangers; and stops at the door
what no visitor may ask for.
"""

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # Streamlit brings it
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit.proto.BackMsg_pb2 import BackMsg

from mnist_app.access import AccessError, check_arrival


class Door:
    """Answers 403 with the reason, to a WebSocket before it opens, where `check_arrival` refuses; else passes on.

    What Streamlit keeps for everybody, the count of wrong passwords and the queue of trainings among it, any page may
    have cleared by a message of two bytes, whatever its menu shows: that message goes no further.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "lifespan":
                check_arrival(scope.get("server"))
        except AccessError as error:
            # A server that is told to close a socket before it opens answers 403 by itself.
            turn_away = WebSocketClose() if scope["type"] == "websocket" else PlainTextResponse(str(error), 403)
            await turn_away(scope, receive, send)
            return

        async def receive_harmless() -> Message:
            while clears_caches(message := await receive()):
                pass
            return message

        await self._app(scope, receive_harmless if scope["type"] == "websocket" else receive, send)


def clears_caches(message: Message) -> bool:
    """Whether a message from a WebSocket asks Streamlit to clear the caches of all sessions."""
    try:
        return BackMsg.FromString(message.get("bytes") or b"").WhichOneof("type") == "clear_cache"
    except DecodeError:  # Streamlit will say so
        return False
