"""Linear layers, containers and layers that rearrange."""

from tests.peer_tables import Case, Refused, labels

MODULES = [
    Case("Linear(4, 3)", [(5, 4)]),
    Case("Linear(4, 3, bias=False)", [(2, 5, 4)]),
    Case("Linear(4, 3)", [(4,)]),
    Case("Linear(4, 3)", [(0, 4)]),
    Case("Flatten()", [(2, 3, 4)]),
    Case("Flatten(0, 1)", [(2, 3, 4)]),
    Case("Unflatten(1, (2, -1))", [(3, 6)]),
    Case("Identity()", [(2, 3)]),
    Case("Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))", [(5, 3)]),
    Case("Linear(4, 1)", [(2, 0, 4)]),
    Case("Linear(0, 3)", [(2, 0)]),
    Case("Linear(1, 1)", [(1,)]),
    Case("Flatten()", [(0, 3, 4)]),
    Case("Flatten(0)", [()]),
    Case("Flatten(-2)", [(2, 3, 4)]),
    Case("Flatten(1, 2)", [(2, 3, 4, 2)]),
    Case("Unflatten(-1, (2, 3))", [(6,)]),
    Case("Unflatten(0, (2, 0))", [(0, 3)]),
    Case("Sequential()", [(2, 3)]),
    Case("Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))", [(3, 1, 6, 7)]),
]

FUNCTIONS = [
    Case("linear(x, y, z)", [(5, 4), (3, 4), (3,)]),
    Case("linear(x, y)", [(4,), (3, 4)]),
    Case("one_hot(x, 5)", [labels(2, 3, classes=5)]),
]

REFUSED = [
    Refused("f.linear(x, y)", [(5, 5), (3, 4)], r"got \(5, 5\), expects \(…, 4\)"),
    Refused("nn.Linear(4, 3)(x)", [(5, 5)], r"got \(5, 5\), expects \(…, 4\)"),
]

TESTED = {
    "nn.Module": "tests/test_nn_module.py",
    "nn.Parameter": "tests/test_nn_module.py",
    "nn.ModuleList": "tests/test_nn_containers.py",
    "nn.ModuleDict": "tests/test_nn_containers.py",
    "nn.ParameterList": "tests/test_nn_containers.py",
}
