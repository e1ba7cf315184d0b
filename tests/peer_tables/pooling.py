"""Pooling, fixed, adaptive and fractional, and its reverse."""

import numpy as np

from tests.peer_tables import Case, Refused, probabilities


def places(*shape: int, among: int) -> np.ndarray:
    """For each sample and channel of (N, C, …) different places below `among`.

    To unpooling they are given `contiguous`, because PyTorch's gradient refuses others.
    """
    random = np.random.default_rng(0)
    rows = [random.permutation(among)[: int(np.prod(shape[2:]))] for _ in range(shape[0] * shape[1])]
    return np.array(rows, np.int64).reshape(shape)


MODULES = [
    Case("MaxPool1d(2)", [(2, 3, 7)]),
    Case("MaxPool2d(2)", [(2, 3, 6, 7)]),
    Case("MaxPool2d(3, stride=2, padding=1)", [(2, 3, 7, 8)]),
    Case("MaxPool2d((2, 3), stride=(1, 2), dilation=(2, 1))", [(2, 3, 7, 8)]),
    Case("MaxPool2d(2, ceil_mode=True)", [(2, 3, 7, 5)]),
    Case("MaxPool2d(3, 2, 1, ceil_mode=True)", [(1, 1, 6, 8)]),
    Case("MaxPool2d(2)", [(3, 6, 6)]),
    Case("MaxPool3d(2)", [(1, 2, 4, 4, 5)]),
    Case("AvgPool1d(2)", [(2, 3, 7)]),
    Case("AvgPool2d(2)", [(2, 3, 6, 7)]),
    Case("AvgPool2d(3, stride=2, padding=1)", [(2, 3, 7, 8)]),
    Case("AvgPool2d(3, 2, 1, count_include_pad=False)", [(2, 3, 7, 8)]),
    Case("AvgPool2d(2, ceil_mode=True)", [(2, 3, 7, 5)]),
    Case("AvgPool2d(3, 2, 1, ceil_mode=True)", [(1, 2, 6, 8)]),
    Case("AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)", [(1, 2, 6, 8)]),
    Case("AvgPool2d(2, divisor_override=3)", [(2, 3, 6, 6)]),
    Case("AvgPool3d(2)", [(1, 2, 4, 4, 5)]),
    Case("AvgPool2d(2)", [(3, 6, 6)]),
    Case("MaxPool1d(3, 2, 1, ceil_mode=True)", [(2, 3, 8)]),
    Case("MaxPool1d(2, dilation=3)", [(3, 7)]),
    Case("MaxPool1d(2)", [(0, 3, 7)]),
    Case("MaxPool2d(3, 1, 1, dilation=2)", [(1, 2, 7, 6)]),
    Case("MaxPool2d(2)", [(0, 3, 6, 7)]),
    Case("MaxPool2d((1, 3))", [(2, 5, 7)]),
    Case("MaxPool3d(3, 2, 1, ceil_mode=True)", [(1, 2, 4, 5, 6)]),
    Case("MaxPool3d((1, 2, 2), dilation=(1, 2, 1))", [(2, 3, 4, 4)]),
    Case("AvgPool1d(3, 2, 1, ceil_mode=True)", [(2, 3, 8)]),
    Case("AvgPool1d(3, 1, 1, count_include_pad=False)", [(3, 7)]),
    Case("AvgPool2d((3, 2), (1, 2), (1, 0), divisor_override=-2)", [(2, 2, 5, 5)]),
    Case("AvgPool2d(2)", [(0, 3, 6, 7)]),
    Case("AvgPool2d(3, 2, 1, ceil_mode=True, divisor_override=5)", [(1, 1, 6, 8)]),
    Case("AvgPool3d(3, 2, 1, ceil_mode=True)", [(1, 2, 4, 5, 6)]),
    Case("AvgPool3d(2, 1, 1, count_include_pad=False)", [(2, 3, 4, 2)]),
    Case("AvgPool3d(2, divisor_override=3)", [(1, 1, 5, 4, 3)]),
    Case("MaxPool1d(2, return_indices=True)", [(2, 3, 7)]),
    Case("MaxPool2d(3, 2, 1, return_indices=True)", [(2, 3, 7, 8)]),
    Case("MaxPool3d(2, 1, return_indices=True, ceil_mode=True)", [(2, 3, 4, 3)]),
    Case("AdaptiveAvgPool1d(3)", [(2, 3, 7)]),
    Case("AdaptiveAvgPool1d((4,))", [(3, 8)]),
    Case("AdaptiveAvgPool1d(1)", [(0, 3, 7)]),
    Case("AdaptiveAvgPool1d(7)", [(2, 2, 3)]),
    Case("AdaptiveAvgPool2d(1)", [(2, 3, 4, 5)]),
    Case("AdaptiveAvgPool2d((None, 2))", [(2, 3, 4, 5)]),
    Case("AdaptiveAvgPool2d((None, None))", [(1, 2, 3, 4)]),
    Case("AdaptiveAvgPool2d(2)", [(2, 2, 4, 6)]),
    Case("AdaptiveAvgPool2d((1, 2))", [(1, 18, 18)]),
    Case("AdaptiveAvgPool2d(2)", [(1, 1, 18, 20)]),
    Case("AdaptiveAvgPool2d((3, 4))", [(3, 5, 7)]),
    Case("AdaptiveAvgPool2d((5, 7))", [(0, 2, 4, 4)]),
    Case("AdaptiveAvgPool3d((2, None, 3))", [(1, 2, 4, 2, 5)]),
    Case("AdaptiveAvgPool3d(2)", [(2, 4, 4, 2)]),
    Case("AdaptiveAvgPool3d(1)", [(2, 3, 2, 3, 4)]),
    Case("AdaptiveMaxPool1d(3)", [(2, 3, 7)]),
    Case("AdaptiveMaxPool1d(4, return_indices=True)", [(3, 8)]),
    Case("AdaptiveMaxPool1d(1)", [(0, 3, 7)]),
    Case("AdaptiveMaxPool2d(1, return_indices=True)", [(2, 3, 4, 5)]),
    Case("AdaptiveMaxPool2d((None, 2), return_indices=True)", [(2, 3, 4, 5)]),
    Case("AdaptiveMaxPool2d((None, None))", [(1, 2, 3, 4)]),
    Case("AdaptiveMaxPool2d(2)", [(2, 2, 4, 6)]),
    Case("AdaptiveMaxPool2d((3, 4), True)", [(3, 5, 7)]),
    Case("AdaptiveMaxPool2d((5, 7), True)", [(1, 2, 4, 4)]),
    Case("AdaptiveMaxPool2d(2)", [(0, 2, 4, 5)]),
    Case("AdaptiveMaxPool3d((2, None, 3), return_indices=True)", [(1, 2, 4, 2, 5)]),
    Case("AdaptiveMaxPool3d(2)", [(2, 4, 4, 2)]),
    Case("AdaptiveMaxPool3d(1, True)", [(2, 3, 2, 3, 4)]),
    Case("LPPool1d(2, 3, stride=2)", [(2, 3, 7)]),
    Case("LPPool1d(1, 2)", [(3, 7)]),
    Case("LPPool1d(float('inf'), 2)", [(2, 2, 5)]),
    Case("LPPool2d(2, 3)", [(2, 2, 6, 7)]),
    Case("LPPool2d(4, (2, 3), stride=(1, 2), ceil_mode=True)", [(2, 5, 6)]),
    Case("LPPool2d(1.5, 2)", [probabilities(1, 2, 4, 5)]),
    Case("LPPool2d(-1, 2)", [probabilities(1, 2, 4, 4)]),
    Case("LPPool2d(float('-inf'), 2, ceil_mode=True)", [(1, 2, 5, 4)]),
    Case("LPPool2d(2, 2)", [(0, 2, 5, 4)]),
    Case("LPPool3d(2, 2)", [(1, 2, 4, 3, 4)]),
    Case("LPPool3d(2, (1, 2, 2), stride=1, ceil_mode=True)", [(2, 2, 3, 3)]),
    Case("LPPool3d(float('inf'), 2)", [(1, 2, 4, 3, 4)]),
    Case("MaxUnpool1d(2)", [(2, 3, 4), places(2, 3, 4, among=8)], call="layer(x, y.contiguous())"),
    Case("MaxUnpool1d(3, 2, 1)", [(3, 4), places(1, 3, 4, among=7)[0]], call="layer(x, y.contiguous())"),
    Case("MaxUnpool1d(2)", [(1, 2, 3), places(1, 2, 3, among=7)], call="layer(x, y.contiguous(), output_size=[7])"),
    Case("MaxUnpool2d(2)", [(2, 2, 2, 3), places(2, 2, 2, 3, among=24)], call="layer(x, y.contiguous())"),
    Case(
        "MaxUnpool2d((2, 3), stride=(2, 1))",
        [(2, 2, 3), places(1, 2, 2, 3, among=20)[0]],
        call="layer(x, y.contiguous())",
    ),
    Case(
        "MaxUnpool2d(2)",
        [(1, 2, 2, 2), places(1, 2, 2, 2, among=20)],
        call="layer(x, y.contiguous(), output_size=(1, 2, 4, 5))",
    ),
    Case(
        "MaxUnpool2d(3, stride=2, padding=1)",
        [(1, 1, 3, 2), places(1, 1, 3, 2, among=15)],
        call="layer(x, y.contiguous())",
    ),
    Case("MaxUnpool3d(2)", [(1, 2, 2, 1, 2), places(1, 2, 2, 1, 2, among=32)], call="layer(x, y.contiguous())"),
    Case(
        "MaxUnpool3d(2)", [(2, 1, 2, 1), places(1, 2, 1, 2, 1, among=30)[0]], call="layer(x, y.contiguous(), (3, 4, 2))"
    ),
    Case(
        "FractionalMaxPool2d(2, 3, _random_samples=lib.tensor([[[0.1, 0.9], [0.5, 0.3]]]))",
        [(1, 2, 6, 7)],
        only=("float32",),
    ),
    Case(
        "FractionalMaxPool2d(2, output_ratio=(0.5, 0.9), return_indices=True, _random_samples=lib.tensor([[[0.6, 0.2]]]))",
        [(1, 6, 7)],
        only=("float32",),
    ),
    Case(
        "FractionalMaxPool3d(2, (2, 2, 4), return_indices=True, _random_samples=lib.tensor([[[0.1, 0.9, 0.4]]]))",
        [(1, 1, 4, 5, 6)],
        only=("float32",),
    ),
    Case(
        "FractionalMaxPool3d(1, output_ratio=0.5, _random_samples=lib.tensor([[[0.1, 0.9, 0.4], [0.7, 0.1, 0.99]]]))",
        [(2, 4, 5, 6)],
        only=("float32",),
    ),
]

FUNCTIONS = [
    Case("max_pool1d(x, 2, return_indices=True)", [(2, 3, 7)]),
    Case("max_pool2d(x, 3, 2, 1, ceil_mode=True)", [(3, 6, 7)]),
    Case("max_pool3d(x, 2, 1)", [(1, 2, 3, 3, 3)]),
    Case("max_pool1d_with_indices(x, 2, 1, 1)", [(2, 3, 7)]),
    Case("max_pool2d_with_indices(x, (2, 3), ceil_mode=True)", [(2, 3, 5, 7)]),
    Case("max_pool3d_with_indices(x, 2)", [(3, 4, 4, 2)]),
    Case("avg_pool1d(x, 3, 2, 1)", [(2, 3, 7)]),
    Case("avg_pool2d(x, 2, divisor_override=3)", [(3, 6, 7)]),
    Case("avg_pool3d(x, 2, 1, 1, count_include_pad=False)", [(1, 2, 3, 3, 3)]),
    Case("adaptive_avg_pool1d(x, 3)", [(2, 3, 8)]),
    Case("adaptive_avg_pool2d(x, (3, 2))", [(2, 5, 7)]),
    Case("adaptive_avg_pool2d(x, [None, 4])", [(1, 2, 3, 8)]),
    Case("adaptive_avg_pool3d(x, (2, 1, None))", [(2, 5, 3, 2)]),
    Case("adaptive_max_pool1d(x, 3)", [(2, 3, 8)]),
    Case("adaptive_max_pool2d(x, (3, 2), return_indices=True)", [(2, 5, 7)]),
    Case("adaptive_max_pool3d(x, (2, 1, 2))", [(2, 5, 3, 2)]),
    Case("adaptive_max_pool1d_with_indices(x, 3)", [(3, 8)]),
    Case("adaptive_max_pool2d_with_indices(x, (None, 3))", [(2, 3, 4, 7)]),
    Case("adaptive_max_pool3d_with_indices(x, (2, 3, 2))", [(1, 2, 5, 3, 2)]),
    Case("lp_pool1d(x, 2, 3, 1)", [(2, 3, 7)]),
    Case("lp_pool2d(x, 2, (2, 3))", [(3, 6, 7)]),
    Case("lp_pool3d(x, 4, 2, ceil_mode=True)", [(1, 2, 3, 3, 3)]),
    Case("max_unpool1d(x, y.contiguous(), 2, output_size=(9,))", [(2, 3, 4), places(2, 3, 4, among=9)]),
    Case("max_unpool2d(x, y.contiguous(), 2, 2)", [(2, 2, 2, 3), places(2, 2, 2, 3, among=24)]),
    Case("max_unpool2d(*f.max_pool2d(x, 2, return_indices=True), 2, output_size=(5, 7))", [(2, 2, 5, 7)]),
    Case("max_unpool3d(x, y.contiguous(), 2)", [(1, 2, 2, 1, 2), places(1, 2, 2, 1, 2, among=32)]),
    Case(
        "fractional_max_pool2d(x, 3, (2, 4), return_indices=True, _random_samples=y.detach())",
        [(2, 2, 6, 7), probabilities(2, 2, 2)],
    ),
    Case(
        "fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.6), _random_samples=y.detach())",
        [(2, 5, 7), probabilities(1, 2, 2)],
    ),
    Case(
        "fractional_max_pool2d_with_indices(x, (2, 3), (1, 2), _random_samples=y.detach())",
        [(1, 2, 4, 5), probabilities(1, 2, 2)],
    ),
    Case(
        "fractional_max_pool3d(x, 2, (2, 3, 4), _random_samples=y.detach())",
        [(1, 2, 4, 5, 6), probabilities(1, 2, 3)],
    ),
    Case(
        "fractional_max_pool3d_with_indices(x, (1, 2, 3), 2, _random_samples=y.detach())",
        [(2, 4, 5, 6), probabilities(1, 2, 3)],
    ),
]

REFUSED = [
    Refused("nn.AdaptiveAvgPool2d(2)(x)", [(3, 4)]),
    Refused("nn.AdaptiveAvgPool2d((2, 3, 4))(x)", [(1, 1, 4, 4)], r"2 of them, got \(2, 3, 4\)"),
    Refused("f.adaptive_avg_pool2d(x, -1)", [(1, 1, 4, 4)], "at least 1"),
    Refused("f.adaptive_max_pool1d(x, (2, 2))", [(1, 1, 4)]),
    Refused("f.adaptive_max_pool2d(x, 2)", [(1, 1, 0, 4)], "at least 1"),
    Refused("f.adaptive_avg_pool2d(x, 0)", [(1, 1, 4, 4)], "at least 1", by_pytorch=False),
    Refused("f.lp_pool2d(x, 0, 2)", [(1, 1, 4, 4)], "norm_type", by_pytorch=False),
    Refused("f.lp_pool2d(x, 2, 5)", [(1, 1, 4, 4)]),
    Refused(
        "f.max_unpool2d(x, y, 2)", [(1, 1, 2, 2), places(1, 1, 2, 1, among=9)], r"\(1, 1, 2, 1\) for \(1, 1, 2, 2\)"
    ),
    Refused("f.max_unpool2d(x, y, 2)", [(1, 1, 2, 2), places(1, 1, 2, 2, among=4) + 16], r"0 … 15.*output_size"),
    Refused("f.max_unpool2d(x, y, 2)", [(1, 1, 2, 2), (1, 1, 2, 2)], "int64"),
    Refused(
        "f.max_unpool2d(x, y, 2, output_size=(6, 4))",
        [(1, 1, 2, 2), places(1, 1, 2, 2, among=9)],
        r"between \(3, 3\) and \(5, 5\)",
    ),
    Refused("f.max_unpool1d(x, y, 2, padding=3)", [(1, 1, 2), places(1, 1, 2, among=2)]),
    Refused("f.fractional_max_pool2d(x, 2)", [(1, 1, 4, 4)], "neither"),
    Refused("f.fractional_max_pool2d(x, 3, 3)", [(1, 1, 4, 4)], "do not fit"),
    Refused(
        "f.fractional_max_pool2d(x, 2, 2, _random_samples=y.detach())", [(1, 2, 4, 4), (1, 1, 2)], r"\(1, 2, 2\), got"
    ),
    Refused("nn.FractionalMaxPool2d(2, 3, 0.5)", [], "one of them"),
    Refused("nn.FractionalMaxPool2d(2, output_ratio=1.5)", [], "between 0 and 1"),
]
