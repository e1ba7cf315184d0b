"""Every primitive in eager code on the device "xla" is what it is in NumPy, and so are its gradients.

The rules themselves are compared in every type by `test_xla_registry.py`; here it is that eager code uses them, that all
results and gradients are where the inputs are, and that gradient rules need nothing from elsewhere.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

from chainrule.functions.creation import tensor
from chainrule.primitives import registry
from chainrule.tape import backpropagate
from tests.samples import SAMPLES, Sample
from tests.test_registry import UP_TO_SIGN, as_list, is_float, upstream_for
from tests.test_xla_registry import check_near, without_signs

#: Each primitive with a third of its samples in the nightly run; some of them, once, in the suite.
NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
SOME = ["AttentionGradient", "CumulativeSum", "Det", "Fold", "IndexAdd", "MaxPool", "NumPyFunction", "RandomPoisson"]


def applied(name: str, sample: Sample, device: str, upstream: list[Any] | None) -> tuple[list[Any], list[Any]]:
    """The results and the gradients of the floating-point inputs, as arrays; all of them are on the device."""
    given = [tensor(np.asarray(x), device=device, requires_grad=is_float(np.asarray(x))) for x in sample.inputs]
    results = as_list(registry[name].apply(*given, **sample.settings))
    roots = [
        (y.value.source, tensor(g, device=device))
        for y, g in zip(results, upstream or [None] * len(results), strict=True)
        if g is not None and y.value.source is not None
    ]
    found = backpropagate(roots, [x.value.source for x in given if x.requires_grad]) if roots else []
    assert {t.device.type for t in (*results, *found) if t is not None} <= {device}
    arrays = [[None if t is None else t.detach().cpu().numpy() for t in group] for group in (results, found)]
    return arrays[0], arrays[1]


@pytest.mark.parametrize("name", sorted(SAMPLES) if NIGHTLY else SOME)
def test_eager_code_on_the_device_is_numpy(name: str) -> None:
    for sample in (SAMPLES[name][1::3] if NIGHTLY else SAMPLES[name][1:2]) or SAMPLES[name]:
        upstream = None
        if registry[name].rules and name not in UP_TO_SIGN:
            upstream = upstream_for(applied(name, sample, "cpu", None)[0])
        (here, down), (there, down_there) = (applied(name, sample, device, upstream) for device in ("cpu", "xla"))
        if name in UP_TO_SIGN:
            here, there = without_signs(name, here), without_signs(name, there)
        for ours, theirs in zip(there, here, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            check_near(ours, theirs, str(theirs.dtype), drawn=name.startswith("Random"))
        for ours, theirs in zip(down_there, down, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
