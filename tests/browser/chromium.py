"""Finds a Chromium for the tests, or installs one in whichever way this machine allows."""

import os
import shutil
import subprocess
import sys

# For a container without a screen, and without Chromium's own background traffic.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHELL = "chromium-headless-shell"  # Chromium without windows; loads a page in a third less time
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Return the path of a Chromium that runs on this machine, installed there or by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        downloaded = playwright.chromium.executable_path
    return next((path for path in (*map(shutil.which, NAMES), downloaded) if path and _runs(path)), None)


def _runs(path: str) -> bool:
    """Whether the program starts: it may be a stub that only recommends a package, or lack libraries."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_chromium() -> None:
    """Install Debian's package if this process may do so, otherwise Playwright's own download."""
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
        sys.exit("The browser tests need Chromium, which could not be installed. Install it and run make test again.")
