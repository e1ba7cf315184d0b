"""From what a model puts out and what it should have put out to plain arrays, one entry for each prediction."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import DTypeError, IndexRangeError, ShapeError
from chainrule.tensor import Tensor

Array = np.ndarray[Any, Any]


class Labels(NamedTuple):
    """Predicted and true classes, (M,) int64 each; `classes` is how many there are, if the output says so."""

    predicted: Array
    target: Array
    classes: int | None


class ClassScores(NamedTuple):
    """A score for each class, (M, C), and the true classes, (M,) int64."""

    scores: Array
    target: Array


def array_of(x: Any, what: str) -> Array:
    """The numbers of a tensor, or of anything that NumPy makes an array of; halves as float32."""
    array = x.read() if isinstance(x, Tensor) else np.asarray(x)
    floating = x.dtype.is_floating_point if isinstance(x, Tensor) else array.dtype.kind == "f"
    if floating and array.dtype.itemsize < 4:
        return array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"the {what} has the type {array.dtype}; a metric takes real numbers.")
    return array


def read_labels(output: Any, target: Any, dim: int, threshold: float | None, ignore_index: int) -> Labels:
    """The predicted and true classes where the target is not `ignore_index`.

    The output may be, for a target of shape (N, …):

        scores (N, C, …)       one for each class along `dim`; the largest wins, of equals the first
        floats (N, …)          one for each entry: class 1 from `threshold` on, otherwise 0
        whole numbers (N, …)   the predicted classes themselves
    """
    output, target = array_of(output, "output"), array_of(target, "target")
    if output.ndim == target.ndim + 1:
        axis = class_axis(output, target, dim)
        predicted, classes = _largest(output, axis), output.shape[axis]
    else:
        _need_same_shape(output, target)
        predicted, classes = output, None
        if output.dtype.kind == "f":
            predicted, classes = _above(output, threshold), 2
    target = _whole(target, threshold is not None)
    keep = target != ignore_index
    if not keep.all():
        predicted, target = predicted[keep], target[keep]
    predicted, target = predicted.reshape(-1).astype(np.int64), target.reshape(-1).astype(np.int64)
    need_classes(target, classes, "target")
    need_classes(predicted, classes, "output")
    return Labels(predicted, target, classes)


def read_scores(output: Any, target: Any, dim: int, ignore_index: int) -> ClassScores:
    """The scores of all classes, one row for each entry of the target that is not `ignore_index`."""
    output, target = array_of(output, "output"), array_of(target, "target")
    if output.ndim != target.ndim + 1:
        raise ShapeError(
            f"scores of shape (N, C, …) go with a target of shape (N, …); got {output.shape} and {target.shape}."
        )
    axis = class_axis(output, target, dim)
    classes = output.shape[axis]
    scores = np.moveaxis(output, axis, -1).reshape(-1, classes)
    target = _whole(target, False).reshape(-1)
    keep = target != ignore_index
    if not keep.all():
        scores, target = scores[keep], target[keep]
    target = target.astype(np.int64)
    need_classes(target, classes, "target")
    return ClassScores(scores, target)


def class_axis(output: Array, target: Array, dim: int) -> int:
    """The dimension of the classes, with the shapes checked; the only one of a single sample."""
    if output.ndim == 1:
        return 0
    if not -output.ndim <= dim < output.ndim:
        raise IndexRangeError(f"dim={dim} is no dimension of an output of shape {output.shape}.")
    axis = dim % output.ndim
    rest = output.shape[:axis] + output.shape[axis + 1 :]
    if rest != target.shape:
        raise ShapeError(
            f"an output of shape {output.shape} with its classes along dim={dim} goes with a target of shape {rest}, "
            f"got {target.shape}.{_other_dim(output, target)}"
        )
    if output.shape[axis] == 1:
        raise ShapeError(
            f"an output of shape {output.shape} has one class, which always wins. If it is a score for 'yes', use "
            f"squeeze({dim}), and threshold=0.0 for logits or 0.5 for probabilities."
        )
    return axis


def need_classes(labels: Array, classes: int | None, what: str) -> None:
    """Raise an IndexRangeError for class numbers below 0 or beyond the last one."""
    if not labels.size:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise IndexRangeError(
            f"the {what} has the class {low}; classes count from 0. An entry that says 'leave this out' is named by "
            "ignore_index."
        )
    if classes is not None and high >= classes:
        raise IndexRangeError(f"the {what} has the class {high}, but there are {classes}: 0 to {classes - 1}.")


def need_no_nan(scores: Array) -> None:
    """Raise a ValueError for scores that are not numbers: nothing can be said about their order."""
    if np.isnan(scores).any():
        raise ValueError(
            "the output has NaN in it, which is neither right nor wrong. The model may have diverged: look at the loss."
        )


def _largest(scores: Array, axis: int) -> Array:
    winners = scores.argmax(axis)  # of a row with NaN, the NaN
    need_no_nan(np.take_along_axis(scores, np.expand_dims(winners, axis), axis))
    return winners


def _above(scores: Array, threshold: float | None) -> Array:
    if threshold is None:
        raise ValueError(
            "an output of floats in the shape of the target is one score for each entry: say from where on it means "
            "'yes', threshold=0.0 for logits or threshold=0.5 for probabilities. (For a one-hot target of several "
            "classes give target.argmax(1) instead.)"
        )
    need_no_nan(scores)
    return scores >= threshold


def _whole(target: Array, from_floats: bool) -> Array:
    """The target as whole numbers; as floats only where losses want 0.0 and 1.0."""
    if target.dtype.kind != "f":
        return target
    whole = target.astype(np.int64)
    if from_floats and (whole == target).all():
        return whole
    raise DTypeError(
        f"the target has the type {target.dtype}; classes are whole numbers. Use target.long(), or target.argmax(1) "
        "for one-hot rows and probabilities."
    )


def _need_same_shape(output: Array, target: Array) -> None:
    if output.shape == target.shape:
        return
    mend = ""
    if [n for n in output.shape if n != 1] == [n for n in target.shape if n != 1]:
        mend = " Use squeeze(-1) on the longer one."
    raise ShapeError(
        f"an output of shape {output.shape} does not fit a target of shape {target.shape}: it has scores for classes "
        f"in one dimension more, or the same shape.{mend}"
    )


def _other_dim(output: Array, target: Array) -> str:
    fits = [i for i in range(output.ndim) if output.shape[:i] + output.shape[i + 1 :] == target.shape]
    return f" With dim={fits[-1]} they would fit." if fits else ""
