"""Thirty kinds of broken images and thirty of broken tables: each is refused in words that name the file, or read."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bnexp.data.csv import csv
from bnexp.data.decode import decode
from bnexp.errors import ConfigError


def image(kind, size=(8, 8), mode="RGB", **words):
    content = io.BytesIO()
    Image.new(mode, size, 128 if mode in ("L", "I;16") else None).save(content, kind, **words)
    return content.getvalue()


def png(*chunks):
    """A PNG file of any chunks, their checksums being right."""
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def header(width, height, depth=8, colour=2):
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


PNG, JPEG, GIF, BMP, TIFF, WEBP = (image(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"))
PIXELS = zlib.compress(bytes(8 * (1 + 8 * 3)))
END = (b"IEND", b"")
BROKEN_IMAGES = {
    "empty": b"",
    "one byte": b"\x89",
    "text": b"no image",
    "html": b"<html><img src='a.png'></html>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(touch canary) run\n",
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04" + bytes(30),
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "png signature alone": PNG[:8],
    "png header alone": PNG[:33],
    "png without end of pixels": PNG[: len(PNG) // 2],
    "png of no width": png(header(0, 8), (b"IDAT", PIXELS), END),
    "png of no height": png(header(8, 0), (b"IDAT", PIXELS), END),
    "png larger than a bomb": png(header(2**31 - 1, 2**31 - 1), (b"IDAT", PIXELS), END),
    "png bomb": png(header(20000, 20000), (b"IDAT", zlib.compress(bytes(10**6))), END),
    "png with a wrong depth": png(header(8, 8, depth=7), (b"IDAT", PIXELS), END),
    "png with a wrong colour": png(header(8, 8, colour=9), (b"IDAT", PIXELS), END),
    "png without pixels": png(header(8, 8), END),
    "png with other pixels": png(header(8, 8), (b"IDAT", b"no zlib stream"), END),
    "png with too few pixels": png(header(8, 8), (b"IDAT", zlib.compress(bytes(20))), END),
    "png palette without colours": png(header(8, 8, colour=3), (b"IDAT", zlib.compress(bytes(72))), END),
    "png with a wrong checksum": PNG[:29] + b"\0\0\0\0" + PNG[33:],
    "png text bomb": png(header(8, 8), (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))), (b"IDAT", PIXELS), END),
    "jpeg cut": JPEG[: len(JPEG) // 2],
    "jpeg start alone": JPEG[:4],
    "gif cut": GIF[: len(GIF) // 2],
    "gif header alone": GIF[:6],
    "bmp cut": BMP[:60],
    "bmp of negative size": BMP[:18] + struct.pack("<ii", -8, -8) + BMP[26:],
    "tiff cut": TIFF[:20],
    "tiff that holds itself": b"II*\0\x08\0\0\0\x01\0" + bytes(12) + b"\x08\0\0\0",
    "webp cut": WEBP[: len(WEBP) // 2],
    "floating-point pixels": image("TIFF", mode="F"),
}


def outcome(function, *words, **more):
    """What a function returns, or what it has to say of a mistake; any other exception passes."""
    try:
        return function(*words, **more)
    except ConfigError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore")  # what Pillow has to say of a file before it refuses it
@pytest.mark.parametrize("kind", BROKEN_IMAGES)
def test_a_broken_image_is_named_or_read(tmp_path, kind):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(PNG)
    bad.write_bytes(BROKEN_IMAGES[kind])
    pixels = outcome(decode, [good, bad], 8)
    if isinstance(pixels, str):
        assert str(bad) in pixels
        assert "\n" not in pixels
    else:
        assert pixels.shape == (2, 3, 8, 8)
        assert kind in ("png with a wrong checksum", "png text bomb", "bmp of negative size", "png with too few pixels")
    assert {path.name for path in tmp_path.iterdir()} == {"good.png", "bad.png"}


ROW = "1,2,0\n3,4,1\n"
BROKEN_TABLES = {
    "empty": b"",
    "blank lines": b"\n\n\n",
    "byte order mark alone": b"\xef\xbb\xbf",
    "header alone": b"a,b,y\n",
    "no header": ROW.encode() * 5,
    "zeros": bytes(100),
    "zip": b"PK\x03\x04\xff\xfe" + bytes(30),
    "gzip": b"\x1f\x8b\x08" + bytes(30),
    "pickle": b"\x80\x04cos\nsystem\n(S'touch canary'\ntR.",
    "utf-16": ("a,b,y\n" + ROW).encode("utf-16"),
    "latin-1": ("ä,b,y\n" + ROW).encode("latin-1"),
    "half a character": ("a,b,y\n" + ROW).encode() + b"\xc3",
    "semicolons": b"a;b;y\n1;2;0\n3;4;1\n",
    "tabs": b"a\tb\ty\n1\t2\t0\n3\t4\t1\n",
    "one column": b"y\n0\n1\n",
    "twin columns": b"a,a,y\n1,2,0\n3,4,1\n",
    "unnamed column": b"a,,y\n1,2,0\n3,4,1\n",
    "fields too many": b"a,b,y\n1,2,0\n3,4,1,5\n",
    "fields too few": b"a,b,y\n1,2,0\n3,4\n",
    "all rows too long": b"a,b,y\n1,2,0,9\n3,4,1,9\n",
    "open quote": b'a,b,y\n1,2,0\n"3,4,1\n',
    "quote inside": b'a,b,y\n1,"2"3,0\n3,4,1\n',
    "control characters": b"a,b,y\n\x01\x02,2,0\n3,4,1\n",
    "nul in a field": b"a,b,y\n1\x00,2,0\n3,4,1\n",
    "no target": b"a,b,z\n1,2,0\n3,4,1\n",
    "target without values": b"a,b,y\n1,2,\n3,4,\n",
    "one class": b"a,b,y\n1,2,0\n3,4,0\n",
    "class per row": b"a,b,y\n" + b"".join(b"1,2,%d.5\n" % n for n in range(200)),
    "column without values": b"a,b,y\n,2,0\n,4,1\n",
    "infinite number": b"a,b,y\ninf,2,0\n3,4,1\n",
    "number beyond floats": b"a,b,y\n1e999,2,0\n3,4,1\n",
    "text among numbers": b"a,b,y\n1,2,0\n" * 1 + b"3,4,1\n" * 50 + b"oops,5,1\n",
    "text that identifies": b"a,b,y\n" + b"".join(b"name%d,2,%d\n" % (n, n % 2) for n in range(300)),
    "formula": b"a,b,y\n=cmd|'/c calc'!A1,2,0\n3,4,1\n",
    "html": b"<html><body>404 Not Found</body></html>",
    "very long field": b"a,b,y\n" + b"x" * 200_000 + b",2,0\n3,4,1\n",
}


@pytest.mark.parametrize("kind", BROKEN_TABLES)
def test_a_broken_table_is_refused_in_one_line_or_read(tmp_path, kind):
    path = tmp_path / "table.csv"
    path.write_bytes(BROKEN_TABLES[kind])
    source = outcome(csv, path=str(path), target="y", drop=[], header="auto", decimal="auto")
    if isinstance(source, str):
        assert "dataset." in source
        assert "\n" not in source
    else:
        assert np.isfinite(source.examples.inputs.numpy()[~np.isnan(source.examples.inputs.numpy())]).all()
        assert len(source.classes) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_there_are_thirty_of_each():
    assert len(BROKEN_IMAGES) >= 30
    assert len(BROKEN_TABLES) >= 30
