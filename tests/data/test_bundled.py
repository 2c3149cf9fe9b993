import subprocess
import sys

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from bnexp.data.bundled import breast_cancer, digits


def test_digits_are_those_of_scikit_learn():
    source, truth = digits(), load_digits()
    assert source.examples.inputs.dtype == torch.uint8
    assert source.examples.inputs.shape == (1797, 1, 8, 8)
    np.testing.assert_array_equal(source.examples.inputs[:, 0].numpy(), truth.images)
    np.testing.assert_array_equal(source.examples.labels.numpy(), truth.target)
    assert source.classes == tuple(str(name) for name in truth.target_names)


def test_breast_cancer_is_that_of_scikit_learn():
    source, truth = breast_cancer(), load_breast_cancer()
    assert source.examples.inputs.dtype == torch.float64
    np.testing.assert_array_equal(source.examples.inputs.numpy(), truth.data)
    np.testing.assert_array_equal(source.examples.labels.numpy(), truth.target)
    assert source.classes == tuple(truth.target_names)


def test_bundled_datasets_do_not_import_scikit_learn():
    code = "import sys; from bnexp.data.bundled import digits; digits(); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
