"""The images of the speed measurements: 6,400 of CIFAR-10 (JPEG) where they are at hand, else random bytes.

``bnexp train --config-dir scripts/benchmark/configs dataset=photographs`` reads them, where this folder is on
``PYTHONPATH`` and ``BNEXP_PLUGINS=photographs``.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bnexp.data.cache import cached
from bnexp.data.dataset import Examples, Source

NUM_CLASSES = 10
PER_CLASS = 640


def photographs() -> Source:
    """Images (6400, 3, 32, 32) in 10 classes, from ``$BNEXP_DATA/cifar10-jpeg.tar.xz`` if it is there."""
    archive = Path(os.environ.get("BNEXP_DATA", "data")) / "cifar10-jpeg.tar.xz"
    if archive.is_file():
        pixels = torch.from_numpy(cached("photographs", str(archive), lambda: _decode(archive)))
    else:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (NUM_CLASSES * PER_CLASS, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(NUM_CLASSES).repeat_interleave(PER_CLASS)
    return Source(Examples(pixels, labels), tuple(map(str, range(NUM_CLASSES))))


def _decode(archive: Path) -> NDArray[np.uint8]:
    """Read the first images of each class."""
    found: dict[str, list[NDArray[np.uint8]]] = {}
    with tarfile.open(archive) as files:
        for member in files:
            if not member.isfile() or not member.name.startswith("train/"):
                continue
            images = found.setdefault(member.name.split("/")[1], [])
            if len(images) < PER_CLASS:
                content = files.extractfile(member)
                assert content is not None
                images.append(np.asarray(Image.open(io.BytesIO(content.read()))).transpose(2, 0, 1))
            if len(found) == NUM_CLASSES and all(len(images) == PER_CLASS for images in found.values()):
                break
    return np.concatenate([np.stack(found[label]) for label in sorted(found)])
