"""Clipping, accumulating and flattening gradients and parameters: against PyTorch, and against arithmetic."""

from __future__ import annotations

import inspect
import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.nn import utils

SHAPES = [(3, 4), (4,), (), (2, 1, 3), (0, 2)]


def parameters(framework: Any, dtype: str = "float64", scale: float = 1.0, without: bool = True) -> list[Any]:
    """Parameters with gradients, the same in each framework; the last has none if `without`."""
    random = np.random.default_rng(0)
    found = []
    for shape in SHAPES:
        p = framework.nn.Parameter(framework.tensor(random.standard_normal(shape)).to(getattr(framework, dtype)))
        p.grad = framework.tensor(random.standard_normal(shape) * scale).to(getattr(framework, dtype))
        found.append(p)
    if without:
        found.append(framework.nn.Parameter(framework.ones(2)))
    return found


def gradients(found: list[Any]) -> list[np.ndarray]:
    return [p.grad.double().numpy() for p in found if p.grad is not None]


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3, 0.5, math.inf, -math.inf, "inf"])
def test_clipping_by_norm_is_pytorch_s(dtype: str, norm_type: Any) -> None:
    torch = pytest.importorskip("torch")
    close = {"float32": 1e-6, "float64": 1e-13, "float16": 4e-3, "bfloat16": 3e-2}[dtype]
    for scale, foreach in itertools.product([0.0, 0.01, 1.0, 100.0], [None, True, False]):
        seen = []
        for framework in (chainrule, torch):
            given = [p for p in parameters(framework, dtype, scale) if p.numel()]
            total = framework.nn.utils.clip_grad_norm_(given, 1.5, norm_type, foreach=foreach)
            seen.append([total.double().numpy(), *gradients(given)])
            assert str(total.dtype).split(".")[-1] == dtype and total.shape == ()
        for ours, theirs in zip(*seen, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=close, atol=1e-12, err_msg=f"{scale} {foreach}")


@pytest.mark.peer
@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
def test_norms_of_mixed_types_and_of_single_tensors_are_pytorch_s(norm_type: float) -> None:
    torch = pytest.importorskip("torch")
    a, b = np.random.default_rng(1).standard_normal((2, 5))
    seen = []
    for framework in (chainrule, torch):
        mixed = [framework.tensor(a).float(), framework.tensor(b)]
        norms = [
            framework.nn.utils.get_total_norm(mixed, norm_type),
            framework.nn.utils.get_total_norm(mixed[1], norm_type),
            framework.nn.utils.get_total_norm([]),
            framework.nn.utils.get_total_norm(iter(mixed[:1]), norm_type),
        ]
        seen.append([(n.item(), str(n.dtype).split(".")[-1]) for n in norms])
    for (ours, dtype), (theirs, wanted) in zip(*seen, strict=True):
        assert dtype == wanted and ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("norm_type", [0, 0.5, 1, 2, 3, math.inf, -math.inf])
def test_the_norm_is_that_of_one_long_vector(norm_type: float) -> None:
    """Also for the 0-norm, which counts entries; and an empty tensor adds nothing."""
    given = parameters(chainrule)
    given[0].grad[0] = 0.0
    whole = np.concatenate([g.reshape(-1) for g in gradients(given)])
    found = utils.get_total_norm([p.grad for p in given if p.grad is not None], norm_type)
    assert found.item() == pytest.approx(np.linalg.norm(whole, norm_type), rel=1e-12)
    utils.clip_grad_norm_(given, 0.25, norm_type)
    if norm_type in (1, 2, 3, math.inf):
        after = np.concatenate([g.reshape(-1) for g in gradients(given)])
        assert np.linalg.norm(after, norm_type) == pytest.approx(0.25, rel=1e-5)
        cosine = after @ whole / np.linalg.norm(after) / np.linalg.norm(whole)
        assert cosine == pytest.approx(1, abs=1e-12), "clipping by norm keeps the direction"


@pytest.mark.peer
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("value", [0.0, 0.3, 5, math.inf])
def test_clipping_by_value_is_pytorch_s(dtype: str, value: float) -> None:
    torch = pytest.importorskip("torch")
    seen = []
    for framework in (chainrule, torch):
        given = parameters(framework, dtype)
        given[0].grad[0, 0] = math.nan
        assert framework.nn.utils.clip_grad_value_(given, value) is None
        single = parameters(framework, dtype)[0]
        framework.nn.utils.clip_grad_value_(single, value)
        seen.append([*gradients(given), *gradients([single])])
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.peer
def test_clipping_with_a_given_norm_is_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    for total in (0.0, 1.0, 40.0, math.inf, math.nan):
        seen = []
        for framework in (chainrule, torch):
            given = parameters(framework)
            norm = framework.tensor(total, dtype=framework.float64)
            assert framework.nn.utils.clip_grads_with_norm_(given, 2.0, norm) is None
            seen.append(gradients(given))
        for ours, theirs in zip(*seen, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_gradients_keep_their_cells_and_generators_work() -> None:
    model = nn.Linear(3, 2)
    (model(chainrule.ones(4, 3)) * 100).sum().backward()
    cells = [p.grad for p in model.parameters()]
    total = utils.clip_grad_norm_(model.parameters(), 1.0)
    assert all(p.grad is cell for p, cell in zip(model.parameters(), cells, strict=True))
    assert not total.requires_grad and all(not cell.requires_grad for cell in cells)
    with pytest.warns(UserWarning, match="the generator of parameters was empty"):
        assert utils.clip_grad_norm_((p for p in []), 1.0).item() == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert utils.clip_grad_norm_([], 1.0).item() == 0
        assert utils.clip_grad_norm_([nn.Parameter(chainrule.ones(2))], 1.0).item() == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_no_number(bad: float) -> None:
    given = parameters(chainrule)
    given[3].grad[1, 0, 2] = bad
    before = gradients(given)
    with pytest.raises(chainrule.GradientError, match=rf"total norm is {bad}.*number 3 of shape \(2, 1, 3\)"):
        utils.clip_grad_norm_(given, 1.0, error_if_nonfinite=True)
    for old, new in zip(before, gradients(given), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not utils.clip_grad_norm_(given, 1.0).isfinite()
    large = [chainrule.tensor(2e38), chainrule.tensor(2e38)]
    with pytest.raises(chainrule.GradientError, match="Not finite by themselves: none"):
        utils.get_total_norm(large, 1.0, error_if_nonfinite=True)


def test_clipping_can_be_traced() -> None:
    """Inside a loop whose body is noted once, the factor is a tensor of the trace like any other."""

    def body(w: Any, x: Any) -> Any:
        gradient = 2 * (w - x)
        cell = gradient * 1
        p = nn.Parameter(chainrule.zeros(3, dtype=chainrule.float64))
        p.grad = cell
        total = utils.clip_grad_norm_([p], 0.5)
        return w - 0.1 * p.grad, total

    start, xs = chainrule.ones(3, dtype=chainrule.float64), chainrule.randn(6, 3, dtype=chainrule.float64) * 3
    last, norms = chainrule.scan(body, start, xs)
    w = start.numpy()
    for x, norm in zip(xs.numpy(), norms.numpy(), strict=True):
        gradient = 2 * (w - x)
        size = np.linalg.norm(gradient)
        assert norm == pytest.approx(size)
        w = w - 0.1 * gradient * min(1, 0.5 / (size + 1e-6))
    np.testing.assert_allclose(last.numpy(), w, rtol=1e-12)


# ------------------------------------------------------------------------------------------- accumulation


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulated_small_batches_take_the_step_of_the_big_one(name: str, clip: float | None) -> None:
    """I IV.1.a: each loss divided by their number; clipping comes after the last, once."""
    chainrule.manual_seed(0)
    x, y = chainrule.randn(12, 5, dtype=chainrule.float64), chainrule.randn(12, 2, dtype=chainrule.float64)
    trained = []
    for parts in (1, 2, 3, 12):
        chainrule.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).double()
        optimizer = getattr(optim, name)(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
                (nn.functional.mse_loss(model(a), b) / parts).backward()
            if clip is not None:
                assert utils.clip_grad_norm_(model.parameters(), clip) > clip
            optimizer.step()
        trained.append(utils.parameters_to_vector(model.parameters()).detach().numpy())
    for other in trained[1:]:
        np.testing.assert_allclose(other, trained[0], rtol=1e-7, atol=1e-10)


# ------------------------------------------------------------------------------------------- vectors


@pytest.mark.peer
def test_parameters_as_a_vector_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    seen = []
    for framework in (chainrule, torch):
        given = parameters(framework, without=False)
        vector = framework.nn.utils.parameters_to_vector(given)
        (vector * framework.arange(len(vector))).sum().backward()
        before = gradients(given)
        framework.nn.utils.vector_to_parameters(vector.detach() * 2 + 1, given)
        seen.append([vector.detach().numpy(), *before, *(p.detach().numpy() for p in given)])
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_vectors_go_back_into_the_same_cells() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2).double())
    cells, values = list(model.parameters()), [p.detach().clone() for p in model.parameters()]
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.dtype is chainrule.float64 and vector.requires_grad
    nn.init.zeros_(model[0].weight)
    utils.vector_to_parameters(vector, model.parameters())
    for p, cell, value in zip(model.parameters(), cells, values, strict=True):
        assert p is cell and p.is_leaf and p.requires_grad and p.dtype is value.dtype and chainrule.equal(p, value)


def test_vectors_that_do_not_fit() -> None:
    layer = nn.Linear(2, 1)
    for vector in (chainrule.ones(2), chainrule.ones(4), chainrule.ones(3, 1), chainrule.tensor(1.0)):
        with pytest.raises(chainrule.ShapeError, match="have 3 entries together"):
            utils.vector_to_parameters(vector, layer.parameters())
    with pytest.raises(TypeError, match="takes a tensor, got list"):
        utils.vector_to_parameters([1.0, 2.0, 3.0], layer.parameters())
    with pytest.raises((ValueError, RuntimeError)):
        utils.parameters_to_vector([])


# ------------------------------------------------------------------------------------------- skip_init


def test_a_module_without_initialisation() -> None:
    state = chainrule.get_rng_state()
    layer = utils.skip_init(nn.Conv2d, 3, 4, kernel_size=5, dtype=chainrule.float64)
    assert layer.weight.shape == (4, 3, 5, 5) and layer.weight.requires_grad and layer.weight.dtype is chainrule.float64
    assert chainrule.equal(chainrule.get_rng_state(), state), "no number was drawn"
    model = utils.skip_init(chainrule.models.MLP, [4, 3, 2])
    assert chainrule.equal(chainrule.get_rng_state(), state)
    assert (nn.init.normal_(model.layers[1].weight) != 0).all(), "afterwards everything fills again"
    for wrong in (nn.ReLU(), "Linear", chainrule.ones):
        with pytest.raises(TypeError, match="takes a class of modules"):
            utils.skip_init(wrong)
    with pytest.raises(TypeError):
        utils.skip_init(nn.Linear)
    assert (nn.Linear(2, 2).weight != 0).all(), "an error inside does not leave it switched off"


@pytest.mark.peer
def test_arguments_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    for name in ("clip_grad_norm_", "clip_grads_with_norm_", "clip_grad_value_", "get_total_norm", "skip_init",
                 "parameters_to_vector", "vector_to_parameters"):  # fmt: skip
        ours, theirs = (
            [(p.name, p.default) for p in inspect.signature(getattr(f.nn.utils, name)).parameters.values()]
            for f in (chainrule, torch)
        )
        assert ours == theirs, name
