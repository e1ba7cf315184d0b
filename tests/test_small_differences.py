"""Small borders at which PyTorch refuses or answers: other batch sizes, contradictions, nothing to compute with."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import pytest

import chainrule

INFINITY = math.inf


def _answer(code: str, lib: Any) -> Any:
    """What a line of code gives, in plain Python; None if it is refused."""
    names = {"lib": lib, "inf": INFINITY, "whole": lambda *x: lib.tensor(x, dtype=lib.int64), "F": lib.nn.functional}
    names["truths"], names["cases"] = lambda *x: lib.tensor(x), list(itertools.product([True, False], repeat=3))
    names["real"] = lambda *x: lib.tensor(x, dtype=lib.float32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _plain(eval(code, names))
    except (
        ZeroDivisionError,
        LookupError,
        RuntimeError,
        ValueError,
        TypeError,
    ):  # a name that is not there is no answer
        return None


def _plain(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _plain(part) for name, part in answer.items()}
    if isinstance(answer, (tuple, list)):
        return [_plain(part) for part in answer]
    if hasattr(answer, "tolist"):
        return str(answer.dtype).split(".")[-1], tuple(answer.shape), repr(answer.tolist())
    return answer


def _same(codes: str) -> None:
    torch: Any = pytest.importorskip("torch")
    differ = []
    for code in filter(None, map(str.strip, codes.splitlines())):
        theirs, ours = _answer(code, torch), _answer(code, chainrule)
        if theirs != ours:
            differ.append(f"{code}\n    PyTorch:   {theirs}\n    chainrule: {ours}")
    assert not differ, "\n".join(differ)


#: Code that gives the same, or is refused, here and there.
AGREED = {
    "products": """
        lib.bmm(lib.ones(2, 3, 3), lib.ones(1, 3, 3))
        lib.bmm(lib.ones(2, 3, 3), lib.ones(2, 3, 1))
        lib.baddbmm(lib.ones(2, 3, 3), lib.ones(1, 3, 3), lib.ones(2, 3, 3))
        lib.baddbmm(lib.ones(1), lib.ones(2, 3, 3), lib.ones(2, 3, 3))
        lib.baddbmm(lib.ones(5, 2, 3, 3), lib.ones(2, 3, 3), lib.ones(2, 3, 3))
        lib.addbmm(lib.ones(3, 3), lib.ones(1, 3, 3), lib.ones(2, 3, 3))
        lib.addbmm(lib.ones(2, 3, 3), lib.ones(2, 3, 3), lib.ones(2, 3, 3))
        lib.addmm(lib.ones(5, 3, 3), lib.ones(3, 3), lib.ones(3, 3))
        lib.addmm(lib.ones(3), lib.ones(3, 3), lib.ones(3, 3))
        lib.addmm(lib.ones(2, 1, 3), lib.ones(1, 3), lib.ones(3, 3))
        lib.addmm(real(float("nan")), lib.ones(2, 2), lib.ones(2, 2), beta=0)
        lib.addmv(lib.ones(2, 3), lib.ones(3, 3), lib.ones(3))
        lib.addr(lib.ones(2, 3, 3), lib.ones(3), lib.ones(3))
        lib.addr(whole(1), whole(1, 2), whole(1, 2), alpha=0.5)
        lib.addr(whole(1), whole(1, 2), whole(1, 2), beta=0.5)
        lib.addr(whole(1), real(1, 2), real(1, 2), alpha=0.5)
        lib.addmm(whole(1), lib.ones(1, 2).long(), lib.ones(2, 1).long(), alpha=2.0, beta=3.0)
        lib.addcmul(whole(1), whole(2), whole(2), value=2.0)
        lib.linalg.multi_dot([lib.ones(2, 3, 3), lib.ones(3, 3)])
        lib.linalg.multi_dot([lib.ones(2, 3), lib.ones(3, 3, 1)])
        lib.linalg.multi_dot([lib.ones(2, 3), lib.ones(3), lib.ones(3, 3)])
        lib.linalg.multi_dot([lib.ones(()), lib.ones(2)])
        lib.linalg.multi_dot([lib.ones(3), lib.ones(3, 3)])
        lib.linalg.multi_dot([lib.ones(3), lib.ones(3, 2), lib.ones(2)])
    """,
    "solving": """
        lib.linalg.solve(lib.stack([lib.eye(3)] * 2), lib.ones(2, 3), left=False)
        lib.linalg.solve(lib.stack([lib.eye(3)] * 3), lib.ones(3, 3), left=False)
        lib.linalg.solve(lib.stack([lib.eye(3)] * 3), lib.ones(3, 3))
        lib.linalg.solve(lib.stack([lib.eye(3)] * 2), lib.ones(3, 3), left=False)
        lib.linalg.solve(lib.stack([lib.eye(3)] * 2), lib.ones(2, 1, 3), left=False)
        lib.linalg.solve(lib.stack([lib.eye(3)] * 2), lib.ones(3))
        lib.linalg.solve(lib.eye(3), lib.ones(3), left=False)
        lib.linalg.solve(lib.eye(3) * 2, lib.ones(2, 3), left=False)
        lib.linalg.solve_triangular(lib.eye(3), lib.ones(3), upper=True)
        lib.linalg.solve_triangular(lib.eye(3), lib.ones(3), upper=True, left=False)
        lib.linalg.solve_triangular(lib.stack([lib.eye(3)] * 2), lib.ones(2, 3), upper=True)
        lib.linalg.solve_triangular(lib.stack([lib.eye(3)] * 2), lib.ones(2, 3), upper=True, left=False)
        lib.linalg.cond(lib.zeros(0, 0)), lib.linalg.cond(lib.zeros(2, 0, 0)), lib.linalg.cond(lib.zeros(0, 3))
        lib.linalg.cond(lib.zeros(0, 0), 1), lib.linalg.cond(lib.zeros(2, 0, 0), "fro")
        lib.linalg.cond(lib.zeros(0, 0), -2)
        lib.linalg.cond(lib.zeros(0, 3, 3)), lib.linalg.cond(lib.zeros(0, 3, 3), 1)
        [lib.linalg.matrix_norm(lib.zeros(2, 0), p) for p in (1, 2, inf, "fro", "nuc")]
        [lib.linalg.matrix_norm(lib.zeros(0, 2), p) for p in (1, 2, inf, "fro", "nuc", -1)]
        [lib.linalg.matrix_norm(lib.zeros(3, 2, 0), p, keepdim=True) for p in (1, 2, inf)]
        lib.linalg.matrix_norm(lib.zeros(2, 0), -1)
        lib.linalg.matrix_norm(lib.zeros(2, 0), -2)
        lib.linalg.norm(lib.zeros(2, 0), 1)
        lib.linalg.vector_norm(lib.zeros(0), inf)
    """,
    "shapes": """
        lib.ones(3).H
        lib.ones(3).mH
        lib.ones(2, 2, 2).H
        lib.ones(()).H, lib.ones(()).mH, lib.ones(2, 3).H
        lib.zeros(0, 2).unflatten(1, (1, 4))
        lib.zeros(0, 2).unflatten(1, (-1, 4))
        lib.zeros(0, 2).unflatten(0, (3, 4))
        lib.zeros(0, 2).unflatten(0, (0, 4)), lib.zeros(0, 2).unflatten(0, (-1, 4))
        lib.zeros(2, 1).unflatten(1, ())
        lib.movedim(lib.ones(()), (), ()), lib.movedim(lib.ones(()), 0, -1), lib.movedim(lib.ones(()), (0,), (-1,))
        lib.movedim(lib.ones(()), (0, 0), (0, 0))
        lib.movedim(lib.ones(()), 1, 0)
        lib.movedim(lib.ones(2, 3), (), ())
    """,
    "searching": """
        lib.searchsorted(real(1, 2, 3), real(2), right=True, side="left")
        lib.searchsorted(real(1, 2, 3), real(2), right=True, side="right")
        lib.searchsorted(real(1, 2, 3), real(2), side="right")
        lib.unique_consecutive(lib.zeros(3, 0), dim=-1)
        lib.unique_consecutive(lib.zeros(0, 3), dim=0, return_inverse=True, return_counts=True)
        lib.unique_consecutive(lib.zeros(0), dim=0)
        lib.unique_consecutive(lib.ones(()), dim=0)
        lib.unique(lib.ones(()), dim=0)
        lib.unique_consecutive(lib.zeros(3, 0), dim=0)
        lib.unique(lib.zeros(3, 0), dim=0)
        lib.unique(lib.zeros(3, 0), dim=-1)
        lib.unique_consecutive(lib.zeros(0, 0), dim=0)
    """,
    "places": """
        lib.scatter(lib.ones(3), 0, whole(1), 3.0, reduce="multiply")
        lib.scatter(lib.ones(3) * 2, 0, whole(1, 1), real(3, 4), reduce="multiply")
        lib.scatter(whole(1, 2, 3), 0, whole(1, 1), whole(3, 4), reduce="multiply")
        lib.scatter(whole(1, 2, 3), 0, whole(1, 1), 2.5, reduce="multiply")
        lib.scatter(lib.ones(2, 3) * 2, 1, whole(0, 2).expand(2, 2), real(3, 4).expand(2, 2), reduce="multiply")
        lib.scatter(lib.tensor([True, False]), 0, whole(0, 1), lib.tensor([False, True]), reduce="multiply")
        lib.scatter(lib.ones(()), 0, whole(0), 3.0, reduce="multiply")
        lib.scatter(lib.ones(3), 0, whole(1), 3.0, reduce="mul")
        lib.ones(3).scatter_(0, whole(1), 3.0, reduce="multiply")
        lib.zeros(0, 2).index_add(0, lib.zeros(0, dtype=lib.int64), lib.zeros(0, 2))
        lib.zeros(2, 0).index_add(1, lib.zeros(0, dtype=lib.int64), lib.zeros(2, 0))
        lib.zeros(2, 0).index_add(0, lib.zeros(1, dtype=lib.int64), lib.zeros(1, 0))
        lib.scatter_reduce(lib.tensor([True, False]), 0, whole(0), lib.tensor([True]), reduce="mean")
        [truths(x, y).scatter_reduce(0, whole(0, 0), truths(True, y), "amax", include_self=z) for x, y, z in cases]
        [truths(x, y).scatter_reduce(0, whole(0, 0), truths(True, y), "amin", include_self=z) for x, y, z in cases]
        [truths(x, y).scatter_reduce(0, whole(0, 0), truths(True, y), "prod", include_self=z) for x, y, z in cases]
        [truths(x, y).scatter_reduce(0, whole(0, 0), truths(True, y), "sum", include_self=z) for x, y, z in cases]
    """,
    "numbers": """
        real(1, inf, -inf, float("nan")).half().nan_to_num(posinf=1e9, neginf=-1e9, nan=1e9)
        real(1, inf, -inf, float("nan")).nan_to_num(posinf=1e300)
        real(1, inf, -inf, float("nan")).bfloat16().nan_to_num(posinf=1e39).float()
        real(1, inf, -inf, float("nan")).nan_to_num(float("nan"), 3.0, 4.0)
        real(1, inf, -inf, float("nan")).nan_to_num(None, -inf, inf)
        lib.arange(0, 2, 0.5, dtype=lib.uint8)
        lib.arange(0, 2, 0.5, dtype=lib.int64)
        lib.arange(0, 5.5, 1.5, dtype=lib.int32), lib.arange(0, 5.5, 1.5, dtype=lib.int64)
        lib.arange(0.9, 5.1, dtype=lib.int64), lib.arange(0.9, 5.1, dtype=lib.int16)
        lib.arange(5, 0, -1.5, dtype=lib.int64), lib.arange(5, 0, -1.5, dtype=lib.int32)
        lib.arange(-2.5, 2.5, 0.5, dtype=lib.int32), lib.arange(0, 0, 0.5, dtype=lib.int32)
        lib.arange(0, 300, 100.5, dtype=lib.uint8), lib.arange(0, 600, 100.5, dtype=lib.uint8)
        lib.zeros(0, dtype=lib.int32) // lib.zeros((), dtype=lib.int32), lib.zeros(0, dtype=lib.int32) // 0
        lib.zeros(0, dtype=lib.int32) % 0, lib.zeros(0, dtype=lib.int32).fmod(0)
        lib.div(lib.zeros(0, dtype=lib.int32), 0, rounding_mode="trunc")
        lib.zeros(2, 0, dtype=lib.int32) // lib.zeros(1, dtype=lib.int32)
        lib.zeros(2, dtype=lib.int32) // lib.zeros(1, dtype=lib.int32)
    """,
    "out": """
        lib.sum(lib.ones(2, 3) / 2, 0, out=lib.zeros(3, dtype=lib.int64))
        lib.sum(whole(1, 2), 0, out=lib.zeros((), dtype=lib.float32))
        lib.sum(real(1e38, 3e38), 0, out=lib.zeros((), dtype=lib.float64))
        lib.prod(lib.ones(2, 3) * 1.5, 0, out=lib.zeros(3, dtype=lib.int64))
        lib.cumsum(lib.ones(3) * 1.5, 0, out=lib.zeros(3, dtype=lib.int64))
        lib.cumprod(lib.ones(3) * 2.5, 0, out=lib.zeros(3, dtype=lib.int64))
        lib.mean(lib.ones(2, 3), 0, out=lib.zeros(3, dtype=lib.int64))
        lib.zeros(3, out=lib.ones(3, dtype=lib.int64)), lib.ones(3, out=lib.zeros(3, dtype=lib.int64))
        lib.eye(2, out=lib.zeros(2, 2, dtype=lib.int64)), lib.full((3,), 0.5, out=lib.zeros(3, dtype=lib.int64))
        lib.arange(3.5, out=lib.zeros(0, dtype=lib.int64)), lib.arange(3, out=lib.zeros(3))
        lib.linspace(0, 1, 3, out=lib.zeros(3, dtype=lib.int64))
        lib.rand(2, out=lib.zeros(2, dtype=lib.int64))
        lib.matmul(lib.eye(2), lib.eye(2), out=lib.zeros(2, 2, dtype=lib.int64))
        lib.where(real(1) > 0, real(1), real(2), out=lib.zeros(1, dtype=lib.int64))
        lib.add(real(1), real(1), out=lib.zeros(1, dtype=lib.int64)), lib.eq(whole(1), whole(1), out=lib.zeros(1))
        lib.add(whole(1), whole(1), out=lib.zeros(1, dtype=lib.bool))
    """,
    "derivatives": """
        lib.func.grad(lambda x: x.sum(), argnums=2)(lib.ones(2))
        lib.func.grad(lambda x: x.sum(), argnums=-2)(lib.ones(2))
        lib.func.grad(lambda x: x.sum(), argnums=(0, 1))(lib.ones(2))
        lib.func.grad(lambda x: x.sum(), argnums=(0, 0))(lib.ones(2))
        lib.func.grad(lambda x: x.sum(), argnums=())(lib.ones(2))
        lib.func.grad(lambda x: x.sum(), argnums=-1)(lib.ones(2))
        lib.func.grad(lambda: lib.ones(2).sum())()
        lib.func.jacrev(lambda x: x, argnums=2)(lib.ones(2))
        lib.func.jacfwd(lambda x: x, argnums=2)(lib.ones(2))
        lib.func.hessian(lambda x: x.sum(), argnums=2)(lib.ones(2))
        lib.func.grad(lambda x: x > 0)(lib.ones(2))
        lib.func.grad(lambda x: (x > 0).sum())(lib.ones(2))
        lib.func.grad(lambda x: lib.ones(2))(lib.ones(2))
        lib.func.grad(lambda x: lib.ones(()))(lib.ones(2))
        lib.func.grad(lambda x: x.sum().reshape(1))(lib.ones(2))
        lib.func.grad_and_value(lambda x: x.sum().reshape(1))(lib.ones(2))
        lib.func.jacrev(lambda x: x > 0)(lib.ones(2))
        lib.func.jacrev(lambda x: (x * 2).long())(lib.ones(2))
        lib.func.jacrev(lambda x: lib.ones(2))(lib.ones(2))
        lib.func.vjp(lambda x: x > 0, lib.ones(2))[1](lib.ones(2))
        lib.func.vjp(lambda x: x * 2, lib.ones(2))[1]((lib.ones(2), lib.ones(2)))
        lib.func.vjp(lambda x: (x * 2, (x > 0)), lib.ones(2), has_aux=True)[1](lib.ones(2))
        lib.func.hessian(lambda x: (x > 0).sum())(lib.ones(2))
        lib.func.jacrev(lambda x: (x * 2, x > 0), has_aux=True)(lib.ones(2))
    """,
    "batches of none": """
        lib.func.vmap(lib.sin)(lib.zeros(0, 3))
        lib.func.vmap(lambda x: (x.sum(), x))(lib.zeros(0, 3))
        lib.func.vmap(lambda x, y: x @ y, in_dims=(0, None))(lib.zeros(0, 3), lib.ones(3))
        lib.func.vmap(lib.func.grad(lambda x: x.sum()))(lib.zeros(0, 3))
        lib.func.vmap(lambda x: x.sum(), in_dims=1)(lib.zeros(3, 0))
        lib.func.vmap(lambda x: x.long(), out_dims=1)(lib.zeros(0, 3))
        lib.func.vmap(lambda x: {"a": x[0]})(lib.zeros(0, 3))
        lib.func.vmap(lambda x, y: x + y)(lib.zeros(0, 3), lib.zeros(1, 3))
    """,
    "other parameters": """
        lib.func.functional_call(lib.nn.Linear(1, 1), dict(weight=real(2).reshape(1, 1), bias=real(1), x=real(1)), real(1))
        lib.func.functional_call(lib.nn.Linear(1, 1), {"weight": lib.ones(1, 1), "x": real(1)}, real(1), strict=True)
        lib.func.functional_call(lib.nn.Linear(1, 1), {"in_features": real(1)}, real(1))
    """,
}


@pytest.mark.peer
@pytest.mark.parametrize("kind", AGREED)
def test_code_gives_what_it_gives_in_pytorch_or_is_refused_too(kind: str) -> None:
    _same(AGREED[kind])


def test_products_at_places_have_gradients_in_eager_code_and_compiled() -> None:
    x, source = chainrule.tensor([2.0, 3.0, 4.0], requires_grad=True), chainrule.tensor([5.0, 7.0], requires_grad=True)
    places = chainrule.tensor([1, 1])
    x.scatter(0, places, source, reduce="multiply").sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 35, 1]
    assert source.grad is not None and source.grad.tolist() == [21, 15]
    found = chainrule.compile(lambda x: x.scatter(0, places, 2.0, reduce="multiply"))(x.detach())
    assert found.tolist() == [2, 12, 4]


@pytest.mark.parametrize("reduce", ["amax", "amin", "prod", "sum"])
def test_booleans_at_places_are_the_same_in_compiled_code(reduce: str) -> None:
    x, source = chainrule.tensor([True, False, True]), chainrule.tensor([True, True, False])

    def reduced(x: Any, source: Any) -> Any:
        return x.scatter_reduce(0, chainrule.tensor([0, 1, 2]), source, reduce)

    assert chainrule.compile(reduced)(x, source).tolist() == reduced(x, source).tolist()


def _hooked(lib: Any, mode: str) -> list[Any]:
    """What a hook of several tensors is told in passes that reach all, some, and none; twice, and after it is taken off."""
    x, y, z = (lib.full((2,), float(i + 1), requires_grad=True) for i in range(3))
    inner = x * 2
    told: list[Any] = []
    handle = lib.autograd.graph.register_multi_grad_hook([x, y, inner], told.append, mode=mode)
    for loss in ((inner * y).sum(), (y * z).sum(), (z * 3).sum(), (inner * 3 + y).sum()):
        loss.backward(retain_graph=True)
        told.append("pass")
    loss.backward()
    handle.remove()
    handle.remove()
    (x * y).sum().backward()
    if mode == "any":  # which one is first is not said
        return ["pass" if isinstance(part, str) else tuple(part.shape) for part in told]
    return [part if isinstance(part, str) else _plain(part) for part in told]


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["all", "any"])
def test_a_hook_of_several_tensors_is_told_what_pytorchs_is_told(mode: str) -> None:
    torch: Any = pytest.importorskip("torch")
    assert _hooked(chainrule, mode) == _hooked(torch, mode)


def test_a_hook_of_several_tensors_starts_anew_after_a_pass_that_failed_and_works_in_grad() -> None:
    x, y = (chainrule.ones(1, requires_grad=True) for _ in range(2))
    told: list[Any] = []

    def hook(gradients: list[Any]) -> None:
        told.append(_plain(gradients))
        if len(told) == 1:
            raise ValueError("once")

    chainrule.autograd.graph.register_multi_grad_hook([x, y], hook)
    with pytest.raises(ValueError, match="once"):
        (x + y).sum().backward()
    chainrule.autograd.grad((x * 3).sum(), x)
    assert told[1][0] == ("float32", (1,), "[3.0]") and told[1][1] is None
    with pytest.raises(ValueError, match="mode is 'all' or 'any', got 'some'"):
        chainrule.autograd.graph.register_multi_grad_hook([x], hook, mode="some")
    with pytest.raises(chainrule.errors.GradientError, match="does not require a gradient"):
        chainrule.autograd.graph.register_multi_grad_hook([x.detach()], hook)


@pytest.mark.peer
def test_a_name_in_a_part_that_is_not_there_is_no_attribute() -> None:
    for lib in (pytest.importorskip("torch"), chainrule):
        with pytest.raises(AttributeError, match="absent"):
            lib.func.functional_call(lib.nn.Linear(1, 1), {"absent.weight": lib.ones(1)}, lib.ones(1))


def test_a_batch_of_none_leaves_the_random_numbers_where_they_were() -> None:
    before = chainrule.get_rng_state().tolist()
    found = chainrule.vmap(lambda x: x + chainrule.rand(3), randomness="different")(chainrule.zeros(0, 3))
    assert found.shape == (0, 3) and chainrule.get_rng_state().tolist() == before


#: What is refused, and what the message says.
REFUSED = [
    ("lib.bmm(lib.ones(2, 3, 3), lib.ones(1, 3, 3))", "bmm: 2 matrices .* matmul broadcasts"),
    ("lib.baddbmm(lib.ones(1), lib.ones(2, 3, 3), lib.ones(1, 3, 3))", "baddbmm: 2 matrices"),
    (
        "lib.addmm(lib.ones(5, 3, 3), lib.ones(3, 3), lib.ones(3, 3))",
        r"addmm: the input \(5, 3, 3\) does not broadcast",
    ),
    ("lib.addmm(lib.ones(1).long(), *[lib.ones(1, 1).long()] * 2, alpha=0.5)", "alpha=0.5 would make .*int64"),
    ("lib.addmm(lib.ones(1).long(), *[lib.ones(1, 1).long()] * 2, beta=0.5)", "beta=0.5 would make .*int64"),
    ("lib.addcmul(*[lib.ones(1).long()] * 3, value=0.5)", "value=0.5 would make"),
    ("lib.linalg.multi_dot([lib.ones(2, 3, 3), lib.ones(3, 3)])", r"number 0 has shape \(2, 3, 3\).* a @ b"),
    ("lib.linalg.solve(lib.eye(3).expand(2, 3, 3), lib.ones(2, 3), left=False)", "left=False .* counts as "),
    ("lib.linalg.solve_triangular(lib.eye(3), lib.ones(3), upper=True)", "B holds matrices"),
    ("lib.func.grad(lambda x: x.sum(), argnums=2)(lib.ones(2))", "argnums=2: .* 1 arguments .* no number 2"),
    ("lib.func.grad(lambda x: x * 2)(lib.ones(2))", r"a single number, got shape \(2,\); .* jacrev or vjp"),
    ("lib.func.jacrev(lambda x: x > 0)(lib.ones(2))", "has no derivative; .* has_aux=True"),
    ("lib.ones(3).H", "H transposes a matrix"),
    ("lib.zeros(0, 2).unflatten(1, (1, 4))", r"unflatten: the sizes \(1, 4\) .* product is 2"),
    ("lib.unique_consecutive(lib.ones(()), dim=0)", "a single number has no dimension"),
    ("lib.ones(1).long().index_add(0, lib.zeros(1).long(), lib.ones(1).long(), alpha=0.5)", "alpha=0.5 would make"),
]


@pytest.mark.parametrize(("code", "text"), REFUSED)
def test_what_is_refused_says_why(code: str, text: str) -> None:
    with pytest.raises(chainrule.errors.ChainruleError, match=text):
        eval(code, {"lib": chainrule})
