"""Which weights torchvision publishes for which network, and what is done to an image before."""

from __future__ import annotations

import functools
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chainrule.data.transforms import Compose

ADDRESS = "https://download.pytorch.org/models/"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Published(NamedTuple):
    """One file of weights for ImageNet's 1000 classes.

    Attributes:
        file: its name; what stands behind the last dash is the beginning of its SHA-256.
        resize_size: the shorter side of an image before its middle is cut out.
        crop_size: the side of that middle.
    """

    file: str
    resize_size: int = 256
    crop_size: int = 224

    @property
    def url(self) -> str:
        """Where it is."""
        return ADDRESS + self.file


class WeightsEnum(Enum):
    """The published weights of one network, torchvision's class of this name."""

    @property
    def url(self) -> str:
        """Where the file is."""
        return self.value.url

    @property
    def transforms(self) -> Any:
        """Makes what an image goes through before the network: `weights.transforms()(image)`."""
        return functools.partial(preparation, self.value.resize_size, self.value.crop_size)

    @classmethod
    def verify(cls, weights: Any) -> Any:
        """The member that is meant: itself, or its name as a text. Raises ValueError, TypeError for anything else."""
        if weights is None or isinstance(weights, cls):
            return weights
        if isinstance(weights, str):
            name = weights.removeprefix(f"{cls.__name__}.")
            if name in cls.__members__:
                return cls[name]
            raise ValueError(f"{cls.__name__} has no {name!r}; it has {', '.join(cls.__members__)}.")
        raise TypeError(f"weights are a member of {cls.__name__}, its name or None, got {weights!r}.")


def preparation(resize_size: int, crop_size: int) -> Compose:
    """From an image (PIL's, or uint8 (C, H, W)) to what published weights want: (3, crop_size, crop_size).

    The shorter side becomes `resize_size`, the middle is cut out, and each channel standardised by ImageNet's mean and
    deviation.

    >>> import chainrule
    >>> preparation(256, 224)(chainrule.zeros(3, 300, 400, dtype=chainrule.uint8)).shape
    Size([3, 224, 224])
    """
    from chainrule import float32
    from chainrule.data import transforms as t

    return t.Compose(
        [
            t.Resize(resize_size),
            t.CenterCrop(crop_size),
            t.ToImage(),
            t.ToDtype(float32, scale=True),
            t.Normalize(MEAN, STD),
        ]
    )


def _weights(name: str, **files: Published) -> Any:
    """A WeightsEnum; the last of the files is the DEFAULT."""
    return WeightsEnum(name, {**files, "DEFAULT": list(files.values())[-1]}, module=__name__)  # type: ignore[call-arg]


AlexNet_Weights = _weights("AlexNet_Weights", IMAGENET1K_V1=Published("alexnet-owt-7be5be79.pth"))
GoogLeNet_Weights = _weights("GoogLeNet_Weights", IMAGENET1K_V1=Published("googlenet-1378be20.pth"))
MobileNet_V2_Weights = _weights(
    "MobileNet_V2_Weights",
    IMAGENET1K_V1=Published("mobilenet_v2-b0353104.pth"),
    IMAGENET1K_V2=Published("mobilenet_v2-7ebf99e0.pth", 232),
)
ResNet18_Weights = _weights("ResNet18_Weights", IMAGENET1K_V1=Published("resnet18-f37072fd.pth"))
ResNet34_Weights = _weights("ResNet34_Weights", IMAGENET1K_V1=Published("resnet34-b627a593.pth"))
ResNet50_Weights = _weights(
    "ResNet50_Weights",
    IMAGENET1K_V1=Published("resnet50-0676ba61.pth"),
    IMAGENET1K_V2=Published("resnet50-11ad3fa6.pth", 232),
)
ResNet101_Weights = _weights(
    "ResNet101_Weights",
    IMAGENET1K_V1=Published("resnet101-63fe2227.pth"),
    IMAGENET1K_V2=Published("resnet101-cd907fc2.pth", 232),
)
ResNet152_Weights = _weights(
    "ResNet152_Weights",
    IMAGENET1K_V1=Published("resnet152-394f9c45.pth"),
    IMAGENET1K_V2=Published("resnet152-f82ba261.pth", 232),
)
ResNeXt50_32X4D_Weights = _weights(
    "ResNeXt50_32X4D_Weights",
    IMAGENET1K_V1=Published("resnext50_32x4d-7cdf4587.pth"),
    IMAGENET1K_V2=Published("resnext50_32x4d-1a0047aa.pth", 232),
)
VGG11_Weights = _weights("VGG11_Weights", IMAGENET1K_V1=Published("vgg11-8a719046.pth"))
VGG11_BN_Weights = _weights("VGG11_BN_Weights", IMAGENET1K_V1=Published("vgg11_bn-6002323d.pth"))
VGG13_Weights = _weights("VGG13_Weights", IMAGENET1K_V1=Published("vgg13-19584684.pth"))
VGG13_BN_Weights = _weights("VGG13_BN_Weights", IMAGENET1K_V1=Published("vgg13_bn-abd245e5.pth"))
VGG16_Weights = _weights("VGG16_Weights", IMAGENET1K_V1=Published("vgg16-397923af.pth"))
VGG16_BN_Weights = _weights("VGG16_BN_Weights", IMAGENET1K_V1=Published("vgg16_bn-6c64b313.pth"))
VGG19_Weights = _weights("VGG19_Weights", IMAGENET1K_V1=Published("vgg19-dcbb9e9d.pth"))
VGG19_BN_Weights = _weights("VGG19_BN_Weights", IMAGENET1K_V1=Published("vgg19_bn-c79401a0.pth"))
ViT_B_16_Weights = _weights("ViT_B_16_Weights", IMAGENET1K_V1=Published("vit_b_16-c867db91.pth"))
ViT_B_32_Weights = _weights("ViT_B_32_Weights", IMAGENET1K_V1=Published("vit_b_32-d86f8d99.pth"))
ViT_L_16_Weights = _weights("ViT_L_16_Weights", IMAGENET1K_V1=Published("vit_l_16-852ce7e3.pth", 242))

#: The weights of each network.
PUBLISHED: dict[str, Any] = {
    "alexnet": AlexNet_Weights, "googlenet": GoogLeNet_Weights, "mobilenet_v2": MobileNet_V2_Weights,
    "resnet18": ResNet18_Weights, "resnet34": ResNet34_Weights, "resnet50": ResNet50_Weights,
    "resnet101": ResNet101_Weights, "resnet152": ResNet152_Weights, "resnext50_32x4d": ResNeXt50_32X4D_Weights,
    "vgg11": VGG11_Weights, "vgg11_bn": VGG11_BN_Weights, "vgg13": VGG13_Weights, "vgg13_bn": VGG13_BN_Weights,
    "vgg16": VGG16_Weights, "vgg16_bn": VGG16_BN_Weights, "vgg19": VGG19_Weights, "vgg19_bn": VGG19_BN_Weights,
    "vit_b_16": ViT_B_16_Weights, "vit_b_32": ViT_B_32_Weights, "vit_l_16": ViT_L_16_Weights,
}  # fmt: skip
