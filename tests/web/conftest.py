"""Who looks at the pages in tests without a browser."""

import pytest
import streamlit as st


@pytest.fixture(autouse=True)
def at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors sit at the machine that the app runs on; AppTest itself sends no headers."""
    monkeypatch.setattr(type(st.context), "headers", {"Host": "localhost:8501"})
