"""Activations: every one on a wide range, at its kinks, and in place."""

import numpy as np

from tests.peer_tables import Case, Input, Refused

#: Numbers on both sides of every kink, far out, and none at a kink itself.
WIDE = np.array([-40.0, -6.5, -3.5, -2.5, -1.1, -0.6, -0.3, -0.01, 0.01, 0.3, 0.7, 1.2, 2.7, 3.3, 6.6, 25.0, 60.0])
#: The kinks: what the gradient is there is a choice, and ours is PyTorch's.
KINKS = np.array([-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0])

_MODULES = [
    "ELU()", "ELU(0.5)", "CELU(2.0)", "SELU()", "SiLU()", "Mish()", "LeakyReLU()", "LeakyReLU(0.3)", "ReLU6()",
    "Hardtanh()", "Hardtanh(-2, 0.5)", "Hardsigmoid()", "Hardswish()", "Hardshrink()", "Hardshrink(1.5)",
    "Softshrink()", "Softshrink(0.2)", "Tanhshrink()", "Softsign()", "Softplus()", "Softplus(2.0, 5.0)",
    "LogSigmoid()", "Threshold(0.1, 20)", "PReLU()", "PReLU(1, 0.7)", "ReLU()", "Tanh()", "Sigmoid()",
]  # fmt: skip
_IN_PLACE = [
    "ELU(inplace=True)", "CELU(inplace=True)", "SELU(True)", "SiLU(True)", "Mish(True)", "LeakyReLU(inplace=True)",
    "ReLU6(True)", "Hardtanh(inplace=True)", "Hardsigmoid(True)", "Hardswish(True)", "Threshold(0.1, 20, True)",
]  # fmt: skip


def exactness(source: str) -> float:
    """PyTorch's slope of the hard sigmoid is a float32 sixth also in float64."""
    return 1e4 if source.lower().startswith("hardsigmoid") else 1.0


def case(source: str, given: Input, second: bool = True) -> Case:
    return Case(source, [given], second=second, tolerance=exactness(source))


MODULES = [
    *[case(source, WIDE) for source in _MODULES],
    *[case(source, shape) for source in _MODULES for shape in ((2, 3, 4), (0, 3), ())],
    *[case(source, KINKS, second=False) for source in _MODULES],  # there is no second derivative at a kink
    *[case(source, (3, 4)) for source in _IN_PLACE],
    Case("PReLU(3)", [(2, 3)]),
    Case("PReLU(3)", [(2, 3, 4)]),
    Case("PReLU(3, init=0.1)", [(2, 3, 4, 2)]),
    Case("RReLU()", [WIDE], modes=("eval",)),
    Case("RReLU(0.1, 0.2, True)", [(3, 4)], modes=("eval",)),
    Case("RReLU(0.2, 0.2)", [(3, 4)]),
    Case("GLU()", [(3, 4)]),
    Case("GLU(dim=0)", [(4, 3)]),
    Case("Softmin(dim=1)", [(3, 4)]),
    Case("Softmin(0)", [(3,)]),
    Case("Softmax2d()", [(2, 3, 4, 2)]),
    Case("Softmax2d()", [(3, 4, 2)]),
]

FUNCTIONS = [
    *[
        case(f"{name}(x)", WIDE)
        for name in (
            "elu", "celu", "selu", "silu", "mish", "leaky_relu", "relu6", "hardtanh", "hardsigmoid", "hardswish",
            "hardshrink", "softshrink", "tanhshrink", "softsign", "softplus", "logsigmoid", "rrelu", "relu", "tanh",
            "sigmoid", "elu_", "celu_", "selu_", "leaky_relu_", "hardtanh_", "relu_", "rrelu_",
        )
    ],
    Case("elu(x, 0.3, inplace=True)", [(3, 4)]),
    Case("celu(x, -0.5)", [WIDE[2:]]),
    Case("leaky_relu(x, 0.2, True)", [(3, 4)]),
    Case("prelu(x, y)", [(2, 3, 4), (3,)]),
    Case("prelu(x, y)", [(), (1,)]),
    Case("rrelu(x, 0.3, 0.3, training=True)", [(3, 4)]),
    Case("hardshrink(x, 0.2)", [(3, 4)]),
    Case("softshrink(x, 0.2)", [(3, 4)]),
    Case("softplus(x, 3, 2)", [WIDE]),
    Case("threshold(x, 0.2, -1.0)", [(3, 4)]),
    Case("threshold_(x, 0.2, -1.0)", [(3, 4)]),
    Case("glu(x, 1)", [(3, 4)]),
    Case("softmin(x, 1)", [(3, 4)]),
    Case("softmax(x, -1)", [(3, 4)]),
    Case("softmax(x, 0)", [np.array([1e4, -1e4, 1e4])], half=False),
    Case("log_softmax(x, 1)", [(3, 4)]),
    Case("gumbel_softmax(x, dim=0)", [(1, 4)]),
]  # fmt: skip

REFUSED = [
    Refused("f.glu(x)", [(3, 5)], r"even extent .*\(3, 5\)"),
    Refused("nn.Hardtanh(2, 1)", [], "below max_val"),
    Refused("f.hardtanh(x, 2, 1)", [(2,)], "2 and 1"),
    Refused("f.prelu(x, y)", [(2, 3), (2,)], r"1 or 3 entries .* got \(2,\)"),
    Refused("f.softshrink(x, -0.5)", [(2,)], "-0.5"),
    Refused("f.celu(x, 0)", [(2,)], "alpha"),
    Refused("f.rrelu(x, 0.5, 0.1, True)", [(2,)], "0.5 and 0.1"),
    Refused("nn.Softmax2d()(x)", [(2, 3)], r"\(N, C, H, W\)"),
    Refused("nn.SiLU()(3.0)", [], "takes a Tensor"),
]
