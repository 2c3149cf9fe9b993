"""The benchmark datasets of the literature, read by torchvision and downloaded where they are not there yet.

Names, mirrors and checksums are torchvision's. All four come with their own test set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bnexp.data.dataset import Examples, Source
from bnexp.data.download import Archive, obtain
from bnexp.errors import ConfigError
from bnexp.ranges import Place


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
    kind, raw = _torchvision_class(name), Path(root).expanduser() / name / "raw"
    archives = [
        Archive([mirror + archive for mirror in kind.mirrors], md5, raw / archive, [raw / Path(archive).stem])
        for archive, md5 in kind.resources
    ]
    train, test = _read(kind, root, archives)
    classes = tuple(label.split(" - ")[0] for label in kind.classes)  # torchvision's MNIST has "0 - zero"
    return Source(
        Examples(train.data.unsqueeze(1), train.targets), classes, Examples(test.data.unsqueeze(1), test.targets)
    )


def _load_cifar(name: str, root: str) -> Source:
    kind, folder = _torchvision_class(name), Path(root).expanduser()
    contents = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    files = [folder / kind.base_folder / file for file, _ in contents]
    train, test = _read(kind, root, [Archive([kind.url], kind.tgz_md5, folder / kind.filename, files)])
    return Source(_channels_first(train), tuple(train.classes), _channels_first(test))


def _channels_first(cifar: Any) -> Examples:
    images = torch.from_numpy(cifar.data).permute(0, 3, 1, 2)  # a view: torchvision permuted them the other way
    return Examples(images.contiguous(), torch.tensor(cifar.targets))


def _torchvision_class(name: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, name)


def _read(kind: Any, root: str, archives: list[Archive]) -> tuple[Any, Any]:
    """Return torchvision's training and test set.

    For CIFAR, whose files are pickles, torchvision compares the MD5 of each with the published one before it opens
    the first, so that no other code than the authors' is ever run.
    """
    name, folder = kind.__name__, archives[0].path.parent
    try:
        for archive in archives:
            obtain(archive)
    except OSError as error:
        names = ", ".join(archive.path.name for archive in archives)
        raise ConfigError(
            f"dataset.root={root}: {name} is not there and cannot be downloaded ({error}); "
            f"place {names} in {folder.absolute()} by hand"
        ) from error
    try:
        return kind(Path(root).expanduser(), train=True), kind(Path(root).expanduser(), train=False)
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        files = archives[0].files[0].parent
        raise ConfigError(
            f"dataset.root={root}: the files of {name} in {files.absolute()} are damaged; "
            "delete them, and they are downloaded again"
        ) from error
