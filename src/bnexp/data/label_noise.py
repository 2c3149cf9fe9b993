"""Wrong labels on purpose: how well does a network learn beside them, or learn them by heart?"""

from __future__ import annotations

import torch

from bnexp.data.dataset import Examples


def mislabel(examples: Examples, num_classes: int, portion: float, generator: torch.Generator) -> Examples:
    """Replace round(``portion`` · N) of the labels, each by one of the other classes, all equally likely.

    Which examples are chosen, and which label an example gets then, are independent of ``portion``: with the same
    generator state a larger portion adds wrong labels to those of a smaller one.

    Zhang et al. 2017 (section 2.1) draw the new label from all classes, the true one included: their portion q leaves
    as many labels right as q · (1 − 1/num_classes) does here. At a portion of 1 − 1/num_classes the labels say nothing
    about the inputs; beyond it, they say what an input is not.
    """
    num_examples = len(examples)
    order = torch.randperm(num_examples, generator=generator)
    steps = torch.randint(1, num_classes, (num_examples,), generator=generator)
    chosen = order[: round(portion * num_examples)]
    labels = examples.labels.clone()
    labels[chosen] = (labels[chosen] + steps[chosen]) % num_classes
    return Examples(examples.inputs, labels)
