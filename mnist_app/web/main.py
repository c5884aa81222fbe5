"""Window settings and the list of pages."""

from pathlib import Path

import streamlit as st

from mnist_app.errors import AppError
from mnist_app.web import session
from mnist_app.web.notice import problem_notice
from mnist_app.web.pages import break_it, data, draw, explore, lab, models, teach, train
from mnist_app.web.reload import outlast_reloads
from mnist_app.web.scroll import scroll
from mnist_app.web.tour import offer_tour, tour

APP = "Draw a digit"

st.set_page_config(page_icon="✍️", layout="wide")
st.html(Path(__file__).parent / "style.css")

pages = [
    st.Page(draw.page, title="Draw", icon=":material/draw:", url_path="draw", default=True),
    st.Page(explore.page, title="Explore", icon=":material/search:", url_path="explore"),
    st.Page(break_it.page, title="Break it", icon=":material/bolt:", url_path="break"),
    st.Page(teach.page, title="Teach", icon=":material/school:", url_path="teach"),
    st.Page(train.page, title="Train", icon=":material/model_training:", url_path="train"),
    st.Page(lab.page, title="Lab", icon=":material/science:", url_path="lab"),
    st.Page(models.page, title="Models", icon=":material/neurology:", url_path="models"),
    st.Page(data.page, title="Data", icon=":material/dataset:", url_path="data"),
]
page = st.navigation(pages, position="top")
st.set_page_config(page_title=APP if page is pages[0] else f"{page.title} · {APP}")
session.know_pages(pages)
session.arrive_at(page.url_path)
tour(page.title)
try:
    page.run()
except AppError as error:  # such as for a file deleted meanwhile; fragments report their own errors
    problem_notice(str(error))
offer_tour()
scroll()
outlast_reloads()


@st.fragment(run_every=3600)
def _ask_for_a_run_when_connected_again() -> None:
    """Does nothing itself. After a lost connection Streamlit asks for a rerun only if the page has a fragment that runs
    periodically; without one, what was drawn or pressed meanwhile, or before a server restart, would be lost."""


_ask_for_a_run_when_connected_again()
