"""A user's own images: one folder per class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from bnexp.data.cache import cached
from bnexp.data.dataset import Examples, Source
from bnexp.data.decode import decode, decoder_version
from bnexp.errors import ConfigError
from bnexp.ranges import Count, Place


def image_folder(*, root: Place | None, image_size: Count | None) -> Source:
    """Read ``root/train/<class>/*`` and ``root/test/<class>/*``, or ``root/<class>/*`` where there is no such pair.

    The classes are the sorted folder names; hidden files and folders, and files outside the class folders, are left
    alone. The images become uint8 (N, C, H, W): see :func:`bnexp.data.decode.decode` for C and for ``image_size``. The
    decoded pixels are kept in a cache, found again by the files' names and contents, so that a folder may be moved or
    copied, and an edited one is decoded again.

    Raises ConfigError where there are no images to learn from, or one cannot be read.
    """
    if root is None:
        raise ConfigError("dataset.root=null: there is no default folder; write dataset.root=FOLDER")
    top = Path(root).expanduser()
    folders = _split_folders(top)
    classes = _class_names(folders[0])
    if len(folders) == 2 and (others := _class_names(folders[1])) != classes:
        name = min({*classes} ^ {*others})
        where = "train" if name in classes else "test"
        raise ConfigError(
            f"dataset.root={root}: the class folder '{name}' is in {where}/ only; "
            "train/ and test/ need the same classes"
        )
    files = [[_files(folder / name) for name in classes] for folder in folders]  # per part, per class
    everything = [file for part in files for images in part for file in images]
    digest = _digest(everything, top)
    key = f"{digest} {image_size} {decoder_version()}"
    pixels = torch.from_numpy(cached("image_folder", key, lambda: decode(everything, image_size)))
    sizes = [torch.tensor([len(images) for images in part]) for part in files]
    labels = [torch.arange(len(classes)).repeat_interleave(size) for size in sizes]
    train, *test = map(Examples, pixels.split([len(part) for part in labels]), labels)
    unread = [name for name in _folder_names(top) if name not in ("train", "test")] if test else []
    notes = tuple(f"the folder {name}/ beside train/ and test/ is not read" for name in unread)
    return Source(train, tuple(classes), test[0] if test else None, digest, notes)


def _split_folders(top: Path) -> list[Path]:
    if not top.is_dir():
        raise ConfigError(f"dataset.root={top}: no such folder; it holds one folder of images per class")
    pair = [top / "train", top / "test"]
    present = [folder.name for folder in pair if folder.is_dir()]
    if len(present) == 1:
        raise ConfigError(
            f"dataset.root={top}: there is a folder {present[0]}/ without its pair; "
            f"add the other of train/ and test/, or write dataset.root={top / present[0]} to have a test set split off"
        )
    return pair if present else [top]


def _folder_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _class_names(folder: Path) -> list[str]:
    names = _folder_names(folder)
    if len(names) < 2:
        raise ConfigError(
            f"dataset.root: {folder} has too few class folders ({len(names)}); it needs one folder of images for each "
            "of at least two classes"
        )
    return names


def _files(folder: Path) -> list[Path]:
    files = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda file: file.name)
    if not files:
        raise ConfigError(f"dataset.root: the class folder {folder} is empty; put images into it or delete it")
    return files


def _digest(files: Sequence[Path], top: Path) -> str:
    """SHA-256 over the files' contents and their paths below ``top``; 60,000 small JPEGs take less than a second."""
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"dataset.root: {file} cannot be read ({error.strerror}); class folders hold images only"
            ) from error
        digest.update(f"{file.relative_to(top).as_posix()}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()
