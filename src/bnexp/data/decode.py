"""From image files to pixels: what colour mode, which way up, and how large."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnexp.data.progress import progress
from bnexp.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # not EPS: it runs Ghostscript
GRAYSCALE_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
WORKERS = min(8, os.cpu_count() or 1)  # Pillow lets other threads run while it decodes; more of them only wait
CHUNK = 256  # images a thread decodes before it reports


def decoder_version() -> str:
    """Name everything but the files and ``image_size`` that the pixels depend on."""
    from PIL import __version__

    return f"decoder 1, Pillow {__version__}"


def decode(files: Sequence[Path], image_size: int | None) -> NDArray[np.uint8]:
    """Return the pixels of all ``files``, of shape (N, C, H, W).

    C is 1 where every file is stored in a grayscale mode and 3 (RGB) otherwise. The EXIF orientation is applied,
    transparency is put on white, 16-bit levels keep their high byte, and of an animation the first frame is taken.
    With ``image_size`` an image is scaled until its shorter side has that many pixels, and its middle square is cut
    out; without, all images must have the same size.

    Raises ConfigError, naming the file, where one is damaged, no image, too large for Pillow's guard against
    decompression bombs, or of another size than the first.
    """
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", DecompressionBombWarning)
        mode = "L" if all(_is_grayscale(file) for file in files) else "RGB"
        first = _pixels(files[0], mode, image_size)
        pixels = np.empty((len(files), *first.shape), dtype=np.uint8)

        def fill(start: int) -> int:
            chunk = files[start : start + CHUNK]
            for index, file in enumerate(chunk, start):
                image = _pixels(file, mode, image_size)
                if image.shape != first.shape:
                    raise ConfigError(_other_size(file, image.shape, files[0], first.shape))
                pixels[index] = image
            return len(chunk)

        with ThreadPoolExecutor(WORKERS) as pool, progress(f"Decoding {len(files):,} images", len(files)) as advance:
            for num_decoded in pool.map(fill, range(0, len(files), CHUNK)):
                advance(num_decoded)
    return pixels


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=FORMATS) as image:
            yield image
    except Exception as error:  # a damaged file makes Pillow raise nearly anything, and only once its pixels are used
        reason = f"not one of {', '.join(FORMATS)}" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ConfigError(f"dataset.root: {file} cannot be read as an image ({reason}); mend or remove it") from error


def _is_grayscale(file: Path) -> bool:
    with _opened(file) as image:
        return image.mode in GRAYSCALE_MODES


def _pixels(file: Path, mode: str, image_size: int | None) -> NDArray[np.uint8]:
    """Return one image, of shape (C, H, W)."""
    from PIL import ImageOps

    with _opened(file) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        image = _eight_bits(opened, mode)
        if image_size is not None:
            image = ImageOps.fit(image, (image_size, image_size))
        pixels = np.asarray(image)
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def _eight_bits(image: Image, mode: str) -> Image:
    from PIL import Image as Images

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of no agreed range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 0xFFFF:
            raise ValueError("it has levels outside 0 to 65535; save it with 8 or 16 bits")
        return Images.fromarray((levels >> 8).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        visible = image.convert("RGBA")
        image = Images.alpha_composite(Images.new("RGBA", image.size, "white"), visible)
    return image.convert(mode)


def _other_size(file: Path, shape: tuple[int, ...], first: Path, first_shape: tuple[int, ...]) -> str:
    (_, height, width), (_, first_height, first_width) = shape, first_shape
    return (
        f"dataset.image_size=null: {file} is {width}×{height}, but {first} is {first_width}×{first_height}; "
        f"write dataset.image_size={min(height, width, first_height, first_width)} to bring all to one size"
    )
