"""The field's words for bnexp's: what papers, PyTorch, Keras and other tools call a group, a choice, a key, a metric.

Tables alone; :mod:`bnexp.config.meaning` looks words up in them. Upper and lower case, hyphens, underscores and dots do
not matter, so that each word stands here once. Every word leads to one that exists, and one that would only half fit
leads nowhere: a wrong hint is worse than none.
"""

from __future__ import annotations

GROUPS = {
    "dataset": "data data_set",
    "model": "arch architecture backbone net network",
    "activation": "act act_fn activation_fn activation_function nonlinearity non_linearity",
    "init": "initialization initialisation initializer initialiser kernel_initializer weight_init",
    "norm": "norm_layer norm_type normalization normalisation normalizer",
    "optimizer": "opt optim optimiser solver",
    "schedule": "lr_decay lr_policy lr_schedule lr_scheduler scheduler",
    "loss": "criterion cost_function loss_fn loss_function objective",
    "augment": "aug augmentation augmentations data_augmentation transform transforms",
    "training": "trainer",
    "evaluation": "eval",
}

_NORMS = "{0}norm {0}normalization {0}normalisation"
_LAYERS = "{0}norm1d {0}norm2d {0}norm3d"
_NOTHING = "null off no false nothing"

CHOICES = {
    "dataset": {
        "cifar10": "cifar",
        "fashion_mnist": "fashion fmnist",
        "breast_cancer": "breast wisconsin wdbc",
        "credit": "credit_card credit_default uci_credit default_of_credit_card_clients",
        "csv": "csv_file dataframe pandas table tabular",
        "image_folder": "folder images",
        "digits": "sklearn_digits load_digits optdigits",
    },
    "model": {
        "convnet": "cnn conv convolutional plain plain_cnn simple_cnn",
        "mlp": "dense dnn fc fcn fcnn feedforward ffn fully_connected multilayer_perceptron perceptron",
        "resnet": "residual residual_network",
        "googlenet": "inception inception_v1",
        **{f"resnet model.depth={depth}": f"resnet{depth}" for depth in (20, 32, 44, 56, 110)},
        **{f"vgg model.depth={depth}": f"vgg{depth}" for depth in (11, 13, 16, 19)},
        **{f"vgg model.depth={depth} norm=batch": f"vgg{depth}_bn" for depth in (11, 13, 16, 19)},
    },
    "activation": {
        "silu": "swish swish1",
        "leaky_relu": "lrelu leaky",
        "sigmoid": "logistic sigm",
        "tanh": "hyperbolic_tangent",
        "relu": "rectifier rectified_linear",
        "elu": "exponential_linear",
        "gelu": "gaussian_error_linear",
    },
    "init": {
        "he": "kaiming kaiming_normal kaiming_normal_ he_normal he_et_al msra msra_normal",
        "he_uniform": "kaiming_uniform kaiming_uniform_ msra_uniform",
        "xavier": "glorot xavier_normal xavier_normal_",
        "lecun": "lecun_normal",
        "orthogonal": "ortho orthonormal saxe",
        "truncated_normal": "trunc_normal trunc_normal_",
        "random_normal": "normal normal_ gaussian gauss",
        "random_uniform": "uniform uniform_",
        "identity": "dirac dirac_ eye eye_",
        "constant": "const",
        "zeros": "zero",
        "ones": "one",
        "default": "pytorch torch torch_default pytorch_default",
        "variance_scaling": "vs",
        "data_dependent": "krahenbuhl data_driven",
        "lsuv": "layer_sequential_unit_variance mishkin",
        "fixup": "fixup_init",
        "delta_orthogonal": "delta_ortho",
    },
    "norm": {
        "batch": f"bn {_NORMS.format('batch')} {_LAYERS.format('batch')}",
        "layer": f"ln {_NORMS.format('layer')}",
        "group": f"gn {_NORMS.format('group')}",
        "instance": f"in {_NORMS.format('instance')} {_LAYERS.format('instance')}",
        "rms": f"{_NORMS.format('rms')} root_mean_square",
        "weight": f"wn {_NORMS.format('weight')}",
        "spectral": f"sn {_NORMS.format('spectral')}",
        "sync_batch": f"syncbn {_NORMS.format('syncbatch')} synchronized_batch",
        "ghost_batch": f"gbn ghost {_NORMS.format('ghostbatch')} virtual_batch vbn",
        "filter_response": f"frn {_NORMS.format('filterresponse')}",
        "batch_group": f"bgn {_NORMS.format('batchgroup')}",
        "mean_only_batch": f"mobn mean_only {_NORMS.format('meanonlybatch')}",
        "noisy_batch": f"noisy_bn {_NORMS.format('noisybatch')}",
        "centered_weight": f"cwn centred_weight {_NORMS.format('centeredweight')}",
        "none": f"{_NOTHING} identity no_norm without",
    },
    "optimizer": {
        "sgd": "plain_sgd stochastic_gradient_descent vanilla_sgd",
        "momentum": "heavy_ball momentum_sgd polyak sgd_m sgd_momentum sgd_with_momentum",
        "nesterov": "nag nesterov_momentum sgd_nesterov nesterov_accelerated_gradient",
        "gd": "batch_gd batch_gradient_descent full_batch gradient_descent",
        "adam_uncorrected": "adam_without_bias_correction",
        "adamw": "adam_weight_decay decoupled_adam",
        "asgd": "averaged_sgd",
    },
    "schedule": {
        "constant": "const fixed flat none null off constant_lr",
        "cosine": "cos cosine_annealing cosine_annealing_lr cosine_decay cosine_lr half_cosine",
        "one_cycle": "1cycle one_cycle_lr one_cycle_policy",
        "step": "milestones multi_step multi_step_lr piecewise piecewise_constant step_decay step_lr",
    },
    "loss": {
        "cross_entropy": (
            "bce binary_cross_entropy categorical_cross_entropy ce cross_entropy_loss log_loss negative_log_likelihood "
            "nll nll_loss softmax softmax_cross_entropy sparse_categorical_cross_entropy xe xent"
        ),
        "mse": "l2 l2_loss mean_squared_error mse_loss quadratic squared squared_error",
        "hinge": "hinge_loss margin multi_margin multi_margin_loss svm",
        "focal": "focal_loss",
    },
    "augment": {
        "crop_flip": "crop crop_and_flip random_crop standard",
        "flip": "hflip horizontal_flip mirror random_flip random_horizontal_flip",
        "cutout": "erasing random_erasing",
        "none": f"{_NOTHING} identity without",
    },
    "signals": {"off": "none null no false nothing", "full": "all everything", "auto": "default true"},
}
"""For each group: what to choose, and what it is called elsewhere. Behind a choice may stand further words."""

NOTES = {
    "he": "Kaiming He's normal, in PyTorch kaiming_normal_; Keras' is keras_he_normal",
    "he_uniform": "Kaiming He's uniform",
    "xavier": "Xavier Glorot's normal; the uniform is xavier_uniform",
    "lecun": "LeCun's normal; Keras' is keras_lecun_normal",
    "default": "PyTorch's own for each layer",
    "momentum": "SGD with momentum",
    "nesterov": "SGD with Nesterov momentum",
    "silu": "also called swish",
    "gd": "with training.batch_size=full",
}
"""What to say about a choice whose name alone does not tell that it is the one that was meant."""

KEYS = {
    "optimizer.lr": "lr base_lr eta init_lr initial_lr learning_rate lrate max_lr step_size",
    "optimizer.weight_decay": "decay l2 l2_penalty l2_reg l2_regularization wd weight_decay_rate",
    "optimizer.momentum": "mom momentum mu sgd_momentum",
    "optimizer.beta1": "b1",
    "optimizer.beta2": "b2",
    "optimizer.eps": "adam_epsilon epsilon opt_eps",
    "optimizer.alpha": "smoothing_constant",
    "optimizer.decay_all": "decay_bias decay_norm",
    "training.batch_size": "batch bs batch_size mini_batch mini_batch_size minibatch n_batch train_batch_size",
    "training.epochs": "epoch ep max_epoch max_epochs n_epoch n_epochs num_epoch num_epochs num_train_epochs",
    "training.eval_every": "check_val_every_n_epoch eval_freq eval_frequency eval_interval evaluate_every val_every",
    "training.device": "accelerator cuda gpu gpus",
    "training.precision": "dtype",
    "training.threads": "cpu_threads n_threads num_threads omp_num_threads",
    "training.label_smoothing": "label_smooth smoothing",
    "training.gradient_clip": (
        "clip clip_grad clip_grad_norm clip_gradient clip_norm clipping grad_clip grad_norm_clip gradient_clip_val "
        "gradient_clipping max_grad_norm"
    ),
    "training.early_stopping": "early_stop early_stopping_patience patience",
    "training.deterministic": "cudnn_deterministic determinism",
    "training.timeout": "max_time time_limit wall_time",
    "training.compile": "jit torch_compile",
    "training.graph": "cuda_graph cuda_graphs",
    "training.replicas": "n_replicas num_replicas",
    "evaluation.batch_size": "eval_batch_size test_batch_size val_batch_size",
    "evaluation.statistics": "bn_statistics running_statistics track_running_stats",
    "model.depth": "hidden_layers layers n_hidden_layers n_layers num_hidden_layers num_layers number_of_layers",
    "model.width": (
        "base_width channels dim filters hidden_dim hidden_size hidden_units n_channels n_filters n_hidden n_units "
        "neurons num_channels num_filters num_hidden num_units units"
    ),
    "model.hidden": "hidden_dims hidden_layer_sizes hidden_sizes layer_sizes mlp_layers",
    "model.dropout": "drop drop_prob drop_rate dropout_p dropout_prob dropout_rate p_drop",
    "model.num_stages": "blocks n_stages stages",
    "model.parameters": "n_parameters n_params num_parameters num_params params",
    "model.weights": "checkpoint ckpt load load_from pretrained_weights weights_file",
    "model.freeze": "frozen freeze_layers",
    "norm.momentum": "bn_momentum momentum running_momentum",
    "norm.eps": "bn_eps bn_epsilon epsilon norm_eps",
    "norm.num_groups": "gn_groups groups n_groups",
    "norm.affine": "elementwise_affine learnable",
    "norm.ghost_size": "ghost_batch_size virtual_batch_size",
    "init.gain": "init_gain",
    "activation.negative_slope": "leak leakiness slope",
    "dataset.root": "data_dir data_folder data_path data_root dir directory folder image_dir",
    "dataset.path": "csv csv_file csv_path data_dir data_file data_path file filename",
    "dataset.target": "class_column label label_column labels response target_column y",
    "dataset.drop": "drop_columns exclude_columns ignore_columns",
    "dataset.subset": "fraction subsample subset_fraction train_fraction",
    "dataset.val_fraction": "val_ratio val_size val_split valid_fraction validation_fraction validation_split",
    "dataset.test_fraction": "test_ratio test_size test_split",
    "dataset.label_noise": "flip_labels noise_rate noisy_labels",
    "dataset.scaling": "preprocessing scale scaler standardize standardise standardization",
    "dataset.image_size": "img_size resolution",
    "dataset.num_examples": "n_examples n_samples num_samples",
    "noise.input": "input_noise",
    "noise.weight": "weight_noise",
    "noise.activation": "activation_noise",
    "noise.gradient": "grad_noise gradient_noise",
    "schedule.warmup": "warm_up warmup_fraction warmup_ratio",
    "schedule.gamma": "decay_factor decay_rate lr_gamma",
    "schedule.milestones": "lr_steps",
    "augment.alpha": "mixup_alpha",
    "augment.padding": "crop_padding pad",
    "loss.gamma": "focal_gamma",
    "signals.level": "signal_level",
    "seed": "manual_seed random_seed random_state rng rng_seed torch_seed",
    "output_dir": (
        "exp_dir log_dir logdir out out_dir outdir output outputs result_dir results results_dir run_dir save_dir "
        "save_path work_dir"
    ),
    "rerun": "again force overwrite restart retrain",
}
"""For each key what it is called elsewhere. Of keys that share a word, the first one that the choices have is meant."""

VALUES = {
    "training.device": {
        "cuda": "gpu gpus nvidia true yes on 1",
        **{f"cuda:{index}": f"{index} gpu{index} cuda{index}" for index in (0, 2, 3, 4, 5, 6, 7)},
        "cpu": "false no none off",
    },
    "training.precision": {
        "bf16": "16 16_mixed amp bf16_mixed bfloat16 fp16 float16 half mixed on true yes",
        "fp32": "32 float float32 full false no off single",
        "tf32": "tensorfloat32",
    },
    "training.batch_size": {"full": "all auto whole"},
    "training.graph": {"on": "true yes", "off": "false no none"},
    "signals.level": {"off": "false no none", "full": "all true"},
    "evaluation.statistics": {"batch": "train training", "running": "average averages ema eval true"},
}
"""For keys whose values are words: what to write, and what is written elsewhere."""

SWITCHES = {
    "nesterov": "optimizer=nesterov",
    "cpu": "training.device=cpu",
    "no_cuda": "training.device=cpu",
    **dict.fromkeys(
        ("amp", "autocast", "bf16", "bfloat16", "float16", "fp16", "half", "mixed_precision"), "training.precision=bf16"
    ),
    "tf32": "training.precision=tf32",
}
"""Words that other tools take as a switch of its own (``nesterov=True``), and what says so here."""

COMMANDS = {
    "train": "fit launch run start",
    "train -m": "grid multirun sweep",
    "summary": "describe params parameters torchinfo",
    "inspect": "probe signals",
    "study": "experiment reproduce",
    "list": "choices ls options show",
    "compare": "diff plot results table",
    "status": "jobs progress ps queue watch",
    "clean": "delete gc prune remove rm",
    "landscape": "loss_landscape surface",
    "check": "doctor lint sanity test validate verify",
    "dashboard": "board tb tensorboard ui",
    "completion": "autocomplete complete",
}

STUDY_WORDS = {
    "seeds": "n n_repeats n_runs n_seeds num_repeats num_runs num_seeds repeats replicates runs trials",
    "setting": "config preset scale variant",
    "target": "goal threshold",
}
"""Words of ``bnexp study`` about the study itself."""

METRICS = {
    "test/accuracy": "acc accuracy score test_acc test_accuracy top1",
    "val/accuracy": "dev_accuracy val_acc valid_acc valid_accuracy validation_acc validation_accuracy",
    "train/accuracy": "train_acc training_acc training_accuracy",
    "test/loss": "loss test_loss",
    "val/loss": "valid_loss validation_loss",
    "train/loss": "training_loss",
    "best/val/accuracy": "best best_acc best_accuracy best_val_acc best_val_accuracy",
    "best/test/accuracy": "best_test_acc best_test_accuracy",
}
