"""A network connection that tests can slow down or cut."""

import socket
import time
from contextlib import closing, suppress
from threading import Lock, Thread


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Cable:
    """A TCP proxy between browser and server that can delay, drop one direction, disconnect and reconnect."""

    def __init__(self, server: int) -> None:
        self.port = free_port()
        self.delay = 0.0  # seconds, each way
        self.is_one_way = False  # if set, nothing comes back from the server
        self._server = server
        self._ends: list[socket.socket] = []
        self._door: socket.socket | None = None
        self._hand = Lock()  # or a connection that is just being made would stay when the cable is pulled out
        self.put_in()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put_in(self) -> None:
        self._door = socket.create_server(("127.0.0.1", self.port))
        Thread(target=self._let_in, args=(self._door,), daemon=True).start()

    def pull_out(self) -> None:
        with self._hand:
            parts = [self._door, *self._ends] if self._door else self._ends
            self._door, self._ends = None, []
        for part in parts:
            with suppress(OSError):
                part.shutdown(socket.SHUT_RDWR)
            part.close()

    def _let_in(self, door: socket.socket) -> None:
        with suppress(OSError):  # pulled out
            while True:
                ends = door.accept()[0], socket.create_connection(("127.0.0.1", self._server))
                with self._hand:
                    if self._door is not door:
                        for end in ends:
                            end.close()
                        return
                    self._ends += ends
                for one, other in (ends, ends[::-1]):
                    Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), closing(one), closing(other):
            while (some := one.recv(65_536)) and self._door:  # else it is pulled out, and this is not closed yet
                time.sleep(self.delay)
                if not (self.is_one_way and one.getpeername()[1] == self._server):
                    other.sendall(some)
