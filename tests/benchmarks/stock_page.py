"""The stock pattern, for comparison: the unmodified canvas, whole-script reruns, Plotly bars, default settings."""

import plotly.graph_objects as go
import streamlit as st
from streamlit_drawable_canvas import st_canvas

from mnist_app.ink.preprocessing import pixels_of_drawing
from mnist_app.ink.strokes import Drawing
from mnist_app.models.registry import DEFAULT_MODEL
from mnist_app.reading.recognition import Recogniser, load_recogniser, recognise


@st.cache_resource
def load() -> Recogniser:
    return load_recogniser(DEFAULT_MODEL)


st.title("Draw a digit")
left, right = st.columns(2)
with left:
    canvas = st_canvas(stroke_width=18, background_color="#ffffff", width=340, height=340, key="canvas")
drawing = Drawing.from_fabric(canvas.json_data or {})
shares = [0.0] * 10
if not drawing.is_blank:
    shares = list(recognise(load(), pixels_of_drawing(drawing)[None])[0].probabilities)
with right:
    st.plotly_chart(go.Figure(go.Bar(x=list(range(10)), y=shares)), key="bars")
