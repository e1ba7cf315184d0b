"""Losses: every reduction and option; what broadcasts in PyTorch is refused here."""

import numpy as np

from tests.peer_tables import Case, Refused, booleans, labels, probabilities, signs

REDUCTIONS = ("mean", "sum", "none")
PAIR = [(4, 3), (4, 3)]
YES = booleans(4, 3).astype(float)
P = probabilities(4, 3)
LISTS = np.array([[2, 0, -1, 1], [1, -1, 3, 0], [-1, 0, 1, 2], [3, 2, 1, 0]])
SOFT = np.random.default_rng(0).dirichlet(np.ones(3), 4)
PIXELS = labels(2, 4, 2, classes=3, seed=1)
SOFT_PIXELS = np.moveaxis(np.random.default_rng(1).dirichlet(np.ones(3), (2, 4, 2)), -1, 1)
WEIGHT = np.array([1.0, 2.0, 0.5])
AT = np.array([0.0, 1.0, 2.0])
FAR = np.array([1e4, -1e4, 0.25, -3.0])


def each(function: str, inputs: list, **options: object) -> list[Case]:  # type: ignore[type-arg]
    """A function with each reduction; `…` stands for it."""
    return [Case(function.replace("…", f"reduction='{r}'"), inputs, **options) for r in REDUCTIONS]  # type: ignore[arg-type]


FUNCTIONS = [
    *each("mse_loss(x, y, …)", PAIR),
    *each("mse_loss(x, y, …, weight=z)", [*PAIR, P], fixed="z"),
    *each("l1_loss(x, y, …)", PAIR),
    *each("l1_loss(x, y, …, weight=z)", [*PAIR, P], fixed="z"),
    *each("smooth_l1_loss(x, y, …)", PAIR),
    *each("smooth_l1_loss(x, y, …, beta=0.3)", PAIR),
    *each("smooth_l1_loss(x, y, …, beta=0.0)", PAIR),
    *each("huber_loss(x, y, …)", PAIR),
    *each("huber_loss(x, y, …, delta=0.4)", PAIR),
    *each("huber_loss(x, y, …, weight=z)", [*PAIR, P], fixed="z"),
    *each("binary_cross_entropy(x, y, …)", [P, YES], fixed="y"),
    *each("binary_cross_entropy(x, y, weight=z, …)", [P, probabilities(4, 3, seed=2), (4, 3)], fixed="z"),
    *each("binary_cross_entropy(x, y, weight=z, …)", [P, YES, (3,)], fixed="yz"),
    *each("binary_cross_entropy_with_logits(x, y, …)", [(4, 3), P]),
    *each("binary_cross_entropy_with_logits(x, y, z, …)", [(4, 3), P, (3,)], fixed="z"),
    *each(
        "binary_cross_entropy_with_logits(x, y, …, pos_weight=z)", [(4, 3), YES, np.array([1.0, 2.0, 0.5])], fixed="z"
    ),
    *each("soft_margin_loss(x, y, …)", [(4, 3), signs(4, 3)], fixed="y"),
    *each("hinge_embedding_loss(x, y, …)", [P, signs(4, 3)], fixed="y"),
    *each("hinge_embedding_loss(x, y, 0.5, …)", [P, signs(4, 3)], fixed="y"),
    *each("margin_ranking_loss(x, y, z, …)", [(5,), (5,), signs(5)], fixed="z"),
    *each("margin_ranking_loss(x, y, z, 0.7, …)", [(5,), (5,), signs(5)], fixed="z"),
    *each("cosine_embedding_loss(x, y, z, …)", [(4, 3), (4, 3), signs(4)], fixed="z"),
    *each("cosine_embedding_loss(x, y, z, 0.2, …)", [(3,), (3,), np.array(-1.0)], fixed="z"),
    *each("multi_margin_loss(x, y, …)", [(4, 3), labels(4, classes=3)]),
    *each(
        "multi_margin_loss(x, y, 2, 0.7, z, …)", [(4, 3), labels(4, classes=3), np.array([1.0, 2.0, 0.5])], fixed="z"
    ),
    *each("multi_margin_loss(x, y, …)", [(3,), np.array(1)]),
    *each("multilabel_margin_loss(x, y, …)", [(4, 4), LISTS]),
    *each("multilabel_margin_loss(x, y, …)", [(4,), LISTS[0]]),
    *each("multilabel_soft_margin_loss(x, y, …)", [(4, 3), YES], fixed="y"),
    *each("multilabel_soft_margin_loss(x, y, z, …)", [(4, 3), YES, (3,)], fixed="z"),
    *each("triplet_margin_loss(x, y, z, …)", [(4, 3), (4, 3), (4, 3)]),
    *each("triplet_margin_loss(x, y, z, 0.5, 1.0, 1e-4, True, …)", [(4, 3), (4, 3), (4, 3)]),
    *each("triplet_margin_with_distance_loss(x, y, z, …, swap=True)", [(4, 3), (4, 3), (4, 3)]),
    *each(
        "triplet_margin_with_distance_loss(x, y, z, distance_function=lambda a, b: (a - b).abs().sum(-1), margin=2.0, …)",
        [(4, 3), (4, 3), (4, 3)],
    ),
    *each("kl_div(x, y, …)", [(4, 3), SOFT]),
    *each("kl_div(x, y, …)", [(4, 3), np.array([[0.5, 0.5, 0.0]] * 4)], fixed="y"),
    *each("kl_div(x, y, …, log_target=True)", PAIR),
    Case("kl_div(x, y, reduction='batchmean')", [(4, 3), SOFT]),
    *each("gaussian_nll_loss(x, y, z, …)", [(4, 3), (4, 3), P]),
    *each("gaussian_nll_loss(x, y, z, full=True, eps=0.5, …)", [(4, 3), (4, 3), P], second=False),  # held at ε
    *each("gaussian_nll_loss(x, y, z, …)", [(4, 3), (4, 3), probabilities(4)]),
    *each("gaussian_nll_loss(x, y, z, …)", [(4, 3), (4, 3), probabilities(4, 1)]),
    *each("gaussian_nll_loss(x, y, 0.7, …)", [(4, 3), (4, 3)]),
    *each("poisson_nll_loss(x, y, …)", [(4, 3), np.arange(12.0).reshape(4, 3)], fixed="y"),
    *each("poisson_nll_loss(x, y, False, True, eps=1e-3, …)", [P, np.arange(12.0).reshape(4, 3)], fixed="y"),
    # At the margin exactly, at equal scores, at a difference of exactly δ.
    *each("margin_ranking_loss(x, y, z, …)", [AT, AT, np.array([1.0, -1.0, 1.0])], fixed="z", second=False),
    *each("hinge_embedding_loss(x, y, …)", [AT, np.array([-1.0, -1.0, 1.0])], fixed="y", second=False),
    *each("multi_margin_loss(x, y, …)", [AT, np.array(1)], second=False),
    *each("multilabel_margin_loss(x, y, …)", [AT, np.array([1, 1, -1])], second=False),
    *each("smooth_l1_loss(x, y, …)", [AT, AT[::-1].copy()], second=False),
    *each("huber_loss(x, y, …)", [AT, AT[::-1].copy()], second=False),
    *each("smooth_l1_loss(x, y, …)", [FAR, np.zeros(4)]),
    *each("huber_loss(x, y, …, delta=2.0)", [FAR, np.zeros(4)]),
    *each(
        "gaussian_nll_loss(x, y, z, …)", [(3,), (3,), np.array([np.inf, 1e-3, 4.0])], half=False, second=False
    ),  # inf
    *each(
        "binary_cross_entropy_with_logits(x, y, …, pos_weight=z)",
        [FAR / 500, np.array([0.0, 0, 1, 1]), np.array(0.3)],
        fixed="z",
    ),
    *each("cross_entropy(x, y, …)", [(4, 3), labels(4, classes=3)]),
    *each("cross_entropy(x, y, …)", [(4, 3), labels(4, classes=3).astype("uint8")]),
    *each("cross_entropy(x, y, …)", [(3,), np.array(2)]),
    *each("cross_entropy(x, y, …)", [(3,), SOFT[0]]),
    *each("cross_entropy(x.contiguous(), y, …)", [(2, 3, 4, 2), PIXELS]),
    *each("cross_entropy(x.contiguous(), y.contiguous(), …)", [(2, 3, 4, 2), SOFT_PIXELS]),
    *each("cross_entropy(x, y, z, …)", [(4, 3), SOFT, WEIGHT], fixed="z"),
    *each("cross_entropy(x, y, z, label_smoothing=0.3, …)", [(4, 3), SOFT, WEIGHT], fixed="z"),
    *each("cross_entropy(x, y, z, label_smoothing=0.3, …)", [(4, 3), labels(4, classes=3), WEIGHT], fixed="z"),
    *each("cross_entropy(x, y, z, label_smoothing=0.3, …)", [(3,), np.array(2), WEIGHT], fixed="z"),
    *each(
        "cross_entropy(x.contiguous(), y, z, ignore_index=1, label_smoothing=0.1, …)",
        [(2, 3, 4, 2), PIXELS, WEIGHT],
        fixed="z",
    ),
    *each(
        "cross_entropy(x.contiguous(), y.contiguous(), z, label_smoothing=0.1, …)",
        [(2, 3, 4, 2), SOFT_PIXELS, WEIGHT],
        fixed="z",
    ),
    *each("cross_entropy(x, y, label_smoothing=1.0, …)", [(4, 3), labels(4, classes=3)]),
    *each("cross_entropy(x, y, ignore_index=-1, …)", [(4, 3), SOFT]),
    # The mean of nothing is NaN, which neither float16 nor a difference quotient can be compared with.
    *each("cross_entropy(x, y, …)", [(4, 3), np.full(4, -100)], half=False, second=False),
    *each("nll_loss(x, y, …)", [(4, 3), np.full(4, -100)], half=False, second=False),
    *each("cross_entropy(x, y, …)", [(0, 3), np.zeros(0, int)], half=False, second=False),
    *each("nll_loss(x, y, …)", [(0, 3), np.zeros(0, int)], half=False, second=False),
    *each("mse_loss(x, y, …)", [(0, 3), (0, 3)], half=False, second=False),
    *each("nll_loss(x, y, …)", [(3,), np.array(2)]),
    *each("nll_loss(x, y, z, ignore_index=1, …)", [(4, 3), labels(4, classes=3), WEIGHT], fixed="z"),
    *each("cross_entropy(x, y, …, label_smoothing=0.2)", [(4, 3), SOFT]),
    *each(
        "cross_entropy(x.contiguous(), y, z, ignore_index=1, …)",
        [(2, 3, 4, 2), PIXELS, np.array([1.0, 2.0, 0.5])],
        fixed="z",
    ),
    *each("nll_loss(x, y, …)", [(4, 3), labels(4, classes=3)]),
    *each("nll_loss(x.contiguous(), y, z, …)", [(2, 3, 4, 2), PIXELS, np.array([1.0, 2.0, 0.5])], fixed="z"),
    *each(
        "ctc_loss(x.log_softmax(2), y, z, u, …)",
        [(6, 2, 4), np.array([[1, 2, 2], [3, 1, 0]]), np.array([6, 5]), np.array([3, 2])],
    ),
    *each(
        "ctc_loss(x.log_softmax(2), y, z, u, 3, …)",
        [(7, 3, 4), np.array([0, 1, 2, 2, 0]), np.array([7, 4, 6]), np.array([2, 0, 3])],
    ),
    *each(
        "ctc_loss(x.log_softmax(2), y, z, u, …, zero_infinity=True)",
        [(3, 2, 4), np.array([[1, 1, 1], [1, 2, 3]]), np.array([3, 3]), np.array([3, 2])],
    ),
    *each("ctc_loss(x.log_softmax(1), y, z, u, …)", [(5, 4), np.array([1, 2]), np.array(5), np.array(2)]),
]


def module(source: str, inputs: list, **options: object) -> list[Case]:  # type: ignore[type-arg]
    """A module with the mean; and without a reduction, which shows every residual."""
    closing = "" if source.endswith("(") else ", "
    ends = ")", f"{closing}reduction='none')", f"{closing}reduction='sum')"
    return [Case(source + end, inputs, **options) for end in ends]  # type: ignore[arg-type]


MODULES = [
    *module("MSELoss(", PAIR),
    *module("L1Loss(", PAIR),
    *module("SmoothL1Loss(", PAIR),
    *module("SmoothL1Loss(beta=0.2", PAIR),
    *module("HuberLoss(", PAIR),
    *module("HuberLoss(delta=0.5", PAIR),
    *module("BCELoss(", [P, probabilities(4, 3, seed=2)]),
    *module("BCEWithLogitsLoss(", [(4, 3), YES]),
    Case(
        "CrossEntropyLoss(weight=lib.tensor([1.0, 2.0, 0.5]))",
        [(4, 3), labels(4, classes=3)],
        only=("float32",),
        half=False,
        second=False,
    ),
    Case(
        "NLLLoss(weight=lib.tensor([1.0, 2.0, 0.5]))",
        [(4, 3), labels(4, classes=3)],
        only=("float32",),
        half=False,
        second=False,
    ),
    Case("BCEWithLogitsLoss(pos_weight=lib.ones(3) * 2)", [(4, 3), YES], only=("float32",), half=False, second=False),
    *module("SoftMarginLoss(", [(4, 3), signs(4, 3)], fixed="y"),
    *module("HingeEmbeddingLoss(", [P, signs(4, 3)], fixed="y"),
    *module("MarginRankingLoss(0.3", [(5,), (5,), signs(5)], fixed="z"),
    *module("CosineEmbeddingLoss(0.1", [(4, 3), (4, 3), signs(4)], fixed="z"),
    *module("MultiMarginLoss(p=2", [(4, 3), labels(4, classes=3)]),
    *module("MultiLabelMarginLoss(", [(4, 4), LISTS]),
    *module("MultiLabelSoftMarginLoss(", [(4, 3), YES], fixed="y"),
    *module("TripletMarginLoss(swap=True", [(4, 3), (4, 3), (4, 3)]),
    *module("TripletMarginWithDistanceLoss(margin=2.0", [(4, 3), (4, 3), (4, 3)]),
    *module("KLDivLoss(log_target=True", PAIR),
    Case("KLDivLoss(reduction='batchmean')", [(4, 3), SOFT]),
    *module("GaussianNLLLoss(full=True", [(4, 3), (4, 3), P]),
    *module("PoissonNLLLoss(full=True", [(4, 3), np.arange(12.0).reshape(4, 3)], fixed="y"),
    *module("CrossEntropyLoss(", [(4, 3), labels(4, classes=3)]),
    *module("CrossEntropyLoss(label_smoothing=0.1, ignore_index=1", [(4, 3), labels(4, classes=3)]),
    *module("NLLLoss(", [(4, 3), labels(4, classes=3)]),
    *module(
        "CTCLoss(blank=1",
        [(6, 2, 4), np.array([[0, 2, 2], [3, 0, 0]]), np.array([6, 5]), np.array([3, 2])],
        call="layer(x.log_softmax(2), y, z, u)",
    ),
    Case("AdaptiveLogSoftmaxWithLoss(16, 12, [3, 7])", [(5, 16), np.array([0, 2, 5, 8, 11])]),
    Case("AdaptiveLogSoftmaxWithLoss(16, 12, [4], 2.0, True)", [(16,), np.array(5)]),
    Case("AdaptiveLogSoftmaxWithLoss(16, 12, [3, 7])", [(5, 16)], "layer.log_prob(x)"),
    Case("AdaptiveLogSoftmaxWithLoss(16, 12, [3, 7])", [(5, 16)], "layer.predict(x)"),
]

_BROADCAST = [(4, 1), (4,)]

REFUSED = [
    *[
        Refused(f"f.{name}(x, y)", _BROADCAST, r"\(4, 1\).*\(4,\).*squeeze\(-1\)", by_pytorch=False)
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits",
                     "soft_margin_loss", "hinge_embedding_loss", "kl_div", "poisson_nll_loss", "multilabel_soft_margin_loss")
    ],
    *[
        Refused(source, inputs, says, by_pytorch=False)
        for source, inputs, says in [
            ("f.mse_loss(x, y)", [(2, 3), (2,)], r"\(2, 3\), the target \(2,\); they would broadcast"),
            ("f.l1_loss(x, y)", [(2, 1), (2,)], r"squeeze\(-1\) on the prediction"),
            ("f.l1_loss(x, y)", [(2,), (2, 1)], r"squeeze\(-1\) on the target"),
            ("f.mse_loss(x, x, weight=y)", [(4,), (4, 1)], "the loss has shape.*on the weight"),
            ("f.binary_cross_entropy_with_logits(x, x, pos_weight=y)", [(1, 3), (4, 3)], r"pos_weight \(4, 3\)"),
            ("f.multilabel_soft_margin_loss(x, x, y)", [(1, 3), (4, 3)], r"weight \(4, 3\)"),
        ]
    ],
    Refused("f.cross_entropy(x, lib.tensor([0, 3]))", [(2, 3)], r"label 3 at \[1\] is none of the 3 classes 0 … 2"),
    Refused("f.cross_entropy(x, lib.tensor([3, 1]))", [(2, 3)], "Do the labels begin at 1"),
    Refused("f.cross_entropy(x, lib.tensor([0, -1]))", [(2, 3)], "label -1 at"),
    Refused("f.nll_loss(x, lib.tensor([0, 3]))", [(2, 3)], "label 3"),
    Refused("f.cross_entropy(x, lib.tensor([0, 7]), ignore_index=0)", [(2, 3)], "label 7"),
    Refused("f.cross_entropy(x, lib.tensor([0.0, 1.0]))", [(2, 3)], r"float32 targets.*\.long\(\)"),
    Refused("f.nll_loss(x, x)", [(2, 3)], r"\.long\(\)"),
    Refused("f.cross_entropy(x, lib.tensor([True, False]))", [(2, 3)], "bool"),
    Refused("f.cross_entropy(x.long(), lib.tensor([0, 1]))", [(2, 3)], r"\.float\(\)"),
    Refused("f.cross_entropy(x, lib.tensor([[0], [1]]))", [(2, 3)], r"take labels \(2,\), got \(2, 1\)\. squeeze"),
    Refused("f.cross_entropy(x, x.long())", [(2, 3)], "one-hot"),
    Refused("f.cross_entropy(x, lib.tensor([0]))", [(2, 3)], r"\(2,\), got \(1,\)"),
    Refused("f.cross_entropy(x, lib.tensor([0, 1]), weight=lib.ones(2))", [(2, 3)], r"3 classes, got shape \(2,\)"),
    Refused("f.cross_entropy(x, x.softmax(1), weight=lib.ones(2))", [(2, 3)], "3 classes"),
    Refused("f.cross_entropy(x, x.softmax(1), ignore_index=1)", [(2, 3)], "ignore_index=1"),
    Refused("f.cross_entropy(x, lib.tensor([0, 1]), label_smoothing=1.5)", [(2, 3)], "label_smoothing"),
    Refused("f.cross_entropy(x, lib.tensor([0, 1]), reduction='average')", [(2, 3)], "'average'"),
    Refused("f.mse_loss(x, x, reduction='average')", [(2, 3)], "'average'"),
    Refused("f.mse_loss([1.0], x)", [(2, 3)], "list", by_pytorch=False),  # PyTorch: a list has no attribute 'size'
    Refused("f.triplet_margin_loss(x, x, x, margin=-1.0)", [(2, 3)], "above 0"),
    Refused("f.ctc_loss(x, lib.tensor([1, 2, 1]), lib.tensor([4]), lib.tensor([2]))", [(4, 1, 3)], "3 labels.*add up to 2"),
    Refused("f.ctc_loss(x, lib.tensor([[1, 0]]), lib.tensor([4]), lib.tensor([2]))", [(4, 1, 3)], "is the blank", by_pytorch=False),
    Refused("f.ctc_loss(x, lib.tensor([[1, 2]]), lib.tensor([4]), lib.tensor([2]), 7)", [(4, 1, 3)], "0 … 2, got 7"),
    Refused("nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5])(x, lib.tensor([1.5, 2.0]))", [(2, 8)], r"\.long\(\)"),
    Refused("f.binary_cross_entropy(x * 0, y)", _BROADCAST, r"squeeze\(-1\)"),
    Refused("f.binary_cross_entropy(x * 9, y)", [(5,), (5,)], "with_logits"),
    Refused("f.gaussian_nll_loss(x, y, z)", [(4, 3), (4, 3), (3,)], r"\(3,\)"),
    Refused("f.gaussian_nll_loss(x, y, -z.abs() - 1)", [(4,), (4,), (4,)], "not negative"),
    Refused("f.margin_ranking_loss(x, y, z)", [(4,), (4, 1), (4,)], "squeeze", by_pytorch=False),
    Refused("f.cosine_embedding_loss(x, y, z)", [(4, 3), (4, 3), (4, 1)], r"\(4, 1\)"),
    Refused("f.multi_margin_loss(x, lib.tensor([0, 3]))", [(2, 3)], "label 3"),
    Refused("f.multi_margin_loss(x, lib.tensor([0, 1]), p=3)", [(2, 3)], "1 or 2"),
    Refused("f.multilabel_margin_loss(x, lib.tensor([0, 3, 1]))", [(3,)], "label 3"),
    Refused("f.triplet_margin_loss(x, y, z)", [(4, 3), (4, 3), (3,)], "broadcast", by_pytorch=False),
    Refused("nn.TripletMarginLoss(margin=0)", [], "above 0"),
    Refused("f.huber_loss(x, x, delta=0)", [(2,)], "above 0"),
    Refused("f.smooth_l1_loss(x, x, beta=-1)", [(2,)], "-1"),
    Refused("f.ctc_loss(x, lib.tensor([[1, 2]]), lib.tensor([5]), lib.tensor([2]))", [(4, 1, 3)], "0 … 4"),
    Refused("f.ctc_loss(x, lib.tensor([[1, 2]]), lib.tensor([4]), lib.tensor([3]))", [(4, 1, 3)], "up to 3"),
    Refused("f.ctc_loss(x, lib.tensor([[1, 3]]), lib.tensor([4]), lib.tensor([2]))", [(4, 1, 3)], "0 … 2", by_pytorch=False),
    Refused("nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5, 3])", [], "rising"),
    Refused("nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5])(x, lib.tensor([10]))", [(1, 8)], "0 … 9"),
    *[Refused(f"nn.{name}(reduction='average')", [], "'average'", by_pytorch=False) for name in ("BCELoss", "CTCLoss", "KLDivLoss", "HuberLoss")],
]  # fmt: skip
