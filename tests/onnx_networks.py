"""For each network of the registry the smallest form that can be exported, and inputs of any batch; or a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chainrule as cr


class Small(NamedTuple):
    """A small network.

    options: for `models.create`. inputs: for a number that says how large the batch (and length) is. dynamic: what may
    vary. often: whether it is tested each time; the others, which are large, only in the long form. tolerance: how far
    the numbers may lie apart, as a part of the largest.
    """

    options: dict[str, Any]
    inputs: Callable[[int], tuple[Any, ...]]
    dynamic: Any = "batch"
    often: bool = True
    tolerance: float = 1e-5


def _images(channels: int, size: int) -> Callable[[int], tuple[Any, ...]]:
    return lambda n: (cr.randn(n, channels, size, size),)


def _rows(features: int) -> Callable[[int], tuple[Any, ...]]:
    return lambda n: (cr.randn(n, features),)


def _tokens(n: int, more: int = 3) -> Any:
    return cr.randint(1, 17, (n, n + more))


TEXT = {0: "batch", 1: "length"}
PAIR = {"source": {0: "batch", 1: "length"}, "target": {0: "batch", 1: "answer"}}
_TINY = {"vocabulary": 17, "layers": 1, "width": 16, "heads": 2, "context": 16}
_RESNET = {"width": 4, "width_per_group": 4}


def _large(size: int, **options: Any) -> Small:
    return Small(options, _images(3, size), often=False)


NETWORKS: dict[str, Small] = {
    "alexnet": _large(63),
    "alexnet_two_towers": _large(67),
    "autoencoder_conv": Small({"channels": (2, 3), "code": 4}, _images(1, 32)),
    "autoencoder_denoising": Small({"channels": (2, 3), "code": 4, "noise": 0.3}, _images(1, 32)),
    "autoencoder_dense": Small({"hidden": (5,), "code": 3}, _images(1, 28)),
    "bert": Small(_TINY, lambda n: (_tokens(n),), TEXT),
    "bert_classifier": Small({**_TINY, "num_classes": 3}, lambda n: (_tokens(n),), TEXT),
    "bert_masked_words": Small(_TINY, lambda n: (_tokens(n),), TEXT),
    "convnet": Small({"channels": (2, 3), "hidden": (4,)}, _images(1, 32)),
    "decoder": Small(_TINY, lambda n: (_tokens(n),), TEXT),
    **{
        f"fcn_{stride}s": Small(
            {"width": 2, "hidden": 4, "num_classes": 3, "stride": stride}, _images(3, 64), often=stride == 8
        )
        for stride in (8, 16, 32)
    },
    "googlenet": _large(64),
    "googlenet_5x5": _large(64),
    "googlenet_naive": _large(64),
    "gpt2": Small(_TINY, lambda n: (_tokens(n),), TEXT),
    "keypoints": Small({"channels": (2, 3, 4), "hidden": 5}, _images(1, 32)),
    "lenet5": Small({}, _images(1, 32)),
    "lenet5_c3": Small({}, _images(1, 32)),
    "lenet5_lecun": Small({}, _images(1, 32)),
    "linear_regression": Small({"in_features": 3}, _rows(3)),
    "llama": Small({**_TINY, "heads": 4, "key_heads": 2, "hidden": 24}, lambda n: (_tokens(n),), TEXT),
    "logistic_regression": Small({"in_features": 6}, _rows(6)),
    "maxout": Small({"channels": (2, 3, 4), "hidden": 4}, _images(3, 32)),
    "mlp": Small({"sizes": [4, 8, 3]}, _rows(4)),
    "mobilenet_v1": Small({"width_mult": 0.1, "num_classes": 5}, _images(3, 64)),
    "mobilenet_v2": Small({"width_mult": 0.1, "num_classes": 5}, _images(3, 32)),
    "nin": Small({}, _images(3, 32), often=False),
    **{
        f"{kind}{depth}_cifar": Small({"width": 4}, _images(3, 16), often=depth == 20)
        for kind in ("plain", "resnet")
        for depth in (20, 32, 44, 56, 110)
    },
    # Without shortcuts each layer stretches the rounding of those before it: through 110 of them, ours and onnxruntime's
    # numbers lie equally far from those in float64, 1e-5 to 9e-5 of the largest; through 56, 5e-6 or less.
    "plain110_cifar": Small({"width": 4}, _images(3, 16), often=False, tolerance=3e-4),
    **{f"resnet{depth}": Small({"width": 4}, _images(3, 32), often=depth == 18) for depth in (10, 18, 34)},
    **{f"resnet{depth}": Small(_RESNET, _images(3, 32), often=depth == 50) for depth in (50, 101, 152)},
    "resnext50_32x4d": Small({"num_classes": 5}, _images(3, 32), often=False),
    "rnn_classifier": Small(
        {"num_classes": 3, "vocabulary": 17, "width": 4, "hidden": 5, "layers": 2, "bidirectional": True},
        lambda n: (_tokens(n),),
        TEXT,
    ),
    "rnn_language_model": Small({"vocabulary": 17, "width": 4, "hidden": 5}, lambda n: (_tokens(n),), TEXT),
    "rnn_translator": Small(
        {"source_vocabulary": 17, "target_vocabulary": 17, "width": 4, "hidden": 6},
        lambda n: (_tokens(n), _tokens(n, 2)),
        PAIR,
    ),
    "transformer": Small(
        {"source_vocabulary": 17, "target_vocabulary": 17, "layers": 1, "width": 16, "heads": 2, "context": 16},
        lambda n: (_tokens(n), _tokens(n, 2)),
        PAIR,
    ),
    "unet": Small({"base": 2, "depth": 2}, _images(3, 16)),
    "unet_regression": Small({"base": 2, "depth": 2}, _images(3, 16)),
    **{
        f"vgg{depth}{norm}": Small({"num_classes": 5}, _images(3, 32), often=False)
        for depth in (11, 13, 16, 19)
        for norm in ("", "_bn")
    },
    "vit_b_16": _large(224),
    "vit_b_32": _large(224),
    "vit_l_16": _large(224),
    "vit_small_cifar": _large(32),
    "vit_tiny_cifar": _large(32),
}


#: Networks that draw: the part that a user takes away, since the whole gives its loss, with random numbers in it.
PARTS: dict[str, tuple[str, Small]] = {
    "dcgan": ("generator", Small({"base": 2, "noise": 5}, _rows(5))),
    "ddpm": (
        "diffusion.network",
        Small({"base": 8, "steps": 5}, lambda n: (cr.randn(n, 1, 28, 28), cr.randint(0, 5, (n,)))),
    ),
    "gan": ("generator", Small({"hidden": (6, 6), "noise": 5}, _rows(5))),
    "pixelcnn": ("model", Small({"width": 4, "depth": 2, "levels": 4}, lambda n: (cr.rand(n, 1, 28, 28),))),
    "realnvp": ("flow", Small({"hidden": 4}, _images(1, 28))),
    "vae": ("vae.decoder", Small({"hidden": (6, 6), "code": 3}, _rows(3))),
    "wgan-gp": ("generator", Small({"base": 2, "noise": 5}, _rows(5))),
}
