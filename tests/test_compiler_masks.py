"""What compiled steps do although its numbers are not known: masks in brackets, counts, look-ups, bags, alignments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.errors import TraceError
from chainrule.nn import functional as F

tensor = chainrule.tensor
NUMBERS = np.array([[0.5, -1.0, 2.0], [-3.0, 4.0, -0.25]], np.float32)
MASKS = [
    np.array([[True, False, True], [False, True, True]]), np.zeros((2, 3), bool), np.ones((2, 3), bool),
    np.array([[False, False, False], [True, False, False]]),
]  # fmt: skip


def assign(y: Any, m: Any) -> None:
    y[m] = 7.0


def assign_row(y: Any, m: Any) -> None:
    y[m[:, 0]] = tensor([1.0, 2.0, 3.0]) if isinstance(y, chainrule.Tensor) else np.array([1.0, 2.0, 3.0])


def assign_columns(y: Any, m: Any) -> None:
    y[:, m[0]] = -1.0


def assign_behind_an_integer(y: Any, m: Any) -> None:
    y[1, m[0]] = 5.0


def assign_behind_dots(y: Any, m: Any) -> None:
    y[..., m[1]] = 5.0


def assign_one_truth(y: Any, m: Any) -> None:
    y[m[0, 0]] = 9.0


def multiply(y: Any, m: Any) -> None:
    y[m] *= 2


def divide_the_others(y: Any, m: Any) -> None:
    y[~m] /= 0.5


def add_rows(y: Any, m: Any) -> None:
    y[m[:, 1]] += tensor([1.0, 2.0, 3.0]) if isinstance(y, chainrule.Tensor) else np.array([1.0, 2.0, 3.0], np.float32)


def square_in_place(y: Any, m: Any) -> None:
    y[m] += y[m] ** 2


def absolute_values(y: Any, m: Any) -> None:
    y[y < 0] = -y[y < 0]


def slices(y: Any, m: Any) -> None:
    y[1:, m[0]] -= 1


WRITES = [
    assign, assign_row, assign_columns, assign_behind_an_integer, assign_behind_dots, assign_one_truth, multiply,
    divide_the_others, add_rows, square_in_place, absolute_values, slices,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES, ids=lambda f: f.__name__)
def test_writing_through_a_mask_is_numpys(write: Callable[[Any, Any], None]) -> None:
    def function(x: Any, m: Any) -> Any:
        y = x.clone()
        write(y, m)
        return y

    compiled = chainrule.compile(function)
    for mask in MASKS:
        want = NUMBERS.copy()
        write(want, mask)
        for form in (function, compiled):
            np.testing.assert_array_equal(form(tensor(NUMBERS), tensor(mask)).numpy(), want)
    assert len(compiled.programs) == 1 and len(next(iter(compiled.programs.values()))) == 1


def test_values_one_by_one() -> None:
    def function(x: Any, m: Any) -> Any:
        y = x.clone()
        y[m] = tensor([1.0, 2.0, 3.0, 4.0])
        return y

    want = NUMBERS.copy()
    want[MASKS[0]] = [1, 2, 3, 4]
    compiled = chainrule.compile(function)
    np.testing.assert_array_equal(compiled(tensor(NUMBERS), tensor(MASKS[0])).numpy(), want)
    for form in (function, compiled):
        with pytest.raises(ValueError, match=r"cannot expand shape \(4,\) to \(6,\)"):
            form(tensor(NUMBERS), tensor(MASKS[2]))


def test_masks_from_outside_and_in_index_put() -> None:
    mask, y = tensor(MASKS[0]), tensor(NUMBERS)

    @chainrule.compile
    def step(value: Any) -> Any:
        y[mask] = value
        return y.index_put((~mask,), tensor(0.0))

    for number, marked in ((3.0, MASKS[0]), (4.0, MASKS[3])):
        with chainrule.no_grad():
            mask.copy_(tensor(marked))
            y.copy_(tensor(NUMBERS))
        result = step(tensor(number))
        np.testing.assert_array_equal(y.numpy(), np.where(marked, number, NUMBERS))
        np.testing.assert_array_equal(result.numpy(), np.where(marked, number, 0))
    assert len(next(iter(step.programs.values()))) == 1


def test_sums_and_means_of_what_a_mask_selects() -> None:
    def function(x: Any, m: Any) -> Any:
        return x[m].sum(), (x[m] * 2).mean(), x[m].square().sum()

    compiled = chainrule.compile(function)
    for mask in MASKS:
        picked = NUMBERS[mask].astype(np.float64)
        want = [picked.sum(), 2 * picked.mean() if picked.size else math.nan, (picked**2).sum()]
        for form in (function, compiled):
            found = [t.item() for t in form(tensor(NUMBERS), tensor(mask))]
            np.testing.assert_allclose(found, want, rtol=1e-6, equal_nan=True)


def test_gradients_of_what_is_not_selected_are_not_nan() -> None:
    """d/dx of ln(3x) where x > 0, of x elsewhere: 1/x and 1. The logarithm of the others would be NaN."""

    def function(x: Any) -> Any:
        x = x.detach().requires_grad_()
        y = x * 1
        y[x > 0] *= 3
        y[x > 0] = y[x > 0].log()
        y.sum().backward()
        return x.grad

    want = [1 / 0.5, 1, 1 / 2, 1, 1 / 4, 1]
    for form in (function, chainrule.compile(function)):
        np.testing.assert_allclose(form(tensor(NUMBERS.reshape(-1))).numpy(), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x[x > 0], r"indexing with a mask: how many entries x\[mask\] has"),
        (lambda x: x[x > 0].max(), "where\\(mask, x, 0\\)"),
        (lambda x: x[x > 0].sum(0), "how many entries"),
        (lambda x: x[x > 0] + x, r"meets a tensor of shape \(3,\)"),
        (lambda x: x.masked_select(x > 0), "how many entries"),
        (lambda x: x.nonzero(), "nonzero needs the numbers.*use the condition itself"),
        (lambda x: chainrule.unique(x), "unique needs the numbers.*call it outside"),
        (lambda x: x.repeat_interleave(x.long()), "repeat_interleave needs.*by a Python number"),
        (lambda x: F.one_hot(x.long()), "one_hot needs.*num_classes"),
        (lambda x: chainrule.bincount(x.long()), "bincount needs.*minlength"),
        (lambda x: 1 if x.sum() > 0 else 2, "a Python branch.*Use `where`"),
        (lambda x: x.sum().item(), r"item\(\) needs.*Return the tensor"),
        (lambda x: float(x.sum()), r"item\(\) needs.*Return the tensor"),
        (lambda x: x.tolist(), r"tolist\(\) needs.*Return the tensor"),
        (lambda x: np.asarray(x), r"numpy\(\) needs.*Return the tensor"),
        (lambda x: chainrule.allclose(x, x), "allclose needs.*Compare entry by entry"),
    ],
)
def test_refusals_name_the_function_and_the_way_out(function: Any, says: str) -> None:
    with pytest.raises(TraceError, match=says) as error:
        chainrule.compile(function)(tensor([1.0, 2.0, 3.0]))
    assert ("branch" in str(error.value)) == ("branch" in says)


def test_y_at_one_mask_from_x_at_another_is_refused() -> None:
    def function(x: Any, m: Any) -> Any:
        y = x.clone()
        y[m] = x[~m]
        return y

    with pytest.raises(TraceError, match="the same mask on both sides"):
        chainrule.compile(function)(tensor([1.0, 2.0]), tensor([True, False]))


def flip(m: Any) -> None:
    m.logical_not_()


def clear_first(m: Any) -> None:
    m[0] = False


def both(x: Any, y: Any, m: Any, change: Any) -> Any:
    a, b = x[m], y[m]
    change(m)
    return (a + b).sum()


def one_after(x: Any, y: Any, m: Any, change: Any) -> Any:
    a = x[m]
    change(m)
    return a.sum(), (a * 2).mean(), y[m].sum()


def through_a_view(x: Any, y: Any, m: Any, change: Any) -> Any:
    a = x.reshape(2, 2)[m.reshape(2, 2)[1]]
    change(m)
    return a.sum()


def of_a_matrix_that_is_turned(x: Any, y: Any, m: Any, change: Any) -> Any:
    x, mask = x.reshape(2, 2).clone(), m.reshape(2, 2).clone()
    a = x[mask]
    change(mask)
    x.unsqueeze_(0)
    mask.t_()
    return a.sum()


def put_back_at_the_old_mask(x: Any, y: Any, m: Any, change: Any) -> Any:
    mask, z = x * m > 2, y.clone()
    a = x[mask]
    change(mask)
    z[x * m > 2] = a
    return z


FROM_OUTSIDE = tensor([True, False, False, True])


def by_a_mask_from_outside(x: Any, y: Any, m: Any, change: Any) -> Any:
    FROM_OUTSIDE.copy_(m)
    a = x[FROM_OUTSIDE]
    change(FROM_OUTSIDE)
    return a.sum(), y[FROM_OUTSIDE].sum()


@pytest.mark.parametrize("change", [flip, clear_first], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "function",
    [both, one_after, through_a_view, of_a_matrix_that_is_turned, put_back_at_the_old_mask, by_a_mask_from_outside],
    ids=lambda f: f.__name__,
)
def test_a_selection_keeps_the_mask_that_it_was_made_by(function: Any, change: Any) -> None:
    x, y = tensor([1.0, 2.0, 3.0, 4.0]), tensor([10.0, 20.0, 30.0, 40.0])
    compiled = chainrule.compile(lambda x, y, m: function(x, y, m, change))
    for mask in ([True, False, False, True], [True, True, True, False]):
        eager_mask, compiled_mask = tensor(mask), tensor(mask)
        want, found = function(x, y, eager_mask, change), compiled(x, y, compiled_mask)
        for a, b in zip(*((r if isinstance(r, tuple) else (r,)) for r in (want, found)), strict=True):
            np.testing.assert_array_equal(b.numpy(), a.numpy())
        assert compiled_mask.tolist() == eager_mask.tolist()


def test_selections_by_a_mask_before_and_after_it_has_changed_are_refused() -> None:
    def added(x: Any, m: Any) -> Any:
        a = x[m]
        m.logical_not_()
        return (a + x[m]).sum()

    def written(x: Any, m: Any) -> Any:
        y, a = x.clone(), x[m]
        m.logical_not_()
        y[m] = a
        return y

    for function in (added, written):
        with pytest.raises(TraceError, match="the same mask on both sides"):
            chainrule.compile(function)(tensor([1.0, 2.0]), tensor([True, False]))


# ------------------------------------------------------------------------------------------- other numbers

BOTH = [lambda f: f, chainrule.compile]


@pytest.mark.parametrize("form", BOTH)
def test_counts_and_look_ups(form: Any) -> None:
    x = tensor([0.5, 2.0, 2.0, 5.5])
    assert form(lambda x: chainrule.bincount(x.long(), minlength=7))(x).tolist() == [1, 0, 2, 0, 0, 1, 0]
    weighted = form(lambda x: chainrule.bincount(x.long(), weights=x, minlength=6))
    assert weighted(x).tolist() == [0.5, 0, 4, 0, 0, 5.5]
    assert form(lambda x: chainrule.histc(x, 3, 0, 6))(x).tolist() == [1, 2, 1]
    found = form(lambda x: chainrule.histogram(x, 2))(x)
    assert found.hist.tolist() == [3, 1] and found.bin_edges.tolist() == [0.5, 3.0, 5.5]
    edges = tensor([1.0, 2.0, 3.0])
    assert form(lambda x: chainrule.searchsorted(edges, x))(x).tolist() == [0, 1, 1, 3]
    assert form(lambda x: chainrule.bucketize(x, edges, right=True))(x).tolist() == [0, 2, 2, 3]
    assert form(lambda x: chainrule.isin(x, tensor([2.0, 7.0])))(x).tolist() == [False, True, True, False]
    places = form(lambda x: chainrule.unravel_index(x.long(), (2, 3)))(x)
    assert [p.tolist() for p in places] == [[0, 0, 0, 1], [0, 2, 2, 2]]
    mask = form(lambda x: chainrule.masked_scatter(x, x > 1, tensor([7.0, 8.0, 9.0, 10.0])))
    assert mask(x).tolist() == [0.5, 7, 8, 9]


@pytest.mark.parametrize("form", BOTH)
def test_scatter_reduce(form: Any) -> None:
    index, src, start = tensor([0, 0, 2, 2, 2]), tensor([2.0, 3.0, -1.0, 4.0, 0.5]), tensor([5.0, 6.0, 7.0])
    results = {
        ("prod", True): [30, 6, -14], ("prod", False): [6, 6, -2], ("amax", True): [5, 6, 7],
        ("amax", False): [3, 6, 4], ("amin", True): [2, 6, -1], ("amin", False): [2, 6, -1],
        ("sum", True): [10, 6, 10.5], ("mean", False): [2.5, 6, 3.5 / 3],
    }  # fmt: skip
    for (reduce, own), want in results.items():
        function = form(lambda x, i, s, r=reduce, o=own: x.scatter_reduce(0, i, s, r, include_self=o))
        np.testing.assert_allclose(function(start, index, src).numpy(), want, rtol=1e-6)


def test_the_gradient_of_a_product_of_scattered_numbers() -> None:
    """For each factor the product of the others; zeros and second derivatives too."""
    index = tensor([0, 0, 1, 1, 2, 2])

    def product(start: Any, src: Any) -> Any:
        return chainrule.scatter_reduce(start, 0, index, src, "prod")

    def double(*numbers: float) -> Any:
        return tensor(numbers, dtype=chainrule.float64, requires_grad=True)

    start, src = double(2.0, 0.0, 0.0), double(3.0, -4.0, 5.0, 0.5, 0.0, 6.0)
    product(start, src).sum().backward()
    assert start.grad.tolist() == [-12, 2.5, 0]
    assert src.grad.tolist() == [-8, 6, 0, 0, 0, 0]
    assert chainrule.autograd.gradcheck(product, (start, src))
    assert chainrule.autograd.gradgradcheck(product, (start, src))


@pytest.mark.parametrize("form", BOTH)
def test_the_largest_of_bags(form: Any) -> None:
    table = tensor([[1.0, 8.0], [2.0, 4.0], [4.0, 2.0]], requires_grad=True)

    def function(words: Any, offsets: Any) -> Any:
        y = F.embedding_bag(words, table, offsets, mode="max")
        (gradient,) = chainrule.autograd.grad((y * tensor([[1.0, 10.0]])).sum(), table)
        return y.detach(), gradient

    largest, gradient = form(function)(tensor([0, 1, 2, 2]), tensor([0, 2, 2]))
    assert largest.tolist() == [[2, 8], [0, 0], [4, 2]]
    assert gradient.tolist() == [[0, 10], [1, 0], [1, 10]]


@pytest.mark.parametrize("form", BOTH)
def test_alignments_of_targets_that_come_as_tensors(form: Any) -> None:
    """With three classes of probability 1/3: two steps read "a" in 3 of 9 ways, one step in 1 of 3."""
    steps = chainrule.full((2, 2, 3), 1 / 3).log()
    want = [math.log(3), math.log(3)]
    loss = form(lambda *given: F.ctc_loss(steps, *given, reduction="none"))
    padded = loss(tensor([[1, 0], [2, 0]]), tensor([2, 1]), tensor([1, 1]))
    np.testing.assert_allclose(padded.numpy(), want, rtol=1e-6)
    joined = loss(tensor([1, 2]), tensor([2, 1]), tensor([1, 1]))
    np.testing.assert_allclose(joined.numpy(), want, rtol=1e-6)
    twice = loss(tensor([[1, 2], [2, 0]]), tensor([2, 1]), tensor([2, 1]))
    np.testing.assert_allclose(twice.numpy(), [math.log(9), math.log(3)], rtol=1e-6)
