"""Architectures, one file each."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from chainrule.models.bert import Bert, BertClassifier, BertMaskedWords
from chainrule.models.clustering import choose_k, kmeans
from chainrule.models.convnet import ConvNet
from chainrule.models.decoder import DecoderTransformer
from chainrule.models.gpt2 import GPT2
from chainrule.models.lenet5 import LeNet5
from chainrule.models.linear_regression import elastic_net, lasso, least_squares, ridge
from chainrule.models.llama import Llama
from chainrule.models.mlp import MLP
from chainrule.models.normal_equations import NormalEquations, streamed_least_squares
from chainrule.models.pca import pca
from chainrule.models.recurrent import RecurrentClassifier, RecurrentLanguageModel, RecurrentTagger
from chainrule.models.recurrent_answers import RecurrentCaptioner, RecurrentTranslator
from chainrule.models.resnet import ResNet, resnet10, resnet18
from chainrule.models.transformer import EncoderDecoderTransformer
from chainrule.models.unet import UNet
from chainrule.models.vision_transformer import (
    VisionTransformer,
    vit_b_16,
    vit_b_32,
    vit_l_16,
    vit_small_cifar,
    vit_tiny_cifar,
)
from chainrule.nn.module import Module

__all__ = [
    "Bert",
    "BertClassifier",
    "BertMaskedWords",
    "GPT2",
    "Llama",
    "RecurrentCaptioner",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecurrentTagger",
    "RecurrentTranslator",
    "VisionTransformer",
    "vit_b_16",
    "vit_b_32",
    "vit_l_16",
    "vit_small_cifar",
    "vit_tiny_cifar",
    "ConvNet",
    "DecoderTransformer",
    "EncoderDecoderTransformer",
    "LeNet5",
    "MLP",
    "NormalEquations",
    "ResNet",
    "UNet",
    "check_options",
    "choose_k",
    "create",
    "elastic_net",
    "kmeans",
    "lasso",
    "least_squares",
    "names",
    "pca",
    "resnet10",
    "resnet18",
    "ridge",
    "streamed_least_squares",
]

_MODELS: dict[str, Callable[..., Module]] = {
    "convnet": ConvNet,
    "decoder": DecoderTransformer,
    "lenet5": LeNet5,
    "mlp": MLP,
    "resnet10": resnet10,
    "resnet18": resnet18,
    "unet": UNet,
}


def names() -> list[str]:
    """The names of all architectures.

    >>> "lenet5" in names()
    True
    """
    return sorted(_MODELS)


def create(name: str, **options: Any) -> Module:
    """An architecture by its name, with its constructor's options. Raises ValueError for an unknown name or option.

    >>> type(create("lenet5", num_classes=3)).__name__
    'LeNet5'
    """
    if name not in _MODELS:
        close = difflib.get_close_matches(name.lower(), _MODELS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ValueError(f"there is no model {name!r}; there are {', '.join(names())}.{hint}")
    check_options(name, _MODELS[name], options)
    return _MODELS[name](**options)


def check_options(name: str, build: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise a ValueError for an option that a constructor does not have.

    >>> check_options("mlp", MLP, {"size": [4, 2]})
    Traceback (most recent call last):
    ValueError: the model mlp has no option 'size'; it has sizes, activation.
    """
    parameters = list(inspect.signature(build).parameters.values())
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        parameters += inspect.signature(ResNet).parameters.values()
    known = list(dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD))
    for option in options:
        if option not in known:
            raise ValueError(f"the model {name} has no option {option!r}; it has {', '.join(known)}.")
