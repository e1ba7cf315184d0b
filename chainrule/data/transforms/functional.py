"""All functions of images, as PyTorch-vision names them."""

from chainrule.data.transforms.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    erase,
    invert,
    posterize,
    rgb_to_grayscale,
    solarize,
    to_grayscale,
)
from chainrule.data.transforms.conversion import (
    convert_image_dtype,
    gaussian_noise,
    normalize,
    pil_to_tensor,
    to_dtype,
    to_image,
    to_pil_image,
    to_tensor,
)
from chainrule.data.transforms.filters import gaussian_blur
from chainrule.data.transforms.geometry import (
    center_crop,
    crop,
    five_crop,
    hflip,
    pad,
    resize,
    resized_crop,
    ten_crop,
    vflip,
)
from chainrule.data.transforms.images import (
    InterpolationMode,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
)
from chainrule.data.transforms.mixing import cutmix, mixup
from chainrule.data.transforms.warp import affine, elastic_transform, perspective, rotate

horizontal_flip, vertical_flip = hflip, vflip

__all__ = [
    # moved
    "hflip", "horizontal_flip", "vflip", "vertical_flip", "pad", "crop", "center_crop", "five_crop", "ten_crop",
    "resize", "resized_crop", "affine", "rotate", "perspective", "elastic_transform",
    # looks
    "adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue", "adjust_gamma", "adjust_sharpness",
    "rgb_to_grayscale", "to_grayscale", "invert", "posterize", "solarize", "autocontrast", "equalize",
    "gaussian_blur", "gaussian_noise", "erase", "normalize",
    # forms
    "to_tensor", "pil_to_tensor", "to_image", "to_pil_image", "convert_image_dtype", "to_dtype",
    "InterpolationMode", "get_dimensions", "get_image_num_channels", "get_image_size",
    # several images
    "mixup", "cutmix",
]  # fmt: skip
