"""Which device and how many threads a name means, on machines with and without accelerators."""

import re
import shutil
import subprocess

import pytest
import torch

from bnexp.errors import ConfigError
from bnexp.training.device import choose_device, choose_threads, device_name


@pytest.fixture
def machine(monkeypatch):
    """Pretend that the machine has so many CUDA devices, and Apple's GPU or not."""

    def pretend(num_cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num_cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num_cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    pretend()
    return pretend


@pytest.mark.parametrize(("num_cuda", "mps", "device"), [(0, False, "cpu"), (0, True, "mps"), (2, False, "cuda")])
def test_auto_takes_cuda_then_mps_then_the_cpu(machine, num_cuda, mps, device):
    machine(num_cuda, mps)
    assert choose_device("auto") == torch.device(device)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_a_device_that_is_there_is_taken(machine, name):
    machine(num_cuda=2, mps=True)
    assert choose_device(name) == torch.device(name)


@pytest.mark.parametrize(("name", "num_cuda"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2), ("mps", 2)])
def test_a_device_that_is_not_there_gets_a_line_with_how_many_there_are(machine, name, num_cuda):
    machine(num_cuda)
    with pytest.raises(ConfigError) as error:
        choose_device(name)
    num_devices = 0 if name == "mps" else num_cuda
    assert str(error.value) == (
        f"training.device={name}: this machine has {num_devices} such devices; use training.device=auto or cpu"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cudda", "; did you mean 'cuda'?"),
        ("cpus", "; did you mean 'cpu'?"),
        ("tpu", "; did you mean 'cpu'?"),
        ("", ""),
        ("cuda:", "; did you mean 'cuda'?"),
        ("cuda:x", "; did you mean 'cuda'?"),
        ("cuda:-1", "; did you mean 'cuda'?"),
        ("cuda:01", "; did you mean 'cuda'?"),
        ("cuda:١", "; did you mean 'cuda'?"),
        ("cpu:0", "; did you mean 'cpu'?"),
        ("mps:0", "; did you mean 'mps'?"),
    ],
)
def test_what_is_no_device_gets_a_line_with_those_that_are(machine, name, hint):
    machine(num_cuda=2, mps=True)
    with pytest.raises(ConfigError) as error:
        choose_device(name)
    assert str(error.value) == f"training.device={name} must be auto, cpu, cuda, cuda:N or mps{hint}"


def test_the_name_of_the_hardware_says_what_kind_it_is():
    assert device_name(torch.device("cpu")).startswith("cpu (")


@pytest.mark.skipif(shutil.which("lscpu") is None, reason="needs lscpu")
def test_a_processor_has_the_name_that_lscpu_gives_it():
    words = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    names = re.findall("^Model name: +(.+)$", words, re.MULTILINE)
    assert not names or device_name(torch.device("cpu")) == f"cpu ({names[0]})"


@pytest.mark.parametrize("input_shape", [(30,), (1, 8, 8), (1, 28, 28)])
def test_small_inputs_get_one_thread(monkeypatch, input_shape):
    monkeypatch.setattr("bnexp.training.device.MACHINE_THREADS", 6)
    assert choose_threads("auto", input_shape) == 1


@pytest.mark.parametrize("input_shape", [(3, 32, 32), (1, 32, 32)])
def test_larger_images_get_all_threads_that_pytorch_found(monkeypatch, input_shape):
    monkeypatch.setattr("bnexp.training.device.MACHINE_THREADS", 6)
    assert choose_threads("auto", input_shape) == 6


def test_a_number_of_threads_is_taken_as_it_is():
    assert choose_threads(3, (1, 8, 8)) == 3
