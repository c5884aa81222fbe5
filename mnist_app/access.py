"""Who may change what everybody shares: who knows the teacher's password, or anyone, where none is set."""

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

BY_A_PROXY = {"forwarded", "via", "x-real-ip"}  # headers that no browser sends; and all that begin with x-forwarded-
PASSWORD, OPEN = "MNIST_APP_TEACHER_PASSWORD", "MNIST_APP_OPEN"
MOST_WRONG = 8  # wrong passwords from one address …
MOST_WRONG_OF_ALL = 100  # … and from all addresses together, which may be made up …
WITHIN = 120.0  # … in so many seconds: 72,000 a day, which finds no password worth the name


class AccessError(AppError):
    """Somebody may not do what they asked for; the message says who may."""


def has_password() -> bool:
    """Whether only those may change things who know the teacher's password."""
    return bool(os.environ.get(PASSWORD))


def is_open() -> bool:
    """Whether the app was told to let everybody change everything."""
    return os.environ.get(OPEN) == "1"


def is_from_here(headers: Mapping[str, str]) -> bool:
    """Whether a page was asked for on this machine and by its own name, by the headers of that request.

    A proxy on this machine passes on the name that its visitors asked for, or says for whom it asks.
    """
    known = {name.lower(): value for name, value in headers.items()}
    if any(name in BY_A_PROXY or name.startswith("x-forwarded-") for name in known):
        return False
    try:
        host = urlsplit(f"//{known.get('host', '')}").hostname or ""  # nobody's, once a visitor's socket is gone
    except ValueError:
        return False
    number = _number(host)
    return host == "localhost" or (number is not None and number.is_loopback)


class Gate:
    """Asks for the teacher's password. One for all visitors: whoever opens new sessions gets no new attempts.

    Attempts are counted by address, so that a pupil who guesses keeps no teacher out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}  # by address, when
        self._lock = Lock()

    def admit(self, given: str, address: str) -> None:
        """Returns only if it is the password. Raises AccessError.

        After MOST_WRONG wrong ones from an address, or MOST_WRONG_OF_ALL from all, without even looking.
        """
        if not has_password():
            return
        with self._lock:
            now = self._clock()
            recent = {one: [when for when in each if now - when < WITHIN] for one, each in self._wrong.items()}
            self._wrong = {one: each for one, each in recent.items() if each}
            wrong = self._wrong.setdefault(address, [])
            all_wrong = sorted(when for each in self._wrong.values() for when in each)
            if len(wrong) >= MOST_WRONG or len(all_wrong) >= MOST_WRONG_OF_ALL:
                wait = (wrong if len(wrong) >= MOST_WRONG else all_wrong)[0] + WITHIN - now
                raise AccessError(f"Too many wrong passwords were given. Try again in {wait:.0f} seconds.")
            # Of hashes, which are equally long: comparing takes as long whatever was given.
            if not hmac.compare_digest(_digest(given), _digest(os.environ[PASSWORD])):
                wrong.append(now)
                raise AccessError("That is not the teacher's password.")


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


def check_address(address: str) -> None:
    """Raises AccessError where strangers could reach the app at ``address`` and change what everybody shares."""
    if not (has_password() or is_open() or is_loopback(address)):
        raise _others_could(address)


def check_arrival(server: tuple[str, int | None] | None) -> None:
    """Like `check_address`, of the address that a request came in at, in ASGI's words: whoever starts a server by other
    means than ours may have it listen anywhere. Raises AccessError.

    A UNIX socket, which only this machine reaches, is a path and None.
    """
    address, port = server or ("an address that the server does not name", 0)
    number = _number(address)  # never a name: looking that up would keep every visitor waiting
    is_here = port is None or (number is not None and number.is_loopback)
    if not (has_password() or is_open() or is_here):
        raise _others_could(address)


def _others_could(address: str) -> AccessError:
    return AccessError(
        f"On {address} others could train, choose and delete models here. Set {PASSWORD} to a password that "
        f"only the teacher knows, or {OPEN}=1 to let everybody do so."
    )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address, given as a number or a name."""
    if (number := _number(address)) is not None:
        return number.is_loopback
    try:
        found = socket.getaddrinfo(address, None)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_loopback for place in found)


def _number(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address that is given as a number; one of IPv4 as such, even where a socket for both writes it as IPv6."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return mapped or number
