"""Every check of numbers: how it is brought to fail, and what it says. `test_compiler_checks.py` tries each row.

A row's name is the function that raises (`module.rule`); the test finds all of these in the code, so a new check without
a row fails the suite. `good` and `bad` are arguments of one form: shapes and data types do not say which is which.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import chainrule
import chainrule.distributions as D
from chainrule import models, nn
from chainrule.errors import NumberRangeError
from chainrule.nn import functional as F

tensor = chainrule.tensor


class Row(NamedTuple):
    """One function that checks: what is called, with what it works, with what not, and the error."""

    rule: str
    call: Callable[..., Any]
    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    error: type[Exception]
    text: str


ROWS: list[Row] = []


def row(rule: str, error: type[Exception], text: str, call: Callable[..., Any], good: Any, *bad: Any) -> None:
    """Rows for one call: all of `bad` fail with this error, whose text matches."""
    for wrong in bad:
        ROWS.append(Row(rule, call, tuple(map(as_tensor, good)), tuple(map(as_tensor, wrong)), error, text))


def as_tensor(x: Any) -> Any:
    return x if isinstance(x, chainrule.Tensor) else tensor(x)


x34 = chainrule.arange(12.0).reshape(3, 4)
seven = chainrule.arange(7.0)

# ------------------------------------------------------------------------------------------- places

_PLACES = "functions.gathering._places_exist"
for _call, _good, _bad in (
    (lambda i: chainrule.gather(x34, 1, i), [[0, 3]], [[[0, 4]], [[-1, 0]]]),
    (lambda i: chainrule.take_along_dim(x34, i, 0), [[0, -1, 2, -3]], [[[0, 1, 3, 0]], [[0, -4, 2, 0]]]),
    (lambda i: chainrule.scatter(x34, 0, i, 1.0), [[0, 2]], [[[3, 0]], [[0, -2]]]),
    (lambda i: x34.scatter_add(1, i, chainrule.ones(3, 1)), [[0], [1], [3]], [[[0], [1], [4]], [[-1], [1], [3]]]),
    (lambda i: chainrule.scatter_reduce(seven, 0, i, chainrule.ones(2), "amax"), [0, 6], [[0, 7], [-1, 0]]),
    (lambda i: chainrule.scatter_reduce(seven, 0, i, chainrule.ones(2), "mean"), [0, 6], [[0, 7], [-1, 0]]),
    (lambda i: chainrule.index_select(x34, 1, i), [0, 3], [[0, 4], [-1, 0]]),
    (lambda i: x34.index_add(0, i, chainrule.ones(2, 4)), [0, 2], [[0, 3], [-3, 0]]),
    (lambda i: x34.index_copy(0, i, chainrule.ones(2, 4)), [0, 2], [[0, 3], [-3, 0]]),
    (lambda i: x34.index_fill(1, i, 5.0), [0, 2], [[0, 4], [-1, 0]]),
):
    row(
        _PLACES,
        IndexError,
        r"^[a-z_]+: the places go from -?\d to \d, possible are (0|-3) … \d",
        _call,
        (_good,),
        *[(b,) for b in _bad],
    )

_OUTSIDE = r"index -?\d is out of bounds for axis \d with size \d"
row("primitives.Index", IndexError, _OUTSIDE, lambda i: x34[i], ([2, -3],), ([3, 0],), ([0, -4],))
row("primitives.Index", IndexError, _OUTSIDE, lambda i, j: x34[i, j], ([0, 2], [1, 3]), ([0, 2], [1, 4]))
row("primitives.Index", IndexError, _OUTSIDE, lambda i: chainrule.take(x34[:2], i), ([0, 7],), ([0, 8],))


_POINT = r"cannot index shape \(3, 4\) with .*: index -?\d is out of bounds for axis \d with size \d"
row("functions.indexing._points_exist", IndexError, _POINT, lambda i: x34[i], (2,), (3,), (-4,))
row("functions.indexing._points_exist", IndexError, _POINT, lambda i, j: x34[i, j], (2, 3), (2, 4), (-4, 0), (3, 5))
row("functions.indexing._points_exist", IndexError, _POINT, lambda i: x34[..., i, None], (3,), (4,))


def _one_written(i: Any) -> Any:
    y = x34.clone()
    y[1:, i] = 5.0
    return y


row("functions.indexing._points_exist", IndexError, _POINT, _one_written, (3,), (4,), (-5,))


def _written(i: Any) -> Any:
    y = x34.clone()
    y[i] = 1.0
    return y


row("primitives.IndexUpdate", IndexError, _OUTSIDE, _written, ([0, -1],), ([0, 3],), ([-4, 0],))
row(
    "primitives.IndexAdd", IndexError, _OUTSIDE,
    lambda i: x34.index_put((i,), chainrule.ones(2, 4), accumulate=True), ([0, -1],), ([0, 3],), ([-4, 0],),
)  # fmt: skip
row(
    "primitives.IndexAdd", IndexError, _OUTSIDE,
    lambda i: seven.index_put((i,), chainrule.ones(2), accumulate=True), ([0, -1],), ([0, 7],), ([-8, 0],),
)  # fmt: skip
row(
    "functions.searching._places", ValueError, "out of bounds",
    lambda i: chainrule.unravel_index(i, (2, 3)), ([0, 5],), ([0, 6],),
)  # fmt: skip
row(
    "nn.pooling.unpooling._places_exist", IndexError, r"max_unpool1d: the places go from -?\d to \d, .* has 0 … 3",
    lambda i: F.max_unpool1d(tensor([[[5.0, 3.0]]]), i, 2), ([[[1, 3]]],), ([[[1, 4]]],), ([[[-1, 3]]],),
)  # fmt: skip


def _masked(values: Any) -> Callable[..., Any]:
    def write(mask: Any) -> Any:
        y = seven.clone()
        y[mask] = values
        return y

    return write


_three, _two = ([True] * 3 + [False] * 4,), ([True] * 2 + [False] * 5,)
row("functions.masking._selects", ValueError, r"\(3,\) to \(2,\)", _masked(tensor([1.0, 2.0, 3.0])), _three, _two)
row(
    "functions.scattering._source_suffices", ValueError, "holds at 3 places, `source` has 2",
    lambda mask: chainrule.masked_scatter(seven, mask, tensor([1.0, 2.0])), _two, _three,
)  # fmt: skip

# ------------------------------------------------------------------------------------------- integers

for _name, _divide in {
    "FloorDivide": (
        lambda a, b: a // b, lambda a, b: chainrule.div(a, b, rounding_mode="floor"),
        lambda a, b: chainrule.div(a, b, rounding_mode="trunc"),
    ),
    "Remainder": (lambda a, b: a % b, chainrule.fmod, chainrule.remainder),
}.items():  # fmt: skip
    for _function in _divide:
        row(
            "functions.arithmetic._is_divisor", ZeroDivisionError, f"{_name}: division of integers by zero",
            _function, ([1, -7], [2, 3]), ([1, -7], [2, 0]), ([0, 0], [0, 1]),
        )  # fmt: skip
row(
    "functions.counting._labels_fit", IndexError, r"one_hot: labels from -?\d to \d do not fit 3 classes",
    lambda i: F.one_hot(i, 3), ([0, 2],), ([0, 3],), ([-1, 2],),
)  # fmt: skip
row(
    "functions.counting._are_counts", NumberRangeError, "bincount counts whole numbers ≥ 0, got -1",
    lambda i: chainrule.bincount(i, minlength=5), ([0, 4],), ([-1, 4],),
)  # fmt: skip

# ------------------------------------------------------------------------------------------- layers

_words = chainrule.arange(8.0).reshape(4, 2)
row(
    "nn.embedding._are_words", IndexError, r"embedding: -?\d at \[1\] is none of the 4 words 0 … 3",
    lambda i: F.embedding(i, _words), ([0, 3],), ([0, 4],), ([0, -1],),
)  # fmt: skip
row(
    "nn.embedding._are_words", IndexError, r"embedding_bag: -?\d at \[0, 1\] is none of the 4 words",
    lambda i: F.embedding_bag(i, _words, mode="max"), ([[0, 3]],), ([[0, 4]],), ([[0, -1]],),
)  # fmt: skip
row(
    "nn.embedding._offsets_rise", ValueError, r"offsets rise from 0 to at most 3, got \[.*\]",
    lambda o: F.embedding_bag(tensor([0, 1, 2]), _words, o), ([0, 2, 2],), ([1, 2, 2],), ([0, 2, 1],), ([0, 2, 4],),
)  # fmt: skip
_cache = nn.CausalSelfAttention(4, num_heads=1).empty_cache(1, 3)


def _extended(length: Any) -> Any:
    new = chainrule.ones(1, 1, 2, 4)
    return type(_cache)(_cache.keys, _cache.values, length).extended(new, new).keys


row(
    "nn.attention.causal._has_room", ValueError, "room for 3 tokens and holds 2; 2 more do not fit",
    _extended, (1,), (2,),
)  # fmt: skip
_positions = nn.SinusoidalPositions(5, 2)
row(
    "nn.transformer.positions._positions_exist", ValueError,
    r"there are 5 positions; 3 from position -?\d on do not fit",
    lambda start: _positions(chainrule.zeros(1, 3, 2), start), (2,), (3,), (-1,),
)  # fmt: skip

_translator = models.RecurrentTranslator(5, 5, width=2, hidden=3)
row(
    "models.recurrent_answers._padding_is_last", ValueError, r"in row 1 it does not",
    lambda p: _translator(chainrule.tensor([[1, 2], [3, 4]]), chainrule.tensor([[0], [0]]), p),
    ([[False, True], [False, False]],), ([[False, True], [True, False]],), ([[False, True], [True, True]],),
)  # fmt: skip

# ------------------------------------------------------------------------------------------- losses

_scores = chainrule.arange(6.0).reshape(2, 3)
_LABEL = r"label -?\d at \[1\] is none of the 3 classes 0 … 2"
for _loss in (
    lambda y: F.cross_entropy(_scores, y),
    lambda y: F.cross_entropy(_scores, y, weight=tensor([1.0, 2.0, 3.0]), label_smoothing=0.1),
    lambda y: F.cross_entropy(_scores, y, reduction="none"),
    lambda y: F.nll_loss(_scores.log_softmax(1), y),
):
    row("nn.losses.classes._are_classes", IndexError, _LABEL, _loss, ([0, 2],), ([0, 3],), ([1, -1],), ([0, -3],))
row(
    "nn.losses.classes._are_classes", IndexError, "Do the labels begin at 1?",
    lambda y: F.cross_entropy(_scores, y), ([1, 2],), ([1, 3],),
)  # fmt: skip
row(
    "nn.losses.margin._are_classes", IndexError, r"label -?\d is none of the 3 classes",
    lambda y: F.multi_margin_loss(_scores, y), ([0, 2],), ([0, 3],), ([0, -1],),
)  # fmt: skip
row(
    "nn.losses.margin._are_classes", IndexError, r"label -?\d is none of the 3 classes",
    lambda y: F.multilabel_margin_loss(_scores, y), ([[0, -1, 0], [2, 1, -1]],), ([[0, -1, 0], [3, 1, -1]],),
    ([[0, -2, 0], [2, 1, -1]],),
)  # fmt: skip
_adaptive = nn.AdaptiveLogSoftmaxWithLoss(3, 6, [2, 4])
row(
    "nn.losses.adaptive._are_classes", IndexError, r"labels are classes 0 … 5, got -?\d … \d",
    lambda y: _adaptive(_scores, y).loss, ([0, 5],), ([0, 6],), ([-1, 5],),
)  # fmt: skip
row(
    "nn.losses.binary._are_probabilities", ValueError, r"probabilities in \[0, 1\], got numbers from",
    lambda p: F.binary_cross_entropy(p, tensor([0.0, 1.0])), ([0.0, 1.0],), ([0.0, 1.5],), ([-0.1, 1.0],),
    ([float("nan"), 1.0],),
)  # fmt: skip
row(
    "nn.losses.binary._are_targets", ValueError, r"targets in \[0, 1\], got numbers from",
    lambda t: F.binary_cross_entropy(tensor([0.25, 0.5]), t), ([0.0, 1.0],), ([0.0, 1.5],), ([-0.1, 1.0],),
    ([float("nan"), 1.0],),
)  # fmt: skip
row(
    "nn.losses.distribution._are_variances", ValueError, "variances are not negative, got -0.5",
    lambda v: F.gaussian_nll_loss(tensor([1.0, 2.0]), tensor([1.0, 2.0]), v), ([0.0, 1.0],), ([-0.5, 1.0],),
    ([-0.5, float("nan")],),
)  # fmt: skip

_steps = chainrule.full((4, 2, 3), 1 / 3).log()


def _ctc(targets: Any, inputs: Any, lengths: Any) -> Any:
    return F.ctc_loss(_steps, targets, inputs, lengths)


_fine = ([[1, 2], [2, 0]], [4, 3], [2, 1])
row(
    "nn.losses.ctc._lengths_fit", ValueError, "input_lengths lie in 0 … 4, target_lengths are not negative",
    _ctc, _fine, (_fine[0], [5, 3], [2, 1]), (_fine[0], [4, -1], [2, 1]), (_fine[0], [4, 3], [2, -1]),
)  # fmt: skip
row(
    "nn.losses.ctc._rows_suffice", ValueError, r"targets \(2, 2\) do not hold 2 sequences of up to 3 labels",
    _ctc, _fine, (_fine[0], [4, 3], [3, 1]),
)  # fmt: skip
row(
    "nn.losses.ctc._all_are_there", ValueError, "the targets have 3 labels, target_lengths add up to 4",
    _ctc, ([1, 2, 1], [4, 3], [2, 1]), ([1, 2, 1], [4, 3], [2, 2]),
)  # fmt: skip
row(
    "nn.losses.ctc._are_labels", IndexError, r"labels are classes 0 … 2, got \[1, \d, \d\]",
    _ctc, _fine, ([[1, 3], [2, 0]], [4, 3], [2, 1]), ([[1, 2], [3, 0]], [4, 3], [2, 1]),
)  # fmt: skip
row(
    "nn.losses.ctc._are_labels", IndexError, "a target has the label 0, which is the blank",
    _ctc, _fine, ([[1, 0], [2, 0]], [4, 3], [2, 1]),
)  # fmt: skip

# ------------------------------------------------------------------------------------------- other numbers

row(
    "nn.utils.clip_grad._is_finite", RuntimeError, r"total norm is inf.*number 1 of shape \(2,\)",
    lambda a, b: nn.utils.get_total_norm([a, b], error_if_nonfinite=True), ([1.0], [2.0, 3.0]),
    ([1.0], [2.0, float("inf")]),
)  # fmt: skip
row(
    "random._are_probabilities", NumberRangeError, r"probabilities lie in \[0, 1\], got (1\.1|-0\.1|nan)",
    chainrule.bernoulli, ([0.0, 1.0],), ([0.0, 1.1],), ([-0.1, 1.0],), ([float("nan"), 1.0],),
)  # fmt: skip
row(
    "random._are_rates",
    NumberRangeError,
    "poisson: a rate is not negative, got (-1|nan)",
    chainrule.poisson,
    ([0.0, 3.0],),
    ([0.0, -1.0],),
    ([float("nan"), 1.0],),
)
row(
    "random._are_probabilities", NumberRangeError, r"binomial: probabilities lie in \[0, 1\], got 1\.5",
    lambda p: chainrule.binomial(chainrule.ones(2), p), ([0.0, 0.5],), ([0.0, 1.5],),
)  # fmt: skip
row(
    "random._are_counts", NumberRangeError, r"binomial: the number of trials is 0, 1, 2 …, got (-1|2\.5)",
    lambda n: chainrule.binomial(n, chainrule.full((2,), 0.5)), ([0.0, 4.0],), ([0.0, -1.0],), ([2.5, 1.0],),
)  # fmt: skip
row(
    "distributions.distribution._all_hold", NumberRangeError, r"Normal: scale must be greater than 0, got (0\.|nan) at \(1,\)",
    lambda s: D.Normal(0.0, s).sample(), ([1.0, 2.0],), ([1.0, 0.0],), ([1.0, float("nan")],),
)  # fmt: skip
row(
    "distributions.distribution._all_hold", NumberRangeError, "Bernoulli: a value must be 0 or 1, got 0.5",
    lambda x: D.Bernoulli(0.5).log_prob(x), ([1.0, 0.0],), ([1.0, 0.5],),
)  # fmt: skip
row(
    "random._are_weights", NumberRangeError, "multinomial: 2 draws from rows with only 1 positive weights",
    lambda w: chainrule.multinomial(w, 2), ([0.5, 1.0, 0.0],), ([0.5, 0.0, 0.0],),
)  # fmt: skip
row(
    "random._are_weights", NumberRangeError, "weights are finite and not negative, got (-1|nan|inf)",
    lambda w: chainrule.multinomial(w, 2), ([0.5, 1.0, 0.0],), ([0.5, 1.0, -1.0],), ([0.5, 1.0, float("nan")],),
    ([0.5, 1.0, float("inf")],),
)  # fmt: skip
_DEVIATION = "a standard deviation is not negative, got (-0.5|nan)"
row(
    "random._are_deviations", ValueError, "normal: " + _DEVIATION,
    lambda std: chainrule.normal(0.0, std), ([0.0, 1.0],), ([-0.5, 1.0],), ([1.0, float("nan")],),
)  # fmt: skip
row(
    "random._are_deviations", ValueError, "normal: " + _DEVIATION,
    lambda std: chainrule.normal(tensor([1.0, 2.0]), std), (0.5,), (-0.5,), (float("nan"),),
)  # fmt: skip
row(
    "random._are_deviations", ValueError, "normal_: " + _DEVIATION,
    lambda std: chainrule.zeros(2).normal_(1.0, std), (0.5,), (-0.5,), (float("nan"),),
)  # fmt: skip
row(
    "functions.searching._histogram", ValueError, "histogram: 3 bins from 1.0 to inf; the range must be finite",
    lambda x: chainrule.histc(x, 3), ([1.0, 4.0],), ([1.0, float("inf")],),
)  # fmt: skip

row(
    "functions.assertions._holds", AssertionError, "less than two",
    lambda x: chainrule._assert(x > 2, "less than two"), (3.0,), (1.0,),
)  # fmt: skip
row(
    "functions.assertions._is_nonzero", NumberRangeError, "expected a tensor that is not zero, got zero",
    chainrule._assert_async, (0.5,), (0.0,),
)  # fmt: skip

# ------------------------------------------------------------------------------------------- matrices

_eye, _nothing = [[2.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]
row("primitives.Solve", ValueError, "solve: the matrix is singular", chainrule.linalg.inv, (_eye,), (_nothing,))
row(
    "primitives.Solve", ValueError, r"singular \(matrix \[1\] of the batch\)",
    lambda a: chainrule.linalg.solve(a, chainrule.ones(2, 2, 1)), ([_eye, _eye],), ([_eye, _nothing],),
)  # fmt: skip
row(
    "primitives.Cholesky", ValueError, "cholesky: the matrix is not positive definite",
    chainrule.linalg.cholesky, (_eye,), ([[1.0, 2.0], [2.0, 1.0]],),
)  # fmt: skip
row(
    "functions.lu._need_no_zeros", ValueError, r"lu_factor: the matrix is singular, place 1",
    lambda a: chainrule.linalg.lu_factor(a)[0], (_eye,), (_nothing,),
)  # fmt: skip
row(
    "functions.lu._order", NumberRangeError, "pivots are rows counted from 1 to 2, got 0 to 2",
    lambda pivots: chainrule.lu_unpack(tensor(_eye), pivots).P, ([2, 2],), ([0, 2],),
)  # fmt: skip

#: What raises without a row, and why.
WITHOUT_A_ROW = {
    **{f"functions.floating_point.{name}": "any number will do" for name in ("_exponent", "_neighbour", "_scaled")},
    "functions.counting._fits_minlength": "says what a compiled step cannot do and an eager one can: its own test",
    "distributed.exchange.function": "any numbers travel between processes: what those do is compared elsewhere",
    "primitives.Check": "raises what the rules above raise",
    "primitives.Eigh": "NumPy's eigenvalues of what is not finite are NaN or an error, as the build of LAPACK has it",
    "primitives.SVD": "as Eigh",
    "functions.linalg._further_columns": "QR of what is not finite is NaN",
    **{f"functions.lu.{name}": "any matrix has factors" for name in ("_pivots", "_factors")},
    **{
        f"functions.linalg_checked.{name}": "says what went wrong, and raises nothing"
        for name in ("_not_positive", "_singular")
    },
    "functions.searching._places_in_order": "any numbers have places",
    "functions.incomplete_gamma.incomplete_gamma": "NaN outside of its domain",
    "functions.incomplete_gamma.slope_of_quantile": "NaN outside of its domain",
    "distributions.beta_slope.slope_of_quantile": "NaN outside of its domain",
    "functions.searching._are_in": "any numbers can be looked for",
    "primitives.IndexReduce": "the places have been checked before",
}


def names() -> list[str]:
    """A name for each row: the rule and how often it came before."""
    seen: dict[str, int] = {}
    found = []
    for r in ROWS:
        seen[r.rule] = seen.get(r.rule, 0) + 1
        found.append(f"{re.sub('_+', '_', r.rule)}-{seen[r.rule]}")
    return found
