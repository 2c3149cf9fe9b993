import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bnexp.data import image_folder as module
from bnexp.data.image_folder import image_folder
from bnexp.errors import ConfigError


def write_images(folder: Path, *levels: int) -> None:
    folder.mkdir(parents=True)
    for number, level in enumerate(levels):
        Image.new("L", (4, 4), level).save(folder / f"{number}.png")


@pytest.fixture
def single(tmp_path: Path) -> Path:
    write_images(tmp_path / "images" / "dog", 3)
    write_images(tmp_path / "images" / "cat", 1, 2)
    return tmp_path / "images"


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for name, levels in {"train/dog": (3,), "train/cat": (1, 2), "test/dog": (5, 6), "test/cat": (4,)}.items():
        write_images(tmp_path / "images" / name, *levels)
    return tmp_path / "images"


def test_one_folder_per_class(single: Path):
    source = image_folder(root=str(single), image_size=None)
    assert source.classes == ("cat", "dog")
    assert source.examples.inputs.dtype == torch.uint8
    assert source.examples.inputs.shape == (3, 1, 4, 4)
    assert source.examples.inputs[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert source.examples.labels.tolist() == [0, 0, 1]
    assert source.test is None


def test_a_train_and_a_test_folder(pair: Path):
    source = image_folder(root=str(pair), image_size=None)
    assert source.test is not None
    assert source.examples.inputs[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert source.examples.labels.tolist() == [0, 0, 1]
    assert source.test.inputs[:, 0, 0, 0].tolist() == [4, 5, 6]
    assert source.test.labels.tolist() == [0, 1, 1]
    assert source.contract.warnings == ()
    assert source.contract.facts == ("train/ is train, test/ is test; val is split off train/",)


def test_a_further_folder_beside_train_and_test_is_told(pair: Path):
    write_images(pair / "extra" / "cat", 9)
    assert image_folder(root=str(pair), image_size=None).contract.warnings == (
        "the folder extra/ beside train/ is not read",
    )


@pytest.mark.parametrize(
    "names",
    [
        {"train": "train", "val": "val"},
        {"train": "train", "val": "valid", "test": "test"},
        {"train": "Train", "val": "Validation", "test": "TEST"},
        {"train": "Training", "test": "Testing"},
        {"train": "training", "val": "dev"},
    ],
)
def test_the_splits_on_disk_are_used_whatever_they_are_called(tmp_path: Path, names: dict[str, str]):
    levels = {"train": (1, 2, 3), "val": (4, 5), "test": (6,)}
    for split, name in names.items():
        for label, kind in enumerate(("cat", "dog")):
            write_images(tmp_path / name / kind, *(10 * label + level for level in levels[split]))
    source = image_folder(root=str(tmp_path), image_size=None)
    found = {"train": source.examples, "val": source.val, "test": source.test}
    assert source.classes == ("cat", "dog")
    assert source.contract.parts == tuple(names)
    for split, examples in found.items():
        if split in names:
            assert examples is not None
            expected = [*levels[split], *(10 + level for level in levels[split])]
            assert examples.inputs[:, 0, 0, 0].tolist() == expected
            assert examples.labels.tolist() == [0] * len(levels[split]) + [1] * len(levels[split])
        else:
            assert examples is None


def test_two_folders_for_one_split_are_refused(pair: Path):
    for name in ("val", "valid"):
        write_images(pair / name / "cat", 1)
        write_images(pair / name / "dog", 1)
    with pytest.raises(ConfigError, match="the folders val/ and valid/ both mean the val split; take one of them out"):
        image_folder(root=str(pair), image_size=None)


def test_classes_may_be_called_like_splits(tmp_path: Path):
    for name in ("train", "bus", "test"):
        write_images(tmp_path / name, 1, 2, 3)
    assert image_folder(root=str(tmp_path), image_size=None).classes == ("bus", "test", "train")


def test_sixteen_bit_classes_that_differ_by_less_than_a_byte_stay_apart_and_the_range_is_told(tmp_path: Path):
    for kind, level in (("dark", 1100), ("light", 1180)):
        (tmp_path / kind).mkdir()
        for number in range(3):
            Image.fromarray(np.full((4, 4), level, np.uint16)).save(tmp_path / kind / f"{number}.png")
    for _ in range(2):  # decoded, and from the cache
        source = image_folder(root=str(tmp_path), image_size=None)
        assert source.examples.inputs[:, 0, 0, 0].tolist() == [0, 0, 0, 255, 255, 255]
        assert source.contract.images is not None
        assert (source.contract.images.low, source.contract.images.high) == (1100, 1180)
        assert source.contract.images.modes == {"I;16": 6}
        assert source.contract.facts == (
            "files with levels of more than 8 bits, 1100 to 1180: stored as 0 to 255 in 32 bits, all levels stay apart",
        )


def test_names_that_are_not_utf_8_are_printable(tmp_path: Path):
    for name in (b"caf\xe9", b"th\xe9"):
        folder = tmp_path / "images" / os.fsdecode(name)
        folder.mkdir(parents=True)
        Image.new("L", (4, 4), 1).save(folder / os.fsdecode(b"\xfcber.png"))
    source = image_folder(root=str(tmp_path / "images"), image_size=None)
    assert source.classes == ("caf\\xe9", "th\\xe9")
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    with pytest.raises(ConfigError) as error:
        image_folder(root=str(tmp_path / "images"), image_size=None)
    assert "th\\xe9/\\xff.png cannot be read" in str(error.value).encode().decode()  # UTF-8 throughout


def test_a_root_that_is_not_utf_8_is_refused_because_it_cannot_be_recorded(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^dataset\.root=.*/r\\xe9: the name is not UTF-8; rename it"):
        image_folder(root=str(tmp_path / os.fsdecode(b"r\xe9")), image_size=None)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (os.mkfifo, "it is a pipe or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a pipe or a device"),
        (lambda path: path.symlink_to("/nowhere"), "No such file or directory"),
        (Path.mkdir, "it is a folder"),
    ],
)
def test_what_is_no_file_among_the_images_is_refused_and_never_waited_for(
    single: Path, make: Callable[[Path], None], problem: str
):
    make(single / "cat" / "7.png")
    with pytest.raises(ConfigError, match=rf"cat/7\.png cannot be read \({problem}\); class folders hold images only$"):
        image_folder(root=str(single), image_size=None)


def test_a_cache_of_another_shape_is_decoded_again(single: Path, private_cache: Path):
    truth = image_folder(root=str(single), image_size=None).examples.inputs
    (file,) = private_cache.rglob("*.npz")
    with np.load(file) as found:
        values = dict(found)
    np.savez(file, **{**values, "array": np.zeros((2, 1, 4, 4), np.uint8)})
    assert torch.equal(image_folder(root=str(single), image_size=None).examples.inputs, truth)


def test_without_a_home_folder_images_are_read_all_the_same(single: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    assert len(image_folder(root=str(single), image_size=None).examples) == 3


def test_hidden_files_and_files_outside_the_class_folders_are_left_alone(single: Path):
    write_images(single / ".trash", 9)
    (single / "README.txt").write_text("two classes")
    (single / "cat" / ".DS_Store").write_bytes(b"\0")
    source = image_folder(root=str(single), image_size=None)
    assert source.classes == ("cat", "dog")
    assert len(source.examples) == 3


def test_the_digest_stays_when_the_folder_is_moved_and_changes_when_a_file_is_edited(single: Path, tmp_path: Path):
    digest = image_folder(root=str(single), image_size=None).digest
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(single, copy, copy_function=shutil.copyfile)  # without the files' times
    assert image_folder(root=str(copy), image_size=None).digest == digest
    assert image_folder(root=str(copy), image_size=2).digest == digest
    Image.new("L", (4, 4), 77).save(copy / "dog" / "0.png")
    edited = image_folder(root=str(copy), image_size=None)
    assert edited.digest != digest
    assert edited.examples.inputs[2, 0, 0, 0] == 77
    (single / "dog").rename(single / "cow")
    assert image_folder(root=str(single), image_size=None).digest not in (digest, edited.digest)


def test_images_are_decoded_once_for_each_size(single: Path, monkeypatch: pytest.MonkeyPatch):
    whole = image_folder(root=str(single), image_size=None)
    small = image_folder(root=str(single), image_size=2)
    monkeypatch.delattr(module, "decode")
    assert torch.equal(image_folder(root=str(single), image_size=None).examples.inputs, whole.examples.inputs)
    assert torch.equal(image_folder(root=str(single), image_size=2).examples.inputs, small.examples.inputs)
    assert small.examples.inputs.shape == (3, 1, 2, 2)
    with pytest.raises(NameError, match="decode"):
        image_folder(root=str(single), image_size=3)


def test_root_null_is_refused():
    with pytest.raises(
        ConfigError, match=r"^dataset\.root=null: there is no default folder; write dataset\.root=FOLDER$"
    ):
        image_folder(root=None, image_size=None)


def test_a_missing_root_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^dataset\.root=.*/nowhere: no such folder; it holds one folder of images"):
        image_folder(root=str(tmp_path / "nowhere"), image_size=None)


def test_a_folder_without_class_folders_is_refused(tmp_path: Path):
    Image.new("L", (4, 4)).save(tmp_path / "loose.png")
    with pytest.raises(
        ConfigError, match=r"has too few class folders \(0\); it needs one folder of images for each of at least"
    ):
        image_folder(root=str(tmp_path), image_size=None)


def test_a_single_class_is_refused(single: Path):
    shutil.rmtree(single / "dog")
    with pytest.raises(ConfigError, match="has too few class folders \\(1\\); it needs one folder"):
        image_folder(root=str(single), image_size=None)


def test_an_empty_class_folder_is_named(single: Path):
    (single / "bird").mkdir()
    with pytest.raises(ConfigError, match=r"the class folder .*/bird is empty; put images into it or delete it$"):
        image_folder(root=str(single), image_size=None)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_in_one_of_train_and_test_alone_is_named(pair: Path, part: str):
    write_images(pair / part / "bird", 1)
    with pytest.raises(
        ConfigError, match=f"the class folder 'bird' is in {part}/ only; train/ and test/ need the same"
    ):
        image_folder(root=str(pair), image_size=None)


def test_a_train_folder_without_a_test_folder_is_refused_with_the_way_out(pair: Path):
    shutil.rmtree(pair / "test")
    with pytest.raises(
        ConfigError, match=r"folder train/ without val/ or test/; .* or write dataset\.root=.*/images/train to"
    ):
        image_folder(root=str(pair), image_size=None)
    assert image_folder(root=str(pair / "train"), image_size=None).test is None


def test_a_file_that_is_no_image_is_named(single: Path):
    (single / "cat" / "labels.txt").write_text("cat")
    with pytest.raises(ConfigError, match=r"cat/labels\.txt cannot be read as an image .*; mend or remove it$"):
        image_folder(root=str(single), image_size=None)


@pytest.mark.slow
def test_all_of_cifar10_as_jpeg(data_root: Path, tmp_path: Path):
    with tarfile.open(data_root / "cifar10-jpeg.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    source = image_folder(root=str(tmp_path), image_size=None)
    assert source.test is not None
    assert source.examples.inputs.shape == (50000, 3, 32, 32)
    assert source.test.inputs.shape == (10000, 3, 32, 32)
    assert torch.bincount(source.test.labels).tolist() == [1000] * 10
    assert source.classes[0] == "airplane"
    # the published mean of CIFAR-10, from which JPEG's losses keep it by less than a level
    mean = source.examples.inputs.double().mean(dim=(0, 2, 3)) / 255
    torch.testing.assert_close(mean, torch.tensor([0.4914, 0.4822, 0.4465]).double(), atol=1e-3, rtol=0)
    again = image_folder(root=str(tmp_path), image_size=None)
    assert torch.equal(again.examples.inputs, source.examples.inputs)
