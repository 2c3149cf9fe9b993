"""Loading weights and freezing parts: what is copied, what is said about it, and what then stays as it is."""

import argparse
import hashlib
import os
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from bnexp.config.compose import compose_run
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.models.convnet import ConvNet
from bnexp.models.finetune import finetune_
from bnexp.models.vgg import VGG
from bnexp.nn import norms
from bnexp.nn.statistics import batch_statistics, population_statistics_
from bnexp.optim.optimizers import parameter_groups
from bnexp.run import run

BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def convnet(num_classes=10, norm=BATCH, seed=0, **changes):
    torch.manual_seed(seed)
    values = {"depth": 2, "width": 4, "parameters": None, "num_stages": 2, "norm_position": "before"}
    values |= {"dropout": 0.5, "dropout_position": "after_norm"} | changes
    return ConvNet((1, 8, 8), num_classes, nn.ReLU, norm, **values)


def tensors(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def save(model, path):
    torch.save(model.state_dict(), path)
    return str(path)


def trained(model):
    """Move parameters and running statistics away from where they start."""
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(torch.rand(value.shape).to(value.dtype) + 1)
    return model


def test_without_weights_and_frozen_parts_nothing_happens():
    model = convnet()
    before = tensors(model)
    assert finetune_(model, weights=None, freeze=[]) == ("", ())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_weights_of_the_same_network_are_copied_with_its_running_statistics(tmp_path):
    source, model = trained(convnet(seed=1)), convnet(seed=2)
    finetuned = finetune_(model, weights=save(source, tmp_path / "weights.pt"), freeze=[])
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())
    assert finetuned.notes == ("model.weights: loaded 16 of the model's 16 tensors",)


def test_an_output_layer_for_other_classes_keeps_its_init_and_the_notes_say_so(tmp_path):
    source, model = trained(convnet(num_classes=10)), convnet(num_classes=3)
    before = tensors(model)
    finetuned = finetune_(model, weights=save(source, tmp_path / "weights.pt"), freeze=[])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name.startswith("output") else source.state_dict()[name])
    assert finetuned.notes == (
        "model.weights: loaded 14 of the model's 16 tensors",
        "model.weights: these keep their init: output.weight, output.bias",
        "model.weights: not used, for no place or another shape: output.weight, output.bias",
    )


def test_a_norm_that_the_weights_do_not_know_keeps_its_start(tmp_path):
    source, model = trained(convnet(norm=norms.none())), convnet(norm=BATCH)
    finetuned = finetune_(model, weights=save(source, tmp_path / "weights.pt"), freeze=[])
    assert torch.equal(model.stages[0][0].norm.running_var, torch.ones(4))
    assert torch.equal(model.stages[0][0].layer.weight, source.stages[0][0].layer.weight)
    assert "stages.0.0.norm.weight" in finetuned.notes[1]


@pytest.mark.parametrize("norm", [norms.weight(), norms.spectral(n_power_iterations=1, eps=1e-12)])
def test_reparametrized_layers_are_restored_to_the_same_function(norm, tmp_path):
    source, model = convnet(norm=norm, seed=1), convnet(norm=norm, seed=2)
    finetune_(model, weights=save(source, tmp_path / "weights.pt"), freeze=[])
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(model.eval()(x), source.eval()(x))


def test_torchvisions_vgg_is_taken_in_order_up_to_its_dense_layers(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.vgg._vgg("A", True, None, False, init_weights=False)
    theirs.classifier = nn.Sequential(nn.Linear(512 * 49, 16))
    model = VGG(
        (3, 32, 32),
        10,
        nn.ReLU,
        BATCH,
        depth=11,
        width=64,
        dropout=0,
        dropout_position="output",
        norm_position="before",
    )
    finetuned = finetune_(model, weights=save(theirs, tmp_path / "vgg11_bn.pth"), freeze=[])
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.eval().stages(x), theirs.eval().features(x))
    loaded, kept, unused = finetuned.notes
    counted, _, order = loaded.partition(", in their order: ")
    assert counted == "model.weights: loaded 56 of the model's 58 tensors"
    assert order.startswith("features.0.weight as stages.0.0.layer.weight, features.0.bias as stages.0.0.layer.bias, ")
    assert len(order.split(", ")) == 56
    assert kept == "model.weights: these keep their init: output.weight, output.bias"
    assert unused.endswith(": classifier.0.weight, classifier.0.bias")


def test_the_digest_is_of_the_numbers_and_not_of_the_file(tmp_path):
    source = convnet(seed=1)
    (tmp_path / "elsewhere").mkdir()
    places = [save(source, tmp_path / "a.pt"), save(source, tmp_path / "elsewhere" / "b.pt")]
    torch.save({"model": source.state_dict(), "seconds": 1.5}, tmp_path / "checkpoint.pt")
    digests = {finetune_(convnet(), weights=place, freeze=[]).digest for place in [*places, str(tmp_path)]}
    assert len(digests) == 1
    with torch.no_grad():
        source.output.bias[0] += 1e-6
    assert finetune_(convnet(), weights=save(source, tmp_path / "a.pt"), freeze=[]).digest not in digests
    assert len(digests.pop()) == len(hashlib.sha256().hexdigest())


def test_frozen_parts_compute_the_same_function_throughout_training_and_the_rest_learns():
    model = trained(convnet(norm=BATCH))
    finetuned = finetune_(model, weights=None, freeze=["stages.0"])
    assert finetuned.notes == ("model.freeze: stages.0 keeps its 48 parameters and stays in evaluation mode",)
    before = tensors(model)
    optimizer = torch.optim.SGD(parameter_groups(model, weight_decay=0.1, decay_all=True), lr=0.1)
    x = torch.randn(16, 1, 8, 8)
    with torch.no_grad():
        expected = deepcopy(model).eval().stages[0](x)
    seen = []
    model.stages[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    for _ in range(2):
        model.train()
        nn.functional.cross_entropy(model(x), torch.arange(16) % 10).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(output, expected) for output in seen)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if not name.startswith("stages.0.")}


def test_a_copy_of_a_frozen_network_freezes_its_own_parts():
    model = convnet()
    finetune_(model, weights=None, freeze=["stages"])
    copy = deepcopy(model).train()
    assert not copy.stages[0][0].norm.training
    assert copy.train.__self__ is copy
    assert copy.stages.train.__self__ is copy.stages


@pytest.mark.parametrize(
    ("freeze", "line"),
    [
        (
            ["stage"],
            "model.freeze: the model has no part 'stage' with parameters; did you mean 'stages'? "
            "(it has: stages, output, and their parts)",
        ),
        (
            ["pool"],
            "model.freeze: the model has no part 'pool' with parameters (it has: stages, output, and their parts)",
        ),
        (
            ["stages", "output"],
            "model.freeze=['stages', 'output'] leaves nothing to train; take a part out, such as output",
        ),
    ],
)
def test_parts_that_cannot_be_frozen_get_a_line(freeze, line):
    with pytest.raises(ConfigError) as error:
        finetune_(convnet(), weights=None, freeze=freeze)
    assert str(error.value).startswith(line)


def test_weights_of_another_network_get_a_line_that_compares_the_beginnings(tmp_path):
    place = save(nn.Sequential(nn.Linear(3, 2)), tmp_path / "weights.pt")
    with pytest.raises(ConfigError) as error:
        finetune_(convnet(), weights=place, freeze=[])
    assert str(error.value) == (
        f"model.weights={place}: none of its parameters fits this model; it begins with 0.weight (2, 3), "
        "this model with stages.0.0.layer.weight (4, 1, 3, 3): use the model and norm that it was trained with"
    )


def test_running_counts_alone_are_no_weights(tmp_path):
    torch.save({"stages.0.0.norm.num_batches_tracked": torch.tensor(3)}, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match="none of its parameters fits this model"):
        finetune_(convnet(), weights=str(tmp_path / "weights.pt"), freeze=[])


def test_places_without_weights_get_a_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no weights")
    torch.save({"lr": 0.1}, tmp_path / "numbers.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    torch.save({"output.weight": torch.ones(10, 8)}, tmp_path / "damaged.pt")
    damaged = bytearray((tmp_path / "damaged.pt").read_bytes())
    damaged[damaged.index(bytes([0, 0, 128, 63] * 80))] ^= 1
    (tmp_path / "damaged.pt").write_bytes(damaged)
    lines = {
        "nowhere": "no such file or folder; name a run folder, or a file with a state_dict",
        "empty": "no checkpoint.pt in this folder; name a run folder, or a file with a state_dict",
        "notes.txt": "cannot be read as a state_dict",
        "numbers.pt": "holds no state_dict",
        "list.pt": "holds no state_dict",
        "damaged.pt": "the file is damaged",
    }
    for name, line in lines.items():
        with pytest.raises(ConfigError, match=line) as error:
            finetune_(convnet(), weights=str(tmp_path / name), freeze=[])
        assert str(error.value).startswith(f"model.weights={tmp_path / name}")
        assert "\n" not in str(error.value)


def test_a_file_that_would_run_code_is_not_run(tmp_path):
    torch.save({"weight": nn.Linear(2, 2)}, tmp_path / "module.pt")
    with pytest.raises(ConfigError, match="cannot be read as a state_dict"):
        finetune_(convnet(), weights=str(tmp_path / "module.pt"), freeze=[])


def test_a_run_goes_on_from_the_weights_of_a_run_folder_wherever_that_lies(tmp_path):
    small = ["training.epochs=1", "dataset.subset=0.2", "model.width=8", "norm=batch", f"output_dir={tmp_path}/out"]
    source = prepare(*compose_run([*small, "seed=1"]))
    assert run(source)["status"] == "done"
    moved = source.path.rename(tmp_path / "moved")
    words = [*small, f"model.weights={moved}", "model.freeze=[stages]"]
    tuned = prepare(*compose_run(words))
    moved = moved.rename(tmp_path / "again")
    same = prepare(*compose_run([*small, f"model.weights={moved}", "model.freeze=[stages]"]))
    other = prepare(*compose_run([*small, "model.freeze=[stages]"]))
    assert tuned.path == same.path != other.path
    result = run(same)
    assert result["status"] == "done"
    assert result["notes"] == [
        "model.weights: loaded 23 of the model's 23 tensors",
        "model.freeze: stages keeps its 6,000 parameters and stays in evaluation mode",
    ]
    before, after = (torch.load(path / "checkpoint.pt")["model"] for path in (moved, same.path))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["output.weight", "output.bias"]


@pytest.mark.parametrize("statistics", ["precise", "batch"])
def test_frozen_norms_keep_their_statistics_in_evaluation(statistics):
    model = trained(convnet(norm=BATCH))
    finetune_(model, weights=None, freeze=["stages.0"])
    x = 3 * torch.randn(16, 1, 8, 8) + 1
    seen = {}
    for index in (0, 1):
        model.stages[index].register_forward_hook(lambda _module, inputs, output, i=index: seen.update({i: output}))
    with torch.no_grad():
        model.eval()(x)
        running = dict(seen)
        if statistics == "batch":
            with batch_statistics(model):
                model(x)
        else:
            population_statistics_(model, [x])
            model(x)
    assert torch.equal(seen[0], running[0])
    assert not torch.allclose(seen[1], running[1])


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def wrapped(state, kind):
    """The file of somebody else, and what the note says of the place that was taken."""
    average = {name: torch.zeros(2) for name in ("mean", "var")}
    return {
        "state_dict": ({"state_dict": state, "epoch": 3, "best_acc1": 0.5}, ", from state_dict"),
        "model_state_dict": ({"model_state_dict": state, "loss": torch.tensor(0.1)}, ", from model_state_dict"),
        "model and optimizer": (
            {"model": state, "optimizer": torch.optim.Adam(nn.Linear(2, 2).parameters()).state_dict(), "args": [1]},
            ", from model",
        ),
        "DataParallel": (prefixed(state, "module."), ", without the prefix module."),
        "torch.compile": (prefixed(state, "_orig_mod."), ", without the prefix _orig_mod."),
        "Lightning": (
            {
                "epoch": 1,
                "state_dict": prefixed(state, "net.") | {"loss.weight": torch.ones(3)},
                "hyper_parameters": {},
            },
            ", from state_dict, without the prefix net.",
        ),
        "DDP in a trainer": (
            {"run": {"ema": average, "network": prefixed(state, "module.model.")}},
            ", from run.network, without the prefix module.model.",
        ),
        "timm's average alone": ({"state_dict_ema": state, "version": 2}, ", from state_dict_ema"),
        "AveragedModel": (
            {"n_averaged": torch.tensor(3), **prefixed(state, "module.")},
            ", without the prefix module.",
        ),
        "a part of another network": ({"encoder": average, "head": state}, ", from head"),
    }[kind]


KINDS = ["state_dict", "model_state_dict", "model and optimizer", "DataParallel", "torch.compile", "Lightning"]
KINDS += ["DDP in a trainer", "timm's average alone", "AveragedModel", "a part of another network"]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_found_in_the_files_of_others_and_the_note_says_where(tmp_path, kind):
    source, model = trained(convnet(seed=1)), convnet(seed=2)
    content, place = wrapped(source.state_dict(), kind)
    torch.save(content, tmp_path / "theirs.ckpt")
    plain = finetune_(convnet(), weights=save(source, tmp_path / "weights.pt"), freeze=[])
    finetuned = finetune_(model, weights=str(tmp_path / "theirs.ckpt"), freeze=[])
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())
    assert finetuned.notes[0] == f"model.weights: loaded 16 of the model's 16 tensors{place}"
    assert finetuned.digest == plain.digest


def test_tensors_beside_the_prefix_are_named_as_not_used(tmp_path):
    content, _ = wrapped(convnet(seed=1).state_dict(), "Lightning")
    torch.save(content, tmp_path / "theirs.ckpt")
    notes = finetune_(convnet(), weights=str(tmp_path / "theirs.ckpt"), freeze=[]).notes
    assert notes[1:] == ("model.weights: not used, for no place or another shape: loss.weight",)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (lambda one, other: {"state_dict": one, "state_dict_ema": other}, "['state_dict'], ['state_dict_ema']"),
        (lambda one, other: {"model": one, "model_ema": other}, "['model'], ['model_ema']"),
        (lambda one, other: prefixed(one, "student.") | prefixed(other, "teacher."), "'student.…', 'teacher.…'"),
    ],
)
def test_a_file_with_two_networks_that_fit_gets_a_line_that_names_both(tmp_path, content, named):
    states = convnet(seed=1).state_dict(), convnet(seed=2).state_dict()
    torch.save(content(*states), tmp_path / "two.pt")
    with pytest.raises(ConfigError) as error:
        finetune_(convnet(), weights=str(tmp_path / "two.pt"), freeze=[])
    assert str(error.value) == (
        f"model.weights={tmp_path}/two.pt holds several networks that fit this model: {named}; write the state_dict of "
        "one of them into a file of its own with torch.save, and name that"
    )


def test_a_file_with_several_dicts_none_of_which_fits_names_them(tmp_path):
    torch.save({"generator": {"w": torch.ones(2)}, "critic": {"w": torch.ones(3)}}, tmp_path / "gan.pt")
    with pytest.raises(ConfigError, match=r"holds no tensors that fit this model; looked in: \['generator'\], \['crit"):
        finetune_(convnet(), weights=str(tmp_path / "gan.pt"), freeze=[])


@pytest.mark.parametrize("thing", [argparse.Namespace(lr=0.1), Path("data"), nn.Linear(2, 2)], ids=type)
def test_a_file_with_objects_beside_the_weights_gets_a_line_that_says_what_to_write(tmp_path, thing):
    torch.save({"state_dict": convnet().state_dict(), "hyper_parameters": thing}, tmp_path / "lightning.ckpt")
    with pytest.raises(ConfigError) as error:
        finetune_(convnet(), weights=str(tmp_path / "lightning.ckpt"), freeze=[])
    line = str(error.value)
    assert f"it holds objects of {type(thing).__module__}" in line
    assert line.endswith("weights_only=False and write its tensors alone: torch.save(CONTENT['state_dict'], OTHER)")
    assert "\n" not in line


def test_files_that_are_no_files_of_weights_get_a_line_at_once(tmp_path):
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    (tmp_path / "w.bin").write_bytes((tmp_path / "w.safetensors").read_bytes())
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    lines = {
        "w.safetensors": "is in the safetensors format",
        "w.bin": "is in the safetensors format",
        "fifo": "not a regular file",
        "link": "not a regular file",
    }
    for name, line in {**lines, "/dev/zero": "not a regular file", "/dev/full": "not a regular file"}.items():
        with pytest.raises(ConfigError, match=line) as error:
            finetune_(convnet(), weights=str(tmp_path / name), freeze=[])
        assert "\n" not in str(error.value)


def test_a_file_larger_than_the_memory_is_not_read(tmp_path, monkeypatch):
    with (tmp_path / "huge.pt").open("wb") as huge:
        huge.truncate(2**31)  # none of it on the disk
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**18}.__getitem__)
    with pytest.raises(ConfigError, match=r"its 2 GiB do not fit into the memory of this machine \(1 GiB\)"):
        finetune_(convnet(), weights=str(tmp_path / "huge.pt"), freeze=[])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    source = convnet(seed=1)
    with torch.no_grad():
        source.output.weight[0, 0] = value
    with pytest.raises(ConfigError, match=r"its output.weight holds numbers that are not finite"):
        finetune_(convnet(), weights=save(source, tmp_path / "weights.pt"), freeze=[])


def test_weights_of_fewer_bits_and_tensors_of_other_kinds_are_no_trouble(tmp_path):
    source = trained(convnet(seed=1)).half()
    odd = {"sparse": torch.eye(3).to_sparse(), "complex": torch.ones(2, dtype=torch.complex64)}
    torch.save(source.state_dict() | odd, tmp_path / "weights.pt")
    model = convnet()
    finetune_(model, weights=str(tmp_path / "weights.pt"), freeze=[])
    assert torch.equal(model.output.weight, source.output.weight.float())
