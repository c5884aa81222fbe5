"""Access control: who may change what everybody shares, and at which addresses the app may listen."""

import hmac
import ipaddress
import os
import socket
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from threading import Lock
from urllib.parse import urlsplit

from mnist_app.errors import AppError

PROXY_HEADERS = {"forwarded", "via", "x-real-ip"}  # headers only proxies send, as are all starting with x-forwarded-
PASSWORD, OPEN = "MNIST_APP_TEACHER_PASSWORD", "MNIST_APP_OPEN"
MAX_WRONG = 8  # wrong passwords allowed from one address within WITHIN
MAX_WRONG_OF_ALL = 100  # the same from all addresses together, as addresses may be made up
WITHIN = 120.0  # seconds; this allows 72,000 guesses a day, too few to find a decent password


class AccessError(AppError):
    """The requester lacks permission; the message says who has it."""


def has_password() -> bool:
    """Whether changing things requires the teacher's password."""
    return bool(os.environ.get(PASSWORD))


def is_open() -> bool:
    """Whether the app is configured to let everybody change everything."""
    return os.environ.get(OPEN) == "1"


def is_from_here(headers: Mapping[str, str]) -> bool:
    """Whether a page was requested on this machine under a loopback name, judging by the request's headers.

    A proxy on this machine gives itself away: it forwards the host name that its visitors used, or adds headers.
    """
    known = {name.lower(): value for name, value in headers.items()}
    if any(name in PROXY_HEADERS or name.startswith("x-forwarded-") for name in known):
        return False
    try:
        host = urlsplit(f"//{known.get('host', '')}").hostname or ""  # empty once a visitor's socket is gone
    except ValueError:
        return False
    number = _number(host)
    return host == "localhost" or (number is not None and number.is_loopback)


class Gate:
    """Checks the teacher's password. All visitors share one gate, so that a new session gives no new attempts.

    Attempts are counted by address, so that a pupil who guesses does not lock the teacher out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}  # times of wrong passwords, by address
        self._lock = Lock()

    def admit(self, given: str, address: str) -> None:
        """Return if ``given`` is the password or none is set. Raises AccessError otherwise.

        After MAX_WRONG wrong ones from an address, or MAX_WRONG_OF_ALL from all, it raises without checking.
        """
        if not has_password():
            return
        with self._lock:
            now = self._clock()
            recent = {one: [when for when in each if now - when < WITHIN] for one, each in self._wrong.items()}
            self._wrong = {one: each for one, each in recent.items() if each}
            wrong = self._wrong.setdefault(address, [])
            all_wrong = sorted(when for each in self._wrong.values() for when in each)
            if len(wrong) >= MAX_WRONG or len(all_wrong) >= MAX_WRONG_OF_ALL:
                wait = (wrong if len(wrong) >= MAX_WRONG else all_wrong)[0] + WITHIN - now
                raise AccessError(f"Too many wrong passwords. Try again in {wait:.0f} seconds.")
            # Hashes have equal lengths, so that the comparison takes the same time whatever was given.
            if not hmac.compare_digest(_digest(given), _digest(os.environ[PASSWORD])):
                wrong.append(now)
                raise AccessError("That is not the teacher's password.")


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


def check_address(address: str) -> None:
    """Raises AccessError if others could reach the app at ``address`` and change what everybody shares."""
    if not (has_password() or is_open() or is_loopback(address)):
        raise _others_could(address)


def check_arrival(server: tuple[str, int | None] | None) -> None:
    """Like `check_address`, for the server address of one request, in ASGI's form. Raises AccessError.

    It is needed because a server that was not started by our own means may listen anywhere. ASGI gives a UNIX socket,
    which only this machine reaches, as a path and None.
    """
    address, port = server or ("an address that the server does not name", 0)
    number = _number(address)  # names are not looked up: every visitor would wait for that
    is_here = port is None or (number is not None and number.is_loopback)
    if not (has_password() or is_open() or is_here):
        raise _others_could(address)


def _others_could(address: str) -> AccessError:
    return AccessError(
        f"On {address}, others could train, choose and delete models. Set {PASSWORD} to a password that "
        f"only the teacher knows, or set {OPEN}=1 to let everybody do so."
    )


def is_loopback(address: str) -> bool:
    """Whether an address, given as a number or a name, can be reached only from this machine."""
    if (number := _number(address)) is not None:
        return number.is_loopback
    try:
        found = socket.getaddrinfo(address, None)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_loopback for place in found)


def _number(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse a numeric address; None for a name. An IPv4 address that a dual-stack socket wrote as IPv6 becomes IPv4."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return mapped or number
