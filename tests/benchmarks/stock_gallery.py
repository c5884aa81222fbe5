"""The stock pattern for a gallery, for comparison: one st.image for each of a hundred pictures."""

import streamlit as st

from mnist_app.data.dataset import Digits, load_split

PER_PAGE = 100


@st.cache_resource
def load() -> Digits:
    return load_split("validation")


page = st.session_state.setdefault("page", 0)
if st.button("Next page"):
    page = st.session_state["page"] = page + 1
st.html(f'<h2 class="described">page {page}</h2>')
columns = st.columns(10)
for number, image in enumerate(load().images[page * PER_PAGE : (page + 1) * PER_PAGE]):
    columns[number % 10].image(image, width=56)
