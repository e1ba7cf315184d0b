"""The tables of rules: how a primitive, a block or a layer is written in operators of ONNX.

    @primitive("Tanh")
    def tanh(g, e): return g.emit("Tanh", [g.of(e.inputs[0])])

A rule gets the lowering and the merged equation (or call) and gives the names of the results, one or a list. A rule for
a block or a layer may give None: then the call is taken by its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[[Any, Any], Any]

#: By the primitive's name.
PRIMITIVES: dict[str, Rule] = {}
#: By the block.
BLOCKS: dict[Any, Rule] = {}
#: By the module's class.
LAYERS: dict[type, Rule] = {}

_LAPACK = "linear algebra is not among the operators of ONNX"
_DRAWS = "a model that draws random numbers in evaluation has no one result"
_RARE = "ONNX has no operator for it"
#: Primitives without a rule, and why.
REFUSED = {
    **dict.fromkeys(("Cholesky", "Eigh", "QR", "SVD", "SlogDet", "Solve"), _LAPACK),
    **dict.fromkeys(
        (
            "RandomAdvance", "RandomBinomial", "RandomIntegers", "RandomLogGamma", "RandomNormal", "RandomPermutation",
            "RandomPoisson", "RandomUniform", "RandomVonMises",
        ),
        _DRAWS,
    ),
    **dict.fromkeys(
        (
            "CumulativeArgmax", "Erfinv", "GreatestDivisor", "LeastMultiple", "Lgamma", "NormalQuantile", "Polygamma",
            "ScaledBessel",
        ),
        _RARE
    ),
    **dict.fromkeys(
        ("AttentionGradient", "ConvolutionWeight", "MaxPoolGradient"),
        "only gradients need it, and a file holds the forward pass",
    ),
    "NumPyFunction": "it is a function of NumPy's",
}  # fmt: skip


def primitive(*names: str) -> Callable[[Rule], Rule]:
    """The rule for primitives of these names (a decorator)."""

    def note(rule: Rule) -> Rule:
        PRIMITIVES.update(dict.fromkeys(names, rule))
        return rule

    return note


def block(*blocks: Any) -> Callable[[Rule], Rule]:
    """The rule for blocks (a decorator)."""

    def note(rule: Rule) -> Rule:
        BLOCKS.update(dict.fromkeys(blocks, rule))
        return rule

    return note


def layer(*classes: type) -> Callable[[Rule], Rule]:
    """The rule for modules of these classes (a decorator)."""

    def note(rule: Rule) -> Rule:
        LAYERS.update(dict.fromkeys(classes, rule))
        return rule

    return note
