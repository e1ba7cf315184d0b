"""Ways that eager code takes where numbers are known or small: each is compared with the long way round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd
from chainrule.nn import functional as F
from chainrule.primitives.indexing import ARRAY, Index, IndexAdd
from chainrule.primitives.ordering import first_places, sorted_places
from chainrule.primitives.reduction import Product

random = np.random.default_rng(0)
float64 = chainrule.float64


# ------------------------------------------------------------------------------------------------ the first of many

ROWS: dict[str, Any] = {
    "numbers": random.standard_normal((7, 400)),
    "equal ones": random.integers(0, 9, (7, 400)).astype("f4"),
    "all equal": np.zeros((3, 60), "f4"),
    "two zeros": np.where(random.random((7, 400)) < 0.5, -0.0, 0.0),
    "NaN": np.where(random.random((7, 400)) < 0.02, np.nan, random.standard_normal((7, 400))),
    "infinities": np.where(random.random((7, 400)) < 0.1, -np.inf, random.standard_normal((7, 400))),
    "nothing but −∞": np.full((2, 60), -np.inf, "f4"),
    "halves": random.standard_normal((7, 400)).astype("f2"),
    "integers": random.integers(-5, 5, (7, 400)),
    "the smallest integers": np.where(random.random((7, 400)) < 0.9, -(2**63), 3),
    "bytes": random.integers(0, 256, (7, 400)).astype("u1"),
    "booleans": random.random((7, 400)) < 0.5,
    "no rows": np.zeros((0, 60), "f4"),
}


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [0, 1, 3, 8, 9, 15, 60])
@pytest.mark.parametrize("name", ROWS)
def test_topk_is_the_beginning_of_the_order(name: str, k: int, largest: bool) -> None:
    rows = ROWS[name]
    order = sorted_places(rows, 1, largest)[:, :k]
    for x, dim in ((rows, 1), (np.ascontiguousarray(rows.T), 0)):
        found = chainrule.tensor(x).topk(k, dim, largest)
        places = order if dim else order.T
        assert np.array_equal(found.indices.numpy(), places)
        assert np.array_equal(found.values.numpy(), np.take_along_axis(x, places, dim), equal_nan=x.dtype.kind == "f")


def test_the_first_of_many_are_found_without_sorting() -> None:
    for name, k, largest in (
        ("numbers", 5, True),
        ("equal ones", 8, False),
        ("numbers", 20, True),
        ("halves", 30, False),
    ):
        assert first_places(ROWS[name], k, 1, largest) is not None
    assert first_places(ROWS["all equal"], 10, 1, True) is None  # too many are as good as each other
    assert first_places(ROWS["NaN"], 3, 1, True) is not None and first_places(ROWS["NaN"], 3, 1, False) is None


def test_the_gradient_of_topk_goes_where_the_entries_stood() -> None:
    for k in (2, 12):
        x = chainrule.tensor(ROWS["equal ones"], requires_grad=True)
        values, indices = x.topk(k)
        (values * chainrule.arange(k)).sum().backward()
        expected = np.zeros(x.shape)
        np.put_along_axis(expected, indices.numpy(), np.arange(k), 1)
        assert np.array_equal(x.grad.numpy(), expected)


# ------------------------------------------------------------------------------------------------ adding at places


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8"])
@pytest.mark.parametrize("counts", [[1], [3, 1], [70], [500, 2, 2], [20] * 50, [200] * 9, [*range(1, 130)], []])
def test_rows_added_at_places_are_those_of_numpy(counts: list[int], dtype: str) -> None:
    places = random.permutation(np.repeat(np.arange(len(counts)), counts))
    x, y = (random.integers(-9, 10, (n, 2, 3)).astype(dtype) for n in (len(counts) + 2, len(places)))
    expected = x.astype("f8")
    np.add.at(expected, places, y)
    found = chainrule.tensor(x).index_add(0, chainrule.tensor(places), chainrule.tensor(y))
    assert np.allclose(found.numpy(), expected.astype(dtype), rtol=2e-3 if dtype == "f2" else 1e-6, atol=2e-2)


def test_long_sums_at_one_place_keep_their_digits() -> None:
    y = random.random((20000, 2)).astype("f4")
    for places in (np.zeros(20000, "i8"), np.arange(20000) % 3, np.arange(20000) % 150):
        exact = np.zeros((150, 2))
        np.add.at(exact, places, y)
        found = chainrule.zeros(150, 2).index_add(0, chainrule.tensor(places), chainrule.tensor(y))
        assert np.allclose(found.numpy(), exact, rtol=2e-6, atol=0)


def test_single_entries_are_read_and_added_wherever_they_stand() -> None:
    x = random.standard_normal((4, 5, 6)).astype("f4")
    places = [random.integers(-n, n, (3, 1) if n == 4 else (7,)) for n in (4, 5, 6)]
    key, given = (ARRAY,) * 3, [chainrule.tensor(p) for p in places]
    for array in (x, np.asfortranarray(x), x[:, ::-1]):
        assert np.array_equal(Index.apply(chainrule.tensor(array), *given, key=key).numpy(), array[tuple(places)])
    y = random.standard_normal((3, 7)).astype("f4")
    expected = x.copy()
    np.add.at(expected, tuple(places), y)
    assert np.array_equal(IndexAdd.apply(chainrule.tensor(x), chainrule.tensor(y), *given, key=key).numpy(), expected)
    for wrong in (-5, 4):
        bad = [chainrule.full((3, 1), wrong), *given[1:]]
        with pytest.raises(chainrule.errors.IndexRangeError, match="out of bounds"):
            Index.apply(chainrule.tensor(x), *bad, key=key)
        with pytest.raises(chainrule.errors.IndexRangeError, match="out of bounds"):
            IndexAdd.apply(chainrule.tensor(x), chainrule.tensor(y), *bad, key=key)
    nothing = [chainrule.zeros(0, dtype=chainrule.int64)] * 3
    assert Index.apply(chainrule.tensor(x), *nothing, key=key).shape == (0,)


# ------------------------------------------------------------------------------------------------ products


@pytest.mark.parametrize("zeros", [0, 1, 2])
@pytest.mark.parametrize("shape", [(5,), (3, 6), (2, 1), (1,)])
def test_gradients_of_products_with_and_without_zeros(shape: tuple[int, ...], zeros: int) -> None:
    x = random.uniform(0.5, 2, shape) * random.choice([-1, 1], shape)
    x.reshape(-1)[:zeros] = 0
    t = chainrule.tensor(x, dtype=float64, requires_grad=True)
    for function in (lambda t: t.prod(-1), lambda t: t.prod(), lambda t: t.cumprod(-1), lambda t: t.cumprod(0)):
        for _ in range(3):  # noted at the second call
            assert autograd.gradcheck(function, t)
        assert autograd.gradgradcheck(function, t)


def test_a_product_that_is_too_large_or_too_small_does_not_divide() -> None:
    for x in ([1e30, 1e30, 2.0], [1e-30, 1e-30, 2.0]):
        t = chainrule.tensor(x, requires_grad=True)
        t.prod().backward()
        a, b, c = map(np.float32, x)
        with np.errstate(over="ignore", under="ignore"):
            assert t.grad.tolist() == [b * c, a * c, a * b]


def test_the_gradient_of_a_long_product_takes_no_square_of_memory() -> None:
    x = chainrule.full((100_000,), 1.0).requires_grad_()
    Product.apply(x, axes=(0,)).backward()
    assert bool((x.grad == 1).all())


# ------------------------------------------------------------------------------------------------ joining, bags, labels


def test_stack_of_numbers_of_nothing_and_of_several_types() -> None:
    numbers = [chainrule.tensor(float(i), requires_grad=True) for i in range(3)]
    y = chainrule.stack(numbers)
    (y * chainrule.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert y.tolist() == [0, 1, 2] and [x.grad.item() for x in numbers] == [1, 2, 3]
    assert chainrule.stack([chainrule.zeros(0), chainrule.zeros(0)], 1).shape == (0, 2)
    mixed = chainrule.stack([chainrule.tensor([1]), chainrule.tensor([2.5])], -1)
    assert mixed.tolist() == [[1.0, 2.5]]
    parts = [chainrule.ones(2, 3), chainrule.zeros(2, 3)]
    chainrule.stack(parts)[0].add_(1)
    assert parts[0].sum().item() == 6  # not a view
    with pytest.raises(chainrule.errors.ShapeError, match="differ in shape"):
        chainrule.stack([chainrule.zeros(2), chainrule.zeros(3)])


@pytest.mark.parametrize("padding", [None, 1])
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_of_one_size_are_those_with_offsets(mode: str, padding: int | None) -> None:
    words = chainrule.tensor(random.integers(0, 5, (4, 3)))
    numbers = random.standard_normal((5, 2))
    weights = [chainrule.tensor(numbers, dtype=float64, requires_grad=True) for _ in range(2)]
    y = F.embedding_bag(words, weights[0], mode=mode, padding_idx=padding)
    z = F.embedding_bag(words.reshape(-1), weights[1], chainrule.arange(4) * 3, mode=mode, padding_idx=padding)
    (y**2).sum().backward()
    (z**2).sum().backward()
    assert chainrule.allclose(y, z) and chainrule.allclose(weights[0].grad, weights[1].grad)


@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3, 5), (4, 21, 64, 64), (0, 4)])
def test_the_usual_likelihood_is_that_with_an_ignored_label(shape: tuple[int, ...]) -> None:
    scores = random.standard_normal(shape).astype("f4")
    labels = chainrule.tensor(random.integers(0, 4, (shape[0], *shape[2:])))
    x, y = (chainrule.tensor(scores, requires_grad=True) for _ in range(2))
    for _ in range(2):
        loss = F.nll_loss(x, labels)
        x.grad = None
        loss.backward()
    other = F.nll_loss(y, labels, chainrule.ones(shape[1]))  # with a weight for each class
    other.backward()
    assert chainrule.allclose(loss, other, equal_nan=True) and chainrule.allclose(x.grad, y.grad, equal_nan=True)


# ------------------------------------------------------------------------------------------------ taken apart

PIECES: dict[str, Any] = {
    "split": lambda x: x.split([1, 4, 0, 2], 1),
    "chunk": lambda x: x.chunk(3, -1),
    "unbind": lambda x: x.unbind(1),
}


@pytest.mark.parametrize("name", PIECES)
def test_pieces_have_one_gradient(name: str) -> None:
    def weighed(x: Any, used: Any) -> Any:
        pieces = PIECES[name](x)
        return chainrule.stack([(pieces[i] ** 2).sum() * (i + 1) for i in used]).sum()

    x = chainrule.tensor(random.standard_normal((3, 7)), requires_grad=True)
    assert {piece.grad_fn.name() for piece in PIECES[name](x)} == {"pieces"}
    for used in ([0, 1, 2], [1]):
        assert autograd.gradcheck(lambda x, used=used: weighed(x, used), (x,))
        assert autograd.gradgradcheck(lambda x, used=used: weighed(x, used), (x,))


@pytest.mark.parametrize("name", PIECES)
def test_pieces_follow_what_is_written_into_the_whole_and_write_through(name: str) -> None:
    x = chainrule.tensor(random.standard_normal((3, 7)), requires_grad=True)
    whole = x * 1
    pieces = PIECES[name](whole)
    whole.mul_(2)
    pieces[1].mul_(3)
    (gradient,) = autograd.grad(whole.sum() + pieces[0].sum(), x)
    expected = np.full((3, 7), 2.0)
    places = PIECES[name](chainrule.arange(7).expand(3, 7))
    expected[:, places[0][0].numpy()] += 2.0
    expected[:, places[1][0].numpy()] *= 3.0
    assert np.array_equal(gradient.numpy(), expected)


# ------------------------------------------------------------------------------------------------ clipping


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("p", [2.0, 1.0, float("inf")])
def test_norms_of_many_gradients_are_those_of_numpy(large: bool, p: float) -> None:
    shapes = [(3, 4), (5,), (200, 200) if large else (2, 2), ()]
    arrays = [random.standard_normal(shape).astype("f4") for shape in shapes]
    weights = [chainrule.zeros(*shape, requires_grad=True) for shape in shapes]
    for weight, array in zip(weights, arrays, strict=True):
        weight.grad = chainrule.tensor(array)
    kept = weights[0].grad
    total = chainrule.nn.utils.clip_grad_norm_(weights, 0.5, p)
    expected = np.linalg.norm(np.concatenate([array.reshape(-1) for array in arrays]).astype("f8"), p)
    assert np.isclose(total.item(), expected, rtol=1e-5)
    for weight, array in zip(weights, arrays, strict=True):
        assert np.allclose(weight.grad.numpy(), array * min(1, 0.5 / (expected + 1e-6)), rtol=1e-5)
    assert kept is weights[0].grad and chainrule.nn.utils.clip_grad_norm_([chainrule.zeros(2)], 1.0).item() == 0
