"""Every primitive on XLA is what it is in NumPy: all samples of the registry in all data types."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from chainrule.backends.xla.layout import ALWAYS, plain  # noqa: E402
from chainrule.backends.xla.lower import apply  # noqa: E402
from chainrule.backends.xla.rules import REASONS, RULES, Run, Wrong, running  # noqa: E402
from chainrule.primitives import registry  # noqa: E402
from tests.samples import ALL_TYPES, SAMPLES, TYPES, Sample  # noqa: E402
from tests.test_registry import UP_TO_SIGN, is_float, numpy_type, results_of, with_type  # noqa: E402

#: All samples in all types; otherwise a third of them in two types, and in four where a rule asks what it is given.
NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
SOME = ("float64", "int64")
ASKING = {"Cast", "RandomUniform", "RandomNormal", "Attention", "AttentionGradient", "Convolution", "MatMul", "Sort"}
WAYS = [
    (name, dtype)
    for name in sorted(SAMPLES)
    for dtype in TYPES.get(name, ALL_TYPES)
    if NIGHTLY or dtype in SOME or (name in ASKING and dtype in ("float32", "bfloat16"))
]
#: By day LLVM may take its time elsewhere: here each program runs once.
QUICK = {} if NIGHTLY else {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
#: Relative to the size of an entry, and to the largest entry of the result where many are added up.
NEAR = {"float64": (1e-12, 1e-13), "float32": (4e-6, 2e-6), "float16": (2e-3, 2e-6), "bfloat16": (1.6e-2, 2e-6)}

Case = tuple[Any, dict[str, Any]]


def on_xla(name: str, cases: list[Case]) -> list[tuple[list[Any], bool]]:
    """The results of some applications in one program, and whether each found its numbers wrong."""

    def compute(zero: Any, given: list[Any]) -> Any:
        answers = []
        for arrays, (_, settings) in zip(given, cases, strict=True):
            with running(Run(zero, Wrong())) as run:
                forms = registry[name].shape(*arrays, **settings)
                made = apply(registry[name], arrays, settings, forms)
            answers.append(([plain(x) for x in (made if isinstance(forms, list) else [made])], run.wrong.so_far()))
        return answers

    with jax.enable_x64(True):
        answers = jax.jit(compute, compiler_options=QUICK)(np.int64(0), [inputs for inputs, _ in cases])
    return [([np.asarray(x) for x in results], wrong is not None and bool(wrong)) for results, wrong in answers]


def test_every_primitive_has_a_rule_or_a_reason() -> None:
    assert set(registry.values()) == set(RULES) | set(ALWAYS) | set(REASONS)
    assert not {*RULES, *ALWAYS} & set(REASONS)


def cases_of(name: str, dtype: str, samples: list[Sample]) -> list[Case]:
    """Inputs and settings in one data type."""
    cases = [with_type(name, sample, numpy_type(dtype)) for sample in samples]
    if name == "SearchSorted":  # made of the sizes, whole numbers are no longer in order
        cases = [([np.sort(inputs[0]), inputs[1]], settings) for inputs, settings in cases]
    return [([np.ascontiguousarray(x) if x.ndim else x for x in inputs], settings) for inputs, settings in cases]


@pytest.mark.parametrize(("name", "dtype"), WAYS)
def test_xla_is_numpy(name: str, dtype: str) -> None:
    cases = cases_of(name, dtype, SAMPLES[name] if NIGHTLY else SAMPLES[name][1::3] or SAMPLES[name])
    for (inputs, settings), (found, wrong) in zip(cases, on_xla(name, cases), strict=True):
        expected = results_of(registry[name], inputs, settings)
        assert not wrong
        assert [(x.shape, x.dtype) for x in found] == [(x.shape, x.dtype) for x in expected]
        if name in UP_TO_SIGN:
            found, expected = without_signs(name, found), without_signs(name, expected)
        for ours, theirs in zip(found, expected, strict=True):
            check_near(ours, theirs, dtype, drawn=name.startswith("Random"))


def check_near(ours: Any, theirs: Any, dtype: str, drawn: bool) -> None:
    """Equal but for rounding; whole numbers and draws in every bit."""
    if drawn or not is_float(theirs):
        np.testing.assert_array_equal(ours, theirs)
        return
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    relative, of_largest = NEAR[dtype if dtype in NEAR else "float64"]
    largest = np.abs(theirs[np.isfinite(theirs)]).max(initial=1.0)
    np.testing.assert_allclose(ours, theirs, rtol=relative, atol=of_largest * largest, err_msg=dtype)


def without_signs(name: str, results: list[Any]) -> list[Any]:
    """What is left when columns that belong together may change their sign."""
    if name == "Eigh":
        w, v = results
        return [w, v * v, v * w[..., None, :] @ np.swapaxes(v, -1, -2)]
    if name == "SVD":
        u, s, vh = results
        return [s, u * u, vh * vh, u * s[..., None, :] @ vh]
    q, r = results
    return [q * q, r * r, q @ r]
