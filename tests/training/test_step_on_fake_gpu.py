"""What a step does to a GPU, seen without one: it never waits for it, and sends nothing from the host's memory.

The tensors are PyTorch's fake ones: they have a shape and the device ``cuda``, and no numbers. So all Python code goes
the way that it goes on a GPU; the backward pass alone cannot be had, and gives each parameter an empty gradient here.
Backward passes are watched on the CPU, where whatever reads a number or makes a tensor of one would do so on a GPU.
"""

from copy import deepcopy
from importlib import import_module

import pytest
import torch
from torch import nn, optim
from torch._subclasses.fake_tensor import (
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode

from bnexp import run as running
from bnexp.config.compose import compose_run
from bnexp.config.folder import choices, config_dir
from bnexp.experiment import prepare
from bnexp.nn import channels_last
from bnexp.optim.optimizers import has_fixed_update, load_state_
from bnexp.run import make_training
from bnexp.training import batches
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder
from bnexp.training.timeout import TimeLimit

GPU = torch.device("cuda")
FUSED = ("_fused_sgd_", "_fused_adam_", "_fused_adamw_")


class Watch(TorchDispatchMode):
    """Where it is strict, nothing may pass between host and GPU. A number on the host is always 1."""

    def __init__(self):
        super().__init__()
        self.is_strict, self.seen = False, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        self.seen.add(name)
        if name == "_local_scalar_dense" and isinstance(args[0], FakeTensor):
            assert not (self.is_strict and args[0].is_cuda), "the host reads a number of the GPU's"
            return 1
        if self.is_strict and name in ("_to_copy", "copy_"):
            source, target = reversed(args[:2]) if name == "copy_" else (args[0], kwargs)
            device = target.get("device") or source.device if isinstance(target, dict) else target.device
            assert source.device.type == device.type, f"{name} from {source.device} to {device}"
        if name in FUSED:  # they have no fake form
            self._see_rate(kwargs["lr"])
            return None
        return func(*args, **kwargs)

    def _see_rate(self, lr):
        """Of a number, or a tensor on the CPU, a graph would hold the value that it had at the capture."""
        if self.is_strict:
            assert lr.is_cuda
            assert lr.dtype == torch.float32


@pytest.fixture
def watch():
    """From now on tensors are fake, and what is done with them is watched."""
    with FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch:
        yield watch


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return what makes the training of a run on a fake GPU, within ``FakeTensorMode``."""
    monkeypatch.setattr(running, "choose_device", lambda name: GPU)
    monkeypatch.setattr(batches, "sent", lambda values, device: values.to(device))
    supported = [FakeTensor, nn.Parameter, torch.Tensor]
    monkeypatch.setattr(import_module("torch.optim.optimizer"), "_foreach_supported_types", supported)
    cpu_generator = torch.Generator

    def make(*words):
        with unset_fake_temporarily():
            experiment = prepare(*compose_run([*SMALL, *words, f"output_dir={tmp_path}"]))
            model = deepcopy(experiment.model)
        with monkeypatch.context() as patch:
            patch.setattr(running, "deepcopy", lambda _: on_gpu(model))
            patch.setattr(nn.Module, "to", lambda module, *_, **__: module)  # it is there already
            patch.setattr(torch, "Generator", lambda device="cpu": cpu_generator())
            made = make_training(experiment, RunFolder(experiment.path), Silence(""), TimeLimit(None))
        monkeypatch.setattr(torch.Tensor, "backward", lambda loss: backward(loss, made.step.parameters))
        return made

    return make


def backward(loss, parameters):
    assert loss.is_cuda
    assert loss.shape == ()
    for parameter in parameters:
        parameter.grad = torch.empty_like(parameter)


def on_gpu(model):
    def moved(values):
        fake = torch.empty(values.shape, dtype=values.dtype, device=GPU)
        return fake.to(memory_format=torch.channels_last) if values.dim() == 4 else fake

    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            module._parameters[name] = nn.Parameter(moved(parameter), parameter.requires_grad)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = moved(buffer)
    return model


SMALL = ["dataset.subset=0.3", "training.device=cpu", "training.epochs=2", "signals=off"]
SIZES = {
    "resnet": ["model.depth=8", "model.width=8"],
    "vgg": ["model.depth=11", "model.width=8"],
    "googlenet": ["model.width=8"],
    "shallow": ["model.parameters=2000"],
    "deep": ["model.parameters=2000"],
}
NEEDS = {
    "ghost_batch": ["training.batch_size=256"],
    "gd": ["training.batch_size=full"],
    "rprop": ["training.batch_size=full"],
}
GROUPS = ("optimizer", "norm", "loss", "augment", "model", "activation")
CHOICES = [(group, name) for group in GROUPS for name in choices([config_dir()], group)]
NOISE = [f"noise.{place}=0.1" for place in ("input", "weight", "activation", "gradient")]
MORE = {
    "noise": [*NOISE, "model.dropout=0.2"],
    "clipping": ["training.gradient_clip=1", "training.label_smoothing=0.1"],
    "cumulative": ["norm=batch", "norm.momentum=null", "norm.input=true"],
    "rows": ["dataset=two_features", "dataset.subset=1.0", "model=mlp", "model.depth=2", "norm=filter_response"],
}
WORDS = {f"{group}={name}": [f"{group}={name}", *NEEDS.get(name, [])] for group, name in CHOICES} | MORE


def take(training, watch, num_steps=3):
    """Take steps of the run, watched but for the first, which enters the epoch and makes the optimizer's state."""
    stretch = training.stretch(0, 1)
    for index in range(num_steps):
        watch.is_strict = index > 0
        stretch.seek(0)
        stretch.step()
    watch.is_strict = False


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_step_neither_waits_for_the_gpu_nor_sends_it_anything(watch, make, words):
    size = SIZES.get(words[0].removeprefix("model="), ["model.depth=3", "model.width=8"])
    training = make(*size, *words)
    assert training.has_fixed_update
    take(training, watch)
    state = training.parts.optimizer.state
    assert all(value.is_cuda for own in state.values() for key, value in own.items() if key != "step")


class WatchOnCpu(TorchDispatchMode):
    """On a CPU nothing passes between host and device; but nobody may read a number, or make a tensor of one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select"), name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "words", [words for name, words in WORDS.items() if not name.startswith(("opt", "aug"))], ids=str
)
def test_nor_does_its_backward_pass(tmp_path, monkeypatch, words):
    monkeypatch.setattr(channels_last, "loses_digits", lambda x: False)  # as on a GPU
    size = SIZES.get(words[0].removeprefix("model="), ["model.depth=3", "model.width=8"])
    experiment = prepare(*compose_run([*SMALL, *size, *words, f"output_dir={tmp_path}"]))
    training = make_training(experiment, RunFolder(experiment.path), Silence(""), TimeLimit(None))
    training.stretch(0, 1).seek(0)
    with WatchOnCpu():
        training.stretch(0, 1).step()
    losses, _ = training.step.fetch()
    assert 0 < losses[0] < 100


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_a_resumed_optimizer_reads_its_learning_rate_from_the_gpu(watch, make, name):
    training = make(f"optimizer={name}", "model.width=8")
    take(training, watch)
    optimizer = training.parts.optimizer
    state = {"state": {}, "param_groups": optimizer.state_dict()["param_groups"]}
    with unset_fake_temporarily():
        for group in state["param_groups"]:
            group["lr"] = torch.tensor(0.1)  # as it comes from a checkpoint, which is loaded to the CPU
        load_state_(optimizer, state)
    take(training, watch)
    with unset_fake_temporarily():
        optimizer.load_state_dict(state)
    with pytest.raises(AssertionError):  # PyTorch alone would leave it there
        take(training, watch)
    watch.is_strict = False


class Counting(optim.SGD):
    """Somebody's own, that counts its steps on the host."""


@pytest.mark.parametrize(
    ("kind", "keys", "is_fixed"),
    [(optim.SGD, {}, True), (Counting, {}, False), (optim.Adam, {}, False), (optim.Adam, {"capturable": True}, True)],
)
def test_an_update_is_the_same_work_where_nothing_is_counted_on_the_host(watch, kind, keys, is_fixed):
    there, here = (nn.Parameter(torch.ones(2, device=device)) for device in (GPU, "cpu"))
    assert has_fixed_update(kind([there], lr=0.1, **keys)) is is_fixed
    assert not has_fixed_update(kind([here], lr=0.1, **keys))


@pytest.mark.parametrize(
    "cross",
    [
        torch.Tensor.item,
        float,
        bool,
        torch.Tensor.cpu,
        lambda x: x + torch.tensor(1.0, device=GPU),
        lambda x: x + torch.as_tensor([1.0], device=GPU),
        lambda x: x.copy_(torch.ones(1)),
        lambda x: x[x > 0],
        torch.nonzero,
    ],
)
def test_the_watch_sees_what_passes_between_host_and_gpu(watch, cross):
    x = torch.ones(1, device=GPU)
    watch.is_strict = True
    with pytest.raises((AssertionError, DynamicOutputShapeException)):
        cross(x)
    watch.is_strict = False
