"""Compiled is eager: every primitive and its gradients, all samples of one primitive in one program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.primitives.primitive import registry
from tests.samples import SAMPLES
from tests.test_registry import as_list, is_float


def weights_like(result: Any) -> Any:
    """Cosines of positions; those of the results would be other ones wherever rounding moves a large result."""
    return chainrule.arange(result.numel()).reshape(result.shape).to(result.dtype).cos()


def apply_all(name: str, tensors: list[Any]) -> list[Any]:
    """The results of all samples, and the gradients of weighted sums."""
    primitive, remaining, found = registry[name], iter(tensors), []
    for sample in SAMPLES[name]:
        given = [next(remaining) for _ in sample.inputs]
        leaves = [t.detach().requires_grad_() if t.dtype.is_floating_point else t for t in given]
        results = as_list(primitive.apply(*leaves, **sample.settings))
        found += [r.detach() for r in results]
        wanted = [t for t in leaves if t.requires_grad]
        ends = [r for r in results if r.requires_grad]
        if ends and wanted:
            loss = sum((r * weights_like(r)).sum() for r in ends)
            gradients = chainrule.autograd.grad(loss, wanted, allow_unused=True)
            found += [g for g in gradients if g is not None]
    return found


@pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_compiled_is_eager(name: str, single: bool) -> None:
    tensors = []
    for sample in SAMPLES[name]:
        for x in sample.inputs:
            array = np.asarray(x)
            tensors.append(chainrule.tensor(array.astype(np.float32) if single and is_float(array) else array))
    eager = apply_all(name, tensors)
    compiled = chainrule.compile(lambda *given: apply_all(name, list(given)))(*tensors)
    # What rounding alone does to a result: in float32 nobody need be nearer than that.
    exact = apply_all(name, [t.double() if t.dtype.is_floating_point else t for t in tensors]) if single else eager
    assert len(eager) == len(compiled) == len(exact)
    for i, (want, have, wide) in enumerate(zip(eager, compiled, exact, strict=True)):
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
        a, b = have.numpy(), want.numpy()
        if a.dtype.kind == "f":
            scale = np.max(np.abs(b[np.isfinite(b)]), initial=1.0)
            near = scale * (1e-12 if not single else 1e-5)
            with np.errstate(invalid="ignore"):
                rounding = np.nan_to_num(np.abs(b - wide.numpy()), nan=0.0, posinf=0.0)
            bound = near + 4 * rounding
            same = np.isclose(a, b, rtol=1e-10 if not single else 2e-5, atol=bound, equal_nan=True)
            assert same.all(), f"result {i}: {a[~same]} compiled, {b[~same]} eager"
        else:
            np.testing.assert_array_equal(a, b, err_msg=f"result {i}")
