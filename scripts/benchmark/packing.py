"""Images a second of K tiny nets: replicas, each a net of its own, against one net whose channels hold all of them.

The packed net has the replicas' weights side by side: grouped convolutions, batch norm over K · C channels, ``baddbmm``
for the output layers. It does nothing but their arithmetic and the gathering of its batches; on a GPU in a CUDA graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from bnexp_run import experiment
from measure import apart, arguments, by_turns, publish, ratio, spread
from replicas import replicas
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.models.convnet import ConvNet
from bnexp.training.batches import Scale

QUESTION = "Images a second of K nets on the digits, all together (ConvNet 32–64–128, batch 64, 8 × 8 images)"
WORDS = ("dataset=digits", "augment=none", "training.batch_size=64")


class Packed(nn.Module):
    """K ConvNets with batch norm as one: images (N, K · C, H, W) → logits (K, N, num_classes)."""

    def __init__(self, nets: Sequence[ConvNet]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage in range(len(nets[0].stages)):
            hidden = [net.get_submodule(f"stages.{stage}.0") for net in nets]
            weight, bias = ([one.get_parameter(f"layer.{name}") for one in hidden] for name in ("weight", "bias"))
            out_channels, in_channels = weight[0].shape[:2]
            layer = nn.Conv2d(in_channels * len(nets), out_channels * len(nets), 3, padding=1, groups=len(nets))
            layer.weight, layer.bias = nn.Parameter(torch.cat(weight)), nn.Parameter(torch.cat(bias))
            layers += [layer, nn.BatchNorm2d(out_channels * len(nets)), nn.MaxPool2d(2), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.weight = nn.Parameter(torch.stack([net.get_parameter("output.weight").t() for net in nets]))
        self.bias = nn.Parameter(torch.stack([net.get_parameter("output.bias") for net in nets]).unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every net for its images."""
        num_nets, channels, _ = self.weight.shape
        features = self.trunk(x).mean((2, 3)).unflatten(1, (num_nets, channels)).transpose(0, 1)
        return torch.baddbmm(self.bias, features, self.weight)


def packed(number: int, steps: int) -> Callable[[], float]:
    """Return a function that takes so many steps of a packed net and returns images a second."""
    prepared = [experiment(f"seed={seed}", *WORDS) for seed in range(number)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train = prepared[0].dataset.train
    inputs, labels = Scale(prepared[0].dataset, torch.device("cpu"))(train.inputs), train.labels
    nets = [one.model.train() for one in prepared]
    model = Packed(nets).train()
    _check(model, nets, inputs)
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)
    inputs, labels, batch_size = inputs.to(device), labels.to(device), 64
    rows = torch.zeros(number, batch_size, dtype=torch.int64, device=device)

    def step() -> None:
        images = inputs[rows].transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(model(images).flatten(0, 1), labels[rows].flatten()) * number
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    take = step if device.type == "cpu" else _captured(step)

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(steps):
            rows.random_(0, len(labels))
            take()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return steps * number * batch_size / (time.perf_counter() - started)

    return measure


def _check(model: Packed, nets: Sequence[nn.Module], inputs: Tensor) -> None:
    """Raise where the packed net computes something else than its parts: four images each, other ones for each net."""
    with torch.no_grad():
        images = inputs[: 4 * len(nets)].unflatten(0, (len(nets), 4))
        logits = torch.stack([net(own) for net, own in zip(nets, images, strict=True)])
        torch.testing.assert_close(model(images.transpose(0, 1).flatten(1, 2)), logits, rtol=1e-4, atol=1e-4)


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    on_gpu = torch.cuda.is_available()
    asked = arguments(QUESTION, rounds=5, steps=200 if on_gpu else 20)
    contenders: dict[str, Callable[[], float]] = {}
    numbers = (8, 32) if on_gpu else (2, 4, 8)
    for number in numbers:
        contenders[f"replicas, K = {number}"] = apart(replicas, number, asked.steps, *WORDS)
        contenders[f"packed, K = {number}"] = apart(packed, number, asked.steps)
    found = by_turns(contenders, asked.rounds)
    rows = {name: spread(values) | {"unit": "images/s"} for name, values in found.items()}
    for number in numbers:
        values = ratio(found[f"packed, K = {number}"], found[f"replicas, K = {number}"])
        rows[f"packed / replicas, K = {number}"] = values | {"unit": "×"}
    publish(QUESTION, rows)


if __name__ == "__main__":
    main()
