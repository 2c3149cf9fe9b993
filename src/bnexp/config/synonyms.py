"""The field's words: what other tools and papers call bnexp's groups, choices, keys and values.

One table for error lines and completion. It knows no parser and reads no file; a test looks up all that it names.
Case, hyphens, underscores and the module in front of a class do not matter: ``nn.BatchNorm2d`` is ``batchnorm2d`` here.
Where a word of the field has no counterpart, :data:`ABSENT` says so, because a neighbour in spelling would mislead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cache

from bnexp.errors import did_you_mean

GROUPS = {
    "dataset": "data dataset datasets task",
    "model": "arch architecture net network backbone models",
    "activation": "act activations activation_fn activation_function nonlinearity non_linearity transfer_function",
    "init": "initializer initialiser initialization initialisation weight_init init_scheme inits kernel_initializer",
    "norm": "normalization normalisation normalizer norm_layer norms",
    "optimizer": "opt optim optimiser optimizers solver",
    "schedule": "scheduler lr_scheduler lr_schedule sched schedules lr_policy annealing",
    "loss": "criterion loss_fn loss_function objective losses",
    "augment": "augmentation augmentations data_augmentation aug transform transforms",
    "noise": "noises noise_injection gaussian_noise",
    "training": "train trainer train_cfg hparams fit",
    "evaluation": "eval evaluate evaluator",
    "signals": "signal monitor monitoring logging diagnostics",
}
"""Each group with its other names."""

KEYS = {
    "optimizer.lr=": "lr learning_rate eta step_size base_lr initial_lr init_lr max_lr learn_rate lr_init",
    "optimizer.momentum=": "momentum mu mom",
    "norm.momentum=": "momentum bn_momentum running_momentum norm_momentum",
    "optimizer.beta1=… optimizer.beta2=…": "beta betas adam_betas",
    "optimizer.beta1=": "beta1 beta_1 adam_beta1",
    "optimizer.beta2=": "beta2 beta_2 adam_beta2",
    "optimizer.alpha=": "rho smoothing_constant",
    "optimizer.weight_decay=": "weight_decay wd l2 l2_reg l2_regularization weight_decay_rate reg",
    "optimizer.eps=": "epsilon adam_eps adam_epsilon",
    "norm.eps=": "epsilon bn_eps norm_eps",
    "norm.num_groups=": "num_groups groups gn_groups",
    "training.batch_size=": "batch_size bs batch minibatch minibatch_size train_batch_size per_device_train_batch_size",
    "evaluation.batch_size=": "eval_batch_size test_batch_size val_batch_size per_device_eval_batch_size",
    "training.epochs=": "epochs epoch num_epochs n_epochs max_epochs nb_epochs nepoch num_train_epochs total_epochs",
    "training.eval_every=": "eval_every check_val_every_n_epoch",
    "training.eval_every=…": "eval_interval val_interval val_check_interval eval_freq eval_steps",
    "training.device=": "device accelerator",
    "training.device=cuda": "gpu gpus cuda use_cuda use_gpu num_gpus gpu_id",
    "training.device=cpu": "cpu no_cuda no_gpu",
    "training.device=mps": "mps metal apple",
    "training.precision=": "precision dtype matmul_precision",
    "training.precision=bf16": "amp fp16 bf16 half mixed_precision autocast float16 bfloat16 use_amp",
    "training.precision=tf32": "tf32 allow_tf32",
    "training.precision=fp32": "fp32 float32 full_precision",
    "training.threads=": "threads num_threads n_threads omp_num_threads cpus n_jobs",
    "training.label_smoothing=": "label_smoothing smoothing smooth",
    "training.gradient_clip=": (
        "gradient_clip grad_clip clip clip_grad clip_grad_norm max_grad_norm grad_norm_clip gradient_clip_val "
        "gradient_clipping clipping clipnorm"
    ),
    "training.early_stopping=": "early_stopping patience early_stop earlystopping es_patience",
    "training.deterministic=": "deterministic reproducible cudnn_deterministic",
    "training.timeout=": "timeout time_limit max_time max_seconds",
    "training.compile=": "compile torch_compile jit",
    "training.replicas=": "replicas repeats num_seeds n_seeds num_runs repetitions",
    "model.dropout=": "dropout p_drop drop dropout_rate drop_rate p_dropout drop_prob dropout_p",
    "model.depth=": "depth layers num_layers n_layers nlayers num_hidden_layers n_hidden_layers hidden_layers",
    "model.width=": (
        "width hidden channels hidden_size hidden_dim num_hidden n_hidden hidden_units units num_channels filters "
        "num_filters base_width widen_factor n_units d_model"
    ),
    "model.hidden=": "layer_sizes hidden_sizes hidden_dims hidden_layer_sizes",
    "model.parameters=": "num_parameters num_params n_params parameter_count",
    "model.weights=": "weights pretrained checkpoint ckpt ckpt_path state_dict resume_from load_from weights_path",
    "model.freeze=": "freeze frozen freeze_layers",
    "model.norm_position=": "norm_position bn_position norm_placement",
    "init.gain=": "gain init_gain",
    "loss.gamma=": "focal_gamma",
    "loss.margin=": "margin",
    "schedule.gamma=": "lr_gamma lr_decay decay_rate",
    "schedule.milestones=": "milestones",
    "schedule.milestones=…": "lr_steps decay_steps lr_milestones",
    "schedule.warmup=": "warmup warmup_ratio warm_up",
    "schedule.warmup=…": "warmup_epochs warmup_steps num_warmup_steps",
    "augment.alpha=": "mixup_alpha",
    "augment.padding=": "padding crop_padding",
    "noise.input=": "input_noise",
    "noise.weight=": "weight_noise",
    "noise.gradient=": "gradient_noise grad_noise",
    "dataset.path=": "path csv_path data_path csv_file data_file",
    "dataset.root=": "root data_dir data_root datadir dataset_dir root_dir",
    "dataset.target=": "target label target_column label_column",
    "dataset.drop=": "drop_columns drop_cols ignore_columns",
    "dataset.image_size=": "image_size img_size resize imgsz input_size resolution",
    "dataset.subset=": "subset train_fraction fraction",
    "dataset.val_fraction=": "val_fraction val_split validation_split val_size val_ratio validation_fraction",
    "dataset.test_fraction=": "test_fraction test_split test_size test_ratio",
    "dataset.num_examples=": "num_examples n_examples num_samples n_samples",
    "dataset.label_noise=": "label_noise noisy_labels label_noise_rate",
    "dataset.scaling=": "scaling standardize input_scaling feature_scaling",
    "evaluation.statistics=": "bn_statistics test_statistics track_running_stats",
    "signals.probe_size=": "probe_size probe",
    "seed=": "seed random_seed random_state rng_seed manual_seed randomseed global_seed torch_seed",
    "output_dir=": "output_dir outdir out out_dir save_dir log_dir logdir results_dir run_dir savedir save_path output",
    "rerun=": "rerun overwrite force",
    "rerun=true": "restart retrain no_cache",
    "optimizer=nesterov": "use_nesterov",
}
"""What stands on the command line, with the words for it. Where a key has several, the first is the most usual one."""

CHOICES = {
    "dataset=cifar10": "cifar cifar_10",
    "dataset=cifar100": "cifar_100",
    "dataset=fashion_mnist": "fashion fmnist fashionmnist",
    "dataset=image_folder": "imagefolder images folder own_images image_dataset_from_directory",
    "dataset=csv": "table tabular dataframe pandas own_table csv_file",
    "dataset=breast_cancer": "wdbc cancer breastcancer load_breast_cancer wisconsin",
    "dataset=credit": "german_credit credit_risk credit_g credit_default",
    "dataset=digits": "load_digits optdigits sklearn_digits",
    "model=convnet": "cnn conv convnets conv_net convolutional simple_cnn plain_cnn allcnn lenet",
    "model=mlp": "fcn fc dense perceptron fully_connected fcnn dnn feedforward ffn multilayer_perceptron",
    "model=resnet": "residual res_net residual_network",
    "model=resnet model.depth=20": "resnet20 resnet18",
    "model=resnet model.depth=32": "resnet32 resnet34",
    "model=resnet model.depth=44": "resnet44",
    "model=resnet model.depth=56": "resnet56 resnet50",
    "model=resnet model.depth=110": "resnet110 resnet101",
    "model=resnet model.width=…": "wideresnet wrn",
    "model=vgg model.depth=11": "vgg11 vgg11_bn",
    "model=vgg model.depth=13": "vgg13 vgg13_bn",
    "model=vgg model.depth=16": "vgg16 vgg16_bn",
    "model=vgg model.depth=19": "vgg19 vgg19_bn",
    "model=googlenet": "inception inception_v1 google_net",
    "model=vgg": "vgg_net",
    "activation=silu": "swish swish1",
    "activation=leaky_relu": "lrelu leaky",
    "activation=sigmoid": "logistic sigm logsig expit",
    "activation=relu": "rectifier rectified_linear rectified_linear_unit relu_",
    "activation=tanh": "hyperbolic_tangent tansig",
    "activation=gelu": "gelu_new gaussian_error_linear_unit",
    "init=he": "kaiming kaiming_normal he_normal he_init msra msra_fill kaiming_he",
    "init=xavier": "glorot xavier_normal xavier_init glorot_init",
    "init=lecun": "lecun_normal",
    "init=default": "pytorch torch none framework torch_default pytorch_default",
    "init=he_uniform": "kaiming_uniform msra_uniform",
    "init=random_normal": "normal gaussian normal_init randn",
    "init=random_uniform": "uniform rand uniform_init",
    "init=truncated_normal": "trunc_normal truncnormal truncated_gaussian trunc",
    "init=identity": "eye dirac",
    "init=orthogonal": "ortho saxe orthogonal_init",
    "init=delta_orthogonal": "conv_delta_orthogonal",
    "init=zeros": "zero all_zeros",
    "init=ones": "one all_ones",
    "init=constant": "const fill",
    "init=lsuv": "layer_sequential_unit_variance",
    "norm=batch": "bn batchnorm batch_normalization",
    "norm=layer": "ln layernorm layer_normalization",
    "norm=group": "gn groupnorm group_normalization",
    "norm=instance": "in instancenorm instance_normalization",
    "norm=rms": "rmsnorm rms_norm root_mean_square",
    "norm=weight": "wn weightnorm weight_normalization",
    "norm=spectral": "sn spectralnorm spectral_normalization",
    "norm=filter_response": "frn filterresponse filter_response_normalization",
    "norm=sync_batch": "sync syncbn sync_bn sync_batch_norm synchronized_batch_norm",
    "norm=ghost_batch": "gbn ghost ghost_bn ghost_batch_norm",
    "norm=batch_group": "bgn batch_group_norm",
    "norm=centered_weight": "cwn centered_weight_norm",
    "norm=none": "identity null off no false without nothing disabled",
    "optimizer=momentum": "sgdm sgd_momentum heavy_ball msgd polyak sgd_with_momentum",
    "optimizer=nesterov": "nag sgd_nesterov nesterov_momentum accelerated_gradient",
    "optimizer=gd": "gradient_descent batch_gradient_descent full_batch bgd",
    "optimizer=sgd": "stochastic_gradient_descent vanilla_sgd plain_sgd",
    "optimizer=rmsprop": "rms_prop",
    "optimizer=asgd": "averaged_sgd average_sgd",
    "optimizer=adamw": "adam_w decoupled_adam",
    "loss=cross_entropy": (
        "ce crossentropy xent nll nll_loss softmax log_loss softmax_cross_entropy categorical_crossentropy "
        "sparse_categorical_crossentropy negative_log_likelihood logloss bce binary_crossentropy"
    ),
    "loss=mse": "l2 squared squared_error mean_squared_error quadratic brier euclidean",
    "loss=hinge": "svm multi_margin margin max_margin multiclass_hinge",
    "loss=focal": "focal_loss sigmoid_focal",
    "schedule=constant": "none fixed flat off null no false constant_lr",
    "schedule=cosine": "cosine_annealing cos cosine_decay cosineannealing cosine_lr half_cosine annealing",
    "schedule=one_cycle": "onecycle 1cycle one_cycle_lr super_convergence",
    "schedule=step": "steplr multistep multi_step multisteplr step_decay piecewise piecewise_constant exponential_step",
    "augment=crop_flip": (
        "crop randomcrop random_crop standard cifar crop_and_flip pad_crop_flip random_resized_crop true basic"
    ),
    "augment=flip": "hflip random_horizontal_flip horizontal_flip mirror fliplr random_flip",
    "augment=cutout": "random_erasing erasing cut_out",
    "augment=mixup": "mix_up mix",
    "augment=none": "off null no false",
    "signals=off": "none no false null",
    "signals=full": "all everything true",
}
"""The choices, and the words that say the same, with their other names in the group."""

VALUES = {
    "training.precision": {
        "bf16": "fp16 half float16 bfloat16 amp mixed 16 16_mixed bf16_mixed autocast",
        "tf32": "tensorfloat32 high",
        "fp32": "float32 float single 32 full highest 32_true fp64 double float64",
    },
    "training.graph": {"on": "true yes", "off": "false no none"},
    "training.batch_size": {"full": "all whole max"},
    "training.threads": {"auto": "null none all max default"},
    "evaluation.batch_size": {"full": "all whole max"},
    "evaluation.statistics": {"running": "moving ema average eval", "precise": "population true", "batch": "train"},
    "dataset.scaling": {
        "standardized": "standard standardize zscore z_score standardscaler normalize normalized true",
        "unit": "minmax min_max minmaxscaler 01 rescale",
        "raw": "none false null off no",
    },
    "dataset.decimal": {"point": "dot .", "comma": ","},
    "model.norm_position": {"before": "pre pre_activation", "after": "post post_activation"},
    "model.dropout_position": {"output": "last head classifier", "before_norm": "before", "after_norm": "after"},
    "init.mode": {"fan_in": "in fanin", "fan_out": "out fanout", "fan_avg": "avg average fanavg"},
    "init.distribution": {"truncated_normal": "truncated trunc_normal", "untruncated_normal": "normal gaussian"},
}
"""Keys that take one of a few words, with the other names of these."""

METRIC_PARTS = {
    **dict.fromkeys(("acc", "top1", "score", "accuracies"), "accuracy"),
    **dict.fromkeys(("losses", "ce", "nll", "xent"), "loss"),
    **dict.fromkeys(("validation", "valid", "dev", "validate"), "val"),
    **dict.fromkeys(("training", "tr"), "train"),
    **dict.fromkeys(("testing", "heldout"), "test"),
}
"""What the parts of a metric's name are called elsewhere: ``val_acc`` is ``val/accuracy``."""

REMARKS = {
    "init=he": "Kaiming's normal; init=he_uniform is the uniform one",
    "init=xavier": "Glorot's normal; init=xavier_uniform is the uniform one",
    "init=lecun": "LeCun's normal; init=lecun_uniform is the uniform one",
    "init=default": "PyTorch's own",
    "training.eval_every=…": "in epochs",
    "schedule.milestones=…": "portions of the whole training",
    "schedule.warmup=…": "the portion of the training over which the learning rate rises",
    "model=resnet model.depth=20": "the residual networks of CIFAR have 6n + 2 layers",
    "model=resnet model.depth=32": "the residual networks of CIFAR have 6n + 2 layers",
    "model=resnet model.depth=56": "the residual networks of CIFAR have 6n + 2 layers",
    "model=resnet model.depth=110": "the residual networks of CIFAR have 6n + 2 layers",
}
"""What tells some of these words from what may have been meant."""

ABSENT = {
    "num_workers workers dataloader_workers pin_memory prefetch prefetch_factor persistent_workers": (
        "bnexp has none, because the data set lies in memory as one tensor"
    ),
    "shuffle": "bnexp has none, because every epoch has an order of its own",
    "drop_last": "bnexp has none, because an incomplete last batch is always left out",
    "seeds": "one run takes one seed, seed=N; bnexp train -m 'seed=range(N)' trains several",
    "keep_prob": "bnexp has none; model.dropout is the probability to drop",
    "steps max_steps num_steps n_steps iterations iters max_iter num_iterations train_steps": (
        "bnexp has none; training.epochs says how long a run trains"
    ),
    "accumulate_grad_batches gradient_accumulation_steps grad_accum": (
        "bnexp has none; training.batch_size is the whole batch of a step"
    ),
    "dampening amsgrad lookahead ema swa": "bnexp has none",
    "selu prelu mish softplus celu relu6 hardswish elish": "bnexp has none",
    "lamb lars lion lbfgs adafactor muon shampoo sam adabound": "bnexp has none",
    "transformer vit bert gpt rnn lstm gru unet densenet mobilenet efficientnet alexnet": "bnexp has none",
    "imagenet svhn kmnist emnist stl10 tinyimagenet iris wine": (
        "bnexp has none; your own data are dataset=csv or dataset=image_folder"
    ),
    "sparse": "bnexp has none",
    "mae l1 l1_loss huber smooth_l1 kl kl_div triplet contrastive arcface": "bnexp has none",
    "plateau reducelronplateau polynomial linear_schedule exponential_lr": "bnexp has none",
    "autoaugment randaugment trivialaugment cutmix colorjitter random_rotation": "bnexp has none",
}
"""What there is not, and why or what there is instead."""

AFFIXES = {
    "norm": ("normalization", "normalisation", "norm", "1d", "2d", "3d", "layer"),
    "loss": ("loss", "criterion"),
    "schedule": ("lr", "scheduler", "schedule", "decay"),
    "optimizer": ("optimizer", "optimiser"),
    "activation": ("activation",),
    "init": ("initializer", "initialization", "init", "weights", "v2", "v1"),
    "augment": ("augmentation", "augment"),
    "dataset": ("dataset", "data"),
    "model": ("model", "network"),
}
"""What the names of classes begin or end with, and what is left where it is taken away: ``CosineAnnealingLR``."""


def plain(word: str) -> str:
    """Return a word without what does not matter in it."""
    return re.sub(r"[^a-z0-9]", "", word.rpartition(".")[2].casefold()) or word


def group_called(word: str, known: Collection[str]) -> str | None:
    """Return the group of that name, or that a word of the field means; None where it means none."""
    wanted = plain(word)
    found = _same(wanted, known) or _table_of_groups().get(wanted)
    return found if found is not None and found in known else None


def choice_called(group: str, word: str, known: Collection[str]) -> str | None:
    """Return the words of a command line that choose what ``word`` means in ``group``; None where it means nothing.

    ``known`` are the group's choices.
    """
    for name in _without_affixes(plain(word), AFFIXES.get(group, ())):
        if (same := _same(name, known)) is not None:
            return f"{group}={same}"
        found = _table_of_choices().get(group, {}).get(name)
        if found is not None and found.partition(" ")[0].removeprefix(f"{group}=") in known:
            return found
    return None


def value_called(key: str, value: str, known: Collection[str]) -> str | None:
    """Return which of the ``known`` values of ``key`` a word means; None where it means none."""
    wanted = plain(value)
    names = VALUES.get(key, {})
    found = _same(wanted, known) or next((own for own, others in names.items() if wanted in _plain_words(others)), None)
    return found if found is not None and found in known else None


def value_hint(key: str, value: object, known: Collection[str]) -> str:
    """Return the hint for a value that is none of the few that ``key`` takes."""
    names = list(known)
    found = value_called(key, str(value), names)
    return f"; write {key}={found}" if found is not None else did_you_mean(str(value), names)


def keys_called(word: str) -> list[str]:
    """Return what stands on a command line for a key that the field calls ``word``, the most usual first.

    See :data:`KEYS`: what ends with ``=`` takes the value, what ends otherwise is whole.
    """
    return _table_of_keys().get(plain(word), [])


def setting_called(word: str, known: Collection[str]) -> str | None:
    """Return which of the ``known`` groups and dotted keys a word means; None where it means none of them."""
    leaf = plain(word)
    group = group_called(word, known)
    keys = [words.partition("=")[0] for words in keys_called(word)] + [key for key in known if plain(key) == leaf]
    return group or next((key for key in keys if key in known), None)


def metric_called(word: str, known: Collection[str]) -> str | None:
    """Return which of the ``known`` metrics a word means: ``val_acc``, ``test-loss``; else of the test set."""
    parts = {METRIC_PARTS.get(part, part) for part in re.split(r"[^a-z0-9]+", word.casefold()) if part}
    by_parts = {frozenset(metric.split("/")): metric for metric in known}
    return by_parts.get(frozenset(parts)) or by_parts.get(frozenset(parts | {"test"}))


def absence_of(word: str) -> str | None:
    """Say that there is no such thing as ``word`` here, if that is known."""
    return _table_of_absences().get(plain(word))


def names_beginning(group: str, beginning: str, known: Collection[str]) -> list[str]:
    """Return the choices among ``known`` that have another name with this beginning; the one whose whole name it is."""
    if not beginning:
        return []
    exact = choice_called(group, beginning, known)
    wanted = plain(beginning)
    words = [own for name, own in _table_of_choices().get(group, {}).items() if name.startswith(wanted)]
    chosen = dict.fromkeys(own.removeprefix(f"{group}=") for own in ([exact] if exact else words) if " " not in own)
    return [name for name in chosen if name in known]


def keys_beginning(beginning: str) -> dict[str, list[str]]:
    """Return the other names of keys and groups with this beginning, each with what it stands for on a command line.

    With one or two letters begin too many that nobody means.
    """
    names = {name: [f"{group}="] for name, group in _table_of_groups().items()} | _table_of_keys()
    wanted = plain(beginning)
    return {name: words for name, words in names.items() if len(wanted) > 2 and name.startswith(wanted)}


def _same(wanted: str, known: Collection[str]) -> str | None:
    return next((name for name in known if plain(name) == wanted), None)


def _without_affixes(word: str, affixes: Sequence[str]) -> Iterator[str]:
    """Yield a word, and what is left of it with fewer and fewer of the affixes."""
    found = [word]
    for name in found:
        yield name
        shorter = (part for affix in affixes for part in (name.removesuffix(affix), name.removeprefix(affix)))
        found += [part for part in dict.fromkeys(shorter) if part and part not in found]


def _plain_words(text: str) -> list[str]:
    return [plain(word) for word in text.split()]


@cache
def _table_of_groups() -> dict[str, str]:
    return {name: group for group, names in GROUPS.items() for name in _plain_words(names)}


@cache
def _table_of_choices() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    for words, names in CHOICES.items():
        table.setdefault(words.partition("=")[0], {}).update(dict.fromkeys(_plain_words(names), words))
    return table


@cache
def _table_of_keys() -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for words, names in KEYS.items():
        for name in _plain_words(names):
            table.setdefault(name, []).append(words)
    return table


@cache
def _table_of_absences() -> dict[str, str]:
    return {name: line for names, line in ABSENT.items() for name in _plain_words(names)}
