"""Views by strides against PyTorch: reading, gradients, writing through, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.errors import ShapeError

torch = pytest.importorskip("torch")

#: (size, stride, offset) into 24 entries.
WAYS: list[tuple[tuple[int, ...], tuple[int, ...], int]] = [
    ((4, 6), (6, 1), 0), ((6, 4), (1, 6), 0), ((5, 3), (4, 2), 1), ((22, 3), (1, 1), 0), ((3, 2, 2), (8, 1, 4), 2),
    ((3,), (7,), 3), ((2, 5), (0, 3), 4), ((4,), (0,), 9), ((), (), 5), ((2, 1, 3), (3, 99, 5), 0), ((0, 4), (1, 1), 0),
    ((3, 3, 2, 2), (4, 1, 4, 1), 0), ((1, 1), (5, 7), 23), ((2, 2, 2, 2), (1, 2, 4, 8), 3), ((2, 3), (1, 2), 0),
]  # fmt: skip


def _is_written_once(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    places = np.zeros((), int)
    for extent, step in zip(size, stride, strict=True):
        places = places[..., None] + np.arange(extent) * step
    return len(np.unique(places)) == places.size


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_entries_and_gradients_are_pytorchs(way: Any) -> None:
    size, stride, offset = way
    found, expected = [], []
    for library, results in ((chainrule, found), (torch, expected)):
        x = library.arange(24, dtype=library.float64).reshape(2, 12).requires_grad_()
        y = library.as_strided(x, size, stride, offset)
        assert tuple(y.shape) == size
        (y * library.arange(y.numel(), dtype=library.float64).reshape(size)).square().sum().backward()
        results += [y.detach().numpy(), x.grad.numpy()]
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_it_is_written_through_where_no_place_comes_twice(way: Any) -> None:
    size, stride, offset = way
    x, peer = chainrule.zeros(24), torch.zeros(24)
    view = x.as_strided(size, stride, offset)
    numbers = np.arange(1.0, 1 + np.prod(size, dtype=int), dtype=np.float32).reshape(size)
    if not _is_written_once(size, stride):
        with pytest.raises(ShapeError):
            view.copy_(chainrule.tensor(numbers))
        return
    view.copy_(chainrule.tensor(numbers))
    peer.as_strided(size, stride, offset).copy_(torch.tensor(numbers))
    assert x.tolist() == peer.tolist()
    x.fill_(3.0)
    assert (view == 3.0).all()


def test_of_a_view_that_lies_row_by_row_it_is_pytorchs() -> None:
    for library in (chainrule, torch):
        x = library.arange(24.0).reshape(6, 4)
        part = x[2:5]
        assert part.storage_offset() == 8
        assert part.as_strided((2, 2), (4, 1)).tolist() == [[8.0, 9.0], [12.0, 13.0]]
        assert part.as_strided((2, 2), (4, 1), part.storage_offset() + 1).tolist() == [[9.0, 10.0], [13.0, 14.0]]
        part.as_strided((2,), (4,)).zero_()
        assert x[2:4, 0].tolist() == [0.0, 0.0]
        assert x.detach().reshape(4, 6).as_strided((2,), (7,)).tolist() == [0.0, 7.0]
        assert library.as_strided_scatter(x, library.ones(2), (2,), (1,), 1)[0].tolist() == [0.0, 1.0, 1.0, 3.0]
        assert x[0].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("view", [lambda x: x.t(), lambda x: x[:, 1:], lambda x: x[::2], lambda x: x[:1].expand(3, 4)])
def test_of_other_views_it_is_refused(view: Any) -> None:
    x = view(chainrule.arange(24.0).reshape(6, 4))
    with pytest.raises(ShapeError, match="row by row"):
        x.as_strided((2,), (1,))
    with pytest.raises(ShapeError, match="row by row"):
        x.storage_offset()
    with pytest.raises(ShapeError, match="row by row"):
        chainrule.compile(lambda y: y.as_strided((2,), (1,)))(x)
    assert x.clone().as_strided((2,), (1,)).tolist() == x.reshape(-1)[:2].tolist()


def test_what_the_tensor_does_not_have_is_refused() -> None:
    x = chainrule.arange(6.0)
    for size, stride, offset in (
        ((3,), (3,), 0),
        ((2,), (-1,), 1),
        ((2,), (1, 1), 0),
        ((1,), (1,), -1),
        ((-1,), (1,), 0),
    ):
        with pytest.raises((ShapeError, ValueError)):
            x.as_strided(size, stride, offset)
    with pytest.raises(ShapeError, match="has those from 2 to 5"):
        x[2:].as_strided((2,), (1,), 0)


def test_compiled_it_is_the_same() -> None:
    def windows(x: Any) -> Any:
        y = x * 2
        y.as_strided((3,), (9,), 1).fill_(0.0)
        return (y.as_strided((3, 3, 2, 2), (4, 1, 4, 1)) * 0.5).sum((2, 3)), x[1:].as_strided((2, 2), (1, 4))

    x = chainrule.arange(24.0).reshape(6, 4)
    step = chainrule.compile(windows)
    for a, b in zip(step(x), windows(x), strict=True):
        assert a.tolist() == b.tolist()
    rows = chainrule.arange(40.0).reshape(10, 4)[4:]
    for a, b in zip(step(rows), windows(rows.clone()), strict=True):
        assert a.tolist() == b.tolist()
