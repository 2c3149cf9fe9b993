"""Two small datasets that come with scikit-learn, so that every installation has something to run on.

Their files are read directly, because importing ``sklearn`` takes longer than a short run trains.
"""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import torch

from bnexp.data.dataset import Examples, Source


def digits() -> Source:
    """Handwritten digits: 1,797 images (N, 1, 8, 8) with values 0 to 16, in 10 classes.

    The test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI).
    """
    table = torch.from_numpy(np.loadtxt(_packaged_file("digits.csv.gz"), delimiter=",", dtype=np.uint8))
    examples = Examples(table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].long())
    return Source(examples, classes=tuple("0123456789"), max_level=16)


def breast_cancer() -> Source:
    """Measurements of cell nuclei: 569 rows (N, 30) in 2 classes, malignant and benign.

    "Breast Cancer Wisconsin (Diagnostic)" (Street, Wolberg & Mangasarian 1993, UCI).
    """
    path = _packaged_file("breast_cancer.csv")
    with path.open(encoding="utf-8", newline="") as file:
        _, _, *classes = next(csv.reader(file))  # the header counts the rows and columns, then names the classes
    table = torch.from_numpy(np.loadtxt(path, delimiter=",", skiprows=1))
    return Source(Examples(table[:, :30].contiguous(), table[:, 30].long()), classes=tuple(classes))


def _packaged_file(name: str) -> Path:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None, "scikit-learn is a dependency of bnexp"
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data" / name
