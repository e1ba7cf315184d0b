"""Resizing, and reading images at the places of a grid."""

import numpy as np

from tests.peer_tables import Case, Refused


def grid(*shape: int, reach: float = 0.9, seed: int = 0) -> np.ndarray:
    """Places in ±reach."""
    return np.random.default_rng(seed).uniform(-reach, reach, shape)


MODULES = [
    Case("Upsample(scale_factor=2)", [(2, 3, 4)]),
    Case("Upsample(size=5)", [(2, 3, 4, 2)]),
    Case("Upsample(size=(2, 3, 4), mode='trilinear', align_corners=True)", [(1, 2, 2, 2, 2)]),
    Case("Upsample(scale_factor=(1.5, 2.5), mode='bilinear')", [(1, 2, 4, 3)]),
    Case("Upsample(scale_factor=1.5, mode='bicubic', recompute_scale_factor=True)", [(1, 2, 3, 5)]),
    Case("Upsample(scale_factor=2, mode='linear')", [(0, 2, 3)]),
    Case("UpsamplingNearest2d(size=(3, 5))", [(2, 2, 2, 3)]),
    Case("UpsamplingNearest2d(scale_factor=2)", [(2, 2, 2, 3)]),
    Case("UpsamplingBilinear2d(scale_factor=2)", [(2, 2, 2, 3)]),
    Case("UpsamplingBilinear2d(size=4)", [(1, 2, 2, 3)]),
]

FUNCTIONS = [
    # A factor that leaves the size, or doubles it, without being the quotient; PyTorch's gradient is another function's.
    Case("interpolate(x, scale_factor=1.25)", [(2, 3, 3)], fixed="x"),
    Case("interpolate(x, scale_factor=2.25)", [(2, 3, 2)], fixed="x"),
    Case("interpolate(x, scale_factor=(1.25, 2.25))", [(2, 3, 3, 2)], fixed="x"),
    Case("interpolate(x, scale_factor=(1.25, 1, 2.25))", [(2, 3, 3, 2, 2)], fixed="x"),
    Case("interpolate(x, scale_factor=2)", [(2, 3, 4)]),
    Case("interpolate(x, size=7)", [(2, 3, 4)]),
    Case("interpolate(x, scale_factor=(2, 0.5))", [(2, 2, 3, 5)]),
    Case("interpolate(x, scale_factor=1.7)", [(1, 2, 2, 3, 4)]),
    Case("interpolate(x, size=(4, 4))", [(1, 2, 4, 4)]),
    Case("interpolate(x, size=3)", [np.arange(24).reshape(1, 2, 3, 4).astype("uint8")]),
    Case("interpolate(x, size=5, mode='nearest-exact')", [(2, 2, 3)]),
    Case("interpolate(x, scale_factor=0.4, mode='nearest-exact')", [(1, 2, 5, 7)]),
    Case("interpolate(x, size=(1, 3, 4), mode='nearest-exact')", [(1, 2, 3, 2, 4)]),
    Case("interpolate(x, size=5, mode='linear')", [(2, 3, 4)]),
    Case("interpolate(x, size=3, mode='linear', align_corners=True)", [(2, 2, 7)]),
    Case("interpolate(x, size=1, mode='linear', align_corners=True)", [(2, 2, 7)]),
    Case("interpolate(x, scale_factor=3.3, mode='linear')", [(2, 2, 1)]),
    Case("interpolate(x, scale_factor=2, mode='bilinear')", [(2, 2, 3, 4)]),
    Case("interpolate(x, scale_factor=1.7, mode='bilinear', align_corners=True)", [(1, 2, 3, 4)]),
    Case("interpolate(x, scale_factor=1.7, mode='bilinear', recompute_scale_factor=True)", [(1, 2, 3, 4)]),
    Case("interpolate(x, size=(2, 9), mode='bilinear')", [(1, 2, 5, 4)]),
    Case("interpolate(x, size=(2, 3), mode='bilinear')", [(0, 2, 5, 4)]),
    Case("interpolate(x, size=(7, 9), mode='bicubic')", [(1, 2, 5, 4)]),
    Case("interpolate(x, size=(3, 2), mode='bicubic', align_corners=True)", [(1, 2, 5, 4)]),
    Case("interpolate(x, scale_factor=0.7, mode='bicubic')", [(1, 1, 5, 4)]),
    Case("interpolate(x, size=(3, 2, 5), mode='trilinear')", [(1, 2, 2, 4, 3)]),
    Case("interpolate(x, scale_factor=2, mode='trilinear', align_corners=True)", [(1, 1, 2, 1, 3)]),
    Case("interpolate(x, size=3, mode='area')", [(2, 2, 7)]),
    Case("interpolate(x, scale_factor=0.5, mode='area')", [(1, 2, 4, 6)]),
    Case("interpolate(x, size=(2, 3, 4), mode='area')", [(1, 1, 3, 3, 3)]),
    Case("interpolate(x, size=(3, 2), mode='bilinear', antialias=True)", [(1, 2, 7, 5)]),
    Case("interpolate(x, size=(9, 2), mode='bilinear', antialias=True, align_corners=True)", [(1, 2, 4, 5)]),
    Case("interpolate(x, scale_factor=0.4, mode='bicubic', antialias=True)", [(1, 1, 9, 7)]),
    Case("interpolate(x, size=(4, 3), mode='bicubic', antialias=True, align_corners=True)", [(1, 1, 9, 7)]),
    Case("interpolate(x, size=(4, 9), mode='lanczos', antialias=True)", [(1, 1, 9, 7)]),
    Case("upsample(x, size=5, mode='linear', align_corners=True)", [(2, 3, 4)]),
    Case("upsample_nearest(x, scale_factor=2)", [(2, 2, 3)]),
    Case("upsample_bilinear(x, size=(4, 3))", [(1, 2, 2, 3)]),
    Case("affine_grid(x, (2, 1, 3, 4), align_corners=False)", [(2, 2, 3)]),
    Case("affine_grid(x, (1, 1, 2, 3), align_corners=True)", [(1, 2, 3)]),
    Case("affine_grid(x, (1, 2, 1, 3, 2))", [(1, 3, 4)]),
    Case("grid_sample(x, f.affine_grid(y, (2, 2, 3, 3)), align_corners=False)", [(2, 2, 3, 4), grid(2, 2, 3)]),
] + [
    Case(f"grid_sample(x, y, {mode!r}, {padding!r}, {corners})", [(1, 2, *size), grid(1, 3, *[2] * (len(size) - 1), len(size), reach=reach)])
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for corners, reach in ((False, 0.7), (True, 1.6))
    for size in ((4, 3), (2, 3, 3))
    if (mode, len(size)) != ("bicubic", 3)
] + [
    Case("grid_sample(x, y)", [(0, 2, 3, 4), (0, 2, 2, 2)]),
    Case("grid_sample(x, y, align_corners=True)", [(2, 2, 1, 4), grid(2, 2, 2, 2)]),
]  # fmt: skip

REFUSED = [
    Refused("f.interpolate(x)", [(1, 1, 4)], "size or scale_factor"),
    Refused("f.interpolate(x, 2, 2.0)", [(1, 1, 4)], "one of them"),
    Refused("f.interpolate(x, (2, 2))", [(1, 1, 4)], "spatial"),
    Refused("f.interpolate(x, scale_factor=(2, 2))", [(1, 1, 4)], "spatial"),
    Refused("f.interpolate(x, 2.5)", [(1, 1, 4)], "integer"),
    Refused("f.interpolate(x, 0)", [(1, 1, 4)], "at least 1"),
    Refused("f.interpolate(x, 2)", [(4, 4)], r"got \(4, 4\)"),
    Refused("f.interpolate(x, 2, mode='bilinear')", [(1, 1, 4)], "nearest, nearest-exact, area, linear"),
    Refused("f.interpolate(x, 2, mode='linear')", [(1, 1, 4, 4)], "bilinear"),
    Refused("f.interpolate(x, 2, mode='cubic')", [(1, 1, 4)], "'cubic'"),
    Refused("f.interpolate(x, 2, align_corners=False)", [(1, 1, 4)], "leave it out"),
    Refused("f.interpolate(x, 2, antialias=True)", [(1, 1, 4, 4)], "antialias"),
    Refused("f.interpolate(x, 2, mode='lanczos')", [(1, 1, 4, 4)], "antialias=True"),
    Refused("f.interpolate(x, 2, recompute_scale_factor=True)", [(1, 1, 4)], "recompute_scale_factor"),
    Refused("f.interpolate(x, 2, mode='linear')", [np.arange(4).reshape(1, 1, 4)], "int64"),
    Refused("f.grid_sample(x, y)", [(1, 1, 4, 4), (1, 2, 2, 3)], r"\(1, 2, 2, 3\)"),
    Refused("f.grid_sample(x, y)", [(2, 1, 4, 4), (1, 2, 2, 2)], r"\(1, 2, 2, 2\)"),
    Refused("f.grid_sample(x, y)", [(1, 1, 4), (1, 2, 2)], r"\(1, 1, 4\)"),
    Refused("f.grid_sample(x, y.double())", [(1, 1, 4, 4), (1, 2, 2, 2)], "float64"),
    Refused("f.grid_sample(x, y, 'cubic')", [(1, 1, 4, 4), (1, 2, 2, 2)], "'cubic'"),
    Refused("f.grid_sample(x, y, padding_mode='wrap')", [(1, 1, 4, 4), (1, 2, 2, 2)], "'wrap'"),
    Refused("f.grid_sample(x, y, 'bicubic')", [(1, 1, 2, 4, 4), (1, 2, 2, 2, 3)], "bicubic"),
    Refused("f.affine_grid(x, (2, 1, 3, 3))", [(1, 2, 3)], r"\(1, 2, 3\)"),
    Refused("f.affine_grid(x, (1, 1, 3))", [(1, 2, 3)], r"\(1, 1, 3\)"),
    Refused("f.affine_grid(x.long(), (1, 1, 3, 3))", [(1, 2, 3)], "int64"),
]
