"""Metrics: against scikit-learn or the definition; in pieces, merged and resumed they give the same as at once."""

from __future__ import annotations

import inspect
import io
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as sk

import chainrule
from chainrule import metrics, nn
from chainrule.errors import CheckpointError, DTypeError, IndexRangeError, ShapeError

Array = np.ndarray[Any, Any]


class Case(NamedTuple):
    """A metric, the data it is tried on (from a generator and a size), and what it should be for them."""

    make: Callable[[], metrics.Metric[Any]]
    data: Callable[[np.random.Generator, int], tuple[Array, Array]]
    expected: Callable[[Array, Array], Any]


def softmax(z: Array) -> Array:
    return np.asarray(special.softmax(z.astype(np.float64), axis=1))


def many_classes(classes: int, ties: bool = False) -> Callable[[np.random.Generator, int], tuple[Array, Array]]:
    def data(random: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Every class occurs: without it scikit-learn has no AUC."""
        scores = random.standard_normal((count, classes)).astype(np.float32)
        target = np.append(np.arange(classes), random.integers(0, classes, count))[:count]
        scores[np.arange(count), target] += 0.7
        return (np.round(scores) if ties else scores), target

    return data


def rare_classes(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Predictions and targets of six classes, of which 1 is never predicted, 3 never true and 4 neither."""
    return random.choice([0, 2, 3, 5], count), random.choice([0, 1, 2, 5], count)


def yes_or_no(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Scores with many ties, and labels of which a third is yes."""
    target = np.append([0, 1], random.random(count) < 1 / 3)[:count].astype(np.int64)
    return np.round(random.standard_normal(count) + target, 1).astype(np.float32), target


def segmentation(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Scores (N, 4, 5, 6) and masks in which the border, 255, does not count."""
    target = random.integers(0, 4, (count, 5, 6))
    scores = random.standard_normal((count, 4, 5, 6)) + 2 * np.moveaxis(np.eye(4)[target], -1, 1)
    target[:, 0] = 255
    return scores, target


def tokens(random: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Logits (N, 7 tokens, 11 words) and words, padded with −100."""
    target = random.integers(0, 11, (count, 7))
    target[:, 4:][random.random((count, 3)) < 0.5] = -100
    return 3 * random.standard_normal((count, 7, 11)).astype(np.float32), target


def numbers(*shape: int, mean: float = 0.0) -> Callable[[np.random.Generator, int], tuple[Array, Array]]:
    def data(random: np.random.Generator, count: int) -> tuple[Array, Array]:
        target = mean + random.standard_normal((count, *shape)) * np.arange(1, 1 + math.prod(shape)).reshape(shape)
        return target + 0.5 * random.standard_normal(target.shape), target

    return data


def pixels(output: Array, target: Array) -> tuple[Array, Array]:
    keep = target != 255
    return output.argmax(1)[keep], target[keep]


def by_confidence(bins: int) -> Callable[[Array, Array], float]:
    """The expected calibration error, sample by sample."""

    def expected(output: Array, target: Array) -> float:
        p = softmax(output)
        total = 0.0
        for b in range(bins):
            inside = [i for i in range(len(p)) if b / bins < p[i].max() <= (b + 1) / bins]
            if inside:
                right = np.mean([p[i].argmax() == target[i] for i in inside])
                total += len(inside) / len(p) * abs(right - np.mean([p[i].max() for i in inside]))
        return total

    return expected


def perplexity(output: Array, target: Array) -> float:
    log_p = special.log_softmax(output.astype(np.float64), axis=-1)
    surprises = [-log_p[i][target[i]] for i in np.ndindex(*target.shape) if target[i] != -100]
    return math.exp(np.mean(surprises))


def one_against_rest(score: Any, average: str) -> Callable[[Array, Array], float]:
    return lambda output, target: score(np.eye(output.shape[1])[target], softmax(output), average=average)


def per_class(score: Any, **settings: Any) -> Callable[[Array, Array], Any]:
    """scikit-learn's score of predicted classes; `labels` for one number for each class."""
    return lambda output, target: score(target, output, **{"zero_division": 0.0, **settings})


M = metrics
CASES: dict[str, Case] = {
    "accuracy of scores": Case(
        M.Accuracy, many_classes(5, ties=True), lambda x, y: sk.accuracy_score(y, x.argmax(1))
    ),
    "accuracy of classes": Case(M.Accuracy, rare_classes, lambda x, y: sk.accuracy_score(y, x)),
    "accuracy of a threshold": Case(
        lambda: M.Accuracy(threshold=0.5), yes_or_no, lambda x, y: sk.accuracy_score(y, x >= 0.5)
    ),
    "accuracy of pixels": Case(
        lambda: M.Accuracy(ignore_index=255), segmentation, lambda x, y: sk.accuracy_score(*pixels(x, y)[::-1])
    ),
    "accuracy of tokens": Case(
        lambda: M.Accuracy(dim=-1),
        tokens,
        lambda x, y: np.mean([x[i].argmax() == y[i] for i in np.ndindex(*y.shape) if y[i] != -100]),
    ),
    "top-3": Case(
        lambda: M.TopKScore(3), many_classes(8), lambda x, y: sk.top_k_accuracy_score(y, x, k=3, labels=range(8))
    ),
    "top-5 error": Case(
        M.TopKError, many_classes(8), lambda x, y: 1 - sk.top_k_accuracy_score(y, x, k=5, labels=range(8))
    ),
    "top-1 with ties": Case(
        lambda: M.TopKScore(1), many_classes(4, ties=True), lambda x, y: sk.accuracy_score(y, x.argmax(1))
    ),
    **{
        f"confusion matrix {how}": Case(
            lambda how=how: M.ConfusionMatrix(6, how),
            rare_classes,
            lambda x, y, how=how: sk.confusion_matrix(y, x, labels=range(6), normalize=how),
        )
        for how in (None, "true", "pred", "all")
    },
    "binary precision": Case(
        lambda: M.Precision(threshold=0.0), yes_or_no, lambda x, y: sk.precision_score(y, x >= 0)
    ),
    "binary recall of class 0": Case(
        lambda: M.Recall(threshold=0.0, positive=0), yes_or_no, lambda x, y: sk.recall_score(y, x >= 0, pos_label=0)
    ),
    "binary F2": Case(
        lambda: M.FBeta(beta=2, threshold=0.0), yes_or_no, lambda x, y: sk.fbeta_score(y, x >= 0, beta=2)
    ),
    **{
        f"{name} {average}, 0/0 is {zero}": Case(
            lambda make=make, average=average, zero=zero: make(average=average, num_classes=6, zero_division=zero),
            rare_classes,
            lambda x, y, score=score, average=average, zero=zero: score(
                y, x, average=average, zero_division=zero, **({"labels": range(6)} if average is None else {})
            ),
        )
        for name, make, score in (
            ("precision", M.Precision, sk.precision_score),
            ("recall", M.Recall, sk.recall_score),
            ("F1", M.FBeta, sk.f1_score),
        )
        for average in ("micro", "macro", "weighted", None)
        for zero in (0.0, 1.0, math.nan)
    },
    **{
        f"IoU {average}": Case(
            lambda average=average: M.IoU(average=average, ignore_index=255),
            segmentation,
            lambda x, y, average=average: sk.jaccard_score(*pixels(x, y)[::-1], average=average),
        )
        for average in ("micro", "macro", "weighted", None)
    },
    "mean IoU of rare classes": Case(
        M.IoU, rare_classes, lambda x, y: sk.jaccard_score(y, x, average="macro", zero_division=0.0)
    ),
    "Dice": Case(
        lambda: M.Dice(ignore_index=255), segmentation, lambda x, y: sk.f1_score(*pixels(x, y)[::-1], average="macro")
    ),
    "MAE": Case(M.MeanAbsoluteError, numbers(3), lambda x, y: sk.mean_absolute_error(y, x)),
    "MSE": Case(M.MeanSquaredError, numbers(3), lambda x, y: sk.mean_squared_error(y, x)),
    "RMSE": Case(lambda: M.MeanSquaredError(True), numbers(), lambda x, y: sk.root_mean_squared_error(y, x)),
    "R2": Case(M.R2, numbers(), lambda x, y: sk.r2_score(y, x)),
    "R2 far from zero": Case(M.R2, numbers(mean=1e6), lambda x, y: sk.r2_score(y, x)),
    "R2 of columns": Case(M.R2, numbers(3), lambda x, y: sk.r2_score(y, x)),
    "R2 by variance": Case(
        lambda: M.R2("variance"), numbers(3), lambda x, y: sk.r2_score(y, x, multioutput="variance_weighted")
    ),
    "R2 of each column": Case(
        lambda: M.R2(None), numbers(2, 2), lambda x, y: sk.r2_score(y.reshape(-1, 4), x.reshape(-1, 4), multioutput="raw_values")
    ),
    "r": Case(M.Correlation, numbers(mean=1e6), lambda x, y: stats.pearsonr(x, y).statistic),
    "r of columns": Case(
        M.Correlation, numbers(2), lambda x, y: np.mean([stats.pearsonr(x[:, i], y[:, i]).statistic for i in (0, 1)])
    ),
    "cosine": Case(
        M.CosineSimilarity, numbers(4), lambda x, y: np.mean(np.diag(sk.pairwise.cosine_similarity(x, y)))
    ),
    "perplexity": Case(lambda: M.Perplexity(dim=-1), tokens, perplexity),
    "perplexity of classes": Case(
        M.Perplexity, many_classes(5), lambda x, y: math.exp(sk.log_loss(y, softmax(x), labels=range(5)))
    ),
    "calibration": Case(M.CalibrationError, many_classes(4), by_confidence(15)),
    "calibration, 4 bins": Case(lambda: M.CalibrationError(4), many_classes(3), by_confidence(4)),
    "AUC": Case(M.ROCAUC, yes_or_no, lambda x, y: sk.roc_auc_score(y, x)),
    "AUC of two columns": Case(M.ROCAUC, many_classes(2), lambda x, y: sk.roc_auc_score(y, softmax(x)[:, 1])),
    "AUC of classes": Case(M.ROCAUC, many_classes(4), one_against_rest(sk.roc_auc_score, "macro")),
    "AUC weighted": Case(lambda: M.ROCAUC("weighted"), many_classes(4), one_against_rest(sk.roc_auc_score, "weighted")),
    "AUC of each": Case(
        lambda: M.ROCAUC(None), many_classes(3), lambda x, y: sk.roc_auc_score(np.eye(3)[y], softmax(x), average=None)
    ),
    "AP": Case(M.AveragePrecision, yes_or_no, lambda x, y: sk.average_precision_score(y, x)),
    "AP of classes": Case(M.AveragePrecision, many_classes(4), one_against_rest(sk.average_precision_score, "macro")),
    "mean of a loss": Case(
        lambda: M.MeanOf(nn.MSELoss()),
        numbers(3),
        lambda x, y: sk.mean_squared_error(y, x),
    ),
}  # fmt: skip


def tensors(*arrays: Array) -> tuple[chainrule.Tensor, ...]:
    return tuple(chainrule.tensor(array) for array in arrays)


def value(result: Any) -> Any:
    return result.numpy() if isinstance(result, chainrule.Tensor) else result


def agree(result: Any, expected: Any, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(value(result), expected, rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [8, 30, 300])
def test_at_once(case: str, count: int) -> None:
    make, data, expected = CASES[case]
    for seed in range(2):
        output, target = data(np.random.default_rng(seed), count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's about classes without samples
            wanted = expected(output, target)
        metric = make()
        metric.update(*tensors(output, target))
        agree(metric.compute(), wanted)


@pytest.mark.parametrize("case", CASES)
def test_pieces_merged_and_resumed(case: str) -> None:
    """Batches of any size, an empty one too; two metrics merged; one saved to a file and loaded: all as at once."""
    make, data, _ = CASES[case]
    output, target = tensors(*data(np.random.default_rng(0), 100))
    whole = make()
    whole.update(output, target)
    pieces, other = make(), make()
    for start, end in ((0, 1), (1, 1), (1, 30), (30, 64)):
        pieces.update(output[start:end], target[start:end])
    for start, end in ((64, 99), (99, 100)):
        other.update(output[start:end], target[start:end])
    file = io.BytesIO()
    np.savez(file, **pieces.state())
    file.seek(0)
    resumed = make()
    resumed.load_state(np.load(file))
    for start, end in ((64, 70), (70, 100)):
        resumed.update(output[start:end], target[start:end])
    for metric in (pieces.merge(other), resumed, make().merge(whole).merge(make())):
        agree(metric.compute(), value(whole.compute()), rtol=1e-9)
        for name, sum_ in whole.state().items():
            if np.asarray(sum_).dtype.kind in "iu":
                np.testing.assert_array_equal(metric.state()[name], sum_)
    state = whole.state()
    whole.update(output, target)
    whole.reset()
    whole.load_state(state)
    whole.update(output[:0], target[:0])
    agree(whole.compute(), value(resumed.compute()), rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_of_nothing(case: str) -> None:
    """Without a batch, and with an empty one: NaN, or nothing counted."""
    make, data, _ = CASES[case]
    output, target = data(np.random.default_rng(0), 3)
    metric = make()
    for _ in range(2):
        result = value(metric.compute())
        if metric.name == "confusion_matrix":
            assert not result.any()
        elif np.ndim(result):
            assert np.isnan(result).all() or (result == metric.settings()["zero_division"]).all()
        else:
            assert math.isnan(result), metric
        metric.update(*tensors(output[:0], target[:0]))


def test_functions_are_the_classes() -> None:
    scores, target = tensors(*many_classes(6)(np.random.default_rng(0), 50))
    assert metrics.top_k_score(scores, target, 2) == metrics.top_k_score(scores, target, k=2)
    assert metrics.top_k_score(scores, target, 2) + metrics.top_k_error(scores, target, 2) == pytest.approx(1)
    assert metrics.accuracy(scores, target) == metrics.f_beta(scores, target, average="micro")
    assert "beta" in inspect.signature(metrics.f_beta).parameters
    assert (metrics.f_beta.__doc__ or "").startswith("Precision and recall in one")


def test_one_sample_and_one_class() -> None:
    assert metrics.accuracy(chainrule.tensor([0.1, 0.9]), chainrule.tensor(1)) == 1.0
    assert metrics.confusion_matrix([0, 0], [0, 0]).tolist() == [[2]]
    assert metrics.f_beta([0, 0], [0, 0], average="macro") == 1.0
    assert metrics.precision([0, 0], [0, 0]) == 0.0  # class 1 was never predicted: 0/0
    assert metrics.recall([1, 1], [1, 1]) == 1.0
    assert metrics.iou([0, 0], [0, 0], average=None, num_classes=2).tolist()[0] == 1.0
    assert math.isnan(metrics.iou([0, 0], [0, 0], average=None, num_classes=2).tolist()[1])
    assert math.isnan(metrics.roc_auc([0.1, 0.2], [1, 1])) and math.isnan(metrics.average_precision([0.1], [0]))


def test_binary_targets_may_be_floats_and_halves_are_read() -> None:
    logits = chainrule.tensor([[-1.0], [2.0], [0.0]])
    target = chainrule.tensor([[0.0], [1.0], [0.0]])
    for dtype in (chainrule.float16, chainrule.bfloat16, chainrule.float64):
        assert metrics.accuracy(logits.to(dtype), target, threshold=0.0) == pytest.approx(2 / 3)
        assert metrics.mean_absolute_error(logits.to(dtype), target) == pytest.approx(2 / 3)
        assert metrics.roc_auc(logits.to(dtype), target) == 1.0


def test_growing_classes() -> None:
    """Without num_classes there are as many as were seen so far."""
    matrix, recall = metrics.ConfusionMatrix(), metrics.Recall(average=None)
    for metric in (matrix, recall):
        metric.update([0, 1], [0, 1])
        metric.update([3], [2])
        metric.update([0], [0])
    assert matrix.compute().tolist() == [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert value(recall.compute()).tolist() == [1, 1, 0, 0]


def test_a_model_that_gives_equal_scores_gets_chance() -> None:
    target = chainrule.arange(10)
    assert metrics.top_k_score(chainrule.zeros(10, 10), target, 5) == 0.5
    assert metrics.accuracy(chainrule.zeros(10, 10), target) == 0.1
    assert metrics.roc_auc(chainrule.zeros(4), chainrule.tensor([0, 1, 0, 1])) == 0.5


def test_means_of_batches_are_not_the_mean() -> None:
    loss = metrics.Mean("loss")
    loss.update(chainrule.tensor(1.0), 3)
    loss.update(math.nan, 0)  # the mean loss of an empty batch
    loss.update([4.0, 6.0], [1.0, 0.0])
    assert loss.compute() == (3 + 4) / 4 and loss.name == "loss"
    each = metrics.MeanOf(lambda x, y: (x - y).abs().sum(1), "distance")
    each.update(chainrule.zeros(3, 2), chainrule.ones(3, 2))
    each.update(chainrule.zeros(1, 2), chainrule.ones(1, 2) * 3)
    assert each.compute() == 3.0 and each.name == "distance"


def test_auc_sees_order_where_probabilities_round_to_one() -> None:
    """Logits so far apart that each softmax is 1 in float64: their order is still there."""
    z = np.array([60.0, 70.0, 80.0, 90.0])
    target = np.array([0, 0, 1, 1])
    assert (softmax(np.stack([0 * z, z], 1))[:, 1] == 1).all()
    assert metrics.roc_auc(np.stack([0 * z, z], 1), target) == 1.0
    three = np.stack([0 * z, z, 0 * z - 5], 1)
    assert value(metrics.roc_auc(three, target, average=None))[1] == 1.0
    agree(metrics.roc_auc(softmax(three / 40), target, average=None, logits=False)[1:2], [1.0])


def test_perplexity_of_probabilities_and_of_the_impossible() -> None:
    logits, target = many_classes(5)(np.random.default_rng(0), 40)
    expected = metrics.perplexity(logits, target)
    assert metrics.perplexity(softmax(logits), target, logits=False) == pytest.approx(expected)
    agree(
        metrics.calibration_error(softmax(logits), target, logits=False),
        metrics.calibration_error(logits.astype(np.float64), target),
    )
    assert metrics.perplexity([[1.0, 0.0]], [1], logits=False) == math.inf
    assert metrics.perplexity([[1e4, 0.0]], [1]) == math.inf
    assert metrics.perplexity([[0.0, -math.inf]], [0]) == 1.0


def test_r2_of_targets_that_are_all_alike() -> None:
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1.0 == sk.r2_score([2.0, 2.0], [2.0, 2.0])
    assert metrics.r2([2.0, 3.0], [2.0, 2.0]) == 0.0 == sk.r2_score([2.0, 2.0], [2.0, 3.0])
    assert math.isnan(metrics.r2([2.0], [3.0]))
    assert math.isnan(metrics.correlation([1.0, 2.0], [3.0, 3.0]))
    assert metrics.cosine_similarity([[0.0, 0.0]], [[1.0, 0.0]]) == 0.0


def test_registry() -> None:
    for name in metrics.names():
        assert isinstance(metrics.get(name), metrics.Metric)
    assert {n: metrics.get(n).name for n in ("accuracy", "top1", "top5_error", "f1", "f1_macro", "iou", "rmse", "r")} == {
        "accuracy": "accuracy", "top1": "top1", "top5_error": "top5_error", "f1": "f1", "f1_macro": "f1_macro",
        "iou": "iou", "rmse": "rmse", "r": "r",
    }  # fmt: skip
    assert metrics.get("f1", beta=0.5).name == "f0.5" and metrics.IoU(average=None).name == "iou_per_class"
    with pytest.raises(ValueError, match=r"no metric 'preplexity'; did you mean perplexity\?"):
        metrics.get("preplexity")


SCORES = chainrule.zeros(4, 3)
MISUSE = [
    ("accuracy", (chainrule.zeros(4), [0, 1, 0, 1]), {}, ValueError, "threshold=0.0 for logits"),
    ("accuracy", (SCORES, SCORES), {}, ValueError, "argmax"),
    ("accuracy", (SCORES, chainrule.zeros(4)), {}, DTypeError, r"target.long\(\)"),
    ("accuracy", (chainrule.zeros(4, 1), [0, 1, 0, 1]), {"threshold": 0.0}, ShapeError, r"squeeze\(1\)"),
    ("accuracy", (SCORES, [0, 1, 0]), {}, ShapeError, r"goes with a target of shape \(4,\), got \(3,\)"),
    ("accuracy", (chainrule.zeros(2, 5, 7), chainrule.zeros(2, 5).long()), {}, ShapeError, "With dim=2 they would fit"),
    ("accuracy", (SCORES, [0, 1, 2, 3]), {}, IndexRangeError, "class 3, but there are 3: 0 to 2"),
    ("accuracy", (SCORES, [0, 1, 2, -1]), {}, IndexRangeError, "class -1; classes count from 0"),
    ("accuracy", (SCORES, [0, 1, 2, 0]), {"dim": 3}, IndexRangeError, "dim=3 is no dimension"),
    ("accuracy", (SCORES * math.nan, [0, 1, 2, 0]), {}, ValueError, "NaN"),
    ("accuracy", (chainrule.zeros(4), [0, 1, 2, 0]), {"threshold": 0.0}, IndexRangeError, "class 2, but there are 2"),
    ("accuracy", ([1j], [0]), {}, DTypeError, "real numbers"),
    ("accuracy", (chainrule.zeros(4).long(), [[0], [1], [0], [1]]), {}, ShapeError, r"squeeze\(-1\)"),
    ("top_k_score", (SCORES, [0, 1, 2, 0], 4), {}, ValueError, "first 4 of 3 classes"),
    ("top_k_score", (SCORES, [0, 1, 2, 0], 0), {}, ValueError, "from 1 on"),
    ("top_k_score", (SCORES * math.nan, [0, 1, 2, 0], 1), {}, ValueError, "NaN"),
    ("top_k_score", ([0, 1], [0, 1], 1), {}, ShapeError, "scores of shape"),
    ("confusion_matrix", ([0, 3], [0, 1], 3), {}, IndexRangeError, "output has the class 3"),
    ("confusion_matrix", ([0], [0]), {"normalize": "rows"}, ValueError, "normalize is one of"),
    ("f_beta", (SCORES, [0, 1, 2, 0]), {}, ValueError, "average='binary' is for two classes, here are 3"),
    ("f_beta", ([0], [0]), {"average": "mean"}, ValueError, "average is one of"),
    ("f_beta", ([0], [0]), {"beta": 0}, ValueError, "beta is above 0"),
    ("precision", ([0], [0]), {"zero_division": 0.5}, ValueError, "zero_division is 0, 1 or NaN"),
    ("mean_squared_error", (chainrule.zeros(4, 1), chainrule.zeros(4)), {}, ShapeError, r"squeeze\(-1\)"),
    ("r2", (1.0, 2.0), {}, ShapeError, "single numbers"),
    ("r2", ([1.0], [2.0]), {"average": "mean"}, ValueError, "average is one of"),
    ("perplexity", (SCORES - 1, [0, 1, 2, 0]), {"logits": False}, ValueError, "say logits=True"),
    ("calibration_error", (SCORES, [0, 1, 2, 0]), {"logits": False}, ValueError, "sum to 1, here to 0"),
    ("calibration_error", (SCORES, [0, 1, 2, 0]), {"bins": 0}, ValueError, "at least one bin"),
    ("roc_auc", ([0.1, 0.2], [0, 2]), {}, IndexRangeError, "several classes need"),
    ("roc_auc", ([0, 1], [0, 1]), {}, DTypeError, "scores are floats"),
    ("roc_auc", ([0.1, math.nan], [0, 1]), {}, ValueError, "NaN"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "settings", "error", "message"), MISUSE)
def test_misuse(
    name: str, given: tuple[Any, ...], settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        getattr(metrics, name)(*given, **settings)


def test_a_batch_that_is_refused_leaves_nothing_behind() -> None:
    accuracy = metrics.Accuracy()
    accuracy.update([0, 1], [0, 0])
    with pytest.raises(IndexRangeError):
        accuracy.update([0, 1], [0, -7])
    assert accuracy.compute() == 0.5


def test_what_does_not_fit_is_not_merged_or_loaded() -> None:
    with pytest.raises(ValueError, match="same settings"):
        metrics.TopKScore(1).merge(metrics.TopKScore(5))
    with pytest.raises(ValueError, match="same settings"):
        metrics.TopKScore(1).merge(metrics.TopKError(1))
    metrics.Recall(zero_division=math.nan).merge(metrics.Recall(zero_division=math.nan))
    with pytest.raises(CheckpointError, match=r"\['count', 'right'\], this one has \['count', 'total'\]"):
        metrics.Accuracy().load_state(metrics.Perplexity().state())
    with pytest.raises(CheckpointError, match="matrix in a state of ConfusionMatrix has 2 dimensions"):
        metrics.ConfusionMatrix().load_state({"matrix": np.zeros(3, np.int64)})
    with pytest.raises(ShapeError, match="3 and 2 numbers"):
        metrics.R2().merge(_r2(3)).merge(_r2(2))
    with pytest.raises(ShapeError, match="another number of classes"):
        auc = metrics.ROCAUC()
        auc.update(chainrule.zeros(2, 3), [0, 1])
        auc.update(chainrule.zeros(2, 4), [0, 1])
    with pytest.raises(ShapeError, match=r"gave the shape \(2, 2\)"):
        metrics.MeanOf(lambda x, y: x - y).update(chainrule.zeros(2, 2), chainrule.zeros(2, 2))
    with pytest.raises(ShapeError, match="one weight for all"):
        metrics.Mean().update([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="not negative"):
        metrics.Mean().update(1.0, -1)


def _r2(columns: int) -> metrics.R2:
    r2 = metrics.R2()
    r2.update(chainrule.randn(4, columns), chainrule.randn(4, columns))
    return r2
