import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mnist_app.access import (
    MAX_WRONG,
    MAX_WRONG_OF_ALL,
    OPEN,
    PASSWORD,
    WITHIN,
    AccessError,
    Gate,
    check_address,
    check_arrival,
    is_from_here,
    is_loopback,
)

ROOT = Path(__file__).parents[1]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


HERE = "198.51.100.7"


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(PASSWORD, "fröhlich 7")
    return "fröhlich 7"


def test_only_the_exact_password_admits(guarded: str) -> None:
    gate = Gate()
    gate.admit(guarded, HERE)
    for wrong in ("", "fröhlich", "fröhlich 7 ", "FRÖHLICH 7", "\udcff", "x" * 10_000):
        with pytest.raises(AccessError, match="not the teacher's"):
            gate.admit(wrong, HERE)


def test_after_too_many_wrong_passwords_even_the_right_one_must_wait(guarded: str) -> None:
    clock = Clock()
    gate = Gate(clock)
    for _ in range(MAX_WRONG):
        with pytest.raises(AccessError, match="not the teacher's"):
            gate.admit("wrong", HERE)
        clock.now += 1
    gate.admit(guarded, "198.51.100.8")  # guessing locks nobody else out
    with pytest.raises(AccessError, match=f"Try again in {WITHIN - MAX_WRONG:.0f} seconds"):
        gate.admit(guarded, HERE)
    clock.now += WITHIN - MAX_WRONG + 0.01
    gate.admit(guarded, HERE)


def test_wrong_passwords_are_also_limited_over_all_addresses_together(guarded: str) -> None:
    gate = Gate(Clock())
    for number in range(MAX_WRONG_OF_ALL):
        with pytest.raises(AccessError, match="not the teacher's"):
            gate.admit("wrong", f"2001:db8::{number:x}")
    with pytest.raises(AccessError, match="Too many wrong passwords"):
        gate.admit(guarded, HERE)


def test_right_passwords_use_up_no_attempts(guarded: str) -> None:
    gate = Gate()
    for _ in range(3 * MAX_WRONG):
        gate.admit(guarded, HERE)


def test_anything_is_admitted_if_no_password_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "")
    Gate().admit("anything", HERE)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_addresses_need_no_password(address: str) -> None:
    assert is_loopback(address)
    check_address(address)


def wants_a_password_or_a_word(check: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AccessError, match=r"others could train.*Set MNIST_APP_TEACHER_PASSWORD"):
        check()
    monkeypatch.setenv(OPEN, "1")
    check()
    monkeypatch.setenv(OPEN, "0")
    monkeypatch.setenv(PASSWORD, "secret")
    check()


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "", "192.168.1.2", "fe80::1", "unix:///tmp/x", "no.such.invalid"])
def test_other_addresses_need_a_password_or_the_open_setting(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_loopback(address)
    wants_a_password_or_a_word(partial(check_address, address), monkeypatch)


@pytest.mark.parametrize(
    "command",
    [
        ["app.py"],
        ["-m", "streamlit", "run", "app.py"],
        ["-m", "streamlit", "run", "app.py", "--server.address", "0.0.0.0"],
    ],
)
def test_the_server_does_not_start_on_a_public_address_without_a_password(
    command: list[str], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    monkeypatch.setenv("STREAMLIT_SERVER_PORT", "0")
    if "--server.address" not in command:
        monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert "On 0.0.0.0, others could train" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "server", [("127.0.0.1", 8501), ("::1", 8501), ("::ffff:127.0.0.1", 8501), ("/run/digits.sock", None)]
)
def test_requests_that_arrive_at_a_local_address_are_let_in(server: tuple[str, int | None]) -> None:
    check_arrival(server)


@pytest.mark.parametrize(
    "server", [("192.168.1.2", 8501), ("fe80::1%eth0", 8501), ("::ffff:192.168.1.2", 8501), ("localhost", 80), None]
)
def test_requests_that_arrive_elsewhere_need_a_password_or_the_open_setting(
    server: tuple[str, int | None] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wants_a_password_or_a_word(partial(check_arrival, server), monkeypatch)


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost", "localhost:8501", "[::1]:8501"])
def test_a_loopback_host_name_means_a_visitor_at_this_machine(host: str) -> None:
    assert is_from_here({"Host": host})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "digits.example.org"},
        {"Host": "192.168.1.2:8501"},
        {"Host": "127.0.0.1.example.org"},
        {"Host": "user@digits.example.org"},
        {"Host": "[nonsense"},
        {"Host": ""},
        {},  # for example, from a visitor whose socket is gone
        {"Host": "127.0.0.1:8501", "X-Forwarded-For": "10.0.0.7"},
        {"Host": "localhost", "x-forwarded-proto": "https"},
        {"Host": "localhost", "Forwarded": "for=10.0.0.7"},
        {"Host": "localhost", "Via": "1.1 classroom"},
        {"Host": "127.0.0.1:8501", "X-Real-IP": "10.0.0.7"},
    ],
)
def test_another_host_name_or_a_proxy_header_means_a_visitor_from_elsewhere(headers: dict[str, str]) -> None:
    assert not is_from_here(headers)
