"""Fixtures for tests of the pages without a browser."""

from collections.abc import Iterator
from functools import cache

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(autouse=True)
def at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors use the machine that the app runs on; AppTest itself sends no headers."""
    monkeypatch.setattr(type(st.context), "headers", {"Host": "localhost:8501"})


@pytest.fixture(scope="session", autouse=True)
def known_components() -> Iterator[None]:
    """Search all packages for components only once: AppTest would do so for each page, which takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield
