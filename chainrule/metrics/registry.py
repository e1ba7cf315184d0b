"""Metrics by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from chainrule.metrics.answers import Accuracy, TopKError, TopKScore
from chainrule.metrics.confusion import ConfusionMatrix
from chainrule.metrics.mean import Mean
from chainrule.metrics.metric import Metric
from chainrule.metrics.per_class import Dice, FBeta, IoU, Precision, Recall
from chainrule.metrics.probability import CalibrationError, Perplexity
from chainrule.metrics.ranking import ROCAUC, AveragePrecision
from chainrule.metrics.regression import R2, Correlation, CosineSimilarity, MeanAbsoluteError, MeanSquaredError

_METRICS: dict[str, Callable[..., Metric[Any]]] = {
    "accuracy": Accuracy,
    "average_precision": AveragePrecision,
    "confusion_matrix": ConfusionMatrix,
    "cosine_similarity": CosineSimilarity,
    "dice": Dice,
    "ece": CalibrationError,
    "f1": FBeta,
    "f2": partial(FBeta, beta=2.0),
    "iou": IoU,
    "mae": MeanAbsoluteError,
    "mean": Mean,
    "mean_iou": IoU,
    "mse": MeanSquaredError,
    "perplexity": Perplexity,
    "precision": Precision,
    "r": Correlation,
    "r2": R2,
    "recall": Recall,
    "rmse": partial(MeanSquaredError, root=True),
    "roc_auc": ROCAUC,
    "top1": partial(TopKScore, k=1),
    "top1_error": partial(TopKError, k=1),
    "top5": TopKScore,
    "top5_error": TopKError,
    **{
        f"{name}_{average}": partial(metric, average=average)
        for name, metric in (("precision", Precision), ("recall", Recall), ("f1", FBeta))
        for average in ("macro", "micro", "weighted")
    },
}


def names() -> list[str]:
    """The names that `get` knows.

    >>> "f1_macro" in names()
    True
    """
    return sorted(_METRICS)


def get(name: str, **settings: Any) -> Metric[Any]:
    """A new metric by its name, with its settings. Raises ValueError for a name that is unknown.

    >>> get("accuracy", dim=-1)
    Accuracy(threshold=None, dim=-1, ignore_index=-100)
    >>> get("acuracy")
    Traceback (most recent call last):
    ValueError: there is no metric 'acuracy'; did you mean accuracy? There are accuracy, average_precision, ...
    """
    if name not in _METRICS:
        close = difflib.get_close_matches(name.lower(), _METRICS, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ValueError(f"there is no metric {name!r}{hint} There are {', '.join(names())}.")
    return _METRICS[name](**settings)
