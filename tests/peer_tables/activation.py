"""Activations."""

import numpy as np

from tests.peer_tables import Case

MODULES = [
    Case("ReLU()", [(3, 4)]),
    Case("ReLU(inplace=True)", [(3, 4)]),
    Case("Tanh()", [(3, 4)]),
    Case("Sigmoid()", [(3, 4)]),
    Case("ReLU()", [()]),
    Case("Tanh()", [(0,)]),
    Case("Sigmoid()", [(2, 0)]),
    Case("LogSoftmax(-1)", [(2, 3, 4)]),
    Case("Softmax(0)", [()]),
    Case("LogSoftmax(0)", [(0, 3)]),
    Case("Softmax(dim=1)", [(3, 4)]),
    Case("Softmax(dim=-2)", [(2, 3, 4)]),
    Case("LogSoftmax(dim=1)", [(3, 4)]),
    Case("Softmax(1)", [(0, 4)]),
]

MODULES += [
    Case("GELU()", [(3, 4)]),
    Case("GELU('tanh')", [(3, 4)]),
    Case("GELU()", [(0,)]),
]

FUNCTIONS = [
    Case("gelu(x)", [np.array([-30.0, -5.0, -0.1, 0.0, 0.2, 4.0, 50.0])]),
    Case("gelu(x, approximate='tanh')", [np.array([-30.0, -5.0, -0.1, 0.0, 0.2, 4.0, 50.0])]),
]
