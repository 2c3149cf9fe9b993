"""A network of anybody's modules has the same bits in any process, and whoever keeps them from its init is named."""
# ruff: noqa: NPY002  (the point is the generators of the whole process)

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from bnexp.config.compose import compose_run
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.nn.example_norms import GroupNorm
from bnexp.run import run
from bnexp.seeding import derive_seed
from bnexp.training.progress import Silence

PLUGIN = '''
import random
import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations

class Bent(nn.PReLU):
    """An activation with a parameter."""

class Model(nn.Module):
    """16 tokens of 4 numbers, sent through a module of the given kind, then a linear layer."""

    def __init__(self, input_shape, num_classes, activation, norm, *, kind: str):
        super().__init__()
        self.kind = kind
        self.before = norm.weight(nn.Linear(64, 64))
        self.act = activation()
        if kind in MODULES:
            self.part = MODULES[kind]()
        elif kind == "bare parameter":
            self.part = nn.Parameter(torch.randn(64))
        elif kind == "numpy parameter":
            self.part = nn.Parameter(torch.from_numpy(np.random.normal(size=64)).float())
        elif kind == "python parameter":
            self.part = nn.Parameter(torch.tensor([random.gauss(0, 1) for _ in range(64)]))
        elif kind == "random buffer":
            self.register_buffer("part", torch.rand(64))
        elif kind == "bits of the system":
            self.part = nn.Parameter(torch.from_numpy(np.random.default_rng().normal(size=64)).float())
        self.output = nn.Linear(64, num_classes) if kind == "late parameter" else nn.LazyLinear(num_classes)

    def forward(self, x):
        x = self.act(self.before(x.flatten(1)))
        tokens = x.unflatten(1, (16, 4))
        kind, part = self.kind, getattr(self, "part", None)
        if kind == "Embedding":
            x = part(torch.arange(16)).flatten() * x
        elif kind == "EmbeddingBag":
            x = part(torch.arange(16).view(2, 8)).flatten().repeat(8) * x
        elif kind in ("LSTM", "GRU", "RNN"):
            x = part(tokens)[0]
        elif kind == "MultiheadAttention":
            x = part(tokens, tokens, tokens)[0]
        elif kind == "TransformerDecoder":
            x = part(tokens, tokens)
        elif kind == "Bilinear":
            x = part(x, x)
        elif kind.startswith("ConvTranspose"):
            x = part(x.view(len(x), 4, *SHAPES[kind[-2:]]))
        elif kind == "draws in forward":
            x = x + 0.1 * torch.rand_like(x) + 0.1 * random.random() + 0.1 * float(np.random.rand())
        elif kind == "late parameter":
            if not hasattr(self, "scale"):
                self.scale = nn.Parameter(torch.rand(64))
            x = x * self.scale
        elif isinstance(part, nn.Module):
            x = part(tokens)
        else:
            x = x + part
        return self.output(x.flatten(1))

def careless_(weight, context):
    """An init that takes no generator."""
    weight.normal_(0, 0.1 + 0.1 * random.random())

def restless_(weight, context):
    weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=tuple(weight.shape))))

SHAPES = {"1d": (16,), "2d": (4, 4), "3d": (4, 2, 2)}
MODULES = {
    "Embedding": lambda: nn.Embedding(16, 4),
    "EmbeddingBag": lambda: nn.EmbeddingBag(17, 4),
    "LSTM": lambda: nn.LSTM(4, 4, batch_first=True, bidirectional=True),
    "GRU": lambda: nn.GRU(4, 4, num_layers=2, batch_first=True),
    "RNN": lambda: nn.RNN(4, 4, batch_first=True),
    "MultiheadAttention": lambda: nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True),
    "TransformerEncoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
    "TransformerDecoder": lambda: nn.TransformerDecoderLayer(4, 2, 8, batch_first=True),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 2, 3),
    "ConvTranspose2d": lambda: parametrizations.weight_norm(nn.ConvTranspose2d(4, 2, 3)),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(4, 2, 3),
    "Bilinear": lambda: nn.Bilinear(64, 64, 8),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 4)),
    "group norm": lambda: nn.GroupNorm(4, 16),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 4)),
}
SEEDED = [*(kind for kind in MODULES if kind != "group norm"), "bare parameter", "numpy parameter"]
SEEDED += ["python parameter", "random buffer"]
'''
SEEDED = ["Embedding", "EmbeddingBag", "LSTM", "GRU", "RNN", "MultiheadAttention", "TransformerEncoder"]
SEEDED += ["TransformerDecoder", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Bilinear", "spectral norm"]
SEEDED += ["orthogonal", "bare parameter", "numpy parameter", "python parameter", "random buffer"]

IN_A_PROCESS = """
import hashlib, json, random, sys
import numpy, torch
from pathlib import Path
from anybodys_models import SEEDED
from bnexp.config.compose import compose_run
from bnexp.experiment import prepare
words, folder, prior = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.manual_seed(prior), numpy.random.seed(prior), random.seed(prior)
found = {}
composed = {init: compose_run([*words, f"init={init}"], [Path(folder)]) for init in ("he", "default")}
for kind in sorted(SEEDED, reverse=prior % 2 == 1):
    torch.rand(prior), numpy.random.rand(prior), random.random()
    for init, (config, choices) in composed.items():
        experiment = prepare(config | {"model": config["model"] | {"kind": kind}}, choices)
        bits = [name.encode() + tensor.detach().contiguous().numpy().tobytes()
                for name, tensor in [*experiment.model.named_parameters(), *experiment.model.named_buffers()]]
        found[f"{kind}, {init}"] = hashlib.sha256(b"".join(bits)).hexdigest()
print(json.dumps(found))
"""
WORDS = ["dataset=digits", "dataset.subset=0.1", "model=anybodys", "training.epochs=1", "training.device=cpu"]
WORDS += ["training.threads=1"]


def write_plugin(folder: Path) -> Path:
    """Write the package and the config folder of its model; return the latter."""
    (folder / "plugin").mkdir()
    (folder / "plugin" / "anybodys_models.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "mine" / "model").mkdir(parents=True)
    node = {"_target_": "anybodys_models.Model", "_partial_": True, "kind": "Embedding"}
    text = yaml.safe_dump({"defaults": ["_finetune", "_self_"], **node}, sort_keys=False)
    (folder / "mine" / "model" / "anybodys.yaml").write_text(text, encoding="utf-8")
    return folder / "mine"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The plugin's config folder; the package can be imported."""
    folder = write_plugin(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    monkeypatch.setenv("BNEXP_PLUGINS", "anybodys_models")
    monkeypatch.delitem(sys.modules, "anybodys_models", raising=False)
    yield folder
    sys.modules.pop("anybodys_models", None)


def prepared(mine, kind, *words):
    output = f"output_dir={mine.parent}/out"
    return prepare(*compose_run([*WORDS, output, f"model.kind='{kind}'", *words], [mine]))


@pytest.fixture(scope="module")
def bits_of_two_processes(tmp_path_factory):
    """A hash of each kind's network, from two processes that drew other numbers before and go another way round."""
    folder = tmp_path_factory.mktemp("anybody")
    mine = write_plugin(folder)
    env = os.environ | {"BNEXP_PLUGINS": "anybodys_models", "PYTHONPATH": str(folder / "plugin")}
    words = json.dumps([*WORDS, f"output_dir={folder}/out"])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", IN_A_PROCESS, words, str(mine), str(prior)],
            stdout=subprocess.PIPE,
            env=env | {"PYTHONHASHSEED": str(prior)},
        )
        for prior in (3, 8)
    ]
    found = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    return [json.loads(text) for text in found]


@pytest.mark.parametrize("init", ["he", "default"])
@pytest.mark.parametrize("kind", SEEDED)
def test_any_module_has_the_same_bits_in_any_process(bits_of_two_processes, kind, init):
    first, second = bits_of_two_processes
    assert first[f"{kind}, {init}"] == second[f"{kind}, {init}"]


def test_the_processes_tell_networks_apart(bits_of_two_processes):
    assert len(set(bits_of_two_processes[0].values())) == len(bits_of_two_processes[0])


def test_what_an_init_does_not_know_is_what_its_constructor_draws_under_the_runs_seed(mine):
    """The oracle makes the same modules by hand, in the same order, under the seed of the documentation."""
    torch.manual_seed(1)  # the run must not depend on it
    found = prepared(mine, "LSTM", "init=zeros", "seed=7").model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(7, "model"))
        nn.Linear(64, 64)
        lstm = nn.LSTM(4, 4, batch_first=True, bidirectional=True)
    assert {name: tensor.tolist() for name, tensor in found.part.named_parameters()} == {
        name: tensor.tolist() for name, tensor in lstm.named_parameters()
    }
    assert found.before.weight.abs().max() == 0
    other = prepared(mine, "LSTM", "init=zeros", "seed=8").model
    assert not torch.equal(found.part.weight_ih_l0, other.part.weight_ih_l0)


@pytest.mark.parametrize("norm", ["weight", "spectral", "batch"])
def test_the_norm_does_not_change_what_other_modules_draw(mine, norm):
    """Matched randomness for modules that know nothing of it: another norm, the same numbers."""
    plain, other = (prepared(mine, "Embedding", "init=he", f"norm={choice}").model for choice in ("none", norm))
    assert torch.equal(plain.part.weight, other.part.weight)


def test_preparing_a_run_leaves_the_callers_generators_as_they_were(mine):
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    prepared(mine, "python parameter", "init=he", "norm=spectral")
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected


NAMED = {
    "Embedding": ["part.weight (16, 4)"],
    "LSTM": [f"part.weight_{gate}_l0{way} (16, 4)" for way in ("", "_reverse") for gate in ("ih", "hh")],
    "GRU": [f"part.weight_{gate}_l{layer} (12, 4)" for layer in (0, 1) for gate in ("ih", "hh")],
    "MultiheadAttention": ["part.in_proj_weight (12, 4)", "part.bias_k (1, 1, 4)", "part.bias_v (1, 1, 4)"],
    "TransformerEncoder": [f"part.layers.{layer}.self_attn.in_proj_weight (12, 4)" for layer in (0, 1)],
    "ConvTranspose1d": ["part.weight (4, 2, 3)"],
    "ConvTranspose2d": ["part.weight (4, 2, 3, 3)"],
    "ConvTranspose3d": ["part.weight (4, 2, 3, 3, 3)"],
    "Bilinear": ["part.weight (8, 64, 64)"],
    "bare parameter": ["part (64,)"],
    "numpy parameter": ["part (64,)"],
    "random buffer": [],
    "spectral norm": [],
    "orthogonal": [],
}


PRELU = ["activation=tanh", "activation._target_=anybodys_models.Bent"]


@pytest.mark.parametrize("init", ["zeros", "he", "lsuv"])
@pytest.mark.parametrize(("kind", "names"), NAMED.items(), ids=list(NAMED))
def test_each_parameter_that_an_init_leaves_alone_is_named(mine, kind, names, init):
    if kind in ("spectral norm", "orthogonal") and init in ("zeros", "lsuv"):
        pytest.skip("refused: these norms take any scale away again")
    notes = prepared(mine, kind, f"init={init}", "norm=batch", *PRELU).notes
    line = f": init={init} knows no such layer; it keeps what its constructor drew"
    assert [note.removesuffix(line) for note in notes if note.endswith(line)] == names


def test_default_leaves_the_rest_as_constructed_without_a_word(mine):
    assert prepared(mine, "LSTM", "init=default").notes == ()


def test_loaded_weights_are_not_said_to_be_the_constructors(mine):
    source = prepared(mine, "Embedding", "init=he", "seed=1").model
    torch.save(source.state_dict(), mine / "weights.pt")
    loaded = prepared(mine, "Embedding", "init=he", f"model.weights={mine}/weights.pt")
    assert torch.equal(loaded.model.part.weight, source.part.weight)
    assert loaded.notes == ("model.weights: loaded 5 of the model's 5 tensors",)


def test_numbers_that_no_seed_reaches_get_a_line(mine):
    with pytest.raises(ConfigError) as error:
        prepared(mine, "bits of the system", "init=he")
    assert str(error.value).startswith("model=anybodys does not make the same network twice (part): it draws")


INIT = ["init=zeros", "init._target_=anybodys_models.careless_"]


def test_an_init_that_takes_no_generator_is_seeded_too_whatever_the_model_draws(mine):
    models = []
    for prior, kind in ((1, "Embedding"), (2, "Embedding"), (3, "bare parameter")):
        torch.manual_seed(prior), random.seed(prior)
        models.append(prepared(mine, kind, *INIT).model)
    assert torch.equal(models[0].before.weight, models[1].before.weight)
    assert torch.equal(models[0].before.weight, models[2].before.weight)
    assert not torch.equal(models[0].before.weight, prepared(mine, "Embedding", *INIT, "seed=1").model.before.weight)


def test_an_init_that_no_seed_reaches_gets_a_line(mine):
    with pytest.raises(ConfigError, match=r"^model=anybodys or init=zeros does not make the same network twice \(befo"):
        prepared(mine, "Embedding", "init=zeros", "init._target_=anybodys_models.restless_")


def test_norms_of_torch_in_the_model_keep_their_digits(mine):
    """They are bnexp's, under their own names and types; see tests/nn/test_norms_precision.py."""
    model = prepared(mine, "group norm", "init=he").model
    assert type(model.part) is GroupNorm
    assert [name for name, _ in model.part.named_parameters()] == ["weight", "bias"]


def test_parameters_made_in_the_first_forward_pass_get_a_line(mine):
    with pytest.raises(ConfigError, match=r"^scale: parameters that the model makes in its first forward pass are nei"):
        prepared(mine, "late parameter", "init=he")


def test_lazy_layers_are_initialized_like_others(mine):
    model = prepared(mine, "Embedding", "init=zeros").model
    assert type(model.output) is nn.Linear
    assert tuple(model.output.weight.shape) == (10, 64)
    assert model.output.weight.abs().max() == 0
    assert model.training


def ends(experiment):
    """Train; return the loss of each evaluation and the final weights."""
    result = run(experiment, Silence)
    assert result["status"] == "done", result
    rows = (experiment.path / "metrics.jsonl").read_text().splitlines()
    weights = torch.load(experiment.path / "checkpoint.pt")["model"]
    return [json.loads(row)["val/loss"] for row in rows], {name: value.tolist() for name, value in weights.items()}


def test_a_run_whose_modules_draw_from_the_processs_generators_resumes_to_the_same_bits(mine, monkeypatch):
    from bnexp.training.loop import Training

    words = ["init=he", "training.epochs=3", "training.eval_every=1"]
    whole = ends(prepared(mine, "draws in forward", *words))
    score = Training._score

    def interrupted(self):
        if self.progress.num_evaluations == 2:
            raise KeyboardInterrupt
        score(self)

    monkeypatch.setattr(Training, "_score", interrupted)
    stopped = prepared(mine, "draws in forward", *words, f"output_dir={mine.parent}/again")
    with pytest.raises(KeyboardInterrupt):
        run(stopped, Silence)
    monkeypatch.setattr(Training, "_score", score)
    torch.manual_seed(99), np.random.seed(99), random.seed(99)
    assert ends(stopped) == whole


def test_replicas_whose_modules_draw_from_the_processs_generators_are_as_alone(mine):
    from bnexp.run import run_together

    words = ["init=he", "training.epochs=2"]
    together = [
        prepared(mine, "draws in forward", *words, f"seed={seed}", f"output_dir={mine.parent}/both") for seed in (0, 1)
    ]
    run_together(together, Silence)
    for seed, experiment in enumerate(together):
        assert ends(experiment) == ends(prepared(mine, "draws in forward", *words, f"seed={seed}"))


def test_measuring_signals_does_not_shift_what_modules_draw_from_the_processs_generators(mine):
    words = ["init=he", "training.epochs=2"]
    folders = [[*words, f"signals={level}", f"output_dir={mine.parent}/{level}"] for level in ("off", "full")]
    plain, measured = (ends(prepared(mine, "draws in forward", *words)) for words in folders)
    assert measured == plain
