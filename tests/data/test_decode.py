import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bnexp.data import decode as module
from bnexp.data.decode import Pixels
from bnexp.data.decode import decode as decode_all
from bnexp.errors import ConfigError

COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
GRAYS = COLOURS[:, :, 0]


def decode(files: Sequence[Path], image_size: int | None) -> Pixels:
    return decode_all(files, image_size).pixels


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_colour_images_become_three_channels(tmp_path: Path):
    pixels = decode([saved(tmp_path, Image.fromarray(COLOURS))], None)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, COLOURS.transpose(2, 0, 1)[None])


def test_grayscale_images_become_one_channel(tmp_path: Path):
    pixels = decode([saved(tmp_path, Image.fromarray(GRAYS))], None)
    np.testing.assert_array_equal(pixels, GRAYS[None, None])


def test_one_colour_image_makes_all_of_them_colour_images(tmp_path: Path):
    gray = saved(tmp_path, Image.fromarray(GRAYS), "gray.png")
    colour = saved(tmp_path, Image.fromarray(COLOURS), "colour.png")
    pixels = decode([gray, gray, colour], None)
    assert pixels.shape == (3, 3, 4, 6)
    np.testing.assert_array_equal(pixels[0], np.stack([GRAYS] * 3))
    np.testing.assert_array_equal(pixels[2], COLOURS.transpose(2, 0, 1))


def test_palette_images_show_their_colours(tmp_path: Path):
    indexed = Image.frombytes("P", (2, 2), bytes([0, 1, 2, 1]))
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    pixels = decode([saved(tmp_path, indexed)], None)
    np.testing.assert_array_equal(pixels[0, 0], [[10, 40], [70, 40]])
    np.testing.assert_array_equal(pixels[0, 2], [[30, 60], [90, 60]])


def test_bilevel_images_become_black_and_white(tmp_path: Path):
    pixels = decode([saved(tmp_path, Image.fromarray(GRAYS > 127))], None)
    np.testing.assert_array_equal(pixels, np.where(GRAYS > 127, 255, 0)[None, None])


@pytest.mark.parametrize("name", ["image.png", "image.tif", "image.pgm", "image.jp2"])
def test_sixteen_bits_keep_every_level_in_the_range_of_all_files(tmp_path: Path, name: str):
    levels = [np.full((4, 4), level, np.uint16) for level in (1100, 1101, 1180, 1300)]
    found = decode_all([saved(tmp_path, Image.fromarray(one), f"{n}{name}") for n, one in enumerate(levels)], None)
    np.testing.assert_allclose(found.pixels[:, 0, 0, 0], [0, 255 / 200, 255 * 80 / 200, 255], rtol=1e-6)
    assert found.pixels.dtype == np.float32
    assert (found.images.low, found.images.high, found.images.lost) == (1100, 1300, 0)


def test_all_65536_levels_stay_apart(tmp_path: Path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    found = decode_all([saved(tmp_path, Image.fromarray(every))], None)
    assert len(np.unique(found.pixels)) == 65536
    assert found.images.lost == 0


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_of_32_bits_are_rescaled_to_the_range_of_all_files(tmp_path: Path, kind: type):
    levels = [np.full((3, 3), level, kind) for level in (-50, 150, 100_000)]
    files = [saved(tmp_path, Image.fromarray(one), f"{number}.tif") for number, one in enumerate(levels)]
    found = decode_all(files, None)
    np.testing.assert_allclose(found.pixels[:, 0, 0, 0], [0, 255 * 200 / 100_050, 255], rtol=1e-5)
    small = decode_all(files, 2).pixels
    np.testing.assert_allclose(small[:, 0], found.pixels[:, 0, :2, :2], rtol=1e-5)


def test_levels_that_32_bits_do_not_hold_are_counted(tmp_path: Path):
    levels = np.array([[0, 2**30 + 1, 2**30 + 2, 2**30 + 3]], np.int32)
    found = decode_all([saved(tmp_path, Image.fromarray(levels), "image.tif")], None)
    assert (found.images.distinct, found.images.lost) == (4, 2)


def test_one_level_everywhere_is_zero(tmp_path: Path):
    found = decode_all([saved(tmp_path, Image.fromarray(np.full((2, 2), 7, np.uint16)))], None)
    assert (found.pixels == 0).all()
    assert found.images.low == found.images.high == 7


@pytest.mark.parametrize("level", [np.nan, np.inf])
def test_a_level_that_is_no_finite_number_is_refused(tmp_path: Path, level: float):
    file = saved(tmp_path, Image.fromarray(np.array([[0, level]], np.float32)), "float.tif")
    with pytest.raises(ConfigError, match=r"float\.tif cannot be read .*it holds a level that is no finite number"):
        decode([file], None)


@pytest.mark.parametrize("deep", [np.uint16, np.int32, np.float32])
def test_files_of_another_number_of_bits_cannot_be_compared(tmp_path: Path, deep: type):
    files = [
        saved(tmp_path, Image.fromarray(GRAYS), "eight.tif"),
        saved(tmp_path, Image.fromarray(GRAYS.astype(deep)), "deep.tif"),
    ]
    for order in (files, files[::-1]):
        with pytest.raises(ConfigError, match="levels cannot be compared; save all with the same number of bits"):
            decode(order, None)


def png(levels: np.ndarray, colour_type: int) -> bytes:
    """Write 16 bits as the specification of PNG describes: signature, header, lines without a filter, end."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = levels.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        png(np.full((4, 4, 3), 1100), 2),
        png(np.full((4, 4, 4), 1100), 6),
        png(np.full((4, 4, 2), 1100), 4),
        b"P6 4 4 65535\n" + np.full((4, 4, 3), 1100, ">u2").tobytes(),
        b"P6 4 4 4095\n" + np.full((4, 4, 3), 1100, ">u2").tobytes(),
    ],
)
def test_colours_of_more_than_8_bits_are_refused_rather_than_cut(tmp_path: Path, content: bytes):
    (tmp_path / "deep.img").write_bytes(content)
    with pytest.raises(ConfigError, match=r"deep\.img holds colours of more than 8 bits, .*; save it with 8 bits"):
        decode([tmp_path / "deep.img"], None)


@pytest.mark.parametrize("image_size", [4000, 10**9])
def test_images_that_do_not_fit_into_memory_are_refused_before_they_are_decoded(tmp_path: Path, image_size: int):
    files = [saved(tmp_path, Image.new("L", (4, 4)))] * 20_000
    with pytest.raises(ConfigError, match=rf"^dataset\.image_size={image_size}: 20,000 images of .* and this machine"):
        decode(files, image_size)


def test_images_as_they_are_must_fit_into_memory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = saved(tmp_path, Image.new("L", (100, 100)))
    needed = 3 * 100 * 100 * (2 + 4)
    monkeypatch.setattr(module, "machine_memory", lambda: needed)
    decode([file] * 3, None)
    monkeypatch.setattr(module, "machine_memory", lambda: needed - 1)
    with pytest.raises(ConfigError, match=r"^dataset\.image_size=null: 3 images of 100×100 take"):
        decode([file] * 3, None)


def test_long_decoding_shows_how_far_it_is_in_a_log_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("bnexp.data.progress.PATIENCE", -1.0)
    decode([saved(tmp_path, Image.new("L", (2, 2)))] * 200, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Looking at 200 images … 32%", "Decoding 200 images … 32%"]


@pytest.mark.parametrize(("mode", "num_channels"), [("RGBA", 3), ("LA", 1)])
def test_transparency_is_put_on_white(tmp_path: Path, mode: str, num_channels: int):
    image = Image.new(mode, (2, 1))
    image.putpixel((0, 0), (*[100] * num_channels, 255))
    image.putpixel((1, 0), (*[100] * num_channels, 0))
    pixels = decode([saved(tmp_path, image)], None)
    np.testing.assert_array_equal(pixels, np.tile([[[100, 255]]], (1, num_channels, 1, 1)))


def test_a_transparent_palette_entry_is_put_on_white(tmp_path: Path):
    indexed = Image.frombytes("P", (2, 1), bytes([0, 1]))
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    pixels = decode([saved(tmp_path, indexed, transparency=bytes([255, 0]))], None)
    np.testing.assert_array_equal(pixels[0, :, 0], [[10, 255], [20, 255], [30, 255]])


def test_cmyk_images_become_rgb(tmp_path: Path):
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    pixels = decode([saved(tmp_path, cyan, "image.jpg", quality=100)], None)
    np.testing.assert_allclose(pixels[0].reshape(3, -1).mean(1), [0, 255, 255], atol=3)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(3, np.rot90(COLOURS, 2)), (6, np.rot90(COLOURS, -1)), (8, np.rot90(COLOURS)), (2, COLOURS[:, ::-1])],
)
def test_exif_orientation_turns_the_image_upright(tmp_path: Path, orientation: int, upright: np.ndarray):
    exif = Image.Exif()
    exif[0x0112] = orientation  # the meaning of 1 to 8 is told in the Exif standard, section 4.6.4
    pixels = decode([saved(tmp_path, Image.fromarray(COLOURS), exif=exif)], None)
    np.testing.assert_array_equal(pixels[0], upright.transpose(2, 0, 1))


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    pixels = decode([saved(tmp_path, frames[0], "image.gif", save_all=True, append_images=frames[1:])], None)
    np.testing.assert_array_equal(pixels[0, :, 0, 0], [255, 0, 0])


@pytest.mark.parametrize("wide", [True, False])
def test_image_size_scales_the_shorter_side_and_keeps_the_middle_square(tmp_path: Path, wide: bool):
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (20, 40) if wide else (40, 20)).astype(np.uint8)
    )
    scaled = np.asarray(picture.resize((12, 6) if wide else (6, 12), Image.Resampling.BICUBIC)).astype(int)
    expected = scaled[:, 3:9] if wide else scaled[3:9]
    pixels = decode([saved(tmp_path, picture)], 6)
    np.testing.assert_allclose(pixels[0, 0], expected, atol=1)


def test_image_size_brings_large_and_small_images_to_one_size(tmp_path: Path):
    files = [saved(tmp_path, Image.new("L", size, 7), f"{size}.png") for size in ((3, 9), (64, 30), (8, 8))]
    np.testing.assert_array_equal(decode(files, 8), np.full((3, 1, 8, 8), 7))


def test_an_image_that_has_the_size_is_left_alone(tmp_path: Path):
    pixels = decode([saved(tmp_path, Image.fromarray(COLOURS[:, :4]))], 4)
    np.testing.assert_array_equal(pixels[0], COLOURS[:, :4].transpose(2, 0, 1))


def test_many_images_keep_their_order(tmp_path: Path):
    files = [saved(tmp_path, Image.new("L", (2, 2), value), f"{value}.png") for value in range(256)] * 3
    assert decode(files, None)[:, 0, 0, 0].tolist() == list(range(256)) * 3


def test_the_first_image_of_another_size_is_named(tmp_path: Path):
    first = saved(tmp_path, Image.new("L", (6, 4)), "first.png")
    other = saved(tmp_path, Image.new("L", (3, 9)), "other.png")
    third = saved(tmp_path, Image.new("L", (1, 1)), "third.png")
    with pytest.raises(
        ConfigError,
        match=r"dataset\.image_size=null: .*other\.png is 3×9, but .*first\.png is 6×4; write dataset\.image_size=3",
    ):
        decode([first, other, third], None)


def test_a_truncated_image_is_named(tmp_path: Path):
    file = saved(tmp_path, Image.fromarray(COLOURS).resize((300, 200)), "cut.jpg")
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ConfigError, match=r"cut\.jpg cannot be read as an image \(.*truncated.*\); mend or remove it"):
        decode([file], None)


@pytest.mark.parametrize(
    "content", [b"", b"notes about the images", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes):
    file = tmp_path / "notes.eps"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"notes\.eps cannot be read as an image \(not one of AVIF, .*\); mend"):
        decode([file], None)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("limit", [600, 300])  # Pillow warns beyond its limit and raises beyond twice the limit
def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int):
    file = saved(tmp_path, Image.new("L", (30, 30)), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ConfigError, match=r"bomb\.png cannot be read as an image \(.*decompression bomb.*\)"):
        decode([file], 8)
