"""What was computed of frozen numbers and is then changed in place by what learns (LoRA's `result += …`) is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer

#: Results of shape (2, 3) that need no gradient. PyTorch's are tensors of their own; here some are views within.
FROZEN = """
F.embedding(i, w)
F.embedding(i[None], w)[0]
F.linear(w[:2], w[:3])
F.layer_norm(w[:2], (3,))
F.conv1d(w[None, :1, :].repeat(1, 1, 2)[:, :, :5], lib.ones(2, 1, 3))[0]
F.softmax(w[:2], -1)
F.group_norm(w[:2], 1)
F.batch_norm(w[:2], None, None, training=True)
F.interpolate(w[None, :2], size=3)[0]
F.adaptive_avg_pool1d(w[None, :2], 3)[0]
F.scaled_dot_product_attention(w[None, :2], w[None], w[None])[0]
F.embedding_bag(i[:, None], w)
F.fold(lib.ones(1, 2, 3), (1, 3), (1, 1))[0, :, 0]
F.pad(w[:2, :2], (0, 1))
F.normalize(w[:2])
F.one_hot(lib.tensor([2, 0]), 3).to(w.dtype)
lib.cat([w[:1], w[3:4]])
lib.einsum("ij,jk->ik", w[:2], w[:3])
w[i]
w.index_select(0, i)
w[:2].clone()
lib.bmm(w[None, :2], w[None, :3])[0]
""".strip().splitlines()
CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "+=": lambda r, a: r.add_(a),
    "*=": lambda r, a: r.mul_(a),
    "[0] =": lambda r, a: r.__setitem__(0, a[1]),
    "[:, 1] +=": lambda r, a: r[:, 1].add_(a[:, 0]),
    "twice": lambda r, a: r.mul_(a).add_(a),
}


@pytest.mark.parametrize("within", ["frozen weights", "no_grad"])
@pytest.mark.parametrize("line", FROZEN)
def test_changes_in_place_of_frozen_results_are_recorded(line: str, within: str) -> None:
    for name, change in CHANGES.items():
        found = []
        for lib in (torch, chainrule):
            w = lib.nn.Parameter(lib.linspace(-1, 1, 21).reshape(7, 3))
            a = lib.linspace(0.5, 2, 6).reshape(2, 3).requires_grad_()
            w.requires_grad_(within == "no_grad")
            names = {"lib": lib, "F": lib.nn.functional, "w": w, "i": lib.tensor([4, 1])}

            def step(lib: Any = lib, names: Any = names, a: Any = a, change: Any = change) -> Any:
                a.grad = None
                with lib.set_grad_enabled(within != "no_grad"):
                    result = eval(line, names)
                    result = result.clone() if lib is torch and result._is_view() else result  # there it is refused
                assert not result.requires_grad
                change(result, a)
                assert result.requires_grad
                loss = (result * lib.arange(1.0, 7).reshape(2, 3)).sum()
                loss.backward()
                return loss

            found.append((step().item(), a.grad.numpy(), w.grad))
        (theirs, theirs_a, _), (ours, ours_a, ours_w) = found
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(ours_a, theirs_a, rtol=1e-5, atol=1e-5, err_msg=name)
        assert ours_w is None


def test_so_are_those_of_a_compiled_step() -> None:
    w = chainrule.linspace(-1, 1, 21).reshape(7, 3)
    a = chainrule.linspace(0.5, 2, 6).reshape(2, 3).requires_grad_()

    def step(i: Any) -> Any:
        a.grad = None
        result = chainrule.nn.functional.embedding(i, w)
        with chainrule.no_grad():
            other = (w[:2] * 2).reshape(6).reshape(2, 3)
        result += a
        other *= a
        loss = (result * other).sum()
        loss.backward()
        return loss

    i = chainrule.tensor([4, 1])
    expected = step(i).item(), a.grad.tolist()
    compiled = chainrule.compile(step)
    for _ in range(2):
        assert compiled(i).item() == pytest.approx(expected[0], rel=1e-5)
        np.testing.assert_allclose(a.grad.numpy(), expected[1], rtol=1e-5)


def test_a_view_made_while_nothing_was_recorded_shows_what_is_recorded_through_it() -> None:
    """PyTorch refuses such a change. Another view of that time goes on showing numbers alone."""
    base, a = chainrule.zeros(2, 2), chainrule.ones(2, requires_grad=True)
    with chainrule.no_grad():
        row, other = base[0], base[1]
    row += a * 3
    other.detach_()
    assert row.requires_grad and base.requires_grad
    (row.sum() + base.sum()).backward()
    assert a.grad.tolist() == [6.0, 6.0]
