"""Steps that write at some places of an argument or a cell: where its entries lie, seen by nobody who holds the old."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule


def entries_of(x: Any) -> int:
    """Where the entries of a tensor are."""
    address: int = np.asarray(x).__array_interface__["data"][0]
    return address


def rows(*numbers: float) -> Any:
    return chainrule.tensor([[n, n] for n in numbers])


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_row_of_an_argument_is_stored_in_its_memory(backend: str) -> None:
    put = chainrule.compile(lambda x, i, row: x.index_copy_(0, i, row), backend=backend)
    x, expected = chainrule.zeros(5, 2), np.zeros((5, 2))
    put(x, chainrule.tensor([0]), rows(0.0))  # what happens to end at a page's end is moved the first time
    for i in (3, 0, 4, 3):
        before = entries_of(x)
        assert put(x, chainrule.tensor([i]), rows(i + 0.5)) is x
        expected[i] = i + 0.5
        np.testing.assert_array_equal(x.numpy(), expected)
        assert backend == "numpy" or entries_of(x) == before


def test_who_holds_the_old_value_keeps_it() -> None:
    put = chainrule.compile(lambda x, i, row: x.index_copy_(0, i, row))
    x = chainrule.zeros(3, 2)
    held = [x.detach().clone(), np.asarray(x), chainrule.Tensor(x).clone()]
    view = x[1]
    put(x, chainrule.tensor([1]), rows(7.0))
    assert all(not np.asarray(y).any() for y in held)
    assert view.tolist() == [7, 7] and x[1].tolist() == [7, 7], "a view of it sees what is written"
    put(view.unsqueeze(0), chainrule.tensor([0]), rows(8.0))
    assert x.tolist() == [[0, 0], [8, 8], [0, 0]], "and so does what a view is of"


def test_an_error_leaves_the_argument_as_it_was() -> None:
    @chainrule.compile
    def put(x: Any, i: Any, row: Any, y: Any, j: Any) -> Any:
        x.index_copy_(0, i, row)
        return y[j]

    x, y = chainrule.zeros(3, 2), chainrule.arange(4.0)
    assert put(x, chainrule.tensor([2]), rows(1.0), y, chainrule.tensor([3])).tolist() == [3]
    for i, j in ((3, 0), (0, 4)):
        with pytest.raises(IndexError):
            put(x, chainrule.tensor([i]), rows(9.0), y, chainrule.tensor([j]))
        assert x.tolist() == [[0, 0], [0, 0], [1, 1]]


def test_what_may_fail_may_depend_on_what_is_written() -> None:
    @chainrule.compile
    def put(x: Any, i: Any, new: Any, y: Any) -> Any:
        x.index_copy_(0, i, new)
        return y[x]  # an index out of range is found only now, and then nothing must have been written

    x, y = chainrule.zeros(3, dtype="int64"), chainrule.arange(4.0)
    assert put(x, chainrule.tensor([1]), chainrule.tensor([3]), y).tolist() == [0, 3, 0]
    with pytest.raises(IndexError):
        put(x, chainrule.tensor([0]), chainrule.tensor([4]), y)
    assert x.tolist() == [0, 3, 0]


def test_old_and_new_values_in_one_step() -> None:
    @chainrule.compile
    def put(x: Any, i: Any, row: Any) -> Any:
        before = x * 1
        x.index_copy_(0, i, row)
        return before, x.sum()

    x = chainrule.ones(3, 2)
    before, total = put(x, chainrule.tensor([0]), rows(5.0))
    assert before.tolist() == [[1, 1]] * 3 and total.item() == 14 and x[0].tolist() == [5, 5]


def test_a_row_of_a_cell_is_all_that_is_stored() -> None:
    kept = chainrule.zeros(1000, 2)

    @chainrule.compile
    def put(i: Any, row: Any) -> Any:
        kept.index_copy_(0, i, row)
        return kept[:2].sum()

    put(chainrule.tensor([5]), rows(1.0))
    before = entries_of(kept)
    assert put(chainrule.tensor([1]), rows(2.0)).item() == 4 and entries_of(kept) == before
    assert "1000" not in put.explain(), "no kernel walks along all of it"


def test_a_part_that_a_slice_names() -> None:
    @chainrule.compile
    def put(x: Any, row: Any) -> Any:
        x[1:, 3] = row.exp().sum(-1)
        return x[2]

    x, row = chainrule.zeros(3, 1000), chainrule.arange(6.0, dtype=chainrule.float32).reshape(2, 3)
    expected = np.zeros((3, 1000))
    put(x, row)  # what happens to end at a page's end is moved the first time
    for _ in range(3):
        before = entries_of(x)
        np.testing.assert_array_equal(put(x, row).numpy(), x[2].numpy())
        expected[1:, 3] = np.exp(row.numpy()).sum(1)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
        assert entries_of(x) == before
        row = row + 1
    assert "3×1000" not in put.explain()


def test_one_tensor_as_two_arguments() -> None:
    put = chainrule.compile(lambda x, y, i, row: (x.index_copy_(0, i, row), y * 1))
    x = chainrule.zeros(2, 2)
    for i in (0, 1):
        assert put(x, x, chainrule.tensor([i]), rows(3.0))[1].tolist() == x.tolist()
    assert x.tolist() == [[3, 3], [3, 3]]


def test_an_argument_that_is_changed_as_a_whole() -> None:
    double = chainrule.compile(lambda x: x.mul_(2))
    x = chainrule.ones(3)
    held = np.asarray(x)
    for _ in range(3):
        double(x)
    assert x.tolist() == [8, 8, 8] and held.tolist() == [1, 1, 1]


@pytest.mark.parametrize("size", [300_000, 300_040, (33 * 2**20 + 4000) // 4])
def test_arguments_that_end_at_a_page_s_end(size: int) -> None:
    """The C library begins all large blocks alike, so each copy of some sizes ends where no vector may be read."""
    x, add = chainrule.zeros(size), chainrule.compile(lambda x: x.add_(1))
    add(x)
    place = np.asarray(x).__array_interface__["data"]
    add(x)
    assert np.asarray(x).__array_interface__["data"] == place
    assert float(x[0]) == float(x[-1]) == 2.0
