import gzip
import hashlib
import pickle
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from bnexp.data import download, published
from bnexp.data.dataset import Source
from bnexp.errors import ConfigError

LOADERS = {
    "MNIST": published.mnist,
    "FashionMNIST": published.fashion_mnist,
    "CIFAR10": published.cifar10,
    "CIFAR100": published.cifar100,
}


def idx_bytes(values: np.ndarray) -> bytes:
    """Write as the page of MNIST describes: 0, 0, 8 (for bytes), how many dimensions, their sizes, the bytes."""
    return bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes() + values.astype(np.uint8).tobytes()


def write_mnist(raw: Path, suffix: str = "") -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    values = {
        "train-images-idx3-ubyte": random.integers(0, 256, (7, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(7),
        "t10k-images-idx3-ubyte": random.integers(0, 256, (3, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(3),
    }
    raw.mkdir(parents=True)
    for name, array in values.items():
        content = idx_bytes(array)
        (raw / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    return values


def assert_is_mnist(source: Source, values: dict[str, np.ndarray]) -> None:
    assert source.test is not None
    for part, name in ((source.examples, "train"), (source.test, "t10k")):
        assert part.inputs.dtype == torch.uint8
        assert part.labels.dtype == torch.int64
        np.testing.assert_array_equal(part.inputs[:, 0].numpy(), values[f"{name}-images-idx3-ubyte"])
        np.testing.assert_array_equal(part.labels.numpy(), values[f"{name}-labels-idx1-ubyte"])


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Write batches of two images, and give torchvision their checksums."""
    folder.mkdir(parents=True)
    checksums, images = {}, {}

    def write(name: str, content: dict[str, Any]) -> None:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        checksums[name] = hashlib.md5(data).hexdigest()

    for number, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        images[name] = np.random.default_rng(number).integers(0, 256, (2, 3072)).astype(np.uint8)
        write(name, {"data": images[name], "labels": [number, 9]})
    write("batches.meta", {"label_names": list("abcdefghij")})
    kind = datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [[f"data_batch_{i}", checksums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(kind, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": checksums["batches.meta"]})
    return images


def assert_is_cifar10(source: Source, images: dict[str, np.ndarray]) -> None:
    assert source.test is not None
    first = images["data_batch_1"][0].reshape(3, 32, 32)  # the red values row by row, then green, then blue
    np.testing.assert_array_equal(source.examples.inputs[0].numpy(), first)
    np.testing.assert_array_equal(source.test.inputs[1].numpy().ravel(), images["test_batch"][1])
    assert source.examples.inputs.is_contiguous()
    assert source.examples.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert source.test.labels.tolist() == [5, 9]
    assert source.classes == tuple("abcdefghij")


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_unpacked_mnist_files_are_enough_and_nothing_is_written(tmp_path: Path, name: str):
    values = write_mnist(tmp_path / name / "raw")
    before = sorted(tmp_path.rglob("*"))
    assert_is_mnist(LOADERS[name](root=str(tmp_path)), values)
    assert sorted(tmp_path.rglob("*")) == before


def test_mnist_archives_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    raw = tmp_path / "MNIST" / "raw"
    values = write_mnist(raw, suffix=".gz")
    checksums = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(raw.iterdir())]
    monkeypatch.setattr(datasets.MNIST, "resources", checksums)
    assert_is_mnist(published.mnist(root=str(tmp_path)), values)


def test_real_mnist_is_that_of_the_paper(data_root: Path):
    source = published.mnist(root=str(data_root))
    assert source.digest == ""
    assert source.contract.warnings == ()
    assert source.contract.source == "the published files of MNIST, verified by their checksums"
    assert source.test is not None
    assert source.examples.inputs.shape == (60000, 1, 28, 28)
    assert source.test.inputs.shape == (10000, 1, 28, 28)
    assert source.examples.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert source.classes == tuple("0123456789")
    scaled = source.examples.inputs.double() / 255
    assert scaled.mean().item() == pytest.approx(0.1307, abs=5e-5)  # the constants in PyTorch's MNIST example
    assert scaled.std().item() == pytest.approx(0.3081, abs=5e-5)


def test_cifar_batches_become_images_with_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = write_cifar10(tmp_path / "cifar-10-batches-py", monkeypatch)
    assert_is_cifar10(published.cifar10(root=str(tmp_path)), images)


def test_a_cifar_archive_placed_by_hand_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = write_cifar10(tmp_path / "made" / "cifar-10-batches-py", monkeypatch)
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())
    assert_is_cifar10(published.cifar10(root=str(tmp_path)), images)


class Exploit:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("file", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_pickle_with_another_checksum_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str):
    write_cifar10(tmp_path / "cifar-10-batches-py", monkeypatch)
    (tmp_path / "cifar-10-batches-py" / file).write_bytes(pickle.dumps(Exploit(tmp_path / "executed")))
    with pytest.raises(ConfigError, match=r"files of CIFAR10 in .*cifar-10-batches-py are damaged; delete them"):
        published.cifar10(root=str(tmp_path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"\0\0\10\3", idx_bytes(np.zeros((7, 28, 28)))[:-1], b"<html></html>"])
def test_a_damaged_mnist_file_is_told_in_one_line(tmp_path: Path, content: bytes):
    write_mnist(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ConfigError, match=r"files of MNIST in .*raw are damaged; delete them") as error:
        published.mnist(root=str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", list(LOADERS))
def test_without_a_network_the_error_says_which_files_belong_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    kind = getattr(datasets, name)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    if "MNIST" in name:
        folder, files = tmp_path / name / "raw", [file for file, _ in kind.resources]
        monkeypatch.setattr(kind, "mirrors", ["http://127.0.0.1:1/"])
    else:
        folder, files = tmp_path, [kind.filename]
        monkeypatch.setattr(kind, "url", "http://127.0.0.1:1/file")
    expected = f"{name} is not there and cannot be downloaded"
    fix = re.escape(f"place {', '.join(files)} in {folder} by hand")
    with pytest.raises(ConfigError, match=f"^dataset.root=.*{expected}.*; {fix}$") as error:
        LOADERS[name](root=str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_root_that_cannot_be_written_is_told_in_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"MNIST is not there and cannot be downloaded \(.*Not a directory.*\)"):
        published.mnist(root=str(tmp_path / "file"))


def permuted(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return values | {"train-labels-idx1-ubyte": (values["train-labels-idx1-ubyte"] + 1) % 10}


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_other_data_under_the_names_of_a_published_set_is_another_question(tmp_path: Path, name: str):
    raw = tmp_path / name / "raw"
    values = write_mnist(raw)
    source = LOADERS[name](root=str(tmp_path))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(permuted(values)["train-labels-idx1-ubyte"]))
    other = LOADERS[name](root=str(tmp_path))
    assert len({source.digest, other.digest, ""}) == 3
    if name == "MNIST":
        assert other.contract.warnings[0].startswith("these are not the published files of MNIST: t10k-images")


def test_an_old_processed_folder_is_not_looked_at(tmp_path: Path):
    values = write_mnist(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(7, 28, 28), torch.zeros(7)), tmp_path / "MNIST" / "processed" / name)
    assert_is_mnist(published.mnist(root=str(tmp_path)), values)


@pytest.mark.parametrize("labels", [np.arange(6), np.array([0, 1, 2, 3, 4, 5, 10])])
def test_labels_that_do_not_belong_to_the_images_are_told_in_one_line(tmp_path: Path, labels: np.ndarray):
    write_mnist(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    with pytest.raises(ConfigError, match=r"files of MNIST in .*raw are damaged; delete them"):
        published.mnist(root=str(tmp_path))
