"""Transforms of images: functions on Tensors, and classes around them with PyTorch-vision's names.

An image is (C, H, W), a batch (N, C, H, W). For a batch everything random is drawn for each image. Masks and keypoints
go with the image, see `Transform`. All of it is Tensor code, so it can be compiled, and differentiated where the pixels
are.

>>> import chainrule
>>> augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])
>>> augment(chainrule.rand(128, 3, 32, 32)).shape
Size([128, 3, 32, 32])
"""

from chainrule.data.transforms import functional
from chainrule.data.transforms.combine import (
    Compose,
    ConvertImageDtype,
    Identity,
    Lambda,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomOrder,
    ToDtype,
    ToImage,
    ToPILImage,
    ToTensor,
)
from chainrule.data.transforms.images import InterpolationMode
from chainrule.data.transforms.looks import (
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    LinearTransformation,
    Normalize,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from chainrule.data.transforms.mixing import CutMix, MixUp, cutmix, mixup
from chainrule.data.transforms.moves import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    TenCrop,
)
from chainrule.data.transforms.transform import Transform
from chainrule.data.transforms.turns import ElasticTransform, RandomAffine, RandomPerspective, RandomRotation

__all__ = [
    # one after the other, or some of them
    "Compose", "RandomApply", "RandomChoice", "RandomOrder", "Lambda", "Identity", "Transform",
    # pixels move
    "RandomHorizontalFlip", "RandomVerticalFlip", "Pad", "CenterCrop", "RandomCrop", "FiveCrop", "TenCrop", "Resize",
    "RandomResizedCrop", "RandomRotation", "RandomAffine", "RandomPerspective", "ElasticTransform",
    # pixels look different
    "ColorJitter", "Grayscale", "RandomGrayscale", "RandomInvert", "RandomPosterize", "RandomSolarize",
    "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize", "GaussianBlur", "GaussianNoise", "RandomErasing",
    "Normalize", "LinearTransformation",
    # other forms
    "ToTensor", "PILToTensor", "ToImage", "ToPILImage", "ConvertImageDtype", "ToDtype", "InterpolationMode",
    # several images
    "MixUp", "CutMix", "mixup", "cutmix",
    "functional",
]  # fmt: skip
