"""Each metric as a plain function of whole arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from chainrule.metrics.answers import Accuracy, TopKError, TopKScore
from chainrule.metrics.confusion import ConfusionMatrix
from chainrule.metrics.metric import Metric
from chainrule.metrics.per_class import Dice, FBeta, IoU, Precision, Recall
from chainrule.metrics.probability import CalibrationError, Perplexity
from chainrule.metrics.ranking import ROCAUC, AveragePrecision
from chainrule.metrics.regression import R2, Correlation, CosineSimilarity, MeanAbsoluteError, MeanSquaredError

Settings = ParamSpec("Settings")
Result = TypeVar("Result")


def of_whole(
    metric: Callable[Settings, Metric[Result]], name: str
) -> Callable[Concatenate[Any, Any, Settings], Result]:
    """A function of output and target that updates a new metric once; further arguments are the metric's settings.

    >>> share_of_right = of_whole(Accuracy, "share_of_right")
    >>> share_of_right([0, 1], [0, 0])
    0.5
    """

    def function(output: Any, target: Any, *args: Settings.args, **settings: Settings.kwargs) -> Result:
        fresh = metric(*args, **settings)
        fresh.update(output, target)
        return fresh.compute()

    both = [inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD) for each in ("output", "target")]
    own = inspect.signature(metric)
    function.__signature__ = own.replace(parameters=[*both, *own.parameters.values()])  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{_first_line(metric)}\n\nSettings, shapes and sources as `{_name_of(metric)}`."
    return function


def _first_line(metric: Any) -> str:
    return (inspect.getdoc(metric) or "").split("\n", 1)[0]


def _name_of(metric: Any) -> str:
    return str(metric.__name__)


accuracy = of_whole(Accuracy, "accuracy")
top_k_score = of_whole(TopKScore, "top_k_score")
top_k_error = of_whole(TopKError, "top_k_error")
confusion_matrix = of_whole(ConfusionMatrix, "confusion_matrix")
precision = of_whole(Precision, "precision")
recall = of_whole(Recall, "recall")
f_beta = of_whole(FBeta, "f_beta")
iou = of_whole(IoU, "iou")
dice = of_whole(Dice, "dice")
mean_absolute_error = of_whole(MeanAbsoluteError, "mean_absolute_error")
mean_squared_error = of_whole(MeanSquaredError, "mean_squared_error")
r2 = of_whole(R2, "r2")
correlation = of_whole(Correlation, "correlation")
cosine_similarity = of_whole(CosineSimilarity, "cosine_similarity")
perplexity = of_whole(Perplexity, "perplexity")
calibration_error = of_whole(CalibrationError, "calibration_error")
roc_auc = of_whole(ROCAUC, "roc_auc")
average_precision = of_whole(AveragePrecision, "average_precision")
