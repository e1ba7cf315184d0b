"""What shape rules must refuse: for each primitive shapes that do not fit, and what the message says of them."""

from __future__ import annotations

from typing import Any

from chainrule.primitives.indexing import ARRAY, Range

#: Primitives that take an input of any shape.
ANY_SHAPE = {
    "Negate", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Sin", "Cos", "Arcsin", "Arctan", "Tanh", "Erf", "Absolute",
    "Erfc", "Lgamma", "Polygamma", "Erfinv", "NormalQuantile",
    "Sign", "Floor", "Round", "BitwiseNot", "Cast", "Sum", "Product", "CumulativeSum", "CumulativeArgmax", "Sort", "Flip",
    "RandomUniform", "RandomNormal", "RandomIntegers", "RandomPermutation", "RandomAdvance", "Check", "NumPyFunction",
    "RandomLogGamma", "RandomPoisson", "RandomVonMises", "ScaledBessel",
}  # fmt: skip

_line = {"stride": (1,), "padding": (0,), "dilation": (1,), "groups": 1}
_plane = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
_window: dict[str, Any] = {"kernel": (3,), "stride": (1,), "dilation": (1,)}
_all = Range(None, None, None)

#: name, the shapes of the inputs, settings, and a pattern that the message matches.
REFUSED: list[tuple[str, list[tuple[int, ...]], dict[str, Any], str]] = [
    *[
        (name, [(2, 1), (2, 3)], {}, rf"{name}.*\(2, 1\).*\(2, 3\)")
        for name in (
            "Add", "Subtract", "Multiply", "Divide", "FloorDivide", "Remainder", "Power", "Maximum", "Minimum", "Arctan2",
            "Equal", "Less", "LessEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
            "LeftShift", "RightShift", "GreatestDivisor", "LeastMultiple",
        )
    ],
    ("RandomBinomial", [(3,), (2,), (3,)], {}, r"RandomBinomial.*\(2,\).*\(3,\)"),
    ("Where", [(2,), (3,), (3,)], {}, r"Where.*\(2,\).*\(3,\)"),
    ("Where", [(3,), (3,), (1,)], {}, r"Where.*\(3,\).*\(1,\)"),
    ("Attention", [(2, 3), (4, 2), (4, 2)], {"scale": 1.0, "causal": False, "keep": 1.0}, r"attention.*\(2, 3\), \(4, 2\)"),
    ("Attention", [(2, 3), (4, 3), (5, 2)], {"scale": 1.0, "causal": False, "keep": 1.0}, r"attention.*\(5, 2\)"),
    ("Attention", [(3,), (3,), (3,)], {"scale": 1.0, "causal": False, "keep": 1.0}, r"attention.*\(3,\)"),
    ("Attention", [(2, 3), (4, 3), (4, 2), (4,)], {"scale": 1.0, "causal": False, "keep": 1.0}, r"attention.*\(4,\)"),
    (
        "AttentionGradient", [(2, 2), (2, 3), (4, 3), (4, 2), (2,), (2,), (4,)], {"scale": 1.0, "causal": False, "keep": 1.0},
        r"gradient of attention.*\(2,\), \(4,\)",
    ),
    ("Amax", [(0, 2)], {"axes": (0,)}, r"amax.*\(0, 2\)"),
    ("SearchSorted", [(2, 3), (4, 3)], {"right": False}, r"searchsorted.*\(2, 3\).*\(4, 3\)"),
    ("SearchSorted", [(), (3,)], {"right": False}, r"searchsorted.*\(\)"),
    ("Argmax", [(2, 0)], {"axis": 1}, r"argmax.*\(2, 0\)"),
    ("Broadcast", [(2,)], {"to": (3,)}, r"expand.*\(2,\) to \(3,\)"),
    ("Broadcast", [(2, 3)], {"to": (3,)}, r"expand.*\(2, 3\) to \(3,\)"),
    ("Broadcast", [(0,)], {"to": (1,)}, r"expand.*\(0,\) to \(1,\)"),
    ("Reshape", [(2, 3)], {"to": (4,)}, r"reshape.*\(2, 3\).*\(4,\)"),
    ("Permute", [(2, 3)], {"order": (0, 0)}, r"permute.*\(0, 0\).*\(2, 3\)"),
    ("Permute", [(2, 3)], {"order": (0,)}, r"permute.*\(0,\).*\(2, 3\)"),
    ("Pad", [(2, 3)], {"before": (0, -2), "after": (0, -2), "constant": 0}, r"pad.*\(0, -2\).*\(2, 3\)"),
    ("Pad", [(2, 3)], {"before": (0,), "after": (0,), "constant": 0}, r"pad.*\(0,\).*\(2, 3\)"),
    ("Concatenate", [(2, 3), (2, 4)], {"axis": 0}, r"cat.*\(2, 3\), \(2, 4\)"),
    ("Concatenate", [(2, 3), (2,)], {"axis": 0}, r"cat.*\(2, 3\), \(2,\)"),
    ("Index", [(3, 4)], {"key": (5,)}, r"index shape \(3, 4\).*5"),
    ("Index", [(3,)], {"key": (_all, _all)}, r"index shape \(3,\)"),
    ("Index", [(3, 4), (2,), (3,)], {"key": (ARRAY, ARRAY)}, r"index shape \(3, 4\).*\(2,\).*\(3,\)"),
    ("IndexAdd", [(3,), (2,), (5,)], {"key": (ARRAY,)}, r"index add.*\(5,\).*\(2,\)"),
    ("IndexReduce", [(3,), (2,), (5,)], {"key": (ARRAY,), "reduce": "amax"}, r"index reduce.*\(5,\).*\(2,\)"),
    ("IndexUpdate", [(3, 4), (3,)], {"key": (0,)}, r"index update.*\(4,\).*\(3,\)"),
    ("MatMul", [(2, 3), (4, 5)], {}, r"matmul.*\(2, 3\) @ \(4, 5\)"),
    ("MatMul", [(3,), (3,)], {}, r"matmul.*\(3,\) @ \(3,\)"),
    ("MatMul", [(2, 2, 3), (1, 3, 2)], {}, r"matmul.*\(2, 2, 3\) @ \(1, 3, 2\)"),
    ("Convolution", [(1, 3, 4, 4), (2, 5, 3, 3)], _plane, r"convolution.*3 channels.*expects 5"),
    ("Convolution", [(3, 4, 4), (2, 3, 3, 3)], _plane, r"convolution.*\(3, 4, 4\).*\(2, 3, 3, 3\)"),
    ("Convolution", [(1, 1, 2), (1, 1, 3)], _line, r"convolution.*\(3,\).*\(2,\)"),
    ("Convolution", [(1, 4, 5), (3, 2, 3)], {**_line, "groups": 2}, r"convolution.*\(1, 4, 5\).*\(3, 2, 3\)"),
    ("ConvolutionTranspose", [(1, 3, 4), (2, 5, 2)], {**_line, "size": (5,)}, r"convolution.*3 channels.*expects 2"),
    ("ConvolutionTranspose", [(1, 2, 4), (2, 5, 2)], {**_line, "size": (7,)}, r"convolution.*\(7,\).*\(6,\).*\(4,\)"),
    ("ConvolutionTranspose", [(2, 4), (2, 5, 2)], {**_line, "size": (5,)}, r"convolution.*\(2, 4\).*\(2, 5, 2\)"),
    ("ConvolutionWeight", [(1, 3, 5), (2, 2, 4)], {**_line, "kernel": (2,)}, r"convolution.*\(1, 3, 5\).*\(2, 2, 4\)"),
    ("ConvolutionWeight", [(1, 3, 5), (1, 2, 9)], {**_line, "kernel": (2,)}, r"convolution.*\(1, 3, 5\).*\(1, 2, 9\)"),
    ("ConvolutionWeight", [(1, 3, 5), (1, 2, 4)], {**_line, "kernel": (2, 2)}, r"convolution.*\(2, 2\).*\(1, 3, 5\)"),
    ("Windows", [(1, 1, 2)], _window, r"windows.*\(3,\).*\(2,\)"),
    ("Windows", [(1, 4)], _window, r"windows.*\(1, 4\)"),
    ("WindowSum", [(1, 1, 2)], _window, r"window sum.*\(3,\).*\(2,\)"),
    ("MaxPool", [(1, 1, 4)], {**_window, "dilation": (2,)}, r"max pool.*\(3,\).*\(4,\)"),
    ("MaxPoolGradient", [(1, 1, 3), (1, 1, 2)], {**_window, "size": (5,)}, r"max pool.*\(1, 1, 3\).*\(1, 1, 2\)"),
    ("Fold", [(1, 1, 9, 3)], {**_window, "size": (5,)}, r"fold.*\(5,\).*\(1, 1, 3, 3\).*\(1, 1, 9, 3\)"),
    ("Fold", [(1, 1, 3, 2)], {**_window, "size": (5,)}, r"fold.*\(1, 1, 3, 2\)"),
    ("LowBitsMatMul", [(2, 3), (4, 5), (4, 1)], {}, r"few bits.*\(2, 3\).*\(4, 5\)"),
    ("LowBitsMatMul", [(2, 5), (4, 5), (4, 5)], {}, r"few bits.*\(4, 5\) and \(4, 5\)"),
    ("LowBitsMatMul", [(2, 32), (4, 1, 15), (4, 1, 1)], {}, r"few bits.*\(4, 1, 15\)"),
    ("Solve", [(2, 3), (2, 1)], {}, r"solve.*\(2, 3\)"),
    ("Solve", [(2, 2), (3, 1)], {}, r"solve.*\(2, 2\).*\(3, 1\)"),
    *[(name, [(2, 3)], {}, rf"{name.lower()}.*\(2, 3\)") for name in ("Det", "SlogDet", "Cholesky", "Eigh")],
    ("SVD", [(3,)], {}, r"svd.*\(3,\)"),
    ("QR", [(2, 3)], {}, r"QR.*\(2, 3\)"),
]  # fmt: skip
