"""From image files to pixels: what colour mode, which way up, how large, and with how many bits."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bnexp.data.contract import Images
from bnexp.data.names import printable
from bnexp.data.progress import progress
from bnexp.errors import ConfigError
from bnexp.machine import machine_memory

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # not EPS: it runs Ghostscript
GRAYSCALE_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
WORKERS = min(8, os.cpu_count() or 1)  # Pillow lets other threads run while it decodes; more of them only wait
CHUNK = 64  # images a thread decodes before it reports
MAX_LEVEL = 255.0
FILES_LOOKED_AT, LEVELS_LOOKED_AT = 64, 2**14  # of files with more than 8 bits, to see whether levels fall together

NUM_PROBED = 512  # images that are held as float32 beside the bytes, for data-dependent initializers

Pixels = NDArray[np.uint8] | NDArray[np.float32]


class Decoded(NamedTuple):
    """Pixels (N, C, H, W), and what the files hold."""

    pixels: Pixels
    images: Images


class Header(NamedTuple):
    """What a file says of itself, before it is decoded."""

    format: str
    mode: str
    kind: str


EIGHT, WHOLE, FLOATING = "8 bits", "whole numbers of more than 8 bits", "floating-point numbers"


def decoder_version() -> str:
    """Name everything but the files and ``image_size`` that the pixels depend on."""
    from PIL import __version__

    return f"decoder 2, Pillow {__version__}"


def decode(files: Sequence[Path], image_size: int | None) -> Decoded:
    """Return the pixels of all ``files``, of shape (N, C, H, W).

    C is 1 where every file is stored in a grayscale mode and 3 (RGB) otherwise. The EXIF orientation is applied,
    transparency put on white, and of an animation the first frame is taken. With ``image_size`` an image is scaled
    until its shorter side has that many pixels, and its middle square is cut out; without, all must have the same size.

    Levels of 8 bits stay bytes. Where the files hold more, the smallest and the largest level of all of them become 0
    and 255, in float32, so that neighbouring levels stay apart.

    Raises ConfigError, naming the file, where one is damaged, no image, too large for Pillow's guard against
    decompression bombs, of another size or another number of bits than the first, in colours of more than 8 bits
    (Pillow reads 8 of them), or holds a level that is no finite number; and where the images do not fit into memory.
    """
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)
        headers = _each(f"Looking at {len(files):,} images", files, _header)
        kind = _common_kind(files, headers)
        mode = "L" if all(header.mode in GRAYSCALE_MODES for header in headers) else "RGB"
        if image_size is not None:
            _check_memory(len(files), (1 if mode == "L" else 3, image_size, image_size), kind, image_size)
        low, high, seen = (0.0, MAX_LEVEL, np.empty(0)) if kind == EIGHT else _range(files)
        first = _pixels(files[0], mode, image_size, low, high, kind)
        _check_memory(len(files), first.shape, kind, image_size)
        pixels = np.empty((len(files), *first.shape), dtype=first.dtype)

        def fill(file: Path, index: int) -> None:
            image = _pixels(file, mode, image_size, low, high, kind)
            if image.shape != first.shape:
                raise ConfigError(_other_size(file, image.shape, files[0], first.shape))
            pixels[index] = image

        _each(f"Decoding {len(files):,} images", files, fill, numbered=True)
    images = Images(
        formats=dict(sorted(Counter(header.format for header in headers).items())),
        modes=dict(sorted(Counter(header.mode for header in headers).items())),
        levels="8 bits: 0 to 255 as stored" if kind == EIGHT else f"{kind}, scaled by the range of all files",
    )
    if kind == EIGHT:
        return Decoded(pixels, images)
    lost = len(seen) - len(np.unique(_rescaled(seen, low, high))) if high > low else 0
    return Decoded(pixels, replace(images, low=low, high=high, distinct=len(seen), lost=lost))


def _each(task: str, files: Sequence[Path], do: Callable[..., Any], *, numbered: bool = False) -> list[Any]:
    """Apply a function to all files, in threads, and show how far it has come."""

    def of_chunk(start: int) -> list[Any]:
        chunk = files[start : start + CHUNK]
        return [do(file, index) if numbered else do(file) for index, file in enumerate(chunk, start)]

    results: list[Any] = []
    with ThreadPoolExecutor(WORKERS) as pool, progress(task, len(files)) as advance:
        futures = [pool.submit(of_chunk, start) for start in range(0, len(files), CHUNK)]
        try:
            for future in futures:
                found = future.result()
                results += found
                advance(len(found))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what is wrong with one image is known; nobody waits for the others
            raise
    return results


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=FORMATS) as image:
            yield image
    except ConfigError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything, and only once its pixels are used
        reason = f"not one of {', '.join(FORMATS)}" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ConfigError(
            f"dataset.root: {printable(file)} cannot be read as an image ({reason}); mend or remove it"
        ) from error


def _header(file: Path) -> Header:
    with _opened(file) as image:
        kind = WHOLE if image.mode.startswith("I") else FLOATING if image.mode == "F" else EIGHT
        if kind == EIGHT and _holds_more_bits(image):
            raise ConfigError(
                f"dataset.root: {printable(file)} holds colours of more than 8 bits, of which only 8 can be read; save "
                "it with 8 bits, or as a grayscale image of 16"
            )
        return Header(str(image.format), image.mode, kind)


def _holds_more_bits(image: Image) -> bool:
    """Whether Pillow is about to cut levels to 8 bits: its decoders' arguments name what the file holds."""
    arguments = [tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in getattr(image, "tile", [])]
    sixteen = any(isinstance(word, str) and ";16" in word for words in arguments for word in words)
    is_ppm = image.format == "PPM" and image.mode == "RGB"
    return sixteen or (is_ppm and any(isinstance(word, int) and word > 255 for words in arguments for word in words))


def _common_kind(files: Sequence[Path], headers: Sequence[Header]) -> str:
    first = headers[0].kind
    for file, header in zip(files, headers, strict=True):
        if header.kind != first:
            raise ConfigError(
                f"dataset.root: {printable(file)} holds {header.kind}, but {printable(files[0])} {first}, and their "
                "levels cannot be compared; save all with the same number of bits"
            )
    return first


def _levels(image: Image) -> NDArray[np.float64]:
    levels = np.asarray(image).astype(np.float64)
    if not np.isfinite(levels).all():
        raise ValueError("it holds a level that is no finite number")
    return levels


def _range(files: Sequence[Path]) -> tuple[float, float, NDArray[np.float64]]:
    """Return the smallest and the largest level of all files, and different levels of the first of them."""

    def of_file(file: Path, index: int) -> tuple[float, float, NDArray[np.float64]]:
        with _opened(file) as image:
            levels = _levels(image)
        some = np.unique(levels)[:LEVELS_LOOKED_AT] if index < FILES_LOOKED_AT else levels[:0, :0].ravel()
        return float(levels.min()), float(levels.max()), some

    found = _each(f"Looking for the range of {len(files):,} images", files, of_file, numbered=True)
    seen = np.unique(np.concatenate([levels for _, _, levels in found]))
    return min(low for low, _, _ in found), max(high for _, high, _ in found), seen


def _rescaled(levels: NDArray[np.float64], low: float, high: float) -> NDArray[np.float32]:
    """Map ``low`` to 0 and ``high`` to 255; the same for all images."""
    return ((levels - low) * (MAX_LEVEL / (high - low) if high > low else 0.0)).astype(np.float32)


def _pixels(file: Path, mode: str, image_size: int | None, low: float, high: float, kind: str) -> Pixels:
    """Return one image, of shape (C, H, W)."""
    from PIL import Image, ImageOps

    with _opened(file) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        is_deep = kind != EIGHT
        image = Image.fromarray(_rescaled(_levels(opened), low, high)) if is_deep else _eight_bits(opened, mode)
        if image_size is not None:
            image = ImageOps.fit(image, (image_size, image_size))
        pixels: Pixels = np.asarray(image)
    if is_deep:
        pixels = pixels.clip(0, MAX_LEVEL)  # a curve through steep edges swings beyond them
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def _eight_bits(image: Image, mode: str) -> Image:
    from PIL import Image as Images

    if image.has_transparency_data:
        visible = image.convert("RGBA")
        image = Images.alpha_composite(Images.new("RGBA", image.size, "white"), visible)
    return image.convert(mode)


def _check_memory(num_images: int, shape: tuple[int, ...], kind: str, image_size: int | None) -> None:
    """Refuse images that do not fit into memory twice, as they are and divided into splits."""
    values = prod(shape)
    needed = num_images * values * (1 if kind == EIGHT else 4) * 2 + min(num_images, NUM_PROBED) * values * 4
    if needed > machine_memory():
        raise ConfigError(
            f"dataset.image_size={'null' if image_size is None else image_size}: {num_images:,} images of "
            f"{shape[2]}×{shape[1]} take {needed / 2**30:,.1f} GiB, and this machine has "
            f"{machine_memory() / 2**30:,.1f} GiB; use a smaller dataset.image_size, 224 for instance"
        )


def _other_size(file: Path, shape: tuple[int, ...], first: Path, first_shape: tuple[int, ...]) -> str:
    (_, height, width), (_, first_height, first_width) = shape, first_shape
    return (
        f"dataset.image_size=null: {printable(file)} is {width}×{height}, but {printable(first)} is "
        f"{first_width}×{first_height}; write dataset.image_size={min(height, width, first_height, first_width)} to "
        "bring all to one size"
    )
