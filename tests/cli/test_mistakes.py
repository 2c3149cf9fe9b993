"""What a user gets wrong costs one clear line, exit status 2, and leaves nothing behind."""

from __future__ import annotations

import os
import pickle
import shlex
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import command

from bnexp.cli.main import main
from bnexp.training.record import RunFolder


@pytest.fixture
def bnexp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command line in this process, which saves two seconds a test; one test below starts a process of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        status = main(words)
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, captured.out, captured.err)

    return call


WRONG = {
    "norm=bacth": "norm has no such choice; did you mean 'batch'?",
    "norm=none,batch": "norm=none,batch: names several values, and one run takes one; bnexp train -m trains them all",
    "seed=range(3)": "seed=range(3): names several values",
    "--config-dir nowhere": "--config-dir=nowhere: no such folder",
    "-m --config-dir nowhere norm=none,batch": "--config-dir=nowhere: no such folder",
    "nrom=batch": "nrom: there is no such key or group; did you mean 'norm'?",
    "init=he +init.gian=2": "init.gian: init=he has no 'gian'",
    "init=xavier +init.gian=2": "init.gian: init=xavier has no 'gian'; did you mean 'gain'?",
    "init=xavier init.gian=2": "init.gian: there is no such key; did you mean 'init.gain'?",
    "init=xavier init.gain=abc": "init.gain=abc must be a number",
    "init.gain=2": "init=default has no such key; these have: ",
    "norm=group norm.num_groups=3 model.width=64": (
        "norm.num_groups=3 does not divide 64 channels; use 1, 2, 4, 8, 16, 32 or 64"
    ),
    "optimizer.lr=0": "optimizer.lr=0 must be greater than 0",
    "optimizer.lr=-1": "optimizer.lr=-1 must be greater than 0",
    "optimizer.lr=nan": "optimizer.lr=nan must be finite and greater than 0",
    "optimizer.lr=inf": "optimizer.lr=inf must be finite and greater than 0",
    "init._target_=[a]": "init._target_=[a] is outside what a config may call",
    "init._target_=null": "init._target_=null is outside what a config may call",
    "init._target_={a:1}": "is outside what a config may call",
    "model=mlp norm=batch evaluation.statistics=batch evaluation.batch_size=71": (
        "evaluation.batch_size=71 makes a batch of 1 of the 143 validation examples"
    ),
    "training.epochs=0": "training.epochs=0 must be at least 1",
    "training.epochs=1.5": "training.epochs=1.5 must be a whole number",
    "training.precision=fp8": "training.precision=fp8 must be one of fp32, tf32, bf16",
    "training.batch_size=5000": "training.batch_size=5000 is more than the 1295 training examples",
    "training.device=gpu": "must be auto, cpu, cuda, cuda:N or mps; did you mean 'cuda'?",
    "study=case_study": "study=case_study: a study is run by itself; write bnexp study case_study",
    "training.device=cuda:99": "training.device=cuda:99: this machine has",
    "model=mlp norm=batch training.batch_size=1": "norm=batch needs more than one value per channel in training",
    "model=convnet dataset=breast_cancer": "model=convnet needs images",
    "model=mlp dataset=breast_cancer augment=flip": "augment=flip needs images",
    "model=mlp dataset=breast_cancer augment=cutout": "augment=cutout needs images",
    "model=mlp dataset=breast_cancer augment=mixup augment.padding=2": "use augment=none, or augment.padding=null",
    "augment.padding=2": "augment.padding: augment=none has no such key; these have: ",
    "augment=mixup augment.alpha=0": "augment.alpha=0 must be greater than 0",
    "optimizer=gd": "training.batch_size=64: optimizer=gd takes the gradient of the whole training split; use training",
    "optimizer=rprop schedule=cosine": "schedule=cosine: no schedule has an effect on optimizer=rprop",
    "optimizer=rprop schedule.warmup=0.1": "use schedule=constant with schedule.warmup=0",
    "noise.input=-1": "noise.input=-1 must be at least 0",
    "noise.inptu=1": "noise.inptu: there is no such key; did you mean 'noise.input'?",
    "loss=foca": "loss=foca: loss has no such choice; did you mean 'focal'?",
    "loss=hinge loss.margin=0": "loss.margin=0 must be greater than 0",
    "model.depth=2": "model.depth=2 is less than model.num_stages=3",
    "model=resnet model.depth=21": "model.depth=21 is not 6n + 2",
    "dataset=image_folder": "dataset.root",
    "dataset=image_folder dataset.root=nowhere": "nowhere",
    "dataset=csv dataset.target=y": "dataset.path",
    "dataset=csv dataset.path=nowhere.csv dataset.target=y model=mlp": "nowhere.csv",
    "seed=-1": "seed=-1 must be at least 0",
    "seed=one": "seed=one must be a whole number",
    "+colour=red": "colour: there is no such key",
    "activation=[1,2]": "activation=[1,2]: activation takes one choice; bnexp train -m activation=a,b trains both",
    "norm=null": "norm=null: norm has no such choice",
    "output_dir=/dev/null/runs": "/dev/null is a file, not a folder",
    "-m init=he,xavir": "init=xavir: init has no such choice; did you mean 'xavier'?",
    "-m init=he optimizer.lr=0.1,0": "optimizer.lr=0 must be greater than 0",
    "model.width=1000000000": "model.width=1000000000 must be at least 1 and at most 100000 or null",
    "model=mlp model.depth=1000000": "model.depth=1000000 must be at least 1 and at most 10000",
    "model.width=100000 model.num_stages=10 model.depth=10": "GiB in training, and this machine has",
    "training.threads=100000": "training.threads=100000 must be at most 1024 or one of auto",
    "optimizer.lr=${optimizer.lr}": "optimizer.lr=${optimizer.lr}: Recursive interpolation detected",
    "-m optimizer.lr=${optimizer.lr} seed=0,1": "optimizer.lr: Recursive interpolation detected",
    "optimizer.lr=${nowhere}": "optimizer.lr=${nowhere}: Interpolation key 'nowhere' not found",
    "-m hydra.sweeper._target_=os.system seed=0,1": "hydra.sweeper._target_=os.system: Hydra's own parts are chosen",
    "+hydra.launcher={_target_:os.system}": "Hydra's own parts are chosen by name, such as hydra/launcher=joblib",
    "norm=[none,batch]": "norm: a run takes one choice of it; bnexp train -m norm=a,b trains both",
    "norm=[none,a]": "norm=[none,a]: norm takes one choice; bnexp train -m norm=a,b trains both",
    "~norm": "norm: a run cannot do without it; take the word ~norm out",
    "~seed": "seed: a run cannot do without it; take the word ~seed out",
    "output_dir=Zoë": "output_dir=Zoë: must have the form key=value; other than plain letters and digits, write",
    "dataset=csv dataset.path=/dev/zero dataset.target=y model=mlp": "dataset.path=/dev/zero: not a file",
    "-m seed=range(1000000000)": "seed=range(1000000000): a multirun has at most 100,000 runs, and this has more",
    "-m seed=range(1000) optimizer.lr=range(1,1000)": "a multirun has at most 100,000 runs, and this has more",
    "--multirnu": "--multirun",
    "lr=0.1": "lr=0.1: there is no such key; write optimizer.lr=0.1",
    "optimizer.learning_rate=0.1": "optimizer.learning_rate=0.1: there is no such key; write optimizer.lr=0.1",
    "optimizer=adam +optimizer.learning_rate=0.1": "optimizer=adam has no 'learning_rate'; write optimizer.lr",
    "init=kaiming": "init has no such choice; write init=he (Kaiming's normal; init=he_uniform is the uniform one)",
    "-m init=he,glorot": "init=glorot: init has no such choice; write init=xavier (Glorot's normal",
    "norm=bn": "norm=bn: norm has no such choice; write norm=batch",
    "norm=BatchNorm2d": "norm=BatchNorm2d: norm has no such choice; write norm=batch",
    "batchnorm": "batchnorm: must have the form key=value; write norm=batch",
    "betas=[0.9,0.99]": "write optimizer.beta1=… optimizer.beta2=… (optimizer=momentum has no such key; these have:",
    "activation=selu": "activation has no such choice; bnexp has none (it has: elu, gelu,",
    "num_workers=4": "num_workers=4: there is no such key; bnexp has none, because the data set lies in memory",
    "+lr=0.1": "lr: there is no such key; write optimizer.lr=…",
    "training.precision=fp16": "training.precision=fp16 must be one of fp32, tf32, bf16; write training.precision=bf16",
    "training.precision=float32": "write training.precision=fp32",
    "model.norm_position=pre": "write model.norm_position=before",
    "--norm batch": "--norm batch: bnexp train has no such flag; write norm=batch",
    "--lr 0.1": "--lr 0.1: bnexp train has no such flag; write optimizer.lr=0.1",
    "--epochs=5": "--epochs=5: bnexp train has no such flag; write training.epochs=5",
    "--seed 3": "write seed=3",
    "--gpu": "--gpu: bnexp train has no such flag; write training.device=cuda",
    "--batch-size 32": "write training.batch_size=32",
    "--dataset cifar10": "write dataset=cifar10",
    "--init kaiming": "write init=he",
    "seed=" + "9" * 290: "must be a whole number of at most 64 bits",
    "seed=9223372036854775808": "must be a whole number of at most 64 bits",
    "seed=" + "9" * 5000: "a number has at most 500 digits",
    "training.epochs=99999999999": "must be at most 1000000000",
    "training.eval_every=1e308": "must be at most 1000000000",
    "output_dir=" + "x" * 300: "File name too long; use a shorter one",
    "output_dir=y/" + "x" * 300: "File name too long; use a shorter one",
    "x" * 300 + "=1": "a key has at most 200 characters",
    "seed=" + "x" * 1_000_000: "a word has at most 20,000 characters",
    "a=" + "{a:" * 300 + "1" + "}" * 300: "more than 30 brackets inside one another",
    "seed=\0": "holds the character NUL",
    "output_dir=\udcff": "is not UTF-8",
    "=x": "=x: must have the form key=value",
    "a==b": "a==b: must have the form key=value",
    "seed={b:{c:1}}": "must be a whole number",
    "--config-dir=" + "x" * 300: "File name too long; use a shorter one",
    "--cfg=job --package=nowhere": "--package=nowhere: the configuration has no such part",
    "-m seed=range(0)": "the multirun is empty",
    "-m norm=glob(nope*)": "the multirun is empty",
}


@pytest.mark.parametrize("words", WRONG, ids=lambda words: ascii(words[:60]))
def test_a_mistake_is_one_line_and_status_2(words: str, bnexp, tmp_path: Path) -> None:
    done = bnexp("train", *words.split(" "))
    assert_refused(done, WRONG[words])
    assert list(tmp_path.iterdir()) == []


OTHER_COMMANDS = {
    ("list", "kaiming"): "kaiming: there is no such group; write bnexp list init he",
    ("list", "init", "kaiming"): "kaiming: the group init has no such choice; write bnexp list init he",
    ("list", "lr"): "lr: there is no such group; write bnexp list optimizer",
    ("list", "optim"): "optim: there is no such group; write bnexp list optimizer",
    ("list", "seed"): "seed: there is no such group; choose from activation,",
    ("summary", "norm=bn"): "norm=bn: norm has no such choice; write norm=batch",
    ("check", "--lr", "0.1"): "--lr 0.1: bnexp check has no such flag; write optimizer.lr=0.1",
    ("inspect", "nonlinearity=swish"): "nonlinearity=swish: there is no such key; write activation=silu",
    ("study", "case_study", "bs=32"): "bs=32: there is no such key; write training.batch_size=32",
    ("study", "case_study", "--epochs", "3"): "--epochs 3: bnexp study has no such flag; write training.epochs=3",
    ("dashboard", ".", "--port=" + "9" * 5000): "must be a whole number from 1 to 65535",
    ("compare", "x" * 300): "File name too long; use a shorter one",
    ("status", "loop"): "loop: ",
    ("clean", "a\0b"): "holds the character NUL",
    ("landscape", "x", "--grid=" + "9" * 5000): "must be a whole number",
}


@pytest.mark.parametrize("words", OTHER_COMMANDS, ids=lambda words: ascii(" ".join(words)[:60]))
def test_a_mistake_in_the_words_of_other_commands_is_one_line(words: tuple[str, ...], bnexp, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert_refused(bnexp(*words), OTHER_COMMANDS[words])
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Places where no run folder can be."""
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(
    "place", ["file", "file/below", "dangling", "dangling/below", "loop", "loop/below", "/dev/null"]
)
def test_an_output_dir_that_cannot_be_one_is_named(place: str, bnexp, places: Path) -> None:
    before = sorted(places.rglob("*"))
    done = bnexp("train", "model=mlp", "model.hidden=[4]", "training.epochs=1", f"output_dir={place}")
    assert_refused(done, place.split("/below")[0])
    assert sorted(places.rglob("*")) == before


CLOSED = {
    "list >&-": (0, ""),
    "list 2>&-": (0, ""),
    "list >&- 2>&- <&-": (0, ""),
    "list >/dev/full": (1, "bnexp: standard output cannot be written: No space left on device\n"),
    "summary --json >/dev/full": (1, "bnexp: standard output cannot be written: No space left on device\n"),
    "train norm=bacth 2>/dev/full": (2, ""),
    "train norm=bacth 2>&-": (2, ""),
}


@pytest.mark.parametrize("line", CLOSED)
def test_streams_that_are_full_or_closed_end_in_no_traceback(line: str, tmp_path: Path) -> None:
    run = f"{shlex.join(command())} {line}"
    done = subprocess.run(["bash", "-c", run], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == CLOSED[line]
    assert list(tmp_path.iterdir()) == []


def assert_refused(done, message: str) -> None:
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_the_process_ends_with_status_2(tmp_path: Path) -> None:
    done = subprocess.run(command("train", "norm=bacth"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert_refused(done, "norm has no such choice; did you mean 'batch'?")
    assert list(tmp_path.iterdir()) == []


def test_a_cuda_device_that_is_absent_is_refused(bnexp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    done = bnexp("train", "training.device=cuda")
    assert_refused(done, "training.device=cuda: this machine has 0 such devices; use training.device=auto or cpu")
    assert list(tmp_path.iterdir()) == []


def test_published_data_that_are_absent_offline_are_asked_for_in_one_line(tmp_path: Path) -> None:
    # A process of its own: urllib remembers the proxies of its first request.
    nowhere = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    words = command("train", "dataset=cifar10", f"dataset.root={tmp_path}/data")
    done = subprocess.run(words, cwd=tmp_path, env=nowhere, capture_output=True, text=True, check=False)
    assert_refused(done, f"{tmp_path}/data")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for index in range(12):
                Image.new("RGB", (8, 8), (index, 0, 0)).save(root / split / name / f"{index}.png")
    return root


def test_an_empty_class_folder_is_named(bnexp, images: Path, tmp_path: Path) -> None:
    (images / "train" / "eel").mkdir()
    (images / "test" / "eel").mkdir()
    assert_refused(bnexp("train", "dataset=image_folder", f"dataset.root={images}"), "eel")
    assert not (tmp_path / "outputs").exists()


def test_a_corrupt_image_is_named(bnexp, images: Path, tmp_path: Path) -> None:
    (images / "train" / "cat" / "3.png").write_bytes(b"no image")
    assert_refused(bnexp("train", "dataset=image_folder", f"dataset.root={images}"), "3.png")
    assert not (tmp_path / "outputs").exists()


def test_class_lists_that_differ_are_named(bnexp, images: Path, tmp_path: Path) -> None:
    (images / "test" / "dog").rename(images / "test" / "wolf")
    assert_refused(bnexp("train", "dataset=image_folder", f"dataset.root={images}"), "'dog' is in train/ only")
    assert not (tmp_path / "outputs").exists()


CSV_MISTAKES = {
    "missing target": ("a,b,y\n" + "1,2,0\n3,4,1\n" * 20, "label", "label"),
    "constant target": ("a,b,y\n" + "1,2,0\n3,4,0\n" * 20, "y", "y"),
    "text in a number column": ("a,b,y\n" + "1,2,0\n3,4,1\n" * 20 + "oops,5,1\n", "y", "oops"),
}


@pytest.mark.parametrize("mistake", CSV_MISTAKES)
def test_a_mistake_in_a_table_is_named(mistake: str, bnexp, tmp_path: Path) -> None:
    content, target, named = CSV_MISTAKES[mistake]
    (tmp_path / "table.csv").write_text(content)
    done = bnexp("train", "dataset=csv", "dataset.path=table.csv", f"dataset.target={target}", "model=mlp")
    assert_refused(done, named)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("content", [b"_target_: [unclosed", b"\xff\xfe\x00"], ids=["syntax", "bytes"])
def test_a_yaml_file_that_cannot_be_read_is_named(content: bytes, bnexp, tmp_path: Path) -> None:
    (tmp_path / "mine" / "norm").mkdir(parents=True)
    (tmp_path / "mine" / "norm" / "odd.yaml").write_bytes(content)
    assert_refused(bnexp("train", "--config-dir", "mine", "norm=odd"), "odd.yaml")
    assert not (tmp_path / "outputs").exists()


TARGETS = [
    "os.system",
    "builtins.open",
    "bnexp.cli.main.main",
    "bnexp.data.cache.os.remove",
    "torch.hub.load",
    "torch.optim.SGD",
    "subprocess.run",
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_outside_the_allowed_packages_is_refused(target: str, bnexp, tmp_path: Path) -> None:
    (tmp_path / "mine" / "norm").mkdir(parents=True)
    (tmp_path / "mine" / "norm" / "evil.yaml").write_text(f"_target_: {target}\ncommand: touch canary\n")
    done = bnexp("train", "--config-dir", "mine", "norm=evil")
    assert_refused(done, f"norm._target_={target} is outside what a config may call")
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: &a [*a]", "holds itself"),
        ("[" * 5000 + "]" * 5000, "is nested more than 100 levels deep"),
        ("a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)), "100,000 values"),
        ("eps: 1" + "0" * 1_000_000, "has more than 1,000,000 bytes"),
    ],
    ids=["itself", "deep", "aliases", "long"],
)
def test_a_yaml_file_beyond_all_bounds_is_named(content: str, message: str, bnexp, tmp_path: Path) -> None:
    (tmp_path / "mine" / "norm").mkdir(parents=True)
    (tmp_path / "mine" / "norm" / "odd.yaml").write_text(content)
    done = bnexp("train", "--config-dir", "mine", "norm=odd")
    assert_refused(done, message)
    assert "odd.yaml" in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint.pt", ".lock", "result.json"])
def test_a_folder_in_the_place_of_a_runs_file_is_named(name: str, bnexp, tmp_path: Path) -> None:
    words = ["model=mlp", "model.hidden=[4]", "dataset=breast_cancer", "training.epochs=1"]
    assert bnexp("train", *words).returncode == 0
    [folder] = tmp_path.glob("outputs/*/*")
    for file in folder.iterdir():
        file.unlink()
    (folder / name).mkdir()
    done = bnexp("train", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"bnexp: {folder.relative_to(tmp_path) / name} is a folder, and a file of the run")
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_pickle_is_no_state_dict_and_is_not_run(bnexp, tmp_path: Path) -> None:
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"weight": CodeInAPickle()}))
    done = bnexp("train", "model.weights=weights.pkl")
    assert_refused(done, "model.weights=weights.pkl cannot be read as a state_dict")
    assert not (tmp_path / "canary").exists()


class CodeInAPickle:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch canary",)


def test_a_folder_that_is_moved_while_it_trains_is_named(
    bnexp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RunFolder.append_row

    def move_and_append(folder: RunFolder, row) -> None:
        folder.path.rename(tmp_path / "elsewhere")
        append(folder, row)

    monkeypatch.setattr(RunFolder, "append_row", move_and_append)
    done = bnexp("train", "model=mlp", "model.hidden=[4]", "training.epochs=1", "signals=off")
    assert done.returncode == 1
    assert "was moved or removed while the run trained; the same command trains it again" in done.stdout
    assert "traceback" not in done.stdout + done.stderr


def test_commands_that_are_suggested_can_be_given_to_a_shell(bnexp, tmp_path: Path) -> None:
    place = "it's my runs"
    words = ["model=mlp", "model.hidden=[4]", "training.epochs=1", "signals=off", f'output_dir="{place}"']
    said = {
        "dashboard": bnexp("train", *words).stdout,
        "compare": bnexp("train", "-m", *words, "seed=0,1").stdout,
    }
    for command_name, out in said.items():
        [line] = [line for line in out.splitlines() if line.startswith("next:")]
        program, name, path = shlex.split(line.removeprefix("next:"))
        assert (program, name, Path(path).parts[0]) == ("bnexp", command_name, place)
