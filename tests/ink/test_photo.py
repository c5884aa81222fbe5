import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from mnist_app.ink.photo import MAX_BYTES, WORKING_SIDE, ImageError, ink_of_image, open_image, read_image
from mnist_app.ink.preprocessing import BlankError, prepare_image
from mnist_app.reading.recognition import Recogniser, recognise

from ..conftest import ONE, SEVEN, TWO, ZERO

DIGITS = {7: SEVEN, 2: TWO, 0: ZERO, 1: ONE}


def sheet(digit: int, pen: float = 18, scale: float = 1) -> Image.Image:
    """A digit in black on a white sheet of 340 × 340 pixels, enlarged by ``scale``."""
    side = round(340 * scale)
    image = Image.new("L", (side, side), 255)
    brush = ImageDraw.Draw(image)
    for stroke in DIGITS[digit]:
        points = [(x * scale, y * scale) for x, y in stroke]
        brush.line(points, fill=0, width=round(pen * scale), joint="curve")
    return image


def encoded(image: Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def cut_out(digit: int, shade: int) -> Image.Image:
    """A digit in one shade of grey on a transparent background."""
    cover = ImageOps.invert(sheet(digit))
    return Image.merge("LA", [Image.new("L", cover.size, shade), cover]).convert("RGBA")


def png(digit: int) -> bytes:
    return encoded(sheet(digit))


def jpeg(digit: int) -> bytes:
    return encoded(sheet(digit).convert("RGB"), "JPEG", quality=40)


def cmyk_jpeg(digit: int) -> bytes:
    return encoded(sheet(digit).convert("CMYK"), "JPEG")


def webp(digit: int) -> bytes:
    return encoded(sheet(digit).convert("RGB"), "WEBP")


def light_on_dark(digit: int) -> bytes:
    return encoded(ImageOps.invert(sheet(digit)))


def in_pale_colours(digit: int) -> bytes:
    return encoded(ImageOps.colorize(sheet(digit), "#7090d0", "#f8f4e0"))


def black_on_nothing(digit: int) -> bytes:
    return encoded(cut_out(digit, 0))


def white_on_nothing(digit: int) -> bytes:
    return encoded(cut_out(digit, 255))


def large_on_nothing(digit: int) -> bytes:
    return encoded(cut_out(digit, 0).resize((1500, 1500)))


def on_a_sheet_with_transparent_margins(digit: int) -> bytes:
    return encoded(sheet(digit).convert("LA").rotate(10, Image.Resampling.BICUBIC, expand=True))


def palette_with_transparent_paper(digit: int) -> bytes:
    paletted = sheet(digit).point(lambda value: value > 127 and 1).convert("P")
    paletted.putpalette([0, 0, 0, 0, 0, 0])  # both are black: only the transparency differs
    return encoded(paletted, transparency=1)


def palette_with_half_transparent_ink(digit: int) -> bytes:
    paletted = sheet(digit).point(lambda value: value > 127 and 1).convert("P")
    paletted.putpalette([255, 255, 255, 0, 0, 0])
    return encoded(paletted, transparency=bytes([128, 0]))


def two_colours(digit: int) -> bytes:
    return encoded(sheet(digit).convert("1"))


def two_colours_on_a_large_sheet(digit: int) -> bytes:
    return encoded(sheet(digit, pen=2, scale=12).convert("1"))


def sixteen_bits(digit: int) -> bytes:
    return encoded(Image.fromarray((np.asarray(sheet(digit)).astype(np.uint16)) * 257))


def large_in_sixteen_bits(digit: int) -> bytes:
    return encoded(Image.fromarray((np.asarray(sheet(digit, scale=4)).astype(np.uint16)) * 257))


def lying_on_its_side_by_exif(digit: int) -> bytes:
    orientation = Image.Exif()
    orientation[0x0112] = 6  # "turn me by 90 degrees clockwise"
    return encoded(sheet(digit).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=orientation)


def huge(digit: int) -> bytes:
    paper = Image.new("L", (6000, 4000), 255)
    paper.paste(sheet(digit, scale=8), (1500, 700))
    return encoded(paper, "JPEG")


def twelve_pixels_wide(digit: int) -> bytes:
    return encoded(sheet(digit, pen=34).resize((12, 12), Image.Resampling.BOX))


def photographed(digit: int) -> bytes:
    """Pencil on grey paper, lit from one side, with dark corners, noise and JPEG artefacts."""
    rng = np.random.default_rng(digit)
    rows, columns = np.mgrid[-1:1:1020j, -1:1:1020j]
    light = (0.75 + 0.15 * columns) * (1 - 0.15 * (rows**2 + columns**2))
    ink = 1 - 0.6 * (1 - np.asarray(sheet(digit, pen=8, scale=3)) / 255)
    grey = ink * light + rng.normal(0, 0.02, light.shape)
    return encoded(Image.fromarray(np.uint8(np.clip(grey, 0, 1) * 255)), "JPEG", quality=70)


KINDS = [
    png,
    jpeg,
    cmyk_jpeg,
    webp,
    light_on_dark,
    in_pale_colours,
    black_on_nothing,
    white_on_nothing,
    large_on_nothing,
    on_a_sheet_with_transparent_margins,
    palette_with_transparent_paper,
    palette_with_half_transparent_ink,
    two_colours,
    two_colours_on_a_large_sheet,
    sixteen_bits,
    large_in_sixteen_bits,
    lying_on_its_side_by_exif,
    huge,
    twelve_pixels_wide,
    photographed,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_digits_are_read_right_from_every_kind_of_image(
    kind: Callable[[int], bytes], shipped_model: Recogniser
) -> None:
    pictures = np.stack([prepare_image(open_image(kind(digit))).pixels for digit in DIGITS])
    assert [prediction.digit for prediction in recognise(shipped_model, pictures)] == list(DIGITS)


@pytest.mark.parametrize("kind", [light_on_dark, black_on_nothing, white_on_nothing, two_colours, sixteen_bits])
def test_any_paper_gives_the_same_ink_as_black_on_white(kind: Callable[[int], bytes]) -> None:
    plain = ink_of_image(open_image(png(2)))
    np.testing.assert_allclose(ink_of_image(open_image(kind(2))), plain, atol=0.01)


def test_a_large_two_coloured_sheet_is_shrunk_like_a_grey_one() -> None:
    fine = sheet(7, pen=0.25, scale=12)
    two_colours = ink_of_image(open_image(encoded(fine.convert("1"))))
    np.testing.assert_allclose(two_colours, ink_of_image(open_image(encoded(fine))), atol=0.01)


def test_ink_is_1_and_paper_is_0() -> None:
    ink = ink_of_image(sheet(2))
    np.testing.assert_array_equal(ink, 1 - np.asarray(sheet(2), np.float32) / 255)
    assert ink.dtype == np.float32


def test_grey_levels_survive_on_even_paper() -> None:
    grey = Image.new("L", (3, 3), 255)
    grey.putpixel((1, 1), 55)
    grey.putpixel((1, 2), 155)
    assert [float(ink_of_image(grey)[row, 1]) for row in range(3)] == pytest.approx([0, 1, 0.5])


def test_grey_levels_survive_in_sixteen_bits() -> None:
    grey = np.full((3, 3), 65535, np.uint16)
    grey[1:, 1] = 55 * 257, 155 * 257
    assert ink_of_image(open_image(encoded(Image.fromarray(grey))))[:, 1].tolist() == pytest.approx([0, 1, 0.5])


def test_a_photographs_corners_and_texture_are_not_taken_for_ink() -> None:
    ink = ink_of_image(open_image(photographed(7)))
    away_from_the_seven = np.ones(ink.shape, bool)
    away_from_the_seven[200:880, 240:780] = False
    assert ink.max() > 0.9
    assert not ink[away_from_the_seven].any()


def test_an_opened_image_is_turned_upright() -> None:
    assert np.array_equal(
        np.asarray(ImageOps.grayscale(open_image(lying_on_its_side_by_exif(7)))) < 128, np.asarray(sheet(7)) < 128
    )


def test_images_larger_than_the_working_size_are_shrunk_when_opened() -> None:
    assert open_image(huge(1)).size == (WORKING_SIDE, round(WORKING_SIDE * 4000 / 6000))
    assert open_image(encoded(Image.new("L", (9000, 1)))).size == (WORKING_SIDE, 1)
    assert open_image(png(1)).size == (340, 340)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_says_it_is(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 12_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(ImageError, match="more than 64 million pixels"):
        open_image(png_that_says_it_is(side, side))


def test_a_file_with_too_many_bytes_is_refused() -> None:
    with pytest.raises(ImageError, match=f"larger than {MAX_BYTES // 2**20} MB"):
        open_image(png(7) + bytes(MAX_BYTES))


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"%PDF-1.7", encoded(sheet(7).convert("P"), "GIF"), encoded(sheet(7), "BMP"), b"<svg/>"],
    ids=["empty", "text", "pdf", "gif", "bmp", "svg"],
)
def test_a_file_that_is_not_png_jpeg_or_webp_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError, match=r"not an image that can be read. Use one of: PNG, JPEG, WEBP"):
        open_image(content)


@pytest.mark.parametrize("kind", [png, jpeg, webp, sixteen_bits, lying_on_its_side_by_exif])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind: Callable[[int], bytes], share: float) -> None:
    content = kind(7)
    with pytest.raises(ImageError, match=r"broken or incomplete|not an image that can be read"):
        open_image(content[: int(len(content) * share)])


@pytest.mark.parametrize("is_inverted", [False, True])
def test_making_the_paper_transparent_hardly_changes_a_picture(is_inverted: bool) -> None:
    """Drawing programs leave a grey rim around the ink when they do so."""
    large = sheet(7).resize((1000, 1000), Image.Resampling.BICUBIC)
    image = ImageOps.invert(large) if is_inverted else large
    cut_out = prepare_image(open_image(encoded(image, transparency=0 if is_inverted else 255)))
    assert np.abs(cut_out.pixels.astype(int) - prepare_image(large).pixels).mean() < 5


@pytest.mark.parametrize("width", [40, 55, 100])
def test_a_closely_cropped_photograph_of_a_one_is_read(width: int, shipped_model: Recogniser) -> None:
    rng = np.random.default_rng(0)
    grey = np.linspace(0.9, 0.6, 1000)[:, None] + rng.normal(0, 0.02, (1000, width))
    grey[60:-60, width // 2 - 6 : width // 2 + 6] -= 0.5
    pixels = prepare_image(open_image(encoded(Image.fromarray(np.uint8(np.clip(grey, 0, 1) * 255))))).pixels
    assert recognise(shipped_model, pixels[None])[0].digit == 1


@pytest.mark.filterwarnings("ignore")  # Pillow warns about broken files
@pytest.mark.parametrize("kind", [png, jpeg, webp, palette_with_transparent_paper, lying_on_its_side_by_exif])
def test_flipped_bytes_give_a_picture_or_a_clear_error(kind: Callable[[int], bytes]) -> None:
    whole, rng = np.frombuffer(kind(7), np.uint8), np.random.default_rng(0)
    for _ in range(60):
        broken = whole.copy()
        broken[rng.integers(0, min(len(whole), 200), 4)] = rng.integers(0, 256, 4)
        try:
            prepare_image(open_image(broken.tobytes()))
        except (ImageError, BlankError):
            continue


def test_exif_that_cannot_be_written_back_is_a_clear_error() -> None:
    # Orientation 6, so that the picture is turned, and a width tagged as a negative number.
    entries = [struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHIi", 0x0100, 9, 1, -5)]
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    with pytest.raises(ImageError, match="broken or incomplete"):
        open_image(encoded(sheet(7), "JPEG", exif=exif))


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_sheet_has_nothing_to_read(shade: int) -> None:
    with pytest.raises(BlankError):
        prepare_image(Image.new("L", (200, 300), shade))


def test_a_fully_transparent_picture_has_nothing_to_read() -> None:
    with pytest.raises(BlankError):
        prepare_image(Image.new("RGBA", (50, 50)))


@pytest.mark.parametrize("seed", range(5))
def test_a_photograph_of_empty_paper_has_nothing_to_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1:1:480j, -1:1:640j]
    grey = 0.7 + 0.1 * columns - 0.1 * (rows**2 + columns**2) + rng.normal(0, 0.03, rows.shape)
    with pytest.raises(BlankError):
        prepare_image(open_image(encoded(Image.fromarray(np.uint8(np.clip(grey, 0, 1) * 255)), "JPEG")))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 2)])
def test_any_size_gives_a_picture_or_says_it_is_blank(size: tuple[int, int]) -> None:
    with pytest.raises(BlankError):
        prepare_image(Image.new("L", size, 255))
    image = Image.new("L", size, 255)
    image.putpixel((0, size[1] - 1), 0)
    try:
        assert prepare_image(image).pixels.max() == 255
    except BlankError:
        assert max(size) <= 2  # it consists of border only


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "seven.png").write_bytes(png(7))
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "seven.png")), np.asarray(sheet(7)))


def test_a_path_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none.png cannot be read: No such file or directory\."):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match=r"cannot be read: Is a directory\."):
        read_image(tmp_path)
