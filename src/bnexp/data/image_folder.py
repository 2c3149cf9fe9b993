"""A user's own images: one folder per class."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch

from bnexp.data.cache import Kept, cached
from bnexp.data.contract import Contract, Images
from bnexp.data.dataset import Examples, Source
from bnexp.data.decode import decode, decoder_version
from bnexp.data.items import item
from bnexp.data.names import printable
from bnexp.data.places import as_path, looked_for
from bnexp.data.progress import progress
from bnexp.errors import ConfigError
from bnexp.ranges import Interval, Place

ImageSize = Annotated[int, Interval(low=1, high=10_000)]

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What the folders of a divided dataset are called, in capitals or not."""

TOLERATED = 0.01
"""Share of the levels that may fall together without a warning."""


def image_folder(*, root: Place | None, image_size: ImageSize | None) -> Source:
    """Read ``root/<class>/*``, or ``root/<split>/<class>/*`` with the splits train, and val or test or both.

    A split that is there is used as it is; one that is not is split off the training images. The classes are the
    sorted folder names; hidden files and folders, and files outside the class folders, are left alone. See
    :func:`bnexp.data.decode.decode` for the pixels and for ``image_size``. The decoded pixels are kept in a cache,
    found again by the files' names and contents, so that a folder may be moved or copied, and an edited one is decoded
    again.

    Raises ConfigError where there are no images to learn from, or one cannot be read.
    """
    if root is None:
        raise ConfigError("dataset.root=null: there is no default folder; write dataset.root=FOLDER")
    top = as_path(root, "dataset.root")
    if not top.is_dir():
        problem = "not a folder" if top.exists() else "no such folder"
        raise ConfigError(
            f"dataset.root={printable(root)}: {problem}{looked_for(root, top)}; it holds one folder of images per class"
        )
    folders = _split_folders(top)
    classes = _class_names(folders["train"])
    for split, folder in folders.items():
        _check_same_classes(root, folders["train"], classes, split, folder)
    files = {split: [_files(folder / name) for name in classes] for split, folder in folders.items()}
    everything = [file for part in files.values() for images in part for file in images]
    digest = _digest(everything, top)
    key = f"{digest} {image_size} {decoder_version()}"
    pixels, facts = cached("image_folder", key, len(everything), lambda: _decoded(everything, image_size))
    examples = {}
    start = 0
    for split, part in files.items():
        labels = torch.arange(len(classes)).repeat_interleave(torch.tensor([len(images) for images in part]))
        examples[split] = Examples(torch.from_numpy(pixels[start : start + len(labels)]), labels)
        start += len(labels)
    contract = _contract(top, folders, Images(**json.loads(facts)))
    names = _printable_names(classes)
    return Source(examples["train"], names, examples.get("test"), examples.get("val"), digest, contract)


def _decoded(files: Sequence[Path], image_size: int | None) -> Kept:
    pixels, images = decode(files, image_size)
    return pixels, json.dumps(asdict(images))


def _contract(top: Path, folders: dict[str, Path], images: Images) -> Contract:
    facts, warnings = [], []
    if folders["train"] != top:
        drawn = [name for name in ("val", "test") if name not in folders]
        found = ", ".join(f"{printable(folder.name)}/ is {split}" for split, folder in folders.items())
        facts.append(found + "".join(f"; {split} is split off {printable(folders['train'].name)}/" for split in drawn))
        known = {folder.name for folder in folders.values()}
        warnings = [
            f"the folder {printable(name)}/ beside {printable(folders['train'].name)}/ is not read"
            for name in _folder_names(top)
            if name not in known
        ]
    if images.low is not None and images.high is not None:
        facts.append(
            f"files with levels of more than 8 bits, {images.low:.9g} to {images.high:.9g}: stored as 0 to 255 in 32 "
            "bits, " + (f"{images.lost} levels fall together" if images.lost else "all levels stay apart")
        )
        if images.low == images.high:
            warnings.append(f"all pixels of all images have the level {images.low:.9g}")
        if images.lost > TOLERATED * images.distinct:
            warnings.append(f"{images.lost} of {images.distinct} levels fall together in 32 bits; take far values out")
    parts = tuple(folders) if folders["train"] != top else ()
    return Contract(
        source=f"images in {printable(top.name)}/",
        facts=tuple(facts),
        warnings=tuple(warnings),
        images=images,
        parts=parts,
    )


def _split_folders(top: Path) -> dict[str, Path]:
    """Return the folder of each split that is there; where there is none, the top is that of the training images."""
    found: dict[str, Path] = {}
    for split, names in SPLITS.items():
        present = [name for name in _folder_names(top) if name.lower() in names and _folder_names(top / name)]
        if len(present) > 1:
            raise ConfigError(
                f"dataset.root={printable(top)}: the folders {' and '.join(f'{name}/' for name in present)} both mean "
                f"the {split} split; take one of them out"
            )
        if present:
            found[split] = top / present[0]
    if not found:
        return {"train": top}
    if "train" not in found or len(found) == 1:
        (split, folder), *_ = found.items()
        missing = "val/ or test/" if split == "train" else "train/"
        raise ConfigError(
            f"dataset.root={printable(top)}: there is a folder {folder.name}/ without {missing}; add it, or write "
            f"{item('dataset.root', printable(folder))} to have the other splits split off"
        )
    return found


def _check_same_classes(root: str, train: Path, classes: Sequence[str], split: str, folder: Path) -> None:
    others = _class_names(folder)
    if others == list(classes):
        return
    name = min({*classes} ^ {*others})
    where = train.name if name in classes else folder.name
    raise ConfigError(
        f"dataset.root={printable(root)}: the class folder '{printable(name)}' is in {where}/ only; "
        f"{train.name}/ and {folder.name}/ need the same classes"
    )


def _folder_names(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder and not hidden, in order of name."""
    try:
        found = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise ConfigError(
            f"dataset.root: {printable(folder)} cannot be read ({error.strerror}); choose another folder"
        ) from error
    return sorted(found, key=lambda entry: entry.name)


def _class_names(folder: Path) -> list[str]:
    names = _folder_names(folder)
    if len(names) < 2:
        raise ConfigError(
            f"dataset.root: {printable(folder)} has too few class folders ({len(names)}); it needs one folder of "
            "images for each of at least two classes"
        )
    return names


def _printable_names(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(printable(name) for name in classes)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"dataset.root: two class folders are written '{twice}'; rename one of them")
    return names


def _files(folder: Path) -> list[Path]:
    files = _entries(folder)
    if not files:
        raise ConfigError(
            f"dataset.root: the class folder {printable(folder)} is empty; put images into it or delete it"
        )
    return files


def _digest(files: Sequence[Path], top: Path) -> str:
    """SHA-256 over the files' contents and their paths below ``top``; 60,000 small JPEGs take less than a second."""
    digest = hashlib.sha256()
    with progress(f"Reading {len(files):,} images", len(files)) as advance:
        for file in files:
            place = file.relative_to(top).as_posix().encode("utf-8", "surrogateescape")
            digest.update(place + f"\0{hashlib.sha256(_content(file)).hexdigest()}\n".encode())
            advance(1)
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    """Return the bytes of a file that is one: a pipe would be waited for, and a device has no end."""
    try:
        mode = file.stat().st_mode
        problem = "" if stat.S_ISREG(mode) else "it is a folder" if stat.S_ISDIR(mode) else "it is a pipe or a device"
        if not problem:
            return file.read_bytes()
    except OSError as error:
        problem = str(error.strerror)
    raise ConfigError(f"dataset.root: {printable(file)} cannot be read ({problem}); class folders hold images only")
