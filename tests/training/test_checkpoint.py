"""Checkpoints: everything comes back, damage is noticed, and no code runs."""

import hashlib
import pickle
import random
import zipfile
from pathlib import Path

import pytest
import torch

from bnexp.training.checkpoint import DamagedCheckpointError, load_checkpoint, save_checkpoint


def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "fingerprint": "0123456789-s0",
        "model": {
            "weight": torch.randn(8, 4, 3, 3, generator=generator).to(memory_format=torch.channels_last),
            "half": torch.randn(5, generator=generator).bfloat16(),
            "count": torch.tensor(7),
            "empty": torch.empty(0, 3),
        },
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "noise": generator.get_state(),
        "progress": {"step": 3, "initial_loss": None, "best": float("nan"), "diverged": False},
    }


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.stride() == expected.stride()
        assert torch.equal(found, expected)
    else:
        assert found == expected or (found != found and expected != expected)  # NaN is not itself


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, state(), tmp_path / "previous.pt")
    return path


def test_everything_comes_back_with_its_dtype_and_memory_format(saved):
    assert_same(load_checkpoint(saved), state())


def test_a_generator_goes_on_where_it_was(saved):
    generator = torch.Generator().manual_seed(0)
    generator.set_state(state()["noise"])
    restored = torch.Generator()
    restored.set_state(load_checkpoint(saved)["noise"])
    assert torch.equal(torch.rand(5, generator=restored), torch.rand(5, generator=generator))


def test_a_flipped_byte_in_the_data_of_a_tensor_is_noticed(saved):
    content = saved.read_bytes()
    weight = state()["model"]["weight"].permute(0, 2, 3, 1).numpy().tobytes()  # in the order of memory
    start = content.index(weight)
    for offset in random.Random(0).sample(range(start, start + len(weight)), 30):
        damaged = bytearray(content)
        damaged[offset] ^= 0x10
        saved.write_bytes(damaged)
        with pytest.raises(DamagedCheckpointError):
            load_checkpoint(saved)


def test_a_flipped_bit_anywhere_is_noticed(saved):
    content = saved.read_bytes()
    for offset in [*random.Random(1).sample(range(len(content)), 300), 0, len(content) - 65, len(content) - 1]:
        damaged = bytearray(content)
        damaged[offset] ^= 0x01
        saved.write_bytes(damaged)
        with pytest.raises(DamagedCheckpointError, match="its checksum does not fit"):
            load_checkpoint(saved)


def test_pytorch_and_zip_read_the_file_with_its_checksum(saved):
    assert_same(torch.load(saved, weights_only=True), state())
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert archive.comment.decode() == hashlib.sha256(saved.read_bytes()[:-64]).hexdigest()


def test_saving_again_replaces_the_file_and_keeps_the_one_before_and_no_other(saved, tmp_path):
    kept = tmp_path / "kept.pt"
    for step in range(3):
        save_checkpoint(saved, {"step": step}, kept)
    assert load_checkpoint(saved) == {"step": 2}
    assert load_checkpoint(kept) == {"step": 1}
    assert sorted(tmp_path.iterdir()) == [saved, kept]


@pytest.mark.parametrize("portion", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_noticed(saved, portion):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(portion * len(content))])
    with pytest.raises(DamagedCheckpointError, match=r"checkpoint\.pt is damaged: its checksum does not fit"):
        load_checkpoint(saved)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", bytes(10_000)])
def test_a_file_that_is_something_else_is_noticed(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError):
        load_checkpoint(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DamagedCheckpointError, match=r"checkpoint\.pt"):
        load_checkpoint(tmp_path / "checkpoint.pt")


class Trap:
    """Pickled, an instruction to make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def with_digest(content):
    return content + hashlib.sha256(content).hexdigest().encode()


@pytest.mark.parametrize(
    "save",
    [save_checkpoint, lambda path, content, _: path.write_bytes(with_digest(pickle.dumps(content)))],
    ids=["checkpoint", "pickle"],
)
def test_code_in_a_checkpoint_with_the_right_checksum_does_not_run(tmp_path, save):
    sprung = tmp_path / "sprung"
    path = tmp_path / "checkpoint.pt"
    save(path, {"model": Trap(sprung)}, tmp_path / "previous.pt")
    with pytest.raises(DamagedCheckpointError, match="is not a readable checkpoint"):
        load_checkpoint(path)
    assert not sprung.exists()
    torch.load(path, weights_only=False) if save is save_checkpoint else pickle.loads(path.read_bytes())
    assert sprung.exists()  # the trap works on those who let it


def test_a_state_that_cannot_be_saved_leaves_the_old_checkpoint(saved, tmp_path):
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_checkpoint(saved, {"function": lambda: None}, tmp_path / "previous.pt")
    assert_same(load_checkpoint(saved), state())
