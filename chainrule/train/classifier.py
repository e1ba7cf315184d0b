"""What a classifier does on a data set, sample by sample: confusions, figures for each class, extreme examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.nn.module import Module
from chainrule.train.loop import evaluation_mode
from chainrule.train.report import Example


class ClassifierResults(NamedTuple):
    """What `classify` found.

    Attributes:
        confusion: counts (classes, classes), rows are the truth.
        per_class: for each class its precision, recall, F1 and how many samples it has.
        worst, best: samples with the largest and the smallest loss.
    """

    confusion: Any
    per_class: list[dict[str, Any]]
    worst: list[Example]
    best: list[Example]


def classify(
    model: Module, batches: Iterable[Any], names: Sequence[str], mean: Any = 0.0, std: Any = 1.0, examples: int = 12
) -> ClassifierResults:
    """Let a model classify images (N, C, H, W) with labels (N,), in evaluation mode, and look at what it says.

    `mean` and `std` are those that the images were standardised by, so that they can be shown.

    >>> import chainrule
    >>> model = chainrule.nn.Sequential(chainrule.nn.Flatten(), chainrule.nn.Linear(16, 2))
    >>> results = classify(model, [(chainrule.zeros(3, 1, 4, 4), chainrule.tensor([0, 1, 1]))], ["no", "yes"])
    >>> int(results.confusion.sum())
    3
    """
    scores, labels, images = [], [], []
    with evaluation_mode(model), no_grad():
        for inputs, targets in batches:
            scores.append(model(inputs).log_softmax(1).numpy())
            labels.append(targets.numpy())
            images.append(np.asarray(inputs.array))
    said, truth = np.concatenate(scores), np.concatenate(labels)
    losses, chosen = -said[np.arange(len(truth)), truth], said.argmax(1)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (truth, chosen), 1)
    order = np.argsort(losses, kind="stable")
    whole = np.concatenate(images) if images[0].ndim == 4 else None

    def show(rows: Any) -> list[Example]:
        if whole is None:
            return []
        return [
            Example(
                _displayed(whole[i], mean, std),
                f"{names[truth[i]]}, said {names[chosen[i]]} ({np.exp(said[i, chosen[i]]):.0%})",
            )
            for i in rows
        ]

    return ClassifierResults(
        confusion, _per_class(confusion, names), show(order[::-1][:examples]), show(order[:examples])
    )


def _per_class(confusion: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(names):
        right, claimed, real = confusion[i, i], confusion[:, i].sum(), confusion[i].sum()
        precision, recall = right / max(claimed, 1), right / max(real, 1)
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        rows.append(
            {
                "class": name,
                "precision": float(precision),
                "recall": float(recall),
                "F1": float(f1),
                "samples": int(real),
            }
        )
    return rows


def _displayed(image: Any, mean: Any, std: Any) -> Any:
    """Pixels in [0, 1] again: (H, W) grey or (H, W, 3)."""
    shown = np.asarray(image) * np.asarray(std) + np.asarray(mean)
    return shown[0] if len(shown) == 1 else np.moveaxis(shown[:3], 0, -1)
