"""`unsqueeze_`, `squeeze_`, `t_`, `transpose_` and `resize_`: what the tensor, its base and its views are afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule

#: Changes of shape that a tensor of any shape can undergo: drawn numbers decide where.
CHANGES: list[Callable[[Any, int], Any]] = [
    lambda x, n: x.unsqueeze_(n % (x.dim() + 1)),
    lambda x, n: x.squeeze_(),
    lambda x, n: x.squeeze_(n % x.dim()) if x.dim() else x,
    lambda x, n: x.transpose_(0, n % x.dim()) if x.dim() else x,
    lambda x, n: x.swapaxes_(-1, n % x.dim()) if x.dim() else x,
    lambda x, n: x.t_() if x.dim() < 3 else x,
]
#: Views and writes.
USES: list[Callable[[Any, int], Any]] = [
    lambda x, n: x[0] if x.dim() and len(x) else x[...],
    lambda x, n: x[n % len(x) :] if x.dim() else x[...],
    lambda x, n: x[..., n % x.shape[-1]] if x.dim() else x[...],
    lambda x, n: x.detach(),
    lambda x, n: x.transpose(0, -1) if x.dim() else x[...],
]


@pytest.mark.peer
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=12))
def test_any_programme_of_changes_views_and_writes_is_as_in_pytorch(steps: list[tuple[int, int, int]]) -> None:
    torch = pytest.importorskip("torch")
    seen: list[list[Any]] = []
    for framework in (chainrule, torch):
        known = [framework.arange(12.0).reshape(3, 1, 4).clone()]
        for kind, which, n in steps:
            x = known[which % len(known)]
            if kind == 0:
                CHANGES[n % len(CHANGES)](x, n)
            elif kind == 1:
                known.append(USES[n % len(USES)](x, n))
            else:
                x.add_(n)
        seen.append([(tuple(x.shape), x.tolist()) for x in known])
    assert seen[0] == seen[1]


def test_gradients_go_through_the_change() -> None:
    x = chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    rest = y[1:]
    y.unsqueeze_(0).transpose_(0, 1)
    rest.mul_(5)
    (y * y).sum().backward()
    assert y.shape == (3, 1) and x.grad.tolist() == [8, 400, 600]


def test_a_leaf_that_requires_a_gradient_is_refused_unless_nothing_is_recorded() -> None:
    p = chainrule.nn.Parameter(chainrule.ones(2, 3))
    with pytest.raises(chainrule.GradientError, match="leaf tensor"):
        p.t_()
    with chainrule.no_grad():
        p.t_()
    assert p.shape == (3, 2) and p.requires_grad


def test_resize() -> None:
    x = chainrule.arange(4.0)
    middle = x[1:3]
    x.resize_(2, 3)
    middle.fill_(7)
    assert x.tolist() == [[0, 7, 7], [3, 0, 0]]
    same = x[0]
    assert x.resize_(3, 2) is x and same.tolist() == [0, 7, 7]
    assert chainrule.zeros(3).resize_as_(x).shape == (3, 2)
    x.resize_(2)
    assert x.tolist() == [0, 7]
    with pytest.raises(chainrule.ShapeError, match="its entries are gone"):
        same.tolist()
    with pytest.raises(chainrule.ShapeError, match="a view of 1 entries cannot become one of 4"):
        x[:1].resize_(4)
    with pytest.raises(chainrule.GradientError, match="keeps its size"):
        chainrule.ones(2, requires_grad=True).resize_(3)


def test_within_a_compiled_step() -> None:
    def step(x: Any) -> Any:
        y = x * 2
        row = y[0]
        y.unsqueeze_(0)
        row.add_(1)
        return y.transpose_(1, 2)

    x = chainrule.arange(6.0).reshape(2, 3)
    compiled = chainrule.compile(step)
    assert chainrule.equal(compiled(x), step(x)) and chainrule.equal(compiled(x + 1), step(x + 1))

    outside = chainrule.ones(2)

    @chainrule.compile
    def changes(x: Any) -> Any:
        outside.unsqueeze_(0)
        return x

    with pytest.raises(chainrule.TraceError, match=r"without the underscore"):
        changes(x)
    assert outside.shape == (2,)


def test_copies_and_files_keep_nothing_of_the_change(tmp_path: Any) -> None:
    import copy
    import pickle

    x = chainrule.arange(3.0)
    view = x[1:]
    x.unsqueeze_(0)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.deepcopy(view)):
        twin.add_(1)
    assert x.tolist() == [[0, 1, 2]] and view.tolist() == [1, 2]
