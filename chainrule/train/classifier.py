"""What a classifier does on a data set, sample by sample: confusions, figures for each class, extreme samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.metrics import ConfusionMatrix, FBeta, Precision, Recall
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.train.report import Example


class Judged(NamedTuple):
    """A sample, the name of its class, what the model said, and how sure it was of it (0 to 1)."""

    content: np.ndarray
    truth: str
    said: str
    share: float


class ClassifierResults(NamedTuple):
    """What `classify` found.

    Attributes:
        confusion: counts (classes, classes), rows are the truth.
        per_class: for each class its precision, recall, F1 and how many samples it has.
        worst, best: samples with the largest and the smallest loss.
    """

    confusion: np.ndarray
    per_class: list[dict[str, Any]]
    worst: list[Judged]
    best: list[Judged]

    @staticmethod
    def examples(samples: Sequence[Judged], show: Callable[[np.ndarray], Any]) -> list[Example]:
        """Samples for a report; `show` makes pictures of their contents."""
        return [Example(show(s.content), f"{s.truth}, said {s.said} ({s.share:.0%})") for s in samples]


def classify(model: Module, batches: Iterable[Any], names: Sequence[str], examples: int = 12) -> ClassifierResults:
    """Let a model classify samples with labels (N,), in evaluation mode, and look at what it says.

    >>> import chainrule
    >>> model = chainrule.nn.Sequential(chainrule.nn.Flatten(), chainrule.nn.Linear(16, 2))
    >>> results = classify(model, [(chainrule.zeros(3, 1, 4, 4), chainrule.tensor([0, 1, 1]))], ["no", "yes"])
    >>> int(results.confusion.sum())
    3
    """
    confusion = ConfusionMatrix(num_classes=len(names))
    figures = [kind(average=None, num_classes=len(names)) for kind in (Precision, Recall, FBeta)]
    scores, labels, contents = [], [], []
    with evaluation_mode(model), no_grad():
        for inputs, targets in batches:
            output = model(inputs)
            for metric in (confusion, *figures):
                metric.update(output, targets)
            scores.append(output.log_softmax(1).read())
            labels.append(targets.read())
            contents.append(inputs.read())
    said, truth, samples = np.concatenate(scores), np.concatenate(labels), np.concatenate(contents)
    order = np.argsort(-said[np.arange(len(truth)), truth], kind="stable")

    def judged(rows: np.ndarray) -> list[Judged]:
        chosen = said[rows].argmax(1)
        return [
            Judged(samples[i], names[truth[i]], names[c], float(np.exp(said[i, c])))
            for i, c in zip(rows, chosen, strict=True)
        ]

    counts = confusion.compute().numpy()
    columns = [np.asarray(metric.compute()).tolist() for metric in figures]
    per_class = [
        {"class": name, "precision": columns[0][i], "recall": columns[1][i], "F1": columns[2][i], "samples": int(n)}
        for i, (name, n) in enumerate(zip(names, counts.sum(1), strict=True))
    ]
    return ClassifierResults(counts, per_class, judged(order[::-1][:examples]), judged(order[:examples]))
