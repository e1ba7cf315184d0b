"""Metrics: numbers about predictions, exact over everything seen, however it came in batches.

Each is a class with `update(output, target)`, `compute()`, `reset()`, `state()`, `load_state()` and `merge()`, and a
function of whole arrays with the same settings.

>>> import chainrule
>>> from chainrule import metrics
>>> scores, labels = chainrule.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), chainrule.tensor([1, 0, 0])
>>> metrics.accuracy(scores, labels)
0.6667
>>> metric = metrics.get("f1")
>>> for part in (slice(0, 2), slice(2, 3)):
...     metric.update(scores[part], labels[part])
>>> metric.compute()
0.6667
"""

from chainrule.metrics.answers import Accuracy, TopKError, TopKScore
from chainrule.metrics.confusion import ConfusionMatrix
from chainrule.metrics.functional import (
    accuracy,
    average_precision,
    calibration_error,
    confusion_matrix,
    correlation,
    cosine_similarity,
    dice,
    f_beta,
    iou,
    mean_absolute_error,
    mean_squared_error,
    perplexity,
    precision,
    r2,
    recall,
    roc_auc,
    top_k_error,
    top_k_score,
)
from chainrule.metrics.mean import Mean, MeanOf
from chainrule.metrics.metric import Metric
from chainrule.metrics.per_class import Dice, FBeta, IoU, Precision, Recall
from chainrule.metrics.probability import CalibrationError, Perplexity
from chainrule.metrics.ranking import ROCAUC, AveragePrecision
from chainrule.metrics.registry import get, names
from chainrule.metrics.regression import R2, Correlation, CosineSimilarity, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "Accuracy",
    "AveragePrecision",
    "CalibrationError",
    "ConfusionMatrix",
    "Correlation",
    "CosineSimilarity",
    "Dice",
    "FBeta",
    "IoU",
    "Mean",
    "MeanAbsoluteError",
    "MeanOf",
    "MeanSquaredError",
    "Metric",
    "Perplexity",
    "Precision",
    "R2",
    "ROCAUC",
    "Recall",
    "TopKError",
    "TopKScore",
    "accuracy",
    "average_precision",
    "calibration_error",
    "confusion_matrix",
    "correlation",
    "cosine_similarity",
    "dice",
    "f_beta",
    "get",
    "iou",
    "mean_absolute_error",
    "mean_squared_error",
    "names",
    "perplexity",
    "precision",
    "r2",
    "recall",
    "roc_auc",
    "top_k_error",
    "top_k_score",
]
