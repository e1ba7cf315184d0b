"""Small layers: bilinear, distances, shuffles, windows as columns; lazy layers; pads."""

from tests.peer_tables import Case, Refused

_PADS = [
    *[(f"{kind}1d({p}{more})", (2, 3, 5)) for p in ("1", "(2, 1)", "(0, 3)")
      for kind, more in (("ConstantPad", ", 1.5"), ("ZeroPad", ""), ("ReflectionPad", ""), ("ReplicationPad", ""), ("CircularPad", ""))],
    *[(f"{kind}2d({p}{more})", (2, 3, 4, 5)) for p in ("1", "(2, 1, 0, 3)")
      for kind, more in (("ConstantPad", ", -1"), ("ZeroPad", ""), ("ReflectionPad", ""), ("ReplicationPad", ""), ("CircularPad", ""))],
    *[(f"{kind}3d({p}{more})", (1, 2, 3, 4, 3)) for p in ("1", "(1, 2, 0, 1, 2, 0)")
      for kind, more in (("ConstantPad", ", 0.5"), ("ZeroPad", ""), ("ReflectionPad", ""), ("ReplicationPad", ""), ("CircularPad", ""))],
    ("ReflectionPad1d(1)", (3, 5)), ("ReplicationPad2d(1)", (3, 4, 5)), ("CircularPad1d(2)", (3, 5)),
    ("ConstantPad2d(-1, 2)", (1, 1, 4, 4)), ("ZeroPad2d(0)", (2, 3)),
]  # fmt: skip

MODULES = [
    *[Case(source, [shape]) for source, shape in _PADS],
    Case("Bilinear(2, 3, 4)", [(5, 2), (5, 3)]),
    Case("Bilinear(2, 3, 4, bias=False)", [(2, 5, 2), (2, 5, 3)]),
    Case("Bilinear(1, 1, 1)", [(1,), (1,)]),
    Case("CosineSimilarity()", [(4, 3), (4, 3)]),
    Case("CosineSimilarity(dim=0, eps=0.5)", [(4, 3), (4, 3)]),
    Case("PairwiseDistance()", [(4, 3), (4, 3)]),
    Case("PairwiseDistance(p=1.0, keepdim=True)", [(4, 3), (4, 3)]),
    Case("PairwiseDistance(3, eps=0.1)", [(3,), (3,)]),
    Case("PixelShuffle(2)", [(2, 8, 3, 2)]),
    Case("PixelShuffle(1)", [(4, 3, 2)]),
    Case("PixelUnshuffle(2)", [(2, 2, 4, 6)]),
    Case("PixelUnshuffle(3)", [(1, 3, 6)]),
    Case("ChannelShuffle(2)", [(2, 6, 3, 2)]),
    Case("Unfold(2)", [(2, 3, 4, 5)]),
    Case("Unfold((2, 3), dilation=(1, 2), padding=(1, 0), stride=2)", [(2, 2, 5, 6)]),
    Case("Unfold(3, padding=1)", [(2, 4, 4)]),
    Case("Fold((4, 5), 2)", [(2, 12, 12)]),
    Case("Fold((5, 6), (2, 3), dilation=(1, 2), padding=(1, 0), stride=2)", [(2, 12, 3)]),
    Case("Fold((3, 3), 2)", [(4, 4)]),
    Case("LazyLinear(3)", [(2, 4)]),
    Case("LazyLinear(3, bias=False)", [(4,)]),
    Case("LazyConv1d(4, 3)", [(2, 2, 5)]),
    Case("LazyConv2d(4, 3, stride=2, padding=1, groups=2)", [(2, 2, 5, 5)]),
    Case("LazyConv3d(2, 2, bias=False)", [(1, 1, 3, 3, 3)]),
    Case("LazyConv2d(4, 3, padding='same', padding_mode='reflect')", [(2, 5, 5)]),
    Case("LazyConvTranspose1d(4, 3, stride=2, output_padding=1)", [(2, 2, 5)]),
    Case("LazyConvTranspose2d(4, 3, groups=2)", [(2, 2, 4, 4)]),
    Case("LazyConvTranspose3d(2, 2)", [(1, 1, 3, 3, 3)]),
    Case("LazyBatchNorm1d()", [(5, 3)]),
    Case("LazyBatchNorm2d(eps=0.1, affine=False)", [(2, 3, 2, 4)]),
    Case("LazyBatchNorm3d(track_running_stats=False)", [(2, 3, 2, 2, 2)]),
    Case("LazyInstanceNorm1d()", [(2, 3, 5)]),
    Case("LazyInstanceNorm2d(affine=False)", [(2, 3, 2, 4)]),
    Case("LazyInstanceNorm3d()", [(2, 3, 2, 2, 2)]),
]

FUNCTIONS = [
    *[
        Case(f"pad(x, {pairs}, mode={mode!r})", [(2, 3, 5, 4)[:rank]])
        for mode in ("reflect", "replicate", "circular")
        for pairs, rank in (((1, 2), 3), ((1, 0, 2, 1), 4))
    ],
    Case("pad(x, (1, 2, 0, 1), value=3.0)", [(2, 3)]),
    Case("pad(x, (-1, 2))", [(2, 3)]),
    Case("bilinear(x, y, z, u)", [(5, 2), (5, 3), (4, 2, 3), (4,)]),
    Case("cosine_similarity(x, y)", [(4, 3), (4, 3)]),
    Case("cosine_similarity(x, y, dim=-1)", [(2, 1, 3), (4, 3)]),
    Case("pairwise_distance(x, y, 2.0, 1e-6, True)", [(4, 3), (3,)]),
    Case("pdist(x)", [(4, 3)]),
    Case("pdist(x, 1.5)", [(4, 3)]),
    Case("normalize(x)", [(4, 3)]),
    Case("normalize(x, p=1, dim=0, eps=0.1)", [(4, 3)]),
    Case("pixel_shuffle(x, 2)", [(4, 3, 2)]),
    Case("pixel_unshuffle(x, 2)", [(2, 3, 4, 2)]),
    Case("channel_shuffle(x, 3)", [(2, 6, 3)]),
    Case("unfold(x, 2, 1, 0, 2)", [(1, 2, 4, 4)]),
    Case("fold(x, (4, 4), 2, stride=2)", [(1, 8, 4)]),
    *[Case(f"conv{n}d(x, y, z, 2, 1, 1, 2)", [(2, 4, *[4] * n), (6, 2, *[3] * n), (6,)]) for n in (1, 2, 3)],
    *[Case(f"conv_transpose{n}d(x, y, z, 2, 1, 1, 2)", [(2, 4, *[3] * n), (4, 3, *[3] * n), (6,)]) for n in (1, 2, 3)],
]

REFUSED = [
    Refused("nn.Bilinear(2, 3, 4)(x, y)", [(5, 3), (5, 3)], r"\(5, 3\) and \(5, 3\), expects \(…, 2\)"),
    Refused("nn.Bilinear(2, 3, 4)(x, y)", [(5, 2), (4, 3)], "leading dimensions"),
    Refused("nn.Bilinear(0, 3, 4)", [], "at least 1"),
    Refused("f.pixel_shuffle(x, 2)", [(1, 3, 2, 2)], "3 channels"),
    Refused("f.pixel_shuffle(x, 0)", [(1, 4, 2, 2)], "at least 1"),
    Refused("f.pixel_unshuffle(x, 2)", [(1, 1, 3, 2)], "3×2"),
    Refused("f.channel_shuffle(x, 4)", [(1, 6, 2)], "6 channels .* 4 groups"),
    Refused("f.unfold(x, 5)", [(1, 1, 3, 3)], "does not fit"),
    Refused("f.fold(x, (3, 3), 2)", [(1, 4, 5)], "2·2 windows"),
    Refused("f.pdist(x)", [(3,)], r"\(3,\)"),
    Refused("nn.ReflectionPad1d(3)(x)", [(1, 2, 3)], "reflect"),
    Refused("nn.ReflectionPad2d(1)(x)", [(3, 3)], r"\(N, C, H, W\)"),
    Refused("nn.ZeroPad2d((1, 2))(x)", [(1, 1, 3, 3)], "4 of them", by_pytorch=False),
    Refused("nn.LazyConv2d(4, 3)(x)", [(5, 5)], "3 or 4 dimensions"),
    Refused("nn.LazyBatchNorm2d()(x)", [(5, 3)], "4-d"),
    Refused("f.pad(x, (1, 1), mode='mirror')", [(2, 3)], "'mirror'"),
]

TESTED = {
    "nn.Buffer": "tests/test_lazy.py",
    "nn.ParameterDict": "tests/test_lazy.py",
    "nn.UninitializedBuffer": "tests/test_lazy.py",
    "nn.UninitializedParameter": "tests/test_lazy.py",
}
