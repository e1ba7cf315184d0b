"""Vision Transformer: an image is a sentence of patches.

What was new: no convolution but the one that cuts the image up. Each patch of 16×16 pixels becomes a token; one more
token, learned, goes along and at the end says what the image shows.

    image ─► patches, each a vector ─► [class] p₁ p₂ … + positions ─► encoder, normalised first ─► [class] ─► scores

Source: Dosovitskiy et al., "An image is worth 16×16 words: transformers for image recognition at scale", 2021. Names of
layers and weights are torchvision's.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule import nn
from chainrule.errors import ShapeError
from chainrule.functions.creation import empty, zeros
from chainrule.functions.pieces import cat
from chainrule.models.registry import register
from chainrule.nn.init import normal_, trunc_normal_, xavier_uniform_, zeros_
from chainrule.tensor import Parameter, Tensor


class MLPBlock(nn.Sequential):
    """Two linear layers for each token, GELU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        first, second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        super().__init__(first, nn.GELU(), nn.Dropout(dropout), second, nn.Dropout(dropout))
        for layer in (first, second):
            xavier_uniform_(layer.weight)
            normal_(layer.bias, std=1e-6)


class EncoderBlock(nn.Module):
    """x = x + attention(ln_1(x)); x = x + network(ln_2(x))."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLPBlock(width, hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width)."""
        y = self.ln_1(x)
        x = x + self.dropout(self.self_attention(y, y, y, need_weights=False)[0])
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions added, the blocks one after the other, a normalisation."""

    def __init__(
        self, length: int, layers: int, width: int, heads: int, hidden: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.pos_embedding = Parameter(empty(1, length, width))
        normal_(self.pos_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential()
        for i in range(layers):
            block = EncoderBlock(width, heads, hidden, dropout, attention_dropout)
            self.layers.add_module(f"encoder_layer_{i}", block)
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, width)."""
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Images (N, in_channels, image_size, image_size) to scores (N, num_classes).

    Args:
        image_size, patch_size: the side of images and patches; the second divides the first.
        num_layers, num_heads, hidden_dim, mlp_dim: blocks, heads, features of each token and inside of each network.
        dropout, attention_dropout: probabilities in training.
        num_classes: how many scores come out.
        in_channels: 3 for colour.

    Parameters: see `vit_b_16`. The head starts at 0, so at first all classes are alike. Raises ShapeError for an image
    of another size and for a patch size that does not divide it.

    >>> import chainrule
    >>> model = VisionTransformer(8, 4, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5)
    >>> model(chainrule.ones(2, 3, 8, 8)).shape
    Size([2, 5])
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ShapeError(f"patches of {patch_size} pixels do not divide an image of {image_size}.")
        self.image_size, self.patch_size, self.in_channels = image_size, patch_size, in_channels
        self.class_token = Parameter(zeros(1, 1, hidden_dim))
        self.conv_proj = nn.Conv2d(in_channels, hidden_dim, patch_size, stride=patch_size)
        trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (in_channels * patch_size**2)))
        zeros_(self.conv_proj.bias)
        length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(length, num_layers, hidden_dim, num_heads, mlp_dim, dropout, attention_dropout)
        self.heads = nn.Sequential()
        self.heads.add_module("head", nn.Linear(hidden_dim, num_classes))
        zeros_(self.heads[0].weight)
        zeros_(self.heads[0].bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        side = self.image_size
        if x.ndim != 4 or tuple(x.shape[1:]) != (self.in_channels, side, side):
            raise ShapeError(
                f"takes images (N, {self.in_channels}, {side}, {side}), got {tuple(x.shape)}; the number of positions "
                "belongs to the image size, so resize the images or make the model with another image_size."
            )
        patches = nn.Tokens()(self.conv_proj(x))
        first = self.class_token.expand(x.shape[0], 1, patches.shape[2])
        return self.heads(self.encoder(cat([first, patches], 1))[:, 0])


def _vit(patch: int, layers: int, heads: int, width: int, hidden: int, options: dict[str, Any]) -> VisionTransformer:
    return VisionTransformer(options.pop("image_size", 224), patch, layers, heads, width, hidden, **options)


@register("vit_b_16", task="classification", data="images", input=(3, 224, 224), paper="Dosovitskiy et al. 2021")
def vit_b_16(**options: Any) -> VisionTransformer:
    """ViT-B/16: 12 blocks of 768 features on patches of 16×16. 86,567,656 parameters for 1000 classes.

    Options are :class:`VisionTransformer`'s; `image_size` is 224 unless given.
    """
    return _vit(16, 12, 12, 768, 3072, options)


@register("vit_b_32", task="classification", data="images", input=(3, 224, 224), paper="Dosovitskiy et al. 2021")
def vit_b_32(**options: Any) -> VisionTransformer:
    """ViT-B/32: as `vit_b_16` on patches of 32×32. 88,224,232 parameters for 1000 classes."""
    return _vit(32, 12, 12, 768, 3072, options)


@register("vit_l_16", task="classification", data="images", input=(3, 224, 224), paper="Dosovitskiy et al. 2021")
def vit_l_16(**options: Any) -> VisionTransformer:
    """ViT-L/16: 24 blocks of 1024 features on patches of 16×16. 304,326,632 parameters for 1000 classes."""
    return _vit(16, 24, 16, 1024, 4096, options)


@register("vit_tiny_cifar", task="classification", data="images", input=(3, 32, 32), paper="Dosovitskiy et al. 2021")
def vit_tiny_cifar(num_classes: int = 10, **options: Any) -> VisionTransformer:
    """A small one for images of 32×32: 6 blocks of 128 features on patches of 4×4; ours, from no paper.

    >>> import chainrule
    >>> vit_tiny_cifar()(chainrule.ones(1, 3, 32, 32)).shape
    Size([1, 10])
    """
    options = {"image_size": 32, "num_classes": num_classes, **options}
    return _vit(4, 6, 4, 128, 512, options)


@register("vit_small_cifar", task="classification", data="images", input=(3, 32, 32), paper="Dosovitskiy et al. 2021")
def vit_small_cifar(num_classes: int = 10, **options: Any) -> VisionTransformer:
    """A larger one for images of 32×32: 8 blocks of 256 features on patches of 4×4; ours, from no paper."""
    options = {"image_size": 32, "num_classes": num_classes, **options}
    return _vit(4, 8, 8, 256, 1024, options)
