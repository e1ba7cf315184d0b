"""Normalisation and dropout."""

import numpy as np

from tests.peer_tables import Case, Refused, probabilities

FAR = np.random.default_rng(0).standard_normal((4, 3, 5)) + 1000
FLAT = np.ones((3, 2, 4))

MODULES = [
    Case("BatchNorm1d(3)", [(5, 3)]),
    Case("BatchNorm1d(3)", [(4, 3, 5)]),
    Case("BatchNorm1d(3, eps=0.1, momentum=0.3)", [(5, 3)]),
    Case("BatchNorm1d(3, momentum=None)", [(5, 3)]),
    Case("BatchNorm1d(3, affine=False)", [(5, 3)]),
    Case("BatchNorm1d(3, bias=False)", [(5, 3)]),
    Case("BatchNorm1d(3, track_running_stats=False)", [(5, 3)]),
    Case("BatchNorm1d(2)", [FLAT]),
    Case("BatchNorm2d(3)", [(2, 3, 4, 5)]),
    Case("BatchNorm2d(3, 1e-3, 0.01, False, False)", [(2, 3, 4, 5)]),
    Case("BatchNorm2d(3)", [(0, 3, 4, 5)], modes=("eval",)),
    Case("BatchNorm2d(1)", [(1, 1, 5, 1)]),
    Case("BatchNorm3d(2)", [(2, 2, 3, 2, 2)]),
    Case("BatchNorm3d(2, momentum=0.0)", [(2, 2, 3, 2, 2)]),
    Case("SyncBatchNorm(2)", [(2, 2, 3, 2, 2)]),
    Case("SyncBatchNorm(3, 1e-3, None, False, True)", [(2, 3)]),
    # The mean of 1000 costs three digits, there as here; a float16 cannot hold the difference.
    Case("BatchNorm1d(3)", [FAR], tolerance=1e3, half=False, second=False),
    Case("InstanceNorm1d(3)", [(2, 3, 5)]),
    Case("InstanceNorm1d(3)", [(3, 5)]),
    Case("InstanceNorm1d(3, affine=True)", [(2, 3, 5)]),
    Case("InstanceNorm1d(3, affine=True, bias=False)", [(2, 3, 5)]),
    Case("InstanceNorm1d(3, track_running_stats=True)", [(2, 3, 5)]),
    Case("InstanceNorm1d(3, momentum=0.4, affine=True, track_running_stats=True)", [(3, 5)]),
    Case("InstanceNorm2d(3, eps=0.01)", [(2, 3, 4, 2)]),
    Case("InstanceNorm2d(3, affine=True, track_running_stats=True)", [(3, 4, 2)]),
    Case("InstanceNorm3d(2)", [(2, 2, 3, 2, 2)]),
    Case("InstanceNorm3d(2, affine=True, track_running_stats=True)", [(1, 2, 3, 2, 2)]),
    Case("LayerNorm(4)", [(3, 4)]),
    Case("LayerNorm(4)", [(4,)]),
    Case("LayerNorm((3, 4))", [(2, 5, 3, 4)]),
    Case("LayerNorm([3, 4], eps=0.1)", [(3, 4)]),
    Case("LayerNorm(4, bias=False)", [(2, 3, 4)]),
    Case("LayerNorm(4, elementwise_affine=False)", [(2, 3, 4)]),
    Case("LayerNorm(4)", [(0, 4)]),
    Case("LayerNorm(1)", [(3, 1)], tolerance=1e3),  # all gradients are 0; PyTorch's are rounding errors
    Case("LayerNorm(4)", [FLAT]),
    Case("GroupNorm(2, 4)", [(3, 4)]),
    Case("GroupNorm(2, 4)", [(2, 4, 3)]),
    Case("GroupNorm(1, 4)", [(2, 4, 3, 2)]),
    Case("GroupNorm(4, 4, eps=0.1)", [(2, 4, 3, 2)]),
    Case("GroupNorm(3, 6, affine=False)", [(2, 6, 3)]),
    Case("GroupNorm(3, 6, bias=False)", [(2, 6, 1, 2, 2)]),
    Case("GroupNorm(2, 4)", [(0, 4, 3)]),
    Case("RMSNorm(4)", [(3, 4)]),
    Case("RMSNorm((3, 4), eps=0.1)", [(2, 3, 4)]),
    Case("RMSNorm(4, elementwise_affine=False)", [(4,)]),
    Case("RMSNorm(4)", [(0, 4)]),
    Case("LocalResponseNorm(2)", [(2, 3, 4)]),
    Case("LocalResponseNorm(3, alpha=0.5, beta=0.3, k=2.0)", [(2, 5, 3, 2)]),
    Case("LocalResponseNorm(5)", [(1, 2, 3, 2)]),
    *[Case(f"{name}(0.3)", [(2, 3, 4)], modes=("eval",)) for name in ("Dropout", "Dropout1d", "AlphaDropout")],
    Case("Dropout(0.5, True)", [(3,)], modes=("eval",)),
    Case("Dropout2d(0.3, inplace=True)", [(2, 3, 4, 2)], modes=("eval",)),
    Case("Dropout3d(0.3)", [(2, 3, 4, 2, 2)], modes=("eval",)),
    Case("FeatureAlphaDropout(0.3)", [(2, 3, 4, 2)], modes=("eval",)),
    *[Case(f"{name}(0.0)", [(2, 3, 4)]) for name in ("Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout")],
    *[Case(f"{name}(1.0)", [(2, 3, 4)]) for name in ("Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout")],
]

FUNCTIONS = [
    # PyTorch has no gradient for running statistics: detached, so there is no second derivative to compare.
    Case("batch_norm(x, y.detach(), z.detach(), u, v)", [(4, 3, 2), (3,), probabilities(3), (3,), (3,)], second=False),
    Case("batch_norm(x, None, None, u, training=True, eps=0.1)", [(4, 3, 2), (3,), (3,), (3,)]),
    Case("batch_norm(x, None, None, training=True)", [(4, 3)]),
    Case("instance_norm(x)", [(2, 3, 7)]),
    Case("instance_norm(x, weight=y, bias=z, eps=0.1)", [(2, 3, 7), (3,), (3,)]),
    Case("instance_norm(x, y.detach(), z.detach(), use_input_stats=False)", [(4, 3, 2), (3,), probabilities(3)], second=False),
    Case("layer_norm(x, (3, 2), y, z)", [(4, 3, 2), (3, 2), (3, 2)]),
    Case("layer_norm(x, [6])", [(4, 3, 6)]),
    Case("layer_norm(x, (6,), bias=y)", [(2, 3, 6), (6,)]),
    Case("group_norm(x, 2, y, z)", [(4, 4, 2), (4,), (4,)]),
    Case("group_norm(x, 4, eps=0.1)", [(4, 4, 2)]),
    Case("rms_norm(x, (2,), y)", [(4, 3, 2), (2,)], half=False),  # its ε depends on the type
    Case("rms_norm(x, (3, 2), eps=0.5)", [(4, 3, 2)]),
    Case("local_response_norm(x, 3, 0.2, 0.6, 1.5)", [(2, 4, 5)]),
    Case("local_response_norm(x, 1)", [(2, 4, 5)]),
    *[
        Case(f"{name}(x, 0.5, training=False)", [(2, 3, 4, 2, 2)[:rank]])
        for name, rank in [
            ("dropout", 2), ("dropout1d", 3), ("dropout2d", 4), ("dropout3d", 5), ("alpha_dropout", 2),
            ("feature_alpha_dropout", 3),
        ]
    ],
    Case("dropout(x, 1.0)", [(2, 3)]),
    Case("alpha_dropout(x)", [(2, 3)]),
]  # fmt: skip

REFUSED = [
    Refused("nn.BatchNorm1d(3)(x)", [(1, 3)], "more than one value"),
    Refused("nn.BatchNorm1d(3)(x)", [(4, 2)], "2 channels .* expects 3"),
    Refused("nn.BatchNorm1d(3)(x)", [(4, 3, 2, 2)], "2-d or 3-d"),
    Refused("nn.BatchNorm2d(3)(x)", [(4, 3, 2)], "4-d"),
    Refused("nn.BatchNorm2d(3)(x.long())", [(4, 3, 2, 2)], "int64"),
    Refused("f.batch_norm(x, None, None)", [(4, 3)], "running_mean"),
    Refused("f.batch_norm(x, None, None, y, training=True)", [(4, 3), (2,)], r"\(2,\) instead of \(3,\)"),
    Refused("f.batch_norm(x, y, y)", [(4, 3), (2,)], r"\(2,\) instead of \(3,\)"),
    Refused("nn.InstanceNorm1d(3)(x)", [(2, 3, 1)], "more than one place"),
    Refused("nn.InstanceNorm2d(3, affine=True)(x)", [(2, 4, 5, 5)], "4 channels"),
    Refused("nn.InstanceNorm2d(3)(x)", [(3, 5)], "3-d or 4-d"),
    Refused("nn.LayerNorm(4)(x)", [(2, 3)], r"\(2, 3\), expects \(…, 4\)"),
    Refused("nn.LayerNorm((2, 4))(x)", [(4,)], r"\(4,\), expects \(…, 2, 4\)"),
    Refused("f.layer_norm(x, (3,), y)", [(2, 3), (2,)], r"weight has shape \(2,\) instead of \(3,\)"),
    Refused("nn.GroupNorm(3, 4)", [], "multiple"),
    Refused("nn.GroupNorm(2, 4)(x)", [(2, 6)], r"\(4,\) instead of \(6,\)"),
    Refused("f.group_norm(x, 4)", [(2, 6)], "6 channels .* 4 groups"),
    Refused("nn.RMSNorm(4)(x)", [(2, 3)], r"expects \(…, 4\)"),
    Refused("nn.Dropout(1.5)", [], "probability"),
    Refused("f.dropout(x, -0.5)", [(2,)], "probability"),
    Refused("f.dropout2d(x)", [(2,)], r"\(N, C, H, W\)", by_pytorch=False),
    Refused("f.dropout(x.long())", [(2,)], "int64"),
    Refused("f.local_response_norm(x, 2)", [(2, 3)], r"\(N, C, …\)"),
]
