"""The networks for images under PyTorch-vision's names and signatures, with its published weights.

`weights` takes a member of the enumeration beside each function (`ResNet18_Weights.DEFAULT`), its name as a text, or
None for first weights. The file is downloaded once (`chainrule.hub`) and its checksum compared.

>>> model = resnet18(num_classes=10)
>>> model.fc.out_features, ResNet18_Weights.DEFAULT.name
(10, 'IMAGENET1K_V1')
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.models import AlexNet, GoogLeNet, MobileNetV2, ResNet, VisionTransformer
from chainrule.models.googlenet import GoogLeNetOutputs
from chainrule.models.registry import create
from chainrule.models.vgg import VGG
from chainrule.nn.init import skip_filling
from chainrule.nn.module import Module
from chainrule.vision.models import resnet, vgg
from chainrule.vision.models.published import (
    PUBLISHED,
    AlexNet_Weights,
    GoogLeNet_Weights,
    MobileNet_V2_Weights,
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
    ResNeXt50_32X4D_Weights,
    VGG11_BN_Weights,
    VGG11_Weights,
    VGG13_BN_Weights,
    VGG13_Weights,
    VGG16_BN_Weights,
    VGG16_Weights,
    VGG19_BN_Weights,
    VGG19_Weights,
    ViT_B_16_Weights,
    ViT_B_32_Weights,
    ViT_L_16_Weights,
    WeightsEnum,
)


def get_model(name: str, **config: Any) -> Module:
    """The network of this name, with what its function takes. Raises ValueError for an unknown one.

    >>> get_model("mobilenet_v2", weights=None, num_classes=3).classifier[1].out_features
    3
    """
    if name not in PUBLISHED:
        raise ValueError(f"torchvision's names that are here: {', '.join(list_models())}; got {name!r}.")
    found: Module = globals()[name](**config)
    return found


def list_models() -> list[str]:
    """The names of all networks that are here under torchvision's names; all of ours: `chainrule.models.names()`.

    >>> "resnext50_32x4d" in list_models()
    True
    """
    return sorted(PUBLISHED)


def get_model_weights(name: str | Callable[..., Module]) -> Any:
    """The enumeration of a network's published weights, by the network's name or function.

    >>> get_model_weights("resnet50").DEFAULT.url
    'https://download.pytorch.org/models/resnet50-11ad3fa6.pth'
    """
    key = name if isinstance(name, str) else name.__name__
    if key not in PUBLISHED:
        raise ValueError(f"torchvision's names that are here: {', '.join(list_models())}; got {key!r}.")
    return PUBLISHED[key]


def get_weight(name: str) -> WeightsEnum:
    """The weights of a name such as "ResNet50_Weights.IMAGENET1K_V2". Raises ValueError for another one."""
    kind = next((kind for kind in PUBLISHED.values() if name.startswith(f"{kind.__name__}.")), None)
    if kind is None:
        raise ValueError(f'weights have names such as "ResNet50_Weights.DEFAULT", got {name!r}.')
    found: WeightsEnum = kind.verify(name)
    return found


def _named(name: str) -> Callable[..., Any]:
    """torchvision's function of this name."""

    def build(*, weights: Any = None, progress: bool = True, pretrained: bool | None = None, **kwargs: Any) -> Module:
        chosen = PUBLISHED[name].verify(PUBLISHED[name].IMAGENET1K_V1 if pretrained else weights)
        if chosen is None:
            return create(name, **kwargs)
        if kwargs.setdefault("num_classes", 1000) != 1000:
            raise ValueError(
                f"{chosen} are for 1000 classes, got num_classes={kwargs['num_classes']}; load them and then call "
                "chainrule.transfer.replace_head(model, classes)."
            )
        return _with_weights(name, chosen, kwargs)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"`chainrule.models.create({name!r}, …)`, with published weights if `weights` says which."
    return build


def _with_weights(name: str, weights: WeightsEnum, options: dict[str, Any]) -> Module:
    from chainrule.hub import load_state_dict_from_url

    heads = options.get("aux_logits", False)
    if name == "googlenet":  # the file has the auxiliary heads' weights, and was trained on other inputs
        options = {"transform_input": True, **options, "aux_logits": True}
    with skip_filling():
        model = create(name, **options)
    model.load_state_dict(load_state_dict_from_url(weights.url, check_hash=True))
    if isinstance(model, GoogLeNet) and not heads:
        model.aux1 = model.aux2 = None
        model.architecture = {"name": name, "options": {**options, "aux_logits": False}}
    return model


alexnet = _named("alexnet")
googlenet = _named("googlenet")
mobilenet_v2 = _named("mobilenet_v2")
resnet18 = _named("resnet18")
resnet34 = _named("resnet34")
resnet50 = _named("resnet50")
resnet101 = _named("resnet101")
resnet152 = _named("resnet152")
resnext50_32x4d = _named("resnext50_32x4d")
vgg11 = _named("vgg11")
vgg11_bn = _named("vgg11_bn")
vgg13 = _named("vgg13")
vgg13_bn = _named("vgg13_bn")
vgg16 = _named("vgg16")
vgg16_bn = _named("vgg16_bn")
vgg19 = _named("vgg19")
vgg19_bn = _named("vgg19_bn")
vit_b_16 = _named("vit_b_16")
vit_b_32 = _named("vit_b_32")
vit_l_16 = _named("vit_l_16")

__all__ = [
    "AlexNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "MobileNetV2",
    "ResNet",
    "VGG",
    "VisionTransformer",
    "WeightsEnum",
    "get_model",
    "get_model_weights",
    "get_weight",
    "list_models",
    "resnet",
    "vgg",
    *(kind.__name__ for kind in PUBLISHED.values()),
    *PUBLISHED,
]
