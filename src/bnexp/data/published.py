"""The benchmark datasets of the literature, downloaded where they are not there yet.

Names, mirrors and checksums are torchvision's. All four come with their own test set. Nothing is believed for its name:
files that are not the published ones are another question.
"""

from __future__ import annotations

import hashlib
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bnexp.data.contract import Contract
from bnexp.data.dataset import Examples, Source
from bnexp.data.download import Archive, obtain
from bnexp.data.places import as_path
from bnexp.errors import ConfigError
from bnexp.ranges import Place

PUBLISHED = {
    "MNIST": {
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    }
}
"""SHA-256 of unpacked files. What is published are the MD5 of the archives, which `obtain` compares; these are the sums
of what is in them. Fashion-MNIST is known by its content: it is in the fingerprint."""


def mnist(*, root: Place) -> Source:
    """Handwritten digits: 60,000 + 10,000 images (N, 1, 28, 28) in 10 classes (LeCun, Bottou, Bengio & Haffner 1998).

    The four unpacked files in ``<root>/MNIST/raw`` are enough. Raises ConfigError where they can neither be found nor
    downloaded, or are damaged; so do the other three.
    """
    return _load_idx("MNIST", root)


def fashion_mnist(*, root: Place) -> Source:
    """Articles of clothing: 60,000 + 10,000 images (N, 1, 28, 28) in 10 classes (Xiao, Rasul & Vollgraf 2017)."""
    return _load_idx("FashionMNIST", root)


def cifar10(*, root: Place) -> Source:
    """Colour photographs: 50,000 + 10,000 images (N, 3, 32, 32) in 10 classes (Krizhevsky 2009)."""
    return _load_cifar("CIFAR10", root)


def cifar100(*, root: Place) -> Source:
    """Colour photographs: 50,000 + 10,000 images (N, 3, 32, 32) in 100 classes (Krizhevsky 2009)."""
    return _load_cifar("CIFAR100", root)


def _load_idx(name: str, root: str) -> Source:
    kind, raw = _torchvision_class(name), as_path(root, "dataset.root") / name / "raw"
    archives = [
        Archive([mirror + archive for mirror in kind.mirrors], md5, raw / archive, [raw / Path(archive).stem])
        for archive, md5 in kind.resources
    ]
    _obtain(name, root, archives)
    contents = {file.name: file.read_bytes() for archive in archives for file in archive.files}
    try:
        parts = [
            Examples(
                read_idx(contents[f"{part}-images-idx3-ubyte"], 3).unsqueeze(1),
                read_idx(contents[f"{part}-labels-idx1-ubyte"], 1).long(),
            )
            for part in ("train", "t10k")
        ]
        if any(len(part.inputs) != len(part.labels) or int(part.labels.max()) >= len(kind.classes) for part in parts):
            raise ValueError("images and labels do not go together")
    except ValueError as error:
        raise _damaged(name, root, raw) from error
    classes = tuple(label.split(" - ")[0] for label in kind.classes)  # torchvision's MNIST has "0 - zero"
    digest, contract = _identity(name, raw, contents)
    return Source(parts[0], classes, parts[1], digest=digest, contract=contract)


def read_idx(content: bytes, num_dimensions: int) -> Tensor:
    """Return the bytes of an IDX file: two zeros, 8 for bytes, the number of dimensions, their sizes, the values.

    Source: the page of MNIST, http://yann.lecun.com/exdb/mnist/. Raises ValueError where the content is no such file.
    """
    start = 4 + 4 * num_dimensions
    sizes = [int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4)]
    if content[:4] != bytes([0, 0, 8, num_dimensions]) or len(content) != start + prod(sizes) or prod(sizes) == 0:
        raise ValueError(f"no IDX file of {num_dimensions} dimensions")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(sizes)


def _identity(name: str, raw: Path, contents: dict[str, bytes]) -> tuple[str, Contract]:
    """Return a hash of the files, empty for the published ones, and what is known of them.

    Other data is often kept under these names, KMNIST or relabelled digits say, and must be another question.
    """
    found = {file: hashlib.sha256(content).hexdigest() for file, content in sorted(contents.items())}
    published = PUBLISHED.get(name)
    if found == published:
        return "", Contract(source=f"the published files of {name}, verified by their checksums")
    digest = hashlib.sha256("".join(f"{file} {one}\n" for file, one in found.items()).encode()).hexdigest()
    if published is None:
        return digest, Contract(source=f"the files of {name} in {raw}, known by their content (SHA-256 {digest[:12]}…)")
    others = ", ".join(file for file in found if found[file] != published[file])
    return digest, Contract(
        source=f"files under the names of {name} in {raw}",
        warnings=(
            f"these are not the published files of {name}: {others} have other checksums; delete them, and the "
            "published ones are downloaded",
        ),
    )


def _load_cifar(name: str, root: str) -> Source:
    kind, folder = _torchvision_class(name), as_path(root, "dataset.root")
    contents = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    files = [folder / kind.base_folder / file for file, _ in contents]
    _obtain(name, root, [Archive([kind.url], kind.tgz_md5, folder / kind.filename, files)])
    try:
        # Its files are pickles: torchvision compares the MD5 of each with the published one before it opens the first,
        # so that no other code than the authors' is ever run, and no other data read.
        train, test = kind(folder, train=True), kind(folder, train=False)
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError, OSError) as error:
        raise _damaged(name, root, files[0].parent) from error
    contract = Contract(source=f"the published files of {name}, verified by their checksums")
    return Source(_channels_first(train), tuple(train.classes), _channels_first(test), contract=contract)


def _channels_first(cifar: Any) -> Examples:
    images = torch.from_numpy(cifar.data).permute(0, 3, 1, 2)  # a view: torchvision permuted them the other way
    return Examples(images.contiguous(), torch.tensor(cifar.targets))


def _torchvision_class(name: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, name)


def _obtain(name: str, root: str, archives: list[Archive]) -> None:
    try:
        for archive in archives:
            obtain(archive)
    except OSError as error:
        names, folder = ", ".join(archive.path.name for archive in archives), archives[0].path.parent
        raise ConfigError(
            f"dataset.root={root}: {name} is not there and cannot be downloaded ({error}); "
            f"place {names} in {folder.absolute()} by hand"
        ) from error


def _damaged(name: str, root: str, folder: Path) -> ConfigError:
    return ConfigError(
        f"dataset.root={root}: the files of {name} in {folder.absolute()} are damaged; "
        "delete them, and they are downloaded again"
    )
