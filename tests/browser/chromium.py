"""A Chromium for the tests: found, or installed the way this machine allows."""

import os
import shutil
import subprocess
import sys

# Headless in a container, and silent: Chromium's own background traffic has nothing to do with the tests.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHELL = "chromium-headless-shell"  # all but the windows: a page takes it a third less time
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The path of a Chromium that runs on this machine, its own or Playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        downloaded = playwright.chromium.executable_path
    return next((path for path in (*map(shutil.which, NAMES), downloaded) if path and _runs(path)), None)


def _runs(path: str) -> bool:
    """Whether the program starts: it may be a stub that only names a package, or lack libraries."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_chromium() -> None:
    """Debian's package where this process may install it, else Playwright's own download."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        for package in (SHELL, "chromium"):  # not every system has the first
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package, "fonts-liberation"]
            subprocess.run(command, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
            if find_chromium():
                return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if find_chromium() is None:
        install_chromium()
    if find_chromium() is None:
        sys.exit("The browser tests need Chromium, and it could not be installed here: install it, then make test.")
