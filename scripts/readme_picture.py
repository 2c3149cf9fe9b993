"""Draw the README's picture: validation accuracy of a deep ConvNet for three inits, with and without batch norm.

    bnexp train -m init=default,xavier,he norm=none,batch model.depth=8 'seed=range(5)'
    python scripts/readme_picture.py outputs docs/images/digits_depth8.png

Reads run folders only. Lines are means over seeds, bands go from the lowest seed to the highest.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import yaml

# Okabe & Ito's colours, which colour-blind people can tell apart.
COLOURS = {"default": "#D55E00", "xavier": "#0072B2", "he": "#009E73"}


def main(outputs: Path, picture: Path) -> None:
    curves: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for file in sorted(outputs.glob("*/*/config.yaml")):
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        if config["choices"]["model"] != "convnet" or config["model"]["depth"] != 8:
            continue
        rows = [json.loads(line) for line in (file.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        curves[config["choices"]["init"], config["choices"]["norm"]].append([row["val/accuracy"] for row in rows])

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for panel, norm in zip(axes, ("none", "batch"), strict=True):
        for init, colour in COLOURS.items():
            runs = np.array(curves[init, norm])  # (num_seeds, num_epochs)
            epochs = np.arange(1, runs.shape[1] + 1)
            panel.plot(epochs, runs.mean(0), color=colour, label=f"init={init} (n = {len(runs)})", linewidth=2)
            panel.fill_between(epochs, runs.min(0), runs.max(0), color=colour, alpha=0.2, linewidth=0)
        panel.set(title=f"norm={norm}", xlabel="epoch", ylim=(0, 1.02))
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("validation accuracy")
    axes[1].legend(loc="lower right")
    figure.suptitle("Digits, ConvNet with 8 layers: mean and range over seeds", fontsize=11)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
