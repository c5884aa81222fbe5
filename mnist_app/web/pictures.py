"""Arrays of ink as pictures in HTML."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnist_app.ink.preprocessing import BOX, Step
from mnist_app.ink.strokes import Drawing
from mnist_app.ink.trajectory import painted, trajectory_of
from mnist_app.reading.number import Reading
from mnist_app.web.answer import percent


def png_url(pixels: NDArray[np.uint8]) -> str:
    """Pixels as the data URL of a PNG: (height, width), 0 = black, or (height, width, 3) in red, green and blue."""
    file = io.BytesIO()
    # A whole class draws at the same time, so speed matters more than size.
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def steps_html(steps: Sequence[Step]) -> str:
    """The steps from ink to pixels as a strip of captioned pictures."""
    figures = "".join(
        f'<figure><img src="{png_url(on_black(step.picture))}" alt="{html.escape(step.why)}">'
        f"<figcaption><strong>{html.escape(step.name)}</strong> {html.escape(step.why)}</figcaption></figure>"
        for step in steps
    )
    return f'<section class="steps" aria-label="What the network sees">{figures}</section>'


def pen_step(drawing: Drawing) -> Step:
    """The additional step of a model with a pen network: a picture of the pen's trajectory."""
    return Step(
        "The pen",
        "The order in which you drew it, from dark to bright. A second network reads this.",
        painted(trajectory_of(drawing)),
    )


def digits_html(reading: Reading) -> str:
    """The digits of a number as the network saw them, one by one."""
    figures = "".join(
        f'<figure><img src="{png_url(pixels)}" alt="The picture that was read as {read.digit}">'
        f"<figcaption><strong>{read.digit}</strong> {percent(read.confidence)}</figcaption></figure>"
        for pixels, read in ((digit.pixels, digit.prediction) for digit in reading.digits)
    )
    return f'<section class="steps" aria-label="What the network sees, digit by digit">{figures}</section>'


def on_black(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """White ink on a black square, as the network gets it: in the middle, with a narrow margin."""
    height, width = ink.shape
    side = max(height, width) + 2 * (max(height, width) // BOX)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = np.round(ink * 255)
    return square


def row_html(pictures: Sequence[tuple[str, str]], kind: str = "") -> str:
    """Pictures side by side as HTML, each given as a URL and a caption."""
    figures = "".join(
        f'<figure><img src="{url}" alt=""><figcaption>{caption}</figcaption></figure>' for url, caption in pictures
    )
    return f'<div class="row {kind}">{figures}</div>'
