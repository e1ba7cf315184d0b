"""Arguments at the edge of what an operation takes: empty, 0-d, negative, broadcast. Values, types and gradients as PyTorch.

Each case is a line that both libraries read, `lib` being one or the other, and its inputs. Those of floating point
require a gradient; a result that does not depend on one must say so in both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peer


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def places(*entries: Any) -> Any:
    return np.array(entries, np.int64)


IMAGE, ROW, ONE = numbers(2, 3, 4, 5), numbers(5), numbers()
P = np.random.default_rng(0).uniform(0.2, 0.8, (4, 3))
Z = np.int64(0)

CASES: list[tuple[str, *tuple[Any, ...]]] = [
    # padding
    ("lib.nn.functional.pad(x, (-1, 2, -2, 1), 'reflect')", IMAGE),
    ("lib.nn.functional.pad(x, (3, -2, 1, 1), 'reflect')", IMAGE),
    ("lib.nn.functional.pad(x, (-1, 2, -2, 1), 'replicate')", IMAGE),
    ("lib.nn.functional.pad(x, (-5, 6, 0, 0), 'replicate')", IMAGE),
    ("lib.nn.functional.pad(x, (-1, 2, -2, 1), 'circular')", IMAGE),
    ("lib.nn.functional.pad(x, (2, -3), 'circular')", numbers(2, 3, 6)),
    ("lib.nn.functional.pad(x, (-1, 2, -2, 1))", IMAGE),
    # norms, sums and joins of little or nothing
    ("lib.norm(x, 'nuc')", numbers(4, 3)),
    ("lib.norm(x, 'nuc', (1, 2))", numbers(2, 4, 3)),
    ("x.norm()", numbers(0)),
    ("lib.norm(x, 1)", numbers(0, 2)),
    ("lib.linalg.vector_norm(x, 2, 1)", numbers(3, 0)),
    ("lib.linalg.vector_norm(x, 0, 1)", numbers(3, 0)),
    ("lib.cat([x, y])", numbers(0), numbers(0)),
    ("lib.cat([x, y], 1)", numbers(0), numbers(2, 3)),
    ("lib.cat([x, y], 1)", numbers(2, 0), numbers(2, 3)),
    ("x @ y", numbers(5, 4, 0), numbers(0, 3)),
    ("x.squeeze(())", numbers(1, 2, 1)),
    ("lib.cov(x)", numbers(1, 4)),
    ("lib.corrcoef(x)", numbers(1, 4)),
    ("lib.linalg.matrix_power(x, 0)", numbers(2, 2)),
    # places
    ("x.gather(0, i)", ONE, Z),
    ("x.gather(0, i)", ONE, places(0)),
    ("x.gather(0, i)", ROW, np.zeros((2, 0), np.int64)),
    ("x.scatter(0, i, y)", ONE, Z, numbers(seed=1)),
    ("x.scatter(0, i, 2.5)", ONE, Z),
    ("x.scatter_add(0, i, y)", ONE, Z, numbers(seed=1)),
    ("x.scatter_reduce(0, i, y, 'sum')", ONE, Z, numbers(seed=1)),
    ("x.scatter_reduce(0, i, y, 'mean', include_self=False)", ONE, Z, numbers(seed=1)),
    ("x.index_add(0, i, y, alpha=2)", ONE, places(0), numbers(seed=1)),
    ("x.index_copy(0, i, y)", ONE, places(0), numbers(seed=1)),
    ("x.index_fill(0, i, 7.0)", ONE, places(0)),
    ("x.index_fill(0, i, y)", ONE, places(0), numbers(seed=1)),
    ("x.index_fill(1, i, y)", numbers(3, 4), places(2, 0, 2, 2), numbers(seed=1)),
    ("x.take_along_dim(i, 1)", numbers(2, 3), places([-1, 0, -3], [2, -2, 1])),
    ("x.repeat_interleave(i, output_size=6)", numbers(3), places(1, 2, 3)),
    ("x.repeat_interleave(2, 1, output_size=6)", numbers(2, 3)),
    # layers of nothing, with gradients of zeros
    ("lib.nn.functional.batch_norm(x, None, None, y, z, training=True)", numbers(0, 3, 4), numbers(3), numbers(3)),
    ("lib.nn.functional.batch_norm(x, y, z)", numbers(0), numbers(0), numbers(0) ** 2),
    ("lib.nn.functional.layer_norm(x, (3,), y, z)", numbers(0, 3), numbers(3), numbers(3)),
    ("lib.nn.functional.group_norm(x, 3, y, z)", numbers(0, 6, 2), numbers(6), numbers(6)),
    ("lib.nn.functional.avg_pool2d(x, (2, 2), stride=[])", IMAGE),
    ("lib.nn.functional.avg_pool2d(x, (2, 2), (), 0, False, True, -2)", IMAGE),
    ("lib.nn.functional.max_pool2d(x, 2, stride=[])", IMAGE),
    # losses
    ("lib.nn.functional.gaussian_nll_loss(x, y, z)", numbers(4, 3), numbers(4, 1), P),
    ("lib.nn.functional.gaussian_nll_loss(x, y, z)", numbers(4, 3), numbers(1, 3), P[:1]),
    ("lib.nn.functional.gaussian_nll_loss(x, y, z, full=True)", numbers(4, 3), ONE, P[:, :1]),
    ("lib.nn.functional.gaussian_nll_loss(x, y, z, reduction='none')", numbers(4, 3), numbers(4, 3), P[:, 0]),
    ("lib.nn.functional.multi_margin_loss(x, i)", ONE, Z),
    ("lib.nn.functional.multilabel_margin_loss(x, i)", ONE, Z),
    # slopes that are 0, and those of the places where something is read
    ("lib.copysign(x, y)", numbers(3), numbers(2, 3)),
    ("lib.quantile(x, y)", numbers(7), np.array([0.2, 0.9])),
    ("lib.quantile(x, y, 1, interpolation='nearest')", numbers(2, 7), np.array([0.3])),
    ("lib.quantile(x, y, 0)", ONE, np.array([0.2, 0.9])),
    *[
        (f"lib.nn.functional.grid_sample(x, y, '{mode}', '{padding}', align_corners={corners})", IMAGE, GRID)
        for GRID in [numbers(2, 3, 2, 2) * 0.9]
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (True, False)
    ],
    # types that are asked for
    ("lib.tensor([[200, 100]]).sum(1, dtype=lib.uint8)",),
    ("lib.tensor([[2, 0]]).prod(1, dtype=lib.bool)",),
    ("lib.tensor([200, 100]).cumsum(0, dtype=lib.uint8)",),
    ("lib.tensor([20, 100]).cumprod(0, dtype=lib.int8)",),
    ("lib.linspace(4.3, 0, 8, dtype=lib.uint8)",),
    ("lib.nn.functional.relu6(lib.tensor([3, 9], dtype=lib.uint8))",),
    ("lib.bincount(lib.tensor([0, 2, 2]), lib.tensor([3, 4, 5]))",),
]


def _made(lib: Any, array: Any) -> Any:
    array = np.asarray(array)
    return lib.tensor(array, requires_grad=True) if array.dtype.kind == "f" else lib.tensor(array)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join([case[0], *[str(np.shape(x)) for x in case[1:]]]))
def test_as_pytorch(case: tuple[str, *tuple[Any, ...]]) -> None:
    text, *arrays = case
    names = iter("xyz")
    labels = ["i" if np.asarray(array).dtype.kind == "i" else next(names) for array in arrays]

    def outcome(lib: Any) -> tuple[Any, list[Any]]:
        inputs = {name: _made(lib, array) for name, array in zip(labels, arrays, strict=True)}
        result = eval(text, {"lib": lib}, inputs)
        leaves = [t for t in inputs.values() if t.requires_grad]
        if not leaves:
            return result, []
        slope = lib.ones_like(result) + lib.arange(result.numel(), dtype=result.dtype).reshape(tuple(result.shape))
        return result, list(lib.autograd.grad(result, leaves, slope, allow_unused=True))

    (mine, gradients), (wanted, their_gradients) = outcome(chainrule), outcome(torch)
    assert mine.dtype.name == str(wanted.dtype).removeprefix("torch.")
    assert tuple(mine.shape) == tuple(wanted.shape)
    np.testing.assert_allclose(np.asarray(mine.detach()), wanted.detach().numpy(), rtol=1e-9, atol=1e-12)
    for found, right in zip(gradients, their_gradients, strict=True):
        assert (found is None) == (right is None)
        if found is not None:
            np.testing.assert_allclose(np.asarray(found), right.numpy(), rtol=1e-9, atol=1e-12)
